//! The model as it is written: where each thing stands, and changes of the text that leave everything else alone,
//! comments and layout included. Pure text in, text out; whether the changed model is a good one is `load`'s matter.
//!
//! A path names a thing the way people speak of it: `nodes`, `orders`, `at_rest`; an element of a list by its `id`
//! (`flows`, `pay`, `via`, `audit`) or by its number from 0.
use std::{collections::HashMap, ops::Range};

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::yaml::{self, Key, Value, Yaml};
use crate::SourceFile;

mod edit;

/// Where something is written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// `SourceFile::name`.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// The path that was found there: all of the one asked for, or its longest part that is written.
    pub path: String,
}

/// One change of the model's text.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "kebab-case")]
pub enum Change {
    /// Writes a field, whether or not it is there; the noun must be.
    Set {
        /// Which field.
        path: Vec<String>,
        /// Its new value.
        value: Json,
    },
    /// Takes a field or a whole noun out. What then would be empty goes too.
    Remove {
        /// Which.
        path: Vec<String>,
    },
    /// Adds an element to a list of words; a list that is not there is begun.
    Add {
        /// Which list.
        path: Vec<String>,
        /// The element.
        value: String,
    },
    /// Takes an element out of a list of words.
    Drop {
        /// Which list.
        path: Vec<String>,
        /// The element.
        value: String,
    },
}

/// Why a change cannot be made in the text as it is written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// The model is not written in `ward.yaml`, or is no mapping.
    #[error("there is no model to change")]
    NoModel,
    /// The noun or list that is to be changed is not there.
    #[error("`{0}` is not written")]
    NotWritten(String),
    /// The text around it is of a form that would not survive the change: an alias, or a layout that is not understood.
    #[error("`{0}` is written in a way that only a person should change")]
    Layout(String),
}

/// The text of a model, read once. It borrows nothing: places are answered from it, changes give new texts.
#[derive(Clone, Debug)]
pub struct Text {
    files: Vec<SourceFile>,
    /// Index of the file with the nouns, and their tree; none when `load` would find no model.
    root: Option<(usize, Yaml)>,
    /// Where each noun is among those of its kind: a long model is asked for many of them.
    nouns: HashMap<String, HashMap<String, usize>>,
    /// Byte offset of each line of that file.
    lines: Vec<usize>,
}

impl Text {
    /// Reads the files of a model directory. Files that are no YAML are kept and have no places.
    pub fn new(files: Vec<SourceFile>) -> Self {
        let mut root = None;
        for (index, file) in files.iter().enumerate().filter(|(_, f)| f.name == "ward.yaml") {
            let documents = yaml::parse(&file.text).0;
            let nouns = |d: &Yaml| !d.is_null() && d.get("kind").is_none() && d.get("apiVersion").is_none();
            root = documents.into_iter().find(nouns).map(|tree| (index, tree));
        }
        let nouns = root.as_ref().map(|(_, tree)| nouns(tree)).unwrap_or_default();
        let mut lines = vec![0];
        if let Some(file) = root.as_ref().and_then(|(index, _)| files.get(*index)) {
            lines.extend(file.text.match_indices('\n').map(|(at, _)| at + 1));
        }
        Self { files, root, nouns, lines }
    }

    /// The files, as given or as changed.
    pub fn files(&self) -> &[SourceFile] {
        &self.files
    }

    /// Where a path is written, or the longest part of it that is.
    pub fn place<S: AsRef<str>>(&self, path: &[S]) -> Option<Place> {
        let (file, tree) = self.root.as_ref()?;
        let (mut at, mut start, mut found) = (tree, None, Vec::new());
        for segment in path {
            let known = || match (found.as_slice(), &at.value) {
                ([kind], Value::Map(all)) => {
                    let (key, value) = all.get(*self.nouns.get(*kind)?.get(segment.as_ref())?)?;
                    Some((Some(key), value))
                }
                ([kind], Value::Seq(all)) => Some((None, all.get(*self.nouns.get(*kind)?.get(segment.as_ref())?)?)),
                _ => None,
            };
            let Some((key, next)) = known().or_else(|| step(at, segment.as_ref())) else { break };
            start = Some(key.map_or(next.span.start, |k| k.span.start));
            found.push(segment.as_ref());
            at = next;
        }
        let line = self.lines.partition_point(|begin| Some(*begin) <= start).max(1);
        Some(Place { file: self.files.get(*file)?.name.clone(), line, path: found.join(".") })
    }

