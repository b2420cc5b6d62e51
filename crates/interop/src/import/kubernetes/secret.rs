//! Secrets: what the cluster keeps for workloads, how it is kept, and who is given it.
use std::collections::{BTreeMap, BTreeSet};

use model::tree::Tree;

use super::{Modelling, object::Object};
use crate::draft::{Draft, Kind};

/// How the cluster keeps Secrets, by what was read.
#[derive(Default)]
pub(super) struct Keeping {
    /// Namespaces whose Secrets somebody may read without reading all: they are kept apart in the model.
    pub(super) apart: BTreeSet<String>,
    /// `at_rest`, and why where it is guessed.
    pub(super) at_rest: (&'static str, Option<String>),
    /// Whether the API server keeps an audit log.
    pub(super) audited: bool,
    /// Namespaces that have Secrets.
    pub(super) spaces: BTreeSet<String>,
    /// Names that more than one namespace has a Secret of.
    several: BTreeSet<String>,
}

impl<'a> Modelling<'a> {
    /// What is known of how Secrets are kept. `readable`: namespaces of which somebody reads all Secrets, and of no other.
    pub(super) fn keeping(&self, readable: BTreeSet<String>) -> Keeping {
        let mut names: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        let mut given: Vec<(&str, String)> = Vec::new();
        for workload in &self.cluster.workloads {
            let of = workload.secrets(&self.cluster);
            given.extend(of.into_iter().map(|g| (workload.object.namespace, g.secret)));
        }
        for (namespace, name) in self.cluster.secrets.keys() {
            names.entry(name).or_default().insert(namespace);
        }
        for (namespace, name) in &given {
            names.entry(name).or_default().insert(namespace);
        }
        let spaces: BTreeSet<String> = names.values().flatten().map(|n| (*n).to_owned()).collect();
        let several = names.iter().filter(|(_, n)| n.len() > 1).map(|(name, _)| (*name).to_owned()).collect();
        // Where all Secrets are in one namespace there is nothing to keep apart.
        let apart = if spaces.len() > 1 { readable } else { BTreeSet::new() };
        Keeping {
            apart,
            at_rest: self.at_rest(),
            audited: self.cluster.of_kind("audit.k8s.io", "Policy").next().is_some(),
            spaces,
            several,
        }
    }

    fn at_rest(&self) -> (&'static str, Option<String>) {
        let of_secrets = |resource: &Tree| {
            let names = resource.items_at(&["resources"]);
            names.iter().filter_map(Tree::text).any(|n| matches!(n, "secrets" | "*." | "*.*"))
        };
        for object in self.cluster.of_kind("*", "EncryptionConfiguration") {
            let found = object.tree.items_at(&["resources"]).iter().find(|r| of_secrets(r));
            let first = found.and_then(|r| r.items_at(&["providers"]).first()).and_then(|p| p.entries().first());
            match first.map(|(name, _)| name.as_str()) {
                Some("kms") => return ("kms", None),
                // The key lies on the disk beside what it encrypts.
                Some("aescbc" | "aesgcm" | "secretbox") => return ("volume", None),
                Some("identity") => return ("encoding", None),
                _ => {}
            }
        }
        let written = self.cluster.secrets.values().filter(|s| self.cluster.has_value(s.namespace, s.name));
        let mut places: Vec<String> = written.map(Object::place).collect();
        places.sort();
        match places.first() {
            Some(place) => {
                let more = if places.len() > 1 { format!(" and {} more", places.len() - 1) } else { String::new() };
                let why = format!(
                    "{place}{more}: Base64 in the manifest, and in etcd too unless an EncryptionConfiguration says otherwise"
                );
                ("encoding", Some(why))
            }
            None => {
                let why =
                    "the Secrets are not in what was read; if etcd has no EncryptionConfiguration, write `encoding`";
                ("volume", Some(why.to_owned()))
            }
        }
    }

