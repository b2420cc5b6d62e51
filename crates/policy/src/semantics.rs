//! Whose reading of policies and requests holds.
use std::borrow::Cow;

use http::Method;

use crate::path::{PathFault, normalize_base, normalize_path};

/// Chosen when a rule set is compiled; a decision does not ask for it again. docs/policy.md lists every difference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Semantics {
    /// Ward's own: one spelling for each path, hosts without port, lists in headers; doubt never allows.
    #[default]
    Ward,
    /// What Istio and Envoy do with their default settings, to the letter.
    Istio,
}

/// The methods that Envoy's HTTP/1.1 codec knows; others are answered with 400.
const ENVOY_METHODS: &[&str] = &[
    "ACL",
    "BIND",
    "CHECKOUT",
    "CONNECT",
    "COPY",
    "DELETE",
    "GET",
    "HEAD",
    "LINK",
    "LOCK",
    "MERGE",
    "MKACTIVITY",
    "MKCALENDAR",
    "MKCOL",
    "MOVE",
    "MSEARCH",
    "NOTIFY",
    "OPTIONS",
    "PATCH",
    "POST",
    "PROPFIND",
    "PROPPATCH",
    "PURGE",
    "PUT",
    "REBIND",
    "REPORT",
    "SEARCH",
    "SOURCE",
    "SUBSCRIBE",
    "TRACE",
    "UNBIND",
    "UNLINK",
    "UNLOCK",
    "UNSUBSCRIBE",
];

impl Semantics {
    /// The path of a request as policies compare it.
    ///
    /// # Errors
    /// The request is answered with 400 instead.
    pub fn normalize(self, path: &str) -> Result<Cow<'_, str>, PathFault> {
        match self {
            Self::Ward => normalize_path(path),
            Self::Istio => normalize_base(path),
        }
    }

    /// Whether a request may have this method: any token (RFC 9110 §9.1); to Envoy, one that it knows. Others are answered
    /// with 400.
    pub fn knows_method(self, method: &str) -> bool {
        match self {
            Self::Ward => Method::from_bytes(method.as_bytes()).is_ok(),
            Self::Istio => ENVOY_METHODS.contains(&method),
        }
    }
}
