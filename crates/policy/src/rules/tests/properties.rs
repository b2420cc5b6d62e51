//! What holds for any set of policies and any request.
use proptest::prelude::*;

use super::*;
use crate::{Protocol, normalize_path};

/// A request out of a small world, so that rules match often.
#[derive(Clone, Debug)]
struct World {
    principal: Option<String>,
    method: String,
    path: String,
    host: String,
    headers: Vec<String>,
    ip: Option<u8>,
    port: u16,
    tcp: bool,
    subject: Option<String>,
}

impl World {
    fn with<T>(&self, use_it: impl FnOnce(&Request) -> T) -> T {
        let mut headers = http::HeaderMap::new();
        for value in &self.headers {
            headers.append("x", value.parse().expect("a header value"));
        }
        let jwt = self.subject.as_ref().map(|sub| serde_json::json!({"iss": "i", "sub": sub, "roles": [sub]}));
        let ip = self.ip.map(|last| std::net::IpAddr::from([10, 0, 0, last]));
        use_it(&Request {
            principal: self.principal.as_deref(),
            method: &self.method,
            path: &self.path,
            host: &self.host,
            headers: &headers,
            source_ip: ip,
            remote_ip: ip,
            destination_ip: None,
            port: self.port,
            protocol: if self.tcp { Protocol::Tcp } else { Protocol::Http },
            sni: None,
            jwt: jwt.as_ref(),
        })
    }
}

fn one_of(words: &'static [&'static str]) -> impl Strategy<Value = String> {
    proptest::sample::select(words).prop_map(str::to_owned)
}

fn world() -> impl Strategy<Value = World> {
    (
        proptest::option::weighted(
            0.8,
            one_of(&["a/sa/a", "a/sa/b", "b/sa/a"]).prop_map(|who| format!("spiffe://shop.example/ns/{who}")),
        ),
        one_of(&["GET", "POST", "get", "DELETE"]),
        one_of(&["/", "/a", "/a/b", "/a/b/c", "/b", "//a", "/a/../b", "/a;x", "/%61", "/a%2fb"]),
        one_of(&["a.com", "A.com:1", "b.com", ""]),
        proptest::collection::vec(one_of(&["a", "b", "a,b", ""]), 0..3),
        proptest::option::of(0u8..3),
        80u16..82,
        proptest::bool::weighted(0.2),
        proptest::option::of(one_of(&["s", "t"])),
    )
        .prop_map(|(principal, method, path, host, headers, ip, port, tcp, subject)| World {
            principal,
            method,
            path: normalize_path(&path).expect("a path that is not refused").into_owned(),
            host,
            headers,
            ip,
            port,
            tcp,
            subject,
        })
}

/// One field with its values: place, name, values.
fn field() -> impl Strategy<Value = (u8, &'static str, String)> {
    let list = |words: &'static [&'static str]| {
        proptest::collection::vec(one_of(words), 1..3)
            .prop_map(|values| values.iter().map(|v| format!("'{v}'")).collect::<Vec<_>>().join(", "))
    };
    prop_oneof![
        list(&["shop.example/ns/a/sa/a", "shop.example/ns/a/sa/b", "shop.example/ns/a/*", "*/sa/a", "*"])
            .prop_map(|v| (0, "rincipals", v)),
        list(&["a", "b", "*"]).prop_map(|v| (0, "amespaces", v)),
        list(&["10.0.0.1", "10.0.0.0/31", "10.0.0.0/8"]).prop_map(|v| (0, "pBlocks", v)),
        list(&["i/s", "i/*", "*"]).prop_map(|v| (0, "equestPrincipals", v)),
        list(&["GET", "P*", "DELETE", "*"]).prop_map(|v| (1, "ethods", v)),
        list(&["/a", "/a/*", "*/b", "/{*}/b", "/a/{**}", "//a", "/b"]).prop_map(|v| (1, "aths", v)),
        list(&["a.com", "*.com", "*", "b.com:1"]).prop_map(|v| (1, "osts", v)),
        list(&["80", "81"]).prop_map(|v| (1, "orts", v)),
        list(&["a", "b", "*"]).prop_map(|v| (2, "request.headers[x]", v)),
        list(&["s", "t"]).prop_map(|v| (2, "request.auth.claims[roles]", v)),
    ]
}

