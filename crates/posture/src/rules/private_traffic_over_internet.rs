//! Traffic between our own that leaves the house.
use model::{Class, Trust};
use serde_json::Value as Json;
use time::Date;

use crate::{
    Grade, Rule, Severity,
    controls::soc2,
    rule::{Check, Found, set},
    subjects,
    view::View,
};

pub(crate) static RULE: Rule = Rule {
    id: "private-traffic-over-internet",
    when: "a flow of more than public data between two zones with trust says that it leaves the private network: `local: false`",
    mend: "keep it on the private network, by a private endpoint of the service, and say so: `via: { local: true }`",
    grade: Grade::Fixed(Severity::Medium),
    looks_at: subjects::PLACED_FLOWS,
    controls: &[soc2("CC6.6"), soc2("CC6.7")],
    example: "
zones: { internet: { trust: none }, inside: {}, cloud: {} }
data: { report: { class: internal } }
nodes:
  writer: { kind: service, zone: inside }
  bucket: { kind: store, zone: cloud, auth: iam, at_rest: kms, holds: [report] }
flows:
  - { id: upload, from: writer, to: bucket, carries: [report], via: { tls: \"1.3\", local: false } }
",
    silent: &[
        "
zones: { inside: {}, cloud: {} }
data: { report: { class: internal } }
nodes:
  writer: { kind: service, zone: inside }
  bucket: { kind: store, zone: cloud, auth: iam, at_rest: kms, holds: [report] }
flows:
  - { id: upload, from: writer, to: bucket, carries: [report], via: { tls: \"1.3\" } }
",
        "
zones: { internet: { trust: none }, cloud: {} }
data: { report: { class: internal } }
nodes:
  partner: { kind: party, zone: internet, auth: mtls }
  bucket: { kind: store, zone: cloud, auth: iam, at_rest: kms, holds: [report] }
flows:
  - { id: upload, from: partner, to: bucket, carries: [report], via: { tls: \"1.3\", local: false } }
",
    ],
    check: Check::Flows(check),
};

fn check(view: &View<'_>, _: Date) -> Vec<Found> {
    let mut found = Vec::new();
    for of in view.asked_flows().filter(|f| f.flow.via.words.get("local") == Some(&Json::Bool(false))) {
        let inside = [of.from, of.to].iter().all(|n| view.node(*n).trust > Trust::None);
        let moves = of.worst.is_some_and(|d| view.class(d) > Class::Public);
        if !inside || !moves {
            continue;
        }
        let flow = of.flow;
        let why = format!(
            "the way of {} from `{}` to `{}` leaves the private network, where both ends are",
            view.list(of.carries.iter().chain(&of.returns).copied()),
            flow.from,
            flow.to,
        );
        let path = ["flows", flow.id.as_str(), "via", "local"];
        found.push(
            Found::new(&flow.id, Severity::Medium, why)
                .of(&flow.to)
                .fix("reach it by a private endpoint inside the network", [set(&path, true)])
                .at(&path),
        );
    }
    found
}
