//! docs/proxy.md says what the data says: tables and the example are compared with the code.
use std::{fmt::Write, path::Path};

use proxy::{
    Settings,
    headers::{REQUEST, RESPONSE, Row},
    limits::Limits,
};

const DOCS: &str = include_str!("../../../../docs/proxy.md");

fn headers(rows: &[Row]) -> String {
    let mut table = "| header | gateway | outbound | inbound | why |\n|---|---|---|---|---|\n".to_owned();
    for row in rows {
        let [gateway, outbound, inbound] = [row.gateway, row.outbound, row.inbound].map(|a| a.as_str());
        writeln!(table, "| `{}` | {gateway} | {outbound} | {inbound} | {} |", row.name, row.why).unwrap();
    }
    table
}

fn limits() -> String {
    let mut table = "| `limits.` | default | meaning |\n|---|---|---|\n".to_owned();
    for (name, default, meaning) in Limits::table() {
        writeln!(table, "| `{name}` | {default} | {meaning} |").unwrap();
    }
    table
}

/// The text that belongs between the two hand-written parts; printed when it differs, to be pasted.
#[test]
fn the_tables_are_the_data() {
    for table in [headers(REQUEST), headers(RESPONSE), limits()] {
        assert!(DOCS.contains(&table), "docs/proxy.md lacks this table:\n{table}");
    }
}

#[test]
fn the_example_is_a_configuration() {
    let yaml = DOCS.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
    let settings = Settings::parse(Path::new("docs/proxy.md"), yaml).unwrap_or_else(|e| panic!("{e}"));
    let resources = settings.static_resources().unwrap();
    assert_eq!(resources.upstreams.len(), 1);
    let subject = policy::Workload {
        namespace: "shop".to_owned(),
        labels: resources.workload.labels.clone().into_iter().collect(),
        root_namespace: "ward-system".to_owned(),
        trust_domain: "shop.example".to_owned(),
        aliases: Vec::new(),
    };
    let documents: Vec<_> = resources.policies.iter().map(|p| serde_json::from_str(&p.document).unwrap()).collect();
    policy::RuleSet::compile(&subject, &documents).unwrap();
}

#[test]
fn mistakes_in_settings_name_their_place() {
    let base = "identity: { cert: a, key: b, bundle: c, trust_domain: d }\nstatic: { workload: {} }\n";
    for (text, want) in [
        ("limits: { headers_max: 0 }", "limits.headers_max"),
        ("limits: { headers_max: 129 }", "limits.headers_max"),
        ("limits: { header_bytes_max: 255 }", "limits.header_bytes_max"),
        ("limits: { idle_timeout: 5 }", "write it as 500ms, 10s, 5m or 1h"),
        ("workers: 0", "workers"),
        ("workers: 257", "workers"),
        ("wokers: 1", "wokers"),
        ("control: { address: a, node: n, state_dir: d }", "static"),
    ] {
        let error = Settings::parse(Path::new("p.yaml"), &format!("{base}{text}\n")).unwrap_err();
        assert!(daemon::logs::chain(&error).contains(want), "{text}: {error}");
    }
    assert!(
        Settings::parse(Path::new("p.yaml"), &format!("{base}limits: {{ headers_max: 128 }}\nworkers: 256\n")).is_ok()
    );
}
