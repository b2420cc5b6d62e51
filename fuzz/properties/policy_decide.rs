//! Paths and decisions: there is one spelling of each path, and for one fixed set of policies the engine decides as a
//! few plain lines do, and explains what it decided.
use std::sync::LazyLock;

use http::HeaderMap;
use model::istio::AuthorizationPolicy;
use policy::{Decision, Request, RuleSet, Workload, normalize_path};
use serde_json::json;

const CALLER: &str = "spiffe://shop.example/ns/shop/sa/orders";

/// GET of `/orders/{*}` and of everything below `/files/` for one caller on one port; never anything below
/// `/files/private/`.
static RULES: LazyLock<RuleSet> = LazyLock::new(|| {
    let policy = |name: &str, spec: serde_json::Value| -> AuthorizationPolicy {
        let document = json!({
            "apiVersion": "security.istio.io/v1",
            "kind": "AuthorizationPolicy",
            "metadata": { "name": name, "namespace": "pci" },
            "spec": spec,
        });
        serde_json::from_value(document).expect("the policy is one")
    };
    let from = json!([{ "source": { "principals": ["shop.example/ns/shop/sa/orders"] } }]);
    let to = json!([
        { "operation": { "methods": ["GET"], "paths": ["/orders/{*}"], "ports": ["8080"] } },
        { "operation": { "methods": ["GET"], "paths": ["/files/{**}"], "ports": ["8080"] } },
    ]);
    let workload = Workload {
        namespace: "pci".to_owned(),
        root_namespace: "ward-system".to_owned(),
        trust_domain: "shop.example".to_owned(),
        ..Workload::default()
    };
    let policies = [
        policy("read", json!({ "action": "ALLOW", "rules": [{ "from": from, "to": to }] })),
        policy(
            "private",
            json!({ "action": "DENY", "rules": [{ "to": [{ "operation": { "paths": ["/files/private/*"] } }] }] }),
        ),
    ];
    RuleSet::compile(&workload, &policies).expect("the policies compile")
});

/// Reads `data` as a request: path, method, port and caller, one a line; panics when a property does not hold.
pub(crate) fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut lines = text.split('\n');
    let raw = lines.next().unwrap_or_default();
    let Ok(path) = normalize_path(raw) else { return };
    one_spelling(raw, &path);

    let method = lines.next().unwrap_or("GET");
    let port = lines.next().and_then(|port| port.parse().ok()).unwrap_or(8080);
    let caller = lines.next().unwrap_or(CALLER);
    let headers = HeaderMap::new();
    let request = Request { principal: Some(caller), method, path: &path, port, ..Request::new(&headers) };
    let decision = RULES.decide(&request);
    let allowed = matches!(decision, Decision::Allow(_));
    assert_eq!(allowed, plainly_allowed(caller, method, &path, port), "{request:?}");

    let explanation = RULES.explain(&request);
    assert_eq!(explanation.allowed, allowed, "{request:?} is explained otherwise: {explanation:?}");
    assert_eq!(explanation.reason, decision.reason());
    assert_eq!(explanation.rule.is_some(), decision.rule().is_some());
}

fn one_spelling(raw: &str, path: &str) {
    assert_eq!(normalize_path(path).as_deref(), Ok(path), "{raw:?} has two normal forms");
    if path == "*" {
        return;
    }
    assert!(path.starts_with('/'), "{raw:?} -> {path:?}");
    assert!(!path.contains(['?', '#', '\\', ';', '\0']) && !path.contains("//"), "{raw:?} -> {path:?}");
    assert!(!path.split('/').any(|segment| segment == "." || segment == ".."), "{raw:?} -> {path:?}");
    for hidden in ["%2F", "%2f", "%5C", "%5c", "%2E", "%2e", "%00"] {
        assert!(!path.contains(hidden), "{raw:?} -> {path:?}");
    }
}

/// The policies once more, without an engine.
fn plainly_allowed(caller: &str, method: &str, path: &str, port: u16) -> bool {
    let order = path.strip_prefix("/orders/").is_some_and(|id| !id.is_empty() && !id.contains('/'));
    let file = path.starts_with("/files/") && !path.starts_with("/files/private/");
    caller == CALLER && method == "GET" && port == 8080 && (order || file)
}
