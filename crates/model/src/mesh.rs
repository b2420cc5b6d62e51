//! The model after every check: zones, data, nodes and flows whose references are known to hold.
use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use crate::{
    Name, SpiffeId, TrustDomain,
    allow::{AllowEntry, PathPattern, Segment},
    issuer::{Issuer, TokenNeed},
    istio::{AuthorizationPolicy, RequestAuthentication},
};

mod words;

pub use words::Words;

/// A whole, cross-checked model. Invariant: every reference by name resolves; made only by `load`.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// `model:`.
    pub name: Name,
    /// `trust_domain:`, default `<model>.ward.internal`.
    pub trust_domain: TrustDomain,
    /// `mesh:`.
    pub mesh: Mesh,
    /// `zones:`.
    pub zones: BTreeMap<Name, Zone>,
    /// `data:`.
    pub data: BTreeMap<Name, Data>,
    /// `nodes:`.
    pub nodes: BTreeMap<Name, Node>,
    /// `flows:`, in the order written.
    pub flows: Vec<Flow>,
    /// `waivers:`.
    pub waivers: Vec<Waiver>,
    /// `emergencies:`.
    pub emergencies: BTreeMap<Name, Emergency>,
    /// `invariants:`.
    pub invariants: Vec<Invariant>,
    /// `tests:`.
    pub tests: Vec<PolicyTest>,
    /// Hand-written AuthorizationPolicies beside `ward.yaml` (DENY, CUSTOM and AUDIT; ALLOW is refused by `load`).
    pub policies: Vec<AuthorizationPolicy>,
    /// Hand-written RequestAuthentications beside `ward.yaml`.
    pub authentications: Vec<RequestAuthentication>,
}

/// `mesh:` settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mesh {
    /// Lifetime of a workload's SVID; default 24 h.
    pub svid_ttl: Duration,
    /// Minimum TLS version between sidecars: always 1.3 today.
    pub tls_min: String,
    /// TLS 1.3 suites, empty for the default.
    pub tls_suites: Vec<String>,
    /// Key exchange groups, empty for the default.
    pub tls_groups: Vec<String>,
    /// Root namespace; default `ward-system`.
    pub root_namespace: Name,
    /// Trust-domain aliases.
    pub aliases: Vec<TrustDomain>,
    /// Enforce or dry-run.
    pub mode: Mode,
    /// `compat: istio`.
    pub compat_istio: bool,
    /// Issuers of tokens.
    pub issuers: BTreeMap<Name, Issuer>,
}

/// Enforce decisions or only record them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Mode {
    /// Refuse what is not allowed.
    #[default]
    Enforce,
    /// Record what would be refused.
    DryRun,
}

/// How far a zone is trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trust {
    /// Not at all: the internet.
    None,
    /// The default.
    Low,
    /// Hardened.
    High,
}

/// A trust boundary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    /// Enclosing zone.
    pub parent: Option<Name>,
    /// Own or inherited trust.
    pub trust: Trust,
    /// Own or inherited region.
    pub region: Option<String>,
    /// What it demands of its nodes, or the zones around it do: `mfa` of who administers them.
    pub requires: Vec<String>,
}

/// How much a datum matters, least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Anyone may read it.
    Public,
    /// Inside the organisation.
    Internal,
    /// Named people and services.
    Confidential,
    /// Regulated.
    Restricted,
    /// A credential.
    Secret,
}

impl Class {
    /// As models write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Internal => "internal",
            Self::Confidential => "confidential",
            Self::Restricted => "restricted",
            Self::Secret => "secret",
        }
    }
}

/// Something that flows or is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Data {
    /// Its class.
    pub class: Class,
    /// What kind of datum: pan, email, health, …
    pub of: Option<String>,
    /// `person` or `child`.
    pub about: Option<String>,
    /// `encrypt: required`.
    pub encrypt_required: bool,
    /// The datum this one is a copy of.
    pub copy_of: Option<Name>,
    /// Nodes a secret opens.
    pub opens: Vec<Name>,
    /// Lifetime of a secret.
    pub ttl: Option<Duration>,
    /// Regions it may be in.
    pub residency: Vec<String>,
    /// How long it may be kept.
    pub retention: Option<Duration>,
    /// The least audit level of the flows it moves on.
    pub audit: Option<Audit>,
}

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeKind {
    /// A person, organisation or foreign system.
    Party,
    /// Something that runs.
    Service,
    /// Something that keeps data.
    Store,
}

/// A node for which ward-proxy itself is the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Receives parties.
    Gateway,
    /// Sends to the outside.
    Egress,
}

/// Protocol of a served port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// HTTP/1.1 or HTTP/2.
    Http,
    /// gRPC: HTTP/2.
    Grpc,
    /// Opaque bytes.
    Tcp,
    /// Opaque TLS.
    Tls,
    /// PostgreSQL: carried as TCP.
    Postgres,
}

