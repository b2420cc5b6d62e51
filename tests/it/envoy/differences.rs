//! The differences that docs/policy.md lists, as code. A difference between Ward and Envoy belongs to a row when the request
//! and the policies, rewritten as the row says, get Ward's answer by Istio's reading as well: so a row excuses what it
//! speaks of and nothing else.
use http::Method;
use model::istio::{Action, AuthorizationPolicy, Condition};
use policy::{Semantics, gate::Arrival, normalize_path};

use super::policies::Set;

/// One way to read a request and policies as Ward does.
#[derive(Clone, Copy)]
pub(crate) struct Row {
    /// As in the table.
    pub(crate) name: &'static str,
    /// Whether it may let pass what Envoy refuses.
    looser: bool,
    /// Rewrites both.
    rewrite: fn(&mut Set, &mut Arrival),
}

/// Every row; one that reads in several ways stands several times.
const ROWS: &[Row] = &[
    Row { name: "paths", looser: true, rewrite: paths },
    Row { name: "hosts", looser: true, rewrite: hosts },
    Row { name: "methods", looser: true, rewrite: methods },
    Row { name: "a header on several lines", looser: false, rewrite: first_line },
    Row { name: "a header on several lines", looser: false, rewrite: second_line },
    Row { name: "a header on several lines", looser: false, rewrite: last_line },
    Row { name: "a comma-separated line", looser: false, rewrite: members },
    Row { name: "negations of headers on several lines", looser: false, rewrite: apart::<ALL, 0> },
    Row { name: "negations of headers on several lines", looser: false, rewrite: apart::<ALL, 1> },
    Row { name: "negations of headers on several lines", looser: false, rewrite: apart::<ALL, 2> },
    Row { name: "negations of headers on several lines", looser: false, rewrite: apart::<0, 1> },
    Row { name: "negations of headers on several lines", looser: false, rewrite: apart::<1, 0> },
    Row { name: "negations of headers on several lines", looser: false, rewrite: apart::<0, 2> },
    Row { name: "negations of headers on several lines", looser: false, rewrite: apart::<2, 0> },
    Row { name: "negations of headers on several lines", looser: false, rewrite: apart::<1, 2> },
    Row { name: "negations of headers on several lines", looser: false, rewrite: apart::<2, 1> },
    Row { name: "`targetRefs` to a `Service`", looser: false, rewrite: services },
    Row { name: "server names", looser: true, rewrite: server_names },
];

/// The rows that explain a difference, `answers` saying whether the rewritten question gets Ward's answer by Istio's
/// reading: one row, or two together, or all.
pub(crate) fn explain(
    set: &Set,
    arrival: &Arrival,
    looser: bool,
    answers: impl Fn(&Set, &Arrival) -> bool,
) -> Option<&'static str> {
    let rows: Vec<Row> = ROWS.iter().copied().filter(|row| row.looser || !looser).collect();
    let try_all = |rows: &[Row]| {
        let (mut set, mut arrival) = (set.clone(), arrival.clone());
        for row in rows {
            (row.rewrite)(&mut set, &mut arrival);
        }
        answers(&set, &arrival)
    };
    for row in &rows {
        if try_all(&[*row]) {
            return Some(row.name);
        }
    }
    for (number, first) in rows.iter().enumerate() {
        for second in &rows[number + 1..] {
            if first.name != second.name && try_all(&[*first, *second]) {
                return Some("two of these together");
            }
        }
    }
    let called = |name: &str| rows.iter().filter(|row| row.name == name).copied().collect::<Vec<_>>();
    for methods in called("methods") {
        for lines in rows.iter().filter(|row| !row.looser || looser) {
            let mut all = [called("paths"), called("hosts"), called("server names")].concat();
            all.extend([methods, *lines]);
            if try_all(&all) {
                return Some("several of these together");
            }
        }
    }
    None
}

/// The row of a request that Ward answers before it asks a policy.
pub(crate) fn refusal(reason: &str) -> Option<&'static str> {
    Some(match reason {
        "path-not-absolute" | "path-raw-byte" | "path-bad-escape" | "path-encoded-control" | "path-not-utf8" => {
            "malformed paths"
        }
        "bad-host" => "an empty or malformed host",
        "bad-peer" => "a peer's identity",
        "two-hosts" => "two `Host` lines",
        "jwt-critical" => "`crit` in a token",
        _ if reason.starts_with("jwt-") => "a token that Envoy does not look at",
        _ => return None,
    })
}

