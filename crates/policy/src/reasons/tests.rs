//! The table is whole and says each code once.
use std::collections::HashSet;

use super::{REASONS, Teller, find, meaning, of_the_engine};

#[test]
fn each_code_once_in_kebab_case() {
    let codes: HashSet<_> = REASONS.iter().map(|one| one.code).collect();
    assert_eq!(codes.len(), REASONS.len());
    for one in REASONS {
        assert!(
            one.code.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b)),
            "{one:?}"
        );
        assert!(!one.meaning.ends_with('.'), "{one:?}");
        assert!(matches!(one.status, 0 | 400..=599), "{one:?}");
    }
}

#[test]
fn each_code_of_the_engine_has_a_meaning() {
    for code in of_the_engine() {
        assert!(meaning(code).is_some(), "{code}");
    }
    assert_eq!(meaning("nope"), None);
    let ours = |teller| matches!(teller, Teller::Policy | Teller::Token | Teller::Path);
    for one in REASONS.iter().filter(|one| ours(one.teller)) {
        assert!(of_the_engine().any(|code| code == one.code), "nobody says {}", one.code);
    }
}

#[test]
fn only_policies_decide() {
    assert!(find("no-rule-matched").is_some_and(|one| one.by_policy()));
    assert!(find("path-raw-byte").is_some_and(|one| !one.by_policy()));
    for teller in Teller::ALL {
        assert!(REASONS.iter().any(|one| one.teller == teller), "{teller:?}");
    }
}
