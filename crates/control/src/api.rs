//! The operator's API: JSON over HTTP/1.1 on a Unix socket (0600). Only the user who runs the control plane and root may
//! speak to it, told by the kernel (SO_PEERCRED) and not by the caller. Every error is `application/problem+json`.
use std::sync::Arc;

use axum::{
    Json, Router,
    body::Body,
    extract::{
        DefaultBodyLimit, Extension, Path, Query, Request, State,
        rejection::{JsonRejection, QueryRejection},
    },
    http::{HeaderValue, Method, StatusCode, Uri, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{MethodRouter, get, post, put},
};
use daemon::logs::chain;
use identity::JoinToken;
use model::SourceFile;
use serde::Deserialize;
use serde_json::{Value, json};
use tracing::error;

use crate::{
    plane::{Applied, ApplyError, Current, MODEL_FILES_MAX, Plane, now_ms},
    store::{DecisionFilter, Event, StoreError, TokenRow, VerifyRow},
    verify::{Line, Summary, run},
};

pub mod envoy;
pub mod explain;
pub mod flows;
pub mod issuers;
pub mod nodes;
pub mod socket;
#[cfg(test)]
mod tests;
pub mod words;

/// Largest request body: a model of a thousand nodes has less than a megabyte.
pub const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Joins one token may be good for.
pub const TOKEN_USES_MAX: u32 = 10_000;
/// Longest life of a join token, seconds.
pub const TOKEN_TTL_MAX_S: u64 = 30 * 24 * 3600;
/// The API's description, served as it is.
pub const OPENAPI: &str = include_str!("openapi.json");

/// The peer of the socket, as the kernel names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operator {
    /// Its user.
    pub uid: u32,
    /// The user who runs this control plane.
    pub owner: u32,
}

impl Operator {
    fn actor(self) -> String {
        format!("uid {}", self.uid)
    }
}

/// Every route: path, method, handler. The description served at `/v1/openapi.json` is tested against it.
fn table() -> Vec<(&'static str, Method, MethodRouter<Arc<Plane>>)> {
    vec![
        ("/v1/health", Method::GET, get(health)),
        ("/v1/model", Method::GET, get(model_in_force)),
        ("/v1/model", Method::PUT, put(apply)),
        ("/v1/tokens", Method::POST, post(create_token)),
        ("/v1/nodes", Method::GET, get(nodes::list)),
        ("/v1/nodes/{node}/envoy", Method::GET, get(envoy::filters)),
        ("/v1/flows", Method::GET, get(flows::list)),
        ("/v1/issuers", Method::GET, get(issuers::list)),
        ("/v1/decisions", Method::GET, get(decisions)),
        ("/v1/decisions/summary", Method::GET, get(decision_counts)),
        ("/v1/decisions/{id}", Method::GET, get(explain::decision)),
        ("/v1/verify", Method::GET, get(last_verify)),
        ("/v1/verify", Method::POST, post(start_verify)),
        ("/v1/verify/{id}", Method::GET, get(verify)),
        ("/v1/bundle", Method::GET, get(bundle)),
        ("/v1/events", Method::GET, get(events)),
        ("/v1/openapi.json", Method::GET, get(openapi)),
    ]
}

/// The routes of the API, as a service for one control plane.
pub fn router(plane: Arc<Plane>) -> Router {
    let routes = table().into_iter().fold(Router::new(), |router, (path, _, handler)| router.route(path, handler));
    routes
        .fallback(unknown)
        .method_not_allowed_fallback(not_allowed)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn(only_operators))
        .with_state(plane)
}

/// A refusal or failure, RFC 9457.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    title: &'static str,
    detail: String,
    more: Option<(&'static str, Value)>,
}

impl Problem {
    /// `code` is stable; `detail` is for people and says what to do.
    pub fn new(status: StatusCode, code: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, title, detail: detail.into(), more: None }
    }

    fn no_model() -> Self {
        Self::new(StatusCode::CONFLICT, "no-model", "There is no model yet", "apply one first: `ward apply DIR`")
    }

    fn missing(what: &str, id: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "Not found", format!("there is no {what} `{id}`"))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut body = json!({
            "type": format!("urn:ward:problem:{}", self.code),
            "title": self.title,
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        if let (Some((key, value)), Some(object)) = (self.more, body.as_object_mut()) {
            object.insert(key.to_owned(), value);
        }
        let mut response = (self.status, body.to_string()).into_response();
        let problem = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, problem);
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        error!(error = chain(&error), "the store failed");
        // The operator is told the cause as well, except where our own words say it all.
        let (status, code, title, words) = match &error {
            StoreError::Full { .. } => {
                (StatusCode::INSUFFICIENT_STORAGE, "disk-full", "The disk is full", error.to_string())
            }
            StoreError::Conflict(_) => {
                (StatusCode::CONFLICT, "conflict", "Somebody else was faster", error.to_string())
            }
            _ => (StatusCode::SERVICE_UNAVAILABLE, "store", "The state database failed", chain(&error)),
        };
        Self::new(status, code, title, format!("{words}; the running configuration stays in force"))
    }
}

