//! Which instances there are and which of them callers are sent to. An instance that says goodbye is left out at once;
//! one that is lost is kept for [`LOST_KEPT`], because it may only be its link to us that broke: configuration fails static.
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::mpsc;
use wire::v1::ReportResponse;

use crate::{snapshot::Endpoints, store::InstanceRow};

#[cfg(test)]
mod tests;

/// How long a lost instance keeps its place.
pub const LOST_KEPT: Duration = Duration::from_secs(30);

/// Instances one node may have, connected or remembered.
pub const INSTANCES_PER_NODE_MAX: usize = 1_000;

/// The instances, shared by every stream. Its lock is held for moments and never across an await.
#[derive(Debug, Default)]
pub struct Registry {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    instances: BTreeMap<String, Instance>,
    generation: u64,
}

#[derive(Debug)]
struct Instance {
    row: InstanceRow,
    presence: Presence,
}

#[derive(Debug)]
enum Presence {
    /// Its report stream is open.
    Connected { generation: u64, to: mpsc::Sender<ReportResponse> },
    /// Its stream broke, or this control plane has just started.
    Lost { until_ms: u64 },
    /// It said goodbye, or was lost for too long, or never said hello.
    Gone,
}

/// An instance as others see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceView {
    /// The last that was heard of it.
    pub row: InstanceRow,
    /// Whether its report stream is open.
    pub connected: bool,
}

/// A probe's way to an instance.
#[derive(Clone, Debug)]
pub struct Reach {
    /// `orders/0`.
    pub instance: String,
    /// Its mesh address, `ip:port`.
    pub mesh_address: String,
    /// netns, loopback or host.
    pub isolation: String,
    /// Its report stream.
    pub to: mpsc::Sender<ReportResponse>,
}

impl Registry {
    /// Takes over what the store knows. Serving instances get their time to come back.
    pub fn restore(&self, rows: Vec<InstanceRow>, now_ms: u64) {
        let mut inner = self.lock();
        for row in rows {
            let presence =
                if row.serving { Presence::Lost { until_ms: now_ms + ms(LOST_KEPT) } } else { Presence::Gone };
            inner.instances.insert(row.instance.clone(), Instance { row, presence });
        }
    }

    /// A report stream opened. Returns its generation, to be given back to [`Registry::leave`], the row to store, and
    /// the instances whose address it took over: an address belongs to whoever was last there.
    /// `None` when the node has [`INSTANCES_PER_NODE_MAX`] already.
    pub fn join(
        &self,
        mut row: InstanceRow,
        to: mpsc::Sender<ReportResponse>,
    ) -> Option<(u64, InstanceRow, Vec<String>)> {
        let mut inner = self.lock();
        if !inner.instances.contains_key(&row.instance) && inner.full(&row.node) {
            return None;
        }
        inner.generation += 1;
        let generation = inner.generation;
        let mut displaced = Vec::new();
        for (name, other) in &mut inner.instances {
            let lost = matches!(other.presence, Presence::Lost { .. });
            if lost && *name != row.instance && other.row.mesh_address == row.mesh_address {
                other.presence = Presence::Gone;
                other.row.serving = false;
                displaced.push(name.clone());
            }
        }
        if let Some(before) = inner.instances.get(&row.instance) {
            row.acked = before.row.acked;
            row.nack.clone_from(&before.row.nack);
        }
        let instance = Instance { row: row.clone(), presence: Presence::Connected { generation, to } };
        inner.instances.insert(row.instance.clone(), instance);
        Some((generation, row, displaced))
    }

    /// A report stream ended. True when callers must no longer be sent there, which is when it said goodbye; a lost one
    /// is left to [`Registry::sweep`], and a stream that was replaced by a newer one changes nothing.
    pub fn leave(&self, instance: &str, generation: u64, goodbye: bool, now_ms: u64) -> bool {
        let mut inner = self.lock();
        let Some(found) = inner.instances.get_mut(instance) else { return false };
        if !matches!(found.presence, Presence::Connected { generation: g, .. } if g == generation) {
            return false;
        }
        if goodbye {
            found.presence = Presence::Gone;
            found.row.serving = false;
        } else {
            found.presence = Presence::Lost { until_ms: now_ms + ms(LOST_KEPT) };
        }
        goodbye
    }

