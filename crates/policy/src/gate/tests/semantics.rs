//! The rest of what implementations get wrong: order, emptiness, strings, tokens, TCP.
use super::*;

#[test]
fn custom_then_deny_then_allow() {
    let documents = "policy {rules: [{to: [{operation: {paths: [/a, /b, /c]}}]}]}
                     policy {action: DENY, rules: [{to: [{operation: {paths: [/b, /c]}}]}]}
                     policy {action: CUSTOM, provider: {name: gone}, rules: [{to: [{operation: {paths: [/c]}}]}]}
                     policy {action: AUDIT, rules: [{}]}";
    both(documents, &[("GET /a", 200, 200), ("GET /b", 403, 403), ("GET /c", 403, 403), ("GET /d", 403, 403)]);
    assert_eq!(reasons(documents, "GET /c"), ("no-provider", "no-provider"));
}

#[test]
fn no_rules_allow_nothing_and_deny_nothing() {
    both("", &[("GET /", 200, 200), ("tcp", 200, 200)]);
    both("policy {}", &[("GET /", 403, 403), ("tcp", 403, 403)]);
    both("policy {action: DENY}", &[("GET /", 200, 200)]);
    both("policy {rules: [{}]}", &[("GET /", 200, 200), ("tcp", 200, 200)]);
    both("policy {action: DENY, rules: [{}]}", &[("GET /", 403, 403), ("tcp", 403, 403)]);
}

#[test]
fn a_dry_run_is_not_an_allow_that_exists() {
    both("dry-run {rules: [{to: [{operation: {paths: [/a]}}]}]}", &[("GET /a", 200, 200), ("GET /b", 200, 200)]);
    both("dry-run {action: DENY, rules: [{}]}", &[("GET /", 200, 200)]);
}

#[test]
fn the_root_namespace_adds_and_never_overrides() {
    let documents = "root/policy {action: DENY, rules: [{to: [{operation: {paths: [/r]}}]}]}
                     root/policy {selector: {matchLabels: {app: payments}}, action: DENY, rules: [{to: [{operation: {paths: [/s]}}]}]}
                     root/policy {selector: {matchLabels: {app: orders}}, action: DENY, rules: [{}]}
                     policy {rules: [{to: [{operation: {paths: [/r, /s, /t]}}]}]}";
    both(documents, &[("GET /r", 403, 403), ("GET /s", 403, 403), ("GET /t", 200, 200), ("GET /u", 403, 403)]);
}

#[test]
fn target_refs_attach_to_gateways_and_never_to_sidecars() {
    // To Ward a Service is the node of its name; to Istio it is a waypoint's business.
    let documents = "policy {targetRefs: [{kind: Service, name: payments}], action: DENY, rules: [{}]}";
    both(documents, &[("GET /", 403, 200)]);
    let documents = "policy {targetRefs: [{kind: Gateway, group: gateway.networking.k8s.io, name: other}], action: DENY, rules: [{}]}";
    both(documents, &[("GET /", 200, 200)]);
}

#[test]
fn strings_are_exact_prefix_suffix_or_present() {
    let documents = "policy {rules: [{from: [{source: {principals: ['*']}}]}]}";
    both(documents, &[("GET / as a/b", 200, 200), ("GET /", 403, 403), ("tcp", 403, 403)]);
    let documents = "policy {rules: [{when: [{key: 'request.headers[x]', values: ['*']}]}]}";
    both(documents, &[("GET / header=x:", 200, 200), ("GET / header=x:a", 200, 200), ("GET /", 403, 403)]);
    let documents = "policy {rules: [{from: [{source: {principals: ['shop.example/ns/a/*']}}, {source: {principals: ['*/sa/z']}}]}]}";
    both(documents, &[("GET / as a/b", 200, 200), ("GET / as b/z", 200, 200), ("GET / as b/b", 403, 403)]);
}

#[test]
fn a_star_in_the_middle_of_a_namespace_is_a_wildcard_to_istio_only() {
    let gate = gate(Semantics::Istio, "policy {rules: [{from: [{source: {namespaces: ['a*c*e']}}]}]}");
    for (request, want) in
        [("GET / as abcde/x", 200), ("GET / as ace/x", 200), ("GET / as abcd/x", 403), ("GET / as xace/x", 403)]
    {
        assert_eq!(gate.answer(&arrival(request)).status, want, "{request}");
    }
}

