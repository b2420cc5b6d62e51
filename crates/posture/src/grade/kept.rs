//! What the rules found, kept by what they were asked of, and what of it could have one cause with what came or went.
//!
//! Causes and groups only ever put findings together that share an id or the words of a group. Each of those is a tie; what no
//! tie connects with a change has the cause that it had.
use std::collections::{BTreeSet, HashMap};

use super::{Made, Rank};
use crate::{RULES, differ::Difference, glob, rule::Found, view::Anchor};

/// The place of what was found in `All`, as long as it is found; then of something else.
pub(super) type Slot = usize;
/// The place of a tie among all.
type TieId = usize;

/// What a rule found.
pub(super) struct Kept {
    pub(super) rule: usize,
    pub(super) found: Found,
    /// Whether a waiver accepts it by itself.
    pub(super) waived: bool,
    /// By its own id.
    pub(super) own: TieId,
    /// By the ids that it follows, in that order.
    pub(super) follows: Vec<TieId>,
    pub(super) group: Option<TieId>,
    /// Where it stands as a finding, and what that was made from.
    pub(super) place: Option<(Rank, Made)>,
}

impl Kept {
    fn ties(&self) -> impl Iterator<Item = TieId> {
        [self.own].into_iter().chain(self.follows.iter().copied()).chain(self.group)
    }

    pub(super) fn id(&self) -> String {
        super::id(self.rule, &self.found)
    }
}

/// Everything that was found.
#[derive(Default)]
pub(super) struct All {
    kept: Vec<Option<Kept>>,
    free: Vec<Slot>,
    /// By rule: by what it was asked of, and of that in the order found.
    asked: Vec<Vec<(Option<Anchor>, Slot)>>,
    ties: Ties,
    /// What lets something happen.
    pub(super) lets: BTreeSet<Slot>,
    /// What came since causes were put together.
    came: Vec<Slot>,
    gone: Vec<(Slot, Kept)>,
}

/// Ids and groups, as numbers.
#[derive(Default)]
struct Ties {
    /// Of each rule its ids by subject, then its groups by their words.
    names: Vec<[HashMap<String, TieId>; 2]>,
    of: Vec<Tie>,
    free: Vec<TieId>,
}

#[derive(Clone, Copy)]
enum Kind {
    Id,
    Group,
}

#[derive(Default)]
struct Tie {
    /// Those with the id, or in the group.
    owners: Vec<Slot>,
    followers: Vec<Slot>,
}

impl Ties {
    fn find(&self, rule: usize, kind: Kind, words: &str) -> Option<TieId> {
        self.names.get(rule)?[kind as usize].get(words).copied()
    }

    /// The number of a tie, which gets one if it has none.
    fn number(&mut self, rule: usize, kind: Kind, words: &str) -> TieId {
        if let Some(tie) = self.find(rule, kind, words) {
            return tie;
        }
        let tie = self.free.pop().unwrap_or(self.of.len());
        if tie == self.of.len() {
            self.of.push(Tie::default());
        }
        self.names[rule][kind as usize].insert(words.to_owned(), tie);
        tie
    }

    /// Forgets a tie that nothing has any more.
    fn leave(&mut self, rule: usize, kind: Kind, words: &str) {
        let unused = |tie: &Tie| tie.owners.is_empty() && tie.followers.is_empty();
        if let Some(tie) = self.find(rule, kind, words).filter(|tie| unused(&self.of[*tie])) {
            self.names[rule][kind as usize].remove(words);
            self.free.push(tie);
        }
    }
}

impl All {
    pub(super) fn new() -> Self {
        let mut new = Self::default();
        new.asked.resize_with(RULES.len(), Vec::new);
        new.ties.names.resize_with(RULES.len(), Default::default);
        new
    }

