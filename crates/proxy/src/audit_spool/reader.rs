//! Reading what is on disk, in order, for whoever ships it. Every reader has its own place; nothing is taken by reading.
use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
    sync::Arc,
};

use prost::Message;
use wire::v1::{DecisionRecord, Outcome};

use super::{
    Inner,
    format::{self, Entry, HEADER_BYTES, Kind, PAYLOAD_BYTES_MAX, RECORD_OVERHEAD},
    index::Segment,
};

/// Bytes read at once, at most. More than the longest record.
const READ_BYTES_MAX: u64 = 1024 * 1024;
const RECORD_BYTES_MAX: u64 = (PAYLOAD_BYTES_MAX + RECORD_OVERHEAD) as u64;

/// Records read at once, at most; a report takes no more than some thousands.
const READ_RECORDS_MAX: usize = 4_000;

/// What was read.
#[derive(Debug, Default)]
pub struct Batch {
    /// Decisions, oldest first.
    pub decisions: Vec<DecisionRecord>,
    /// What became of requests; never before their decision.
    pub outcomes: Vec<Outcome>,
    /// Records that were on disk and cannot be read any more.
    pub damaged: u64,
    /// The last record of it. Acknowledge this once all of it is safe elsewhere.
    pub through: u64,
}

impl Batch {
    /// Whether there was nothing to read.
    pub fn is_empty(&self) -> bool {
        self.decisions.is_empty() && self.outcomes.is_empty() && self.damaged == 0
    }
}

/// A place in the spool.
pub struct Reader {
    pub(super) inner: Arc<Inner>,
    /// The last record read.
    pub(super) through: u64,
    /// First record of the segment it stands in, and the place in it.
    pub(super) place: Option<(u64, u64)>,
}

impl Reader {
    /// Whether there is more to read.
    pub fn has_more(&self) -> bool {
        self.inner.index().committed > self.through
    }

    /// The next records, up to a megabyte and some thousands. Reads files: not for a worker's thread.
    pub fn read(&mut self) -> io::Result<Batch> {
        let mut batch = Batch { through: self.through, ..Batch::default() };
        let segment = {
            let index = self.inner.index();
            index.segments.iter().find(|segment| segment.last > self.through).cloned()
        };
        let Some(segment) = segment else { return Ok(batch) };
        let start = match self.place {
            Some((first, offset)) if first == segment.first => offset,
            _ => HEADER_BYTES as u64,
        };
        let wanted = segment.bytes.saturating_sub(start).min(READ_BYTES_MAX);
        let bytes = match read_file(&segment.path, start, wanted) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.skip(&mut batch, &segment);
                return Ok(batch);
            }
            read => read?,
        };
        // What was read before stands at the beginning, when a reader begins in the middle of a segment.
        let scan = format::scan_records(&bytes, 0, 0, segment.mark);
        let done = scan.entries.iter().take_while(|entry| entry.sequence <= self.through).count();
        let new = scan.entries.get(done..).unwrap_or_default();
        let (new, rest) = new.split_at(new.len().min(READ_RECORDS_MAX));
        self.take(&mut batch, new, segment.first);
        let got = bytes.len() as u64;
        if let Some(next) = rest.first() {
            self.place = Some((segment.first, start + next.start as u64));
        } else if got < wanted || start + got >= segment.bytes {
            if batch.through < segment.last {
                // The last ones are damaged.
                batch.damaged += segment.last - batch.through;
                batch.through = segment.last;
            }
            self.place = Some((segment.first, segment.bytes));
        } else if scan.entries.is_empty() {
            // All of it is damaged, except perhaps for the beginning of a record at its end.
            self.place = Some((segment.first, start + got - RECORD_BYTES_MAX.min(got / 2)));
        } else {
            self.place = Some((segment.first, start + scan.end as u64));
        }
        self.through = batch.through;
        self.inner.found_damaged(batch.through, batch.damaged);
        Ok(batch)
    }

    /// Somebody has removed the file: what stands behind it must not wait for ever.
    fn skip(&mut self, batch: &mut Batch, segment: &Segment) {
        if let Some(lost) = self.inner.index().segments.iter_mut().find(|one| one.first == segment.first) {
            lost.is_lost = true;
        }
        batch.damaged = segment.last - self.through.clamp(segment.first.saturating_sub(1), segment.last);
        batch.through = segment.last;
        self.through = segment.last;
        self.place = Some((segment.first, segment.bytes));
        self.inner.found_damaged(batch.through, batch.damaged);
    }

    fn take(&self, batch: &mut Batch, entries: &[Entry<'_>], first: u64) {
        let mut next = self.through.saturating_add(1).max(first);
        for entry in entries {
            batch.damaged += entry.sequence.saturating_sub(next);
            next = entry.sequence.saturating_add(1);
            batch.through = entry.sequence;
            let decoded = match entry.kind {
                Kind::Decision => DecisionRecord::decode(entry.payload).map(|record| batch.decisions.push(record)),
                Kind::Outcome => Outcome::decode(entry.payload).map(|outcome| batch.outcomes.push(outcome)),
            };
            if decoded.is_err() {
                batch.damaged += 1;
            }
        }
    }
}

fn read_file(path: &Path, start: u64, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(bytes_max).read_to_end(&mut bytes)?;
    Ok(bytes)
}
