//! Finds the few bytes that a change touches, in whichever of YAML's two layouts the text around them is.
use serde_json::{Map, Value as Json};

use super::{Change, ChangeError, Edit, path_of, scalar, step};
use crate::load::yaml::{Value, Yaml};

/// The bytes that change, and what takes their place.
pub(super) fn edit(text: &str, root: &Yaml, change: &Change) -> Result<Edit, ChangeError> {
    let whole = || path_of(change).join(".");
    let found = match change {
        Change::Set { path, value } => set(text, root, path, value),
        Change::Remove { path } => match remove(text, root, path) {
            Some(edit) => Some(edit),
            None => return Err(ChangeError::NotWritten(whole())),
        },
        Change::Add { path, value } => match walk(root, path) {
            Some(list) => add(text, list, value),
            None => set(text, root, path, &Json::Array(vec![value.as_str().into()])),
        },
        Change::Drop { path, value } => {
            let Some(list) = walk(root, path) else { return Err(ChangeError::NotWritten(whole())) };
            let Value::Seq(items) = &list.value else { return Err(ChangeError::Layout(whole())) };
            match items.iter().position(|item| scalar(item) == Some(value)) {
                None => return Err(ChangeError::NotWritten(format!("{}.{value}", whole()))),
                Some(_) if items.len() == 1 => remove(text, root, path),
                Some(position) => element(text, list, position),
            }
        }
    };
    let Some((range, new)) = found else {
        return Err(match path_of(change).split_last() {
            Some((_, parent)) if walk(root, parent).is_none() => ChangeError::NotWritten(whole()),
            _ => ChangeError::Layout(whole()),
        });
    };
    // What an alias stands for is written elsewhere; changing it there would change it for others.
    let inside = root.span.start <= range.start && range.start <= text.len() && range.end <= text.len();
    if !inside || text.get(range.clone()).is_none() { Err(ChangeError::Layout(whole())) } else { Ok((range, new)) }
}

fn walk<'y>(root: &'y Yaml, path: &[String]) -> Option<&'y Yaml> {
    path.iter().try_fold(root, |at, segment| step(at, segment).map(|(_, next)| next))
}

/// Writes a field; the mappings above it are begun where they are not written, but for the noun itself.
fn set(text: &str, root: &Yaml, path: &[String], value: &Json) -> Option<Edit> {
    if let Some(old) = walk(root, path) {
        return (!old.is_null()).then(|| (old.span.clone(), flow_style(value)));
    }
    // The deepest mapping that is written gets one new entry, with the rest of the path inside.
    let depth = (0..path.len()).rev().find(|n| path.get(..*n).is_some_and(|p| walk(root, p).is_some()))?;
    let map = walk(root, path.get(..depth)?)?;
    let (key, inner) = path.get(depth..)?.split_first()?;
    let value =
        inner.iter().rev().fold(value.clone(), |value, key| Json::Object(Map::from_iter([(key.clone(), value)])));
    entry(text, map, &format!("{key}: {}", flow_style(&value)))
}

/// Adds a written entry to a mapping, behind its last one.
fn entry(text: &str, map: &Yaml, entry: &str) -> Option<Edit> {
    let Value::Map(entries) = &map.value else { return None };
    let braces = text.get(map.span.clone())?.starts_with('{');
    match entries.last() {
        None if braces => Some((map.span.clone(), format!("{{ {entry} }}"))),
        None => None,
        Some((key, value)) => {
            let end = end_of(text, value).max(key.span.end);
            if braces {
                let end = if value.is_null() {
                    end + text.get(end..)?.find(':').filter(|n| *n == 0).map_or(0, |_| 1)
                } else {
                    end
                };
                return Some((end..end, format!(", {entry}")));
            }
            let (first, _) = entries.first()?;
            let line = line_end(text, end);
            Some((line..line, format!("{}{}{entry}", line_break(text), indent(text, first.span.start)?)))
        }
    }
}

