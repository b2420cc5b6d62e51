//! A secret that lives long enough to be forgotten.
use std::time::Duration;

use model::Class;
use time::Date;

use crate::{
    Grade, Rule, Severity,
    controls::{pci, soc2},
    rule::{Check, Found, set},
    subjects,
    view::View,
};

/// Longest life of a secret that is not worth a word: a quarter, the usual period of a review.
const TTL_MAX: Duration = Duration::from_secs(90 * 86_400);

pub(crate) static RULE: Rule = Rule {
    id: "overlong-secret",
    when: "a secret has a `ttl` above 90 days",
    mend: "issue it for less; hours are enough for what machines use: `ttl: 1h`",
    grade: Grade::Fixed(Severity::Low),
    looks_at: subjects::TIMED_SECRETS,
    controls: &[pci("8.6.3"), soc2("CC6.1")],
    example: "
zones: { inside: {} }
data: { api-key: { class: secret, opens: [billing], ttl: 1y } }
nodes:
  billing: { kind: service, zone: inside, auth: token }
  orders: { kind: service, zone: inside, logs: true, holds: [api-key] }
flows:
  - { id: bill, from: orders, to: billing, carries: [api-key], via: { tls: \"1.3\" } }
",
    silent: &["
zones: { inside: {} }
data: { api-key: { class: secret, opens: [billing], ttl: 90d } }
nodes: { billing: { kind: service, zone: inside, auth: token } }
"],
    check: Check::Data(check),
};

fn check(view: &View<'_>, _: Date) -> Vec<Found> {
    let secrets = view.asked_data().map(|(_, of)| of).filter(|d| d.datum.class == Class::Secret);
    let long = secrets.filter_map(|d| d.datum.ttl.filter(|ttl| *ttl > TTL_MAX).map(|ttl| (d, ttl)));
    long.map(|(of, ttl)| {
        let why = format!(
            "`{}` lives {} days, which is long enough to be stolen and forgotten",
            of.name,
            ttl.as_secs() / 86_400
        );
        let path = ["data", of.name.as_str(), "ttl"];
        Found::new(of.name, Severity::Low, why).fix("issue it for 90 days at most", [set(&path, "90d")]).at(&path)
    })
    .collect()
}
