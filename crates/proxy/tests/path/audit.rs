//! Strict and critical flows: no record, no request. What is recorded, in full, and what a spool that fails does to whom.
use std::{
    fs,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use proxy::audit_spool::{Batch, Reader};
use tokio::{io::AsyncReadExt, net::TcpStream};
use wire::v1::{DecisionRecord, Outcome};

use crate::{
    app,
    mesh::{Mesh, Node, PATIENCE, allow, body, raw, service, status, upstream},
};

const PLAIN: &str = "GET /plain HTTP/1.1\r\nHost: orders\r\nConnection: close\r\n\r\n";
const CHARGE: &str = "POST /charges HTTP/1.1\r\nHost: orders\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi";

struct Shop {
    web: Node,
    orders: Node,
    folder: tempfile::TempDir,
}

/// `web` may charge, which is critical, and get `/plain`, of which every decision is recorded, but not on disk.
fn shop(app: SocketAddr, more: &str) -> Shop {
    let folder = tempfile::tempdir().unwrap();
    let (web, orders) = pair(&Mesh::new(), app, "http", &settings(folder.path(), more));
    Shop { web, orders, folder }
}

fn settings(folder: &Path, more: &str) -> String {
    format!("audit_dir: {}/audit\n{more}", folder.display())
}

fn pair(mesh: &Mesh, app: SocketAddr, protocol: &str, settings: &str) -> (Node, Node) {
    let charges = serde_json::json!({ "methods": ["POST"], "paths": ["/charges"] });
    let plain = serde_json::json!({ "methods": ["GET"], "paths": ["/plain"] });
    let orders = mesh.sidecar(
        "orders",
        settings,
        vec![service(8080, protocol, app)],
        Vec::new(),
        vec![allow("orders", "charge", "web", "critical", &charges), allow("orders", "read", "web", "high", &plain)],
    );
    let upstreams = vec![upstream("orders", 8080, protocol, &[orders.inbound()])];
    (mesh.sidecar("web", "", Vec::new(), upstreams, Vec::new()), orders)
}

impl Shop {
    async fn send(&self, request: &str) -> String {
        raw(self.web.outbound("orders:8080"), request).await
    }
}

/// The next records of the spool, at least so many.
async fn spooled(node: &Node, count: usize) -> (Vec<DecisionRecord>, Vec<Outcome>) {
    let audit = node.proxy.audit().unwrap();
    let mut reader: Reader = audit.reader();
    let (mut decisions, mut outcomes) = (Vec::new(), Vec::new());
    let reading = async {
        while decisions.len() + outcomes.len() < count {
            tokio::task::yield_now().await;
            let Batch { decisions: d, outcomes: o, damaged, .. } = reader.read().unwrap();
            assert_eq!(damaged, 0);
            decisions.extend(d);
            outcomes.extend(o);
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.unwrap();
    (decisions, outcomes)
}

/// The one decision in the spool, and what became of it. Of requests refused before there may be outcomes too.
async fn ended(node: &Node) -> (DecisionRecord, Outcome) {
    let mut count = 2;
    loop {
        let (mut decisions, outcomes) = spooled(node, count).await;
        assert_eq!(decisions.len(), 1, "{decisions:?}");
        if let Some(outcome) = outcomes.iter().find(|outcome| outcome.decision == decisions[0].id) {
            return (decisions.remove(0), outcome.clone());
        }
        count += 1;
    }
}

#[tokio::test]
async fn the_record_is_on_disk_before_the_application_sees_the_request() {
    // The application looks into the spool as soon as it is asked.
    let folder = tempfile::tempdir().unwrap();
    let seen = folder.path().join("audit");
    let app = app::script(move |mut stream| {
        let directory = seen.clone();
        async move {
            let Some(_) = app::head(&mut stream).await else { return };
            let bytes: Vec<u8> =
                fs::read_dir(&directory).unwrap().flat_map(|file| fs::read(file.unwrap().path()).unwrap()).collect();
            let found = bytes.windows(8).any(|window| window == b"/charges");
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n{found:<5}");
            app::say(&mut stream, &answer).await;
        }
    })
    .await;
    let (web, _orders) = pair(&Mesh::new(), app, "http", &settings(folder.path(), ""));
    let request = "POST /charges HTTP/1.1\r\nHost: orders\r\nConnection: close\r\n\r\n";
    let answer = raw(web.outbound("orders:8080"), request).await;
    assert_eq!((status(&answer), body(&answer)), (200, "true "), "{answer}");
}

#[tokio::test]
async fn a_critical_decision_is_recorded_in_full_with_what_became_of_it() {
    let shop = shop(app::echo().await, "");
    let request = CHARGE.replace(
        "Host: orders\r\n",
        "Host: orders\r\nAuthorization: Bearer hunter2\r\nCookie: s=hunter2\r\nX-Api-Key: hunter2\r\nX-Shop: blue\r\n",
    );
    assert_eq!(status(&shop.send(&request).await), 200);
    let (decisions, outcomes) = spooled(&shop.orders, 2).await;
    let record = &decisions[0];
    assert_eq!((record.allowed, record.flow.as_str(), record.path.as_str()), (true, "charge", "/charges"));
    assert_eq!(record.audit, "critical");
    let value = |name: &str| record.context.iter().find(|h| h.name == name).map(|h| h.value.as_str());
    assert_eq!((value("x-shop"), value("content-length")), (Some("blue"), Some("2")));
    assert!(!format!("{record:?}").contains("hunter2"), "{record:?}");
    let outcome = &outcomes[0];
    assert_eq!((outcome.decision.as_str(), outcome.status, outcome.bytes_in), (record.id.as_str(), 200, 2));
    assert!(outcome.bytes_out > 0 && outcome.duration_us > 0, "{outcome:?}");
}

#[tokio::test]
async fn denials_beside_a_critical_flow_are_on_disk_and_others_are_not() {
    let mut shop = shop(app::echo().await, "");
    let answer =
        shop.send("DELETE /charges HTTP/1.1\r\nHost: orders\r\nConnection: close\r\nX-Shop: blue\r\n\r\n").await;
    assert_eq!(status(&answer), 403);
    let (decisions, _) = spooled(&shop.orders, 1).await;
    assert!(answer.contains(&decisions[0].id) && !decisions[0].allowed && decisions[0].audit.is_empty(), "{answer}");
    assert!(decisions[0].context.iter().any(|h| h.name == "x-shop"));
    // Level high: by the queue in memory, and no more than policies read.
    assert_eq!(status(&shop.send(PLAIN).await), 200);
    let record = shop.orders.decision().await;
    assert_eq!((record.flow.as_str(), record.context.len()), ("read", 0));
    assert_eq!(shop.orders.proxy.audit().unwrap().status().records, 1);
}

/// An application that counts who comes.
async fn counting() -> (SocketAddr, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    let app = app::script(move |mut stream| {
        counted.fetch_add(1, Ordering::SeqCst);
        async move {
            let Some(_) = app::head(&mut stream).await else { return };
            app::say(&mut stream, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok").await;
        }
    })
    .await;
    (app, count)
}

#[tokio::test]
async fn without_a_place_for_records_critical_requests_are_refused_and_others_go_on() {
    let (app, came) = counting().await;
    let folder = tempfile::tempdir().unwrap();
    // A file where the directory should be: every commit fails, until it is gone.
    fs::write(folder.path().join("audit"), "").unwrap();
    let (web, orders) = pair(&Mesh::new(), app, "http", &settings(folder.path(), ""));
    let shop = Shop { web, orders, folder };
    for _ in 0..3 {
        let answer = shop.send(CHARGE).await;
        assert_eq!(status(&answer), 503, "{answer}");
        assert!(answer.contains("\"decision\":\""), "{answer}");
    }
    assert_eq!(came.load(Ordering::SeqCst), 0, "nothing is forwarded");
    let answer = shop.send(PLAIN).await;
    assert_eq!(status(&answer), 200, "{answer}");
    assert_eq!(came.load(Ordering::SeqCst), 1);
    assert_eq!(shop.orders.proxy.audit().unwrap().status().refused, 3);
    let metrics = proxy::admin::metrics(&shop.orders.proxy);
    assert!(metrics.contains("\nward_audit_spool_refused_total 3\n"), "{metrics}");
    fs::remove_file(shop.folder.path().join("audit")).unwrap();
    assert_eq!(status(&shop.send(CHARGE).await), 200, "with a place for its record it passes");
}

#[tokio::test]
async fn a_spool_at_its_bound_refuses_until_somebody_takes_the_records() {
    let shop = shop(app::echo().await, "limits: { audit_spool_bytes_max: 1048576 }\n");
    let long = CHARGE.replace("Host: orders\r\n", &format!("Host: orders\r\nX-Long: {}\r\n", "x".repeat(20_000)));
    let mut passed = 0;
    while status(&shop.send(&long).await) == 200 {
        passed += 1;
        assert!(passed < 100, "it has no bound");
    }
    assert_eq!(status(&shop.send(PLAIN).await), 200);
    let audit = shop.orders.proxy.audit().unwrap();
    assert!(audit.status().bytes <= 1_048_576);
    audit.acknowledge(u64::MAX);
    assert_eq!(status(&shop.send(&long).await), 200);
}

#[tokio::test]
async fn http2_waits_as_well() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("audit"), "").unwrap();
    let (web, orders) = pair(&Mesh::new(), app::echo_http2().await, "grpc", &settings(folder.path(), ""));
    let tcp = TcpStream::connect(web.outbound("orders:8080")).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(tcp)).await.unwrap();
    tokio::spawn(connection);
    let mut ask = async |path: &str, method: &str| {
        let request = Request::builder().method(method).uri(format!("http://orders{path}")).header("x-shop", "blue");
        let request = request.body(Full::new(Bytes::from_static(b"hi"))).unwrap();
        let response = tokio::time::timeout(PATIENCE, sender.send_request(request)).await.unwrap().unwrap();
        let status = response.status().as_u16();
        response.into_body().collect().await.unwrap();
        status
    };
    assert_eq!((ask("/charges", "POST").await, ask("/plain", "GET").await), (503, 200));
    fs::remove_file(folder.path().join("audit")).unwrap();
    assert_eq!(ask("/charges", "POST").await, 200);
    let (decision, outcome) = ended(&orders).await;
    assert!(decision.context.iter().any(|h| h.name == "x-shop" && h.value == "blue"), "{decision:?}");
    assert_eq!(outcome.status, 200);
}

#[tokio::test]
async fn tcp_connections_wait_as_well() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("audit"), "").unwrap();
    let mesh = Mesh::new();
    let (came, app) = {
        let came = Arc::new(AtomicUsize::new(0));
        let counted = came.clone();
        let app = app::script(move |mut stream| {
            counted.fetch_add(1, Ordering::SeqCst);
            async move { app::say(&mut stream, "hello").await }
        });
        (came, app.await)
    };
    let db = mesh.sidecar(
        "db",
        &settings(folder.path(), ""),
        vec![service(5432, "postgres", app)],
        Vec::new(),
        vec![allow("db", "save", "web", "strict", &serde_json::json!({ "ports": ["5432"] }))],
    );
    let web = mesh.sidecar("web", "", Vec::new(), vec![upstream("db", 5432, "postgres", &[db.inbound()])], Vec::new());
    let talk = async || {
        let mut stream = TcpStream::connect(web.outbound("db:5432")).await.unwrap();
        let mut text = String::new();
        let _ = tokio::time::timeout(PATIENCE, stream.read_to_string(&mut text)).await.unwrap();
        text
    };
    assert_eq!((talk().await.as_str(), came.load(Ordering::SeqCst)), ("", 0));
    fs::remove_file(folder.path().join("audit")).unwrap();
    assert_eq!(talk().await, "hello");
    let (decision, outcome) = ended(&db).await;
    assert_eq!((decision.protocol.as_str(), decision.flow.as_str()), ("tcp", "save"));
    assert_eq!(outcome.bytes_out, 5);
}

#[tokio::test]
async fn many_at_once_share_their_commits_and_each_has_its_record() {
    let shop = shop(app::echo().await, "");
    let answers = (0..64).map(|_| shop.send(CHARGE));
    let answers = futures_util::future::join_all(answers).await;
    assert!(answers.iter().all(|answer| status(answer) == 200));
    let (decisions, outcomes) = spooled(&shop.orders, 128).await;
    let ids: std::collections::BTreeSet<_> = decisions.iter().map(|record| &record.id).collect();
    assert_eq!((ids.len(), outcomes.len()), (64, 64));
}

#[tokio::test]
async fn a_critical_flow_without_a_place_is_no_configuration() {
    let mesh = Mesh::new();
    let policy = allow("orders", "charge", "web", "strict", &serde_json::json!({ "paths": ["/charges"] }));
    let resources = proxy::snapshot::Resources {
        workload: crate::mesh::workload("orders"),
        policies: vec![policy],
        ..proxy::snapshot::Resources::default()
    };
    let errors = mesh.node_with(mesh.identity("orders"), "inbound: 127.0.0.1:0\n", resources).err().unwrap();
    let text: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(text, ["policies: a flow is `strict` or `critical`, and its records have no place: set `audit_dir`"]);
}