#[test]
fn namespaces_hold_in_any_trust_domain() {
    let documents = "policy {rules: [{from: [{source: {namespaces: [foo]}}]}]}";
    both(
        documents,
        &[
            ("GET / as spiffe://partner.example/ns/foo/sa/x", 200, 200),
            ("GET / as foo2/x", 403, 403),
            ("GET /", 403, 403),
        ],
    );
}

#[test]
fn trust_domain_aliases_hold_for_principals_and_their_negation() {
    // The mesh is shop.example, its alias old.example.
    let documents = "policy {rules: [{from: [{source: {principals: [shop.example/ns/a/sa/a]}}]}]}";
    both(
        documents,
        &[
            ("GET / as a/a", 200, 200),
            ("GET / as spiffe://old.example/ns/a/sa/a", 200, 200),
            ("GET / as spiffe://new.example/ns/a/sa/a", 403, 403),
        ],
    );
    let documents = "policy {rules: [{from: [{source: {notPrincipals: [old.example/ns/a/sa/a]}}]}]}";
    both(documents, &[("GET / as a/a", 403, 403), ("GET / as a/b", 200, 200)]);
    let documents = "policy {rules: [{from: [{source: {trustDomains: [shop.example]}}]}]}";
    both(documents, &[("GET / as a/a", 200, 200), ("GET / as spiffe://old.example/ns/a/sa/a", 200, 200)]);
}

#[test]
fn destination_addresses() {
    let documents = "policy {rules: [{when: [{key: destination.ip, values: [10.0.0.0/8, '2001:db8::1']}]}]}";
    both(
        documents,
        &[
            ("GET / at=10.1.1.1", 200, 200),
            ("GET / at=::ffff:10.1.1.1", 200, 200),
            ("GET / at=2001:db8::1", 200, 200),
            ("GET / at=11.1.1.1", 403, 403),
            ("tcp at=10.1.1.1", 200, 200),
            ("GET /", 403, 403),
        ],
    );
    let documents = "policy {action: DENY, rules: [{when: [{key: destination.ip, notValues: [10.0.0.1]}]}]}";
    both(documents, &[("GET / at=10.0.0.1", 200, 200), ("GET / at=10.0.0.2", 403, 403), ("GET /", 403, 403)]);
}

#[test]
fn the_trust_domain_as_a_condition() {
    let documents =
        "policy {rules: [{when: [{key: source.trustDomain, values: [shop.example, '*.partner.example']}]}]}";
    both(
        documents,
        &[
            ("GET / as a/a", 200, 200),
            ("GET / as spiffe://old.example/ns/a/sa/a", 200, 200),
            ("GET / as spiffe://eu.partner.example/ns/a/sa/a", 200, 200),
            ("GET / as spiffe://partner.example/ns/a/sa/a", 403, 403),
            ("GET /", 403, 403),
        ],
    );
    let documents = "policy {action: DENY, rules: [{when: [{key: source.trustDomain, notValues: [shop.example]}]}]}";
    both(
        documents,
        &[("GET / as a/a", 200, 200), ("GET / as spiffe://x/ns/a/sa/a", 403, 403), ("tcp as a/a", 200, 200)],
    );
}

// Envoy's filters left nothing, as there are none: to Ward a doubt, to Envoy an absence.
#[test]
fn what_filters_of_envoy_know() {
    let policy = |action: &str, values: &str| {
        format!(
            "policy {{action: {action}, rules: [{{when: [{{key: 'experimental.envoy.filters.a.b[c]', {values}: [x, '[y]']}}]}}]}}"
        )
    };
    both(&policy("ALLOW", "values"), &[("GET /", 403, 403), ("tcp", 403, 403)]);
    both(&policy("ALLOW", "notValues"), &[("GET /", 403, 200), ("tcp", 403, 200)]);
    both(&policy("DENY", "values"), &[("GET /", 403, 200), ("tcp", 403, 200)]);
    both(&policy("DENY", "notValues"), &[("GET /", 403, 403), ("tcp", 403, 403)]);
}

