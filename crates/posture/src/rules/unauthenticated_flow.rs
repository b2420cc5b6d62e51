//! Sensitive data between two that do not know each other.
use model::Class;
use time::Date;

use super::{open_metadata, open_promotion, public_store};
use crate::{
    Grade, Lack, Rule,
    controls::{gdpr, pci, soc2, tenet},
    rule::{Check, Found, graded, set},
    view::View,
};

pub(crate) static RULE: Rule = Rule {
    id: "unauthenticated-flow",
    when: "a flow moves confidential data or worse, and neither the flow nor its ends say how the caller proves who it is",
    mend: "let the caller prove itself: `via: { mtls: true }`, `via: { auth: … }`, or `auth` on the called node",
    grade: Grade::Table(Lack::Authentication),
    controls: &[pci("8.3.1"), soc2("CC6.1"), gdpr("32"), tenet("6")],
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

fn check(view: &View<'_>, _: Date) -> Vec<Found> {
    let mut found = Vec::new();
    for of in view.flows.iter().filter(|f| !f.authenticated && !f.flow.standby) {
        let Some(worst) = of.worst.filter(|d| view.class(*d) >= Class::Confidential) else { continue };
        let Some(severity) = graded(view, Lack::Authentication, worst, of.crosses_outside) else { continue };
        let flow = of.flow;
        let moved = of.carries.iter().chain(&of.returns).copied().filter(|d| view.class(*d) >= Class::Confidential);
        let why = format!(
            "`{}` cannot tell that it is `{}` with whom it exchanges {}",
            flow.to,
            flow.from,
            view.list(moved),
        );
        found.push(
            Found::new(&flow.id, severity, why)
                .fix("let the caller prove itself", [set(&["flows", flow.id.as_str(), "via", "mtls"], true)])
                .at(&["flows", flow.id.as_str(), "via", "auth"])
                .at(&["nodes", flow.to.as_str(), "auth"])
                .follows(&public_store::RULE, &flow.to)
                .follows(&open_metadata::RULE, &flow.to)
                .follows(&open_promotion::RULE, &flow.id),
        );
    }
    found
}
