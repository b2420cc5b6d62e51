//! Reads `mesh`, zones, data and nodes. References are checked against the names that are declared anywhere, valid or
//! not, so that one mistake is one diagnostic.
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{
    Names,
    flows::AUDITS,
    problems::{At, Problems},
    read::{Fields, Item, list},
    tokens,
};
use crate::{
    AtRest, Auth, Class, Data, Listen, ListenTls, Mesh, Mode, Name, Node, NodeKind, Protocol, Role, Run, Serve, Trust,
    TrustDomain, Zone, closest,
    words::{self, Place, State},
};

/// Longest chain of zones in zones, or of copies of copies.
pub const CHAIN_MAX: usize = 32;
/// Most instances of a node.
pub const REPLICAS_MAX: u32 = 1_000;
/// Most ports a node serves or listens on.
pub const PORTS_MAX: usize = 64;
/// Shortest lifetime of an SVID.
pub const SVID_TTL_MIN: Duration = Duration::from_secs(10);
/// Longest lifetime of an SVID.
pub const SVID_TTL_MAX: Duration = Duration::from_secs(30 * 86_400);
/// Ports a sidecar takes for itself (15000 admin, 15001 HTTP proxy, 15008 mesh, 15012 control, 15100 and up upstreams).
pub const SIDECAR_PORTS: std::ops::RangeInclusive<u16> = 15_000..=15_999;

/// Environment variables that Ward sets for an application.
const OWN_ENV: [&str; 8] = [
    "PORT",
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "NO_PROXY",
    "no_proxy",
    "SPIFFE_ENDPOINT_SOCKET",
];

pub(crate) const AUTHS: &[(&str, Auth)] = &[
    ("none", Auth::None),
    ("password", Auth::Password),
    ("key", Auth::Key),
    ("token", Auth::Token),
    ("iam", Auth::Iam),
    ("rbac", Auth::Rbac),
    ("sigv4", Auth::Sigv4),
    ("session-token", Auth::SessionToken),
    ("mtls", Auth::Mtls),
    ("jwt", Auth::Jwt),
    ("oidc", Auth::Oidc),
];

const MODES: &[(&str, Mode)] = &[("enforce", Mode::Enforce), ("dry-run", Mode::DryRun)];

const PROTOCOLS: &[(&str, Protocol)] = &[
    ("http", Protocol::Http),
    ("grpc", Protocol::Grpc),
    ("tcp", Protocol::Tcp),
    ("tls", Protocol::Tls),
    ("postgres", Protocol::Postgres),
];

const SUITES: &[(&str, ())] =
    &[("TLS_AES_128_GCM_SHA256", ()), ("TLS_AES_256_GCM_SHA384", ()), ("TLS_CHACHA20_POLY1305_SHA256", ())];

const GROUPS: &[(&str, ())] = &[("X25519MLKEM768", ()), ("X25519", ()), ("secp256r1", ()), ("secp384r1", ())];

/// `ward: not enforced` for a word of the table, with what happens today.
pub(crate) fn warn_unless_enforced(p: &mut Problems<'_>, at: &At, place: Place, word: &str) {
    let Some(entry) = words::find(place, word).filter(|w| !w.today.is_empty()) else { return };
    let message = match entry.state {
        State::Enforced => return,
        State::NotYet => format!("`{word}` is declared and not enforced yet"),
        State::Described => format!("`{word}` is described, Ward does not enforce it"),
    };
    p.warn("not-enforced", at, message, format!("today {}", entry.today));
}

/// A reference to a noun; reports one that nothing declares.
pub(crate) fn reference(
    p: &mut Problems<'_>,
    item: &Item<'_>,
    code: &'static str,
    what: &str,
    known: &BTreeSet<&str>,
) -> Option<Name> {
    let text = p.text(item, &format!("the name of a {what}"))?;
    if known.contains(text) {
        // A declared name that is no DNS label was reported where it is declared.
        return p.named(text);
    }
    let help = match closest(text, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => format!("declare it under `{}`", section_of(what)),
        None if known.len() <= 12 => format!("declared are {}", list(&known.iter().copied().collect::<Vec<_>>())),
        None => format!("declare it under `{}`", section_of(what)),
    };
    p.error(code, &item.at(), format!("no {what} is named `{text}`"), help);
    None
}

