//! Network namespaces: a bridge `ward<N>` with 10.201.N.0/24, and for each instance a namespace `ward<N>-<instance>`
//! joined to it by a veth pair. A filter in each namespace lets in only the sidecar's mesh port, and lets out only what
//! goes to the mesh. There is no route to anywhere else, and no address translation.
//!
//! Everything made here carries its mark: the names, and on links the alias `ward up <state directory>`. Only what
//! carries it, and whose number nobody holds the lock of, is ever removed.
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::Path,
    time::Duration,
};

use anyhow::{Context as _, bail};
use rustix::{
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
    thread::{LinkNameSpaceType, move_into_link_name_space},
};
use tokio::sync::oneshot;

use super::{
    CONTROL_PORT, Isolation, MESH_PORT, Place, free_port, lock,
    loopback::lowest_free,
    tools::{self, IP, NFT},
};

/// What the alias of our links starts with.
const ALIAS: &str = "ward up ";
/// Numbers of gateways, which live on the bridge itself; .1 is the control plane.
const GATEWAYS: std::ops::RangeInclusive<u8> = 2..=31;
/// Numbers of instances.
const INSTANCES: std::ops::RangeInclusive<u8> = 32..=254;

/// A bridge and the namespaces on it, ours while the lock is held.
#[derive(Debug)]
pub(crate) struct Network {
    number: u8,
    alias: String,
    control: SocketAddr,
    gateways: BTreeMap<String, u8>,
    instances: BTreeMap<String, u8>,
    _lock: File,
}

impl Network {
    /// Removes what killed runs left behind, takes the first free number and makes its bridge.
    pub(super) async fn open(dir: &Path, owner: &Path) -> anyhow::Result<Self> {
        let lock_of = |number: u8| lock(&dir.join(format!("net-{number}.lock")));
        let ours = Leftovers::look().await?;
        for number in ours.numbers() {
            if let Some(_held) = lock_of(number)? {
                ours.remove(number).await?;
            }
        }
        let mut taken_by_others = 0_u32;
        for number in 0..=255 {
            let Some(lock) = lock_of(number)? else { continue };
            if used_elsewhere(number).await? {
                taken_by_others += 1;
                continue;
            }
            // The alias is limited to 255 bytes (IFALIASZ).
            let alias: String = format!("{ALIAS}{}", owner.display()).chars().take(120).collect();
            let control = SocketAddr::from((address(number, 1), CONTROL_PORT));
            let (gateways, instances) = (BTreeMap::new(), BTreeMap::new());
            let mut network = Self { number, alias, control, gateways, instances, _lock: lock };
            if let Err(error) = network.make_bridge().await {
                // Half a bridge helps nobody; the first error is the one to show.
                let _ = network.close().await;
                return Err(error);
            }
            return Ok(network);
        }
        bail!(
            "no free network in 10.201.0.0/16 for the bridge ({taken_by_others} of 256 are used by other interfaces): \
             stop another `ward up`, or use --isolation loopback"
        )
    }

    async fn make_bridge(&mut self) -> anyhow::Result<()> {
        let (bridge, ip) = (self.bridge(), address(self.number, 1));
        let made = tools::call(IP, &["link", "add", "name", &bridge, "type", "bridge"], "").await;
        made.context("cannot make the bridge of the mesh")?;
        tools::call(IP, &["link", "set", "dev", &bridge, "alias", &self.alias], "").await?;
        tools::call(IP, &["link", "set", "dev", &bridge, "addrgenmode", "none"], "").await?;
        tools::call(IP, &["address", "add", &format!("{ip}/24"), "dev", &bridge], "").await?;
        tools::call(IP, &["link", "set", "dev", &bridge, "up"], "").await?;
        self.control = free_port(ip.into(), CONTROL_PORT)
            .with_context(|| format!("no port is free on {ip} for the control plane"))?;
        Ok(())
    }

    pub(super) fn control(&self) -> SocketAddr {
        self.control
    }

    /// A gateway gets an address of its own on the bridge; its local ports are on the host's loopback, where no
    /// namespace can reach them.
    pub(super) async fn add_gateway(&mut self, instance: &str) -> anyhow::Result<Place> {
        let number = lowest_free(&self.gateways, GATEWAYS).context("30 gateways are the most of one `ward up`")?;
        self.gateways.insert(instance.to_owned(), number);
        let ip = address(self.number, number);
        tools::call(IP, &["address", "add", &format!("{ip}/32"), "dev", &self.bridge()], "").await?;
        Ok(Place::new(Isolation::Host, None, ip, Ipv4Addr::new(127, 201, self.number, number)))
    }

