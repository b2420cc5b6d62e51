//! Services: by which names and ports workloads are called, and which of them the world may call.
use std::collections::HashMap;

use model::tree::Tree;

use super::{
    Cluster,
    object::{Object, selects_plainly},
    workload::Workload,
};

/// A Service and what is behind it.
#[derive(Clone, Debug)]
pub(super) struct Service<'a> {
    pub(super) object: Object<'a>,
    /// Workloads that it leads to, by their places.
    pub(super) targets: Vec<usize>,
    pub(super) ports: Vec<ServicePort<'a>>,
}

/// A port of a Service.
#[derive(Clone, Copy, Debug)]
pub(super) struct ServicePort<'a> {
    pub(super) name: Option<&'a str>,
    pub(super) number: u16,
    pub(super) target: Option<&'a str>,
    pub(super) said: Option<&'a str>,
}

/// From where a Service can be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// From inside the cluster.
    Inside,
    /// From everywhere, through a load balancer.
    Anywhere,
    /// From some networks, through a load balancer.
    Networks(Vec<String>),
    /// From the private network, through a load balancer.
    Private,
    /// From whatever reaches the machines of the cluster.
    Machines,
}

/// Annotations that keep a load balancer inside, with the value that says so; any value where none is given.
const INTERNAL: &[(&str, &[&str])] = &[
    ("service.beta.kubernetes.io/aws-load-balancer-internal", &["true", "0.0.0.0/0"]),
    ("service.beta.kubernetes.io/aws-load-balancer-scheme", &["internal"]),
    ("service.beta.kubernetes.io/azure-load-balancer-internal", &["true"]),
    ("networking.gke.io/load-balancer-type", &["internal"]),
    ("cloud.google.com/load-balancer-type", &["internal"]),
    ("service.beta.kubernetes.io/oci-load-balancer-internal", &["true"]),
    ("service.kubernetes.io/qcloud-loadbalancer-internal-subnetid", &[]),
    ("service.beta.kubernetes.io/openstack-internal-load-balancer", &["true"]),
];

/// The Services among some objects; ports that they lead to are added to the workloads.
pub(super) fn services<'a>(objects: &[Object<'a>], workloads: &mut [Workload<'a>]) -> Vec<Service<'a>> {
    let mut of_namespace: HashMap<&str, Vec<usize>> = HashMap::new();
    for (at, workload) in workloads.iter().enumerate() {
        of_namespace.entry(workload.object.namespace).or_default().push(at);
    }
    let mut all = Vec::new();
    for object in objects.iter().filter(|o| o.kind == "Service" && o.group.is_empty()) {
        let port = |tree: &'a Tree| {
            let number = tree.get("port").and_then(Tree::number).and_then(|n| u16::try_from(n).ok())?;
            let name = tree.text_at(&["name"]);
            let said = tree.text_at(&["appProtocol"]).or(name);
            let stream = tree.text_at(&["protocol"]).is_none_or(|p| p == "TCP");
            (stream && number > 0).then(|| ServicePort { name, number, target: tree.text_at(&["targetPort"]), said })
        };
        let ports: Vec<ServicePort<'a>> = object.tree.items_at(&["spec", "ports"]).iter().filter_map(port).collect();
        let selector = object.tree.at(&["spec", "selector"]);
        let chosen =
            |w: &usize| workloads.get(*w).is_some_and(|w| selector.is_some_and(|s| selects_plainly(s, &w.labels)));
        let here = of_namespace.get(object.namespace).into_iter().flatten().copied();
        let targets: Vec<usize> = here.filter(chosen).collect();
        for target in &targets {
            let Some(workload) = workloads.get_mut(*target) else { continue };
            for port in &ports {
                // A named target port is one of the container's, which are known.
                let number = port.target.map_or(Some(port.number), |t| t.parse().ok()).filter(|n| *n > 0);
                if let Some(number) = number {
                    workload.serve(number, port.said);
                    if let (Some(said), Some(known)) =
                        (port.said, workload.ports.iter_mut().find(|p| p.number == number))
                    {
                        // A container that names its port knows better.
                        if known.name.is_none() {
                            known.protocol = super::image::protocol(Some(said), number);
                        }
                    }
                }
            }
        }
        all.push(Service { object: *object, targets, ports });
    }
    all
}

