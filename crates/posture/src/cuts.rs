//! Smallest cuts: which fewest changes of the model break most paths, each proved by asking again.
//!
//! The changes that could break a step are known per step; which of them break most paths is a hitting set, found exactly
//! where there are few and greedily otherwise. That is only a proposal: each change is made in the text, the text is read and
//! the question asked of what was read, and a change that breaks nothing there is not shown.
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use model::{
    Model, Name,
    load::text::{Change, Text},
};
use serde::Serialize;

use crate::{
    Attack, Path, Question, QuestionError,
    closure::By,
    differ::Difference,
    entry::{entrances_to, is_declared_only},
    links::Links,
    paths::PathStep,
    rule::{add, remove, set, take},
    steps::Steps,
    view::{Transit, View, list},
};

/// Most candidates of which every combination is tried.
const EXACT_MAX: usize = 14;
/// Most cuts that are made.
const CUTS_MAX: usize = 32;

/// The cuts of a model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cuts {
    /// The paths that there are without any.
    pub paths: Vec<Path>,
    /// In the order in which to make them.
    pub cuts: Vec<Cut>,
    /// The paths that are left when all are made; no change of the model is known that breaks one of them.
    pub left: Vec<Path>,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cut {
    /// In words.
    pub words: String,
    /// In the model.
    pub changes: Vec<Change>,
    /// Ids of the paths that it breaks by itself.
    pub breaks: Vec<String>,
    /// How many of the paths are broken when it and those before it are made.
    pub broken: usize,
    /// How many paths there are then: ways that were not worth telling beside a shorter one may come forward.
    pub left: usize,
}

/// A change that takes a step away.
#[derive(Clone, Debug, PartialEq)]
struct Candidate {
    words: String,
    changes: Vec<Change>,
    price: Price,
}

/// What a change costs beside the work; a dearer one is only for paths that no cheaper one breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Price {
    /// Nothing.
    None,
    /// It is declared, and Ward does not enforce it yet: somebody else must.
    Declared,
    /// A flow is taken away, which somebody may need.
    Drastic,
}

/// The smallest cuts for a question, at most `most` of them. The text must be that of a model without errors; where it is not,
/// there are none. Of each cut that is found the text without it and with it are told, upon those before it.
///
/// # Errors
/// The question names something that the model does not have.
pub fn cuts(
    text: &Text,
    question: &Question,
    most: usize,
    mut made: impl FnMut(&Text, &Text),
) -> Result<Cuts, QuestionError> {
    let Some(model) = text.load().model.map(Arc::new) else {
        return Ok(Cuts { paths: Vec::new(), cuts: Vec::new(), left: Vec::new() });
    };
    let mut proofs = Proofs::new(Arc::clone(&model));
    let paths = proofs.ask(Arc::clone(&model), Some(text), question)?;
    let mut all = Cuts { left: paths.clone(), paths, cuts: Vec::new() };
    let first = Arc::clone(&model);
    let mut now = (text.clone(), model);
    let mut failed: BTreeSet<String> = BTreeSet::new();
    while !all.left.is_empty() && all.cuts.len() < most.min(CUTS_MAX) {
        let view = View::new(&now.1);
        let Some(candidate) = best(&view, &all.left, &failed) else { break };
        let proof = proofs.proved(&now.0, question, &candidate.changes);
        let Some((after, left)) =
            proof.filter(|(_, left)| count_gone(&all.left, left) > 0 && left.len() <= all.left.len())
        else {
            failed.insert(candidate.words);
            continue;
        };
        // The first one is made alone.
        let breaks = match all.cuts.is_empty() {
            true => Some(gone(&all.paths, &left)),
            false => {
                let left = match alone(&first, &now.1, &after.1) {
                    Some(model) => proofs.ask(Arc::new(model), None, question).ok(),
                    None => proofs.proved(text, question, &candidate.changes).map(|(_, left)| left),
                };
                left.map(|left| gone(&all.paths, &left))
            }
        };
        made(&now.0, &after.0);
        all.cuts.push(Cut {
            words: candidate.words,
            changes: candidate.changes,
            breaks: breaks.unwrap_or_default(),
            broken: count_gone(&all.paths, &left),
            left: left.len(),
        });
        (now, all.left) = (after, left);
    }
    Ok(all)
}

/// A text with its model.
type Read = (Text, Arc<Model>);

/// The model that was asked about last: the next one differs little, and only what differs is worked out anew.
struct Proofs {
    model: Arc<Model>,
    links: Links,
    steps: Steps,
}

