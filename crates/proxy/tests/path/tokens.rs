//! Tokens over the wire: found, proved, refused, passed on or not, in HTTP/1.1 and HTTP/2, behind gateways and sidecars.
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    app,
    gateway::plain_gateway,
    issuer::{ISSUER, KEYS, Key, authentication, claims, encode, jwks, key_set, policies, policy},
    mesh::{Mesh, Node, PATIENCE, Pair, body, raw, read_until, service, status, upstream},
};

fn get(path: &str, headers: &[&str]) -> String {
    let headers: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
    format!("GET {path} HTTP/1.1\r\nHost: orders\r\nConnection: close\r\n{headers}\r\n")
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}")
}

/// The rule that most tests go by.
fn remote() -> Value {
    json!([{ "issuer": ISSUER, "jwksUri": KEYS, "audiences": ["shop"] }])
}

/// Two sidecars; `orders` takes tokens of `rules`, with `keys` fetched.
fn pair(app: SocketAddr, rules: &Value, keys: &[&Key]) -> Pair {
    let mut pair = Pair::new(&Mesh::new(), app);
    pair.orders
        .apply(|r| {
            r.policies = policies();
            r.authentications = vec![authentication(rules)];
            r.key_sets = vec![key_set(keys)];
        })
        .unwrap();
    pair
}

fn now(node: &Node) -> u64 {
    node.clock.unix_ms() / 1000
}

#[tokio::test]
async fn what_is_refused_and_why() {
    let (key, forger, stranger) = (Key::new("k1"), Key::new("k1"), Key::new("k9"));
    let mut pair = pair(app::echo().await, &remote(), &[&key]);
    let now = now(&pair.orders);
    let good = claims("ann", now);
    let with = |name: &str, value: Value| {
        let mut changed = good.clone();
        changed[name] = value;
        changed
    };
    let header = |alg: &str| json!({ "alg": alg, "typ": "JWT", "kid": "k1" });
    let unsigned = format!("{}.{}.", encode(header("none").to_string()), encode(good.to_string()));
    let hmac = {
        use aws_lc_rs::hmac;
        // The old confusion: the public key taken for a shared secret.
        let signed = format!("{}.{}", encode(header("HS256").to_string()), encode(good.to_string()));
        let tag =
            hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.public().to_string().as_bytes()), signed.as_bytes());
        format!("{signed}.{}", encode(tag))
    };
    let critical = json!({ "alg": "ES256", "kid": "k1", "crit": ["b64"], "b64": false });
    let mut cut = key.sign(&good);
    cut.truncate(cut.len() - 2);
    let cases: &[(&str, String, &str)] = &[
        ("jwt-malformed", "nonsense".to_owned(), ""),
        ("jwt-malformed", "a.b.c".to_owned(), ""),
        ("jwt-encrypted", "a.b.c.d.e".to_owned(), ""),
        ("jwt-too-long", key.sign(&with("pad", "x".repeat(20_000).into())), ""),
        ("jwt-expired", key.sign(&with("exp", (now - 61).into())), ""),
        ("jwt-not-yet-valid", key.sign(&with("nbf", (now + 61).into())), ""),
        ("jwt-issuer", key.sign(&with("iss", "https://evil.test".into())), ""),
        ("jwt-audience", key.sign(&with("aud", "elsewhere".into())), ISSUER),
        ("jwt-signature", forger.sign(&good), ISSUER),
        ("jwt-unknown-key", stranger.sign(&good), ISSUER),
        ("jwt-algorithm", unsigned, ""),
        ("jwt-algorithm", hmac, ""),
        ("jwt-critical", key.sign_under(&critical, &good), ""),
    ];
    for (reason, token, issuer) in cases {
        // A bad token is refused wherever it is shown, also where none is asked for.
        for path in ["/private", "/open"] {
            let answer = pair.raw(get(path, &[&bearer(token)])).await;
            assert_eq!(status(&answer), 401, "{reason}: {answer}");
            assert!(answer.contains("content-type: application/problem+json\r\n"), "{answer}");
            assert!(answer.contains("www-authenticate: Bearer error=\"invalid_token\"\r\n"), "{answer}");
            assert!(!answer.contains("jwt"), "why is nobody's business but ours: {answer}");
            let record = pair.orders.decision().await;
            assert_eq!((record.reason.as_str(), record.status, record.allowed), (*reason, 401, false));
            assert!(issuer.is_empty() || record.token_issuer == *issuer, "{reason}: {}", record.token_issuer);
            let problem: Value = serde_json::from_str(body(&answer)).unwrap();
            assert_eq!(problem["decision"], record.id);
            assert_eq!(problem.as_object().unwrap().len(), 4, "{problem}");
            assert!(record.claims.is_empty() && !format!("{record:?}").contains(token.as_str()), "{record:?}");
        }
    }
    for (path, token, want) in [
        ("/open", None, 200),
        ("/private", None, 403),
        ("/admin", None, 403),
        ("/private", Some(key.sign(&good)), 200),
        ("/admin", Some(key.sign(&good)), 200),
        ("/admin", Some(key.sign(&with("role", "user".into()))), 403),
        ("/private", Some(key.sign(&with("exp", (now - 59).into()))), 200),
    ] {
        let line = token.as_deref().map(bearer);
        let lines: Vec<&str> = line.as_deref().into_iter().collect();
        let answer = pair.raw(get(path, &lines)).await;
        assert_eq!(status(&answer), want, "{path}: {answer}");
        assert!(!answer.contains("www-authenticate"), "{answer}");
        let record = pair.orders.decision().await;
        assert_eq!(record.allowed, want == 200);
        match token {
            None => assert_eq!((record.claims.as_str(), record.token_issuer.as_str()), ("", "")),
            Some(token) => {
                let kept: Value = serde_json::from_str(&record.claims).unwrap();
                let mut names: Vec<&String> = kept.as_object().unwrap().keys().collect();
                names.sort();
                assert_eq!(names, ["iss", "role", "sub"], "only what decides");
                assert_eq!(record.token_issuer, ISSUER);
                assert!(!format!("{record:?}").contains(&token));
            }
        }
    }
    let admin = proxy::admin::serve(&pair.orders.proxy, "127.0.0.1:0".parse().unwrap()).await.unwrap();
    let page = raw(admin, "GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    for line in [
        "ward_decisions_total{decision=\"allow\",reason=\"allowed\"} 4\n".to_owned(),
        "ward_decisions_total{decision=\"deny\",reason=\"no-rule-matched\"} 3\n".to_owned(),
        "ward_decisions_total{decision=\"deny\",reason=\"jwt-algorithm\"} 4\n".to_owned(),
        format!("ward_tokens_refused_total{{issuer=\"{ISSUER}\",check=\"jwt-signature\"}} 2\n"),
    ] {
        assert!(page.contains(&line), "{line} not in {page}");
    }
    assert!(!page.contains("evil.test"), "labels are ours, not the caller's");
}

