//! A downstream HTTP/2 connection.
use std::{cell::Cell, convert::Infallible, future::poll_fn, pin::pin, rc::Rc, sync::Arc, task::Poll, time::Instant};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, Version, header, uri::PathAndQuery};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use policy::Semantics;

use crate::{
    access_log,
    account::Series,
    ask::{Ask, Headers},
    conn::Conn,
    fault::{CHALLENGE, Fault, problem},
    h1::{head::is_authority, render::Additions},
    h2::{
        Account, Active, LocalExecutor, Log, Passing,
        client::{self, Sender},
        fields,
    },
    hbone,
    limits::Limits,
    prefixed::Prefixed,
    session::{Grant, Refusal, Role, Session},
    snapshot::Protocol,
    watch::{Interrupted, Watch},
};

/// Flow control windows towards us: bodies stream, and a peer cannot make us hold more than this per connection.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Response data held for one stream.
const SEND_BUFFER: usize = 256 * 1024;

/// Serves a connection until it ends.
pub(crate) async fn serve(session: Rc<Session>, conn: Conn, watch: &Rc<Watch>) {
    let limits = session.worker.limits().clone();
    let active = Rc::new(Cell::new(0usize));
    let service = {
        let (session, active) = (session.clone(), active.clone());
        service_fn(move |request| {
            let session = session.clone();
            let stream = Active::new(&active);
            async move { Ok::<_, Infallible>(handle(&session, request, stream).await) }
        })
    };
    let io = TokioIo::new(Prefixed::new(conn.read, conn.io));
    let connection = hyper::server::conn::http2::Builder::new(LocalExecutor(session.worker.tasks().clone()))
        .timer(TokioTimer::new())
        .max_concurrent_streams(u32::try_from(limits.streams_max).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(limits.stream_resets_max)
        .max_local_error_reset_streams(limits.stream_resets_max)
        .max_header_list_size(u32::try_from(limits.header_bytes_max).unwrap_or(u32::MAX))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .keep_alive_interval(limits.idle_timeout / 3)
        .keep_alive_timeout(limits.header_timeout)
        .serve_connection(io, service);
    let mut connection = pin!(connection);
    let mut ending = false;
    let mut was_idle = false;
    let ended = poll_fn(|cx| {
        if let Poll::Ready(result) = connection.as_mut().poll(cx) {
            return Poll::Ready(Ok(result));
        }
        // The idle deadline runs only while no stream does.
        let idle = active.get() == 0;
        if idle != was_idle || ending {
            watch.until(daemon::instant(), if idle { limits.idle_timeout } else { limits.tunnel_idle_timeout });
            was_idle = idle;
        }
        match watch.poll_interrupted(cx) {
            Poll::Ready(Interrupted::Cut) => Poll::Ready(Err(Interrupted::Cut)),
            Poll::Ready(why) if ending => Poll::Ready(Err(why)),
            _ if !ending && (watch.is_draining() || matches!(watch.poll_interrupted(cx), Poll::Ready(_))) => {
                // GOAWAY, then the streams under way finish.
                ending = true;
                watch.set_idle(false);
                connection.as_mut().graceful_shutdown();
                watch.until(daemon::instant(), limits.tunnel_idle_timeout);
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            _ => Poll::Pending,
        }
    });
    match ended.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, peer = %session.peer_ip, "HTTP/2 connection ended"),
        Err(why) => tracing::debug!(?why, peer = %session.peer_ip, "HTTP/2 connection interrupted"),
    }
}

