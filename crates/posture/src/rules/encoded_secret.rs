//! A store that encodes what it should encrypt.
use model::{AtRest, Class};
use time::Date;

use crate::{
    Grade, Lack, Rule,
    controls::{ai_act, coppa, gdpr, pci, soc2},
    rule::{Check, Found, graded, set},
    subjects,
    view::View,
};

pub(crate) static RULE: Rule = Rule {
    id: "encoded-secret",
    when: "a store only encodes (Base64 and the like) data that are confidential or worse: whoever reads them reads them",
    mend: "encrypt with keys of a key service, or keep secrets in a secrets manager: `at_rest: kms`",
    grade: Grade::Table(Lack::AtRest),
    looks_at: subjects::SENSITIVE_STORES,
    controls: &[pci("3.5.1"), pci("8.3.2"), soc2("CC6.1"), gdpr("5.1.f"), gdpr("32"), coppa("312.8"), ai_act("15.5")],
    example: "
zones: { inside: {} }
data: { api-key: { class: secret, opens: [billing], ttl: 30d } }
nodes:
  settings: { kind: store, zone: inside, auth: rbac, logs: true, at_rest: encoding, holds: [api-key] }
  billing: { kind: service, zone: inside, auth: token }
  orders: { kind: service, zone: inside, logs: true, holds: [api-key] }
flows:
  - { id: mount, from: orders, to: settings, returns: [api-key], via: { tls: \"1.3\" } }
  - { id: bill, from: orders, to: billing, carries: [api-key], via: { tls: \"1.3\" } }
",
    silent: &["
zones: { inside: {} }
data: { menu: { class: internal } }
nodes: { settings: { kind: store, zone: inside, at_rest: encoding, holds: [menu] } }
"],
    check: Check::Nodes(check),
};

fn check(view: &View<'_>, _: Date) -> Vec<Found> {
    let mut found = Vec::new();
    for of in view.asked_nodes().map(|(_, of)| of).filter(|n| n.keeps() && n.node.at_rest == Some(AtRest::Encoding)) {
        let Some(worst) = view.worst(of.holds.iter().copied()) else { continue };
        let Some(severity) = graded(view, Lack::AtRest, worst, of.exposed.is_some()) else { continue };
        let kept: Vec<usize> = of.holds.iter().copied().filter(|d| view.class(*d) >= Class::Confidential).collect();
        let opens = kept.iter().flat_map(|d| view.datum(*d).opens.iter()).map(|n| view.node(*n).name.as_str());
        let opens = crate::view::list(opens);
        let why = format!(
            "`{}` keeps {} encoded, which is not encrypted{}",
            of.name,
            view.list(kept.iter().copied()),
            if opens.is_empty() { String::new() } else { format!("; whoever reads it opens {opens}") },
        );
        found.push(
            Found::new(of.name, severity, why)
                .fix(
                    "encrypt with keys of a key service, or move the secrets to a secrets manager",
                    [set(&["nodes", of.name.as_str(), "at_rest"], "kms")],
                )
                .at(&["nodes", of.name.as_str(), "at_rest"])
                .at(&["data", view.datum(worst).name.as_str()]),
        );
    }
    found
}
