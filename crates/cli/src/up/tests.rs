//! The pure parts: what is run and in which order, environments, sidecar settings, tables, `/proc/net/tcp`.
use std::{collections::BTreeMap, ffi::OsString, net::Ipv4Addr, path::Path, time::Duration};

use model::{Model, SourceFile};

use super::{
    control::flow_rows,
    environment::{Facts, SidecarConfig, Upstream, of_application},
    event::{Event, FlowRow, NodeRow, flow_table, node_table},
    instance::{SidecarSettings, leads_to},
    listening::sockets,
    plan,
    screen::changed_lines,
    state::write_new,
    watch::Fingerprint,
};
use crate::{
    config::Environment,
    isolation::{Isolation, Place, wrap::User},
};

fn model(text: &str) -> Model {
    let file = SourceFile { name: "ward.yaml".into(), text: text.into() };
    let loaded = model::load(&[file]);
    loaded.model.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics))
}

const SHOP: &str = "ward: 1\nmodel: shop\nzones: { internet: { trust: none }, edge: {}, shop: {} }\n\
         data: { order: { class: internal } }\nnodes:\n\
         \x20 customer: { kind: party, zone: internet }\n\
         \x20 gateway: { kind: service, zone: edge, role: gateway, listen: [{ port: 8443, hosts: [shop.example], tls: auto }] }\n\
         \x20 orders: { kind: service, zone: shop, run: { command: [./shop, orders], replicas: 2 } }\n\
         \x20 payments: { kind: service, zone: shop, serves: [{ port: 8080 }, { port: 9090, protocol: tcp }], run: { command: [./shop, payments] } }\n\
         \x20 orders-db: { kind: store, zone: shop, serves: [{ port: 5432, protocol: postgres }], run: { command: [./db] } }\n\
         \x20 ledger: { kind: service, zone: shop, attest: token }\n\
         flows:\n\
         \x20 - { id: buy, from: customer, to: gateway, carries: [order] }\n\
         \x20 - { id: place, from: gateway, to: orders, carries: [order], via: { allow: [\"POST /orders\"] } }\n\
         \x20 - { id: pay, from: orders, to: payments, carries: [order] }\n\
         \x20 - { id: save, from: orders, to: orders-db, carries: [order] }\n\
         \x20 - { id: note, from: payments, to: orders, carries: [order] }\n";

fn shop() -> Model {
    model(SHOP)
}

#[test]
fn instances_are_what_has_run_or_a_role() {
    let specs = plan::specs(&shop());
    let names: Vec<String> = specs.iter().map(plan::Spec::name).collect();
    assert_eq!(names, ["gateway/0", "orders/0", "orders/1", "orders-db/0", "payments/0"]);
    assert_eq!(specs[1].identity, "spiffe://shop.ward.internal/ns/shop/sa/orders");
    assert_eq!(specs[1].file_name(), "orders-0");
    assert!(specs[0].run.is_none() && specs[0].listen.len() == 1);
}

#[test]
fn callees_start_first_and_circles_together() {
    let waves = plan::waves(&shop());
    let position = |node: &str| waves.iter().position(|wave| wave.contains(node)).unwrap();
    assert!(position("orders-db") < position("orders"));
    assert_eq!(position("orders"), position("payments"));
    assert!(position("orders") < position("gateway"));
    assert_eq!(waves.iter().map(std::collections::BTreeSet::len).sum::<usize>(), 6);
}

#[test]
fn upstreams_are_counted_as_the_control_plane_counts_them() {
    let upstreams: Vec<(String, u16, u16)> =
        plan::upstreams(&shop(), "orders").into_iter().map(|u| (u.node, u.port, u.local_port)).collect();
    let expected = [("orders-db", 5432, 15100), ("payments", 8080, 15101), ("payments", 9090, 15102)];
    assert_eq!(upstreams, expected.map(|(node, port, local)| (node.to_owned(), port, local)));
}

#[test]
fn the_request_to_try_is_one_that_passes() {
    let example = |allow: &str| {
        let text = SHOP.replace("to: gateway, carries: [order]", &format!("to: gateway, carries: [order]{allow}"));
        let (options, path) = plan::example_request(&model(&text), "gateway");
        format!("{options}{path}")
    };
    assert_eq!(example(""), "/");
    assert_eq!(example(", via: { allow: [\"POST /orders\", \"GET /orders/{*}/lines\"] }"), "/orders/1/lines");
    assert_eq!(example(", via: { allow: [\"POST /login\"] }"), "-X POST /login");
}

