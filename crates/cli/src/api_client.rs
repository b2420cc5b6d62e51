//! The operator's API over the control plane's Unix socket.
use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{net::UnixStream, time::timeout};

/// Longest an answer may take.
const DEADLINE: Duration = Duration::from_secs(60);
/// Largest answer read.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// A client; each question is a connection of its own.
#[derive(Clone, Debug)]
pub(crate) struct ApiClient {
    socket: PathBuf,
}

/// An answer of any status.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// HTTP status.
    pub(crate) status: u16,
    /// JSON, or a string when it is not JSON.
    pub(crate) body: Value,
}

impl Answer {
    /// What a problem document says.
    pub(crate) fn problem(&self) -> String {
        let text = |key| self.body.get(key).and_then(Value::as_str);
        match (text("title"), text("detail")) {
            (Some(title), Some(detail)) => format!("{title}: {detail}"),
            (Some(one), None) | (None, Some(one)) => one.to_owned(),
            (None, None) => self.body.to_string(),
        }
    }
}

impl ApiClient {
    /// A client of the control plane at this socket.
    pub(crate) fn connect(socket: &Path) -> anyhow::Result<Self> {
        Ok(Self { socket: socket.to_owned() })
    }

    /// Asks.
    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.fine("GET", path, None).await
    }

    /// Asks for text.
    pub(crate) async fn get_text(&self, path: &str) -> anyhow::Result<String> {
        match self.fine("GET", path, None).await? {
            Value::String(text) => Ok(text),
            other => bail!("{path} is not text: {other}"),
        }
    }

    /// Tells.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.fine("POST", path, Some(body)).await
    }

    async fn fine(&self, method: &str, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        let answer = self.request(method, path, body).await?;
        if !(200..300).contains(&answer.status) {
            bail!("{method} {path}: {} ({})", answer.problem(), answer.status);
        }
        Ok(answer.body)
    }

    /// Sends a request and returns the answer whatever its status.
    pub(crate) async fn request(&self, method: &str, path: &str, body: Option<&Value>) -> anyhow::Result<Answer> {
        let exchange = async {
            let stream = UnixStream::connect(&self.socket).await.with_context(|| {
                format!("no control plane answers on {}: start one with `ward up`", self.socket.display())
            })?;
            let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
            let text = body.map(Value::to_string).unwrap_or_default();
            let request = http::Request::builder()
                .method(method)
                .uri(path)
                .header(http::header::HOST, "ward-control")
                .header(http::header::CONTENT_TYPE, "application/json")
                .body(Full::new(Bytes::from(text)))?;
            let ask = async move {
                let response = sender.send_request(request).await?;
                let status = response.status().as_u16();
                let body =
                    Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await.map_err(io::Error::other)?;
                anyhow::Ok((status, body.to_bytes()))
            };
            let (answer, _) = tokio::join!(ask, connection);
            answer
        };
        let (status, body) = timeout(DEADLINE, exchange)
            .await
            .unwrap_or_else(|_| bail!("{method} {path}: no answer after {} s", DEADLINE.as_secs()))?;
        let text = String::from_utf8_lossy(&body);
        Ok(Answer { status, body: serde_json::from_str(&text).unwrap_or_else(|_| Value::String(text.into_owned())) })
    }
}

/// The socket to use: the one named, else the usual one.
pub(crate) fn socket(named: Option<PathBuf>) -> PathBuf {
    named.unwrap_or_else(|| {
        let environment = crate::config::Environment::read();
        crate::isolation::runtime_dir(environment.xdg_runtime_dir.as_deref()).join("control.sock")
    })
}
