//! What every printing subcommand shares: the `-o/--output` argument, the exit codes, and writing to standard output
//! without dying of a closed pipe.
use std::io::{self, Write as _};

use clap::ValueEnum;

/// Exit code: errors or findings in what was asked about.
pub(crate) const FINDINGS: u8 = 1;
/// Exit code: the question could not be answered.
pub(crate) const CANNOT: u8 = 2;

/// How to print; flatten it into a subcommand's `Args`.
#[derive(clap::Args, Clone, Copy)]
pub(crate) struct Output {
    /// How to print
    #[arg(short = 'o', long = "output", value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    pub(crate) format: Format,
}

/// The forms of output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Text,
    /// For programs
    Json,
}

impl Output {
    /// Whether a program reads us.
    pub(crate) fn is_json(self) -> bool {
        self.format == Format::Json
    }
}

/// Writes text to standard output; a reader that went away (`| head`) is no error.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Writes a value as indented JSON and a line feed.
pub(crate) fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    let mut text = serde_json::to_string_pretty(value)?;
    text.push('\n');
    Ok(print(&text)?)
}
