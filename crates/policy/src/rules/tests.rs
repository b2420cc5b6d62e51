//! The engine by tables: policies, requests, decisions. Then what must be refused, and what holds for any set.
use expect_test::{Expect, expect};
use model::istio::AuthorizationPolicy;

use super::*;
use crate::testing::{decide, policies, policy, rules, workload};

mod fields;
mod properties;
mod refused;

/// `specs` are policies `p0`, `p1`, … in the workload's namespace, one a line.
fn check(specs: &str, requests: &str, expect: Expect) {
    let policies: Vec<_> = lines(specs).enumerate().map(|(i, spec)| policy(&format!("p{i}"), spec)).collect();
    expect.assert_eq(&decide(&rules(&policies), requests));
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty())
}

fn check_documents(documents: &[AuthorizationPolicy], requests: &str, expect: Expect) {
    expect.assert_eq(&decide(&rules(documents), requests));
}

#[test]
fn no_policy_is_istios_everything() {
    check(
        "",
        "GET / as shop/web\ntcp as shop/web\nGET /",
        expect![[r#"
        allow no-policy         GET / as shop/web
        allow no-policy         tcp as shop/web
        allow no-policy         GET /
    "#]],
    );
}

#[test]
fn what_empty_means() {
    // An ALLOW without rules allows nothing, a DENY without rules does nothing, an empty rule matches everything.
    check(
        "{}",
        "GET / as shop/web\ntcp",
        expect![[r#"
        deny  nothing-allowed   GET / as shop/web
        deny  nothing-allowed   tcp
    "#]],
    );
    check(
        "{action: DENY}",
        "GET / as shop/web",
        expect![[r#"
        allow no-policy         GET / as shop/web
    "#]],
    );
    check(
        "{rules: [{}]}",
        "GET / as shop/web\ntcp",
        expect![[r#"
        allow allowed           GET / as shop/web  <- pci/p0[0]
        allow allowed           tcp  <- pci/p0[0]
    "#]],
    );
    check(
        "{action: DENY, rules: [{}]}\n{rules: [{}]}",
        "GET / as shop/web\ntcp",
        expect![[r#"
        deny  denied-by-policy  GET / as shop/web  <- pci/p0[0]
        deny  denied-by-policy  tcp  <- pci/p0[0]
    "#]],
    );
}

#[test]
fn order_custom_deny_allow() {
    check(
        "{rules: [{to: [{operation: {paths: [/a, /b, /c]}}]}]}
         {action: DENY, rules: [{to: [{operation: {paths: [/b, /c]}}]}]}
         {action: CUSTOM, provider: {name: opa}, rules: [{to: [{operation: {paths: [/c]}}]}]}
         {action: AUDIT, rules: [{}]}",
        "GET /a\nGET /b\nGET /c\nGET /d",
        expect![[r#"
            allow allowed           GET /a  <- pci/p0[0]
            deny  denied-by-policy  GET /b  <- pci/p1[0]
            deny  no-provider       GET /c  <- pci/p2[0]
            deny  no-rule-matched   GET /d
        "#]],
    );
}

#[test]
fn audit_only_records() {
    let set = rules(&[policy("a", "{action: AUDIT, rules: [{to: [{operation: {methods: [DELETE]}}]}]}")]);
    let delete = crate::testing::Facts::parse("DELETE /a");
    let get = crate::testing::Facts::parse("GET /a");
    assert!(set.decide(&delete.request()).is_allowed());
    assert_eq!(set.audited(&delete.request()).map(|rule| set.policy_name(rule)), Some("pci/a"));
    assert_eq!(set.audited(&get.request()), None);
}

#[test]
fn from_to_when() {
    // `from` any, `to` any, `when` all; fields of one entry all, values of one field any.
    check(
        "{rules: [{from: [{source: {namespaces: [shop]}}, {source: {namespaces: [edge], trustDomains: [shop.example]}}],
                   to: [{operation: {methods: [GET, PUT], paths: [/a]}}, {operation: {paths: [/b]}}],
                   when: [{key: 'request.headers[x-a]', values: [one]}, {key: 'request.headers[x-b]', values: [one, two]}]}]}"
            .replace('\n', " ")
            .as_str(),
        "GET /a as shop/x header=x-a:one header=x-b:two
         PUT /a as edge/x header=x-a:one header=x-b:one
         DELETE /b as edge/x header=x-a:one header=x-b:one
         DELETE /a as edge/x header=x-a:one header=x-b:one
         GET /a as pci/x header=x-a:one header=x-b:one
         GET /a as spiffe://other/ns/edge/sa/x header=x-a:one header=x-b:one
         GET /a as shop/x header=x-a:one
         GET /a as shop/x header=x-a:one header=x-b:three",
        expect![[r#"
            allow allowed           GET /a as shop/x header=x-a:one header=x-b:two  <- pci/p0[0]
            allow allowed           PUT /a as edge/x header=x-a:one header=x-b:one  <- pci/p0[0]
            allow allowed           DELETE /b as edge/x header=x-a:one header=x-b:one  <- pci/p0[0]
            deny  no-rule-matched   DELETE /a as edge/x header=x-a:one header=x-b:one
            deny  no-rule-matched   GET /a as pci/x header=x-a:one header=x-b:one
            deny  no-rule-matched   GET /a as spiffe://other/ns/edge/sa/x header=x-a:one header=x-b:one
            deny  no-rule-matched   GET /a as shop/x header=x-a:one
            deny  no-rule-matched   GET /a as shop/x header=x-a:one header=x-b:three
        "#]],
    );
}

#[test]
fn selection() {
    let documents = policies(
        "
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: root-all, namespace: ward-system}
spec: {action: DENY, rules: [{to: [{operation: {paths: [/root]}}]}]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: root-payments, namespace: ward-system}
spec: {selector: {matchLabels: {app: payments}}, action: DENY, rules: [{to: [{operation: {paths: [/root-payments]}}]}]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: root-other, namespace: ward-system}
spec: {selector: {matchLabels: {app: orders}}, action: DENY, rules: [{}]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: two-labels, namespace: pci}
spec: {selector: {matchLabels: {app: payments, version: v1}}, action: DENY, rules: [{to: [{operation: {paths: [/labels]}}]}]}
---
apiVersion: security.istio.io/v1beta1
kind: AuthorizationPolicy
metadata: {name: other-version, namespace: pci}
spec: {selector: {matchLabels: {app: payments, version: v2}}, action: DENY, rules: [{}]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: other-namespace, namespace: shop}
spec: {action: DENY, rules: [{}]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: unnamed-namespace}
spec: {action: DENY, rules: [{}]}
",
    );
    check_documents(
        &documents,
        "GET /root\nGET /root-payments\nGET /labels\nGET /else",
        expect![[r#"
        deny  denied-by-policy  GET /root  <- ward-system/root-all[0]
        deny  denied-by-policy  GET /root-payments  <- ward-system/root-payments[0]
        deny  denied-by-policy  GET /labels  <- pci/two-labels[0]
        allow no-policy         GET /else
    "#]],
    );
}

#[test]
fn dry_run_counts_for_nothing() {
    let mut allow = policy("allow", "{rules: [{to: [{operation: {paths: [/a]}}]}]}");
    allow.metadata.annotations.insert("istio.io/dry-run".to_owned(), "true".to_owned());
    // Not even as an ALLOW that exists (as Envoy 1.40 has it).
    check_documents(
        &[allow.clone()],
        "GET /b",
        expect![[r#"
        allow no-policy         GET /b
    "#]],
    );
    allow.metadata.annotations.insert("istio.io/dry-run".to_owned(), "false".to_owned());
    check_documents(
        &[allow],
        "GET /b",
        expect![[r#"
        deny  no-rule-matched   GET /b
    "#]],
    );
}

#[test]
fn tcp() {
    // An ALLOW that looks at HTTP never matches.
    check(
        "{rules: [{to: [{operation: {ports: ['5432'], methods: [GET]}}]}]}",
        "tcp as shop/x port=5432",
        expect![[r#"
            deny  no-rule-matched   tcp as shop/x port=5432
        "#]],
    );
    check(
        "{rules: [{from: [{source: {principals: [shop.example/ns/shop/sa/x]}}], to: [{operation: {ports: ['5432']}}]}]}",
        "tcp as shop/x port=5432\ntcp as shop/y port=5432\ntcp as shop/x port=5433\ntcp port=5432",
        expect![[r#"
            allow allowed           tcp as shop/x port=5432  <- pci/p0[0]
            deny  no-rule-matched   tcp as shop/y port=5432
            deny  no-rule-matched   tcp as shop/x port=5433
            deny  no-rule-matched   tcp port=5432
        "#]],
    );
    // A negated HTTP field is no better known (istio#61126).
    check(
        "{rules: [{to: [{operation: {notPaths: [/admin]}}]}]}",
        "tcp\nGET /\nGET /admin",
        expect![[r#"
        deny  no-rule-matched   tcp
        allow allowed           GET /  <- pci/p0[0]
        deny  no-rule-matched   GET /admin
    "#]],
    );
    // A DENY that looks at HTTP denies what else it says: on all ports, or on its own.
    check(
        "{action: DENY, rules: [{to: [{operation: {paths: [/admin]}}]}]}\n{rules: [{}]}",
        "tcp as shop/x port=5432\nGET / as shop/x",
        expect![[r#"
            deny  http-rule-on-tcp  tcp as shop/x port=5432  <- pci/p0[0]
            allow allowed           GET / as shop/x  <- pci/p1[0]
        "#]],
    );
    check(
        "{action: DENY, rules: [{to: [{operation: {ports: ['8080'], notMethods: [GET]}}]}]}\n{rules: [{}]}",
        "tcp port=5432\ntcp port=8080\nGET /\nPOST /",
        expect![[r#"
            allow allowed           tcp port=5432  <- pci/p1[0]
            deny  http-rule-on-tcp  tcp port=8080  <- pci/p0[0]
            allow allowed           GET /  <- pci/p1[0]
            deny  denied-by-policy  POST /  <- pci/p0[0]
        "#]],
    );
    check(
        "{action: DENY, rules: [{from: [{source: {notRequestPrincipals: ['*']}}]}]}",
        "tcp\nGET /\nGET / jwt={\"iss\":\"i\",\"sub\":\"s\"}",
        expect![[r#"
            deny  http-rule-on-tcp  tcp  <- pci/p0[0]
            deny  denied-by-policy  GET /  <- pci/p0[0]
            allow no-policy         GET / jwt={"iss":"i","sub":"s"}
        "#]],
    );
    check(
        "{action: DENY, rules: [{from: [{source: {namespaces: [shop]}}], when: [{key: 'request.headers[x]', values: [a]}]}]}",
        "tcp as shop/x\ntcp as pci/x",
        expect![[r#"
            deny  http-rule-on-tcp  tcp as shop/x  <- pci/p0[0]
            allow no-policy         tcp as pci/x
        "#]],
    );
}

#[test]
fn a_rule_is_found_by_any_of_its_principals() {
    check(
        "{rules: [{from: [{source: {principals: [shop.example/ns/a/sa/a, shop.example/ns/b/sa/b]}}, {source: {principals: [shop.example/ns/c/sa/c], notIpBlocks: [10.0.0.0/8]}}]}]}
         {rules: [{from: [{source: {principals: [shop.example/ns/d/sa/d]}}, {source: {namespaces: [e]}}]}]}
         {rules: [{from: [{source: {principals: [shop.example/ns/f/sa/*]}}], to: [{operation: {paths: [/f]}}]}]}",
        "GET / as a/a
         GET / as b/b
         GET / as c/c from=192.0.2.1
         GET / as c/c from=10.0.0.1
         GET / as d/d
         GET / as e/e
         GET /f as f/f
         GET / as f/f
         GET / as a/b
         GET /",
        expect![[r#"
            allow allowed           GET / as a/a  <- pci/p0[0]
            allow allowed           GET / as b/b  <- pci/p0[0]
            allow allowed           GET / as c/c from=192.0.2.1  <- pci/p0[0]
            deny  no-rule-matched   GET / as c/c from=10.0.0.1
            allow allowed           GET / as d/d  <- pci/p1[0]
            allow allowed           GET / as e/e  <- pci/p1[0]
            allow allowed           GET /f as f/f  <- pci/p2[0]
            deny  no-rule-matched   GET / as f/f
            deny  no-rule-matched   GET / as a/b
            deny  no-rule-matched   GET /
        "#]],
    );
}

#[test]
fn of_the_flows_that_allow_a_request_the_one_recorded_most_strictly_decides() {
    let flow = |name: &str, level: Option<&str>, path: &str| {
        let mut flow = policy(name, &format!("{{rules: [{{to: [{{operation: {{paths: [{path:?}]}}}}]}}]}}"));
        let level = level.map(|level| ("ward.internal/audit".to_owned(), level.to_owned()));
        flow.metadata.annotations.extend(level);
        flow
    };
    let deciding = |names: [&str; 3], path: &str| {
        let levels = [Some("low"), Some("critical"), None];
        let paths = ["/*", "/charges", "/*"];
        let flows: Vec<_> = (0..3).map(|i| flow(names[i], levels[i], paths[i])).collect();
        let set = rules(&flows);
        let facts = crate::testing::Facts::parse(&format!("GET {path}"));
        let rule = set.decide(&facts.request()).rule().unwrap();
        assert_eq!(set.decide_in_turn(&facts.request()).rule(), Some(rule));
        set.audit(rule)
    };
    for names in [["a", "b", "c"], ["b", "a", "c"], ["b", "c", "a"], ["c", "b", "a"]] {
        assert_eq!(deciding(names, "/charges"), Audit::Critical, "{names:?}");
        assert_eq!(deciding(names, "/else"), Audit::Medium, "{names:?}");
    }
}

#[test]
fn names_flows_and_audit() {
    let mut flow =
        policy("flow-charge", "{rules: [{to: [{operation: {paths: [/a]}}]}, {to: [{operation: {paths: [/b]}}]}]}");
    flow.metadata.annotations.insert("ward.internal/flow".to_owned(), "charge".to_owned());
    flow.metadata.annotations.insert("ward.internal/audit".to_owned(), "critical".to_owned());
    let set = rules(&[policy("a", "{action: DENY, rules: [{to: [{operation: {paths: [/c]}}]}]}"), flow]);
    let facts = crate::testing::Facts::parse("GET /b");
    let rule = set.decide(&facts.request()).rule().expect("a rule");
    assert_eq!((set.policy_name(rule), rule.rule), ("pci/flow-charge", 1));
    assert_eq!((set.flow(rule), set.audit(rule)), (Some("charge"), Audit::Critical));
    let stranger = RuleRef { policy: 9, rule: 9 };
    assert_eq!((set.policy_name(stranger), set.flow(stranger), set.audit(stranger)), ("", None, Audit::Medium));
}

#[test]
fn headers_read_are_listed_once() {
    let set = rules(&[policy(
        "a",
        "{rules: [{when: [{key: 'request.headers[X-Team]', values: [a]}, {key: 'request.headers[x-team]', notValues: [b]}, {key: 'request.headers[host]', values: [h]}]}]}",
    )]);
    assert_eq!(set.headers_read().iter().map(HeaderName::as_str).collect::<Vec<_>>(), ["x-team"]);
}

#[test]
fn a_rule_set_can_be_shared() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<RuleSet>();
    assert!(RuleSet::compile(&workload(), &[]).is_ok());
}
