//! What a rule set is never made of, and what is said about what can do nothing.
use super::*;

/// What is said about each policy, one a line.
fn refused(specs: &str, expect: Expect) {
    let mut out = String::new();
    for spec in lines(specs) {
        match RuleSet::compile(&workload(), &[policy("p", spec)]) {
            Ok(_) => out.push_str(&format!("ACCEPTED {spec}\n")),
            Err(errors) => errors.iter().for_each(|error| out.push_str(&format!("{error}\n"))),
        }
    }
    expect.assert_eq(&out);
}

fn warned(specs: &str, expect: Expect) {
    let mut out = String::new();
    for spec in lines(specs) {
        for warning in rules(&[policy("p", spec)]).warnings() {
            out.push_str(&format!("{warning}\n"));
        }
    }
    expect.assert_eq(&out);
}

#[test]
fn around_the_rules() {
    refused(
        "{targetRefs: [{kind: Service, name: payments}], selector: {matchLabels: {app: payments}}}
         {targetRefs: [{kind: Service, name: payments, namespace: shop}]}
         {targetRefs: [{kind: Deployment, name: payments, group: apps}]}
         {targetRefs: [{kind: Gateway, name: payments, group: gateway.networking.k8s.io}, {kind: HTTPRoute, name: payments, group: gateway.networking.k8s.io}]}
         {action: CUSTOM, provider: {name: opa}}
         {action: CUSTOM, provider: {name: opa}, rules: [{from: [{source: {principals: [a], notRequestPrincipals: [b]}}], when: [{key: source.namespace, values: [x]}, {key: request.auth.presenter, values: [x]}]}]}
         {action: CUSTOM, rules: [{}]}
         {action: DENY, provider: {name: x}, rules: [{}]}
         {selector: {matchLabels: {app: 'pay*'}}}
         {selector: {matchLabels: {'': x}}}",
        expect![[r#"
            policy pci/p: spec.targetRefs: targetRefs and selector exclude each other; keep one of them
            policy pci/p: spec.targetRefs[0]: a target stands in the namespace of its policy; leave `namespace` out
            policy pci/p: spec.targetRefs[0]: a policy cannot be attached to `Deployment` of `apps`; name a Service, or a Gateway of gateway.networking.k8s.io
            policy pci/p: spec.targetRefs[1]: a policy cannot be attached to `HTTPRoute` of `gateway.networking.k8s.io`; name a Service, or a Gateway of gateway.networking.k8s.io
            policy pci/p: spec.rules: a CUSTOM policy without rules never asks; write `[{}]`
            policy pci/p: spec.rules[0].from[0].source.principals: a CUSTOM policy cannot look at principals; use addresses, hosts, ports, methods, paths or headers
            policy pci/p: spec.rules[0].from[0].source.notRequestPrincipals: a CUSTOM policy cannot look at notRequestPrincipals; use addresses, hosts, ports, methods, paths or headers
            policy pci/p: spec.rules[0].when[0].key: a CUSTOM policy cannot look at source.namespace; use addresses, hosts, ports, methods, paths or headers
            policy pci/p: spec.rules[0].when[1].key: a CUSTOM policy cannot look at request.auth.presenter; use addresses, hosts, ports, methods, paths or headers
            policy pci/p: spec.provider: a CUSTOM policy needs a provider; name one
            policy pci/p: spec.provider: only a CUSTOM policy has a provider; remove it
            policy pci/p: spec.selector.matchLabels[app]: a label is compared whole, without wildcards; write the label's full value
            policy pci/p: spec.selector.matchLabels[]: a label is compared whole, without wildcards; write the label's full value
        "#]],
    );
}

#[test]
fn sources() {
    refused(
        "{rules: [{from: [{source: {}}]}]}
         {rules: [{from: [{}]}]}
         {rules: [{from: [{source: {principals: ['spiffe://shop.example/ns/a/sa/a']}}]}]}
         {rules: [{from: [{source: {principals: ['shop.example/*/sa/a']}}]}]}
         {rules: [{from: [{source: {principals: ['']}}]}]}
         {rules: [{from: [{source: {namespaces: [a/b]}}]}]}
         {rules: [{from: [{source: {namespaces: ['a*b']}}]}]}
         {rules: [{from: [{source: {trustDomains: [a/b]}}]}]}
         {rules: [{from: [{source: {serviceAccounts: ['a/*']}}]}]}
         {rules: [{from: [{source: {serviceAccounts: [a/b/c]}}]}]}
         {rules: [{from: [{source: {serviceAccounts: [a/b], namespaces: [c]}}]}]}
         {rules: [{from: [{source: {notServiceAccounts: [a/b], principals: [c]}}]}]}
         {rules: [{from: [{source: {serviceAccounts: [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q]}}]}]}
         {rules: [{from: [{source: {ipBlocks: [10.0.0.0/33]}}]}]}
         {rules: [{from: [{source: {ipBlocks: [10.0.0]}}]}]}
         {rules: [{from: [{source: {remoteIpBlocks: ['10.0.0.0/+8']}}]}]}
         {rules: [{from: [{source: {notIpBlocks: ['2001:db8::/129']}}]}]}",
        expect![[r#"
            policy pci/p: spec.rules[0].from[0].source: a source without fields says nothing; leave `from` out to mean any source
            policy pci/p: spec.rules[0].from[0].source: a source without fields says nothing; leave `from` out to mean any source
            policy pci/p: spec.rules[0].from[0].source.principals[0]: `spiffe://shop.example/ns/a/sa/a`: principals are written without spiffe://; correct it
            policy pci/p: spec.rules[0].from[0].source.principals[0]: `shop.example/*/sa/a` has a `*` that is not at one end; write prefix*, *suffix or *
            policy pci/p: spec.rules[0].from[0].source.principals[0]: a value is empty; remove it, or write `*` for any value
            policy pci/p: spec.rules[0].from[0].source.namespaces[0]: `a/b`: a namespace holds no slash; correct it
            policy pci/p: spec.rules[0].from[0].source.namespaces[0]: `a*b` has a `*` that is not at one end; write prefix*, *suffix or *
            policy pci/p: spec.rules[0].from[0].source.trustDomains[0]: `a/b`: a trust domain holds no slash; correct it
            policy pci/p: spec.rules[0].from[0].source.serviceAccounts[0]: `a/*` is not a service account; write namespace/account, without wildcards
            policy pci/p: spec.rules[0].from[0].source.serviceAccounts[0]: `a/b/c` is not a service account; write namespace/account, without wildcards
            policy pci/p: spec.rules[0].from[0].source.serviceAccounts: serviceAccounts cannot stand beside principals or namespaces; use one of them
            policy pci/p: spec.rules[0].from[0].source.serviceAccounts: serviceAccounts cannot stand beside principals or namespaces; use one of them
            policy pci/p: spec.rules[0].from[0].source.serviceAccounts: more than 16 service accounts; split the rule
            policy pci/p: spec.rules[0].from[0].source.ipBlocks[0]: `10.0.0.0/33` is neither an address nor a range of addresses; write 10.1.2.3 or 10.0.0.0/8
            policy pci/p: spec.rules[0].from[0].source.ipBlocks[0]: `10.0.0` is neither an address nor a range of addresses; write 10.1.2.3 or 10.0.0.0/8
            policy pci/p: spec.rules[0].from[0].source.remoteIpBlocks[0]: `10.0.0.0/+8` is neither an address nor a range of addresses; write 10.1.2.3 or 10.0.0.0/8
            policy pci/p: spec.rules[0].from[0].source.notIpBlocks[0]: `2001:db8::/129` is neither an address nor a range of addresses; write 10.1.2.3 or 10.0.0.0/8
        "#]],
    );
}

#[test]
fn operations() {
    refused(
        "{rules: [{to: [{operation: {}}, {operation: {ports: ['80']}}]}]}
         {rules: [{to: [{operation: {ports: ['65536']}}]}]}
         {rules: [{to: [{operation: {ports: ['+80']}}]}]}
         {rules: [{to: [{operation: {ports: [http]}}]}]}
         {rules: [{to: [{operation: {hosts: ['a.*.com']}}]}]}
         {rules: [{to: [{operation: {hosts: [a.com/x]}}]}]}
         {rules: [{to: [{operation: {methods: ['G*T']}}]}]}
         {rules: [{to: [{operation: {paths: ['/a/{x}']}}]}]}
         {rules: [{to: [{operation: {paths: ['/a/{x=*}/{*}']}}]}]}
         {rules: [{to: [{operation: {paths: ['/a{*}']}}]}]}
         {rules: [{to: [{operation: {paths: ['/{**}/{*}']}}]}]}
         {rules: [{to: [{operation: {paths: ['/{*}/*']}}]}]}
         {rules: [{to: [{operation: {paths: ['a/{*}']}}]}]}
         {rules: [{to: [{operation: {notPaths: ['/{**}/{**}']}}]}]}",
        expect![[r#"
            policy pci/p: spec.rules[0].to[0].operation: an operation without fields says nothing; leave `to` out to mean any operation
            policy pci/p: spec.rules[0].to[0].operation.ports[0]: `65536` is not a port; write 0 to 65535
            policy pci/p: spec.rules[0].to[0].operation.ports[0]: `+80` is not a port; write 0 to 65535
            policy pci/p: spec.rules[0].to[0].operation.ports[0]: `http` is not a port; write 0 to 65535
            policy pci/p: spec.rules[0].to[0].operation.hosts[0]: `a.*.com` has a `*` that is not at one end; write prefix*, *suffix or *
            policy pci/p: spec.rules[0].to[0].operation.hosts[0]: `a.com/x`: a host holds no slash; correct it
            policy pci/p: spec.rules[0].to[0].operation.methods[0]: `G*T` has a `*` that is not at one end; write prefix*, *suffix or *
            policy pci/p: spec.rules[0].to[0].operation.paths[0]: `/a/{x}` names a variable, which Istio does not support; write {*} for one segment or {**} for any
            policy pci/p: spec.rules[0].to[0].operation.paths[0]: `/a/{x=*}/{*}` is not a path template: `{*}` and `{**}` are whole segments, and there is no other wildcard; write /a/{*}/b or /a/{**}
            policy pci/p: spec.rules[0].to[0].operation.paths[0]: `/a{*}` is not a path template: `{*}` and `{**}` are whole segments, and there is no other wildcard; write /a/{*}/b or /a/{**}
            policy pci/p: spec.rules[0].to[0].operation.paths[0]: `/{**}/{*}` is not a path template: `{**}` must be the last wildcard; write /a/{*}/b or /a/{**}
            policy pci/p: spec.rules[0].to[0].operation.paths[0]: `/{*}/*` is not a path template: `{*}` and `{**}` are whole segments, and there is no other wildcard; write /a/{*}/b or /a/{**}
            policy pci/p: spec.rules[0].to[0].operation.paths[0]: `a/{*}` is not a path template: a template starts with /; write /a/{*}/b or /a/{**}
            policy pci/p: spec.rules[0].to[0].operation.notPaths[0]: `/{**}/{**}` is not a path template: `{**}` must be the last wildcard; write /a/{*}/b or /a/{**}
        "#]],
    );
}

#[test]
fn conditions() {
    refused(
        "{rules: [{when: [{key: source.ip}]}]}
         {rules: [{when: [{key: source.ips, values: [10.0.0.1]}]}]}
         {rules: [{when: [{key: destination.ip, values: [10.0.0]}]}]}
         {rules: [{when: [{key: source.trustDomain, values: [a/b, 'a*b']}]}]}
         {rules: [{when: [{key: destination.name, values: [x]}]}]}
         {rules: [{when: [{key: 'experimental.envoy.filters.a.b', values: [x]}]}]}
         {rules: [{when: [{key: 'experimental.envoy.filters.a.b[]', values: [x]}]}]}
         {rules: [{when: [{key: 'experimental.other[a]', values: [x]}]}]}
         {rules: [{when: [{key: 'experimental.envoy.filters.a.b[c]', values: [x]}]}]}
         {rules: [{when: [{key: 'request.headers[]', values: [x]}]}]}
         {rules: [{when: [{key: request.headers, values: [x]}]}]}
         {rules: [{when: [{key: 'request.headers[a b]', values: [x]}]}]}
         {rules: [{when: [{key: 'request.headers[a][b]', values: [x]}]}]}
         {rules: [{when: [{key: 'request.headers[:path]', values: [x]}]}]}
         {rules: [{when: [{key: 'request.auth.claims', values: [x]}]}]}
         {rules: [{when: [{key: 'request.auth.claims[a]]', values: [x]}]}]}
         {rules: [{when: [{key: destination.port, notValues: [x]}]}]}",
        expect![[r#"
            policy pci/p: spec.rules[0].when[0]: a condition needs values or notValues; add one
            policy pci/p: spec.rules[0].when[0].key: `source.ips` is not an attribute known here; did you mean `source.ip`?
            policy pci/p: spec.rules[0].when[0].values[0]: `10.0.0` is neither an address nor a range of addresses; write 10.1.2.3 or 10.0.0.0/8
            policy pci/p: spec.rules[0].when[0].values[0]: `a/b`: a trust domain holds no slash; correct it
            policy pci/p: spec.rules[0].when[0].values[1]: `a*b` has a `*` that is not at one end; write prefix*, *suffix or *
            policy pci/p: spec.rules[0].when[0].key: `destination.name` is not an attribute known here; did you mean `destination.ip`?
            policy pci/p: spec.rules[0].when[0].key: `experimental.envoy.filters.a.b` names no value of a filter; write experimental.envoy.filters.<filter>[<name>]
            policy pci/p: spec.rules[0].when[0].key: `experimental.envoy.filters.a.b[]` names no value of a filter; write experimental.envoy.filters.<filter>[<name>]
            policy pci/p: spec.rules[0].when[0].key: `experimental.other[a]` is not an attribute known here; known are source.ip, remote.ip, source.namespace, source.principal, source.serviceAccount, source.trustDomain, destination.ip, request.auth.principal, request.auth.audiences, request.auth.presenter, request.auth.claims[name], request.headers[name], destination.port, connection.sni
            ACCEPTED {rules: [{when: [{key: 'experimental.envoy.filters.a.b[c]', values: [x]}]}]}
            policy pci/p: spec.rules[0].when[0].key: `request.headers[]` is not an attribute known here; did you mean `request.headers[name]`?
            policy pci/p: spec.rules[0].when[0].key: `request.headers` is not an attribute known here; did you mean `request.headers[name]`?
            policy pci/p: spec.rules[0].when[0].key: `a b` is not a header name; use letters, digits and hyphens
            policy pci/p: spec.rules[0].when[0].key: a header has one name; write request.headers[name]
            policy pci/p: spec.rules[0].when[0].key: `:path` is not a header name; use letters, digits and hyphens
            policy pci/p: spec.rules[0].when[0].key: `request.auth.claims` is not an attribute known here; did you mean `request.auth.claims[name]`?
            policy pci/p: spec.rules[0].when[0].key: `request.auth.claims[a]]` is not an attribute known here; did you mean `request.auth.claims[name]`?
            policy pci/p: spec.rules[0].when[0].notValues[0]: `x` is not a port; write 0 to 65535
        "#]],
    );
}

#[test]
fn documents() {
    let mut wrong = policy("p", "{}");
    wrong.api_version = "security.istio.io/v2".to_owned();
    wrong.kind = "AuthorisationPolicy".to_owned();
    wrong.metadata.name.clear();
    wrong.metadata.annotations.insert("istio.io/dry-run".to_owned(), "yes".to_owned());
    wrong.metadata.annotations.insert("ward.internal/audit".to_owned(), "loud".to_owned());
    let twice = [policy("q", "{}"), policy("q", "{action: DENY}")];
    let mut out = String::new();
    for policies in [&[wrong][..], &twice] {
        for error in RuleSet::compile(&workload(), policies).expect_err("it is refused") {
            out.push_str(&format!("{error}\n"));
        }
    }
    expect![[r#"
        policy pci/: apiVersion: `security.istio.io/v2` is not a version of this resource; write security.istio.io/v1
        policy pci/: kind: `AuthorisationPolicy` is not AuthorizationPolicy; write AuthorizationPolicy
        policy pci/: metadata.name: the policy has no name; name it
        policy pci/: metadata.annotations[istio.io/dry-run]: `yes` is neither true nor false; write "true" or remove it
        policy pci/: metadata.annotations[ward.internal/audit]: `loud` is not an audit level; use low, medium, high, strict or critical
        policy pci/q: metadata.name: two policies have this name; rename one of them
    "#]].assert_eq(&out);
}

// One fault refuses the whole set, in a policy that is only watched too; a policy of another workload is not looked at.
#[test]
fn all_or_nothing() {
    let fine = policy("fine", "{rules: [{}]}");
    let mut wrong = policy("wrong", "{action: DENY, rules: [{to: [{operation: {ports: [x]}}]}]}");
    wrong.metadata.annotations.insert("istio.io/dry-run".to_owned(), "true".to_owned());
    assert!(RuleSet::compile(&workload(), &[fine.clone(), wrong.clone()]).is_err());
    wrong.metadata.namespace = "shop".to_owned();
    assert!(RuleSet::compile(&workload(), &[fine, wrong]).is_ok());
}

#[test]
fn warnings() {
    warned(
        "{action: CUSTOM, provider: {name: opa}, rules: [{}]}
         {action: DENY}
         {rules: [{to: [{operation: {paths: ['//a', '/a%2fb', '/a;b', '/a?b', '/a/../b', 'a', '/a/*/b', '/a/./*', '/{*}//x']}}]}]}
         {rules: [{when: [{key: 'request.headers[x]', values: ['*a*']}]}]}
         {rules: [{to: [{operation: {paths: ['/a', '/b*', '*/c', '*', '/d/{*}', '/.well-known/*']}}]}]}",
        expect![[r#"
            policy pci/p: spec.action: providers cannot be asked yet, so this policy denies what it matches; write action: DENY if that is what you want
            policy pci/p: spec.rules: a DENY policy without rules denies nothing; write `[{}]`
            policy pci/p: spec.rules[0].to[0].operation.paths[0]: `//a` matches no request: it holds `//`, `\` or an encoded slash, which requests never have after normalization; write the normal form
            policy pci/p: spec.rules[0].to[0].operation.paths[1]: `/a%2fb` matches no request: it holds `//`, `\` or an encoded slash, which requests never have after normalization; write the normal form
            policy pci/p: spec.rules[0].to[0].operation.paths[2]: `/a;b` matches no request: it holds `;`, and parameters are cut off requests before they are compared; write the normal form
            policy pci/p: spec.rules[0].to[0].operation.paths[3]: `/a?b` matches no request: it holds `?` or `#`, and query and fragment are not compared; write the normal form
            policy pci/p: spec.rules[0].to[0].operation.paths[4]: `/a/../b` matches no request: it holds a dot segment, which requests never have after normalization; write the normal form
            policy pci/p: spec.rules[0].to[0].operation.paths[5]: `a` matches no request: a path starts with /; put a / in front
            policy pci/p: spec.rules[0].to[0].operation.paths[6]: in `/a/*/b` only one `*` at an end is a wildcard, the other is a character; write {*} for one segment
            policy pci/p: spec.rules[0].to[0].operation.paths[7]: `/a/./*` matches no request: it holds a dot segment, which requests never have after normalization; write the normal form
            policy pci/p: spec.rules[0].to[0].operation.paths[8]: `/{*}//x` matches no request: it holds `//`, `\` or an encoded slash, which requests never have after normalization; write the normal form
            policy pci/p: spec.rules[0].when[0].values[0]: in `*a*` only one `*` at an end is a wildcard, the other is a character; write prefix*, *suffix or *
        "#]],
    );
}
