//! Why a request was allowed or denied, as data and in words. Computed from facts, off the hot path.
use std::fmt;

use model::{Audit, istio::Action};
use serde::{Deserialize, Serialize};

use crate::{
    Protocol, Reason, Request, RuleSet,
    matcher::{Check, Facts, Matcher},
    rules::Rule,
};

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
        let nearest = if decision.reason() == Reason::NoRuleMatched {
            // A miss in the identity is further away than one in what is asked; then the longest common path decides.
            let distance = |rule: &&Rule| {
                let miss = Miss::of(rule, &facts);
                (miss.failing(), miss.from, usize::MAX - miss.path_in_common, rule.at)
            };
            self.allow.rules.iter().min_by_key(distance).map(|rule| self.report(rule, &facts))
        } else {
            None
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

    fn report(&self, rule: &Rule, facts: &Facts) -> RuleReport {
        let info = self.info(rule.at);
        let checks = nearest(&rule.from, facts).iter().chain(nearest(&rule.to, facts)).chain(&rule.when);
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
    to: usize,
    when: usize,
    path_in_common: usize,
}

impl Miss {
    fn of(rule: &Rule, facts: &Facts) -> Self {
        let to = nearest(&rule.to, facts);
        let path_in_common = to
            .iter()
            .filter(|check| matches!(check.matcher, Matcher::Path(_)) && !check.negated)
            .flat_map(|check| &check.wanted)
            .map(|wanted| common(wanted, facts.request.path))
            .max()
            .unwrap_or(0);
        Self {
            from: failing(nearest(&rule.from, facts), facts),
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
fn nearest<'a>(alternatives: &'a [Box<[Check]>], facts: &Facts) -> &'a [Check] {
    alternatives.iter().min_by_key(|checks| failing(checks, facts)).map_or(&[], |checks| checks)
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
        }
    }

    /// The service account when the identity has one, else the whole identity.
    fn caller(&self) -> &str {
        match self.principal.as_deref() {
            None | Some("") => "a caller without identity",
            Some(uri) => uri.rsplit_once("/sa/").map_or(uri, |(_, account)| account),
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
    /// `flow `charge` (policy pci/flow-charge, rule 0)`, or without a flow `policy pci/no-refunds, rule 0`.
    fn name(&self) -> String {
        match &self.flow {
            Some(flow) => format!("flow `{flow}` (policy {}, rule {})", self.policy, self.rule),
            None => format!("policy {}, rule {}", self.policy, self.rule),
        }
    }

    /// Every field, satisfied or not.
    fn words(&self) -> String {
        self.each(FieldReport::to_string)
    }

    /// Why a rule matched that had better not: what the request has, and what the rule looks for.
    fn evidence(&self) -> String {
        self.each(|field| {
            let got = field.got.as_deref().unwrap_or("none");
            let is = if field.negated { "is none of" } else { "matches" };
            format!("{} {got} {is} {}", field.word(), field.shown())
        })
    }

    fn each(&self, words: impl Fn(&FieldReport) -> String) -> String {
        match self.fields.as_slice() {
            [] => "it matches everything".to_owned(),
            fields => fields.iter().map(words).collect::<Vec<_>>().join(", "),
        }
    }
}

impl FieldReport {
    /// What people call the field.
    fn word(&self) -> &str {
        match self.field.as_str() {
            "principals" | "notPrincipals" | "source.principal" => "principal",
            "namespaces" | "notNamespaces" | "source.namespace" => "namespace",
            "serviceAccounts" | "notServiceAccounts" | "source.serviceAccount" => "service account",
            "trustDomains" | "notTrustDomains" => "trust domain",
            "ipBlocks" | "notIpBlocks" | "source.ip" => "source address",
            "remoteIpBlocks" | "notRemoteIpBlocks" | "remote.ip" => "remote address",
            "requestPrincipals" | "notRequestPrincipals" | "request.auth.principal" => "token",
            "hosts" | "notHosts" => "host",
            "ports" | "notPorts" | "destination.port" => "port",
            "methods" | "notMethods" => "method",
            "paths" | "notPaths" => "path",
            "connection.sni" => "server name",
            other => other,
        }
    }
}

impl FieldReport {
    /// The values of the policy; a long list helps nobody, and the JSON form has all of it.
    fn shown(&self) -> String {
        let (shown, more) = self.wanted.split_at(self.wanted.len().min(4));
        let shown = shown.join(" or ");
        if more.is_empty() { shown } else { format!("{shown} or {} more", more.len()) }
    }
}

impl fmt::Display for FieldReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let got = self.got.as_deref().unwrap_or("none");
        if self.ok {
            return write!(f, "{} {got} ok", self.word());
        }
        let none = if self.negated { "none of " } else { "" };
        write!(f, "{} wanted {none}{} got {got}", self.word(), self.shown())
    }
}

impl Explanation {
    /// One line for people, without a line break.
    pub fn text(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let request = &self.request;
        let rule = self.rule.as_ref();
        match (self.reason, rule) {
            (Reason::Allowed, Some(rule)) => write!(f, "{} allows {request}: {}", rule.name(), rule.words()),
            (Reason::Allowed | Reason::NoPolicy, _) => {
                write!(f, "{request} is allowed, as no ALLOW policy selects the workload and no other denies it")
            }
            (Reason::HttpRuleOnTcp, Some(rule)) => write!(
                f,
                "{} denies {request}: it asks for HTTP fields, which a TCP connection does not show, so it denies to be safe; \
                 give the rule a port of its own",
                rule.name()
            ),
            (Reason::NoProvider, Some(rule)) => {
                write!(f, "{} denies {request}: its provider cannot be asked: {}", rule.name(), rule.evidence())
            }
            (Reason::NothingAllowed, _) => {
                write!(f, "nothing allows {request}: no flow leads here and no rule allows anything")
            }
            (Reason::NoRuleMatched, _) => {
                write!(f, "no rule allows {request}")?;
                match &self.nearest {
                    Some(nearest) => write!(f, "; nearest is {}: {}", nearest.name(), nearest.words()),
                    None => Ok(()),
                }
            }
            (_, Some(rule)) => write!(f, "{} denies {request}: {}", rule.name(), rule.evidence()),
            (reason, None) => write!(f, "{request} is denied: {reason}"),
        }
    }
}

#[cfg(test)]
mod tests;
