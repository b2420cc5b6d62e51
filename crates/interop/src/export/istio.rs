//! A model as documents of Istio: what its flows allow, mutual TLS everywhere, and what was written by hand beside it.
//!
//! The policies of flows are compiled elsewhere, by the engine that decides; here they are brought into the cluster's words,
//! with the rest of what a mesh needs for them to mean the same.
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use model::{
    Flow, Model, Name, Node, NodeKind, Protocol, Role,
    allow::{PathPattern, Segment},
    istio::{
        AUDIT_ANNOTATION, AuthorizationPolicy, FLOW_ANNOTATION, Metadata, Mtls, MtlsMode, NODE_LABEL,
        PeerAuthentication, PeerSpec, RequestAuthentication, Selector,
    },
};

use super::{
    ExportError, Exported, Note,
    cluster::{Cluster, duration_text, flow_notes, standby_notes},
};

mod written;

/// Lifetime of a certificate where nothing else is said, in Istio and here.
const TTL_DEFAULT: Duration = Duration::from_secs(24 * 60 * 60);

/// A document written by hand, and the nodes that it speaks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Selected<T> {
    /// As written.
    pub document: T,
    /// The nodes it selects, in Ward's reading.
    pub nodes: Vec<Name>,
}

/// What the flows of a cluster's model compile to, and what was written by hand.
#[derive(Clone, Debug, Default)]
pub struct Documents {
    /// Of flows, and of nodes without one.
    pub policies: Vec<AuthorizationPolicy>,
    /// Of issuers whose tokens flows need.
    pub authentications: Vec<RequestAuthentication>,
    /// AuthorizationPolicies beside the model.
    pub written_policies: Vec<Selected<AuthorizationPolicy>>,
    /// RequestAuthentications beside the model.
    pub written_authentications: Vec<Selected<RequestAuthentication>>,
}

/// The documents by which Istio enforces the model. `label` is the key of the label that holds a pod's node.
///
/// # Errors
/// The label is none, or a hand-written document would no longer hold.
pub fn export(cluster: &Cluster, documents: Documents, label: &str) -> Result<Exported, ExportError> {
    if !is_label_key(label) {
        return Err(ExportError::Label(label.to_owned()));
    }
    let flows = cluster.model.flows.iter().map(|flow| (flow.id.as_str(), flow)).collect();
    let mut exporter = Exporter { cluster, label, flows, out: Exported::default(), names: BTreeSet::new() };
    for note in cluster.notes.iter().cloned().chain(mesh_notes(&cluster.model)).chain(standby_notes(&cluster.model)) {
        exporter.out.note(note);
    }
    exporter.head(&documents);
    exporter.namespaces()?;
    let Documents { policies, authentications, written_policies, written_authentications } = documents;
    let mut policies = by_node(policies, |policy| &policy.spec.selector);
    let mut authentications = by_node(authentications, |document| &document.spec.selector);
    for (name, node) in cluster.workloads() {
        exporter.listeners(name, node)?;
        for note in node_notes(name, node) {
            exporter.out.note(note);
        }
        for document in authentications.remove(name.as_str()).unwrap_or_default() {
            exporter.issuer(document)?;
        }
        for policy in policies.remove(name.as_str()).unwrap_or_default() {
            exporter.flow(name, node, policy)?;
        }
    }
    for selected in written_authentications {
        exporter.written_authentication(selected)?;
    }
    for selected in written_policies {
        exporter.written_policy(selected)?;
    }
    for flow in &cluster.model.flows {
        exporter.outside(flow);
    }
    Ok(exporter.out)
}

/// Compiled documents by the node that they select.
fn by_node<T>(documents: Vec<T>, selector: impl Fn(&T) -> &Option<Selector>) -> BTreeMap<String, Vec<T>> {
    let mut all: BTreeMap<String, Vec<T>> = BTreeMap::new();
    for document in documents {
        let node = selector(&document).as_ref().and_then(|selector| selector.match_labels.get(NODE_LABEL)).cloned();
        all.entry(node.unwrap_or_default()).or_default().push(document);
    }
    all
}

/// An optional DNS name and a slash, then up to 63 characters (Kubernetes, "Labels and Selectors").
pub(super) fn is_label_key(key: &str) -> bool {
    let inner = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.');
    let named = |part: &str, most: usize| {
        let bytes = part.as_bytes();
        let ends = [bytes.first(), bytes.last()];
        (1..=most).contains(&bytes.len())
            && bytes.iter().all(|c| inner(*c))
            && ends.iter().all(|c| c.is_some_and(u8::is_ascii_alphanumeric))
    };
    match key.split_once('/') {
        None => named(key, 63),
        Some((prefix, name)) => {
            named(name, 63) && named(prefix, 253) && !prefix.bytes().any(|c| c == b'_' || c.is_ascii_uppercase())
        }
    }
}

