//! HTTP/2 connections to upstreams, shared by requests and tunnels; and HTTP/1.1 ones for translated requests.
use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};

use crate::{
    fault::Fault,
    h2::{Active, LocalExecutor, Passing},
    pool::{Endpoint, Pool},
    worker::Worker,
};

/// Streams on one connection before another is opened; below what our own servers allow.
const STREAMS: usize = 100;
/// How often a connection with streams is pinged.
const PING: Duration = Duration::from_secs(20);
/// Flow control windows: enough for 1 Gbit/s at 8 ms.
const WINDOW: u32 = 1024 * 1024;

/// The connections of one endpoint.
#[derive(Default)]
pub(crate) struct Clients {
    http2: RefCell<Vec<Http2>>,
    http1: RefCell<Vec<http1::SendRequest<Passing>>>,
}

struct Http2 {
    sender: http2::SendRequest<Passing>,
    active: Rc<Cell<usize>>,
}

/// A connection to send one request on.
pub(crate) enum Sender {
    Http2(http2::SendRequest<Passing>, Active),
    Http1(http1::SendRequest<Passing>, Rc<Endpoint>),
}

impl Clients {
    pub(crate) fn clear(&self) {
        self.http2.borrow_mut().clear();
        self.http1.borrow_mut().clear();
    }

    /// Forgets connections that have closed.
    pub(crate) fn sweep(&self) {
        self.http2.borrow_mut().retain(|c| !c.sender.is_closed());
        self.http1.borrow_mut().retain(|s| !s.is_closed());
    }

    fn http2(&self) -> Option<Sender> {
        let mut clients = self.http2.borrow_mut();
        clients.retain(|c| !c.sender.is_closed());
        let client = clients.iter().find(|c| c.active.get() < STREAMS)?;
        Some(Sender::Http2(client.sender.clone(), Active::new(&client.active)))
    }

    /// Gives an HTTP/1.1 connection back; it becomes usable when its response has been read.
    pub(crate) fn give_back(&self, sender: http1::SendRequest<Passing>, most: usize) {
        let mut idle = self.http1.borrow_mut();
        if !sender.is_closed() && idle.len() < most {
            idle.push(sender);
        }
    }
}

/// An HTTP/2 connection to the pool's destination, an open one if it has room.
pub(crate) async fn http2(worker: &Worker, pool: &Pool) -> Result<Sender, Fault> {
    let open = pool.pick(daemon::instant(), &[]).and_then(|e| e.clients.http2());
    if let Some(sender) = open {
        return Ok(sender);
    }
    let (io, endpoint) = pool.dial_http2(worker.limits()).await?;
    let limits = worker.limits();
    let handshake = http2::Builder::new(LocalExecutor(worker.tasks().clone()))
        .timer(TokioTimer::new())
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW * 2)
        .keep_alive_interval(PING)
        .max_header_list_size(u32::try_from(limits.header_bytes_max).unwrap_or(u32::MAX))
        .handshake(TokioIo::new(io));
    let (sender, connection) = tokio::time::timeout(limits.connect_timeout, handshake)
        .await
        .map_err(|_| Fault::Connect)?
        .map_err(|_| Fault::Connect)?;
    worker.tasks().spawn_local(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "upstream HTTP/2 connection ended");
        }
    });
    let active = Rc::new(Cell::new(0));
    let stream = Active::new(&active);
    endpoint.clients.http2.borrow_mut().push(Http2 { sender: sender.clone(), active });
    Ok(Sender::Http2(sender, stream))
}

/// An HTTP/1.1 connection to the own application.
pub(crate) async fn http1(worker: &Worker, pool: &Pool) -> Result<Sender, Fault> {
    if let Some(endpoint) = pool.pick(daemon::instant(), &[]) {
        let idle = {
            let mut idle = endpoint.clients.http1.borrow_mut();
            idle.retain(|s| !s.is_closed());
            idle.iter().rposition(http1::SendRequest::is_ready).map(|i| idle.swap_remove(i))
        };
        if let Some(sender) = idle {
            return Ok(Sender::Http1(sender, endpoint));
        }
    }
    let lease = pool.dial(worker.limits()).await?;
    let endpoint = lease.endpoint().clone();
    let (sender, connection) = http1::Builder::new()
        .max_headers(worker.limits().headers_max)
        .handshake(TokioIo::new(lease.conn.io))
        .await
        .map_err(|_| Fault::Connect)?;
    worker.tasks().spawn_local(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "application connection ended");
        }
    });
    Ok(Sender::Http1(sender, endpoint))
}
