//! One instance: its place in the network, its sidecar and its application. The place belongs to the instance, so
//! that a sidecar can be restarted under a running application.
use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    net::SocketAddr,
    path::PathBuf,
};

use serde_json::json;
use tokio::sync::watch;

use super::{
    environment::{SidecarConfig, Upstream},
    event::NodeRow,
    plan::Spec,
};
use crate::{
    isolation::Place,
    supervise::{Kept, Program, State},
};

/// A running instance.
#[derive(Debug)]
pub(crate) struct Instance {
    /// What it was started from.
    pub(crate) spec: Spec,
    /// Where it lives.
    pub(crate) place: Place,
    /// Port its application listens on, by the port it declares, in the order declared.
    pub(crate) ports: Vec<(u16, u16)>,
    /// Its sidecar, or the gateway itself.
    pub(crate) sidecar: Kept,
    /// Whether the sidecar is ready now.
    pub(crate) ready: watch::Receiver<bool>,
    /// Whether the last `verify` found nothing wrong with its node.
    pub(crate) verified: Option<bool>,
    /// Its application and what it was started as, for comparison with what a changed model asks for.
    pub(crate) application: Option<(Kept, Started)>,
}

/// What an application was started as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Started {
    /// Wrapped command.
    pub(crate) argv: Vec<OsString>,
    /// Environment.
    pub(crate) env: BTreeMap<String, OsString>,
}

impl From<&Program> for Started {
    fn from(program: &Program) -> Self {
        Self { argv: program.argv.clone(), env: program.env.clone() }
    }
}

impl Instance {
    /// Its row of the table of nodes.
    pub(crate) fn row(&self) -> NodeRow {
        let verified = match self.verified {
            Some(true) => ", verified",
            Some(false) => ", NOT VERIFIED",
            None => "",
        };
        NodeRow {
            instance: self.spec.name(),
            identity: self.spec.identity.clone(),
            state: format!("{}{verified}", self.state()),
            isolation: self.place.isolation.to_string(),
            address: self.place.mesh.to_string(),
        }
    }

    fn state(&self) -> &'static str {
        match (self.sidecar.state(), self.application.as_ref().map(|(kept, _)| kept.state())) {
            (State::Stopped, _) => "stopped",
            (State::Starting | State::Backoff { .. } | State::Finished, _) => "sidecar down",
            (State::Running { .. }, Some(State::Starting | State::Backoff { .. })) => "application down",
            (State::Running { .. }, Some(State::Finished)) => "done",
            (State::Running { .. }, _) if *self.ready.borrow() => "ready",
            (State::Running { .. }, _) => "starting",
        }
    }
}

/// What a sidecar's process settings are made from.
#[derive(Debug)]
pub(crate) struct SidecarSettings<'a> {
    /// The instance.
    pub(crate) spec: &'a Spec,
    /// Its place.
    pub(crate) place: &'a Place,
    /// Its application's ports.
    pub(crate) ports: &'a [(u16, u16)],
    /// The control plane.
    pub(crate) control: SocketAddr,
    /// File with a join token.
    pub(crate) token_file: PathBuf,
    /// Where it keeps its key.
    pub(crate) state_dir: PathBuf,
    /// Where gateway listeners are opened.
    pub(crate) gateway_address: std::net::IpAddr,
}

impl SidecarSettings<'_> {
    /// The file for `ward-proxy --config`; JSON is YAML.
    pub(crate) fn file(&self) -> String {
        let (spec, place) = (self.spec, self.place);
        // A gateway has the whole machine in front of it, a sidecar one application behind it.
        let all = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let mut settings = json!({
            "workers": if spec.role.is_some() { all.min(256) } else { 1 },
            "admin": place.admin,
            "inbound": place.mesh,
            "outbound_address": place.outbound,
            "http_proxy": place.http_proxy,
            "access_log": "stdout",
            "drain_timeout": "8s",
            "control": {
                "address": self.control.to_string(),
                "node": spec.node,
                "instance": spec.name(),
                "token_file": self.token_file,
                "state_dir": self.state_dir,
                "mesh_address": place.mesh.to_string(),
                "isolation": place.isolation.as_str(),
            },
        });
        if let Some(object) = settings.as_object_mut() {
            if spec.role.is_some() {
                object.insert("gateway_address".into(), json!(self.gateway_address));
            }
            let moved: BTreeMap<String, SocketAddr> = self
                .ports
                .iter()
                .filter(|(declared, port)| declared != port)
                .map(|(declared, port)| (declared.to_string(), SocketAddr::from(([127, 0, 0, 1], *port))))
                .collect();
            if !moved.is_empty() {
                object.insert("applications".into(), json!(moved));
            }
        }
        format!("{settings:#}\n")
    }
}

/// Whether a sidecar has opened the local ports that its application is told of.
pub(crate) fn leads_to(config: &SidecarConfig, expected: &[Upstream]) -> bool {
    let key = |upstream: &Upstream| (upstream.node.clone(), upstream.port, upstream.local_port);
    let have: BTreeSet<_> = config.upstreams.iter().map(key).collect();
    expected.iter().all(|upstream| have.contains(&key(upstream)))
}
