//! Tokens in requests: where they are found, which of them count, what the application gets. In both readings.
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use model::{TokenFault, istio::RequestAuthentication};
use serde_json::json;

use super::*;

/// Tokens of these tests are `x.<claims>.<who signed it>`; a rule's keys are those of the one it names as issuer.
pub(super) struct Names<'a> {
    rules: &'a TokenRules,
    proofs: usize,
}

impl<'a> Names<'a> {
    pub(super) fn of(rules: &'a TokenRules) -> Self {
        Self { rules, proofs: 0 }
    }
}

impl TokenVerifier for Names<'_> {
    fn read(&mut self, token: &str) -> Result<Arc<Value>, TokenFault> {
        let claims = token.strip_prefix("x.").and_then(|rest| rest.rsplit_once('.')).map(|(claims, _)| claims);
        let claims = claims.and_then(|claims| serde_json::from_str::<Value>(claims).ok());
        let claims = claims.ok_or(TokenFault::Malformed("not of these tests"))?;
        if claims.get("late").is_some() { Err(TokenFault::Expired) } else { Ok(Arc::new(claims)) }
    }

    fn prove(&mut self, rule: RuleIndex, token: &str) -> Result<(), TokenFault> {
        self.proofs += 1;
        let rule = self.rules.rule(rule).expect("a rule of these");
        let signer = token.rsplit('.').next().unwrap_or_default();
        match rule.keys {
            None => Err(TokenFault::NoKeys),
            _ if signer == rule.issuer || (rule.issuer.is_empty() && signer == "any") => Ok(()),
            _ => Err(TokenFault::Signature),
        }
    }
}

/// `<i>` is a good token of `i`; `<i for a>` has an audience, `<i by j>` is signed by another, `<i late>` has expired.
pub(super) fn expand(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('<') {
        let (spec, after) = after.split_once('>').expect("a closing >");
        let mut words = spec.split(' ');
        let issuer = words.next().expect("an issuer");
        let mut claims = json!({ "iss": issuer, "sub": "s" });
        let mut signer = issuer;
        while let Some(word) = words.next() {
            match word {
                "for" => claims["aud"] = words.next().expect("an audience").into(),
                "by" => signer = words.next().expect("a signer"),
                "late" => claims["late"] = true.into(),
                "none" => claims = json!({ "sub": "s" }),
                other => claims["sub"] = other.into(),
            }
        }
        out += &format!("{before}x.{claims}.{signer}");
        rest = after;
    }
    out + rest
}

pub(super) fn compile(semantics: Semantics, lines: &str) -> TokenRules {
    let lines = lines.lines().map(str::trim).filter(|line| !line.is_empty()).enumerate();
    let lines: String = lines.map(|(i, rules)| format!("pci/d{i} {{jwtRules: {rules}}}\n")).collect();
    let documents: Vec<RequestAuthentication> = documents("RequestAuthentication", &lines);
    TokenRules::compile(semantics, &workload(), &documents).unwrap_or_else(|errors| panic!("{errors:?}"))
}

/// `GET | name: value | ?query`: what it comes to, and what is left of it.
fn ask(rules: &TokenRules, request: &str) -> String {
    let mut parts = request.split(" | ");
    let method = parts.next().expect("a method").trim();
    let (mut headers, mut query) = (HeaderMap::new(), None);
    for part in parts.map(expand) {
        match (part.strip_prefix('?'), part.split_once(": ").or(part.strip_suffix(':').map(|name| (name, "")))) {
            (Some(text), _) => query = Some(text.to_owned()),
            (None, Some((name, value))) => {
                let name = HeaderName::from_bytes(name.as_bytes()).expect("a header name");
                headers.append(name, HeaderValue::from_bytes(value.as_bytes()).expect("a header value"));
            }
            (None, None) => panic!("neither header nor query: {part}"),
        }
    }
    let mut verifier = Names::of(rules);
    let head = TokenHead { method, headers: &headers, query: query.as_deref() };
    let admission = match rules.authenticate(&head, &mut verifier) {
        Ok(admission) => admission,
        Err(refusal) => return format!("{} {} in {}", refusal.status, refusal.fault.as_str(), refusal.place),
    };
    let mut out = match &admission.token {
        None => "no token".to_owned(),
        Some(token) => {
            let place = token.place.as_ref().expect("it stood somewhere");
            format!("{}/{} in {place}", token.issuer, token.claims["sub"].as_str().unwrap_or("-"))
        }
    };
    let query = rules.rewrite(&admission, &mut headers, query.as_deref());
    let mut left: Vec<String> =
        headers.iter().map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes()))).collect();
    left.sort();
    left.extend(query.map(|query| format!("?{query}")));
    for line in left {
        out += " | ";
        out += &line;
    }
    out
}

