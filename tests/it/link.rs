//! A real control plane and real proxies in this process, with a real application: identity, configuration and reports
//! over the wire between them.
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use daemon::{Clock, Tasks, logs::Format};
use proxy::{Kind, Proxy, Settings, control_link};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::eventually::eventually;

const DEADLINE: Duration = Duration::from_secs(60);

struct ControlPlane {
    config: control::Config,
    runtime: Runtime,
    running: control::Running,
}

impl ControlPlane {
    fn start(folder: &Path, listen: SocketAddr) -> Self {
        let config = control::Config {
            state: folder.join("control"),
            listen,
            socket: folder.join("control.sock"),
            log: Format::Json,
            drain_timeout: Duration::from_secs(1),
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let running = runtime.block_on(control::start(&config, Clock::system(), &Tasks::new())).unwrap();
        Self { config, runtime, running }
    }

    fn address(&self) -> SocketAddr {
        self.running.address
    }

    /// As it would die: nothing is said to anybody.
    fn die(self) -> SocketAddr {
        let address = self.address();
        self.runtime.shutdown_timeout(Duration::from_secs(10));
        address
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let mut socket = UnixStream::connect(&self.config.socket).unwrap();
        let body = if body.is_null() { String::new() } else { body.to_string() };
        write!(
            socket,
            "{method} {path} HTTP/1.1\r\nhost: ward\r\nconnection: close\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap_or(Value::Null))
    }

    fn apply(&self, model: &str) -> u64 {
        let files = json!({ "files": [{ "name": "ward.yaml", "text": model }] });
        let (status, answer) = self.ask("PUT", "/v1/model", &files);
        assert_eq!(status, 200, "{answer}");
        answer["revision"].as_u64().unwrap()
    }

    fn token(&self, node: &str) -> String {
        let (status, answer) = self.ask("POST", "/v1/tokens", &json!({ "node": node }));
        assert!((200..300).contains(&status), "{answer}");
        answer["token"].as_str().unwrap().to_owned()
    }

    fn instances(&self) -> Vec<(String, u64)> {
        let list = self.running.plane.registry.list();
        list.into_iter().filter(|i| i.connected).map(|i| (i.row.instance, i.row.acked)).collect()
    }
}

/// A proxy of this process.
struct Sidecar {
    runtime: Runtime,
    proxy: Proxy,
    link: Option<control_link::Link>,
    state: PathBuf,
}

impl Sidecar {
    fn start(folder: &Path, node: &str, control: SocketAddr, token: &str) -> Self {
        let state = folder.join(node);
        let text = format!(
            "inbound: 127.0.0.1:15008\nlimits: {{}}\ndrain_timeout: 1s\ncontrol: {{ address: '{control}', node: {node}, \
             token: {token}, state_dir: '{}', isolation: loopback }}\n",
            state.display()
        );
        let mut settings = Settings::parse(Path::new("proxy.yaml"), &text).unwrap();
        settings.ephemeral_ports = true;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let proxy = Proxy::new(settings, Clock::system(), Tasks::new()).unwrap();
        proxy.start().unwrap();
        let link = control_link::start(proxy.clone()).unwrap();
        Self { runtime, proxy, link: Some(link), state }
    }

    fn port_to(&self, upstream: &str) -> Option<SocketAddr> {
        let named = |kind: &Kind| matches!(kind, Kind::Outbound(name) if &**name == upstream);
        self.proxy.addresses().into_iter().find(|(kind, _)| named(kind)).map(|(_, address)| address)
    }

    /// The certificate it has on disk.
    fn certificate(&self) -> String {
        let kept = std::fs::read_to_string(self.state.join("identity.json")).unwrap_or_default();
        let kept: Value = serde_json::from_str(&kept).unwrap_or_default();
        kept["chain"].as_str().unwrap_or_default().to_owned()
    }
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        self.runtime.block_on(self.proxy.shutdown());
        if let Some(link) = self.link.take() {
            self.runtime.block_on(link.finish());
        }
    }
}

/// An application that answers every request; returns its port.
fn application() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            thread::spawn(move || {
                while read_head(&mut stream).is_some()
                    && stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").is_ok()
                {}
            });
        }
    });
    port
}

/// The first line of a message without a body.
fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.extend(byte);
    }
    Some(String::from_utf8(head).ok()?.lines().next()?.to_owned())
}

/// The status of one request over a new connection.
fn status(address: SocketAddr, path: &str) -> Result<u16, String> {
    status_of(address, path, "")
}

/// The same with more header lines.
fn status_of(address: SocketAddr, path: &str, headers: &str) -> Result<u16, String> {
    let mut stream = TcpStream::connect(address).map_err(|e| e.to_string())?;
    stream.set_read_timeout(Some(DEADLINE)).map_err(|e| e.to_string())?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: orders\r\nconnection: close\r\n{headers}\r\n")
        .map_err(|e| e.to_string())?;
    let line = read_head(&mut stream).ok_or("closed without an answer")?;
    line.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or(line)
}

