//! Draws diagnostics for people: the line, the place underlined, what is wrong and what to do.
use std::{collections::HashMap, fmt, io::IsTerminal as _};

use miette::{
    GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, MietteSpanContents, SourceCode, SourceSpan,
    SpanContents,
};
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
    let mut all_lines: HashMap<&str, Lines<'_>> = HashMap::new();
    for diagnostic in diagnostics {
        let file = files.iter().find(|f| f.name == diagnostic.file);
        let excerpt =
            file.map(|file| all_lines.entry(&file.name).or_insert_with(|| Lines::of(file)).around(diagnostic.start));
        if excerpt.as_ref().is_some_and(|excerpt| excerpt.longest() > DRAWN_LINE_MAX) {
            text.push_str(&line(diagnostic));
            text.push('\n');
            continue;
        }
        if handler.render_report(&mut text, &Report { diagnostic, excerpt }).is_err() {
            // The excerpt could not be drawn: the plain line says the same.
            text.push_str(&line(diagnostic));
        }
        text.push('\n');
    }
    text.push_str(&summary(diagnostics));
    text
}

/// A file, and where its lines begin.
struct Lines<'f> {
    file: &'f SourceFile,
    starts: Vec<usize>,
}

impl<'f> Lines<'f> {
    fn of(file: &'f SourceFile) -> Self {
        let rest = file.text.match_indices('\n').map(|(at, _)| at + 1);
        Self { file, starts: std::iter::once(0).chain(rest).collect() }
    }

    /// The line of an offset, and the ones before and after it.
    fn around(&self, offset: usize) -> Excerpt {
        let here = self.starts.partition_point(|start| *start <= offset).saturating_sub(1);
        let first = here.saturating_sub(1);
        let start = self.starts.get(first).copied().unwrap_or_default();
        let end = self.starts.get(here + 2).copied().unwrap_or(self.file.text.len());
        let text = self.file.text.get(start..end).unwrap_or_default();
        // A line end of Windows is no character that somebody could take for one of the model's.
        let text = visible(&text.replace("\r\n", " \n")).into_owned();
        Excerpt { name: visible(&self.file.name).into_owned(), text, start, first }
    }
}

/// Lines of a file, which for miette stand where they stand in all of it: to read a long file for each of many diagnostics
/// takes minutes.
#[derive(Debug)]
struct Excerpt {
    name: String,
    text: String,
    /// Offset of the text in the file.
    start: usize,
    /// Lines before the text in the file.
    first: usize,
}

impl Excerpt {
    /// Bytes of the longest line.
    fn longest(&self) -> usize {
        self.text.lines().map(str::len).max().unwrap_or_default()
    }
}

impl SourceCode for Excerpt {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        lines_before: usize,
        lines_after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let inside = SourceSpan::from((span.offset().saturating_sub(self.start), span.len()));
        let found = self.text.read_span(&inside, lines_before, lines_after)?;
        Ok(Box::new(MietteSpanContents::new_named(
            self.name.clone(),
            found.data(),
            SourceSpan::from((found.span().offset() + self.start, found.span().len())),
            found.line() + self.first,
            found.column(),
            found.line_count(),
        )))
    }
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
    excerpt: Option<Excerpt>,
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
        self.excerpt.as_ref().map(|excerpt| excerpt as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        self.excerpt.as_ref()?;
        let d = self.diagnostic;
        let label = (!d.path.is_empty()).then(|| visible(&d.path).into_owned());
        Some(Box::new(std::iter::once(LabeledSpan::new(label, d.start, d.end - d.start))))
    }
}

#[cfg(test)]
mod tests;
