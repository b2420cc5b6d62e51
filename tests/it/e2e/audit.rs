//! A critical flow with the real programs: whatever dies, however full the disk, what the application has seen of it is
//! recorded at the control plane, once.
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use super::{
    disk::{fill, on_tiny_disk},
    mesh::{Client, DEADLINE, MODEL, Mesh, kill},
};
use crate::eventually::eventually;

/// Clients of one run.
const CLIENTS: usize = 4;
/// Requests of each. All of them are listed at the end, and a list has at most a thousand lines.
const REQUESTS: usize = 60;

/// The model with a critical flow beside the ordinary one.
fn model() -> String {
    let ask = "  - { id: ask,";
    let pay =
        "  - { id: pay, from: web, to: api, carries: [note], via: { allow: [\"GET /mark/{*}\"], audit: critical } }\n";
    MODEL.replacen(ask, &format!("{pay}{ask}"), 1)
}

fn started() -> Mesh {
    let mut mesh = Mesh::new();
    mesh.write_model(&model());
    mesh.up(&["--no-verify"]);
    mesh.event("up", "the mesh is up", |_| true);
    mesh.get_ok("/call/api/who");
    mesh
}

/// Requests of the critical flow, each with a name of its own, on several connections.
struct Marks {
    done: Arc<AtomicUsize>,
    threads: Vec<thread::JoinHandle<Vec<(String, String)>>>,
}

impl Marks {
    fn on(mesh: &Mesh) -> Self {
        let done = Arc::<AtomicUsize>::default();
        let port = mesh.port;
        let threads = (0..CLIENTS).map(|client| {
            let done = done.clone();
            thread::spawn(move || {
                let mut connection = None;
                (0..REQUESTS)
                    .map(|number| {
                        let name = format!("c{client}n{number}");
                        let answer = ask(&mut connection, port, &format!("/call/api/mark/{name}"));
                        done.fetch_add(1, Ordering::Relaxed);
                        (name, answer)
                    })
                    .collect()
            })
        });
        Self { threads: threads.collect(), done }
    }

    /// Returns once so many are done.
    fn until(&self, count: usize) {
        eventually("requests go on", DEADLINE, || match self.done.load(Ordering::Relaxed) {
            done if done >= count => Ok(()),
            done => Err(format!("{done} of {count}")),
        });
    }

    /// What each was answered.
    fn end(self) -> Vec<(String, String)> {
        self.threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    }
}

fn ask(connection: &mut Option<Client>, port: u16, path: &str) -> String {
    if connection.is_none() {
        *connection = Client::connect(port).ok();
    }
    let Some(client) = connection.as_mut() else { return "no connection".to_owned() };
    match client.get(path) {
        Ok(answer) => answer.body,
        Err(error) => {
            *connection = None;
            error
        }
    }
}

/// The names that the application has seen, from its log.
fn seen(mesh: &Mesh) -> BTreeSet<String> {
    let logs = fs::read_dir(mesh.state().join("logs")).unwrap().flatten();
    let texts = logs.map(|entry| String::from_utf8_lossy(&fs::read(entry.path()).unwrap()).into_owned());
    let texts: Vec<String> = texts.collect();
    texts
        .iter()
        .flat_map(|text| text.lines())
        .filter_map(|line| line.strip_prefix("marked "))
        .map(str::to_owned)
        .collect()
}

/// How often each name is recorded as let through, by the control plane.
fn recorded(mesh: &Mesh) -> BTreeMap<String, usize> {
    let list = mesh.ward_json(&["decisions", "--flow", "pay", "--limit", "1000"]);
    let list = list.as_array().cloned().or_else(|| list["decisions"].as_array().cloned()).unwrap();
    let mut names = BTreeMap::new();
    for decision in list.iter().filter(|decision| decision["allowed"] == true) {
        let name = decision["path"].as_str().unwrap().trim_start_matches("/mark/").to_owned();
        *names.entry(name).or_default() += 1;
    }
    names
}

