//! What holds for any set of policies and any request, in both readings.
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::rules::index::Index;

const READINGS: [Semantics; 2] = [Semantics::Ward, Semantics::Istio];

/// A request out of a small world, so that rules match often.
#[derive(Clone, Debug)]
struct World {
    principal: Option<String>,
    method: String,
    /// As it was sent.
    target: String,
    host: String,
    headers: Vec<String>,
    address: Option<u8>,
    port: u16,
    protocol: Protocol,
    sni: Option<String>,
    claims: Option<Value>,
}

impl World {
    /// The request, with the path given.
    fn with<T>(&self, path: &str, use_it: impl FnOnce(&Request) -> T) -> T {
        let mut headers = http::HeaderMap::new();
        for value in &self.headers {
            headers.append("x", value.parse().expect("a header value"));
        }
        let address = |last| std::net::IpAddr::from([10, 0, 0, last]);
        let http = self.protocol == Protocol::Http;
        use_it(&Request {
            principal: self.principal.as_deref(),
            method: if http { &self.method } else { "" },
            path: if http { path } else { "" },
            host: if http { &self.host } else { "" },
            headers: &headers,
            source_ip: self.address.map(address),
            remote_ip: self.address.map(|last| address(last.wrapping_add(1))),
            destination_ip: self.address.map(address),
            port: self.port,
            protocol: self.protocol,
            sni: self.sni.as_deref(),
            jwt: self.claims.as_ref().filter(|_| http),
        })
    }

    fn path(&self, semantics: Semantics) -> String {
        semantics.normalize(&self.target).expect("a path that is not refused").into_owned()
    }

    fn ask<T>(&self, semantics: Semantics, use_it: impl FnOnce(&Request) -> T) -> T {
        self.with(&self.path(semantics), use_it)
    }
}

fn one_of(words: &'static [&'static str]) -> impl Strategy<Value = String> {
    proptest::sample::select(words).prop_map(str::to_owned)
}

fn world() -> impl Strategy<Value = World> {
    let claims = one_of(&[
        r#"{"iss": "i", "sub": "s", "roles": ["s", "u"], "scope": "a b", "aud": "x"}"#,
        r#"{"iss": "i", "sub": "t", "roles": "t", "realm": {"roles": ["s"]}, "aud": ["x", "y"]}"#,
        r#"{"iss": "https://i/j", "sub": "s", "roles": 7, "azp": "x"}"#,
    ]);
    (
        proptest::option::weighted(
            0.85,
            one_of(&[
                "spiffe://shop.example/ns/a/sa/a",
                "spiffe://shop.example/ns/a/sa/b",
                "spiffe://shop.example/ns/b/sa/a",
                "spiffe://old.example/ns/b/sa/b",
                "spiffe://other.example/ns/ab/sa/a",
                "spiffe://other.example/ns/ns/a/x/sa/sa/a/y",
                "spiffe://other.example/web",
            ]),
        ),
        one_of(&["GET", "POST", "get", "DELETE", "PURGE", "Purge"]),
        one_of(&[
            "/",
            "/a",
            "/a/",
            "/a/b",
            "/a/b/c",
            "/b",
            "/b/a/b",
            "//a",
            "/a/../b",
            "/a;x",
            "/%61",
            "/a%2fb",
            "/a//b",
            "/x/%2e%2e;/a",
            "/a/b?x=/b",
            "/a[b]",
            "/A",
        ]),
        one_of(&["a.com", "A.com:1", "a.com.", "b.com", "x.a.com:8443", "[::1]:80", ""]),
        proptest::collection::vec(one_of(&["a", "b", "a,b", "a, b", "ab", ""]), 0..3),
        proptest::option::weighted(0.8, 0u8..4),
        80u16..82,
        proptest::bool::weighted(0.2).prop_map(|tcp| if tcp { Protocol::Tcp } else { Protocol::Http }),
        proptest::option::of(one_of(&["a.com", "A.com", "b.com", ""])),
        proptest::option::of(claims.prop_map(|text| serde_json::from_str(&text).expect("claims"))),
    )
        .prop_map(|(principal, method, target, host, headers, address, port, protocol, sni, claims)| World {
            principal,
            method,
            target,
            host,
            headers,
            address,
            port,
            protocol,
            sni,
            claims,
        })
}

/// Fields of a place, with the values they may have.
type Fields = &'static [(&'static str, &'static [&'static str])];

