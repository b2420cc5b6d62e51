//! YAML with the place of every key and value: a tree built from parser events, so that a document with ten mistakes
//! yields ten diagnostics and not the first one. Bounded: bytes, nodes after aliases are expanded, and nesting.
use std::{
    collections::{BTreeSet, HashMap},
    ops::Range,
};

use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle, options};

/// Most nodes of one file, counting what aliases stand for; a larger file may have one for every six of its bytes.
pub const YAML_NODES_MAX: usize = 200_000;
/// Deepest nesting, counting what aliases stand for.
pub const YAML_DEPTH_MAX: usize = 48;

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Yaml {
    pub(crate) value: Value,
    /// Byte range in the file.
    pub(crate) span: Range<usize>,
    /// Nodes in this tree, itself included.
    size: usize,
    /// Levels in this tree, itself included.
    height: usize,
}

/// What a value is.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// A scalar; `plain` is without quotes, so that `true` and `"true"` differ.
    Scalar { text: String, plain: bool },
    /// A sequence.
    Seq(Vec<Yaml>),
    /// A mapping, in the order written, keys unique.
    Map(Vec<(Key, Yaml)>),
}

/// A key and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) text: String,
    pub(crate) span: Range<usize>,
}

/// What is written in a file.
#[derive(Clone, Debug)]
pub(crate) struct Parsed {
    /// Its documents, as far as it can be read.
    pub(crate) documents: Vec<Yaml>,
    /// Everything wrong with its YAML.
    pub(crate) faults: Vec<Fault>,
}

/// Something wrong with the YAML itself.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) code: &'static str,
    pub(crate) span: Range<usize>,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

impl Yaml {
    /// Whether it is `null`, `~` or nothing.
    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, plain: true } if matches!(text.as_str(), "" | "~" | "null"))
    }

    /// The value under a key.
    pub(crate) fn get(&self, key: &str) -> Option<(&Key, &Yaml)> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|(k, _)| k.text == key).map(|(k, v)| (k, v)),
            _ => None,
        }
    }

    /// What it is, for a message: "a list".
    pub(crate) fn kind(&self) -> &'static str {
        match &self.value {
            _ if self.is_null() => "nothing",
            Value::Scalar { .. } => "a single value",
            Value::Seq(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }

    /// Whether it says what a value says: as JSON they are equal.
    pub(crate) fn says(&self, json: &serde_json::Value) -> bool {
        use serde_json::Value as Json;
        match (&self.value, json) {
            (Value::Seq(items), Json::Array(wanted)) => {
                items.len() == wanted.len() && items.iter().zip(wanted).all(|(item, wanted)| item.says(wanted))
            }
            (Value::Map(entries), Json::Object(wanted)) => {
                let same = |(key, value): &(Key, Yaml)| wanted.get(&key.text).is_some_and(|wanted| value.says(wanted));
                entries.len() == wanted.len() && entries.iter().all(same)
            }
            (Value::Scalar { .. }, _) => self.to_json() == *json,
            _ => false,
        }
    }

    /// The same as JSON; plain scalars become booleans and numbers where YAML's core schema says so.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match &self.value {
            _ if self.is_null() => Json::Null,
            Value::Scalar { text, plain: false } => Json::String(text.clone()),
            Value::Scalar { text, plain: true } => match text.as_str() {
                "true" => Json::Bool(true),
                "false" => Json::Bool(false),
                // Only what JSON itself calls a number; `0x10`, `.5` and `1_000` stay text.
                _ => serde_json::from_str::<serde_json::Number>(text)
                    .map_or_else(|_| Json::String(text.clone()), Json::Number),
            },
            Value::Seq(items) => Json::Array(items.iter().map(Yaml::to_json).collect()),
            Value::Map(entries) => entries.iter().map(|(k, v)| (k.text.clone(), v.to_json())).collect(),
        }
    }
}

/// Reads a file.
pub(crate) fn parse(text: &str) -> Parsed {
    let mut builder = Builder { nodes_max: YAML_NODES_MAX.max(text.len() / 6), ..Builder::default() };
    let options = options! {
        emit_unresolved_aliases: true,
        disallow_directives: true,
        flow_nesting_limit: YAML_DEPTH_MAX,
        block_nesting_limit: YAML_DEPTH_MAX,
    };
    for next in Parser::new_from_str_with_options(text, options) {
        let (event, span) = match next {
            Ok(found) => found,
            Err(error) => {
                let at = error.marker().byte_offset().unwrap_or(text.len());
                builder.fault("yaml", at..at, format!("this is not YAML: {}", error.info()), yaml_help(text, at));
                break;
            }
        };
        let span = span.byte_range().unwrap_or(0..0);
        if !builder.on(event, span) {
            break;
        }
    }
    Parsed { documents: builder.documents, faults: builder.faults }
}

fn yaml_help(text: &str, at: usize) -> Option<String> {
    let before = text.get(..at)?;
    let line = before.rsplit('\n').next().unwrap_or_default();
    let rest = text.get(at..)?.lines().next().unwrap_or_default();
    if line.contains('\t') || rest.starts_with('\t') {
        return Some("indent with blanks, YAML refuses tabs".to_owned());
    }
    if rest.starts_with('%') {
        return Some("directives are not read: leave the line out".to_owned());
    }
    None
}

#[derive(Default)]
struct Builder {
    documents: Vec<Yaml>,
    faults: Vec<Fault>,
    stack: Vec<Frame>,
    anchors: HashMap<usize, Yaml>,
    nodes: usize,
    nodes_max: usize,
}

