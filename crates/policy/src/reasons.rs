//! Every reason code there is, with what it means: a closed set, safe as a metric label. docs/policy.md shows this table,
//! and tests compare it with the codes that the engine and the proxy use.
use model::TokenFault;

use crate::{PathFault, Reason, gate::RequestFault};

/// Who says a code, in the order in which a request meets them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Teller {
    /// The policies of the called node.
    Policy,
    /// The check of the token.
    Token,
    /// The check of the peer.
    Peer,
    /// The path's normal form.
    Path,
    /// `ward policy check`, of a request that no proxy would have read this far.
    Check,
    /// The proxy, of what it cannot read.
    Head,
    /// The proxy, of what it cannot do.
    Proxy,
}

impl Teller {
    /// Every one, in the order of the tables.
    pub const ALL: [Self; 7] =
        [Self::Policy, Self::Token, Self::Peer, Self::Path, Self::Head, Self::Check, Self::Proxy];

    /// The heading of its part of the table.
    pub fn title(self) -> &'static str {
        match self {
            Self::Policy => "Policies",
            Self::Token => "Tokens",
            Self::Peer => "Peers",
            Self::Path => "Paths",
            Self::Head => "What the proxy cannot read",
            Self::Check => "What `ward policy check` cannot read",
            Self::Proxy => "What the proxy cannot do",
        }
    }
}

/// One code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReasonCode {
    /// What records, metrics and JSON carry.
    pub code: &'static str,
    /// Who says it.
    pub teller: Teller,
    /// What the caller is answered; 0 when the request goes on, or the caller is gone.
    pub status: u16,
    /// What it means, without a full stop.
    pub meaning: &'static str,
}

impl ReasonCode {
    /// Whether a policy decided, so that its rules explain the answer.
    pub fn by_policy(&self) -> bool {
        self.teller == Teller::Policy
    }
}

const fn code(teller: Teller, code: &'static str, status: u16, meaning: &'static str) -> ReasonCode {
    ReasonCode { code, teller, status, meaning }
}

use Teller::{Check, Head, Path, Peer, Policy, Proxy, Token};

