//! Probes against destinations of every temper: what counts as evidence and what does not.
use std::{
    net::Ipv4Addr,
    time::{Duration, SystemTime},
};

use ca::Authority;
use daemon::Tasks;
use identity::{ServerOptions, csr};
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;

const ORDERS: &str = "spiffe://shop.example/ns/shop/sa/orders";
const NOW: u64 = 1_800_000_000;

struct Lab {
    clock: Clock,
    root: Authority,
    bundle: Bundle,
    tasks: Tasks,
}

/// What a destination does with a connection.
#[derive(Clone, Copy)]
enum Temper {
    /// Mutual TLS, then this HTTP/1.1 answer.
    Mesh(&'static str),
    /// Mutual TLS, then closes.
    MeshHangup,
    /// No TLS, this answer to anything.
    Plain(&'static str),
    /// Accepts mutual TLS and plaintext alike.
    Both(&'static str),
}

const PASSED: &str = "HTTP/1.1 204 No Content\r\nward-probe-result: passed\r\n\r\n";
const REFUSED: &str = "HTTP/1.1 403 Forbidden\r\ncontent-type: application/problem+json\r\ncontent-length: 37\r\n\r\n\
                       {\"status\":403,\"decision\":\"01decision\"}";
const APPLICATION: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const APPLICATION_403: &str = "HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno";

impl Lab {
    fn new() -> Self {
        let clock = Clock::manual(NOW * 1_000);
        let domain: model::TrustDomain = "shop.example".parse().unwrap();
        let day = Duration::from_secs(86_400);
        let root = Authority::generate_root(&domain, 10 * day, clock.now() - day).unwrap();
        let bundle = Bundle::from_der(domain, vec![root.certificate().clone()]).unwrap();
        Self { clock, root, bundle, tasks: Tasks::new() }
    }

    fn svid(&self, id: &str) -> Svid {
        self.signed(&self.root, id, self.clock.now())
    }

    fn signed(&self, authority: &Authority, id: &str, at: SystemTime) -> Svid {
        let (key, csr) = csr::new().unwrap();
        let issued = authority.sign_svid(&csr, &id.parse().unwrap(), Duration::from_secs(3_600), at).unwrap();
        Svid::from_der(issued.chain, key).unwrap()
    }

    fn server(&self, alpn: &[u8]) -> Arc<ServerConfig> {
        let options = ServerOptions {
            alpn: vec![alpn.to_vec()],
            time: Some(Arc::new(TlsTime(self.clock.clone()))),
            ..Default::default()
        };
        identity::server_config(&self.svid(ORDERS), &self.bundle, &options).unwrap()
    }

    async fn destination(&self, temper: Temper) -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tls, tasks) = (self.server(b"http/1.1"), self.tasks.clone());
        self.tasks.spawn(async move {
            loop {
                let (mut tcp, _) = listener.accept().await.unwrap();
                let tls = tls.clone();
                tasks.spawn(async move {
                    let mut first = [0];
                    let speaks_tls = tcp.peek(&mut first).await.is_ok_and(|n| n == 1) && first == [0x16];
                    match temper {
                        Temper::Plain(answer) => drop(tcp.write_all(answer.as_bytes()).await),
                        Temper::Both(answer) if !speaks_tls => respond(&mut tcp, answer).await,
                        Temper::Mesh(answer) | Temper::Both(answer) => {
                            let Ok(mut stream) = TlsAcceptor::from(tls).accept(tcp).await else { return };
                            respond(&mut stream, answer).await;
                        }
                        Temper::MeshHangup => drop(TlsAcceptor::from(tls).accept(tcp).await),
                    }
                });
            }
        });
        address
    }

    /// An HTTP/2 destination that answers every request with this status and result.
    async fn tunnel(&self, status: u16, result: &'static str) -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tls, tasks) = (self.server(b"h2"), self.tasks.clone());
        self.tasks.spawn(async move {
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                let tls = tls.clone();
                tasks.spawn(async move {
                    let Ok(stream) = TlsAcceptor::from(tls).accept(tcp).await else { return };
                    let service =
                        hyper::service::service_fn(move |request: Request<hyper::body::Incoming>| async move {
                            assert_eq!(request.uri().authority().unwrap(), "orders.shop:5432");
                            assert_eq!(request.headers()[PROBE_HEADER], "nonce");
                            let mut response = http::Response::new(http_body_util::Full::new(Bytes::new()));
                            *response.status_mut() = StatusCode::from_u16(status).unwrap();
                            response.headers_mut().insert(RESULT_HEADER, result.parse().unwrap());
                            if status == 403 {
                                let problem = "application/problem+json".parse().unwrap();
                                response.headers_mut().insert(CONTENT_TYPE, problem);
                                *response.body_mut() = Bytes::from_static(b"{\"decision\":\"d\"}").into();
                            }
                            Ok::<_, std::convert::Infallible>(response)
                        });
                    let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        address
    }

    async fn run(&self, probe: Probe) -> (String, String) {
        let prober = Prober::new(Arc::new(self.svid(GATEWAY)), self.bundle.clone(), self.clock.clone());
        let result = prober.run(probe).await;
        assert_eq!(result.id, "1");
        let detail = if result.decision.is_empty() { result.detail } else { result.decision };
        (result.outcome, detail)
    }

    async fn outcome(&self, probe: Probe) -> String {
        self.run(probe).await.0
    }
}

const GATEWAY: &str = "spiffe://shop.example/ns/shop/sa/gateway";

async fn respond<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, answer: &str) {
    let mut read = Vec::new();
    while !read.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut read).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let request = String::from_utf8(read).unwrap();
    assert!(request.contains("host: orders.shop:8080\r\n") && request.contains("ward-probe: nonce\r\n"), "{request}");
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}

fn probe(kind: &str, address: SocketAddr) -> Probe {
    Probe {
        id: "1".to_owned(),
        nonce: "nonce".to_owned(),
        kind: kind.to_owned(),
        address: address.to_string(),
        sni: "8080.orders.shop.shop.example".to_owned(),
        spiffe_id: ORDERS.to_owned(),
        protocol: "http".to_owned(),
        port: 8080,
        method: "POST".to_owned(),
        path: "/orders".to_owned(),
        timeout_ms: 10_000,
        ..Default::default()
    }
}

fn said(outcome: &str, detail: &str) -> (String, String) {
    (outcome.to_owned(), detail.to_owned())
}

#[tokio::test]
async fn requests() {
    let lab = Lab::new();
    let passed = lab.destination(Temper::Mesh(PASSED)).await;
    let let_through = "the destination's policy let it through";
    assert_eq!(lab.run(probe("request", passed)).await, said("passed", let_through));
    let refused = lab.destination(Temper::Mesh(REFUSED)).await;
    assert_eq!(lab.run(probe("request", refused)).await, said("refused", "01decision"));
    // An application's own answer proves neither.
    for answer in [APPLICATION, APPLICATION_403] {
        let application = lab.destination(Temper::Mesh(answer)).await;
        let (outcome, detail) = lab.run(probe("request", application)).await;
        assert_eq!(outcome, "failed");
        assert!(detail.ends_with("without a probe's mark"), "{detail}");
    }
    let hangup = lab.destination(Temper::MeshHangup).await;
    assert_eq!(lab.outcome(probe("request", hangup)).await, "failed");
}

#[tokio::test]
async fn nothing_that_went_wrong_on_our_side_is_evidence() {
    let lab = Lab::new();
    let good = lab.destination(Temper::Mesh(PASSED)).await;
    let closed = {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        listener.local_addr().unwrap()
    };
    for kind in ["request", "no-certificate", "plaintext"] {
        assert_eq!(lab.outcome(probe(kind, closed)).await, "failed", "{kind} to a port that is closed");
        let mut elsewhere = probe(kind, good);
        elsewhere.spiffe_id = "spiffe://shop.example/ns/shop/sa/payments".to_owned();
        assert_eq!(lab.outcome(elsewhere).await, "failed", "{kind} to another node than expected");
    }
    let broken: [fn(&mut Probe); 7] = [
        |p| p.kind = "dance".to_owned(),
        |p| p.address = "orders:15008".to_owned(),
        |p| p.spiffe_id = "orders".to_owned(),
        |p| p.sni = "not a name".to_owned(),
        |p| p.path = "/ HTTP/1.1\r\nhost: x\r\n\r\nGET /".to_owned(),
        |p| p.method = "G ET".to_owned(),
        |p| p.nonce = "a\r\nb".to_owned(),
    ];
    for (number, change) in broken.into_iter().enumerate() {
        let mut probe = probe("request", good);
        change(&mut probe);
        assert_eq!(lab.outcome(probe).await, "failed", "number {number}");
    }
}

#[tokio::test]
async fn without_a_certificate() {
    let lab = Lab::new();
    let strict = lab.destination(Temper::Mesh(PASSED)).await;
    let (outcome, detail) = lab.run(probe("no-certificate", strict)).await;
    assert_eq!((outcome.as_str(), detail.as_str()), ("blocked", "TLS alert CertificateRequired"));
}

#[tokio::test]
async fn with_other_credentials() {
    let lab = Lab::new();
    let strict = lab.destination(Temper::Mesh(REFUSED)).await;
    let presenting = |svid: &Svid| {
        let mut probe = probe("credentials", strict);
        probe.chain = svid.chain.iter().map(|der| der.to_vec()).collect();
        probe.key = svid.key.der().secret_der().to_vec();
        probe
    };
    let expired = lab.signed(&lab.root, GATEWAY, lab.clock.now() - Duration::from_secs(7_200));
    assert_eq!(lab.run(presenting(&expired)).await, said("blocked", "TLS alert CertificateExpired"));
    let other = Lab::new();
    let foreign = lab.run(presenting(&other.svid(GATEWAY))).await;
    assert_eq!(foreign.0, "blocked", "{}", foreign.1);
    // A member without the right: TLS lets it in, the policy does not.
    let member = lab.svid("spiffe://shop.example/ns/ward-system/sa/ward-probe");
    assert_eq!(lab.run(presenting(&member)).await, said("refused", "01decision"));
    let mut no_key = presenting(&member);
    no_key.key.clear();
    assert_eq!(lab.outcome(no_key).await, "failed");
}

#[tokio::test]
async fn in_plaintext() {
    let lab = Lab::new();
    let strict = lab.destination(Temper::Mesh(PASSED)).await;
    assert_eq!(lab.outcome(probe("plaintext", strict)).await, "blocked");
    let permissive = lab.destination(Temper::Both(APPLICATION)).await;
    assert_eq!(lab.run(probe("plaintext", permissive)).await, said("passed", "answered 200 in plaintext"));
    // Whatever answers there is not the destination.
    let stranger = lab.destination(Temper::Plain(APPLICATION)).await;
    assert_eq!(lab.outcome(probe("plaintext", stranger)).await, "failed");
}

#[tokio::test]
async fn past_the_sidecar() {
    let lab = Lab::new();
    let open = lab.destination(Temper::Plain(APPLICATION)).await;
    assert_eq!(lab.run(probe("app-port", open)).await, said("passed", &format!("connected to {open}")));
    let closed = {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        listener.local_addr().unwrap()
    };
    assert_eq!(lab.outcome(probe("app-port", closed)).await, "blocked");
    let mut nowhere = probe("app-port", closed);
    nowhere.address = "nowhere".to_owned();
    assert_eq!(lab.outcome(nowhere).await, "failed");
}

#[tokio::test]
async fn through_a_tunnel() {
    let lab = Lab::new();
    for (status, result, expected) in
        [(200, "passed", "passed"), (403, "", "refused"), (200, "", "failed"), (503, "", "failed")]
    {
        let mut probe = probe("request", lab.tunnel(status, result).await);
        probe.protocol = "postgres".to_owned();
        probe.port = 5432;
        assert_eq!(lab.outcome(probe).await, expected, "{status} {result}");
    }
    let mut probe = probe("no-certificate", lab.tunnel(200, "passed").await);
    probe.protocol = "tcp".to_owned();
    probe.port = 5432;
    assert_eq!(lab.outcome(probe).await, "blocked");
}
