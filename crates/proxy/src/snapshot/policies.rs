//! Policies in a snapshot: the documents, the rule set of this workload, and which peers have any right at all.
use std::collections::BTreeSet;

use model::istio::{AUDIT_ANNOTATION, Action, AuthorizationPolicy};
use policy::{RuleSet, Semantics};
use wire::v1::resources as wire_resources;

use super::{Admitted, Compiler};

impl Compiler<'_> {
    pub(super) fn documents(&mut self, policies: &[wire_resources::Policy]) -> Vec<AuthorizationPolicy> {
        let mut documents = Vec::new();
        for (i, policy) in policies.iter().enumerate() {
            match serde_json::from_str::<AuthorizationPolicy>(&policy.document) {
                Ok(document) => documents.push(document),
                Err(e) => self.error(format!("policies[{i}]"), format!("`{}`: {e}", policy.name)),
            }
        }
        documents
    }

    pub(super) fn policies(
        &mut self,
        semantics: Semantics,
        subject: &policy::Workload,
        documents: &[AuthorizationPolicy],
    ) -> (Option<RuleSet>, Admitted) {
        match RuleSet::compile_as(semantics, subject, documents) {
            Ok(rules) => {
                let admitted = admitted(&rules, subject, documents);
                (Some(rules), admitted)
            }
            Err(errors) => {
                for error in errors {
                    self.error("policies", error);
                }
                (None, Admitted::Only(BTreeSet::new()))
            }
        }
    }
}

/// What policies select, and how they name peers.
pub(super) fn subject(workload: &wire_resources::Workload, trust_domain: &str) -> policy::Workload {
    policy::Workload {
        namespace: workload.namespace.clone(),
        labels: workload.labels.clone().into_iter().collect(),
        root_namespace: workload.root_namespace.clone(),
        trust_domain: trust_domain.to_owned(),
        aliases: workload.aliases.clone(),
    }
}

/// Whether a policy asks that no request pass without a durable record.
pub(super) fn is_strict(document: &str) -> bool {
    // One that cannot be read is refused elsewhere.
    let document = serde_json::from_str::<AuthorizationPolicy>(document).ok();
    let level = document.as_ref().and_then(|d| d.metadata.annotations.get(AUDIT_ANNOTATION));
    level.is_some_and(|level| matches!(level.as_str(), "strict" | "critical"))
}

/// Over-approximates on purpose: every request is decided again anyway; this only says whose open connections are
/// certainly without any right.
fn admitted(rules: &RuleSet, subject: &policy::Workload, documents: &[AuthorizationPolicy]) -> Admitted {
    // No ALLOW policy that counts: dry runs do not.
    if rules.allows_by_default() {
        return Admitted::Anyone;
    }
    let mut set = BTreeSet::new();
    for rule in documents.iter().filter(|d| d.spec.action == Action::Allow).flat_map(|d| &d.spec.rules) {
        if rule.from.is_empty() {
            return Admitted::Anyone;
        }
        for from in &rule.from {
            if from.source.principals.is_empty() || from.source.principals.iter().any(|p| p.contains('*')) {
                return Admitted::Anyone;
            }
            for principal in &from.source.principals {
                let principal = principal.strip_prefix("spiffe://").unwrap_or(principal);
                set.insert(format!("spiffe://{principal}"));
                // Aliases, and `cluster.local`, mean the own trust domain too.
                if let Some((_, path)) = principal.split_once('/') {
                    set.insert(format!("spiffe://{}/{path}", subject.trust_domain));
                }
            }
        }
    }
    Admitted::Only(set)
}
