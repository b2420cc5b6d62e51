//! A document of somebody else's, as a tree that remembers its lines: what importers read.
use serde_json::Value as Json;

use crate::load::yaml::{self, Value};

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree {
    /// Line, from 1; 0 in JSON, whose lines nobody wrote.
    pub line: usize,
    /// What it is.
    pub kind: Kind,
}

/// What a value is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `null`, `~`, or nothing.
    Null,
    /// A text, number or boolean; `plain` is one without quotes, so that `true` and `"true"` differ.
    Scalar {
        /// As written.
        text: String,
        /// Whether without quotes.
        plain: bool,
    },
    /// A list.
    List(Vec<Tree>),
    /// A mapping, in the order written.
    Map(Vec<(String, Tree)>),
}

/// Why a text is no document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct TreeError {
    /// Line, from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}

impl Tree {
    /// The documents of a YAML text. Aliases stand for what they name, and `<<` for what it merges (YAML 1.1).
    ///
    /// # Errors
    /// It is not YAML, or larger or deeper than a model may be.
    pub fn yaml(text: &str) -> Result<Vec<Self>, TreeError> {
        let yaml::Parsed { documents, faults } = yaml::parse(text);
        let line = |at: usize| text.as_bytes().iter().take(at).filter(|b| **b == b'\n').count() + 1;
        // `<<` may stand twice in a mapping, of which each merges another one.
        let merges = |at: &std::ops::Range<usize>| text.get(at.clone()).is_some_and(|key| key.trim() == "<<");
        if let Some(fault) = faults.into_iter().find(|f| f.code != "duplicate-key" || !merges(&f.span)) {
            return Err(TreeError { line: line(fault.span.start), message: fault.message });
        }
        // One pass over the lines, and not one for each value.
        let starts: Vec<usize> = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Ok(documents.iter().map(|d| Self::from_yaml(d, &starts)).collect())
    }

    /// A JSON text.
    ///
    /// # Errors
    /// It is not JSON (RFC 8259), or nested more than 128 deep.
    pub fn json(text: &str) -> Result<Self, TreeError> {
        let json = serde_json::from_str::<Json>(text);
        json.map(Self::from).map_err(|e| TreeError { line: e.line(), message: format!("this is not JSON: {e}") })
    }

    fn from_yaml(yaml: &yaml::Yaml, starts: &[usize]) -> Self {
        let line = starts.partition_point(|start| *start <= yaml.span.start);
        let kind = match &yaml.value {
            _ if yaml.is_null() => Kind::Null,
            Value::Scalar { text, plain } => Kind::Scalar { text: text.clone(), plain: *plain },
            Value::Seq(items) => Kind::List(items.iter().map(|i| Self::from_yaml(i, starts)).collect()),
            Value::Map(entries) => {
                let mut map: Vec<(String, Self)> = Vec::with_capacity(entries.len());
                let mut merged = Vec::new();
                for (key, value) in entries {
                    let value = Self::from_yaml(value, starts);
                    match (key.text.as_str(), value.kind) {
                        ("<<", Kind::Map(more)) => merged.extend(more),
                        ("<<", Kind::List(all)) => {
                            merged.extend(all.into_iter().flat_map(|one| match one.kind {
                                Kind::Map(more) => more,
                                _ => Vec::new(),
                            }));
                        }
                        (_, kind) => map.push((key.text.clone(), Self { line: value.line, kind })),
                    }
                }
                for (key, value) in merged {
                    if !map.iter().any(|(k, _)| *k == key) {
                        map.push((key, value));
                    }
                }
                Kind::Map(map)
            }
        };
        Self { line, kind }
    }

    /// The value under a key of a mapping; nothing where it is null.
    pub fn get(&self, key: &str) -> Option<&Self> {
        let entry = self.entries().iter().find(|(k, _)| k == key).map(|(_, value)| value);
        entry.filter(|value| value.kind != Kind::Null)
    }

    /// The value at the end of a path of keys.
    pub fn at(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |tree, key| tree.get(key))
    }

    /// The text under a path of keys.
    pub fn text_at(&self, path: &[&str]) -> Option<&str> {
        self.at(path).and_then(Self::text)
    }

    /// The text of a scalar, as written.
    pub fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// A boolean; `"true"` in quotes is one too, as most tools take it so.
    pub fn bool(&self) -> Option<bool> {
        match self.text()? {
            "true" | "True" | "TRUE" | "yes" | "on" => Some(true),
            "false" | "False" | "FALSE" | "no" | "off" => Some(false),
            _ => None,
        }
    }

    /// A whole number.
    pub fn number(&self) -> Option<i64> {
        self.text()?.parse().ok()
    }

    /// The members of a list; none where it is no list.
    pub fn items(&self) -> &[Self] {
        match &self.kind {
            Kind::List(items) => items,
            _ => &[],
        }
    }

    /// The entries of a mapping; none where it is no mapping.
    pub fn entries(&self) -> &[(String, Self)] {
        match &self.kind {
            Kind::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The members of the list at a path; none where there is none.
    pub fn items_at(&self, path: &[&str]) -> &[Self] {
        self.at(path).map_or(&[], Self::items)
    }
}

impl From<Json> for Tree {
    fn from(json: Json) -> Self {
        let kind = match json {
            Json::Null => Kind::Null,
            Json::Bool(value) => Kind::Scalar { text: value.to_string(), plain: true },
            Json::Number(value) => Kind::Scalar { text: value.to_string(), plain: true },
            Json::String(text) => Kind::Scalar { text, plain: false },
            Json::Array(items) => Kind::List(items.into_iter().map(Self::from).collect()),
            Json::Object(map) => Kind::Map(map.into_iter().map(|(key, value)| (key, Self::from(value))).collect()),
        };
        Self { line: 0, kind }
    }
}

#[cfg(test)]
mod tests;
