//! Keys of labels, and the other spellings of a path. What the documents decide is tested where the engine that decides is.
use super::*;

#[test]
fn keys_of_labels() {
    let long = "a".repeat(63);
    for good in ["app", "a", "App_1.x-y", "app.kubernetes.io/name", "x/y", long.as_str()] {
        assert!(is_label_key(good), "{good}");
    }
    let longer = "a".repeat(64);
    for bad in
        ["", "-app", "app-", "a b", "a/b/c", "/a", "a/", "A.io/x", "a_b/x", "ü", "a=b", "a,b", "a\n", longer.as_str()]
    {
        assert!(!is_label_key(bad), "{bad}");
    }
}

#[test]
fn labels_that_are_none_are_refused() {
    let text = "ward: 1\nmodel: m\nzones: { z: {} }\nnodes: { a: { kind: service, zone: z, attest: token } }\n";
    let model = crate::export::tests::model(text);
    let inside = crate::export::cluster::cluster(&model, crate::export::cluster::Choice::default()).expect("a cluster");
    let error = export(&inside, Documents::default(), "app=x").expect_err("no label");
    assert_eq!(error, ExportError::Label("app=x".to_owned()));
    assert!(export(&inside, Documents::default(), "app").is_ok());
}

#[test]
fn spellings_of_a_path() {
    let check = |path: &str, expect: &[&str]| assert_eq!(written::spellings(path), expect, "{path}");
    check("/admin", &["/admin/", "/admin;*"]);
    check("/a/b", &["/a/b/", "/a/b;*"]);
    check("/admin/", &[]);
    check("/admin/*", &["/admin;*"]);
    check("/admin*", &[]);
    check("/*", &[]);
    check("*", &[]);
    check("*/admin", &["*/admin/"]);
    check("/a/{*}", &["/a/{*}/"]);
    check("/a/{**}/b", &["/a/{**}/b/"]);
}
