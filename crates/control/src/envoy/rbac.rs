//! AuthorizationPolicies as Envoy's RBAC filters, as Istio builds them: CUSTOM first (as long as no provider can be asked it
//! denies what it matches), then AUDIT, DENY, ALLOW, each one filter; a dry run is a filter's shadow rules.
use model::istio::{self, Action, AuthorizationPolicy};
use policy::{CompileError, Semantics, Workload, selected};
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    filter,
    matcher::{HeaderMatcher, MetadataMatcher, StringMatcher, ValueMatcher, cidr, quote},
    rules::{Logic, Permission, Principal, Rbac, RbacAction, RbacPolicy},
};

/// The filter whose metadata holds the claims of a valid token, and under which key.
pub(crate) const JWT_FILTER: &str = "envoy.filters.http.jwt_authn";
/// See `JWT_FILTER`.
pub(crate) const JWT_PAYLOAD: &str = "payload";

/// One filter's rules: those enforced and those of dry runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Rules {
    #[serde(skip_serializing_if = "Option::is_none")]
    rules: Option<Rbac>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shadow_rules: Option<Rbac>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shadow_rules_stat_prefix: Option<&'static str>,
}

impl Rules {
    pub(crate) fn http(self) -> Value {
        filter("envoy.filters.http.rbac", "envoy.extensions.filters.http.rbac.v3.RBAC", self)
    }

    pub(crate) fn tcp(self) -> Value {
        let mut config = json!(self);
        if let Some(fields) = config.as_object_mut() {
            fields.insert("stat_prefix".to_owned(), json!("tcp."));
        }
        filter("envoy.filters.network.rbac", "envoy.extensions.filters.network.rbac.v3.RBAC", config)
    }
}

/// The filters of each kind of connection.
#[derive(Debug, Default)]
pub(crate) struct Both {
    pub(crate) http: Vec<Rules>,
    pub(crate) tcp: Vec<Rules>,
}

/// CUSTOM, which runs before tokens are looked at, and the rest, which runs after it.
pub(crate) fn encode(workload: &Workload, policies: &[AuthorizationPolicy]) -> Result<(Both, Both), Vec<CompileError>> {
    let selected = selected(Semantics::Istio, workload, policies);
    let mut errors = Vec::new();
    let (mut custom, mut others) = (Both::default(), Both::default());
    for (action, kind) in [
        (Action::Custom, RbacAction::Deny),
        (Action::Audit, RbacAction::Log),
        (Action::Deny, RbacAction::Deny),
        (Action::Allow, RbacAction::Allow),
    ] {
        let selected: Vec<_> = selected.iter().copied().filter(|policy| policy.spec.action == action).collect();
        if selected.is_empty() {
            continue;
        }
        let out = if action == Action::Custom { &mut custom } else { &mut others };
        for (tcp, filters) in [(false, &mut out.http), (true, &mut out.tcp)] {
            let encoder = Encoder { workload, kind, tcp };
            match encoder.filter(&selected) {
                Ok(rules) => filters.push(rules),
                Err(found) => errors.extend(found),
            }
        }
    }
    errors.dedup();
    if errors.is_empty() { Ok((custom, others)) } else { Err(errors) }
}

/// Why a rule cannot be said to Envoy.
#[derive(Debug)]
enum Fault {
    /// The field exists on HTTP only, and this filter is for TCP.
    HttpOnly,
    /// Nothing that is known here.
    Unknown(String),
}

/// Translates for one filter.
struct Encoder<'a> {
    workload: &'a Workload,
    kind: RbacAction,
    tcp: bool,
}

/// What Go's `strconv.ParseBool` reads as true; anything else enforces.
fn dry_run(policy: &AuthorizationPolicy) -> bool {
    let word = policy.metadata.annotations.get("istio.io/dry-run").map(String::as_str);
    matches!(word, Some("1" | "t" | "T" | "TRUE" | "true" | "True"))
}

