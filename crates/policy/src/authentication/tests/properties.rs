//! Over any mix of tokens and places: Ward never admits what Istio refuses, counts the same claims, and lets nothing
//! through that nobody looked at.
use std::sync::LazyLock;

use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;

use super::{
    requests::{Names, compile, expand},
    *,
};

const RULES: &str = "[{issuer: i, jwks: '{\"keys\":[]}', outputClaimToHeaders: [{header: x-sub, claim: sub}]}, {issuer: j, jwks: '{\"keys\":[]}', audiences: [a], fromHeaders: [{name: x-j}, {name: authorization, prefix: 'Token '}], fromCookies: [c]}]
     [{issuer: i, jwks: '{\"keys\":[]}', audiences: [a], fromParams: [t], fromCookies: [c]}, {jwksUri: 'https://k.example', fromHeaders: [{name: x-any}], fromParams: [t]}]";

static READINGS: LazyLock<[TokenRules; 2]> =
    LazyLock::new(|| [Semantics::Ward, Semantics::Istio].map(|semantics| compile(semantics, RULES)));

fn token() -> impl Strategy<Value = String> {
    let issuer = prop::sample::select(vec!["i", "j", "k"]);
    let rest = prop::sample::select(vec![
        "",
        " for a",
        " for b",
        " by i",
        " by j",
        " by any",
        " late",
        " for a by j",
        " none",
    ]);
    (issuer, rest).prop_map(|(issuer, rest)| expand(&format!("<{issuer}{rest}>")))
}

fn header() -> impl Strategy<Value = (&'static str, String)> {
    let name =
        prop::sample::select(vec!["authorization", "authorization", "x-j", "x-any", "cookie", "x-sub", "x-other"]);
    let frame = prop::sample::select(vec![
        "Bearer @",
        "Bearer @",
        "bearer @",
        "Token @",
        "@",
        "c=@",
        "a=b; c=@; c=@",
        " c =@",
        "c=@ ",
        "Basic x",
        "",
    ]);
    (name, frame, token()).prop_map(|(name, frame, token)| (name, frame.replace('@', &token)))
}

fn query() -> impl Strategy<Value = Option<String>> {
    let frame = prop::sample::select(vec!["t=@", "access_token=@&a=b", "a&t=@&t=@", "%74=@#t=@", "t", ""]);
    prop::option::of((frame, token()).prop_map(|(frame, token)| frame.replace('@', &token)))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn ward_is_never_looser(
        lines in prop::collection::vec(header(), 0..4),
        query in query(),
        method in prop::sample::select(vec!["GET", "OPTIONS"]),
        origin in any::<bool>(),
    ) {
        let readings = &*READINGS;
        let mut headers = HeaderMap::new();
        for (name, value) in &lines {
            headers.append(HeaderName::from_static(name), HeaderValue::from_str(value.trim()).expect("a value"));
        }
        if origin {
            headers.insert("origin", HeaderValue::from_static("o"));
            headers.insert("access-control-request-method", HeaderValue::from_static("GET"));
        }
        let head = TokenHead { method, headers: &headers, query: query.as_deref() };
        let [ward, istio] = [0, 1].map(|at| readings[at].authenticate(&head, &mut Names::of(&readings[at])));
        let Ok(ward) = ward else { return Ok(()) };
        let istio = istio.expect("Istio admits what Ward admits");
        prop_assert_eq!(ward.claims(), istio.claims());

        let mut left = headers.clone();
        let rest = readings[0].rewrite(&ward, &mut left, query.as_deref());
        let by_first = ward.token.as_ref().is_some_and(|token| readings[0].rule(token.rule).is_some_and(|rule| rule.document == "pci/d0" && rule.index == 0));
        prop_assert_eq!(left.get_all("x-sub").iter().count(), usize::from(by_first));
        let head = TokenHead { method: "GET", headers: &left, query: rest.as_deref() };
        let again = readings[0].authenticate(&head, &mut Names::of(&readings[0])).expect("nothing is left to refuse");
        prop_assert_eq!(again.token, None);
    }
}
