//! What the spool holds, in memory: which segments there are, how far they are on disk, how far they were taken. Written
//! by the writer's thread and by acknowledgements, read by whoever ships.
use std::{collections::VecDeque, path::PathBuf};

use super::format::Mark;

/// One time in so many milliseconds is enough to tell how old the oldest record is.
const TIMES_APART_MS: u64 = 10_000;

/// A file of records.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub(super) path: PathBuf,
    /// Sequence number of its first record.
    pub(super) first: u64,
    /// Of its last one that is on disk; `first - 1` when there is none.
    pub(super) last: u64,
    /// Bytes that are on disk for certain. Nothing behind them is ever read.
    pub(super) bytes: u64,
    pub(super) mark: Mark,
    /// Whether the writer still writes to it.
    pub(super) is_open: bool,
    /// Nobody finds it under its path any more. Should it come back, the next start ships it: it is not removed.
    pub(super) is_lost: bool,
}

/// The index.
#[derive(Debug, Default)]
pub(super) struct Index {
    pub(super) segments: VecDeque<Segment>,
    /// Everything up to here was taken.
    pub(super) acknowledged: u64,
    /// The last record on disk.
    pub(super) committed: u64,
    /// Bytes of files that could not be read and were put aside.
    pub(super) aside_bytes: u64,
    /// When records were written, one in ten seconds, oldest first.
    times: VecDeque<(u64, u64)>,
}

impl Index {
    /// Bytes on disk.
    pub(super) fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum::<u64>() + self.aside_bytes
    }

    /// Records on disk that were not taken.
    pub(super) fn waiting(&self) -> u64 {
        let taken = |segment: &Segment| self.acknowledged.clamp(segment.first.saturating_sub(1), segment.last);
        self.segments.iter().map(|segment| segment.last - taken(segment)).sum()
    }

    /// How long the oldest record waits, milliseconds, give or take ten seconds.
    pub(super) fn oldest_age_ms(&self, now_ms: u64) -> u64 {
        if self.waiting() == 0 {
            return 0;
        }
        self.times.front().map_or(0, |(_, written)| now_ms.saturating_sub(*written))
    }

    /// Records from `first` to `last` are on disk since now.
    pub(super) fn commit(&mut self, first: u64, last: u64, now_ms: u64) {
        self.committed = self.committed.max(last);
        if self.times.back().is_none_or(|(_, written)| now_ms.saturating_sub(*written) >= TIMES_APART_MS) {
            self.times.push_back((first, now_ms));
        }
    }

    /// Everything up to `sequence` was taken.
    pub(super) fn acknowledge(&mut self, sequence: u64) {
        self.acknowledged = self.acknowledged.max(sequence.min(self.committed));
        // The one before the oldest that waits tells its age; with nothing waiting none does.
        let next = self.acknowledged + 1;
        while self.times.get(1).is_some_and(|(later, _)| *later <= next) {
            self.times.pop_front();
        }
        if self.acknowledged == self.committed {
            self.times.clear();
        }
    }

    /// The segments of which every record was taken and that nobody writes to any more; they are forgotten here. A lost one is
    /// not among them.
    pub(super) fn take_done(&mut self) -> Vec<Segment> {
        let (done, rest) = std::mem::take(&mut self.segments)
            .into_iter()
            .partition::<Vec<_>, _>(|segment| !segment.is_open && segment.last <= self.acknowledged);
        self.segments = rest.into();
        done.into_iter().filter(|segment| !segment.is_lost).collect()
    }
}
