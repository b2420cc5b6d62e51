//! docker-compose files (the Compose Specification): services become nodes, networks zones, published ports exposure, and what the
//! environment says becomes flows and secrets. Several files of one directory are one project, as `docker compose -f a -f b` reads them.
use std::collections::{BTreeMap, HashMap};

use model::tree::{Kind as TreeKind, Tree};

use super::{Document, ImportError};
use crate::draft::{Draft, Kind};

mod calls;
mod environment;
mod host;
mod image;
mod ports;
mod secrets;

/// Longest chain of `extends`.
const EXTENDS_MAX: usize = 8;
/// Most ports that a node lists; a model may have 64.
const PORTS_MAX: usize = 32;

/// Reads documents into a draft.
///
/// # Errors
/// A document has no `services`.
pub fn read(documents: &[Document<'_>], draft: &mut Draft) -> Result<(), ImportError> {
    let mut projects: BTreeMap<&str, Vec<&Document<'_>>> = BTreeMap::new();
    for document in documents {
        if document.tree.kind == TreeKind::Null {
            continue;
        }
        if !matches!(document.tree.get("services").map(|s| &s.kind), Some(TreeKind::Map(_)))
            && document.tree.get("include").is_none()
        {
            let why = "a compose file has `services:`, a mapping of names to containers; this one has none";
            return Err(ImportError::Refused { place: document.place(&document.tree), why: why.to_owned() });
        }
        let directory = document.file.rsplit_once('/').map_or("", |(directory, _)| directory);
        projects.entry(directory).or_default().push(document);
    }
    for (directory, documents) in projects {
        Project::new(directory, &documents, draft).read();
    }
    Ok(())
}

/// A part of what is said of a service: by one file, or by what it extends.
#[derive(Clone, Copy)]
struct Part<'a> {
    document: &'a Document<'a>,
    tree: &'a Tree,
}

/// A service and what became of it.
struct Service<'a> {
    name: &'a str,
    /// What comes first is stronger.
    parts: Vec<Part<'a>>,
    /// The node's name in the model.
    node: String,
    store: bool,
    /// Zones of its networks; the node lies in the first.
    networks: Vec<String>,
    /// Whether its ports are published for everybody.
    exposed: bool,
}

struct Project<'a, 'd> {
    directory: &'a str,
    documents: &'a [&'a Document<'a>],
    draft: &'d mut Draft,
    services: Vec<Service<'a>>,
    /// Where a service stands among them, by each name that it answers to.
    hosts: HashMap<String, usize>,
    /// The datum of a secret, by what was written as its value.
    values: HashMap<String, String>,
}

impl<'a> Service<'a> {
    /// A field, of the first part that has it.
    fn first(&self, path: &[&str]) -> Option<(Part<'a>, &'a Tree)> {
        self.parts.iter().find_map(|part| Some((*part, part.tree.at(path)?)))
    }

    /// A text field.
    fn text(&self, path: &[&str]) -> Option<String> {
        self.first(path).and_then(|(_, tree)| tree.text()).map(environment::interpolate)
    }

    /// A field, of every part that has it.
    fn each(&self, path: &'a [&'a str]) -> impl Iterator<Item = (Part<'a>, &'a Tree)> {
        self.parts.iter().filter_map(move |part| Some((*part, part.tree.at(path)?)))
    }

    fn place(&self) -> String {
        self.parts.first().map(|p| p.document.place(p.tree)).unwrap_or_default()
    }
}

/// The members of a list, or the keys of a mapping: `depends_on` and `networks` are both.
fn names(tree: &Tree) -> Vec<(&str, &Tree)> {
    match &tree.kind {
        TreeKind::List(items) => items.iter().filter_map(|i| Some((i.text()?, i))).collect(),
        TreeKind::Map(entries) => entries.iter().map(|(key, value)| (key.as_str(), value)).collect(),
        _ => Vec::new(),
    }
}

/// The words of a command, in its two forms.
fn command(tree: &Tree) -> Vec<String> {
    match tree.text() {
        Some(text) => text.split_whitespace().map(environment::interpolate).collect(),
        None => tree.items().iter().filter_map(Tree::text).map(environment::interpolate).collect(),
    }
}

impl<'a, 'd> Project<'a, 'd> {
    fn new(directory: &'a str, documents: &'a [&'a Document<'a>], draft: &'d mut Draft) -> Self {
        Self { directory, documents, draft, services: Vec::new(), hosts: HashMap::new(), values: HashMap::new() }
    }

