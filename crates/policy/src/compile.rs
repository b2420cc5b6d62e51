//! From documents to rules. What is not understood is an error, never left out: a rule set is what was written or it
//! is nothing.
use std::borrow::Cow;

use http::HeaderName;
use model::{
    Audit,
    istio::{self, AUDIT_ANNOTATION, Action, AuthorizationPolicy, FLOW_ANNOTATION},
};

use crate::{
    CompileError, RuleRef, Semantics,
    matcher::{
        Check, Cidr, HostPattern, Matcher, Methods, NamespacePattern, PathMatch, Reading, ServiceAccount, Template,
        TemplateFault, Text,
    },
    path::{canonical_spelling, never_normal, normalize_path},
    rules::{PolicyInfo, Rule, Workload, audit_from_str},
};

/// Istio's annotation for policies that are only to be watched.
const DRY_RUN_ANNOTATION: &str = "istio.io/dry-run";
/// Istio's name for "the trust domain of this mesh", whatever it is called.
const CLUSTER_LOCAL: &str = "cluster.local";
/// Most values of `serviceAccounts` (Istio API).
const SERVICE_ACCOUNTS_MAX: usize = 16;
/// Most `targetRefs` (Istio API).
const TARGETS_MAX: usize = 16;

/// Namespace of a policy; Kubernetes' default when it names none.
pub(crate) fn namespace(policy: &AuthorizationPolicy) -> &str {
    if policy.metadata.namespace.is_empty() { "default" } else { &policy.metadata.namespace }
}

/// `<namespace>/<name>`.
pub(crate) fn full_name(policy: &AuthorizationPolicy) -> String {
    format!("{}/{}", namespace(policy), policy.metadata.name)
}

/// Whether a policy selects a workload: same or root namespace, and every label of the selector, or one of its
/// `targetRefs`. One that says both, or whose label or target is faulty, selects everything in its namespace, so that it
/// is compiled, and refused.
pub(crate) fn selects(semantics: Semantics, policy: &AuthorizationPolicy, workload: &Workload) -> bool {
    let refs = &policy.spec.target_refs;
    let selector = policy.spec.selector.as_ref();
    if !refs.is_empty() && selector.is_none() {
        return refs.iter().any(|one| refers(semantics, one, namespace(policy), workload));
    }
    scope_selects(namespace(policy), selector, workload)
}

/// The same for any resource with a selector.
pub(crate) fn scope_selects(namespace: &str, selector: Option<&istio::Selector>, workload: &Workload) -> bool {
    (namespace == workload.namespace || namespace == workload.root_namespace)
        && selector.is_none_or(|selector| {
            let mut labels = selector.match_labels.iter();
            labels.all(|(name, value)| faulty_label(name, value) || workload.labels.get(name) == Some(value))
        })
}

const GATEWAY_API: &str = "gateway.networking.k8s.io";

/// Whether a target is the workload. To Istio only gateways are, by the label their Deployment carries: a Service or
/// ServiceEntry means a waypoint, never the workload. To Ward a node is the Service, and the Gateway, of its name.
pub(crate) fn refers(semantics: Semantics, target: &istio::TargetRef, namespace: &str, workload: &Workload) -> bool {
    let label = |name: &str| workload.labels.get(name) == Some(&target.name);
    let here = namespace == workload.namespace;
    let is_node = semantics == Semantics::Ward && label(istio::NODE_LABEL);
    match (target.group.as_str(), target.kind.as_str()) {
        (GATEWAY_API, "Gateway") => here && (label("gateway.networking.k8s.io/gateway-name") || is_node),
        (GATEWAY_API, "GatewayClass") => {
            namespace == workload.root_namespace && label("gateway.networking.k8s.io/gateway-class-name")
        }
        ("" | "core", "Service") => here && is_node,
        ("networking.istio.io", "ServiceEntry") => false,
        _ => here,
    }
}

/// A label is a name and a whole value.
fn faulty_label(name: &str, value: &str) -> bool {
    name.is_empty() || name.contains('*') || value.contains('*')
}

/// A policy, compiled.
pub(crate) struct Compiled {
    pub(crate) info: PolicyInfo,
    pub(crate) dry_run: bool,
    pub(crate) rules: Vec<Rule>,
}

/// Compiles policies one after the other and gathers what is said about them.
pub(crate) struct Compiler<'a> {
    semantics: Semantics,
    workload: &'a Workload,
    policy: String,
    namespace: String,
    /// The reading of the policy at hand.
    reading: Reading,
    pub(crate) errors: Vec<CompileError>,
    pub(crate) warnings: Vec<CompileError>,
    pub(crate) headers: Vec<HeaderName>,
}

