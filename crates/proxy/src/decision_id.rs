//! Names for decisions and requests.
use aws_lc_rs::rand;

/// Crockford's alphabet, lower case: no i, l, o, u.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// 26 characters: 48 bits of milliseconds, then 80 random bits, like a ULID; sorts by time.
pub(crate) fn ulid(unix_ms: u64) -> String {
    let bits = (u128::from(unix_ms & 0xffff_ffff_ffff) << 80) | (random() >> 48);
    (0..26).rev().map(|i| char::from(ALPHABET.get((bits >> (i * 5)) as usize & 31).copied().unwrap_or(b'0'))).collect()
}

/// A fresh traceparent, not sampled.
pub(crate) fn traceparent() -> String {
    // A zero id is invalid; the chance is nil, the bit costs nothing.
    format!("00-{:032x}-{:016x}-00", random() | 1, (random() as u64) | 1)
}

fn random() -> u128 {
    let mut bytes = [0; 16];
    // The system's generator does not fail once seeded; an id of zeroes would still only be a name.
    let _ = rand::fill(&mut bytes);
    u128::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_26_characters_and_sort_by_time() {
        let (a, b) = (ulid(1_000_000), ulid(1_000_001));
        assert_eq!(a.len(), 26);
        assert!(a < b);
        assert_ne!(ulid(5), ulid(5));
        assert!(crate::headers::is_traceparent(traceparent().as_bytes()));
    }
}
