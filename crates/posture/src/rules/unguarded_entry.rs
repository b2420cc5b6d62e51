//! Requests of strangers that nothing filters.
use time::Date;

use crate::{
    Grade, Rule, Severity,
    controls::{pci, soc2},
    entry::is_unguarded_entry,
    rule::{Check, Found, add},
    view::{View, list},
};

pub(crate) static RULE: Rule = Rule {
    id: "unguarded-entry",
    when: "a flow from a zone without trust enters a service that has neither `waf` nor `rate` among its `guards`",
    mend: "put a web application firewall, or at least a limit, before it: `guards: [waf, rate]`",
    grade: Grade::Fixed(Severity::Medium),
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
    ],
    check: Check::Model(check),
};

fn check(view: &View<'_>, _: Date) -> Vec<Found> {
    let mut found = Vec::new();
    for (id, of) in view.nodes.iter().enumerate() {
        let entries: Vec<_> = view.inbound(id).filter(|f| is_unguarded_entry(view, f)).collect();
        let Some(first) = entries.first() else { continue };
        let name = of.name.as_str();
        let zones = list(entries.iter().map(|f| view.node(f.from).node.zone.as_str()));
        let why = format!("requests from {zones} enter `{name}` unfiltered and unlimited");
        found.push(
            Found::new(name, Severity::Medium, why)
                .fix("filter requests with a web application firewall", [add(&["nodes", name, "guards"], "waf")])
                .at(&["nodes", name, "guards"])
                .at(&["flows", first.flow.id.as_str()]),
        );
    }
    found
}