impl<'a> Compiler<'a> {
    pub(crate) fn new(semantics: Semantics, workload: &'a Workload) -> Self {
        Self {
            semantics,
            workload,
            policy: String::new(),
            namespace: String::new(),
            reading: Reading::Certain,
            errors: Vec::new(),
            warnings: Vec::new(),
            headers: Vec::new(),
        }
    }

    /// Compiles one policy; the caller looks at `errors` afterwards.
    pub(crate) fn policy(&mut self, index: u32, policy: &AuthorizationPolicy) -> Compiled {
        self.policy = full_name(policy);
        self.namespace = namespace(policy).to_owned();
        let action = policy.spec.action;
        self.reading = if action == Action::Allow { Reading::Certain } else { Reading::Possible };
        self.header(policy);
        let dry_run = self.dry_run(policy);
        let audit = match policy.metadata.annotations.get(AUDIT_ANNOTATION) {
            None => Audit::default(),
            Some(word) => audit_from_str(word).unwrap_or_else(|| {
                let at = format!("metadata.annotations[{AUDIT_ANNOTATION}]");
                self.error(&at, format!("`{word}` is not an audit level"), "use low, medium, high, strict or critical");
                Audit::Critical
            }),
        };
        let mut rules: Vec<Rule> = Vec::with_capacity(policy.spec.rules.len());
        for (number, rule) in policy.spec.rules.iter().enumerate() {
            let at = RuleRef { policy: index, rule: u32::try_from(number).unwrap_or(u32::MAX) };
            if action == Action::Custom {
                self.custom(&format!("spec.rules[{number}]"), rule);
            }
            let mut rule = self.rule(at, rule);
            let mut checks = rule.from.iter().chain(&rule.to).flatten().chain(&rule.when);
            rule.http_only = action == Action::Allow && checks.any(|check| check.matcher.http_only());
            rules.push(rule);
        }
        let info = PolicyInfo {
            name: self.policy.as_str().into(),
            flow: policy.metadata.annotations.get(FLOW_ANNOTATION).map(|flow| flow.as_str().into()),
            audit,
            action,
        };
        Compiled { info, dry_run, rules }
    }

    /// What stands around the rules.
    fn header(&mut self, policy: &AuthorizationPolicy) {
        if !matches!(policy.api_version.as_str(), "security.istio.io/v1" | "security.istio.io/v1beta1") {
            let message = format!("`{}` is not a version of this resource", policy.api_version);
            self.error("apiVersion", message, "write security.istio.io/v1");
        }
        if policy.kind != "AuthorizationPolicy" {
            self.error("kind", format!("`{}` is not AuthorizationPolicy", policy.kind), "write AuthorizationPolicy");
        }
        if policy.metadata.name.is_empty() {
            self.error("metadata.name", "the policy has no name", "name it");
        }
        self.targets(policy);
        if let Some(selector) = &policy.spec.selector {
            for (name, value) in &selector.match_labels {
                if faulty_label(name, value) {
                    let at = format!("spec.selector.matchLabels[{name}]");
                    self.error(&at, "a label is compared whole, without wildcards", "write the label's full value");
                }
            }
        }
        if policy.spec.rules.is_empty() {
            match policy.spec.action {
                Action::Custom => self.error("spec.rules", "a CUSTOM policy without rules never asks", "write `[{}]`"),
                Action::Deny => self.warn("spec.rules", "a DENY policy without rules denies nothing", "write `[{}]`"),
                Action::Allow | Action::Audit => {}
            }
        }
        match (policy.spec.action, &policy.spec.provider) {
            (Action::Custom, None) => {
                self.error("spec.provider", "a CUSTOM policy needs a provider", "name one");
            }
            (Action::Custom, Some(_)) => self.warn(
                "spec.action",
                "providers cannot be asked yet, so this policy denies what it matches",
                "write action: DENY if that is what you want",
            ),
            (_, Some(_)) => {
                self.error("spec.provider", "only a CUSTOM policy has a provider", "remove it");
            }
            (_, None) => {}
        }
    }

