//! Ward's own policies: written, and not enforced.
use model::Mode;
use time::Date;

use crate::{
    Grade, Rule, Severity,
    controls::{pci, soc2, tenet},
    rule::{Check, Found, remove, set},
    subjects,
    view::View,
};

pub(crate) static RULE: Rule = Rule {
    id: "dry-run",
    when: "the mesh or a node under Ward is in `mode: dry-run`: what should be refused is meant to pass",
    mend: "enforce, once the records show that nothing needed is refused: `mode: enforce`",
    grade: Grade::Fixed(Severity::Medium),
    looks_at: subjects::ENFORCING,
    controls: &[pci("7.3.3"), soc2("CC6.1"), tenet("6")],
    example: "
mesh: { mode: dry-run }
zones: { inside: {} }
data: { order: { class: internal } }
nodes:
  web: { kind: service, zone: inside, run: { command: [./web] } }
  orders: { kind: service, zone: inside, run: { command: [./orders] } }
flows:
  - { id: place, from: web, to: orders, carries: [order], via: { tls: \"1.3\" } }
",
    silent: &["
mesh: { mode: enforce }
zones: { inside: {} }
data: { order: { class: internal } }
nodes:
  web: { kind: service, zone: inside, run: { command: [./web] } }
  orders: { kind: service, zone: inside, run: { command: [./orders] }, mode: enforce }
flows:
  - { id: place, from: web, to: orders, carries: [order], via: { tls: \"1.3\" } }
"],
    check: Check::Model(check),
};

fn check(view: &View<'_>, _: Date) -> Vec<Found> {
    if !view.nodes.iter().any(|n| n.node.under_ward()) {
        return Vec::new();
    }
    if view.model.mesh.mode == Mode::DryRun {
        let path = ["mesh", "mode"];
        let why = "the whole mesh is in dry-run: what should be refused is meant to pass".to_owned();
        return vec![Found::new("ward.yaml", Severity::Medium, why).fix("enforce", [set(&path, "enforce")]).at(&path)];
    }
    let dry = view.nodes.iter().filter(|n| n.node.under_ward() && n.node.mode == Some(Mode::DryRun));
    dry.map(|of| {
        let path = ["nodes", of.name.as_str(), "mode"];
        let why = format!("`{}` is in dry-run: what should be refused is meant to pass", of.name);
        Found::new(of.name, Severity::Medium, why).fix("enforce", [remove(&path)]).at(&path)
    })
    .collect()
}
