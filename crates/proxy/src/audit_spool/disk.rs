//! The one seam to the file system, so that tests can have a disk that is full, slow or broken.
use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::Path,
};

/// A segment that is being written.
pub(super) trait SegmentFile: Send {
    /// Writes all of it at the end.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Returns once what was written survives a power loss.
    fn sync(&mut self) -> io::Result<()>;
    /// Whether it is what stands under this name: what was removed or moved away is found by nobody who reads or starts again.
    fn stands_at(&self, path: &Path) -> io::Result<bool>;
    /// Cuts what was written beyond `bytes`.
    fn cut(&mut self, bytes: u64) -> io::Result<()>;
}

/// Where segments are made.
pub(super) trait Disk: Send {
    /// Makes the directory, 0700, with its parents.
    fn make(&self, directory: &Path) -> io::Result<()>;
    /// Makes a segment, 0600; one of that name must not be there.
    fn create(&self, path: &Path) -> io::Result<Box<dyn SegmentFile>>;
    /// Returns once the names in the directory survive a power loss.
    fn sync_directory(&self, directory: &Path) -> io::Result<()>;
}

/// The real one.
pub(super) struct RealDisk;

impl Disk for RealDisk {
    fn make(&self, directory: &Path) -> io::Result<()> {
        if directory.is_dir() {
            return Ok(());
        }
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        directory.parent().map_or(Ok(()), |parent| self.sync_directory(parent))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn SegmentFile>> {
        let file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(path)?;
        Ok(Box::new(file))
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        File::open(directory)?.sync_all()
    }
}

impl SegmentFile for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn stands_at(&self, path: &Path) -> io::Result<bool> {
        let here = self.metadata()?;
        match fs::symlink_metadata(path) {
            Ok(there) => Ok((here.dev(), here.ino()) == (there.dev(), there.ino())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn cut(&mut self, bytes: u64) -> io::Result<()> {
        self.set_len(bytes)?;
        self.sync_all()
    }
}

/// Removes a file; one that is gone already is fine.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
