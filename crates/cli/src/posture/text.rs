//! Findings for people, worst first.
use posture::{Finding, Severity};

use crate::output::visible;

/// All of them, and how many of which severity.
pub(super) fn report(findings: &[Finding]) -> String {
    let mut out = String::new();
    for finding in findings {
        out += &one(finding);
        out.push('\n');
    }
    out += &summary(findings.iter().map(|f| f.severity));
    visible(&out).into_owned()
}

fn one(finding: &Finding) -> String {
    let mut out = format!("{:<10}{}\n", finding.severity, finding.id);
    let mut line = |text: String| out += &format!("          {text}\n");
    line(finding.why.clone());
    if let Some(raised) = &finding.raised {
        line(format!("worse than by itself, being {raised}"));
        if let Some(paths) = paths(finding) {
            line(format!("as on {paths}"));
        }
    }
    if let Some(waived) = &finding.waived {
        line(format!("{}, accepted by {} until {}: {}", waived.severity, waived.id, waived.until, waived.why));
    }
    for also in &finding.also {
        line(format!("so also {}: {}", also.id, also.why));
    }
    for evidence in &finding.evidence {
        line(format!("at {}:{} {}", evidence.file, evidence.line, evidence.path));
    }
    let by_hand = if finding.fix.changes.is_empty() { " (by hand)" } else { "" };
    line(format!("mend: {}{by_hand}", finding.fix.words));
    out
}

/// The paths of which it allows a step: `a`, `b`, `c` and 4 more.
pub(super) fn paths(finding: &Finding) -> Option<String> {
    let named: Vec<String> = finding.paths.iter().map(|p| format!("`{p}`")).collect();
    let more = if finding.more_paths > 0 { format!(" and {} more", finding.more_paths) } else { String::new() };
    (!named.is_empty()).then(|| format!("{}{more}", named.join(", ")))
}

/// `3 findings: 1 critical, 2 low`.
pub(super) fn summary(severities: impl Iterator<Item = Severity>) -> String {
    let severities: Vec<Severity> = severities.collect();
    if severities.is_empty() {
        return "no findings\n".to_owned();
    }
    let levels = [Severity::Critical, Severity::High, Severity::Medium, Severity::Low, Severity::Accepted];
    let counts = levels.into_iter().filter_map(|level| {
        let count = severities.iter().filter(|of| **of == level).count();
        (count > 0).then(|| format!("{count} {level}"))
    });
    let plural = if severities.len() == 1 { "" } else { "s" };
    format!("{} finding{plural}: {}\n", severities.len(), counts.collect::<Vec<_>>().join(", "))
}
