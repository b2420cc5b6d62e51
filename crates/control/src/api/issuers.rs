//! Whose tokens count in the mesh, with which keys, and how fresh these are.
use std::sync::Arc;

use axum::{Json, extract::State};
use serde_json::{Value, json};

use super::{Answer, current};
use crate::plane::Plane;

/// The handler.
pub async fn list(State(plane): State<Arc<Plane>>) -> Answer {
    let current = current(&plane)?;
    let statuses = plane.keys.statuses();
    let issuers: Vec<Value> = current
        .compiled
        .issuers
        .iter()
        .map(|used| {
            let status = used.address.as_ref().and_then(|address| statuses.get(address));
            // `none`: every token is refused. `kept`: they could not be fetched again, and stay until `good_until_ms`.
            let state = match (&used.address, status) {
                (None, _) => "inline",
                (_, Some(status)) if status.keys.is_empty() => "none",
                (_, Some(status)) if status.error.is_some() => "kept",
                (_, Some(_)) => "good",
                (_, None) => "none",
            };
            json!({
                "issuer": used.issuer,
                "jwks_uri": used.address,
                "nodes": used.nodes,
                "state": state,
                "keys": status.map(|s| &s.keys),
                "fetched_ms": status.and_then(|s| s.fetched_ms),
                "good_until_ms": status.and_then(|s| s.good_until_ms),
                "failing_since_ms": status.and_then(|s| s.failing_since_ms),
                "error": status.and_then(|s| s.error.as_ref()),
            })
        })
        .collect();
    Ok(Json(json!({ "revision": current.revision, "issuers": issuers })))
}