fn model(app: u16, allow: &str, more: &str) -> String {
    format!(
        "ward: 1\nmodel: lab\ntrust_domain: lab.example\nmesh: {{ svid_ttl: 10s }}\nzones: {{ shop: {{}} }}\n\
         data: {{ order: {{ class: internal }} }}\nnodes:\n  web: {{ kind: service, zone: shop, run: {{ command: [web] }} }}\n  \
         orders: {{ kind: service, zone: shop, serves: [{{ port: {app}, protocol: http }}], run: {{ command: [orders] }} }}\n\
         {more}flows:\n  - {{ id: place, from: web, to: orders, carries: [order], via: {{ allow: [{allow:?}] }} }}\n"
    )
}

struct Lab {
    // Dropped in this order: the proxies say goodbye to a control plane that is still there.
    web: Sidecar,
    orders: Sidecar,
    control: ControlPlane,
    app: u16,
    folder: TempDir,
}

impl Lab {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let app = application();
        let control = ControlPlane::start(folder.path(), "127.0.0.1:0".parse().unwrap());
        control.apply(&model(app, "GET /orders", ""));
        let sidecar = |node| Sidecar::start(folder.path(), node, control.address(), &control.token(node));
        let (web, orders) = (sidecar("web"), sidecar("orders"));
        let lab = Self { web, orders, control, app, folder };
        lab.in_force(1);
        lab.passes("/orders");
        lab
    }

    fn upstream(&self) -> SocketAddr {
        let name = format!("orders:{}", self.app);
        eventually("the local port", DEADLINE, || self.web.port_to(&name).ok_or("not yet".to_owned()))
    }

    /// Both proxies are connected and have acknowledged the revision.
    fn in_force(&self, revision: u64) {
        eventually("both proxies at the revision", DEADLINE, || {
            let instances = self.control.instances();
            let there = instances.iter().filter(|(_, acked)| *acked >= revision).count() == 2;
            if there { Ok(()) } else { Err(format!("{instances:?}")) }
        });
    }

    fn passes(&self, path: &str) {
        let upstream = self.upstream();
        eventually("a request that passes", DEADLINE, || match status(upstream, path) {
            Ok(200) => Ok(()),
            other => Err(format!("{other:?}")),
        });
    }
}

#[test]
fn what_flows_is_counted_and_what_is_refused_is_recorded() {
    let lab = Lab::start();
    let upstream = lab.upstream();
    assert_eq!(status(upstream, "/admin"), Ok(403));
    eventually("the refusal at the control plane", DEADLINE, || {
        let (_, answer) = lab.control.ask("GET", "/v1/decisions?allowed=false", &Value::Null);
        let found = answer["decisions"].as_array().is_some_and(|all| all.iter().any(|d| d["path"] == "/admin"));
        if found { Ok(()) } else { Err(answer.to_string()) }
    });
    for _ in 0..10 {
        assert_eq!(status(upstream, "/orders"), Ok(200));
    }
    eventually("the count at the control plane", DEADLINE, || {
        let (_, answer) = lab.control.ask("GET", "/v1/flows", &Value::Null);
        let flows = answer["flows"].as_array().cloned().unwrap_or_default();
        let place = flows.iter().find(|flow| flow["id"] == "place" || flow["flow"] == "place").cloned();
        let place = place.unwrap_or_default();
        // The requests that waited for the mesh to come up count as well.
        if place["allowed"].as_u64().is_some_and(|n| n >= 11) { Ok(()) } else { Err(answer.to_string()) }
    });
}

#[test]
fn a_change_is_in_force_at_the_proxies_and_a_node_that_goes_is_closed() {
    let lab = Lab::start();
    let upstream = lab.upstream();
    let second = lab.control.apply(&model(lab.app, "GET /other", ""));
    lab.in_force(second);
    lab.passes("/other");
    assert_eq!(status(upstream, "/orders"), Ok(403));
    // Without `web` in the model its identity means nothing any more.
    let without = "ward: 1\nmodel: lab\ntrust_domain: lab.example\nmesh: { svid_ttl: 10s }\nzones: { shop: {} }\n\
                   data: { order: { class: internal } }\nnodes:\n  orders: { kind: service, zone: shop, serves: [{ port: 1, \
                   protocol: http }], run: { command: [orders] } }\nflows: []\n";
    lab.control.apply(without.replace("port: 1", &format!("port: {}", lab.app)).as_str());
    let name = format!("orders:{}", lab.app);
    eventually("the port of the flow that is gone", DEADLINE, || match lab.web.port_to(&name) {
        None => Ok(()),
        Some(address) => Err(format!("still open at {address}")),
    });
}