fn ours() -> Environment {
    Environment {
        path: "/bin".into(),
        xdg_runtime_dir: None,
        home: Some("/root".into()),
        passed: BTreeMap::from([("LANG".into(), "C".into())]),
        everything: BTreeMap::new(),
        here: "/".into(),
        own_dir: None,
    }
}

fn place() -> Place {
    let at = |port| (Ipv4Addr::LOCALHOST, port).into();
    Place {
        isolation: Isolation::Netns,
        netns: Some("ward0-orders-0".into()),
        mesh: "10.201.0.32:15008".parse().unwrap(),
        admin: at(15000),
        outbound: Ipv4Addr::LOCALHOST.into(),
        http_proxy: at(15001),
    }
}

#[test]
fn an_application_learns_its_port_and_its_neighbours() {
    let declared = BTreeMap::from([("PORT".into(), "1".into()), ("LANG".into(), "de".into())]);
    let user = User { name: "web".into(), uid: 1, gid: 1, home: "/home/web".into() };
    let env = of_application(&Facts {
        ours: &ours(),
        place: &place(),
        upstreams: &plan::upstreams(&shop(), "orders"),
        ports: &[(8080, 8080), (9090, 30001)],
        user: Some(&user),
        data: Some(Path::new("/s/data/orders")),
        declared: &declared,
    });
    let expected = [
        ("HOME", "/home/web"),
        ("HOST", "127.0.0.1"),
        ("HTTP_PROXY", "http://127.0.0.1:15001"),
        ("LANG", "de"),
        ("LOGNAME", "web"),
        ("NO_PROXY", "localhost,127.0.0.1,::1"),
        ("PATH", "/bin"),
        ("PORT", "8080"),
        ("PORT_8080", "8080"),
        ("PORT_9090", "30001"),
        ("USER", "web"),
        ("WARD_DATA_DIR", "/s/data/orders"),
        ("WARD_ORDERS_DB_ADDR", "127.0.0.1:15100"),
        ("WARD_PAYMENTS_8080_URL", "http://127.0.0.1:15101"),
        ("WARD_PAYMENTS_9090_ADDR", "127.0.0.1:15102"),
        ("WARD_PAYMENTS_ADDR", "127.0.0.1:15102"),
        ("WARD_PAYMENTS_URL", "http://127.0.0.1:15101"),
        ("http_proxy", "http://127.0.0.1:15001"),
        ("no_proxy", "localhost,127.0.0.1,::1"),
    ];
    let expected: BTreeMap<String, OsString> = expected.map(|(name, value)| (name.into(), value.into())).into();
    assert_eq!(env, expected);
}

#[test]
fn a_sidecar_is_told_where_everything_is() {
    let specs = plan::specs(&shop());
    let settings = SidecarSettings {
        spec: &specs[4],
        place: &place(),
        ports: &[(8080, 40001), (9090, 9090)],
        control: "10.201.0.1:15012".parse().unwrap(),
        token_file: "/s/token".into(),
        state_dir: "/s".into(),
        gateway_address: Ipv4Addr::LOCALHOST.into(),
    };
    let file: serde_json::Value = serde_json::from_str(&settings.file()).unwrap();
    for (pointer, value) in [
        ("/inbound", "10.201.0.32:15008"),
        ("/admin", "127.0.0.1:15000"),
        ("/control/address", "10.201.0.1:15012"),
        ("/control/instance", "payments/0"),
        ("/control/isolation", "netns"),
        ("/applications/8080", "127.0.0.1:40001"),
    ] {
        assert_eq!(file.pointer(pointer).and_then(|v| v.as_str()), Some(value), "{pointer}");
    }
    assert_eq!(file.pointer("/applications/9090"), None);
    assert_eq!(file.pointer("/gateway_address"), None);
}

#[test]
fn a_sidecar_leads_where_its_application_is_sent() {
    let expected = plan::upstreams(&shop(), "orders");
    let config = |upstreams: &[Upstream]| SidecarConfig { upstreams: upstreams.to_vec(), ..SidecarConfig::default() };
    assert!(leads_to(&config(&expected), &expected));
    assert!(!leads_to(&config(&expected[..2]), &expected));
    assert!(leads_to(&config(&[]), &[]));
}

