//! Sentences that more than one form of a report has.
use posture::{Assessed, Assessment, State, Test};

/// A state as a heading.
pub(super) fn heading(state: State) -> &'static str {
    match state {
        State::NotSatisfied => "Not satisfied",
        State::Accepted => "Accepted",
        State::Satisfied => "Satisfied in the model",
        State::NotApplicable => "Not applicable in the model",
        State::Manual => "Manual",
    }
}

/// What a state means.
pub(super) fn meaning(state: State) -> &'static str {
    match state {
        State::NotSatisfied => "a rule that tests it found something that nobody answers for",
        State::Accepted => "everything that was found is accepted by a waiver until a day",
        State::Satisfied => "its rules had something to look at and found nothing; a person shows the rest",
        State::NotApplicable => "its rules have nothing to look at in this model, so nothing is said of it",
        State::Manual => "no rule tests it: a person shows it",
    }
}

/// Which data a framework covers.
pub(super) fn covers(of: &Assessment) -> Option<String> {
    let scope = of.which().table().scope;
    Some(match of.covers.as_deref()? {
        [] => format!(
            "The model names no {}, so no rule has anything to look at; it would with {}. Controls that a person shows \
remain: whether the framework applies is not for a model to say.",
            scope.data(),
            scope.said_by(),
        ),
        names => {
            let quoted: Vec<String> = names.iter().map(|n| format!("`{n}`")).collect();
            format!("Counted as {}: {}.", scope.data(), quoted.join(", "))
        }
    })
}

/// `plaintext-flow`: 2 of 14 flows of more than public data.
pub(super) fn test(of: &Test) -> String {
    format!("`{}`: {} of {} {}", of.rule, of.found, of.subjects, of.looks_at)
}

/// The rules that had something to look at.
pub(super) fn at_work(of: &Assessed) -> impl Iterator<Item = &Test> {
    of.tests.iter().filter(|t| t.subjects > 0)
}