/// What Istio is not told about the mesh.
fn mesh_notes(model: &Model) -> Vec<Note> {
    let mut notes = Vec::new();
    let mut note = |what: String, why: &str| notes.push(Note::new("mesh", what, why));
    if model.mesh.svid_ttl != TTL_DEFAULT {
        note(
            format!("svid_ttl: {}", duration_text(model.mesh.svid_ttl)),
            "set it where Istio's certificates are issued",
        );
    }
    if !model.mesh.tls_suites.is_empty() || !model.mesh.tls_groups.is_empty() {
        note("tls: suites, groups".to_owned(), "set meshMTLS of the mesh");
    }
    notes
}

fn node_notes(name: &Name, node: &Node) -> Vec<Note> {
    let subject = format!("node {name}");
    let mut notes = Vec::new();
    if !node.guards.is_empty() {
        let why = "these documents guard nothing of the kind";
        notes.push(Note::new(&subject, format!("guards: {}", node.guards.join(", ")), why));
    }
    match node.role {
        Some(Role::Gateway) => {
            let hosts: BTreeSet<&str> = node.listen.iter().flat_map(|l| &l.hosts).map(String::as_str).collect();
            let hosts: Vec<&str> = hosts.into_iter().collect();
            let what = match hosts.is_empty() {
                true => "listen, and its routes".to_owned(),
                false => format!("listen for {}, and its routes", hosts.join(", ")),
            };
            notes.push(Note::new(&subject, what, "write a Gateway with a certificate, and a VirtualService"));
        }
        Some(Role::Egress) => {
            notes.push(Note::new(&subject, "role: egress", "it is a workload like any other; write an egress gateway"));
        }
        None => {}
    }
    notes
}

struct Exporter<'a> {
    cluster: &'a Cluster,
    label: &'a str,
    flows: BTreeMap<&'a str, &'a Flow>,
    out: Exported,
    /// Kind, namespace and name of what was written.
    names: BTreeSet<(&'static str, String, String)>,
}

