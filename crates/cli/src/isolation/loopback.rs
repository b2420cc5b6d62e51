//! Loopback addresses: instance *i* of block *k* lives at `127.202.k.i`. Nothing is enforced below TLS here.
use std::{
    collections::BTreeMap,
    fs::File,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
};

use anyhow::{Context as _, bail};

use super::{CONTROL_PORT, Isolation, MESH_PORT, Place, free_port, lock};

/// A block of loopback addresses that is ours while the lock is held.
#[derive(Debug)]
pub(crate) struct Network {
    block: u8,
    control: SocketAddr,
    taken: BTreeMap<String, u8>,
    _lock: File,
}

impl Network {
    /// Takes the first free block.
    pub(super) fn open(dir: &Path) -> anyhow::Result<Self> {
        for block in 0..=255 {
            let Some(lock) = lock(&dir.join(format!("loopback-{block}.lock")))? else { continue };
            // Another user's `ward up` locks elsewhere: its first sidecar shows.
            if TcpListener::bind((address(block, 2), MESH_PORT)).is_err() {
                continue;
            }
            let control = free_port(Ipv4Addr::LOCALHOST.into(), CONTROL_PORT)
                .context("no port is free on 127.0.0.1 for the control plane")?;
            return Ok(Self { block, control, taken: BTreeMap::new(), _lock: lock });
        }
        bail!("all 256 loopback blocks are taken by other `ward up`: stop one of them")
    }

    pub(super) fn control(&self) -> SocketAddr {
        self.control
    }

    pub(super) fn add(&mut self, instance: &str, gateway: bool) -> anyhow::Result<Place> {
        let number = lowest_free(&self.taken, 2..=254)
            .context("253 instances are the most that one `ward up` runs: lower `replicas`")?;
        self.taken.insert(instance.to_owned(), number);
        let ip = address(self.block, number);
        let isolation = if gateway { Isolation::Host } else { Isolation::Loopback };
        Ok(Place::new(isolation, None, ip, ip))
    }

    pub(super) fn remove(&mut self, instance: &str) {
        self.taken.remove(instance);
    }
}

fn address(block: u8, number: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 202, block, number)
}

/// The lowest number of a range that nobody has.
pub(super) fn lowest_free(taken: &BTreeMap<String, u8>, mut range: std::ops::RangeInclusive<u8>) -> Option<u8> {
    range.find(|number| !taken.values().any(|t| t == number))
}
