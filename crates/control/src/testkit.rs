//! A control plane in the test's own process, and what a proxy does towards it over real TLS.
use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use daemon::{Clock, Tasks};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use identity::{Bundle, ClientOptions, JoinToken, PrivateKey, Svid};
use model::{Model, SourceFile, SpiffeId};
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    net::{TcpStream, UnixStream},
    sync::mpsc,
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{
    Status, Streaming,
    transport::{Channel, Endpoint},
};
use wire::{
    discovery::{
        DeltaDiscoveryRequest, DeltaDiscoveryResponse, Node,
        aggregated_discovery_service_client::AggregatedDiscoveryServiceClient,
    },
    v1::{
        Hello, JoinRequest, ReportRequest, ReportResponse, SvidResponse, identity_client::IdentityClient,
        report_client::ReportClient,
    },
};

use crate::{
    Config, Plane, Running,
    issuer::TlsTime,
    snapshot::Kind,
    store::{Event, TokenRow},
};

/// A gateway, a service behind it, a store behind that.
pub(crate) const SHOP: &str = r#"
ward: 1
model: shop
trust_domain: shop.example
zones:
  internet: { trust: none }
  edge: {}
  shop: {}
data:
  order: { class: internal }
nodes:
  customer: { kind: party, zone: internet }
  gateway: { kind: service, zone: edge, role: gateway, listen: [{ port: 8443, hosts: [shop.example], tls: auto }] }
  orders: { kind: service, zone: shop, run: { command: [./shop, orders] } }
  payments: { kind: service, zone: shop, run: { command: [./shop, payments] } }
  orders-db: { kind: store, zone: shop, serves: [{ port: 5432, protocol: tcp }], run: { command: [./db] }, holds: [order] }
flows:
  - { id: checkout, from: customer, to: gateway, carries: [order] }
  - { id: place, from: gateway, to: orders, carries: [order], via: { allow: ["GET /orders/{*}", "POST /orders"], audit: high } }
  - { id: charge, from: orders, to: payments, carries: [order], via: { allow: ["POST /charges"], timeout: 5s } }
  - { id: save, from: orders, to: orders-db, carries: [order] }
"#;

/// The moment at which manual clocks start: 2026-11-21.
pub(crate) const NOW_MS: u64 = 1_795_219_200_000;

/// One file, `ward.yaml`.
pub(crate) fn files(text: &str) -> Vec<SourceFile> {
    vec![SourceFile { name: "ward.yaml".to_owned(), text: text.to_owned() }]
}

/// A model that must be good.
pub(crate) fn model(text: &str) -> Model {
    let loaded = model::load(&files(text));
    loaded.model.unwrap_or_else(|| panic!("{:#?}", loaded.diagnostics))
}

/// A running control plane.
pub(crate) struct Mesh {
    pub(crate) dir: TempDir,
    pub(crate) clock: Clock,
    pub(crate) tasks: Tasks,
    pub(crate) running: Running,
}

impl Mesh {
    /// With nothing in force.
    pub(crate) async fn empty() -> Self {
        Self::at(tempfile::tempdir().unwrap()).await
    }

    /// With the shop in force.
    pub(crate) async fn shop() -> Self {
        let mesh = Self::empty().await;
        mesh.apply(SHOP).await;
        mesh
    }

    async fn at(dir: TempDir) -> Self {
        let clock = Clock::manual(NOW_MS);
        let tasks = Tasks::new();
        let running = crate::start(&config(&dir), clock.clone(), &tasks).await.unwrap();
        Self { dir, clock, tasks, running }
    }

    /// As after `kill -9`: nothing says goodbye, the lock is let go, the same state is taken up.
    pub(crate) async fn restart(self) -> Self {
        let Self { dir, clock, tasks, running } = self;
        tasks.finish(Duration::ZERO).await;
        running.plane.store.close().await;
        drop(running);
        let tasks = Tasks::new();
        let running = crate::start(&config(&dir), clock.clone(), &tasks).await.unwrap();
        Self { dir, clock, tasks, running }
    }

