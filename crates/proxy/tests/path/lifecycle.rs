//! Snapshots, rotation, drain, the admin port.
use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use tokio::{io::AsyncWriteExt, net::TcpStream};
use wire::v1::resources::Upstream;

use crate::{
    app,
    mesh::{Mesh, PATIENCE, Pair, allow, counted_requests, raw, read_until, status},
};

const GET: &str = "GET / HTTP/1.1\r\nHost: orders\r\nConnection: close\r\n\r\n";

#[tokio::test]
async fn a_bad_configuration_is_refused_whole_with_every_place() {
    let mut pair = Pair::new(&Mesh::new(), app::echo().await);
    let errors = pair
        .web
        .apply(|r| {
            r.upstreams[0].spiffe_id = "orders".to_owned();
            r.upstreams[0].endpoints = vec!["nowhere".to_owned()];
            r.upstreams.push(Upstream { name: "x".to_owned(), port: 0, ..Upstream::default() });
            r.policies.push(wire::v1::resources::Policy { name: "p".to_owned(), document: "{".to_owned() });
        })
        .unwrap_err();
    let text = errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    for place in ["upstreams[0].spiffe_id", "upstreams[0].endpoints[0]", "upstreams[1].port", "policies[0]"] {
        assert!(text.contains(place), "{place} not in {text}");
    }
    assert_eq!(pair.web.proxy.revision(), Some(1));
    assert_eq!(status(&pair.raw(GET).await), 200);
}

#[tokio::test]
async fn a_port_in_use_refuses_the_configuration() {
    let mesh = Mesh::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let pair = Pair::new(&mesh, app::echo().await);
    let text = format!(
        "inbound: {}\nstatic: {{ workload: {{}} }}\nidentity: {{ cert: a, key: b, bundle: c, trust_domain: d }}\n",
        taken.local_addr().unwrap()
    );
    let settings = proxy::Settings::parse(std::path::Path::new("t"), &text).unwrap();
    let other = proxy::Proxy::new(settings, daemon::Clock::system(), daemon::Tasks::new()).unwrap();
    let errors = other.apply(&pair.orders.resources, &pair.orders.identity).unwrap_err();
    assert!(errors[0].why.contains(&taken.local_addr().unwrap().to_string()), "{errors:?}");
    assert_eq!(other.revision(), None);
    assert!(!other.is_ready());
}

