//! The life of the link: join when there is no valid identity, connect, serve the session, come back after a loss.
use std::time::{Duration, SystemTime};

use daemon::{Clock, Tasks, logs::chain};
use identity::JoinToken;
use tokio::sync::mpsc;
use tracing::{error, info, warn};
use wire::v1::{DecisionRecord, Hello};

use super::{
    LinkError,
    backoff::{Backoff, fraction},
    credentials,
    discovery::{Discovery, Set},
    kept::{Held, StateDir},
    read_token,
    session::{End, Live},
    spool::Spool,
};
use crate::{Proxy, audit_spool::Reader, listeners::Kind, settings::Control};

/// Waits between attempts to reach the control plane.
const RECONNECT: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(15));

/// How often the same failure is said again.
const COMPLAIN_EVERY: Duration = Duration::from_secs(300);

/// Everything the link holds.
pub(super) struct Runner {
    pub(super) proxy: Proxy,
    pub(super) control: Control,
    pub(super) clock: Clock,
    pub(super) tasks: Tasks,
    pub(super) state: StateDir,
    /// `None` until the first join.
    pub(super) held: Option<Held>,
    pub(super) discovery: Discovery,
    pub(super) spool: Spool,
    pub(super) decisions: Option<mpsc::Receiver<DecisionRecord>>,
    /// Our place in the durable spool; `None` while it is being read, or without one.
    pub(super) audit: Option<Reader>,
    /// Decisions the data path has dropped, as last seen.
    pub(super) dropped_seen: u64,
    /// When the SVID is to be renewed.
    pub(super) renew_at: SystemTime,
    /// Something in force could not be written to the state directory yet.
    pub(super) unsaved: bool,
    said: Said,
}

impl Runner {
    /// Reads what is kept and puts it in force. Needs no runtime.
    pub(super) fn new(
        proxy: Proxy,
        control: Control,
        token: Option<JoinToken>,
        tasks: Tasks,
    ) -> Result<Self, LinkError> {
        let clock = proxy.clock().clone();
        let state = StateDir::open(&control.state_dir).map_err(LinkError::Kept)?;
        let kept = state.identity(&control.node).map_err(LinkError::Kept)?;
        let held = kept.filter(|held| is_usable(held, token.as_ref(), &clock));
        if held.is_none() && token.is_none() {
            return Err(no_token(&control));
        }
        let configuration = match state.configuration() {
            Ok(configuration) => configuration.filter(|_| held.is_some()),
            Err(error) => {
                // The control plane will send it again; without it we only start later.
                warn!(error = chain(&error), "kept configuration ignored");
                None
            }
        };
        let mut runner = Self {
            decisions: proxy.decisions().take(),
            audit: None,
            renew_at: held.as_ref().map_or(SystemTime::UNIX_EPOCH, |held| held.svid.half_life()),
            proxy,
            control,
            clock,
            tasks,
            state,
            held,
            discovery: Discovery::default(),
            spool: Spool::default(),
            dropped_seen: 0,
            unsaved: false,
            said: Said::default(),
        };
        if let Some(set) = configuration {
            runner.resume(set);
        }
        match runner.state.take_reports() {
            Ok(messages) => runner.spool.load(messages),
            Err(error) => warn!(error = chain(&error), "kept reports lost"),
        }
        Ok(runner)
    }

    /// Configuration fails static: the last acknowledged set is in force before the control plane is reached.
    fn resume(&mut self, set: Set) {
        let Some(held) = &self.held else { return };
        let applied = set.resources().map_err(|why| vec![why]).and_then(|resources| {
            let applied = self.proxy.apply(&resources, &held.identity());
            applied.map_err(|errors| errors.iter().map(ToString::to_string).collect())
        });
        match applied {
            Ok(revision) => {
                info!(revision, "kept configuration in force");
                self.discovery = Discovery::new(set);
            }
            Err(errors) => warn!(errors = errors.join("; "), "kept configuration refused, waiting for a new one"),
        }
    }