async fn handle(session: &Rc<Session>, request: Request<Incoming>, stream: Active) -> Response<Passing> {
    let started = daemon::instant();
    let Some(view) = session.worker.view() else { return refusal_response(Fault::NotReady, None) };
    if request.method() == Method::CONNECT {
        return hbone::accept(session, &view, request, stream).await;
    }
    let facts = match facts(&request, view.snapshot.semantics, session.worker.limits()) {
        Ok(facts) => facts,
        Err(fault) => return refuse(session.refuse(&view, None, fault), started),
    };
    let ask = Ask {
        method: request.method().as_str(),
        path: &facts.path,
        query: facts.query.as_deref(),
        host: &facts.host,
        headers: Headers::Map(request.headers()),
        nominated: None,
        protocol: policy::Protocol::Http,
        http2: true,
    };
    let log = session.worker.logs_access().then(|| Log {
        session: session.clone(),
        request: access_log::Request::new(&ask),
        upstream: None,
        decision: None,
        reason: None,
    });
    let admitted = match session.admit(&view, &ask) {
        Ok(grant) => session.keep(grant, &view).await,
        refused => refused,
    };
    match admitted {
        Err(refusal) => answer(refusal, started, log),
        Ok(grant) if grant.probe => {
            let mut response = Response::new(Passing::Empty);
            *response.status_mut() = StatusCode::NO_CONTENT;
            response.headers_mut().insert("ward-probe-result", HeaderValue::from_static("passed"));
            drop(account(&grant.series, started, 204, "-", log));
            response
        }
        Ok(grant) => {
            let log =
                log.map(|log| Log { upstream: Some(grant.pool.name.clone()), decision: grant.decision.clone(), ..log });
            forward(session, grant, request, facts, started, stream, log).await
        }
    }
}

/// Counts a request when dropped.
fn account(series: &Arc<Series>, started: Instant, status: u16, flag: &'static str, log: Option<Log>) -> Account {
    Account {
        series: series.clone(),
        started,
        status,
        flag,
        request_bytes: Rc::default(),
        response_bytes: Rc::default(),
        active: None,
        log,
        audited: None,
    }
}

/// What a request is about.
struct Facts {
    /// In the normal form of the semantics in force.
    path: String,
    query: Option<String>,
    host: String,
}

fn facts(request: &Request<Incoming>, semantics: Semantics, limits: &Limits) -> Result<Facts, Fault> {
    let uri = request.uri();
    let target = uri.path_and_query().map_or(0, |p| p.as_str().len());
    if target > limits.target_bytes_max {
        return Err(Fault::TargetTooLong);
    }
    let authority = uri.authority().map(http::uri::Authority::as_str);
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let host = match (authority, hosts.next().map(HeaderValue::to_str)) {
        (_, Some(Err(_))) => return Err(Fault::Malformed("host")),
        (Some(a), Some(Ok(h))) if !a.eq_ignore_ascii_case(h) => return Err(Fault::Malformed("host-and-target")),
        (Some(a), _) => a,
        (None, Some(Ok(h))) => h,
        (None, None) => return Err(Fault::Malformed("host-missing")),
    };
    if hosts.next().is_some() {
        return Err(Fault::Malformed("host-repeated"));
    }
    if !is_authority(host) {
        return Err(Fault::Malformed("host"));
    }
    let method = request.method().as_str();
    let written = method.bytes().all(|b| b.is_ascii_uppercase() || matches!(b, b'-' | b'_'));
    if !written || !semantics.knows_method(method) {
        return Err(Fault::Malformed("method"));
    }
    // `http` lets UTF-8 into a query; one head over HTTP/1.1 and HTTP/2 must mean the same.
    if !uri.query().is_none_or(|q| q.bytes().all(|b| (0x21..0x7f).contains(&b))) {
        return Err(Fault::Malformed("target"));
    }
    if uri.path() == "*" && method != "OPTIONS" {
        return Err(Fault::Malformed("target"));
    }
    let path = semantics.normalize(uri.path()).map_err(Fault::Path)?.into_owned();
    Ok(Facts { path, query: uri.query().map(str::to_owned), host: host.to_owned() })
}

