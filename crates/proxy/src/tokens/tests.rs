//! What is compiled, and what of the claims a record keeps. Tokens over the wire: `tests/path/tokens.rs`.
use serde_json::json;

use super::*;

fn authentication(rules: &Value) -> wire_resources::Authentication {
    let document = json!({
        "apiVersion": "security.istio.io/v1", "kind": "RequestAuthentication",
        "metadata": { "name": "all", "namespace": "shop" }, "spec": { "jwtRules": rules },
    });
    wire_resources::Authentication { name: "shop/all".to_owned(), document: document.to_string() }
}

fn compile(rules: &Value, sets: &[(&str, &str)]) -> Result<Tokens, Vec<Error>> {
    let subject = policy::Workload { namespace: "shop".to_owned(), ..policy::Workload::default() };
    let sets: Vec<_> = sets
        .iter()
        .map(|(name, jwks)| wire_resources::KeySet { name: (*name).to_owned(), jwks: (*jwks).to_owned() })
        .collect();
    Tokens::compile(Semantics::Ward, &subject, &[authentication(rules)], &sets)
}

const HERE: &str = "https://issuer.test/jwks.json";

#[test]
fn keys_that_are_missing_or_of_no_use_leave_an_issuer_without_any() {
    let rules = json!([{ "issuer": "https://issuer.test", "jwksUri": HERE }]);
    for sets in [&[][..], &[(HERE, "")], &[(HERE, "{")], &[(HERE, r#"{"keys":[]}"#)], &[("https://other.test/", "")]] {
        let tokens = compile(&rules, sets).unwrap();
        assert_eq!(tokens.issuers().collect::<Vec<_>>(), [("https://issuer.test", false)], "{sets:?}");
    }
}

#[test]
fn what_is_no_document_refuses_the_whole_and_says_where() {
    let errors = compile(&json!([{ "issuer": "", "audiences": [""] }]), &[(HERE, ""), (HERE, "")]).unwrap_err();
    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert!(errors.iter().any(|e| e.starts_with("key_sets[1].name: ")), "{errors:?}");
    assert!(errors.iter().any(|e| e.starts_with("authentications: ") && e.contains("shop/all")), "{errors:?}");
    let no_json = wire_resources::Authentication { name: "shop/x".to_owned(), document: "{".to_owned() };
    let errors = Tokens::compile(Semantics::Ward, &policy::Workload::default(), &[no_json], &[]).unwrap_err();
    assert_eq!(errors.first().unwrap().place, "authentications[0]");
}

#[test]
fn records_keep_who_it_is_and_what_policies_read() {
    let policy = |key: &str| {
        let document = json!({
            "apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy", "metadata": { "name": "p" },
            "spec": { "rules": [{ "when": [{ "key": key, "values": ["x"] }] }] },
        });
        serde_json::from_value::<AuthorizationPolicy>(document).unwrap()
    };
    let claims = json!({
        "iss": "i", "sub": "s", "aud": ["a", "b"], "azp": "p", "email": "secret@test",
        "realm": { "roles": ["admin"], "secret": 1 }, "groups": ["g"],
    });
    for (keys, want) in [
        (&[][..], json!({ "iss": "i", "sub": "s" })),
        (&["request.headers[x]", "request.auth.claims[absent]"], json!({ "iss": "i", "sub": "s" })),
        (
            &["request.auth.claims[realm][roles]", "request.auth.claims[groups]"],
            json!({ "iss": "i", "sub": "s", "realm": { "roles": ["admin"] }, "groups": ["g"] }),
        ),
        (
            &["request.auth.audiences", "request.auth.presenter"],
            json!({ "iss": "i", "sub": "s", "aud": ["a", "b"], "azp": "p" }),
        ),
        // Where a policy goes into what is no object, the value itself decides.
        (&["request.auth.claims[sub][x]"], json!({ "iss": "i", "sub": "s" })),
    ] {
        let policies: Vec<_> = keys.iter().map(|key| policy(key)).collect();
        let kept = Tokens::default().reading(&policies).recorded(&claims);
        assert_eq!(serde_json::from_str::<Value>(&kept).unwrap(), want, "{keys:?}");
    }
}

#[test]
fn without_any_document_nothing_is_read_allocated_or_hashed() {
    let tokens = Tokens::default();
    let mut cache = TokenCache::default();
    // Headers that could not even be held: they are not looked at.
    let headers = [
        httparse::Header { name: "no name", value: b"\n" },
        httparse::Header { name: "authorization", value: b"Bearer x" },
    ];
    let ask = Ask {
        method: "GET",
        path: "/",
        query: Some("access_token=x"),
        host: "a",
        headers: Headers::Raw(&headers),
        nominated: None,
        protocol: policy::Protocol::Http,
        http2: false,
    };
    let mut examined = Err(Examined::Malformed);
    let counted = allocation_counter::measure(|| {
        examined = tokens.examine(&ask, Side::Inbound, &mut cache, SystemTime::UNIX_EPOCH);
    });
    assert!(matches!(examined, Ok(None)) && cache.is_empty());
    assert_eq!((counted.count_total, counted.bytes_total), (0, 0));
    // With one, they are.
    let tokens = compile(&json!([{ "issuer": "https://issuer.test", "jwksUri": HERE }]), &[]).unwrap();
    let examined = tokens.examine(&ask, Side::Inbound, &mut cache, SystemTime::UNIX_EPOCH);
    assert!(matches!(examined, Err(Examined::Malformed)));
}
