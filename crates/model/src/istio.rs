//! The standard resources Ward reads and writes: `security.istio.io/v1` AuthorizationPolicy, PeerAuthentication,
//! RequestAuthentication. Shapes only; what they mean is decided in `policy`.
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Annotation that names the flow a policy was compiled from.
pub const FLOW_ANNOTATION: &str = "ward.internal/flow";
/// Annotation that carries the audit level of the flow.
pub const AUDIT_ANNOTATION: &str = "ward.internal/audit";
/// The label by which compiled policies select the workloads of a node.
pub const NODE_LABEL: &str = "app";

/// `security.istio.io/v1` AuthorizationPolicy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AuthorizationPolicy {
    /// `security.istio.io/v1` (or `v1beta1`).
    pub api_version: String,
    /// `AuthorizationPolicy`.
    pub kind: String,
    /// Name, namespace, annotations.
    pub metadata: Metadata,
    /// The policy. Absent is `{}`: ALLOW with no rules, which allows nothing.
    #[serde(default)]
    pub spec: AuthorizationSpec,
}

/// Kubernetes object metadata, the part that means something here; other keys are kept out on purpose.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    /// Object name.
    pub name: String,
    /// Namespace; empty means the model's root namespace was not named and `default` applies.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations, among them `istio.io/dry-run`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// The `spec` of an AuthorizationPolicy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AuthorizationSpec {
    /// Which workloads; exclusive with `target_refs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<Selector>,
    /// Which resources; exclusive with `selector`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub target_refs: Vec<TargetRef>,
    /// ALLOW when absent.
    #[serde(default)]
    pub action: Action,
    /// For CUSTOM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<Provider>,
    /// Rules; a request matches the policy when it matches any rule. Absent and `[]` are the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Rule>,
}

/// What a matching policy does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Action {
    /// Allow what matches; anything else is denied once an ALLOW policy exists.
    #[default]
    Allow,
    /// Deny what matches, before any ALLOW.
    Deny,
    /// Record what matches.
    Audit,
    /// Ask an external provider.
    Custom,
}

/// `matchLabels`: all must be equal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Selector {
    /// Labels a workload must have.
    #[serde(default)]
    pub match_labels: BTreeMap<String, String>,
}

/// A policy attachment (GEP-713).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TargetRef {
    /// API group; empty is core.
    #[serde(default)]
    pub group: String,
    /// Kind.
    pub kind: String,
    /// Name.
    pub name: String,
    /// Namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// A CUSTOM policy's provider.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// Name in `mesh.providers`.
    pub name: String,
}

/// One rule: any `from`, any `to`, all `when`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Any of these sources; empty is any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<From>,
    /// Any of these operations; empty is any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<To>,
    /// All of these conditions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub when: Vec<Condition>,
}

/// One `from` entry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct From {
    /// The source; fields AND, values OR.
    #[serde(default)]
    pub source: Source,
}

/// One `to` entry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct To {
    /// The operation; fields AND, values OR.
    #[serde(default)]
    pub operation: Operation,
}

