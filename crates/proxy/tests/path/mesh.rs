//! A mesh with its own root, and nodes with real proxies.
use std::{
    net::SocketAddr,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use ca::Authority;
use daemon::{Clock, Tasks};
use identity::{Bundle, ClientOptions, Svid};
use model::{SpiffeId, TrustDomain};
use proxy::{
    Kind, Proxy, Settings,
    snapshot::{Error, Identity, Resources, ServerCertificate},
};
use rustls::ClientConfig;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use wire::v1::{
    DecisionRecord, FlowCount,
    resources::{Policy, Service, Upstream, Workload},
};

pub const DOMAIN: &str = "test.example";
pub const DAY: Duration = Duration::from_secs(86_400);
/// Longer than anything a test waits for.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub struct Mesh {
    pub root: Authority,
    pub domain: TrustDomain,
}

pub struct Node {
    pub proxy: Proxy,
    pub identity: Identity,
    pub resources: Resources,
    /// Stands still at the moment the node was made.
    pub clock: Clock,
    decisions: tokio::sync::mpsc::Receiver<DecisionRecord>,
}

pub fn id(node: &str) -> SpiffeId {
    SpiffeId::try_from(format!("spiffe://{DOMAIN}/ns/shop/sa/{node}")).unwrap()
}

impl Mesh {
    pub fn new() -> Self {
        let domain = TrustDomain::try_from(DOMAIN.to_owned()).unwrap();
        let root = Authority::generate_root(&domain, DAY * 30, SystemTime::now()).unwrap();
        Self { root, domain }
    }

    pub fn bundle(&self) -> Bundle {
        Bundle::from_der(self.domain.clone(), vec![self.root.certificate().clone()]).unwrap()
    }

    pub fn svid(&self, node: &str) -> Svid {
        self.svid_signed(&id(node), DAY, SystemTime::now())
    }

    /// An SVID whose life ended half a minute ago.
    pub fn expired_svid(&self, node: &str) -> Svid {
        self.svid_signed(&id(node), Duration::from_secs(1), SystemTime::now() - Duration::from_secs(30))
    }

    fn svid_signed(&self, id: &SpiffeId, ttl: Duration, now: SystemTime) -> Svid {
        let intermediate = self.root.sign_intermediate(&self.domain, DAY * 10, SystemTime::now()).unwrap();
        let (key, csr) = identity::csr::new().unwrap();
        let issued = intermediate.sign_svid(&csr, id, ttl, now).unwrap();
        Svid::from_der(issued.chain, key).unwrap()
    }

    pub fn server_certificate(&self, hosts: &[&str]) -> ServerCertificate {
        let now = SystemTime::now();
        let intermediate = self.root.sign_intermediate(&self.domain, DAY * 10, now).unwrap();
        let (key, csr) = identity::csr::new().unwrap();
        let issued = intermediate.sign_server(&csr, hosts, DAY, now).unwrap();
        ServerCertificate { chain: issued.chain, key: Arc::new(key) }
    }

    pub fn identity(&self, node: &str) -> Identity {
        Identity::new(self.svid(node), self.bundle())
    }

    /// A client configuration of `node` that expects `peer`.
    pub fn client(&self, node: &str, peer: &str, alpn: &str) -> Arc<ClientConfig> {
        let options = ClientOptions { alpn: vec![alpn.as_bytes().to_vec()], ..ClientOptions::default() };
        identity::client_config(&self.svid(node), &self.bundle(), &id(peer), &options).unwrap()
    }

    /// A node whose application serves `services` and that may go to `upstreams`.
    pub fn sidecar(
        &self,
        name: &str,
        settings: &str,
        services: Vec<Service>,
        upstreams: Vec<Upstream>,
        policies: Vec<Policy>,
    ) -> Node {
        let workload = Workload { services, ..workload(name) };
        let resources = Resources { workload, upstreams, policies, ..Resources::default() };
        self.node(name, &format!("inbound: 127.0.0.1:0\nhttp_proxy: 127.0.0.1:0\n{settings}"), resources)
    }

