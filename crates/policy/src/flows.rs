//! Flows as AuthorizationPolicies: what the diagram allows, in the words of Istio.
//!
//! Only nodes under Ward get policies, as only they enforce. A node that no active flow reaches gets a policy that
//! allows nothing: without it Istio's meaning of "no policy" would be "everything". Where a flow needs a token, the node
//! also gets a RequestAuthentication for each issuer: it says which tokens count, the policy says that one is needed.
use std::collections::{BTreeMap, HashMap};

use model::{
    Auth, Claim, Flow, Issuer, KeySource, Model, Name, Node, NodeKind, Role, SpiffeId,
    allow::AllowEntry,
    istio::{
        AUDIT_ANNOTATION, Action, AuthorizationPolicy, AuthorizationSpec, Condition, FLOW_ANNOTATION, From, JwtRule,
        Metadata, NODE_LABEL, Operation, RequestAuthentication, RequestSpec, Rule, Selector, Source, To,
    },
};

use crate::{
    CompileError, RuleSet, Semantics, TokenRules, Workload, compile::selects, rules::audit_as_str,
    scope::authentication_selects,
};

/// Every policy the model's flows mean: one per active flow into a node under Ward, in the order written, and one that
/// allows nothing for each node under Ward that no active flow reaches.
pub fn compile(model: &Model) -> Vec<AuthorizationPolicy> {
    let mut policies: Vec<_> = model.flows.iter().filter_map(|flow| flow_policy(model, flow)).collect();
    let reached = model.flows_by_target();
    let no_flow = |node: &Name| no_flow_policy(model, node.as_str(), flows_into(&reached, node));
    policies.extend(model.nodes.keys().filter_map(no_flow));
    policies
}

/// The flows of an index that lead to a node.
fn flows_into<'i, 'm>(index: &'i HashMap<&str, Vec<&'m Flow>>, node: &Name) -> &'i [&'m Flow] {
    index.get(node.as_str()).map_or(&[], Vec::as_slice)
}

/// The policies that select a node: compiled from flows, then hand-written. Empty for an unknown node.
pub fn policies_for(model: &Model, node: &str) -> Vec<AuthorizationPolicy> {
    match workload_for(model, node) {
        Some(workload) => policies_of(model, node, &workload, &model.flows_to(node).collect::<Vec<_>>()),
        None => Vec::new(),
    }
}

fn policies_of(model: &Model, node: &str, workload: &Workload, flows: &[&Flow]) -> Vec<AuthorizationPolicy> {
    flows
        .iter()
        .filter_map(|flow| flow_policy(model, flow))
        .chain(no_flow_policy(model, node, flows))
        .chain(model.policies.iter().filter(|policy| selects(semantics_of(model), policy, workload)).cloned())
        .collect()
}

/// The RequestAuthentications that select a node: one for each issuer whose tokens its flows need, then hand-written.
/// Empty for an unknown node, and for one that is not under Ward.
pub fn authentications_for(model: &Model, node: &str) -> Vec<RequestAuthentication> {
    match workload_for(model, node) {
        Some(workload) => authentications_of(model, node, &workload, &model.flows_to(node).collect::<Vec<_>>()),
        None => Vec::new(),
    }
}

/// The RequestAuthentications that select each node, in order of node; one that selects many is there for each of them.
pub fn authentications(model: &Model) -> Vec<RequestAuthentication> {
    let inbound = model.flows_by_target();
    let mut all = Vec::new();
    for node in model.nodes.keys() {
        if let Some(workload) = workload_for(model, node.as_str()) {
            all.extend(authentications_of(model, node.as_str(), &workload, flows_into(&inbound, node)));
        }
    }
    all
}

fn authentications_of(model: &Model, node: &str, workload: &Workload, flows: &[&Flow]) -> Vec<RequestAuthentication> {
    let Some(target) = model.nodes.get(node).filter(|target| target.under_ward()) else { return Vec::new() };
    let flows = flows.iter().filter(|flow| !flow.standby);
    let issuers: BTreeMap<_, _> = flows.filter_map(|flow| model.token_of(flow)?.issuer).collect();
    let semantics = semantics_of(model);
    let written = model.authentications.iter().filter(|one| authentication_selects(semantics, one, workload));
    issuers
        .into_iter()
        .map(|(name, issuer)| issuer_document(target, node, name, issuer))
        .chain(written.cloned())
        .collect()
}

/// The token rules of a node.
///
/// # Errors
/// A RequestAuthentication that selects it is not understood.
pub fn token_rules_for(model: &Model, node: &str) -> Result<TokenRules, Vec<CompileError>> {
    let Some(workload) = workload_for(model, node) else { return Ok(TokenRules::default()) };
    TokenRules::compile(semantics_of(model), &workload, &authentications_for(model, node))
}

/// How the mesh reads policies: `mesh.compat`.
pub fn semantics_of(model: &Model) -> Semantics {
    if model.mesh.compat_istio { Semantics::Istio } else { Semantics::Ward }
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
    let (semantics, inbound) = (semantics_of(model), model.flows_by_target());
    for (node, _) in model.nodes.iter().filter(|(_, node)| node.under_ward()) {
        let gather = |found: Vec<CompileError>, list: &mut Vec<CompileError>| {
            for fault in found {
                // A policy may select many nodes.
                if !list.contains(&fault) {
                    list.push(fault);
                }
            }
        };
        let Some(workload) = workload_for(model, node.as_str()) else { continue };
        let flows = flows_into(&inbound, node);
        let policies = policies_of(model, node.as_str(), &workload, flows);
        match RuleSet::compile_as(semantics, &workload, &policies) {
            Ok(set) => gather(set.warnings().to_vec(), &mut warnings),
            Err(found) => gather(found, &mut errors),
        }
        let documents = authentications_of(model, node.as_str(), &workload, flows);
        match TokenRules::compile(semantics, &workload, &documents) {
            Ok(rules) => gather(rules.warnings().to_vec(), &mut warnings),
            Err(found) => gather(found, &mut errors),
        }
    }
    if errors.is_empty() { Ok(warnings) } else { Err(errors) }
}

