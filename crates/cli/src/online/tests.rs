//! Moments in words.
use super::{ago, until};

#[test]
fn moments_are_told_in_the_unit_that_fits() {
    let now = 1_000_000_000;
    for (back_s, words) in [
        (0, "0 s ago"),
        (59, "59 s ago"),
        (60, "1 min ago"),
        (3_599, "59 min ago"),
        (3_600, "1 h ago"),
        (86_399, "23 h ago"),
        (86_400, "1 d ago"),
        (-5, "0 s ago"),
    ] {
        assert_eq!(ago(Some(now - back_s * 1000), now), words);
    }
    assert_eq!((ago(None, now), ago(Some(0), now)), ("-".to_owned(), "-".to_owned()));
    for (ahead_s, words) in [
        (1, "in 1 s"),
        (119, "in 119 s"),
        (120, "in 2 min"),
        (7_199, "in 119 min"),
        (7_200, "in 2 h"),
        (0, "expired 0 s ago"),
        (-9, "expired 9 s ago"),
    ] {
        assert_eq!(until(now / 1000 + ahead_s, now), words);
    }
    assert_eq!(until(0, now), "-");
}
