//! What people read, and what programs read.
use expect_test::{Expect, expect};

use crate::testing::{Facts, policy, rules};

fn check(specs: &[(&str, &str)], requests: &str, expect: Expect) {
    let policies: Vec<_> = specs
        .iter()
        .map(|(name, spec)| {
            let mut policy = policy(name, spec);
            if let Some(flow) = name.strip_prefix("flow-") {
                policy.metadata.annotations.insert("ward.internal/flow".to_owned(), flow.to_owned());
            }
            policy
        })
        .collect();
    let set = rules(&policies);
    let mut out = String::new();
    for line in requests.lines().map(str::trim) {
        let facts = Facts::parse(line);
        out.push_str(&format!("{}\n", set.explain(&facts.request()).text()));
    }
    expect.assert_eq(&out);
}

const CHARGE: (&str, &str) = (
    "flow-charge",
    "{rules: [{from: [{source: {principals: [shop.example/ns/shop/sa/orders]}}], to: [{operation: {ports: ['8080'], methods: [POST], paths: [/charges]}}]}]}",
);
const REFUND: (&str, &str) = (
    "flow-refund",
    "{rules: [{from: [{source: {principals: [shop.example/ns/shop/sa/support]}}], to: [{operation: {ports: ['8080'], methods: [POST], paths: ['/refunds/{*}']}}]}]}",
);

