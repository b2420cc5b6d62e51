//! Attack paths: how somebody outside comes to data, step by step, in names of the model.
//!
//! There is one path for each essential way, not one for each walk through the diagram: the set of weaknesses that it needs
//! (an open store, a secret that opens too much, a login, an entry that nothing filters, a wire in the clear). A way that needs
//! more weaknesses than another one to the same thing is no path, and neither is the beginning of a longer one.
use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap, HashSet},
};

use model::{Class, Model, load::text::Text};
use serde::{Serialize, Serializer};

use crate::{
    Evidence, Question, QuestionError, Technique,
    ask::{Asked, Attacker},
    closure::{By, Fact},
    entry::sent_by,
    links::Touched,
    steps::{Marks, Reached, StepId, Steps},
    technique,
    view::{View, class_word},
    ways::{WayId, Ways, Weaknesses},
};

/// Most ways to one thing that are kept, those found first.
const WAYS_MAX: usize = 8;

/// What a path ends at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum End {
    /// A datum is had.
    Data,
    /// A node is controlled.
    Control,
}

/// A path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Path {
    /// `attacker>card`; more than one to the same thing are numbered: `attacker>card#2`.
    pub id: String,
    /// Who, or from which zone.
    pub from: String,
    /// Others who have the very same way.
    pub also_from: Vec<String>,
    /// A datum or a node.
    pub to: String,
    /// Which of both.
    pub end: End,
    /// How much it matters; an administration counts as a secret.
    #[serde(serialize_with = "word")]
    pub class: Class,
    /// Steps, each with all that it needs before it.
    pub steps: Vec<PathStep>,
    /// What the same way leads to besides.
    pub also: Vec<String>,
    /// The weaknesses that it needs, in names of the model: what the path essentially is.
    pub way: Vec<String>,
}

/// A step of a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PathStep {
    /// What the attacker does.
    pub does: String,
    /// What it is to ATT&CK.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub technique: Option<Technique>,
    /// Whether it is an assumption and not a reading of the diagram.
    pub assumed: bool,
    /// Where the model says what makes it possible.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Evidence>,
    /// Why it follows, for those who look for a mend.
    #[serde(skip)]
    pub(crate) by: By,
    /// What follows.
    #[serde(skip)]
    pub(crate) fact: Fact,
}

impl Path {
    /// The assumptions that it needs.
    pub fn assumptions(&self) -> impl Iterator<Item = &PathStep> {
        self.steps.iter().filter(|s| s.assumed)
    }

    /// Equal for the same path in another state of the model.
    pub fn key(&self) -> (&str, &[String], &str) {
        (&self.from, &self.way, if self.way.is_empty() { &self.to } else { "" })
    }
}

/// A model with every step worked out, of which questions are asked.
pub struct Attack<'m> {
    pub(crate) view: View<'m>,
    pub(crate) steps: Steps,
}

/// What was walked from outside, to be kept while the model changes.
pub(crate) struct Walked {
    attackers: Vec<Attacker>,
    of: Vec<Trodden>,
    /// The weaknesses that all attackers together use.
    pub(crate) taken: Weaknesses,
    worth: Worth,
}

/// Where one attacker comes.
struct Trodden {
    reached: Reached,
    found: Option<Found>,
}

/// The paths of one attacker, and what each is made from.
struct Found {
    ways: Ways,
    shown: Vec<Shown>,
    paths: Vec<Path>,
}

/// What a path is made from: what its way leads to, the most of that, and the steps to there.
struct Shown {
    group: Vec<Entry>,
    main: Entry,
    steps: Vec<StepId>,
}

/// What paths look at beside the steps: what each thing that is reached is worth, and where requests come in.
struct Worth {
    /// Of each fact at which a path may end, where anybody comes there.
    ends: Vec<Option<(Class, bool)>>,
    /// Of each node whether requests from outside come in there, and where those come in that pass it.
    entrances: Vec<(bool, Option<usize>)>,
}

