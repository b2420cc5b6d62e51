//! A worker's own view of a snapshot: the snapshot, and the worker's pools for it. Taken once per request.
use std::{rc::Rc, sync::Arc, time::Instant};

use http::HeaderMap;

use crate::{
    limits::Limits,
    pool::{Destination, Pool},
    session::host_name,
    snapshot::Snapshot,
};

/// A snapshot with this worker's connections.
pub(crate) struct View {
    pub(crate) snapshot: Arc<Snapshot>,
    /// Rises by one with each view of this worker.
    pub(crate) number: u64,
    /// In the order of `Snapshot::upstreams`.
    pub(crate) upstreams: Vec<Rc<Pool>>,
    /// In the order of `Snapshot::services`.
    services: Vec<Rc<Pool>>,
    pub(crate) no_headers: HeaderMap,
}

impl View {
    /// A view that takes over what it can from the one before: connections stay while peer, identity and address do.
    pub(crate) fn new(snapshot: Arc<Snapshot>, old: Option<&View>) -> Self {
        let same_identity = old.is_some_and(|o| o.snapshot.same_identity(&snapshot));
        let upstreams = snapshot.upstreams.iter().map(|upstream| {
            let before = old.filter(|_| same_identity).and_then(|o| {
                o.upstreams.iter().find(|p| match &p.destination {
                    Destination::Mesh(u) => u.name == upstream.name && u.id == upstream.id,
                    Destination::App(_) => false,
                })
            });
            Rc::new(Pool::mesh(upstream, before.map(|p| &**p)))
        });
        let upstreams: Vec<_> = upstreams.collect();
        let services = snapshot.services.iter().map(|service| {
            let before = old.and_then(|o| o.service(service.port)).filter(|p| p.protocol() == service.protocol);
            Rc::new(Pool::app(service, before.map(|p| &**p)))
        });
        let services: Vec<_> = services.collect();
        if let Some(old) = old {
            for pool in &old.upstreams {
                pool.retire(upstreams.iter().find(|p| p.name == pool.name).map(|p| &**p));
            }
            for pool in &old.services {
                pool.retire(services.iter().find(|p| p.name == pool.name).map(|p| &**p));
            }
        }
        Self { snapshot, number: old.map_or(1, |o| o.number + 1), upstreams, services, no_headers: HeaderMap::new() }
    }

    /// The pool of an upstream.
    pub(crate) fn upstream(&self, name: &str) -> Option<&Rc<Pool>> {
        self.upstreams.iter().find(|p| &*p.name == name)
    }

    /// The pool of the upstream that a Host means.
    pub(crate) fn upstream_for_host(&self, host: &str) -> Option<&Rc<Pool>> {
        let by_host = &self.snapshot.upstream_by_host;
        let index = by_host.get(host).or_else(|| {
            let lower = host.to_ascii_lowercase();
            // `http://orders/` and `http://orders:80/` are the same to a client.
            let bare = if lower.ends_with(":80") { host_name(&lower) } else { lower.as_str() };
            by_host.get(bare)
        })?;
        self.upstreams.get(*index)
    }

    /// The pool of a service.
    pub(crate) fn service(&self, port: u16) -> Option<&Rc<Pool>> {
        self.snapshot.services.iter().position(|s| s.port == port).and_then(|i| self.services.get(i))
    }

    /// Closes idle connections that are too old or dead.
    pub(crate) fn sweep(&self, now: Instant, limits: &Limits) {
        self.upstreams.iter().chain(&self.services).for_each(|p| p.sweep(now, limits));
    }
}
