//! Calls to another service of the shop, through the local port that our sidecar keeps for it. One connection per call:
//! the other end is on this machine, and the sidecar pools what leaves it.
use std::time::Duration;

use axum::{
    body::Bytes,
    http::{Method, Request, StatusCode, Uri, header},
};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use serde::{Serialize, de::DeserializeOwned};
use tokio::net::TcpStream;

use crate::{context::Context, problem::Problem};

/// Longest wait for a whole answer.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// Largest answer read.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Another service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Upstream {
    /// The node's name in the model.
    name: &'static str,
    /// `host:port` of the sidecar's local port.
    authority: String,
}

/// What came back.
pub(crate) struct Answer {
    /// Its status.
    pub(crate) status: StatusCode,
    body: Bytes,
}

/// `WARD_<NODE>_URL` is not an address we can call.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("expected http://host:port; the sidecar adds TLS on the way out")]
pub(crate) struct NotAUrl;

/// Why there is no answer; whether the request had an effect is not known.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// Nothing listens on the local port.
    #[error("cannot connect")]
    Connect(#[source] std::io::Error),
    /// The exchange broke off.
    #[error("the exchange broke off")]
    Exchange(#[source] hyper::Error),
    /// The body broke off, or is longer than we read.
    #[error("the answer's body cannot be read")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Too slow.
    #[error("no answer within {} s", CALL_TIMEOUT.as_secs())]
    Deadline,
    /// Our own request cannot be written down.
    #[error("the request cannot be built")]
    Request(#[source] axum::http::Error),
    /// Nor its body.
    #[error("the request's body cannot be built")]
    RequestBody(#[source] serde_json::Error),
}

impl Upstream {
    /// The node `name` at `url`, as `WARD_<NODE>_URL` gives it.
    pub(crate) fn new(name: &'static str, url: &str) -> Result<Self, NotAUrl> {
        let uri: Uri = url.parse().map_err(|_| NotAUrl)?;
        let plain = uri.scheme_str() == Some("http") && matches!(uri.path(), "" | "/") && uri.query().is_none();
        let authority =
            uri.authority().filter(|authority| plain && !authority.as_str().contains('@')).ok_or(NotAUrl)?;
        Ok(Self { name, authority: format!("{}:{}", authority.host(), authority.port_u16().unwrap_or(80)) })
    }

    /// Sends one request and reads the whole answer, whatever its status.
    ///
    /// # Errors
    /// No answer within the deadline. It is logged here; the caller learns that the service is unavailable.
    pub(crate) async fn call(
        &self,
        context: &Context,
        method: Method,
        path: &str,
        bearer: Option<&str>,
        body: Option<&impl Serialize>,
    ) -> Result<Answer, CallError> {
        let exchange = self.exchange(context, method, path, bearer, body);
        let result = tokio::time::timeout(CALL_TIMEOUT, exchange).await.unwrap_or(Err(CallError::Deadline));
        match &result {
            Ok(answer) if answer.status == StatusCode::FORBIDDEN => {
                // Ward's refusal names a decision: `ward explain <decision>` says which flow is missing.
                let decision = answer.member("decision");
                tracing::warn!(upstream = self.name, path, decision, "call refused by the mesh");
            }
            Ok(_) => {}
            Err(error) => {
                let cause = std::error::Error::source(error).map(ToString::to_string);
                tracing::warn!(upstream = self.name, path, %error, cause, "call failed");
            }
        }
        result
    }

    async fn exchange(
        &self,
        context: &Context,
        method: Method,
        path: &str,
        bearer: Option<&str>,
        body: Option<&impl Serialize>,
    ) -> Result<Answer, CallError> {
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, self.name);
        for (name, value) in context.headers() {
            request = request.header(name, value);
        }
        if let Some(token) = bearer {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let bytes = match body {
            Some(body) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                serde_json::to_vec(body).map_err(CallError::RequestBody)?
            }
            None => Vec::new(),
        };
        let request = request.body(Full::new(Bytes::from(bytes))).map_err(CallError::Request)?;

        let stream = TcpStream::connect(&self.authority).await.map_err(CallError::Connect)?;
        stream.set_nodelay(true).map_err(CallError::Connect)?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(CallError::Exchange)?;
        let exchange = async move {
            let response = sender.send_request(request).await.map_err(CallError::Exchange)?;
            let status = response.status();
            let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await.map_err(CallError::Body)?;
            Ok(Answer { status, body: body.to_bytes() })
        };
        // Both are driven here: when the exchange ends it drops the sender, and the connection closes. A fault of the
        // connection reaches the exchange as its own error.
        let (answer, _closed) = tokio::join!(exchange, connection);
        answer
    }
}

impl Answer {
    /// The body as `T`.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        serde_json::from_slice(&self.body).map_err(|error| {
            tracing::error!(category = ?error.classify(), "another service's answer is not what we expect");
            Problem::internal()
        })
    }

    /// A text member of a JSON body.
    fn member(&self, name: &str) -> Option<String> {
        let document: serde_json::Value = serde_json::from_slice(&self.body).ok()?;
        Some(document.get(name)?.as_str()?.to_owned())
    }
}

#[cfg(test)]
mod tests;