    /// Runs until the drain signal, or until joining has become pointless. What nobody took is kept for the next start.
    pub(super) async fn run(mut self) -> Result<(), LinkError> {
        let ended = self.live().await;
        self.collect();
        if !self.spool.is_settled() {
            let messages = std::mem::take(&mut self.spool).unload();
            if let Err(error) = self.state.keep_reports(&messages) {
                error!(error = chain(&error), messages = messages.len(), "reports that nobody took are lost");
            }
        }
        ended
    }

    /// Everything the data path has to report goes into the spool.
    pub(super) fn collect(&mut self) {
        while let Some(Ok(record)) = self.decisions.as_mut().map(mpsc::Receiver::try_recv) {
            self.spool.decide(record);
        }
        let dropped = self.proxy.decisions().dropped();
        self.spool.lost(dropped.saturating_sub(self.dropped_seen));
        self.dropped_seen = dropped;
        self.spool.count(self.proxy.flow_counts());
    }

    /// The control plane has stored everything up to `sequence`: it goes from here, and from the disk.
    pub(super) fn acknowledge(&mut self, sequence: u64) {
        if let (Some(through), Some(audit)) = (self.spool.acknowledge(sequence), self.proxy.audit()) {
            audit.acknowledge(through);
        }
    }

    async fn live(&mut self) -> Result<(), LinkError> {
        let drain = self.tasks.drain().clone();
        let mut backoff = Backoff::new(RECONNECT.0, RECONNECT.1);
        // A session that ends because of a new SVID stays open until the next one stands, so that the control plane
        // never takes us for gone.
        let mut old: Option<Live> = None;
        loop {
            if !self.has_valid_svid() {
                tokio::select! {
                    joined = self.join(&mut backoff) => joined?,
                    () = drain.stopping() => return Ok(()),
                }
            }
            let opened = tokio::select! {
                opened = Live::open(self) => opened,
                () = drain.stopping() => return Ok(()),
            };
            drop(old.take());
            match opened {
                Ok(mut live) => match live.serve(self).await {
                    End::Stopped => {
                        live.say_goodbye(self).await;
                        return Ok(());
                    }
                    End::Renewed => {
                        backoff.reset();
                        old = Some(live);
                        continue;
                    }
                    End::Resync => {}
                    End::Lost { why, worked } => {
                        if worked {
                            backoff.reset();
                            self.said = Said::default();
                        }
                        warn!(why, "control plane lost, going on with what is in force");
                    }
                },
                Err(error) => self.complain("no control plane", &error),
            }
            tokio::select! {
                () = self.pause(backoff.wait()) => {}
                () = drain.stopping() => return Ok(()),
            }
        }
    }

    /// Tries to join until it succeeds. Errors once it is pointless and there never was an identity; a proxy that was a
    /// member stays up, failing closed, and says so. The token file is read again each time: a new token mends it.
    async fn join(&mut self, backoff: &mut Backoff) -> Result<(), LinkError> {
        loop {
            let attempt = self.try_join().await;
            match attempt {
                Ok(held) => {
                    info!(id = %held.svid.id, control = %held.control, "joined");
                    // What an earlier identity was told does not hold for this one.
                    if self.held.as_ref().is_none_or(|before| before.svid.id != held.svid.id) {
                        self.discovery = Discovery::default();
                    }
                    self.hold(held);
                    self.said = Said::default();
                    backoff.reset();
                    return Ok(());
                }
                Err(error) if self.held.is_none() && error.is_final() => return Err(error),
                Err(error) if self.held.is_some() => {
                    self.complain("the SVID has expired, peers refuse this proxy until it joins again", &error);
                }
                Err(error) => self.complain("cannot join yet", &error),
            }
            self.pause(backoff.wait()).await;
        }
    }

    async fn try_join(&self) -> Result<Held, LinkError> {
        let token = read_token(&self.control)?.ok_or_else(|| no_token(&self.control))?;
        let joined = credentials::join(&self.control.address, &token, &self.control.node, &self.clock, &self.tasks);
        joined.await.map_err(|cause| LinkError::Join { address: self.control.address.clone(), cause: Box::new(cause) })
    }

