//! Who calls whom: addresses in the environment and on the command line, `depends_on`, `links`, the labels of a proxy, and who comes
//! from outside.
use std::collections::HashSet;

use super::{Project, command, environment, image, names, secrets::labels};
use crate::draft::{Call, Kind};

impl Project<'_, '_> {
    /// Makes the flows of all services.
    pub(super) fn calls(&mut self) {
        for at in 0..self.services.len() {
            self.of_variables(at);
        }
        for at in 0..self.services.len() {
            self.of_words(at);
        }
        self.of_labels();
        for at in 0..self.services.len() {
            self.visitors(at);
        }
    }

    fn of_variables(&mut self, at: usize) {
        for variable in self.variables(at) {
            let Some(value) = &variable.value else { continue };
            if environment::is_secret(variable.name, Some(value)) {
                continue;
            }
            let own = environment::is_own_address(variable.name);
            for address in environment::addresses(value) {
                let known = self.hosts.get(&address.host.to_ascii_lowercase()).copied();
                // A word that is no address looks like a host; only the name of a service is one.
                if known.is_none() && (own || address.scheme.is_none()) {
                    continue;
                }
                let mut secrets = Vec::new();
                if let Some(password) = &address.password {
                    let service = self.services.get(at).map(|s| (s.name, s.node.clone(), s.store));
                    let Some((name, node, _)) = service else { continue };
                    let key = format!("{name}.{}", variable.name);
                    let datum =
                        self.secret(&format!("{}-password", address.host), Some(password), &key, &variable.place);
                    if let Some(noun) = self.draft.named(Kind::Node, &node) {
                        noun.add("holds", datum.as_str());
                    }
                    secrets.push(datum);
                } else {
                    let prefix = variable.name.split(['_', '.', '-']).next().unwrap_or_default();
                    secrets = self.secret_named(at, prefix);
                }
                let host_like = [
                    "HOST", "URL", "URI", "ADDR", "SERVER", "ENDPOINT", "BROKER", "DSN", "NODE", "UPSTREAM", "BACKEND",
                ];
                let upper = variable.name.to_ascii_uppercase();
                // `DB_NAME=db` names a database, and not the service that has its name.
                if address.scheme.is_none() && address.port.is_none() && !host_like.iter().any(|w| upper.contains(w)) {
                    continue;
                }
                self.call(at, address, known, &variable.place, secrets);
            }
        }
        let Some(service) = self.services.get(at) else { return };
        let mut found = Vec::new();
        for key in ["command", "entrypoint"] {
            for (part, tree) in service.parts.iter().filter_map(|p| Some((p, p.tree.get(key)?))) {
                let place = format!("{} {key}", part.document.place(tree));
                let value = |word: &String| word.split_once('=').map_or(word.clone(), |(_, value)| value.to_owned());
                for address in command(tree).iter().map(value).flat_map(|v| environment::addresses(&v)).take(64) {
                    let known = self.hosts.get(&address.host.to_ascii_lowercase()).copied();
                    if known.is_some() && (address.scheme.is_some() || address.port.is_some()) {
                        found.push((address, known, place.clone()));
                    }
                }
            }
        }
        for (address, known, place) in found {
            self.call(at, address, known, &place, Vec::new());
        }
    }

    fn call(&mut self, at: usize, address: environment::Address, to: Option<usize>, place: &str, secrets: Vec<String>) {
        let Some(service) = self.services.get(at) else { return };
        let from = service.node.clone();
        if let Some(to) = to {
            self.flow(at, to, &format!("from {place}"));
        }
        let call = Call {
            from,
            host: address.host,
            port: address.port,
            scheme: address.scheme,
            place: place.to_owned(),
            secrets,
        };
        self.draft.calls(call);
    }

    /// The flow between two services of the project.
    fn flow(&mut self, from: usize, to: usize, comment: &str) {
        let (Some(one), Some(other)) = (self.services.get(from), self.services.get(to)) else { return };
        if one.node == other.node {
            return;
        }
        let wire = self.leaves_the_machine(one) || self.leaves_the_machine(other);
        let (source, target, store, name) = (one.node.clone(), other.node.clone(), other.store, other.name);
        let content = self.draft.find(Kind::Data, &self.key("content", name)).map(|d| d.name().to_owned());
        let key = format!("call:{source}>{target}");
        let requests = (!store).then(|| self.requests());
        let flow = self.draft.flow(&key, &format!("{source}-{target}"), &source, &target);
        flow.comment(comment);
        match (content, requests) {
            (Some(content), _) => {
                let why = "what moves between the two is not known";
                flow.guess_add("carries", content.as_str(), why).guess_add("returns", content.as_str(), why);
            }
            (None, Some(requests)) => {
                _ = flow.guess_add("carries", requests, "what moves between the two is not known")
            }
            (None, None) => {}
        }
        if !wire {
            flow.guess_via("local", true, "both are containers of one machine, and a bridge network does not leave it");
        }
    }

