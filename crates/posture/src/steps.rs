//! Every step that a diagram lets an attacker take, worked out once, so that asking who gets where is a walk over numbers:
//! from outside, from one node, with something assumed. The steps are those of `closure`; this only walks them.
use std::{
    collections::{HashSet, VecDeque},
    ops::Range,
};

use crate::{
    closure::{By, Draw, Fact, Numbers, Step, Surroundings},
    differ::Difference,
    entry::asks_for_token,
    links::Touched,
    processors,
    technique::is_weakness,
    view::{FlowId, View},
    ways::Weaknesses,
};

mod numbered;

use numbered::{NONE, Numbered, number};

/// How many facts a processor renumbers the steps of at once; in tests few.
const PART: usize = if cfg!(test) { 3 } else { 1_024 };

/// The steps of a diagram, by what they need.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Steps {
    pub(crate) numbers: Numbers,
    pub(crate) around: Surroundings,
    /// The steps that need a fact, in an order that the order of the model's flows does not change.
    needing: Vec<Vec<Numbered>>,
}

/// A step by a fact that it needs and its place among those that need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct StepId {
    of: u32,
    at: u32,
}

/// Who gets where from a start.
pub(crate) struct Reached {
    /// Steps that can be taken, premises before what follows from them; of several to one fact the shortest first, and those
    /// that need no assumption before all others. To that at which no path ends only the first, and those that use a weakness:
    /// all others say nothing, and are by far the most.
    pub(crate) taken: Vec<StepId>,
    /// The first step to each fact.
    first: Vec<Option<StepId>>,
    given: Vec<bool>,
}

/// A set of facts that is emptied in no time.
pub(crate) struct Marks {
    round: u32,
    of: Vec<u32>,
}

impl Steps {
    pub(crate) fn new(view: &View<'_>) -> Self {
        let around = Surroundings::new(view);
        let mut draw = Draw::new(view, &around, None);
        let numbers = draw.numbers();
        let needing = (0..numbers.count()).map(|fact| needing(view, &mut draw, fact)).collect();
        Self { numbers, around, needing }
    }

    /// Brings the steps from the model before the difference to the one after it; whether they are others, or have other
    /// numbers.
    pub(crate) fn follow(&mut self, view: &View<'_>, difference: &Difference, touched: &Touched) -> bool {
        if difference.is_none() {
            return false;
        }
        let facts = self.around.follow(view, difference, touched);
        let (before, numbers) = (self.numbers, Numbers::new(view));
        let moved = [&difference.nodes, &difference.data, &difference.flows].iter().any(|r| r.moved.is_some());
        let renumbered = moved || before != numbers;
        if renumbered {
            self.renumber(numbers, difference);
        }
        self.numbers = numbers;
        let mut draw = Draw::new(view, &self.around, Some(touched));
        let mut others = false;
        for fact in (0..numbers.zones).flat_map(|z| [Fact::Stand(z), Fact::Administer(z)]) {
            let fact = numbers.of(fact);
            let now = needing(view, &mut draw, fact);
            let is_kept = |step: &Numbered| {
                let by = step.by();
                !(by == By::Lies || touched.is_of(by) || is_gone(view, by))
            };
            others |= merge(view, &mut self.needing[fact], now, is_kept);
        }
        let nodes = touched.near.iter().flat_map(|n| [Fact::Reach(*n), Fact::Control(*n)]);
        let data = touched.data.iter().flat_map(|d| [Fact::Hold(*d), Fact::Forge(*d)]);
        // What is gone has a fact no more.
        let facts = facts.into_iter().filter(|f| numbers.has(*f));
        for fact in nodes.chain(data).chain(facts) {
            let fact = numbers.of(fact);
            others |= replace(&mut self.needing[fact], needing(view, &mut draw, fact));
        }
        others || renumbered
    }

    /// Gives every step its new numbers. One of which something is gone goes: it is drawn again, or never.
    fn renumber(&mut self, numbers: Numbers, difference: &Difference) {
        let before = self.numbers;
        let now: Vec<u32> = (0..before.count())
            .map(|f| before.fact(f).renumbered(difference).map_or(NONE, |f| number(numbers.of(f))))
            .collect();
        let is_same = before == numbers && now.iter().zip(0..).all(|(now, fact)| *now == fact);
        let now = |fact: u32| now.get(fact as usize).copied().unwrap_or(NONE);
        processors::each(&mut self.needing, PART, |steps| {
            let mut gone = false;
            for step in steps.iter_mut() {
                let of = step.of_now(difference);
                gone |= of.is_none();
                step.of = of.unwrap_or([NONE; 2]);
                if !is_same {
                    step.fact = now(step.fact);
                    step.from = step.from.map(now);
                    gone |= step.fact == NONE;
                }
            }
            if gone {
                steps.retain(|step| step.fact != NONE && step.of != [NONE; 2]);
            }
        });
        if !is_same {
            let mut moved = vec![Vec::new(); numbers.count()];
            for (steps, fact) in std::mem::take(&mut self.needing).into_iter().zip(0..) {
                if let Some(place) = moved.get_mut(now(fact) as usize) {
                    *place = steps;
                }
            }
            self.needing = moved;
        }
    }