#[test]
fn a_namespace_that_is_called_as_its_own_mark() {
    let documents = "policy {rules: [{from: [{source: {namespaces: [a]}}]}]}";
    both(documents, &[("GET / as spiffe://shop.example/ns/ns/a/x", 200, 200), ("GET / as ns/a", 403, 403)]);
}

#[test]
fn source_and_remote_addresses() {
    let documents = "policy {rules: [{from: [{source: {ipBlocks: [10.0.0.0/8]}}]}]}";
    both(documents, &[("GET / from=10.1.1.1", 200, 200), ("GET / from=1.1.1.1 remote=10.1.1.1", 403, 403)]);
    let documents = "policy {rules: [{from: [{source: {remoteIpBlocks: [10.0.0.0/8]}}]}]}";
    both(
        documents,
        &[
            ("GET / from=1.1.1.1 remote=10.1.1.1", 200, 200),
            ("GET / from=10.1.1.1 remote=1.1.1.1", 403, 403),
            // Nobody told another: the caller is the peer.
            ("GET / from=10.1.1.1", 200, 200),
            // Usable on TCP, as in Istio's sidecars.
            ("tcp from=1.1.1.1 remote=10.1.1.1", 200, 200),
            ("GET /", 403, 403),
        ],
    );
}

#[test]
fn methods_are_upper_case() {
    let documents = "policy {action: DENY, rules: [{to: [{operation: {methods: [DELETE]}}]}]}";
    both(documents, &[("DELETE /", 403, 403), ("delete /", 403, 400), ("BREW /", 200, 400), ("GET /", 200, 200)]);
    let documents = "policy {rules: [{to: [{operation: {methods: [POST], paths: [/pkg.Svc/Method]}}]}]}";
    both(documents, &[("POST /pkg.Svc/Method", 200, 200), ("POST /pkg.svc/Method", 403, 403)]);
}

#[test]
fn path_templates() {
    let documents = "policy {rules: [{to: [{operation: {paths: ['/a/{*}/b', '/t/{**}', '/u/{**}/end']}}]}]}";
    both(
        documents,
        &[
            ("GET /a/x/b", 200, 200),
            ("GET /a/x/y/b", 403, 403),
            ("GET /t/", 200, 200),
            ("GET /t", 403, 403),
            ("GET /t/x/y", 200, 200),
            ("GET /u/end", 403, 403),
            ("GET /u/x/end", 200, 200),
            // Slashes are merged before Ward compares.
            ("GET /a//b", 403, 403),
            ("GET /u//end", 403, 200),
            // Envoy's wildcards stand for the characters of a path only.
            ("GET /t/a[b]", 200, 403),
        ],
    );
}

#[test]
fn paths_mind_case_and_trailing_slash() {
    let documents = "policy {rules: [{to: [{operation: {paths: [/a]}}]}]}";
    both(documents, &[("GET /a", 200, 200), ("GET /A", 403, 403), ("GET /a/", 403, 403), ("GET /a%00", 400, 400)]);
}

#[test]
fn what_denies_a_path_denies_it_with_a_slash_behind() {
    let documents = "policy {action: DENY, rules: [{to: [{operation: {paths: [/admin, '*.php', '/t/{*}', '/u/{**}/end', '/v/{**}']}}]}]}";
    both(
        documents,
        &[
            ("GET /admin/", 403, 200),
            ("GET /admin//", 403, 200),
            ("GET /admin%2f", 403, 200),
            ("GET /admin%5c", 403, 200),
            ("GET /admin/x", 200, 200),
            ("GET /administrators", 200, 200),
            ("GET /a.php/", 403, 200),
            ("GET /a.php/x", 200, 200),
            ("GET /t/x/", 403, 200),
            ("GET /t/", 200, 200),
            ("GET /u/x/end/", 403, 200),
            ("GET /v/", 403, 403),
            ("GET /v", 200, 200),
        ],
    );
    let documents = "policy {rules: [{to: [{operation: {notPaths: [/admin]}}]}]}";
    both(documents, &[("GET /admin/", 403, 200), ("GET /", 200, 200)]);
    // What is written with a slash asks for one.
    let documents = "policy {action: DENY, rules: [{to: [{operation: {paths: [/admin/]}}]}]}";
    both(documents, &[("GET /admin", 200, 200), ("GET /admin/", 403, 403)]);
}

