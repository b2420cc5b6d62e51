//! A downstream connection: who it is, and for each request where it may go. HTTP/1.1, HTTP/2 and tunnels ask here;
//! identity and destination are resolved once per connection.
use std::{
    cell::{Cell, RefCell},
    net::IpAddr,
    rc::Rc,
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::{HeaderMap, HeaderName, HeaderValue};
use model::Audit;
use policy::{Decision, RuleRef};
use wire::v1::{DecisionRecord, Header};

use crate::{
    account::{self, Labels, Reporter, Series},
    decision_id,
    fault::Fault,
    headers::{Action, REQUEST_INDEX, Side},
    pool::{Destination, Pool},
    snapshot::{GatewayListener, Protocol},
    view::View,
    watch::Subject,
    worker::Worker,
};

/// Series a connection remembers.
const SERIES_CACHED: usize = 8;

/// What kind of downstream this is.
#[derive(Clone, Debug)]
pub(crate) enum Role {
    /// The application, on the local port of an upstream.
    Outbound { upstream: Arc<str> },
    /// The application, on the HTTP proxy port.
    HttpProxy,
    /// A peer, asking for one port.
    Inbound { port: u16 },
    /// Anyone, on a gateway listener.
    Gateway { port: u16, tls: bool },
}

/// A downstream connection.
pub(crate) struct Session {
    pub(crate) worker: Rc<Worker>,
    pub(crate) role: Role,
    pub(crate) peer_ip: IpAddr,
    /// SPIFFE URI of a peer on the mesh port.
    pub(crate) principal: Option<Arc<str>>,
    pub(crate) sni: Option<String>,
    /// End of the peer's certificate.
    pub(crate) peer_until: Option<SystemTime>,
    /// Value of x-forwarded-client-cert.
    pub(crate) client_cert: Vec<u8>,
    series: RefCell<Vec<(SeriesKey, Arc<Series>)>>,
    series_view: Cell<u64>,
    pool: RefCell<Option<(u64, Rc<Pool>)>>,
}

type SeriesKey = (usize, Option<RuleRef>, bool);

/// What is asked, before anything is decided.
pub(crate) struct Ask<'a> {
    pub(crate) method: &'a str,
    /// Normalized.
    pub(crate) path: &'a str,
    pub(crate) host: &'a str,
    pub(crate) headers: Headers<'a>,
    pub(crate) protocol: policy::Protocol,
    /// HTTP/2 downstream.
    pub(crate) http2: bool,
}

/// Headers, as either engine has them.
#[derive(Clone, Copy)]
pub(crate) enum Headers<'a> {
    Raw(&'a [httparse::Header<'a>]),
    Map(&'a HeaderMap),
}

impl<'a> Headers<'a> {
    /// The first value of a header.
    pub(crate) fn first(self, name: &str) -> Option<&'a [u8]> {
        match self {
            Self::Raw(headers) => headers.iter().find(|h| h.name.eq_ignore_ascii_case(name)).map(|h| h.value),
            Self::Map(map) => map.get(name).map(HeaderValue::as_bytes),
        }
    }

    /// Only the headers that policies read, and of these only what the application will see too: one that is taken out
    /// here must not decide anything.
    fn only(self, names: &[HeaderName], side: Side) -> HeaderMap {
        let mut out = HeaderMap::new();
        let forged = |n: &&HeaderName| {
            matches!(REQUEST_INDEX.action(side, n.as_str().as_bytes()), Action::Remove | Action::Set | Action::Read)
        };
        for name in names.iter().filter(|n| !forged(n)) {
            match self {
                Self::Raw(headers) => {
                    for header in headers.iter().filter(|h| h.name.eq_ignore_ascii_case(name.as_str())) {
                        if let Ok(value) = HeaderValue::from_bytes(header.value) {
                            out.append(name.clone(), value);
                        }
                    }
                }
                Self::Map(map) => {
                    for value in map.get_all(name) {
                        out.append(name.clone(), value.clone());
                    }
                }
            }
        }
        out
    }
}

/// What was asked, kept: to be decided again under another snapshot.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    principal: Option<Arc<str>>,
    method: String,
    path: String,
    host: String,
    headers: HeaderMap,
    source_ip: IpAddr,
    pub(crate) port: u16,
    protocol: policy::Protocol,
    sni: Option<String>,
}

