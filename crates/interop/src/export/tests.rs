//! What all exports share: YAML that nobody misreads, comments that stay comments.
use std::collections::BTreeMap;

use expect_test::expect;

use super::*;

pub(super) fn model(text: &str) -> model::Model {
    let loaded = model::load(&[model::SourceFile { name: "ward.yaml".to_owned(), text: text.to_owned() }]);
    loaded.model.unwrap_or_else(|| panic!("the test's model is refused: {:#?}", loaded.diagnostics))
}

#[test]
fn what_looks_like_a_number_or_a_boolean_is_in_quotes() {
    let words = [
        "on",
        "no",
        "y",
        "N",
        "yes",
        "off",
        "true",
        "null",
        "~",
        "1.0",
        "08",
        "0o7",
        "0x1f",
        "1e3",
        "1_000",
        "12:30",
        "2026-11-22",
        ".5",
        "-1",
        "",
        "=",
        "<<",
        "a: b",
        "a #b",
        "- a",
        "*a",
        "&a",
        "!a",
        "{a}",
        "[a]",
        "%a",
        "@a",
        "a\nb",
        "é",
        "plain-1",
    ];
    let all: BTreeMap<&str, Vec<&str>> = [("words", words.to_vec())].into();
    expect![[r#"
        words:
        - "on"
        - "no"
        - "y"
        - "N"
        - "yes"
        - "off"
        - "true"
        - "null"
        - "~"
        - "1.0"
        - "08"
        - "0o7"
        - "0x1f"
        - "1e3"
        - "1_000"
        - "12:30"
        - "2026-11-22"
        - ".5"
        - "-1"
        - ""
        - "="
        - "<<"
        - "a: b"
        - "a #b"
        - "- a"
        - "*a"
        - "&a"
        - "!a"
        - "{a}"
        - "[a]"
        - "%a"
        - "@a"
        - "a\nb"
        - é
        - plain-1
    "#]]
    .assert_eq(&yaml("words", &all).expect("YAML"));
    let keys: BTreeMap<&str, u8> = ["on", "1", "y", "a: b", "app"].map(|key| (key, 0)).into();
    expect![[r#"
        "1": 0
        "a: b": 0
        app: 0
        "on": 0
        "y": 0
    "#]]
    .assert_eq(&yaml("keys", &keys).expect("YAML"));
    let long = "x ".repeat(100);
    assert_eq!(yaml("long", &long).expect("YAML").lines().count(), 1, "a long text stays one line");
}

#[test]
fn a_comment_stays_one() {
    let mut exported = Exported { head: vec!["a\nkind: Secret".to_owned(), String::new()], ..Exported::default() };
    exported.add("x", vec!["b\r\u{2028}\u{85}---".to_owned()], &json!({ "a": 1 })).expect("a document");
    exported.add("y", Vec::new(), &json!({ "b": 2 })).expect("a document");
    assert_eq!(exported.len(), 2);
    expect![[r#"
        # a kind: Secret
        #
        ---
        # b   ---
        a: 1
        ---
        b: 2
    "#]]
    .assert_eq(&exported.yaml());
    expect![[r#"{"apiVersion":"v1","items":[{"a":1},{"b":2}],"kind":"List"}"#]].assert_eq(&exported.list().to_string());
}

#[test]
fn notes_are_said_once() {
    let mut exported = Exported::default();
    for _ in 0..2 {
        exported.note(Note::new("flow a", "limit: 1/s", "requests are not counted"));
    }
    assert_eq!(exported.notes.len(), 1);
    assert_eq!(exported.notes[0].to_string(), "flow a: limit: 1/s: requests are not counted");
    assert_eq!(exported.notes[0].comment(), "not expressed: limit: 1/s: requests are not counted");
}
