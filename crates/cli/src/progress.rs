//! What takes longer than a second says so: one line at the terminal, on standard error, gone when the work is done.
use std::{
    io::{self, IsTerminal as _, Write},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

/// How long nothing is said, and how often the line is written anew.
const PACE: Duration = Duration::from_secs(1);

/// Does the work, and tells people who wait at a terminal what is done. The work prints nothing itself.
pub(crate) fn during<T>(what: &str, work: impl FnOnce() -> T) -> T {
    if !io::stderr().is_terminal() {
        return work();
    }
    let (done, wait) = mpsc::channel::<()>();
    thread::scope(|scope| {
        // Nothing is ever sent: that the sender is gone is the end, also where the work panics.
        let passed = move || wait.recv_timeout(PACE) == Err(RecvTimeoutError::Timeout);
        scope.spawn(move || tell(what, passed, &mut io::stderr()));
        let made = work();
        drop(done);
        made
    })
}

/// Writes the line each time that `passed` says that a second has passed, and wipes it when it says that the work is done.
fn tell(what: &str, mut passed: impl FnMut() -> bool, out: &mut impl Write) {
    let mut seconds = 0_u64;
    while passed() {
        seconds += 1;
        // A terminal that is gone is no reason to stop working.
        let _ = write!(out, "\r\x1b[K{what}: {seconds} s").and_then(|()| out.flush());
    }
    if seconds > 0 {
        let _ = write!(out, "\r\x1b[K").and_then(|()| out.flush());
    }
}

#[cfg(test)]
mod tests;
