//! What a decision costs, from 10 to 10,000 policies; docs/policy.md, "What a decision costs", says how to read it.
//!
//! The mix, of all policies of one workload:
//!
//! | share | policy |
//! |---|---|
//! | 70 % | ALLOW one caller two methods on two paths, one of them a template, at a port: what flows compile to |
//! | 10 % | ALLOW a namespace GET under a path |
//! | 10 % | DENY a path and what is below, whoever asks |
//! | 5 % | ALLOW a namespace a path if a header says so |
//! | 3 % | ALLOW a path with a token of an issuer, if a claim says so |
//! | 2 % | ALLOW a range of addresses GET under a path |
//!
//! There is one of each kind at least. Requests go round all policies of their kind, so that what is measured is not
//! one hot entry. Beside the engine stands the scan: the same matchers, held against one policy after the other, DENY
//! before ALLOW, up to the first that matches, as Envoy does.
#![expect(clippy::expect_used, reason = "a bench that cannot begin ends loudly")]
use std::{hint::black_box, net::IpAddr, time::Duration};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use http::{HeaderMap, HeaderValue};
use model::istio::{
    Action, AuthorizationPolicy, AuthorizationSpec, Condition, From, Metadata, Operation, Rule, Source, To,
};
use policy::{Decision, Reason, Request, RuleSet, Workload};
use serde_json::{Value, json};

const SIZES: [usize; 4] = [10, 100, 1_000, 10_000];
/// Different requests of one kind, at most.
const REQUESTS_MAX: usize = 1_024;

/// What a policy of the mix is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Identity,
    Namespace,
    Deny,
    Header,
    Claim,
    Address,
}

/// Kinds and how many of each.
fn mix(size: usize) -> Vec<(Kind, usize)> {
    let share = |percent: usize| (size * percent / 100).max(1);
    let others = [
        (Kind::Namespace, share(10)),
        (Kind::Deny, share(10)),
        (Kind::Header, share(5)),
        (Kind::Claim, share(3)),
        (Kind::Address, share(2)),
    ];
    let rest: usize = others.iter().map(|(_, count)| count).sum();
    std::iter::once((Kind::Identity, size - rest)).chain(others).collect()
}

fn strings(values: &[&str]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}

fn document(name: String, action: Action, rule: Rule) -> AuthorizationPolicy {
    AuthorizationPolicy {
        api_version: "security.istio.io/v1".to_owned(),
        kind: "AuthorizationPolicy".to_owned(),
        metadata: Metadata { name, namespace: "pci".to_owned(), ..Metadata::default() },
        spec: AuthorizationSpec { action, rules: vec![rule], ..AuthorizationSpec::default() },
    }
}

fn rule(source: Option<Source>, operation: Operation, when: Option<(&str, String)>) -> Rule {
    let condition =
        |(key, value): (&str, String)| Condition { key: key.to_owned(), values: vec![value], not_values: Vec::new() };
    Rule {
        from: source.into_iter().map(|source| From { source }).collect(),
        to: vec![To { operation }],
        when: when.into_iter().map(condition).collect(),
    }
}

fn operation(methods: &[&str], paths: Vec<String>) -> Operation {
    Operation { ports: strings(&["8080"]), methods: strings(methods), paths, ..Operation::default() }
}