    fn read(mut self) {
        for document in self.documents {
            if let Some(name) = document.tree.text_at(&["name"]) {
                self.draft.title(&environment::interpolate(name));
            }
            for (key, why) in [
                ("include", "name the included files too, and they are read with it"),
                ("configs", "what is in a file is not read"),
                ("models", "a language model that is asked is no node of these yet: draw it"),
            ] {
                if let Some(tree) = document.tree.get(key) {
                    self.draft.left_out(document.place(tree), format!("`{key}`"), why);
                }
            }
        }
        self.collect();
        for at in 0..self.services.len() {
            self.node(at);
        }
        self.secrets();
        self.calls();
        self.hosts();
    }

    fn key(&self, what: &str, name: &str) -> String {
        format!("compose:{}:{what}:{name}", self.directory)
    }

    /// The services of all files; a later file is stronger, and what a service extends is weaker.
    fn collect(&mut self) {
        let mut at: HashMap<&str, usize> = HashMap::new();
        for document in self.documents.iter().copied() {
            for (name, tree) in document.tree.get("services").map(Tree::entries).unwrap_or_default() {
                let index = *at.entry(name).or_insert_with(|| {
                    self.services.push(Service {
                        name,
                        parts: Vec::new(),
                        node: String::new(),
                        store: false,
                        networks: Vec::new(),
                        exposed: false,
                    });
                    self.services.len() - 1
                });
                if let Some(service) = self.services.get_mut(index) {
                    service.parts.insert(0, Part { document, tree });
                }
            }
        }
        for index in 0..self.services.len() {
            self.extend(index, &at);
        }
    }

    /// Adds the parts of what a service extends.
    fn extend(&mut self, index: usize, at: &HashMap<&str, usize>) {
        for _ in 0..EXTENDS_MAX {
            let Some(service) = self.services.get(index) else { return };
            let Some(part) = service.parts.last().copied() else { return };
            let Some(extends) = part.tree.get("extends") else { return };
            let wanted = extends.text().or_else(|| extends.text_at(&["service"])).unwrap_or_default();
            let file = extends.text_at(&["file"]).map(|f| f.trim_start_matches("./"));
            let own = part.document.file.rsplit('/').next();
            let same = |d: &&&Document<'_>| file.map_or(d.file == part.document.file, |f| d.file.ends_with(f));
            let base = self.documents.iter().find(same).and_then(|document| {
                let tree = document.tree.get("services")?.get(wanted)?;
                Some(Part { document, tree })
            });
            let known = base.or_else(|| {
                let parts = &self.services.get(*at.get(wanted)?)?.parts;
                parts.last().copied().filter(|_| file.is_none() || file == own)
            });
            match known.filter(|base| !std::ptr::eq(base.tree, part.tree)) {
                Some(base) => {
                    if let Some(service) = self.services.get_mut(index) {
                        service.parts.push(base);
                    }
                }
                None => {
                    let what = format!("what `{}` extends", service.name);
                    self.draft.left_out(
                        part.document.place(extends),
                        what,
                        "it is in a file that was not read: name that too",
                    );
                    return;
                }
            }
        }
    }

