//! Edits of a model, and the difference that they make: what is said to have changed need not be looked for.
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use model::{Data, Flow, Model, Name, Node, Waiver};

use crate::differ::{Difference, Renumbered};

/// One edit of a model.
#[derive(Clone, Debug, PartialEq)]
pub enum Edit {
    /// The node of that name is this one; it is added where there is none.
    Node(Name, Box<Node>),
    /// The node goes. Nothing may name it any more.
    NoNode(Name),
    /// The datum of that name is this one; it is added where there is none.
    Datum(Name, Box<Data>),
    /// The datum goes. Nothing may name it any more.
    NoDatum(Name),
    /// The flow of that id is this one; it is added as the last one where there is none.
    Flow(Box<Flow>),
    /// The flow goes; the last one takes its place.
    NoFlow(Name),
    /// These are the waivers.
    Waivers(Vec<Waiver>),
}

/// Why an edit cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// What should go, or is named, is not there.
    #[error("the model has no {kind} `{name}`")]
    Unknown {
        /// What it should be.
        kind: &'static str,
        /// As named.
        name: String,
    },
    /// What should go is named by something that stays.
    #[error("`{name}` cannot go: {by} names it")]
    Named {
        /// What should go.
        name: String,
        /// Who names it.
        by: String,
    },
}

/// Makes the edits, all or none; what differs then.
pub(crate) fn apply(model: &mut Arc<Model>, edits: Vec<Edit>) -> Result<Difference, EditError> {
    check(model, &edits)?;
    let before = Count { nodes: model.nodes.len(), data: model.data.len(), flows: model.flows.len() };
    let model = Arc::make_mut(model);
    let (mut nodes, mut data) = (Named::new(), Named::new());
    let mut flows = Listed::default();
    for edit in edits {
        match edit {
            Edit::Node(name, node) => nodes.put(&mut model.nodes, name, *node),
            Edit::NoNode(name) => nodes.take(&mut model.nodes, name),
            Edit::Datum(name, datum) => data.put(&mut model.data, name, *datum),
            Edit::NoDatum(name) => data.take(&mut model.data, name),
            Edit::Flow(flow) => flows.put(&mut model.flows, *flow),
            Edit::NoFlow(id) => flows.take(&mut model.flows, &id),
            Edit::Waivers(waivers) => model.waivers = waivers,
        }
    }
    Ok(Difference {
        nodes: nodes.told(before.nodes, &model.nodes),
        data: data.told(before.data, &model.data),
        flows: flows.told(before.flows, model.flows.len()),
    })
}

struct Count {
    nodes: usize,
    data: usize,
    flows: usize,
}

/// Names that were edited, each with whether it was there before.
struct Named(BTreeMap<Name, bool>);

impl Named {
    fn new() -> Self {
        Self(BTreeMap::new())
    }

    fn put<T>(&mut self, all: &mut BTreeMap<Name, T>, name: Name, thing: T) {
        let was = all.insert(name.clone(), thing).is_some();
        self.0.entry(name).or_insert(was);
    }

    fn take<T>(&mut self, all: &mut BTreeMap<Name, T>, name: Name) {
        let was = all.remove(&name).is_some();
        self.0.entry(name).or_insert(was);
    }

    /// Numbers are places by name: what comes or goes moves all behind it.
    fn told<T>(self, before: usize, now: &BTreeMap<Name, T>) -> Renumbered {
        if self.0.is_empty() {
            return Renumbered::of(None, Vec::new(), Vec::new(), now.len());
        }
        let (mut left, mut new) = (Vec::new(), Vec::new());
        let mut moved = Vec::with_capacity(before);
        let mut edited = self.0.iter().peekable();
        let (mut same, mut id) = (true, 0);
        let mut names = now.keys().peekable();
        loop {
            // The next name of either: of what is there now, or of what was edited and may be gone.
            let is_edited = match (names.peek(), edited.peek()) {
                (None, None) => break,
                (Some(name), Some((other, _))) => *other <= *name,
                (None, Some(_)) => true,
                (Some(_), None) => false,
            };
            if !is_edited {
                names.next();
                moved.push(Some(id));
                id += 1;
                continue;
            }
            let Some((name, was)) = edited.next() else { break };
            let is = names.next_if(|n| *n == name).is_some();
            same &= *was == is;
            if *was {
                left.push(moved.len());
                moved.push(is.then_some(id));
            }
            if is {
                new.push(id);
                id += 1;
            }
        }
        Renumbered::of((!same).then_some(moved), left, new, now.len())
    }
}

/// Places of flows that were edited, at the time of the edit.
#[derive(Default)]
struct Listed {
    edited: Vec<usize>,
    renamed: bool,
}

