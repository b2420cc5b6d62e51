//! One connection to the control plane: TCP, our own TLS, HTTP/2. No pool and no hidden reconnect, because a connection is
//! tied to the SVID it was made with.
use std::{
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use daemon::{Tasks, logs::chain};
use http::{Request, Response, Uri};
use hyper::{body::Incoming, client::conn::http2::SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use identity::{RefusalCode, SvidError, peer_id, refusal};
use model::SpiffeId;
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;
use tonic::{body::Body, codegen::Service};

/// Until TCP is connected, name look-up included; and again until the handshakes are through.
const STEP_TIMEOUT: Duration = Duration::from_secs(5);
/// Pings on an idle connection, and how long their answer may take.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// The control plane serves one name; identity is checked by SPIFFE ID.
const SERVER_NAME: &str = "ward-control";

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// Name look-up or TCP.
    #[error("cannot connect")]
    Connect(#[source] io::Error),
    /// Too slow.
    #[error("no answer within {} s", STEP_TIMEOUT.as_secs())]
    Timeout,
    /// The peer is not who it must be, or does not accept us.
    #[error("TLS refused ({})", code.as_str())]
    Tls {
        /// The kind of refusal.
        code: RefusalCode,
        /// The handshake's error.
        #[source]
        source: io::Error,
    },
    /// Not a usable certificate after all.
    #[error("the peer's certificate is not an SVID")]
    Peer(#[source] SvidError),
    /// HTTP/2.
    #[error("HTTP/2 handshake failed")]
    Http2(#[source] hyper::Error),
}

impl DialError {
    /// Whether it was our own check that refused the peer: its certificate is not the one we must see.
    pub(super) fn is_wrong_peer(&self) -> bool {
        !matches!(self, Self::Connect(_) | Self::Timeout | Self::Http2(_))
            && !matches!(self, Self::Tls { code: RefusalCode::Protocol, .. })
    }
}

/// A connection; clones share it.
#[derive(Clone)]
pub(super) struct Connection(SendRequest<Body>);

impl Service<Request<Body>> for Connection {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Incoming>, hyper::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}

/// The origin of every gRPC request.
pub(super) fn origin() -> Uri {
    Uri::from_static("https://ward-control")
}

/// Connects; returns the connection and who the peer has proven to be. The connection's driver runs in `tasks`.
pub(super) async fn dial(
    address: &str,
    config: Arc<ClientConfig>,
    tasks: &Tasks,
) -> Result<(Connection, SpiffeId), DialError> {
    let tcp = timeout(STEP_TIMEOUT, TcpStream::connect(address)).await.map_err(|_| DialError::Timeout)?;
    let tcp = tcp.map_err(DialError::Connect)?;
    tcp.set_nodelay(true).map_err(DialError::Connect)?;
    let tls = timeout(STEP_TIMEOUT, TlsConnector::from(config).connect(server_name(), tcp));
    let tls = tls.await.map_err(|_| DialError::Timeout)?.map_err(tls_error)?;
    let peer = peer_id(tls.get_ref().1.peer_certificates().unwrap_or_default()).map_err(DialError::Peer)?;
    let mut builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .keep_alive_while_idle(true);
    let handshake = timeout(STEP_TIMEOUT, builder.handshake(TokioIo::new(tls)));
    let (sender, driver) = handshake.await.map_err(|_| DialError::Timeout)?.map_err(DialError::Http2)?;
    tasks.spawn(async move {
        if let Err(error) = driver.await {
            tracing::debug!(error = chain(&error), "connection to the control plane ended");
        }
    });
    Ok((Connection(sender), peer))
}

/// The refusal inside an I/O error of a handshake.
pub(super) fn tls_error(source: io::Error) -> DialError {
    match source.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(error) => DialError::Tls { code: refusal(error).0, source },
        None => DialError::Tls { code: RefusalCode::Protocol, source },
    }
}

/// The SNI. The fallback cannot be needed: the constant is a name.
fn server_name() -> ServerName<'static> {
    ServerName::try_from(SERVER_NAME).unwrap_or(ServerName::IpAddress(std::net::Ipv4Addr::LOCALHOST.into()))
}
