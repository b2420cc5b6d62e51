//! The compiled form: rules of one workload, found by the principal they name.
use std::collections::{BTreeMap, HashMap};

use http::HeaderName;
use model::{
    Audit,
    istio::{Action, AuthorizationPolicy},
};

use crate::{
    Allow, CompileError, Decision, Deny, Reason, Request, RuleRef, Semantics,
    compile::{Compiled, Compiler, full_name, selects},
    matcher::{Check, Facts, Matcher, Text},
};

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
#[derive(Debug, Default)]
pub(crate) struct Phase {
    pub(crate) rules: Box<[Rule]>,
    /// Rules that only name whole principals, under each of them.
    by_principal: HashMap<Box<str>, Vec<u32>>,
    /// All other rules.
    rest: Vec<u32>,
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

    pub(crate) fn decide_on(&self, facts: &Facts) -> Decision {
        if let Some(rule) = self.custom.find(facts) {
            return Decision::Deny(Deny { reason: rule.refusal(facts, Reason::NoProvider), rule: Some(rule.at) });
        }
        if let Some(rule) = self.deny.find(facts) {
            return Decision::Deny(Deny { reason: rule.refusal(facts, Reason::DeniedByPolicy), rule: Some(rule.at) });
        }
        if !self.allow_selects {
            return Decision::Allow(Allow { rule: None });
        }
        if let Some(rule) = self.allow.find(facts) {
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

    /// The rule a reference of this set means.
    pub(crate) fn rule(&self, at: RuleRef) -> Option<&Rule> {
        [&self.custom, &self.deny, &self.allow, &self.audit]
            .into_iter()
            .flat_map(|phase| &phase.rules)
            .find(|rule| rule.at == at)
    }
}

impl Phase {
    fn new(rules: Vec<Rule>) -> Self {
        let mut by_principal: HashMap<Box<str>, Vec<u32>> = HashMap::new();
        let mut rest = Vec::new();
        for (index, rule) in rules.iter().enumerate() {
            let index = u32::try_from(index).unwrap_or(u32::MAX);
            match rule.principals() {
                Some(principals) => {
                    for principal in principals {
                        let list = by_principal.entry(principal.into()).or_default();
                        // A rule may name a principal twice.
                        if list.last() != Some(&index) {
                            list.push(index);
                        }
                    }
                }
                None => rest.push(index),
            }
        }
        Self { rules: rules.into(), by_principal, rest }
    }

    /// The first rule that matches: those that name the principal, then those that do not name whole principals.
    fn find(&self, facts: &Facts) -> Option<&Rule> {
        let named =
            facts.principal.and_then(|principal| self.by_principal.get(principal)).map_or(&[][..], Vec::as_slice);
        named
            .iter()
            .chain(&self.rest)
            .filter_map(|index| self.rules.get(usize::try_from(*index).ok()?))
            .find(|rule| rule.matches(facts))
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

    /// The whole principals without which the rule cannot match; `None` when it does not name them.
    fn principals(&self) -> Option<Vec<&str>> {
        if self.from.is_empty() {
            return None;
        }
        let mut all = Vec::new();
        for source in &self.from {
            all.extend(whole_principals(source)?);
        }
        Some(all)
    }

    /// On TCP a rule that looks at HTTP fields denies because it cannot see them; that is said.
    fn refusal(&self, facts: &Facts, reason: Reason) -> Reason {
        let blind = facts.request.protocol == crate::Protocol::Tcp
            && self.from.iter().chain(&self.to).flatten().chain(&self.when).any(|check| check.matcher.http_only());
        if blind { Reason::HttpRuleOnTcp } else { reason }
    }
}

/// The principals one source asks for, when it asks for whole ones.
fn whole_principals(source: &[Check]) -> Option<Vec<&str>> {
    let texts = source.iter().filter(|check| !check.negated).find_map(|check| match &check.matcher {
        Matcher::Principal(texts) => Some(texts),
        _ => None,
    })?;
    texts
        .iter()
        .map(|text| match text {
            Text::Exact(principal) => Some(&**principal),
            _ => None,
        })
        .collect()
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
