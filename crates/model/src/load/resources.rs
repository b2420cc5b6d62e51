//! Reads the standard resources beside the model: hand-written AuthorizationPolicies that narrow what flows allow, and
//! documents about identities and tokens. Everything else is refused or named as not read. A resource that promises security is an error as long as it is not enforced:
//! leaving it out silently would be less than what its author believes to hold.
use std::collections::{BTreeMap, BTreeSet};

use super::{
    Documents, authentication,
    problems::Problems,
    read::{Fields, Item, list},
    tokens,
    yaml::Value,
};
use crate::{
    Model, Severity, closest,
    istio::{
        AUDIT_ANNOTATION, Action, AuthorizationPolicy, AuthorizationSpec, Condition, FLOW_ANNOTATION, From, Metadata,
        NODE_LABEL, Operation, Provider, Rule, Selector, Source, TargetRef, To,
    },
};

/// Most policies beside the model.
pub const POLICIES_MAX: usize = 10_000;

const SECURITY: &str = "security.istio.io";
const NETWORKING: &str = "networking.istio.io";
const GATEWAY: &str = "gateway.networking.k8s.io";

/// The kinds that are read.
const OWN: [&str; 3] = ["AuthorizationPolicy", "PeerAuthentication", "RequestAuthentication"];

/// A kind that Ward knows by name and does not read yet.
struct Known {
    group: &'static str,
    kind: &'static str,
    /// Error for what promises security.
    severity: Severity,
    /// What holds instead.
    instead: &'static str,
}

const fn known(group: &'static str, kind: &'static str, severity: Severity, instead: &'static str) -> Known {
    Known { group, kind, severity, instead }
}

const KNOWN: &[Known] = &[
    known(NETWORKING, "EnvoyFilter", Severity::Error, "Ward's proxy has no Envoy filters: remove the document"),
    known(NETWORKING, "Sidecar", Severity::Error, "a sidecar reaches what its node has flows to: remove the document"),
    known("extensions.istio.io", "WasmPlugin", Severity::Error, "plugins are not run: remove the document"),
    known("networking.k8s.io", "NetworkPolicy", Severity::Error, "declare flows instead: remove the document"),
    known(GATEWAY, "BackendTLSPolicy", Severity::Error, "traffic to nodes is mutual TLS: remove the document"),
    known(NETWORKING, "VirtualService", Severity::Warning, "routes are the `allow` entries of a gateway's flows"),
    known(
        NETWORKING,
        "DestinationRule",
        Severity::Warning,
        "traffic between nodes is mutual TLS, with default balancing",
    ),
    known(NETWORKING, "Gateway", Severity::Warning, "listeners are the `listen` of nodes with `role: gateway`"),
    known(NETWORKING, "ServiceEntry", Severity::Warning, "nodes outside Ward are nodes with `endpoints`"),
    known(NETWORKING, "WorkloadEntry", Severity::Warning, "nodes are declared in ward.yaml"),
    known(NETWORKING, "WorkloadGroup", Severity::Warning, "nodes are declared in ward.yaml"),
    known(NETWORKING, "ProxyConfig", Severity::Warning, "proxies have their defaults"),
    known("telemetry.istio.io", "Telemetry", Severity::Warning, "metrics and logs have their defaults"),
    known(GATEWAY, "Gateway", Severity::Warning, "listeners are the `listen` of nodes with `role: gateway`"),
    known(GATEWAY, "GatewayClass", Severity::Warning, "gateways are nodes with `role: gateway`"),
    known(GATEWAY, "HTTPRoute", Severity::Warning, "routes are the `allow` entries of a gateway's flows"),
    known(GATEWAY, "GRPCRoute", Severity::Warning, "routes are the `allow` entries of a gateway's flows"),
    known(GATEWAY, "TCPRoute", Severity::Warning, "flows to TCP ports are declared in ward.yaml"),
    known(GATEWAY, "TLSRoute", Severity::Warning, "flows to TLS ports are declared in ward.yaml"),
    known(GATEWAY, "ReferenceGrant", Severity::Warning, "flows are the only grants"),
    known("", "Service", Severity::Warning, "nodes are declared in ward.yaml"),
    known("", "ServiceAccount", Severity::Warning, "identities come from node names"),
    known("", "Namespace", Severity::Warning, "namespaces come from zones"),
    known("", "Pod", Severity::Warning, "nodes are declared in ward.yaml"),
    known("", "ConfigMap", Severity::Warning, "it stays outside the model"),
    known("apps", "Deployment", Severity::Warning, "nodes are declared in ward.yaml"),
    known("apps", "StatefulSet", Severity::Warning, "nodes are declared in ward.yaml"),
    known("apps", "DaemonSet", Severity::Warning, "nodes are declared in ward.yaml"),
    known("batch", "Job", Severity::Warning, "nodes are declared in ward.yaml"),
    known("batch", "CronJob", Severity::Warning, "nodes are declared in ward.yaml"),
];

