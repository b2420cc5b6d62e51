//! Where an instance lives: its own network namespace behind a bridge (as root on Linux), or its own loopback
//! addresses, in which case whoever is on the machine can go round the sidecar and the node is called `bypassable`.
//! Also how its programs are wrapped, so that an application never holds a privilege it could use against its sidecar.
pub(crate) mod loopback;
pub(crate) mod netns;
mod reach;
#[cfg(test)]
mod tests;
pub(crate) mod tools;
pub(crate) mod wrap;

use std::{
    fmt,
    fs::{self, DirBuilder, File, TryLockError},
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use clap::ValueEnum;

/// Mesh port of every sidecar.
pub(crate) const MESH_PORT: u16 = 15008;
/// Admin port of a sidecar.
pub(crate) const ADMIN_PORT: u16 = 15000;
/// HTTP proxy port of a sidecar.
pub(crate) const HTTP_PROXY_PORT: u16 = 15001;
/// Port of the control plane, when it is free.
pub(crate) const CONTROL_PORT: u16 = 15012;

/// What the operator asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Choice {
    /// Network namespaces as root, else loopback addresses
    Auto,
    /// A network namespace per instance (needs root, iproute2, nftables)
    Netns,
    /// Loopback addresses; nodes are `bypassable`
    Loopback,
}

/// How far an instance is kept apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Isolation {
    /// Own network namespace: only the sidecar's mesh port can be reached.
    Netns,
    /// Own loopback addresses: anyone on the machine reaches the application.
    Loopback,
    /// A gateway: runs in the host's namespace and has no application behind it.
    Host,
}

impl Isolation {
    /// The word the sidecar reports.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Netns => "netns",
            Self::Loopback => "loopback",
            Self::Host => "host",
        }
    }
}

impl fmt::Display for Isolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loopback => f.write_str("loopback, bypassable"),
            other => f.write_str(other.as_str()),
        }
    }
}

/// The addresses of one instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// How it is kept apart.
    pub(crate) isolation: Isolation,
    /// Name of its network namespace, when it has one.
    pub(crate) netns: Option<String>,
    /// Mesh address: where peers reach its sidecar.
    pub(crate) mesh: SocketAddr,
    /// The sidecar's admin address, seen from inside.
    pub(crate) admin: SocketAddr,
    /// Where the sidecar opens its local ports.
    pub(crate) outbound: IpAddr,
    /// The sidecar's HTTP proxy.
    pub(crate) http_proxy: SocketAddr,
}

impl Place {
    fn new(isolation: Isolation, netns: Option<String>, mesh: Ipv4Addr, local: Ipv4Addr) -> Self {
        let at = |ip: Ipv4Addr, port| SocketAddr::from((ip, port));
        Self {
            isolation,
            netns,
            mesh: at(mesh, MESH_PORT),
            admin: at(local, ADMIN_PORT),
            outbound: local.into(),
            http_proxy: at(local, HTTP_PROXY_PORT),
        }
    }
}

/// The network of one `ward up`.
#[derive(Debug)]
pub(crate) enum Network {
    /// A bridge and a namespace per instance.
    Netns(netns::Network),
    /// A block of loopback addresses.
    Loopback(loopback::Network),
}

impl Network {
    /// Decides the kind of isolation and why; no side effects.
    ///
    /// # Errors
    /// Namespaces are asked for, or due, and something for them is missing; the error names it and the remedy.
    pub(crate) fn decide(choice: Choice) -> anyhow::Result<(Isolation, Option<String>)> {
        let root = rustix::process::geteuid().is_root();
        let able = root && wrap::can_make_namespaces();
        match (choice, able) {
            (Choice::Loopback, _) => Ok((Isolation::Loopback, None)),
            (Choice::Netns, false) => bail!(
                "--isolation netns needs root with CAP_NET_ADMIN and CAP_SYS_ADMIN: run as root, or use --isolation loopback"
            ),
            (Choice::Auto, false) => {
                let why = if root {
                    "root here lacks CAP_NET_ADMIN or CAP_SYS_ADMIN"
                } else {
                    "not root: run as root for a network namespace per instance"
                };
                Ok((Isolation::Loopback, Some(why.to_owned())))
            }
            (Choice::Auto | Choice::Netns, true) => {
                tools::require(&[tools::IP, tools::NFT, tools::SETPRIV, tools::MOUNT])?;
                Ok((Isolation::Netns, None))
            }
        }
    }

