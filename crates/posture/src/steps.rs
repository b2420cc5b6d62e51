//! Every step that a diagram lets an attacker take, worked out once, so that asking who gets where is a walk over numbers:
//! from outside, from one node, with something assumed. The steps are those of `closure`; this only walks them.
use std::collections::VecDeque;

use crate::{
    closure::{By, Fact, Numbers, Step, every_step},
    entry::asks_for_token,
    view::View,
};

/// No step.
const NONE: u32 = u32::MAX;

/// The steps of a diagram, by what they need.
pub(crate) struct Steps {
    pub(crate) numbers: Numbers,
    pub(crate) all: Vec<Step>,
    /// Where the steps that need a fact begin in `order`, and where the last ones end.
    starts: Vec<u32>,
    /// Steps by a fact that they need; those of one fact in an order that the order of the model's flows does not change.
    order: Vec<u32>,
}

/// Who gets where from a start.
pub(crate) struct Reached {
    /// Steps that can be taken, premises before what follows from them; of several to one fact the shortest first, and those
    /// that need no assumption before all others.
    pub(crate) taken: Vec<u32>,
    /// The first step to each fact.
    first: Vec<u32>,
    given: Vec<bool>,
}

/// A set of facts that is emptied in no time.
pub(crate) struct Marks {
    round: u32,
    of: Vec<u32>,
}

impl Steps {
    pub(crate) fn new(view: &View<'_>) -> Self {
        let (numbers, all) = every_step(view);
        let mut by_name: Vec<usize> = (0..view.flows.len()).collect();
        by_name.sort_unstable_by_key(|f| view.flow(*f).flow.id.as_str());
        let mut ranks = vec![0; by_name.len()];
        for (rank, flow) in by_name.iter().enumerate() {
            ranks[*flow] = rank;
        }
        let mut starts = vec![0u32; numbers.count() + 1];
        let needs = |step: &Step| step.from.into_iter().flatten().map(move |f| numbers.of(f));
        for fact in all.iter().flat_map(needs) {
            starts[fact + 1] += 1;
        }
        for fact in 0..numbers.count() {
            starts[fact + 1] += starts[fact];
        }
        let (mut next, mut order) = (starts.clone(), vec![0; starts.last().map_or(0, |n| *n as usize)]);
        for (id, step) in all.iter().enumerate() {
            for fact in needs(step) {
                order[next[fact] as usize] = u32::try_from(id).unwrap_or(NONE);
                next[fact] += 1;
            }
        }
        let key = |id: &u32| {
            let step = &all[*id as usize];
            let by = match step.by {
                // Of what a stranger may send by, that for which he needs nothing goes first.
                By::Party(f) if !asks_for_token(view, view.flow(f)) => (0, ranks[f], 0),
                By::Party(f) => (0, ranks.len() + ranks[f], 0),
                By::Flow(f) => (1, ranks[f], 0),
                By::Forwarded(f) => (2, ranks[f], 0),
                By::Exposed(zone, node) => (3, zone, node),
                By::Open(node) => (4, node, 0),
                By::Inside(node) => (5, node, 0),
                By::Moved(f) => (6, ranks[f], 0),
                By::Opened(datum, node) => (7, datum, node),
                By::Exploit(node) => (8, node, 0),
                By::Login(node) => (9, node, 0),
                By::Sniffed(f) => (10, ranks[f], 0),
                By::Lies => (11, 0, 0),
                By::Administered(node) => (12, node, 0),
                By::Forged(node) => (13, node, 0),
                By::Runs(f) => (14, ranks[f], 0),
                By::Given => (15, 0, 0),
            };
            (numbers.of(step.fact), by)
        };
        for fact in 0..numbers.count() {
            order[starts[fact] as usize..starts[fact + 1] as usize].sort_unstable_by_key(key);
        }
        Self { numbers, all, starts, order }
    }

    pub(crate) fn step(&self, id: u32) -> &Step {
        &self.all[id as usize]
    }

    /// Steps that need a fact.
    pub(crate) fn needing(&self, fact: usize) -> &[u32] {
        &self.order[self.starts[fact] as usize..self.starts[fact + 1] as usize]
    }

