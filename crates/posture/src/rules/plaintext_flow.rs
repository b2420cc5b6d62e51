//! Data that whoever sits on the wire reads.
use model::Class;
use time::Date;

use super::{open_promotion, private_traffic_over_internet};
use crate::{
    Grade, Lack, Rule,
    controls::{ai_act, ai_rmf, coppa, gdpr, pci, soc2, tenet},
    rule::{Check, Found, graded, set},
    subjects,
    view::{FlowView, NodeId, Transit, View},
};

pub(crate) static RULE: Rule = Rule {
    id: "plaintext-flow",
    when: "a flow moves more than public data in plain text, or with no word about encryption on the way; of several flows of one node that say nothing, the worst stands for all",
    mend: "speak TLS and say so: `via: { tls: \"1.3\" }`; between nodes under Ward it is mutual TLS by itself",
    grade: Grade::Table(Lack::InTransit),
    looks_at: subjects::MOVING_FLOWS,
    controls: &[
        pci("4.2.1"),
        pci("8.3.2"),
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
  - { id: place, from: web, to: orders, carries: [order], via: { tls: none } }
",
    silent: &[
        "
zones: { inside: {} }
data: { order: { class: internal } }
nodes:
  web: { kind: service, zone: inside, run: { command: [./web] } }
  orders: { kind: service, zone: inside, run: { command: [./orders] } }
flows:
  - { id: place, from: web, to: orders, carries: [order], via: { tls: \"1.3\" } }
",
        "
zones: { inside: {} }
data: { token: { class: confidential } }
nodes:
  web: { kind: service, zone: inside }
  helper: { kind: service, zone: inside }
flows:
  - { id: ask, from: web, to: helper, carries: [token], via: { local: true } }
",
    ],
    check: Check::Flows(check),
};

fn check(view: &View<'_>, _: Date) -> Vec<Found> {
    let mut found = Vec::new();
    let lacking = |of: &FlowView<'_>| {
        let plain = matches!(of.transit, Transit::Plain(_) | Transit::Unstated);
        let worst = of.worst.filter(|_| plain)?;
        Some((worst, graded(view, Lack::InTransit, worst, of.crosses_outside)?))
    };
    for of in view.asked_flows() {
        let Some((worst, severity)) = lacking(of) else { continue };
        let (said, listener) = match of.transit {
            Transit::Plain(listener) => (true, listener),
            _ => (false, None),
        };
        let (flow, id) = (of.flow, of.flow.id.as_str());
        let moved = of.carries.iter().chain(&of.returns).copied().filter(|d| view.class(*d) > Class::Public);
        let why = format!(
            "`{}` and `{}` exchange {} {}",
            flow.from,
            flow.to,
            view.list(moved),
            if said { "in plain text" } else { "without a word about encryption on the way" },
        );
        let listener = listener.map(|n| n.to_string());
        let (path, value) = match &listener {
            Some(listener) => (vec!["nodes", flow.to.as_str(), "listen", listener.as_str(), "tls"], "auto"),
            None => (vec!["flows", id, "via", "tls"], "1.3"),
        };
        let mut one = Found::new(id, severity, why)
            .fix("speak TLS 1.3", [set(&path, value)])
            .at(&path)
            .at(&["data", view.datum(worst).name.as_str()])
            .follows(&open_promotion::RULE, id);
        if !said {
            // It needed no word while it stayed in the house.
            one = one.follows(&private_traffic_over_internet::RULE, id);
            // A node of which nobody says how it is spoken to is one cause, however many flows lack it.
            // Where not a word is said of any flow, that is the cause.
            one = if view.said.transit { one.of(view.node(silent(view, of)).name) } else { one.of("") };
        }
        found.push(one);
    }
    found
}

/// Which end is silent: the one outside Ward where the other is under it, else the one that is called.
fn silent(view: &View<'_>, of: &FlowView<'_>) -> NodeId {
    match view.node(of.to).node.under_ward() && !view.node(of.from).node.under_ward() {
        true => of.from,
        false => of.to,
    }
}
