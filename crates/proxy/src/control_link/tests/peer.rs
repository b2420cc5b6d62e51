//! A scripted control plane: real TLS, real gRPC, and a test that says every word of it. Only for what the protocol allows
//! and our own control plane would never do; the two together are tested in `tests/it`.
use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use ca::Authority;
use daemon::{Clock, Tasks};
use http::Request as HttpRequest;
use hyper::{body::Incoming, service::Service};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    service::TowerToHyperService,
};
use identity::{Bundle, JoinToken, ServerOptions, Svid, csr, peer_id};
use model::{SpiffeId, TrustDomain};
use tokio::{net::TcpListener, sync::mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming, service::Routes};
use wire::{
    discovery::{
        DeltaDiscoveryRequest, DeltaDiscoveryResponse,
        aggregated_discovery_service_server::{AggregatedDiscoveryService, AggregatedDiscoveryServiceServer},
    },
    v1::{
        JoinRequest, ReportRequest, ReportResponse, SignRequest, SvidResponse,
        identity_server::{Identity, IdentityServer},
        report_server::{Report, ReportServer},
        sign_request,
    },
};

pub(super) const DAY: Duration = Duration::from_secs(86_400);
pub(super) const TTL: Duration = Duration::from_secs(3_600);
const CONTROL: &str = "spiffe://shop.example/ns/ward-system/sa/ward-control";
/// Generous: a machine may be busy, a lost message never comes.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for something that must come.
pub(super) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("never came: {what}"))
}

/// What the identity service answers, and what it was asked.
#[derive(Default)]
pub(super) struct Signing {
    pub(super) joins: Vec<JoinRequest>,
    pub(super) signs: Vec<SignRequest>,
    /// Refuses the next calls.
    pub(super) refusals: Vec<Status>,
    /// Signs another identity than the one asked for.
    pub(super) identity: Option<SpiffeId>,
}

pub(super) struct Peer {
    pub(super) address: SocketAddr,
    pub(super) root: Arc<Authority>,
    pub(super) signing: Arc<Mutex<Signing>>,
    pub(super) discoveries: mpsc::Receiver<DiscoveryStream>,
    pub(super) reports: mpsc::Receiver<ReportStream>,
    /// One for each handshake that failed.
    pub(super) refused: mpsc::Receiver<()>,
    tasks: Tasks,
}

pub(super) struct DiscoveryStream {
    requests: Streaming<DeltaDiscoveryRequest>,
    responses: mpsc::Sender<Result<DeltaDiscoveryResponse, Status>>,
}

pub(super) struct ReportStream {
    requests: Streaming<ReportRequest>,
    responses: mpsc::Sender<Result<ReportResponse, Status>>,
}

impl DiscoveryStream {
    pub(super) async fn next(&mut self) -> DeltaDiscoveryRequest {
        within("a discovery request", self.requests.message()).await.unwrap().expect("the stream goes on")
    }

    /// The first requests of a stream, one of each type, by their short names.
    pub(super) async fn first(&mut self) -> Vec<DeltaDiscoveryRequest> {
        let mut first = Vec::new();
        for _ in 0..6 {
            first.push(self.next().await);
        }
        first
    }

    /// Completes when the stream has ended, cleanly or not.
    pub(super) async fn ended(&mut self) {
        while let Ok(Some(_)) = self.requests.message().await {}
    }

    pub(super) async fn send(&self, response: DeltaDiscoveryResponse) {
        self.responses.send(Ok(response)).await.unwrap();
    }

    /// The answers to the next `count` responses: nonce and error text, sorted.
    pub(super) async fn answers(&mut self, count: usize) -> Vec<(String, String)> {
        let mut answers = Vec::new();
        for _ in 0..count {
            let request = self.next().await;
            answers.push((request.response_nonce, request.error_detail.map(|e| e.message).unwrap_or_default()));
        }
        answers.sort();
        answers
    }
}

impl ReportStream {
    /// What the proxy says next; `None` when it has closed the stream.
    pub(super) async fn message(&mut self) -> Result<Option<ReportRequest>, Status> {
        within("a report", self.requests.message()).await
    }

    pub(super) async fn next(&mut self) -> ReportRequest {
        within("a report", self.requests.message()).await.unwrap().expect("the stream goes on")
    }

