//! A worker: one thread, one single-threaded runtime, its own listeners, connections, pools and counters. Nothing here
//! is shared with another worker except the snapshot it loads.
use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    io,
    net::SocketAddr,
    rc::Rc,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use arc_swap::{ArcSwapOption, Cache};
use daemon::{Clock, Tasks};
use identity::token::TokenCache;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use wire::v1::DecisionRecord;

use crate::{
    accept, access_log,
    account::{Labels, Outcome, Series},
    audit_spool::AuditSpool,
    fault::{Blame, Fault},
    limits::Limits,
    listeners::{Bound, Kind},
    policy_check,
    proxy::Shared,
    records::Dropped,
    session::Session,
    snapshot::Snapshot,
    tally::Tally,
    view::View,
    watch::{Registry, Subject, TICK},
};

/// How often idle upstream connections are looked at.
const SWEEP: Duration = Duration::from_secs(1);

/// Lines a second that strangers may cause in the log of one worker; counters count them all.
const LINES_PER_SECOND: u32 = 10;

type SnapshotCache = Cache<Arc<ArcSwapOption<Snapshot>>, Option<Arc<Snapshot>>>;

/// One worker.
pub(crate) struct Worker {
    shared: Arc<Shared>,
    index: usize,
    cache: RefCell<SnapshotCache>,
    view: RefCell<Option<Rc<View>>>,
    registry: Rc<Registry>,
    series: RefCell<HashMap<Labels, Arc<Series>>>,
    tally: Arc<Tally>,
    /// Tokens found good before, so that their signatures need no second look.
    tokens: RefCell<TokenCache>,
    /// Lines logged because of strangers, and in which second.
    lines: Cell<(u64, u32)>,
}

/// Starts a worker's thread.
pub(crate) fn start(shared: Arc<Shared>, index: usize) -> io::Result<std::thread::JoinHandle<()>> {
    // The runtime cannot move between threads; what can fail is made here, so that the caller learns of it.
    let (ready, started) = std::sync::mpsc::sync_channel(1);
    let thread = std::thread::Builder::new().name(format!("worker-{index}")).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build_local(tokio::runtime::LocalOptions::default());
        match runtime {
            Ok(runtime) => {
                let _ = ready.send(Ok(()));
                runtime.block_on(Worker::run(shared, index));
            }
            Err(error) => drop(ready.send(Err(error))),
        }
    })?;
    started.recv().unwrap_or_else(|_| Err(io::ErrorKind::BrokenPipe.into()))?;
    Ok(thread)
}

impl Worker {
    async fn run(shared: Arc<Shared>, index: usize) {
        let worker = Rc::new(Self {
            cache: RefCell::new(Cache::new(shared.snapshot.clone())),
            tally: shared.tallies.add(),
            tokens: RefCell::default(),
            shared,
            index,
            view: RefCell::new(None),
            registry: Rc::default(),
            series: RefCell::default(),
            lines: Cell::default(),
        });
        let tasks = worker.tasks().clone();
        tasks.spawn_local(worker.clone().tick());
        tasks.spawn_local(worker.clone().follow());
        tasks.drain().stopping().await;
        worker.registry.drain();
        let drained = async {
            while worker.registry.len() > 0 {
                tokio::time::sleep(TICK / 5).await;
            }
        };
        tokio::select! { () = drained => {}, () = tasks.drain().cut() => {} }
    }

    /// Looks at deadlines and idle connections.
    async fn tick(self: Rc<Self>) {
        let mut swept = daemon::instant();
        loop {
            // With nobody connected there is no deadline to keep.
            let pause = if self.registry.len() > 0 { TICK } else { TICK * 5 };
            tokio::time::sleep(pause).await;
            let now = daemon::instant();
            self.registry.tick(now);
            if now.duration_since(swept) >= SWEEP {
                swept = now;
                if let Some(view) = self.view() {
                    view.sweep(now, self.limits());
                }
            }
            if self.tasks().drain().is_stopping() && self.registry.len() == 0 {
                return;
            }
        }
    }

    /// Follows snapshots: opens and closes listeners, cuts connections that lost their right.
    async fn follow(self: Rc<Self>) {
        let mut states = self.shared.state.subscribe();
        states.mark_changed();
        let mut open: HashMap<Kind, (SocketAddr, CancellationToken)> = HashMap::new();
        loop {
            tokio::select! {
                changed = states.changed() => if changed.is_err() { break },
                () = self.tasks().drain().stopping() => break,
            }
            let state = states.borrow_and_update().clone();
            let gone: Vec<Kind> = open
                .iter()
                .filter(|(kind, (address, _))| {
                    !state.listeners.iter().any(|b| b.kind == **kind && b.address == *address)
                })
                .map(|(kind, _)| kind.clone())
                .collect();
            for kind in gone {
                if let Some((_, token)) = open.remove(&kind) {
                    token.cancel();
                }
            }
            for bound in &state.listeners {
                if !open.contains_key(&bound.kind) {
                    match self.listen(bound) {
                        Ok(token) => drop(open.insert(bound.kind.clone(), (bound.address, token))),
                        Err(error) => tracing::error!(%error, address = %bound.address, "cannot accept"),
                    }
                }
            }
            if let Some(view) = self.view() {
                self.registry.recheck(|subject| policy_check::keeps(&view, subject));
            }
        }
        open.into_values().for_each(|(_, token)| token.cancel());
    }

