//! A service that hands secrets to whoever asks.
use model::{Class, NodeKind};
use time::Date;

use crate::{
    Grade, Lack, Rule,
    closure::By,
    controls::{pci, soc2, tenet},
    rule::{Check, Found, graded, set},
    subjects,
    view::View,
};

pub(crate) static RULE: Rule = Rule {
    id: "open-metadata",
    when: "a service outside Ward answers with a secret and asks for no proof, as an instance metadata service of the first version does",
    mend: "ask for a session token (IMDSv2), or for proof of another kind: `auth: session-token`",
    grade: Grade::Table(Lack::Authentication),
    looks_at: subjects::METADATA,
    controls: &[pci("7.3.1"), soc2("CC6.1"), tenet("6")],
    example: "
zones: { inside: {} }
data: { role: { class: secret, opens: [queue], ttl: 6h } }
nodes:
  metadata: { kind: service, zone: inside, auth: none }
  worker: { kind: service, zone: inside, logs: true }
  queue: { kind: service, zone: inside, auth: sigv4 }
flows:
  - { id: credentials, from: worker, to: metadata, returns: [role], via: { local: true } }
  - { id: fetch, from: worker, to: queue, carries: [role], via: { tls: \"1.3\" } }
",
    silent: &["
zones: { inside: {} }
data: { role: { class: secret, opens: [queue], ttl: 6h } }
nodes:
  metadata: { kind: service, zone: inside, auth: session-token }
  worker: { kind: service, zone: inside }
  queue: { kind: service, zone: inside, auth: sigv4 }
flows:
  - { id: credentials, from: worker, to: metadata, returns: [role], via: { local: true } }
"],
    check: Check::Nodes(check),
};

fn check(view: &View<'_>, _: Date) -> Vec<Found> {
    let mut found = Vec::new();
    for (id, of) in view.asked_nodes() {
        if of.node.kind != NodeKind::Service || of.node.under_ward() {
            continue;
        }
        let open = view.inbound(id).filter(|f| !f.proven);
        let secrets: Vec<usize> =
            open.flat_map(|f| f.returns.iter().copied()).filter(|d| view.class(*d) == Class::Secret).collect();
        let Some(worst) = secrets.first() else { continue };
        let Some(severity) = graded(view, Lack::Authentication, *worst, of.exposed.is_some()) else { continue };
        let opens = secrets.iter().flat_map(|d| view.datum(*d).opens.iter()).map(|n| view.node(*n).name.as_str());
        let opens = crate::view::list(opens);
        let why = format!(
            "`{}` hands {} to whoever can send it a request{}",
            of.name,
            view.list(secrets.iter().copied()),
            if opens.is_empty() { String::new() } else { format!(", and that opens {opens}") },
        );
        found.push(
            Found::new(of.name, severity, why)
                .fix(
                    "ask for a session token before answering (IMDSv2)",
                    [set(&["nodes", of.name.as_str(), "auth"], "session-token")],
                )
                .at(&["nodes", of.name.as_str(), "auth"])
                .at(&["data", view.datum(*worst).name.as_str(), "opens"])
                .lets(By::Open(id)),
        );
    }
    found
}
