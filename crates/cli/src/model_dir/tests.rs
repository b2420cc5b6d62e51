//! What belongs to a model directory and what does not.
use std::fs;

use super::{FILE_BYTES_MAX, read};

#[test]
fn yaml_files_by_name_without_hidden_ones() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["ward.yaml", "b.yml", "note.txt", ".hidden.yaml", "sub/a.yaml", "sub/deep/z.yaml", ".ward/state.yaml"]
    {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, name).unwrap();
    }
    fs::create_dir(dir.path().join("dir.yaml")).unwrap();
    let names: Vec<String> = read(dir.path()).unwrap().into_iter().map(|f| f.name).collect();
    assert_eq!(names, ["b.yml", "sub/a.yaml", "sub/deep/z.yaml", "ward.yaml"]);
}

#[test]
fn resources_may_be_json_and_a_model_is_not() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["a.json", "b.yaml"] {
        fs::write(dir.path().join(name), "{}").unwrap();
    }
    let names = |files: Vec<model::SourceFile>| files.into_iter().map(|f| f.name).collect::<Vec<_>>();
    assert_eq!(names(read(dir.path()).unwrap()), ["b.yaml"]);
    assert_eq!(names(super::read_resources(dir.path()).unwrap()), ["a.json", "b.yaml"]);
}

#[test]
fn what_cannot_be_read_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let missing = read(&dir.path().join("nope")).unwrap_err();
    assert!(format!("{missing:#}").starts_with("cannot read the model directory"), "{missing:#}");
    fs::write(dir.path().join("ward.yaml"), b"ward: 1\n\xff").unwrap();
    let error = read(dir.path()).unwrap_err().to_string();
    assert!(error.ends_with("ward.yaml is not UTF-8 at byte 8"), "{error}");
    let error = read(&dir.path().join("ward.yaml")).unwrap_err().to_string();
    assert!(error.contains("is not a directory"), "{error}");
    fs::File::create(dir.path().join("ward.yaml")).unwrap().set_len(FILE_BYTES_MAX + 1).unwrap();
    let error = read(dir.path()).unwrap_err().to_string();
    assert!(error.contains("larger than"), "{error}");
}

/// A link to a file is followed, a link to a directory is not: it could lead round in a circle.
#[test]
fn links_do_not_lead_astray() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("real.txt"), "x").unwrap();
    std::os::unix::fs::symlink(dir.path().join("real.txt"), dir.path().join("ward.yaml")).unwrap();
    std::os::unix::fs::symlink(dir.path(), dir.path().join("loop")).unwrap();
    let names: Vec<String> = read(dir.path()).unwrap().into_iter().map(|f| f.name).collect();
    assert_eq!(names, ["ward.yaml"]);
}
