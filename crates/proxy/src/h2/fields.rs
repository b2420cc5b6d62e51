//! The header tables, applied to a `HeaderMap` in place.
use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::{
    decision_id,
    h1::body::is_trailer,
    h1::render::{Additions, forwarded},
    headers::{Action, REQUEST_INDEX, RESPONSE_INDEX, Side, is_request_id, is_traceparent},
};

/// Makes a request's headers what the next hop gets. `host` is what the request named.
pub(crate) fn request(headers: &mut HeaderMap, add: &Additions<'_>, host: &str) {
    let mut remove: Vec<HeaderName> = Vec::new();
    for name in headers.keys() {
        let gone = match REQUEST_INDEX.action(add.side, name.as_str().as_bytes()) {
            Action::Keep | Action::Append => false,
            // hyper frames the next hop and knows the length; a length it kept is checked against the data.
            Action::Framing => name != header::CONTENT_LENGTH,
            Action::Trailers => headers.get(name).is_none_or(|v| v != "trailers"),
            Action::SetIfAbsent if name == "x-request-id" => !one_valid(headers, name, is_request_id),
            Action::SetIfAbsent | Action::KeepIfValid => !one_valid(headers, name, is_traceparent),
            Action::Remove | Action::Set | Action::Read => true,
        };
        if gone {
            remove.push(name.clone());
        }
    }
    remove.iter().for_each(|name| drop(headers.remove(name)));
    headers.remove(header::HOST);
    match add.side {
        Side::Outbound => {}
        Side::Inbound => set(headers, "x-forwarded-client-cert", add.client_cert),
        Side::Gateway => {
            let proto = if add.tls { "https" } else { "http" };
            set(headers, "x-forwarded-for", add.peer_ip.to_string().as_bytes());
            set(headers, "x-forwarded-proto", proto.as_bytes());
            set(headers, "x-forwarded-host", host.as_bytes());
            set(headers, "forwarded", forwarded(add.peer_ip, proto, host).as_bytes());
            headers.append(header::VIA, HeaderValue::from_static("2.0 ward"));
            if !headers.contains_key("x-request-id") {
                set(headers, "x-request-id", decision_id::ulid(add.clock.unix_ms()).as_bytes());
            }
            if !headers.contains_key("traceparent") {
                set(headers, "traceparent", decision_id::traceparent().as_bytes());
            }
        }
    }
}

/// HTTP/2 may split the cookie header; HTTP/1.1 has one (RFC 9113 §8.2.3).
pub(crate) fn join_cookies(headers: &mut HeaderMap) {
    let crumbs: Vec<&[u8]> = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if crumbs.len() > 1
        && let Ok(whole) = HeaderValue::from_bytes(&crumbs.join(b"; ".as_slice()))
    {
        headers.insert(header::COOKIE, whole);
    }
}

/// Makes a response's headers what the caller gets.
pub(crate) fn response(headers: &mut HeaderMap, side: Side) {
    let nominated: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(','))
        .filter_map(|t| t.trim().parse().ok())
        .collect();
    let keeps = |name: &HeaderName| match RESPONSE_INDEX.action(side, name.as_str().as_bytes()) {
        Action::Keep => true,
        Action::Framing => name == header::CONTENT_LENGTH,
        _ => false,
    };
    let remove: Vec<HeaderName> = headers.keys().filter(|name| !keeps(name)).cloned().collect();
    remove.iter().chain(&nominated).for_each(|name| drop(headers.remove(name)));
}

/// Takes out of a trailer section what would change framing, routing or identity.
pub(crate) fn trailers(headers: &mut HeaderMap, side: Side) {
    let remove: Vec<HeaderName> = headers.keys().filter(|n| !is_trailer(side, n.as_str())).cloned().collect();
    remove.iter().for_each(|name| drop(headers.remove(name)));
}

fn one_valid(headers: &HeaderMap, name: &HeaderName, valid: fn(&[u8]) -> bool) -> bool {
    let mut values = headers.get_all(name).iter();
    values.next().is_some_and(|v| valid(v.as_bytes())) && values.next().is_none()
}

fn set(headers: &mut HeaderMap, name: &'static str, value: &[u8]) {
    if let Ok(value) = HeaderValue::from_bytes(value)
        && !value.is_empty()
    {
        headers.insert(HeaderName::from_static(name), value);
    }
}
