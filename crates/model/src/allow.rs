//! `allow` entries: `METHOD[,METHOD] PATH`, and the path patterns they share with Istio (`{*}`, `{**}`).
//!
//! A pattern is compared with a normalized request path (no query, no dot segments, no empty inner segments), so what
//! normalization would never leave standing is refused here instead of never matching.
use std::{cmp::Ordering, fmt, ops::Range};

/// Longest `allow` entry in bytes.
pub const ENTRY_BYTES_MAX: usize = 2_048;
/// Most segments of a path pattern.
pub const SEGMENTS_MAX: usize = 64;

/// Methods an entry may name: the registered ones that applications use (IANA HTTP Method Registry), without CONNECT.
pub const METHODS: [&str; 19] = [
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "OPTIONS",
    "TRACE",
    "QUERY",
    "PROPFIND",
    "PROPPATCH",
    "MKCOL",
    "COPY",
    "MOVE",
    "LOCK",
    "UNLOCK",
    "REPORT",
    "SEARCH",
    "MERGE",
];

/// One `allow` entry: the methods and the path it lets through (DESIGN §2).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AllowEntry {
    /// As written, e.g. `GET /orders/{*}`.
    pub text: String,
    /// Upper-case methods; empty is any. GET already implies HEAD here: both are listed.
    pub methods: Vec<String>,
    /// The path pattern.
    pub path: PathPattern,
}

/// A path pattern. Invariant: starts with `/`, `{**}` only as the last segment, never without segments.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PathPattern {
    /// Its segments after the leading slash; `/` is one empty literal.
    pub segments: Vec<Segment>,
}

/// One segment of a path pattern.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Segment {
    /// Must be equal, case-sensitive.
    Literal(String),
    /// `{*}`: one non-empty segment.
    Any,
    /// `{**}`: zero or more characters including `/`; last only. `/t/{**}` matches `/t/` and not `/t`.
    Rest,
}

/// Why a text is no `allow` entry or path pattern, and where in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{fault}")]
pub struct AllowError {
    /// What is wrong.
    pub fault: AllowFault,
    /// Byte range within the text that was parsed.
    pub at: Range<usize>,
}

/// The ways an `allow` entry can be wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AllowFault {
    /// Over [`ENTRY_BYTES_MAX`] or [`SEGMENTS_MAX`].
    #[error("the entry is longer than {ENTRY_BYTES_MAX} bytes or {SEGMENTS_MAX} path segments")]
    TooLong,
    /// Not two words.
    #[error("`{0}` is not `METHOD PATH`")]
    Shape(String),
    /// Not one of [`METHODS`].
    #[error("`{0}` is not an HTTP method")]
    Method(String),
    /// `GET,GET`, or a method beside `*`.
    #[error("method `{0}` is already covered")]
    MethodTwice(String),
    /// No leading slash.
    #[error("path `{0}` does not start with `/`")]
    NoSlash(String),
    /// `//` inside.
    #[error("the path has an empty segment, which no normalized request has")]
    EmptySegment,
    /// `.` or `..`.
    #[error("path segment `{0}` is removed from every request before it is compared")]
    DotSegment(String),
    /// `{**}` before the end.
    #[error("`{{**}}` may only be the last segment")]
    RestNotLast,
    /// Braces or stars other than whole `{*}` and `{**}` segments.
    #[error("`{0}` is not a wildcard segment")]
    Wildcard(String),
    /// A character that no normalized path holds.
    #[error("character `{0}` cannot stand in a path")]
    Character(char),
    /// A percent escape that is malformed or that normalization rewrites.
    #[error("`{0}` cannot stand in a path")]
    Escape(String),
    /// Not `pkg.Service/Method`.
    #[error("`{0}` is not `package.Service/Method`")]
    Grpc(String),
}

