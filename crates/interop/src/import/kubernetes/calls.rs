//! Calls: whom a workload calls, by its variables, arguments and settings, and with which secrets.
use std::collections::{BTreeMap, BTreeSet};

use model::tree::Tree;

use super::{
    Modelling,
    address::{Address, addresses, is_address_name, is_own_address_name, is_secret_name, stem},
    image,
    power::hold,
    service::Host,
    workload::{Value, Workload},
};
use crate::draft::{Call, Draft, Kind};

/// Whom somebody calls.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Target {
    /// A workload.
    Workload(usize),
    /// Somebody outside, by host name.
    Host(String),
    /// A node whose address is a secret: what it is, and the Secret and key.
    Hidden(&'static str, String),
}

/// A call and what is known of it.
#[derive(Clone, Debug, Default)]
struct Known {
    port: Option<u16>,
    scheme: Option<String>,
    tls: Option<bool>,
    place: String,
    /// What the names of its address begin with.
    stems: BTreeSet<String>,
    secrets: BTreeSet<String>,
}

type Calls = BTreeMap<Target, Known>;

/// How sure an address must be to count.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Look {
    /// Its name says that it is one.
    Named,
    /// It has a port or a scheme.
    Formed,
    /// Settings in a file: only what leads to something that was read.
    File,
}

impl<'a> Modelling<'a> {
    /// The calls of every workload.
    pub(super) fn calls(&mut self, draft: &mut Draft) {
        for at in 0..self.cluster.workloads.len() {
            let Some(workload) = self.cluster.workloads.get(at).cloned() else { continue };
            let (calls, credentials) = self.calls_of(draft, &workload);
            self.draw_calls(draft, &workload, at, calls, &credentials);
        }
    }

    /// Whom a workload calls, and its credentials: what their names begin with, and their names in the model.
    fn calls_of(&mut self, draft: &mut Draft, workload: &Workload<'a>) -> (Calls, Vec<(String, String)>) {
        let (mut calls, mut credentials) = (Calls::new(), Vec::new());
        let namespace = workload.object.namespace;
        for container in workload.containers() {
            for variable in workload.variables(&self.cluster, container) {
                let place = format!("{} variable {}", variable.place, variable.name);
                match &variable.value {
                    Value::Text(text) => {
                        let look = if is_address_name(&variable.name) { Look::Named } else { Look::Formed };
                        let found: Vec<Address> =
                            match is_own_address_name(&variable.name) || is_secret_name(&variable.name) {
                                true => Vec::new(),
                                false => addresses(text),
                            };
                        let inside = found.iter().any(|a| a.password);
                        for address in found {
                            self.add(&mut calls, workload, &address, look, &place, &variable.name, None);
                        }
                        if inside || is_secret_name(&variable.name) && is_literal(text) {
                            let datum = self.literal(draft, workload, &variable.name, &variable.place);
                            credentials.push((stem(&variable.name), datum));
                        }
                    }
                    Value::Secret(secret, key) => {
                        let datum = self.secret(draft, namespace, secret);
                        let value = self.cluster.secret_value(namespace, secret, key).unwrap_or_default();
                        for address in
                            addresses(&value).into_iter().filter(|a| a.scheme.is_some() && value.len() < 4_096)
                        {
                            let hidden = format!("{namespace}/{secret}#{key}");
                            self.add(
                                &mut calls,
                                workload,
                                &address,
                                Look::Named,
                                &place,
                                &variable.name,
                                Some((&datum, &hidden)),
                            );
                        }
                        if is_secret_name(&variable.name) || is_secret_name(key) {
                            credentials.push((stem(&variable.name), datum));
                        }
                    }
                    Value::AnySecret(_) => {}
                }
            }
            let place = |tree: &Tree| format!("{} arguments", workload.object.place_of(tree));
            let texts = ["command", "args"].iter().flat_map(|k| container.items_at(&[k]));
            let mut flag = "";
            for (tree, text) in texts.filter_map(|t| Some((t, t.text()?))) {
                let (name, value) = text.split_once('=').filter(|(n, _)| n.starts_with('-')).unwrap_or((flag, text));
                let look = if is_address_name(name) && name.starts_with('-') { Look::Named } else { Look::Formed };
                if !is_own_address_name(name) {
                    for address in addresses(value) {
                        self.add(&mut calls, workload, &address, look, &place(tree), name, None);
                    }
                }
                flag = if text.starts_with('-') && !text.contains('=') { text } else { "" };
            }
        }
        for map in workload.mounted() {
            let Some(object) = self.cluster.configs.get(&(namespace, map)) else { continue };
            for (file, text) in object.tree.get("data").map_or(&[][..], Tree::entries) {
                let place = format!("{} ConfigMap {map}, {file}", object.place_of(text));
                for address in addresses(text.text().unwrap_or_default()) {
                    self.add(&mut calls, workload, &address, Look::File, &place, "", None);
                }
            }
        }
        (calls, credentials)
    }

