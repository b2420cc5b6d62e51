//! What the control plane keeps: revisions, join tokens, instances, facts, verify runs. The trait is what the rest of the
//! crate sees; `sqlite` is the embedded backend. A write is whole or not at all, and never acknowledged before it is stored.
use std::collections::BTreeMap;

use model::SourceFile;
use serde::{Deserialize, Serialize};

mod sqlite;
#[cfg(test)]
mod tests;

pub use sqlite::SqliteStore;

/// Decisions kept at most of each share, the oldest go first: what strict and critical flows let through is one, all else
/// the other, so that a flood of refusals cannot crowd out what must be kept.
pub const DECISIONS_MAX: u64 = 100_000;
/// Decisions older than this are dropped, milliseconds.
pub const DECISION_AGE_MAX_MS: i64 = 30 * 24 * 3_600_000;
/// Rows of flow counts one node may own; a further peer is counted under the empty source.
pub const FLOW_ROWS_PER_NODE_MAX: i64 = 4_096;
/// Width of a rate bucket, milliseconds.
pub const BUCKET_MS: i64 = 10_000;
/// Rate buckets older than this are dropped, milliseconds.
pub const BUCKET_AGE_MAX_MS: i64 = 600_000;
/// Verify runs kept.
pub const VERIFY_RUNS_MAX: i64 = 50;
/// Operator and join events kept; the oldest go first.
pub const EVENTS_MAX: i64 = 100_000;

/// Why the store did not do what it was asked. Whatever the variant: nothing was stored.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No space left where the database lives.
    #[error("the disk that holds {path} is full; nothing was stored: free some space and try again")]
    Full {
        /// Database file.
        path: String,
        /// What the database said.
        #[source]
        source: sqlx::Error,
    },
    /// The database cannot be opened.
    #[error("cannot open the state database {path}")]
    Open {
        /// Database file.
        path: String,
        /// What the database said.
        #[source]
        source: sqlx::Error,
    },
    /// The file cannot be made or is not ours.
    #[error("cannot make the state database {path}")]
    File {
        /// Database file.
        path: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The database was written by a newer Ward.
    #[error("the state database {path} has version {found}, this program knows {known}: use the newer ward-control")]
    Version {
        /// Database file.
        path: String,
        /// Version in the file.
        found: i64,
        /// Version of this program.
        known: i64,
    },
    /// Another control plane stored this revision first.
    #[error("revision {0} was stored by another control plane; read the model again and retry")]
    Conflict(u64),
    /// A row cannot be read back.
    #[error("the state database holds a {what} that cannot be read")]
    Corrupt {
        /// Which kind of row.
        what: &'static str,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// Anything else the database said.
    #[error("the state database failed while it {doing}; nothing was stored")]
    Database {
        /// What we were doing.
        doing: &'static str,
        /// What the database said.
        #[source]
        source: sqlx::Error,
    },
}

/// A stored model: the documents as they were applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision {
    /// From 1, rising by one.
    pub number: u64,
    /// When it was stored, milliseconds since the Unix epoch.
    pub time_ms: i64,
    /// The documents.
    pub files: Vec<SourceFile>,
}

/// From which revision on a node's own configuration is what it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeDigest {
    /// Hash of what the model says about the node, hex.
    pub digest: String,
    /// First revision with this hash.
    pub since: u64,
}

/// A revision to store: all of it in one transaction.
#[derive(Debug)]
pub struct NewRevision<'a> {
    /// Must be the latest plus one.
    pub number: u64,
    /// Now.
    pub time_ms: i64,
    /// The documents.
    pub files: &'a [SourceFile],
    /// Digest of every node in it.
    pub digests: &'a BTreeMap<String, NodeDigest>,
    /// Who did it.
    pub event: &'a Event,
}

/// Something an operator or a joining workload did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Event {
    /// Milliseconds since the Unix epoch.
    pub time_ms: i64,
    /// `uid 0`, or a SPIFFE ID.
    pub actor: String,
    /// apply, token-create, join, verify, …
    pub action: String,
    /// What it was done to.
    pub subject: String,
    /// The revision in force or made.
    pub revision: u64,
    /// More, in words.
    pub detail: String,
}

/// A join token as it is kept: never the secret itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRow {
    /// The public part.
    pub id: String,
    /// The node it lets join.
    pub node: String,
    /// SHA-256 of the secret.
    pub secret_sha256: Vec<u8>,
    /// Joins left.
    pub uses_left: u32,
    /// First moment at which it is refused, milliseconds since the Unix epoch.
    pub expires_ms: i64,
}

