//! `GET /v1/decisions/{id}`: the decision, made again from the stored facts by the rules of the stored revision.
use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode},
};
use policy::{Explanation, Protocol, Request};
use serde_json::json;

use super::{Answer, Problem};
use crate::{
    plane::Plane,
    store::{DecisionRow, Revision},
};

/// The handler.
pub async fn decision(State(plane): State<Arc<Plane>>, Path(id): Path<String>) -> Answer {
    let row = plane.store.decision(&id).await?.ok_or_else(|| Problem::missing("decision", &id))?;
    let revision = plane
        .store
        .revision(row.revision)
        .await?
        .ok_or_else(|| Problem::missing("revision", &row.revision.to_string()))?;
    let facts = row.clone();
    let explained = tokio::task::spawn_blocking(move || explain(&facts, &revision)).await;
    let explanation = match explained {
        Ok(Ok(explanation)) => explanation,
        Ok(Err(why)) => return Err(unexplained(why)),
        Err(_) => return Err(unexplained("explaining broke off".to_owned())),
    };
    Ok(Json(json!({
        "decision": row,
        // False would mean that the proxy decided otherwise than its own rules say.
        "agrees": explanation.allowed == row.allowed,
        "explanation": explanation,
        "text": explanation.text(),
    })))
}

fn unexplained(why: String) -> Problem {
    Problem::new(StatusCode::CONFLICT, "unexplained", "The decision cannot be made again", why)
}

fn explain(row: &DecisionRow, revision: &Revision) -> Result<Explanation, String> {
    let number = revision.number;
    let model = model::load(&revision.files).model.ok_or_else(|| {
        format!("revision {number} was accepted by another version of Ward and is refused by this one")
    })?;
    let rules = policy::rule_set_for(&model, &row.node).map_err(|errors| {
        let first = errors.first().map(ToString::to_string).unwrap_or_default();
        format!("the policies of `{}` at revision {number} do not compile: {first}", row.node)
    })?;
    let mut headers = HeaderMap::new();
    for (name, value) in &row.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name.as_str()), HeaderValue::try_from(value.as_str())) {
            headers.append(name, value);
        }
    }
    let source_ip = row.source_ip.parse().ok();
    let request = Request {
        principal: (!row.principal.is_empty()).then_some(row.principal.as_str()),
        method: &row.method,
        path: &row.path,
        host: &row.host,
        headers: &headers,
        source_ip,
        remote_ip: source_ip,
        port: row.port,
        protocol: if row.protocol == "tcp" { Protocol::Tcp } else { Protocol::Http },
        sni: (!row.sni.is_empty()).then_some(row.sni.as_str()),
        jwt: None,
    };
    Ok(rules.explain(&request))
}
