//! A finding: what is weaker than it should be, why, where it is written, and the change that mends it.
use std::fmt;

use model::load::text::Change;
use serde::{Serialize, Serializer};

use crate::Control;

/// How bad, least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Somebody answers for it until a day.
    Accepted,
    /// Untidy, or a promise nobody needs.
    Low,
    /// A defence is missing where another one still holds.
    Medium,
    /// One mistake or one stolen thing away from harm.
    High,
    /// Open today.
    Critical,
}

impl Severity {
    /// One level worse, at most critical.
    pub fn raised(self) -> Self {
        match self {
            Self::Accepted => Self::Accepted,
            Self::Low => Self::Medium,
            Self::Medium => Self::High,
            Self::High | Self::Critical => Self::Critical,
        }
    }

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What mends it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Fix {
    /// In words: what to change in the world, of which the model then speaks.
    pub words: String,
    /// The same in the model; empty where only people can decide.
    pub changes: Vec<Change>,
}

/// What follows from the same cause, and is not a finding of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Consequence {
    /// `rule@subject`, as it would be found alone.
    pub id: String,
    /// A sentence.
    pub why: String,
}

/// Where the model says it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Evidence {
    /// File of the model.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// What is written there: `nodes.orders-db.at_rest`. A field that is lacking has the place of its noun.
    pub path: String,
}

/// Who answers for it, and until when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Waived {
    /// The waiver's id.
    pub id: String,
    /// Its reason.
    pub why: String,
    /// Who answers.
    pub owner: String,
    /// Last day, as written.
    pub until: String,
    /// What the severity would be without it.
    pub severity: Severity,
}

/// A finding.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// `rule@subject`.
    pub id: String,
    /// How bad.
    pub severity: Severity,
    /// A sentence that names the model's things.
    pub why: String,
    /// What mends it.
    pub fix: Fix,
    /// What follows from the same cause.
    pub also: Vec<Consequence>,
    /// Controls that this fails.
    #[serde(serialize_with = "words")]
    pub controls: Vec<Control>,
    /// Where the model says it.
    pub evidence: Vec<Evidence>,
    /// Why the severity is higher than the table's: the step of an attack that this allows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raised: Option<String>,
    /// Ids of the paths on which that step is, as they are for everybody outside; at most three.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// How many more there are.
    #[serde(skip_serializing_if = "is_zero")]
    pub more_paths: usize,
    /// The waiver that accepts it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waived: Option<Waived>,
}

impl Finding {
    /// The rule's part of the id.
    pub fn rule(&self) -> &str {
        self.id.split_once('@').map_or(&self.id, |(rule, _)| rule)
    }

    /// The subject's part of the id.
    pub fn subject(&self) -> &str {
        self.id.split_once('@').map_or("", |(_, subject)| subject)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde asks for")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

fn words<S: Serializer>(controls: &[Control], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(controls.iter().map(ToString::to_string))
}
