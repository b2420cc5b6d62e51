//! One discovery stream as a state machine: requests and views in, responses out. No socket, no clock.
use std::collections::{BTreeSet, HashMap};

use prost_types::Any;
use tonic::Status;
use wire::discovery::{DeltaDiscoveryRequest, DeltaDiscoveryResponse, Resource};

use super::NACK_BYTES_MAX;
use crate::{plane::View, snapshot, snapshot::Kind};

/// Names one request may subscribe to, unsubscribe from, or say it holds.
pub(super) const NAMES_MAX: usize = 8_192;

/// What a stream asked for and holds.
#[derive(Debug, Default)]
pub struct Session {
    types: [Subscription; 6],
    nonces: u64,
}

#[derive(Debug, Default)]
struct Subscription {
    asked: bool,
    answered: bool,
    wildcard: bool,
    names: BTreeSet<String>,
    /// Name and version of what the peer holds, or will once it takes what is on its way.
    held: HashMap<String, String>,
    /// Nonce of the response that is not answered yet.
    pending: Option<String>,
    nack: Option<String>,
}

impl Session {
    /// Takes a request: subscriptions, what the peer holds already, an answer to a response. An answer with a nonce that is
    /// not the awaited one is stale and ignored.
    ///
    /// # Errors
    /// `invalid_argument` for a type that is not Ward's or too many names.
    pub fn on_request(&mut self, request: DeltaDiscoveryRequest) -> Result<(), Status> {
        let kind = Kind::of_url(&request.type_url)
            .ok_or_else(|| Status::invalid_argument(format!("unknown resource type `{}`", request.type_url)))?;
        let most = request
            .resource_names_subscribe
            .len()
            .max(request.resource_names_unsubscribe.len())
            .max(request.initial_resource_versions.len());
        if most > NAMES_MAX {
            return Err(Status::invalid_argument(format!("{most} resource names, at most {NAMES_MAX} are read")));
        }
        let state = self.state(kind);
        if !state.asked {
            state.asked = true;
            // No names in the first request is the wildcard, as in the protocol's older form.
            state.wildcard = request.resource_names_subscribe.is_empty();
            state.held = request.initial_resource_versions;
        }
        for name in request.resource_names_subscribe {
            if name == "*" {
                state.wildcard = true;
                continue;
            }
            // Asking again for a name asks for it to be sent again. What a reconnecting peer says it holds, it holds.
            if !state.names.insert(name.clone()) {
                state.held.remove(&name);
            }
        }
        for name in request.resource_names_unsubscribe {
            if name == "*" {
                state.wildcard = false;
            } else {
                state.names.remove(&name);
                if !state.wildcard {
                    state.held.remove(&name);
                }
            }
        }
        if state.names.len() > NAMES_MAX {
            return Err(Status::invalid_argument(format!("more than {NAMES_MAX} subscribed names")));
        }
        if !request.response_nonce.is_empty() && state.pending.as_ref() == Some(&request.response_nonce) {
            state.pending = None;
            state.nack = request.error_detail.map(|status| shortened(kind, &status.message));
        }
        Ok(())
    }

    /// What to send now. A type with an unanswered response waits. A resource that is gone is taken away only once the
    /// peer holds what no longer points at it: an upstream after the workload, keys after the document that needed them.
    pub fn advance(&mut self, view: &View) -> Vec<DeltaDiscoveryResponse> {
        let mut responses = Vec::new();
        for kind in Kind::ALL {
            let waits = kind.pointed_at_by().is_some_and(|pointer| {
                let state = self.state(pointer);
                state.asked && (state.pending.is_some() || !state.is_current(pointer, view))
            });
            let nonce = self.nonces + 1;
            let state = self.state(kind);
            if !state.asked || state.pending.is_some() {
                continue;
            }
            let changed: Vec<&snapshot::Resource> = state.changed(kind, view).collect();
            let removed = if waits { Vec::new() } else { state.removed(kind, view) };
            if changed.is_empty() && removed.is_empty() && state.answered {
                continue;
            }
            let resources = changed
                .into_iter()
                .map(|r| Resource {
                    version: r.version.clone(),
                    resource: Some(Any { type_url: kind.type_url(), value: r.body.clone() }),
                    name: r.name.clone(),
                })
                .collect::<Vec<_>>();
            for resource in &resources {
                state.held.insert(resource.name.clone(), resource.version.clone());
            }
            for name in &removed {
                state.held.remove(name);
            }
            state.answered = true;
            state.pending = Some(nonce.to_string());
            self.nonces = nonce;
            responses.push(DeltaDiscoveryResponse {
                system_version_info: view.revision.to_string(),
                resources,
                type_url: kind.type_url(),
                nonce: nonce.to_string(),
                removed_resources: removed,
            });
        }
        responses
    }

    /// The revision that the peer holds whole: every type asked for, answered, taken, and nothing left to send. A peer that
    /// does not know a type, and has nothing of it to know, is not waited for.
    pub fn synced(&self, view: &View) -> Option<u64> {
        let settled = |kind| {
            let state = self.state_of(kind);
            let optional = matches!(kind, Kind::KeySet | Kind::Authentication);
            if !state.asked && optional {
                return view.resources.of(kind).is_empty();
            }
            state.asked
                && state.answered
                && state.pending.is_none()
                && state.nack.is_none()
                && state.is_current(kind, view)
        };
        Kind::ALL.into_iter().all(settled).then_some(view.revision)
    }

    /// Why the peer refused what it was last sent; empty when it did not.
    pub fn nack(&self) -> String {
        self.types.iter().filter_map(|t| t.nack.as_deref()).collect::<Vec<_>>().join("; ")
    }

    fn state(&mut self, kind: Kind) -> &mut Subscription {
        let [key_set, authentication, bundle, policy, upstream, workload] = &mut self.types;
        match kind {
            Kind::KeySet => key_set,
            Kind::Authentication => authentication,
            Kind::Bundle => bundle,
            Kind::Policy => policy,
            Kind::Upstream => upstream,
            Kind::Workload => workload,
        }
    }

    fn state_of(&self, kind: Kind) -> &Subscription {
        let [key_set, authentication, bundle, policy, upstream, workload] = &self.types;
        match kind {
            Kind::KeySet => key_set,
            Kind::Authentication => authentication,
            Kind::Bundle => bundle,
            Kind::Policy => policy,
            Kind::Upstream => upstream,
            Kind::Workload => workload,
        }
    }
}

impl Subscription {
    fn wants(&self, name: &str) -> bool {
        self.wildcard || self.names.contains(name)
    }

    fn changed<'a>(&'a self, kind: Kind, view: &'a View) -> impl Iterator<Item = &'a snapshot::Resource> {
        let wanted = view.resources.of(kind).iter().filter(|r| self.wants(&r.name));
        wanted.filter(|r| self.held.get(&r.name) != Some(&r.version))
    }

    fn removed(&self, kind: Kind, view: &View) -> Vec<String> {
        let there: BTreeSet<&str> = view.resources.of(kind).iter().map(|r| r.name.as_str()).collect();
        let mut gone: Vec<String> = self.held.keys().filter(|name| !there.contains(name.as_str())).cloned().collect();
        gone.sort();
        gone
    }

    fn is_current(&self, kind: Kind, view: &View) -> bool {
        self.changed(kind, view).next().is_none() && self.removed(kind, view).is_empty()
    }
}

fn shortened(kind: Kind, message: &str) -> String {
    let mut end = message.len().min(NACK_BYTES_MAX);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}: {}", kind.name(), message.get(..end).unwrap_or_default())
}
