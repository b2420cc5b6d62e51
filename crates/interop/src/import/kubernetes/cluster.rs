//! The cluster that some objects describe, indexed for questions.
use std::collections::HashMap;

use model::tree::Tree;

use super::{
    object::{Labels, Object, objects},
    policy::Policy,
    service::{Service, services},
    workload::{Workload, workloads},
};
use crate::import::Document;

/// Everything that was read.
#[derive(Default)]
pub(super) struct Cluster<'a> {
    pub(super) objects: Vec<Object<'a>>,
    pub(super) workloads: Vec<Workload<'a>>,
    pub(super) services: Vec<Service<'a>>,
    pub(super) policies: Vec<Policy<'a>>,
    pub(super) namespaces: HashMap<&'a str, Object<'a>>,
    pub(super) accounts: HashMap<(&'a str, &'a str), Object<'a>>,
    pub(super) secrets: HashMap<(&'a str, &'a str), Object<'a>>,
    /// Istio's PeerAuthentications.
    pub(super) peers: Vec<Object<'a>>,
    by_service: HashMap<(&'a str, &'a str), usize>,
    pub(super) configs: HashMap<(&'a str, &'a str), Object<'a>>,
}

impl<'a> Cluster<'a> {
    pub(super) fn new(documents: &'a [Document<'_>]) -> Self {
        let objects = objects(documents);
        let mut workloads = workloads(&objects);
        let services = services(&objects, &mut workloads);
        let policy = |o: &&Object<'_>| o.kind == "NetworkPolicy" && o.group == "networking.k8s.io";
        let policies: Vec<Policy<'a>> = objects.iter().filter(policy).map(|o| Policy::new(*o)).collect();
        let mut of_namespace: HashMap<&str, Vec<usize>> = HashMap::new();
        for (at, policy) in policies.iter().enumerate() {
            of_namespace.entry(policy.object.namespace).or_default().push(at);
        }
        for workload in &mut workloads {
            let there = of_namespace.get(workload.object.namespace).into_iter().flatten().copied();
            workload.policies = there.filter(|at| policies.get(*at).is_some_and(|p| p.selects(workload))).collect();
        }
        let mut cluster = Self { workloads, policies, ..Self::default() };
        for (at, service) in services.iter().enumerate() {
            cluster.by_service.entry((service.object.namespace, service.object.name)).or_insert(at);
        }
        for object in &objects {
            let key = (object.namespace, object.name);
            match (object.group, object.kind) {
                ("", "Namespace") => _ = cluster.namespaces.entry(object.name).or_insert(*object),
                ("", "ServiceAccount") => _ = cluster.accounts.entry(key).or_insert(*object),
                ("", "Secret") => _ = cluster.secrets.entry(key).or_insert(*object),
                ("", "ConfigMap") => _ = cluster.configs.entry(key).or_insert(*object),
                ("security.istio.io", "PeerAuthentication") => cluster.peers.push(*object),
                _ => {}
            }
        }
        Self { objects, services, ..cluster }
    }

    /// Objects of a kind.
    pub(super) fn of_kind(&self, group: &str, kind: &str) -> impl Iterator<Item = &Object<'a>> {
        self.objects.iter().filter(move |o| o.kind == kind && (o.group == group || group == "*"))
    }

    /// The entries of a ConfigMap.
    pub(super) fn config(&self, namespace: &str, name: &str) -> Option<&'a [(String, Tree)]> {
        self.configs.get(&(namespace, name)).map(|o| o.tree.get("data").map_or(&[][..], Tree::entries))
    }

    /// A Service, by its place.
    pub(super) fn service(&self, name: &str, namespace: &str) -> Option<usize> {
        self.by_service.get(&(namespace, name)).copied()
    }

    /// The labels of a namespace; every one has its name among them.
    pub(super) fn namespace_labels<'s>(&'s self, name: &'s str) -> Labels<'s> {
        let mut labels: Labels<'s> = self.namespaces.get(name).map(Object::labels).unwrap_or_default();
        labels.push(("kubernetes.io/metadata.name", name));
        labels
    }

    /// The keys of a Secret, none where it was not read.
    pub(super) fn secret_keys(&self, namespace: &str, name: &str) -> Vec<&'a str> {
        let Some(secret) = self.secrets.get(&(namespace, name)) else { return Vec::new() };
        let of = |key| secret.tree.get(key).map_or(&[][..], Tree::entries).iter().map(|(k, _)| k.as_str());
        of("data").chain(of("stringData")).collect()
    }

    /// Whether a Secret has something in it that everybody with the file can decode.
    pub(super) fn has_value(&self, namespace: &str, name: &str) -> bool {
        let Some(secret) = self.secrets.get(&(namespace, name)) else { return false };
        let of = |key| secret.tree.get(key).map_or(&[][..], Tree::entries).iter();
        of("data").chain(of("stringData")).any(|(_, value)| value.text().is_some_and(|t| !t.is_empty()))
    }

    /// The value of a key of a Secret, to look for an address in. It must never be written anywhere.
    pub(super) fn secret_value(&self, namespace: &str, name: &str, key: &str) -> Option<String> {
        let secret = self.secrets.get(&(namespace, name))?;
        let plain = secret.tree.text_at(&["stringData", key]).map(str::to_owned);
        plain.or_else(|| String::from_utf8(decode(secret.tree.text_at(&["data", key])?)?).ok())
    }
}

/// Base64 (RFC 4648 §4), with line breaks in it.
fn decode(text: &str) -> Option<Vec<u8>> {
    let (mut bytes, mut bits, mut held) = (Vec::new(), 0_u32, 0_u32);
    for byte in text.bytes().filter(|b| !b.is_ascii_whitespace()) {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'=' => break,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from(bits >> held & 0xff).ok()?);
            bits &= (1 << held) - 1;
        }
    }
    Some(bytes)
}
