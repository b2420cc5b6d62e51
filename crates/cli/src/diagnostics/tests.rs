//! How a diagnostic looks.
use expect_test::expect;
use model::SourceFile;

use super::{counts, draw, line};

#[test]
fn place_cause_and_remedy_are_drawn() {
    let text = "ward: 1\nmodel: shop\nzones: { edge: {} }\nnodes:\n  web: { kind: servce, zone: edge }\n";
    let files = [SourceFile { name: "ward.yaml".to_owned(), text: text.to_owned() }];
    let loaded = model::load(&files);
    expect![[r#"
        unknown-word

          × `servce` is not a kind of node
           ╭─[ward.yaml:5:16]
         4 │ nodes:
         5 │   web: { kind: servce, zone: edge }
           ·                ───┬──
           ·                   ╰── nodes.web.kind
           ╰────
          help: did you mean `service`?

        the model is refused: 1 error, 0 warnings
    "#]]
    .assert_eq(&draw(&files, &loaded.diagnostics, false));
    expect![[r#"
        ward.yaml:5:16: error[unknown-word]: `servce` is not a kind of node (did you mean `service`?)
    "#]]
    .assert_eq(&line(&loaded.diagnostics[0]));
}

#[test]
fn a_model_cannot_steer_the_terminal() {
    let text = "ward: 1\nmodel: \"\\e]0;title\\a\"\nzones: { \"\\e[2J\": { x: \"\\x9b31m\" } }\n";
    let files = [SourceFile { name: "ward.yaml".to_owned(), text: text.to_owned() }];
    let loaded = model::load(&files);
    let mut all = draw(&files, &loaded.diagnostics, false);
    loaded.diagnostics.iter().for_each(|d| all += &line(d));
    assert!(all.contains("]0;title") && all.contains("[2J"), "{all}");
    assert!(!all.chars().any(|c| c.is_control() && c != '\n'), "{all:?}");
}

#[test]
fn without_a_file_there_is_no_excerpt() {
    let loaded = model::load(&[]);
    expect![[r#"
        no-model

          × there is no ward.yaml
          help: write one, or begin with `ward init`

        the model is refused: 1 error, 0 warnings
    "#]]
    .assert_eq(&draw(&[], &loaded.diagnostics, false));
    assert_eq!(counts(&[]), "0 errors, 0 warnings");
}

#[test]
fn an_excerpt_stands_where_it_stands_in_the_file() {
    let nodes: String = (0..3_000).map(|n| format!("  n{n}: {{ kind: service, zone: edge }}\n")).collect();
    let flows = "flows:\n  - { id: a, from: n0, to: nobody }";
    let text = format!("ward: 1\nmodel: long\nzones: {{ edge: {{}} }}\nnodes:\n{nodes}{flows}");
    let files = [SourceFile { name: "ward.yaml".to_owned(), text }];
    let loaded = model::load(&files);
    expect![[r#"
        unknown-node

          × no node is named `nobody`
              ╭─[ward.yaml:3006:28]
         3005 │ flows:
         3006 │   - { id: a, from: n0, to: nobody }
              ·                            ───┬──
              ·                               ╰── flows[0].to
              ╰────
          help: declare it under `nodes`

        the model is refused: 1 error, 0 warnings
    "#]]
    .assert_eq(&draw(&files, &loaded.diagnostics, false));
}

#[test]
fn line_ends_of_windows_are_not_drawn() {
    let text = "ward: 1\r\nmodel: shop\r\nzones: { edge: {} }\r\nnodes:\r\n  web: { kind: servce, zone: edge }\r\n";
    let files = [SourceFile { name: "ward.yaml".to_owned(), text: text.to_owned() }];
    let drawn = draw(&files, &model::load(&files).diagnostics, false);
    assert!(drawn.contains("5 │   web: { kind: servce, zone: edge }"), "{drawn}");
    assert!(!drawn.contains("edge }?") && !drawn.contains('\r'), "{drawn}");
}
