//! The state machine by itself; `control_link/tests.rs` drives it over the wire.
use wire::discovery::Resource;

use super::*;

fn response(kind: Kind, nonce: &str, resources: Vec<(&str, Vec<u8>)>, removed: &[&str]) -> DeltaDiscoveryResponse {
    let resources = resources.into_iter().map(|(name, value)| Resource {
        version: nonce.to_owned(),
        resource: Some(prost_types::Any { type_url: kind.type_url(), value }),
        name: name.to_owned(),
    });
    DeltaDiscoveryResponse {
        resources: resources.collect(),
        type_url: kind.type_url(),
        nonce: nonce.to_owned(),
        removed_resources: removed.iter().map(|name| (*name).to_owned()).collect(),
        ..Default::default()
    }
}

fn workload(node: &str) -> Vec<u8> {
    Workload { node: node.to_owned(), ..Default::default() }.encode_to_vec()
}

fn error_of(request: Option<DeltaDiscoveryRequest>) -> String {
    request.unwrap().error_detail.unwrap().message
}

#[test]
fn a_refused_set_is_mended_by_what_follows() {
    let mut discovery = Discovery::default();
    assert!(discovery.receive(response(Kind::Workload, "1", vec![("a", workload("a"))], &[])).is_none());
    discovery.accept();
    assert!(discovery.receive(response(Kind::Workload, "2", vec![("b", workload("b"))], &[])).is_none());
    assert_eq!(discovery.latest().resources().err().unwrap(), "expected one workload, 2 were sent");
    let refusals = discovery.refuse("two");
    assert_eq!(refusals.len(), 1);
    assert!(discovery.differs() && !discovery.is_pending());
    assert!(discovery.receive(response(Kind::Workload, "3", vec![], &["a", "never there"])).is_none());
    assert_eq!(discovery.latest().resources().unwrap().workload.node, "b");
    assert!(discovery.accept().iter().all(|ack| ack.error_detail.is_none() && ack.response_nonce == "3"));
    // On a new stream only what is in force is claimed.
    let open = discovery.open("b/0");
    let claimed: Vec<_> = open.iter().flat_map(|request| request.initial_resource_versions.clone()).collect();
    assert_eq!(claimed, [("b".to_owned(), "2".to_owned())]);
}

#[test]
fn what_a_refused_set_added_is_not_claimed_after_a_reconnect() {
    let mut discovery = Discovery::default();
    discovery.receive(response(Kind::Workload, "1", vec![("a", workload("a"))], &[]));
    discovery.refuse("no");
    let open = discovery.open("a/0");
    assert!(open.iter().all(|request| request.initial_resource_versions.is_empty()));
    assert!(!discovery.differs() && !discovery.is_whole());
}

#[test]
fn unreadable_responses_are_taken_not_at_all() {
    let mut discovery = Discovery::default();
    let mut check = |response, expected: &str| {
        let error = error_of(discovery.receive(response));
        assert!(error.starts_with(expected), "{error}");
        assert!(!discovery.differs() && !discovery.is_pending());
    };
    let both = vec![("a", workload("a")), ("b", vec![0xff])];
    check(response(Kind::Workload, "1", both, &[]), "resource `b` cannot be read");
    check(response(Kind::Workload, "2", vec![("a", workload("b"))], &[]), "resource `a` calls itself `b`");
    let mut wrong = response(Kind::Workload, "3", vec![("a", workload("a"))], &[]);
    wrong.type_url = Kind::Policy.type_url();
    check(wrong, "resource `a` is a `type.googleapis.com/ward.v1.resources.Workload` among");
    let mut empty = response(Kind::Workload, "4", vec![("a", workload("a"))], &[]);
    empty.resources[0].resource = None;
    check(empty, "resource `a` is empty");
}

#[test]
fn resources_are_bounded() {
    let many = |count: usize| {
        let policies: Vec<(String, Vec<u8>)> = (0..count)
            .map(|i| (i.to_string(), Policy { name: i.to_string(), ..Default::default() }.encode_to_vec()))
            .collect();
        let policies = policies.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        Discovery::default().receive(response(Kind::Policy, "1", policies, &[]))
    };
    assert!(many(RESOURCES_MAX).is_none());
    assert_eq!(error_of(many(RESOURCES_MAX + 1)), "100001 resources, at most 100000 are held");
}

#[test]
fn error_texts_are_cut_between_characters() {
    let text = format!("{}ö", "x".repeat(ERROR_BYTES_MAX - 1));
    assert_eq!(refusal(&text).message.len(), ERROR_BYTES_MAX - 1);
    assert_eq!(refusal("short").message, "short");
}