/// Waits until everything that the application has seen is recorded; returns how often.
fn all_recorded(mesh: &Mesh) -> BTreeMap<String, usize> {
    let seen = seen(mesh);
    assert!(!seen.is_empty(), "the application has seen nothing\n{}", mesh.logs());
    eventually("every request that was forwarded is recorded", DEADLINE, || {
        let recorded = recorded(mesh);
        let missing: Vec<_> = seen.iter().filter(|name| !recorded.contains_key(*name)).collect();
        if missing.is_empty() { Ok(recorded) } else { Err(format!("{missing:?} of {}", seen.len())) }
    })
}

#[test]
fn a_sidecar_that_dies_in_the_middle_of_critical_requests_has_recorded_what_it_forwarded() {
    let mut mesh = started();
    let marks = Marks::on(&mesh);
    for round in 1..=3 {
        marks.until(round * CLIENTS * REQUESTS / 5);
        mesh.forget_events();
        kill("KILL", mesh.pid("api/0 sidecar"));
        mesh.event("ready", "it is ready again", |event| event["process"] == "api/0 sidecar");
    }
    let answers = marks.end();
    let passed = answers.iter().filter(|(_, answer)| answer.starts_with("200")).count();
    assert!(passed > REQUESTS, "{answers:?}");
    all_recorded(&mesh);
    mesh.stop();
}

#[test]
fn a_control_plane_that_dies_loses_no_record_and_stores_none_twice() {
    let mut mesh = started();
    let marks = Marks::on(&mesh);
    for round in 1..=3 {
        marks.until(round * CLIENTS * REQUESTS / 5);
        mesh.forget_events();
        kill("KILL", mesh.pid("control plane"));
        mesh.event("started", "it is started again", |event| event["process"] == "control plane");
    }
    let answers = marks.end();
    let failed: Vec<_> = answers.iter().filter(|(_, answer)| !answer.starts_with("200")).collect();
    assert!(failed.is_empty(), "{failed:?}\n{}", mesh.logs());
    let recorded = all_recorded(&mesh);
    let twice: Vec<_> = recorded.iter().filter(|(_, times)| **times != 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
    assert_eq!(recorded.len(), CLIENTS * REQUESTS);
    mesh.stop();
}

#[test]
fn on_a_full_disk_critical_requests_are_refused_and_the_others_pass() {
    let mut mesh = Mesh::new();
    mesh.write_model(&model());
    fs::create_dir(mesh.state()).unwrap();
    let command = on_tiny_disk(&mesh, "24m", &["--no-verify"]);
    mesh.up_with(command);
    mesh.event("up", "the mesh is up", |_| true);
    let answers = |path: &str, status: &str| {
        eventually(&format!("{path} is answered {status}"), DEADLINE, || match mesh.get_ok(path) {
            text if text.starts_with(status) => Ok(()),
            text => Err(format!("{text}\n{}", mesh.logs())),
        });
    };
    answers("/call/api/mark/before", "200");

    let seen = format!("/proc/{}/root{}", mesh.pid("api/0 sidecar"), fs::canonicalize(mesh.state()).unwrap().display());
    let filler = format!("{seen}/filler");
    // What others write may leave room at first, and so may what was written and taken: it is filled again.
    eventually("a critical request is refused", DEADLINE, || {
        fill(&format!("{filler}-{}", fs::read_dir(&seen).unwrap().count()));
        match mesh.get_ok("/call/api/mark/full") {
            text if text.starts_with("503") => Ok(()),
            text => Err(text),
        }
    });
    answers("/call/api/who", "200");

    for entry in fs::read_dir(&seen).unwrap().flatten() {
        if entry.file_name().to_string_lossy().starts_with("filler") {
            fs::remove_file(entry.path()).unwrap();
        }
    }
    answers("/call/api/mark/after", "200");
    eventually("both are recorded", DEADLINE, || {
        let recorded = recorded(&mesh);
        let both = recorded.contains_key("before") && recorded.contains_key("after");
        if both { Ok(()) } else { Err(format!("{recorded:?}")) }
    });
    mesh.stop();
}
