//! What is to be reported and is not stored yet: counts, decisions, probe results. Bounded; what does not fit is counted.
//!
//! Messages are numbered from 1 on each stream and kept until the control plane has stored them. After a reconnect they
//! are sent again, so a decision may arrive twice (its id tells) and never not at all.
//!
//! Decisions of strict and critical flows only pass through: they stay in the durable spool until they are acknowledged,
//! and on a new stream they are read from there again.
use std::collections::{HashMap, VecDeque, hash_map::Entry};

use prost::Message;
use wire::v1::{DecisionRecord, FlowCount, Hello, Outcome, ProbeResult, ReportRequest};

use crate::audit_spool::Batch;

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
/// Bytes of decisions in one message; well below the 4 MiB that the control plane takes.
const MESSAGE_DECISION_BYTES: usize = 1024 * 1024;
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

/// A message that is under way.
struct Sent {
    message: ReportRequest,
    /// How many of its decisions, the first ones, are kept nowhere else.
    own_decisions: usize,
    /// What of the durable spool is stored with it.
    audited_through: Option<u64>,
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
    sent: VecDeque<Sent>,
    /// What was read from the durable spool and comes next.
    audited: Option<Audited>,
}

struct Audited {
    decisions: Vec<DecisionRecord>,
    outcomes: Vec<Outcome>,
    through: u64,
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

    /// Whether a batch of the durable spool finds a place.
    pub(super) fn wants_audited(&self) -> bool {
        self.audited.is_none() && self.sent.len() < WINDOW
    }

    /// Takes what was read from the durable spool.
    pub(super) fn audit(&mut self, batch: Batch) {
        self.dropped += batch.damaged;
        self.audited = Some(Audited { decisions: batch.decisions, outcomes: batch.outcomes, through: batch.through });
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
        self.audited = None;
        for Sent { mut message, own_decisions, .. } in unacknowledged.into_iter().rev() {
            self.count(message.counts);
            message.decisions.truncate(own_decisions);
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

    /// All that is not stored yet and is not in the durable spool, as messages, for the state directory of a proxy that ends.
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
        let own_decisions = self.decisions_that_fit();
        let mut decisions: Vec<_> = self.decisions.drain(..own_decisions).collect();
        let (mut outcomes, mut audited_through) = (Vec::new(), None);
        if let Some(audited) = self.audited.take() {
            decisions.extend(audited.decisions);
            outcomes = audited.outcomes;
            audited_through = Some(audited.through);
        }
        let message = ReportRequest {
            sequence: self.sequence,
            counts,
            decisions,
            probes: std::mem::take(&mut self.probes).into(),
            hello: self.hello.take(),
            dropped: std::mem::take(&mut self.dropped),
            nonces_held: std::mem::take(&mut self.nonces_held),
            outcomes,
        };
        self.sent.push_back(Sent { message: message.clone(), own_decisions, audited_through });
        Some(message)
    }

    /// How many decisions the next message takes: callers choose how long they are.
    fn decisions_that_fit(&self) -> usize {
        let mut bytes = 0;
        let fits = self.decisions.iter().take(MESSAGE_DECISIONS).take_while(|decision| {
            bytes += decision.encoded_len();
            bytes <= MESSAGE_DECISION_BYTES
        });
        // One that is too long by itself goes alone.
        fits.count().max(1).min(self.decisions.len())
    }

    /// The control plane has stored everything up to `sequence`. Returns how much of the durable spool that is.
    pub(super) fn acknowledge(&mut self, sequence: u64) -> Option<u64> {
        let mut audited_through = None;
        while let Some(sent) = self.sent.pop_front_if(|sent| sent.message.sequence <= sequence) {
            audited_through = sent.audited_through.or(audited_through);
        }
        audited_through
    }

    fn has_news(&self) -> bool {
        self.hello.is_some()
            || self.dropped > 0
            || self.audited.is_some()
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