/// An instance of a node, as last heard of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InstanceRow {
    /// `orders/0`.
    pub instance: String,
    /// `orders`.
    pub node: String,
    /// Where peers reach it, `ip:port`.
    pub mesh_address: String,
    /// netns, loopback or host.
    pub isolation: String,
    /// Version of its proxy.
    pub version: String,
    /// Whether callers are sent to it.
    pub serving: bool,
    /// When it last said hello, milliseconds since the Unix epoch.
    pub hello_ms: i64,
    /// Last revision it holds whole; 0 is none.
    pub acked: u64,
    /// Why it refused the last configuration; empty when it did not.
    pub nack: String,
    /// End of its SVID, seconds since the Unix epoch; 0 is unknown.
    pub svid_not_after: i64,
}

/// Requests of one kind, summed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowCountRow {
    /// Node that decided.
    pub node: String,
    /// SPIFFE ID of the peer; empty when it has none.
    pub source: String,
    /// Flow that allowed; empty when denied.
    pub flow: String,
    /// Port of the node.
    pub port: u16,
    /// Whether they were let through.
    pub allowed: bool,
    /// http or tcp.
    pub protocol: String,
    /// How many.
    pub requests: u64,
    /// Of these, how many ended with status 500 and above.
    pub errors: u64,
    /// Bytes received from the peer.
    pub bytes_in: u64,
    /// Bytes sent to the peer.
    pub bytes_out: u64,
    /// Sum of durations, microseconds.
    pub duration_us: u64,
    /// Last report, milliseconds since the Unix epoch.
    pub last_seen_ms: i64,
    /// Requests in the last whole minute of buckets.
    pub last_minute: u64,
}

/// A decision with the facts it was made from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecisionRow {
    /// 26 characters.
    pub id: String,
    /// Node that decided.
    pub node: String,
    /// Its instance.
    pub instance: String,
    /// Milliseconds since the Unix epoch.
    pub time_ms: i64,
    /// Revision of the node's configuration.
    pub revision: u64,
    /// SPIFFE ID of the peer.
    pub principal: String,
    /// Method.
    pub method: String,
    /// Normalized path.
    pub path: String,
    /// Host.
    pub host: String,
    /// Port.
    pub port: u16,
    /// http or tcp.
    pub protocol: String,
    /// Address of the peer.
    pub source_ip: String,
    /// Headers that a policy reads.
    pub headers: Vec<(String, String)>,
    /// Whether it was let through.
    pub allowed: bool,
    /// Reason code.
    pub reason: String,
    /// Deciding policy, `ns/name`.
    pub policy: String,
    /// Flow, when allowed.
    pub flow: String,
    /// Server name of the TLS handshake.
    pub sni: String,
    /// X-Request-Id.
    pub request_id: String,
    /// Status sent.
    pub status: u16,
    /// Made on a request of `ward verify`.
    #[serde(default)]
    pub probe: bool,
    /// Claims of the accepted token that policies read, with `iss` and `sub`, JSON; empty without one.
    #[serde(default)]
    pub claims: String,
    /// Issuer of the token, of a refused one too.
    #[serde(default)]
    pub token_issuer: String,
    /// Address of the original caller; empty when nobody told.
    #[serde(default)]
    pub remote_ip: String,
    /// Local address that the request came to.
    #[serde(default)]
    pub destination_ip: String,
    /// `strict` or `critical`, when a flow of that level let the request through; else empty.
    #[serde(default)]
    pub audit: String,
    /// With audit `strict` and `critical`: every other header but credentials.
    #[serde(default)]
    pub context: Vec<(String, String)>,
    /// With audit `strict` and `critical`: what became of the request, once it is known.
    #[serde(default)]
    pub outcome: Option<OutcomeRow>,
}

/// What became of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutcomeRow {
    /// Status sent to the caller.
    pub status: u16,
    /// Envoy's response flag; `-` when all went well.
    pub flag: String,
    /// Bytes received from the peer.
    pub bytes_in: u64,
    /// Bytes sent to the peer.
    pub bytes_out: u64,
    /// How long it took, microseconds.
    pub duration_us: u64,
}

/// Decisions of one kind, counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DecisionCount {
    /// Reason code.
    pub reason: String,
    /// Node that decided.
    pub node: String,
    /// Whether they were let through.
    pub allowed: bool,
    /// How many are recorded.
    pub count: u64,
    /// The newest, milliseconds since the Unix epoch.
    pub last_ms: i64,
    /// Its id.
    pub last_id: String,
}

