//! Questions and answers over the shop.
use expect_test::{Expect, expect};

use super::*;
use crate::testing::{SHOP, model};

/// `from to METHOD PATH [port]` each line.
fn check(questions: &str, expect: Expect) {
    let model = model(SHOP);
    let mut out = String::new();
    for line in questions.lines().map(str::trim) {
        let words: Vec<&str> = line.split(' ').collect();
        let [from, to, rest @ ..] = words.as_slice() else { panic!("from and to") };
        let question = Question {
            from,
            to,
            method: rest.first().copied(),
            path: rest.get(1).copied(),
            port: rest.get(2).map(|port| port.parse().expect("a port")),
            ..Question::default()
        };
        match ask(&model, &question) {
            Ok(answer) => {
                let flows =
                    |flows: &[FlowReport]| flows.iter().map(|flow| flow.id.clone()).collect::<Vec<_>>().join(" ");
                out.push_str(&format!(
                    "{} {}: {}\n    flows: {}; others: {}\n",
                    if answer.allowed { "allow" } else { "deny" },
                    answer.reason,
                    answer.words,
                    flows(&answer.flows),
                    flows(&answer.other_flows)
                ));
            }
            Err(error) => out.push_str(&format!("error: {error}\n")),
        }
    }
    expect.assert_eq(&out);
}