    /// What a policy is attached to, when it names targets.
    fn targets(&mut self, policy: &AuthorizationPolicy) {
        let refs = &policy.spec.target_refs;
        if refs.len() > TARGETS_MAX {
            self.error("spec.targetRefs", format!("more than {TARGETS_MAX} targets"), "split the policy");
        }
        if !refs.is_empty() && policy.spec.selector.is_some() {
            self.error("spec.targetRefs", "targetRefs and selector exclude each other", "keep one of them");
        }
        for (i, target) in refs.iter().enumerate() {
            let at = format!("spec.targetRefs[{i}]");
            if target.name.is_empty() {
                self.error(&at, "a target needs a name", "name it");
            }
            if target.namespace.as_deref().is_some_and(|other| other != self.namespace && !other.is_empty()) {
                self.error(&at, "a target stands in the namespace of its policy", "leave `namespace` out");
            }
            match (target.group.as_str(), target.kind.as_str()) {
                (GATEWAY_API, "GatewayClass") if self.namespace != self.workload.root_namespace => {
                    let help = format!("move the policy into namespace {}", self.workload.root_namespace);
                    self.error(&at, "only the root namespace speaks for a GatewayClass", &help);
                }
                (GATEWAY_API, "Gateway" | "GatewayClass") | ("" | "core", "Service") => {}
                ("networking.istio.io", "ServiceEntry") if self.semantics == Semantics::Istio => {}
                (group, kind) => {
                    let message = format!("a policy cannot be attached to `{kind}` of `{group}`");
                    self.error(&at, message, "name a Service, or a Gateway of gateway.networking.k8s.io");
                }
            }
        }
    }

    /// What Istio cannot ask a provider about, as it does so before it knows the caller.
    fn custom(&mut self, place: &str, rule: &istio::Rule) {
        let help = "use addresses, hosts, ports, methods, paths or headers";
        for (i, from) in rule.from.iter().enumerate() {
            let source = &from.source;
            for (field, values) in [
                ("principals", &source.principals),
                ("notPrincipals", &source.not_principals),
                ("namespaces", &source.namespaces),
                ("notNamespaces", &source.not_namespaces),
                ("serviceAccounts", &source.service_accounts),
                ("notServiceAccounts", &source.not_service_accounts),
                ("trustDomains", &source.trust_domains),
                ("notTrustDomains", &source.not_trust_domains),
                ("requestPrincipals", &source.request_principals),
                ("notRequestPrincipals", &source.not_request_principals),
            ] {
                if !values.is_empty() {
                    let at = format!("{place}.from[{i}].source.{field}");
                    self.error(&at, format!("a CUSTOM policy cannot look at {field}"), help);
                }
            }
        }
        for (i, condition) in rule.when.iter().enumerate() {
            let key = condition.key.as_str();
            if matches!(key, "source.namespace" | "source.serviceAccount" | "source.trustDomain" | "source.principal")
                || key.starts_with("request.auth.")
            {
                self.error(&format!("{place}.when[{i}].key"), format!("a CUSTOM policy cannot look at {key}"), help);
            }
        }
    }

    fn dry_run(&mut self, policy: &AuthorizationPolicy) -> bool {
        match policy.metadata.annotations.get(DRY_RUN_ANNOTATION).map(String::as_str) {
            None | Some("false") => false,
            Some("true") => true,
            // Go's ParseBool; what it does not understand, Istio logs and enforces.
            Some("1" | "t" | "T" | "TRUE" | "True") if self.semantics == Semantics::Istio => true,
            Some("0" | "f" | "F" | "FALSE" | "False") if self.semantics == Semantics::Istio => false,
            Some(other) if self.semantics == Semantics::Istio => {
                let at = format!("metadata.annotations[{DRY_RUN_ANNOTATION}]");
                self.warn(&at, format!("`{other}` is no boolean, so the policy is enforced"), "write \"true\"");
                false
            }
            Some(other) => {
                let at = format!("metadata.annotations[{DRY_RUN_ANNOTATION}]");
                self.error(&at, format!("`{other}` is neither true nor false"), "write \"true\" or remove it");
                false
            }
        }
    }

    fn rule(&mut self, at: RuleRef, rule: &istio::Rule) -> Rule {
        let place = format!("spec.rules[{}]", at.rule);
        let from: Vec<Box<[Check]>> = rule
            .from
            .iter()
            .enumerate()
            .map(|(i, from)| self.source(&format!("{place}.from[{i}].source"), &from.source).into())
            .collect();
        let to: Vec<Box<[Check]>> = rule
            .to
            .iter()
            .enumerate()
            .map(|(i, to)| self.operation(&format!("{place}.to[{i}].operation"), &to.operation).into())
            .collect();
        let mut when = Vec::new();
        for (i, condition) in rule.when.iter().enumerate() {
            self.condition(&format!("{place}.when[{i}]"), condition, &mut when);
        }
        Rule { at, from: from.into(), to: to.into(), when: when.into(), http_only: false }
    }

