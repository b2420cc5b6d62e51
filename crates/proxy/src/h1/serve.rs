//! A downstream HTTP/1.1 connection: request after request, each parsed, admitted, relayed and counted.
use std::{
    future::poll_fn,
    mem::MaybeUninit,
    rc::Rc,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use crate::{
    access_log,
    account::{Outcome, Series},
    ask::{Ask, Headers},
    conn::Conn,
    fault::Fault,
    h1::{
        head::{self, Length, RequestHead, SLOTS},
        relay::{Failure, Relay, Shape},
        render::{self, Additions, Target},
    },
    pool::{Lease, Pool},
    session::{Grant, Refusal, Role, Session},
    tunnel,
    view::View,
    watch::{Interrupted, Subject, Watch},
};

/// Bytes of a body that are discarded after an early answer.
const LINGER_BYTES: usize = 256 * 1024;

/// How serving a connection ended.
pub(crate) enum End {
    /// It is over.
    Closed,
    /// The caller speaks HTTP/2 with prior knowledge.
    Http2(Conn),
}

/// A request, admitted or not; the head is parsed and rendered.
struct Plan {
    bytes: usize,
    body: Length,
    minor: u8,
    is_head: bool,
    close: bool,
    upgrade: bool,
    /// Safe to send twice (RFC 9110 §9.2.2).
    idempotent: bool,
    verdict: Verdict,
    log: Option<Box<access_log::Request>>,
    /// Who and what it is after an upgrade.
    subject: Option<Subject>,
}

enum Verdict {
    Grant(Grant),
    Refusal(Refusal),
    /// `CONNECT host:port` of the own application to a TCP upstream.
    Tunnel(Rc<Pool>, Arc<Series>),
}

/// What became of a request, for counting and for the connection.
struct Served {
    status: u16,
    fault: Option<Fault>,
    bytes_in: u64,
    bytes_out: u64,
    keep: bool,
}

/// Serves a connection until it ends.
pub(crate) async fn serve(session: &Session, mut conn: Conn, watch: &Rc<Watch>) -> End {
    // The rendered request head; its room is used again for each request.
    let mut rendered = Vec::new();
    let mut now = daemon::instant();
    loop {
        conn.rest();
        watch.set_idle(conn.read.is_empty());
        watch.until(now, session.worker.limits().idle_timeout);
        let plan = watch.guard(read_plan(session, &mut conn, &mut rendered, watch)).await;
        watch.set_idle(false);
        let started = daemon::instant();
        let (view, mut plan) = match plan {
            Ok(Next::Plan(view, plan)) => (view, plan),
            Ok(Next::Http2) => return End::Http2(conn),
            Ok(Next::Closed) => return End::Closed,
            Ok(Next::Fault(view, fault)) => {
                Box::pin(refuse_connection(session, &view, &mut conn, watch, fault, started)).await;
                return End::Closed;
            }
            // A head that never ends is answered; an idle connection just closes.
            Err(Interrupted::Expired) if !conn.read.is_empty() => {
                if let Some(view) = session.worker.view() {
                    Box::pin(refuse_connection(session, &view, &mut conn, watch, Fault::HeadTimeout, started)).await;
                }
                return End::Closed;
            }
            Err(_) => return End::Closed,
        };
        conn.consume(plan.bytes);
        if matches!(&plan.verdict, Verdict::Grant(grant) if grant.commit.is_some()) {
            plan = Box::pin(keep(session, &view, plan)).await;
        }
        let result = match &plan.verdict {
            Verdict::Tunnel(pool, series) => {
                let (pool, series) = (pool.clone(), series.clone());
                Box::pin(crate::hbone::proxy_connect(session, &pool, &series, conn, watch)).await;
                return End::Closed;
            }
            Verdict::Refusal(refusal) => {
                let (fault, decision) = (refusal.fault, refusal.decision.clone());
                answer(&mut conn, watch, &plan, fault, decision.as_deref(), session).await
            }
            Verdict::Grant(grant) if grant.probe => pass_probe(&mut conn, watch, &plan, session).await,
            Verdict::Grant(grant) => {
                let exchange = Exchange { session, watch, plan: &plan, grant, rendered: &rendered, started };
                match exchange.run(&mut conn).await {
                    Step::Done(result) => result,
                    Step::Upgraded(result, lease) => {
                        finish(session, &plan, &result, started, daemon::instant());
                        let idle = session.worker.limits().tunnel_idle_timeout;
                        watch.ends(session.ends(grant));
                        if let Some(subject) = plan.subject.take() {
                            *watch.subject.borrow_mut() = subject;
                        }
                        let Lease { conn: up, .. } = lease;
                        Box::pin(tunnel::join(conn, up, watch, idle, &grant.series)).await;
                        return End::Closed;
                    }
                }
            }
        };
        now = daemon::instant();
        finish(session, &plan, &result, started, now);
        plan.log = None;
        drop(view);
        if !result.keep || watch.is_draining() {
            Box::pin(close(&mut conn, watch, session.worker.limits().linger_timeout)).await;
            return End::Closed;
        }
    }
}

/// No record, no request.
async fn keep(session: &Session, view: &Rc<View>, plan: Plan) -> Plan {
    let verdict = match plan.verdict {
        Verdict::Grant(grant) => match session.keep(grant, view).await {
            Ok(grant) => Verdict::Grant(grant),
            Err(refusal) => Verdict::Refusal(refusal),
        },
        verdict => verdict,
    };
    Plan { verdict, ..plan }
}

enum Next {
    Plan(Rc<View>, Plan),
    Fault(Rc<View>, Fault),
    Http2,
    Closed,
}

/// Reads until a head is complete.
async fn read_plan(session: &Session, conn: &mut Conn, rendered: &mut Vec<u8>, watch: &Watch) -> Next {
    let mut begun = false;
    loop {
        // Blank lines before a request are allowed once (RFC 9112 §2.2).
        if conn.read.starts_with(b"\r\n") && !begun {
            conn.consume(2);
        }
        if !conn.read.is_empty() {
            if conn.read.starts_with(b"PRI * HTTP/2") && !matches!(session.role, Role::HttpProxy) {
                return Next::Http2;
            }
            let Some(view) = session.worker.view() else { return Next::Closed };
            match plan(session, &view, &conn.read, rendered) {
                Ok(Some(plan)) => return Next::Plan(view, plan),
                Ok(None) => {}
                Err(fault) => return Next::Fault(view, fault),
            }
            if !begun {
                begun = true;
                watch.set_idle(false);
                watch.until(daemon::instant(), session.worker.limits().header_timeout);
            }
        }
        match poll_fn(|cx| conn.poll_fill_head(cx)).await {
            Ok(n) if n > 0 => {}
            _ => return Next::Closed,
        }
    }
}

/// Parses, admits and renders. `None` when the head is not complete.
fn plan(session: &Session, view: &Rc<View>, bytes: &[u8], rendered: &mut Vec<u8>) -> Result<Option<Plan>, Fault> {
    let mut slots = [const { MaybeUninit::uninit() }; SLOTS];
    let Some(head) = head::request(bytes, &mut slots, session.worker.limits())? else { return Ok(None) };
    if head.method == "CONNECT" {
        return connect_plan(session, view, &head).map(Some);
    }
    let (path_and_query, host) = target_of(session, &head)?;
    let (raw_path, query) = match path_and_query.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (path_and_query, None),
    };
    if path_and_query.contains('#') || !query.is_none_or(|q| q.bytes().all(|b| (0x21..0x7f).contains(&b))) {
        return Err(Fault::Malformed("target"));
    }
    let semantics = view.snapshot.semantics;
    if !semantics.knows_method(head.method) {
        return Err(Fault::Malformed("method"));
    }
    let path = semantics.normalize(raw_path).map_err(Fault::Path)?;
    if path == "*" && head.method != "OPTIONS" {
        return Err(Fault::Malformed("target"));
    }
    let upgrade = head.upgrade.is_some() && head.body == Length::Known(0);
    let ask = Ask {
        method: head.method,
        path: &path,
        query,
        host,
        headers: Headers::Raw(head.headers),
        nominated: Some(&head.nominated),
        protocol: policy::Protocol::Http,
        http2: false,
    };
    let mut subject = None;
    let verdict = match session.admit(view, &ask) {
        Ok(grant) => {
            if upgrade {
                subject = session.subject(view, &ask, &grant);
            }
            let rewritten = grant.passport.as_ref().and_then(|passport| passport.rewritten.as_ref());
            let query = rewritten.map_or(query, |rewritten| rewritten.query.as_deref());
            let target = Target { path: grant.path.as_deref().unwrap_or(&path), query, host };
            let add = Additions {
                side: session.side(),
                client_cert: &session.client_cert,
                peer_ip: session.peer_ip,
                tls: matches!(session.role, Role::Gateway { tls: true, .. }),
                rewritten: rewritten.map(|rewritten| &rewritten.headers),
                clock: session.worker.clock(),
            };
            rendered.clear();
            render::request(rendered, &head, target, &add);
            Verdict::Grant(grant)
        }
        Err(refusal) => Verdict::Refusal(refusal),
    };
    let log = session.worker.logs_access().then(|| Box::new(access_log::Request::new(&ask)));
    Ok(Some(Plan {
        bytes: head.bytes,
        body: head.body,
        minor: head.minor,
        is_head: head.method == "HEAD",
        close: head.close,
        upgrade,
        idempotent: matches!(head.method, "GET" | "HEAD" | "OPTIONS" | "PUT" | "DELETE" | "TRACE"),
        verdict,
        log,
        subject,
    }))
}

