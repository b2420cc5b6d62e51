//! A store whose data lie on the disk as they are.
use model::{AtRest, Class};
use time::Date;

use crate::{
    Grade, Lack, Rule,
    controls::{ai_act, ai_rmf, coppa, gdpr, pci, soc2},
    rule::{Check, Found, graded, set},
    subjects,
    view::{View, class_word},
};

pub(crate) static RULE: Rule = Rule {
    id: "unencrypted-store",
    when: "a store holds data that are confidential or worse, or ask for encryption, and nothing encrypts them at rest",
    mend: "encrypt the volume, or better with keys of a key service, and say so: `at_rest: kms`",
    grade: Grade::Table(Lack::AtRest),
    looks_at: subjects::SENSITIVE_STORES,
    controls: &[
        pci("3.5.1"),
        pci("8.3.2"),
        soc2("CC6.1"),
        gdpr("5.1.f"),
        gdpr("32"),
        coppa("312.8"),
        ai_rmf("MEASURE 2.7"),
        ai_act("15.5"),
    ],
    example: "
zones: { inside: {} }
data: { invoice: { class: confidential } }
nodes:
  archive: { kind: store, zone: inside, auth: iam, logs: true, at_rest: none, holds: [invoice] }
  billing: { kind: service, zone: inside, reads: [invoice] }
flows:
  - { id: file, from: billing, to: archive, carries: [invoice], via: { tls: \"1.3\" } }
",
    silent: &[
        "
zones: { inside: {} }
data: { menu: { class: internal } }
nodes: { archive: { kind: store, zone: inside, at_rest: none, holds: [menu] } }
",
        "
zones: { inside: {} }
data: { invoice: { class: confidential } }
nodes: { archive: { kind: store, zone: inside, at_rest: volume, holds: [invoice] } }
",
    ],
    check: Check::Nodes(check),
};

fn check(view: &View<'_>, _: Date) -> Vec<Found> {
    let mut found = Vec::new();
    for of in
        view.asked_nodes().map(|(_, of)| of).filter(|n| n.keeps() && n.node.at_rest.is_none_or(|a| a == AtRest::None))
    {
        let Some(worst) = view.worst(of.holds.iter().copied()) else { continue };
        let Some(severity) = graded(view, Lack::AtRest, worst, of.exposed.is_some()) else { continue };
        let kept: Vec<usize> = of.holds.iter().copied().filter(|d| view.class(*d) >= Class::Confidential).collect();
        let asks = kept.iter().any(|d| view.datum(*d).datum.encrypt_required);
        let why = format!(
            "`{}` keeps {} unencrypted: {} data{}",
            of.name,
            view.list(kept.iter().copied()),
            class_word(view.class(worst)),
            if asks { ", and encryption is required" } else { "" },
        );
        found.push(
            Found::new(of.name, severity, why)
                .fix(
                    "encrypt it at rest with keys of a key service",
                    [set(&["nodes", of.name.as_str(), "at_rest"], "kms")],
                )
                .at(&["nodes", of.name.as_str(), "at_rest"])
                .at(&["data", view.datum(worst).name.as_str()]),
        );
    }
    found
}
