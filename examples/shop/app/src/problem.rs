//! Refusals as `application/problem+json` (RFC 9457): what the caller did, what to do; never what we know inside.
use std::borrow::Cow;

use axum::{
    Json,
    extract::{FromRequest, Request, rejection::JsonRejection},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// One refusal, ready to be sent.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    detail: Cow<'static, str>,
    /// Further members, e.g. the order a refusal belongs to.
    members: Map<String, Value>,
}

impl Problem {
    /// A refusal with its explanation for the caller.
    pub(crate) fn new(status: StatusCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { status, detail: detail.into(), members: Map::new() }
    }

    /// Adds a member to the document.
    pub(crate) fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.members.insert(member.to_owned(), value.into());
        self
    }

    /// The caller has to prove who it is.
    pub(crate) fn unauthorized(detail: &'static str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, detail)
    }

    /// Something this service needs does not answer; the caller may try again.
    pub(crate) fn unavailable(detail: &'static str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    }

    /// Our own fault; the cause is in the log.
    pub(crate) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "the service failed; its log says why")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut document = self.members;
        document.insert("title".into(), self.status.canonical_reason().unwrap_or("Error").into());
        document.insert("status".into(), self.status.as_u16().into());
        document.insert("detail".into(), self.detail.into_owned().into());
        let mut response = (self.status, Json(Value::Object(document))).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error as E;
        match error {
            // The store is away or restarting: the next attempt gets a fresh connection.
            E::Io(_) | E::PoolTimedOut | E::PoolClosed | E::Tls(_) | E::Protocol(_) | E::WorkerCrashed => {
                tracing::warn!(%error, "database does not answer");
                Self::unavailable("the service's database does not answer; try again")
            }
            // Class 57: the server is shutting down, starting, or gave up on a statement.
            E::Database(cause) if cause.code().is_some_and(|code| code.starts_with("57")) => {
                tracing::warn!(code = cause.code().as_deref(), "database is going away");
                Self::unavailable("the service's database is restarting; try again")
            }
            error => {
                tracing::error!(%error, "database refused a statement");
                Self::internal()
            }
        }
    }
}

impl From<crate::random::NoRandom> for Problem {
    fn from(error: crate::random::NoRandom) -> Self {
        tracing::error!(%error, "cannot go on");
        Self::internal()
    }
}

/// A JSON body. Unlike axum's own extractor it never quotes a value back: the value may be a card number.
pub(crate) struct Input<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Input<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        match Json::from_request(request, state).await {
            Ok(Json(value)) => Ok(Self(value)),
            Err(JsonRejection::JsonDataError(error)) => {
                let detail = shape_fault(&error.body_text())
                    .map_or("a field of the body has the wrong type or value".to_owned(), |fault| {
                        format!("the body has a fault: {fault}")
                    });
                Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail))
            }
            Err(JsonRejection::JsonSyntaxError(_)) => {
                Err(Problem::new(StatusCode::BAD_REQUEST, "the body is not valid JSON"))
            }
            Err(JsonRejection::MissingJsonContentType(_)) => {
                Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send `content-type: application/json`"))
            }
            Err(other) => Err(Problem::new(other.status(), "the body cannot be read, or is too large")),
        }
    }
}

/// The part of serde's message that names a field and quotes no value.
fn shape_fault(text: &str) -> Option<&str> {
    const NOT_A_PAN: &str = "card.number: not a card number";
    if text.contains(NOT_A_PAN) {
        return Some(NOT_A_PAN);
    }
    let start = ["missing field `", "unknown field `"].iter().find_map(|word| text.find(word))?;
    let fault = text.get(start..)?;
    let end = fault.match_indices('`').nth(1)?.0;
    fault.get(..=end)
}

#[cfg(test)]
mod tests;