/// Path-and-query and host of a request: origin form, or absolute form whose authority agrees with Host
/// (RFC 9112 §3.2.2 would let the target win; we refuse what two readers could route differently).
fn target_of<'b>(session: &Session, head: &RequestHead<'b>) -> Result<(&'b str, &'b str), Fault> {
    let target = head.target;
    let (path, authority) = if target.starts_with('/') || target == "*" {
        (target, None)
    } else {
        let scheme_end = target.find("://").ok_or(Fault::Malformed("target"))?;
        let (scheme, rest) =
            (target.get(..scheme_end).unwrap_or_default(), target.get(scheme_end + 3..).unwrap_or_default());
        if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
            return Err(Fault::Malformed("target"));
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if !head::is_authority(authority) || path.starts_with('?') {
            return Err(Fault::Malformed("target"));
        }
        (if path.is_empty() { "/" } else { path }, Some(authority))
    };
    let host = match (authority, head.host) {
        (Some(authority), Some(host)) if !authority.eq_ignore_ascii_case(host) => {
            return Err(Fault::Malformed("host-and-target"));
        }
        (Some(authority), _) => authority,
        (None, Some(host)) => host,
        // Only HTTP/1.0 may leave it out, and only where the listener already says which upstream is meant.
        (None, None) if matches!(session.role, Role::Outbound { .. }) => "localhost",
        (None, None) => return Err(Fault::Malformed("host-missing")),
    };
    Ok((path, host))
}

