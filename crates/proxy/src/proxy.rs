//! The handle of a running proxy: apply a configuration, read what it observed, drain it.
use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicU64},
    thread::JoinHandle,
    time::SystemTime,
};

use arc_swap::ArcSwapOption;
use daemon::{Clock, Finished, Tasks};
use tokio::sync::watch;
use wire::v1::FlowCount;

use crate::{
    access_log,
    account::Ledger,
    audit_spool::AuditSpool,
    listeners::{self, Bound, Kind},
    records::{Decisions, Nonces},
    settings::Settings,
    snapshot::{self, Identity, Resources, Snapshot},
    tally::Tallies,
    worker,
};

/// A proxy. Clones share it.
#[derive(Clone)]
pub struct Proxy {
    shared: Arc<Shared>,
    threads: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

/// What workers share. On the hot path only `snapshot` is read.
pub(crate) struct Shared {
    pub(crate) settings: Arc<Settings>,
    pub(crate) clock: Clock,
    pub(crate) tasks: Tasks,
    pub(crate) snapshot: Arc<ArcSwapOption<Snapshot>>,
    pub(crate) state: watch::Sender<State>,
    pub(crate) decisions: Decisions,
    /// `None` when there is no place for it; then no configuration with a strict flow is taken.
    pub(crate) audit: Option<AuditSpool>,
    pub(crate) nonces: Nonces,
    pub(crate) ledger: Ledger,
    pub(crate) counters: Counters,
    pub(crate) tallies: Tallies,
    pub(crate) access_log: Option<access_log::Writer>,
}

/// Counts that are not about requests.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) connections_refused: AtomicU64,
    pub(crate) handshakes_failed: AtomicU64,
}

/// What workers reconcile themselves with, off the hot path.
#[derive(Clone, Default)]
pub(crate) struct State {
    pub(crate) listeners: Vec<Arc<Bound>>,
}

