//! Reads values out of the tree: fields by name, scalars by type. Each refusal says what is expected here, and where.
use std::{ops::Range, time::Duration};

use super::{
    problems::{At, Problems},
    yaml::{Value, Yaml},
};
use crate::{Name, closest};

/// Longest text of a single value, in bytes.
pub const TEXT_BYTES_MAX: usize = 4_096;
/// Longest duration that can be written: 100 years.
const DURATION_MAX: Duration = Duration::from_secs(100 * 365 * 86_400);

/// A value and its path in the model.
#[derive(Clone, Debug)]
pub(crate) struct Item<'y> {
    pub(crate) yaml: &'y Yaml,
    /// The key it stands under, when it does.
    pub(crate) key: Option<Range<usize>>,
    pub(crate) path: String,
    pub(crate) file: usize,
}

/// The fields of a mapping, each known to be one of those allowed.
pub(crate) struct Fields<'y> {
    pub(crate) item: Item<'y>,
    /// Keys that were refused as unknown fields.
    unknown: Vec<&'y str>,
}

impl<'y> Item<'y> {
    /// The place of the value; of its key when nothing is written.
    pub(crate) fn at(&self) -> At {
        let span = match &self.key {
            Some(key) if self.yaml.is_null() => key.clone(),
            _ => self.yaml.span.clone(),
        };
        At { file: self.file, span, path: self.path.clone() }
    }

    /// The place of the key; of the value in a list.
    pub(crate) fn at_key(&self) -> At {
        let span = self.key.clone().unwrap_or_else(|| self.yaml.span.clone());
        At { file: self.file, span, path: self.path.clone() }
    }

    /// The value under a key.
    pub(crate) fn get(&self, key: &str) -> Option<Item<'y>> {
        let (found, yaml) = self.yaml.get(key)?;
        let path = if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) };
        Some(Item { yaml, key: Some(found.span.clone()), path, file: self.file })
    }

    /// Every key with its value; empty for anything but a mapping.
    pub(crate) fn entries(&self) -> Vec<(&'y str, Item<'y>)> {
        let Value::Map(entries) = &self.yaml.value else { return Vec::new() };
        let dot = if self.path.is_empty() { "" } else { "." };
        let item = |(key, yaml): &'y (super::yaml::Key, Yaml)| {
            let path = format!("{}{dot}{}", self.path, key.text);
            (key.text.as_str(), Item { yaml, key: Some(key.span.clone()), path, file: self.file })
        };
        entries.iter().map(item).collect()
    }

    /// Every element; empty for anything but a list.
    pub(crate) fn elements(&self) -> Vec<Item<'y>> {
        let Value::Seq(items) = &self.yaml.value else { return Vec::new() };
        let item = |(i, yaml)| Item { yaml, key: None, path: format!("{}[{i}]", self.path), file: self.file };
        items.iter().enumerate().map(item).collect()
    }

    /// The scalar's text, whatever its type.
    pub(crate) fn scalar(&self) -> Option<&'y str> {
        match &self.yaml.value {
            Value::Scalar { text, .. } if !self.yaml.is_null() => Some(text),
            _ => None,
        }
    }

    /// The place of a part of a scalar's text; of the whole where quoting or escapes hide the part.
    pub(crate) fn at_part(&self, part: &Range<usize>, source: &str) -> At {
        let mut at = self.at();
        let Some(text) = self.scalar() else { return at };
        let raw = source.get(at.span.clone()).unwrap_or_default();
        let quote = usize::from(raw.starts_with(['"', '\'']));
        if raw.get(quote..quote + text.len()) == Some(text) {
            at.span = at.span.start + quote + part.start..at.span.start + quote + part.end;
        }
        at
    }
}

