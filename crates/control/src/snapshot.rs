//! What each node is told: a model compiled to resources (`Compiled`), joined with where the instances are and which keys
//! prove tokens (`Snapshot`). Pure: a model, addresses, keys and roots in, bytes out. A node is never given more than its own flows need.
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use aws_lc_rs::digest::{SHA256, digest};
use model::{
    Flow, ListenTls, Mode, Model, Node, Role, SpiffeId,
    allow::{AllowEntry, PathPattern},
    diagnostic::{Diagnostic, Severity},
    istio::{AuthorizationPolicy, AuthorizationSpec, Metadata, NODE_LABEL, RequestAuthentication},
};
use prost::Message;
use wire::v1::resources;

use crate::{jwks::Source, store::NodeDigest};

#[cfg(test)]
mod tests;
mod tokens;

/// First local port of a sidecar's upstreams; the port of an upstream is this plus its place among the sorted names.
pub const LOCAL_PORT_FIRST: u16 = 15_100;
/// Upstreams a node may have: their local ports must stay below the ephemeral range.
pub const UPSTREAMS_MAX: usize = 4_096;

/// The resource types, in the order in which a change is sent: what is pointed at before what points at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Keys of issuers of tokens.
    KeySet,
    /// Which tokens count.
    Authentication,
    /// Roots.
    Bundle,
    /// Authorization policies.
    Policy,
    /// Nodes it may call.
    Upstream,
    /// What it is.
    Workload,
}

impl Kind {
    /// All of them, in sending order.
    pub const ALL: [Kind; 6] =
        [Kind::KeySet, Kind::Authentication, Kind::Bundle, Kind::Policy, Kind::Upstream, Kind::Workload];

    /// The message's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::KeySet => "KeySet",
            Self::Authentication => "Authentication",
            Self::Bundle => "Bundle",
            Self::Policy => "Policy",
            Self::Upstream => "Upstream",
            Self::Workload => "Workload",
        }
    }

    /// `type.googleapis.com/ward.v1.resources.<Message>`.
    pub fn type_url(self) -> String {
        format!("{}{}", wire::TYPE_URL_PREFIX, self.name())
    }

    /// The type of a URL, when it is one of Ward's.
    pub fn of_url(url: &str) -> Option<Self> {
        let name = url.strip_prefix(wire::TYPE_URL_PREFIX)?;
        Self::ALL.into_iter().find(|k| k.name() == name)
    }

    /// What must be up to date before a resource of this type is taken away: what points at it.
    pub fn pointed_at_by(self) -> Option<Self> {
        match self {
            Self::KeySet => Some(Self::Authentication),
            Self::Authentication => Some(Self::Policy),
            Self::Upstream => Some(Self::Workload),
            Self::Bundle | Self::Policy | Self::Workload => None,
        }
    }
}

/// One resource as it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// Its name within its type.
    pub name: String,
    /// Hash of its content: equal content has an equal version whatever the revision.
    pub version: String,
    /// The encoded message.
    pub body: Vec<u8>,
}

/// All that one node may see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeResources {
    lists: [Vec<Resource>; 6],
}

impl NodeResources {
    /// Its resources of one type, by name.
    pub fn of(&self, kind: Kind) -> &[Resource] {
        let [key_sets, authentications, bundles, policies, upstreams, workloads] = &self.lists;
        match kind {
            Kind::KeySet => key_sets,
            Kind::Authentication => authentications,
            Kind::Bundle => bundles,
            Kind::Policy => policies,
            Kind::Upstream => upstreams,
            Kind::Workload => workloads,
        }
    }
}

/// Everybody's resources at one revision and one set of endpoints.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Revision of the model.
    pub revision: u64,
    nodes: HashMap<SpiffeId, Arc<NodeResources>>,
}

impl Snapshot {
    /// The resources of an identity; `None` when no node of the model has it.
    pub fn of(&self, id: &SpiffeId) -> Option<&Arc<NodeResources>> {
        self.nodes.get(id)
    }
}

