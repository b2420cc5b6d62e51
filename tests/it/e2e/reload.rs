//! The model changes under a running mesh.
use super::mesh::{DEADLINE, MODEL, Mesh};
use crate::eventually::eventually;

#[test]
fn a_bad_model_changes_nothing_and_a_good_one_only_what_it_says() {
    let mut mesh = Mesh::started();
    let before = mesh.processes();
    mesh.get_ok("/call/api/who");

    mesh.write_model(&MODEL.replace("to: web,", "to: wob,"));
    let refused = mesh.event("refused", "the bad model is refused", |_| true);
    let why = refused["why"].as_str().unwrap();
    assert!(why.contains("wob") && why.contains("ward.yaml"), "{why}");
    assert_eq!(mesh.processes(), before);
    mesh.get_ok("/call/api/who");

    // A program that is not there is found before anything is changed, too.
    mesh.forget_events();
    mesh.write_model(&MODEL.replace("[./echo-app, tcp]", "[./no-such-app]"));
    let refused = mesh.event("refused", "the missing program is refused", |_| true);
    assert!(refused["why"].as_str().unwrap().contains("no-such-app"), "{refused:#}");
    assert_eq!(mesh.processes(), before);
    mesh.get_ok("/call/api/who");

    // A new node with a flow to it; the caller learns of it, so it alone is restarted.
    mesh.forget_events();
    let wider = MODEL.replace("flows:", "  extra: { kind: service, zone: inner, run: { command: [./echo-app] } }\nflows:\n  - { id: more, from: web, to: extra, carries: [note] }");
    mesh.write_model(&wider);
    mesh.event("applied", "the wider model is applied", |_| true);
    // Where the new node is, the caller's sidecar is told once the new sidecar has come, and that may take a moment.
    eventually("the new node answers", DEADLINE, || match mesh.get_ok("/call/extra/who") {
        text if text.starts_with("200 extra/0") => Ok(()),
        text => Err(text),
    });
    let after = mesh.processes();
    let gone: Vec<_> =
        before.iter().filter(|process| !after.contains(process)).map(|(name, _)| name.as_str()).collect();
    assert_eq!(gone, ["web/0 application"], "others were touched");

    // And back: the new node goes, and nobody else.
    mesh.forget_events();
    mesh.write_model(MODEL);
    mesh.event("applied", "the first model is applied again", |_| true);
    eventually("the new node is gone", DEADLINE, || {
        let names: Vec<String> = mesh.processes().into_iter().map(|(name, _)| name).collect();
        if names.iter().any(|name| name.starts_with("extra/0")) { Err(format!("{names:?}")) } else { Ok(()) }
    });
    mesh.get_ok("/call/api/who");
    mesh.stop();
}

#[test]
fn a_flow_that_goes_takes_its_traffic_with_it() {
    let mut mesh = Mesh::started();
    mesh.get_ok("/call/api/who");
    mesh.write_model(&MODEL.replace("\"GET /who\", \"GET /tcp/{**}\"", "\"GET /tcp/{**}\""));
    mesh.event("applied", "the narrower model is applied", |_| true);
    eventually("what it no longer allows is refused", DEADLINE, || match mesh.get_ok("/call/api/who") {
        text if text.starts_with("403") => Ok(()),
        text => Err(text),
    });
    assert_eq!(mesh.get_ok("/call/api/tcp/db"), "200 echo ping");
    mesh.stop();
}