struct Frame {
    open: Open,
    start: usize,
    anchor: usize,
    size: usize,
    height: usize,
}

enum Open {
    Seq(Vec<Yaml>),
    Map { entries: Vec<(Key, Yaml)>, seen: BTreeSet<String>, key: Pending },
}

/// What the next value of a mapping is.
enum Pending {
    /// A key.
    Key,
    /// The value of this key.
    Value(Key),
    /// The value of a key that was refused.
    Skip,
}

impl Builder {
    fn fault(&mut self, code: &'static str, span: Range<usize>, message: String, help: Option<String>) {
        self.faults.push(Fault { code, span, message, help });
    }

    /// Takes one event; false when reading must stop.
    fn on(&mut self, event: Event<'_>, span: Range<usize>) -> bool {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                // `!!str 1` is the text "1"; any other tag asks for a type that no field has.
                let tagged = tag.as_deref().is_some_and(|t| t.is_yaml_core_schema_tag("str"));
                self.refuse_tag(tag.is_some() && !tagged, &span);
                let plain = style == ScalarStyle::Plain && !tagged;
                let value = Value::Scalar { text: text.into_owned(), plain };
                self.close(Yaml { value, span, size: 1, height: 1 }, anchor, 1)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.refuse_tag(tag.is_some(), &span);
                self.open(Open::Seq(Vec::new()), span.start, anchor)
            }
            Event::MappingStart(_, anchor, tag) => {
                self.refuse_tag(tag.is_some(), &span);
                let open = Open::Map { entries: Vec::new(), seen: BTreeSet::new(), key: Pending::Key };
                self.open(open, span.start, anchor)
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(frame) = self.stack.pop() else { return false };
                let value = match frame.open {
                    Open::Seq(items) => Value::Seq(items),
                    Open::Map { entries, .. } => Value::Map(entries),
                };
                let span = frame.start..span.end.max(frame.start);
                self.close(Yaml { value, span, size: frame.size, height: frame.height + 1 }, frame.anchor, 1)
            }
            Event::Alias(id) => match self.anchors.get(&id).cloned() {
                Some(target) => {
                    let cost = target.size;
                    self.close(target, 0, cost)
                }
                None => {
                    let help = Some("write the value out".to_owned());
                    self.fault("yaml", span.clone(), "this alias stands for something it is part of".to_owned(), help);
                    self.close(null(span), 0, 1)
                }
            },
            Event::UnresolvedAlias(name) => {
                let message = format!("no anchor `&{name}` stands before this alias");
                self.fault("yaml", span.clone(), message, Some("quote a value that begins with `*`".to_owned()));
                self.close(null(span), 0, 1)
            }
            Event::DocumentStart(..) => {
                self.anchors.clear();
                true
            }
            _ => true,
        }
    }

    fn refuse_tag(&mut self, refused: bool, span: &Range<usize>) {
        if refused {
            let help = Some("leave the tag out; quote a value to make it text".to_owned());
            self.fault("yaml", span.clone(), "tags are not read".to_owned(), help);
        }
    }

    fn open(&mut self, open: Open, start: usize, anchor: usize) -> bool {
        self.stack.push(Frame { open, start, anchor, size: 1, height: 0 });
        true
    }

    /// Puts a finished value where it belongs; `cost` is how many nodes it adds to those already counted. False when a
    /// limit is reached.
    fn close(&mut self, yaml: Yaml, anchor: usize, cost: usize) -> bool {
        self.nodes += cost;
        let depth = self.stack.len() + yaml.height;
        if self.nodes > self.nodes_max || depth > YAML_DEPTH_MAX {
            let nodes_max = self.nodes_max;
            let message = format!("more than {nodes_max} values or {YAML_DEPTH_MAX} levels, aliases written out");
            self.fault("too-large", yaml.span.clone(), message, Some("split the file".to_owned()));
            // What was built may be deep; it is dropped level by level and never walked.
            return false;
        }
        if anchor != 0 {
            // An alias costs its target's size again, so the copy kept here is paid for as well.
            self.nodes += yaml.size;
            self.anchors.insert(anchor, yaml.clone());
        }
        let Some(frame) = self.stack.last_mut() else {
            self.documents.push(yaml);
            return true;
        };
        frame.size += yaml.size;
        frame.height = frame.height.max(yaml.height);
        let mut fault = None;
        match &mut frame.open {
            Open::Seq(items) => items.push(yaml),
            Open::Map { entries, seen, key } => match std::mem::replace(key, Pending::Key) {
                Pending::Key => {
                    *key = match yaml.value {
                        Value::Scalar { text, .. } => match seen.contains(&text) {
                            true => {
                                fault = Some(("duplicate-key", yaml.span, format!("key `{text}` is written twice")));
                                Pending::Skip
                            }
                            false => {
                                seen.insert(text.clone());
                                Pending::Value(Key { text, span: yaml.span })
                            }
                        },
                        _ => {
                            fault = Some(("yaml", yaml.span, "a key must be a single word".to_owned()));
                            Pending::Skip
                        }
                    };
                }
                Pending::Value(name) => entries.push((name, yaml)),
                Pending::Skip => {}
            },
        }
        if let Some((code, span, message)) = fault {
            let help = match code {
                "duplicate-key" => "keep one of them",
                _ => "write `key: value`; quote a key that begins with `{`, `[` or `*`",
            };
            self.fault(code, span, message, Some(help.to_owned()));
        }
        true
    }
}

fn null(span: Range<usize>) -> Yaml {
    Yaml { value: Value::Scalar { text: String::new(), plain: true }, span, size: 1, height: 1 }
}
