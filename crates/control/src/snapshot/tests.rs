//! What each node of a model is told.
use std::collections::BTreeMap;

use expect_test::{Expect, expect};
use prost::Message;
use wire::v1::resources::{Policy, Upstream, Workload};

use super::{Compiled, Endpoints, KeySets, Kind, Snapshot, compile};
use crate::testkit::{SHOP, model};

fn compiled(text: &str, revision: u64, before: Option<&Compiled>) -> Compiled {
    let known = before.map(Compiled::digests).unwrap_or_default();
    compile(&model(text), revision, &[vec![1, 2, 3]], &known).unwrap()
}

fn told(snapshot: &Snapshot, id: &str) -> String {
    let Some(node) = snapshot.of(&id.to_owned().try_into().unwrap()) else { return "nothing\n".to_owned() };
    let mut text = String::new();
    for r in node.of(Kind::Workload) {
        let w = Workload::decode(r.body.as_slice()).unwrap();
        let services: Vec<_> = w.services.iter().map(|s| format!("{}:{}", s.protocol, s.port)).collect();
        text += &format!(
            "workload {} {} since {} dry {} serves [{}]\n",
            r.name,
            w.spiffe_id,
            w.revision,
            w.dry_run,
            services.join(" ")
        );
        for l in &w.listeners {
            text += &format!("  listener {} {:?} tls {}\n", l.port, l.hosts, l.tls);
            for r in &l.routes {
                text += &format!(
                    "    {} {} -> {} strip {:?} ({})\n",
                    r.methods.join(","),
                    r.path,
                    r.upstream,
                    r.strip_prefix,
                    r.flow
                );
            }
        }
    }
    for r in node.of(Kind::Upstream) {
        let u = Upstream::decode(r.body.as_slice()).unwrap();
        text += &format!(
            "upstream {} {} {} local {} timeout {} at {:?} for {:?}\n",
            u.name, u.protocol, u.spiffe_id, u.local_port, u.timeout_ms, u.endpoints, u.flows
        );
    }
    for r in node.of(Kind::Policy) {
        let p = Policy::decode(r.body.as_slice()).unwrap();
        text += &format!("policy {} {}\n", p.name, p.document);
    }
    for r in node.of(Kind::Bundle) {
        text += &format!("bundle {}\n", r.name);
    }
    text
}

#[track_caller]
fn check(text: &str, id: &str, expected: &Expect) {
    let endpoints = Endpoints::from([("orders".to_owned(), vec!["10.0.0.2:15008".to_owned()])]);
    let snapshot = compiled(text, 1, None).join(&endpoints, &KeySets::new(), None);
    expected.assert_eq(&told(&snapshot, id));
}

