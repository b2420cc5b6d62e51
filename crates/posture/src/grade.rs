//! From a model to its findings: every rule asked, consequences put to their causes, steps of attacks raised, waivers kept.
//!
//! What is asked of one thing is kept by that thing. After a change of the model only what it touched is asked again; what
//! follows from what, and which paths there are, is put together anew from what is kept.
use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap, HashSet},
};

use model::{
    Model, Waiver,
    load::text::{Change, Text},
};
use time::Date;

use crate::{
    Attack, Consequence, Evidence, Finding, Path, RULES, Rule, Severity, Waived,
    closure::By,
    differ::Difference,
    glob,
    links::{Links, Touched},
    paths::Walked,
    rule::{Check, Found},
    steps::Steps,
    view::{Anchor, View, class_word},
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

/// Where a finding stands in the list: worst first, then by id, then by rule and what it was asked of.
type Rank = (Reverse<Severity>, String, usize, u64);

/// A model that was graded, without the model: what the next one is graded from.
#[derive(Default)]
pub(crate) struct Graded {
    links: Links,
    steps: Option<Steps>,
    walked: Option<Walked>,
    /// By rule, then by what it was asked of.
    found: Vec<BTreeMap<Option<Anchor>, Vec<Kept>>>,
    next: u64,
    /// What has a higher number was not yet compared with the waivers.
    accepted: u64,
    /// In order.
    pub(crate) findings: BTreeMap<Rank, Finding>,
    waivers: Vec<Waiver>,
    places: HashMap<u64, Place>,
    round: u64,
    pub(crate) paths: Vec<Path>,
}

/// What a rule found, and a number that nothing else has.
struct Kept {
    number: u64,
    found: Found,
    /// Whether a waiver accepts it by itself.
    waived: bool,
}

/// Where a finding stands, and what it was made from.
struct Place {
    rank: Rank,
    made: Made,
    /// When it was last made, or left as it was.
    round: u64,
}

/// What a finding is made from, as far as it can change while what the rule found stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Made {
    /// What follows from it.
    also: Vec<u64>,
    /// The worst of it and what follows from it.
    worst: Option<Severity>,
    raised: Option<String>,
    paths: Vec<String>,
    more: usize,
}

impl Graded {
    /// Grades a model; with the one that was graded before only what differs is asked.
    pub(crate) fn follow(&mut self, before: Option<&Model>, input: Input<'_>, paths: Paths) -> Delta {
        let difference = before.and_then(|before| Difference::between(before, input.model));
        self.go_on(difference, input, paths)
    }