    /// What services say to each other, of which nothing is known.
    fn requests(&mut self) -> String {
        let key = self.key("requests", "");
        let datum = self.draft.data(&key, "requests");
        datum.comment("what is said between services: no compose file says what that is");
        datum.name().to_owned()
    }

    fn of_words(&mut self, at: usize) {
        let Some(service) = self.services.get(at) else { return };
        let mut found = Vec::new();
        for key in ["links", "depends_on"] {
            for (part, tree) in service.parts.iter().filter_map(|p| Some((p, p.tree.get(key)?))) {
                for (name, item) in names(tree) {
                    let name = name.split(':').next().unwrap_or_default();
                    if let Some(to) = self.hosts.get(&name.to_ascii_lowercase()) {
                        found.push((
                            *to,
                            format!("guessed of {} {key}: that it calls it nobody says", part.document.place(item)),
                        ));
                    }
                }
            }
        }
        for (to, comment) in found {
            let (Some(one), Some(other)) = (self.services.get(at), self.services.get(to)) else { continue };
            let key = format!("call:{}>{}", one.node, other.node);
            if self.draft.find(Kind::Flow, &key).is_none() {
                self.flow(at, to, &comment);
            }
        }
    }

    /// A proxy that reads labels sends to every service that has some for it.
    fn of_labels(&mut self) {
        let is_proxy = |at: &usize| {
            let image = self.services.get(*at).and_then(|s| s.text(&["image"]));
            image.is_some_and(|i| image::routes_by_labels(&i))
        };
        let Some(proxy) = (0..self.services.len()).find(is_proxy) else { return };
        let routed = |at: &usize| {
            let labels: HashSet<&str> = self.services.get(*at).map_or_else(HashSet::new, |s| {
                s.each(&["labels"]).chain(s.each(&["deploy", "labels"])).flat_map(|(_, tree)| labels(tree)).collect()
            });
            labels.iter().any(|l| l.starts_with("traefik.http.") || l.starts_with("traefik.tcp."))
        };
        let routed: Vec<usize> = (0..self.services.len()).filter(|at| *at != proxy && routed(at)).collect();
        for to in routed {
            self.flow(proxy, to, "guessed of the labels for the proxy");
        }
    }

    /// Whoever comes from outside to a port of HTTP.
    fn visitors(&mut self, at: usize) {
        let Some(service) = self.services.get(at).filter(|s| s.exposed && !s.store) else { return };
        let node = service.node.clone();
        let Some(noun) = self.draft.named(Kind::Node, &node) else { return };
        let serves: Vec<(u64, String)> = noun
            .get("serves")
            .and_then(serde_json::Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(|s| Some((s.get("port")?.as_u64()?, s.get("protocol")?.as_str()?.to_owned())))
            .collect();
        let tls = serves.iter().any(|(_, protocol)| protocol == "tls");
        let Some((port, _)) = serves.iter().find(|(_, protocol)| protocol == "http" || protocol == "tls") else {
            return;
        };
        let internet = self.draft.internet();
        let requests = self.requests();
        let visitor = self.draft.node(&self.key("visitor", ""), "anybody");
        visitor.guess("kind", "party", "whoever connects to a published port");
        visitor.guess("zone", internet, "no compose file says who can connect");
        let visitor = visitor.name().to_owned();
        let flow = self.draft.flow(&format!("call:{visitor}>{node}"), &format!("{visitor}-{node}"), &visitor, &node);
        flow.guess_add("carries", requests, "a port of HTTP is published");
        match tls {
            true => flow.guess_via("tls", "1.2", "a port of TLS is published, and at least 1.2 is usual today"),
            false => flow.guess_via(
                "tls",
                "none",
                format!("port {port} is not one of TLS; if a proxy before it speaks TLS, say so"),
            ),
        };
    }
}
