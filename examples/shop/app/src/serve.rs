//! What every service of the shop does the same way: wait for its store, listen, log each request, drain on SIGTERM.
use std::{
    future::Future,
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request, State},
    http::StatusCode,
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
    routing::get,
};
use sqlx::PgPool;
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
    time::timeout,
};

use crate::{
    context::{REQUEST_ID, ensure_request_id},
    database,
    problem::Problem,
    settings::{DatabaseSettings, Settings},
};

const BODY_BYTES_MAX: usize = 16 * 1024;
/// Longest a request may take; shorter than the age at which orders takes an attempt for dead.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
/// Longest wait for open requests after SIGTERM.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
const HEALTH_TIMEOUT: Duration = Duration::from_secs(1);

/// Runs one service until SIGTERM or SIGINT: connects to its database, builds its routes with `routes`, serves them.
/// `background` runs beside the requests and stops with them.
pub(crate) async fn run<B: Future<Output = ()>>(
    settings: &Settings,
    database: &DatabaseSettings,
    schema: &'static str,
    routes: impl FnOnce(PgPool) -> Router,
    background: impl FnOnce(PgPool) -> B,
) -> anyhow::Result<()> {
    let address = settings.listen()?;
    let mut shutdown = Shutdown::new()?;
    let pool = tokio::select! {
        pool = database::connect(database, schema) => pool,
        () = shutdown.requested() => return Ok(()),
    };
    let app = routes(pool.clone())
        .route("/healthz", get(health).with_state(pool.clone()))
        .fallback(async || Problem::new(StatusCode::NOT_FOUND, "there is nothing at this path"))
        .method_not_allowed_fallback(async || {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this path does not take this method")
        })
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(from_fn(observe));
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| anyhow::anyhow!("cannot listen on {address}: {error}; give another PORT or HOST"))?;
    tracing::info!(address = %listener.local_addr()?, "serving");

    let (draining, drain_begun) = oneshot::channel();
    let server = axum::serve(listener, app).with_graceful_shutdown(async move {
        shutdown.requested().await;
        tracing::info!("draining");
        // The receiver is gone only when the server is, and then there is nothing to cut.
        let _ = draining.send(());
    });
    let cut = async {
        let _ = drain_begun.await;
        tokio::time::sleep(DRAIN_TIMEOUT).await;
    };
    tokio::select! {
        result = server.into_future() => result?,
        () = cut => tracing::warn!("requests still open after the drain timeout were cut"),
        () = background(pool.clone()) => tracing::error!("background work ended by itself"),
    }
    // Close the connections in the protocol's way, so that the store logs no lost client; a dead store cannot hold us up.
    let _ = timeout(HEALTH_TIMEOUT, pool.close()).await;
    tracing::info!("stopped");
    Ok(())
}

/// Both stop signals, caught from the moment this exists.
struct Shutdown {
    terminate: Signal,
    interrupt: Signal,
}

impl Shutdown {
    fn new() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn requested(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// `GET /healthz`: 200 while the database answers.
async fn health(State(pool): State<PgPool>) -> Response {
    match timeout(HEALTH_TIMEOUT, sqlx::query("SELECT 1").execute(&pool)).await {
        Ok(Ok(_)) => axum::Json(serde_json::json!({ "status": "ok" })).into_response(),
        Ok(Err(error)) => Problem::from(error).into_response(),
        Err(_) => Problem::unavailable("the service's database does not answer").into_response(),
    }
}

/// Sees to the request id and the deadline, and writes one log line. Bodies, queries and headers stay out of the log.
async fn observe(mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = ensure_request_id(request.headers_mut());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut response = timeout(REQUEST_TIMEOUT, next.run(request))
        .await
        .unwrap_or_else(|_| Problem::unavailable("the request took too long").into_response());
    if path != "/healthz" {
        let request_id = id.as_ref().and_then(|id| id.to_str().ok());
        let status = response.status().as_u16();
        let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::info!(%method, path, status, duration_ms, request_id, "request");
    }
    if let Some(id) = id {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}