#[tokio::test]
async fn identities_and_rules_change_under_load_without_a_failed_request() {
    let mesh = Mesh::new();
    let mut pair = Pair::new(&mesh, app::echo().await);
    let address = pair.web.outbound("orders:8080");
    let (stop, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let load: Vec<_> = (0..4)
        .map(|_| {
            let (stop, served) = (stop.clone(), served.clone());
            tokio::spawn(async move {
                let mut stream = TcpStream::connect(address).await.unwrap();
                while !stop.load(Ordering::Relaxed) {
                    stream.write_all(b"POST / HTTP/1.1\r\nHost: orders\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
                    let answer = read_until(&mut stream, "\r\n0\r\n\r\n").await;
                    assert_eq!(status(&answer), 200, "{answer}");
                    served.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for _ in 0..6 {
        let before = served.load(Ordering::Relaxed);
        pair.web.identity = mesh.identity("web");
        pair.web.apply(|_| {}).unwrap();
        pair.orders.identity = mesh.identity("orders");
        pair.orders.apply(|_| {}).unwrap();
        tokio::time::timeout(PATIENCE, async {
            while served.load(Ordering::Relaxed) < before + 40 {
                tokio::task::yield_now().await;
            }
        })
        .await
        .expect("progress");
    }
    stop.store(true, Ordering::Relaxed);
    for task in load {
        task.await.unwrap();
    }
}

#[tokio::test]
async fn a_peer_without_any_rule_loses_its_connection() {
    let mesh = Mesh::new();
    let mut pair = Pair::new(&mesh, app::echo().await);
    let tcp = TcpStream::connect(pair.orders.inbound()).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(mesh.client("web", "orders", "http/1.1"));
    let mut tls = connector.connect("8080.orders.shop.test.example".try_into().unwrap(), tcp).await.unwrap();
    tls.write_all(b"GET / HTTP/1.1\r\nHost: orders\r\n\r\n").await.unwrap();
    read_until(&mut tls, "\r\n0\r\n\r\n").await;
    let none = allow("orders", "place", "other", "medium", &serde_json::json!({ "methods": ["GET"] }));
    pair.orders.apply(|r| r.policies = vec![none]).unwrap();
    let mut buffer = [0; 16];
    let end = tokio::time::timeout(PATIENCE, tokio::io::AsyncReadExt::read(&mut tls, &mut buffer)).await.unwrap();
    assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
}

#[tokio::test]
async fn a_websocket_is_cut_when_its_path_is_no_longer_allowed() {
    let app = app::script(|mut stream| async move {
        app::head(&mut stream).await;
        app::say(&mut stream, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
            .await;
        app::head(&mut stream).await;
    })
    .await;
    let mut pair = Pair::new(&Mesh::new(), app);
    let mut stream = TcpStream::connect(pair.web.outbound("orders:8080")).await.unwrap();
    let head = "GET /ws HTTP/1.1\r\nHost: orders\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(status(&read_until(&mut stream, "\r\n\r\n").await), 101);
    let elsewhere = allow("orders", "place", "web", "medium", &serde_json::json!({ "paths": ["/other"] }));
    pair.orders.apply(|r| r.policies = vec![elsewhere]).unwrap();
    assert_eq!(read_until(&mut stream, "never").await, "");
}

#[tokio::test]
async fn a_peer_whose_certificate_ended_must_come_again() {
    let mesh = Mesh::new();
    let mut pair = Pair::new(&mesh, app::echo().await);
    let tcp = TcpStream::connect(pair.orders.inbound()).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(mesh.client("web", "orders", "http/1.1"));
    let mut tls = connector.connect("8080.orders.shop.test.example".try_into().unwrap(), tcp).await.unwrap();
    let request = b"GET / HTTP/1.1\r\nHost: orders\r\n\r\n";
    tls.write_all(request).await.unwrap();
    assert_eq!(status(&read_until(&mut tls, "\r\n0\r\n\r\n").await), 200);
    pair.orders.clock.advance(crate::mesh::DAY * 2);
    tls.write_all(request).await.unwrap();
    let answer = read_until(&mut tls, "}").await;
    assert_eq!(status(&answer), 403, "{answer}");
    assert_eq!(pair.orders.decision().await.reason, "svid-expired");
    assert!(!pair.orders.proxy.is_ready(), "its own has ended too");
}

#[tokio::test]
async fn a_drain_finishes_requests_and_closes_idle_connections() {
    let go_on = Arc::new(tokio::sync::Notify::new());
    let app = app::script({
        let go_on = go_on.clone();
        move |mut stream| {
            let go_on = go_on.clone();
            async move {
                app::head(&mut stream).await;
                app::say(&mut stream, "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf").await;
                go_on.notified().await;
                app::say(&mut stream, "full").await;
            }
        }
    })
    .await;
    let pair = Pair::new(&Mesh::new(), app);
    let address = pair.web.outbound("orders:8080");
    let idle = tokio::spawn(raw(address, ""));
    let mut busy = TcpStream::connect(address).await.unwrap();
    busy.write_all(b"GET / HTTP/1.1\r\nHost: orders\r\n\r\n").await.unwrap();
    read_until(&mut busy, "half").await;
    let draining = tokio::spawn({
        let proxy = pair.web.proxy.clone();
        async move { proxy.shutdown().await }
    });
    // The idle one is gone: the drain is under way, and the busy one still has its time.
    assert_eq!(idle.await.unwrap(), "");
    go_on.notify_one();
    assert_eq!(read_until(&mut busy, "full").await, "full");
    assert_eq!(read_until(&mut busy, "never").await, "");
    assert!(!pair.web.proxy.is_ready());
    assert_eq!(draining.await.unwrap().cut, 0);
    assert!(TcpStream::connect(address).await.is_err(), "no longer listening");
}

#[tokio::test]
async fn the_access_log_has_a_line_for_each_request() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("access.log");
    let pair = Pair::with(&Mesh::new(), app::echo().await, "", &format!("access_log: {}", path.display()));
    assert_eq!(
        status(&pair.raw("GET /a?secret=1 HTTP/1.1\r\nHost: o\r\nX-Request-Id: r7\r\nConnection: close\r\n\r\n").await),
        200
    );
    assert_eq!(status(&pair.raw("GET /admin HTTP/1.1\r\nHost: o\r\nConnection: close\r\n\r\n").await), 403);
    let lines = tokio::time::timeout(PATIENCE, async {
        loop {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            if text.lines().count() == 2 {
                return text;
            }
            tokio::task::yield_now().await;
        }
    });
    let lines = lines.await.expect("two lines");
    let lines: Vec<serde_json::Value> = lines.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(
        (&lines[0]["path"], &lines[0]["status"], &lines[0]["flow"]),
        (&"/a".into(), &200.into(), &"place".into())
    );
    assert_eq!((&lines[0]["request_id"], &lines[0]["upstream"]), (&"r7".into(), &"app:8080".into()));
    assert_eq!(lines[0]["principal"], "spiffe://test.example/ns/shop/sa/web");
    assert_eq!((&lines[1]["reason"], lines[1]["decision"].as_str().unwrap().len()), (&"denied".into(), 26));
    assert!(!lines[0].to_string().contains("secret"), "queries carry secrets");
}

#[tokio::test]
async fn several_workers_share_the_work() {
    let pair = Pair::with(&Mesh::new(), app::echo().await, "workers: 3", "workers: 2");
    for _ in 0..12 {
        assert_eq!(status(&pair.raw(GET).await), 200);
    }
    let total: u64 = counted_requests(&pair.orders.proxy, 12).await.iter().map(|c| c.requests).sum();
    assert_eq!(total, 12, "sums over workers");
}

#[tokio::test]
async fn the_admin_port_shows_readiness_metrics_and_no_secret() {
    let pair = Pair::new(&Mesh::new(), app::echo().await);
    assert_eq!(status(&pair.raw(GET).await), 200);
    let admin = proxy::admin::serve(&pair.orders.proxy, "127.0.0.1:0".parse().unwrap()).await.unwrap();
    let get = |path: &str, method: &str| {
        raw(admin, format!("{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"))
    };
    assert_eq!(status(&get("/ready", "GET").await), 200);
    // A request is counted after its answer has left: the caller may be back before that.
    let counted = async {
        loop {
            let metrics = get("/metrics", "GET").await;
            if metrics.contains("istio_requests_total{") {
                return metrics;
            }
        }
    };
    let metrics = tokio::time::timeout(PATIENCE, counted).await.expect("the request is counted");
    for line in [
        "istio_requests_total{reporter=\"destination\",source_workload=\"web\",source_workload_namespace=\"shop\",\
         source_principal=\"spiffe://test.example/ns/shop/sa/web\"",
        "destination_service=\"orders.shop.test.example\"",
        "connection_security_policy=\"mutual_tls\",response_code=\"200\",response_flags=\"-\"} 1",
        "istio_request_duration_milliseconds_count",
        "istio_response_bytes_bucket",
        "# TYPE istio_tcp_connections_opened_total counter",
        "ward_config_revision 1",
        "ward_svid_expiry_timestamp_seconds",
    ] {
        assert!(metrics.contains(line), "{line} not in {metrics}");
    }
    let config = get("/config", "GET").await;
    assert!(config.contains("\"revision\":1") && !config.contains("PRIVATE") && !config.contains("BEGIN"), "{config}");
    assert_eq!(status(&get("/nothing", "GET").await), 404);
    assert_eq!(status(&get("/drain", "GET").await), 405);
    assert_eq!(status(&get("/drain", "POST").await), 202);
    assert_eq!(status(&get("/ready", "GET").await), 503);
}
