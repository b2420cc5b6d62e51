//! Message heads: parsed in place, and refused when two readers could disagree about where the message ends
//! (RFC 9112 §6.3). Nothing is copied.
use std::mem::MaybeUninit;

use httparse::{Error as ParseError, Header, ParserConfig, Status};

use crate::{fault::Fault, limits::Limits};

/// Room for the lines of a head; `Limits::headers_max` is at most this.
pub(crate) const SLOTS: usize = 128;
/// Headers that `Connection` may name.
const NOMINATED_MAX: usize = 8;

/// The slots a head is parsed into.
pub(crate) type Slots<'b> = [MaybeUninit<Header<'b>>; SLOTS];

/// How the end of a body is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Length {
    /// Content-Length, 0 when there is no body.
    Known(u64),
    /// Transfer-Encoding: chunked.
    Chunked,
    /// Until the connection closes; responses only.
    UntilClose,
}

/// A request head.
#[derive(Debug)]
pub(crate) struct RequestHead<'b> {
    pub(crate) method: &'b str,
    pub(crate) target: &'b str,
    /// HTTP/1.`minor`.
    pub(crate) minor: u8,
    pub(crate) headers: &'b [Header<'b>],
    /// Bytes of the head.
    pub(crate) bytes: usize,
    pub(crate) body: Length,
    /// Whether Content-Length was there: `0` says more than nothing does.
    pub(crate) has_length: bool,
    /// The one Host header.
    pub(crate) host: Option<&'b str>,
    /// The connection ends after this message.
    pub(crate) close: bool,
    /// `Connection: upgrade` and `Upgrade: websocket`.
    pub(crate) upgrade: Option<&'b [u8]>,
    pub(crate) nominated: Nominated<'b>,
}

/// A response head.
#[derive(Debug)]
pub(crate) struct ResponseHead<'b> {
    pub(crate) status: u16,
    pub(crate) reason: &'b str,
    pub(crate) headers: &'b [Header<'b>],
    pub(crate) bytes: usize,
    pub(crate) body: Length,
    /// As received, also where no body follows (HEAD, 304).
    pub(crate) content_length: Option<u64>,
    /// The connection cannot be used again.
    pub(crate) close: bool,
    pub(crate) upgrade: Option<&'b [u8]>,
    pub(crate) nominated: Nominated<'b>,
}

/// Headers that `Connection` names besides `close`, `keep-alive`, `upgrade` and `te`.
#[derive(Debug, Default)]
pub(crate) struct Nominated<'b> {
    names: [&'b [u8]; NOMINATED_MAX],
    count: usize,
}

impl Nominated<'_> {
    /// Whether this header is meant for one hop only.
    pub(crate) fn contains(&self, name: &[u8]) -> bool {
        self.names.iter().take(self.count).any(|n| n.eq_ignore_ascii_case(name))
    }
}

/// Parses a request head; `None` is "not complete yet".
pub(crate) fn request<'b>(
    bytes: &'b [u8],
    slots: &'b mut Slots<'b>,
    limits: &Limits,
) -> Result<Option<RequestHead<'b>>, Fault> {
    let slots = slots.get_mut(..limits.headers_max.min(SLOTS)).unwrap_or_default();
    let mut request = httparse::Request::new(&mut []);
    let parsed = ParserConfig::default().parse_request_with_uninit_headers(&mut request, bytes, slots);
    let length = match parsed {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) => {
            return match request.path {
                Some(target) if target.len() > limits.target_bytes_max => Err(Fault::TargetTooLong),
                None if bytes.len() > limits.target_bytes_max.saturating_add(64) => Err(Fault::TargetTooLong),
                _ if bytes.len() >= limits.header_bytes_max => Err(Fault::HeadTooLarge),
                _ => Ok(None),
            };
        }
        Err(error) => return Err(request_fault(&error)),
    };
    if length > limits.header_bytes_max {
        return Err(Fault::HeadTooLarge);
    }
    let httparse::Request { method: Some(method), path: Some(target), version: Some(minor), headers } = request else {
        return Err(Fault::Malformed("request-line"));
    };
    if target.len() > limits.target_bytes_max {
        return Err(Fault::TargetTooLong);
    }
    // Methods are case-sensitive; a lower-case one would be another method to us and the same to some applications.
    if !method.bytes().all(|b| b.is_ascii_uppercase() || matches!(b, b'-' | b'_')) || method.len() > 32 {
        return Err(Fault::Malformed("method"));
    }
    check_lines(bytes.get(..length).unwrap_or_default())?;
    let headers: &'b [Header<'b>] = headers;
    let seen = Seen::of(headers)?;
    if minor == 1 && seen.hosts == 0 {
        return Err(Fault::Malformed("host-missing"));
    }
    let body = match (seen.chunked, seen.content_length) {
        (true, Some(_)) => return Err(Fault::Malformed("length-and-encoding")),
        // RFC 9112 §6.1: an HTTP/1.0 message with Transfer-Encoding has faulty framing.
        (true, None) if minor == 0 => return Err(Fault::Malformed("encoding-in-1.0")),
        (true, None) => Length::Chunked,
        (false, length) => Length::Known(length.unwrap_or(0)),
    };
    Ok(Some(RequestHead {
        method,
        target,
        minor,
        headers,
        bytes: length,
        body,
        has_length: seen.content_length.is_some(),
        host: seen.host,
        close: seen.close || minor == 0,
        upgrade: seen.websocket().filter(|_| minor == 1),
        nominated: seen.nominated,
    }))
}

