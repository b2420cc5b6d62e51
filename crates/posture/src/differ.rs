//! What differs between two models, noun by noun. Nouns are numbered by their place, so that one more or less gives others new
//! numbers: those are told as well.
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ops::Range,
};

use model::{Flow, Model, Name};

use crate::processors;

/// How many flows are compared in one go; in tests few.
const PART: usize = if cfg!(test) { 3 } else { 4_096 };

/// What differs.
#[derive(Debug)]
pub(crate) struct Difference {
    pub(crate) nodes: Renumbered,
    pub(crate) data: Renumbered,
    pub(crate) flows: Renumbered,
}

/// Of one kind of noun.
#[derive(Debug)]
pub(crate) struct Renumbered {
    /// The new numbers of what stays, in order; none where all that stay keep theirs.
    pub(crate) moved: Option<Vec<Run>>,
    /// Old numbers of what is gone, or was something else.
    pub(crate) left: Vec<usize>,
    /// New numbers of what came, or is something else.
    pub(crate) new: Vec<usize>,
    is_new: Vec<bool>,
    /// How many there are now.
    count: usize,
}

/// Things that stay one behind the other: where the first stood and stands, and how many they are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Run {
    was: usize,
    is: usize,
    count: usize,
}

impl Difference {
    /// Everything is new.
    pub(crate) fn all(model: &Model) -> Self {
        let all = |count: usize| Renumbered::of(None, Vec::new(), (0..count).collect(), count);
        Self { nodes: all(model.nodes.len()), data: all(model.data.len()), flows: all(model.flows.len()) }
    }

    /// Whether there is none.
    pub(crate) fn is_none(&self) -> bool {
        let none = |r: &Renumbered| r.moved.is_none() && r.left.is_empty() && r.new.is_empty();
        none(&self.nodes) && none(&self.data) && none(&self.flows)
    }

    /// What differs; none where the zones do, on which everything stands, or where flows changed places: then all is new.
    pub(crate) fn between(before: &Model, after: &Model) -> Option<Self> {
        if before.zones != after.zones {
            return None;
        }
        // What is compared is most of the cost, and waits for memory.
        let nouns = || (named(&before.nodes, &after.nodes), named(&before.data, &after.data));
        let ((nodes, data), flows) = processors::both(nouns, || listed(&before.flows, &after.flows));
        Some(Self { nodes, data, flows: flows? })
    }
}

impl Renumbered {
    pub(crate) fn of(moved: Option<Vec<Run>>, left: Vec<usize>, new: Vec<usize>, count: usize) -> Self {
        let mut is_new = vec![false; count];
        new.iter().filter(|id| **id < count).for_each(|id| is_new[*id] = true);
        Self { moved, left, new, is_new, count }
    }

    /// What is gone while all others keep their numbers.
    pub(crate) fn gone(&self) -> impl Iterator<Item = usize> {
        self.left.iter().copied().filter(|id| *id >= self.count && self.moved.is_none())
    }

    /// Whether what has this number now came, or is something else.
    pub(crate) fn is_new(&self, id: usize) -> bool {
        self.is_new.get(id) == Some(&true)
    }

    /// The number now of what had this one.
    #[inline]
    pub(crate) fn now(&self, id: usize) -> Option<usize> {
        match &self.moved {
            None => Some(id).filter(|id| *id < self.count),
            Some(runs) => {
                let run = runs.get(runs.partition_point(|r| r.was <= id).checked_sub(1)?)?;
                Some(run.is + id - run.was).filter(|now| *now < run.is + run.count)
            }
        }
    }

    /// Puts each thing where its new number is, and an empty one where a new thing is.
    pub(crate) fn place<T: Clone>(&self, things: &mut Vec<T>, empty: &T) {
        if let Some(runs) = &self.moved {
            let mut old = std::mem::replace(things, Vec::with_capacity(self.count)).into_iter();
            let mut at = 0;
            for run in runs {
                old.by_ref().take(run.was - at).for_each(drop);
                things.resize(run.is, empty.clone());
                things.extend(old.by_ref().take(run.count));
                at = run.was + run.count;
            }
        }
        things.resize(self.count, empty.clone());
    }

    fn came(&mut self, id: usize) {
        self.new.push(id);
        self.is_new[id] = true;
    }
}

