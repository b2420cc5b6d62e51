//! A downstream connection: who it is, and for each request where it may go. HTTP/1.1, HTTP/2 and tunnels ask here;
//! identity and destination are resolved once per connection.
use std::{
    cell::{Cell, RefCell},
    net::IpAddr,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use http::HeaderMap;
use model::Audit;
use policy::{Decision, Reason, RuleRef};
use serde_json::Value;
use wire::v1::{DecisionRecord, Header};

use crate::{
    account::{self, Labels, Outcome, Reporter, Series},
    ask::{Ask, Facts, Headers},
    audit_spool::{Commit, context},
    decision_id,
    fault::Fault,
    headers::Side,
    pool::{Destination, Pool},
    snapshot::{GatewayListener, Protocol},
    tally,
    tokens::Passport,
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
    /// Our own end of the connection.
    pub(crate) local_ip: Option<IpAddr>,
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

/// A request may go there.
pub(crate) struct Grant {
    pub(crate) pool: Rc<Pool>,
    pub(crate) series: Arc<Series>,
    pub(crate) timeout: Duration,
    /// The path after a rewrite.
    pub(crate) path: Option<String>,
    /// What the token came to; absent where no token is asked about.
    pub(crate) passport: Option<Box<Passport>>,
    /// A live probe: answered here, not by the application.
    pub(crate) probe: bool,
    pub(crate) decision: Option<String>,
    /// Nothing may be forwarded before this is kept: [`Session::keep`].
    pub(crate) commit: Option<Commit>,
    /// The decision is in the durable spool, and so will be what becomes of the request.
    pub(crate) is_audited: bool,
}

/// A decision that was recorded.
struct Recorded {
    id: String,
    /// Not on disk yet, and it must be.
    commit: Option<Commit>,
}

/// A request may not go anywhere.
pub(crate) struct Refusal {
    pub(crate) fault: Fault,
    pub(crate) decision: Option<String>,
    pub(crate) series: Arc<Series>,
}

impl Session {
    pub(crate) fn new(worker: Rc<Worker>, role: Role, peer_ip: IpAddr, local_ip: Option<IpAddr>) -> Self {
        Self {
            worker,
            role,
            peer_ip,
            local_ip,
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
        let passport = self.authenticate(view, ask, port, Some(pool))?;
        let (rule, decision) = self.decide(view, ask, port, Some(pool), passport.as_deref())?;
        self.check_protocol(pool, ask).map_err(|fault| self.refuse(view, Some(pool), fault))?;
        let series = self.series(view, Some(pool), rule, true);
        let grant = self.grant(pool, series, decision);
        Ok(Grant { passport, ..grant })
    }

    fn gateway(&self, view: &Rc<View>, ask: &Ask<'_>, port: u16) -> Result<Grant, Refusal> {
        let Some(listener) = view.snapshot.listeners.iter().find(|l| l.port == port) else {
            return Err(self.refuse(view, None, Fault::NotReady));
        };
        if !serves_host(listener, ask.host) {
            return Err(self.refuse(view, None, Fault::Misdirected));
        }
        let passport = self.authenticate(view, ask, port, None)?;
        let (rule, decision) = self.decide(view, ask, port, None, passport.as_deref())?;
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
        grant.passport = passport;
        Ok(grant)
    }

    /// The peer's identity has ended: it must come again with a new one.
    fn expired(&self, view: &Rc<View>, ask: &Ask<'_>, port: u16, pool: &Rc<Pool>) -> Refusal {
        let request = self.request(view, ask, port, &view.no_headers, None);
        let id = decision_id::ulid(self.worker.clock().unix_ms());
        let record = self.record(view, ask, &request, &id, None, Fault::Expired.code());
        self.tally(view, ask, false, Fault::Expired.code());
        self.record_refusal(view, ask, record);
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

    fn grant(&self, pool: &Rc<Pool>, series: Arc<Series>, recorded: Option<Recorded>) -> Grant {
        let timeout = match &pool.destination {
            Destination::Mesh(upstream) => upstream.timeout,
            Destination::App(service) if service.protocol == Protocol::Grpc => self.worker.limits().tunnel_idle_timeout,
            Destination::App(_) => self.worker.limits().request_timeout,
        };
        let (decision, commit) = recorded.map_or((None, None), |recorded| (Some(recorded.id), recorded.commit));
        let is_audited = commit.is_some();
        let pool = pool.clone();
        Grant { pool, series, timeout, path: None, passport: None, probe: false, decision, commit, is_audited }
    }

    /// Asks the rules. A denial is always recorded; an allowance when the flow's audit level asks for it.
    fn decide(
        &self,
        view: &Rc<View>,
        ask: &Ask<'_>,
        port: u16,
        pool: Option<&Rc<Pool>>,
        passport: Option<&Passport>,
    ) -> Result<(Option<RuleRef>, Option<Recorded>), Refusal> {
        if let Some(id) = passport.and_then(|passport| passport.let_through.clone()) {
            return Ok((None, Some(Recorded { id, commit: None })));
        }
        let rules = &view.snapshot.rules;
        let read = rules.headers_read();
        // A map is built only for the few headers that policies read; mostly none.
        let seen = passport.map_or(ask.headers, |passport| passport.headers(ask.headers));
        let headers = if read.is_empty() { None } else { Some(seen.only(read, self.side(), ask.nominated)) };
        let headers = headers.as_ref().unwrap_or(&view.no_headers);
        let request = self.request(view, ask, port, headers, passport.and_then(Passport::claims));
        let decision = rules.decide(&request);
        let rule = decision.rule();
        let audit = rule.map_or(Audit::Medium, |rule| rules.audit(rule));
        // What must be on disk first is counted when it is, or is not.
        if !decision.is_allowed() || audit < Audit::Strict {
            self.tally(view, ask, decision.is_allowed(), decision.reason().as_str());
        }
        let (allowed, must_record) = match decision {
            Decision::Allow(_) => (true, audit >= Audit::High || rules.audited(&request).is_some()),
            Decision::Deny(_) => (false, true),
        };
        if !must_record {
            return Ok((rule, None));
        }
        let id = decision_id::ulid(self.worker.clock().unix_ms());
        let record = self.record(view, ask, &request, &id, Some(decision), decision.reason().as_str());
        if allowed {
            let commit = if audit >= Audit::Strict {
                Some(self.require(view, ask, audit, record))
            } else {
                // The level does not ask for more; what is dropped is counted.
                let _ = self.worker.record(record);
                None
            };
            return Ok((rule, Some(Recorded { id, commit })));
        }
        self.record_refusal(view, ask, record);
        if view.snapshot.dry_run {
            return Ok((rule, Some(Recorded { id, commit: None })));
        }
        let mut refusal = self.refuse(view, pool, Fault::Denied);
        refusal.decision = Some(id);
        Err(refusal)
    }

    /// The record of a strict or critical flow: in full, and to be waited for.
    fn require(&self, view: &View, ask: &Ask<'_>, level: Audit, mut record: DecisionRecord) -> Commit {
        record.context = context(view, ask);
        record.audit = if level == Audit::Critical { "critical" } else { "strict" }.to_owned();
        self.worker.audit().map_or_else(Commit::never, |audit| audit.require(&record))
    }

    /// A refusal needs no record to stand. Where strict and critical flows are, it is kept as they are if there is a place.
    pub(crate) fn record_refusal(&self, view: &View, ask: &Ask<'_>, mut record: DecisionRecord) {
        if view.snapshot.audits_strictly {
            record.context = context(view, ask);
            if self.worker.audit().is_some_and(|audit| audit.want(&record)) {
                return;
            }
        }
        // What is dropped is counted.
        let _ = self.worker.record(record);
    }

    /// No record, no request: waits until the decision of a strict or critical flow is on disk. Must be asked before
    /// anything of a granted request is forwarded; takes no time for other flows.
    pub(crate) async fn keep(&self, mut grant: Grant, view: &Rc<View>) -> Result<Grant, Refusal> {
        let Some(commit) = grant.commit.take() else { return Ok(grant) };
        let kept = match self.worker.audit() {
            Some(audit) => audit.is_kept(commit).await,
            None => false,
        };
        if !grant.probe {
            let (outcome, reason) = match kept {
                true => (tally::Outcome::Allow, Reason::Allowed.as_str()),
                false => (tally::Outcome::Deny, Fault::NotRecorded.code()),
            };
            self.worker.tally().count(outcome, reason);
        }
        if kept {
            return Ok(grant);
        }
        // The record may reach the disk yet, and say that the request was let through: what became of it says more.
        if let Some(decision) = &grant.decision {
            let (status, flag) = (Fault::NotRecorded.status(), Fault::NotRecorded.flag());
            let outcome = Outcome { status, flag, duration: Duration::ZERO, bytes_in: 0, bytes_out: 0 };
            self.worker.audit_outcome(decision, &outcome);
        }
        let refusal = self.refuse(view, Some(&grant.pool), Fault::NotRecorded);
        let series = if grant.probe { grant.series } else { refusal.series };
        Err(Refusal { decision: grant.decision, series, ..refusal })
    }

    /// What decides whether something long that is being granted may stay: for a peer's, the facts; for our own, the
    /// upstream it goes through. `None` for callers from outside, whose requests end with their connection.
    pub(crate) fn subject(&self, view: &View, ask: &Ask<'_>, grant: &Grant) -> Option<Subject> {
        let (pool, passport) = (&grant.pool, grant.passport.as_deref());
        let seen = passport.map_or(ask.headers, |passport| passport.headers(ask.headers));
        match (&self.role, &pool.destination) {
            (Role::Inbound { port }, _) => Some(Subject::Held(Box::new(Facts {
                principal: self.principal.clone(),
                method: ask.method.to_owned(),
                path: ask.path.to_owned(),
                host: ask.host.to_owned(),
                headers: seen.only(view.snapshot.rules.headers_read(), self.side(), ask.nominated),
                source_ip: self.peer_ip,
                remote_ip: self.remote_ip(view, ask.headers),
                destination_ip: self.local_ip,
                port: *port,
                protocol: ask.protocol,
                sni: self.sni.clone(),
                claims: passport.and_then(Passport::kept),
            }))),
            (_, Destination::Mesh(upstream)) => {
                Some(Subject::UpstreamTunnel { upstream: pool.name.clone(), id: Rc::from(upstream.id.as_str()) })
            }
            _ => None,
        }
    }

    /// Address of the original caller. Only a gateway of the model is believed about it, as it writes the header anew:
    /// anybody else could name any address (CVE-2024-45806). A gateway that names none leaves it unknown, which satisfies
    /// no ALLOW and every DENY.
    fn remote_ip(&self, view: &View, headers: Headers<'_>) -> Option<IpAddr> {
        let gateways = &view.snapshot.gateways;
        match (&self.role, &self.principal) {
            (Role::Inbound { .. }, Some(peer)) if gateways.contains(&**peer) => {
                let list = std::str::from_utf8(headers.last("x-forwarded-for")?).ok()?;
                list.rsplit(',').next()?.trim().parse().ok()
            }
            _ => Some(self.peer_ip),
        }
    }

    pub(crate) fn request<'a>(
        &'a self,
        view: &View,
        ask: &Ask<'a>,
        port: u16,
        headers: &'a HeaderMap,
        claims: Option<&'a Value>,
    ) -> policy::Request<'a> {
        policy::Request {
            principal: self.principal.as_deref(),
            method: ask.method,
            path: ask.path,
            host: ask.host,
            headers,
            source_ip: Some(self.peer_ip),
            remote_ip: self.remote_ip(view, ask.headers),
            destination_ip: self.local_ip,
            port,
            protocol: ask.protocol,
            sni: self.sni.as_deref(),
            jwt: claims,
        }
    }

    /// When the right to something long ends that a token gave.
    pub(crate) fn ends(&self, grant: &Grant) -> Option<Instant> {
        let until = grant.passport.as_ref()?.until()?;
        let left = until.duration_since(self.worker.clock().now()).unwrap_or_default();
        daemon::instant().checked_add(left)
    }

    /// Counts a decision. What Ward does to test itself is nobody's traffic.
    pub(crate) fn tally(&self, view: &View, ask: &Ask<'_>, allowed: bool, reason: &str) {
        let outcome = match (allowed, view.snapshot.dry_run) {
            (true, _) => tally::Outcome::Allow,
            (false, true) => tally::Outcome::DryRun,
            (false, false) => tally::Outcome::Deny,
        };
        if !self.is_probe(ask) {
            self.worker.tally().count(outcome, reason);
        }
    }

    /// The record of a decision; `None` is a refusal before any rule was asked.
    pub(crate) fn record(
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
                .map(|(name, value)| {
                    // That there is one decides; what it is, nobody may read later.
                    let hidden = view.snapshot.tokens.are_in(name.as_str())
                        || context::is_credential(name.as_str(), value.as_bytes());
                    let value = if hidden { &[] } else { value.as_bytes() };
                    Header { name: name.as_str().to_owned(), value: text(value) }
                })
                .collect(),
            allowed,
            reason: reason.to_owned(),
            policy: rule.map(|r| rules.policy_name(r).to_owned()).unwrap_or_default(),
            flow: rule.and_then(|r| rules.flow(r)).unwrap_or_default().to_owned(),
            sni: request.sni.unwrap_or_default().to_owned(),
            request_id: ask.headers.first("x-request-id").map(text).unwrap_or_default(),
            status: if allowed || view.snapshot.dry_run { 0 } else { 403 },
            probe: matches!(self.role, Role::Inbound { .. } | Role::Gateway { .. }) && self.is_probe(ask),
            remote_ip: request.remote_ip.map(|ip| ip.to_string()).unwrap_or_default(),
            destination_ip: request.destination_ip.map(|ip| ip.to_string()).unwrap_or_default(),
            claims: request.jwt.map(|claims| view.snapshot.tokens.recorded(claims)).unwrap_or_default(),
            token_issuer: request.jwt.and_then(|claims| claims.get("iss")?.as_str()).unwrap_or_default().to_owned(),
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

/// Every header but credentials.
fn context(view: &View, ask: &Ask<'_>) -> Vec<Header> {
    let mut headers = context::full(ask.headers);
    headers.retain(|header| !view.snapshot.tokens.are_in(&header.name));
    headers
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