impl AllowError {
    /// What to do about it.
    pub fn help(&self) -> Option<String> {
        Some(match &self.fault {
            AllowFault::TooLong => "write a shorter pattern, `{*}` for one segment or `{**}` for the rest".to_owned(),
            AllowFault::Shape(_) => {
                "write one or more methods, a blank and a path, as in `GET,POST /orders/{*}`, `* /{**}` or `grpc pkg.Service/Method`"
                    .to_owned()
            }
            AllowFault::Method(word) if word == "CONNECT" => {
                "CONNECT opens a tunnel: serve the port as `protocol: tcp` instead".to_owned()
            }
            AllowFault::Method(word) => match crate::closest(word, METHODS) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "methods are upper-case words such as GET and POST; `*` is any".to_owned(),
            },
            AllowFault::MethodTwice(_) => "GET covers HEAD, and `*` covers all: leave it out".to_owned(),
            AllowFault::NoSlash(path) => format!("write `/{path}`"),
            AllowFault::EmptySegment => "write a single `/`".to_owned(),
            AllowFault::DotSegment(_) => "write the path that the request really asks for".to_owned(),
            AllowFault::RestNotLast => "use `{*}` for one segment in the middle".to_owned(),
            AllowFault::Wildcard(_) => {
                "a wildcard is a whole segment: `{*}` for one segment, `{**}` at the end for the rest".to_owned()
            }
            AllowFault::Character('?' | '#') => "query and fragment are not compared: leave them out".to_owned(),
            AllowFault::Character(c) if !c.is_ascii() => {
                let mut buffer = [0; 4];
                let escaped: String = c.encode_utf8(&mut buffer).bytes().map(|b| format!("%{b:02X}")).collect();
                format!("write `{escaped}`, as requests do")
            }
            AllowFault::Character(_) => "use letters, digits and -._~!$&'()+,=:@, or a percent escape".to_owned(),
            AllowFault::Escape(_) => {
                "write an escape as `%` and two upper-case hex digits; letters, digits and -._~!$&'()*,=:@ as they are; `/`, `\\` and control characters cannot be escaped"
                    .to_owned()
            }
            AllowFault::Grpc(_) => "write `grpc package.Service/Method`, or `grpc package.Service/{*}` for all its methods".to_owned(),
        })
    }
}

impl AllowEntry {
    /// Reads `METHOD[,METHOD] PATH`, `* PATH` or `grpc package.Service/Method`.
    ///
    /// # Errors
    /// The first fault, with its place in `text`.
    pub fn parse(text: &str) -> Result<Self, AllowError> {
        let whole = 0..text.len();
        if text.len() > ENTRY_BYTES_MAX {
            return Err(AllowError { fault: AllowFault::TooLong, at: whole });
        }
        let shape = || AllowError { fault: AllowFault::Shape(text.to_owned()), at: whole.clone() };
        let (head, path) = text.split_once(' ').ok_or_else(shape)?;
        let path_at = head.len() + 1;
        if head.is_empty() || path.is_empty() || path.contains(char::is_whitespace) {
            return Err(shape());
        }
        if head == "grpc" {
            return Ok(Self {
                text: text.to_owned(),
                methods: vec!["POST".to_owned()],
                path: grpc_path(path).map_err(|e| e.shifted(path_at))?,
            });
        }
        let methods = methods(head)?;
        let path = PathPattern::parse(path).map_err(|e| e.shifted(path_at))?;
        Ok(Self { text: text.to_owned(), methods, path })
    }

    /// Whether a request with this method and normalized path is let through.
    pub fn matches(&self, method: &str, path: &str) -> bool {
        (self.methods.is_empty() || self.methods.iter().any(|m| m == method)) && self.path.matches(path)
    }

    /// A request that both entries let through, as `METHOD PATH`, when there is one.
    pub fn overlap(&self, other: &Self) -> Option<String> {
        let method = match (self.methods.as_slice(), other.methods.as_slice()) {
            ([], []) => "GET",
            ([one, ..], []) | ([], [one, ..]) => one,
            (ours, theirs) => ours.iter().find(|m| theirs.contains(m))?,
        };
        Some(format!("{method} {}", self.path.overlap(&other.path)?))
    }
}

