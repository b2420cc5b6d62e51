//! Meshes: which pods have a sidecar (or are in ambient mode), and whether it takes mutual TLS only.
use super::{Cluster, object::selects, workload::Workload};

/// What protects a flow between two workloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mesh {
    /// Nothing that is known.
    None,
    /// Mutual TLS, and nothing else is taken.
    Strict,
    /// Mutual TLS between these two; others may speak plain text to the target.
    Permissive,
}

impl<'a> Cluster<'a> {
    /// What the mesh does for a flow.
    pub(super) fn mesh(&self, from: &Workload<'_>, to: &Workload<'_>, port: Option<u16>) -> Mesh {
        match (self.is_linkerd(from) && self.is_linkerd(to), self.is_istio(from) && self.is_istio(to)) {
            (false, true) => match self.mtls_mode(to, port) {
                Some("STRICT") => Mesh::Strict,
                Some("DISABLE") => Mesh::None,
                _ => Mesh::Permissive,
            },
            (true, _) => Mesh::Permissive,
            _ => Mesh::None,
        }
    }

    fn is_istio(&self, workload: &Workload<'_>) -> bool {
        let key = "sidecar.istio.io/inject";
        let own = workload.label(key).or_else(|| workload.annotation(key));
        if let Some(own) = own {
            return own == "true";
        }
        let labels = self.namespace_labels(workload.object.namespace);
        let of = |key: &str| labels.iter().find(|(k, _)| *k == key).map(|(_, v)| *v);
        let ambient =
            workload.label("istio.io/dataplane-mode").or_else(|| of("istio.io/dataplane-mode")) == Some("ambient");
        ambient
            || of("istio-injection") == Some("enabled")
            || of("istio-injection").is_none()
                && (of("istio.io/rev").is_some() || workload.label("istio.io/rev").is_some())
    }

    fn is_linkerd(&self, workload: &Workload<'_>) -> bool {
        let key = "linkerd.io/inject";
        let of_namespace = self.namespaces.get(workload.object.namespace).and_then(|n| n.annotation(key));
        matches!(workload.annotation(key).or(of_namespace), Some("enabled" | "ingress"))
    }

    /// The mode of the narrowest PeerAuthentication: of the workload, of its namespace, of the whole mesh.
    fn mtls_mode(&self, workload: &Workload<'_>, port: Option<u16>) -> Option<&'a str> {
        let mut best: Option<(u8, &'a str)> = None;
        for object in &self.peers {
            let selector = object.tree.at(&["spec", "selector"]);
            let here = object.namespace == workload.object.namespace;
            let rank = match (selector, here) {
                (Some(selector), true) if selects(selector, &workload.labels) => 3,
                (None, true) => 2,
                (None, false) if object.namespace == "istio-system" => 1,
                _ => continue,
            };
            let of_port = port.and_then(|p| object.tree.text_at(&["spec", "portLevelMtls", &p.to_string(), "mode"]));
            let mode = of_port.or_else(|| object.tree.text_at(&["spec", "mtls", "mode"]));
            if let Some(mode) = mode.filter(|m| *m != "UNSET" && best.is_none_or(|(r, _)| rank > r)) {
                best = Some((rank, mode));
            }
        }
        best.map(|(_, mode)| mode)
    }
}
