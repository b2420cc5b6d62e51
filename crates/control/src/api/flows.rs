//! `GET /v1/flows`: every flow with what was counted on it and how far it is known to hold, and the edges that somebody
//! tried although the model does not have them.
use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use axum::{Json, extract::State};
use model::{Flow, Model, NodeKind, SpiffeId};
use serde_json::{Value, json};

use super::{
    Answer, current,
    nodes::{Force, instances_of},
    words,
};
use crate::{
    plane::{Current, Plane, now_ms},
    registry::InstanceView,
    snapshot::active,
    store::FlowCountRow,
    verify::{Line, verified_flows},
};

/// Service account of probes; what it does is Ward's own doing and nobody's attempt.
const PROBE_ACCOUNT: &str = "ward-probe";

/// Sums over the rows of a flow or an edge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Sum {
    allowed: u64,
    denied: u64,
    errors: u64,
    bytes_in: u64,
    bytes_out: u64,
    duration_us: u64,
    last_minute: u64,
    last_seen_ms: i64,
}

impl Sum {
    /// Requests a second over the last minute.
    fn rate(&self) -> f64 {
        // Counts of one minute are far below the 2^53 that a double holds exactly.
        (self.last_minute as f64) / 60.0
    }

    fn add(&mut self, row: &FlowCountRow) {
        if row.allowed {
            self.allowed += row.requests;
            self.errors += row.errors;
            self.duration_us += row.duration_us;
        } else {
            self.denied += row.requests;
        }
        self.bytes_in += row.bytes_in;
        self.bytes_out += row.bytes_out;
        self.last_minute += row.last_minute;
        self.last_seen_ms = self.last_seen_ms.max(row.last_seen_ms);
    }
}

/// The handler.
pub async fn list(State(plane): State<Arc<Plane>>) -> Answer {
    let current = current(&plane)?;
    let rows = plane.store.flow_counts(now_ms(&plane.clock)).await?;
    let (flows, edges) = attribute(&current.model, &rows);
    let last = plane.store.last_verify().await?;
    let lines: Vec<Line> = last.as_ref().and_then(|r| serde_json::from_str(&r.results).ok()).unwrap_or_default();
    let proven: HashSet<&str> = verified_flows(&lines).into_iter().collect();
    let instances = plane.registry.list();
    let described: Vec<Value> = current
        .model
        .flows
        .iter()
        .map(|flow| {
            let sum = flows.get(flow.id.as_str()).cloned().unwrap_or_default();
            let enforced = enforced_at(&current, &instances, flow);
            // A proof holds as long as neither end's configuration has changed since.
            let since = since(&current, flow);
            let verified = last.as_ref().filter(|r| r.revision >= since && proven.contains(flow.id.as_str()));
            let state = match (enforced, verified) {
                (Some(_), Some(_)) => "verified",
                (Some(_), None) => "enforced",
                _ if flow.standby => "standby",
                _ => "declared",
            };
            json!({
                "flow": flow.id,
                "from": flow.from,
                "to": flow.to,
                "carries": flow.carries,
                "state": state,
                "words": words::of_flow(flow, state),
                "enforced_revision": enforced,
                "verified_ms": verified.filter(|_| enforced.is_some()).map(|r| r.finished_ms),
                "allowed": sum.allowed,
                "denied": sum.denied,
                "errors": sum.errors,
                "bytes_in": sum.bytes_in,
                "bytes_out": sum.bytes_out,
                "mean_us": sum.duration_us.checked_div(sum.allowed),
                "rate": sum.rate(),
                "last_seen_ms": (sum.last_seen_ms > 0).then_some(sum.last_seen_ms),
            })
        })
        .collect();
    let undeclared: Vec<Value> = edges
        .iter()
        .map(|((from, to, port), sum)| {
            json!({
                "subject": format!("{from}>{to}"),
                "from": from,
                "to": to,
                "port": port,
                "denied": sum.denied,
                // Let through without a flow: a target in dry-run mode.
                "allowed": sum.allowed,
                "rate": sum.rate(),
                "last_seen_ms": sum.last_seen_ms,
            })
        })
        .collect();
    Ok(Json(json!({ "revision": current.revision, "flows": described, "undeclared": undeclared })))
}

type Edges = BTreeMap<(String, String, u16), Sum>;

/// Adds each row to its flow. A denial names no flow: it belongs to the first declared flow between the two on that port,
/// else it is an edge that the model does not have.
fn attribute(model: &Model, rows: &[FlowCountRow]) -> (BTreeMap<String, Sum>, Edges) {
    let mut flows: BTreeMap<String, Sum> = BTreeMap::new();
    let mut edges = Edges::new();
    for row in rows {
        if model.flows.iter().any(|f| f.id.as_str() == row.flow) {
            flows.entry(row.flow.clone()).or_default().add(row);
            continue;
        }
        let from = source(model, row);
        if from == PROBE_ACCOUNT || !model.nodes.contains_key(row.node.as_str()) {
            continue;
        }
        let between =
            model.flows_to(&row.node).find(|f| active(f) && is_source(model, f, &from) && on_port(model, f, row));
        match between {
            Some(flow) => flows.entry(flow.id.to_string()).or_default().add(row),
            None => edges.entry((from, row.node.clone(), row.port)).or_default().add(row),
        }
    }
    (flows, edges)
}

/// The node that a peer is, else the identity it has, else `anyone`.
fn source(model: &Model, row: &FlowCountRow) -> String {
    if row.source.is_empty() {
        return "anyone".to_owned();
    }
    let node = SpiffeId::try_from(row.source.clone()).ok().and_then(|id| {
        let (_, account) = id.namespace_and_account()?;
        (account == PROBE_ACCOUNT || model.spiffe_id(account).as_ref() == Some(&id)).then(|| account.to_owned())
    });
    node.unwrap_or_else(|| row.source.clone())
}

fn is_source(model: &Model, flow: &Flow, from: &str) -> bool {
    flow.from.as_str() == from
        || (from == "anyone" && model.nodes.get(&flow.from).is_some_and(|n| n.kind == NodeKind::Party))
}

fn on_port(model: &Model, flow: &Flow, row: &FlowCountRow) -> bool {
    let listens = model.nodes.get(&flow.to).is_some_and(|n| n.listen.iter().any(|l| l.port == row.port));
    listens || model.ports_of(flow).any(|s| s.port == row.port)
}

/// The revision since which both ends of a flow, as far as they are under Ward, are configured as they are.
fn since(current: &Current, flow: &Flow) -> u64 {
    let of = |node: &model::Name| current.compiled.since(node.as_str()).unwrap_or_default();
    of(&flow.from).max(of(&flow.to))
}

/// The least revision that the instances of the deciding end hold, when all of them hold what is in force.
fn enforced_at(current: &Current, instances: &[InstanceView], flow: &Flow) -> Option<u64> {
    if flow.standby {
        return None;
    }
    let node = current.model.nodes.get(&flow.to)?;
    let of = instances_of(instances, flow.to.as_str());
    if Force::of(current, flow.to.as_str(), node, &of) != Force::Enforced {
        return None;
    }
    of.iter().filter(|i| i.connected).map(|i| i.row.acked).min()
}