    /// Grades a model of which the difference from the one that was graded before is known; without it everything.
    pub(crate) fn go_on(&mut self, difference: Option<Difference>, input: Input<'_>, paths: Paths) -> Delta {
        let mut delta = Delta::default();
        if difference.is_none() {
            delta.gone = std::mem::take(&mut self.findings).into_values().collect();
            *self = Self { next: self.next, accepted: self.next, ..Self::default() };
            self.found.resize_with(RULES.len(), BTreeMap::new);
        }
        let difference = difference.unwrap_or_else(|| Difference::all(input.model));
        let touched = self.links.follow(input.model, &difference);
        let mut view = View::of(input.model, std::mem::take(&mut self.links));
        self.ask(&mut view, input.today, &difference, &touched);
        let waivers = self.accept(input);
        let wanted = paths == Paths::Always || all(&self.found).any(|(_, kept)| !kept.found.lets.is_empty());
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
        for (rule, kept) in RULES.iter().zip(&mut self.found) {
            renumber(kept, difference);
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
                    for anchor in anchors {
                        view.subject = Some(anchor);
                        keep(kept, &mut self.next, Some(anchor), check(view, today));
                    }
                    view.subject = None;
                }
                Check::Model(check) => keep(kept, &mut self.next, None, check(view, today)),
                Check::Findings(_) => {}
            }
        }
    }

    /// Which waivers hold; whether they are others than before.
    fn accept(&mut self, input: Input<'_>) -> bool {
        let holding: Vec<Waiver> = input.model.waivers.iter().filter(|w| w.until >= input.today).cloned().collect();
        let others = std::mem::replace(&mut self.waivers, holding) != self.waivers;
        for (rule, kept) in self.found.iter_mut().enumerate() {
            for one in kept.values_mut().flatten().filter(|k| others || k.number > self.accepted) {
                one.waived = waiver(&self.waivers, &id(RULES[rule], &one.found)).is_some();
            }
        }
        self.accepted = self.next;
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
        let all: Vec<(usize, &Kept)> = all(&self.found).collect();
        let (mut roots, ids) = caused(&all);
        let mut stale: Vec<(usize, Found)> = Vec::new();
        let is_found = |pattern: &str| match pattern.split_once('@').filter(|_| !pattern.contains('*')) {
            Some(id) => ids.contains_key(&id),
            None => ids.keys().any(|(rule, subject)| glob::matches(pattern, &format!("{rule}@{subject}"))),
        };
        for (rule, of) in RULES.iter().enumerate() {
            if let Check::Findings(check) = of.check {
                stale.extend(check(view, input.today, &is_found).into_iter().map(|f| (rule, f)));
            }
        }
        let mut made: Vec<(usize, u64, Made)> = Vec::with_capacity(all.len());
        for (at, (rule, kept)) in all.iter().enumerate() {
            let Some(also) = roots.get_mut(at).and_then(Option::take) else { continue };
            let also: Vec<&Kept> = also.iter().filter_map(|at| all.get(*at).map(|(_, k)| *k)).collect();
            // What follows is no less bad for standing below its cause; what somebody answers for is answered for.
            let open = also.iter().filter(|k| k.waived == kept.waived).map(|k| k.found.severity);
            let worst = open.chain([kept.found.severity]).max();
            let mut one = Made { also: also.iter().map(|k| k.number).collect(), worst, ..Made::default() };
            if let Some(by) = kept.found.lets.iter().find(|by| raising.takes(by)) {
                raising.raise(view, *by, &mut one);
            }
            made.push((*rule, kept.number, one));
        }
        let by_number: HashMap<u64, (usize, &Found)> =
            all.iter().map(|(rule, k)| (k.number, (*rule, &k.found))).collect();
        let mut findings = std::mem::take(&mut self.findings);
        let mut places = std::mem::take(&mut self.places);
        self.round += 1;
        let round = self.round;
        for (rule, number, one) in made {
            let Some((_, found)) = by_number.get(&number) else { continue };
            if let Some(place) = places.get_mut(&number) {
                if !waivers && place.made == one {
                    place.round = round;
                    if let Some(finding) = input.text.and_then(|_| findings.get_mut(&place.rank)) {
                        finding.evidence = evidence(found, input.text);
                    }
                    continue;
                }
                delta.gone.extend(findings.remove(&place.rank));
            }
            let also = one
                .also
                .iter()
                .filter_map(|n| by_number.get(n))
                .map(|(rule, f)| Consequence { id: id(RULES[*rule], f), why: f.why.clone() });
            let mut finding = placed(RULES[rule], found, also.collect(), input.text);
            // What mends the others of a group belongs to the mend of the one that stands for them.
            let of_group = one.also.iter().filter_map(|n| by_number.get(n));
            let of_group = of_group.filter(|(other, f)| *other == rule && f.group.is_some() && f.group == found.group);
            let mut known: HashSet<Change> = finding.fix.changes.iter().cloned().collect();
            let more = of_group.flat_map(|(_, f)| &f.fix.changes).filter(|c| known.insert((*c).clone()));
            finding.fix.changes.extend(more.cloned());
            finding.severity = one.worst.unwrap_or(finding.severity);
            if one.raised.is_some() {
                finding.raised = one.raised.clone().filter(|_| finding.severity.raised() > finding.severity);
                finding.severity = finding.severity.raised();
                (finding.paths, finding.more_paths) = (one.paths.clone(), one.more);
            }
            waive(&self.waivers, &mut finding);
            let rank = (Reverse(finding.severity), finding.id.clone(), rule, number);
            delta.new.push(finding.clone());
            places.insert(number, Place { rank: rank.clone(), made: one, round });
            findings.insert(rank, finding);
        }
        let mut next = self.next;
        for (rule, found) in stale {
            let mut finding = placed(RULES[rule], &found, Vec::new(), input.text);
            waive(&self.waivers, &mut finding);
            next += 1;
            let rank = (Reverse(finding.severity), finding.id.clone(), rule, next);
            delta.new.push(finding.clone());
            places.insert(next, Place { rank: rank.clone(), made: Made::default(), round });
            findings.insert(rank, finding);
        }
        places.retain(|_, place| {
            let stays = place.round == round;
            if !stays {
                delta.gone.extend(findings.remove(&place.rank));
            }
            stays
        });
        drop(by_number);
        (self.next, self.findings, self.places) = (next, findings, places);
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
    taken: Option<&'p HashSet<By>>,
    paths: HashMap<By, Vec<&'p str>>,
}