    pub(super) fn get(&self, slot: Slot) -> Option<&Kept> {
        self.kept.get(slot)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, slot: Slot) -> Option<&mut Kept> {
        self.kept.get_mut(slot)?.as_mut()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Kept> {
        self.kept.iter().flatten()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Kept> {
        self.kept.iter_mut().flatten()
    }

    /// What came since causes were put together.
    pub(super) fn came(&self) -> &[Slot] {
        &self.came
    }

    /// How many numbers of ties there are.
    pub(super) fn ties(&self) -> usize {
        self.ties.of.len()
    }

    /// Whether anything is found of which the id matches the pattern.
    pub(super) fn is_found(&self, pattern: &str) -> bool {
        let Some((begin, _)) = pattern.split_once('*') else {
            let tie = pattern.split_once('@').and_then(|(rule, of)| self.ties.find(number(rule)?, Kind::Id, of));
            return tie.is_some_and(|tie| !self.ties.of[tie].owners.is_empty());
        };
        let rules = RULES.iter().zip(&self.asked).filter(|(r, _)| begin.starts_with(r.id) || r.id.starts_with(begin));
        let mut all = rules.flat_map(|(_, asked)| asked).filter_map(|(_, slot)| self.get(*slot));
        all.any(|kept| glob::matches(pattern, &kept.id()))
    }

    /// Gives everything its new number; what is gone goes.
    pub(super) fn renumber(&mut self, difference: &Difference) {
        let Difference { nodes, data, flows } = difference;
        if [nodes, data, flows].iter().all(|r| r.moved.is_none() && r.gone().next().is_none()) {
            return;
        }
        for asked in &mut self.asked {
            // What stays keeps its order.
            asked.retain_mut(|(anchor, slot)| {
                let now = match anchor {
                    None => return true,
                    Some(Anchor::Datum(id)) => data.now(*id).map(Anchor::Datum),
                    Some(Anchor::Flow(id)) => flows.now(*id).map(Anchor::Flow),
                    Some(Anchor::Node(id)) => nodes.now(*id).map(Anchor::Node),
                };
                *anchor = now;
                if now.is_none() {
                    self.gone.extend(self.kept[*slot].take().map(|kept| (*slot, kept)));
                }
                now.is_some()
            });
        }
        for slot in &self.lets {
            if let Some(Some(kept)) = self.kept.get_mut(*slot) {
                // A step of which something is gone belongs to a thing that is asked again.
                kept.found.lets = kept.found.lets.iter().filter_map(|by| by.renumbered(difference)).collect();
            }
        }
    }

    /// Keeps what a rule found, asked of one thing after the other in their order; what was found before stays.
    pub(super) fn keep(&mut self, rule: usize, answers: impl Iterator<Item = (Option<Anchor>, Vec<Found>)>) {
        let before = std::mem::take(&mut self.asked[rule]);
        let (mut now, mut copied, mut at) = (Vec::new(), 0, 0);
        for (anchor, found) in answers {
            // Most things lack nothing, and never did.
            if found.is_empty() && at == before.len() {
                continue;
            }
            at += before[at..].partition_point(|(a, _)| *a < anchor);
            let old = &before[at..];
            let old = &old[..old.iter().take_while(|(a, _)| *a == anchor).count()];
            let same = |((_, slot), found): (&(_, Slot), &Found)| self.get(*slot).is_some_and(|k| k.found == *found);
            if old.len() == found.len() && old.iter().zip(&found).all(same) {
                continue;
            }
            now.extend_from_slice(&before[copied..at]);
            copied = at + old.len();
            let mut old: Vec<Slot> = old.iter().map(|(_, slot)| *slot).collect();
            for found in found {
                let same = old.iter().position(|slot| self.get(*slot).is_some_and(|k| k.found == found));
                let slot = match same {
                    Some(same) => old.remove(same),
                    None => self.add(rule, found),
                };
                now.push((anchor, slot));
            }
            for slot in old {
                self.gone.extend(self.kept[slot].take().map(|kept| (slot, kept)));
            }
        }
        now.extend_from_slice(&before[copied..]);
        self.asked[rule] = now;
    }

    fn add(&mut self, rule: usize, found: Found) -> Slot {
        let slot = self.free.pop().unwrap_or(self.kept.len());
        if slot == self.kept.len() {
            self.kept.push(None);
        }
        let own = self.ties.number(rule, Kind::Id, &found.subject);
        self.ties.of[own].owners.push(slot);
        let follows = found.follows.iter().filter_map(|(rule, subject)| Some((number(rule)?, subject)));
        let follows: Vec<TieId> = follows.map(|(rule, of)| self.ties.number(rule, Kind::Id, of)).collect();
        follows.iter().for_each(|tie| self.ties.of[*tie].followers.push(slot));
        let group = found.group.as_deref().map(|words| self.ties.number(rule, Kind::Group, words));
        group.iter().for_each(|tie| self.ties.of[*tie].owners.push(slot));
        if !found.lets.is_empty() {
            self.lets.insert(slot);
        }
        let kept = Kept { rule, found, waived: false, own, follows, group, place: None };
        self.kept[slot] = Some(kept);
        self.came.push(slot);
        slot
    }

    /// What is gone, and in order what could have another cause now: everything that ties connect with what came or went.
    pub(super) fn settle(&mut self, everything: bool) -> (Vec<Kept>, Vec<Slot>) {
        let (mut next, gone) = (std::mem::take(&mut self.came), self.forget());
        if !everything && next.is_empty() && gone.is_empty() {
            return (gone, Vec::new());
        }
        for kept in &gone {
            next.extend(&self.ties.of[kept.own].followers);
            // One that has it leads to all others.
            next.extend(kept.ties().filter_map(|tie| self.ties.of[tie].owners.first()));
        }
        let (mut marked, mut seen) = (vec![everything; self.kept.len()], vec![false; self.ties.of.len()]);
        next.iter().for_each(|slot| marked[*slot] = true);
        while let Some(slot) = next.pop().filter(|_| !everything) {
            for tie in self.get(slot).into_iter().flat_map(Kept::ties) {
                let of = &self.ties.of[tie];
                // What nobody has is nobody's cause.
                if std::mem::replace(&mut seen[tie], true) || of.owners.is_empty() {
                    continue;
                }
                let all = of.owners.iter().chain(&of.followers).copied();
                next.extend(all.filter(|slot| !std::mem::replace(&mut marked[*slot], true)));
            }
        }
        let all = self.asked.iter().flatten().map(|(_, slot)| *slot);
        (gone, all.filter(|slot| marked[*slot]).collect())
    }

    /// Takes what is gone out of everything.
    fn forget(&mut self) -> Vec<Kept> {
        let gone = std::mem::take(&mut self.gone);
        let mut ties: Vec<TieId> = gone.iter().flat_map(|(_, kept)| kept.ties()).collect();
        ties.sort_unstable();
        ties.dedup();
        for tie in ties {
            let Tie { owners, followers } = &mut self.ties.of[tie];
            owners.retain(|slot| self.kept[*slot].is_some());
            followers.retain(|slot| self.kept[*slot].is_some());
        }
        let forget = |(slot, kept): (Slot, Kept)| {
            self.lets.remove(&slot);
            self.free.push(slot);
            self.ties.leave(kept.rule, Kind::Id, &kept.found.subject);
            for (rule, subject) in &kept.found.follows {
                number(rule).iter().for_each(|rule| self.ties.leave(*rule, Kind::Id, subject));
            }
            kept.found.group.iter().for_each(|words| self.ties.leave(kept.rule, Kind::Group, words));
            kept
        };
        gone.into_iter().map(forget).collect()
    }
}

/// The place of a rule among all.
fn number(rule: &str) -> Option<usize> {
    RULES.iter().position(|r| r.id == rule)
}