fn methods(head: &str) -> Result<Vec<String>, AllowError> {
    if head == "*" {
        return Ok(Vec::new());
    }
    let mut methods: Vec<String> = Vec::new();
    let mut at = 0;
    for word in head.split(',') {
        let range = at..at + word.len();
        at = range.end + 1;
        if word == "*" {
            // `GET,*` hides that everything is allowed.
            return Err(AllowError { fault: AllowFault::MethodTwice(word.to_owned()), at: range });
        }
        if !METHODS.contains(&word) {
            return Err(AllowError { fault: AllowFault::Method(word.to_owned()), at: range });
        }
        if methods.iter().any(|m| m == word) {
            return Err(AllowError { fault: AllowFault::MethodTwice(word.to_owned()), at: range });
        }
        methods.push(word.to_owned());
    }
    // Added after the loop so that `GET,HEAD` is not called a repetition.
    if methods.iter().any(|m| m == "GET") && !methods.iter().any(|m| m == "HEAD") {
        methods.push("HEAD".to_owned());
    }
    Ok(methods)
}

fn grpc_path(path: &str) -> Result<PathPattern, AllowError> {
    let fault = || AllowError { fault: AllowFault::Grpc(path.to_owned()), at: 0..path.len() };
    let word = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let (service, method) = path.split_once('/').ok_or_else(fault)?;
    if !service.split('.').all(word) || !(method == "{*}" || word(method)) {
        return Err(fault());
    }
    let method = if method == "{*}" { Segment::Any } else { Segment::Literal(method.to_owned()) };
    Ok(PathPattern { segments: vec![Segment::Literal(service.to_owned()), method] })
}

impl AllowError {
    fn shifted(self, by: usize) -> Self {
        Self { at: self.at.start + by..self.at.end + by, ..self }
    }
}

impl fmt::Display for AllowEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PathPattern {
    /// Every path: `/{**}`.
    pub fn any() -> Self {
        Self { segments: vec![Segment::Rest] }
    }

    /// Reads `/orders/{*}`.
    ///
    /// # Errors
    /// The first fault, with its place in `text`.
    pub fn parse(text: &str) -> Result<Self, AllowError> {
        let Some(rest) = text.strip_prefix('/') else {
            return Err(AllowError { fault: AllowFault::NoSlash(text.to_owned()), at: 0..text.len() });
        };
        let count = rest.split('/').count();
        if text.len() > ENTRY_BYTES_MAX || count > SEGMENTS_MAX {
            return Err(AllowError { fault: AllowFault::TooLong, at: 0..text.len() });
        }
        let mut segments = Vec::with_capacity(count);
        let mut at = 1;
        for (i, part) in rest.split('/').enumerate() {
            let last = i + 1 == count;
            segments.push(segment(part, last).map_err(|e| e.shifted(at))?);
            at += part.len() + 1;
        }
        Ok(Self { segments })
    }

    /// Whether a normalized request path matches. Allocates nothing.
    pub fn matches(&self, path: &str) -> bool {
        let Some(mut rest) = path.strip_prefix('/') else { return false };
        let mut segments = self.segments.iter().peekable();
        while let Some(segment) = segments.next() {
            let (head, tail) = match rest.split_once('/') {
                Some((head, tail)) => (head, Some(tail)),
                None => (rest, None),
            };
            let same = match segment {
                Segment::Rest => return true,
                Segment::Any => !head.is_empty(),
                Segment::Literal(literal) => literal == head,
            };
            match (same, segments.peek(), tail) {
                (true, None, None) => return true,
                (true, Some(_), Some(tail)) => rest = tail,
                _ => return false,
            }
        }
        false
    }

    /// A path that both patterns match, when there is one.
    pub fn overlap(&self, other: &Self) -> Option<String> {
        let mut witness = String::new();
        let (mut ours, mut theirs) = (self.segments.iter(), other.segments.iter());
        loop {
            let (a, b) = match (ours.next(), theirs.next()) {
                (None, None) => return Some(witness),
                (Some(a), Some(b)) => (a, b),
                // `{**}` stands for what follows a slash, so a pattern that has ended has nothing in common with it.
                _ => return None,
            };
            witness.push('/');
            match (a, b) {
                (Segment::Rest, found) => {
                    fill(&mut witness, found, theirs.as_slice());
                    return Some(witness);
                }
                (found, Segment::Rest) => {
                    fill(&mut witness, found, ours.as_slice());
                    return Some(witness);
                }
                (Segment::Any, Segment::Any) => witness.push('x'),
                (Segment::Any, Segment::Literal(l)) | (Segment::Literal(l), Segment::Any) if !l.is_empty() => {
                    witness.push_str(l);
                }
                (Segment::Literal(l), Segment::Literal(m)) if l == m => witness.push_str(l),
                _ => return None,
            }
        }
    }