fn conditions<'a>(policy: &'a mut AuthorizationPolicy, keys: &[&str]) -> Vec<&'a mut Vec<String>> {
    let conditions = policy.spec.rules.iter_mut().flat_map(|rule| &mut rule.when);
    conditions
        .filter(|condition| keys.contains(&condition.key.as_str()))
        .flat_map(|condition| [&mut condition.values, &mut condition.not_values])
        .collect()
}

/// One spelling for each path, on both sides.
fn paths(set: &mut Set, arrival: &mut Arrival) {
    let (head, tail) = match arrival.target.find(['?', '#']) {
        Some(at) => arrival.target.split_at(at),
        None => (arrival.target.as_str(), ""),
    };
    // An address keeps its host.
    let start = head.find("://").map_or(0, |at| head[at + 3..].find('/').map_or(head.len(), |slash| at + 3 + slash));
    if let Ok(path) = normalize_path(&head[start..]) {
        arrival.target = format!("{}{path}{tail}", &head[..start]);
    }
    for policy in &mut set.policies {
        let widens = policy.spec.action == Action::Allow;
        for to in policy.spec.rules.iter_mut().flat_map(|rule| &mut rule.to) {
            to.operation.paths.iter_mut().for_each(|value| path(value, !widens));
            to.operation.not_paths.iter_mut().for_each(|value| path(value, widens));
            let narrowing = if widens { &mut to.operation.not_paths } else { &mut to.operation.paths };
            let slashed = |value: &&String| !value.ends_with('/') && (!value.ends_with('*') || value.starts_with('*'));
            let more: Vec<String> = narrowing.iter().filter(slashed).map(|value| format!("{value}/")).collect();
            narrowing.extend(more);
        }
    }
}

/// An exact path of a policy: where it narrows access it is read as requests are; where it widens access one that no
/// normalized request can have means none.
fn path(value: &mut String, narrows: bool) {
    let lower = value.to_ascii_lowercase();
    let odd = ["//", ";", "\\", "%2f", "%5c", "/./", "/../"].iter().any(|what| lower.contains(what));
    if value.contains(['*', '{', '?', '#']) {
        return;
    }
    match normalize_path(value) {
        Ok(path) if narrows || !odd => *value = path.into_owned(),
        _ => *value = "no-such-path".to_owned(),
    }
}

/// A host without its case, its port and its trailing dot; a port that a policy names must be the request's.
fn hosts(set: &mut Set, arrival: &mut Arrival) {
    let split = |host: &str| {
        let host = host.to_ascii_lowercase();
        let at = host.rfind(':').filter(|at| !host[*at..].contains(']'));
        let (name, port) = match at {
            Some(at) => (host[..at].to_owned(), Some(host[at + 1..].to_owned())),
            None => (host, None),
        };
        (name.trim_end_matches('.').to_owned(), port)
    };
    // The host of an address counts before the header.
    let authority = arrival.target.find("://").map(|at| {
        let rest = &arrival.target[at + 3..];
        (at + 3, at + 3 + rest.find(['/', '?', '#']).unwrap_or(rest.len()))
    });
    let asked = match authority {
        Some((start, end)) => {
            let (name, asked) = split(&arrival.target[start..end]);
            arrival.target.replace_range(start..end, &name);
            asked
        }
        None => {
            let (name, asked) = split(&arrival.host);
            arrival.host = name;
            asked
        }
    };
    let change = |value: &str| match split(value) {
        (name, None) => name,
        (name, Some(port)) if port == "*" || Some(&port) == asked.as_ref() => name,
        _ => "no-such-host.invalid".to_owned(),
    };
    for policy in &mut set.policies {
        for list in conditions(policy, &["request.headers[:authority]", "request.headers[host]"]) {
            list.iter_mut().for_each(|value| *value = change(value));
        }
        for to in policy.spec.rules.iter_mut().flat_map(|rule| &mut rule.to) {
            for value in to.operation.hosts.iter_mut().chain(&mut to.operation.not_hosts) {
                *value = change(value);
            }
        }
    }
}

/// A method that Envoy knows, and no policy speaks of.
const SOME_METHOD: &str = "UNLINK";