impl Facts {
    /// As the rules take it.
    pub(crate) fn request(&self) -> policy::Request<'_> {
        policy::Request {
            principal: self.principal.as_deref(),
            method: &self.method,
            path: &self.path,
            host: &self.host,
            headers: &self.headers,
            source_ip: Some(self.source_ip),
            remote_ip: None,
            port: self.port,
            protocol: self.protocol,
            sni: self.sni.as_deref(),
            jwt: None,
        }
    }
}

/// A request may go there.
pub(crate) struct Grant {
    pub(crate) pool: Rc<Pool>,
    pub(crate) series: Arc<Series>,
    pub(crate) timeout: Duration,
    /// The path after a rewrite.
    pub(crate) path: Option<String>,
    /// A live probe: answered here, not by the application.
    pub(crate) probe: bool,
    pub(crate) decision: Option<String>,
}

/// A request may not go anywhere.
pub(crate) struct Refusal {
    pub(crate) fault: Fault,
    pub(crate) decision: Option<String>,
    pub(crate) series: Arc<Series>,
}

impl Session {
    pub(crate) fn new(worker: Rc<Worker>, role: Role, peer_ip: IpAddr) -> Self {
        Self {
            worker,
            role,
            peer_ip,
            principal: None,
            sni: None,
            peer_until: None,
            client_cert: Vec::new(),
            series: RefCell::default(),
            series_view: Cell::new(0),
            pool: RefCell::new(None),
        }
    }

    pub(crate) fn side(&self) -> Side {
        match self.role {
            Role::Outbound { .. } | Role::HttpProxy => Side::Outbound,
            Role::Inbound { .. } => Side::Inbound,
            Role::Gateway { .. } => Side::Gateway,
        }
    }

    /// Decides where a request goes.
    pub(crate) fn admit(&self, view: &Rc<View>, ask: &Ask<'_>) -> Result<Grant, Refusal> {
        match &self.role {
            Role::Outbound { upstream } => {
                let pool = self.upstream(view, upstream);
                self.outbound(view, ask, pool.as_ref().ok_or(Fault::NoRoute))
            }
            Role::HttpProxy => {
                let pool = view.upstream_for_host(ask.host).ok_or(Fault::NoRoute);
                self.outbound(view, ask, pool)
            }
            Role::Inbound { port } => self.inbound(view, ask, *port),
            Role::Gateway { port, .. } => self.tested(ask, self.gateway(view, ask, *port)),
        }
    }

    /// The pool of the one upstream of this connection, looked up once per view.
    fn upstream(&self, view: &View, name: &str) -> Option<Rc<Pool>> {
        let mut cached = self.pool.borrow_mut();
        match &*cached {
            Some((number, pool)) if *number == view.number => Some(pool.clone()),
            _ => {
                let pool = view.upstream(name)?.clone();
                *cached = Some((view.number, pool.clone()));
                Some(pool)
            }
        }
    }

    fn outbound(&self, view: &Rc<View>, ask: &Ask<'_>, pool: Result<&Rc<Pool>, Fault>) -> Result<Grant, Refusal> {
        let pool = pool.map_err(|fault| self.refuse(view, None, fault))?;
        self.check_protocol(pool, ask).map_err(|fault| self.refuse(view, Some(pool), fault))?;
        let series = self.series(view, Some(pool), None, true);
        Ok(self.grant(pool, series, None))
    }

    fn inbound(&self, view: &Rc<View>, ask: &Ask<'_>, port: u16) -> Result<Grant, Refusal> {
        let Some(pool) = view.service(port) else { return Err(self.refuse(view, None, Fault::Misdirected)) };
        if self.peer_until.is_some_and(|until| self.worker.clock().now() > until) {
            return Err(self.expired(view, ask, port, pool));
        }
        self.tested(ask, self.admit_to(view, ask, port, pool))
    }

    /// What Ward does to test itself is nobody's traffic: decided and recorded like any, and not counted.
    fn tested(&self, ask: &Ask<'_>, mut admitted: Result<Grant, Refusal>) -> Result<Grant, Refusal> {
        if self.is_probe(ask) {
            match &mut admitted {
                Ok(grant) => (grant.probe, grant.series) = (true, Series::uncounted()),
                Err(refusal) => refusal.series = Series::uncounted(),
            }
        }
        admitted
    }

