//! From a model to its findings: every rule asked, consequences put to their causes, steps of attacks raised, waivers kept.
//!
//! What is asked of one thing is kept by that thing. After a change of the model only what it touched is asked again, and only
//! what could have another cause then is put together again.
use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap, HashSet},
};

use kept::{All, Kept, Slot};
use model::{
    Model, Waiver,
    load::text::{Change, Text},
};
use time::Date;

use crate::{
    Attack, Consequence, Evidence, Finding, Path, RULES, Severity, Waived,
    closure::By,
    differ::Difference,
    glob,
    links::{Links, Touched},
    paths::Walked,
    rule::{Check, Found},
    steps::Steps,
    view::{Anchor, View, class_word},
    ways::Weaknesses,
};

/// Most paths that a finding names.
const PATHS_MAX: usize = 3;

/// What is graded.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    /// The model.
    pub model: &'a Model,
    /// Its text, for the places of things; without it findings have no evidence.
    pub text: Option<&'a Text>,
    /// The day: waivers and drills end by it.
    pub today: Date,
}

/// The findings, worst first; of the same severity by id.
pub fn grade(input: Input<'_>) -> Vec<Finding> {
    let mut graded = Graded::default();
    graded.follow(None, input, Paths::WhereNeeded);
    graded.findings.into_values().collect()
}

/// Whether paths are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Paths {
    /// Only where a finding could be on one.
    WhereNeeded,
    Always,
}

/// Where a finding stands in the list: worst first, then by id, of several with one id in the order found.
type Rank = (Reverse<Severity>, String, usize);

/// A model that was graded, without the model: what the next one is graded from.
#[derive(Default)]
pub(crate) struct Graded {
    links: Links,
    steps: Option<Steps>,
    walked: Option<Walked>,
    found: All,
    /// What rules found by looking at what all others found, and where it stands.
    late: Vec<Late>,
    late_ranks: Vec<Rank>,
    /// In order.
    pub(crate) findings: BTreeMap<Rank, Finding>,
    waivers: Vec<Waiver>,
    pub(crate) paths: Vec<Path>,
}

/// What a rule found, with its number.
type Late = (usize, Found);

/// What a finding is made from, as far as it can change while what the rule found stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Made {
    /// How many with the same id come before it.
    twins: usize,
    /// What follows from it. Nothing else has one of the slots as long as it is made from this: with what is gone its cause is put
    /// together again.
    also: Vec<Slot>,
    /// The worst of it and what follows from it.
    worst: Option<Severity>,
    raised: Option<String>,
    paths: Vec<String>,
    more: usize,
}

impl Made {
    /// The same on no path of an attack.
    fn unraised(&self) -> Self {
        Self { twins: self.twins, also: self.also.clone(), worst: self.worst, ..Self::default() }
    }
}

impl Graded {
    /// Grades a model; with the one that was graded before only what differs is asked.
    pub(crate) fn follow(&mut self, before: Option<&Model>, input: Input<'_>, paths: Paths) -> Delta {
        let difference = before.and_then(|before| Difference::between(before, input.model));
        let mut delta = Delta::default();
        if difference.is_none() {
            delta.gone = std::mem::take(&mut self.findings).into_values().collect();
            *self = Self { found: All::new(), ..Self::default() };
        }
        let difference = difference.unwrap_or_else(|| Difference::all(input.model));
        let touched = self.links.follow(input.model, &difference);
        let mut view = View::of(input.model, std::mem::take(&mut self.links));
        self.ask(&mut view, input.today, &difference, &touched);
        let waivers = self.accept(input);
        let wanted = paths == Paths::Always || !self.found.lets.is_empty();
        self.steps = match self.steps.take() {
            Some(mut steps) => {
                if steps.follow(&view, &difference, &touched) {
                    self.walked = None;
                }
                Some(steps)
            }
            None => wanted.then(|| Steps::new(&view)),
        };
        let (mut walked, mut all_paths) = (None, Vec::new());
        if let Some(steps) = self.steps.take() {
            let attack = Attack::of(view, steps);
            let (outside, found) = attack.outside(self.walked.take(), &touched, input.text);
            (walked, all_paths) = (Some(outside), found);
            (view, self.steps) = (attack.view, Some(attack.steps));
        }
        let raising = walked.as_ref().map_or_else(Raising::default, |w| Raising::new(&all_paths, &w.taken));
        self.put_together(&view, input, &raising, waivers, &mut delta);
        (self.walked, self.paths) = (walked, all_paths);
        self.links = view.into_links();
        delta.settle();
        delta
    }

