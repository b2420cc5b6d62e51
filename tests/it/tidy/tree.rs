//! The text files of the project, or of a small bad example.
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use super::code::Source;

/// Made by tools, not written: never part of the tree.
const SKIPPED_DIRECTORIES: &[&str] = &["target", ".git", ".ward", "node_modules", "dist", "results", "__pycache__"];

/// By path from the root, with `/`.
pub(super) struct Tree {
    files: BTreeMap<String, String>,
    /// The Rust sources of the workspace among them, taken apart.
    sources: BTreeMap<String, Source>,
}

impl Tree {
    pub(super) fn of(files: &[(&str, &str)]) -> Tree {
        Tree::new(files.iter().map(|(path, text)| (path.to_string(), text.to_string())).collect())
    }

    fn new(files: BTreeMap<String, String>) -> Tree {
        let rust: Vec<_> = files.iter().filter(|(path, _)| path.ends_with(".rs") && !is_apart(path)).collect();
        let of_tests: Vec<String> = rust.iter().flat_map(|(path, text)| test_modules(path, text)).collect();
        let is_test = |path: &str| {
            of_tests.iter().any(|module| path == format!("{module}.rs") || path.starts_with(&format!("{module}/")))
        };
        let sources = rust.into_iter().map(|(path, text)| (path.clone(), Source::parse(path, text, is_test(path))));
        let sources = sources.collect();
        Tree { files, sources }
    }

    /// This project, as it stands on disk. Files that are not UTF-8 are left out.
    pub(super) fn project() -> Tree {
        let root = root();
        let mut files = BTreeMap::new();
        let mut todo = vec![root.clone()];
        while let Some(directory) = todo.pop() {
            for entry in fs::read_dir(&directory).unwrap_or_else(|e| panic!("{}: {e}", directory.display())) {
                let entry = entry.unwrap();
                let name = entry.file_name().into_string().unwrap();
                let kind = entry.file_type().unwrap();
                if kind.is_dir() && !SKIPPED_DIRECTORIES.contains(&name.as_str()) {
                    todo.push(entry.path());
                } else if kind.is_file()
                    && let Ok(text) = fs::read_to_string(entry.path())
                {
                    let path = entry.path().strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
                    files.insert(path, text);
                }
            }
        }
        Tree::new(files)
    }

    pub(super) fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().map(|(path, text)| (path.as_str(), text.as_str()))
    }

    pub(super) fn get(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(String::as_str)
    }

    /// True for a file, and for a directory that holds one.
    pub(super) fn exists(&self, path: &str) -> bool {
        let directory = format!("{path}/");
        path.is_empty() || self.files.keys().any(|p| p == path || p.starts_with(&directory))
    }

    /// The Rust sources of the workspace.
    pub(super) fn rust(&self) -> impl Iterator<Item = (&str, &Source)> {
        self.sources.iter().map(|(path, source)| (path.as_str(), source))
    }

    /// The manifests of the workspace's packages, the root left out.
    pub(super) fn manifests(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files().filter(|(path, _)| path.ends_with("/Cargo.toml") && !is_apart(path))
    }
}

/// The modules that a source declares below `#[cfg(test)]`, as paths without `.rs`.
fn test_modules(path: &str, text: &str) -> Vec<String> {
    let (directory, file) = path.rsplit_once('/').unwrap_or(("", path));
    let own = file.trim_end_matches(".rs");
    let below = match own {
        "lib" | "main" | "mod" => directory.to_owned(),
        _ => format!("{directory}/{own}"),
    };
    let declared = text.split("#[cfg(test)]").skip(1).filter_map(|rest| {
        let line = rest.trim_start().lines().next()?.strip_suffix(';')?;
        Some(line.rsplit_once("mod ")?.1)
    });
    declared.map(|name| format!("{below}/{name}")).collect()
}

/// Programs with a workspace and a lock file of their own.
fn is_apart(path: &str) -> bool {
    ["bench/", "fuzz/"].iter().any(|apart| path.starts_with(apart))
}

/// The project's root directory.
pub(super) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}