fn section_of(what: &str) -> &'static str {
    match what {
        "zone" => "zones",
        "datum" => "data",
        "flow" => "flows",
        _ => "nodes",
    }
}

/// A list of references without repetition.
pub(crate) fn references(
    p: &mut Problems<'_>,
    item: Option<Item<'_>>,
    code: &'static str,
    what: &str,
    known: &BTreeSet<&str>,
) -> Vec<Name> {
    let Some(item) = item else { return Vec::new() };
    let mut names = Vec::new();
    for element in p.list(&item, &format!("names of {}", section_of(what))) {
        if let Some(name) = reference(p, &element, code, what, known)
            && !names.contains(&name)
        {
            names.push(name);
        }
    }
    names
}

/// A list of texts.
pub(crate) fn texts(p: &mut Problems<'_>, item: Option<Item<'_>>, what: &str) -> Vec<String> {
    let Some(item) = item else { return Vec::new() };
    let elements = p.list(&item, &format!("{what}s"));
    elements.iter().filter_map(|e| p.text(e, &format!("a {what}")).map(str::to_owned)).collect()
}

/// `trust_domain:`.
pub(crate) fn trust_domain(p: &mut Problems<'_>, item: &Item<'_>) -> Option<TrustDomain> {
    let text = p.text(item, "a trust domain")?;
    let found = TrustDomain::try_from(text.to_owned()).ok().filter(|_| is_host(text));
    if found.is_none() {
        let help = "use DNS labels of lower-case letters, digits and hyphens, as in `shop.example`".to_owned();
        p.error("bad-name", &item.at(), format!("`{text}` cannot name a trust domain"), help);
    }
    found
}

/// Whether a text can stand as a DNS name in a TLS handshake.
fn is_host(text: &str) -> bool {
    let label = |l: &str| {
        (1..=63).contains(&l.len())
            && l.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
            && !l.starts_with('-')
            && !l.ends_with('-')
    };
    let numeric = text.rsplit('.').next().is_some_and(|l| l.bytes().all(|b| b.is_ascii_digit()));
    text.len() <= 253 && text.split('.').all(label) && !numeric
}

