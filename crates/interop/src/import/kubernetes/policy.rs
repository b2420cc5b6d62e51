//! Network policies: who may connect to whom (`networking.k8s.io/v1`). A pod that no policy selects takes everything.
use model::tree::Tree;

use super::{
    Cluster,
    object::{Object, selects},
    workload::Workload,
};

/// Most ports that policies name which are looked at for two workloads.
const NAMED_MAX: usize = 64;

/// A policy.
#[derive(Clone, Debug)]
pub(super) struct Policy<'a> {
    pub(super) object: Object<'a>,
    /// Rules for who may connect; none where it says nothing about that.
    ingress: Option<&'a [Tree]>,
    /// Rules for where to.
    egress: Option<&'a [Tree]>,
}

/// A direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// To the pod that the policy selects.
    In,
    /// From it.
    Out,
}

impl<'a> Policy<'a> {
    pub(super) fn new(object: Object<'a>) -> Self {
        let rules = |key| object.tree.at(&["spec", key]).map(Tree::items);
        let types: Vec<&str> = object.tree.items_at(&["spec", "policyTypes"]).iter().filter_map(Tree::text).collect();
        // Without types it is about what comes in, and about what goes out where it has a rule for that.
        let has = |word, otherwise| if types.is_empty() { otherwise } else { types.contains(&word) };
        let ingress = has("Ingress", true).then(|| rules("ingress").unwrap_or(&[]));
        let egress = has("Egress", rules("egress").is_some()).then(|| rules("egress").unwrap_or(&[]));
        Self { object, ingress, egress }
    }

    fn rules(&self, way: Way) -> Option<&'a [Tree]> {
        match way {
            Way::In => self.ingress,
            Way::Out => self.egress,
        }
    }

    /// Whether it is about a workload.
    pub(super) fn selects(&self, workload: &Workload<'_>) -> bool {
        let selector = self.object.tree.at(&["spec", "podSelector"]);
        self.object.namespace == workload.object.namespace && selector.is_none_or(|s| selects(s, &workload.labels))
    }
}

/// Those whom a rule is about: everybody where it has no list, or an empty one.
fn peers(rule: &Tree, way: Way) -> &[Tree] {
    rule.items_at(&[if way == Way::In { "from" } else { "to" }])
}

/// Whether a selector of a peer names somebody in particular, and does not mean everything there.
fn is_narrow(peer: &Tree) -> bool {
    let says = |s: &Tree| !s.entries().iter().all(|(_, v)| v.entries().is_empty() && v.items().is_empty());
    peer.get("podSelector").is_some_and(says)
}

impl<'a> Cluster<'a> {
    /// Policies that are about a workload in a direction.
    fn about(&self, workload: &Workload<'_>, way: Way) -> impl Iterator<Item = (&Policy<'a>, &'a [Tree])> {
        let all = workload.policies.iter().filter_map(|at| self.policies.get(*at));
        all.filter_map(move |p| Some((p, p.rules(way)?)))
    }

    /// Whether a policy is about a workload in a direction: then only what rules allow is allowed.
    pub(super) fn is_isolated(&self, workload: &Workload<'_>, way: Way) -> bool {
        self.about(workload, way).next().is_some()
    }

    fn is_peer(&self, peer: &Tree, policy: &Policy<'_>, workload: &Workload<'_>) -> bool {
        if peer.get("ipBlock").is_some() {
            // Addresses of pods come and go.
            return false;
        }
        let there = match peer.get("namespaceSelector") {
            Some(selector) => selects(selector, &self.namespace_labels(workload.object.namespace)),
            None => workload.object.namespace == policy.object.namespace,
        };
        let is_one = peer.get("podSelector").is_some() || peer.get("namespaceSelector").is_some();
        is_one && there && peer.get("podSelector").is_none_or(|s| selects(s, &workload.labels))
    }