/// Where a hand-written policy, or a part of it, stands: the deepest part of `field` that is written.
/// `policy` is `<namespace>/<name>`, `field` e.g. `spec.rules[0].from[1]`.
pub(crate) fn place<'y>(items: &[Item<'y>], policy: &str, field: &str) -> Option<Item<'y>> {
    let (namespace, name) = policy.split_once('/')?;
    let mut at = items.iter().flat_map(members).find(|item| {
        let text = |key: &str| item.get("metadata").and_then(|m| m.get(key)).and_then(|i| i.scalar());
        text("name") == Some(name) && text("namespace").unwrap_or("default") == namespace
    })?;
    for part in field.split(['.', '[']) {
        let next = match part.strip_suffix(']') {
            Some(index) => index.parse().ok().and_then(|i: usize| at.elements().into_iter().nth(i)),
            None => at.get(part),
        };
        let Some(next) = next else { break };
        at = next;
    }
    Some(at)
}

/// What the resources stand beside.
#[derive(Clone, Copy)]
pub(crate) enum Beside<'m> {
    /// A model, whose flows are the ceiling; it is there when the nouns could be read at all.
    Model(Option<&'m Model>),
    /// Nothing: the resources are all there is.
    Nothing,
}

/// Reads the resources.
pub(crate) fn read(p: &mut Problems<'_>, items: &[Item<'_>], beside: Beside<'_>) -> Documents {
    let mut found = Documents::default();
    let mut seen: BTreeSet<(&str, String, String)> = BTreeSet::new();
    let mut skipped: BTreeSet<(String, String)> = BTreeSet::new();
    let alone = matches!(beside, Beside::Nothing);
    let items: Vec<Item<'_>> = items.iter().flat_map(members).collect();
    for item in &items {
        let Some((group, kind)) = group_and_kind(p, item) else { continue };
        if seen.len() == POLICIES_MAX {
            p.error("too-large", &item.at(), format!("more than {POLICIES_MAX} policies"), None);
            break;
        }
        let (kind, metadata) = match (group.as_str(), kind.as_str()) {
            (SECURITY, "AuthorizationPolicy") => {
                let Some(policy) = policy(p, item, alone) else { continue };
                if let Beside::Model(Some(model)) = beside {
                    narrows(p, item, &policy, model);
                }
                found.policies.push(policy);
                ("policy", found.policies.last().map(|policy| &policy.metadata))
            }
            (SECURITY, "PeerAuthentication") => {
                let Some(peer) = authentication::peer(p, item, alone) else { continue };
                found.peers.push(peer);
                ("PeerAuthentication", found.peers.last().map(|peer| &peer.metadata))
            }
            (SECURITY, "RequestAuthentication") => {
                let Some(document) = authentication::request(p, item, alone) else { continue };
                if let Beside::Model(Some(model)) = beside {
                    tokens::beside(p, item, &document, model);
                    let scope = Scope::of(&document.metadata, &document.spec.selector, &document.spec.target_refs);
                    if scope.nodes(model).is_empty() {
                        scope.warn(p, item, model, Severity::Warning);
                    }
                }
                found.tokens.push(document);
                ("RequestAuthentication", found.tokens.last().map(|tokens| &tokens.metadata))
            }
            _ if alone && foreign(&group, &kind) => {
                // A directory of Kubernetes' resources may hold many of one kind; saying so once is enough.
                if let Some(at) = item.get("kind").filter(|_| skipped.insert((group, kind.clone()))) {
                    let help = "what security.istio.io holds is decided by, and nothing else".to_owned();
                    p.warn("not-enforced", &at.at(), format!("{kind} is left out"), help);
                }
                continue;
            }
            _ => {
                other_kind(p, item, &group, &kind);
                continue;
            }
        };
        let Some(metadata) = metadata else { continue };
        if !seen.insert((kind, metadata.namespace.clone(), metadata.name.clone())) {
            let at = item.get("metadata").and_then(|m| m.get("name")).map_or_else(|| item.at(), |i| i.at());
            let message = format!("a {kind} `{}` of this namespace is already there", metadata.name);
            p.error("duplicate-name", &at, message, "give it another name".to_owned());
        }
    }
    found
}

