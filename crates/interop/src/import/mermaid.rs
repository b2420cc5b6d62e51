//! Mermaid: flowcharts and sequence diagrams, alone or in the code blocks of a Markdown text.
//!
//! A diagram says little that is certain: who speaks to whom, and what is drawn around what. Kinds, trust, data and how they
//! travel are read from shapes and words, and every one of these is a guess.
use model::SourceFile;

use super::{ImportError, place};
use crate::draft::Draft;

mod edge;
mod flowchart;
mod label;
mod onto;
mod sequence;
mod words;

/// Most arrows of a diagram: `A & B & C --> D & E & F` are nine.
const EDGES_MAX: usize = 50_000;
/// Kinds of diagrams that are not read, and why not.
const OTHERS: [(&str, &str); 24] = [
    ("classDiagram", CODE),
    ("stateDiagram", "it shows states, and not who speaks to whom"),
    ("erDiagram", "it shows tables, and not who speaks to whom"),
    ("C4", "draw it as a flowchart"),
    ("architecture", "draw it as a flowchart"),
    ("block", "draw it as a flowchart"),
    ("journey", CODE),
    ("gantt", CODE),
    ("pie", CODE),
    ("quadrantChart", CODE),
    ("requirementDiagram", CODE),
    ("gitGraph", CODE),
    ("mindmap", CODE),
    ("timeline", CODE),
    ("zenuml", "draw it as a sequence diagram"),
    ("sankey", CODE),
    ("xychart", CODE),
    ("packet", CODE),
    ("kanban", CODE),
    ("radar", CODE),
    ("treemap", CODE),
    ("treeView", CODE),
    ("venn", CODE),
    ("ishikawa", CODE),
];
const CODE: &str = "it shows no data flows";

/// A diagram in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Diagram<'a> {
    file: &'a str,
    /// Line of its first character in the file, from 1.
    line: usize,
    text: &'a str,
}

impl Diagram<'_> {
    fn place(&self, line: usize) -> String {
        place(self.file, self.line + line)
    }
}

/// What a diagram shows.
#[derive(Debug, Default)]
struct Chart {
    title: Option<String>,
    groups: Vec<Group>,
    nodes: Vec<Node>,
    edges: Vec<Edge>,
    /// Line, what, why.
    left_out: Vec<(usize, String, String)>,
}

/// A boundary.
#[derive(Debug, Default)]
struct Group {
    id: String,
    text: String,
    parent: Option<usize>,
}

/// A box.
#[derive(Debug, Default)]
struct Node {
    id: String,
    /// What is written in it; none where the id stands alone.
    text: Option<String>,
    /// The word for its shape, where the shape says something: `store`, `party`.
    shape: Option<Shape>,
    group: Option<usize>,
    comments: Vec<String>,
}

/// A shape that says what a box is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// A cylinder and its kin.
    Store(&'static str),
    /// A stick figure.
    Actor,
}

/// An arrow, or several messages one way.
#[derive(Debug, Default)]
struct Edge {
    from: String,
    to: String,
    carries: Vec<String>,
    returns: Vec<String>,
    comments: Vec<String>,
}

/// Whether a file is, or holds, a diagram.
pub fn is_one(file: &SourceFile) -> bool {
    let yaml = [".yaml", ".yml", ".json"].iter().any(|ending| file.name.ends_with(ending));
    !yaml && !diagrams(file).is_empty()
}

/// Whether a file is a text for people, which may hold diagrams.
pub fn is_markdown(name: &str) -> bool {
    [".md", ".markdown", ".mdx"].iter().any(|ending| name.to_ascii_lowercase().ends_with(ending))
}

/// The word of a name that says that it is a store.
pub(super) fn of_box(name: &str) -> Option<String> {
    words::of_box(name).kind.filter(|(kind, _)| *kind == "store").map(|(_, word)| word)
}

/// Reads diagrams into a draft.
///
/// # Errors
/// A diagram has more than [`EDGES_MAX`] arrows, or a file none at all.
pub fn read(files: &[&SourceFile], draft: &mut Draft) -> Result<(), ImportError> {
    for file in files {
        let found = diagrams(file);
        if found.is_empty() {
            let why = "this is no Mermaid diagram: the first line of one is `flowchart LR` or `sequenceDiagram`, and in Markdown \
                       it stands in a code block of the language `mermaid`";
            return Err(ImportError::Refused { place: file.name.clone(), why: why.to_owned() });
        }
        for diagram in found {
            read_one(diagram, draft)?;
        }
    }
    Ok(())
}

fn read_one(diagram: Diagram<'_>, draft: &mut Draft) -> Result<(), ImportError> {
    let body = skip_head(diagram.text);
    let word = header(body.text).unwrap_or_default();
    let chart = match word {
        "flowchart" | "graph" | "flowchart-elk" | "swimlane" => flowchart::parse(body.text, body.line),
        "sequenceDiagram" => sequence::parse(body.text, body.line),
        other => {
            let why = OTHERS.iter().find(|(kind, _)| other.starts_with(kind)).map_or(CODE, |(_, why)| why);
            draft.left_out(diagram.place(body.line), format!("a diagram of the kind `{other}`"), why);
            return Ok(());
        }
    };
    let Some(mut chart) = chart else {
        let why = format!("this diagram has more than {EDGES_MAX} arrows: import it in parts");
        return Err(ImportError::Refused { place: diagram.place(0), why });
    };
    chart.title = chart.title.or(body.title);
    onto::draft(&chart, &diagram, draft);
    Ok(())
}

