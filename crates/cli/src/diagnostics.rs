//! Draws diagnostics for people: the line, the place underlined, what is wrong and what to do.
use std::{fmt, io::IsTerminal as _};

use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode};
use model::{Diagnostic, Severity, SourceFile};

use crate::{config::no_color, output::visible};

/// Width of a report in columns.
const WIDTH: usize = 120;
/// Longest line that is drawn, bytes; what is longer was not written by hand, and is told in one line.
const DRAWN_LINE_MAX: usize = 500;

/// Every diagnostic with its excerpt, then a summary line. Colours when standard output is a terminal.
pub(crate) fn render(files: &[SourceFile], diagnostics: &[Diagnostic]) -> String {
    draw(files, diagnostics, std::io::stdout().is_terminal() && !no_color())
}

fn draw(files: &[SourceFile], diagnostics: &[Diagnostic], colours: bool) -> String {
    let theme = if colours { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let handler = GraphicalReportHandler::new_themed(theme).with_width(WIDTH).with_context_lines(1).with_links(false);
    let mut text = String::new();
    for diagnostic in diagnostics {
        let source = files.iter().find(|f| f.name == diagnostic.file);
        if source.is_some_and(|source| longest_drawn(&source.text, diagnostic.line) > DRAWN_LINE_MAX) {
            text.push_str(&line(diagnostic));
            text.push('\n');
            continue;
        }
        let report = Report {
            diagnostic,
            source: source.map(|f| NamedSource::new(visible(&f.name), visible(&f.text).into_owned())),
        };
        if handler.render_report(&mut text, &report).is_err() {
            // The excerpt could not be drawn: the plain line says the same.
            text.push_str(&line(diagnostic));
        }
        text.push('\n');
    }
    text.push_str(&summary(diagnostics));
    text
}

/// Bytes of the longest of the lines that an excerpt around `line` shows.
fn longest_drawn(text: &str, line: usize) -> usize {
    text.lines().skip(line.saturating_sub(2)).take(3).map(str::len).max().unwrap_or_default()
}

/// One line: `ward.yaml:3:5: error[unknown-field]: …`.
pub(crate) fn line(d: &Diagnostic) -> String {
    let severity = match d.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let help = d.help.as_deref().map(|h| format!(" ({h})")).unwrap_or_default();
    visible(&format!("{}:{}:{}: {severity}[{}]: {}{help}", d.file, d.line, d.column, d.code, d.message)).into_owned()
        + "\n"
}

/// `2 errors, 1 warning`.
pub(crate) fn counts(diagnostics: &[Diagnostic]) -> String {
    let errors = diagnostics.iter().filter(|d| d.severity == Severity::Error).count();
    let warnings = diagnostics.len() - errors;
    let of = |n: usize, noun: &str| format!("{n} {noun}{}", if n == 1 { "" } else { "s" });
    format!("{}, {}", of(errors, "error"), of(warnings, "warning"))
}

fn summary(diagnostics: &[Diagnostic]) -> String {
    let verdict = match diagnostics.iter().any(|d| d.severity == Severity::Error) {
        true => "the model is refused",
        false => "the model is good",
    };
    format!("{verdict}: {}\n", counts(diagnostics))
}

/// A diagnostic as miette wants to see it.
#[derive(Debug)]
struct Report<'a> {
    diagnostic: &'a Diagnostic,
    source: Option<NamedSource<String>>,
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&visible(&self.diagnostic.message))
    }
}

impl std::error::Error for Report<'_> {}

impl miette::Diagnostic for Report<'_> {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(&self.diagnostic.code))
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.diagnostic.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.diagnostic.help.as_ref().map(|help| Box::new(visible(help)) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|s| s as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        self.source.as_ref()?;
        let d = self.diagnostic;
        let label = (!d.path.is_empty()).then(|| visible(&d.path).into_owned());
        Some(Box::new(std::iter::once(LabeledSpan::new(label, d.start, d.end - d.start))))
    }
}

#[cfg(test)]
mod tests;