impl Worth {
    fn new(attack: &Attack<'_>, of: &[Trodden]) -> Self {
        let steps = &attack.steps;
        let is_had = |fact: usize| of.iter().any(|of| of.reached.is_had(fact));
        let ends = steps.ends().map(|f| is_had(f).then(|| attack.worth(steps.numbers.fact(f)))).collect();
        Self { ends, entrances: Self::entrances(steps).collect() }
    }

    /// Brings it to the model as it is now, with the same steps; whether it is another one.
    fn follow(&mut self, attack: &Attack<'_>, touched: &Touched) -> bool {
        let steps = &attack.steps;
        let mut others = false;
        let nodes = touched.nodes.iter().map(|n| Fact::Control(*n));
        for fact in nodes.chain(touched.data.iter().map(|d| Fact::Hold(*d))) {
            let end = steps.numbers.of(fact) - steps.ends().start;
            if let Some(Some(before)) = self.ends.get_mut(end) {
                let now = attack.worth(fact);
                others |= std::mem::replace(before, now) != now;
            }
        }
        if !Self::entrances(steps).eq(self.entrances.iter().copied()) {
            self.entrances = Self::entrances(steps).collect();
            others = true;
        }
        others
    }

    fn entrances(steps: &Steps) -> impl Iterator<Item = (bool, Option<usize>)> {
        steps.around.entrances.iter().enumerate().map(|(node, entrance)| (steps.around.enters(node), *entrance))
    }
}

/// One way to one thing.
#[derive(Clone, Copy)]
struct Entry {
    fact: Fact,
    way: WayId,
    step: StepId,
}

impl<'m> Attack<'m> {
    /// Works out the steps. Linear in the nodes, flows and `opens` of the model.
    pub fn new(model: &'m Model) -> Self {
        let view = View::new(model);
        let steps = Steps::new(&view);
        Self { view, steps }
    }

    pub(crate) fn of(view: View<'m>, steps: Steps) -> Self {
        Self { view, steps }
    }

    /// The paths of everybody outside. What was walked before is kept where neither steps nor what they lead to are others now,
    /// and of that each path on which nothing was touched.
    pub(crate) fn outside(
        &self,
        before: Option<Walked>,
        touched: &Touched,
        text: Option<&Text>,
    ) -> (Walked, Vec<Path>) {
        let asked = Asked::outside(&self.view);
        let kept = before.filter(|b| b.attackers == asked.attackers);
        let mut walked = match kept {
            Some(mut walked) => {
                if walked.worth.follow(self, touched) {
                    walked.of.iter_mut().for_each(|of| of.found = None);
                }
                walked
            }
            None => self.walked(&asked),
        };
        for (attacker, of) in asked.attackers.iter().zip(&mut walked.of) {
            match &mut of.found {
                Some(found) => {
                    for (shown, path) in found.shown.iter().zip(&mut found.paths) {
                        if path.steps.iter().any(|s| touched.has(s.fact, s.by)) {
                            *path = self.path(&asked, &attacker.name, shown, &of.reached, &found.ways);
                        }
                    }
                }
                None => of.found = Some(self.of_one(&asked, &attacker.name, &of.reached)),
            }
        }
        let found: Vec<&Found> = walked.of.iter().filter_map(|of| of.found.as_ref()).collect();
        let paths = self.merge(&found, text);
        (walked, paths)
    }

    fn walked(&self, asked: &Asked) -> Walked {
        let of = asked.attackers.iter().map(|a| Trodden { reached: self.steps.walk(&a.given, true), found: None });
        let of: Vec<Trodden> = of.collect();
        let taken = match of.as_slice() {
            [one] => self.steps.weaknesses(&one.reached),
            _ => {
                let given: Vec<Fact> = asked.attackers.iter().flat_map(|a| a.given.iter().copied()).collect();
                self.steps.weaknesses(&self.steps.walk(&given, true))
            }
        };
        let worth = Worth::new(self, &of);
        Walked { attackers: asked.attackers.clone(), of, taken, worth }
    }

