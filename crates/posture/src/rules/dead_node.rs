//! A node that nothing concerns.
use model::NodeKind;
use time::Date;

use crate::{
    Grade, Rule, Severity,
    controls::pci,
    rule::{Check, Found, remove},
    subjects,
    view::View,
};

pub(crate) static RULE: Rule = Rule {
    id: "dead-node",
    when: "no flow leads to a service or store or from it, nobody can reach it, and no secret opens it",
    mend: "switch it off and take it away, or declare what it does",
    grade: Grade::Fixed(Severity::Low),
    looks_at: subjects::RUNNING,
    controls: &[pci("2.2.4")],
    example: "
zones: { inside: {} }
data: { order: { class: internal } }
nodes:
  web: { kind: service, zone: inside }
  orders: { kind: service, zone: inside }
  old: { kind: service, zone: inside }
flows:
  - { id: place, from: web, to: orders, carries: [order], via: { tls: \"1.3\" } }
",
    silent: &["
zones: { inside: {}, internet: { trust: none } }
data: { order: { class: internal } }
nodes:
  web: { kind: service, zone: inside }
  orders: { kind: service, zone: inside }
  attacker: { kind: party, zone: internet, hostile: true }
flows:
  - { id: place, from: web, to: orders, carries: [order], via: { tls: \"1.3\" } }
"],
    check: Check::Nodes(check),
};

fn check(view: &View<'_>, _: Date) -> Vec<Found> {
    let dead = view.asked_nodes().map(|(_, of)| of).filter(|n| {
        n.inbound.is_empty()
            && n.outbound.is_empty()
            && n.openers.is_empty()
            && n.node.exposed_to.is_empty()
            // People are not switched off; that one may do nothing is worth saying.
            && n.node.kind != NodeKind::Party
    });
    dead.map(|of| {
        let path = ["nodes", of.name.as_str()];
        Found::new(of.name, Severity::Low, format!("no flow leads to `{}` or from it", of.name))
            .fix("switch it off and take it away", [remove(&path)])
            .at(&path)
    })
    .collect()
}