#[tokio::test]
async fn several_issuers_each_with_their_own_place_and_keys() {
    let (ours, theirs) = (Key::new("a"), Key::new("a"));
    let rules = json!([
        { "issuer": ISSUER, "jwks": jwks(&[&ours]) },
        { "issuer": "https://partner.test", "jwks": jwks(&[&theirs]), "fromHeaders": [{ "name": "X-Partner", "prefix": "Token " }] },
    ]);
    let mut pair = pair(app::echo().await, &rules, &[]);
    let now = now(&pair.orders);
    let mut partner = claims("bob", now);
    partner["iss"] = "https://partner.test".into();
    let (of_us, of_them) = (ours.sign(&claims("ann", now)), theirs.sign(&partner));
    for (line, want, reason) in [
        (bearer(&of_us), 200, "allowed"),
        (format!("X-Partner: Token {of_them}"), 200, "allowed"),
        // Each key is good for its own issuer only.
        (bearer(&theirs.sign(&claims("ann", now))), 401, "jwt-signature"),
        (format!("X-Partner: Token {}", ours.sign(&partner)), 401, "jwt-signature"),
    ] {
        let answer = pair.raw(get("/private", &[&line])).await;
        assert_eq!(status(&answer), want, "{line}: {answer}");
        assert!(!body(&answer).contains("x-partner") && !body(&answer).contains("authorization"), "{answer}");
        assert_eq!(pair.orders.decision().await.reason, reason);
    }
}

