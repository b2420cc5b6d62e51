//! Changes of the text: what is asked for, and not a byte more.
use expect_test::{Expect, expect};
use proptest::prelude::*;
use serde_json::json;

use super::{Change, ChangeError, Text};
use crate::SourceFile;

const MODEL: &str = r#"# The head.
ward: 1
model: example

data:
  order: { class: internal }       # what is bought
  key:   { class: secret, opens: [db, api] }

nodes:
  # The door.
  gateway: { kind: service, zone: edge,   # at the edge
             guards: [waf] }
  orders:
    kind: service
    zone: shop   # inside
    run:
      command: [./orders]  # started here
    reads: [order]

  # Where orders are.
  db: { kind: store, zone: shop, at_rest: none }

flows:
  - { id: shopping, from: customer, to: gateway }
  # From the door to orders.
  - id: place
    from: gateway
    to: orders
    carries:
      - order
      - key   # a token
    via:
      audit: high

  - { id: save, from: orders, to: db, via: { tls: none } }
"#;

fn text(model: &str) -> Text {
    Text::new(vec![SourceFile { name: "ward.yaml".to_owned(), text: model.to_owned() }])
}

fn path(path: &str) -> Vec<String> {
    path.split('.').map(str::to_owned).collect()
}

/// The lines that differ, old ones with `-`, new ones with `+`.
fn check(change: Change, lines: Expect) {
    let after = text(MODEL).changed(&[change]).unwrap();
    let after = &after.files()[0].text;
    let (old, new): (Vec<_>, Vec<_>) = (MODEL.lines().collect(), after.lines().collect());
    let same = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let tail = old.iter().rev().zip(new.iter().rev()).take_while(|(a, b)| a == b).count();
    let tail = tail.min(old.len() - same).min(new.len() - same);
    let gone = old[same..old.len() - tail].iter().map(|l| format!("-{l}\n"));
    let come = new[same..new.len() - tail].iter().map(|l| format!("+{l}\n"));
    lines.assert_eq(&gone.chain(come).collect::<String>());
}

fn set(at: &str, value: serde_json::Value) -> Change {
    Change::Set { path: path(at), value }
}

