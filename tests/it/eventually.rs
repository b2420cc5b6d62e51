//! Waiting for another process: poll until it is so, with a deadline. Within one process wait for the thing itself.
use std::{
    thread,
    time::{Duration, Instant},
};

/// Repeats `attempt` until it gives a value; panics with `what` and the last refusal when `deadline` has passed.
pub(crate) fn eventually<T>(what: &str, deadline: Duration, mut attempt: impl FnMut() -> Result<T, String>) -> T {
    let start = Instant::now();
    loop {
        match attempt() {
            Ok(value) => return value,
            Err(refusal) if start.elapsed() > deadline => panic!("{what}: not within {deadline:?}: {refusal}"),
            Err(_) => thread::sleep(Duration::from_millis(20)),
        }
    }
}

#[test]
fn gives_the_first_value() {
    let mut left = 2;
    let value = eventually("countdown", Duration::from_secs(30), || {
        left -= 1;
        if left == 0 { Ok("done") } else { Err(format!("{left} left")) }
    });
    assert_eq!(value, "done");
}

#[test]
#[should_panic(expected = "the impossible: not within 0ns: no")]
fn says_what_did_not_happen() {
    eventually("the impossible", Duration::ZERO, || Err::<(), _>("no".to_owned()));
}
