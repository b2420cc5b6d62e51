//! What a rule is: when it fires, how bad it is, what mends it, and the models that show it.
use model::load::text::Change;
use serde_json::Value as Json;
use time::Date;

use crate::{Control, Exposure, Fix, Lack, Severity, closure::By, severity, subjects::LooksAt, view::View};

/// A rule. One small file each, below `rules`.
pub struct Rule {
    /// Its id, the first half of a finding's id.
    pub id: &'static str,
    /// When it fires.
    pub when: &'static str,
    /// What mends it.
    pub mend: &'static str,
    /// How bad it is.
    pub grade: Grade,
    /// What it looks at.
    pub looks_at: LooksAt,
    /// Controls that it tests, and that a finding of it fails where their framework covers the data at stake.
    pub controls: &'static [Control],
    /// A model, without its first two lines, on which it fires once and no other rule does.
    pub example: &'static str,
    /// Models on which it is silent, though it might look.
    pub silent: &'static [&'static str],
    pub(crate) check: Check,
}

/// Where the severity comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grade {
    /// The published table.
    Table(Lack),
    /// Always the same.
    Fixed(Severity),
    /// From the first, when it is as the text says, to the second.
    Either(Severity, Severity, &'static str),
}

/// Looks, on a day, with whether anything is found of which the id matches a pattern.
type AskOfFindings = fn(&View<'_>, Date, &dyn Fn(&str) -> bool) -> Vec<Found>;
/// Looks, on a day.
type Ask = fn(&View<'_>, Date) -> Vec<Found>;

/// What a rule is asked about.
pub(crate) enum Check {
    /// One node of `View::asked_nodes` at a time, what is linked to it, and what is linked to that by a flow.
    Nodes(Ask),
    /// One datum of `View::asked_data` at a time, what is linked to it, and the flows and other data of that.
    Data(Ask),
    /// One flow of `View::asked_flows` at a time, its ends, what it moves, and the flows of its ends.
    Flows(Ask),
    /// Flows, and nodes.
    FlowsAndNodes(Ask),
    /// The whole model, after every change: it must be cheap.
    Model(Ask),
    /// The model, and what all other rules found.
    Findings(AskOfFindings),
}

/// What a rule found, before it is placed, raised and accepted.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Found {
    pub(crate) subject: String,
    pub(crate) severity: Severity,
    pub(crate) why: String,
    pub(crate) fix: Fix,
    /// Paths in the model.
    pub(crate) evidence: Vec<Vec<String>>,
    /// Findings of the same cause that stand for this one where they exist.
    pub(crate) follows: Vec<(&'static str, String)>,
    /// Findings of this rule with the same words here have one cause, and one mend: the worst of them, of several the first,
    /// stands for all.
    pub(crate) group: Option<String>,
    /// Steps of an attack that this lack allows.
    pub(crate) lets: Vec<By>,
}

impl Found {
    pub(crate) fn new(subject: impl ToString, severity: Severity, why: String) -> Self {
        Self {
            subject: subject.to_string(),
            severity,
            why,
            fix: Fix::default(),
            evidence: Vec::new(),
            follows: Vec::new(),
            group: None,
            lets: Vec::new(),
        }
    }

    /// What mends it.
    pub(crate) fn fix(mut self, words: impl Into<String>, changes: impl IntoIterator<Item = Change>) -> Self {
        self.fix = Fix { words: words.into(), changes: changes.into_iter().collect() };
        self
    }

    /// Where the model says so.
    pub(crate) fn at(mut self, path: &[&str]) -> Self {
        self.evidence.push(owned(path));
        self
    }

    /// A finding that has the same cause and is nearer to it.
    pub(crate) fn follows(mut self, rule: &Rule, subject: impl ToString) -> Self {
        self.follows.push((rule.id, subject.to_string()));
        self
    }

    /// What the findings of this rule share that have one cause and one mend.
    pub(crate) fn of(mut self, group: impl ToString) -> Self {
        self.group = Some(group.to_string());
        self
    }

    /// A step that it allows.
    pub(crate) fn lets(mut self, by: By) -> Self {
        self.lets.push(by);
        self
    }
}

/// What the table says for some data, or nothing.
pub(crate) fn graded(view: &View<'_>, lack: Lack, datum: usize, outside: bool) -> Option<Severity> {
    severity::of(lack, view.class(datum), if outside { Exposure::Outside } else { Exposure::Inside })
}

fn owned(path: &[&str]) -> Vec<String> {
    path.iter().map(|s| (*s).to_owned()).collect()
}

pub(crate) fn set(path: &[&str], value: impl Into<Json>) -> Change {
    Change::Set { path: owned(path), value: value.into() }
}

pub(crate) fn remove(path: &[&str]) -> Change {
    Change::Remove { path: owned(path) }
}

pub(crate) fn add(path: &[&str], value: &str) -> Change {
    Change::Add { path: owned(path), value: value.to_owned() }
}

pub(crate) fn take(path: &[&str], value: &str) -> Change {
    Change::Drop { path: owned(path), value: value.to_owned() }
}
