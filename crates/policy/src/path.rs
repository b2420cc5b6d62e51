//! One spelling for each path, so that the policy and the application see the same one.
use std::borrow::Cow;

mod base;

pub(crate) use base::normalize_base;

/// Why a path is refused with 400 instead of normalized.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum PathFault {
    /// Neither empty nor `*` nor starting with `/` (RFC 9112 §3.2.1).
    #[error("path does not start with /")]
    NotAbsolute,
    /// A raw byte that may not stand in a URI: blank, control, DEL or non-ASCII (RFC 3986 §2).
    #[error("path holds a byte that must be percent-encoded")]
    RawByte,
    /// `%` without two hexadecimal digits after it (RFC 3986 §2.1).
    #[error("path holds a malformed percent-encoding")]
    BadEscape,
    /// An encoded control character: `%00` to `%1F`, `%7F`.
    #[error("path holds an encoded control character")]
    EncodedControl,
    /// Encoded bytes that are not UTF-8, among them overlong forms such as `%C0%AF`.
    #[error("path holds encoded bytes that are not UTF-8")]
    NotUtf8,
}

impl PathFault {
    /// Every fault.
    pub const ALL: [Self; 5] = [Self::NotAbsolute, Self::RawByte, Self::BadEscape, Self::EncodedControl, Self::NotUtf8];

    /// The code: what records, metrics and JSON carry.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotAbsolute => "path-not-absolute",
            Self::RawByte => "path-raw-byte",
            Self::BadEscape => "path-bad-escape",
            Self::EncodedControl => "path-encoded-control",
            Self::NotUtf8 => "path-not-utf8",
        }
    }
}

/// The normal form of a request's path: what policies match and what the proxy forwards (the query, untouched, after
/// it), so that no application sees another path than the one that was decided upon.
///
/// **Normalized**: query and fragment cut off; `\`, `%5C`, `%2F` read as `/`; unreserved characters and `!$&'()*,=:@`
/// decoded; other escapes kept, in upper case; `"<>^{|}` and the backquote encoded; `;` parameters of each segment cut
/// off; runs of `/` merged; `.` and `..` segments resolved, never above the root. Empty is `/`. A trailing slash
/// stays, as it is significant. `*` (OPTIONS) stays.
///
/// **Refused** (400): see `PathFault`.
///
/// `+` and `%2B` stay two spellings, as servers differ on whether `+` is a blank; `%3B` stays encoded data.
///
/// Idempotent; borrows when there is nothing to change.
pub fn normalize_path(path: &str) -> Result<Cow<'_, str>, PathFault> {
    let end = path.bytes().position(|b| matches!(b, b'?' | b'#')).unwrap_or(path.len());
    let path = path.get(..end).unwrap_or_default();
    match path.as_bytes() {
        [] => return Ok(Cow::Borrowed("/")),
        b"*" => return Ok(Cow::Borrowed("*")),
        [b'/' | b'\\', ..] => {}
        // An encoded slash in front is no better than none: `%2Fadmin` never came from an origin-form target.
        _ => return Err(PathFault::NotAbsolute),
    }
    if is_normal(path.as_bytes()) {
        return Ok(Cow::Borrowed(path));
    }
    let decoded = decode(path.as_bytes())?;
    Ok(Cow::Owned(resolve(&decoded)))
}

/// Whether the path is plainly its own normal form; when in doubt, no.
fn is_normal(path: &[u8]) -> bool {
    let mut before = 0;
    for &byte in path {
        // After a slash, another slash or a dot may mean something; the slow way decides.
        if !plain(byte) || (before == b'/' && matches!(byte, b'/' | b'.')) {
            return false;
        }
        before = byte;
    }
    true
}

/// Characters that stand for themselves: unreserved, sub-delims without `;`, `:`, `@` and `/` (RFC 3986 §3.3).
fn plain(byte: u8) -> bool {
    byte == b'+' || byte == b'/' || decodable(byte)
}

