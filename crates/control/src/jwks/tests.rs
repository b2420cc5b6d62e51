//! Keys from a real HTTPS server: what counts as keys, when they change, and when they are given up.
use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use expect_test::expect;
use prost::Message;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;
use wire::v1::resources::{Authentication, KeySet};

use super::{BACKOFF_MIN, FetchError, Inside, KEPT_MAX, REFRESH, Source, TIMEOUT, Trust, fetch};
use crate::{
    snapshot::Kind,
    testkit::{Mesh, SHOP, shown, until},
};

const GATEWAY: &str = "spiffe://shop.example/ns/edge/sa/gateway";
const ORDERS: &str = "spiffe://shop.example/ns/shop/sa/orders";
const PAYMENTS: &str = "spiffe://shop.example/ns/shop/sa/payments";

/// A server whose answer can be changed; `None` never answers.
struct Server {
    address: SocketAddr,
    answer: Arc<Mutex<Option<Vec<u8>>>>,
    asked: Arc<AtomicUsize>,
}

impl Server {
    /// With a certificate of the mesh's own authority for `host`, or in plain text.
    async fn start(mesh: &Mesh, host: Option<&str>) -> Self {
        let tls = host.map(|host| {
            let (key, csr) = identity::csr::new().unwrap();
            let issuer = mesh.plane().current().unwrap().issuer.clone();
            let issued = issuer.sign_server(&csr, &[host], Duration::from_secs(86_400), mesh.clock.now()).unwrap();
            TlsAcceptor::from(identity::gateway_server_config(issued.chain, &key, Vec::new()).unwrap())
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            answer: Arc::new(Mutex::new(None)),
            asked: Arc::new(AtomicUsize::new(0)),
        };
        let (answer, asked) = (server.answer.clone(), server.asked.clone());
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                asked.fetch_add(1, Ordering::SeqCst);
                let answer = answer.lock().unwrap().clone();
                let tls = tls.clone();
                tokio::spawn(async move {
                    match tls {
                        Some(tls) => {
                            let Ok(stream) = tls.accept(stream).await else { return };
                            speak(stream, answer).await;
                        }
                        None => speak(stream, answer).await,
                    }
                });
            }
        });
        server
    }

    fn say(&self, head: &str, body: &[u8]) {
        let mut answer = format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n", body.len()).into_bytes();
        answer.extend_from_slice(body);
        *self.answer.lock().unwrap() = Some(answer);
    }

    fn say_keys(&self, set: &Value) {
        self.say("200 OK\r\ncontent-type: application/json", set.to_string().as_bytes());
    }

    fn source(&self, inside: Inside) -> Source {
        Source { address: format!("https://localhost:{}/jwks.json", self.address.port()), inside, timeout: TIMEOUT }
    }
}

async fn speak<S: AsyncReadExt + AsyncWriteExt + Unpin>(mut stream: S, answer: Option<Vec<u8>>) {
    let mut seen = Vec::new();
    let mut bytes = [0; 1024];
    while !seen.windows(4).any(|four| four == b"\r\n\r\n") {
        match stream.read(&mut bytes).await {
            Ok(0) | Err(_) => return,
            Ok(n) => seen.extend_from_slice(&bytes[..n]),
        }
    }
    match answer {
        Some(answer) => {
            let _ = stream.write_all(&answer).await;
            let _ = stream.shutdown().await;
        }
        None => std::future::pending().await,
    }
}

/// A public key nobody has the private part of any more.
fn key(id: &str) -> Value {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
    let [x, y] = [x, y].map(|part| URL_SAFE_NO_PAD.encode(part));
    json!({ "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": id, "x": x, "y": y })
}

fn set(ids: &[&str]) -> Value {
    json!({ "keys": ids.iter().map(|id| key(id)).collect::<Vec<_>>() })
}

