//! `GET /v1/decisions/{id}`: the decision, made again from the stored facts by the rules of the stored revision.
use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderMap, HeaderName, HeaderValue},
};
use policy::{Explanation, Protocol, Request, reasons};
use serde_json::json;

use super::{Answer, Problem};
use crate::{
    plane::Plane,
    store::{DecisionRow, Revision},
};

/// The handler. A decision that is known is always shown; what it cannot be explained from is said.
pub async fn decision(State(plane): State<Arc<Plane>>, Path(id): Path<String>) -> Answer {
    let row = plane.store.decision(&id).await?.ok_or_else(|| Problem::missing("decision", &id))?;
    let in_force = plane.current().map(|current| current.revision);
    let found = match plane.store.revision(row.revision).await? {
        Some(revision) => {
            let facts = row.clone();
            let explained = tokio::task::spawn_blocking(move || explain(&facts, &revision)).await;
            explained.unwrap_or_else(|_| Err("explaining broke off".to_owned()))
        }
        None => Err(format!(
            "the model of revision {} is gone, so that the decision cannot be made again by its own rules",
            row.revision
        )),
    };
    // An answer that no policy gave needs no policy to be explained.
    let before_policies = reasons::find(&row.reason).filter(|reason| !reason.by_policy());
    let (explanation, unexplained) = match (found, before_policies) {
        (_, Some(_)) => (None, None),
        (Ok(explanation), None) => (Some(explanation), None),
        (Err(why), None) => (None, Some(why)),
    };
    let text = match (&explanation, before_policies) {
        (Some(explanation), _) => explanation.text(),
        (None, Some(_)) => refused(&row),
        (None, None) => unexplained.clone().unwrap_or_default(),
    };
    Ok(Json(json!({
        "meaning": reasons::meaning(&row.reason),
        // False would mean that the proxy decided otherwise than its own rules say; null that nobody can tell.
        "agrees": explanation.as_ref().map(|explanation| explanation.allowed == row.allowed),
        "explanation": explanation,
        "unexplained": unexplained,
        "in_force": in_force,
        "text": text,
        "decision": row,
    })))
}

/// A refusal before any policy, in words: which check, and of a token whose it was.
fn refused(row: &DecisionRow) -> String {
    let meaning = reasons::meaning(&row.reason).unwrap_or_default();
    let request = match row.method.as_str() {
        "" => format!("a connection to port {}", row.port),
        method => format!("{method} {}", row.path),
    };
    let token = match row.token_issuer.as_str() {
        "" => String::new(),
        issuer => format!("; it was checked as a token of {issuer}"),
    };
    format!("{request} is answered {} before any policy is asked: {meaning}{token}", row.status)
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
    let claims = match row.claims.as_str() {
        "" => None,
        json => Some(serde_json::from_str(json).map_err(|_| "the claims in the record cannot be read".to_owned())?),
    };
    let source_ip = row.source_ip.parse().ok();
    let request = Request {
        principal: (!row.principal.is_empty()).then_some(row.principal.as_str()),
        method: &row.method,
        path: &row.path,
        host: &row.host,
        headers: &headers,
        source_ip,
        remote_ip: row.remote_ip.parse().ok(),
        destination_ip: row.destination_ip.parse().ok(),
        port: row.port,
        protocol: if row.protocol == "tcp" { Protocol::Tcp } else { Protocol::Http },
        sni: (!row.sni.is_empty()).then_some(row.sni.as_str()),
        jwt: claims.as_ref(),
    };
    Ok(rules.explain(&request))
}
