//! A secret that opens an administration its holder has no business with.
use model::{Class, NodeKind};
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
    mend: "take the power away from the secret: leave the node out of its `opens`",
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
    check: Check::Model(check),
};

fn check(view: &View<'_>, _: Date) -> Vec<Found> {
    let mut found = Vec::new();
    for (secret, of) in view.data.iter().enumerate().filter(|(_, d)| d.datum.class == Class::Secret) {
        let admin: Vec<NodeId> = of.opens.iter().copied().filter(|n| view.node(*n).node.admin).collect();
        if admin.is_empty() {
            continue;
        }
        let holders = holders(view, secret);
        let useless = |target: &&NodeId| {
            let target = **target;
            let has_flow = |holder: &&NodeId| view.outbound(**holder).any(|f| f.to == target);
            holders.iter().any(|h| *h != target) && holders.iter().filter(|h| **h != target).any(|h| !has_flow(&h))
        };
        let useless: Vec<NodeId> = admin.iter().filter(useless).copied().collect();
        if useless.is_empty() {
            continue;
        }
        let without =
            holders.iter().filter(|h| useless.iter().any(|t| *h != t && !view.outbound(**h).any(|f| f.to == *t)));
        let without: Vec<&str> = without.map(|h| view.node(*h).name.as_str()).collect();
        let targets = list(useless.iter().map(|t| view.node(*t).name.as_str()));
        let why = format!(
            "`{}`, which {} {}, opens {targets} with all rights, and no flow needs that",
            of.name,
            list(without.iter().copied()),
            if without.len() == 1 { "has" } else { "have" },
        );
        let name = of.name.as_str();
        let mut one = Found::new(name, Severity::High, why)
            .fix(
                format!("give `{name}` only the rights that a flow needs"),
                useless.iter().map(|t| take(&["data", name, "opens"], view.node(*t).name.as_str())),
            )
            .at(&["data", name, "opens"]);
        for holder in without {
            one = one.at(&["nodes", holder, "holds"]);
        }
        for target in useless {
            one = one.at(&["nodes", view.node(target).name.as_str(), "privilege"]).lets(By::Opened(secret, target));
        }
        found.push(one);
    }
    found
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
