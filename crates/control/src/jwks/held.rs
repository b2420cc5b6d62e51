//! The keys at one address over time: a state machine without socket and clock.
use std::time::Duration;

use serde_json::Value;

use super::{BACKOFF_EMPTY_MAX, BACKOFF_MAX, BACKOFF_MIN, Inside, KEPT_MAX, REFRESH, Source, Status};

/// What is known about one address.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) source: Source,
    good: Option<Good>,
    failing: Option<Failing>,
    due_ms: u64,
    under_way: bool,
}

#[derive(Debug)]
struct Good {
    keys: String,
    fetched_ms: u64,
}

#[derive(Debug)]
struct Failing {
    since_ms: u64,
    times: u32,
    error: String,
}

/// What a fetch changed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Nobody needs it.
    Nothing,
    /// The same keys.
    Again,
    /// Other keys.
    New {
        /// Ids of those there were.
        before: Vec<String>,
        /// Ids of those there are.
        keys: Vec<String>,
    },
    /// None.
    Failed {
        /// It did not fail before.
        first: bool,
        /// The last good ones are still there.
        have: bool,
        /// Why.
        error: String,
    },
}

impl Held {
    pub(super) fn new(source: Source, now_ms: u64) -> Self {
        Self { source, good: None, failing: None, due_ms: now_ms, under_way: false }
    }

    /// Keys from before a restart, unless they would have been given up since.
    pub(super) fn take_up(&mut self, keys: String, fetched_ms: u64, now_ms: u64) {
        // A time to come means that a clock was wrong, and then nobody knows how old they are.
        if fetched_ms <= now_ms && now_ms < good_until(fetched_ms) {
            self.good = Some(Good { keys, fetched_ms });
        }
    }

    pub(super) fn keys(&self) -> Option<&str> {
        self.good.as_ref().map(|good| good.keys.as_str())
    }

    /// Makes it time to ask for keys that are missing, at an address inside the own network.
    pub(super) fn hurry(&mut self, now_ms: u64) {
        if self.good.is_none() && self.source.inside != Inside::Nowhere {
            self.due_ms = now_ms;
        }
    }

    /// The source, when it is time to ask it and nobody does already.
    pub(super) fn begin(&mut self, now_ms: u64) -> Option<Source> {
        let due = !self.under_way && now_ms >= self.due_ms;
        self.under_way |= due;
        due.then(|| self.source.clone())
    }

    /// The outcome of asking `source`.
    pub(super) fn end(&mut self, source: &Source, outcome: Result<String, String>, now_ms: u64) -> Change {
        if *source != self.source {
            // It was another question: asked again as it is meant now.
            self.under_way = false;
            self.due_ms = now_ms;
            return Change::Nothing;
        }
        self.under_way = false;
        match outcome {
            Ok(keys) => {
                self.failing = None;
                self.due_ms = now_ms.saturating_add(millis(REFRESH));
                let before = self.good.replace(Good { keys, fetched_ms: now_ms });
                let (old, new) = (before.as_ref().map(|good| good.keys.as_str()), self.keys().unwrap_or_default());
                if old == Some(new) {
                    return Change::Again;
                }
                Change::New { before: old.map(ids).unwrap_or_default(), keys: ids(new) }
            }
            Err(error) => {
                let (since_ms, times) = self.failing.as_ref().map_or((now_ms, 0), |f| (f.since_ms, f.times));
                let longest = if self.good.is_some() { BACKOFF_MAX } else { BACKOFF_EMPTY_MAX };
                let pause = BACKOFF_MIN.saturating_mul(1 << times.min(16)).min(longest);
                self.due_ms = now_ms.saturating_add(millis(pause));
                self.failing = Some(Failing { since_ms, times: times.saturating_add(1), error: error.clone() });
                Change::Failed { first: times == 0, have: self.good.is_some(), error }
            }
        }
    }

    /// Drops keys that could not be fetched again for too long; whether there were any.
    pub(super) fn give_up(&mut self, now_ms: u64) -> bool {
        let old = self.good.as_ref().is_some_and(|good| now_ms >= good_until(good.fetched_ms));
        if old {
            self.good = None;
        }
        old
    }

    pub(super) fn status(&self) -> Status {
        Status {
            address: self.source.address.clone(),
            keys: self.keys().map(ids).unwrap_or_default(),
            fetched_ms: self.good.as_ref().map(|good| good.fetched_ms),
            good_until_ms: self.good.as_ref().map(|good| good_until(good.fetched_ms)),
            failing_since_ms: self.failing.as_ref().map(|failing| failing.since_ms),
            error: self.failing.as_ref().map(|failing| failing.error.clone()),
        }
    }
}

fn good_until(fetched_ms: u64) -> u64 {
    fetched_ms.saturating_add(millis(REFRESH + KEPT_MAX))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// What people know keys by.
fn ids(keys: &str) -> Vec<String> {
    let set: Value = serde_json::from_str(keys).unwrap_or_default();
    let all = set.get("keys").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let word = |key: &Value, name: &str| key.get(name).and_then(Value::as_str).map(str::to_owned);
    all.iter().filter_map(|key| word(key, "kid").or_else(|| word(key, "kty"))).collect()
}
