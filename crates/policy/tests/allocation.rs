//! A decision allocates nothing, whether it allows or denies; only what is wrong with a path, or explains, does.
#![expect(clippy::expect_used, reason = "nothing here ships")]
use http::{HeaderMap, HeaderName, HeaderValue};
use model::istio::AuthorizationPolicy;
use policy::{Protocol, Reason, Request, RuleSet, Semantics, Workload, normalize_path};
use serde_json::json;

/// Every kind of field, in every form, and enough policies that all of them are told apart by the index.
fn policies() -> Vec<AuthorizationPolicy> {
    let mut specs: Vec<String> = [
        "{rules: [{from: [{source: {principals: [shop.example/ns/shop/sa/web]}}], to: [{operation: {methods: [GET], paths: [/whole]}}]}]}",
        "{rules: [{from: [{source: {principals: ['shop.example/ns/team/*', '*/sa/end']}}], to: [{operation: {paths: ['/start/*', '*/end']}}]}]}",
        "{rules: [{from: [{source: {namespaces: [edge, 'p-*', '*-prod'], notPrincipals: ['*/sa/root']}}], to: [{operation: {paths: [/namespaces]}}]}]}",
        "{rules: [{from: [{source: {serviceAccounts: [shop/account], trustDomains: [shop.example]}}], to: [{operation: {paths: [/accounts]}}]}]}",
        "{rules: [{to: [{operation: {paths: ['/t/{*}/u/{**}'], notPaths: [/t/x/u/y], notMethods: [DELETE]}}]}]}",
        "{rules: [{to: [{operation: {hosts: [shop.example, '*.shop.example', 'a.example:8443'], paths: [/hosts]}}]}]}",
        "{rules: [{from: [{source: {ipBlocks: [10.0.0.0/8], notRemoteIpBlocks: ['2001:db8::/32']}}], to: [{operation: {paths: [/addresses]}}]}]}",
        "{rules: [{to: [{operation: {paths: [/headers]}}], when: [{key: 'request.headers[x-team]', values: ['a*', b]}, {key: 'request.headers[x-not]', notValues: [c]}]}]}",
        "{rules: [{from: [{source: {requestPrincipals: ['https://login.example/*']}}], to: [{operation: {paths: [/claims]}}], when: [{key: 'request.auth.claims[realm][roles]', values: [admin]}, {key: 'request.auth.claims[scope]', values: [write]}, {key: request.auth.audiences, values: [shop]}]}]}",
        "{rules: [{to: [{operation: {paths: [/server-names]}}], when: [{key: connection.sni, values: ['*.shop.example']}, {key: destination.ip, values: [10.0.0.1]}, {key: destination.port, notValues: ['1']}]}]}",
        "{rules: [{from: [{source: {principals: [shop.example/ns/shop/sa/db]}}], to: [{operation: {ports: ['5432']}}]}]}",
        "{action: DENY, rules: [{to: [{operation: {paths: [/denied, '/denied/*']}}]}]}",
        "{action: DENY, rules: [{to: [{operation: {ports: ['8080'], paths: ['*/denied']}}], when: [{key: 'request.headers[x-deny]', values: [yes]}]}]}",
        "{action: CUSTOM, provider: {name: opa}, rules: [{to: [{operation: {paths: [/asked]}}]}]}",
        "{action: AUDIT, rules: [{to: [{operation: {methods: [PUT]}}]}]}",
    ]
    .map(str::to_owned)
    .into();
    for i in 0..300 {
        specs.push(format!(
            "{{rules: [{{from: [{{source: {{principals: [shop.example/ns/shop/sa/s{i}]}}}}], to: [{{operation: {{paths: [/many/{i}, '/many/{{*}}/{i}']}}}}]}}]}}"
        ));
        specs.push(format!("{{action: DENY, rules: [{{to: [{{operation: {{paths: [/never/{i}]}}}}]}}]}}"));
    }
    let document = |(i, spec): (usize, String)| {
        let yaml = format!(
            "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: p{i}, namespace: pci}}\nspec: {spec}\n"
        );
        serde_saphyr::from_str(&yaml).expect("a policy")
    };
    specs.into_iter().enumerate().map(document).collect()
}

fn set(semantics: Semantics) -> RuleSet {
    let workload = Workload {
        namespace: "pci".to_owned(),
        root_namespace: "ward-system".to_owned(),
        trust_domain: "shop.example".to_owned(),
        ..Workload::default()
    };
    RuleSet::compile_as(semantics, &workload, &policies()).expect("the policies compile")
}

/// How often something allocates.
fn allocations<T>(what: impl FnOnce() -> T) -> (T, u64) {
    let mut answer = None;
    let counted = allocation_counter::measure(|| answer = Some(what()));
    (answer.expect("an answer"), counted.count_total)
}

