//! What differs between two models, noun by noun. Nouns are numbered by their place, so that one more or less gives others new
//! numbers: those are told as well.
use std::collections::{BTreeMap, HashMap};

use model::{Flow, Model, Name};

/// What differs.
#[derive(Debug)]
pub(crate) struct Difference {
    pub(crate) nodes: Renumbered,
    pub(crate) data: Renumbered,
    pub(crate) flows: Renumbered,
}

/// Of one kind of noun.
#[derive(Debug, Default)]
pub(crate) struct Renumbered {
    /// The new number of each old thing; none where all keep theirs.
    pub(crate) moved: Option<Vec<Option<usize>>>,
    /// Old numbers of what is gone, or was something else.
    pub(crate) left: Vec<usize>,
    /// New numbers of what came, or is something else.
    pub(crate) new: Vec<usize>,
    is_new: Vec<bool>,
}

impl Difference {
    /// Everything is new.
    pub(crate) fn all(model: &Model) -> Self {
        let all = |count: usize| Renumbered {
            moved: None,
            left: Vec::new(),
            new: (0..count).collect(),
            is_new: vec![true; count],
        };
        Self { nodes: all(model.nodes.len()), data: all(model.data.len()), flows: all(model.flows.len()) }
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
    /// Whether what has this number now came, or is something else.
    pub(crate) fn is_new(&self, id: usize) -> bool {
        self.is_new.get(id) == Some(&true)
    }

    /// The number now of what had this one.
    pub(crate) fn now(&self, id: usize) -> Option<usize> {
        match &self.moved {
            None => Some(id),
            Some(moved) => moved.get(id).copied().flatten(),
        }
    }

    fn came(&mut self, id: usize) {
        self.new.push(id);
        self.is_new[id] = true;
    }
}

/// Both by name.
fn named<T: PartialEq>(before: &BTreeMap<Name, T>, after: &BTreeMap<Name, T>) -> Renumbered {
    let mut found = Renumbered { is_new: vec![false; after.len()], ..Renumbered::default() };
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
    let mut found = Renumbered { is_new: vec![false; after.len()], ..Renumbered::default() };
    let head = before.iter().zip(after).take_while(|(a, b)| a.id == b.id).count();
    let rest = before.len().min(after.len()) - head;
    let tail = before.iter().rev().zip(after.iter().rev()).take(rest).take_while(|(a, b)| a.id == b.id).count();
    let middle: HashMap<&str, usize> =
        after.iter().enumerate().take(after.len() - tail).skip(head).map(|(id, f)| (f.id.as_str(), id)).collect();
    let mut moved: Vec<Option<usize>> = Vec::with_capacity(before.len());
    let (mut stays, mut last) = (vec![false; after.len()], None);
    for (id, flow) in before.iter().enumerate() {
        let now = match id {
            id if id < head => Some(id),
            id if id >= before.len() - tail => Some(id + after.len() - before.len()),
            _ => middle.get(flow.id.as_str()).copied(),
        };
        if let Some(now) = now {
            if last >= Some(now) {
                return None;
            }
            last = Some(now);
            stays[now] = true;
        }
        let same = now.and_then(|now| after.get(now)).is_some_and(|after| after == flow);
        if !same {
            found.left.push(id);
            now.into_iter().for_each(|now| found.came(now));
        }
        moved.push(now);
    }
    for (id, _) in stays.iter().enumerate().filter(|(_, stays)| !**stays) {
        found.came(id);
    }
    found.moved = told(moved, before.len() == after.len());
    Some(found)
}

fn told(moved: Vec<Option<usize>>, as_many: bool) -> Option<Vec<Option<usize>>> {
    let same = as_many && moved.iter().enumerate().all(|(old, now)| *now == Some(old));
    (!same).then_some(moved)
}
