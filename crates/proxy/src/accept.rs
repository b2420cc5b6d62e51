//! From an accepted socket to a session: TLS, who the peer is, which port it means, which protocol it speaks.
use std::{net::SocketAddr, rc::Rc, sync::Arc};

use rustls::ServerConnection;
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsStream};

use crate::{
    ask::{Ask, Headers},
    conn::{Conn, Io},
    fault::Fault,
    h1::serve::{self as h1, End},
    h2, hbone,
    listeners::Kind,
    session::{Role, Session},
    snapshot::Protocol,
    view::View,
    watch::{Registered, Subject},
    worker::Worker,
};

// The rare long ways are boxed, so that an idle HTTP/1.1 connection does not carry their size.

/// Serves one accepted connection.
pub(crate) async fn connection(worker: Rc<Worker>, kind: Kind, tcp: TcpStream, peer: SocketAddr, watch: Registered) {
    let Some(view) = worker.view() else { return };
    let local = tcp.local_addr().ok().map(|address| address.ip());
    match kind {
        Kind::Outbound(upstream) => {
            let session = Session::new(worker, Role::Outbound { upstream: upstream.clone() }, peer.ip(), local);
            let conn = Conn::new(Io::Plain(tcp));
            match view.upstream(&upstream) {
                Some(pool) if pool.protocol() == Protocol::Tcp => {
                    let pool = pool.clone();
                    let ask = Ask::tcp("", Headers::Raw(&[]), false);
                    if let Ok(grant) = session.admit(&view, &ask) {
                        drop(view);
                        Box::pin(hbone::outbound(&session, &pool, &grant.series, conn, &watch)).await;
                    }
                }
                _ => {
                    drop(view);
                    plain(session, conn, &watch).await;
                }
            }
        }
        Kind::HttpProxy => {
            drop(view);
            plain(Session::new(worker, Role::HttpProxy, peer.ip(), local), Conn::new(Io::Plain(tcp)), &watch).await;
        }
        Kind::Inbound => inbound(worker, view, tcp, peer, watch).await,
        Kind::Gateway(port) => gateway(worker, view, port, tcp, peer, watch).await,
    }
}

/// HTTP/1.1, or HTTP/2 with prior knowledge.
async fn plain(session: Session, conn: Conn, watch: &Registered) {
    if let End::Http2(conn) = h1::serve(&session, conn, watch).await {
        Box::pin(h2::serve::serve(Rc::new(session), conn, watch)).await;
    }
}

/// Accepts TLS within its deadline.
async fn handshake(
    worker: &Worker,
    config: &Arc<rustls::ServerConfig>,
    tcp: TcpStream,
    peer: SocketAddr,
    watch: &Registered,
) -> Option<tokio_rustls::server::TlsStream<TcpStream>> {
    watch.until(daemon::instant(), worker.limits().tls_handshake_timeout);
    let why = match watch.guard(TlsAcceptor::from(config.clone()).accept(tcp)).await {
        Ok(Ok(tls)) => return Some(tls),
        Ok(Err(error)) => error.to_string(),
        Err(why) => format!("{why:?}"),
    };
    worker.handshake_failed(peer, None, &why);
    None
}

async fn inbound(worker: Rc<Worker>, view: Rc<View>, tcp: TcpStream, peer: SocketAddr, watch: Registered) {
    let config = view.snapshot.inbound_tls.clone();
    let local = tcp.local_addr().ok().map(|address| address.ip());
    drop(view);
    let Some(tls) = Box::pin(handshake(&worker, &config, tcp, peer, &watch)).await else { return };
    // The snapshot may have changed during the handshake.
    let Some(view) = worker.view() else { return };
    let facts = tls.get_ref().1;
    let (id, not_after) = match identity::peer(facts.peer_certificates().unwrap_or_default()) {
        Ok(peer) => peer,
        Err(error) => {
            worker.handshake_failed(peer, None, &daemon::logs::chain(&error));
            return;
        }
    };
    let Some(port) = port_of(&view, facts.server_name()) else {
        worker.handshake_failed(peer, Some(id.as_str()), "no such service here");
        return;
    };
    let http2 = is_http2(facts);
    let mut session = Session::new(worker, Role::Inbound { port }, peer.ip(), local);
    session.sni = facts.server_name().map(str::to_owned);
    session.peer_until = Some(not_after);
    session.client_cert = format!("By={};URI={id}", view.snapshot.id).into_bytes();
    *watch.subject.borrow_mut() = Subject::Peer { principal: Rc::from(id.as_str()) };
    session.principal = Some(Arc::from(id.as_str()));
    let conn = Conn::new(Io::Tls(Box::new(TlsStream::Server(tls))));
    drop(view);
    if http2 {
        Box::pin(h2::serve::serve(Rc::new(session), conn, &watch)).await;
    } else if let End::Http2(_) = h1::serve(&session, conn, &watch).await {
        tracing::info!(%peer, reason = Fault::Version.code(), "HTTP/2 preface on an HTTP/1.1 connection");
    }
}

/// The port a server name means: `<port>.<node>.<namespace>.<trust domain>`, or without one the only port there is.
fn port_of(view: &View, name: Option<&str>) -> Option<u16> {
    let services = &view.snapshot.services;
    let port = match (name, services.as_slice()) {
        (None, [only]) => only.port,
        (None, _) => return None,
        (Some(name), _) => {
            let (port, rest) = name.split_once('.')?;
            if !rest.eq_ignore_ascii_case(&view.snapshot.server_name) {
                return None;
            }
            port.parse().ok()?
        }
    };
    services.iter().any(|s| s.port == port).then_some(port)
}

async fn gateway(worker: Rc<Worker>, view: Rc<View>, port: u16, tcp: TcpStream, peer: SocketAddr, watch: Registered) {
    let Some(listener) = view.snapshot.listeners.iter().find(|l| l.port == port) else { return };
    let config = listener.tls.clone();
    let local = tcp.local_addr().ok().map(|address| address.ip());
    drop(view);
    let Some(config) = config else {
        let session = Session::new(worker, Role::Gateway { port, tls: false }, peer.ip(), local);
        return plain(session, Conn::new(Io::Plain(tcp)), &watch).await;
    };
    let Some(tls) = Box::pin(handshake(&worker, &config, tcp, peer, &watch)).await else { return };
    let facts = tls.get_ref().1;
    let http2 = is_http2(facts);
    let mut session = Session::new(worker, Role::Gateway { port, tls: true }, peer.ip(), local);
    session.sni = facts.server_name().map(str::to_owned);
    let conn = Conn::new(Io::Tls(Box::new(TlsStream::Server(tls))));
    if http2 {
        Box::pin(h2::serve::serve(Rc::new(session), conn, &watch)).await;
    } else if let End::Http2(_) = h1::serve(&session, conn, &watch).await {
        tracing::info!(%peer, reason = Fault::Version.code(), "HTTP/2 preface on an HTTP/1.1 connection");
    }
}

fn is_http2(facts: &ServerConnection) -> bool {
    facts.alpn_protocol() == Some(b"h2")
}
