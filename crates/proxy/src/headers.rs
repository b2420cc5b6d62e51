//! What happens to each header, as data. docs/proxy.md shows these tables and a test compares them.
use std::sync::LazyLock;

/// On which side of the mesh a message enters this proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// A gateway's listener: from outside, nothing is believed.
    Gateway,
    /// From the own application.
    Outbound,
    /// From a peer, over mutual TLS.
    Inbound,
}

/// What is done to a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Forwarded as it came.
    Keep,
    /// Taken out.
    Remove,
    /// Taken out, and written by us.
    Set,
    /// Written by us when absent or malformed.
    SetIfAbsent,
    /// Ours is added after those present.
    Append,
    /// Taken out when malformed.
    KeepIfValid,
    /// Made anew from how the message is framed on the next hop.
    Framing,
    /// Only the value `trailers` is kept.
    Trailers,
    /// Read by us and taken out.
    Read,
}

impl Action {
    /// The word in the documentation.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Keep => "kept",
            Self::Remove => "removed",
            Self::Set => "removed, set",
            Self::SetIfAbsent => "set if absent or malformed",
            Self::Append => "appended to",
            Self::KeepIfValid => "kept if well-formed",
            Self::Framing => "made anew",
            Self::Trailers => "only `trailers` kept",
            Self::Read => "read, removed",
        }
    }
}

/// One header and what happens to it.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Lower-case name; a trailing `*` makes it a prefix.
    pub name: &'static str,
    /// At a gateway's listener.
    pub gateway: Action,
    /// From the own application (requests), or back to it (responses).
    pub outbound: Action,
    /// From a peer (requests), or back to it (responses).
    pub inbound: Action,
    /// Why.
    pub why: &'static str,
}

const fn all(name: &'static str, action: Action, why: &'static str) -> Row {
    Row { name, gateway: action, outbound: action, inbound: action, why }
}

const fn each(name: &'static str, gateway: Action, outbound: Action, inbound: Action, why: &'static str) -> Row {
    Row { name, gateway, outbound, inbound, why }
}

use Action::{Append, Framing, Keep, KeepIfValid, Read, Remove, Set, SetIfAbsent, Trailers};

/// Requests. A header without a row is kept, unless `Connection` names it.
pub const REQUEST: &[Row] = &[
    all("connection", Remove, "hop-by-hop, with every header it names (RFC 9110 §7.6.1)"),
    all("keep-alive", Remove, "hop-by-hop"),
    all("proxy-connection", Remove, "hop-by-hop, never standard"),
    all("proxy-authenticate", Remove, "hop-by-hop"),
    all("proxy-authorization", Remove, "meant for this proxy (RFC 9110 §11.7.2)"),
    all("te", Trailers, "hop-by-hop; gRPC needs `trailers` (RFC 9110 §10.1.4)"),
    all("transfer-encoding", Framing, "hop-by-hop (RFC 9112 §6.1)"),
    all("content-length", Framing, "one value, agreed with the framing (RFC 9112 §6.3)"),
    all("upgrade", Framing, "hop-by-hop; sent on when the upgrade itself is"),
    all("http2-settings", Remove, "an upgrade to h2c is not offered (RFC 9113 §3.1)"),
    all("host", Keep, "end to end: policies and applications read it"),
    each("x-forwarded-for", Set, Keep, Keep, "the gateway alone knows the caller's address"),
    each("x-forwarded-proto", Set, Keep, Keep, "as the caller spoke to the gateway"),
    each("x-forwarded-host", Set, Keep, Keep, "as the caller spoke to the gateway"),
    each("x-forwarded-port", Remove, Keep, Keep, "not believed from outside"),
    each("x-real-ip", Remove, Keep, Keep, "not believed from outside"),
    each("x-client-ip", Remove, Keep, Keep, "not believed from outside"),
    each("true-client-ip", Remove, Keep, Keep, "not believed from outside"),
    each(
        "x-http-method-override",
        Remove,
        Keep,
        Keep,
        "makes some applications see another method than was decided on",
    ),
    each("x-http-method", Remove, Keep, Keep, "makes some applications see another method than was decided on"),
    each("x-method-override", Remove, Keep, Keep, "makes some applications see another method than was decided on"),
    each("x-original-url", Remove, Keep, Keep, "makes some applications see another path than was decided on"),
    each("x-rewrite-url", Remove, Keep, Keep, "makes some applications see another path than was decided on"),
    each("forwarded", Set, Keep, Keep, "RFC 7239; the gateway alone knows"),
    each("via", Append, Keep, Keep, "RFC 9110 §7.6.3"),
    each("x-request-id", SetIfAbsent, Keep, Keep, "one name for a request through the whole mesh"),
    each("traceparent", SetIfAbsent, KeepIfValid, KeepIfValid, "W3C Trace Context; a malformed one restarts the trace"),
    each("x-forwarded-client-cert", Remove, Remove, Set, "the peer's identity, as this sidecar verified it"),
    all("x-ward-*", Remove, "reserved"),
    each("x-envoy-*", Remove, Keep, Keep, "some peers act on them; not believed from outside"),
    each("ward-probe", Read, Remove, Read, "only a nonce that the control plane announced means anything, for seconds"),
];

