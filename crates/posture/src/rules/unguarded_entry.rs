//! Requests of strangers that nothing filters.
use time::Date;

use crate::{
    Grade, Rule, Severity,
    controls::{pci, soc2},
    entry::{is_declared_only, is_entrance, is_unguarded_entry, is_unguarded_exposure},
    rule::{Check, Found, add, take},
    subjects,
    view::{Exposed, View, list},
};

pub(crate) static RULE: Rule = Rule {
    id: "unguarded-entry",
    when: "a flow from a zone without trust enters a service that has neither `waf` nor `rate` among its `guards`; or a service outside Ward is `exposed_to` such a zone, is no administration or login, and neither a guard nor a cloud's own proof (`iam`, `sigv4`, `rbac`) stands before it",
    mend: "put a web application firewall, or at least a limit, before it: `guards: [waf, rate]`; what nobody outside needs is not exposed",
    grade: Grade::Either(Severity::Medium, Severity::High, "it is exposed and asks for no proof"),
    looks_at: subjects::ENTRIES,
    controls: &[pci("6.4.2"), soc2("CC6.6")],
    example: "
zones: { internet: { trust: none }, inside: {} }
data: { order: { class: internal } }
nodes:
  customer: { kind: party, zone: internet }
  site: { kind: service, zone: inside }
flows:
  - { id: shop, from: customer, to: site, carries: [order], via: { tls: \"1.3\" } }
",
    silent: &[
        "
zones: { internet: { trust: none }, inside: {} }
data: { order: { class: internal } }
nodes:
  customer: { kind: party, zone: internet }
  site: { kind: service, zone: inside, guards: [waf] }
flows:
  - { id: shop, from: customer, to: site, carries: [order], via: { tls: \"1.3\" } }
",
        "
zones: { internet: { trust: none }, inside: {} }
data: { order: { class: internal } }
nodes:
  partner: { kind: party, zone: internet, auth: mtls }
  site: { kind: service, zone: inside }
flows:
  - { id: shop, from: partner, to: site, carries: [order], via: { tls: \"1.3\" } }
",
        "
zones: { internet: { trust: none }, cloud: {} }
data: { order: { class: internal } }
nodes:
  operator: { kind: party, zone: cloud, auth: iam }
  cloud-api: { kind: service, zone: cloud, auth: sigv4, exposed_to: [internet], privilege: admin }
  queue: { kind: service, zone: cloud, auth: iam, exposed_to: [internet] }
flows:
  - { id: fill, from: operator, to: queue, carries: [order], via: { tls: \"1.3\" } }
  - { id: operate, from: operator, to: cloud-api, carries: [order], via: { tls: \"1.3\" } }
",
    ],
    check: Check::Nodes(check),
};

fn check(view: &View<'_>, _: Date) -> Vec<Found> {
    let mut found = Vec::new();
    for (id, of) in view.asked_nodes().filter(|(id, _)| is_entrance(view, *id)) {
        let name = of.name.as_str();
        let entries: Vec<_> = view.inbound(id).filter(|f| is_unguarded_entry(view, f)).collect();
        let one = match of.exposed {
            Some(Exposed::Stated(zone)) if is_unguarded_exposure(view, id) => {
                let outside = of.node.exposed_to.iter().filter(|z| view.is_outside(z));
                let (severity, lacks) = match of.open() {
                    true => (Severity::High, "asks for no proof, and nothing filters or limits requests"),
                    false => (Severity::Medium, "nothing filters or limits requests"),
                };
                let why = format!(
                    "anybody in `{zone}` can connect to `{name}`: {}{lacks}",
                    if of.open() { "it " } else { "" }
                );
                // Somebody outside is meant to come: then it is filtered and not shut.
                let (words, changes) = match entries.is_empty() {
                    true => (
                        "let nobody outside connect to it; if they must, put a web application firewall before it",
                        outside.map(|z| take(&["nodes", name, "exposed_to"], z.as_str())).collect(),
                    ),
                    false => (FILTER, vec![add(&["nodes", name, "guards"], "waf")]),
                };
                Found::new(name, severity, why).fix(words, changes).at(&["nodes", name, "exposed_to"])
            }
            _ => {
                let zones = list(entries.iter().map(|f| view.node(f.from).node.zone.as_str()));
                let why = format!("requests from {zones} enter `{name}` unfiltered and unlimited");
                let words = match is_declared_only(of, "waf") {
                    false => FILTER.to_owned(),
                    true => format!("{FILTER} of another make: Ward's own is declared by this and not enforced yet"),
                };
                Found::new(name, Severity::Medium, why).fix(words, [add(&["nodes", name, "guards"], "waf")])
            }
        };
        let one = one.at(&["nodes", name, "guards"]);
        found.push(entries.first().into_iter().fold(one, |one, f| one.at(&["flows", f.flow.id.as_str()])));
    }
    found
}

const FILTER: &str = "filter requests with a web application firewall";