/// `mesh:`; its defaults when it is not written.
pub(crate) fn mesh(p: &mut Problems<'_>, item: Option<Item<'_>>, own: Option<&TrustDomain>) -> Mesh {
    let mut mesh = Mesh {
        svid_ttl: Duration::from_secs(86_400),
        tls_min: "1.3".to_owned(),
        tls_suites: Vec::new(),
        tls_groups: Vec::new(),
        root_namespace: Name::known("ward-system"),
        aliases: Vec::new(),
        mode: Mode::Enforce,
        compat_istio: false,
        issuers: BTreeMap::new(),
    };
    let Some(item) = item else { return mesh };
    let allowed = [
        "svid_ttl",
        "tls",
        "root_namespace",
        "aliases",
        "federates_with",
        "issuers",
        "providers",
        "mode",
        "compat",
        "telemetry",
    ];
    let Some(fields) = p.fields(&item, "mesh", &allowed) else { return mesh };
    if let Some(item) = fields.get("svid_ttl")
        && let Some(ttl) = p.duration(&item)
    {
        if (SVID_TTL_MIN..=SVID_TTL_MAX).contains(&ttl) {
            mesh.svid_ttl = ttl;
        } else {
            let help = "an SVID lives from 10s to 30d; 24h is the default".to_owned();
            p.error("bad-value", &item.at(), "this lifetime is out of bounds".to_owned(), help);
        }
    }
    if let Some(item) = fields.get("tls")
        && let Some(tls) = p.fields(&item, "mesh.tls", &["min", "suites", "groups"])
    {
        if let Some(item) = tls.get("min")
            && p.text(&item, "a TLS version").is_some_and(|v| v != "1.3")
        {
            let help = "sidecars speak TLS 1.3 only: write \"1.3\" or leave it out".to_owned();
            p.error("weak-tls", &item.at(), "traffic between nodes cannot be weaker than TLS 1.3".to_owned(), help);
        }
        for (key, table, what, list) in [
            ("suites", SUITES, "a TLS 1.3 cipher suite", &mut mesh.tls_suites),
            ("groups", GROUPS, "a key exchange group", &mut mesh.tls_groups),
        ] {
            let Some(item) = tls.get(key) else { continue };
            warn_unless_enforced(p, &item.at_key(), Place::Mesh, &format!("tls.{key}"));
            for element in p.list(&item, what) {
                if p.word(&element, what, table).is_some() {
                    list.extend(element.scalar().map(str::to_owned));
                }
            }
        }
    }
    if let Some(name) = fields.get("root_namespace").and_then(|i| p.name(&i, "a namespace")) {
        mesh.root_namespace = name;
    }
    if let Some(item) = fields.get("aliases") {
        for element in p.list(&item, "trust domains") {
            let Some(alias) = trust_domain(p, &element) else { continue };
            if Some(&alias) == own || mesh.aliases.contains(&alias) {
                let message = match Some(&alias) == own {
                    true => format!("`{alias}` is the mesh's own trust domain"),
                    false => format!("`{alias}` is written twice"),
                };
                p.error("duplicate-name", &element.at(), message, "leave it out".to_owned());
                continue;
            }
            mesh.aliases.push(alias);
        }
    }
    if let Some(item) = fields.get("mode") {
        mesh.mode = p.word(&item, "a mode", MODES).unwrap_or_default();
        if mesh.mode == Mode::DryRun {
            warn_unless_enforced(p, &item.at(), Place::Mesh, "mode: dry-run");
        }
    }
    if let Some(item) = fields.get("compat") {
        mesh.compat_istio = p.word(&item, "a compatibility", &[("istio", ())]).is_some();
    }
    mesh.issuers = tokens::issuers(p, fields.get("issuers"));
    for key in ["federates_with", "providers", "telemetry"] {
        if let Some(item) = fields.get(key) {
            warn_unless_enforced(p, &item.at_key(), Place::Mesh, key);
        }
    }
    mesh
}

/// One zone before inheritance: its parent, own trust and own region.
pub(crate) struct ZoneDoc {
    pub(crate) parent: Option<Name>,
    trust: Option<Trust>,
    region: Option<String>,
    requires: Vec<String>,
}

/// `zones:`, with trust and region inherited; reports cycles.
pub(crate) fn zones(p: &mut Problems<'_>, item: Option<Item<'_>>, names: &Names<'_>) -> BTreeMap<Name, Zone> {
    let mut docs = BTreeMap::new();
    let Some(item) = item else { return BTreeMap::new() };
    for (key, item) in p.map(&item, "zones") {
        let name = p.name_at(key, "a zone", &item.at_key());
        let Some(fields) = p.fields(&item, "a zone", &["in", "trust", "region", "requires"]) else { continue };
        let parent = fields.get("in").and_then(|i| reference(p, &i, "unknown-zone", "zone", &names.zones));
        let trusts = [("none", Trust::None), ("low", Trust::Low), ("high", Trust::High)];
        let trust = fields.get("trust").and_then(|i| p.word(&i, "a level of trust", &trusts));
        let region = fields.get("region").and_then(|i| p.text(&i, "a region").map(str::to_owned));
        let demands = fields.get("requires").map(|i| p.list(&i, "demands")).unwrap_or_default();
        let demands = demands.iter().filter_map(|i| p.word(i, "a demand of a zone", &[("mfa", "mfa")]));
        let requires = demands.map(str::to_owned).collect();
        if let Some(name) = name {
            docs.insert(name, (ZoneDoc { parent, trust, region, requires }, fields.get("in")));
        }
    }
    let mut zones = BTreeMap::new();
    for (name, (doc, item)) in &docs {
        let mut chain = vec![name];
        let (mut trust, mut region, mut requires) = (doc.trust, doc.region.clone(), doc.requires.clone());
        let mut above = doc.parent.as_ref();
        while let Some(parent) = above {
            if let Some(start) = chain.iter().position(|n| *n == parent) {
                // Reported once, at the zone of the circle that comes first by name.
                if let Some(item) = item
                    && start == 0
                    && chain.iter().min() == Some(&name)
                {
                    let circle: Vec<&str> = chain.iter().chain([&name]).map(|n| n.as_str()).collect();
                    let message = format!("zone `{name}` lies in itself: {}", circle.join(" in "));
                    p.error("zone-cycle", &item.at(), message, "remove one `in`".to_owned());
                }
                break;
            }
            if chain.len() == CHAIN_MAX {
                if let Some(item) = item {
                    let message = format!("zone `{name}` lies in more than {CHAIN_MAX} others");
                    p.error("too-large", &item.at(), message, "flatten the zones".to_owned());
                }
                break;
            }
            chain.push(parent);
            let Some((doc, _)) = docs.get(parent) else { break };
            trust = trust.or(doc.trust);
            region = region.or_else(|| doc.region.clone());
            requires.extend(doc.requires.iter().filter(|r| !requires.contains(r)).cloned().collect::<Vec<_>>());
            above = doc.parent.as_ref();
        }
        let zone = Zone { parent: doc.parent.clone(), trust: trust.unwrap_or(Trust::Low), region, requires };
        zones.insert(name.clone(), zone);
    }
    zones
}

