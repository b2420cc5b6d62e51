//! Everything in the way is named, not only what decided.
use std::fmt::Write as _;

use expect_test::{Expect, expect};

use crate::{
    WhyNot,
    testing::{Facts, policy, rules},
};

fn check(specs: &[(&str, &str)], request: &str, expect: Expect) -> WhyNot {
    let policies: Vec<_> = specs.iter().map(|(name, spec)| policy(name, spec)).collect();
    let facts = Facts::parse(request);
    let set = rules(&policies);
    let why = set.why_not(&facts.request());
    assert_eq!(why.reason, set.decide(&facts.request()).reason());
    let mut text = format!("{} lacks_allow={}\n", why.reason, why.lacks_allow());
    for (word, reports) in [("refusing", &why.refusing), ("nearest", &why.nearest)] {
        for report in reports {
            let misses: Vec<_> = report.misses().map(ToString::to_string).collect();
            writeln!(text, "{word} {} [{}]", report.name(), misses.join(", ")).expect("a string takes it");
        }
    }
    if let Some(rule) = &why.allowing {
        writeln!(text, "allowing {}", rule.name()).expect("a string takes it");
    }
    expect.assert_eq(&text);
    why
}

const ORDERS: (&str, &str) = (
    "orders",
    "{rules: [{from: [{source: {principals: [shop.example/ns/shop/sa/orders]}}], to: [{operation: {methods: [POST], paths: [/charges]}}]}]}",
);
const SUPPORT: (&str, &str) = (
    "support",
    "{rules: [{from: [{source: {principals: [shop.example/ns/shop/sa/support]}}], to: [{operation: {methods: [POST], paths: ['/refunds/{*}']}}]}]}",
);
const ADMIN: (&str, &str) = (
    "admin",
    "{rules: [{when: [{key: 'request.auth.claims[role]', values: [admin]}], to: [{operation: {methods: [DELETE]}}]}]}",
);
const OFFICE: (&str, &str) = ("office", "{rules: [{from: [{source: {ipBlocks: [10.0.0.0/8]}}]}]}");
const NO_REFUNDS: (&str, &str) =
    ("no-refunds", "{action: DENY, rules: [{to: [{operation: {paths: ['/refunds/*']}}]}]}");
const NO_TESTS: (&str, &str) =
    ("a-no-tests", "{action: DENY, rules: [{when: [{key: 'request.headers[x-test]', values: ['*']}]}]}");

#[test]
fn the_three_nearest_of_all_rules() {
    let why = check(
        &[ORDERS, SUPPORT, ADMIN, OFFICE],
        "DELETE /charges as shop/orders from=192.0.2.1",
        expect![[r#"
            no-rule-matched lacks_allow=true
            nearest policy pci/orders, rule 0 [method wanted POST got DELETE]
            nearest policy pci/admin, rule 0 [claims[role] wanted admin got none]
            nearest policy pci/office, rule 0 [source address wanted 10.0.0.0/8 got 192.0.2.1]
        "#]],
    );
    assert_eq!((why.allow_rules, why.refusing_rules), (4, 0));
}

#[test]
fn a_token_that_lacks_is_nearer_than_a_path_that_differs() {
    let with_token =
        "{rules: [{from: [{source: {requestPrincipals: ['https://a/*']}}], to: [{operation: {paths: [/orders]}}]}]}";
    let free = "{rules: [{to: [{operation: {paths: [/login]}}]}]}";
    check(
        &[("a-free", free), ("shopping", with_token)],
        "GET /orders",
        expect![[r#"
            no-rule-matched lacks_allow=true
            nearest policy pci/shopping, rule 0 [token wanted https://a/* got none]
            nearest policy pci/a-free, rule 0 [path wanted /login got /orders]
        "#]],
    );
}

#[test]
fn allowed_by_one_and_denied_by_two() {
    let why = check(
        &[SUPPORT, NO_REFUNDS, NO_TESTS],
        "POST /refunds/7 as shop/support header=x-test:1",
        expect![[r#"
            denied-by-policy lacks_allow=false
            refusing policy pci/a-no-tests, rule 0 []
            refusing policy pci/no-refunds, rule 0 []
            allowing policy pci/support, rule 0
        "#]],
    );
    assert!(!why.allowed);
}

#[test]
fn denied_and_not_allowed_either() {
    check(
        &[ORDERS, SUPPORT, NO_REFUNDS],
        "POST /refunds/7 as shop/orders",
        expect![[r#"
            denied-by-policy lacks_allow=true
            refusing policy pci/no-refunds, rule 0 []
            nearest policy pci/orders, rule 0 [path wanted /charges got /refunds/7]
            nearest policy pci/support, rule 0 [principal wanted shop.example/ns/shop/sa/support got shop.example/ns/shop/sa/orders]
        "#]],
    );
}

#[test]
fn a_provider_comes_before_a_denial() {
    check(
        &[NO_TESTS, ("ask", "{action: CUSTOM, provider: {name: opa}, rules: [{}]}")],
        "GET / as shop/orders header=x-test:1",
        expect![[r#"
            no-provider lacks_allow=false
            refusing policy pci/ask, rule 0 []
            refusing policy pci/a-no-tests, rule 0 []
        "#]],
    );
}

#[test]
fn nothing_in_the_way() {
    check(
        &[ORDERS],
        "POST /charges as shop/orders",
        expect![[r#"
            allowed lacks_allow=false
            allowing policy pci/orders, rule 0
        "#]],
    );
    check(
        &[],
        "GET / as shop/orders",
        expect![[r#"
        no-policy lacks_allow=false
    "#]],
    );
    check(
        &[("none", "{}")],
        "GET / as shop/orders",
        expect![[r#"
        nothing-allowed lacks_allow=true
    "#]],
    );
}

#[test]
fn what_is_told_is_bounded() {
    let names: Vec<String> = (0..30).map(|i| format!("p{i:02}")).collect();
    let denying = "{action: DENY, rules: [{to: [{operation: {paths: ['/x']}}]}]}";
    let policies: Vec<_> = names.iter().map(|name| policy(name, denying)).collect();
    let facts = Facts::parse("GET /x as shop/orders");
    let why = rules(&policies).why_not(&facts.request());
    assert_eq!((why.refusing.len(), why.refusing_rules), (super::REFUSING_MAX, 30));
}