type Answer = Result<Json<Value>, Problem>;

fn current(plane: &Plane) -> Result<Arc<Current>, Problem> {
    plane.current().ok_or_else(Problem::no_model)
}

fn body<T>(body: Result<Json<T>, JsonRejection>) -> Result<T, Problem> {
    body.map(|Json(value)| value).map_err(|rejection| {
        Problem::new(rejection.status(), "bad-request", "The body cannot be read", rejection.body_text())
    })
}

fn query<T>(query: Result<Query<T>, QueryRejection>) -> Result<T, Problem> {
    query.map(|Query(value)| value).map_err(|rejection| {
        Problem::new(rejection.status(), "bad-request", "The query cannot be read", rejection.body_text())
    })
}

async fn only_operators(request: Request, next: Next) -> Response {
    match request.extensions().get::<Operator>() {
        Some(operator) if operator.uid == operator.owner || operator.uid == 0 => next.run(request).await,
        Some(operator) => Problem::new(
            StatusCode::FORBIDDEN,
            "forbidden",
            "Not an operator",
            format!("user {} is neither root nor user {}, who runs this control plane", operator.uid, operator.owner),
        )
        .into_response(),
        None => {
            Problem::new(StatusCode::FORBIDDEN, "forbidden", "Not an operator", "the caller is unknown").into_response()
        }
    }
}

async fn unknown(uri: Uri) -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "not-found",
        "No such path",
        format!("`{}` is not part of the API; GET /v1/openapi.json lists what is", uri.path()),
    )
}

async fn not_allowed(method: Method, uri: Uri) -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method-not-allowed",
        "Method not allowed",
        format!("`{}` does not take {method}; GET /v1/openapi.json lists what it takes", uri.path()),
    )
}

async fn health(State(plane): State<Arc<Plane>>) -> Answer {
    let current = plane.current();
    Ok(Json(json!({
        "status": "ok",
        "version": env!("CARGO_PKG_VERSION"),
        "started_ms": plane.started_ms,
        "model": current.as_ref().map(|c| c.model.name.to_string()),
        "revision": current.as_ref().map(|c| c.revision),
        "trust_domain": current.as_ref().map(|c| c.model.trust_domain.to_string()),
    })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelBody {
    files: Vec<SourceFile>,
}

async fn model_in_force(State(plane): State<Arc<Plane>>) -> Answer {
    let current = current(&plane)?;
    Ok(Json(json!({
        "revision": current.revision,
        "applied_ms": current.applied_ms,
        "model": current.model.name,
        "trust_domain": current.model.trust_domain,
        "files": current.files,
    })))
}

async fn apply(
    State(plane): State<Arc<Plane>>,
    Extension(operator): Extension<Operator>,
    request: Result<Json<ModelBody>, JsonRejection>,
) -> Answer {
    let files = body(request)?.files;
    if files.len() > MODEL_FILES_MAX {
        let detail = format!("the model has {} files, at most {MODEL_FILES_MAX} are read", files.len());
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-many-files", "Too many files", detail));
    }
    match plane.apply(files, &operator.actor()).await {
        Ok(Applied { revision, changed, warnings }) => {
            Ok(Json(json!({ "revision": revision, "changed": changed, "diagnostics": warnings })))
        }
        Err(ApplyError::Refused(found)) => {
            let mut problem = Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "model-refused",
                "The model is refused",
                "nothing changed; each diagnostic says what is wrong and where",
            );
            problem.more = Some(("diagnostics", json!(found)));
            Err(problem)
        }
        Err(ApplyError::Store(error)) => Err(error.into()),
        Err(error @ (ApplyError::Issuer(_) | ApplyError::Broken)) => {
            error!(error = chain(&error), "model not applied");
            Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "The model is not applied", chain(&error)))
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenBody {
    node: String,
    #[serde(default = "one")]
    uses: u32,
    #[serde(default = "an_hour")]
    ttl_s: u64,
}

fn one() -> u32 {
    1
}

fn an_hour() -> u64 {
    3600
}

async fn create_token(
    State(plane): State<Arc<Plane>>,
    Extension(operator): Extension<Operator>,
    request: Result<Json<TokenBody>, JsonRejection>,
) -> Answer {
    let wanted = body(request)?;
    let current = current(&plane)?;
    let refuse = |code, detail: String| {
        Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code, "The token is not made", detail))
    };
    let Some((name, node)) = current.model.nodes.get_key_value(wanted.node.as_str()) else {
        let near = model::closest(&wanted.node, current.model.nodes.keys().map(model::Name::as_str));
        let hint = near.map(|n| format!("; did you mean `{n}`?")).unwrap_or_default();
        return refuse("unknown-node", format!("the model has no node `{}`{hint}", wanted.node));
    };
    if !node.under_ward() {
        return refuse(
            "not-under-ward",
            format!("`{name}` is not under Ward: give it `run`, `attest` or `role` in the model"),
        );
    }
    if !(1..=TOKEN_USES_MAX).contains(&wanted.uses) {
        return refuse("uses", format!("`uses` must be 1 to {TOKEN_USES_MAX}, not {}", wanted.uses));
    }
    if !(1..=TOKEN_TTL_MAX_S).contains(&wanted.ttl_s) {
        return refuse("ttl", format!("`ttl_s` must be 1 to {TOKEN_TTL_MAX_S} seconds, not {}", wanted.ttl_s));
    }
    let token = JoinToken::generate(name.clone(), current.issuer.root_sha256()).map_err(|error| {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "The token is not made", error.to_string())
    })?;
    let now = now_ms(&plane.clock);
    let row = TokenRow {
        id: token.id.clone(),
        node: name.to_string(),
        secret_sha256: token.secret_sha256().to_vec(),
        uses_left: wanted.uses,
        expires_ms: now.saturating_add(i64::try_from(wanted.ttl_s * 1000).unwrap_or(i64::MAX)),
    };
    let event = Event {
        time_ms: now,
        actor: operator.actor(),
        action: "token-create".to_owned(),
        subject: name.to_string(),
        revision: current.revision,
        detail: format!("token {}, {} uses, {} s", token.id, wanted.uses, wanted.ttl_s),
    };
    plane.store.put_token(&row, &event).await?;
    Ok(Json(json!({
        "token": token.to_string(),
        "id": token.id,
        "node": name,
        "uses": wanted.uses,
        "expires_ms": row.expires_ms,
    })))
}

