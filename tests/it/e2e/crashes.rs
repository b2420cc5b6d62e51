//! kill -9 of each kind of process: it comes back, and what it has to do with nothing else notices.
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use super::mesh::{Answer, Client, DEADLINE, Mesh, kill};
use crate::eventually::eventually;

/// Clients that ask over and over, on connections old and new.
struct Load {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicUsize>,
    threads: Vec<thread::JoinHandle<Vec<String>>>,
}

impl Load {
    fn on(mesh: &Mesh, path: &'static str) -> Self {
        let (stop, done) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let port = mesh.port;
        let threads = (0..4)
            .map(|number| {
                let (stop, done) = (stop.clone(), done.clone());
                thread::spawn(move || {
                    let (mut failures, mut client) = (Vec::new(), None);
                    while !stop.load(Ordering::Relaxed) {
                        let keep = number % 2 == 0;
                        match ask(&mut client, port, path) {
                            Ok(Answer { status: 200, .. }) => {}
                            Ok(other) => failures.push(format!("{other:?}")),
                            Err(error) => failures.push(error),
                        }
                        if !keep {
                            client = None;
                        }
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                    failures
                })
            })
            .collect();
        Self { stop, done, threads }
    }

    /// Returns once this many more requests are done.
    fn more(&self, count: usize) {
        let until = self.done.load(Ordering::Relaxed) + count;
        eventually("requests go on", DEADLINE, || match self.done.load(Ordering::Relaxed) {
            done if done >= until => Ok(()),
            done => Err(format!("{done} of {until}")),
        });
    }

    /// Ends it; returns what failed.
    fn end(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    }
}

fn ask(client: &mut Option<Client>, port: u16, path: &str) -> Result<Answer, String> {
    if client.is_none() {
        *client = Some(Client::connect(port)?);
    }
    let answer = client.as_mut().unwrap().get(path);
    if answer.is_err() {
        *client = None;
    }
    answer
}

#[test]
fn the_control_plane_dies_and_no_request_fails() {
    let mut mesh = Mesh::started();
    mesh.get_ok("/call/api/who");
    let load = Load::on(&mesh, "/call/api/who");
    load.more(200);
    kill("KILL", mesh.pid("control plane"));
    let ended = mesh.event("ended", "its end is told", |event| event["process"] == "control plane");
    assert_eq!(ended["how"], "killed by SIGKILL");
    assert!(ended["log"].as_str().unwrap().ends_with("logs/control.log"), "{ended:#}");
    mesh.event("started", "it is started again", |event| event["process"] == "control plane" && event["again"] == true);
    load.more(200);
    // The proxies find their way back to it, still under load.
    eventually("all nodes are connected again", DEADLINE, || {
        let output = mesh.ward(&["nodes", "-o", "json"]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let connected = text.matches("\"connected\": true").count();
        if connected >= 4 { Ok(()) } else { Err(text) }
    });
    load.more(200);
    assert_eq!(load.end(), Vec::<String>::new());
    mesh.stop();
}

#[test]
fn a_sidecar_dies_and_its_application_stays() {
    let mut mesh = Mesh::started();
    mesh.get_ok("/call/api/who");
    let before = mesh.processes();
    // What does not go through that sidecar does not notice.
    let load = Load::on(&mesh, "/who");
    kill("KILL", mesh.pid("api/0 sidecar"));
    mesh.event("ended", "its end is told", |event| event["process"] == "api/0 sidecar");
    mesh.event("ready", "it is ready again", |event| event["process"] == "api/0 sidecar");
    mesh.get_ok("/call/api/who");
    load.more(50);
    assert_eq!(load.end(), Vec::<String>::new());
    let changed: Vec<_> = mesh.processes().into_iter().filter(|process| !before.contains(process)).collect();
    assert!(matches!(&changed[..], [(name, _)] if name == "api/0 sidecar"), "{changed:?}");
    mesh.stop();
}

#[test]
fn a_sidecar_that_dies_while_the_control_plane_hangs_goes_on_with_what_it_knew() {
    let mut mesh = Mesh::started();
    mesh.get_ok("/call/api/who");
    kill("STOP", mesh.pid("control plane"));
    kill("KILL", mesh.pid("api/0 sidecar"));
    mesh.event("ready", "it is ready again", |event| event["process"] == "api/0 sidecar");
    assert!(mesh.get_ok("/call/api/who").starts_with("200"), "{}", mesh.logs());
    assert!(mesh.get_ok("/call/api/env").starts_with("403"), "it forgot what is not allowed");
    kill("CONT", mesh.pid("control plane"));
    mesh.stop();
}

#[test]
fn an_application_dies_and_comes_back() {
    let mut mesh = Mesh::started();
    mesh.get_ok("/call/api/who");
    let before = mesh.processes();
    kill("KILL", mesh.pid("api/0 application"));
    let ended = mesh.event("ended", "its end is told", |event| event["process"] == "api/0 application");
    assert_eq!(ended["how"], "killed by SIGKILL");
    eventually("it answers again", DEADLINE, || match mesh.get_ok("/call/api/who") {
        text if text.starts_with("200") => Ok(text),
        text => Err(text),
    });
    let changed: Vec<_> = mesh.processes().into_iter().filter(|process| !before.contains(process)).collect();
    assert!(matches!(&changed[..], [(name, _)] if name == "api/0 application"), "{changed:?}");
    mesh.stop();
}

#[test]
fn a_gateway_dies_and_comes_back() {
    let mut mesh = Mesh::started();
    kill("KILL", mesh.pid("gateway/0 gateway"));
    mesh.event("ready", "it is ready again", |event| event["process"] == "gateway/0 gateway");
    mesh.get_ok("/who");
    mesh.stop();
}
