//! Trees of other people's documents.
use super::*;

#[test]
fn lines_and_kinds() {
    let text = "a: 1\nb:\n  - x\n  - \"true\"\n---\nc: {d: ~}\n";
    let trees = Tree::yaml(text).expect("it is YAML");
    let [first, second] = trees.as_slice() else { panic!("two documents: {trees:?}") };
    assert_eq!(first.at(&["a"]).and_then(Tree::number), Some(1));
    let items: Vec<_> = first.items_at(&["b"]).iter().map(|i| (i.line, i.text().expect("a text"))).collect();
    assert_eq!(items, [(3, "x"), (4, "true")]);
    assert_eq!(second.at(&["c", "d"]), None);
    assert_eq!(second.line, 6);
}

#[test]
fn merges_as_compose_files_have_them() {
    let text = "x: &base { image: a, restart: always }\nservices:\n  web: { <<: *base, image: b }\n";
    let trees = Tree::yaml(text).expect("it is YAML");
    let web = trees[0].at(&["services", "web"]).expect("it is there");
    assert_eq!(web.text_at(&["image"]), Some("b"));
    assert_eq!(web.text_at(&["restart"]), Some("always"));
}

#[test]
fn what_is_none_says_where() {
    assert_eq!(Tree::yaml("a: [1\nb: 2").expect_err("not YAML").line, 2);
    let twice = Tree::yaml("a: 1\nb: 2\na: 3\n").expect_err("one of both would be lost");
    assert_eq!((twice.line, twice.message.contains("`a`")), (3, true), "{twice}");
    assert!(Tree::yaml("x: &x {a: 1}\ny: &y {b: 1}\nz:\n  <<: *x\n  <<: *y\n").is_ok());
    assert_eq!(Tree::json("{\n \"a\": }").expect_err("not JSON").line, 2);
    let deep = "[".repeat(4000);
    assert!(Tree::json(&deep).is_err());
    assert!(Tree::yaml(&deep).is_err());
}

#[test]
fn json_and_yaml_are_alike() {
    let text = r#"{"a": [1, "x", null, true], "b": {"c": "1"}}"#;
    let json = Tree::json(text).expect("it is JSON");
    assert_eq!(json.at(&["b", "c"]).and_then(Tree::text), Some("1"));
    assert_eq!(json.items_at(&["a"])[3].bool(), Some(true));
}
