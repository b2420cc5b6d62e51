//! The five states, on small models.
use expect_test::{Expect, expect};
use model::{SourceFile, load::text::Text};
use time::macros::date;

use crate::{Assessment, Framework, Input, State, assess, grade};

fn assessed(model: &str, framework: Framework) -> Assessment {
    let text = format!("ward: 1\nmodel: example\n{}", model.trim_start());
    let text = Text::new(vec![SourceFile { name: "ward.yaml".to_owned(), text }]);
    let loaded = model::load(text.files());
    let model = loaded.model.unwrap_or_else(|| panic!("{:#?}", loaded.diagnostics));
    let findings = grade(Input { model: &model, text: Some(&text), today: date!(2026 - 11 - 22) });
    assess(&model, &findings, &[framework]).remove(0)
}

/// What is tested, in a line each; what has no subject is left out.
fn check(model: &str, framework: Framework, expected: Expect) {
    let of = assessed(model, framework);
    let mut out = format!("{:?}\n", of.covers);
    for control in of.controls.iter().filter(|c| !matches!(c.state, State::Manual | State::NotApplicable)) {
        let tests = control.tests.iter().filter(|t| t.subjects > 0);
        let tests: Vec<String> = tests.map(|t| format!("{} {}/{}", t.rule, t.found, t.subjects)).collect();
        let found: Vec<&str> = control.findings.iter().map(|f| f.id.as_str()).collect();
        out += &format!("{} {}: {}; {found:?}\n", control.cite, control.state.as_str(), tests.join(", "));
    }
    expected.assert_eq(&out);
}

const SHOP: &str = "
zones: { inside: {} }
data:
  order: { class: internal }
  profile: { class: confidential, about: person }
nodes:
  web: { kind: service, zone: inside, reads: [order] }
  orders: { kind: service, zone: inside, auth: token, logs: true, reads: [order, profile] }
