//! Administration with one factor where two are demanded.
use model::NodeKind;
use time::Date;

use crate::{
    Grade, Rule, Severity,
    controls::{pci, soc2, tenet},
    rule::{Check, Found, add},
    subjects,
    view::{View, list},
};

pub(crate) static RULE: Rule = Rule {
    id: "admin-mfa",
    when: "a zone demands a second factor (`requires: [mfa]`), and people administer a node in it, or log in to it, without `mfa` among its `guards`",
    mend: "ask for a second factor before it: `guards: [mfa]`",
    grade: Grade::Fixed(Severity::High),
    looks_at: subjects::ADMINISTERED,
    controls: &[pci("8.4.1"), soc2("CC6.1"), tenet("6")],
    example: "
zones: { vault: { requires: [mfa] } }
data: { order: { class: internal } }
nodes:
  operator: { kind: party, zone: vault, auth: oidc }
  panel: { kind: service, zone: vault, privilege: admin, auth: oidc }
flows:
  - { id: operate, from: operator, to: panel, carries: [order], via: { tls: \"1.3\" } }
",
    silent: &[
        "
zones: { vault: { requires: [mfa] } }
data: { order: { class: internal } }
nodes:
  operator: { kind: party, zone: vault, auth: oidc }
  panel: { kind: service, zone: vault, privilege: admin, auth: oidc, guards: [mfa] }
flows:
  - { id: operate, from: operator, to: panel, carries: [order], via: { tls: \"1.3\" } }
",
        "
zones: { office: {} }
data: { order: { class: internal } }
nodes:
  operator: { kind: party, zone: office, auth: oidc }
  panel: { kind: service, zone: office, privilege: admin, auth: oidc }
flows:
  - { id: operate, from: operator, to: panel, carries: [order], via: { tls: \"1.3\" } }
",
    ],
    check: Check::Nodes(check),
};

fn check(view: &View<'_>, _: Date) -> Vec<Found> {
    let mut found = Vec::new();
    for (id, of) in view.asked_nodes() {
        let demanded = view.zone(of.node).is_some_and(|z| z.requires.iter().any(|r| r == "mfa"));
        if !demanded || !(of.node.admin || of.node.port.is_some()) || of.guarded(&["mfa"]) {
            continue;
        }
        let people = view.inbound(id).map(|f| view.node(f.from)).filter(|n| n.node.kind == NodeKind::Party);
        let people: Vec<&str> = people.map(|n| n.name.as_str()).collect();
        if people.is_empty() {
            continue;
        }
        let name = of.name.as_str();
        let why = format!(
            "{} {} `{name}` with one factor, and zone `{}` demands two",
            list(people.iter().copied()),
            if people.len() == 1 { "administers" } else { "administer" },
            of.node.zone,
        );
        found.push(
            Found::new(name, Severity::High, why)
                .fix("ask for a second factor", [add(&["nodes", name, "guards"], "mfa")])
                .at(&["nodes", name, "guards"])
                .at(&["zones", of.node.zone.as_str(), "requires"]),
        );
    }
    found
}