    /// Whether this is a probe that the control plane announced.
    fn is_probe(&self, ask: &Ask<'_>) -> bool {
        let nonce = ask.headers.first("ward-probe").and_then(|n| std::str::from_utf8(n).ok());
        nonce.is_some_and(|nonce| self.worker.is_live_probe(nonce))
    }

    fn admit_to(&self, view: &Rc<View>, ask: &Ask<'_>, port: u16, pool: &Rc<Pool>) -> Result<Grant, Refusal> {
        let (rule, decision) = self.decide(view, ask, port, Some(pool))?;
        self.check_protocol(pool, ask).map_err(|fault| self.refuse(view, Some(pool), fault))?;
        let series = self.series(view, Some(pool), rule, true);
        Ok(self.grant(pool, series, decision))
    }

    fn gateway(&self, view: &Rc<View>, ask: &Ask<'_>, port: u16) -> Result<Grant, Refusal> {
        let Some(listener) = view.snapshot.listeners.iter().find(|l| l.port == port) else {
            return Err(self.refuse(view, None, Fault::NotReady));
        };
        if !serves_host(listener, ask.host) {
            return Err(self.refuse(view, None, Fault::Misdirected));
        }
        let (rule, decision) = self.decide(view, ask, port, None)?;
        let route = listener.routes.iter().find(|route| {
            let method = route.methods.is_empty() || route.methods.iter().any(|m| m == ask.method);
            method && route.path.as_ref().is_none_or(|p| p.matches(ask.path))
        });
        let Some(route) = route else { return Err(self.refuse(view, None, Fault::NoRoute)) };
        let Some(pool) = view.upstreams.get(route.upstream) else {
            return Err(self.refuse(view, None, Fault::NoRoute));
        };
        let series = self.series(view, Some(pool), rule, true);
        let mut grant = self.grant(pool, series, decision);
        if let Some(rest) =
            ask.path.strip_prefix(route.strip_prefix.as_str()).filter(|_| !route.strip_prefix.is_empty())
        {
            // `/shop` stripped from `/shopping` would be another path: only whole segments come off.
            if rest.is_empty() {
                grant.path = Some("/".to_owned());
            } else if rest.starts_with('/') {
                grant.path = Some(rest.to_owned());
            }
        }
        Ok(grant)
    }

    /// The peer's identity has ended: it must come again with a new one.
    fn expired(&self, view: &Rc<View>, ask: &Ask<'_>, port: u16, pool: &Rc<Pool>) -> Refusal {
        let request = self.request(ask, port, &view.no_headers);
        let id = decision_id::ulid(self.worker.clock().unix_ms());
        let record = self.record(view, ask, &request, &id, None, Fault::Expired.code());
        // A refusal needs no record to stand; what is dropped is counted.
        let _ = self.worker.record(record);
        Refusal { decision: Some(id), ..self.refuse(view, Some(pool), Fault::Expired) }
    }

    fn check_protocol(&self, pool: &Pool, ask: &Ask<'_>) -> Result<(), Fault> {
        match (ask.protocol, pool.protocol(), ask.http2) {
            (policy::Protocol::Tcp, Protocol::Tcp, _) => Ok(()),
            (policy::Protocol::Http, Protocol::Http, _) => Ok(()),
            (policy::Protocol::Http, Protocol::Grpc, true) => Ok(()),
            _ => Err(Fault::WrongProtocol),
        }
    }

    fn grant(&self, pool: &Rc<Pool>, series: Arc<Series>, decision: Option<String>) -> Grant {
        let timeout = match &pool.destination {
            Destination::Mesh(upstream) => upstream.timeout,
            Destination::App(service) if service.protocol == Protocol::Grpc => self.worker.limits().tunnel_idle_timeout,
            Destination::App(_) => self.worker.limits().request_timeout,
        };
        Grant { pool: pool.clone(), series, timeout, path: None, probe: false, decision }
    }

