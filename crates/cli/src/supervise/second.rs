//! Processes with numbers of their own (`unshare --pid`): we start one that waits, it starts number 1, which waits too, and
//! number 2 is the program. Signals other than SIGKILL reach only the last, so it must be found: by its ancestors, as a
//! program may overwrite its environment, as PostgreSQL does.
use std::fs;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// What `/proc/<pid>/status` says of a process's place in the tree.
#[derive(Debug, PartialEq, Eq)]
struct Status {
    parent: i32,
    /// Its numbers, ours first.
    numbers: Vec<i32>,
}

impl Status {
    fn of(pid: i32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
        Some(Self {
            parent: field("PPid:")?.trim().parse().ok()?,
            numbers: field("NSpid:")?.split_whitespace().filter_map(|n| n.parse().ok()).collect(),
        })
    }
}

/// Sends a signal to the program under `waiting`, the process that we started; false when there is none (yet).
pub(crate) fn signal(waiting: Pid, signal: Signal) -> bool {
    let waiting = waiting.as_raw_nonzero().get();
    let is_second = |pid: i32| {
        let Some(found) = Status::of(pid).filter(|status| status.numbers.last() == Some(&2)) else { return false };
        Status::of(found.parent).is_some_and(|first| first.numbers.last() == Some(&1) && first.parent == waiting)
    };
    let Ok(entries) = fs::read_dir("/proc") else { return false };
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).any(|pid| {
        // The descriptor is taken first: it stays with the process that is then looked at.
        let process = Pid::from_raw(pid).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        process.is_some_and(|process| is_second(pid) && pidfd_send_signal(&process, signal).is_ok())
    })
}

#[cfg(test)]
mod tests;
