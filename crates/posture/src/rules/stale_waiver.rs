//! A waiver that has ended, or accepts nothing.
use time::Date;

use crate::{
    Grade, RULES, Rule, Severity,
    controls::soc2,
    glob,
    rule::{Check, Found, remove},
    subjects,
    view::View,
};

pub(crate) static RULE: Rule = Rule {
    id: "stale-waiver",
    when: "the last day of a waiver is over, or nothing that it accepts is found any more",
    mend: "take the waiver away; where its day is over and the risk stays, decide anew",
    grade: Grade::Fixed(Severity::Low),
    looks_at: subjects::WAIVERS,
    controls: &[soc2("CC3.2")],
    example: "
zones: { inside: {} }
data: { order: { class: internal } }
nodes:
  web: { kind: service, zone: inside }
  orders: { kind: service, zone: inside }
flows:
  - { id: place, from: web, to: orders, carries: [order], via: { tls: \"1.3\" } }
waivers:
  - { id: W-1, accepts: plaintext-flow@place, why: the wire is short, owner: web-team, until: 2100-01-31 }
",
    silent: &["
zones: { inside: {} }
data: { order: { class: internal } }
nodes:
  web: { kind: service, zone: inside }
  orders: { kind: service, zone: inside }
flows:
  - { id: place, from: web, to: orders, carries: [order], via: { tls: none } }
waivers:
  - { id: W-1, accepts: plaintext-flow@place, why: the wire is short, owner: web-team, until: 2100-01-31 }
  - { id: W-2, accepts: undeclared-flow@*, why: told by traffic only, owner: web-team, until: 2100-01-31 }
"],
    check: Check::Findings(check),
};

fn check(view: &View<'_>, today: Date, is_found: &dyn Fn(&str) -> bool) -> Vec<Found> {
    let mut found = Vec::new();
    for waiver in &view.model.waivers {
        // What only traffic can show is not for a rule over the model to miss.
        let rule = waiver.accepts.split('@').next().unwrap_or_default();
        let ours = RULES.iter().any(|r| glob::matches(rule, r.id));
        let accepts = is_found(&waiver.accepts);
        let (id, accepted, owner) = (&waiver.id, &waiver.accepts, &waiver.owner);
        let why = if waiver.until < today {
            format!("`{id}` of {owner} accepted `{accepted}` until {}, which is over", waiver.until)
        } else if ours && !accepts {
            format!("`{id}` of {owner} accepts `{accepted}`, and nothing of that is found")
        } else {
            continue;
        };
        let path = ["waivers", id.as_str()];
        found.push(
            Found::new(id, Severity::Low, why).fix("take the waiver away, or decide anew", [remove(&path)]).at(&path),
        );
    }
    found
}
