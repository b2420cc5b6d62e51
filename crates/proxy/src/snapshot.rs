//! A snapshot: resources and identity, compiled whole, immutable, swapped in whole. Any error refuses all of it, so a
//! proxy never runs half a configuration (configuration fails static: the last good snapshot stays).
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use identity::{Bundle, ClientOptions, PrivateKey, ServerOptions, Svid};
use model::{SpiffeId, allow::PathPattern};
use policy::{RuleSet, Semantics};
use rustls::{
    ClientConfig, ServerConfig,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use wire::v1::resources as wire_resources;

use self::policies::{is_strict, subject};
use crate::{settings::Settings, tokens::Tokens};

mod policies;

/// What a control plane or a static file tells a proxy.
#[derive(Clone, Debug, Default)]
pub struct Resources {
    /// Exactly one workload: this one.
    pub workload: wire_resources::Workload,
    /// Where it may connect to.
    pub upstreams: Vec<wire_resources::Upstream>,
    /// Who may do what here.
    pub policies: Vec<wire_resources::Policy>,
    /// Whose tokens count here.
    pub authentications: Vec<wire_resources::Authentication>,
    /// Keys of those issuers whose documents say only where the keys are.
    pub key_sets: Vec<wire_resources::KeySet>,
    /// Roots by trust domain. When one is of our own domain it replaces the roots of [`Identity::bundle`].
    pub bundles: Vec<wire_resources::Bundle>,
}

/// Who this workload is and whom it trusts. Cheap to clone.
#[derive(Clone)]
pub struct Identity {
    /// Own identity document.
    pub svid: Arc<Svid>,
    /// Roots of the own trust domain.
    pub bundle: Bundle,
    /// Server certificates of gateway listeners with `tls: auto`, by port.
    pub server_certificates: BTreeMap<u16, ServerCertificate>,
}

/// A server certificate for people's browsers; not an SVID.
#[derive(Clone)]
pub struct ServerCertificate {
    /// Leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    /// Its key.
    pub key: Arc<PrivateKey>,
}

impl Identity {
    /// An identity without server certificates.
    pub fn new(svid: Svid, bundle: Bundle) -> Self {
        Self { svid: Arc::new(svid), bundle, server_certificates: BTreeMap::new() }
    }
}

/// One thing that is wrong with the resources.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {why}")]
pub struct Error {
    /// Where: `upstreams[2].endpoints[0]`, `policies[1]`, `workload.services[0].address`.
    pub place: String,
    /// What is wrong and what would be right.
    pub why: String,
}

/// How the bytes of a port are understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1 towards the application.
    Http,
    /// HTTP/2 with prior knowledge towards the application.
    Grpc,
    /// Opaque bytes.
    Tcp,
}

impl Protocol {
    fn parse(word: &str) -> Option<Self> {
        match word {
            "" | "http" => Some(Self::Http),
            "grpc" => Some(Self::Grpc),
            // Application protocols with their own framing are opaque until someone reads them.
            "tcp" | "tls" | "postgres" | "mysql" | "redis" | "mongo" | "kafka" | "amqp" | "ssh" | "smtp" => {
                Some(Self::Tcp)
            }
            _ => None,
        }
    }

    /// The word of metrics and records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Grpc => "grpc",
            Self::Tcp => "tcp",
        }
    }
}

/// A port the application serves.
#[derive(Clone, Debug)]
pub struct Service {
    /// Port as peers name it.
    pub port: u16,
    /// How it is spoken.
    pub protocol: Protocol,
    /// Where the application listens.
    pub address: SocketAddr,
}

/// A port of another workload.
#[derive(Clone)]
pub struct Upstream {
    /// `<node>:<port>`.
    pub name: Arc<str>,
    /// Its node.
    pub node: Arc<str>,
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its port.
    pub port: u16,
    /// How it is spoken.
    pub protocol: Protocol,
    /// The identity every endpoint must prove.
    pub id: SpiffeId,
    /// Mesh addresses.
    pub endpoints: Vec<SocketAddr>,
    /// Loopback port that leads here; 0 is none.
    pub local_port: u16,
    /// Until the response head.
    pub timeout: Duration,
    /// The one flow that leads here; empty when there are several.
    pub flow: Arc<str>,
    /// `<port>.<node>.<namespace>.<trust domain>`.
    pub server_name: ServerName<'static>,
    /// ALPN `http/1.1`.
    pub tls_http1: Arc<ClientConfig>,
    /// ALPN `h2`.
    pub tls_http2: Arc<ClientConfig>,
}