impl<'a> Service<'a> {
    /// The port of a container that is behind one of its own; its only one where none is named.
    pub(super) fn behind(&self, port: Option<u16>, workload: &Workload<'_>) -> Option<u16> {
        let found = match (port, self.ports.as_slice()) {
            (Some(port), all) => all.iter().find(|p| p.number == port)?,
            (None, [one]) => one,
            _ => return None,
        };
        target(found, workload)
    }

    /// The same by name or number, as Ingresses write it.
    pub(super) fn behind_named(&self, port: Option<&str>, workload: &Workload<'_>) -> Option<u16> {
        let Some(port) = port else { return self.behind(None, workload) };
        let found = self.ports.iter().find(|p| p.name == Some(port) || p.number.to_string() == port)?;
        target(found, workload)
    }

    fn annotation(&self, key: &str) -> Option<&'a str> {
        self.object.annotation(key)
    }

    /// From where it can be reached.
    pub(super) fn reach(&self) -> Reach {
        let spec = |key| self.object.tree.at(&["spec", key]);
        match spec("type").and_then(Tree::text) {
            Some("LoadBalancer") => {
                let says = |(key, values): &(&str, &[&str])| {
                    self.annotation(key)
                        .is_some_and(|v| values.is_empty() || values.contains(&v.to_lowercase().as_str()))
                };
                if INTERNAL.iter().any(says) {
                    return Reach::Private;
                }
                let of =
                    |list: &Tree| list.items().iter().filter_map(Tree::text).map(str::to_owned).collect::<Vec<_>>();
                let ranges = spec("loadBalancerSourceRanges").map(of).unwrap_or_default();
                if ranges.is_empty() || ranges.iter().any(|r| r.ends_with("/0")) {
                    Reach::Anywhere
                } else {
                    Reach::Networks(ranges)
                }
            }
            Some("NodePort") => Reach::Machines,
            _ if spec("externalIPs").is_some_and(|l| !l.items().is_empty()) => Reach::Machines,
            _ => Reach::Inside,
        }
    }

    /// Whether its load balancer is told to speak TLS.
    pub(super) fn balancer_tls(&self) -> bool {
        self.annotation("service.beta.kubernetes.io/aws-load-balancer-ssl-cert").is_some()
    }
}

fn target(port: &ServicePort<'_>, workload: &Workload<'_>) -> Option<u16> {
    match port.target {
        None => Some(port.number),
        Some(target) => match target.parse::<u16>() {
            Ok(number) => Some(number),
            Err(_) => workload.ports.iter().find(|p| p.name == Some(target)).map(|p| p.number),
        },
    }
}

/// Where a host name leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Host<'a> {
    /// To a Service, by its place.
    Service(usize),
    /// To another name.
    Elsewhere(&'a str),
    /// To the API server.
    Api,
    /// To itself.
    Local,
    /// Nobody knows.
    Unknown,
}

impl<'a> Cluster<'a> {
    /// Where a host name leads that is called in a namespace: `db`, `db.prod`, `db.prod.svc.cluster.local`, `db-0.db`.
    pub(super) fn host(&self, host: &str, namespace: &str) -> Host<'a> {
        let host = host.trim_end_matches('.');
        let host = host.strip_suffix(".svc.cluster.local").or_else(|| host.strip_suffix(".svc")).unwrap_or(host);
        if matches!(host, "localhost" | "0.0.0.0") || host.starts_with("127.") {
            return Host::Local;
        }
        let parts: Vec<&str> = host.split('.').collect();
        let known = |name: &str, namespace: &str| self.service(name, namespace);
        let found = match parts.as_slice() {
            [name] => known(name, namespace),
            [name, second] => known(name, second).or_else(|| known(second, namespace)),
            [_, name, second] => known(name, second),
            _ => None,
        };
        match found.and_then(|at| Some((at, self.services.get(at)?))) {
            Some((at, service)) => match service.object.tree.text_at(&["spec", "externalName"]) {
                Some(name) if service.targets.is_empty() => Host::Elsewhere(name),
                _ => Host::Service(at),
            },
            None if matches!(parts.as_slice(), ["kubernetes"] | ["kubernetes", "default"]) => Host::Api,
            None => Host::Unknown,
        }
    }
}
