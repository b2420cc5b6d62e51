//! A segment of the audit spool that anything may have happened to: reading it never panics, never reads a record that was
//! not written, and what it reads can be written and read again.
use proxy::audit_spool::format::{PAYLOAD_BYTES_MAX, put_header, put_record, scan};

/// The input is a segment whose first record should be number 1.
pub(crate) fn check(bytes: &[u8]) {
    let found = scan(bytes, 1);
    assert!(found.end <= bytes.len());
    let Some(mark) = found.mark else {
        assert!(found.entries.is_empty());
        return;
    };
    let mut again = Vec::new();
    put_header(&mut again, 1, mark);
    let mut before = 0;
    for entry in &found.entries {
        assert!(entry.sequence > before && entry.payload.len() <= PAYLOAD_BYTES_MAX);
        before = entry.sequence;
        let start = again.len();
        put_record(&mut again, mark, entry.sequence, entry.kind, entry.payload);
        // It stands in the input, byte for byte as it would be written.
        assert_eq!(again.get(start..), bytes.get(entry.start..entry.end));
    }
    let once_more = scan(&again, 1);
    assert_eq!(once_more.damaged, found.damaged);
    assert_eq!(once_more.entries.len(), found.entries.len());
}