/// The shop, whose customers need a token of the issuer at `address`.
fn model(address: &str, more: &str) -> String {
    SHOP.replace("zones:\n", &format!("mesh: {{ issuers: {{ shop: {{ issuer: https://shop.example, jwks_uri: '{address}', forward: true{more} }} }} }}\nzones:\n"))
        .replace("carries: [order] }\n  - { id: place", "carries: [order], via: { jwt: shop } }\n  - { id: place")
        .replace("audit: high }", "audit: high, jwt: { claims: { role: [customer] } } }")
}

/// The ids of the keys that a node has: `-` for a set without any, nothing without a set.
fn keys_of(mesh: &Mesh, id: &str) -> String {
    let current = mesh.plane().current().unwrap();
    let node = current.snapshot.of(&id.to_owned().try_into().unwrap()).unwrap().clone();
    let shown = node.of(Kind::KeySet).iter().map(|resource| {
        let set = KeySet::decode(resource.body.as_slice()).unwrap();
        assert_eq!(set.name, resource.name);
        let keys: Value = serde_json::from_str(&set.jwks).unwrap_or_default();
        let ids: Vec<_> =
            keys["keys"].as_array().into_iter().flatten().map(|k| k["kid"].as_str().unwrap().to_owned()).collect();
        if ids.is_empty() { "-".to_owned() } else { ids.join(" ") }
    });
    shown.collect::<Vec<_>>().join("; ")
}

/// Moves the clock and has the loop look.
fn later(mesh: &Mesh, by: Duration) {
    mesh.clock.advance(by);
    mesh.plane().keys.wake.notify_one();
}

