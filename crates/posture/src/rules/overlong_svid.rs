//! Ward's own keys: identities that live long enough to be stolen.
use std::time::Duration;

use time::Date;

use crate::{
    Grade, Rule, Severity,
    controls::{soc2, tenet},
    rule::{Check, Found, set},
    subjects,
    view::View,
};

/// Longest life of a workload's certificate that is not worth a word.
const SVID_TTL_MAX: Duration = Duration::from_secs(86_400);

pub(crate) static RULE: Rule = Rule {
    id: "overlong-svid",
    when: "`mesh.svid_ttl` is above 24 h: whoever steals a sidecar's key is that workload until then",
    mend: "an hour is enough, for sidecars renew by themselves: `svid_ttl: 1h`",
    grade: Grade::Fixed(Severity::Medium),
    looks_at: subjects::MESH,
    controls: &[soc2("CC6.1"), tenet("3")],
    example: "
mesh: { svid_ttl: 7d }
zones: { inside: {} }
data: { order: { class: internal } }
nodes:
  web: { kind: service, zone: inside, run: { command: [./web] } }
  orders: { kind: service, zone: inside, run: { command: [./orders] } }
flows:
  - { id: place, from: web, to: orders, carries: [order], via: { tls: \"1.3\" } }
",
    silent: &["
mesh: { svid_ttl: 24h }
zones: { inside: {} }
data: { order: { class: internal } }
nodes:
  web: { kind: service, zone: inside, run: { command: [./web] } }
"],
    check: Check::Model(check),
};

fn check(view: &View<'_>, _: Date) -> Vec<Found> {
    let ttl = view.model.mesh.svid_ttl;
    if ttl <= SVID_TTL_MAX || !view.nodes.iter().any(|n| n.node.under_ward()) {
        return Vec::new();
    }
    let path = ["mesh", "svid_ttl"];
    let why = format!("identities live {} hours: a stolen key is good that long", ttl.as_secs() / 3_600);
    vec![Found::new("ward.yaml", Severity::Medium, why).fix("renew within a day", [set(&path, "24h")]).at(&path)]
}