    /// What was followed and drawn, to be compared with that of another.
    #[cfg(test)]
    pub(crate) fn drawn(&self) -> (&Links, Option<&Steps>) {
        (&self.links, self.steps.as_ref())
    }

    /// Asks the rules of what was touched.
    fn ask(&mut self, view: &mut View<'_>, today: Date, difference: &Difference, touched: &Touched) {
        self.found.renumber(difference);
        for (number, rule) in RULES.iter().enumerate() {
            let (nodes, data, flows) = match rule.check {
                Check::Nodes(_) => (&touched.nodes[..], &[][..], &[][..]),
                Check::Data(_) => (&[][..], &touched.data[..], &[][..]),
                Check::Flows(_) => (&[][..], &[][..], &touched.flows[..]),
                Check::FlowsAndNodes(_) => (&touched.nodes[..], &[][..], &touched.flows[..]),
                Check::Model(_) | Check::Findings(_) => (&[][..], &[][..], &[][..]),
            };
            let anchors = flows.iter().map(|f| Anchor::Flow(*f)).chain(nodes.iter().map(|n| Anchor::Node(*n)));
            let anchors = anchors.chain(data.iter().map(|d| Anchor::Datum(*d)));
            match rule.check {
                Check::Nodes(check) | Check::Data(check) | Check::Flows(check) | Check::FlowsAndNodes(check) => {
                    let answers = anchors.map(|anchor| {
                        view.subject = Some(anchor);
                        (view.subject, check(view, today))
                    });
                    self.found.keep(number, answers);
                    view.subject = None;
                }
                Check::Model(check) => self.found.keep(number, [(None, check(view, today))].into_iter()),
                Check::Findings(_) => {}
            }
        }
    }

    /// Which waivers hold; whether they are others than before.
    fn accept(&mut self, input: Input<'_>) -> bool {
        let holding: Vec<Waiver> = input.model.waivers.iter().filter(|w| w.until >= input.today).cloned().collect();
        let others = std::mem::replace(&mut self.waivers, holding) != self.waivers;
        let waived = |kept: &mut Kept| kept.waived = waiver(&self.waivers, &kept.id()).is_some();
        if others {
            self.found.iter_mut().for_each(waived);
        } else if !self.waivers.is_empty() {
            for slot in self.found.came().to_vec() {
                self.found.get_mut(slot).into_iter().for_each(waived);
            }
        }
        others
    }

    /// Causes, steps of attacks and waivers; what is as it was is left as it was.
    fn put_together(
        &mut self,
        view: &View<'_>,
        input: Input<'_>,
        raising: &Raising<'_>,
        waivers: bool,
        delta: &mut Delta,
    ) {
        let (gone, tied) = self.found.settle(waivers);
        let gone = gone.into_iter().filter_map(|kept| kept.place);
        delta.gone.extend(gone.filter_map(|(rank, _)| self.findings.remove(&rank)));
        let others = self.others(view, raising, waivers, &tied);
        for (slot, _) in &others {
            if let Some((rank, _)) = self.found.get_mut(*slot).and_then(|kept| kept.place.take()) {
                delta.gone.extend(self.findings.remove(&rank));
            }
        }
        // The text may have moved below what stays.
        for kept in self.found.iter().filter(|_| input.text.is_some()) {
            if let Some(finding) = kept.place.as_ref().and_then(|(rank, _)| self.findings.get_mut(rank)) {
                finding.evidence = evidence(&kept.found, input.text);
            }
        }
        for (slot, made) in others {
            let (Some(kept), Some(made)) = (self.found.get(slot), made) else { continue };
            let finding = self.finding(kept, &made, input.text);
            let rank = (Reverse(finding.severity), finding.id.clone(), made.twins);
            delta.new.push(finding.clone());
            self.findings.insert(rank.clone(), finding);
            if let Some(kept) = self.found.get_mut(slot) {
                kept.place = Some((rank, made));
            }
        }
        self.look_at_findings(view, input, waivers, delta);
    }

