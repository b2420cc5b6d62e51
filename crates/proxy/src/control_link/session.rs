//! One session with the control plane: a connection, its discovery and report streams, and what they cause. One loop, one
//! owner; long work (signing, probing) runs beside it and comes back as an event.
use std::{
    collections::{BTreeSet, VecDeque},
    io,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use daemon::logs::chain;
use identity::{Bundle, Svid, TlsError};
use model::SpiffeId;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::Sleep,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Status, Streaming};
use tracing::{debug, info, warn};
use wire::{
    discovery::{
        DeltaDiscoveryRequest, DeltaDiscoveryResponse,
        aggregated_discovery_service_client::AggregatedDiscoveryServiceClient,
    },
    v1::{DecisionRecord, Probe, ProbeResult, ReportRequest, ReportResponse, report_client::ReportClient},
};

use super::{
    GOODBYE_TIMEOUT,
    backoff::Backoff,
    credentials::{self, JoinError, options},
    dial::{Connection, DialError, dial, origin},
    kept::{Held, Server},
    probe::{PROBES_AT_ONCE, Prober},
    runner::Runner,
};
use crate::{
    audit_spool::{AuditSpool, Batch, Reader},
    snapshot::Resources,
};

/// Until a stream's response head is there.
const STREAM_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest message from the control plane, bytes: about a hundred thousand policies.
const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The parts of one change come as several responses; the set is compiled when they stop coming for this long.
const QUIET: Duration = Duration::from_millis(10);
/// Time-driven work: renewals, reports, retries.
const TICK: Duration = Duration::from_secs(1);
/// Decisions that are worth a report before its time.
const DECISIONS_SOON: usize = 256;
/// The longest a decision or a probe's result waits for others to share its report with.
const REPORT_SOON: Duration = Duration::from_millis(100);
/// A session that ends sooner has not shown that the next one would be better.
const STABLE: Duration = Duration::from_secs(5);
/// Waits between attempts to get something signed.
const SIGN_RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// Waits before a report stream that ended is opened again.
const REPORT_RETRY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(30));
/// Responses to be answered; the server leaves at most one of each type unanswered.
const QUEUE: usize = 16;
/// Probes that wait for their turn.
const PROBES_WAITING_MAX: usize = 4_096;

/// How a session ends.
pub(super) enum End {
    /// Drain.
    Stopped,
    /// There is a new SVID: connect with it.
    Renewed,
    /// What is in force is not what the server believes: connect again and say so.
    Resync,
    /// The connection, a stream or the server failed.
    Lost { why: String, worked: bool },
}

