//! A secret that never changes.
use model::{Class, NodeKind};
use time::Date;

use super::traveling_key;
use crate::{
    Grade, Rule, Severity,
    controls::{pci, soc2},
    rule::{Check, Found, set},
    subjects,
    view::{View, list},
};

pub(crate) static RULE: Rule = Rule {
    id: "static-secret",
    when: "a service uses a secret that has no `ttl` and nobody rotates; what only people use is theirs to change",
    mend: "issue it for a while (`ttl`), or let what keeps it rotate it: `rotates: true`",
    grade: Grade::Fixed(Severity::Medium),
    looks_at: subjects::SECRETS,
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
  vault: { kind: store, zone: inside, at_rest: kms, auth: iam, rotates: true, holds: [password] }
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
    check: Check::Data(check),
};

fn check(view: &View<'_>, _: Date) -> Vec<Found> {
    let mut found = Vec::new();
    // Where nothing rotates anything, that is the cause, however many secrets lack it.
    let rotates = view.said.rotation;
    for of in view.asked_data().map(|(_, of)| of).filter(|d| d.datum.class == Class::Secret && d.datum.ttl.is_none()) {
        let service = |n: usize| view.node(n).node.kind == NodeKind::Service;
        let presents = |f: &usize| service(view.flow(*f).from) && of.opens.contains(&view.flow(*f).to);
        let used = of.holders.iter().any(|n| service(*n))
            || of.returned.iter().any(|f| service(view.flow(*f).from))
            || of.carried.iter().any(presents)
            // A private key moves on no flow: whoever keeps it uses it.
            || traveling_key::is_key(of.datum) && !of.holders.is_empty();
        // What a person types is the person's, whatever passes it on.
        let typed = of.carried.iter().any(|f| view.node(view.flow(*f).from).node.kind == NodeKind::Party);
        // But what a service has by itself and shows to another one is the service's own, whoever types it besides.
        let has = |n: usize| of.holders.contains(&n) || of.returned.iter().any(|f| view.flow(*f).from == n);
        let of_people = typed && !of.carried.iter().any(|f| presents(f) && has(view.flow(*f).from));
        let holders: Vec<_> = of.holders.iter().map(|n| view.node(*n)).collect();
        if !used || of_people || holders.iter().any(|n| n.node.rotates == Some(true)) {
            continue;
        }
        let opens = list(of.opens.iter().map(|n| view.node(*n).name.as_str()));
        let why = format!(
            "`{}`{} has no lifetime and nobody rotates it: stolen once, it is good for ever",
            of.name,
            if opens.is_empty() { String::new() } else { format!(", which opens {opens},") },
        );
        let (change, at) = match holders.iter().find(|n| n.keeps()).or(holders.first()) {
            Some(keeper) => {
                let at = ["nodes", keeper.name.as_str(), "rotates"];
                (set(&at, true), at)
            }
            None => {
                let at = ["data", of.name.as_str(), "ttl"];
                (set(&at, "1h"), at)
            }
        };
        let keeper = if rotates { at.join(".") } else { String::new() };
        found.push(
            Found::new(of.name, Severity::Medium, why)
                .of(keeper)
                .fix("rotate it, by a secrets manager or by what keeps it, or issue it for an hour", [change])
                .at(&["data", of.name.as_str(), "ttl"])
                .at(&at),
        );
    }
    found
}
