//! The compiled form: rules of one workload, decided by lookup.
use std::collections::BTreeMap;

use http::HeaderName;
use model::{Audit, istio::AuthorizationPolicy};

use crate::{CompileError, Decision, Deny, Explanation, Reason, Request, RuleRef};

/// What a policy can select, and the mesh it is in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Workload {
    /// Its namespace.
    pub namespace: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Namespace whose policies select workloads of every namespace.
    pub root_namespace: String,
    /// The mesh's trust domain.
    pub trust_domain: String,
    /// Trust domains that mean the same one.
    pub aliases: Vec<String>,
}

/// All policies that select one workload, compiled. Share it behind an `Arc`; it never changes.
#[derive(Debug)]
pub struct RuleSet {
    headers: Vec<HeaderName>,
    warnings: Vec<CompileError>,
}

impl RuleSet {
    /// Compiles the policies that select the workload; the others are left out. Any error refuses the whole set, so
    /// that a set is never looser than what was written.
    pub fn compile(_: &Workload, _: &[AuthorizationPolicy]) -> Result<Self, Vec<CompileError>> {
        Ok(Self { headers: Vec::new(), warnings: Vec::new() })
    }

    /// Decides: CUSTOM, then DENY, then ALLOW. Allocates nothing.
    pub fn decide(&self, _: &Request) -> Decision {
        Decision::Deny(Deny { reason: Reason::NothingAllowed, rule: None })
    }

    /// The rule of an AUDIT policy that asks for this request to be recorded.
    pub fn audited(&self, _: &Request) -> Option<RuleRef> {
        None
    }

    /// Why `decide` answers as it does.
    pub fn explain(&self, request: &Request) -> Explanation {
        let decision = self.decide(request);
        Explanation {
            allowed: decision.is_allowed(),
            reason: decision.reason(),
            request: crate::RequestReport {
                principal: request.principal.map(str::to_owned),
                method: request.method.to_owned(),
                path: request.path.to_owned(),
                host: request.host.to_owned(),
                port: request.port,
                protocol: request.protocol,
            },
            rule: None,
            nearest: None,
            allow_rules: 0,
        }
    }

    /// `<namespace>/<name>` of the policy a rule belongs to; empty for a rule of another set.
    pub fn policy_name(&self, _: RuleRef) -> &str {
        ""
    }

    /// The flow a rule was compiled from.
    pub fn flow(&self, _: RuleRef) -> Option<&str> {
        None
    }

    /// The audit level of a rule's flow; medium when nothing says.
    pub fn audit(&self, _: RuleRef) -> Audit {
        Audit::default()
    }

    /// Request headers that some policy reads: what a decision record must keep to be decided again.
    pub fn headers_read(&self) -> &[HeaderName] {
        &self.headers
    }

    /// What cannot do what it seems to, such as a path that no normalized request can have.
    pub fn warnings(&self) -> &[CompileError] {
        &self.warnings
    }
}

/// The word of an audit level.
pub(crate) fn audit_as_str(audit: Audit) -> &'static str {
    match audit {
        Audit::Low => "low",
        Audit::Medium => "medium",
        Audit::High => "high",
        Audit::Strict => "strict",
        Audit::Critical => "critical",
    }
}

/// The audit level of a word.
pub(crate) fn audit_from_str(word: &str) -> Option<Audit> {
    [Audit::Low, Audit::Medium, Audit::High, Audit::Strict, Audit::Critical]
        .into_iter()
        .find(|audit| audit_as_str(*audit) == word)
}
