//! Lines in, lines out.
use expect_test::{Expect, expect};

use super::*;

const POLICIES: &str = "
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: deny-admin, namespace: shop}
spec: {action: DENY, rules: [{to: [{operation: {paths: [/admin]}}]}]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: web, namespace: shop}
spec:
  rules:
  - from: [{source: {principals: [cluster.local/ns/shop/sa/web]}}]
  - to: [{operation: {ports: ['9090']}}]
    when: [{key: 'request.auth.claims[team]', values: [ops]}]
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: strict, namespace: shop}
spec: {mtls: {mode: STRICT}}
";

fn gate(semantics: Semantics, yaml: &str) -> Gate {
    let file = SourceFile { name: "p.yaml".to_owned(), text: yaml.to_owned() };
    let documents = model::load_documents(&[file]);
    assert!(documents.diagnostics.is_empty(), "{:?}", documents.diagnostics);
    let workload = Workload {
        namespace: "shop".to_owned(),
        root_namespace: "istio-system".to_owned(),
        trust_domain: "cluster.local".to_owned(),
        ..Workload::default()
    };
    Gate::of_documents(semantics, &workload, &documents).expect("the documents are good")
}

fn check(semantics: Semantics, lines: &str, expect: Expect) {
    let mut out = Vec::new();
    let gate = gate(semantics, POLICIES);
    let (mut keys, _) = Keys::of(gate.tokens());
    let all = answer_all(&gate, &mut keys, lines.as_bytes(), &mut out).expect("memory takes it");
    expect.assert_eq(&format!("{}all requests: {all}\n", String::from_utf8(out).expect("UTF-8")));
}

