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
    entry::{is_entrance, sent_by},
    steps::{Marks, Reached, StepId, Steps},
    technique,
    view::{View, class_word},
    ways::{WayId, Ways},
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

    /// The paths of everybody outside, and every way in which all of them together come to something.
    pub(crate) fn outside(&self, text: Option<&Text>) -> (Vec<Path>, HashSet<By>) {
        let asked = Asked::outside(&self.view);
        let all: Vec<Reached> = asked.attackers.iter().map(|a| self.steps.walk(&a.given, true)).collect();
        let paths = self.answer(&asked, &all, text);
        let together = match all.as_slice() {
            [one] => self.steps.weaknesses(one),
            _ => {
                let given: Vec<Fact> = asked.attackers.iter().flat_map(|a| a.given.iter().copied()).collect();
                self.steps.weaknesses(&self.steps.walk(&given, true))
            }
        };
        (paths, together)
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
        let mut ways = Ways::default();
        let mut found: Vec<Path> = Vec::new();
        let mut known: HashMap<(WayId, Option<String>), usize> = HashMap::new();
        for (attacker, reached) in asked.attackers.iter().zip(all) {
            for (way, path) in self.of_one(asked, &attacker.name, reached, &mut ways) {
                let key = (way, path.way.is_empty().then(|| path.to.clone()));
                match known.get(&key).and_then(|at| found.get_mut(*at)).filter(|p| p.to == path.to) {
                    Some(same) => same.also_from.push(path.from),
                    None => {
                        known.insert(key, found.len());
                        found.push(path);
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

    fn of_one(&self, asked: &Asked, from: &str, reached: &Reached, ways: &mut Ways) -> Vec<(WayId, Path)> {
        let entries = self.entries(asked, reached, ways);
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
        for group in &groups {
            let key =
                |(at, e): &(usize, &Entry)| (Reverse(self.class(e.fact)), self.is_interior(e, reached, &interior), *at);
            let Some((_, main)) = group.iter().enumerate().min_by_key(key) else { continue };
            marks.clear();
            let mut steps = Vec::new();
            reached.up_to(&self.steps, main.step, &mut marks, &mut steps);
            // Who asks for one thing is told the way to that.
            if asked.targets.is_none() {
                self.go_on(main, reached, &mut marks, &mut steps);
            }
            mains.push((group, *main, steps));
        }
        let mut covered: HashMap<StepId, (WayId, bool)> = HashMap::new();
        for (_, main, steps) in &mains {
            let inner = steps.iter().rev().skip(1);
            for step in inner {
                let by = covered.entry(*step).or_insert((main.way, false));
                by.1 |= by.0 != main.way;
            }
        }
        let is_covered = |e: &Entry| covered.get(&e.step).is_some_and(|(way, more)| *more || *way != e.way);
        let shown = mains.iter().filter(|(group, ..)| !group.iter().all(is_covered));
        shown
            .map(|(group, main, steps)| (main.way, self.path(asked, from, group, main, steps, reached, ways)))
            .collect()
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
        let mut to: HashMap<Fact, Vec<usize>> = HashMap::new();
        for id in &reached.taken {
            let step = self.steps.step(*id);
            let number = numbers.of(step.fact);
            let mut way = none;
            for fact in step.from.iter().flatten() {
                way = ways.union(way, of[numbers.of(*fact)]);
            }
            let weakness = match step.by {
                By::Exploit(node) => {
                    let entered = entrance[node];
                    let entered = if is_entrance(&self.view, entered) { Some(entered) } else { entrances[node] };
                    Some(By::Exploit(entered.unwrap_or(node)))
                }
                by => technique::is_weakness(by).then_some(by),
            };
            if let Some(weakness) = weakness {
                let one = ways.one(weakness);
                way = ways.union(way, one);
            }
            if reached.first(number) == Some(*id) {
                of[number] = way;
                if let (Fact::Reach(node), By::Forwarded(flow)) = (step.fact, step.by) {
                    entrance[node] = entrance[self.view.flow(flow).from];
                }
            }
            if reached.is_given(number) || !asked.is_target(&self.view, step.fact) {
                continue;
            }
            let all = to.entry(step.fact).or_default();
            let more = |at: &usize| found.get(*at).and_then(|e: &Option<Entry>| e.map(|e| e.way));
            if all.iter().filter_map(more).any(|w| ways.is_within(w, way)) {
                continue;
            }
            let (gone, kept): (Vec<usize>, Vec<usize>) =
                all.iter().partition(|at| more(at).is_some_and(|w| ways.is_within(way, w)));
            *all = kept;
            if all.len() < WAYS_MAX {
                all.push(found.len());
                found.push(Some(Entry { fact: step.fact, way, step: *id }));
            }
            gone.into_iter().for_each(|at| found[at] = None);
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
        let is_had = |fact: &Fact| reached.first(numbers.of(*fact)).is_some() || reached.is_given(numbers.of(*fact));
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
        let Some((secret, open, _)) = next.min_by_key(|(_, _, step)| Reverse(self.class(step.fact))) else { return };
        steps.push(secret);
        marks.set(numbers.of(self.steps.step(secret).fact));
        reached.up_to(&self.steps, open, marks, steps);
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

    #[expect(clippy::too_many_arguments, reason = "everything that one path is made of, in one place")]
    fn path(
        &self,
        asked: &Asked,
        from: &str,
        group: &[Entry],
        main: &Entry,
        steps: &[StepId],
        reached: &Reached,
        ways: &Ways,
    ) -> Path {
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
