//! OSCAL as an outside validator reads it: `ward compliance report -o oscal` of every example by every framework, given to
//! compliance-trestle, and documents with one thing wrong, which it must refuse.
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
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

/// `trestle init`, then `trestle validate` of each document by itself, all in one process: starting Python takes longest.
const SCRIPT: &str = r#"
import sys
from trestle.cli import Trestle

def run(*arguments):
    sys.argv = ["trestle", *arguments]
    try:
        return Trestle().run()
    except SystemExit as exit:
        return exit.code

names = sys.argv[1:]
if run("init") != 0:
    sys.exit("trestle init failed")
for name in names:
    print(name, run("validate", "-q", "-t", "assessment-results", "-n", name))
"#;

/// Whether trestle takes each of some documents; what it said of all.
fn validated(documents: &[(String, Value)]) -> (Vec<bool>, String) {
    let workspace = tempfile::tempdir().unwrap();
    for (name, document) in documents {
        let directory = workspace.path().join("assessment-results").join(name);
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("assessment-results.json"), document.to_string()).unwrap();
    }
    // The interpreter that the tool is installed for.
    let python = trestle().with_file_name("python");
    let names = documents.iter().map(|(name, _)| name);
    let output = Command::new(&python).args(["-c", SCRIPT]).args(names).current_dir(workspace.path()).output();
    let output = output.unwrap_or_else(|error| panic!("{}: {error}", python.display()));
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let lines: Vec<&str> = said.lines().collect();
    let code =
        |name: &str| lines.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse::<i32>().ok());
    let taken = documents.iter().map(|(name, _)| code(name).unwrap_or_else(|| panic!("{name}: {said}")) == 0);
    (taken.collect(), said.into_owned())
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
    let mut documents = Vec::new();
    for example in &examples {
        let document = report(example);
        let results = document["assessment-results"]["results"].as_array().unwrap();
        assert_eq!(results.len(), posture::Framework::ALL.len(), "{example}");
        let mut ids = Vec::new();
        uuids(&document, &mut ids);
        let unique: BTreeSet<&str> = ids.iter().copied().collect();
        assert_eq!(unique.len(), ids.len(), "{example}: an identifier twice");
        documents.push((example.replace('/', "-"), document));
    }
    assert_eq!(documents[0].1, report(&examples[0]), "another document the second time");
    let (taken, said) = validated(&documents);
    assert!(taken.iter().all(|taken| *taken), "{said}");
}

#[test]
fn what_is_broken_is_refused() {
    let good = report("examples/shop");
    let pointer = |end: &str| format!("/assessment-results/{end}");
    let broken = [
        ("version-3", pointer("uuid"), json!("3d813cbb-47fb-32ba-91df-831e1593ac29")),
        ("no-plan", pointer("import-ap"), json!({})),
        ("no-such-state", pointer("results/0/findings/0/target/status/state"), json!("manual")),
        ("no-time-zone", pointer("metadata/last-modified"), json!("2026-11-22T00:00:00")),
        ("same-id-twice", pointer("results/0/uuid"), good["assessment-results"]["uuid"].clone()),
    ];
    let mut documents = vec![("good".to_owned(), good.clone())];
    for (name, path, value) in broken {
        let mut document = good.clone();
        *document.pointer_mut(&path).unwrap() = value;
        documents.push((name.to_owned(), document));
    }
    let (taken, said) = validated(&documents);
    assert_eq!(taken, [true, false, false, false, false, false], "{said}");
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
