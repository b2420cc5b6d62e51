//! Models as an architect writes them at once, and the same with three mistakes planted: what is found is what was planted, and
//! of the good ones nothing is high.
use model::{SourceFile, load::text::Text};
use time::macros::date;

use crate::{Attack, Input, Question, Severity, grade};

const SHOP_WITH_CARDS: &str = r#"
zones: { internet: { trust: none }, shop: {}, pci: { trust: high }, bank: {} }
data:
  cart: { class: internal }
  card: { class: restricted, of: pan, encrypt: required }
  card-token: { class: confidential }
  receipt: { class: internal }
  bank-key: { class: secret, opens: [bank-api], ttl: 30d }
  vault-role: { class: secret, opens: [vault], ttl: 1h }
nodes:
  buyer: { kind: party, zone: internet }
  front: { kind: service, zone: shop, guards: [waf, rate], logs: true, reads: [cart, card-token] }
  fields: { kind: service, zone: pci, guards: [waf, rate], logs: true, auth: session-token }
  vault: { kind: store, zone: pci, auth: iam, at_rest: kms, logs: true, holds: [card, card-token] }
  payments: { kind: service, zone: pci, auth: mtls, logs: true, reads: [card, card-token], holds: [bank-key] }
  bank-api: { kind: service, zone: bank, auth: mtls, reads: [card] }
flows:
  - { id: buy, from: buyer, to: front, carries: [cart, card-token], returns: [receipt], via: { tls: "1.3" } }
  - { id: type-card, from: buyer, to: fields, carries: [card], returns: [card-token], via: { tls: "1.3" } }
  - { id: keep, from: fields, to: vault, carries: [card, card-token, vault-role], via: { tls: "1.3" } }
  - { id: pay, from: front, to: payments, carries: [cart, card-token], returns: [receipt], via: { mtls: true } }
  - { id: look-up, from: payments, to: vault, carries: [card-token, vault-role], returns: [card], via: { tls: "1.3" } }
  - { id: capture, from: payments, to: bank-api, carries: [card, bank-key], returns: [receipt], via: { mtls: true } }
"#;

const PIPELINE: &str = r#"
zones: { internet: { trust: none }, office: {}, workshop: {}, production: {} }
data:
  source: { class: internal }
  image: { class: internal, of: image }
  manifest: { class: internal, of: manifest }
  deploy-token: { class: secret, opens: [cluster], ttl: 15m }
  push-token: { class: secret, opens: [registry], ttl: 15m }
  record: { class: confidential, about: person }
nodes:
  developer: { kind: party, zone: office, auth: oidc }
  git: { kind: service, zone: workshop, auth: oidc, guards: [mfa], logs: true, reads: [source, manifest] }
  runner: { kind: service, zone: workshop, auth: token, logs: true, reads: [source], holds: [push-token] }
  registry: { kind: store, zone: workshop, auth: token, at_rest: volume, logs: true, holds: [image] }
  deployer: { kind: service, zone: production, auth: mtls, logs: true, holds: [deploy-token] }
  cluster: { kind: service, zone: production, privilege: admin, auth: rbac, logs: true }
  app: { kind: service, zone: production, auth: mtls, logs: true, reads: [record] }
  app-db: { kind: store, zone: production, auth: iam, at_rest: kms, logs: true, holds: [record] }
flows:
  - { id: commit, from: developer, to: git, carries: [source, manifest], via: { tls: "1.3" } }
  - { id: compile, from: git, to: runner, carries: [source], via: { tls: "1.3" } }
  - { id: push, from: runner, to: registry, carries: [image, push-token], via: { tls: "1.3" } }
  - { id: sync, from: deployer, to: git, returns: [manifest], via: { tls: "1.3" } }
  - { id: deploy, from: deployer, to: cluster, carries: [manifest, deploy-token], via: { tls: "1.3" } }
  - { id: pull, from: cluster, to: registry, returns: [image], via: { tls: "1.3" } }
  - { id: query, from: app, to: app-db, returns: [record], via: { tls: "1.3" } }
"#;

const WEB: &str = r#"
zones: { internet: { trust: none }, edge: {}, inside: {} }
data:
  profile: { class: confidential, about: person }
  password: { class: secret, opens: [web] }
  session: { class: secret, opens: [web], ttl: 1h }
  db-credential: { class: secret, opens: [db], ttl: 1h }