    pub(crate) fn step(&self, id: StepId) -> Step {
        let step = self.needing[id.of as usize][id.at as usize];
        let fact = |number: u32| (number != NONE).then(|| self.numbers.fact(number as usize));
        Step { fact: self.numbers.fact(step.fact as usize), by: step.by(), from: step.from.map(fact) }
    }

    #[cfg(test)]
    pub(crate) fn all(&self) -> impl Iterator<Item = Step> {
        (0..self.needing.len()).flat_map(|fact| self.needing(fact)).map(|id| self.step(id))
    }

    fn numbered(&self, id: StepId) -> &Numbered {
        &self.needing[id.of as usize][id.at as usize]
    }

    /// Steps that need a fact.
    pub(crate) fn needing(&self, fact: usize) -> impl Iterator<Item = StepId> {
        let of = number(fact);
        (0..number(self.needing[fact].len())).map(move |at| StepId { of, at })
    }

    /// Walks from what is given as far as it goes: without assumptions first, then, where they may be made, with them.
    pub(crate) fn walk(&self, given: &[Fact], assuming: bool) -> Reached {
        let count = self.numbers.count();
        let mut reached = Reached { taken: Vec::new(), first: vec![None; count], given: vec![false; count] };
        let (mut known, mut done) = (vec![false; count], vec![false; count]);
        let (mut queue, mut later) = (VecDeque::new(), Vec::new());
        let ends = self.ends();
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
                for (step, at) in self.needing[fact].iter().zip(0..) {
                    if step.from.iter().any(|f| *f != NONE && !done[*f as usize]) {
                        continue;
                    }
                    let id = StepId { of: number(fact), at };
                    match step.by().is_assumed() {
                        true if put_off => later.push(id),
                        true if !assuming => {}
                        _ => take(id, step, &ends, &mut known, &mut queue, &mut reached),
                    }
                }
            }
            if !put_off {
                return reached;
            }
            put_off = false;
            for id in std::mem::take(&mut later) {
                take(id, self.numbered(id), &ends, &mut known, &mut queue, &mut reached);
            }
        }
    }

    /// The facts at which a path may end: a node is controlled, a datum is had.
    pub(crate) fn ends(&self) -> Range<usize> {
        self.numbers.of(Fact::Control(0))..self.numbers.of(Fact::Administer(0))
    }

    /// The weaknesses that are used.
    pub(crate) fn weaknesses(&self, reached: &Reached) -> Weaknesses {
        // First counted, so that the set need not grow.
        let used: Vec<By> =
            reached.taken.iter().map(|id| self.numbered(*id).by()).filter(|by| is_weakness(*by)).collect();
        used.into_iter().collect()
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
            for step in &self.needing[fact] {
                let ready = step.from.iter().all(|f| *f == NONE || done.has(*f as usize));
                if ready && !step.by().is_assumed() {
                    let next = step.fact as usize;
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

/// Whether what a step from a zone is about is not there any more. Nodes and data are not asked for: with one of them gone facts
/// have other numbers, and giving those takes out what is gone.
fn is_gone(view: &View<'_>, by: By) -> bool {
    match by {
        By::Party(flow) | By::Sniffed(flow) => flow >= view.flows.len(),
        _ => false,
    }
}

/// Puts steps where others of the same list are not kept; whether they are other ones.
fn merge(view: &View<'_>, list: &mut Vec<Numbered>, new: Vec<Numbered>, is_kept: impl Fn(&Numbered) -> bool) -> bool {
    if list.iter().filter(|s| !is_kept(s)).eq(&new) {
        return false;
    }
    list.retain(is_kept);
    let mut merged = Vec::with_capacity(list.len() + new.len());
    let mut rest = list.as_slice();
    for step in new {
        let (before, after) = rest.split_at(rest.partition_point(|s| order(view, s) < order(view, &step)));
        merged.extend_from_slice(before);
        merged.push(step);
        rest = after;
    }
    merged.extend_from_slice(rest);
    *list = merged;
    true
}

fn take(
    id: StepId,
    step: &Numbered,
    ends: &Range<usize>,
    known: &mut [bool],
    queue: &mut VecDeque<usize>,
    reached: &mut Reached,
) {
    let fact = step.fact as usize;
    let first = !std::mem::replace(&mut known[fact], true);
    if first {
        reached.first[fact] = Some(id);
        queue.push_back(fact);
    }
    if first || ends.contains(&fact) || is_weakness(step.by()) {
        reached.taken.push(id);
    }
}

/// Whether it is another one.
fn replace<T: PartialEq>(place: &mut T, now: T) -> bool {
    let other = *place != now;
    *place = now;
    other
}

/// The steps that need a fact, in their order.
fn needing(view: &View<'_>, draw: &mut Draw<'_, '_>, fact: usize) -> Vec<Numbered> {
    let numbers = draw.numbers();
    let id = |fact: Fact| number(numbers.of(fact));
    let steps = draw.needing(numbers.fact(fact)).iter();
    let mut steps: Vec<Numbered> =
        steps.map(|s| Numbered::new(id(s.fact), s.from.map(|f| f.map_or(NONE, id)), s.by)).collect();
    steps.sort_by_cached_key(|s| order(view, s));
    steps
}

fn order<'m>(view: &View<'m>, step: &Numbered) -> (u32, (u8, &'m str, usize, usize), [u32; 2]) {
    (step.fact, key(view, step.by()), step.from)
}

/// Which of several steps to one fact goes first: by kind, then by name.
fn key<'m>(view: &View<'m>, by: By) -> (u8, &'m str, usize, usize) {
    let flow = |f: FlowId| view.flow(f).flow.id.as_str();
    let (name, a, b) = match by {
        By::Party(f) | By::Flow(f) | By::Forwarded(f) | By::Moved(f) | By::Sniffed(f) | By::Runs(f) => (flow(f), 0, 0),
        By::Exposed(a, b) | By::Opened(a, b) => ("", a, b),
        By::Open(node)
        | By::Inside(node)
        | By::Exploit(node)
        | By::Login(node)
        | By::Administered(node)
        | By::Forged(node) => ("", node, 0),
        By::Lies | By::Given => ("", 0, 0),
    };
    (kind(view, by), name, a, b)
}

fn kind(view: &View<'_>, by: By) -> u8 {
    match by {
        // Of what a stranger may send by, that for which he needs nothing goes first.
        By::Party(f) => u8::from(asks_for_token(view, view.flow(f))),
        By::Flow(_) => 2,
        By::Forwarded(_) => 3,
        By::Exposed(..) => 4,
        By::Open(_) => 5,
        By::Inside(_) => 6,
        By::Moved(_) => 7,
        By::Opened(..) => 8,
        By::Exploit(_) => 9,
        By::Login(_) => 10,
        By::Sniffed(_) => 11,
        By::Lies => 12,
        By::Administered(_) => 13,
        By::Forged(_) => 14,
        By::Runs(_) => 15,
        By::Given => 16,
    }
}

impl Reached {
    /// The first step to a fact; none for what is given or out of reach.
    pub(crate) fn first(&self, fact: usize) -> Option<StepId> {
        self.first.get(fact).copied().flatten()
    }

    pub(crate) fn is_given(&self, fact: usize) -> bool {
        self.given.get(fact) == Some(&true)
    }

    /// Whether it is given, or follows.
    pub(crate) fn is_had(&self, fact: usize) -> bool {
        self.first(fact).is_some() || self.is_given(fact)
    }

    /// The first steps to what a step needs, then the step itself; facts in `seen` are taken as had already.
    pub(crate) fn up_to(&self, steps: &Steps, id: StepId, seen: &mut Marks, out: &mut Vec<StepId>) {
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

    /// Whether the first steps to what a step needs lead through what follows from it: then it is no way there, as that would be
    /// had already. A first step never is one.
    pub(crate) fn is_circular(&self, steps: &Steps, id: StepId, is_had: impl Fn(usize) -> bool) -> bool {
        let target = steps.numbers.of(steps.step(id).fact);
        let (mut stack, mut seen) = (vec![id], HashSet::new());
        while let Some(at) = stack.pop() {
            for fact in steps.step(at).from.iter().flatten().map(|f| steps.numbers.of(*f)) {
                if fact == target {
                    return true;
                }
                if !is_had(fact) && seen.insert(fact) {
                    stack.extend(self.first(fact));
                }
            }
        }
        false
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
