//! A secret that opens an administration its holder has no business with.
use model::{Class, NodeKind, load::text::Change};
use time::Date;

use crate::{
    Grade, Rule, Severity,
    closure::By,
    controls::{pci, soc2, tenet},
    rule::{Check, Found, take},
    subjects,
    view::{DataId, NodeId, View, list},
};

pub(crate) static RULE: Rule = Rule {
    id: "excess-privilege",
    when: "a node has a secret that opens a node with `privilege: admin`, and no flow there: the power is not needed",
    mend: "take the power away from the secret: leave the node out of its `opens`; where another holder needs it, take the secret away from the one that does not",
    grade: Grade::Fixed(Severity::High),
    looks_at: subjects::ADMIN_SECRETS,
    controls: &[pci("7.2.2"), pci("7.2.5"), soc2("CC6.3"), tenet("3")],
    example: "
zones: { inside: {} }
data: { account: { class: secret, opens: [cluster], ttl: 1h }, order: { class: internal } }
nodes:
  web: { kind: service, zone: inside }
  orders: { kind: service, zone: inside, holds: [account] }
  cluster: { kind: service, zone: inside, privilege: admin, auth: rbac }
  operator: { kind: party, zone: inside, auth: oidc }
flows:
  - { id: place, from: web, to: orders, carries: [order], via: { tls: \"1.3\" } }
  - { id: operate, from: operator, to: cluster, carries: [order], via: { tls: \"1.3\" } }
",
    silent: &["
zones: { inside: {} }
data: { account: { class: secret, opens: [cluster], ttl: 1h } }
nodes:
  deployer: { kind: service, zone: inside, holds: [account] }
  cluster: { kind: service, zone: inside, privilege: admin, auth: rbac }
flows:
  - { id: deploy, from: deployer, to: cluster, carries: [account], via: { tls: \"1.3\", audit: high } }
"],
    check: Check::Data(check),
};

fn check(view: &View<'_>, _: Date) -> Vec<Found> {
    let mut found = Vec::new();
    for (secret, of) in view.asked_data().filter(|(_, d)| d.datum.class == Class::Secret) {
        let admin: Vec<NodeId> = of.opens.iter().copied().filter(|n| view.node(*n).node.admin).collect();
        if admin.is_empty() {
            continue;
        }
        let holders = holders(view, secret);
        let has_flow = |holder: NodeId, target: NodeId| view.outbound(holder).any(|f| f.to == target);
        let idle = |target: NodeId| {
            let idle = holders.iter().copied().filter(|h| *h != target && !has_flow(*h, target));
            idle.collect::<Vec<_>>()
        };
        let useless: Vec<NodeId> = admin.iter().copied().filter(|t| !idle(*t).is_empty()).collect();
        if useless.is_empty() {
            continue;
        }
        let mut without: Vec<NodeId> = useless.iter().flat_map(|t| idle(*t)).collect();
        without.sort_unstable();
        without.dedup();
        let names: Vec<&str> = without.iter().map(|h| view.node(*h).name.as_str()).collect();
        let targets = list(useless.iter().map(|t| view.node(*t).name.as_str()));
        let name = of.name.as_str();
        // Somebody else needs the power: then it is the secret that does not belong to those who have no use for it.
        let needed = useless.iter().any(|t| holders.iter().any(|h| has_flow(*h, *t)));
        let have = if names.len() == 1 { "has" } else { "have" };
        let (why, words, changes) = if needed {
            let why = format!(
                "{} {have} `{name}`, which opens {targets} with all rights, and no flow there",
                list(names.iter().copied())
            );
            (why, format!("take `{name}` away from {}", list(names.iter().copied())), taken(view, secret, &without))
        } else {
            let why = format!(
                "`{name}`, which {} {have}, opens {targets} with all rights, and no flow needs that",
                list(names.iter().copied()),
            );
            let changes = useless.iter().map(|t| take(&["data", name, "opens"], view.node(*t).name.as_str()));
            (why, format!("give `{name}` only the rights that a flow needs"), changes.collect())
        };
        let mut one = Found::new(name, Severity::High, why).fix(words, changes).at(&["data", name, "opens"]);
        for holder in names {
            one = one.at(&["nodes", holder, "holds"]);
        }
        for target in useless {
            one = one.at(&["nodes", view.node(target).name.as_str(), "privilege"]).lets(By::Opened(secret, target));
        }
        found.push(one);
    }
    found
}

/// Without the secret where these have it from: held, or answered with.
fn taken(view: &View<'_>, secret: DataId, from: &[NodeId]) -> Vec<Change> {
    let of = view.datum(secret);
    let name = of.name.as_str();
    let held = from.iter().filter(|n| of.holders.contains(n));
    let held = held.map(|n| take(&["nodes", view.node(*n).name.as_str(), "holds"], name));
    let answered = of.returned.iter().map(|f| view.flow(*f)).filter(|f| from.contains(&f.from));
    held.chain(answered.map(|f| take(&["flows", f.flow.id.as_str(), "returns"], name))).collect()
}

/// Whether a secret opens an administration that another holder uses and this one does not.
pub(super) fn is_idle(view: &View<'_>, secret: DataId, holder: NodeId) -> bool {
    let admin = view.datum(secret).opens.iter().copied().filter(|n| view.node(*n).node.admin);
    holders(view, secret).contains(&holder)
        && admin.clone().any(|t| holders(view, secret).iter().any(|h| view.outbound(*h).any(|f| f.to == t)))
        && admin.into_iter().any(|t| holder != t && !view.outbound(holder).any(|f| f.to == t))
}

/// Who has a secret to use it: not a store that keeps it, nor a service that hands it out.
fn holders(view: &View<'_>, secret: DataId) -> Vec<NodeId> {
    let of = view.datum(secret);
    let mut all: Vec<NodeId> = of.holders.clone();
    all.extend(of.returned.iter().map(|f| view.flow(*f).from));
    all.sort_unstable();
    all.dedup();
    let hands_out = |node: &NodeId| of.returned.iter().any(|f| view.flow(*f).to == *node);
    all.retain(|n| view.node(*n).node.kind != NodeKind::Store && !hands_out(n));
    all
}