    /// Asks the rules. A denial is always recorded; an allowance when the flow's audit level asks for it.
    fn decide(
        &self,
        view: &Rc<View>,
        ask: &Ask<'_>,
        port: u16,
        pool: Option<&Rc<Pool>>,
    ) -> Result<(Option<RuleRef>, Option<String>), Refusal> {
        let rules = &view.snapshot.rules;
        let read = rules.headers_read();
        // A map is built only for the few headers that policies read; mostly none.
        let headers = if read.is_empty() { None } else { Some(ask.headers.only(read, self.side())) };
        let request = self.request(ask, port, headers.as_ref().unwrap_or(&view.no_headers));
        let decision = rules.decide(&request);
        let rule = decision.rule();
        let audit = rule.map_or(Audit::Medium, |rule| rules.audit(rule));
        let (allowed, must_record) = match decision {
            Decision::Allow(_) => (true, audit >= Audit::High || rules.audited(&request).is_some()),
            Decision::Deny(_) => (false, true),
        };
        if !must_record {
            return Ok((rule, None));
        }
        let id = decision_id::ulid(self.worker.clock().unix_ms());
        let record = self.record(view, ask, &request, &id, Some(decision), decision.reason().as_str());
        let recorded = self.worker.record(record);
        if allowed {
            if recorded.is_err() && audit >= Audit::Strict {
                return Err(self.refuse(view, pool, Fault::NotRecorded));
            }
            return Ok((rule, Some(id)));
        }
        if view.snapshot.dry_run {
            return Ok((rule, Some(id)));
        }
        let mut refusal = self.refuse(view, pool, Fault::Denied);
        refusal.decision = Some(id);
        Err(refusal)
    }

    /// What decides whether something long that is being granted may stay: for a peer's, the facts; for our own, the
    /// upstream it goes through. `None` for callers from outside, whose requests end with their connection.
    pub(crate) fn subject(&self, view: &View, ask: &Ask<'_>, pool: &Pool) -> Option<Subject> {
        match (&self.role, &pool.destination) {
            (Role::Inbound { port }, _) => Some(Subject::Held(Box::new(Facts {
                principal: self.principal.clone(),
                method: ask.method.to_owned(),
                path: ask.path.to_owned(),
                host: ask.host.to_owned(),
                headers: ask.headers.only(view.snapshot.rules.headers_read(), self.side()),
                source_ip: self.peer_ip,
                port: *port,
                protocol: ask.protocol,
                sni: self.sni.clone(),
            }))),
            (_, Destination::Mesh(upstream)) => {
                Some(Subject::UpstreamTunnel { upstream: pool.name.clone(), id: Rc::from(upstream.id.as_str()) })
            }
            _ => None,
        }
    }