    /// The paths that answer a question: by class, then those that need fewest assumptions, then the shortest. With the text of
    /// the model each step has its place.
    ///
    /// # Errors
    /// The question names something that the model does not have.
    pub fn paths(&self, question: &Question, text: Option<&Text>) -> Result<Vec<Path>, QuestionError> {
        let asked = Asked::new(&self.view, question)?;
        let walk = |attacker: &Attacker| {
            let given: Vec<Fact> = attacker.given.iter().chain(&asked.assumed).copied().collect();
            self.steps.walk(&given, true)
        };
        let all: Vec<Reached> = asked.attackers.iter().map(walk).collect();
        Ok(self.answer(&asked, &all, text))
    }

    fn answer(&self, asked: &Asked, all: &[Reached], text: Option<&Text>) -> Vec<Path> {
        let each = asked.attackers.iter().zip(all);
        let found: Vec<Found> = each.map(|(attacker, reached)| self.of_one(asked, &attacker.name, reached)).collect();
        self.merge(&found.iter().collect::<Vec<_>>(), text)
    }

    /// Puts the paths of several attackers together: the same way of two is one path.
    fn merge(&self, all: &[&Found], text: Option<&Text>) -> Vec<Path> {
        let mut found: Vec<Path> = Vec::new();
        let mut known: HashMap<(Vec<By>, Option<&str>), usize> = HashMap::new();
        for of in all {
            for (shown, path) in of.shown.iter().zip(&of.paths) {
                let mut way: Vec<By> = of.ways.weaknesses(shown.main.way).collect();
                way.sort_unstable();
                let key = (way, path.way.is_empty().then_some(path.to.as_str()));
                match known.get(&key).and_then(|at| found.get_mut(*at)).filter(|p| p.to == path.to) {
                    Some(same) => same.also_from.push(path.from.clone()),
                    None => {
                        known.insert(key, found.len());
                        found.push(path.clone());
                    }
                }
            }
        }
        let rank = |p: &Path| (Reverse(p.class), p.assumptions().count(), p.steps.len());
        found.sort_by(|a, b| {
            rank(a).cmp(&rank(b)).then_with(|| (&a.from, &a.to, &a.way).cmp(&(&b.from, &b.to, &b.way)))
        });
        let mut count: BTreeMap<String, usize> = BTreeMap::new();
        for path in &mut found {
            let number = count.entry(path.id.clone()).or_default();
            *number += 1;
            if *number > 1 {
                path.id = format!("{}#{number}", path.id);
            }
            for step in path.steps.iter_mut().filter(|_| text.is_some()) {
                let model = technique::place(
                    &self.view,
                    &crate::closure::Step { fact: step.fact, by: step.by, from: [None; 2] },
                );
                let place = text.and_then(|t| t.place(&model)).filter(|_| !model.is_empty());
                step.at = place.map(|p| Evidence { file: p.file, line: p.line, path: p.path });
            }
        }
        found
    }

    fn of_one(&self, asked: &Asked, from: &str, reached: &Reached) -> Found {
        let mut ways = Ways::default();
        let entries = self.entries(asked, reached, &mut ways);
        let interior = self.interior(&entries, reached);
        // By way, in the order in which each was first found.
        let mut groups: Vec<Vec<Entry>> = Vec::new();
        let mut places: HashMap<(WayId, Option<Fact>), usize> = HashMap::new();
        for entry in entries {
            let bare = ways.weaknesses(entry.way).next().is_none();
            let place = *places.entry((entry.way, bare.then_some(entry.fact))).or_insert(groups.len());
            match groups.get_mut(place) {
                Some(group) => group.push(entry),
                None => groups.push(vec![entry]),
            }
        }
        // Each way has the path to the most that it leads to, unless that is only the beginning of another one.
        let mut marks = Marks::new(self.steps.numbers.count());
        let mut mains = Vec::new();
        for group in groups {
            let key =
                |(at, e): &(usize, &Entry)| (Reverse(self.class(e.fact)), self.is_interior(e, reached, &interior), *at);
            let Some((_, main)) = group.iter().enumerate().min_by_key(key) else { continue };
            let main = *main;
            marks.clear();
            let mut steps = Vec::new();
            reached.up_to(&self.steps, main.step, &mut marks, &mut steps);
            // Who asks for one thing is told the way to that.
            if asked.targets.is_none() {
                self.go_on(&main, reached, &mut marks, &mut steps);
            }
            mains.push(Shown { group, main, steps });
        }
        let mut covered: HashMap<StepId, (WayId, bool)> = HashMap::new();
        for Shown { main, steps, .. } in &mains {
            let inner = steps.iter().rev().skip(1);
            for step in inner {
                let by = covered.entry(*step).or_insert((main.way, false));
                by.1 |= by.0 != main.way;
            }
        }
        let is_covered = |e: &Entry| covered.get(&e.step).is_some_and(|(way, more)| *more || *way != e.way);
        mains.retain(|shown| !shown.group.iter().all(is_covered));
        let paths = mains.iter().map(|shown| self.path(asked, from, shown, reached, &ways)).collect();
        Found { ways, shown: mains, paths }
    }