#[test]
fn listening_sockets_are_read_from_the_kernels_table() {
    let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
        \x20  0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12345 1 0 100\n\
        \x20  1: 0100007F:1F91 0100007F:1F90 01 00000000:00000000 00:00000000 00000000     0        0 12346 1 0 100\n\
        \x20  2: 00000000000000000000000000000000:0050 0:0 0A 0:0 00:0 0 0 0 77 1 0\n\
        garbage\n";
    let found: Vec<(Option<Ipv4Addr>, u16, u64)> = sockets(table).map(|s| (s.ip, s.port, s.inode)).collect();
    assert_eq!(found, [(Some(Ipv4Addr::LOCALHOST), 8080, 12345), (None, 80, 77)]);
}

#[test]
fn tables_are_aligned_and_only_changed_flows_are_printed_again() {
    let flow = |id: &str, requests, denied| FlowRow {
        flow: id.into(),
        from: "a".into(),
        to: "b".into(),
        state: "verified".into(),
        requests,
        denied,
        errors: 0,
        rate: 1.25,
    };
    assert_eq!(
        flow_table(&[flow("place", 12, 0)]),
        "  FLOW   FROM  TO  STATE      RATE  ALLOWED  DENIED  ERRORS\n  place  a     b   verified  1.2/s       12       0       0\n"
    );
    let (old, new) = (vec![flow("x", 1, 0), flow("y", 1, 0)], vec![flow("x", 1, 0), flow("y", 1, 1), flow("z", 0, 0)]);
    assert_eq!(changed_lines(&old, &new).lines().count(), 2);
    assert_eq!(changed_lines(&new, &new), "");
    let node = NodeRow { instance: "a/0".into(), state: "ready".into(), ..NodeRow::default() };
    assert_eq!(node_table(&[node]), "  NODE  STATE  ISOLATION  ADDRESS  IDENTITY\n  a/0   ready\n");
}

#[test]
fn flows_are_read_from_the_control_planes_answer() {
    let answer = serde_json::json!({ "flows": [
        { "flow": "place", "from": "gateway", "to": "orders", "allowed": 3, "denied": 1, "errors": 0, "rate": 0.5 }
    ], "undeclared": [{ "subject": "orders>ledger", "from": "orders", "to": "ledger", "denied": 2, "allowed": 0 }]});
    let rows = flow_rows(&answer);
    assert_eq!((rows[0].flow.as_str(), rows[0].from.as_str(), rows[0].denied), ("", "orders", 2));
    assert_eq!((rows[1].flow.as_str(), rows[1].requests, rows[1].denied), ("place", 3, 1));
    assert!(flow_rows(&serde_json::Value::Null).is_empty());
}

#[test]
fn events_are_lines_for_people_and_objects_for_programs() {
    let ended = Event::Ended {
        process: "orders/0 application".into(),
        how: "killed by SIGKILL".into(),
        again_in_ms: Some(200),
        log: "/s/orders-0.application.log".into(),
    };
    assert_eq!(
        ended.text(),
        "  ✗ orders/0 application killed by SIGKILL; starts again in 0.2 s; log /s/orders-0.application.log\n"
    );
    let value = serde_json::to_value(&ended).unwrap();
    assert_eq!(value.get("event").and_then(|v| v.as_str()), Some("ended"));
    assert_eq!(super::event::ms(Duration::from_millis(1234)), 1234);
}

#[test]
fn files_are_written_whole_and_changes_are_seen() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ward.yaml");
    write_new(&file, b"one", 0o600).unwrap();
    let before = Fingerprint::of(dir.path());
    assert_eq!(before, Fingerprint::of(dir.path()));
    write_new(&file, b"three", 0o600).unwrap();
    assert_ne!(before, Fingerprint::of(dir.path()));
    assert_eq!(std::fs::read(&file).unwrap(), b"three");
    assert!(write_new(&dir.path().join("none/file"), b"x", 0o600).is_err());
    std::fs::create_dir(dir.path().join(".ward")).unwrap();
    let before = Fingerprint::of(dir.path());
    write_new(&dir.path().join(".ward/x.yaml"), b"x", 0o600).unwrap();
    assert_eq!(before, Fingerprint::of(dir.path()));
}
