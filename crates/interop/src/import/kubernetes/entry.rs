//! Entries: where requests from outside come in, by Ingress, Gateway API, OpenShift Route and Istio's Gateway, and where they go.
use std::collections::{BTreeMap, BTreeSet};

use model::tree::Tree;

use super::{
    Modelling,
    object::Object,
    service::{Host, Reach},
};
use crate::draft::{Draft, Kind};

mod annotation;

use annotation::{guards, is_secure, proof, scheme};

/// One way in.
#[derive(Clone, Debug)]
struct Front {
    wanted: String,
    /// From where.
    reach: Reach,
    /// Whether it is a guess that it is reached from everywhere.
    assumed: bool,
    /// Hosts with TLS, and hosts without.
    secure: BTreeSet<String>,
    plain: BTreeSet<String>,
    /// Guards that all of its parts have; none yet where there was no part.
    guards: Option<BTreeSet<&'static str>>,
    /// How callers prove themselves, where all parts ask for it.
    proof: Option<Option<&'static str>>,
    backends: Vec<Backend>,
    /// Secrets with certificates: namespace and name.
    certificates: BTreeSet<(String, String)>,
    place: String,
    workload: Option<usize>,
}

/// What requests are passed on to.
#[derive(Clone, Debug)]
struct Backend {
    namespace: String,
    service: String,
    port: Option<String>,
    tls: bool,
    place: String,
}

type Fronts = BTreeMap<String, Front>;