impl Encoder<'_> {
    fn filter(&self, policies: &[&AuthorizationPolicy]) -> Result<Rules, Vec<CompileError>> {
        let empty = || Rbac { action: self.kind, policies: Default::default() };
        let (mut enforced, mut shadow) = (None, None);
        let mut errors = Vec::new();
        for policy in policies {
            let target = if dry_run(policy) { &mut shadow } else { &mut enforced }.get_or_insert_with(empty);
            let namespace = namespace(policy);
            let name = |rule: usize| format!("ns[{namespace}]-policy[{}]-rule[{rule}]", policy.metadata.name);
            if policy.spec.rules.is_empty() {
                target.policies.insert(name(0), RbacPolicy::never());
            }
            for (number, rule) in policy.spec.rules.iter().enumerate() {
                match self.rule(namespace, rule) {
                    Ok(rule) => {
                        target.policies.insert(name(number), rule);
                    }
                    // An ALLOW that TCP cannot be held against allows no TCP.
                    Err(Fault::HttpOnly) => {}
                    Err(Fault::Unknown(what)) => errors.push(CompileError {
                        policy: format!("{namespace}/{}", policy.metadata.name),
                        field: format!("spec.rules[{number}]"),
                        message: format!("`{what}` cannot be said to Envoy"),
                        help: None,
                    }),
                }
            }
        }
        let prefix = shadow.as_ref().and(match self.kind {
            RbacAction::Allow => Some("istio_dry_run_allow_"),
            RbacAction::Deny => Some("istio_dry_run_deny_"),
            RbacAction::Log => None,
        });
        let rules = Rules { rules: enforced, shadow_rules: shadow, shadow_rules_stat_prefix: prefix };
        if errors.is_empty() { Ok(rules) } else { Err(errors) }
    }

    fn rule(&self, namespace: &str, rule: &istio::Rule) -> Result<RbacPolicy, Fault> {
        let (mut what, mut who) = (Vec::new(), Vec::new());
        for condition in &rule.when {
            self.condition(namespace, condition, &mut what, &mut who)?;
        }
        let one_empty = |list: usize| if list == 0 { 1 } else { 0 };
        let mut permissions = vec![all(what.clone()); one_empty(rule.to.len())];
        for to in &rule.to {
            let mut fields = self.operation(&to.operation)?;
            fields.extend(what.iter().cloned());
            permissions.push(all(fields));
        }
        let mut principals = vec![all(who.clone()); one_empty(rule.from.len())];
        for from in &rule.from {
            let mut fields = self.source(namespace, &from.source)?;
            fields.extend(who.iter().cloned());
            principals.push(all(fields));
        }
        Ok(RbacPolicy { permissions, principals })
    }

    /// A field that exists on HTTP only: an ALLOW with it is none on TCP; in any other action it is left out, which widens it.
    fn http<L: Logic>(
        &self,
        values: &[String],
        not_values: &[String],
        out: &mut Vec<L>,
        one: impl Fn(&[String]) -> Result<L, Fault>,
    ) -> Result<(), Fault> {
        if self.tcp && !(values.is_empty() && not_values.is_empty()) {
            return if self.kind == RbacAction::Allow { Err(Fault::HttpOnly) } else { Ok(()) };
        }
        Self::field(values, not_values, out, one)
    }

    /// Any of the values, none of the others.
    fn field<L: Logic>(
        values: &[String],
        not_values: &[String],
        out: &mut Vec<L>,
        one: impl Fn(&[String]) -> Result<L, Fault>,
    ) -> Result<(), Fault> {
        if !values.is_empty() {
            out.push(one(values)?);
        }
        if !not_values.is_empty() {
            out.push(one(not_values)?.not());
        }
        Ok(())
    }

    fn operation(&self, operation: &istio::Operation) -> Result<Vec<Permission>, Fault> {
        let mut out = Vec::new();
        let host = |value: &str| Ok(Permission::Header(HeaderMatcher::form(":authority", value, true)));
        self.http(&operation.hosts, &operation.not_hosts, &mut out, |values| each(values, host))?;
        let method = |value: &str| Ok(Permission::Header(HeaderMatcher::form(":method", value, false)));
        self.http(&operation.methods, &operation.not_methods, &mut out, |values| each(values, method))?;
        self.http(&operation.paths, &operation.not_paths, &mut out, |values| each(values, path))?;
        Self::field(&operation.ports, &operation.not_ports, &mut out, |values| each(values, port))?;
        Ok(out)
    }

    fn source(&self, namespace: &str, source: &istio::Source) -> Result<Vec<Principal>, Fault> {
        let mut out = Vec::new();
        let principals = |values: &[String]| self.principals(values);
        Self::field(&source.principals, &source.not_principals, &mut out, principals)?;
        self.http(&source.request_principals, &source.not_request_principals, &mut out, request_principals)?;
        let account = |value: &str| Ok(service_account(namespace, value));
        let accounts = |values: &[String]| each(values, account);
        Self::field(&source.service_accounts, &source.not_service_accounts, &mut out, accounts)?;
        let domains = |values: &[String]| self.trust_domains(values);
        Self::field(&source.trust_domains, &source.not_trust_domains, &mut out, domains)?;
        let spaces = |values: &[String]| each(values, |value| Ok(namespace_of(value)));
        Self::field(&source.namespaces, &source.not_namespaces, &mut out, spaces)?;
        let remote = |values: &[String]| each(values, |value| Ok(Principal::RemoteIp(range(value)?)));
        Self::field(&source.remote_ip_blocks, &source.not_remote_ip_blocks, &mut out, remote)?;
        let direct = |values: &[String]| each(values, |value| Ok(Principal::DirectRemoteIp(range(value)?)));
        Self::field(&source.ip_blocks, &source.not_ip_blocks, &mut out, direct)?;
        Ok(out)
    }

    fn condition(
        &self,
        namespace: &str,
        condition: &istio::Condition,
        what: &mut Vec<Permission>,
        who: &mut Vec<Principal>,
    ) -> Result<(), Fault> {
        let (values, not_values) = (condition.values.as_slice(), condition.not_values.as_slice());
        match condition.key.as_str() {
            "destination.ip" => Self::field(values, not_values, what, |values| {
                each(values, |value| Ok(Permission::DestinationIp(range(value)?)))
            }),
            "destination.port" => Self::field(values, not_values, what, |values| each(values, port)),
            "connection.sni" => Self::field(values, not_values, what, |values| {
                each(values, |value| Ok(Permission::RequestedServerName(StringMatcher::form(value))))
            }),
            "source.ip" => Self::field(values, not_values, who, |values| {
                each(values, |value| Ok(Principal::DirectRemoteIp(range(value)?)))
            }),
            "remote.ip" => Self::field(values, not_values, who, |values| {
                each(values, |value| Ok(Principal::RemoteIp(range(value)?)))
            }),
            "source.namespace" => {
                Self::field(values, not_values, who, |values| each(values, |value| Ok(namespace_of(value))))
            }
            "source.principal" => Self::field(values, not_values, who, |values| self.principals(values)),
            "source.trustDomain" => Self::field(values, not_values, who, |values| self.trust_domains(values)),
            "source.serviceAccount" => Self::field(values, not_values, who, |values| {
                each(values, |value| Ok(service_account(namespace, value)))
            }),
            "request.auth.principal" => self.http(values, not_values, who, request_principals),
            "request.auth.audiences" => self.http(values, not_values, who, |values| Ok(claim(["aud"], values))),
            "request.auth.presenter" => self.http(values, not_values, who, |values| Ok(claim(["azp"], values))),
            key => {
                if let Some(name) = bracketed(key, "request.headers") {
                    let header = |value: &str| Ok(Principal::Header(HeaderMatcher::form(name, value, false)));
                    return self.http(values, not_values, who, |values| each(values, header));
                }
                if let Some(names) = bracketed(key, "request.auth.claims") {
                    let names = || names.split("][");
                    return self.http(values, not_values, who, |values| Ok(claim(names(), values)));
                }
                let metadata = key.strip_prefix("experimental.").and_then(|key| key.strip_suffix(']')?.split_once('['));
                if let Some((filter, name)) = metadata {
                    return Self::field(values, not_values, what, |values| Ok(filter_metadata(filter, name, values)));
                }
                Err(Fault::Unknown(key.to_owned()))
            }
        }
    }

    /// `<td>/ns/<ns>/sa/<sa>`, whose trust domain, when it is the mesh's own, means each of its aliases as well.
    fn principals(&self, values: &[String]) -> Result<Principal, Fault> {
        let expanded: Vec<String> = values.iter().flat_map(|value| self.aliases_of(value)).collect();
        each(&expanded, |value| {
            let name = match (value, value.strip_prefix('*'), value.strip_suffix('*')) {
                ("*", _, _) => StringMatcher::present(),
                (_, Some(suffix), _) => StringMatcher::regex(format!("spiffe://.*{}", quote(suffix))),
                (_, None, Some(prefix)) => StringMatcher::prefix(format!("spiffe://{prefix}")),
                (exact, None, None) => StringMatcher::exact(format!("spiffe://{exact}")),
            };
            Ok(Principal::Authenticated { principal_name: name })
        })
    }

    fn domains(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.workload.trust_domain).chain(&self.workload.aliases).map(String::as_str)
    }

    fn aliases_of(&self, principal: &str) -> Vec<String> {
        let parts: Vec<&str> = principal.split('/').collect();
        let [domain, rest @ ..] = parts.as_slice() else { return vec![principal.to_owned()] };
        let ours = *domain == "cluster.local" || self.domains().any(|known| alike(domain, known));
        if parts.len() != 5 || *domain == "*" || !ours {
            return vec![principal.to_owned()];
        }
        let mut out: Vec<String> = Vec::new();
        for known in self.domains() {
            let one = match domain.strip_prefix('*') {
                Some(suffix) if known.ends_with(suffix) => principal.to_owned(),
                _ => format!("{known}/{}", rest.join("/")),
            };
            if !out.contains(&one) {
                out.push(one);
            }
        }
        out
    }

    fn trust_domains(&self, values: &[String]) -> Result<Principal, Fault> {
        let mut expanded: Vec<String> = Vec::new();
        for value in values {
            let all: Vec<&str> =
                if self.domains().any(|known| known == value) { self.domains().collect() } else { vec![value] };
            for one in all {
                if !expanded.iter().any(|known| known == one) {
                    expanded.push(one.to_owned());
                }
            }
        }
        each(&expanded, |value| {
            let name = match value.split_once('*') {
                _ if value == "*" => StringMatcher::prefix("spiffe://"),
                None => StringMatcher::prefix(format!("spiffe://{value}/")),
                Some((before, after)) => {
                    StringMatcher::regex(format!("spiffe://{}[^/]*{}/.*", quote(before), quote(after)))
                }
            };
            Ok(Principal::Authenticated { principal_name: name })
        })
    }
}