    pub(crate) fn plane(&self) -> &Arc<Plane> {
        &self.running.plane
    }

    pub(crate) async fn apply(&self, text: &str) -> u64 {
        self.plane().apply(files(text), "test").await.unwrap().revision
    }

    /// A token of one use that lasts an hour.
    pub(crate) async fn token(&self, node: &str) -> JoinToken {
        let current = self.plane().current().unwrap();
        let token = JoinToken::generate(node.parse().unwrap(), current.issuer.root_sha256()).unwrap();
        let row = TokenRow {
            id: token.id.clone(),
            node: node.to_owned(),
            secret_sha256: token.secret_sha256().to_vec(),
            uses_left: 1,
            expires_ms: i64::try_from(self.clock.unix_ms()).unwrap() + 3_600_000,
        };
        let event = Event {
            time_ms: 0,
            actor: "test".to_owned(),
            action: "token-create".to_owned(),
            subject: node.to_owned(),
            revision: 1,
            detail: String::new(),
        };
        self.plane().store.put_token(&row, &event).await.unwrap();
        token
    }

    /// A connection without a certificate that trusts the token's root.
    pub(crate) async fn anonymous(&self, token: &JoinToken) -> Channel {
        let config = identity::pinned_client_config(token.root_sha256, &self.options()).unwrap();
        channel(self.running.address, config).await
    }

    /// Joins and returns the answer with the key it is for.
    pub(crate) async fn try_join(&self, token: &JoinToken) -> Result<(SvidResponse, PrivateKey), Status> {
        let (key, csr) = identity::csr::new().unwrap();
        let mut client = IdentityClient::new(self.anonymous(token).await);
        let answer = client.join(JoinRequest { token: token.to_string(), csr }).await?;
        Ok((answer.into_inner(), key))
    }

    /// A joined node.
    pub(crate) async fn join(&self, node: &str) -> Joined {
        let token = self.token(node).await;
        let (answer, key) = self.try_join(&token).await.unwrap();
        let chain = answer.chain.into_iter().map(CertificateDer::from).collect();
        let svid = Svid::from_der(chain, key).unwrap();
        let channel = self.connect(&svid).await;
        Joined { svid, channel }
    }

    /// A connection with an SVID.
    pub(crate) async fn connect(&self, svid: &Svid) -> Channel {
        self.connect_at(svid, self.running.address).await
    }

    /// As `connect`, through a relay that can break the connection like a pulled cable or a killed process.
    pub(crate) async fn connect_breakably(&self, svid: &Svid) -> (Channel, CancellationToken) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (at, to) = (listener.local_addr().unwrap(), self.running.address);
        let cable = CancellationToken::new();
        let cut = cable.clone();
        self.tasks.spawn(async move {
            let relay = async {
                let (mut near, _) = listener.accept().await.unwrap();
                let mut far = TcpStream::connect(to).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
            };
            cut.run_until_cancelled(relay).await;
        });
        (self.connect_at(svid, at).await, cable)
    }

    async fn connect_at(&self, svid: &Svid, address: SocketAddr) -> Channel {
        let current = self.plane().current().unwrap();
        let roots = current.issuer.roots().into_iter().map(CertificateDer::from).collect();
        let bundle = Bundle::from_der(current.model.trust_domain.clone(), roots).unwrap();
        let control = SpiffeId::for_node(
            &current.model.trust_domain,
            &current.model.mesh.root_namespace,
            &"ward-control".parse().unwrap(),
        );
        let config = identity::client_config(svid, &bundle, &control, &self.options()).unwrap();
        channel(address, config).await
    }

    fn options(&self) -> ClientOptions {
        ClientOptions {
            alpn: vec![b"h2".to_vec()],
            time: Some(Arc::new(TlsTime(self.clock.clone()))),
            ..ClientOptions::default()
        }
    }

    /// Asks the API over its real socket.
    pub(crate) async fn ask(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let (status, text) = self.ask_text(method, path, body.map(|b| b.to_string()).unwrap_or_default()).await;
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    pub(crate) async fn ask_text(&self, method: &str, path: &str, body: String) -> (u16, String) {
        let stream = UnixStream::connect(config(&self.dir).socket).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            .header("host", "ward-control")
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body)))
            .unwrap();
        let ask = async move {
            let response = sender.send_request(request).await.unwrap();
            let status = response.status();
            let kind = response.headers().get("content-type").cloned();
            if !status.is_success() {
                assert_eq!(kind.unwrap(), "application/problem+json");
            }
            let body = response.into_body().collect().await.unwrap().to_bytes();
            (status.as_u16(), String::from_utf8(body.to_vec()).unwrap())
        };
        tokio::join!(ask, connection).0
    }

    pub(crate) async fn put_model(&self, text: &str) -> (u16, Value) {
        self.ask("PUT", "/v1/model", Some(json!({ "files": files(text) }))).await
    }
}

