//! Who listens on a TCP port, by `/proc/<pid>/net/tcp`: that file shows the network namespace of the process, so it
//! tells about an application in its namespace without going there.
use std::{
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
};

/// State of a listening socket in `/proc/net/tcp`.
const LISTEN: &str = "0A";

/// Whether anything in the network namespace of this process listens on the port, over IPv4 or IPv6.
pub(crate) fn on_port(pid: i32, port: u16) -> bool {
    ["tcp", "tcp6"].iter().any(|table| {
        let text = fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap_or_default();
        sockets(&text).any(|socket| socket.port == port)
    })
}

/// Who holds an address of this machine, for an error message: `nginx (pid 812)`; `None` when it cannot be seen.
pub(crate) fn holder(address: SocketAddr) -> Option<String> {
    let tables = ["tcp", "tcp6"].map(|table| fs::read_to_string(format!("/proc/self/net/{table}")).unwrap_or_default());
    let clashes = |socket: &Socket| {
        socket.port == address.port()
            && socket.ip.is_none_or(|ip| ip == Ipv4Addr::UNSPECIFIED || IpAddr::V4(ip) == address.ip())
    };
    let inode = tables.iter().flat_map(|text| sockets(text)).find(clashes)?.inode;
    let wanted = format!("socket:[{inode}]");
    for entry in fs::read_dir("/proc").ok()?.flatten() {
        let Ok(descriptors) = fs::read_dir(entry.path().join("fd")) else { continue };
        if descriptors.flatten().any(|fd| fs::read_link(fd.path()).is_ok_and(|to| to == Path::new(&wanted))) {
            let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            return Some(format!("{} (pid {})", name.trim(), entry.file_name().to_string_lossy()));
        }
    }
    None
}

/// A listening socket; the address is known for IPv4 only.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Socket {
    pub(crate) ip: Option<Ipv4Addr>,
    pub(crate) port: u16,
    pub(crate) inode: u64,
}

/// The listening sockets of a table as in proc_net_tcp(5).
pub(crate) fn sockets(table: &str) -> impl Iterator<Item = Socket> {
    table.lines().skip(1).filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (local, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
        let (ip, port) = local.split_once(':')?;
        if *state != LISTEN {
            return None;
        }
        // The kernel prints the address as one number in its own byte order.
        let ip = (ip.len() == 8)
            .then(|| u32::from_str_radix(ip, 16).ok().map(|n| Ipv4Addr::from(n.to_ne_bytes())))
            .flatten();
        Some(Socket { ip, port: u16::from_str_radix(port, 16).ok()?, inode: inode.parse().ok()? })
    })
}
