//! Findings as a report to keep: a table, then each with its reason, places, mend and patch.
use std::path::Path;

use model::load::text::Text;
use posture::Finding;

use super::{
    patch::Patches,
    text::{paths, summary},
};
use crate::output::visible;

/// The report.
pub(super) fn report(dir: &Path, text: &Text, findings: &[Finding]) -> String {
    let mut out = format!("# Posture of {}\n\n{}", dir.display(), summary(findings.iter().map(|f| f.severity)));
    if !findings.is_empty() {
        out += "\n| severity | finding | why |\n|---|---|---|\n";
    }
    for finding in findings {
        out += &format!("| {} | `{}` | {} |\n", finding.severity, finding.id, cell(&finding.why));
    }
    let mut patches = Patches::new(text);
    for finding in findings {
        out += &format!("\n## `{}`\n\n**{}**: {}\n", finding.id, finding.severity, finding.why);
        if let Some(raised) = &finding.raised {
            let on = paths(finding).map_or_else(String::new, |paths| format!(", as on {paths}"));
            out += &format!("\nWorse than by itself, being {raised}{on}.\n");
        }
        if let Some(waived) = &finding.waived {
            let (id, owner) = (&waived.id, &waived.owner);
            out +=
                &format!("\n{}, accepted by {id} ({owner}) until {}: {}\n", waived.severity, waived.until, waived.why);
        }
        out.push('\n');
        for also in &finding.also {
            out += &format!("- also `{}`: {}\n", also.id, also.why);
        }
        for evidence in &finding.evidence {
            out += &format!("- `{}:{}` {}\n", evidence.file, evidence.line, evidence.path);
        }
        let controls: Vec<String> = finding.controls.iter().map(|c| format!("`{c}`")).collect();
        out += &format!("- fails {}\n- mend: {}\n", controls.join(", "), finding.fix.words);
        if let Some(patch) = patches.of(finding) {
            out += &format!("\n```diff\n{patch}```\n");
        }
    }
    visible(&out).into_owned()
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
