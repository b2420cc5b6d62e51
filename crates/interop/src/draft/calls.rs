//! Calls: an address that one source says is called, joined to the node that another says answers there.
use std::collections::HashMap;

use super::{Draft, Kind, Noun};

/// A node calls an address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Call {
    /// The caller's name in the model.
    pub from: String,
    /// Host name or address, as written.
    pub host: String,
    /// Port, where one is written.
    pub port: Option<u16>,
    /// The scheme or protocol where one is written: `https`, `postgres`.
    pub scheme: Option<String>,
    /// What it is written in: `app.yaml:31 env DATABASE_URL`.
    pub place: String,
    /// Secrets that go with it, by their names in the model.
    pub secrets: Vec<String>,
}

impl Draft {
    /// Makes a flow of each call whose address is known; the others are told, or lead to a node outside.
    pub(super) fn join(&mut self) {
        let ends = |f: &Noun| Some((f.text("from")?.to_owned(), f.text("to")?.to_owned()));
        // The first flow between two nodes stands for what is called between them.
        let mut flows: HashMap<(String, String), String> = HashMap::new();
        for flow in self.all(Kind::Flow) {
            if let Some(ends) = ends(flow) {
                flows.entry(ends).or_insert_with(|| flow.name().to_owned());
            }
        }
        for call in std::mem::take(&mut self.calls) {
            let known = self.answering(&call);
            let is_outside = known.is_none()
                || known
                    .as_ref()
                    .is_some_and(|to| self.find(Kind::Node, &host_key(&call)).is_some_and(|n| n.name() == to));
            let Some(to) = known.or_else(|| self.outside(&call)) else {
                let what = format!("`{}` calls `{}`", call.from, call.host);
                let why = "nothing that was read answers there: import that too, or write the flow";
                self.left_out(call.place, what, why);
                continue;
            };
            if to == call.from {
                continue;
            }
            let between = (call.from.clone(), to.clone());
            let name = match flows.get(&between) {
                Some(flow) => flow.clone(),
                None => {
                    let wanted = format!("{}-{to}", call.from);
                    let key = format!("call:{}>{to}", call.from);
                    let flow = self.flow(&key, &wanted, &call.from, &to);
                    let name = flow.comment(format!("from {}", call.place)).name().to_owned();
                    flows.insert(between, name.clone());
                    name
                }
            };
            let stated = secure(&call);
            let outbound = (is_outside && stated.is_some()).then(|| self.outbound());
            let Some(flow) = self.named(Kind::Flow, &name) else { continue };
            if let Some(outbound) = outbound.filter(|_| flow.get("carries").is_none()) {
                flow.guess_add("carries", outbound, "what is sent there is not in what was read");
            }
            match stated {
                Some(true) => {
                    _ = flow.guess_via(
                        "tls",
                        "1.2",
                        format!("`{}`, and at least 1.2 today", call.scheme.as_deref().unwrap_or("tls")),
                    )
                }
                Some(false) => _ = flow.via("tls", "none"),
                None => {}
            }
            for secret in &call.secrets {
                flow.guess_add("carries", secret.as_str(), "it is given to the caller, and it is for what is called");
            }
            for secret in &call.secrets {
                if let Some(datum) = self.named(Kind::Data, secret) {
                    datum.guess_add("opens", to.as_str(), format!("it goes with {}", call.place));
                }
            }
        }
    }

    fn answering(&self, call: &Call) -> Option<String> {
        let host = call.host.to_ascii_lowercase();
        let at = |host: &str, port| self.answers.get(&(host.to_owned(), port)).cloned();
        let host = host.trim_end_matches('.');
        at(host, call.port).or_else(|| at(host, None))
    }

    /// What is sent to nodes that are only known by their address.
    fn outbound(&mut self) -> String {
        let datum = self.data("outbound", "outbound");
        datum.comment("what is sent to others: say what that is, and how sensitive");
        datum.name().to_owned()
    }

    /// What answers at an address outside of what was read: a node that nothing is known about, where the name is a public one.
    fn outside(&mut self, call: &Call) -> Option<String> {
        let top = call.host.trim_end_matches('.').rsplit_once('.').map(|(_, top)| top)?;
        let inner = ["local", "internal", "svc", "cluster", "localhost", "lan"];
        if top.len() < 2 || !top.bytes().all(|b| b.is_ascii_alphabetic()) || inner.contains(&top) {
            return None;
        }
        let zone = self.internet();
        let node = self.node(&host_key(call), &call.host);
        node.set("kind", "service").set("zone", zone);
        node.comment(format!("called by {}; what runs there is not in what was read", call.place));
        let name = node.name().to_owned();
        self.answers(&name, &call.host, None);
        Some(name)
    }
}

/// The key of a node that is only known by its address.
fn host_key(call: &Call) -> String {
    format!("host:{}", call.host.to_ascii_lowercase())
}

fn secure(call: &Call) -> Option<bool> {
    match call.scheme.as_deref()? {
        "https" | "rediss" | "amqps" | "mqtts" | "ldaps" | "wss" | "grpcs" | "mongodb+srv" => Some(true),
        "http" | "redis" | "amqp" | "mqtt" | "ldap" | "ws" | "ftp" => Some(false),
        _ => None,
    }
}
