//! An emergency that nobody has practised.
use time::Date;

use crate::{
    Grade, Rule, Severity,
    controls::soc2,
    rule::{Check, Found},
    subjects,
    view::View,
};

pub(crate) static RULE: Rule = Rule {
    id: "stale-drill",
    when: "an emergency states how often it is drilled (`drill: { every: 90d, last: … }`), and the last drill is longer ago",
    mend: "drill it, and write down the day",
    grade: Grade::Fixed(Severity::Medium),
    looks_at: subjects::DRILLS,
    controls: &[soc2("CC7.5")],
    example: "
zones: { inside: {} }
data: { order: { class: internal } }
nodes:
  medic: { kind: party, zone: inside, auth: oidc, keys: [k1] }
  chief: { kind: party, zone: inside, auth: oidc, keys: [k2] }
  orders: { kind: service, zone: inside }
flows:
  - { id: override, from: medic, to: orders, returns: [order], standby: true, via: { tls: \"1.3\" } }
emergencies:
  incident: { flows: [override], approvers: { any: 1, of: [chief] }, drill: { every: 90d, last: 2020-01-01 } }
",
    silent: &["
zones: { inside: {} }
data: { order: { class: internal } }
nodes:
  medic: { kind: party, zone: inside, auth: oidc, keys: [k1] }
  chief: { kind: party, zone: inside, auth: oidc, keys: [k2] }
  orders: { kind: service, zone: inside }
flows:
  - { id: override, from: medic, to: orders, returns: [order], standby: true, via: { tls: \"1.3\" } }
emergencies:
  incident: { flows: [override], approvers: { any: 1, of: [chief] }, drill: { every: 90d, last: 2099-01-01 } }
  second: { flows: [override], approvers: { any: 1, of: [chief] } }
"],
    check: Check::Model(check),
};

fn check(view: &View<'_>, today: Date) -> Vec<Found> {
    let mut found = Vec::new();
    for (name, emergency) in &view.model.emergencies {
        let Some(drill) = emergency.drill else { continue };
        let days = drill.every.as_secs() / 86_400;
        let why = match drill.last {
            None => format!("`{name}` was never drilled, and is to be every {days} days"),
            Some(last) if u64::try_from((today - last).whole_days()).is_ok_and(|since| since > days) => {
                format!("`{name}` was last drilled on {last}, and is to be every {days} days")
            }
            Some(_) => continue,
        };
        found.push(
            Found::new(name, Severity::Medium, why).fix("drill it, and write the day under `drill.last`", []).at(&[
                "emergencies",
                name.as_str(),
                "drill",
            ]),
        );
    }
    found
}
