//! What is printed of paths, radii and cuts.
use std::path::Path;

use expect_test::expect;
use model::{SourceFile, load::text::Text};
use posture::{Attack, Question};

use super::{Level, markdown, mermaid, text, verdict};
use crate::posture::unified;

const MODEL: &str = r#"ward: 1
model: example
zones: { internet: { trust: none }, inside: {} }
data: { order: { class: confidential }, key: { class: secret, opens: [machine] } }
nodes:
  # Where orders end up.
  archive: { kind: store, zone: inside, auth: none, exposed_to: [internet], holds: [order] }   # for ever
  machine: { kind: service, zone: inside, port: 22, auth: key, exposed_to: [internet], holds: [key] }
"#;

fn source() -> Text {
    Text::new(vec![SourceFile { name: "ward.yaml".to_owned(), text: MODEL.to_owned() }])
}

fn paths() -> Vec<posture::Path> {
    let text = source();
    let model = model::load(text.files()).model.unwrap();
    Attack::new(&model).paths(&Question::default(), Some(&text)).unwrap()
}

#[test]
fn for_people() {
    expect![[r#"
        secret        internet>key: internet gets key (needs 1 assumption)
           1. is somewhere in `internet`  ward.yaml:3
           2. connects to `machine`, which is exposed to `internet`  T1133  ward.yaml:8
           3. logs in to `machine` with a stolen key [assumed]  T1021.004  ward.yaml:8
           4. finds `key` on `machine`  T1552.001  ward.yaml:8

        confidential  internet>order: internet gets order (certain: needs no luck)
           1. is somewhere in `internet`  ward.yaml:3
           2. connects to `archive`, which is exposed to `internet`  T1619  ward.yaml:7
           3. gets `order` from `archive`, which asks for no proof  T1530  ward.yaml:7

        2 paths
    "#]]
    .assert_eq(&text::paths(&paths(), 2));
    assert!(text::paths(&paths()[..1], 2).ends_with("2 paths, 1 shown (--max)\n"));
    assert_eq!(text::paths(&[], 0), "no paths\n");
}

#[test]
fn a_report() {
    expect![[r#"
        # Attack paths of shop

        2 paths, 1 shown (--max)

        | class | path | steps | |
        |---|---|---|---|
        | secret | `internet>key` | 4 | needs 1 assumption |

        ## `internet>key`

        **internet gets key**, needs 1 assumption

        1. is somewhere in `internet`, `ward.yaml:3`
        2. connects to `machine`, which is exposed to `internet` (T1133 External Remote Services), `ward.yaml:8`
        3. *assumed*: logs in to `machine` with a stolen key (T1021.004 Remote Services: SSH), `ward.yaml:8`
        4. finds `key` on `machine` (T1552.001 Unsecured Credentials: Credentials In Files), `ward.yaml:8`
    "#]]
    .assert_eq(&markdown::paths(Path::new("shop"), &paths()[..1], 2));
}

#[test]
fn a_chart() {
    expect![[r#"
        flowchart LR
          subgraph p0["internet#gt;key: internet gets key"]
            direction LR
            p0s0["is somewhere in internet"]
            p0s1["connects to machine, which is exposed to internet<br/><small>T1133 External Remote Services</small>"]
            p0s2["logs in to machine with a stolen key<br/><small>T1021.004 Remote Services: SSH</small>"]
            p0s3["finds key on machine<br/><small>T1552.001 Unsecured Credentials: Credentials In Files</small>"]
            p0s0 --> p0s1 --> p0s2 --> p0s3
          end
          subgraph p1["internet#gt;order: internet gets order"]
            direction LR
            p1s0["is somewhere in internet"]
            p1s1["connects to archive, which is exposed to internet<br/><small>T1619 Cloud Storage Object Discovery</small>"]
            p1s2["gets order from archive, which asks for no proof<br/><small>T1530 Data from Cloud Storage</small>"]
            p1s0 --> p1s1 --> p1s2
          end
          classDef assumed stroke-dasharray: 4 3
          class p0s2 assumed
    "#]].assert_eq(&mermaid::chart(&paths()));
}

#[test]
fn json_has_steps_with_techniques_and_places() {
    let value = serde_json::to_value(paths()).unwrap();
    let steps = value[1]["steps"].as_array().unwrap();
    assert_eq!(value[1]["to"], "order");
    assert_eq!((&value[1]["class"], &value[1]["end"]), (&"confidential".into(), &"data".into()));
    assert_eq!(steps[2]["technique"]["id"], "T1530");
    assert_eq!((&steps[2]["at"]["file"], &steps[2]["at"]["line"]), (&"ward.yaml".into(), &7.into()));
    assert_eq!(steps[2]["assumed"], false);
}

#[test]
fn radii() {
    let text = source();
    let model = model::load(text.files()).model.unwrap();
    let all = Attack::new(&model).blast(None).unwrap();
    expect![[r#"
        machine: 1 secret; connects to 0 nodes
          secret        key
        2 nodes, 1 shown (--max)
    "#]]
    .assert_eq(&text::blast(&all[..1], all.len()));
}

#[test]
fn changes_with_their_patches() {
    let before = source();
    let mut patches = Vec::new();
    let made = |without: &Text, with: &Text| patches.push(unified(without, with));
    let found = posture::cuts(&before, &Question::default(), 10, made).unwrap();
    expect![[r#"
        1. ask for a second factor at `machine` (mfa)
           breaks 1 of 2 paths by itself, with those above 1 of 2; left: 1
           -  machine: { kind: service, zone: inside, port: 22, auth: key, exposed_to: [internet], holds: [key] }
           +  machine: { kind: service, zone: inside, port: 22, auth: key, exposed_to: [internet], holds: [key], guards: [mfa] }
        2. do not expose `archive` to `internet`
           breaks 1 of 2 paths by itself, with those above 2 of 2; left: 0
           -  archive: { kind: store, zone: inside, auth: none, exposed_to: [internet], holds: [order] }   # for ever
           +  archive: { kind: store, zone: inside, auth: none, holds: [order] }   # for ever
        2 changes and no path is left of 2
    "#]].assert_eq(&text::cuts(&found, &patches));
}

#[test]
fn the_class_decides_the_exit() {
    let of = |code: std::process::ExitCode| format!("{code:?}");
    let (good, bad) = (of(std::process::ExitCode::SUCCESS), of(std::process::ExitCode::from(1)));
    let orders: Vec<posture::Path> = paths().into_iter().filter(|p| p.to == "order").collect();
    assert_eq!(of(verdict(&[], None)), good);
    assert_eq!(of(verdict(&orders, None)), bad);
    assert_eq!(of(verdict(&orders, Some(Level::Confidential))), bad);
    assert_eq!(of(verdict(&orders, Some(Level::Secret))), good);
}