const SOURCE: Fields = &[
    (
        "principals",
        &[
            "shop.example/ns/a/sa/a",
            "shop.example/ns/a/sa/b",
            "cluster.local/ns/b/sa/b",
            "shop.example/ns/a/*",
            "*/sa/a",
            "*",
        ],
    ),
    ("namespaces", &["a", "b", "a*", "*b", "ns", "*"]),
    ("serviceAccounts", &["a/a", "b/a", "a", "ns/a"]),
    ("trustDomains", &["shop.example", "old.example", "*.example", "other*", "*"]),
    ("ipBlocks", &["10.0.0.1", "10.0.0.0/31", "10.0.0.0/8"]),
    ("remoteIpBlocks", &["10.0.0.1", "10.0.0.2/31", "::/0"]),
    ("requestPrincipals", &["i/s", "i/*", "*/s", "*", "https://i/j/s"]),
];

const OPERATION: Fields = &[
    ("methods", &["GET", "P*", "DELETE", "PURGE", "*E", "*"]),
    (
        "paths",
        &[
            "/a",
            "/a/",
            "/a/*",
            "/a*",
            "*/b",
            "*b",
            "/{*}/b",
            "/{*}",
            "/a/{**}",
            "/{*}/a/{**}",
            "/{**}/b",
            "/a/{**}/c",
            "/{*}/{**}/b",
            "//a",
            "/b",
            "*",
        ],
    ),
    ("hosts", &["a.com", "A.COM", "*.com", "a.*", "*.a.com", "*", "b.com:1", "a.com:1", "a.com:*"]),
    ("ports", &["80", "81"]),
];

const CONDITIONS: Fields = &[
    ("request.headers[x]", &["a", "b", "a*", "*b", "*"]),
    ("request.headers[host]", &["a.com", "*.com", "*"]),
    ("request.auth.claims[roles]", &["s", "t", "*"]),
    ("request.auth.claims[realm][roles]", &["s"]),
    ("request.auth.claims[scope]", &["a", "b"]),
    ("request.auth.audiences", &["x", "y"]),
    ("request.auth.presenter", &["x"]),
    ("request.auth.principal", &["i/s", "*"]),
    ("source.principal", &["shop.example/ns/a/sa/a", "*/sa/b"]),
    ("source.namespace", &["a", "b"]),
    ("source.serviceAccount", &["a/a"]),
    ("source.trustDomain", &["old.example", "*"]),
    ("source.ip", &["10.0.0.0/31"]),
    ("remote.ip", &["10.0.0.1"]),
    ("destination.ip", &["10.0.0.0/31", "10.0.0.3"]),
    ("destination.port", &["80"]),
    ("connection.sni", &["a.com", "*.com", "A.com", "*"]),
    ("experimental.envoy.filters.a.b[c]", &["x"]),
];

/// One field: its name, its values, whether it is negated.
type Field = (&'static str, Vec<String>, bool);

fn field(fields: Fields) -> impl Strategy<Value = Field> {
    let values = |(name, words): (&'static str, &'static [&'static str])| {
        (Just(name), proptest::collection::vec(one_of(words), 1..4), proptest::bool::weighted(0.3))
    };
    proptest::sample::select(fields).prop_flat_map(values)
}

/// `principals`, `notPrincipals`.
fn name(field: &str, negated: bool) -> String {
    match field.split_at(1) {
        (initial, rest) if negated => format!("not{}{rest}", initial.to_uppercase()),
        _ => field.to_owned(),
    }
}

fn entry(fields: Vec<Field>) -> Map<String, Value> {
    let mut entry: Map<String, Value> =
        fields.into_iter().map(|(field, values, negated)| (name(field, negated), json!(values))).collect();
    // These exclude each other.
    if ["serviceAccounts", "notServiceAccounts"].iter().any(|field| entry.contains_key(*field)) {
        ["principals", "notPrincipals", "namespaces", "notNamespaces"].iter().for_each(|field| {
            entry.remove(*field);
        });
    }
    entry
}

fn condition((key, values, negated): Field) -> Value {
    if negated { json!({"key": key, "notValues": values}) } else { json!({"key": key, "values": values}) }
}

fn rule() -> impl Strategy<Value = Value> {
    let entries = |fields: Fields, kind: &'static str| {
        let one = proptest::collection::vec(field(fields), 1..4).prop_map(move |fields| json!({kind: entry(fields)}));
        prop_oneof![2 => Just(Vec::new()), 3 => proptest::collection::vec(one, 1..4)]
    };
    let when = proptest::collection::vec(field(CONDITIONS).prop_map(condition), 0..2);
    (entries(SOURCE, "source"), entries(OPERATION, "operation"), when).prop_map(|(from, to, when)| {
        let mut rule = Map::new();
        for (part, list) in [("from", from), ("to", to), ("when", when)] {
            if !list.is_empty() {
                rule.insert(part.to_owned(), json!(list));
            }
        }
        Value::Object(rule)
    })
}

fn document(name: &str, spec: &Value) -> AuthorizationPolicy {
    serde_json::from_value(json!({
        "apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy",
        "metadata": {"name": name, "namespace": "pci"}, "spec": spec,
    }))
    .expect("a policy")
}

fn spec(actions: &'static [&'static str]) -> impl Strategy<Value = Value> {
    (one_of(actions), proptest::collection::vec(rule(), 0..4)).prop_map(|(action, mut rules)| {
        if action == "CUSTOM" {
            // A provider is asked before the caller is known, and a policy that never asks is refused.
            let identity = ["rincipal", "amespace", "erviceAccount", "rustDomain", "request.auth"];
            rules.retain(|rule| !identity.iter().any(|word| rule.to_string().contains(word)));
            if rules.is_empty() {
                rules.push(json!({"to": [{"operation": {"paths": ["/a"]}}]}));
            }
            return json!({"action": action, "rules": rules, "provider": {"name": "x"}});
        }
        json!({"action": action, "rules": rules})
    })
}