impl Proofs {
    fn new(model: Arc<Model>) -> Self {
        let view = View::new(&model);
        let steps = Steps::new(&view);
        Self { links: view.into_links(), steps, model }
    }

    fn ask(&mut self, model: Arc<Model>, text: Option<&Text>, question: &Question) -> Result<Vec<Path>, QuestionError> {
        let Some(difference) = Difference::between(&self.model, &model) else {
            *self = Self::new(Arc::clone(&model));
            return self.ask(model, text, question);
        };
        let touched = self.links.follow(&model, &difference);
        let view = View::of(&model, std::mem::take(&mut self.links));
        self.steps.follow(&view, &difference, &touched);
        let attack = Attack::of(view, std::mem::take(&mut self.steps));
        let paths = attack.paths(question, text);
        (self.links, self.steps) = (attack.view.into_links(), attack.steps);
        self.model = model;
        paths
    }

    /// The text with the changes, its model, and the paths that are left in it; none where the change cannot be made or the
    /// model would have errors.
    fn proved(&mut self, text: &Text, question: &Question, changes: &[Change]) -> Option<(Read, Vec<Path>)> {
        let after = text.changed(changes).ok()?;
        let model = Arc::new(after.load().model?);
        let left = self.ask(Arc::clone(&model), Some(&after), question).ok()?;
        Some(((after, model), left))
    }
}

/// The first model with what was changed from one to the next: nodes, data and flows, as every cut changes no more. None where
/// something of that was changed before, by another cut.
fn alone(first: &Model, before: &Model, after: &Model) -> Option<Model> {
    let Difference { nodes, data, flows } = Difference::between(before, after)?;
    if [&nodes, &data, &flows].iter().any(|r| r.new.len() > r.left.len()) {
        return None;
    }
    let mut alone = first.clone();
    for name in nodes.left.iter().filter_map(|id| before.nodes.keys().nth(*id)) {
        take_over(&mut alone.nodes, [&before.nodes, &after.nodes], name)?;
    }
    for name in data.left.iter().filter_map(|id| before.data.keys().nth(*id)) {
        take_over(&mut alone.data, [&before.data, &after.data], name)?;
    }
    for was in flows.left.iter().filter_map(|id| before.flows.get(*id)) {
        let at = alone.flows.iter().position(|f| f == was)?;
        match after.flows.iter().find(|f| f.id == was.id) {
            Some(now) => alone.flows[at] = now.clone(),
            None => drop(alone.flows.remove(at)),
        }
    }
    Some(alone)
}

fn take_over<T: Clone + PartialEq>(
    alone: &mut BTreeMap<Name, T>,
    [before, after]: [&BTreeMap<Name, T>; 2],
    name: &Name,
) -> Option<()> {
    let _same = alone.get(name).filter(|first| before.get(name) == Some(first))?;
    match after.get(name) {
        Some(now) => drop(alone.insert(name.clone(), now.clone())),
        None => drop(alone.remove(name)),
    }
    Some(())
}

/// Ids of the paths that are not there any more.
fn gone(before: &[Path], after: &[Path]) -> Vec<String> {
    before.iter().filter(|b| after.iter().all(|a| a.key() != b.key())).map(|b| b.id.clone()).collect()
}

fn count_gone(before: &[Path], after: &[Path]) -> usize {
    gone(before, after).len()
}

/// Of a smallest set of changes that breaks all paths that can be broken, the one that breaks most.
fn best(view: &View<'_>, paths: &[Path], failed: &BTreeSet<String>) -> Option<Candidate> {
    let mut hits: BTreeMap<String, (Candidate, BTreeSet<usize>)> = BTreeMap::new();
    for (at, path) in paths.iter().enumerate() {
        let own: Vec<Candidate> = path.steps.iter().flat_map(|s| candidates(view, s)).collect();
        let usable = |c: &&Candidate| !failed.contains(&c.words);
        let cheapest = own.iter().filter(usable).map(|c| c.price).min();
        for candidate in own.iter().filter(usable).filter(|c| Some(c.price) == cheapest) {
            let entry = hits.entry(candidate.words.clone()).or_insert_with(|| (candidate.clone(), BTreeSet::new()));
            entry.1.insert(at);
        }
    }
    let all: Vec<(Candidate, BTreeSet<usize>)> = hits.into_values().collect();
    let chosen = match all.len() <= EXACT_MAX {
        true => exact(&all),
        false => (0..all.len()).collect(),
    };
    let most = chosen.into_iter().filter_map(|at| all.get(at)).reduce(|best, other| {
        let better = (Reverse(other.0.price), other.1.len()) > (Reverse(best.0.price), best.1.len());
        if better { other } else { best }
    })?;
    Some(most.0.clone())
}

