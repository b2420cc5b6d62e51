//! Collects what is wrong: every report has a file, a place in it and a path in the model. And the names that are read.
use std::{collections::HashSet, ops::Range};

use super::{DIAGNOSTICS_MAX, read::Item};
use crate::{Diagnostic, Name, Severity, SourceFile};

/// A place in a file.
#[derive(Clone, Debug)]
pub(crate) struct At {
    /// Index of the file.
    pub(crate) file: usize,
    /// Byte range.
    pub(crate) span: Range<usize>,
    /// Where in the model, `flows[3].via`.
    pub(crate) path: String,
}

/// Everything reported so far.
pub(crate) struct Problems<'a> {
    files: &'a [SourceFile],
    /// Byte offset of each line, per file; filled when first needed.
    lines: Vec<Vec<usize>>,
    found: Vec<Diagnostic>,
    errors: usize,
    left_out: usize,
    /// Each name once, however often it is written: a model says most of them many times.
    names: HashSet<Name>,
}

impl<'a> Problems<'a> {
    pub(crate) fn new(files: &'a [SourceFile]) -> Self {
        let lines = vec![Vec::new(); files.len()];
        Self { files, lines, found: Vec::new(), errors: 0, left_out: 0, names: HashSet::new() }
    }

    /// Reports an error.
    pub(crate) fn error(&mut self, code: &'static str, at: &At, message: String, help: impl Into<Option<String>>) {
        self.errors += 1;
        self.report(Severity::Error, code, at, message, help.into());
    }

    /// Reports a warning.
    pub(crate) fn warn(&mut self, code: &'static str, at: &At, message: String, help: impl Into<Option<String>>) {
        self.report(Severity::Warning, code, at, message, help.into());
    }

    /// The text of a file; empty for one that is not there.
    pub(crate) fn source(&self, file: usize) -> &'a str {
        self.files.get(file).map_or("", |f| f.text.as_str())
    }

    /// A name; none where the text is no DNS label.
    pub(crate) fn named(&mut self, text: &str) -> Option<Name> {
        if let Some(known) = self.names.get(text) {
            return Some(known.clone());
        }
        let name = Name::try_from(text.to_owned()).ok()?;
        self.names.insert(name.clone());
        Some(name)
    }

    /// How many errors there are.
    pub(crate) fn errors(&self) -> usize {
        self.errors
    }

    /// Whether no error was reported at this path or below it.
    pub(crate) fn clean(&self, path: &str) -> bool {
        !self.found.iter().any(|d| {
            d.severity == Severity::Error
                && d.path.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        })
    }

    /// Whether no error was reported at or below any of an item's fields.
    pub(crate) fn clean_fields(&self, item: &Item<'_>, fields: &[&str]) -> bool {
        fields.iter().all(|f| self.clean(&format!("{}.{f}", item.path)))
    }

    fn report(&mut self, severity: Severity, code: &'static str, at: &At, message: String, help: Option<String>) {
        debug_assert!(crate::diagnostic::CODES.iter().any(|(c, _)| *c == code), "{code} is not in CODES");
        if self.found.len() >= DIAGNOSTICS_MAX {
            self.left_out += 1;
            return;
        }
        let Some(file) = self.files.get(at.file) else { return };
        let (start, end) = one_line(&file.text, &at.span);
        let (line, column) = self.line_and_column(at.file, start);
        self.found.push(Diagnostic {
            severity,
            code: code.to_owned(),
            file: file.name.clone(),
            start,
            end,
            line,
            column,
            path: at.path.clone(),
            message,
            help,
        });
    }

    /// Line and column of a byte offset, both from 1; the column counts characters.
    pub(crate) fn line_and_column(&mut self, file: usize, offset: usize) -> (usize, usize) {
        let (Some(source), Some(lines)) = (self.files.get(file), self.lines.get_mut(file)) else { return (1, 1) };
        if lines.is_empty() {
            lines.push(0);
            lines.extend(source.text.match_indices('\n').map(|(i, _)| i + 1));
        }
        let line = lines.partition_point(|start| *start <= offset).max(1);
        let start = lines.get(line - 1).copied().unwrap_or_default();
        let column = source.text.get(start..offset).map_or(0, |s| s.chars().count()) + 1;
        (line, column)
    }

    /// Everything reported, by file and place.
    pub(crate) fn finish(mut self) -> Vec<Diagnostic> {
        self.found
            .sort_by(|a, b| (&a.file, a.start, a.severity, &a.code).cmp(&(&b.file, b.start, b.severity, &b.code)));
        if self.left_out > 0 {
            let file = self.found.first().map(|d| d.file.clone()).unwrap_or_default();
            self.found.push(Diagnostic {
                severity: if self.errors > 0 { Severity::Error } else { Severity::Warning },
                code: "too-many".to_owned(),
                file,
                start: 0,
                end: 0,
                line: 1,
                column: 1,
                path: String::new(),
                message: format!("{} further problems are not listed", self.left_out),
                help: Some("mend the ones above first".to_owned()),
            });
        }
        self.found
    }
}

/// The part of a span on its first line, on character boundaries and inside the text.
fn one_line(text: &str, span: &Range<usize>) -> (usize, usize) {
    let mut start = span.start.min(text.len());
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    let mut end = span.end.clamp(start, text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let part = text.get(start..end).unwrap_or_default();
    let part = part.split(['\n', '\r']).next().unwrap_or_default().trim_end();
    (start, start + part.len())
}