impl Problems<'_> {
    fn wrong_type(&mut self, item: &Item<'_>, want: &str, help: impl Into<Option<String>>) {
        let found = item.yaml.kind();
        self.error("wrong-type", &item.at(), format!("expected {want}, found {found}"), help);
    }

    /// The mapping's fields; reports what is no mapping and every field not in `allowed`. Nothing is an empty mapping.
    pub(crate) fn fields<'y>(&mut self, item: &Item<'y>, noun: &str, allowed: &[&str]) -> Option<Fields<'y>> {
        if !matches!(item.yaml.value, Value::Map(_)) && !item.yaml.is_null() {
            self.wrong_type(item, &format!("the fields of {noun}"), format!("its fields are {}", list(allowed)));
            return None;
        }
        let mut unknown = Vec::new();
        for (key, field) in item.entries() {
            if allowed.contains(&key) {
                continue;
            }
            unknown.push(key);
            let help = match closest(key, allowed.iter().copied()) {
                _ if key == "<<" => "merge keys are not read: write the fields out".to_owned(),
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("its fields are {}", list(allowed)),
            };
            self.error("unknown-field", &field.at_key(), format!("{noun} has no field `{key}`"), help);
        }
        Some(Fields { item: item.clone(), unknown })
    }

    /// The elements of a list; reports what is none.
    pub(crate) fn list<'y>(&mut self, item: &Item<'y>, of: &str) -> Vec<Item<'y>> {
        if matches!(item.yaml.value, Value::Seq(_)) {
            return item.elements();
        }
        let help = item.scalar().map(|text| match text.contains(char::is_whitespace) {
            true if of == "words" => format!("write `[{}]`", text.split_whitespace().collect::<Vec<_>>().join(", ")),
            true => format!("write `[\"{text}\"]`"),
            false => format!("write `[{text}]`"),
        });
        self.wrong_type(item, &format!("a list of {of}"), help);
        Vec::new()
    }

    /// The entries of a mapping whose keys are free; reports what is none.
    pub(crate) fn map<'y>(&mut self, item: &Item<'y>, of: &str) -> Vec<(&'y str, Item<'y>)> {
        if !matches!(item.yaml.value, Value::Map(_)) && !item.yaml.is_null() {
            self.wrong_type(item, &format!("a mapping of {of}"), None);
        }
        item.entries()
    }

    /// A text that is not empty.
    pub(crate) fn text<'y>(&mut self, item: &Item<'y>, what: &str) -> Option<&'y str> {
        let Some(text) = item.scalar() else {
            self.wrong_type(item, what, None);
            return None;
        };
        if text.trim().is_empty() {
            self.error("bad-value", &item.at(), format!("expected {what}, found an empty text"), None);
            return None;
        }
        if text.len() > TEXT_BYTES_MAX {
            let message = format!("this text is longer than {TEXT_BYTES_MAX} bytes");
            self.error("too-large", &item.at(), message, None);
            return None;
        }
        Some(text)
    }

    /// One of a closed set of words.
    pub(crate) fn word<T: Copy>(&mut self, item: &Item<'_>, what: &str, table: &[(&str, T)]) -> Option<T> {
        let words: Vec<&str> = table.iter().map(|(w, _)| *w).collect();
        let Some(text) = item.scalar() else {
            self.wrong_type(item, what, format!("it is one of {}", list(&words)));
            return None;
        };
        if let Some((_, value)) = table.iter().find(|(w, _)| *w == text) {
            return Some(*value);
        }
        let help = match closest(text, words.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("it is one of {}", list(&words)),
        };
        self.error("unknown-word", &item.at(), format!("`{text}` is not {what}"), help);
        None
    }

    /// `true` or `false`.
    pub(crate) fn boolean(&mut self, item: &Item<'_>) -> Option<bool> {
        match &item.yaml.value {
            Value::Scalar { text, plain: true } if text == "true" => Some(true),
            Value::Scalar { text, plain: true } if text == "false" => Some(false),
            Value::Scalar { text, .. } if !item.yaml.is_null() => {
                let help = match text.to_ascii_lowercase().as_str() {
                    "yes" | "on" | "true" | "y" => "write `true`",
                    _ => "write `true` or `false`",
                };
                self.error(
                    "wrong-type",
                    &item.at(),
                    format!("expected true or false, found `{text}`"),
                    help.to_owned(),
                );
                None
            }
            _ => {
                self.wrong_type(item, "true or false", None);
                None
            }
        }
    }

    /// A whole number within bounds.
    pub(crate) fn number(&mut self, item: &Item<'_>, what: &str, min: u32, max: u32) -> Option<u32> {
        let Value::Scalar { text, plain: true } = &item.yaml.value else {
            self.wrong_type(item, what, item.scalar().map(|_| "write the number without quotes".to_owned()));
            return None;
        };
        if item.yaml.is_null() {
            self.wrong_type(item, what, None);
            return None;
        }
        // Only digits: `+1`, `0x10` and `1_000` mean different things to different readers.
        let digits = text.bytes().all(|b| b.is_ascii_digit());
        match text.parse::<u32>().ok().filter(|n| digits && (min..=max).contains(n)) {
            Some(number) => Some(number),
            None => {
                let help = format!("write a whole number from {min} to {max}");
                self.error("bad-value", &item.at(), format!("`{text}` is not {what}"), help);
                None
            }
        }
    }

    /// A port, 1 to 65535.
    pub(crate) fn port(&mut self, item: &Item<'_>) -> Option<u16> {
        self.number(item, "a port", 1, 65_535).and_then(|n| u16::try_from(n).ok())
    }

    /// A duration such as `30m`, `1h30m`, `500ms`, `7d` or `10y`; at least 1 ms.
    pub(crate) fn duration(&mut self, item: &Item<'_>) -> Option<Duration> {
        let text = self.text(item, "a duration")?;
        match parse_duration(text) {
            Some(duration) => Some(duration),
            None => {
                let bare = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
                let help = if bare {
                    format!("name the unit, as in `{text}s`")
                } else {
                    "write numbers with a unit of ms, s, m, h, d, w or y, as in `30m` or `1h30m`".to_owned()
                };
                self.error("bad-value", &item.at(), format!("`{text}` is not a duration"), help);
                None
            }
        }
    }

    /// A DNS label.
    pub(crate) fn name(&mut self, item: &Item<'_>, what: &str) -> Option<Name> {
        let text = self.text(item, what)?;
        self.name_at(text, what, &item.at())
    }

    /// A DNS label whose text is already at hand, e.g. a key.
    pub(crate) fn name_at(&mut self, text: &str, what: &str, at: &At) -> Option<Name> {
        match self.named(text) {
            Some(name) => Some(name),
            None => {
                let mended: String = text
                    .to_lowercase()
                    .chars()
                    .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
                    .take(63)
                    .collect();
                let mended = mended.trim_matches('-');
                let help = if mended.is_empty() {
                    "use 1 to 63 lower-case letters, digits and inner hyphens".to_owned()
                } else {
                    format!("use 1 to 63 lower-case letters, digits and inner hyphens, as in `{mended}`")
                };
                self.error("bad-name", at, format!("`{text}` cannot name {what}"), help);
                None
            }
        }
    }
}