    fn request<'a>(&'a self, ask: &Ask<'a>, port: u16, headers: &'a HeaderMap) -> policy::Request<'a> {
        policy::Request {
            principal: self.principal.as_deref(),
            method: ask.method,
            path: ask.path,
            host: ask.host,
            headers,
            source_ip: Some(self.peer_ip),
            remote_ip: None,
            port,
            protocol: ask.protocol,
            sni: self.sni.as_deref(),
            jwt: None,
        }
    }

    /// The record of a decision; `None` is a refusal before any rule was asked.
    fn record(
        &self,
        view: &View,
        ask: &Ask<'_>,
        request: &policy::Request<'_>,
        id: &str,
        decision: Option<Decision>,
        reason: &str,
    ) -> DecisionRecord {
        let rules = &view.snapshot.rules;
        let allowed = decision.is_some_and(|d| d.is_allowed());
        let rule = decision.and_then(|d| d.rule());
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        DecisionRecord {
            id: id.to_owned(),
            time_ms: i64::try_from(self.worker.clock().unix_ms()).unwrap_or(i64::MAX),
            revision: view.snapshot.revision,
            principal: request.principal.unwrap_or_default().to_owned(),
            method: request.method.to_owned(),
            path: request.path.to_owned(),
            host: request.host.to_owned(),
            port: request.port.into(),
            protocol: match request.protocol {
                policy::Protocol::Http => "http".to_owned(),
                policy::Protocol::Tcp => "tcp".to_owned(),
            },
            source_ip: self.peer_ip.to_string(),
            headers: request
                .headers
                .iter()
                .map(|(name, value)| Header { name: name.as_str().to_owned(), value: text(value.as_bytes()) })
                .collect(),
            allowed,
            reason: reason.to_owned(),
            policy: rule.map(|r| rules.policy_name(r).to_owned()).unwrap_or_default(),
            flow: rule.and_then(|r| rules.flow(r)).unwrap_or_default().to_owned(),
            sni: request.sni.unwrap_or_default().to_owned(),
            request_id: ask.headers.first("x-request-id").map(text).unwrap_or_default(),
            status: if allowed || view.snapshot.dry_run { 0 } else { 403 },
            probe: matches!(self.role, Role::Inbound { .. } | Role::Gateway { .. }) && self.is_probe(ask),
            ..DecisionRecord::default()
        }
    }

    /// A refusal, with the series it is counted under.
    pub(crate) fn refuse(&self, view: &Rc<View>, pool: Option<&Rc<Pool>>, fault: Fault) -> Refusal {
        Refusal { fault, decision: None, series: self.series(view, pool, None, false) }
    }

    /// The series of a destination and rule; found without hashing for the ones a connection uses.
    fn series(&self, view: &Rc<View>, pool: Option<&Rc<Pool>>, rule: Option<RuleRef>, allowed: bool) -> Arc<Series> {
        if self.series_view.replace(view.number) != view.number {
            self.series.borrow_mut().clear();
        }
        let key: SeriesKey = (pool.map_or(0, |p| Rc::as_ptr(p) as usize), rule, allowed);
        if let Some((_, series)) = self.series.borrow().iter().find(|(k, _)| *k == key) {
            return series.clone();
        }
        let series = self.worker.series(self.labels(view, pool, rule, allowed));
        let mut cache = self.series.borrow_mut();
        if cache.len() >= SERIES_CACHED {
            cache.clear();
        }
        cache.push((key, series.clone()));
        series
    }

    fn labels(&self, view: &View, pool: Option<&Rc<Pool>>, rule: Option<RuleRef>, allowed: bool) -> Labels {
        let own = &view.snapshot;
        let here = |port: u16| account::Destination {
            node: own.node.to_string(),
            namespace: own.namespace.to_string(),
            principal: own.id.as_str().to_owned(),
            port,
        };
        let rule_flow = rule.filter(|_| allowed).and_then(|r| own.rules.flow(r));
        let protocol = pool.map_or("http", |p| p.protocol().as_str());
        let (reporter, source, destination, flow) = match (&self.role, pool.map(|p| &p.destination)) {
            (Role::Outbound { .. } | Role::HttpProxy, Some(Destination::Mesh(upstream))) => {
                let destination = account::Destination {
                    node: upstream.node.to_string(),
                    namespace: upstream.namespace.to_string(),
                    principal: upstream.id.as_str().to_owned(),
                    port: upstream.port,
                };
                (Reporter::Source, Some(own.id.as_str()), destination, &*upstream.flow)
            }
            (Role::Outbound { .. } | Role::HttpProxy, _) => {
                (Reporter::Source, Some(own.id.as_str()), account::Destination::default(), "")
            }
            (Role::Inbound { port } | Role::Gateway { port, .. }, _) => {
                (Reporter::Destination, self.principal.as_deref(), here(*port), rule_flow.unwrap_or_default())
            }
        };
        Labels {
            reporter,
            source: source.unwrap_or_default().into(),
            destination: Arc::new(destination),
            flow: flow.into(),
            allowed,
            protocol,
            mutual_tls: !matches!(self.role, Role::Gateway { .. }),
        }
    }
}

/// Whether a gateway listener serves this host; the port in it does not matter.
fn serves_host(listener: &GatewayListener, host: &str) -> bool {
    if listener.hosts.is_empty() {
        return true;
    }
    let name = host_name(host);
    listener.hosts.iter().any(|served| match served.strip_prefix('*') {
        None => served.eq_ignore_ascii_case(name),
        Some(suffix) => {
            let start = name.len().saturating_sub(suffix.len());
            start > 0 && name.get(start..).is_some_and(|end| end.eq_ignore_ascii_case(suffix))
        }
    })
}

/// A host without its port and without a trailing dot.
pub(crate) fn host_name(host: &str) -> &str {
    let name = match host.rfind(':') {
        Some(colon) if !host.ends_with(']') => host.get(..colon).unwrap_or_default(),
        _ => host,
    };
    name.strip_suffix('.').unwrap_or(name)
}