/// The resources in a `List`, as `kubectl get -o yaml` writes them; anything else is itself.
pub(crate) fn members<'y>(item: &Item<'y>) -> Vec<Item<'y>> {
    let text = |key: &str| item.get(key).and_then(|i| i.scalar()).unwrap_or_default();
    let security =
        || text("apiVersion").starts_with(SECURITY) && OWN.iter().any(|kind| text("kind") == format!("{kind}List"));
    let list = (text("apiVersion") == "v1" && text("kind") == "List") || security();
    match item.get("items").filter(|items| list && matches!(items.yaml.value, Value::Seq(_))) {
        Some(items) => items.elements(),
        None => vec![item.clone()],
    }
}

/// Whether a kind is surely nobody's misspelling of one that is read.
fn foreign(group: &str, kind: &str) -> bool {
    let near = || closest(group, [SECURITY]).is_some() && closest(kind, OWN).is_some();
    group != SECURITY && kind != "List" && !OWN.contains(&kind) && !near()
}

fn group_and_kind(p: &mut Problems<'_>, item: &Item<'_>) -> Option<(String, String)> {
    let version = item.get("apiVersion");
    let kind = item.get("kind");
    match (&version, &kind) {
        (None, None) if item.get("ward").is_some() || item.get("nodes").is_some() || item.get("flows").is_some() => {
            let help = "move them into the ward.yaml of the directory".to_owned();
            p.error("second-model", &item.at(), "the nouns of a model stand in ward.yaml only".to_owned(), help);
            return None;
        }
        (None, None) => {
            let help =
                "a resource has `apiVersion` and `kind`; keep other YAML outside the model's directory".to_owned();
            p.error("no-kind", &item.at(), "this document is neither the model nor a resource".to_owned(), help);
            return None;
        }
        (None, Some(kind)) => {
            let help = "write `apiVersion: security.istio.io/v1`, or what the kind asks for".to_owned();
            p.error("missing-field", &kind.at_key(), "a resource needs `apiVersion`".to_owned(), help);
            return None;
        }
        (Some(version), None) => {
            let help = "write `kind: AuthorizationPolicy`, or what it is".to_owned();
            p.error("missing-field", &version.at_key(), "a resource needs `kind`".to_owned(), help);
            return None;
        }
        (Some(_), Some(_)) => {}
    }
    let version = p.text(&version?, "an API version")?;
    let kind = p.text(&kind?, "a kind")?;
    let group = version.split_once('/').map_or("", |(group, _)| group);
    Some((group.to_owned(), kind.to_owned()))
}

fn other_kind(p: &mut Problems<'_>, item: &Item<'_>, group: &str, kind: &str) {
    let (Some(version_item), Some(kind_item)) = (item.get("apiVersion"), item.get("kind")) else { return };
    if let Some(entry) = KNOWN.iter().find(|k| k.group == group && k.kind == kind) {
        let at = kind_item.at();
        match entry.severity {
            Severity::Error => p.error("not-yet", &at, format!("{kind} is not enforced yet"), entry.instead.to_owned()),
            Severity::Warning => {
                p.warn("not-enforced", &at, format!("{kind} is not read yet"), format!("today {}", entry.instead));
            }
        }
        return;
    }
    let groups: Vec<&str> = KNOWN
        .iter()
        .map(|k| (k.group, k.kind))
        .chain(OWN.map(|kind| (SECURITY, kind)))
        .filter(|(_, k)| *k == kind)
        .map(|(g, _)| g)
        .collect();
    if !groups.is_empty() {
        let groups: Vec<String> =
            groups.iter().map(|g| if g.is_empty() { "v1".to_owned() } else { format!("{g}/v1") }).collect();
        let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
        let message = format!("no {kind} belongs to this API");
        p.error("unknown-kind", &version_item.at(), message, format!("write {}", list(&groups)));
        return;
    }
    let kinds: BTreeSet<&str> = KNOWN.iter().map(|k| k.kind).chain(OWN).collect();
    let help = match closest(kind, kinds) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "keep what is not Ward's outside the model's directory".to_owned(),
    };
    p.error("unknown-kind", &kind_item.at(), format!("Ward does not know the kind `{kind}`"), help);
}