    /// Every way to every target that needs no more than another one to the same.
    fn entries(&self, asked: &Asked, reached: &Reached, ways: &mut Ways) -> Vec<Entry> {
        let numbers = self.steps.numbers;
        let none = ways.none();
        let mut of = vec![none; numbers.count()];
        // Where the requests that reach a node entered: what is passed on is filtered there or nowhere. Who comes from inside
        // uses what the requests from outside leave open: then it is where those come in.
        let entrances = &self.steps.around.entrances;
        let mut entrance: Vec<usize> = (0..self.view.nodes.len()).collect();
        let mut found: Vec<Option<Entry>> = Vec::new();
        // The entries of each target, by the number of the target.
        let mut entries: Vec<Vec<usize>> = Vec::new();
        let mut targets: Vec<Option<usize>> = vec![None; numbers.count()];
        for id in &reached.taken {
            let step = self.steps.step(*id);
            let number = numbers.of(step.fact);
            let is_first = reached.first(number) == Some(*id);
            if is_first && asked.is_target(&self.view, step.fact) {
                targets[number] = Some(entries.len());
                entries.push(Vec::new());
            }
            let entries = targets[number].and_then(|at| entries.get_mut(at));
            let weakness = match step.by {
                By::Exploit(node) => {
                    let entered = entrance[node];
                    let entered = if self.steps.around.enters(entered) { Some(entered) } else { entrances[node] };
                    Some(By::Exploit(entered.unwrap_or(node)))
                }
                by => technique::is_weakness(by).then_some(by),
            };
            // With a weakness that nothing else needs it takes the place of none: where there are enough, it is one too many.
            let is_new = weakness.is_some_and(|w| !ways.knows(w));
            let is_wanted = entries.as_ref().is_some_and(|all| all.len() < WAYS_MAX || !is_new);
            if !is_first && !is_wanted {
                continue;
            }
            let mut way = none;
            for fact in step.from.iter().flatten() {
                way = ways.union(way, of[numbers.of(*fact)]);
            }
            if let Some(weakness) = weakness {
                let one = ways.one(weakness);
                way = ways.union(way, one);
            }
            if is_first {
                of[number] = way;
                if let (Fact::Reach(node), By::Forwarded(_), [Some(Fact::Reach(from)), _]) =
                    (step.fact, step.by, step.from)
                {
                    entrance[node] = entrance[from];
                }
            }
            let Some(entries) = entries else { continue };
            let way_of = |found: &[Option<Entry>], at: usize| found.get(at).and_then(|e| e.map(|e| e.way));
            if entries.iter().filter_map(|at| way_of(&found, *at)).any(|w| ways.is_within(w, way)) {
                continue;
            }
            entries.retain(|at| {
                let more = way_of(&found, *at).is_some_and(|w| ways.is_within(way, w));
                if more {
                    found[*at] = None;
                }
                !more
            });
            if entries.len() < WAYS_MAX {
                entries.push(found.len());
                found.push(Some(Entry { fact: step.fact, way, step: *id }));
            }
        }
        found.into_iter().flatten().collect()
    }

