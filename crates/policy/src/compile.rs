//! From documents to rules. What is not understood is an error, never left out: a rule set is what was written or it
//! is nothing.
use std::{borrow::Cow, collections::HashSet};

use http::HeaderName;
use model::{
    Audit,
    istio::{self, AUDIT_ANNOTATION, Action, AuthorizationPolicy, FLOW_ANNOTATION},
};

use crate::{
    CompileError, RuleRef, Semantics,
    matcher::{Check, Reading},
    rules::{PolicyInfo, Rule, Workload, audit_from_str},
};

mod attachment;
mod paths;
mod select;
mod values;

pub(crate) use attachment::Attachment;
use select::namespace;
pub(crate) use select::{full_name, refers, scope_selects, selects};

/// Istio's annotation for policies that are only to be watched.
const DRY_RUN_ANNOTATION: &str = "istio.io/dry-run";
/// Most values of `serviceAccounts` (Istio API).
const SERVICE_ACCOUNTS_MAX: usize = 16;

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
    pub(crate) headers: HashSet<HeaderName>,
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
            headers: HashSet::new(),
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
        let spec = &policy.spec;
        let targets = spec.target_refs.as_slice();
        let attachment = Attachment { selector: spec.selector.as_ref(), targets, namespace: &self.namespace };
        for fault in attachment.faults(self.semantics, self.workload, "policy") {
            self.error(&fault.field, fault.message, &fault.help);
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
                    self.headers.insert(header.clone());
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