fn policies(actions: &'static [&'static str], count: usize) -> impl Strategy<Value = Vec<AuthorizationPolicy>> {
    proptest::collection::vec(spec(actions), 0..count)
        .prop_map(|specs| specs.iter().enumerate().map(|(i, spec)| document(&format!("p{i:02}"), spec)).collect())
}

fn set(semantics: Semantics, policies: &[AuthorizationPolicy]) -> RuleSet {
    RuleSet::compile_as(semantics, &workload(), policies).expect("the policies compile")
}

const ALL: &[&str] = &["ALLOW", "ALLOW", "DENY", "AUDIT", "CUSTOM"];

/// Whether some reading of the request is in doubt about a field.
fn in_doubt(semantics: Semantics, field: &Field, request: &Request) -> bool {
    let (name, values, _) = field;
    let identity = ["principals", "namespaces", "serviceAccounts", "trustDomains"].contains(name);
    let connection = identity
        || name.starts_with("source.")
        || ["ports", "ipBlocks", "remoteIpBlocks", "remote.ip", "connection.sni"].contains(name)
        || name.starts_with("destination.")
        || name.starts_with("experimental.");
    let address = ["ipBlocks", "remoteIpBlocks", "source.ip", "remote.ip", "destination.ip"].contains(name);
    let ward = semantics == Semantics::Ward;
    (request.protocol == Protocol::Tcp && !connection)
        || (address && request.source_ip.is_none())
        || (ward && name.starts_with("experimental."))
        || (ward && *name == "methods" && request.method.bytes().any(|byte| byte.is_ascii_lowercase()))
        || (ward && *name == "paths" && values.iter().any(|value| value == "//a"))
        // What denies a path denies it with a slash behind, and what allows it does not allow that.
        || (ward
            && *name == "paths"
            && request.path.ends_with('/')
            && values.iter().any(|value| !value.ends_with(['/', '*'])))
        || (ward
            && *name == "request.headers[x]"
            && (request.headers.len() > 1 || request.headers.values().any(|value| value.as_bytes().contains(&b','))))
}

