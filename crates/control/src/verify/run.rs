//! Trying it: nonces are announced to the destination and confirmed before a probe leaves the source's own sidecar.
use std::{
    collections::{BTreeMap, HashSet},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use ca::Authority;
use daemon::logs::chain;
use futures_util::{StreamExt, stream};
use identity::PrivateKey;
use model::{NodeKind, SpiffeId};
use tracing::{error, info, warn};
use wire::v1::{Probe, ProbeNonce, ProbeResult, ReportResponse};

use super::{
    Expect, Line, Summary, Variant, Verdict, outside,
    plan::{Case, Running, plan},
};
use crate::{
    issuer::der,
    plane::{Current, Plane, now_ms},
    registry::Reach,
    store::{Event, StoreError, VerifyRow},
};

/// Probes under way at once.
const CONCURRENT: usize = 16;
/// How long a destination may take to confirm a nonce.
const HELD_TIMEOUT: Duration = Duration::from_secs(3);
/// How long the source waits for an answer.
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);
/// How much longer than that we wait for its report.
const RESULT_GRACE: Duration = Duration::from_secs(5);
/// How long a whole run may take.
const RUN_TIMEOUT: Duration = Duration::from_secs(180);
/// How long the credentials made for probes are valid.
const CREDENTIAL_TTL: Duration = Duration::from_secs(600);

/// Why a run does not start.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// Nothing to verify.
    #[error("there is no model yet: run `ward apply DIR` first")]
    NoModel,
    /// The run could not be written down.
    #[error("the run is not stored")]
    Store(#[source] StoreError),
    /// No random id.
    #[error("no random bytes")]
    Random,
}

/// Starts a run and returns its id; while one is under way, that one's.
pub async fn start(plane: &Arc<Plane>, actor: &str) -> Result<String, VerifyError> {
    let current = plane.current().ok_or(VerifyError::NoModel)?;
    let id = random_hex().ok_or(VerifyError::Random)?;
    if let Err(under_way) = plane.verifier.begin(&id) {
        return Ok(under_way);
    }
    let started_ms = now_ms(&plane.clock);
    let mut row = VerifyRow {
        id: id.clone(),
        started_ms,
        finished_ms: 0,
        revision: current.revision,
        state: "running".to_owned(),
        results: "[]".to_owned(),
    };
    let event = Event {
        time_ms: started_ms,
        actor: actor.to_owned(),
        action: "verify".to_owned(),
        subject: id.clone(),
        revision: current.revision,
        detail: String::new(),
    };
    let stored = match plane.store.put_verify(&row).await {
        Ok(()) => plane.store.put_event(&event).await,
        Err(error) => Err(error),
    };
    if let Err(error) = stored {
        plane.verifier.finish();
        return Err(VerifyError::Store(error));
    }
    let task = plane.clone();
    plane.tasks.spawn(async move {
        // Whatever ends this task, the next run can begin.
        let _over = Over(&task);
        let lines = run(&task, &current).await;
        let summary = Summary::of(&lines);
        info!(ok = summary.ok, violated = summary.violated, unverifiable = summary.unverifiable, "verify run done");
        row.finished_ms = now_ms(&task.clock);
        "done".clone_into(&mut row.state);
        match serde_json::to_string(&lines) {
            Ok(json) => row.results = json,
            Err(error) => return error!(%error, "verify results cannot be written"),
        }
        if let Err(error) = task.store.put_verify(&row).await {
            error!(error = chain(&error), "verify results not stored");
        }
    });
    Ok(id)
}

struct Over<'a>(&'a Plane);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.verifier.finish();
    }
}

async fn run(plane: &Plane, current: &Current) -> Vec<Line> {
    let reach = plane.registry.reachable();
    let running = reach
        .iter()
        .filter_map(|(node, found)| {
            let first = found.first()?;
            let address = first.mesh_address.parse::<SocketAddr>().ok().map(|mesh| mesh.ip());
            Some((node.clone(), Running { isolation: first.isolation.clone(), address }))
        })
        .collect();
    let cases = plan(&current.model, &running);
    plane.verifier.step(|p| p.total = cases.len());
    let credentials = Credentials::mint(plane, current, &cases);
    let deadline = plane.clock.instant() + RUN_TIMEOUT;
    let tried = stream::iter(cases.into_iter().enumerate()).map(|(index, case)| {
        let (reach, credentials) = (&reach, &credentials);
        async move {
            let answer = match &case.unverifiable {
                Some(why) => Err(why.clone()),
                None if plane.clock.instant() >= deadline => Err("the run took too long; it was not tried".to_owned()),
                None => attempt(plane, current, reach, credentials, &case, index).await,
            };
            plane.verifier.step(|p| p.done += 1);
            (case, answer)
        }
    });
    let mut tried: Vec<(Case, Result<Answer, String>)> = tried.buffered(CONCURRENT).collect().await;
    // A refused connection proves a refusal only if the instance answered somebody in this run.
    let answered: HashSet<String> = tried
        .iter()
        .filter_map(|(_, a)| a.as_ref().ok())
        .filter(|a| matches!(a.result.outcome.as_str(), "passed" | "refused"))
        .map(|a| a.target.clone())
        .collect();
    tried.drain(..).map(|(case, answer)| judge(case, answer, &answered)).collect()
}