    /// The store that keeps the Secrets of a namespace, and whatever else it is known to keep. Its name.
    pub(super) fn secret_store(&mut self, draft: &mut Draft, namespace: &str) -> String {
        let apart = self.keeping.apart.contains(namespace);
        let (key, wanted) = match apart {
            true => (format!("k8s:secrets/{namespace}"), format!("k8s-secrets-{namespace}")),
            false => ("k8s:secrets".to_owned(), "k8s-secrets".to_owned()),
        };
        let zone = self.cluster_zone.clone();
        let (at_rest, why) = self.keeping.at_rest.clone();
        let audited = self.keeping.audited;
        let store = draft.node(&key, &wanted);
        store.set("kind", "store").set("zone", zone.as_str()).set("auth", "rbac");
        match why {
            // Values in a manifest are more than what a plan leaves out.
            Some(why) if at_rest == "encoding" => store.reguess("at_rest", at_rest, why),
            Some(why) => store.guess("at_rest", at_rest, why),
            None => store.set("at_rest", at_rest),
        };
        if audited {
            store.set("logs", true);
        }
        // Every pod can connect to the API server, which asks for proof.
        store.add("exposed_to", zone.as_str());
        store.name().to_owned()
    }

    /// The stores that keep Secrets.
    pub(super) fn secret_stores(&self, draft: &Draft) -> Vec<String> {
        let apart = self.keeping.apart.iter().map(|namespace| format!("k8s:secrets/{namespace}"));
        let keys = std::iter::once("k8s:secrets".to_owned()).chain(apart);
        keys.filter_map(|key| Some(draft.find(Kind::Node, &key)?.name().to_owned())).collect()
    }

    /// The datum of a Secret, kept where it is kept. Its name.
    pub(super) fn secret(&mut self, draft: &mut Draft, namespace: &str, name: &str) -> String {
        let several = self.keeping.several.contains(name);
        let mut wanted = if several { format!("{name}-{namespace}") } else { name.to_owned() };
        if self.taken.contains(&wanted) {
            wanted = format!("{wanted}-secret");
        }
        let object = self.cluster.secrets.get(&(namespace, name)).copied();
        let datum = draft.data(&format!("k8s:secret/{namespace}/{name}"), &wanted);
        datum.set("class", "secret");
        if let Some(kind) = object.and_then(|o| o.tree.text_at(&["type"])).filter(|t| *t != "Opaque") {
            datum.comment(format!("Secret {namespace}/{name} of type {kind}"));
        } else if object.is_none() {
            datum.comment(format!("Secret {namespace}/{name}, which is not in what was read"));
        }
        if let Some(ttl) = self.certificates.get(&(namespace.to_owned(), name.to_owned())) {
            datum.set("ttl", ttl.as_str());
        }
        let datum = datum.name().to_owned();
        let store = self.secret_store(draft, namespace);
        if let Some(store) = draft.named(Kind::Node, &store) {
            store.add("holds", datum.as_str());
        }
        datum
    }

    /// Says that a node is given Secrets of its namespace: a flow to the store, which answers with them.
    pub(super) fn give(&mut self, draft: &mut Draft, node: &str, namespace: &str, secret: &str, how: &str) -> String {
        let datum = self.secret(draft, namespace, secret);
        let store = self.secret_store(draft, namespace);
        let flow = draft.flow(&format!("k8s:{node}>{store}"), &format!("{node}-{store}"), node, &store);
        flow.add("returns", datum.as_str()).via("tls", "1.2").comment(format!("{datum}: {how}"));
        datum
    }

