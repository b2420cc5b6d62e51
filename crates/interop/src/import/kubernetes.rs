//! Kubernetes manifests: workloads, who calls whom, who may connect to whom, what comes in from outside, which secrets are given
//! to whom, and what each service account has the power to do.
//!
//! What a manifest states is written; what it only suggests is guessed, with the reason. Values of Secrets are looked into for
//! addresses of what was read, and are never written.
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde_json::json;

use super::{Document, ImportError};
use crate::draft::{Draft, Kind, Noun};

mod account;
mod address;
mod calls;
mod cluster;
mod entry;
mod image;
mod joined;
mod machine;
mod mesh;
mod object;
mod policy;
mod power;
mod rbac;
mod secret;
mod service;
mod workload;

use cluster::Cluster;
use mesh::Mesh;
use policy::Way;
use power::Held;
use secret::Keeping;

/// Most flows that network policies are drawn as. More of them say that everything may talk to everything.
const POLICY_FLOWS_MAX: usize = 2_000;

/// A cluster on its way into a draft.
struct Modelling<'a> {
    cluster: Cluster<'a>,
    keeping: Keeping,
    /// The zone of the cluster.
    cluster_zone: String,
    /// The zone that namespaces lie in.
    around: String,
    /// Names that workloads and namespaces have.
    taken: HashSet<String>,
    /// Names that service accounts of more than one namespace have.
    several_accounts: HashSet<String>,
    /// How long certificates in Secrets live.
    certificates: BTreeMap<(String, String), String>,
}

/// The first line of a text that only a template of Helm's has, where it is one of a manifest.
pub(super) fn template_line(text: &str) -> Option<usize> {
    let marked = |line: &str| line.split("{{").skip(1).any(|rest| rest.contains("}}"));
    let line = text.lines().position(marked)?;
    text.contains("apiVersion").then_some(line + 1)
}

/// Why a template is not read, and what to do.
pub(super) const TEMPLATE: &str =
    "this is a Helm template: render it first, as in `helm template RELEASE CHART > rendered.yaml`, and import that";