#[test]
fn a_target_has_a_path() {
    both("", &[("GET ?x", 400, 400), ("GET #x", 400, 400), ("GET http://svc", 200, 200), ("GET /?x", 200, 200)]);
}

#[test]
fn headers_of_the_host_mind_the_case_to_istio() {
    let documents =
        "policy {action: DENY, rules: [{when: [{key: 'request.headers[:authority]', values: [a.example]}]}]}";
    both(documents, &[("GET / host=a.example", 403, 403), ("GET / host=A.example", 403, 200)]);
}

#[test]
fn server_names_are_lowered_by_envoy_before_they_are_compared() {
    let documents = "policy {action: DENY, rules: [{when: [{key: connection.sni, values: [a.example, B.example]}]}]}";
    both(documents, &[("tcp sni=A.example", 403, 403), ("tcp sni=b.example", 403, 200), ("tcp", 200, 200)]);
}

#[test]
fn request_principals_are_split_at_the_last_slash() {
    let documents = "policy {rules: [{from: [{source: {requestPrincipals: ['https://a.example/x/sub', '*/admin']}}]}]}";
    both(
        documents,
        &[
            ("GET / jwt={\"iss\":\"https://a.example/x\",\"sub\":\"sub\"}", 200, 200),
            ("GET / jwt={\"iss\":\"https://a.example\",\"sub\":\"x/sub\"}", 403, 403),
            ("GET / jwt={\"iss\":\"other\",\"sub\":\"admin\"}", 200, 200),
        ],
    );
    let documents = "policy {rules: [{from: [{source: {requestPrincipals: ['*']}}]}]}";
    both(
        documents,
        &[
            ("GET / jwt={\"iss\":\"i\",\"sub\":\"s\"}", 200, 200),
            ("GET / jwt={\"iss\":\"i\",\"sub\":\"\"}", 403, 403),
            ("GET / jwt={\"iss\":\"i\"}", 403, 403),
        ],
    );
}

#[test]
fn claims_are_texts_lists_and_nested() {
    let claim = |path: &str, value: &str| {
        format!("policy {{rules: [{{when: [{{key: 'request.auth.claims{path}', values: ['{value}']}}]}}]}}")
    };
    both(
        &claim("[team]", "ops"),
        &[
            ("GET / jwt={\"team\":\"ops\"}", 200, 200),
            ("GET / jwt={\"team\":[\"dev\",\"ops\"]}", 200, 200),
            ("GET / jwt={\"team\":\"dev~ops\"}", 403, 403),
            ("GET / jwt={\"team\":{\"ops\":true}}", 403, 403),
            ("GET /", 403, 403),
        ],
    );
    both(
        &claim("[realm][roles]", "admin"),
        &[
            ("GET / jwt={\"realm\":{\"roles\":[\"admin\"]}}", 200, 200),
            ("GET / jwt={\"realm.roles\":\"admin\"}", 403, 403),
        ],
    );
    both(&claim("[level]", "1"), &[("GET / jwt={\"level\":1}", 403, 403), ("GET / jwt={\"level\":\"1\"}", 200, 200)]);
    both(&claim("[ok]", "true"), &[("GET / jwt={\"ok\":true}", 403, 403)]);
    both(
        &claim("[scope]", "write"),
        &[("GET / jwt={\"scope\":\"write\"}", 200, 200), ("GET / jwt={\"scope\":\"rewrite\"}", 403, 403)],
    );
    let mut words = arrival("GET /");
    words.jwt = Some(serde_json::json!({"scope": "read write", "team": "dev ops"}));
    for semantics in [Semantics::Ward, Semantics::Istio] {
        assert_eq!(gate(semantics, &claim("[scope]", "write")).answer(&words).status, 200);
        assert_eq!(gate(semantics, &claim("[team]", "ops")).answer(&words).status, 403);
    }
    // A negation holds without a token, and without the claim.
    let documents = "policy {rules: [{when: [{key: 'request.auth.claims[team]', notValues: [ops]}]}]}";
    both(
        documents,
        &[
            ("GET /", 200, 200),
            ("GET / jwt={\"team\":\"ops\"}", 403, 403),
            ("GET / jwt={\"team\":[\"ops\",\"dev\"]}", 403, 403),
        ],
    );
}