impl Exporter<'_> {
    /// What stands above all documents: who is who, and what the mesh must be set to.
    fn head(&mut self, documents: &Documents) {
        let cluster = self.cluster;
        let model = &cluster.model;
        let domain = &model.trust_domain;
        let head = &mut self.out.head;
        head.push(format!(
            "The model {} as Istio enforces it. Written by `ward export istio`; change the model, and export again.",
            model.name
        ));
        head.push(String::new());
        head.push("Each workload is a pod with this label and a sidecar (istio-injection=enabled), under a service account of its own. A".to_owned());
        head.push("Service names the protocol of each port (appProtocol): a port that Istio takes for TCP passes no request. In ambient".to_owned());
        head.push("mode nobody without a waypoint looks at methods, paths and tokens.".to_owned());
        head.push(String::new());
        let mut rows = vec![["namespace", "label", "serviceAccountName", "ports"].map(str::to_owned)];
        for (name, node) in cluster.workloads() {
            rows.push([
                node.namespace.to_string(),
                format!("{}={name}", self.label),
                name.to_string(),
                ports_text(node),
            ]);
        }
        head.extend(table(&rows));
        head.push(String::new());
        head.push("The mesh must be set so (MeshConfig), or the documents mean something else:".to_owned());
        head.push(String::new());
        head.push(format!("  trustDomain: {domain}"));
        if !model.mesh.aliases.is_empty() {
            let aliases: Vec<String> = model.mesh.aliases.iter().map(ToString::to_string).collect();
            head.push(format!("  trustDomainAliases: [{}]", aliases.join(", ")));
        }
        head.push("  meshMTLS: { minProtocolVersion: TLSV1_3 }".to_owned());
        if looks_at_paths(documents) {
            // Without it `/orders/a%2Fb` is one segment, which `{*}` lets pass.
            head.push("  pathNormalization: { normalization: DECODE_AND_MERGE_SLASHES }".to_owned());
            let why = "else Istio lets paths with `%2F` and `//` pass that Ward refuses";
            self.out.note(Note::needed("MeshConfig", "pathNormalization: DECODE_AND_MERGE_SLASHES", why));
        }
        let why = "else nobody is who the policies ask for; --trust-domain names the one that the mesh has";
        self.out.note(Note::needed("MeshConfig", format!("trustDomain: {domain}"), why));
    }

    /// Mutual TLS in every namespace.
    fn namespaces(&mut self) -> Result<(), ExportError> {
        for namespace in self.cluster.namespaces() {
            let metadata = self.metadata("PeerAuthentication", "default", namespace.as_str());
            let spec = PeerSpec { mtls: Some(Mtls { mode: MtlsMode::Strict }), ..PeerSpec::default() };
            self.peer(vec![format!("mutual TLS, always, to every pod of {namespace}")], metadata, spec)?;
        }
        Ok(())
    }

    /// A gateway's listeners are for callers from outside. Istio's own gateways do not look at this; a pod with a sidecar
    /// does.
    fn listeners(&mut self, name: &Name, node: &Node) -> Result<(), ExportError> {
        if node.listen.is_empty() {
            return Ok(());
        }
        let metadata = self.metadata("PeerAuthentication", &format!("listen-{name}"), node.namespace.as_str());
        let open = node.listen.iter().map(|l| (l.port, Mtls { mode: MtlsMode::Permissive }));
        let spec = PeerSpec {
            selector: Some(self.selector(name.as_str())),
            mtls: Some(Mtls { mode: MtlsMode::Strict }),
            port_level_mtls: open.collect(),
        };
        self.peer(
            vec![format!("callers from outside have no certificate of the mesh: the listeners of {name}")],
            metadata,
            spec,
        )
    }

    fn peer(&mut self, comments: Vec<String>, metadata: Metadata, spec: PeerSpec) -> Result<(), ExportError> {
        let document = PeerAuthentication {
            api_version: "security.istio.io/v1".to_owned(),
            kind: "PeerAuthentication".to_owned(),
            metadata,
            spec,
        };
        let name = document.metadata.name.clone();
        self.out.add(&name, comments, &document)
    }

    fn issuer(&mut self, mut document: RequestAuthentication) -> Result<(), ExportError> {
        let metadata = &document.metadata;
        document.metadata = self.metadata("RequestAuthentication", &metadata.name, &metadata.namespace);
        self.relabel(&mut document.spec.selector);
        let issuers: Vec<&str> = document.spec.jwt_rules.iter().map(|rule| rule.issuer.as_str()).collect();
        let comments = vec![format!("tokens of {} count here", issuers.join(", "))];
        for rule in &document.spec.jwt_rules {
            if let Some(note) = written::local_keys(&document.metadata.name, rule) {
                self.out.note(note);
            }
        }
        let name = document.metadata.name.clone();
        self.out.add(&name, comments, &document)
    }

    /// The policy of a flow, or of a node that none reaches.
    fn flow(&mut self, name: &Name, node: &Node, mut policy: AuthorizationPolicy) -> Result<(), ExportError> {
        let flow = policy.metadata.annotations.get(FLOW_ANNOTATION).and_then(|id| self.flows.get(id.as_str()).copied());
        let mut comments = Vec::new();
        match flow {
            Some(flow) => {
                comments.push(format!("flow {}: {} -> {}", flow.id, flow.from, flow.to));
                for note in flow_notes(flow).into_iter().chain(self.request_notes(flow)) {
                    comments.push(note.comment());
                    self.out.note(note);
                }
            }
            None => comments.push(format!("no flow reaches {name}: nothing may")),
        }
        let metadata = &policy.metadata;
        policy.metadata = self.metadata("AuthorizationPolicy", &metadata.name, &metadata.namespace);
        if self.cluster.is_dry_run(node) {
            policy.metadata.annotations.insert("istio.io/dry-run".to_owned(), "true".to_owned());
            comments.push("mode: dry-run: it is only recorded what this would refuse".to_owned());
            self.out.note(Note::new(
                format!("node {name}"),
                "mode: dry-run",
                "its policies are exported as dry runs, and refuse nothing",
            ));
        }
        for to in policy.spec.rules.iter_mut().flat_map(|rule| &mut rule.to) {
            to.operation.not_paths = to.operation.paths.iter().flat_map(|path| no_segments(path)).collect();
        }
        self.relabel(&mut policy.spec.selector);
        let name = policy.metadata.name.clone();
        self.out.add(&name, comments, &policy)
    }

    /// What of a flow into the cluster these documents cannot say.
    fn request_notes(&self, flow: &Flow) -> Vec<Note> {
        let model = &self.cluster.model;
        let subject = format!("flow {}", flow.id);
        let mut notes = Vec::new();
        let mut note = |what: String, why: &str| notes.push(Note::new(&subject, what, why));
        if let Some(timeout) = flow.via.timeout {
            note(format!("timeout: {}", duration_text(timeout)), "write it in a VirtualService");
        }
        if let Some(prefix) = &flow.via.rewrite {
            note(
                format!("rewrite: {prefix}"),
                "write it in the gateway's VirtualService; paths stand here as they arrive",
            );
        }
        let entries = flow.via.allow.iter().flatten();
        if entries.flat_map(|entry| &entry.methods).any(|method| method == "QUERY") {
            note("allow: QUERY".to_owned(), "Envoy does not know the method, and answers 400");
        }
        if flow.via.allow.iter().flatten().any(|entry| is_open(&flow.via.received_path(&entry.path))) {
            let why = "Istio compares paths with them as they are; a server that cuts them off may see another path than was allowed";
            note("allow, of paths with `;`".to_owned(), why);
        }
        if let (Some(from), Some(to)) = (model.nodes.get(&flow.from), model.nodes.get(&flow.to)) {
            let proves = from.under_ward() || (from.kind == NodeKind::Party && from.auth == Some(model::Auth::Mtls));
            if !proves && to.role != Some(Role::Gateway) {
                let why = "it has no identity in the mesh, so nobody passes by this flow";
                note(format!("from: {}", flow.from), why);
            }
        }
        if model.token_of(flow).is_some_and(|token| token.issuer.is_none()) {
            note("jwt".to_owned(), "the mesh names no issuer of such tokens, so nobody passes by this flow");
        }
        if self.cluster.ports(flow).is_empty() {
            note("port".to_owned(), "the target serves none, so nobody passes by this flow");
        }
        notes
    }

    /// Flows out of the cluster are nothing that a policy of Istio is about.
    fn outside(&mut self, flow: &Flow) {
        if flow.standby || self.cluster.holds(&flow.to) || !self.cluster.holds(&flow.from) {
            return;
        }
        let why = "it is not in the cluster, and Istio does not hold back what a workload sends: set outboundTrafficPolicy to \
                   REGISTRY_ONLY and write a ServiceEntry, or use `ward export network-policy`";
        self.out.note(Note::new(format!("flow {}", flow.id), format!("to: {}", flow.to), why));
    }

    /// Labels by which the documents of an export are found again.
    fn metadata(&mut self, kind: &'static str, name: &str, namespace: &str) -> Metadata {
        self.names.insert((kind, namespace.to_owned(), name.to_owned()));
        let labels =
            [("app.kubernetes.io/managed-by", "ward"), ("app.kubernetes.io/part-of", self.cluster.model.name.as_str())];
        Metadata {
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            labels: labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
            ..Metadata::default()
        }
    }

    fn selector(&self, node: &str) -> Selector {
        Selector { match_labels: [(self.label.to_owned(), node.to_owned())].into() }
    }

    /// A selector by our label as one by the cluster's.
    fn relabel(&self, selector: &mut Option<Selector>) {
        if let Some(labels) = selector.as_mut().map(|selector| &mut selector.match_labels)
            && let Some(node) = labels.remove(NODE_LABEL)
        {
            labels.insert(self.label.to_owned(), node);
        }
    }
}