/// A model compiled for every node under Ward, without endpoints and without keys.
#[derive(Debug)]
pub struct Compiled {
    /// Its revision.
    pub revision: u64,
    /// Whose tokens count, and where; by issuer, then by the address of its keys.
    pub issuers: Vec<IssuerUse>,
    sources: Vec<Source>,
    nodes: BTreeMap<SpiffeId, NodePlan>,
    bundle: resources::Bundle,
}

#[derive(Debug)]
struct NodePlan {
    node: String,
    digest: NodeDigest,
    workload: resources::Workload,
    upstreams: Vec<resources::Upstream>,
    policies: Vec<resources::Policy>,
    authentications: Vec<resources::Authentication>,
    /// Addresses of the keys it needs, sorted.
    key_sets: Vec<String>,
}

/// Where the instances of each node are: mesh addresses by node, sorted.
pub type Endpoints = BTreeMap<String, Vec<String>>;

/// The keys there are, by their address.
pub type KeySets = BTreeMap<String, String>;

/// An issuer of tokens and who asks for its keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerUse {
    /// `iss`; empty for any issuer whose keys are there.
    pub issuer: String,
    /// Address of its keys; `None` when they stand in the model.
    pub address: Option<String>,
    /// Nodes that check its tokens.
    pub nodes: Vec<String>,
}

/// Compiles the model for every node under Ward, and every rule set with it. Any fault refuses the whole: nothing is
/// stored or sent. `known` says since which revision a node's configuration is what it is; a node that this model does not
/// change keeps its revision, so that it is not sent anything.
///
/// # Errors
/// One diagnostic for each fault, in the words of `policy`.
pub fn compile(
    model: &Model,
    revision: u64,
    roots: &[Vec<u8>],
    known: &BTreeMap<String, NodeDigest>,
) -> Result<Compiled, Vec<Diagnostic>> {
    let mut faults = Vec::new();
    let mut nodes = BTreeMap::new();
    let mut tokens = tokens::Uses::default();
    for (name, node) in model.nodes.iter().filter(|(_, n)| n.under_ward()) {
        let Some(id) = model.spiffe_id(name.as_str()) else { continue };
        if let Err(errors) = policy::rule_set_for(model, name.as_str()) {
            faults.extend(errors.iter().map(|e| fault(name.as_str(), e)));
            continue;
        }
        if let Err(errors) = policy::token_rules_for(model, name.as_str()) {
            faults.extend(errors.iter().map(|e| fault(name.as_str(), e)));
            continue;
        }
        let authentications = policy::authentications_for(model, name.as_str());
        let key_sets = tokens.gather(name.as_str(), &authentications, &mut faults);
        let upstreams = upstreams_of(model, name.as_str());
        if upstreams.len() > UPSTREAMS_MAX {
            faults.push(diagnostic(
                "too-many-upstreams",
                format!("nodes.{name}"),
                format!("`{name}` calls {} ports, at most {UPSTREAMS_MAX} fit its sidecar", upstreams.len()),
                Some("split the node, or name one port in each flow with `via.port`".to_owned()),
            ));
        }
        let mut plan = NodePlan {
            node: name.to_string(),
            digest: NodeDigest { digest: String::new(), since: revision },
            workload: workload_of(model, name.as_str(), node, &id),
            policies: policy::policies_for(model, name.as_str()).iter().map(policy_resource).collect(),
            authentications: authentications.iter().map(authentication_resource).collect(),
            key_sets,
            upstreams,
        };
        plan.policies.sort_by(|a, b| a.name.cmp(&b.name));
        plan.authentications.sort_by(|a, b| a.name.cmp(&b.name));
        plan.digest.digest = plan_digest(&plan);
        if let Some(before) = known.get(name.as_str()).filter(|k| k.digest == plan.digest.digest) {
            plan.digest.since = before.since;
        }
        plan.workload.revision = plan.digest.since;
        nodes.insert(id, plan);
    }
    let (issuers, sources) = tokens.finish(model, &mut faults);
    if !faults.is_empty() {
        return Err(faults);
    }
    let bundle = resources::Bundle { trust_domain: model.trust_domain.to_string(), roots: roots.to_vec() };
    Ok(Compiled { revision, issuers, sources, nodes, bundle })
}

