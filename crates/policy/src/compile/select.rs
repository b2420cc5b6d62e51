//! Which workloads a policy is about.
use model::istio::{self, AuthorizationPolicy};

use crate::{Semantics, Workload};

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

/// The group of Gateway and GatewayClass.
pub(super) const GATEWAY_API: &str = "gateway.networking.k8s.io";

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
pub(super) fn faulty_label(name: &str, value: &str) -> bool {
    name.is_empty() || name.contains('*') || value.contains('*')
}
