//! Findings as SARIF 2.1.0 (OASIS), as code scanning services read it: one run, every rule, a result per finding.
use std::path::Path;

use posture::{Finding, Grade, RULES, Rule, Severity};
use serde_json::{Value, json};

const SCHEMA: &str = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// The whole log.
pub(super) fn log(dir: &Path, findings: &[Finding]) -> Value {
    let rules: Vec<Value> = RULES.iter().map(|rule| descriptor(rule)).collect();
    let results: Vec<Value> = findings.iter().map(|finding| result(dir, finding)).collect();
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "ward",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn descriptor(rule: &Rule) -> Value {
    let severity = match rule.grade {
        Grade::Fixed(severity) | Grade::Either(_, severity, _) => severity,
        Grade::Table(_) => Severity::High,
    };
    let controls = rule.controls.iter().map(ToString::to_string);
    let tags: Vec<String> = std::iter::once("security".to_owned()).chain(controls).collect();
    json!({
        "id": rule.id,
        "shortDescription": { "text": sentence(rule.when) },
        "help": { "text": sentence(rule.mend) },
        "defaultConfiguration": { "level": level(severity) },
        "properties": { "tags": tags, "security-severity": score(severity) },
    })
}

fn result(dir: &Path, finding: &Finding) -> Value {
    let locations: Vec<Value> = finding
        .evidence
        .iter()
        .take(1)
        .map(|e| json!({ "physicalLocation": physical(dir, &e.file, e.line), "logicalLocations": [{ "fullyQualifiedName": e.path }] }))
        .collect();
    let related: Vec<Value> = finding
        .evidence
        .iter()
        .skip(1)
        .zip(1..)
        .map(|(e, id): (_, u32)| json!({ "id": id, "physicalLocation": physical(dir, &e.file, e.line), "message": { "text": e.path } }))
        .collect();
    let mut result = json!({
        "ruleId": finding.rule(),
        "level": level(finding.waived.as_ref().map_or(finding.severity, |w| w.severity)),
        "message": { "text": format!("{} Mend: {}", sentence(&finding.why), sentence(&finding.fix.words)) },
        "locations": locations,
        "partialFingerprints": { "wardFinding/v1": finding.id },
        "properties": { "severity": finding.severity, "also": finding.also },
    });
    if let Some(fields) = result.as_object_mut() {
        if let Some(index) = RULES.iter().position(|r| r.id == finding.rule()) {
            fields.insert("ruleIndex".to_owned(), index.into());
        }
        if !related.is_empty() {
            fields.insert("relatedLocations".to_owned(), related.into());
        }
        if let Some(waived) = &finding.waived {
            let why = format!("{} ({}, until {})", waived.why, waived.owner, waived.until);
            let suppression = json!([{ "kind": "external", "status": "accepted", "justification": why }]);
            fields.insert("suppressions".to_owned(), suppression);
        }
    }
    result
}

fn physical(dir: &Path, file: &str, line: usize) -> Value {
    json!({ "artifactLocation": { "uri": uri(&dir.join(file)) }, "region": { "startLine": line } })
}

/// A relative reference (RFC 3986): everything that is not plain is escaped byte by byte.
pub(crate) fn uri(path: &Path) -> String {
    let text = path.to_string_lossy();
    let text = text.strip_prefix("./").unwrap_or(&text);
    let mut out = if path.is_absolute() { "file://".to_owned() } else { String::new() };
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => out.push(char::from(byte)),
            _ => out += &format!("%{byte:02X}"),
        }
    }
    out
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low | Severity::Accepted => "note",
    }
}

/// What code scanning sorts by: the middle of each band of CVSS.
fn score(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "9.5",
        Severity::High => "8.0",
        Severity::Medium => "5.5",
        Severity::Low | Severity::Accepted => "2.0",
    }
}

/// With a capital and a full stop, as SARIF asks of messages.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", chars.as_str().trim_end_matches('.'))
}