/// Whether a trust domain of a policy, which may have a wildcard at one end, means one of the mesh's.
fn alike(written: &str, known: &str) -> bool {
    written == known
        || written.strip_prefix('*').is_some_and(|suffix| known.ends_with(suffix))
        || written.strip_suffix('*').is_some_and(|prefix| known.starts_with(prefix))
}

fn namespace(policy: &AuthorizationPolicy) -> &str {
    if policy.metadata.namespace.is_empty() { "default" } else { &policy.metadata.namespace }
}

fn all<L: Logic>(fields: Vec<L>) -> L {
    L::and(if fields.is_empty() { vec![L::any()] } else { fields })
}

/// Any of the values, each by itself.
fn each<L: Logic>(values: &[String], one: impl Fn(&str) -> Result<L, Fault>) -> Result<L, Fault> {
    Ok(L::or(values.iter().map(|value| one(value)).collect::<Result<_, _>>()?))
}

fn path(value: &str) -> Result<Permission, Fault> {
    if !value.contains("{*}") && !value.contains("{**}") {
        return Ok(Permission::UrlPath { path: StringMatcher::form(value) });
    }
    let template = value.replace("{**}", "**").replace("{*}", "*");
    Ok(Permission::UriTemplate(filter(
        "uri-template",
        "envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig",
        json!({ "path_template": template }),
    )))
}

