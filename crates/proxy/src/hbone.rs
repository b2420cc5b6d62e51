//! TCP between sidecars: one HTTP/2 CONNECT stream per connection (HBONE), `:authority` naming node, namespace, port.
use std::{rc::Rc, sync::Arc, time::Instant};

use bytes::BytesMut;
use http::{Method, Request, Response, Uri, Version};
use hyper::{body::Incoming, upgrade::Upgraded};
use hyper_util::rt::TokioIo;

use crate::{
    account::{Outcome, Series},
    ask::{Ask, Headers},
    conn::Conn,
    fault::Fault,
    h1::render,
    h2::{
        Active, Passing,
        client::{self, Sender},
        serve::refuse,
    },
    pool::{Destination, Pool},
    session::{Grant, Role, Session},
    tunnel::{self, Side},
    view::View,
    watch::{Subject, Watch},
};

/// The local port of a TCP upstream: the tunnel is opened at once, for protocols in which the server speaks first.
pub(crate) async fn outbound(session: &Session, pool: &Rc<Pool>, series: &Arc<Series>, conn: Conn, watch: &Rc<Watch>) {
    match open(session, pool).await {
        Ok((upgraded, _active)) => carry(session, pool, series, conn, upgraded, watch).await,
        Err(fault) => {
            tracing::warn!(upstream = %pool.name, reason = fault.code(), "tunnel refused");
            // There is no way to say why in someone else's protocol: the connection closes.
            series.opened();
            series.closed(std::time::Duration::ZERO);
        }
    }
}

/// CONNECT of the own application on the HTTP proxy port.
pub(crate) async fn proxy_connect(
    session: &Session,
    pool: &Rc<Pool>,
    series: &Arc<Series>,
    mut conn: Conn,
    watch: &Rc<Watch>,
) {
    let opened = open(session, pool).await;
    match &opened {
        Ok(_) => conn.write.extend_from_slice(b"HTTP/1.1 200 Connection Established\r\n\r\n"),
        Err(fault) => render::refusal(&mut conn.write, fault.status(), None, false, true),
    }
    watch.until(daemon::instant(), session.worker.limits().body_idle_timeout);
    let flushed = watch.guard(std::future::poll_fn(|cx| conn.poll_flush(cx))).await;
    if let (Ok((upgraded, _active)), Ok(Ok(()))) = (opened, flushed) {
        carry(session, pool, series, conn, upgraded, watch).await;
    }
}

async fn carry(
    session: &Session,
    pool: &Rc<Pool>,
    series: &Arc<Series>,
    conn: Conn,
    upgraded: Upgraded,
    watch: &Rc<Watch>,
) {
    if let Destination::Mesh(upstream) = &pool.destination {
        *watch.subject.borrow_mut() =
            Subject::UpstreamTunnel { upstream: pool.name.clone(), id: Rc::from(upstream.id.as_str()) };
    }
    series.opened();
    let idle = session.worker.limits().tunnel_idle_timeout;
    let down = Side { io: conn.io, read: conn.read };
    let up = Side { io: TokioIo::new(upgraded), read: BytesMut::new() };
    tunnel::relay(down, up, watch, idle, series).await;
}

async fn open(session: &Session, pool: &Rc<Pool>) -> Result<(Upgraded, Active), Fault> {
    let Destination::Mesh(upstream) = &pool.destination else { return Err(Fault::WrongProtocol) };
    let worker = &session.worker;
    let authority = format!("{}.{}:{}", upstream.node, upstream.namespace, upstream.port);
    let mut request = Request::new(Passing::Empty);
    *request.method_mut() = Method::CONNECT;
    *request.version_mut() = Version::HTTP_2;
    *request.uri_mut() = Uri::builder().authority(authority).build().map_err(|_| Fault::NoRoute)?;
    let Sender::Http2(mut sender, active) = client::http2(worker, pool).await? else { return Err(Fault::Connect) };
    let response = tokio::time::timeout(upstream.timeout, sender.send_request(request))
        .await
        .map_err(|_| Fault::Timeout)?
        .map_err(|_| Fault::Reset)?;
    match response.status().as_u16() {
        200 => {}
        403 => return Err(Fault::Denied),
        503 => return Err(Fault::Connect),
        _ => return Err(Fault::BadResponse),
    }
    let upgraded = hyper::upgrade::on(response).await.map_err(|_| Fault::Reset)?;
    Ok((upgraded, active))
}

/// A peer's CONNECT: decided as TCP, then joined with the application.
pub(crate) async fn accept(
    session: &Rc<Session>,
    view: &Rc<View>,
    request: Request<Incoming>,
    stream: Active,
) -> Response<Passing> {
    let started = daemon::instant();
    let Role::Inbound { port } = session.role else {
        return refuse(session.refuse(view, None, Fault::WrongProtocol), started);
    };
    let host = request.uri().authority().map(ToString::to_string).unwrap_or_default();
    let own = format!("{}.{}:{port}", view.snapshot.node, view.snapshot.namespace);
    if host != own {
        return refuse(session.refuse(view, None, Fault::Misdirected), started);
    }
    let ask = Ask::tcp("", Headers::Map(request.headers()), true);
    let admitted = match session.admit(view, &ask) {
        Ok(grant) => session.keep(grant, view).await,
        refused => refused,
    };
    let grant = match admitted {
        Ok(grant) => grant,
        Err(refusal) => return refuse(refusal, started),
    };
    if grant.probe {
        grant.series.opened();
        grant.series.closed(started.elapsed());
        let mut response = Response::new(Passing::Empty);
        response.headers_mut().insert("ward-probe-result", http::HeaderValue::from_static("passed"));
        return response;
    }
    let lease = match grant.pool.dial(session.worker.limits()).await {
        Ok(lease) => lease,
        Err(fault) => {
            finish(session, &grant, started, fault.status(), fault.flag(), (0, 0));
            let refusal = crate::session::Refusal { fault, decision: None, series: grant.series.clone() };
            return refuse(refusal, started);
        }
    };
    let subject = session.subject(view, &ask, &grant).unwrap_or(Subject::Local);
    let session = session.clone();
    let tasks = session.worker.tasks().clone();
    tasks.spawn_local(async move {
        let _stream = stream;
        let watch = session.worker.registry().add(subject);
        let _pending = lease.pending();
        watch.until(daemon::instant(), session.worker.limits().header_timeout);
        let Ok(Ok(upgraded)) = watch.guard(hyper::upgrade::on(request)).await else { return };
        grant.series.opened();
        let down = Side { io: TokioIo::new(upgraded), read: BytesMut::new() };
        let up = Side { io: lease.conn.io, read: lease.conn.read };
        let idle = session.worker.limits().tunnel_idle_timeout;
        let moved = tunnel::relay(down, up, &watch, idle, &grant.series).await;
        finish(&session, &grant, started, 200, "-", moved);
    });
    Response::new(Passing::Empty)
}

/// Says what became of a connection whose decision is in the durable spool.
fn finish(session: &Session, grant: &Grant, started: Instant, status: u16, flag: &'static str, moved: (u64, u64)) {
    if let Some(decision) = grant.decision.as_ref().filter(|_| grant.is_audited) {
        let (bytes_in, bytes_out) = moved;
        let outcome = Outcome { status, flag, duration: started.elapsed(), bytes_in, bytes_out };
        session.worker.audit_outcome(decision, &outcome);
    }
}
