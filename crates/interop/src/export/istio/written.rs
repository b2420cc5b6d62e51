//! Documents written by hand beside the model. They are Istio's own and stay as they are, but for what means nothing there:
//! targets that Ward takes for nodes, the model's root namespace, our label. What Ward reads more strictly than Istio is
//! written out where Istio has words for it, and said where it has none.
use model::{
    Name,
    allow::Segment,
    istio::{Action, AuthorizationPolicy, JwtRule, Metadata, RequestAuthentication, Rule, Selector, TargetRef},
};

use serde::Serialize;

use super::{ExportError, Exporter, Note, Selected, own_annotation};

/// A kind of document that is attached to workloads.
trait Attached: Clone + Serialize {
    const KIND: &'static str;
    fn parts(&mut self) -> (&mut Metadata, &mut Option<Selector>, &mut Vec<TargetRef>);
}

impl Attached for AuthorizationPolicy {
    const KIND: &'static str = "AuthorizationPolicy";
    fn parts(&mut self) -> (&mut Metadata, &mut Option<Selector>, &mut Vec<TargetRef>) {
        (&mut self.metadata, &mut self.spec.selector, &mut self.spec.target_refs)
    }
}

impl Attached for RequestAuthentication {
    const KIND: &'static str = "RequestAuthentication";
    fn parts(&mut self) -> (&mut Metadata, &mut Option<Selector>, &mut Vec<TargetRef>) {
        (&mut self.metadata, &mut self.spec.selector, &mut self.spec.target_refs)
    }
}

/// Where a document goes.
enum Place {
    /// Where it stands.
    AsItIs,
    /// To each of these nodes, by a copy of its own.
    Nodes(Vec<Name>),
    /// Nowhere: it selects nothing.
    Nowhere,
}