    /// Takes a free network, locked by a file in `locks`; leftovers of a killed `ward up` are removed. `owner` is
    /// written on what is made.
    ///
    /// # Errors
    /// No network is free, or it cannot be made.
    pub(crate) async fn open(isolation: Isolation, locks: &Path, owner: &Path) -> anyhow::Result<Self> {
        match isolation {
            Isolation::Netns => Ok(Self::Netns(netns::Network::open(locks, owner).await?)),
            Isolation::Loopback | Isolation::Host => Ok(Self::Loopback(loopback::Network::open(locks)?)),
        }
    }

    /// Where the control plane listens.
    pub(crate) fn control(&self) -> SocketAddr {
        match self {
            Self::Netns(network) => network.control(),
            Self::Loopback(network) => network.control(),
        }
    }

    /// Makes a place for an instance. A gateway gets one in the host's namespace.
    ///
    /// # Errors
    /// The addresses are used up, or the namespace cannot be made.
    pub(crate) async fn add(&mut self, instance: &str, gateway: bool) -> anyhow::Result<Place> {
        match self {
            Self::Netns(network) if gateway => network.add_gateway(instance).await,
            Self::Netns(network) => network.add(instance).await,
            Self::Loopback(network) => network.add(instance, gateway),
        }
    }

    /// Gives the place of a stopped instance back.
    ///
    /// # Errors
    /// Something of it cannot be removed.
    pub(crate) async fn remove(&mut self, instance: &str) -> anyhow::Result<()> {
        match self {
            Self::Netns(network) => network.remove(instance).await,
            Self::Loopback(network) => {
                network.remove(instance);
                Ok(())
            }
        }
    }

    /// Removes everything that was made, as far as that is possible.
    ///
    /// # Errors
    /// What could not be removed.
    pub(crate) async fn close(&mut self) -> anyhow::Result<()> {
        match self {
            Self::Netns(network) => network.close().await,
            Self::Loopback(_) => Ok(()),
        }
    }
}

/// The directory for locks and sockets of running programs: `/run/ward` for root, else below `XDG_RUNTIME_DIR`.
pub(crate) fn runtime_dir(xdg_runtime_dir: Option<&Path>) -> PathBuf {
    let user = rustix::process::geteuid();
    match xdg_runtime_dir {
        _ if user.is_root() => PathBuf::from("/run/ward"),
        Some(dir) => dir.join("ward"),
        None => PathBuf::from(format!("/tmp/ward-{}", user.as_raw())),
    }
}

/// Makes a directory with these permissions, and its parents with the usual ones; one that is there is left as it is.
///
/// # Errors
/// It cannot be made.
pub(crate) fn make_dir(dir: &Path, mode: u32) -> anyhow::Result<()> {
    if let Some(parent) = dir.parent() {
        fs::create_dir_all(parent).with_context(|| format!("cannot make the directory {}", parent.display()))?;
    }
    match DirBuilder::new().mode(mode).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(error).with_context(|| format!("cannot make the directory {}", dir.display()))
        }
        _ => Ok(()),
    }
}

/// Makes the directory for locks and sockets, and makes sure that it is ours alone to write: below /tmp anybody could
/// have made it first.
///
/// # Errors
/// It cannot be made, or belongs to somebody else.
pub(crate) fn make_runtime_dir(dir: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::MetadataExt as _;
    make_dir(dir, if rustix::process::geteuid().is_root() { 0o755 } else { 0o700 })?;
    let meta = fs::symlink_metadata(dir).with_context(|| format!("cannot look at {}", dir.display()))?;
    if !meta.is_dir() || meta.uid() != rustix::process::geteuid().as_raw() || meta.mode() & 0o022 != 0 {
        bail!("{} is not a directory that only we can write to: remove it, or set XDG_RUNTIME_DIR", dir.display());
    }
    Ok(())
}

/// Takes a lock that lasts as long as the file is open, so that it ends with the process however that ends; `None`
/// when another process holds it.
///
/// # Errors
/// The file cannot be opened or locked.
pub(crate) fn lock(path: &Path) -> anyhow::Result<Option<File>> {
    let cannot = || format!("cannot lock {}", path.display());
    let file = crate::supervise::append_to(path).with_context(cannot)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error).with_context(cannot),
    }
}

/// A port on this address that can be listened on: the one wished for, else any free one.
pub(crate) fn free_port(ip: IpAddr, wish: u16) -> io::Result<SocketAddr> {
    std::net::TcpListener::bind((ip, wish))
        .or_else(|_| std::net::TcpListener::bind((ip, 0)))
        .and_then(|listener| listener.local_addr())
}
