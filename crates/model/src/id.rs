//! Identifiers that cannot be malformed: DNS labels, trust domains, SPIFFE IDs.
use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

/// A name in the model: a DNS label (RFC 1123 §2.1), 1 to 63 of `[a-z0-9-]`, no hyphen at either end.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(Arc<str>); // Invariant: made only by `TryFrom`, so always a DNS label.

/// A trust domain (SPIFFE-ID §2.1): 1 to 255 of `[a-z0-9._-]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TrustDomain(Arc<str>); // Invariant: made only by `TryFrom`.

/// A workload's identity: `spiffe://<trust domain>/<path>`, at most 2,048 bytes (SPIFFE-ID §2.3), path not empty,
/// segments of `[A-Za-z0-9._-]` that are neither empty nor `.` nor `..`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SpiffeId(Arc<str>); // Invariant: made only by `TryFrom` and `for_node`, so always canonical.

/// Why a string is not the identifier it was read as.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Not a DNS label.
    #[error("`{0}` is not a name: use 1 to 63 lower-case letters, digits and inner hyphens")]
    Name(String),
    /// Not a trust domain.
    #[error("`{0}` is not a trust domain: use 1 to 255 of a-z, 0-9, `.`, `-`, `_`")]
    TrustDomain(String),
    /// Not a SPIFFE ID.
    #[error("`{id}` is not a SPIFFE ID: {why}")]
    SpiffeId {
        /// What was read.
        id: String,
        /// The rule it breaks.
        why: &'static str,
    },
}

impl Name {
    /// A name of our own, known to be one.
    pub(crate) fn known(text: &'static str) -> Self {
        debug_assert!(Self::try_from(text.to_owned()).is_ok());
        Self(text.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Name {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        let b = text.as_bytes();
        let ok = (1..=63).contains(&b.len())
            && b.iter().all(|c| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'-'))
            && b.first() != Some(&b'-')
            && b.last() != Some(&b'-');
        if ok { Ok(Self(text.into())) } else { Err(IdError::Name(text)) }
    }
}

impl TrustDomain {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for TrustDomain {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        let ok = (1..=255).contains(&text.len())
            && text.bytes().all(|c| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_'));
        if ok { Ok(Self(text.into())) } else { Err(IdError::TrustDomain(text)) }
    }
}

impl SpiffeId {
    /// The identity of a node: `spiffe://<trust domain>/ns/<namespace>/sa/<node>`, the form Istio policies expect.
    pub fn for_node(domain: &TrustDomain, namespace: &Name, node: &Name) -> Self {
        Self(format!("spiffe://{domain}/ns/{namespace}/sa/{node}").into())
    }

    /// The whole URI.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The principal as Istio writes it: the URI without `spiffe://`.
    pub fn principal(&self) -> &str {
        self.0.strip_prefix("spiffe://").unwrap_or(&self.0)
    }

    /// The trust domain, the part before the first slash of the principal.
    pub fn trust_domain(&self) -> &str {
        self.principal().split('/').next().unwrap_or_default()
    }

    /// Namespace and service account, when the path has the form `/ns/<namespace>/sa/<account>`.
    pub fn namespace_and_account(&self) -> Option<(&str, &str)> {
        let mut parts = self.principal().split('/').skip(1);
        match (parts.next(), parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some("ns"), Some(ns), Some("sa"), Some(sa), None) => Some((ns, sa)),
            _ => None,
        }
    }
}

impl TryFrom<String> for SpiffeId {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        match spiffe_fault(&text) {
            None => Ok(Self(text.into())),
            Some(why) => Err(IdError::SpiffeId { id: text, why }),
        }
    }
}

fn spiffe_fault(text: &str) -> Option<&'static str> {
    if text.len() > 2048 {
        return Some("longer than 2,048 bytes");
    }
    let Some(rest) = text.strip_prefix("spiffe://") else { return Some("it must start with spiffe://") };
    let Some((domain, path)) = rest.split_once('/') else { return Some("it needs a path") };
    if TrustDomain::try_from(domain.to_owned()).is_err() {
        return Some("its trust domain may hold only a-z, 0-9, `.`, `-`, `_`");
    }
    for segment in path.split('/') {
        if segment.is_empty() {
            return Some("a path segment is empty");
        }
        if segment == "." || segment == ".." {
            return Some("a path segment is `.` or `..`");
        }
        if !segment.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-' | b'_')) {
            return Some("a path segment may hold only letters, digits, `.`, `-`, `_`");
        }
    }
    None
}

macro_rules! text {
    ($($t:ident),*) => {$(
        impl fmt::Display for $t {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(&self.0) }
        }
        impl From<$t> for String {
            fn from(v: $t) -> String { v.0.as_ref().to_owned() }
        }
        impl std::str::FromStr for $t {
            type Err = IdError;
            fn from_str(s: &str) -> Result<Self, IdError> { Self::try_from(s.to_owned()) }
        }
        impl AsRef<str> for $t { fn as_ref(&self) -> &str { &self.0 } }
        impl std::borrow::Borrow<str> for $t { fn borrow(&self) -> &str { &self.0 } }
    )*};
}
text!(Name, TrustDomain, SpiffeId);
