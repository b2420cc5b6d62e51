//! A secret that never changes.
use model::{AtRest, Class, NodeKind};
use time::Date;

use crate::{
    Grade, Rule, Severity,
    controls::{pci, soc2},
    rule::{Check, Found, set},
    view::{View, list},
};

pub(crate) static RULE: Rule = Rule {
    id: "static-secret",
    when: "a service uses a secret that has no `ttl`, nobody rotates, and no key-managed store keeps",
    mend: "issue it for a while (`ttl`), or let what keeps it rotate it: `rotates: true`",
    grade: Grade::Fixed(Severity::Medium),
    controls: &[pci("8.6.3"), soc2("CC6.1")],
    example: "
zones: { inside: {} }
data: { password: { class: secret, opens: [db] } }
nodes:
  orders: { kind: service, zone: inside, logs: true, holds: [password] }
  db: { kind: store, zone: inside, auth: password, at_rest: volume, holds: [] }
flows:
  - { id: save, from: orders, to: db, carries: [password], via: { tls: \"1.3\" } }
",
    silent: &[
        "
zones: { inside: {} }
data: { password: { class: secret, opens: [db], ttl: 1h } }
nodes:
  orders: { kind: service, zone: inside, holds: [password] }
  db: { kind: store, zone: inside, auth: password }
",
        "
zones: { inside: {} }
data: { password: { class: secret, opens: [db] } }
nodes:
  orders: { kind: service, zone: inside, holds: [password] }
  vault: { kind: store, zone: inside, at_rest: kms, auth: iam, holds: [password] }
  db: { kind: store, zone: inside, auth: password }
",
        "
zones: { internet: { trust: none }, inside: {} }
data: { password: { class: secret, opens: [login] } }
nodes:
  customer: { kind: party, zone: internet, auth: password }
  login: { kind: service, zone: inside, guards: [rate] }
flows:
  - { id: sign-in, from: customer, to: login, carries: [password], via: { tls: \"1.3\" } }
",
    ],
    check: Check::Model(check),
};

fn check(view: &View<'_>, _: Date) -> Vec<Found> {
    let mut found = Vec::new();
    for of in view.data.iter().filter(|d| d.datum.class == Class::Secret && d.datum.ttl.is_none()) {
        let holders: Vec<_> = of.holders.iter().map(|n| view.node(*n)).collect();
        // Held by a service, or kept by a store from which it moves; what a person types is the person's.
        let moves = !of.carried.is_empty() || !of.returned.is_empty();
        let of_people = of.carried.iter().any(|f| view.node(view.flow(*f).from).node.kind == NodeKind::Party);
        let held = |n: &&crate::view::NodeView<'_>| n.node.kind == NodeKind::Service || n.keeps() && moves;
        let used = holders.iter().any(held) && !of_people;
        let kept = |n: &crate::view::NodeView<'_>| n.keeps() && n.node.at_rest == Some(AtRest::Kms);
        if !used || holders.iter().any(|n| n.node.rotates == Some(true) || kept(n)) {
            continue;
        }
        let keeper =
            holders.iter().find(|n| n.keeps()).or_else(|| holders.iter().find(|n| n.node.kind == NodeKind::Service));
        let Some(keeper) = keeper else { continue };
        let opens = list(of.opens.iter().map(|n| view.node(*n).name.as_str()));
        let why = format!(
            "`{}`{} has no lifetime and nobody rotates it: stolen once, it is good for ever",
            of.name,
            if opens.is_empty() { String::new() } else { format!(", which opens {opens},") },
        );
        found.push(
            Found::new(of.name, Severity::Medium, why)
                .fix(
                    "rotate it, by a secrets manager or by what keeps it, or issue it for an hour",
                    [set(&["nodes", keeper.name.as_str(), "rotates"], true)],
                )
                .at(&["data", of.name.as_str(), "ttl"])
                .at(&["nodes", keeper.name.as_str(), "rotates"]),
        );
    }
    found
}
