//! What is wrong with a policy: place, cause, remedy.
use std::fmt;

use serde::{Deserialize, Serialize};

/// One thing in a policy that is not understood (which refuses the whole set) or that cannot do what it seems to
/// (a warning, see `RuleSet::warnings`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompileError {
    /// `<namespace>/<name>` of the policy.
    pub policy: String,
    /// Where in it: `spec.rules[0].from[1].source.principals[2]`.
    pub field: String,
    /// What is wrong, one sentence without a full stop.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl fmt::Display for CompileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "policy {}: {}: {}", self.policy, self.field, self.message)?;
        match &self.help {
            Some(help) => write!(f, "; {help}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for CompileError {}
