//! Sensitive data that move without a trace.
use model::Class;
use time::Date;

use super::open_promotion;
use crate::{
    Grade, Lack, Rule,
    controls::{gdpr, pci, soc2, tenet},
    rule::{Check, Found, graded, set},
    view::View,
};

pub(crate) static RULE: Rule = Rule {
    id: "unlogged-flow",
    when: "confidential data or worse pass, and neither end keeps a record: no `logs: true`, no `audit: high` under Ward",
    mend: "record who had what: `via: { audit: high }` under Ward, else `logs: true` on one end",
    grade: Grade::Table(Lack::Record),
    controls: &[pci("10.2.1"), soc2("CC7.2"), gdpr("30"), tenet("7")],
    example: "
zones: { inside: {} }
data: { invoice: { class: confidential } }
nodes:
  web: { kind: service, zone: inside }
  billing: { kind: service, zone: inside, auth: token }
flows:
  - { id: bill, from: web, to: billing, carries: [invoice], via: { tls: \"1.3\" } }
",
    silent: &[
        "
zones: { inside: {} }
data: { invoice: { class: confidential } }
nodes:
  web: { kind: service, zone: inside, logs: true }
  billing: { kind: service, zone: inside, auth: token }
flows:
  - { id: bill, from: web, to: billing, carries: [invoice], via: { tls: \"1.3\" } }
",
        "
zones: { inside: {} }
data: { invoice: { class: confidential } }
nodes:
  web: { kind: service, zone: inside, run: { command: [./web] } }
  billing: { kind: service, zone: inside, run: { command: [./billing] } }
flows:
  - { id: bill, from: web, to: billing, carries: [invoice], via: { audit: high } }
",
    ],
    check: Check::Model(check),
};

fn check(view: &View<'_>, _: Date) -> Vec<Found> {
    let mut found = Vec::new();
    for of in view.flows.iter().filter(|f| !f.logged) {
        // The credential that opens the target is how the caller comes in, not what it came for.
        let presented = |d: &usize| view.datum(*d).opens.contains(&of.to);
        let moved = || of.carries.iter().chain(&of.returns).copied().filter(|d| !presented(d));
        let Some(worst) = view.worst(moved()) else { continue };
        let Some(severity) = graded(view, Lack::Record, worst, of.crosses_outside) else { continue };
        let flow = of.flow;
        let grave = moved().filter(|d| view.class(*d) >= Class::Confidential);
        let why = format!("neither `{}` nor `{}` keeps a record of who had {}", flow.from, flow.to, view.list(grave),);
        let (words, change) = if view.node(of.to).node.under_ward() {
            ("record every decision", set(&["flows", flow.id.as_str(), "via", "audit"], "high"))
        } else {
            // People keep no logs for us: the end that is a system does.
            let party = view.node(of.to).node.kind == model::NodeKind::Party;
            let end = if party { &flow.from } else { &flow.to };
            ("keep an access log", set(&["nodes", end.as_str(), "logs"], true))
        };
        found.push(
            Found::new(&flow.id, severity, why)
                .fix(words, [change])
                .at(&["flows", flow.id.as_str(), "via", "audit"])
                .at(&["nodes", flow.to.as_str(), "logs"])
                .follows(&open_promotion::RULE, &flow.id),
        );
    }
    found
}
