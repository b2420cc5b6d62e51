//! The discovery protocol: as a state machine, and over real mutual TLS.
use std::{collections::HashMap, sync::Arc};

use expect_test::expect;
use wire::discovery::{DeltaDiscoveryRequest, Status};

use super::Session;
use crate::{
    plane::View,
    snapshot::{Endpoints, KeySets, Kind, compile},
    testkit::{Discovery, Joined, Mesh, SHOP, model, shown, until},
};

fn view(text: &str, revision: u64, endpoints: &Endpoints) -> View {
    let compiled = compile(&model(text), revision, &[vec![1]], &Default::default()).unwrap();
    let snapshot = compiled.join(endpoints, &KeySets::new(), None);
    let id = "spiffe://shop.example/ns/shop/sa/orders".to_owned().try_into().unwrap();
    View { revision, resources: Arc::clone(snapshot.of(&id).unwrap()) }
}

fn shop(revision: u64) -> View {
    view(SHOP, revision, &Endpoints::new())
}

fn ask(kind: Kind) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest { type_url: kind.type_url(), ..DeltaDiscoveryRequest::default() }
}

fn answer(kind: Kind, nonce: &str, refusal: Option<&str>) -> DeltaDiscoveryRequest {
    let error_detail = refusal.map(|m| Status { code: 3, message: m.to_owned() });
    DeltaDiscoveryRequest { response_nonce: nonce.to_owned(), error_detail, ..ask(kind) }
}

/// A session that holds everything of a view.
fn settled(view: &View) -> Session {
    let mut session = Session::default();
    for kind in Kind::ALL {
        session.on_request(ask(kind)).unwrap();
    }
    for response in session.advance(view) {
        let kind = Kind::of_url(&response.type_url).unwrap();
        session.on_request(answer(kind, &response.nonce, None)).unwrap();
    }
    assert_eq!(session.synced(view), Some(view.revision));
    session
}