impl Modelling<'_> {
    /// All ways in.
    pub(super) fn entries(&mut self, draft: &mut Draft) {
        let mut fronts = Fronts::new();
        self.ingresses(&mut fronts);
        self.gateways(&mut fronts);
        self.routes(&mut fronts);
        self.istio_gateways(&mut fronts);
        let mut behind = BTreeSet::new();
        for (key, front) in &fronts {
            behind.extend(front.workload);
            self.front(draft, key, front);
        }
        self.exposed_services(draft, &behind);
    }

    fn front(&mut self, draft: &mut Draft, key: &str, front: &Front) {
        let zone = self.cluster_zone.clone();
        let node = match front.workload.and_then(|at| self.cluster.workloads.get(at)).map(|w| w.node.clone()) {
            Some(node) => node,
            None => {
                let node = draft.node(key, &front.wanted).set("kind", "service").set("zone", zone.as_str());
                if !front.secure.is_empty() {
                    node.add("serves", serde_json::json!({ "port": 443, "protocol": "tls" }));
                }
                if !front.plain.is_empty() {
                    node.add("serves", serde_json::json!({ "port": 80, "protocol": "http" }));
                }
                node.comment(format!("from {}", front.place)).name().to_owned()
            }
        };
        if let Some(noun) = draft.named(Kind::Node, &node) {
            for guard in front.guards.iter().flatten() {
                noun.add("guards", *guard);
            }
        }
        match &front.reach {
            Reach::Anywhere => {
                let secure = hosts(&front.secure);
                let proof = front.proof.flatten();
                if !front.secure.is_empty() {
                    self.strangers(draft, &node, "", Some(true), front.assumed, &format!("TLS for {secure}"), proof);
                }
                if !front.plain.is_empty() {
                    let what = format!("no TLS for {}", hosts(&front.plain));
                    let end = if front.secure.is_empty() { "" } else { "-plain" };
                    self.strangers(draft, &node, end, Some(false), front.assumed, &what, proof);
                }
            }
            other => {
                let what = told(other);
                if let Some(noun) = draft.named(Kind::Node, &node) {
                    noun.comment(what);
                }
            }
        }
        for (namespace, secret) in &front.certificates {
            self.give(draft, &node, namespace, secret, "a certificate and its key");
        }
        for backend in &front.backends {
            let Some(at) = self.cluster.service(&backend.service, &backend.namespace) else {
                let what = format!("a backend {}/{}", backend.namespace, backend.service);
                draft.left_out(backend.place.as_str(), what, "no Service of that name was read");
                continue;
            };
            let Some(service) = self.cluster.services.get(at).cloned() else { continue };
            for target in &service.targets {
                let Some(workload) = self.cluster.workloads.get(*target) else { continue };
                let port = service.behind_named(backend.port.as_deref(), workload);
                let secure = workload.ports.iter().any(|p| Some(p.number) == port && p.protocol == "tls");
                if workload.node == node {
                    continue;
                }
                let name =
                    self.connect(draft, (&node, front.workload), *target, port, &format!("from {}", backend.place));
                if let Some(flow) = draft.named(Kind::Flow, &name) {
                    if backend.tls || secure {
                        flow.guess_via("tls", "1.2", "the backend is told to speak TLS, and at least 1.2 today");
                    } else {
                        flow.via("tls", "none");
                    }
                }
            }
        }
    }

    /// The flow of everybody to a node.
    #[expect(clippy::too_many_arguments, reason = "each is another word of one flow")]
    fn strangers(
        &mut self,
        draft: &mut Draft,
        node: &str,
        end: &str,
        tls: Option<bool>,
        assumed: bool,
        what: &str,
        proof: Option<&str>,
    ) {
        let internet = draft.internet();
        let anybody =
            draft.node("party:anybody", "anybody").set("kind", "party").set("zone", internet).name().to_owned();
        let requests = self.requests(draft);
        let key = format!("k8s:{anybody}>{node}{end}");
        if end.is_empty() {
            draft.alias(Kind::Flow, &format!("terraform:{anybody}>{node}"), &key);
        }
        let flow = draft.flow(&key, &format!("{anybody}-{node}{end}"), &anybody, node);
        flow.add("carries", requests.as_str()).add("returns", requests).comment(what);
        if assumed {
            flow.comment(
                "whether it has a public address is not in what was read: if it has none, take this flow away",
            );
        }
        match tls {
            Some(true) => _ = flow.guess_via("tls", "1.2", "TLS is terminated there, with at least 1.2 today"),
            Some(false) => _ = flow.via("tls", "none"),
            None => {}
        }
        match proof {
            Some("mtls") => _ = flow.via("mtls", true),
            Some(word) => _ = flow.via("auth", word),
            None => {}
        }
    }

    /// Services that are reached without any of the above.
    fn exposed_services(&mut self, draft: &mut Draft, behind: &BTreeSet<usize>) {
        for service in self.cluster.services.clone() {
            let reach = service.reach();
            if reach == Reach::Inside {
                continue;
            }
            for target in service.targets.iter().filter(|t| !behind.contains(t)) {
                let Some(workload) = self.cluster.workloads.get(*target).cloned() else { continue };
                let title = format!("{} at {}", service.object.title(), service.object.place());
                match &reach {
                    Reach::Anywhere if workload.store.is_some() => {
                        let internet = draft.internet();
                        if let Some(node) = draft.named(Kind::Node, &workload.node) {
                            node.add("exposed_to", internet).comment(format!("{title} is a public load balancer"));
                        }
                    }
                    Reach::Anywhere => {
                        let kinds: BTreeSet<&str> =
                            service.ports.iter().map(|p| super::image::protocol(p.said, p.number)).collect();
                        let tls = match (service.balancer_tls() || kinds.contains("tls"), kinds.contains("http")) {
                            (true, _) => Some(true),
                            (false, true) => Some(false),
                            _ => None,
                        };
                        let what = format!("{title} is a public load balancer");
                        self.strangers(draft, &workload.node, "", tls, false, &what, None);
                    }
                    other => {
                        let what = format!("{title}: {}", told(other));
                        if let Some(node) = draft.named(Kind::Node, &workload.node) {
                            node.comment(what);
                        }
                    }
                }
            }
        }
    }

    fn ingresses(&self, fronts: &mut Fronts) {
        for object in self.cluster.objects.iter().filter(|o| o.kind == "Ingress") {
            let spec = object.tree.at(&["spec"]);
            let said = spec
                .and_then(|s| s.text_at(&["ingressClassName"]))
                .or_else(|| object.annotation("kubernetes.io/ingress.class"));
            let class = said.unwrap_or("default");
            let workload = self.controller(class);
            let (reach, assumed) = self.ingress_reach(object, class, workload);
            let wanted = if class == "default" { "ingress".to_owned() } else { format!("{class}-ingress") };
            let place = object.place();
            let front = fronts
                .entry(format!("k8s:ingress/{class}"))
                .or_insert_with(|| Front::new(wanted, &reach, &place, workload));
            front.assumed |= assumed;
            if reach == Reach::Anywhere {
                front.reach = reach;
            }
            front.guarded(guards(object), proof(object));
            front.hosts(object, spec);
            let named =
                spec.map_or(&[][..], |s| s.items_at(&["tls"])).iter().filter_map(|t| t.text_at(&["secretName"]));
            front.certificates.extend(named.map(|n| (object.namespace.to_owned(), n.to_owned())));
            let tls =
                object.annotation("nginx.ingress.kubernetes.io/backend-protocol").is_some_and(|p| p.ends_with('S'))
                    || object.annotation("alb.ingress.kubernetes.io/backend-protocol") == Some("HTTPS");
            let mut backend = |tree: Option<&Tree>| {
                // v1 first, then the betas.
                let name = tree.and_then(|t| t.text_at(&["service", "name"]).or_else(|| t.text_at(&["serviceName"])));
                let port = tree.and_then(|t| {
                    let v1 =
                        t.text_at(&["service", "port", "number"]).or_else(|| t.text_at(&["service", "port", "name"]));
                    v1.or_else(|| t.text_at(&["servicePort"]))
                });
                if let (Some(name), Some(tree)) = (name, tree) {
                    front.backends.push(Backend {
                        namespace: object.namespace.to_owned(),
                        service: name.to_owned(),
                        // ALB's actions and redirects are no ports.
                        port: port.filter(|p| *p != "use-annotation").map(str::to_owned),
                        tls,
                        place: object.place_of(tree),
                    });
                }
            };
            backend(spec.and_then(|s| s.get("defaultBackend").or_else(|| s.get("backend"))));
            for path in
                spec.map_or(&[][..], |s| s.items_at(&["rules"])).iter().flat_map(|r| r.items_at(&["http", "paths"]))
            {
                backend(path.get("backend"));
            }
        }
    }

    /// The workload that is the controller of a class, where it was read.
    fn controller(&self, class: &str) -> Option<usize> {
        let known = |w: &super::workload::Workload<'_>| {
            w.images().iter().any(|image| {
                let name = super::image::name(image);
                let last = name.rsplit('/').next().unwrap_or(name);
                let is_controller = name.contains("ingress") || matches!(last, "traefik" | "kong" | "contour");
                is_controller && name.contains(class)
            })
        };
        let at = self.cluster.workloads.iter().position(known)?;
        let stays =
            |at: &usize| self.cluster.workloads.get(*at).is_some_and(|w| !matches!(w.object.kind, "Job" | "CronJob"));
        Some(at).filter(stays)
    }

    fn ingress_reach(&self, object: &Object<'_>, class: &str, workload: Option<usize>) -> (Reach, bool) {
        if let Some(public) = scheme(object, class) {
            return (if public { Reach::Anywhere } else { Reach::Private }, false);
        }
        if class.contains("internal") || class.contains("private") {
            return (Reach::Private, false);
        }
        if let Some(at) = workload {
            let fronts =
                self.cluster.services.iter().filter(|s| s.targets.contains(&at)).map(super::service::Service::reach);
            let all: Vec<Reach> = fronts.filter(|r| *r != Reach::Inside).collect();
            if let Some(reach) = all.iter().find(|r| **r == Reach::Anywhere).or(all.first()) {
                // A NodePort is where a load balancer of one's own leads to.
                return if *reach == Reach::Machines { (Reach::Anywhere, true) } else { (reach.clone(), false) };
            }
        }
        (Reach::Anywhere, true)
    }

    fn gateways(&self, fronts: &mut Fronts) {
        const GROUP: &str = "gateway.networking.k8s.io";
        for object in self.cluster.of_kind(GROUP, "Gateway") {
            let front = gateway(fronts, object.namespace, object.name, &object.place());
            let class = object.tree.text_at(&["spec", "gatewayClassName"]).unwrap_or_default();
            let private = class.contains("rilb") || class.contains("internal") || class.contains("private");
            front.reach = if private { Reach::Private } else { Reach::Anywhere };
            front.assumed = true;
            let protocols = object
                .tree
                .items_at(&["spec", "listeners"])
                .iter()
                .filter_map(|l| Some((l.text_at(&["protocol"])?, l)));
            for (protocol, listener) in protocols {
                let host = listener.text_at(&["hostname"]).unwrap_or("every host").to_owned();
                for certificate in listener.items_at(&["tls", "certificateRefs"]) {
                    let namespace = certificate.text_at(&["namespace"]).unwrap_or(object.namespace);
                    let name = certificate.text_at(&["name"]).unwrap_or_default();
                    front.certificates.insert((namespace.to_owned(), name.to_owned()));
                }
                match protocol {
                    "HTTPS" | "TLS" => _ = front.secure.insert(host),
                    "HTTP" => _ = front.plain.insert(host),
                    _ => {}
                }
            }
            // Where there is TLS, plain HTTP is there to be redirected.
            if !front.secure.is_empty() {
                front.plain.clear();
            }
        }
        for kind in ["HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute"] {
            for object in self.cluster.of_kind(GROUP, kind) {
                for parent in object.tree.items_at(&["spec", "parentRefs"]) {
                    let Some(name) =
                        parent.text_at(&["name"]).filter(|_| parent.text_at(&["kind"]).is_none_or(|k| k == "Gateway"))
                    else {
                        continue;
                    };
                    let front = gateway(
                        fronts,
                        parent.text_at(&["namespace"]).unwrap_or(object.namespace),
                        name,
                        &object.place(),
                    );
                    for tree in
                        object.tree.items_at(&["spec", "rules"]).iter().flat_map(|r| r.items_at(&["backendRefs"]))
                    {
                        let Some(service) = tree.text_at(&["name"]) else { continue };
                        front.backends.push(Backend {
                            namespace: tree.text_at(&["namespace"]).unwrap_or(object.namespace).to_owned(),
                            service: service.to_owned(),
                            port: tree.text_at(&["port"]).map(str::to_owned),
                            tls: kind == "TLSRoute",
                            place: object.place_of(tree),
                        });
                    }
                }
            }
        }
    }

    fn routes(&self, fronts: &mut Fronts) {
        for object in self.cluster.of_kind("route.openshift.io", "Route") {
            let place = object.place();
            let front = fronts
                .entry("k8s:ingress/openshift".to_owned())
                .or_insert_with(|| Front::new("openshift-router".to_owned(), &Reach::Anywhere, &place, None));
            front.assumed = true;
            let termination = object.tree.text_at(&["spec", "tls", "termination"]);
            let host = object.tree.text_at(&["spec", "host"]).unwrap_or(object.name).to_owned();
            if termination.is_some() {
                front.secure.insert(host)
            } else {
                front.plain.insert(host)
            };
            if let Some(service) = object.tree.text_at(&["spec", "to", "name"]) {
                front.backends.push(Backend {
                    namespace: object.namespace.to_owned(),
                    service: service.to_owned(),
                    port: None,
                    tls: matches!(termination, Some("passthrough" | "reencrypt")),
                    place,
                });
            }
        }
    }

    fn istio_gateways(&self, fronts: &mut Fronts) {
        const GROUP: &str = "networking.istio.io";
        for object in self.cluster.of_kind(GROUP, "Gateway") {
            let front = gateway(fronts, object.namespace, object.name, &object.place());
            front.assumed = true;
            for server in object.tree.items_at(&["spec", "servers"]) {
                let host = server.items_at(&["hosts"]).first().and_then(Tree::text).unwrap_or("*").to_owned();
                match server.text_at(&["port", "protocol"]) {
                    Some("HTTPS" | "TLS") => _ = front.secure.insert(host),
                    Some("HTTP" | "HTTP2" | "GRPC") if server.at(&["tls", "httpsRedirect"]).is_none() => {
                        _ = front.plain.insert(host);
                    }
                    _ => {}
                }
            }
        }
        for object in self.cluster.of_kind(GROUP, "VirtualService") {
            for name in
                object.tree.items_at(&["spec", "gateways"]).iter().filter_map(Tree::text).filter(|n| *n != "mesh")
            {
                let (namespace, name) = name.split_once('/').unwrap_or((object.namespace, name));
                let front = gateway(fronts, namespace, name, &object.place());
                let routes = ["http", "tcp", "tls"].iter().flat_map(|k| object.tree.items_at(&["spec", k]));
                for destination in routes.flat_map(|r| r.items_at(&["route"])).filter_map(|r| r.get("destination")) {
                    let host = destination.text_at(&["host"]).unwrap_or_default();
                    let Host::Service(at) = self.cluster.host(host, object.namespace) else { continue };
                    let Some(service) = self.cluster.services.get(at) else { continue };
                    front.backends.push(Backend {
                        namespace: service.object.namespace.to_owned(),
                        service: service.object.name.to_owned(),
                        port: destination.text_at(&["port", "number"]).map(str::to_owned),
                        tls: false,
                        place: object.place_of(destination),
                    });
                }
            }
        }
    }
}

