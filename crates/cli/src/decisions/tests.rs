//! What is asked for, and how it is shown.
use clap::Parser;
use serde::Deserialize;
use serde_json::json;

use super::{Args, Counts, Listing, path, reason, summary, table};

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: Args,
}

fn asked(line: &str) -> String {
    let words = std::iter::once("decisions").chain(line.split(' ').filter(|w| !w.is_empty()));
    path(&Line::try_parse_from(words).unwrap().args)
}

#[test]
fn filters_become_a_query_and_nothing_else() {
    assert_eq!(asked(""), "/v1/decisions?limit=50");
    assert_eq!(
        asked("--denied --node orders --flow place --probes --limit 5"),
        "/v1/decisions?limit=5&allowed=false&probes=true&node=orders&flow=place"
    );
    assert_eq!(asked("--node a&allowed=true"), "/v1/decisions?limit=50&node=aallowedtrue");
    assert_eq!(
        asked("--reason no-rule-matched --policy pci/no-refunds"),
        "/v1/decisions?limit=50&reason=no-rule-matched&policy=pci/no-refunds"
    );
    assert_eq!(asked("--summary"), "/v1/decisions/summary");
    assert_eq!(asked("--summary --denied --node orders"), "/v1/decisions/summary?allowed=false&node=orders");
}

#[test]
fn a_reason_that_is_none_is_not_asked_for() {
    assert_eq!(reason("no-rule-matched"), Ok("no-rule-matched".to_owned()));
    assert_eq!(reason("no-rule-match"), Err("no such reason code; did you mean `no-rule-matched`?".to_owned()));
    assert!(reason("nonsense-entirely").is_err());
}

#[test]
fn counts_with_what_they_mean() {
    let counts = json!({ "counts": [
        { "reason": "no-rule-matched", "meaning": "none matched", "node": "orders", "allowed": false, "count": 12, "last_ms": 1_000, "last_id": "01m8" },
        { "reason": "no-rule-matched", "meaning": "none matched", "node": "payments", "allowed": false, "count": 1, "last_ms": 2_000, "last_id": "01m9" },
        { "reason": "allowed", "meaning": "one matched", "node": "orders", "allowed": true, "count": 7, "last_ms": 2_000, "last_id": "01ma" },
    ]});
    let counts = Counts::deserialize(&counts).unwrap();
    assert_eq!(
        summary(&counts, 6_000),
        "  COUNT  ANSWER   REASON           NODE      LAST     DECISION\n     \
         12  denied   no-rule-matched  orders    5 s ago  01m8\n      \
         1  denied   no-rule-matched  payments  4 s ago  01m9\n      \
         7  allowed  allowed          orders    4 s ago  01ma\n\n\
         no-rule-matched: none matched\n"
    );
}

#[test]
fn a_decision_is_one_line() {
    let listing = json!({ "decisions": [
        { "id": "01m8", "node": "orders", "time_ms": 1_000, "principal": "spiffe://shop.example/ns/edge/sa/gateway",
          "method": "DELETE", "path": "/orders/7", "port": 8080, "allowed": false, "reason": "no-rule-matched" },
        { "id": "01m9", "node": "db", "time_ms": 1_000, "principal": "",
          "method": "", "path": "", "port": 5432, "allowed": true, "reason": "allowed" },
    ]});
    let listing = Listing::deserialize(&listing).unwrap();
    assert_eq!(
        table(&listing, 6_000),
        "  DECISION  WHEN     FROM                             TO           REQUEST           ANSWER   REASON\n  \
         01m8      5 s ago  shop.example/ns/edge/sa/gateway  orders:8080  DELETE /orders/7  denied   no-rule-matched\n  \
         01m9      5 s ago  anyone                           db:5432      connect           allowed  allowed\n"
    );
    assert!(table(&Listing { decisions: Vec::new() }, 0).contains("no such decision"));
}
