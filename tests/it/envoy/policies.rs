//! Policy sets: every field and its negation, every form of text, in any mixture. The vocabulary is small, so that policies
//! and requests meet.
use model::istio::{
    Action, AuthorizationPolicy, AuthorizationSpec, Condition, From, Metadata, Mtls, MtlsMode, Operation,
    PeerAuthentication, PeerSpec, Provider, Rule, Selector, Source, To,
};
use policy::Workload;

use super::{random::Random, tokens::Tokens};

const PRINCIPALS: &[&str] = &[
    "shop.example/ns/shop/sa/orders",
    "shop.example/ns/edge/sa/gateway",
    "shop.example/ns/pci/sa/ledger",
    "shop.example/ns/shop/sa/order.s",
    "cluster.local/ns/shop/sa/orders",
    "old.example/ns/shop/sa/orders",
    "partner.example/ns/shop/sa/orders",
    "shop.example/ns/shop/*",
    "shop.example/*",
    "partner.example/*",
    "shop.example/ns/shop/sa/or*",
    "*/sa/orders",
    "*/ns/shop/sa/orders",
    "*.example/ns/shop/sa/orders",
    "*-example/ns/shop/sa/orders",
    "*orders",
    "*",
];
const ODD_PRINCIPALS: &[&str] = &[
    "spiffe://shop.example/ns/shop/sa/orders",
    "*/ns/shop/sa/*",
    "sh*p.example/ns/shop/sa/orders",
    "sh*/ns/shop/sa/orders",
];
const NAMESPACES: &[&str] = &["shop", "edge", "pci", "a-*", "*-test", "*", "s*", "sho."];
const ODD_NAMESPACES: &[&str] = &["sh*p", "*h*"];
const ACCOUNTS: &[&str] = &["orders", "ledger", "shop/orders", "shop/order.s", "edge/gateway", "a-test/bad"];
const DOMAINS: &[&str] =
    &["shop.example", "old.example", "partner.example", "*.example", "shop*", "*", "cluster.local"];