    /// Walks from what is given as far as it goes: without assumptions first, then, where they may be made, with them.
    pub(crate) fn walk(&self, given: &[Fact], assuming: bool) -> Reached {
        let count = self.numbers.count();
        let mut reached = Reached { taken: Vec::new(), first: vec![NONE; count], given: vec![false; count] };
        let (mut known, mut done) = (vec![false; count], vec![false; count]);
        let (mut queue, mut later) = (VecDeque::new(), Vec::new());
        let mut numbers: Vec<usize> = given.iter().map(|f| self.numbers.of(*f)).collect();
        numbers.sort_unstable();
        numbers.dedup();
        for fact in numbers {
            reached.given[fact] = true;
            known[fact] = true;
            queue.push_back(fact);
        }
        let mut put_off = assuming;
        loop {
            while let Some(fact) = queue.pop_front() {
                done[fact] = true;
                for id in self.needing(fact) {
                    let step = self.step(*id);
                    if step.from.iter().flatten().any(|f| !done[self.numbers.of(*f)]) {
                        continue;
                    }
                    match step.by.is_assumed() {
                        true if put_off => later.push(*id),
                        true if !assuming => {}
                        _ => self.take(*id, &mut known, &mut queue, &mut reached),
                    }
                }
            }
            if !put_off {
                return reached;
            }
            put_off = false;
            for id in std::mem::take(&mut later) {
                self.take(id, &mut known, &mut queue, &mut reached);
            }
        }
    }

    fn take(&self, id: u32, known: &mut [bool], queue: &mut VecDeque<usize>, reached: &mut Reached) {
        let fact = self.numbers.of(self.step(id).fact);
        reached.taken.push(id);
        if !std::mem::replace(&mut known[fact], true) {
            reached.first[fact] = id;
            queue.push_back(fact);
        }
    }

    /// Everything that follows without an assumption; costs what is found and no more.
    pub(crate) fn spread(&self, given: Fact, done: &mut Marks, known: &mut Marks) -> Vec<Fact> {
        done.clear();
        known.clear();
        let mut found = vec![self.numbers.of(given)];
        known.set(found[0]);
        let mut at = 0;
        while let Some(fact) = found.get(at).copied() {
            at += 1;
            done.set(fact);
            for id in self.needing(fact) {
                let step = self.step(*id);
                let ready = step.from.iter().flatten().all(|f| done.has(self.numbers.of(*f)));
                if ready && !step.by.is_assumed() {
                    let next = self.numbers.of(step.fact);
                    if !known.has(next) {
                        known.set(next);
                        found.push(next);
                    }
                }
            }
        }
        found.into_iter().map(|f| self.numbers.fact(f)).collect()
    }
}

impl Reached {
    /// The first step to a fact; none for what is given or out of reach.
    pub(crate) fn first(&self, fact: usize) -> Option<u32> {
        self.first.get(fact).copied().filter(|id| *id != NONE)
    }

    pub(crate) fn is_given(&self, fact: usize) -> bool {
        self.given.get(fact) == Some(&true)
    }

    /// The first steps to what a step needs, then the step itself; facts in `seen` are taken as had already.
    pub(crate) fn up_to(&self, steps: &Steps, id: u32, seen: &mut Marks, out: &mut Vec<u32>) {
        let mut stack = vec![(id, false)];
        while let Some((at, ready)) = stack.pop() {
            let step = steps.step(at);
            let fact = steps.numbers.of(step.fact);
            if ready {
                out.push(at);
            } else if at == id || !seen.has(fact) {
                // Marked when it is its turn and not when it is asked for, so that it stands before all that need it.
                seen.set(fact);
                stack.push((at, true));
                let needs = step.from.iter().rev().flatten().map(|f| steps.numbers.of(*f)).filter(|f| !seen.has(*f));
                stack.extend(needs.filter_map(|f| self.first(f)).map(|first| (first, false)));
            }
        }
    }
}

impl Marks {
    pub(crate) fn new(count: usize) -> Self {
        Self { round: 1, of: vec![0; count] }
    }

    pub(crate) fn clear(&mut self) {
        self.round += 1;
    }

    pub(crate) fn set(&mut self, fact: usize) {
        self.of[fact] = self.round;
    }

    pub(crate) fn has(&self, fact: usize) -> bool {
        self.of.get(fact) == Some(&self.round)
    }
}
