//! Istio's normalization `BASE`, which is Envoy's `normalize_path`: dot segments resolved (RFC 3986 §6.2.2.3), `\` read as
//! `/`, escapes of unreserved characters decoded. Slashes are not merged, `%2F` and `;` stay: what evades a DENY so is why
//! Ward's own normal form exists.
use std::borrow::Cow;

use super::{PathFault, encode, hex};

/// The path as Envoy's policies see it, without query and fragment.
///
/// # Errors
/// What Envoy answers with 400: no leading slash (404 to `*`), a raw blank, control character or byte over 127, `%00`.
pub(crate) fn normalize_base(path: &str) -> Result<Cow<'_, str>, PathFault> {
    let end = path.bytes().position(|b| matches!(b, b'?' | b'#')).unwrap_or(path.len());
    let path = path.get(..end).unwrap_or_default();
    match path.as_bytes() {
        [] => return Ok(Cow::Borrowed("/")),
        [b'/', ..] => {}
        _ => return Err(PathFault::NotAbsolute),
    }
    if path.bytes().any(|byte| !(0x21..=0x7e).contains(&byte)) {
        return Err(PathFault::RawByte);
    }
    if is_canonical(path) {
        return Ok(Cow::Borrowed(path));
    }
    canonical(without_dot_parameters(path).as_bytes()).map(Cow::Owned)
}

/// Whether there is nothing to resolve, decode or encode; when in doubt, no.
fn is_canonical(path: &str) -> bool {
    let changes = |byte| matches!(byte, b'\\' | b'%' | b'"' | b'<' | b'>' | b'^' | b'`' | b'{' | b'|' | b'}');
    !path.bytes().any(changes) && !path.contains("/.")
}

/// `..;x` and `.;x` are dot segments since Envoy 1.36.10 (CVE-2026-73551); an escaped dot or a backslash still hides them.
fn without_dot_parameters(path: &str) -> Cow<'_, str> {
    if !path.contains(".;") {
        return Cow::Borrowed(path);
    }
    let mut out = String::with_capacity(path.len());
    for segment in path.split_inclusive('/') {
        let (name, slash) = match segment.strip_suffix('/') {
            Some(name) => (name, "/"),
            None => (segment, ""),
        };
        out.push_str(match name.split_once(';') {
            Some((dots @ ("." | ".."), _)) => dots,
            _ => name,
        });
        out.push_str(slash);
    }
    Cow::Owned(out)
}

/// What follows a slash and a dot.
enum Dots {
    /// A name that starts with a dot.
    Name,
    /// `.`, and how many bytes stand behind it that go too.
    Here(usize),
    /// `..`, likewise.
    Up(usize),
}

fn canonical(path: &[u8]) -> Result<String, PathFault> {
    let mut out = String::with_capacity(path.len());
    let mut rest = path;
    // Where the last per cent sign stands that begins no escape.
    let mut bare = None;
    while let [byte, tail @ ..] = rest {
        let dot = dot(rest);
        if dot > 0 {
            let after = rest.get(dot..).unwrap_or_default();
            let skip = match if out.ends_with('/') { dots(after) } else { Dots::Name } {
                Dots::Name => {
                    out.push('.');
                    0
                }
                Dots::Here(skip) => skip,
                Dots::Up(skip) => {
                    up(&mut out);
                    skip
                }
            };
            rest = after.get(skip..).unwrap_or_default();
            continue;
        }
        rest = tail;
        match (*byte, tail) {
            (b'\\', _) => out.push('/'),
            (b'%', [high, low, after @ ..]) => match (hex(*high), hex(*low)) {
                (Some(0), Some(0)) => return Err(PathFault::EncodedControl),
                (Some(high_value), Some(low_value)) => {
                    let value = high_value << 4 | low_value;
                    if value.is_ascii_alphanumeric() || matches!(value, b'-' | b'_' | b'~') {
                        out.push(char::from(value));
                        keep_bare(&mut out, bare, after);
                    } else {
                        // Servers may mind the case of the digits, so it stays.
                        out.extend(['%', char::from(*high), char::from(*low)]);
                    }
                    rest = after;
                }
                // Not an escape: a per cent sign.
                _ => {
                    bare = Some(out.len());
                    out.push('%');
                }
            },
            (b'%', _) => {
                bare = Some(out.len());
                out.push('%');
            }
            (b'"' | b'<' | b'>' | b'^' | b'`' | b'{' | b'|' | b'}', _) => encode(*byte, &mut out),
            (byte, _) => out.push(char::from(byte)),
        }
    }
    Ok(out)
}

/// A character just decoded must not make an escape of a bare per cent sign before it: `%0%61` is `%250a`.
fn keep_bare(out: &mut String, bare: Option<usize>, after: &[u8]) {
    let Some(digits) = bare.and_then(|at| out.get(at + 1..)) else { return };
    let made = match (digits.as_bytes(), after) {
        ([first], [second, ..]) | ([first, second], _) => hex(*first).is_some() && hex(*second).is_some(),
        _ => false,
    };
    if let Some(at) = bare.filter(|_| made) {
        out.insert_str(at + 1, "25");
    }
}

/// Length of a dot at the start, escaped or not; 0 when there is none.
fn dot(text: &[u8]) -> usize {
    match text {
        [b'.', ..] => 1,
        [b'%', b'2', b'e' | b'E', ..] => 3,
        _ => 0,
    }
}

fn dots(after: &[u8]) -> Dots {
    let ends = |text: &[u8]| match text {
        [] => Some(0),
        [b'/' | b'\\', ..] => Some(1),
        _ => None,
    };
    if let Some(slash) = ends(after) {
        return Dots::Here(slash);
    }
    let second = dot(after);
    match ends(after.get(second..).unwrap_or_default()) {
        Some(slash) if second > 0 => Dots::Up(second + slash),
        _ => Dots::Name,
    }
}

/// Back to the slash before the last one; the first slash stays.
fn up(out: &mut String) {
    let parent = out.strip_suffix('/').and_then(|path| path.rfind('/'));
    out.truncate(parent.map_or(1, |slash| slash + 1));
}

#[cfg(test)]
mod tests;
