//! What a model asks `ward up` to run: instances, and the order in which they start. Pure.
use std::collections::{BTreeMap, BTreeSet};

use model::{
    Listen, Model, Role, Run, Serve,
    allow::{AllowEntry, Segment},
};

use super::environment::Upstream;

/// One instance to run: a sidecar and its application, or a gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Spec {
    /// Its node.
    pub(crate) node: String,
    /// Its number among the node's instances.
    pub(crate) index: u32,
    /// Set when `ward-proxy` itself is the node.
    pub(crate) role: Option<Role>,
    /// A gateway's listeners.
    pub(crate) listen: Vec<Listen>,
    /// Ports the application serves.
    pub(crate) serves: Vec<Serve>,
    /// The application.
    pub(crate) run: Option<Run>,
    /// Its SPIFFE ID.
    pub(crate) identity: String,
}

impl Spec {
    /// `orders/0`.
    pub(crate) fn name(&self) -> String {
        format!("{}/{}", self.node, self.index)
    }

    /// `orders-0`: its name where a slash cannot stand. Unique, for the number is always the last part.
    pub(crate) fn file_name(&self) -> String {
        format!("{}-{}", self.node, self.index)
    }
}

/// Everything `ward up` starts: nodes with `run` or `role`, by name. Nodes with `attest` alone join by themselves.
pub(crate) fn specs(model: &Model) -> Vec<Spec> {
    let mut specs = Vec::new();
    for (name, node) in &model.nodes {
        if node.run.is_none() && node.role.is_none() {
            continue;
        }
        let run = if node.role.is_some() { None } else { node.run.clone() };
        let replicas = run.as_ref().map_or(1, |run| run.replicas.max(1));
        let identity = model.spiffe_id(name.as_str()).map(|id| id.to_string()).unwrap_or_default();
        for index in 0..replicas {
            specs.push(Spec {
                node: name.to_string(),
                index,
                role: node.role,
                listen: node.listen.clone(),
                serves: node.serves.clone(),
                run: run.clone(),
                identity: identity.clone(),
            });
        }
    }
    specs
}

/// The nodes in the order in which they start: who is called before who calls, so that a node's upstreams are there
/// when it comes up. Nodes that call each other in a circle start together. Stopping goes the other way.
pub(crate) fn waves(model: &Model) -> Vec<BTreeSet<String>> {
    let mut calls: BTreeMap<&str, BTreeSet<&str>> =
        model.nodes.keys().map(|name| (name.as_str(), BTreeSet::new())).collect();
    for flow in &model.flows {
        if flow.from != flow.to {
            calls.entry(flow.from.as_str()).or_default().insert(flow.to.as_str());
        }
    }
    let mut waves = Vec::new();
    while !calls.is_empty() {
        let mut wave: BTreeSet<&str> = calls
            .iter()
            .filter(|(_, to)| to.is_disjoint(&calls.keys().copied().collect()))
            .map(|(name, _)| *name)
            .collect();
        if wave.is_empty() {
            wave = innermost_circle(&calls);
        }
        calls.retain(|name, _| !wave.contains(name));
        waves.push(wave.into_iter().map(str::to_owned).collect());
    }
    waves
}

/// Of nodes none of which is free to start: those that reach the fewest others, which is a circle that calls nobody
/// outside itself.
fn innermost_circle<'a>(calls: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> BTreeSet<&'a str> {
    let reached = |from: &'a str| {
        let (mut seen, mut open) = (BTreeSet::from([from]), vec![from]);
        while let Some(node) = open.pop() {
            for to in calls.get(node).into_iter().flatten().filter(|to| calls.contains_key(*to)) {
                if seen.insert(*to) {
                    open.push(to);
                }
            }
        }
        seen
    };
    calls.keys().map(|name| reached(name)).min_by_key(BTreeSet::len).unwrap_or_default()
}

/// First local port of a sidecar; the others follow in the order of `<node>:<port>`, as the control plane counts them.
const LOCAL_PORT_FIRST: u16 = 15_100;

/// The upstreams that a node's sidecar will have.
pub(crate) fn upstreams(model: &Model, node: &str) -> Vec<Upstream> {
    let mut found = BTreeMap::new();
    for flow in model.flows_from(node).filter(|flow| !flow.standby) {
        if !model.nodes.get(&flow.to).is_some_and(model::Node::under_ward) {
            continue;
        }
        for serve in model.ports_of(flow) {
            let protocol = if serve.protocol.is_http() { "http" } else { "tcp" };
            let upstream =
                Upstream { node: flow.to.to_string(), port: serve.port, protocol: protocol.into(), local_port: 0 };
            found.insert(format!("{}:{}", flow.to, serve.port), upstream);
        }
    }
    let mut upstreams: Vec<Upstream> = found.into_values().collect();
    for (upstream, local_port) in upstreams.iter_mut().zip(LOCAL_PORT_FIRST..) {
        upstream.local_port = local_port;
    }
    upstreams
}

/// A request that a gateway lets in, to try: further options of curl, and the path. A flow's GET comes first.
pub(crate) fn example_request(model: &Model, gateway: &str) -> (String, String) {
    let entries: Vec<_> = model.flows_to(gateway).flat_map(|flow| flow.via.allow.iter().flatten()).collect();
    let is_get = |entry: &&&AllowEntry| entry.methods.is_empty() || entry.methods.iter().any(|method| method == "GET");
    let Some(entry) = entries.iter().find(is_get).or_else(|| entries.first()) else {
        return (String::new(), "/".to_owned());
    };
    let options = if is_get(&entry) {
        String::new()
    } else {
        format!("-X {} ", entry.methods.first().map_or("GET", String::as_str))
    };
    let segment = |segment: &Segment| match segment {
        Segment::Literal(text) => text.clone(),
        Segment::Any => "1".to_owned(),
        Segment::Rest => String::new(),
    };
    let path: Vec<String> = entry.path.segments.iter().map(segment).collect();
    (options, format!("/{}", path.join("/")))
}