/// Characters that are decoded when they come percent-encoded.
fn decodable(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b',' | b'=')
        || matches!(byte, b':' | b'@')
}

/// Pass 1: one spelling for each character. What is left is plain, `;`, or `%XX` in upper case.
fn decode(path: &[u8]) -> Result<String, PathFault> {
    let mut out = String::with_capacity(path.len());
    // All bytes the path stands for, to be checked as UTF-8 as an application would read them.
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path;
    while let [byte, tail @ ..] = rest {
        rest = tail;
        let byte = *byte;
        if byte == b'%' {
            let [high, low, tail @ ..] = rest else { return Err(PathFault::BadEscape) };
            rest = tail;
            let value = match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => high << 4 | low,
                _ => return Err(PathFault::BadEscape),
            };
            bytes.push(value);
            match value {
                0..=0x1f | 0x7f => return Err(PathFault::EncodedControl),
                b'/' | b'\\' => out.push('/'),
                _ if decodable(value) => out.push(char::from(value)),
                _ => encode(value, &mut out),
            }
        } else {
            bytes.push(byte);
            match byte {
                b'\\' => out.push('/'),
                b';' => out.push(';'),
                _ if plain(byte) => out.push(char::from(byte)),
                b'"' | b'<' | b'>' | b'^' | b'`' | b'{' | b'|' | b'}' | b'[' | b']' => encode(byte, &mut out),
                _ => return Err(PathFault::RawByte),
            }
        }
    }
    if std::str::from_utf8(&bytes).is_err() {
        return Err(PathFault::NotUtf8);
    }
    Ok(out)
}

/// Pass 2: parameters, empty segments and dot segments (RFC 3986 §5.2.4).
fn resolve(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    let mut trailing = false;
    for segment in path.split('/') {
        let name = segment.split(';').next().unwrap_or_default();
        trailing = match name {
            "" | "." => true,
            ".." => {
                let parent = out.rfind('/').unwrap_or(0);
                out.truncate(parent);
                true
            }
            _ => {
                out.push('/');
                out.push_str(name);
                false
            }
        };
    }
    if trailing || out.is_empty() {
        out.push('/');
    }
    out
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

fn encode(byte: u8, out: &mut String) {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    out.push('%');
    for nibble in [byte >> 4, byte & 0xf] {
        out.push(DIGITS.get(usize::from(nibble)).copied().unwrap_or('0'));
    }
}

/// The spelling that normalization gives the characters of a policy's path, without touching its structure: what
/// stays structurally odd (`//`, `;`, `%2F`, dot segments) can match no normalized request.
pub(crate) fn canonical_spelling(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, tail @ ..] = rest {
        rest = tail;
        match (*byte, rest) {
            (b'%', [high, low, tail @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    rest = tail;
                    match high << 4 | low {
                        value if decodable(value) => out.push(char::from(value)),
                        value => encode(value, &mut out),
                    }
                }
                _ => out.push('%'),
            },
            (byte @ (0x21..=0x7e), _)
                if !matches!(byte, b'"' | b'<' | b'>' | b'^' | b'`' | b'{' | b'|' | b'}' | b'[' | b']') =>
            {
                out.push(char::from(byte));
            }
            (byte, _) => encode(byte, &mut out),
        }
    }
    out
}

/// Why no normalized path can have this text in it, if so. `whole` when the text is the whole path.
pub(crate) fn never_normal(text: &str, whole: bool) -> Option<&'static str> {
    let has = |what: &str| text.contains(what);
    if has("//") || has("\\") || has("%2F") || has("%5C") {
        Some("it holds `//`, `\\` or an encoded slash, which requests never have after normalization")
    } else if has(";") {
        Some("it holds `;`, and parameters are cut off requests before they are compared")
    } else if has("?") || has("#") {
        Some("it holds `?` or `#`, and query and fragment are not compared")
    } else if has("/./") || has("/../") || (whole && (text.ends_with("/.") || text.ends_with("/.."))) {
        Some("it holds a dot segment, which requests never have after normalization")
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
