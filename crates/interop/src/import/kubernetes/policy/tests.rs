//! What selectors of network policies mean, by who may connect to whom.
use expect_test::{Expect, expect};

use super::*;
use crate::import::Document;

/// Four workloads: `web` and `db` in the namespace `shop` (`team: a`), `tool` there without a label that counts, `probe` in
/// `ops` (`team: b`). `db` serves 5432 (named `sql`) and 9187.
const PODS: &str = "
{ apiVersion: v1, kind: Namespace, metadata: { name: shop, labels: { team: a } } }
---
{ apiVersion: v1, kind: Namespace, metadata: { name: ops, labels: { team: b } } }
---
{ apiVersion: v1, kind: Pod, metadata: { name: web, namespace: shop, labels: { app: web, tier: front } }, spec: { containers: [{ image: web, ports: [{ containerPort: 80 }] }] } }
---
{ apiVersion: v1, kind: Pod, metadata: { name: db, namespace: shop, labels: { app: db, tier: back } }, spec: { containers: [{ image: db, ports: [{ containerPort: 5432, name: sql }, { containerPort: 9187 }] }] } }
---
{ apiVersion: v1, kind: Pod, metadata: { name: tool, namespace: shop, labels: { app: tool } }, spec: { containers: [{ image: tool }] } }
---
{ apiVersion: v1, kind: Pod, metadata: { name: probe, namespace: ops, labels: { app: web } }, spec: { containers: [{ image: probe }] } }
";

/// Policies of `shop`, by their `spec`; who may connect to `db`, and at which ports.
fn check(specs: &[&str], expected: Expect) {
    expected.assert_eq(&connections(specs, "db"));
}

fn connections(specs: &[&str], to: &str) -> String {
    let mut text = PODS.to_owned();
    for (at, spec) in specs.iter().enumerate() {
        text.push_str(&format!(
            "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{ name: p{at}, namespace: shop }}\nspec: {spec}\n"
        ));
    }
    let documents: Vec<Document<'_>> =
        Tree::yaml(&text).unwrap().into_iter().map(|tree| Document { file: "pods.yaml", tree }).collect();
    let cluster = Cluster::new(&documents);
    let named = |name: &str| cluster.workloads.iter().find(|w| w.object.name == name).unwrap();
    let to = named(to);
    let mut all = Vec::new();
    for from in cluster.workloads.iter().filter(|w| w.object.name != to.object.name) {
        let ports: Vec<String> = to
            .ports
            .iter()
            .map(|p| p.number)
            .filter(|p| cluster.may(from, to, Some(*p)))
            .map(|p| p.to_string())
            .collect();
        if !ports.is_empty() || to.ports.is_empty() && cluster.may(from, to, None) {
            all.push(format!("{} {}", from.object.name, ports.join(",")).trim_end().to_owned());
        }
    }
    if all.is_empty() { "nobody".to_owned() } else { all.join("; ") }
}

#[test]
fn without_a_policy_everybody_may() {
    check(&[], expect!["web 5432,9187; tool 5432,9187; probe 5432,9187"]);
    check(
        &["{ podSelector: { matchLabels: { app: web } }, ingress: [] }"],
        expect!["web 5432,9187; tool 5432,9187; probe 5432,9187"],
    );
}

#[test]
fn an_empty_pod_selector_selects_all_and_no_rule_lets_nobody() {
    check(&["{ podSelector: {} }"], expect!["nobody"]);
    check(&["{ podSelector: {}, policyTypes: [Ingress] }"], expect!["nobody"]);
    check(&["{ podSelector: {}, ingress: [] }"], expect!["nobody"]);
}

#[test]
fn a_rule_without_from_lets_everybody() {
    check(&["{ podSelector: {}, ingress: [{}] }"], expect!["web 5432,9187; tool 5432,9187; probe 5432,9187"]);
    check(&["{ podSelector: {}, ingress: [{ from: [] }] }"], expect!["web 5432,9187; tool 5432,9187; probe 5432,9187"]);
}

#[test]
fn a_pod_selector_alone_is_about_its_own_namespace() {
    check(
        &["{ podSelector: {}, ingress: [{ from: [{ podSelector: { matchLabels: { app: web } } }] }] }"],
        expect!["web 5432,9187"],
    );
    check(
        &["{ podSelector: {}, ingress: [{ from: [{ podSelector: {} }] }] }"],
        expect!["web 5432,9187; tool 5432,9187"],
    );
}

#[test]
fn namespace_and_pod_selector_in_one_entry_are_both_and_in_two_entries_either() {
    let (pods, space) =
        ("podSelector: { matchLabels: { app: web } }", "namespaceSelector: { matchLabels: { team: b } }");
    check(
        &[&format!("{{ podSelector: {{}}, ingress: [{{ from: [{{ {space}, {pods} }}] }}] }}")],
        expect!["probe 5432,9187"],
    );
    check(
        &[&format!("{{ podSelector: {{}}, ingress: [{{ from: [{{ {space} }}, {{ {pods} }}] }}] }}")],
        expect!["web 5432,9187; probe 5432,9187"],
    );
    check(
        &["{ podSelector: {}, ingress: [{ from: [{ namespaceSelector: {} }] }] }"],
        expect!["web 5432,9187; tool 5432,9187; probe 5432,9187"],
    );
    check(
        &[
            "{ podSelector: {}, ingress: [{ from: [{ namespaceSelector: { matchLabels: { kubernetes.io/metadata.name: ops } } }] }] }",
        ],
        expect!["probe 5432,9187"],
    );
}

