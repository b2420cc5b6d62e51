//! Counting: one [`Series`] for each (side, peer, service, flow, outcome), written by one worker only, so that a count
//! is a plain load and store; read by whoever scrapes or reports.
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use wire::v1::FlowCount;

/// Upper bounds of `istio_request_duration_milliseconds`.
pub(crate) const DURATION_BOUNDS_MS: [f64; 19] = [
    0.5, 1.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 5000.0, 10000.0, 30000.0, 60000.0, 300000.0,
    600000.0, 1800000.0, 3600000.0,
];
/// Upper bounds of the body size histograms.
pub(crate) const SIZE_BOUNDS: [f64; 10] =
    [0.0, 256.0, 1024.0, 4096.0, 16384.0, 65536.0, 262144.0, 1048576.0, 16777216.0, 268435456.0];
/// Different statuses counted apart; further ones fall into the last.
const STATUSES: usize = 16;

/// Which side counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Reporter {
    Source,
    Destination,
}

/// What a series counts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Labels {
    pub(crate) reporter: Reporter,
    /// SPIFFE URI of the source, empty when it has none.
    pub(crate) source: Arc<str>,
    /// Destination node, namespace, identity.
    pub(crate) destination: Arc<Destination>,
    pub(crate) flow: Arc<str>,
    pub(crate) allowed: bool,
    pub(crate) protocol: &'static str,
    pub(crate) mutual_tls: bool,
}

impl Labels {
    /// What series beyond the limit are counted under: the side and the outcome remain.
    pub(crate) fn anonymous(self) -> Self {
        Self { source: "other".into(), destination: Arc::default(), flow: "other".into(), ..self }
    }
}

/// The destination of a series.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Destination {
    pub(crate) node: String,
    pub(crate) namespace: String,
    pub(crate) principal: String,
    pub(crate) port: u16,
}

/// Counters. Invariant: written by the worker that made it, and by no one else.
pub(crate) struct Series {
    pub(crate) labels: Labels,
    statuses: [(AtomicU32, AtomicU64); STATUSES],
    duration: [AtomicU64; DURATION_BOUNDS_MS.len() + 1],
    duration_us: AtomicU64,
    request_sizes: [AtomicU64; SIZE_BOUNDS.len() + 1],
    response_sizes: [AtomicU64; SIZE_BOUNDS.len() + 1],
    requests: AtomicU64,
    errors: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    opened: AtomicU64,
    closed: AtomicU64,
}

/// What became of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    pub(crate) status: u16,
    /// Envoy's response flag.
    pub(crate) flag: &'static str,
    pub(crate) duration: Duration,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
}

/// Response flags we use; the index travels in the key of a status.
const FLAGS: [&str; 12] = ["-", "NR", "DPE", "DT", "UAEX", "NC", "UF", "UC", "UPE", "UT", "DC", "SI"];

fn add(counter: &AtomicU64, n: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(n), Relaxed);
}

fn observe<const N: usize>(buckets: &[AtomicU64; N], bounds: &[f64], value: f64) {
    let index = bounds.iter().position(|b| value <= *b).unwrap_or(bounds.len());
    if let Some(bucket) = buckets.get(index) {
        add(bucket, 1);
    }
}

impl Series {
    fn new(labels: Labels) -> Self {
        Self {
            labels,
            statuses: Default::default(),
            duration: Default::default(),
            duration_us: AtomicU64::new(0),
            request_sizes: Default::default(),
            response_sizes: Default::default(),
            requests: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            bytes_in: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
            opened: AtomicU64::new(0),
            closed: AtomicU64::new(0),
        }
    }

    /// One that nobody reads.
    pub(crate) fn uncounted() -> Arc<Self> {
        Arc::new(Self::new(Labels {
            reporter: Reporter::Destination,
            source: "".into(),
            destination: Arc::default(),
            flow: "".into(),
            allowed: false,
            protocol: "http",
            mutual_tls: true,
        }))
    }

    /// Counts a request.
    pub(crate) fn record(&self, outcome: &Outcome) {
        let flag = FLAGS.iter().position(|f| *f == outcome.flag).unwrap_or(0);
        let key = u32::from(outcome.status) << 8 | u32::try_from(flag).unwrap_or(0);
        let slot = self
            .statuses
            .iter()
            .find(|(k, _)| {
                let seen = k.load(Relaxed);
                if seen == 0 {
                    k.store(key, Relaxed);
                }
                seen == 0 || seen == key
            })
            .or(self.statuses.last());
        if let Some((_, count)) = slot {
            add(count, 1);
        }
        let us = u64::try_from(outcome.duration.as_micros()).unwrap_or(u64::MAX);
        observe(&self.duration, &DURATION_BOUNDS_MS, us as f64 / 1000.0);
        observe(&self.request_sizes, &SIZE_BOUNDS, outcome.bytes_in as f64);
        observe(&self.response_sizes, &SIZE_BOUNDS, outcome.bytes_out as f64);
        add(&self.duration_us, us);
        add(&self.requests, 1);
        add(&self.bytes_in, outcome.bytes_in);
        add(&self.bytes_out, outcome.bytes_out);
        if outcome.status >= 500 {
            add(&self.errors, 1);
        }
    }

    /// Counts an opened tunnel; it counts as a request towards its flow.
    pub(crate) fn opened(&self) {
        add(&self.opened, 1);
        add(&self.requests, 1);
    }