#[test]
fn a_decision_allocates_nothing() {
    let headers = |pairs: &[(&'static str, &'static str)]| {
        pairs.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect::<HeaderMap>()
    };
    let (none, team) = (headers(&[]), headers(&[("x-team", "alpha"), ("x-other", "a, b")]));
    let (twice, denied) = (headers(&[("x-team", "alpha"), ("x-team", "c")]), headers(&[("x-deny", "no, yes")]));
    let claims = json!({
        "iss": "https://login.example", "sub": "alice", "aud": ["other", "shop"], "scope": "read write",
        "realm": {"roles": ["user", "admin"]},
    });
    let as_web = Request { principal: Some("spiffe://shop.example/ns/shop/sa/web"), port: 8080, ..Request::new(&none) };
    let who = |principal| Request { principal: Some(principal), ..as_web };
    let at = |path| Request { path, ..as_web };
    let from = |ip: [u8; 4]| Request { source_ip: Some(ip.into()), remote_ip: Some(ip.into()), ..at("/addresses") };
    let tcp = Request { principal: Some("spiffe://shop.example/ns/shop/sa/db"), ..Request::tcp(&none, 5432) };
    // What is asked, and the answers of Ward and of Istio.
    let cases: Vec<(Request, Reason, Reason)> = [
        (at("/whole"), Reason::Allowed),
        (Request { path: "/start/x", ..who("spiffe://shop.example/ns/team/sa/x") }, Reason::Allowed),
        (Request { path: "/x/end", ..who("spiffe://shop.example/ns/x/sa/end") }, Reason::Allowed),
        (Request { path: "/namespaces", ..who("spiffe://other/ns/edge/sa/x") }, Reason::Allowed),
        (Request { path: "/namespaces", ..who("spiffe://other/ns/shop-prod/sa/x") }, Reason::Allowed),
        (Request { path: "/namespaces", ..who("spiffe://other/ns/edge/sa/root") }, Reason::NoRuleMatched),
        (Request { path: "/accounts", ..who("spiffe://shop.example/ns/shop/sa/account") }, Reason::Allowed),
        (at("/t/x/u/y/z"), Reason::Allowed),
        (at("/t/x/u/y"), Reason::NoRuleMatched),
        (Request { host: "A.Shop.Example", ..at("/hosts") }, Reason::Allowed),
        (from([10, 1, 2, 3]), Reason::Allowed),
        (from([11, 1, 2, 3]), Reason::NoRuleMatched),
        (at("/addresses"), Reason::NoRuleMatched),
        (Request { headers: &team, ..at("/headers") }, Reason::Allowed),
        (Request { jwt: Some(&claims), ..at("/claims") }, Reason::Allowed),
        (at("/claims"), Reason::NoRuleMatched),
        (
            Request { sni: Some("A.shop.example"), destination_ip: Some([10, 0, 0, 1].into()), ..at("/server-names") },
            Reason::Allowed,
        ),
        (Request { path: "/many/200", ..who("spiffe://shop.example/ns/shop/sa/s200") }, Reason::Allowed),
        (Request { path: "/many/x/299", ..who("spiffe://shop.example/ns/shop/sa/s299") }, Reason::Allowed),
        (Request { path: "/many/200", ..who("spiffe://shop.example/ns/shop/sa/s201") }, Reason::NoRuleMatched),
        (at("/denied/x"), Reason::DeniedByPolicy),
        (at("/never/7"), Reason::DeniedByPolicy),
        (at("/asked"), Reason::NoProvider),
        (Request { method: "PURGE", path: "/nothing", ..as_web }, Reason::NoRuleMatched),
        (Request { principal: None, ..at("/whole") }, Reason::NoRuleMatched),
        // DENY rules about paths say nothing of ports, and so of TCP.
        (tcp, Reason::HttpRuleOnTcp),
    ]
    .map(|(request, reason)| (request, reason, reason))
    .into_iter()
    .chain([
        (Request { headers: &twice, ..at("/headers") }, Reason::NoRuleMatched, Reason::Allowed),
        (Request { headers: &denied, ..at("/t/x/u/denied") }, Reason::DeniedByPolicy, Reason::Allowed),
        (Request { host: "a.example.:8443", ..at("/hosts") }, Reason::Allowed, Reason::NoRuleMatched),
    ])
    .collect();

    let (ward, istio) = (set(Semantics::Ward), set(Semantics::Istio));
    for (request, in_ward, in_istio) in &cases {
        for (set, expect) in [(&ward, in_ward), (&istio, in_istio)] {
            let (decision, counted) = allocations(|| set.decide(request));
            assert_eq!(decision.reason(), *expect, "{request:?}");
            assert_eq!(counted, 0, "{request:?}");
            assert_eq!(allocations(|| set.audited(request)).1, 0, "{request:?}");
            let (_, explained) = allocations(|| set.explain(request));
            assert!(explained > 0, "the counter counts");
        }
        assert!(request.protocol == Protocol::Tcp || allocations(|| normalize_path(request.path)).1 == 0);
    }
}

#[test]
fn a_path_in_normal_form_is_handed_back() {
    for path in ["/", "/a/b-c_d~e.f", "/a@b/c:d/e=f", "/a+b/", "/charges?id=1#x"] {
        for semantics in [Semantics::Ward, Semantics::Istio] {
            assert_eq!(allocations(|| semantics.normalize(path).expect("a path")).1, 0, "{path}");
        }
    }
}
