//! Decisions by outcome and reason, and refused tokens by issuer and check. Every label value is from a closed set or from
//! the configuration. Each worker counts for itself; who scrapes adds up.
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use policy::reasons::REASONS;

/// What became of a request that was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    Allow,
    Deny,
    /// Refused, and let through all the same: the workload is in dry-run.
    DryRun,
}

impl Outcome {
    const ALL: [Self; 3] = [Self::Allow, Self::Deny, Self::DryRun];

    fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::DryRun => "dry-run",
        }
    }
}

/// Most issuers counted apart; further ones fall under `other`.
const ISSUERS_MAX: usize = 64;

/// The counters of one worker. Invariant: written by that worker, and by no one else.
pub(crate) struct Tally(Vec<[AtomicU64; Outcome::ALL.len()]>);

impl Tally {
    fn new() -> Self {
        Self(REASONS.iter().map(|_| Default::default()).collect())
    }

    /// Counts a decision. The common reasons stand first.
    pub(crate) fn count(&self, outcome: Outcome, reason: &str) {
        let index = REASONS.iter().position(|known| known.code == reason);
        debug_assert!(index.is_some(), "{reason} is not in the closed set");
        if let Some(counter) = index.and_then(|index| self.0.get(index)).and_then(|row| row.get(outcome as usize)) {
            counter.store(counter.load(Relaxed).wrapping_add(1), Relaxed);
        }
    }
}

/// All tallies, and what is too rare to be kept by each worker.
#[derive(Default)]
pub(crate) struct Tallies {
    workers: Mutex<Vec<Arc<Tally>>>,
    tokens: Mutex<BTreeMap<(Arc<str>, &'static str), u64>>,
}

impl Tallies {
    /// The counters of a new worker.
    pub(crate) fn add(&self) -> Arc<Tally> {
        let tally = Arc::new(Tally::new());
        self.workers.lock().unwrap_or_else(PoisonError::into_inner).push(tally.clone());
        tally
    }

    /// Counts a refused token under the issuer of the configuration it was held against.
    pub(crate) fn refuse(&self, issuer: &str, check: &'static str) {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let known = tokens.keys().any(|(seen, _)| **seen == *issuer);
        let issuer = if known || tokens.len() < ISSUERS_MAX { issuer } else { "other" };
        *tokens.entry((issuer.into(), check)).or_default() += 1;
    }

    /// Decisions so far: outcome, reason, count.
    pub(crate) fn decisions(&self) -> Vec<(&'static str, &'static str, u64)> {
        let workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut out = Vec::new();
        for (index, reason) in REASONS.iter().enumerate() {
            for outcome in Outcome::ALL {
                let of = |tally: &Arc<Tally>| tally.0.get(index)?.get(outcome as usize).map(|n| n.load(Relaxed));
                let count: u64 = workers.iter().filter_map(of).sum();
                if count > 0 {
                    out.push((outcome.as_str(), reason.code, count));
                }
            }
        }
        out
    }

    /// Refused tokens so far: issuer, check, count.
    pub(crate) fn tokens(&self) -> Vec<(Arc<str>, &'static str, u64)> {
        let tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.iter().map(|((issuer, check), count)| (issuer.clone(), *check, *count)).collect()
    }
}
