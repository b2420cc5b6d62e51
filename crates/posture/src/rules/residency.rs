//! Data that must stay in a region, and a zone that is not in it.
use std::collections::BTreeMap;

use model::{Name, NodeKind};
use time::Date;

use crate::{
    Grade, Rule, Severity,
    controls::gdpr,
    rule::{Check, Found},
    subjects,
    view::{DataId, NodeId, View, list},
};

pub(crate) static RULE: Rule = Rule {
    id: "residency",
    when: "data with a `residency` are held by, or go to, a service or store in a zone of another region, or of none that is stated",
    mend: "move it to the region, keep the data away from it, or state the zone's `region`",
    grade: Grade::Either(Severity::Medium, Severity::High, "the zone states another region"),
    looks_at: subjects::RESIDENT_ZONES,
    controls: &[gdpr("44")],
    example: "
zones: { dublin: { region: eu }, ohio: { region: us } }
data: { invoice: { class: internal, residency: [eu] } }
nodes:
  billing: { kind: service, zone: dublin, holds: [invoice] }
  archive: { kind: store, zone: ohio, at_rest: kms, auth: iam, holds: [invoice] }
flows:
  - { id: file, from: billing, to: archive, carries: [invoice], via: { tls: \"1.3\" } }
",
    silent: &[
        "
zones: { dublin: { region: eu } }
data: { invoice: { class: internal, residency: [eu] } }
nodes: { billing: { kind: service, zone: dublin, holds: [invoice] } }
",
        "
zones: { somewhere: {} }
data: { invoice: { class: internal } }
nodes: { billing: { kind: service, zone: somewhere, holds: [invoice] } }
",
    ],
    check: Check::Model(check),
};

/// What is in a zone and should not be, and the region that the zone states.
#[derive(Default)]
struct Away<'m> {
    data: Vec<DataId>,
    nodes: Vec<&'m str>,
    region: Option<&'m str>,
}

fn check(view: &View<'_>, _: Date) -> Vec<Found> {
    // By the zone that lacks the region or has the wrong one: that is the one thing to change.
    let mut zones: BTreeMap<&Name, Away<'_>> = BTreeMap::new();
    // Few data state where they may be: from them to the nodes is the shorter way.
    let mut near: Vec<(NodeId, DataId)> = Vec::new();
    for (id, datum) in view.data.iter().enumerate().filter(|(_, d)| !d.datum.residency.is_empty()) {
        let sent = datum.carried.iter().map(|f| view.flow(*f).to);
        let answered = datum.returned.iter().map(|f| view.flow(*f).from);
        let nodes = datum.holders.iter().chain(&datum.readers).copied().chain(sent).chain(answered);
        near.extend(nodes.filter(|n| view.node(*n).node.kind != NodeKind::Party).map(|n| (n, id)));
    }
    near.sort_unstable();
    for (node, datum) in near {
        let of = view.node(node);
        let region = view.zone(of.node).and_then(|z| z.region.as_deref());
        let allowed = &view.datum(datum).datum.residency;
        if region.is_some_and(|r| allowed.iter().any(|a| a == r)) {
            continue;
        }
        let zone = match region {
            Some(_) => Some(&of.node.zone),
            // The outermost zone around it: whoever states a region there states it for all inside.
            None => view.zones_around(&of.node.zone).last(),
        };
        let Some(zone) = zone else { continue };
        let away = zones.entry(zone).or_default();
        away.data.push(datum);
        if away.nodes.last() != Some(&of.name.as_str()) {
            away.nodes.push(of.name.as_str());
        }
        away.region = region;
    }
    let mut found = Vec::new();
    for (zone, Away { mut data, nodes, region }) in zones {
        data.sort_unstable();
        data.dedup();
        let allowed = data.iter().flat_map(|d| view.datum(*d).datum.residency.iter().map(String::as_str));
        let why = format!(
            "{} must stay in {}, and zone `{zone}`, where {} {} them, {}",
            view.list(data.iter().copied()),
            list(allowed),
            list(nodes.iter().copied()),
            if nodes.len() == 1 { "has" } else { "have" },
            region.map_or_else(|| "states no region".to_owned(), |r| format!("is in `{r}`")),
        );
        let severity = if region.is_some() { Severity::High } else { Severity::Medium };
        let mut one = Found::new(zone, severity, why)
            .fix("move what has the data, keep the data away from it, or state the region of the zone", [])
            .at(&["zones", zone.as_str(), "region"]);
        for datum in data {
            one = one.at(&["data", view.datum(datum).name.as_str(), "residency"]);
        }
        found.push(one);
    }
    found
}