nodes:
  customer: { kind: party, zone: internet, auth: password }
  cdn: { kind: service, zone: edge, guards: [waf, rate], logs: true }
  web: { kind: service, zone: inside, auth: password, logs: true, reads: [profile] }
  db: { kind: store, zone: inside, auth: password, at_rest: kms, logs: true, holds: [profile, password] }
  vault: { kind: store, zone: inside, auth: iam, at_rest: kms, logs: true, rotates: true, holds: [db-credential] }
flows:
  - { id: browse, from: customer, to: cdn, carries: [password, session, profile], returns: [session, profile], via: { tls: "1.3" } }
  - { id: origin, from: cdn, to: web, carries: [password, session, profile], returns: [session, profile], via: { mtls: true } }
  - { id: query, from: web, to: db, carries: [profile, password, db-credential], returns: [profile, password], via: { tls: "1.3" } }
  - { id: credentials, from: web, to: vault, returns: [db-credential], via: { tls: "1.3" } }
"#;

/// A first draft: who there is and what moves, and not a word about how.
const DRAFT: &str = r#"
zones: { internet: { trust: none }, inside: {} }
data:
  order: { class: internal }
  customer-record: { class: confidential }
nodes:
  customer: { kind: party, zone: internet }
  site: { kind: service, zone: inside }
  api: { kind: service, zone: inside }
  worker: { kind: service, zone: inside }
  queue: { kind: service, zone: inside }
  db: { kind: store, zone: inside, holds: [customer-record, order] }
flows:
  - { id: visit, from: customer, to: site, carries: [order], returns: [customer-record] }
  - { id: call, from: site, to: api, carries: [order], returns: [customer-record] }
  - { id: enqueue, from: api, to: queue, carries: [order] }
  - { id: work, from: worker, to: queue, returns: [order] }
  - { id: query, from: api, to: db, carries: [order], returns: [customer-record] }
"#;

/// A shop under Ward: who logs in shows a password, and then a session, to what is behind the gateway.
const UNDER_WARD: &str = r#"
zones: { internet: { trust: none }, edge: {}, inside: {} }
data:
  profile: { class: confidential, about: person }
  session: { class: secret, opens: [accounts], ttl: 1h }
  password: { class: secret, opens: [accounts] }
nodes:
  visitor: { kind: party, zone: internet }
  gateway: { kind: service, zone: edge, role: gateway, listen: [{ port: 443, hosts: [shop.example], tls: auto }] }
  accounts: { kind: service, zone: inside, run: { command: [./accounts] } }
flows:
  - { id: log-in, from: visitor, to: gateway, carries: [password], returns: [session], via: { allow: ["POST /login"], audit: high } }
  - { id: me, from: visitor, to: gateway, carries: [session], returns: [profile], via: { allow: ["GET /me"], audit: high } }
  - { id: authenticate, from: gateway, to: accounts, carries: [password], returns: [session], via: { allow: ["POST /login"], audit: high } }
  - { id: account, from: gateway, to: accounts, carries: [session], returns: [profile], via: { allow: ["GET /me"], audit: high } }
"#;

fn text(model: &str) -> Text {
    let text = format!("ward: 1\nmodel: example\n{}", model.trim_start());
    Text::new(vec![SourceFile { name: "ward.yaml".to_owned(), text }])
}

/// Findings and paths, a line each.
fn judged(model: &str) -> Vec<String> {
    let text = text(model);
    let loaded = model::load(text.files());
    let model = loaded.model.unwrap_or_else(|| panic!("{:#?}", loaded.diagnostics));
    let found = grade(Input { model: &model, text: Some(&text), today: date!(2026 - 11 - 22) });
    let paths = Attack::new(&model).paths(&Question::default(), None).unwrap();
    let findings = found.iter().map(|f| format!("{} {}", f.severity, f.id));
    findings.chain(paths.iter().map(|p| format!("path {} {:?}", p.id, p.way))).collect()
}

fn with(model: &str, mistakes: &[(&str, &str)]) -> String {
    mistakes.iter().fold(model.to_owned(), |model, (good, bad)| {
        assert!(model.contains(good), "{good}");
        model.replacen(good, bad, 1)
    })
}