impl Compiled {
    /// The digest of every node, for the store.
    pub fn digests(&self) -> BTreeMap<String, NodeDigest> {
        self.nodes.values().map(|p| (p.node.clone(), p.digest.clone())).collect()
    }

    /// Since which revision the node's own configuration is what it is now.
    pub fn since(&self, node: &str) -> Option<u64> {
        self.nodes.values().find(|p| p.node == node).map(|p| p.digest.since)
    }

    /// Where keys are fetched from, each address once.
    pub fn key_sources(&self) -> &[Source] {
        &self.sources
    }

    /// Joins it with the addresses and the keys; a key set that is not there is sent empty, so that its tokens are refused.
    /// Nodes whose resources are the same as in `before` share them.
    pub fn join(&self, endpoints: &Endpoints, keys: &KeySets, before: Option<&Snapshot>) -> Snapshot {
        let bundle = resource(&self.bundle.trust_domain, &self.bundle);
        let nodes = self.nodes.iter().map(|(id, plan)| {
            let upstreams = plan.upstreams.iter().map(|upstream| {
                let mut upstream = upstream.clone();
                upstream.endpoints = endpoints.get(&upstream.node).cloned().unwrap_or_default();
                resource(&upstream.name, &upstream)
            });
            let key_sets = plan.key_sets.iter().map(|name| {
                let jwks = keys.get(name).cloned().unwrap_or_default();
                resource(name, &resources::KeySet { name: name.clone(), jwks })
            });
            let all = NodeResources {
                lists: [
                    key_sets.collect(),
                    plan.authentications.iter().map(|a| resource(&a.name, a)).collect(),
                    vec![bundle.clone()],
                    plan.policies.iter().map(|p| resource(&p.name, p)).collect(),
                    upstreams.collect(),
                    vec![resource(&plan.node, &plan.workload)],
                ],
            };
            let shared = before.and_then(|s| s.of(id)).filter(|old| ***old == all).cloned();
            (id.clone(), shared.unwrap_or_else(|| Arc::new(all)))
        });
        Snapshot { revision: self.revision, nodes: nodes.collect() }
    }
}

/// What an identity that the model no longer knows is told: nothing is served, nothing may be called, nobody is allowed.
/// It fails closed instead of keeping what it had.
pub fn closed(id: &SpiffeId, model: &Model, revision: u64, roots: &[Vec<u8>]) -> NodeResources {
    let (namespace, node) = id.namespace_and_account().unwrap_or(("default", "unknown"));
    let nothing = AuthorizationPolicy {
        api_version: "security.istio.io/v1".to_owned(),
        kind: "AuthorizationPolicy".to_owned(),
        metadata: Metadata {
            name: "not-in-the-model".to_owned(),
            namespace: namespace.to_owned(),
            ..Metadata::default()
        },
        spec: AuthorizationSpec::default(),
    };
    let workload = resources::Workload {
        node: node.to_owned(),
        namespace: namespace.to_owned(),
        spiffe_id: id.to_string(),
        labels: labels(node),
        services: Vec::new(),
        listeners: Vec::new(),
        revision,
        dry_run: false,
        trust_domain: model.trust_domain.to_string(),
        root_namespace: model.mesh.root_namespace.to_string(),
        compat_istio: false,
        aliases: model.mesh.aliases.iter().map(ToString::to_string).collect(),
        gateways: Vec::new(),
    };
    let bundle = resources::Bundle { trust_domain: model.trust_domain.to_string(), roots: roots.to_vec() };
    let policy = policy_resource(&nothing);
    NodeResources {
        lists: [
            Vec::new(),
            Vec::new(),
            vec![resource(&bundle.trust_domain, &bundle)],
            vec![resource(&policy.name, &policy)],
            Vec::new(),
            vec![resource(&workload.node, &workload)],
        ],
    }
}

/// `orders:8080`.
pub fn upstream_name(node: &str, port: u16) -> String {
    format!("{node}:{port}")
}