/// What a proxy reported, and which instance it tried.
struct Answer {
    target: String,
    result: ProbeResult,
}

fn judge(case: Case, answer: Result<Answer, String>, answered: &HashSet<String>) -> Line {
    let mut line = Line {
        request: case.request(),
        flow: case.flow,
        from: case.from,
        to: case.to,
        port: case.port,
        variant: case.variant,
        expect: case.expect,
        outcome: String::new(),
        status: 0,
        decision: String::new(),
        verdict: Verdict::Unverifiable,
        reason: case.note,
    };
    let Answer { target, result } = match answer {
        Ok(answer) => answer,
        Err(why) => {
            line.reason = why;
            return line;
        }
    };
    if !result.detail.is_empty() {
        line.reason =
            if line.reason.is_empty() { result.detail } else { format!("{}; {}", line.reason, result.detail) };
    }
    line.verdict = match (result.outcome.as_str(), case.expect) {
        ("passed", Expect::Pass) | ("refused", Expect::Fail) => Verdict::Ok,
        ("passed", Expect::Fail) | ("refused" | "blocked", Expect::Pass) => Verdict::Violated,
        ("blocked", Expect::Fail) if answered.contains(&target) => Verdict::Ok,
        ("blocked", Expect::Fail) => {
            line.reason = format!("no connection, but `{target}` answered no probe at all, so this proves nothing");
            Verdict::Unverifiable
        }
        _ => Verdict::Unverifiable,
    };
    line.outcome = result.outcome;
    line.status = result.status;
    line.decision = result.decision;
    line
}

async fn attempt(
    plane: &Plane,
    current: &Current,
    reach: &BTreeMap<String, Vec<Reach>>,
    credentials: &Credentials,
    case: &Case,
    index: usize,
) -> Result<Answer, String> {
    let pick = |node: &str| -> Option<&Reach> {
        let found = reach.get(node)?;
        // Different probes try different instances.
        found.get(index % found.len().max(1))
    };
    let target = pick(&case.to).ok_or_else(|| format!("no instance of `{}` is connected", case.to))?;
    if current.model.nodes.get(case.from.as_str()).is_some_and(|n| n.kind == NodeKind::Party) {
        let nonce = random_hex().ok_or("no random bytes")?;
        if case.variant != Variant::Plaintext {
            announce(plane, target, &nonce).await?;
        }
        let result = outside::attempt(plane, current, target, case, &nonce).await;
        plane.verifier.forget(&nonce, "");
        return Ok(Answer { target: target.instance.clone(), result: result? });
    }
    let source = pick(&case.from).ok_or_else(|| format!("no instance of `{}` is connected", case.from))?;
    let expected = current.model.spiffe_id(&case.to).ok_or("the target has no identity")?;
    let (nonce, id) = (random_hex().ok_or("no random bytes")?, random_hex().ok_or("no random bytes")?);
    let (namespace, domain) =
        (expected.namespace_and_account().map(|(ns, _)| ns).unwrap_or_default(), expected.trust_domain());
    let mut probe = Probe {
        id: id.clone(),
        nonce: nonce.clone(),
        kind: kind(case.variant).to_owned(),
        address: target.mesh_address.clone(),
        sni: format!("{}.{}.{namespace}.{domain}", case.port, case.to),
        spiffe_id: expected.to_string(),
        protocol: case.protocol.as_str().to_owned(),
        port: u32::from(case.port),
        method: case.method.clone(),
        path: case.path.clone(),
        chain: Vec::new(),
        key: Vec::new(),
        timeout_ms: u32::try_from(PROBE_TIMEOUT.as_millis()).unwrap_or(u32::MAX),
    };
    match case.variant {
        Variant::AppPort => {
            let mesh: SocketAddr = target.mesh_address.parse().map_err(|_| "the target's address is unknown")?;
            probe.address = SocketAddr::new(mesh.ip(), case.port).to_string();
        }
        Variant::WrongIdentity | Variant::ExpiredSvid | Variant::ForeignAuthority => {
            let held = credentials.of(case).ok_or("the credentials for this probe could not be made")?;
            (probe.chain, probe.key) = (held.chain.clone(), held.key.clone());
        }
        _ => {}
    }
    let answer = ask(plane, source, target, probe, case.variant != Variant::AppPort).await;
    plane.verifier.forget(&nonce, &id);
    answer.map(|result| Answer { target: target.instance.clone(), result })
}

