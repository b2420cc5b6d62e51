//! What is kept survives; what is not whole is not kept.
use std::{collections::BTreeMap, os::unix::fs::PermissionsExt, path::Path};

use model::SourceFile;

use super::{
    DECISION_AGE_MAX_MS, DecisionFilter, DecisionRow, Event, FLOW_ROWS_PER_NODE_MAX, Facts, FlowCountRow, InstanceRow,
    NewRevision, NodeDigest, OutcomeRow, SqliteStore, Store, StoreError, TokenRow, VerifyRow,
};

fn event(action: &str) -> Event {
    Event {
        time_ms: 1,
        actor: "uid 0".into(),
        action: action.into(),
        subject: "shop".into(),
        revision: 1,
        detail: String::new(),
    }
}

fn files(text: &str) -> Vec<SourceFile> {
    vec![SourceFile { name: "ward.yaml".into(), text: text.into() }]
}

async fn put(store: &SqliteStore, number: u64, text: &str) -> Result<(), StoreError> {
    let digests = BTreeMap::from([("orders".to_owned(), NodeDigest { digest: text.into(), since: number })]);
    let new = NewRevision { number, time_ms: 7, files: &files(text), digests: &digests, event: &event("apply") };
    store.put_revision(new).await
}

fn token(uses_left: u32, expires_ms: i64) -> TokenRow {
    TokenRow { id: "t1".into(), node: "orders".into(), secret_sha256: vec![7; 32], uses_left, expires_ms }
}

fn count(source: &str, flow: &str, requests: u64) -> FlowCountRow {
    FlowCountRow {
        node: "orders".into(),
        source: source.into(),
        flow: flow.into(),
        port: 8080,
        allowed: !flow.is_empty(),
        protocol: "http".into(),
        requests,
        ..FlowCountRow::default()
    }
}

fn decision(id: &str, time_ms: i64, allowed: bool) -> DecisionRow {
    DecisionRow { id: id.into(), node: "orders".into(), time_ms, allowed, reason: "x".into(), ..DecisionRow::default() }
}

async fn open(dir: &Path) -> SqliteStore {
    SqliteStore::open(&dir.join("ward.db")).await.unwrap()
}

#[tokio::test]
async fn a_restart_keeps_everything() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    put(&store, 1, "one").await.unwrap();
    put(&store, 2, "two").await.unwrap();
    store.put_token(&token(2, 100), &event("token-create")).await.unwrap();
    let instance = InstanceRow {
        instance: "orders/0".into(),
        node: "orders".into(),
        mesh_address: "10.0.0.1:15008".into(),
        isolation: "netns".into(),
        version: "1".into(),
        serving: true,
        hello_ms: 5,
        acked: 0,
        nack: String::new(),
        svid_not_after: 9,
    };
    store.put_instance(&instance).await.unwrap();
    store.put_ack("orders/0", 2, "").await.unwrap();
    let facts =
        Facts { counts: vec![count("a", "place", 3)], decisions: vec![decision("d1", 4, false)], ..Facts::default() };
    store.put_facts(&facts, 60_000).await.unwrap();
    let run = VerifyRow {
        id: "v1".into(),
        started_ms: 1,
        finished_ms: 2,
        revision: 2,
        state: "done".into(),
        results: "[]".into(),
    };
    store.put_verify(&run).await.unwrap();
    store.close().await;
    drop(store);

    let store = open(dir.path()).await;
    let latest = store.latest_revision().await.unwrap().unwrap();
    assert_eq!((latest.number, latest.files), (2, files("two")));
    assert_eq!(store.revision(1).await.unwrap().unwrap().files, files("one"));
    assert_eq!(store.revision(9).await.unwrap(), None);
    assert_eq!(store.node_digests().await.unwrap()["orders"], NodeDigest { digest: "two".into(), since: 2 });
    assert_eq!(store.token("t1").await.unwrap(), Some(token(2, 100)));
    assert_eq!(store.instances().await.unwrap(), [InstanceRow { acked: 2, ..instance }]);
    let counts = store.flow_counts(61_000).await.unwrap();
    assert_eq!((counts[0].requests, counts[0].last_minute, counts[0].last_seen_ms), (3, 3, 60_000));
    assert_eq!(store.flow_counts(130_000).await.unwrap()[0].last_minute, 0);
    assert_eq!(store.decision("d1").await.unwrap(), Some(decision("d1", 4, false)));
    assert_eq!(store.last_verify().await.unwrap(), Some(run));
    let actions: Vec<String> = store.events(10).await.unwrap().into_iter().map(|e| e.action).collect();
    assert_eq!(actions, ["token-create", "apply", "apply"]);
}