async fn decisions(State(plane): State<Arc<Plane>>, filter: Result<Query<DecisionFilter>, QueryRejection>) -> Answer {
    let found = plane.store.decisions(&query(filter)?).await?;
    Ok(Json(json!({ "decisions": found })))
}

async fn decision_counts(
    State(plane): State<Arc<Plane>>,
    filter: Result<Query<DecisionFilter>, QueryRejection>,
) -> Answer {
    let counts = plane.store.decision_counts(&query(filter)?).await?;
    let counts: Vec<Value> = counts
        .into_iter()
        .map(|row| {
            let meaning = policy::reasons::meaning(&row.reason);
            json!({
                "reason": row.reason, "meaning": meaning, "node": row.node, "allowed": row.allowed,
                "count": row.count, "last_ms": row.last_ms, "last_id": row.last_id,
            })
        })
        .collect();
    Ok(Json(json!({ "counts": counts })))
}

async fn start_verify(State(plane): State<Arc<Plane>>, Extension(operator): Extension<Operator>) -> Answer {
    match run::start(&plane, &operator.actor()).await {
        Ok(id) => Ok(Json(json!({ "id": id }))),
        Err(run::VerifyError::NoModel) => Err(Problem::no_model()),
        Err(run::VerifyError::Store(error)) => Err(error.into()),
        Err(error @ run::VerifyError::Random) => Err(Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "The run does not start",
            error.to_string(),
        )),
    }
}

async fn verify(State(plane): State<Arc<Plane>>, Path(id): Path<String>) -> Answer {
    let row = plane.store.verify(&id).await?.ok_or_else(|| Problem::missing("verify run", &id))?;
    verify_answer(&plane, &row)
}

async fn last_verify(State(plane): State<Arc<Plane>>) -> Answer {
    match plane.store.last_verify().await? {
        Some(row) => verify_answer(&plane, &row),
        None => Err(Problem::new(StatusCode::NOT_FOUND, "not-found", "Not found", "no verify run has finished yet")),
    }
}

fn verify_answer(plane: &Plane, row: &VerifyRow) -> Answer {
    let lines: Vec<Line> =
        serde_json::from_str(&row.results).map_err(|source| StoreError::Corrupt { what: "verify run", source })?;
    let progress = plane.verifier.progress().filter(|p| p.id == row.id);
    // A run that this process knows nothing of was cut short by a restart.
    let state = if row.state == "running" && progress.is_none() { "interrupted" } else { row.state.as_str() };
    Ok(Json(json!({
        "id": row.id,
        "state": state,
        "revision": row.revision,
        "started_ms": row.started_ms,
        "finished_ms": row.finished_ms,
        "done": progress.as_ref().map_or(lines.len(), |p| p.done),
        "total": progress.as_ref().map_or(lines.len(), |p| p.total),
        "summary": Summary::of(&lines),
        "results": lines,
    })))
}

async fn bundle(State(plane): State<Arc<Plane>>) -> Result<Response, Problem> {
    let current = current(&plane)?;
    let pem = HeaderValue::from_static("application/pem-certificate-chain");
    Ok(([(header::CONTENT_TYPE, pem)], Body::from(current.issuer.root_pem().to_owned())).into_response())
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct EventsQuery {
    limit: u32,
}

impl Default for EventsQuery {
    fn default() -> Self {
        Self { limit: 100 }
    }
}

async fn events(State(plane): State<Arc<Plane>>, asked: Result<Query<EventsQuery>, QueryRejection>) -> Answer {
    let found = plane.store.events(query(asked)?.limit.min(1_000)).await?;
    Ok(Json(json!({ "events": found })))
}

async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], OPENAPI).into_response()
}