    /// Counts bytes of an open tunnel.
    pub(crate) fn moved(&self, bytes_in: u64, bytes_out: u64) {
        add(&self.bytes_in, bytes_in);
        add(&self.bytes_out, bytes_out);
    }

    /// Counts a closed tunnel.
    pub(crate) fn closed(&self, duration: Duration) {
        add(&self.closed, 1);
        add(&self.duration_us, u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
    }

    pub(crate) fn snapshot(&self) -> Totals {
        fn loads<const N: usize>(counters: &[AtomicU64; N]) -> [u64; N] {
            std::array::from_fn(|i| counters.get(i).map_or(0, |c| c.load(Relaxed)))
        }
        let statuses = self.statuses.iter().map(|(k, n)| (k.load(Relaxed), n.load(Relaxed)));
        Totals {
            statuses: statuses
                .filter(|(k, _)| *k != 0)
                .map(|(k, n)| ((k >> 8) as u16, FLAGS.get((k & 0xff) as usize).copied().unwrap_or("-"), n))
                .collect(),
            duration: loads(&self.duration),
            duration_us: self.duration_us.load(Relaxed),
            request_sizes: loads(&self.request_sizes),
            response_sizes: loads(&self.response_sizes),
            requests: self.requests.load(Relaxed),
            errors: self.errors.load(Relaxed),
            bytes_in: self.bytes_in.load(Relaxed),
            bytes_out: self.bytes_out.load(Relaxed),
            opened: self.opened.load(Relaxed),
            closed: self.closed.load(Relaxed),
        }
    }
}

/// Plain numbers of a series, or of several with the same labels.
#[derive(Clone, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) statuses: Vec<(u16, &'static str, u64)>,
    pub(crate) duration: [u64; DURATION_BOUNDS_MS.len() + 1],
    pub(crate) duration_us: u64,
    pub(crate) request_sizes: [u64; SIZE_BOUNDS.len() + 1],
    pub(crate) response_sizes: [u64; SIZE_BOUNDS.len() + 1],
    pub(crate) requests: u64,
    pub(crate) errors: u64,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) opened: u64,
    pub(crate) closed: u64,
}

impl Totals {
    /// Adds another series.
    pub(crate) fn merge(&mut self, other: &Totals) {
        for (status, flag, n) in &other.statuses {
            match self.statuses.iter_mut().find(|(s, f, _)| s == status && f == flag) {
                Some((_, _, count)) => *count += n,
                None => self.statuses.push((*status, flag, *n)),
            }
        }
        let pairs = self.duration.iter_mut().zip(&other.duration);
        let pairs = pairs.chain(self.request_sizes.iter_mut().zip(&other.request_sizes));
        for (a, b) in pairs.chain(self.response_sizes.iter_mut().zip(&other.response_sizes)) {
            *a += b;
        }
        self.duration_us += other.duration_us;
        self.requests += other.requests;
        self.errors += other.errors;
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        self.opened += other.opened;
        self.closed += other.closed;
    }
}

/// All series of all workers.
#[derive(Default)]
pub(crate) struct Ledger {
    series: Mutex<Vec<Arc<Series>>>,
    /// What was reported before, by flow.
    reported: Mutex<HashMap<FlowKey, FlowCount>>,
}

type FlowKey = (Arc<str>, u16, Arc<str>, bool, &'static str);

impl Ledger {
    /// Makes a series; workers keep it, so this is rare.
    pub(crate) fn add(&self, labels: Labels) -> Arc<Series> {
        let series = Arc::new(Series::new(labels));
        self.series.lock().unwrap_or_else(PoisonError::into_inner).push(series.clone());
        series
    }

    /// Every series as it stands.
    pub(crate) fn totals(&self) -> Vec<(Labels, Totals)> {
        let series = self.series.lock().unwrap_or_else(PoisonError::into_inner).clone();
        series.iter().map(|s| (s.labels.clone(), s.snapshot())).collect()
    }

    /// Increments of each flow since the last call, seen from the side that decided.
    pub(crate) fn flow_counts(&self) -> Vec<FlowCount> {
        let mut sums: HashMap<FlowKey, FlowCount> = HashMap::new();
        for (labels, totals) in self.totals().into_iter().filter(|(l, _)| l.reporter == Reporter::Destination) {
            let key = (labels.source, labels.destination.port, labels.flow, labels.allowed, labels.protocol);
            let sum = sums.entry(key).or_default();
            sum.requests += totals.requests;
            sum.errors += totals.errors;
            sum.bytes_in += totals.bytes_in;
            sum.bytes_out += totals.bytes_out;
            sum.duration_us += totals.duration_us;
        }
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        let mut out = Vec::new();
        for (key, sum) in sums {
            let before = reported.insert(key.clone(), sum.clone()).unwrap_or_default();
            let count = FlowCount {
                source: key.0.as_ref().to_owned(),
                port: key.1.into(),
                flow: key.2.as_ref().to_owned(),
                allowed: key.3,
                requests: sum.requests - before.requests,
                errors: sum.errors - before.errors,
                bytes_in: sum.bytes_in - before.bytes_in,
                bytes_out: sum.bytes_out - before.bytes_out,
                protocol: key.4.to_owned(),
                duration_us: sum.duration_us - before.duration_us,
            };
            if count.requests + count.bytes_in + count.bytes_out + count.duration_us > 0 {
                out.push(count);
            }
        }
        out
    }
}
