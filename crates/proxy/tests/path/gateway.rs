//! Gateways: server TLS, hosts, routes, and what is believed from outside.
use std::net::SocketAddr;

use proxy::{Kind, snapshot::Resources};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wire::v1::resources::{Listener, Route, Workload};

use crate::{
    app,
    mesh::{Mesh, Node, PATIENCE, allow, body, counted_requests, raw, service, status, upstream, workload},
};

pub struct Gateway {
    pub address: SocketAddr,
    pub node: Node,
    pub orders: Node,
}

fn route(methods: &[&str], path: &str, strip: &str) -> Route {
    Route {
        methods: methods.iter().map(ToString::to_string).collect(),
        path: path.to_owned(),
        upstream: "orders:8080".to_owned(),
        strip_prefix: strip.to_owned(),
        flow: "place".to_owned(),
    }
}

fn gateway(mesh: &Mesh, app: SocketAddr, tls: &str) -> Gateway {
    let any = serde_json::json!({ "ports": ["8080"] });
    let orders = mesh.sidecar(
        "orders",
        "",
        vec![service(8080, "http", app)],
        Vec::new(),
        vec![allow("orders", "place", "edge", "medium", &any)],
    );
    let routes = vec![
        route(&["GET"], "/orders/{*}", ""),
        route(&["GET", "POST"], "/shop/{**}", "/shop"),
        route(&["POST", "PUT"], "/", ""),
        route(&[], "/forbidden", ""),
    ];
    let listener = Listener {
        port: 8443,
        hosts: vec!["shop.example".to_owned(), "*.shop.example".to_owned(), "a".to_owned(), "b".to_owned()],
        tls: tls.to_owned(),
        routes,
        ..Listener::default()
    };
    let policy = allow("edge", "checkout", "", "medium", &serde_json::json!({ "notPaths": ["/forbidden"] }));
    let resources = Resources {
        workload: Workload { listeners: vec![listener], ..workload("edge") },
        upstreams: vec![wire::v1::resources::Upstream {
            local_port: 0,
            ..upstream("orders", 8080, "http", &[orders.inbound()])
        }],
        policies: vec![policy],
        ..Resources::default()
    };
    let mut identity = mesh.identity("edge");
    identity.server_certificates.insert(8443, mesh.server_certificate(&["shop.example"]));
    let node = mesh.node_with(identity, "", resources).unwrap_or_else(|e| panic!("{e:?}"));
    Gateway { address: node.address(&Kind::Gateway(8443)), node, orders }
}

pub fn plain_gateway(mesh: &Mesh, app: SocketAddr) -> Gateway {
    gateway(mesh, app, "none")
}

fn get(path: &str, host: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
}

#[tokio::test]
async fn routes_by_host_method_and_path() {
    let gateway = plain_gateway(&Mesh::new(), app::echo().await);
    for (method, path, host, want) in [
        ("GET", "/orders/7", "shop.example", 200),
        ("GET", "/orders/7", "SHOP.example:8443", 200),
        ("GET", "/orders/7", "eu.shop.example", 200),
        ("GET", "/orders/7", "evilshop.example", 421),
        ("GET", "/orders/7", "other.example", 421),
        ("GET", "/orders/7/8", "shop.example", 404),
        ("GET", "/orders/", "shop.example", 404),
        ("DELETE", "/orders/7", "shop.example", 404),
        ("GET", "/forbidden", "shop.example", 403),
        ("GET", "/orders/../forbidden", "shop.example", 403),
    ] {
        let request = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let answer = raw(gateway.address, request).await;
        assert_eq!(status(&answer), want, "{method} {path} {host}: {answer}");
    }
    let answer = raw(gateway.address, get("/shop/cart?x=1", "shop.example")).await;
    assert!(body(&answer).contains("GET /cart?x=1\n"), "{answer}");
    assert_eq!(status(&raw(gateway.address, get("/shopping", "shop.example")).await), 404);
}

