//! The API over its real socket, and what joining asks for.
use std::{collections::BTreeSet, os::unix::fs::PermissionsExt, time::Duration};

use axum::http::Method;
use identity::JoinToken;
use model::SpiffeId;
use serde_json::{Value, json};
use tonic::Code;
use wire::v1::{
    DecisionRecord, FlowCount, JoinRequest, ReportRequest, SignRequest, identity_client::IdentityClient,
    sign_request::Kind,
};

use super::{Operator, socket::Socket};
use crate::{
    server::StartError,
    testkit::{Mesh, SHOP, config, files, until},
};

#[test]
fn the_description_and_the_routes_are_the_same() {
    let described: Value = serde_json::from_str(super::OPENAPI).unwrap();
    let described: BTreeSet<(String, String)> = described["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| methods.as_object().unwrap().keys().map(|m| (path.clone(), m.to_uppercase())))
        .collect();
    let served: BTreeSet<(String, String)> = super::table()
        .into_iter()
        .map(|(path, method, _): (_, Method, _)| (path.to_owned(), method.to_string()))
        .collect();
    assert_eq!(described, served);
}

#[test]
fn every_reference_of_the_description_resolves() {
    let document: Value = serde_json::from_str(super::OPENAPI).unwrap();
    fn walk(value: &Value, document: &Value) {
        match value {
            Value::Object(object) => {
                if let Some(Value::String(reference)) = object.get("$ref") {
                    assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
                }
                object.values().for_each(|v| walk(v, document));
            }
            Value::Array(list) => list.iter().for_each(|v| walk(v, document)),
            _ => {}
        }
    }
    walk(&document, &document);
}

#[tokio::test]
async fn before_the_first_model_only_health_answers() {
    let mesh = Mesh::empty().await;
    let (status, health) = mesh.ask("GET", "/v1/health", None).await;
    assert_eq!((status, &health["revision"]), (200, &Value::Null));
    for (method, path, body) in [
        ("GET", "/v1/nodes", None),
        ("GET", "/v1/flows", None),
        ("GET", "/v1/model", None),
        ("GET", "/v1/bundle", None),
        ("POST", "/v1/tokens", Some(json!({ "node": "orders" }))),
        ("POST", "/v1/verify", Some(json!({}))),
    ] {
        let (status, problem) = mesh.ask(method, path, body).await;
        assert_eq!((status, problem["type"].as_str()), (409, Some("urn:ward:problem:no-model")), "{method} {path}");
    }
    assert!(!mesh.dir.path().join("state/ca").exists(), "no authority before a model names the trust domain");
}

#[tokio::test]
async fn a_bad_model_changes_nothing_and_says_why() {
    let mesh = Mesh::empty().await;
    let (status, problem) = mesh.put_model(&SHOP.replace("to: payments", "to: paymets")).await;
    assert_eq!((status, problem["diagnostics"][0]["code"].as_str()), (422, Some("unknown-node")), "{problem}");
    assert!(!mesh.dir.path().join("state/ca").exists(), "a refused first model leaves nothing behind");
    assert_eq!(mesh.put_model(SHOP).await.1["revision"], 1);
    let (status, _) = mesh.put_model("ward: 1\n").await;
    assert_eq!(status, 422);
    let (status, again) = mesh.put_model(SHOP).await;
    assert_eq!((status, &again["revision"], &again["changed"]), (200, &json!(1), &json!(false)));
    let (_, in_force) = mesh.ask("GET", "/v1/model", None).await;
    assert_eq!(in_force["files"][0]["text"], SHOP);
    assert_eq!(mesh.ask("GET", "/v1/events", None).await.1["events"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_model_of_another_mesh_is_refused() {
    let mesh = Mesh::shop().await;
    for (text, code) in [
        (SHOP.replace("trust_domain: shop.example", "trust_domain: other.example"), "trust-domain-changed"),
        (SHOP.replace("zones:\n", "mesh: { root_namespace: elsewhere }\nzones:\n"), "root-namespace-changed"),
    ] {
        let (status, problem) = mesh.put_model(&text).await;
        assert_eq!((status, problem["diagnostics"][0]["code"].as_str()), (422, Some(code)), "{problem}");
    }
    assert_eq!(mesh.plane().current().unwrap().revision, 1);
}

#[tokio::test]
async fn errors_are_problem_documents() {
    let mesh = Mesh::shop().await;
    for (method, path, body, status) in [
        ("GET", "/nope", "", 404),
        ("GET", "/v1/decisions/nope", "", 404),
        ("GET", "/v1/verify/nope", "", 404),
        ("GET", "/v1/verify", "", 404),
        ("DELETE", "/v1/model", "", 405),
        ("PUT", "/v1/model", "{", 400),
        ("PUT", "/v1/model", r#"{"files":[],"more":1}"#, 422),
        ("POST", "/v1/tokens", r#"{"node":"nobody"}"#, 422),
        ("POST", "/v1/tokens", r#"{"node":"customer"}"#, 422),
        ("POST", "/v1/tokens", r#"{"node":"orders","uses":0}"#, 422),
        ("POST", "/v1/tokens", r#"{"node":"orders","uses":10001}"#, 422),
        ("POST", "/v1/tokens", r#"{"node":"orders","ttl_s":2592001}"#, 422),
        ("GET", "/v1/decisions?limit=x", "", 400),
        ("GET", "/v1/decisions?nope=1", "", 400),
    ] {
        let (got, text) = mesh.ask_text(method, path, body.to_owned()).await;
        assert_eq!(got, status, "{method} {path} {body}: {text}");
        let problem: Value = serde_json::from_str(&text).unwrap();
        assert!(problem["detail"].as_str().is_some_and(|d| !d.is_empty()), "{problem}");
    }
    let large = "x".repeat(super::BODY_BYTES_MAX + 1);
    assert_eq!(mesh.ask_text("PUT", "/v1/model", large).await.0, 413);
}

#[tokio::test]
async fn only_the_owner_and_root_may_ask() {
    let mesh = Mesh::shop().await;
    let socket = config(&mesh.dir).socket;
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    for (uid, owner, status) in [(0, 1000, 200), (1000, 1000, 200), (1001, 1000, 403), (1000, 0, 403)] {
        let mut router = super::router(mesh.plane().clone());
        let mut request = http::Request::get("/v1/health").body(axum::body::Body::empty()).unwrap();
        request.extensions_mut().insert(Operator { uid, owner });
        let response = tonic::codegen::Service::call(&mut router, request).await.unwrap();
        assert_eq!(response.status(), status, "{uid} at {owner}'s");
    }
    // Without a peer there is no answer at all.
    let mut router = super::router(mesh.plane().clone());
    let request = http::Request::get("/v1/health").body(axum::body::Body::empty()).unwrap();
    assert_eq!(tonic::codegen::Service::call(&mut router, request).await.unwrap().status(), 403);
}

#[tokio::test]
async fn one_state_and_one_socket_have_one_control_plane() {
    let mesh = Mesh::shop().await;
    let second = crate::start(&config(&mesh.dir), mesh.clock.clone(), &mesh.tasks).await;
    assert!(matches!(second, Err(StartError::Locked(_))));
    let socket = config(&mesh.dir).socket;
    let text = Socket::bind(&socket).err().unwrap().to_string();
    assert!(text.contains("already serves"), "{text}");
    let file = mesh.dir.path().join("file");
    std::fs::write(&file, "mine").unwrap();
    assert!(Socket::bind(&file).err().unwrap().to_string().contains("not a socket"));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
    // A socket that nobody serves any more is replaced.
    let left = mesh.dir.path().join("left.sock");
    drop(std::os::unix::net::UnixListener::bind(&left).unwrap());
    Socket::bind(&left).unwrap();
    assert!(!left.exists(), "it goes with its owner");
}

#[tokio::test]
async fn a_restart_takes_everything_up_again() {
    let mesh = Mesh::shop().await;
    let root = mesh.ask("GET", "/v1/bundle", None).await.1;
    let orders = mesh.join("orders").await;
    let _report = orders.report("orders/0", "10.0.0.2:15008").await;
    let mesh = mesh.restart().await;
    assert_eq!(mesh.ask("GET", "/v1/bundle", None).await.1, root, "the same root");
    let (_, nodes) = mesh.ask("GET", "/v1/nodes", None).await;
    assert_eq!(nodes["revision"], 1);
    let endpoints = || mesh.plane().registry.endpoints();
    assert_eq!(endpoints()["orders"], ["10.0.0.2:15008"], "kept until it had time to come back");
    // Its old SVID is still good.
    let channel = mesh.connect(&orders.svid).await;
    let again = crate::testkit::Joined { svid: orders.svid, channel };
    let _report = again.report("orders/0", "10.0.0.2:15008").await;
    mesh.clock.advance(crate::registry::LOST_KEPT * 2);
    mesh.plane().sweep().await;
    assert_eq!(endpoints()["orders"], ["10.0.0.2:15008"]);
}

#[tokio::test]
async fn a_full_disk_is_said_and_the_mesh_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    std::fs::create_dir(&state).unwrap();
    let store = crate::store::SqliteStore::open(&state.join("ward.db")).await.unwrap();
    let store = std::sync::Arc::new(store);
    let tasks = daemon::Tasks::new();
    let clock = daemon::Clock::manual(crate::testkit::NOW_MS);
    let plane = crate::Plane::open(store.clone(), &state, clock, tasks).await.unwrap();
    plane.apply(files(SHOP), "test").await.unwrap();
    store.fill().await;
    let larger = format!("{SHOP}\n# {}", "x".repeat(500_000));
    let problem = match plane.apply(files(&larger), "test").await {
        Err(crate::plane::ApplyError::Store(error)) => super::Problem::from(error),
        other => panic!("{other:?}"),
    };
    assert_eq!((problem.status.as_u16(), problem.code), (507, "disk-full"));
    assert!(problem.detail.contains("the running configuration stays in force"), "{}", problem.detail);
    assert_eq!(plane.current().unwrap().revision, 1);
}

#[tokio::test]
async fn a_token_joins_one_node_once() {
    let mesh = Mesh::shop().await;
    let token = mesh.token("orders").await;
    let (answer, _) = mesh.try_join(&token).await.unwrap();
    assert_eq!(answer.spiffe_id, "spiffe://shop.example/ns/shop/sa/orders");
    let refused = |status: tonic::Status, why: &str| {
        assert_eq!(status.code(), Code::Unauthenticated);
        assert!(status.message().contains(why), "{}", status.message());
    };
    refused(mesh.try_join(&token).await.err().unwrap(), "used up");
    let token = mesh.token("orders").await;
    let mut altered = token.clone();
    altered.secret[0] ^= 1;
    refused(mesh.try_join(&altered).await.err().unwrap(), "not known here, or was altered");
    let mut other = token.clone();
    other.node = "payments".parse().unwrap();
    refused(mesh.try_join(&other).await.err().unwrap(), "not known here, or was altered");
    mesh.clock.advance(Duration::from_secs(3_600));
    refused(mesh.try_join(&token).await.err().unwrap(), "expired");
    // Refusals took no use and no SVID was given out.
    assert_eq!(mesh.plane().store.token(&token.id).await.unwrap().unwrap().uses_left, 1);
}

#[tokio::test]
async fn a_broken_request_takes_no_use() {
    let mesh = Mesh::shop().await;
    let token = mesh.token("orders").await;
    let mut client = IdentityClient::new(mesh.anonymous(&token).await);
    for csr in [Vec::new(), vec![0x30, 0x00], vec![7; 8 * 1024 + 1]] {
        let status = client.join(JoinRequest { token: token.to_string(), csr }).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    }
    let status = client.join(JoinRequest { token: "ward1.orders".into(), csr: Vec::new() }).await.unwrap_err();
    assert!(status.message().contains("5 parts"), "{status}");
    assert_eq!(mesh.plane().store.token(&token.id).await.unwrap().unwrap().uses_left, 1);
    mesh.try_join(&token).await.unwrap();
}

#[tokio::test]
async fn a_control_plane_of_another_root_is_not_believed() {
    let (mesh, other) = (Mesh::shop().await, Mesh::shop().await);
    let token = other.token("orders").await;
    // The joiner breaks off before it shows its token: the presented root is not the pinned one.
    let status = mesh.try_join(&token).await.err().unwrap();
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    assert_eq!(other.plane().store.token(&token.id).await.unwrap().unwrap().uses_left, 1);
}

#[tokio::test]
async fn signing_is_for_oneself_and_for_declared_listeners() {
    let mesh = Mesh::shop().await;
    let (_, csr) = identity::csr::new().unwrap();
    let ask = |kind: Kind, listen_port| SignRequest { csr: csr.clone(), kind: kind.into(), listen_port };
    let token = mesh.token("orders").await;
    let mut nobody = IdentityClient::new(mesh.anonymous(&token).await);
    assert_eq!(nobody.sign(ask(Kind::Svid, 0)).await.unwrap_err().code(), Code::Unauthenticated);

    let orders = mesh.join("orders").await;
    let mut client = IdentityClient::new(orders.channel.clone());
    let renewed = client.sign(ask(Kind::Svid, 0)).await.unwrap().into_inner();
    assert_eq!(renewed.spiffe_id, orders.svid.id.as_str());
    assert_eq!(client.sign(ask(Kind::Server, 8443)).await.unwrap_err().code(), Code::PermissionDenied);

    let gateway = mesh.join("gateway").await;
    let mut client = IdentityClient::new(gateway.channel.clone());
    client.sign(ask(Kind::Server, 8443)).await.unwrap();
    assert_eq!(client.sign(ask(Kind::Server, 443)).await.unwrap_err().code(), Code::PermissionDenied);

    // A node that left the model is not renewed, and its token no longer joins.
    let token = mesh.token("payments").await;
    let payments = mesh.join("payments").await;
    let without = SHOP
        .replace("  payments: { kind: service, zone: shop, run: { command: [./shop, payments] } }\n", "")
        .replace("  - { id: charge, from: orders, to: payments, carries: [order], via: { allow: [\"POST /charges\"], timeout: 5s } }\n", "");
    mesh.apply(&without).await;
    let mut client = IdentityClient::new(payments.channel.clone());
    assert_eq!(client.sign(ask(Kind::Svid, 0)).await.unwrap_err().code(), Code::PermissionDenied);
    assert_eq!(mesh.try_join(&token).await.err().unwrap().code(), Code::Unauthenticated);
    assert_eq!(payments.try_report("payments/0", "10.0.0.9:1").await.err().unwrap().code(), Code::PermissionDenied);
}

#[tokio::test]
async fn an_expired_certificate_does_not_come_in() {
    let mesh = Mesh::shop().await;
    let orders = mesh.join("orders").await;
    mesh.clock.advance(Duration::from_secs(25 * 3_600));
    // Our own SVID has expired as well by now; the refresher would have renewed it.
    mesh.plane().renew_own().unwrap();
    let channel = mesh.connect(&orders.svid).await;
    let late = crate::testkit::Joined { svid: orders.svid, channel };
    assert!(late.try_report("orders/0", "10.0.0.2:1").await.is_err());
}

#[tokio::test]
async fn nobody_reports_for_another_node() {
    let mesh = Mesh::shop().await;
    let orders = mesh.join("orders").await;
    for (instance, address, code) in [
        ("payments/0", "10.0.0.2:1", Code::PermissionDenied),
        ("orders", "10.0.0.2:1", Code::PermissionDenied),
        ("orders/0", "not an address", Code::InvalidArgument),
    ] {
        assert_eq!(orders.try_report(instance, address).await.err().unwrap().code(), code, "{instance} {address}");
    }
    assert!(mesh.plane().registry.endpoints().is_empty());
}

fn decision(id: &str, method: &str, allowed: bool) -> DecisionRecord {
    DecisionRecord {
        id: id.into(),
        time_ms: 5,
        revision: 1,
        principal: "spiffe://shop.example/ns/edge/sa/gateway".into(),
        method: method.into(),
        path: "/orders/7".into(),
        host: "orders:8080".into(),
        port: 8080,
        protocol: "http".into(),
        source_ip: "10.0.0.9".into(),
        allowed,
        reason: if allowed { "allowed" } else { "no-rule-matched" }.into(),
        ..DecisionRecord::default()
    }
}

#[tokio::test]
async fn what_proxies_report_is_counted_and_explained() {
    let mesh = Mesh::shop().await;
    let orders = mesh.join("orders").await;
    let mut report = orders.report("orders/0", "10.0.0.2:15008").await;
    let count = |source: &str, flow: &str, allowed, requests| FlowCount {
        source: if source.is_empty() { String::new() } else { format!("spiffe://shop.example/ns/{source}") },
        port: 8080,
        flow: flow.into(),
        allowed,
        requests,
        protocol: "http".into(),
        ..FlowCount::default()
    };
    let told = ReportRequest {
        counts: vec![
            count("edge/sa/gateway", "place", true, 12),
            count("edge/sa/gateway", "", false, 3),
            count("shop/sa/payments", "", false, 2),
            count("ward-system/sa/ward-probe", "", false, 9),
            FlowCount { source: "other".into(), requests: 1, port: 8080, ..FlowCount::default() },
        ],
        decisions: vec![decision("d1", "DELETE", false), decision("d2", "GET", true), decision("../../x", "GET", true)],
        ..ReportRequest::default()
    };
    report.send(told).await.unwrap();
    let (_, flows) = mesh.ask("GET", "/v1/flows", None).await;
    let place = flows["flows"].as_array().unwrap().iter().find(|f| f["flow"] == "place").unwrap();
    assert_eq!((&place["allowed"], &place["denied"], &place["rate"]), (&json!(12), &json!(3), &json!(0.25)));
    let undeclared = flows["undeclared"].as_array().unwrap();
    let edges: Vec<_> =
        undeclared.iter().map(|e| (e["subject"].as_str().unwrap(), e["denied"].as_u64().unwrap())).collect();
    assert_eq!(edges, [("anyone>orders", 1), ("payments>orders", 2)], "probes are nobody's attempts");

    let (_, denied) = mesh.ask("GET", "/v1/decisions?allowed=false", None).await;
    assert_eq!(denied["decisions"].as_array().unwrap().len(), 1);
    // Made again at its own revision, whatever is in force now.
    mesh.apply(&SHOP.replace("GET /orders/{*}", "DELETE /orders/{*}")).await;
    let (status, explained) = mesh.ask("GET", "/v1/decisions/d1", None).await;
    assert_eq!(
        (status, &explained["agrees"], &explained["explanation"]["allowed"]),
        (200, &json!(true), &json!(false))
    );
    let nearest = &explained["explanation"]["nearest"];
    assert_eq!(nearest["flow"], "place", "{explained}");
    let missed: Vec<&Value> = nearest["fields"].as_array().unwrap().iter().filter(|f| f["ok"] == false).collect();
    assert_eq!((missed.len(), &missed[0]["field"], &missed[0]["got"]), (1, &json!("methods"), &json!("DELETE")));
    let (_, explained) = mesh.ask("GET", "/v1/decisions/d2", None).await;
    assert_eq!((&explained["agrees"], &explained["explanation"]["rule"]["flow"]), (&json!(true), &json!("place")));
}

#[tokio::test]
async fn a_flow_is_enforced_when_its_target_holds_it() {
    let mesh = Mesh::shop().await;
    let state = |flows: &Value, flow: &str| {
        flows["flows"].as_array().unwrap().iter().find(|f| f["flow"] == flow).unwrap()["state"].clone()
    };
    assert_eq!(state(&mesh.ask("GET", "/v1/flows", None).await.1, "place"), "declared");
    let orders = mesh.join("orders").await;
    let _report = orders.report("orders/0", "10.0.0.2:15008").await;
    let mut stream = orders.discover("orders/0").await;
    assert_eq!(state(&mesh.ask("GET", "/v1/flows", None).await.1, "place"), "declared", "connected is not enforced");
    stream.take(crate::snapshot::Kind::ALL.len()).await;
    until(|| mesh.plane().registry.list().iter().any(|i| i.row.acked == 1)).await;
    let (_, flows) = mesh.ask("GET", "/v1/flows", None).await;
    assert_eq!((state(&flows, "place"), state(&flows, "charge")), (json!("enforced"), json!("declared")));
    let words = |flow: &str| {
        let flow = flows["flows"].as_array().unwrap().iter().find(|f| f["flow"] == flow).unwrap();
        let words = flow["words"].as_array().unwrap().iter();
        words.map(|w| format!("{} {}", w["word"].as_str().unwrap(), w["state"].as_str().unwrap())).collect::<Vec<_>>()
    };
    assert_eq!(words("place"), ["allow enforced", "audit: high enforced"]);
    assert_eq!(words("charge"), ["allow declared", "timeout declared"]);
}

#[tokio::test]
async fn an_envoy_is_told_what_a_sidecar_enforces() {
    let mesh = Mesh::shop().await;
    let (status, told) = mesh.ask("GET", "/v1/nodes/payments/envoy", None).await;
    assert_eq!(status, 200, "{told}");
    let rbac = &told["http_filters"][0]["typed_config"]["rules"];
    assert_eq!(rbac["action"], "ALLOW");
    let rules: Vec<&String> = rbac["policies"].as_object().unwrap().keys().collect();
    assert!(rules.iter().any(|name| name.contains("policy[flow-charge]")), "{rules:?}");
    assert_eq!(told["network_filters"].as_array().unwrap().len(), 1);
    assert_eq!(told["ports"][0]["mutual_tls"], "STRICT");
    for node in ["nobody", "customer"] {
        let (status, problem) = mesh.ask("GET", &format!("/v1/nodes/{node}/envoy"), None).await;
        assert_eq!((status, &problem["type"]), (404, &json!("urn:ward:problem:not-found")), "{node}");
    }
}

#[tokio::test]
async fn tokens_made_by_the_api_work_and_are_not_kept() {
    let mesh = Mesh::shop().await;
    let (status, made) =
        mesh.ask("POST", "/v1/tokens", Some(json!({ "node": "orders", "uses": 2, "ttl_s": 60 }))).await;
    assert_eq!(status, 200, "{made}");
    let token: JoinToken = made["token"].as_str().unwrap().parse().unwrap();
    for _ in 0..2 {
        let (answer, _) = mesh.try_join(&token).await.unwrap();
        assert!(SpiffeId::try_from(answer.spiffe_id).is_ok());
    }
    assert!(mesh.try_join(&token).await.is_err());
    let kept = mesh.plane().store.token(&token.id).await.unwrap().unwrap();
    assert_eq!(kept.secret_sha256, token.secret_sha256());
    let state = std::fs::read(mesh.dir.path().join("state/ward.db-wal")).unwrap();
    assert!(!state.windows(32).any(|w| w == token.secret), "the secret is nowhere in the store");
}

#[tokio::test]
async fn refusals_before_any_policy_are_explained_by_their_code_and_counted() {
    let mesh = Mesh::shop().await;
    let orders = mesh.join("orders").await;
    let mut report = orders.report("orders/0", "10.0.0.2:15008").await;
    let expired = DecisionRecord {
        reason: "jwt-expired".into(),
        status: 401,
        token_issuer: "https://login.example".into(),
        ..decision("t1", "GET", false)
    };
    let with_claims = DecisionRecord {
        claims: r#"{"iss":"https://login.example","sub":"ada"}"#.into(),
        remote_ip: "192.0.2.7".into(),
        ..decision("t2", "DELETE", false)
    };
    let of_a_lost_revision = DecisionRecord { revision: 99, ..decision("t3", "DELETE", false) };
    let decisions = vec![expired, with_claims, of_a_lost_revision];
    report.send(ReportRequest { decisions, ..ReportRequest::default() }).await.unwrap();

    let (status, told) = mesh.ask("GET", "/v1/decisions/t1", None).await;
    assert_eq!((status, &told["explanation"], &told["agrees"]), (200, &Value::Null, &Value::Null));
    assert_eq!(told["meaning"], "the token has expired");
    let text = told["text"].as_str().unwrap();
    assert!(text.contains("answered 401") && text.contains("https://login.example"), "{text}");

    let (_, told) = mesh.ask("GET", "/v1/decisions/t2", None).await;
    let request = &told["explanation"]["request"];
    assert_eq!((&request["token"], &request["remote_ip"]), (&json!("https://login.example/ada"), &json!("192.0.2.7")));

    let (status, told) = mesh.ask("GET", "/v1/decisions/t3", None).await;
    assert_eq!((status, &told["explanation"], &told["in_force"]), (200, &Value::Null, &json!(1)));
    assert!(told["unexplained"].as_str().unwrap().contains("revision 99 is gone"), "{told}");

    let (_, counted) = mesh.ask("GET", "/v1/decisions/summary?allowed=false", None).await;
    let counts = counted["counts"].as_array().unwrap().iter();
    let counts: Vec<_> = counts.map(|c| (c["reason"].as_str().unwrap(), c["count"].as_u64().unwrap())).collect();
    assert_eq!(counts, [("no-rule-matched", 2), ("jwt-expired", 1)]);
    let (_, listed) = mesh.ask("GET", "/v1/decisions?reason=jwt-expired", None).await;
    assert_eq!(listed["decisions"].as_array().unwrap().len(), 1);
    assert_eq!(mesh.ask("GET", "/v1/decisions/summary?nope=1", None).await.0, 400);
}