    /// Which findings are others than before, and what each is made from; nothing where it now follows from another one.
    fn others(
        &self,
        view: &View<'_>,
        raising: &Raising<'_>,
        waivers: bool,
        tied: &[Slot],
    ) -> Vec<(Slot, Option<Made>)> {
        let all: Vec<&Kept> = tied.iter().filter_map(|slot| self.found.get(*slot)).collect();
        let made = |kept: &Kept, Root { twins, also }: Root| {
            // What follows is no less bad for standing below its cause; what somebody answers for is answered for.
            let open = also.iter().map(|at| all[*at]).filter(|k| k.waived == kept.waived).map(|k| k.found.severity);
            let worst = open.chain([kept.found.severity]).max();
            Made { twins, also: also.iter().map(|at| tied[*at]).collect(), worst, ..Made::default() }
        };
        let roots = caused(&all, self.found.ties()).into_iter().zip(&all);
        let mut others: Vec<(Slot, Option<Made>)> =
            tied.iter().zip(roots).map(|(slot, (root, kept))| (*slot, root.map(|root| made(kept, root)))).collect();
        // What lets something happen is as bad as the paths of today.
        let mut lets = self.found.lets.clone();
        for slot in tied {
            lets.remove(slot);
        }
        let before = |slot: Slot| self.found.get(slot)?.place.as_ref().map(|(_, made)| made);
        others.extend(lets.into_iter().map(|slot| (slot, before(slot).map(Made::unraised))));
        for (slot, made) in &mut others {
            let (Some(kept), Some(made)) = (self.found.get(*slot), made) else { continue };
            if let Some(by) = kept.found.lets.iter().find(|by| raising.takes(by)) {
                raising.raise(view, *by, made);
            }
        }
        others.retain(|(slot, made)| waivers || before(*slot) != made.as_ref());
        others
    }

    /// A finding from what it is made from.
    fn finding(&self, kept: &Kept, made: &Made, text: Option<&Text>) -> Finding {
        let also: Vec<&Kept> = made.also.iter().filter_map(|slot| self.found.get(*slot)).collect();
        let found = &kept.found;
        let mut finding = placed(kept.rule, found, text);
        finding.also = also.iter().map(|k| Consequence { id: k.id(), why: k.found.why.clone() }).collect();
        // What mends the others of a group belongs to the mend of the one that stands for them.
        let of_group = also.iter().filter(|k| kept.group.is_some() && k.group == kept.group);
        let mut known: HashSet<Change> = finding.fix.changes.iter().cloned().collect();
        let more = of_group.flat_map(|k| &k.found.fix.changes).filter(|c| known.insert((*c).clone()));
        finding.fix.changes.extend(more.cloned());
        finding.severity = made.worst.unwrap_or(finding.severity);
        if made.raised.is_some() {
            finding.raised = made.raised.clone().filter(|_| finding.severity.raised() > finding.severity);
            finding.severity = finding.severity.raised();
            (finding.paths, finding.more_paths) = (made.paths.clone(), made.more);
        }
        waive(&self.waivers, &mut finding);
        finding
    }

    /// Asks the rules that look at what all others found.
    fn look_at_findings(&mut self, view: &View<'_>, input: Input<'_>, waivers: bool, delta: &mut Delta) {
        let is_found = |pattern: &str| self.found.is_found(pattern);
        let mut late: Vec<Late> = Vec::new();
        for (rule, of) in RULES.iter().enumerate() {
            if let Check::Findings(check) = of.check {
                late.extend(check(view, input.today, &is_found).into_iter().map(|found| (rule, found)));
            }
        }
        if !waivers && input.text.is_none() && late == self.late {
            return;
        }
        let mut ranks = Vec::with_capacity(late.len());
        delta.gone.extend(self.late_ranks.iter().filter_map(|rank| self.findings.remove(rank)));
        for (twins, (rule, found)) in late.iter().enumerate() {
            let mut finding = placed(*rule, found, input.text);
            waive(&self.waivers, &mut finding);
            let rank = (Reverse(finding.severity), finding.id.clone(), twins);
            delta.new.push(finding.clone());
            self.findings.insert(rank.clone(), finding);
            ranks.push(rank);
        }
        (self.late, self.late_ranks) = (late, ranks);
    }
}

