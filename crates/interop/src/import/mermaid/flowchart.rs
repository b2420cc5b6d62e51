//! Flowcharts: `flowchart LR`, `graph TD`.
use std::collections::{HashMap, HashSet};

use model::tree::Tree;

use super::{
    Chart, EDGES_MAX, Edge, Group, Node, Shape,
    edge::{Arrow, Heads, arrow, within},
    label,
};

/// Brackets of shapes, longest first, with what the shape says.
const SHAPES: [(&str, &[&str], Option<Shape>); 14] = [
    ("(((", &[")))"], None),
    ("[[", &["]]"], None),
    ("[(", &[")]"], Some(Shape::Store("a cylinder"))),
    ("[/", &["/]", "\\]"], None),
    ("[\\", &["\\]", "/]"], None),
    ("[|", &["|]"], None),
    ("([", &["])"], None),
    ("((", &["))"], None),
    ("(-", &["-)"], None),
    ("{{", &["}}"], None),
    ("[", &["]"], None),
    ("(", &[")"], None),
    ("{", &["}"], None),
    (">", &["]"], None),
];
/// Names of shapes (`@{ shape: … }`) that are stores.
const STORES: [&str; 14] = [
    "cyl",
    "cylinder",
    "database",
    "db",
    "h-cyl",
    "das",
    "horizontal-cylinder",
    "lin-cyl",
    "disk",
    "lined-cylinder",
    "bow-rect",
    "bow-tie-rectangle",
    "stored-data",
    "datastore",
];
/// Deepest boundary in boundaries.
const DEPTH_MAX: usize = 30;
/// Statements about looks.
const LOOKS: [&str; 7] = ["classDef", "class", "style", "linkStyle", "click", "accTitle", "accDescr"];

/// The chart of a diagram; none where it has too many arrows. `line` is how many lines stand before the text.
pub(super) fn parse(text: &str, line: usize) -> Option<Chart> {
    let mut parser = Parser::default();
    // The kind, and the direction behind it.
    let mut rest =
        text.trim_start_matches(|c: char| c.is_ascii_alphabetic() || c == '-').trim_start_matches([' ', '\t']);
    if let Some(word) = ["TB", "TD", "BT", "RL", "LR", ">", "<", "^", "v"].iter().find(|d| rest.starts_with(**d)) {
        rest = rest.get(word.len()..)?;
    }
    let (mut at, mut seen) = (line, text);
    loop {
        let start = rest.trim_start_matches(|c: char| c.is_whitespace() || c == ';');
        at += super::newlines(seen, start);
        seen = start;
        if start.is_empty() {
            break;
        }
        let before = (parser.chart.nodes.len(), parser.chart.edges.len());
        rest = match parser.statement(start) {
            Some(Ok(rest)) => rest,
            Some(Err(TooMany)) => return None,
            None => {
                parser.take_back(before);
                let line = start.split(['\n', ';']).next().unwrap_or_default();
                let what = format!("`{}`", shown(line));
                parser.chart.left_out.push((at, what, "this cannot be read as a statement of a flowchart".to_owned()));
                start.get(line.len()..).unwrap_or_default()
            }
        };
    }
    Some(parser.chart)
}

/// The beginning of a line, for people.
fn shown(line: &str) -> String {
    let mut text: String = line.trim().chars().take(60).collect();
    if text.len() < line.trim().len() {
        text.push('…');
    }
    text
}

/// More arrows than are read.
struct TooMany;

type Step<'a> = Option<Result<&'a str, TooMany>>;

#[derive(Default)]
struct Parser {
    chart: Chart,
    nodes: HashMap<String, usize>,
    groups: HashMap<String, usize>,
    /// Groups that are not ended.
    open: Vec<usize>,
    /// Names of arrows, which are no nodes.
    edges: HashSet<String>,
    drawn: usize,
}

impl Parser {
    /// Forgets what a statement that cannot be read as a whole has drawn.
    fn take_back(&mut self, (nodes, edges): (usize, usize)) {
        for node in self.chart.nodes.drain(nodes..) {
            self.nodes.remove(&node.id);
        }
        self.chart.edges.truncate(edges);
    }

