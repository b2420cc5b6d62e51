//! What `ward explain` prints.
use expect_test::{Expect, expect};
use model::{Model, SourceFile};

use super::*;

const MODEL: &str = r#"
ward: 1
model: shop
zones: { shop: {}, pci: { in: shop } }
data: { card: { class: restricted } }
nodes:
  web: { kind: service, zone: shop, run: { command: [./web] } }
  orders: { kind: service, zone: shop, run: { command: [./orders] } }
  payments: { kind: service, zone: pci, run: { command: [./payments] } }
flows:
  - { id: charge, from: orders, to: payments, carries: [card], via: { allow: ["POST /charges"] } }
  - { id: refund, from: orders, to: payments, carries: [card], standby: true, via: { allow: ["POST /refunds/{*}"] } }
emergencies:
  give-back: { flows: [refund], approvers: { any: 1, of: [boss] }, max: 30m, audit: critical }
"#;

fn model() -> Model {
    // The approver is a party, which needs a zone of its own here.
    let text = MODEL.replace("nodes:\n", "nodes:\n  boss: { kind: party, zone: shop, auth: mtls }\n");
    let loaded = model::load(&[SourceFile { name: "ward.yaml".to_owned(), text }]);
    loaded.model.unwrap_or_else(|| panic!("{:#?}", loaded.diagnostics))
}

fn check(from: &str, method: &str, path: &str, expect: Expect) {
    let question = Question { from, to: "payments", method: Some(method), path: Some(path), ..Question::default() };
    let answer = ask(&model(), &question).expect("an answer");
    expect.assert_eq(&words(&answer, Some(path)));
}

#[test]
fn allowed() {
    check(
        "orders",
        "POST",
        "/charges",
        expect![[r#"
        allowed
        flow `charge` (policy pci/flow-charge, rule 0) allows POST /charges from orders
          principal  ok  got shop.ward.internal/ns/shop/sa/orders
          port       ok  got 8080
          method     ok  got POST
          path       ok  got /charges
    "#]],
    );
    check(
        "orders",
        "POST",
        "//x/..;/charges?amount=1",
        expect![[r#"
        allowed
        flow `charge` (policy pci/flow-charge, rule 0) allows POST /charges from orders
          principal  ok  got shop.ward.internal/ns/shop/sa/orders
          port       ok  got 8080
          method     ok  got POST
          path       ok  got /charges

        The path `//x/..;/charges?amount=1` is decided, and forwarded, as `/charges`.
    "#]],
    );
}

#[test]
fn the_wrong_path() {
    check(
        "orders",
        "POST",
        "/refunds/7",
        expect![[r#"
        denied (no-rule-matched)
        no rule allows POST /refunds/7 from orders; nearest is flow `charge` (policy pci/flow-charge, rule 0)
          principal  ok      got shop.ward.internal/ns/shop/sa/orders
          port       ok      got 8080
          method     ok      got POST
          path       missed  got /refunds/7                            wanted /charges

        Flows from orders to payments:
          charge  from orders  POST /charges
          refund  from orders  POST /refunds/{*} (on standby: needs an open emergency)
    "#]],
    );
}

#[test]
fn no_flow() {
    check(
        "web",
        "POST",
        "/charges",
        expect![[r#"
        denied (no-rule-matched)
        no rule allows POST /charges from web; nearest is flow `charge` (policy pci/flow-charge, rule 0)
          principal  missed  got shop.ward.internal/ns/shop/sa/web  wanted shop.ward.internal/ns/shop/sa/orders
          port       ok      got 8080
          method     ok      got POST
          path       ok      got /charges

        There is no flow from web to payments.
        Flows into payments:
          charge  from orders  POST /charges
          refund  from orders  POST /refunds/{*} (on standby: needs an open emergency)
    "#]],
    );
}

#[test]
fn a_rule_that_denies() {
    let spec = r#"{
        "apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy",
        "metadata": {"name": "no-test-cards", "namespace": "pci"},
        "spec": {"action": "DENY", "rules": [{"from": [{"source": {"notNamespaces": ["ops"]}}],
                                              "when": [{"key": "request.headers[x-test]", "values": ["*"]}]}]}
    }"#;
    let mut model = model();
    model.policies.push(serde_json::from_str(spec).expect("a policy"));
    let headers = [("x-test".to_owned(), "1".to_owned())];
    let question = Question { from: "orders", to: "payments", headers: &headers, ..Question::default() };
    let explanation = ask(&model, &question).expect("an answer").explanation.expect("an explanation");
    expect![[r#"
        policy pci/no-test-cards, rule 0 denies GET / from orders
          namespace                matched  got shop  looks for none of ops
          request.headers[x-test]  matched  got 1     looks for *
    "#]]
    .assert_eq(&explained(&explanation));
}

#[test]
fn refused_before_any_policy() {
    check(
        "orders",
        "POST",
        "/charges%00",
        expect![[r#"
        denied (path-encoded-control)
        the request is refused with 400 before any policy: path holds an encoded control character

        Flows from orders to payments:
          charge  from orders  POST /charges
          refund  from orders  POST /refunds/{*} (on standby: needs an open emergency)
    "#]],
    );
}

#[test]
fn headers_are_read_in_both_forms() {
    assert_eq!(header("x-team=a=b"), Ok(("x-team".to_owned(), "a=b".to_owned())));
    assert_eq!(header("x-team: a"), Ok(("x-team".to_owned(), "a".to_owned())));
    assert!(header("x-team").is_err());
    assert!(header("=a").is_err());
}
