//! The example models and what is expected of them: beside each stands `expected.json`, every line with the sentence that is
//! its reason.
use std::{collections::BTreeMap, fs, path::Path};

use model::{SourceFile, load::text::Text};
use time::macros::date;

use crate::{Finding, Input, Severity, grade};

fn read(example: &str, file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(example).join(file);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn findings(text: &Text) -> Vec<Finding> {
    let loaded = model::load(text.files());
    let model = loaded.model.unwrap_or_else(|| panic!("{:#?}", loaded.diagnostics));
    grade(Input { model: &model, text: Some(text), today: date!(2026 - 11 - 22) })
}

fn example(name: &str) -> Text {
    Text::new(vec![SourceFile { name: "ward.yaml".to_owned(), text: read(name, "ward.yaml") }])
}

fn check(name: &str) {
    let found = findings(&example(name));
    let document: serde_json::Value = serde_json::from_str(&read(name, "expected.json")).unwrap();
    let list = |key: &str| document[key].as_array().unwrap().clone();
    let expected: BTreeMap<String, serde_json::Value> =
        list("findings").into_iter().map(|e| (e["id"].as_str().unwrap().to_owned(), e)).collect();
    let mut wrong = Vec::new();
    for finding in &found {
        match expected.get(&finding.id) {
            None => wrong.push(format!("not expected: {} {}: {}", finding.id, finding.severity, finding.why)),
            Some(e) => {
                let also: Vec<&str> = finding.also.iter().map(|c| c.id.as_str()).collect();
                let wanted: Vec<&str> = e["also"].as_array().into_iter().flatten().filter_map(|a| a.as_str()).collect();
                if e["severity"] != finding.severity.as_str() || also != wanted {
                    wrong.push(format!("{}: {} {also:?}", finding.id, finding.severity));
                }
            }
        }
    }
    for silent in list("silent") {
        let spoken = found.iter().find(|f| f.subject() == silent["subject"]);
        wrong.extend(spoken.map(|f| format!("{} and {silent}", f.id)));
    }
    let gone = expected.keys().filter(|id| found.iter().all(|f| f.id != **id));
    wrong.extend(gone.map(|id| format!("not found: {id}")));
    assert!(wrong.is_empty(), "{name}\n{}", wrong.join("\n"));
    assert!(expected.values().all(|e| e["because"].as_str().is_some_and(|b| !b.is_empty())));
}

#[test]
fn a_mesh_drawn_part_by_part() {
    check("mtls-mesh");
}

#[test]
fn a_platform_on_the_mesh() {
    check("ai-spm");
}

#[test]
fn child_data_under_policies() {
    check("guardian");
}

#[test]
fn tasky_as_it_stands() {
    check("tasky/current");
}

#[test]
fn tasky_mended() {
    check("tasky/secure");
    let found = findings(&example("tasky/secure"));
    assert!(found.iter().all(|f| f.severity < Severity::High));
}
