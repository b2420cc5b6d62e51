//! What a proxy that starts finds in its spool: whole records are kept, a torn end is cut off, damage is counted and said.
use std::{
    fs::{self, OpenOptions},
    io,
    path::{Path, PathBuf},
};

use super::{
    disk,
    format::{self, HEADER_BYTES},
    index::Segment,
};

/// The ending of a segment's name; before it stands the number of its first record.
const SUFFIX: &str = ".audit";
/// The ending of a file in which nothing could be read.
const DAMAGED: &str = ".damaged";

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) segments: Vec<Segment>,
    /// Records, at least, that were there and cannot be read any more.
    pub(super) damaged: u64,
    /// Bytes in files that were put aside.
    pub(super) aside_bytes: u64,
    /// The number of the next new record.
    pub(super) next: u64,
}

/// The path of the segment that begins with this record.
pub(super) fn path_of(directory: &Path, first: u64) -> PathBuf {
    directory.join(format!("{first:020}{SUFFIX}"))
}

/// Reads the directory. Nothing in it is written to again but to cut a torn end.
pub(super) fn recover(directory: &Path) -> io::Result<Found> {
    let mut found = Found { next: 1, ..Found::default() };
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if name.ends_with(DAMAGED) {
            found.aside_bytes += fs::metadata(&path)?.len();
        } else if let Some(first) = name.strip_suffix(SUFFIX).and_then(|number| number.parse::<u64>().ok()) {
            files.push((first, path));
        }
    }
    files.sort();
    let newest = files.last().map(|(first, _)| *first);
    let starts: Vec<u64> = files.iter().map(|(first, _)| *first).collect();
    for (position, (first, path)) in files.into_iter().enumerate() {
        let bytes = fs::read(&path)?;
        let scan = format::scan(&bytes, first);
        let last = scan.entries.last().map_or(first.saturating_sub(1), |entry| entry.sequence);
        let torn = bytes.len() - scan.end;
        let is_newest = newest == Some(first);
        found.next = found.next.max(last.saturating_add(1)).max(first.saturating_add(1));
        let mut lost = scan.damaged;
        if is_newest {
            // Nobody was told that this is on disk: the writer died over it.
            if torn > 0 && scan.end > 0 {
                tracing::warn!(path = %path.display(), bytes = torn, "torn end of the audit spool cut off");
                let file = OpenOptions::new().write(true).open(&path)?;
                file.set_len(scan.end as u64)?;
                file.sync_all()?;
            }
        } else if torn > 0 {
            // A segment was left in good order; the next one's first record tells how many are missing.
            let next = starts.get(position + 1).copied().unwrap_or_default();
            lost += next.saturating_sub(last.saturating_add(1)).max(1);
        }
        if lost > 0 {
            tracing::error!(
                path = %path.display(),
                records = lost,
                "records of the audit spool are damaged and lost; what follows them was kept"
            );
            found.damaged += lost;
        }
        match (scan.mark, scan.entries.is_empty()) {
            (Some(mark), false) => found.segments.push(Segment {
                path,
                first,
                last,
                bytes: scan.end as u64,
                mark,
                is_open: false,
                is_lost: false,
            }),
            // An empty one, or one whose very beginning was torn.
            _ if is_newest || torn == 0 || bytes.len() <= HEADER_BYTES => disk::remove(&path)?,
            // There was something in it, and it may still tell somebody something.
            _ => {
                let aside = path.with_extension(format!("{}{DAMAGED}", SUFFIX.trim_start_matches('.')));
                fs::rename(&path, &aside)?;
                tracing::error!(path = %aside.display(), "a segment of the audit spool cannot be read, put aside");
                found.aside_bytes += bytes.len() as u64;
            }
        }
    }
    Ok(found)
}
