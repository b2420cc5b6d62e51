//! One secret, several who use it.
use model::{Class, NodeKind};
use time::Date;

use super::{excess_privilege, traveling_key};
use crate::{
    Grade, Rule, Severity,
    controls::{pci, soc2, tenet},
    rule::{Check, Found},
    subjects,
    view::{View, list},
};

pub(crate) static RULE: Rule = Rule {
    id: "shared-credential",
    when: "two or more services hold one secret that opens something: nobody can tell which of them came",
    mend: "give each of them a secret of its own",
    grade: Grade::Fixed(Severity::Medium),
    looks_at: subjects::HELD_CREDENTIALS,
    controls: &[pci("8.2.2"), soc2("CC6.1"), tenet("6")],
    example: "
zones: { inside: {} }
data: { password: { class: secret, opens: [db], ttl: 1h } }
nodes:
  orders: { kind: service, zone: inside, logs: true, holds: [password] }
  billing: { kind: service, zone: inside, logs: true, holds: [password] }
  db: { kind: store, zone: inside, auth: password }
flows:
  - { id: save, from: orders, to: db, carries: [password], via: { tls: \"1.3\" } }
  - { id: bill, from: billing, to: db, carries: [password], via: { tls: \"1.3\" } }
",
    silent: &["
zones: { inside: {} }
data: { password: { class: secret, opens: [db], ttl: 1h } }
nodes:
  orders: { kind: service, zone: inside, holds: [password] }
  vault: { kind: store, zone: inside, at_rest: kms, auth: iam, holds: [password] }
  db: { kind: store, zone: inside, auth: password, at_rest: kms, holds: [password] }
"],
    check: Check::Data(check),
};

fn check(view: &View<'_>, _: Date) -> Vec<Found> {
    let mut found = Vec::new();
    for (secret, of) in view.asked_data() {
        if of.datum.class != Class::Secret || of.opens.is_empty() {
            continue;
        }
        let users =
            of.holders.iter().filter(|n| view.node(**n).node.kind == NodeKind::Service && !of.opens.contains(n));
        let idle = users.clone().filter(|n| excess_privilege::is_idle(view, secret, **n)).count();
        let users: Vec<&str> = users.map(|n| view.node(*n).name.as_str()).collect();
        if users.len() < 2 || traveling_key::is_key(of.datum) {
            continue;
        }
        let opens = list(of.opens.iter().map(|n| view.node(*n).name.as_str()));
        let why =
            format!("{} share `{}`: {opens} cannot tell which of them came", list(users.iter().copied()), of.name);
        let mut one = Found::new(of.name, Severity::Medium, why)
            .fix("give each of them a secret of its own", [])
            .at(&["data", of.name.as_str()]);
        if users.len() - idle < 2 {
            one = one.follows(&excess_privilege::RULE, of.name);
        }
        for user in users {
            one = one.at(&["nodes", user, "holds"]);
        }
        found.push(one);
    }
    found
}