/// A set of fewest candidates that hits everything that can be hit, the first such in order.
fn exact(all: &[(Candidate, BTreeSet<usize>)]) -> Vec<usize> {
    let everything: BTreeSet<usize> = all.iter().flat_map(|(_, hit)| hit).copied().collect();
    let mut best: Option<(usize, Vec<usize>)> = None;
    for set in 0u32..1 << all.len() {
        let cost = set.count_ones() as usize;
        if best.as_ref().is_some_and(|(least, _)| *least <= cost) {
            continue;
        }
        let chosen: Vec<usize> = (0..all.len()).filter(|at| set >> at & 1 == 1).collect();
        let hit: BTreeSet<usize> =
            chosen.iter().filter_map(|at| all.get(*at)).flat_map(|(_, hit)| hit).copied().collect();
        if hit == everything {
            best = Some((cost, chosen));
        }
    }
    best.map(|(_, chosen)| chosen).unwrap_or_default()
}

/// A change that Ward only reads says so.
fn declared(of: Candidate, only: bool) -> Candidate {
    match only {
        true => Candidate {
            words: format!("{}: declared by this, not enforced by Ward yet", of.words),
            price: Price::Declared,
            ..of
        },
        false => of,
    }
}

/// What could take a step away.
fn candidates(view: &View<'_>, step: &PathStep) -> Vec<Candidate> {
    let one = |words: String, changes: Vec<Change>| Candidate { words, changes, price: Price::None };
    let node = |id: usize| view.node(id).name.as_str();
    match step.by {
        By::Exposed(zone, target) => {
            let Some(zone) = view.model.zones.keys().nth(zone) else { return Vec::new() };
            let words = format!("do not expose `{}` to `{zone}`", node(target));
            vec![one(words, vec![take(&["nodes", node(target), "exposed_to"], zone.as_str())])]
        }
        By::Open(target) => {
            let proof = if view.node(target).keeps() { "iam" } else { "session-token" };
            let words = format!("have `{}` ask for proof ({proof})", node(target));
            vec![one(words, vec![set(&["nodes", node(target), "auth"], proof)])]
        }
        By::Opened(secret, target) => {
            let of = view.datum(secret);
            // A holder that has a flow there needs the secret; without it the flow would be dead.
            let needed = |holder: &usize| view.outbound(*holder).any(|f| f.to == target);
            let answered = of.returned.iter().map(|f| view.flow(*f).from);
            if of.holders.iter().copied().chain(answered).any(|h| needed(&h)) {
                return Vec::new();
            }
            let words = format!("do not let `{}` open `{}`", of.name, node(target));
            vec![one(words, vec![take(&["data", of.name.as_str(), "opens"], node(target))])]
        }
        By::Exploit(target) => {
            // All of them: what comes in by one is as bad as what comes in by another.
            let entrances = entrances_to(view, target);
            let words = format!("filter requests to {} (waf)", list(entrances.iter().map(|n| node(*n))));
            let changes = entrances.iter().map(|n| add(&["nodes", node(*n), "guards"], "waf")).collect();
            vec![declared(one(words, changes), entrances.iter().any(|n| is_declared_only(view.node(*n), "waf")))]
        }
        // What logs in to a store is a program, which has no second factor.
        By::Login(target) if view.node(target).keeps() => Vec::new(),
        By::Login(target) => {
            let words = format!("ask for a second factor at `{}` (mfa)", node(target));
            let cut = one(words, vec![add(&["nodes", node(target), "guards"], "mfa")]);
            vec![declared(cut, is_declared_only(view.node(target), "mfa"))]
        }
        By::Sniffed(flow) => {
            let of = view.flow(flow);
            let words = format!("encrypt `{}`", of.flow.id);
            let change = match of.transit {
                Transit::Plain(Some(listener)) => {
                    set(&["nodes", node(of.to), "listen", listener.to_string().as_str(), "tls"], "auto")
                }
                _ => set(&["flows", of.flow.id.as_str(), "via", "tls"], "1.3"),
            };
            vec![one(words, vec![change])]
        }
        By::Party(flow) | By::Flow(flow) | By::Forwarded(flow) | By::Moved(flow) => {
            let id = view.flow(flow).flow.id.as_str();
            vec![Candidate {
                words: format!("take flow `{id}` away"),
                changes: vec![remove(&["flows", id])],
                price: Price::Drastic,
            }]
        }
        By::Given | By::Lies | By::Inside(_) | By::Administered(_) | By::Forged(_) | By::Runs(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests;
