//! A model of ours in the words of others: `istio`, `network_policy` and `otm`. Drawings are `model::graph`'s.
//!
//! What a format cannot say is a note, which the caller shows, and a comment where it would have stood. An export never
//! allows more than the model: in doubt it allows less.
use std::collections::HashSet;

use serde::Serialize;
use serde_json::{Value as Json, json};

pub mod cluster;
pub mod istio;
pub mod network_policy;
pub mod otm;

/// What a note is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum About {
    /// A word of the model that the format has none for, or that holds otherwise.
    NotExpressed,
    /// What must be set where the export goes.
    Needed,
}

impl About {
    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotExpressed => "not expressed",
            Self::Needed => "needed",
        }
    }
}

/// What the export cannot say, or needs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Note {
    /// What it is about.
    pub about: About,
    /// Of which noun or document: `flow checkout`.
    pub subject: String,
    /// The word: `limit: 50/s`.
    pub what: String,
    /// What holds instead, or what to do about it.
    pub why: String,
}

impl Note {
    /// A note.
    pub fn new(subject: impl Into<String>, what: impl Into<String>, why: impl Into<String>) -> Self {
        Self { about: About::NotExpressed, subject: subject.into(), what: what.into(), why: why.into() }
    }

    /// A note of what must be set elsewhere.
    pub fn needed(subject: impl Into<String>, what: impl Into<String>, why: impl Into<String>) -> Self {
        Self { about: About::Needed, ..Self::new(subject, what, why) }
    }

    /// The note as a comment beside what it is about.
    fn comment(&self) -> String {
        format!("{}: {}: {}", self.about.as_str(), self.what, self.why)
    }
}

impl std::fmt::Display for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}: {}", self.subject, self.what, self.why)
    }
}

/// Why there is no export.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExportError {
    /// No such node.
    #[error("the model has no node `{name}`{}", near.as_ref().map(|near| format!("; did you mean `{near}`?")).unwrap_or_default())]
    UnknownNode {
        /// What was asked for.
        name: String,
        /// The closest node.
        near: Option<String>,
    },
    /// Nothing of the model runs in the cluster.
    #[error("no node of the model runs in the cluster: give nodes `run` or `attest`, or ask for --workloads all")]
    NoWorkload,
    /// Not the key of a label.
    #[error("`{0}` is no key of a label: write app, or app.kubernetes.io/name")]
    Label(String),
    /// A hand-written document names what the options rename, so that it would no longer hold.
    #[error("{document} names {what}, which {option} changes: it would no longer hold; export without {option}")]
    Renamed {
        /// Kind, namespace and name.
        document: String,
        /// What it names.
        what: String,
        /// The option.
        option: &'static str,
    },
    /// A value that cannot be written: a mistake of Ward.
    #[error("{what} cannot be written as YAML, which is a mistake of Ward: {cause}")]
    Write {
        /// Which document.
        what: String,
        /// What is wrong.
        cause: String,
    },
}

/// A document of the export.
#[derive(Clone, Debug, PartialEq)]
struct Document {
    comments: Vec<String>,
    yaml: String,
    json: Json,
}

/// Documents as others read them, and what they cannot say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Exported {
    head: Vec<String>,
    documents: Vec<Document>,
    /// What is not expressed, once each.
    pub notes: Vec<Note>,
    noted: HashSet<Note>,
}

impl Exported {
    /// The documents as YAML, with comments. The same model gives the same bytes.
    pub fn yaml(&self) -> String {
        let mut out = String::new();
        for line in &self.head {
            comment(&mut out, line);
        }
        for (number, document) in self.documents.iter().enumerate() {
            if number > 0 || !self.head.is_empty() {
                out += "---\n";
            }
            for line in &document.comments {
                comment(&mut out, line);
            }
            out += &document.yaml;
        }
        out
    }

    /// The documents as one `List`, which `kubectl apply` takes as well.
    pub fn list(&self) -> Json {
        let items: Vec<&Json> = self.documents.iter().map(|d| &d.json).collect();
        json!({ "apiVersion": "v1", "kind": "List", "items": items })
    }

    /// How many documents.
    pub fn len(&self) -> usize {
        self.documents.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.documents.is_empty()
    }

    fn add(&mut self, what: &str, comments: Vec<String>, value: &impl Serialize) -> Result<(), ExportError> {
        let yaml = yaml(what, value)?;
        let json = serde_json::to_value(value).map_err(|error| written(what, &error))?;
        self.documents.push(Document { comments, yaml, json });
        Ok(())
    }

    fn note(&mut self, note: Note) {
        if self.noted.insert(note.clone()) {
            self.notes.push(note);
        }
    }
}

/// A line of comment. What others wrote may hold line breaks, which would end it.
fn comment(out: &mut String, line: &str) {
    let line: String =
        line.chars().map(|c| if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') { ' ' } else { c }).collect();
    *out += if line.is_empty() { "#" } else { "# " };
    *out += line.trim_end();
    out.push('\n');
}

/// A value as YAML that readers of version 1.1 and 1.2 read alike: what looks like a number or a boolean is in quotes.
fn yaml(what: &str, value: &impl Serialize) -> Result<String, ExportError> {
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
    let mut out = String::new();
    serde_saphyr::to_fmt_writer_with_options(&mut out, value, options).map_err(|error| written(what, &error))?;
    Ok(out)
}

fn written(what: &str, error: &dyn std::fmt::Display) -> ExportError {
    ExportError::Write { what: what.to_owned(), cause: error.to_string() }
}

#[cfg(test)]
mod tests;