    #[expect(clippy::too_many_arguments, reason = "each is another word of one call")]
    fn add(
        &self,
        calls: &mut Calls,
        workload: &Workload<'a>,
        address: &Address,
        look: Look,
        place: &str,
        name: &str,
        secret: Option<(&String, &String)>,
    ) {
        let namespace = workload.object.namespace;
        let formed = address.port.is_some() || address.scheme.is_some();
        let mut targets: Vec<(Target, Option<u16>)> = Vec::new();
        match self.cluster.host(&address.host, namespace) {
            // A word that happens to be the name of a Service is no address.
            Host::Service(_) if look != Look::Named && !formed && !address.host.contains('.') => return,
            Host::Service(at) => {
                let Some(service) = self.cluster.services.get(at) else { return };
                for target in &service.targets {
                    let Some(other) = self.cluster.workloads.get(*target) else { continue };
                    targets.push((Target::Workload(*target), service.behind(address.port, other)));
                }
                if service.targets.is_empty() && secret.is_none() {
                    targets.push((Target::Host(address.host.clone()), address.port));
                }
            }
            Host::Local | Host::Api => return,
            _ if look == Look::File => return,
            Host::Elsewhere(host) => targets.push((Target::Host(host.to_owned()), address.port)),
            Host::Unknown => match secret {
                // Part of a secret is a secret: it is told apart by where it stands.
                Some((_, key)) => {
                    let Some(kind) = address.scheme.as_deref().and_then(image::store_scheme) else { return };
                    targets.push((Target::Hidden(kind, key.clone()), address.port));
                }
                // Outside, an address is one with a scheme, or a name with a port under a name that says so.
                None => {
                    let web = address.scheme.is_some() && address.host.contains('.');
                    let told = look == Look::Named && address.port.is_some();
                    let plain = look == Look::Named
                        && address.host.contains('.')
                        && !address.host.ends_with(|c: char| c.is_ascii_digit());
                    if !(web || told || plain) {
                        return;
                    }
                    targets.push((Target::Host(address.host.clone()), address.port));
                }
            },
        }
        for (target, port) in targets {
            let known = calls.entry(target).or_insert_with(|| Known { place: place.to_owned(), ..Known::default() });
            known.port = known.port.or(port);
            known.scheme = known.scheme.take().or_else(|| address.scheme.clone());
            known.tls = known.tls.or(address.tls);
            if !name.is_empty() {
                known.stems.insert(stem(name));
            }
            if let Some((datum, _)) = secret {
                known.secrets.insert(datum.clone());
            }
        }
    }

    /// A credential that stands in the manifest itself.
    fn literal(&self, draft: &mut Draft, workload: &Workload<'_>, variable: &str, place: &str) -> String {
        let key = format!("k8s:literal/{}/{variable}", workload.node);
        let datum = draft.data(&key, &format!("{}-{variable}", workload.node));
        datum.guess("class", "secret", "its name says so");
        datum.comment(format!("{place}: the manifest has it in plain text"));
        let datum = datum.name().to_owned();
        hold(draft, &workload.node, &datum);
        datum
    }

