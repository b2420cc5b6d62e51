//! What is asked for, and how it is shown.
use clap::Parser;
use serde::Deserialize;
use serde_json::json;

use super::{Args, Listing, path, table};

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