/// Adds an element to a list.
fn add(text: &str, list: &Yaml, value: &str) -> Option<Edit> {
    let Value::Seq(items) = &list.value else { return None };
    let new = flow_style(&value.into());
    if text.get(list.span.clone())?.starts_with('[') {
        return Some(match items.last() {
            None => (list.span.clone(), format!("[{new}]")),
            Some(last) => (last.span.end..last.span.end, format!(", {new}")),
        });
    }
    let last = items.last()?;
    let line = line_end(text, end_of(text, last));
    let dash = dash(text, items.first()?)?;
    Some((line..line, format!("{}{}- {new}", line_break(text), indent(text, dash)?)))
}

/// Takes out what stands at a path; what would be left empty goes with it.
fn remove(text: &str, root: &Yaml, path: &[String]) -> Option<Edit> {
    let (last, parents) = path.split_last()?;
    let parent = walk(root, parents)?;
    match &parent.value {
        Value::Map(entries) => {
            let position = entries.iter().position(|(key, _)| key.text == *last)?;
            if entries.len() == 1 && !parents.is_empty() {
                return remove(text, root, parents);
            }
            let (key, value) = entries.get(position)?;
            let end = end_of(text, value).max(key.span.end);
            match text.get(parent.span.clone())?.starts_with('{') {
                true => Some((within_brackets(text, key.span.start, end), String::new())),
                false => Some((whole_lines(text, key.span.start, end)?, String::new())),
            }
        }
        Value::Seq(items) => {
            let wanted = step(parent, last)?.1;
            if items.len() == 1 && !parents.is_empty() {
                return remove(text, root, parents);
            }
            element(text, parent, items.iter().position(|item| std::ptr::eq(item, wanted))?)
        }
        Value::Scalar { .. } => None,
    }
}

/// Takes one element out of a list that has others.
fn element(text: &str, list: &Yaml, position: usize) -> Option<Edit> {
    let Value::Seq(items) = &list.value else { return None };
    let item = items.get(position)?;
    let end = end_of(text, item);
    match text.get(list.span.clone())?.starts_with('[') {
        true => Some((within_brackets(text, item.span.start, end), String::new())),
        false => Some((whole_lines(text, dash(text, item)?, end)?, String::new())),
    }
}

/// The range with the comma that is no longer needed.
fn within_brackets(text: &str, start: usize, end: usize) -> std::ops::Range<usize> {
    let after = text.get(end..).unwrap_or_default();
    let blank = after.len() - after.trim_start().len();
    if after.trim_start().starts_with(',') {
        let rest = after.get(blank + 1..).unwrap_or_default();
        let spaces = rest.len() - rest.trim_start_matches(' ').len();
        return start..end + blank + 1 + spaces;
    }
    let before = text.get(..start).unwrap_or_default().trim_end();
    if before.ends_with(',') { before.len() - 1..end } else { start..end }
}

/// The lines from the one that holds `start`, which must begin with it, to the one that holds `end`.
fn whole_lines(text: &str, start: usize, end: usize) -> Option<std::ops::Range<usize>> {
    let line = text.get(..start)?.rfind('\n').map_or(0, |n| n + 1);
    let bare = text.get(line..start)?.chars().all(|c| c == ' ');
    let after = text.get(end..)?.find('\n').map_or(text.len(), |n| end + n + 1);
    bare.then_some(line..after)
}

/// Where the dash before a list's element is.
fn dash(text: &str, item: &Yaml) -> Option<usize> {
    let before = text.get(..item.span.start)?;
    let line = before.rfind('\n').map_or(0, |n| n + 1);
    before.get(line..)?.trim_end().ends_with('-').then(|| before.trim_end().len() - 1)
}

/// The column of a place as blanks. A first key behind a dash is indented by the dash's width too.
fn indent(text: &str, at: usize) -> Option<String> {
    let line = text.get(..at)?.rfind('\n').map_or(0, |n| n + 1);
    Some(" ".repeat(text.get(line..at)?.chars().count()))
}

/// Where the line of a place ends, before its line break.
fn line_end(text: &str, at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    let line = rest.split('\n').next().unwrap_or_default();
    at + line.strip_suffix('\r').unwrap_or(line).len()
}

/// How lines of the text end: as its first one does.
fn line_break(text: &str) -> &'static str {
    let windows = text.split_once('\n').is_some_and(|(first, _)| first.ends_with('\r'));
    if windows { "\r\n" } else { "\n" }
}

