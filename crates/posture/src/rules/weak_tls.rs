//! TLS in a version that is broken.
use model::Class;
use time::Date;

use super::open_promotion;
use crate::{
    Grade, Rule, Severity,
    controls::{ai_act, ai_rmf, coppa, gdpr, pci, soc2, tenet},
    rule::{Check, Found, set},
    subjects,
    view::{Transit, View},
};

pub(crate) static RULE: Rule = Rule {
    id: "weak-tls",
    when: "a flow of more than public data takes TLS 1.0 or 1.1, which RFC 8996 forbids",
    mend: "speak TLS 1.2 or later: `via: { tls: \"1.3\" }`",
    grade: Grade::Fixed(Severity::Medium),
    looks_at: subjects::MOVING_FLOWS,
    controls: &[
        pci("4.2.1"),
        soc2("CC6.7"),
        gdpr("5.1.f"),
        gdpr("32"),
        tenet("2"),
        coppa("312.8"),
        ai_rmf("MEASURE 2.7"),
        ai_act("15.5"),
    ],
    example: "
zones: { inside: {} }
data: { order: { class: internal } }
nodes:
  web: { kind: service, zone: inside }
  orders: { kind: service, zone: inside }
flows:
  - { id: place, from: web, to: orders, carries: [order], via: { tls: \"1.1\" } }
",
    silent: &["
zones: { inside: {} }
data: { order: { class: internal } }
nodes:
  web: { kind: service, zone: inside }
  orders: { kind: service, zone: inside }
flows:
  - { id: place, from: web, to: orders, carries: [order], via: { tls: \"1.2\" } }
"],
    check: Check::Flows(check),
};

fn check(view: &View<'_>, _: Date) -> Vec<Found> {
    let weak = view.asked_flows().filter(|f| f.transit == Transit::Weak);
    let weak = weak.filter(|f| f.worst.is_some_and(|d| view.class(d) > Class::Public));
    weak.map(|of| {
        let (flow, moved) = (of.flow, of.carries.iter().chain(&of.returns).copied());
        let why = format!("`{}` takes a version of TLS that RFC 8996 forbids, for {}", flow.id, view.list(moved));
        Found::new(&flow.id, Severity::Medium, why)
            .fix("speak TLS 1.3, or 1.2 where an end cannot", [set(&["flows", flow.id.as_str(), "via", "tls"], "1.3")])
            .at(&["flows", flow.id.as_str(), "via", "tls"])
            .follows(&open_promotion::RULE, &flow.id)
            .of(&flow.to)
    })
    .collect()
}