/// `data:`.
pub(crate) fn data(p: &mut Problems<'_>, item: Option<Item<'_>>, names: &Names<'_>) -> BTreeMap<Name, Data> {
    let mut all = BTreeMap::new();
    let Some(item) = item else { return all };
    for (key, item) in p.map(&item, "data") {
        let name = p.name_at(key, "data", &item.at_key());
        let allowed = ["class", "of", "about", "encrypt", "copy_of", "opens", "ttl", "residency", "retention", "audit"];
        let Some(fields) = p.fields(&item, "data", &allowed) else { continue };
        let classes = [
            ("public", Class::Public),
            ("internal", Class::Internal),
            ("confidential", Class::Confidential),
            ("restricted", Class::Restricted),
            ("secret", Class::Secret),
        ];
        let class =
            fields.require(p, "data", "class", "internal").and_then(|i| p.word(&i, "a class of data", &classes));
        let about = fields
            .get("about")
            .and_then(|i| p.word(&i, "whom data is about", &[("person", "person"), ("child", "child")]));
        let datum = Data {
            class: class.unwrap_or(Class::Secret),
            of: fields.get("of").and_then(|i| p.text(&i, "a kind of data").map(str::to_owned)),
            about: about.map(str::to_owned),
            encrypt_required: fields
                .get("encrypt")
                .is_some_and(|i| p.word(&i, "a demand on encryption", &[("required", ())]).is_some()),
            copy_of: fields.get("copy_of").and_then(|i| reference(p, &i, "unknown-data", "datum", &names.data)),
            opens: references(p, fields.get("opens"), "unknown-node", "node", &names.nodes),
            ttl: fields.get("ttl").and_then(|i| p.duration(&i)),
            residency: texts(p, fields.get("residency"), "region"),
            retention: fields.get("retention").and_then(|i| p.duration(&i)),
            audit: fields.get("audit").and_then(|i| p.word(&i, "a level of audit", AUDITS)),
        };
        if let Some(item) = fields.get("opens")
            && class.is_some_and(|c| c != Class::Secret)
        {
            let help = "write `class: secret`, or leave `opens` out".to_owned();
            p.error("misplaced-word", &item.at_key(), "only a secret opens nodes".to_owned(), help);
        }
        if let Some(name) = name {
            all.insert(name, datum);
        }
    }
    copy_cycles(p, &item, &all);
    all
}

