//! The report service: what proxies tell is stored before it is acknowledged, and probes go the other way. A stream that
//! ends cleanly is an instance that says goodbye.
use std::{sync::Arc, time::SystemTime};

use model::SpiffeId;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};
use tracing::{debug, info, warn};
use wire::v1::{DecisionRecord, FlowCount, Hello, Outcome, ReportRequest, ReportResponse, report_server::Report};

use crate::{
    identity_service::store_failed,
    listen::{Peer, identified},
    plane::{Plane, now_ms},
    registry::is_instance_of,
    store::{DecisionRow, Facts, FlowCountRow, InstanceRow, OutcomeRow},
};

/// Messages on their way to one proxy.
const QUEUE: usize = 64;
/// How long a proxy may leave its queue full before its stream is ended.
const SEND_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);
/// Counts and decisions of one message.
const RECORDS_MAX: usize = 10_000;
/// An increment above this is held there: no honest proxy counts so much between two reports.
const INCREMENT_MAX: u64 = 1 << 40;
/// Longest text of a decision record's field.
const TEXT_BYTES_MAX: usize = 8 * 1024;
/// Claims of a decision record.
const CLAIMS_BYTES_MAX: usize = 16_384;
/// Headers of a decision record, and of its context: as many as a proxy takes, and one that says how many were left out.
const HEADERS_MAX: usize = 129;

/// The report service.
pub struct ReportService {
    /// The control plane.
    pub plane: Arc<Plane>,
}

#[tonic::async_trait]
impl Report for ReportService {
    type StreamStream = ReceiverStream<Result<ReportResponse, Status>>;

    async fn stream(&self, request: Request<Streaming<ReportRequest>>) -> Result<Response<Self::StreamStream>, Status> {
        let (id, peer) = identified(&request)?;
        let current = self.plane.current().ok_or_else(|| Status::failed_precondition("there is no model yet"))?;
        let node = current.node_of(&id).map(|(name, _)| name.to_string()).ok_or_else(|| {
            warn!(%id, "report refused: not a node under Ward");
            Status::permission_denied(format!("`{id}` is not a node under Ward in the model that is in force"))
        })?;
        let (tx, rx) = mpsc::channel(QUEUE);
        let (answers, outbound) = mpsc::channel(QUEUE);
        let plane = self.plane.clone();
        let inbound = request.into_inner();
        self.plane.tasks.spawn(async move {
            let mut stream = Stream { plane: &plane, id: &id, peer: &peer, node: &node, tx: &tx, joined: None };
            let ended = stream.serve(inbound, answers, outbound).await;
            stream.end(&ended).await;
            if let Err(status) = ended {
                debug!(%id, %status, "report stream ended");
                let _ = tx.try_send(Err(status));
            }
        });
        Ok(Response::new(ReceiverStream::new(rx)))
    }
}

/// How a stream ended, when it did not fail.
enum End {
    /// The proxy closed it: it drains.
    Goodbye,
    /// We stop; the proxy goes on and will find us again.
    Ours,
}

struct Stream<'a> {
    plane: &'a Plane,
    id: &'a SpiffeId,
    peer: &'a Peer,
    node: &'a str,
    tx: &'a mpsc::Sender<Result<ReportResponse, Status>>,
    joined: Option<(String, u64)>,
}