/// The rule set of a node, in the mesh's reading.
///
/// # Errors
/// The node is unknown, or a policy that selects it is not understood.
pub fn rule_set_for(model: &Model, node: &str) -> Result<RuleSet, Vec<CompileError>> {
    rule_set_as(semantics_of(model), model, node)
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
    let mut source = Source::default();
    if !anyone {
        source.principals.push(model.spiffe_id(flow.from.as_str())?.principal().to_owned());
    }
    let preflight = sources(source.clone());
    let token = model.token_of(flow);
    // A token of an issuer that the mesh does not name is no token anybody can check: the flow is shut.
    let shut = token.is_some_and(|token| token.issuer.is_none());
    if let Some((_, issuer)) = token.and_then(|token| token.issuer) {
        source.request_principals.push(format!("{}/*", issuer.issuer));
    }
    let caller = Caller {
        from: sources(source),
        preflight,
        when: token.map(|token| token.claims.iter().map(claimed).collect()).unwrap_or_default(),
    };
    let ports = ports(model, flow, target, anyone);
    let rules = match &flow.via.allow {
        // Without a port there is nothing to allow, and a rule without ports would mean all of them.
        _ if ports.is_empty() || shut => Vec::new(),
        None => {
            let operation = Operation { ports, ..Operation::default() };
            vec![Rule { from: caller.from, to: vec![To { operation }], when: caller.when }]
        }
        Some(entries) => entries.iter().flat_map(|entry| entry_rules(flow, entry, &caller, &ports)).collect(),
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

/// Who a flow is from, in the words of a rule.
struct Caller {
    /// Identity and issuer of the token.
    from: Vec<From>,
    /// The same for a preflight, which a browser sends without any token.
    preflight: Vec<From>,
    /// Claims.
    when: Vec<Condition>,
}

/// A source that names nobody is no source: it would be refused.
fn sources(source: Source) -> Vec<From> {
    if source == Source::default() { Vec::new() } else { vec![From { source }] }
}

fn claimed(claim: &Claim) -> Condition {
    let key = claim.path.iter().map(|name| format!("[{name}]")).collect::<String>();
    Condition { key: format!("request.auth.claims{key}"), values: claim.values.clone(), not_values: Vec::new() }
}

/// The document by which tokens of an issuer count at a node. A dot stands in no name of a model, so that the names of
/// two such documents never meet.
fn issuer_document(target: &Node, node: &str, name: &Name, issuer: &Issuer) -> RequestAuthentication {
    let (jwks, jwks_uri) = match &issuer.keys {
        KeySource::Inline(keys) => (Some(keys.clone()), None),
        KeySource::Address(address) => (None, Some(address.clone())),
    };
    RequestAuthentication {
        api_version: "security.istio.io/v1".to_owned(),
        kind: "RequestAuthentication".to_owned(),
        metadata: Metadata {
            name: format!("issuer-{name}.{node}"),
            namespace: target.namespace.to_string(),
            ..Metadata::default()
        },
        spec: RequestSpec {
            selector: Some(Selector { match_labels: BTreeMap::from([(NODE_LABEL.to_owned(), node.to_owned())]) }),
            target_refs: Vec::new(),
            jwt_rules: vec![JwtRule {
                issuer: issuer.issuer.clone(),
                audiences: issuer.audiences.clone(),
                jwks_uri,
                jwks,
                from_headers: issuer.from_headers.clone(),
                from_params: issuer.from_params.clone(),
                from_cookies: issuer.from_cookies.clone(),
                forward_original_token: issuer.forward,
                ..JwtRule::default()
            }],
        },
    }
}

/// An `allow` entry as rules: the request itself, and its preflight where `cors` asks for it.
fn entry_rules(flow: &Flow, entry: &AllowEntry, caller: &Caller, ports: &[String]) -> Vec<Rule> {
    let operation = Operation {
        ports: ports.to_vec(),
        methods: entry.methods.clone(),
        paths: vec![flow.via.received_path(&entry.path).to_string()],
        ..Operation::default()
    };
    let preflight = (flow.via.cors && !entry.methods.is_empty()).then(|| Rule {
        from: caller.preflight.clone(),
        to: vec![To { operation: Operation { methods: vec!["OPTIONS".to_owned()], ..operation.clone() } }],
        when: vec![present("origin"), present("access-control-request-method")],
    });
    let request = Rule { from: caller.from.clone(), to: vec![To { operation }], when: caller.when.clone() };
    std::iter::once(request).chain(preflight).collect()
}

/// What keeps a node shut that no active flow reaches.
fn no_flow_policy(model: &Model, node: &str, flows: &[&Flow]) -> Option<AuthorizationPolicy> {
    let target = model.nodes.get(node).filter(|target| target.under_ward())?;
    if flows.iter().any(|flow| !flow.standby) {
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
