//! What must hold before anything is started: programs, users, ports. All problems are told at once.
use std::{
    collections::BTreeMap,
    ffi::OsString,
    net::{IpAddr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
};

use anyhow::bail;

use super::{listening, plan::Spec};
use crate::{
    config::Environment,
    isolation::wrap::{User, resolve},
};

/// What the preflight found out.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The resolved program of each node with `run`.
    pub(crate) programs: BTreeMap<String, OsString>,
    /// Users by login name.
    pub(crate) users: BTreeMap<String, User>,
}

/// Ward's other programs.
#[derive(Clone, Debug)]
pub(crate) struct Siblings {
    /// `ward-control`.
    pub(crate) control: PathBuf,
    /// `ward-proxy`.
    pub(crate) proxy: PathBuf,
}

impl Siblings {
    /// Finds them beside `ward` or in PATH.
    ///
    /// # Errors
    /// Names the missing ones.
    pub(crate) fn find(environment: &Environment) -> anyhow::Result<Self> {
        let (control, proxy) = (environment.sibling("ward-control"), environment.sibling("ward-proxy"));
        match (control, proxy) {
            (Some(control), Some(proxy)) => Ok(Self { control, proxy }),
            (control, proxy) => {
                let missing: Vec<&str> = [("ward-control", control.is_none()), ("ward-proxy", proxy.is_none())]
                    .into_iter()
                    .filter_map(|(name, missing)| missing.then_some(name))
                    .collect();
                let beside = environment.own_dir.as_deref().unwrap_or(Path::new("ward")).display();
                bail!(
                    "{} not found beside `ward` ({beside}) nor in PATH: install it there, or build it with \
                     `cargo build --bins`",
                    missing.join(" and ")
                )
            }
        }
    }
}

/// Checks the programs and users of instances, and that the gateways' ports are free, except those in `held`, which
/// our own gateways listen on already.
///
/// # Errors
/// Lists every problem with its remedy.
pub(crate) async fn check(
    specs: &[Spec],
    dir: &Path,
    environment: &Environment,
    listen_address: IpAddr,
    held: &[u16],
) -> anyhow::Result<Found> {
    let (mut found, mut problems) = (Found::default(), Vec::new());
    let root = rustix::process::geteuid().is_root();
    for spec in specs.iter().filter(|spec| spec.index == 0) {
        let node = &spec.node;
        if let Some(run) = &spec.run {
            let program = run.command.first().map_or("", String::as_str);
            match resolve(dir, program, &environment.path) {
                Ok(program) => drop(found.programs.insert(node.clone(), program)),
                Err(error) => problems.push(format!("nodes.{node}.run.command: {error:#}")),
            }
            // Without root everything runs as the caller, which the table of nodes shows as bypassable anyway.
            if let Some(user) = run.user.as_deref().filter(|_| root) {
                match User::find(user).await {
                    Ok(known) => drop(found.users.insert(user.to_owned(), known)),
                    Err(error) => problems.push(format!("nodes.{node}.run.user: {error:#}")),
                }
            }
        }
        for listen in spec.listen.iter().filter(|listen| !held.contains(&listen.port)) {
            let address = SocketAddr::new(listen_address, listen.port);
            if let Err(error) = TcpListener::bind(address) {
                let by = listening::holder(address).map(|holder| format!(" by {holder}")).unwrap_or_default();
                problems.push(match error.kind() {
                    std::io::ErrorKind::AddrInUse => format!(
                        "nodes.{node}.listen: port {} is in use on {listen_address}{by}: stop that, or change the port",
                        listen.port
                    ),
                    _ => format!("nodes.{node}.listen: cannot listen on {address}: {error}"),
                });
            }
        }
    }
    match problems.as_slice() {
        [] => Ok(found),
        [one] => bail!("{one}\nnothing was started"),
        many => bail!("{} problems, nothing was started:\n  {}", many.len(), many.join("\n  ")),
    }
}
