//! A copy that is kept worse than what it is a copy of.
use model::{AtRest, Class};
use time::Date;

use super::{encoded_secret, public_store, unencrypted_store};
use crate::{
    Grade, Rule, Severity,
    controls::{coppa, gdpr, pci, soc2},
    rule::{Check, Found, set},
    subjects,
    view::{NodeView, View},
};

pub(crate) static RULE: Rule = Rule {
    id: "weaker-copy",
    when: "a store keeps a copy with less than the stores of the original: unencrypted where those are encrypted, or open to a zone without trust where none of those is",
    mend: "keep the copy as the original is kept",
    grade: Grade::Fixed(Severity::Medium),
    looks_at: subjects::COPIES,
    controls: &[pci("3.5.1"), soc2("CC6.1"), gdpr("32"), coppa("312.8")],
    example: "
zones: { inside: {} }
data:
  order:  { class: internal }
  backup: { class: internal, copy_of: order }
nodes:
  db: { kind: store, zone: inside, at_rest: volume, auth: password, holds: [order] }
  bucket: { kind: store, zone: inside, at_rest: none, auth: iam, holds: [backup] }
flows:
  - { id: nightly, from: db, to: bucket, carries: [backup], via: { tls: \"1.3\" } }
",
    silent: &["
zones: { inside: {} }
data:
  order:  { class: internal }
  backup: { class: internal, copy_of: order }
nodes:
  db: { kind: store, zone: inside, at_rest: kms, auth: password, holds: [order] }
  bucket: { kind: store, zone: inside, at_rest: volume, auth: iam, holds: [backup] }
"],
    check: Check::Data(check),
};

fn encrypted(node: &NodeView<'_>) -> bool {
    matches!(node.node.at_rest, Some(AtRest::Volume | AtRest::Kms))
}

fn check(view: &View<'_>, _: Date) -> Vec<Found> {
    let mut found = Vec::new();
    for of in view.asked_data().map(|(_, of)| of).filter(|d| d.datum.class > Class::Public) {
        let stores: Vec<&NodeView<'_>> = of.holders.iter().map(|n| view.node(*n)).filter(|n| n.keeps()).collect();
        if stores.is_empty() {
            continue;
        }
        let (all_encrypted, none_open) =
            (stores.iter().all(|n| encrypted(n)), !stores.iter().any(|n| n.exposed.is_some() && n.open()));
        for copy in of.copies.iter().map(|d| view.datum(*d)) {
            for store in copy.holders.iter().map(|n| view.node(*n)).filter(|n| n.keeps()) {
                let plain = all_encrypted && !encrypted(store);
                let open = none_open && store.exposed.is_some() && store.open();
                if !plain && !open {
                    continue;
                }
                let how = if plain { "unencrypted" } else { "open to strangers" };
                let why = format!(
                    "`{}` keeps `{}` {how}, and `{}`, of which it is a copy, is not kept so",
                    store.name, copy.name, of.name
                );
                let name = store.name.as_str();
                let wanted = if stores.iter().any(|n| n.node.at_rest == Some(AtRest::Kms)) { "kms" } else { "volume" };
                let changes = plain.then(|| set(&["nodes", name, "at_rest"], wanted));
                found.push(
                    Found::new(copy.name, Severity::Medium, why)
                        .fix("keep the copy as the original is kept", changes)
                        .at(&["nodes", name, "at_rest"])
                        .at(&["data", copy.name.as_str(), "copy_of"])
                        .follows(&unencrypted_store::RULE, name)
                        .follows(&encoded_secret::RULE, name)
                        .follows(&public_store::RULE, name),
                );
                break;
            }
        }
    }
    found
}