    /// Whether rules allow a connection in one direction to a port of the target, or to any where none is named.
    fn lets(
        &self,
        workload: &Workload<'_>,
        other: &Workload<'_>,
        way: Way,
        port: Option<u16>,
        narrow: bool,
    ) -> Option<&Policy<'a>> {
        let target = if way == Way::In { workload } else { other };
        self.about(workload, way).find_map(|(policy, rules)| {
            let fits = |rule: &&Tree| {
                let peers = peers(rule, way);
                let all = peers.is_empty() && !narrow;
                let one = |p: &Tree| (!narrow || is_narrow(p)) && self.is_peer(p, policy, other);
                (all || peers.iter().any(one)) && is_port(rule.items_at(&["ports"]), target, port)
            };
            rules.iter().find(fits).map(|_| policy)
        })
    }

    /// Whether a workload may connect to another one: both sides must allow it.
    pub(super) fn may(&self, from: &Workload<'_>, to: &Workload<'_>, port: Option<u16>) -> bool {
        let out = !self.is_isolated(from, Way::Out) || self.lets(from, to, Way::Out, port, false).is_some();
        out && (!self.is_isolated(to, Way::In) || self.lets(to, from, Way::In, port, false).is_some())
    }

    /// The policy that names this connection in particular, where both sides allow it.
    pub(super) fn needs(&self, from: &Workload<'_>, to: &Workload<'_>) -> Option<(&Policy<'a>, Option<u16>)> {
        // Where one port is allowed it is said; several are one flow.
        let port = |allows: &dyn Fn(Option<u16>) -> bool| {
            let all: Vec<u16> = to.ports.iter().map(|p| p.number).filter(|p| allows(Some(*p))).collect();
            match (all.as_slice(), to.ports.is_empty()) {
                (_, true) => Some(None),
                ([one], _) if to.ports.len() > 1 => Some(Some(*one)),
                // What a container declares is for information: a pod may listen to what a policy names.
                ([], _) => self.ports(from, to).into_iter().find(|p| allows(Some(*p))).map(Some),
                _ => Some(None),
            }
        };
        let named = |way: Way, port| match way {
            Way::In => self.lets(to, from, Way::In, port, true),
            Way::Out => self.lets(from, to, Way::Out, port, true),
        };
        for way in [Way::In, Way::Out] {
            if let Some(port) = port(&|p| named(way, p).is_some() && self.may(from, to, p))
                && let Some(policy) = named(way, port)
                && self.may(from, to, port)
            {
                return Some((policy, port));
            }
        }
        None
    }

    /// The ports that policies about either side name by number.
    fn ports(&self, from: &Workload<'_>, to: &Workload<'_>) -> Vec<u16> {
        let rules = self.about(to, Way::In).chain(self.about(from, Way::Out)).flat_map(|(_, rules)| rules);
        let ports = rules.flat_map(|rule| rule.items_at(&["ports"])).filter_map(|p| p.get("port")?.number());
        let mut all: Vec<u16> = ports.filter_map(|p| u16::try_from(p).ok()).take(NAMED_MAX).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Policies that let whole namespaces, or everybody, connect to a workload: their titles.
    pub(super) fn broad(&self, workload: &Workload<'_>) -> Vec<String> {
        let broad = |rule: &Tree| {
            let peers = peers(rule, Way::In);
            peers.is_empty() || peers.iter().any(|p| p.get("ipBlock").is_none() && !is_narrow(p))
        };
        let all = self.about(workload, Way::In).filter(|(_, rules)| rules.iter().any(broad));
        all.map(|(p, _)| p.object.title()).collect()
    }
}

/// Whether a list of ports has one of the target's. An absent list, or an empty one, has all.
fn is_port(ports: &[Tree], target: &Workload<'_>, wanted: Option<u16>) -> bool {
    let fits = |entry: &Tree| {
        if entry.text_at(&["protocol"]).is_some_and(|p| p != "TCP") {
            return false;
        }
        let Some(text) = entry.text_at(&["port"]) else { return true };
        let Ok(from) = text.parse::<u16>() else {
            // A name is one of the target's container ports.
            return target.ports.iter().any(|p| p.name == Some(text) && wanted.is_none_or(|w| w == p.number));
        };
        let to = entry.get("endPort").and_then(Tree::number).and_then(|n| u16::try_from(n).ok()).unwrap_or(from);
        wanted.is_none_or(|w| (from..=to).contains(&w))
    };
    ports.is_empty() || ports.iter().any(fits)
}

#[cfg(test)]
mod tests;