/// Flows that carry traffic now: a standby flow is active only under an open emergency.
pub fn active(flow: &Flow) -> bool {
    !flow.standby
}

fn workload_of(model: &Model, name: &str, node: &Node, id: &SpiffeId) -> resources::Workload {
    let services = node.serves.iter().map(|serve| resources::Service {
        port: u32::from(serve.port),
        protocol: serve.protocol.as_str().to_owned(),
        address: String::new(),
    });
    resources::Workload {
        node: name.to_owned(),
        namespace: node.namespace.to_string(),
        spiffe_id: id.to_string(),
        labels: labels(name),
        services: services.collect(),
        listeners: listeners_of(model, name, node),
        revision: 0,
        dry_run: node.mode.unwrap_or(model.mesh.mode) == Mode::DryRun,
        trust_domain: model.trust_domain.to_string(),
        root_namespace: model.mesh.root_namespace.to_string(),
        compat_istio: model.mesh.compat_istio,
        aliases: model.mesh.aliases.iter().map(ToString::to_string).collect(),
        gateways: gateways_of(model, name),
    }
}

/// Whom the workload believes about the address of a caller: the gateways it has a flow from.
fn gateways_of(model: &Model, name: &str) -> Vec<String> {
    let from = model.flows_to(name).filter(|flow| active(flow)).map(|flow| flow.from.as_str());
    let gateways = from.filter(|from| model.nodes.get(*from).is_some_and(|node| node.role == Some(Role::Gateway)));
    let ids: BTreeSet<String> = gateways.filter_map(|from| model.spiffe_id(from)).map(|id| id.to_string()).collect();
    ids.into_iter().collect()
}

/// One label only: the encoding of a map has no fixed order, and a version is the hash of the encoding.
fn labels(node: &str) -> HashMap<String, String> {
    HashMap::from([(NODE_LABEL.to_owned(), node.to_owned())])
}

fn listeners_of(model: &Model, name: &str, node: &Node) -> Vec<resources::Listener> {
    if node.role != Some(Role::Gateway) {
        return Vec::new();
    }
    let routes = routes_of(model, name);
    let listener = |listen: &model::Listen| {
        let (tls, cert_file, key_file) = match &listen.tls {
            ListenTls::Auto => ("auto", String::new(), String::new()),
            ListenTls::None => ("none", String::new(), String::new()),
            ListenTls::Files { cert, key } => ("files", cert.clone(), key.clone()),
        };
        resources::Listener {
            port: u32::from(listen.port),
            hosts: listen.hosts.clone(),
            tls: tls.to_owned(),
            cert_file,
            key_file,
            routes: routes.clone(),
        }
    };
    node.listen.iter().map(listener).collect()
}

/// The allow entries of the gateway's outbound flows, most literal first. With `rewrite` they are written as callers send
/// them, prefix and all; the target's policies see what is left (`Via::received_path`).
fn routes_of(model: &Model, gateway: &str) -> Vec<resources::Route> {
    let mut routes: Vec<(PathPattern, resources::Route)> = Vec::new();
    for flow in model.flows_from(gateway).filter(|f| active(f)) {
        if !model.nodes.get(&flow.to).is_some_and(Node::under_ward) {
            continue;
        }
        let Some(serve) = model.ports_of(flow).find(|s| s.protocol.is_http()) else { continue };
        let any = [AllowEntry { text: "* /{**}".to_owned(), methods: Vec::new(), path: PathPattern::any() }];
        for entry in flow.via.allow.as_deref().unwrap_or(&any) {
            let route = resources::Route {
                methods: entry.methods.clone(),
                path: entry.path.to_string(),
                upstream: upstream_name(flow.to.as_str(), serve.port),
                strip_prefix: flow.via.rewrite.clone().unwrap_or_default(),
                flow: flow.id.to_string(),
            };
            routes.push((entry.path.clone(), route));
        }
    }
    // Of equal paths the one that names its methods comes first: it is the narrower.
    routes.sort_by(|(a, x), (b, y)| {
        a.cmp_specificity(b)
            .then_with(|| x.methods.is_empty().cmp(&y.methods.is_empty()))
            .then_with(|| x.methods.cmp(&y.methods))
    });
    routes.into_iter().map(|(_, route)| route).collect()
}

