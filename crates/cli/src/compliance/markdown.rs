//! A report as Markdown: counts and the worst on top, then control by control.
use posture::{Assessed as Control, Assessment, Failure, State};

use super::{Report, words};
use crate::output::visible;

/// Most findings on top.
const WORST_MAX: usize = 10;

/// The report.
pub(super) fn report(of: &Report) -> String {
    let mut out = format!("# Compliance of {}\n\n", plain(&of.model));
    out += &format!("As of {}, of the model in `{}`. {}\n", of.date, code(&of.directory), of.means);
    out += "\n| framework | not satisfied | accepted | satisfied | not applicable | manual |\n|---|---:|---:|---:|---:|---:|\n";
    for one in &of.frameworks {
        let counts = State::ALL.map(|s| one.counts.of(s).to_string());
        out += &format!("| {}, {} | {} |\n", one.name, one.version, counts.join(" | "));
    }
    for one in &of.frameworks {
        out += &framework(one);
    }
    visible(&out).into_owned()
}

fn framework(of: &Assessment) -> String {
    let mut out = format!("\n## {}\n\n{}, <{}>. {}\n", of.name, of.version, of.source, of.note);
    if let Some(covers) = words::covers(of) {
        out += &format!("\n{}\n", prose(&covers));
    }
    let worst = of.worst();
    if !worst.is_empty() {
        out += &format!("\n{} behind what is not satisfied, worst first:\n\n", count(worst.len(), "finding"));
        for one in worst.iter().take(WORST_MAX) {
            out += &format!("- **{}** `{}`: {}\n", one.severity, code(&one.id), prose(&one.why));
        }
        if worst.len() > WORST_MAX {
            out += &format!("- and {} more, below\n", worst.len() - WORST_MAX);
        }
    }
    for state in State::ALL {
        let all: Vec<&Control> = of.controls.iter().filter(|c| c.state == state).collect();
        if all.is_empty() {
            continue;
        }
        out += &format!("\n### {} ({})\n\n", words::heading(state), all.len());
        out += &format!("{}.\n", sentence(words::meaning(state)));
        if matches!(state, State::Manual | State::NotApplicable) {
            out += &table(of, &all);
        } else {
            all.into_iter().for_each(|one| out += &control(one));
        }
    }
    out
}

/// Controls that nothing was found about, nor could be.
fn table(of: &Assessment, all: &[&Control]) -> String {
    // Where nothing is covered, the section says so once for all.
    let applies = all.iter().any(|c| c.applies_with.is_some()) && of.covers.as_ref().is_none_or(|c| !c.is_empty());
    let mut out = match applies {
        true => "\n| control | asks | would apply with | a person shows |\n|---|---|---|---|\n".to_owned(),
        false => "\n| control | asks | a person shows |\n|---|---|---|\n".to_owned(),
    };
    for one in all {
        let mut cells = vec![format!("{}, {}", one.cite, one.title), one.asks.to_owned()];
        if applies {
            cells.push(one.applies_with.clone().unwrap_or_default());
        }
        cells.push(one.show.to_owned());
        out += &format!("| {} |\n", cells.iter().map(|c| cell(c)).collect::<Vec<_>>().join(" | "));
    }
    out
}

fn control(of: &Control) -> String {
    let mut out = format!("\n#### {}: {}\n\n{}\n\n", of.cite, of.title, of.asks);
    for one in &of.findings {
        out += &failure(one);
    }
    let tests: Vec<String> = words::at_work(of).map(words::test).collect();
    if !tests.is_empty() {
        out += &format!("- tested by {}\n", prose(&tests.join("; ")));
    }
    out += &format!("- a person shows: {}\n", of.show);
    out
}

fn failure(of: &Failure) -> String {
    let mut out = format!("- **{}** `{}`: {}\n", of.severity, code(&of.id), prose(&of.why));
    if let Some(root) = &of.follows {
        out += &format!("  - follows from `{}`\n", code(root));
    }
    let mut places: Vec<String> = of.evidence.iter().map(|e| format!("`{}:{}`", code(&e.file), e.line)).collect();
    places.dedup();
    if !places.is_empty() {
        out += &format!("  - at {}\n", places.join(", "));
    }
    match &of.waived {
        Some(waived) => {
            let (id, owner, why) = (code(&waived.id), plain(&waived.owner), plain(&waived.why));
            out += &format!("  - {}, accepted by `{id}` of {owner} until {}: {why}\n", waived.severity, waived.until);
        }
        None => out += &format!("  - mend: {}\n", prose(&of.mend)),
    }
    out
}

fn count(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default() + chars.as_str()
}

/// Our own sentence about names of the model, which stand in backticks: what is outside of those is not to be markup.
fn prose(text: &str) -> String {
    let parts: Vec<&str> = text.split('`').collect();
    // With an odd number of marks, nobody can tell what is inside.
    if parts.len().is_multiple_of(2) {
        return plain(text);
    }
    let one = |(n, part): (usize, &&str)| if n % 2 == 1 { format!("`{}`", code(part)) } else { plain(part) };
    parts.iter().enumerate().map(one).collect()
}

/// Text that somebody wrote, as text: no markup, no links, no line of its own.
fn plain(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '\\' | '`' | '*' | '_' | '[' | ']' | '#' | '|' | '~' | '!' => out.extend(['\\', c]),
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '&' => out += "&amp;",
            c if c.is_whitespace() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// What stands in backticks.
fn code(text: &str) -> String {
    text.chars().map(|c| if c == '`' || c.is_whitespace() { ' ' } else { c }).collect()
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
