//! The example models and what is expected of them: beside each stands `expected.json`, every line with the sentence that is
//! its reason.
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use model::{SourceFile, load::text::Text};
use time::macros::date;

use crate::{Attack, Finding, Input, Question, Severity, grade};

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples")
}

fn read(example: &str, file: &str) -> String {
    let path = examples().join(example).join(file);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn findings(text: &Text) -> Vec<Finding> {
    let loaded = model::load(text.files());
    let model = loaded.model.unwrap_or_else(|| panic!("{:#?}", loaded.diagnostics));
    grade(Input { model: &model, text: Some(text), today: date!(2026 - 11 - 22) })
}

fn paths(text: &Text) -> Vec<crate::Path> {
    let model = model::load(text.files()).model.unwrap();
    Attack::new(&model).paths(&Question::default(), None).unwrap()
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
    let of = |id: &str, way: serde_json::Value| format!("{id} {way}");
    let mut ways: Vec<String> = paths(&example(name)).iter().map(|p| of(&p.id, p.way.clone().into())).collect();
    let mut wanted: Vec<String> =
        list("paths").iter().map(|p| of(p["id"].as_str().unwrap(), p["way"].clone())).collect();
    ways.sort();
    wanted.sort();
    if ways != wanted {
        wrong.push(format!("paths: {ways:#?}"));
    }
    assert!(wrong.is_empty(), "{name}\n{}", wrong.join("\n"));
    let mut lines = ["findings", "silent", "paths"].into_iter().flat_map(list);
    assert!(lines.all(|e| e["because"].as_str().is_some_and(|b| !b.is_empty())), "{name}: each line has its reason");
}

fn models(at: &Path, found: &mut Vec<PathBuf>) {
    for path in fs::read_dir(at).unwrap().map(|e| e.unwrap().path()).filter(|p| p.is_dir()) {
        models(&path, found);
    }
    if at.join("ward.yaml").is_file() {
        found.push(at.to_owned());
    }
}

#[test]
fn every_example_is_as_expected() {
    let mut found = Vec::new();
    models(&examples(), &mut found);
    assert!(found.len() >= 7);
    let guide = fs::read_to_string(examples().join("README.md")).unwrap();
    for path in found {
        let name = path.strip_prefix(examples()).unwrap().to_str().unwrap();
        check(name);
        let row = guide.lines().find(|line| line.starts_with(&format!("| [{name}](")));
        let counts = format!("| {} | {} |", findings(&example(name)).len(), paths(&example(name)).len());
        assert!(row.is_some_and(|row| row.ends_with(&counts)), "{name} in examples/README.md: {counts}");
    }
}

#[test]
fn tasky_mended_has_nothing_high() {
    let found = findings(&example("tasky/secure"));
    assert!(found.iter().all(|f| f.severity < Severity::High));
}

/// A mend is made, read again, and asked for again: the finding is gone with what followed from it, and nothing worse has come.
#[test]
fn every_mend_mends() {
    let mut found = Vec::new();
    models(&examples(), &mut found);
    let mut mended = 0;
    for path in found {
        let name = path.strip_prefix(examples()).unwrap().to_str().unwrap();
        let text = example(name);
        let before = findings(&text);
        for finding in before.iter().filter(|f| !f.fix.changes.is_empty()) {
            let after = text.changed(&finding.fix.changes).unwrap_or_else(|e| panic!("{name} {}: {e:?}", finding.id));
            let after = findings(&after);
            let gone = |id: &str| after.iter().all(|f| f.id != id && f.also.iter().all(|c| c.id != id));
            assert!(gone(&finding.id), "{name} {} is still there", finding.id);
            // What has two causes is still there after one mend, below the other.
            for also in &finding.also {
                assert!(after.iter().all(|f| f.id != also.id), "{name} {} is still there", also.id);
            }
            let new =
                after.iter().filter(|f| before.iter().all(|b| b.id != f.id && b.also.iter().all(|c| c.id != f.id)));
            let worse: Vec<&str> = new.filter(|f| f.severity > finding.severity).map(|f| f.id.as_str()).collect();
            assert!(worse.is_empty(), "{name} {} brings {worse:?}", finding.id);
            mended += 1;
        }
    }
    assert!(mended > 20, "{mended}");
}
