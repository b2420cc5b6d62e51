//! `ward import`: what is named is read, what is there is not overwritten.
use std::fs;

use super::*;

const THREE: &str = "flowchart LR\n  user([User]) -->|HTTPS| app[App]\n  app --> db[(Database)]\n";

fn args(files: &[&Path]) -> Args {
    Args {
        files: files.iter().map(|f| f.to_path_buf()).collect(),
        format: None,
        out: None,
        force: false,
        name: None,
        output: Output { format: output::Format::Text },
    }
}

#[test]
fn a_model_is_written_once_and_over_another_only_with_force() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.mmd");
    fs::write(&file, THREE).unwrap();
    let out = dir.path().join("new/model");
    let with =
        |force, name: &str| Args { out: Some(out.clone()), force, name: Some(name.to_owned()), ..args(&[&file]) };
    assert_eq!(run(with(false, "first")).unwrap(), ExitCode::SUCCESS);
    let error = run(with(false, "second")).unwrap_err().to_string();
    assert!(error.contains("--force"), "{error}");
    assert!(fs::read_to_string(out.join("ward.yaml")).unwrap().contains("model: first"));
    run(with(true, "third")).unwrap();
    let text = fs::read_to_string(out.join("ward.yaml")).unwrap();
    assert!(text.contains("model: third"), "{text}");
    let loaded = model::load(&model_dir::read(&out).unwrap());
    assert_eq!(loaded.errors(), 0, "{:?}", loaded.diagnostics);
}

#[test]
fn a_model_is_not_written_beside_yaml_that_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("compose.yaml");
    fs::write(&file, "services:\n  web: { image: nginx }\n").unwrap();
    let error = run(Args { out: Some(dir.path().to_owned()), ..args(&[&file]) }).unwrap_err().to_string();
    assert!(error.contains("compose.yaml lies in the same directory"), "{error}");
    assert!(!dir.path().join("ward.yaml").exists());
}

#[test]
fn of_a_directory_only_what_is_something_is_read() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("docs/.git")).unwrap();
    for (name, text) in [
        ("docs/design.md", format!("# Design\n\n```mermaid\n{THREE}```\n")),
        ("docs/.git/x.mmd", "flowchart LR\n  hidden --> b\n".to_owned()),
        ("README.md", "# Nothing is drawn here\n".to_owned()),
        ("package.json", "{\"name\": \"x\"}".to_owned()),
        ("notes.txt", THREE.to_owned()),
    ] {
        fs::write(dir.path().join(name), text).unwrap();
    }
    let both = read(&[dir.path().to_owned(), dir.path().join("docs/design.md")], None).unwrap().unwrap();
    let short = |names: Vec<&str>| names.iter().map(|n| n.rsplit('/').next().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(short(both.files.iter().map(|f| f.name.as_str()).collect()), ["design.md"]);
    assert_eq!(short(both.passed_over.iter().map(String::as_str).collect()), ["README.md", "package.json"]);
    let other = read(&[dir.path().to_owned()], Some(import::Format::Compose));
    assert!(other.is_err_and(|e| e.to_string().contains("--format")));
}

#[test]
fn a_file_that_is_nothing_or_broken_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in
        [("a.json", "{\"name\": \"x\"}"), ("b.yaml", "services:\n  a: [\n"), ("c.mmd", "pie\n  \"a\": 1\n")]
    {
        let file = dir.path().join(name);
        fs::write(&file, text).unwrap();
        assert_eq!(run(args(&[&file])).unwrap(), ExitCode::from(output::FINDINGS), "{name}");
    }
    let error = run(args(&[&dir.path().join("gone.yaml")])).unwrap_err().to_string();
    assert!(error.contains("cannot read"), "{error}");
    fs::write(dir.path().join("d.yaml"), b"services: \xff").unwrap();
    let error = run(args(&[&dir.path().join("d.yaml")])).unwrap_err().to_string();
    assert!(error.contains("not UTF-8 at byte 10"), "{error}");
}

#[test]
fn the_summary_says_what_was_guessed_and_what_comes_next() {
    let files = [SourceFile { name: "a.mmd".to_owned(), text: THREE.to_owned() }];
    let imported = import::import(&files, None).unwrap();
    let text = summary(&imported, &[], Some(Path::new("shop")));
    assert!(text.starts_with("read a.mmd as mermaid\n"), "{text}");
    for part in ["3 nodes, 2 flows", "# guessed:", "ward posture shop"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn what_powershell_writes_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let plan = r#"{"format_version":"1.2","planned_values":{"root_module":{"resources":[{"address":"aws_s3_bucket.a","mode":"managed","type":"aws_s3_bucket","name":"a","values":{}}]}}}"#;
    let units = |unit: fn(u16) -> [u8; 2]| format!("\u{feff}{plan}").encode_utf16().flat_map(unit).collect::<Vec<u8>>();
    let texts = [
        units(u16::to_le_bytes),
        units(u16::to_be_bytes),
        format!("\u{feff}{plan}").into_bytes(),
        format!("\n\n{plan}").into_bytes(),
    ];
    for (at, text) in texts.iter().enumerate() {
        let file = dir.path().join(format!("{at}.json"));
        fs::write(&file, text).unwrap();
        assert_eq!(run(args(&[&file])).unwrap(), ExitCode::SUCCESS, "{at}");
    }
    fs::write(dir.path().join("odd.json"), [0xff, 0xfe, 0x41]).unwrap();
    let error = run(args(&[&dir.path().join("odd.json")])).unwrap_err().to_string();
    assert!(error.contains("write it as UTF-8"), "{error}");
}

#[test]
fn a_file_under_two_names_is_read_once() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.mmd");
    fs::write(&file, THREE).unwrap();
    let other = dir.path().join(".").join("..").join(dir.path().file_name().unwrap()).join("a.mmd");
    let both = read(&[file, other, dir.path().to_owned()], None).unwrap().unwrap();
    assert_eq!(both.files.len(), 1);
}
