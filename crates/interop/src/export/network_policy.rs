//! A model as NetworkPolicies of Kubernetes (`networking.k8s.io/v1`): which pod may open a connection to which, and at which
//! ports. They know addresses and no identities, methods or paths: what else a flow says is not expressed.
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use model::{Flow, Name, Node, NodeKind, Trust};
use serde::{Deserialize, Serialize};

use super::{
    ExportError, Exported, Note,
    cluster::{Cluster, flow_notes, standby_notes},
};

/// The port on which sidecars meet, of Ward and of Istio's ambient mode.
pub const MESH_PORT: u16 = 15008;
/// The label that every namespace has, with its name.
const NAMESPACE_LABEL: &str = "kubernetes.io/metadata.name";
/// Addresses that are nobody's in the internet (RFC 1918, 6598, 3927), those of clusters and of metadata services.
const PRIVATE: [&str; 5] = ["10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"];
/// The same of IPv6 (RFC 4193, 4291).
const PRIVATE_V6: [&str; 2] = ["fc00::/7", "fe80::/10"];

/// `networking.k8s.io/v1` NetworkPolicy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NetworkPolicy {
    /// `networking.k8s.io/v1`.
    pub api_version: String,
    /// `NetworkPolicy`.
    pub kind: String,
    /// Name and namespace.
    pub metadata: Metadata,
    /// What it says.
    pub spec: Spec,
}

/// Name, namespace and labels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// Name.
    pub name: String,
    /// Namespace.
    pub namespace: String,
    /// Labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// What a policy says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Spec {
    /// Which pods of its namespace; an empty selector is all.
    pub pod_selector: LabelSelector,
    /// Ingress, Egress: the directions in which nothing passes but what is listed.
    pub policy_types: Vec<String>,
    /// Who may connect.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ingress: Vec<Ingress>,
    /// Where to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub egress: Vec<Egress>,
}

/// Labels that must all be equal.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LabelSelector {
    /// Key and value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: BTreeMap<String, String>,
}

/// Connections from any of these peers to any of these ports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ingress {
    /// Peers.
    pub from: Vec<Peer>,
    /// Ports of the selected pods.
    pub ports: Vec<Port>,
}

/// Connections to any of these peers and ports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Egress {
    /// Peers.
    pub to: Vec<Peer>,
    /// Their ports.
    pub ports: Vec<Port>,
}

/// Pods of namespaces, or addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Peer {
    /// Which namespaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
    /// Which pods in them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_selector: Option<LabelSelector>,
    /// Which addresses; alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_block: Option<IpBlock>,
}

/// A range of addresses.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IpBlock {
    /// The range.
    pub cidr: String,
    /// What of it is not meant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<String>,
}

/// A port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Port {
    /// TCP or UDP.
    pub protocol: String,
    /// 1 to 65535.
    pub port: u16,
}

/// The ports on which pods of the cluster meet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Between {
    /// Those that applications serve: no mesh, or one whose sidecars keep ports, as Istio's do.
    #[default]
    Applications,
    /// The mesh's own.
    Mesh,
}

/// Somewhere that every workload may connect to, beside what flows say: the control plane of a mesh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Every pod of this namespace.
    pub namespace: Name,
    /// At this port.
    pub port: u16,
}

/// The documents by which Kubernetes lets through what the flows say. `label` is the key of the label that holds a pod's
/// node.
///
/// # Errors
/// The label is none.
pub fn export(cluster: &Cluster, label: &str, between: Between, reach: &[Reach]) -> Result<Exported, ExportError> {
    if !super::istio::is_label_key(label) {
        return Err(ExportError::Label(label.to_owned()));
    }
    let mut touching: BTreeMap<&Name, Vec<&Flow>> = BTreeMap::new();
    for flow in cluster.model.flows.iter().filter(|flow| !flow.standby) {
        touching.entry(&flow.from).or_default().push(flow);
        if flow.to != flow.from {
            touching.entry(&flow.to).or_default().push(flow);
        }
    }
    let mut exporter = Exporter { cluster, label, between, touching, out: Exported::default() };
    for note in cluster.notes.iter().cloned().chain(standby_notes(&cluster.model)) {
        exporter.out.note(note);
    }
    exporter.head(reach);
    for namespace in cluster.namespaces() {
        exporter.namespace(namespace)?;
        exporter.reach(namespace, reach)?;
    }
    for (name, node) in cluster.workloads() {
        exporter.workload(name, node)?;
    }
    Ok(exporter.out)
}

