//! The connections that NetworkPolicies let through, by a small evaluator, are those of the flows.
use expect_test::expect;
use proptest::prelude::*;

use super::*;
use crate::export::{
    cluster::{Choice, Workloads, cluster},
    tests::model,
};

const SMALL: &str = r#"
ward: 1
model: small
zones: { internet: { trust: none }, edge: {}, shop: {}, cloud: {} }
data: { order: { class: internal } }
nodes:
  customer: { kind: party, zone: internet }
  gateway: { kind: service, zone: edge, role: gateway, listen: [{ port: 8443, hosts: [shop.example], tls: auto }] }
  orders: { kind: service, zone: shop, attest: token, exposed_to: [internet], serves: [{ port: 8080 }, { port: 9090, protocol: grpc }] }
  "on": { kind: store, zone: shop, attest: token, serves: [{ port: 5432, protocol: postgres }] }
  bank: { kind: service, zone: internet, endpoints: ["bank.example:443"] }
  ldap: { kind: service, zone: cloud, endpoints: ["10.1.2.3:636", "[2001:db8::1]:636"] }
  vm: { kind: service, zone: cloud, port: 2222 }
  spare: { kind: service, zone: shop, attest: token }
  pager: { kind: party, zone: internet }
flows:
  - { id: browse, from: customer, to: gateway, carries: [order] }
  - { id: place, from: gateway, to: orders, carries: [order], via: { port: 8080, allow: ["POST /orders"], audit: high, limit: 50/s } }
  - { id: stream, from: gateway, to: orders, carries: [order], via: { port: 9090, allow: ["grpc s.Orders/{*}"] } }
  - { id: save, from: orders, to: "on", carries: [order] }
  - { id: pay, from: orders, to: bank, carries: [order] }
  - { id: who, from: orders, to: ldap, carries: [order] }
  - { id: admin, from: orders, to: vm, carries: [order], via: { ssh: true } }
  - { id: page, from: orders, to: pager, carries: [order] }
  - { id: break-glass, from: orders, to: spare, carries: [order], standby: true }
"#;

fn exported(text: &str, choice: Choice, between: Between) -> Exported {
    let inside = cluster(&model(text), choice).expect("a cluster");
    let reach = Reach { namespace: Name::try_from("istio-system".to_owned()).expect("a name"), port: 15012 };
    export(&inside, "app", between, if between == Between::Mesh { std::slice::from_ref(&reach) } else { &[] })
        .expect("an export")
}

fn policies(exported: &Exported) -> Vec<NetworkPolicy> {
    serde_saphyr::from_multiple(&exported.yaml()).expect("NetworkPolicies")
}

/// A pod, or somebody outside.
#[derive(Clone, Debug)]
enum End {
    Pod { namespace: String, app: String },
    Address(std::net::Ipv4Addr),
}

fn selects(selector: &LabelSelector, labels: &[(&str, &str)]) -> bool {
    selector.match_labels.iter().all(|(key, value)| labels.contains(&(key.as_str(), value.as_str())))
}

fn inside(cidr: &str, address: std::net::Ipv4Addr) -> bool {
    let Some((base, bits)) = cidr.split_once('/') else { return false };
    let (Ok(base), Ok(bits)) = (base.parse::<std::net::Ipv4Addr>(), bits.parse::<u32>()) else { return false };
    let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
    (u32::from(base) & mask) == (u32::from(address) & mask)
}

impl Peer {
    fn is(&self, end: &End) -> bool {
        match (end, &self.ip_block) {
            (End::Pod { namespace, app }, None) => {
                self.namespace_selector.as_ref().is_some_and(|s| selects(s, &[(NAMESPACE_LABEL, namespace)]))
                    && self.pod_selector.as_ref().is_none_or(|s| selects(s, &[("app", app)]))
            }
            (End::Address(address), Some(block)) => {
                inside(&block.cidr, *address) && !block.except.iter().any(|one| inside(one, *address))
            }
            _ => false,
        }
    }
}

/// Whether a connection is let through, as Kubernetes defines it: each end that some policy selects for the direction
/// needs one that lists the other end and the port.
fn passes(policies: &[NetworkPolicy], from: &End, to: &End, port: u16) -> bool {
    let of = |end: &End, direction: &str| -> Option<Vec<&NetworkPolicy>> {
        let End::Pod { namespace, app } = end else { return None };
        let mine = |p: &&NetworkPolicy| {
            p.metadata.namespace == *namespace
                && p.spec.policy_types.iter().any(|t| t == direction)
                && selects(&p.spec.pod_selector, &[("app", app)])
        };
        Some(policies.iter().filter(mine).collect())
    };
    let at = |ports: &[Port]| ports.iter().any(|p| p.port == port && p.protocol == "TCP");
    let out = of(from, "Egress").is_none_or(|all| {
        all.is_empty()
            || all
                .iter()
                .any(|p| p.spec.egress.iter().any(|rule| at(&rule.ports) && rule.to.iter().any(|peer| peer.is(to))))
    });
    let into = of(to, "Ingress").is_none_or(|all| {
        all.is_empty()
            || all.iter().any(|p| {
                p.spec.ingress.iter().any(|rule| at(&rule.ports) && rule.from.iter().any(|peer| peer.is(from)))
            })
    });
    out && into
}

