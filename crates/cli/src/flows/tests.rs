//! The table of flows.
use serde::Deserialize;
use serde_json::json;

use super::{Listing, table};

#[test]
fn flows_and_undeclared_attempts() {
    let flow = |flow: &str, state: &str, enforced, verified, seen| {
        json!({ "flow": flow, "from": "orders", "to": "db", "state": state, "enforced_revision": enforced,
                "verified_ms": verified, "allowed": 12, "denied": 1, "errors": 0, "mean_us": 1234, "rate": 0.25,
                "last_seen_ms": seen })
    };
    let listing = json!({
        "revision": 7,
        "flows": [
            flow("save", "verified", Some(7), Some(1_000), Some(1_000)),
            flow("read", "enforced", Some(6), None, None),
            flow("open", "standby", None::<u64>, None::<u64>, None::<u64>),
        ],
        "undeclared": [{ "subject": "web>db", "port": 5432, "denied": 3, "allowed": 0, "last_seen_ms": 1_000 }],
    });
    let listing = Listing::deserialize(&listing).unwrap();
    assert_eq!(
        table(&listing, 61_000),
        "  FLOW  FROM    TO  ALLOWED  DENIED  5XX  RATE/S    MEAN  LAST SEEN  STATE\n  \
         save  orders  db       12       1    0     0.2  1.2 ms  1 min ago  enforced@7, verified 1 min ago\n  \
         read  orders  db       12       1    0     0.2  1.2 ms  -          enforced@6\n  \
         open  orders  db       12       1    0     0.2  1.2 ms  -          standby\n\n  \
         revision 7 is in force\n\n  \
         UNDECLARED  PORT  DENIED  LET THROUGH  LAST SEEN\n  \
         web>db      5432       3            0  1 min ago\n"
    );
}