#[test]
fn a_gateway_gets_its_routes_and_only_its_upstreams() {
    check(
        SHOP,
        "spiffe://shop.example/ns/edge/sa/gateway",
        &expect![[r#"
        workload gateway spiffe://shop.example/ns/edge/sa/gateway since 1 dry false serves []
          listener 8443 ["shop.example"] tls auto
            GET,HEAD /orders/{*} -> orders:8080 strip "" (place)
            POST /orders -> orders:8080 strip "" (place)
        upstream orders:8080 http spiffe://shop.example/ns/shop/sa/orders local 15100 timeout 0 at ["10.0.0.2:15008"] for ["place"]
        policy edge/flow-checkout {"apiVersion":"security.istio.io/v1","kind":"AuthorizationPolicy","metadata":{"name":"flow-checkout","namespace":"edge","annotations":{"ward.internal/audit":"medium","ward.internal/flow":"checkout"}},"spec":{"selector":{"matchLabels":{"app":"gateway"}},"action":"ALLOW","rules":[{"to":[{"operation":{"ports":["8443"]}}]}]}}
        bundle shop.example
    "#]],
    );
}

#[test]
fn a_service_gets_its_policies_and_upstreams() {
    check(
        SHOP,
        "spiffe://shop.example/ns/shop/sa/orders",
        &expect![[r#"
        workload orders spiffe://shop.example/ns/shop/sa/orders since 1 dry false serves [http:8080]
        upstream orders-db:5432 tcp spiffe://shop.example/ns/shop/sa/orders-db local 15100 timeout 0 at [] for ["save"]
        upstream payments:8080 http spiffe://shop.example/ns/shop/sa/payments local 15101 timeout 5000 at [] for ["charge"]
        policy shop/flow-place {"apiVersion":"security.istio.io/v1","kind":"AuthorizationPolicy","metadata":{"name":"flow-place","namespace":"shop","annotations":{"ward.internal/audit":"high","ward.internal/flow":"place"}},"spec":{"selector":{"matchLabels":{"app":"orders"}},"action":"ALLOW","rules":[{"from":[{"source":{"principals":["shop.example/ns/edge/sa/gateway"]}}],"to":[{"operation":{"ports":["8080"],"methods":["GET","HEAD"],"paths":["/orders/{*}"]}}]},{"from":[{"source":{"principals":["shop.example/ns/edge/sa/gateway"]}}],"to":[{"operation":{"ports":["8080"],"methods":["POST"],"paths":["/orders"]}}]}]}}
        bundle shop.example
    "#]],
    );
}

#[test]
fn nobody_else_gets_anything() {
    for id in [
        "spiffe://shop.example/ns/internet/sa/customer",
        "spiffe://shop.example/ns/edge/sa/orders",
        "spiffe://other.example/ns/shop/sa/orders",
        "spiffe://shop.example/ns/ward-system/sa/ward-control",
    ] {
        check(
            SHOP,
            id,
            &expect![[r#"
            nothing
        "#]],
        );
    }
}

#[test]
fn routes_are_most_literal_first_and_carry_the_prefix() {
    let text = r#"
ward: 1
model: m
zones: { edge: {} }
nodes:
  gw: { kind: service, zone: edge, role: gateway, listen: [{ port: 80, hosts: [m.example], tls: none }] }
  a: { kind: service, zone: edge, run: { command: [x] } }
  b: { kind: service, zone: edge, run: { command: [x] } }
flows:
  - { id: rest, from: gw, to: a, via: { allow: ["* /app/{**}", "PUT /{*}", "GET /new", "POST,DELETE /new"] } }
  - { id: api, from: gw, to: b, via: { allow: ["GET /api/things/{*}", "GET /api/things/new", "GET /api"], rewrite: /api } }
"#;
    check(
        text,
        "spiffe://m.ward.internal/ns/edge/sa/gw",
        &expect![[r#"
        workload gw spiffe://m.ward.internal/ns/edge/sa/gw since 1 dry false serves []
          listener 80 ["m.example"] tls none
            GET,HEAD /api/things/new -> b:8080 strip "/api" (api)
            GET,HEAD /api/things/{*} -> b:8080 strip "/api" (api)
             /app/{**} -> a:8080 strip "" (rest)
            GET,HEAD /api -> b:8080 strip "/api" (api)
            GET,HEAD /new -> a:8080 strip "" (rest)
            POST,DELETE /new -> a:8080 strip "" (rest)
            PUT /{*} -> a:8080 strip "" (rest)
        upstream a:8080 http spiffe://m.ward.internal/ns/edge/sa/a local 15100 timeout 0 at [] for ["rest"]
        upstream b:8080 http spiffe://m.ward.internal/ns/edge/sa/b local 15101 timeout 0 at [] for ["api"]
        policy edge/no-flow-gw {"apiVersion":"security.istio.io/v1","kind":"AuthorizationPolicy","metadata":{"name":"no-flow-gw","namespace":"edge"},"spec":{"selector":{"matchLabels":{"app":"gw"}},"action":"ALLOW"}}
        bundle m.ward.internal
    "#]],
    );
    check(
        text,
        "spiffe://m.ward.internal/ns/edge/sa/b",
        &expect![[r#"
        workload b spiffe://m.ward.internal/ns/edge/sa/b since 1 dry false serves [http:8080]
        policy edge/flow-api {"apiVersion":"security.istio.io/v1","kind":"AuthorizationPolicy","metadata":{"name":"flow-api","namespace":"edge","annotations":{"ward.internal/audit":"medium","ward.internal/flow":"api"}},"spec":{"selector":{"matchLabels":{"app":"b"}},"action":"ALLOW","rules":[{"from":[{"source":{"principals":["m.ward.internal/ns/edge/sa/gw"]}}],"to":[{"operation":{"ports":["8080"],"methods":["GET","HEAD"],"paths":["/things/{*}"]}}]},{"from":[{"source":{"principals":["m.ward.internal/ns/edge/sa/gw"]}}],"to":[{"operation":{"ports":["8080"],"methods":["GET","HEAD"],"paths":["/things/new"]}}]},{"from":[{"source":{"principals":["m.ward.internal/ns/edge/sa/gw"]}}],"to":[{"operation":{"ports":["8080"],"methods":["GET","HEAD"],"paths":["/"]}}]}]}}
        bundle m.ward.internal
    "#]],
    );
}

#[test]
fn two_flows_to_one_port_are_one_upstream() {
    let text = r#"
ward: 1
model: m
zones: { z: {} }
nodes:
  a: { kind: service, zone: z, run: { command: [x] } }
  b: { kind: service, zone: z, run: { command: [x] }, serves: [{ port: 80, protocol: http }, { port: 81, protocol: tcp }] }
flows:
  - { id: one, from: a, to: b, via: { allow: ["GET /x"], port: 80, timeout: 2s } }
  - { id: two, from: a, to: b, via: { allow: ["GET /y"], port: 80, timeout: 3s } }
  - { id: three, from: a, to: b, via: { port: 81 } }
  - { id: never, from: b, to: a, standby: true, via: { allow: ["GET /z"] } }
emergencies:
  e: { flows: [never], approvers: { any: 1, of: [p] }, max: 30m, audit: critical }
"#
    .replace("  a: {", "  p: { kind: party, zone: z }\n  a: {");
    check(
        &text,
        "spiffe://m.ward.internal/ns/z/sa/a",
        &expect![[r#"
        workload a spiffe://m.ward.internal/ns/z/sa/a since 1 dry false serves [http:8080]
        upstream b:80 http spiffe://m.ward.internal/ns/z/sa/b local 15100 timeout 3000 at [] for ["one", "two"]
        upstream b:81 tcp spiffe://m.ward.internal/ns/z/sa/b local 15101 timeout 0 at [] for ["three"]
        policy z/no-flow-a {"apiVersion":"security.istio.io/v1","kind":"AuthorizationPolicy","metadata":{"name":"no-flow-a","namespace":"z"},"spec":{"selector":{"matchLabels":{"app":"a"}},"action":"ALLOW"}}
        bundle m.ward.internal
    "#]],
    );
    check(
        &text,
        "spiffe://m.ward.internal/ns/z/sa/b",
        &expect![[r#"
        workload b spiffe://m.ward.internal/ns/z/sa/b since 1 dry false serves [http:80 tcp:81]
        policy z/flow-one {"apiVersion":"security.istio.io/v1","kind":"AuthorizationPolicy","metadata":{"name":"flow-one","namespace":"z","annotations":{"ward.internal/audit":"medium","ward.internal/flow":"one"}},"spec":{"selector":{"matchLabels":{"app":"b"}},"action":"ALLOW","rules":[{"from":[{"source":{"principals":["m.ward.internal/ns/z/sa/a"]}}],"to":[{"operation":{"ports":["80"],"methods":["GET","HEAD"],"paths":["/x"]}}]}]}}
        policy z/flow-three {"apiVersion":"security.istio.io/v1","kind":"AuthorizationPolicy","metadata":{"name":"flow-three","namespace":"z","annotations":{"ward.internal/audit":"medium","ward.internal/flow":"three"}},"spec":{"selector":{"matchLabels":{"app":"b"}},"action":"ALLOW","rules":[{"from":[{"source":{"principals":["m.ward.internal/ns/z/sa/a"]}}],"to":[{"operation":{"ports":["81"]}}]}]}}
        policy z/flow-two {"apiVersion":"security.istio.io/v1","kind":"AuthorizationPolicy","metadata":{"name":"flow-two","namespace":"z","annotations":{"ward.internal/audit":"medium","ward.internal/flow":"two"}},"spec":{"selector":{"matchLabels":{"app":"b"}},"action":"ALLOW","rules":[{"from":[{"source":{"principals":["m.ward.internal/ns/z/sa/a"]}}],"to":[{"operation":{"ports":["80"],"methods":["GET","HEAD"],"paths":["/y"]}}]}]}}
        bundle m.ward.internal
    "#]],
    );
}

#[test]
fn a_change_moves_only_the_nodes_it_concerns() {
    let one = compiled(SHOP, 1, None);
    let two = compiled(&SHOP.replace("POST /charges", "PUT /charges"), 2, Some(&one));
    let since =
        |c: &Compiled| -> BTreeMap<String, u64> { c.digests().into_iter().map(|(n, d)| (n, d.since)).collect() };
    expect![[r#"{"gateway": 1, "orders": 1, "orders-db": 1, "payments": 2}"#]].assert_eq(&format!("{:?}", since(&two)));
    // Equal content is shared, not only equal.
    let endpoints = Endpoints::new();
    let before = one.join(&endpoints, &KeySets::new(), None);
    let after = two.join(&endpoints, &KeySets::new(), Some(&before));
    for (node, moved) in [("edge/sa/gateway", false), ("shop/sa/orders", false), ("shop/sa/payments", true)] {
        let id = format!("spiffe://shop.example/ns/{node}").try_into().unwrap();
        let same = std::sync::Arc::ptr_eq(before.of(&id).unwrap(), after.of(&id).unwrap());
        assert_eq!(!same, moved, "{node}");
    }
    // Back again is a change like any other.
    let three = compiled(SHOP, 3, Some(&two));
    assert_eq!(since(&three)["payments"], 3);
}
