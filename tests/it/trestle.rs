//! OSCAL as an outside validator reads it: `ward compliance report -o oscal` of every example by every framework, given to
//! compliance-trestle, and documents with one thing wrong, which it must refuse.
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::{Value, json};

use crate::binaries::binary;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The validator: `WARD_TRESTLE`, or the one that `make test` installs.
fn trestle() -> PathBuf {
    if let Some(path) = std::env::var_os("WARD_TRESTLE") {
        return path.into();
    }
    let path = root().join("target/peers/venv/bin/trestle");
    assert!(
        path.is_file(),
        "no compliance-trestle to validate with: run `deploy/install-deps.sh test`, which puts one into target/peers/venv, or set WARD_TRESTLE"
    );
    path
}

/// A directory that trestle works in.
struct Workspace(tempfile::TempDir);

impl Workspace {
    fn new() -> Self {
        let workspace = Self(tempfile::tempdir().unwrap());
        let output = workspace.run(&["init"]);
        assert!(output.status.success(), "{output:?}");
        workspace
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(trestle()).args(arguments).current_dir(self.0.path()).output().unwrap()
    }

    fn add(&self, name: &str, document: &Value) {
        let directory = self.0.path().join("assessment-results").join(name);
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("assessment-results.json"), document.to_string()).unwrap();
    }
}

/// Directories of example models, as the tool is given them.
fn examples() -> Vec<String> {
    let mut found = Vec::new();
    let mut todo = vec![root().join("examples")];
    while let Some(directory) = todo.pop() {
        todo.extend(fs::read_dir(&directory).unwrap().map(|e| e.unwrap().path()).filter(|p| p.is_dir()));
        if directory.join("ward.yaml").is_file() {
            found.push(directory.strip_prefix(root()).unwrap().to_str().unwrap().to_owned());
        }
    }
    found.sort();
    found
}

fn report(example: &str) -> Value {
    let arguments = ["compliance", "report", "--all", "-o", "oscal", "--date", "2026-11-22", example];
    let output = Command::new(binary("ward")).args(arguments).current_dir(root()).output().unwrap();
    assert!(matches!(output.status.code(), Some(0 | 1)), "{example}: {output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn every_report_is_valid_oscal() {
    let examples = examples();
    assert!(examples.len() >= 7, "{examples:?}");
    let workspace = Workspace::new();
    for example in &examples {
        let document = report(example);
        let results = document["assessment-results"]["results"].as_array().unwrap();
        assert_eq!(results.len(), posture::Framework::ALL.len(), "{example}");
        let mut ids = Vec::new();
        uuids(&document, &mut ids);
        let unique: BTreeSet<&str> = ids.iter().copied().collect();
        assert_eq!(unique.len(), ids.len(), "{example}: an identifier twice");
        assert_eq!(document, report(example), "{example}: another document the second time");
        workspace.add(&example.replace('/', "-"), &document);
    }
    let output = workspace.run(&["validate", "--all"]);
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert_eq!(said.matches("VALID: Model").count(), examples.len(), "{said}");
    assert!(!said.contains("INVALID"), "{said}");
}

#[test]
fn what_is_broken_is_refused() {
    let workspace = Workspace::new();
    let good = report("examples/shop");
    let pointer = |end: &str| format!("/assessment-results/{end}");
    let broken = [
        ("version-3", pointer("uuid"), json!("3d813cbb-47fb-32ba-91df-831e1593ac29")),
        ("no-plan", pointer("import-ap"), json!({})),
        ("no-such-state", pointer("results/0/findings/0/target/status/state"), json!("manual")),
        ("no-time-zone", pointer("metadata/last-modified"), json!("2026-11-22T00:00:00")),
        ("same-id-twice", pointer("results/0/uuid"), good["assessment-results"]["uuid"].clone()),
    ];
    for (name, path, value) in broken {
        let mut document = good.clone();
        *document.pointer_mut(&path).unwrap() = value;
        workspace.add(name, &document);
        let output = workspace.run(&["validate", "-t", "assessment-results", "-n", name]);
        assert!(!output.status.success(), "{name} is taken: {output:?}");
    }
    workspace.add("good", &good);
    let output = workspace.run(&["validate", "-t", "assessment-results", "-n", "good"]);
    assert!(output.status.success(), "{output:?}");
}

/// Every `uuid` of a document.
fn uuids<'d>(value: &'d Value, found: &mut Vec<&'d str>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("uuid").and_then(Value::as_str));
            fields.values().for_each(|v| uuids(v, found));
        }
        Value::Array(all) => all.iter().for_each(|v| uuids(v, found)),
        _ => {}
    }
}
