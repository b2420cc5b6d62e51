//! What a workload's proxy answers to one request, from the bytes of its head to the decision: is it well formed, may the
//! peer connect, does its token count, does a policy allow it? `ward policy check` asks here.
use std::{net::IpAddr, sync::Arc};

use http::{HeaderMap, HeaderName, HeaderValue};
use model::{Documents, Model, SpiffeId, istio::MtlsMode};
use serde::Serialize;
use serde_json::Value;

use crate::{
    CompileError, PathFault, PeerRules, Protocol, Reason, Request, RuleIndex, RuleRef, RuleSet, Semantics, TokenFault,
    TokenHead, TokenRules, TokenVerifier, WhyNot, Workload,
    flows::{authentications_for, rule_set_as, workload_for},
};

/// A request as it arrives.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Arrival {
    /// SPIFFE URI that the peer proved; `None` when it came without a certificate.
    pub peer: Option<String>,
    /// Method.
    pub method: String,
    /// Request target as the caller wrote it: a path with or without query, or a whole `http://…` address.
    pub target: String,
    /// `Host` or `:authority`.
    pub host: String,
    /// Headers in order; those called `host` must agree with `host`.
    pub headers: Vec<(String, String)>,
    /// Claims of a token that was found valid.
    pub jwt: Option<Value>,
    /// TLS server name.
    pub sni: Option<String>,
    /// Address of the peer.
    pub source_ip: Option<IpAddr>,
    /// Address of the original caller; the peer's when nobody tells another.
    pub remote_ip: Option<IpAddr>,
    /// Own address of the connection.
    pub destination_ip: Option<IpAddr>,
    /// Port of the workload; the first one it has when not given, and 0, which no policy names, when it has none.
    pub port: Option<u16>,
    /// HTTP, or opaque bytes.
    pub protocol: Protocol,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// 200, 400, 401 or 403.
    pub status: u16,
    /// `allow` or `deny`.
    pub decision: &'static str,
    /// `<namespace>/<name>` of the deciding policy, when one decided.
    pub policy: Option<String>,
    /// Its deciding rule, from 0.
    pub rule: Option<u32>,
    /// Why: a code of `Reason`, `PathFault`, `TokenFault` or `RequestFault`, `mtls-required` or `mtls-disabled`.
    pub reason: &'static str,
}

/// Why a request is answered with 400, apart from its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum RequestFault {
    /// Not a token (RFC 9110 §9.1); to Envoy, not one of the methods it knows.
    #[error("this is no method")]
    Method,
    /// A blank or control character in it, or none at all.
    #[error("this is no host")]
    Host,
    /// Two hosts that differ (RFC 9112 §3.2).
    #[error("the request names two hosts")]
    TwoHosts,
    /// A name that is none, or a NUL, CR or LF in a value; or too many.
    #[error("a header is malformed")]
    Header,
    /// Not a SPIFFE ID.
    #[error("the peer is no SPIFFE ID")]
    Peer,
}

impl RequestFault {
    /// Every fault.
    pub const ALL: [Self; 5] = [Self::Method, Self::Host, Self::TwoHosts, Self::Header, Self::Peer];

    /// The code.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Method => "bad-method",
            Self::Host => "bad-host",
            Self::TwoHosts => "two-hosts",
            Self::Header => "bad-header",
            Self::Peer => "bad-peer",
        }
    }
}

/// Everything that stands between a caller and one workload.
#[derive(Debug)]
pub struct Gate {
    semantics: Semantics,
    rules: RuleSet,
    peers: PeerRules,
    tokens: TokenRules,
    port: u16,
}

impl Gate {
    /// A node of a model: flows and the policies beside them, mutual TLS on every port but a gateway's listeners.
    ///
    /// # Errors
    /// The node is unknown, or a policy that selects it is not understood.
    pub fn of_node(semantics: Semantics, model: &Model, node: &str) -> Result<Self, Vec<CompileError>> {
        let rules = rule_set_as(semantics, model, node)?;
        let found = model.nodes.get(node);
        let listens = found.map(|node| node.listen.as_slice()).unwrap_or_default();
        let serves = found.map(|node| node.serves.as_slice()).unwrap_or_default();
        let mut peers = PeerRules::all(MtlsMode::Strict);
        for listen in listens {
            peers = peers.with_port(listen.port, MtlsMode::Permissive);
        }
        let mut ports = serves.iter().map(|serve| serve.port).chain(listens.iter().map(|listen| listen.port));
        let tokens = match workload_for(model, node) {
            Some(workload) => TokenRules::compile(semantics, &workload, &authentications_for(model, node))?,
            None => TokenRules::default(),
        };
        Ok(Self { semantics, rules, peers, tokens, port: ports.next().unwrap_or(0) })
    }

