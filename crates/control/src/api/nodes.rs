//! `GET /v1/nodes`: every node with its coverage, its identity, its instances, and whether what the model says of it is
//! in force.
use std::sync::Arc;

use axum::{Json, extract::State};
use model::{Node, NodeKind, Role};
use serde_json::{Value, json};

use super::{Answer, current, words};
use crate::{
    plane::{Current, Plane},
    registry::InstanceView,
};

/// How much of a node Ward controls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coverage {
    /// Behind its own sidecar, or a gateway.
    UnderWard,
    /// Under Ward, but without a network of its own: whoever is on its machine can go around the sidecar.
    Bypassable,
    /// Described only.
    Described,
}

impl Coverage {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnderWard => "under-ward",
            Self::Bypassable => "bypassable",
            Self::Described => "described",
        }
    }

    /// Coverage of a node, from the model and from what its instances say.
    pub fn of(node: &Node, instances: &[&InstanceView]) -> Self {
        // A gateway is the proxy: there is nothing behind it that could be reached around it.
        let open = node.role.is_none() && instances.iter().any(|i| i.connected && i.row.isolation != "netns");
        match (node.under_ward(), open) {
            (false, _) => Self::Described,
            (true, true) => Self::Bypassable,
            (true, false) => Self::UnderWard,
        }
    }
}

/// Whether a node's configuration is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Force {
    /// Nothing to enforce: not under Ward.
    Described,
    /// No instance is connected.
    Down,
    /// An instance refused it; the words of the first.
    Refused(String),
    /// Sent, not yet held by every connected instance.
    Pending,
    /// Held by every connected instance.
    Enforced,
}

impl Force {
    /// The word for it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Described => "described",
            Self::Down => "down",
            Self::Refused(_) => "refused",
            Self::Pending => "pending",
            Self::Enforced => "enforced",
        }
    }

    /// Of a node: every connected instance must hold a revision at which its configuration was already what it is.
    pub fn of(current: &Current, name: &str, node: &Node, instances: &[&InstanceView]) -> Self {
        if !node.under_ward() {
            return Self::Described;
        }
        let connected: Vec<_> = instances.iter().filter(|i| i.connected).collect();
        if connected.is_empty() {
            return Self::Down;
        }
        if let Some(refused) = connected.iter().find(|i| !i.row.nack.is_empty()) {
            return Self::Refused(refused.row.nack.clone());
        }
        let since = current.compiled.since(name).unwrap_or(current.revision);
        if connected.iter().all(|i| i.row.acked >= since) { Self::Enforced } else { Self::Pending }
    }
}

/// The instances of a node.
pub fn instances_of<'a>(all: &'a [InstanceView], node: &str) -> Vec<&'a InstanceView> {
    all.iter().filter(|i| i.row.node == node).collect()
}

/// The handler.
pub async fn list(State(plane): State<Arc<Plane>>) -> Answer {
    let current = current(&plane)?;
    let all = plane.registry.list();
    let nodes: Vec<Value> = current
        .model
        .nodes
        .iter()
        .map(|(name, node)| {
            let instances = instances_of(&all, name.as_str());
            let force = Force::of(&current, name.as_str(), node, &instances);
            json!({
                "name": name,
                "kind": kind(node.kind),
                "zone": node.zone,
                "namespace": node.namespace,
                "role": node.role.map(role),
                "identity": node.under_ward().then(|| current.model.spiffe_id(name.as_str())).flatten(),
                "coverage": Coverage::of(node, &instances).as_str(),
                "state": force.as_str(),
                "refusal": if let Force::Refused(why) = &force { Some(why) } else { None },
                "since_revision": current.compiled.since(name.as_str()),
                "replicas": node.run.as_ref().map(|r| r.replicas),
                "words": words::of_node(node, force == Force::Enforced),
                "instances": instances.into_iter().map(instance).collect::<Vec<_>>(),
            })
        })
        .collect();
    Ok(Json(json!({ "revision": current.revision, "trust_domain": current.model.trust_domain, "nodes": nodes })))
}

fn instance(view: &InstanceView) -> Value {
    json!({
        "instance": view.row.instance,
        "connected": view.connected,
        "serving": view.row.serving,
        "mesh_address": view.row.mesh_address,
        "isolation": view.row.isolation,
        "version": view.row.version,
        "hello_ms": view.row.hello_ms,
        "acked_revision": view.row.acked,
        "nack": view.row.nack,
        "svid_not_after": view.row.svid_not_after,
    })
}

fn kind(kind: NodeKind) -> &'static str {
    match kind {
        NodeKind::Party => "party",
        NodeKind::Service => "service",
        NodeKind::Store => "store",
    }
}

fn role(role: Role) -> &'static str {
    match role {
        Role::Gateway => "gateway",
        Role::Egress => "egress",
    }
}