/// Announces the nonce, waits for the destination to honour it, sends the probe, waits for what came of it.
async fn ask(
    plane: &Plane,
    source: &Reach,
    target: &Reach,
    probe: Probe,
    expected: bool,
) -> Result<ProbeResult, String> {
    if expected {
        announce(plane, target, &probe.nonce).await?;
    }
    let result = plane.verifier.await_result(&source.instance, &probe.id);
    tell(source, ReportResponse { acked: 0, probes: vec![probe], nonces: Vec::new() }).await?;
    match tokio::time::timeout(PROBE_TIMEOUT + RESULT_GRACE, result).await {
        Ok(Ok(result)) => Ok(result),
        _ => Err(format!("`{}` did not say what came of the probe", source.instance)),
    }
}

/// Tells the destination of a nonce and waits until it honours it.
async fn announce(plane: &Plane, target: &Reach, nonce: &str) -> Result<(), String> {
    let held = plane.verifier.await_held(&target.instance, nonce);
    let ttl = u32::try_from((PROBE_TIMEOUT + RESULT_GRACE).as_secs()).unwrap_or(u32::MAX);
    let nonces = vec![ProbeNonce { nonce: nonce.to_owned(), ttl }];
    tell(target, ReportResponse { acked: 0, probes: Vec::new(), nonces }).await?;
    match tokio::time::timeout(HELD_TIMEOUT, held).await {
        Ok(Ok(())) => Ok(()),
        _ => Err(format!("`{}` did not confirm that it expects the probe; it was not sent", target.instance)),
    }
}

async fn tell(instance: &Reach, message: ReportResponse) -> Result<(), String> {
    let sent = instance.to.send_timeout(message, HELD_TIMEOUT).await;
    sent.map_err(|_| format!("`{}` is no longer connected", instance.instance))
}

fn kind(variant: Variant) -> &'static str {
    match variant {
        Variant::Flow | Variant::AbsentEdge | Variant::WrongRequest | Variant::NoToken => "request",
        Variant::NoCertificate => "no-certificate",
        Variant::Plaintext => "plaintext",
        Variant::AppPort => "app-port",
        Variant::WrongIdentity | Variant::ExpiredSvid | Variant::ForeignAuthority => "credentials",
    }
}

/// A chain and its key, as a probe carries them.
struct Credential {
    chain: Vec<Vec<u8>>,
    key: Vec<u8>,
}

/// Credentials that must not work, made for one run.
#[derive(Default)]
struct Credentials {
    nobody: Option<Credential>,
    expired: BTreeMap<String, Credential>,
    foreign: BTreeMap<String, Credential>,
}

impl Credentials {
    fn of(&self, case: &Case) -> Option<&Credential> {
        match case.variant {
            Variant::WrongIdentity => self.nobody.as_ref(),
            Variant::ExpiredSvid => self.expired.get(&case.from),
            Variant::ForeignAuthority => self.foreign.get(&case.from),
            _ => None,
        }
    }

    /// What cannot be made is left out, and its probes say so.
    fn mint(plane: &Plane, current: &Current, cases: &[Case]) -> Self {
        let now = plane.clock.now();
        let mut made = Self::default();
        let account: Option<model::Name> = "ward-probe".parse().ok();
        if let Some(account) = account {
            let id = SpiffeId::for_node(&current.model.trust_domain, &current.model.mesh.root_namespace, &account);
            made.nobody = credential(|csr| current.issuer.sign(csr, &id, CREDENTIAL_TTL, now));
        }
        let throwaway = Authority::generate_root(&current.model.trust_domain, CREDENTIAL_TTL, now);
        let sources: HashSet<&String> = cases.iter().filter(|c| c.flow.is_some()).map(|c| &c.from).collect();
        for from in sources {
            let Some(id) = current.model.spiffe_id(from) else { continue };
            let past = now - CREDENTIAL_TTL * 2;
            if let Some(expired) = credential(|csr| current.issuer.sign(csr, &id, CREDENTIAL_TTL, past)) {
                made.expired.insert(from.clone(), expired);
            }
            if let Ok(authority) = &throwaway
                && let Some(foreign) = credential(|csr| authority.sign_svid(csr, &id, CREDENTIAL_TTL, now))
            {
                made.foreign.insert(from.clone(), foreign);
            }
        }
        made
    }
}

fn credential(sign: impl FnOnce(&[u8]) -> Result<ca::Issued, ca::AuthorityError>) -> Option<Credential> {
    let (key, csr): (PrivateKey, Vec<u8>) = identity::csr::new().ok()?;
    match sign(&csr) {
        Ok(issued) => Some(Credential { chain: der(&issued.chain), key: key.der().secret_der().to_vec() }),
        Err(error) => {
            warn!(error = chain(&error), "a probe's credential cannot be made");
            None
        }
    }
}

fn random_hex() -> Option<String> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).ok()?;
    Some(crate::snapshot::hex(&bytes))
}