/// CONNECT is for the own application's TCP; elsewhere HTTP/1.1 CONNECT leads nowhere.
fn connect_plan(session: &Session, view: &Rc<View>, head: &RequestHead<'_>) -> Result<Plan, Fault> {
    if !head::is_authority(head.target) || head.body != Length::Known(0) {
        return Err(Fault::Malformed("target"));
    }
    let pool = match session.role {
        Role::HttpProxy => view.upstream_for_host(head.target),
        _ => None,
    };
    let ask = Ask::tcp(head.target, Headers::Raw(head.headers), false);
    let verdict = match pool {
        None => Verdict::Refusal(session.refuse(view, None, Fault::NoRoute)),
        Some(pool) => match session.admit(view, &ask) {
            Ok(grant) => Verdict::Tunnel(pool.clone(), grant.series),
            Err(refusal) => Verdict::Refusal(refusal),
        },
    };
    Ok(Plan {
        bytes: head.bytes,
        body: Length::Known(0),
        minor: head.minor,
        is_head: false,
        close: true,
        upgrade: false,
        idempotent: false,
        verdict,
        log: None,
        subject: None,
    })
}

enum Step {
    Done(Served),
    Upgraded(Served, Lease),
}

/// One granted request on its way, with at most one retry.
struct Exchange<'a> {
    session: &'a Session,
    watch: &'a Rc<Watch>,
    plan: &'a Plan,
    grant: &'a Grant,
    rendered: &'a [u8],
    started: Instant,
}

