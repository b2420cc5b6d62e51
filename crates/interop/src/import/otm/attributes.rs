//! Attributes that are Ward's own words, as its export writes them: `class: restricted`, `allow: GET /orders, POST /orders`.
//! Others are free-form and mean nothing here.
use std::collections::BTreeSet;

use model::{allow::AllowEntry, tree::Tree};
use serde_json::{Value as Json, json};

use crate::draft::Noun;

/// Of what the attributes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    Zone,
    Data,
    Node,
    /// A flow to a target that speaks HTTP.
    Flow,
    /// A flow to one that does not.
    OpaqueFlow,
}

/// The words that can stand in a field.
enum Words {
    One(&'static [&'static str]),
    List(&'static [&'static str]),
    Text,
    Texts,
    Boolean,
    Duration,
    Port,
    Ports,
}

const AUTHS: &[&str] =
    &["none", "password", "key", "token", "iam", "rbac", "sigv4", "session-token", "mtls", "jwt", "oidc"];
const AUDITS: &[&str] = &["low", "medium", "high", "strict", "critical"];
const PROTOCOLS: [&str; 5] = ["http", "grpc", "tcp", "tls", "postgres"];

const ZONE: &[(&str, Words)] =
    &[("trust", Words::One(&["none", "low", "high"])), ("region", Words::Text), ("requires", Words::List(&["mfa"]))];
const DATA: &[(&str, Words)] = &[
    ("class", Words::One(&["public", "internal", "confidential", "restricted", "secret"])),
    ("of", Words::Text),
    ("about", Words::One(&["person", "child"])),
    ("encrypt", Words::One(&["required"])),
    ("ttl", Words::Duration),
    ("residency", Words::Texts),
    ("retention", Words::Duration),
    ("audit", Words::One(AUDITS)),
];
const NODE: &[(&str, Words)] = &[
    ("kind", Words::One(&["party", "service", "store"])),
    ("serves", Words::Ports),
    ("guards", Words::List(&["waf", "rate", "oidc", "mfa"])),
    ("auth", Words::One(AUTHS)),
    ("at_rest", Words::One(&["none", "encoding", "volume", "kms"])),
    ("port", Words::Port),
    ("logs", Words::Boolean),
    ("rotates", Words::Boolean),
    ("stakeholder", Words::Text),
];
/// What a party has none of.
const RUN_BY_US: [&str; 3] = ["serves", "guards", "at_rest"];
/// What the reader itself takes.
const TAKEN: [&str; 7] = ["opens", "copy_of", "exposed_to", "carries", "returns", "reads", "identity"];

/// The attributes of a noun.
pub(super) struct Attributes<'a> {
    all: Vec<(&'a str, &'a str)>,
    used: BTreeSet<&'a str>,
}

impl<'a> Attributes<'a> {
    pub(super) fn of(tree: &'a Tree) -> Self {
        let entries = tree.get("attributes").map_or(&[][..], Tree::entries);
        let all = entries.iter().filter_map(|(key, value)| Some((key.as_str(), value.text()?))).collect();
        Self { all, used: TAKEN.into() }
    }

    pub(super) fn text(&self, key: &str) -> Option<&'a str> {
        self.all.iter().find(|(name, _)| *name == key).map(|(_, value)| *value)
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.text(key).is_some()
    }

    pub(super) fn list(&self, key: &str) -> Vec<&'a str> {
        self.text(key).map(|text| text.split(", ").collect()).unwrap_or_default()
    }

    /// What nobody took.
    pub(super) fn rest(&self) -> impl Iterator<Item = &'a str> {
        self.all.iter().map(|(key, _)| *key).filter(|key| !self.used.contains(key))
    }

    /// Sets the fields of a noun that are Ward's words, and returns which.
    pub(super) fn take(&mut self, of: Of, noun: &mut Noun) -> Vec<&'static str> {
        let fields = match of {
            Of::Zone => ZONE,
            Of::Data => DATA,
            Of::Node => NODE,
            Of::Flow | Of::OpaqueFlow => return self.take_via(of, noun),
        };
        let party = self.text("kind") == Some("party");
        let mut known = Vec::new();
        for (field, words) in fields {
            // A component that is not one of Ward's own has words of somebody else.
            let foreign = of == Of::Node && *field != "kind" && !known.contains(&"kind");
            if foreign || (party && RUN_BY_US.contains(field)) {
                continue;
            }
            let Some(value) = self.text(field).and_then(|text| words.read(text)) else { continue };
            noun.set(field, value);
            self.used.insert(field);
            known.push(*field);
        }
        known
    }

    fn take_via(&mut self, of: Of, noun: &mut Noun) -> Vec<&'static str> {
        let entries = self.list("allow");
        if of == Of::Flow && !entries.is_empty() && entries.iter().all(|entry| AllowEntry::parse(entry).is_ok()) {
            noun.via("allow", json!(entries));
            self.used.insert("allow");
        }
        if let Some(audit) = self.text("audit").filter(|audit| AUDITS.contains(audit)) {
            noun.via("audit", audit);
            self.used.insert("audit");
        }
        for (word, values) in [("tls", &["1.0", "1.1", "1.2", "1.3", "none"][..]), ("auth", AUTHS)] {
            if let Some(value) = self.text(word).filter(|value| values.contains(value)) {
                noun.via(word, value);
                self.used.insert(word);
            }
        }
        for word in ["mtls", "ssh", "local"] {
            if let Some(value) = self.text(word).and_then(|text| Words::Boolean.read(text)) {
                noun.via(word, value);
                self.used.insert(word);
            }
        }
        if let Some(schedule) = self.text("schedule") {
            noun.set("schedule", schedule);
            self.used.insert("schedule");
        }
        Vec::new()
    }
}

impl Words {
    fn read(&self, text: &str) -> Option<Json> {
        match self {
            Self::One(words) => words.contains(&text).then(|| json!(text)),
            Self::List(words) => {
                let all: Vec<&str> = text.split(", ").collect();
                all.iter().all(|word| words.contains(word)).then(|| json!(all))
            }
            Self::Text => (!text.is_empty() && !text.contains('\n')).then(|| json!(text)),
            Self::Texts => Some(json!(text.split(", ").collect::<Vec<_>>())),
            Self::Boolean => match text {
                "true" => Some(json!(true)),
                "false" => Some(json!(false)),
                _ => None,
            },
            Self::Duration => {
                let digits = text.strip_suffix(['s', 'm', 'h', 'd'])?;
                (digits.len() < 10 && digits.parse::<u32>().is_ok_and(|n| n > 0)).then(|| json!(text))
            }
            Self::Port => text.parse::<u16>().ok().filter(|port| *port > 0).map(Json::from),
            Self::Ports => {
                let mut seen = BTreeSet::new();
                let mut port = |one: &str| {
                    let (port, protocol) = one.split_once('/')?;
                    let port = port.parse::<u16>().ok().filter(|port| *port > 0 && seen.insert(*port))?;
                    PROTOCOLS.contains(&protocol).then(|| json!({ "port": port, "protocol": protocol }))
                };
                text.split(", ").map(&mut port).collect::<Option<Vec<_>>>().map(Json::from)
            }
        }
    }
}

/// Whether a node speaks something else than HTTP at a port of its.
pub(super) fn is_opaque(node: &Noun) -> bool {
    let ports = node.get("serves").and_then(Json::as_array).into_iter().flatten();
    ports.filter_map(|serve| serve.get("protocol")?.as_str()).any(|protocol| !matches!(protocol, "http" | "grpc"))
}