/// Settings of a control plane below a directory.
pub(crate) fn config(dir: &TempDir) -> Config {
    Config {
        state: dir.path().join("state"),
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        socket: dir.path().join("control.sock"),
        log: daemon::logs::Format::Text,
        drain_timeout: Duration::from_secs(1),
    }
}

/// A node with its SVID.
pub(crate) struct Joined {
    pub(crate) svid: Svid,
    pub(crate) channel: Channel,
}

impl Joined {
    /// Opens a discovery stream and asks for everything; `claim` is what it says it is.
    pub(crate) async fn discover(&self, claim: &str) -> Discovery {
        Discovery::open(self.channel.clone(), claim, |_| Default::default()).await
    }

    /// Opens a report stream and says hello.
    pub(crate) async fn report(&self, instance: &str, address: &str) -> Reporting {
        self.try_report(instance, address).await.unwrap()
    }

    pub(crate) async fn try_report(&self, instance: &str, address: &str) -> Result<Reporting, Status> {
        let (tx, rx) = mpsc::channel(16);
        let mut client = ReportClient::new(self.channel.clone());
        let hello = Hello {
            instance: instance.to_owned(),
            mesh_address: address.to_owned(),
            version: "test".to_owned(),
            isolation: "netns".to_owned(),
        };
        tx.send(ReportRequest { sequence: 1, hello: Some(hello), ..ReportRequest::default() }).await.unwrap();
        let mut rx = client.stream(ReceiverStream::new(rx)).await?.into_inner();
        let acked = rx.message().await?.unwrap().acked;
        assert_eq!(acked, 1);
        Ok(Reporting { tx, rx, sequence: 1 })
    }
}

/// An open report stream.
pub(crate) struct Reporting {
    pub(crate) tx: mpsc::Sender<ReportRequest>,
    pub(crate) rx: Streaming<ReportResponse>,
    sequence: u64,
}

impl Reporting {
    /// Sends and waits until it is acknowledged.
    pub(crate) async fn send(&mut self, mut request: ReportRequest) -> Result<(), Status> {
        self.sequence += 1;
        request.sequence = self.sequence;
        self.tx.send(request).await.unwrap();
        let acked = self.rx.message().await?.unwrap().acked;
        assert_eq!(acked, self.sequence);
        Ok(())
    }
}

/// An open discovery stream.
pub(crate) struct Discovery {
    pub(crate) tx: mpsc::Sender<DeltaDiscoveryRequest>,
    pub(crate) rx: Streaming<DeltaDiscoveryResponse>,
}