/// The policy `i` of its kind.
fn policy(kind: Kind, i: usize) -> AuthorizationPolicy {
    match kind {
        Kind::Identity => {
            let source =
                Source { principals: vec![format!("shop.example/ns/shop/sa/caller-{i}")], ..Source::default() };
            let paths = vec![format!("/charges/{i}"), format!("/orders/{{*}}/lines/{i}")];
            document(
                format!("identity-{i}"),
                Action::Allow,
                rule(Some(source), operation(&["GET", "POST"], paths), None),
            )
        }
        Kind::Namespace => {
            let source = Source { namespaces: vec![format!("team-{i}")], ..Source::default() };
            let operation = operation(&["GET"], vec![format!("/reports/{i}/*")]);
            document(format!("namespace-{i}"), Action::Allow, rule(Some(source), operation, None))
        }
        Kind::Deny => {
            let operation =
                Operation { paths: vec![format!("/internal/{i}"), format!("/internal/{i}/*")], ..Operation::default() };
            document(format!("deny-{i}"), Action::Deny, rule(None, operation, None))
        }
        Kind::Header => {
            let source = Source { namespaces: strings(&["shop"]), ..Source::default() };
            let when = Some(("request.headers[x-tenant]", format!("tenant-{i}")));
            let rule = rule(Some(source), operation(&["GET"], vec![format!("/tenants/{i}")]), when);
            document(format!("header-{i}"), Action::Allow, rule)
        }
        Kind::Claim => {
            let source = Source { request_principals: strings(&["https://login.example/*"]), ..Source::default() };
            let when = Some(("request.auth.claims[groups]", format!("group-{i}")));
            let rule = rule(Some(source), operation(&["GET"], vec![format!("/groups/{i}")]), when);
            document(format!("claim-{i}"), Action::Allow, rule)
        }
        Kind::Address => {
            let source = Source { ip_blocks: vec![format!("10.{}.{}.0/24", i / 256, i % 256)], ..Source::default() };
            let operation = operation(&["GET"], vec![format!("/status/{i}/*")]);
            document(format!("address-{i}"), Action::Allow, rule(Some(source), operation, None))
        }
    }
}

/// What a request is made of.
struct Facts {
    principal: Option<String>,
    method: &'static str,
    path: String,
    headers: HeaderMap,
    source_ip: IpAddr,
    jwt: Option<Value>,
}

impl Facts {
    fn new(principal: &str, path: String) -> Self {
        Self {
            principal: Some(format!("spiffe://shop.example/ns/{principal}")),
            method: "GET",
            path,
            headers: HeaderMap::new(),
            source_ip: IpAddr::from([192, 0, 2, 1]),
            jwt: None,
        }
    }

    /// What policy `i` of its kind matches.
    fn of(kind: Kind, i: usize) -> Self {
        match kind {
            Kind::Identity if i.is_multiple_of(2) => {
                Self { method: "POST", ..Self::new(&format!("shop/sa/caller-{i}"), format!("/orders/4711/lines/{i}")) }
            }
            Kind::Identity => Self::new(&format!("shop/sa/caller-{i}"), format!("/charges/{i}")),
            Kind::Namespace => Self::new(&format!("team-{i}/sa/web"), format!("/reports/{i}/2026/11")),
            Kind::Deny => Self::new("shop/sa/caller-1", format!("/internal/{i}/debug")),
            Kind::Header => {
                let mut facts = Self::new("shop/sa/web", format!("/tenants/{i}"));
                let value = HeaderValue::from_str(&format!("tenant-{i}")).expect("a header value");
                facts.headers.insert("x-tenant", value);
                facts
            }
            Kind::Claim => Self {
                jwt: Some(json!({
                    "iss": "https://login.example", "sub": "alice", "aud": ["shop"],
                    "groups": ["everyone", "staff", format!("group-{i}")],
                })),
                ..Self::new("edge/sa/gateway", format!("/groups/{i}"))
            },
            Kind::Address => Self {
                source_ip: IpAddr::from([
                    10,
                    u8::try_from(i / 256).expect("few"),
                    u8::try_from(i % 256).expect("less"),
                    7,
                ]),
                ..Self::new("edge/sa/gateway", format!("/status/{i}/live"))
            },
        }
    }

    fn request(&self) -> Request<'_> {
        Request {
            principal: self.principal.as_deref(),
            method: self.method,
            path: &self.path,
            host: "payments.pci",
            source_ip: Some(self.source_ip),
            port: 8080,
            jwt: self.jwt.as_ref(),
            ..Request::new(&self.headers)
        }
    }
}

/// Requests that go round all policies of a kind.
fn requests(kind: Kind, count: usize) -> Vec<Facts> {
    let step = count.div_ceil(REQUESTS_MAX);
    (0..count).step_by(step).map(|i| Facts::of(kind, i)).collect()
}

fn workload() -> Workload {
    Workload {
        namespace: "pci".to_owned(),
        root_namespace: "ward-system".to_owned(),
        trust_domain: "shop.example".to_owned(),
        ..Workload::default()
    }
}

