//! Sets made by hand: the tables of `crates/policy/src/gate/tests` (every advisory and every known mistake of policy
//! engines), without what they expect: here Envoy says it. A line of documents is `kind spec`; a request is
//! `METHOD target as namespace/account host=… port=… header=name:value`, or `tcp`, with `~` for a blank.

/// Name, documents, requests.
pub(super) const CASES: &[(&str, &str, &[&str])] = &[
    (
        "cve_2019_9900_nul_in_header_values",
        "policy {action: DENY, rules: [{when: [{key: 'request.headers[x-role]', values: [guest]}]}]}",
        &[
            "GET / header=x-role:guest",
            "GET / header=x-role:guest\0",
        ],
    ),
    (
        "cve_2019_9901_dot_segments",
        "policy {action: DENY, rules: [{to: [{operation: {paths: [/admin, '/admin/*']}}]}]}",
        &[
            "GET /x/../admin",
            "GET /x/%2e%2E/admin",
            "GET /./admin",
        ],
    ),
    (
        "cve_2019_18802_blanks_around_header_values",
        "policy {action: DENY, rules: [{when: [{key: 'request.headers[x-role]', values: [guest]}]}]}",
        &[
            "GET / header=x-role:guest~",
            "GET / header=x-role:~guest",
        ],
    ),
    (
        "cve_2020_8595_query_and_fragment_after_an_exact_path",
        "policy {action: DENY, rules: [{to: [{operation: {paths: [/admin, '/admin/*']}}]}]}",
        &[
            "GET /admin?",
            "GET /admin?x=/y",
            "GET /admin#",
        ],
    ),
    (
        "cve_2020_16844_suffixes_on_tcp",
        "policy {action: DENY, rules: [{from: [{source: {principals: ['*/sa/bad']}}]}]}
                     policy {action: DENY, rules: [{from: [{source: {namespaces: ['*-test']}}]}]}",
        &[
            "tcp as shop/bad",
            "tcp as a-test/good",
            "tcp as shop/good",
        ],
    ),
    (
        "cve_2020_25017_every_one_of_repeated_headers_counts",
        "policy {action: DENY, rules: [{when: [{key: 'request.headers[x-role]', values: [guest]}]}]}",
        &[
            "GET / header=x-role:guest header=x-role:user",
            "GET / header=x-role:user header=x-role:guest",
            "GET / header=x-role:user header=x-role:other",
        ],
    ),
    (
        "cve_2021_29492_cve_2021_31920_escaped_and_doubled_slashes",
        "policy {action: DENY, rules: [{to: [{operation: {paths: [/admin, '/admin/*']}}]}]}",
        &[
            "GET //admin",
            "GET /%2fadmin",
            "GET /admin%2fx",
            "GET /admin%5Cx",
            "GET /admin\\x",
            "GET /x/..\\admin",
        ],
    ),
    (
        "cve_2021_32779_cve_2021_39156_fragments",
        "policy {action: DENY, rules: [{to: [{operation: {paths: [/admin, '/admin/*']}}]}]}",
        &[
            "GET /admin#x",
            "GET /admin#/../x",
            "GET /x#/admin",
        ],
    ),
    (
        "cve_2021_39155_host_case",
        "policy {action: DENY, rules: [{to: [{operation: {hosts: [Secret.com, '*.inner.example']}}]}]}",
        &[
            "GET / host=secret.com",
            "GET / host=SECRET.com",
            "GET / host=a.INNER.example",
            "GET / host=secret.com:8080",
            "GET / host=secret.com.",
            "GET http://secret.com/x host=other",
        ],
    ),
    (
        "cve_2021_39155_host_case",
        "policy {action: DENY, rules: [{to: [{operation: {hosts: [secret.com, 'secret.com:*']}}]}]}",
        &[
            "GET / host=secret.com:8080",
            "GET / host=secret.com.:1",
        ],
    ),
    (
        "cve_2022_21679_hosts_and_not_hosts",
        "policy {rules: [{to: [{operation: {notHosts: [a.example]}}]}]}",
        &[
            "GET / host=a.example",
            "GET / host=A.example",
            "GET / host=b.example",
            "tcp",
        ],
    ),
    (
        "cve_2025_46821_a_star_in_a_path",
        "policy {action: DENY, rules: [{to: [{operation: {paths: ['/t/{*}/keys', '/u/{**}']}}]}]}",
        &[
            "GET /t/*/keys",
            "GET /t/a*b/keys",
            "GET /u/*",
        ],
    ),
    (
        "cve_2026_26205_two_slashes_are_no_authority",
        "policy {action: DENY, rules: [{to: [{operation: {paths: [/x/secret, //x/secret]}}]}]}",
        &[
            "GET //x/secret",
            "GET /x/secret",
        ],
    ),
    (
        "cve_2026_26308_repeated_headers_are_not_one_text",
        "policy {action: DENY, rules: [{when: [{key: 'request.headers[x-role]', values: [admin]}]}]}",
        &[
            "GET / header=x-role:user header=x-role:admin",
            "GET / header=x-role:user,admin",
            "GET / header=x-role:user,~admin",
        ],
    ),
    (
        "cve_2026_26308_repeated_headers_are_not_one_text",
        "policy {rules: [{when: [{key: 'request.headers[x-role]', values: [admin]}]}]}",
        &[
            "GET / header=x-role:admin",
            "GET / header=x-role:user header=x-role:admin",
            "GET / header=x-role:user,admin",
            "GET /",
        ],
    ),
    (
        "cve_2026_31837_a_token_of_no_known_issuer_counts_for_nothing",
        "tokens {jwtRules: [{issuer: 'https://login.example'}]}
                     policy {rules: [{from: [{source: {requestPrincipals: ['*']}}]}]}",
        &[
            "GET /",
        ],
    ),
    (
        "cve_2026_39350_dots_in_service_accounts",
        "policy {rules: [{from: [{source: {serviceAccounts: [shop/web.v1]}}]}]}",
        &[
            "GET / as shop/web.v1",
            "GET / as shop/webxv1",
            "GET / as shop/web.v1-junk",
        ],
    ),
    (
        "cve_2026_73511_cve_2026_73553_path_parameters",
        "policy {action: DENY, rules: [{to: [{operation: {paths: [/admin, '/admin/*']}}]}]}",
        &[
            "GET /admin;x=1",
            "GET /admin;/x",
            "GET /;a/admin",
            "GET /admin/x;y",
        ],
    ),
    (
        "cve_2026_73551_dot_segments_with_parameters",
        "policy {action: DENY, rules: [{to: [{operation: {paths: [/admin, '/admin/*']}}]}]}",
        &[
            "GET /x/..;/admin",
            "GET /x/..;a=b/admin",
            "GET /.;a/admin",
            "GET /x/%2e%2e;/admin",
        ],
    ),
    (
        "cve_2026_73547_connect_without_a_path",
        "policy {rules: [{}]}",
        &[
            "CONNECT svc:443",
            "OPTIONS *",
        ],
    ),
    (
        "cve_2026_73552_bytes_over_127_in_headers",
        "policy {action: DENY, rules: [{when: [{key: 'request.headers[x]', notValues: ['a*']}]}]}",
        &[
            "GET / header=x:é",
            "GET / header=x:aé",
        ],
    ),
    (
        "istio_61126_a_deny_that_tcp_cannot_be_held_against",
        "policy {action: DENY, rules: [{to: [{operation: {paths: [/admin]}}]}]}",
        &[
            "tcp",
            "GET /",
        ],
    ),
    (
        "custom_then_deny_then_allow",
        "policy {rules: [{to: [{operation: {paths: [/a, /b, /c]}}]}]}
                     policy {action: DENY, rules: [{to: [{operation: {paths: [/b, /c]}}]}]}
                     policy {action: CUSTOM, provider: {name: gone}, rules: [{to: [{operation: {paths: [/c]}}]}]}
                     policy {action: AUDIT, rules: [{}]}",
        &[
            "GET /a",
            "GET /b",
            "GET /c",
            "GET /d",
        ],
    ),
    (
        "no_rules_allow_nothing_and_deny_nothing",
        "",
        &[
            "GET /",
            "tcp",
        ],
    ),
    (
        "no_rules_allow_nothing_and_deny_nothing",
        "policy {}",
        &[
            "GET /",
            "tcp",
        ],
    ),
    (
        "no_rules_allow_nothing_and_deny_nothing",
        "policy {action: DENY}",
        &[
            "GET /",
        ],
    ),
    (
        "no_rules_allow_nothing_and_deny_nothing",
        "policy {rules: [{}]}",
        &[
            "GET /",
            "tcp",
        ],
    ),
    (
        "no_rules_allow_nothing_and_deny_nothing",
        "policy {action: DENY, rules: [{}]}",
        &[
            "GET /",
            "tcp",
        ],
    ),
    (
        "a_dry_run_is_not_an_allow_that_exists",
        "dry-run {rules: [{to: [{operation: {paths: [/a]}}]}]}",
        &[
            "GET /a",
            "GET /b",
        ],
    ),
    (
        "a_dry_run_is_not_an_allow_that_exists",
        "dry-run {action: DENY, rules: [{}]}",
        &[
            "GET /",
        ],
    ),
    (
        "the_root_namespace_adds_and_never_overrides",
        "root/policy {action: DENY, rules: [{to: [{operation: {paths: [/r]}}]}]}
                     root/policy {selector: {matchLabels: {app: payments}}, action: DENY, rules: [{to: [{operation: {paths: [/s]}}]}]}
                     root/policy {selector: {matchLabels: {app: orders}}, action: DENY, rules: [{}]}
                     policy {rules: [{to: [{operation: {paths: [/r, /s, /t]}}]}]}",
        &[
            "GET /r",
            "GET /s",
            "GET /t",
            "GET /u",
        ],
    ),
    (
        "target_refs_attach_to_gateways_and_never_to_sidecars",
        "policy {targetRefs: [{kind: Service, name: payments}], action: DENY, rules: [{}]}",
        &[
            "GET /",
        ],
    ),
    (
        "target_refs_attach_to_gateways_and_never_to_sidecars",
        "policy {targetRefs: [{kind: Gateway, group: gateway.networking.k8s.io, name: other}], action: DENY, rules: [{}]}",
        &[
            "GET /",
        ],
    ),
    (
        "strings_are_exact_prefix_suffix_or_present",
        "policy {rules: [{from: [{source: {principals: ['*']}}]}]}",
        &[
            "GET / as a/b",
            "GET /",
            "tcp",
        ],
    ),
    (
        "strings_are_exact_prefix_suffix_or_present",
        "policy {rules: [{when: [{key: 'request.headers[x]', values: ['*']}]}]}",
        &[
            "GET / header=x:",
            "GET / header=x:a",
            "GET /",
        ],
    ),
    (
        "strings_are_exact_prefix_suffix_or_present",
        "policy {rules: [{from: [{source: {principals: ['shop.example/ns/a/*']}}, {source: {principals: ['*/sa/z']}}]}]}",
        &[
            "GET / as a/b",
            "GET / as b/z",
            "GET / as b/b",
        ],
    ),
    (
        "namespaces_hold_in_any_trust_domain",
        "policy {rules: [{from: [{source: {namespaces: [foo]}}]}]}",
        &[
            "GET / as spiffe://partner.example/ns/foo/sa/x",
            "GET / as foo2/x",
            "GET /",
        ],
    ),
    (
        "trust_domain_aliases_hold_for_principals_and_their_negation",
        "policy {rules: [{from: [{source: {principals: [shop.example/ns/a/sa/a]}}]}]}",
        &[
            "GET / as a/a",
            "GET / as spiffe://old.example/ns/a/sa/a",
            "GET / as spiffe://new.example/ns/a/sa/a",
        ],
    ),
    (
        "trust_domain_aliases_hold_for_principals_and_their_negation",
        "policy {rules: [{from: [{source: {notPrincipals: [old.example/ns/a/sa/a]}}]}]}",
        &[
            "GET / as a/a",
            "GET / as a/b",
        ],
    ),
    (
        "trust_domain_aliases_hold_for_principals_and_their_negation",
        "policy {rules: [{from: [{source: {trustDomains: [shop.example]}}]}]}",
        &[
            "GET / as a/a",
            "GET / as spiffe://old.example/ns/a/sa/a",
        ],
    ),
    (
        "destination_addresses",
        "policy {rules: [{when: [{key: destination.ip, values: [10.0.0.0/8, '2001:db8::1']}]}]}",
        &[
            "GET / at=10.1.1.1",
            "GET / at=::ffff:10.1.1.1",
            "GET / at=2001:db8::1",
            "GET / at=11.1.1.1",
            "tcp at=10.1.1.1",
            "GET /",
        ],
    ),
    (
        "destination_addresses",
        "policy {action: DENY, rules: [{when: [{key: destination.ip, notValues: [10.0.0.1]}]}]}",
        &[
            "GET / at=10.0.0.1",
            "GET / at=10.0.0.2",
            "GET /",
        ],
    ),
    (
        "the_trust_domain_as_a_condition",
        "policy {rules: [{when: [{key: source.trustDomain, values: [shop.example, '*.partner.example']}]}]}",
        &[
            "GET / as a/a",
            "GET / as spiffe://old.example/ns/a/sa/a",
            "GET / as spiffe://eu.partner.example/ns/a/sa/a",
            "GET / as spiffe://partner.example/ns/a/sa/a",
            "GET /",
        ],
    ),
    (
        "the_trust_domain_as_a_condition",
        "policy {action: DENY, rules: [{when: [{key: source.trustDomain, notValues: [shop.example]}]}]}",
        &[
            "GET / as a/a",
            "GET / as spiffe://x/ns/a/sa/a",
            "tcp as a/a",
        ],
    ),
    (
        "a_namespace_that_is_called_as_its_own_mark",
        "policy {rules: [{from: [{source: {namespaces: [a]}}]}]}",
        &[
            "GET / as spiffe://shop.example/ns/ns/a/x",
            "GET / as ns/a",
        ],
    ),
    (
        "source_and_remote_addresses",
        "policy {rules: [{from: [{source: {remoteIpBlocks: [10.0.0.0/8]}}]}]}",
        &[
            "GET /",
        ],
    ),
    (
        "methods_are_upper_case",
        "policy {action: DENY, rules: [{to: [{operation: {methods: [DELETE]}}]}]}",
        &[
            "DELETE /",
            "delete /",
            "BREW /",
            "GET /",
        ],
    ),
    (
        "methods_are_upper_case",
        "policy {rules: [{to: [{operation: {methods: [POST], paths: [/pkg.Svc/Method]}}]}]}",
        &[
            "POST /pkg.Svc/Method",
            "POST /pkg.svc/Method",
        ],
    ),
    (
        "path_templates",
        "policy {rules: [{to: [{operation: {paths: ['/a/{*}/b', '/t/{**}', '/u/{**}/end']}}]}]}",
        &[
            "GET /a/x/b",
            "GET /a/x/y/b",
            "GET /t/",
            "GET /t",
            "GET /t/x/y",
            "GET /u/end",
            "GET /u/x/end",
            "GET /a//b",
            "GET /u//end",
            "GET /t/a[b]",
        ],
    ),
    (
        "paths_mind_case_and_trailing_slash",
        "policy {rules: [{to: [{operation: {paths: [/a]}}]}]}",
        &[
            "GET /a",
            "GET /A",
            "GET /a/",
            "GET /a%00",
        ],
    ),
    (
        "headers_of_the_host_mind_the_case_to_istio",
        "policy {action: DENY, rules: [{when: [{key: 'request.headers[:authority]', values: [a.example]}]}]}",
        &[
            "GET / host=a.example",
            "GET / host=A.example",
        ],
    ),
    (
        "server_names_are_lowered_by_envoy_before_they_are_compared",
        "policy {action: DENY, rules: [{when: [{key: connection.sni, values: [a.example, B.example]}]}]}",
        &[
            "tcp sni=A.example",
            "tcp sni=b.example",
            "tcp",
        ],
    ),
    (
        "claims_are_texts_lists_and_nested",
        "policy {rules: [{when: [{key: 'request.auth.claims[team]', notValues: [ops]}]}]}",
        &[
            "GET /",
        ],
    ),
    (
        "a_token_is_not_required_by_request_authentication_alone",
        "tokens {jwtRules: [{issuer: i, audiences: [a]}]}",
        &[
            "GET /",
        ],
    ),
    (
        "on_tcp_an_allow_loses_the_rule_and_a_deny_the_field",
        "policy {rules: [{to: [{operation: {ports: ['80'], methods: [GET]}}]}]}",
        &[
            "tcp port=80",
            "GET / port=80",
        ],
    ),
    (
        "on_tcp_an_allow_loses_the_rule_and_a_deny_the_field",
        "policy {rules: [{to: [{operation: {ports: ['80']}}, {operation: {methods: [GET]}}]}]}",
        &[
            "tcp port=80",
            "POST / port=80",
        ],
    ),
    (
        "on_tcp_an_allow_loses_the_rule_and_a_deny_the_field",
        "policy {action: DENY, rules: [{to: [{operation: {ports: ['80'], notMethods: [GET]}}]}]}",
        &[
            "tcp port=80",
            "tcp port=81",
            "GET / port=80",
        ],
    ),
    (
        "on_tcp_an_allow_loses_the_rule_and_a_deny_the_field",
        "policy {action: DENY, rules: [{from: [{source: {namespaces: [bad], requestPrincipals: ['*']}}]}]}",
        &[
            "tcp as bad/x",
            "tcp as good/x",
        ],
    ),
    (
        "a_strict_port_refuses_whoever_has_no_certificate",
        "peer {mtls: {mode: STRICT}}
                     peer {selector: {matchLabels: {app: payments}}, portLevelMtls: {80: {mode: PERMISSIVE}, 81: {mode: DISABLE}}}",
        &[
            "GET / as a/a",
            "GET /",
            "tcp",
            "GET / port=80",
            "GET / port=81",
            "GET / port=81 as a/a",
        ],
    ),
];
