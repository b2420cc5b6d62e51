//! Sequence diagrams: messages between participants, and what is answered.
use std::collections::HashMap;

use model::tree::Tree;

use super::{Chart, EDGES_MAX, Edge, Group, Node, Shape, label};

/// Arrows, so that of two that begin at one place the longer is taken; the second says whether the line is dashed.
const ARROWS: [(&str, bool); 6] =
    [("<<-->>", true), ("<<->>", false), ("-->>", true), ("->>", false), ("-->", true), ("->", false)];
/// Arrows that names may hold too.
const SHORT: [(&str, bool); 4] = [("--x", true), ("--)", true), ("-x", false), ("-)", false)];
/// Half arrows.
const HALF: [(&str, bool); 8] = [
    ("--|\\", true),
    ("--|/", true),
    ("--\\\\", true),
    ("--//", true),
    ("-|\\", false),
    ("-|/", false),
    ("-\\\\", false),
    ("-//", false),
];
/// Lines that say nothing about who speaks to whom.
const QUIET: [&str; 12] = [
    "autonumber",
    "activate",
    "deactivate",
    "destroy",
    "link",
    "links",
    "properties",
    "details",
    "accTitle:",
    "accDescr:",
    "accTitle",
    "accDescr",
];
/// Beginnings of blocks.
const BLOCKS: [&str; 7] = ["loop", "alt", "opt", "par", "critical", "break", "rect"];
/// Parts of blocks.
const PARTS: [&str; 4] = ["else", "and", "option", "par_over"];
/// Most messages that are kept of one way.
const MESSAGES_MAX: usize = 64;

/// The chart of a diagram; none where it has too many messages. `line` is how many lines stand before the text.
pub(super) fn parse(text: &str, line: usize) -> Option<Chart> {
    let mut parser = Parser { chart: Chart::default(), nodes: HashMap::new(), edges: HashMap::new(), open: Vec::new() };
    let mut messages = 0;
    let mut block = false;
    for (number, whole) in text.lines().enumerate() {
        // Behind the kind a semicolon ends its line.
        let whole = if number == 0 { whole.trim_start_matches("sequenceDiagram") } else { whole };
        for statement in statements(whole) {
            let statement = statement.trim();
            // `accDescr { … }` may have several lines.
            if block || statement.starts_with("accDescr {") || statement.starts_with("accDescr{") {
                block = !statement.ends_with('}');
                continue;
            }
            if statement.is_empty() || statement.starts_with('#') || parser.said(statement) {
                continue;
            }
            match message(statement) {
                Some(message) => {
                    messages += 1;
                    if messages > EDGES_MAX {
                        return None;
                    }
                    parser.message(&message);
                }
                None => {
                    let what = format!("`{}`", statement.chars().take(60).collect::<String>());
                    let why = "this cannot be read as a statement of a sequence diagram".to_owned();
                    parser.chart.left_out.push((line + number, what, why));
                }
            }
        }
    }
    Some(parser.chart)
}

/// The statements of a line; a semicolon ends one, and an entity (`#59;`).
fn statements(line: &str) -> impl Iterator<Item = &str> {
    let line = match line.trim_start().starts_with("%%") || line.trim_start().starts_with('#') {
        true => "",
        false => line.split("%%").next().unwrap_or_default(),
    };
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let text = rest?;
        let is_end = |at: &usize| {
            let word = text.get(..*at).unwrap_or_default();
            let entity = word.rsplit(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
            !word.get(..word.len() - entity.len()).is_some_and(|w| w.ends_with(['#', '&']))
        };
        match text.match_indices(';').map(|(at, _)| at).find(is_end) {
            Some(at) => {
                rest = text.get(at + 1..);
                text.get(..at)
            }
            None => rest.take(),
        }
    })
}

struct Message<'a> {
    from: &'a str,
    to: &'a str,
    text: &'a str,
    dashed: bool,
    both: bool,
}

fn message(statement: &str) -> Option<Message<'_>> {
    let head = statement.split(':').next()?;
    let earliest = |arrows: &[(&'static str, bool)]| {
        let found = arrows.iter().filter_map(|a| Some((head.find(a.0)?, a)));
        found.min_by_key(|(at, a)| (*at, usize::MAX - a.0.len())).map(|(at, a)| (at, *a))
    };
    let (at, (arrow, dashed)) = earliest(&ARROWS).or_else(|| earliest(&HALF)).or_else(|| earliest(&SHORT))?;
    let ends = |name: &str| !name.is_empty();
    let from = head.get(..at)?.trim().trim_end_matches("()").trim();
    let to = head.get(at + arrow.len()..)?.trim().trim_start_matches(['+', '-', ')']).trim_start_matches("()").trim();
    let text = statement.get(head.len()..)?.trim_start_matches(':').trim();
    (ends(from) && ends(to)).then_some(Message { from, to, text, dashed, both: arrow.starts_with("<<") })
}

/// What is open: a box with its place, or a block.
enum Open {
    Box(usize),
    Block,
}

struct Parser {
    chart: Chart,
    nodes: HashMap<String, usize>,
    edges: HashMap<(String, String), usize>,
    open: Vec<Open>,
}

