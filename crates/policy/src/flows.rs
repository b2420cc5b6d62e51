//! Flows as AuthorizationPolicies: what the diagram allows, in the words of Istio.
//!
//! Only nodes under Ward get policies, as only they enforce. A node that no active flow reaches gets a policy that
//! allows nothing: without it Istio's meaning of "no policy" would be "everything".
use std::collections::BTreeMap;

use model::{
    Auth, Flow, Model, Node, NodeKind, Role, SpiffeId,
    allow::AllowEntry,
    istio::{
        AUDIT_ANNOTATION, Action, AuthorizationPolicy, AuthorizationSpec, Condition, FLOW_ANNOTATION, From, Metadata,
        NODE_LABEL, Operation, Rule, Selector, Source, To,
    },
};

use crate::{CompileError, RuleSet, Semantics, Workload, compile::selects, rules::audit_as_str};

/// Every policy the model's flows mean: one per active flow into a node under Ward, in the order written, and one that
/// allows nothing for each node under Ward that no active flow reaches.
pub fn compile(model: &Model) -> Vec<AuthorizationPolicy> {
    let mut policies: Vec<_> = model.flows.iter().filter_map(|flow| flow_policy(model, flow)).collect();
    policies.extend(model.nodes.keys().filter_map(|node| no_flow_policy(model, node.as_str())));
    policies
}

/// The policies that select a node: compiled from flows, then hand-written. Empty for an unknown node.
pub fn policies_for(model: &Model, node: &str) -> Vec<AuthorizationPolicy> {
    let Some(workload) = workload_for(model, node) else { return Vec::new() };
    model
        .flows_to(node)
        .filter_map(|flow| flow_policy(model, flow))
        .chain(no_flow_policy(model, node))
        .chain(model.policies.iter().filter(|policy| selects(Semantics::Ward, policy, &workload)).cloned())
        .collect()
}

/// The node as policies select it; `None` when the model has no such node.
pub fn workload_for(model: &Model, node: &str) -> Option<Workload> {
    let found = model.nodes.get(node)?;
    Some(Workload {
        namespace: found.namespace.to_string(),
        labels: BTreeMap::from([(NODE_LABEL.to_owned(), node.to_owned())]),
        root_namespace: model.mesh.root_namespace.to_string(),
        trust_domain: model.trust_domain.to_string(),
        aliases: model.mesh.aliases.iter().map(ToString::to_string).collect(),
    })
}

/// The identity a node proves when it calls another: its own when it is under Ward or a party with `auth: mtls`, else
/// none.
pub fn identity_of(model: &Model, node: &str) -> Option<SpiffeId> {
    model.nodes.get(node).filter(|found| proves_identity(found)).and_then(|_| model.spiffe_id(node))
}

/// Compiles the rule set of every node under Ward, to see whether all of them compile: what they warn about, each
/// warning once.
///
/// # Errors
/// Everything that is not understood in any of them, each fault once.
pub fn check(model: &Model) -> Result<Vec<CompileError>, Vec<CompileError>> {
    let (mut errors, mut warnings) = (Vec::new(), Vec::new());
    for (node, _) in model.nodes.iter().filter(|(_, node)| node.under_ward()) {
        let (found, list) = match rule_set_for(model, node.as_str()) {
            Ok(set) => (set.warnings().to_vec(), &mut warnings),
            Err(found) => (found, &mut errors),
        };
        for fault in found {
            // A policy may select many nodes.
            if !list.contains(&fault) {
                list.push(fault);
            }
        }
    }
    if errors.is_empty() { Ok(warnings) } else { Err(errors) }
}

/// The rule set of a node.
///
/// # Errors
/// The node is unknown, or a policy that selects it is not understood.
pub fn rule_set_for(model: &Model, node: &str) -> Result<RuleSet, Vec<CompileError>> {
    rule_set_as(Semantics::Ward, model, node)
}

/// The rule set of a node by the given reading. What flows mean does not depend on it, as their entries are written in
/// normal form; what hand-written policies mean does.
///
/// # Errors
/// The node is unknown, or a policy that selects it is not understood.
pub fn rule_set_as(semantics: Semantics, model: &Model, node: &str) -> Result<RuleSet, Vec<CompileError>> {
    let Some(workload) = workload_for(model, node) else {
        return Err(vec![CompileError {
            policy: String::new(),
            field: "nodes".to_owned(),
            message: format!("the model has no node `{node}`"),
            help: model::closest(node, model.nodes.keys().map(|name| name.as_str()))
                .map(|near| format!("did you mean `{near}`?")),
        }]);
    };
    RuleSet::compile_as(semantics, &workload, &policies_for(model, node))
}

