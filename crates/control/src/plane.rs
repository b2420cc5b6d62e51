//! The control plane's state: the model in force, its snapshot, the instances, the issuer. A change is compiled whole,
//! stored whole, and only then sent. When the store fails, what is in force stays in force.
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use daemon::{Clock, Tasks, logs::chain};
use model::{Diagnostic, Model, Name, Severity, SourceFile, SpiffeId, TrustDomain};
use rustls::ServerConfig;
use tokio::sync::{Mutex, Notify, watch};
use tracing::{error, info, warn};

use crate::{
    issuer::{Issuer, IssuerError, TlsTime},
    jwks::Keys,
    registry::Registry,
    snapshot::{self, Compiled, NodeResources, Snapshot, diagnostic},
    store::{Event, NewRevision, Store, StoreError},
    verify::Verifier,
};

/// How long endpoint changes are gathered before they are sent.
pub const COALESCE: Duration = Duration::from_millis(50);
/// How often lost instances and old rows are looked at.
const SWEEP: Duration = Duration::from_secs(1);
/// How often our own SVID's age is looked at: often enough for the shortest `svid_ttl` a model may ask for, 10 s.
const RENEW_LOOK: Duration = Duration::from_secs(1);
/// Files of one model.
pub const MODEL_FILES_MAX: usize = 1_000;

/// What is in force.
pub struct Current {
    /// Its revision.
    pub revision: u64,
    /// When it was stored, milliseconds since the Unix epoch.
    pub applied_ms: i64,
    /// The documents.
    pub files: Arc<[SourceFile]>,
    /// The model.
    pub model: Arc<Model>,
    /// It, compiled.
    pub compiled: Arc<Compiled>,
    /// It, with addresses.
    pub snapshot: Arc<Snapshot>,
    /// Who signs.
    pub issuer: Arc<Issuer>,
}

/// What one identity may see now.
#[derive(Clone, Debug)]
pub struct View {
    /// Revision of the model.
    pub revision: u64,
    /// Its resources.
    pub resources: Arc<NodeResources>,
}

impl Current {
    /// What `id` may see; for an identity that the model does not know, that nothing is allowed.
    pub fn view(&self, id: &SpiffeId) -> View {
        let resources = self
            .snapshot
            .of(id)
            .cloned()
            .unwrap_or_else(|| Arc::new(snapshot::closed(id, &self.model, self.revision, &self.issuer.roots())));
        View { revision: self.revision, resources }
    }

    /// The node whose identity this is, when it is under Ward.
    pub fn node_of(&self, id: &SpiffeId) -> Option<(&Name, &model::Node)> {
        let (_, account) = id.namespace_and_account()?;
        let (name, node) = self.model.nodes.get_key_value(account)?;
        (node.under_ward() && SpiffeId::for_node(&self.model.trust_domain, &node.namespace, name) == *id)
            .then_some((name, node))
    }
}

