//! The one thread that writes: it takes what waits, writes it at once, syncs, and then tells everybody who waited. A
//! write that failed is cut off and may be tried again; a sync that failed may not, for the kernel forgets the pages it
//! could not write, so that segment is left for good and the next record begins another.
use std::{
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::Ordering::Relaxed,
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::Duration,
};

use tokio::sync::oneshot;

use super::{
    Inner,
    disk::{self, Disk, SegmentFile},
    format::{self, HEADER_BYTES, Kind, Mark, RECORD_OVERHEAD},
    index::Segment,
    recovery,
};

/// Bytes of one commit, at most, except that one record always fits.
const COMMIT_BYTES_MAX: usize = 1024 * 1024;
/// A directory that cannot be read is tried again after this.
const RECOVER_AGAIN: Duration = Duration::from_secs(1);
/// How long records that nobody waits for wait for others.
const LINGER: Duration = Duration::from_millis(50);
/// A segment that nobody needs any more is removed from this size on, although there would be room in it.
const REMOVE_FROM: u64 = 64 * 1024;

/// What the writer is asked.
pub(super) enum Command {
    /// Keep this record.
    Keep(Entry),
    /// Something was acknowledged: perhaps a segment can go.
    Acknowledged,
}

/// A record, and who waits for it.
pub(super) struct Entry {
    pub(super) kind: Kind,
    pub(super) payload: Vec<u8>,
    /// `None`: nobody does.
    pub(super) waiter: Option<oneshot::Sender<()>>,
}

impl Entry {
    fn bytes(&self) -> usize {
        RECORD_OVERHEAD + self.payload.len()
    }
}