/// Both by name.
fn named<T: PartialEq>(before: &BTreeMap<Name, T>, after: &BTreeMap<Name, T>) -> Renumbered {
    let mut found = Renumbered::of(None, Vec::new(), Vec::new(), after.len());
    let mut moved = Vec::with_capacity(before.len());
    let (mut old, mut new) = (before.iter().peekable(), after.iter().enumerate().peekable());
    loop {
        let order = match (old.peek(), new.peek()) {
            (None, None) => break,
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some((a, _)), Some((_, (b, _)))) => a.cmp(b),
        };
        let was = if order.is_le() { old.next() } else { None };
        let is = if order.is_ge() { new.next() } else { None };
        if let (Some((_, a)), Some((_, (_, b)))) = (was, is)
            && a == b
        {
            moved.push(is.map(|(id, _)| id));
            continue;
        }
        if was.is_some() {
            found.left.push(moved.len());
            moved.push(is.map(|(id, _)| id));
        }
        if let Some((id, _)) = is {
            found.came(id);
        }
    }
    found.moved = told(&moved, after.len());
    found
}

/// Both in the order written; none where flows that stay changed places.
fn listed(before: &[Flow], after: &[Flow]) -> Option<Renumbered> {
    let mut found = Renumbered::of(None, Vec::new(), Vec::new(), after.len());
    let mut moved: Vec<Option<usize>> = vec![None; before.len()];
    // What stands in the same place from the beginning or from the end; between those two what came, went or moved.
    let count = before.len().min(after.len());
    let head = run(count, |at| (&before[at], &after[at]));
    let from_end = |at: usize| (&before[before.len() - 1 - at], &after[after.len() - 1 - at]);
    let tail = run(count - head.length, from_end);
    let mut pairs: Vec<(usize, usize)> = head.others.into_iter().map(|at| (at, at)).collect();
    pairs.extend(tail.others.into_iter().map(|at| (before.len() - 1 - at, after.len() - 1 - at)));
    for (at, place) in moved.iter_mut().enumerate().take(head.length) {
        *place = Some(at);
    }
    for (place, at) in moved.iter_mut().rev().zip((0..after.len()).rev()).take(tail.length) {
        *place = Some(at);
    }
    let (old, new) = (head.length..before.len() - tail.length, head.length..after.len() - tail.length);
    let places: HashMap<&str, usize> = new.clone().map(|id| (after[id].id.as_str(), id)).collect();
    let mut last = None;
    for id in old.clone() {
        let flow = &before[id];
        match places.get(flow.id.as_str()).copied() {
            Some(now) if last >= Some(now) => return None,
            Some(now) => {
                moved[id] = Some(now);
                last = Some(now);
                if after[now] != *flow {
                    pairs.push((id, now));
                }
            }
            None => found.left.push(id),
        }
    }
    for (was, is) in pairs {
        found.left.push(was);
        found.came(is);
    }
    let stays: HashSet<usize> = moved[old].iter().flatten().copied().collect();
    new.filter(|id| !stays.contains(id)).for_each(|id| found.came(id));
    found.left.sort_unstable();
    found.new.sort_unstable();
    found.moved = told(&moved, after.len());
    Some(found)
}

/// Flows of which the ids are the same, one after the other.
#[derive(Default)]
struct Same {
    length: usize,
    /// Where the flows differ all the same.
    others: Vec<usize>,
}

/// As many pairs of flows as have the same id, from the first one on. They are looked at in parts, by all processors.
fn run<'f>(count: usize, at: impl Fn(usize) -> (&'f Flow, &'f Flow) + Sync) -> Same {
    let part = |(range, same): &mut (Range<usize>, Same)| {
        for place in range.clone() {
            let (was, is) = at(place);
            if was.id != is.id {
                break;
            }
            same.length += 1;
            if was != is {
                same.others.push(place);
            }
        }
    };
    let parts = (0..count).step_by(PART).map(|from| (from..(from + PART).min(count), Same::default()));
    let mut parts: Vec<(Range<usize>, Same)> = parts.collect();
    processors::each(&mut parts, 1, part);
    let mut all = Same::default();
    for (range, same) in parts {
        all.length += same.length;
        all.others.extend(same.others);
        if same.length < range.len() {
            break;
        }
    }
    all
}

/// In runs; none where what came behind all others, or went from there, leaves the others their numbers.
fn told(moved: &[Option<usize>], count: usize) -> Option<Vec<Run>> {
    let mut runs: Vec<Run> = Vec::new();
    for (was, is) in moved.iter().enumerate().filter_map(|(was, is)| Some((was, (*is)?))) {
        match runs.last_mut().filter(|run| (run.was + run.count, run.is + run.count) == (was, is)) {
            Some(run) => run.count += 1,
            None => runs.push(Run { was, is, count: 1 }),
        }
    }
    let stay = match runs.as_slice() {
        [] => 0,
        [run] if (run.was, run.is) == (0, 0) => run.count,
        _ => return Some(runs),
    };
    (stay != moved.len().min(count)).then_some(runs)
}

#[cfg(test)]
mod tests;