#[test]
fn words() {
    check(
        &[CHARGE, REFUND],
        "POST /charges as shop/orders
         POST /refunds as shop/orders
         GET /charges as shop/orders
         POST /charges as edge/web
         POST /refunds/7 as shop/orders
         GET /x as edge/web port=9
         POST /charges
         tcp as shop/orders",
        expect![[r#"
            flow `charge` (policy pci/flow-charge, rule 0) allows POST /charges from orders: principal shop.example/ns/shop/sa/orders ok, port 8080 ok, method POST ok, path /charges ok
            no rule allows POST /refunds from orders; nearest is flow `charge` (policy pci/flow-charge, rule 0): principal shop.example/ns/shop/sa/orders ok, port 8080 ok, method POST ok, path wanted /charges got /refunds
            no rule allows GET /charges from orders; nearest is flow `charge` (policy pci/flow-charge, rule 0): principal shop.example/ns/shop/sa/orders ok, port 8080 ok, method wanted POST got GET, path /charges ok
            no rule allows POST /charges from web; nearest is flow `charge` (policy pci/flow-charge, rule 0): principal wanted shop.example/ns/shop/sa/orders got shop.example/ns/edge/sa/web, port 8080 ok, method POST ok, path /charges ok
            no rule allows POST /refunds/7 from orders; nearest is flow `charge` (policy pci/flow-charge, rule 0): principal shop.example/ns/shop/sa/orders ok, port 8080 ok, method POST ok, path wanted /charges got /refunds/7
            no rule allows GET /x from web; nearest is flow `charge` (policy pci/flow-charge, rule 0): principal wanted shop.example/ns/shop/sa/orders got shop.example/ns/edge/sa/web, port wanted 8080 got 9, method wanted POST got GET, path wanted /charges got /x
            no rule allows POST /charges from a caller without identity; nearest is flow `charge` (policy pci/flow-charge, rule 0): principal wanted shop.example/ns/shop/sa/orders got none, port 8080 ok, method POST ok, path /charges ok
            no rule allows a connection to port 8080 from orders; nearest is flow `charge` (policy pci/flow-charge, rule 0): principal shop.example/ns/shop/sa/orders ok, port 8080 ok, method wanted POST got none, path wanted /charges got none
        "#]],
    );
}

#[test]
fn other_reasons() {
    check(
        &[],
        "GET / as shop/orders",
        expect![[r#"
        GET / from orders is allowed, as no ALLOW policy selects the workload and no other denies it
    "#]],
    );
    check(
        &[("none", "{}")],
        "GET / as shop/orders\ntcp port=5432",
        expect![[r#"
        nothing allows GET / from orders: no flow leads here and no rule allows anything
        nothing allows a connection to port 5432 from a caller without identity: no flow leads here and no rule allows anything
    "#]],
    );
    check(
        &[
            (
                "no-admin",
                "{action: DENY, rules: [{from: [{source: {notNamespaces: [ops]}}], to: [{operation: {paths: ['/admin*']}}]}]}",
            ),
            ("ask", "{action: CUSTOM, provider: {name: opa}, rules: [{to: [{operation: {paths: [/ask]}}]}]}"),
            ("all", "{rules: [{}]}"),
        ],
        "GET /admin as shop/orders\nGET /ask as shop/orders\nGET / as shop/orders\ntcp as shop/orders",
        expect![[r#"
            policy pci/no-admin, rule 0 denies GET /admin from orders: namespace shop is none of ops, path /admin matches /admin*
            policy pci/ask, rule 0 denies GET /ask from orders, as its provider cannot be asked: path /ask matches /ask
            policy pci/all, rule 0 allows GET / from orders: it asks for nothing in particular
            policy pci/ask, rule 0 denies a connection to port 8080 from orders, as it asks for HTTP fields that a TCP connection does not show; give it a port of its own: path unknown, looks for /ask
        "#]],
    );
    check(
        &[(
            "many",
            "{rules: [{from: [{source: {namespaces: [a, b, c, d, e, f]}}], when: [{key: 'request.headers[x-team]', values: [red], notValues: [blue, green]}]}]}",
        )],
        "GET / as shop/orders header=x-team:blue\nGET / as a/x",
        expect![[r#"
            no rule allows GET / from orders; nearest is policy pci/many, rule 0: namespace wanted a or b or c or d or 2 more got shop, request.headers[x-team] wanted red got blue, request.headers[x-team] wanted none of blue or green got blue
            no rule allows GET / from x; nearest is policy pci/many, rule 0: namespace a ok, request.headers[x-team] wanted red got none, request.headers[x-team] none ok
        "#]],
    );
}

#[test]
fn the_nearest_of_alternatives() {
    check(
        &[(
            "alternatives",
            "{rules: [{from: [{source: {namespaces: [a], ipBlocks: [10.0.0.0/8]}}, {source: {namespaces: [b]}}], to: [{operation: {methods: [GET], paths: [/x]}}, {operation: {methods: [PUT], paths: [/y]}}]}]}",
        )],
        "PUT /z as a/x from=10.0.0.1\nGET /x as a/x from=11.0.0.1\nGET /x as c/x from=11.0.0.1",
        expect![[r#"
            no rule allows PUT /z from x; nearest is policy pci/alternatives, rule 0: namespace a ok, source address 10.0.0.1 ok, method PUT ok, path wanted /y got /z
            no rule allows GET /x from x; nearest is policy pci/alternatives, rule 0: namespace a ok, source address wanted 10.0.0.0/8 got 11.0.0.1, method GET ok, path /x ok
            no rule allows GET /x from x; nearest is policy pci/alternatives, rule 0: namespace wanted b got c, method GET ok, path /x ok
        "#]],
    );
}

#[test]
fn data() {
    let mut flow = policy(CHARGE.0, CHARGE.1);
    flow.metadata.annotations.insert("ward.internal/flow".to_owned(), "charge".to_owned());
    flow.metadata.annotations.insert("ward.internal/audit".to_owned(), "critical".to_owned());
    let set = rules(&[flow]);
    let facts = Facts::parse("POST /refunds as edge/web");
    let explanation = set.explain(&facts.request());
    let json = serde_json::to_string_pretty(&explanation).expect("JSON");
    expect![[r#"
        {
          "allowed": false,
          "reason": "no-rule-matched",
          "request": {
            "principal": "spiffe://shop.example/ns/edge/sa/web",
            "method": "POST",
            "path": "/refunds",
            "host": "",
            "port": 8080,
            "protocol": "http"
          },
          "rule": null,
          "nearest": {
            "policy": "pci/flow-charge",
            "rule": 0,
            "action": "ALLOW",
            "flow": "charge",
            "audit": "critical",
            "fields": [
              {
                "field": "principals",
                "ok": false,
                "negated": false,
                "wanted": [
                  "shop.example/ns/shop/sa/orders"
                ],
                "got": "shop.example/ns/edge/sa/web"
              },
              {
                "field": "ports",
                "ok": true,
                "negated": false,
                "wanted": [
                  "8080"
                ],
                "got": "8080"
              },
              {
                "field": "methods",
                "ok": true,
                "negated": false,
                "wanted": [
                  "POST"
                ],
                "got": "POST"
              },
              {
                "field": "paths",
                "ok": false,
                "negated": false,
                "wanted": [
                  "/charges"
                ],
                "got": "/refunds"
              }
            ]
          },
          "allow_rules": 1
        }"#]]
    .assert_eq(&json);
    let back: crate::Explanation = serde_json::from_str(&json).expect("an explanation");
    assert_eq!(back, explanation);
}