impl Listed {
    fn put(&mut self, all: &mut Vec<Flow>, flow: Flow) {
        let place = all.iter().position(|f| f.id == flow.id).unwrap_or(all.len());
        match all.get_mut(place) {
            Some(old) => *old = flow,
            None => all.push(flow),
        }
        self.edited.push(place);
    }

    fn take(&mut self, all: &mut Vec<Flow>, id: &Name) {
        let Some(place) = all.iter().position(|f| f.id == *id) else { return };
        all.swap_remove(place);
        self.edited.extend([place, all.len()]);
        self.renamed = true;
    }

    fn told(mut self, before: usize, now: usize) -> Renumbered {
        self.edited.sort_unstable();
        self.edited.dedup();
        let left = self.edited.iter().copied().filter(|f| *f < before).collect();
        let new = self.edited.iter().copied().filter(|f| *f < now).collect();
        let mut found = Renumbered::of(None, left, new, now);
        found.renamed = self.renamed;
        found
    }
}

/// Whether after the edits everything that is named is there.
fn check(model: &Model, edits: &[Edit]) -> Result<(), EditError> {
    let (mut nodes, mut data, mut flows) = (HashMap::new(), HashMap::new(), HashMap::new());
    for edit in edits {
        match edit {
            Edit::Node(name, node) => drop(nodes.insert(name, Some(&**node))),
            Edit::NoNode(name) => drop(nodes.insert(name, None)),
            Edit::Datum(name, datum) => drop(data.insert(name, Some(&**datum))),
            Edit::NoDatum(name) => drop(data.insert(name, None)),
            Edit::Flow(flow) => drop(flows.insert(&flow.id, Some(&**flow))),
            Edit::NoFlow(id) => drop(flows.insert(id, None)),
            Edit::Waivers(_) => {}
        }
    }
    let unknown = |kind, name: &Name| EditError::Unknown { kind, name: name.to_string() };
    let node = |name: &Name| match nodes.get(name).map_or_else(|| model.nodes.contains_key(name), Option::is_some) {
        true => Ok(()),
        false => Err(unknown("node", name)),
    };
    let datum = |name: &Name| match data.get(name).map_or_else(|| model.data.contains_key(name), Option::is_some) {
        true => Ok(()),
        false => Err(unknown("datum", name)),
    };
    for of in nodes.values().flatten() {
        of.holds.iter().chain(&of.reads).try_for_each(datum)?;
        for zone in of.exposed_to.iter().chain([&of.zone]) {
            model.zones.get(zone).ok_or_else(|| unknown("zone", zone))?;
        }
    }
    for of in data.values().flatten() {
        of.opens.iter().try_for_each(node)?;
        of.copy_of.iter().try_for_each(datum)?;
    }
    for of in flows.values().flatten() {
        [&of.from, &of.to].into_iter().try_for_each(node)?;
        of.carries.iter().chain(&of.returns).try_for_each(datum)?;
    }
    let (no_nodes, no_data) = (nodes.values().any(Option::is_none), data.values().any(Option::is_none));
    if no_nodes || no_data {
        let nodes_now: HashMap<&Name, bool> = nodes.iter().map(|(n, of)| (*n, of.is_some())).collect();
        let data_now: HashMap<&Name, bool> = data.iter().map(|(n, of)| (*n, of.is_some())).collect();
        for (name, of) in model.nodes.iter().filter(|(n, _)| !nodes.contains_key(n)) {
            named(&format!("`{name}`"), of.holds.iter().chain(&of.reads), &data_now)?;
        }
        for (name, of) in model.data.iter().filter(|(n, _)| !data.contains_key(n)) {
            let by = format!("`{name}`");
            named(&by, of.opens.iter(), &nodes_now)?;
            named(&by, of.copy_of.iter(), &data_now)?;
        }
        for of in model.flows.iter().filter(|f| !flows.contains_key(&f.id)) {
            let by = format!("the flow `{}`", of.id);
            named(&by, [&of.from, &of.to], &nodes_now)?;
            named(&by, of.carries.iter().chain(&of.returns), &data_now)?;
        }
    }
    let gone = |kind, name: &Name, was: bool| if was { Ok(()) } else { Err(unknown(kind, name)) };
    for edit in edits {
        match edit {
            Edit::NoNode(n) => gone("node", n, model.nodes.contains_key(n))?,
            Edit::NoDatum(n) => gone("datum", n, model.data.contains_key(n))?,
            Edit::NoFlow(n) => gone("flow", n, model.flows.iter().any(|f| f.id == *n))?,
            _ => {}
        }
    }
    Ok(())
}

fn named<'n>(by: &str, all: impl IntoIterator<Item = &'n Name>, stay: &HashMap<&Name, bool>) -> Result<(), EditError> {
    match all.into_iter().find(|n| stay.get(n) == Some(&false)) {
        None => Ok(()),
        Some(name) => Err(EditError::Named { name: name.to_string(), by: by.to_owned() }),
    }
}