#[test]
fn a_value_is_replaced_where_it_stands() {
    check(
        set("nodes.db.at_rest", json!("kms")),
        expect![[r#"
            -  db: { kind: store, zone: shop, at_rest: none }
            +  db: { kind: store, zone: shop, at_rest: kms }
        "#]],
    );
    check(
        set("flows.save.via.tls", json!("1.3")),
        expect![[r#"
            -  - { id: save, from: orders, to: db, via: { tls: none } }
            +  - { id: save, from: orders, to: db, via: { tls: "1.3" } }
        "#]],
    );
}

#[test]
fn a_field_is_added_in_the_layout_around_it() {
    check(
        set("nodes.orders.logs", json!(true)),
        expect![[r#"
            +    logs: true
        "#]],
    );
    check(
        set("flows.shopping.via.mtls", json!(true)),
        expect![[r#"
            -  - { id: shopping, from: customer, to: gateway }
            +  - { id: shopping, from: customer, to: gateway, via: { mtls: true } }
        "#]],
    );
    check(
        set("flows.place.via.tls", json!("1.3")),
        expect![[r#"
            +      tls: "1.3"
        "#]],
    );
    check(
        set("mesh.mode", json!("enforce")),
        expect![[r#"
            +mesh: { mode: enforce }
        "#]],
    );
    check(
        set("nodes.orders.run.user", json!("nobody")),
        expect![[r#"
            +      user: nobody
        "#]],
    );
}

#[test]
fn lists_grow_and_shrink() {
    let add = |at: &str, value: &str| Change::Add { path: path(at), value: value.to_owned() };
    let drop = |at: &str, value: &str| Change::Drop { path: path(at), value: value.to_owned() };
    check(
        add("nodes.gateway.guards", "rate"),
        expect![[r#"
            -             guards: [waf] }
            +             guards: [waf, rate] }
        "#]],
    );
    check(
        add("nodes.orders.guards", "waf"),
        expect![[r#"
            +    guards: [waf]
        "#]],
    );
    check(
        add("flows.place.carries", "more"),
        expect![[r#"
            +      - more
        "#]],
    );
    check(
        drop("data.key.opens", "db"),
        expect![[r#"
            -  key:   { class: secret, opens: [db, api] }
            +  key:   { class: secret, opens: [api] }
        "#]],
    );
    check(
        drop("flows.place.carries", "key"),
        expect![[r#"
            -      - key   # a token
        "#]],
    );
    // The last one takes its list along, and a line of its own where it has one.
    check(
        drop("nodes.gateway.guards", "waf"),
        expect![[r#"
            -             guards: [waf] }
            +              }
        "#]],
    );
}

#[test]
fn nouns_and_fields_go() {
    let remove = |at: &str| Change::Remove { path: path(at) };
    check(
        remove("nodes.db"),
        expect![[r#"
            -  db: { kind: store, zone: shop, at_rest: none }
        "#]],
    );
    check(
        remove("flows.place.via.audit"),
        expect![[r#"
            -    via:
            -      audit: high
        "#]],
    );
    check(
        remove("flows.shopping"),
        expect![[r#"
            -  - { id: shopping, from: customer, to: gateway }
        "#]],
    );
    check(
        remove("data.order.class"),
        expect![[r#"
            -  order: { class: internal }       # what is bought
        "#]],
    );
}

#[test]
fn what_is_not_written_is_refused() {
    let text = text(MODEL);
    for (change, error) in [
        (Change::Remove { path: path("nodes.web") }, ChangeError::NotWritten("nodes.web".to_owned())),
        (
            Change::Drop { path: path("data.key.opens"), value: "web".to_owned() },
            ChangeError::NotWritten("data.key.opens.web".to_owned()),
        ),
        (
            Change::Add { path: path("nodes.db.at_rest"), value: "x".to_owned() },
            ChangeError::Layout("nodes.db.at_rest".to_owned()),
        ),
    ] {
        assert_eq!(text.changed(&[change]).unwrap_err(), error);
    }
    assert_eq!(Text::new(Vec::new()).changed(&[set("a.b", json!(1))]).unwrap_err(), ChangeError::NoModel);
}

#[test]
fn what_an_alias_stands_for_is_left_to_people() {
    let model = "ward: 1\nnodes:\n  a: &a { kind: service, zone: z, guards: [waf] }\n  b: *a\n";
    let error = text(model).changed(&[set("nodes.b.zone", json!("y"))]).unwrap_err();
    assert_eq!(error, ChangeError::Layout("nodes.b.zone".to_owned()));
    let error = text(model).changed(&[set("nodes.a.zone", json!("y"))]).unwrap_err();
    assert_eq!(error, ChangeError::Layout("nodes.a.zone".to_owned()));
}

#[test]
fn places_are_lines_and_the_longest_part_that_is_written() {
    let text = text(MODEL);
    let place = |at: &str| text.place(&path(at)).map(|p| format!("{}:{} {}", p.file, p.line, p.path)).unwrap();
    assert_eq!(place("nodes.gateway.guards"), "ward.yaml:12 nodes.gateway.guards");
    assert_eq!(place("nodes.orders.at_rest"), "ward.yaml:13 nodes.orders");
    assert_eq!(place("flows.save.via.tls"), "ward.yaml:35 flows.save.via.tls");
    assert_eq!(place("flows.place.carries.1"), "ward.yaml:31 flows.place.carries.1");
    assert_eq!(place("mesh.mode"), "ward.yaml:1 ");
}

proptest! {
    /// Whatever is asked for, in whatever text: the new text reads as the old one with the change made, or it is refused.
    #[test]
    fn nothing_else_changes(
        at in prop::sample::select(vec![
            "nodes.db.at_rest", "nodes.db.logs", "nodes.orders.run.user", "nodes.orders.run", "flows.place.via.audit",
            "flows.place.carries", "flows.shopping.via.tls", "flows.0.id", "mesh.tls.min", "data", "model", "flows",
        ]),
        value in "[a-z0-9:#,{}'\" -]{0,12}",
        kind in 0..4,
    ) {
        let change = match kind {
            0 => Change::Set { path: path(at), value: json!(value) },
            1 => Change::Remove { path: path(at) },
            2 => Change::Add { path: path(at), value },
            _ => Change::Drop { path: path(at), value },
        };
        let before = text(MODEL);
        if let Ok(after) = before.changed(std::slice::from_ref(&change)) {
            // A text with the line ends of Windows keeps them, and changes in nothing else.
            let windows = |text: &Text| text.files()[0].text.replace('\n', "\r\n");
            let files = vec![SourceFile { name: "ward.yaml".to_owned(), text: windows(&before) }];
            let there = Text::new(files).changed(std::slice::from_ref(&change)).unwrap();
            prop_assert_eq!(&there.files()[0].text, &windows(&after));
            let wanted = super::edit::applied(before.tree().unwrap().1, &change).unwrap();
            prop_assert_eq!(after.tree().unwrap().1.to_json(), wanted);
        }
    }
}
