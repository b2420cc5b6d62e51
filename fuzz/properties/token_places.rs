//! Tokens in requests: in Ward's reading nothing is admitted that Istio's would refuse, no token reaches the application
//! that nobody looked at, and nobody but the proxy sets the headers that claims are copied to.
use std::sync::{Arc, LazyLock};

use http::{HeaderMap, HeaderName, HeaderValue};
use model::istio::RequestAuthentication;
use policy::{RuleIndex, Semantics, TokenFault, TokenHead, TokenRules, TokenVerifier, Workload};
use serde_json::{Value, json};

static RULES: LazyLock<[TokenRules; 2]> = LazyLock::new(|| {
    let keys = json!({ "keys": [] }).to_string();
    let document: RequestAuthentication = serde_json::from_value(json!({
        "apiVersion": "security.istio.io/v1",
        "kind": "RequestAuthentication",
        "metadata": { "name": "jwt", "namespace": "pci" },
        "spec": { "jwtRules": [
            { "issuer": "a", "jwks": keys, "outputClaimToHeaders": [{ "header": "x-sub", "claim": "sub" }] },
            { "issuer": "b", "jwks": keys, "audiences": ["me"], "fromParams": ["t"], "fromCookies": ["c"] },
            { "issuer": "c", "jwks": keys, "fromHeaders": [{ "name": "x-token" }, { "name": "authorization", "prefix": "Token " }] },
        ] },
    }))
    .expect("the document is one");
    let workload = Workload { namespace: "pci".to_owned(), ..Workload::default() };
    [Semantics::Ward, Semantics::Istio].map(|semantics| {
        TokenRules::compile(semantics, &workload, std::slice::from_ref(&document)).expect("it compiles")
    })
});

/// A token is `<issuer>.<audience>.<signer>`.
struct Letters;

impl TokenVerifier for Letters {
    fn read(&mut self, token: &str) -> Result<Arc<Value>, TokenFault> {
        let parts: Vec<&str> = token.split('.').collect();
        let [issuer, audience, _] = parts.as_slice() else { return Err(TokenFault::Malformed("not three parts")) };
        Ok(Arc::new(json!({ "iss": issuer, "aud": audience, "sub": "s" })))
    }

    fn prove(&mut self, rule: RuleIndex, token: &str) -> Result<(), TokenFault> {
        let signer = token.rsplit('.').next().unwrap_or_default();
        if ["a", "b", "c"].get(rule.0) == Some(&signer) { Ok(()) } else { Err(TokenFault::Signature) }
    }
}

/// Reads `data` as a request: method, query, then headers, one a line; panics when a property does not hold.
pub(crate) fn check(data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n');
    let method = String::from_utf8_lossy(lines.next().unwrap_or_default()).into_owned();
    let query = String::from_utf8_lossy(lines.next().unwrap_or_default()).into_owned();
    let mut headers = HeaderMap::new();
    for line in lines {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = (HeaderName::from_bytes(&line[..colon]), HeaderValue::from_bytes(&line[colon + 1..]));
        let (Ok(name), Ok(value)) = (name, value) else { continue };
        if headers.try_append(name, value).is_err() {
            return;
        }
    }
    let head = TokenHead { method: &method, headers: &headers, query: Some(&query) };
    let [ward, istio] = [0, 1].map(|reading| RULES[reading].authenticate(&head, &mut Letters));
    if let Err(refusal) = &ward {
        assert_eq!(refusal.status, 401);
        assert!(!refusal.place.is_empty());
    }
    let Ok(admission) = ward else { return };
    let Ok(plain) = istio else { panic!("Ward admits what Istio refuses: {head:?}") };
    assert_eq!(admission.claims(), plain.claims(), "the readings count other claims: {head:?}");

    let mut left = headers.clone();
    let rest = RULES[0].rewrite(&admission, &mut left, Some(&query)).map(|query| query.into_owned());
    let copied: Vec<_> = left.get_all("x-sub").iter().collect();
    match &admission.token {
        Some(token) if token.rule == RuleIndex(0) => assert_eq!(copied, ["s"]),
        _ => assert!(copied.is_empty(), "{copied:?} was set by the caller"),
    }
    // Asked again, what is left holds no token.
    let head = TokenHead { method: "GET", headers: &left, query: rest.as_deref() };
    let again = RULES[0].authenticate(&head, &mut Letters).expect("nothing is left to refuse");
    assert_eq!(again.token, None, "a token was left in {head:?}");
}
