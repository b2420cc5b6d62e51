//! Reads a directory: every `*.yaml` and `*.yml` below it, and where resources stand alone every `*.json`, in order of
//! name. What is inside is `model`'s matter.
use std::{fs, path::Path};

use anyhow::{Context as _, bail};
use model::{Model, SourceFile, load::text::Text};

use crate::{diagnostics, progress::during};

/// Most files of a directory; `model` has its own, smaller limit for those of a model.
const FILES_MAX: usize = 10_000;
/// Deepest directory below the model's own.
const DEPTH_MAX: usize = 16;
/// Largest file read; `model::load` has its own, smaller limit and says so with a place.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// The YAML files of a directory, sorted by relative name; hidden directories and files are left out.
///
/// # Errors
/// The directory or a file in it cannot be read, is not UTF-8, or there are too many or too large files.
pub(crate) fn read(dir: &Path) -> anyhow::Result<Vec<SourceFile>> {
    read_ending(dir, &[".yaml", ".yml"])
}

/// The model of a directory, with its text; none when it has errors, which are then printed.
///
/// # Errors
/// As [`read`].
pub(crate) fn load(dir: &Path) -> anyhow::Result<Option<(Text, Model)>> {
    Ok(load_files(read(dir)?))
}

/// The model of files that were read; none when it has errors, which are then printed.
pub(crate) fn load_files(files: Vec<SourceFile>) -> Option<(Text, Model)> {
    let (text, loaded) = during("reading the model", || {
        let text = Text::new(files);
        let loaded = text.load();
        (text, loaded)
    });
    if loaded.model.is_none() {
        eprint!("{}", diagnostics::render(text.files(), &loaded.diagnostics));
    }
    loaded.model.map(|model| (text, model))
}

/// What [`read`] reads, for resources that stand alone: with the JSON files, as `kubectl` reads a directory.
///
/// # Errors
/// As [`read`].
pub(crate) fn read_resources(dir: &Path) -> anyhow::Result<Vec<SourceFile>> {
    read_ending(dir, &[".yaml", ".yml", ".json"])
}

/// The files of a directory whose names end so, sorted by relative name; hidden directories and files are left out.
///
/// # Errors
/// As [`read`].
pub(crate) fn read_ending(dir: &Path, endings: &[&str]) -> anyhow::Result<Vec<SourceFile>> {
    let meta = fs::metadata(dir).with_context(|| format!("cannot read the model directory {}", dir.display()))?;
    if !meta.is_dir() {
        bail!("{} is not a directory: name the directory that holds ward.yaml", dir.display());
    }
    let mut files = Vec::new();
    walk(dir, "", 0, endings, &mut files)?;
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(files)
}

fn walk(dir: &Path, prefix: &str, depth: usize, endings: &[&str], files: &mut Vec<SourceFile>) -> anyhow::Result<()> {
    if depth > DEPTH_MAX {
        bail!("{} is more than {DEPTH_MAX} directories deep", dir.display());
    }
    let cannot = || format!("cannot read the directory {}", dir.display());
    for entry in fs::read_dir(dir).with_context(cannot)? {
        let path = entry.with_context(cannot)?.path();
        let Some(name) = path.file_name().and_then(|n| n.to_str()) else {
            bail!("{} is not named in UTF-8", path.display());
        };
        if name.starts_with('.') {
            continue;
        }
        let relative = format!("{prefix}{name}");
        // A symbolic link to a file is followed, one to a directory is not: it could lead round in a circle.
        let link = fs::symlink_metadata(&path).with_context(|| format!("cannot read {}", path.display()))?;
        if link.is_dir() {
            walk(&path, &format!("{relative}/"), depth + 1, endings, files)?;
        } else if endings.iter().any(|ending| name.ends_with(ending)) {
            let meta = fs::metadata(&path).with_context(|| format!("cannot read {}", path.display()))?;
            if !meta.is_file() {
                continue;
            }
            if meta.len() > FILE_BYTES_MAX {
                bail!("{} is larger than {FILE_BYTES_MAX} bytes", path.display());
            }
            if files.len() == FILES_MAX {
                bail!("{} holds more than {FILES_MAX} files", dir.display());
            }
            let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            let text = String::from_utf8(bytes).map_err(|e| {
                anyhow::anyhow!("{} is not UTF-8 at byte {}", path.display(), e.utf8_error().valid_up_to())
            })?;
            files.push(SourceFile { name: relative, text });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