#[test]
fn a_token_is_not_required_by_request_authentication_alone() {
    let documents = "tokens {jwtRules: [{issuer: i, audiences: [a]}]}";
    both(
        documents,
        &[
            ("GET /", 200, 200),
            ("GET / jwt={\"iss\":\"i\",\"aud\":\"a\"}", 200, 200),
            ("GET / jwt={\"iss\":\"j\",\"aud\":\"a\"}", 401, 401),
            // Envoy answers 403 to a token for somebody else.
            ("GET / jwt={\"iss\":\"i\",\"aud\":\"b\"}", 401, 403),
        ],
    );
    assert_eq!(reasons(documents, "GET / jwt={\"iss\":\"i\"}"), ("jwt-audience", "jwt-audience"));
}

#[test]
fn on_tcp_an_allow_loses_the_rule_and_a_deny_the_field() {
    let documents = "policy {rules: [{to: [{operation: {ports: ['80'], methods: [GET]}}]}]}";
    both(documents, &[("tcp port=80", 403, 403), ("GET / port=80", 200, 200)]);
    // The whole rule, though one of its alternatives could be decided.
    let documents = "policy {rules: [{to: [{operation: {ports: ['80']}}, {operation: {methods: [GET]}}]}]}";
    both(documents, &[("tcp port=80", 403, 403), ("POST / port=80", 200, 200)]);
    let documents = "policy {action: DENY, rules: [{to: [{operation: {ports: ['80'], notMethods: [GET]}}]}]}";
    both(documents, &[("tcp port=80", 403, 403), ("tcp port=81", 200, 200), ("GET / port=80", 200, 200)]);
    let documents = "policy {action: DENY, rules: [{from: [{source: {namespaces: [bad], requestPrincipals: ['*']}}]}]}";
    both(documents, &[("tcp as bad/x", 403, 403), ("tcp as good/x", 200, 200)]);
}

#[test]
fn a_strict_port_refuses_whoever_has_no_certificate() {
    let documents = "peer {mtls: {mode: STRICT}}
                     peer {selector: {matchLabels: {app: payments}}, portLevelMtls: {80: {mode: PERMISSIVE}, 81: {mode: DISABLE}}}";
    both(
        documents,
        &[
            ("GET / as a/a", 200, 200),
            ("GET /", 403, 403),
            ("tcp", 403, 403),
            ("GET / port=80", 200, 200),
            ("GET / port=81", 200, 200),
            ("GET / port=81 as a/a", 403, 403),
        ],
    );
    assert_eq!(reasons(documents, "GET admin"), ("mtls-required", "mtls-required"));
    assert_eq!(reasons(documents, "GET / port=81 as a/a"), ("mtls-disabled", "mtls-disabled"));
}

#[test]
fn istio_puts_aliases_for_a_domain_with_a_star_behind() {
    let answer = |documents: &str, request: &str| gate(Semantics::Istio, documents).answer(&arrival(request)).status;
    let documents = "policy {rules: [{from: [{source: {principals: ['sh*/ns/a/sa/b']}}]}]}";
    assert_eq!(answer(documents, "GET / as a/b"), 200);
    assert_eq!(answer(documents, "GET / as spiffe://old.example/ns/a/sa/b"), 200);
    assert_eq!(answer(documents, "GET / as spiffe://shell.example/ns/a/sa/b"), 403);
    // The suffix is kept for the domains it ends, and becomes a prefix for the others.
    let documents = "policy {rules: [{from: [{source: {principals: ['*p.example/ns/a/sa/*']}}]}]}";
    assert_eq!(answer(documents, "GET / as spiffe://old.example/ns/a/sa/b"), 200);
    assert_eq!(answer(documents, "GET / as a/b"), 403);
}
