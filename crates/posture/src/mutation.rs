//! The mutation test: from each example, one guarantee at a time is taken away, and exactly the finding for it appears.
use std::{fs, path::Path};

use expect_test::expect;
use model::{
    AtRest, Auth, Model, NodeKind, SourceFile,
    load::text::{Change, Text},
};
use serde_json::json;
use time::macros::date;

use crate::{Finding, Input, grade};

/// A guarantee that the model states, what takes it away, and the rules that may then speak.
struct Guarantee {
    what: String,
    gone: Change,
    rules: &'static [&'static str],
}

fn graded(text: &Text) -> Option<(Model, Vec<Finding>)> {
    let model = model::load(text.files()).model?;
    let findings = grade(Input { model: &model, text: Some(text), today: date!(2026 - 11 - 22) });
    Some((model, findings))
}

/// Every kind of guarantee that a model can state.
fn guarantees(model: &Model) -> Vec<Guarantee> {
    let mut all = Vec::new();
    let path = |at: &[&str]| at.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
    let mut push = |at: &[&str], value: Option<serde_json::Value>, rules| {
        let gone = match &value {
            Some(value) => Change::Set { path: path(at), value: value.clone() },
            None => Change::Remove { path: path(at) },
        };
        let what = format!("{} {}", at.join("."), value.map_or("gone".to_owned(), |v| v.to_string()));
        all.push(Guarantee { what, gone, rules });
    };
    push(&["mesh", "svid_ttl"], Some(json!("30d")), &["overlong-svid"]);
    for (name, zone) in &model.zones {
        if zone.region.is_some() {
            push(&["zones", name.as_str(), "region"], None, &["residency"]);
        }
    }
    for (name, datum) in &model.data {
        if datum.ttl.is_some() {
            push(&["data", name.as_str(), "ttl"], None, &["static-secret"]);
            push(&["data", name.as_str(), "ttl"], Some(json!("2y")), &["overlong-secret"]);
        }
        if datum.retention.is_some() && datum.copy_of.is_some() {
            push(&["data", name.as_str(), "retention"], None, &["retention"]);
        }
    }
    for (name, node) in &model.nodes {
        let name = name.as_str();
        if matches!(node.at_rest, Some(AtRest::Volume | AtRest::Kms)) {
            push(
                &["nodes", name, "at_rest"],
                Some(json!("none")),
                &["unencrypted-store", "weaker-copy", "static-secret"],
            );
            push(
                &["nodes", name, "at_rest"],
                Some(json!("encoding")),
                &["encoded-secret", "weaker-copy", "static-secret"],
            );
        }
        if node.auth.is_some_and(|a| a != Auth::None) {
            let rules: &[&str] = match node.kind {
                NodeKind::Party => &["unauthenticated-flow", "zone-descent", "unguarded-entry"],
                _ => &["unauthenticated-flow", "open-metadata", "public-store", "exposed-admin", "open-promotion"],
            };
            push(&["nodes", name, "auth"], None, rules);
        }
        if !node.guards.is_empty() {
            let rules = &["unguarded-entry", "admin-mfa", "exposed-admin", "unauthenticated-flow"];
            push(&["nodes", name, "guards"], None, rules);
        }
        if node.logs == Some(true) {
            push(&["nodes", name, "logs"], Some(json!(false)), &["unlogged-flow", "open-promotion"]);
        }
        if node.rotates == Some(true) {
            push(&["nodes", name, "rotates"], Some(json!(false)), &["static-secret"]);
        }
        if !node.reads.is_empty() {
            let rules = &["child-data-reach", "zone-descent", "secret-in-flow", "over-collection"];
            push(&["nodes", name, "reads"], None, rules);
        }
        let outside = model.zones.iter().find(|(_, z)| z.trust == model::Trust::None);
        if let Some((outside, _)) = outside.filter(|_| !node.under_ward() && node.kind != NodeKind::Party)
            && node.exposed_to.is_empty()
        {
            let rules = &["public-store", "exposed-admin", "unguarded-entry"];
            push(&["nodes", name, "exposed_to"], Some(json!([outside.as_str()])), rules);
        }
    }
    for flow in &model.flows {
        let id = flow.id.as_str();
        for (word, value, rules) in [
            ("tls", json!("none"), &["plaintext-flow", "open-promotion"][..]),
            ("tls", json!("1.0"), &["weak-tls", "open-promotion"]),
            ("local", json!(false), &["private-traffic-over-internet", "open-promotion"]),
            ("auth", json!("none"), &["unauthenticated-flow", "open-metadata", "public-store", "open-promotion"]),
        ] {
            if flow.via.words.contains_key(word) {
                push(&["flows", id, "via", word], Some(value), rules);
            }
        }
        // What is no longer written no longer holds.
        for (word, rules) in [
            ("tls", &["plaintext-flow", "open-promotion"][..]),
            ("auth", &["unauthenticated-flow", "open-metadata", "public-store", "open-promotion"]),
        ] {
            if flow.via.words.contains_key(word) {
                push(&["flows", id, "via", word], None, rules);
            }
        }
        if flow.via.words.contains_key("transform") {
            push(&["flows", id, "via", "transform"], None, &["zone-descent", "child-data-reach"]);
        }
        if flow.via.audit.is_some() {
            push(&["flows", id, "via", "audit"], None, &["unlogged-flow", "audit-level", "open-promotion"]);
        }
    }
    all
}