flows:
  - { id: place, from: web, to: orders, carries: [order] }
  - { id: tell, from: web, to: orders, carries: [profile], via: { tls: \"1.3\" } }
";

#[test]
fn only_what_a_framework_covers_counts() {
    // `place` is in plain text, and moves nothing about a person.
    check(
        SHOP,
        Framework::Gdpr,
        expect![[r#"
        Some(["profile"])
        Art. 5.1.c satisfied: over-collection 0/1; []
        Art. 5.1.f satisfied: plaintext-flow 0/1, weak-tls 0/1, unauthenticated-flow 0/1; []
        Art. 25 satisfied: over-collection 0/1; []
        Art. 32 satisfied: plaintext-flow 0/1, weak-tls 0/1, unauthenticated-flow 0/1, unlogged-flow 0/1; []
    "#]],
    );
    check(
        SHOP,
        Framework::Nist800207,
        expect![[r#"
        None
        Tenet 2 not-satisfied: plaintext-flow 1/2, weak-tls 0/2; ["plaintext-flow@place"]
        Tenet 3 satisfied: unused-flow 0/2; []
        Tenet 6 satisfied: unauthenticated-flow 0/1; []
        Tenet 7 satisfied: unlogged-flow 0/1; []
    "#]],
    );
}

#[test]
fn nothing_to_look_at_is_not_satisfied() {
    let of = assessed(SHOP, Framework::PciDss);
    assert_eq!(of.covers, Some(Vec::new()));
    assert_eq!((of.counts.satisfied, of.counts.not_satisfied, of.counts.accepted), (0, 0, 0));
    let stores = of.controls.iter().find(|c| c.cite == "3.5.1").unwrap();
    assert_eq!(stores.state, State::NotApplicable);
    let wanted =
        "account data: a datum with `of: pan` (also `account-data`, `cardholder`, `card`, `cvv`, `pin`, `track`)";
    assert_eq!(stores.applies_with.as_deref(), Some(wanted));
    let manual = of.controls.iter().filter(|c| c.state == State::Manual).count();
    assert_eq!(manual, of.counts.manual);
    assert!(manual > 0 && of.controls.iter().all(|c| c.applies_with.is_some() == (c.state == State::NotApplicable)));
}

#[test]
fn what_has_data_and_no_subject_says_what_is_missing() {
    let of = assessed(SHOP, Framework::Gdpr);
    let transfers = of.controls.iter().find(|c| c.cite == "Art. 44").unwrap();
    assert_eq!(transfers.state, State::NotApplicable);
    let wanted = "zones that data with a `residency` come to, of personal data";
    assert_eq!(transfers.applies_with.as_deref(), Some(wanted));
}

#[test]
fn a_waiver_makes_it_accepted_until_another_finding() {
    let plain = SHOP.replace(", via: { tls: \"1.3\" }", "");
    let waived = format!(
        "{plain}waivers:\n  - {{ id: W-1, accepts: \"plaintext-flow@*\", why: a short wire, owner: web, until: 2027-01-31 }}\n"
    );
    check(
        &plain,
        Framework::Gdpr,
        expect![[r#"
        Some(["profile"])
        Art. 5.1.c satisfied: over-collection 0/1; []
        Art. 5.1.f not-satisfied: plaintext-flow 1/1, weak-tls 0/1, unauthenticated-flow 0/1; ["plaintext-flow@tell"]
        Art. 25 satisfied: over-collection 0/1; []
        Art. 32 not-satisfied: plaintext-flow 1/1, weak-tls 0/1, unauthenticated-flow 0/1, unlogged-flow 0/1; ["plaintext-flow@tell"]
    "#]],
    );
    check(
        &waived,
        Framework::Gdpr,
        expect![[r#"
        Some(["profile"])
        Art. 5.1.c satisfied: over-collection 0/1; []
        Art. 5.1.f accepted: plaintext-flow 1/1, weak-tls 0/1, unauthenticated-flow 0/1; ["plaintext-flow@tell"]
        Art. 25 satisfied: over-collection 0/1; []
        Art. 32 accepted: plaintext-flow 1/1, weak-tls 0/1, unauthenticated-flow 0/1, unlogged-flow 0/1; ["plaintext-flow@tell"]
    "#]],
    );
    let over = waived.replace("2027-01-31", "2026-01-31");
    assert_eq!(assessed(&over, Framework::Gdpr).counts, assessed(&plain, Framework::Gdpr).counts);
    let security = assessed(&waived, Framework::Gdpr).controls.into_iter().find(|c| c.cite == "Art. 32").unwrap();
    let waiver = security.findings[0].waived.as_ref().unwrap();
    assert_eq!((waiver.id.as_str(), waiver.owner.as_str(), waiver.until.as_str()), ("W-1", "web", "2027-01-31"));
}

#[test]
fn what_follows_from_another_finding_fails_its_own_controls() {
    // That nobody is asked for proof follows from the store that is open to everybody.
    let model = "
zones: { internet: { trust: none }, inside: {} }
data: { card: { class: restricted, of: pan } }
nodes:
  bucket: { kind: store, zone: inside, auth: none, logs: true, exposed_to: [internet], at_rest: kms, holds: [card] }
  writer: { kind: service, zone: inside, reads: [card] }
flows:
  - { id: publish, from: writer, to: bucket, carries: [card], via: { tls: \"1.3\" } }
";
    check(
        model,
        Framework::PciDss,
        expect![[r#"
            Some(["card"])
            1.2.5 satisfied: unused-flow 0/1; []
            1.4.4 not-satisfied: public-store 1/1; ["public-store@bucket"]
            2.2.4 satisfied: dead-node 0/2; []
            3.5.1 satisfied: unencrypted-store 0/1, encoded-secret 0/1; []
            4.2.1 satisfied: plaintext-flow 0/1, weak-tls 0/1; []
            7.3.1 not-satisfied: public-store 1/1; ["public-store@bucket"]
            8.3.1 not-satisfied: unauthenticated-flow 1/1; ["unauthenticated-flow@publish"]
            10.2.1 satisfied: unlogged-flow 0/1; []
        "#]],
    );
    let of = assessed(model, Framework::PciDss);
    let proof = of.controls.iter().find(|c| c.cite == "8.3.1").unwrap();
    assert_eq!(proof.findings[0].follows.as_deref(), Some("public-store@bucket"));
    assert_eq!(of.worst().iter().map(|f| f.id.as_str()).collect::<Vec<_>>(), ["public-store@bucket"]);
}

#[test]
fn what_follows_from_something_not_covered_stands_for_itself() {
    // One access log would mend both flows; only one of them moves card numbers.
    let model = "
zones: { inside: {} }
data: { invoice: { class: confidential }, card: { class: restricted, of: pan } }
nodes:
  web: { kind: service, zone: inside }
  billing: { kind: service, zone: inside, auth: token, reads: [invoice, card] }
flows:
  - { id: bill, from: web, to: billing, carries: [invoice], via: { tls: \"1.3\" } }
  - { id: pay, from: web, to: billing, carries: [card], via: { tls: \"1.3\" } }
";
    let of = assessed(model, Framework::PciDss);
    let ids = |all: Vec<&crate::Failure>| all.iter().map(|f| (f.id.clone(), f.follows.clone())).collect::<Vec<_>>();
    let wanted = [("unlogged-flow@pay".to_owned(), Some("unlogged-flow@bill".to_owned()))];
    assert_eq!(ids(of.worst()), wanted);
    let everything = assessed(model, Framework::Nist800207);
    assert_eq!(ids(everything.worst()), [("unlogged-flow@bill".to_owned(), None)]);
}

#[test]
fn secrets_count_for_what_they_open_and_copies_for_what_they_copy() {
    let model = "
zones: { inside: {} }
data:
  profile: { class: confidential, about: child, retention: 30d }
  backup: { class: confidential, copy_of: profile }
  login: { class: secret, opens: [db] }
nodes:
  app: { kind: service, zone: inside, logs: true, reads: [profile], holds: [login] }
  db: { kind: store, zone: inside, auth: password, at_rest: volume, holds: [profile] }
  bucket: { kind: store, zone: inside, auth: iam, at_rest: volume, holds: [backup] }
flows:
  - { id: save, from: app, to: db, carries: [profile, login], via: { tls: \"1.3\" } }
  - { id: nightly, from: db, to: bucket, carries: [backup], via: { tls: \"1.3\" } }
";
    check(
        model,
        Framework::Coppa,
        expect![[r#"
            Some(["backup", "profile"])
            § 312.7 satisfied: over-collection 0/1; []
            § 312.8 not-satisfied: unencrypted-store 0/2, public-store 0/2, encoded-secret 0/2, plaintext-flow 0/2, weak-tls 0/2, unauthenticated-flow 0/2, exposed-admin 0/1, unlogged-flow 1/2, child-data-reach 0/2, weaker-copy 0/1; ["unlogged-flow@nightly"]
            § 312.10 not-satisfied: retention 1/1; ["retention@backup"]
        "#]],
    );
}

#[test]
fn ai_is_what_says_so() {
    let model = "
zones: { inside: {} }
data: { weights: { class: confidential, of: model }, prompt: { class: internal, of: prompt } }
nodes:
  app: { kind: service, zone: inside, reads: [prompt] }
  engine: { kind: service, zone: inside, auth: token, reads: [prompt, weights] }
  models: { kind: store, zone: inside, auth: iam, at_rest: kms, logs: true, holds: [weights] }
flows:
  - { id: ask, from: app, to: engine, carries: [prompt], via: { tls: \"1.3\" } }
  - { id: load, from: engine, to: models, returns: [weights], via: { tls: \"1.3\" } }
";
    check(
        model,
        Framework::EuAiAct,
        expect![[r#"
        Some(["prompt", "weights"])
        Art. 12 satisfied: unlogged-flow 0/1; []
        Art. 15.5 satisfied: unencrypted-store 0/1, public-store 0/1, encoded-secret 0/1, plaintext-flow 0/2, weak-tls 0/2, unauthenticated-flow 0/1; []
    "#]],
    );
    check(
        model,
        Framework::Iso42001,
        expect![[r#"
        Some(["prompt", "weights"])
        A.6.2.8 satisfied: unlogged-flow 0/1; []
    "#]],
    );
    check(
        model,
        Framework::NistAiRmf,
        expect![[r#"
            Some(["prompt", "weights"])
            MEASURE 2.7 satisfied: unencrypted-store 0/1, public-store 0/1, plaintext-flow 0/2, weak-tls 0/2, unauthenticated-flow 0/1; []
        "#]],
    );
}