    fn source(&mut self, place: &str, source: &istio::Source) -> Vec<Check> {
        let accounts = source.service_accounts.len().max(source.not_service_accounts.len());
        if accounts > 0
            && [&source.principals, &source.not_principals, &source.namespaces, &source.not_namespaces]
                .iter()
                .any(|other| !other.is_empty())
        {
            self.error(
                &format!("{place}.serviceAccounts"),
                "serviceAccounts cannot stand beside principals or namespaces",
                "use one of them",
            );
        }
        if accounts > SERVICE_ACCOUNTS_MAX {
            self.error(
                &format!("{place}.serviceAccounts"),
                format!("more than {SERVICE_ACCOUNTS_MAX} service accounts"),
                "split the rule",
            );
        }
        let mut checks = Vec::new();
        let fields: [Field; 7] = [
            ("principals", "notPrincipals", Kind::Principal, &source.principals, &source.not_principals),
            ("namespaces", "notNamespaces", Kind::Namespace, &source.namespaces, &source.not_namespaces),
            (
                "serviceAccounts",
                "notServiceAccounts",
                Kind::ServiceAccount,
                &source.service_accounts,
                &source.not_service_accounts,
            ),
            ("trustDomains", "notTrustDomains", Kind::TrustDomain, &source.trust_domains, &source.not_trust_domains),
            ("ipBlocks", "notIpBlocks", Kind::SourceIp, &source.ip_blocks, &source.not_ip_blocks),
            (
                "remoteIpBlocks",
                "notRemoteIpBlocks",
                Kind::RemoteIp,
                &source.remote_ip_blocks,
                &source.not_remote_ip_blocks,
            ),
            (
                "requestPrincipals",
                "notRequestPrincipals",
                Kind::RequestPrincipal,
                &source.request_principals,
                &source.not_request_principals,
            ),
        ];
        for (field, not_field, kind, values, not_values) in fields {
            self.check(place, field, &kind, values, false, &mut checks);
            self.check(place, not_field, &kind, not_values, true, &mut checks);
        }
        if checks.is_empty() {
            self.error(place, "a source without fields says nothing", "leave `from` out to mean any source");
        }
        checks
    }

    /// Cheap fields first: the first one that fails ends the rule.
    fn operation(&mut self, place: &str, operation: &istio::Operation) -> Vec<Check> {
        let mut checks = Vec::new();
        let fields: [Field; 4] = [
            ("ports", "notPorts", Kind::Port, &operation.ports, &operation.not_ports),
            ("methods", "notMethods", Kind::Method, &operation.methods, &operation.not_methods),
            ("paths", "notPaths", Kind::Path, &operation.paths, &operation.not_paths),
            ("hosts", "notHosts", Kind::Host, &operation.hosts, &operation.not_hosts),
        ];
        for (field, not_field, kind, values, not_values) in fields {
            self.check(place, field, &kind, values, false, &mut checks);
            self.check(place, not_field, &kind, not_values, true, &mut checks);
        }
        if checks.is_empty() {
            self.error(place, "an operation without fields says nothing", "leave `to` out to mean any operation");
        }
        checks
    }

    fn condition(&mut self, place: &str, condition: &istio::Condition, checks: &mut Vec<Check>) {
        if condition.values.is_empty() && condition.not_values.is_empty() {
            self.error(place, "a condition needs values or notValues", "add one");
            return;
        }
        let Some(kind) = self.key(place, &condition.key) else { return };
        for (field, values, negated) in
            [("values", &condition.values, false), ("notValues", &condition.not_values, true)]
        {
            let before = checks.len();
            self.check(place, field, &kind, values, negated, checks);
            for check in checks.iter_mut().skip(before) {
                check.field = Cow::Owned(condition.key.clone());
            }
        }
    }