impl Exchange<'_> {
    async fn run(&self, down: &mut Conn) -> Step {
        let limits = self.session.worker.limits();
        let plan = self.plan;
        let mut lease = match self.grant.pool.checkout(self.started) {
            Some(lease) => {
                self.watch.until(self.started, self.first_limit());
                lease
            }
            None => match Box::pin(self.dial()).await {
                Ok(lease) => {
                    self.watch.until(daemon::instant(), self.first_limit());
                    lease
                }
                Err(fault) => return Step::Done(self.fail(down, fault, 0).await),
            },
        };
        loop {
            let shape = Shape {
                side: self.session.side(),
                is_head: plan.is_head,
                minor: plan.minor,
                upgrade: plan.upgrade,
                close: plan.close,
                body_idle: limits.body_idle_timeout,
                head_timeout: self.grant.timeout,
            };
            lease.conn.write.extend_from_slice(self.rendered);
            let pending = lease.pending();
            let mut relay = Relay::new(down, &mut lease.conn, self.watch, limits, shape, plan.body);
            let ended = self.watch.guard(poll_fn(|cx| relay.poll(cx))).await;
            let (status, answered, body_taken) = (relay.status, relay.answered, relay.body_taken);
            let (bytes_in, bytes_out) = (relay.request.data, relay.response.data);
            let (keep_up, keep_down, upgraded) = (relay.keep_up, relay.keep_down, relay.upgraded);
            drop(pending);
            let fault = match ended {
                Ok(Ok(())) => {
                    let result = Served { status, fault: None, bytes_in, bytes_out, keep: keep_down };
                    if upgraded {
                        return Step::Upgraded(result, lease);
                    }
                    if keep_up {
                        self.grant.pool.checkin(lease, daemon::instant(), limits);
                    }
                    return Step::Done(result);
                }
                // The keep-alive race: it closed as we wrote. Nothing was answered, so nobody saw the request twice.
                Ok(Err(Failure::Upstream(Fault::Reset)))
                    if lease.reused && !answered && !body_taken && plan.idempotent =>
                {
                    match Box::pin(self.dial()).await {
                        Ok(fresh) => {
                            self.watch.until(daemon::instant(), self.first_limit());
                            lease = fresh;
                            continue;
                        }
                        Err(fault) => fault,
                    }
                }
                Ok(Err(Failure::Upstream(fault) | Failure::Downstream(fault))) => fault,
                Err(Interrupted::Expired) if status == 0 => Fault::Timeout,
                Err(_) => Fault::Interrupted,
            };
            if status != 0 {
                // The response is under way: only an early end can tell the caller that it is not whole.
                return Step::Done(Served { status, fault: Some(fault), bytes_in, bytes_out, keep: false });
            }
            return Step::Done(self.fail(down, fault, bytes_in).await);
        }
    }

    /// How long the first phase may last: a body under way has its own deadline.
    fn first_limit(&self) -> Duration {
        match self.plan.body {
            Length::Known(0) => self.grant.timeout,
            _ => self.session.worker.limits().body_idle_timeout,
        }
    }

    async fn dial(&self) -> Result<Lease, Fault> {
        let limits = self.session.worker.limits();
        // Connecting has its own deadlines; this one only bounds several tries.
        self.watch.until(daemon::instant(), limits.connect_timeout.saturating_mul(4));
        match self.watch.guard(self.grant.pool.dial(limits)).await {
            Ok(result) => result,
            Err(Interrupted::Expired) => Err(Fault::Connect),
            Err(_) => Err(Fault::Interrupted),
        }
    }

    async fn fail(&self, down: &mut Conn, fault: Fault, bytes_in: u64) -> Served {
        let mut result = answer(down, self.watch, self.plan, fault, None, self.session).await;
        result.bytes_in = bytes_in;
        result.keep &= bytes_in == 0;
        result
    }
}

