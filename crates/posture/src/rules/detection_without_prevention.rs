//! A system that is watched and not defended.
use std::collections::BTreeSet;

use model::NodeKind;
use time::Date;

use super::unguarded_entry;
use crate::{
    Grade, Rule, Severity,
    controls::{pci, soc2},
    rule::{Check, Found, add},
    subjects,
    view::{DataId, NodeId, View},
};

pub(crate) static RULE: Rule = Rule {
    id: "detection-without-prevention",
    when: "something is sent logs and raises alerts, strangers can reach the system, and nothing they can reach has a guard that stops anything",
    mend: "put what detects beside what prevents: `guards: [waf, rate]` at the entries, or let the detector act",
    grade: Grade::Fixed(Severity::Medium),
    looks_at: subjects::DETECTORS,
    controls: &[pci("6.4.2"), soc2("CC6.6")],
    example: "
zones: { internet: { trust: none }, inside: {} }
data: { lines: { class: internal, of: log }, alarm: { class: internal, of: alert } }
nodes:
  mail: { kind: service, zone: inside, auth: iam, exposed_to: [internet] }
  watch: { kind: service, zone: inside }
  duty: { kind: party, zone: inside }
flows:
  - { id: lines-out, from: mail, to: watch, carries: [lines], via: { tls: \"1.3\" } }
  - { id: alarms, from: watch, to: duty, carries: [alarm], via: { tls: \"1.3\" } }
",
    silent: &[
        "
zones: { internet: { trust: none }, inside: {} }
data: { lines: { class: internal, of: log }, alarm: { class: internal, of: alert } }
nodes:
  mail: { kind: service, zone: inside, auth: iam, exposed_to: [internet], guards: [rate] }
  watch: { kind: service, zone: inside }
  duty: { kind: party, zone: inside }
flows:
  - { id: lines-out, from: mail, to: watch, carries: [lines], via: { tls: \"1.3\" } }
  - { id: alarms, from: watch, to: duty, carries: [alarm], via: { tls: \"1.3\" } }
",
        "
zones: { internet: { trust: none }, inside: {} }
data: { lines: { class: internal, of: log } }
nodes:
  mail: { kind: service, zone: inside, auth: iam, exposed_to: [internet] }
  archive: { kind: store, zone: inside, at_rest: volume, holds: [lines] }
flows:
  - { id: lines-out, from: mail, to: archive, carries: [lines], via: { tls: \"1.3\" } }
",
    ],
    check: Check::Model(check),
};

fn check(view: &View<'_>, _: Date) -> Vec<Found> {
    let of = |d: &DataId, kinds: &[&str]| view.datum(*d).datum.of.as_deref().is_some_and(|of| kinds.contains(&of));
    let detects = |id: NodeId| {
        view.node(id).node.kind == NodeKind::Service
            && view.inbound(id).any(|f| f.carries.iter().any(|d| of(d, &["log", "event", "telemetry"])))
            && view.outbound(id).any(|f| f.carries.iter().any(|d| of(d, &["alert"])))
    };
    let alerts = (0..view.data.len()).filter(|d| of(d, &["alert"]));
    let alerting = alerts.flat_map(|d| view.datum(d).carried.iter().map(|f| view.flow(*f).from));
    let alerting: BTreeSet<NodeId> = alerting.collect();
    let detectors: Vec<NodeId> = alerting.into_iter().filter(|id| detects(*id)).collect();
    let Some(first) = detectors.first() else { return Vec::new() };
    // People are not entries; what a detector tells to act is a defence as well.
    let entries: Vec<NodeId> = (0..view.nodes.len())
        .filter(|id| view.node(*id).exposed.is_some() && view.node(*id).node.kind != NodeKind::Party)
        .collect();
    let guarded = entries.iter().any(|id| !view.node(*id).node.guards.is_empty());
    let acts = detectors.iter().any(|d| view.outbound(*d).any(|f| f.carries.iter().any(|d| of(d, &["response"]))));
    let Some(entry) = entries.first().filter(|_| !guarded && !acts) else { return Vec::new() };
    let name = view.node(*first).name;
    let why = format!(
        "`{name}` sees what happens and stops nothing, and nothing that strangers reach ({}) has a guard",
        crate::view::list(entries.iter().map(|e| view.node(*e).name.as_str())),
    );
    let entry_name = view.node(*entry).name.as_str();
    let mut one = Found::new(name, Severity::Medium, why)
        .fix("put guards at the entries", [add(&["nodes", entry_name, "guards"], "rate")])
        .at(&["nodes", name.as_str()])
        .at(&["nodes", entry_name, "guards"]);
    for entry in entries {
        one = one.follows(&unguarded_entry::RULE, view.node(entry).name);
    }
    vec![one]
}
