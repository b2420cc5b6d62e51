//! Log output: one JSON object per line on standard error, or plain text for people. `WARD_LOG` filters
//! (`info`, `proxy=debug,info`).
use std::io::IsTerminal as _;

use serde::Deserialize;
use tracing_subscriber::EnvFilter;

/// The form of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// One JSON object per line.
    #[default]
    Json,
    /// For a terminal.
    Text,
}

/// Starts logging for the whole process; `filter` is read from `WARD_LOG` by `main` and defaults to `info`.
/// A second call does nothing, so that tests may call it freely.
pub fn init(format: Format, filter: Option<&str>) {
    let (filter, refused) = match EnvFilter::try_new(filter.unwrap_or("info")) {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new("info"), Some(error)),
    };
    let colours = std::io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr);
    // A line that finds no room on the disk is lost. Complaining about it on the same full disk would panic, and end
    // whatever thread had something to say.
    let builder = builder.log_internal_errors(false);
    let _ = match format {
        Format::Json => builder.json().flatten_event(true).with_current_span(false).try_init(),
        Format::Text => builder.with_target(false).try_init(),
    };
    if let Some(error) = refused {
        tracing::warn!(%error, "WARD_LOG is not a filter, `info` is used");
    }
}

/// An error with all its sources, `outer: inner: innermost`, for a log field.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