    /// Reads a statement; none where it is none.
    fn statement<'a>(&mut self, text: &'a str) -> Step<'a> {
        let line_end = text.find('\n').unwrap_or(text.len());
        if let Some(rest) = text.strip_prefix("%%{") {
            return Some(Ok(rest.split_once("}%%").map_or("", |(_, rest)| rest)));
        }
        if text.starts_with("%%") {
            return text.get(line_end..).map(Ok);
        }
        let word = text.split(|c: char| c.is_whitespace() || c == ';').next().unwrap_or_default();
        let behind = text.get(word.len()..line_end.max(word.len()))?;
        let is_arrow = behind.trim_start().starts_with(['-', '=', '<', '~', '&', '[', '(', '{', '@']);
        match word {
            "subgraph" => {
                let title = behind.get(..statement_end(behind))?;
                self.group(title.trim());
                return text.get(word.len() + title.len()..).map(Ok);
            }
            "end" if !is_arrow => {
                self.open.pop();
                return text.get(word.len()..).map(Ok);
            }
            "direction" if !is_arrow => return text.get(line_end..).map(Ok),
            // A second diagram in the same block.
            "graph" | "flowchart" if super::header(text).is_some() && !is_arrow => return text.get(line_end..).map(Ok),
            _ if LOOKS.contains(&word.trim_end_matches(':')) && (!is_arrow || word == "accDescr") => {
                // `accDescr { … }` may have several lines.
                let block = behind.trim_start().strip_prefix('{').filter(|_| word.starts_with("accDescr"));
                if let Some((_, rest)) = block.and_then(|_| text.split_once('}')) {
                    return Some(Ok(rest));
                }
                return text.get(line_end..).map(Ok);
            }
            _ => {}
        }
        let (mut from, mut rest) = self.nodes(text)?;
        loop {
            // An arrow may begin the next line, if it is nothing else.
            let behind = rest.trim_start_matches([' ', '\t']);
            let next = rest.trim_start();
            let broken = next.len() < behind.len();
            let (named, start) = edge_id(next).filter(|_| !broken).map_or((None, next), |(id, rest)| (Some(id), rest));
            let found = arrow(start).filter(|_| !broken || !start.starts_with(['x', 'o']));
            let Some(Arrow { text, heads, rest: after }) = found else {
                return match behind.chars().next() {
                    None | Some('\n' | ';' | '\r') => Some(Ok(behind)),
                    _ if behind.starts_with("%%") => Some(Ok(behind)),
                    _ => None,
                };
            };
            if let Some(id) = named {
                self.edges.insert(id.to_owned());
            }
            let (to, after) = self.nodes(after.trim_start())?;
            self.drawn = self.drawn.saturating_add(from.len().saturating_mul(to.len()));
            if self.drawn > EDGES_MAX {
                return Some(Err(TooMany));
            }
            for (one, other) in from.iter().flat_map(|f| to.iter().map(move |t| (f, t))) {
                self.edge(one, other, text, heads);
            }
            (from, rest) = (to, after);
        }
    }

    fn group(&mut self, line: &str) {
        let bracket = line.find('[').filter(|_| line.ends_with(']'));
        let (id, text) = match bracket {
            Some(at) => {
                let inner = line.get(at + 1..line.len() - 1).unwrap_or_default();
                (line.get(..at).unwrap_or_default().trim(), inner)
            }
            None => (line, line),
        };
        let id = if id.is_empty() { text } else { id };
        let id = id.split("@{").next().unwrap_or_default().split(":::").next().unwrap_or_default();
        let id = label::line(id);
        let parent = self.open.last().copied();
        // A boundary that is drawn in two parts is one.
        // Deeper than a model can be, boundaries are not told apart.
        if self.open.len() >= DEPTH_MAX
            && let Some(top) = parent
        {
            self.open.push(top);
            return;
        }
        let known = self.groups.get(&id).copied().filter(|at| !self.open.contains(at));
        let at = known.unwrap_or_else(|| {
            self.chart.groups.push(Group { id: id.clone(), text: label::line(text), parent });
            self.groups.insert(id, self.chart.groups.len() - 1);
            self.chart.groups.len() - 1
        });
        self.open.push(at);
    }

    /// `A[text] & B`.
    fn nodes<'a>(&mut self, text: &'a str) -> Option<(Vec<String>, &'a str)> {
        let (id, mut rest) = self.node(text)?;
        let mut all = vec![id];
        while let Some(more) = rest.trim_start().strip_prefix('&') {
            let (id, after) = self.node(more.trim_start())?;
            all.push(id);
            rest = after;
        }
        Some((all, rest))
    }

    fn node<'a>(&mut self, text: &'a str) -> Option<(String, &'a str)> {
        let length = id_length(text);
        let id = text.get(..length).filter(|id| !id.is_empty())?.to_owned();
        let mut rest = text.get(length..)?;
        let mut text = None;
        let mut shape = None;
        let bracket = rest.trim_start_matches([' ', '\t']);
        // Blanks before a bracket are not Mermaid's; `>` behind blanks is no bracket.
        let bracket = if bracket.starts_with('>') { rest } else { bracket };
        if let Some((inner, found, after)) = bracketed(bracket) {
            (text, shape, rest) = (Some(inner.to_owned()), found, after);
        } else if bracket.starts_with(['[', '(', '{']) {
            return None;
        }
        if let Some(inner) = rest.strip_prefix("@{") {
            let (fields, after) = braces(inner)?;
            let lined = fields.contains('\n');
            let yaml = if lined { fields.to_owned() } else { format!("{{{fields}}}") };
            let tree = Tree::yaml(&yaml).ok().and_then(|t| t.into_iter().next());
            text = tree.as_ref().and_then(|t| t.text_at(&["label"])).map(str::to_owned).or(text);
            let word = tree.as_ref().and_then(|t| t.text_at(&["shape"])).unwrap_or_default();
            shape = STORES.contains(&word).then_some(Shape::Store("a store")).or(shape);
            rest = after;
        }
        while let Some(class) = rest.strip_prefix(":::") {
            rest = class.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_' || c == '-');
        }
        // What is said of an arrow by its name makes no node.
        if !self.edges.contains(&id) {
            self.put(&id, text, shape);
        }
        Some((id, rest))
    }

    fn put(&mut self, id: &str, text: Option<String>, shape: Option<Shape>) {
        let at = *self.nodes.entry(id.to_owned()).or_insert_with(|| {
            self.chart.nodes.push(Node { id: id.to_owned(), ..Node::default() });
            self.chart.nodes.len() - 1
        });
        if let Some(node) = self.chart.nodes.get_mut(at) {
            node.text = text.or(node.text.take());
            node.shape = shape.or(node.shape);
            // A box belongs to the first boundary that it is drawn in.
            node.group = node.group.or(self.open.last().copied());
        }
    }

    fn edge(&mut self, from: &str, to: &str, text: Option<&str>, heads: Heads) {
        if heads == Heads::Invisible {
            return;
        }
        let text = text.map(str::trim).filter(|t| !t.is_empty()).map(str::to_owned);
        let mut edge = Edge { from: from.to_owned(), to: to.to_owned(), ..Edge::default() };
        edge.carries.extend(text.clone());
        match heads {
            Heads::Both => edge.returns.extend(text),
            Heads::None => edge.comments.push("drawn without a head: that this end begins is a guess".to_owned()),
            Heads::Cross => {
                edge.comments.push("drawn with a cross: if it says that nothing may pass, take it away".to_owned())
            }
            Heads::One | Heads::Circle | Heads::Invisible => {}
        }
        self.chart.edges.push(edge);
    }
}

