//! What a decision costs, from 10 to 10,000 policies.
//!
//! The mix: policy `i` allows the principal `caller-i` two methods on two paths, one of them a template, at one port;
//! that is what flows compile to. Each set has one DENY by path. The request comes from the caller
//! in the middle. Beside it stand the cost of a denial, of a DENY that every request is held against, and of compiling.
#![expect(clippy::expect_used, reason = "a bench that cannot begin ends loudly")]
use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use http::HeaderMap;
use model::istio::{Action, AuthorizationPolicy, AuthorizationSpec, From, Metadata, Operation, Rule, Source, To};
use policy::{Request, RuleSet, Workload};

const SIZES: [usize; 4] = [10, 100, 1_000, 10_000];

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

fn allow(i: usize) -> AuthorizationPolicy {
    let source = Source { principals: vec![format!("shop.example/ns/shop/sa/caller-{i}")], ..Source::default() };
    let operation = Operation {
        ports: strings(&["8080"]),
        methods: strings(&["GET", "POST"]),
        paths: vec![format!("/charges/{i}"), format!("/orders/{{*}}/lines/{i}")],
        ..Operation::default()
    };
    let rule = Rule { from: vec![From { source }], to: vec![To { operation }], when: Vec::new() };
    document(format!("allow-{i}"), Action::Allow, rule)
}

fn deny(i: usize) -> AuthorizationPolicy {
    let operation = Operation { paths: vec![format!("/internal/{i}/*")], ..Operation::default() };
    document(format!("deny-{i}"), Action::Deny, Rule { to: vec![To { operation }], ..Rule::default() })
}

fn workload() -> Workload {
    Workload {
        namespace: "pci".to_owned(),
        root_namespace: "ward-system".to_owned(),
        trust_domain: "shop.example".to_owned(),
        ..Workload::default()
    }
}

fn compile(policies: &[AuthorizationPolicy]) -> RuleSet {
    RuleSet::compile(&workload(), policies).expect("the policies compile")
}

fn bench(c: &mut Criterion) {
    let headers = HeaderMap::new();
    let mut group = c.benchmark_group("decide");
    for size in SIZES {
        let mut policies: Vec<_> = (0..size).map(allow).collect();
        policies.push(deny(0));
        let set = compile(&policies);
        let caller = format!("spiffe://shop.example/ns/shop/sa/caller-{}", size / 2);
        let path = format!("/orders/4711/lines/{}", size / 2);
        let request = Request {
            principal: Some(&caller),
            method: "POST",
            path: &path,
            host: "payments",
            port: 8080,
            ..Request::new(&headers)
        };
        assert!(set.decide(&request).is_allowed());
        group.bench_with_input(BenchmarkId::new("allow", size), &request, |b, request| {
            b.iter(|| set.decide(black_box(request)));
        });
        let stranger = Request { path: "/orders/4711", ..request };
        assert!(!set.decide(&stranger).is_allowed());
        group.bench_with_input(BenchmarkId::new("deny", size), &stranger, |b, request| {
            b.iter(|| set.decide(black_box(request)));
        });
    }
    group.finish();

    // Rules that name no principal are read one after the other; this is what an index by path will change.
    let mut group = c.benchmark_group("deny rules read in turn");
    for size in [10, 100, 1_000] {
        let policies: Vec<_> = (0..size).map(deny).collect();
        let set = compile(&policies);
        let request = Request { path: "/charges", ..Request::new(&headers) };
        group.bench_with_input(BenchmarkId::from_parameter(size), &request, |b, request| {
            b.iter(|| set.decide(black_box(request)));
        });
    }
    group.finish();

    let mut group = c.benchmark_group("compile");
    group.sample_size(10);
    for size in SIZES {
        let policies: Vec<_> = (0..size).map(allow).collect();
        group
            .bench_with_input(BenchmarkId::from_parameter(size), &policies, |b, policies| b.iter(|| compile(policies)));
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
