//! `ward run`: a process attached by hand with a join token, and the tokens that let nobody in.
use std::{
    fs,
    process::{Command, Output, Stdio},
};

use super::mesh::{DEADLINE, Mesh, kill};
use crate::{binaries::binary, eventually::eventually};

/// `ward run` as the node `batch`, with its own addresses and state.
fn attach(mesh: &mut Mesh, token: Option<&str>, name: &str, options: &[&str], process: &[&str]) -> Command {
    let control = mesh.control();
    let mut command = Command::new(binary("ward"));
    command.args(["run", "--node", "batch", "--control", &control]);
    if let Some(token) = token {
        let file = mesh.path(&format!("{name}.token"));
        fs::write(&file, token).unwrap();
        command.arg("--token-file").arg(file);
    }
    // An address that no other test, mesh or service has.
    let ip = format!("127.203.{}.{}", std::process::id() / 250 % 250, std::process::id() % 250 + 1);
    command.args(["--mesh-address", &format!("{ip}:15008"), "--outbound", &ip]);
    command.arg("--state").arg(mesh.path(name)).args(options);
    command.arg("--").args(process).stdin(Stdio::null());
    command
}

fn run(mesh: &mut Mesh, token: Option<&str>, name: &str, options: &[&str], process: &[&str]) -> Output {
    attach(mesh, token, name, options, process).output().unwrap()
}

#[test]
fn a_job_runs_behind_its_sidecar_and_its_end_is_passed_on() {
    let mut mesh = Mesh::started();
    let echo = mesh.path("model/echo-app");
    let echo = echo.to_str().unwrap();
    let token = mesh.token(&["batch"]);
    let output = run(&mut mesh, Some(&token), "job", &[], &[echo, "job", "7"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(7), "{output:?}");
    assert!(text.contains("job: 200 api/0 application"), "{output:?}");

    // It holds an identity now: no token is needed a second time. A signal's number is passed on like a shell does.
    let output = run(&mut mesh, None, "job", &[], &["sh", "-c", "kill -KILL $$"]);
    assert_eq!(output.status.code(), Some(137), "{output:?}");

    // Our signals are passed on to the process.
    let script = "trap 'exit 5' TERM; echo ready; while :; do sleep 0.1; done";
    let mut child = attach(&mut mesh, None, "job", &[], &["sh", "-c", script]).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut line).unwrap();
    assert_eq!(line, "ready\n");
    kill("TERM", child.id());
    assert_eq!(child.wait().unwrap().code(), Some(5));
    mesh.stop();
}

/// A token with which nobody may become anything: the process must not start, and the reason be said.
fn refused(mesh: &mut Mesh, name: &str, token: &str, words: &[&str]) {
    let process = mesh.path(&format!("{name}.started"));
    let output = run(mesh, Some(token), name, &["--ready-timeout", "5"], &["touch", process.to_str().unwrap()]);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{name}: {errors}");
    assert!(words.iter().all(|word| errors.to_lowercase().contains(word)), "{name}: {errors}");
    assert!(!process.exists(), "{name}: the process was started");
}

#[test]
fn tokens_that_are_wrong_expired_foreign_or_used_let_nobody_in() {
    let mut mesh = Mesh::started();
    refused(&mut mesh, "garbage", "ward1.batch.nonsense", &["join token"]);
    let mut other = Mesh::started();
    let foreign = other.token(&["batch"]);
    other.stop();
    refused(&mut mesh, "foreign", &foreign, &["not the one this join token was made for"]);

    let used = mesh.token(&["batch"]);
    assert!(run(&mut mesh, Some(&used), "first", &[], &["true"]).status.success());
    refused(&mut mesh, "used", &used, &["token"]);
    // One letter of the secret is another.
    let mut parts: Vec<String> = used.trim().split('.').map(str::to_owned).collect();
    let first = if parts[3].starts_with('A') { "B" } else { "A" };
    parts[3].replace_range(0..1, first);
    refused(&mut mesh, "tampered", &parts.join("."), &["token"]);
    let of_another_node = mesh.token(&["api"]);
    refused(&mut mesh, "other-node", &of_another_node, &["api"]);

    let expired = mesh.token(&["batch", "--ttl", "1s"]);
    let made = mesh.path("made");
    fs::write(&made, "").unwrap();
    eventually("the token is too old", DEADLINE, || {
        let age = fs::metadata(&made).unwrap().modified().unwrap().elapsed().unwrap_or_default();
        if age.as_millis() > 2_500 { Ok(()) } else { Err(format!("{age:?}")) }
    });
    refused(&mut mesh, "expired", &expired, &["token"]);

    // Of all of them one became a batch, and the mesh goes on.
    mesh.get_ok("/call/api/who");
    mesh.stop();
}