/// Responses, on their way back through the same side.
pub const RESPONSE: &[Row] = &[
    all("connection", Remove, "hop-by-hop, with every header it names"),
    all("keep-alive", Remove, "hop-by-hop"),
    all("proxy-connection", Remove, "hop-by-hop, never standard"),
    all("proxy-authenticate", Remove, "hop-by-hop"),
    all("transfer-encoding", Framing, "hop-by-hop"),
    all("content-length", Framing, "one value, agreed with the framing"),
    all("upgrade", Framing, "hop-by-hop; sent on with 101 only"),
    each("server", Remove, Keep, Keep, "outside it would only help an attacker"),
    each("via", Remove, Keep, Keep, "outside it would only help an attacker"),
    each("alt-svc", Remove, Remove, Keep, "would lead the caller around this proxy (RFC 7838)"),
    each("x-ward-*", Remove, Keep, Remove, "reserved"),
    each("x-envoy-*", Remove, Keep, Keep, "inside knowledge"),
    each("ward-probe-result", Remove, Remove, Remove, "only proxies answer probes"),
];

/// Bytes of a name that are compared with its underscores read as hyphens; more than the longest row has.
const LOOKALIKE_BYTES_MAX: usize = 64;

/// A table made fast: rows by length of the name.
pub(crate) struct Index {
    by_length: Vec<Vec<&'static Row>>,
    prefixes: Vec<&'static Row>,
}

pub(crate) static REQUEST_INDEX: LazyLock<Index> = LazyLock::new(|| Index::new(REQUEST));
pub(crate) static RESPONSE_INDEX: LazyLock<Index> = LazyLock::new(|| Index::new(RESPONSE));

impl Index {
    fn new(rows: &'static [Row]) -> Self {
        let longest = rows.iter().map(|r| r.name.len()).max().unwrap_or(0);
        let mut by_length = vec![Vec::new(); longest + 1];
        let mut prefixes = Vec::new();
        for row in rows {
            if row.name.ends_with('*') {
                prefixes.push(row);
            } else if let Some(slot) = by_length.get_mut(row.name.len()) {
                slot.push(row);
            }
        }
        Self { by_length, prefixes }
    }

    /// What to do with this header; names compare without case.
    pub(crate) fn action(&self, side: Side, name: &[u8]) -> Action {
        if name.contains(&b'_') {
            return self.lookalike(side, name);
        }
        self.exact(side, name)
    }

    /// Many applications read `x_real_ip` as `x-real-ip` (CGI's variables know no difference): whatever is not simply kept
    /// in the one spelling is taken out in the other.
    fn lookalike(&self, side: Side, name: &[u8]) -> Action {
        // Longer than any row but for a prefix, of which the start is enough.
        let mut dashed = [0; LOOKALIKE_BYTES_MAX];
        let length = name.len().min(dashed.len());
        for (to, from) in dashed.iter_mut().zip(name) {
            *to = if *from == b'_' { b'-' } else { *from };
        }
        match self.exact(side, dashed.get(..length).unwrap_or_default()) {
            Action::Keep => Action::Keep,
            _ => Action::Remove,
        }
    }

    fn exact(&self, side: Side, name: &[u8]) -> Action {
        let row = self
            .by_length
            .get(name.len())
            .and_then(|rows| rows.iter().find(|r| r.name.as_bytes().eq_ignore_ascii_case(name)))
            .or_else(|| match name {
                // Every prefix begins with `x-`.
                [b'x' | b'X', b'-', ..] => self.prefixes.iter().find(|r| {
                    let prefix = r.name.as_bytes().split_last().map_or(&[][..], |(_, p)| p);
                    name.get(..prefix.len()).is_some_and(|n| n.eq_ignore_ascii_case(prefix))
                }),
                _ => None,
            });
        row.map_or(Action::Keep, |r| match side {
            Side::Gateway => r.gateway,
            Side::Outbound => r.outbound,
            Side::Inbound => r.inbound,
        })
    }
}

/// `00-<32 hex>-<16 hex>-<2 hex>`, neither id all zeroes (W3C Trace Context §3.2).
pub(crate) fn is_traceparent(value: &[u8]) -> bool {
    let hex = |range: std::ops::Range<usize>, all_zero_ok: bool| {
        value.get(range).is_some_and(|part| {
            part.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
                && (all_zero_ok || part.iter().any(|b| *b != b'0'))
        })
    };
    value.len() == 55
        && value.starts_with(b"00-")
        && hex(3..35, false)
        && value.get(35) == Some(&b'-')
        && hex(36..52, false)
        && value.get(52) == Some(&b'-')
        && hex(53..55, true)
}

/// A request id that may be believed and logged: 1 to 128 of letters, digits, `-`, `_`, `.`.
pub(crate) fn is_request_id(value: &[u8]) -> bool {
    (1..=128).contains(&value.len())
        && value.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

#[cfg(test)]
mod tests;