/// The version a resource of this group is read as, whichever of the two it is written in.
pub(crate) const VERSION: &str = "security.istio.io/v1";

/// What stands around the `spec` of a resource: its metadata, and the spec where one is written.
pub(crate) fn envelope<'y>(
    p: &mut Problems<'_>,
    item: &Item<'y>,
    noun: &str,
) -> Option<(Option<Metadata>, Option<Item<'y>>)> {
    let fields = p.fields(item, noun, &["apiVersion", "kind", "metadata", "spec", "status"])?;
    let version = fields.get("apiVersion")?;
    let kind = noun.rsplit(' ').next().unwrap_or(noun);
    let versions = [("security.istio.io/v1", ()), ("security.istio.io/v1beta1", ())];
    p.word(&version, &format!("a version of {kind}"), &versions)?;
    let metadata = fields.require(p, noun, "metadata", "{ name: deny-legacy, namespace: shop }");
    let metadata = metadata.and_then(|i| metadata_of(p, &i));
    Some((metadata, fields.get("spec")))
}

fn policy(p: &mut Problems<'_>, item: &Item<'_>, alone: bool) -> Option<AuthorizationPolicy> {
    let (metadata, spec) = envelope(p, item, "an AuthorizationPolicy")?;
    let spec = match spec {
        Some(spec) => spec_of(p, &spec, alone),
        None => Some(AuthorizationSpec::default()),
    };
    Some(AuthorizationPolicy {
        api_version: VERSION.to_owned(),
        kind: "AuthorizationPolicy".to_owned(),
        metadata: metadata?,
        spec: spec?,
    })
}

fn metadata_of(p: &mut Problems<'_>, item: &Item<'_>) -> Option<Metadata> {
    // Kubernetes' own bookkeeping is let through and dropped, so that exported documents can be used as they are.
    let allowed = [
        "name",
        "namespace",
        "labels",
        "annotations",
        "creationTimestamp",
        "generation",
        "resourceVersion",
        "uid",
        "managedFields",
        "ownerReferences",
        "finalizers",
        "generateName",
        "selfLink",
    ];
    let fields = p.fields(item, "metadata", &allowed)?;
    let name =
        fields.require(p, "metadata", "name", "deny-legacy").and_then(|i| p.text(&i, "a name").map(str::to_owned));
    let namespace = fields.get("namespace").and_then(|i| p.name(&i, "a namespace"));
    let annotations = strings(p, fields.get("annotations"), "annotations");
    for key in [FLOW_ANNOTATION, AUDIT_ANNOTATION] {
        if let Some(item) = fields.get("annotations").and_then(|i| i.get(key)) {
            let message = format!("`{key}` is written by Ward on the policies of flows");
            p.error("reserved-name", &item.at_key(), message, "leave it out".to_owned());
        }
    }
    Some(Metadata {
        name: name?,
        namespace: namespace.map_or_else(|| "default".to_owned(), |n| n.as_str().to_owned()),
        labels: strings(p, fields.get("labels"), "labels"),
        annotations,
    })
}

fn strings(p: &mut Problems<'_>, item: Option<Item<'_>>, what: &str) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for (key, item) in item.map(|i| p.map(&i, what)).unwrap_or_default() {
        // An empty label is a label.
        let value = item.scalar().map(str::to_owned).or_else(|| p.text(&item, "a text").map(str::to_owned));
        if let Some(value) = value {
            all.insert(key.to_owned(), value);
        }
    }
    all
}

