//! What may be done in one place only: read the clock, spawn a task, read the environment, give up typed errors.
use super::{Offence, Rule, code::is_under, rooms::crate_of, tree::Tree};

pub(super) const TIME: Rule = Rule {
    name: "time-door",
    remedy: "take a `daemon::Clock`, or the time as an argument",
    check: |tree| {
        shipped(tree, |path, used| {
            let (owner, last) = used.rsplit_once("::").unwrap_or_default();
            matches!(last, "now" | "now_utc" | "now_local")
                && !owner.ends_with("Clock")
                && crate_of(path) != Some("daemon")
        })
    },
};

pub(super) const SPAWN: Rule = Rule {
    name: "spawn-door",
    remedy: "spawn on a `daemon::Tasks`: it knows the drain signal and cuts at the deadline",
    check: |tree| {
        shipped(tree, |path, used| {
            matches!(used, "tokio::spawn" | "tokio::task::spawn" | "tokio::task::spawn_local")
                && crate_of(path) != Some("daemon")
        })
    },
};

pub(super) const ENVIRONMENT: Rule = Rule {
    name: "environment-door",
    remedy: "read it once in `main` or `config` and pass the value down",
    check: |tree| {
        shipped(tree, |path, used| {
            let reads =
                ["args", "current_dir", "remove_var", "set_var", "temp_dir", "var", "var_os", "vars", "vars_os"];
            used.strip_prefix("std::env::").is_some_and(|what| reads.contains(&what))
                && !path.ends_with("/main.rs")
                && !path.ends_with("/config.rs")
                && !path.contains("/config/")
                && !path.ends_with("/build.rs")
        })
    },
};

pub(super) const ANYHOW: Rule = Rule {
    name: "anyhow-door",
    remedy: "one small error enum per operation; `anyhow` only in `main` and `cli`",
    check: |tree| {
        shipped(tree, |path, used| {
            is_under(used, "anyhow") && crate_of(path) != Some("cli") && !path.ends_with("/main.rs")
        })
    },
};

/// Paths in code that ships, outside the examples (they are other people's programs), that `is_offence`.
fn shipped(tree: &Tree, is_offence: impl Fn(&str, &str) -> bool) -> Vec<Offence> {
    let mut found = Vec::new();
    for (path, source) in tree.rust().filter(|(path, _)| !path.starts_with("examples/")) {
        for used in &source.paths {
            if is_offence(path, &used.path) {
                found.push(Offence::new(path, used.line, format!("`{}`", used.path)));
            }
        }
    }
    found
}
