//! What must be refused, over raw sockets: at the application's side, at the mesh port, and at a gateway.
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    app,
    gateway::plain_gateway,
    mesh::{Mesh, PATIENCE, Pair, raw, read_until, status},
};

/// Requests that two readers could understand differently (RFC 9112 §6.3 and neighbours), and the answer.
const AMBIGUOUS: &[(&str, u16)] = &[
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\nhello", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400),
    ("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n folded\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", 400),
    ("GET / HTTP/1.1\nHost: a\n\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\n\r\n", 400),
    ("GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET a HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("get / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nConnection: host\r\n\r\n", 400),
    ("GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505),
    ("\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n", 400),
];

#[tokio::test]
async fn ambiguous_requests_are_refused_and_the_connection_closed() {
    let mesh = Mesh::new();
    let pair = Pair::new(&mesh, app::echo().await);
    let gateway = plain_gateway(&mesh, app::echo().await);
    for (request, want) in AMBIGUOUS {
        // A smuggled second request would be answered too, were the connection not closed.
        let smuggling = format!("{request}GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
        for answer in [pair.raw(&smuggling).await, raw(gateway.address, &smuggling).await] {
            assert_eq!(status(&answer), *want, "{request:?}: {answer}");
            assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{request:?}: {answer}");
        }
        let answer = through_mesh_port(&mesh, &pair, &smuggling).await;
        assert_eq!(status(&answer), *want, "{request:?}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{request:?}: {answer}");
    }
}

async fn through_mesh_port(mesh: &Mesh, pair: &Pair, request: &str) -> String {
    let tcp = TcpStream::connect(pair.orders.inbound()).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(mesh.client("web", "orders", "http/1.1"));
    let name = "8080.orders.shop.test.example".try_into().unwrap();
    let mut tls = connector.connect(name, tcp).await.unwrap();
    tls.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, tls.read_to_end(&mut answer)).await.expect("an end in time");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_bad_chunk_ends_request_and_connection() {
    let pair = Pair::new(&Mesh::new(), app::echo().await);
    for bad in
        ["zz\r\nhello\r\n0\r\n\r\n", "5 \r\nhello\r\n0\r\n\r\n", "5\r\nhelloXX0\r\n\r\n", "5\nhello\r\n0\r\n\r\n"]
    {
        let head = "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        let answer = pair.raw(format!("{head}{bad}GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        assert!(!answer.contains("smuggled"), "{bad:?}: {answer}");
        assert!(answer.matches("HTTP/1.1 ").count() <= 1, "{bad:?}: {answer}");
    }
}

#[tokio::test]
async fn limits_of_a_head_at_and_beyond() {
    let pair = Pair::with(
        &Mesh::new(),
        app::echo().await,
        "limits: { headers_max: 10, target_bytes_max: 100, header_bytes_max: 1000 }",
        "",
    );
    let lines =
        |n: usize| format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{}\r\n", "x: y\r\n".repeat(n - 2));
    assert_eq!(status(&pair.raw(lines(10)).await), 200);
    assert_eq!(status(&pair.raw(lines(11)).await), 431);
    let target = |n: usize| format!("GET /{} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "a".repeat(n - 1));
    assert_eq!(status(&pair.raw(target(100)).await), 200);
    assert_eq!(status(&pair.raw(target(101)).await), 414);
    let sized = |n: usize| {
        let empty = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nx: \r\n\r\n".len();
        format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nx: {}\r\n\r\n", "a".repeat(n - empty))
    };
    assert_eq!(status(&pair.raw(sized(1000)).await), 200);
    assert_eq!(status(&pair.raw(sized(1001)).await), 431);
    // Without an end: refused as soon as the limit is reached.
    assert_eq!(status(&pair.raw(format!("GET / HTTP/1.1\r\nHost: a\r\nx: {}", "a".repeat(2000))).await), 431);
}

#[tokio::test]
async fn a_slow_head_is_answered_and_an_idle_connection_closed() {
    let limits = "limits: { header_timeout: 300ms, idle_timeout: 300ms }";
    let pair = Pair::with(&Mesh::new(), app::echo().await, limits, "");
    let answer = pair.raw("GET / HTTP/1.1\r\nHost: a").await;
    assert_eq!(status(&answer), 408);
    assert_eq!(pair.raw("").await, "");
}

#[tokio::test]
async fn a_silent_upstream_is_a_gateway_timeout() {
    let app = app::script(|mut stream| async move {
        app::head(&mut stream).await;
        app::head(&mut stream).await;
    })
    .await;
    let mut pair = Pair::new(&Mesh::new(), app);
    pair.web.apply(|r| r.upstreams[0].timeout_ms = 300).unwrap();
    let answer = pair.raw("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    assert_eq!(status(&answer), 504);
}

#[tokio::test]
async fn a_body_that_stops_is_cut() {
    let app = app::script(|mut stream| async move {
        app::head(&mut stream).await;
        app::say(&mut stream, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart").await;
        app::head(&mut stream).await;
    })
    .await;
    let pair = Pair::with(&Mesh::new(), app, "limits: { body_idle_timeout: 300ms }", "");
    let answer = pair.raw("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    assert!(answer.ends_with("part"), "{answer}");
}

#[tokio::test]
async fn only_websockets_are_upgraded() {
    // An application that would speak h2c: inside that tunnel no request would be decided.
    let app = app::script(|mut stream| async move {
        let head = app::head(&mut stream).await.unwrap().to_ascii_lowercase();
        assert!(!head.contains("upgrade") && !head.contains("http2-settings"), "{head}");
        app::say(&mut stream, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n").await;
        app::head(&mut stream).await;
    })
    .await;
    let pair = Pair::new(&Mesh::new(), app);
    let answer = pair
        .raw(
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n\
             GET /admin HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        )
        .await;
    assert_eq!(status(&answer), 502, "{answer}");
    assert!(answer.contains(" 403 "), "what follows is a request of its own: {answer}");
}

/// Frames of HTTP/2, by hand: length, type, flags, stream, payload.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

#[tokio::test]
async fn a_rapid_reset_ends_the_connection() {
    let mesh = Mesh::new();
    let gateway = plain_gateway(&mesh, app::echo().await);
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    let mut flood = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    flood.extend(frame(4, 0, 0, &[]));
    // :method GET, :scheme http, :path /, :authority a — then RST_STREAM, a thousand times.
    let head = [0x82, 0x86, 0x84, 0x41, 0x01, b'a'];
    for i in 0..1000u32 {
        flood.extend(frame(1, 0x5, 2 * i + 1, &head));
        flood.extend(frame(3, 0, 2 * i + 1, &[0, 0, 0, 8]));
    }
    let _ = stream.write_all(&flood).await;
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("the connection ends");
    // GOAWAY with ENHANCE_YOUR_CALM (RFC 9113 §7).
    let calm = [0, 0, 0, 0x0b];
    assert!(answer.windows(4).any(|w| w == calm), "{answer:?}");
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed_at_once() {
    let pair = Pair::with(&Mesh::new(), app::echo().await, "limits: { connections_max: 2 }", "");
    let address = pair.web.outbound("orders:8080");
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        read_until(&mut stream, "\r\n0\r\n\r\n").await;
        held.push(stream);
    }
    assert_eq!(pair.raw("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await, "");
    drop(held);
}
