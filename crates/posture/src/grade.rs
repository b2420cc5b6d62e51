//! From a model to its findings: every rule asked, consequences put to their causes, steps of attacks raised, waivers kept.
use std::collections::{HashMap, HashSet};

use model::{Model, load::text::Text};
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
    for (rule, found, also) in caused(found) {
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

/// Each root with what follows from it.
fn caused(found: Vec<(&'static Rule, Found)>) -> Vec<(&'static Rule, Found, Vec<Consequence>)> {
    let id = |rule: &Rule, found: &Found| format!("{}@{}", rule.id, found.subject);
    let ids: HashSet<String> = found.iter().map(|(rule, f)| id(rule, f)).collect();
    let follows = |f: &Found| f.follows.iter().find(|root| ids.contains(*root)).cloned();
    let parents: HashMap<String, String> =
        found.iter().filter_map(|(rule, f)| Some((id(rule, f), follows(f)?))).collect();
    let mut also: HashMap<String, Vec<Consequence>> = HashMap::new();
    let mut roots = Vec::new();
    for (rule, f) in found {
        let own = id(rule, &f);
        let mut root = &own;
        // A circle would be a mistake of the rules; the bound turns it into a finding too many.
        for _ in 0..RULES.len() {
            match parents.get(root) {
                Some(parent) => root = parent,
                None => break,
            }
        }
        if *root == own || parents.contains_key(root) {
            roots.push((rule, f, own));
        } else {
            also.entry(root.clone()).or_default().push(Consequence { id: own.clone(), why: f.why });
        }
    }
    roots.into_iter().map(|(rule, f, own)| (rule, f, also.remove(&own).unwrap_or_default())).collect()
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
    let Some(waiver) = model.waivers.iter().find(|w| w.until >= today && glob::matches(&w.accepts, &finding.id)) else {
        return;
    };
    finding.waived = Some(Waived {
        id: waiver.id.clone(),
        why: waiver.why.clone(),
        owner: waiver.owner.clone(),
        until: waiver.until.to_string(),
        severity: finding.severity,
    });
    finding.severity = Severity::Accepted;
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