#[test]
fn defaults_and_every_field() {
    check(
        Semantics::Ward,
        r#"{"id": "a", "peer": "spiffe://cluster.local/ns/shop/sa/web"}
{"id": 2, "peer": "spiffe://cluster.local/ns/shop/sa/web", "path": "//admin?x"}

{"id": 3, "peer": "spiffe://cluster.local/ns/shop/sa/other", "method": "POST", "path": "/x", "host": "a.com", "headers": [["x", "y"]], "sni": "a.com", "source_ip": "10.0.0.1", "remote_ip": null, "protocol": "http", "note": "left alone"}
{"id": 4}
{"id": 5, "peer": "spiffe://cluster.local/ns/shop/sa/other", "port": 9090, "jwt": {"iss": "i", "sub": "s", "team": ["dev", "ops"]}}
{"peer": "spiffe://cluster.local/ns/shop/sa/web", "protocol": "tcp"}
"#,
        expect![[r#"
            {"id":"a","status":200,"decision":"allow","policy":"shop/web","rule":0,"reason":"allowed"}
            {"id":2,"status":403,"decision":"deny","policy":"shop/deny-admin","rule":0,"reason":"denied-by-policy"}
            {"id":3,"status":403,"decision":"deny","policy":null,"rule":null,"reason":"no-rule-matched"}
            {"id":4,"status":403,"decision":"deny","policy":null,"rule":null,"reason":"mtls-required"}
            {"id":5,"status":200,"decision":"allow","policy":"shop/web","rule":1,"reason":"allowed"}
            {"id":null,"status":403,"decision":"deny","policy":"shop/deny-admin","rule":0,"reason":"http-rule-on-tcp"}
            all requests: true
        "#]],
    );
}

#[test]
fn istios_reading() {
    check(
        Semantics::Istio,
        r#"{"id": 1, "peer": "spiffe://cluster.local/ns/shop/sa/web", "path": "//admin"}
{"id": 2, "peer": "spiffe://cluster.local/ns/shop/sa/web", "path": "/x/../admin"}
{"id": 3, "peer": "spiffe://cluster.local/ns/shop/sa/web", "method": "get"}"#,
        expect![[r#"
            {"id":1,"status":200,"decision":"allow","policy":"shop/web","rule":0,"reason":"allowed"}
            {"id":2,"status":403,"decision":"deny","policy":"shop/deny-admin","rule":0,"reason":"denied-by-policy"}
            {"id":3,"status":400,"decision":"deny","policy":null,"rule":null,"reason":"bad-method"}
            all requests: true
        "#]],
    );
}

#[test]
fn a_line_that_is_no_request_stops_nothing() {
    let long = format!("{{\"id\": 1, \"path\": \"/{}\"}}", "a".repeat(LINE_BYTES_MAX));
    let lines = format!(
        "{long}\nnonsense\n[1]\n{}\n\u{0}\n{}",
        r#"{"id": "x", "port": 70000}
{"id": "x", "port": "80"}
{"id": "x", "jwt": "abc"}
{"id": "x", "headers": {"a": "b"}}
{"id": "x", "method": 1}
{"id": "x", "protocol": "udp"}
{"id": "x", "source_ip": "10.0.0"}
{"id": "x", "path": "/a b", "peer": "spiffe://cluster.local/ns/shop/sa/web"}
{"id": "x", "headers": [["host", "b"]], "host": "a", "peer": "spiffe://cluster.local/ns/shop/sa/web"}
{"id": "x", "peer": "web"}"#,
        r#"{"id": "last", "peer": "spiffe://cluster.local/ns/shop/sa/web"}"#,
    );
    check(
        Semantics::Ward,
        &lines,
        expect![[r#"
            {"id":null,"status":400,"decision":"deny","policy":null,"rule":null,"reason":"bad-line","detail":"line 1 is longer than 1048576 bytes"}
            {"id":null,"status":400,"decision":"deny","policy":null,"rule":null,"reason":"bad-line","detail":"line 2 is no JSON: expected ident at column 2"}
            {"id":null,"status":400,"decision":"deny","policy":null,"rule":null,"reason":"bad-line","detail":"line 3 is no JSON object"}
            {"id":"x","status":400,"decision":"deny","policy":null,"rule":null,"reason":"bad-line","detail":"line 4: `port` is 70000, and must be a number from 1 to 65535"}
            {"id":"x","status":400,"decision":"deny","policy":null,"rule":null,"reason":"bad-line","detail":"line 5: `port` is \"80\", and must be a number from 1 to 65535"}
            {"id":"x","status":400,"decision":"deny","policy":null,"rule":null,"reason":"bad-line","detail":"line 6: `jwt` is \"abc\", and must be an object of claims"}
            {"id":"x","status":400,"decision":"deny","policy":null,"rule":null,"reason":"bad-line","detail":"line 7: `headers` must be [[name, value], …]: invalid type: map, expected a sequence"}
            {"id":"x","status":400,"decision":"deny","policy":null,"rule":null,"reason":"bad-line","detail":"line 8: `method` is 1, and must be a text"}
            {"id":"x","status":400,"decision":"deny","policy":null,"rule":null,"reason":"bad-line","detail":"line 9: `protocol` is `udp`, and must be http or tcp"}
            {"id":"x","status":400,"decision":"deny","policy":null,"rule":null,"reason":"bad-line","detail":"line 10: `source_ip` is `10.0.0`, and must be an IP address"}
            {"id":"x","status":400,"decision":"deny","policy":null,"rule":null,"reason":"path-raw-byte"}
            {"id":"x","status":400,"decision":"deny","policy":null,"rule":null,"reason":"two-hosts"}
            {"id":"x","status":400,"decision":"deny","policy":null,"rule":null,"reason":"bad-peer"}
            {"id":null,"status":400,"decision":"deny","policy":null,"rule":null,"reason":"bad-line","detail":"line 14 is no JSON: expected value at column 1"}
            {"id":"last","status":200,"decision":"allow","policy":"shop/web","rule":0,"reason":"allowed"}
            all requests: false
        "#]],
    );
}

#[test]
fn which_workload() {
    use clap::Parser as _;

    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        check: Check,
    }
    let documents = |namespaces: &[&str]| {
        let text: String = namespaces
            .iter()
            .map(|ns| format!("---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: a, namespace: {ns}}}\n"))
            .collect();
        model::load_documents(&[SourceFile { name: "p.yaml".to_owned(), text }])
    };
    let ask = |flags: &[&str], namespaces: &[&str]| {
        let args = Cli::parse_from([&["check", "--policies", "x"], flags].concat()).check;
        workload(&args, &documents(namespaces)).map_err(|error| error.to_string())
    };
    let namespace = |flags: &[&str], namespaces: &[&str]| ask(flags, namespaces).map(|found| found.namespace);
    assert_eq!(namespace(&[], &["shop"]).as_deref(), Ok("shop"));
    assert_eq!(namespace(&[], &["istio-system", "shop"]).as_deref(), Ok("shop"));
    assert_eq!(namespace(&[], &["istio-system"]).as_deref(), Ok("default"));
    assert_eq!(namespace(&["--namespace", "pci"], &["shop", "pci"]).as_deref(), Ok("pci"));
    assert_eq!(
        namespace(&[], &["shop", "pci"]),
        Err("the policies are in namespaces pci, shop: name the workload's with --namespace".to_owned())
    );
    let found = ask(&["--labels", "app=a,version=v1", "--trust-domain", "new.example,old.example"], &[]).unwrap();
    assert_eq!(found.labels.len(), 2);
    assert_eq!(
        (found.trust_domain.as_str(), found.aliases.as_slice()),
        ("new.example", &["old.example".to_owned()][..])
    );
    assert!(ask(&["--labels", "app"], &[]).unwrap_err().contains("`app` is not a label"));
}

/// Tokens in requests themselves: the keys stand in the documents, or nothing is proven.
#[test]
fn raw_tokens() {
    use aws_lc_rs::{rand::SystemRandom, signature as sig};
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
    use sig::KeyPair;

    let pair = sig::EcdsaKeyPair::generate(&sig::ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
    let token = |issuer: &str, exp: u64| {
        let claims = format!(r#"{{"iss":"{issuer}","sub":"ada","exp":{exp},"team":"ops"}}"#);
        let signed = format!("{}.{}", BASE64.encode(r#"{"alg":"ES256"}"#), BASE64.encode(claims));
        let signature = pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", BASE64.encode(signature))
    };
    let jwk = format!(
        r#"{{"keys":[{{"kty":"EC","crv":"P-256","x":"{}","y":"{}"}},{{"kty":"oct","k":"AA"}}]}}"#,
        BASE64.encode(x),
        BASE64.encode(y)
    );
    let yaml = format!(
        "
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {{name: jwt, namespace: shop}}
spec:
  jwtRules:
  - issuer: https://shop.example
    jwks: '{jwk}'
    outputClaimToHeaders: [{{header: x-team, claim: team}}]
  - issuer: remote
    jwksUri: https://keys.example/jwks.json
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{name: who, namespace: shop}}
spec:
  rules:
  - from: [{{source: {{requestPrincipals: ['https://shop.example/ada']}}}}]
    when: [{{key: 'request.headers[x-team]', values: [ops]}}]
"
    );
    let gate = gate(Semantics::Ward, &yaml);
    let (mut keys, warnings) = Keys::of(gate.tokens());
    assert_eq!(
        warnings,
        [
            "RequestAuthentication shop/jwt: jwtRules[0]: keys[1]: it is a shared secret: whoever checks tokens with it could make them; it is left out",
            "RequestAuthentication shop/jwt: jwtRules[1]: the keys at https://keys.example/jwks.json are not fetched here, so that every token of this rule is refused (jwt-no-keys); write them into `jwks`",
        ]
    );
    let (good, late) = (token("https://shop.example", 1 << 40), token("https://shop.example", 1));
    let mut answer = |what: &str, headers: Value| {
        let line = serde_json::json!({ "id": what, "headers": headers }).to_string();
        let found = super::answer(&gate, &mut keys, 1, line.as_bytes()).verdict;
        format!("{what}: {} {}", found.status, found.reason)
    };
    let bearer = |token: &str| serde_json::json!([["authorization", format!("Bearer {token}")]]);
    let answers = [
        answer("none", serde_json::json!([])),
        answer("a header that only the proxy sets", serde_json::json!([["x-team", "ops"]])),
        answer("good", bearer(&good)),
        answer("again", bearer(&good)),
        answer("expired", bearer(&late)),
        answer("altered", bearer(&format!("{good}AAAA"))),
        answer("remote", bearer(&token("remote", 1 << 40))),
        answer("other", bearer(&token("other", 1 << 40))),
    ];
    expect![[r#"
        none: 403 no-rule-matched
        a header that only the proxy sets: 403 no-rule-matched
        good: 200 allowed
        again: 200 allowed
        expired: 401 jwt-expired
        altered: 401 jwt-signature
        remote: 401 jwt-no-keys
        other: 401 jwt-issuer"#]]
    .assert_eq(&answers.join("\n"));
}