/// A gateway's listener.
pub struct GatewayListener {
    /// Its port.
    pub port: u16,
    /// Lower-case hosts; empty is any. `*.example.com` covers one or more labels.
    pub hosts: Vec<String>,
    /// Server TLS; plain when absent.
    pub tls: Option<Arc<ServerConfig>>,
    /// In order; the first match wins.
    pub routes: Vec<Route>,
}

/// A gateway's route.
pub struct Route {
    /// Empty is any.
    pub methods: Vec<String>,
    /// Any path when absent.
    pub path: Option<PathPattern>,
    /// Index into [`Snapshot::upstreams`].
    pub upstream: usize,
    /// Prefix taken off the path.
    pub strip_prefix: String,
    /// The flow this route belongs to.
    pub flow: Arc<str>,
}

/// Which peers have any rule at all; the rest lose their connections when a snapshot is swapped in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admitted {
    /// Some rule does not name its principals exactly.
    Anyone,
    /// Exactly these SPIFFE URIs.
    Only(BTreeSet<String>),
}

/// Everything a request needs, of one revision.
pub struct Snapshot {
    /// Revision of the model it was compiled from.
    pub revision: u64,
    /// Own node.
    pub node: Arc<str>,
    /// Own namespace.
    pub namespace: Arc<str>,
    /// Own identity.
    pub id: SpiffeId,
    /// Some flow is `strict` or `critical`: denials too are recorded in full, and on disk.
    pub audits_strictly: bool,
    /// Refusals are recorded and let through.
    pub dry_run: bool,
    /// Whose reading of requests and policies holds.
    pub semantics: Semantics,
    /// Who may do what here.
    pub rules: RuleSet,
    /// Whose tokens count here.
    pub tokens: Tokens,
    /// Identities of the gateways that are believed about the address of a caller.
    pub gateways: BTreeSet<String>,
    /// What the application serves.
    pub services: Vec<Service>,
    /// Where it may connect to.
    pub upstreams: Vec<Upstream>,
    /// Upstreams by `<node>`, `<node>:<port>`, `<node>.<namespace>`, `<node>.<namespace>:<port>`.
    pub upstream_by_host: HashMap<String, usize>,
    /// Gateway listeners.
    pub listeners: Vec<GatewayListener>,
    /// TLS of the mesh port.
    pub inbound_tls: Arc<ServerConfig>,
    /// Suffix of every server name of this workload: `<node>.<namespace>.<trust domain>`.
    pub server_name: Arc<str>,
    /// Peers that may keep their connections.
    pub admitted: Admitted,
    /// End of the own SVID.
    pub svid_not_after: SystemTime,
    // What connections were made with: they are kept only while both stay.
    svid: Arc<Svid>,
    roots: Arc<[CertificateDer<'static>]>,
}

impl Snapshot {
    /// Whether connections made under `self` were made with the same identity and trust.
    pub fn same_identity(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.svid, &other.svid) && self.roots == other.roots
    }
}

impl Admitted {
    /// Whether this peer may keep its connections.
    pub fn contains(&self, principal: Option<&str>) -> bool {
        match self {
            Self::Anyone => true,
            Self::Only(set) => principal.is_some_and(|p| set.contains(p)),
        }
    }
}

/// Compiles resources and identity; all errors at once. Reads the certificate files of gateway listeners, nothing else.
pub fn compile(resources: &Resources, identity: &Identity, settings: &Settings) -> Result<Snapshot, Vec<Error>> {
    Compiler { identity, settings, bundle: identity.bundle.clone(), errors: Vec::new() }.run(resources)
}

struct Compiler<'a> {
    identity: &'a Identity,
    settings: &'a Settings,
    bundle: Bundle,
    errors: Vec<Error>,
}