#[test]
fn answers() {
    check(
        "orders payments POST /charges
         orders payments POST /charges?x=1
         orders payments POST /refunds
         gateway payments POST /charges
         customer payments POST /charges
         customer gateway GET /orders/1
         partner gateway POST /bulk
         orders orders-db
         payments orders-db
         orders attic GET /
         payments ledger GET / 9000
         payments ledger GET / 9001
         orders payments GET /a%00",
        expect![[r#"
            allow allowed: flow `charge` (policy pci/flow-charge, rule 0) allows POST /charges from orders: principal shop.example/ns/shop/sa/orders ok, port 8080 ok, method POST ok, path /charges ok
                flows: charge; others: 
            allow allowed: flow `charge` (policy pci/flow-charge, rule 0) allows POST /charges from orders: principal shop.example/ns/shop/sa/orders ok, port 8080 ok, method POST ok, path /charges ok
                flows: charge; others: 
            deny no-rule-matched: no rule allows POST /refunds from orders; nearest is flow `charge` (policy pci/flow-charge, rule 0): principal shop.example/ns/shop/sa/orders ok, port 8080 ok, method POST ok, path wanted /charges got /refunds
                flows: charge; others: 
            deny no-rule-matched: no rule allows POST /charges from gateway; nearest is flow `charge` (policy pci/flow-charge, rule 0): principal wanted shop.example/ns/shop/sa/orders got shop.example/ns/edge/sa/gateway, port 8080 ok, method POST ok, path /charges ok
                flows: ; others: charge
            deny no-rule-matched: no rule allows POST /charges from a caller without identity; nearest is flow `charge` (policy pci/flow-charge, rule 0): principal wanted shop.example/ns/shop/sa/orders got none, port 8080 ok, method POST ok, path /charges ok
                flows: ; others: charge
            allow allowed: flow `checkout` (policy edge/flow-checkout, rule 0) allows GET /orders/1 from a caller without identity: port 8443 ok
                flows: checkout; others: bulk
            allow allowed: flow `bulk` (policy edge/flow-bulk, rule 0) allows POST /bulk from partner: principal shop.example/ns/internet/sa/partner ok, port 8443 ok, method POST ok, path /bulk ok
                flows: bulk; others: checkout
            allow allowed: flow `save` (policy shop/flow-save, rule 0) allows a connection to port 5432 from orders: principal shop.example/ns/shop/sa/orders ok, port 5432 ok
                flows: save; others: 
            deny no-rule-matched: no rule allows a connection to port 5432 from payments; nearest is flow `save` (policy shop/flow-save, rule 0): principal wanted shop.example/ns/shop/sa/orders got shop.example/ns/pci/sa/payments, port 5432 ok
                flows: ; others: save
            deny nothing-allowed: nothing allows GET / from orders: no flow leads here and no rule allows anything
                flows: break-glass; others: 
            deny no-rule-matched: no rule allows GET / from payments; nearest is flow `book` (policy pci/flow-book, rule 0): principal shop.example/ns/pci/sa/payments ok, port wanted 9001 got 9000
                flows: book; others: nothing
            allow allowed: flow `book` (policy pci/flow-book, rule 0) allows a connection to port 9001 from payments: principal shop.example/ns/pci/sa/payments ok, port 9001 ok
                flows: book; others: nothing
            deny path-encoded-control: the request is refused with 400 before any policy: path holds an encoded control character
                flows: charge; others: 
        "#]],
    );
}

#[test]
fn no_answers() {
    check(
        "order payments GET /
         orders paymets GET /
         orders zzz GET /
         payments bank GET /
         orders payments GET / 9
         orders customer GET /",
        expect![[r#"
            error: the model has no node `order`; did you mean `orders`?
            error: the model has no node `paymets`; did you mean `payments`?
            error: the model has no node `zzz`; it has attic, bank, customer, gateway, ledger, orders, orders-db, partner, payments
            error: `bank` is not under Ward (it has no `run`, `attest` or `role`), so nothing is decided there
            error: `payments` does not serve port 9; it serves 8080 (http)
            error: `customer` is not under Ward (it has no `run`, `attest` or `role`), so nothing is decided there
        "#]],
    );
    let model = model(SHOP);
    let headers = [("a b".to_owned(), "c".to_owned())];
    let question = Question { from: "orders", to: "payments", headers: &headers, ..Question::default() };
    assert!(matches!(ask(&model, &question), Err(AskError::Header { .. })));
}

#[test]
fn the_models_own_tests() {
    let model = model(SHOP);
    let outcomes: Vec<_> = run_tests(&model).iter().map(|trial| (trial.test.line, trial.passed())).collect();
    expect!["[(34, true), (35, true), (36, false), (37, true)]"].assert_eq(&format!("{outcomes:?}"));
}

#[test]
fn tests_may_carry_tokens() {
    let model = model(
        r#"
ward: 1
model: m
mesh: { issuers: { shop: { issuer: https://shop.example, jwks_uri: "https://shop.example/keys", audiences: [shop] } } }
zones: { outside: { trust: none }, inside: {} }
nodes:
  customer: { kind: party, zone: outside, auth: jwt }
  gw: { kind: service, zone: inside, role: gateway, listen: [{ port: 8443 }] }
  orders: { kind: service, zone: inside, run: { command: [x] } }
flows:
  - { id: sign-in, from: customer, to: gw, via: { jwt: none, allow: ["POST /login"] } }
  - { id: shopping, from: customer, to: gw, via: { jwt: { claims: { role: [buyer] } }, allow: ["GET /orders"] } }
  - { id: place, from: gw, to: orders, via: { allow: ["GET /orders"] } }
tests:
  - { from: customer, to: gw, request: POST /login, expect: allow }
  - { from: customer, to: gw, request: GET /orders, expect: deny }
  - { from: customer, to: gw, request: GET /orders, jwt: { iss: https://shop.example, sub: ada, aud: shop, role: buyer }, expect: allow }
  - { from: customer, to: gw, request: GET /orders, jwt: { iss: https://shop.example, sub: ada, aud: shop, role: seller }, expect: deny }
  - { from: customer, to: gw, request: GET /orders, jwt: { iss: https://shop.example, sub: ada, aud: bank, role: buyer }, expect: deny }
  - { from: customer, to: gw, request: POST /login, jwt: { iss: https://evil.example, sub: ada }, expect: deny }
  - { from: gw, to: orders, request: GET /orders, jwt: { iss: https://evil.example, sub: ada }, expect: allow }
"#,
    );
    let said: Vec<String> = run_tests(&model)
        .iter()
        .map(|trial| format!("{} {}", trial.passed(), trial.answer.as_ref().expect("an answer").reason))
        .collect();
    expect![[r#"
        true allowed
        true no-rule-matched
        true allowed
        true no-rule-matched
        true jwt-audience
        true jwt-issuer
        true allowed"#]]
    .assert_eq(&said.join("\n"));
}