impl Exporter<'_> {
    pub(super) fn written_policy(&mut self, selected: Selected<AuthorizationPolicy>) -> Result<(), ExportError> {
        let Selected { mut document, nodes } = selected;
        let title = title(AuthorizationPolicy::KIND, &document.metadata);
        self.renamed(&title, &document)?;
        let mut comments = vec!["written by hand".to_owned()];
        // In a mesh that reads as Istio does there is nothing to write out.
        if !self.cluster.model.mesh.compat_istio && document.spec.action != Action::Audit {
            for rule in &mut document.spec.rules {
                spell_out(rule);
            }
            for what in self.looser(&document.spec.rules, &nodes) {
                let note = Note::new(&title, what, "Istio reads this more loosely than Ward, see docs/policy.md");
                comments.push(format!("looser than Ward: {}", note.what));
                self.out.note(note);
            }
        }
        if document.spec.action == Action::Custom {
            let provider = document.spec.provider.as_ref().map_or("", |provider| provider.name.as_str());
            let why = "Ward denies what it matches; Istio asks the provider, which MeshConfig must define";
            self.out.note(Note::new(&title, format!("action: CUSTOM, provider: {provider}"), why));
        }
        self.attach(&title, document, nodes, comments)
    }

    pub(super) fn written_authentication(
        &mut self,
        selected: Selected<RequestAuthentication>,
    ) -> Result<(), ExportError> {
        let Selected { document, nodes } = selected;
        let title = title(RequestAuthentication::KIND, &document.metadata);
        let comments = vec!["written by hand".to_owned()];
        for rule in &document.spec.jwt_rules {
            if let Some(note) = local_keys(&title, rule) {
                self.out.note(note);
            }
        }
        self.attach(&title, document, nodes, comments)
    }

    /// Writes a document to where it goes.
    fn attach<D: Attached>(
        &mut self,
        title: &str,
        mut document: D,
        nodes: Vec<Name>,
        mut comments: Vec<String>,
    ) -> Result<(), ExportError> {
        let (metadata, selector, targets) = document.parts();
        match self.place(title, metadata, selector, targets, nodes, &mut comments) {
            Place::Nowhere => Ok(()),
            Place::AsItIs => {
                self.relabel(selector);
                *metadata = self.written_metadata(D::KIND, metadata, None);
                self.out.add(title, comments, &document)
            }
            Place::Nodes(nodes) => nodes.iter().try_for_each(|node| {
                let mut copy = document.clone();
                let (metadata, selector, targets) = copy.parts();
                targets.clear();
                *selector = Some(self.selector(node.as_str()));
                let only = nodes.len() == 1;
                *metadata = self.written_metadata(D::KIND, metadata, Some((node, only)));
                self.out.add(title, comments.clone(), &copy)
            }),
        }
    }

    /// Where a document goes so that it selects there what it selects here.
    fn place(
        &mut self,
        title: &str,
        metadata: &Metadata,
        selector: &Option<Selector>,
        targets: &[TargetRef],
        nodes: Vec<Name>,
        comments: &mut Vec<String>,
    ) -> Place {
        let inside: Vec<Name> = nodes.into_iter().filter(|node| self.cluster.holds(node)).collect();
        if inside.is_empty() {
            self.out.note(Note::new(title, "selects no workload", "left out"));
            return Place::Nowhere;
        }
        let root = metadata.namespace == self.cluster.model.mesh.root_namespace.as_str();
        if let [first, ..] = targets {
            comments.push(format!("by selector, as to Istio `targetRefs` to a {} is not the workload", first.kind));
        } else if root {
            comments.push(format!("from the model's root namespace {}, for each workload", metadata.namespace));
        } else if self.cluster.choice.namespace.is_some() {
            if selector.is_none() {
                comments.push(format!("of all of namespace {}, for each workload", metadata.namespace));
            }
        } else {
            return Place::AsItIs;
        }
        Place::Nodes(inside)
    }

    /// Name and namespace of a document, or of its copy for a node; a name that is taken gets the node's behind it.
    fn written_metadata(&mut self, kind: &'static str, metadata: &Metadata, copy: Option<(&Name, bool)>) -> Metadata {
        let node = copy.map(|(node, _)| node);
        let namespace = node
            .and_then(|node| self.cluster.model.nodes.get(node))
            .map_or(metadata.namespace.clone(), |node| node.namespace.to_string());
        let taken = |exporter: &Self, name: &str| exporter.names.contains(&(kind, namespace.clone(), name.to_owned()));
        let mut name = metadata.name.clone();
        if let Some((node, only)) = copy
            && (!only || taken(self, &name))
        {
            name = format!("{name}.{node}");
        }
        let base = name.clone();
        for number in 2_u32.. {
            if !taken(self, &name) {
                break;
            }
            name = format!("{base}.{number}");
        }
        let mut made = self.metadata(kind, &name, &namespace);
        made.labels.extend(metadata.labels.clone());
        made.annotations.extend(
            metadata.annotations.iter().filter(|(key, _)| !own_annotation(key)).map(|(k, v)| (k.clone(), v.clone())),
        );
        made
    }

    /// What of rules that narrow Istio reads more loosely, and has no words for.
    fn looser(&self, rules: &[Rule], nodes: &[Name]) -> Vec<String> {
        let mut found = Vec::new();
        for rule in rules {
            for condition in &rule.when {
                let values = condition.values.iter().chain(&condition.not_values);
                if condition.key.starts_with("request.headers[") && values.clone().any(|value| value != "*") {
                    found.push(format!("{}, one of several values in a line", condition.key));
                }
            }
            for operation in rule.to.iter().map(|to| &to.operation) {
                if operation.hosts.iter().any(|host| host.starts_with('*') && host.len() > 1) {
                    found.push("hosts, with a port in the request".to_owned());
                }
                if !operation.not_hosts.is_empty() {
                    found.push("notHosts".to_owned());
                }
                let odd = |path: &&String| {
                    let lower = path.trim_end_matches(";*").to_ascii_lowercase();
                    ["//", ";", "\\", "%", "/./", "/../"].iter().any(|what| lower.contains(what))
                };
                if operation.paths.iter().chain(&operation.not_paths).any(|path| odd(&path)) {
                    found.push("paths that are not in normal form".to_owned());
                }
                if operation.paths.iter().any(|path| self.passes_parameters(path, nodes)) {
                    found.push("paths, with `;` parameters inside the request's".to_owned());
                }
            }
        }
        found.dedup();
        found
    }

    /// Whether `/a;x=1/b` gets past what denies `/a/b`: a flow must let any segment pass where `a` stands.
    fn passes_parameters(&self, path: &str, nodes: &[Name]) -> bool {
        let whole = path.contains('{') || path.starts_with('*');
        let inner =
            path.trim_end_matches('*').split('/').filter(|segment| !segment.is_empty()).count().saturating_sub(1);
        let model = &self.cluster.model;
        let mut flows = model.flows.iter().filter(|flow| !flow.standby && nodes.contains(&flow.to));
        flows.any(|flow| match &flow.via.allow {
            None => inner > 0 || whole,
            Some(entries) => entries.iter().any(|entry| {
                let path = flow.via.received_path(&entry.path);
                let wild = path.segments.iter().position(|segment| !matches!(segment, Segment::Literal(_)));
                wild.is_some_and(|at| whole || at < inner)
            }),
        })
    }

    /// Refuses a policy that names what the caller's options rename.
    fn renamed(&self, title: &str, policy: &AuthorizationPolicy) -> Result<(), ExportError> {
        let choice = &self.cluster.choice;
        let options = [
            (choice.namespace.is_some(), "--namespace", BY_NAMESPACE),
            (choice.trust_domain.is_some(), "--trust-domain", BY_TRUST_DOMAIN),
        ];
        for (_, option, words) in options.into_iter().filter(|(given, ..)| *given) {
            if let Some(what) = policy.spec.rules.iter().find_map(|rule| identity_field(rule, words)) {
                return Err(ExportError::Renamed { document: title.to_owned(), what, option });
            }
        }
        Ok(())
    }
}