/// What stands at the place of a path's first wildcard and is no segment to Ward, which cuts parameters off: `/orders/;x` is
/// `/orders/`, and `/orders/..;x` is `/`.
fn no_segments(path: &str) -> Vec<String> {
    let Some((before, rest)) = path.split_once("{*") else { return Vec::new() };
    let empty = rest.starts_with('}').then_some(";*");
    empty.into_iter().chain([".;*", "..;*"]).map(|segment| format!("{before}{segment}")).collect()
}

/// Whether a path has a wildcard behind its first, for which there are no words of that kind.
fn is_open(path: &PathPattern) -> bool {
    let wild = path.segments.iter().filter(|segment| !matches!(segment, Segment::Literal(_))).count();
    wild > 1 || path.segments.last() == Some(&Segment::Rest)
}

/// Whether any policy compares paths.
fn looks_at_paths(documents: &Documents) -> bool {
    let written = documents.written_policies.iter().map(|selected| &selected.document);
    documents
        .policies
        .iter()
        .chain(written)
        .flat_map(|policy| &policy.spec.rules)
        .flat_map(|rule| &rule.to)
        .any(|to| !to.operation.paths.is_empty() || !to.operation.not_paths.is_empty())
}

/// The annotations that only Ward reads.
fn own_annotation(key: &str) -> bool {
    key == FLOW_ANNOTATION || key == AUDIT_ANNOTATION
}

fn ports_text(node: &Node) -> String {
    let listen = node.listen.iter().map(|l| format!("{} http", l.port));
    let serves = node.serves.iter().map(|s| format!("{} {}", s.port, protocol(s.protocol)));
    listen.chain(serves).collect::<Vec<_>>().join(", ")
}

fn protocol(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Http => "http",
        Protocol::Grpc => "grpc",
        Protocol::Tcp | Protocol::Postgres => "tcp",
        Protocol::Tls => "tls",
    }
}

/// Rows as lines, with each column as wide as its widest cell.
fn table(rows: &[[String; 4]]) -> Vec<String> {
    let mut widths = [0; 4];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.len());
        }
    }
    let line =
        |row: &[String; 4]| row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}  ")).collect::<String>();
    rows.iter().map(|row| format!("  {}", line(row).trim_end())).collect()
}

#[cfg(test)]
mod tests;
