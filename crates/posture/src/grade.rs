//! From a model to its findings: every rule asked, consequences put to their causes, steps of attacks raised, waivers kept.
use std::collections::HashMap;

use model::{
    Model, Waiver,
    load::text::{Change, Text},
};
use time::Date;

use crate::{
    Consequence, Evidence, Finding, RULES, Rule, Severity, Waived,
    closure::{By, Closure, Start},
    glob,
    rule::{Check, Found},
    view::{View, class_word},
};

/// What is graded.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    /// The model.
    pub model: &'a Model,
    /// Its text, for the places of things; without it findings have no evidence.
    pub text: Option<&'a Text>,
    /// The day: waivers and drills end by it.
    pub today: Date,
}

/// The findings, worst first; of the same severity by id.
pub fn grade(input: Input<'_>) -> Vec<Finding> {
    let view = View::new(input.model);
    let mut found = Vec::new();
    for rule in RULES {
        if let Check::Model(check) = rule.check {
            found.extend(check(&view, input.today).into_iter().map(|f| (*rule, f)));
        }
    }
    let mut findings = Vec::with_capacity(found.len());
    // Only where some lack would let an attacker do something is it worth asking whether one gets there.
    let closure = found.iter().any(|(_, f)| !f.lets.is_empty()).then(|| Closure::new(&view, &Start::outside(&view)));
    for (rule, found, also) in caused(found, input.model, input.today) {
        let mut finding = placed(rule, &found, also, input.text);
        if let Some(by) = closure.as_ref().and_then(|c| found.lets.iter().find(|by| c.uses(**by))) {
            finding.raised = (finding.severity.raised() > finding.severity).then(|| step(&view, *by));
            finding.severity = finding.severity.raised();
        }
        findings.push(finding);
    }
    let mut stale = Vec::new();
    for rule in RULES {
        if let Check::Findings(check) = rule.check {
            let found = check(&view, input.today, &findings);
            stale.extend(found.into_iter().map(|f| placed(rule, &f, Vec::new(), input.text)));
        }
    }
    findings.extend(stale);
    for finding in &mut findings {
        waive(input.model, input.today, finding);
    }
    findings.sort_by(|a, b| b.severity.cmp(&a.severity).then_with(|| a.id.cmp(&b.id)));
    findings
}

/// Each root with what follows from it. Whoever accepts one of several findings of one rule has not accepted the others: those
/// that a waiver covers and those that none covers stand apart.
fn caused(
    found: Vec<(&'static Rule, Found)>,
    model: &Model,
    today: Date,
) -> Vec<(&'static Rule, Found, Vec<Consequence>)> {
    let ids: Vec<String> = found.iter().map(|(rule, f)| format!("{}@{}", rule.id, f.subject)).collect();
    let places: HashMap<&str, usize> = ids.iter().map(String::as_str).zip(0..).collect();
    let waived: Vec<bool> = ids.iter().map(|id| waiver(model, today, id).is_some()).collect();
    let cause = |at: usize| {
        let (rule, f) = &found[at];
        let apart = |root: usize| found[root].0.id == rule.id && waived[root] != waived[at];
        f.follows.iter().filter_map(|id| places.get(id.as_str()).copied()).find(|root| *root != at && !apart(*root))
    };
    let causes: Vec<Option<usize>> = (0..found.len()).map(cause).collect();
    let mut groups: HashMap<(&str, &str, bool), usize> = HashMap::new();
    // What has another cause stands for nothing.
    for (at, (rule, f)) in found.iter().enumerate().filter(|(at, _)| causes[*at].is_none()) {
        if let Some(group) = &f.group {
            let first = groups.entry((rule.id, group, waived[at])).or_insert(at);
            if f.severity > found[*first].1.severity {
                *first = at;
            }
        }
    }
    let parent = |at: usize| {
        let (rule, f) = &found[at];
        let group = || groups.get(&(rule.id, f.group.as_deref()?, waived[at])).copied();
        causes[at].or_else(group).filter(|root| *root != at)
    };
    let parents: Vec<Option<usize>> = (0..found.len()).map(parent).collect();
    let mut also: HashMap<usize, Vec<Consequence>> = HashMap::new();
    // What mends the others of a group belongs to the mend of the one that stands for them.
    let mut more: HashMap<usize, Vec<Change>> = HashMap::new();
    let mut roots = Vec::new();
    for (at, (rule, f)) in found.iter().enumerate() {
        let mut root = at;
        // A circle would be a mistake of the rules; the bound turns it into a finding too many.
        for _ in 0..RULES.len() {
            match parents[root] {
                Some(parent) => root = parent,
                None => break,
            }
        }
        if root == at || parents[root].is_some() {
            roots.push(at);
            continue;
        }
        if found[root].0.id == rule.id && f.group.is_some() && f.group == found[root].1.group {
            more.entry(root).or_default().extend(f.fix.changes.iter().cloned());
        }
        also.entry(root).or_default().push(Consequence { id: ids[at].clone(), why: f.why.clone() });
    }
    let mut found: Vec<Option<(&'static Rule, Found)>> = found.into_iter().map(Some).collect();
    let taken = roots.into_iter().filter_map(|at| {
        let (rule, mut f) = found[at].take()?;
        for change in more.remove(&at).unwrap_or_default() {
            if !f.fix.changes.contains(&change) {
                f.fix.changes.push(change);
            }
        }
        Some((rule, f, also.remove(&at).unwrap_or_default()))
    });
    taken.collect()
}

fn placed(rule: &Rule, found: &Found, also: Vec<Consequence>, text: Option<&Text>) -> Finding {
    let mut evidence: Vec<Evidence> = Vec::new();
    for path in &found.evidence {
        if let Some(place) = text.and_then(|t| t.place(path)) {
            let one = Evidence { file: place.file, line: place.line, path: place.path };
            if !evidence.contains(&one) {
                evidence.push(one);
            }
        }
    }
    Finding {
        id: format!("{}@{}", rule.id, found.subject),
        severity: found.severity,
        why: found.why.clone(),
        fix: found.fix.clone(),
        also,
        controls: rule.controls.to_vec(),
        evidence,
        raised: None,
        waived: None,
    }
}

fn waive(model: &Model, today: Date, finding: &mut Finding) {
    let Some(waiver) = waiver(model, today, &finding.id) else { return };
    finding.waived = Some(Waived {
        id: waiver.id.clone(),
        why: waiver.why.clone(),
        owner: waiver.owner.clone(),
        until: waiver.until.to_string(),
        severity: finding.severity,
    });
    finding.severity = Severity::Accepted;
}

/// The waiver that accepts it today.
fn waiver<'m>(model: &'m Model, today: Date, id: &str) -> Option<&'m Waiver> {
    model.waivers.iter().find(|w| w.until >= today && glob::matches(&w.accepts, id))
}

/// The step of an attack, in a sentence.
fn step(view: &View<'_>, by: By) -> String {
    match by {
        By::Opened(secret, node) => {
            format!("on an attack path: `{}` opens `{}`", view.datum(secret).name, view.node(node).name)
        }
        By::Open(node) => {
            let of = view.node(node);
            let returned = of.inbound.iter().flat_map(|f| view.flow(*f).returns.iter().copied());
            let worst = view.worst(of.holds.iter().copied().chain(returned));
            let what = worst.map_or(String::new(), |d| {
                format!(", and hands out `{}`, which is {}", view.datum(d).name, class_word(view.class(d)))
            });
            format!("on an attack path: whoever reaches `{}` need prove nothing{what}", of.name)
        }
        _ => "on an attack path".to_owned(),
    }
}

#[cfg(test)]
mod tests;