#[test]
fn the_good_ones_have_nothing() {
    for model in [SHOP_WITH_CARDS, PIPELINE, WEB] {
        assert!(judged(model).is_empty(), "{:#?}", judged(model));
    }
    // A shop of guests: what a stranger sends is his own, and no proof is asked of him. Where he is answered with more, it is.
    let open =
        with(SHOP_WITH_CARDS, &[("returns: [receipt], via: { tls", "returns: [receipt, card-token], via: { tls")]);
    assert_eq!(judged(&open), ["critical unauthenticated-flow@buy"]);
}

/// Where nothing at all is said of encryption, of proof, of records, each is one finding and not one for each flow.
#[test]
fn a_draft_is_told_once_what_it_does_not_say() {
    let findings: Vec<String> = judged(DRAFT).into_iter().filter(|line| !line.starts_with("path")).collect();
    assert_eq!(
        findings,
        [
            "critical plaintext-flow@visit",
            "critical unauthenticated-flow@visit",
            "high unencrypted-store@db",
            "medium unguarded-entry@site",
            "medium unlogged-flow@visit",
        ]
    );
}

#[test]
fn a_session_that_the_gateway_hands_on_is_a_proof() {
    let findings: Vec<String> = judged(UNDER_WARD).into_iter().filter(|line| !line.starts_with("path")).collect();
    assert_eq!(findings, ["medium unguarded-entry@gateway"]);
}

#[test]
fn cards_where_they_do_not_belong() {
    let bad = with(
        SHOP_WITH_CARDS,
        &[
            ("  bank-api: {", "  debug-log: { kind: store, zone: shop, auth: iam, holds: [card] }\n  bank-api: {"),
            (
                "  - { id: keep,",
                "  - { id: debug, from: fields, to: debug-log, carries: [card], via: { tls: \"1.3\" } }\n  - { id: keep,",
            ),
            (
                "returns: [receipt], via: { mtls: true } }\n  - { id: look-up",
                "returns: [receipt, bank-key], via: { mtls: true } }\n  - { id: look-up",
            ),
            (
                "bank-key], returns: [receipt], via: { mtls: true }",
                "bank-key], returns: [receipt], via: { tls: \"1.0\" }",
            ),
        ],
    );
    assert_eq!(
        judged(&bad),
        [
            "high secret-in-flow@pay",
            "high unencrypted-store@debug-log",
            "high zone-descent@debug",
            "medium weak-tls@capture",
        ]
    );
}

/// Whoever breaks into where the programs come from has what runs them.
#[test]
fn a_pipeline_that_leads_to_everything() {
    let bad = with(
        PIPELINE,
        &[
            ("holds: [push-token]", "holds: [push-token, deploy-token]"),
            (
                "registry: { kind: store, zone: workshop, auth: token",
                "registry: { kind: store, zone: workshop, auth: none",
            ),
            (
                "auth: oidc, guards: [mfa], logs: true, reads: [source, manifest]",
                "auth: password, exposed_to: [internet], logs: true, reads: [source, manifest]",
            ),
        ],
    );
    assert_eq!(
        judged(&bad),
        [
            "critical excess-privilege@deploy-token",
            "high open-promotion@push",
            "medium unguarded-entry@git",
            "path internet>cluster [\"exploit git\"]",
        ]
    );
}

#[test]
fn a_database_that_strangers_can_try() {
    let bad = with(
        WEB,
        &[
            ("returns: [profile, password], via: { tls: \"1.3\" }", "returns: [profile, password], via: { tls: none }"),
            (
                "db: { kind: store, zone: inside, auth: password,",
                "db: { kind: store, zone: inside, auth: password, exposed_to: [internet],",
            ),
            ("opens: [db], ttl: 1h", "opens: [db]"),
            ("rotates: true, ", ""),
        ],
    );
    let found = judged(&bad);
    assert_eq!(
        found[..3],
        ["critical exposed-admin@db", "high plaintext-flow@query", "medium static-secret@db-credential"]
    );
    assert!(found.contains(&"path internet>db-credential [\"login db\"]".to_owned()), "{found:#?}");
    assert!(judged(WEB).iter().all(|line| !line.starts_with(Severity::High.as_str())));
}
