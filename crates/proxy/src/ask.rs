//! What is asked of a connection: the request as the rules take it, before anything is decided; and what of it is kept
//! to be decided again.
use std::{net::IpAddr, sync::Arc};

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use crate::{
    h1::head::Nominated,
    headers::{Action, REQUEST_INDEX, Side},
};

/// What is asked, before anything is decided.
pub(crate) struct Ask<'a> {
    pub(crate) method: &'a str,
    /// In the normal form of the semantics in force.
    pub(crate) path: &'a str,
    /// Without `?`, as it came.
    pub(crate) query: Option<&'a str>,
    pub(crate) host: &'a str,
    pub(crate) headers: Headers<'a>,
    /// Headers that are meant for this hop only.
    pub(crate) nominated: Option<&'a Nominated<'a>>,
    pub(crate) protocol: policy::Protocol,
    /// HTTP/2 downstream.
    pub(crate) http2: bool,
}

impl<'a> Ask<'a> {
    /// An opaque connection; `headers` are those of the CONNECT that asked for it.
    pub(crate) fn tcp(host: &'a str, headers: Headers<'a>, http2: bool) -> Self {
        let protocol = policy::Protocol::Tcp;
        Self { method: "", path: "", query: None, host, headers, nominated: None, protocol, http2 }
    }

    /// The headers that will be passed on, as far as they come from the caller: one that is taken out here must not
    /// decide anything. `None` when they cannot be held.
    pub(crate) fn passed_on(&self, side: Side) -> Option<HeaderMap> {
        let mut out = HeaderMap::new();
        let passes = |name: &[u8]| !is_forged(side, name) && !self.nominated.is_some_and(|n| n.contains(name));
        match self.headers {
            Headers::Raw(headers) => {
                for header in headers.iter().filter(|h| passes(h.name.as_bytes())) {
                    let name = HeaderName::from_bytes(header.name.as_bytes()).ok()?;
                    out.try_append(name, HeaderValue::from_bytes(header.value).ok()?).ok()?;
                }
            }
            Headers::Map(map) => {
                for (name, value) in map.iter().filter(|(name, _)| passes(name.as_str().as_bytes())) {
                    out.try_append(name.clone(), value.clone()).ok()?;
                }
            }
        }
        Some(out)
    }
}

/// Whether a header means nothing when it comes from this side.
fn is_forged(side: Side, name: &[u8]) -> bool {
    matches!(REQUEST_INDEX.action(side, name), Action::Remove | Action::Set | Action::Read)
}

/// Headers, as either engine has them.
#[derive(Clone, Copy)]
pub(crate) enum Headers<'a> {
    Raw(&'a [httparse::Header<'a>]),
    Map(&'a HeaderMap),
}

impl<'a> Headers<'a> {
    /// The first value of a header.
    pub(crate) fn first(self, name: &str) -> Option<&'a [u8]> {
        match self {
            Self::Raw(headers) => headers.iter().find(|h| h.name.eq_ignore_ascii_case(name)).map(|h| h.value),
            Self::Map(map) => map.get(name).map(HeaderValue::as_bytes),
        }
    }

    /// The last value of a header.
    pub(crate) fn last(self, name: &str) -> Option<&'a [u8]> {
        match self {
            Self::Raw(headers) => headers.iter().rfind(|h| h.name.eq_ignore_ascii_case(name)).map(|h| h.value),
            Self::Map(map) => map.get_all(name).iter().next_back().map(HeaderValue::as_bytes),
        }
    }

    /// Every name and value, those of one name in their order.
    pub(crate) fn each(self, mut take: impl FnMut(&[u8], &[u8])) {
        match self {
            Self::Raw(headers) => headers.iter().for_each(|h| take(h.name.as_bytes(), h.value)),
            Self::Map(map) => map.iter().for_each(|(name, value)| take(name.as_str().as_bytes(), value.as_bytes())),
        }
    }

    /// Only the headers that policies read, and of these only what the application will see too: one that is taken out
    /// here must not decide anything.
    pub(crate) fn only(self, names: &[HeaderName], side: Side, nominated: Option<&Nominated<'_>>) -> HeaderMap {
        let mut out = HeaderMap::new();
        // What was rewritten has nothing for one hop any more, and what we set cannot be named away.
        let nominated = nominated.filter(|_| matches!(self, Self::Raw(_)));
        let passes = |name: &[u8]| !is_forged(side, name) && !nominated.is_some_and(|n| n.contains(name));
        for name in names.iter().filter(|n| passes(n.as_str().as_bytes())) {
            match self {
                Self::Raw(headers) => {
                    for header in headers.iter().filter(|h| h.name.eq_ignore_ascii_case(name.as_str())) {
                        if let Ok(value) = HeaderValue::from_bytes(header.value) {
                            out.append(name.clone(), value);
                        }
                    }
                }
                Self::Map(map) => {
                    for value in map.get_all(name) {
                        out.append(name.clone(), value.clone());
                    }
                }
            }
        }
        out
    }
}

/// What was asked, kept: to be decided again under another snapshot.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) principal: Option<Arc<str>>,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) host: String,
    pub(crate) headers: HeaderMap,
    pub(crate) source_ip: IpAddr,
    pub(crate) remote_ip: Option<IpAddr>,
    pub(crate) destination_ip: Option<IpAddr>,
    pub(crate) port: u16,
    pub(crate) protocol: policy::Protocol,
    pub(crate) sni: Option<String>,
    /// Claims of the token, as it was found good then.
    pub(crate) claims: Option<Arc<Value>>,
}

impl Facts {
    /// As the rules take it.
    pub(crate) fn request(&self) -> policy::Request<'_> {
        policy::Request {
            principal: self.principal.as_deref(),
            method: &self.method,
            path: &self.path,
            host: &self.host,
            headers: &self.headers,
            source_ip: Some(self.source_ip),
            remote_ip: self.remote_ip,
            destination_ip: self.destination_ip,
            port: self.port,
            protocol: self.protocol,
            sni: self.sni.as_deref(),
            jwt: self.claims.as_deref(),
        }
    }
}
