//! A permission for nothing.
use time::Date;

use crate::{
    Grade, Rule, Severity,
    controls::{pci, tenet},
    rule::{Check, Found, remove},
    subjects,
    view::View,
};

pub(crate) static RULE: Rule = Rule {
    id: "unused-flow",
    when: "a flow neither carries nor returns anything, or allows no request: it opens a way that nobody needs",
    mend: "take it away, or say what moves on it",
    grade: Grade::Fixed(Severity::Low),
    looks_at: subjects::FLOWS,
    controls: &[pci("1.2.5"), tenet("3")],
    example: "
zones: { inside: {} }
data: { order: { class: internal } }
nodes:
  web: { kind: service, zone: inside }
  orders: { kind: service, zone: inside }
  mail: { kind: service, zone: inside }
flows:
  - { id: place, from: web, to: orders, carries: [order], via: { tls: \"1.3\" } }
  - { id: mail-order, from: orders, to: mail, carries: [order], via: { tls: \"1.3\" } }
  - { id: old, from: web, to: mail, via: { tls: \"1.3\" } }
",
    silent: &["
zones: { inside: {} }
data: { order: { class: internal } }
nodes:
  web: { kind: service, zone: inside }
  orders: { kind: service, zone: inside }
flows:
  - { id: look, from: web, to: orders, returns: [order], via: { tls: \"1.3\" } }
"],
    check: Check::Flows(check),
};

fn check(view: &View<'_>, _: Date) -> Vec<Found> {
    let mut found = Vec::new();
    for of in view.asked_flows() {
        let flow = of.flow;
        let nothing = flow.carries.is_empty() && flow.returns.is_empty();
        let closed = flow.via.allow.as_ref().is_some_and(Vec::is_empty);
        if !nothing && !closed {
            continue;
        }
        let why = match nothing {
            true => format!("`{}` lets `{}` send to `{}`, and nothing moves on it", flow.id, flow.from, flow.to),
            false => format!("`{}` from `{}` to `{}` allows no request", flow.id, flow.from, flow.to),
        };
        let path = ["flows", flow.id.as_str()];
        found.push(Found::new(&flow.id, Severity::Low, why).fix("take the flow away", [remove(&path)]).at(&path));
    }
    found
}