fn port(value: &str) -> Result<Permission, Fault> {
    value.parse().map(Permission::DestinationPort).map_err(|_| Fault::Unknown(value.to_owned()))
}

fn range(value: &str) -> Result<Value, Fault> {
    cidr(value).ok_or_else(|| Fault::Unknown(value.to_owned()))
}

/// In any trust domain; a `*` is any text wherever it stands.
fn namespace_of(value: &str) -> Principal {
    let value: Vec<String> = value.split('*').map(quote).collect();
    Principal::Authenticated { principal_name: StringMatcher::regex(format!(".*/ns/{}/.*", value.join(".*"))) }
}

fn service_account(own: &str, value: &str) -> Principal {
    let (namespace, account) = value.split_once('/').unwrap_or((own, value));
    let regex = format!("spiffe://.+/ns/{}/(.+/|)sa/{}(/.+)?", quote(namespace), quote(account));
    Principal::Authenticated { principal_name: StringMatcher::regex(regex) }
}

/// `iss/sub`, split at the last slash, as an issuer may be an address.
fn request_principals(values: &[String]) -> Result<Principal, Fault> {
    each(values, |value| {
        let part = |text: &str| if text == "*" { StringMatcher::present() } else { StringMatcher::form(text) };
        let (issuer, subject) = match value.rsplit_once('/') {
            _ if value == "*" => (StringMatcher::present(), StringMatcher::present()),
            Some((issuer, subject)) if value.starts_with('*') => (part(issuer), StringMatcher::exact(subject)),
            Some((issuer, subject)) if value.ends_with('*') => (StringMatcher::exact(issuer), part(subject)),
            Some((issuer, subject)) => (StringMatcher::exact(issuer), StringMatcher::exact(subject)),
            None if value.starts_with('*') => (StringMatcher::present(), part(value)),
            None if value.ends_with('*') => (part(value), StringMatcher::present()),
            None => (StringMatcher::exact(value), StringMatcher::exact("")),
        };
        let one = |name: &str, text: StringMatcher| {
            let path = [JWT_PAYLOAD.to_owned(), name.to_owned()];
            Principal::Metadata(MetadataMatcher::new(JWT_FILTER, path, ValueMatcher::Text(text)))
        };
        Ok(Principal::and(vec![one("iss", issuer), one("sub", subject)]))
    })
}

fn claim<'a>(names: impl IntoIterator<Item = &'a str>, values: &[String]) -> Principal {
    let path = std::iter::once(JWT_PAYLOAD).chain(names).map(str::to_owned);
    Principal::Metadata(MetadataMatcher::new(JWT_FILTER, path, ValueMatcher::any_of(values).or_listed()))
}

/// `experimental.<filter>[<key>]`: a value in brackets is a member of a list.
fn filter_metadata(filter: &str, key: &str, values: &[String]) -> Permission {
    let one = |value: &String| match value.strip_prefix('[').and_then(|value| value.strip_suffix(']')) {
        Some(member) => ValueMatcher::List { one_of: Box::new(ValueMatcher::Text(StringMatcher::form(member))) },
        None => ValueMatcher::Text(StringMatcher::form(value)),
    };
    let value = ValueMatcher::or(values.iter().map(one).collect());
    Permission::Metadata(MetadataMatcher::new(filter, [key.to_owned()], value))
}

/// What stands in the outer brackets after a prefix.
fn bracketed<'a>(key: &'a str, prefix: &str) -> Option<&'a str> {
    key.strip_prefix(prefix)?.strip_prefix('[')?.strip_suffix(']')
}
