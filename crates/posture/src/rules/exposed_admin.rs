//! A login that strangers can try.
use model::{Auth, NodeKind};
use time::Date;

use crate::{
    Grade, Rule, Severity,
    controls::{ai_act, ai_rmf, coppa, gdpr, pci, soc2, tenet},
    entry::asked,
    rule::{Check, Found, add, take},
    subjects,
    view::{Exposed, View},
};

pub(crate) static RULE: Rule = Rule {
    id: "exposed-admin",
    when: "an administration node, a login port (`port`) or a store's login can be reached from a zone without trust, and a key or password is all it asks for",
    mend: "reach it through a private network or a bastion: take the untrusted zone out of `exposed_to`",
    grade: Grade::Either(Severity::High, Severity::Critical, "a password, or nothing at all, is enough"),
    looks_at: subjects::LOGINS,
    controls: &[
        pci("1.4.2"),
        soc2("CC6.1"),
        soc2("CC6.6"),
        gdpr("32"),
        tenet("6"),
        coppa("312.8"),
        ai_rmf("MEASURE 2.7"),
        ai_act("15.5"),
    ],
    example: "
zones: { internet: { trust: none }, inside: {} }
data: { command: { class: internal } }
nodes:
  machine: { kind: service, zone: inside, port: 22, auth: key, exposed_to: [internet] }
  operator: { kind: party, zone: inside, auth: key }
flows:
  - { id: log-in, from: operator, to: machine, carries: [command], via: { ssh: true } }
",
    silent: &[
        "
zones: { internet: { trust: none }, inside: {} }
nodes: { machine: { kind: service, zone: inside, port: 22, auth: key, exposed_to: [inside] } }
",
        "
zones: { internet: { trust: none }, inside: {} }
nodes: { cluster: { kind: service, zone: inside, privilege: admin, auth: rbac, exposed_to: [internet] } }
",
        "
zones: { internet: { trust: none }, inside: {} }
nodes: { site: { kind: service, zone: inside, auth: password, guards: [rate], exposed_to: [internet] } }
",
        "
zones: { internet: { trust: none }, inside: {} }
data: { command: { class: internal } }
nodes:
  operator: { kind: party, zone: internet, auth: mtls }
  panel: { kind: service, zone: inside, privilege: admin }
flows:
  - { id: operate, from: operator, to: panel, carries: [command], via: { tls: \"1.3\" } }
",
    ],
    check: Check::Nodes(check),
};

fn check(view: &View<'_>, _: Date) -> Vec<Found> {
    let mut found = Vec::new();
    for of in
        view.asked_nodes().map(|(_, of)| of).filter(|n| n.node.kind != NodeKind::Party && !n.guarded(&["mfa", "oidc"]))
    {
        let Some(exposed) = of.exposed else { continue };
        let (node, name) = (of.node, of.name.as_str());
        let login = node.port.is_some() || node.admin;
        // A store that asks for nothing is `public-store`; one that is asked by a party through a flow is a service to it.
        let store = of.keeps()
            && matches!(node.auth, Some(Auth::Password | Auth::Key))
            && matches!(exposed, Exposed::Stated(_));
        let asked = asked(view, of);
        let severity = match asked {
            Some(Auth::Key) => Severity::High,
            None | Some(Auth::None | Auth::Password) => Severity::Critical,
            _ => continue,
        };
        if !(login || store) {
            continue;
        }
        let what = match (node.port, node.admin) {
            (Some(port), _) => format!("port {port} of `{name}`"),
            (None, true) => format!("the administration of `{name}`"),
            (None, false) => format!("the login of `{name}`"),
        };
        let asks = match asked {
            Some(Auth::Key) => "a key is all it asks for",
            Some(Auth::Password) => "a password is all it asks for",
            Some(_) => "it asks for nothing",
            None => "nothing says what it asks for",
        };
        let (zone, changes, evidence) = match exposed {
            Exposed::Stated(zone) => {
                let outside = node.exposed_to.iter().filter(|z| view.is_outside(z));
                let changes = outside.map(|z| take(&["nodes", name, "exposed_to"], z.as_str())).collect();
                (zone.as_str(), changes, vec!["nodes", name, "exposed_to"])
            }
            Exposed::Flow(flow) => {
                let flow = view.flow(flow);
                let zone = view.node(flow.from).node.zone.as_str();
                (zone, vec![add(&["nodes", name, "guards"], "mfa")], vec!["flows", flow.flow.id.as_str()])
            }
        };
        found.push(
            Found::new(name, severity, format!("{what} can be reached from `{zone}`, and {asks}"))
                .fix("let it be reached from a private network or a bastion only", changes)
                .at(&evidence)
                .at(&["nodes", name, "port"])
                .at(&["nodes", name, "auth"]),
        );
    }
    found
}
