//! HTTP/2 and gRPC through two sidecars.
use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use crate::{
    app,
    mesh::{Mesh, Node, PATIENCE, allow, service, upstream},
};

/// GETs `uri` over an open transport; status and body.
pub async fn get<T>(transport: T, uri: &str) -> (u16, String)
where
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let exchange = async {
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(transport)).await.unwrap();
        tokio::spawn(connection);
        let request = Request::get(uri).body(Full::new(Bytes::new())).unwrap();
        let response = sender.send_request(request).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    };
    tokio::time::timeout(PATIENCE, exchange).await.unwrap()
}

async fn pair(mesh: &Mesh, protocol: &str) -> (Node, Node) {
    let app = if protocol == "grpc" { app::echo_http2().await } else { app::echo().await };
    let any = serde_json::json!({ "notPaths": ["/admin*"] });
    let orders = mesh.sidecar(
        "orders",
        "",
        vec![service(8080, protocol, app)],
        Vec::new(),
        vec![allow("orders", "place", "web", "medium", &any)],
    );
    let upstreams = vec![upstream("orders", 8080, protocol, &[orders.inbound()])];
    let web = mesh.sidecar("web", "", Vec::new(), upstreams, Vec::new());
    (web, orders)
}

#[tokio::test]
async fn grpc_keeps_trailers_both_ways() {
    let mesh = Mesh::new();
    let (web, _orders) = pair(&mesh, "grpc").await;
    let tcp = TcpStream::connect(web.outbound("orders:8080")).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(tcp)).await.unwrap();
    tokio::spawn(connection);
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().unwrap());
    trailers.insert("x-ward-forged", "1".parse().unwrap());
    let frames = [Ok::<_, std::io::Error>(Frame::data(Bytes::from("message"))), Ok(Frame::trailers(trailers))];
    let request = Request::post("http://orders/pkg.Svc/Method")
        .header("te", "trailers")
        .header("content-type", "application/grpc")
        .body(StreamBody::new(futures_util::stream::iter(frames)))
        .unwrap();
    let response = tokio::time::timeout(PATIENCE, sender.send_request(request)).await.unwrap().unwrap();
    assert_eq!(response.status(), 200);
    let body = response.into_body().collect().await.unwrap();
    let trailers = body.trailers().unwrap().clone();
    assert_eq!(trailers["grpc-status"], "0");
    assert!(!trailers.contains_key("x-ward-forged"));
    let seen = String::from_utf8(body.to_bytes().to_vec()).unwrap();
    assert!(seen.contains("te: trailers\n") && seen.ends_with("message"), "{seen}");
    assert!(seen.contains("x-forwarded-client-cert: By=spiffe://test.example/ns/shop/sa/orders;"), "{seen}");
}

#[tokio::test]
async fn http2_reaches_an_application_that_speaks_http1() {
    let mesh = Mesh::new();
    let (web, mut orders) = pair(&mesh, "http").await;
    for _ in 0..3 {
        let tcp = TcpStream::connect(web.outbound("orders:8080")).await.unwrap();
        let (status, seen) = get(tcp, "http://orders/a/../x?q=1").await;
        assert_eq!(status, 200);
        assert!(seen.starts_with("GET /x?q=1\n") && seen.contains("host: orders\n"), "{seen}");
    }
    let tcp = TcpStream::connect(web.outbound("orders:8080")).await.unwrap();
    let (status, problem) = get(tcp, "http://orders/admin").await;
    assert_eq!(status, 403);
    assert!(problem.contains(&orders.decision().await.id), "{problem}");
}

#[tokio::test]
async fn split_cookies_are_one_again_in_http1() {
    let mesh = Mesh::new();
    let (web, _orders) = pair(&mesh, "http").await;
    let tcp = TcpStream::connect(web.outbound("orders:8080")).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(tcp)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get("http://orders/").header("cookie", "a=1").header("cookie", "b=2");
    let request = request.body(Full::new(Bytes::new())).unwrap();
    let response = tokio::time::timeout(PATIENCE, sender.send_request(request)).await.unwrap().unwrap();
    let seen = response.into_body().collect().await.unwrap().to_bytes();
    assert!(String::from_utf8_lossy(&seen).contains("cookie: a=1; b=2\n"), "{seen:?}");
}

#[tokio::test]
async fn http1_to_a_grpc_service_is_refused() {
    let mesh = Mesh::new();
    let (web, _orders) = pair(&mesh, "grpc").await;
    let answer =
        crate::mesh::raw(web.outbound("orders:8080"), "GET / HTTP/1.1\r\nHost: orders\r\nConnection: close\r\n\r\n")
            .await;
    assert_eq!(crate::mesh::status(&answer), 502, "{answer}");
}

#[tokio::test]
async fn many_streams_share_a_connection() {
    let mesh = Mesh::new();
    let (web, _orders) = pair(&mesh, "grpc").await;
    let tcp = TcpStream::connect(web.outbound("orders:8080")).await.unwrap();
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(tcp)).await.unwrap();
    tokio::spawn(connection);
    let requests = (0..300).map(|i| {
        let mut sender = sender.clone();
        async move {
            let request = Request::get(format!("http://orders/n{i}")).body(Full::new(Bytes::new())).unwrap();
            let response = sender.send_request(request).await.unwrap();
            assert_eq!(response.status(), 200);
            let body = response.into_body().collect().await.unwrap().to_bytes();
            assert!(String::from_utf8_lossy(&body).contains(&format!("/n{i}\n")));
        }
    });
    tokio::time::timeout(PATIENCE, futures_util::future::join_all(requests)).await.unwrap();
}

#[tokio::test]
async fn a_query_is_ascii_over_http2_as_over_http1() {
    let mesh = Mesh::new();
    let (web, _orders) = pair(&mesh, "http").await;
    for (uri, status) in [("http://orders/a?b=c", 200), ("http://orders/a?b=\u{e9}", 400)] {
        let tcp = TcpStream::connect(web.outbound("orders:8080")).await.unwrap();
        assert_eq!(get(tcp, uri).await.0, status, "{uri}");
    }
}