    pub(super) async fn add(&mut self, instance: &str) -> anyhow::Result<Place> {
        let number = lowest_free(&self.instances, INSTANCES)
            .context("223 instances are the most that one `ward up` runs: lower `replicas`")?;
        self.instances.insert(instance.to_owned(), number);
        let (netns, link) = (self.netns(instance), self.link(number));
        let ip = address(self.number, number);
        let cannot = || format!("cannot make the network namespace of {instance}");
        tools::call(IP, &["netns", "add", &netns], "").await.with_context(cannot)?;
        // The filter stands before the link does.
        let filter = filter(self.number, self.control.port());
        tools::call(IP, &["netns", "exec", &netns, NFT.program, "-f", "-"], &filter)
            .await
            .with_context(|| format!("cannot filter the network namespace of {instance}"))?;
        let pair = ["link", "add", "name", &link, "type", "veth", "peer", "name", "eth0", "netns", &netns];
        tools::call(IP, &pair, "").await.with_context(cannot)?;
        let inside = format!(
            "link set dev lo up\nlink set dev eth0 addrgenmode none\naddress add {ip}/24 dev eth0\nlink set dev eth0 up\n"
        );
        tools::call(IP, &["-n", &netns, "-batch", "-"], &inside).await.with_context(cannot)?;
        let outside = ["link", "set", "dev", &link, "master", &self.bridge(), "alias", &self.alias, "up"];
        tools::call(IP, &outside, "").await.with_context(cannot)?;
        Ok(Place::new(Isolation::Netns, Some(netns), ip, Ipv4Addr::LOCALHOST))
    }

    pub(super) async fn remove(&mut self, instance: &str) -> anyhow::Result<()> {
        if let Some(number) = self.gateways.remove(instance) {
            let ip = format!("{}/32", address(self.number, number));
            tools::call(IP, &["address", "del", &ip, "dev", &self.bridge()], "").await?;
        }
        let Some(number) = self.instances.remove(instance) else { return Ok(()) };
        let link = remove_link(&self.link(number)).await;
        remove_netns(&self.netns(instance)).await.and(link)
    }

    /// Removes all of it; goes on after an error and returns the first.
    pub(super) async fn close(&mut self) -> anyhow::Result<()> {
        let mut first = Ok(());
        for instance in self.instances.keys().cloned().collect::<Vec<_>>() {
            let removed = self.remove(&instance).await;
            first = first.and(removed);
        }
        first.and(remove_link(&self.bridge()).await)
    }

    fn bridge(&self) -> String {
        format!("ward{}", self.number)
    }

    fn link(&self, number: u8) -> String {
        format!("ward{}-{number}", self.number)
    }

    fn netns(&self, instance: &str) -> String {
        format!("ward{}-{}", self.number, instance.replace('/', "-"))
    }
}

fn address(network: u8, number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 201, network, number)
}

/// The filter of a namespace. In: the mesh port, and segments of connections opened from inside; a new connection to
/// anything else is reset, so that who tries learns it at once. Out: the mesh's instances, and of the host only
/// the mesh port of gateways and the control plane; and of that only what root opened, as the sidecar does: an application
/// of another user speaks to its sidecar and to nobody else. Stateless on purpose: no connection tracking to fill or to pay for.
pub(super) fn filter(network: u8, control_port: u16) -> String {
    let (host, all) = (format!("10.201.{network}.0/27"), format!("10.201.{network}.0/24"));
    let control = address(network, 1);
    format!(
        "table inet ward {{
  chain input {{
    type filter hook input priority filter; policy drop;
    iif lo accept
    tcp dport {MESH_PORT} accept
    tcp flags & (syn | ack) == syn reject with tcp reset
    meta l4proto {{ tcp, icmp }} accept
  }}
  chain output {{
    type filter hook output priority filter; policy drop;
    oif lo accept
    meta l4proto icmp accept
    tcp flags & (syn | ack) != syn accept
    meta skuid != 0 reject with icmpx admin-prohibited
    ip daddr {control} tcp dport {control_port} accept
    ip daddr {host} tcp dport {MESH_PORT} accept
    ip daddr {host} reject with icmpx admin-prohibited
    ip daddr {all} meta l4proto tcp accept
    reject with icmpx admin-prohibited
  }}
}}
"
    )
}

