//! Sensitive data that move without a trace.
use model::{Audit, Class, NodeKind};
use time::Date;

use super::{audit_level, open_promotion, plaintext_flow};
use crate::{
    Grade, Lack, Rule,
    controls::{ai_act, coppa, gdpr, iso_42001, pci, soc2, tenet},
    rule::{Check, Found, graded, set},
    subjects,
    view::{DataId, FlowView, NodeId, View},
};

pub(crate) static RULE: Rule = Rule {
    id: "unlogged-flow",
    when: "confidential data or worse pass, and neither end keeps a record: no `logs: true`, no `audit: high` under Ward",
    mend: "record who had what: `via: { audit: high }` under Ward, else `logs: true` on one end",
    grade: Grade::Table(Lack::Record),
    looks_at: subjects::READ_FLOWS,
    controls: &[
        pci("10.2.1"),
        soc2("CC7.2"),
        gdpr("32"),
        tenet("7"),
        coppa("312.8"),
        iso_42001("A.6.2.8"),
        ai_act("12"),
    ],
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
    check: Check::Flows(check),
};

/// What moves, but for the credential that opens the target: that is how the caller comes in, not what it came for.
fn moved(view: &View<'_>, of: &FlowView<'_>) -> Vec<DataId> {
    let both = of.carries.iter().chain(&of.returns).copied();
    both.filter(|d| view.class(*d) >= Class::Confidential && !view.datum(*d).opens.contains(&of.to)).collect()
}

fn check(view: &View<'_>, _: Date) -> Vec<Found> {
    let mut found = Vec::new();
    for of in view.asked_flows().filter(|f| f.unrecorded) {
        let moved = moved(view, of);
        let Some(worst) = view.worst(moved.iter().copied()) else { continue };
        let Some(severity) = graded(view, Lack::Record, worst, of.crosses_outside) else { continue };
        let (flow, id) = (of.flow, of.flow.id.as_str());
        let why = format!("neither `{}` nor `{}` keeps a record of who had {}", flow.from, flow.to, view.list(moved));
        let mut one = Found::new(id, severity, why)
            .at(&["flows", id, "via", "audit"])
            .follows(&open_promotion::RULE, id)
            .follows(&audit_level::RULE, id);
        if view.node(of.to).node.under_ward() {
            // What a node is sent is recorded where it comes in, by its sidecar or by the gateway itself.
            one = one.fix("record every decision", [set(&["flows", id, "via", "audit"], "high")]).of(&flow.to);
        } else {
            // A system's access log is one cause, however many flows lack it: that of the end which most of them share.
            // People keep no logs for us. Of two ends that share as many flows, the called one.
            let count = |n: NodeId| match view.node(n).node.kind {
                NodeKind::Party => 0,
                _ => view.node(n).unrecorded,
            };
            let end = if count(of.from) > count(of.to) { of.from } else { of.to };
            let path = ["nodes", view.node(end).name.as_str(), "logs"];
            one = one.fix("keep an access log", [set(&path, true)]).at(&path);
            if flow.via.audit >= Some(Audit::High) {
                // Under Ward it would be recorded, and be mutual TLS.
                one = one.follows(&plaintext_flow::RULE, id);
            }
            // Where nobody keeps a record of anything, that is the cause.
            one = if view.said.record { one.of(view.node(end).name) } else { one.of("") };
        }
        found.push(one);
    }
    found
}
