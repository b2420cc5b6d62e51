//! RequestAuthentications as Envoy's JWT filter, as Istio builds it: any of the rules may accept a token, none at all is no
//! fault, a wrong one is; the claims of a good one go to the filter's metadata, where the RBAC filters look for them.
use model::istio::{JwtRule, RequestAuthentication};
use policy::{Semantics, Workload, token_rules};
use serde_json::{Value, json};

use super::{
    filter,
    rbac::{JWT_FILTER, JWT_PAYLOAD},
};

/// The cluster that key sets nobody has fetched yet are said to be at. Without it Envoy refuses their tokens; a key set
/// without keys it would not load, and any key of ours would be one that somebody could sign by (CVE-2026-31837).
const KEYS_CLUSTER: &str = "ward-key-sets";

/// Where the keys of a rule are that says nothing about them: nowhere (RFC 2606).
const NO_ADDRESS: &str = "https://keys.invalid/";

/// The filter; `None` when no rule selects the workload.
pub(crate) fn encode(
    workload: &Workload,
    documents: &[RequestAuthentication],
    keys: &dyn Fn(&str) -> Option<String>,
) -> Option<Value> {
    let mut rules = token_rules(Semantics::Istio, workload, documents);
    rules.sort_by(|a, b| a.issuer.cmp(&b.issuer));
    let mut providers = serde_json::Map::new();
    let (mut any, mut all) = (Vec::new(), Vec::new());
    for (number, rule) in rules.iter().enumerate() {
        let name = format!("origins-{number}");
        providers.insert(name.clone(), provider(rule, keys));
        let this = json!({ "provider_name": name });
        all.push(json!({ "requires_any": { "requirements": [this, { "allow_missing": {} }] } }));
        any.push(this);
    }
    // Any provider accepts it; or each finds its token good or missing.
    let requires = match (all.len(), all.pop()) {
        (_, None) => return None,
        (1, Some(only)) => only,
        (_, Some(last)) => {
            all.push(last);
            any.push(json!({ "requires_all": { "requirements": all } }));
            json!({ "requires_any": { "requirements": any } })
        }
    };
    let config = json!({
        "providers": providers,
        "rules": [{ "match": { "prefix": "/" }, "requires": requires }],
        "bypass_cors_preflight": true,
    });
    Some(filter(JWT_FILTER, "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication", config))
}

fn provider(rule: &JwtRule, keys: &dyn Fn(&str) -> Option<String>) -> Value {
    let fetched = || rule.jwks_uri.as_deref().and_then(keys);
    let jwks = rule.jwks.clone().filter(|jwks| !jwks.is_empty()).or_else(fetched);
    let (source, keys) = match jwks {
        Some(jwks) => ("local_jwks", json!({ "inline_string": jwks })),
        None => {
            let uri = rule.jwks_uri.as_deref().unwrap_or(NO_ADDRESS);
            let uri = json!({ "uri": uri, "cluster": KEYS_CLUSTER, "timeout": "5s" });
            ("remote_jwks", json!({ "http_uri": uri, "cache_duration": "300s" }))
        }
    };
    let mut words: Vec<&str> = rule.space_delimited_claims.iter().map(String::as_str).collect();
    words.extend(["permission", "scope"]);
    words.sort_unstable();
    words.dedup();
    let headers = rule.from_headers.iter().map(|one| json!({ "name": one.name, "value_prefix": one.prefix }));
    let claims =
        rule.output_claim_to_headers.iter().map(|one| json!({ "header_name": one.header, "claim_name": one.claim }));
    json!({
        "issuer": rule.issuer,
        "audiences": rule.audiences,
        source: keys,
        "forward": rule.forward_original_token,
        "from_headers": headers.collect::<Vec<_>>(),
        "from_params": rule.from_params,
        "from_cookies": rule.from_cookies,
        "forward_payload_header": rule.output_payload_to_header.as_deref().unwrap_or_default(),
        "claim_to_headers": claims.collect::<Vec<_>>(),
        "payload_in_metadata": JWT_PAYLOAD,
        "normalize_payload_in_metadata": { "space_delimited_claims": words },
    })
}
