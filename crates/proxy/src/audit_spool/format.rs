//! The bytes of a segment: a header, then records, each with a mark, its length, a CRC32C, a sequence number and a kind.
//!
//! ```text
//! header  magic 8 | first sequence 8 | mark 8 | CRC32C of these 24 | zero 4
//! record  mark 8  | length of the payload 4 | CRC32C of all but itself 4 | sequence 8 | kind 1 | payload
//! ```
//!
//! Numbers are little-endian. The mark is random and new for each segment: it is how reading finds the next record after
//! a damaged one, and callers, whose paths and headers stand in payloads, cannot write a record inside a record with it.

/// Longest payload.
pub const PAYLOAD_BYTES_MAX: usize = 128 * 1024;
/// Bytes before the first record.
pub const HEADER_BYTES: usize = 32;
/// Bytes of a record beside its payload.
pub const RECORD_OVERHEAD: usize = 25;

/// The name, and in its last byte the version of this format.
const MAGIC: [u8; 8] = *b"WARDAUD\x01";

/// A segment's mark.
pub type Mark = [u8; 8];

/// What a payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A `DecisionRecord`.
    Decision,
    /// An `Outcome`.
    Outcome,
}

impl Kind {
    fn byte(self) -> u8 {
        match self {
            Self::Decision => 1,
            Self::Outcome => 2,
        }
    }

    fn of(byte: u8) -> Option<Self> {
        [Self::Decision, Self::Outcome].into_iter().find(|kind| kind.byte() == byte)
    }
}

/// A record as it stands in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Rises by one with each record of a segment.
    pub sequence: u64,
    /// What the payload is.
    pub kind: Kind,
    /// At most [`PAYLOAD_BYTES_MAX`].
    pub payload: &'a [u8],
    /// Where it begins.
    pub start: usize,
    /// Where the next one begins.
    pub end: usize,
}

/// What reading a segment found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scan<'a> {
    /// Whole records, in rising order.
    pub entries: Vec<Entry<'a>>,
    /// Records that are missing between whole ones, or before the first.
    pub damaged: u64,
    /// End of the last whole record; what follows is torn, or damaged, or nothing.
    pub end: usize,
    /// The segment's mark, if it could be found.
    pub mark: Option<Mark>,
}

/// Writes a segment's header.
pub fn put_header(out: &mut Vec<u8>, first: u64, mark: Mark) {
    let start = out.len();
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&first.to_le_bytes());
    out.extend_from_slice(&mark);
    let crc = crc32c(0, out.get(start..).unwrap_or_default());
    out.extend_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
}

/// Writes a record. The payload must not be longer than [`PAYLOAD_BYTES_MAX`], or nobody will read it.
pub fn put_record(out: &mut Vec<u8>, mark: Mark, sequence: u64, kind: Kind, payload: &[u8]) {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_le_bytes();
    out.extend_from_slice(&mark);
    out.extend_from_slice(&length);
    out.extend_from_slice(&sum(mark, length, sequence, kind.byte(), payload).to_le_bytes());
    out.extend_from_slice(&sequence.to_le_bytes());
    out.push(kind.byte());
    out.extend_from_slice(payload);
}

/// Reads a whole segment that begins with this sequence number. Never fails: what is not whole is left out and counted.
pub fn scan(bytes: &[u8], first: u64) -> Scan<'_> {
    let mark = header_mark(bytes, first).or_else(|| first_record_mark(bytes));
    let Some(mark) = mark else { return Scan::default() };
    let mut scan = scan_records(bytes, HEADER_BYTES, first, mark);
    scan.mark = Some(mark);
    scan
}

/// Reads the records from `start` on, of which the first should have the sequence number `next`.
pub fn scan_records(bytes: &[u8], start: usize, next: u64, mark: Mark) -> Scan<'_> {
    let mut scan = Scan { end: start.min(bytes.len()), mark: Some(mark), ..Scan::default() };
    let (mut at, mut next) = (start, next);
    while let Some(found) = find(bytes, at, mark) {
        match entry(bytes, found, mark) {
            // A number that does not rise is not of this place.
            Some(entry) if entry.sequence >= next => {
                scan.damaged = scan.damaged.saturating_add(entry.sequence - next);
                next = entry.sequence.saturating_add(1);
                at = entry.end;
                scan.end = entry.end;
                scan.entries.push(entry);
            }
            _ => at = found + 1,
        }
    }
    scan
}

fn header_mark(bytes: &[u8], first: u64) -> Option<Mark> {
    let (head, rest) = bytes.split_at_checked(24)?;
    let whole = rest.get(..4)? == crc32c(0, head).to_le_bytes();
    let ours = head.get(..8)? == MAGIC && head.get(8..16)? == first.to_le_bytes();
    head.get(16..24).filter(|_| whole && ours)?.try_into().ok()
}

/// With a damaged header the first record tells the mark, if it is whole under it.
fn first_record_mark(bytes: &[u8]) -> Option<Mark> {
    let mark = bytes.get(HEADER_BYTES..HEADER_BYTES + 8)?.try_into().ok()?;
    entry(bytes, HEADER_BYTES, mark).map(|_| mark)
}

/// Where the mark stands next.
fn find(bytes: &[u8], from: usize, mark: Mark) -> Option<usize> {
    let rest = bytes.get(from..)?;
    if rest.starts_with(&mark) {
        return Some(from);
    }
    rest.windows(mark.len()).position(|window| window == mark).map(|offset| from + offset)
}

fn entry(bytes: &[u8], start: usize, mark: Mark) -> Option<Entry<'_>> {
    let rest = bytes.get(start..)?;
    let (head, payload) = rest.split_at_checked(RECORD_OVERHEAD)?;
    let length: [u8; 4] = head.get(8..12)?.try_into().ok()?;
    let crc: [u8; 4] = head.get(12..16)?.try_into().ok()?;
    let sequence = u64::from_le_bytes(head.get(16..24)?.try_into().ok()?);
    let byte = *head.get(24)?;
    let bytes = usize::try_from(u32::from_le_bytes(length)).ok().filter(|n| *n <= PAYLOAD_BYTES_MAX)?;
    let payload = payload.get(..bytes)?;
    if head.get(..8)? != mark || sum(mark, length, sequence, byte, payload).to_le_bytes() != crc {
        return None;
    }
    Some(Entry { sequence, kind: Kind::of(byte)?, payload, start, end: start + RECORD_OVERHEAD + bytes })
}

fn sum(mark: Mark, length: [u8; 4], sequence: u64, kind: u8, payload: &[u8]) -> u32 {
    let crc = crc32c(crc32c(0, &mark), &length);
    crc32c(crc32c(crc32c(crc, &sequence.to_le_bytes()), &[kind]), payload)
}

/// CRC-32C (RFC 3720 appendix B.4), continued from `crc`. A dozen lines against a dependency; the disk is slower.
fn crc32c(crc: u32, bytes: &[u8]) -> u32 {
    let mut crc = !crc;
    for byte in bytes {
        let [low, ..] = crc.to_le_bytes();
        crc = (crc >> 8) ^ TABLE.get(usize::from(low ^ byte)).copied().unwrap_or_default();
    }
    !crc
}

const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            // 0x1EDC6F41, reflected.
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests;