#[test]
fn svids_are_renewed_under_load_and_no_request_fails() {
    let lab = Lab::start();
    let upstream = lab.upstream();
    let stop = AtomicBool::new(false);
    let first = (lab.web.certificate(), lab.orders.certificate());
    assert!(first.0.contains("BEGIN CERTIFICATE"));
    thread::scope(|scope| {
        let load = scope.spawn(|| {
            let mut requests = 0;
            while !stop.load(Ordering::Relaxed) {
                assert_eq!(status(upstream, "/orders"), Ok(200), "request {requests}");
                requests += 1;
            }
            requests
        });
        let renewed = |before: &(String, String)| {
            eventually("new certificates", DEADLINE, || {
                let now = (lab.web.certificate(), lab.orders.certificate());
                let both = now.0 != before.0 && now.1 != before.1;
                if both || load.is_finished() { Ok(now) } else { Err("the same as before".to_owned()) }
            })
        };
        let second = renewed(&first);
        renewed(&second);
        stop.store(true, Ordering::Relaxed);
        assert!(load.join().unwrap() > 10);
    });
    assert!(lab.web.proxy.is_ready() && lab.orders.proxy.is_ready());
}

#[test]
fn the_control_plane_dies_under_load_and_comes_back() {
    let Lab { web, orders, control, app, folder } = Lab::start();
    let name = format!("orders:{app}");
    let upstream = web.port_to(&name).unwrap();
    let address = control.die();
    for request in 0..50 {
        assert_eq!(status(upstream, "/orders"), Ok(200), "request {request}");
    }
    let control = ControlPlane::start(folder.path(), address);
    let lab = Lab { web, orders, control, app, folder };
    lab.in_force(1);
    let second = lab.control.apply(&model(app, "GET /other", ""));
    lab.in_force(second);
    lab.passes("/other");
    assert!(lab.folder.path().exists());
}

/// A key of an issuer: what the model says of it, and a header line with a token of it.
fn issuer_key() -> (String, String) {
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let point = key.public_key().as_ref().to_vec();
    let public =
        json!({ "keys": [{ "kty": "EC", "crv": "P-256", "x": encode(&point[1..33]), "y": encode(&point[33..]) }] });
    let exp = Clock::system().unix_ms() / 1000 + 3600;
    let claims = json!({ "iss": "https://issuer.lab.example", "sub": "ann", "exp": exp });
    let signed = format!("{}.{}", encode(br#"{"alg":"ES256"}"#), encode(claims.to_string().as_bytes()));
    let signature = key.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
    (public.to_string(), format!("authorization: Bearer {signed}.{}\r\n", encode(signature.as_ref())))
}

#[test]
fn tokens_readings_and_dry_runs_of_the_model_are_kept_by_the_proxies() {
    let lab = Lab::start();
    let upstream = lab.upstream();
    let apply = |mesh: &str, jwks: &str| {
        let issuers = format!("issuers: {{ lab: {{ issuer: https://issuer.lab.example, jwks: '{jwks}' }} }}");
        let text = model(lab.app, "GET /orders", "")
            .replace("svid_ttl: 10s", &format!("svid_ttl: 10s, {issuers}{mesh}"))
            .replace("via: { ", "via: { jwt: lab, ");
        lab.in_force(lab.control.apply(&text));
    };
    let answers = |cases: &[(&str, &str, u16)]| {
        for (path, headers, want) in cases {
            assert_eq!(status_of(upstream, path, headers), Ok(*want), "{path} {headers}");
        }
    };
    let ((old, old_token), (new, new_token)) = (issuer_key(), issuer_key());
    let bad = "authorization: Bearer x\r\n";
    apply("", &old);
    answers(&[
        ("/orders", "", 403),
        ("/orders", bad, 401),
        ("/orders", &new_token, 401),
        ("/orders", &old_token, 200),
        ("/admin", &old_token, 403),
        ("//orders", &old_token, 200),
    ]);
    // The issuer changes its keys: what was good is good no longer.
    apply("", &new);
    answers(&[("/orders", &old_token, 401), ("/orders", &new_token, 200)]);
    // To Envoy `//orders` is another path.
    apply(", compat: istio", &new);
    answers(&[("/orders", &new_token, 200), ("//orders", &new_token, 403), ("/orders", bad, 401)]);
    // Refusals are recorded, and let through.
    apply(", mode: dry-run", &new);
    answers(&[("/orders", "", 200), ("/orders", bad, 200), ("/dry", &new_token, 200)]);
    eventually("the refusals of the dry run at the control plane", DEADLINE, || {
        let (_, answer) = lab.control.ask("GET", "/v1/decisions?allowed=false", &Value::Null);
        let all = answer["decisions"].as_array().cloned().unwrap_or_default();
        let dry: Vec<_> = all.iter().filter(|d| d["path"] == "/dry").collect();
        let let_through = dry.iter().all(|d| d["status"].as_u64().unwrap_or_default() == 0);
        if dry.len() == 1 && let_through { Ok(()) } else { Err(answer.to_string()) }
    });
}
