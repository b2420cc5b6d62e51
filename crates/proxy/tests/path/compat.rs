//! `mesh.compat: istio` over the wire: paths are compared and forwarded as Envoy would, and what Ward's hops refuse for
//! their own safety stays refused. The advisories here are those whose outcome depends on what a proxy forwards.
use std::net::SocketAddr;

use proxy::snapshot::Resources;
use wire::v1::resources::Policy;

use crate::{
    app,
    mesh::{Mesh, Node, body, raw, service, status, upstream},
};

/// A DENY of these paths to everyone, and an ALLOW of all the rest to `web`.
fn policies(deny: &serde_json::Value) -> Vec<Policy> {
    let policy = |name: &str, spec: serde_json::Value| {
        let document = serde_json::json!({
            "apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy",
            "metadata": { "name": name, "namespace": "shop" }, "spec": spec,
        });
        Policy { name: format!("shop/{name}"), document: document.to_string() }
    };
    vec![
        policy("no", serde_json::json!({ "action": "DENY", "rules": [{ "to": [{ "operation": deny }] }] })),
        policy("yes", serde_json::json!({ "rules": [{}] })),
    ]
}

struct Pair {
    web: Node,
    orders: Node,
}

fn pair(mesh: &Mesh, app: SocketAddr, compat: bool, deny: &serde_json::Value) -> Pair {
    let istio = |r: &mut Resources| r.workload.compat_istio = compat;
    let mut orders = mesh.sidecar("orders", "", vec![service(8080, "http", app)], Vec::new(), policies(deny));
    orders.apply(istio).unwrap();
    let upstreams = vec![upstream("orders", 8080, "http", &[orders.inbound()])];
    let mut web = mesh.sidecar("web", "", Vec::new(), upstreams, Vec::new());
    web.apply(istio).unwrap();
    Pair { web, orders }
}

impl Pair {
    async fn get(&self, target: &str, host: &str) -> String {
        let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        raw(self.web.outbound("orders:8080"), request).await
    }

    async fn check(&self, target: &str, host: &str, want: u16) {
        let answer = self.get(target, host).await;
        assert_eq!(status(&answer), want, "{target} {host}: {answer}");
    }
}

#[tokio::test]
async fn paths_pass_and_arrive_as_each_reading_has_them() {
    let mesh = Mesh::new();
    let app = app::echo().await;
    let deny = serde_json::json!({ "paths": ["/admin", "/admin/*"] });
    let (ward, istio) = (pair(&mesh, app, false, &deny), pair(&mesh, app, true, &deny));
    // Target, the answer of either reading, and what the application is asked for when it is.
    for (target, of_ward, of_istio) in [
        ("/admin", Err(403), Err(403)),
        ("/x/../admin", Err(403), Err(403)),
        ("/x\\..\\admin", Err(403), Err(403)),
        ("//admin", Err(403), Ok("//admin")),
        ("/admin%2f", Err(403), Ok("/admin%2f")),
        ("/%2fadmin", Err(403), Ok("/%2fadmin")),
        ("/admin;x=1", Err(403), Ok("/admin;x=1")),
        // The caller's sidecar leaves `/x/..;/admin` of it, which the next one resolves.
        ("/x/%2e%2e;/admin", Err(403), Err(403)),
        ("/x/..;/admin", Err(403), Err(403)),
        ("/%zz", Err(400), Ok("/%zz")),
        ("/a%41b/./c?q=//%2f..", Ok("/aAb/c?q=//%2f.."), Ok("/aAb/c?q=//%2f..")),
        ("/a#/admin", Err(400), Err(400)),
        ("/%00", Err(400), Err(400)),
    ] {
        for (pair, want) in [(&ward, of_ward), (&istio, of_istio)] {
            let answer = pair.get(target, "orders").await;
            match want {
                Err(refused) => assert_eq!(status(&answer), refused, "{target}: {answer}"),
                Ok(seen) => {
                    assert_eq!(status(&answer), 200, "{target}: {answer}");
                    assert!(body(&answer).contains(&format!("GET {seen}\n")), "{target}: {answer}");
                }
            }
        }
    }
}

