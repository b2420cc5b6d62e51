//! Who is sent callers, and for how long.
use tokio::sync::mpsc;

use super::{INSTANCES_PER_NODE_MAX, LOST_KEPT, Registry, is_instance_of, ms};
use crate::store::InstanceRow;

fn row(instance: &str, address: &str) -> InstanceRow {
    InstanceRow {
        instance: instance.into(),
        node: instance.split('/').next().unwrap().into(),
        mesh_address: address.into(),
        isolation: "netns".into(),
        version: String::new(),
        serving: true,
        hello_ms: 0,
        acked: 0,
        nack: String::new(),
        svid_not_after: 0,
    }
}

fn join(registry: &Registry, instance: &str, address: &str) -> u64 {
    registry.join(row(instance, address), mpsc::channel(1).0).unwrap().0
}

fn served(registry: &Registry) -> String {
    let endpoints = registry.endpoints();
    endpoints.iter().map(|(node, at)| format!("{node}={}", at.join(","))).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_goodbye_takes_the_place_at_once() {
    let registry = Registry::default();
    let one = join(&registry, "orders/0", "10.0.0.1:1");
    join(&registry, "orders/1", "10.0.0.2:1");
    assert_eq!(served(&registry), "orders=10.0.0.1:1,10.0.0.2:1");
    assert!(registry.leave("orders/0", one, true, 0));
    assert_eq!(served(&registry), "orders=10.0.0.2:1");
}

#[test]
fn a_lost_instance_keeps_its_place_for_a_while() {
    let registry = Registry::default();
    let generation = join(&registry, "orders/0", "10.0.0.1:1");
    assert!(!registry.leave("orders/0", generation, false, 1_000));
    assert!(registry.sweep(1_000 + ms(LOST_KEPT) - 1).is_empty());
    assert_eq!(served(&registry), "orders=10.0.0.1:1");
    assert_eq!(registry.sweep(1_000 + ms(LOST_KEPT)), ["orders/0"]);
    assert_eq!(served(&registry), "");
}

#[test]
fn whoever_comes_back_stays() {
    let registry = Registry::default();
    let old = join(&registry, "orders/0", "10.0.0.1:1");
    registry.leave("orders/0", old, false, 0);
    join(&registry, "orders/0", "10.0.0.1:1");
    assert!(registry.sweep(u64::MAX).is_empty());
    // The end of a stream that was replaced says nothing about the new one.
    assert!(!registry.leave("orders/0", old, true, 0));
    assert_eq!(served(&registry), "orders=10.0.0.1:1");
}

#[test]
fn a_restart_gives_everybody_time() {
    let registry = Registry::default();
    registry.restore(
        vec![row("orders/0", "10.0.0.1:1"), InstanceRow { serving: false, ..row("orders/1", "10.0.0.2:1") }],
        0,
    );
    assert_eq!(served(&registry), "orders=10.0.0.1:1");
    join(&registry, "orders/0", "10.0.0.1:1");
    assert!(registry.sweep(u64::MAX).is_empty());
}

#[test]
fn an_address_belongs_to_whoever_was_last_there() {
    let registry = Registry::default();
    registry.restore(vec![row("payments/0", "10.0.0.1:1")], 0);
    let (_, _, displaced) = registry.join(row("orders/0", "10.0.0.1:1"), mpsc::channel(1).0).unwrap();
    assert_eq!(displaced, ["payments/0"]);
    assert_eq!(served(&registry), "orders=10.0.0.1:1");
}

#[test]
fn acknowledgements_are_of_ones_own_node_only() {
    let registry = Registry::default();
    join(&registry, "orders/0", "10.0.0.1:1");
    registry.acked("orders/0", "orders", 3, "");
    registry.acked("orders/0", "payments", 9, "lies");
    let view = registry.list();
    assert_eq!((view[0].row.acked, view[0].row.nack.as_str()), (3, ""));
}

#[test]
fn a_node_has_room_for_so_many() {
    let registry = Registry::default();
    for i in 0..INSTANCES_PER_NODE_MAX {
        join(&registry, &format!("orders/{i}"), "10.0.0.1:1");
    }
    assert!(registry.join(row("orders/more", "10.0.0.1:1"), mpsc::channel(1).0).is_none());
    registry.acked("orders/other", "orders", 1, "");
    assert_eq!(registry.list().len(), INSTANCES_PER_NODE_MAX);
    join(&registry, "payments/0", "10.0.0.1:1");
}

#[test]
fn an_instance_is_named_after_its_node() {
    for (instance, good) in [
        ("orders/0", true),
        ("orders/host-7.example", true),
        ("orders", false),
        ("orders/", false),
        ("orders-db/0", false),
        ("payments/0", false),
        ("orders/0/1", false),
        ("orders/ü", false),
    ] {
        assert_eq!(is_instance_of(instance, "orders"), good, "{instance}");
    }
}