impl Parser {
    /// Reads a statement that is no message; false where it is none of these.
    fn said(&mut self, statement: &str) -> bool {
        let (word, rest) = statement.split_once(char::is_whitespace).unwrap_or((statement, ""));
        let rest = rest.trim();
        // A participant may be called like a word.
        if message(statement).is_some()
            && !matches!(word, "Note" | "note")
            && !BLOCKS.contains(&word)
            && !PARTS.contains(&word)
        {
            return false;
        }
        match word {
            "participant" | "actor" => self.participant(rest, word == "actor"),
            "create" => {
                let (kind, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
                self.participant(rest.trim(), kind == "actor");
            }
            "box" => {
                let text = title_of_box(rest);
                let id = format!("box {}", self.chart.groups.len());
                self.chart.groups.push(Group { id, text, parent: None });
                self.open.push(Open::Box(self.chart.groups.len() - 1));
            }
            "end" => _ = self.open.pop(),
            "title" | "title:" => self.chart.title = Some(label::line(rest)).filter(|t| !t.is_empty()),
            "Note" | "note" => self.note(rest),
            _ if BLOCKS.contains(&word) => self.open.push(Open::Block),
            _ if PARTS.contains(&word) || QUIET.contains(&word) => {}
            _ => return false,
        }
        true
    }

    fn participant(&mut self, rest: &str, actor: bool) {
        let (id, text) = rest.split_once(" as ").map_or((rest, None), |(id, text)| (id, Some(text)));
        let (id, fields) = id.split_once("@{").map_or((id, ""), |(id, fields)| (id, fields));
        let id = id.trim();
        if id.is_empty() {
            return;
        }
        let tree = Tree::yaml(&format!("{{{}}}", fields.trim_end().trim_end_matches('}'))).ok();
        let tree = tree.and_then(|t| t.into_iter().next()).filter(|_| !fields.is_empty());
        let field = |key| tree.as_ref().and_then(|t| t.text_at(&[key]));
        let shape = match field("type") {
            Some("database" | "collections" | "queue") => Some(Shape::Store("a store")),
            Some("actor") => Some(Shape::Actor),
            _ => actor.then_some(Shape::Actor),
        };
        let text = text.or(field("alias")).map(str::to_owned);
        let group = self.open.iter().rev().find_map(|o| match o {
            Open::Box(at) => Some(*at),
            Open::Block => None,
        });
        let node = self.node(id);
        if let Some(node) = self.chart.nodes.get_mut(node) {
            node.text = text.or(node.text.take());
            node.shape = shape.or(node.shape);
            node.group = node.group.or(group);
        }
    }

    fn note(&mut self, rest: &str) {
        let Some((about, text)) = rest.split_once(':') else { return };
        let about = about.trim();
        let about = ["left of", "right of", "over"].iter().find_map(|w| about.strip_prefix(w)).unwrap_or(about);
        let Some(first) = about.split(',').next().map(str::trim).filter(|a| !a.is_empty()) else { return };
        let at = self.node(first);
        if let Some(node) = self.chart.nodes.get_mut(at) {
            node.comments.push(format!("note: {}", label::line(text)));
        }
    }

    fn message(&mut self, message: &Message<'_>) {
        let (from, to) = (self.node(message.from), self.node(message.to));
        let text = message.text.to_owned();
        if from == to {
            // What it does by itself is no flow.
            return;
        }
        let answered = (message.to.to_owned(), message.from.to_owned());
        let asked = self.edges.get(&answered).filter(|_| message.dashed && !message.both).copied();
        let at = asked.unwrap_or_else(|| {
            *self.edges.entry((message.from.to_owned(), message.to.to_owned())).or_insert_with(|| {
                let edge = Edge { from: message.from.to_owned(), to: message.to.to_owned(), ..Edge::default() };
                self.chart.edges.push(edge);
                self.chart.edges.len() - 1
            })
        });
        let Some(edge) = self.chart.edges.get_mut(at) else { return };
        for (list, wanted) in
            [(&mut edge.carries, asked.is_none()), (&mut edge.returns, asked.is_some() || message.both)]
        {
            if wanted && !text.is_empty() && !list.contains(&text) {
                if list.len() < MESSAGES_MAX {
                    list.push(text.clone());
                } else {
                    edge.comments.push(format!("more than {MESSAGES_MAX} messages one way: only these are listed"));
                    edge.comments.dedup();
                    break;
                }
            }
        }
    }

    fn node(&mut self, id: &str) -> usize {
        *self.nodes.entry(id.to_owned()).or_insert_with(|| {
            self.chart.nodes.push(Node { id: id.to_owned(), ..Node::default() });
            self.chart.nodes.len() - 1
        })
    }
}

/// The title of a box, behind its colour: `Aqua Group`, `rgb(33, 66, 99) Group`, `transparent Group`.
fn title_of_box(rest: &str) -> String {
    let behind = match rest.strip_prefix("rgb").and_then(|r| r.split_once(')')) {
        Some((_, behind)) => behind,
        None => match rest.split_once(char::is_whitespace) {
            Some((colour, behind)) if is_colour(colour) => behind,
            None if is_colour(rest) => "",
            _ => rest,
        },
    };
    label::line(behind)
}

fn is_colour(word: &str) -> bool {
    const COLOURS: [&str; 36] = [
        "transparent",
        "aqua",
        "black",
        "blue",
        "fuchsia",
        "gray",
        "grey",
        "green",
        "lime",
        "maroon",
        "navy",
        "olive",
        "orange",
        "purple",
        "red",
        "silver",
        "teal",
        "white",
        "yellow",
        "pink",
        "brown",
        "cyan",
        "magenta",
        "gold",
        "beige",
        "coral",
        "crimson",
        "indigo",
        "ivory",
        "khaki",
        "lavender",
        "salmon",
        "tan",
        "violet",
        "turquoise",
        "azure",
    ];
    let word = word.to_ascii_lowercase();
    word.starts_with('#')
        || COLOURS.iter().any(|c| word == *c || word.strip_prefix("light").or(word.strip_prefix("dark")) == Some(c))
}