proptest! {
    #[test]
    fn adding_a_deny_never_allows_more(policies in policies(ALL, 5), deny in spec(&["DENY"]), world in world()) {
        for semantics in READINGS {
            let before = set(semantics, &policies);
            let mut more = policies.clone();
            more.push(document("one-more", &deny));
            let after = set(semantics, &more);
            world.ask(semantics, |request| {
                prop_assert!(before.decide(request).is_allowed() || !after.decide(request).is_allowed());
                Ok(())
            })?;
        }
    }

    #[test]
    fn order_never_matters(
        (policies, shuffled) in policies(ALL, 6).prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle())),
        world in world(),
    ) {
        for semantics in READINGS {
            let (one, other) = (set(semantics, &policies), set(semantics, &shuffled));
            world.ask(semantics, |request| {
                prop_assert_eq!(one.decide(request), other.decide(request));
                prop_assert_eq!(one.audited(request), other.audited(request));
                Ok(())
            })?;
        }
    }

    #[test]
    fn a_dry_run_policy_changes_nothing(policies in policies(ALL, 5), spec in spec(ALL), world in world()) {
        for semantics in READINGS {
            let before = set(semantics, &policies);
            let mut more = policies.clone();
            let mut dry = document("zz-dry", &spec);
            dry.metadata.annotations.insert("istio.io/dry-run".to_owned(), "true".to_owned());
            more.push(dry);
            let after = set(semantics, &more);
            world.ask(semantics, |request| {
                prop_assert_eq!(before.decide(request), after.decide(request));
                prop_assert_eq!(before.audited(request), after.audited(request));
                Ok(())
            })?;
        }
    }

    // Where nothing is in doubt, a field and its negation are opposites; in doubt neither of them allows, and both deny.
    #[test]
    fn negation_is_exact(
        (place, field) in prop_oneof![
            (Just(0), field(SOURCE)), (Just(1), field(OPERATION)), (Just(2), field(CONDITIONS)),
        ],
        world in world(),
    ) {
        let rule = |negated: bool| {
            let field = (field.0, field.1.clone(), negated);
            match place {
                0 => json!({"from": [{"source": entry(vec![field])}]}),
                1 => json!({"to": [{"operation": entry(vec![field])}]}),
                _ => json!({"when": [condition(field)]}),
            }
        };
        for semantics in READINGS {
            let set = |action, negated| set(semantics, &[document("p", &json!({"action": action, "rules": [rule(negated)]}))]);
            let (allow, allow_not) = (set("ALLOW", false), set("ALLOW", true));
            let (deny, deny_not) = (set("DENY", false), set("DENY", true));
            world.ask(semantics, |request| {
                let allows = |set: &RuleSet| set.decide(request).is_allowed();
                prop_assert!(!(allows(&allow) && allows(&allow_not)), "both allow");
                prop_assert!(!(allows(&deny) && allows(&deny_not)), "neither denies");
                // What is allowed by a field is surely denied by the same field, and the other way round.
                prop_assert!(!allows(&allow) || !allows(&deny));
                prop_assert!(!allows(&allow_not) || !allows(&deny_not));
                if !in_doubt(semantics, &field, request) {
                    prop_assert_eq!(allows(&allow), !allows(&allow_not));
                    prop_assert_eq!(allows(&allow), !allows(&deny));
                    prop_assert_eq!(allows(&allow_not), !allows(&deny_not));
                }
                Ok(())
            })?;
        }
    }

    // A path that was normalized once more is the same request. (Istio's own form is not settled by one pass:
    // `/x/%2e%2e;/a` becomes `/x/..;/a`, and that `/a`.)
    #[test]
    fn deciding_on_a_path_normalized_again(policies in policies(ALL, 5), world in world()) {
        let set = set(Semantics::Ward, &policies);
        let once = world.path(Semantics::Ward);
        let twice = Semantics::Ward.normalize(&once).expect("a path that is not refused").into_owned();
        prop_assert_eq!(world.with(&once, |r| set.decide(r)), world.with(&twice, |r| set.decide(r)));
    }

    // An explanation says what was decided, and its fields say why.
    #[test]
    fn explanations_agree_with_decisions(policies in policies(ALL, 5), world in world()) {
        for semantics in READINGS {
            let set = set(semantics, &policies);
            world.ask(semantics, |request| {
                let (decision, explanation) = (set.decide(request), set.explain(request));
                prop_assert_eq!(decision.is_allowed(), explanation.allowed);
                prop_assert_eq!(decision.reason(), explanation.reason);
                prop_assert_eq!(decision.rule().map(|r| r.rule), explanation.rule.as_ref().map(|r| r.rule));
                if let Some(rule) = &explanation.rule {
                    prop_assert!(rule.fields.iter().all(|field| field.ok));
                }
                if let Some(nearest) = &explanation.nearest {
                    prop_assert!(nearest.fields.iter().any(|field| !field.ok));
                }
                prop_assert!(!explanation.text().is_empty());
                Ok(())
            })?;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases / 4, ..ProptestConfig::default() })]

    // The tree finds the rule that reading all in turn finds, however finely it is split.
    #[test]
    fn the_index_finds_the_first_rule(
        policies in policies(ALL, 40),
        worlds in proptest::collection::vec(world(), 16),
    ) {
        for semantics in READINGS {
            let set = set(semantics, &policies);
            let fine = set.phases().map(|phase| {
                [Protocol::Http, Protocol::Tcp].map(|protocol| Index::finely(&phase.rules, protocol))
            });
            for world in &worlds {
                world.ask(semantics, |request| {
                    prop_assert_eq!(set.decide(request), set.decide_in_turn(request));
                    let facts = Facts::new(request);
                    for (phase, [http, tcp]) in set.phases().into_iter().zip(&fine) {
                        let expect = phase.rules.iter().position(|rule| rule.matches(&facts));
                        let fine = if facts.is_tcp() { tcp } else { http };
                        prop_assert_eq!(fine.find(&phase.rules, &facts), expect);
                        prop_assert_eq!(phase.find(&facts).map(|rule| rule.at), phase.find_in_turn(&facts).map(|rule| rule.at));
                    }
                    Ok(())
                })?;
            }
        }
    }
}