/// The closed set.
pub const REASONS: &[ReasonCode] = &[
    code(Policy, "allowed", 0, "a rule of an ALLOW policy matched"),
    code(Policy, "no-policy", 0, "no ALLOW policy selects the workload, and no other policy denied"),
    code(Policy, "denied-by-policy", 403, "a rule of a DENY policy matched"),
    code(
        Policy,
        "http-rule-on-tcp",
        403,
        "a rule of a DENY or CUSTOM policy asks for HTTP fields, which a TCP connection does not show",
    ),
    code(Policy, "no-provider", 403, "a rule of a CUSTOM policy matched, and its provider cannot be asked"),
    code(Policy, "no-rule-matched", 403, "there are ALLOW rules, and none matched"),
    code(Policy, "nothing-allowed", 403, "ALLOW policies select the workload, and hold no rule at all"),
    code(Token, "jwt-too-long", 401, "the token is longer than is read, or the request carries too many"),
    code(
        Token,
        "jwt-malformed",
        401,
        "the token is no JSON Web Token: not three parts of base64url, no JSON, or a claim of the wrong type",
    ),
    code(Token, "jwt-encrypted", 401, "the token is encrypted, compressed or wraps another one"),
    code(Token, "jwt-algorithm", 401, "the token is unsigned, or signed by a shared secret or an unknown algorithm"),
    code(Token, "jwt-critical", 401, "the token asks for an extension that is not understood"),
    code(Token, "jwt-type", 401, "the token's `typ` says that it is for something else"),
    code(Token, "jwt-expired", 401, "the token has expired"),
    code(Token, "jwt-not-yet-valid", 401, "the token is not valid yet"),
    code(Token, "jwt-issuer", 401, "no rule accepts tokens of this issuer"),
    code(Token, "jwt-audience", 401, "the token is for another audience; 403 with `compat: istio`"),
    code(
        Token,
        "jwt-no-keys",
        401,
        "there are no keys of the issuer to check the token with: never fetched, or too old",
    ),
    code(Token, "jwt-unknown-key", 401, "no key of the issuer fits the token's `kid` and `alg`"),
    code(Token, "jwt-signature", 401, "the signature is not the issuer's: the token is forged or altered"),
    code(Peer, "mtls-required", 403, "the port takes only peers that prove an identity, and this one came without"),
    code(
        Peer,
        "mtls-disabled",
        403,
        "the port has no TLS, so that nobody can have checked the identity that was given",
    ),
    code(Peer, "svid-expired", 403, "the peer's certificate ended while its connection was open"),
    code(Peer, "bad-peer", 400, "the peer's name is no SPIFFE ID"),
    code(
        Path,
        "path-not-absolute",
        400,
        "the path does not start with `/`, such as `admin` or `%2Fadmin`; `*` is let through for `OPTIONS`",
    ),
    code(
        Path,
        "path-raw-byte",
        400,
        "the path holds a blank, a control character or a byte over 127 that is not percent-encoded",
    ),
    code(Path, "path-bad-escape", 400, "the path holds `%` without two hexadecimal digits: `/%zz`, `/100%`"),
    code(Path, "path-encoded-control", 400, "the path holds an encoded control character: `%00` to `%1F`, `%7F`"),
    code(
        Path,
        "path-not-utf8",
        400,
        "the path holds encoded bytes that are not UTF-8, among them overlong forms such as `%c0%af`",
    ),
    code(Check, "bad-method", 400, "this is no method"),
    code(Check, "bad-host", 400, "a blank or control character in the host, or none at all"),
    code(Check, "two-hosts", 400, "the request names two hosts that differ"),
    code(
        Check,
        "bad-header",
        400,
        "a header's name is none, or its value holds a NUL, CR or LF; or there are too many",
    ),
    code(Check, "bad-line", 400, "the line is no request; `detail` says why"),
    code(Head, "request-line", 400, "the first line is no request line"),
    code(Head, "line-end", 400, "a line does not end as HTTP wants it"),
    code(Head, "method", 400, "the method is none"),
    code(Head, "target", 400, "the request target is neither a path nor an address that fits the method"),
    code(Head, "host", 400, "the host is malformed"),
    code(Head, "host-missing", 400, "there is no host"),
    code(Head, "host-repeated", 400, "there are two hosts"),
    code(Head, "host-and-target", 400, "the host and the request target name two hosts that differ"),
    code(Head, "header-name", 400, "a header's name is malformed"),
    code(Head, "header-value", 400, "a header's value holds a forbidden byte"),
    code(Head, "connection", 400, "`Connection` is malformed or names too much"),
    code(Head, "length", 400, "`Content-Length` is no number"),
    code(Head, "length-repeated", 400, "`Content-Length` comes twice"),
    code(Head, "length-and-encoding", 400, "`Content-Length` beside `Transfer-Encoding`, as in request smuggling"),
    code(Head, "encoding-in-1.0", 400, "`Transfer-Encoding` in HTTP/1.0"),
    code(Head, "transfer-encoding", 400, "a `Transfer-Encoding` other than `chunked`"),
    code(Head, "chunk-size", 400, "the size of a chunk is malformed"),
    code(Head, "chunk-end", 400, "a chunk does not end where it says"),
    code(Head, "trailers", 400, "the trailers are malformed or too large"),
    code(Head, "head-too-large", 431, "the head is larger than the limit, in bytes or lines"),
    code(Head, "target-too-long", 414, "the request target is longer than the limit"),
    code(Head, "head-timeout", 408, "the head did not come in time"),
    code(Head, "version", 505, "a version of HTTP other than 1.0, 1.1 and 2"),
    code(Proxy, "no-route", 404, "no such host, or no flow leads there"),
    code(Proxy, "misdirected", 421, "this connection does not serve that host"),
    code(Proxy, "wrong-protocol", 502, "the service does not speak what was asked"),
    code(Proxy, "denied", 403, "the policies denied; the record has their code"),
    code(
        Proxy,
        "not-recorded",
        503,
        "the record of the decision cannot be kept, and the flow is `strict` or `critical`",
    ),
    code(Proxy, "not-ready", 503, "the proxy has no configuration yet"),
    code(Proxy, "connect", 503, "no endpoint of the upstream could be reached"),
    code(Proxy, "identity", 502, "the upstream's TLS or identity is wrong"),
    code(Proxy, "reset", 502, "the upstream closed before it answered"),
    code(Proxy, "bad-response", 502, "the upstream's answer is malformed"),
    code(Proxy, "timeout", 504, "the upstream did not answer in time"),
    code(Proxy, "gone", 0, "the caller went away"),
    code(Proxy, "interrupted", 0, "no byte moved for too long, or the connection was cut"),
];

/// What is known of a code.
pub fn find(code: &str) -> Option<&'static ReasonCode> {
    REASONS.iter().find(|one| one.code == code)
}

/// What a code means, without a full stop.
pub fn meaning(code: &str) -> Option<&'static str> {
    find(code).map(|one| one.meaning)
}

/// Every code that this engine gives, from where it is given.
pub fn of_the_engine() -> impl Iterator<Item = &'static str> {
    let policies = Reason::ALL.into_iter().map(Reason::as_str);
    let paths = PathFault::ALL.into_iter().map(PathFault::as_str);
    let tokens = TokenFault::ALL.iter().map(|fault| fault.as_str());
    policies.chain(tokens).chain(paths).chain(RequestFault::ALL.into_iter().map(RequestFault::as_str))
}

#[cfg(test)]
mod tests;
