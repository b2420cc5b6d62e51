//! Posture: one model, graded. Few and exact findings with evidence and a mend, and the closure over what an attacker
//! can reach, control and hold.
//!
//! An engine: a model, its text and a day in, findings out. It never touches a file, a socket or the clock, and it
//! depends on `model` only.
mod ask;
mod blast;
pub mod closure;
mod compliance;
mod controls;
mod cuts;
mod differ;
mod entry;
#[cfg(test)]
mod examples;
mod finding;
mod frameworks;
mod glob;
mod grade;
#[cfg(test)]
mod judged;
mod links;
#[cfg(test)]
mod mutation;
mod paths;
mod processors;
mod rule;
mod rules;
mod session;
mod severity;
mod steps;
mod subjects;
mod technique;
pub mod view;
mod ways;

pub use ask::{Question, QuestionError};
pub use blast::Blast;
pub use compliance::{Assessed, Assessment, Counts, Failure, State, Test, assess};
pub use controls::{Control, Framework};
pub use cuts::{Cut, Cuts, cuts};
pub use finding::{Consequence, Evidence, Finding, Fix, Severity, Waived};
pub use frameworks::{Clause, Scope, Table};
pub use grade::{Delta, Input, grade};
pub use paths::{Attack, End, Path, PathStep};
pub use rule::{Grade, Rule};
pub use rules::RULES;
pub use session::Session;
pub use severity::{Exposure, Lack, TABLE};
pub use subjects::LooksAt;
pub use technique::{TECHNIQUES, Technique};