fn documents(size: usize) -> Vec<AuthorizationPolicy> {
    mix(size).into_iter().flat_map(|(kind, count)| (0..count).map(move |i| policy(kind, i))).collect()
}

fn compile(policies: &[AuthorizationPolicy]) -> RuleSet {
    RuleSet::compile(&workload(), policies).expect("the policies compile")
}

/// One line of the report: `ask`, for one request after the other.
fn measure(
    c: &mut Criterion,
    name: &str,
    size: usize,
    facts: &[Facts],
    ask: impl Fn(&Request) -> Decision,
    expect: Reason,
) {
    for one in facts {
        assert_eq!(ask(&one.request()).reason(), expect, "{name}: {} {}", one.method, one.path);
    }
    let requests: Vec<_> = facts.iter().map(Facts::request).collect();
    c.bench_with_input(BenchmarkId::new(name, size), &requests, |b, requests| {
        let mut round = requests.iter().cycle();
        b.iter(|| ask(black_box(round.next().expect("a request"))));
    });
}

/// The mix: each kind of decision, and the scan.
fn decisions(c: &mut Criterion) {
    for size in SIZES {
        let set = compile(&documents(size));
        let decide = |request: &Request| set.decide(request);
        let scan = |request: &Request| set.decide_in_turn(request);
        for (kind, count) in mix(size) {
            let facts = requests(kind, count);
            match kind {
                Kind::Identity => {
                    measure(c, "allow: identity, method, path", size, &facts, decide, Reason::Allowed);
                    let one = facts.get(facts.len() / 2..=facts.len() / 2).unwrap_or_default();
                    measure(c, "allow: identity, method, path, one request", size, one, decide, Reason::Allowed);
                    measure(c, "scan: identity, method, path", size, &facts, scan, Reason::Allowed);
                    let strangers: Vec<_> =
                        facts.into_iter().map(|facts| Facts { method: "DELETE", ..facts }).collect();
                    measure(c, "deny: no rule matched", size, &strangers, decide, Reason::NoRuleMatched);
                    measure(c, "scan: no rule matched", size, &strangers, scan, Reason::NoRuleMatched);
                }
                Kind::Namespace => measure(c, "allow: namespace, path", size, &facts, decide, Reason::Allowed),
                Kind::Deny => measure(c, "deny: by path", size, &facts, decide, Reason::DeniedByPolicy),
                Kind::Header => measure(c, "allow: header", size, &facts, decide, Reason::Allowed),
                Kind::Claim => measure(c, "allow: claim", size, &facts, decide, Reason::Allowed),
                Kind::Address => measure(c, "allow: CIDR", size, &facts, decide, Reason::Allowed),
            }
        }
    }
}

