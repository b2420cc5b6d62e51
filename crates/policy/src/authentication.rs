//! Who must prove an identity, and whose tokens count: PeerAuthentication and RequestAuthentication for one workload.
//! Tokens are proven elsewhere; here it is decided where they stand, who must prove them, and what is forwarded.
mod admission;
mod place;
mod rewrite;
mod tokens;

use std::collections::BTreeMap;

use model::istio::{MtlsMode, PeerAuthentication, Selector};

pub use admission::{Admission, Authenticated, TokenHead, TokenRefusal, TokenVerifier};
pub use place::Place;
pub use tokens::{RuleIndex, TOKENS_MAX, TokenRule, TokenRules};

use crate::{Workload, compile::scope_selects};

/// What the ports of a workload ask of their peers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerRules {
    /// Never `Unset`.
    mode: MtlsMode,
    /// Where a port differs.
    ports: BTreeMap<u16, MtlsMode>,
}

impl PeerRules {
    /// The same for every port. `Unset` is `Permissive`.
    pub fn all(mode: MtlsMode) -> Self {
        Self { mode: set(mode).unwrap_or(MtlsMode::Permissive), ports: BTreeMap::new() }
    }

    /// With another mode for one port.
    #[must_use]
    pub fn with_port(mut self, port: u16, mode: MtlsMode) -> Self {
        if let Some(mode) = set(mode) {
            self.ports.insert(port, mode);
        }
        self
    }

    /// The narrowest word holds: port, then workload, then namespace, then the root namespace, then `otherwise`. UNSET
    /// says nothing. Of several in one scope only the first by name counts, as files have no age (Istio: the oldest). A
    /// selector in the root namespace selects there only, so that it is no word about other namespaces.
    pub fn compile(workload: &Workload, documents: &[PeerAuthentication], otherwise: MtlsMode) -> Self {
        let mut sorted: Vec<&PeerAuthentication> = documents.iter().collect();
        sorted.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
        let first = |namespace: &str, wanted: &dyn Fn(Option<&Selector>) -> bool| {
            let mut found = sorted.iter().filter(|one| {
                let selector = one.spec.selector.as_ref().filter(|selector| !selector.match_labels.is_empty());
                namespace_of(&one.metadata.namespace) == namespace && wanted(selector)
            });
            found.next().copied()
        };
        let own = first(&workload.namespace, &|selector| {
            selector.is_some() && scope_selects(&workload.namespace, selector, workload)
        });
        // In the root namespace a selector is ignored, even for the workloads that are there.
        let own = own.filter(|_| workload.namespace != workload.root_namespace);
        let namespace = first(&workload.namespace, &|selector| selector.is_none());
        let root = first(&workload.root_namespace, &|selector| selector.is_none());
        let mode = [own, namespace, root]
            .into_iter()
            .flatten()
            .find_map(|one| set(one.spec.mtls.unwrap_or_default().mode))
            .or(set(otherwise))
            .unwrap_or(MtlsMode::Permissive);
        let ports = own.map(|one| &one.spec.port_level_mtls).into_iter().flatten();
        Self { mode, ports: ports.filter_map(|(port, mtls)| Some((*port, set(mtls.mode)?))).collect() }
    }

    /// What a port asks for; never `Unset`.
    pub fn mode(&self, port: u16) -> MtlsMode {
        self.ports.get(&port).copied().unwrap_or(self.mode)
    }
}

fn set(mode: MtlsMode) -> Option<MtlsMode> {
    Some(mode).filter(|mode| *mode != MtlsMode::Unset)
}

fn namespace_of(written: &str) -> &str {
    if written.is_empty() { "default" } else { written }
}

#[cfg(test)]
mod tests;
