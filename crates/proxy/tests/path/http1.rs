//! HTTP/1.1 through two sidecars.
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::{
    app,
    mesh::{Mesh, PATIENCE, Pair, allow, body, counted_requests, raw, read_until, service, status, upstream},
};

#[tokio::test]
async fn a_request_passes_with_its_caller_proved_and_hop_by_hop_headers_gone() {
    let pair = Pair::new(&Mesh::new(), app::echo().await);
    let answer = pair
        .raw(
            "GET /a/../orders/7?x=%2e HTTP/1.1\r\nHost: orders\r\nConnection: close, x-hop\r\nX-Hop: 1\r\nX-Keep: 2\r\n\
             X-Forwarded-Client-Cert: By=evil\r\nX-Ward-Anything: 1\r\nWard-Probe: 1\r\nProxy-Authorization: x\r\n\
             Keep-Alive: 5\r\nTE: gzip\r\n\r\n",
        )
        .await;
    assert_eq!(status(&answer), 200, "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
    let seen = body(&answer);
    assert!(seen.contains("GET /orders/7?x=%2e\n"), "{seen}");
    assert!(seen.contains("host: orders\n") && seen.contains("x-keep: 2\n"), "{seen}");
    let cert = "x-forwarded-client-cert: By=spiffe://test.example/ns/shop/sa/orders;URI=spiffe://test.example/ns/shop/sa/web\n";
    assert!(seen.contains(cert), "{seen}");
    for gone in ["x-hop", "By=evil", "x-ward", "ward-probe", "proxy-auth", "keep-alive", "te:"] {
        assert!(!seen.contains(gone), "{gone} in {seen}");
    }
}

#[tokio::test]
async fn a_refusal_is_a_problem_document_recorded_and_counted() {
    let mut pair = Pair::new(&Mesh::new(), app::echo().await);
    let get =
        |path: &str| format!("GET {path} HTTP/1.1\r\nHost: orders\r\nConnection: close\r\nX-Request-Id: r-1\r\n\r\n");
    assert_eq!(status(&pair.raw(get("/fine")).await), 200);
    let answer = pair.raw(get("/fine/%2e%2e/admin")).await;
    assert_eq!(status(&answer), 403);
    assert!(answer.contains("content-type: application/problem+json"), "{answer}");
    let problem: serde_json::Value = serde_json::from_str(body(&answer)).unwrap();
    let record = pair.orders.decision().await;
    assert_eq!(problem["decision"], record.id);
    assert_eq!(problem.as_object().unwrap().len(), 4, "{problem}");
    assert_eq!((record.path.as_str(), record.method.as_str(), record.port), ("/admin", "GET", 8080));
    assert_eq!(record.principal, "spiffe://test.example/ns/shop/sa/web");
    assert_eq!((record.reason.as_str(), record.allowed, record.request_id.as_str()), ("no-rule-matched", false, "r-1"));
    let mut counts = counted_requests(&pair.orders.proxy, 2).await;
    counts.sort_by_key(|c| c.allowed);
    let counts: Vec<_> = counts.iter().map(|c| (c.allowed, c.flow.as_str(), c.requests, c.port)).collect();
    assert_eq!(counts, [(false, "", 1, 8080), (true, "place", 1, 8080)]);
    assert!(pair.orders.proxy.flow_counts().is_empty(), "increments only");
}

#[tokio::test]
async fn every_decision_of_a_flow_with_high_audit_is_recorded() {
    let mesh = Mesh::new();
    let mut pair = Pair::new(&mesh, app::echo().await);
    pair.orders
        .apply(|r| {
            r.policies = vec![allow("orders", "place", "web", "high", &serde_json::json!({ "methods": ["GET"] }))]
        })
        .unwrap();
    let answer = pair.raw("GET / HTTP/1.1\r\nHost: orders\r\nConnection: close\r\n\r\n").await;
    assert_eq!(status(&answer), 200);
    let record = pair.orders.decision().await;
    assert_eq!((record.allowed, record.flow.as_str(), record.revision), (true, "place", 2));
}

#[tokio::test]
async fn dry_run_records_and_lets_through() {
    let mut pair = Pair::new(&Mesh::new(), app::echo().await);
    pair.orders.apply(|r| r.workload.dry_run = true).unwrap();
    let answer = pair.raw("GET /admin HTTP/1.1\r\nHost: orders\r\nConnection: close\r\n\r\n").await;
    assert_eq!(status(&answer), 200);
    assert!(!pair.orders.decision().await.allowed);
}

#[tokio::test]
async fn bodies_pass_in_both_framings_and_trailers_with_them() {
    let pair = Pair::new(&Mesh::new(), app::echo().await);
    let answer =
        pair.raw("POST /x HTTP/1.1\r\nHost: orders\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello").await;
    assert!(body(&answer).contains("content-length: 5\n") && answer.contains("hello"), "{answer}");
    let answer = pair
        .raw(
            "POST /x HTTP/1.1\r\nHost: orders\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n\
             3;ext\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 9\r\n\r\n",
        )
        .await;
    assert!(answer.contains("transfer-encoding: chunked"), "{answer}");
    assert!(answer.contains("abc") && answer.contains("de") && answer.ends_with("0\r\n\r\n"), "{answer}");
}

#[tokio::test]
async fn large_bodies_stream_without_being_held() {
    let pair = Pair::new(&Mesh::new(), app::echo().await);
    const SIZE: usize = 20 * 1024 * 1024;
    let stream = TcpStream::connect(pair.web.outbound("orders:8080")).await.unwrap();
    let (mut read, mut write) = stream.into_split();
    let send = tokio::spawn(async move {
        let head = format!("PUT /big HTTP/1.1\r\nHost: orders\r\nConnection: close\r\nContent-Length: {SIZE}\r\n\r\n");
        write.write_all(head.as_bytes()).await.unwrap();
        for i in 0..SIZE / 65_536 {
            write.write_all(&[i as u8; 65_536]).await.unwrap();
        }
        write
    });
    let mut answer = Vec::new();
    tokio::time::timeout(PATIENCE, read.read_to_end(&mut answer)).await.unwrap().unwrap();
    send.await.unwrap();
    assert!(answer.len() > SIZE, "{}", answer.len());
}

#[tokio::test]
async fn requests_follow_each_other_on_one_connection_and_may_be_pipelined() {
    let pair = Pair::new(&Mesh::new(), app::echo().await);
    let mut stream = TcpStream::connect(pair.web.outbound("orders:8080")).await.unwrap();
    for i in 0..3 {
        stream.write_all(format!("GET /n{i} HTTP/1.1\r\nHost: orders\r\n\r\n").as_bytes()).await.unwrap();
        let answer = read_until(&mut stream, "\r\n0\r\n\r\n").await;
        assert!(answer.contains(&format!("GET /n{i}\n")), "{answer}");
    }
    let two = "GET /p1 HTTP/1.1\r\nHost: orders\r\n\r\nGET /p2 HTTP/1.1\r\nHost: orders\r\nConnection: close\r\n\r\n";
    stream.write_all(two.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    let (first, second) = (answer.find("GET /p1").unwrap(), answer.find("GET /p2").unwrap());
    assert!(first < second);
}

#[tokio::test]
async fn head_and_304_have_a_length_and_no_body() {
    let app = app::script(|mut stream| async move {
        while let Some(head) = app::head(&mut stream).await {
            let status = if head.starts_with("HEAD") { "200 OK" } else { "304 Not Modified" };
            app::say(&mut stream, &format!("HTTP/1.1 {status}\r\nContent-Length: 1234\r\n\r\n")).await;
        }
    })
    .await;
    let pair = Pair::new(&Mesh::new(), app);
    let both = "HEAD / HTTP/1.1\r\nHost: orders\r\n\r\nGET / HTTP/1.1\r\nHost: orders\r\nConnection: close\r\n\r\n";
    let answer = pair.raw(both).await;
    assert_eq!(answer.matches("content-length: 1234").count(), 2, "{answer}");
    assert!(answer.contains("HTTP/1.1 304"), "{answer}");
}

#[tokio::test]
async fn continue_is_asked_of_the_application_itself() {
    let app = app::script(|mut stream| async move {
        let head = app::head(&mut stream).await.unwrap();
        assert!(head.to_ascii_lowercase().contains("expect: 100-continue"), "{head}");
        app::say(&mut stream, "HTTP/1.1 100 Continue\r\n\r\n").await;
        let mut body = [0; 4];
        stream.read_exact(&mut body).await.unwrap();
        app::say(
            &mut stream,
            "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n",
        )
        .await;
        stream.write_all(&body).await.unwrap();
    })
    .await;
    let pair = Pair::new(&Mesh::new(), app);
    let mut stream = TcpStream::connect(pair.web.outbound("orders:8080")).await.unwrap();
    let head = "POST / HTTP/1.1\r\nHost: orders\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    assert!(read_until(&mut stream, "\r\n\r\n").await.starts_with("HTTP/1.1 100 "));
    stream.write_all(b"ping").await.unwrap();
    let answer = read_until(&mut stream, "ping").await;
    assert!(answer.starts_with("HTTP/1.1 103 ") && answer.contains("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn an_early_answer_reaches_a_caller_that_is_still_sending() {
    let app = app::script(|mut stream| async move {
        app::head(&mut stream).await;
        app::say(&mut stream, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")
            .await;
    })
    .await;
    let pair = Pair::new(&Mesh::new(), app);
    let mut stream = TcpStream::connect(pair.web.outbound("orders:8080")).await.unwrap();
    stream.write_all(b"POST / HTTP/1.1\r\nHost: orders\r\nContent-Length: 1000000\r\n\r\nfirst bytes").await.unwrap();
    let answer = read_until(&mut stream, "big").await;
    assert_eq!(status(&answer), 413, "{answer}");
}

#[tokio::test]
async fn a_websocket_becomes_a_tunnel() {
    let app = app::script(|mut stream| async move {
        let head = app::head(&mut stream).await.unwrap().to_ascii_lowercase();
        assert!(head.contains("connection: upgrade") && head.contains("upgrade: websocket"), "{head}");
        app::say(
            &mut stream,
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhi",
        )
        .await;
        let mut buffer = [0; 5];
        stream.read_exact(&mut buffer).await.unwrap();
        stream.write_all(&buffer).await.unwrap();
    })
    .await;
    let pair = Pair::new(&Mesh::new(), app);
    let mut stream = TcpStream::connect(pair.web.outbound("orders:8080")).await.unwrap();
    let head = "GET /ws HTTP/1.1\r\nHost: orders\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let answer = read_until(&mut stream, "\r\n\r\nhi").await;
    assert_eq!(status(&answer), 101, "{answer}");
    stream.write_all(b"frame").await.unwrap();
    assert_eq!(read_until(&mut stream, "frame").await, "frame");
}

#[tokio::test]
async fn a_101_nobody_asked_for_is_a_bad_gateway() {
    let app = app::script(|mut stream| async move {
        app::head(&mut stream).await;
        app::say(&mut stream, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n").await;
    })
    .await;
    let pair = Pair::new(&Mesh::new(), app);
    assert_eq!(status(&pair.raw("GET / HTTP/1.1\r\nHost: orders\r\nConnection: close\r\n\r\n").await), 502);
}

#[tokio::test]
async fn ambiguous_responses_never_reach_the_caller() {
    for bad in [
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        "HTTP/1.1 200 OK\r\nX : y\r\nContent-Length: 0\r\n\r\n",
    ] {
        let app = app::script(move |mut stream| async move {
            app::head(&mut stream).await;
            app::say(&mut stream, bad).await;
        })
        .await;
        let pair = Pair::new(&Mesh::new(), app);
        let answer = pair.raw("GET / HTTP/1.1\r\nHost: orders\r\nConnection: close\r\n\r\n").await;
        assert_eq!(status(&answer), 502, "{bad:?}: {answer}");
    }
}

#[tokio::test]
async fn a_response_until_close_is_chunked_for_the_caller() {
    let app = app::script(|mut stream| async move {
        app::head(&mut stream).await;
        app::say(&mut stream, "HTTP/1.1 200 OK\r\n\r\nuntil the end").await;
    })
    .await;
    let pair = Pair::new(&Mesh::new(), app);
    let answer = pair.raw("GET / HTTP/1.1\r\nHost: orders\r\nConnection: close\r\n\r\n").await;
    assert!(
        answer.contains("transfer-encoding: chunked") && answer.ends_with("until the end\r\n0\r\n\r\n"),
        "{answer}"
    );
    let answer = pair.raw("GET / HTTP/1.0\r\nHost: orders\r\n\r\n").await;
    assert!(answer.ends_with("\r\n\r\nuntil the end"), "{answer}");
}

/// Answers one request per connection and closes without saying so: every reuse meets the keep-alive race.
async fn closing_app(served: Arc<AtomicUsize>) -> SocketAddr {
    app::script(move |mut stream| {
        let served = served.clone();
        async move {
            if app::head(&mut stream).await.is_some() {
                served.fetch_add(1, Ordering::SeqCst);
                app::say(&mut stream, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
                // The next request is read, so that the close comes after it was written, not before.
                app::head(&mut stream).await;
            }
        }
    })
    .await
}

#[tokio::test]
async fn the_keep_alive_race_is_retried_once_on_a_fresh_connection() {
    let served = Arc::new(AtomicUsize::new(0));
    let pair = Pair::new(&Mesh::new(), closing_app(served.clone()).await);
    for _ in 0..4 {
        let answer = pair.raw("GET / HTTP/1.1\r\nHost: orders\r\nConnection: close\r\n\r\n").await;
        assert_eq!(status(&answer), 200);
    }
    assert_eq!(served.load(Ordering::SeqCst), 4);
    // A POST may have had its effect: it is not sent twice.
    let answer = pair.raw("POST / HTTP/1.1\r\nHost: orders\r\nConnection: close\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(status(&answer), 502, "{answer}");
}

#[tokio::test]
async fn an_endpoint_that_refuses_is_passed_over() {
    let mesh = Mesh::new();
    let mut pair = Pair::new(&mesh, app::echo().await);
    // A listener that is gone: its port refuses.
    let dead = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let live = pair.orders.inbound();
    pair.web.apply(|r| r.upstreams = vec![upstream("orders", 8080, "http", &[dead, live])]).unwrap();
    for _ in 0..4 {
        assert_eq!(status(&pair.raw("GET / HTTP/1.1\r\nHost: orders\r\nConnection: close\r\n\r\n").await), 200);
    }
    pair.web.apply(|r| r.upstreams = vec![upstream("orders", 8080, "http", &[dead])]).unwrap();
    assert_eq!(status(&pair.raw("GET / HTTP/1.1\r\nHost: orders\r\nConnection: close\r\n\r\n").await), 503);
}

#[tokio::test]
async fn the_http_proxy_port_goes_by_host() {
    let pair = Pair::new(&Mesh::new(), app::echo().await);
    let proxy = pair.web.address(&proxy::Kind::HttpProxy);
    for (target, host, want) in [
        ("http://orders/x", "orders", 200),
        ("http://ORDERS:8080/x", "orders:8080", 200),
        ("http://orders.shop/x", "orders.shop", 200),
        ("/x", "orders:8080", 200),
        ("/x", "payments", 404),
        ("http://orders:9/x", "orders:9", 404),
        ("http://orders/x", "payments", 400),
        ("ftp://orders/x", "orders", 400),
    ] {
        let answer = raw(proxy, format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")).await;
        assert_eq!(status(&answer), want, "{target} {host}: {answer}");
    }
}

#[tokio::test]
async fn a_probe_is_answered_by_the_proxy_after_policy_and_only_while_announced() {
    let mesh = Mesh::new();
    let mut pair = Pair::new(&mesh, app::echo().await);
    let tls = |path: &'static str| {
        let config = mesh.client("web", "orders", "http/1.1");
        let address = pair.orders.inbound();
        async move {
            let tcp = TcpStream::connect(address).await.unwrap();
            let name = "8080.orders.shop.test.example".try_into().unwrap();
            let mut tls = tokio_rustls::TlsConnector::from(config).connect(name, tcp).await.unwrap();
            let head = format!("GET {path} HTTP/1.1\r\nHost: orders\r\nWard-Probe: 00ff\r\n\r\n");
            tls.write_all(head.as_bytes()).await.unwrap();
            read_until(&mut tls, "\r\n\r\n").await
        }
    };
    // Not announced: the application gets it, without the header.
    assert_eq!(status(&tls("/x").await), 200);
    let now = pair.orders.proxy.clock().unix_ms();
    pair.orders.proxy.nonces().announce([("00ff".to_owned(), now + 60_000)], now);
    let answer = tls("/x").await;
    assert!(status(&answer) == 204 && answer.contains("ward-probe-result: passed"), "{answer}");
    assert_eq!(status(&tls("/admin").await), 403);
    assert_eq!(pair.orders.decision().await.path, "/admin");
    let counts = counted_requests(&pair.orders.proxy, 1).await;
    assert_eq!(
        counts.iter().map(|count| count.requests).sum::<u64>(),
        1,
        "a probe is recorded, and is nobody's traffic"
    );
    // An application's own probe header never leaves its sidecar.
    let answer = pair.raw("GET /x HTTP/1.1\r\nHost: orders\r\nWard-Probe: 00ff\r\nConnection: close\r\n\r\n").await;
    assert_eq!(status(&answer), 200);
}

#[tokio::test]
async fn policies_that_read_headers_see_them() {
    let mesh = Mesh::new();
    let mut pair = Pair::new(&mesh, app::echo().await);
    let mut policy = allow("orders", "place", "web", "medium", &serde_json::json!({ "methods": ["GET"] }));
    let mut document: serde_json::Value = serde_json::from_str(&policy.document).unwrap();
    document["spec"]["rules"][0]["when"] =
        serde_json::json!([{ "key": "request.headers[x-team]", "values": ["blue"] }]);
    policy.document = document.to_string();
    pair.orders.apply(|r| r.policies = vec![policy]).unwrap();
    let get = |team: &str| format!("GET / HTTP/1.1\r\nHost: orders\r\nX-Team: {team}\r\nConnection: close\r\n\r\n");
    assert_eq!(status(&pair.raw(get("blue")).await), 200);
    assert_eq!(status(&pair.raw(get("red")).await), 403);
    assert_eq!(pair.orders.decision().await.headers[0].value, "red");
}

#[tokio::test]
async fn http_to_a_tcp_service_is_refused() {
    let mesh = Mesh::new();
    let any = serde_json::json!({ "ports": ["8080"] });
    let orders = mesh.sidecar(
        "orders",
        "",
        vec![service(8080, "tcp", app::echo().await)],
        Vec::new(),
        vec![allow("orders", "place", "web", "medium", &any)],
    );
    let upstreams = vec![upstream("orders", 8080, "http", &[orders.inbound()])];
    let web = mesh.sidecar("web", "", Vec::new(), upstreams, Vec::new());
    let answer = raw(web.outbound("orders:8080"), "GET / HTTP/1.1\r\nHost: orders\r\nConnection: close\r\n\r\n").await;
    assert_eq!(status(&answer), 502, "{answer}");
}
