//! Manifests beside a plan: one cluster where the plan has one, several where nobody says which.
use serde_json::{Value as Json, json};

use super::*;

const PLAN: &str = include_str!("../../../../../../examples/tasky/deployed/plan.json");
const EXPECTED: &str = include_str!("../../../../../../examples/tasky/current/expected.json");

fn both(plan: &str, manifests: &str) -> Imported {
    let files = [file("plan.json", plan), file("kubernetes.yaml", manifests)];
    let [first, second] = files.clone();
    let (one, other) = (import(&files, None).unwrap(), import(&[second, first], None).unwrap());
    let body = |i: &Imported| i.written.text.split_once('\n').unwrap().1.to_owned();
    assert_eq!(body(&one), body(&other), "the order of files says nothing");
    one
}

/// The severity that the example drawn by hand gives a rule.
fn severities(rule: &str) -> Vec<String> {
    let expected: Json = serde_json::from_str(EXPECTED).unwrap();
    let all = expected["findings"].as_array().unwrap().iter();
    let of = all.filter(|f| f["id"].as_str().unwrap().split('@').next() == Some(rule));
    of.map(|f| f["severity"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_exercise_as_deployed_is_graded_as_it_is_drawn() {
    let imported = both(PLAN, TASKY);
    let text = &imported.written.text;
    assert!(imported.warnings.is_empty(), "{:?}", imported.warnings);
    let read = model(text);
    let clusters = ["eks-cluster", "cluster"].map(|z| read.zones.keys().any(|k| k.as_str() == z));
    assert_eq!(clusters, [true, false], "{text}");
    assert!(!read.nodes.keys().any(|n| ["k8s-api", "k8s-secrets", "alb-ingress", "anybody"].contains(&n.as_str())));
    let of = |zone: &str| read.zones[zone].parent.as_ref().map(ToString::to_string);
    assert_eq!(of("tasky").as_deref(), Some("eks-cluster"));
    assert_eq!(read.nodes["app"].zone.as_str(), "tasky");
    assert!(read.nodes["eks-cluster-k8s-api"].exposed_to.iter().any(|z| z.as_str() == "internet"));
    let found = findings(text);
    for rule in ["public-store", "exposed-admin", "open-metadata", "excess-privilege", "encoded-secret"] {
        let here: Vec<&str> = found
            .iter()
            .filter_map(|f| f.split_once(' '))
            .filter(|(_, id)| id.split('@').next() == Some(rule))
            .map(|(severity, _)| severity)
            .collect();
        assert_eq!(here, severities(rule), "{rule}: {found:#?}");
    }
    let paths = posture::Attack::new(&read).paths(&posture::Question::default(), None).unwrap();
    let ways: Vec<String> = paths.iter().map(|p| format!("{}: {}", p.to, p.way.join(", "))).collect();
    for way in [
        "backups-data: open backups",
        "aws-api: login mongodb, mongodb-role opens aws-api, open mongodb-imds",
        "eks-cluster-k8s-api: exploit lb, tasky-account opens eks-cluster-k8s-api",
    ] {
        assert!(ways.iter().any(|w| w == way), "no {way} in {ways:#?}");
    }
}

fn plan(clusters: &[&str], more: &[Json]) -> String {
    let cluster = |name: &&str| {
        json!({ "address": format!("aws_eks_cluster.{name}"), "mode": "managed", "type": "aws_eks_cluster", "name": name,
                "values": { "name": name, "encryption_config": [{ "resources": ["secrets"] }] } })
    };
    let resources: Vec<Json> = clusters.iter().map(cluster).chain(more.iter().cloned()).collect();
    json!({ "format_version": "1.2", "planned_values": { "root_module": { "resources": resources } } }).to_string()
}

#[test]
fn of_several_clusters_nobody_says_which() {
    let imported = both(&plan(&["blue", "green"], &[]), TASKY);
    let read = model(&imported.written.text);
    assert!(read.zones.keys().any(|z| z.as_str() == "cluster"), "{}", imported.written.text);
    assert!(read.nodes.keys().any(|n| n.as_str() == "k8s-api"));
    let told = imported.written.left_out.iter().find(|l| l.what == "the cluster of these manifests").unwrap();
    assert!(told.why.contains("several clusters"), "{}", told.why);
}

#[test]
fn what_a_plan_states_stands() {
    let text = both(&plan(&["blue"], &[]), TASKY).written.text;
    let read = model(&text);
    let store = &read.nodes["blue-k8s-secrets"];
    assert_eq!(store.at_rest, Some(model::AtRest::Kms), "{text}");
    // No balancer in the plan: the Ingress makes its own.
    assert!(read.nodes.keys().any(|n| n.as_str() == "alb-ingress"), "{text}");
}

#[test]
fn several_target_groups_are_left_apart() {
    let mut two: Json = serde_json::from_str(PLAN).unwrap();
    fn copy(resources: &mut Vec<Json>) {
        let more: Vec<Json> = resources
            .iter()
            .filter(|r| ["aws_lb_target_group", "aws_lb_listener"].contains(&r["type"].as_str().unwrap()))
            .map(|r| {
                let text = r.to_string().replace("aws_lb_target_group.app", "aws_lb_target_group.other");
                let mut r: Json = serde_json::from_str(&text).unwrap();
                let name = if r["type"] == "aws_lb_target_group" { "other" } else { "second" };
                r["address"] = format!("{}.{name}", r["type"].as_str().unwrap()).into();
                r["name"] = name.into();
                r
            })
            .collect();
        resources.extend(more);
    }
    for part in ["/planned_values/root_module/resources", "/configuration/root_module/resources"] {
        copy(two.pointer_mut(part).unwrap().as_array_mut().unwrap());
    }
    let text = both(&two.to_string(), TASKY).written.text;
    let read = model(&text);
    for node in ["app", "other", "app-node", "alb-ingress"] {
        assert!(read.nodes.keys().any(|n| n.as_str() == node), "no {node}\n{text}");
    }
}

#[test]
fn a_binding_says_which_workload_registers_itself() {
    let without = TASKY.split("---\n").filter(|d| !d.contains("kind: Ingress")).collect::<Vec<_>>().join("---\n");
    let binding = "---\napiVersion: elbv2.k8s.aws/v1beta1\nkind: TargetGroupBinding\nmetadata: { name: t, namespace: tasky }\n\
                   spec: { serviceRef: { name: tasky, port: 80 }, targetGroupARN: arn:aws:x }\n";
    let imported = both(PLAN, &format!("{without}{binding}"));
    let read = model(&imported.written.text);
    assert_eq!(read.nodes["app"].zone.as_str(), "tasky", "{}", imported.written.text);
    assert!(read.flows.iter().any(|f| f.from.as_str() == "lb" && f.to.as_str() == "app"));
    assert!(imported.written.left_out.iter().all(|l| !l.what.contains("TargetGroupBinding")));
}