impl Discovery {
    pub(crate) async fn open(
        channel: Channel,
        claim: &str,
        held: impl Fn(Kind) -> std::collections::HashMap<String, String>,
    ) -> Self {
        let (tx, rx) = mpsc::channel(16);
        for kind in Kind::ALL {
            let request = DeltaDiscoveryRequest {
                node: Some(Node { id: claim.to_owned(), cluster: String::new() }),
                type_url: kind.type_url(),
                initial_resource_versions: held(kind),
                ..DeltaDiscoveryRequest::default()
            };
            tx.send(request).await.unwrap();
        }
        let mut client = AggregatedDiscoveryServiceClient::new(channel);
        let rx = client.delta_aggregated_resources(ReceiverStream::new(rx)).await.unwrap().into_inner();
        Self { tx, rx }
    }

    /// The next response.
    pub(crate) async fn next(&mut self) -> DeltaDiscoveryResponse {
        tokio::time::timeout(Duration::from_secs(20), self.rx.message()).await.unwrap().unwrap().unwrap()
    }

    /// Takes or refuses a response.
    pub(crate) async fn answer(&self, response: &DeltaDiscoveryResponse, refusal: Option<&str>) {
        let request = DeltaDiscoveryRequest {
            type_url: response.type_url.clone(),
            response_nonce: response.nonce.clone(),
            error_detail: refusal.map(|message| wire::discovery::Status { code: 3, message: message.to_owned() }),
            ..DeltaDiscoveryRequest::default()
        };
        self.tx.send(request).await.unwrap();
    }

    /// The next `count` responses, acknowledged.
    pub(crate) async fn take(&mut self, count: usize) -> Vec<DeltaDiscoveryResponse> {
        let mut taken = Vec::new();
        for _ in 0..count {
            let response = self.next().await;
            self.answer(&response, None).await;
            taken.push(response);
        }
        taken
    }

    /// Asks for the workload again, which is always sent: whatever came before it was sent before.
    pub(crate) async fn barrier(&mut self, node: &str) -> Vec<DeltaDiscoveryResponse> {
        for _ in 0..2 {
            // The first asks for the name, the second for it to be sent again.
            let request = DeltaDiscoveryRequest {
                type_url: Kind::Workload.type_url(),
                resource_names_subscribe: vec![node.to_owned()],
                ..DeltaDiscoveryRequest::default()
            };
            self.tx.send(request).await.unwrap();
        }
        let mut before = Vec::new();
        loop {
            let response = self.next().await;
            self.answer(&response, None).await;
            if response.type_url == Kind::Workload.type_url() {
                return before;
            }
            before.push(response);
        }
    }
}

/// `Upstream +orders:8080 -gone:1`, one response a line.
pub(crate) fn shown(responses: &[DeltaDiscoveryResponse]) -> String {
    let line = |r: &DeltaDiscoveryResponse| {
        let kind = r.type_url.rsplit('.').next().unwrap();
        let added = r.resources.iter().map(|x| format!(" +{}", x.name));
        let removed = r.removed_resources.iter().map(|x| format!(" -{x}"));
        format!("{kind}{}\n", added.chain(removed).collect::<String>())
    };
    responses.iter().map(line).collect()
}

/// Waits until `condition` holds; panics after twenty seconds.
pub(crate) async fn until(mut condition: impl FnMut() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting).await.unwrap();
}

async fn channel(address: SocketAddr, config: Arc<rustls::ClientConfig>) -> Channel {
    Endpoint::from_static("http://ward-control").connect_with_connector_lazy(Connector { address, config })
}

#[derive(Clone)]
struct Connector {
    address: SocketAddr,
    config: Arc<rustls::ClientConfig>,
}

impl tonic::codegen::Service<http::Uri> for Connector {
    type Response = TokioIo<tokio_rustls::client::TlsStream<TcpStream>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, io::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), io::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Uri) -> Self::Future {
        let Self { address, config } = self.clone();
        Box::pin(async move {
            let stream = TcpStream::connect(address).await?;
            let name = ServerName::try_from("ward-control").unwrap();
            let stream = tokio_rustls::TlsConnector::from(config).connect(name, stream).await?;
            Ok(TokioIo::new(stream))
        })
    }
}