/// The initial that a field's name lacks above, so that `not` can go in front.
fn name(stem: &str, negated: bool) -> String {
    let initial = match stem {
        "rincipals" | "aths" | "orts" => 'p',
        "amespaces" => 'n',
        "pBlocks" => 'i',
        "equestPrincipals" => 'r',
        "ethods" => 'm',
        _ => 'h',
    };
    if negated { format!("not{}{stem}", initial.to_ascii_uppercase()) } else { format!("{initial}{stem}") }
}

fn rule() -> impl Strategy<Value = String> {
    proptest::collection::vec((field(), any::<bool>()), 0..4).prop_map(|fields| {
        let (mut from, mut to, mut when) = (Vec::new(), Vec::new(), Vec::new());
        for ((place, stem, values), negated) in fields {
            match place {
                0 => from.push(format!("{}: [{values}]", name(stem, negated))),
                1 => to.push(format!("{}: [{values}]", name(stem, negated))),
                _ => when
                    .push(format!("{{key: '{stem}', {}: [{values}]}}", if negated { "notValues" } else { "values" })),
            }
        }
        // Each `from` field in an entry of its own now and then makes alternatives; repeated keys must not meet.
        let entries = |kind: &str, fields: Vec<String>| {
            fields.iter().map(|field| format!("{{{kind}: {{{field}}}}}")).collect::<Vec<_>>().join(", ")
        };
        let mut parts = Vec::new();
        if !from.is_empty() {
            parts.push(format!("from: [{}]", entries("source", from)));
        }
        if !to.is_empty() {
            parts.push(format!("to: [{}]", entries("operation", to)));
        }
        if !when.is_empty() {
            parts.push(format!("when: [{}]", when.join(", ")));
        }
        format!("{{{}}}", parts.join(", "))
    })
}

fn spec(actions: &'static [&'static str]) -> impl Strategy<Value = String> {
    (one_of(actions), proptest::collection::vec(rule(), 0..3)).prop_map(|(action, rules)| {
        let custom = action == "CUSTOM";
        let provider = if custom { ", provider: {name: x}" } else { "" };
        // A provider is asked before the caller is known, and a policy that never asks is refused.
        let identity = ["rincipals", "amespaces", "request.auth"];
        let mut rules = rules;
        rules.retain(|rule| !custom || !identity.iter().any(|word| rule.contains(word)));
        if custom && rules.is_empty() {
            rules.push("{}".to_owned());
        }
        format!("{{action: {action}{provider}, rules: [{}]}}", rules.join(", "))
    })
}

fn set(actions: &'static [&'static str]) -> impl Strategy<Value = Vec<AuthorizationPolicy>> {
    proptest::collection::vec(spec(actions), 0..5)
        .prop_map(|specs| specs.iter().enumerate().map(|(i, spec)| policy(&format!("p{i}"), spec)).collect())
}

const ALL: &[&str] = &["ALLOW", "ALLOW", "DENY", "AUDIT", "CUSTOM"];