impl Protocol {
    /// As models write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Grpc => "grpc",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Postgres => "postgres",
        }
    }

    /// Whether requests can be seen: `http` and `grpc`.
    pub fn is_http(self) -> bool {
        matches!(self, Self::Http | Self::Grpc)
    }
}

/// A port a node serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Serve {
    /// 1 to 65535.
    pub port: u16,
    /// What is spoken there.
    pub protocol: Protocol,
}

/// TLS of a gateway listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenTls {
    /// Certificate issued by Ward's CA.
    Auto,
    /// Plain text.
    None,
    /// PEM files.
    Files {
        /// Certificate chain.
        cert: String,
        /// Private key.
        key: String,
    },
}

/// A gateway's listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// 1 to 65535.
    pub port: u16,
    /// Host names it answers; lower case.
    pub hosts: Vec<String>,
    /// Its TLS.
    pub tls: ListenTls,
}

/// How Ward starts a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Program and arguments; relative programs are relative to the model directory.
    pub command: Vec<String>,
    /// Extra environment.
    pub env: BTreeMap<String, String>,
    /// Operating-system user to run as.
    pub user: Option<String>,
    /// How many instances, at least 1.
    pub replicas: u32,
}

/// How callers prove themselves to a node, or how a party does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Auth {
    /// Not at all.
    None,
    /// A password.
    Password,
    /// A static key.
    Key,
    /// A bearer token.
    Token,
    /// A cloud's IAM.
    Iam,
    /// Kubernetes RBAC.
    Rbac,
    /// AWS Signature Version 4.
    Sigv4,
    /// A session token (IMDSv2).
    SessionToken,
    /// A client certificate.
    Mtls,
    /// A JWT.
    Jwt,
    /// OpenID Connect.
    Oidc,
}

/// Encryption at rest of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AtRest {
    /// None.
    None,
    /// Base64 and the like, which is not encryption.
    Encoding,
    /// The volume.
    Volume,
    /// A key-management service.
    Kms,
}

/// A party, service or store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its kind.
    pub kind: NodeKind,
    /// Its zone.
    pub zone: Name,
    /// Its namespace; default the zone's name.
    pub namespace: Name,
    /// Whether ward-proxy itself is the node.
    pub role: Option<Role>,
    /// Gateway listeners.
    pub listen: Vec<Listen>,
    /// Served ports; default `http 8080` for services and stores, none for parties and roles.
    pub serves: Vec<Serve>,
    /// How it is started.
    pub run: Option<Run>,
    /// How a node that Ward does not start is attested (`token`, …).
    pub attest: Option<String>,
    /// Addresses of a node outside Ward.
    pub endpoints: Vec<String>,
    /// Zones whose members can open a connection.
    pub exposed_to: Vec<Name>,
    /// Administration or login port.
    pub port: Option<u16>,
    /// waf, rate, oidc, mfa.
    pub guards: Vec<String>,
    /// How callers prove themselves.
    pub auth: Option<Auth>,
    /// A party's public keys.
    pub keys: Vec<String>,
    /// Encryption at rest.
    pub at_rest: Option<AtRest>,
    /// Data it keeps.
    pub holds: Vec<Name>,
    /// Data it reads.
    pub reads: Vec<Name>,
    /// `privilege: admin`.
    pub admin: bool,
    /// Whether it is an attacker.
    pub hostile: bool,
    /// Whether it keeps logs.
    pub logs: Option<bool>,
    /// Whether its credentials are rotated.
    pub rotates: Option<bool>,
    /// Stakeholder group.
    pub stakeholder: Option<String>,
    /// Own mode.
    pub mode: Option<Mode>,
}

impl Node {
    /// A node is under Ward if it has `run`, `attest` or `role` (DESIGN §2, coverage is computed).
    pub fn under_ward(&self) -> bool {
        self.run.is_some() || self.attest.is_some() || self.role.is_some()
    }
}

/// How much of a flow is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Audit {
    /// Counted.
    Low,
    /// Denials recorded. The default.
    #[default]
    Medium,
    /// Every decision recorded.
    High,
    /// Every decision with full context; no record, no request.
    Strict,
    /// As strict.
    Critical,
}

/// Who may send what to whom, and under which guarantees.
#[derive(Clone, Debug, PartialEq)]
pub struct Flow {
    /// Unique id.
    pub id: Name,
    /// Source node.
    pub from: Name,
    /// Target node.
    pub to: Name,
    /// Data sent.
    pub carries: Vec<Name>,
    /// Data returned.
    pub returns: Vec<Name>,
    /// When, e.g. `daily`.
    pub schedule: Option<String>,
    /// Active only under an open emergency.
    pub standby: bool,
    /// Guarantees.
    pub via: Via,
}

