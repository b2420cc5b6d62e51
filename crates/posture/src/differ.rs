//! What differs between two models, noun by noun. Nouns are numbered by their place, so that one more or less gives others new
//! numbers: those are told as well.
use std::collections::{BTreeMap, HashMap, HashSet};

use model::{Flow, Model, Name};

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
    /// The new number of each old thing; none where all keep theirs.
    pub(crate) moved: Option<Vec<Option<usize>>>,
    /// Old numbers of what is gone, or was something else.
    pub(crate) left: Vec<usize>,
    /// New numbers of what came, or is something else.
    pub(crate) new: Vec<usize>,
    is_new: Vec<bool>,
    /// How many there are now.
    count: usize,
    /// Whether a number that stays may mean another thing now.
    pub(crate) renamed: bool,
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
        Some(Self {
            nodes: named(&before.nodes, &after.nodes),
            data: named(&before.data, &after.data),
            flows: listed(&before.flows, &after.flows)?,
        })
    }
}

impl Renumbered {
    pub(crate) fn of(moved: Option<Vec<Option<usize>>>, left: Vec<usize>, new: Vec<usize>, count: usize) -> Self {
        let mut is_new = vec![false; count];
        new.iter().filter(|id| **id < count).for_each(|id| is_new[*id] = true);
        Self { moved, left, new, is_new, count, renamed: false }
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
    pub(crate) fn now(&self, id: usize) -> Option<usize> {
        match &self.moved {
            None => Some(id).filter(|id| *id < self.count),
            Some(moved) => moved.get(id).copied().flatten(),
        }
    }

    /// One flow in both.
    fn pair(&mut self, (old, was): (usize, &Flow), (new, is): (usize, &Flow), moved: &mut [Option<usize>]) {
        moved[old] = Some(new);
        if was != is {
            self.left.push(old);
            self.came(new);
        }
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
    found.moved = told(moved, before.len() == after.len());
    found
}

/// Both in the order written; none where flows that stay changed places.
fn listed(before: &[Flow], after: &[Flow]) -> Option<Renumbered> {
    let mut found = Renumbered::of(None, Vec::new(), Vec::new(), after.len());
    let mut moved: Vec<Option<usize>> = vec![None; before.len()];
    // What stands in the same place from the beginning or from the end; between those two what came, went or moved.
    let mut head = 0;
    for (old, new) in before.iter().zip(after).take_while(|(a, b)| a.id == b.id) {
        found.pair((head, old), (head, new), &mut moved);
        head += 1;
    }
    let rest = before.len().min(after.len()) - head;
    let mut tail = 0;
    for (old, new) in before.iter().rev().zip(after.iter().rev()).take(rest).take_while(|(a, b)| a.id == b.id) {
        tail += 1;
        found.pair((before.len() - tail, old), (after.len() - tail, new), &mut moved);
    }
    let (old, new) = (head..before.len() - tail, head..after.len() - tail);
    let places: HashMap<&str, usize> =
        after.iter().enumerate().take(new.end).skip(head).map(|(id, f)| (f.id.as_str(), id)).collect();
    let mut last = None;
    for (id, flow) in before.iter().enumerate().take(old.end).skip(head) {
        let now = places.get(flow.id.as_str()).copied();
        match now.and_then(|now| after.get(now).map(|f| (now, f))) {
            Some((now, _)) if last >= Some(now) => return None,
            Some((now, is)) => found.pair((id, flow), (now, is), &mut moved),
            None => found.left.push(id),
        }
        last = now.or(last);
    }
    let stays: HashSet<usize> = moved.iter().take(old.end).skip(head).flatten().copied().collect();
    new.filter(|id| !stays.contains(id)).for_each(|id| found.came(id));
    found.left.sort_unstable();
    found.new.sort_unstable();
    found.moved = told(moved, before.len() == after.len());
    Some(found)
}

fn told(moved: Vec<Option<usize>>, as_many: bool) -> Option<Vec<Option<usize>>> {
    let same = as_many && moved.iter().enumerate().all(|(old, now)| *now == Some(old));
    (!same).then_some(moved)
}
