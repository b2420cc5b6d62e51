//! Sensitive data between two that do not know each other.
use model::Class;
use time::Date;

use super::{open_metadata, open_promotion, plaintext_flow, private_traffic_over_internet, public_store};
use crate::{
    Grade, Lack, Rule,
    controls::{ai_act, ai_rmf, coppa, gdpr, pci, soc2, tenet},
    rule::{Check, Found, graded, set},
    subjects,
    view::{FlowView, View},
};

pub(crate) static RULE: Rule = Rule {
    id: "unauthenticated-flow",
    when: "a flow moves confidential data or worse, and neither the flow nor its ends say how the caller proves who it is",
    mend: "let the caller prove itself: `via: { mtls: true }`, `via: { auth: … }`, or `auth` on the called node",
    grade: Grade::Table(Lack::Authentication),
    looks_at: subjects::SENSITIVE_FLOWS,
    controls: &[
        pci("8.3.1"),
        soc2("CC6.1"),
        gdpr("5.1.f"),
        gdpr("32"),
        tenet("6"),
        coppa("312.8"),
        ai_rmf("MEASURE 2.7"),
        ai_act("15.5"),
    ],
    example: "
zones: { inside: {} }
data: { invoice: { class: confidential } }
nodes:
  web: { kind: service, zone: inside, logs: true }
  billing: { kind: service, zone: inside }
flows:
  - { id: bill, from: web, to: billing, carries: [invoice], via: { tls: \"1.3\" } }
",
    silent: &[
        "
zones: { inside: {} }
data: { invoice: { class: confidential } }
nodes:
  web: { kind: service, zone: inside }
  billing: { kind: service, zone: inside, auth: token }
flows:
  - { id: bill, from: web, to: billing, carries: [invoice], via: { tls: \"1.3\" } }
",
        "
zones: { inside: {} }
data: { invoice: { class: confidential } }
nodes:
  web: { kind: service, zone: inside }
  billing: { kind: service, zone: inside }
flows:
  - { id: bill, from: web, to: billing, carries: [invoice], via: { mtls: true } }
",
    ],
    check: Check::Model(check),
};

fn lacks(view: &View<'_>, of: &FlowView<'_>) -> bool {
    !of.authenticated && !of.flow.standby && of.worst.is_some_and(|d| view.class(d) >= Class::Confidential)
}

fn check(view: &View<'_>, _: Date) -> Vec<Found> {
    let mut found = Vec::new();
    for of in view.flows.iter().filter(|f| lacks(view, f)) {
        let Some(worst) = of.worst else { continue };
        let Some(severity) = graded(view, Lack::Authentication, worst, of.crosses_outside) else { continue };
        let (flow, id) = (of.flow, of.flow.id.as_str());
        let moved = of.carries.iter().chain(&of.returns).copied().filter(|d| view.class(*d) >= Class::Confidential);
        let why = format!(
            "`{}` cannot tell that it is `{}` with whom it exchanges {}",
            flow.to,
            flow.from,
            view.list(moved),
        );
        let several = view.inbound(of.to).filter(|f| lacks(view, f)).count() > 1;
        let change = match several {
            true => set(&["nodes", flow.to.as_str(), "auth"], "mtls"),
            false => set(&["flows", id, "via", "mtls"], true),
        };
        let mut one = Found::new(id, severity, why)
            .fix("let the caller prove itself", [change])
            .at(&["flows", id, "via", "auth"])
            .at(&["nodes", flow.to.as_str(), "auth"])
            .follows(&public_store::RULE, &flow.to)
            .follows(&open_metadata::RULE, &flow.to)
            .follows(&open_promotion::RULE, id);
        if !flow.via.words.contains_key("auth") {
            // It needed no proof while it stayed on the machine.
            one = one.follows(&private_traffic_over_internet::RULE, id);
        }
        if view.node(of.from).node.under_ward() != view.node(of.to).node.under_ward() {
            // Under Ward, both would be mutual TLS.
            one = one.follows(&plaintext_flow::RULE, id);
        }
        // A node that asks nobody is one cause, however many flows lead to it.
        found.push(one.of(&flow.to));
    }
    found
}
