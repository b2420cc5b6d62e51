//! Key sets: any text is a set with usable keys or none at all, and no set proves a token that nobody signed.
use std::time::SystemTime;

use identity::token::{KEYS_MAX, KeySet, KeySetError};

/// Tokens that are not signed: by `none`, by zeros, by the text of the header.
const UNSIGNED: [&str; 4] = [
    "eyJhbGciOiJub25lIn0.e30.AA",
    "eyJhbGciOiJIUzI1NiJ9.e30.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "eyJhbGciOiJFUzI1NiJ9.e30.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "eyJhbGciOiJSUzI1NiJ9.e30.AA",
];

/// Reads `data` as one key set; panics when a property does not hold.
pub(crate) fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match KeySet::parse(text) {
        Ok(keys) => {
            assert!(keys.skipped().len() < KEYS_MAX, "one at least is usable");
            assert!(keys.skipped().iter().all(|key| !key.reason.is_empty()));
            let again = KeySet::parse(text).expect("it was read before");
            assert_eq!((keys.fingerprint(), keys.skipped()), (again.fingerprint(), again.skipped()));
            for token in UNSIGNED {
                assert!(keys.verify(token, SystemTime::UNIX_EPOCH).is_err(), "{text:?} proves {token}");
            }
        }
        Err(KeySetError::NoneUsable(skipped)) => assert!(skipped.len() <= KEYS_MAX),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
