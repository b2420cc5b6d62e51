//! The admin port: a few synchronous answers over HTTP/1.1. Bind it to loopback; it never shows a secret.
use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpListener, sync::Semaphore};

use crate::Tasks;

/// Connections served at once; more wait in the accept queue.
pub const CONNECTIONS_MAX: usize = 32;
/// How long a client may take to send its request head.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a whole connection may last.
pub const CONNECTION_TIMEOUT: Duration = Duration::from_secs(60);

/// An answer of the admin port.
#[derive(Debug)]
pub struct Answer {
    /// Status.
    pub status: StatusCode,
    /// Media type.
    pub content_type: &'static str,
    /// The whole body.
    pub body: String,
}

impl Answer {
    /// Plain text.
    pub fn text(status: StatusCode, body: impl Into<String>) -> Self {
        Self { status, content_type: "text/plain; charset=utf-8", body: body.into() }
    }

    /// JSON.
    pub fn json(body: &serde_json::Value) -> Self {
        Self { status: StatusCode::OK, content_type: "application/json", body: body.to_string() }
    }
}

/// What the program answers to `method path`; `None` is 404.
pub type Handler = dyn Fn(&Method, &str) -> Option<Answer> + Send + Sync;

/// Binds `address` and serves `handler` on the current runtime until the drain cuts it: readiness must stay visible
/// while the program finishes its work. Returns the bound address.
pub async fn serve(address: SocketAddr, tasks: &Tasks, handler: Arc<Handler>) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind(address).await?;
    let bound = listener.local_addr()?;
    let drain = tasks.drain().clone();
    // Not one of the tracked tasks: it would hold up the drain whose progress it shows.
    tokio::spawn(async move {
        let accept = async {
            let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
            while let Ok(slot) = slots.clone().acquire_owned().await {
                let Ok((stream, _)) = listener.accept().await else {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                };
                let handler = handler.clone();
                tokio::spawn(async move {
                    let service = service_fn(move |request: Request<Incoming>| {
                        let answer = handler(request.method(), request.uri().path());
                        async move { Ok::<_, std::convert::Infallible>(respond(answer)) }
                    });
                    let connection = hyper::server::conn::http1::Builder::new()
                        .timer(TokioTimer::new())
                        .header_read_timeout(HEAD_TIMEOUT)
                        .max_buf_size(16 * 1024)
                        .serve_connection(TokioIo::new(stream), service);
                    let _ = tokio::time::timeout(CONNECTION_TIMEOUT, connection).await;
                    drop(slot);
                });
            }
        };
        tokio::select! { () = accept => {}, () = drain.cut() => {} }
    });
    Ok(bound)
}

fn respond(answer: Option<Answer>) -> Response<Full<Bytes>> {
    let answer = answer.unwrap_or_else(|| Answer::text(StatusCode::NOT_FOUND, "no such page\n"));
    let mut response = Response::new(Full::new(Bytes::from(answer.body)));
    *response.status_mut() = answer.status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(answer.content_type));
    response
}
