//! The full context of a strict or critical decision: every header of the request, except what would let a reader of the
//! record act as the caller.
use wire::v1::Header;

use crate::ask::Headers;

/// Bytes of names and values of one record. What is beyond is left out, and said.
const CONTEXT_BYTES_MAX: usize = 64 * 1024;
/// Left out because of the bound: how many.
const LEFT_OUT: &str = "ward-context-left-out";

/// A header whose name has one of these in it carries a credential, or something as good: docs/policy.md lists them.
pub(crate) const CREDENTIALS: [&str; 16] = [
    "assertion",
    "auth",
    "bearer",
    "cookie",
    "credential",
    "csrf",
    "jwt",
    "key",
    "pass",
    "private",
    "secret",
    "session",
    "signature",
    "token",
    "ward-probe",
    "xsrf",
];

/// Headers whose value is an address: what stands behind `?` in it may be a credential.
const ADDRESSES: [&str; 5] = ["referer", "origin", "location", "url", "uri"];

/// Every header as received, but credentials.
pub(crate) fn full(headers: Headers<'_>) -> Vec<Header> {
    let mut out = Vec::new();
    let (mut bytes, mut left_out) = (0usize, 0usize);
    let mut keep = |name: &str, value: &[u8]| {
        let name = name.to_ascii_lowercase();
        if is_credential(&name, value) {
            return;
        }
        let value = if ADDRESSES.iter().any(|part| name.contains(part)) { before_query(value) } else { value };
        bytes = bytes.saturating_add(name.len() + value.len());
        if bytes > CONTEXT_BYTES_MAX {
            left_out += 1;
        } else {
            out.push(Header { name, value: String::from_utf8_lossy(value).into_owned() });
        }
    };
    match headers {
        Headers::Raw(list) => list.iter().for_each(|header| keep(header.name, header.value)),
        Headers::Map(map) => map.iter().for_each(|(name, value)| keep(name.as_str(), value.as_bytes())),
    }
    if left_out > 0 {
        out.push(Header { name: LEFT_OUT.to_owned(), value: left_out.to_string() });
    }
    out
}

/// By its name, or because the value is a token whatever the name: a JWT, or `Bearer …`.
pub(crate) fn is_credential(name: &str, value: &[u8]) -> bool {
    let value = value.trim_ascii();
    let scheme = |scheme: &[u8]| value.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    let is_jwt = value.starts_with(b"ey") && value.iter().filter(|byte| **byte == b'.').count() >= 2;
    CREDENTIALS.iter().any(|part| name.contains(part)) || is_jwt || scheme(b"bearer ") || scheme(b"basic ")
}

fn before_query(value: &[u8]) -> &[u8] {
    value.split(|byte| matches!(byte, b'?' | b'#')).next().unwrap_or_default()
}

#[cfg(test)]
mod tests;