fn copy_cycles(p: &mut Problems<'_>, section: &Item<'_>, all: &BTreeMap<Name, Data>) {
    for name in all.keys() {
        let mut chain = vec![name];
        while let Some(source) = chain.last().and_then(|n| all.get(*n)).and_then(|d| d.copy_of.as_ref()) {
            if chain.contains(&source) {
                if source == name && chain.iter().min() == Some(&name) {
                    let at = section.get(name.as_str()).and_then(|i| i.get("copy_of"));
                    if let Some(item) = at {
                        let message = format!("`{name}` is a copy of itself");
                        p.error("copy-cycle", &item.at(), message, "remove one `copy_of`".to_owned());
                    }
                }
                break;
            }
            if chain.len() == CHAIN_MAX {
                let at = section.get(name.as_str()).map_or_else(|| section.at_key(), |i| i.at_key());
                let message = format!("`{name}` is a copy over more than {CHAIN_MAX} steps");
                p.error("too-large", &at, message, "name the first source instead".to_owned());
                break;
            }
            chain.push(source);
        }
    }
}

/// `nodes:`.
pub(crate) fn nodes(p: &mut Problems<'_>, item: Option<Item<'_>>, names: &Names<'_>) -> BTreeMap<Name, Node> {
    let mut all = BTreeMap::new();
    let Some(item) = item else { return all };
    for (key, item) in p.map(&item, "nodes") {
        let name = p.name_at(key, "a node", &item.at_key());
        let read = node(p, &item, names);
        if let (Some(name), Some(node)) = (name, read) {
            all.insert(name, node);
        }
    }
    all
}

const NODE_FIELDS: [&str; 23] = [
    "kind",
    "zone",
    "namespace",
    "role",
    "listen",
    "serves",
    "run",
    "attest",
    "endpoints",
    "exposed_to",
    "port",
    "guards",
    "auth",
    "keys",
    "at_rest",
    "holds",
    "reads",
    "privilege",
    "hostile",
    "logs",
    "rotates",
    "stakeholder",
    "mode",
];

fn node(p: &mut Problems<'_>, item: &Item<'_>, names: &Names<'_>) -> Option<Node> {
    let fields = p.fields(item, "a node", &NODE_FIELDS)?;
    let kinds = [("party", NodeKind::Party), ("service", NodeKind::Service), ("store", NodeKind::Store)];
    let kind = fields.require(p, "a node", "kind", "service").and_then(|i| p.word(&i, "a kind of node", &kinds));
    let example = names.zones.first().copied().unwrap_or("internal");
    let zone = fields.require(p, "a node", "zone", example);
    let zone = zone.and_then(|i| reference(p, &i, "unknown-zone", "zone", &names.zones));
    let namespace = fields.get("namespace").and_then(|i| p.name(&i, "a namespace"));
    let role =
        fields.get("role").and_then(|i| p.word(&i, "a role", &[("gateway", Role::Gateway), ("egress", Role::Egress)]));
    let serves = serves(p, fields.get("serves"));
    let listen = listen(p, fields.get("listen"));
    let at_rests =
        [("none", AtRest::None), ("encoding", AtRest::Encoding), ("volume", AtRest::Volume), ("kms", AtRest::Kms)];
    let privileges = [("admin", ())];
    let default_serves = match (kind, role) {
        (Some(NodeKind::Party), _) | (_, Some(_)) => Vec::new(),
        _ => vec![Serve { port: 8080, protocol: Protocol::Http }],
    };
    let node = Node {
        kind: kind.unwrap_or(NodeKind::Service),
        // Without its zone the model is refused anyway; any name keeps the other checks going.
        zone: zone.clone().unwrap_or_else(|| Name::known("unknown")),
        namespace: namespace.or(zone).unwrap_or_else(|| Name::known("unknown")),
        role,
        listen: listen.unwrap_or_default(),
        serves: serves.unwrap_or(default_serves),
        run: fields.get("run").and_then(|i| run(p, &i)),
        attest: fields.get("attest").and_then(|i| p.text(&i, "a way of attestation").map(str::to_owned)),
        endpoints: endpoints(p, fields.get("endpoints")),
        exposed_to: references(p, fields.get("exposed_to"), "unknown-zone", "zone", &names.zones),
        port: fields.get("port").and_then(|i| p.port(&i)),
        guards: guards(p, fields.get("guards")),
        auth: fields.get("auth").and_then(|i| p.word(&i, "a way of authentication", AUTHS)),
        keys: texts(p, fields.get("keys"), "public key"),
        at_rest: fields.get("at_rest").and_then(|i| p.word(&i, "a kind of encryption at rest", &at_rests)),
        holds: references(p, fields.get("holds"), "unknown-data", "datum", &names.data),
        reads: references(p, fields.get("reads"), "unknown-data", "datum", &names.data),
        admin: fields.get("privilege").is_some_and(|i| p.word(&i, "a privilege", &privileges).is_some()),
        hostile: fields.get("hostile").and_then(|i| p.boolean(&i)).unwrap_or_default(),
        logs: fields.get("logs").and_then(|i| p.boolean(&i)),
        rotates: fields.get("rotates").and_then(|i| p.boolean(&i)),
        stakeholder: fields.get("stakeholder").and_then(|i| p.text(&i, "a stakeholder").map(str::to_owned)),
        mode: fields.get("mode").and_then(|i| p.word(&i, "a mode", MODES)),
    };
    placement(p, &fields, &node, kind);
    node_words(p, &fields, &node);
    Some(node)
}