    pub fn node(&self, name: &str, settings: &str, resources: Resources) -> Node {
        self.node_with(self.identity(name), settings, resources).unwrap_or_else(|e| panic!("{e:?}"))
    }

    pub fn node_with(&self, identity: Identity, settings: &str, resources: Resources) -> Result<Node, Vec<Error>> {
        daemon::logs::init(daemon::logs::Format::Text, Some("warn"));
        let text = format!(
            "{settings}\nstatic: {{ workload: {{}} }}\nidentity: {{ cert: a, key: b, bundle: c, trust_domain: d }}\n"
        );
        let mut settings = Settings::parse(Path::new("test.yaml"), &text).unwrap();
        settings.ephemeral_ports = true;
        settings.drain_timeout = PATIENCE;
        let clock = Clock::manual(Clock::system().unix_ms());
        let proxy = Proxy::new(settings, clock.clone(), Tasks::new()).unwrap();
        proxy.apply(&resources, &identity)?;
        proxy.start().unwrap();
        let decisions = proxy.decisions().take().unwrap();
        Ok(Node { proxy, identity, resources, clock, decisions })
    }
}

impl Node {
    pub fn address(&self, kind: &Kind) -> SocketAddr {
        let addresses = self.proxy.addresses();
        addresses.iter().find(|(k, _)| k == kind).unwrap_or_else(|| panic!("no {kind:?} in {addresses:?}")).1
    }

    pub fn inbound(&self) -> SocketAddr {
        self.address(&Kind::Inbound)
    }

    pub fn outbound(&self, name: &str) -> SocketAddr {
        self.address(&Kind::Outbound(name.into()))
    }

    /// The next decision record.
    pub async fn decision(&mut self) -> DecisionRecord {
        tokio::time::timeout(PATIENCE, self.decisions.recv()).await.expect("a record in time").unwrap()
    }

    pub fn apply(&mut self, change: impl FnOnce(&mut Resources)) -> Result<u64, Vec<Error>> {
        let mut resources = self.resources.clone();
        resources.workload.revision += 1;
        change(&mut resources);
        let revision = self.proxy.apply(&resources, &self.identity)?;
        self.resources = resources;
        Ok(revision)
    }
}

pub fn workload(name: &str) -> Workload {
    Workload {
        node: name.to_owned(),
        namespace: "shop".to_owned(),
        spiffe_id: id(name).to_string(),
        labels: [("app".to_owned(), name.to_owned())].into(),
        revision: 1,
        trust_domain: DOMAIN.to_owned(),
        root_namespace: "ward-system".to_owned(),
        ..Workload::default()
    }
}

pub fn service(port: u32, protocol: &str, address: SocketAddr) -> Service {
    Service { port, protocol: protocol.to_owned(), address: address.to_string() }
}

pub fn upstream(node: &str, port: u32, protocol: &str, endpoints: &[SocketAddr]) -> Upstream {
    Upstream {
        name: format!("{node}:{port}"),
        node: node.to_owned(),
        namespace: "shop".to_owned(),
        port,
        protocol: protocol.to_owned(),
        spiffe_id: id(node).to_string(),
        endpoints: endpoints.iter().map(ToString::to_string).collect(),
        local_port: 10_000 + port,
        flows: vec![format!("to-{node}")],
        ..Upstream::default()
    }
}

/// An ALLOW of `from` for `to` on `app`, as a flow named `flow` would compile to.
pub fn allow(app: &str, flow: &str, from: &str, audit: &str, operation: &serde_json::Value) -> Policy {
    let mut rule = serde_json::json!({ "to": [{ "operation": operation }] });
    if !from.is_empty() {
        rule["from"] = serde_json::json!([{ "source": { "principals": [id(from).principal()] } }]);
    }
    let document = serde_json::json!({
        "apiVersion": "security.istio.io/v1",
        "kind": "AuthorizationPolicy",
        "metadata": {
            "name": format!("flow-{flow}"), "namespace": "shop",
            "annotations": { "ward.internal/flow": flow, "ward.internal/audit": audit },
        },
        "spec": { "selector": { "matchLabels": { "app": app } }, "rules": [rule] },
    });
    Policy { name: format!("shop/flow-{flow}"), document: document.to_string() }
}

