//! What is to be reported and is not stored yet: counts, decisions, probe results. Bounded; what does not fit is counted.
//!
//! Messages are numbered from 1 on each stream and kept until the control plane has stored them. After a reconnect they
//! are sent again, so a decision may arrive twice (its id tells) and never not at all.
use std::collections::{HashMap, VecDeque, hash_map::Entry};

use wire::v1::{DecisionRecord, FlowCount, Hello, ProbeResult, ReportRequest};

/// Decisions kept while the control plane is away.
pub(super) const DECISIONS_MAX: usize = 16_384;
/// Different flows counted while it is away.
pub(super) const COUNTS_MAX: usize = 4_096;
/// Probe results kept.
const PROBES_MAX: usize = 4_096;
/// Nonces to be confirmed.
const NONCES_MAX: usize = 65_536;
/// Decisions in one message.
const MESSAGE_DECISIONS: usize = 1_000;
/// Counts in one message.
const MESSAGE_COUNTS: usize = 2_000;
/// Messages that may be under way at once.
const WINDOW: usize = 8;

#[derive(PartialEq, Eq, Hash)]
struct Key {
    source: String,
    port: u32,
    flow: String,
    allowed: bool,
    protocol: String,
}

/// The spool.
#[derive(Default)]
pub(super) struct Spool {
    counts: HashMap<Key, FlowCount>,
    decisions: VecDeque<DecisionRecord>,
    probes: VecDeque<ProbeResult>,
    nonces_held: Vec<String>,
    dropped: u64,
    hello: Option<Hello>,
    sequence: u64,
    sent: VecDeque<ReportRequest>,
}

impl Spool {
    /// Adds increments to those of the same flow.
    pub(super) fn count(&mut self, counts: impl IntoIterator<Item = FlowCount>) {
        for count in counts {
            let key = Key {
                source: count.source.clone(),
                port: count.port,
                flow: count.flow.clone(),
                allowed: count.allowed,
                protocol: count.protocol.clone(),
            };
            let room = self.counts.len() < COUNTS_MAX;
            match self.counts.entry(key) {
                Entry::Occupied(sum) => add(sum.into_mut(), &count),
                Entry::Vacant(place) if room => {
                    place.insert(count);
                }
                Entry::Vacant(_) => self.dropped += 1,
            }
        }
    }

    /// Keeps a decision; the oldest one goes when there is no room, because the newest refusal is the one being asked about.
    pub(super) fn decide(&mut self, record: DecisionRecord) {
        self.decisions.push_back(record);
        if self.decisions.len() > DECISIONS_MAX {
            self.decisions.pop_front();
            self.dropped += 1;
        }
    }

    /// Keeps a probe's result.
    pub(super) fn probed(&mut self, result: ProbeResult) {
        self.probes.push_back(result);
        if self.probes.len() > PROBES_MAX {
            self.probes.pop_front();
            self.dropped += 1;
        }
    }

    /// These nonces are honoured from now on.
    pub(super) fn holds(&mut self, nonces: impl IntoIterator<Item = String>) {
        self.nonces_held.extend(nonces);
        // Whoever announces so many does not need the oldest any more.
        let excess = self.nonces_held.len().saturating_sub(NONCES_MAX);
        self.nonces_held.drain(..excess);
    }

    /// Records lost before they came here.
    pub(super) fn lost(&mut self, records: u64) {
        self.dropped += records;
    }

    /// Decisions that wait to be sent.
    pub(super) fn waiting_decisions(&self) -> usize {
        self.decisions.len()
    }

    /// Whether everything has been stored by the control plane.
    pub(super) fn is_settled(&self) -> bool {
        self.sent.is_empty() && !self.has_news()
    }

    /// Whether everything that was sent has been stored.
    pub(super) fn is_acknowledged(&self) -> bool {
        self.sent.is_empty()
    }

    /// A new stream: begins with a greeting, and with all that was sent and not stored.
    pub(super) fn open(&mut self, hello: Hello) {
        let unacknowledged = std::mem::take(&mut self.sent);
        for message in unacknowledged.into_iter().rev() {
            self.count(message.counts);
            message.decisions.into_iter().rev().for_each(|d| self.decisions.push_front(d));
            message.probes.into_iter().rev().for_each(|p| self.probes.push_front(p));
            self.dropped += message.dropped;
        }
        while self.decisions.len() > DECISIONS_MAX {
            self.decisions.pop_front();
            self.dropped += 1;
        }
        // A nonce belongs to the stream that announced it.
        self.nonces_held.clear();
        self.sequence = 0;
        self.hello = Some(hello);
    }

    /// All that is not stored yet, as messages, for the state directory of a proxy that ends.
    pub(super) fn unload(mut self) -> Vec<ReportRequest> {
        self.open(Hello::default());
        self.hello = None;
        let messages: Vec<_> = std::iter::from_fn(|| {
            let message = self.next();
            // Nobody acknowledges here.
            self.sent.clear();
            message
        })
        .collect();
        messages
    }

    /// Takes back what [`Spool::unload`] gave.
    pub(super) fn load(&mut self, messages: Vec<ReportRequest>) {
        for message in messages {
            self.count(message.counts);
            message.decisions.into_iter().for_each(|decision| self.decide(decision));
            message.probes.into_iter().for_each(|probe| self.probed(probe));
            self.lost(message.dropped);
        }
    }

    /// The next message; `None` when there is no news or enough is under way.
    pub(super) fn next(&mut self) -> Option<ReportRequest> {
        if self.sent.len() >= WINDOW || !self.has_news() {
            return None;
        }
        self.sequence += 1;
        let mut counts = Vec::new();
        if self.counts.len() <= MESSAGE_COUNTS {
            counts.extend(self.counts.drain().map(|(_, count)| count));
        } else {
            counts.extend(self.counts.extract_if(|_, _| true).take(MESSAGE_COUNTS).map(|(_, count)| count));
        }
        let decisions = self.decisions.len().min(MESSAGE_DECISIONS);
        let message = ReportRequest {
            sequence: self.sequence,
            counts,
            decisions: self.decisions.drain(..decisions).collect(),
            probes: std::mem::take(&mut self.probes).into(),
            hello: self.hello.take(),
            dropped: std::mem::take(&mut self.dropped),
            nonces_held: std::mem::take(&mut self.nonces_held),
        };
        self.sent.push_back(message.clone());
        Some(message)
    }

    /// The control plane has stored everything up to `sequence`.
    pub(super) fn acknowledge(&mut self, sequence: u64) {
        while self.sent.front().is_some_and(|message| message.sequence <= sequence) {
            self.sent.pop_front();
        }
    }

    fn has_news(&self) -> bool {
        self.hello.is_some()
            || self.dropped > 0
            || !(self.counts.is_empty()
                && self.decisions.is_empty()
                && self.probes.is_empty()
                && self.nonces_held.is_empty())
    }
}

fn add(sum: &mut FlowCount, more: &FlowCount) {
    for (into, from) in [
        (&mut sum.requests, more.requests),
        (&mut sum.errors, more.errors),
        (&mut sum.bytes_in, more.bytes_in),
        (&mut sum.bytes_out, more.bytes_out),
        (&mut sum.duration_us, more.duration_us),
    ] {
        *into = into.saturating_add(from);
    }
}

#[cfg(test)]
mod tests;