const DIRECT: &[&str] = &[
    "127.0.0.1",
    "127.0.0.0/8",
    "127.0.1.0/24",
    "127.0.2.2/31",
    "10.0.0.0/8",
    "::1",
    "0.0.0.0/0",
    "::/0",
    "127.0.0.5/32",
];
const REMOTE: &[&str] = &[
    "203.0.113.0/24",
    "203.0.113.7",
    "198.51.100.0/25",
    "192.0.2.0/24",
    "2001:db8::/32",
    "2001:db8::7",
    "0.0.0.0/0",
    "::/0",
    "10.9.0.0/16",
];
const SUBJECTS: &[&str] = &[
    "https://idp.example/alice",
    "https://idp.example/*",
    "https://idp.example/al*",
    "issuer-two/bob",
    "issuer-two/*",
    "issuer-two/carol/x",
    "*",
    "*/alice",
    "*.example/alice",
    "*ob",
    "https*",
    "issuer-two",
];
const HOSTS: &[&str] = &[
    "svc",
    "svc.example",
    "Secret.example",
    "secret.example",
    "*.example",
    "*.Example",
    "svc*",
    "SECRET*",
    "*",
    "svc:8080",
    "svc.example:*",
    "secret.example.",
    "[2001:db8::1]",
];
const PORTS: &[&str] = &["80", "8080", "5432"];
const METHODS: &[&str] =
    &["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "*", "P*", "*T", "get", "PROPFIND"];
const PATHS: &[&str] = &[
    "/",
    "/admin",
    "/admin/",
    "/admin/*",
    "/admin*",
    "/ADMIN",
    "*.html",
    "*/info",
    "*",
    "/api/v1/items",
    "/api/*",
    "/api/{*}/items",
    "/api/{*}",
    "/api/{**}",
    "/{**}",
    "/api/{**}/end",
    "/{*}/info",
    "/public/*",
    "/a@b",
];
const ODD_PATHS: &[&str] = &[
    "//admin",
    "/x/../admin",
    "/admin;x=1",
    "/%61dmin",
    "/admin%2fx",
    "/admin?x",
    "admin",
    "/users/*/info",
    "/a%40b",
    "/admin%5cx",
    "/a|b",
    "/%7euser",
    "/~user",
];
const ROLES: &[&str] = &["admin", "user", "guest", "ad*", "*min", "*", "admin,user", "Admin"];
const WORDS: &[&str] = &["read", "write", "rea*", "*ite", "*", "admin"];
const SNI: &[&str] = &["svc.example", "secret.example", "*.example", "svc*", "*", "SVC.example"];

const DESTINATIONS: &[&str] = &["10.201.0.0/16", "10.202.0.0/16", "10.0.0.0/8", "192.0.2.0/24", "10.201.0.3", "::/0"];

/// Documents for one workload.
#[derive(Clone, Debug)]
pub(crate) struct Set {
    pub(crate) workload: Workload,
    pub(crate) policies: Vec<AuthorizationPolicy>,
    pub(crate) peers: Vec<PeerAuthentication>,
    pub(crate) tokens: Vec<model::istio::RequestAuthentication>,
}

impl Set {
    /// As a file that `ward policy check` reads.
    pub(crate) fn text(&self) -> String {
        let documents = self.policies.iter().map(|one| serde_json::to_string(one).unwrap());
        let documents = documents.chain(self.peers.iter().map(|one| serde_json::to_string(one).unwrap()));
        let documents = documents.chain(self.tokens.iter().map(|one| serde_json::to_string(one).unwrap()));
        documents.map(|document| format!("---\n{document}\n")).collect()
    }
}

/// Every generated set is for this workload.
fn workload() -> Workload {
    Workload {
        namespace: "shop".to_owned(),
        labels: [("app".to_owned(), "payments".to_owned()), ("tier".to_owned(), "back".to_owned())].into(),
        root_namespace: "ward-system".to_owned(),
        trust_domain: "shop.example".to_owned(),
        aliases: vec!["old.example".to_owned()],
    }
}

/// One set. `odd` adds values that Ward refuses or reads otherwise than Istio.
pub(crate) fn set(random: &mut Random, tokens: &Tokens, odd: bool) -> Set {
    let count = 1 + random.below(4);
    let policies = (0..count).map(|number| policy(random, number, odd)).collect();
    let mut peers = if random.percent(12) { vec![peer_authentication(random)] } else { Vec::new() };
    if random.percent(6) {
        peers.push(narrower(random));
    }
    let tokens = tokens.documents(random);
    Set { workload: workload(), policies, peers, tokens }
}

fn metadata(random: &mut Random, name: String) -> Metadata {
    let namespace = if random.percent(15) { "ward-system" } else { "shop" };
    Metadata { name, namespace: namespace.to_owned(), ..Metadata::default() }
}

fn selector(random: &mut Random) -> Option<Selector> {
    let labels: &[(&str, &str)] = match random.below(12) {
        0..=6 => return None,
        7 | 8 => &[("app", "payments")],
        9 => &[("app", "payments"), ("tier", "back")],
        10 => &[("app", "other")],
        _ => &[("app", "payments"), ("zone", "a")],
    };
    let match_labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Some(Selector { match_labels })
}

fn peer_authentication(random: &mut Random) -> PeerAuthentication {
    let mode = *random.pick(&[MtlsMode::Strict, MtlsMode::Permissive, MtlsMode::Disable, MtlsMode::Unset]);
    PeerAuthentication {
        api_version: "security.istio.io/v1".to_owned(),
        kind: "PeerAuthentication".to_owned(),
        metadata: metadata(random, "peers".to_owned()),
        spec: PeerSpec { selector: None, mtls: Some(Mtls { mode }), ..PeerSpec::default() },
    }
}

/// Another mode for the workload, or for single ports of it.
fn narrower(random: &mut Random) -> PeerAuthentication {
    let mut one = peer_authentication(random);
    one.metadata.name = "narrower".to_owned();
    one.metadata.namespace = "shop".to_owned();
    one.spec.selector = Some(Selector { match_labels: [("app".to_owned(), "payments".to_owned())].into() });
    for port in [80, 8080] {
        if random.percent(60) {
            let mode = *random.pick(&[MtlsMode::Strict, MtlsMode::Permissive, MtlsMode::Disable, MtlsMode::Unset]);
            one.spec.port_level_mtls.insert(port, Mtls { mode });
        }
    }
    one
}

fn policy(random: &mut Random, number: usize, odd: bool) -> AuthorizationPolicy {
    let action = match random.below(20) {
        0..=9 => Action::Allow,
        10..=16 => Action::Deny,
        17 | 18 => Action::Audit,
        _ => Action::Custom,
    };
    let custom = action == Action::Custom;
    let least = usize::from(custom);
    let rules = (0..least + random.below(3)).map(|_| rule(random, action, odd)).collect();
    let mut metadata = metadata(random, format!("p{number}"));
    if random.percent(8) {
        let word = if odd { *random.pick(&["true", "1", "yes"]) } else { "true" };
        metadata.annotations.insert("istio.io/dry-run".to_owned(), word.to_owned());
    }
    AuthorizationPolicy {
        api_version: "security.istio.io/v1".to_owned(),
        kind: "AuthorizationPolicy".to_owned(),
        metadata,
        spec: AuthorizationSpec {
            selector: selector(random),
            action,
            provider: custom.then(|| Provider { name: "none".to_owned() }),
            rules,
            ..AuthorizationSpec::default()
        },
    }
}

fn rule(random: &mut Random, action: Action, odd: bool) -> Rule {
    let custom = action == Action::Custom;
    let many = |random: &mut Random| *random.pick(&[0, 0, 1, 1, 1, 2]);
    let from = (0..many(random)).map(|_| From { source: source(random, custom, odd) }).collect();
    let to = (0..many(random)).map(|_| To { operation: operation(random, odd) }).collect();
    let when = (0..*random.pick(&[0, 0, 0, 1, 1, 2])).map(|_| condition(random, custom, odd)).collect();
    Rule { from, to, when }
}

/// Fills `values`, `not_values` or both.
fn fill(random: &mut Random, from: &[&str], values: &mut Vec<String>, not_values: &mut Vec<String>) {
    match random.below(8) {
        0..=4 => *values = random.some(from, 1, 3),
        5 | 6 => *not_values = random.some(from, 1, 2),
        _ => {
            *values = random.some(from, 1, 3);
            *not_values = random.some(from, 1, 2);
        }
    }
}

/// The usual values and, when asked, the odd ones among them.
fn with(usual: &'static [&'static str], more: &'static [&'static str], odd: bool) -> Vec<&'static str> {
    let more = if odd { more } else { &[] };
    usual.iter().chain(more).copied().collect()
}

