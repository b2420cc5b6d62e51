//! A worker's connections to one upstream or to one service of its application: idle ones, balance, ejection.
use std::{
    cell::{Cell, RefCell},
    io,
    net::SocketAddr,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use rustls::{ClientConfig, pki_types::ServerName};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, TlsStream};

use crate::{
    conn::{Conn, Io},
    fault::Fault,
    h2::client::Clients,
    limits::Limits,
    snapshot::{Protocol, Service, Upstream},
};

/// Endpoints tried for one request.
const TRIES: usize = 3;
/// First pause after an endpoint could not be reached; doubles with each further failure.
const EJECTION: Duration = Duration::from_millis(500);
/// Longest pause.
const EJECTION_MAX: Duration = Duration::from_secs(30);

/// Where a pool leads.
pub(crate) enum Destination {
    /// Another workload, over mutual TLS.
    Mesh(Upstream),
    /// The own application.
    App(Service),
}

/// What is known of one address.
pub(crate) struct Endpoint {
    pub(crate) address: SocketAddr,
    /// Requests under way.
    pending: Cell<u32>,
    failures: Cell<u32>,
    ejected_until: Cell<Option<Instant>>,
    /// Replaced by a newer snapshot: what comes back is closed.
    retired: Cell<bool>,
    idle: RefCell<Vec<Idle>>,
    /// Connections of hyper's engines.
    pub(crate) clients: Clients,
}

struct Idle {
    conn: Conn,
    since: Instant,
}

/// The connections of a worker to one destination.
pub(crate) struct Pool {
    pub(crate) destination: Destination,
    /// Name for logs: `<node>:<port>`.
    pub(crate) name: Rc<str>,
    endpoints: Vec<Rc<Endpoint>>,
    next: Cell<usize>,
}

/// A connection out of a pool, or a fresh one.
pub(crate) struct Lease {
    pub(crate) conn: Conn,
    endpoint: Rc<Endpoint>,
    /// It carried a request before, so that it may die of the keep-alive race.
    pub(crate) reused: bool,
}

impl Endpoint {
    fn new(address: SocketAddr) -> Rc<Self> {
        Rc::new(Self {
            address,
            pending: Cell::new(0),
            failures: Cell::new(0),
            ejected_until: Cell::new(None),
            retired: Cell::new(false),
            idle: RefCell::default(),
            clients: Clients::default(),
        })
    }

    fn failed(&self, now: Instant) {
        let failures = self.failures.get().min(8);
        self.failures.set(failures + 1);
        let pause = EJECTION.saturating_mul(1 << failures).min(EJECTION_MAX);
        self.ejected_until.set(now.checked_add(pause));
    }

    fn succeeded(&self) {
        self.failures.set(0);
        self.ejected_until.set(None);
    }
}

/// Counts a request as under way at an endpoint until dropped.
pub(crate) struct Pending(Rc<Endpoint>);

impl Drop for Pending {
    fn drop(&mut self) {
        self.0.pending.set(self.0.pending.get().saturating_sub(1));
    }
}

impl Pool {
    /// A pool for an upstream; endpoints of `old` are taken over with their connections.
    pub(crate) fn mesh(upstream: &Upstream, old: Option<&Pool>) -> Self {
        let endpoints = upstream.endpoints.iter().map(|address| {
            let kept = old.and_then(|o| o.endpoints.iter().find(|e| e.address == *address)).cloned();
            kept.unwrap_or_else(|| Endpoint::new(*address))
        });
        let endpoints = endpoints.collect();
        Self {
            name: Rc::from(&*upstream.name),
            destination: Destination::Mesh(upstream.clone()),
            endpoints,
            next: Cell::new(0),
        }
    }

    /// A pool for a service of the application.
    pub(crate) fn app(service: &Service, old: Option<&Pool>) -> Self {
        let kept = old.and_then(|o| o.endpoints.iter().find(|e| e.address == service.address)).cloned();
        Self {
            name: Rc::from(format!("app:{}", service.port)),
            destination: Destination::App(service.clone()),
            endpoints: vec![kept.unwrap_or_else(|| Endpoint::new(service.address))],
            next: Cell::new(0),
        }
    }

    /// Lets go of endpoints that `successor` did not take over.
    pub(crate) fn retire(&self, successor: Option<&Pool>) {
        for endpoint in &self.endpoints {
            if !successor.is_some_and(|s| s.endpoints.iter().any(|e| Rc::ptr_eq(e, endpoint))) {
                endpoint.retired.set(true);
                endpoint.idle.borrow_mut().clear();
                endpoint.clients.clear();
            }
        }
    }

    pub(crate) fn protocol(&self) -> Protocol {
        match &self.destination {
            Destination::Mesh(upstream) => upstream.protocol,
            Destination::App(service) => service.protocol,
        }
    }

    fn idle_timeout(&self, limits: &Limits) -> Duration {
        match &self.destination {
            Destination::Mesh(_) => limits.upstream_idle_timeout,
            Destination::App(_) => limits.app_idle_timeout,
        }
    }

