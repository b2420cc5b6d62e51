//! Why a request was allowed or denied, as data and in words. Computed from facts, off the hot path.
use std::{fmt, net::IpAddr};

use model::{Audit, istio::Action};
use serde::{Deserialize, Serialize};

use crate::{
    Protocol, Reason, Request, RuleSet,
    matcher::{Check, Facts, Matcher},
    rules::Rule,
};

mod why_not;

pub use why_not::{NEAREST_MAX, REFUSING_MAX, WhyNot};

/// The answer to "why": the deciding rule, or the rule that came nearest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// Whether the request may pass.
    pub allowed: bool,
    /// Why, from the closed set.
    pub reason: Reason,
    /// The facts it was decided from.
    pub request: RequestReport,
    /// The rule that allowed or denied; absent when none did.
    pub rule: Option<RuleReport>,
    /// When nothing allowed it: of all ALLOW rules the one with the fewest failing fields.
    pub nearest: Option<RuleReport>,
    /// How many ALLOW rules there are.
    pub allow_rules: usize,
}

/// The facts of a request, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestReport {
    /// SPIFFE URI of the peer.
    pub principal: Option<String>,
    /// Method; empty for TCP.
    pub method: String,
    /// Normalized path; empty for TCP.
    pub path: String,
    /// Host as received.
    pub host: String,
    /// Port of the workload.
    pub port: u16,
    /// Protocol.
    pub protocol: Protocol,
    /// `issuer/subject` of the token that was accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// TLS server name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sni: Option<String>,
    /// Address of the peer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_ip: Option<IpAddr>,
    /// Address of the original caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_ip: Option<IpAddr>,
}

/// One rule held against one request, field by field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleReport {
    /// `<namespace>/<name>` of the policy.
    pub policy: String,
    /// Rule of it, from 0.
    pub rule: u32,
    /// What the policy does.
    pub action: Action,
    /// The flow it was compiled from.
    pub flow: Option<String>,
    /// Audit level of that flow.
    #[serde(with = "audit_word")]
    pub audit: Audit,
    /// Each field the rule asks for: of several `from` and `to` entries the nearest one.
    pub fields: Vec<FieldReport>,
}

/// One field of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldReport {
    /// The field as the policy writes it: `principals`, `notPaths`, `request.headers[x-team]`.
    pub field: String,
    /// Whether the request satisfies it.
    pub ok: bool,
    /// Whether the request must have none of `wanted` rather than one of them.
    pub negated: bool,
    /// The values in the policy.
    pub wanted: Vec<String>,
    /// The request's value; absent when it has none.
    pub got: Option<String>,
}

/// `Audit` as the word people write.
mod audit_word {
    use model::Audit;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(audit: &Audit, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(crate::rules::audit_as_str(*audit))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Audit, D::Error> {
        let word = String::deserialize(input)?;
        crate::rules::audit_from_str(&word).ok_or_else(|| D::Error::custom(format!("`{word}` is not an audit level")))
    }
}

impl RuleSet {
    /// Why `decide` answers as it does: the deciding rule, or of all ALLOW rules the one that came nearest.
    pub fn explain(&self, request: &Request) -> Explanation {
        let facts = Facts::new(request);
        let decision = self.decide_on(&facts);
        let rule = decision.rule().and_then(|at| self.rule(at)).map(|rule| self.report(rule, &facts));
        let nearest = match decision.reason() {
            Reason::NoRuleMatched => self.nearest(&facts, 1).first().map(|rule| self.report(rule, &facts)),
            _ => None,
        };
        Explanation {
            allowed: decision.is_allowed(),
            reason: decision.reason(),
            request: RequestReport::of(request),
            rule,
            nearest,
            allow_rules: self.allow.rules.len(),
        }
    }

    /// The ALLOW rules that come nearest to matching, nearest first.
    fn nearest(&self, facts: &Facts, count: usize) -> Vec<&Rule> {
        // A miss in the identity is further away than one in what is asked, or in a token, which whoever asks may get; then
        // the longest common path decides.
        let distance = |rule: &Rule| {
            let miss = Miss::of(rule, facts);
            (miss.failing(), miss.identity, usize::MAX - miss.path_in_common, rule.at)
        };
        let mut found: Vec<_> = self.allow.rules.iter().map(|rule| (distance(rule), rule)).collect();
        found.sort_unstable_by_key(|(distance, _)| *distance);
        found.into_iter().take(count).map(|(_, rule)| rule).collect()
    }

