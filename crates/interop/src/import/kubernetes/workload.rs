//! Workloads: whatever runs pods, with what its pods are told: ports, variables, secrets, settings.
use std::collections::{BTreeSet, HashMap, HashSet};

use model::tree::Tree;

use super::{
    Cluster, image,
    object::{Labels, Object, labels},
};

/// Most ports that a model lets a node serve.
const PORTS_MAX: usize = 60;

/// Something that runs pods.
#[derive(Clone, Debug)]
pub(super) struct Workload<'a> {
    pub(super) object: Object<'a>,
    /// The specification of its pods.
    pub(super) pod: &'a Tree,
    /// The labels of its pods.
    pub(super) labels: Labels<'a>,
    pub(super) annotations: Labels<'a>,
    /// Its name in the model.
    pub(super) node: String,
    /// Ports that its containers listen on.
    pub(super) ports: Vec<Port<'a>>,
    /// The program that keeps data and is what it runs, with the reason to think so.
    pub(super) store: Option<(&'static str, String)>,
    /// Network policies that select its pods, by their places.
    pub(super) policies: Vec<usize>,
}

/// A port of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Port<'a> {
    pub(super) name: Option<&'a str>,
    pub(super) number: u16,
    pub(super) protocol: &'static str,
}

/// What a variable of a container is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// It stands there, or in a ConfigMap.
    Text(String),
    /// It is a key of a Secret.
    Secret(String, String),
    /// It is any key of a Secret, which is not in what was read.
    AnySecret(String),
}

/// A variable of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) value: Value,
    pub(super) place: String,
}

/// A Secret that the pods of a workload are given.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Given {
    /// Its name.
    pub(super) secret: String,
    /// As what: `env DB_PASSWORD`, `a volume`.
    pub(super) how: String,
}

/// The metadata and the specification of the pods of an object.
fn template<'a>(object: &Object<'a>) -> Option<(&'a Tree, &'a Tree)> {
    let path: &[&str] = match (object.group, object.kind) {
        ("", "Pod") => &[],
        ("apps" | "extensions", "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet")
        | ("", "ReplicationController")
        | ("batch", "Job")
        | ("argoproj.io", "Rollout")
        | ("apps.openshift.io", "DeploymentConfig")
        | ("serving.knative.dev", "Service") => &["spec", "template"],
        ("batch", "CronJob") => &["spec", "jobTemplate", "spec", "template"],
        _ => return None,
    };
    let template = object.tree.at(path)?;
    Some((template, template.get("spec")?))
}

/// The workloads among some objects. What another of them made is left away: pods of a ReplicaSet of a Deployment.
pub(super) fn workloads<'a>(objects: &[Object<'a>]) -> Vec<Workload<'a>> {
    let mut all: Vec<Workload<'a>> = Vec::new();
    let mut seen = HashSet::new();
    let owned = |o: &Object<'_>| !o.tree.items_at(&["metadata", "ownerReferences"]).is_empty();
    let (made, mine): (Vec<_>, Vec<_>) =
        objects.iter().filter_map(|o| Some((o, template(o)?))).partition(|(o, _)| owned(o));
    let key = |o: &Object<'a>| (o.kind, o.namespace, o.name);
    let there: HashSet<_> = mine.iter().chain(&made).map(|(o, _)| key(o)).collect();
    for (object, (template, pod)) in mine.into_iter().chain(made) {
        if !seen.insert(key(object)) {
            continue;
        }
        let own = labels(template.at(&["metadata", "labels"]));
        let owners = object.tree.items_at(&["metadata", "ownerReferences"]);
        let by = |o: &Tree| {
            let (kind, name) = (o.text_at(&["kind"]), o.text_at(&["name"]));
            kind.zip(name).is_some_and(|(kind, name)| there.contains(&(kind, object.namespace, name)))
        };
        let same = |w: &Workload<'_>| {
            w.object.namespace == object.namespace && !w.labels.is_empty() && w.labels.iter().all(|l| own.contains(l))
        };
        if !owners.is_empty() && (owners.iter().any(by) || all.iter().any(same)) {
            continue;
        }
        let mut workload = Workload {
            object: *object,
            pod,
            labels: own,
            annotations: labels(template.at(&["metadata", "annotations"])),
            node: String::new(),
            ports: Vec::new(),
            store: None,
            policies: Vec::new(),
        };
        workload.ports = workload.container_ports();
        workload.store = workload.kept();
        all.push(workload);
    }
    name(&mut all);
    all
}

