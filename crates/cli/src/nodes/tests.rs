//! The table of nodes.
use serde::Deserialize;
use serde_json::json;

use super::{Listing, table};

#[test]
fn nodes_instances_refusals_and_unkept_words() {
    let listing = json!({ "revision": 3, "nodes": [
        { "name": "orders", "kind": "service", "zone": "shop", "role": null, "identity": "spiffe://s/ns/shop/sa/orders",
          "coverage": "bypassable", "state": "refused", "refusal": "Policy: unknown action",
          "words": [{ "word": "waf", "owner": "waf", "state": "declared", "today": "requests are not inspected" },
                    { "word": "rate", "owner": "proxy", "state": "enforced", "today": "" }],
          "instances": [
            { "instance": "orders/0", "connected": true, "mesh_address": "127.1.0.1:15008", "isolation": "loopback",
              "acked_revision": 2, "nack": "Policy: unknown action", "svid_not_after": 160 },
            { "instance": "orders/1", "connected": false, "mesh_address": "127.1.0.2:15008", "isolation": "loopback",
              "acked_revision": 0, "nack": "", "svid_not_after": 0 }]},
        { "name": "customer", "kind": "party", "zone": "internet", "role": null, "identity": null,
          "coverage": "described", "state": "described", "refusal": null, "words": [], "instances": [] },
    ]});
    let listing = Listing::deserialize(&listing).unwrap();
    assert_eq!(
        table(&listing, 100_000),
        "  NODE        KIND     ZONE      COVERAGE    STATE      REVISION  SVID ENDS  ADDRESS          IDENTITY\n  \
         orders      service  shop      bypassable  refused           -  -          -                spiffe://s/ns/shop/sa/orders\n    \
         orders/0                     loopback    refused           2  in 60 s    127.1.0.1:15008\n    \
         orders/1                     loopback    gone              -  -          127.1.0.2:15008\n  \
         customer    party    internet  described   described         -  -          -                -\n\n  \
         revision 3 is in force\n  \
         orders refused its configuration and keeps the last good one: Policy: unknown action\n  \
         orders: `waf` is declared (owner waf): requests are not inspected\n"
    );
}

#[test]
fn issuers_and_their_keys() {
    let listing = json!({ "revision": 3, "nodes": [], "issuers": [
        { "issuer": "https://shop.example", "jwks_uri": "https://localhost:8443/k", "nodes": ["gateway", "orders"],
          "keys": ["k1", "k2"], "fetched_ms": 40_000, "error": null },
        { "issuer": "https://staff.example", "jwks_uri": "https://staff.example/k", "nodes": ["gateway"],
          "keys": [], "fetched_ms": null, "error": "the answer is 503 Service Unavailable" },
        { "issuer": "https://old.example", "jwks_uri": null, "nodes": ["orders"], "keys": null, "fetched_ms": null, "error": null },
    ]});
    let text = table(&Listing::deserialize(&listing).unwrap(), 100_000);
    assert!(
        text.ends_with(
            "  tokens of https://shop.example at gateway, orders: keys k1, k2, fetched 1 min ago\n  \
             tokens of https://staff.example at gateway: no keys, so that every token is refused; \
             cannot be fetched: the answer is 503 Service Unavailable\n  \
             tokens of https://old.example at orders: keys of the model\n"
        ),
        "{text}"
    );
}