    /// Whether exactly this is written.
    pub fn has<S: AsRef<str>>(&self, path: &[S]) -> bool {
        self.root.as_ref().is_some_and(|(_, tree)| {
            path.iter().try_fold(tree, |at, segment| step(at, segment.as_ref()).map(|(_, next)| next)).is_some()
        })
    }

    /// The model after the changes, made one after the other. What is read from the new text is what was read from
    /// the old one with the changes made, and nothing else: this is checked, not hoped.
    ///
    /// # Errors
    /// A change names something that is not written, or stands in a layout that is left to people.
    pub fn changed(&self, changes: &[Change]) -> Result<Self, ChangeError> {
        let mut text = self.clone();
        for change in changes {
            let Some((index, tree)) = &text.root else { return Err(ChangeError::NoModel) };
            let index = *index;
            let Some(file) = text.files.get(index) else { return Err(ChangeError::NoModel) };
            let (range, replacement) = edit::edit(&file.text, tree, change)?;
            let wanted = edit::applied(tree, change);
            let mut files = text.files.clone();
            if let Some(file) = files.get_mut(index) {
                file.text.replace_range(range, &replacement);
            }
            let next = Self::new(files);
            let read = next.root.as_ref().map(|(_, tree)| tree.to_json());
            if read.is_none() || read != wanted {
                return Err(ChangeError::Layout(path_of(change).join(".")));
            }
            text = next;
        }
        Ok(text)
    }
}

/// The place of each noun, by kind and name; of several with one name the first.
fn nouns(tree: &Yaml) -> HashMap<String, HashMap<String, usize>> {
    let Value::Map(kinds) = &tree.value else { return HashMap::new() };
    let mut all = HashMap::new();
    for (kind, nouns) in kinds {
        let names: Vec<Option<&str>> = match &nouns.value {
            Value::Map(nouns) => nouns.iter().map(|(key, _)| Some(key.text.as_str())).collect(),
            Value::Seq(nouns) => nouns.iter().map(|n| n.get("id").and_then(|(_, id)| scalar(id))).collect(),
            Value::Scalar { .. } => continue,
        };
        let places: &mut HashMap<String, usize> = all.entry(kind.text.clone()).or_default();
        for (name, place) in names.into_iter().zip(0..).filter_map(|(name, place)| Some((name?, place))) {
            places.entry(name.to_owned()).or_insert(place);
        }
    }
    all
}

/// What stands under one segment of a path, with its key where it has one.
fn step<'y>(at: &'y Yaml, segment: &str) -> Option<(Option<&'y Key>, &'y Yaml)> {
    match &at.value {
        Value::Map(_) => at.get(segment).map(|(key, value)| (Some(key), value)),
        Value::Seq(items) => {
            let named = items.iter().find(|i| i.get("id").is_some_and(|(_, id)| scalar(id) == Some(segment)));
            named.or_else(|| items.get(segment.parse::<usize>().ok()?)).map(|item| (None, item))
        }
        Value::Scalar { .. } => None,
    }
}

fn scalar(yaml: &Yaml) -> Option<&str> {
    match &yaml.value {
        Value::Scalar { text, .. } => Some(text),
        _ => None,
    }
}

fn path_of(change: &Change) -> &[String] {
    match change {
        Change::Set { path, .. } | Change::Remove { path } | Change::Add { path, .. } | Change::Drop { path, .. } => {
            path
        }
    }
}

/// Bytes of a text that a change replaces, and by what.
type Edit = (Range<usize>, String);

#[cfg(test)]
mod tests;
