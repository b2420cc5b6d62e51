//! What Istio would decide by the export is what Ward decides by the model.
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use expect_test::expect;
use model::{
    Model, Node,
    allow::{PathPattern, Segment},
    istio::Action,
};
use policy::{
    Protocol, Semantics, Workload,
    gate::{Arrival, Gate},
};
use serde_json::{Value, json};

use super::*;

const EXAMPLES: [&str; 7] =
    ["shop", "shop-production", "mtls-mesh", "ai-spm", "guardian", "tasky/current", "tasky/secure"];

fn example(name: &str) -> Model {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name);
    read(&model_dir::read(&dir).expect("an example"))
}

fn read(files: &[SourceFile]) -> Model {
    let loaded = model::load(files);
    loaded.model.unwrap_or_else(|| panic!("the model is refused: {:#?}", loaded.diagnostics))
}

fn from_text(text: &str) -> Model {
    read(&[SourceFile { name: "ward.yaml".to_owned(), text: text.to_owned() }])
}

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
        for claim in &token.claims {
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

#[test]
fn istio_decides_as_ward_does() {
    let mut asked = BTreeMap::new();
    for name in EXAMPLES {
        let model = example(name);
        for (choice, label) in choices() {
            let inside = cluster(&model, choice).expect("a cluster");
            let exported = istio::export(&inside, documents(&model, &inside), label).expect("an export");
            let file = SourceFile { name: "istio.yaml".to_owned(), text: exported.yaml() };
            let documents = model::load_documents(&[file]);
            assert_eq!(documents.diagnostics, [], "{name}");
            for (to, target) in inside.workloads() {
                let (ward, istio) = gates(&model, &inside, &documents, label, to.as_str());
                let near: BTreeSet<&str> = model.flows_to(to.as_str()).map(|flow| flow.from.as_str()).collect();
                let far = model.nodes.keys().map(|node| node.as_str()).filter(|node| !near.contains(node)).take(3);
                let peer = |model: &Model, from: &str| policy::identity_of(model, from).map(|id| id.to_string());
                let named = |model: &Model, from: &str| model.spiffe_id(from).map(|id| id.to_string());
                let of = if model.nodes[to].under_ward() { &model } else { &inside.model };
                let mut peers: Vec<(Option<String>, Option<String>)> =
                    near.iter().copied().chain(far).map(|from| (peer(of, from), peer(&inside.model, from))).collect();
                // Somebody who has the name of a node that has no identity, a stranger, and nobody.
                peers.extend(near.iter().map(|from| (named(of, from), named(&inside.model, from))));
                let stranger = Some("spiffe://else.example/ns/edge/sa/gateway".to_owned());
                peers.extend([(stranger.clone(), stranger), (None, None)]);
                let count = ask(&model, (&ward, &istio), to.as_str(), target, &peers);
                *asked.entry(name).or_insert([0, 0, 0]) = add(asked.get(name).copied().unwrap_or_default(), count);
            }
        }
    }
    let mut table = String::new();
    for (name, [all, allowed, stricter]) in asked {
        let _ = writeln!(table, "{name}: {all} asked, {allowed} allowed by both, {stricter} by Ward alone");
    }
    expect![[""]].assert_eq(&table);
}

fn add(one: [usize; 3], other: [usize; 3]) -> [usize; 3] {
    std::array::from_fn(|i| one[i] + other[i])
}

/// Asks both, and counts: all, allowed, and odd ones that Ward alone lets pass.
fn ask(
    model: &Model,
    (ward, istio): (&Gate, &Gate),
    to: &str,
    target: &Node,
    peers: &[(Option<String>, Option<String>)],
) -> [usize; 3] {
    let (plain, odd) = targets(model, to);
    let tokens = tokens(model, to);
    let agents = ["curl/8", "sqlmap/1.8"];
    let mut count = [0, 0, 0];
    let listens = target.listen.iter().map(|listen| (listen.port, true));
    let serves = target.serves.iter().map(|serve| (serve.port, serve.protocol.is_http()));
    let ports: Vec<(u16, bool)> = listens.chain(serves).chain([(9, true), (9, false)]).collect();
    for (peer, theirs) in peers {
        for (port, http) in &ports {
            let arrival =
                |peer: &Option<String>, more: Arrival| Arrival { peer: peer.clone(), port: Some(*port), ..more };
            let mut both = |one: &Arrival, other: &Arrival, exact: bool| {
                let (one, other) = (ward.answer(one), istio.answer(other));
                let [ward, istio] = [&one, &other].map(|answer| answer.status == 200);
                count[0] += 1;
                count[1] += usize::from(ward && istio);
                count[2] += usize::from(ward && !istio);
                (
                    ward == istio || (!exact && !istio),
                    format!("{to}:{port} from {peer:?}: ward {one:?}, istio {other:?}"),
                )
            };
            if !http {
                let tcp = || Arrival { protocol: Protocol::Tcp, ..Arrival::default() };
                let (same, words) = both(&arrival(peer, tcp()), &arrival(theirs, tcp()), true);
                assert!(same, "tcp {words}");
                continue;
            }
            let all = plain.iter().map(|path| (path, true)).chain(odd.iter().map(|path| (path, false)));
            for (path, exact) in all {
                for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"] {
                    for (token, agent) in tokens.iter().zip(agents.iter().cycle()) {
                        let request = |target: String| Arrival {
                            method: method.to_owned(),
                            target,
                            host: "svc".to_owned(),
                            headers: vec![
                                ("user-agent".to_owned(), (*agent).to_owned()),
                                ("origin".to_owned(), "https://a.example".to_owned()),
                                ("access-control-request-method".to_owned(), "GET".to_owned()),
                            ],
                            jwt: token.clone(),
                            ..Arrival::default()
                        };
                        let (one, other) = (request(path.clone()), request(decoded_and_merged(path)));
                        let (same, words) = both(&arrival(peer, one), &arrival(theirs, other), exact);
                        assert!(same, "{method} {path} {agent} {token:?} {words}");
                    }
                }
            }
        }
    }
    count
}
