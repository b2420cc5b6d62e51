//! Notices that a model directory changed: names, sizes and times of its YAML files, looked at now and then.
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// How often the directory is looked at.
pub(crate) const PACE: Duration = Duration::from_millis(500);
/// As deep and as many as `model_dir` reads.
const DEPTH_MAX: usize = 16;
const FILES_MAX: usize = 1_000;

/// What can be seen of a model directory without reading its files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fingerprint(BTreeMap<PathBuf, (u64, Option<SystemTime>)>);

impl Fingerprint {
    /// Looks; what cannot be read is left out, and reading the model will say why.
    pub(crate) fn of(dir: &Path) -> Self {
        let mut found = Self::default();
        found.look(dir, 0);
        found
    }

    fn look(&mut self, dir: &Path, depth: usize) {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            let name = name.to_string_lossy();
            if name.starts_with('.') || self.0.len() >= FILES_MAX {
                continue;
            }
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                if depth < DEPTH_MAX {
                    self.look(&path, depth + 1);
                }
            } else if (name.ends_with(".yaml") || name.ends_with(".yml"))
                && let Ok(meta) = fs::metadata(&path)
            {
                self.0.insert(path, (meta.len(), meta.modified().ok()));
            }
        }
    }
}
