//! From documents to rules. What is not understood is an error, never left out: a rule set is what was written or it
//! is nothing.
use std::borrow::Cow;

use http::HeaderName;
use model::{
    Audit,
    istio::{self, AUDIT_ANNOTATION, Action, AuthorizationPolicy, FLOW_ANNOTATION},
};

use crate::{
    CompileError, RuleRef,
    matcher::{
        Check, Cidr, HostPattern, Matcher, Methods, PathMatch, Reading, ServiceAccount, Template, TemplateFault, Text,
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

/// Namespace of a policy; Kubernetes' default when it names none.
pub(crate) fn namespace(policy: &AuthorizationPolicy) -> &str {
    if policy.metadata.namespace.is_empty() { "default" } else { &policy.metadata.namespace }
}

/// `<namespace>/<name>`.
pub(crate) fn full_name(policy: &AuthorizationPolicy) -> String {
    format!("{}/{}", namespace(policy), policy.metadata.name)
}

/// Whether a policy selects a workload: same or root namespace, and every label of the selector. One with `targetRefs`
/// or a faulty label selects everything in its namespace, so that it is compiled, and refused.
pub(crate) fn selects(policy: &AuthorizationPolicy, workload: &Workload) -> bool {
    let namespace = namespace(policy);
    (namespace == workload.namespace || namespace == workload.root_namespace)
        && policy.spec.selector.as_ref().is_none_or(|selector| {
            let mut labels = selector.match_labels.iter();
            labels.all(|(name, value)| faulty_label(name, value) || workload.labels.get(name) == Some(value))
        })
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
    pub(crate) fn new(workload: &'a Workload) -> Self {
        Self {
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
        let rules = policy
            .spec
            .rules
            .iter()
            .enumerate()
            .map(|(number, rule)| {
                self.rule(RuleRef { policy: index, rule: u32::try_from(number).unwrap_or(u32::MAX) }, rule)
            })
            .collect();
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
        if !policy.spec.target_refs.is_empty() {
            self.error("spec.targetRefs", "targetRefs are not supported yet", "select workloads with `selector`");
        }
        if let Some(selector) = &policy.spec.selector {
            for (name, value) in &selector.match_labels {
                if faulty_label(name, value) {
                    let at = format!("spec.selector.matchLabels[{name}]");
                    self.error(&at, "a label is compared whole, without wildcards", "write the label's full value");
                }
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

    fn dry_run(&mut self, policy: &AuthorizationPolicy) -> bool {
        match policy.metadata.annotations.get(DRY_RUN_ANNOTATION).map(String::as_str) {
            None | Some("false") => false,
            Some("true") => true,
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
        Rule { at, from: from.into(), to: to.into(), when: when.into() }
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
            "destination.ip" => {
                self.error(
                    &at,
                    "destination.ip is not supported: a workload here has an identity, not an address",
                    "use destination.port",
                );
                return None;
            }
            _ => {
                if let Some(names) = bracketed(key, "request.headers") {
                    return self.header_key(&at, &names);
                }
                if let Some(names) = bracketed(key, "request.auth.claims") {
                    return Some(Kind::Claim(names));
                }
                let known = [
                    "source.ip",
                    "remote.ip",
                    "source.namespace",
                    "source.principal",
                    "source.serviceAccount",
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

    fn header_key(&mut self, at: &str, names: &[String]) -> Option<Kind> {
        match names {
            [name] => match (name.to_ascii_lowercase().as_str(), HeaderName::from_bytes(name.as_bytes())) {
                // HTTP/1.1 and HTTP/2 carry these in different places; the facts hold them once.
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
            Kind::Namespace => Matcher::Namespace(
                self.texts(place, values, |value| value.contains('/').then_some("a namespace holds no slash")),
            ),
            Kind::ServiceAccount => self.service_accounts(place, values),
            Kind::TrustDomain => {
                let texts =
                    self.texts(place, values, |value| value.contains('/').then_some("a trust domain holds no slash"));
                Matcher::TrustDomain(texts.iter().flat_map(|text| self.domain_aliases(text)).collect())
            }
            Kind::SourceIp => Matcher::SourceIp(self.cidrs(place, values)),
            Kind::RemoteIp => Matcher::RemoteIp(self.cidrs(place, values)),
            Kind::RequestPrincipal => Matcher::RequestPrincipal(values.iter().map(|v| request_principal(v)).collect()),
            Kind::Host => {
                self.texts(place, values, |value| value.contains('/').then_some("a host holds no slash"));
                Matcher::Host(values.iter().map(|value| HostPattern::parse(value)).collect())
            }
            Kind::Port => Matcher::Port(self.ports(place, values)),
            Kind::Method => {
                self.texts(place, values, |_| None);
                Matcher::Method(Methods::parse(values))
            }
            Kind::Path => Matcher::Path(self.paths(place, values, reading)),
            Kind::Sni => Matcher::Sni(self.texts(place, values, |_| None)),
            Kind::Header(name) => Matcher::Header(name.clone(), self.literal_texts(place, values)),
            Kind::Claim(path) => Matcher::Claim(path.as_slice().into(), self.literal_texts(place, values)),
        }
    }

    /// Values in which a `*` anywhere but at one end can only be a mistake.
    fn texts(&mut self, place: &str, values: &[String], fault: impl Fn(&str) -> Option<&'static str>) -> Box<[Text]> {
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
        if value.contains("{*}") || value.contains("{**}") {
            let fault = match Template::parse(value, canonical_spelling) {
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
    Host,
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
