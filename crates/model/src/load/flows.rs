//! Reads flows, waivers, emergencies, invariants and tests.
use std::collections::BTreeMap;

use super::{
    Names,
    nouns::{AUTHS, reference, references},
    problems::Problems,
    read::{Fields, Item, is_rate, list},
    tokens,
};
use crate::{
    Audit, Drill, Emergency, Flow, Invariant, Name, PolicyTest, Via, Waiver, Words,
    allow::{AllowEntry, METHODS, PathPattern},
    closest,
};

/// Most `allow` entries of a flow.
pub const ALLOW_ENTRIES_MAX: usize = 512;
/// Most approvers of an emergency.
pub const APPROVERS_MAX: u32 = 100;

pub(crate) const AUDITS: &[(&str, Audit)] = &[
    ("low", Audit::Low),
    ("medium", Audit::Medium),
    ("high", Audit::High),
    ("strict", Audit::Strict),
    ("critical", Audit::Critical),
];

/// `flows:`; those whose ends can be read, each with its item.
pub(crate) fn flows<'y>(p: &mut Problems<'_>, item: Option<Item<'y>>, names: &Names<'_>) -> Vec<(Flow, Item<'y>)> {
    let Some(item) = item.filter(|i| !i.yaml.is_null()) else { return Vec::new() };
    let mut all = Vec::new();
    for element in p.list(&item, "flows") {
        let allowed = ["id", "from", "to", "carries", "returns", "schedule", "standby", "via"];
        let Some(fields) = p.fields(&element, "a flow", &allowed) else { continue };
        let id = fields.require(p, "a flow", "id", "place-order").and_then(|i| p.name(&i, "a flow"));
        let mut end = |key: &str, example: &str| {
            let item = fields.require(p, "a flow", key, example)?;
            reference(p, &item, "unknown-node", "node", &names.nodes)
        };
        let (from, to) = (end("from", "web"), end("to", "orders"));
        let flow = Flow {
            id: id.clone().unwrap_or_else(|| Name::known("unknown")),
            from: from.clone().unwrap_or_else(|| Name::known("unknown")),
            to: to.clone().unwrap_or_else(|| Name::known("unknown")),
            carries: references(p, fields.get("carries"), "unknown-data", "datum", &names.data),
            returns: references(p, fields.get("returns"), "unknown-data", "datum", &names.data),
            schedule: fields.get("schedule").and_then(|i| p.text(&i, "a schedule").map(str::to_owned)),
            standby: fields.get("standby").and_then(|i| p.boolean(&i)).unwrap_or_default(),
            via: fields.get("via").map(|i| via(p, &i)).unwrap_or_default(),
        };
        if from.is_some() && to.is_some() {
            all.push((flow, element));
        }
    }
    all
}

pub(crate) const VIA_FIELDS: [&str; 15] = [
    "allow",
    "port",
    "jwt",
    "auth",
    "tls",
    "mtls",
    "ssh",
    "local",
    "limit",
    "timeout",
    "transform",
    "audit",
    "region",
    "cors",
    "rewrite",
];

fn via(p: &mut Problems<'_>, item: &Item<'_>) -> Via {
    let Some(fields) = p.fields(item, "via", &VIA_FIELDS) else { return Via::default() };
    Via {
        allow: fields.get("allow").map(|i| allow(p, &i)),
        port: fields.get("port").and_then(|i| p.port(&i)),
        audit: fields.get("audit").and_then(|i| p.word(&i, "a level of audit", AUDITS)),
        timeout: fields.get("timeout").and_then(|i| p.duration(&i)),
        rewrite: fields.get("rewrite").and_then(|i| rewrite(p, &i)),
        limit: fields.get("limit").and_then(|i| limit(p, &i)),
        cors: fields.get("cors").is_some_and(|i| !i.entries().is_empty() || p.boolean(&i) == Some(true)),
        jwt: fields.get("jwt").and_then(|i| tokens::need(p, &i)),
        words: words(p, &fields),
    }
}

