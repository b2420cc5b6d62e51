//! No silent words: every word of a node or flow with who keeps it and how far it is kept (DESIGN §2). The table is
//! `model`'s; here it meets what is in force.
use model::{
    AtRest, Audit, Flow, Node,
    words::{Place, State, find},
};
use serde_json::{Value, json};

/// The words of a node; `enforced` says whether its configuration is in force.
pub fn of_node(node: &Node, enforced: bool) -> Vec<Value> {
    let guards = node.guards.iter().map(|guard| (Place::Guards, guard.as_str()));
    let at_rest = node.at_rest.map(|word| (Place::AtRest, at_rest(word)));
    let state = if enforced { "enforced" } else { "declared" };
    guards.chain(at_rest).filter_map(|(place, word)| shown(place, word, state)).collect()
}

/// The words of a flow, which is itself in `state`.
pub fn of_flow(flow: &Flow, state: &str) -> Vec<Value> {
    let via = &flow.via;
    let fields = [
        ("allow", via.allow.is_some()),
        ("port", via.port.is_some()),
        ("timeout", via.timeout.is_some()),
        ("rewrite", via.rewrite.is_some()),
        ("limit", via.limit.is_some()),
        ("cors", via.cors),
    ];
    let fields = fields.into_iter().filter(|(_, said)| *said).map(|(word, _)| (Place::Via, word));
    let audit = via.audit.map(|level| (Place::Audit, audit(level)));
    let others = via.words.keys().map(|word| (Place::Via, word.as_str()));
    let state = if matches!(state, "enforced" | "verified") { state } else { "declared" };
    fields.chain(audit).chain(others).filter_map(|(place, word)| shown(place, word, state)).collect()
}

fn shown(place: Place, word: &str, in_force: &str) -> Option<Value> {
    let found = find(place, word)?;
    let state = match found.state {
        State::Enforced => in_force,
        State::NotYet => "declared",
        State::Described => "unenforceable",
    };
    let word = if place == Place::Audit { format!("audit: {word}") } else { word.to_owned() };
    Some(json!({ "word": word, "owner": found.owner, "state": state, "today": found.today }))
}

fn at_rest(word: AtRest) -> &'static str {
    match word {
        AtRest::None => "none",
        AtRest::Encoding => "encoding",
        AtRest::Volume => "volume",
        AtRest::Kms => "kms",
    }
}

fn audit(level: Audit) -> &'static str {
    match level {
        Audit::Low => "low",
        Audit::Medium => "medium",
        Audit::High => "high",
        Audit::Strict => "strict",
        Audit::Critical => "critical",
    }
}