struct Exporter<'a> {
    cluster: &'a Cluster,
    label: &'a str,
    between: Between,
    /// Flows that are not on standby, by both their ends.
    touching: BTreeMap<&'a Name, Vec<&'a Flow>>,
    out: Exported,
}

impl Exporter<'_> {
    fn head(&mut self, reach: &[Reach]) {
        let head = &mut self.out.head;
        head.push(format!("The flows of the model {} as NetworkPolicies. Written by `ward export network-policy`; change the model, and", self.cluster.model.name));
        head.push("export again. They hold where the cluster's network enforces them, and know addresses alone: not who calls, nor".to_owned());
        head.push("what is asked (`allow`, `jwt`), which `ward export istio` says.".to_owned());
        head.push(String::new());
        head.push(format!("Each workload is a pod with the label {}=<its name>. Nothing else may be said in these namespaces than what", self.label));
        head.push("stands here: policies add up, and a further one only ever lets more through.".to_owned());
        if self.between == Between::Mesh {
            head.push(String::new());
            head.push(format!("Pods meet on port {MESH_PORT}, the mesh's own."));
        }
        if reach.is_empty() {
            head.push(String::new());
            head.push(
                "Sidecars must reach their control plane too, which is none of the model's: --reach istio-system:15012"
                    .to_owned(),
            );
            head.push(
                "lets them, where there are any. So must whoever scrapes metrics, by a policy of your own.".to_owned(),
            );
        }
        let words = self.cluster.model.flows.iter().any(|flow| flow.via.allow.is_some() || flow.via.jwt.is_some());
        if words {
            let why = "a NetworkPolicy knows addresses and ports alone: use `ward export istio` beside it";
            self.out.note(Note::new("flows", "allow, jwt and identities", why));
        }
    }

    /// Nothing passes in a namespace, but the question where a name is.
    fn namespace(&mut self, namespace: &Name) -> Result<(), ExportError> {
        let comments =
            vec![format!("nothing passes to or from any pod of {namespace}, but what the policies below let through")];
        self.add(
            "ward-default-deny",
            namespace,
            comments,
            Spec {
                pod_selector: LabelSelector::default(),
                policy_types: both(),
                ingress: Vec::new(),
                egress: Vec::new(),
            },
        )?;
        let comments = vec![
            "names: every pod may ask the cluster's DNS. With a cache on each node (169.254.20.10) add an ipBlock for it".to_owned(),
        ];
        let dns = Peer {
            namespace_selector: Some(labelled(NAMESPACE_LABEL, "kube-system")),
            pod_selector: Some(labelled("k8s-app", "kube-dns")),
            ip_block: None,
        };
        let ports = ["UDP", "TCP"].map(|protocol| Port { protocol: protocol.to_owned(), port: 53 });
        self.add(
            "ward-dns",
            namespace,
            comments,
            Spec {
                pod_selector: LabelSelector::default(),
                policy_types: vec!["Egress".to_owned()],
                ingress: Vec::new(),
                egress: vec![Egress { to: vec![dns], ports: ports.into() }],
            },
        )
    }

    /// What the caller lets every workload reach.
    fn reach(&mut self, namespace: &Name, reach: &[Reach]) -> Result<(), ExportError> {
        if reach.is_empty() {
            return Ok(());
        }
        let egress = reach.iter().map(|one| Egress {
            to: vec![Peer {
                namespace_selector: Some(labelled(NAMESPACE_LABEL, one.namespace.as_str())),
                ..Peer::default()
            }],
            ports: tcp(&[one.port].into()),
        });
        let spec = Spec {
            pod_selector: LabelSelector::default(),
            policy_types: vec!["Egress".to_owned()],
            ingress: Vec::new(),
            egress: egress.collect(),
        };
        self.add("ward-reach", namespace, vec!["asked for with --reach".to_owned()], spec)
    }

    fn workload(&mut self, name: &Name, node: &Node) -> Result<(), ExportError> {
        let mut comments = Vec::new();
        let (mut ingress, mut egress) = (Rules::default(), Rules::default());
        for flow in self.touching.get(name).cloned().unwrap_or_default() {
            if flow.to == *name {
                comments.push(format!("from {}: flow {}", flow.from, flow.id));
                for note in flow_notes(flow) {
                    self.out.note(note);
                }
                let peers = self.callers(flow);
                self.rule(flow, peers, &mut ingress, &mut comments);
            }
            if flow.from == *name {
                comments.push(format!("to {}: flow {}", flow.to, flow.id));
                let peers = self.called(flow, &mut comments);
                self.rule(flow, peers, &mut egress, &mut comments);
            }
        }
        let exposed: Vec<&str> =
            node.exposed_to.iter().filter(|zone| !self.called_from(name, zone)).map(Name::as_str).collect();
        if !exposed.is_empty() {
            let note = Note::new(
                format!("node {name}"),
                format!("exposed_to: {}", exposed.join(", ")),
                "no flow comes from there, so its ports stay shut",
            );
            comments.push(note.comment());
            self.out.note(note);
        }
        self.add(
            &format!("flows-{name}"),
            &node.namespace,
            comments,
            Spec {
                pod_selector: labelled(self.label, name.as_str()),
                policy_types: both(),
                ingress: ingress.0.into_iter().map(|(from, ports)| Ingress { from, ports: tcp(&ports) }).collect(),
                egress: egress.0.into_iter().map(|(to, ports)| Egress { to, ports: tcp(&ports) }).collect(),
            },
        )
    }

    /// Whether a flow into the node comes from a zone, or one inside it.
    fn called_from(&self, node: &Name, zone: &Name) -> bool {
        let model = &self.cluster.model;
        let around = |zone| std::iter::successors(Some(zone), |at| model.zones.get(*at)?.parent.as_ref());
        let mut flows = self.touching.get(node).into_iter().flatten().filter(|flow| flow.to == *node);
        flows.any(|flow| {
            let from = model.nodes.get(&flow.from);
            from.is_some_and(|from| around(&from.zone).take(model.zones.len()).any(|at| at == zone))
        })
    }

    /// Who comes by a flow.
    fn callers(&self, flow: &Flow) -> Vec<Peer> {
        match self.pod(&flow.from) {
            Some(peer) => vec![peer],
            // A load balancer may put its own address in the place of the caller's, so that private ones are meant too.
            None => everywhere(false),
        }
    }

    /// Where a flow goes.
    fn called(&mut self, flow: &Flow, comments: &mut Vec<String>) -> Vec<Peer> {
        if let Some(peer) = self.pod(&flow.to) {
            return vec![peer];
        }
        let model = &self.cluster.model;
        let Some(target) = model.nodes.get(&flow.to) else { return Vec::new() };
        let hosts: Vec<&str> = target.endpoints.iter().map(|endpoint| endpoint_parts(endpoint).0).collect();
        let addresses: Vec<IpAddr> = hosts.iter().filter_map(|host| host.parse().ok()).collect();
        if !addresses.is_empty() && addresses.len() == hosts.len() {
            let whole = |address: &IpAddr| if address.is_ipv4() { 32 } else { 128 };
            return addresses.iter().map(|address| block(format!("{address}/{}", whole(address)), &[])).collect();
        }
        let internet = model.zones.get(&target.zone).is_some_and(|zone| zone.trust == Trust::None);
        let what = format!("where {} is", flow.to);
        let why = match internet {
            true => "any address of the internet is let through",
            false => "any address is let through, as it may be in a private network: narrow it to the ones it has",
        };
        let note = Note::new(format!("flow {}", flow.id), what, why);
        comments.push(note.comment());
        self.out.note(note);
        everywhere(internet)
    }

    /// The rule of a flow, joined with others of the same peers.
    fn rule(&mut self, flow: &Flow, peers: Vec<Peer>, rules: &mut Rules, comments: &mut Vec<String>) {
        let mut say = |what: &str, why: &str| {
            let note = Note::new(format!("flow {}", flow.id), what, why);
            comments.push(note.comment());
            self.out.note(note);
        };
        let inside = self.cluster.holds(&flow.from) && self.cluster.holds(&flow.to);
        let ports = match () {
            () if flow.via.allow.as_ref().is_some_and(Vec::is_empty) => Vec::new(),
            () if self.cluster.holds(&flow.to) => {
                match (self.cluster.ports(flow), inside && self.between == Between::Mesh) {
                    (ports, true) if !ports.is_empty() => vec![MESH_PORT],
                    (ports, _) => ports,
                }
            }
            () => {
                let (ports, guessed) = outer_ports(self.cluster, flow);
                if let Some(why) = guessed {
                    say(&format!("port {}", ports.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")), why);
                }
                ports
            }
        };
        if ports.is_empty() {
            // No port would be every port.
            say("no port", "the target serves none, or `allow` is empty: nothing passes");
            return;
        }
        rules.0.entry(peers).or_default().extend(ports);
    }

    /// The pods of a workload.
    fn pod(&self, name: &Name) -> Option<Peer> {
        let node = self.cluster.model.nodes.get(name).filter(|_| self.cluster.holds(name))?;
        Some(Peer {
            namespace_selector: Some(labelled(NAMESPACE_LABEL, node.namespace.as_str())),
            pod_selector: Some(labelled(self.label, name.as_str())),
            ip_block: None,
        })
    }

    fn add(&mut self, name: &str, namespace: &Name, comments: Vec<String>, spec: Spec) -> Result<(), ExportError> {
        let labels =
            [("app.kubernetes.io/managed-by", "ward"), ("app.kubernetes.io/part-of", self.cluster.model.name.as_str())];
        let policy = NetworkPolicy {
            api_version: "networking.k8s.io/v1".to_owned(),
            kind: "NetworkPolicy".to_owned(),
            metadata: Metadata {
                name: name.to_owned(),
                namespace: namespace.to_string(),
                labels: labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
            },
            spec,
        };
        self.out.add(name, comments, &policy)
    }
}

/// Ports by peers.
#[derive(Default)]
struct Rules(BTreeMap<Vec<Peer>, BTreeSet<u16>>);

fn both() -> Vec<String> {
    ["Ingress", "Egress"].map(str::to_owned).into()
}

fn tcp(ports: &BTreeSet<u16>) -> Vec<Port> {
    ports.iter().map(|port| Port { protocol: "TCP".to_owned(), port: *port }).collect()
}

fn labelled(key: &str, value: &str) -> LabelSelector {
    LabelSelector { match_labels: [(key.to_owned(), value.to_owned())].into() }
}

fn block(cidr: String, except: &[&str]) -> Peer {
    let except = except.iter().map(|one| (*one).to_owned()).collect();
    Peer { ip_block: Some(IpBlock { cidr, except }), ..Peer::default() }
}

/// Every address, or every one of the internet.
fn everywhere(internet: bool) -> Vec<Peer> {
    let (v4, v6): (&[&str], &[&str]) = if internet { (&PRIVATE, &PRIVATE_V6) } else { (&[], &[]) };
    vec![block("0.0.0.0/0".to_owned(), v4), block("::/0".to_owned(), v6)]
}

/// `bank.example:443`, `[2001:db8::1]:443` and `10.0.0.1` as host and port.
fn endpoint_parts(endpoint: &str) -> (&str, Option<u16>) {
    if let Some((host, rest)) = endpoint.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return (host, rest.strip_prefix(':').and_then(|port| port.parse().ok()));
    }
    match endpoint.split_once(':') {
        Some((host, port)) if !port.contains(':') => (host, port.parse().ok()),
        _ => (endpoint, None),
    }
}

/// The ports of somebody outside the cluster, and why they are a guess, if they are.
fn outer_ports(cluster: &Cluster, flow: &Flow) -> (Vec<u16>, Option<&'static str>) {
    let Some(target) = cluster.model.nodes.get(&flow.to) else { return (Vec::new(), None) };
    if let Some(port) = flow.via.port {
        return (vec![port], None);
    }
    let named: BTreeSet<u16> = target.endpoints.iter().filter_map(|endpoint| endpoint_parts(endpoint).1).collect();
    if !named.is_empty() {
        return (named.into_iter().collect(), None);
    }
    if flow.via.words.contains_key("ssh") {
        return (
            vec![target.port.unwrap_or(22)],
            target.port.is_none().then_some("a guess, as the flow is `ssh`: write `port` of the node"),
        );
    }
    let serves = cluster.ports(flow);
    match serves.as_slice() {
        [] if target.kind == NodeKind::Party => {
            (vec![443], Some("a guess, as a party serves no port: give the flow a node with `serves`"))
        }
        [8080] => {
            (serves, Some("what a node serves that says nothing: write `serves` or `endpoints` if it is another"))
        }
        _ => (serves, None),
    }
}

#[cfg(test)]
mod tests;