/// What each mutation brings, a line each; what it may not bring is a failure.
fn mutations(text: &Text) -> Vec<String> {
    let (model, before) = graded(text).unwrap();
    let (mut lines, mut wrong) = (Vec::new(), Vec::new());
    for Guarantee { what, gone, rules } in guarantees(&model) {
        // A mutation that makes the model an error is refused before anybody grades it.
        let Some((_, after)) = text.changed(&[gone]).ok().and_then(|t| graded(&t)) else { continue };
        let new: Vec<&Finding> = after.iter().filter(|f| before.iter().all(|b| b.id != f.id)).collect();
        if new.len() > 1 || new.iter().any(|f| !rules.contains(&f.rule())) {
            wrong.push(format!("{what}: {:?}", new.iter().map(|f| &f.id).collect::<Vec<_>>()));
        }
        let new: Vec<String> = new.iter().map(|f| format!("{} {}", f.id, f.severity)).collect();
        lines.push(format!("{what}: {}", if new.is_empty() { "-".to_owned() } else { new.join(", ") }));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    lines
}

fn models(at: &Path, found: &mut Vec<Text>) {
    let mut entries: Vec<_> = fs::read_dir(at).unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    for path in entries.iter().filter(|p| p.is_dir()) {
        models(path, found);
    }
    if let Ok(text) = fs::read_to_string(at.join("ward.yaml")) {
        found.push(Text::new(vec![SourceFile { name: "ward.yaml".to_owned(), text }]));
    }
}

fn examples() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples")
}

#[test]
fn one_guarantee_less_is_one_finding_more_in_every_example() {
    let mut found = Vec::new();
    models(&examples(), &mut found);
    assert!(found.len() >= 3);
    for text in found {
        assert!(mutations(&text).len() > 5);
    }
}

