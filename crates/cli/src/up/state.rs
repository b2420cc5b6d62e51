//! The state directory of a `ward up`, and the locks that keep two of them apart.
//!
//! `private/` holds everything secret (the control plane's store and keys, sidecars' keys, join tokens) and is hidden
//! from applications; `logs/` is for people; `data/` belongs to the applications.
use std::{
    fs::{self, File, Permissions},
    io::Write as _,
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};

use crate::isolation::{lock, make_dir, wrap::User};

/// A state directory that is ours.
#[derive(Debug)]
pub(crate) struct StateDir {
    root: PathBuf,
    _lock: File,
}

impl StateDir {
    /// Makes it if need be and takes its lock.
    ///
    /// # Errors
    /// It cannot be made or written to, or another `ward up` uses it.
    pub(crate) fn open(root: &Path) -> anyhow::Result<Self> {
        make_dir(root, 0o711)?;
        let root = root.canonicalize().with_context(|| format!("cannot open {}", root.display()))?;
        let path = root.join("up.lock");
        let Some(lock) = lock(&path)? else {
            let pid = fs::read_to_string(&path).unwrap_or_default();
            bail!(
                "another `ward up` (pid {}) uses {}: stop it, or give this one its own with --state and --socket",
                pid.trim(),
                root.display()
            );
        };
        write_new(&path, format!("{}\n", std::process::id()).as_bytes(), 0o600)?;
        let state = Self { root, _lock: lock };
        for (dir, mode) in [
            ("private", 0o700),
            ("private/control", 0o700),
            ("private/sidecars", 0o700),
            ("logs", 0o755),
            ("data", 0o711),
        ] {
            let dir = state.root.join(dir);
            make_dir(&dir, mode)?;
            // Also when it was there: a directory with keys must not be open because it once was.
            fs::set_permissions(&dir, Permissions::from_mode(mode))
                .with_context(|| format!("cannot set the permissions of {}", dir.display()))?;
        }
        Ok(state)
    }

    /// The directory itself; it marks our processes.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// What is hidden from applications.
    pub(crate) fn private(&self) -> PathBuf {
        self.root.join("private")
    }

    /// The control plane's own state.
    pub(crate) fn control(&self) -> PathBuf {
        self.root.join("private/control")
    }

    /// Where an instance's sidecar keeps its key; made when missing.
    ///
    /// # Errors
    /// It cannot be made.
    pub(crate) fn sidecar(&self, instance: &str) -> anyhow::Result<PathBuf> {
        let dir = self.root.join("private/sidecars").join(instance);
        make_dir(&dir, 0o700)?;
        Ok(dir)
    }

    /// Log files.
    pub(crate) fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// A log file.
    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.root.join("logs").join(format!("{name}.log"))
    }

    /// The roots by which the gateways are trusted.
    pub(crate) fn trust(&self) -> PathBuf {
        self.root.join("trust.pem")
    }

    /// Where an application may keep data: `data/<node>` for the first instance, `data/<node>-<i>` for others; it
    /// belongs to the application's user.
    ///
    /// # Errors
    /// It cannot be made or given away.
    pub(crate) fn data(&self, node: &str, index: u32, user: Option<&User>) -> anyhow::Result<PathBuf> {
        let name = if index == 0 { node.to_owned() } else { format!("{node}-{index}") };
        let dir = self.root.join("data").join(name);
        make_dir(&dir, 0o711)?;
        if let Some(user) = user {
            chown(&dir, Some(user.uid), Some(user.gid))
                .with_context(|| format!("cannot give {} to {}", dir.display(), user.name))?;
        }
        Ok(dir)
    }
}

/// Writes a file whole or not at all: beside it first, then moved in place.
///
/// # Errors
/// It cannot be written; what was there stays.
pub(crate) fn write_new(path: &Path, content: &[u8], mode: u32) -> anyhow::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let cannot = || format!("cannot write {}", path.display());
    // The lock file is written in place: its name must stay the locked file's.
    if path.extension().is_some_and(|extension| extension == "lock") {
        return fs::write(path, content).with_context(cannot);
    }
    let beside = path.with_extension("new");
    let write = || -> std::io::Result<()> {
        let mut file = fs::OpenOptions::new().create(true).truncate(true).write(true).mode(mode).open(&beside)?;
        file.set_permissions(Permissions::from_mode(mode))?;
        file.write_all(content)?;
        fs::rename(&beside, path)
    };
    let written = write();
    if written.is_err() {
        // A full disk: half a file would only take more of it.
        let _ = fs::remove_file(&beside);
    }
    written.with_context(cannot)
}
