//! Where tokens stand in a request: found as Envoy finds them, and taken out again.
use std::{borrow::Cow, cmp::Ordering, fmt};

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{AUTHORIZATION, COOKIE, Entry},
};

/// A place where a token may stand.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// A header, after a prefix.
    Header {
        /// Its name.
        name: HeaderName,
        /// What stands before the token, with the blank after it; empty when the value is the token.
        prefix: String,
    },
    /// A parameter of the query.
    Param(String),
    /// A cookie.
    Cookie(String),
}

/// A text at a place where tokens stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found<'a> {
    /// Index of the place.
    pub(super) place: usize,
    /// The token; `None` when what stands there cannot be one.
    pub(super) token: Option<Cow<'a, str>>,
    /// Whether Envoy would read it too.
    pub(super) plain: bool,
}

impl Place {
    fn rank(&self) -> (u8, &str, &str) {
        match self {
            Self::Header { name, prefix } => (0, name.as_str(), prefix),
            Self::Param(name) => (1, name, ""),
            Self::Cookie(name) => (2, name, ""),
        }
    }

    /// Adds what stands here. What Envoy does not read is added too, as somebody behind the proxy may: the second of two
    /// parameters or cookies of one name, and a scheme in another case.
    pub(super) fn find<'a>(
        &self,
        place: usize,
        headers: &'a HeaderMap,
        query: Option<&'a str>,
        found: &mut Vec<Found<'a>>,
    ) {
        match self {
            Self::Header { name, prefix } => {
                let lines = headers.get_all(name).iter().map(HeaderValue::as_bytes);
                if *name == AUTHORIZATION && headers.get_all(name).iter().nth(1).is_some() {
                    // To Envoy these are one line.
                    let joined = lines.collect::<Vec<_>>().join(b",".as_slice());
                    found.extend(in_header(&joined, prefix).map(|(token, plain)| {
                        let token = token.map(|token| Cow::Owned(token.to_owned()));
                        Found { place, token, plain }
                    }));
                    return;
                }
                for line in lines {
                    found.extend(in_header(line, prefix).map(|(token, plain)| {
                        let token = token.map(Cow::Borrowed);
                        Found { place, token, plain }
                    }));
                }
            }
            Self::Param(name) => {
                let before = found.len();
                for (_, value) in params(query.unwrap_or_default()).filter(|(key, _)| decoded(key) == name.as_str()) {
                    let plain = found.len() == before;
                    found.push(Found { place, token: Some(decoded(value)), plain });
                }
            }
            Self::Cookie(name) => {
                let before = found.len();
                for line in headers.get_all(COOKIE) {
                    for (key, value) in cookies(line.as_bytes()).filter(|(key, _)| key.trim_ascii() == name.as_bytes())
                    {
                        let plain = found.len() == before && key == name.as_bytes();
                        let token = std::str::from_utf8(value).ok().map(Cow::Borrowed);
                        found.push(Found { place, token, plain });
                    }
                }
            }
        }
    }

    /// Takes away what stands here. The query comes back without the parameter.
    pub(super) fn clear<'q>(&self, headers: &mut HeaderMap, query: Option<Cow<'q, str>>) -> Option<Cow<'q, str>> {
        match self {
            Self::Header { name, .. } => {
                headers.remove(name);
                query
            }
            Self::Param(name) => query.and_then(|query| without_param(query, name)),
            Self::Cookie(name) => {
                without_cookie(headers, name);
                query
            }
        }
    }
}

impl PartialOrd for Place {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Headers, parameters, cookies, each by name: the order in which Envoy reads them.
impl Ord for Place {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank().cmp(&other.rank())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header { name, .. } => write!(f, "header {name}"),
            Self::Param(name) => write!(f, "parameter {name}"),
            Self::Cookie(name) => write!(f, "cookie {name}"),
        }
    }
}

/// The token in a header, and whether Envoy would read it so: the prefix may stand anywhere in the value and minds the
/// case; what follows it up to the first character of base64url is skipped. `None` when there is no token.
fn in_header<'a>(value: &'a [u8], prefix: &str) -> Option<(Option<&'a str>, bool)> {
    let Ok(text) = std::str::from_utf8(value) else { return Some((None, prefix.is_empty())) };
    if prefix.is_empty() {
        return Some((Some(text), true));
    }
    let Some(at) = text.find(prefix) else {
        // `bearer …`, and `Bearer` without anything after it.
        let like = text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
            || text.eq_ignore_ascii_case(prefix.trim_ascii_end());
        return like.then_some((None, false));
    };
    let rest = text.get(at + prefix.len()..).unwrap_or_default();
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    Some((rest.find(legal).and_then(|start| rest.get(start..)), true))
}

/// The parameters of a query, as they stand in it.
fn params(query: &str) -> impl Iterator<Item = (&str, &str)> {
    let query = query.split('#').next().unwrap_or_default();
    query.split('&').filter(|param| !param.is_empty()).map(|param| param.split_once('=').unwrap_or((param, "")))
}

/// Without percent-encoding; what is no UTF-8 then is no token and no name of one either.
fn decoded(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = after.get(..2).filter(|_| *first == b'%').and_then(|digits| {
            let digits = std::str::from_utf8(digits).ok().filter(|text| !text.starts_with('+'))?;
            u8::from_str_radix(digits, 16).ok()
        });
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

fn without_param<'q>(query: Cow<'q, str>, name: &str) -> Option<Cow<'q, str>> {
    let is_it = |param: &str| decoded(param.split('=').next().unwrap_or_default()) == name;
    if !query.split('&').any(is_it) {
        return Some(query);
    }
    let kept: Vec<&str> = query.split('&').filter(|param| !is_it(param)).collect();
    (!kept.is_empty()).then(|| Cow::Owned(kept.join("&")))
}

/// `name=value; …` of one line (RFC 6265 §5.4), values without the quotes around them. Cookies of others may be any bytes. Blanks
/// before the name are none of it, those before `=` and around the value are, as in Envoy.
fn cookies(line: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    line.split(|byte| *byte == b';').filter_map(|pair| {
        let (name, value) = cookie(pair)?;
        let unquoted = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
        Some((name, unquoted.unwrap_or(value)))
    })
}

fn cookie(pair: &[u8]) -> Option<(&[u8], &[u8])> {
    let equals = pair.iter().position(|byte| *byte == b'=')?;
    let (name, value) = pair.split_at(equals);
    let start = name.iter().take_while(|byte| **byte == b' ').count();
    Some((name.get(start..).unwrap_or_default(), value.get(1..).unwrap_or_default()))
}

fn without_cookie(headers: &mut HeaderMap, name: &str) {
    let Entry::Occupied(lines) = headers.entry(COOKIE) else { return };
    let (_, lines) = lines.remove_entry_mult();
    let is_it = |pair: &[u8]| cookie(pair).is_some_and(|(key, _)| key.trim_ascii() == name.as_bytes());
    let kept: Vec<HeaderValue> = lines
        .filter_map(|line| {
            if !line.as_bytes().split(|byte| *byte == b';').any(is_it) {
                return Some(line);
            }
            let pairs = line.as_bytes().split(|byte| *byte == b';').filter(|pair| !is_it(pair));
            let kept: Vec<&[u8]> = pairs.map(<[u8]>::trim_ascii).collect();
            HeaderValue::from_bytes(&kept.join(b"; ".as_slice())).ok().filter(|line| !line.is_empty())
        })
        .collect();
    for line in kept {
        headers.append(COOKIE, line);
    }
}
