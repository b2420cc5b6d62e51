//! Grading: consequences at their causes, steps of attacks, waivers and their days, order.
use model::{SourceFile, load::text::Text};
use time::{Date, macros::date};

use super::{Graded, Input, Paths, grade};
use crate::{Finding, Severity};

const TODAY: Date = date!(2026 - 11 - 22);

fn findings(model: &str, today: Date) -> Vec<Finding> {
    let text = format!("ward: 1\nmodel: example\n{}", model.trim_start());
    let text = Text::new(vec![SourceFile { name: "ward.yaml".to_owned(), text }]);
    let loaded = model::load(text.files());
    let model = loaded.model.unwrap_or_else(|| panic!("{:#?}", loaded.diagnostics));
    grade(Input { model: &model, text: Some(&text), today })
}

fn one<'f>(findings: &'f [Finding], id: &str) -> &'f Finding {
    findings.iter().find(|f| f.id == id).unwrap_or_else(|| panic!("{findings:#?}"))
}

const BUCKET: &str = "
zones: { internet: { trust: none }, inside: {} }
data:
  order:  { class: confidential }
  backup: { class: confidential, copy_of: order }
nodes:
  db: { kind: store, zone: inside, at_rest: kms, auth: password, logs: true, holds: [order] }
  bucket: { kind: store, zone: inside, at_rest: none, auth: none, exposed_to: [internet], holds: [backup] }