    fn report(&self, rule: &Rule, facts: &Facts) -> RuleReport {
        let info = self.info(rule.at);
        let checks = nearest(&rule.from, rule, facts).iter().chain(nearest(&rule.to, rule, facts)).chain(&rule.when);
        RuleReport {
            policy: self.policy_name(rule.at).to_owned(),
            rule: rule.at.rule,
            action: info.map_or(Action::Allow, |info| info.action),
            flow: self.flow(rule.at).map(str::to_owned),
            audit: self.audit(rule.at),
            fields: checks
                .map(|check| FieldReport {
                    field: check.field.to_string(),
                    ok: check.holds(facts),
                    negated: check.negated,
                    wanted: check.wanted.to_vec(),
                    got: check.matcher.got(facts),
                })
                .collect(),
        }
    }
}

/// How far a rule is from matching.
struct Miss {
    from: usize,
    /// Those of `from` that are about the peer.
    identity: usize,
    to: usize,
    when: usize,
    path_in_common: usize,
}

impl Miss {
    fn of(rule: &Rule, facts: &Facts) -> Self {
        let to = nearest(&rule.to, rule, facts);
        let path_in_common = to
            .iter()
            .filter(|check| matches!(check.matcher, Matcher::Path(_)) && !check.negated)
            .flat_map(|check| &check.wanted)
            .map(|wanted| common(wanted, facts.request.path))
            .max()
            .unwrap_or(0);
        let from = nearest(&rule.from, rule, facts);
        let of_peer = |check: &&Check| !matches!(check.matcher, Matcher::RequestPrincipal(_)) && !check.holds(facts);
        Self {
            from: failing(from, facts),
            identity: from.iter().filter(of_peer).count(),
            to: failing(to, facts),
            when: failing(&rule.when, facts),
            path_in_common,
        }
    }

    fn failing(&self) -> usize {
        self.from + self.to + self.when
    }
}

/// Of several alternatives the one with the fewest failing fields; the first of equals.
///
/// On TCP an ALLOW rule fails by its HTTP fields, in whatever alternative they stand; that one is shown.
fn nearest<'a>(alternatives: &'a [Box<[Check]>], rule: &Rule, facts: &Facts) -> &'a [Check] {
    let blind = rule.http_only && facts.is_tcp();
    let beside = |checks: &[Check]| blind && !checks.iter().any(|check| check.matcher.http_only());
    alternatives.iter().min_by_key(|checks| (beside(checks), failing(checks, facts))).map_or(&[], |checks| checks)
}

fn failing(checks: &[Check], facts: &Facts) -> usize {
    checks.iter().filter(|check| !check.holds(facts)).count()
}

fn common(a: &str, b: &str) -> usize {
    a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count()
}

impl RequestReport {
    fn of(request: &Request) -> Self {
        Self {
            principal: request.principal.map(str::to_owned),
            method: request.method.to_owned(),
            path: request.path.to_owned(),
            host: request.host.to_owned(),
            port: request.port,
            protocol: request.protocol,
            token: request.jwt.and_then(|claims| {
                let text = |name: &str| claims.get(name)?.as_str();
                Some(format!("{}/{}", text("iss")?, text("sub").unwrap_or_default()))
            }),
            sni: request.sni.filter(|name| !name.is_empty()).map(str::to_owned),
            source_ip: request.source_ip,
            remote_ip: request.remote_ip.filter(|ip| Some(*ip) != request.source_ip),
        }
    }

    /// The service account when the identity has one, else the whole identity.
    fn caller(&self) -> &str {
        match (self.principal.as_deref(), &self.token) {
            (None | Some(""), None) => "a caller without identity",
            (None | Some(""), Some(_)) => "a caller with a token",
            (Some(uri), _) => uri.rsplit_once("/sa/").map_or(uri, |(_, account)| account),
        }
    }
}

impl fmt::Display for RequestReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.protocol {
            Protocol::Http => write!(f, "{} {} from {}", self.method, self.path, self.caller()),
            Protocol::Tcp => write!(f, "a connection to port {} from {}", self.port, self.caller()),
        }
    }
}

impl RuleReport {
    /// The fields that the request does not satisfy.
    pub fn misses(&self) -> impl Iterator<Item = &FieldReport> {
        self.fields.iter().filter(|field| !field.ok)
    }

    /// `flow `charge` (policy pci/flow-charge, rule 0)`, or without a flow `policy pci/no-refunds, rule 0`.
    pub fn name(&self) -> String {
        match &self.flow {
            Some(flow) => format!("flow `{flow}` (policy {}, rule {})", self.policy, self.rule),
            None => format!("policy {}, rule {}", self.policy, self.rule),
        }
    }
}