/// A method that Envoy does not know as one that it does; where a policy narrows access, whatever the case.
fn methods(set: &mut Set, arrival: &mut Arrival) {
    let method = arrival.method.clone();
    if Method::from_bytes(method.as_bytes()).is_err() {
        return;
    }
    let known = Semantics::Istio.knows_method(&method);
    let now = if known { method.as_str() } else { SOME_METHOD };
    let change = |value: &mut String, narrows: bool| {
        let (mut have, mut want) = (method.clone(), value.clone());
        if narrows {
            have.make_ascii_uppercase();
            want.make_ascii_uppercase();
        }
        let matches = match (want.strip_prefix('*'), want.strip_suffix('*')) {
            (Some(suffix), _) => have.ends_with(suffix),
            (None, Some(prefix)) => have.starts_with(prefix),
            (None, None) => have == want,
        };
        *value = if matches { now.to_owned() } else { "NO-SUCH-METHOD".to_owned() };
    };
    for policy in &mut set.policies {
        let widens = policy.spec.action == Action::Allow;
        for rule in &mut policy.spec.rules {
            for condition in rule.when.iter_mut().filter(|condition| condition.key == "request.headers[:method]") {
                condition.values.iter_mut().for_each(|value| change(value, !widens));
                condition.not_values.iter_mut().for_each(|value| change(value, widens));
            }
            for to in &mut rule.to {
                to.operation.methods.iter_mut().for_each(|value| change(value, !widens));
                to.operation.not_methods.iter_mut().for_each(|value| change(value, widens));
            }
        }
    }
    arrival.method = now.to_owned();
}

fn one_line(arrival: &mut Arrival, wanted: usize) {
    let mut kept: Vec<(String, String, usize)> = Vec::new();
    for (name, value) in std::mem::take(&mut arrival.headers) {
        match kept.iter_mut().find(|(known, ..)| known.eq_ignore_ascii_case(&name)) {
            Some((_, known, count)) if *count < wanted => {
                *known = value;
                *count += 1;
            }
            Some(_) => {}
            None => kept.push((name, value, 0)),
        }
    }
    arrival.headers = kept.into_iter().map(|(name, value, _)| (name, value)).collect();
}

/// Of several lines the first alone: an ALLOW must be content with each of them.
fn first_line(_: &mut Set, arrival: &mut Arrival) {
    one_line(arrival, 0);
}

/// Of several lines the second alone.
fn second_line(_: &mut Set, arrival: &mut Arrival) {
    one_line(arrival, 1);
}

/// Of several lines the last alone.
fn last_line(_: &mut Set, arrival: &mut Arrival) {
    one_line(arrival, usize::MAX);
}

/// Any of the lines.
const ALL: usize = usize::MAX;

/// What must be is asked of one line, or of all of them, and what must not be of another.
fn apart<const VALUES: usize, const NOT_VALUES: usize>(set: &mut Set, arrival: &mut Arrival) {
    const APART: &str = "request.headers[x-apart-";
    for rule in set.policies.iter_mut().flat_map(|policy| &mut policy.spec.rules) {
        let mut more = Vec::new();
        for condition in &mut rule.when {
            if let Some(name) = condition.key.strip_prefix("request.headers[").filter(|name| !name.starts_with(':')) {
                let not_values = std::mem::take(&mut condition.not_values);
                more.push(Condition { key: format!("{APART}{name}"), values: Vec::new(), not_values });
            }
        }
        rule.when.extend(more.into_iter().filter(|condition| !condition.not_values.is_empty()));
        rule.when.retain(|condition| !(condition.values.is_empty() && condition.not_values.is_empty()));
    }
    let mut lines = arrival.clone();
    if VALUES != ALL {
        one_line(&mut lines, VALUES);
    }
    one_line(arrival, NOT_VALUES);
    for (name, _) in &mut arrival.headers {
        *name = format!("x-apart-{name}");
    }
    arrival.headers.extend(lines.headers);
}

/// Each member of a list as a line of its own, beside the list.
fn members(_: &mut Set, arrival: &mut Arrival) {
    let headers = std::mem::take(&mut arrival.headers);
    for (name, value) in headers {
        // What is no list of texts, or is read by others than policies.
        if !["cookie", "host", "x-forwarded-for"].contains(&name.to_ascii_lowercase().as_str()) {
            let members = value.split(',').filter(|_| value.contains(','));
            arrival.headers.extend(members.map(|member| (name.clone(), member.to_owned())));
        }
        arrival.headers.push((name, value));
    }
}

/// The node is the Service of its name.
fn services(set: &mut Set, _: &mut Arrival) {
    let name = set.workload.labels.get("app").cloned().unwrap_or_default();
    for policy in &mut set.policies {
        if policy.spec.target_refs.iter().any(|target| target.kind == "Service" && target.name == name) {
            policy.spec.target_refs.clear();
        }
    }
}

/// Server names without their case.
fn server_names(set: &mut Set, arrival: &mut Arrival) {
    arrival.sni = arrival.sni.as_ref().map(|name| name.to_ascii_lowercase());
    for list in set.policies.iter_mut().flat_map(|policy| conditions(policy, &["connection.sni"])) {
        list.iter_mut().for_each(|value| value.make_ascii_lowercase());
    }
}