/// Which decisions to list.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DecisionFilter {
    /// Only denials, or only what was allowed.
    pub allowed: Option<bool>,
    /// Only with this reason code.
    pub reason: Option<String>,
    /// Only of this policy, `<namespace>/<name>`.
    pub policy: Option<String>,
    /// Only of this deciding node.
    pub node: Option<String>,
    /// Only of this flow.
    pub flow: Option<String>,
    /// Also those made on Ward's own probes.
    pub probes: bool,
    /// At most this many, newest first; 100 unless told, at most 1,000.
    pub limit: Option<u32>,
    /// Only older than this moment, milliseconds since the Unix epoch.
    pub before_ms: Option<i64>,
}

/// What one report message brought.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Increments.
    pub counts: Vec<FlowCountRow>,
    /// Decisions; already stored ids are left alone.
    pub decisions: Vec<DecisionRow>,
    /// What became of requests, by the id of a decision of this instance; one that is not stored is left out.
    pub outcomes: Vec<(String, OutcomeRow)>,
    /// Who reports.
    pub instance: String,
}

/// A verify run: what was probed and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyRow {
    /// Its id.
    pub id: String,
    /// Start, milliseconds since the Unix epoch.
    pub started_ms: i64,
    /// End; 0 while it runs.
    pub finished_ms: i64,
    /// Revision it ran against.
    pub revision: u64,
    /// running, done, interrupted.
    pub state: String,
    /// The results, JSON.
    pub results: String,
}

/// Where the control plane keeps its state. Every method is one transaction; an error means nothing of it was stored.
#[tonic::async_trait]
pub trait Store: Send + Sync + 'static {
    /// The model in force.
    async fn latest_revision(&self) -> Result<Option<Revision>, StoreError>;
    /// An earlier model.
    async fn revision(&self, number: u64) -> Result<Option<Revision>, StoreError>;
    /// Stores documents, digests and event together.
    async fn put_revision(&self, new: NewRevision<'_>) -> Result<(), StoreError>;
    /// Digests of the nodes of the latest revision.
    async fn node_digests(&self) -> Result<BTreeMap<String, NodeDigest>, StoreError>;

    /// Adds an event by itself.
    async fn put_event(&self, event: &Event) -> Result<(), StoreError>;
    /// The newest events first.
    async fn events(&self, limit: u32) -> Result<Vec<Event>, StoreError>;

    /// Adds a token, with the event of its making.
    async fn put_token(&self, token: &TokenRow, event: &Event) -> Result<(), StoreError>;
    /// Finds a token by its public part.
    async fn token(&self, id: &str) -> Result<Option<TokenRow>, StoreError>;
    /// Takes one use if one is left and the token has not expired, with its event. False: nothing taken.
    async fn take_token(&self, id: &str, now_ms: i64, event: &Event) -> Result<bool, StoreError>;

    /// Adds or replaces an instance, except what it acked.
    async fn put_instance(&self, row: &InstanceRow) -> Result<(), StoreError>;
    /// Callers are no longer sent to this instance.
    async fn instance_gone(&self, instance: &str) -> Result<(), StoreError>;
    /// What the instance said of its configuration.
    async fn put_ack(&self, instance: &str, acked: u64, nack: &str) -> Result<(), StoreError>;
    /// Every instance ever heard of.
    async fn instances(&self) -> Result<Vec<InstanceRow>, StoreError>;
    /// Forgets instances of nodes that are not among these.
    async fn keep_instances_of(&self, nodes: &[String]) -> Result<(), StoreError>;

    /// Adds counts, decisions and outcomes. Durable when it returns if there are decisions or outcomes among them.
    async fn put_facts(&self, facts: &Facts, now_ms: i64) -> Result<(), StoreError>;
    /// Sums since the beginning and over the last minute.
    async fn flow_counts(&self, now_ms: i64) -> Result<Vec<FlowCountRow>, StoreError>;
    /// Decisions, newest first.
    async fn decisions(&self, filter: &DecisionFilter) -> Result<Vec<DecisionRow>, StoreError>;
    /// How many decisions there are of each reason and node, most first; the limit is not looked at.
    async fn decision_counts(&self, filter: &DecisionFilter) -> Result<Vec<DecisionCount>, StoreError>;
    /// One decision.
    async fn decision(&self, id: &str) -> Result<Option<DecisionRow>, StoreError>;

    /// Adds or replaces a run.
    async fn put_verify(&self, row: &VerifyRow) -> Result<(), StoreError>;
    /// One run.
    async fn verify(&self, id: &str) -> Result<Option<VerifyRow>, StoreError>;
    /// The last finished run.
    async fn last_verify(&self) -> Result<Option<VerifyRow>, StoreError>;

    /// Drops what is beyond the limits named in this module.
    async fn prune(&self, now_ms: i64) -> Result<(), StoreError>;
    /// Waits for what is under way and closes.
    async fn close(&self);
}
