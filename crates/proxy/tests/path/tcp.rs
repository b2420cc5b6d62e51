//! TCP through HBONE.
use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::Empty;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    app,
    mesh::{Mesh, Node, PATIENCE, allow, counted, raw, read_until, service, status, upstream},
};

fn pair(mesh: &Mesh, app: SocketAddr, from: &str) -> (Node, Node) {
    let db = mesh.sidecar(
        "db",
        "",
        vec![service(5432, "postgres", app)],
        Vec::new(),
        vec![allow("db", "save", from, "medium", &serde_json::json!({ "ports": ["5432"] }))],
    );
    let upstreams = vec![upstream("db", 5432, "postgres", &[db.inbound()])];
    let web = mesh.sidecar("web", "", Vec::new(), upstreams, Vec::new());
    (web, db)
}

/// Greets first, then echoes in upper case until the caller is done, and says goodbye after that.
async fn greeter() -> SocketAddr {
    app::script(|mut stream| async move {
        app::say(&mut stream, "hello\n").await;
        let mut all = String::new();
        let _ = stream.read_to_string(&mut all).await;
        app::say(&mut stream, &format!("{} goodbye", all.to_uppercase())).await;
    })
    .await
}

#[tokio::test]
async fn the_server_may_speak_first_and_each_direction_ends_alone() {
    let mesh = Mesh::new();
    let (web, db) = pair(&mesh, greeter().await, "web");
    let mut stream = TcpStream::connect(web.outbound("db:5432")).await.unwrap();
    assert_eq!(read_until(&mut stream, "\n").await, "hello\n");
    stream.write_all(b"last words").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut rest = String::new();
    tokio::time::timeout(PATIENCE, stream.read_to_string(&mut rest)).await.unwrap().unwrap();
    assert_eq!(rest, "LAST WORDS goodbye");
    let counts = counted(&db.proxy, |sums| sums.iter().any(|c| c.allowed && c.bytes_out >= 24)).await;
    let count = counts.into_iter().find(|c| c.allowed).unwrap();
    assert_eq!((count.flow.as_str(), count.protocol.as_str(), count.requests), ("save", "tcp", 1));
    assert_eq!((count.bytes_in, count.bytes_out), (10, 24));
}

#[tokio::test]
async fn a_peer_without_the_right_is_closed_and_recorded() {
    let mesh = Mesh::new();
    let (web, mut db) = pair(&mesh, greeter().await, "other");
    assert_eq!(raw(web.outbound("db:5432"), "").await, "");
    let record = db.decision().await;
    assert_eq!((record.protocol.as_str(), record.allowed, record.port), ("tcp", false, 5432));
}

#[tokio::test]
async fn a_probe_of_a_tcp_service_passes_without_the_application() {
    let mesh = Mesh::new();
    // Nobody listens there: only the proxy can answer.
    let nobody = "127.0.0.1:1".parse().unwrap();
    let (_web, db) = pair(&mesh, nobody, "web");
    let now = db.proxy.clock().unix_ms();
    db.proxy.nonces().announce([("ab12".to_owned(), now + 60_000)], now);
    for (node, nonce, authority, want) in [
        ("web", "ab12", "db.shop:5432", 200),
        ("web", "dead", "db.shop:5432", 503),
        ("other", "ab12", "db.shop:5432", 403),
        ("web", "ab12", "db.shop:5433", 421),
    ] {
        let tcp = TcpStream::connect(db.inbound()).await.unwrap();
        let connector = tokio_rustls::TlsConnector::from(mesh.client(node, "db", "h2"));
        let tls = connector.connect("5432.db.shop.test.example".try_into().unwrap(), tcp).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(tls)).await.unwrap();
        tokio::spawn(connection);
        let request =
            http::Request::connect(authority).header("ward-probe", nonce).body(Empty::<Bytes>::new()).unwrap();
        let response = tokio::time::timeout(PATIENCE, sender.send_request(request)).await.unwrap().unwrap();
        assert_eq!(response.status(), want, "{node} {nonce} {authority}");
        assert_eq!(response.headers().contains_key("ward-probe-result"), want == 200);
    }
}

#[tokio::test]
async fn connect_on_the_http_proxy_port() {
    let mesh = Mesh::new();
    let (web, _db) = pair(&mesh, greeter().await, "web");
    let proxy = web.address(&proxy::Kind::HttpProxy);
    let mut stream = TcpStream::connect(proxy).await.unwrap();
    stream.write_all(b"CONNECT db:5432 HTTP/1.1\r\nHost: db:5432\r\n\r\n").await.unwrap();
    let answer = read_until(&mut stream, "hello\n").await;
    assert_eq!(status(&answer), 200, "{answer}");
    let answer = raw(proxy, "CONNECT elsewhere:1 HTTP/1.1\r\nHost: elsewhere:1\r\n\r\n").await;
    assert_eq!(status(&answer), 404, "{answer}");
}

#[tokio::test]
async fn large_transfers_pass_both_ways_at_once() {
    const SIZE: usize = 8 * 1024 * 1024;
    let app = app::script(|stream| async move {
        let (mut read, mut write) = stream.into_split();
        let _ = tokio::io::copy(&mut read, &mut write).await;
    })
    .await;
    let mesh = Mesh::new();
    let (web, _db) = pair(&mesh, app, "web");
    let stream = TcpStream::connect(web.outbound("db:5432")).await.unwrap();
    let (mut read, mut write) = stream.into_split();
    let send = tokio::spawn(async move {
        for i in 0..SIZE / 65_536 {
            write.write_all(&[i as u8; 65_536]).await.unwrap();
        }
        write.shutdown().await.unwrap();
    });
    let mut back = Vec::new();
    tokio::time::timeout(PATIENCE, read.read_to_end(&mut back)).await.unwrap().unwrap();
    send.await.unwrap();
    assert_eq!(back.len(), SIZE);
}

#[tokio::test]
async fn a_tunnel_is_cut_when_its_flow_goes() {
    let mesh = Mesh::new();
    let (mut web, mut db) = pair(&mesh, greeter().await, "web");
    let mut stream = TcpStream::connect(web.outbound("db:5432")).await.unwrap();
    read_until(&mut stream, "\n").await;
    db.apply(|r| r.policies[0] = allow("db", "save", "other", "medium", &serde_json::json!({ "ports": ["5432"] })))
        .unwrap();
    assert_eq!(read_until(&mut stream, "never").await, "");
    // And from the other side: the upstream vanishes.
    db.apply(|r| r.policies[0] = allow("db", "save", "web", "medium", &serde_json::json!({ "ports": ["5432"] })))
        .unwrap();
    let mut stream = TcpStream::connect(web.outbound("db:5432")).await.unwrap();
    read_until(&mut stream, "\n").await;
    web.apply(|r| r.upstreams.clear()).unwrap();
    assert_eq!(read_until(&mut stream, "never").await, "");
}