/// Sets of one kind of rule, each the worst case of some index.
fn shapes(c: &mut Criterion) {
    type Shape = (&'static str, fn(usize) -> (Source, Operation), fn(usize) -> Facts);
    let shapes: [Shape; 6] = [
        (
            "one caller, many paths",
            |i| {
                (
                    Source { principals: strings(&["shop.example/ns/shop/sa/web"]), ..Source::default() },
                    operation(&["GET"], vec![format!("/a/{i}")]),
                )
            },
            |i| Facts::new("shop/sa/web", format!("/a/{i}")),
        ),
        (
            "one path, many callers",
            |i| {
                (
                    Source { principals: vec![format!("shop.example/ns/shop/sa/s{i}")], ..Source::default() },
                    operation(&["GET"], strings(&["/a"])),
                )
            },
            |i| Facts::new(&format!("shop/sa/s{i}"), "/a".to_owned()),
        ),
        (
            "principals by prefix",
            |i| {
                (
                    Source { principals: vec![format!("shop.example/ns/team-{i}/*")], ..Source::default() },
                    operation(&["GET"], strings(&["/a/*"])),
                )
            },
            |i| Facts::new(&format!("team-{i}/sa/web"), "/a/b".to_owned()),
        ),
        (
            "principals by suffix",
            |i| {
                (
                    Source { principals: vec![format!("*/sa/s{i}")], ..Source::default() },
                    operation(&["GET"], strings(&["/a/*"])),
                )
            },
            |i| Facts::new(&format!("shop/sa/s{i}"), "/a/b".to_owned()),
        ),
        (
            "hosts",
            |i| {
                let hosts = vec![format!("h{i}.shop.example")];
                (
                    Source { namespaces: strings(&["shop"]), ..Source::default() },
                    Operation { hosts, ..operation(&["GET"], strings(&["/a/*"])) },
                )
            },
            |i| {
                let mut facts = Facts::new("shop/sa/web", "/a/b".to_owned());
                facts.headers.insert("x-host", HeaderValue::from_str(&format!("h{i}.shop.example")).expect("a host"));
                facts
            },
        ),
        (
            "templates",
            |i| {
                (
                    Source { namespaces: strings(&["shop"]), ..Source::default() },
                    operation(&["GET"], vec![format!("/t/{{*}}/u/{{*}}/v/{i}")]),
                )
            },
            |i| Facts::new("shop/sa/web", format!("/t/1/u/2/v/{i}")),
        ),
    ];
    for (name, make, ask) in shapes {
        for size in SIZES {
            let policies: Vec<_> = (0..size)
                .map(|i| {
                    let (source, operation) = make(i);
                    document(format!("p{i}"), Action::Allow, rule(Some(source), operation, None))
                })
                .collect();
            let set = compile(&policies);
            let step = size.div_ceil(REQUESTS_MAX);
            let facts: Vec<_> = (0..size).step_by(step).map(ask).collect();
            // The host of a request stands in a header here, as the facts have no place for it.
            let requests: Vec<_> = facts
                .iter()
                .map(|facts| Request {
                    host: facts.headers.get("x-host").and_then(|host| host.to_str().ok()).unwrap_or("payments"),
                    ..facts.request()
                })
                .collect();
            assert!(requests.iter().all(|request| set.decide(request).is_allowed()), "{name}");
            c.bench_with_input(BenchmarkId::new(format!("shape: {name}"), size), &requests, |b, requests| {
                let mut round = requests.iter().cycle();
                b.iter(|| set.decide(black_box(round.next().expect("a request"))));
            });
        }
    }
}

/// Rules that nothing but a header, a claim or an address tells apart, which no index looks at: they are read in turn.
fn conditions(c: &mut Criterion) {
    for (name, kind) in [("header", Kind::Header), ("claim", Kind::Claim), ("CIDR", Kind::Address)] {
        for size in SIZES {
            let policies: Vec<_> = (0..size)
                .map(|i| {
                    let mut document = policy(kind, i);
                    for to in document.spec.rules.iter_mut().flat_map(|rule| &mut rule.to) {
                        to.operation.paths = strings(&["/alike"]);
                    }
                    document
                })
                .collect();
            let set = compile(&policies);
            let mut facts = requests(kind, size);
            facts.iter_mut().for_each(|facts| facts.path = "/alike".to_owned());
            measure(
                c,
                &format!("only the {name} differs"),
                size,
                &facts,
                |request| set.decide(request),
                Reason::Allowed,
            );
        }
    }
}

/// What is paid once: compiling, memory; and what is paid when somebody asks.
fn around(c: &mut Criterion) {
    for size in SIZES {
        let policies = documents(size);
        let mut set = None;
        let counted = allocation_counter::measure(|| set = Some(compile(&policies)));
        let set = set.expect("a set");
        println!(
            "memory of {size} policies: {} KiB kept, {} KiB at most while compiling, {} allocations",
            counted.bytes_current / 1024,
            counted.bytes_max / 1024,
            counted.count_total
        );
        c.bench_with_input(BenchmarkId::new("compile", size), &policies, |b, policies| b.iter(|| compile(policies)));
        let stranger = Facts { method: "DELETE", ..Facts::of(Kind::Identity, 1) };
        c.bench_with_input(BenchmarkId::new("explain: no rule matched", size), &stranger.request(), |b, request| {
            b.iter(|| set.explain(black_box(request)));
        });
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = decisions, shapes, conditions, around
}
criterion_main!(benches);