/// What a change of the model changed of its findings.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Delta {
    /// What was not found before.
    pub new: Vec<Finding>,
    /// What is not found any more.
    pub gone: Vec<Finding>,
    /// What was and is found, but not as it is now: before, and now.
    pub changed: Vec<(Finding, Finding)>,
}

impl Delta {
    /// What went and came under one id was changed, or is as it was.
    fn settle(&mut self) {
        let order = |a: &Finding, b: &Finding| (Reverse(a.severity), &a.id).cmp(&(Reverse(b.severity), &b.id));
        self.gone.sort_by(order);
        self.new.sort_by(order);
        let mut gone: HashMap<String, Vec<Finding>> = HashMap::new();
        for finding in std::mem::take(&mut self.gone) {
            gone.entry(finding.id.clone()).or_default().push(finding);
        }
        for now in std::mem::take(&mut self.new) {
            let before = gone.get_mut(&now.id).filter(|all| !all.is_empty());
            match before.map(|all| all.remove(all.iter().position(|f| *f == now).unwrap_or_default())) {
                None => self.new.push(now),
                Some(before) if before == now => {}
                Some(before) => self.changed.push((before, now)),
            }
        }
        self.gone = gone.into_values().flatten().collect();
        self.gone.sort_by(order);
    }
}

/// Which steps somebody outside takes, and on which paths.
#[derive(Default)]
struct Raising<'p> {
    taken: Option<&'p Weaknesses>,
    paths: HashMap<By, Vec<&'p str>>,
}

impl<'p> Raising<'p> {
    fn new(paths: &'p [Path], taken: &'p Weaknesses) -> Self {
        let mut by: HashMap<By, Vec<&str>> = HashMap::new();
        for path in paths {
            // Only what a finding can let happen is looked for.
            for step in path.steps.iter().filter(|s| taken.contains(&s.by)) {
                let all = by.entry(step.by).or_default();
                if all.last() != Some(&path.id.as_str()) {
                    all.push(&path.id);
                }
            }
        }
        Self { taken: Some(taken), paths: by }
    }

    fn takes(&self, by: &By) -> bool {
        self.taken.is_some_and(|taken| taken.contains(by))
    }

    fn raise(&self, view: &View<'_>, by: By, one: &mut Made) {
        one.raised = Some(step(view, by));
        let paths = self.paths.get(&by).map_or(&[][..], Vec::as_slice);
        one.paths = paths.iter().take(PATHS_MAX).map(|id| (*id).to_owned()).collect();
        one.more = paths.len().saturating_sub(PATHS_MAX);
    }
}

/// What stands for itself and for all that follows from it.
struct Root {
    /// How many with the same id come before it.
    twins: usize,
    /// In order.
    also: Vec<usize>,
}