/// Words that mean nothing on this kind of node.
fn placement(p: &mut Problems<'_>, fields: &Fields<'_>, node: &Node, kind: Option<NodeKind>) {
    let Some(kind) = kind else { return };
    let mut refuse = |key: &str, why: &str, help: &str| {
        if let Some(item) = fields.get(key) {
            p.error("misplaced-word", &item.at_key(), why.to_owned(), help.to_owned());
        }
    };
    if kind == NodeKind::Party {
        for key in ["role", "listen", "serves", "run", "attest", "guards", "at_rest"] {
            let why = format!("a party has no `{key}`: nobody runs it for you");
            refuse(key, &why, "write `kind: service`, or leave it out");
        }
    } else {
        refuse("keys", "only a party has `keys`", "write `kind: party`, or leave it out");
    }
    if kind == NodeKind::Store {
        refuse("role", "a store has no `role`", "write `kind: service`");
    }
    if node.role.is_some() {
        refuse("run", "a node with a `role` is ward-proxy itself and runs nothing", "leave `run` out");
    }
    match (node.role, kind) {
        (Some(Role::Gateway), _) => {
            refuse("serves", "a gateway listens, it serves nothing inside the mesh", "write its ports under `listen`");
            if fields.get("listen").is_none() {
                let help = "write `listen: [{ port: 8443, hosts: [shop.example], tls: auto }]`".to_owned();
                p.error("missing-field", &fields.item.at_key(), "a gateway needs `listen`".to_owned(), help);
            }
        }
        (_, NodeKind::Service | NodeKind::Store) => {
            refuse(
                "listen",
                "only a gateway has `listen`",
                "write `role: gateway`, or `serves` for ports inside the mesh",
            );
        }
        _ => {}
    }
    if node.under_ward() {
        for (i, serve) in node.serves.iter().enumerate() {
            if SIDECAR_PORTS.contains(&serve.port)
                && let Some(item) = fields.get("serves").and_then(|i_| i_.elements().into_iter().nth(i))
            {
                let message = format!("port {} belongs to the sidecar", serve.port);
                p.error("reserved-port", &item.at(), message, "use a port outside 15000 to 15999".to_owned());
            }
        }
    }
}

/// Warns of what a node declares and nothing enforces; a node outside Ward only describes.
fn node_words(p: &mut Problems<'_>, fields: &Fields<'_>, node: &Node) {
    if node.kind == NodeKind::Party
        && let Some(item) = fields.get("auth")
        && let Some(auth) = item.scalar()
    {
        warn_unless_enforced(p, &item.at(), Place::PartyAuth, auth);
    }
    if !node.under_ward() {
        return;
    }
    if node.role == Some(Role::Egress)
        && let Some(item) = fields.get("role")
    {
        warn_unless_enforced(p, &item.at(), Place::Node, "role: egress");
    }
    if let Some(item) = fields.get("guards") {
        for element in item.elements() {
            warn_unless_enforced(p, &element.at(), Place::Guards, element.scalar().unwrap_or_default());
        }
    }
    if let Some(item) = fields.get("at_rest") {
        warn_unless_enforced(p, &item.at(), Place::AtRest, item.scalar().unwrap_or_default());
    }
    if let Some(item) = fields.get("attest").filter(|i| i.scalar() != Some("token")) {
        warn_unless_enforced(p, &item.at(), Place::Node, "attest");
    }
    if let Some(item) = fields.get("mode").filter(|_| node.mode == Some(Mode::DryRun)) {
        warn_unless_enforced(p, &item.at(), Place::Node, "mode");
    }
}

