//! The compiled form: the rules of one workload by action, and the decision.
use std::{cmp::Reverse, collections::BTreeMap};

use http::HeaderName;
use model::{
    Audit,
    istio::{AUDIT_ANNOTATION, Action, AuthorizationPolicy},
};

use crate::{
    Allow, CompileError, Decision, Deny, Protocol, Reason, Request, RuleRef, Semantics,
    compile::{Compiled, Compiler, full_name, selects},
    matcher::{Check, Facts},
};

mod index;

use index::Index;

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
    // Invariant: sorted by name; `RuleRef::policy` is an index.
    policies: Box<[PolicyInfo]>,
    pub(crate) custom: Phase,
    pub(crate) deny: Phase,
    audit: Phase,
    pub(crate) allow: Phase,
    /// Whether an ALLOW policy selects the workload, with rules or without.
    pub(crate) allow_selects: bool,
    headers: Box<[HeaderName]>,
    warnings: Box<[CompileError]>,
}

/// What is kept of a policy beside its rules.
#[derive(Debug)]
pub(crate) struct PolicyInfo {
    /// `<namespace>/<name>`.
    pub(crate) name: Box<str>,
    pub(crate) flow: Option<Box<str>>,
    pub(crate) audit: Audit,
    pub(crate) action: Action,
}

/// One rule: any of `from`, any of `to`, all of `when`; an empty list of alternatives is no restriction.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) at: RuleRef,
    pub(crate) from: Box<[Box<[Check]>]>,
    pub(crate) to: Box<[Box<[Check]>]>,
    pub(crate) when: Box<[Check]>,
    /// An ALLOW that looks at HTTP fields, in whatever alternative: it never matches TCP (Istio leaves it out there).
    pub(crate) http_only: bool,
}

/// The rules of one action.
#[derive(Debug)]
pub(crate) struct Phase {
    // Invariant: in the order of `Rule::at`, so that "the first rule" is the same whatever found it.
    pub(crate) rules: Box<[Rule]>,
    http: Index,
    tcp: Index,
}

impl RuleSet {
    /// Compiles the policies that select the workload; the others are left out. Any error refuses the whole set, so
    /// that a set is never looser than what was written. The order of `policies` does not matter.
    ///
    /// # Errors
    /// Everything in the selecting policies that is not understood, with its place.
    pub fn compile(workload: &Workload, policies: &[AuthorizationPolicy]) -> Result<Self, Vec<CompileError>> {
        Self::compile_as(Semantics::Ward, workload, policies)
    }

    /// The same, by the given reading.
    ///
    /// # Errors
    /// Everything in the selecting policies that is not understood, with its place.
    pub fn compile_as(
        semantics: Semantics,
        workload: &Workload,
        policies: &[AuthorizationPolicy],
    ) -> Result<Self, Vec<CompileError>> {
        let mut selected: Vec<(String, &AuthorizationPolicy)> = policies
            .iter()
            .filter(|policy| selects(semantics, policy, workload))
            .map(|policy| (full_name(policy), policy))
            .collect();
        selected.sort_by(|(a, _), (b, _)| a.cmp(b));

        let mut compiler = Compiler::new(semantics, workload);
        for (name, _) in selected.windows(2).filter_map(|pair| match pair {
            [(a, _), (b, policy)] if a == b => Some((a, policy)),
            _ => None,
        }) {
            compiler.errors.push(CompileError {
                policy: name.clone(),
                field: "metadata.name".to_owned(),
                message: "two policies have this name".to_owned(),
                help: Some("rename one of them".to_owned()),
            });
        }

        // Where several flows allow a request, the one that is recorded most strictly decides: no looser flow beside it may
        // take its requests away from the record.
        selected.sort_by_key(|(_, policy)| Reverse(allow_audit(policy)));
        let mut infos = Vec::with_capacity(selected.len());
        let (mut custom, mut deny, mut audit, mut allow) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut allow_selects = false;
        for (index, (_, policy)) in selected.iter().enumerate() {
            let Compiled { info, dry_run, rules } = compiler.policy(u32::try_from(index).unwrap_or(u32::MAX), policy);
            let action = info.action;
            infos.push(info);
            // A dry-run policy was checked like any other, and decides nothing: not even that an ALLOW exists.
            if dry_run {
                continue;
            }
            match action {
                Action::Custom => custom.extend(rules),
                Action::Deny => deny.extend(rules),
                Action::Audit => audit.extend(rules),
                Action::Allow => {
                    allow_selects = true;
                    allow.extend(rules);
                }
            }
        }
        let Compiler { errors, warnings, headers, .. } = compiler;
        let mut headers: Vec<_> = headers.into_iter().collect();
        headers.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(Self {
            policies: infos.into(),
            custom: Phase::new(custom),
            deny: Phase::new(deny),
            audit: Phase::new(audit),
            allow: Phase::new(allow),
            allow_selects,
            headers: headers.into(),
            warnings: warnings.into(),
        })
    }

    /// What is wrong with one policy, whether it selects the workload or not; then what it cannot do.
    pub fn examine(
        semantics: Semantics,
        workload: &Workload,
        policy: &AuthorizationPolicy,
    ) -> (Vec<CompileError>, Vec<CompileError>) {
        let mut compiler = Compiler::new(semantics, workload);
        compiler.policy(0, policy);
        (compiler.errors, compiler.warnings)
    }

    /// Decides: CUSTOM, then DENY, then ALLOW. Allocates nothing.
    pub fn decide(&self, request: &Request) -> Decision {
        self.decide_on(&Facts::new(request))
    }

