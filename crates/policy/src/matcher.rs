//! One field of a rule held against the facts of a request.
//!
//! Every matcher answers in two readings. `Certain`: the request surely has the value. `Possible`: some application
//! could understand the request as having it, or the fact is not known. What widens access is read as certain, what
//! narrows it as possible; a negation swaps the two. So doubt (a header that comes twice, an HTTP field on a TCP
//! connection, an address nobody told) never helps an ALLOW and never hinders a DENY.
use std::{borrow::Cow, net::IpAddr};

use http::{HeaderMap, HeaderName};
use serde_json::Value;

use crate::{Protocol, Request};

mod cidr;
mod host;
mod identity;
mod method;
mod template;
mod text;

use host::Host;
use method::method_bit;

pub(crate) use cidr::Cidr;
pub(crate) use host::HostPattern;
pub(crate) use identity::{NamespacePattern, ServiceAccount, after, trust_domain};
pub(crate) use method::Methods;
pub(crate) use template::{Segment, Template, TemplateFault};
pub(crate) use text::Text;

/// How sure a match must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// For what allows.
    Certain,
    /// For what denies.
    Possible,
}

impl Reading {
    /// The reading inside a negation.
    pub(crate) fn negated(self) -> Self {
        match self {
            Self::Certain => Self::Possible,
            Self::Possible => Self::Certain,
        }
    }
}

/// One field of a rule: `values` or its negation.
#[derive(Debug)]
pub(crate) struct Check {
    /// As the policy writes it.
    pub(crate) field: Cow<'static, str>,
    /// The values in the policy, for explanations.
    pub(crate) wanted: Box<[String]>,
    /// Whether the request must have none of them.
    pub(crate) negated: bool,
    /// Already swapped when negated.
    pub(crate) reading: Reading,
    /// The values, compiled.
    pub(crate) matcher: Matcher,
}

impl Check {
    /// Whether the request satisfies the field.
    pub(crate) fn holds(&self, facts: &Facts) -> bool {
        self.matcher.test(facts, self.reading) != self.negated
    }
}

/// The values of a field; the request must have one of them.
#[derive(Debug)]
pub(crate) enum Matcher {
    /// Principals without `spiffe://`.
    Principal(Box<[Text]>),
    /// `iss/sub`, as two patterns.
    RequestPrincipal(Box<[(Text, Text)]>),
    /// `/ns/<namespace>/` of the identity.
    Namespace(Box<[NamespacePattern]>),
    /// Namespace and account.
    ServiceAccount(Box<[ServiceAccount]>),
    /// Trust domain of the identity.
    TrustDomain(Box<[Text]>),
    /// Direct peer.
    SourceIp(Box<[Cidr]>),
    /// Original caller.
    RemoteIp(Box<[Cidr]>),
    /// Own address of the connection.
    DestinationIp(Box<[Cidr]>),
    /// A fact that nobody has: possible, never certain.
    Unknown,
    /// A fact that nobody has, in Envoy's manner: absent.
    Absent,
    /// Host names.
    Host(Box<[HostPattern]>),
    /// The whole `:authority`, in Istio's manner: a port is part of it. `*` is present.
    Authority {
        /// The values.
        any: Box<[Text]>,
        /// For `hosts`; a condition on the header minds the case.
        ignore_case: bool,
    },
    /// Ports of the workload.
    Port(Box<[u16]>),
    /// Methods.
    Method(Methods),
    /// Methods to the letter, whatever the reading.
    ExactMethod(Methods),
    /// Paths.
    Path(Box<[PathMatch]>),
    /// A request header.
    Header(HeaderName, Box<[Text]>),
    /// A request header in Envoy's manner: any one of its lines, whole.
    HeaderLine(HeaderName, Box<[Text]>),
    /// A claim, by its path into the token.
    Claim(Box<[String]>, Box<[Text]>),
    /// TLS server name.
    Sni(Box<[Text]>),
}

/// A request with what is computed once for all rules.
pub(crate) struct Facts<'a> {
    pub(crate) request: &'a Request<'a>,
    /// SPIFFE URI, `None` unless it is one.
    pub(crate) uri: Option<&'a str>,
    /// The same without `spiffe://`.
    pub(crate) principal: Option<&'a str>,
    host: Host<'a>,
    method: u16,
    source_ip: Option<IpAddr>,
    remote_ip: Option<IpAddr>,
    destination_ip: Option<IpAddr>,
}

