//! The closure on the example that has three attacks, and on the same system mended.
use expect_test::{Expect, expect};
use model::{Model, SourceFile};

use super::{By, Closure, Fact, Start};
use crate::view::View;

const CURRENT: &str = include_str!("../../../../examples/tasky/current/ward.yaml");
const SECURE: &str = include_str!("../../../../examples/tasky/secure/ward.yaml");

fn model(text: &str) -> Model {
    let loaded = model::load(&[SourceFile { name: "ward.yaml".to_owned(), text: text.to_owned() }]);
    loaded.model.unwrap_or_else(|| panic!("{:#?}", loaded.diagnostics))
}

/// The steps to a fact, one a line.
fn check(closure: &Closure, view: &View<'_>, fact: Fact, expected: Expect) {
    let name = |fact: Fact| match fact {
        Fact::Stand(zone) => format!("stand in {}", view.model.zones.keys().nth(zone).unwrap()),
        Fact::Administer(zone) => format!("administer {}", view.model.zones.keys().nth(zone).unwrap()),
        Fact::Reach(node) => format!("reach {}", view.node(node).name),
        Fact::Control(node) => format!("control {}", view.node(node).name),
        Fact::Forge(datum) => format!("forge {}", view.datum(datum).name),
        Fact::Hold(datum) => format!("hold {}", view.datum(datum).name),
    };
    let by = |by: By| match by {
        By::Given => "given".to_owned(),
        By::Lies => "lies there".to_owned(),
        By::Exposed(..) => "exposed".to_owned(),
        By::Party(flow) | By::Flow(flow) => format!("flow {}", view.flow(flow).flow.id),
        By::Forwarded(flow) => format!("passed on by {}", view.flow(flow).flow.id),
        By::Open(_) => "asks nobody".to_owned(),
        By::Administered(_) => "administered".to_owned(),
        By::Forged(_) => "comes from there".to_owned(),
        By::Runs(flow) => format!("runs what comes by {}", view.flow(flow).flow.id),
        By::Inside(_) => "is there".to_owned(),
        By::Moved(flow) => format!("moves on {}", view.flow(flow).flow.id),
        By::Opened(secret, _) => format!("opened by {}", view.datum(secret).name),
        By::Exploit(_) => "assumed: exploit".to_owned(),
        By::Login(_) => "assumed: login".to_owned(),
        By::Sniffed(flow) => format!("assumed: reads {}", view.flow(flow).flow.id),
    };
    let lines = closure.path(fact).into_iter().map(|s| format!("{} ({})\n", name(s.fact), by(s.by)));
    expected.assert_eq(&lines.collect::<String>());
}

#[test]
fn the_public_bucket() {
    let model = model(CURRENT);
    let view = View::new(&model);
    let closure = Closure::new(&view, &Start::outside(&view));
    let backups = Fact::Hold(view.datum_named("backups").unwrap());
    assert!(!closure.is_assumed(backups));
    check(
        &closure,
        &view,
        backups,
        expect![[r#"
            stand in internet (given)
            reach backup-bucket (exposed)
            hold backups (asks nobody)
        "#]],
    );
}

#[test]
fn credentials_of_the_cluster() {
    let model = model(CURRENT);
    let view = View::new(&model);
    let closure = Closure::new(&view, &Start::outside(&view));
    let cluster = Fact::Control(view.node_named("k8s-api").unwrap());
    assert!(closure.is_assumed(cluster));
    check(
        &closure,
        &view,
        cluster,
        expect![[r#"
            stand in internet (given)
            reach alb (flow create-todo)
            reach app (passed on by forward)
            control app (assumed: exploit)
            hold app-account (is there)
            reach k8s-api (exposed)
            control k8s-api (opened by app-account)
        "#]],
    );
    // What the cluster's administration hands out.
    let creds = view.datum_named("mongo-creds").unwrap();
    let all: Vec<By> = closure.derivations(Fact::Hold(creds)).map(|s| s.by).collect();
    let keep = view.flows.iter().position(|f| f.flow.id.as_str() == "keep-secret").unwrap();
    assert!(all.contains(&By::Moved(keep)), "{all:?}");
    assert!(closure.has(Fact::Hold(view.datum_named("todos").unwrap())));
}

#[test]
fn the_metadata_service() {
    let model = model(CURRENT);
    let view = View::new(&model);
    let closure = Closure::new(&view, &Start::outside(&view));
    check(
        &closure,
        &view,
        Fact::Control(view.node_named("aws-api").unwrap()),
        expect![[r#"
            stand in internet (given)
            reach mongodb-vm (exposed)
            control mongodb-vm (assumed: login)
            reach imds (flow role-credentials)
            hold vm-role (asks nobody)
            reach aws-api (exposed)
            control aws-api (opened by vm-role)
        "#]],
    );
}

#[test]
fn without_entries_only_what_is_open() {
    let model = model(CURRENT);
    let view = View::new(&model);
    let closure = Closure::new(&view, &Start { entries: false, ..Start::outside(&view) });
    let held: Vec<&str> =
        (0..view.data.len()).filter(|d| closure.has(Fact::Hold(*d))).map(|d| view.datum(d).name.as_str()).collect();
    assert_eq!(held, ["backups"]);
}

#[test]
fn mended_nothing_is_in_reach() {
    let model = model(SECURE);
    let view = View::new(&model);
    let closure = Closure::new(&view, &Start::outside(&view));
    let outside = |name: &str| ["attacker"].contains(&name);
    for (id, node) in view.nodes.iter().enumerate() {
        assert!(!closure.has(Fact::Control(id)) || outside(node.name.as_str()), "controls {}", node.name);
    }
    for (id, datum) in view.data.iter().enumerate() {
        assert!(!closure.has(Fact::Hold(id)), "holds {}", datum.name);
    }
}