fn source(random: &mut Random, custom: bool, odd: bool) -> Source {
    let mut source = Source::default();
    let s = &mut source;
    for _ in 0..*random.pick(&[1, 1, 1, 2]) {
        match if custom { 5 + random.below(2) } else { random.below(8) } {
            0 | 1 => {
                let from = with(PRINCIPALS, ODD_PRINCIPALS, odd);
                fill(random, &from, &mut s.principals, &mut s.not_principals);
            }
            2 => fill(random, &with(NAMESPACES, ODD_NAMESPACES, odd), &mut s.namespaces, &mut s.not_namespaces),
            3 if [&s.principals, &s.not_principals, &s.namespaces, &s.not_namespaces].iter().all(|l| l.is_empty()) => {
                fill(random, ACCOUNTS, &mut s.service_accounts, &mut s.not_service_accounts);
                // They stand beside neither principals nor namespaces.
                return source;
            }
            4 => fill(random, DOMAINS, &mut s.trust_domains, &mut s.not_trust_domains),
            5 => fill(random, DIRECT, &mut s.ip_blocks, &mut s.not_ip_blocks),
            6 => fill(random, REMOTE, &mut s.remote_ip_blocks, &mut s.not_remote_ip_blocks),
            _ => fill(random, SUBJECTS, &mut s.request_principals, &mut s.not_request_principals),
        }
    }
    source
}

fn operation(random: &mut Random, odd: bool) -> Operation {
    let mut operation = Operation::default();
    let o = &mut operation;
    for _ in 0..*random.pick(&[1, 1, 2, 3]) {
        match random.below(10) {
            0..=4 => fill(random, &with(PATHS, ODD_PATHS, odd), &mut o.paths, &mut o.not_paths),
            5 | 6 => fill(random, METHODS, &mut o.methods, &mut o.not_methods),
            7 | 8 => fill(random, HOSTS, &mut o.hosts, &mut o.not_hosts),
            _ => fill(random, PORTS, &mut o.ports, &mut o.not_ports),
        }
    }
    operation
}

fn condition(random: &mut Random, custom: bool, odd: bool) -> Condition {
    let everywhere: &[(&str, &[&str])] = &[
        ("source.ip", DIRECT),
        ("remote.ip", REMOTE),
        ("request.headers[x-role]", ROLES),
        ("request.headers[x-role]", ROLES),
        ("request.headers[X-Team]", ROLES),
        ("request.headers[:authority]", HOSTS),
        ("request.headers[host]", HOSTS),
        ("request.headers[:method]", METHODS),
        ("request.headers[x-absent]", ROLES),
        ("request.headers[x-claim-sub]", &["alice", "root", "*"]),
        ("request.headers[authorization]", &["*", "Bearer*"]),
        ("destination.ip", DESTINATIONS),
        ("destination.port", PORTS),
        ("connection.sni", SNI),
    ];
    let identities: &[(&str, &[&str])] = &[
        ("source.namespace", NAMESPACES),
        ("source.principal", PRINCIPALS),
        ("source.serviceAccount", ACCOUNTS),
        ("source.trustDomain", DOMAINS),
        ("request.auth.principal", SUBJECTS),
        ("request.auth.audiences", &["ward", "other", "wa*", "*"]),
        ("request.auth.presenter", &["app-1", "app*", "*"]),
        ("request.auth.claims[iss]", &["https://idp.example", "issuer-two"]),
        ("request.auth.claims[groups]", WORDS),
        ("request.auth.claims[scope]", WORDS),
        ("request.auth.claims[permission]", WORDS),
        ("request.auth.claims[spaced]", WORDS),
        ("request.auth.claims[realm][roles]", WORDS),
        ("request.auth.claims[realm][name]", WORDS),
        ("request.auth.claims[level]", &["7", "true", "*"]),
    ];
    let all: Vec<_> = if custom { everywhere.to_vec() } else { everywhere.iter().chain(identities).copied().collect() };
    let (key, from) = *random.pick(&all);
    let _ = odd;
    let mut condition = Condition { key: key.to_owned(), ..Condition::default() };
    fill(random, from, &mut condition.values, &mut condition.not_values);
    condition
}