    /// Facts on the way of some entry, and the way, or that there are several.
    fn interior(&self, entries: &[Entry], reached: &Reached) -> Vec<Option<(WayId, bool)>> {
        let numbers = self.steps.numbers;
        let mut interior: Vec<Option<(WayId, bool)>> = vec![None; numbers.count()];
        let mut stack = Vec::new();
        for entry in entries {
            stack.push(entry.step);
            while let Some(step) = stack.pop() {
                for fact in self.steps.step(step).from.iter().flatten().map(|f| numbers.of(*f)) {
                    let marked = match interior[fact] {
                        None => Some((entry.way, false)),
                        Some((way, false)) if way != entry.way => Some((way, true)),
                        Some(_) => continue,
                    };
                    interior[fact] = marked;
                    stack.extend(reached.first(fact));
                }
            }
        }
        interior
    }

    fn is_interior(&self, entry: &Entry, reached: &Reached, interior: &[Option<(WayId, bool)>]) -> bool {
        let fact = self.steps.numbers.of(entry.fact);
        let marked = interior.get(fact).copied().flatten();
        reached.first(fact) == Some(entry.step) && marked.is_some_and(|(way, more)| more || way != entry.way)
    }

    /// An administration is seldom what somebody is after: if it gives out a secret that opens what can be reached, the path
    /// goes on there.
    fn go_on(&self, main: &Entry, reached: &Reached, marks: &mut Marks, steps: &mut Vec<StepId>) {
        let Fact::Control(admin) = main.fact else { return };
        let numbers = self.steps.numbers;
        let mut secrets: BTreeMap<usize, StepId> = BTreeMap::new();
        for id in self.steps.needing(numbers.of(main.fact)) {
            match (self.steps.step(id).fact, self.steps.step(id).by) {
                // What it can ask for at any time goes before what it would have to wait for.
                (Fact::Hold(secret), By::Moved(flow)) if self.view.flow(flow).from != admin => {
                    secrets.entry(secret).or_insert(id);
                }
                (Fact::Hold(secret), By::Moved(_) | By::Inside(_)) => {
                    secrets.insert(secret, id);
                }
                _ => {}
            }
        }
        let is_had = |fact: &Fact| reached.is_had(numbers.of(*fact));
        let opened = secrets.iter().filter(|(secret, _)| !marks.has(numbers.of(Fact::Hold(**secret)))).flat_map(
            |(secret, had)| {
                let next = self.steps.needing(numbers.of(Fact::Hold(*secret)));
                next.map(move |id| (*had, id, self.steps.step(id)))
            },
        );
        // What it gives back is on the path already.
        let next = opened.filter(|(had, _, step)| {
            let back = marks.has(numbers.of(step.fact)) || self.steps.step(*had).fact == step.fact;
            matches!(step.by, By::Opened(..)) && !back && step.from.iter().flatten().all(is_had)
        });
        let mut next: Vec<_> = next.collect();
        next.sort_by_key(|(_, _, step)| Reverse(self.class(step.fact)));
        let is_way = |(had, open, _): &(StepId, StepId, crate::closure::Step)| {
            let had = numbers.of(self.steps.step(*had).fact);
            !reached.is_circular(&self.steps, *open, |fact| fact == had || marks.has(fact))
        };
        let Some((secret, open, _)) = next.into_iter().find(is_way) else { return };
        steps.push(secret);
        marks.set(numbers.of(self.steps.step(secret).fact));
        reached.up_to(&self.steps, open, marks, steps);
    }

    /// What somebody gains who comes there: how much it matters, and whether he administers.
    fn worth(&self, fact: Fact) -> (Class, bool) {
        (self.class(fact), matches!(fact, Fact::Control(node) if self.view.node(node).node.admin))
    }

