//! What Istio would decide by the export is what Ward decides by the model.
use std::{collections::BTreeSet, fmt::Write as _};

use expect_test::expect;
use model::{
    Model, Node, SourceFile,
    allow::{PathPattern, Segment},
    istio::Action,
};
use policy::{
    Protocol, Semantics, Workload,
    gate::{Arrival, Gate},
};
use serde_json::{Value, json};

use super::*;

fn choices() -> Vec<(Choice, &'static str)> {
    let namespace = Some(name("prod").expect("a name"));
    let trust_domain = Some(trust_domain("cluster.local").expect("a trust domain"));
    vec![
        (Choice::default(), "app"),
        (Choice { trust_domain: trust_domain.clone(), ..Choice::default() }, "app.kubernetes.io/name"),
        (Choice { namespace, trust_domain, ..Choice::default() }, "app"),
    ]
}

/// Envoy's DECODE_AND_MERGE_SLASHES, which the export asks for.
fn decoded_and_merged(target: &str) -> String {
    let mut path = target.to_owned();
    for (escape, character) in [("%2F", "/"), ("%2f", "/"), ("%5C", "/"), ("%5c", "/"), ("\\", "/")] {
        path = path.replace(escape, character);
    }
    while path.contains("//") {
        path = path.replace("//", "/");
    }
    path
}

fn paths(pattern: &PathPattern) -> [String; 3] {
    let with = |any: &str, rest: &str| {
        let segments = pattern.segments.iter().map(|segment| match segment {
            Segment::Literal(text) => text.as_str(),
            Segment::Any => any,
            Segment::Rest => rest,
        });
        segments.fold(String::new(), |path, segment| path + "/" + segment)
    };
    let plain = with("x", "x/y");
    [format!("{plain}/"), plain, with("export", "")]
}

/// Paths that matter to a node, those in normal form first.
fn targets(model: &Model, to: &str) -> (Vec<String>, Vec<String>) {
    let mut plain: BTreeSet<String> = ["/", "/nope", "/orders/export", "/orders/export/"].map(str::to_owned).into();
    for flow in model.flows_to(to) {
        for entry in flow.via.allow.iter().flatten() {
            plain.extend(paths(&flow.via.received_path(&entry.path)));
        }
    }
    for policy in model.policies.iter().filter(|policy| policy.spec.action == Action::Deny) {
        let operations = policy.spec.rules.iter().flat_map(|rule| &rule.to).map(|to| &to.operation);
        plain.extend(operations.flat_map(|operation| &operation.paths).map(|path| path.replace('*', "x")));
    }
    let mut odd: Vec<String> =
        ["//orders", "/orders/a%2Fb", "/orders/../nope", "/orders/export%2f", "/orders/export;x=1", "/%6frders"]
            .map(str::to_owned)
            .into();
    odd.extend(plain.iter().map(|path| path.replacen('/', "//", 1)));
    odd.extend(plain.iter().map(|path| format!("{path}%2f")));
    odd.extend(plain.iter().map(|path| format!("{path};a=b")));
    odd.extend(plain.iter().filter_map(|path| Some(format!("{}/%2e%2e;a", path.rsplit_once('/')?.0))));
    (plain.into_iter().collect(), odd)
}

/// Claims of good tokens: none, of each issuer, and with the claims that flows ask for.
fn tokens(model: &Model, to: &str) -> Vec<Option<Value>> {
    let mut all = vec![None];
    let issued = |issuer: &model::Issuer| {
        let mut claims = json!({ "iss": issuer.issuer, "sub": "ada", "role": "customer" });
        if let (Some(audience), Some(claims)) = (issuer.audiences.first(), claims.as_object_mut()) {
            claims.insert("aud".to_owned(), json!(audience));
        }
        claims
    };
    all.extend(model.mesh.issuers.values().map(|issuer| Some(issued(issuer))));
    for token in model.flows_to(to).filter_map(|flow| model.token_of(flow)) {
        let Some((_, issuer)) = token.issuer else { continue };
        let mut claims = issued(issuer);
        for claim in token.claims {
            if let ([name], [value, ..], Some(claims)) =
                (claim.path.as_slice(), claim.values.as_slice(), claims.as_object_mut())
            {
                claims.insert(name.clone(), json!(value.trim_end_matches('*')));
            }
        }
        all.push(Some(claims));
    }
    all
}

/// The gates of a node: Ward's by the model, Istio's by the documents.
fn gates(model: &Model, inside: &Cluster, documents: &model::Documents, label: &str, to: &str) -> (Gate, Gate) {
    let of = if model.nodes[to].under_ward() { model } else { &inside.model };
    let ward = Gate::of_node(Semantics::Ward, of, to).expect("the model's own policies");
    let node: &Node = &inside.model.nodes[to];
    let workload = Workload {
        namespace: node.namespace.to_string(),
        labels: [(label.to_owned(), to.to_owned())].into(),
        root_namespace: "istio-system".to_owned(),
        trust_domain: inside.model.trust_domain.to_string(),
        aliases: inside.model.mesh.aliases.iter().map(ToString::to_string).collect(),
    };
    let istio = Gate::of_documents(Semantics::Istio, &workload, documents).expect("the exported documents");
    (ward, istio)
}

/// A peer, by the name it has here and the one it has in the cluster, and whether a flow leads from it.
type Peer = (Option<String>, Option<String>, bool);

