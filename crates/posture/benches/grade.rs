//! What grading costs, from 100 nodes and 1,000 flows to 10,000 nodes and 100,000 flows. Growth should be near linear.
//!
//! The model: a tenth of the nodes are stores, one in a hundred is exposed, each service holds a credential of its own for a
//! store and has twelve flows, one of them to a store. Every tenth thing lacks a guarantee, so that there is something to find.
#![expect(clippy::expect_used, reason = "a bench that cannot begin ends loudly")]
use std::{hint::black_box, sync::Arc};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use model::{Auth, Class, Data, Flow, Model, Name, Node, SourceFile};
use posture::{
    Attack, Input, Question, Session,
    closure::{Closure, Start},
    grade,
    view::View,
};
use time::macros::date;

/// As in the programs.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SIZES: [usize; 3] = [100, 1_000, 10_000];
/// In all; services have the twelve that this takes, but for the last of them.
const FLOWS_PER_NODE: usize = 10;
const FLOWS_PER_SERVICE: usize = 12;

const SEED: &str = r#"
ward: 1
model: bench
zones: { internet: { trust: none }, inside: {}, core: { in: inside } }
data:
  order: { class: internal }
  invoice: { class: confidential }
  credential: { class: secret, ttl: 1h }
nodes:
  customer: { kind: party, zone: internet, auth: password }
  service: { kind: service, zone: inside, auth: token, logs: true, reads: [order] }
  store: { kind: store, zone: core, auth: password, at_rest: kms, logs: true, holds: [invoice] }
flows:
  - { id: call, from: service, to: service, carries: [order], via: { tls: "1.3" } }
  - { id: save, from: service, to: store, carries: [invoice], via: { tls: "1.3" } }
"#;

fn name(text: String) -> Name {
    Name::try_from(text).expect("a name")
}

fn model(nodes: usize) -> Model {
    let file = SourceFile { name: "ward.yaml".to_owned(), text: SEED.to_owned() };
    let mut model = model::load(&[file]).model.expect("the seed is good");
    let service = model.nodes.remove("service").expect("it is there");
    let store = model.nodes.remove("store").expect("it is there");
    let credential = model.data.get("credential").expect("it is there").clone();
    let flows = std::mem::take(&mut model.flows);
    let [call, save] = flows.as_slice() else { unreachable!() };
    let stores = nodes / 10;
    // Each name once, as when a model is read.
    let names = |kind: &str, count: usize| (0..count).map(|i| name(format!("{kind}-{i}"))).collect::<Vec<_>>();
    let (store_names, service_names) = (names("store", stores), names("service", nodes - stores));
    for (i, name) in store_names.iter().enumerate() {
        let mut node = store.clone();
        if i % 10 == 0 {
            node.at_rest = None;
        }
        model.nodes.insert(name.clone(), node);
    }
    for i in 0..nodes - stores {
        let mut node = service.clone();
        let secret = name(format!("credential-{i}"));
        let mut datum = credential.clone();
        datum.opens = vec![store_names[i % stores].clone()];
        model.data.insert(secret.clone(), datum);
        node.holds = vec![secret];
        if i % 100 == 0 {
            node.exposed_to = vec![name("internet".to_owned())];
            node.port = Some(22);
            node.auth = Some(Auth::Key);
        }
        model.nodes.insert(service_names[i].clone(), node);
        for j in 0..FLOWS_PER_SERVICE {
            if model.flows.len() == nodes * FLOWS_PER_NODE {
                break;
            }
            let mut flow = if j == 0 { save.clone() } else { call.clone() };
            flow.id = name(format!("flow-{i}-{j}"));
            flow.from = service_names[i].clone();
            // Near and far neighbours, the same in every run.
            let target = (i * 31 + j * j * 97 + 1) % (nodes - stores);
            flow.to = match j {
                0 => store_names[i % stores].clone(),
                _ => service_names[target].clone(),
            };
            if (i + j) % 10 == 0 {
                flow.via.words.insert("tls".to_owned(), "none".into());
            }
            model.flows.push(flow);
        }
    }
    model
}

type Change = fn(&mut Model);

/// One change of each kind.
const CHANGES: [(&str, Change); 10] = [
    ("nothing", |_| {}),
    ("guarantee-of-store", |model| node(model, "store-3").at_rest = None),
    ("guarantee-of-service", |model| node(model, "service-0").auth = Some(Auth::Token)),
    ("flow-altered", |model| model.flows[50].via.words = [("tls".to_owned(), "none".into())].into()),
    ("flow-added-and-removed", |model| {
        let another = Flow { id: name("another".to_owned()), ..model.flows[7].clone() };
        model.flows.insert(model.flows.len() / 2, another);
    }),
    ("last-flow-removed-and-added", |model| drop(model.flows.pop())),
    ("node-added-and-removed", |model| {
        let another = node(model, "service-7").clone();
        model.nodes.insert(name("another".to_owned()), another);
    }),
    ("class-of-datum", |model| datum(model, "credential-0").class = Class::Restricted),
    ("opens-added", |model| datum(model, "credential-0").opens.push(name("store-5".to_owned()))),
    ("class-of-all-orders", |model| datum(model, "order").class = Class::Confidential),
];

fn node<'m>(model: &'m mut Model, name: &str) -> &'m mut Node {
    model.nodes.get_mut(name).expect("it is there")
}

fn datum<'m>(model: &'m mut Model, name: &str) -> &'m mut Data {
    model.data.get_mut(name).expect("it is there")
}

fn bench(c: &mut Criterion) {
    let today = date!(2026 - 11 - 22);
    let mut group = c.benchmark_group("posture");
    group.sample_size(10);
    for nodes in SIZES {
        let model = Arc::new(model(nodes));
        let found = grade(Input { model: &model, text: None, today });
        assert!(found.len() > nodes / 10, "{}", found.len());
        group.bench_with_input(BenchmarkId::new("findings", nodes), &model, |b, model| {
            b.iter(|| black_box(grade(Input { model, text: None, today })));
        });
        let view = View::new(&model);
        group.bench_with_input(BenchmarkId::new("closure", nodes), &view, |b, view| {
            b.iter(|| black_box(Closure::new(view, &Start::outside(view))));
        });
        let outside = Question::default();
        let found = Attack::new(&model).paths(&outside, None).expect("nothing is named");
        assert!(!found.is_empty());
        group.bench_with_input(BenchmarkId::new("paths", nodes), &model, |b, model| {
            b.iter(|| black_box(Attack::new(model).paths(&outside, None).expect("nothing is named")));
        });
        group.bench_with_input(BenchmarkId::new("findings-and-paths", nodes), &model, |b, model| {
            b.iter(|| black_box(Session::new(Arc::clone(model), None, today)));
        });
        let mut session = Session::new(Arc::clone(&model), None, today);
        for (what, change) in CHANGES {
            // Models of their own, as if read anew: they share nothing with each other.
            let (mut next, back) = (self::model(nodes), Arc::new(self::model(nodes)));
            change(&mut next);
            let next = Arc::new(next);
            session.next(Arc::clone(&back), None);
            // There and back: two changes.
            group.bench_function(BenchmarkId::new(format!("change-and-back/{what}"), nodes), |b| {
                b.iter(|| {
                    session.next(Arc::clone(&next), None);
                    session.next(Arc::clone(&back), None);
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
