//! What leaves the data path for the control plane: decision records through a bounded queue, and the nonces of probes
//! this proxy answers itself.
use std::{
    collections::HashMap,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwap;
use tokio::sync::mpsc;
use wire::v1::{DecisionRecord, Outcome};

use crate::audit_spool::AuditSpool;

/// The queue of decision records.
#[derive(Debug)]
pub struct Decisions {
    sender: mpsc::Sender<DecisionRecord>,
    receiver: Mutex<Option<mpsc::Receiver<DecisionRecord>>>,
    dropped: AtomicU64,
}

/// The queue is full or nobody will ever read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dropped;

impl Decisions {
    pub(crate) fn new(capacity: usize) -> Self {
        let (sender, receiver) = mpsc::channel(capacity.max(1));
        Self { sender, receiver: Mutex::new(Some(receiver)), dropped: AtomicU64::new(0) }
    }

    /// The reading end; there is one, so the second call gets `None`.
    pub fn take(&self) -> Option<mpsc::Receiver<DecisionRecord>> {
        self.receiver.lock().ok()?.take()
    }

    /// Records dropped since the start because the queue was full.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Never waits.
    pub(crate) fn push(&self, record: DecisionRecord) -> Result<(), Dropped> {
        self.sender.try_send(record).map_err(|_| {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            Dropped
        })
    }
}

/// Most nonces that are live at once.
pub const NONCES_MAX: usize = 65_536;

/// Nonces announced by the control plane, with their expiry.
#[derive(Debug, Default)]
pub struct Nonces(ArcSwap<HashMap<String, u64>>);

impl Nonces {
    /// Honours these nonces until their expiry, milliseconds since the Unix epoch; forgets those past `now_ms`.
    pub fn announce(&self, nonces: impl IntoIterator<Item = (String, u64)>, now_ms: u64) {
        let mut map = HashMap::clone(&self.0.load());
        map.retain(|_, expiry| *expiry > now_ms);
        for (nonce, expiry) in nonces {
            if map.len() < NONCES_MAX {
                map.insert(nonce, expiry);
            }
        }
        self.0.store(map.into());
    }

    /// Whether a request with this nonce is a probe that we answer ourselves.
    pub fn is_live(&self, nonce: &str, now_ms: u64) -> bool {
        self.0.load().get(nonce).is_some_and(|expiry| *expiry > now_ms)
    }
}

/// Without a control plane, decisions go to the log: denials as warnings, the others as information. Those of strict and
/// critical flows come from the durable spool, and leave it once their line is written.
pub fn log_decisions(proxy: &crate::Proxy) {
    let Some(mut records) = proxy.decisions().take() else { return };
    let drain = proxy.tasks().drain().clone();
    let audit = proxy.audit().cloned();
    proxy.tasks().spawn(async move {
        let log = async {
            while let Some(record) = records.recv().await {
                log_decision(&record);
            }
        };
        // Records of the drain itself still count; the queue holds them no longer than the process.
        tokio::select! { () = log => {}, () = log_audited(audit) => {}, () = drain.stopping() => {} }
    });
}

async fn log_audited(audit: Option<AuditSpool>) {
    let Some(audit) = audit else { return std::future::pending().await };
    let mut committed = audit.subscribe();
    let mut reader = audit.reader();
    loop {
        while reader.has_more() {
            let read = tokio::task::spawn_blocking(move || {
                let batch = reader.read();
                (reader, batch)
            });
            let batch = match read.await {
                Ok((same, Ok(batch))) => {
                    reader = same;
                    batch
                }
                Ok((same, Err(error))) => {
                    tracing::error!(%error, "the audit spool cannot be read");
                    reader = same;
                    break;
                }
                Err(error) => {
                    tracing::error!(%error, "reading the audit spool failed");
                    reader = audit.reader();
                    break;
                }
            };
            batch.decisions.iter().for_each(log_decision);
            batch.outcomes.iter().for_each(log_outcome);
            audit.acknowledge(batch.through);
        }
        // It ends with the proxy.
        if committed.changed().await.is_err() {
            return;
        }
    }
}

fn log_decision(r: &DecisionRecord) {
    if r.allowed {
        tracing::info!(
            decision = r.id,
            principal = r.principal,
            method = r.method,
            path = r.path,
            port = r.port,
            policy = r.policy,
            flow = r.flow,
            "allowed"
        );
    } else {
        tracing::warn!(
            decision = r.id,
            principal = r.principal,
            method = r.method,
            path = r.path,
            port = r.port,
            reason = r.reason,
            policy = r.policy,
            "denied"
        );
    }
}

fn log_outcome(outcome: &Outcome) {
    tracing::info!(
        decision = outcome.decision,
        status = outcome.status,
        flags = outcome.flag,
        bytes_in = outcome.bytes_in,
        bytes_out = outcome.bytes_out,
        duration_us = outcome.duration_us,
        "ended"
    );
}
