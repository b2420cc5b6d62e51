//! A model against a framework: each control satisfied, not satisfied, accepted, without a subject, or for a person to show.
//! What is said is about the design that the model states, never about how it is operated.
use std::collections::{HashMap, HashSet};

use serde::Serialize;

use crate::{
    Clause, Evidence, Finding, Framework, RULES, Severity, Waived,
    frameworks::Scope,
    subjects::Subject,
    view::{DataId, View},
};

/// How it stands with a control.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// A rule that tests it found something that nobody answers for.
    NotSatisfied,
    /// All that its rules found, somebody answers for until a day.
    Accepted,
    /// Its rules looked at something and found nothing.
    Satisfied,
    /// Its rules have nothing to look at in this model.
    NotApplicable,
    /// No rule tests it: a person shows it.
    Manual,
}

impl State {
    /// Every state, gravest first.
    pub const ALL: [Self; 5] = [Self::NotSatisfied, Self::Accepted, Self::Satisfied, Self::NotApplicable, Self::Manual];

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotSatisfied => "not-satisfied",
            Self::Accepted => "accepted",
            Self::Satisfied => "satisfied",
            Self::NotApplicable => "not-applicable",
            Self::Manual => "manual",
        }
    }
}

/// How many controls are in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Counts {
    /// With findings.
    pub not_satisfied: usize,
    /// With findings that are all accepted.
    pub accepted: usize,
    /// Tested, with nothing found.
    pub satisfied: usize,
    /// Tested by rules that have nothing to look at here.
    pub not_applicable: usize,
    /// Not tested.
    pub manual: usize,
}

impl Counts {
    /// Of one state.
    pub fn of(&self, state: State) -> usize {
        match state {
            State::NotSatisfied => self.not_satisfied,
            State::Accepted => self.accepted,
            State::Satisfied => self.satisfied,
            State::NotApplicable => self.not_applicable,
            State::Manual => self.manual,
        }
    }

    fn count(&mut self, state: State) {
        *match state {
            State::NotSatisfied => &mut self.not_satisfied,
            State::Accepted => &mut self.accepted,
            State::Satisfied => &mut self.satisfied,
            State::NotApplicable => &mut self.not_applicable,
            State::Manual => &mut self.manual,
        } += 1;
    }
}

/// One framework's part of a report.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Assessment {
    /// Its id.
    pub framework: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Which edition the ids are of.
    pub version: &'static str,
    /// Where it can be read.
    pub source: &'static str,
    /// What must be said with it.
    pub note: &'static str,
    /// Data of the model that it covers, by name; none where it covers all.
    pub covers: Option<Vec<String>>,
    /// Controls by state.
    pub counts: Counts,
    /// Each control, in the framework's own order.
    pub controls: Vec<Assessed>,
    #[serde(skip)]
    which: Framework,
}

/// One control.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Assessed {
    /// As findings name it: `gdpr:32`.
    pub control: String,
    /// As people cite it: `Art. 32`.
    pub cite: String,
    /// What it is called.
    pub title: &'static str,
    /// What it asks.
    pub asks: &'static str,
    /// How it stands.
    pub state: State,
    /// The rules that test it, with how much each looked at.
    pub tests: Vec<Test>,
    /// What they found.
    pub findings: Vec<Failure>,
    /// What would give the rules something to look at, where they have nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub applies_with: Option<String>,
    /// What a person shows: what no rule sees of it.
    pub show: &'static str,
}

/// A rule that tests a control.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Test {
    /// The rule.
    pub rule: &'static str,
    /// What it looks at.
    pub looks_at: &'static str,
    /// At how many of those it looked.
    pub subjects: usize,
    /// At how many it found something, accepted or not.
    pub found: usize,
}

/// A finding that fails a control.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Failure {
    /// `rule@subject`, of the rule that tests the control.
    pub id: String,
    /// The finding that it follows from, where that is another one: what to mend.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub follows: Option<String>,
    /// How bad; `accepted` where somebody answers for it.
    pub severity: Severity,
    /// A sentence.
    pub why: String,
    /// What mends it, in words.
    pub mend: String,
    /// Where the model says it.
    pub evidence: Vec<Evidence>,
    /// Who answers for it, why and until when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waived: Option<Waived>,
}

impl Assessment {
    /// The framework.
    pub fn which(&self) -> Framework {
        self.which
    }

    /// The findings behind all controls that are not satisfied, once each, worst first.
    pub fn worst(&self) -> Vec<&Failure> {
        let failing = self.controls.iter().filter(|c| c.state == State::NotSatisfied).flat_map(|c| &c.findings);
        let mut all: Vec<&Failure> = failing.filter(|f| f.waived.is_none()).collect();
        // What follows from another finding is mended with it; it stands for itself where that one fails nothing here.
        let roots: HashSet<&str> = all.iter().filter(|f| f.follows.is_none()).map(|f| f.id.as_str()).collect();
        all.retain(|f| f.follows.as_deref().is_none_or(|root| !roots.contains(root)));
        all.sort_by(|a, b| b.severity.cmp(&a.severity).then_with(|| a.id.cmp(&b.id)));
        all.dedup_by(|a, b| a.id == b.id);
        all
    }
}

/// Assesses a model, of which the findings are given, by some frameworks.
pub fn assess(model: &model::Model, findings: &[Finding], frameworks: &[Framework]) -> Vec<Assessment> {
    let view = View::new(model);
    let look = |rule: &crate::Rule| {
        let mut subjects = (rule.looks_at.list)(&view);
        subjects.sort_by(|a, b| a.id.cmp(&b.id));
        subjects
    };
    let looked: HashMap<&str, Vec<Subject>> = RULES.iter().map(|rule| (rule.id, look(rule))).collect();
    let failures = failures(findings);
    frameworks.iter().map(|f| Assessor { view: &view, looked: &looked, failures: &failures, of: *f }.run()).collect()
}

