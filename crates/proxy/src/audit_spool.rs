//! The durable spool of decisions of strict and critical flows: no record, no request. Workers hand records over and wait;
//! one thread writes and syncs them in groups; the control link ships them in order and acknowledges; only then they go.
//!
//! Nothing here blocks a worker: a full queue or a slow disk refuses the request that needs its record, at the latest at
//! its deadline, and no other. What is on disk is bounded, survives a crash at any moment, and is checked when it is read.
use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
        mpsc::{SyncSender, sync_channel},
    },
    time::Duration,
};

use daemon::Clock;
use prost::Message;
use tokio::sync::{oneshot, watch};
use wire::v1::{DecisionRecord, Outcome};

pub(crate) mod context;
mod disk;
pub mod format;
mod index;
mod reader;
mod recovery;
mod writer;

pub use reader::{Batch, Reader};

use disk::{Disk, RealDisk};
use format::{Kind, PAYLOAD_BYTES_MAX};
use index::Index;
use writer::{Command, Entry, Writer};

/// Records that wait for the writer.
const QUEUE: usize = 4_096;

/// The spool. Clones share it.
#[derive(Clone)]
pub struct AuditSpool {
    inner: Arc<Inner>,
    settings: Arc<Settings>,
    /// The writer's thread is started with the first need for it.
    writer: Arc<OnceLock<Option<SyncSender<Command>>>>,
}

struct Settings {
    directory: PathBuf,
    bytes_max: u64,
    commit_timeout: Duration,
}

struct Inner {
    clock: Clock,
    index: Mutex<Index>,
    /// The last record on disk.
    committed: watch::Sender<u64>,
    queued: AtomicUsize,
    counters: Counters,
    /// Damage up to here was counted.
    damaged_through: AtomicU64,
}

#[derive(Default)]
struct Counters {
    refused: AtomicU64,
    damaged: AtomicU64,
    dropped: AtomicU64,
    sync_failures: AtomicU64,
    commits: AtomicU64,
}

/// What the spool says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Bytes on disk.
    pub bytes: u64,
    /// Records that nobody has taken yet.
    pub records: u64,
    /// How long the oldest of them waits, to within ten seconds.
    pub oldest_age_ms: u64,
    /// Requests that were refused because their record was not on disk in time.
    pub refused: u64,
    /// Records that were on disk and could not be read any more.
    pub damaged: u64,
    /// Records for which nobody waited and that found no place.
    pub dropped: u64,
    /// Times that the disk could not say that it had everything.
    pub sync_failures: u64,
    /// Groups of records that were brought to the disk.
    pub commits: u64,
}

/// The promise of a record. A request is not forwarded before it is kept.
#[derive(Debug)]
#[must_use = "a request whose record is not on disk must not be forwarded"]
pub struct Commit(Option<oneshot::Receiver<()>>);

impl Commit {
    /// Of a record that has no place to go.
    pub(crate) fn never() -> Self {
        Self(None)
    }
}

impl Inner {
    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn announce(&self) {
        let committed = self.index().committed;
        self.committed.send_replace(committed);
    }

    /// Counts damage once, however often it is read.
    fn found_damaged(&self, through: u64, damaged: u64) {
        if self.damaged_through.fetch_max(through, Relaxed) < through && damaged > 0 {
            self.counters.damaged.fetch_add(damaged, Relaxed);
            tracing::error!(records = damaged, "records of the audit spool are damaged and lost");
        }
    }
}

impl AuditSpool {
    /// A spool in this directory, of at most so many bytes; a request waits for its record at most `commit_timeout`.
    /// Touches nothing: see [`AuditSpool::start`].
    pub fn new(directory: PathBuf, bytes_max: u64, commit_timeout: Duration, clock: Clock) -> Self {
        let inner = Inner {
            clock,
            index: Mutex::default(),
            committed: watch::Sender::new(0),
            queued: AtomicUsize::new(0),
            counters: Counters::default(),
            damaged_through: AtomicU64::new(0),
        };
        let settings = Settings { directory, bytes_max, commit_timeout };
        Self { inner: Arc::new(inner), settings: Arc::new(settings), writer: Arc::default() }
    }

    /// Starts the writer, which takes up what is left from before. A directory that cannot be used is said, and tried
    /// again: until then every record is refused.
    pub fn start(&self) {
        self.start_on(Box::new(RealDisk));
    }

