//! Which documents speak for a workload: for those who translate them instead of deciding by them.
use model::istio::{AuthorizationPolicy, JwtRule, RequestAuthentication};

use crate::{
    Semantics, Workload,
    compile::{refers, scope_selects, selects},
};

/// The AuthorizationPolicies that select the workload, in the order given.
pub fn selected<'a>(
    semantics: Semantics,
    workload: &Workload,
    policies: &'a [AuthorizationPolicy],
) -> Vec<&'a AuthorizationPolicy> {
    policies.iter().filter(|policy| selects(semantics, policy, workload)).collect()
}

/// The token rules of the RequestAuthentications that select the workload, in the order given.
pub fn token_rules<'a>(
    semantics: Semantics,
    workload: &Workload,
    documents: &'a [RequestAuthentication],
) -> Vec<&'a JwtRule> {
    let mine = |document: &&RequestAuthentication| authentication_selects(semantics, document, workload);
    documents.iter().filter(mine).flat_map(|document| &document.spec.jwt_rules).collect()
}

/// Whether a RequestAuthentication selects the workload.
pub(crate) fn authentication_selects(
    semantics: Semantics,
    document: &RequestAuthentication,
    workload: &Workload,
) -> bool {
    let written = document.metadata.namespace.as_str();
    let namespace = if written.is_empty() { "default" } else { written };
    match document.spec.target_refs.as_slice() {
        [] => scope_selects(namespace, document.spec.selector.as_ref(), workload),
        refs => refs.iter().any(|one| refers(semantics, one, namespace, workload)),
    }
}