/// Every finding and everything that follows from one, by rule.
fn failures(findings: &[Finding]) -> HashMap<&str, Vec<Failure>> {
    let mut all: HashMap<&str, Vec<Failure>> = HashMap::new();
    for finding in findings {
        let one = |id: &str, why: &str| Failure {
            id: id.to_owned(),
            follows: (id != finding.id).then(|| finding.id.clone()),
            severity: finding.severity,
            why: why.to_owned(),
            mend: finding.fix.words.clone(),
            evidence: finding.evidence.clone(),
            waived: finding.waived.clone(),
        };
        all.entry(finding.rule()).or_default().push(one(&finding.id, &finding.why));
        for also in &finding.also {
            let rule = also.id.split_once('@').map_or(also.id.as_str(), |(rule, _)| rule);
            all.entry(rule).or_default().push(one(&also.id, &also.why));
        }
    }
    all
}

struct Assessor<'a, 'm> {
    view: &'a View<'m>,
    looked: &'a HashMap<&'static str, Vec<Subject>>,
    failures: &'a HashMap<&'a str, Vec<Failure>>,
    of: Framework,
}

impl Assessor<'_, '_> {
    fn run(&self) -> Assessment {
        let table = self.of.table();
        let covered = self.covered(table.scope);
        let controls: Vec<Assessed> = table.clauses.iter().map(|c| self.control(c, &covered)).collect();
        let mut counts = Counts::default();
        controls.iter().for_each(|c| counts.count(c.state));
        let names = || covered.iter().zip(&self.view.data).filter(|(yes, _)| **yes).map(|(_, d)| d.name.to_string());
        Assessment {
            framework: self.of.as_str(),
            name: table.name,
            version: table.version,
            source: table.source,
            note: table.note,
            covers: (table.scope != Scope::Everything).then(|| names().collect()),
            counts,
            controls,
            which: self.of,
        }
    }

    /// Which data a framework covers. A copy is about what its original is about.
    fn covered(&self, scope: Scope) -> Vec<bool> {
        let own = |id: DataId| {
            let datum = self.view.datum(id).datum;
            scope.has(datum.of.as_deref(), datum.about.as_deref())
        };
        let mut covered: Vec<bool> = (0..self.view.data.len()).map(own).collect();
        let mut todo: Vec<DataId> = (0..covered.len()).filter(|d| covered[*d]).collect();
        while let Some(origin) = todo.pop() {
            for copy in &self.view.datum(origin).copies {
                if !std::mem::replace(&mut covered[*copy], true) {
                    todo.push(*copy);
                }
            }
        }
        covered
    }

    fn control(&self, clause: &'static Clause, covered: &[bool]) -> Assessed {
        let table = self.of.table();
        // What concerns everything concerns what is covered, if there is any.
        let some = table.scope == Scope::Everything || covered.contains(&true);
        let secret = |d: &DataId| self.view.datum(*d).datum.class == model::Class::Secret;
        let concerns = |s: &&Subject| match &s.data {
            None => some,
            Some(data) => data.iter().any(|d| covered[*d]) && (!clause.credentials || data.iter().any(secret)),
        };
        let (mut tests, mut findings) = (Vec::new(), Vec::new());
        for rule in self.of.rules(clause.id) {
            let all: &[Subject] = self.looked.get(rule.id).map_or(&[], Vec::as_slice);
            let mut subjects: Vec<&str> = all.iter().filter(concerns).map(|s| s.id.as_str()).collect();
            subjects.dedup();
            let about = |f: &&Failure| {
                let subject = f.id.split_once('@').map_or("", |(_, subject)| subject);
                let seen = || all.binary_search_by(|s| s.id.as_str().cmp(subject)).is_ok();
                // A finding about what the rule does not say to look at is never dropped.
                subjects.binary_search(&subject).is_ok() || some && !seen()
            };
            let found: Vec<Failure> = self.failures.get(rule.id).into_iter().flatten().filter(about).cloned().collect();
            tests.push(Test {
                rule: rule.id,
                looks_at: rule.looks_at.what,
                subjects: subjects.len().max(found.len()),
                found: found.len(),
            });
            findings.extend(found);
        }
        findings.sort_by(|a, b| b.severity.cmp(&a.severity).then_with(|| a.id.cmp(&b.id)));
        let state = if !clause.tested {
            State::Manual
        } else if findings.iter().any(|f| f.waived.is_none()) {
            State::NotSatisfied
        } else if !findings.is_empty() {
            State::Accepted
        } else if tests.iter().any(|t| t.subjects > 0) {
            State::Satisfied
        } else {
            State::NotApplicable
        };
        let applies_with = (state == State::NotApplicable).then(|| {
            let mut what: Vec<&str> = tests.iter().map(|t| t.looks_at).collect();
            what.dedup();
            let credentials = if clause.credentials { ", with a credential at stake" } else { "" };
            match some {
                true if table.scope == Scope::Everything => what.join("; "),
                true => format!("{}, of {}{credentials}", what.join("; "), table.scope.data()),
                false => format!("{}: a datum with {}", table.scope.data(), table.scope.said_by()),
            }
        });
        Assessed {
            control: format!("{}:{}", self.of.as_str(), clause.id),
            cite: format!("{}{}", table.prefix, clause.id),
            title: clause.title,
            asks: clause.asks,
            state,
            tests,
            findings,
            applies_with,
            show: clause.show,
        }
    }
}

#[cfg(test)]
mod tests;