impl Compiler<'_> {
    fn error(&mut self, place: impl Into<String>, why: impl std::fmt::Display) {
        self.errors.push(Error { place: place.into(), why: why.to_string() });
    }

    fn run(mut self, resources: &Resources) -> Result<Snapshot, Vec<Error>> {
        let workload = &resources.workload;
        let svid = &self.identity.svid;
        self.bundles(&resources.bundles);
        let trust_domain = self.bundle.trust_domain.clone();
        if !workload.spiffe_id.is_empty() && workload.spiffe_id != svid.id.as_str() {
            self.error("workload.spiffe_id", format!("`{}` is not our own SVID's `{}`", workload.spiffe_id, svid.id));
        }
        if workload.node.is_empty() || workload.namespace.is_empty() {
            self.error("workload.node", "node and namespace are required");
        }
        let options =
            |alpn: &[&[u8]]| ServerOptions { alpn: alpn.iter().map(|p| p.to_vec()).collect(), ..self.tls_options() };
        let inbound_tls = identity::server_config(svid, &self.bundle, &options(&[b"http/1.1", b"h2"]));
        let services = self.services(&workload.services);
        let upstreams = self.upstreams(&resources.upstreams, trust_domain.as_str());
        let upstream_by_host = self.hosts(&upstreams);
        let listeners = self.listeners(&workload.listeners, &upstreams);
        let semantics = if workload.compat_istio { Semantics::Istio } else { Semantics::Ward };
        let subject = subject(workload, trust_domain.as_str());
        let documents = self.documents(&resources.policies);
        let (rules, admitted) = self.policies(semantics, &subject, &documents);
        let tokens = Tokens::compile(semantics, &subject, &resources.authentications, &resources.key_sets);
        let tokens = tokens.map_err(|errors| self.errors.extend(errors)).unwrap_or_default().reading(&documents);
        let audits_strictly = resources.policies.iter().any(|policy| is_strict(&policy.document));
        if audits_strictly && self.settings.audit_directory().is_none() {
            self.error("policies", "a flow is `strict` or `critical`, and its records have no place: set `audit_dir`");
        }
        let inbound_tls = match inbound_tls {
            Ok(config) => Some(config),
            Err(e) => {
                self.error("identity", daemon::logs::chain(&e));
                None
            }
        };
        match (self.errors.is_empty(), rules, inbound_tls) {
            (true, Some(rules), Some(inbound_tls)) => Ok(Snapshot {
                revision: workload.revision,
                node: workload.node.as_str().into(),
                namespace: workload.namespace.as_str().into(),
                id: svid.id.clone(),
                audits_strictly,
                dry_run: workload.dry_run,
                semantics,
                rules,
                tokens,
                gateways: workload.gateways.iter().cloned().collect(),
                services,
                upstreams,
                upstream_by_host,
                listeners,
                inbound_tls,
                server_name: format!("{}.{}.{trust_domain}", workload.node, workload.namespace).into(),
                admitted,
                svid_not_after: svid.not_after,
                svid: svid.clone(),
                roots: self.bundle.roots.clone(),
            }),
            _ => Err(self.errors),
        }
    }

    fn tls_options(&self) -> ClientOptions {
        ClientOptions {
            cipher_suites: self.settings.tls.cipher_suites.clone(),
            groups: self.settings.tls.groups.clone(),
            ..ClientOptions::default()
        }
    }

    fn bundles(&mut self, bundles: &[wire_resources::Bundle]) {
        for (i, bundle) in bundles.iter().enumerate() {
            // Roots of other domains mean nothing until federation; they must never widen our own.
            if bundle.trust_domain != self.bundle.trust_domain.as_str() {
                continue;
            }
            let roots = bundle.roots.iter().map(|der| CertificateDer::from(der.clone())).collect();
            match Bundle::from_der(self.bundle.trust_domain.clone(), roots) {
                Ok(bundle) => self.bundle = bundle,
                Err(e) => self.error(format!("bundles[{i}]"), daemon::logs::chain(&e)),
            }
        }
    }

    fn services(&mut self, services: &[wire_resources::Service]) -> Vec<Service> {
        let mut out: Vec<Service> = Vec::new();
        for (i, service) in services.iter().enumerate() {
            let place = format!("workload.services[{i}]");
            let Some(port) = port(service.port) else {
                self.error(format!("{place}.port"), format!("{} is not a port", service.port));
                continue;
            };
            let Some(protocol) = Protocol::parse(&service.protocol) else {
                self.error(format!("{place}.protocol"), unknown_protocol(&service.protocol));
                continue;
            };
            if out.iter().any(|s| s.port == port) {
                self.error(format!("{place}.port"), format!("{port} is served twice"));
            }
            let address = if let Some(address) = self.settings.applications.get(&port) {
                *address
            } else if service.address.is_empty() {
                SocketAddr::from((Ipv4Addr::LOCALHOST, port))
            } else if let Ok(address) = service.address.parse() {
                address
            } else {
                self.error(format!("{place}.address"), format!("`{}` is not ip:port", service.address));
                continue;
            };
            out.push(Service { port, protocol, address });
        }
        out
    }

    fn upstreams(&mut self, upstreams: &[wire_resources::Upstream], trust_domain: &str) -> Vec<Upstream> {
        let mut out: Vec<Upstream> = Vec::new();
        for (i, upstream) in upstreams.iter().enumerate() {
            let place = format!("upstreams[{i}]");
            if out.iter().any(|u| *u.name == *upstream.name) {
                self.error(format!("{place}.name"), format!("`{}` stands twice", upstream.name));
            }
            if let Some(upstream) = self.upstream(&place, upstream, trust_domain) {
                if upstream.local_port != 0 && out.iter().any(|u| u.local_port == upstream.local_port) {
                    self.error(format!("{place}.local_port"), format!("{} stands twice", upstream.local_port));
                }
                out.push(upstream);
            }
        }
        out
    }

    fn upstream(&mut self, place: &str, upstream: &wire_resources::Upstream, trust_domain: &str) -> Option<Upstream> {
        let before = self.errors.len();
        let port_number = port(upstream.port).unwrap_or_else(|| {
            self.error(format!("{place}.port"), format!("{} is not a port", upstream.port));
            0
        });
        let protocol = Protocol::parse(&upstream.protocol);
        if protocol.is_none() {
            self.error(format!("{place}.protocol"), unknown_protocol(&upstream.protocol));
        }
        let id = SpiffeId::try_from(upstream.spiffe_id.clone());
        if let Err(e) = &id {
            self.error(format!("{place}.spiffe_id"), e);
        }
        let mut endpoints = Vec::new();
        for (i, endpoint) in upstream.endpoints.iter().enumerate() {
            match endpoint.parse::<SocketAddr>() {
                Ok(endpoint) => endpoints.push(endpoint),
                Err(_) => self.error(format!("{place}.endpoints[{i}]"), format!("`{endpoint}` is not ip:port")),
            }
        }
        let local_port = u16::try_from(upstream.local_port);
        if local_port.is_err() {
            self.error(format!("{place}.local_port"), format!("{} is not a port", upstream.local_port));
        }
        let name = format!("{port_number}.{}.{}.{trust_domain}", upstream.node, upstream.namespace);
        let server_name = ServerName::try_from(name.clone());
        if server_name.is_err() {
            self.error(format!("{place}.node"), format!("`{name}` is not a server name"));
        }
        let id = id.ok()?;
        let mut tls = Vec::new();
        for alpn in [b"http/1.1".as_slice(), b"h2"] {
            let options = ClientOptions { alpn: vec![alpn.to_vec()], ..self.tls_options() };
            match identity::client_config(&self.identity.svid, &self.bundle, &id, &options) {
                Ok(config) => tls.push(config),
                Err(e) => self.error(place, daemon::logs::chain(&e)),
            }
        }
        let (tls_http2, tls_http1) = (tls.pop()?, tls.pop()?);
        let timeout = match upstream.timeout_ms {
            // A gRPC stream may answer only when its caller is done.
            0 if protocol == Some(Protocol::Grpc) => self.settings.limits.tunnel_idle_timeout,
            0 => self.settings.limits.request_timeout,
            ms => Duration::from_millis(ms),
        };
        if self.errors.len() != before {
            return None;
        }
        Some(Upstream {
            name: if upstream.name.is_empty() {
                format!("{}:{port_number}", upstream.node).into()
            } else {
                upstream.name.as_str().into()
            },
            node: upstream.node.as_str().into(),
            namespace: upstream.namespace.as_str().into(),
            port: port_number,
            protocol: protocol?,
            id,
            endpoints,
            local_port: local_port.ok()?,
            timeout,
            flow: match upstream.flows.as_slice() {
                [flow] => flow.as_str().into(),
                _ => "".into(),
            },
            server_name: server_name.ok()?,
            tls_http1,
            tls_http2,
        })
    }

    fn hosts(&mut self, upstreams: &[Upstream]) -> HashMap<String, usize> {
        let mut map = HashMap::new();
        for (i, upstream) in upstreams.iter().enumerate() {
            for host in [upstream.node.to_string(), format!("{}.{}", upstream.node, upstream.namespace)] {
                map.insert(format!("{host}:{}", upstream.port), i);
                // Without a port the node's only port is meant, or its port 80.
                let only = upstreams.iter().filter(|u| u.node == upstream.node).count() == 1;
                if only || upstream.port == 80 {
                    map.insert(host, i);
                }
            }
        }
        map
    }

    fn listeners(&mut self, listeners: &[wire_resources::Listener], upstreams: &[Upstream]) -> Vec<GatewayListener> {
        let mut out: Vec<GatewayListener> = Vec::new();
        for (i, listener) in listeners.iter().enumerate() {
            let place = format!("workload.listeners[{i}]");
            let Some(port) = port(listener.port) else {
                self.error(format!("{place}.port"), format!("{} is not a port", listener.port));
                continue;
            };
            if out.iter().any(|l| l.port == port) {
                self.error(format!("{place}.port"), format!("{port} is opened twice; list all its hosts in one entry"));
            }
            let tls = self.listener_tls(&place, port, listener);
            let routes = listener
                .routes
                .iter()
                .enumerate()
                .filter_map(|(r, route)| self.route(&format!("{place}.routes[{r}]"), route, upstreams));
            let routes = routes.collect();
            let hosts = listener.hosts.iter().map(|h| h.to_ascii_lowercase()).collect();
            out.push(GatewayListener { port, hosts, tls, routes });
        }
        out
    }

    fn listener_tls(
        &mut self,
        place: &str,
        port: u16,
        listener: &wire_resources::Listener,
    ) -> Option<Arc<ServerConfig>> {
        let certificate = match listener.tls.as_str() {
            "none" => return None,
            "auto" => match self.identity.server_certificates.get(&port) {
                Some(certificate) => certificate.clone(),
                None => {
                    self.error(format!("{place}.tls"), format!("no certificate was issued for port {port}"));
                    return None;
                }
            },
            "files" => match read_certificate(Path::new(&listener.cert_file), Path::new(&listener.key_file)) {
                Ok(certificate) => certificate,
                Err(why) => {
                    self.error(format!("{place}.cert_file"), why);
                    return None;
                }
            },
            other => {
                self.error(format!("{place}.tls"), format!("`{other}` is not auto, none or files"));
                return None;
            }
        };
        let alpn = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        match identity::gateway_server_config(certificate.chain, &certificate.key, alpn) {
            Ok(config) => Some(config),
            Err(e) => {
                self.error(format!("{place}.tls"), daemon::logs::chain(&e));
                None
            }
        }
    }

    fn route(&mut self, place: &str, route: &wire_resources::Route, upstreams: &[Upstream]) -> Option<Route> {
        let upstream = upstreams.iter().position(|u| *u.name == *route.upstream);
        if upstream.is_none() {
            self.error(format!("{place}.upstream"), format!("`{}` is not an upstream", route.upstream));
        }
        let path = match route.path.as_str() {
            "" => None,
            text => match PathPattern::parse(text) {
                Ok(pattern) => Some(pattern),
                Err(e) => {
                    self.error(format!("{place}.path"), e);
                    return None;
                }
            },
        };
        Some(Route {
            methods: route.methods.clone(),
            path,
            upstream: upstream?,
            strip_prefix: route.strip_prefix.trim_end_matches('/').to_owned(),
            flow: route.flow.as_str().into(),
        })
    }
}

fn read_certificate(cert: &Path, key: &Path) -> Result<ServerCertificate, String> {
    let read = |path: &Path| std::fs::read(path).map_err(|e| format!("cannot read {}: {e}", path.display()));
    let pem = read(cert)?;
    let chain = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| format!("{} is not PEM: {e}", cert.display()))?;
    let text = String::from_utf8(read(key)?).map_err(|_| format!("{} is not PEM", key.display()))?;
    let key = PrivateKey::from_pem(&text).map_err(|e| format!("{}: {}", key.display(), daemon::logs::chain(&e)))?;
    Ok(ServerCertificate { chain, key: Arc::new(key) })
}

fn port(number: u32) -> Option<u16> {
    u16::try_from(number).ok().filter(|p| *p != 0)
}

fn unknown_protocol(word: &str) -> String {
    format!("`{word}` is not one of http, grpc, tcp, tls, postgres, mysql, redis, mongo, kafka, amqp, ssh, smtp")
}
