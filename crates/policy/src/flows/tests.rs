//! What flows become, and that it means what the diagram says.
use expect_test::{Expect, expect};

use super::*;
use crate::testing::{Facts, SHOP, decide, model, policy};

/// The policies of a node, as YAML.
fn check(node: &str, expect: Expect) {
    let model = model(SHOP);
    let documents: Vec<_> =
        policies_for(&model, node).iter().map(|policy| serde_saphyr::to_string(policy).expect("YAML")).collect();
    expect.assert_eq(&documents.join("---\n"));
}

fn check_decisions(node: &str, requests: &str, expect: Expect) {
    let set = rule_set_for(&model(SHOP), node).expect("the policies compile");
    expect.assert_eq(&decide(&set, requests));
}

#[test]
fn entries_become_rules() {
    check(
        "payments",
        expect![[r#"
        apiVersion: security.istio.io/v1
        kind: AuthorizationPolicy
        metadata:
          name: flow-charge
          namespace: pci
          annotations:
            ward.internal/audit: critical
            ward.internal/flow: charge
        spec:
          selector:
            matchLabels:
              app: payments
          action: ALLOW
          rules:
          - from:
            - source:
                principals:
                - shop.example/ns/shop/sa/orders
            to:
            - operation:
                ports:
                - "8080"
                methods:
                - POST
                paths:
                - /charges
    "#]],
    );
}

#[test]
fn preflight() {
    check_decisions(
        "orders",
        "GET /orders/1 as edge/gateway
         HEAD /orders/1 as edge/gateway
         POST /orders as edge/gateway
         POST /orders/1 as edge/gateway
         GET /orders/1/lines as edge/gateway
         GET /orders/1 as shop/payments
         OPTIONS /orders/1 as edge/gateway header=origin:https://a header=access-control-request-method:GET
         OPTIONS /orders/1 as edge/gateway header=origin:https://a
         OPTIONS /else as edge/gateway header=origin:https://a header=access-control-request-method:GET",
        expect![[r#"
            allow allowed           GET /orders/1 as edge/gateway  <- shop/flow-place[0]
            allow allowed           HEAD /orders/1 as edge/gateway  <- shop/flow-place[0]
            allow allowed           POST /orders as edge/gateway  <- shop/flow-place[2]
            deny  no-rule-matched   POST /orders/1 as edge/gateway
            deny  no-rule-matched   GET /orders/1/lines as edge/gateway
            deny  no-rule-matched   GET /orders/1 as shop/payments
            allow allowed           OPTIONS /orders/1 as edge/gateway header=origin:https://a header=access-control-request-method:GET  <- shop/flow-place[1]
            deny  no-rule-matched   OPTIONS /orders/1 as edge/gateway header=origin:https://a
            deny  no-rule-matched   OPTIONS /else as edge/gateway header=origin:https://a header=access-control-request-method:GET
        "#]],
    );
}

#[test]
fn a_gateway_lets_parties_in_by_its_listener() {
    check(
        "gateway",
        expect![[r#"
        apiVersion: security.istio.io/v1
        kind: AuthorizationPolicy
        metadata:
          name: flow-checkout
          namespace: edge
          annotations:
            ward.internal/audit: medium
            ward.internal/flow: checkout
        spec:
          selector:
            matchLabels:
              app: gateway
          action: ALLOW
          rules:
          - to:
            - operation:
                ports:
                - "8443"
        ---
        apiVersion: security.istio.io/v1
        kind: AuthorizationPolicy
        metadata:
          name: flow-bulk
          namespace: edge
          annotations:
            ward.internal/audit: medium
            ward.internal/flow: bulk
        spec:
          selector:
            matchLabels:
              app: gateway
          action: ALLOW
          rules:
          - from:
            - source:
                principals:
                - shop.example/ns/internet/sa/partner
            to:
            - operation:
                ports:
                - "8443"
                methods:
                - POST
                paths:
                - /bulk
    "#]],
    );
    check_decisions(
        "gateway",
        "GET /anything port=8443
         GET /anything port=8443 as internet/partner
         GET /anything port=15008
         POST /bulk port=8443 as internet/partner",
        expect![[r#"
            allow allowed           GET /anything port=8443  <- edge/flow-checkout[0]
            allow allowed           GET /anything port=8443 as internet/partner  <- edge/flow-checkout[0]
            deny  no-rule-matched   GET /anything port=15008
            allow allowed           POST /bulk port=8443 as internet/partner  <- edge/flow-bulk[0]
        "#]],
    );
}

#[test]
fn tcp_is_who_and_where() {
    check(
        "orders-db",
        expect![[r#"
        apiVersion: security.istio.io/v1
        kind: AuthorizationPolicy
        metadata:
          name: flow-save
          namespace: shop
          annotations:
            ward.internal/audit: medium
            ward.internal/flow: save
        spec:
          selector:
            matchLabels:
              app: orders-db
          action: ALLOW
          rules:
          - from:
            - source:
                principals:
                - shop.example/ns/shop/sa/orders
            to:
            - operation:
                ports:
                - "5432"
    "#]],
    );
    check_decisions(
        "orders-db",
        "tcp port=5432 as shop/orders\ntcp port=5432 as pci/payments\ntcp port=5432",
        expect![[r#"
            allow allowed           tcp port=5432 as shop/orders  <- shop/flow-save[0]
            deny  no-rule-matched   tcp port=5432 as pci/payments
            deny  no-rule-matched   tcp port=5432
        "#]],
    );
}

#[test]
fn one_port_and_none() {
    check(
        "ledger",
        expect![[r#"
        apiVersion: security.istio.io/v1
        kind: AuthorizationPolicy
        metadata:
          name: flow-book
          namespace: pci
          annotations:
            ward.internal/audit: medium
            ward.internal/flow: book
        spec:
          selector:
            matchLabels:
              app: ledger
          action: ALLOW
          rules:
          - from:
            - source:
                principals:
                - shop.example/ns/pci/sa/payments
            to:
            - operation:
                ports:
                - "9001"
        ---
        apiVersion: security.istio.io/v1
        kind: AuthorizationPolicy
        metadata:
          name: flow-nothing
          namespace: pci
          annotations:
            ward.internal/audit: medium
            ward.internal/flow: nothing
        spec:
          selector:
            matchLabels:
              app: ledger
          action: ALLOW
    "#]],
    );
    check_decisions(
        "ledger",
        "tcp port=9001 as pci/payments\ntcp port=9000 as pci/payments\nGET / port=9000 as shop/orders",
        expect![[r#"
            allow allowed           tcp port=9001 as pci/payments  <- pci/flow-book[0]
            deny  no-rule-matched   tcp port=9000 as pci/payments
            deny  no-rule-matched   GET / port=9000 as shop/orders
        "#]],
    );
}

#[test]
fn standby_and_no_flow_are_shut() {
    check(
        "attic",
        expect![[r#"
        apiVersion: security.istio.io/v1
        kind: AuthorizationPolicy
        metadata:
          name: no-flow-attic
          namespace: shop
        spec:
          selector:
            matchLabels:
              app: attic
          action: ALLOW
    "#]],
    );
    check_decisions(
        "attic",
        "GET / as shop/orders\nGET /",
        expect![[r#"
        deny  nothing-allowed   GET / as shop/orders
        deny  nothing-allowed   GET /
    "#]],
    );
}

#[test]
fn only_nodes_under_ward_have_policies() {
    let model = model(SHOP);
    assert_eq!(policies_for(&model, "bank"), []);
    assert_eq!(policies_for(&model, "nobody"), []);
    let names: Vec<_> = compile(&model).into_iter().map(|policy| policy.metadata.name).collect();
    expect![[r#"["flow-checkout", "flow-bulk", "flow-place", "flow-charge", "flow-save", "flow-book", "flow-nothing", "no-flow-attic"]"#]].assert_eq(&format!("{names:?}"));
    // Together they are what each node gets.
    let mut each: Vec<_> = model.nodes.keys().flat_map(|node| policies_for(&model, node.as_str())).collect();
    let mut all = compile(&model);
    each.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
    all.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
    assert_eq!(each, all);
}

#[test]
fn what_is_printed_is_read_back() {
    let policies = compile(&model(SHOP));
    for policy in &policies {
        let yaml = serde_saphyr::to_string(policy).expect("YAML");
        assert_eq!(&serde_saphyr::from_str::<AuthorizationPolicy>(&yaml).expect("a policy"), policy);
        let json = serde_json::to_string(policy).expect("JSON");
        assert_eq!(&serde_json::from_str::<AuthorizationPolicy>(&json).expect("a policy"), policy);
    }
}

#[test]
fn hand_written_policies_narrow() {
    let mut model = model(SHOP);
    let mut deny = policy(
        "no-night",
        "{action: DENY, selector: {matchLabels: {app: payments}}, rules: [{when: [{key: 'request.headers[x-night]', values: ['*']}]}]}",
    );
    model.policies.push(deny.clone());
    deny.metadata.namespace = "shop".to_owned();
    model.policies.push(deny);
    let set = rule_set_for(&model, "payments").expect("the policies compile");
    expect![[r#"
        allow allowed           POST /charges as shop/orders  <- pci/flow-charge[0]
        deny  denied-by-policy  POST /charges as shop/orders header=x-night:1  <- pci/no-night[0]
    "#]]
    .assert_eq(&decide(&set, "POST /charges as shop/orders\nPOST /charges as shop/orders header=x-night:1"));
}

#[test]
fn identities() {
    let model = model(SHOP);
    let of = |node: &str| identity_of(&model, node).map(|id| id.to_string());
    expect![[r#"
        [
            None,
            Some(
                "spiffe://shop.example/ns/internet/sa/partner",
            ),
            Some(
                "spiffe://shop.example/ns/edge/sa/gateway",
            ),
            Some(
                "spiffe://shop.example/ns/shop/sa/orders",
            ),
            None,
            None,
        ]"#]]
    .assert_eq(&format!("{:#?}", ["customer", "partner", "gateway", "orders", "bank", "nobody"].map(of)));
}

#[test]
fn faults_are_found_over_all_nodes_once() {
    let mut model = model(SHOP);
    let mut wrong = policy("wrong", "{action: DENY, rules: [{to: [{operation: {ports: [x]}}]}]}");
    wrong.metadata.namespace = "ward-system".to_owned();
    let mut odd = policy("odd", "{action: DENY, rules: [{to: [{operation: {paths: [no-slash]}}]}]}");
    odd.metadata.namespace = "shop".to_owned();
    model.policies.push(odd);
    expect![[r#"
        warning: policy shop/odd: spec.rules[0].to[0].operation.paths[0]: `no-slash` matches no request: a path starts with /; put a / in front
    "#]].assert_eq(&check_words(&model));
    model.policies.push(wrong);
    expect![[r#"
        error: policy ward-system/wrong: spec.rules[0].to[0].operation.ports[0]: `x` is not a port; write 0 to 65535
    "#]]
    .assert_eq(&check_words(&model));
}

fn check_words(model: &Model) -> String {
    let (word, faults) = match super::check(model) {
        Ok(warnings) => ("warning", warnings),
        Err(errors) => ("error", errors),
    };
    faults.iter().map(|fault| format!("{word}: {fault}\n")).collect()
}

#[test]
fn an_unknown_node_is_an_error() {
    let errors = rule_set_for(&model(SHOP), "payment").expect_err("no such node");
    expect!["policy : nodes: the model has no node `payment`; did you mean `payments`?"]
        .assert_eq(&errors.iter().map(ToString::to_string).collect::<String>());
}

// The flows are the ceiling: each probe that the diagram does not draw is denied by what the flows compile to.
#[test]
fn every_absent_edge_is_denied() {
    let model = model(SHOP);
    for (to, target) in model.nodes.iter().filter(|(_, node)| node.under_ward()) {
        let set = rule_set_for(&model, to.as_str()).expect("the policies compile");
        for from in model.nodes.keys() {
            if model.flows_from(from.as_str()).any(|flow| flow.to == *to && !flow.standby) {
                continue;
            }
            let Some(identity) = identity_of(&model, from.as_str()) else { continue };
            for serve in &target.serves {
                let kind = if serve.protocol.is_http() { "GET /" } else { "tcp" };
                let facts = Facts::parse(&format!("{kind} as {identity} port={}", serve.port));
                assert!(!set.decide(&facts.request()).is_allowed(), "{from} -> {to}:{}", serve.port);
            }
        }
    }
}

/// The shop with two issuers: customers come with tokens, but for the requests by which they get one.
fn with_tokens(flows: &str) -> Model {
    crate::testing::model(&format!(
        r#"
ward: 1
model: m
trust_domain: m.example
mesh:
  issuers:
    shop: {{ issuer: https://shop.example, jwks_uri: "https://localhost:8443/jwks.json", audiences: [shop], from_cookies: [session], forward: true }}
    staff: {{ issuer: https://staff.example/x, jwks: '{{"keys": [{{"kty": "EC"}}]}}' }}
zones: {{ outside: {{ trust: none }}, inside: {{}} }}
nodes:
  customer: {{ kind: party, zone: outside, auth: oidc }}
  clerk: {{ kind: party, zone: outside }}
  gw: {{ kind: service, zone: inside, role: gateway, listen: [{{ port: 8443 }}] }}
  orders: {{ kind: service, zone: inside, run: {{ command: [x] }} }}
flows:
{flows}"#
    ))
}

#[test]
fn tokens_become_documents_and_conditions() {
    let model = with_tokens(
        r#"  - { id: sign-in, from: customer, to: gw, via: { jwt: none, allow: ["POST /login"] } }
  - { id: shopping, from: customer, to: gw, via: { jwt: shop, cors: true, allow: ["GET /orders"] } }
  - { id: desk, from: clerk, to: gw, via: { jwt: { issuer: staff, claims: { role: [admin, "dev*"], realm: { access: [all] } } }, allow: ["DELETE /orders"] } }
  - { id: place, from: gw, to: orders, via: { jwt: shop, allow: ["GET /orders"] } }
"#,
    );
    let documents: Vec<_> = authentications_for(&model, "gw")
        .iter()
        .map(|document| serde_saphyr::to_string(document).expect("YAML"))
        .collect();
    expect![[r#"
        apiVersion: security.istio.io/v1
        kind: RequestAuthentication
        metadata:
          name: issuer-shop.gw
          namespace: inside
        spec:
          selector:
            matchLabels:
              app: gw
          jwtRules:
          - issuer: https://shop.example
            audiences:
            - shop
            jwksUri: https://localhost:8443/jwks.json
            fromCookies:
            - session
            forwardOriginalToken: true
        ---
        apiVersion: security.istio.io/v1
        kind: RequestAuthentication
        metadata:
          name: issuer-staff.gw
          namespace: inside
        spec:
          selector:
            matchLabels:
              app: gw
          jwtRules:
          - issuer: https://staff.example/x
            jwks: "{\"keys\": [{\"kty\": \"EC\"}]}"
            forwardOriginalToken: false
    "#]]
    .assert_eq(&documents.join("---\n"));
    assert_eq!(authentications_for(&model, "orders").len(), 1);
    assert_eq!(authentications_for(&model, "customer"), []);
    let each = model.nodes.keys().flat_map(|node| authentications_for(&model, node.as_str()));
    assert_eq!(authentications(&model), each.collect::<Vec<_>>());
    let rules: Vec<_> = policies_for(&model, "gw")
        .iter()
        .flat_map(|policy| policy.spec.rules.clone())
        .map(|rule| serde_json::to_string(&rule).expect("JSON"))
        .collect();
    expect![[r#"
        {"to":[{"operation":{"ports":["8443"],"methods":["POST"],"paths":["/login"]}}]}
        {"from":[{"source":{"requestPrincipals":["https://shop.example/*"]}}],"to":[{"operation":{"ports":["8443"],"methods":["GET","HEAD"],"paths":["/orders"]}}]}
        {"to":[{"operation":{"ports":["8443"],"methods":["OPTIONS"],"paths":["/orders"]}}],"when":[{"key":"request.headers[origin]","values":["*"]},{"key":"request.headers[access-control-request-method]","values":["*"]}]}
        {"from":[{"source":{"requestPrincipals":["https://staff.example/x/*"]}}],"to":[{"operation":{"ports":["8443"],"methods":["DELETE"],"paths":["/orders"]}}],"when":[{"key":"request.auth.claims[realm][access]","values":["all"]},{"key":"request.auth.claims[role]","values":["admin","dev*"]}]}"#]].assert_eq(&rules.join("\n"));

    let set = rule_set_for(&model, "gw").expect("the policies compile");
    let decided = |method: &str, path: &str, claims: Option<serde_json::Value>| {
        let mut headers = http::HeaderMap::new();
        headers.insert("origin", http::HeaderValue::from_static("https://shop.example"));
        headers.insert("access-control-request-method", http::HeaderValue::from_static("GET"));
        let request = crate::Request {
            method,
            path,
            host: "gw",
            port: 8443,
            jwt: claims.as_ref(),
            ..crate::Request::new(&headers)
        };
        set.decide(&request).is_allowed()
    };
    let token = |issuer: &str, more: serde_json::Value| {
        let mut claims = serde_json::json!({ "iss": issuer, "sub": "ada" });
        claims.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
        Some(claims)
    };
    let none = || serde_json::json!({});
    assert!(decided("POST", "/login", None), "nobody has a token before the first");
    assert!(!decided("GET", "/orders", None));
    assert!(decided("OPTIONS", "/orders", None), "a preflight comes without one");
    assert!(decided("GET", "/orders", token("https://shop.example", none())));
    assert!(!decided("GET", "/orders", token("https://staff.example/x", none())), "of another issuer");
    assert!(!decided("GET", "/orders", token("https://shop.example/evil", none())));
    assert!(!decided("DELETE", "/orders", token("https://shop.example", none())));
    let admin = serde_json::json!({ "role": "admin", "realm": { "access": ["some", "all"] } });
    assert!(decided("DELETE", "/orders", token("https://staff.example/x", admin.clone())));
    assert!(!decided("DELETE", "/orders", token("https://shop.example", admin)));
    let half = serde_json::json!({ "role": "developer" });
    assert!(!decided("DELETE", "/orders", token("https://staff.example/x", half)));
}

#[test]
fn a_token_that_nobody_can_check_shuts_the_flow() {
    let text = "ward: 1\nmodel: m\nzones: { z: {} }\nnodes:\n  p: { kind: party, zone: z, auth: jwt }\n  gw: { kind: service, zone: z, role: gateway, listen: [{ port: 80 }] }\nflows:\n  - { id: f, from: p, to: gw }\n";
    let model = crate::testing::model(text);
    assert_eq!(authentications_for(&model, "gw"), []);
    let policies = policies_for(&model, "gw");
    assert_eq!(policies.len(), 1);
    assert!(policies.iter().all(|policy| policy.spec.rules.is_empty()));
}

#[test]
fn compat_is_the_mesh_s_word() {
    let text = "ward: 1\nmodel: m\nmesh: { compat: istio }\nzones: { z: {} }\nnodes: { a: { kind: service, zone: z, run: { command: [x] } } }\n";
    assert_eq!(semantics_of(&crate::testing::model(text)), Semantics::Istio);
    assert_eq!(semantics_of(&model(SHOP)), Semantics::Ward);
}