impl Stream<'_> {
    async fn serve(
        &mut self,
        mut inbound: Streaming<ReportRequest>,
        answers: mpsc::Sender<ReportResponse>,
        mut outbound: mpsc::Receiver<ReportResponse>,
    ) -> Result<End, Status> {
        let mut answers = Some(answers);
        loop {
            tokio::select! {
                message = inbound.message() => match message? {
                    Some(request) => self.on_request(request, &mut answers).await?,
                    None => return Ok(End::Goodbye),
                },
                Some(response) = outbound.recv() => self.send(response).await?,
                () = self.plane.tasks.drain().stopping() => return Ok(End::Ours),
            }
        }
    }

    async fn on_request(
        &mut self,
        request: ReportRequest,
        answers: &mut Option<mpsc::Sender<ReportResponse>>,
    ) -> Result<(), Status> {
        match (request.hello, answers.take()) {
            (Some(hello), Some(answers)) => self.hello(hello, answers).await?,
            (None, Some(_)) => {
                return Err(Status::invalid_argument("the first message of a report stream must say hello"));
            }
            (Some(_), None) => return Err(Status::invalid_argument("a report stream says hello only once")),
            (None, None) => {}
        }
        let Some((instance, _)) = &self.joined else { return Err(Status::internal("no hello")) };
        if request.dropped > 0 {
            warn!(instance, dropped = request.dropped, "the proxy dropped records because its queue was full");
        }
        if request.counts.len() + request.decisions.len() + request.outcomes.len() > RECORDS_MAX {
            return Err(Status::invalid_argument(format!("a report carries at most {RECORDS_MAX} records")));
        }
        for nonce in &request.nonces_held {
            self.plane.verifier.held(instance, nonce);
        }
        for result in request.probes {
            self.plane.verifier.result(instance, result);
        }
        if !request.counts.is_empty() || !request.decisions.is_empty() || !request.outcomes.is_empty() {
            let told = request.decisions.len();
            let facts = Facts {
                counts: request.counts.into_iter().filter_map(|c| count(self.node, c)).collect(),
                decisions: request.decisions.into_iter().filter_map(|d| decision(self.node, instance, d)).collect(),
                outcomes: request.outcomes.into_iter().map(outcome).collect(),
                instance: instance.clone(),
            };
            if facts.decisions.len() < told {
                let left_out = told - facts.decisions.len();
                warn!(instance, left_out, "decisions that are not well-formed were left out");
            }
            // Not acknowledged unless stored: the proxy keeps what it could not hand over.
            let stored = self.plane.store.put_facts(&facts, now_ms(&self.plane.clock)).await;
            stored.map_err(|e| store_failed(&e))?;
        }
        self.send(ReportResponse { acked: request.sequence, probes: Vec::new(), nonces: Vec::new() }).await
    }

    async fn hello(&mut self, hello: Hello, answers: mpsc::Sender<ReportResponse>) -> Result<(), Status> {
        if !is_instance_of(&hello.instance, self.node) {
            warn!(id = %self.id, claimed = hello.instance, "hello refused: the certificate is another node's");
            return Err(Status::permission_denied(format!(
                "a peer with the identity `{}` cannot be instance `{}`: use `{}/<name>`",
                self.id, hello.instance, self.node
            )));
        }
        if !hello.mesh_address.is_empty() && hello.mesh_address.parse::<std::net::SocketAddr>().is_err() {
            return Err(Status::invalid_argument(format!("`{}` is not an `ip:port`", hello.mesh_address)));
        }
        if !matches!(hello.isolation.as_str(), "netns" | "loopback" | "host") {
            return Err(Status::invalid_argument(format!(
                "isolation `{}` is not netns, loopback or host",
                hello.isolation
            )));
        }
        let not_after = self.peer.not_after.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let row = InstanceRow {
            instance: hello.instance,
            node: self.node.to_owned(),
            mesh_address: hello.mesh_address,
            isolation: hello.isolation,
            version: text(hello.version, 64),
            serving: true,
            hello_ms: now_ms(&self.plane.clock),
            acked: 0,
            nack: String::new(),
            svid_not_after: i64::try_from(not_after).unwrap_or(i64::MAX),
        };
        let (generation, row, displaced) = self
            .plane
            .registry
            .join(row, answers)
            .ok_or_else(|| Status::resource_exhausted(format!("`{}` has too many instances", self.node)))?;
        self.joined = Some((row.instance.clone(), generation));
        self.plane.store.put_instance(&row).await.map_err(|e| store_failed(&e))?;
        for other in displaced {
            self.plane.forget_endpoint(&other).await;
        }
        info!(instance = row.instance, address = row.mesh_address, isolation = row.isolation, "instance connected");
        self.plane.endpoints_moved();
        Ok(())
    }

    async fn end(&mut self, ended: &Result<End, Status>) {
        let Some((instance, generation)) = self.joined.take() else { return };
        if matches!(ended, Ok(End::Ours)) {
            return;
        }
        let goodbye = matches!(ended, Ok(End::Goodbye));
        let now = self.plane.clock.unix_ms();
        if self.plane.registry.leave(&instance, generation, goodbye, now) {
            info!(instance, "instance said goodbye");
            self.plane.endpoints_moved();
            self.plane.forget_endpoint(&instance).await;
        } else if !goodbye {
            info!(instance, "instance lost, callers are sent to it a little longer");
        }
    }

    async fn send(&self, response: ReportResponse) -> Result<(), Status> {
        match self.tx.send_timeout(Ok(response), SEND_TIMEOUT).await {
            Ok(()) => Ok(()),
            Err(mpsc::error::SendTimeoutError::Timeout(_)) => {
                Err(Status::deadline_exceeded("the proxy does not read its report stream"))
            }
            Err(mpsc::error::SendTimeoutError::Closed(_)) => Err(Status::cancelled("the proxy went away")),
        }
    }
}