    /// What a condition's key asks for.
    fn key(&mut self, place: &str, key: &str) -> Option<Kind> {
        let at = format!("{place}.key");
        let kind = match key {
            "source.ip" => Kind::SourceIp,
            "remote.ip" => Kind::RemoteIp,
            "source.namespace" => Kind::Namespace,
            "source.principal" => Kind::Principal,
            "source.serviceAccount" => Kind::ServiceAccount,
            "request.auth.principal" => Kind::RequestPrincipal,
            "request.auth.audiences" => Kind::Claim(vec!["aud".to_owned()]),
            "request.auth.presenter" => Kind::Claim(vec!["azp".to_owned()]),
            "destination.port" => Kind::Port,
            "connection.sni" => Kind::Sni,
            "destination.ip" => Kind::DestinationIp,
            "source.trustDomain" => Kind::TrustDomain,
            _ => {
                if let Some(names) = bracketed(key, "request.headers") {
                    return self.header_key(&at, &names);
                }
                if let Some(names) = bracketed(key, "request.auth.claims") {
                    return Some(Kind::Claim(names));
                }
                if let Some(rest) = key.strip_prefix("experimental.envoy.filters.") {
                    return self.filter_key(&at, key, rest);
                }
                let known = [
                    "source.ip",
                    "remote.ip",
                    "source.namespace",
                    "source.principal",
                    "source.serviceAccount",
                    "source.trustDomain",
                    "destination.ip",
                    "request.auth.principal",
                    "request.auth.audiences",
                    "request.auth.presenter",
                    "request.auth.claims[name]",
                    "request.headers[name]",
                    "destination.port",
                    "connection.sni",
                ];
                let help = match model::closest(key, known) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("known are {}", known.join(", ")),
                };
                self.error(&at, format!("`{key}` is not an attribute known here"), &help);
                return None;
            }
        };
        Some(kind)
    }

    /// What a filter of Envoy's left beside the request. Istio asks for `<filter>[<name>]`.
    fn filter_key(&mut self, at: &str, key: &str, rest: &str) -> Option<Kind> {
        let named = rest.find('[').is_some_and(|open| rest.ends_with(']') && open + 2 < rest.len());
        if !named {
            let help = "write experimental.envoy.filters.<filter>[<name>]";
            self.error(at, format!("`{key}` names no value of a filter"), help);
            return None;
        }
        self.warn(at, format!("nobody here knows `{key}`: an ALLOW never matches by it, a DENY does"), "remove it");
        Some(Kind::FilterState)
    }

    fn header_key(&mut self, at: &str, names: &[String]) -> Option<Kind> {
        match names {
            [name] => match (name.to_ascii_lowercase().as_str(), HeaderName::from_bytes(name.as_bytes())) {
                // HTTP/1.1 and HTTP/2 carry these in different places; the facts hold them once.
                ("host" | ":authority", _) if self.semantics == Semantics::Istio => Some(Kind::AuthorityHeader),
                ("host" | ":authority", _) => Some(Kind::Host),
                (":method", _) => Some(Kind::Method),
                (_, Ok(header)) => {
                    if !self.headers.contains(&header) {
                        self.headers.push(header.clone());
                    }
                    Some(Kind::Header(header))
                }
                (_, Err(_)) => {
                    self.error(at, format!("`{name}` is not a header name"), "use letters, digits and hyphens");
                    None
                }
            },
            _ => {
                self.error(at, "a header has one name", "write request.headers[name]");
                None
            }
        }
    }

    /// Compiles the values of one field, if there are any.
    fn check(
        &mut self,
        place: &str,
        field: &'static str,
        kind: &Kind,
        values: &[String],
        negated: bool,
        checks: &mut Vec<Check>,
    ) {
        if values.is_empty() {
            return;
        }
        let reading = if negated { self.reading.negated() } else { self.reading };
        let place = format!("{place}.{field}");
        for (i, _) in values.iter().enumerate().filter(|(_, value)| value.is_empty()) {
            self.error(&format!("{place}[{i}]"), "a value is empty", "remove it, or write `*` for any value");
        }
        let matcher = self.matcher(&place, kind, values, reading);
        checks.push(Check { field: Cow::Borrowed(field), wanted: values.into(), negated, reading, matcher });
    }

    fn matcher(&mut self, place: &str, kind: &Kind, values: &[String], reading: Reading) -> Matcher {
        match kind {
            Kind::Principal => {
                let texts = self.texts(place, values, |value| {
                    value.starts_with("spiffe://").then_some("principals are written without spiffe://")
                });
                Matcher::Principal(texts.iter().flat_map(|text| self.principal_aliases(text)).collect())
            }
            Kind::Namespace => {
                let slash = |value: &str| value.contains('/').then_some("a namespace holds no slash");
                match self.semantics {
                    Semantics::Ward => {
                        self.texts(place, values, slash);
                    }
                    // A `*` is a wildcard wherever it stands: Istio writes `.*` for it.
                    Semantics::Istio => self.doubts(place, values, slash),
                }
                Matcher::Namespace(values.iter().map(|value| NamespacePattern::parse(value)).collect())
            }
            Kind::ServiceAccount => self.service_accounts(place, values),
            Kind::TrustDomain => {
                let texts = self.trust_domains(place, values);
                Matcher::TrustDomain(texts.iter().flat_map(|text| self.domain_aliases(text)).collect())
            }
            Kind::SourceIp => Matcher::SourceIp(self.cidrs(place, values)),
            Kind::RemoteIp => Matcher::RemoteIp(self.cidrs(place, values)),
            Kind::DestinationIp => Matcher::DestinationIp(self.cidrs(place, values)),
            Kind::FilterState => match self.semantics {
                Semantics::Ward => Matcher::Unknown,
                Semantics::Istio => Matcher::Absent,
            },
            Kind::RequestPrincipal => Matcher::RequestPrincipal(values.iter().map(|v| request_principal(v)).collect()),
            Kind::Host | Kind::AuthorityHeader if self.semantics == Semantics::Istio => {
                let any = self.texts(place, values, |value| value.contains('/').then_some("a host holds no slash"));
                Matcher::Authority { any, ignore_case: matches!(kind, Kind::Host) }
            }
            Kind::Host | Kind::AuthorityHeader => {
                self.texts(place, values, |value| value.contains('/').then_some("a host holds no slash"));
                Matcher::Host(values.iter().map(|value| HostPattern::parse(value)).collect())
            }
            Kind::Port => Matcher::Port(self.ports(place, values)),
            Kind::Method => {
                self.texts(place, values, |_| None);
                match self.semantics {
                    Semantics::Ward => Matcher::Method(Methods::parse(values)),
                    Semantics::Istio => Matcher::ExactMethod(Methods::parse(values)),
                }
            }
            Kind::Path => Matcher::Path(self.paths(place, values, reading)),
            Kind::Sni => {
                let texts = self.texts(place, values, |_| None);
                Matcher::Sni(match self.semantics {
                    Semantics::Ward => texts,
                    // Envoy lowers the name it received, and compares it with the policy's to the letter.
                    Semantics::Istio => {
                        let upper = |text: &Text| text.literal().bytes().any(|b| b.is_ascii_uppercase());
                        texts.into_vec().into_iter().filter(|text| !upper(text)).collect()
                    }
                })
            }
            Kind::Header(name) => match self.semantics {
                Semantics::Ward => Matcher::Header(name.clone(), self.literal_texts(place, values)),
                Semantics::Istio => Matcher::HeaderLine(name.clone(), self.literal_texts(place, values)),
            },
            Kind::Claim(path) => Matcher::Claim(path.as_slice().into(), self.literal_texts(place, values)),
        }
    }

    /// Trust domains are refused by Istio too when they are malformed.
    fn trust_domains(&mut self, place: &str, values: &[String]) -> Vec<Text> {
        for (i, value) in values.iter().enumerate() {
            let at = format!("{place}[{i}]");
            if Text::parse(value).literal().contains('*') {
                self.error(&at, format!("`{value}` has a `*` that is not at one end"), "write prefix*, *suffix or *");
            }
            if value.contains('/') {
                self.error(&at, format!("`{value}`: a trust domain holds no slash"), "correct it");
            }
        }
        values.iter().map(|value| Text::parse(value)).collect()
    }

    /// What Ward refuses and Istio lets through, to match nothing.
    fn doubts(&mut self, place: &str, values: &[String], fault: impl Fn(&str) -> Option<&'static str>) {
        for (i, value) in values.iter().enumerate() {
            if let Some(fault) = fault(value) {
                self.warn(&format!("{place}[{i}]"), format!("`{value}` matches nothing: {fault}"), "correct it");
            }
        }
    }

    /// Values in which a `*` anywhere but at one end can only be a mistake; Istio takes it for a character.
    fn texts(&mut self, place: &str, values: &[String], fault: impl Fn(&str) -> Option<&'static str>) -> Box<[Text]> {
        if self.semantics == Semantics::Istio {
            self.doubts(place, values, fault);
            return self.literal_texts(place, values);
        }
        let mut texts = Vec::with_capacity(values.len());
        for (i, value) in values.iter().enumerate() {
            let text = Text::parse(value);
            let at = format!("{place}[{i}]");
            // `example.com:*` means any port; it is no wildcard in the name.
            if text.literal().strip_suffix(":*").unwrap_or(text.literal()).contains('*') {
                self.error(&at, format!("`{value}` has a `*` that is not at one end"), "write prefix*, *suffix or *");
            }
            if let Some(fault) = fault(value) {
                self.error(&at, format!("`{value}`: {fault}"), "correct it");
            }
            texts.push(text);
        }
        texts.into()
    }

    /// Values in which an inner `*` is a character like any other.
    fn literal_texts(&mut self, place: &str, values: &[String]) -> Box<[Text]> {
        let mut texts = Vec::with_capacity(values.len());
        for (i, value) in values.iter().enumerate() {
            let text = Text::parse(value);
            if text.literal().contains('*') {
                self.warn(
                    &format!("{place}[{i}]"),
                    format!("in `{value}` only one `*` at an end is a wildcard, the other is a character"),
                    "write prefix*, *suffix or *",
                );
            }
            texts.push(text);
        }
        texts.into()
    }

    /// A principal of this mesh is one in each of its aliases; `cluster.local` is this mesh (Istio's
    /// `ReplaceTrustDomainAliases`).
    fn principal_aliases(&self, text: &Text) -> Vec<Text> {
        let parts: Vec<&str> = text.literal().split('/').collect();
        let [domain, rest @ ..] = parts.as_slice() else { return vec![text.clone()] };
        let rest = rest.join("/");
        if parts.len() != 5 {
            return vec![text.clone()];
        }
        match text {
            Text::Exact(_) | Text::Prefix(_)
                if *domain == CLUSTER_LOCAL || self.domains().any(|known| known == *domain) =>
            {
                self.domains().map(|known| text.map(|_| format!("{known}/{rest}"))).collect()
            }
            // `*-td/ns/…`: as written, and for the domains that it does not end.
            Text::Suffix(_) if !domain.is_empty() && self.domains().any(|known| known.ends_with(domain)) => {
                let others = self.domains().filter(|known| !known.ends_with(domain));
                let others = others.map(|known| Text::Exact(format!("{known}/{rest}").into()));
                std::iter::once(text.clone()).chain(others).collect()
            }
            _ => vec![text.clone()],
        }
    }

    fn domain_aliases(&self, text: &Text) -> Vec<Text> {
        match text {
            Text::Exact(domain) if self.domains().any(|known| known == &**domain) => {
                self.domains().map(|known| Text::Exact(known.into())).collect()
            }
            other => vec![other.clone()],
        }
    }

    fn domains(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.workload.trust_domain).chain(&self.workload.aliases).map(String::as_str)
    }

    fn service_accounts(&mut self, place: &str, values: &[String]) -> Matcher {
        let mut accounts = Vec::with_capacity(values.len());
        for (i, value) in values.iter().enumerate() {
            let (namespace, account) = match value.split_once('/') {
                Some(pair) => pair,
                None => (self.namespace.as_str(), value.as_str()),
            };
            if namespace.is_empty() || account.is_empty() || value.contains('*') || account.contains('/') {
                let at = format!("{place}[{i}]");
                self.error(
                    &at,
                    format!("`{value}` is not a service account"),
                    "write namespace/account, without wildcards",
                );
                continue;
            }
            accounts.push(ServiceAccount {
                namespace: format!("/ns/{namespace}/").into(),
                account: format!("sa/{account}").into(),
            });
        }
        Matcher::ServiceAccount(accounts.into())
    }

    fn cidrs(&mut self, place: &str, values: &[String]) -> Box<[Cidr]> {
        let mut cidrs = Vec::with_capacity(values.len());
        for (i, value) in values.iter().enumerate() {
            match Cidr::parse(value) {
                Some(cidr) => cidrs.push(cidr),
                None => {
                    let message = format!("`{value}` is neither an address nor a range of addresses");
                    self.error(&format!("{place}[{i}]"), message, "write 10.1.2.3 or 10.0.0.0/8");
                }
            }
        }
        cidrs.into()
    }

    fn ports(&mut self, place: &str, values: &[String]) -> Box<[u16]> {
        let mut ports = Vec::with_capacity(values.len());
        for (i, value) in values.iter().enumerate() {
            match value.parse::<u16>() {
                Ok(port) if value.bytes().all(|b| b.is_ascii_digit()) => ports.push(port),
                _ => {
                    self.error(&format!("{place}[{i}]"), format!("`{value}` is not a port"), "write 0 to 65535");
                }
            }
        }
        ports.into()
    }

    fn paths(&mut self, place: &str, values: &[String], reading: Reading) -> Box<[PathMatch]> {
        let mut paths = Vec::with_capacity(values.len());
        for (i, value) in values.iter().enumerate() {
            if let Some(path) = self.path(&format!("{place}[{i}]"), value, reading) {
                paths.push(path);
            }
        }
        paths.into()
    }

    fn path(&mut self, at: &str, value: &str, reading: Reading) -> Option<PathMatch> {
        let istio = self.semantics == Semantics::Istio;
        if value.contains("{*}") || value.contains("{**}") {
            let spelling = if istio { str::to_owned } else { canonical_spelling };
            let fault = match Template::parse(value, spelling) {
                Ok(template) if istio => return Some(PathMatch::Template(template.narrow())),
                Ok(template) => {
                    if let Some(why) = never_normal(value, false) {
                        self.warn(at, format!("`{value}` matches no request: {why}"), "write the normal form");
                    }
                    return Some(PathMatch::Template(template));
                }
                Err(TemplateFault::NotAbsolute) => "a template starts with /",
                Err(TemplateFault::Operator) => "`{*}` and `{**}` are whole segments, and there is no other wildcard",
                Err(TemplateFault::AfterRest) => "`{**}` must be the last wildcard",
            };
            self.error(at, format!("`{value}` is not a path template: {fault}"), "write /a/{*}/b or /a/{**}");
            return None;
        }
        if istio {
            // To the letter: what no request can have matches none.
            let text = Text::parse(value);
            if !matches!(text, Text::Suffix(_) | Text::Present) && !value.starts_with('/') {
                self.warn(at, format!("`{value}` matches no request: a path starts with /"), "put a / in front");
            }
            return Some(PathMatch::Text(text));
        }
        if value.contains(['{', '}']) {
            let message = format!("`{value}` names a variable, which Istio does not support");
            self.error(at, message, "write {*} for one segment or {**} for any");
            return None;
        }
        let text = Text::parse(value);
        if text == Text::Present {
            return Some(PathMatch::Text(text));
        }
        let spelled = text.map(canonical_spelling);
        let absolute = matches!(text, Text::Suffix(_)) || text.literal().starts_with('/');
        let odd = never_normal(spelled.literal(), matches!(spelled, Text::Exact(_)));
        if let (Some(_), Text::Exact(path), true, Reading::Possible) = (odd, &text, absolute, reading) {
            // What denies is read as the request is: DENY /admin%2Fx denies /admin/x.
            if !path.contains(['?', '#'])
                && let Ok(normal) = normalize_path(path)
            {
                return Some(PathMatch::Text(Text::Exact(normal.into())));
            }
        }
        if let Some(why) = odd {
            self.warn(at, format!("`{value}` matches no request: {why}"), "write the normal form");
        } else if !absolute {
            self.warn(at, format!("`{value}` matches no request: a path starts with /"), "put a / in front");
        } else if text.literal().contains('*') {
            self.warn(
                at,
                format!("in `{value}` only one `*` at an end is a wildcard, the other is a character"),
                "write {*} for one segment",
            );
        }
        Some(PathMatch::Text(spelled))
    }

    fn error(&mut self, field: &str, message: impl Into<String>, help: &str) {
        self.errors.push(fault(&self.policy, field, message, help));
    }

    fn warn(&mut self, field: &str, message: impl Into<String>, help: &str) {
        self.warnings.push(fault(&self.policy, field, message, help));
    }
}