/// Why a commit failed.
#[derive(Debug, thiserror::Error)]
enum WriteError {
    #[error("it has reached its bound of {0} bytes and nobody has taken the records")]
    Bound(u64),
    #[error("its directory cannot be used")]
    Directory(#[source] io::Error),
    #[error("a segment cannot be written")]
    Write(#[source] io::Error),
    #[error("a segment cannot be brought to the disk for certain")]
    Sync(#[source] io::Error),
    #[error("its segment was removed or moved away")]
    Gone,
}

struct Open {
    file: Box<dyn SegmentFile>,
    first: u64,
    mark: Mark,
    bytes: u64,
}

/// The writer.
pub(super) struct Writer {
    pub(super) inner: Arc<Inner>,
    pub(super) disk: Box<dyn Disk>,
    directory: PathBuf,
    bytes_max: u64,
    open: Option<Open>,
    next: u64,
    is_recovered: bool,
    /// Said to be failing.
    failing: bool,
}

impl Writer {
    pub(super) fn new(inner: Arc<Inner>, disk: Box<dyn Disk>, directory: PathBuf, bytes_max: u64) -> Self {
        Self { inner, disk, directory, bytes_max, open: None, next: 1, is_recovered: false, failing: false }
    }

    /// Writes until nobody can ask any more.
    pub(super) fn run(mut self, commands: &Receiver<Command>) {
        let mut waiting = None;
        loop {
            // What is left from before is shipped without waiting for a new record.
            if !self.is_recovered
                && let Err(error) = self.recover()
            {
                self.failed(&error);
            }
            let first = match waiting.take() {
                Some(entry) => Command::Keep(entry),
                None if self.is_recovered => match commands.recv() {
                    Ok(command) => command,
                    Err(_) => return,
                },
                None => match commands.recv_timeout(RECOVER_AGAIN) {
                    Ok(command) => command,
                    Err(RecvTimeoutError::Timeout) => continue,
                    Err(RecvTimeoutError::Disconnected) => return,
                },
            };
            let mut batch = Vec::new();
            let mut bytes = 0;
            waiting = gather(std::iter::once(first).chain(commands.try_iter()), &mut batch, &mut bytes);
            // What nobody waits for waits for others: a sync of its own would only delay the next who does.
            let until = daemon::instant() + LINGER;
            while !batch.is_empty() && waiting.is_none() && batch.iter().all(|entry| entry.waiter.is_none()) {
                let left = until.saturating_duration_since(daemon::instant());
                let Ok(next) = commands.recv_timeout(left) else { break };
                waiting = gather(std::iter::once(next).chain(commands.try_iter()), &mut batch, &mut bytes);
            }
            self.inner.queued.fetch_sub(batch.len(), Relaxed);
            // Whoever gave up waiting was refused, and its record would say otherwise.
            batch.retain(|entry| entry.waiter.as_ref().is_none_or(|waiter| !waiter.is_closed()));
            self.remove_done();
            if !batch.is_empty() {
                // Whose segment is gone begins another at once.
                let committed = match self.commit(&batch) {
                    Err(error @ WriteError::Gone) => {
                        tracing::error!(error = daemon::logs::chain(&error), "the audit spool begins anew");
                        self.commit(&batch)
                    }
                    committed => committed,
                };
                match committed {
                    Ok(()) => self.committed(batch),
                    Err(error) => {
                        let lost = batch.iter().filter(|entry| entry.waiter.is_none()).count();
                        self.inner.counters.dropped.fetch_add(lost as u64, Relaxed);
                        self.failed(&error);
                    }
                }
            }
        }
    }

    fn committed(&mut self, batch: Vec<Entry>) {
        if std::mem::take(&mut self.failing) {
            tracing::info!("the audit spool takes records again");
        }
        self.inner.counters.commits.fetch_add(1, Relaxed);
        for entry in batch {
            if let Some(waiter) = entry.waiter {
                let _ = waiter.send(());
            }
        }
    }

    /// Said once, until it works again.
    fn failed(&mut self, error: &WriteError) {
        if !std::mem::replace(&mut self.failing, true) {
            tracing::error!(
                error = daemon::logs::chain(error),
                directory = %self.directory.display(),
                "the audit spool takes no records: requests of strict and critical flows are refused"
            );
        }
    }

    fn recover(&mut self) -> Result<(), WriteError> {
        self.disk.make(&self.directory).map_err(WriteError::Directory)?;
        let found = recovery::recover(&self.directory).map_err(WriteError::Directory)?;
        self.next = found.next;
        let records = {
            let mut index = self.inner.index();
            index.segments = found.segments.into();
            index.aside_bytes = found.aside_bytes;
            let ends =
                index.segments.front().zip(index.segments.back()).map(|(oldest, newest)| (oldest.first, newest.last));
            if let Some((first, last)) = ends {
                index.commit(first, last, self.inner.clock.unix_ms());
            }
            index.waiting()
        };
        self.inner.counters.damaged.fetch_add(found.damaged, Relaxed);
        self.is_recovered = true;
        if records > 0 {
            tracing::info!(records, "the audit spool holds records from before");
            self.inner.announce();
        }
        Ok(())
    }

    fn commit(&mut self, batch: &[Entry]) -> Result<(), WriteError> {
        if !self.is_recovered {
            self.recover()?;
        }
        let bytes: usize = batch.iter().map(Entry::bytes).sum();
        self.make_room((bytes + HEADER_BYTES) as u64)?;
        let segment_bytes = segment_bytes(self.bytes_max);
        if self.open.as_ref().is_some_and(|open| open.bytes + bytes as u64 > segment_bytes) {
            self.close();
        }
        let mut buffer = Vec::with_capacity(bytes + HEADER_BYTES);
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.begin(&mut buffer)?,
        };
        let first = self.next;
        for (entry, sequence) in batch.iter().zip(first..) {
            format::put_record(&mut buffer, open.mark, sequence, entry.kind, &entry.payload);
        }
        if let Err(error) = open.file.append(&buffer) {
            // A full disk may have taken a part of it.
            if open.bytes > 0 && open.file.cut(open.bytes).is_ok() {
                self.open = Some(open);
            } else {
                self.abandon(&open);
            }
            return Err(WriteError::Write(error));
        }
        let synced = open.file.sync().and_then(|()| match open.bytes {
            0 => self.disk.sync_directory(&self.directory),
            _ => Ok(()),
        });
        if let Err(error) = synced {
            self.inner.counters.sync_failures.fetch_add(1, Relaxed);
            // It may or may not be on the disk: cutting it off is worth a try, relying on it is not.
            let _ = open.file.cut(open.bytes);
            self.next += batch.len() as u64;
            self.abandon(&open);
            return Err(WriteError::Sync(error));
        }
        // What cannot be asked is no promise either.
        if !open.file.stands_at(&recovery::path_of(&self.directory, open.first)).unwrap_or_default() {
            self.next += batch.len() as u64;
            self.abandon(&open);
            return Err(WriteError::Gone);
        }
        self.next += batch.len() as u64;
        open.bytes += buffer.len() as u64;
        {
            let mut index = self.inner.index();
            let last = self.next - 1;
            if let Some(segment) = index.segments.iter_mut().find(|segment| segment.first == open.first) {
                (segment.last, segment.bytes) = (last, open.bytes);
            }
            index.commit(first, last, self.inner.clock.unix_ms());
        }
        self.open = Some(open);
        self.inner.announce();
        Ok(())
    }

    /// A new segment; its header goes before the first records.
    fn begin(&mut self, buffer: &mut Vec<u8>) -> Result<Open, WriteError> {
        let mut mark = Mark::default();
        aws_lc_rs::rand::fill(&mut mark)
            .map_err(|_| WriteError::Write(io::Error::other("the system has no random bytes")))?;
        let (first, path) = (self.next, recovery::path_of(&self.directory, self.next));
        let file = match self.disk.create(&path) {
            // What we began and could not use.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.next += 1;
                return Err(WriteError::Write(error));
            }
            // Somebody has removed the directory.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.disk.make(&self.directory).map_err(WriteError::Directory)?;
                self.disk.create(&path).map_err(WriteError::Write)?
            }
            created => created.map_err(WriteError::Write)?,
        };
        format::put_header(buffer, first, mark);
        let segment = Segment { path, first, last: first - 1, bytes: 0, mark, is_open: true, is_lost: false };
        self.inner.index().segments.push_back(segment);
        Ok(Open { file, first, mark, bytes: 0 })
    }

