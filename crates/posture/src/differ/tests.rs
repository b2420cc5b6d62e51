//! What is told of two lists of flows is what one sees who compares each with each.
use std::collections::BTreeSet;

use model::{Flow, Name, Via};
use proptest::prelude::*;

use super::{Renumbered, listed, run};

fn flow(id: usize, schedule: usize) -> Flow {
    let name = |text: String| Name::try_from(text).unwrap();
    Flow {
        id: name(format!("f{id}")),
        from: name("a".to_owned()),
        to: name("b".to_owned()),
        carries: Vec::new(),
        returns: Vec::new(),
        schedule: (schedule > 0).then(|| schedule.to_string()),
        standby: false,
        via: Via::default(),
    }
}

type Told = (Vec<Option<usize>>, Vec<usize>, Vec<usize>);

/// Each with each: new numbers, what left and what came; none where what stays changed places.
fn seen(before: &[Flow], after: &[Flow]) -> Option<Told> {
    let moved: Vec<_> = before.iter().map(|was| after.iter().position(|is| is.id == was.id)).collect();
    if !moved.iter().flatten().is_sorted() {
        return None;
    }
    let left = (0..before.len()).filter(|at| moved[*at].is_none_or(|now| before[*at] != after[now])).collect();
    let new = (0..after.len()).filter(|at| !before.contains(&after[*at])).collect();
    Some((moved, left, new))
}

fn told(of: Renumbered, before: usize) -> Told {
    ((0..before).map(|at| of.now(at)).collect(), of.left, of.new)
}

#[test]
fn what_comes_last_leaves_the_others_their_numbers() {
    let all: Vec<Flow> = (0..20).map(|id| flow(id, 0)).collect();
    let (more, less) = (listed(&all[..19], &all).unwrap(), listed(&all, &all[..19]).unwrap());
    assert_eq!((&more.moved, more.left, more.new), (&None, vec![], vec![19]));
    assert_eq!((&less.moved, less.left, less.new), (&None, vec![19], vec![]));
    let turned: Vec<Flow> = all.iter().rev().cloned().collect();
    assert!(listed(&all, &turned).is_none());
}

#[test]
fn parts_end_where_the_first_ends() {
    let before: Vec<Flow> = (0..20).map(|id| flow(id, 0)).collect();
    for end in 0..20 {
        let after: Vec<Flow> = (0..20).map(|id| flow(id + usize::from(id == end), usize::from(id == 7))).collect();
        let same = run(20, |at| (&before[at], &after[at]));
        let others: Vec<usize> = [7].into_iter().filter(|at| *at < end).collect();
        assert_eq!((same.length, same.others), (end, others));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn as_one_sees_who_compares_each_with_each(
        before in prop::collection::btree_map(0..40usize, 0..3usize, 0..30),
        gone in prop::collection::btree_set(0..40usize, 0..4),
        others in prop::collection::btree_set(0..40usize, 0..4),
        came in prop::collection::vec((0..60usize, 40..60usize), 0..4),
        turned in 0..30usize,
    ) {
        let before: Vec<Flow> = before.into_iter().map(|(id, schedule)| flow(id, schedule)).collect();
        let is = |of: &BTreeSet<usize>, f: &Flow| of.iter().any(|id| f.id.as_str() == format!("f{id}"));
        let mut after: Vec<Flow> = before.iter().filter(|f| !is(&gone, f)).cloned().collect();
        for other in after.iter_mut().filter(|f| is(&others, f)) {
            other.standby = true;
        }
        for (at, id) in came {
            if after.iter().all(|f| f.id.as_str() != format!("f{id}")) {
                after.insert(at % (after.len() + 1), flow(id, 0));
            }
        }
        if turned < 3 && !after.is_empty() {
            let by = turned % after.len();
            after.rotate_left(by);
        }
        prop_assert_eq!(listed(&before, &after).map(|of| told(of, before.len())), seen(&before, &after));
    }
}
