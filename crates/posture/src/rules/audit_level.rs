//! A flow that records less than its data ask for.
use model::Audit;
use time::Date;

use crate::{
    Grade, Rule, Severity,
    controls::{ai_act, gdpr, iso_42001, pci, soc2, tenet},
    rule::{Check, Found, set},
    subjects,
    view::View,
};

pub(crate) static RULE: Rule = Rule {
    id: "audit-level",
    when: "data state the least `audit` of the flows they move on, and a flow has less",
    mend: "raise it: `via: { audit: … }`",
    grade: Grade::Fixed(Severity::Medium),
    looks_at: subjects::AUDITED_FLOWS,
    controls: &[pci("10.2.1"), soc2("CC7.2"), gdpr("32"), tenet("7"), iso_42001("A.6.2.8"), ai_act("12")],
    example: "
zones: { inside: {} }
data: { order: { class: internal, audit: strict } }
nodes:
  web: { kind: service, zone: inside, run: { command: [./web] } }
  orders: { kind: service, zone: inside, run: { command: [./orders] } }
flows:
  - { id: place, from: web, to: orders, carries: [order], via: { audit: high } }
",
    silent: &["
zones: { inside: {} }
data: { order: { class: internal, audit: high }, article: { class: internal } }
nodes:
  web: { kind: service, zone: inside, run: { command: [./web] } }
  orders: { kind: service, zone: inside, run: { command: [./orders] } }
flows:
  - { id: place, from: web, to: orders, carries: [order], via: { audit: high } }
  - { id: look, from: web, to: orders, returns: [article], via: { tls: \"1.3\" } }
"],
    check: Check::Flows(check),
};

fn check(view: &View<'_>, _: Date) -> Vec<Found> {
    let mut found = Vec::new();
    for of in view.asked_flows() {
        let asking = of.carries.iter().chain(&of.returns).filter_map(|d| Some((view.datum(*d).datum.audit?, *d)));
        let Some((asked, datum)) = asking.max_by_key(|(audit, _)| *audit) else { continue };
        let has = of.flow.via.audit.unwrap_or_default();
        if has >= asked {
            continue;
        }
        let name = view.datum(datum).name;
        let why = format!("`{name}` asks for audit level `{}`, and `{}` has `{}`", word(asked), of.flow.id, word(has));
        let path = ["flows", of.flow.id.as_str(), "via", "audit"];
        found.push(
            Found::new(&of.flow.id, Severity::Medium, why)
                .fix("record what the data ask for", [set(&path, word(asked))])
                .at(&path)
                .at(&["data", name.as_str(), "audit"]),
        );
    }
    found
}

fn word(audit: Audit) -> &'static str {
    match audit {
        Audit::Low => "low",
        Audit::Medium => "medium",
        Audit::High => "high",
        Audit::Strict => "strict",
        Audit::Critical => "critical",
    }
}
