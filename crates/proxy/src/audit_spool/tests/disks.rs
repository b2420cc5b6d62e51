//! A disk that does what the test says, over real files.
use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use crate::audit_spool::disk::{Disk, RealDisk, SegmentFile};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The next write takes so many bytes of it and fails.
    Full { taken: usize },
    /// The next sync of a file fails.
    Sync,
    /// The next sync of a directory fails.
    SyncDirectory,
}

#[derive(Clone, Default)]
pub(super) struct TestDisk(Arc<State>);

#[derive(Default)]
struct State {
    faults: Mutex<Vec<Fault>>,
    /// A test wants syncs to wait.
    held: Mutex<bool>,
    released: Condvar,
    syncs: AtomicUsize,
    /// Bytes of each file that a power loss leaves, once its name is safe.
    safe: Mutex<HashMap<PathBuf, (u64, bool)>>,
}

struct TestFile {
    state: Arc<State>,
    path: PathBuf,
    file: Box<dyn SegmentFile>,
}

impl TestDisk {
    /// So many operations fail so.
    pub(super) fn fail(&self, fault: Fault, times: usize) {
        self.0.faults.lock().unwrap().extend(std::iter::repeat_n(fault, times));
    }

    /// Forgets faults that nothing has met.
    pub(super) fn heal(&self) {
        self.0.faults.lock().unwrap().clear();
    }

    /// Syncs wait until this is dropped.
    pub(super) fn hold_syncs(&self) -> Gate {
        *self.0.held.lock().unwrap() = true;
        Gate(self.0.clone())
    }

    /// Syncs begun.
    pub(super) fn syncs(&self) -> usize {
        self.0.syncs.load(Ordering::SeqCst)
    }

    /// The power fails: of what was not synced, a part is there, as `keep` says for each file of so many unsafe bytes.
    pub(super) fn power_loss(&self, mut keep: impl FnMut(u64) -> u64) {
        for (path, (safe, name_is_safe)) in self.0.safe.lock().unwrap().iter() {
            let Ok(meta) = fs::metadata(path) else { continue };
            let beyond = keep(meta.len().saturating_sub(*safe));
            if !name_is_safe && beyond == 0 {
                fs::remove_file(path).unwrap();
            } else {
                fs::OpenOptions::new().write(true).open(path).unwrap().set_len(safe + beyond).unwrap();
            }
        }
    }
}

/// Syncs wait.
pub(super) struct Gate(Arc<State>);

impl Drop for Gate {
    fn drop(&mut self) {
        *self.0.held.lock().unwrap() = false;
        self.0.released.notify_all();
    }
}

impl State {
    fn meets(&self, wanted: impl Fn(&Fault) -> bool) -> Option<Fault> {
        let mut faults = self.faults.lock().unwrap();
        let place = faults.iter().position(wanted)?;
        Some(faults.remove(place))
    }
}

impl Disk for TestDisk {
    fn make(&self, directory: &Path) -> io::Result<()> {
        RealDisk.make(directory)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn SegmentFile>> {
        let file = RealDisk.create(path)?;
        self.0.safe.lock().unwrap().insert(path.to_owned(), (0, false));
        Ok(Box::new(TestFile { state: self.0.clone(), path: path.to_owned(), file }))
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        if self.0.meets(|fault| *fault == Fault::SyncDirectory).is_some() {
            return Err(io::Error::other("the disk is broken"));
        }
        for (path, (_, name_is_safe)) in self.0.safe.lock().unwrap().iter_mut() {
            *name_is_safe |= path.parent() == Some(directory);
        }
        Ok(())
    }
}

impl SegmentFile for TestFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self.state.meets(|fault| matches!(fault, Fault::Full { .. })) {
            Some(Fault::Full { taken }) => {
                self.file.append(&bytes[..taken.min(bytes.len())])?;
                Err(io::ErrorKind::StorageFull.into())
            }
            _ => self.file.append(bytes),
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        self.state.syncs.fetch_add(1, Ordering::SeqCst);
        drop(self.state.released.wait_while(self.state.held.lock().unwrap(), |held| *held).unwrap());
        if self.state.meets(|fault| *fault == Fault::Sync).is_some() {
            return Err(io::Error::other("the disk is broken"));
        }
        self.file.sync()?;
        let length = fs::metadata(&self.path)?.len();
        if let Some(safe) = self.state.safe.lock().unwrap().get_mut(&self.path) {
            safe.0 = length;
        }
        Ok(())
    }

    fn stands_at(&self, path: &Path) -> io::Result<bool> {
        self.file.stands_at(path)
    }

    fn cut(&mut self, bytes: u64) -> io::Result<()> {
        self.file.cut(bytes)
    }
}