fn spec_of(p: &mut Problems<'_>, item: &Item<'_>, alone: bool) -> Option<AuthorizationSpec> {
    let noun = "an AuthorizationPolicy";
    let fields = p.fields(item, noun, &["selector", "targetRef", "targetRefs", "action", "provider", "rules"])?;
    let actions =
        [("ALLOW", Action::Allow), ("DENY", Action::Deny), ("AUDIT", Action::Audit), ("CUSTOM", Action::Custom)];
    let action = match fields.get("action") {
        Some(item) => p.word(&item, "an action", &actions)?,
        None => Action::Allow,
    };
    if action == Action::Custom && !alone {
        let at = fields.get("action").map_or_else(|| item.at(), |i| i.at());
        let message = "no external provider can be asked yet, so this CUSTOM policy denies what it matches".to_owned();
        p.warn("not-enforced", &at, message, "write `action: DENY` if that is meant".to_owned());
    }
    if let Some(item) = fields.get("provider").filter(|_| action != Action::Custom) {
        p.error(
            "misplaced-word",
            &item.at_key(),
            "only a CUSTOM policy has a provider".to_owned(),
            "leave it out".to_owned(),
        );
    }
    let provider = fields.get("provider").and_then(|i| {
        let fields = p.fields(&i, "a provider", &["name"])?;
        let name = fields.require(p, "a provider", "name", "opa")?;
        Some(Provider { name: p.text(&name, "a provider's name")?.to_owned() })
    });
    let selector = selector(p, &fields);
    let target_refs = target_refs(p, &fields);
    let mut rules = Vec::new();
    if let Some(item) = fields.get("rules").filter(|i| !i.yaml.is_null()) {
        for element in p.list(&item, "rules") {
            // A dash with nothing behind it would be a rule that matches everything.
            if element.yaml.is_null() {
                let help = "write `{}` for a rule that matches every request, or remove it".to_owned();
                p.error("bad-value", &element.at(), "the rule holds nothing".to_owned(), help);
            }
            rules.extend(rule(p, &element));
        }
    }
    Some(AuthorizationSpec { selector, target_refs, action, provider, rules })
}

/// `selector: { matchLabels }`.
pub(crate) fn selector(p: &mut Problems<'_>, fields: &Fields<'_>) -> Option<Selector> {
    let fields = p.fields(&fields.get("selector")?, "a selector", &["matchLabels"])?;
    Some(Selector { match_labels: strings(p, fields.get("matchLabels"), "labels") })
}

/// `targetRefs`, and the older `targetRef`.
pub(crate) fn target_refs(p: &mut Problems<'_>, fields: &Fields<'_>) -> Vec<TargetRef> {
    let one = fields.get("targetRef").into_iter().collect();
    let items: Vec<Item<'_>> = [one, elements(p, fields, "targetRefs", "targets")].concat();
    let mut refs = Vec::new();
    for item in items {
        let noun = "a target";
        let Some(fields) = p.fields(&item, noun, &["group", "kind", "name", "namespace", "sectionName"]) else {
            continue;
        };
        let kind = fields.require(p, noun, "kind", "Gateway").and_then(|i| p.text(&i, "a kind"));
        let name = fields.require(p, noun, "name", "orders").and_then(|i| p.text(&i, "a name"));
        let text = |i: Item<'_>| i.scalar().map(str::to_owned);
        if let (Some(kind), Some(name)) = (kind, name) {
            refs.push(TargetRef {
                group: fields.get("group").and_then(text).unwrap_or_default(),
                kind: kind.to_owned(),
                name: name.to_owned(),
                namespace: fields.get("namespace").and_then(text),
            });
        }
    }
    refs
}

fn rule(p: &mut Problems<'_>, item: &Item<'_>) -> Option<Rule> {
    let fields = p.fields(item, "a rule", &["from", "to", "when"])?;
    let mut rule = Rule::default();
    for element in elements(p, &fields, "from", "sources") {
        let Some(entry) = p.fields(&element, "a `from` entry", &["source"]) else { continue };
        let source = match entry.get("source") {
            Some(item) => source(p, &item),
            None => Some(Source::default()),
        };
        rule.from.extend(source.map(|source| From { source }));
    }
    for element in elements(p, &fields, "to", "operations") {
        let Some(entry) = p.fields(&element, "a `to` entry", &["operation"]) else { continue };
        let operation = match entry.get("operation") {
            Some(item) => operation(p, &item),
            None => Some(Operation::default()),
        };
        rule.to.extend(operation.map(|operation| To { operation }));
    }
    for element in elements(p, &fields, "when", "conditions") {
        let Some(entry) = p.fields(&element, "a condition", &["key", "values", "notValues"]) else { continue };
        let key =
            entry.require(p, "a condition", "key", "request.headers[x-team]").and_then(|i| p.text(&i, "an attribute"));
        let (wanted, not_values) = (values(p, &entry, "values"), values(p, &entry, "notValues"));
        if key.is_some() && wanted.is_empty() && not_values.is_empty() {
            let help = "write `values: [...]` or `notValues: [...]`".to_owned();
            p.error("missing-field", &element.at(), "a condition needs values".to_owned(), help);
        }
        rule.when.extend(key.map(|key| Condition { key: key.to_owned(), values: wanted, not_values }));
    }
    Some(rule)
}

