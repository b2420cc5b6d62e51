//! What others got wrong, in both readings: one test for each known mistake that a policy engine can make, named after its
//! CVE where it has one. docs/policy.md lists them.
use model::SourceFile;

use super::*;
use crate::testing::workload;

mod advisories;
mod semantics;

/// The documents of the workload `payments` (app: payments) in `pci`; a line is `kind/name spec`, kinds are `policy`,
/// `peer`, `tokens` and, with `root/` in front, the same in the root namespace.
fn gate(semantics: Semantics, lines: &str) -> Gate {
    let mut yaml = String::new();
    for (number, line) in lines.lines().map(str::trim).filter(|line| !line.is_empty()).enumerate() {
        let (namespace, line) = match line.strip_prefix("root/") {
            Some(rest) => ("ward-system", rest),
            None => ("pci", line),
        };
        let (kind, spec) = line.split_once(' ').expect("a kind and a spec");
        let (kind, dry) = match kind {
            "policy" => ("AuthorizationPolicy", ""),
            "dry-run" => ("AuthorizationPolicy", ", annotations: {istio.io/dry-run: 'true'}"),
            "peer" => ("PeerAuthentication", ""),
            "tokens" => ("RequestAuthentication", ""),
            other => panic!("unknown kind {other}"),
        };
        yaml += &format!(
            "---\napiVersion: security.istio.io/v1\nkind: {kind}\nmetadata: {{name: p{number}, namespace: {namespace}{dry}}}\nspec: {spec}\n"
        );
    }
    let documents = model::load_documents(&[SourceFile { name: "all.yaml".to_owned(), text: yaml }]);
    assert!(documents.diagnostics.is_empty(), "{:?}", documents.diagnostics);
    Gate::of_documents(semantics, &workload(), &documents).unwrap_or_else(|errors| panic!("{errors:?}"))
}

/// `GET /raw?target as ns/sa host=a port=80 from=10.0.0.1 remote=… sni=… header=name:value jwt={…}`; `tcp` is a
/// connection. `~` in a value stands for a blank, as words are split at blanks.
fn arrival(line: &str) -> Arrival {
    let mut words = line.split(' ').filter(|word| !word.is_empty());
    let mut arrival = Arrival { host: "svc".to_owned(), ..Arrival::default() };
    match words.next().expect("a method") {
        "tcp" => arrival.protocol = Protocol::Tcp,
        method => {
            arrival.method = method.to_owned();
            arrival.target = words.next().expect("a target").replace('~', " ");
        }
    }
    while let Some(word) = words.next() {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        match key {
            "as" => {
                let who = words.next().expect("somebody");
                arrival.peer = Some(match who.split_once('/') {
                    Some((ns, sa)) if !who.contains("://") => format!("spiffe://shop.example/ns/{ns}/sa/{sa}"),
                    _ => who.to_owned(),
                });
            }
            "host" => arrival.host = value.replace('~', " "),
            "port" => arrival.port = Some(value.parse().expect("a port")),
            "from" => arrival.source_ip = Some(value.parse().expect("an address")),
            "remote" => arrival.remote_ip = Some(value.parse().expect("an address")),
            "at" => arrival.destination_ip = Some(value.parse().expect("an address")),
            "sni" => arrival.sni = Some(value.to_owned()),
            "jwt" => arrival.jwt = Some(serde_json::from_str(value).expect("claims")),
            "header" => {
                let (name, value) = value.split_once(':').expect("name:value");
                arrival.headers.push((name.to_owned(), value.replace('~', " ")));
            }
            other => panic!("unknown word {other}"),
        }
    }
    arrival
}

