//! From nothing to a mesh that carries what is declared and nothing else, and back to nothing.
use std::{fs, process::Command};

use super::mesh::{Mesh, is_root, kill};
use crate::eventually::eventually;

#[test]
fn a_model_becomes_a_mesh_that_leaves_nothing() {
    let mut mesh = Mesh::new();
    mesh.up(&[]);
    let verified = mesh.event("verified", "verify ran", |_| true);
    assert_eq!(verified["violated"], serde_json::json!([]), "{verified:#}");
    assert!(verified["ok"].as_u64().unwrap() > 10, "{verified:#}");
    mesh.event("up", "the mesh is up", |_| true);

    // What is declared passes: HTTP through three sidecars, TCP through the last.
    assert!(mesh.get_ok("/who").starts_with("web/0 application"), "{}", mesh.logs());
    assert!(mesh.get_ok("/call/api/who").starts_with("200 api/0 application"));
    assert_eq!(mesh.get_ok("/call/api/tcp/db"), "200 echo ping");
    // What is not, does not: another method or path than the flow allows, and a node to which there is no flow.
    assert!(mesh.get_ok("/call/api/env").starts_with("403 {"), "{}", mesh.get_ok("/call/api/env"));
    assert_eq!(mesh.get("/tcp/db").unwrap().status, 502, "web has no flow to db");

    application_is_held(&mesh);
    let nodes = mesh.ward_json(&["nodes"]);
    let coverage = if is_root() { "under-ward" } else { "bypassable" };
    assert!(nodes.to_string().contains(coverage), "{nodes:#}");
    let again = mesh.ward(&["verify"]);
    assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stdout));
    flows_are_counted(&mesh);

    assert_eq!(mesh.processes().len(), 8, "{:?}", mesh.processes());
    mesh.stop();
}

/// The application cannot reach around its sidecar.
fn application_is_held(mesh: &Mesh) {
    let status = mesh.get_ok("/status");
    assert!(status.contains("NoNewPrivs:\t1"), "{status}");
    if !is_root() {
        return;
    }
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert!(status.contains(&format!("{set}:\t0000000000000000")), "{status}");
    }
    let private = mesh.state().join("private");
    for path in [private.clone(), private.join("sidecars/web-0"), private.join("control/ca/root.key")] {
        assert!(fs::metadata(&path).is_ok(), "{} is not there at all", path.display());
        let answer = mesh.get(&format!("/read{}", path.display())).unwrap();
        assert_eq!(answer.status, 502, "an application read {}: {}", path.display(), answer.body);
    }
    let sidecar = mesh.pid("web/0 sidecar");
    for path in [format!("/proc/{sidecar}/environ"), format!("/proc/{sidecar}/root/etc/passwd")] {
        let answer = mesh.get(&format!("/read{path}")).unwrap();
        assert_eq!(answer.status, 502, "an application read {path}: {}", answer.body);
    }
    // Two applications of one user: who could trace the other would have its network namespace, and so its identity.
    let other = mesh.pid("api/0 application");
    for path in [format!("/proc/{other}/environ"), format!("/proc/{other}/status")] {
        assert!(fs::metadata(&path).is_ok(), "{path} is not there at all");
        let answer = mesh.get(&format!("/read{path}")).unwrap();
        assert_eq!(answer.status, 502, "an application saw another's process: {}", answer.body);
    }
    let nodes = mesh.ward_json(&["nodes"]).to_string();
    let db = address_of(&nodes, "db/0");
    let refused = mesh.get(&format!("/connect/{db}:5432")).unwrap();
    assert_eq!(refused.status, 502, "web went straight to db's port: {}", refused.body);
    assert!(std::net::TcpStream::connect(format!("{db}:5432")).is_err(), "the host went straight to db's port");
}

/// The address of an instance in the JSON of `ward nodes`.
fn address_of(nodes: &str, instance: &str) -> String {
    let after = nodes.split(&format!("\"{instance}\"")).nth(1).unwrap();
    let start = after.find("10.201.").unwrap();
    after[start..].split(':').next().unwrap().to_owned()
}

fn flows_are_counted(mesh: &Mesh) {
    eventually("the flow web to api is counted", super::mesh::DEADLINE, || {
        let flows = mesh.ward_json(&["flows"]);
        let ask = flows["flows"].as_array().unwrap().iter().find(|flow| flow["flow"] == "ask").unwrap().clone();
        let counted = ask["allowed"].as_u64() >= Some(2) && ask["denied"].as_u64() >= Some(1);
        if counted { Ok(()) } else { Err(format!("{ask:#}")) }
    });
}

#[test]
fn everything_started_again_is_who_it_was() {
    let mut mesh = Mesh::started();
    let root = fs::read(mesh.state().join("trust.pem")).unwrap();
    let before = mesh.ward_json(&["nodes"]);
    mesh.stop();
    mesh.up(&["--no-verify"]);
    mesh.event("up", "the mesh is up again", |_| true);
    assert_eq!(fs::read(mesh.state().join("trust.pem")).unwrap(), root, "another root");
    let identities = |nodes: &serde_json::Value| {
        let text = nodes.to_string();
        let mut found: Vec<String> =
            text.split('"').filter(|part| part.starts_with("spiffe://")).map(str::to_owned).collect();
        found.sort();
        found.dedup();
        found
    };
    assert_eq!(identities(&mesh.ward_json(&["nodes"])), identities(&before));
    mesh.get_ok("/call/api/who");
    mesh.stop();
}

#[test]
fn what_a_killed_run_leaves_is_cleared_by_the_next() {
    let mut mesh = Mesh::started();
    mesh.signal("KILL");
    mesh.ended();
    eventually("its children died with it", super::mesh::DEADLINE, || match mesh.processes() {
        none if none.is_empty() => Ok(()),
        left => Err(format!("{left:?}")),
    });
    if is_root() {
        assert!(!mesh.links().is_empty(), "the bridge outlives a kill -9, or this test proves nothing");
    }
    // A stray that escaped, as an application's child may.
    let state = fs::canonicalize(mesh.state()).unwrap();
    let mut stray = Command::new("sleep")
        .arg("600")
        .env("WARD_STATE_DIR", state)
        .env("WARD_PROCESS", "x/0 application")
        .spawn()
        .unwrap();
    mesh.up(&["--no-verify"]);
    mesh.event("up", "the mesh is up again", |_| true);
    eventually("the stray is gone", super::mesh::DEADLINE, || match stray.try_wait().unwrap() {
        Some(_) => Ok(()),
        None => Err("it lives".to_owned()),
    });
    mesh.get_ok("/call/api/who");
    mesh.stop();
}

#[test]
fn a_second_interrupt_cuts_short() {
    let mut mesh = Mesh::started();
    // A stopped process hears no SIGTERM: only a kill ends it before the deadline.
    kill("STOP", mesh.pid("web/0 application"));
    mesh.signal("INT");
    mesh.event("stopping", "it stops", |_| true);
    mesh.signal("INT");
    let (status, _) = mesh.ended();
    assert!(status.success(), "{status}");
    mesh.nothing_left();
}

#[test]
fn an_interrupt_while_starting_leaves_nothing() {
    let mut mesh = Mesh::new();
    mesh.up(&[]);
    mesh.event("started", "something is started", |_| true);
    mesh.signal("INT");
    let (status, errors) = mesh.ended();
    assert!(status.success(), "{status}: {errors}");
    mesh.nothing_left();
}