#[tokio::test]
async fn nothing_from_outside_is_believed() {
    let gateway = plain_gateway(&Mesh::new(), app::echo().await);
    let answer = raw(
        gateway.address,
        "GET /orders/7 HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\nX-Forwarded-For: 1.2.3.4\r\n\
         X-Forwarded-Proto: gopher\r\nForwarded: for=1.2.3.4\r\nX-Real-IP: 1.2.3.4\r\nX-Forwarded-Client-Cert: URI=evil\r\n\
         X-Envoy-Original-Path: /x\r\nX-Ward-Principal: evil\r\nWard-Probe: 1\r\nX-Request-Id: bad id\r\n\
         Traceparent: nonsense\r\nX-Original-URL: /admin\r\nVia: 1.0 mine\r\n\r\n",
    )
    .await;
    assert_eq!(status(&answer), 200, "{answer}");
    let seen = body(&answer).to_ascii_lowercase();
    for gone in ["1.2.3.4", "gopher", "evil", "x-envoy", "x-ward", "ward-probe", "bad id", "nonsense", "x-original-url"]
    {
        assert!(!seen.contains(gone), "{gone} in {seen}");
    }
    for set in [
        "x-forwarded-for: 127.0.0.1\n",
        "x-forwarded-proto: http\n",
        "x-forwarded-host: shop.example\n",
        "forwarded: for=127.0.0.1;host=\"shop.example\";proto=http\n",
        "via: 1.0 mine\n",
        "via: 1.1 ward\n",
        "x-request-id: ",
        "traceparent: 00-",
        "uri=spiffe://test.example/ns/shop/sa/edge\n",
    ] {
        assert!(seen.contains(set), "{set} not in {seen}");
    }
    assert!(!answer.to_ascii_lowercase().contains("server: echo"), "{answer}");
}

#[tokio::test]
async fn an_announced_probe_is_answered_at_the_gateway_after_policy_and_routing() {
    let gateway = plain_gateway(&Mesh::new(), app::echo().await);
    let probe = |path: &str| {
        let head =
            format!("GET {path} HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\nWard-Probe: 00ff\r\n\r\n");
        raw(gateway.address, head)
    };
    // A caller's guess is a request like any other, and goes on without the header.
    let answer = probe("/orders/7").await;
    assert!(status(&answer) == 200 && !body(&answer).to_ascii_lowercase().contains("ward-probe"), "{answer}");
    let proxy = &gateway.node.proxy;
    let now = proxy.clock().unix_ms();
    proxy.nonces().announce([("00ff".to_owned(), now + 60_000)], now);
    let answer = probe("/orders/7").await;
    assert!(status(&answer) == 204 && answer.contains("ward-probe-result: passed"), "{answer}");
    for (path, want) in [("/forbidden", 403), ("/orders/7/8", 404)] {
        assert_eq!(status(&probe(path).await), want, "{path}");
    }
    let counts = counted_requests(proxy, 1).await;
    assert_eq!(counts.iter().map(|count| count.requests).sum::<u64>(), 1, "probes are nobody's traffic");
}

#[tokio::test]
async fn a_good_request_id_and_trace_are_kept() {
    let gateway = plain_gateway(&Mesh::new(), app::echo().await);
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let answer = raw(
        gateway.address,
        format!(
            "GET /orders/7 HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\nX-Request-Id: mine-1\r\ntraceparent: {trace}\r\n\r\n"
        ),
    )
    .await;
    assert!(body(&answer).contains("mine-1\n") && body(&answer).contains(trace), "{answer}");
}

#[tokio::test]
async fn server_tls_with_http1_and_http2() {
    let mesh = Mesh::new();
    let gateway = gateway(&mesh, app::echo().await, "auto");
    let mut roots = rustls::RootCertStore::empty();
    roots.add(mesh.root.certificate().clone()).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    for alpn in ["http/1.1", "h2"] {
        let mut config = rustls::ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots.clone())
            .with_no_client_auth();
        config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
        let tcp = tokio::net::TcpStream::connect(gateway.address).await.unwrap();
        let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
        let mut tls = connector.connect("shop.example".try_into().unwrap(), tcp).await.unwrap();
        assert_eq!(tls.get_ref().1.alpn_protocol(), Some(alpn.as_bytes()));
        if alpn == "h2" {
            let (status, seen) = crate::http2::get(tls, "https://shop.example/orders/7").await;
            assert_eq!(status, 200);
            assert!(seen.contains("x-forwarded-proto: https\n") && seen.contains("GET /orders/7\n"), "{seen}");
        } else {
            tls.write_all(get("/orders/7", "shop.example").as_bytes()).await.unwrap();
            let mut answer = String::new();
            tokio::time::timeout(PATIENCE, tls.read_to_string(&mut answer)).await.unwrap().unwrap();
            assert!(answer.contains("x-forwarded-proto: https\n"), "{answer}");
        }
    }
}