/// Two sidecars around an HTTP application: `web` may GET, HEAD, POST and PUT under `/`, but nothing under `/admin`.
pub struct Pair {
    pub web: Node,
    pub orders: Node,
}

impl Pair {
    pub fn new(mesh: &Mesh, app: SocketAddr) -> Self {
        Self::with(mesh, app, "", "")
    }

    pub fn with(mesh: &Mesh, app: SocketAddr, web: &str, orders: &str) -> Self {
        let operation = serde_json::json!({ "methods": ["GET", "HEAD", "POST", "PUT"], "notPaths": ["/admin*"] });
        let orders = mesh.sidecar(
            "orders",
            orders,
            vec![service(8080, "http", app)],
            Vec::new(),
            vec![allow("orders", "place", "web", "medium", &operation)],
        );
        let upstreams = vec![upstream("orders", 8080, "http", &[orders.inbound()])];
        let web = mesh.sidecar("web", web, Vec::new(), upstreams, Vec::new());
        Self { web, orders }
    }

    /// Sends bytes to the local port of `orders:8080` and reads to the end.
    pub async fn raw(&self, request: impl AsRef<[u8]>) -> String {
        raw(self.web.outbound("orders:8080"), request).await
    }
}

/// Sends bytes and reads to the end of the connection.
pub async fn raw(address: SocketAddr, request: impl AsRef<[u8]>) -> String {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_ref()).await.unwrap();
        let mut answer = Vec::new();
        // A reset after the answer is an end too.
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    };
    tokio::time::timeout(PATIENCE, exchange).await.expect("an end in time")
}

/// Reads until `text` has come.
pub async fn read_until(stream: &mut (impl tokio::io::AsyncRead + Unpin), text: &str) -> String {
    let mut answer = Vec::new();
    let read = async {
        while !String::from_utf8_lossy(&answer).contains(text) {
            let mut buffer = [0; 4096];
            match stream.read(&mut buffer).await.unwrap() {
                0 => break,
                n => answer.extend_from_slice(&buffer[..n]),
            }
        }
    };
    tokio::time::timeout(PATIENCE, read).await.unwrap_or_else(|_| panic!("{text:?} did not come"));
    String::from_utf8(answer).unwrap()
}

pub fn status(answer: &str) -> u16 {
    answer.get(9..12).and_then(|s| s.parse().ok()).unwrap_or_else(|| panic!("no status in {answer:?}"))
}

pub fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

/// What a proxy has counted, summed up, once it is `enough`: a request is counted after its answer has left.
pub async fn counted(proxy: &Proxy, enough: impl Fn(&[FlowCount]) -> bool) -> Vec<FlowCount> {
    let mut sums: Vec<FlowCount> = Vec::new();
    let counting = async {
        while !enough(&sums) {
            tokio::task::yield_now().await;
            for count in proxy.flow_counts() {
                let key = |c: &FlowCount| (c.source.clone(), c.port, c.flow.clone(), c.allowed, c.protocol.clone());
                match sums.iter_mut().find(|sum| key(sum) == key(&count)) {
                    Some(sum) => {
                        sum.requests += count.requests;
                        sum.errors += count.errors;
                        sum.bytes_in += count.bytes_in;
                        sum.bytes_out += count.bytes_out;
                    }
                    None => sums.push(count),
                }
            }
        }
    };
    let in_time = tokio::time::timeout(PATIENCE, counting).await;
    assert!(in_time.is_ok(), "counted only {sums:?}");
    sums
}

/// As many requests.
pub async fn counted_requests(proxy: &Proxy, requests: u64) -> Vec<FlowCount> {
    counted(proxy, |sums| sums.iter().map(|sum| sum.requests).sum::<u64>() >= requests).await
}
