//! Process settings: one YAML file, unknown words refused, every error with the file and the path inside it.
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// The file is not what it should be; the text names line and field.
    #[error("{}: {why}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Line, field and cause.
        why: String,
    },
    /// A value that parses and cannot be right.
    #[error("{field}: {why}")]
    Invalid {
        /// Path of the field, e.g. `limits.headers_max`.
        field: String,
        /// What is wrong and what would be right.
        why: String,
    },
}

impl SettingsError {
    /// A value that parses and cannot be right.
    pub fn invalid(field: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Invalid { field: field.into(), why: why.into() }
    }
}

/// Reads a YAML file into `T`.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<T, SettingsError> {
    let text = std::fs::read_to_string(path).map_err(|source| SettingsError::Read { path: path.to_owned(), source })?;
    parse(path, &text)
}

/// Reads YAML text into `T`; `path` is only for errors.
pub fn parse<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, SettingsError> {
    serde_saphyr::from_str(text).map_err(|e| SettingsError::Parse { path: path.to_owned(), why: e.to_string() })
}