/// The elements of a list that holds some. One that is written and empty says nothing, or everything, depending on who
/// reads it: `from: []` is refused as Istio does, and so is every other.
pub(crate) fn elements<'y>(p: &mut Problems<'_>, fields: &Fields<'y>, key: &str, of: &str) -> Vec<Item<'y>> {
    let Some(item) = fields.get(key) else { return Vec::new() };
    let found = if item.yaml.is_null() { Vec::new() } else { p.list(&item, of) };
    if found.is_empty() && p.clean(&item.path) {
        let message = format!("`{key}` holds nothing");
        p.error("bad-value", &item.at_key(), message, format!("name {of}, or leave it out"));
    }
    found
}

/// A list of texts.
pub(crate) fn values(p: &mut Problems<'_>, fields: &Fields<'_>, key: &str) -> Vec<String> {
    elements(p, fields, key, "texts").iter().filter_map(|e| p.text(e, "a text").map(str::to_owned)).collect()
}

fn source(p: &mut Problems<'_>, item: &Item<'_>) -> Option<Source> {
    let allowed = [
        "principals",
        "notPrincipals",
        "requestPrincipals",
        "notRequestPrincipals",
        "namespaces",
        "notNamespaces",
        "serviceAccounts",
        "notServiceAccounts",
        "trustDomains",
        "notTrustDomains",
        "ipBlocks",
        "notIpBlocks",
        "remoteIpBlocks",
        "notRemoteIpBlocks",
    ];
    let f = p.fields(item, "a source", &allowed)?;
    Some(Source {
        principals: values(p, &f, "principals"),
        not_principals: values(p, &f, "notPrincipals"),
        request_principals: values(p, &f, "requestPrincipals"),
        not_request_principals: values(p, &f, "notRequestPrincipals"),
        namespaces: values(p, &f, "namespaces"),
        not_namespaces: values(p, &f, "notNamespaces"),
        service_accounts: values(p, &f, "serviceAccounts"),
        not_service_accounts: values(p, &f, "notServiceAccounts"),
        trust_domains: values(p, &f, "trustDomains"),
        not_trust_domains: values(p, &f, "notTrustDomains"),
        ip_blocks: values(p, &f, "ipBlocks"),
        not_ip_blocks: values(p, &f, "notIpBlocks"),
        remote_ip_blocks: values(p, &f, "remoteIpBlocks"),
        not_remote_ip_blocks: values(p, &f, "notRemoteIpBlocks"),
    })
}

fn operation(p: &mut Problems<'_>, item: &Item<'_>) -> Option<Operation> {
    let allowed = ["hosts", "notHosts", "ports", "notPorts", "methods", "notMethods", "paths", "notPaths"];
    let f = p.fields(item, "an operation", &allowed)?;
    Some(Operation {
        hosts: values(p, &f, "hosts"),
        not_hosts: values(p, &f, "notHosts"),
        ports: values(p, &f, "ports"),
        not_ports: values(p, &f, "notPorts"),
        methods: values(p, &f, "methods"),
        not_methods: values(p, &f, "notMethods"),
        paths: values(p, &f, "paths"),
        not_paths: values(p, &f, "notPaths"),
    })
}

/// A hand-written policy narrows the flows: DENY, CUSTOM and AUDIT do; an ALLOW might add to them. One that denies and
/// selects nothing is an error, because its author believes it denies.
fn narrows(p: &mut Problems<'_>, item: &Item<'_>, policy: &AuthorizationPolicy, model: &Model) {
    let scope = Scope::of(&policy.metadata, &policy.spec.selector, &policy.spec.target_refs);
    let selected = scope.nodes(model);
    match (policy.spec.action, selected.as_slice()) {
        (Action::Deny | Action::Custom, []) => scope.warn(p, item, model, Severity::Error),
        (Action::Allow | Action::Audit, []) => scope.warn(p, item, model, Severity::Warning),
        (Action::Allow, selected) => {
            let at = item
                .get("spec")
                .and_then(|s| s.get("action"))
                .or_else(|| item.get("kind"))
                .map_or_else(|| item.at(), |i| i.at());
            let message = format!("this ALLOW selects {}, and only flows may allow", list(selected));
            let help =
                "declare a flow with `via: { allow: … }`; an ALLOW is refused until it is provably inside the flows"
                    .to_owned();
            p.error("undeclared-allow", &at, message, help);
        }
        _ => {}
    }
}