fn allow(p: &mut Problems<'_>, item: &Item<'_>) -> Vec<AllowEntry> {
    let mut all: Vec<AllowEntry> = Vec::new();
    let elements = p.list(item, "entries such as \"GET /orders/{*}\"");
    if elements.len() > ALLOW_ENTRIES_MAX {
        let help = "use `{*}` and `{**}`, or split the flow".to_owned();
        p.error("too-large", &item.at_key(), format!("more than {ALLOW_ENTRIES_MAX} entries"), help);
    }
    for element in elements.iter().take(ALLOW_ENTRIES_MAX) {
        let Some(text) = p.text(element, "an entry such as \"GET /orders/{*}\"") else { continue };
        match AllowEntry::parse(text) {
            Ok(entry) => all.push(entry),
            Err(error) => {
                let at = element.at_part(&error.at, p.source(element.file));
                p.error("bad-allow", &at, error.to_string(), error.help());
            }
        }
    }
    all
}

fn rewrite(p: &mut Problems<'_>, item: &Item<'_>) -> Option<String> {
    let text = p.text(item, "a path prefix")?;
    let good = PathPattern::parse(text).is_ok_and(|pattern| pattern.is_literal()) && !text.ends_with('/');
    if !good {
        let help = "write the prefix that is taken off, as in `/api`".to_owned();
        p.error("bad-value", &item.at(), format!("`{text}` is not a path prefix"), help);
    }
    good.then(|| text.to_owned())
}

fn limit(p: &mut Problems<'_>, item: &Item<'_>) -> Option<String> {
    let text = p.text(item, "a rate")?;
    if is_rate(text) {
        return Some(text.to_owned());
    }
    let help = "write a count and a unit of s, m, h or d, as in `50/s`".to_owned();
    p.error("bad-value", &item.at(), format!("`{text}` is not a rate"), help);
    None
}

/// The words that Ward reads and describes, or does not enforce yet: their shape is checked, their value kept.
fn words(p: &mut Problems<'_>, fields: &Fields<'_>) -> Words {
    let versions = ["true", "false", "none", "1.0", "1.1", "1.2", "1.3"].map(|v| (v, ()));
    let mut all = Words::default();
    for key in ["auth", "tls", "mtls", "ssh", "local", "transform", "region", "cors"] {
        let Some(item) = fields.get(key) else { continue };
        let good = match key {
            "auth" => p.word(&item, "a way of authentication", AUTHS).is_some(),
            "tls" => p.word(&item, "a version of TLS", &versions).is_some(),
            "mtls" | "local" => p.boolean(&item).is_some(),
            "region" => p.text(&item, "a region").is_some(),
            // `cors` was read above: only its mapping form is kept here.
            "cors" => !item.entries().is_empty(),
            _ => !item.yaml.is_null() || p.text(&item, "a value").is_some(),
        };
        if good {
            all.insert(key.to_owned(), item.yaml.to_json());
        }
    }
    all
}

/// `waivers:`.
pub(crate) fn waivers(p: &mut Problems<'_>, item: Option<Item<'_>>, names: &Names<'_>, root: &Item<'_>) -> Vec<Waiver> {
    let Some(item) = item.filter(|i| !i.yaml.is_null()) else { return Vec::new() };
    let mut all = Vec::new();
    for element in p.list(&item, "waivers") {
        let Some(fields) = p.fields(&element, "a waiver", &["id", "accepts", "why", "owner", "until"]) else {
            continue;
        };
        let mut text = |key: &str, what: &str, example: &str| {
            let item = fields.require(p, "a waiver", key, example)?;
            p.text(&item, what).map(str::to_owned)
        };
        let id = text("id", "an id", "W-1");
        let why = text("why", "a reason", "the driver logs");
        let owner = text("owner", "an owner", "data-team");
        let accepts = text("accepts", "`rule@subject`", "unlogged-flow@save");
        let until = fields.require(p, "a waiver", "until", "2027-01-31").and_then(|i| date(p, &i));
        let accepts = accepts.filter(|text| accepted(p, &fields, text, names, root));
        if let (Some(id), Some(accepts), Some(why), Some(owner), Some(until)) = (id, accepts, why, owner, until) {
            all.push(Waiver { id, accepts, why, owner, until });
        }
    }
    all
}

