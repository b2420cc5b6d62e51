//! The house rules as tests that can fail: which room may touch what, and how things are written down.
//!
//! A rule looks at a `Tree` (paths and texts), so that it is itself tested on small bad trees (`tidy/tests.rs`). It
//! must not run anything or look outside the tree; only `dependencies` asks `cargo tree`, for what is really linked.
mod code;
mod dependencies;
mod doors;
mod rooms;
mod tests;
mod tree;
mod writing;

use tree::Tree;

/// One breach of a rule.
#[derive(Debug, PartialEq, Eq)]
struct Offence {
    path: String,
    /// Counted from 1; 0 when the whole file is meant.
    line: usize,
    what: String,
}

impl Offence {
    fn new(path: &str, line: usize, what: impl Into<String>) -> Offence {
        Offence { path: path.to_owned(), line, what: what.into() }
    }
}

struct Rule {
    name: &'static str,
    /// What to do about an offence.
    remedy: &'static str,
    check: fn(&Tree) -> Vec<Offence>,
}

/// A breach that stands, and why. A line here is a debt: `no_exception_is_stale` fails when it is no longer needed.
struct Exception {
    rule: &'static str,
    path: &'static str,
    /// What the offence's text contains.
    what: &'static str,
    reason: &'static str,
}

const EXCEPTIONS: &[Exception] = &[
    Exception {
        rule: "silenced-lints",
        path: "crates/wire/src/lib.rs",
        what: "allow",
        reason: "generated code breaks a different set of lints with each generator version; `expect` would not hold",
    },
    Exception {
        rule: "time-door",
        path: "crates/cli/src/clock.rs",
        what: "now",
        reason: "the operator's tool has a door of its own: shells do not import each other, and `daemon` is no business of it",
    },
    Exception {
        rule: "engines-decide",
        path: "crates/posture/src/processors.rs",
        what: "std::thread",
        reason: "comparing two models of 100,000 flows waits for memory: all processors wait at once, and the result is the same with one",
    },
    Exception {
        rule: "no-sleep",
        path: "tests/it/eventually.rs",
        what: "sleep",
        reason: "the one place that polls another process; with a deadline, and never to let time pass",
    },
];

const RULES: &[Rule] = &[
    rooms::DEPENDENCIES,
    rooms::ENGINES,
    rooms::NAMES,
    rooms::VERSIONS,
    rooms::MANIFESTS,
    doors::TIME,
    doors::SPAWN,
    doors::ENVIRONMENT,
    doors::ANYHOW,
    writing::MODULE_DOCS,
    writing::SILENCED_LINTS,
    writing::TODO,
    writing::NO_SLEEP,
    writing::NO_IGNORE,
    writing::SECRET,
    writing::PLACES,
    writing::ARCHITECTURE,
    writing::LINKS,
    dependencies::SOURCES,
    dependencies::DIRECT,
];

fn excused(rule: &Rule, offence: &Offence) -> Option<usize> {
    EXCEPTIONS.iter().position(|e| e.rule == rule.name && e.path == offence.path && offence.what.contains(e.what))
}

fn offences(rule: &Rule, tree: &Tree) -> Vec<Offence> {
    let mut found = (rule.check)(tree);
    found.retain(|offence| excused(rule, offence).is_none());
    found
}

fn report(rule: &Rule, found: &[Offence]) -> String {
    let mut out = format!("{}: {} offence(s)\n", rule.name, found.len());
    for Offence { path, line, what } in found {
        match line {
            0 => out += &format!("  {path}: {what}\n"),
            _ => out += &format!("  {path}:{line}: {what}\n"),
        }
    }
    out + "  remedy: " + rule.remedy + "\n"
}