proptest! {
    #[test]
    fn adding_a_deny_never_allows_more(policies in set(ALL), deny in spec(&["DENY"]), world in world()) {
        let before = rules(&policies);
        let mut more = policies;
        more.push(policy("one-more", &deny));
        let after = rules(&more);
        world.with(|request| {
            prop_assert!(before.decide(request).is_allowed() || !after.decide(request).is_allowed());
            Ok(())
        })?;
    }

    #[test]
    fn order_never_matters(policies in set(ALL), seed in any::<u64>(), world in world()) {
        let before = rules(&policies);
        let mut shuffled = policies;
        let count = shuffled.len().max(1);
        shuffled.rotate_left(usize::try_from(seed % u64::try_from(count).unwrap()).unwrap());
        if seed % 2 == 0 {
            shuffled.reverse();
        }
        let after = rules(&shuffled);
        world.with(|request| {
            prop_assert_eq!(before.decide(request), after.decide(request));
            Ok(())
        })?;
    }

    #[test]
    fn a_dry_run_policy_changes_nothing(policies in set(ALL), spec in spec(ALL), world in world()) {
        let before = rules(&policies);
        let mut more = policies;
        let mut dry = policy("zz-dry", &spec);
        dry.metadata.annotations.insert("istio.io/dry-run".to_owned(), "true".to_owned());
        more.push(dry);
        let after = rules(&more);
        world.with(|request| {
            prop_assert_eq!(before.decide(request), after.decide(request));
            Ok(())
        })?;
    }

    // Where nothing is in doubt, a field and its negation are opposites; in doubt neither of them allows.
    #[test]
    fn negation_is_exact((place, stem, values) in field(), world in world()) {
        let rule = |negated: bool| match place {
            0 => format!("{{from: [{{source: {{{}: [{values}]}}}}]}}", name(stem, negated)),
            1 => format!("{{to: [{{operation: {{{}: [{values}]}}}}]}}", name(stem, negated)),
            _ => format!("{{when: [{{key: '{stem}', {}: [{values}]}}]}}", if negated { "notValues" } else { "values" }),
        };
        let set = |action: &str, negated| rules(&[policy("p", &format!("{{action: {action}, rules: [{}]}}", rule(negated)))]);
        let (allow, allow_not) = (set("ALLOW", false), set("ALLOW", true));
        let (deny, deny_not) = (set("DENY", false), set("DENY", true));
        world.with(|request| {
            let allows = |set: &RuleSet| set.decide(request).is_allowed();
            prop_assert!(!(allows(&allow) && allows(&allow_not)), "both allow");
            prop_assert!(!(allows(&deny) && allows(&deny_not)), "neither denies");
            // What is allowed by a field is surely denied by the same field, and the other way round.
            prop_assert!(!allows(&allow) || !allows(&deny));
            prop_assert!(!allows(&allow_not) || !allows(&deny_not));
            let spelled = values.contains("//") || request.method == "get";
            let doubt = request.protocol == Protocol::Tcp
                || request.source_ip.is_none()
                || request.headers.get_all("x").iter().count() > 1
                || request.headers.get("x").is_some_and(|v| v.as_bytes().contains(&b','))
                || spelled;
            if !doubt {
                prop_assert_eq!(allows(&allow), !allows(&allow_not));
                prop_assert_eq!(allows(&allow), !allows(&deny));
            }
            Ok(())
        })?;
    }

    // A path that was normalized once more is the same request.
    #[test]
    fn deciding_on_a_path_normalized_again(policies in set(ALL), world in world()) {
        let set = rules(&policies);
        let mut again = world.clone();
        again.path = normalize_path(&world.path).expect("a path that is not refused").into_owned();
        prop_assert_eq!(world.with(|r| set.decide(r)), again.with(|r| set.decide(r)));
    }

    // The index finds what reading all rules in turn would find.
    #[test]
    fn the_index_loses_nothing(policies in set(ALL), world in world()) {
        let set = rules(&policies);
        world.with(|request| {
            let facts = Facts::new(request);
            for phase in [&set.custom, &set.deny, &set.allow, &set.audit] {
                prop_assert_eq!(phase.find(&facts).is_some(), phase.rules.iter().any(|rule| rule.matches(&facts)));
            }
            Ok(())
        })?;
    }

    // An explanation says what was decided, and its fields say why.
    #[test]
    fn explanations_agree_with_decisions(policies in set(ALL), world in world()) {
        let set = rules(&policies);
        world.with(|request| {
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
