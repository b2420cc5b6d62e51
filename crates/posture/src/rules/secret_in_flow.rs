//! A secret sent to somebody who has no use for it.
use model::{Class, NodeKind};
use time::Date;

use super::{excess_privilege, private_traffic_over_internet, traveling_key};
use crate::{
    Grade, Rule, Severity,
    controls::{pci, soc2, tenet},
    rule::{Check, Found, take},
    subjects,
    view::{DataId, FlowView, NodeView, Transit, View},
};

pub(crate) static RULE: Rule = Rule {
    id: "secret-in-flow",
    when: "a flow carries a secret to a node that it does not open, and that neither holds, reads, issues nor passes it on; or a service is answered with one and has no flow to what that opens",
    mend: "leave it out of the flow; if the node needs it, say so with `reads`",
    grade: Grade::Fixed(Severity::High),
    looks_at: subjects::SECRET_FLOWS,
    controls: &[pci("7.2.5"), soc2("CC6.1"), tenet("3")],
    example: "
zones: { inside: {} }
data: { db-password: { class: secret, opens: [db], ttl: 1h }, count: { class: internal } }
nodes:
  orders: { kind: service, zone: inside, logs: true, holds: [db-password] }
  metrics: { kind: service, zone: inside, auth: token }
  db: { kind: store, zone: inside, auth: password }
flows:
  - { id: measure, from: orders, to: metrics, carries: [count, db-password], via: { tls: \"1.3\" } }
  - { id: save, from: orders, to: db, carries: [db-password], via: { tls: \"1.3\" } }
",
    silent: &["
zones: { inside: {} }
data: { session: { class: secret, opens: [orders], ttl: 1h } }
nodes:
  web: { kind: service, zone: inside }
  door: { kind: service, zone: inside }
  orders: { kind: service, zone: inside, auth: token }
flows:
  - { id: ask, from: web, to: door, carries: [session], via: { tls: \"1.3\" } }
  - { id: pass, from: door, to: orders, carries: [session], via: { tls: \"1.3\" } }
"],
    check: Check::Flows(check),
};

fn check(view: &View<'_>, _: Date) -> Vec<Found> {
    let mut found = Vec::new();
    for of in view.asked_flows() {
        answered(view, of, &mut found);
        let to = view.node(of.to);
        let secrets = of.carries.iter().copied().filter(|d| {
            let datum = view.datum(*d).datum;
            datum.class == Class::Secret && !traveling_key::is_key(datum)
        });
        let useless: Vec<usize> = secrets.filter(|d| !has_use(view, of.to, to, *d)).collect();
        if useless.is_empty() {
            continue;
        }
        let flow = of.flow;
        let why = format!(
            "`{}` is sent {}, which it neither is opened by, keeps, reads nor passes on",
            flow.to,
            view.list(useless.iter().copied()),
        );
        let id = flow.id.as_str();
        let changes = useless.iter().map(|d| take(&["flows", id, "carries"], view.datum(*d).name.as_str()));
        found.push(
            Found::new(id, Severity::High, why)
                .fix(format!("do not send it to `{}`; if it needs it, say so with `reads`", flow.to), changes)
                .at(&["flows", id, "carries"]),
        );
    }
    found
}

/// The same of what the caller is answered with. What stays on the machine is there for all that runs on it.
fn answered(view: &View<'_>, of: &FlowView<'_>, found: &mut Vec<Found>) {
    let from = view.node(of.from);
    let used = |d: &DataId| {
        let datum = view.datum(*d);
        traveling_key::is_key(datum.datum)
            || datum.opens.is_empty()
            || has_use(view, of.from, from, *d)
            || view.outbound(of.from).any(|f| datum.opens.contains(&f.to))
            || view.inbound(of.from).any(|f| f.returns.contains(d))
    };
    let secrets = of.returns.iter().copied().filter(|d| view.datum(*d).datum.class == Class::Secret);
    let useless: Vec<DataId> = secrets.filter(|d| !used(d)).collect();
    if useless.is_empty() || of.transit == Transit::Local || of.flow.standby {
        return;
    }
    let (flow, id) = (of.flow, of.flow.id.as_str());
    let names = view.list(useless.iter().copied());
    let why = format!("`{}` is answered with {names}, and has no flow to what that opens", flow.from);
    let changes = useless.iter().map(|d| take(&["flows", id, "returns"], view.datum(*d).name.as_str()));
    let words = format!("do not give it to `{}`; if it needs it, say so with `reads`", flow.from);
    let one = Found::new(id, Severity::High, why).fix(words, changes).at(&["flows", id, "returns"]);
    let one = one.follows(&private_traffic_over_internet::RULE, id);
    found.push(useless.iter().fold(one, |one, d| one.follows(&excess_privilege::RULE, view.datum(*d).name)));
}

fn has_use(view: &View<'_>, id: usize, node: &NodeView<'_>, secret: usize) -> bool {
    node.node.kind == NodeKind::Party
        || view.datum(secret).opens.contains(&id)
        || node.holds.contains(&secret)
        || node.reads.contains(&secret)
        || view.outbound(id).any(|f| f.carries.contains(&secret))
        // Who issues it is asked whether it is good.
        || view.inbound(id).any(|f| f.returns.contains(&secret))
}
