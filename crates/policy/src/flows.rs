//! Flows as AuthorizationPolicies: what the diagram allows, in the words of Istio.
use model::{Model, istio::AuthorizationPolicy};

use crate::{CompileError, RuleSet, Workload};

/// Every policy the model's flows mean.
pub fn compile(_: &Model) -> Vec<AuthorizationPolicy> {
    Vec::new()
}

/// The policies that select a node: compiled from flows, then hand-written. Empty for an unknown node.
pub fn policies_for(_: &Model, _: &str) -> Vec<AuthorizationPolicy> {
    Vec::new()
}

/// The node as policies select it.
pub fn workload_for(_: &Model, _: &str) -> Option<Workload> {
    None
}

/// The rule set of a node.
pub fn rule_set_for(model: &Model, node: &str) -> Result<RuleSet, Vec<CompileError>> {
    RuleSet::compile(&workload_for(model, node).unwrap_or_default(), &policies_for(model, node))
}