#[test]
fn everything_once_then_only_what_changed() {
    let mut session = Session::default();
    assert!(session.advance(&shop(1)).is_empty(), "nothing that was not asked for");
    for kind in Kind::ALL {
        session.on_request(ask(kind)).unwrap();
    }
    expect![[r#"
        KeySet
        Authentication
        Bundle +shop.example
        Policy +shop/flow-place
        Upstream +orders-db:5432 +payments:8080
        Workload +orders
    "#]]
    .assert_eq(&shown(&session.advance(&shop(1))));
    assert!(session.advance(&shop(1)).is_empty());
    assert_eq!(session.synced(&shop(1)), None, "not before it is acknowledged");

    let mut session = settled(&shop(1));
    let moved = Endpoints::from([("payments".to_owned(), vec!["10.0.0.3:15008".to_owned()])]);
    expect![[r#"
        Upstream +payments:8080
    "#]]
    .assert_eq(&shown(&session.advance(&view(SHOP, 1, &moved))));
}

#[test]
fn one_response_of_a_type_at_a_time() {
    let mut session = settled(&shop(1));
    let at = |address: &str| view(SHOP, 1, &Endpoints::from([("payments".to_owned(), vec![address.to_owned()])]));
    let first = session.advance(&at("10.0.0.3:1"));
    assert_eq!(first.len(), 1);
    assert!(session.advance(&at("10.0.0.4:1")).is_empty(), "the first is not answered");
    session.on_request(answer(Kind::Upstream, "stale", None)).unwrap();
    assert!(session.advance(&at("10.0.0.4:1")).is_empty(), "a stale nonce answers nothing");
    session.on_request(answer(Kind::Upstream, &first[0].nonce, None)).unwrap();
    expect![[r#"
        Upstream +payments:8080
    "#]]
    .assert_eq(&shown(&session.advance(&at("10.0.0.4:1"))));
}

#[test]
fn what_a_peer_says_it_holds_is_not_sent_again() {
    let now = shop(7);
    let mut session = Session::default();
    for kind in Kind::ALL {
        let mut held: HashMap<String, String> =
            now.resources.of(kind).iter().map(|r| (r.name.clone(), r.version.clone())).collect();
        if kind == Kind::Upstream {
            held.insert("orders-db:5432".into(), "old".into());
            held.insert("gone:1".into(), "old".into());
        }
        session.on_request(DeltaDiscoveryRequest { initial_resource_versions: held, ..ask(kind) }).unwrap();
    }
    // Empty answers are still answers: the peer learns that it has everything. What is gone is taken away last.
    let responses = session.advance(&now);
    expect![[r#"
        KeySet
        Authentication
        Bundle
        Policy
        Upstream +orders-db:5432 -gone:1
        Workload
    "#]]
    .assert_eq(&shown(&responses));
}

#[test]
fn an_upstream_goes_only_after_nothing_points_at_it() {
    let mut session = settled(&shop(1));
    let without = SHOP.replace("  - { id: save, from: orders, to: orders-db, carries: [order] }\n", "");
    let without = without.replace("  - { id: place,", "  - { id: placing,");
    let next = view(&without, 2, &Endpoints::new());
    let first = session.advance(&next);
    expect![[r#"
        Policy +shop/flow-placing -shop/flow-place
        Upstream +payments:8080
        Workload +orders
    "#]]
    .assert_eq(&shown(&first));
    for response in &first {
        assert_eq!(session.synced(&next), None);
        session.on_request(answer(Kind::of_url(&response.type_url).unwrap(), &response.nonce, None)).unwrap();
    }
    let last = session.advance(&next);
    expect![[r#"
        Upstream -orders-db:5432
    "#]]
    .assert_eq(&shown(&last));
    session.on_request(answer(Kind::Upstream, &last[0].nonce, None)).unwrap();
    assert_eq!(session.synced(&next), Some(2));
}

/// The shop, whose gateway needs a token to call orders.
fn with_tokens() -> String {
    let issuer = "mesh: { issuers: { shop: { issuer: s, jwks_uri: https://keys.example/, forward: true } } }\nzones:\n";
    SHOP.replace("zones:\n", issuer).replace("audit: high }", "audit: high, jwt: shop }")
}

#[test]
fn keys_come_before_and_go_after_what_needs_them() {
    let mut session = settled(&shop(1));
    let guarded = view(&with_tokens(), 2, &Endpoints::new());
    let first = session.advance(&guarded);
    expect![[r#"
        KeySet +https://keys.example/
        Authentication +shop/issuer-shop.orders
        Policy +shop/flow-place
        Workload +orders
    "#]]
    .assert_eq(&shown(&first));
    for response in &first {
        session.on_request(answer(Kind::of_url(&response.type_url).unwrap(), &response.nonce, None)).unwrap();
    }
    assert_eq!(session.synced(&guarded), Some(2));

    // Back again: the policy first, then the document, then its keys.
    let open = shop(3);
    let mut steps = Vec::new();
    while session.synced(&open).is_none() {
        let responses = session.advance(&open);
        assert!(!responses.is_empty());
        steps.push(shown(&responses));
        for response in &responses {
            session.on_request(answer(Kind::of_url(&response.type_url).unwrap(), &response.nonce, None)).unwrap();
        }
    }
    expect![[r#"
        Policy +shop/flow-place
        Workload +orders
        then
        Authentication -shop/issuer-shop.orders
        then
        KeySet -https://keys.example/
    "#]]
    .assert_eq(&steps.join("then\n"));
}

#[test]
fn a_proxy_that_knows_no_tokens_is_waited_for_only_where_it_needs_to() {
    let older = |view: &View| {
        let mut session = Session::default();
        for kind in [Kind::Bundle, Kind::Policy, Kind::Upstream, Kind::Workload] {
            session.on_request(ask(kind)).unwrap();
        }
        for response in session.advance(view) {
            session.on_request(answer(Kind::of_url(&response.type_url).unwrap(), &response.nonce, None)).unwrap();
        }
        session.synced(view)
    };
    assert_eq!(older(&shop(1)), Some(1));
    assert_eq!(older(&view(&with_tokens(), 1, &Endpoints::new())), None, "it would let everybody in");
}

#[test]
fn a_refusal_is_kept_until_the_next_good_answer_and_not_sent_again() {
    let mut session = settled(&shop(1));
    let changed = SHOP.replace("POST /orders", "PUT /orders");
    let next = view(&changed, 2, &Endpoints::new());
    for response in session.advance(&next) {
        let kind = Kind::of_url(&response.type_url).unwrap();
        let refusal = (kind == Kind::Policy).then_some("no such field");
        session.on_request(answer(kind, &response.nonce, refusal)).unwrap();
    }
    assert_eq!(session.nack(), "Policy: no such field");
    assert_eq!(session.synced(&next), None);
    assert!(session.advance(&next).is_empty());
    // Mended by the next revision.
    let mended = shop(3);
    for response in session.advance(&mended) {
        session.on_request(answer(Kind::of_url(&response.type_url).unwrap(), &response.nonce, None)).unwrap();
    }
    assert_eq!((session.nack().as_str(), session.synced(&mended)), ("", Some(3)));
}

#[test]
fn names_can_be_asked_for_one_by_one_and_again() {
    let mut session = Session::default();
    let named = |add: &[&str], remove: &[&str]| DeltaDiscoveryRequest {
        resource_names_subscribe: add.iter().map(|s| (*s).to_owned()).collect(),
        resource_names_unsubscribe: remove.iter().map(|s| (*s).to_owned()).collect(),
        ..ask(Kind::Upstream)
    };
    session.on_request(named(&["payments:8080", "not-mine:1"], &[])).unwrap();
    let first = session.advance(&shop(1));
    assert_eq!(shown(&first), "Upstream +payments:8080\n");
    session.on_request(answer(Kind::Upstream, &first[0].nonce, None)).unwrap();
    session.on_request(named(&["payments:8080"], &[])).unwrap();
    let again = session.advance(&shop(1));
    assert_eq!(shown(&again), "Upstream +payments:8080\n", "asking again sends again");
    session.on_request(answer(Kind::Upstream, &again[0].nonce, None)).unwrap();
    session.on_request(named(&["orders-db:5432"], &["payments:8080"])).unwrap();
    assert_eq!(shown(&session.advance(&shop(1))), "Upstream +orders-db:5432\n");
}

#[test]
fn unknown_types_and_too_many_names_are_refused() {
    let mut session = Session::default();
    let envoy = "type.googleapis.com/envoy.config.cluster.v3.Cluster".to_owned();
    let request = DeltaDiscoveryRequest { type_url: envoy, ..DeltaDiscoveryRequest::default() };
    assert_eq!(session.on_request(request).unwrap_err().code(), tonic::Code::InvalidArgument);
    let many = |count: usize| DeltaDiscoveryRequest {
        resource_names_subscribe: (0..count).map(|i| i.to_string()).collect(),
        ..ask(Kind::Upstream)
    };
    session.on_request(many(super::session::NAMES_MAX)).unwrap();
    let mut session = Session::default();
    assert!(session.on_request(many(super::session::NAMES_MAX + 1)).is_err());
}

#[tokio::test]
async fn a_stream_is_its_certificates_node_whatever_it_claims() {
    let mesh = Mesh::shop().await;
    let gateway = mesh.join("gateway").await;
    let mut stream = gateway.discover("orders/0").await;
    expect![[r#"
        Authentication
        Bundle +shop.example
        KeySet
        Policy +edge/flow-checkout
        Upstream +orders:8080
        Workload +gateway
    "#]]
    .assert_eq(&shown(&sorted(stream.take(Kind::ALL.len()).await)));
    // Asking for another node's resources by name gets nothing either.
    let theirs = DeltaDiscoveryRequest {
        resource_names_subscribe: vec!["shop/flow-place".into(), "shop/flow-charge".into()],
        ..ask(Kind::Policy)
    };
    stream.tx.send(theirs).await.unwrap();
    assert_eq!(shown(&stream.barrier("gateway").await), "");
    // Its acknowledgements are not filed under the name it claimed.
    assert!(mesh.plane().registry.list().iter().all(|i| i.row.instance != "orders/0"));
}

#[tokio::test]
async fn a_change_reaches_those_it_concerns_and_nobody_else() {
    let mesh = Mesh::shop().await;
    let (orders, payments) = (mesh.join("orders").await, mesh.join("payments").await);
    let mut to_orders = orders.discover("orders/0").await;
    let mut to_payments = payments.discover("payments/0").await;
    to_orders.take(Kind::ALL.len()).await;
    to_payments.take(Kind::ALL.len()).await;
    assert_eq!(mesh.apply(&SHOP.replace("POST /charges", "PUT /charges")).await, 2);
    expect![[r#"
        Policy +shop/flow-charge
        Workload +payments
    "#]]
    .assert_eq(&shown(&sorted(to_payments.take(2).await)));
    assert_eq!(shown(&to_orders.barrier("orders").await), "");
    // Both hold revision 2: one was sent it, the other's configuration is the same.
    let acked = |node: &str| {
        let list = mesh.plane().registry.list();
        list.iter().find(|i| i.row.node == node).map(|i| i.row.acked)
    };
    until(|| acked("orders") == Some(2) && acked("payments") == Some(2)).await;
}

#[tokio::test]
async fn a_refusal_is_shown_and_survives_in_the_store() {
    let mesh = Mesh::shop().await;
    let orders = mesh.join("orders").await;
    let _report = orders.report("orders/0", "127.0.0.1:15008").await;
    let mut stream = orders.discover("orders/0").await;
    for _ in 0..4 {
        let response = stream.next().await;
        let refusal = response.type_url.ends_with("Policy").then_some("unknown action");
        stream.answer(&response, refusal).await;
    }
    until(|| mesh.plane().registry.list().iter().any(|i| i.row.nack == "Policy: unknown action")).await;
    let (_, nodes) = mesh.ask("GET", "/v1/nodes", None).await;
    let orders = nodes["nodes"].as_array().unwrap().iter().find(|n| n["name"] == "orders").unwrap();
    assert_eq!(
        (orders["state"].as_str(), orders["refusal"].as_str()),
        (Some("refused"), Some("Policy: unknown action"))
    );
    let plane = mesh.plane().clone();
    loop {
        let stored = plane.store.instances().await.unwrap();
        if stored.iter().any(|i| i.nack == "Policy: unknown action" && i.acked == 0) {
            break;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_reconnecting_proxy_is_sent_only_what_it_missed() {
    let mesh = Mesh::shop().await;
    let orders = mesh.join("orders").await;
    let mut stream = orders.discover("orders/0").await;
    let held: HashMap<String, HashMap<String, String>> = stream
        .take(Kind::ALL.len())
        .await
        .into_iter()
        .map(|r| (r.type_url, r.resources.into_iter().map(|x| (x.name, x.version)).collect()))
        .collect();
    drop(stream);
    mesh.apply(&SHOP.replace("POST /orders", "PUT /orders")).await;
    let mesh = mesh.restart().await;
    let channel = mesh.connect(&orders.svid).await;
    let mut stream =
        Discovery::open(channel, "orders/0", |kind| held.get(&kind.type_url()).cloned().unwrap_or_default()).await;
    expect![[r#"
        Authentication
        Bundle
        KeySet
        Policy +shop/flow-place
        Upstream
        Workload +orders
    "#]]
    .assert_eq(&shown(&sorted(stream.take(Kind::ALL.len()).await)));
}

#[tokio::test]
async fn a_node_that_left_the_model_is_told_that_nothing_is_allowed() {
    let mesh = Mesh::shop().await;
    let payments = mesh.join("payments").await;
    let mut stream = payments.discover("payments/0").await;
    stream.take(Kind::ALL.len()).await;
    let without = SHOP
        .replace("  payments: { kind: service, zone: shop, run: { command: [./shop, payments] } }\n", "")
        .replace("  - { id: charge, from: orders, to: payments, carries: [order], via: { allow: [\"POST /charges\"], timeout: 5s } }\n", "");
    mesh.apply(&without).await;
    expect![[r#"
        Policy +shop/not-in-the-model -shop/flow-charge
        Workload +payments
    "#]]
    .assert_eq(&shown(&sorted(stream.take(2).await)));
}

#[tokio::test]
async fn endpoints_follow_the_instances() {
    let mesh = Mesh::shop().await;
    let (gateway, orders) = (mesh.join("gateway").await, mesh.join("orders").await);
    let mut stream = gateway.discover("gateway/0").await;
    stream.take(Kind::ALL.len()).await;
    let endpoints = |r: &wire::discovery::DeltaDiscoveryResponse| {
        use prost::Message;
        let any = r.resources[0].resource.clone().unwrap();
        wire::v1::resources::Upstream::decode(any.value.as_slice()).unwrap().endpoints
    };
    let report = orders.report("orders/0", "10.0.0.2:15008").await;
    assert_eq!(endpoints(&stream.take(1).await[0]), ["10.0.0.2:15008"]);
    // A goodbye: the stream is closed cleanly.
    drop(report.tx);
    assert!(endpoints(&stream.take(1).await[0]).is_empty());
    // A loss: the connection breaks.
    let (channel, cable) = mesh.connect_breakably(&orders.svid).await;
    let lost = Joined { svid: orders.svid, channel };
    let _report = lost.report("orders/0", "10.0.0.2:15008").await;
    assert_eq!(endpoints(&stream.take(1).await[0]), ["10.0.0.2:15008"]);
    cable.cancel();
    until(|| mesh.plane().registry.list().iter().all(|i| i.row.instance != "orders/0" || !i.connected)).await;
    assert_eq!(shown(&stream.barrier("gateway").await), "", "kept: it may only be its link that broke");
    mesh.clock.advance(crate::registry::LOST_KEPT);
    assert!(endpoints(&stream.take(1).await[0]).is_empty());
}

fn sorted(mut responses: Vec<wire::discovery::DeltaDiscoveryResponse>) -> Vec<wire::discovery::DeltaDiscoveryResponse> {
    responses.sort_by(|a, b| a.type_url.cmp(&b.type_url));
    responses
}
