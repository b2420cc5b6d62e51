//! Data about a child within reach of somebody who has not said why.
use time::Date;

use crate::{
    Grade, Lack, Rule, Severity,
    controls::{coppa, gdpr, tenet},
    rule::{Check, Found, graded, take},
    subjects,
    view::{DataId, FlowId, NodeId, View},
};

pub(crate) static RULE: Rule = Rule {
    id: "child-data-reach",
    when: "a node is sent data about a child, is answered with them, or has a secret that opens a store of them, and declares no need (`reads` or `holds`); somebody who is no `stakeholder`, proves who he is and asks, is answered with his own",
    mend: "keep the data away from it, or send them transformed; if it needs them, say so with `reads`",
    grade: Grade::Table(Lack::Need),
    looks_at: subjects::CHILD_DATA_NODES,
    controls: &[coppa("312.8"), gdpr("5.1.c"), gdpr("25"), tenet("3")],
    example: "
zones: { inside: {} }
data: { profile: { class: confidential, about: child }, notice: { class: internal } }
nodes:
  welfare: { kind: service, zone: inside, logs: true, reads: [profile] }
  press: { kind: party, zone: inside, auth: oidc, stakeholder: media }
flows:
  - { id: story, from: press, to: welfare, returns: [notice, profile], via: { tls: \"1.3\" } }
",
    silent: &[
        "
zones: { inside: {} }
data: { profile: { class: confidential, about: child } }
nodes:
  welfare: { kind: service, zone: inside, logs: true, reads: [profile] }
  school: { kind: party, zone: inside, auth: oidc, reads: [profile] }
flows:
  - { id: look, from: school, to: welfare, returns: [profile], via: { tls: \"1.3\" } }
",
        "
zones: { inside: {} }
data: { profile: { class: confidential, about: person } }
nodes:
  welfare: { kind: service, zone: inside, logs: true }
  press: { kind: party, zone: inside, auth: oidc }
flows:
  - { id: story, from: press, to: welfare, returns: [profile], via: { tls: \"1.3\" } }
",
        "
zones: { internet: { trust: none }, inside: {} }
data: { profile: { class: confidential, about: child } }
nodes:
  welfare: { kind: service, zone: inside, logs: true, reads: [profile], guards: [waf] }
  parent: { kind: party, zone: internet, auth: oidc }
flows:
  - { id: look, from: parent, to: welfare, returns: [profile], via: { tls: \"1.3\" } }
",
    ],
    check: Check::Nodes(check),
};

/// How a datum comes to a node.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    Carried(usize),
    Returned(usize),
    /// The store, and the secret that opens it.
    Opened(NodeId, DataId),
}

fn check(view: &View<'_>, _: Date) -> Vec<Found> {
    let mut found = Vec::new();
    for (node, of) in view.asked_nodes() {
        let mut ways = ways(view, node);
        // Somebody who belongs to no group of stakeholders, proves who he is and asks, is answered with his own.
        let own = |way: &Way| matches!(way, Way::Returned(f) if view.is_proven(view.flow(*f)));
        if of.node.kind == model::NodeKind::Party && of.node.stakeholder.is_none() {
            ways.retain(|(_, way)| !own(way));
        }
        // A proxy passes things on and has no need of its own.
        let Some(worst) = view.worst(ways.iter().map(|(d, _)| *d)).filter(|_| of.node.role.is_none()) else { continue };
        // Who has proven who he is, is not anybody.
        let proven = |way: &Way| match way {
            Way::Carried(f) | Way::Returned(f) => view.flow(*f).proven,
            Way::Opened(..) => true,
        };
        let party = of.node.kind == model::NodeKind::Party;
        let outside = of.trust == model::Trust::None && !(party && ways.iter().all(|(_, way)| proven(way)));
        let severity = graded(view, Lack::Need, worst, outside).unwrap_or(Severity::Medium);
        let who = match &of.node.stakeholder {
            Some(group) => format!("`{}` ({group})", of.name),
            None => format!("`{}`", of.name),
        };
        let how = match &ways.first() {
            Some((_, Way::Opened(store, secret))) => {
                format!("has `{}`, which opens `{}` with", view.datum(*secret).name, view.node(*store).name)
            }
            Some((_, Way::Returned(_))) => "is answered with".to_owned(),
            _ => "is sent".to_owned(),
        };
        let why = format!(
            "{who} {how} {}, about a child, and declares no need of it",
            view.list(ways.iter().map(|(d, _)| *d))
        );
        let mut changes = Vec::new();
        let mut one = Found::new(of.name, severity, why);
        for (datum, way) in &ways {
            let name = view.datum(*datum).name.as_str();
            let (change, path) = match way {
                Way::Carried(f) => {
                    let id = view.flow(*f).flow.id.as_str();
                    (take(&["flows", id, "carries"], name), ["flows", id, "carries"])
                }
                Way::Returned(f) => {
                    let id = view.flow(*f).flow.id.as_str();
                    (take(&["flows", id, "returns"], name), ["flows", id, "returns"])
                }
                Way::Opened(_, secret) => {
                    let secret = view.datum(*secret).name.as_str();
                    (take(&["nodes", of.name.as_str(), "holds"], secret), ["nodes", of.name.as_str(), "holds"])
                }
            };
            if !changes.contains(&change) {
                changes.push(change);
            }
            one = one.at(&path);
        }
        let words = format!("keep it away from `{0}`; if it is needed there, say so: `reads` of `{0}`", of.name);
        found.push(one.fix(words, changes));
    }
    found
}

/// How data about a child that it does not say it needs come to a node.
fn ways(view: &View<'_>, node: NodeId) -> Vec<(DataId, Way)> {
    let of = view.node(node);
    let of_child = |d: &DataId| view.datum(*d).datum.about.as_deref() == Some("child");
    let transformed = |f: &FlowId| view.flow(*f).flow.via.words.contains_key("transform");
    let mut ways = Vec::new();
    for flow in of.inbound.iter().filter(|f| !transformed(f)) {
        ways.extend(view.flow(*flow).carries.iter().filter(|d| of_child(d)).map(|d| (*d, Way::Carried(*flow))));
    }
    for flow in of.outbound.iter().filter(|f| !transformed(f)) {
        ways.extend(view.flow(*flow).returns.iter().filter(|d| of_child(d)).map(|d| (*d, Way::Returned(*flow))));
    }
    // What only keeps the secret does not use it.
    for secret in of.holds.iter().filter(|_| !of.keeps()) {
        let stores = view.datum(*secret).opens.iter().filter(|n| **n != node && view.node(**n).keeps());
        for store in stores {
            let kept = view.node(*store).holds.iter().filter(|d| of_child(d));
            ways.extend(kept.map(|d| (*d, Way::Opened(*store, *secret))));
        }
    }
    ways.retain(|(d, _)| !of.holds.contains(d) && !of.reads.contains(d));
    ways.sort_unstable();
    ways
}
