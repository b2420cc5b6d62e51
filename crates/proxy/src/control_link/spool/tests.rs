//! What is kept, merged, dropped and sent again.
use wire::v1::{DecisionRecord, FlowCount, Hello, ProbeResult};

use super::*;

fn decision(id: usize) -> DecisionRecord {
    DecisionRecord { id: id.to_string(), ..Default::default() }
}

fn count(flow: &str, requests: u64) -> FlowCount {
    FlowCount { flow: flow.to_owned(), allowed: true, requests, ..Default::default() }
}

fn greeted() -> Spool {
    let mut spool = Spool::default();
    spool.open(Hello::default());
    let hello = spool.next().unwrap();
    assert_eq!((hello.sequence, hello.hello.is_some()), (1, true));
    spool.acknowledge(1);
    spool
}

#[test]
fn nothing_is_said_without_news() {
    let mut spool = greeted();
    assert!(spool.next().is_none() && spool.is_settled());
    spool.lost(3);
    assert_eq!(spool.next().unwrap().dropped, 3);
    assert!(!spool.is_settled());
    spool.acknowledge(2);
    assert!(spool.is_settled());
}

#[test]
fn counts_of_one_flow_are_one_count() {
    let mut spool = greeted();
    spool.count([count("save", 1), count("place", 2), count("save", 10)]);
    spool.count([FlowCount { allowed: false, ..count("save", 5) }]);
    let mut counts = spool.next().unwrap().counts;
    counts.sort_by_key(|count| count.requests);
    let shown: Vec<_> = counts.iter().map(|c| (c.flow.as_str(), c.allowed, c.requests)).collect();
    assert_eq!(shown, [("place", true, 2), ("save", false, 5), ("save", true, 11)]);
}

#[test]
fn unacknowledged_messages_are_sent_again_in_order_on_the_next_stream() {
    let mut spool = greeted();
    for id in 0..3 {
        spool.decide(decision(id));
        spool.count([count("save", 1)]);
        spool.next().unwrap();
    }
    spool.acknowledge(2);
    spool.decide(decision(3));
    spool.probed(ProbeResult { id: "p".to_owned(), ..Default::default() });
    spool.holds(["of the old stream".to_owned()]);
    spool.open(Hello::default());
    let again = spool.next().unwrap();
    assert_eq!(again.sequence, 1);
    assert_eq!(again.decisions.iter().map(|d| d.id.as_str()).collect::<Vec<_>>(), ["1", "2", "3"]);
    assert_eq!(again.counts.iter().map(|c| c.requests).collect::<Vec<_>>(), [2]);
    assert_eq!(again.probes.len(), 1);
    assert!(again.nonces_held.is_empty() && again.hello.is_some());
    assert!(spool.next().is_none());
}

#[test]
fn bounds() {
    let mut spool = greeted();
    (0..DECISIONS_MAX).for_each(|id| spool.decide(decision(id)));
    spool.count((0..COUNTS_MAX).map(|flow| count(&flow.to_string(), 1)));
    assert_eq!(spool.dropped, 0);
    spool.decide(decision(DECISIONS_MAX));
    spool.count([count("one too many", 1), count("0", 1)]);
    assert_eq!(spool.dropped, 2);
    // At most so many messages are under way, and each has its bound.
    let sent: Vec<_> = std::iter::from_fn(|| spool.next()).collect();
    assert_eq!(sent.len(), WINDOW);
    assert!(sent.iter().all(|m| m.decisions.len() <= MESSAGE_DECISIONS && m.counts.len() <= MESSAGE_COUNTS));
    assert_eq!(sent.iter().map(|m| m.counts.len()).sum::<usize>(), COUNTS_MAX);
    assert_eq!(sent[0].decisions[0].id, "1", "the oldest went");
    // Sent back, they do not grow beyond the bound either.
    for id in 0..MESSAGE_DECISIONS {
        spool.decide(decision(id));
    }
    spool.open(Hello::default());
    assert_eq!(spool.waiting_decisions(), DECISIONS_MAX);
}

#[test]
fn a_restart_loses_nothing() {
    let mut spool = greeted();
    spool.decide(decision(0));
    spool.next().unwrap();
    (1..MESSAGE_DECISIONS + 10).for_each(|id| spool.decide(decision(id)));
    spool.count([count("save", 1)]);
    spool.lost(7);
    let kept = spool.unload();
    assert_eq!(kept.len(), 2);
    let mut again = Spool::default();
    again.load(kept);
    again.open(Hello::default());
    let (first, second) = (again.next().unwrap(), again.next().unwrap());
    let ids: Vec<_> = first.decisions.iter().chain(&second.decisions).map(|d| d.id.clone()).collect();
    assert_eq!(ids, (0..MESSAGE_DECISIONS + 10).map(|id| id.to_string()).collect::<Vec<_>>());
    assert_eq!((first.dropped, first.counts.len()), (7, 1));
    assert!(Spool::default().unload().is_empty());
}