fn peers(model: &Model, inside: &Cluster, to: &str) -> Vec<Peer> {
    let of = if model.nodes[to].under_ward() { model } else { &inside.model };
    let identity = |model: &Model, from: &str| policy::identity_of(model, from).map(|id| id.to_string());
    let named = |model: &Model, from: &str| model.spiffe_id(from).map(|id| id.to_string());
    let near: BTreeSet<&str> = model.flows_to(to).map(|flow| flow.from.as_str()).collect();
    let far = model.nodes.keys().map(Name::as_str).filter(|node| !near.contains(node)).take(1);
    let both = |from: &str, near: bool| (identity(of, from), identity(&inside.model, from), near);
    let mut peers: Vec<Peer> = near.iter().map(|from| both(from, true)).collect();
    peers.extend(far.map(|from| both(from, false)));
    // Somebody who has the name of a node that has no identity, a stranger, and nobody.
    peers.extend(near.iter().map(|from| (named(of, from), named(&inside.model, from), false)));
    let stranger = Some("spiffe://else.example/ns/edge/sa/gateway".to_owned());
    peers.extend([(stranger.clone(), stranger, false), (None, None, false)]);
    peers.sort();
    peers.dedup_by(|one, other| {
        (&one.0, &one.1) == (&other.0, &other.1) && {
            other.2 |= one.2;
            true
        }
    });
    peers
}

// The requests are those that flows speak of, and what is near them: other methods, peers and ports, paths spelt otherwise.
#[test]
fn istio_decides_as_ward_does() {
    let mut table = String::new();
    for name in EXAMPLES {
        let model = example(name);
        let mut count = [0, 0, 0];
        for (number, (choice, label)) in choices().into_iter().enumerate() {
            let inside = cluster(&model, choice).expect("a cluster");
            let exported = istio::export(&inside, documents(&model, &inside), label).expect("an export");
            let file = SourceFile { name: "istio.yaml".to_owned(), text: exported.yaml() };
            let documents = model::load_documents(&[file]);
            assert_eq!(documents.diagnostics, [], "{name}");
            for (to, target) in inside.workloads() {
                let (ward, istio) = gates(&model, &inside, &documents, label, to.as_str());
                for peer in peers(&model, &inside, to.as_str()) {
                    let asked = ask(&model, (&ward, &istio), to.as_str(), target, &peer, number == 0);
                    count = std::array::from_fn(|i| count[i] + asked[i]);
                }
            }
        }
        let [all, allowed, stricter] = count;
        let _ = writeln!(table, "{name}: {all} asked, {allowed} allowed by both, {stricter} by Ward alone");
    }
    expect![[r#"
        shop: 4883 asked, 152 allowed by both, 8 by Ward alone
        shop-production: 13755 asked, 474 allowed by both, 23 by Ward alone
        mtls-mesh: 2261 asked, 1058 allowed by both, 0 by Ward alone
        ai-spm: 11295 asked, 1715 allowed by both, 0 by Ward alone
        guardian: 16615 asked, 674 allowed by both, 13 by Ward alone
        tasky/current: 1770 asked, 768 allowed by both, 0 by Ward alone
        tasky/secure: 1879 asked, 817 allowed by both, 0 by Ward alone
    "#]]
    .assert_eq(&table);
}

/// Asks both, and counts: all, allowed, and odd ones that Ward alone lets pass.
fn ask(model: &Model, (ward, istio): (&Gate, &Gate), to: &str, target: &Node, peer: &Peer, all: bool) -> [usize; 3] {
    let (here, there, near) = peer;
    let (plain, odd) = targets(model, to);
    let (step, methods): (usize, &[&str]) =
        if all { (1, &["GET", "HEAD", "POST", "DELETE", "OPTIONS"]) } else { (4, &["GET", "POST"]) };
    let spelt = odd.iter().filter(|_| all && *near).map(|path| ("GET", path, false));
    let asked: Vec<(&str, &String, bool)> = methods
        .iter()
        .flat_map(|method| plain.iter().step_by(step).map(|path| (*method, path, true)))
        .chain(spelt)
        .collect();
    let tokens = tokens(model, to);
    let listens = target.listen.iter().map(|listen| (listen.port, true));
    let serves = target.serves.iter().map(|serve| (serve.port, serve.protocol.is_http()));
    let mut count = [0, 0, 0];
    let mut compare = |port: u16, request: Arrival, theirs: String, exact: bool| {
        let one = Arrival { peer: here.clone(), port: Some(port), ..request };
        let other = Arrival { peer: there.clone(), target: theirs, ..one.clone() };
        let answers = [ward.answer(&one), istio.answer(&other)];
        let [by_ward, by_istio] = [&answers[0], &answers[1]].map(|answer| answer.status == 200);
        count =
            [count[0] + 1, count[1] + usize::from(by_ward && by_istio), count[2] + usize::from(by_ward && !by_istio)];
        assert!(by_ward == by_istio || (!exact && !by_istio), "{to}: {one:?}: {answers:?}");
    };
    for (port, http) in listens.chain(serves).chain([(9, false)]) {
        if !http {
            compare(port, Arrival { protocol: Protocol::Tcp, ..Arrival::default() }, String::new(), true);
            continue;
        }
        for (method, path, exact) in &asked {
            for (token, agent) in tokens.iter().zip(["curl/8", "sqlmap/1.8"].into_iter().cycle()) {
                let headers =
                    [("user-agent", agent), ("origin", "https://a.example"), ("access-control-request-method", "GET")];
                let request = Arrival {
                    method: (*method).to_owned(),
                    target: (*path).clone(),
                    host: "svc".to_owned(),
                    headers: headers.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
                    jwt: token.clone(),
                    ..Arrival::default()
                };
                compare(port, request, decoded_and_merged(path), *exact);
            }
        }
    }
    count
}