#[tokio::test]
async fn the_files_are_private() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    put(&store, 1, "one").await.unwrap();
    let mut seen = 0;
    for file in std::fs::read_dir(dir.path()).unwrap() {
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", file.path());
        seen += 1;
    }
    assert!(seen >= 2, "the database and its journal");
}

#[tokio::test]
async fn a_revision_is_stored_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    put(&store, 1, "one").await.unwrap();
    assert!(matches!(put(&store, 1, "other").await, Err(StoreError::Conflict(1))));
    assert!(matches!(put(&store, 3, "gap").await, Err(StoreError::Conflict(3))));
    assert_eq!(store.latest_revision().await.unwrap().unwrap().files, files("one"));
    assert_eq!(store.events(10).await.unwrap().len(), 1, "a refused revision leaves no event");
}

#[tokio::test]
async fn a_token_is_taken_as_often_as_it_says() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    store.put_token(&token(2, 100), &event("token-create")).await.unwrap();
    assert!(!store.take_token("t1", 100, &event("join")).await.unwrap(), "expired at its last moment");
    assert!(!store.take_token("t2", 1, &event("join")).await.unwrap(), "unknown");
    assert!(store.take_token("t1", 99, &event("join")).await.unwrap());
    assert!(store.take_token("t1", 99, &event("join")).await.unwrap());
    assert!(!store.take_token("t1", 99, &event("join")).await.unwrap(), "used up");
    assert_eq!(store.events(10).await.unwrap().len(), 3, "one event for each use that was taken");
}

#[tokio::test]
async fn what_became_of_a_request_is_told_by_whoever_decided() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let outcome = |status| OutcomeRow { status, flag: "-".into(), bytes_in: 1, bytes_out: 2, duration_us: 3 };
    let told = |instance: &str, id: &str, status| Facts {
        outcomes: vec![(id.into(), outcome(status))],
        instance: instance.into(),
        ..Facts::default()
    };
    let made = DecisionRow { instance: "orders/0".into(), ..decision("d1", 4, true) };
    let facts = Facts { decisions: vec![made.clone()], ..told("orders/0", "d1", 201) };
    store.put_facts(&facts, 1_000).await.unwrap();
    let stored = async || store.decision("d1").await.unwrap().unwrap();
    assert_eq!(stored().await, DecisionRow { outcome: Some(outcome(201)), ..made });
    // The decision comes again and does not undo it; another instance has no say; an unknown one is left out.
    let again = Facts { outcomes: Vec::new(), ..facts };
    for facts in [again, told("orders/1", "d1", 500), told("orders/0", "d9", 500)] {
        store.put_facts(&facts, 2_000).await.unwrap();
        assert_eq!(stored().await.outcome, Some(outcome(201)));
    }
    assert_eq!(store.decision("d9").await.unwrap(), None);
}

#[tokio::test]
async fn reports_add_up_and_decisions_come_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let facts = Facts {
        counts: vec![count("a", "place", 3), count("a", "", 1)],
        decisions: vec![decision("d1", 4, true), decision("d2", 5, false)],
        ..Facts::default()
    };
    store.put_facts(&facts, 1_000).await.unwrap();
    store.put_facts(&facts, 2_000).await.unwrap();
    let sums: Vec<(bool, u64)> =
        store.flow_counts(2_000).await.unwrap().iter().map(|c| (c.allowed, c.requests)).collect();
    assert_eq!(sums, [(false, 2), (true, 6)]);
    let ids = |found: Vec<DecisionRow>| found.into_iter().map(|d| d.id).collect::<Vec<_>>();
    assert_eq!(ids(store.decisions(&DecisionFilter::default()).await.unwrap()), ["d2", "d1"]);
    let denied = DecisionFilter { allowed: Some(false), ..DecisionFilter::default() };
    assert_eq!(ids(store.decisions(&denied).await.unwrap()), ["d2"]);
    let other = DecisionFilter { node: Some("payments".into()), ..DecisionFilter::default() };
    assert!(store.decisions(&other).await.unwrap().is_empty());
    let probe = DecisionRow { probe: true, ..decision("d3", 6, false) };
    store.put_facts(&Facts { counts: Vec::new(), decisions: vec![probe], ..Facts::default() }, 3_000).await.unwrap();
    assert_eq!(ids(store.decisions(&denied).await.unwrap()), ["d2"], "what Ward tries on itself is not shown unasked");
    let all = DecisionFilter { probes: true, ..DecisionFilter::default() };
    assert_eq!(ids(store.decisions(&all).await.unwrap()), ["d3", "d2", "d1"]);
}