#[test]
fn what_each_guarantee_of_the_mended_example_is_worth() {
    let mut found = Vec::new();
    models(&examples().join("tasky/secure"), &mut found);
    expect![[r#"
        mesh.svid_ttl "30d": -
        data.app-account.ttl gone: static-secret@app-account medium
        data.app-account.ttl "2y": overlong-secret@app-account low
        data.vm-role.ttl gone: static-secret@vm-role medium
        data.vm-role.ttl "2y": overlong-secret@vm-role low
        nodes.admin.auth gone: -
        nodes.alarms.exposed_to ["internet"]: unguarded-entry@alarms high
        nodes.alb.exposed_to ["internet"]: unguarded-entry@alb high
        nodes.app.logs false: -
        nodes.app.reads gone: -
        nodes.app.exposed_to ["internet"]: unguarded-entry@app high
        nodes.aws-api.auth gone: exposed-admin@aws-api critical
        nodes.aws-api.logs false: -
        nodes.backup-bucket.at_rest "none": unencrypted-store@backup-bucket high
        nodes.backup-bucket.at_rest "encoding": encoded-secret@backup-bucket high
        nodes.backup-bucket.auth gone: -
        nodes.backup-bucket.logs false: unlogged-flow@upload medium
        nodes.backup-bucket.exposed_to ["internet"]: -
        nodes.backup-script.exposed_to ["internet"]: unguarded-entry@backup-script high
        nodes.cloudwatch.at_rest "none": -
        nodes.cloudwatch.at_rest "encoding": -
        nodes.cloudwatch.auth gone: -
        nodes.cloudwatch.exposed_to ["internet"]: -
        nodes.guardduty.exposed_to ["internet"]: unguarded-entry@guardduty high
        nodes.imds.auth gone: open-metadata@imds high
        nodes.imds.exposed_to ["internet"]: -
        nodes.k8s-api.auth gone: -
        nodes.k8s-api.logs false: -
        nodes.mongodb.at_rest "none": -
        nodes.mongodb.at_rest "encoding": -
        nodes.mongodb.auth gone: -
        nodes.mongodb.exposed_to ["internet"]: exposed-admin@mongodb critical
        nodes.mongodb-vm.auth gone: -
        nodes.mongodb-vm.logs false: unlogged-flow@role-credentials medium
        nodes.secrets.at_rest "none": unencrypted-store@secrets critical
        nodes.secrets.at_rest "encoding": encoded-secret@secrets critical
        nodes.secrets.auth gone: unauthenticated-flow@create-secret high
        nodes.secrets.logs false: -
        nodes.secrets.rotates false: static-secret@mongo-creds medium
        nodes.secrets.exposed_to ["internet"]: -
        nodes.ssm.at_rest "none": unencrypted-store@ssm critical
        nodes.ssm.at_rest "encoding": encoded-secret@ssm critical
        nodes.ssm.auth gone: unauthenticated-flow@store-key high
        nodes.ssm.logs false: unlogged-flow@fetch-key medium
        nodes.ssm.exposed_to ["internet"]: -
        nodes.terraform.logs false: -
        nodes.terraform.exposed_to ["internet"]: unguarded-entry@terraform high
        nodes.waf.guards gone: unguarded-entry@waf medium
        nodes.waf.exposed_to ["internet"]: -
        nodes.wazuh.exposed_to ["internet"]: unguarded-entry@wazuh high
        flows.create-todo.via.tls "none": plaintext-flow@create-todo high
        flows.create-todo.via.tls "1.0": weak-tls@create-todo medium
        flows.create-todo.via.tls gone: plaintext-flow@create-todo high
        flows.filtered.via.tls "none": plaintext-flow@filtered medium
        flows.filtered.via.tls "1.0": weak-tls@filtered medium
        flows.filtered.via.tls gone: plaintext-flow@filtered medium
        flows.forward.via.tls "none": plaintext-flow@forward medium
        flows.forward.via.tls "1.0": weak-tls@forward medium
        flows.forward.via.tls gone: plaintext-flow@forward medium
        flows.insert.via.tls "none": plaintext-flow@insert high
        flows.insert.via.tls "1.0": weak-tls@insert medium
        flows.insert.via.auth "none": unauthenticated-flow@insert high
        flows.insert.via.tls gone: -
        flows.insert.via.auth gone: -
        flows.create-secret.via.tls "none": plaintext-flow@create-secret high
        flows.create-secret.via.tls "1.0": weak-tls@create-secret medium
        flows.create-secret.via.tls gone: plaintext-flow@create-secret high
        flows.deploy.via.tls "none": plaintext-flow@deploy medium
        flows.deploy.via.tls "1.0": weak-tls@deploy medium
        flows.deploy.via.tls gone: plaintext-flow@deploy medium
        flows.fetch-secret.via.tls "none": plaintext-flow@fetch-secret high
        flows.fetch-secret.via.tls "1.0": weak-tls@fetch-secret medium
        flows.fetch-secret.via.auth "none": unauthenticated-flow@fetch-secret high
        flows.fetch-secret.via.tls gone: plaintext-flow@fetch-secret high
        flows.fetch-secret.via.auth gone: -
        flows.rotate.via.tls "none": plaintext-flow@rotate high
        flows.rotate.via.tls "1.0": weak-tls@rotate medium
        flows.rotate.via.tls gone: -
        flows.store-key.via.tls "none": plaintext-flow@store-key high
        flows.store-key.via.tls "1.0": weak-tls@store-key medium
        flows.store-key.via.tls gone: plaintext-flow@store-key high
        flows.fetch-key.via.tls "none": plaintext-flow@fetch-key high
        flows.fetch-key.via.tls "1.0": weak-tls@fetch-key medium
        flows.fetch-key.via.tls gone: plaintext-flow@fetch-key high
        flows.log-in.via.auth "none": -
        flows.log-in.via.auth gone: -
        flows.start-backup.via.local false: private-traffic-over-internet@start-backup medium
        flows.dump.via.local false: private-traffic-over-internet@dump medium
        flows.dump.via.auth "none": -
        flows.dump.via.auth gone: -
        flows.upload.via.tls "none": -
        flows.upload.via.tls "1.0": -
        flows.upload.via.local false: private-traffic-over-internet@upload medium
        flows.upload.via.auth "none": -
        flows.upload.via.tls gone: -
        flows.upload.via.auth gone: -
        flows.role-credentials.via.local false: private-traffic-over-internet@role-credentials high
        flows.syslog.via.tls "none": plaintext-flow@syslog medium
        flows.syslog.via.tls "1.0": weak-tls@syslog medium
        flows.syslog.via.tls gone: plaintext-flow@syslog medium
        flows.pod-logs.via.tls "none": plaintext-flow@pod-logs medium
        flows.pod-logs.via.tls "1.0": weak-tls@pod-logs medium
        flows.pod-logs.via.tls gone: plaintext-flow@pod-logs medium
        flows.trail.via.tls "none": plaintext-flow@trail medium
        flows.trail.via.tls "1.0": weak-tls@trail medium
        flows.trail.via.tls gone: plaintext-flow@trail medium
        flows.trail-events.via.tls "none": plaintext-flow@trail-events medium
        flows.trail-events.via.tls "1.0": weak-tls@trail-events medium
        flows.trail-events.via.tls gone: plaintext-flow@trail-events medium
        flows.flow-logs.via.tls "none": plaintext-flow@flow-logs medium
        flows.flow-logs.via.tls "1.0": weak-tls@flow-logs medium
        flows.flow-logs.via.tls gone: plaintext-flow@flow-logs medium
        flows.raise.via.tls "none": plaintext-flow@raise medium
        flows.raise.via.tls "1.0": weak-tls@raise medium
        flows.raise.via.tls gone: plaintext-flow@raise medium
        flows.notify.via.tls "none": plaintext-flow@notify medium
        flows.notify.via.tls "1.0": weak-tls@notify medium
        flows.notify.via.tls gone: plaintext-flow@notify medium
    "#]]
    .assert_eq(&(mutations(&found[0]).join("\n") + "\n"));
}