fn fault(policy: &str, field: &str, message: impl Into<String>, help: &str) -> CompileError {
    CompileError {
        policy: policy.to_owned(),
        field: field.to_owned(),
        message: message.into(),
        help: Some(help.to_owned()),
    }
}

/// A field and its negation: names, kind, values.
type Field<'a> = (&'static str, &'static str, Kind, &'a [String], &'a [String]);

/// What the values of a field are compared with.
enum Kind {
    Principal,
    RequestPrincipal,
    Namespace,
    ServiceAccount,
    TrustDomain,
    SourceIp,
    RemoteIp,
    DestinationIp,
    /// Metadata of Envoy's filters, which are not here.
    FilterState,
    Host,
    /// `:authority` as a header, which Istio compares to the letter.
    AuthorityHeader,
    Port,
    Method,
    Path,
    Sni,
    Header(HeaderName),
    Claim(Vec<String>),
}

/// The names of `prefix[a][b]`.
fn bracketed(key: &str, prefix: &str) -> Option<Vec<String>> {
    let names = key.strip_prefix(prefix)?.strip_prefix('[')?.strip_suffix(']')?;
    let names: Vec<String> = names.split("][").map(str::to_owned).collect();
    names.iter().all(|name| !name.is_empty() && !name.contains(['[', ']'])).then_some(names)
}

/// `iss/sub`, split at the last slash as the issuer may be a URL; the cases are Istio's.
fn request_principal(value: &str) -> (Text, Text) {
    let (iss, sub) = value.rsplit_once('/').map_or((value, None), |(iss, sub)| (iss, Some(sub)));
    match sub {
        None if value.starts_with('*') && value != "*" => (Text::Present, Text::parse(value)),
        None if value.ends_with('*') => (Text::parse(value), Text::Present),
        // No slash and no wildcard: a subject that is empty, which no token has.
        None => (Text::Exact(value.into()), Text::Exact("".into())),
        Some(sub) if value.starts_with('*') => (Text::parse(iss), Text::Exact(sub.into())),
        Some(sub) if value.ends_with('*') => (Text::Exact(iss.into()), Text::parse(sub)),
        Some(sub) => (Text::Exact(iss.into()), Text::Exact(sub.into())),
    }
}