    fn draw_calls(
        &mut self,
        draft: &mut Draft,
        workload: &Workload<'a>,
        from: usize,
        calls: Calls,
        credentials: &[(String, String)],
    ) {
        // One store that is called, and a credential that goes with nothing else: they belong together.
        let stores = calls.keys().filter(|t| self.is_store(t)).count();
        let stems: BTreeSet<String> = calls.values().flat_map(|k| k.stems.iter().cloned()).collect();
        for (target, mut known) in calls {
            let store = self.is_store(&target);
            for (stem, datum) in credentials {
                let fits = known.stems.contains(stem) && !stem.is_empty();
                let own = match &target {
                    Target::Workload(at) => self.starts_with(draft, *at, datum),
                    _ => false,
                };
                let only = store && stores == 1 && !stems.contains(stem) && self.is_database_word(&target, stem);
                if fits || own || only {
                    known.secrets.insert(datum.clone());
                }
            }
            match &target {
                Target::Workload(to) if *to == from => {}
                Target::Workload(to) => self.draw_call(draft, workload, from, *to, &known),
                Target::Host(host) => draft.calls(Call {
                    from: workload.node.clone(),
                    host: host.clone(),
                    port: known.port,
                    scheme: known.scheme.clone(),
                    place: known.place.clone(),
                    // Whether the wire outside is encrypted must be known before anybody says that a secret is on it.
                    secrets: match known.scheme.as_deref() {
                        Some("https" | "rediss" | "amqps" | "mongodb+srv") => known.secrets.into_iter().collect(),
                        _ => Vec::new(),
                    },
                }),
                Target::Hidden(kind, key) => {
                    let zone = draft.zone("k8s:network", "network");
                    zone.comment("around the cluster: what is called by addresses that Secrets hold");
                    let zone = zone.name().to_owned();
                    let store = draft.node(&format!("k8s:hidden/{key}"), kind);
                    store.set("kind", "store").guess(
                        "zone",
                        zone.as_str(),
                        "its address is in a Secret; where it is nobody says",
                    );
                    store.comment(format!("called by {}, with an address from a Secret", known.place));
                    store.guess("auth", "password", "the address comes with a credential");
                    let store = store.name().to_owned();
                    let data = self.kept_by(draft, &store);
                    self.read_by(draft, &workload.node, &data);
                    let key = format!("k8s:{}>{store}", workload.node);
                    let flow = draft.flow(&key, &format!("{}-{store}", workload.node), &workload.node, &store);
                    flow.add("carries", data.as_str())
                        .add("returns", data.as_str())
                        .comment(format!("from {}", known.place));
                    let flow = flow.name().to_owned();
                    self.protect(draft, &flow, &known);
                    self.present(draft, &flow, &store, &known);
                }
            }
        }
    }

    fn is_store(&self, target: &Target) -> bool {
        match target {
            Target::Workload(at) => self.cluster.workloads.get(*at).is_some_and(|w| w.store.is_some()),
            Target::Hidden(..) => true,
            Target::Host(_) => false,
        }
    }

    fn draw_call(&mut self, draft: &mut Draft, workload: &Workload<'a>, from: usize, to: usize, known: &Known) {
        let Some(target) = self.cluster.workloads.get(to).cloned() else { return };
        if !self.cluster.may(workload, &target, known.port) {
            let what = format!("`{}` calls `{}`", workload.node, target.node);
            draft.left_out(known.place.as_str(), what, "no NetworkPolicy lets it");
            return;
        }
        let flow = self.connect(draft, (&workload.node, Some(from)), to, known.port, &format!("from {}", known.place));
        let secure = target.ports.iter().any(|p| Some(p.number) == known.port && p.protocol == "tls");
        let known = Known { tls: known.tls.or(secure.then_some(true)), ..known.clone() };
        self.protect(draft, &flow, &known);
        self.present(draft, &flow, &target.node, &known);
    }

