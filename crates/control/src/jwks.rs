//! Keys of issuers of tokens: fetched here, since proxies have no way outside, and sent to the proxies that need them.
//!
//! They fail closed. Without keys every token of their issuer is refused; there is no key to fall back on, built in or
//! otherwise (CVE-2026-31837 was such a one). Keys that cannot be fetched again are good for [`KEPT_MAX`] longer, also
//! over a restart, and then given up. Where an address may lie is said by the mesh and by nobody else
//! (GHSA-fgw5-hp8f-xfhc): a document that names an address inside the own network makes nobody ask there.
use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use daemon::logs::chain;
use tokio::sync::{Notify, Semaphore};
use tracing::{info, warn};

use crate::{
    plane::{Plane, now_ms},
    snapshot::KeySets,
    store::Event,
};

mod fetch;
mod held;
mod kept;
#[cfg(test)]
mod tests;

pub use fetch::{FetchError, Trust};
use held::{Change, Held};
use kept::Directory;

/// Most addresses asked for keys.
pub const SOURCES_MAX: usize = 256;
/// How long keys are good before they are fetched again.
pub const REFRESH: Duration = Duration::from_secs(300);
/// How much longer keys are kept that cannot be fetched again.
pub const KEPT_MAX: Duration = Duration::from_secs(3_600);
/// First pause after a failure; it doubles with each.
pub const BACKOFF_MIN: Duration = Duration::from_secs(1);
/// Longest pause after a failure while the last good keys are there.
pub const BACKOFF_MAX: Duration = Duration::from_secs(60);
/// Longest pause after a failure without keys: nobody with a token is served meanwhile.
pub const BACKOFF_EMPTY_MAX: Duration = Duration::from_secs(5);
/// How long a fetch may take, from the name to the last byte, unless a document says otherwise.
pub const TIMEOUT: Duration = Duration::from_secs(5);
/// Shortest time that a document may give.
pub const TIMEOUT_MIN: Duration = Duration::from_secs(1);
/// Longest time that a document may give.
pub const TIMEOUT_MAX: Duration = Duration::from_secs(30);
/// Fetches at once.
const FETCHES_MAX: usize = 8;
/// How often it is looked whether something is due.
const LOOK: Duration = Duration::from_secs(1);

/// Where a key set comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// `https://…`, as documents name it.
    pub address: String,
    /// What it may be besides a public address.
    pub inside: Inside,
    /// How long a fetch may take.
    pub timeout: Duration,
}

/// How far inside the own network an address of keys may lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Inside {
    /// Not at all.
    Nowhere,
    /// On this machine.
    Loopback,
    /// On this machine or in a private network.
    Private,
}

/// What is known about the keys at an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The address.
    pub address: String,
    /// Ids of the keys, those without one as their type; empty when there are none.
    pub keys: Vec<String>,
    /// When they were fetched, milliseconds since the Unix epoch.
    pub fetched_ms: Option<u64>,
    /// When they are given up if they cannot be fetched again.
    pub good_until_ms: Option<u64>,
    /// Since when fetching fails.
    pub failing_since_ms: Option<u64>,
    /// Why it last failed.
    pub error: Option<String>,
}

/// All key sets that the model in force needs.
pub struct Keys {
    held: Mutex<BTreeMap<String, Held>>,
    directory: Directory,
    wake: Notify,
    slots: Arc<Semaphore>,
}

impl Keys {
    /// With what `directory` keeps from before; it is made when there is something to keep.
    pub fn open(directory: PathBuf) -> Self {
        Self {
            held: Mutex::default(),
            directory: Directory(directory),
            wake: Notify::new(),
            slots: Arc::new(Semaphore::new(FETCHES_MAX)),
        }
    }

    /// Says which are needed from now on: others are forgotten, new ones taken up from before a restart or fetched at once.
    pub fn want(&self, sources: &[Source], now_ms: u64) {
        let mut held = self.lock();
        held.retain(|address, _| sources.iter().any(|source| source.address == *address));
        for source in sources {
            match held.get_mut(&source.address) {
                Some(one) if one.source == *source => {}
                // Whoever narrows where an address may lie means the keys that came from there as well.
                Some(one) if one.source.inside > source.inside => *one = Held::new(source.clone(), now_ms),
                Some(one) => one.source = source.clone(),
                None => {
                    let mut one = Held::new(source.clone(), now_ms);
                    if let Some((keys, fetched_ms)) = self.directory.read(source) {
                        one.take_up(keys, fetched_ms, now_ms);
                    }
                    held.insert(source.address.clone(), one);
                }
            }
        }
        self.wake.notify_one();
    }

    /// An instance came: it may be the very one that serves the keys, so those that are missing and lie inside are asked
    /// for at once.
    pub fn hurry(&self, now_ms: u64) {
        self.lock().values_mut().for_each(|one| one.hurry(now_ms));
        self.wake.notify_one();
    }

