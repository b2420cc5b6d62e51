//! The environment of an application, and what a sidecar says its configuration is. Pure.
use std::{collections::BTreeMap, ffi::OsString, net::IpAddr, path::Path};

use serde::Deserialize;

use crate::{config::Environment, isolation::Place, isolation::wrap::User, supervise::marks::Marks};

/// What a sidecar answers to `GET /config` on its admin port, as far as it is needed here; empty before it has one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct SidecarConfig {
    /// Ports its application serves.
    #[serde(default)]
    pub(crate) services: Vec<Service>,
    /// Where its application may connect to.
    #[serde(default)]
    pub(crate) upstreams: Vec<Upstream>,
}

/// A served port.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Service {
    /// As declared.
    pub(crate) port: u16,
}

/// A port of another node that a sidecar leads to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Upstream {
    /// Its node.
    pub(crate) node: String,
    /// Its port there.
    pub(crate) port: u16,
    /// http, grpc, tcp, …
    #[serde(default)]
    pub(crate) protocol: String,
    /// Its port here; 0 is none.
    #[serde(default)]
    pub(crate) local_port: u16,
}

impl Upstream {
    fn is_http(&self) -> bool {
        matches!(self.protocol.as_str(), "" | "http" | "grpc")
    }
}

/// Everything an application's environment is made from.
#[derive(Debug)]
pub(crate) struct Facts<'a> {
    /// Our own environment.
    pub(crate) ours: &'a Environment,
    /// Where the sidecar's ports are.
    pub(crate) place: &'a Place,
    /// Upstreams of the sidecar.
    pub(crate) upstreams: &'a [Upstream],
    /// Ports the application listens on, by the port it declares; the first is `PORT`.
    pub(crate) ports: &'a [(u16, u16)],
    /// The user it runs as, when the model names one.
    pub(crate) user: Option<&'a User>,
    /// Directory it may keep data in.
    pub(crate) data: Option<&'a Path>,
    /// `run.env`.
    pub(crate) declared: &'a BTreeMap<String, String>,
}

/// The environment of an application. What the model declares wins over what is passed on, and loses against what
/// Ward sets: a service must not be configured around its sidecar by mistake.
pub(crate) fn of_application(facts: &Facts<'_>) -> BTreeMap<String, OsString> {
    let mut env = facts.ours.passed.clone();
    env.insert("PATH".into(), facts.ours.path.clone());
    match facts.user {
        Some(user) => {
            env.insert("HOME".into(), user.home.clone().into_os_string());
            env.insert("USER".into(), user.name.clone().into());
            env.insert("LOGNAME".into(), user.name.clone().into());
        }
        None => env.extend(facts.ours.home.clone().map(|home| ("HOME".to_owned(), home))),
    }
    // Where only the sidecar calls, for programs that ask; both isolation modes deliver to 127.0.0.1.
    env.insert("HOST".into(), "127.0.0.1".into());
    if let Some(data) = facts.data {
        env.insert("WARD_DATA_DIR".into(), data.as_os_str().to_owned());
    }
    env.extend(facts.declared.iter().map(|(name, value)| (name.clone(), value.into())));
    if let Some((_, port)) = facts.ports.first() {
        env.insert("PORT".into(), port.to_string().into());
    }
    if facts.ports.len() > 1 {
        env.extend(facts.ports.iter().map(|(declared, port)| (format!("PORT_{declared}"), port.to_string().into())));
    }
    let proxy = OsString::from(format!("http://{}", facts.place.http_proxy));
    env.insert("HTTP_PROXY".into(), proxy.clone());
    env.insert("http_proxy".into(), proxy);
    // The local ports of the sidecar are reached directly, by address.
    let direct = no_proxy(facts.place.outbound);
    env.insert("NO_PROXY".into(), direct.clone().into());
    env.insert("no_proxy".into(), direct.into());
    env.extend(addresses(facts.upstreams, facts.place.outbound).into_iter().map(|(name, value)| (name, value.into())));
    env
}

fn no_proxy(outbound: IpAddr) -> String {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    if !names.contains(&outbound.to_string()) {
        names.push(outbound.to_string());
    }
    names.join(",")
}

/// `WARD_<NODE>_URL` for HTTP and `WARD_<NODE>_ADDR` for anything else, for the first port of each node; nodes with
/// several ports have `WARD_<NODE>_<PORT>_…` for each of them too.
pub(crate) fn addresses(upstreams: &[Upstream], outbound: IpAddr) -> BTreeMap<String, String> {
    let mut env = BTreeMap::new();
    let mut sorted: Vec<&Upstream> = upstreams.iter().filter(|upstream| upstream.local_port != 0).collect();
    sorted.sort_by_key(|upstream| (upstream.node.as_str(), upstream.port));
    for upstream in &sorted {
        let node = upstream.node.to_uppercase().replace('-', "_");
        let address = std::net::SocketAddr::new(outbound, upstream.local_port);
        let (suffix, value) =
            if upstream.is_http() { ("URL", format!("http://{address}")) } else { ("ADDR", address.to_string()) };
        env.entry(format!("WARD_{node}_{suffix}")).or_insert_with(|| value.clone());
        if sorted.iter().filter(|other| other.node == upstream.node).count() > 1 {
            env.insert(format!("WARD_{node}_{}_{suffix}", upstream.port), value);
        }
    }
    env
}

/// The environment of Ward's own programs.
pub(crate) fn of_own(ours: &Environment, state: &Path, label: &str) -> BTreeMap<String, OsString> {
    let mut env = ours.passed.clone();
    env.insert("PATH".into(), ours.path.clone());
    Marks::set(&mut env, state, label);
    env
}
