//! Marks: environment variables by which every process of one `ward up` can be told from all others, also after
//! `ward up` itself was killed. Only processes that carry the marks are ever signalled.
use std::{collections::BTreeMap, ffi::OsString, fs, io, os::unix::ffi::OsStrExt as _, path::Path};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// The variable that names the state directory.
pub(crate) const STATE: &str = "WARD_STATE_DIR";
/// The variable that names the process within it, e.g. `orders/0 application`.
pub(crate) const PROCESS: &str = "WARD_PROCESS";

/// The marks of a process, or of all processes of a `ward up`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Marks {
    entries: Vec<Vec<u8>>, // Invariant: never empty, so nothing unmarked can match.
}

impl Marks {
    /// The marks of every process started with this state directory.
    pub(crate) fn of_state(state: &Path) -> Self {
        Self { entries: vec![entry(STATE, state.as_os_str().as_bytes())] }
    }

    /// The marks of one process.
    pub(crate) fn of_process(state: &Path, label: &str) -> Self {
        let mut marks = Self::of_state(state);
        marks.entries.push(entry(PROCESS, label.as_bytes()));
        marks
    }

    /// Puts the marks of one process into its environment.
    pub(crate) fn set(env: &mut BTreeMap<String, OsString>, state: &Path, label: &str) {
        env.insert(STATE.to_owned(), state.as_os_str().to_owned());
        env.insert(PROCESS.to_owned(), label.into());
    }

    /// Whether an environment block (`/proc/<pid>/environ`) carries all of them, and names a process at all: an
    /// operator may have set `WARD_STATE_DIR` in a shell, and nothing started there is ours.
    pub(crate) fn carried_by(&self, environ: &[u8]) -> bool {
        let mut entries = environ.split(|byte| *byte == 0);
        entries.any(|have| have.strip_prefix(PROCESS.as_bytes()).is_some_and(|rest| rest.starts_with(b"=")))
            && self.entries.iter().all(|wanted| environ.split(|byte| *byte == 0).any(|have| have == wanted.as_slice()))
    }
}

fn entry(name: &str, value: &[u8]) -> Vec<u8> {
    [name.as_bytes(), b"=", value].concat()
}

/// Sends a signal to every process that carries the marks; returns how many there were.
pub(crate) fn signal_all(marks: &Marks, signal: Signal) -> usize {
    let mut found = 0;
    for pid in processes() {
        // The descriptor is taken first: it stays with the process whose environment is then read, even if that
        // process ends and its number goes to another.
        let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else { continue };
        if carries(pid, marks) && pidfd_send_signal(&process, signal).is_ok() {
            found += 1;
        }
    }
    found
}

/// Kills every process that carries the marks, including what they start meanwhile; returns how many there were.
pub(crate) fn kill_all(marks: &Marks) -> usize {
    let mut found = 0;
    // A process may fork between the look and the signal: look again until nothing is left, but not for ever.
    for _ in 0..20 {
        match signal_all(marks, Signal::KILL) {
            0 => break,
            killed => found += killed,
        }
        std::thread::yield_now();
    }
    found
}

/// Whether any process carries the marks.
pub(crate) fn any(marks: &Marks) -> bool {
    processes().any(|pid| carries(pid, marks))
}

fn carries(pid: Pid, marks: &Marks) -> bool {
    // A process that is ending, or another user's, cannot be read: it is not ours to judge. Zombies read as empty.
    fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero())).is_ok_and(|environ| marks.carried_by(&environ))
}

fn processes() -> impl Iterator<Item = Pid> {
    let own = std::process::id();
    numbers()
        .unwrap_or_default()
        .into_iter()
        .filter(move |pid| u32::try_from(*pid) != Ok(own))
        .filter_map(Pid::from_raw)
}

fn numbers() -> io::Result<Vec<i32>> {
    let entries = fs::read_dir("/proc")?;
    Ok(entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect())
}
