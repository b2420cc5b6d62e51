//! A store that strangers read.
use model::Trust;
use time::Date;

use crate::{
    Grade, Lack, Rule,
    closure::By,
    controls::{ai_act, ai_rmf, coppa, gdpr, pci, soc2, tenet},
    rule::{Check, Found, graded, set, take},
    subjects,
    view::{Exposed, View, class_word},
};

pub(crate) static RULE: Rule = Rule {
    id: "public-store",
    when: "a store of more than public data can be reached from a zone without trust, and asks nobody for proof",
    mend: "take the untrusted zone out of `exposed_to`, and let callers prove themselves",
    grade: Grade::Table(Lack::Authentication),
    looks_at: subjects::STORES,
    controls: &[
        pci("1.4.4"),
        pci("7.3.1"),
        soc2("CC6.1"),
        soc2("CC6.6"),
        gdpr("5.1.f"),
        gdpr("25"),
        gdpr("32"),
        tenet("6"),
        coppa("312.8"),
        ai_rmf("MEASURE 2.7"),
        ai_act("15.5"),
    ],
    example: "
zones: { internet: { trust: none }, inside: {} }
data: { report: { class: internal } }
nodes:
  bucket: { kind: store, zone: inside, auth: none, exposed_to: [internet], at_rest: kms, holds: [report] }
  writer: { kind: service, zone: inside }
flows:
  - { id: publish, from: writer, to: bucket, carries: [report], via: { tls: \"1.3\", auth: iam } }
",
    silent: &[
        "
zones: { internet: { trust: none }, inside: {} }
data: { page: { class: public } }
nodes: { bucket: { kind: store, zone: inside, auth: none, exposed_to: [internet], holds: [page] } }
",
        "
zones: { internet: { trust: none }, inside: {} }
data: { report: { class: internal } }
nodes: { bucket: { kind: store, zone: inside, auth: iam, exposed_to: [internet], holds: [report] } }
",
    ],
    check: Check::Nodes(check),
};

fn check(view: &View<'_>, _: Date) -> Vec<Found> {
    let mut found = Vec::new();
    for (id, of) in view.asked_nodes().filter(|(_, n)| n.keeps() && n.open()) {
        // A party's own proof, or the flow's, is proof enough for that flow; an exposed port asks for none.
        let by_flow = || {
            let outsiders = view.inbound(id).filter(|f| view.node(f.from).trust == Trust::None && !f.flow.standby);
            outsiders.into_iter().find(|f| !f.proven)
        };
        let (name, exposed) = (of.name.as_str(), of.exposed);
        let (whence, changes, evidence) = match (exposed, by_flow()) {
            (Some(Exposed::Stated(zone)), _) => {
                let outside = of.node.exposed_to.iter().filter(|z| view.is_outside(z));
                let mut changes: Vec<_> = outside.map(|z| take(&["nodes", name, "exposed_to"], z.as_str())).collect();
                // Private, it would still not know who of those inside asks.
                if view.inbound(id).any(|f| !f.authenticated && !f.flow.standby) {
                    changes.push(set(&["nodes", name, "auth"], "iam"));
                }
                (zone.as_str(), changes, vec!["nodes", name, "exposed_to"])
            }
            (_, Some(flow)) => {
                let whence = view.node(flow.from).node.zone.as_str();
                (whence, vec![set(&["nodes", name, "auth"], "iam")], vec!["flows", flow.flow.id.as_str()])
            }
            _ => continue,
        };
        let Some(worst) = view.worst(of.holds.iter().copied()) else { continue };
        let Some(severity) = graded(view, Lack::Authentication, worst, true) else { continue };
        let why = format!(
            "anybody in `{whence}` can read {} from `{name}`, which asks for no proof: {} data",
            view.list(of.holds.iter().copied()),
            class_word(view.class(worst)),
        );
        found.push(
            Found::new(name, severity, why)
                .fix("make it private: no untrusted zone may connect to it, and whoever does proves who it is", changes)
                .at(&evidence)
                .at(&["nodes", name, "auth"])
                .lets(By::Open(id)),
        );
    }
    found
}