    /// Starts the writer if something was left here by an earlier run.
    pub fn resume(&self) {
        if self.settings.directory.is_dir() {
            self.start();
        }
    }

    fn start_on(&self, disk: Box<dyn Disk>) {
        self.writer.get_or_init(|| {
            let (sender, receiver) = sync_channel(QUEUE);
            let Settings { directory, bytes_max, .. } = &*self.settings;
            let writer = Writer::new(self.inner.clone(), disk, directory.clone(), *bytes_max);
            let thread = std::thread::Builder::new().name("audit-spool".to_owned());
            match thread.spawn(move || writer.run(&receiver)) {
                Ok(_) => Some(sender),
                Err(error) => {
                    tracing::error!(%error, "the audit spool has no thread: strict and critical flows are refused");
                    None
                }
            }
        });
    }

    /// Hands a record over that somebody waits for.
    pub fn require(&self, record: &DecisionRecord) -> Commit {
        let (done, commit) = oneshot::channel();
        let entry = Entry { kind: Kind::Decision, payload: record.encode_to_vec(), waiter: Some(done) };
        Commit(self.hand_over(entry, QUEUE).then_some(commit))
    }

    /// Hands a record over that nobody waits for. False: there is no place for it. Such records take at most half of the
    /// places, in the queue and on disk, so that callers who are refused cannot crowd out those who are let through.
    pub fn want(&self, record: &DecisionRecord) -> bool {
        self.want_entry(Kind::Decision, record)
    }

    /// Says what became of a request. Nobody waits for it; what finds no place is counted.
    pub fn outcome(&self, outcome: &Outcome) {
        if !self.want_entry(Kind::Outcome, outcome) {
            self.inner.counters.dropped.fetch_add(1, Relaxed);
        }
    }

    fn want_entry(&self, kind: Kind, message: &impl Message) -> bool {
        let is_roomy = self.inner.index().bytes() < self.settings.bytes_max / 2;
        is_roomy && self.hand_over(Entry { kind, payload: message.encode_to_vec(), waiter: None }, QUEUE / 2)
    }

    fn hand_over(&self, entry: Entry, queued_max: usize) -> bool {
        let Some(Some(writer)) = self.writer.get() else { return false };
        if entry.payload.len() > PAYLOAD_BYTES_MAX || self.inner.queued.load(Relaxed) >= queued_max {
            return false;
        }
        self.inner.queued.fetch_add(1, Relaxed);
        let handed = writer.try_send(Command::Keep(entry)).is_ok();
        if !handed {
            self.inner.queued.fetch_sub(1, Relaxed);
        }
        handed
    }

    /// Waits until the record is on disk. False: it is not, in time or at all; the request must be refused.
    pub async fn is_kept(&self, commit: Commit) -> bool {
        let kept = match commit.0 {
            Some(done) => matches!(tokio::time::timeout(self.settings.commit_timeout, done).await, Ok(Ok(()))),
            None => false,
        };
        if !kept {
            self.inner.counters.refused.fetch_add(1, Relaxed);
        }
        kept
    }

    /// Changes whenever there are new records on disk.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.inner.committed.subscribe()
    }

    /// A reader of what nobody has acknowledged yet.
    pub fn reader(&self) -> Reader {
        let through = self.inner.index().acknowledged;
        Reader { inner: self.inner.clone(), through, place: None }
    }

    /// Everything up to this record is safe elsewhere. May be said again, and late.
    pub fn acknowledge(&self, through: u64) {
        self.inner.index().acknowledge(through);
        if let Some(Some(writer)) = self.writer.get() {
            // With a full queue the writer comes by anyway.
            let _ = writer.try_send(Command::Acknowledged);
        }
    }

    /// How it stands.
    pub fn status(&self) -> Status {
        let counters = &self.inner.counters;
        let index = self.inner.index();
        Status {
            bytes: index.bytes(),
            records: index.waiting(),
            oldest_age_ms: index.oldest_age_ms(self.inner.clock.unix_ms()),
            refused: counters.refused.load(Relaxed),
            damaged: counters.damaged.load(Relaxed),
            dropped: counters.dropped.load(Relaxed),
            sync_failures: counters.sync_failures.load(Relaxed),
            commits: counters.commits.load(Relaxed),
        }
    }
}

#[cfg(test)]
mod tests;
