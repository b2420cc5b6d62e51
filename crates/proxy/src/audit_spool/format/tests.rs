//! Whatever happens to the bytes, what is read was written.
use proptest::prelude::*;

use super::*;

const MARK: Mark = *b"\x8a\x01mark\xff\x00";

fn segment(first: u64, payloads: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    put_header(&mut bytes, first, MARK);
    for (payload, sequence) in payloads.iter().zip(first..) {
        put_record(&mut bytes, MARK, sequence, kind(sequence), payload);
    }
    bytes
}

fn kind(sequence: u64) -> Kind {
    if sequence.is_multiple_of(3) { Kind::Outcome } else { Kind::Decision }
}

/// Everything read was written, under its number and kind; returns how many there are.
fn check(scan: &Scan<'_>, first: u64, payloads: &[Vec<u8>]) -> usize {
    let mut before = None;
    for entry in &scan.entries {
        assert!(before < Some(entry.sequence), "the order is broken");
        before = Some(entry.sequence);
        let written = payloads.get(usize::try_from(entry.sequence - first).unwrap()).unwrap();
        assert_eq!((entry.payload, entry.kind), (written.as_slice(), kind(entry.sequence)));
    }
    // Damage is what is missing up to the last whole record.
    let through = before.map_or(0, |last| last - first + 1);
    assert_eq!(scan.damaged, through - scan.entries.len() as u64);
    scan.entries.len()
}

#[test]
fn the_checksum_is_castagnolis() {
    // RFC 3720 appendix B.4.
    assert_eq!(crc32c(0, &[0; 32]), 0x8a91_36aa);
    assert_eq!(crc32c(0, &[0xff; 32]), 0x62a8_ab43);
    assert_eq!(crc32c(0, b"123456789"), 0xe306_9283);
    assert_eq!(crc32c(crc32c(0, b"1234"), b"56789"), 0xe306_9283);
}

#[test]
fn a_payload_is_whole_at_the_limit_and_not_read_beyond_it() {
    for (size, want) in [(0, 1), (PAYLOAD_BYTES_MAX, 1), (PAYLOAD_BYTES_MAX + 1, 0)] {
        let bytes = segment(1, &[vec![7; size]]);
        assert_eq!(scan(&bytes, 1).entries.len(), want, "{size}");
    }
}

#[test]
fn a_record_inside_a_payload_is_never_read() {
    // A caller guesses a mark and writes a record of its own into a header; then the record around it is damaged.
    let mut forged = Vec::new();
    put_record(&mut forged, *b"guessed!", 1, Kind::Decision, b"I was allowed");
    let mut bytes = segment(1, &[forged, b"next".to_vec()]);
    bytes[HEADER_BYTES + 13] ^= 1;
    let scan = scan(&bytes, 1);
    assert_eq!(scan.damaged, 1);
    assert_eq!(scan.entries.iter().map(|e| e.payload).collect::<Vec<_>>(), [b"next".as_slice()]);
}

#[test]
fn a_damaged_header_costs_no_record() {
    let payloads = [b"one".to_vec(), b"two".to_vec()];
    for byte in 0..HEADER_BYTES {
        let mut bytes = segment(9, &payloads);
        bytes[byte] ^= 0x40;
        assert_eq!(check(&scan(&bytes, 9), 9, &payloads), 2, "byte {byte}");
    }
}

#[test]
fn another_segments_records_are_not_this_ones() {
    let mut bytes = segment(1, &[b"mine".to_vec()]);
    put_record(&mut bytes, *b"other   ", 2, Kind::Decision, b"theirs");
    // A number that was there already: old bytes of a file that was used again.
    put_record(&mut bytes, MARK, 1, Kind::Decision, b"stale");
    assert_eq!(scan(&bytes, 1).entries.len(), 1);
}

fn payloads() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..12)
}

proptest! {
    #[test]
    fn what_is_written_is_read(first in 1..u64::MAX / 2, payloads in payloads()) {
        let bytes = segment(first, &payloads);
        let scan = scan(&bytes, first);
        prop_assert_eq!(check(&scan, first, &payloads), payloads.len());
        prop_assert_eq!(scan.end, bytes.len());
    }

    #[test]
    fn any_cut_leaves_the_records_before_it(payloads in payloads(), cut in any::<prop::sample::Index>()) {
        let bytes = segment(5, &payloads);
        let cut = cut.index(bytes.len() + 1);
        let whole = scan(&bytes, 5).entries.iter().filter(|entry| entry.end <= cut).count();
        let scan = scan(&bytes[..cut], 5);
        prop_assert_eq!(check(&scan, 5, &payloads), whole);
        prop_assert_eq!(scan.damaged, 0);
    }

    #[test]
    fn any_flipped_bit_costs_at_most_one_record(payloads in payloads(), at in any::<prop::sample::Index>(), bit in 0..8u32) {
        let mut bytes = segment(5, &payloads);
        let at = at.index(bytes.len());
        bytes[at] ^= 1u8 << bit;
        let scan = scan(&bytes, 5);
        let read = check(&scan, 5, &payloads);
        prop_assert!(read + 1 >= payloads.len(), "{} of {}", read, payloads.len());
    }

    #[test]
    fn any_damage_is_never_a_wrong_record(
        payloads in payloads(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..40),
        cut in any::<prop::sample::Index>(),
        garbage in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut bytes = segment(5, &payloads);
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(cut.index(bytes.len() + 1));
        bytes.extend(garbage);
        check(&scan(&bytes, 5), 5, &payloads);
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..2000), first in any::<u64>()) {
        scan(&bytes, first);
    }
}