    /// The keys there are.
    pub fn sets(&self) -> KeySets {
        let held = self.lock();
        held.iter().filter_map(|(address, one)| Some((address.clone(), one.keys()?.to_owned()))).collect()
    }

    /// What is known, by address.
    pub fn statuses(&self) -> BTreeMap<String, Status> {
        self.lock().iter().map(|(address, one)| (address.clone(), one.status())).collect()
    }

    /// What is to be fetched now; it counts as under way until [`Keys::fetched`].
    fn due(&self, now_ms: u64) -> Vec<Source> {
        self.lock().values_mut().filter_map(|one| one.begin(now_ms)).collect()
    }

    /// Takes the outcome of a fetch. An outcome for what nobody needs any more, or needs otherwise, is nothing.
    fn fetched(&self, source: &Source, outcome: Result<String, String>, now_ms: u64) -> Change {
        match self.lock().get_mut(&source.address) {
            Some(one) => one.end(source, outcome, now_ms),
            None => Change::Nothing,
        }
    }

    /// Gives up what is too old: the addresses.
    fn give_up(&self, now_ms: u64) -> Vec<String> {
        self.lock().iter_mut().filter_map(|(address, one)| one.give_up(now_ms).then(|| address.clone())).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Held>> {
        // Nothing is half written while it is held.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Plane {
    /// Fetches keys when they are due and tells the proxies; runs until drained.
    pub async fn follow_keys(self: Arc<Self>) {
        let drain = self.tasks.drain().clone();
        let trust = Arc::new(Trust::default());
        loop {
            self.look_at_keys(&trust).await;
            tokio::select! {
                () = self.keys.wake.notified() => {}
                () = tokio::time::sleep(LOOK) => {}
                () = drain.stopping() => return,
            }
        }
    }

    /// One look: what is due is fetched in tasks of its own, so that a slow issuer keeps nobody else waiting.
    pub(crate) async fn look_at_keys(self: &Arc<Self>, trust: &Arc<Trust>) {
        let gone = self.keys.give_up(self.clock.unix_ms());
        if !gone.is_empty() {
            self.join_again();
        }
        for address in gone {
            warn!(address, "keys given up: every token of this issuer is refused until they can be fetched");
            self.note_keys("keys-given-up", &address, "could not be fetched for too long".to_owned()).await;
        }
        for source in self.keys.due(self.clock.unix_ms()) {
            let (plane, trust) = (self.clone(), trust.clone());
            self.tasks.spawn(async move {
                let Ok(_slot) = plane.keys.slots.clone().acquire_owned().await else { return };
                let drain = plane.tasks.drain().clone();
                tokio::select! {
                    () = plane.fetch_keys(&source, &trust) => {}
                    () = drain.stopping() => {}
                }
            });
        }
    }

    async fn fetch_keys(&self, source: &Source, trust: &Arc<Trust>) {
        let Some(current) = self.current() else { return };
        let outcome = fetch::fetch(source, trust, &current.issuer, &self.clock).await;
        let address = source.address.as_str();
        let outcome = outcome.map_err(|error| chain(&error));
        let now = self.clock.unix_ms();
        match self.keys.fetched(source, outcome.clone(), now) {
            Change::Nothing => {}
            Change::Again => self.keep_keys(source, outcome.ok(), now).await,
            Change::New { before, keys } => {
                self.join_again();
                let action = if before.is_empty() { "keys-fetched" } else { "keys-rotated" };
                let detail = if before.is_empty() {
                    keys.join(", ")
                } else {
                    format!("{} for {}", keys.join(", "), before.join(", "))
                };
                info!(
                    address,
                    keys = keys.join(", "),
                    before = before.join(", "),
                    "keys of an issuer of tokens fetched"
                );
                self.note_keys(action, address, detail).await;
                self.keep_keys(source, outcome.ok(), now).await;
            }
            Change::Failed { first, have, error } => {
                let what =
                    if have { "the last good ones stay for now" } else { "every token of this issuer is refused" };
                warn!(address, error, "keys not fetched: {what}");
                if first {
                    self.note_keys("keys-failed", address, error).await;
                }
            }
        }
    }

    async fn keep_keys(&self, source: &Source, keys: Option<String>, now_ms: u64) {
        let Some(keys) = keys else { return };
        let (directory, source) = (self.keys.directory.clone(), source.clone());
        let kept = tokio::task::spawn_blocking(move || directory.write(&source, &keys, now_ms)).await;
        // They are in force all the same; only a restart without the issuer would miss them.
        if let Ok(Err(error)) = kept {
            warn!(error = chain(&error), "keys of an issuer are not kept for a restart");
        }
    }

    async fn note_keys(&self, action: &str, address: &str, detail: String) {
        let event = Event {
            time_ms: now_ms(&self.clock),
            actor: "ward-control".to_owned(),
            action: action.to_owned(),
            subject: address.to_owned(),
            revision: self.current().map_or(0, |current| current.revision),
            detail,
        };
        if let Err(error) = self.store.put_event(&event).await {
            warn!(error = chain(&error), action, address, "event not stored");
        }
    }
}
