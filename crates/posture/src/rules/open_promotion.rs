//! The promotion path: whoever can change policies, configuration or images changes everything else.
use model::Data;
use time::Date;

use super::private_traffic_over_internet;
use crate::{
    Grade, Rule, Severity,
    controls::{ai_act, ai_rmf, pci, soc2, tenet},
    rule::{Check, Found, set},
    subjects,
    view::{FlowView, Transit, View},
};

pub(crate) static RULE: Rule = Rule {
    id: "open-promotion",
    when: "a flow carries policies, configuration, artifacts or images (`of: policy` and the like), and the sender is not proven, the way is not encrypted, or nobody keeps a record; or they are fetched on a way that is not encrypted",
    mend: "let only a proven sender promote, over mutual TLS, and record it: `via: { mtls: true }`, `audit: high` or `logs: true`",
    grade: Grade::Fixed(Severity::High),
    looks_at: subjects::PROMOTING_FLOWS,
    controls: &[pci("1.2.8"), soc2("CC6.8"), soc2("CC8.1"), tenet("4"), ai_rmf("MEASURE 2.7"), ai_act("15.5")],
    example: "
zones: { build: {}, runtime: {} }
data: { rules: { class: internal, of: policy } }
nodes:
  pipeline: { kind: service, zone: build, logs: true }
  plane: { kind: service, zone: runtime, auth: none }
flows:
  - { id: promote, from: pipeline, to: plane, carries: [rules], via: { tls: \"1.3\" } }
",
    silent: &[
        "
zones: { build: {}, runtime: {} }
data: { rules: { class: internal, of: policy } }
nodes:
  pipeline: { kind: service, zone: build, logs: true }
  plane: { kind: service, zone: runtime }
flows:
  - { id: promote, from: pipeline, to: plane, carries: [rules], via: { mtls: true } }
",
        "
zones: { build: {}, runtime: {} }
data: { rules: { class: internal } }
nodes:
  pipeline: { kind: service, zone: build }
  plane: { kind: service, zone: runtime }
flows:
  - { id: promote, from: pipeline, to: plane, carries: [rules], via: { tls: \"1.3\" } }
",
    ],
    check: Check::Flows(check),
};

fn steers(datum: &Data) -> bool {
    matches!(datum.of.as_deref(), Some("policy" | "configuration" | "artifact" | "image" | "manifest"))
}

fn check(view: &View<'_>, _: Date) -> Vec<Found> {
    let mut found = Vec::new();
    for of in view.asked_flows() {
        let steering: Vec<usize> = of.carries.iter().copied().filter(|d| steers(view.datum(*d).datum)).collect();
        if steering.is_empty() {
            fetched(view, of, &mut found);
            continue;
        }
        let (flow, id) = (of.flow, of.flow.id.as_str());
        let (mut lacks, mut changes) = (Vec::new(), Vec::new());
        let encrypted = matches!(of.transit, Transit::Protected | Transit::Local);
        if !of.authenticated {
            lacks.push("who sends is not proven");
        }
        if !encrypted {
            lacks.push("the way is not encrypted");
        }
        if !of.authenticated || !encrypted {
            changes.push(set(&["flows", id, "via", "mtls"], true));
        }
        if !of.logged {
            lacks.push("nobody keeps a record");
            changes.push(match view.node(of.to).node.under_ward() {
                true => set(&["flows", id, "via", "audit"], "high"),
                false => set(&["nodes", flow.to.as_str(), "logs"], true),
            });
        }
        if lacks.is_empty() {
            continue;
        }
        let why = format!(
            "{} from `{}` {} what runs at `{}`, and {}",
            view.list(steering.iter().copied()),
            flow.from,
            if steering.len() == 1 { "decides" } else { "decide" },
            flow.to,
            lacks.join(", "),
        );
        found.push(
            Found::new(id, Severity::High, why)
                .fix("let only a proven sender promote, and record it", changes)
                .at(&["flows", id])
                .at(&["nodes", flow.to.as_str()]),
        );
    }
    found
}

/// Who fetches it must know that nobody changed it on the way.
fn fetched(view: &View<'_>, of: &FlowView<'_>, found: &mut Vec<Found>) {
    let steering: Vec<usize> = of.returns.iter().copied().filter(|d| steers(view.datum(*d).datum)).collect();
    if steering.is_empty() || matches!(of.transit, Transit::Protected | Transit::Local) {
        return;
    }
    let (flow, id) = (of.flow, of.flow.id.as_str());
    let why = format!(
        "{}, which `{}` fetches from `{}`, {} what runs there, and the way is not encrypted",
        view.list(steering.iter().copied()),
        flow.from,
        flow.to,
        if steering.len() == 1 { "decides" } else { "decide" },
    );
    found.push(
        Found::new(id, Severity::High, why)
            .fix("fetch it over TLS", [set(&["flows", id, "via", "tls"], "1.3")])
            .at(&["flows", id, "via", "tls"])
            // It needed no word while it stayed in the house.
            .follows(&private_traffic_over_internet::RULE, id),
    );
}