flows:
  - { id: nightly, from: db, to: bucket, carries: [backup], via: { tls: \"1.3\" } }
";

#[test]
fn what_follows_is_put_to_its_cause() {
    let found = findings(BUCKET, TODAY);
    let ids: Vec<&str> = found.iter().map(|f| f.id.as_str()).collect();
    assert_eq!(ids, ["public-store@bucket", "unencrypted-store@bucket"]);
    let also = |id: &str| one(&found, id).also.iter().map(|c| c.id.clone()).collect::<Vec<_>>();
    assert_eq!(also("public-store@bucket"), ["unauthenticated-flow@nightly"]);
    assert_eq!(also("unencrypted-store@bucket"), ["weaker-copy@backup"]);
}

#[test]
fn what_a_stranger_is_given_follows_from_not_asking_who_it_is() {
    let model = "
zones: { internet: { trust: none }, inside: {} }
data: { record: { class: confidential } }
nodes:
  somebody: { kind: party, zone: internet }
  site: { kind: service, zone: inside, guards: [waf], logs: true }
flows:
  - { id: look, from: somebody, to: site, returns: [record], via: { tls: \"1.3\" } }
";
    let found = findings(model, TODAY);
    let also: Vec<&str> = one(&found, "unauthenticated-flow@look").also.iter().map(|c| c.id.as_str()).collect();
    assert_eq!((found.len(), also), (1, vec!["zone-descent@look"]));
}

#[test]
fn one_word_that_is_lacking_is_one_finding() {
    let model = "
zones: { lab: {}, core: { trust: high } }
data: { profile: { class: restricted, about: child, audit: high } }
nodes:
  welfare: { kind: service, zone: core, run: { command: [./welfare] }, reads: [profile] }
  identity: { kind: service, zone: lab, run: { command: [./identity] } }
flows:
  - { id: who, from: identity, to: welfare, returns: [profile] }
";
    let found = findings(model, TODAY);
    let told = |id: &str| one(&found, id).also.iter().map(|c| c.id.clone()).collect::<Vec<_>>();
    assert_eq!(told("audit-level@who"), ["unlogged-flow@who"]);
    assert_eq!(told("child-data-reach@identity"), ["zone-descent@who"]);
    assert_eq!(found.len(), 2);
}

#[test]
fn a_key_that_is_only_kept_is_used() {
    let model = "
zones: { inside: {} }
data: { own-key: { class: secret, of: private-key, opens: [orders] }, certificate: { class: public } }
nodes:
  web: { kind: service, zone: inside }
  keys: { kind: store, zone: inside, auth: rbac, at_rest: kms, holds: [own-key, certificate] }
  orders: { kind: service, zone: inside, auth: mtls }
flows:
  - { id: look, from: web, to: keys, returns: [certificate], via: { local: true } }
  - { id: place, from: web, to: orders, carries: [certificate], via: { mtls: true } }
";
    assert_eq!(findings(model, TODAY).iter().map(|f| f.id.as_str()).collect::<Vec<_>>(), ["static-secret@own-key"]);
    assert!(findings(&model.replace("opens: [orders]", "ttl: 24h, opens: [orders]"), TODAY).is_empty());
}

#[test]
fn a_node_outside_ward_is_one_cause() {
    let model = "
zones: { inside: {} }
data: { lines: { class: internal }, card: { class: restricted } }
nodes:
  web: { kind: service, zone: inside, run: { command: [./web] } }
  orders: { kind: service, zone: inside }
  payments: { kind: service, zone: inside, run: { command: [./payments] } }
  logs: { kind: service, zone: inside, run: { command: [./logs] } }
flows:
  - { id: tell, from: orders, to: logs, carries: [lines] }
  - { id: place, from: web, to: orders, carries: [card], via: { audit: high } }
  - { id: pay, from: orders, to: payments, carries: [card], via: { audit: high } }
";
    let found = findings(model, TODAY);
    assert_eq!(found.iter().map(|f| f.id.as_str()).collect::<Vec<_>>(), ["plaintext-flow@place"]);
    assert_eq!(found[0].also.len(), 5);
    assert!(
        findings(
            &model.replace(
                "orders: { kind: service, zone: inside }",
                "orders: { kind: service, zone: inside, attest: token }"
            ),
            TODAY
        )
        .is_empty()
    );
}

#[test]
fn evidence_is_where_it_is_written_or_where_it_is_lacking() {
    let found = findings(BUCKET, TODAY);
    let places: Vec<String> = one(&found, "unencrypted-store@bucket")
        .evidence
        .iter()
        .map(|e| format!("{}:{} {}", e.file, e.line, e.path))
        .collect();
    assert_eq!(places, ["ward.yaml:9 nodes.bucket.at_rest", "ward.yaml:6 data.backup"]);
}

#[test]
fn a_waiver_accepts_until_its_day_and_no_longer() {
    let model = format!(
        "{BUCKET}waivers:\n  - {{ id: W-1, accepts: \"public-*@bucket\", why: a demo, owner: team, until: 2026-11-22 }}\n"
    );
    let found = findings(&model, TODAY);
    let accepted = one(&found, "public-store@bucket");
    assert_eq!(accepted.severity, Severity::Accepted);
    let waived = accepted.waived.as_ref().unwrap();
    assert_eq!((waived.severity, waived.id.as_str(), waived.until.as_str()), (Severity::Critical, "W-1", "2026-11-22"));
    // It stays in the list, last, and nothing else is accepted.
    assert_eq!(found.last().unwrap().id, "public-store@bucket");
    assert_eq!(one(&found, "unencrypted-store@bucket").severity, Severity::Critical);

    let found = findings(&model, date!(2026 - 11 - 23));
    assert_eq!(one(&found, "public-store@bucket").severity, Severity::Critical);
    assert_eq!(one(&found, "stale-waiver@W-1").severity, Severity::Low);
}

/// A pipeline deploys, and a runner has its token as well: the token is the pipeline's to keep.
#[test]
fn what_one_needs_is_taken_from_the_other() {
    let text = r#"
zones: { inside: {} }
data: { deploy-token: { class: secret, opens: [cluster], ttl: 1h }, order: { class: internal } }
nodes:
  deployer: { kind: service, zone: inside, logs: true, holds: [deploy-token] }
  runner: { kind: service, zone: inside, logs: true, holds: [deploy-token] }
  cluster: { kind: service, zone: inside, privilege: admin, auth: rbac }
flows:
  - { id: deploy, from: deployer, to: cluster, carries: [deploy-token], via: { tls: "1.3" } }
  - { id: start, from: runner, to: deployer, carries: [order], via: { tls: "1.3" } }
"#;
    let found = findings(text, TODAY);
    let finding = one(&found, "excess-privilege@deploy-token");
    assert_eq!(finding.why, "`runner` has `deploy-token`, which opens `cluster` with all rights, and no flow there");
    assert_eq!(finding.also.iter().map(|c| c.id.as_str()).collect::<Vec<_>>(), ["shared-credential@deploy-token"]);
    let text = format!("ward: 1\nmodel: example\n{}", text.trim_start());
    let text = Text::new(vec![SourceFile { name: "ward.yaml".to_owned(), text }]);
    let mended = text.changed(&finding.fix.changes).unwrap();
    let mended = model::load(mended.files()).model.unwrap();
    assert!(grade(Input { model: &mended, text: None, today: TODAY }).is_empty());
}

/// Three passwords that nobody rotates, as a manager that does would mend all of them.
fn passwords(more: &str) -> String {
    format!(
        r#"
zones: {{ inside: {{}} }}
data:
  a-password: {{ class: secret, opens: [a] }}
  b-password: {{ class: secret, opens: [b] }}
  c-password: {{ class: secret, opens: [c] }}
nodes:
  one: {{ kind: service, zone: inside, logs: true, holds: [a-password, b-password] }}
  two: {{ kind: service, zone: inside, logs: true, holds: [c-password] }}
  a: {{ kind: store, zone: inside, auth: password }}
  b: {{ kind: store, zone: inside, auth: password }}
  c: {{ kind: store, zone: inside, auth: password }}
flows:
  - {{ id: to-a, from: one, to: a, carries: [a-password], via: {{ tls: "1.3" }} }}
  - {{ id: to-b, from: one, to: b, carries: [b-password], via: {{ tls: "1.3" }} }}
  - {{ id: to-c, from: two, to: c, carries: [c-password], via: {{ tls: "1.3" }} }}
{more}"#
    )
}

fn grouped(text: &str) -> Vec<String> {
    let line = |f: &Finding| format!("{} {:?}", f.id, f.also.iter().map(|c| c.id.as_str()).collect::<Vec<_>>());
    findings(text, TODAY).iter().map(line).collect()
}

#[test]
fn one_cause_is_one_finding_and_its_mend_mends_all() {
    let text = passwords("");
    assert_eq!(
        grouped(&text),
        [r#"static-secret@a-password ["static-secret@b-password", "static-secret@c-password"]"#]
    );
    let found = findings(&text, TODAY);
    assert_eq!(found[0].fix.changes.len(), 2, "once for each of the two that keep them");
    // Where something rotates, the others are lacking one by one, as they are kept.
    let rotating = text.replace(
        "zone: inside, logs: true, holds: [c-password]",
        "zone: inside, logs: true, rotates: true, holds: [c-password]",
    );
    assert_eq!(grouped(&rotating), [r#"static-secret@a-password ["static-secret@b-password"]"#]);
}

/// To accept one is not to accept what the same cause brings besides, and an id never means another thing than its own.
#[test]
fn a_waiver_of_one_leaves_the_others() {
    let waived = |id: &str| {
        passwords(&format!(
            "waivers:\n  - {{ id: W-1, accepts: \"static-secret@{id}\", why: a demo, owner: team, until: 2027-01-31 }}\n"
        ))
    };
    assert_eq!(
        grouped(&waived("a-password")),
        [r#"static-secret@b-password ["static-secret@c-password"]"#, "static-secret@a-password []"]
    );
    assert_eq!(
        grouped(&waived("b-password")),
        [r#"static-secret@a-password ["static-secret@c-password"]"#, "static-secret@b-password []"]
    );
    assert_eq!(
        grouped(&waived("*")),
        [r#"static-secret@a-password ["static-secret@b-password", "static-secret@c-password"]"#]
    );
}

/// Whoever reaches the machine asks its metadata service; only the way in makes the difference.
fn machine(exposed: &str) -> String {
    format!(
        "
zones: {{ internet: {{ trust: none }}, inside: {{}} }}
data: {{ role: {{ class: secret, opens: [cloud], ttl: 6h }}, order: {{ class: internal }} }}
nodes:
  operator: {{ kind: party, zone: inside, auth: oidc }}
  machine: {{ kind: service, zone: inside, port: 22, auth: key, logs: true, exposed_to: [{exposed}] }}
  metadata: {{ kind: service, zone: inside, auth: none }}
  cloud: {{ kind: service, zone: inside, privilege: admin, auth: sigv4, exposed_to: [internet] }}
flows:
  - {{ id: log-in, from: operator, to: machine, carries: [order], via: {{ ssh: true }} }}
  - {{ id: credentials, from: machine, to: metadata, returns: [role], via: {{ local: true }} }}
  - {{ id: manage, from: operator, to: cloud, carries: [order], via: {{ tls: \"1.3\" }} }}
"
    )
}

#[test]
fn a_lack_is_worse_on_the_path_of_an_attack() {
    let off = findings(&machine("inside"), TODAY);
    assert_eq!(one(&off, "open-metadata@metadata").severity, Severity::High);
    assert_eq!(one(&off, "excess-privilege@role").severity, Severity::High);
    let on = findings(&machine("internet"), TODAY);
    assert_eq!(one(&on, "open-metadata@metadata").severity, Severity::Critical);
    let raised = one(&on, "excess-privilege@role");
    assert_eq!(raised.severity, Severity::Critical);
    assert_eq!(raised.raised.as_deref(), Some("on an attack path: `role` opens `cloud`"));
    // The way in is an entry, not a step: it has the severity of the table.
    assert_eq!(one(&on, "exposed-admin@machine").severity, Severity::High);
}

#[test]
fn worst_first_then_by_id() {
    let found = findings(&machine("internet"), TODAY);
    let order: Vec<(Severity, &str)> = found.iter().map(|f| (f.severity, f.id.as_str())).collect();
    let mut sorted = order.clone();
    sorted.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
    assert_eq!(order, sorted);
}

#[test]
fn the_same_whatever_the_order_of_flows() {
    let model = machine("internet");
    let (head, flows) = model.split_once("flows:\n").unwrap();
    let mut lines: Vec<&str> = flows.lines().collect();
    lines.reverse();
    let turned = findings(&format!("{head}flows:\n{}\n", lines.join("\n")), TODAY);
    let ids = |f: &[Finding]| f.iter().map(|f| (f.id.clone(), f.severity)).collect::<Vec<_>>();
    assert_eq!(ids(&turned), ids(&findings(&model, TODAY)));
}

#[test]
fn demands_of_a_zone_hold_in_the_zones_inside() {
    let model = "
zones: { bank: { requires: [mfa] }, vault: { in: bank } }
data: { order: { class: internal } }
nodes:
  operator: { kind: party, zone: bank, auth: oidc }
  panel: { kind: service, zone: vault, privilege: admin, auth: oidc }
flows:
  - { id: operate, from: operator, to: panel, carries: [order], via: { tls: \"1.3\" } }
";
    let found = findings(model, TODAY);
    assert_eq!(found.iter().map(|f| f.id.as_str()).collect::<Vec<_>>(), ["admin-mfa@panel"]);
}

#[test]
fn words_of_requirements_are_checked_like_any_other() {
    for (model, code, line) in [
        ("zones: { bank: { requires: [mfaa] } }", "unknown-word", 3),
        ("data: { order: { class: internal, audit: loud } }", "unknown-word", 3),
        (
            "emergencies: { fire: { flows: [], approvers: { any: 1, of: [] }, drill: { last: 2026-01-01 } } }",
            "missing-field",
            3,
        ),
        (
            "emergencies: { fire: { flows: [], approvers: { any: 1, of: [] }, drill: { every: often } } }",
            "bad-value",
            3,
        ),
    ] {
        let text = format!("ward: 1\nmodel: example\n{model}\n");
        let loaded = model::load(&[SourceFile { name: "ward.yaml".to_owned(), text }]);
        let found = loaded.diagnostics.iter().any(|d| d.code == code && d.line == line);
        assert!(found, "{model}: {:#?}", loaded.diagnostics);
    }
}

#[test]
fn a_waiver_may_speak_of_an_emergency() {
    let model = "ward: 1\nmodel: example\nemergencies: { fire: { flows: [], approvers: { any: 1, of: [] } } }\n\
                 waivers:\n  - { id: W-1, accepts: stale-drill@fire, why: new, owner: team, until: 2027-01-31 }\n";
    let loaded = model::load(&[SourceFile { name: "ward.yaml".to_owned(), text: model.to_owned() }]);
    assert!(loaded.diagnostics.iter().all(|d| d.code != "unknown-subject"), "{:#?}", loaded.diagnostics);
}

const FAR: &str = "
zones: { here: {}, there: {} }
data: { card: { class: restricted } }
nodes:
  till: { kind: service, zone: here, logs: true }
  bank: { kind: service, zone: there, auth: token }
flows:
  - { id: pay, from: till, to: bank, carries: [card], via: { local: false } }
";

#[test]
fn a_cause_is_as_bad_as_what_follows_from_it() {
    let found = findings(FAR, TODAY);
    let only = one(&found, "private-traffic-over-internet@pay");
    assert_eq!((found.len(), only.also.len(), only.also[0].id.as_str()), (1, 1, "plaintext-flow@pay"));
    assert_eq!(only.severity, Severity::High);
}

#[test]
fn a_waiver_of_a_cause_accepts_nothing_that_is_worse() {
    let waived = |accepts: &str| {
        let waiver =
            format!("waivers:\n  - {{ id: W-1, accepts: {accepts}, why: a demo, owner: team, until: 2027-01-31 }}\n");
        let found = findings(&format!("{FAR}{waiver}"), TODAY);
        found.iter().map(|f| format!("{} {}", f.severity, f.id)).collect::<Vec<_>>()
    };
    let (cause, worse) = ("private-traffic-over-internet@pay", "plaintext-flow@pay");
    assert_eq!(waived(&format!("\"{cause}\"")), [format!("high {worse}"), format!("accepted {cause}")]);
    assert_eq!(waived(&format!("\"{worse}\"")), [format!("medium {cause}"), format!("accepted {worse}")]);
    assert_eq!(waived("\"*@pay\""), [format!("accepted {cause}")]);
}

/// A password that a service keeps and shows stays the service's, though somebody sends it as well.
#[test]
fn one_person_more_does_not_make_a_secret_change() {
    let model = |more: &str| {
        format!(
            "
zones: {{ inside: {{}} }}
data: {{ password: {{ class: secret, opens: [db] }} }}
nodes:
  admin: {{ kind: party, zone: inside, auth: oidc }}
  orders: {{ kind: service, zone: inside, logs: true, holds: [password] }}
  db: {{ kind: store, zone: inside, auth: password, at_rest: volume }}
flows:
  - {{ id: save, from: orders, to: db, carries: [password], via: {{ tls: \"1.3\" }} }}
{more}"
        )
    };
    let typed = "  - { id: repair, from: admin, to: db, carries: [password], via: { tls: \"1.3\" } }\n";
    for more in ["", typed] {
        assert_eq!(one(&findings(&model(more), TODAY), "static-secret@password").severity, Severity::Medium);
    }
}

/// A session lasts as long as a process: what is found no more leaves nothing behind.
#[test]
fn nothing_grows_while_findings_come_and_go() {
    let model = |text: &str| {
        let text = format!("ward: 1\nmodel: example\n{}", text.trim_start());
        model::load(&[SourceFile { name: "ward.yaml".to_owned(), text }]).model.unwrap()
    };
    let written = passwords("");
    let models =
        [("1.3", "none"), ("zone: inside, auth", "zone: inside, at_rest: kms, auth"), ("a-password", "d-password")];
    let models = models.map(|(now, then)| model(&written.replace(now, then)));
    let mut graded = Graded::default();
    let mut sizes = Vec::new();
    let mut before = None;
    for now in models.iter().cycle().take(3 * models.len()) {
        graded.follow(before, Input { model: now, text: None, today: TODAY }, Paths::Always);
        sizes.push((graded.found.iter().count(), graded.found.ties()));
        before = Some(now);
    }
    assert_eq!(sizes[3..6], sizes[6..9], "{sizes:?}");
}
