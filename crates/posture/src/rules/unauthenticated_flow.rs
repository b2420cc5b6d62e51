//! Sensitive data between two that do not know each other.
use model::{Class, NodeKind, Trust};
use time::Date;

use super::{open_metadata, open_promotion, plaintext_flow, private_traffic_over_internet, public_store};
use crate::{
    Grade, Lack, Rule,
    controls::{ai_act, ai_rmf, coppa, gdpr, pci, soc2, tenet},
    rule::{Check, Found, graded, set},
    subjects,
    view::{DataId, FlowView, View},
};

pub(crate) static RULE: Rule = Rule {
    id: "unauthenticated-flow",
    when: "a flow moves confidential data or worse, and neither the flow nor its ends say how the caller proves who it is; of a stranger it is only what he is answered with",
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
        "
zones: { internet: { trust: none }, inside: {} }
data: { card: { class: restricted }, receipt: { class: internal } }
nodes:
  buyer: { kind: party, zone: internet }
  desk: { kind: service, zone: inside, guards: [waf] }
flows:
  - { id: buy, from: buyer, to: desk, carries: [card], returns: [receipt], via: { tls: \"1.3\" } }
",
        "
zones: { inside: {} }
data: { invoice: { class: confidential }, key: { class: secret, opens: [billing], ttl: 1h } }
nodes:
  web: { kind: service, zone: inside, holds: [key] }
  billing: { kind: service, zone: inside }
flows:
  - { id: bill, from: web, to: billing, carries: [invoice, key], via: { tls: \"1.3\" } }
",
    ],
    check: Check::Flows(check),
};

/// What moves between two that do not know each other. What strangers send is their own, and whoever they are may send it.
fn lacking(view: &View<'_>, of: &FlowView<'_>) -> Vec<DataId> {
    if of.authenticated || of.flow.standby || view.is_proven(of) {
        return Vec::new();
    }
    let from = view.node(of.from);
    let stranger = from.node.kind == NodeKind::Party && from.trust == Trust::None;
    let sent = if stranger { &[][..] } else { &of.carries };
    sent.iter().chain(&of.returns).copied().filter(|d| view.class(*d) >= Class::Confidential).collect()
}

fn check(view: &View<'_>, _: Date) -> Vec<Found> {
    let mut found = Vec::new();
    for of in view.asked_flows() {
        let moved = lacking(view, of);
        let Some(worst) = view.worst(moved.iter().copied()) else { continue };
        let Some(severity) = graded(view, Lack::Authentication, worst, of.crosses_outside) else { continue };
        let (flow, id) = (of.flow, of.flow.id.as_str());
        let why = format!(
            "`{}` cannot tell that it is `{}` with whom it exchanges {}",
            flow.to,
            flow.from,
            view.list(moved),
        );
        let several = view.inbound(of.to).filter(|f| !lacking(view, f).is_empty()).nth(1).is_some();
        let from = view.node(of.from);
        let person = from.node.kind == NodeKind::Party;
        let words = if person { "have them log in" } else { "let the caller prove itself" };
        let login = if view.node(of.to).node.under_ward() { "password" } else { "oidc" };
        let change = match several {
            // People have no certificate.
            _ if person => set(&["nodes", from.name.as_str(), "auth"], login),
            true => set(&["nodes", flow.to.as_str(), "auth"], "mtls"),
            false => set(&["flows", id, "via", "mtls"], true),
        };
        let mut one = Found::new(id, severity, why)
            .fix(words, [change])
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
        // A node that asks nobody is one cause, however many flows lead to it; and so is a model that says nothing of proof.
        found.push(if view.said.proof { one.of(&flow.to) } else { one.of("") });
    }
    found
}
