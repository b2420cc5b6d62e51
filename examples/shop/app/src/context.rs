//! What travels with a request from service to service: its id and its place in a trace.
use std::convert::Infallible;

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderName, HeaderValue, header, request::Parts},
};

use crate::{problem::Problem, random};

/// `x-request-id`: one id per request of a customer, the same in the log of every service it touches.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest bearer token read.
const TOKEN_BYTES_MAX: usize = 1_024;
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The forwarded headers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Context {
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Context {
    /// A context for work that no request started.
    pub(crate) fn background() -> Self {
        let id = random::id("shop-").ok().and_then(|id| HeaderValue::from_str(&id).ok());
        Self { headers: id.map(|id| (REQUEST_ID, id)).into_iter().collect() }
    }

    /// The headers to send along.
    pub(crate) fn headers(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        self.headers.iter().map(|(name, value)| (name, value))
    }
}

impl<S: Sync> FromRequestParts<S> for Context {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let copy = |name: HeaderName| parts.headers.get(&name).map(|value| (name, value.clone()));
        Ok(Self { headers: [copy(REQUEST_ID), copy(TRACEPARENT)].into_iter().flatten().collect() })
    }
}

/// Gives a request that came without an id a fresh one, and replaces one that is no printable word of up to 128 bytes,
/// because it goes into logs. Returns the id.
pub(crate) fn ensure_request_id(headers: &mut HeaderMap) -> Option<HeaderValue> {
    let usable =
        |value: &&HeaderValue| (1..=128).contains(&value.len()) && value.as_bytes().iter().all(u8::is_ascii_graphic);
    if let Some(id) = headers.get(&REQUEST_ID).filter(usable) {
        return Some(id.clone());
    }
    let id = HeaderValue::from_str(&random::id("shop-").ok()?).ok()?;
    headers.insert(REQUEST_ID, id.clone());
    Some(id)
}

/// The bearer token of a request (RFC 6750 §2.1).
pub(crate) fn bearer(headers: &HeaderMap) -> Result<&str, Problem> {
    let value = headers.get(header::AUTHORIZATION).ok_or(Problem::unauthorized("log in and send the bearer token"))?;
    let (scheme, token) = value.to_str().ok().and_then(|text| text.split_once(' ')).unwrap_or_default();
    let shaped = (1..=TOKEN_BYTES_MAX).contains(&token.len()) && token.bytes().all(|b| b.is_ascii_graphic());
    if scheme.eq_ignore_ascii_case("bearer") && shaped {
        Ok(token)
    } else {
        Err(Problem::unauthorized("send `authorization: Bearer <token>`"))
    }
}

#[cfg(test)]
mod tests;
