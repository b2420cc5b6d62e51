//! What Envoy is told. That it means the same to Envoy as to us is what `tests/it/envoy` holds against a real one.
use model::{SourceFile, load_documents};

use super::*;

fn workload() -> Workload {
    Workload {
        namespace: "shop".to_owned(),
        root_namespace: "ward-system".to_owned(),
        trust_domain: "shop.example".to_owned(),
        aliases: vec!["old.example".to_owned()],
        ..Workload::default()
    }
}

fn told(lines: &[&str]) -> Result<Filters, Vec<CompileError>> {
    let document = |(number, line): (usize, &&str)| {
        let (kind, spec) = line.split_once(' ').unwrap();
        let metadata = format!("metadata: {{name: p{number}, namespace: shop}}");
        format!("---\napiVersion: security.istio.io/v1\nkind: {kind}\n{metadata}\nspec: {spec}\n")
    };
    let text = lines.iter().enumerate().map(document).collect();
    let documents = load_documents(&[SourceFile { name: "all.yaml".to_owned(), text }]);
    assert!(documents.diagnostics.is_empty(), "{:?}", documents.diagnostics);
    filters(&workload(), &documents, &|uri| (uri == "https://known.example/").then(|| "{keys}".to_owned()))
}

fn names(filters: &[Value]) -> Vec<String> {
    let action = |filter: &Value| {
        let action = filter["typed_config"]["rules"]["action"].as_str().unwrap_or("-");
        format!("{} {action}", filter["name"].as_str().unwrap_or_default())
    };
    filters.iter().map(action).collect()
}

#[test]
fn filters_run_in_istios_order() {
    let told = told(&[
        "AuthorizationPolicy {rules: [{}]}",
        "AuthorizationPolicy {action: DENY, rules: [{}]}",
        "AuthorizationPolicy {action: AUDIT, rules: [{}]}",
        "AuthorizationPolicy {action: CUSTOM, provider: {name: gone}, rules: [{}]}",
        "RequestAuthentication {jwtRules: [{issuer: i, jwksUri: 'https://known.example/'}]}",
    ])
    .unwrap();
    let rbac = "envoy.filters.http.rbac";
    let tokens = "envoy.filters.http.jwt_authn -".to_owned();
    let want = [format!("{rbac} DENY"), tokens, format!("{rbac} LOG"), format!("{rbac} DENY"), format!("{rbac} ALLOW")];
    assert_eq!(names(&told.http), want);
    assert_eq!(told.tcp.len(), 4);
}

#[test]
fn http_fields_shut_an_allow_and_widen_a_deny_on_tcp() {
    let rule = "rules: [{to: [{operation: {methods: [GET], ports: ['80']}}]}]";
    let told =
        told(&[&format!("AuthorizationPolicy {{{rule}}}"), &format!("AuthorizationPolicy {{action: DENY, {rule}}}")]);
    let tcp = told.unwrap().tcp;
    assert_eq!(tcp[1]["typed_config"]["rules"], json!({ "action": "ALLOW", "policies": {} }));
    let deny = &tcp[0]["typed_config"]["rules"]["policies"]["ns[shop]-policy[p1]-rule[0]"]["permissions"];
    let port = json!({ "or_rules": { "rules": [{ "destination_port": 80 }] } });
    assert_eq!(*deny, json!([{ "and_rules": { "rules": [port] } }]));
}

#[test]
fn keys_that_nobody_has_are_never_made_up() {
    let keys = |uri: &str| {
        let rule = format!("RequestAuthentication {{jwtRules: [{{issuer: i, jwksUri: '{uri}'}}]}}");
        told(&[&rule]).unwrap().http[0]["typed_config"]["providers"]["origins-0"].clone()
    };
    assert_eq!(keys("https://known.example/")["local_jwks"]["inline_string"], "{keys}");
    assert_eq!(keys("https://other.example/")["remote_jwks"]["http_uri"]["cluster"], "ward-key-sets");
}

#[test]
fn what_the_engine_refuses_is_refused() {
    let errors = told(&["AuthorizationPolicy {rules: [{when: [{key: request.nonsense, values: [a]}]}]}"]).unwrap_err();
    assert_eq!(errors.len(), 1, "{errors:?}");
}
