//! Each rule against its own models, and its own mend.
use std::collections::BTreeSet;

use model::{SourceFile, load::text::Text};
use time::macros::date;

use super::RULES;
use crate::{Finding, Grade, Input, Severity, TABLE, grade};

fn text(model: &str) -> Text {
    let text = format!("ward: 1\nmodel: example\n{}", model.trim_start());
    Text::new(vec![SourceFile { name: "ward.yaml".to_owned(), text }])
}

fn findings(text: &Text) -> Vec<Finding> {
    let loaded = model::load(text.files());
    let model = loaded.model.unwrap_or_else(|| panic!("{}\n{:#?}", text.files()[0].text, loaded.diagnostics));
    grade(Input { model: &model, text: Some(text), today: date!(2026 - 11 - 22) })
}

fn ids(findings: &[Finding]) -> Vec<&str> {
    findings.iter().map(|f| f.id.as_str()).collect()
}

#[test]
fn each_fires_once_on_its_example_and_no_other_does() {
    let mut wrong = Vec::new();
    for rule in RULES {
        let found = findings(&text(rule.example));
        let rules: Vec<&str> = found.iter().map(Finding::rule).collect();
        if rules != [rule.id] {
            wrong.push(format!("{}: {:?}", rule.id, ids(&found)));
            continue;
        }
        assert!(!found[0].evidence.is_empty() && found[0].evidence.iter().all(|e| e.line > 2), "{:#?}", found[0]);
        assert!(!found[0].fix.words.is_empty());
        assert!(!rule.controls.is_empty());
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn each_is_silent_where_it_should_be() {
    for rule in RULES {
        assert!(!rule.silent.is_empty());
        for model in rule.silent {
            let found = findings(&text(model));
            let of_rule = found.iter().find(|f| f.rule() == rule.id && f.severity > Severity::Accepted);
            assert!(of_rule.is_none(), "{}: {:?}", rule.id, ids(&found));
        }
    }
}

#[test]
fn each_mend_mends_and_breaks_nothing() {
    let mut wrong = Vec::new();
    for rule in RULES {
        let before = text(rule.example);
        let found = findings(&before);
        let changes = &found[0].fix.changes;
        if changes.is_empty() {
            continue;
        }
        let after = before.changed(changes).unwrap_or_else(|e| panic!("{}: {e}", rule.id));
        let left = findings(&after);
        if !left.is_empty() {
            wrong.push(format!("{}: {:?} in {}", rule.id, ids(&left), after.files()[0].text));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn severities_are_the_published_ones() {
    for rule in RULES {
        let severity = findings(&text(rule.example))[0].severity;
        let published: BTreeSet<Severity> = match rule.grade {
            Grade::Fixed(one) => [one].into(),
            Grade::Either(one, other, _) => [one, other].into(),
            Grade::Table(lack) => {
                let lines = TABLE.iter().filter(|l| l.lack == lack);
                lines.flat_map(|l| [l.inside, l.outside]).flatten().collect()
            }
        };
        assert!(published.contains(&severity), "{}: {severity}", rule.id);
    }
}

#[test]
fn ids_are_unique_and_words() {
    let ids: BTreeSet<&str> = RULES.iter().map(|r| r.id).collect();
    assert_eq!(ids.len(), RULES.len());
    assert!(ids.iter().all(|id| id.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')));
}
