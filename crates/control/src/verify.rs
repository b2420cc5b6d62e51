//! Ward attacks itself: every flow must pass, every absent edge and every weaker variant must fail. `plan` says what to
//! try (pure), `run` has the source's own sidecar try it, and a verdict is only given where the answer proves something.
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use wire::v1::ProbeResult;

mod outside;
pub mod plan;
pub mod run;
#[cfg(test)]
mod tests;

/// What a probe varies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Variant {
    /// A declared flow with a request it allows.
    Flow,
    /// An edge that the model does not have.
    AbsentEdge,
    /// A request of a flow that needs a token, without one.
    NoToken,
    /// A valid SVID of somebody who may do nothing.
    WrongIdentity,
    /// No client certificate.
    NoCertificate,
    /// No TLS.
    Plaintext,
    /// A method or path that the flow does not allow.
    WrongRequest,
    /// Around the sidecar, straight to the application's port.
    AppPort,
    /// The right identity, expired.
    ExpiredSvid,
    /// The right identity, signed by somebody else.
    ForeignAuthority,
}

/// What must happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Expect {
    /// It reaches the target.
    Pass,
    /// It does not.
    Fail,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As expected.
    Ok,
    /// The system does not do what the model says.
    Violated,
    /// The probe proves nothing; the reason says why.
    Unverifiable,
}

/// One line of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The flow it belongs to; absent for an absent edge.
    pub flow: Option<String>,
    /// Source node.
    pub from: String,
    /// Target node.
    pub to: String,
    /// Port of the target.
    pub port: u16,
    /// What is varied.
    pub variant: Variant,
    /// `GET /orders/ward-probe`, or `connect` for opaque ports.
    pub request: String,
    /// What must happen.
    pub expect: Expect,
    /// What happened: passed, refused, blocked, failed; empty when it was not tried.
    pub outcome: String,
    /// Status of the answer, when there was one.
    pub status: u32,
    /// Decision id of a refusal.
    pub decision: String,
    /// Ok, violated, unverifiable.
    pub verdict: Verdict,
    /// Why it is unverifiable, or what the proxy said.
    pub reason: String,
}

/// How many lines had which verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// As expected.
    pub ok: usize,
    /// Not as expected.
    pub violated: usize,
    /// Not known.
    pub unverifiable: usize,
}

impl Summary {
    /// Counts.
    pub fn of(lines: &[Line]) -> Self {
        let count = |verdict| lines.iter().filter(|l| l.verdict == verdict).count();
        Self { ok: count(Verdict::Ok), violated: count(Verdict::Violated), unverifiable: count(Verdict::Unverifiable) }
    }
}

/// Flows that a run proved: something passed, and nothing about them was violated or left open.
pub fn verified_flows(lines: &[Line]) -> Vec<&str> {
    let mut flows: BTreeMap<&str, (bool, bool)> = BTreeMap::new();
    for line in lines {
        let Some(flow) = line.flow.as_deref() else { continue };
        let (passed, spoiled) = flows.entry(flow).or_default();
        *passed |= line.variant == Variant::Flow && line.verdict == Verdict::Ok;
        *spoiled |= line.verdict == Verdict::Violated
            || (line.variant == Variant::Flow && line.verdict == Verdict::Unverifiable);
    }
    flows.into_iter().filter(|(_, (passed, spoiled))| *passed && !spoiled).map(|(flow, _)| flow).collect()
}

/// Probes under way and the run they belong to. Only one run at a time.
#[derive(Debug, Default)]
pub struct Verifier {
    inner: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    run: Option<Progress>,
    held: HashMap<String, (String, oneshot::Sender<()>)>,
    results: HashMap<String, (String, oneshot::Sender<ProbeResult>)>,
}

/// How far a run is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Its id.
    pub id: String,
    /// Probes answered.
    pub done: usize,
    /// Probes planned.
    pub total: usize,
}

impl Verifier {
    /// The run under way.
    pub fn progress(&self) -> Option<Progress> {
        self.lock().run.clone()
    }

    /// An instance honours a nonce from now on. Only the instance that was asked is believed.
    pub fn held(&self, instance: &str, nonce: &str) {
        let mut waiting = self.lock();
        if waiting.held.get(nonce).is_some_and(|(asked, _)| asked == instance)
            && let Some((_, tell)) = waiting.held.remove(nonce)
        {
            let _ = tell.send(());
        }
    }

    /// What came of a probe. Only the instance that was asked is believed.
    pub fn result(&self, instance: &str, result: ProbeResult) {
        let mut waiting = self.lock();
        if waiting.results.get(&result.id).is_some_and(|(asked, _)| asked == instance)
            && let Some((_, tell)) = waiting.results.remove(&result.id)
        {
            let _ = tell.send(result);
        }
    }

    fn await_held(&self, instance: &str, nonce: &str) -> oneshot::Receiver<()> {
        let (tx, rx) = oneshot::channel();
        self.lock().held.insert(nonce.to_owned(), (instance.to_owned(), tx));
        rx
    }

    fn await_result(&self, instance: &str, id: &str) -> oneshot::Receiver<ProbeResult> {
        let (tx, rx) = oneshot::channel();
        self.lock().results.insert(id.to_owned(), (instance.to_owned(), tx));
        rx
    }

    fn forget(&self, nonce: &str, id: &str) {
        let mut waiting = self.lock();
        waiting.held.remove(nonce);
        waiting.results.remove(id);
    }

    /// Begins a run, unless one is under way, whose id is the error.
    fn begin(&self, id: &str) -> Result<(), String> {
        let mut waiting = self.lock();
        if let Some(run) = &waiting.run {
            return Err(run.id.clone());
        }
        waiting.run = Some(Progress { id: id.to_owned(), done: 0, total: 0 });
        Ok(())
    }

    fn step(&self, change: impl FnOnce(&mut Progress)) {
        if let Some(run) = &mut self.lock().run {
            change(run);
        }
    }

    fn finish(&self) {
        let mut waiting = self.lock();
        waiting.run = None;
        waiting.held.clear();
        waiting.results.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
