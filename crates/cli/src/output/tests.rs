//! What is shown of the text of others.
use super::visible;

#[test]
fn what_others_wrote_cannot_steer_the_terminal() {
    for (wild, tame) in [
        ("a\tb\nc é", "a\tb\nc é"),
        ("\u{1b}[31m\u{7}\r\u{7f}\0", "?[31m????"),
        ("\u{9b}2J", "¿2J"),
        ("/a\u{202e}b\u{2066}", "/a\u{fffd}b\u{fffd}"),
    ] {
        assert_eq!(visible(wild), tame);
        assert_eq!(visible(wild).len(), wild.len(), "places in the text move");
    }
}

#[test]
fn what_is_made_from_a_model_is_not_written_into_it() {
    let dir = tempfile::tempdir().unwrap();
    let model = dir.path().join("ward.yaml");
    std::fs::write(&model, "ward: 1\n").unwrap();
    let link = dir.path().join("link");
    std::os::unix::fs::symlink(&model, &link).unwrap();
    for out in [model.clone(), dir.path().join("more.yml"), link] {
        let error = super::write_of(dir.path(), Some(&out), "x").unwrap_err().to_string();
        assert!(error.contains("would be read as a part of the model"), "{error}");
    }
    assert_eq!(std::fs::read_to_string(&model).unwrap(), "ward: 1\n");
    let elsewhere = tempfile::tempdir().unwrap();
    for out in [elsewhere.path().join("x.yaml"), dir.path().join("x.html"), dir.path().join(".x.yaml")] {
        super::write_of(dir.path(), Some(&out), "x").unwrap();
    }
}
