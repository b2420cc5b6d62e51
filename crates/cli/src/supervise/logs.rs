//! Log files of child processes: appended to, and bounded at each start by setting the old one aside.
use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
};

/// A log file larger than this at the start of its process becomes `<name>.1`, replacing the one before.
const BYTES_MAX: u64 = 8 << 20;
/// A log larger than this while its process runs is copied to `<name>.1` and emptied.
const RUNNING_BYTES_MAX: u64 = 32 << 20;
/// How much of the end of a log is read to show its last lines.
const TAIL_BYTES: u64 = 8 << 10;

/// Opens a log for a process about to be started.
///
/// # Errors
/// It cannot be made or set aside.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    if fs::metadata(path).is_ok_and(|meta| meta.len() > BYTES_MAX) {
        fs::rename(path, aside(path))?;
    }
    super::append_to(path)
}

/// Cuts the logs in a directory that have grown too large. Their processes go on writing: they append, so what they
/// write next is at the new beginning.
///
/// # Errors
/// A log cannot be copied or emptied; those before it were.
pub(crate) fn bound(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let is_log = path.extension().is_some_and(|extension| extension == "log");
        if is_log && fs::metadata(&path)?.len() > RUNNING_BYTES_MAX {
            fs::copy(&path, aside(&path))?;
            fs::OpenOptions::new().write(true).open(&path)?.set_len(0)?;
        }
    }
    Ok(())
}

fn aside(path: &Path) -> PathBuf {
    let mut name = path.file_name().map(OsString::from).unwrap_or_default();
    name.push(".1");
    path.with_file_name(name)
}

/// The last lines of a log, at most `lines`; empty when it cannot be read, for it is only shown beside an error.
pub(crate) fn tail(path: &Path, lines: usize) -> Vec<String> {
    let read = || -> io::Result<String> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = read().unwrap_or_default();
    let all: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    all.iter().skip(all.len().saturating_sub(lines)).map(|line| (*line).to_owned()).collect()
}

/// A fault with the place of the log that says why, and its last lines.
pub(crate) fn with_tail(what: &str, log: &Path) -> String {
    let mut text = format!("{what}; log {}", log.display());
    for line in tail(log, 8) {
        text.push_str("\n    ");
        text.push_str(&plain(line));
    }
    text
}

/// A line of one of our own JSON logs as people read it; any other line as it is.
fn plain(line: String) -> String {
    let Ok(serde_json::Value::Object(fields)) = serde_json::from_str(&line) else { return line };
    let text = |name: &str| fields.get(name).and_then(serde_json::Value::as_str);
    let (Some(level), Some(message)) = (text("level"), text("message")) else { return line };
    match text("error") {
        Some(error) => format!("{level} {message}: {error}"),
        None => format!("{level} {message}"),
    }
}