/// The diagrams of a file: the text itself, or its code blocks.
fn diagrams(file: &SourceFile) -> Vec<Diagram<'_>> {
    let text = file.text.trim_start_matches('\u{feff}');
    if header(skip_head(text).text).is_some() {
        return vec![Diagram { file: &file.name, line: 1, text }];
    }
    let mut found = Vec::new();
    // The fence that is open: its characters, whether it is a diagram, where its text begins.
    let mut open: Option<(&str, bool, usize, usize)> = None;
    let mut at = 0;
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let trimmed = line.trim().trim_start_matches("> ");
        let marks = ['`', '~', ':'].into_iter().find_map(|c| {
            let rest = trimmed.trim_start_matches(c);
            let marks = trimmed.get(..trimmed.len() - rest.len())?;
            (marks.len() >= 3).then_some((marks, rest.trim()))
        });
        match (open, marks) {
            (None, Some((marks, language))) => {
                let language = language.trim_start_matches(['{', '.']).trim_start();
                let mermaid = language.split(|c: char| !c.is_ascii_alphanumeric()).next() == Some("mermaid");
                // Only a diagram is fenced in colons (Azure DevOps).
                if mermaid || !marks.starts_with(':') {
                    open = Some((marks, mermaid, at + line.len(), number + 2));
                }
            }
            (Some((fence, mermaid, start, first)), Some((marks, ""))) if marks.starts_with(fence) => {
                if mermaid && let Some(text) = text.get(start..at) {
                    found.push(Diagram { file: &file.name, line: first, text });
                }
                open = None;
            }
            _ => {}
        }
        at += line.len();
    }
    // A block that nobody closed goes on to the end (CommonMark 0.31, 4.5).
    if let Some((_, true, start, first)) = open
        && let Some(text) = text.get(start..)
    {
        found.push(Diagram { file: &file.name, line: first, text });
    }
    found
}

/// A diagram without what stands before its kind.
struct Body<'a> {
    text: &'a str,
    /// Lines before it.
    line: usize,
    title: Option<String>,
}

/// Skips front matter, comments and directives.
fn skip_head(text: &str) -> Body<'_> {
    let mut body = Body { text, line: 0, title: None };
    loop {
        let start = body.text.trim_start();
        body.line += newlines(body.text, start);
        body.text = start;
        let rest = if let Some(rest) = start.strip_prefix("---").filter(|r| r.trim_start_matches(' ').starts_with('\n'))
        {
            let Some((front, rest)) = rest.split_once("\n---") else { return body };
            let title = front.lines().find_map(|l| l.trim().strip_prefix("title:"));
            body.title = title.map(|t| t.trim().trim_matches(['"', '\'']).to_owned()).filter(|t| !t.is_empty());
            rest.split_once('\n').map_or("", |(_, rest)| rest)
        } else if let Some(rest) = start.strip_prefix("%%{") {
            rest.split_once("}%%").map_or("", |(_, rest)| rest)
        } else if start.starts_with("%%") {
            start.split_once('\n').map_or("", |(_, rest)| rest)
        } else {
            return body;
        };
        body.line += newlines(start, rest);
        body.text = rest;
    }
}

/// Line feeds of a text before a tail of it.
fn newlines(text: &str, tail: &str) -> usize {
    let head = text.get(..text.len().saturating_sub(tail.len())).unwrap_or_default();
    head.bytes().filter(|b| *b == b'\n').count()
}

/// The word that says what kind of diagram a text is, if it is one.
fn header(text: &str) -> Option<&str> {
    let line = text.lines().next()?.trim();
    let word = line.split(|c: char| c.is_whitespace() || c == ';').next()?;
    let rest = line.get(word.len()..)?.trim_start_matches(';').trim();
    match word {
        "flowchart" | "graph" | "flowchart-elk" | "swimlane" => {
            let direction = rest.split(|c: char| c.is_whitespace() || c == ';').next().unwrap_or_default();
            (matches!(direction, "" | "TB" | "TD" | "BT" | "RL" | "LR" | ">" | "<" | "^" | "v")).then_some(word)
        }
        "sequenceDiagram" => Some(word),
        // The other words are ordinary ones too: they stand alone, or with what only a diagram has behind them.
        _ => {
            let known = OTHERS.iter().any(|(kind, _)| {
                word.strip_prefix(kind).is_some_and(|end| matches!(end, "" | "-v2" | "-beta") || *kind == "C4")
            });
            let alone =
                rest.is_empty() || ["title", "showData", "horizontal", "LR", "TB"].iter().any(|w| rest.starts_with(w));
            (known && alone && !word.ends_with(':')).then_some(word)
        }
    }
}

#[cfg(test)]
mod tests;