    fn protect(&self, draft: &mut Draft, flow: &str, known: &Known) {
        let Some(flow) = draft.named(Kind::Flow, flow) else { return };
        let scheme = known.scheme.as_deref().unwrap_or_default();
        match (known.tls, scheme) {
            (Some(true), _) | (None, "https" | "rediss" | "amqps" | "mongodb+srv" | "grpcs" | "wss") => {
                _ = flow.guess_via("tls", "1.2", "it is told to speak TLS, and at least 1.2 today");
            }
            (Some(false), _) | (None, "http" | "redis" | "amqp" | "ws") => _ = flow.via("tls", "none"),
            _ => {}
        }
    }

    /// The secrets that go with a call.
    fn present(&self, draft: &mut Draft, flow: &str, to: &str, known: &Known) {
        for secret in &known.secrets {
            if let Some(flow) = draft.named(Kind::Flow, flow) {
                flow.guess_add("carries", secret.as_str(), "it is given to the caller, and it is for what is called");
            }
            if let Some(datum) = draft.named(Kind::Data, secret) {
                datum.guess_add("opens", to, format!("it goes with {}", known.place));
            }
        }
    }

    /// Whether a workload is started with a credential, and so lets in who has it.
    fn starts_with(&self, draft: &Draft, workload: usize, datum: &str) -> bool {
        let Some(workload) = self.cluster.workloads.get(workload).filter(|w| w.store.is_some()) else { return false };
        let Some(noun) = draft.all(Kind::Node).iter().find(|n| n.name() == workload.node) else { return false };
        noun.list("reads").any(|r| r == datum)
    }

    /// Whether a word is one that everybody uses for such a store: `POSTGRES`, `DB`.
    fn is_database_word(&self, target: &Target, stem: &str) -> bool {
        let kind = match target {
            Target::Workload(at) => self.cluster.workloads.get(*at).and_then(|w| w.store.as_ref()).map(|(k, _)| *k),
            Target::Hidden(kind, _) => Some(*kind),
            Target::Host(_) => None,
        };
        let stem = stem.to_ascii_lowercase();
        matches!(stem.as_str(), "db" | "database" | "pg" | "password") || kind.is_some_and(|k| stem.contains(k))
    }

    /// Stores that are started with a password ask for it, and it opens them.
    pub(super) fn passwords(&mut self, draft: &mut Draft) {
        for at in 0..self.cluster.workloads.len() {
            let Some(workload) = self.cluster.workloads.get(at).filter(|w| w.store.is_some()).cloned() else {
                continue;
            };
            for container in workload.pod.items_at(&["containers"]) {
                let flags =
                    container.items_at(&["args"]).iter().chain(container.items_at(&["command"])).filter_map(Tree::text);
                let by_flag = flags.into_iter().any(|f| f.contains("requirepass") || f == "--auth");
                let mut asks = by_flag;
                for variable in workload.variables(&self.cluster, container) {
                    if !is_secret_name(&variable.name) {
                        continue;
                    }
                    let datum = match &variable.value {
                        Value::Secret(secret, _) => self.secret(draft, workload.object.namespace, secret),
                        Value::Text(text) if is_literal(text) => {
                            self.literal(draft, &workload, &variable.name, &variable.place)
                        }
                        _ => continue,
                    };
                    asks = true;
                    if let Some(datum) = draft.named(Kind::Data, &datum) {
                        datum.guess_add(
                            "opens",
                            workload.node.as_str(),
                            format!("it is started with it, as {}", variable.name),
                        );
                    }
                }
                if let Some(node) = draft.named(Kind::Node, &workload.node).filter(|_| asks) {
                    node.set("auth", "password");
                }
            }
        }
    }
}

/// Whether a text can be a credential: not a reference to one, a path, a switch or a placeholder.
fn is_literal(text: &str) -> bool {
    let text = text.trim();
    let reference = text.starts_with('/') || text.contains("$(") || text.contains("${") || text.contains("://");
    !(text.len() < 3 || reference || matches!(text, "true" | "false" | "null" | "none") || text.starts_with('<'))
}
