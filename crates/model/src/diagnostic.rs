//! What is wrong with what people wrote, and where: data only; the CLI draws it, the API serializes it.
use serde::{Deserialize, Serialize};

/// One file of a model directory, read by the caller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFile {
    /// Path relative to the model directory, with `/`.
    pub name: String,
    /// The whole text.
    pub text: String,
}

/// How bad it is: an error refuses the model, a warning does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The model is refused.
    Error,
    /// The model is accepted; the word is declared and not yet enforced, or worth a look.
    Warning,
}

/// One thing that is wrong, with its place and the remedy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// A stable kebab-case word for the kind of fault, e.g. `unknown-field`, `unknown-node`.
    pub code: String,
    /// `SourceFile::name`.
    pub file: String,
    /// Byte range in the file's text: start.
    pub start: usize,
    /// Byte range in the file's text: end, exclusive; equal to `start` for a point.
    pub end: usize,
    /// Line of `start`, from 1.
    pub line: usize,
    /// Column of `start` in characters, from 1.
    pub column: usize,
    /// Where in the model: `flows[3].via.allow[0]`.
    pub path: String,
    /// What is wrong, one sentence without a full stop.
    pub message: String,
    /// What to do about it, e.g. the closest valid word.
    pub help: Option<String>,
}
