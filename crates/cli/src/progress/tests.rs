//! What is told, and that nothing is left of it.
use super::{during, tell};

fn told(seconds: usize) -> String {
    let mut left = seconds;
    let passed = || {
        let more = left > 0;
        left = left.saturating_sub(1);
        more
    };
    let mut out = Vec::new();
    tell("reading", passed, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn what_is_quick_says_nothing() {
    assert_eq!(told(0), "");
}

#[test]
fn each_second_is_told_on_one_line_that_is_wiped() {
    assert_eq!(told(2), "\r\x1b[Kreading: 1 s\r\x1b[Kreading: 2 s\r\x1b[K");
}

#[test]
fn what_the_work_makes_is_handed_on() {
    assert_eq!(during("counting", || 2 + 2), 4);
}