    /// A workload by standard resources alone: Istio's meaning, with nothing above it. Every document is examined, those
    /// that select something else too.
    ///
    /// # Errors
    /// A document is not understood.
    pub fn of_documents(
        semantics: Semantics,
        workload: &Workload,
        documents: &Documents,
    ) -> Result<Self, Vec<CompileError>> {
        let mut errors = Vec::new();
        for policy in &documents.policies {
            errors.extend(RuleSet::examine(semantics, workload, policy).0);
        }
        let mut gather = |found: Vec<CompileError>| {
            for error in found {
                if !errors.contains(&error) {
                    errors.push(error);
                }
            }
        };
        let rules = RuleSet::compile_as(semantics, workload, &documents.policies).map_err(&mut gather);
        let tokens = TokenRules::compile(semantics, workload, &documents.tokens).map_err(&mut gather);
        let peers = PeerRules::compile(workload, &documents.peers, MtlsMode::Permissive);
        match (rules, tokens) {
            (Ok(rules), Ok(tokens)) if errors.is_empty() => Ok(Self { semantics, rules, peers, tokens, port: 0 }),
            _ => Err(errors),
        }
    }

    /// What cannot do what it seems to.
    pub fn warnings(&self) -> impl Iterator<Item = &CompileError> {
        self.rules.warnings().iter().chain(self.tokens.warnings())
    }

    /// Whose tokens count, for whoever brings the keys.
    pub fn tokens(&self) -> &TokenRules {
        &self.tokens
    }

    /// The answer to one request whose raw tokens nobody can prove; see [`Gate::answer_proving`].
    pub fn answer(&self, arrival: &Arrival) -> Verdict {
        self.answer_proving(arrival, &mut NoKeys)
    }

    /// The answer to one request. The order is that of the wire: the handshake, the head, the token, the policies. Claims
    /// in `jwt` count as proven; without them the tokens in the request itself are asked about.
    pub fn answer_proving(&self, arrival: &Arrival, verifier: &mut dyn TokenVerifier) -> Verdict {
        self.admit(arrival, verifier, |request| self.decide(request)).unwrap_or_else(|refusal| refusal)
    }

    /// What would have to differ for the request to pass.
    ///
    /// # Errors
    /// It is refused before any policy is asked; the verdict says why.
    pub fn why_not(&self, arrival: &Arrival) -> Result<WhyNot, Verdict> {
        self.admit(arrival, &mut NoKeys, |request| self.rules.why_not(request))
    }

    /// Hands the request over as policies see it, unless it is refused before any of them is asked.
    fn admit<T>(
        &self,
        arrival: &Arrival,
        verifier: &mut dyn TokenVerifier,
        then: impl FnOnce(&Request) -> T,
    ) -> Result<T, Verdict> {
        let port = arrival.port.unwrap_or(self.port);
        if let Some(peer) = &arrival.peer
            && !self.is_identity(peer)
        {
            return Err(Verdict::refused(400, RequestFault::Peer.as_str()));
        }
        match (self.peers.mode(port), &arrival.peer) {
            (MtlsMode::Strict, None) => return Err(Verdict::refused(403, "mtls-required")),
            // Nobody terminates TLS there, so nobody has an identity.
            (MtlsMode::Disable, Some(_)) => return Err(Verdict::refused(403, "mtls-disabled")),
            _ => {}
        }
        let no_headers = HeaderMap::new();
        let base = Request {
            principal: arrival.peer.as_deref(),
            source_ip: arrival.source_ip,
            remote_ip: arrival.remote_ip.or(arrival.source_ip),
            destination_ip: arrival.destination_ip,
            sni: arrival.sni.as_deref(),
            ..Request::tcp(&no_headers, port)
        };
        match arrival.protocol {
            Protocol::Tcp => Ok(then(&base)),
            Protocol::Http => self.http(arrival, &base, verifier, then),
        }
    }

    /// In Istio's world an identity is whatever URI a trusted authority signed.
    fn is_identity(&self, peer: &str) -> bool {
        match self.semantics {
            Semantics::Ward => SpiffeId::try_from(peer.to_owned()).is_ok(),
            Semantics::Istio => peer.strip_prefix("spiffe://").is_some_and(|rest| !rest.is_empty()),
        }
    }