fn guards(p: &mut Problems<'_>, item: Option<Item<'_>>) -> Vec<String> {
    let Some(item) = item else { return Vec::new() };
    let table = [("waf", "waf"), ("rate", "rate"), ("oidc", "oidc"), ("mfa", "mfa")];
    let elements = p.list(&item, "guards");
    elements.iter().filter_map(|e| p.word(e, "a guard", &table).map(str::to_owned)).collect()
}

fn endpoints(p: &mut Problems<'_>, item: Option<Item<'_>>) -> Vec<String> {
    let Some(item) = item else { return Vec::new() };
    let mut all = Vec::new();
    for element in p.list(&item, "addresses") {
        let Some(text) = p.text(&element, "an address") else { continue };
        let (host, port) = text.rsplit_once(':').unwrap_or((text, "1"));
        let bracketed = host.starts_with('[') && host.ends_with(']');
        let good = !host.is_empty()
            && !text.contains(char::is_whitespace)
            && (bracketed || !host.contains(':'))
            && port.parse::<u16>().is_ok_and(|n| n > 0);
        if good {
            all.push(text.to_owned());
        } else {
            let help = "write a host and a port, as in `db.example:5432` or `[::1]:5432`".to_owned();
            p.error("bad-value", &element.at(), format!("`{text}` is not an address"), help);
        }
    }
    all
}

fn duplicate_port(p: &mut Problems<'_>, item: &Item<'_>, port: u16, seen: &mut BTreeSet<u16>) {
    if !seen.insert(port) {
        let at = item.get("port").map_or_else(|| item.at(), |i| i.at());
        p.error("duplicate-port", &at, format!("port {port} is written twice"), "keep one of them".to_owned());
    }
}

fn too_many_ports(p: &mut Problems<'_>, item: &Item<'_>) {
    if item.elements().len() > PORTS_MAX {
        p.error("too-large", &item.at_key(), format!("more than {PORTS_MAX} ports"), "split the node".to_owned());
    }
}

fn serves(p: &mut Problems<'_>, item: Option<Item<'_>>) -> Option<Vec<Serve>> {
    let item = item?;
    too_many_ports(p, &item);
    let (mut all, mut seen) = (Vec::new(), BTreeSet::new());
    for element in p.list(&item, "served ports").iter().take(PORTS_MAX) {
        let Some(fields) = p.fields(element, "a served port", &["port", "protocol"]) else { continue };
        let port = fields.require(p, "a served port", "port", "8080").and_then(|i| p.port(&i));
        let protocol = fields.get("protocol").map(|i| p.word(&i, "a protocol", PROTOCOLS));
        if let Some(port) = port {
            duplicate_port(p, element, port, &mut seen);
            all.push(Serve { port, protocol: protocol.flatten().unwrap_or(Protocol::Http) });
        }
    }
    Some(all)
}

fn listen(p: &mut Problems<'_>, item: Option<Item<'_>>) -> Option<Vec<Listen>> {
    let item = item?;
    too_many_ports(p, &item);
    if item.yaml.is_null() || item.elements().is_empty() && p.clean(&item.path) {
        let help = "write `listen: [{ port: 8443, hosts: [shop.example], tls: auto }]`".to_owned();
        p.error("missing-field", &item.at_key(), "a gateway listens on at least one port".to_owned(), help);
        return None;
    }
    let (mut all, mut seen) = (Vec::new(), BTreeSet::new());
    for element in p.list(&item, "listeners").iter().take(PORTS_MAX) {
        let Some(fields) = p.fields(element, "a listener", &["port", "hosts", "tls"]) else { continue };
        let port = fields.require(p, "a listener", "port", "8443").and_then(|i| p.port(&i));
        let hosts = fields.get("hosts").map(|i| hosts(p, &i)).unwrap_or_default();
        let tls = fields.get("tls").and_then(|i| listen_tls(p, &i)).unwrap_or(ListenTls::Auto);
        if let Some(port) = port {
            duplicate_port(p, element, port, &mut seen);
            all.push(Listen { port, hosts, tls });
        }
    }
    Some(all)
}

