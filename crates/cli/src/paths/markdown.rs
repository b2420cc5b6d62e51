//! Paths as a report to keep.
use std::path::Path as FilePath;

use posture::{Blast, Path};

use super::text::{certainty, summary, title};
use crate::output::visible;

/// The report.
pub(super) fn paths(dir: &FilePath, shown: &[Path], all: usize) -> String {
    let mut out = format!("# Attack paths of {}\n\n{}", dir.display(), summary(shown.len(), all));
    if !shown.is_empty() {
        out += "\n| class | path | steps | |\n|---|---|---|---|\n";
    }
    for path in shown {
        let class = posture::view::class_word(path.class);
        out += &format!("| {class} | `{}` | {} | {} |\n", path.id, path.steps.len(), certainty(path));
    }
    for path in shown {
        out += &format!("\n## `{}`\n\n**{}**, {}\n\n", path.id, title(path), certainty(path));
        for (number, step) in (1..).zip(&path.steps) {
            let technique = step.technique.map_or(String::new(), |t| format!(" ({t})"));
            let assumed = if step.assumed { "*assumed*: " } else { "" };
            let at = step.at.as_ref().map_or(String::new(), |at| format!(", `{}:{}`", at.file, at.line));
            out += &format!("{number}. {assumed}{}{technique}{at}\n", step.does);
        }
        if !path.also.is_empty() {
            let also = posture::view::list(path.also.iter().map(String::as_str));
            out += &format!("\nThe same way leads to {also}.\n");
        }
    }
    visible(&out).into_owned()
}

/// Blast radii as a table.
pub(super) fn blast(all: &[Blast]) -> String {
    let mut out = "| node | worst | data | controls | connects to |\n|---|---|---|---|---|\n".to_owned();
    for one in all {
        let data: Vec<String> =
            one.data.iter().map(|d| format!("{} {}: {}", d.count, d.class, d.names.join(", "))).collect();
        let controls = one.controls.join(", ");
        out += &format!(
            "| `{}` | {} | {} | {controls} | {} |\n",
            one.node,
            one.worst.unwrap_or("-"),
            data.join("; "),
            one.reaches
        );
    }
    visible(&out).into_owned()
}