#[tokio::test]
async fn keys_come_to_those_who_need_them_and_change_without_a_revision() {
    let mesh = Mesh::shop().await;
    let server = Server::start(&mesh, Some("localhost")).await;
    server.say_keys(&set(&["one"]));
    let gateway = mesh.join("gateway").await;
    let revision = mesh.apply(&model(&server.source(Inside::Loopback).address, "")).await;
    until(|| keys_of(&mesh, GATEWAY) == "one").await;
    assert_eq!([ORDERS, PAYMENTS].map(|id| keys_of(&mesh, id)), ["one".to_owned(), String::new()]);

    let mut stream = gateway.discover("gateway/0").await;
    let first = stream.take(Kind::ALL.len()).await;
    expect![[r#"
        KeySet +https://localhost/jwks.json
        Authentication +edge/issuer-shop.gateway
        Bundle +shop.example
        Policy +edge/flow-checkout
        Upstream +orders:8080
        Workload +gateway
    "#]]
    .assert_eq(&shown(&first).replace(&format!(":{}/", server.address.port()), "/"));
    let document = &first[1].resources[0].resource.as_ref().unwrap().value;
    let document: Value = serde_json::from_str(&Authentication::decode(document.as_slice()).unwrap().document).unwrap();
    assert_eq!(document["spec"]["jwtRules"][0]["issuer"], "https://shop.example");

    // The issuer takes another key.
    server.say_keys(&set(&["two", "three"]));
    later(&mesh, REFRESH);
    until(|| keys_of(&mesh, GATEWAY) == "two three").await;
    let next = stream.next().await;
    expect![[r#"
        KeySet +https://localhost/jwks.json
    "#]]
    .assert_eq(&shown(std::slice::from_ref(&next)).replace(&format!(":{}/", server.address.port()), "/"));
    assert_eq!(next.system_version_info, revision.to_string());
    noted(&mesh, "keys-rotated two, three for one").await;
    noted(&mesh, "keys-fetched one").await;

    let (status, answer) = mesh.ask("GET", "/v1/issuers", None).await;
    assert_eq!(status, 200);
    let issuer = &answer["issuers"][0];
    assert_eq!(
        (issuer["issuer"].as_str(), &issuer["nodes"], &issuer["keys"], issuer["state"].as_str()),
        (Some("https://shop.example"), &json!(["gateway", "orders"]), &json!(["two", "three"]), Some("good"))
    );
}

async fn events(mesh: &Mesh) -> String {
    let rows = mesh.plane().store.events(100).await.unwrap();
    rows.iter().map(|event| format!("{} {}\n", event.action, event.detail)).collect()
}

/// Waits for an event that says this.
async fn noted(mesh: &Mesh, what: &str) {
    let waiting = async {
        while !events(mesh).await.contains(what) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting).await.unwrap();
}

/// CVE-2026-31837: where keys could not be fetched a well-known default key took their place, and tokens signed with it
/// were good. Here no keys are no keys, before the first fetch and after the last good set is too old.
#[tokio::test]
async fn cve_2026_31837_without_keys_there_are_no_keys() {
    let mesh = Mesh::shop().await;
    let server = Server::start(&mesh, Some("localhost")).await;
    server.say("503 Busy", b"");
    mesh.apply(&model(&server.source(Inside::Loopback).address, "")).await;
    until(|| server.asked.load(Ordering::SeqCst) > 0).await;
    until(|| mesh.plane().keys.statuses().values().any(|status| status.error.is_some())).await;
    assert_eq!(keys_of(&mesh, GATEWAY), "-");

    // Asked again soon, until there are some.
    server.say_keys(&set(&["one"]));
    later(&mesh, BACKOFF_MIN);
    until(|| keys_of(&mesh, GATEWAY) == "one").await;

    // A failure leaves them for a while, and no longer.
    server.say("200 OK", b"{\"keys\": []}");
    later(&mesh, REFRESH);
    until(|| mesh.plane().keys.statuses().values().any(|status| status.error.is_some())).await;
    assert_eq!(keys_of(&mesh, GATEWAY), "one");
    later(&mesh, KEPT_MAX - Duration::from_millis(1));
    until(|| server.asked.load(Ordering::SeqCst) > 3).await;
    assert_eq!(keys_of(&mesh, GATEWAY), "one");
    later(&mesh, Duration::from_millis(1));
    until(|| keys_of(&mesh, GATEWAY) == "-").await;
    noted(&mesh, "keys-given-up").await;
    assert_eq!(events(&mesh).await.matches("keys-failed").count(), 2, "one line for each time that it begins to fail");
}

#[tokio::test]
async fn keys_outlast_a_restart_but_not_their_time() {
    let mesh = Mesh::shop().await;
    let server = Server::start(&mesh, Some("localhost")).await;
    server.say_keys(&set(&["one"]));
    let address = server.source(Inside::Loopback).address;
    mesh.apply(&model(&address, "")).await;
    until(|| keys_of(&mesh, GATEWAY) == "one").await;
    until(|| {
        mesh.dir
            .path()
            .join("state/keys")
            .read_dir()
            .is_ok_and(|mut files| files.any(|file| file.unwrap().path().extension().is_some_and(|end| end == "json")))
    })
    .await;
    server.say("503 Busy", b"");
    let mesh = mesh.restart().await;
    assert_eq!(keys_of(&mesh, GATEWAY), "one");
    mesh.clock.advance(REFRESH + KEPT_MAX);
    let mesh = mesh.restart().await;
    assert_eq!(keys_of(&mesh, GATEWAY), "-");
}

#[tokio::test]
async fn what_is_no_key_set() {
    let mesh = Mesh::shop().await;
    let server = Server::start(&mesh, Some("localhost")).await;
    let (trust, issuer) = (Arc::new(Trust::default()), mesh.plane().current().unwrap().issuer.clone());
    let ask = async |source: &Source| match fetch::fetch(source, &trust, &issuer, &mesh.clock).await {
        Ok(keys) => keys,
        Err(error) => daemon::logs::chain(&error),
    };
    let source = server.source(Inside::Loopback);

    // Certificates, private parts and shared secrets go no further.
    let mut mixed = set(&["one"]);
    mixed["keys"][0]["x5c"] = json!(["AAAA"]);
    mixed["keys"][0]["d"] = json!("AAAA");
    mixed["keys"].as_array_mut().unwrap().push(json!({ "kty": "oct", "k": "AAAA" }));
    mixed["keys"].as_array_mut().unwrap().push(key("two"));
    server.say_keys(&mixed);
    let got: Value = serde_json::from_str(&ask(&source).await).unwrap();
    let members: Vec<_> = got["keys"].as_array().unwrap().iter().map(|key| key.as_object().unwrap().len()).collect();
    assert!(members.iter().all(|count| *count == 7), "{got}");

    let large = vec![b' '; identity::token::JWKS_BYTES_MAX + 1];
    for (head, body, said) in [
        ("200 OK", &b"<html>"[..], "the answer is no usable key set: the key set is no JSON object"),
        ("200 OK", b"{\"issuer\": \"https://shop.example\"}", "the answer is no usable key set"),
        ("200 OK", b"{\"keys\": []}", "the answer is no usable key set: the key set has no usable key"),
        ("200 OK", b"{\"keys\": [{\"kty\": \"oct\", \"k\": \"c2VjcmV0\"}]}", "the key set has no usable key"),
        ("200 OK", b"\xff\xfe", "the answer is not text"),
        ("302 Found\r\nlocation: https://localhost/", b"", "302 Found, a redirect: name the address it leads to"),
        ("404 Not Found", b"", "the answer is 404 Not Found"),
        ("200 OK", &large, "the answer is longer than 1048576 bytes"),
    ] {
        server.say(head, body);
        let answer = ask(&source).await;
        assert!(answer.contains(said), "{head}: {answer}");
    }
    // Without a length the bytes are counted.
    let mut endless = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    endless.extend_from_slice(&large);
    *server.answer.lock().unwrap() = Some(endless);
    assert!(ask(&source).await.contains("the answer is longer than"));
    *server.answer.lock().unwrap() = Some(b"nonsense\r\n\r\n".to_vec());
    assert!(ask(&source).await.contains("no answer that can be read"));
    // Nobody waits for a slow one.
    *server.answer.lock().unwrap() = None;
    let impatient = Source { timeout: Duration::from_millis(50), ..source.clone() };
    assert!(ask(&impatient).await.contains("no whole answer within"));
    // Nobody there.
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let gone = Source { address: format!("https://localhost:{}/", nobody.port()), ..source.clone() };
    assert!(ask(&gone).await.contains("no connection to"));
    // A certificate for another host.
    let other = Server::start(&mesh, Some("other.example")).await;
    other.say_keys(&set(&["one"]));
    assert!(ask(&other.source(Inside::Loopback)).await.contains("no TLS connection"));
    // On this machine, and nowhere else, without TLS.
    let plain = Server::start(&mesh, None).await;
    plain.say_keys(&set(&["one"]));
    let plaintext = Source { address: format!("http://127.0.0.1:{}/k", plain.address.port()), ..source.clone() };
    assert!(ask(&plaintext).await.starts_with("{\"keys\""));
    let remote = Source { address: "http://login.example/keys".to_owned(), ..source };
    assert!(ask(&remote).await.contains("plain http"));
}

/// GHSA-fgw5-hp8f-xfhc: an address of keys in a tenant's document made the control plane ask inside its own network.
#[tokio::test]
async fn ghsa_fgw5_hp8f_xfhc_nobody_is_asked_inside_the_own_network() {
    for (ip, inside, tls, expected) in [
        ("1.1.1.1", Inside::Nowhere, true, true),
        ("1.1.1.1", Inside::Private, false, false),
        ("127.0.0.1", Inside::Nowhere, true, false),
        ("127.0.0.1", Inside::Loopback, false, true),
        ("::1", Inside::Loopback, true, true),
        ("::ffff:127.0.0.1", Inside::Nowhere, true, false),
        ("10.0.0.1", Inside::Nowhere, true, false),
        ("10.0.0.1", Inside::Loopback, true, false),
        ("10.0.0.1", Inside::Private, true, true),
        ("10.0.0.1", Inside::Private, false, false),
        ("::ffff:10.0.0.1", Inside::Loopback, true, false),
        ("169.254.169.254", Inside::Private, true, false),
        ("fe80::1", Inside::Private, true, false),
        ("0.0.0.0", Inside::Private, true, false),
    ] {
        let ip: IpAddr = ip.parse().unwrap();
        assert_eq!(fetch::allowed(ip, inside, tls), expected, "{ip} {inside:?} {tls}");
    }

    // Where the mesh does not say so, there is not even a connection.
    let mesh = Mesh::shop().await;
    let server = Server::start(&mesh, Some("localhost")).await;
    server.say_keys(&set(&["one"]));
    let (trust, issuer) = (Arc::new(Trust::default()), mesh.plane().current().unwrap().issuer.clone());
    let refused = fetch::fetch(&server.source(Inside::Nowhere), &trust, &issuer, &mesh.clock).await;
    assert!(matches!(refused, Err(FetchError::Inside { .. })), "{refused:?}");
    assert_eq!(server.asked.load(Ordering::SeqCst), 0);

    // A document beside the model cannot say so; the mesh's own issuers can.
    let address = server.source(Inside::Nowhere).address;
    let document = format!(
        "apiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: {{ name: x, namespace: edge }}\nspec: {{ jwtRules: [{{ issuer: x, jwksUri: '{address}' }}] }}\n"
    );
    let with = |model: &str| {
        let file = |name: &str, text: &str| json!({ "name": name, "text": text });
        json!({ "files": [file("tokens.yaml", &document), file("ward.yaml", model)] })
    };
    let (status, answer) = mesh.ask("PUT", "/v1/model", Some(with(SHOP))).await;
    assert_eq!((status, answer["diagnostics"][0]["code"].as_str()), (422, Some("private-address")));
    let (status, _) = mesh.ask("PUT", "/v1/model", Some(with(&model(&address, "")))).await;
    assert_eq!(status, 200);
    until(|| keys_of(&mesh, GATEWAY) == "one").await;
}

#[test]
fn the_course_of_failures() {
    use super::held::{Change, Held};
    let source = Source {
        address: "https://a.example/keys".to_owned(),
        inside: Inside::Nowhere,
        timeout: Duration::from_secs(5),
    };
    // How long it is until it is asked again, after each failure.
    let pauses = |held: &mut Held, mut now: u64| -> Vec<u64> {
        let mut pauses = Vec::new();
        for _ in 0..8 {
            let failed = held.end(&source, Err("x".to_owned()), now);
            assert!(matches!(failed, Change::Failed { first, .. } if first == pauses.is_empty()), "{failed:?}");
            let before = now;
            while held.begin(now).is_none() {
                now += 500;
            }
            assert_eq!(held.begin(now), None, "already under way");
            pauses.push((now - before) / 1_000);
        }
        pauses
    };
    let mut held = Held::new(source.clone(), 0);
    assert_eq!(held.begin(0), Some(source.clone()));
    assert_eq!(pauses(&mut held, 0), [1, 2, 4, 5, 5, 5, 5, 5], "without keys");
    let now = 1_000_000;
    assert!(matches!(held.end(&source, Ok("{}".to_owned()), now), Change::New { .. }));
    held.hurry(now);
    assert_eq!(held.begin(now), None, "only what is missing is hurried");
    assert_eq!(held.begin(now + 300_000), Some(source.clone()));
    assert_eq!(pauses(&mut held, now + 300_000), [1, 2, 4, 8, 16, 32, 60, 60], "with the last good ones");

    let mut held = Held::new(source.clone(), now);
    assert_eq!(held.begin(now), Some(source.clone()));
    // An answer to another question is none.
    let narrower = Source { inside: Inside::Private, ..source.clone() };
    assert_eq!(held.end(&narrower, Ok("{}".to_owned()), now), Change::Nothing);
    assert_eq!(held.keys(), None);
    // What may be served by the mesh itself is asked for when an instance comes; others are not.
    for (inside, at_once) in [(Inside::Nowhere, false), (Inside::Loopback, true)] {
        let source = Source { inside, ..source.clone() };
        let mut held = Held::new(source.clone(), now);
        held.begin(now);
        held.end(&source, Err("x".to_owned()), now);
        held.hurry(now);
        assert_eq!(held.begin(now).is_some(), at_once);
    }
    // Nobody knows how old keys from the future are.
    held.take_up("{}".to_owned(), now + 1, now);
    assert_eq!(held.keys(), None);
}
