//! Data that are taken and used by nobody.
use std::collections::HashSet;

use model::{Class, NodeKind};
use time::Date;

use crate::{
    Grade, Rule, Severity,
    controls::{coppa, gdpr, soc2},
    rule::{Check, Found, take},
    subjects,
    view::{DataId, NodeId, View, list},
};

pub(crate) static RULE: Rule = Rule {
    id: "over-collection",
    when: "data about a person are carried, nobody stores, reads or returns them, and every node where they end says what it does read",
    mend: "do not ask for them; if a node needs them, say so with `reads`",
    grade: Grade::Fixed(Severity::Low),
    looks_at: subjects::COLLECTED,
    controls: &[gdpr("5.1.c"), gdpr("25"), soc2("P3.1"), coppa("312.7")],
    example: "
zones: { inside: {} }
data: { order: { class: internal }, birthday: { class: internal, about: person } }
nodes:
  web: { kind: service, zone: inside }
  orders: { kind: service, zone: inside, reads: [order] }
flows:
  - { id: place, from: web, to: orders, carries: [order, birthday], via: { tls: \"1.3\" } }
",
    silent: &[
        "
zones: { inside: {} }
data: { order: { class: internal }, birthday: { class: internal, about: person } }
nodes:
  web: { kind: service, zone: inside }
  orders: { kind: service, zone: inside }
flows:
  - { id: place, from: web, to: orders, carries: [order, birthday], via: { tls: \"1.3\" } }
",
        "
zones: { inside: {} }
data: { order: { class: internal }, command: { class: internal } }
nodes:
  web: { kind: service, zone: inside }
  orders: { kind: service, zone: inside, reads: [order] }
flows:
  - { id: place, from: web, to: orders, carries: [order, command], via: { tls: \"1.3\" } }
",
    ],
    check: Check::Data(check),
};

fn check(view: &View<'_>, _: Date) -> Vec<Found> {
    let mut found = Vec::new();
    for (id, of) in view.asked_data() {
        let personal = of.datum.about.is_some() && of.datum.class > Class::Public && of.datum.class < Class::Secret;
        let used = !of.holders.is_empty() || !of.readers.is_empty() || !of.returned.is_empty() || !of.copies.is_empty();
        if !personal || used || of.carried.is_empty() {
            continue;
        }
        let ends = ends(view, id);
        let says = |n: &NodeId| !view.node(*n).reads.is_empty() && view.node(*n).node.kind != NodeKind::Party;
        if ends.is_empty() || !ends.iter().all(says) {
            continue;
        }
        let name = of.name.as_str();
        let why = format!(
            "`{name}` is carried to {}, and nobody stores, reads or returns it",
            list(ends.iter().map(|n| view.node(*n).name.as_str())),
        );
        let flows = || of.carried.iter().map(|f| view.flow(*f).flow.id.as_str());
        let mut one = Found::new(name, Severity::Low, why)
            .fix("do not collect it", flows().map(|f| take(&["flows", f, "carries"], name)))
            .at(&["data", name]);
        for flow in flows() {
            one = one.at(&["flows", flow, "carries"]);
        }
        found.push(one);
    }
    found
}

/// Where a datum comes to and is not carried further.
fn ends(view: &View<'_>, datum: DataId) -> Vec<NodeId> {
    let of = view.datum(datum);
    let onward: HashSet<NodeId> = of.carried.iter().map(|f| view.flow(*f).from).collect();
    let mut all: Vec<NodeId> = of.carried.iter().map(|f| view.flow(*f).to).collect();
    all.sort_unstable();
    all.dedup();
    all.retain(|n| !onward.contains(n));
    all
}