/// Why a proxy cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A worker thread or its runtime cannot be made.
    #[error("cannot start a worker")]
    Worker(#[source] io::Error),
    /// The access log cannot be opened.
    #[error("cannot open the access log")]
    AccessLog(#[source] io::Error),
}

impl Proxy {
    /// A proxy without configuration; nothing runs yet but the access log, which is opened.
    pub fn new(settings: Settings, clock: Clock, tasks: Tasks) -> Result<Self, StartError> {
        let shared = Shared {
            access_log: access_log::Writer::open(&settings.access_log).map_err(StartError::AccessLog)?,
            decisions: Decisions::new(settings.limits.decision_queue_max),
            audit: audit_spool(&settings, &clock),
            settings: Arc::new(settings),
            clock,
            tasks,
            snapshot: Arc::new(ArcSwapOption::empty()),
            state: watch::Sender::new(State::default()),
            nonces: Nonces::default(),
            ledger: Ledger::default(),
            counters: Counters::default(),
            tallies: Tallies::default(),
        };
        Ok(Self { shared: Arc::new(shared), threads: Arc::default() })
    }

    /// Starts the worker threads.
    pub fn start(&self) -> Result<(), StartError> {
        if let Some(audit) = &self.shared.audit {
            audit.resume();
        }
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        for index in 0..self.shared.settings.workers {
            threads.push(worker::start(self.shared.clone(), index).map_err(StartError::Worker)?);
        }
        Ok(())
    }

    /// Compiles resources and identity, opens the listeners that are new, and swaps the snapshot in. Any error leaves
    /// everything as it was. Returns the revision in force. Takes up to some milliseconds: not for a worker thread.
    pub fn apply(&self, resources: &Resources, identity: &Identity) -> Result<u64, Vec<snapshot::Error>> {
        let snapshot = Arc::new(snapshot::compile(resources, identity, &self.shared.settings)?);
        // One apply at a time; the lock is never taken by a worker.
        let _turn = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        let listeners = self.open(&snapshot)?;
        let revision = snapshot.revision;
        if let Some(audit) = self.shared.audit.as_ref().filter(|_| snapshot.audits_strictly) {
            audit.start();
        }
        self.shared.snapshot.store(Some(snapshot));
        self.shared.state.send_replace(State { listeners });
        Ok(revision)
    }

    fn open(&self, snapshot: &Snapshot) -> Result<Vec<Arc<Bound>>, Vec<snapshot::Error>> {
        let current = self.shared.state.borrow().listeners.clone();
        let mut errors = Vec::new();
        let mut out = Vec::new();
        for (kind, wanted) in listeners::wanted(snapshot, &self.shared.settings) {
            if let Some(bound) = current.iter().find(|b| b.kind == kind && b.wanted == wanted) {
                out.push(bound.clone());
                continue;
            }
            // A port that only changes its purpose keeps its socket: closing and opening it again would race.
            let bound = match current.iter().find(|b| b.wanted == wanted) {
                Some(bound) => bound.for_kind(kind.clone()),
                None => listeners::bind(kind.clone(), wanted, &self.shared.settings),
            };
            match bound {
                Ok(bound) => out.push(Arc::new(bound)),
                Err(e) => errors.push(snapshot::Error {
                    place: format!("listener {kind:?}"),
                    why: format!("cannot listen on {wanted}: {e}"),
                }),
            }
        }
        if errors.is_empty() { Ok(out) } else { Err(errors) }
    }

    /// Revision of the snapshot in force.
    pub fn revision(&self) -> Option<u64> {
        self.shared.snapshot.load().as_ref().map(|s| s.revision)
    }

    /// A configuration is in force, its SVID has not expired, and no drain has begun.
    pub fn is_ready(&self) -> bool {
        let snapshot = self.shared.snapshot.load();
        let alive = |not_after: SystemTime| not_after > self.shared.clock.now();
        snapshot.as_ref().is_some_and(|s| alive(s.svid_not_after)) && !self.shared.tasks.drain().is_stopping()
    }

    /// Listeners that are open, and where.
    pub fn addresses(&self) -> Vec<(Kind, SocketAddr)> {
        self.shared.state.borrow().listeners.iter().map(|b| (b.kind.clone(), b.address)).collect()
    }

    /// The queue of decision records.
    pub fn decisions(&self) -> &Decisions {
        &self.shared.decisions
    }

    /// The durable spool of strict and critical decisions.
    pub fn audit(&self) -> Option<&AuditSpool> {
        self.shared.audit.as_ref()
    }

    /// Increments of every flow's counts since the last call; only flows that moved.
    pub fn flow_counts(&self) -> Vec<FlowCount> {
        self.shared.ledger.flow_counts()
    }

    /// Probes this proxy answers itself.
    pub fn nonces(&self) -> &Nonces {
        &self.shared.nonces
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// The settings it was made with.
    pub fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// Its clock.
    pub fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    /// The set its tasks run in; its drain signal is the proxy's.
    pub fn tasks(&self) -> &Tasks {
        &self.shared.tasks
    }

    /// Drains: stops accepting, lets requests finish, cuts the rest at the deadline of the settings.
    pub async fn shutdown(&self) -> Finished {
        self.shared.tasks.drain().stop();
        // Workers let go of their copies; with the last one the kernel stops completing connections.
        self.shared.state.send_modify(|state| state.listeners.clear());
        let finished = self.shared.tasks.finish(self.shared.settings.drain_timeout).await;
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        let _ = tokio::task::spawn_blocking(move || threads.into_iter().for_each(|t| drop(t.join()))).await;
        finished
    }
}

fn audit_spool(settings: &Settings, clock: &Clock) -> Option<AuditSpool> {
    let limits = &settings.limits;
    let bytes_max = u64::try_from(limits.audit_spool_bytes_max).unwrap_or(u64::MAX);
    Some(AuditSpool::new(settings.audit_directory()?, bytes_max, limits.audit_commit_timeout, clock.clone()))
}