#[tokio::test]
async fn hop_safety_stays_in_either_reading() {
    let mesh = Mesh::new();
    let pair = pair(&mesh, app::echo().await, true, &serde_json::json!({ "paths": ["/admin"] }));
    let answer = raw(
        pair.web.outbound("orders:8080"),
        "GET /x HTTP/1.1\r\nHost: orders\r\nConnection: close\r\nX-Forwarded-Client-Cert: URI=evil\r\nX-Ward-Who: evil\r\n\r\n",
    )
    .await;
    assert!(status(&answer) == 200 && !answer.contains("evil"), "{answer}");
    for (request, want) in [
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        ("GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n folded\r\n\r\n", 400),
        // Envoy does not know it; under Ward's own reading it is a method like any other.
        ("BREW / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 400),
    ] {
        let answer = raw(pair.web.outbound("orders:8080"), request).await;
        assert_eq!(status(&answer), want, "{request}: {answer}");
    }
}

#[tokio::test]
async fn cve_2020_8595_what_follows_an_exact_path() {
    let deny = serde_json::json!({ "paths": ["/admin"] });
    let mesh = Mesh::new();
    let app = app::echo().await;
    for compat in [false, true] {
        let pair = pair(&mesh, app, compat, &deny);
        pair.check("/admin?x=1", "orders", 403).await;
        pair.check("/admin?", "orders", 403).await;
        pair.check("/admin#x", "orders", 400).await;
        pair.check("/open?/admin", "orders", 200).await;
    }
}

#[tokio::test]
async fn cve_2021_29492_escaped_and_doubled_slashes() {
    let pair = pair(&Mesh::new(), app::echo().await, false, &serde_json::json!({ "paths": ["/admin*"] }));
    for evasion in ["//admin", "/%2Fadmin", "/%5cadmin", "/x%2F..%2Fadmin", "/.%2fadmin", "\\admin", "/;/admin"] {
        let want = if evasion.starts_with('/') { 403 } else { 400 };
        pair.check(evasion, "orders", want).await;
    }
}

#[tokio::test]
async fn cve_2021_39155_host_case() {
    let mesh = Mesh::new();
    let app = app::echo().await;
    for compat in [false, true] {
        let pair = pair(&mesh, app, compat, &serde_json::json!({ "hosts": ["secret.example"] }));
        for host in ["secret.example", "SECRET.example", "Secret.Example"] {
            pair.check("/", host, 403).await;
        }
        // A port and a trailing dot name another host to Envoy, and the same one to Ward.
        for host in ["secret.example:8080", "secret.example."] {
            pair.check("/", host, if compat { 200 } else { 403 }).await;
        }
    }
}

#[tokio::test]
async fn names_in_an_alias_of_the_trust_domain_count() {
    let mesh = Mesh::new();
    let mut pair = pair(&mesh, app::echo().await, false, &serde_json::json!({ "paths": ["/admin"] }));
    let document = serde_json::json!({
        "apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy",
        "metadata": { "name": "old", "namespace": "shop" },
        "spec": { "rules": [{ "from": [{ "source": { "principals": ["old.example/ns/shop/sa/web"] } }] }] },
    });
    pair.orders
        .apply(|r| r.policies = vec![Policy { name: "shop/old".to_owned(), document: document.to_string() }])
        .unwrap();
    pair.check("/", "orders", 403).await;
    pair.orders.apply(|r| r.workload.aliases = vec!["old.example".to_owned()]).unwrap();
    pair.check("/", "orders", 200).await;
    // A connection that lives on is not cut either: the alias is the same peer.
    pair.orders.apply(|r| r.workload.dry_run = false).unwrap();
    pair.check("/", "orders", 200).await;
}