#[tokio::test]
async fn a_node_cannot_grow_the_table_of_counts() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let most = FLOW_ROWS_PER_NODE_MAX;
    let counts = (0..most + 50).map(|i| count(&format!("peer-{i}"), "place", 1)).collect();
    store.put_facts(&Facts { counts, decisions: Vec::new(), ..Facts::default() }, 1).await.unwrap();
    // A peer that has its row keeps it.
    store
        .put_facts(&Facts { counts: vec![count("peer-0", "place", 1)], decisions: Vec::new(), ..Facts::default() }, 1)
        .await
        .unwrap();
    let rows = store.flow_counts(1).await.unwrap();
    assert_eq!(i64::try_from(rows.len()).unwrap(), most + 1);
    assert_eq!(rows.iter().find(|r| r.source.is_empty()).unwrap().requests, 50);
    assert_eq!(rows.iter().find(|r| r.source == "peer-0").unwrap().requests, 2);
}

#[tokio::test]
async fn old_rows_go() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let old = decision("old", 1, false);
    let new = decision("new", DECISION_AGE_MAX_MS, false);
    store
        .put_facts(&Facts { counts: vec![count("a", "place", 1)], decisions: vec![old, new], ..Facts::default() }, 1)
        .await
        .unwrap();
    store.prune(DECISION_AGE_MAX_MS + 2).await.unwrap();
    assert_eq!(store.decision("old").await.unwrap(), None);
    assert!(store.decision("new").await.unwrap().is_some());
    assert_eq!(store.flow_counts(1).await.unwrap()[0].requests, 1, "sums stay");
}

#[tokio::test]
async fn a_flood_of_refusals_leaves_what_strict_and_critical_flows_let_through() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let charge = DecisionRow { audit: "critical".into(), ..decision("charge", 1, true) };
    // A refusal has no flow whose level could protect it, whatever a proxy says.
    let refused = DecisionRow { audit: "critical".into(), ..decision("refused", 1, false) };
    let most = i64::try_from(super::DECISIONS_MAX).unwrap();
    let flood = (0..most).map(|i| decision(&format!("d{i}"), 2 + i, false));
    let decisions = [charge, refused].into_iter().chain(flood).collect();
    store.put_facts(&Facts { decisions, ..Facts::default() }, 1).await.unwrap();
    store.prune(most).await.unwrap();
    assert!(store.decision("charge").await.unwrap().is_some());
    assert_eq!(store.decision("refused").await.unwrap(), None);
    assert!(store.decision("d0").await.unwrap().is_some());
}

#[tokio::test]
async fn a_database_of_version_1_is_taken_over() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    store.put_facts(&Facts { decisions: vec![decision("old", 1, true)], ..Facts::default() }, 1).await.unwrap();
    store.back_to_version_1().await;
    store.close().await;
    let store = open(dir.path()).await;
    assert!(store.decision("old").await.unwrap().is_some());
    let new = DecisionRow { audit: "strict".into(), ..decision("new", 2, true) };
    store.put_facts(&Facts { decisions: vec![new], ..Facts::default() }, 2).await.unwrap();
    assert_eq!(store.decision("new").await.unwrap().unwrap().audit, "strict");
}

#[tokio::test]
async fn a_newer_database_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    store.user_version(99).await;
    drop(store);
    let error = SqliteStore::open(&dir.path().join("ward.db")).await.unwrap_err();
    assert!(matches!(error, StoreError::Version { found: 99, known: 2, .. }), "{error}");
}

#[tokio::test]
async fn a_full_disk_stores_nothing_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    put(&store, 1, "one").await.unwrap();
    store.fill().await;
    let error = put(&store, 2, &"x".repeat(1 << 20)).await.unwrap_err();
    assert!(matches!(error, StoreError::Full { .. }), "{error:?}");
    assert!(error.to_string().contains("is full; nothing was stored"), "{error}");
    assert_eq!(store.latest_revision().await.unwrap().unwrap().number, 1);
    assert_eq!(store.events(10).await.unwrap().len(), 1);
    assert_eq!(store.node_digests().await.unwrap()["orders"].since, 1);
}
