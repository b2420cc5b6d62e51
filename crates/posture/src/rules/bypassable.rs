//! A node under Ward with a way in beside its sidecar.
use time::Date;

use crate::{
    Grade, Rule, Severity,
    controls::{pci, soc2, tenet},
    rule::{Check, Found, remove},
    subjects,
    view::{View, list},
};

pub(crate) static RULE: Rule = Rule {
    id: "bypassable",
    when: "a node under Ward is `exposed_to` a zone: a connection from there does not pass its sidecar, and no flow limits it",
    mend: "let it be reached through its sidecar or a gateway only: take `exposed_to` away",
    grade: Grade::Either(Severity::Medium, Severity::High, "the zone has no trust"),
    looks_at: subjects::WARD_NODES,
    controls: &[pci("1.3.1"), soc2("CC6.6"), tenet("2"), tenet("6")],
    example: "
zones: { inside: {} }
data: { order: { class: internal } }
nodes:
  web: { kind: service, zone: inside, run: { command: [./web] } }
  orders: { kind: service, zone: inside, run: { command: [./orders] }, exposed_to: [inside] }
flows:
  - { id: place, from: web, to: orders, carries: [order], via: { tls: \"1.3\" } }
",
    silent: &["
zones: { inside: {} }
data: { order: { class: internal } }
nodes:
  web: { kind: service, zone: inside }
  orders: { kind: service, zone: inside, exposed_to: [inside] }
flows:
  - { id: place, from: web, to: orders, carries: [order], via: { tls: \"1.3\" } }
"],
    check: Check::Nodes(check),
};

fn check(view: &View<'_>, _: Date) -> Vec<Found> {
    let mut found = Vec::new();
    for of in view.asked_nodes().map(|(_, of)| of).filter(|n| n.node.under_ward() && n.node.role.is_none()) {
        if of.node.exposed_to.is_empty() {
            continue;
        }
        let name = of.name.as_str();
        let zones = list(of.node.exposed_to.iter().map(|z| z.as_str()));
        let outside = of.node.exposed_to.iter().any(|z| view.is_outside(z));
        let severity = if outside { Severity::High } else { Severity::Medium };
        let path = ["nodes", name, "exposed_to"];
        found.push(
            Found::new(
                name,
                severity,
                format!("whoever is in {zones} reaches `{name}` past its sidecar, whatever flows say"),
            )
            .fix("let it be reached through its sidecar or a gateway only", [remove(&path)])
            .at(&path),
        );
    }
    found
}
