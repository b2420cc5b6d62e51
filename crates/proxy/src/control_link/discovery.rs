//! The client side of one delta ADS stream as a state machine: responses in, requests out, and the set of resources to
//! compile next. No socket and no clock.
//!
//! Two sets are held: `applied`, which is in force and on disk, and `latest`, all that was received. A set that is refused
//! stays in `latest`, because the server will send only what changes from there; the next response may mend it.
use std::collections::{BTreeMap, BTreeSet};

use prost::Message;
use serde::{Deserialize, Serialize};
use wire::{
    TYPE_URL_PREFIX,
    discovery::{DeltaDiscoveryRequest, DeltaDiscoveryResponse, Node, Status},
    v1::resources::{Authentication, Bundle, KeySet, Policy, Upstream, Workload},
};

use crate::snapshot::Resources;

/// Most resources a workload may be sent.
pub(super) const RESOURCES_MAX: usize = 100_000;
/// Longest error text in a refusal.
const ERROR_BYTES_MAX: usize = 2_000;
/// `google.rpc.Code.INVALID_ARGUMENT`.
const INVALID_ARGUMENT: i32 = 3;

/// The resource types, in the order they are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    KeySet,
    Authentication,
    Bundle,
    Policy,
    Upstream,
    Workload,
}

impl Kind {
    const ALL: [Self; 6] =
        [Self::KeySet, Self::Authentication, Self::Bundle, Self::Policy, Self::Upstream, Self::Workload];

    fn type_url(self) -> String {
        format!("{TYPE_URL_PREFIX}{self:?}")
    }

    fn of_url(url: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.type_url() == url)
    }
}

/// A resource and the version the server gave it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Versioned<T> {
    version: String,
    resource: T,
}

type Named<T> = BTreeMap<String, Versioned<T>>;

/// A whole configuration, by type and name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Set {
    // Absent in what older versions kept.
    #[serde(default)]
    key_sets: Named<KeySet>,
    #[serde(default)]
    authentications: Named<Authentication>,
    bundles: Named<Bundle>,
    policies: Named<Policy>,
    upstreams: Named<Upstream>,
    workloads: Named<Workload>,
}

impl Set {
    /// As the data path compiles it. Errors when there is not exactly one workload, or when a workload that serves has no
    /// policy: without any, everybody would be allowed.
    pub(super) fn resources(&self) -> Result<Resources, String> {
        let mut workloads = self.workloads.values();
        let (Some(workload), None) = (workloads.next(), workloads.next()) else {
            return Err(format!("expected one workload, {} were sent", self.workloads.len()));
        };
        let workload = workload.resource.clone();
        if self.policies.is_empty() && !(workload.services.is_empty() && workload.listeners.is_empty()) {
            return Err("a workload that serves and has no policy would let everybody in".to_owned());
        }
        Ok(Resources {
            workload,
            upstreams: self.upstreams.values().map(|v| v.resource.clone()).collect(),
            policies: self.policies.values().map(|v| v.resource.clone()).collect(),
            authentications: self.authentications.values().map(|v| v.resource.clone()).collect(),
            key_sets: self.key_sets.values().map(|v| v.resource.clone()).collect(),
            bundles: self.bundles.values().map(|v| v.resource.clone()).collect(),
        })
    }

    fn len(&self) -> usize {
        let tokens = self.key_sets.len() + self.authentications.len();
        tokens + self.bundles.len() + self.policies.len() + self.upstreams.len() + self.workloads.len()
    }

    fn versions(&self, kind: Kind) -> impl Iterator<Item = (String, String)> + '_ {
        fn of<T>(named: &Named<T>) -> Vec<(String, String)> {
            named.iter().map(|(name, held)| (name.clone(), held.version.clone())).collect()
        }
        match kind {
            Kind::KeySet => of(&self.key_sets),
            Kind::Authentication => of(&self.authentications),
            Kind::Bundle => of(&self.bundles),
            Kind::Policy => of(&self.policies),
            Kind::Upstream => of(&self.upstreams),
            Kind::Workload => of(&self.workloads),
        }
        .into_iter()
    }
}

/// The state of one stream, and what outlives it.
#[derive(Debug, Default)]
pub(super) struct Discovery {
    applied: Set,
    latest: Set,
    /// Types that the server has answered on this stream.
    answered: BTreeSet<Kind>,
    /// Responses that are neither acknowledged nor refused.
    pending: Vec<(Kind, String)>,
}

impl Discovery {
    /// Starts from what is in force already.
    pub(super) fn new(applied: Set) -> Self {
        Self { latest: applied.clone(), applied, ..Self::default() }
    }

    /// What is in force.
    pub(super) fn applied(&self) -> &Set {
        &self.applied
    }

    /// What was received, to be compiled next.
    pub(super) fn latest(&self) -> &Set {
        &self.latest
    }