#[tokio::test]
async fn cookies_and_parameters_carry_tokens_that_are_taken_out_and_nothing_else() {
    let key = Key::new("k");
    let rules = |forward: bool| {
        json!([{
            "issuer": ISSUER, "jwks": jwks(&[&key]), "fromCookies": ["session"], "fromParams": ["token"],
            "forwardOriginalToken": forward,
        }])
    };
    let mut pair = pair(app::echo().await, &rules(false), &[]);
    let token = key.sign(&claims("ann", now(&pair.orders)));
    let cookies = format!("Cookie: a=1; session={token}; b=\"2\"");
    let target = format!("/private?x=%2f&token={token}&y");
    let answer = pair.raw(get("/private", &[&cookies])).await;
    assert!(body(&answer).contains("cookie: a=1; b=\"2\"\n") && !answer.contains(&token), "{answer}");
    let answer = pair.raw(get(&target, &[])).await;
    assert!(body(&answer).contains("GET /private?x=%2f&y\n") && !answer.contains(&token), "{answer}");
    let answer = pair.raw(get(&format!("/private?token={token}"), &[])).await;
    assert!(body(&answer).contains("GET /private\n"), "{answer}");
    pair.orders.apply(|r| r.authentications = vec![authentication(&rules(true))]).unwrap();
    let answer = pair.raw(get("/private", &[&cookies])).await;
    assert!(body(&answer).contains(&cookies.to_lowercase()[..20]) && answer.contains(&token), "{answer}");
    let answer = pair.raw(get(&target, &[])).await;
    assert!(body(&answer).contains(&format!("GET {target}\n")), "{answer}");
}

#[tokio::test]
async fn what_a_token_says_is_passed_on_and_what_callers_claim_is_not() {
    let key = Key::new("k");
    let rules = json!([{
        "issuer": ISSUER, "jwks": jwks(&[&key]), "outputPayloadToHeader": "x-payload",
        "outputClaimToHeaders": [{ "header": "x-sub", "claim": "sub" }, { "header": "x-absent", "claim": "absent" }],
    }]);
    let mut pair = pair(app::echo().await, &rules, &[]);
    let token = key.sign(&claims("ann", now(&pair.orders)));
    let forged = ["X-Sub: eve", "X-SUB: eve", "X_Sub: eve", "X-Payload: eve", "X-Absent: eve", "X-Own: mine"];
    let seen = pair.raw(get("/open", &forged)).await;
    assert!(status(&seen) == 200 && !seen.contains("eve") && seen.contains("x-own: mine\n"), "{seen}");
    let line = bearer(&token);
    // Nor can they be named away as if they were for one hop.
    let mut lines = vec![line.as_str(), "Connection: x-sub"];
    lines.extend(forged);
    let seen = pair.raw(get("/private", &lines)).await;
    assert!(status(&seen) == 200 && !seen.contains("eve"), "{seen}");
    assert!(seen.contains("x-sub: ann\n") && !seen.contains("x-absent"), "{seen}");
    assert!(seen.contains(&format!("x-payload: {}\n", token.split('.').nth(1).unwrap())), "{seen}");
    // Policies read what the application will.
    let by_header = policy(
        "header",
        "ALLOW",
        &json!([{ "when": [{ "key": "request.headers[x-sub]", "values": ["ann", "eve"] }] }]),
    );
    pair.orders.apply(|r| r.policies = vec![by_header]).unwrap();
    assert_eq!(status(&pair.raw(get("/private", &["X-Sub: eve"])).await), 403);
    assert_eq!(status(&pair.raw(get("/private", &[&line])).await), 200);
}