/// Checks `rule@subject`; a subject without a glob must be something of the model.
fn accepted(p: &mut Problems<'_>, fields: &Fields<'_>, text: &str, names: &Names<'_>, root: &Item<'_>) -> bool {
    let Some(item) = fields.get("accepts") else { return false };
    let Some((rule, subject)) = text.split_once('@').filter(|(rule, subject)| !rule.is_empty() && !subject.is_empty())
    else {
        let help = "write the rule and what it speaks of, as in `unlogged-flow@save`; `*` matches any".to_owned();
        p.error("bad-value", &item.at(), format!("`{text}` is not `rule@subject`"), help);
        return false;
    };
    let waiver = |s: &str| {
        root.get("waivers")
            .is_some_and(|w| w.elements().iter().any(|e| e.get("id").and_then(|i| i.scalar()) == Some(s)))
    };
    let known = |s: &str| {
        s.contains('*')
            || [&names.zones, &names.data, &names.nodes, &names.flows].iter().any(|set| set.contains(s))
            || waiver(s)
            || root.get("emergencies").is_some_and(|e| e.get(s).is_some())
    };
    let all_known = match subject.split_once('>') {
        Some((from, to)) => known(from) && known(to),
        // Findings also speak of documents, by the name of a file.
        None => known(subject) || subject.contains(['/', '.']),
    };
    if !all_known {
        let candidates = [&names.zones, &names.data, &names.nodes, &names.flows];
        let near = closest(subject, candidates.iter().flat_map(|set| set.iter().copied()));
        let help = near.map_or_else(
            || "name a zone, datum, node or flow, or `from>to`".to_owned(),
            |n| format!("did you mean `{n}`?"),
        );
        let at = item.at_part(&(rule.len() + 1..text.len()), p.source(item.file));
        p.warn("unknown-subject", &at, format!("nothing in the model is named `{subject}`"), help);
    }
    true
}

fn date(p: &mut Problems<'_>, item: &Item<'_>) -> Option<time::Date> {
    let text = p.text(item, "a date")?;
    let format = time::macros::format_description!("[year]-[month]-[day]");
    let found = time::Date::parse(text, format).ok();
    if found.is_none() {
        let help = "write year, month and day, as in `2027-01-31`".to_owned();
        p.error("bad-value", &item.at(), format!("`{text}` is not a date"), help);
    }
    found
}

/// `emergencies:`.
pub(crate) fn emergencies(
    p: &mut Problems<'_>,
    item: Option<Item<'_>>,
    names: &Names<'_>,
) -> BTreeMap<Name, Emergency> {
    let mut all = BTreeMap::new();
    let Some(item) = item else { return all };
    for (key, item) in p.map(&item, "emergencies") {
        let name = p.name_at(key, "an emergency", &item.at_key());
        let Some(fields) = p.fields(&item, "an emergency", &["flows", "approvers", "max", "audit", "drill"]) else {
            continue;
        };
        let flows = fields.require(p, "an emergency", "flows", "[support-access]");
        let flows = references(p, flows, "unknown-flow", "flow", &names.flows);
        let approvers = fields.require(p, "an emergency", "approvers", "{ any: 2, of: [alice, bob] }");
        let approvers = approvers.and_then(|i| p.fields(&i, "approvers", &["any", "of"]));
        let (mut any, mut of) = (1, Vec::new());
        if let Some(fields) = approvers {
            let item = fields.require(p, "approvers", "of", "[alice, bob]");
            of = references(p, item, "unknown-node", "node", &names.nodes);
            if let Some(item) = fields.require(p, "approvers", "any", "2")
                && let Some(number) = p.number(&item, "a number of approvers", 1, APPROVERS_MAX)
            {
                any = number;
                let path = fields.item.path.clone() + ".of";
                if p.clean(&path) && usize::try_from(number).is_ok_and(|n| n > of.len()) {
                    let message = format!("{number} must approve and {} may", of.len());
                    p.error("bad-value", &item.at(), message, "name more parties under `of`".to_owned());
                }
            }
        }
        let emergency = Emergency {
            flows,
            approvers_any: any,
            approvers_of: of,
            max: fields.get("max").and_then(|i| p.duration(&i)).unwrap_or(std::time::Duration::from_secs(1_800)),
            audit: fields.get("audit").and_then(|i| p.word(&i, "a level of audit", AUDITS)).unwrap_or(Audit::Critical),
            drill: fields.get("drill").and_then(|i| drill(p, &i)),
        };
        if let Some(name) = name {
            all.insert(name, emergency);
        }
    }
    all
}

