//! The port that proxies connect to: TLS 1.3 with an optional client certificate, HTTP/2, gRPC. Who the peer is comes from
//! its certificate and nothing else; a connection ends when that certificate does.
use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use daemon::{Clock, Tasks};
use http::Request;
use hyper::{body::Incoming, service::Service};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use identity::{peer_id, peer_not_after};
use model::SpiffeId;
use rustls::ServerConfig;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
};
use tokio_rustls::TlsAcceptor;
use tonic::{Status, service::Routes};
use tracing::{debug, warn};

/// Connections served at once; more wait in the accept queue.
pub const CONNECTIONS_MAX: usize = 8_192;
/// How long a TLS handshake may take.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection without a certificate may last: long enough for one Join.
pub const ANONYMOUS_TIMEOUT: Duration = Duration::from_secs(30);
/// Pings on an idle connection, and how long their answer may take: so a dead peer is noticed.
pub const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// Who is at the other end.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Its identity, proven in the handshake; `None` without a certificate.
    pub id: Option<SpiffeId>,
    /// End of its certificate.
    pub not_after: SystemTime,
    /// Its address.
    pub address: SocketAddr,
}

/// The peer of a gRPC request that must have an identity.
///
/// # Errors
/// `unauthenticated` when it has none.
pub fn identified<T>(request: &tonic::Request<T>) -> Result<(SpiffeId, Peer), Status> {
    let anonymous = || Status::unauthenticated("this call needs a client certificate: join first");
    let peer = request.extensions().get::<Peer>().ok_or_else(anonymous)?;
    Ok((peer.id.clone().ok_or_else(anonymous)?, peer.clone()))
}

/// Serves `routes` until the tasks drain. Connections that come before there is a certificate are closed.
pub async fn serve(
    listener: TcpListener,
    tls: watch::Receiver<Option<Arc<ServerConfig>>>,
    routes: Routes,
    clock: Clock,
    tasks: Tasks,
) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let drain = tasks.drain().clone();
    let mut failures = Duration::from_millis(5);
    loop {
        let slot = tokio::select! {
            slot = slots.clone().acquire_owned() => slot,
            () = drain.stopping() => return,
        };
        let Ok(slot) = slot else { return };
        let accepted = tokio::select! { a = listener.accept() => a, () = drain.stopping() => return };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors, most likely: wait for connections to end instead of spinning.
                warn!(%error, "cannot accept");
                tokio::time::sleep(failures).await;
                failures = (failures * 2).min(Duration::from_secs(1));
                continue;
            }
        };
        failures = Duration::from_millis(5);
        let Some(config) = tls.borrow().clone() else {
            debug!(%address, "closed: there is no model yet, so no certificate");
            continue;
        };
        let connection = connection(stream, address, config, routes.clone(), clock.clone(), tasks.clone());
        tasks.spawn(async move {
            connection.await;
            drop(slot);
        });
    }
}

async fn connection(
    stream: TcpStream,
    address: SocketAddr,
    config: Arc<ServerConfig>,
    routes: Routes,
    clock: Clock,
    tasks: Tasks,
) {
    let _ = stream.set_nodelay(true);
    let handshake = tokio::time::timeout(HANDSHAKE_TIMEOUT, TlsAcceptor::from(config).accept(stream)).await;
    let stream = match handshake {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return debug!(%address, %error, "handshake refused"),
        Err(_) => return debug!(%address, "handshake took too long"),
    };
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let peer = if chain.is_empty() {
        Peer { id: None, not_after: clock.now() + ANONYMOUS_TIMEOUT, address }
    } else {
        match (peer_id(chain), peer_not_after(chain)) {
            (Ok(id), Ok(not_after)) => Peer { id: Some(id), not_after, address },
            // The handshake has judged the same rules already.
            _ => return warn!(%address, "certificate refused after the handshake"),
        }
    };
    let life = peer.not_after.duration_since(clock.now()).unwrap_or_default();
    let service = WithPeer { routes: TowerToHyperService::new(routes.prepare()), peer };
    let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .max_concurrent_streams(64)
        .max_header_list_size(16 * 1024);
    let serving = builder.serve_connection(TokioIo::new(stream), service);
    let mut serving = std::pin::pin!(serving);
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = tasks.drain().stopping() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
        () = tokio::time::sleep(life) => {
            debug!(%address, "certificate ended, closing");
            return;
        }
    };
    if let Err(error) = ended {
        debug!(%address, %error, "connection ended");
    }
}

/// Hands the peer to every request of its connection.
#[derive(Clone)]
struct WithPeer {
    routes: TowerToHyperService<Routes>,
    peer: Peer,
}

impl Service<Request<Incoming>> for WithPeer {
    type Response = http::Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = <TowerToHyperService<Routes> as Service<Request<Incoming>>>::Future;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(self.peer.clone());
        self.routes.call(request)
    }
}