    /// Leaves out instances that were lost for too long and returns them.
    pub fn sweep(&self, now_ms: u64) -> Vec<String> {
        let mut inner = self.lock();
        let late = inner
            .instances
            .iter_mut()
            .filter(|(_, i)| matches!(i.presence, Presence::Lost { until_ms } if until_ms <= now_ms));
        late.map(|(name, instance)| {
            instance.presence = Presence::Gone;
            instance.row.serving = false;
            name.clone()
        })
        .collect()
    }

    /// Forgets instances of nodes that are no longer in the model. True when one of them was serving.
    pub fn keep_nodes(&self, is_node: impl Fn(&str) -> bool) -> bool {
        let mut inner = self.lock();
        let mut served = false;
        inner.instances.retain(|_, i| {
            let keep = is_node(&i.row.node);
            served |= !keep && i.row.serving;
            keep
        });
        served
    }

    /// What an instance said of its configuration; it may not have said hello yet.
    pub fn acked(&self, instance: &str, node: &str, acked: u64, nack: &str) {
        let mut inner = self.lock();
        if !inner.instances.contains_key(instance) && inner.full(node) {
            return;
        }
        let found = inner.instances.entry(instance.to_owned()).or_insert_with(|| Instance {
            row: InstanceRow {
                instance: instance.to_owned(),
                node: node.to_owned(),
                mesh_address: String::new(),
                isolation: String::new(),
                version: String::new(),
                serving: false,
                hello_ms: 0,
                acked: 0,
                nack: String::new(),
                svid_not_after: 0,
            },
            presence: Presence::Gone,
        });
        // The name was the peer's word, its node was its certificate's: nobody speaks for another node's instance.
        if found.row.node == node {
            found.row.acked = acked;
            nack.clone_into(&mut found.row.nack);
        }
    }

    /// Mesh addresses of the serving instances of each node.
    pub fn endpoints(&self) -> Endpoints {
        let inner = self.lock();
        let mut endpoints = Endpoints::new();
        for instance in inner.instances.values().filter(|i| i.row.serving && !i.row.mesh_address.is_empty()) {
            endpoints.entry(instance.row.node.clone()).or_default().push(instance.row.mesh_address.clone());
        }
        for addresses in endpoints.values_mut() {
            addresses.sort();
            addresses.dedup();
        }
        endpoints
    }

    /// Every instance.
    pub fn list(&self) -> Vec<InstanceView> {
        let inner = self.lock();
        let view = |i: &Instance| InstanceView {
            row: i.row.clone(),
            connected: matches!(i.presence, Presence::Connected { .. }),
        };
        inner.instances.values().map(view).collect()
    }

    /// The connected instances, for probes, by node.
    pub fn reachable(&self) -> BTreeMap<String, Vec<Reach>> {
        let inner = self.lock();
        let mut nodes: BTreeMap<String, Vec<Reach>> = BTreeMap::new();
        for (name, instance) in &inner.instances {
            if let Presence::Connected { to, .. } = &instance.presence {
                nodes.entry(instance.row.node.clone()).or_default().push(Reach {
                    instance: name.clone(),
                    mesh_address: instance.row.mesh_address.clone(),
                    isolation: instance.row.isolation.clone(),
                    to: to.clone(),
                });
            }
        }
        nodes
    }

    /// A thread that panicked while it held the lock left plain data behind, never a broken invariant.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn full(&self, node: &str) -> bool {
        self.instances.values().filter(|i| i.row.node == node).count() >= INSTANCES_PER_NODE_MAX
    }
}

/// Whether a peer that is `node` may call itself `instance`: `<node>/<1 to 63 of a-z, 0-9, `-`, `.`>`.
pub fn is_instance_of(instance: &str, node: &str) -> bool {
    let suffix = instance.strip_prefix(node).and_then(|rest| rest.strip_prefix('/'));
    suffix.is_some_and(|s| {
        (1..=63).contains(&s.len()) && s.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.'))
    })
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