/// What a resource is attached to.
struct Scope<'a> {
    namespace: &'a str,
    labels: Option<&'a BTreeMap<String, String>>,
    refs: &'a [TargetRef],
}

impl<'a> Scope<'a> {
    fn of(metadata: &'a Metadata, selector: &'a Option<Selector>, refs: &'a [TargetRef]) -> Self {
        Self { namespace: &metadata.namespace, labels: selector.as_ref().map(|s| &s.match_labels), refs }
    }

    /// The nodes under Ward that it selects, as the engine does: a target is the node of its name.
    fn nodes<'m>(&self, model: &'m Model) -> Vec<&'m str> {
        // To Istio a Service or a Gateway is never the workload itself.
        let attached = self.refs.iter().filter(|one| {
            !model.mesh.compat_istio && {
                matches!((one.group.as_str(), one.kind.as_str()), ("" | "core", "Service") | (GATEWAY, "Gateway"))
            }
        });
        let attached: BTreeSet<&str> = attached.map(|one| one.name.as_str()).collect();
        let by_refs = !self.refs.is_empty() && self.labels.is_none();
        let everywhere = !by_refs && self.namespace == model.mesh.root_namespace.as_str();
        model
            .nodes
            .iter()
            .filter(|(_, node)| node.under_ward() && (everywhere || node.namespace.as_str() == self.namespace))
            .map(|(name, _)| name.as_str())
            .filter(|name| match self.labels {
                None if by_refs => attached.contains(name),
                labels => labels.is_none_or(|l| l.iter().all(|(k, v)| k == NODE_LABEL && v == name)),
            })
            .collect()
    }

    /// Says that it selects nothing, and what would.
    fn warn(&self, p: &mut Problems<'_>, item: &Item<'_>, model: &Model, severity: Severity) {
        let spec = item.get("spec");
        let at = ["selector", "targetRefs", "targetRef"]
            .iter()
            .find_map(|key| spec.as_ref()?.get(key))
            .or_else(|| item.get("metadata"))
            .map_or_else(|| item.at(), |i| i.at_key());
        let namespace = self.namespace;
        let message = format!("no node under Ward in namespace `{namespace}` is selected");
        let app = match self.labels {
            Some(labels) => labels.get(NODE_LABEL),
            None => self.refs.first().map(|one| &one.name),
        };
        let under = || model.nodes.iter().filter(|(_, n)| n.under_ward());
        let help = match app.and_then(|app| model.nodes.get(app.as_str()).map(|n| (app, n))) {
            Some((app, node)) if node.namespace.as_str() != namespace => {
                format!(
                    "`{app}` is in namespace `{}`: write `metadata: {{ namespace: {} }}`",
                    node.namespace, node.namespace
                )
            }
            _ => match app.and_then(|app| closest(app, under().map(|(n, _)| n.as_str()))) {
                Some(near) if app.is_some_and(|a| a != near) && self.labels.is_none() => {
                    format!("did you mean `name: {near}`?")
                }
                Some(near) if app.is_some_and(|a| a != near) => format!("did you mean `app: {near}`?"),
                _ if namespace == "istio-system" => {
                    let root = &model.mesh.root_namespace;
                    format!("the root namespace is `{root}`: write that, or `mesh: {{ root_namespace: istio-system }}`")
                }
                _ => {
                    let spaces: BTreeSet<&str> = under().map(|(_, n)| n.namespace.as_str()).collect();
                    let spaces: Vec<&str> = spaces.into_iter().take(12).collect();
                    format!("workloads have the label `app: <node>`, in namespaces {}", list(&spaces))
                }
            },
        };
        match severity {
            Severity::Error => p.error("selects-nothing", &at, message, help),
            Severity::Warning => p.warn("selects-nothing", &at, message, help),
        }
    }
}
