//! Listening sockets: which ones a snapshot wants, and opening them, one per worker with SO_REUSEPORT, before the
//! snapshot is swapped in, so that a port in use refuses the whole configuration.
use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
};

use socket2::{Domain, Protocol, Socket, Type};

use crate::{settings::Settings, snapshot::Snapshot};

/// Connections the kernel completes before we accept them.
const BACKLOG: i32 = 1024;

/// What a listener is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// The mesh port.
    Inbound,
    /// The HTTP proxy port.
    HttpProxy,
    /// The local port of the upstream with this name.
    Outbound(Arc<str>),
    /// The gateway listener with this configured port.
    Gateway(u16),
}

/// An open listener: one socket per worker.
#[derive(Debug)]
pub(crate) struct Bound {
    pub(crate) kind: Kind,
    /// As configured; `address` may differ when a test asks for free ports.
    pub(crate) wanted: SocketAddr,
    pub(crate) address: SocketAddr,
    pub(crate) sockets: Vec<TcpListener>,
}

impl Bound {
    /// The same sockets for another purpose.
    pub(crate) fn for_kind(&self, kind: Kind) -> io::Result<Self> {
        let sockets = self.sockets.iter().map(TcpListener::try_clone).collect::<io::Result<_>>()?;
        Ok(Self { kind, wanted: self.wanted, address: self.address, sockets })
    }
}

/// The listeners a snapshot wants.
pub(crate) fn wanted(snapshot: &Snapshot, settings: &Settings) -> Vec<(Kind, SocketAddr)> {
    let mut out = Vec::new();
    out.extend(settings.inbound.map(|address| (Kind::Inbound, address)));
    out.extend(settings.http_proxy.map(|address| (Kind::HttpProxy, address)));
    for upstream in snapshot.upstreams.iter().filter(|u| u.local_port != 0) {
        let address = SocketAddr::new(settings.outbound_address, upstream.local_port);
        out.push((Kind::Outbound(upstream.name.clone()), address));
    }
    for listener in &snapshot.listeners {
        out.push((Kind::Gateway(listener.port), SocketAddr::new(settings.gateway_address, listener.port)));
    }
    out
}

/// Opens one listener.
pub(crate) fn bind(kind: Kind, wanted: SocketAddr, settings: &Settings) -> io::Result<Bound> {
    let mut address = wanted;
    if settings.ephemeral_ports {
        address.set_port(0);
    }
    let mut sockets = Vec::with_capacity(settings.workers);
    for _ in 0..settings.workers {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.set_reuse_address(true)?;
        // Alone, we do without: SO_REUSEPORT would hide that another process of the same user holds the port.
        if settings.workers > 1 {
            socket.set_reuse_port(true)?;
        }
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        let socket = TcpListener::from(socket);
        address = socket.local_addr()?;
        sockets.push(socket);
    }
    Ok(Bound { kind, wanted, address, sockets })
}
