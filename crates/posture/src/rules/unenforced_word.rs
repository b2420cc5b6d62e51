//! A promise that Ward itself does not keep yet.
use model::{
    Audit, Auth, NodeKind, Role,
    words::{self, Place, State},
};
use time::Date;

use crate::{
    Grade, Rule, Severity,
    controls::{soc2, tenet},
    rule::{Check, Found},
    subjects,
    view::{FlowView, NodeView, View, list},
};

pub(crate) static RULE: Rule = Rule {
    id: "unenforced-word",
    when: "a flow or node under Ward declares a word that is read and not enforced yet: nothing behind it may be relied upon",
    mend: "have it enforced by the application, or leave the word out until Ward enforces it",
    grade: Grade::Fixed(Severity::Medium),
    looks_at: subjects::ENFORCED_WORDS,
    controls: &[soc2("CC6.1"), tenet("4")],
    example: "
zones: { inside: {} }
data: { order: { class: internal } }
nodes:
  web: { kind: service, zone: inside, run: { command: [./web] } }
  orders: { kind: service, zone: inside, run: { command: [./orders] } }
flows:
  - { id: place, from: web, to: orders, carries: [order], via: { region: eu } }
",
    silent: &["
zones: { inside: {} }
data: { order: { class: internal } }
nodes:
  web: { kind: service, zone: inside }
  orders: { kind: service, zone: inside }
flows:
  - { id: place, from: web, to: orders, carries: [order], via: { region: eu } }
"],
    check: Check::FlowsAndNodes(check),
};

fn check(view: &View<'_>, _: Date) -> Vec<Found> {
    let mut found = Vec::new();
    for of in view.asked_flows() {
        if view.node(of.from).node.under_ward() || view.node(of.to).node.under_ward() {
            found.extend(one(of.flow.id.as_str(), &["flows", of.flow.id.as_str(), "via"], &of_flow(of)));
        }
    }
    for of in view.asked_nodes().map(|(_, of)| of) {
        found.extend(one(of.name.as_str(), &["nodes", of.name.as_str()], &of_node(of)));
    }
    found
}

fn one(subject: &str, path: &[&str], declared: &[(Place, String)]) -> Option<Found> {
    let open = declared.iter().filter_map(|(place, word)| words::find(*place, word));
    let open: Vec<_> = open.filter(|w| w.state == State::NotYet).collect();
    if open.is_empty() {
        return None;
    }
    let mut today: Vec<&str> = open.iter().map(|w| w.today).collect();
    today.dedup();
    let why = format!("`{subject}` declares {}: today {}", list(open.iter().map(|w| w.word)), today.join("; "));
    let mut found = Found::new(subject, Severity::Medium, why)
        .fix("have the application enforce it, or leave the word out until Ward does", [])
        .of(list(open.iter().map(|w| w.word)));
    for word in open {
        // `audit: critical` is written under `audit`, a guard under `guards`.
        let field = match word.place {
            Place::Audit => "audit",
            Place::Guards => "guards",
            Place::PartyAuth => "auth",
            _ => word.word.split(':').next().unwrap_or_default(),
        };
        found = found.at(&[path, &[field]].concat());
    }
    Some(found)
}

fn of_flow(of: &FlowView<'_>) -> Vec<(Place, String)> {
    let via = &of.flow.via;
    let mut all: Vec<(Place, String)> = via.words.keys().map(|w| (Place::Via, w.clone())).collect();
    if via.limit.is_some() {
        all.push((Place::Via, "limit".to_owned()));
    }
    if via.jwt.is_some() {
        all.push((Place::Via, "jwt".to_owned()));
    }
    if via.cors && !via.words.contains_key("cors") {
        all.push((Place::Via, "cors".to_owned()));
    }
    match via.audit {
        Some(Audit::Strict) => all.push((Place::Audit, "strict".to_owned())),
        Some(Audit::Critical) => all.push((Place::Audit, "critical".to_owned())),
        _ => {}
    }
    all
}

fn of_node(of: &NodeView<'_>) -> Vec<(Place, String)> {
    let node = of.node;
    let mut all = Vec::new();
    if node.kind == NodeKind::Party {
        let word = match node.auth {
            Some(Auth::Mtls) => "mtls",
            Some(Auth::Jwt) => "jwt",
            Some(Auth::Oidc) => "oidc",
            _ => return all,
        };
        all.push((Place::PartyAuth, word.to_owned()));
        return all;
    }
    if node.under_ward() {
        all.extend(node.guards.iter().map(|g| (Place::Guards, g.clone())));
        if node.role == Some(Role::Egress) {
            all.push((Place::Node, "role: egress".to_owned()));
        }
        if node.attest.as_deref().is_some_and(|a| a != "token") {
            all.push((Place::Node, "attest".to_owned()));
        }
    }
    all
}