/// Whether an interface that is not ours has an address in this network, or has the name of our bridge.
async fn used_elsewhere(number: u8) -> anyhow::Result<bool> {
    let addresses =
        tools::call(IP, &["-o", "-4", "address", "show", "to", &format!("10.201.{number}.0/24")], "").await?;
    Ok(!addresses.trim().is_empty() || fs::exists(format!("/sys/class/net/ward{number}")).unwrap_or(true))
}

/// Links and namespaces that carry our mark.
struct Leftovers {
    links: Vec<(u8, String)>,
    namespaces: Vec<(u8, String)>,
}

impl Leftovers {
    async fn look() -> anyhow::Result<Self> {
        let mut links = Vec::new();
        for entry in fs::read_dir("/sys/class/net").context("cannot list network interfaces")? {
            let Ok(name) = entry?.file_name().into_string() else { continue };
            let alias = fs::read_to_string(format!("/sys/class/net/{name}/ifalias")).unwrap_or_default();
            if let (Some(number), true) = (number_of(&name), alias.starts_with(ALIAS)) {
                links.push((number, name));
            }
        }
        let listed = tools::call(IP, &["netns", "list"], "").await?;
        // A namespace has nothing but its name to be known by; ours have a hyphen after the number.
        let names = listed.lines().filter_map(|line| line.split_whitespace().next()).filter(|name| name.contains('-'));
        let namespaces = names.filter_map(|name| Some((number_of(name)?, name.to_owned()))).collect();
        Ok(Self { links, namespaces })
    }

    fn numbers(&self) -> Vec<u8> {
        let mut numbers: Vec<u8> = self.links.iter().chain(&self.namespaces).map(|(number, _)| *number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }

    async fn remove(&self, number: u8) -> anyhow::Result<()> {
        for (_, name) in self.namespaces.iter().filter(|(of, _)| *of == number) {
            remove_netns(name).await.context("cannot remove what a killed `ward up` left behind")?;
        }
        for (_, name) in self.links.iter().filter(|(of, _)| *of == number) {
            remove_link(name).await.context("cannot remove what a killed `ward up` left behind")?;
        }
        Ok(())
    }
}

/// The number in `ward<N>` and `ward<N>-…`.
pub(super) fn number_of(name: &str) -> Option<u8> {
    let rest = name.strip_prefix("ward")?;
    let number = rest.split('-').next()?;
    // `ward01` is not a name we give.
    number.parse().ok().filter(|n: &u8| n.to_string() == number)
}

async fn remove_link(name: &str) -> anyhow::Result<()> {
    if !fs::exists(format!("/sys/class/net/{name}")).unwrap_or(true) {
        return Ok(());
    }
    match tools::call(IP, &["link", "del", "dev", name], "").await {
        // It went by itself in between, with the namespace that held its other end.
        Err(_) if !fs::exists(format!("/sys/class/net/{name}")).unwrap_or(true) => Ok(()),
        other => other.map(drop),
    }
}

async fn remove_netns(name: &str) -> anyhow::Result<()> {
    if !fs::exists(format!("/run/netns/{name}")).unwrap_or(true) {
        return Ok(());
    }
    for pid in tools::call(IP, &["netns", "pids", name], "").await?.split_whitespace() {
        let process = pid.parse().ok().and_then(Pid::from_raw).map(|pid| pidfd_open(pid, PidfdFlags::empty()));
        if let Some(Ok(process)) = process {
            // One that ended in between is as good as killed.
            let _ = pidfd_send_signal(&process, Signal::KILL);
        }
    }
    tools::call(IP, &["netns", "del", name], "").await.map(drop)
}

/// Connects from inside a namespace. The connection is made on a thread of its own, which alone moves there and then
/// ends; a socket stays in the namespace it was made in.
///
/// # Errors
/// There is no such namespace, or nobody listens.
pub(crate) async fn connect(netns: &str, to: SocketAddr, deadline: Duration) -> io::Result<TcpStream> {
    let path = format!("/run/netns/{netns}");
    let (sender, receiver) = oneshot::channel();
    let dial = move || -> io::Result<TcpStream> {
        let namespace = File::open(path)?;
        move_into_link_name_space(std::os::fd::AsFd::as_fd(&namespace), Some(LinkNameSpaceType::Network))?;
        TcpStream::connect_timeout(&to, deadline)
    };
    std::thread::Builder::new().name("netns-dial".into()).spawn(move || {
        // Nobody waits any more: the connection is closed by being dropped.
        let _ = sender.send(dial());
    })?;
    receiver.await.unwrap_or_else(|_| Err(io::Error::other("the dialling thread ended early")))
}
