//! What every printing subcommand shares: the `-o/--output` argument, the exit codes, and writing to standard output
//! without dying of a closed pipe.
use std::{
    borrow::Cow,
    fs,
    io::{self, Write as _},
    path::Path,
};

use anyhow::{Context as _, bail};
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

/// Text that others wrote, without what would move the cursor, colour the terminal or turn the line around: control and
/// direction characters become others of the same length in bytes, so that places in the text stay where they are.
/// Line feeds and tabs stay.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    let tame = |c: char| match c {
        '\n' | '\t' => c,
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' => '\u{fffd}',
        c if c.is_control() => {
            if c.len_utf8() == 1 {
                '?'
            } else {
                '¿'
            }
        }
        c => c,
    };
    match text.chars().any(|c| tame(c) != c) {
        true => Cow::Owned(text.chars().map(tame).collect()),
        false => Cow::Borrowed(text),
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

/// Writes text to a file, or without one to standard output.
///
/// # Errors
/// It cannot be written.
fn write(out: Option<&Path>, text: &str) -> anyhow::Result<()> {
    match out {
        Some(path) => fs::write(path, text).with_context(|| format!("cannot write {}", path.display())),
        None => Ok(print(text)?),
    }
}

/// The same of what is made from the model of a directory: never over a file of it, nor where the model would be read from
/// next time.
///
/// # Errors
/// It cannot be written, or would be read as a part of the model.
pub(crate) fn write_of(dir: &Path, out: Option<&Path>, text: &str) -> anyhow::Result<()> {
    if let Some(path) = out
        && is_of_model(dir, path)
    {
        bail!(
            "{0} would be read as a part of the model in {1}: write it outside of {1}, or under a name that does not end in .yaml",
            path.display(),
            dir.display()
        );
    }
    write(out, text)
}

/// Whether a file is read with the model of a directory, or would be if it were there.
fn is_of_model(dir: &Path, path: &Path) -> bool {
    let Ok(dir) = dir.canonicalize() else { return false };
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let named = parent.canonicalize().ok().zip(path.file_name()).map(|(parent, name)| parent.join(name));
    // A link is what it leads to as well.
    named.into_iter().chain(path.canonicalize().ok()).any(|path| {
        let inside = path.strip_prefix(&dir).ok().and_then(Path::to_str);
        inside.is_some_and(|name| {
            (name.ends_with(".yaml") || name.ends_with(".yml")) && !name.split('/').any(|part| part.starts_with('.'))
        })
    })
}

/// Writes a value as indented JSON and a line feed.
pub(crate) fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    let mut text = serde_json::to_string_pretty(value)?;
    text.push('\n');
    Ok(print(&text)?)
}

#[cfg(test)]
mod tests;