/// Each request in Ward's reading, and in Istio's where that differs.
fn check(lines: &str, requests: &str, expect: Expect) {
    let (ward, istio) = (compile(Semantics::Ward, lines), compile(Semantics::Istio, lines));
    let mut out = String::new();
    for request in requests.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (ward, istio) = (ask(&ward, request), ask(&istio, request));
        writeln!(out, "{request}\n  {ward}").expect("a string takes it");
        if istio != ward {
            writeln!(out, "  istio: {istio}").expect("a string takes it");
        }
    }
    expect.assert_eq(&out);
}

#[test]
fn default_places() {
    check(
        "[{issuer: i, jwks: '{\"keys\":[]}'}]",
        "GET
         GET | x-other: a | ?q=1
         GET | authorization: Bearer <i>
         GET | authorization: Bearer <i> | ?a=1&access_token=gone&b=2
         GET | ?a=1&access_token=<i>&b=2
         GET | ?access_token=<i>
         GET | ?%61ccess_token=<i>
         GET | ?ACCESS_TOKEN=<i>
         GET | authorization: Bearer <i by j>
         GET | authorization: Bearer <j>
         GET | authorization: Bearer <i late>
         GET | authorization: Bearer <i none>
         GET | authorization: Bearer nonsense
         GET | authorization: Basic dXNlcg==
         GET | authorization: bearer <i>
         GET | authorization: Bearer
         GET | authorization: BEARER <i by j>
         GET | authorization: Digest x, Bearer <i>
         GET | authorization: Bearer  <i>
         GET | authorization: Bearer <i> | authorization: Bearer <i>
         GET | authorization: Bearer <i> | authorization: Bearer <i by j>
         GET | authorization: Bearer <i by j> | authorization: Bearer <i>
         GET | authorization: Bearer <i> | authorization: Basic dXNlcg==
         GET | authorization: Basic dXNlcg== | authorization: Bearer <i>
         GET | authorization: Bearer <i> | ?access_token=<i by j>
         GET | authorization: Bearer <i by j> | ?access_token=<i>
         GET | ?access_token=<i>&access_token=<i by j>
         GET | ?access_token=<i by j>&access_token=<i>
         GET | ?access_token=",
        expect![[r#"
            GET
              no token
            GET | x-other: a | ?q=1
              no token | x-other: a | ?q=1
            GET | authorization: Bearer <i>
              i/s in header authorization
            GET | authorization: Bearer <i> | ?a=1&access_token=gone&b=2
              401 jwt-malformed in parameter access_token
              istio: i/s in header authorization | ?a=1&access_token=gone&b=2
            GET | ?a=1&access_token=<i>&b=2
              i/s in parameter access_token | ?a=1&b=2
            GET | ?access_token=<i>
              i/s in parameter access_token
            GET | ?%61ccess_token=<i>
              i/s in parameter access_token
            GET | ?ACCESS_TOKEN=<i>
              no token | ?ACCESS_TOKEN=x.{"iss":"i","sub":"s"}.i
            GET | authorization: Bearer <i by j>
              401 jwt-signature in header authorization
            GET | authorization: Bearer <j>
              401 jwt-issuer in header authorization
            GET | authorization: Bearer <i late>
              401 jwt-expired in header authorization
            GET | authorization: Bearer <i none>
              401 jwt-issuer in header authorization
            GET | authorization: Bearer nonsense
              401 jwt-malformed in header authorization
            GET | authorization: Basic dXNlcg==
              no token | authorization: Basic dXNlcg==
            GET | authorization: bearer <i>
              401 jwt-malformed in header authorization
              istio: no token | authorization: bearer x.{"iss":"i","sub":"s"}.i
            GET | authorization: Bearer
              401 jwt-malformed in header authorization
              istio: no token | authorization: Bearer
            GET | authorization: BEARER <i by j>
              401 jwt-malformed in header authorization
              istio: no token | authorization: BEARER x.{"iss":"i","sub":"s"}.j
            GET | authorization: Digest x, Bearer <i>
              i/s in header authorization
            GET | authorization: Bearer  <i>
              i/s in header authorization
            GET | authorization: Bearer <i> | authorization: Bearer <i>
              401 jwt-malformed in header authorization
            GET | authorization: Bearer <i> | authorization: Bearer <i by j>
              401 jwt-malformed in header authorization
            GET | authorization: Bearer <i by j> | authorization: Bearer <i>
              401 jwt-malformed in header authorization
            GET | authorization: Bearer <i> | authorization: Basic dXNlcg==
              401 jwt-signature in header authorization
            GET | authorization: Basic dXNlcg== | authorization: Bearer <i>
              i/s in header authorization
            GET | authorization: Bearer <i> | ?access_token=<i by j>
              401 jwt-signature in parameter access_token
              istio: i/s in header authorization | ?access_token=x.{"iss":"i","sub":"s"}.j
            GET | authorization: Bearer <i by j> | ?access_token=<i>
              401 jwt-signature in header authorization
            GET | ?access_token=<i>&access_token=<i by j>
              401 jwt-signature in parameter access_token
              istio: i/s in parameter access_token
            GET | ?access_token=<i by j>&access_token=<i>
              401 jwt-signature in parameter access_token
            GET | ?access_token=
              401 jwt-malformed in parameter access_token
        "#]],
    );
}

#[test]
fn places_that_rules_name() {
    check(
        "[{issuer: i, jwks: '{\"keys\":[]}', fromHeaders: [{name: X-Token}, {name: X-Auth, prefix: 'Token '}], fromParams: [t], fromCookies: [session]}]",
        "GET | authorization: Bearer <i>
         GET | x-token: <i>
         GET | x-auth: Token <i>
         GET | x-auth: <i>
         GET | x-token:
         GET | ?t=<i>&access_token=<i>
         GET | cookie: a=b; session=<i>; c=d
         GET | cookie: session=<i>
         GET | cookie: a=b | cookie: session=<i>
         GET | cookie: session=\"<i>\"
         GET | cookie: session=<i>; session=<i by j>
         GET | cookie: session=<i by j>; session=<i>
         GET | cookie: Session=<i>
         GET | cookie: session=
         GET | x-token: <i one> | x-auth: Token <i two> | ?t=<i three> | cookie: session=<i four>",
        expect![[r#"
            GET | authorization: Bearer <i>
              no token | authorization: Bearer x.{"iss":"i","sub":"s"}.i
            GET | x-token: <i>
              i/s in header x-token
            GET | x-auth: Token <i>
              i/s in header x-auth
            GET | x-auth: <i>
              no token | x-auth: x.{"iss":"i","sub":"s"}.i
            GET | x-token:
              401 jwt-malformed in header x-token
            GET | ?t=<i>&access_token=<i>
              i/s in parameter t | ?access_token=x.{"iss":"i","sub":"s"}.i
            GET | cookie: a=b; session=<i>; c=d
              i/s in cookie session | cookie: a=b; c=d
              istio: i/s in cookie session | cookie: a=b; session=x.{"iss":"i","sub":"s"}.i; c=d
            GET | cookie: session=<i>
              i/s in cookie session
              istio: i/s in cookie session | cookie: session=x.{"iss":"i","sub":"s"}.i
            GET | cookie: a=b | cookie: session=<i>
              i/s in cookie session | cookie: a=b
              istio: i/s in cookie session | cookie: a=b | cookie: session=x.{"iss":"i","sub":"s"}.i
            GET | cookie: session="<i>"
              i/s in cookie session
              istio: i/s in cookie session | cookie: session="x.{"iss":"i","sub":"s"}.i"
            GET | cookie: session=<i>; session=<i by j>
              401 jwt-signature in cookie session
              istio: i/s in cookie session | cookie: session=x.{"iss":"i","sub":"s"}.i; session=x.{"iss":"i","sub":"s"}.j
            GET | cookie: session=<i by j>; session=<i>
              401 jwt-signature in cookie session
            GET | cookie: Session=<i>
              no token | cookie: Session=x.{"iss":"i","sub":"s"}.i
            GET | cookie: session=
              401 jwt-malformed in cookie session
            GET | x-token: <i one> | x-auth: Token <i two> | ?t=<i three> | cookie: session=<i four>
              i/two in header x-auth
              istio: i/two in header x-auth | cookie: session=x.{"iss":"i","sub":"four"}.i
        "#]],
    );
}

#[test]
fn several_rules() {
    check(
        "[{issuer: j, jwks: '{\"keys\":[]}'}, {issuer: i, jwks: '{\"keys\":[]}', audiences: [a]}]
         [{issuer: k, jwks: '{\"keys\":[]}', fromHeaders: [{name: x-k}]}, {issuer: nokeys}]",
        "GET
         GET | authorization: Bearer <i for a>
         GET | authorization: Bearer <j>
         GET | authorization: Bearer <k>
         GET | x-k: <k>
         GET | x-k: <j>
         GET | authorization: Bearer <i for b>
         GET | authorization: Bearer <i>
         GET | authorization: Bearer <i for b by j>
         GET | authorization: Bearer <nokeys>
         GET | authorization: Bearer <other>
         GET | authorization: Bearer <j> | x-k: <k>
         GET | authorization: Bearer <j> | x-k: <k by j>
         GET | authorization: Bearer <j by k> | x-k: <k>
         GET | authorization: Bearer <j> | ?access_token=<i for a>
         GET | authorization: Bearer <j> | ?access_token=<j>",
        expect![[r#"
            GET
              no token
            GET | authorization: Bearer <i for a>
              i/s in header authorization
            GET | authorization: Bearer <j>
              j/s in header authorization
            GET | authorization: Bearer <k>
              401 jwt-issuer in header authorization
            GET | x-k: <k>
              k/s in header x-k
            GET | x-k: <j>
              401 jwt-issuer in header x-k
            GET | authorization: Bearer <i for b>
              401 jwt-audience in header authorization
              istio: 403 jwt-audience in header authorization
            GET | authorization: Bearer <i>
              401 jwt-audience in header authorization
              istio: 403 jwt-audience in header authorization
            GET | authorization: Bearer <i for b by j>
              401 jwt-audience in header authorization
              istio: 403 jwt-audience in header authorization
            GET | authorization: Bearer <nokeys>
              401 jwt-no-keys in header authorization
            GET | authorization: Bearer <other>
              401 jwt-issuer in header authorization
            GET | authorization: Bearer <j> | x-k: <k>
              j/s in header authorization
              istio: j/s in header authorization | x-k: x.{"iss":"k","sub":"s"}.k
            GET | authorization: Bearer <j> | x-k: <k by j>
              401 jwt-signature in header x-k
              istio: j/s in header authorization | x-k: x.{"iss":"k","sub":"s"}.j
            GET | authorization: Bearer <j by k> | x-k: <k>
              401 jwt-signature in header authorization
              istio: k/s in header x-k | authorization: Bearer x.{"iss":"j","sub":"s"}.k
            GET | authorization: Bearer <j> | ?access_token=<i for a>
              401 jwt-issuer in header authorization
            GET | authorization: Bearer <j> | ?access_token=<j>
              j/s in header authorization
        "#]],
    );
}

#[test]
fn one_issuer_in_two_rules_and_any_issuer() {
    check(
        "[{issuer: i, audiences: [a], jwks: '{\"keys\":[]}'}, {issuer: i, audiences: [b], jwks: '{\"keys\":[]}'}]
         [{jwksUri: 'https://keys.example/', fromHeaders: [{name: x-any}]}]",
        "GET | authorization: Bearer <i for a>
         GET | authorization: Bearer <i for b>
         GET | authorization: Bearer <i for c>
         GET | x-any: <anyone by any>
         GET | x-any: <anyone none by any>
         GET | x-any: <i for a>
         GET | x-any: <i for a by any>",
        expect![[r#"
            GET | authorization: Bearer <i for a>
              i/s in header authorization
            GET | authorization: Bearer <i for b>
              i/s in header authorization
            GET | authorization: Bearer <i for c>
              401 jwt-audience in header authorization
              istio: 403 jwt-audience in header authorization
            GET | x-any: <anyone by any>
              anyone/s in header x-any
            GET | x-any: <anyone none by any>
              401 jwt-issuer in header x-any
              istio: /s in header x-any
            GET | x-any: <i for a>
              401 jwt-signature in header x-any
              istio: i/s in header x-any
            GET | x-any: <i for a by any>
              i/s in header x-any
        "#]],
    );
}

#[test]
fn audiences_with_a_scheme() {
    check(
        "[{issuer: i, audiences: ['https://shop.example/', plain], jwks: '{\"keys\":[]}'}]",
        "GET | authorization: Bearer <i for https://shop.example/>
         GET | authorization: Bearer <i for shop.example>
         GET | authorization: Bearer <i for http://shop.example>
         GET | authorization: Bearer <i for plain/>
         GET | authorization: Bearer <i for Plain>",
        expect![[r#"
            GET | authorization: Bearer <i for https://shop.example/>
              i/s in header authorization
            GET | authorization: Bearer <i for shop.example>
              401 jwt-audience in header authorization
              istio: i/s in header authorization
            GET | authorization: Bearer <i for http://shop.example>
              401 jwt-audience in header authorization
              istio: i/s in header authorization
            GET | authorization: Bearer <i for plain/>
              401 jwt-audience in header authorization
              istio: i/s in header authorization
            GET | authorization: Bearer <i for Plain>
              401 jwt-audience in header authorization
              istio: 403 jwt-audience in header authorization
        "#]],
    );
}

#[test]
fn what_the_application_gets() {
    let rules = "[{issuer: i, jwks: '{\"keys\":[]}', forwardOriginalToken: true, outputPayloadToHeader: x-payload, outputClaimToHeaders: [{header: X-Sub, claim: sub}, {header: x-iss, claim: iss}, {header: x-none, claim: none}]}, {issuer: j, jwks: '{\"keys\":[]}', fromCookies: [c], outputClaimToHeaders: [{header: x-j, claim: sub}]}]";
    check(
        rules,
        "GET | x-sub: forged | x-payload: forged | x-none: forged | x-j: forged | x-other: kept
         GET | authorization: Bearer <i> | x-sub: forged
         GET | cookie: a=b; c=<j> | x-sub: forged
         GET | authorization: Bearer <i one> | cookie: c=<j two>
         GET | ?access_token=<i>&a=b
         OPTIONS | origin: https://a.example | access-control-request-method: GET
         OPTIONS | origin: https://a.example | access-control-request-method: GET | authorization: Bearer <i by j> | x-sub: forged
         OPTIONS | access-control-request-method: GET | authorization: Bearer <i by j>
         OPTIONS | origin:  | access-control-request-method: GET | authorization: Bearer <i by j>
         GET | origin: https://a.example | access-control-request-method: GET | authorization: Bearer <i by j>",
        expect![[r#"
            GET | x-sub: forged | x-payload: forged | x-none: forged | x-j: forged | x-other: kept
              no token | x-other: kept
            GET | authorization: Bearer <i> | x-sub: forged
              i/s in header authorization | authorization: Bearer x.{"iss":"i","sub":"s"}.i | x-iss: i | x-payload: {"iss":"i","sub":"s"} | x-sub: s
            GET | cookie: a=b; c=<j> | x-sub: forged
              j/s in cookie c | cookie: a=b | x-j: s
              istio: j/s in cookie c | cookie: a=b; c=x.{"iss":"j","sub":"s"}.j | x-j: s
            GET | authorization: Bearer <i one> | cookie: c=<j two>
              i/one in header authorization | authorization: Bearer x.{"iss":"i","sub":"one"}.i | x-iss: i | x-payload: {"iss":"i","sub":"one"} | x-sub: one
              istio: i/one in header authorization | authorization: Bearer x.{"iss":"i","sub":"one"}.i | cookie: c=x.{"iss":"j","sub":"two"}.j | x-iss: i | x-payload: {"iss":"i","sub":"one"} | x-sub: one
            GET | ?access_token=<i>&a=b
              i/s in parameter access_token | x-iss: i | x-payload: {"iss":"i","sub":"s"} | x-sub: s | ?access_token=x.{"iss":"i","sub":"s"}.i&a=b
            OPTIONS | origin: https://a.example | access-control-request-method: GET
              no token | access-control-request-method: GET | origin: https://a.example
            OPTIONS | origin: https://a.example | access-control-request-method: GET | authorization: Bearer <i by j> | x-sub: forged
              no token | access-control-request-method: GET | origin: https://a.example
              istio: no token | access-control-request-method: GET | authorization: Bearer x.{"iss":"i","sub":"s"}.j | origin: https://a.example
            OPTIONS | access-control-request-method: GET | authorization: Bearer <i by j>
              401 jwt-signature in header authorization
            OPTIONS | origin:  | access-control-request-method: GET | authorization: Bearer <i by j>
              401 jwt-signature in header authorization
            GET | origin: https://a.example | access-control-request-method: GET | authorization: Bearer <i by j>
              401 jwt-signature in header authorization
        "#]],
    );
}

#[test]
fn claims_become_text() {
    let rules = compile(
        Semantics::Ward,
        "[{issuer: i, spaceDelimitedClaims: [roles, number], outputClaimToHeaders: [{header: x-a, claim: a}, {header: x-n, claim: n.o.p}, {header: x-dot, claim: 'd.e'}]}]",
    );
    let copied = |claims: Value| {
        let mut claims = claims;
        claims["iss"] = "i".into();
        let admission = rules.vouched(&claims).expect("the issuer is known");
        let mut headers = HeaderMap::new();
        rules.rewrite(&admission, &mut headers, None);
        let mut lines: Vec<String> =
            headers.iter().map(|(n, v)| format!("{n}={}", String::from_utf8_lossy(v.as_bytes()))).collect();
        lines.sort();
        (lines.join(" "), admission.token.expect("claims").claims)
    };
    for (claims, want) in [
        (json!({ "a": "text" }), "x-a=text"),
        (json!({ "a": "" }), ""),
        (json!({ "a": null }), ""),
        (json!({ "a": true }), "x-a=true"),
        (json!({ "a": 7 }), "x-a=7"),
        (json!({ "a": 9_007_199_254_740_993_u64 }), "x-a=9007199254740993"),
        (json!({ "a": 7.0 }), "x-a=7"),
        (json!({ "a": 7.5 }), "x-a=7.500000"),
        (json!({ "a": -7 }), "x-a=-7.000000"),
        (json!({ "a": ["b"] }), "x-a=WyJiIl0="),
        (json!({ "a": { "b": 1 } }), "x-a=eyJiIjoxfQ=="),
        (json!({ "a": "é" }), "x-a=é"),
        // Nothing of a claim becomes a second header.
        (json!({ "a": "b\r\nx-admin: true" }), ""),
        (json!({ "a": "b\u{0}" }), ""),
        (json!({ "n": { "o": { "p": "deep" } } }), "x-n=deep"),
        (json!({ "n": { "o": "p" } }), ""),
        (json!({ "d.e": "flat" }), ""),
    ] {
        assert_eq!(copied(claims.clone()).0, want, "{claims}");
    }
    let (_, seen) = copied(json!({ "roles": "a  b", "number": 1, "scope": "c d" }));
    assert_eq!(*seen, json!({ "iss": "i", "roles": ["a", "b"], "number": 1, "scope": "c d" }));
}

#[test]
fn more_tokens_than_are_read() {
    let rules = compile(Semantics::Ward, "[{issuer: i, jwks: '{\"keys\":[]}'}]");
    let of = |count: usize| format!("GET | ?{}", vec!["access_token=<i>"; count].join("&"));
    assert_eq!(ask(&rules, &of(TOKENS_MAX)), "i/s in parameter access_token");
    assert_eq!(ask(&rules, &of(TOKENS_MAX + 1)), "401 jwt-too-long in parameter access_token");
}

#[test]
fn each_question_is_asked_once() {
    let many: Vec<String> = (0..50).map(|i| format!("{{issuer: i{i:02}, jwks: '{{\"keys\":[]}}'}}")).collect();
    let rules = compile(Semantics::Ward, &format!("[{}]", many.join(", ")));
    let mut headers = HeaderMap::new();
    headers.insert("authorization", HeaderValue::from_str(&expand("Bearer <i49>")).expect("a value"));
    let mut verifier = Names::of(&rules);
    let head = TokenHead { method: "GET", headers: &headers, query: None };
    rules.authenticate(&head, &mut verifier).expect("it is good");
    assert_eq!(verifier.proofs, 1);
}

#[test]
fn a_refusal_names_the_provider_and_the_check() {
    let rules = compile(Semantics::Ward, "[{issuer: i, audiences: [a], jwks: '{\"keys\":[]}'}, {issuer: j}]");
    let mut headers = HeaderMap::new();
    for (token, want) in [
        (
            "<i for b>",
            "header authorization: the token is for another audience (RequestAuthentication pci/d0, issuer `i`)",
        ),
        (
            "<i for a by j>",
            "header authorization: the signature is not the issuer's (RequestAuthentication pci/d0, issuer `i`)",
        ),
        (
            "<j>",
            "header authorization: there are no keys to check the token with (RequestAuthentication pci/d0, issuer `j`)",
        ),
        ("<k>", "header authorization: no rule accepts tokens of this issuer"),
        ("<i late>", "header authorization: the token has expired"),
    ] {
        headers.insert("authorization", HeaderValue::from_str(&expand(&format!("Bearer {token}"))).expect("a value"));
        let mut verifier = Names::of(&rules);
        let head = TokenHead { method: "GET", headers: &headers, query: None };
        let refusal = rules.authenticate(&head, &mut verifier).expect_err("it is refused");
        assert_eq!(refusal.to_string(), want, "{token}");
    }
}