/// Names: their own where one namespace has it, else with the namespace behind.
fn name(all: &mut [Workload<'_>]) {
    let mut count: HashMap<String, usize> = HashMap::new();
    for workload in all.iter() {
        *count.entry(workload.object.name.to_owned()).or_default() += 1;
    }
    for workload in all {
        let (name, namespace) = (workload.object.name, workload.object.namespace);
        workload.node = if count.get(name) > Some(&1) { format!("{name}-{namespace}") } else { name.to_owned() };
    }
}

impl<'a> Workload<'a> {
    /// Its containers, those first that stay.
    pub(super) fn containers(&self) -> impl Iterator<Item = &'a Tree> + use<'a> {
        let of = |key| self.pod.items_at(&[key]).iter();
        of("containers").chain(of("initContainers"))
    }

    /// What it runs.
    pub(super) fn images(&self) -> Vec<&'a str> {
        let main = self.pod.items_at(&["containers"]).iter();
        main.filter_map(|c| c.text_at(&["image"])).collect()
    }

    pub(super) fn account(&self) -> (String, String) {
        let name = self.pod.text_at(&["serviceAccountName"]).or_else(|| self.pod.text_at(&["serviceAccount"]));
        (self.object.namespace.to_owned(), name.unwrap_or("default").to_owned())
    }

    pub(super) fn annotation(&self, key: &str) -> Option<&'a str> {
        self.annotations.iter().find(|(k, _)| *k == key).map(|(_, v)| *v)
    }

    pub(super) fn label(&self, key: &str) -> Option<&'a str> {
        self.labels.iter().find(|(k, _)| *k == key).map(|(_, v)| *v)
    }

    /// Whether its pods have a token for the API server: the pod's word, else the account's, else yes; or a volume that
    /// asks for one.
    pub(super) fn has_token(&self, account: Option<&Object<'_>>) -> bool {
        let of = |tree: &Tree| tree.get("automountServiceAccountToken").and_then(Tree::bool);
        let projected = self.pod.items_at(&["volumes"]).iter().flat_map(|v| v.items_at(&["projected", "sources"]));
        let asked = projected.filter_map(|s| s.get("serviceAccountToken")).any(|t| t.get("audience").is_none());
        asked || of(self.pod).or_else(|| account.and_then(|a| of(a.tree))).unwrap_or(true)
    }

    fn container_ports(&self) -> Vec<Port<'a>> {
        let mut all: Vec<Port<'a>> = Vec::new();
        for port in self.containers().flat_map(|c| c.items_at(&["ports"])) {
            let number = port.get("containerPort").and_then(Tree::number).and_then(|n| u16::try_from(n).ok());
            let Some(number) = number.filter(|n| *n > 0) else { continue };
            let stream = port.text_at(&["protocol"]).is_none_or(|p| p == "TCP");
            if stream && all.len() < PORTS_MAX && !all.iter().any(|p| p.number == number) {
                let name = port.text_at(&["name"]);
                all.push(Port { name, number, protocol: image::protocol(name, number) });
            }
        }
        all
    }

    fn kept(&self) -> Option<(&'static str, String)> {
        if matches!(self.object.kind, "Job" | "CronJob" | "DaemonSet") {
            return None;
        }
        let images = self.images();
        let by_image =
            images.first().and_then(|i| Some((image::store(i)?, format!("its image is {}", image::name(i)))));
        let beside = images.iter().any(|i| image::is_beside(i)) || image::is_beside(self.object.name);
        let port = || {
            let all: Vec<_> =
                self.ports.iter().filter_map(|p| Some((p.number, image::store_port(p.number)?))).collect();
            let (number, name) = *all.first().filter(|_| all.len() == self.ports.len() && !beside)?;
            Some((name, format!("it serves {number} only, the port of {name}")))
        };
        by_image.or_else(port)
    }

    /// Adds a port that others call it at.
    pub(super) fn serve(&mut self, number: u16, said: Option<&str>) {
        if self.ports.len() < PORTS_MAX && !self.ports.iter().any(|p| p.number == number) {
            self.ports.push(Port { name: None, number, protocol: image::protocol(said, number) });
        }
    }

    /// The variables of a container, in the order in which they are set.
    pub(super) fn variables(&self, cluster: &Cluster<'a>, container: &'a Tree) -> Vec<Variable> {
        let namespace = self.object.namespace;
        let mut all = Vec::new();
        for from in container.items_at(&["envFrom"]) {
            let prefix = from.text_at(&["prefix"]).unwrap_or_default();
            let place = self.object.place_of(from);
            if let Some(map) = from.text_at(&["configMapRef", "name"]).and_then(|n| cluster.config(namespace, n)) {
                all.extend(map.iter().filter_map(|(key, value)| {
                    let value = Value::Text(value.text()?.to_owned());
                    Some(Variable { name: format!("{prefix}{key}"), value, place: place.clone() })
                }));
            }
            if let Some(secret) = from.text_at(&["secretRef", "name"]) {
                let keys = cluster.secret_keys(namespace, secret);
                if keys.is_empty() {
                    let (name, value) = (prefix.to_owned(), Value::AnySecret(secret.to_owned()));
                    all.push(Variable { name, value, place: place.clone() });
                }
                all.extend(keys.into_iter().map(|key| {
                    let value = Value::Secret(secret.to_owned(), key.to_owned());
                    Variable { name: format!("{prefix}{key}"), value, place: place.clone() }
                }));
            }
        }
        for env in container.items_at(&["env"]) {
            let Some(name) = env.text_at(&["name"]) else { continue };
            let reference = |of: &str| {
                let of = env.at(&["valueFrom", of])?;
                Some((of.text_at(&["name"])?, of.text_at(&["key"])?))
            };
            let value = if let Some(text) = env.text_at(&["value"]) {
                Value::Text(expand(text, &all))
            } else if let Some((secret, key)) = reference("secretKeyRef") {
                Value::Secret(secret.to_owned(), key.to_owned())
            } else if let Some((map, key)) = reference("configMapKeyRef") {
                let found = cluster.config(namespace, map).and_then(|m| m.iter().find(|(k, _)| k == key));
                let Some(text) = found.and_then(|(_, v)| v.text()) else { continue };
                Value::Text(text.to_owned())
            } else {
                continue;
            };
            all.push(Variable { name: name.to_owned(), value, place: self.object.place_of(env) });
        }
        all
    }

    /// Every Secret that its pods are given, and how.
    pub(super) fn secrets(&self, cluster: &Cluster<'a>) -> BTreeSet<Given> {
        let mut all = BTreeSet::new();
        let mut put = |secret: &str, how: String| {
            if !secret.is_empty() {
                all.insert(Given { secret: secret.to_owned(), how });
            }
        };
        for variable in self.containers().flat_map(|c| self.variables(cluster, c)) {
            match &variable.value {
                Value::Secret(secret, _) => put(secret, format!("variable {}", variable.name)),
                Value::AnySecret(secret) => put(secret, "variables".to_owned()),
                Value::Text(_) => {}
            }
        }
        for volume in self.pod.items_at(&["volumes"]) {
            let projected =
                volume.items_at(&["projected", "sources"]).iter().filter_map(|s| s.text_at(&["secret", "name"]));
            let whole = volume.text_at(&["secret", "secretName"]);
            let driver = volume.text_at(&["csi", "nodePublishSecretRef", "name"]);
            for secret in whole.into_iter().chain(projected).chain(driver) {
                put(secret, "a volume".to_owned());
            }
        }
        all
    }

    /// ConfigMaps that are mounted as files.
    pub(super) fn mounted(&self) -> impl Iterator<Item = &'a str> {
        self.pod.items_at(&["volumes"]).iter().flat_map(|volume| {
            let sources = volume.items_at(&["projected", "sources"]).iter();
            let projected = sources.filter_map(|s| s.text_at(&["configMap", "name"]));
            volume.text_at(&["configMap", "name"]).into_iter().chain(projected)
        })
    }
}

/// Longest value that variables in it are put into.
const EXPANDED_MAX: usize = 4_096;

/// `$(NAME)` of variables that were set before. Those of secrets stay.
fn expand(text: &str, before: &[Variable]) -> String {
    let mut text = text.to_owned();
    for variable in before.iter().rev() {
        if let Value::Text(value) = &variable.value {
            let name = format!("$({})", variable.name);
            if text.contains(&name) && text.len() + value.len() < EXPANDED_MAX {
                text = text.replacen(&name, value, 1);
            }
        }
    }
    text
}
