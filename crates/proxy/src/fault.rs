//! What can go wrong with a request, who is to blame, and what the caller is told: status and title, never what we know.
use policy::PathFault;

/// Who is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blame {
    Downstream,
    Upstream,
    Policy,
    Internal,
}

/// Why a request was not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A head that is not HTTP/1.1, or ambiguous; the code says which rule it breaks.
    Malformed(&'static str),
    /// The path cannot be normalized.
    Path(PathFault),
    /// Header bytes or lines beyond the limit.
    HeadTooLarge,
    /// The request target is beyond the limit.
    TargetTooLong,
    /// The head did not come in time.
    HeadTimeout,
    /// A version other than 1.0 and 1.1.
    Version,
    /// No such host, upstream or route.
    NoRoute,
    /// This connection does not serve that host.
    Misdirected,
    /// The service does not speak what was asked: HTTP to a TCP service, HTTP/1.1 to a gRPC one, CONNECT to HTTP.
    WrongProtocol,
    /// Policy.
    Denied,
    /// The token: the status, and which check it failed.
    Token(u16, &'static str),
    /// The peer's certificate ended while its connection was open.
    Expired,
    /// The record of a strict flow cannot be kept.
    NotRecorded,
    /// No configuration yet.
    NotReady,
    /// No endpoint could be reached.
    Connect,
    /// The peer's TLS or identity was wrong.
    Identity,
    /// The upstream closed or broke off before a response.
    Reset,
    /// The upstream's response is malformed.
    BadResponse,
    /// The response head did not come in time.
    Timeout,
    /// The caller went away.
    Gone,
    /// No byte moved for too long, or the connection was cut.
    Interrupted,
}

impl Fault {
    /// Blame, status, reason code and Envoy-style response flag: the one place that decides them.
    pub(crate) fn facts(self) -> (Blame, u16, &'static str, &'static str) {
        use Blame::{Downstream, Internal, Policy, Upstream};
        match self {
            Self::Malformed(code) => (Downstream, 400, code, "DPE"),
            Self::Path(fault) => (Downstream, 400, fault.as_str(), "DPE"),
            Self::HeadTooLarge => (Downstream, 431, "head-too-large", "DPE"),
            Self::TargetTooLong => (Downstream, 414, "target-too-long", "DPE"),
            Self::HeadTimeout => (Downstream, 408, "head-timeout", "DT"),
            Self::Version => (Downstream, 505, "version", "DPE"),
            Self::NoRoute => (Downstream, 404, "no-route", "NR"),
            Self::Misdirected => (Downstream, 421, "misdirected", "NR"),
            Self::WrongProtocol => (Downstream, 502, "wrong-protocol", "DPE"),
            Self::Denied => (Policy, 403, "denied", "UAEX"),
            Self::Token(status, check) => (Policy, status, check, DENIED),
            Self::Expired => (Policy, 403, "svid-expired", "UAEX"),
            Self::NotRecorded => (Internal, 503, "not-recorded", "UAEX"),
            Self::NotReady => (Internal, 503, "not-ready", "NC"),
            Self::Connect => (Upstream, 503, "connect", "UF"),
            Self::Identity => (Upstream, 502, "identity", "UF"),
            Self::Reset => (Upstream, 502, "reset", "UC"),
            Self::BadResponse => (Upstream, 502, "bad-response", "UPE"),
            Self::Timeout => (Upstream, 504, "timeout", "UT"),
            Self::Gone => (Downstream, 499, "gone", "DC"),
            Self::Interrupted => (Downstream, 499, "interrupted", "SI"),
        }
    }

    pub(crate) fn status(self) -> u16 {
        self.facts().1
    }

    pub(crate) fn code(self) -> &'static str {
        self.facts().2
    }

    pub(crate) fn flag(self) -> &'static str {
        self.facts().3
    }

    /// Whether the connection must end: after these we no longer know where the next request begins.
    pub(crate) fn closes(self) -> bool {
        matches!(
            self,
            Self::Expired
                | Self::Malformed(_)
                | Self::Path(_)
                | Self::HeadTooLarge
                | Self::TargetTooLong
                | Self::HeadTimeout
                | Self::Version
        )
    }
}

/// The reason phrase of a status we send.
pub(crate) fn title(status: u16) -> &'static str {
    http::StatusCode::from_u16(status).ok().and_then(|s| s.canonical_reason()).unwrap_or("Error")
}

/// Envoy's response flag of what policy refused.
const DENIED: &str = "UAEX";

/// What a 401 asks for (RFC 9110 §11.6.1, RFC 6750 §3). Why the token does not count stands in the record alone.
pub(crate) const CHALLENGE: &str = "Bearer error=\"invalid_token\"";

/// The problem document (RFC 9457).
pub(crate) fn problem(status: u16, decision: Option<&str>) -> String {
    let title = title(status);
    match decision {
        Some(id) => format!(r#"{{"type":"about:blank","title":"{title}","status":{status},"decision":"{id}"}}"#),
        None => format!(r#"{{"type":"about:blank","title":"{title}","status":{status}}}"#),
    }
}
