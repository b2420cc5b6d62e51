//! What `ward up` does not start, and why it says so.
use std::net::TcpListener;

use super::mesh::{MODEL, Mesh};

/// Runs `ward up` to its end, which must be a refusal that leaves nothing; returns what it says.
fn refusal(mesh: &mut Mesh, code: i32) -> String {
    mesh.up(&[]);
    let (status, errors) = mesh.ended();
    assert_eq!(status.code(), Some(code), "{errors}");
    assert_eq!(mesh.processes(), []);
    assert_eq!(mesh.links(), Vec::<String>::new());
    errors
}

#[test]
fn a_port_in_use_is_named_with_who_has_it() {
    let mut mesh = Mesh::new();
    let _held = TcpListener::bind(("127.0.0.1", mesh.port)).unwrap();
    let errors = refusal(&mut mesh, 2);
    let pid = format!("(pid {})", std::process::id());
    assert!(errors.contains(&format!("port {} is in use", mesh.port)) && errors.contains(&pid), "{errors}");
}

#[test]
fn missing_programs_and_users_are_all_named_at_once() {
    let mut mesh = Mesh::new();
    let model = MODEL
        .replace(
            "web: { kind: service, zone: inner, run: { command: [./echo-app] } }",
            "web: { kind: service, zone: inner, run: { command: [./no-web] } }",
        )
        .replace("[./echo-app, tcp]", "[no-such-store]");
    mesh.write_model(&model);
    let errors = refusal(&mut mesh, 2);
    assert!(errors.contains("./no-web") && errors.contains("no-such-store"), "{errors}");
    assert!(errors.contains("nodes.web.run.command") && errors.contains("nothing was started"), "{errors}");
}

#[test]
fn a_wrong_model_is_drawn_and_nothing_starts() {
    let mut mesh = Mesh::new();
    mesh.write_model(&MODEL.replace("kind: store", "kind: stor"));
    let errors = refusal(&mut mesh, 1);
    assert!(errors.contains("stor") && errors.contains("ward.yaml"), "{errors}");
    assert!(!mesh.state().exists(), "it made a state directory");
}

#[test]
fn a_second_one_on_the_same_state_is_sent_away() {
    let mut mesh = Mesh::started();
    let second = mesh.up_command(&[]).output().unwrap();
    let errors = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!(second.status.code(), Some(2), "{errors}");
    assert!(errors.contains("another `ward up`") && errors.contains("--state"), "{errors}");
    // The same socket with another state directory: as little.
    let mut other = mesh.up_command(&[]);
    let other = other.arg("--state").arg(mesh.path("other")).output().unwrap();
    let errors = String::from_utf8_lossy(&other.stderr).into_owned();
    assert!(!other.status.success(), "{errors}");
    mesh.get_ok("/call/api/who");
    mesh.stop();
}

#[test]
fn two_meshes_run_side_by_side() {
    let (mut one, mut two) = (Mesh::started(), Mesh::started());
    one.get_ok("/call/api/who");
    two.get_ok("/call/api/who");
    one.stop();
    two.get_ok("/call/api/who");
    two.stop();
}