macro_rules! lists {
    ($(#[$m:meta])* $name:ident { $($(#[$d:meta])* $field:ident),* $(,)? }) => {
        $(#[$m])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        pub struct $name {
            $($(#[$d])* #[serde(default, skip_serializing_if = "Vec::is_empty")] pub $field: Vec<String>,)*
        }
    };
}

lists! {
    /// Where a request comes from. `notX` is NOT(OR of X).
    Source {
        /// Principals without `spiffe://`.
        principals,
        /// Negation of `principals`.
        not_principals,
        /// `iss/sub` of a validated token.
        request_principals,
        /// Negation of `request_principals`.
        not_request_principals,
        /// Namespaces of the peer's identity.
        namespaces,
        /// Negation of `namespaces`.
        not_namespaces,
        /// `ns/sa` or `sa`.
        service_accounts,
        /// Negation of `service_accounts`.
        not_service_accounts,
        /// Trust domains of the peer's identity.
        trust_domains,
        /// Negation of `trust_domains`.
        not_trust_domains,
        /// CIDRs of the direct peer.
        ip_blocks,
        /// Negation of `ip_blocks`.
        not_ip_blocks,
        /// CIDRs of the client after X-Forwarded-For.
        remote_ip_blocks,
        /// Negation of `remote_ip_blocks`.
        not_remote_ip_blocks,
    }
}

lists! {
    /// What a request does. `notX` is NOT(OR of X).
    Operation {
        /// Hosts, case-insensitive.
        hosts,
        /// Negation of `hosts`.
        not_hosts,
        /// Ports of the workload.
        ports,
        /// Negation of `ports`.
        not_ports,
        /// Methods.
        methods,
        /// Negation of `methods`.
        not_methods,
        /// Paths: exact, `p*`, `*s`, `*`, or templates with `{*}` and `{**}`.
        paths,
        /// Negation of `paths`.
        not_paths,
    }
}

/// One `when` condition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Condition {
    /// Attribute, e.g. `request.headers[x-team]`.
    pub key: String,
    /// Any of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
    /// None of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_values: Vec<String>,
}

/// `security.istio.io/v1` PeerAuthentication: whether a port asks for mutual TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PeerAuthentication {
    /// `security.istio.io/v1` (or `v1beta1`).
    pub api_version: String,
    /// `PeerAuthentication`.
    pub kind: String,
    /// Name, namespace.
    pub metadata: Metadata,
    /// The setting.
    #[serde(default)]
    pub spec: PeerSpec,
}

/// The `spec` of a PeerAuthentication.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PeerSpec {
    /// Which workloads; without labels, every workload of the namespace (of the mesh, in the root namespace).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<Selector>,
    /// For every port; absent inherits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtls: Option<Mtls>,
    /// For single ports of the workload; needs a selector.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub port_level_mtls: BTreeMap<u16, Mtls>,
}

/// `mtls:` of a PeerAuthentication.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mtls {
    /// UNSET when absent.
    #[serde(default)]
    pub mode: MtlsMode,
}

/// What a port asks of its peers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum MtlsMode {
    /// What the wider scope says.
    #[default]
    Unset,
    /// Plaintext only.
    Disable,
    /// Mutual TLS or plaintext.
    Permissive,
    /// Mutual TLS only.
    Strict,
}

/// `security.istio.io/v1` RequestAuthentication: which tokens are accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RequestAuthentication {
    /// `security.istio.io/v1` (or `v1beta1`).
    pub api_version: String,
    /// `RequestAuthentication`.
    pub kind: String,
    /// Name, namespace.
    pub metadata: Metadata,
    /// The rules.
    #[serde(default)]
    pub spec: RequestSpec,
}

/// The `spec` of a RequestAuthentication.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RequestSpec {
    /// Which workloads; exclusive with `target_refs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<Selector>,
    /// Which resources; exclusive with `selector`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub target_refs: Vec<TargetRef>,
    /// A token is valid when it is by any of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub jwt_rules: Vec<JwtRule>,
}

/// One issuer of tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JwtRule {
    /// The token's `iss`; empty accepts any issuer whose keys stand in `jwks_uri`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub issuer: String,
    /// The token's `aud` has one of these; empty is any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub audiences: Vec<String>,
    /// Where the keys are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_uri: Option<String>,
    /// The keys themselves, as a JSON Web Key Set; before `jwks_uri`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks: Option<String>,
    /// Headers that may carry the token; without any place, `Authorization: Bearer` and the parameter `access_token`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub from_headers: Vec<JwtHeader>,
    /// Query parameters that may carry the token.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub from_params: Vec<String>,
    /// Cookies that may carry the token.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub from_cookies: Vec<String>,
    /// Header that carries the token's payload, base64url, to the application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_payload_to_header: Option<String>,
    /// Claims that are copied to headers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub output_claim_to_headers: Vec<ClaimToHeader>,
    /// Whether the application gets the token too.
    #[serde(default)]
    pub forward_original_token: bool,
    /// How long fetching keys may take, as written; 5 s when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
    /// Claims that are lists of words in one text, beside `scope` and `permission`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub space_delimited_claims: Vec<String>,
}

/// A header that may carry a token.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JwtHeader {
    /// Its name.
    pub name: String,
    /// What stands before the token, `Bearer `.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prefix: String,
}

/// A claim copied to a header.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClaimToHeader {
    /// Name of the header.
    pub header: String,
    /// Name of the claim; `.` goes into nested ones.
    pub claim: String,
}
