//! What a compromise reaches, and that it reaches no more than it does.
use expect_test::expect;
use model::{Model, SourceFile};

use crate::{
    Attack,
    closure::{Closure, Fact, Start},
    view::View,
};

const CURRENT: &str = include_str!("../../../../examples/tasky/current/ward.yaml");

fn model(text: &str) -> Model {
    let loaded = model::load(&[SourceFile { name: "ward.yaml".to_owned(), text: text.to_owned() }]);
    loaded.model.unwrap_or_else(|| panic!("{:#?}", loaded.diagnostics))
}

#[test]
fn worst_first() {
    let model = model(CURRENT);
    let lines: String = Attack::new(&model)
        .blast(None)
        .unwrap()
        .into_iter()
        .map(|b| {
            let data: Vec<String> = b.data.iter().map(|d| format!("{} {}", d.count, d.class)).collect();
            format!("{}: {}; {:?}; {}\n", b.node, data.join(", "), b.controls, b.reaches)
        })
        .collect();
    expect![[r#"
        aws-api: 4 secret, 1 confidential, 5 internal; ["alb", "app", "backup-bucket", "backup-script", "cloudwatch", "guardduty", "imds", "k8s-api", "k8s-secrets", "mongodb", "mongodb-vm", "ssm", "wazuh"]; 10
        terraform: 3 secret, 2 internal; ["mongodb-vm"]; 6
        k8s-api: 2 secret, 3 internal; ["app", "k8s-secrets"]; 3
        app: 2 secret, 3 internal; []; 3
        imds: 1 secret; []; 0
        k8s-secrets: 1 secret; []; 0
        ssm: 1 secret; []; 0
        mongodb-vm: 1 secret, 2 internal; []; 3
        mongodb: 1 secret, 1 internal; []; 0
        backup-bucket: 1 confidential; []; 0
        backup-script: 1 confidential, 2 internal; []; 2
        alb: 3 internal; []; 2
        wazuh: 2 internal; []; 1
        alarms: 1 internal; []; 3
        cloudwatch: 1 internal; []; 0
        guardduty: 1 internal; []; 0
    "#]]
    .assert_eq(&lines);
}

#[test]
fn as_the_closure_has_it() {
    let model = model(CURRENT);
    let view = View::new(&model);
    let attack = Attack::new(&model);
    for (id, node) in view.nodes.iter().enumerate() {
        let closure = Closure::new(&view, &Start { given: vec![Fact::Control(id)], entries: false });
        let blast = attack.blast(Some(node.name.as_str())).unwrap().remove(0);
        let held = (0..view.data.len())
            .filter(|d| closure.has(Fact::Hold(*d)) && view.class(*d) > model::Class::Public)
            .count();
        let reached = (0..view.nodes.len()).filter(|n| *n != id && closure.has(Fact::Reach(*n))).count();
        assert_eq!(blast.data.iter().map(|d| d.count).sum::<usize>(), held, "{}", node.name);
        assert_eq!(blast.reaches, reached, "{}", node.name);
    }
}