#[test]
fn documents() {
    expect![[r##"
        # The flows of the model small as NetworkPolicies. Written by `ward export network-policy`; change the model, and
        # export again. They hold where the cluster's network enforces them, and know addresses alone: not who calls, nor
        # what is asked (`allow`, `jwt`), which `ward export istio` says.
        #
        # Each workload is a pod with the label app=<its name>. Nothing else may be said in these namespaces than what
        # stands here: policies add up, and a further one only ever lets more through.
        #
        # Sidecars must reach their control plane too, which is none of the model's: --reach istio-system:15012
        # lets them, where there are any. So must whoever scrapes metrics, by a policy of your own.
        ---
        # nothing passes to or from any pod of edge, but what the policies below let through
        apiVersion: networking.k8s.io/v1
        kind: NetworkPolicy
        metadata:
          name: ward-default-deny
          namespace: edge
          labels:
            app.kubernetes.io/managed-by: ward
            app.kubernetes.io/part-of: small
        spec:
          podSelector: {}
          policyTypes:
          - Ingress
          - Egress
        ---
        # names: every pod may ask the cluster's DNS. With a cache on each node (169.254.20.10) add an ipBlock for it
        apiVersion: networking.k8s.io/v1
        kind: NetworkPolicy
        metadata:
          name: ward-dns
          namespace: edge
          labels:
            app.kubernetes.io/managed-by: ward
            app.kubernetes.io/part-of: small
        spec:
          podSelector: {}
          policyTypes:
          - Egress
          egress:
          - to:
            - namespaceSelector:
                matchLabels:
                  kubernetes.io/metadata.name: kube-system
              podSelector:
                matchLabels:
                  k8s-app: kube-dns
            ports:
            - protocol: UDP
              port: 53
            - protocol: TCP
              port: 53
        ---
        # nothing passes to or from any pod of shop, but what the policies below let through
        apiVersion: networking.k8s.io/v1
        kind: NetworkPolicy
        metadata:
          name: ward-default-deny
          namespace: shop
          labels:
            app.kubernetes.io/managed-by: ward
            app.kubernetes.io/part-of: small
        spec:
          podSelector: {}
          policyTypes:
          - Ingress
          - Egress
        ---
        # names: every pod may ask the cluster's DNS. With a cache on each node (169.254.20.10) add an ipBlock for it
        apiVersion: networking.k8s.io/v1
        kind: NetworkPolicy
        metadata:
          name: ward-dns
          namespace: shop
          labels:
            app.kubernetes.io/managed-by: ward
            app.kubernetes.io/part-of: small
        spec:
          podSelector: {}
          policyTypes:
          - Egress
          egress:
          - to:
            - namespaceSelector:
                matchLabels:
                  kubernetes.io/metadata.name: kube-system
              podSelector:
                matchLabels:
                  k8s-app: kube-dns
            ports:
            - protocol: UDP
              port: 53
            - protocol: TCP
              port: 53
        ---
        # from customer: flow browse
        # to orders: flow place
        # to orders: flow stream
        apiVersion: networking.k8s.io/v1
        kind: NetworkPolicy
        metadata:
          name: flows-gateway
          namespace: edge
          labels:
            app.kubernetes.io/managed-by: ward
            app.kubernetes.io/part-of: small
        spec:
          podSelector:
            matchLabels:
              app: gateway
          policyTypes:
          - Ingress
          - Egress
          ingress:
          - from:
            - ipBlock:
                cidr: 0.0.0.0/0
            - ipBlock:
                cidr: "::/0"
            ports:
            - protocol: TCP
              port: 8443
          egress:
          - to:
            - namespaceSelector:
                matchLabels:
                  kubernetes.io/metadata.name: shop
              podSelector:
                matchLabels:
                  app: orders
            ports:
            - protocol: TCP
              port: 8080
            - protocol: TCP
              port: 9090
        ---
        # from orders: flow save
        apiVersion: networking.k8s.io/v1
        kind: NetworkPolicy
        metadata:
          name: flows-on
          namespace: shop
          labels:
            app.kubernetes.io/managed-by: ward
            app.kubernetes.io/part-of: small
        spec:
          podSelector:
            matchLabels:
              app: "on"
          policyTypes:
          - Ingress
          - Egress
          ingress:
          - from:
            - namespaceSelector:
                matchLabels:
                  kubernetes.io/metadata.name: shop
              podSelector:
                matchLabels:
                  app: orders
            ports:
            - protocol: TCP
              port: 5432
        ---
        # from gateway: flow place
        # from gateway: flow stream
        # to on: flow save
        # to bank: flow pay
        # not expressed: where bank is: any address of the internet is let through
        # to ldap: flow who
        # to vm: flow admin
        # not expressed: where vm is: any address is let through, as it may be in a private network: narrow it to the ones it has
        # to pager: flow page
        # not expressed: where pager is: any address of the internet is let through
        # not expressed: port 443: a guess, as a party serves no port: give the flow a node with `serves`
        # not expressed: exposed_to: internet: no flow comes from there, so its ports stay shut
        apiVersion: networking.k8s.io/v1
        kind: NetworkPolicy
        metadata:
          name: flows-orders
          namespace: shop
          labels:
            app.kubernetes.io/managed-by: ward
            app.kubernetes.io/part-of: small
        spec:
          podSelector:
            matchLabels:
              app: orders
          policyTypes:
          - Ingress
          - Egress
          ingress:
          - from:
            - namespaceSelector:
                matchLabels:
                  kubernetes.io/metadata.name: edge
              podSelector:
                matchLabels:
                  app: gateway
            ports:
            - protocol: TCP
              port: 8080
            - protocol: TCP
              port: 9090
          egress:
          - to:
            - ipBlock:
                cidr: 0.0.0.0/0
            - ipBlock:
                cidr: "::/0"
            ports:
            - protocol: TCP
              port: 2222
          - to:
            - ipBlock:
                cidr: 0.0.0.0/0
                except:
                - 10.0.0.0/8
                - 100.64.0.0/10
                - 169.254.0.0/16
                - 172.16.0.0/12
                - 192.168.0.0/16
            - ipBlock:
                cidr: "::/0"
                except:
                - fc00::/7
                - fe80::/10
            ports:
            - protocol: TCP
              port: 443
          - to:
            - ipBlock:
                cidr: 10.1.2.3/32
            - ipBlock:
                cidr: 2001:db8::1/128
            ports:
            - protocol: TCP
              port: 636
          - to:
            - namespaceSelector:
                matchLabels:
                  kubernetes.io/metadata.name: shop
              podSelector:
                matchLabels:
                  app: "on"
            ports:
            - protocol: TCP
              port: 5432
        ---
        apiVersion: networking.k8s.io/v1
        kind: NetworkPolicy
        metadata:
          name: flows-spare
          namespace: shop
          labels:
            app.kubernetes.io/managed-by: ward
            app.kubernetes.io/part-of: small
        spec:
          podSelector:
            matchLabels:
              app: spare
          policyTypes:
          - Ingress
          - Egress
    "##]].assert_eq(&exported(SMALL, Choice::default(), Between::Applications).yaml());
}

#[test]
fn what_is_not_expressed() {
    let exported = exported(SMALL, Choice::default(), Between::Applications);
    let notes: Vec<String> = exported.notes.iter().map(|note| format!("{note}\n")).collect();
    expect![[r#"
        flow break-glass: standby: true: it stays shut: an emergency that opens it is Ward's own
        flows: allow, jwt and identities: a NetworkPolicy knows addresses and ports alone: use `ward export istio` beside it
        flow place: limit: 50/s: requests are not counted
        flow place: audit: high: decisions are not recorded: switch access logs on
        flow pay: where bank is: any address of the internet is let through
        flow admin: where vm is: any address is let through, as it may be in a private network: narrow it to the ones it has
        flow page: where pager is: any address of the internet is let through
        flow page: port 443: a guess, as a party serves no port: give the flow a node with `serves`
        node orders: exposed_to: internet: no flow comes from there, so its ports stay shut
    "#]].assert_eq(&notes.concat());
}

#[test]
fn on_the_mesh_s_port() {
    let all = policies(&exported(SMALL, Choice::default(), Between::Mesh));
    let pod = |namespace: &str, app: &str| End::Pod { namespace: namespace.to_owned(), app: app.to_owned() };
    let (gateway, orders) = (pod("edge", "gateway"), pod("shop", "orders"));
    assert!(passes(&all, &gateway, &orders, MESH_PORT));
    assert!(!passes(&all, &gateway, &orders, 8080));
    assert!(!passes(&all, &orders, &gateway, MESH_PORT));
    assert!(passes(&all, &orders, &pod("istio-system", "istiod"), 15012));
    assert!(!passes(&all, &orders, &pod("istio-system", "istiod"), 443));
    let outside = End::Address([203, 0, 113, 7].into());
    assert!(passes(&all, &outside, &gateway, 8443), "parties come to the listener");
    assert!(!passes(&all, &outside, &gateway, MESH_PORT));
}

#[test]
fn addresses() {
    let all = policies(&exported(SMALL, Choice::default(), Between::Applications));
    let orders = End::Pod { namespace: "shop".to_owned(), app: "orders".to_owned() };
    let to = |address: [u8; 4], port| passes(&all, &orders, &End::Address(address.into()), port);
    assert!(to([203, 0, 113, 7], 443), "the bank");
    assert!(!to([203, 0, 113, 7], 80));
    assert!(!to([169, 254, 169, 254], 443), "no metadata service by way of the internet");
    assert!(!to([10, 0, 0, 1], 443), "nor pods");
    assert!(to([10, 1, 2, 3], 636), "a directory with an address");
    assert!(!to([10, 1, 2, 4], 636));
    assert!(to([10, 9, 9, 9], 2222), "a machine somewhere");
    assert!(!passes(&all, &End::Address([203, 0, 113, 7].into()), &orders, 8080), "exposed, and no flow");
}

#[test]
fn one_namespace_and_nodes_outside() {
    let choice = Choice {
        workloads: Some(Workloads::All),
        outside: vec!["on".to_owned()],
        namespace: Some(Name::try_from("prod".to_owned()).expect("a name")),
        ..Choice::default()
    };
    let exported = exported(SMALL, choice, Between::Applications);
    let all = policies(&exported);
    let names: Vec<String> = all.iter().map(|p| format!("{}/{}", p.metadata.namespace, p.metadata.name)).collect();
    expect!["prod/ward-default-deny prod/ward-dns prod/flows-gateway prod/flows-orders prod/flows-spare prod/flows-vm"]
        .assert_eq(&names.join(" "));
    let wrong = Choice { outside: vec!["order".to_owned()], ..Choice::default() };
    expect!["the model has no node `order`; did you mean `orders`?"]
        .assert_eq(&cluster(&model(SMALL), wrong).expect_err("no such node").to_string());
    let nobody = "ward: 1\nmodel: m\nzones: { z: {} }\nnodes: { p: { kind: party, zone: z } }\n";
    expect!["no node of the model runs in the cluster: give nodes `run` or `attest`, or ask for --workloads all"]
        .assert_eq(&cluster(&model(nobody), Choice::default()).expect_err("nobody").to_string());
}

#[test]
fn the_same_model_is_the_same_bytes() {
    let once = || exported(SMALL, Choice::default(), Between::Applications);
    assert_eq!(once().yaml(), once().yaml());
    assert_eq!(once().list().to_string(), once().list().to_string());
}

/// A model of `nodes` services in three zones, with flows between them.
fn drawn(nodes: usize, flows: &[(usize, usize, Option<bool>, bool)]) -> String {
    use std::fmt::Write as _;
    let mut text = "ward: 1\nmodel: m\nzones: { z0: {}, z1: {}, z2: {} }\nnodes:\n".to_owned();
    for i in 0..nodes {
        let zone = i % 3;
        let _ = writeln!(
            text,
            "  n{i}: {{ kind: service, zone: z{zone}, attest: token, serves: [{{ port: 80 }}, {{ port: 90 }}] }}"
        );
    }
    text += "flows:\n";
    for (number, (from, to, port, standby)) in flows.iter().enumerate() {
        let (from, to) = (from % nodes, to % nodes);
        if from == to {
            continue;
        }
        let via = match port {
            None => String::new(),
            Some(first) => format!(", via: {{ port: {} }}", if *first { 80 } else { 90 }),
        };
        let standby = if *standby { ", standby: true" } else { "" };
        let _ = writeln!(text, "  - {{ id: f{number}, from: n{from}, to: n{to}{standby}{via} }}");
    }
    text
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn exactly_the_pairs_of_flows(
        nodes in 2_usize..7,
        flows in prop::collection::vec((0_usize..7, 0_usize..7, prop::option::of(any::<bool>()), prop::bool::weighted(0.2)), 1..12),
    ) {
        let text = drawn(nodes, &flows);
        prop_assume!(text.contains("id:"));
        let model = model(&text);
        let all = policies(&exported(&text, Choice::default(), Between::Applications));
        for (from, source) in &model.nodes {
            for (to, target) in &model.nodes {
                for port in [80, 90, 100] {
                    let flows = model.flows_to(to.as_str()).filter(|flow| !flow.standby && flow.from == *from);
                    let drawn = flows.into_iter().any(|flow| model.ports_of(flow).any(|serve| serve.port == port));
                    let end = |name: &Name, node: &Node| End::Pod { namespace: node.namespace.to_string(), app: name.to_string() };
                    prop_assert_eq!(passes(&all, &end(from, source), &end(to, target), port), drawn, "{} -> {}:{}\n{}", from, to, port, text);
                }
            }
        }
    }
}