/// Reads manifests into a draft.
///
/// # Errors
/// There is nothing but Kustomize's own files: they must be built first.
pub fn read(documents: &[Document<'_>], draft: &mut Draft) -> Result<(), ImportError> {
    let cluster = Cluster::new(documents);
    let built = |group: &str| group == "kustomize.config.k8s.io";
    if let Some(first) = cluster.objects.first().filter(|_| cluster.objects.iter().all(|o| built(o.group))) {
        let why = "this says how manifests are built: build them first, as in `kubectl kustomize DIR > built.yaml`, and import that";
        return Err(ImportError::Refused { place: first.place(), why: why.to_owned() });
    }
    let mut seen = HashSet::new();
    let several = cluster.objects.iter().filter(|o| o.kind == "ServiceAccount" && !seen.insert(o.name));
    let several: HashSet<String> = several.map(|o| o.name.to_owned()).collect();
    let held = Held::new(&cluster);
    let escapes = cluster.workloads.iter().any(|w| !machine::escapes(w).is_empty());
    let mut taken: HashSet<String> = cluster.workloads.iter().map(|w| w.node.clone()).collect();
    taken.extend(cluster.workloads.iter().map(|w| w.object.namespace.to_owned()));
    let mut spaces: Vec<&str> = cluster.workloads.iter().map(|w| w.object.namespace).collect();
    spaces.dedup();
    if let ([one], Some(_)) = (spaces.as_slice(), spaces.first().filter(|s| **s != "default")) {
        draft.title(one);
    }
    // A cluster is beside it, whether or not anything is let in.
    draft.internet();
    joined::cluster(&cluster, draft);
    let cluster_zone = draft.zone("k8s:cluster", "cluster").name().to_owned();
    let around = match escapes {
        true => {
            let zone = draft.zone("k8s:machines", "machines").set("in", cluster_zone.as_str());
            zone.comment("what runs on the machines of the cluster: whoever controls those controls it")
                .name()
                .to_owned()
        }
        false => cluster_zone.clone(),
    };
    let certificates = secret::certificates(&cluster.objects);
    let mut modelling = Modelling {
        cluster,
        keeping: Keeping::default(),
        cluster_zone,
        around,
        taken,
        several_accounts: several,
        certificates,
    };
    modelling.keeping = modelling.keeping(held.readable());
    joined::keeping(&mut modelling.keeping, draft);
    modelling.balancer(draft);
    modelling.nodes(draft);
    modelling.secrets(draft);
    modelling.passwords(draft);
    modelling.powers(draft, &held);
    modelling.machines(draft);
    modelling.entries(draft);
    modelling.calls(draft);
    modelling.policies(draft);
    modelling.travel(draft);
    modelling.tell(draft);
    Ok(())
}

impl Modelling<'_> {
    /// The zone of a namespace. Its name.
    fn namespace_zone(&self, draft: &mut Draft, namespace: &str) -> String {
        // A workload keeps its name; names are unique over all nouns.
        let same = self.cluster.workloads.iter().any(|w| w.node == namespace);
        let wanted = if same { format!("{namespace}-namespace") } else { namespace.to_owned() };
        let zone = draft.zone(&format!("k8s:ns/{namespace}"), &wanted).set("in", self.around.as_str());
        zone.name().to_owned()
    }

    /// A zone for each namespace, a node for each workload.
    fn nodes(&mut self, draft: &mut Draft) {
        let spaces: BTreeSet<&str> = self.cluster.workloads.iter().map(|w| w.object.namespace).collect();
        for namespace in &spaces {
            let zone = self.namespace_zone(draft, namespace);
            let here = || self.cluster.workloads.iter().filter(|w| w.object.namespace == *namespace);
            let open = here().filter(|w| !self.cluster.is_isolated(w, Way::In)).count();
            let all = here().count();
            let Some(noun) = draft.named(Kind::Zone, &zone) else { continue };
            if open == all {
                noun.comment("no NetworkPolicy is about who connects to pods here: every pod of the cluster may");
            } else if open > 0 {
                noun.comment(format!("every pod of the cluster may connect to {open} of {all} workloads here: no NetworkPolicy is about them"));
            }
        }
        let storage = self.storage();
        for at in 0..self.cluster.workloads.len() {
            let Some(workload) = self.cluster.workloads.get(at).cloned() else { continue };
            let zone = self.namespace_zone(draft, workload.object.namespace);
            let key = format!("k8s:{}/{}/{}", workload.object.kind, workload.object.namespace, workload.object.name);
            let broad = self.cluster.broad(&workload);
            let node = draft.node(&key, &workload.node);
            match &workload.store {
                Some((_, why)) => node.guess("kind", "store", why.as_str()),
                None => node.set("kind", "service"),
            };
            node.set("zone", zone.as_str());
            let namespace = workload.object.namespace;
            // What is no label is no namespace that any cluster has.
            if zone != namespace && model::Name::try_from(namespace.to_owned()).is_ok() {
                node.set("namespace", namespace);
            }
            for port in &workload.ports {
                node.add("serves", json!({ "port": port.number, "protocol": port.protocol }));
            }
            let mut title = format!("{} at {}", workload.object.title(), workload.object.place());
            let names: Vec<&str> =
                workload.pod.items_at(&["containers"]).iter().filter_map(|c| c.text_at(&["name"])).collect();
            if names.len() > 1 {
                title = format!("{title}, containers {}", names.join(", "));
            }
            node.comment(title);
            for shared in machine::shares(&workload) {
                node.comment(shared);
            }
            if !broad.is_empty() {
                node.comment(format!("{} lets whole namespaces connect to it", broad.join(", ")));
            }
            let name = node.name().to_owned();
            // The draft may have had to choose another name.
            if let Some(workload) = self.cluster.workloads.get_mut(at) {
                workload.node = name.clone();
            }
            let open = !workload.ports.is_empty() && !self.cluster.is_isolated(&workload, Way::In);
            if let Some(node) = draft.named(Kind::Node, &name).filter(|_| open) {
                node.add("exposed_to", self.cluster_zone.as_str());
            }
            if workload.store.is_some() {
                if let Some(node) = draft.named(Kind::Node, &name) {
                    let claims = workload.object.tree.items_at(&["spec", "volumeClaimTemplates"]).iter();
                    let classes: Vec<&str> =
                        claims.map(|c| c.text_at(&["spec", "storageClassName"]).unwrap_or_default()).collect();
                    match classes.first().and_then(|c| storage.get(*c)) {
                        Some((word, None)) => _ = node.set("at_rest", *word),
                        Some((word, Some(why))) => _ = node.guess("at_rest", *word, why.as_str()),
                        None => {}
                    }
                }
                self.kept_by(draft, &name);
            }
        }
        for service in &self.cluster.services {
            let names = [
                service.object.name.to_owned(),
                format!("{}.{}", service.object.name, service.object.namespace),
                format!("{}.{}.svc", service.object.name, service.object.namespace),
                format!("{}.{}.svc.cluster.local", service.object.name, service.object.namespace),
            ];
            for target in service.targets.iter().filter_map(|t| self.cluster.workloads.get(*t)) {
                for name in &names {
                    draft.answers(&target.node, name, None);
                }
            }
        }
    }

    /// Storage classes that encrypt: how, and why where it is a guess. The empty name is the default class.
    fn storage(&self) -> HashMap<String, (&'static str, Option<String>)> {
        let mut all = HashMap::new();
        for object in self.cluster.of_kind("storage.k8s.io", "StorageClass") {
            let of = |key: &str| object.tree.text_at(&["parameters", key]);
            let provisioner = object.tree.text_at(&["provisioner"]).unwrap_or_default();
            let keys = ["kmsKeyId", "disk-encryption-kms-key", "diskEncryptionSetID"];
            let found = if keys.iter().any(|k| of(k).is_some()) {
                ("kms", None)
            } else if of("encrypted") == Some("true") {
                ("volume", None)
            } else if matches!(
                provisioner,
                "pd.csi.storage.gke.io" | "kubernetes.io/gce-pd" | "disk.csi.azure.com" | "kubernetes.io/azure-disk"
            ) {
                ("volume", Some(format!("{provisioner}: this cloud encrypts every disk")))
            } else {
                continue;
            };
            if object.annotation("storageclass.kubernetes.io/is-default-class") == Some("true") {
                all.insert(String::new(), found.clone());
            }
            all.insert(object.name.to_owned(), found);
        }
        all
    }

    /// What a store keeps: one datum, as nothing says more. Its name.
    fn kept_by(&self, draft: &mut Draft, store: &str) -> String {
        let datum = draft.data(&format!("k8s:data/{store}"), &format!("{store}-data"));
        datum.guess("class", "internal", "nothing says what it keeps: write what it is, and its class");
        let datum = datum.name().to_owned();
        if let Some(node) = draft.named(Kind::Node, store) {
            node.add("holds", datum.as_str());
        }
        datum
    }

    fn read_by(&self, draft: &mut Draft, node: &str, datum: &str) {
        if let Some(node) = draft.named(Kind::Node, node) {
            node.guess_add("reads", datum, format!("{datum}: it calls what keeps it"));
        }
    }

    /// What is asked of services: one datum, as nothing says more. Its name.
    fn requests(&self, draft: &mut Draft) -> String {
        let datum = draft.data("requests", "requests");
        datum.guess("class", "internal", "manifests do not say what moves: write what it is, and its class");
        datum.name().to_owned()
    }

    /// The flow from a node, which may be a workload, to a workload. Its name.
    fn connect(
        &self,
        draft: &mut Draft,
        from: (&str, Option<usize>),
        to: usize,
        port: Option<u16>,
        why: &str,
    ) -> String {
        let Some(target) = self.cluster.workloads.get(to) else { return String::new() };
        let key = format!("k8s:{}>{}", from.0, target.node);
        let datum = match target.store {
            Some(_) => self.kept_by(draft, &target.node),
            None => self.requests(draft),
        };
        if target.store.is_some() {
            self.read_by(draft, from.0, &datum);
        }
        draft.alias(Kind::Flow, &format!("terraform:{}>{}", from.0, target.node), &key);
        let flow = draft.flow(&key, &format!("{}-{}", from.0, target.node), from.0, &target.node);
        flow.add("carries", datum.as_str()).comment(why);
        flow.add("returns", datum.as_str());
        if let Some(port) = port.filter(|p| target.ports.len() > 1 && target.ports.iter().any(|o| o.number == *p)) {
            flow.via("port", port);
        }
        let source = from.1.and_then(|at| self.cluster.workloads.get(at));
        match source.map_or(Mesh::None, |s| self.cluster.mesh(s, target, port)) {
            Mesh::Strict => _ = flow.via("mtls", true),
            Mesh::Permissive => {
                _ = flow.guess_via(
                    "tls",
                    "1.2",
                    "both are in the mesh, which encrypts; the target takes plain text from others",
                );
            }
            Mesh::None => {}
        }
        flow.name().to_owned()
    }

    /// The machines, where somebody in a pod controls them.
    fn machines(&mut self, draft: &mut Draft) {
        for workload in self.cluster.workloads.clone() {
            let why = machine::escapes(&workload);
            if why.is_empty() {
                continue;
            }
            let zone = self.around.clone();
            let machines =
                draft.node("k8s:node/machines", "k8s-machines").set("kind", "service").set("zone", zone.as_str());
            machines.set("privilege", "admin").add("exposed_to", zone.as_str());
            machines.comment("the machines that pods run on: whoever is root there has what every pod there has");
            let machines = machines.name().to_owned();
            let datum = draft.data(&format!("k8s:escape/{}", workload.node), &format!("{}-host-access", workload.node));
            datum.set("class", "secret").add("opens", machines.as_str()).comment(why.join(", "));
            datum.guess("ttl", "1h", "it is no key that can be carried away: it ends with the pod");
            let datum = datum.name().to_owned();
            power::hold(draft, &workload.node, &datum);
            if workload.object.kind == "DaemonSet" {
                let state = draft.data("k8s:machine-data", "machine-data");
                state.guess("class", "internal", "what machines tell of themselves");
                let state = state.name().to_owned();
                power::hold(draft, &machines, &state);
                let key = format!("k8s:{}>{machines}", workload.node);
                let flow = draft.flow(&key, &format!("{}-{machines}", workload.node), &workload.node, &machines);
                flow.add("returns", state.as_str())
                    .via("local", true)
                    .comment("a DaemonSet works on the machines: that is what it is for");
            }
        }
    }

    /// Connections that network policies name: flows.
    fn policies(&mut self, draft: &mut Draft) {
        let mut drawn = 0_usize;
        let all = self.cluster.workloads.len();
        for to in 0..all {
            for from in (0..all).filter(|from| *from != to) {
                let (Some(source), Some(target)) = (self.cluster.workloads.get(from), self.cluster.workloads.get(to))
                else {
                    continue;
                };
                if source.policies.is_empty() && target.policies.is_empty() {
                    continue;
                }
                let Some((policy, port)) = self.cluster.needs(source, target) else { continue };
                if drawn == POLICY_FLOWS_MAX {
                    let why = format!("they allow more than {POLICY_FLOWS_MAX} connections, which are not all drawn");
                    draft.left_out(policy.object.place(), "NetworkPolicies", why);
                    return;
                }
                drawn += 1;
                let (node, why) = (source.node.clone(), format!("{} lets it", policy.object.title()));
                self.connect(draft, (&node, Some(from)), to, port, &why);
            }
        }
    }

    /// How flows travel of which nothing says it. What moves there is a guess, and of two guesses no finding is made; of a
    /// secret it is none.
    fn travel(&self, draft: &mut Draft) {
        let ours: HashSet<&str> = self.cluster.workloads.iter().map(|w| w.node.as_str()).collect();
        let secrets = draft.all(Kind::Data).iter().filter(|d| d.text("class") == Some("secret"));
        let secrets: HashSet<String> = secrets.map(|d| d.name().to_owned()).collect();
        let unsaid = |flow: &&Noun| {
            let moves = flow.list("carries").chain(flow.list("returns")).any(|d| secrets.contains(d));
            let said = ["tls", "mtls", "ssh", "local"].iter().any(|w| flow.said(w).is_some());
            !moves && !said && flow.text("to").is_some_and(|to| ours.contains(to))
        };
        let names: Vec<String> = draft.all(Kind::Flow).iter().filter(unsaid).map(|f| f.name().to_owned()).collect();
        for name in names {
            if let Some(flow) = draft.named(Kind::Flow, &name) {
                flow.guess_via(
                    "tls",
                    "1.2",
                    "nothing says how it travels: look; without a mesh pods send what programs send",
                );
            }
        }
    }

    /// What was seen and is not in the model.
    fn tell(&self, draft: &mut Draft) {
        let mut unknown: BTreeMap<(&str, &str), (usize, String)> = BTreeMap::new();
        for object in &self.cluster.objects {
            match (object.group, object.kind) {
                ("security.istio.io", kind) => {
                    let why = "Ward reads it as it is: put it into a file beside ward.yaml";
                    draft.left_out(object.place(), format!("{kind} {}/{}", object.namespace, object.name), why);
                }
                ("bitnami.com", "SealedSecret") | ("external-secrets.io", "ExternalSecret") => {}
                ("kustomize.config.k8s.io", kind) => {
                    let why = "what it builds is not in it: build it first, as in `kubectl kustomize DIR`";
                    draft.left_out(object.place(), kind, why);
                }
                (group, kind) if is_known(group, kind) => {}
                (group, kind) => {
                    let entry = unknown.entry((group, kind)).or_insert_with(|| (0, object.place()));
                    entry.0 += 1;
                }
            }
        }
        for ((group, kind), (count, place)) in unknown {
            let what = if group.is_empty() { kind.to_owned() } else { format!("{kind} of {group}") };
            draft.left_out(place, format!("{count} {what}"), "a kind that says nothing Ward knows of");
        }
        for workload in &self.cluster.workloads {
            let init = workload.pod.items_at(&["initContainers"]);
            // From 1.29 on a sidecar is one that restarts always.
            let sidecars = init.iter().filter(|c| c.text_at(&["restartPolicy"]) == Some("Always"));
            for name in sidecars.filter_map(|c| c.text_at(&["name"])) {
                draft.left_out(
                    workload.object.place(),
                    format!("{}: sidecar {name}", workload.object.title()),
                    "it is part of its node",
                );
            }
        }
    }
}