    fn class(&self, fact: Fact) -> Class {
        match fact {
            Fact::Hold(datum) | Fact::Forge(datum) => self.view.class(datum),
            Fact::Control(node) | Fact::Reach(node) if self.view.node(node).node.admin => Class::Secret,
            Fact::Control(node) | Fact::Reach(node) => {
                let of = self.view.node(node);
                let worst = self.view.worst(of.holds.iter().chain(&of.reads).copied());
                worst.map_or(Class::Internal, |d| self.view.class(d))
            }
            Fact::Stand(_) | Fact::Administer(_) => Class::Public,
        }
    }

    fn name(&self, fact: Fact) -> String {
        match fact {
            Fact::Hold(datum) | Fact::Forge(datum) => self.view.datum(datum).name.to_string(),
            Fact::Control(node) | Fact::Reach(node) => self.view.node(node).name.to_string(),
            Fact::Stand(zone) | Fact::Administer(zone) => {
                self.view.model.zones.keys().nth(zone).map_or_else(String::new, ToString::to_string)
            }
        }
    }

    fn path(&self, asked: &Asked, from: &str, shown: &Shown, reached: &Reached, ways: &Ways) -> Path {
        let Shown { group, main, steps } = shown;
        let numbers = self.steps.numbers;
        let end = steps.last().map_or(main.fact, |id| self.steps.step(*id).fact);
        let mut taken: Vec<crate::closure::Step> = steps.iter().map(|id| self.steps.step(*id)).collect();
        // Of several flows by which somebody may come in, the one of which something is passed on.
        for at in 0..taken.len() {
            let passed = taken.iter().skip(at).find_map(|s| match (s.by, s.fact) {
                (By::Forwarded(flow), _) if Fact::Reach(self.view.flow(flow).from) == taken[at].fact => Some(flow),
                _ => None,
            });
            if let (By::Party(flow), Some(passed)) = (taken[at].by, passed) {
                taken[at].by = By::Party(sent_by(&self.view, flow, passed));
            }
        }
        let taken = taken.into_iter();
        let needed: HashSet<usize> =
            taken.clone().flat_map(|s| s.from.into_iter().flatten().map(|f| numbers.of(f))).collect();
        let mut given: Vec<usize> = needed.into_iter().filter(|f| reached.is_given(*f)).collect();
        given.sort_unstable();
        let given =
            given.into_iter().map(|f| crate::closure::Step { fact: numbers.fact(f), by: By::Given, from: [None; 2] });
        let path_steps: Vec<PathStep> = given.chain(taken).map(|s| self.step(asked, &s)).collect();
        let on_path: HashSet<Fact> = path_steps.iter().map(|s| s.fact).collect();
        let mut also: Vec<(Reverse<Class>, String)> = group
            .iter()
            .filter(|e| !on_path.contains(&e.fact))
            .map(|e| (Reverse(self.class(e.fact)), self.name(e.fact)))
            .collect();
        also.sort();
        also.dedup();
        let mut way: Vec<String> =
            ways.weaknesses(main.way).filter_map(|by| technique::weakness(&self.view, by)).collect();
        way.sort();
        let to = self.name(end);
        // A path through an administration is worth as much as that.
        let class = self.class(main.fact).max(self.class(end));
        Path {
            id: format!("{from}>{to}"),
            from: from.to_owned(),
            also_from: Vec::new(),
            to,
            end: if matches!(end, Fact::Hold(_)) { End::Data } else { End::Control },
            class,
            steps: path_steps,
            also: also.into_iter().map(|(_, name)| name).collect(),
            way,
        }
    }

    fn step(&self, asked: &Asked, step: &crate::closure::Step) -> PathStep {
        let mut does = technique::sentence(&self.view, step);
        let given = step.by == By::Given && asked.assumed.contains(&step.fact);
        if given {
            does += ", as was assumed";
        }
        PathStep {
            does,
            technique: technique::of(&self.view, step),
            assumed: given || step.by.is_assumed(),
            at: None,
            by: step.by,
            fact: step.fact,
        }
    }
}

fn word<S: Serializer>(class: &Class, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(class_word(*class))
}

#[cfg(test)]
mod tests;
