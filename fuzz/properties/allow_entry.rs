//! `allow` entries: whatever is accepted survives being written down, and matches a path that it says it matches.
use model::allow::AllowEntry;

/// Reads `data` as one entry; panics when a property does not hold.
pub(crate) fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let entry = match AllowEntry::parse(text) {
        Ok(entry) => entry,
        Err(error) => {
            assert!(text.get(error.at.clone()).is_some(), "the error's place {:?} is not in {text:?}", error.at);
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let written = entry.to_string();
    let again = AllowEntry::parse(&written).unwrap_or_else(|e| panic!("{text:?} is written as {written:?}: {e}"));
    assert_eq!((&again.methods, &again.path), (&entry.methods, &entry.path), "{text:?} is written as {written:?}");

    let witness = entry.path.overlap(&entry.path).unwrap_or_else(|| panic!("{written:?} does not overlap itself"));
    assert!(entry.path.matches(&witness), "{written:?} does not match its witness {witness:?}");
    assert!(entry.path.cmp_specificity(&entry.path).is_eq());
}