impl Front {
    fn new(wanted: String, reach: &Reach, place: &str, workload: Option<usize>) -> Self {
        Self {
            wanted,
            reach: reach.clone(),
            assumed: false,
            secure: BTreeSet::new(),
            plain: BTreeSet::new(),
            guards: None,
            proof: None,
            backends: Vec::new(),
            certificates: BTreeSet::new(),
            place: place.to_owned(),
            workload,
        }
    }

    /// A guard counts where every part has it.
    fn guarded(&mut self, guards: BTreeSet<&'static str>, proof: Option<&'static str>) {
        let both = self.guards.as_ref().map(|before| before.intersection(&guards).copied().collect());
        self.guards = Some(both.unwrap_or(guards));
        self.proof = Some(self.proof.map_or(proof, |before| before.filter(|b| Some(*b) == proof)));
    }

    fn hosts(&mut self, object: &Object<'_>, spec: Option<&Tree>) {
        let entries = spec.map_or(&[][..], |s| s.items_at(&["tls"]));
        let covered = |host: &str| {
            entries.iter().any(|t| {
                let names = t.items_at(&["hosts"]);
                let same = |n: &str| {
                    n == host
                        || n.strip_prefix('*')
                            .is_some_and(|end| host.strip_suffix(end).is_some_and(|h| !h.contains('.')))
                };
                names.is_empty() || names.iter().filter_map(Tree::text).any(same)
            })
        };
        let secure = is_secure(object);
        let rules = spec.map_or(&[][..], |s| s.items_at(&["rules"]));
        let mut hosts: Vec<&str> = rules.iter().map(|r| r.text_at(&["host"]).unwrap_or("every host")).collect();
        if hosts.is_empty() {
            hosts.push("every host");
        }
        for host in hosts {
            if secure || covered(host) {
                self.secure.insert(host.to_owned())
            } else {
                self.plain.insert(host.to_owned())
            };
        }
    }
}

fn gateway<'f>(fronts: &'f mut Fronts, namespace: &str, name: &str, place: &str) -> &'f mut Front {
    let wanted = if name.contains("gateway") { name.to_owned() } else { format!("{name}-gateway") };
    fronts
        .entry(format!("k8s:gateway/{namespace}/{name}"))
        .or_insert_with(|| Front::new(wanted, &Reach::Anywhere, place, None))
}

fn hosts(all: &BTreeSet<String>) -> String {
    let shown: Vec<&str> = all.iter().take(5).map(String::as_str).collect();
    let more = all.len().saturating_sub(shown.len());
    if more > 0 { format!("{} and {more} more", shown.join(", ")) } else { shown.join(", ") }
}

fn told(reach: &Reach) -> String {
    match reach {
        Reach::Inside | Reach::Anywhere => String::new(),
        Reach::Networks(all) => {
            let shown: Vec<&str> = all.iter().take(5).map(String::as_str).collect();
            format!("reached from these networks only: {}", shown.join(", "))
        }
        Reach::Private => "reached from the private network only".to_owned(),
        Reach::Machines => {
            "a port of every machine: if the machines have public addresses, write `exposed_to: [internet]`".to_owned()
        }
    }
}
