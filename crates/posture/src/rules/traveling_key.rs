//! A private key that leaves the place where it was made.
use model::{Class, Data};
use time::Date;

use crate::{
    Grade, Rule, Severity,
    controls::soc2,
    rule::{Check, Found, take},
    subjects,
    view::{View, list},
};

pub(crate) static RULE: Rule = Rule {
    id: "traveling-key",
    when: "a private key (`of: private-key`, `signing-key` or `ca-key`) moves on a flow, or is held in two places",
    mend: "make a key where it is used and send the request for its certificate; a CA's key stays in its key service",
    grade: Grade::Fixed(Severity::High),
    looks_at: subjects::KEYS,
    controls: &[soc2("CC6.1")],
    example: "
zones: { inside: {} }
data: { own-key: { class: secret, of: private-key, ttl: 24h }, certificate: { class: public } }
nodes:
  issuer: { kind: service, zone: inside, logs: true }
  sidecar: { kind: service, zone: inside, holds: [own-key] }
flows:
  - { id: deliver, from: issuer, to: sidecar, carries: [certificate, own-key], via: { mtls: true } }
",
    silent: &["
zones: { inside: {} }
data:
  own-key: { class: secret, of: private-key, ttl: 24h }
  request: { class: internal, of: csr }
nodes:
  issuer: { kind: service, zone: inside }
  sidecar: { kind: service, zone: inside, holds: [own-key] }
flows:
  - { id: renew, from: sidecar, to: issuer, carries: [request], via: { mtls: true } }
"],
    check: Check::Data(check),
};

pub(super) fn is_key(datum: &Data) -> bool {
    datum.class == Class::Secret && matches!(datum.of.as_deref(), Some("private-key" | "signing-key" | "ca-key"))
}

fn check(view: &View<'_>, _: Date) -> Vec<Found> {
    let mut found = Vec::new();
    for of in view.asked_data().map(|(_, of)| of).filter(|d| is_key(d.datum)) {
        let flow = |f: &usize| view.flow(*f).flow.id.as_str();
        let flows: Vec<&str> = of.carried.iter().chain(&of.returned).map(flow).collect();
        let homes: Vec<&str> = of.holders.iter().map(|n| view.node(*n).name.as_str()).collect();
        if flows.is_empty() && homes.len() < 2 {
            continue;
        }
        let name = of.name.as_str();
        let why = match flows.is_empty() {
            true => format!("`{name}` is held by {}: one of them can be the other", list(homes.iter().copied())),
            false => {
                format!("`{name}` travels on {}: a private key stays where it was made", list(flows.iter().copied()))
            }
        };
        let carried = of.carried.iter().map(|f| take(&["flows", flow(f), "carries"], name));
        let returned = of.returned.iter().map(|f| take(&["flows", flow(f), "returns"], name));
        let mut one = Found::new(name, Severity::High, why)
            .fix("make the key where it is used, and send the request for its certificate", carried.chain(returned))
            .at(&["data", name]);
        for flow in flows {
            one = one.at(&["flows", flow]);
        }
        for home in homes {
            one = one.at(&["nodes", home, "holds"]);
        }
        found.push(one);
    }
    found
}