/// Why a session cannot begin.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    #[error("no connection to the control plane")]
    Dial(#[source] DialError),
    #[error("cannot set up TLS")]
    Tls(#[source] TlsError),
    #[error("the {0} stream was refused")]
    Stream(&'static str, #[source] Box<Status>),
    #[error("no answer on the {0} stream")]
    Timeout(&'static str),
    #[error("there is no identity")]
    NoIdentity,
}

/// What comes back from work beside the loop.
enum Done {
    Svid(Result<(Svid, Bundle), JoinError>),
    Server(u16, Result<Server, JoinError>),
    Probe(ProbeResult),
}

/// The report stream: towards the control plane and back.
struct Reports {
    out: mpsc::Sender<ReportRequest>,
    back: Streaming<ReportResponse>,
}

/// An open session.
pub(super) struct Live {
    connection: Connection,
    requests: mpsc::Sender<DeltaDiscoveryRequest>,
    responses: Streaming<DeltaDiscoveryResponse>,
    reports: Option<Reports>,
    /// Not before this moment.
    reports_at: SystemTime,
    report_retry: Backoff,
    work: JoinSet<Done>,
    /// The durable spool is being read.
    reading: JoinSet<(Reader, io::Result<Batch>)>,
    probes: JoinSet<Done>,
    waiting_probes: VecDeque<Probe>,
    /// Ports whose server certificate is being signed.
    signing: BTreeSet<u16>,
    renewing: bool,
    /// Compile `latest` when this fires.
    quiet: Option<Pin<Box<Sleep>>>,
    /// Send a report when this fires.
    soon: Option<Pin<Box<Sleep>>>,
    /// The last set was refused; it may yet succeed, e.g. once a port is free.
    refused: bool,
    retry_at: SystemTime,
    sign_retry: Backoff,
    worked: bool,
    since: Instant,
    /// A new SVID is held: nothing more is reported here, and the session ends when what was is stored, or at this moment.
    renewed_until: Option<SystemTime>,
}

impl Live {
    /// Connects with the present SVID and opens the discovery stream.
    pub(super) async fn open(runner: &mut Runner) -> Result<Self, OpenError> {
        let held = runner.held.as_ref().ok_or(OpenError::NoIdentity)?;
        let config = identity::client_config(&held.svid, &held.bundle, &held.control, &options(&runner.clock))
            .map_err(OpenError::Tls)?;
        let (connection, _) = dial(&runner.control.address, config, &runner.tasks).await.map_err(OpenError::Dial)?;
        let (requests, queue) = mpsc::channel(QUEUE);
        for request in runner.discovery.open(&runner.instance()) {
            // Six of sixteen.
            let _ = requests.try_send(request);
        }
        let mut client = AggregatedDiscoveryServiceClient::with_origin(connection.clone(), origin())
            .max_decoding_message_size(MESSAGE_BYTES_MAX);
        let opening = client.delta_aggregated_resources(Request::new(ReceiverStream::new(queue)));
        let responses = tokio::time::timeout(STREAM_TIMEOUT, opening)
            .await
            .map_err(|_| OpenError::Timeout("discovery"))?
            .map_err(|status| OpenError::Stream("discovery", Box::new(status)))?
            .into_inner();
        info!(address = runner.control.address, control = %held.control, "connected to the control plane");
        let mut live = Self {
            connection,
            requests,
            responses,
            reports: None,
            reports_at: SystemTime::UNIX_EPOCH,
            report_retry: Backoff::new(REPORT_RETRY.0, REPORT_RETRY.1),
            work: JoinSet::new(),
            reading: JoinSet::new(),
            probes: JoinSet::new(),
            waiting_probes: VecDeque::new(),
            signing: BTreeSet::new(),
            renewing: false,
            quiet: None,
            soon: None,
            refused: false,
            retry_at: SystemTime::UNIX_EPOCH,
            sign_retry: Backoff::new(SIGN_RETRY.0, SIGN_RETRY.1),
            worked: false,
            since: runner.clock.instant(),
            renewed_until: None,
        };
        live.open_reports(runner).await;
        Ok(live)
    }

    /// Opens the report stream, once we can say where peers reach us. Without it the configuration still flows.
    async fn open_reports(&mut self, runner: &mut Runner) {
        if self.reports.is_some() || runner.clock.now() < self.reports_at {
            return;
        }
        let Some(hello) = runner.hello() else { return };
        runner.spool.open(hello);
        // What was sent and not stored is read again.
        runner.audit = runner.proxy.audit().map(AuditSpool::reader);
        self.reading = JoinSet::new();
        let (out, queue) = mpsc::channel(QUEUE);
        if let Some(first) = runner.spool.next() {
            let _ = out.try_send(first);
        }
        let mut client =
            ReportClient::with_origin(self.connection.clone(), origin()).max_decoding_message_size(MESSAGE_BYTES_MAX);
        let opening = client.stream(Request::new(ReceiverStream::new(queue)));
        match tokio::time::timeout(STREAM_TIMEOUT, opening).await {
            Ok(Ok(back)) => {
                self.reports = Some(Reports { out, back: back.into_inner() });
                self.read_audit(runner);
            }
            Ok(Err(status)) => self.on_report_end(runner, status.message()),
            Err(_) => self.on_report_end(runner, "no answer"),
        }
    }

    /// Serves until something ends the session.
    pub(super) async fn serve(&mut self, runner: &mut Runner) -> End {
        let drain = runner.tasks.drain().clone();
        let mut audited = runner.proxy.audit().map(AuditSpool::subscribe);
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let step = tokio::select! {
                () = drain.stopping() => return End::Stopped,
                message = self.responses.message() => match message {
                    Ok(Some(response)) => self.on_response(runner, response),
                    Ok(None) => Err(self.lost("the discovery stream was closed")),
                    Err(status) => Err(self.lost(format!("discovery: {}", status.message()))),
                },
                message = next_report(&mut self.reports) => match message {
                    Ok(Some(response)) => self.on_report(runner, response),
                    Ok(None) => { self.on_report_end(runner, "closed"); Ok(()) }
                    Err(status) => { self.on_report_end(runner, status.message()); Ok(()) }
                },
                () = fires(&mut self.quiet) => { self.quiet = None; self.compile(runner).await }
                () = fires(&mut self.soon) => { self.soon = None; self.report(runner); Ok(()) }
                Some(record) = next_decision(&mut runner.decisions) => {
                    runner.spool.decide(record);
                    self.report_soon(runner);
                    Ok(())
                }
                () = changes(&mut audited) => { self.read_audit(runner); Ok(()) }
                Some(read) = self.reading.join_next() => { self.on_audit(runner, read); Ok(()) }
                Some(done) = self.work.join_next() => self.on_done(runner, done).await,
                Some(done) = self.probes.join_next() => {
                    let step = self.on_done(runner, done).await;
                    self.start_probes(runner);
                    step
                }
                _ = tick.tick() => self.on_tick(runner).await,
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    fn lost(&self, why: impl Into<String>) -> End {
        End::Lost { why: why.into(), worked: self.worked && self.since.elapsed() > STABLE }
    }

    fn on_response(&mut self, runner: &mut Runner, response: DeltaDiscoveryResponse) -> Result<(), End> {
        self.worked = true;
        if let Some(refusal) = runner.discovery.receive(response) {
            let why = refusal.error_detail.as_ref().map(|d| d.message.clone()).unwrap_or_default();
            warn!(why, "response refused");
            return self.answer(vec![refusal]);
        }
        self.quiet.get_or_insert_with(|| Box::pin(tokio::time::sleep(QUIET)));
        Ok(())
    }

    fn answer(&self, requests: Vec<DeltaDiscoveryRequest>) -> Result<(), End> {
        for request in requests {
            self.requests.try_send(request).map_err(|_| self.lost("the discovery stream does not take our answers"))?;
        }
        Ok(())
    }

    /// Compiles `latest` and puts it in force, whole or not at all, once it is whole and has its server certificates.
    async fn compile(&mut self, runner: &mut Runner) -> Result<(), End> {
        if !runner.discovery.is_whole() {
            return Ok(());
        }
        let resources = match runner.discovery.latest().resources() {
            Ok(resources) => resources,
            Err(why) => return self.refuse(runner, &why),
        };
        if self.sign_missing(runner, &resources) {
            return Ok(());
        }
        let Some(mut held) = runner.held.clone() else { return Err(self.lost("there is no identity")) };
        adopt(&mut held, &resources);
        match runner.proxy.apply(&resources, &held.identity()) {
            Ok(revision) => {
                runner.held = Some(held);
                let was_refused = std::mem::take(&mut self.refused);
                let answered = !runner.discovery.is_pending();
                info!(revision, "configuration in force");
                self.answer(runner.discovery.accept())?;
                runner.save();
                if was_refused && answered {
                    // The server has our refusal; only a new stream can tell it otherwise.
                    return Err(End::Resync);
                }
                self.open_reports(runner).await;
                Ok(())
            }
            Err(errors) => {
                let why: Vec<String> = errors.iter().map(ToString::to_string).collect();
                self.refuse(runner, &why.join("; "))
            }
        }
    }

    fn refuse(&mut self, runner: &mut Runner, why: &str) -> Result<(), End> {
        if runner.discovery.is_pending() {
            warn!(why, "configuration refused, keeping the one in force");
        }
        self.refused = true;
        self.retry_at = runner.clock.now() + 5 * TICK;
        self.answer(runner.discovery.refuse(why))
    }

    /// Starts signing what the listeners of `resources` lack; true when the set must wait for it.
    fn sign_missing(&mut self, runner: &Runner, resources: &Resources) -> bool {
        let Some(held) = &runner.held else { return true };
        let now = runner.clock.now();
        let mut waits = false;
        for listener in resources.workload.listeners.iter().filter(|listener| listener.tls == "auto") {
            // A number that is no port is the compiler's to refuse.
            let Ok(port) = u16::try_from(listener.port) else { continue };
            let has = held.servers.get(&port).is_some_and(|s| s.hosts == listener.hosts && s.not_after > now);
            if !has {
                waits = true;
                self.sign_server(runner, port, listener.hosts.clone());
            }
        }
        waits
    }

    fn sign_server(&mut self, runner: &Runner, port: u16, hosts: Vec<String>) {
        if self.signing.insert(port) {
            let (connection, clock) = (self.connection.clone(), runner.clock.clone());
            self.work
                .spawn(async move { Done::Server(port, credentials::server(connection, port, hosts, clock).await) });
        }
    }

    async fn on_done(&mut self, runner: &mut Runner, done: Result<Done, tokio::task::JoinError>) -> Result<(), End> {
        match done {
            Ok(Done::Probe(result)) => {
                runner.spool.probed(result);
                self.report_soon(runner);
                Ok(())
            }
            Ok(Done::Svid(result)) => {
                self.renewing = false;
                self.renewed(runner, result)
            }
            Ok(Done::Server(port, result)) => {
                self.signing.remove(&port);
                self.signed(runner, port, result).await
            }
            Err(error) => Err(self.lost(format!("work beside the session failed: {error}"))),
        }
    }

    fn renewed(&mut self, runner: &mut Runner, result: Result<(Svid, Bundle), JoinError>) -> Result<(), End> {
        let Some(before) = runner.held.clone() else { return Ok(()) };
        match result {
            Ok((svid, bundle)) => {
                info!(id = %svid.id, "SVID renewed");
                self.sign_retry.reset();
                runner.hold(Held { svid: Arc::new(svid), bundle, ..before });
                self.renewed_until = Some(runner.clock.now() + 2 * TICK);
                self.apply_identity(runner);
                return self.handed_over(runner);
            }
            Err(error) => {
                // The old one serves until it expires.
                warn!(error = chain(&error), "SVID not renewed");
                runner.renew_at = runner.clock.now() + self.sign_retry.wait();
            }
        }
        Ok(())
    }

    async fn signed(&mut self, runner: &mut Runner, port: u16, result: Result<Server, JoinError>) -> Result<(), End> {
        match result {
            Ok(server) => {
                info!(port, "server certificate signed");
                self.sign_retry.reset();
                if let Some(held) = &mut runner.held {
                    held.servers.insert(port, server);
                }
                runner.save();
                if runner.discovery.differs() {
                    return self.compile(runner).await;
                }
                self.apply_identity(runner);
                Ok(())
            }
            Err(error) => {
                let why = format!("no server certificate for port {port}: {}", chain(&error));
                if runner.discovery.differs() {
                    return self.refuse(runner, &why);
                }
                warn!(why, "server certificate not renewed");
                self.retry_at = runner.clock.now() + self.sign_retry.wait();
                Ok(())
            }
        }
    }

    /// The same configuration with a new SVID or server certificate.
    fn apply_identity(&self, runner: &Runner) {
        let (Some(held), Ok(resources)) = (&runner.held, runner.discovery.applied().resources()) else { return };
        if let Err(errors) = runner.proxy.apply(&resources, &held.identity()) {
            let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
            warn!(errors = errors.join("; "), "new certificates refused by the data path");
        }
    }

    async fn on_tick(&mut self, runner: &mut Runner) -> Result<(), End> {
        let now = runner.clock.now();
        if runner.unsaved {
            runner.save();
        }
        let due = now >= runner.renew_at && !self.renewing && self.renewed_until.is_none();
        if let Some(held) = runner.held.as_ref().filter(|_| due) {
            self.renewing = true;
            let (connection, id, clock) = (self.connection.clone(), held.svid.id.clone(), runner.clock.clone());
            self.work.spawn(async move { Done::Svid(credentials::renew(connection, id, clock).await) });
        }
        self.renew_servers(runner, now);
        if self.refused && now >= self.retry_at && runner.discovery.differs() {
            self.compile(runner).await?;
        }
        self.open_reports(runner).await;
        self.read_audit(runner);
        self.report(runner);
        self.handed_over(runner)
    }

    /// With a new SVID held, the session ends once everything it has sent is stored.
    fn handed_over(&self, runner: &Runner) -> Result<(), End> {
        match self.renewed_until {
            Some(until) if runner.spool.is_acknowledged() || runner.clock.now() >= until => Err(End::Renewed),
            _ => Ok(()),
        }
    }

    fn renew_servers(&mut self, runner: &Runner, now: SystemTime) {
        if now < self.retry_at {
            return;
        }
        let (Some(held), Ok(resources)) = (&runner.held, runner.discovery.applied().resources()) else { return };
        for listener in resources.workload.listeners.iter().filter(|listener| listener.tls == "auto") {
            let Ok(port) = u16::try_from(listener.port) else { continue };
            let due = held.servers.get(&port).is_some_and(|server| {
                let life = server.not_after.duration_since(server.issued).unwrap_or_default();
                now >= server.issued + life / 2
            });
            if due {
                self.sign_server(runner, port, listener.hosts.clone());
            }
        }
    }

    fn report_soon(&mut self, runner: &mut Runner) {
        if runner.spool.waiting_decisions() >= DECISIONS_SOON {
            self.report(runner);
        } else {
            self.soon.get_or_insert_with(|| Box::pin(tokio::time::sleep(REPORT_SOON)));
        }
    }

    /// Sends what there is to report, as far as the window allows.
    fn report(&mut self, runner: &mut Runner) {
        // What is under way when the session is handed over would be sent, and counted, twice.
        let Some(reports) = self.reports.as_ref().filter(|_| self.renewed_until.is_none()) else { return };
        runner.collect();
        while reports.out.capacity() > 0
            && let Some(message) = runner.spool.next()
        {
            // A closed stream shows in its other half; the message stays in the spool until it is acknowledged.
            let _ = reports.out.try_send(message);
        }
    }

    /// Reads on in the durable spool, beside the loop: its disk may be slow.
    fn read_audit(&mut self, runner: &mut Runner) {
        if self.reports.is_none() || self.renewed_until.is_some() || !runner.spool.wants_audited() {
            return;
        }
        if let Some(mut reader) = runner.audit.take_if(|reader| reader.has_more()) {
            self.reading.spawn_blocking(move || {
                let batch = reader.read();
                (reader, batch)
            });
        }
    }

    fn on_audit(&mut self, runner: &mut Runner, read: Result<(Reader, io::Result<Batch>), tokio::task::JoinError>) {
        match read {
            Ok((reader, Ok(batch))) => {
                runner.audit = Some(reader);
                if batch.is_empty() {
                    self.read_audit(runner);
                } else {
                    runner.spool.audit(batch);
                    self.report_soon(runner);
                }
            }
            // Nothing is skipped: the next tick reads it again.
            Ok((reader, Err(error))) => {
                warn!(%error, "the audit spool cannot be read");
                runner.audit = Some(reader);
            }
            Err(error) => {
                warn!(%error, "reading the audit spool failed");
                runner.audit = runner.proxy.audit().map(AuditSpool::reader);
            }
        }
    }

    fn on_report(&mut self, runner: &mut Runner, response: ReportResponse) -> Result<(), End> {
        self.worked = true;
        if response.acked > 1 {
            // Beyond the greeting: something was stored.
            self.report_retry.reset();
        }
        runner.acknowledge(response.acked);
        self.read_audit(runner);
        self.handed_over(runner)?;
        if !response.nonces.is_empty() {
            let now = runner.clock.unix_ms();
            let announced: Vec<(String, u64)> = response
                .nonces
                .into_iter()
                .map(|nonce| (nonce.nonce, now.saturating_add(u64::from(nonce.ttl) * 1_000)))
                .collect();
            runner.proxy.nonces().announce(announced.iter().cloned(), now);
            // Said only after it is true.
            runner.spool.holds(announced.into_iter().map(|(nonce, _)| nonce));
            self.report(runner);
        }
        for probe in response.probes {
            if self.waiting_probes.len() < PROBES_WAITING_MAX {
                self.waiting_probes.push_back(probe);
            } else {
                debug!(id = probe.id, "probe dropped, too many are waiting");
                runner.spool.lost(1);
            }
        }
        self.start_probes(runner);
        Ok(())
    }

    /// A report stream that ends does not take the configuration with it: it is opened again, and what was not stored is
    /// sent again.
    fn on_report_end(&mut self, runner: &Runner, why: &str) {
        warn!(why, "report stream lost, trying again");
        self.reports = None;
        self.reports_at = runner.clock.now() + self.report_retry.wait();
    }

    fn start_probes(&mut self, runner: &Runner) {
        let Some(held) = &runner.held else { return };
        while self.probes.len() < PROBES_AT_ONCE
            && let Some(probe) = self.waiting_probes.pop_front()
        {
            let prober = Prober::new(held.svid.clone(), held.bundle.clone(), runner.clock.clone());
            self.probes.spawn(async move { Done::Probe(prober.run(probe).await) });
        }
    }

    /// The last report; then both streams are closed cleanly, which the control plane takes for a goodbye.
    pub(super) async fn say_goodbye(&mut self, runner: &mut Runner) {
        // There will be no next session to leave reports to.
        self.renewed_until = None;
        let farewell = async {
            // The drain has ended every request: what is not on disk now is not coming.
            if runner.audit.is_none() {
                runner.audit = runner.proxy.audit().map(AuditSpool::reader);
            }
            loop {
                take_audited(runner);
                self.report(runner);
                if self.reports.is_none() || runner.spool.is_settled() {
                    break;
                }
                match next_report(&mut self.reports).await {
                    Ok(Some(response)) => runner.acknowledge(response.acked),
                    _ => break,
                }
            }
            if let Some(Reports { out, mut back }) = self.reports.take() {
                drop(out);
                // Its end is the sign that our own has arrived.
                while let Ok(Some(_)) = back.message().await {}
            }
        };
        if tokio::time::timeout(GOODBYE_TIMEOUT, farewell).await.is_err() {
            warn!("the control plane did not take our last report in time");
        }
    }
}

/// What the configuration says about whom we trust: the roots of our own domain, and who the control plane is.
fn adopt(held: &mut Held, resources: &Resources) {
    let own = held.bundle.trust_domain.clone();
    if let Some(bundle) = resources.bundles.iter().find(|bundle| bundle.trust_domain == own.as_str()) {
        let roots = bundle.roots.iter().map(|root| root.clone().into()).collect();
        // One that cannot be used is refused by the compiler, with its reason.
        if let Ok(bundle) = Bundle::from_der(own.clone(), roots) {
            held.bundle = bundle;
        }
    }
    let namespace = &resources.workload.root_namespace;
    let control = format!("spiffe://{own}/ns/{namespace}/sa/{}", identity::CONTROL_PLANE_ACCOUNT);
    if !namespace.is_empty()
        && let Ok(control) = SpiffeId::try_from(control)
    {
        held.control = control;
    }
}

/// Reads on in the durable spool while there is nothing else to do.
fn take_audited(runner: &mut Runner) {
    while runner.spool.wants_audited()
        && let Some(reader) = runner.audit.as_mut().filter(|reader| reader.has_more())
    {
        match reader.read() {
            Ok(batch) if batch.is_empty() => {}
            Ok(batch) => runner.spool.audit(batch),
            // The next run will read it.
            Err(error) => {
                warn!(%error, "the audit spool cannot be read");
                runner.audit = None;
            }
        }
    }
}

async fn changes(audited: &mut Option<watch::Receiver<u64>>) {
    let changed = match audited {
        Some(audited) => audited.changed().await.is_ok(),
        None => false,
    };
    if !changed {
        std::future::pending().await
    }
}

async fn next_report(reports: &mut Option<Reports>) -> Result<Option<ReportResponse>, Status> {
    match reports {
        Some(reports) => reports.back.message().await,
        None => std::future::pending().await,
    }
}

async fn next_decision(decisions: &mut Option<mpsc::Receiver<DecisionRecord>>) -> Option<DecisionRecord> {
    match decisions {
        Some(decisions) => decisions.recv().await,
        None => None,
    }
}

async fn fires(sleep: &mut Option<Pin<Box<Sleep>>>) {
    match sleep {
        Some(sleep) => sleep.as_mut().await,
        None => std::future::pending().await,
    }
}