/// The policy a flow means; `None` when it is on standby or its target does not enforce.
fn flow_policy(model: &Model, flow: &Flow) -> Option<AuthorizationPolicy> {
    let target = model.nodes.get(&flow.to).filter(|target| target.under_ward())?;
    let source = model.nodes.get(&flow.from)?;
    if flow.standby {
        return None;
    }
    // Anyone who reaches the gateway's listener; `check` says when two such parties cannot be told apart. To any other
    // node there is no way but mutual TLS: a source that has no identity is named by the one it would need.
    let anyone = !proves_identity(source) && target.role == Some(Role::Gateway);
    let from = if anyone {
        Vec::new()
    } else {
        let principals = vec![model.spiffe_id(flow.from.as_str())?.principal().to_owned()];
        vec![From { source: Source { principals, ..Source::default() } }]
    };
    let ports = ports(model, flow, target, anyone);
    let rules = match &flow.via.allow {
        // Without a port there is nothing to allow, and a rule without ports would mean all of them.
        _ if ports.is_empty() => Vec::new(),
        None => {
            let operation = Operation { ports, ..Operation::default() };
            vec![Rule { from, to: vec![To { operation }], when: Vec::new() }]
        }
        Some(entries) => entries.iter().flat_map(|entry| entry_rules(flow, entry, &from, &ports)).collect(),
    };
    let audit = flow.via.audit.unwrap_or_default();
    Some(AuthorizationPolicy {
        metadata: Metadata {
            name: format!("flow-{}", flow.id),
            namespace: target.namespace.to_string(),
            annotations: BTreeMap::from([
                (FLOW_ANNOTATION.to_owned(), flow.id.to_string()),
                (AUDIT_ANNOTATION.to_owned(), audit_as_str(audit).to_owned()),
            ]),
            ..Metadata::default()
        },
        ..selecting(flow.to.as_str(), rules)
    })
}

/// An `allow` entry as rules: the request itself, and its preflight where `cors` asks for it.
fn entry_rules(flow: &Flow, entry: &AllowEntry, from: &[From], ports: &[String]) -> Vec<Rule> {
    let operation = Operation {
        ports: ports.to_vec(),
        methods: entry.methods.clone(),
        paths: vec![flow.via.received_path(&entry.path).to_string()],
        ..Operation::default()
    };
    let preflight = (flow.via.cors && !entry.methods.is_empty()).then(|| Rule {
        from: from.to_vec(),
        to: vec![To { operation: Operation { methods: vec!["OPTIONS".to_owned()], ..operation.clone() } }],
        when: vec![present("origin"), present("access-control-request-method")],
    });
    let request = Rule { from: from.to_vec(), to: vec![To { operation }], when: Vec::new() };
    std::iter::once(request).chain(preflight).collect()
}

/// What keeps a node shut that no active flow reaches.
fn no_flow_policy(model: &Model, node: &str) -> Option<AuthorizationPolicy> {
    let target = model.nodes.get(node).filter(|target| target.under_ward())?;
    if model.flows_to(node).any(|flow| !flow.standby) {
        return None;
    }
    Some(AuthorizationPolicy {
        metadata: Metadata {
            name: format!("no-flow-{node}"),
            namespace: target.namespace.to_string(),
            ..Metadata::default()
        },
        ..selecting(node, Vec::new())
    })
}

fn selecting(node: &str, rules: Vec<Rule>) -> AuthorizationPolicy {
    AuthorizationPolicy {
        api_version: "security.istio.io/v1".to_owned(),
        kind: "AuthorizationPolicy".to_owned(),
        metadata: Metadata::default(),
        spec: AuthorizationSpec {
            selector: Some(Selector { match_labels: BTreeMap::from([(NODE_LABEL.to_owned(), node.to_owned())]) }),
            action: Action::Allow,
            rules,
            ..AuthorizationSpec::default()
        },
    }
}

/// Whether the node presents an SVID: it is under Ward, or a party that was given one.
fn proves_identity(node: &Node) -> bool {
    node.under_ward() || (node.kind == NodeKind::Party && node.auth == Some(Auth::Mtls))
}

/// The ports a flow may use: those of the gateway's listeners and, for callers with an identity, those the target
/// serves in the mesh; `via.port` picks one.
fn ports(model: &Model, flow: &Flow, target: &Node, anyone: bool) -> Vec<String> {
    let picked = |port: &u16| flow.via.port.is_none_or(|wanted| wanted == *port);
    let mut ports: Vec<u16> = target.listen.iter().map(|listen| listen.port).filter(picked).collect();
    if !anyone {
        ports.extend(model.ports_of(flow).map(|serve| serve.port));
    }
    ports.sort_unstable();
    ports.dedup();
    ports.iter().map(ToString::to_string).collect()
}

fn present(header: &str) -> Condition {
    Condition { key: format!("request.headers[{header}]"), values: vec!["*".to_owned()], not_values: Vec::new() }
}

#[cfg(test)]
mod tests;