    /// Closes connections that were idle for too long or died meanwhile.
    pub(crate) fn sweep(&self, now: Instant, limits: &Limits) {
        let timeout = self.idle_timeout(limits);
        for endpoint in &self.endpoints {
            endpoint.clients.sweep();
            endpoint.idle.borrow_mut().retain_mut(|i| now.duration_since(i.since) < timeout && i.conn.is_quiet());
        }
    }

    /// The endpoint with the fewest requests under way, of those not ejected; if all are, the one whose pause ends
    /// first. `tried` are left out. Ties go round.
    pub(crate) fn pick(&self, now: Instant, tried: &[SocketAddr]) -> Option<Rc<Endpoint>> {
        if let ([only], []) = (self.endpoints.as_slice(), tried) {
            return Some(only.clone());
        }
        let start = self.next.get();
        self.next.set(start.wrapping_add(1));
        let count = self.endpoints.len();
        (0..count)
            .filter_map(|i| self.endpoints.get((start.wrapping_add(i)) % count))
            .filter(|e| !tried.contains(&e.address))
            .min_by_key(|e| (e.ejected_until.get().filter(|until| *until > now), e.pending.get()))
            .cloned()
    }

    /// Marks a request as under way at an endpoint.
    pub(crate) fn pending(endpoint: &Rc<Endpoint>) -> Pending {
        endpoint.pending.set(endpoint.pending.get() + 1);
        Pending(endpoint.clone())
    }

    /// An idle HTTP/1.1 connection that is still good.
    pub(crate) fn checkout(&self, now: Instant) -> Option<Lease> {
        let endpoint = self.pick(now, &[])?;
        loop {
            let idle = endpoint.idle.borrow_mut().pop();
            let mut conn = idle?.conn;
            if conn.is_quiet() {
                return Some(Lease { conn, endpoint, reused: true });
            }
        }
    }

    /// Gives a connection back after a complete exchange.
    pub(crate) fn checkin(&self, lease: Lease, now: Instant, limits: &Limits) {
        let Lease { mut conn, endpoint, .. } = lease;
        let mut idle = endpoint.idle.borrow_mut();
        if !endpoint.retired.get() && idle.len() < limits.upstream_idle_connections_max {
            conn.rest();
            idle.push(Idle { conn, since: now });
        }
    }

    /// A fresh HTTP/1.1 connection to the best endpoint, the next best if that cannot be reached.
    pub(crate) async fn dial(&self, limits: &Limits) -> Result<Lease, Fault> {
        self.dial_with(limits, |upstream| &upstream.tls_http1).await.map(|(io, endpoint)| Lease {
            conn: Conn::new(io),
            endpoint,
            reused: false,
        })
    }

    /// A fresh connection for HTTP/2.
    pub(crate) async fn dial_http2(&self, limits: &Limits) -> Result<(Io, Rc<Endpoint>), Fault> {
        self.dial_with(limits, |upstream| &upstream.tls_http2).await
    }

    async fn dial_with(
        &self,
        limits: &Limits,
        config: impl Fn(&Upstream) -> &Arc<ClientConfig>,
    ) -> Result<(Io, Rc<Endpoint>), Fault> {
        let mut tried = Vec::new();
        let mut fault = Fault::Connect;
        for _ in 0..TRIES {
            let Some(endpoint) = self.pick(daemon::instant(), &tried) else { break };
            tried.push(endpoint.address);
            let tls = match &self.destination {
                Destination::Mesh(upstream) => Some((config(upstream), &upstream.server_name)),
                Destination::App(_) => None,
            };
            match tokio::time::timeout(limits.connect_timeout, connect(endpoint.address, tls)).await {
                Ok(Ok(io)) => {
                    endpoint.succeeded();
                    return Ok((io, endpoint));
                }
                Ok(Err(error)) => {
                    let identity = error.get_ref().is_some_and(|e| e.is::<rustls::Error>());
                    fault = if identity { Fault::Identity } else { Fault::Connect };
                    tracing::warn!(upstream = %self.name, endpoint = %endpoint.address, reason = %error, "cannot connect");
                }
                Err(_) => {
                    fault = Fault::Connect;
                    tracing::warn!(upstream = %self.name, endpoint = %endpoint.address, reason = "timeout", "cannot connect");
                }
            }
            endpoint.failed(daemon::instant());
        }
        Err(fault)
    }
}

impl Lease {
    /// Where it leads.
    pub(crate) fn endpoint(&self) -> &Rc<Endpoint> {
        &self.endpoint
    }

    /// Marks the endpoint as busy.
    pub(crate) fn pending(&self) -> Pending {
        Pool::pending(&self.endpoint)
    }
}

async fn connect(address: SocketAddr, tls: Option<(&Arc<ClientConfig>, &ServerName<'static>)>) -> io::Result<Io> {
    let tcp = TcpStream::connect(address).await?;
    tcp.set_nodelay(true)?;
    match tls {
        None => Ok(Io::Plain(tcp)),
        Some((config, name)) => {
            let connector = TlsConnector::from(config.clone());
            let tls = connector.connect(name.clone(), tcp).await?;
            Ok(Io::Tls(Box::new(TlsStream::Client(tls))))
        }
    }
}