/// Where a value ends: its last word, not the blanks and comments that may follow a block.
fn end_of(text: &str, yaml: &Yaml) -> usize {
    let bracketed = text.get(yaml.span.clone()).is_some_and(|t| t.starts_with(['{', '[']));
    let end = match &yaml.value {
        Value::Map(entries) if !bracketed => entries.last().map(|(k, v)| end_of(text, v).max(k.span.end)),
        Value::Seq(items) if !bracketed => items.last().map(|i| end_of(text, i)),
        _ => None,
    };
    let end = end.unwrap_or(yaml.span.end);
    let before = text.get(..end).unwrap_or_default();
    before.trim_end().len().max(yaml.span.start.min(end))
}

/// A value as one line of YAML.
fn flow_style(value: &Json) -> String {
    match value {
        Json::String(text) => {
            let word = text.starts_with(|c: char| c.is_ascii_alphabetic())
                && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '/'))
                && !matches!(
                    text.to_ascii_lowercase().as_str(),
                    "true" | "false" | "null" | "yes" | "no" | "on" | "off"
                );
            // A duration begins with a digit and is no number to any reader of YAML.
            let duration = text.starts_with(|c: char| c.is_ascii_digit())
                && text.ends_with(['s', 'm', 'h', 'd', 'w', 'y'])
                && text.chars().all(|c| c.is_ascii_alphanumeric());
            if word || duration { text.clone() } else { value.to_string() }
        }
        Json::Array(items) => format!("[{}]", items.iter().map(flow_style).collect::<Vec<_>>().join(", ")),
        Json::Object(fields) => {
            let fields: Vec<String> =
                fields.iter().map(|(key, value)| format!("{key}: {}", flow_style(value))).collect();
            format!("{{ {} }}", fields.join(", "))
        }
        other => other.to_string(),
    }
}

/// What a reader of the changed text must find: the tree as JSON, with the change made there.
pub(super) fn applied(root: &Yaml, change: &Change) -> Option<Json> {
    let mut json = root.to_json();
    match change {
        Change::Set { path, value } => put(&mut json, path, value.clone())?,
        Change::Remove { path } => take(&mut json, path)?,
        Change::Add { path, value } => match at(&mut json, path) {
            Some(list) => list.as_array_mut()?.push(value.as_str().into()),
            None => put(&mut json, path, Json::Array(vec![value.as_str().into()]))?,
        },
        Change::Drop { path, value } => {
            let list = at(&mut json, path)?.as_array_mut()?;
            let position = list.iter().position(|v| v.as_str() == Some(value))?;
            if list.len() == 1 {
                take(&mut json, path)?;
            } else {
                list.remove(position);
            }
        }
    }
    Some(json)
}

fn position(items: &[Json], segment: &str) -> Option<usize> {
    let named = items.iter().position(|i| i.get("id").and_then(Json::as_str) == Some(segment));
    named.or_else(|| segment.parse().ok().filter(|n| *n < items.len()))
}

fn at<'j>(json: &'j mut Json, path: &[String]) -> Option<&'j mut Json> {
    path.iter().try_fold(json, |json, segment| match json {
        Json::Object(fields) => fields.get_mut(segment),
        Json::Array(items) => position(items, segment).and_then(|n| items.get_mut(n)),
        _ => None,
    })
}

fn put(json: &mut Json, path: &[String], value: Json) -> Option<()> {
    let Some((first, rest)) = path.split_first() else {
        *json = value;
        return Some(());
    };
    let next = match json {
        Json::Object(fields) => fields.entry(first.clone()).or_insert_with(|| Json::Object(Map::new())),
        Json::Array(items) => {
            let n = position(items, first)?;
            items.get_mut(n)?
        }
        _ => return None,
    };
    put(next, rest, value)
}

fn take(json: &mut Json, path: &[String]) -> Option<()> {
    let (last, parents) = path.split_last()?;
    let left = match at(json, parents)? {
        Json::Object(fields) => {
            fields.remove(last)?;
            fields.len()
        }
        Json::Array(items) => {
            let n = position(items, last)?;
            items.remove(n);
            items.len()
        }
        _ => return None,
    };
    if left == 0 && !parents.is_empty() { take(json, parents) } else { Some(()) }
}
