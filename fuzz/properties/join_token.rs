//! Join tokens: whatever is accepted survives being written down, and no message repeats what may be a secret.
use identity::JoinToken;

/// Reads `data` as one token; panics when a property does not hold.
pub(crate) fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match text.parse::<JoinToken>() {
        Ok(token) => {
            let written = token.to_string();
            assert!(written.parse::<JoinToken>() == Ok(token.clone()), "another token is read back");
            let secret = written.split('.').nth(3).unwrap_or_default();
            assert!(!format!("{token:?}").contains(secret), "Debug shows the secret");
        }
        Err(error) => {
            let told = error.to_string();
            // Words of the message itself may stand in any text; a run of 20 characters does so by no accident.
            let repeated = text.as_bytes().windows(20).any(|run| told.as_bytes().windows(20).any(|told| told == run));
            assert!(
                !repeated || "ward1.<node>.<id>.<secret>.<root>".contains(text.trim()),
                "{told:?} repeats the text"
            );
        }
    }
}
