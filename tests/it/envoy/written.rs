//! Sets made by hand, in the short words of `cases`.
use std::net::{IpAddr, Ipv4Addr};

use model::{SourceFile, load_documents};
use policy::{Protocol, Workload, gate::Arrival};

use super::{cases::CASES, compare::Subject, exchange::Line, policies::Set, requests::Session};

/// All of them.
pub(crate) fn subjects() -> Vec<Subject> {
    let subject = |(name, documents, requests): &(&str, &str, &[&str])| Subject {
        name: (*name).to_owned(),
        set: set(documents),
        sessions: requests.iter().filter_map(|request| session(request)).collect(),
        answers: None,
    };
    CASES.iter().map(subject).collect()
}

/// Where Istio's reading is known to differ from Envoy: documents, request, Envoy's answer, ours. When Envoy changes its
/// mind, this says so, and the reason in `compare` goes.
const KNOWN: &[(&str, &str, u16, u16)] = &[
    ("", "GET / host=a header=Host:b", 200, 400),
    ("policy {action: DENY, rules: [{to: [{operation: {hosts: ['a,b']}}]}]}", "GET / host=a header=Host:b", 403, 400),
    ("", "GET http://user@a/", 200, 400),
    ("", "CONNECT svc:443", 403, 400),
    ("policy {action: DENY, rules: [{from: [{source: {trustDomains: [a.example]}}]}]}", "GET / as spiffe://a.example", 200, 403),
    (
        "policy {rules: [{when: [{key: 'request.headers[authorization]', values: [a]}]}]}",
        "GET / header=Authorization:a header=Authorization:b",
        403,
        200,
    ),
    (
        "tokens {jwtRules: [{issuer: i, jwksUri: 'https://i.example/', outputClaimToHeaders: [{header: x-claim-sub, claim: sub}]}]}
         policy {action: CUSTOM, provider: {name: gone}, rules: [{when: [{key: 'request.headers[x-claim-sub]', values: ['*']}]}]}",
        "GET / header=x-claim-sub:forged",
        403,
        200,
    ),
    (
        "tokens {jwtRules: [{issuer: i, jwksUri: 'https://i.example/'}]}
         policy {action: CUSTOM, provider: {name: gone}, rules: [{}]}",
        "GET / header=Authorization:Bearer~nonsense",
        403,
        401,
    ),
];

/// All of these.
pub(crate) fn known() -> Vec<Subject> {
    let subject = |(documents, request, envoy, istio): &(&str, &str, u16, u16)| Subject {
        name: (*request).to_owned(),
        set: set(documents),
        sessions: session(request).into_iter().collect(),
        answers: Some((*envoy, *istio)),
    };
    KNOWN.iter().map(subject).collect()
}

fn workload() -> Workload {
    Workload {
        namespace: "pci".to_owned(),
        labels: [("app", "payments"), ("version", "v1")].map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
        root_namespace: "ward-system".to_owned(),
        trust_domain: "shop.example".to_owned(),
        aliases: vec!["old.example".to_owned()],
    }
}

/// A line is `kind spec`; `root/` in front means the root namespace.
fn set(lines: &str) -> Set {
    let mut text = String::new();
    for (number, line) in lines.lines().map(str::trim).filter(|line| !line.is_empty()).enumerate() {
        let (namespace, line) = match line.strip_prefix("root/") {
            Some(rest) => ("ward-system", rest),
            None => ("pci", line),
        };
        let (kind, spec) = line.split_once(' ').unwrap();
        let (kind, dry) = match kind {
            "policy" => ("AuthorizationPolicy", ""),
            "dry-run" => ("AuthorizationPolicy", ", annotations: {istio.io/dry-run: 'true'}"),
            "peer" => ("PeerAuthentication", ""),
            "tokens" => ("RequestAuthentication", ""),
            other => panic!("unknown kind {other}"),
        };
        text += &format!(
            "---\napiVersion: security.istio.io/v1\nkind: {kind}\nmetadata: {{name: p{number}, namespace: {namespace}{dry}}}\nspec: {spec}\n"
        );
    }
    let documents = load_documents(&[SourceFile { name: "all.yaml".to_owned(), text }]);
    assert!(documents.diagnostics.is_empty(), "{:?}", documents.diagnostics);
    Set { workload: workload(), policies: documents.policies, peers: documents.peers, tokens: documents.tokens }
}

/// `None` for what no connection here can be: a server name without TLS, a direct peer elsewhere than on loopback.
fn session(request: &str) -> Option<Session> {
    let mut words = request.split(' ').filter(|word| !word.is_empty());
    let mut line = Line {
        peer: None,
        sni: None,
        source: Ipv4Addr::LOCALHOST,
        caller: Ipv4Addr::new(203, 0, 113, 7).into(),
        // No policy names it.
        port: 9,
    };
    let mut arrival = Arrival { host: "svc".to_owned(), ..Arrival::default() };
    match words.next()? {
        "tcp" => arrival.protocol = Protocol::Tcp,
        method => {
            arrival.method = method.to_owned();
            arrival.target = words.next()?.replace('~', " ");
        }
    }
    while let Some(word) = words.next() {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        match key {
            "as" => {
                line.peer = words.next().map(|who| match who.split_once('/') {
                    Some((namespace, account)) if !who.contains("://") => {
                        format!("spiffe://shop.example/ns/{namespace}/sa/{account}")
                    }
                    _ => who.to_owned(),
                });
            }
            "host" => arrival.host = value.replace('~', " "),
            "port" => line.port = value.parse().unwrap(),
            "from" => match value.parse().unwrap() {
                IpAddr::V4(source) if source.is_loopback() => line.source = source,
                _ => return None,
            },
            // Which address is Envoy's own is how the sets are told apart.
            "at" => return None,
            "remote" => line.caller = value.parse().unwrap(),
            "sni" => line.sni = Some(value.to_owned()),
            "header" => {
                let (name, value) = value.split_once(':').unwrap();
                arrival.headers.push((name.to_owned(), value.replace('~', " ")));
            }
            other => panic!("unknown word {other}"),
        }
    }
    if line.sni.is_some() && line.peer.is_none() {
        return None;
    }
    let arrival = Arrival {
        peer: line.peer.clone(),
        sni: line.sni.clone(),
        source_ip: Some(line.source.into()),
        remote_ip: Some(line.caller),
        port: Some(line.port),
        ..arrival
    };
    Some(Session { line, requests: vec![arrival] })
}
