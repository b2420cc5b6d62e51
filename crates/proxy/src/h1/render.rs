//! Heads as they leave, written from the tables of `headers`.
use std::{io::Write, net::IpAddr};

use daemon::Clock;
use http::HeaderMap;

use crate::{
    ask::Headers,
    decision_id,
    fault::{CHALLENGE, problem, title},
    h1::head::{Length, RequestHead, ResponseHead},
    headers::{Action, REQUEST_INDEX, RESPONSE_INDEX, Side, is_request_id, is_traceparent},
};

/// What the downstream connection adds to a request.
pub(crate) struct Additions<'a> {
    pub(crate) side: Side,
    /// Value of x-forwarded-client-cert; inbound only.
    pub(crate) client_cert: &'a [u8],
    pub(crate) peer_ip: IpAddr,
    /// The gateway's listener is TLS.
    pub(crate) tls: bool,
    /// Headers instead of those that came, where tokens were looked at.
    pub(crate) rewritten: Option<&'a HeaderMap>,
    pub(crate) clock: &'a Clock,
}

/// The request target as it is forwarded.
#[derive(Clone, Copy)]
pub(crate) struct Target<'a> {
    /// Normalized.
    pub(crate) path: &'a str,
    /// Without `?`.
    pub(crate) query: Option<&'a str>,
    pub(crate) host: &'a str,
}

fn line(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Writes the head of `head` for the next hop.
pub(crate) fn request(out: &mut Vec<u8>, head: &RequestHead<'_>, target: Target<'_>, add: &Additions<'_>) {
    let index = &*REQUEST_INDEX;
    let upgrade = head.upgrade.filter(|_| head.body == Length::Known(0));
    for part in [head.method, " ", target.path] {
        out.extend_from_slice(part.as_bytes());
    }
    if let Some(query) = target.query {
        out.push(b'?');
        out.extend_from_slice(query.as_bytes());
    }
    out.extend_from_slice(b" HTTP/1.1\r\n");
    line(out, b"host", target.host.as_bytes());
    let (mut has_id, mut has_trace) = (false, false);
    // Of rewritten ones those for one hop are out already, and what is set by us may not be named away.
    let headers = add.rewritten.map_or(Headers::Raw(head.headers), Headers::Map);
    let one_hop = |name: &[u8]| add.rewritten.is_none() && head.nominated.contains(name);
    headers.each(|name, value| {
        let keep = match index.action(add.side, name) {
            Action::Keep | Action::Append => !name.eq_ignore_ascii_case(b"host") && !one_hop(name),
            Action::SetIfAbsent if name.len() == 12 => {
                let keep = !has_id && is_request_id(value);
                has_id |= keep;
                keep
            }
            Action::SetIfAbsent | Action::KeepIfValid => {
                let keep = !has_trace && is_traceparent(value);
                has_trace |= keep;
                keep
            }
            Action::Trailers => {
                if value.split(|b| *b == b',').any(|t| t.trim_ascii().eq_ignore_ascii_case(b"trailers")) {
                    // With an upgrade, Connection is written below and says the same.
                    let connection: &[u8] = if upgrade.is_some() { b"" } else { b"connection: te\r\n" };
                    out.extend_from_slice(b"te: trailers\r\n");
                    out.extend_from_slice(connection);
                }
                false
            }
            Action::Remove | Action::Set | Action::Framing | Action::Read => false,
        };
        if keep {
            line(out, name, value);
        }
    });
    match head.body {
        Length::Known(0) if !head.has_length => {}
        Length::Known(n) => {
            let _ = write!(out, "content-length: {n}\r\n");
        }
        Length::Chunked | Length::UntilClose => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
    }
    if let Some(protocol) = upgrade {
        line(out, b"connection", b"upgrade");
        line(out, b"upgrade", protocol);
    }
    match add.side {
        Side::Outbound => {}
        Side::Inbound => {
            if !add.client_cert.is_empty() {
                line(out, b"x-forwarded-client-cert", add.client_cert);
            }
        }
        Side::Gateway => gateway_additions(out, target, add, has_id, has_trace),
    }
    out.extend_from_slice(b"\r\n");
}

fn gateway_additions(out: &mut Vec<u8>, target: Target<'_>, add: &Additions<'_>, has_id: bool, has_trace: bool) {
    let (ip, host) = (add.peer_ip, target.host);
    let proto = if add.tls { "https" } else { "http" };
    let _ = write!(out, "x-forwarded-for: {ip}\r\nx-forwarded-proto: {proto}\r\nx-forwarded-host: {host}\r\n");
    let _ = write!(out, "{}", forwarded_line(ip, proto, host));
    out.extend_from_slice(b"via: 1.1 ward\r\n");
    if !has_id {
        let _ = write!(out, "x-request-id: {}\r\n", decision_id::ulid(add.clock.unix_ms()));
    }
    if !has_trace {
        let _ = write!(out, "traceparent: {}\r\n", decision_id::traceparent());
    }
}

fn forwarded_line(ip: IpAddr, proto: &str, host: &str) -> String {
    format!("forwarded: {}\r\n", forwarded(ip, proto, host))
}

/// The value of `Forwarded` (RFC 7239 §6): an IPv6 address stands in brackets and quotes.
pub(crate) fn forwarded(ip: IpAddr, proto: &str, host: &str) -> String {
    match ip {
        IpAddr::V4(v4) => format!("for={v4};host=\"{host}\";proto={proto}"),
        IpAddr::V6(v6) => format!("for=\"[{v6}]\";host=\"{host}\";proto={proto}"),
    }
}

/// Writes the head of a response. `length` is how the body is framed downstream; `close` announces the end of the
/// connection.
pub(crate) fn response(out: &mut Vec<u8>, head: &ResponseHead<'_>, side: Side, length: Length, close: bool) {
    let index = &*RESPONSE_INDEX;
    let _ = write!(out, "HTTP/1.1 {} ", head.status);
    out.extend_from_slice(head.reason.as_bytes());
    out.extend_from_slice(b"\r\n");
    for header in head.headers {
        let name = header.name.as_bytes();
        if index.action(side, name) == Action::Keep && !head.nominated.contains(name) {
            line(out, name, header.value);
        }
    }
    let informational = head.status < 200;
    match (length, head.content_length) {
        _ if informational || head.status == 204 => {}
        (Length::Chunked, _) => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        (Length::Known(_), Some(n)) => {
            let _ = write!(out, "content-length: {n}\r\n");
        }
        (Length::Known(_) | Length::UntilClose, _) => {}
    }
    match head.upgrade {
        Some(protocol) if head.status == 101 => {
            line(out, b"connection", b"upgrade");
            line(out, b"upgrade", protocol);
        }
        _ if close && !informational => out.extend_from_slice(b"connection: close\r\n"),
        _ => {}
    }
    out.extend_from_slice(b"\r\n");
}

/// Writes an answer of our own.
pub(crate) fn refusal(out: &mut Vec<u8>, status: u16, decision: Option<&str>, is_head: bool, close: bool) {
    let body = problem(status, decision);
    let _ = write!(
        out,
        "HTTP/1.1 {status} {}\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\n",
        title(status),
        body.len()
    );
    if status == 401 {
        line(out, b"www-authenticate", CHALLENGE.as_bytes());
    }
    if close {
        out.extend_from_slice(b"connection: close\r\n");
    }
    out.extend_from_slice(b"\r\n");
    if !is_head {
        out.extend_from_slice(body.as_bytes());
    }
}