impl<'a> Facts<'a> {
    pub(crate) fn new(request: &'a Request<'a>) -> Self {
        let principal =
            request.principal.and_then(|uri| uri.strip_prefix("spiffe://")).filter(|principal| !principal.is_empty());
        Self {
            request,
            uri: principal.and(request.principal),
            principal,
            host: Host::parse(request.host),
            method: method_bit(request.method),
            // ::ffff:10.0.0.1 is 10.0.0.1, whatever the listener's socket made of it.
            source_ip: request.source_ip.map(|ip| ip.to_canonical()),
            remote_ip: request.remote_ip.map(|ip| ip.to_canonical()),
            destination_ip: request.destination_ip.map(|ip| ip.to_canonical()),
        }
    }

    /// The host without port and trailing dot.
    pub(crate) fn host_name(&self) -> &str {
        self.host.name
    }

    pub(crate) fn is_tcp(&self) -> bool {
        self.request.protocol == Protocol::Tcp
    }
}

impl Matcher {
    /// Whether the field exists on HTTP only.
    pub(crate) fn http_only(&self) -> bool {
        matches!(
            self,
            Self::RequestPrincipal(_)
                | Self::Host(_)
                | Self::Authority { .. }
                | Self::Method(_)
                | Self::ExactMethod(_)
                | Self::Path(_)
                | Self::Header(..)
                | Self::HeaderLine(..)
                | Self::Claim(..)
        )
    }

    fn test(&self, facts: &Facts, reading: Reading) -> bool {
        if facts.is_tcp() && self.http_only() {
            return reading == Reading::Possible;
        }
        match self {
            Self::Principal(any) => facts.principal.is_some_and(|p| any.iter().any(|text| text.matches(p))),
            Self::Namespace(any) => facts.uri.is_some_and(|uri| any.iter().any(|one| one.matches(uri))),
            Self::ServiceAccount(any) => facts.principal.is_some_and(|p| any.iter().any(|one| one.matches(p))),
            Self::TrustDomain(any) => {
                trust_domain(facts).is_some_and(|domain| any.iter().any(|text| text.matches(domain)))
            }
            Self::SourceIp(any) => address_matches(any, facts.source_ip, reading),
            Self::RemoteIp(any) => address_matches(any, facts.remote_ip, reading),
            Self::DestinationIp(any) => address_matches(any, facts.destination_ip, reading),
            Self::Unknown => reading == Reading::Possible,
            Self::Absent => false,
            Self::Port(any) => any.contains(&facts.request.port),
            Self::Sni(any) => any.iter().any(|text| text.matches_ignoring_case(facts.request.sni.unwrap_or_default())),
            Self::Method(methods) => methods.matches(facts.method, facts.request.method, reading),
            Self::ExactMethod(methods) => methods.matches(facts.method, facts.request.method, Reading::Certain),
            Self::Path(any) => any.iter().any(|path| path.matches(facts.request.path)),
            Self::Host(any) => any.iter().any(|pattern| pattern.matches(&facts.host)),
            Self::Authority { any, ignore_case } => any.iter().any(|text| match (text, ignore_case) {
                (Text::Present, _) => true,
                (text, true) => text.matches_ignoring_case(facts.request.host),
                (text, false) => text.matches(facts.request.host),
            }),
            Self::Header(name, any) => header_matches(facts.request.headers, name, any, reading),
            Self::HeaderLine(name, any) => header_line_matches(facts.request.headers, name, any),
            Self::RequestPrincipal(any) => request_principal(facts).is_some_and(|(iss, sub)| {
                any.iter().any(|(want_iss, want_sub)| want_iss.matches(iss) && want_sub.matches(sub))
            }),
            Self::Claim(path, any) => facts
                .request
                .jwt
                .and_then(|claims| claim(claims, path))
                .is_some_and(|found| claim_matches(path, found, any)),
        }
    }

    /// The request's value for people; `None` when it has none.
    pub(crate) fn got(&self, facts: &Facts) -> Option<String> {
        if facts.is_tcp() && self.http_only() {
            return None;
        }
        let some = |text: &str| Some(text).filter(|text| !text.is_empty()).map(str::to_owned);
        match self {
            Self::Principal(_) => facts.principal.and_then(some),
            // The part that is compared, when the identity has the usual form; else all of it.
            Self::Namespace(_) | Self::ServiceAccount(_) => {
                let principal = facts.principal?;
                let parts: Vec<&str> = principal.split('/').collect();
                match (self, parts.as_slice()) {
                    (Self::Namespace(_), [_, "ns", namespace, "sa", _]) => some(namespace),
                    (_, [_, "ns", namespace, "sa", account]) => Some(format!("{namespace}/{account}")),
                    _ => some(principal),
                }
            }
            Self::TrustDomain(_) => trust_domain(facts).and_then(some),
            Self::SourceIp(_) => facts.source_ip.map(|ip| ip.to_string()),
            Self::RemoteIp(_) => facts.remote_ip.map(|ip| ip.to_string()),
            Self::DestinationIp(_) => facts.destination_ip.map(|ip| ip.to_string()),
            Self::Unknown | Self::Absent => None,
            Self::Host(_) | Self::Authority { .. } => some(facts.request.host),
            Self::Port(_) => Some(facts.request.port.to_string()),
            Self::Method(_) | Self::ExactMethod(_) => some(facts.request.method),
            Self::Path(_) => some(facts.request.path),
            Self::Sni(_) => facts.request.sni.and_then(some),
            Self::Header(name, _) | Self::HeaderLine(name, _) => {
                let lines: Vec<_> =
                    facts.request.headers.get_all(name).iter().map(|v| String::from_utf8_lossy(v.as_bytes())).collect();
                (!lines.is_empty()).then(|| lines.join(" | "))
            }
            Self::RequestPrincipal(_) => request_principal(facts).map(|(iss, sub)| format!("{iss}/{sub}")),
            Self::Claim(path, _) => facts.request.jwt.and_then(|claims| claim(claims, path)).map(|found| match found {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            }),
        }
    }
}

