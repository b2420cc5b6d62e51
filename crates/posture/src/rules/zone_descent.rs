//! Sensitive data that go where there is less trust.
use model::{Class, NodeKind, Trust};
use time::Date;

use super::{child_data_reach, unauthenticated_flow};
use crate::{
    Grade, Lack, Rule,
    controls::{coppa, gdpr, pci, soc2},
    rule::{Check, Found, graded, set},
    subjects,
    view::{DataId, FlowView, NodeId, View, class_word},
};

pub(crate) static RULE: Rule = Rule {
    id: "zone-descent",
    when: "confidential or restricted data go to a node in a less trusted zone with no `transform`, and it is no proxy, states no need (`reads`) and is no party that asked for its own; a store's `holds` is no need",
    mend: "send less: pseudonyms, sums, a token in place of the thing, and say so: `via: { transform: … }`",
    grade: Grade::Table(Lack::Need),
    looks_at: subjects::DESCENDING_FLOWS,
    controls: &[pci("1.3.2"), soc2("CC6.7"), gdpr("25"), coppa("312.8")],
    example: "
zones: { lab: { trust: low }, core: { trust: high } }
data: { record: { class: confidential } }
nodes:
  records: { kind: service, zone: core, logs: true }
  research: { kind: service, zone: lab, auth: token }
flows:
  - { id: study, from: records, to: research, carries: [record], via: { tls: \"1.3\" } }
",
    silent: &[
        "
zones: { lab: { trust: low }, core: { trust: high } }
data: { record: { class: confidential } }
nodes:
  records: { kind: service, zone: core }
  research: { kind: service, zone: lab, auth: token }
flows:
  - { id: study, from: records, to: research, carries: [record], via: { tls: \"1.3\", transform: k5 } }
",
        "
zones: { lab: { trust: low }, core: { trust: high } }
data: { record: { class: confidential } }
nodes:
  records: { kind: service, zone: core }
  desk: { kind: service, zone: lab, auth: token, reads: [record] }
flows:
  - { id: look, from: desk, to: records, returns: [record], via: { mtls: true } }
",
        "
zones: { internet: { trust: none }, core: {} }
data: { profile: { class: confidential } }
nodes:
  site: { kind: service, zone: core, guards: [waf] }
  customer: { kind: party, zone: internet, auth: password }
flows:
  - { id: look, from: customer, to: site, returns: [profile], via: { tls: \"1.3\" } }
",
    ],
    check: Check::Flows(check),
};

fn check(view: &View<'_>, _: Date) -> Vec<Found> {
    let mut found = Vec::new();
    for of in view.asked_flows().filter(|f| !f.flow.via.words.contains_key("transform") && !f.flow.standby) {
        let down = |from: NodeId, to: NodeId| view.node(to).trust < view.node(from).trust;
        let (sent, to) = if down(of.from, of.to) {
            (falls(view, of, of.to, &of.carries, false), of.to)
        } else if down(of.to, of.from) {
            (falls(view, of, of.from, &of.returns, true), of.from)
        } else {
            continue;
        };
        let Some(worst) = view.worst(sent.iter().copied()) else { continue };
        let outside = view.node(to).trust == Trust::None;
        let Some(severity) = graded(view, Lack::Need, worst, outside) else { continue };
        let (flow, to) = (of.flow, view.node(to));
        let why = format!(
            "`{}` in `{}`, which is trusted less, is given {} with no transform: {} data",
            to.name,
            to.node.zone,
            view.list(sent.iter().copied()),
            class_word(view.class(worst)),
        );
        let mut one = Found::new(&flow.id, severity, why)
            .fix(
                format!(
                    "send pseudonyms, sums or tokens in place of the data; if `{0}` needs them as they are, say so: `reads` of `{0}`",
                    to.name
                ),
                [set(&["flows", flow.id.as_str(), "via", "transform"], "pseudonyms")],
            )
            .at(&["flows", flow.id.as_str()])
            .at(&["zones", to.node.zone.as_str(), "trust"]);
        // A party that had proven who it is would have asked for its own.
        if to.node.kind == NodeKind::Party {
            one = one.follows(&unauthenticated_flow::RULE, flow.id.as_str());
        }
        // Data about a child that nobody stated a need for: one question, and asked there.
        if sent.iter().all(|d| view.datum(*d).datum.about.as_deref() == Some("child")) {
            one = one.follows(&child_data_reach::RULE, to.name);
        }
        found.push(one);
    }
    found
}

/// What falls without a reason.
fn falls(view: &View<'_>, of: &FlowView<'_>, to: NodeId, data: &[DataId], asked: bool) -> Vec<DataId> {
    let node = view.node(to);
    let party = node.node.kind == NodeKind::Party;
    // A party that proves who it is and asks is the purpose of a service.
    if party && asked && view.is_proven(of) {
        return Vec::new();
    }
    // A proxy passes things on and has no need of its own.
    if node.node.role.is_some() {
        return Vec::new();
    }
    let needs = |d: &DataId| node.reads.contains(d) || !node.keeps() && node.holds.contains(d);
    let grave = |d: &DataId| matches!(view.class(*d), Class::Confidential | Class::Restricted);
    data.iter().copied().filter(|d| grave(d) && !needs(d)).collect()
}