async fn forward(
    session: &Rc<Session>,
    mut grant: Grant,
    request: Request<Incoming>,
    mut facts: Facts,
    started: Instant,
    stream: Active,
    log: Option<Log>,
) -> Response<Passing> {
    let rewritten = grant.passport.take().and_then(|passport| passport.rewritten);
    let grant = grant;
    let audited = || grant.decision.clone().filter(|_| grant.is_audited).map(|decision| (session.clone(), decision));
    let failed = |fault: Fault, log: Option<Log>| {
        let mut account = account(&grant.series, started, fault.status(), fault.flag(), None);
        account.log = log.map(|log| Log { reason: Some(fault.code()), ..log });
        account.audited = audited();
        refusal_response(fault, None)
    };
    let worker = &session.worker;
    let side = session.side();
    let sender = match (&grant.pool.destination, grant.pool.protocol()) {
        (crate::pool::Destination::App(_), Protocol::Http) => client::http1(worker, &grant.pool).await,
        _ => client::http2(worker, &grant.pool).await,
    };
    let sender = match sender {
        Ok(sender) => sender,
        Err(fault) => return failed(fault, log),
    };
    let (mut parts, incoming) = request.into_parts();
    let add = Additions {
        side,
        client_cert: &session.client_cert,
        peer_ip: session.peer_ip,
        tls: matches!(session.role, Role::Gateway { tls: true, .. }),
        rewritten: None,
        clock: worker.clock(),
    };
    if let Some(rewritten) = rewritten {
        (parts.headers, facts.query) = (rewritten.headers, rewritten.query);
    }
    fields::request(&mut parts.headers, &add, &facts.host);
    let http1 = matches!(sender, Sender::Http1(..));
    let Some(uri) = uri(grant.path.as_deref().unwrap_or(&facts.path), &facts, http1) else {
        return failed(Fault::Malformed("target"), log);
    };
    parts.uri = uri;
    parts.version = if http1 { Version::HTTP_11 } else { Version::HTTP_2 };
    if http1 {
        if let Ok(host) = HeaderValue::from_str(&facts.host) {
            parts.headers.insert(header::HOST, host);
        }
        fields::join_cookies(&mut parts.headers);
    }
    let request_bytes = Rc::new(Cell::new(0));
    let body = Passing::Streaming { incoming, bytes: request_bytes.clone(), side, account: None };
    let request = Request::from_parts(parts, body);
    let response = match sender {
        Sender::Http2(mut sender, _stream) => tokio::time::timeout(grant.timeout, sender.send_request(request)).await,
        Sender::Http1(mut sender, endpoint) => {
            let response = tokio::time::timeout(grant.timeout, sender.send_request(request)).await;
            endpoint.clients.give_back(sender, worker.limits().upstream_idle_connections_max);
            response
        }
    };
    let response = match response {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => {
            tracing::debug!(%error, upstream = %grant.pool.name, "request failed");
            return failed(Fault::Reset, log);
        }
        Err(_) => return failed(Fault::Timeout, log),
    };
    let (mut parts, incoming) = response.into_parts();
    fields::response(&mut parts.headers, side);
    parts.version = Version::HTTP_2;
    let bytes = Rc::new(Cell::new(0));
    let mut account = account(&grant.series, started, parts.status.as_u16(), "-", log);
    account.request_bytes = request_bytes;
    account.response_bytes = bytes.clone();
    account.active = Some(stream);
    account.audited = audited();
    Response::from_parts(parts, Passing::Streaming { incoming, bytes, side, account: Some(account) })
}

fn uri(path: &str, facts: &Facts, http1: bool) -> Option<Uri> {
    let text = match &facts.query {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let path_and_query = PathAndQuery::try_from(text).ok()?;
    if http1 {
        return Some(Uri::from(path_and_query));
    }
    Uri::builder().scheme("http").authority(facts.host.as_str()).path_and_query(path_and_query).build().ok()
}

/// Counts a refusal and answers it.
pub(crate) fn refuse(refusal: Refusal, started: Instant) -> Response<Passing> {
    answer(refusal, started, None)
}

fn answer(refusal: Refusal, started: Instant, log: Option<Log>) -> Response<Passing> {
    let Refusal { fault, decision, series } = refusal;
    let response = refusal_response(fault, decision.as_deref());
    let log = log.map(|log| Log { decision, reason: Some(fault.code()), ..log });
    drop(account(&series, started, fault.status(), fault.flag(), log));
    response
}

fn refusal_response(fault: Fault, decision: Option<&str>) -> Response<Passing> {
    let status = fault.status();
    let body = Bytes::from(problem(status, decision));
    let mut response = Response::new(Passing::Whole(Some(body)));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if status == 401 {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(CHALLENGE));
    }
    response
}
