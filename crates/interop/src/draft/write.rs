//! A draft as text: one line for a noun that was stated, a line for each field of one that was guessed.
use std::fmt::Write as _;

use serde_json::Value as Json;

use super::{Draft, Field, Kind, LeftOut, Noun};

/// Longest line for a noun in one line.
const LINE_MAX: usize = 140;
/// Most of what was left out that the head of the file lists; the report has it all.
const LEFT_OUT_MAX: usize = 40;

/// A draft that is finished.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Written {
    /// The text of `ward.yaml`.
    pub text: String,
    /// Nouns: zones, data, nodes, flows.
    pub nouns: [usize; 4],
    /// Fields that were guessed.
    pub guessed: usize,
    /// What was seen and not taken over.
    pub left_out: Vec<LeftOut>,
}

impl Draft {
    /// Joins what calls to what answers, and writes the model. `sources` names what was read.
    pub fn write(mut self, sources: &[String]) -> Written {
        self.join();
        self.settle();
        let guessed = self.sections.values().flatten().map(|n| n.guesses().count()).sum();
        let mut out = String::new();
        line(&mut out, 0, &comment(&format!("Imported from {}.", sources.join(", "))));
        if guessed > 0 {
            line(
                &mut out,
                0,
                "# What the sources do not say is guessed, and marked `# guessed:` with the reason: look at each.",
            );
        }
        line(
            &mut out,
            0,
            "# Nothing here runs under Ward yet: give a node `run` or `attest`, and its flows are enforced.",
        );
        if !self.left_out.is_empty() {
            line(&mut out, 0, "#");
            line(&mut out, 0, "# Seen, and not taken over:");
            for one in self.left_out.iter().take(LEFT_OUT_MAX) {
                line(&mut out, 0, &comment(&format!("  {}: {} ({})", one.place, one.what, one.why)));
            }
            if let Some(more) = self.left_out.len().checked_sub(LEFT_OUT_MAX).filter(|n| *n > 0) {
                line(&mut out, 0, &format!("#   and {more} more: `ward import -o json` lists them"));
            }
        }
        line(&mut out, 0, "ward: 1");
        let _ = writeln!(out, "model: {}", scalar(self.title.as_deref().unwrap_or("imported")));
        let sections = [("zones", Kind::Zone), ("data", Kind::Data), ("nodes", Kind::Node), ("flows", Kind::Flow)];
        for (head, kind) in sections {
            let nouns = self.all(kind);
            if nouns.is_empty() {
                continue;
            }
            let _ = writeln!(out, "\n{head}:");
            for noun in nouns {
                write_noun(&mut out, noun, kind);
            }
        }
        let nouns = sections.map(|(_, kind)| self.all(kind).len());
        Written { text: out, nouns, guessed, left_out: self.left_out.into_iter().collect() }
    }
}

fn write_noun(out: &mut String, noun: &Noun, kind: Kind) {
    for text in &noun.comments {
        line(out, 2, &comment(text));
    }
    if noun.guesses().next().is_none() {
        let fields = mapping(noun, kind);
        let one = match kind {
            Kind::Flow => format!("- {fields}"),
            _ => format!("{}: {fields}", scalar(&noun.name)),
        };
        if one.len() <= LINE_MAX {
            return line(out, 2, &one);
        }
    }
    match kind {
        Kind::Flow => line(out, 2, &format!("- id: {}", scalar(&noun.name))),
        _ => line(out, 2, &format!("{}:", scalar(&noun.name))),
    }
    noun.fields.iter().for_each(|f| write_field(out, 4, f));
    if noun.via.iter().any(|f| f.guessed.is_some()) {
        line(out, 4, "via:");
        noun.via.iter().for_each(|f| write_field(out, 6, f));
    } else if !noun.via.is_empty() {
        line(out, 4, &format!("via: {}", words(&noun.via)));
    }
}

fn write_field(out: &mut String, indent: usize, field: &Field) {
    let mut text = format!("{}: {}", field.key, flow(&field.value));
    if let Some(why) = &field.guessed {
        let _ = write!(text, "  # guessed: {}", printable(why));
    }
    line(out, indent, &text);
}

fn mapping(noun: &Noun, kind: Kind) -> String {
    let mut parts = Vec::new();
    if kind == Kind::Flow {
        parts.push(format!("id: {}", scalar(&noun.name)));
    }
    parts.extend(noun.fields.iter().map(|f| format!("{}: {}", f.key, flow(&f.value))));
    if !noun.via.is_empty() {
        parts.push(format!("via: {}", words(&noun.via)));
    }
    if parts.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", parts.join(", ")) }
}

fn words(fields: &[Field]) -> String {
    let parts: Vec<String> = fields.iter().map(|f| format!("{}: {}", f.key, flow(&f.value))).collect();
    format!("{{ {} }}", parts.join(", "))
}

/// A value in YAML's flow style.
fn flow(value: &Json) -> String {
    match value {
        Json::String(text) => scalar(text),
        Json::Array(members) => format!("[{}]", members.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Json::Object(map) if map.is_empty() => "{}".to_owned(),
        Json::Object(map) => {
            let parts: Vec<String> = map.iter().map(|(k, v)| format!("{}: {}", scalar(k), flow(v))).collect();
            format!("{{ {} }}", parts.join(", "))
        }
        other => other.to_string(),
    }
}

/// A text as YAML reads it back: plain where nobody could take it for anything else, in quotes otherwise. A JSON string is
/// a double-quoted scalar (YAML 1.2 §1.3).
fn scalar(text: &str) -> String {
    let first = text.bytes().next();
    let plain = first.is_some_and(|b| b.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'/'))
        && !matches!(
            text.to_ascii_lowercase().as_str(),
            "true" | "false" | "yes" | "no" | "on" | "off" | "y" | "n" | "null" | "nan" | "inf"
        );
    if plain { text.to_owned() } else { Json::from(text).to_string() }
}

/// A comment in one line: what others wrote ends no line and starts none.
fn comment(text: &str) -> String {
    format!("# {}", printable(text))
}

fn printable(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            // What turns a line around makes it say something else to who reads it.
            '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' => ' ',
            c if c.is_control() => ' ',
            c => c,
        })
        .collect()
}

fn line(out: &mut String, indent: usize, text: &str) {
    let _ = writeln!(out, "{:indent$}{}", "", text.trim_end());
}