/// What of a rule is about namespaces, by the end of its field's name.
const BY_NAMESPACE: &[&str] = &["principal", "namespace", "serviceaccount"];
/// What is about trust domains.
const BY_TRUST_DOMAIN: &[&str] = &["principal", "trustdomain"];

fn title(kind: &str, metadata: &Metadata) -> String {
    format!("{kind} {}/{}", metadata.namespace, metadata.name)
}

/// The first field of a rule that is about names of workloads, as one of the words says.
fn identity_field(rule: &Rule, words: &[&str]) -> Option<String> {
    let named = |field: &str| {
        let lower = field.to_ascii_lowercase();
        words.iter().any(|word| lower.trim_end_matches('s').ends_with(word))
    };
    let sources = rule.from.iter().find_map(|from| {
        let source = &from.source;
        let fields = [
            ("principals", &source.principals),
            ("notPrincipals", &source.not_principals),
            ("namespaces", &source.namespaces),
            ("notNamespaces", &source.not_namespaces),
            ("serviceAccounts", &source.service_accounts),
            ("notServiceAccounts", &source.not_service_accounts),
            ("trustDomains", &source.trust_domains),
            ("notTrustDomains", &source.not_trust_domains),
        ];
        fields.into_iter().find(|(field, values)| named(field) && !values.is_empty()).map(|(field, _)| field.to_owned())
    });
    let condition = |one: &&model::istio::Condition| one.key.starts_with("source.") && named(&one.key);
    sources.or_else(|| rule.when.iter().find(condition).map(|one| one.key.clone()))
}

/// Writes out what Ward reads into a rule that narrows: `/admin` is `/admin/` and `/admin;x=1` too, and a host is one at any
/// port.
fn spell_out(rule: &mut Rule) {
    for to in &mut rule.to {
        let operation = &mut to.operation;
        let spelt: Vec<String> = operation.paths.iter().flat_map(|path| spellings(path)).collect();
        add(&mut operation.paths, spelt);
        let plain = |host: &&String| !host.contains(['*', ':']) && !host.ends_with('.');
        let named = operation.hosts.iter().filter(plain);
        let ported: Vec<String> =
            named.flat_map(|host| [format!("{host}:*"), format!("{host}."), format!("{host}.:*")]).collect();
        add(&mut operation.hosts, ported);
    }
}

/// Further values that stand for what Ward takes for the same path.
pub(super) fn spellings(path: &str) -> Vec<String> {
    if path.ends_with('/') || path == "*" {
        return Vec::new();
    }
    match path.strip_suffix('*') {
        Some(prefix) if !path.contains('{') => {
            let last = prefix.strip_suffix('/').filter(|last| !last.is_empty());
            last.map(|last| format!("{last};*")).into_iter().collect()
        }
        _ if path.contains('{') || path.starts_with('*') => vec![format!("{path}/")],
        _ => vec![format!("{path}/"), format!("{path};*")],
    }
}

fn add(values: &mut Vec<String>, more: Vec<String>) {
    for value in more {
        if !values.contains(&value) {
            values.push(value);
        }
    }
}

/// Says that keys stand at an address which is another machine in every pod.
pub(super) fn local_keys(subject: &str, rule: &JwtRule) -> Option<Note> {
    let address = rule.jwks_uri.as_deref()?;
    let host = address.split_once("://").map_or(address, |(_, rest)| rest);
    let local = ["localhost", "127.", "[::1]"].iter().any(|name| host.starts_with(name));
    local.then(|| {
        Note::new(
            subject,
            format!("jwksUri: {address}"),
            "Istio fetches the keys: give it an address that istiod can reach",
        )
    })
}