impl<'p> Raising<'p> {
    fn new(paths: &'p [Path], taken: &'p HashSet<By>) -> Self {
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

/// Everything that was found, in order.
fn all(found: &[BTreeMap<Option<Anchor>, Vec<Kept>>]) -> impl Iterator<Item = (usize, &Kept)> {
    found.iter().enumerate().flat_map(|(rule, kept)| kept.values().flatten().map(move |k| (rule, k)))
}

fn renumber(kept: &mut BTreeMap<Option<Anchor>, Vec<Kept>>, difference: &Difference) {
    let Difference { nodes, data, flows } = difference;
    if [nodes, data, flows].iter().all(|r| r.moved.is_none()) {
        let gone = flows.gone().map(Anchor::Flow).chain(nodes.gone().map(Anchor::Node));
        gone.chain(data.gone().map(Anchor::Datum)).for_each(|anchor| drop(kept.remove(&Some(anchor))));
        return;
    }
    let now = |anchor: Anchor| {
        Some(match anchor {
            Anchor::Datum(id) => Anchor::Datum(data.now(id)?),
            Anchor::Flow(id) => Anchor::Flow(flows.now(id)?),
            Anchor::Node(id) => Anchor::Node(nodes.now(id)?),
        })
    };
    *kept = std::mem::take(kept)
        .into_iter()
        .filter_map(|(anchor, mut all)| {
            for one in &mut all {
                // A step of which something is gone belongs to a thing that is asked again.
                one.found.lets = one.found.lets.iter().filter_map(|by| by.renumbered(difference)).collect();
            }
            Some((anchor.map_or(Some(None), |a| now(a).map(Some))?, all))
        })
        .collect();
}

/// Keeps what was found; what was found before keeps its number.
fn keep(kept: &mut BTreeMap<Option<Anchor>, Vec<Kept>>, next: &mut u64, anchor: Option<Anchor>, found: Vec<Found>) {
    if found.is_empty() {
        kept.remove(&anchor);
        return;
    }
    let before = kept.entry(anchor).or_default();
    let mut old = std::mem::take(before).into_iter().map(Some).collect::<Vec<_>>();
    for found in found {
        let same = old.iter_mut().find(|k| k.as_ref().is_some_and(|k| k.found == found)).and_then(Option::take);
        before.push(same.unwrap_or_else(|| {
            *next += 1;
            Kept { number: *next, found, waived: false }
        }));
    }
}

/// The last of what was found with an id.
type Ids<'f> = HashMap<(&'static str, &'f str), usize>;

/// Of each root what follows from it, none for what is no root; and the place of each id. Whoever accepts one of several
/// findings of one rule has not accepted the others: those that a waiver covers and those that none covers stand apart. Nor
/// has he accepted what is worse than what the waiver names.
fn caused<'f>(all: &[(usize, &'f Kept)]) -> (Vec<Option<Vec<usize>>>, Ids<'f>) {
    let own = |(rule, kept): &(usize, &'f Kept)| (RULES[*rule].id, kept.found.subject.as_str());
    let ids: Ids<'f> = all.iter().map(own).zip(0..).collect();
    let cause = |at: usize| {
        let (rule, kept) = all[at];
        let apart = |root: usize| all[root].0 == rule && all[root].1.waived != kept.waived;
        let follows =
            kept.found.follows.iter().filter_map(|(rule, subject)| ids.get(&(*rule, subject.as_str())).copied());
        follows.into_iter().find(|root| *root != at && !apart(*root))
    };
    let causes: Vec<Option<usize>> = (0..all.len()).map(cause).collect();
    let mut groups: HashMap<(usize, &str, bool), usize> = HashMap::new();
    // What has another cause stands for nothing.
    for (at, (rule, kept)) in all.iter().enumerate().filter(|(at, _)| causes[*at].is_none()) {
        if let Some(group) = &kept.found.group {
            let first = groups.entry((*rule, group, kept.waived)).or_insert(at);
            if kept.found.severity > all[*first].1.found.severity {
                *first = at;
            }
        }
    }
    let parent = |at: usize| {
        let (rule, kept) = all[at];
        let group = || groups.get(&(rule, kept.found.group.as_deref()?, kept.waived)).copied();
        causes[at].or_else(group).filter(|root| *root != at)
    };
    let parents: Vec<Option<usize>> = (0..all.len()).map(parent).collect();
    let mut also: Vec<Option<Vec<usize>>> = vec![None; all.len()];
    let mut followers: Vec<(usize, usize)> = Vec::new();
    for (at, of_its_own) in also.iter_mut().enumerate() {
        let mut root = at;
        // A circle would be a mistake of the rules; the bound turns it into a finding too many.
        for _ in 0..RULES.len() {
            match parents[root] {
                Some(parent) => root = parent,
                None => break,
            }
        }
        let (of, by) = (&all[at].1, &all[root].1);
        let worse = of.waived != by.waived && of.found.severity > by.found.severity;
        if root == at || parents[root].is_some() || worse {
            *of_its_own = Some(Vec::new());
        } else {
            followers.push((root, at));
        }
    }
    for (root, at) in followers {
        if let Some(also) = &mut also[root] {
            also.push(at);
        }
    }
    (also, ids)
}

fn id(rule: &Rule, found: &Found) -> String {
    format!("{}@{}", rule.id, found.subject)
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

fn placed(rule: &Rule, found: &Found, also: Vec<Consequence>, text: Option<&Text>) -> Finding {
    Finding {
        id: id(rule, found),
        severity: found.severity,
        why: found.why.clone(),
        fix: found.fix.clone(),
        also,
        controls: rule.controls.to_vec(),
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

#[cfg(test)]
mod tests;
