//! The model as it is written: where each thing stands, and changes of the text that leave everything else alone,
//! comments and layout included. Pure text in, text out; whether the changed model is a good one is `load`'s matter.
//!
//! A path names a thing the way people speak of it: `nodes`, `orders`, `at_rest`; an element of a list by its `id`
//! (`flows`, `pay`, `via`, `audit`) or by its number from 0.
use std::{collections::HashMap, ops::Range};

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::{
    Loaded, load_known,
    yaml::{self, Key, Parsed, Value, Yaml},
};
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
    /// What is written in each file that may hold the nouns.
    written: Vec<Option<Parsed>>,
    /// The file with the nouns, and which of its documents they are; none when `load` would find no model.
    root: Option<(usize, usize)>,
    /// Where each noun is among those of its kind: a long model is asked for many of them.
    nouns: HashMap<String, HashMap<String, usize>>,
    /// Byte offset of each line of that file.
    lines: Vec<usize>,
}

impl Text {
    /// Reads the files of a model directory. Files that are no YAML are kept and have no places.
    pub fn new(files: Vec<SourceFile>) -> Self {
        let written: Vec<Option<Parsed>> =
            files.iter().map(|file| (file.name == "ward.yaml").then(|| yaml::parse(&file.text))).collect();
        let nouns_of = |parsed: &Parsed| {
            let holds = |d: &Yaml| !d.is_null() && d.get("kind").is_none() && d.get("apiVersion").is_none();
            parsed.documents.iter().position(holds)
        };
        let root = written.iter().enumerate().find_map(|(file, parsed)| Some((file, nouns_of(parsed.as_ref()?)?)));
        let mut text = Self { files, written, root, nouns: HashMap::new(), lines: vec![0] };
        if let Some((file, tree)) = text.tree() {
            let rest = file.text.match_indices('\n').map(|(at, _)| at + 1);
            (text.lines, text.nouns) = (std::iter::once(0).chain(rest).collect(), nouns(tree));
        }
        text
    }

    /// The file with the nouns, and their tree.
    fn tree(&self) -> Option<(&SourceFile, &Yaml)> {
        let (file, document) = self.root?;
        Some((self.files.get(file)?, self.written.get(file)?.as_ref()?.documents.get(document)?))
    }

    /// What [`load`](super::load) finds in the files. What was read for this text is not read again.
    pub fn load(&self) -> Loaded {
        load_known(&self.files, |file| self.written.get(file)?.as_ref())
    }

    /// The files, as given or as changed.
    pub fn files(&self) -> &[SourceFile] {
        &self.files
    }

    /// Where a path is written, or the longest part of it that is.
    pub fn place<S: AsRef<str>>(&self, path: &[S]) -> Option<Place> {
        let (file, tree) = self.tree()?;
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
        Some(Place { file: file.name.clone(), line, path: found.join(".") })
    }

    /// Whether exactly this is written.
    pub fn has<S: AsRef<str>>(&self, path: &[S]) -> bool {
        self.tree().is_some_and(|(_, tree)| {
            path.iter().try_fold(tree, |at, segment| step(at, segment.as_ref()).map(|(_, next)| next)).is_some()
        })
    }

    /// The model after the changes, made one after the other. What is read from the new text is what was read from
    /// the old one with the changes made, and nothing else: this is checked, not hoped.
    ///
    /// # Errors
    /// A change names something that is not written, or stands in a layout that is left to people.
    pub fn changed(&self, changes: &[Change]) -> Result<Self, ChangeError> {
        let mut made: Option<Self> = None;
        for change in changes {
            let text = made.as_ref().unwrap_or(self);
            let (Some((index, _)), Some((file, tree))) = (text.root, text.tree()) else {
                return Err(ChangeError::NoModel);
            };
            let (range, replacement) = edit::edit(&file.text, tree, change)?;
            let wanted = edit::applied(tree, change);
            let mut files = text.files.clone();
            if let Some(file) = files.get_mut(index) {
                file.text.replace_range(range, &replacement);
            }
            let next = Self::new(files);
            let read = next.tree().map(|(_, tree)| tree);
            if !wanted.is_some_and(|wanted| read.is_some_and(|read| read.says(&wanted))) {
                return Err(ChangeError::Layout(path_of(change).join(".")));
            }
            made = Some(next);
        }
        Ok(made.unwrap_or_else(|| self.clone()))
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