    /// Nothing more is written to the open segment.
    fn close(&mut self) {
        if let Some(open) = self.open.take() {
            self.abandon(&open);
        }
        self.remove_done();
    }

    /// Leaves a segment with what it has for certain; without anything it goes.
    fn abandon(&mut self, open: &Open) {
        if open.bytes == 0 {
            self.inner.index().segments.retain(|segment| segment.first != open.first);
            // One that stays is found empty at the next start.
            let _ = disk::remove(&recovery::path_of(&self.directory, open.first));
            return;
        }
        let mut index = self.inner.index();
        if let Some(segment) = index.segments.iter_mut().find(|segment| segment.first == open.first) {
            segment.is_open = false;
        }
    }

    /// Sees that so many more bytes are within the bound.
    fn make_room(&mut self, bytes: u64) -> Result<(), WriteError> {
        let fits = |writer: &Self| writer.inner.index().bytes() + bytes <= writer.bytes_max;
        if fits(self) {
            return Ok(());
        }
        if self.inner.index().waiting() == 0 {
            self.close();
            if fits(self) {
                return Ok(());
            }
        }
        Err(WriteError::Bound(self.bytes_max))
    }

    /// Removes what was taken.
    fn remove_done(&mut self) {
        let is_idle = {
            let index = self.inner.index();
            index.acknowledged == index.committed
        };
        if is_idle && self.open.as_ref().is_some_and(|open| open.bytes > REMOVE_FROM) {
            // Not `close`, which would come back here.
            if let Some(open) = self.open.take() {
                self.abandon(&open);
            }
        }
        let done = self.inner.index().take_done();
        for segment in done {
            if let Err(error) = disk::remove(&segment.path) {
                // It was taken; a restart ships it again, and it is known there.
                tracing::warn!(%error, path = %segment.path.display(), "a segment of the audit spool cannot be removed");
            }
        }
    }
}

/// Takes the records among these into a batch; returns the first that does not fit any more.
fn gather(commands: impl Iterator<Item = Command>, batch: &mut Vec<Entry>, bytes: &mut usize) -> Option<Entry> {
    for command in commands {
        let Command::Keep(entry) = command else { continue };
        if !batch.is_empty() && *bytes + entry.bytes() > COMMIT_BYTES_MAX {
            return Some(entry);
        }
        *bytes += entry.bytes();
        batch.push(entry);
    }
    None
}

/// A sixteenth of the bound, so that room comes back in small steps; not so little that each needs a file of its own.
fn segment_bytes(bytes_max: u64) -> u64 {
    (bytes_max / 16).clamp(64 * 1024, 4 * 1024 * 1024)
}