    fn node(&mut self, at: usize) {
        let Some(service) = self.services.get(at) else { return };
        let (name, place) = (service.name, service.place());
        let image = service.text(&["image"]);
        // What is built here has a name of its own: `etl-kafka` is no Kafka.
        let built = service.first(&["build"]).is_some();
        let product = image.as_deref().filter(|_| !built).and_then(image::store);
        let by_name = super::mermaid::of_box(name).filter(|_| image.is_none() || built);
        let networks = self.networks(at);
        let Some(service) = self.services.get(at) else { return };
        let key = self.key("service", name);
        let noun = self.draft.node(&key, name);
        let node = noun.name().to_owned();
        noun.comment(match &image {
            Some(image) if !image.contains('$') => {
                format!("{place}: image {}", image.split('@').next().unwrap_or_default())
            }
            _ => format!("{place}: built here"),
        });
        if let Some(zone) = networks.first() {
            noun.set("zone", zone.as_str());
        }
        if networks.len() > 1 {
            noun.comment(format!("on the networks {}: it lies in the first", networks.join(", ")));
        }
        for (_, profiles) in service.each(&["profiles"]) {
            let profiles: Vec<&str> = profiles.items().iter().filter_map(Tree::text).collect();
            noun.comment(format!("only started with the profile {}", profiles.join(", ")));
        }
        let store = match (product, &by_name) {
            (Some(product), _) => {
                let image = image.as_deref().unwrap_or_default();
                noun.guess(
                    "kind",
                    "store",
                    format!("its image `{}` is {}", image.split('@').next().unwrap_or_default(), product.name),
                );
                true
            }
            (None, Some(word)) => {
                noun.guess("kind", "store", format!("it is called `{word}`"));
                true
            }
            (None, None) => {
                noun.set("kind", "service");
                false
            }
        };
        let exposed = self.open(at, &node, product, image.as_deref());
        let Some(service) = self.services.get_mut(at) else { return };
        (service.node, service.store, service.networks, service.exposed) = (node.clone(), store, networks, exposed);
        let Some(service) = self.services.get(at) else { return };
        let mut hosts = vec![name.to_owned()];
        hosts.extend(service.text(&["container_name"]));
        hosts.extend(service.text(&["hostname"]));
        for (_, networks) in service.each(&["networks"]) {
            let aliases = networks.entries().iter().flat_map(|(_, network)| network.items_at(&["aliases"]));
            hosts.extend(aliases.filter_map(Tree::text).map(str::to_owned));
        }
        for host in hosts.into_iter().filter(|h| !h.contains('$')) {
            self.draft.answers(&node, &host, None);
            self.hosts.entry(host.to_ascii_lowercase()).or_insert(at);
        }
        if store {
            self.content(at, product);
        }
    }

    /// What a store keeps, which no compose file says.
    fn content(&mut self, at: usize, product: Option<image::Product>) {
        let Some(service) = self.services.get(at) else { return };
        let keeps = product.map_or("records", |p| p.keeps);
        let key = self.key("content", service.name);
        let datum = self.draft.data(&key, &format!("{}-{keeps}", service.name));
        datum.comment(format!("what `{}` keeps: no compose file says how sensitive that is", service.name));
        let datum = datum.name().to_owned();
        let volume = service.each(&["volumes"]).flat_map(|(_, v)| v.items()).find_map(|volume| {
            let short = volume.text().map(|t| t.split(':').next().unwrap_or_default());
            short.or_else(|| volume.text_at(&["source"])).filter(|v| !v.contains('$')).map(str::to_owned)
        });
        let auth = self.store_auth(at, product);
        let Some(noun) = self.services.get(at).and_then(|s| self.draft.named(Kind::Node, &s.node)) else { return };
        noun.guess_add("holds", datum, "it is a store");
        if let Some(volume) = volume {
            noun.guess("at_rest", "none", format!("nothing says that the volume `{volume}` is encrypted"));
        }
        if let Some((auth, why)) = auth {
            noun.guess("auth", auth, why);
        }
    }

    /// Networks as zones, and in which of them a service lies: in the first.
    fn networks(&mut self, at: usize) -> Vec<String> {
        let Some(service) = self.services.get(at) else { return Vec::new() };
        let mode = service.text(&["network_mode"]);
        let mut wanted: Vec<String> = Vec::new();
        for (_, networks) in service.each(&["networks"]) {
            for (name, _) in names(networks) {
                if !wanted.iter().any(|w| w == name) {
                    wanted.push(name.to_owned());
                }
            }
        }
        match mode.as_deref() {
            Some("host") => wanted = vec!["host".to_owned()],
            Some("none") => wanted = vec!["none".to_owned()],
            Some(mode) => {
                // `service:vpn` has the network of another one.
                let other =
                    mode.strip_prefix("service:").and_then(|name| self.services.iter().find(|s| s.name == name));
                let shared = other.and_then(|s| s.first(&["networks"])).map(|(_, tree)| names(tree));
                wanted = shared.unwrap_or_default().into_iter().map(|(name, _)| name.to_owned()).collect();
            }
            None => {}
        }
        if wanted.is_empty() {
            wanted.push("default".to_owned());
        }
        wanted.into_iter().map(|name| self.network(&name)).collect()
    }

    fn network(&mut self, name: &str) -> String {
        let declared = self.documents.iter().find_map(|d| Some((*d, d.tree.get("networks")?.get(name)?)));
        let key = self.key("network", name);
        let zone = self.draft.zone(&key, name);
        match (name, declared) {
            ("default", None) => _ = zone.comment("the network that docker makes of a project"),
            ("host", None) => _ = zone.comment("the network of the machine itself"),
            _ => {}
        }
        if let Some((document, tree)) = declared {
            if tree.get("internal").and_then(Tree::bool) == Some(true) {
                zone.comment(format!("{}: internal, no way leads out of it", document.place(tree)));
            }
            if tree.get("external").is_some_and(|e| e.bool() != Some(false)) {
                zone.comment(format!("{}: made elsewhere; others may be on it", document.place(tree)));
            }
        }
        zone.name().to_owned()
    }