fn hosts(p: &mut Problems<'_>, item: &Item<'_>) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for element in p.list(item, "host names") {
        let Some(text) = p.text(&element, "a host name") else { continue };
        let address = text.parse::<std::net::IpAddr>().is_ok();
        if address || is_host(text) {
            if !all.iter().any(|h| h == text) {
                all.push(text.to_owned());
            }
            continue;
        }
        let help = if text.contains('*') {
            "wildcard hosts are not read yet: list the names, or leave `hosts` out for any".to_owned()
        } else if text.contains(':') {
            "leave the port out".to_owned()
        } else if is_host(&text.to_lowercase()) {
            format!("write `{}`", text.to_lowercase())
        } else {
            "write a DNS name in lower case, as in `shop.example`".to_owned()
        };
        p.error("bad-value", &element.at(), format!("`{text}` is not a host name"), help);
    }
    all
}

fn listen_tls(p: &mut Problems<'_>, item: &Item<'_>) -> Option<ListenTls> {
    if item.scalar().is_some() || item.yaml.is_null() {
        let auto = p.word(item, "the TLS of a listener", &[("auto", true), ("none", false)])?;
        return Some(if auto { ListenTls::Auto } else { ListenTls::None });
    }
    let fields = p.fields(item, "the TLS of a listener", &["cert", "key"])?;
    let cert = fields.require(p, "the TLS of a listener", "cert", "tls/shop.pem").and_then(|i| p.text(&i, "a file"));
    let key = fields.require(p, "the TLS of a listener", "key", "tls/shop.key").and_then(|i| p.text(&i, "a file"));
    Some(ListenTls::Files { cert: cert?.to_owned(), key: key?.to_owned() })
}

fn run(p: &mut Problems<'_>, item: &Item<'_>) -> Option<Run> {
    let fields = p.fields(item, "run", &["command", "env", "user", "replicas"])?;
    let command = fields.require(p, "run", "command", "[./orders]");
    let command = command.map(|item| {
        let words: Vec<String> = texts(p, Some(item.clone()), "word");
        if words.is_empty() && p.clean(&item.path) {
            let help = "write the program and its arguments, as in `[./orders, --verbose]`".to_owned();
            p.error("missing-field", &item.at(), "the command is empty".to_owned(), help);
        }
        words
    });
    let mut env = BTreeMap::new();
    for (key, item) in fields.get("env").map(|i| p.map(&i, "environment variables")).unwrap_or_default() {
        let named = !key.is_empty()
            && !key.starts_with(|c: char| c.is_ascii_digit())
            && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !named {
            let help = "use letters, digits and underscores".to_owned();
            p.error("bad-name", &item.at_key(), format!("`{key}` cannot name an environment variable"), help);
        } else if OWN_ENV.contains(&key) || key.starts_with("WARD_") {
            let message = format!("Ward sets `{key}` for every application");
            p.error("reserved-name", &item.at_key(), message, "leave it out".to_owned());
        }
        // An empty value is a value here, unlike elsewhere.
        let value = match item.scalar() {
            Some(text) => Some(text.to_owned()),
            None if item.yaml.is_null() => Some(String::new()),
            None => p.text(&item, "a text").map(str::to_owned),
        };
        if let Some(value) = value {
            env.insert(key.to_owned(), value);
        }
    }
    Some(Run {
        command: command.unwrap_or_default(),
        env,
        user: fields.get("user").and_then(|i| p.text(&i, "a user").map(str::to_owned)),
        replicas: fields
            .get("replicas")
            .and_then(|i| p.number(&i, "a number of instances", 1, REPLICAS_MAX))
            .unwrap_or(1),
    })
}