    /// The next report, or `None` after a moment without one.
    pub(super) async fn next_or_tick(&mut self) -> Option<ReportRequest> {
        let next = tokio::time::timeout(Duration::from_millis(20), self.requests.message()).await;
        next.ok().map(|report| report.unwrap().expect("the stream goes on"))
    }

    /// The next report for which `wanted` holds; those before it are acknowledged.
    pub(super) async fn until(&mut self, wanted: impl Fn(&ReportRequest) -> bool) -> ReportRequest {
        loop {
            let report = self.next().await;
            if wanted(&report) {
                return report;
            }
            self.send(ReportResponse { acked: report.sequence, ..Default::default() }).await;
        }
    }

    /// Whether the stream ends as a goodbye.
    pub(super) async fn ends_cleanly(&mut self) -> bool {
        loop {
            match within("the end of the stream", self.requests.message()).await {
                Ok(Some(report)) => self.send(ReportResponse { acked: report.sequence, ..Default::default() }).await,
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
    }

    pub(super) async fn send(&self, response: ReportResponse) {
        let _ = self.responses.send(Ok(response)).await;
    }
}

impl Peer {
    pub(super) async fn start(clock: &Clock) -> Self {
        let domain: TrustDomain = "shop.example".parse().unwrap();
        let yesterday = clock.now() - DAY;
        let root = Arc::new(Authority::generate_root(&domain, 3_650 * DAY, yesterday).unwrap());
        Self::start_with(clock, root).await
    }

    pub(super) async fn start_with(clock: &Clock, root: Arc<Authority>) -> Self {
        let domain: TrustDomain = "shop.example".parse().unwrap();
        let intermediate = Arc::new(root.sign_intermediate(&domain, 365 * DAY, clock.now() - DAY).unwrap());
        let bundle = Bundle::from_der(domain, vec![root.certificate().clone()]).unwrap();
        let (key, csr) = csr::new().unwrap();
        let own = intermediate.sign_svid(&csr, &CONTROL.parse().unwrap(), 300 * DAY, clock.now()).unwrap();
        let own = Svid::from_der(own.chain, key).unwrap();
        let options = ServerOptions {
            alpn: vec![b"h2".to_vec()],
            time: Some(Arc::new(super::super::TlsTime(clock.clone()))),
            ..ServerOptions::default()
        };
        let tls = identity::server_config_optional_client(&own, &bundle, &options).unwrap();
        let signing = Arc::new(Mutex::new(Signing::default()));
        let (discoveries_tx, discoveries) = mpsc::channel(8);
        let (reports_tx, reports) = mpsc::channel(8);
        let (refused_tx, refused) = mpsc::channel(64);
        let services = Services {
            root: root.clone(),
            intermediate,
            clock: clock.clone(),
            signing: signing.clone(),
            discoveries: discoveries_tx,
            reports: reports_tx,
        };
        let routes = Routes::new(IdentityServer::new(services.clone()))
            .add_service(AggregatedDiscoveryServiceServer::new(services.clone()))
            .add_service(ReportServer::new(services));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let tasks = Tasks::new();
        let inner = tasks.clone();
        tasks.spawn(async move {
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                let (tls, routes, refused) = (tls.clone(), routes.clone(), refused_tx.clone());
                inner.spawn(async move {
                    let Ok(stream) = TlsAcceptor::from(tls).accept(tcp).await else {
                        let _ = refused.try_send(());
                        return;
                    };
                    let peer = stream.get_ref().1.peer_certificates().map(|chain| peer_id(chain).unwrap());
                    let service = WithPeer { routes: TowerToHyperService::new(routes.prepare()), peer };
                    let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self { address, root, signing, discoveries, reports, refused, tasks }
    }

    /// Stops listening and cuts every connection.
    pub(super) async fn stop(self) {
        self.tasks.finish(Duration::ZERO).await;
    }

    pub(super) fn token(&self, node: &str) -> JoinToken {
        JoinToken::generate(node.parse().unwrap(), self.root.sha256()).unwrap()
    }

    pub(super) async fn discovery(&mut self) -> DiscoveryStream {
        within("a discovery stream", self.discoveries.recv()).await.unwrap()
    }

    pub(super) async fn report(&mut self) -> ReportStream {
        within("a report stream", self.reports.recv()).await.unwrap()
    }
}

#[derive(Clone)]
struct Caller(Option<SpiffeId>);

#[derive(Clone)]
struct WithPeer {
    routes: TowerToHyperService<Routes>,
    peer: Option<SpiffeId>,
}

impl Service<HttpRequest<Incoming>> for WithPeer {
    type Response = http::Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = <TowerToHyperService<Routes> as Service<HttpRequest<Incoming>>>::Future;

    fn call(&self, mut request: HttpRequest<Incoming>) -> Self::Future {
        request.extensions_mut().insert(Caller(self.peer.clone()));
        self.routes.call(request)
    }
}

#[derive(Clone)]
struct Services {
    root: Arc<Authority>,
    intermediate: Arc<Authority>,
    clock: Clock,
    signing: Arc<Mutex<Signing>>,
    discoveries: mpsc::Sender<DiscoveryStream>,
    reports: mpsc::Sender<ReportStream>,
}

fn caller<T>(request: &Request<T>) -> SpiffeId {
    let caller = request.extensions().get::<Caller>().and_then(|caller| caller.0.clone());
    caller.expect("everything but Join comes with a certificate")
}

impl Services {
    fn svid(&self, csr: &[u8], id: &SpiffeId) -> SvidResponse {
        let id = self.signing.lock().unwrap().identity.clone().unwrap_or(id.clone());
        let issued = self.intermediate.sign_svid(csr, &id, TTL, self.clock.now()).unwrap();
        self.response(issued, id.to_string())
    }

    fn response(&self, issued: ca::Issued, id: String) -> SvidResponse {
        let not_after = issued.not_after.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        SvidResponse {
            chain: issued.chain.iter().map(|der| der.to_vec()).collect(),
            bundle: vec![self.root.certificate().to_vec()],
            spiffe_id: id,
            not_after: not_after.try_into().unwrap(),
            node: String::new(),
        }
    }

    fn refusal(&self) -> Result<(), Status> {
        match self.signing.lock().unwrap().refusals.pop() {
            Some(status) => Err(status),
            None => Ok(()),
        }
    }
}

#[tonic::async_trait]
impl Identity for Services {
    async fn join(&self, request: Request<JoinRequest>) -> Result<Response<SvidResponse>, Status> {
        assert!(request.extensions().get::<Caller>().unwrap().0.is_none());
        let request = request.into_inner();
        self.signing.lock().unwrap().joins.push(request.clone());
        self.refusal()?;
        let token: JoinToken = request.token.parse().unwrap();
        let id = format!("spiffe://shop.example/ns/shop/sa/{}", token.node).parse().unwrap();
        Ok(Response::new(self.svid(&request.csr, &id)))
    }

    async fn sign(&self, request: Request<SignRequest>) -> Result<Response<SvidResponse>, Status> {
        let id = caller(&request);
        let request = request.into_inner();
        self.signing.lock().unwrap().signs.push(request.clone());
        self.refusal()?;
        if request.kind() == sign_request::Kind::Svid {
            return Ok(Response::new(self.svid(&request.csr, &id)));
        }
        let issued = self.intermediate.sign_server(&request.csr, &["shop.example"], TTL, self.clock.now()).unwrap();
        Ok(Response::new(self.response(issued, id.to_string())))
    }
}

#[tonic::async_trait]
impl AggregatedDiscoveryService for Services {
    type DeltaAggregatedResourcesStream = ReceiverStream<Result<DeltaDiscoveryResponse, Status>>;

    async fn delta_aggregated_resources(
        &self,
        request: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaAggregatedResourcesStream>, Status> {
        caller(&request);
        let (responses, queue) = mpsc::channel(16);
        let stream = DiscoveryStream { requests: request.into_inner(), responses };
        self.discoveries.send(stream).await.unwrap();
        Ok(Response::new(ReceiverStream::new(queue)))
    }
}

#[tonic::async_trait]
impl Report for Services {
    type StreamStream = ReceiverStream<Result<ReportResponse, Status>>;

    async fn stream(&self, request: Request<Streaming<ReportRequest>>) -> Result<Response<Self::StreamStream>, Status> {
        caller(&request);
        let (responses, queue) = mpsc::channel(16);
        let stream = ReportStream { requests: request.into_inner(), responses };
        self.reports.send(stream).await.unwrap();
        Ok(Response::new(ReceiverStream::new(queue)))
    }
}
