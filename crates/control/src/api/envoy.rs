//! `GET /v1/nodes/{node}/envoy`: what a real Envoy in the place of a node's sidecar would have to be given.
use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
};
use model::{Documents, Node, istio::MtlsMode};
use serde_json::{Value, json};

use super::{Answer, Problem, StatusCode, current};
use crate::{envoy, plane::Plane};

/// The handler.
pub async fn filters(State(plane): State<Arc<Plane>>, Path(name): Path<String>) -> Answer {
    let current = current(&plane)?;
    let model = &current.model;
    // To Envoy no policy means everything: of a node that is not Ward's nothing is said rather than that.
    let node = model.nodes.get(name.as_str()).filter(|node| node.under_ward());
    let (Some(node), Some(workload)) = (node, policy::workload_for(model, &name)) else {
        return Err(Problem::missing("node under Ward", &name));
    };
    let documents = Documents {
        policies: policy::policies_for(model, &name),
        tokens: policy::authentications_for(model, &name),
        ..Documents::default()
    };
    let keys = plane.keys.sets();
    let filters = envoy::filters(&workload, &documents, &|address| keys.get(address).cloned()).map_err(|errors| {
        let words: Vec<String> = errors.iter().map(ToString::to_string).collect();
        let title = "Envoy cannot be told";
        Problem::new(StatusCode::CONFLICT, "not-in-istio", title, words.join("; "))
    })?;
    Ok(Json(json!({
        "revision": current.revision,
        "node": name,
        "http_filters": filters.http,
        "network_filters": filters.tcp,
        "ports": ports(node),
        "runtime": envoy::runtime(),
    })))
}

/// Mutual TLS everywhere, but where a gateway listens for the world.
fn ports(node: &Node) -> Vec<Value> {
    let inside = node.serves.iter().map(|serve| (serve.port, MtlsMode::Strict));
    let outside = node.listen.iter().map(|listen| (listen.port, MtlsMode::Permissive));
    inside.chain(outside).map(|(port, mode)| json!({ "port": port, "mutual_tls": mode })).collect()
}