/// Where a statement ends: at a semicolon that stands in no quotes and ends no entity.
fn statement_end(text: &str) -> usize {
    let mut quoted = false;
    for (at, c) in text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            ';' if !quoted => {
                let word = text.get(..at).unwrap_or_default();
                let head = word.trim_end_matches(|c: char| c.is_ascii_alphanumeric() || c == '#');
                if !word.get(head.len()..).is_some_and(|w| w.starts_with('#')) && !head.ends_with('&') {
                    return at;
                }
            }
            _ => {}
        }
    }
    text.len()
}

/// `e1@` before an arrow.
fn edge_id(text: &str) -> Option<(&str, &str)> {
    let length = id_length(text);
    let (id, rest) = (text.get(..length)?, text.get(length..)?.strip_prefix('@')?);
    (!id.is_empty() && arrow(rest).is_some()).then_some((id, rest))
}

/// Bytes of the id that a text begins with. A hyphen belongs to it where a word goes on behind it, and no arrow begins.
fn id_length(text: &str) -> usize {
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let next = chars.peek().map(|(_, c)| *c);
        let good = match c {
            '-' => at > 0 && next.is_some_and(|n| n.is_alphanumeric() || n == '_'),
            '=' => at > 0 && next.is_some_and(char::is_alphanumeric),
            ':' => {
                at > 0
                    && !text.get(at..).is_some_and(|t| t.starts_with(":::"))
                    && next.is_some_and(char::is_alphanumeric)
            }
            '.' | '_' | '/' | '*' | '+' | '!' | '?' | '#' | '$' | '\'' | '\\' => true,
            c => c.is_alphanumeric() || (!c.is_ascii() && !c.is_whitespace()),
        };
        if !good {
            return at;
        }
    }
    text.len()
}

/// A shape: its text, what it says, and the rest.
fn bracketed(text: &str) -> Option<(&str, Option<Shape>, &str)> {
    SHAPES.iter().filter(|(open, ..)| text.starts_with(open)).find_map(|(open, closings, shape)| {
        let inner = text.get(open.len()..)?;
        let quoted = inner.trim_start().starts_with('"');
        let (content, rest) = closings
            .iter()
            .filter_map(|close| within(inner, close))
            .filter(|(content, _)| quoted || !content.contains('\n'))
            .min_by_key(|(content, _)| content.len())?;
        Some((content, *shape, rest))
    })
}

/// What stands in braces, quotes minded.
fn braces(text: &str) -> Option<(&str, &str)> {
    let mut quoted = None;
    for (at, c) in text.char_indices().take(4_096) {
        match (quoted, c) {
            (None, '"' | '\'') => quoted = Some(c),
            (Some(q), c) if q == c => quoted = None,
            (None, '}') => return Some((text.get(..at)?, text.get(at + 1..)?)),
            _ => {}
        }
    }
    None
}
