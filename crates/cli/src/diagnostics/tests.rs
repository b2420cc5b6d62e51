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
