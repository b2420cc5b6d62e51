//! A disk that is full: a real one, tiny, under the state directory.
use std::{
    fs::{self, File},
    io::Write as _,
    process::Command,
};

use super::mesh::{DEADLINE, MODEL, Mesh, is_root};
use crate::eventually::eventually;

/// `ward up` with its state directory on a file system of this size, in a mount namespace of its own.
pub(super) fn on_tiny_disk(mesh: &Mesh, size: &str, args: &[&str]) -> Command {
    let up = mesh.up_command(args);
    let mut command = Command::new("unshare");
    if is_root() {
        command.arg("--mount");
    } else {
        command.args(["--user", "--map-root-user", "--mount"]);
    }
    // A root of its own user namespace only: /run is not its own, so it gets one.
    let run = if is_root() { "" } else { "mount -t tmpfs run /run && " };
    let script = format!("{run}mount -t tmpfs -o mode=0755,size={size} tiny \"$1\" && shift && exec \"$@\"");
    command.args(["sh", "-c", &script, "tiny"]).arg(mesh.state()).arg(up.get_program()).args(up.get_args());
    if !is_root() {
        command.args(["--isolation", "loopback"]);
    }
    command
}

#[test]
fn a_disk_that_is_full_from_the_start_is_said_to_be_full() {
    let mut mesh = Mesh::new();
    fs::create_dir(mesh.state()).unwrap();
    let command = on_tiny_disk(&mesh, "48k", &[]);
    mesh.up_with(command);
    let (status, errors) = mesh.ended();
    assert!(!status.success(), "{errors}");
    let full = ["No space left", "disk is full", "disk I/O error"];
    assert!(full.iter().any(|words| errors.contains(words)), "{errors}");
    mesh.nothing_left();
}

#[test]
fn a_disk_that_fills_up_changes_nothing_half() {
    let mut mesh = Mesh::new();
    fs::create_dir(mesh.state()).unwrap();
    let command = on_tiny_disk(&mesh, "24m", &["--no-verify"]);
    mesh.up_with(command);
    mesh.event("up", "the mesh is up", |_| true);
    mesh.get_ok("/call/api/who");

    // The file system is in the mount namespace of the mesh: seen from outside through any of its processes.
    let seen = format!("/proc/{}/root{}", mesh.pid("control plane"), fs::canonicalize(mesh.state()).unwrap().display());
    let filler = format!("{seen}/filler");
    fill(&filler);
    mesh.write_model(&MODEL.replace("\"GET /who\", \"GET /tcp/{**}\"", "\"GET /tcp/{**}\""));
    mesh.event("refused", "a change that cannot be stored is refused", |_| true);
    assert!(mesh.get_ok("/call/api/who").starts_with("200"), "the refused change is half in force");

    fs::remove_file(&filler).unwrap();
    mesh.forget_events();
    mesh.write_model(&format!("{}# again\n", MODEL.replace("\"GET /who\", \"GET /tcp/{**}\"", "\"GET /tcp/{**}\"")));
    mesh.event("applied", "with room on the disk it is applied", |_| true);
    eventually("and in force", DEADLINE, || match mesh.get_ok("/call/api/who") {
        text if text.starts_with("403") => Ok(()),
        text => Err(text),
    });
    mesh.stop();
}

/// Writes until the disk is full to the last byte.
pub(super) fn fill(path: &str) {
    let mut file = File::create(path).unwrap();
    for size in [64 << 10, 4 << 10, 512, 1] {
        let block = vec![0; size];
        while file.write_all(&block).is_ok() {}
    }
}
