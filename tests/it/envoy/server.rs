//! A real Envoy on loopback, with one filter chain for each policy set. The PROXY protocol gives each connection the addresses
//! it is to have: the destination's address chooses the policy set, its port is the workload's, the source is the original
//! caller. The address of the direct peer is that of the socket, somewhere in 127.0.0.0/8.
use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use control::envoy::{Filters, chains, connection_manager, runtime};
use model::istio::MtlsMode;
use serde_json::{Value, json};

use super::exchange::get;
use crate::eventually::eventually;

/// What one policy set needs of Envoy.
pub(crate) struct Site {
    pub(crate) filters: Filters,
    pub(crate) mode: MtlsMode,
}

/// The address that requests for a policy set are sent to.
pub(crate) fn address(site: usize, tcp: bool) -> Ipv4Addr {
    let [_, _, high, low] = u32::try_from(site).unwrap().to_be_bytes();
    Ipv4Addr::new(10, if tcp { 202 } else { 201 }, high, low)
}

/// Envoy, until dropped.
pub(crate) struct Envoy {
    process: Child,
    /// Where it listens.
    pub(crate) listener: SocketAddr,
}

impl Drop for Envoy {
    fn drop(&mut self) {
        // It may be gone already, which a test has noticed by then.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The binary: `WARD_ENVOY`, or the one that `make test` installs.
fn binary() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    if let Some(path) = std::env::var_os("WARD_ENVOY") {
        return path.into();
    }
    for venv in ["target/peers/venv", "target/bench/venv"] {
        for lib in std::fs::read_dir(root.join(venv).join("lib")).into_iter().flatten().flatten() {
            let path = lib.path().join("site-packages/envoy/_bin/envoy");
            if path.is_file() {
                return path;
            }
        }
    }
    panic!(
        "no Envoy to compare with: run `deploy/install-deps.sh test`, which puts one into target/peers/venv, or set WARD_ENVOY"
    );
}

impl Envoy {
    /// Starts it with these policy sets and waits until it listens.
    pub(crate) fn start(directory: &Path, common: &Value, sites: &[Site]) -> Self {
        let chains: Vec<Value> =
            sites.iter().enumerate().flat_map(|(number, site)| site_chains(number, site, common)).collect();
        let bootstrap = json!({
            "node": { "id": "differential", "cluster": "tests" },
            "admin": { "address": { "socket_address": { "address": "127.0.0.1", "port_value": 0 } } },
            "layered_runtime": { "layers": [{ "name": "istio", "static_layer": runtime() }] },
            "static_resources": { "listeners": [{
                "name": "inbound",
                "address": { "socket_address": { "address": "127.0.0.1", "port_value": 0 } },
                "listener_filters": [
                    listener_filter("envoy.filters.listener.proxy_protocol", "proxy_protocol.v3.ProxyProtocol"),
                    listener_filter("envoy.filters.listener.tls_inspector", "tls_inspector.v3.TlsInspector"),
                ],
                "filter_chains": chains,
            }] },
        });
        let config = directory.join("envoy.json");
        std::fs::write(&config, bootstrap.to_string()).unwrap();
        let admin = directory.join("admin");
        let _ = std::fs::remove_file(&admin);
        let log = std::fs::File::create(directory.join("envoy.log")).unwrap();
        let process = Command::new(binary())
            .arg("--config-path")
            .arg(&config)
            .arg("--admin-address-path")
            .arg(&admin)
            .args(["--disable-hot-restart", "--log-level", "error", "--concurrency", "2"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut envoy = Self { process, listener: SocketAddr::from(([127, 0, 0, 1], 0)) };
        let listener = eventually("Envoy listens", Duration::from_secs(60), || {
            if let Some(status) = envoy.process.try_wait().unwrap() {
                let log = std::fs::read_to_string(directory.join("envoy.log")).unwrap_or_default();
                panic!("Envoy ended ({status}): {log}");
            }
            let admin = std::fs::read_to_string(&admin).map_err(|error| error.to_string())?;
            let listeners = get(admin.trim(), "/listeners?format=json").map_err(|error| error.to_string())?;
            let listeners: Value = serde_json::from_str(&listeners).map_err(|error| error.to_string())?;
            let address = &listeners["listener_statuses"][0]["local_address"]["socket_address"]["port_value"];
            address.as_u64().and_then(|port| u16::try_from(port).ok()).ok_or(format!("no listener yet: {listeners}"))
        });
        envoy.listener.set_port(listener);
        envoy
    }
}

fn listener_filter(name: &str, kind: &str) -> Value {
    let kind = format!("type.googleapis.com/envoy.extensions.filters.listener.{kind}");
    json!({ "name": name, "typed_config": { "@type": kind } })
}

fn site_chains(number: usize, site: &Site, common: &Value) -> Vec<Value> {
    let routes = json!({ "virtual_hosts": [{ "name": "all", "domains": ["*"], "routes": [
        { "match": { "prefix": "" }, "direct_response": { "status": 200 } },
        { "match": { "connect_matcher": {} }, "direct_response": { "status": 200 } },
    ] }] });
    let echo = json!({
        "name": "envoy.filters.network.echo",
        "typed_config": { "@type": "type.googleapis.com/envoy.extensions.filters.network.echo.v3.Echo" },
    });
    let mut out = Vec::new();
    for tcp in [false, true] {
        for chain in chains(site.mode, common) {
            let mut filters = if tcp { site.filters.tcp.clone() } else { Vec::new() };
            filters.push(if tcp { echo.clone() } else { connection_manager(&site.filters, &routes) });
            let mut config = json!({
                "filter_chain_match": {
                    "prefix_ranges": [{ "address_prefix": address(number, tcp), "prefix_len": 32 }],
                    "transport_protocol": chain.transport_protocol,
                },
                "filters": filters,
            });
            if let Some(socket) = chain.transport_socket {
                config["transport_socket"] = socket;
            }
            out.push(config);
        }
    }
    out
}