    /// The first requests of a new stream: everything of each type, and what we hold already. What an earlier stream sent
    /// and we refused is forgotten; the server will send it again.
    pub(super) fn open(&mut self, instance: &str) -> Vec<DeltaDiscoveryRequest> {
        self.latest = self.applied.clone();
        self.answered.clear();
        self.pending.clear();
        let request = |kind: Kind| DeltaDiscoveryRequest {
            node: Some(Node { id: instance.to_owned(), cluster: String::new() }),
            type_url: kind.type_url(),
            initial_resource_versions: self.applied.versions(kind).collect(),
            ..DeltaDiscoveryRequest::default()
        };
        Kind::ALL.into_iter().map(request).collect()
    }

    /// Takes a response into `latest`. One that cannot be read is taken not at all, and its refusal is returned.
    pub(super) fn receive(&mut self, response: DeltaDiscoveryResponse) -> Option<DeltaDiscoveryRequest> {
        let Some(kind) = Kind::of_url(&response.type_url) else {
            let error = Some(refusal(&format!("unknown resource type `{}`", response.type_url)));
            let (type_url, response_nonce) = (response.type_url, response.nonce);
            return Some(DeltaDiscoveryRequest { type_url, response_nonce, error_detail: error, ..Default::default() });
        };
        let nonce = response.nonce.clone();
        let mut next = self.latest.clone();
        let merged = match kind {
            Kind::KeySet => merge(&mut next.key_sets, response, |k: &KeySet| &k.name),
            Kind::Authentication => merge(&mut next.authentications, response, |a: &Authentication| &a.name),
            Kind::Bundle => merge(&mut next.bundles, response, |b: &Bundle| &b.trust_domain),
            Kind::Policy => merge(&mut next.policies, response, |p: &Policy| &p.name),
            Kind::Upstream => merge(&mut next.upstreams, response, |u: &Upstream| &u.name),
            Kind::Workload => merge(&mut next.workloads, response, |w: &Workload| &w.node),
        };
        let merged = match next.len() {
            0..=RESOURCES_MAX => merged,
            count => Err(format!("{count} resources, at most {RESOURCES_MAX} are held")),
        };
        if let Err(why) = merged {
            return Some(answer(kind, nonce, Some(refusal(&why))));
        }
        self.latest = next;
        self.answered.insert(kind);
        self.pending.push((kind, nonce));
        None
    }

    /// Whether `latest` is a whole: nothing is in force before every type has been answered once. A policy that is still
    /// on its way must not leave a port open to everybody.
    pub(super) fn is_whole(&self) -> bool {
        self.applied != Set::default() || Kind::ALL.iter().all(|kind| self.answered.contains(kind))
    }

    /// Whether responses wait for their answer.
    pub(super) fn is_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Whether something was received that is not in force.
    pub(super) fn differs(&self) -> bool {
        self.latest != self.applied
    }

    /// `latest` is in force: the acknowledgements.
    pub(super) fn accept(&mut self) -> Vec<DeltaDiscoveryRequest> {
        self.applied = self.latest.clone();
        self.pending.drain(..).map(|(kind, nonce)| answer(kind, nonce, None)).collect()
    }

    /// `latest` cannot be put in force, what is applied stays: the refusals.
    pub(super) fn refuse(&mut self, why: &str) -> Vec<DeltaDiscoveryRequest> {
        self.pending.drain(..).map(|(kind, nonce)| answer(kind, nonce, Some(refusal(why)))).collect()
    }
}

fn merge<T: Message + Default>(
    named: &mut Named<T>,
    response: DeltaDiscoveryResponse,
    name_of: impl Fn(&T) -> &String,
) -> Result<(), String> {
    for sent in response.resources {
        let any = sent.resource.ok_or_else(|| format!("resource `{}` is empty", sent.name))?;
        if any.type_url != response.type_url {
            return Err(format!("resource `{}` is a `{}` among `{}`", sent.name, any.type_url, response.type_url));
        }
        let resource =
            T::decode(any.value.as_slice()).map_err(|e| format!("resource `{}` cannot be read: {e}", sent.name))?;
        if *name_of(&resource) != sent.name {
            return Err(format!("resource `{}` calls itself `{}`", sent.name, name_of(&resource)));
        }
        named.insert(sent.name, Versioned { version: sent.version, resource });
    }
    for name in response.removed_resources {
        named.remove(&name);
    }
    Ok(())
}

fn answer(kind: Kind, nonce: String, error_detail: Option<Status>) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest {
        type_url: kind.type_url(),
        response_nonce: nonce,
        error_detail,
        ..DeltaDiscoveryRequest::default()
    }
}

fn refusal(why: &str) -> Status {
    let mut end = why.len().min(ERROR_BYTES_MAX);
    while !why.is_char_boundary(end) {
        end -= 1;
    }
    Status { code: INVALID_ARGUMENT, message: why.get(..end).unwrap_or_default().to_owned() }
}

#[cfg(test)]
mod tests;
