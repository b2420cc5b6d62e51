//! Data that whoever sits on the wire reads.
use model::Class;
use time::Date;

use super::{open_promotion, private_traffic_over_internet};
use crate::{
    Grade, Lack, Rule,
    controls::{gdpr, pci, soc2, tenet},
    rule::{Check, Found, graded, set},
    view::{Transit, View},
};

pub(crate) static RULE: Rule = Rule {
    id: "plaintext-flow",
    when: "a flow moves more than public data in plain text, or confidential data with no word about encryption on the way",
    mend: "speak TLS and say so: `via: { tls: \"1.3\" }`; between nodes under Ward it is mutual TLS by itself",
    grade: Grade::Table(Lack::InTransit),
    controls: &[pci("4.2.1"), soc2("CC6.7"), gdpr("32"), tenet("2")],
    example: "
zones: { inside: {} }
data: { order: { class: internal } }
nodes:
  web: { kind: service, zone: inside }
  orders: { kind: service, zone: inside }
flows:
  - { id: place, from: web, to: orders, carries: [order], via: { tls: none } }
",
    silent: &[
        "
zones: { inside: {} }
data: { order: { class: internal } }
nodes:
  web: { kind: service, zone: inside, run: { command: [./web] } }
  orders: { kind: service, zone: inside, run: { command: [./orders] } }
flows:
  - { id: place, from: web, to: orders, carries: [order] }
",
        "
zones: { inside: {} }
data: { token: { class: confidential } }
nodes:
  web: { kind: service, zone: inside }
  helper: { kind: service, zone: inside }
flows:
  - { id: ask, from: web, to: helper, carries: [token], via: { local: true } }
",
    ],
    check: Check::Model(check),
};

fn check(view: &View<'_>, _: Date) -> Vec<Found> {
    let mut found = Vec::new();
    for of in &view.flows {
        let said = match of.transit {
            Transit::Plain(_) => true,
            Transit::Unstated => false,
            _ => continue,
        };
        let Some(worst) = of.worst.filter(|d| said || view.class(*d) >= Class::Confidential) else { continue };
        let Some(severity) = graded(view, Lack::InTransit, worst, of.crosses_outside) else { continue };
        let flow = of.flow;
        let moved = of.carries.iter().chain(&of.returns).copied().filter(|d| view.class(*d) > Class::Public);
        let why = format!(
            "`{}` and `{}` exchange {} {}",
            flow.from,
            flow.to,
            view.list(moved),
            if said { "in plain text" } else { "without a word about encryption on the way" },
        );
        let (change, at) = match of.transit {
            Transit::Plain(Some(listener)) => {
                let listener = listener.to_string();
                let path = ["nodes", flow.to.as_str(), "listen", listener.as_str(), "tls"].map(str::to_owned).to_vec();
                (set(&path.iter().map(String::as_str).collect::<Vec<_>>(), "auto"), path)
            }
            _ => {
                let path = ["flows", flow.id.as_str(), "via", "tls"].map(str::to_owned).to_vec();
                (set(&["flows", flow.id.as_str(), "via", "tls"], "1.3"), path)
            }
        };
        let mut one = Found::new(&flow.id, severity, why)
            .fix("speak TLS 1.3", [change])
            .at(&at.iter().map(String::as_str).collect::<Vec<_>>())
            .at(&["data", view.datum(worst).name.as_str()])
            .follows(&open_promotion::RULE, &flow.id);
        if !said {
            // It needed no word while it stayed in the house.
            one = one.follows(&private_traffic_over_internet::RULE, &flow.id);
        }
        found.push(one);
    }
    found
}