/// Parses a response head to a request with `method`; `None` is "not complete yet". Any fault is the upstream's.
pub(crate) fn response<'b>(
    bytes: &'b [u8],
    slots: &'b mut Slots<'b>,
    limits: &Limits,
    is_head: bool,
) -> Result<Option<ResponseHead<'b>>, Fault> {
    let slots = slots.get_mut(..limits.headers_max.min(SLOTS)).unwrap_or_default();
    let mut response = httparse::Response::new(&mut []);
    let length = match ParserConfig::default().parse_response_with_uninit_headers(&mut response, bytes, slots) {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) if bytes.len() >= limits.header_bytes_max => return Err(Fault::BadResponse),
        Ok(Status::Partial) => return Ok(None),
        Err(_) => return Err(Fault::BadResponse),
    };
    let httparse::Response { version: Some(minor), code: Some(status), reason, headers } = response else {
        return Err(Fault::BadResponse);
    };
    if length > limits.header_bytes_max || !(100..=999).contains(&status) {
        return Err(Fault::BadResponse);
    }
    check_lines(bytes.get(..length).unwrap_or_default()).map_err(|_| Fault::BadResponse)?;
    let headers: &'b [Header<'b>] = headers;
    let seen = Seen::of(headers).map_err(|_| Fault::BadResponse)?;
    let body = match (seen.chunked, seen.content_length) {
        _ if is_head || status < 200 || status == 204 || status == 304 => Length::Known(0),
        (true, Some(_)) => return Err(Fault::BadResponse),
        (true, None) if minor == 0 => return Err(Fault::BadResponse),
        (true, None) => Length::Chunked,
        (false, Some(length)) => Length::Known(length),
        (false, None) => Length::UntilClose,
    };
    Ok(Some(ResponseHead {
        status,
        reason: reason.unwrap_or_default(),
        headers,
        bytes: length,
        body,
        content_length: seen.content_length,
        close: seen.close || (minor == 0 && !seen.keep_alive) || body == Length::UntilClose,
        upgrade: seen.websocket(),
        nominated: seen.nominated,
    }))
}

fn request_fault(error: &ParseError) -> Fault {
    match error {
        ParseError::TooManyHeaders => Fault::HeadTooLarge,
        ParseError::Version => Fault::Version,
        ParseError::HeaderName => Fault::Malformed("header-name"),
        ParseError::HeaderValue => Fault::Malformed("header-value"),
        ParseError::NewLine => Fault::Malformed("line-end"),
        ParseError::Token => Fault::Malformed("request-line"),
        ParseError::Status => Fault::Malformed("request-line"),
    }
}

/// Every line must end in CR LF: a lone LF is read as a line end by some and as data by others.
fn check_lines(head: &[u8]) -> Result<(), Fault> {
    let mut previous = 0;
    for byte in head {
        if *byte == b'\n' && previous != b'\r' {
            return Err(Fault::Malformed("line-end"));
        }
        previous = *byte;
    }
    Ok(())
}