impl<'y> Fields<'y> {
    /// A field, when it is written.
    pub(crate) fn get(&self, key: &str) -> Option<Item<'y>> {
        self.item.get(key)
    }

    /// A field that must be written.
    pub(crate) fn require(&self, p: &mut Problems<'_>, noun: &str, key: &str, example: &str) -> Option<Item<'y>> {
        let found = self.get(key);
        // A misspelt field was reported as unknown, with this very word as its remedy.
        let misspelt = self.unknown.iter().any(|u| closest(u, [key]).is_some());
        if found.is_none() && !misspelt {
            let at = self.item.at_key();
            p.error("missing-field", &at, format!("{noun} needs `{key}`"), format!("write `{key}: {example}`"));
        }
        found
    }
}

/// `a`, `b` and `c`.
pub(crate) fn list(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|w| format!("`{w}`")).collect();
    match quoted.split_last() {
        None => String::new(),
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}

/// Reads `1h30m`; units from large to small are not required. None when malformed, zero or over 100 years.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 = rest.get(..digits)?.parse().ok()?;
        rest = rest.get(digits..)?;
        let unit = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let millis: u64 = match rest.get(..unit)? {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 7 * 86_400_000,
            "y" => 365 * 86_400_000,
            _ => return None,
        };
        rest = rest.get(unit..)?;
        total = total.checked_add(Duration::from_millis(number.checked_mul(millis)?))?;
    }
    (!total.is_zero() && total <= DURATION_MAX).then_some(total)
}

/// Whether the text is a rate: `50/s`, `1000/m`, `5/h`.
pub(crate) fn is_rate(text: &str) -> bool {
    text.split_once('/').is_some_and(|(count, unit)| {
        !count.is_empty()
            && count.len() <= 9
            && count.bytes().all(|b| b.is_ascii_digit())
            && !count.bytes().all(|b| b == b'0')
            && matches!(unit, "s" | "m" | "h" | "d")
    })
}