/// Each request with the status it gets by Ward's reading and by Istio's.
fn both(documents: &str, requests: &[(&str, u16, u16)]) {
    let (ward, istio) = (gate(Semantics::Ward, documents), gate(Semantics::Istio, documents));
    let mut wrong = Vec::new();
    for (request, want_ward, want_istio) in requests {
        let arrival = arrival(request);
        let (ward, istio) = (ward.answer(&arrival), istio.answer(&arrival));
        if (ward.status, istio.status) != (*want_ward, *want_istio) {
            wrong.push(format!("{request}: wanted {want_ward}, {want_istio}, got {ward:?}, {istio:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The reason that each reading gives.
fn reasons(documents: &str, request: &str) -> (&'static str, &'static str) {
    let arrival = arrival(request);
    (
        gate(Semantics::Ward, documents).answer(&arrival).reason,
        gate(Semantics::Istio, documents).answer(&arrival).reason,
    )
}

#[test]
fn a_verdict_names_its_rule() {
    let gate = gate(
        Semantics::Ward,
        "policy {rules: [{to: [{operation: {paths: [/a]}}]}, {to: [{operation: {paths: [/b]}}]}]}",
    );
    let verdict = gate.answer(&arrival("GET /b"));
    let want =
        Verdict { status: 200, decision: "allow", policy: Some("pci/p0".to_owned()), rule: Some(1), reason: "allowed" };
    assert_eq!(verdict, want);
    assert_eq!(gate.answer(&arrival("GET /c")), Verdict::refused(403, "no-rule-matched"));
}

#[test]
fn a_node_of_a_model() {
    let model = crate::testing::model(crate::testing::SHOP);
    for semantics in [Semantics::Ward, Semantics::Istio] {
        let orders = Gate::of_node(semantics, &model, "orders").expect("its policies compile");
        let answer = |line: &str| {
            let verdict = orders.answer(&arrival(line));
            (verdict.status, verdict.reason)
        };
        assert_eq!(answer("GET /orders/1 as edge/gateway"), (200, "allowed"));
        assert_eq!(answer("GET /orders/1 as edge/gateway port=8080"), (200, "allowed"));
        assert_eq!(answer("GET /orders/1 as edge/gateway port=8081"), (403, "no-rule-matched"));
        assert_eq!(answer("DELETE /orders/1 as edge/gateway"), (403, "no-rule-matched"));
        assert_eq!(answer("GET /orders/1"), (403, "mtls-required"));
        // A gateway's listener is for callers without identity.
        let gateway = Gate::of_node(semantics, &model, "gateway").expect("its policies compile");
        assert_eq!(gateway.answer(&arrival("GET / port=8443")).status, 200);
        assert_eq!(gateway.answer(&arrival("GET / port=9999")).reason, "mtls-required");
    }
    assert!(Gate::of_node(Semantics::Ward, &model, "nobody").is_err());
}

#[test]
fn what_is_no_request() {
    let policies = "policy {rules: [{}]}";
    assert_eq!(reasons(policies, "get /"), ("allowed", "bad-method"));
    assert_eq!(reasons(policies, "G(T /"), ("bad-method", "bad-method"));
    assert_eq!(reasons(policies, "GET / host="), ("bad-host", "allowed"));
    assert_eq!(reasons(policies, "GET / host=a~b"), ("bad-host", "bad-host"));
    assert_eq!(reasons(policies, "GET / host=a header=Host:b"), ("two-hosts", "two-hosts"));
    assert_eq!(reasons(policies, "GET / host=a header=Host:a"), ("allowed", "allowed"));
    assert_eq!(reasons(policies, "GET / header=x(y:a"), ("bad-header", "bad-header"));
    assert_eq!(reasons(policies, "GET admin"), ("path-not-absolute", "path-not-absolute"));
    assert_eq!(reasons(policies, "GET *"), ("path-not-absolute", "path-not-absolute"));
    // Envoy has no route for it, whatever the policies say: 404.
    assert_eq!(reasons(policies, "OPTIONS *"), ("allowed", "path-not-absolute"));
    for host in ["", "a*", "a:", "a:0x50", "a:123456", "a:1:2", "a%2fb", "a;b", "u@a", "[::1", "[]", "[::1]x"] {
        assert_eq!(reasons(policies, &format!("GET http://{host}/")), ("bad-host", "bad-host"), "{host}");
    }
    for host in ["a", "A.b-c_d", "a:80", "[2001:db8::1]", "[::1]:80"] {
        assert_eq!(reasons(policies, &format!("GET HTTP://{host}/")), ("allowed", "allowed"), "{host}");
    }
    assert_eq!(reasons(policies, "GET http://a?x"), ("allowed", "path-not-absolute"));
    for target in ["/a~b", "/a?b~c", "/a?bé", "/a#é"] {
        assert_eq!(reasons(policies, &format!("GET {target}")), ("path-raw-byte", "path-raw-byte"), "{target}");
    }
    assert_eq!(reasons(policies, "GET / as web.example"), ("bad-peer", "bad-peer"));
    assert_eq!(reasons(policies, "GET / as spiffe://UPPER/x"), ("bad-peer", "allowed"));
    let many =
        Arrival { headers: (0..40_000).map(|i| (format!("h{i}"), "v".to_owned())).collect(), ..arrival("GET /") };
    assert_eq!(gate(Semantics::Ward, policies).answer(&many).reason, "bad-header");
}

#[test]
fn a_faulty_document_refuses_all_wherever_it_stands() {
    let text = "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: p, namespace: shop}\nspec: {rules: [{to: [{operation: {ports: [x]}}]}]}\n";
    let documents = model::load_documents(&[SourceFile { name: "p.yaml".to_owned(), text: text.to_owned() }]);
    let errors = Gate::of_documents(Semantics::Istio, &workload(), &documents).expect_err("it is refused");
    assert_eq!(errors.len(), 1, "{errors:?}");
}