/// `drill: { every: 90d, last: 2026-08-01 }`.
fn drill(p: &mut Problems<'_>, item: &Item<'_>) -> Option<Drill> {
    let fields = p.fields(item, "a drill", &["every", "last"])?;
    let every = fields.require(p, "a drill", "every", "90d").and_then(|i| p.duration(&i))?;
    Some(Drill { every, last: fields.get("last").and_then(|i| date(p, &i)) })
}

/// `invariants:`.
pub(crate) fn invariants(p: &mut Problems<'_>, item: Option<Item<'_>>, names: &Names<'_>) -> Vec<Invariant> {
    let Some(item) = item.filter(|i| !i.yaml.is_null()) else { return Vec::new() };
    let mut all = Vec::new();
    for element in p.list(&item, "invariants") {
        let Some(fields) = p.fields(&element, "an invariant", &["never"]) else { continue };
        let Some(never) = fields.require(p, "an invariant", "never", "{ data: card, reaches: internet }") else {
            continue;
        };
        let Some(fields) = p.fields(&never, "never", &["data", "reaches"]) else { continue };
        let data = fields.require(p, "never", "data", "card");
        let data = data.and_then(|i| reference(p, &i, "unknown-data", "datum", &names.data));
        let places = names.zones.iter().chain(&names.nodes).copied().collect();
        let reaches = fields.require(p, "never", "reaches", "internet");
        let reaches = reaches.and_then(|i| reference(p, &i, "unknown-node", "zone or node", &places));
        if let (Some(data), Some(reaches)) = (data, reaches) {
            all.push(Invariant { data, reaches });
        }
    }
    all
}

/// `tests:`.
pub(crate) fn tests(p: &mut Problems<'_>, item: Option<Item<'_>>, names: &Names<'_>) -> Vec<PolicyTest> {
    let Some(item) = item.filter(|i| !i.yaml.is_null()) else { return Vec::new() };
    let mut all = Vec::new();
    for element in p.list(&item, "tests") {
        let allowed = ["from", "to", "request", "headers", "jwt", "port", "expect"];
        let Some(fields) = p.fields(&element, "a test", &allowed) else { continue };
        let mut end = |key: &str| {
            let item = fields.require(p, "a test", key, "orders")?;
            reference(p, &item, "unknown-node", "node", &names.nodes)
        };
        let (from, to) = (end("from"), end("to"));
        let request = fields.get("request").map(|i| request(p, &i));
        let mut headers = Vec::new();
        for (name, item) in fields.get("headers").map(|i| p.map(&i, "headers")).unwrap_or_default() {
            if let Some(value) = p.text(&item, "a header's value") {
                headers.push((name.to_ascii_lowercase(), value.to_owned()));
            }
        }
        let jwt = fields.get("jwt").and_then(|i| tokens::validated(p, &i));
        let port = fields.get("port").and_then(|i| p.port(&i));
        let expects = [("allow", true), ("deny", false)];
        let expect = fields.require(p, "a test", "expect", "deny").and_then(|i| p.word(&i, "an expectation", &expects));
        let (line, _) = p.line_and_column(element.file, element.at().span.start);
        if let (Some(from), Some(to), Some(expect_allow)) = (from, to, expect) {
            all.push(PolicyTest { from, to, request: request.flatten(), headers, jwt, port, expect_allow, line });
        }
    }
    all
}

/// `METHOD PATH` of a real request.
fn request(p: &mut Problems<'_>, item: &Item<'_>) -> Option<(String, String)> {
    let text = p.text(item, "a request such as \"POST /charges\"")?;
    let (method, path) = text.split_once(' ').unwrap_or((text, ""));
    let known = METHODS.contains(&method);
    if known && path.starts_with('/') && !path.contains(char::is_whitespace) && !path.contains(['{', '}']) {
        return Some((method.to_owned(), path.to_owned()));
    }
    let help = if path.contains(['{', '}']) {
        "write a real path, without wildcards".to_owned()
    } else if known {
        "write a method, a blank and a path, as in \"POST /charges\"".to_owned()
    } else {
        closest(method, METHODS)
            .map_or_else(|| format!("methods are {}", list(&METHODS)), |m| format!("did you mean `{m}`?"))
    };
    p.error("bad-value", &item.at(), format!("`{text}` is not a request"), help);
    None
}
