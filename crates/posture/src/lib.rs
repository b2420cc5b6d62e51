//! Posture: one model, graded. Few and exact findings with evidence and a mend, and the closure over what an attacker
//! can reach, control and hold.
//!
//! An engine: a model, its text and a day in, findings out. It never touches a file, a socket or the clock, and it
//! depends on `model` only.
pub mod closure;
mod controls;
#[cfg(test)]
mod examples;
mod finding;
mod glob;
mod grade;
#[cfg(test)]
mod mutation;
mod rule;
mod rules;
mod severity;
pub mod view;

pub use controls::{Control, Framework};
pub use finding::{Consequence, Evidence, Finding, Fix, Severity, Waived};
pub use grade::{Input, grade};
pub use rule::{Grade, Rule};
pub use rules::RULES;
pub use severity::{Exposure, Lack, TABLE};
