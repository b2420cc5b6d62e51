//! What is printed, and what a patch may do to a file.
use std::{fs, path::Path};

use expect_test::expect;
use model::{SourceFile, load::text::Text};
use posture::Severity;
use serde_json::Value;
use time::macros::date;

use super::{Graded, diff::difference, find, fix::write, grade, markdown, patch, sarif, text};

const MODEL: &str = r#"ward: 1
model: example
zones: { internet: { trust: none }, inside: {} }
data: { order: { class: confidential } }
nodes:
  # Where orders end up.
  archive: { kind: store, zone: inside, auth: iam, logs: true, at_rest: none, holds: [order] }   # for ever
  orders: { kind: service, zone: inside }
flows:
  - { id: file, from: orders, to: archive, carries: [order], via: { tls: none } }
waivers:
  - { id: W-1, accepts: "plaintext-flow@file", why: the wire is short, owner: data-team, until: 2027-01-31 }
"#;

fn graded(model: &str) -> Graded {
    let file = SourceFile { name: "ward.yaml".to_owned(), text: model.to_owned() };
    let graded = grade(Text::new(vec![file]), date!(2026 - 11 - 22));
    graded.unwrap_or_else(|refused| panic!("{:#?}", refused.diagnostics))
}

#[test]
fn for_people() {
    expect![[r#"
        high      unencrypted-store@archive
                  `archive` keeps `order` unencrypted: confidential data
                  at ward.yaml:7 nodes.archive.at_rest
                  at ward.yaml:4 data.order
                  mend: encrypt it at rest with keys of a key service

        accepted  plaintext-flow@file
                  `orders` and `archive` exchange `order` in plain text
                  high, accepted by W-1 until 2027-01-31: the wire is short
                  at ward.yaml:10 flows.file.via.tls
                  at ward.yaml:4 data.order
                  mend: speak TLS 1.3

        2 findings: 1 high, 1 accepted
    "#]]
    .assert_eq(&text::report(&graded(MODEL).findings));
}

#[test]
fn nothing_found_is_said() {
    assert_eq!(text::report(&[]), "no findings\n");
}

#[test]
fn a_report() {
    let graded = graded(MODEL);
    expect![[r##"
        # Posture of shop

        2 findings: 1 high, 1 accepted

        | severity | finding | why |
        |---|---|---|
        | high | `unencrypted-store@archive` | `archive` keeps `order` unencrypted: confidential data |
        | accepted | `plaintext-flow@file` | `orders` and `archive` exchange `order` in plain text |

        ## `unencrypted-store@archive`

        **high**: `archive` keeps `order` unencrypted: confidential data

        - `ward.yaml:7` nodes.archive.at_rest
        - `ward.yaml:4` data.order
        - fails `pci-dss-4.0.1:3.5.1`, `pci-dss-4.0.1:8.3.2`, `soc2:CC6.1`, `gdpr:5.1.f`, `gdpr:32`, `coppa:312.8`, `nist-ai-rmf:MEASURE 2.7`, `eu-ai-act:15.5`
        - mend: encrypt it at rest with keys of a key service

        ```diff
        --- a/ward.yaml
        +++ b/ward.yaml
        @@ -4,7 +4,7 @@
         data: { order: { class: confidential } }
         nodes:
           # Where orders end up.
        -  archive: { kind: store, zone: inside, auth: iam, logs: true, at_rest: none, holds: [order] }   # for ever
        +  archive: { kind: store, zone: inside, auth: iam, logs: true, at_rest: kms, holds: [order] }   # for ever
           orders: { kind: service, zone: inside }
         flows:
           - { id: file, from: orders, to: archive, carries: [order], via: { tls: none } }
        ```

        ## `plaintext-flow@file`

        **accepted**: `orders` and `archive` exchange `order` in plain text

        high, accepted by W-1 (data-team) until 2027-01-31: the wire is short

        - `ward.yaml:10` flows.file.via.tls
        - `ward.yaml:4` data.order
        - fails `pci-dss-4.0.1:4.2.1`, `pci-dss-4.0.1:8.3.2`, `soc2:CC6.7`, `gdpr:5.1.f`, `gdpr:32`, `nist-800-207:2`, `coppa:312.8`, `nist-ai-rmf:MEASURE 2.7`, `eu-ai-act:15.5`
        - mend: speak TLS 1.3

        ```diff
        --- a/ward.yaml
        +++ b/ward.yaml
        @@ -7,6 +7,6 @@
           archive: { kind: store, zone: inside, auth: iam, logs: true, at_rest: none, holds: [order] }   # for ever
           orders: { kind: service, zone: inside }
         flows:
        -  - { id: file, from: orders, to: archive, carries: [order], via: { tls: none } }
        +  - { id: file, from: orders, to: archive, carries: [order], via: { tls: "1.3" } }
         waivers:
           - { id: W-1, accepts: "plaintext-flow@file", why: the wire is short, owner: data-team, until: 2027-01-31 }
        ```
    "##]]
    .assert_eq(&markdown::report(Path::new("shop"), &graded.text, &graded.findings));
}

#[test]
fn json_is_a_list_with_patches() {
    let graded = graded(MODEL);
    let all = patch::with_patches(&graded.text, &graded.findings).unwrap();
    let keys = ["id", "severity", "why", "fix", "also", "controls", "evidence"];
    assert!(all.iter().all(|f| keys.iter().all(|k| f.get(k).is_some())), "{all:#?}");
    expect![[r#"
        --- a/ward.yaml
        +++ b/ward.yaml
        @@ -4,7 +4,7 @@
         data: { order: { class: confidential } }
         nodes:
           # Where orders end up.
        -  archive: { kind: store, zone: inside, auth: iam, logs: true, at_rest: none, holds: [order] }   # for ever
        +  archive: { kind: store, zone: inside, auth: iam, logs: true, at_rest: kms, holds: [order] }   # for ever
           orders: { kind: service, zone: inside }
         flows:
           - { id: file, from: orders, to: archive, carries: [order], via: { tls: none } }
    "#]]
    .assert_eq(all[0]["fix"]["patch"].as_str().unwrap());
}

#[test]
fn sarif_has_the_shape_of_2_1_0() {
    let log = sarif::log(Path::new("./my models"), &graded(MODEL).findings);
    assert_eq!(log["version"], "2.1.0");
    assert!(log["$schema"].as_str().unwrap().ends_with("sarif-schema-2.1.0.json"));
    let run = &log["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    let results = run["results"].as_array().unwrap();
    assert_eq!(results.len(), 2);
    for result in results {
        let rule = &rules[usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap()];
        assert_eq!(rule["id"], result["ruleId"]);
        assert!(["error", "warning", "note"].contains(&result["level"].as_str().unwrap()));
        let text = result["message"]["text"].as_str().unwrap();
        assert!(text.ends_with('.') && !text.contains('\n'), "{text}");
        let place = &result["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "my%20models/ward.yaml");
        assert!(place["region"]["startLine"].as_u64().unwrap() >= 1);
        assert!(result["partialFingerprints"].as_object().unwrap().values().all(Value::is_string));
    }
    let suppressed: Vec<&Value> = results.iter().filter(|r| r.get("suppressions").is_some()).collect();
    assert_eq!(suppressed.len(), 1);
    assert_eq!(suppressed[0]["suppressions"][0]["kind"], "external");
    assert_eq!(suppressed[0]["suppressions"][0]["status"], "accepted");
    for rule in rules {
        assert!(rule["shortDescription"]["text"].as_str().unwrap().ends_with('.'));
        assert!(rule["properties"]["tags"].as_array().unwrap().iter().all(Value::is_string));
    }
}

#[test]
fn new_gone_and_changed() {
    let before = graded(MODEL);
    let after = graded(&MODEL.replace("at_rest: none", "at_rest: kms").replace("2027-01-31", "2026-01-31"));
    let difference = difference(&before.findings, &after.findings);
    let ids = |all: &[&posture::Finding]| all.iter().map(|f| f.id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&difference.new), ["stale-waiver@W-1"]);
    assert_eq!(ids(&difference.gone), ["unencrypted-store@archive"]);
    let changed: Vec<String> =
        difference.changed.iter().map(|c| format!("{} {} {}", c.now.id, c.was, c.now.severity)).collect();
    assert_eq!(changed, ["plaintext-flow@file accepted high"]);
}

/// One cause, two secrets: that another one stands for both is no news.
#[test]
fn what_stands_below_another_is_neither_new_nor_gone() {
    let model = |names: &[&str]| {
        let data: String = names.iter().map(|n| format!("  {n}: {{ class: secret, opens: [db] }}\n")).collect();
        format!(
            "ward: 1\nmodel: example\nzones: {{ inside: {{}} }}\ndata:\n{data}nodes:\n  db: {{ kind: store, zone: inside, auth: password }}\n  \
             orders: {{ kind: service, zone: inside, holds: [{0}] }}\nflows:\n  - {{ id: save, from: orders, to: db, carries: [{0}], \
             via: {{ tls: \"1.3\" }} }}\n",
            names.join(", ")
        )
    };
    let (before, after) = (graded(&model(&["b-password"])), graded(&model(&["a-password", "b-password"])));
    let difference = difference(&before.findings, &after.findings);
    let ids = |all: &[&posture::Finding]| all.iter().map(|f| f.id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&difference.new), ["static-secret@a-password"]);
    assert!(difference.gone.is_empty());
}

/// One flow more in the clear, of a node that has one already: news, though the other one stands for it.
#[test]
fn what_comes_below_another_is_news() {
    let model = |more: &str| {
        graded(&format!(
            "ward: 1\nmodel: example\nzones: {{ inside: {{}} }}\ndata: {{ order: {{ class: internal }}, pin: {{ class: restricted }} }}\n\
             nodes:\n  web: {{ kind: service, zone: inside, logs: true }}\n  orders: {{ kind: service, zone: inside, auth: token }}\n\
             flows:\n  - {{ id: a, from: web, to: orders, carries: [order] }}\n{more}"
        ))
    };
    let flow = |id: &str| format!("  - {{ id: {id}, from: web, to: orders, carries: [order] }}\n");
    let waiver = "waivers:\n  - { id: W-1, accepts: plaintext-flow@b, why: old, owner: team, until: 2027-01-31 }\n";
    let (one, two) = (model(""), model(&flow("b")));
    let waived = model(&format!("{}{waiver}", flow("b")));
    let news = difference(&one.findings, &two.findings);
    assert!(news.new.is_empty());
    assert_eq!(
        news.new_also.iter().map(|b| (b.id, b.follows)).collect::<Vec<_>>(),
        [("plaintext-flow@b", "plaintext-flow@a")]
    );
    assert!(super::diff::text(&news).ends_with("1 new, 0 gone, 0 changed\n"), "{}", super::diff::text(&news));
    assert_eq!(difference(&two.findings, &one.findings).gone_also.len(), 1);
    let over = difference(&waived.findings, &two.findings);
    let changed: Vec<_> = over.changed.iter().map(|c| (c.id, c.was, c.now.id.as_str())).collect();
    assert_eq!(changed, [("plaintext-flow@b", Severity::Accepted, "plaintext-flow@a")], "a waiver that is over");
}

#[test]
fn an_unknown_id_names_the_closest() {
    let graded = graded(MODEL);
    let error = find(&graded.findings, "unencrypted-store@archiv").unwrap_err().to_string();
    assert!(error.contains("did you mean `unencrypted-store@archive`?"), "{error}");
}

#[test]
fn a_file_that_changed_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ward.yaml");
    let file = |text: &str| SourceFile { name: "ward.yaml".to_owned(), text: text.to_owned() };
    fs::write(&path, "old").unwrap();
    write(dir.path(), &file("old"), &file("new")).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "new");
    let error = write(dir.path(), &file("old"), &file("newer")).unwrap_err().to_string();
    assert!(error.contains("has changed meanwhile"), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "new");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

/// Runs `ward posture` with these arguments; the exit code.
fn ward_posture(arguments: &[&str]) -> String {
    use clap::{Args as _, FromArgMatches as _};
    let command = super::Args::augment_args(clap::Command::new("posture"));
    let matches = command.try_get_matches_from([&["posture"], arguments].concat()).unwrap();
    let code = super::run(super::Args::from_arg_matches(&matches).unwrap()).unwrap();
    let codes = [(0, std::process::ExitCode::SUCCESS), (1, std::process::ExitCode::from(1))];
    let found = codes.iter().find(|(_, known)| format!("{known:?}") == format!("{code:?}"));
    found.map_or_else(|| format!("{code:?}"), |(number, _)| number.to_string())
}

#[test]
fn exit_codes_and_an_applied_patch() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ward.yaml");
    fs::write(&path, MODEL).unwrap();
    let at = dir.path().to_str().unwrap();
    let day = ["--date", "2026-11-22"];
    assert_eq!(ward_posture(&[&[at][..], &day].concat()), "0");
    assert_eq!(ward_posture(&[&[at, "--fail-on", "high"][..], &day].concat()), "1");
    assert_eq!(ward_posture(&[&[at, "--fail-on", "critical"][..], &day].concat()), "0");

    let fix = ["fix", "unencrypted-store@archive", at];
    assert_eq!(ward_posture(&[&fix[..], &day].concat()), "0");
    assert_eq!(fs::read_to_string(&path).unwrap(), MODEL, "a patch is only printed");
    assert_eq!(ward_posture(&[&fix[..], &["--apply"], &day].concat()), "0");
    assert_eq!(fs::read_to_string(&path).unwrap(), MODEL.replace("at_rest: none", "at_rest: kms"));
    assert_eq!(ward_posture(&[&[at, "--fail-on", "low"][..], &day].concat()), "0", "what is left is accepted");

    let before = tempfile::tempdir().unwrap();
    fs::write(before.path().join("ward.yaml"), MODEL).unwrap();
    let was = before.path().to_str().unwrap();
    assert_eq!(ward_posture(&[&["diff", was, at, "--fail-on", "low"][..], &day].concat()), "0");
    assert_eq!(ward_posture(&[&["diff", at, was, "--fail-on", "low"][..], &day].concat()), "1");

    fs::write(&path, "ward: 1\n").unwrap();
    assert_eq!(ward_posture(&[&[at][..], &day].concat()), "1", "a model with errors");
}

#[test]
fn what_only_people_can_mend_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let model = posture::RULES.iter().find(|r| r.id == "shared-credential").unwrap().example;
    fs::write(dir.path().join("ward.yaml"), format!("ward: 1\nmodel: example\n{}", model.trim_start())).unwrap();
    let at = dir.path().to_str().unwrap();
    assert_eq!(ward_posture(&["fix", "shared-credential@password", at]), "1");
}

#[test]
fn patches_end_where_a_report_would_take_long() {
    let long = format!("{MODEL}# {}\n", "x".repeat(1 << 20));
    let left = |text: &str| {
        let files = vec![SourceFile { name: "ward.yaml".to_owned(), text: text.to_owned() }];
        patch::Patches::new(&Text::new(files)).left
    };
    assert!(left(MODEL) > 1_000);
    assert_eq!((left(&long), left("")), (15, 16 << 20));
    let Graded { text, findings } = graded(MODEL);
    let mut patches = patch::Patches::new(&text);
    patches.left = 1;
    let [first, second] = findings.as_slice() else { panic!("{findings:#?}") };
    assert!(patches.of(first).is_some_and(|patch| patch.starts_with("--- a/ward.yaml")));
    assert_eq!(patches.of(second), None, "there is one change for the worst one");
}

#[test]
fn a_watched_model_tells_what_changed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ward.yaml");
    fs::write(&path, MODEL).unwrap();
    let mut watch = super::watch::Watch::new(dir.path(), time::macros::date!(2026 - 11 - 22));
    let first = watch.look().unwrap().unwrap();
    assert_eq!(first.json["findings"], 2, "{}", first.text);
    assert_eq!(first.json["new"].as_array().unwrap().len(), 2);
    assert!(watch.look().unwrap().is_none(), "nothing was written");

    fs::write(&path, MODEL.replace("at_rest: none", "at_rest: volume")).unwrap();
    let mended = watch.look().unwrap().unwrap();
    assert!(
        mended.text.starts_with("gone     high      unencrypted-store@archive\n0 new, 1 gone, 0 changed\n"),
        "{}",
        mended.text
    );
    assert!(mended.text.ends_with(" ms to read\n"), "{}", mended.text);
    assert!(mended.json["millis"].is_number() && mended.json["reading_millis"].is_number(), "{}", mended.json);

    fs::write(&path, MODEL.replace("at_rest: none", "at_rest: nonsense")).unwrap();
    let broken = watch.look().unwrap().unwrap();
    assert!(broken.diagnostics.contains("nonsense") && broken.text.contains("stands"), "{}", broken.text);
    assert_eq!(broken.json["errors"].as_array().unwrap().len(), 1);
    assert_eq!(watch.session.as_ref().unwrap().findings().len(), 1, "the last good state");

    fs::write(&path, MODEL).unwrap();
    let back = watch.look().unwrap().unwrap();
    assert_eq!(back.json["new"][0]["id"], "unencrypted-store@archive");
    fs::remove_file(&path).unwrap();
    assert!(watch.look().unwrap().unwrap().text.contains("stands"));
}