#[tokio::test]
async fn cve_2026_31837_without_keys_every_token_is_refused() {
    let key = Key::new("k");
    let mut pair = pair(app::echo().await, &remote(), &[&key]);
    let token = key.sign(&claims("ann", now(&pair.orders)));
    let unsigned = format!("{}.{}.", encode(r#"{"alg":"none"}"#), encode(claims("ann", 0).to_string()));
    let request = get("/private", &[&bearer(&token)]);
    assert_eq!(status(&pair.raw(&request).await), 200);
    pair.orders.decision().await;
    // Not fetched yet, empty, of no use, and not there at all. What was proved before does not count either.
    for sets in [
        vec![wire::v1::resources::KeySet { name: KEYS.to_owned(), jwks: String::new() }],
        vec![wire::v1::resources::KeySet { name: KEYS.to_owned(), jwks: r#"{"keys":[]}"#.to_owned() }],
        vec![wire::v1::resources::KeySet { name: KEYS.to_owned(), jwks: "<html>".to_owned() }],
        Vec::new(),
    ] {
        pair.orders.apply(|r| r.key_sets = sets).unwrap();
        assert_eq!(status(&pair.raw(&request).await), 401);
        let record = pair.orders.decision().await;
        assert_eq!((record.reason.as_str(), record.token_issuer.as_str()), ("jwt-no-keys", ISSUER));
        assert_eq!(status(&pair.raw(get("/private", &[&bearer(&unsigned)])).await), 401);
        pair.orders.decision().await;
        assert_eq!(status(&pair.raw(get("/open", &[])).await), 200);
        pair.orders.decision().await;
    }
    pair.orders.apply(|r| r.key_sets = vec![key_set(&[&key])]).unwrap();
    assert_eq!(status(&pair.raw(&request).await), 200);
}

#[tokio::test]
async fn a_document_that_is_wrong_leaves_the_one_before_in_force() {
    let key = Key::new("k");
    let mut pair = pair(app::echo().await, &remote(), &[&key]);
    let request = get("/private", &[&bearer(&key.sign(&claims("ann", now(&pair.orders))))]);
    for bad in [json!([{ "issuer": "" }]), json!([{ "issuer": ISSUER, "nonsense": 1 }])] {
        let errors = pair.orders.apply(|r| r.authentications = vec![authentication(&bad)]).unwrap_err();
        assert!(errors.iter().all(|e| e.place.starts_with("authentications")), "{errors:?}");
        assert_eq!(status(&pair.raw(&request).await), 200);
    }
}

#[tokio::test]
async fn keys_are_rotated_under_load_without_a_good_request_failing() {
    let (old, new) = (Key::new("old"), Key::new("new"));
    let mut pair = pair(app::echo().await, &remote(), &[&old]);
    let now = now(&pair.orders);
    let tokens = Arc::new([old.sign(&claims("ann", now)), new.sign(&claims("ann", now))]);
    let (which, stop, served) =
        (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let address = pair.web.outbound("orders:8080");
    let load: Vec<_> = (0..4)
        .map(|_| {
            let (tokens, which, stop, served) = (tokens.clone(), which.clone(), stop.clone(), served.clone());
            tokio::spawn(async move {
                let mut stream = TcpStream::connect(address).await.unwrap();
                while !stop.load(Ordering::SeqCst) {
                    let token = bearer(&tokens[which.load(Ordering::SeqCst)]);
                    let request = format!("GET /private HTTP/1.1\r\nHost: orders\r\n{token}\r\n\r\n");
                    stream.write_all(request.as_bytes()).await.unwrap();
                    let answer = read_until(&mut stream, "\r\n0\r\n\r\n").await;
                    assert_eq!(status(&answer), 200, "{answer}");
                    served.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    let more = |n: usize| {
        let served = served.clone();
        async move {
            let enough = served.load(Ordering::SeqCst) + n;
            let waiting = async {
                while served.load(Ordering::SeqCst) < enough {
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(PATIENCE, waiting).await.expect("load goes on");
        }
    };
    more(20).await;
    // Both keys, then the issuer changes over, then the old one goes.
    pair.orders.apply(|r| r.key_sets = vec![key_set(&[&old, &new])]).unwrap();
    more(20).await;
    which.store(1, Ordering::SeqCst);
    // Requests with the old token may still be under way on each connection.
    more(20).await;
    pair.orders.apply(|r| r.key_sets = vec![key_set(&[&new])]).unwrap();
    more(20).await;
    stop.store(true, Ordering::SeqCst);
    for one in load {
        one.await.unwrap();
    }
    // The old one was proved before and is remembered, and is refused all the same.
    assert_eq!(status(&pair.raw(get("/private", &[&bearer(&tokens[0])])).await), 401);
    let refused = async {
        loop {
            let record = pair.orders.decision().await;
            if !record.allowed {
                return record;
            }
        }
    };
    let record = tokio::time::timeout(PATIENCE, refused).await.unwrap();
    assert_eq!((record.reason.as_str(), record.token_issuer.as_str()), ("jwt-unknown-key", ISSUER));
}

/// Sends a request of HTTP/2 over an open transport: status, headers, body.
async fn http2(transport: TcpStream, target: &str, headers: &[(&str, &str)]) -> (u16, http::HeaderMap, String) {
    let exchange = async {
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(transport)).await.unwrap();
        tokio::spawn(connection);
        let mut request = http::Request::get(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = sender.send_request(request.body(Full::new(Bytes::new())).unwrap()).await.unwrap();
        let (parts, incoming) = response.into_parts();
        let body = incoming.collect().await.unwrap().to_bytes();
        (parts.status.as_u16(), parts.headers, String::from_utf8(body.to_vec()).unwrap())
    };
    tokio::time::timeout(PATIENCE, exchange).await.unwrap()
}

#[tokio::test]
async fn http2_is_held_to_the_same() {
    let key = Key::new("k");
    let rules = json!([{
        "issuer": ISSUER, "jwks": jwks(&[&key]), "fromCookies": ["session"], "fromParams": ["token"],
        "outputClaimToHeaders": [{ "header": "x-sub", "claim": "sub" }],
    }]);
    let mut pair = pair(app::echo().await, &rules, &[]);
    let token = key.sign(&claims("ann", now(&pair.orders)));
    let connect = || async { TcpStream::connect(pair.web.outbound("orders:8080")).await.unwrap() };
    let session = format!("session={token}");
    // A cookie header in crumbs (RFC 9113 §8.2.3).
    let crumbs = [("cookie", "a=1"), ("cookie", session.as_str()), ("cookie", "b=2"), ("x-sub", "eve")];
    let (status, _, seen) = http2(connect().await, "http://orders/private", &crumbs).await;
    assert_eq!(status, 200, "{seen}");
    assert!(seen.contains("cookie: a=1; b=2\n") && seen.contains("x-sub: ann\n") && !seen.contains("eve"), "{seen}");
    let target = format!("http://orders/private?a=b&token={token}");
    let (status, _, seen) = http2(connect().await, &target, &[]).await;
    assert!(status == 200 && seen.contains("GET /private?a=b\n") && !seen.contains(&token), "{seen}");
    let (status, headers, problem) = http2(connect().await, "http://orders/open?token=bad", &[]).await;
    assert_eq!((status, &headers["www-authenticate"]), (401, &"Bearer error=\"invalid_token\"".parse().unwrap()));
    assert!(problem.contains("\"decision\":\"") && !problem.contains("jwt"), "{problem}");
    let (status, _, _) = http2(connect().await, "http://orders/private", &[]).await;
    assert_eq!(status, 403);
    for reason in ["allowed", "allowed", "jwt-malformed", "no-rule-matched"] {
        assert_eq!(pair.orders.decision().await.reason, reason);
    }
}

#[tokio::test]
async fn a_gateway_asks_for_tokens_itself() {
    let key = Key::new("k");
    let mut gateway = plain_gateway(&Mesh::new(), app::echo().await);
    let ask =
        policy("in", "ALLOW", &json!([{ "from": [{ "source": { "requestPrincipals": [format!("{ISSUER}/*")] } }] }]));
    gateway
        .node
        .apply(|r| {
            r.policies = vec![ask];
            r.authentications =
                vec![authentication(&json!([{ "issuer": ISSUER, "jwksUri": KEYS, "forwardOriginalToken": true }]))];
            r.key_sets = vec![key_set(&[&key])];
        })
        .unwrap();
    let token = key.sign(&claims("ann", now(&gateway.node)));
    let line = bearer(&token);
    for (lines, want) in [(&[][..], 403), (&["Authorization: Bearer x"], 401), (&[line.as_str()], 200)] {
        let request = get("/orders/7", lines).replace("orders\r\n", "shop.example\r\n");
        let answer = raw(gateway.address, request).await;
        assert_eq!(status(&answer), want, "{answer}");
        assert_eq!(answer.contains("x-forwarded-for: 127.0.0.1\n"), want == 200, "{answer}");
        assert_eq!(answer.contains(&token), want == 200, "told to pass it on: {answer}");
        assert_eq!(gateway.node.decision().await.allowed, want == 200);
    }
}

#[tokio::test]
async fn no_record_holds_a_credential_even_where_policies_read_it() {
    let key = Key::new("k");
    let rules = json!([{
        "issuer": ISSUER, "jwks": jwks(&[&key]), "fromHeaders": [{ "name": "X-Partner", "prefix": "Token " }],
        "forwardOriginalToken": true, "outputPayloadToHeader": "x-payload",
    }]);
    let mut pair = pair(app::echo().await, &rules, &[]);
    let reading: Vec<Value> = ["authorization", "cookie", "x-api-key", "x-partner", "x-payload", "x-plain"]
        .map(|name| json!({ "when": [{ "key": format!("request.headers[{name}]"), "values": ["*"] }] }))
        .into();
    pair.orders.apply(|r| r.policies = vec![policy("read", "ALLOW", &reading.into())]).unwrap();
    let token = key.sign(&claims("ann", now(&pair.orders)));
    let line = format!("X-Partner: Token {token}");
    let lines =
        [line.as_str(), "Authorization: Basic c2VjcmV0", "Cookie: a=c2VjcmV0", "X-Api-Key: c2VjcmV0", "X-Plain: seen"];
    assert_eq!(status(&pair.raw(get("/private", &lines)).await), 200);
    let record = pair.orders.decision().await;
    let mut seen: Vec<_> = record.headers.iter().map(|h| (h.name.as_str(), h.value.as_str())).collect();
    seen.sort_unstable();
    let empty = |name| (name, "");
    let want = [
        empty("authorization"),
        empty("cookie"),
        empty("x-api-key"),
        empty("x-partner"),
        empty("x-payload"),
        ("x-plain", "seen"),
    ];
    assert_eq!(seen, want);
    let text = format!("{record:?}");
    assert!(!text.contains("c2VjcmV0") && !text.contains(&token) && !text.contains("a@b.test"), "{text}");
}

#[tokio::test]
async fn dry_run_records_a_bad_token_and_lets_it_through() {
    let key = Key::new("k");
    let mut pair = pair(app::echo().await, &remote(), &[&key]);
    let claim = json!([{
        "issuer": ISSUER, "jwksUri": KEYS, "outputClaimToHeaders": [{ "header": "x-sub", "claim": "sub" }],
    }]);
    pair.orders
        .apply(|r| {
            r.workload.dry_run = true;
            r.authentications = vec![authentication(&claim)];
        })
        .unwrap();
    let answer = pair.raw(get("/private", &["Authorization: Bearer x", "X-Sub: eve"])).await;
    assert!(status(&answer) == 200 && !answer.contains("eve"), "a dry run makes nobody somebody: {answer}");
    let record = pair.orders.decision().await;
    assert_eq!((record.reason.as_str(), record.status, record.allowed), ("jwt-malformed", 0, false));
}

/// Accepts an upgrade and echoes.
async fn websocket() -> SocketAddr {
    app::script(|mut stream| async move {
        app::head(&mut stream).await.unwrap();
        app::say(
            &mut stream,
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhi",
        )
        .await;
        let (mut read, mut write) = stream.into_split();
        let _ = tokio::io::copy(&mut read, &mut write).await;
    })
    .await
}

#[tokio::test]
async fn a_websocket_needs_a_token_keeps_to_it_and_ends_with_it() {
    let key = Key::new("k");
    let mut pair = pair(websocket().await, &remote(), &[&key]);
    let now = now(&pair.orders);
    let open = |token: String| {
        let lines = [bearer(&token), "Upgrade: websocket".to_owned()];
        let head =
            format!("GET /admin HTTP/1.1\r\nHost: orders\r\nConnection: upgrade\r\n{}\r\n\r\n", lines.join("\r\n"));
        let address = pair.web.outbound("orders:8080");
        async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(head.as_bytes()).await.unwrap();
            let answer = read_until(&mut stream, "\r\n\r\n").await;
            (status(&answer), stream)
        }
    };
    assert_eq!(open("x".to_owned()).await.0, 401);
    // At the end of what the clocks may differ: another second, and it is over.
    let mut short = claims("ann", now);
    short["exp"] = (now - 59).into();
    let (answer, mut ending) = open(key.sign(&short)).await;
    assert_eq!(answer, 101);
    let mut rest = Vec::new();
    tokio::time::timeout(PATIENCE, ending.read_to_end(&mut rest)).await.expect("cut").unwrap();
    // A change that leaves it its right leaves it open; one that takes it away cuts it.
    let (answer, mut staying) = open(key.sign(&claims("ann", now))).await;
    assert_eq!(answer, 101);
    pair.orders
        .apply(|r| r.policies.push(policy("more", "DENY", &json!([{ "to": [{ "operation": { "paths": ["/x"] } }] }]))))
        .unwrap();
    staying.write_all(b"still").await.unwrap();
    assert!(read_until(&mut staying, "still").await.contains("still"));
    let only_users = json!([{ "when": [{ "key": "request.auth.claims[role]", "values": ["user"] }] }]);
    pair.orders.apply(|r| r.policies = vec![policy("users", "ALLOW", &only_users)]).unwrap();
    let mut rest = Vec::new();
    tokio::time::timeout(PATIENCE, staying.read_to_end(&mut rest)).await.expect("cut").unwrap();
}

#[tokio::test]
async fn tcp_has_no_tokens_and_rules_about_them_deny_it() {
    let key = Key::new("k");
    let mesh = Mesh::new();
    let app = app::script(|mut stream| async move { app::say(&mut stream, "hello").await }).await;
    let allow = policy("all", "ALLOW", &json!([{}]));
    let mut db = mesh.sidecar("db", "", vec![service(5432, "postgres", app)], Vec::new(), vec![allow.clone()]);
    db.apply(|r| r.authentications = vec![authentication(&json!([{ "issuer": ISSUER, "jwks": jwks(&[&key]) }]))])
        .unwrap();
    let web = mesh.sidecar("web", "", Vec::new(), vec![upstream("db", 5432, "postgres", &[db.inbound()])], Vec::new());
    let connect = || async {
        let stream = TcpStream::connect(web.outbound("db:5432")).await.unwrap();
        let (mut read, _write) = stream.into_split();
        let mut text = String::new();
        tokio::time::timeout(PATIENCE, read.read_to_string(&mut text)).await.unwrap().unwrap();
        text
    };
    assert_eq!(connect().await, "hello");
    assert_eq!(db.decision().await.reason, "allowed");
    // An ALLOW that needs a token never holds; a DENY about what cannot be seen always does, and says so.
    let with_token = json!([{ "from": [{ "source": { "requestPrincipals": ["*"] } }] }]);
    let without_token = json!([{ "from": [{ "source": { "notRequestPrincipals": ["*"] } }] }]);
    let by_path = json!([{ "to": [{ "operation": { "paths": ["/admin"] } }] }]);
    for (policies, reason) in [
        (vec![policy("token", "ALLOW", &with_token)], "no-rule-matched"),
        (vec![allow.clone(), policy("no-token", "DENY", &without_token)], "http-rule-on-tcp"),
        (vec![allow.clone(), policy("admin", "DENY", &by_path)], "http-rule-on-tcp"),
    ] {
        db.apply(|r| r.policies = policies).unwrap();
        assert_eq!(connect().await, "");
        assert_eq!(db.decision().await.reason, reason);
    }
}

#[tokio::test]
async fn what_applications_may_take_for_a_place_of_tokens_holds_none_that_nobody_proved() {
    let key = Key::new("k");
    let place = json!([{ "name": "x-tok" }, { "name": "own_tok" }]);
    let rules =
        json!([{ "issuer": ISSUER, "jwks": jwks(&[&key]), "fromHeaders": place, "forwardOriginalToken": true }]);
    let pair = pair(app::echo().await, &rules, &[]);
    let token = key.sign(&claims("ann", now(&pair.orders)));
    let proven = format!("X-Tok: {token}");
    let seen = pair.raw(get("/private", &[&proven, "X_Tok: forged", "x_TOK: forged", "Own-Tok: forged"])).await;
    assert!(status(&seen) == 200 && seen.contains(&token) && !seen.contains("forged"), "{seen}");
    let seen = pair.raw(get("/private", &[&format!("Own_Tok: {token}")])).await;
    assert!(status(&seen) == 200 && seen.contains(&token), "{seen}");
    // In a place itself it is looked at.
    assert_eq!(status(&pair.raw(get("/private", &[&proven, "Own_Tok: forged"])).await), 401);
}