/// Of each root what follows from it, none for what is no root. Whoever accepts one of several findings of one rule has not
/// accepted the others: those that a waiver covers and those that none covers stand apart. Nor has he accepted what is worse
/// than what the waiver names.
fn caused(all: &[&Kept], ties: usize) -> Vec<Option<Root>> {
    // The last of what was found with an id.
    let mut last: Vec<Option<usize>> = vec![None; ties];
    let mut twins = Vec::with_capacity(all.len());
    for (at, kept) in all.iter().enumerate() {
        let before = last[kept.own].replace(at);
        twins.push(before.map_or(0, |before| twins[before] + 1));
    }
    let cause = |(at, kept): (usize, &&Kept)| kept.follows.iter().filter_map(|tie| last[*tie]).find(|root| *root != at);
    let causes: Vec<Option<usize>> = all.iter().enumerate().map(cause).collect();
    let mut groups: Vec<[Option<usize>; 2]> = vec![[None; 2]; ties];
    // What has another cause stands for nothing.
    for (at, kept) in all.iter().enumerate().filter(|(at, _)| causes[*at].is_none()) {
        if let Some(group) = kept.group {
            let first = groups[group][usize::from(kept.waived)].get_or_insert(at);
            if kept.found.severity > all[*first].found.severity {
                *first = at;
            }
        }
    }
    let parent = |(at, kept): (usize, &&Kept)| {
        let group = || groups[kept.group?][usize::from(kept.waived)];
        causes[at].or_else(group).filter(|root| *root != at)
    };
    let parents: Vec<Option<usize>> = all.iter().enumerate().map(parent).collect();
    let mut roots: Vec<Option<Root>> = Vec::with_capacity(all.len());
    let mut followers: Vec<(usize, usize)> = Vec::new();
    for (at, of) in all.iter().enumerate() {
        let mut root = at;
        // A circle would be a mistake of the rules; the bound turns it into a finding too many.
        for _ in 0..RULES.len() {
            match parents[root] {
                Some(parent) => root = parent,
                None => break,
            }
        }
        let by = all[root];
        let worse = of.waived != by.waived && of.found.severity > by.found.severity;
        let alone = root == at || parents[root].is_some() || worse;
        roots.push(alone.then(|| Root { twins: twins[at], also: Vec::new() }));
        if !alone {
            followers.push((root, at));
        }
    }
    for (root, at) in followers {
        if let Some(root) = &mut roots[root] {
            root.also.push(at);
        }
    }
    roots
}

fn id(rule: usize, found: &Found) -> String {
    format!("{}@{}", RULES[rule].id, found.subject)
}

fn evidence(found: &Found, text: Option<&Text>) -> Vec<Evidence> {
    let mut evidence: Vec<Evidence> = Vec::new();
    for path in &found.evidence {
        if let Some(place) = text.and_then(|t| t.place(path)) {
            let one = Evidence { file: place.file, line: place.line, path: place.path };
            if !evidence.contains(&one) {
                evidence.push(one);
            }
        }
    }
    evidence
}

fn placed(rule: usize, found: &Found, text: Option<&Text>) -> Finding {
    Finding {
        id: id(rule, found),
        severity: found.severity,
        why: found.why.clone(),
        fix: found.fix.clone(),
        also: Vec::new(),
        controls: RULES[rule].controls.to_vec(),
        evidence: evidence(found, text),
        raised: None,
        paths: Vec::new(),
        more_paths: 0,
        waived: None,
    }
}

fn waive(waivers: &[Waiver], finding: &mut Finding) {
    let Some(waiver) = waiver(waivers, &finding.id) else { return };
    finding.waived = Some(Waived {
        id: waiver.id.clone(),
        why: waiver.why.clone(),
        owner: waiver.owner.clone(),
        until: waiver.until.to_string(),
        severity: finding.severity,
    });
    finding.severity = Severity::Accepted;
}

/// The waiver that accepts it.
fn waiver<'w>(waivers: &'w [Waiver], id: &str) -> Option<&'w Waiver> {
    waivers.iter().find(|w| glob::matches(&w.accepts, id))
}

/// The step of an attack, in a sentence.
fn step(view: &View<'_>, by: By) -> String {
    match by {
        By::Opened(secret, node) => {
            format!("on an attack path: `{}` opens `{}`", view.datum(secret).name, view.node(node).name)
        }
        By::Open(node) => {
            let of = view.node(node);
            let returned = of.inbound.iter().flat_map(|f| view.flow(*f).returns.iter().copied());
            let worst = view.worst(of.holds.iter().copied().chain(returned));
            let what = worst.map_or(String::new(), |d| {
                format!(", and hands out `{}`, which is {}", view.datum(d).name, class_word(view.class(d)))
            });
            format!("on an attack path: whoever reaches `{}` need prove nothing{what}", of.name)
        }
        _ => "on an attack path".to_owned(),
    }
}

mod kept;
#[cfg(test)]
mod tests;