    fn listen(self: &Rc<Self>, bound: &Bound) -> io::Result<CancellationToken> {
        let socket = bound.sockets.get(self.index).ok_or(io::ErrorKind::NotFound)?.try_clone()?;
        let listener = TcpListener::from_std(socket)?;
        let token = CancellationToken::new();
        let (worker, kind, closed) = (self.clone(), bound.kind.clone(), token.clone());
        self.tasks().spawn_local(async move {
            loop {
                let accepted = tokio::select! {
                    accepted = listener.accept() => accepted,
                    () = closed.cancelled() => return,
                };
                match accepted {
                    Ok((tcp, peer)) => worker.accepted(&kind, tcp, peer),
                    // Out of descriptors, mostly: wait for some to come back instead of spinning.
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a connection");
                        tokio::time::sleep(TICK).await;
                    }
                }
            }
        });
        Ok(token)
    }

    fn accepted(self: &Rc<Self>, kind: &Kind, tcp: TcpStream, peer: SocketAddr) {
        if self.registry.len() >= self.limits().connections_max {
            self.shared.counters.connections_refused.fetch_add(1, Ordering::Relaxed);
            return;
        }
        if let Err(error) = tcp.set_nodelay(true) {
            tracing::debug!(%error, "connection died before it began");
            return;
        }
        let watch = self.registry.add(Subject::Local);
        self.tasks().spawn_local(accept::connection(self.clone(), kind.clone(), tcp, peer, watch));
    }

    /// The view of the snapshot in force; `None` before the first.
    pub(crate) fn view(&self) -> Option<Rc<View>> {
        let mut cache = self.cache.borrow_mut();
        let snapshot = cache.load().as_ref()?;
        let mut view = self.view.borrow_mut();
        match &*view {
            Some(view) if Arc::ptr_eq(&view.snapshot, snapshot) => Some(view.clone()),
            old => {
                let new = Rc::new(View::new(snapshot.clone(), old.as_deref()));
                *view = Some(new.clone());
                Some(new)
            }
        }
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.shared.settings.limits
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    pub(crate) fn tasks(&self) -> &Tasks {
        &self.shared.tasks
    }

    pub(crate) fn registry(&self) -> &Rc<Registry> {
        &self.registry
    }

    pub(crate) fn is_live_probe(&self, nonce: &str) -> bool {
        self.shared.nonces.is_live(nonce, self.clock().unix_ms())
    }

    /// Where this worker counts decisions.
    pub(crate) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Counts a refused token.
    pub(crate) fn refused_token(&self, issuer: &str, check: &'static str) {
        self.shared.tallies.refuse(issuer, check);
    }

    /// Lends the tokens that this worker has found good before.
    pub(crate) fn with_token_cache<T>(&self, ask: impl FnOnce(&mut TokenCache) -> T) -> T {
        ask(&mut self.tokens.borrow_mut())
    }

    /// Hands a decision record on.
    pub(crate) fn record(&self, record: DecisionRecord) -> Result<(), Dropped> {
        self.shared.decisions.push(record)
    }

    /// The durable spool.
    pub(crate) fn audit(&self) -> Option<&AuditSpool> {
        self.shared.audit.as_ref()
    }

    /// Says what became of a request whose decision is in the durable spool.
    pub(crate) fn audit_outcome(&self, decision: &str, outcome: &Outcome) {
        if let Some(audit) = self.audit() {
            audit.outcome(&wire::v1::Outcome {
                decision: decision.to_owned(),
                status: outcome.status.into(),
                flag: outcome.flag.to_owned(),
                bytes_in: outcome.bytes_in,
                bytes_out: outcome.bytes_out,
                duration_us: u64::try_from(outcome.duration.as_micros()).unwrap_or(u64::MAX),
            });
        }
    }

    /// The counters for these labels; beyond the limit all share one.
    pub(crate) fn series(&self, labels: Labels) -> Arc<Series> {
        let mut series = self.series.borrow_mut();
        if let Some(series) = series.get(&labels) {
            return series.clone();
        }
        let labels = if series.len() < self.limits().series_max { labels } else { labels.anonymous() };
        series.entry(labels.clone()).or_insert_with(|| self.shared.ledger.add(labels)).clone()
    }

    pub(crate) fn logs_access(&self) -> bool {
        self.shared.access_log.is_some()
    }

    pub(crate) fn log_access(&self, line: &access_log::Line<'_>) {
        if let Some(log) = &self.shared.access_log {
            log.write(line, self.clock().unix_ms());
        }
    }

    /// A head that was no request: worth a line, as it may be an attack.
    pub(crate) fn log_refused_head(&self, session: &Session, fault: Fault, outcome: &Outcome) {
        debug_assert_ne!(fault.facts().0, Blame::Internal);
        if !self.may_log() {
            return;
        }
        tracing::info!(
            peer = %session.peer_ip,
            principal = session.principal.as_deref(),
            reason = fault.code(),
            status = outcome.status,
            "request refused"
        );
    }

    /// A connection to a TLS port that came to nothing: counted, and logged as long as there are not too many.
    pub(crate) fn handshake_failed(&self, peer: SocketAddr, principal: Option<&str>, reason: &str) {
        self.shared.counters.handshakes_failed.fetch_add(1, Ordering::Relaxed);
        if self.may_log() {
            tracing::info!(%peer, principal, reason, "connection refused");
        }
    }

    /// Whether a line that a stranger can provoke may be logged: at most [`LINES_PER_SECOND`].
    fn may_log(&self) -> bool {
        let second = self.clock().unix_seconds();
        let (last, lines) = self.lines.get();
        let lines = if last == second { lines + 1 } else { 1 };
        self.lines.set((second, lines));
        lines <= LINES_PER_SECOND
    }
}