fn count(node: &str, count: FlowCount) -> Option<FlowCountRow> {
    // A proxy that has seen too many peers counts the rest as `other`: nobody in particular.
    let known = SpiffeId::try_from(count.source.clone()).is_ok();
    Some(FlowCountRow {
        node: node.to_owned(),
        source: if known { count.source } else { String::new() },
        flow: text(count.flow, 63),
        port: u16::try_from(count.port).ok()?,
        allowed: count.allowed,
        protocol: text(count.protocol, 16),
        requests: count.requests.min(INCREMENT_MAX),
        errors: count.errors.min(INCREMENT_MAX),
        bytes_in: count.bytes_in.min(INCREMENT_MAX),
        bytes_out: count.bytes_out.min(INCREMENT_MAX),
        duration_us: count.duration_us.min(INCREMENT_MAX),
        last_seen_ms: 0,
        last_minute: 0,
    })
}

fn decision(node: &str, instance: &str, record: DecisionRecord) -> Option<DecisionRow> {
    let well_formed = (1..=64).contains(&record.id.len()) && record.id.bytes().all(|b| b.is_ascii_alphanumeric());
    if !well_formed {
        return None;
    }
    Some(DecisionRow {
        id: record.id,
        node: node.to_owned(),
        instance: instance.to_owned(),
        time_ms: record.time_ms,
        revision: record.revision,
        principal: text(record.principal, TEXT_BYTES_MAX),
        method: text(record.method, 64),
        path: text(record.path, TEXT_BYTES_MAX),
        host: text(record.host, TEXT_BYTES_MAX),
        port: u16::try_from(record.port).ok()?,
        protocol: text(record.protocol, 16),
        source_ip: text(record.source_ip, 64),
        headers: headers(record.headers),
        allowed: record.allowed,
        reason: text(record.reason, 64),
        policy: text(record.policy, 512),
        flow: text(record.flow, 63),
        sni: text(record.sni, 512),
        request_id: text(record.request_id, 256),
        status: u16::try_from(record.status).unwrap_or_default(),
        probe: record.probe,
        claims: claims(record.claims),
        token_issuer: text(record.token_issuer, TEXT_BYTES_MAX),
        remote_ip: text(record.remote_ip, 64),
        destination_ip: text(record.destination_ip, 64),
        audit: if matches!(record.audit.as_str(), "strict" | "critical") { record.audit } else { String::new() },
        context: headers(record.context),
        outcome: None,
    })
}

fn outcome(outcome: Outcome) -> (String, OutcomeRow) {
    let row = OutcomeRow {
        status: u16::try_from(outcome.status).unwrap_or_default(),
        flag: text(outcome.flag, 16),
        bytes_in: outcome.bytes_in,
        bytes_out: outcome.bytes_out,
        duration_us: outcome.duration_us,
    };
    (outcome.decision, row)
}

fn headers(headers: Vec<wire::v1::Header>) -> Vec<(String, String)> {
    let pair = |header: wire::v1::Header| (text(header.name, 256), text(header.value, TEXT_BYTES_MAX));
    headers.into_iter().take(HEADERS_MAX).map(pair).collect()
}

/// Claims are kept whole or not at all: half of them would be other claims.
fn claims(json: String) -> String {
    let whole = json.len() <= CLAIMS_BYTES_MAX && serde_json::from_str::<serde_json::Map<_, _>>(&json).is_ok();
    if whole { json } else { String::new() }
}

/// At most `bytes` of a text from outside, cut between characters.
fn text(mut text: String, bytes: usize) -> String {
    let mut end = text.len().min(bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}