    /// Every Secret, and the workloads that are given some.
    pub(super) fn secrets(&mut self, draft: &mut Draft) {
        let mut all: Vec<Object<'a>> = self.cluster.secrets.values().copied().collect();
        all.sort_by_key(|o| (o.namespace, o.name));
        for object in all {
            // Helm's own records, which hold manifests.
            if object.tree.text_at(&["type"]) != Some("helm.sh/release.v1") {
                self.secret(draft, object.namespace, object.name);
            }
        }
        for at in 0..self.cluster.workloads.len() {
            let Some(workload) = self.cluster.workloads.get(at).cloned() else { continue };
            let (node, namespace) = (workload.node.clone(), workload.object.namespace);
            for given in workload.secrets(&self.cluster) {
                let datum = self.give(draft, &node, namespace, &given.secret, &given.how);
                if let Some(noun) = draft.named(Kind::Node, &node) {
                    noun.add("reads", datum.as_str());
                }
            }
            self.vault(draft, &workload.node, namespace, workload.pod);
        }
    }

    /// Secrets that a driver fetches from a secrets manager and mounts.
    fn vault(&mut self, draft: &mut Draft, node: &str, namespace: &str, pod: &Tree) {
        for volume in pod.items_at(&["volumes"]) {
            if volume.text_at(&["csi", "driver"]) != Some("secrets-store.csi.k8s.io") {
                continue;
            }
            let Some(class) = volume.text_at(&["csi", "volumeAttributes", "secretProviderClass"]) else { continue };
            let found =
                self.cluster.of_kind("*", "SecretProviderClass").find(|o| o.namespace == namespace && o.name == class);
            let provider = found.and_then(|o| o.tree.text_at(&["spec", "provider"])).unwrap_or("unknown").to_owned();
            let zone = self.cluster_zone.clone();
            let datum = draft
                .data(&format!("k8s:provided/{namespace}/{class}"), class)
                .set("class", "secret")
                .name()
                .to_owned();
            let store = draft.node(&format!("k8s:vault/{provider}"), "secrets-manager").set("kind", "store");
            store.guess("zone", zone.as_str(), "where it runs is not in what was read");
            store.guess("auth", "iam", format!("provider {provider} of the secrets store driver"));
            store.guess("at_rest", "kms", "a secrets manager encrypts what it keeps");
            let store = store.add("holds", datum.as_str()).name().to_owned();
            let flow = draft.flow(&format!("k8s:{node}>{store}"), &format!("{node}-{store}"), node, &store);
            flow.add("returns", datum.as_str()).guess_via("tls", "1.2", "secrets managers speak nothing else");
            if let Some(noun) = draft.named(Kind::Node, node) {
                noun.add("reads", datum.as_str());
            }
        }
    }
}

/// How long certificates live whose keys are kept in Secrets: cert-manager renews them.
pub(super) fn certificates(objects: &[Object<'_>]) -> BTreeMap<(String, String), String> {
    let of = |o: &Object<'_>| {
        let secret = o.tree.text_at(&["spec", "secretName"])?;
        let hours = o.tree.text_at(&["spec", "duration"]).and_then(|d| d.split('h').next()?.parse::<u32>().ok());
        let ttl = hours.filter(|h| (1..87_600).contains(h)).map_or_else(|| "90d".to_owned(), |h| format!("{h}h"));
        Some(((o.namespace.to_owned(), secret.to_owned()), ttl))
    };
    let mut all: BTreeMap<(String, String), String> =
        objects.iter().filter(|o| o.kind == "Certificate" && o.group == "cert-manager.io").filter_map(of).collect();
    // An Ingress with an issuer has its certificate made.
    for ingress in objects.iter().filter(|o| o.kind == "Ingress") {
        let issuer = ["cert-manager.io/cluster-issuer", "cert-manager.io/issuer", "kubernetes.io/tls-acme"];
        if issuer.iter().any(|a| ingress.annotation(a).is_some()) {
            for secret in ingress.tree.items_at(&["spec", "tls"]).iter().filter_map(|t| t.text_at(&["secretName"])) {
                all.entry((ingress.namespace.to_owned(), secret.to_owned())).or_insert_with(|| "90d".to_owned());
            }
        }
    }
    all
}