/// Why a model is not in force.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The model is wrong; nothing changed.
    #[error("the model is refused; nothing changed")]
    Refused(Vec<Diagnostic>),
    /// The store failed; nothing changed.
    #[error("the model is not stored; nothing changed")]
    Store(#[source] StoreError),
    /// The certificate authority could not be made.
    #[error("the certificate authority cannot be made; nothing changed")]
    Issuer(#[source] IssuerError),
    /// The compiler itself broke.
    #[error("compiling the model broke off; nothing changed")]
    Broken,
}

/// What a model did.
#[derive(Debug)]
pub struct Applied {
    /// The revision in force now.
    pub revision: u64,
    /// False when the documents are those in force already.
    pub changed: bool,
    /// Warnings.
    pub warnings: Vec<Diagnostic>,
}

/// The control plane.
pub struct Plane {
    /// What is kept.
    pub store: Arc<dyn Store>,
    /// The time.
    pub clock: Clock,
    /// Where tasks run.
    pub tasks: Tasks,
    /// The instances.
    pub registry: Registry,
    /// Probes under way.
    pub verifier: Verifier,
    /// Keys of issuers of tokens.
    pub keys: Keys,
    /// When this process started, milliseconds since the Unix epoch.
    pub started_ms: i64,
    ca_dir: PathBuf,
    current: watch::Sender<Option<Arc<Current>>>,
    tls: watch::Sender<Option<Arc<ServerConfig>>>,
    // Held over a whole change, so that two operators cannot both make revision N + 1.
    changing: Mutex<Option<Arc<Issuer>>>,
    moved: Notify,
}

impl Plane {
    /// Takes up what the store holds. A stored model that no longer compiles (an older Ward accepted it) is an error: the
    /// operator must know before proxies fall back on what they have.
    pub async fn open(
        store: Arc<dyn Store>,
        state: &Path,
        clock: Clock,
        tasks: Tasks,
    ) -> Result<Arc<Self>, ApplyError> {
        let ca_dir = state.join("ca");
        let issuer = Issuer::load(&ca_dir, clock.now()).map_err(ApplyError::Issuer)?.map(Arc::new);
        let registry = Registry::default();
        registry.restore(store.instances().await.map_err(ApplyError::Store)?, clock.unix_ms());
        let plane = Arc::new(Self {
            started_ms: now_ms(&clock),
            store,
            clock,
            tasks,
            registry,
            verifier: Verifier::default(),
            keys: Keys::open(state.join("keys")),
            ca_dir,
            current: watch::Sender::new(None),
            tls: watch::Sender::new(None),
            changing: Mutex::new(issuer.clone()),
            moved: Notify::new(),
        });
        if let Some(stored) = plane.store.latest_revision().await.map_err(ApplyError::Store)? {
            let issuer = issuer
                .ok_or_else(|| ApplyError::Issuer(IssuerError::Missing { path: plane.ca_dir.join("trust-domain") }))?;
            let known = plane.store.node_digests().await.map_err(ApplyError::Store)?;
            let (model, _) = load(&stored.files)?;
            let compiled =
                snapshot::compile(&model, stored.number, &issuer.roots(), &known).map_err(ApplyError::Refused)?;
            plane.renew(&issuer, &model).map_err(ApplyError::Issuer)?;
            plane.publish(stored.number, stored.time_ms, stored.files.into(), Arc::new(model), compiled, issuer);
        }
        Ok(plane)
    }

    /// What is in force; `None` before the first model.
    pub fn current(&self) -> Option<Arc<Current>> {
        self.current.borrow().clone()
    }

    /// Follows what is in force.
    pub fn watch(&self) -> watch::Receiver<Option<Arc<Current>>> {
        self.current.subscribe()
    }

    /// Follows the TLS configuration of the port for proxies, which appears with the first model.
    pub fn watch_tls(&self) -> watch::Receiver<Option<Arc<ServerConfig>>> {
        self.tls.subscribe()
    }

    /// Applies a model: parse, compile for every node, store, send. Any error leaves everything as it was.
    pub async fn apply(self: &Arc<Self>, files: Vec<SourceFile>, actor: &str) -> Result<Applied, ApplyError> {
        let plane = self.clone();
        let actor = actor.to_owned();
        // In its own task: a caller that hangs up must not cut a change in half.
        let (tx, rx) = tokio::sync::oneshot::channel();
        self.tasks.spawn(async move {
            let _ = tx.send(plane.change(files, &actor).await);
        });
        rx.await.unwrap_or(Err(ApplyError::Broken))
    }

    async fn change(&self, files: Vec<SourceFile>, actor: &str) -> Result<Applied, ApplyError> {
        let mut held = self.changing.lock().await;
        let before = self.current();
        let files: Arc<[SourceFile]> = files.into();
        let documents = files.clone();
        let (model, warnings) =
            tokio::task::spawn_blocking(move || load(&documents)).await.map_err(|_| ApplyError::Broken)??;
        if let Some(before) = before.as_ref().filter(|b| b.files == files) {
            return Ok(Applied { revision: before.revision, changed: false, warnings });
        }
        let revision = before.as_ref().map_or(0, |b| b.revision) + 1;
        let kept = held.clone();
        let domain = kept.as_ref().map(|i| &i.trust_domain);
        if let Some(refusal) = foreign(&model, domain, before.as_ref().map(|b| &b.model.mesh.root_namespace)) {
            return Err(ApplyError::Refused(vec![refusal]));
        }
        let known = before.as_ref().map(|b| b.compiled.digests()).unwrap_or_default();
        // Compiled before the authority is made: a first model that is refused leaves nothing behind.
        let model = Arc::new(model);
        let roots = kept.as_ref().map(|i| i.roots()).unwrap_or_default();
        let compiled = self.compile(&model, revision, roots, &known).await?;
        let (issuer, compiled) = match kept {
            Some(issuer) => (issuer, compiled),
            None => {
                let issuer = Arc::new(
                    Issuer::create(&self.ca_dir, &model.trust_domain, self.clock.now()).map_err(ApplyError::Issuer)?,
                );
                *held = Some(issuer.clone());
                let compiled = self.compile(&model, revision, issuer.roots(), &known).await?;
                warn!(trust_domain = %model.trust_domain, directory = %self.ca_dir.display(),
                    "made a development root: its private key lies unencrypted in the state directory (0600)");
                (issuer, compiled)
            }
        };
        let time_ms = now_ms(&self.clock);
        let event = Event {
            time_ms,
            actor: actor.to_owned(),
            action: "apply".to_owned(),
            subject: model.name.to_string(),
            revision,
            detail: format!("{} nodes, {} flows", model.nodes.len(), model.flows.len()),
        };
        let digests = compiled.digests();
        let new = NewRevision { number: revision, time_ms, files: &files, digests: &digests, event: &event };
        self.store.put_revision(new).await.map_err(ApplyError::Store)?;
        if self.tls.borrow().is_none() {
            self.renew(&issuer, &model).map_err(ApplyError::Issuer)?;
        }
        self.registry.keep_nodes(|node| model.nodes.contains_key(node));
        let nodes: Vec<String> = model.nodes.keys().map(ToString::to_string).collect();
        if let Err(error) = self.store.keep_instances_of(&nodes).await {
            // Only tidiness: an instance of no node is never sent to anybody.
            warn!(error = chain(&error), "forgotten instances stay in the store");
        }
        self.publish(revision, time_ms, files, model, compiled, issuer);
        info!(revision, actor, "model applied");
        Ok(Applied { revision, changed: true, warnings })
    }

    async fn compile(
        &self,
        model: &Arc<Model>,
        revision: u64,
        roots: Vec<Vec<u8>>,
        known: &BTreeMap<String, crate::store::NodeDigest>,
    ) -> Result<Compiled, ApplyError> {
        let (model, known) = (model.clone(), known.clone());
        tokio::task::spawn_blocking(move || snapshot::compile(&model, revision, &roots, &known))
            .await
            .map_err(|_| ApplyError::Broken)?
            .map_err(ApplyError::Refused)
    }

    fn publish(
        &self,
        revision: u64,
        applied_ms: i64,
        files: Arc<[SourceFile]>,
        model: Arc<Model>,
        compiled: Compiled,
        issuer: Arc<Issuer>,
    ) {
        let compiled = Arc::new(compiled);
        self.keys.want(compiled.key_sources(), self.clock.unix_ms());
        self.current.send_modify(|held| {
            let before = held.as_ref().map(|c| c.snapshot.clone());
            let snapshot = compiled.join(&self.registry.endpoints(), &self.keys.sets(), before.as_deref());
            *held = Some(Arc::new(Current {
                revision,
                applied_ms,
                files,
                model,
                compiled,
                snapshot: Arc::new(snapshot),
                issuer,
            }));
        });
    }

    /// A fresh SVID of our own for the port that proxies connect to; connections that are open keep the old one.
    fn renew(&self, issuer: &Issuer, model: &Model) -> Result<SystemTime, IssuerError> {
        let svid = issuer.own(
            &model.mesh.root_namespace,
            identity::CONTROL_PLANE_ACCOUNT,
            model.mesh.svid_ttl,
            self.clock.now(),
        )?;
        let config = issuer.server_config(&svid, Arc::new(TlsTime(self.clock.clone())))?;
        self.tls.send_replace(Some(config));
        Ok(svid.half_life())
    }

    #[cfg(test)]
    pub(crate) fn renew_own(&self) -> Result<(), IssuerError> {
        let Some(current) = self.current() else { return Ok(()) };
        self.renew(&current.issuer, &current.model).map(drop)
    }

    /// Renews our own SVID at half of its life; runs until drained.
    pub async fn follow_identity(self: Arc<Self>) {
        let drain = self.tasks.drain().clone();
        let mut due = SystemTime::UNIX_EPOCH;
        loop {
            tokio::select! { () = tokio::time::sleep(RENEW_LOOK) => {}, () = drain.stopping() => return }
            let Some(current) = self.current().filter(|_| self.clock.now() >= due) else { continue };
            match self.renew(&current.issuer, &current.model) {
                Ok(half_life) => due = half_life,
                // The old one lasts for the other half of its life; this is tried again at the next look.
                Err(error) => error!(error = chain(&error), "own SVID not renewed"),
            }
        }
    }

    /// Instances came or went: everybody who calls them is told within [`COALESCE`].
    pub fn endpoints_moved(&self) {
        self.moved.notify_one();
    }

    /// Sends endpoint changes, many at once; runs until drained.
    pub async fn follow_endpoints(self: Arc<Self>) {
        let drain = self.tasks.drain().clone();
        loop {
            tokio::select! { () = self.moved.notified() => {}, () = drain.stopping() => return }
            tokio::time::sleep(COALESCE).await;
            self.join_again();
            self.keys.hurry(self.clock.unix_ms());
        }
    }

    /// Endpoints or keys are others: everybody is told what concerns them. The revision stays.
    pub(crate) fn join_again(&self) {
        self.current.send_if_modified(|held| {
            let Some(now) = held else { return false };
            // Read while nobody else can publish, so that an older set never replaces a newer one.
            let snapshot = now.compiled.join(&self.registry.endpoints(), &self.keys.sets(), Some(&now.snapshot));
            let next = Current {
                revision: now.revision,
                applied_ms: now.applied_ms,
                files: now.files.clone(),
                model: now.model.clone(),
                compiled: now.compiled.clone(),
                snapshot: Arc::new(snapshot),
                issuer: now.issuer.clone(),
            };
            *held = Some(Arc::new(next));
            true
        });
    }

    /// Leaves out instances that stay lost and drops old rows; runs until drained.
    pub async fn follow_losses(self: Arc<Self>) {
        let drain = self.tasks.drain().clone();
        let mut ticks = tokio::time::interval(SWEEP);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        for tick in 0_u64.. {
            tokio::select! { _ = ticks.tick() => {}, () = drain.stopping() => return }
            self.sweep().await;
            if tick % 60 == 0
                && let Err(error) = self.store.prune(now_ms(&self.clock)).await
            {
                warn!(error = chain(&error), "old rows stay in the store");
            }
        }
    }

    /// One look at lost instances.
    pub async fn sweep(&self) {
        let lost = self.registry.sweep(self.clock.unix_ms());
        for instance in &lost {
            warn!(instance, "instance stayed lost, callers are no longer sent to it");
            self.forget_endpoint(instance).await;
        }
        if !lost.is_empty() {
            self.endpoints_moved();
        }
    }

    /// Notes in the store that an instance no longer serves. A failing store must not keep a dead address in the mesh, so
    /// it is only logged: after a restart the address would get its 30 seconds once more.
    pub async fn forget_endpoint(&self, instance: &str) {
        if let Err(error) = self.store.instance_gone(instance).await {
            error!(error = chain(&error), instance, "the store still says that this instance serves");
        }
    }
}

/// Milliseconds since the Unix epoch, as the store counts them.
pub fn now_ms(clock: &Clock) -> i64 {
    i64::try_from(clock.unix_ms()).unwrap_or(i64::MAX)
}

fn load(files: &[SourceFile]) -> Result<(Model, Vec<Diagnostic>), ApplyError> {
    let loaded = model::load(files);
    match loaded.model {
        Some(model) => Ok((model, loaded.diagnostics)),
        None => {
            let mut found = loaded.diagnostics;
            if !found.iter().any(|d| d.severity == Severity::Error) {
                found.push(diagnostic("no-model", String::new(), "the files hold no model".to_owned(), None));
            }
            Err(ApplyError::Refused(found))
        }
    }
}

/// A model that does not belong to this control plane: its authority signs for one trust domain only, and its own name
/// lies in one root namespace.
fn foreign(model: &Model, domain: Option<&TrustDomain>, root_namespace: Option<&Name>) -> Option<Diagnostic> {
    if let Some(domain) = domain.filter(|d| **d != model.trust_domain) {
        return Some(diagnostic(
            "trust-domain-changed",
            "trust_domain".to_owned(),
            format!("this control plane signs for trust domain `{domain}`, the model says `{}`", model.trust_domain),
            Some(format!("write `trust_domain: {domain}`, or start a control plane with a new state directory")),
        ));
    }
    let namespace = root_namespace.filter(|n| **n != model.mesh.root_namespace)?;
    Some(diagnostic(
        "root-namespace-changed",
        "mesh.root_namespace".to_owned(),
        format!(
            "the control plane's own identity lies in namespace `{namespace}`, the model says `{}`",
            model.mesh.root_namespace
        ),
        Some(format!("write `root_namespace: {namespace}`, or start a control plane with a new state directory")),
    ))
}
