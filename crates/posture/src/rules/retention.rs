//! A copy that outlives what it is a copy of.
use time::Date;

use crate::{
    Grade, Rule, Severity,
    controls::{coppa, gdpr, pci, soc2},
    rule::{Check, Found, set},
    subjects,
    view::View,
};

pub(crate) static RULE: Rule = Rule {
    id: "retention",
    when: "data state a `retention`, and a copy of them states none or a longer one",
    mend: "delete copies when the thing itself is deleted: the same `retention`, or a shorter one",
    grade: Grade::Fixed(Severity::Medium),
    looks_at: subjects::LIMITED_COPIES,
    controls: &[pci("3.2.1"), soc2("C1.2"), soc2("P4.2"), gdpr("5.1.e"), coppa("312.10")],
    example: "
zones: { inside: {} }
data:
  order:  { class: internal, retention: 1y }
  backup: { class: internal, copy_of: order }
nodes:
  orders: { kind: service, zone: inside, holds: [order] }
  bucket: { kind: store, zone: inside, at_rest: kms, auth: iam, holds: [backup] }
flows:
  - { id: nightly, from: orders, to: bucket, carries: [backup], via: { tls: \"1.3\" } }
",
    silent: &["
zones: { inside: {} }
data:
  order:  { class: internal, retention: 1y }
  backup: { class: internal, copy_of: order, retention: 30d }
  draft:  { class: internal }
  cached: { class: internal, copy_of: draft }
nodes: { bucket: { kind: store, zone: inside, holds: [backup, cached] } }
"],
    check: Check::Data(check),
};

fn check(view: &View<'_>, _: Date) -> Vec<Found> {
    let mut found = Vec::new();
    for of in view.asked_data().map(|(_, of)| of) {
        let Some(limit) = of.datum.retention else { continue };
        for copy in of.copies.iter().map(|d| view.datum(*d)) {
            if copy.datum.retention.is_some_and(|r| r <= limit) {
                continue;
            }
            let days = limit.as_secs() / 86_400;
            let why = match copy.datum.retention {
                None => format!(
                    "`{}` is a copy of `{}`, which is kept {days} days, and is kept for ever",
                    copy.name, of.name
                ),
                Some(r) => format!(
                    "`{}` is a copy of `{}`, which is kept {days} days, and is kept {} days",
                    copy.name,
                    of.name,
                    r.as_secs() / 86_400
                ),
            };
            let path = ["data", copy.name.as_str(), "retention"];
            found.push(
                Found::new(copy.name, Severity::Medium, why)
                    .fix("delete the copies as well", [set(&path, format!("{}s", limit.as_secs()))])
                    .at(&path)
                    .at(&["data", of.name.as_str(), "retention"]),
            );
        }
    }
    found
}