    /// The same, by reading every rule in turn: what `decide` is held against by tests, fuzzing and benches.
    pub fn decide_in_turn(&self, request: &Request) -> Decision {
        self.decide_with(&Facts::new(request), Phase::find_in_turn)
    }

    pub(crate) fn decide_on(&self, facts: &Facts) -> Decision {
        self.decide_with(facts, Phase::find)
    }

    /// The deciding rule is the first that matches: of the strictest audit level, by name of the policy and as written in it.
    fn decide_with<'a>(&'a self, facts: &Facts, find: impl Fn(&'a Phase, &Facts) -> Option<&'a Rule>) -> Decision {
        if let Some(rule) = find(&self.custom, facts) {
            return Decision::Deny(Deny { reason: rule.refusal(facts, Reason::NoProvider), rule: Some(rule.at) });
        }
        if let Some(rule) = find(&self.deny, facts) {
            return Decision::Deny(Deny { reason: rule.refusal(facts, Reason::DeniedByPolicy), rule: Some(rule.at) });
        }
        if !self.allow_selects {
            return Decision::Allow(Allow { rule: None });
        }
        if let Some(rule) = find(&self.allow, facts) {
            return Decision::Allow(Allow { rule: Some(rule.at) });
        }
        let reason = if self.allow.rules.is_empty() { Reason::NothingAllowed } else { Reason::NoRuleMatched };
        Decision::Deny(Deny { reason, rule: None })
    }

    /// Whether what nothing denies is allowed: no ALLOW policy selects the workload.
    pub fn allows_by_default(&self) -> bool {
        !self.allow_selects
    }

    /// The rule of an AUDIT policy that asks for this request to be recorded, whatever the decision.
    pub fn audited(&self, request: &Request) -> Option<RuleRef> {
        if self.audit.rules.is_empty() {
            return None;
        }
        self.audit.find(&Facts::new(request)).map(|rule| rule.at)
    }

    /// `<namespace>/<name>` of the policy a rule belongs to; empty for a rule of another set.
    pub fn policy_name(&self, rule: RuleRef) -> &str {
        self.info(rule).map_or("", |info| &info.name)
    }

    /// The flow a rule was compiled from.
    pub fn flow(&self, rule: RuleRef) -> Option<&str> {
        self.info(rule).and_then(|info| info.flow.as_deref())
    }

    /// The audit level of a rule's flow; medium when nothing says.
    pub fn audit(&self, rule: RuleRef) -> Audit {
        self.info(rule).map_or(Audit::default(), |info| info.audit)
    }

    /// Request headers that some policy reads: what a decision record must keep to be decided again.
    pub fn headers_read(&self) -> &[HeaderName] {
        &self.headers
    }

    /// What cannot do what it seems to, such as a path that no normalized request can have.
    pub fn warnings(&self) -> &[CompileError] {
        &self.warnings
    }

    pub(crate) fn info(&self, rule: RuleRef) -> Option<&PolicyInfo> {
        self.policies.get(usize::try_from(rule.policy).ok()?)
    }

    pub(crate) fn phases(&self) -> [&Phase; 4] {
        [&self.custom, &self.deny, &self.allow, &self.audit]
    }

    /// The rule a reference of this set means.
    pub(crate) fn rule(&self, at: RuleRef) -> Option<&Rule> {
        self.phases().into_iter().find_map(|phase| {
            let found = phase.rules.binary_search_by_key(&at, |rule| rule.at).ok()?;
            phase.rules.get(found)
        })
    }
}

impl Phase {
    fn new(rules: Vec<Rule>) -> Self {
        let (http, tcp) = (Index::new(&rules, Protocol::Http), Index::new(&rules, Protocol::Tcp));
        Self { rules: rules.into(), http, tcp }
    }

    /// The first rule that matches.
    fn find(&self, facts: &Facts) -> Option<&Rule> {
        let index = if facts.is_tcp() { &self.tcp } else { &self.http };
        self.rules.get(index.find(&self.rules, facts)?)
    }

    /// The same, by reading all rules in turn.
    fn find_in_turn(&self, facts: &Facts) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.matches(facts))
    }
}

impl Rule {
    pub(crate) fn matches(&self, facts: &Facts) -> bool {
        if self.http_only && facts.is_tcp() {
            return false;
        }
        let all = |checks: &[Check]| checks.iter().all(|check| check.holds(facts));
        let any = |alternatives: &[Box<[Check]>]| alternatives.is_empty() || alternatives.iter().any(|one| all(one));
        any(&self.to) && any(&self.from) && all(&self.when)
    }

    /// On TCP a rule that looks at HTTP fields denies because it cannot see them; that is said.
    fn refusal(&self, facts: &Facts, reason: Reason) -> Reason {
        let blind = facts.request.protocol == Protocol::Tcp
            && self.from.iter().chain(&self.to).flatten().chain(&self.when).any(|check| check.matcher.http_only());
        if blind { Reason::HttpRuleOnTcp } else { reason }
    }
}

/// The audit level of a flow; of what allows nothing, as if nothing were said.
fn allow_audit(policy: &AuthorizationPolicy) -> Audit {
    match policy.spec.action {
        Action::Allow => {
            policy.metadata.annotations.get(AUDIT_ANNOTATION).and_then(|word| audit_from_str(word)).unwrap_or_default()
        }
        _ => Audit::default(),
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

#[cfg(test)]
mod tests;