/// An address nobody told could be any.
fn address_matches(any: &[Cidr], ip: Option<IpAddr>, reading: Reading) -> bool {
    match ip {
        Some(ip) => any.iter().any(|cidr| cidr.contains(ip)),
        None => reading == Reading::Possible,
    }
}

/// One value of `paths`.
#[derive(Debug)]
pub(crate) enum PathMatch {
    /// Exact, prefix, suffix, any.
    Text(Text),
    /// With `{*}` or `{**}`.
    Template(Template),
}

impl PathMatch {
    /// What differs by a slash at the end; `None` when that matches already, or could never.
    pub(crate) fn with_slash(&self) -> Option<Self> {
        let slashed = |text: &str| (!text.ends_with('/')).then(|| format!("{text}/").into());
        match self {
            Self::Text(Text::Exact(text)) => slashed(text).map(|text| Self::Text(Text::Exact(text))),
            Self::Text(Text::Suffix(text)) => slashed(text).map(|text| Self::Text(Text::Suffix(text))),
            Self::Text(Text::Prefix(_) | Text::Present) => None,
            Self::Template(template) => template.with_slash().map(Self::Template),
        }
    }

    fn matches(&self, path: &str) -> bool {
        match self {
            Self::Text(text) => text.matches(path),
            Self::Template(template) => template.matches(path),
        }
    }
}

/// Certain: the header is there and each of its lines, whole, is one of the values. Possible: one line, or one member
/// of a comma-separated list in it, is (RFC 9110 §5.3 lets an intermediary join lines so).
fn header_matches(headers: &HeaderMap, name: &HeaderName, any: &[Text], reading: Reading) -> bool {
    let mut lines = headers.get_all(name).iter().map(|value| value.as_bytes().trim_ascii()).peekable();
    if lines.peek().is_none() {
        return false;
    }
    let one = |value: &[u8]| any.iter().any(|text| *text == Text::Present || text.matches_bytes(value));
    match reading {
        Reading::Certain => lines.all(one),
        Reading::Possible => {
            lines.any(|line| one(line) || line.split(|byte| *byte == b',').any(|member| one(member.trim_ascii())))
        }
    }
}

/// One line, whole, is one of the values; `*` is any line, even an empty one (Envoy, since CVE-2026-26308).
fn header_line_matches(headers: &HeaderMap, name: &HeaderName, any: &[Text]) -> bool {
    headers
        .get_all(name)
        .iter()
        .map(|value| value.as_bytes().trim_ascii())
        .any(|line| any.iter().any(|text| *text == Text::Present || text.matches_bytes(line)))
}

/// Issuer and subject, when both are there.
fn request_principal<'a>(facts: &Facts<'a>) -> Option<(&'a str, &'a str)> {
    // An empty one is one: `issuer` alone, without a slash, asks for it.
    let text = |name: &str| facts.request.jwt?.get(name)?.as_str();
    Some((text("iss")?, text("sub")?))
}

fn claim<'a>(claims: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(claims, |value, name| value.get(name.as_str()))
}

/// A string is compared whole, or word by word for `scope` and `permission`; of a list any member; numbers and
/// booleans never match.
fn claim_matches(path: &[String], found: &Value, any: &[Text]) -> bool {
    let one = |value: &str| any.iter().any(|text| text.matches(value));
    match (found, path) {
        (Value::String(text), [name]) if matches!(name.as_str(), "scope" | "permission") => {
            text.split_ascii_whitespace().any(one)
        }
        (Value::String(text), _) => one(text),
        (Value::Array(members), _) => members.iter().filter_map(Value::as_str).any(one),
        _ => false,
    }
}