/// What the headers say about framing and the connection.
#[derive(Default)]
struct Seen<'b> {
    content_length: Option<u64>,
    chunked: bool,
    host: Option<&'b str>,
    hosts: usize,
    close: bool,
    keep_alive: bool,
    connection_upgrade: bool,
    upgrade: Option<&'b [u8]>,
    nominated: Nominated<'b>,
}

impl<'b> Seen<'b> {
    fn of(headers: &'b [Header<'b>]) -> Result<Self, Fault> {
        let mut seen = Self::default();
        for header in headers {
            let name = header.name.as_bytes();
            match name.len() {
                4 if name.eq_ignore_ascii_case(b"host") => {
                    seen.hosts += 1;
                    let host = std::str::from_utf8(header.value).ok().filter(|h| is_authority(h));
                    seen.host = Some(host.ok_or(Fault::Malformed("host"))?);
                    if seen.hosts > 1 {
                        return Err(Fault::Malformed("host-repeated"));
                    }
                }
                14 if name.eq_ignore_ascii_case(b"content-length") => {
                    if seen.content_length.is_some() {
                        return Err(Fault::Malformed("length-repeated"));
                    }
                    seen.content_length = Some(content_length(header.value)?);
                }
                17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                    // Only the one coding that all agree on; `gzip, chunked` and a second line are not it.
                    if seen.chunked || !header.value.eq_ignore_ascii_case(b"chunked") {
                        return Err(Fault::Malformed("transfer-encoding"));
                    }
                    seen.chunked = true;
                }
                10 if name.eq_ignore_ascii_case(b"connection") => seen.connection(header.value)?,
                7 if name.eq_ignore_ascii_case(b"upgrade") => seen.upgrade = Some(header.value),
                _ => {}
            }
        }
        Ok(seen)
    }

    /// The only upgrade that is passed on. `h2c` would carry requests past the policy, inside the tunnel.
    fn websocket(&self) -> Option<&'b [u8]> {
        self.upgrade.filter(|u| self.connection_upgrade && u.eq_ignore_ascii_case(b"websocket"))
    }

    fn connection(&mut self, value: &'b [u8]) -> Result<(), Fault> {
        for token in value.split(|b| *b == b',').map(<[u8]>::trim_ascii).filter(|t| !t.is_empty()) {
            if token.eq_ignore_ascii_case(b"close") {
                self.close = true;
            } else if token.eq_ignore_ascii_case(b"keep-alive") {
                self.keep_alive = true;
            } else if token.eq_ignore_ascii_case(b"upgrade") {
                self.connection_upgrade = true;
            } else if !token.eq_ignore_ascii_case(b"te") {
                // Naming these would take away what policies or framing rest on.
                let vital: [&[u8]; 5] =
                    [b"host", b"content-length", b"transfer-encoding", b"authorization", b"x-forwarded-client-cert"];
                if vital.iter().any(|v| token.eq_ignore_ascii_case(v)) {
                    return Err(Fault::Malformed("connection"));
                }
                *self.nominated.names.get_mut(self.nominated.count).ok_or(Fault::Malformed("connection"))? = token;
                self.nominated.count += 1;
            }
        }
        Ok(())
    }
}

/// Digits only: no sign, no list, no blanks (RFC 9110 §8.6).
fn content_length(value: &[u8]) -> Result<u64, Fault> {
    let fault = Fault::Malformed("length");
    if value.is_empty() || value.len() > 19 {
        return Err(fault);
    }
    value.iter().try_fold(0u64, |n, b| match b {
        b'0'..=b'9' => n.checked_mul(10).and_then(|n| n.checked_add(u64::from(b - b'0'))).ok_or(fault),
        _ => Err(fault),
    })
}

/// `host[:port]` without user information (RFC 9110 §4.2.4). Empty is allowed by RFC 9112 §3.2 and useless to us.
pub(crate) fn is_authority(text: &str) -> bool {
    let (host, port) = match text.rfind(':') {
        Some(colon) if !text.ends_with(']') => (text.get(..colon).unwrap_or_default(), text.get(colon + 1..)),
        _ => (text, None),
    };
    let port_ok = port.is_none_or(|p| p.len() <= 5 && p.bytes().all(|b| b.is_ascii_digit()));
    let host_ok = match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        Some(v6) => v6.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            !host.is_empty()
                && host
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'~' | b'%' | b'!'))
        }
    };
    text.len() <= 261 && port_ok && host_ok
}

#[cfg(test)]
mod tests;
