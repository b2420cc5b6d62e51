//! Whose address a request has: `source.ip`, `remote.ip`, and who is believed about the latter (CVE-2024-45806).
use wire::v1::resources::Policy;

use crate::{
    app,
    gateway::plain_gateway,
    mesh::{Mesh, Pair, id, raw, status},
};

/// Lets callers through by their original address only.
fn remote(blocks: &[&str]) -> Policy {
    let document = serde_json::json!({
        "apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy",
        "metadata": { "name": "near", "namespace": "shop", "annotations": { "ward.internal/audit": "high" } },
        "spec": { "rules": [{ "from": [{ "source": { "remoteIpBlocks": blocks } }] }] },
    });
    Policy { name: "shop/near".to_owned(), document: document.to_string() }
}

fn with_forwarded_for(lines: &[&str]) -> String {
    let lines: String = lines.iter().map(|line| format!("X-Forwarded-For: {line}\r\n")).collect();
    format!("GET / HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n{lines}\r\n")
}

#[tokio::test]
async fn only_a_gateway_of_the_model_is_believed_about_the_callers_address() {
    let mut pair = Pair::new(&Mesh::new(), app::echo().await);
    pair.orders.apply(|r| r.policies = vec![remote(&["203.0.113.0/24"])]).unwrap();
    // From a peer that is no gateway the header is only a claim.
    for lines in [&["203.0.113.9"][..], &["10.0.0.1, 203.0.113.9"], &[]] {
        assert_eq!(status(&pair.raw(with_forwarded_for(lines)).await), 403, "{lines:?}");
        assert_eq!(pair.orders.decision().await.remote_ip, "127.0.0.1", "{lines:?}");
    }
    pair.orders.apply(|r| r.workload.gateways = vec![id("web").to_string()]).unwrap();
    for (lines, want, remote_ip) in [
        (&["203.0.113.9"][..], 200, "203.0.113.9"),
        (&["10.0.0.1, 203.0.113.9"], 200, "203.0.113.9"),
        (&["10.0.0.1", "203.0.113.9"], 200, "203.0.113.9"),
        (&["203.0.113.9, 10.0.0.1"], 403, "10.0.0.1"),
        (&["203.0.113.9", "10.0.0.1"], 403, "10.0.0.1"),
        // A gateway that says nothing, or nonsense, leaves the address unknown: that is no reason to allow.
        (&[], 403, ""),
        (&["203.0.113.9, unknown"], 403, ""),
        (&["203.0.113.9:80"], 403, ""),
    ] {
        assert_eq!(status(&pair.raw(with_forwarded_for(lines)).await), want, "{lines:?}");
        let record = pair.orders.decision().await;
        assert_eq!((record.remote_ip.as_str(), record.source_ip.as_str()), (remote_ip, "127.0.0.1"), "{lines:?}");
        assert_eq!(record.destination_ip, "127.0.0.1");
    }
}

#[tokio::test]
async fn a_gateway_believes_its_own_socket_and_tells_the_next_hop() {
    let mut gateway = plain_gateway(&Mesh::new(), app::echo().await);
    gateway.orders.apply(|r| r.workload.gateways = vec![id("edge").to_string()]).unwrap();
    gateway.orders.apply(|r| r.policies = vec![remote(&["127.0.0.1"])]).unwrap();
    let forged =
        "GET /orders/7 HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n";
    assert_eq!(status(&raw(gateway.address, forged).await), 200);
    assert_eq!(gateway.orders.decision().await.remote_ip, "127.0.0.1");
    gateway.node.apply(|r| r.policies = vec![remote(&["203.0.113.9"])]).unwrap();
    assert_eq!(status(&raw(gateway.address, forged).await), 403);
    assert_eq!(gateway.node.decision().await.remote_ip, "127.0.0.1");
}