/// Kinds that are read, or that say nothing about data, trust or power.
fn is_known(group: &str, kind: &str) -> bool {
    const READ: &[&str] = &[
        "Pod",
        "Deployment",
        "StatefulSet",
        "DaemonSet",
        "ReplicaSet",
        "ReplicationController",
        "Job",
        "CronJob",
        "Rollout",
        "DeploymentConfig",
        "Service",
        "Ingress",
        "IngressClass",
        "NetworkPolicy",
        "Namespace",
        "ServiceAccount",
        "Secret",
        "ConfigMap",
        "Role",
        "ClusterRole",
        "RoleBinding",
        "ClusterRoleBinding",
        "StorageClass",
        "EncryptionConfiguration",
        "Gateway",
        "GatewayClass",
        "HTTPRoute",
        "GRPCRoute",
        "TLSRoute",
        "TCPRoute",
        "Route",
        "VirtualService",
        "SecretProviderClass",
        "Certificate",
        "Issuer",
        "ClusterIssuer",
        "SecretStore",
        "ClusterSecretStore",
        "SealedSecret",
        "ExternalSecret",
        "ReferenceGrant",
        "TargetGroupBinding",
    ];
    const SILENT: &[&str] = &[
        "PodDisruptionBudget",
        "HorizontalPodAutoscaler",
        "VerticalPodAutoscaler",
        "PersistentVolumeClaim",
        "PersistentVolume",
        "ResourceQuota",
        "LimitRange",
        "PriorityClass",
        "Endpoints",
        "EndpointSlice",
        "Event",
        "Node",
        "Lease",
        "ControllerRevision",
        "CustomResourceDefinition",
        "ValidatingWebhookConfiguration",
        "MutatingWebhookConfiguration",
        "APIService",
        "RuntimeClass",
        "PodSecurityPolicy",
        "CSIDriver",
        "CSINode",
        "VolumeAttachment",
        "ServiceMonitor",
        "PodMonitor",
        "PrometheusRule",
        "DestinationRule",
        "FlowSchema",
        "PriorityLevelConfiguration",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
    ];
    READ.contains(&kind)
        || SILENT.contains(&kind)
        || group == "audit.k8s.io"
        || group == "rbac.authorization.k8s.io" && kind.ends_with("List")
}

#[cfg(test)]
mod tests;
