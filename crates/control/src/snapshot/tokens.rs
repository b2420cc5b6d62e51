//! Which issuers' keys the nodes of a model need, and where these may be asked for.
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use identity::token::KeySet;
use model::{Diagnostic, KeyAddress, KeySource, Model, istio::RequestAuthentication};

use super::{IssuerUse, diagnostic};
use crate::jwks::{Inside, SOURCES_MAX, Source, TIMEOUT, TIMEOUT_MAX, TIMEOUT_MIN};

/// What the nodes gathered so far need.
#[derive(Default)]
pub(super) struct Uses {
    issuers: BTreeMap<(String, Option<String>), Vec<String>>,
    timeouts: BTreeMap<String, Duration>,
}

impl Uses {
    /// Adds a node: the addresses of the keys it needs, sorted. Keys written out must be usable.
    pub(super) fn gather(
        &mut self,
        node: &str,
        documents: &[RequestAuthentication],
        faults: &mut Vec<Diagnostic>,
    ) -> Vec<String> {
        let mut addresses = BTreeSet::new();
        for document in documents {
            for (i, rule) in document.spec.jwt_rules.iter().enumerate() {
                if let Some(Err(error)) = rule.jwks.as_deref().map(KeySet::parse) {
                    let name = format!("{}/{}", document.metadata.namespace, document.metadata.name);
                    let found = diagnostic(
                        "bad-key-set",
                        format!("{name} spec.jwtRules[{i}].jwks"),
                        format!("RequestAuthentication `{name}`: {error}"),
                        Some("write the issuer's public keys (RFC 7517)".to_owned()),
                    );
                    if !faults.contains(&found) {
                        faults.push(found);
                    }
                }
                // Keys that are written out come before an address.
                let address = rule.jwks_uri.clone().filter(|_| rule.jwks.is_none());
                if let Some(address) = &address {
                    let wanted = rule.timeout.as_deref().and_then(model::load::parse_duration).unwrap_or(TIMEOUT);
                    let timeout = self.timeouts.entry(address.clone()).or_default();
                    *timeout = (*timeout).max(wanted.clamp(TIMEOUT_MIN, TIMEOUT_MAX));
                    addresses.insert(address.clone());
                }
                let nodes = self.issuers.entry((rule.issuer.clone(), address)).or_default();
                if nodes.last().is_none_or(|last| last != node) {
                    nodes.push(node.to_owned());
                }
            }
        }
        addresses.into_iter().collect()
    }

    /// All of them, and where the keys come from.
    pub(super) fn finish(self, model: &Model, faults: &mut Vec<Diagnostic>) -> (Vec<IssuerUse>, Vec<Source>) {
        if self.timeouts.len() > SOURCES_MAX {
            faults.push(diagnostic(
                "too-many-key-sets",
                "mesh.issuers".to_owned(),
                format!("the model names {} addresses of keys, at most {SOURCES_MAX} are asked", self.timeouts.len()),
                Some("let issuers share a key set".to_owned()),
            ));
        }
        let sources = self.timeouts.into_iter().map(|(address, timeout)| {
            let inside = inside(model, &address);
            Source { address, inside, timeout }
        });
        let issuers = self.issuers.into_iter().map(|((issuer, address), nodes)| IssuerUse { issuer, address, nodes });
        (issuers.collect(), sources.collect())
    }
}

/// How far inside the own network an address may lie: only `mesh.issuers` can say that it may (GHSA-fgw5-hp8f-xfhc). A
/// document beside the model, which anybody may have written, cannot.
fn inside(model: &Model, address: &str) -> Inside {
    let named = |keys: &KeySource| matches!(keys, KeySource::Address(named) if named == address);
    let mut widest = Inside::Nowhere;
    for issuer in model.mesh.issuers.values().filter(|issuer| named(&issuer.keys)) {
        let loopback = KeyAddress::parse(address).is_ok_and(|address| address.is_loopback());
        widest = widest.max(match (issuer.private, loopback) {
            (true, _) => Inside::Private,
            (false, true) => Inside::Loopback,
            (false, false) => Inside::Nowhere,
        });
    }
    widest
}