/// Answers a request ourselves. The connection stays only if there is no body that we would have to read.
async fn answer(
    conn: &mut Conn,
    watch: &Watch,
    plan: &Plan,
    fault: Fault,
    decision: Option<&str>,
    session: &Session,
) -> Served {
    let status = fault.status();
    if matches!(fault, Fault::Gone | Fault::Interrupted) {
        return Served { status, fault: Some(fault), bytes_in: 0, bytes_out: 0, keep: false };
    }
    let keep = plan.body == Length::Known(0) && !plan.close && !fault.closes();
    conn.write.clear();
    render::refusal(&mut conn.write, status, decision, plan.is_head, !keep);
    let bytes_out = conn.write.len() as u64;
    let sent = flush(conn, watch, session.worker.limits().body_idle_timeout).await;
    Served { status, fault: Some(fault), bytes_in: 0, bytes_out, keep: keep && sent }
}

/// The destination's answer to a probe that policy let through.
async fn pass_probe(conn: &mut Conn, watch: &Watch, plan: &Plan, session: &Session) -> Served {
    let keep = plan.body == Length::Known(0) && !plan.close;
    conn.write.extend_from_slice(b"HTTP/1.1 204 No Content\r\nward-probe-result: passed\r\n");
    conn.write.extend_from_slice(if keep { b"\r\n" } else { b"connection: close\r\n\r\n" });
    let sent = flush(conn, watch, session.worker.limits().body_idle_timeout).await;
    Served { status: 204, fault: None, bytes_in: 0, bytes_out: 0, keep: keep && sent }
}

/// Answers a head that is no request, and closes.
async fn refuse_connection(
    session: &Session,
    view: &Rc<View>,
    conn: &mut Conn,
    watch: &Watch,
    fault: Fault,
    started: Instant,
) {
    render::refusal(&mut conn.write, fault.status(), None, false, true);
    let refusal = session.refuse(view, None, fault);
    let outcome =
        Outcome { status: fault.status(), flag: fault.flag(), duration: started.elapsed(), bytes_in: 0, bytes_out: 0 };
    refusal.series.record(&outcome);
    session.worker.log_refused_head(session, fault, &outcome);
    flush(conn, watch, session.worker.limits().linger_timeout).await;
    close(conn, watch, session.worker.limits().linger_timeout).await;
}

async fn flush(conn: &mut Conn, watch: &Watch, limit: Duration) -> bool {
    watch.until(daemon::instant(), limit);
    matches!(watch.guard(poll_fn(|cx| conn.poll_flush(cx))).await, Ok(Ok(())))
}

/// Ends a connection without losing our last answer to a reset.
async fn close(conn: &mut Conn, watch: &Watch, limit: Duration) {
    watch.until(daemon::instant(), limit);
    let mut left = LINGER_BYTES;
    let linger = poll_fn(|cx| match conn.poll_shutdown(cx) {
        Poll::Ready(Ok(())) => conn.poll_linger(cx, &mut left),
        Poll::Ready(Err(_)) => Poll::Ready(()),
        Poll::Pending => Poll::Pending,
    });
    // Whichever comes first: their end, the byte limit, or the deadline.
    let _ = watch.guard(linger).await;
}

fn finish(session: &Session, plan: &Plan, result: &Served, started: Instant, now: Instant) {
    let (series, decision, upstream) = match &plan.verdict {
        Verdict::Grant(grant) => (&grant.series, grant.decision.as_deref(), Some(&grant.pool.name)),
        Verdict::Refusal(refusal) => (&refusal.series, refusal.decision.as_deref(), None),
        Verdict::Tunnel(pool, series) => (series, None, Some(&pool.name)),
    };
    let outcome = Outcome {
        status: result.status,
        flag: result.fault.map_or("-", Fault::flag),
        duration: now.duration_since(started),
        bytes_in: result.bytes_in,
        bytes_out: result.bytes_out,
    };
    series.record(&outcome);
    if let Verdict::Grant(Grant { is_audited: true, decision: Some(decision), .. }) = &plan.verdict {
        session.worker.audit_outcome(decision, &outcome);
    }
    if let Some(request) = &plan.log {
        session.worker.log_access(&access_log::Line {
            request,
            outcome: &outcome,
            reason: result.fault.map(Fault::code),
            principal: session.principal.as_deref(),
            peer: session.peer_ip,
            upstream: upstream.map(|u| &**u),
            flow: &series.labels.flow,
            decision,
        });
    }
}
