//! What a rule finds is among what it looks at, in every example.
use std::{fs, path::Path};

use model::{Model, SourceFile, load::text::Text};
use time::macros::date;

use crate::{Finding, Input, RULES, grade, view::View};

fn load(text: String) -> Model {
    let text = Text::new(vec![SourceFile { name: "ward.yaml".to_owned(), text }]);
    model::load(text.files()).model.unwrap()
}

fn examples(at: &Path, found: &mut Vec<String>) {
    for path in fs::read_dir(at).unwrap().map(|e| e.unwrap().path()) {
        if path.is_dir() {
            examples(&path, found);
        } else if path.ends_with("ward.yaml") {
            found.push(fs::read_to_string(path).unwrap());
        }
    }
}

fn check(model: &Model) -> Vec<String> {
    let view = View::new(model);
    let findings = grade(Input { model, text: None, today: date!(2026 - 11 - 22) });
    let ids = findings.iter().flat_map(|f: &Finding| std::iter::once(&f.id).chain(f.also.iter().map(|c| &c.id)));
    let unseen = ids.filter(|id| {
        let (rule, subject) = id.split_once('@').unwrap();
        let rule = RULES.iter().find(|r| r.id == rule).unwrap();
        !(rule.looks_at.list)(&view).iter().any(|s| s.id == subject)
    });
    unseen.cloned().collect()
}

#[test]
fn findings_are_about_subjects() {
    let mut models = Vec::new();
    examples(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples"), &mut models);
    assert!(models.len() >= 7);
    for rule in RULES {
        let whole = |text: &str| format!("ward: 1\nmodel: example\n{}", text.trim_start());
        models.push(whole(rule.example));
        models.extend(rule.silent.iter().map(|text| whole(text)));
    }
    let unseen: Vec<String> = models.into_iter().flat_map(|text| check(&load(text))).collect();
    assert_eq!(unseen, Vec::<String>::new());
}

#[test]
fn a_rule_has_its_example_to_look_at_and_nothing_in_an_empty_model() {
    let nothing = load("ward: 1\nmodel: example\nzones: { inside: {} }\n".to_owned());
    let nothing = View::new(&nothing);
    for rule in RULES {
        let model = load(format!("ward: 1\nmodel: example\n{}", rule.example.trim_start()));
        assert!(!(rule.looks_at.list)(&View::new(&model)).is_empty(), "{}", rule.id);
        assert!((rule.looks_at.list)(&nothing).is_empty(), "{}", rule.id);
        assert!(!rule.looks_at.what.is_empty() && !rule.looks_at.what.ends_with('.'));
    }
}