    /// Says what keeps failing: at once when it is new, then only every few minutes.
    fn complain(&mut self, what: &str, error: &(dyn std::error::Error + 'static)) {
        let (text, now) = (chain(error), self.clock.now());
        if self.said.text != text || now >= self.said.again_at {
            warn!(address = self.control.address, error = text, "{what}");
            self.said = Said { text, again_at: now + COMPLAIN_EVERY };
        }
    }

    /// A new identity: kept on disk, and due for renewal at half of what is left, with jitter.
    pub(super) fn hold(&mut self, held: Held) {
        let now = self.clock.now();
        let left = held.svid.not_after.duration_since(now).unwrap_or_default();
        self.renew_at = now + left / 2 - fraction(left / 10);
        self.held = Some(held);
        self.save();
    }

    /// Writes what is in force to the state directory. A failure is said and retried: what is in force stays in force, but a
    /// restart would not find it.
    pub(super) fn save(&mut self) {
        let Some(held) = &self.held else { return };
        let saved = self.state.keep_identity(held).and_then(|()| match self.discovery.applied() {
            set if *set == Set::default() => self.state.forget_configuration(),
            set => self.state.keep_configuration(set),
        });
        match saved {
            Ok(()) if self.unsaved => info!("state directory written again"),
            Ok(()) => {}
            Err(ref error) if !self.unsaved => {
                error!(error = chain(error), "state not kept: a restart now would need a new join token");
            }
            Err(_) => {}
        }
        self.unsaved = saved.is_err();
    }

    /// Waits, while decisions go on flowing into the spool.
    async fn pause(&mut self, wait: Duration) {
        let deadline = tokio::time::sleep(wait);
        tokio::pin!(deadline);
        loop {
            let record = async {
                match &mut self.decisions {
                    Some(decisions) => decisions.recv().await,
                    None => None,
                }
            };
            tokio::select! {
                () = &mut deadline => return,
                Some(record) = record => self.spool.decide(record),
                else => return deadline.await,
            }
        }
    }

    fn has_valid_svid(&self) -> bool {
        self.held.as_ref().is_some_and(|held| held.svid.not_after > self.clock.now())
    }

    /// The name of this instance.
    pub(super) fn instance(&self) -> String {
        self.control.instance.clone().unwrap_or_else(|| format!("{}/0", self.control.node))
    }

    /// The greeting of a report stream; `None` while the mesh port is not open yet, so that no peer is sent to a port that
    /// does not answer.
    pub(super) fn hello(&self) -> Option<Hello> {
        let mesh_address = match (&self.control.mesh_address, self.proxy.settings().inbound) {
            (_, None) => String::new(),
            (configured, Some(_)) => {
                let bound = self.proxy.addresses().into_iter().find(|(kind, _)| *kind == Kind::Inbound);
                let (_, bound) = bound?;
                configured.clone().unwrap_or_else(|| bound.to_string())
            }
        };
        Some(Hello {
            instance: self.instance(),
            mesh_address,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            isolation: self.control.isolation.clone().unwrap_or_else(|| "host".to_owned()),
        })
    }
}

/// What was last complained about.
struct Said {
    text: String,
    again_at: SystemTime,
}

impl Default for Said {
    fn default() -> Self {
        Self { text: String::new(), again_at: SystemTime::UNIX_EPOCH }
    }
}

fn no_token(control: &Control) -> LinkError {
    LinkError::NoToken { state_dir: control.state_dir.display().to_string(), node: control.node.clone() }
}

/// A kept identity serves when it has not expired and is of the mesh that the token, if there is one, names.
fn is_usable(held: &Held, token: Option<&JoinToken>, clock: &Clock) -> bool {
    let same_mesh = token.is_none_or(|token| {
        held.bundle
            .roots
            .iter()
            .any(|root| aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, root).as_ref() == token.root_sha256)
    });
    same_mesh && held.svid.not_after > clock.now()
}