    /// Orders patterns so that the most literal comes first: segment by segment from the left, a literal before `{*}`
    /// before `{**}`; then the longer, then by text, so that the order is total.
    pub fn cmp_specificity(&self, other: &Self) -> Ordering {
        let rank = |s: &Segment| match s {
            Segment::Literal(_) => 0,
            Segment::Any => 1,
            Segment::Rest => 2,
        };
        self.segments
            .iter()
            .zip(&other.segments)
            .map(|(a, b)| rank(a).cmp(&rank(b)))
            .find(|o| o.is_ne())
            .unwrap_or_else(|| other.segments.len().cmp(&self.segments.len()))
            .then_with(|| self.to_string().cmp(&other.to_string()))
    }

    /// The literal segments before the first wildcard, as a path without trailing slash: `/a/b` of `/a/b/{*}`.
    pub fn literal_prefix(&self) -> String {
        let mut prefix = String::new();
        for segment in &self.segments {
            let Segment::Literal(literal) = segment else { break };
            prefix.push('/');
            prefix.push_str(literal);
        }
        prefix
    }

    /// Whether it has no wildcard.
    pub fn is_literal(&self) -> bool {
        self.segments.iter().all(|s| matches!(s, Segment::Literal(_)))
    }
}

fn fill(witness: &mut String, first: &Segment, more: &[Segment]) {
    for (i, segment) in std::iter::once(first).chain(more).enumerate() {
        if i > 0 {
            witness.push('/');
        }
        match segment {
            Segment::Literal(literal) => witness.push_str(literal),
            Segment::Any => witness.push('x'),
            Segment::Rest => {}
        }
    }
}

fn segment(part: &str, last: bool) -> Result<Segment, AllowError> {
    let whole = |fault| Err(AllowError { fault, at: 0..part.len() });
    match part {
        "{*}" => return Ok(Segment::Any),
        "{**}" if last => return Ok(Segment::Rest),
        "{**}" => return whole(AllowFault::RestNotLast),
        "" if !last => return whole(AllowFault::EmptySegment),
        "." | ".." => return whole(AllowFault::DotSegment(part.to_owned())),
        _ if part.contains(['{', '}', '*']) => return whole(AllowFault::Wildcard(part.to_owned())),
        _ => {}
    }
    let mut chars = part.char_indices();
    while let Some((i, c)) = chars.next() {
        if c == '%' {
            let escape = part.get(i..i + 3).unwrap_or(part.get(i..).unwrap_or_default());
            if !escape_stands(escape) {
                let at = i..i + escape.len();
                return Err(AllowError { fault: AllowFault::Escape(escape.to_owned()), at });
            }
            chars.next();
            chars.next();
        // RFC 3986 §3.3 pchar without `;`, whose parameters normalization removes, and without `*`.
        } else if !(c.is_ascii_alphanumeric() || "-._~!$&'()+,=:@".contains(c)) {
            return Err(AllowError { fault: AllowFault::Character(c), at: i..i + c.len_utf8() });
        }
    }
    Ok(Segment::Literal(part.to_owned()))
}

/// Whether a percent escape is still there, in this form, after normalization (RFC 3986 §6.2.2).
fn escape_stands(escape: &str) -> bool {
    let Some(hex) = escape.strip_prefix('%').filter(|h| h.len() == 2) else { return false };
    if !hex.bytes().all(|b| b.is_ascii_digit() || (b'A'..=b'F').contains(&b)) {
        return false;
    }
    let Ok(byte) = u8::from_str_radix(hex, 16) else { return false };
    let decoded = byte.is_ascii_alphanumeric() || b"-._~!$&'()*,=:@".contains(&byte);
    !decoded && !byte.is_ascii_control() && !matches!(byte, b'/' | b'\\')
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for segment in &self.segments {
            match segment {
                Segment::Literal(literal) => write!(f, "/{literal}")?,
                Segment::Any => f.write_str("/{*}")?,
                Segment::Rest => f.write_str("/{**}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