    /// Whether a network may lead over a wire: one of a swarm does, a bridge stays on the machine.
    fn leaves_the_machine(&self, service: &Service<'_>) -> bool {
        let over = |name: &str| {
            let declared = self.documents.iter().find_map(|d| d.tree.get("networks")?.get(name)?.text_at(&["driver"]));
            matches!(declared, Some("overlay" | "macvlan" | "ipvlan"))
        };
        service.each(&["networks"]).flat_map(|(_, networks)| names(networks)).any(|(name, _)| over(name))
    }

    /// Ports: what it serves, and whether anybody can connect. Whether everybody can.
    fn open(&mut self, at: usize, node: &str, product: Option<image::Product>, image: Option<&str>) -> bool {
        let Some(service) = self.services.get(at) else { return false };
        let mut serves: Vec<(u16, &str)> = product.map(|p| (p.port, p.protocol)).into_iter().collect();
        let mut public: Vec<String> = Vec::new();
        let mut local: Vec<String> = Vec::new();
        let mut unread = Vec::new();
        let mut udp = Vec::new();
        for (part, entry) in
            service.each(&["ports"]).flat_map(|(part, list)| list.items().iter().map(move |i| (part, i)))
        {
            let Some(ports) = ports::published(entry) else {
                unread.push(part.document.place(entry));
                continue;
            };
            for port in ports {
                if port.udp {
                    udp.push(port.target);
                    continue;
                }
                let shown = port.host.map_or("any port".to_owned(), |h| h.to_string());
                if port.loopback {
                    local.push(shown)
                } else {
                    public.push(shown)
                }
                serves.push((port.target, ports::protocol(port.target)));
            }
        }
        for (_, list) in service.each(&["expose"]) {
            let ports =
                list.items().iter().filter_map(|i| environment::interpolate(i.text()?).split('/').next()?.parse().ok());
            serves.extend(ports.map(|port| (port, ports::protocol(port))));
        }
        if serves.is_empty()
            && let Some(port) = image.and_then(image::service_port)
        {
            serves.push((port, "http"));
        }
        let host_network = service.text(&["network_mode"]).as_deref() == Some("host") && !serves.is_empty();
        let mut seen = Vec::new();
        serves.retain(|(port, _)| {
            *port > 0 && !seen.contains(port) && seen.len() < PORTS_MAX && {
                seen.push(*port);
                true
            }
        });
        let place = service.place();
        for place in unread {
            self.draft.left_out(
                place,
                format!("a port of `{}`", service.name),
                "it cannot be read, or its variable has no default",
            );
        }
        let exposed = !public.is_empty() || host_network;
        let internet = exposed.then(|| self.draft.internet());
        let Some(noun) = self.draft.named(Kind::Node, node) else { return false };
        if !serves.is_empty() {
            let list: Vec<_> = serves
                .iter()
                .map(|(port, protocol)| serde_json::json!({ "port": port, "protocol": protocol }))
                .collect();
            match product.is_some() {
                true => noun.guess("serves", list, "the port that its image has, and what is published"),
                false => noun.guess("serves", list, "what a port speaks is known by its number only"),
            };
        }
        if !udp.is_empty() {
            noun.comment(format!("{place}: publishes UDP too, which no flow describes"));
        }
        if !local.is_empty() {
            noun.comment(format!("{place}: published on the machine itself only is {}", ports_text(&local)));
        }
        if let Some(internet) = internet {
            let why = match host_network {
                true => "it has the network of the machine: whether the internet reaches that, no compose file says"
                    .to_owned(),
                false => format!(
                    "published on every address of the machine is {}; whether the internet reaches that, no compose file says",
                    ports_text(&public)
                ),
            };
            noun.guess_add("exposed_to", internet, why);
        }
        exposed
    }
}

fn ports_text(ports: &[String]) -> String {
    let mut ports: Vec<&str> = ports.iter().map(String::as_str).collect();
    ports.dedup();
    let shown = ports.iter().take(4).copied().collect::<Vec<_>>().join(", ");
    let more = if ports.len() > 4 { " and more" } else { "" };
    if shown.starts_with("any") { shown } else { format!("port {shown}{more}") }
}

#[cfg(test)]
mod tests;
