//! What `ward explain --why-not` prints; each proposal is tried on the model by the code under test itself.
use expect_test::{Expect, expect};
use policy::ask::Question;

use super::*;

const MODEL: &str = r#"
ward: 1
model: shop
mesh: { issuers: { shop: { issuer: https://shop.example, jwks_uri: https://keys.example/ } } }
zones: { internet: { trust: none }, edge: {}, shop: {}, pci: { in: shop } }
data: { card: { class: restricted }, order: { class: internal } }
nodes:
  customer: { kind: party, zone: internet }
  boss: { kind: party, zone: shop, auth: mtls }
  gateway: { kind: service, zone: edge, role: gateway, listen: [{ port: 8443, hosts: [shop.example], tls: auto }] }
  orders: { kind: service, zone: shop, run: { command: [./orders] } }
  orders-db: { kind: store, zone: shop, serves: [{ port: 5432, protocol: postgres }], run: { command: [./db] } }
  payments: { kind: service, zone: pci, run: { command: [./payments] } }
  ledger: { kind: service, zone: pci, serves: [{ port: 8080 }, { port: 9090 }], run: { command: [./ledger] } }
flows:
  - { id: shopping, from: customer, to: gateway, carries: [order], via: { allow: ["POST /orders", "GET /orders/{*}"] } }
  - { id: place, from: gateway, to: orders, carries: [order], via: { allow: ["POST /orders", "GET /orders/{*}"] } }
  - { id: charge, from: orders, to: payments, carries: [card], via: { allow: ["POST /charges"] } }
  - { id: refund, from: orders, to: payments, carries: [card], standby: true, via: { allow: ["POST /refunds/{*}"] } }
  - { id: save, from: orders, to: orders-db, carries: [order] }
  - { id: refunds, from: gateway, to: ledger, via: { port: 9090, jwt: { issuer: shop, claims: { role: [staff] } }, allow: ["POST /refunds"] } }
  - { id: book, from: payments, to: ledger, carries: [order], via: { port: 8080, allow: ["POST /entries"] } }
emergencies:
  give-back: { flows: [refund], approvers: { any: 1, of: [boss] }, max: 30m, audit: critical }
"#;

const DENY: &str = "
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: no-test-cards, namespace: pci }
spec:
  selector: { matchLabels: { app: payments } }
  action: DENY
  rules: [{ when: [{ key: 'request.headers[x-test]', values: ['*'] }] }]
";

fn files() -> Vec<SourceFile> {
    [("deny.yaml", DENY), ("ward.yaml", MODEL)]
        .map(|(name, text)| SourceFile { name: name.to_owned(), text: text.to_owned() })
        .into()
}

fn report(question: &Question) -> Report {
    let files = files();
    let loaded = model::load(&files);
    let model = loaded.model.unwrap_or_else(|| panic!("{:#?}", loaded.diagnostics));
    let asked = Asked::by_hand(&model, question).expect("a question");
    let answer = asked.answer(&model).expect("an answer");
    let proposal = propose(&files, &model, &asked, &answer);
    Report::new(&asked, answer, proposal)
}

/// `from to METHOD PATH`.
fn check(question: &str, expect: Expect) {
    let words: Vec<&str> = question.split(' ').collect();
    let [from, to, method, path] = words.as_slice() else { panic!("four words") };
    let report = report(&Question { from, to, method: Some(method), path: Some(path), ..Question::default() });
    expect.assert_eq(&super::words(&report));
}

#[test]
fn a_path_that_no_entry_names() {
    check(
        "orders payments POST /refunds",
        expect![[r#"
        denied (no-rule-matched)
        no rule allows POST /refunds from orders; there is one:
        1. flow `charge` (policy pci/flow-charge, rule 0)
             path  wanted /charges  got /refunds

        A proposal, to be judged before it is taken:
          ward.yaml, flow `charge`: let it make this request too
            flows:
              - id: charge
                via:
                  allow:
                    - "POST /charges"
                    - "POST /refunds"  # new
        Tried on the model: with it, the request is allowed.
    "#]],
    );
}

#[test]
fn a_method_on_a_path_that_is_known_and_the_way_on_from_the_gateway() {
    check(
        "customer gateway DELETE /orders/7",
        expect![[r#"
        denied (no-rule-matched)
        no rule allows DELETE /orders/7 from a caller without identity; the nearest:
        1. flow `shopping` (policy edge/flow-shopping, rule 1)
             method  wanted GET or HEAD  got DELETE
        2. flow `shopping` (policy edge/flow-shopping, rule 0)
             method  wanted POST     got DELETE
             path    wanted /orders  got /orders/7

        A proposal, to be judged before it is taken:
          ward.yaml, flow `shopping`: let it make this request too
            flows:
              - id: shopping
                via:
                  allow:
                    - "POST /orders"
                    - "GET /orders/{*}"
                    - "DELETE /orders/{*}"  # new
          ward.yaml, flow `place`: so that the gateway knows where to send it
            flows:
              - id: place
                via:
                  allow:
                    - "POST /orders"
                    - "GET /orders/{*}"
                    - "DELETE /orders/{*}"  # new
        Tried on the model: with it, the request is allowed.
    "#]],
    );
}

#[test]
fn no_flow_at_all() {
    check(
        "gateway payments POST /charges",
        expect![[r#"
        denied (no-rule-matched)
        no rule allows POST /charges from gateway; there is one:
        1. flow `charge` (policy pci/flow-charge, rule 0)
             principal  wanted shop.ward.internal/ns/shop/sa/orders  got shop.ward.internal/ns/edge/sa/gateway

        A proposal, to be judged before it is taken:
          ward.yaml, a new flow, from `gateway` to `payments`
            flows:
              - id: gateway-to-payments  # name it after what it is for
                from: gateway
                to: payments
                carries: []  # and say what data it carries
                via: { allow: ["POST /charges"] }
        Tried on the model: with it, the request is allowed.
    "#]],
    );
}

#[test]
fn a_party_without_identity() {
    check(
        "customer payments POST /charges",
        expect![[r#"
        denied (mtls-required)
        answered 403 before any policy is asked: the port takes only peers that prove an identity, and this one came without

        `customer` proves no identity, and `payments` takes only peers that do: lead it through a gateway, or give the party `auth: mtls` and a certificate of this mesh.
    "#]],
    );
}

#[test]
fn a_store() {
    let report = report(&Question { from: "payments", to: "orders-db", ..Question::default() });
    expect![[r#"
        denied (no-rule-matched)
        no rule allows a connection to port 5432 from payments; there is one:
        1. flow `save` (policy shop/flow-save, rule 0)
             principal  wanted shop.ward.internal/ns/shop/sa/orders  got shop.ward.internal/ns/pci/sa/payments

        A proposal, to be judged before it is taken:
          ward.yaml, a new flow, from `payments` to `orders-db`
            flows:
              - id: payments-to-orders-db  # name it after what it is for
                from: payments
                to: orders-db
                carries: []  # and say what data it carries
        Tried on the model: with it, the request is allowed.
    "#]]
    .assert_eq(&super::words(&report));
}

#[test]
fn another_port() {
    let question =
        Question { from: "payments", to: "ledger", method: Some("GET"), port: Some(9090), ..Question::default() };
    expect![[r#"
        denied (no-rule-matched)
        no rule allows GET / from payments; the nearest:
        1. flow `book` (policy pci/flow-book, rule 0)
             port    wanted 8080      got 9090
             method  wanted POST      got GET
             path    wanted /entries  got /
        2. flow `refunds` (policy pci/flow-refunds, rule 0)
             principal     wanted shop.ward.internal/ns/edge/sa/gateway  got shop.ward.internal/ns/pci/sa/payments
             token         wanted https://shop.example/*                 got none
             method        wanted POST                                   got GET
             path          wanted /refunds                               got /
             claims[role]  wanted staff                                  got none

        A proposal, to be judged before it is taken:
          ward.yaml, a new flow, from `payments` to `ledger`
            flows:
              - id: payments-to-ledger  # name it after what it is for
                from: payments
                to: ledger
                carries: []  # and say what data it carries
                via: { port: 9090, allow: ["GET /"] }
        Tried on the model: with it, the request is allowed.
    "#]]
    .assert_eq(&super::words(&report(&question)));
}

#[test]
fn allowed_by_a_flow_and_denied_by_a_policy() {
    let headers = [("x-test".to_owned(), "1".to_owned())];
    let question = Question {
        from: "orders",
        to: "payments",
        method: Some("POST"),
        path: Some("/charges"),
        headers: &headers,
        ..Question::default()
    };
    expect![[r#"
        denied (denied-by-policy)
        policy pci/no-test-cards, rule 0 refuses POST /charges from orders
             request.headers[x-test]  looks for *  got 1
        flow `charge` (policy pci/flow-charge, rule 0) would allow it

        A proposal, to be judged before it is taken:
          deny.yaml, policy pci/no-test-cards, rule 0: leave the caller out of what it denies
            rules:
            - from:
              - source:
                  notPrincipals:
                  - shop.ward.internal/ns/shop/sa/orders
              when:
              - key: request.headers[x-test]
                values:
                - "*"
        Tried on the model: with it, the request is allowed.
    "#]]
    .assert_eq(&super::words(&report(&question)));
}

#[test]
fn denied_and_not_allowed_either() {
    let headers = [("x-test".to_owned(), "1".to_owned())];
    let question =
        Question { from: "gateway", to: "payments", path: Some("/charges"), headers: &headers, ..Question::default() };
    expect![[r#"
        denied (denied-by-policy)
        policy pci/no-test-cards, rule 0 refuses GET /charges from gateway
             request.headers[x-test]  looks for *  got 1
        no rule allows GET /charges from gateway; there is one:
        1. flow `charge` (policy pci/flow-charge, rule 0)
             principal  wanted shop.ward.internal/ns/shop/sa/orders  got shop.ward.internal/ns/edge/sa/gateway
             method     wanted POST                                  got GET

        A proposal, to be judged before it is taken:
          deny.yaml, policy pci/no-test-cards, rule 0: leave the caller out of what it denies
            rules:
            - from:
              - source:
                  notPrincipals:
                  - shop.ward.internal/ns/edge/sa/gateway
              when:
              - key: request.headers[x-test]
                values:
                - "*"
          ward.yaml, a new flow, from `gateway` to `payments`
            flows:
              - id: gateway-to-payments  # name it after what it is for
                from: gateway
                to: payments
                carries: []  # and say what data it carries
                via: { allow: ["GET /charges"] }
        Tried on the model: with it, the request is allowed.
    "#]]
    .assert_eq(&super::words(&report(&question)));
}

#[test]
fn a_token_with_another_claim_and_no_token() {
    let claims = serde_json::json!({ "iss": "https://shop.example", "sub": "ada", "role": "customer" });
    let question = Question {
        from: "gateway",
        to: "ledger",
        method: Some("POST"),
        path: Some("/refunds"),
        port: Some(9090),
        claims: Some(&claims),
        ..Question::default()
    };
    expect![[r#"
        denied (no-rule-matched)
        no rule allows POST /refunds from gateway; the nearest:
        1. flow `refunds` (policy pci/flow-refunds, rule 0)
             claims[role]  wanted staff  got customer
        2. flow `book` (policy pci/flow-book, rule 0)
             principal  wanted shop.ward.internal/ns/pci/sa/payments  got shop.ward.internal/ns/edge/sa/gateway
             port       wanted 8080                                   got 9090
             path       wanted /entries                               got /refunds

        A proposal, to be judged before it is taken:
          ward.yaml, flow `refunds`: let tokens with claims[role] customer in too
            flows:
              - id: refunds
                via:
                  jwt: {"claims":{"role":["staff","customer"]},"issuer":"shop"}
        Tried on the model: with it, the request is allowed.
    "#]]
    .assert_eq(&super::words(&report(&question)));
    expect![[r#"
        denied (no-rule-matched)
        no rule allows POST /refunds from gateway; the nearest:
        1. flow `refunds` (policy pci/flow-refunds, rule 0)
             token         wanted https://shop.example/*  got none
             claims[role]  wanted staff                   got none
        2. flow `book` (policy pci/flow-book, rule 0)
             principal  wanted shop.ward.internal/ns/pci/sa/payments  got shop.ward.internal/ns/edge/sa/gateway
             port       wanted 8080                                   got 9090
             path       wanted /entries                               got /refunds

        Flow `refunds` asks for a token of https://shop.example/* and with claims[role] staff: the caller must send one. What is asked for stands in the flow's `via.jwt`.
    "#]].assert_eq(&super::words(&report(&Question { claims: None, ..question })));
}

#[test]
fn what_no_flow_can_allow() {
    check(
        "orders payments POST /charges/%00",
        expect![[r#"
        denied (path-encoded-control)
        answered 400 before any policy is asked: the path holds an encoded control character: `%00` to `%1F`, `%7F`

        No change of the diagram allows it: the request itself is refused.
    "#]],
    );
    check(
        "orders payments BREW /charges",
        expect![[r#"
        denied (no-rule-matched)
        no rule allows BREW /charges from orders; there is one:
        1. flow `charge` (policy pci/flow-charge, rule 0)
             method  wanted POST  got BREW

        `BREW /charges` cannot stand in `allow`: `BREW` is not an HTTP method.
    "#]],
    );
}

#[test]
fn nothing_is_in_the_way() {
    check(
        "orders payments POST //charges?x=1",
        expect![[r#"
        allowed
        flow `charge` (policy pci/flow-charge, rule 0) allows POST /charges from orders
    "#]],
    );
}

#[test]
fn the_json_form_has_everything() {
    let report = report(&Question { from: "orders", to: "payments", ..Question::default() });
    let json = serde_json::to_value(&report).expect("JSON");
    assert_eq!(json["reason"], "no-rule-matched");
    assert_eq!(json["why_not"]["nearest"][0]["flow"], "charge");
    assert_eq!(json["why_not"]["nearest"][0]["fields"][2]["got"], "GET");
    assert_eq!(json["proposal"]["changes"][0]["file"], "ward.yaml");
    assert_eq!(json["proposal"]["tried"]["allowed"], true);
    assert!(json.get("decision").is_none());
}

#[test]
fn claims_are_an_object() {
    assert!(claims(r#"{"iss": "a"}"#).is_ok());
    assert!(claims("7").is_err());
    assert!(claims("@/nowhere").is_err());
}
