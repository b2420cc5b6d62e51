//! A shown cut really cuts: on the example, and on whatever diagram.
use expect_test::expect;
use model::{SourceFile, load::text::Text};

use super::{Cuts, cuts};
use crate::{Attack, Question};

const CURRENT: &str = include_str!("../../../../examples/tasky/current/ward.yaml");

fn text(model: &str) -> Text {
    Text::new(vec![SourceFile { name: "ward.yaml".to_owned(), text: model.to_owned() }])
}

/// Every claim of the cuts, asked for anew; and the cuts, one a line.
fn check(text: &Text, question: &Question, most: usize) -> (Cuts, String) {
    let mut made = Vec::new();
    let found = cuts(text, question, most, |before, after| made.push((before.clone(), after.clone()))).unwrap();
    let ask = |text: &Text| {
        let model = model::load(text.files()).model.unwrap();
        Attack::new(&model).paths(question, Some(text)).unwrap()
    };
    let (mut now, mut lines) = (text.clone(), String::new());
    assert_eq!(made.len(), found.cuts.len());
    for (cut, (before, after)) in found.cuts.iter().zip(&made) {
        assert_eq!(before.files(), now.files());
        assert_eq!(after.files(), now.changed(&cut.changes).unwrap().files());
        assert!(!cut.breaks.is_empty() || cut.broken > 0, "{} breaks nothing", cut.words);
        let alone = ask(&text.changed(&cut.changes).unwrap());
        for id in &cut.breaks {
            let path = found.paths.iter().find(|p| p.id == *id).unwrap();
            assert!(alone.iter().all(|p| p.key() != path.key()), "{} leaves {id}", cut.words);
        }
        now = now.changed(&cut.changes).unwrap();
        assert_eq!(ask(&now).len(), cut.left);
        lines += &format!(
            "{}: {} of {}, {}, {} left\n",
            cut.words,
            cut.breaks.len(),
            found.paths.len(),
            cut.broken,
            cut.left
        );
    }
    assert_eq!(ask(&now), found.left);
    (found, lines)
}

#[test]
fn three_changes_end_the_exercise() {
    let (found, lines) = check(&text(CURRENT), &Question::default(), 10);
    expect![[r#"
        ask for a second factor at `mongodb-vm` (mfa): 5 of 8, 5, 3 left
        filter requests to `alb` (waf): 2 of 8, 7, 1 left
        do not expose `backup-bucket` to `internet`: 2 of 8, 8, 0 left
    "#]]
    .assert_eq(&lines);
    assert!(found.left.is_empty());
}

#[test]
fn at_most_as_many_as_asked_for() {
    let (found, _) = check(&text(CURRENT), &Question::default(), 1);
    assert_eq!((found.cuts.len(), found.left.len()), (1, 3));
}

#[test]
fn only_what_is_asked_about() {
    let question = Question { to: vec!["backups".to_owned()], ..Question::default() };
    let (found, lines) = check(&text(CURRENT), &question, 10);
    assert!(found.left.is_empty());
    expect![[r#"
        ask for a second factor at `mongodb-vm` (mfa): 2 of 3, 2, 1 left
        do not expose `backup-bucket` to `internet`: 2 of 3, 3, 0 left
    "#]]
    .assert_eq(&lines);
}

#[test]
fn a_secure_model_needs_none() {
    let secure = include_str!("../../../../examples/tasky/secure/ward.yaml");
    let (found, _) = check(&text(secure), &Question::default(), 10);
    assert!(found.paths.is_empty() && found.cuts.is_empty() && found.left.is_empty());
}

#[test]
fn a_listener_in_the_clear_is_encrypted_and_a_flow_is_the_last_resort() {
    let model = r#"
ward: 1
model: example
zones: { internet: { trust: none }, edge: {} }
data: { order: { class: confidential } }
nodes:
  insider: { kind: party, zone: edge, auth: oidc, hostile: true }
  customer: { kind: party, zone: internet, auth: password }
  gateway: { kind: service, zone: edge, role: gateway, guards: [waf], listen: [{ port: 80, hosts: [shop.example], tls: none }] }
  orders: { kind: service, zone: edge, run: { command: [./orders] } }
  archive: { kind: service, zone: edge, auth: oidc }
flows:
  - { id: shop, from: customer, to: gateway, carries: [order], via: { allow: ["POST /orders"] } }
  - { id: place, from: gateway, to: orders, carries: [order], via: { allow: ["POST /orders"] } }
  - { id: look, from: insider, to: archive, returns: [order], via: { tls: "1.3" } }   # his own right
"#;
    let (found, lines) = check(&text(model), &Question::default(), 10);
    assert!(found.left.is_empty(), "{lines}");
    expect![[r#"
        encrypt `shop`: 1 of 2, 1, 1 left
        take flow `look` away: 1 of 2, 2, 0 left
    "#]]
    .assert_eq(&lines);
}

#[test]
fn what_comes_in_by_two_doors_is_filtered_at_both() {
    let model = r#"
ward: 1
model: example
zones: { internet: { trust: none }, edge: {}, inside: {} }
data: { order: { class: internal } }
nodes:
  customer: { kind: party, zone: internet }
  site: { kind: service, zone: edge }
  mobile: { kind: service, zone: edge }
  orders: { kind: service, zone: inside, reads: [order] }
flows:
  - { id: shop, from: customer, to: site, carries: [order], via: { tls: "1.3" } }
  - { id: tap, from: customer, to: mobile, carries: [order], via: { tls: "1.3" } }
  - { id: place, from: site, to: orders, carries: [order], via: { tls: "1.3" } }
  - { id: send, from: mobile, to: orders, carries: [order], via: { tls: "1.3" } }
"#;
    let (found, lines) = check(&text(model), &Question::default(), 10);
    assert!(found.left.is_empty(), "{lines}");
    expect![[r#"
        filter requests to `mobile` and `site` (waf): 1 of 1, 1, 0 left
    "#]]
    .assert_eq(&lines);
}

/// Ward's own gateway reads `waf` and does nothing yet: a cut says so.
#[test]
fn what_is_only_declared_is_not_sold_as_a_mend() {
    let shop = include_str!("../../../../examples/shop/ward.yaml");
    let (_, lines) = check(&text(shop), &Question::default(), 10);
    expect![[r#"
        filter requests to `gateway` (waf): declared by this, not enforced by Ward yet: 1 of 1, 1, 0 left
    "#]]
    .assert_eq(&lines);
}

#[test]
fn whatever_the_exercise_loses_a_shown_cut_cuts() {
    // One line of the model less, wherever that leaves a model.
    let lines: Vec<&str> = CURRENT.lines().collect();
    let mut tried = 0;
    for skip in (0..lines.len()).step_by(5) {
        let less: String =
            lines.iter().enumerate().filter(|(at, _)| *at != skip).map(|(_, line)| format!("{line}\n")).collect();
        let less = text(&less);
        if model::load(less.files()).model.is_some() {
            check(&less, &Question::default(), 10);
            tried += 1;
        }
    }
    assert!(tried > 8, "{tried}");
}