fn upstreams_of(model: &Model, name: &str) -> Vec<resources::Upstream> {
    let mut found: BTreeMap<String, resources::Upstream> = BTreeMap::new();
    for flow in model.flows_from(name).filter(|f| active(f)) {
        let Some((to, target)) = model.nodes.get_key_value(&flow.to).filter(|(_, n)| n.under_ward()) else { continue };
        let timeout_ms = flow.via.timeout.map_or(0, |t| u64::try_from(t.as_millis()).unwrap_or(u64::MAX));
        for serve in model.ports_of(flow) {
            let name = upstream_name(to.as_str(), serve.port);
            let upstream = found.entry(name.clone()).or_insert_with(|| resources::Upstream {
                name,
                node: to.to_string(),
                namespace: target.namespace.to_string(),
                port: u32::from(serve.port),
                protocol: serve.protocol.as_str().to_owned(),
                spiffe_id: SpiffeId::for_node(&model.trust_domain, &target.namespace, to).to_string(),
                endpoints: Vec::new(),
                local_port: 0,
                timeout_ms,
                flows: Vec::new(),
            });
            // Two flows may lead to one port: the longer deadline holds, and none at all is the longest.
            upstream.timeout_ms = match (upstream.timeout_ms, timeout_ms) {
                (0, _) | (_, 0) => 0,
                (a, b) => a.max(b),
            };
            upstream.flows.push(flow.id.to_string());
        }
    }
    let mut upstreams: Vec<_> = found.into_values().collect();
    for (port, upstream) in (u32::from(LOCAL_PORT_FIRST)..).zip(&mut upstreams) {
        upstream.local_port = port;
    }
    upstreams
}

fn policy_resource(policy: &AuthorizationPolicy) -> resources::Policy {
    resources::Policy {
        name: format!("{}/{}", policy.metadata.namespace, policy.metadata.name),
        // A plain struct of strings and lists always serializes.
        document: serde_json::to_string(policy).unwrap_or_default(),
    }
}

fn authentication_resource(document: &RequestAuthentication) -> resources::Authentication {
    resources::Authentication {
        name: format!("{}/{}", document.metadata.namespace, document.metadata.name),
        document: serde_json::to_string(document).unwrap_or_default(),
    }
}

fn resource(name: &str, message: &impl Message) -> Resource {
    let body = message.encode_to_vec();
    let version = hex(digest(&SHA256, &body).as_ref().get(..12).unwrap_or_default());
    Resource { name: name.to_owned(), version, body }
}

/// Hash of what the model says about a node: its workload without the revision, its upstreams without endpoints, policies.
fn plan_digest(plan: &NodePlan) -> String {
    let mut bytes = plan.workload.encode_length_delimited_to_vec();
    for upstream in &plan.upstreams {
        bytes.extend(upstream.encode_length_delimited_to_vec());
    }
    for policy in &plan.policies {
        bytes.extend(policy.encode_length_delimited_to_vec());
    }
    // The keys themselves are no part of it: they change by themselves, and no revision with them.
    for authentication in &plan.authentications {
        bytes.extend(authentication.encode_length_delimited_to_vec());
    }
    hex(digest(&SHA256, &bytes).as_ref())
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn fault(node: &str, error: &policy::CompileError) -> Diagnostic {
    diagnostic(
        "policy",
        format!("nodes.{node}: {} {}", error.policy, error.field),
        format!("policy `{}`, {}: {}", error.policy, error.field, error.message),
        error.help.clone(),
    )
}

pub(crate) fn diagnostic(code: &str, path: String, message: String, help: Option<String>) -> Diagnostic {
    Diagnostic {
        severity: Severity::Error,
        code: code.to_owned(),
        file: "ward.yaml".to_owned(),
        start: 0,
        end: 0,
        line: 1,
        column: 1,
        path,
        message,
        help,
    }
}