impl FieldReport {
    /// What people call the field: `principal`, `path`.
    pub fn word(&self) -> &str {
        match self.field.as_str() {
            "principals" | "notPrincipals" | "source.principal" => "principal",
            "namespaces" | "notNamespaces" | "source.namespace" => "namespace",
            "serviceAccounts" | "notServiceAccounts" | "source.serviceAccount" => "service account",
            "trustDomains" | "notTrustDomains" | "source.trustDomain" => "trust domain",
            "ipBlocks" | "notIpBlocks" | "source.ip" => "source address",
            "remoteIpBlocks" | "notRemoteIpBlocks" | "remote.ip" => "remote address",
            "requestPrincipals" | "notRequestPrincipals" | "request.auth.principal" => "token",
            "hosts" | "notHosts" => "host",
            "ports" | "notPorts" | "destination.port" => "port",
            "methods" | "notMethods" => "method",
            "paths" | "notPaths" => "path",
            "connection.sni" => "server name",
            "destination.ip" => "destination address",
            other => other.strip_prefix("request.auth.").unwrap_or(other),
        }
    }

    /// The values of the policy; a long list helps nobody, and the JSON form has all of it.
    pub fn wanted_words(&self) -> String {
        let (shown, more) = self.wanted.split_at(self.wanted.len().min(4));
        let none = if self.negated { "none of " } else { "" };
        let shown = shown.join(" or ");
        if more.is_empty() { format!("{none}{shown}") } else { format!("{none}{shown} or {} more", more.len()) }
    }

    /// The request's value, or `none`.
    pub fn got_words(&self) -> &str {
        self.got.as_deref().unwrap_or("none")
    }

    /// What a rule found that denied.
    fn evidence(&self) -> String {
        match (&self.got, self.negated) {
            (None, _) => format!("{} unknown, looks for {}", self.word(), self.wanted_words()),
            (Some(got), true) => format!("{} {got} is {}", self.word(), self.wanted_words()),
            (Some(got), false) => format!("{} {got} matches {}", self.word(), self.wanted_words()),
        }
    }
}

impl fmt::Display for FieldReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.ok {
            write!(f, "{} {} ok", self.word(), self.got_words())
        } else {
            write!(f, "{} wanted {} got {}", self.word(), self.wanted_words(), self.got_words())
        }
    }
}

impl Explanation {
    /// One line for people, without a line break: `headline`, then every field of the rule it speaks of.
    pub fn text(&self) -> String {
        self.to_string()
    }

    /// What happened and which rule it is about, without that rule's fields.
    pub fn headline(&self) -> String {
        let request = &self.request;
        match (self.reason, &self.rule, &self.nearest) {
            (Reason::Allowed, Some(rule), _) => format!("{} allows {request}", rule.name()),
            (Reason::Allowed | Reason::NoPolicy, _, _) => {
                format!("{request} is allowed, as no ALLOW policy selects the workload and no other denies it")
            }
            (Reason::HttpRuleOnTcp, Some(rule), _) => format!(
                "{} denies {request}, as it asks for HTTP fields that a TCP connection does not show; give it a port of its own",
                rule.name()
            ),
            (Reason::NoProvider, Some(rule), _) => {
                format!("{} denies {request}, as its provider cannot be asked", rule.name())
            }
            (Reason::NothingAllowed, _, _) => {
                format!("nothing allows {request}: no flow leads here and no rule allows anything")
            }
            (Reason::NoRuleMatched, _, Some(nearest)) => {
                format!("no rule allows {request}; nearest is {}", nearest.name())
            }
            (Reason::NoRuleMatched, _, None) => format!("no rule allows {request}"),
            (_, Some(rule), _) => format!("{} denies {request}", rule.name()),
            (reason, None, _) => format!("{request} is denied: {reason}"),
        }
    }

    /// The rule that the headline speaks of: the deciding one, else the nearest.
    pub fn subject(&self) -> Option<&RuleReport> {
        self.rule.as_ref().or(self.nearest.as_ref())
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.headline())?;
        match self.subject().map(|rule| rule.fields.as_slice()) {
            None => Ok(()),
            Some([]) => f.write_str(": it asks for nothing in particular"),
            Some(fields) => {
                let words: Vec<_> = fields.iter().map(|field| self.field(field)).collect();
                write!(f, ": {}", words.join(", "))
            }
        }
    }
}

impl Explanation {
    /// A field in the words that fit the decision: for a rule that denied, what it found.
    fn field(&self, field: &FieldReport) -> String {
        if self.allowed || self.rule.is_none() { field.to_string() } else { field.evidence() }
    }
}

#[cfg(test)]
mod tests;