#[test]
fn an_address_block_lets_no_pod() {
    check(&["{ podSelector: {}, ingress: [{ from: [{ ipBlock: { cidr: 0.0.0.0/0 } }] }] }"], expect!["nobody"]);
}

#[test]
fn match_expressions() {
    let of = |e: &str| {
        format!("{{ podSelector: {{}}, ingress: [{{ from: [{{ podSelector: {{ matchExpressions: [{e}] }} }}] }}] }}")
    };
    check(&[&of("{ key: tier, operator: Exists }")], expect!["web 5432,9187"]);
    check(&[&of("{ key: tier, operator: DoesNotExist }")], expect!["tool 5432,9187"]);
    check(&[&of("{ key: app, operator: In, values: [web, tool] }")], expect!["web 5432,9187; tool 5432,9187"]);
    check(&[&of("{ key: tier, operator: NotIn, values: [back] }")], expect!["web 5432,9187; tool 5432,9187"]);
    check(&[&of("{ key: tier, operator: Exists }, { key: app, operator: In, values: [tool] }")], expect!["nobody"]);
    check(&[&of("{ key: tier, operator: Unheard }")], expect!["nobody"]);
}

#[test]
fn ports_by_number_name_and_range() {
    let of = |ports: &str| format!("{{ podSelector: {{}}, ingress: [{{ ports: [{ports}] }}] }}");
    check(&[&of("{ port: 5432 }")], expect!["web 5432; tool 5432; probe 5432"]);
    check(&[&of("{ port: sql }")], expect!["web 5432; tool 5432; probe 5432"]);
    check(&[&of("{ port: 5000, endPort: 6000 }")], expect!["web 5432; tool 5432; probe 5432"]);
    check(&[&of("{ port: 5432, protocol: UDP }")], expect!["nobody"]);
    check(&[&of("{ protocol: TCP }")], expect!["web 5432,9187; tool 5432,9187; probe 5432,9187"]);
    check(&[&of("{ port: nothing }")], expect!["nobody"]);
    check(&[&of("")], expect!["web 5432,9187; tool 5432,9187; probe 5432,9187"]);
}

#[test]
fn policies_add_up_and_both_sides_must_allow() {
    let lets = |app: &str| {
        format!(
            "{{ podSelector: {{ matchLabels: {{ app: db }} }}, ingress: [{{ from: [{{ podSelector: {{ matchLabels: {{ app: {app} }} }} }}] }}] }}"
        )
    };
    check(&[&lets("web"), &lets("tool")], expect!["web 5432,9187; tool 5432,9187"]);
    // A policy with `egress` is about both directions unless it says otherwise.
    let out = "{ podSelector: { matchLabels: { app: web } }, policyTypes: [Egress], egress: [{ to: [{ podSelector: { matchLabels: { app: db } } }], ports: [{ port: 5432 }] }] }";
    check(&[&lets("web"), out], expect!["web 5432"]);
    check(&[&lets("web"), "{ podSelector: { matchLabels: { app: web } }, policyTypes: [Egress] }"], expect!["nobody"]);
    check(&["{ podSelector: {}, policyTypes: [Egress] }"], expect!["probe 5432,9187"]);
    check(
        &["{ podSelector: {}, policyTypes: [Egress], egress: [{}] }"],
        expect!["web 5432,9187; tool 5432,9187; probe 5432,9187"],
    );
    let both = "{ podSelector: { matchLabels: { app: web } }, egress: [{}] }";
    expect!["nobody"].assert_eq(&connections(&[both], "web"));
    let only_out = "{ podSelector: { matchLabels: { app: web } }, policyTypes: [Egress], egress: [{}] }";
    expect!["db 80; tool 80; probe 80"].assert_eq(&connections(&[only_out], "web"));
}

#[test]
fn what_a_container_declares_is_for_information() {
    let policy = |port: u16| {
        format!(
            "{PODS}---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{ name: p, namespace: shop }}\n\
             spec: {{ podSelector: {{ matchLabels: {{ app: web }} }}, ingress: [{{ from: [{{ podSelector: {{ matchLabels: {{ app: db }} }} }}], ports: [{{ port: {port} }}] }}] }}\n\
             ---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{ name: q, namespace: shop }}\n\
             spec: {{ podSelector: {{ matchLabels: {{ app: db }} }}, policyTypes: [Egress], egress: [{{ to: [{{ podSelector: {{ matchLabels: {{ app: web }} }} }}], ports: [{{ port: 9090 }}] }}] }}\n"
        )
    };
    for (port, expected) in [(9090, true), (9091, false)] {
        let text = policy(port);
        let documents: Vec<Document<'_>> =
            Tree::yaml(&text).unwrap().into_iter().map(|tree| Document { file: "pods.yaml", tree }).collect();
        let cluster = Cluster::new(&documents);
        let named = |name: &str| cluster.workloads.iter().find(|w| w.object.name == name).unwrap();
        assert_eq!(cluster.needs(named("db"), named("web")).is_some(), expected, "{port}");
    }
}