    fn http<T>(
        &self,
        arrival: &Arrival,
        base: &Request,
        verifier: &mut dyn TokenVerifier,
        then: impl FnOnce(&Request) -> T,
    ) -> Result<T, Verdict> {
        let malformed = |fault: RequestFault| Verdict::refused(400, fault.as_str());
        let method = arrival.method.as_str();
        if !self.semantics.knows_method(method) {
            return Err(malformed(RequestFault::Method));
        }
        let (authority, target) = split_target(&arrival.target);
        let mut headers = HeaderMap::new();
        for (name, value) in &arrival.headers {
            // RFC 9110 §5.5: blanks around a value are not part of it (CVE-2019-18802).
            let value = value.trim_matches([' ', '\t']);
            if name.eq_ignore_ascii_case("host") {
                if value != arrival.host {
                    return Err(malformed(RequestFault::TwoHosts));
                }
                continue;
            }
            let (Ok(name), Ok(value)) =
                (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value.as_bytes()))
            else {
                return Err(malformed(RequestFault::Header));
            };
            headers.try_append(name, value).map_err(|_| malformed(RequestFault::Header))?;
        }
        // RFC 9112 §3.2.2: an address in the target is the host, whatever `Host` says.
        let host = authority.unwrap_or(&arrival.host);
        // Envoy wants a `Host`, and lets it be empty.
        if (host.is_empty() && self.semantics == Semantics::Ward)
            || host.bytes().any(|byte| byte <= b' ' || byte == 0x7f)
            || authority.is_some_and(|host| !is_authority(host))
        {
            return Err(malformed(RequestFault::Host));
        }
        let bare = match authority {
            Some(_) => self.semantics == Semantics::Istio && target.starts_with(['?', '#']),
            // An address may have no path; a request target of its own may not.
            None => target.is_empty() || target.starts_with(['?', '#']),
        };
        if bare || (target == "*" && method != "OPTIONS") {
            return Err(Verdict::refused(400, PathFault::NotAbsolute.as_str()));
        }
        // Also where no policy looks: neither query nor fragment may hold such a byte (RFC 3986 §2).
        if target.bytes().any(|byte| !(0x21..=0x7e).contains(&byte)) {
            return Err(Verdict::refused(400, PathFault::RawByte.as_str()));
        }
        let path = self.semantics.normalize(target).map_err(|fault| Verdict::refused(400, fault.as_str()))?;
        let query = target.split('#').next().and_then(|target| target.split_once('?')).map(|(_, query)| query);
        let admission = match &arrival.jwt {
            Some(claims) => self.tokens.vouched(claims),
            None => self.tokens.authenticate(&TokenHead { method, headers: &headers, query }, verifier),
        };
        let admission = admission.map_err(|refusal| Verdict::refused(refusal.status, refusal.fault.as_str()))?;
        // Policies see the headers as the application will.
        self.tokens.rewrite(&admission, &mut headers, query);
        Ok(then(&Request {
            method,
            path: &path,
            host,
            headers: &headers,
            jwt: admission.claims(),
            protocol: Protocol::Http,
            ..*base
        }))
    }

    fn decide(&self, request: &Request) -> Verdict {
        let decision = self.rules.decide(request);
        let rule = decision.rule();
        let status = if decision.is_allowed() { 200 } else { 403 };
        Verdict {
            status,
            decision: word(decision.is_allowed()),
            policy: rule.map(|rule: RuleRef| self.rules.policy_name(rule).to_owned()),
            rule: rule.map(|rule| rule.rule),
            reason: Reason::as_str(decision.reason()),
        }
    }
}

impl Verdict {
    /// An answer that no policy had a part in.
    pub fn refused(status: u16, reason: &'static str) -> Self {
        Self { status, decision: word(false), policy: None, rule: None, reason }
    }
}

/// Who proves no token, as there are no keys.
struct NoKeys;

impl TokenVerifier for NoKeys {
    fn read(&mut self, _: &str) -> Result<Arc<Value>, TokenFault> {
        Err(TokenFault::NoKeys)
    }

    fn prove(&mut self, _: RuleIndex, _: &str) -> Result<(), TokenFault> {
        Err(TokenFault::NoKeys)
    }
}

fn word(allowed: bool) -> &'static str {
    if allowed { "allow" } else { "deny" }
}

/// `http://host/path?q` as host and the rest; anything else is all path.
fn split_target(target: &str) -> (Option<&str>, &str) {
    let address = ["http://", "https://"].iter().find_map(|scheme| {
        let head = target.get(..scheme.len())?;
        head.eq_ignore_ascii_case(scheme).then(|| target.get(scheme.len()..)).flatten()
    });
    match address {
        Some(address) => {
            let (host, path) = address.split_at(address.find(['/', '?', '#']).unwrap_or(address.len()));
            (Some(host), path)
        }
        None => (None, target),
    }
}

/// Whether the host of an address is a name or an address, with or without a port (RFC 9110 §4.2.1: never empty). What a
/// `Host` may hold is another question: it is compared, and leads nowhere.
fn is_authority(host: &str) -> bool {
    let (name, port) = match host.rfind(':').filter(|at| host.get(*at..).is_some_and(|rest| !rest.contains(']'))) {
        Some(at) => (host.get(..at).unwrap_or_default(), host.get(at + 1..)),
        None => (host, None),
    };
    let digits = |port: &str| (1..=5).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit());
    let named = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    let addressed = |byte: u8| byte.is_ascii_hexdigit() || b":.".contains(&byte);
    let inner = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    let whole = inner.map_or_else(|| name.bytes().all(named), |address| address.bytes().all(addressed));
    whole && !inner.unwrap_or(name).is_empty() && port.is_none_or(digits)
}

#[cfg(test)]
mod tests;
