//! Files that are replaced whole or not at all.
use std::{
    fs,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

#[cfg(test)]
mod tests;

/// Replaces a file (mode 0600) whole or not at all, also when the disk is full or the power fails: a new file beside it
/// (`.new` for its extension), synced, renamed over it. A half-written file does not stay: it must not keep a full disk
/// full.
///
/// # Errors
/// What the file system says. The old file is then as it was, unless it was the directory that could not be synced.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    let written = (|| {
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)
    })();
    if written.is_err() {
        let _ = fs::remove_file(&beside);
        return written;
    }
    match path.parent().map(fs::File::open) {
        Some(parent) => parent.and_then(|parent| parent.sync_all()),
        None => Ok(()),
    }
}