/// `via:`: what is enforced, observed and tested of a flow.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Via {
    /// `None`: any request; `Some([])`: none.
    pub allow: Option<Vec<AllowEntry>>,
    /// One served port; else all.
    pub port: Option<u16>,
    /// Audit level.
    pub audit: Option<Audit>,
    /// Deadline of a request until the response head.
    pub timeout: Option<Duration>,
    /// Prefix stripped by the gateway.
    pub rewrite: Option<String>,
    /// Declared limit, e.g. `50/s`.
    pub limit: Option<String>,
    /// Whether preflight requests pass.
    pub cors: bool,
    /// Whether a token is needed; absent is what the party proves itself with.
    pub jwt: Option<TokenNeed>,
    /// The remaining words, as written: auth, tls, mtls, ssh, local, transform, region.
    pub words: Words,
}

impl Via {
    /// The path of an `allow` entry as the target receives it: without the prefix that `rewrite` takes off.
    pub fn received_path(&self, path: &PathPattern) -> PathPattern {
        let stripped = self.rewrite.as_deref().map_or(0, |prefix| prefix.split('/').filter(|s| !s.is_empty()).count());
        let rest = path.segments.get(stripped..).unwrap_or_default();
        // The prefix itself is received as `/`.
        let segments = if rest.is_empty() { vec![Segment::Literal(String::new())] } else { rest.to_vec() };
        PathPattern { segments }
    }
}

/// An accepted risk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiver {
    /// Unique id.
    pub id: String,
    /// `rule@subject`, globs.
    pub accepts: String,
    /// Reason.
    pub why: String,
    /// Who answers for it.
    pub owner: String,
    /// Last day it holds.
    pub until: time::Date,
}

/// Flows that open only under approval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Emergency {
    /// Standby flows it opens.
    pub flows: Vec<Name>,
    /// How many approvers.
    pub approvers_any: u32,
    /// Which parties may approve.
    pub approvers_of: Vec<Name>,
    /// Longest opening.
    pub max: Duration,
    /// Audit level while open.
    pub audit: Audit,
    /// How often it must be drilled, and the day of the last drill.
    pub drill: Option<Drill>,
}

/// `drill:` of an emergency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drill {
    /// How often.
    pub every: Duration,
    /// When it was last done; none: never.
    pub last: Option<time::Date>,
}

/// `never: {data, reaches}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invariant {
    /// The datum.
    pub data: Name,
    /// A zone or node it must not reach.
    pub reaches: Name,
}

/// One entry of `tests:`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyTest {
    /// Source node.
    pub from: Name,
    /// Target node.
    pub to: Name,
    /// `METHOD PATH`, absent for TCP.
    pub request: Option<(String, String)>,
    /// Extra request headers.
    pub headers: Vec<(String, String)>,
    /// Claims of the validated token that the request carries.
    pub jwt: Option<serde_json::Value>,
    /// Target port, absent for the first served.
    pub port: Option<u16>,
    /// True when the request must be allowed.
    pub expect_allow: bool,
    /// Line in the file, from 1, for reports.
    pub line: usize,
}

impl Model {
    /// The SPIFFE ID of a node, when the model has it.
    pub fn spiffe_id(&self, node: &str) -> Option<SpiffeId> {
        let (name, found) = self.nodes.get_key_value(node)?;
        Some(SpiffeId::for_node(&self.trust_domain, &found.namespace, name))
    }

    /// Flows into a node, in the order written.
    pub fn flows_to<'a>(&'a self, node: &'a str) -> impl Iterator<Item = &'a Flow> {
        self.flows.iter().filter(move |f| f.to.as_str() == node)
    }

    /// Flows out of a node, in the order written.
    pub fn flows_from<'a>(&'a self, node: &'a str) -> impl Iterator<Item = &'a Flow> {
        self.flows.iter().filter(move |f| f.from.as_str() == node)
    }

    /// All flows by the node that they lead to, each node's in the order written: for who asks about every node.
    pub fn flows_by_target(&self) -> HashMap<&str, Vec<&Flow>> {
        let mut all: HashMap<&str, Vec<&Flow>> = HashMap::new();
        for flow in &self.flows {
            all.entry(flow.to.as_str()).or_default().push(flow);
        }
        all
    }

    /// The ports a flow may use: `via.port`, else every port its target serves.
    pub fn ports_of<'a>(&'a self, flow: &'a Flow) -> impl Iterator<Item = &'a Serve> {
        let serves = self.nodes.get(&flow.to).map_or(&[][..], |n| &n.serves);
        serves.iter().filter(move |s| flow.via.port.is_none_or(|p| p == s.port))
    }
}
