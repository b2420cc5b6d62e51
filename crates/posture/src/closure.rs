//! What an attacker can come to reach, control and hold: a monotone closure over the diagram, with every derivation.
//!
//! Four rules, each of which only ever adds facts, so the end does not depend on the order:
//!
//! - R1: who stands in a zone reaches what is exposed to it, and what a party there may send to; who controls a node
//!   stands in its zone and reaches what the node has flows to; a request that a service passes on reaches what is behind.
//!   What passes with a token only is passed on for who has one, or is the party.
//! - R2: who reaches a store or service that asks nobody for proof holds what it hands out.
//! - R3: who controls a node holds what it holds, reads, is sent, is answered and answers with; who controls an
//!   administration controls what lies in its zone, and in the zones inside that; who controls what sends or keeps a program
//!   (an artifact, an image, a manifest) makes it his own, and controls the services that get it.
//! - R4: who holds a secret and reaches what it opens is let in: an administration node or a login is then controlled, of
//!   anything else its data are held.
//!
//! And, as an assumption like the entries below: who stands in a zone reads what passes it unencrypted.
//!
//! Facts are derived breadth first, so the first derivation of a fact is a shortest one. All derivations are kept: which
//! changes cut a fact off is a question about all of them. Entries (breaking into a service that takes unguarded
//! requests, guessing or stealing a login) are assumptions: they are made only where asked for, after everything
//! that needs none, and each is marked.
use std::{
    borrow::Cow,
    collections::{BTreeSet, HashMap, HashSet, VecDeque, hash_map::Entry},
};

use model::{Auth, Class, Data, Name, NodeKind, Trust};

use crate::{
    differ::Difference,
    entry::{Passes, asked, does_something, is_entrance, is_turned_away, passes},
    links::Touched,
    view::{DataId, Exposed, FlowId, FlowView, NodeId, Transit, View},
};

/// A zone by its place among the model's zones.
pub type ZoneId = usize;
/// A step by its place in `Closure::steps`.
pub type StepId = usize;

/// Something that is true for the attacker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fact {
    /// Is somewhere in a zone.
    Stand(ZoneId),
    /// Administers what lies in a zone.
    Administer(ZoneId),
    /// Can open a connection to a node, or have a request passed on to it.
    Reach(NodeId),
    /// Acts as a node.
    Control(NodeId),
    /// Has a datum in readable form.
    Hold(DataId),
    /// Decides what is in a program that others run.
    Forge(DataId),
}

/// Why a fact follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum By {
    /// Given: where the attacker begins.
    Given,
    /// R1: a controlled node stands in its zone, a zone in the zone around it. R3: an administration administers its zone,
    /// and with a zone those in it.
    Lies,
    /// R1: the node is exposed to a zone.
    Exposed(ZoneId, NodeId),
    /// R1: a party of the zone may send there.
    Party(FlowId),
    /// R1: a controlled node has this flow.
    Flow(FlowId),
    /// R1: a service passes requests on.
    Forwarded(FlowId),
    /// R2: the node hands it to whoever asks.
    Open(NodeId),
    /// R3: the controlled node has it.
    Inside(NodeId),
    /// R3: the controlled node is sent it, or answered with it.
    Moved(FlowId),
    /// R3: the node lies in an administered zone.
    Administered(NodeId),
    /// R3: the controlled node sends the program, or keeps it.
    Forged(NodeId),
    /// R3: a service gets the program by this flow.
    Runs(FlowId),
    /// R4: the secret opens the node.
    Opened(DataId, NodeId),
    /// Assumed: the service falls to a request that nothing filters.
    Exploit(NodeId),
    /// Assumed: the login falls to a guessed or stolen credential.
    Login(NodeId),
    /// Assumed: a place on the wire where the flow passes unencrypted.
    Sniffed(FlowId),
}

impl By {
    /// Whether it is an assumption about an attacker's luck and not a reading of the diagram.
    pub fn is_assumed(self) -> bool {
        matches!(self, Self::Exploit(_) | Self::Login(_) | Self::Sniffed(_))
    }
}

/// One derivation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// What follows.
    pub fact: Fact,
    /// Why.
    pub by: By,
    /// From what: none, one or two facts.
    pub from: [Option<Fact>; 2],
}

/// Where the attacker begins, and what is granted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Start {
    /// Facts that are given.
    pub given: Vec<Fact>,
    /// Whether entries may be assumed.
    pub entries: bool,
}

/// Everything that follows.
pub struct Closure {
    /// Every derivation, in the order made: breadth first, those without assumptions before the others.
    pub steps: Vec<Step>,
    numbers: Numbers,
    /// Where the derivations of each fact begin in `order`, and where the last one's end.
    starts: Vec<usize>,
    /// Steps by fact, those of one fact in the order made.
    order: Vec<StepId>,
    /// Facts that hold only under an assumption.
    assumed: Vec<bool>,
    uses: HashSet<By>,
}

/// Facts as numbers from 0, so that what is known of each is one look into a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Numbers {
    pub(crate) zones: usize,
    pub(crate) nodes: usize,
    pub(crate) data: usize,
}

impl Numbers {
    pub(crate) fn new(view: &View<'_>) -> Self {
        Self { zones: view.model.zones.len(), nodes: view.nodes.len(), data: view.data.len() }
    }

    pub(crate) fn of(self, fact: Fact) -> usize {
        match fact {
            Fact::Stand(zone) => zone,
            Fact::Reach(node) => self.zones + node,
            Fact::Control(node) => self.zones + self.nodes + node,
            Fact::Hold(datum) => self.zones + 2 * self.nodes + datum,
            Fact::Administer(zone) => self.zones + 2 * self.nodes + self.data + zone,
            Fact::Forge(datum) => 2 * self.zones + 2 * self.nodes + self.data + datum,
        }
    }

    /// Whether there is what a fact is about.
    pub(crate) fn has(self, fact: Fact) -> bool {
        match fact {
            Fact::Stand(zone) | Fact::Administer(zone) => zone < self.zones,
            Fact::Reach(node) | Fact::Control(node) => node < self.nodes,
            Fact::Hold(datum) | Fact::Forge(datum) => datum < self.data,
        }
    }

    /// The fact with a number.
    pub(crate) fn fact(self, number: usize) -> Fact {
        let (reach, control) = (self.zones, self.zones + self.nodes);
        let hold = control + self.nodes;
        match number {
            n if n < reach => Fact::Stand(n),
            n if n < control => Fact::Reach(n - reach),
            n if n < hold => Fact::Control(n - control),
            n if n < hold + self.data => Fact::Hold(n - hold),
            n if n < hold + self.data + self.zones => Fact::Administer(n - hold - self.data),
            n => Fact::Forge(n - hold - self.data - self.zones),
        }
    }

    pub(crate) fn count(self) -> usize {
        2 * self.zones + 2 * self.nodes + 2 * self.data
    }
}

impl Start {
    /// Everybody in a zone without trust, and every hostile party; entries may be assumed.
    pub fn outside(view: &View<'_>) -> Self {
        let zones = view.model.zones.values().enumerate().filter(|(_, z)| z.trust == Trust::None);
        let hostile = view.nodes.iter().enumerate().filter(|(_, n)| n.node.hostile);
        let given = zones.map(|(id, _)| Fact::Stand(id)).chain(hostile.map(|(id, _)| Fact::Control(id))).collect();
        Self { given, entries: true }
    }
}

impl Closure {
    /// Derives everything. Linear in the nodes, flows and `opens` of the model.
    pub fn new(view: &View<'_>, start: &Start) -> Self {
        let mut run = Run::new(view, Cow::Owned(Surroundings::new(view)), None);
        for fact in &start.given {
            run.derive(*fact, By::Given, [None, None]);
        }
        run.exhaust();
        if start.entries {
            run.entries = true;
            let reached: Vec<NodeId> = (0..view.nodes.len()).filter(|n| run.is_done(Fact::Reach(*n))).collect();
            let stood: Vec<ZoneId> = (0..run.zones.len()).filter(|z| run.is_done(Fact::Stand(*z))).collect();
            run.assuming = true;
            for node in reached {
                run.enter(node);
            }
            for zone in stood {
                run.listen(zone);
            }
            run.exhaust();
        }
        let lacks = |by: &By| {
            !matches!(
                by,
                By::Given
                    | By::Lies
                    | By::Party(_)
                    | By::Flow(_)
                    | By::Forwarded(_)
                    | By::Inside(_)
                    | By::Moved(_)
                    | By::Administered(_)
                    | By::Forged(_)
                    | By::Runs(_)
            )
        };
        let uses = run.steps.iter().map(|s| s.by).filter(lacks).collect();
        // Counting sort: how many derivations each fact has, where they begin, and then each in its place.
        let numbers = run.numbers;
        let mut starts = vec![0; numbers.count() + 1];
        for step in &run.steps {
            starts[numbers.of(step.fact) + 1] += 1;
        }
        for fact in 0..numbers.count() {
            starts[fact + 1] += starts[fact];
        }
        let (mut next, mut order) = (starts.clone(), vec![0; run.steps.len()]);
        for (id, step) in run.steps.iter().enumerate() {
            let place = &mut next[numbers.of(step.fact)];
            order[*place] = id;
            *place += 1;
        }
        Self { steps: run.steps, numbers, starts, order, assumed: run.assumed, uses }
    }

    /// Whether it follows.
    pub fn has(&self, fact: Fact) -> bool {
        self.derivations(fact).next().is_some()
    }

    /// Whether it follows only when an entry is assumed.
    pub fn is_assumed(&self, fact: Fact) -> bool {
        self.assumed.get(self.numbers.of(fact)) == Some(&true)
    }

    /// Whether something is derived this way. Only ways that a change of a guarantee takes away are known: not flows, nor
    /// what a node has.
    pub fn uses(&self, by: By) -> bool {
        self.uses.contains(&by)
    }

    /// Every derivation of a fact, the first one first.
    pub fn derivations(&self, fact: Fact) -> impl Iterator<Item = &Step> {
        let fact = self.numbers.of(fact);
        let range = self.starts.get(fact).zip(self.starts.get(fact + 1)).map_or(0..0, |(from, to)| *from..*to);
        self.order.get(range).into_iter().flatten().filter_map(|id| self.steps.get(*id))
    }

    /// The steps that lead to a fact by first derivations, premises before what follows from them, each once.
    pub fn path(&self, fact: Fact) -> Vec<&Step> {
        let (mut steps, mut seen, mut stack) = (Vec::new(), HashSet::new(), vec![(fact, false)]);
        while let Some((fact, ready)) = stack.pop() {
            let Some(step) = self.derivations(fact).next() else { continue };
            if ready {
                steps.push(step);
            } else if seen.insert(fact) {
                stack.push((fact, true));
                stack.extend(step.from.iter().rev().flatten().map(|f| (*f, false)));
            }
        }
        steps
    }
}

/// Draws every step that the diagram lets somebody take who has what it needs, fact by fact, whether or not anybody gets
/// there. The steps of a closure are those of them whose premises follow.
pub(crate) struct Draw<'v, 'm>(Run<'v, 'm>);

impl<'v, 'm> Draw<'v, 'm> {
    /// With what was touched, of each zone only the steps to that and into other zones are drawn; of all else every one.
    pub(crate) fn new(view: &'v View<'m>, around: &'v Surroundings, touched: Option<&Touched>) -> Self {
        let mut run = Run::new(view, Cow::Borrowed(around), touched);
        run.entries = true;
        run.known.fill(true);
        run.done.fill(true);
        Self(run)
    }

    pub(crate) fn numbers(&self) -> Numbers {
        self.0.numbers
    }

    /// The steps that need a fact; those that need another one besides are among the steps of that as well.
    pub(crate) fn needing(&mut self, fact: Fact) -> &[Step] {
        self.0.steps.clear();
        self.0.draw(fact);
        &self.0.steps
    }
}

/// What lies around each flow, and where strangers come in: what steps stand on that look farther than one node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Surroundings {
    /// For whom each flow passes requests on.
    passes: Vec<Passes>,
    /// From where to where each flow passes them on.
    onward: Vec<Option<[NodeId; 2]>>,
    /// What is passed on with a token only, by what it needs: the token, or to be who has it.
    with: HashMap<Fact, BTreeSet<FlowId>>,
    /// The zones that each flow passes with something to read in it.
    wires: Vec<Vec<ZoneId>>,
    /// The zone in which anybody may send by a flow, of each flow.
    parties: Vec<Option<ZoneId>>,
    /// The zone that a node lies in, of each that does something.
    lies: Vec<Option<ZoneId>>,
    gates: Vec<Gate>,
    /// Where requests from outside come in that nothing filters, of each node.
    pub(crate) entrances: Vec<Option<NodeId>>,
}

/// What a node does with requests from outside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Gate {
    enters: bool,
    filters: bool,
    used: bool,
}

impl Surroundings {
    pub(crate) fn new(view: &View<'_>) -> Self {
        let mut found = Self::default();
        found.place(&Difference::all(view.model));
        found.look(view, 0..view.flows.len(), 0..view.nodes.len(), &mut Vec::new());
        found.entrances = found.entered(view);
        found
    }

    /// Brings them from the model before the difference to the one after it; the facts from which other steps may lead now,
    /// beside those of what was touched.
    pub(crate) fn follow(&mut self, view: &View<'_>, difference: &Difference, touched: &Touched) -> Vec<Fact> {
        let mut facts = Vec::new();
        let Difference { nodes, data, flows } = difference;
        let gone = |flow: &&FlowId| flows.now(**flow).is_none();
        let is_onward = |flow: &FlowId| self.onward.get(*flow).is_some_and(Option::is_some);
        let mut others = nodes.moved.is_some() || self.gates.len() != view.nodes.len();
        others |= flows.left.iter().filter(gone).any(is_onward);
        for flow in flows.gone() {
            self.pass(flow, Passes::Never, &mut facts);
        }
        self.place(difference);
        if [nodes, data, flows].iter().any(|r| r.moved.is_some()) {
            self.with.clear();
            for (flow, passes) in self.passes.iter_mut().enumerate() {
                if let Passes::With(needs) = passes {
                    *needs = needs.iter().filter_map(|f| f.renumbered(difference)).collect();
                    for need in needs {
                        self.with.entry(*need).or_default().insert(flow);
                    }
                }
            }
            let now = |[from, to]: [NodeId; 2]| Some([nodes.now(from)?, nodes.now(to)?]);
            self.onward.iter_mut().for_each(|ends| *ends = ends.and_then(now));
        }
        others |= self.look(view, touched.flows.iter().copied(), touched.nodes.iter().copied(), &mut facts);
        if !others {
            return facts;
        }
        let mut before = std::mem::take(&mut self.entrances);
        nodes.place(&mut before, &None);
        self.entrances = self.entered(view);
        // Where requests came in by a node that is gone, they come in by none or by another one.
        let is_other = |was: Option<NodeId>, is| was.and_then(|n| nodes.now(n)) != is || was.is_some() && is.is_none();
        let changed = before.iter().zip(&self.entrances).enumerate().filter(|(_, (was, is))| is_other(**was, **is));
        facts.extend(changed.map(|(node, _)| Fact::Reach(node)));
        facts
    }

    fn place(&mut self, difference: &Difference) {
        difference.flows.place(&mut self.passes, &Passes::Never);
        difference.flows.place(&mut self.onward, &None);
        difference.flows.place(&mut self.wires, &Vec::new());
        difference.flows.place(&mut self.parties, &None);
        difference.nodes.place(&mut self.lies, &None);
        difference.nodes.place(&mut self.gates, &Gate::default());
    }

    /// For whom a flow passes requests on now. Adds the facts with which it does, or did before.
    fn pass(&mut self, flow: FlowId, now: Passes, facts: &mut Vec<Fact>) {
        let Some(passes) = self.passes.get_mut(flow).filter(|before| **before != now) else { return };
        let before = std::mem::replace(passes, now);
        if let Passes::With(needs) = before {
            facts.extend(&needs);
            for need in needs {
                if let Entry::Occupied(mut with) = self.with.entry(need) {
                    with.get_mut().remove(&flow);
                    if with.get().is_empty() {
                        with.remove();
                    }
                }
            }
        }
        if let Passes::With(needs) = &self.passes[flow] {
            facts.extend(needs);
            for need in needs {
                self.with.entry(*need).or_default().insert(flow);
            }
        }
    }

    /// Whether requests from outside come in at a node with nothing to filter or limit them.
    pub(crate) fn enters(&self, node: NodeId) -> bool {
        self.gates.get(node).is_some_and(|gate| gate.enters)
    }

    /// Whether requests from outside may go other ways now.
    fn look(
        &mut self,
        view: &View<'_>,
        flows: impl Iterator<Item = FlowId>,
        nodes: impl Iterator<Item = NodeId>,
        facts: &mut Vec<Fact>,
    ) -> bool {
        let zones = zones(view);
        let mut others = false;
        for flow in flows {
            let (of, now) = (view.flow(flow), passes(view, flow));
            let onward = (now != Passes::Never).then_some([of.from, of.to]);
            let elsewhere = std::mem::replace(&mut self.onward[flow], onward) != onward;
            // With the same facts as before it may lead somewhere else.
            if let (true, Passes::With(needs)) = (elsewhere, &now) {
                facts.extend(needs);
            }
            others |= elsewhere;
            self.pass(flow, now, facts);
            self.wires[flow] = match readable(view, flow).next() {
                None => Vec::new(),
                Some(_) => passed(view, of).iter().filter_map(|z| zones.get(z.as_str()).copied()).collect(),
            };
            let from = view.node(of.from);
            let open = !of.flow.standby && from.is_anybody() && !is_turned_away(view, of);
            self.parties[flow] = zones.get(from.node.zone.as_str()).copied().filter(|_| open);
        }
        for node in nodes {
            let of = view.node(node);
            let does = of.node.kind != NodeKind::Party;
            self.lies[node] = zones.get(of.node.zone.as_str()).copied().filter(|_| does);
            let gate = Gate {
                enters: is_entrance(view, node),
                filters: of.guarded(&["waf"]),
                used: does_something(view, node),
            };
            others |= std::mem::replace(&mut self.gates[node], gate) != gate;
        }
        others
    }

    /// Of each service that does something with requests from outside which nothing filtered on their way: where they come in,
    /// the first of several.
    fn entered(&self, view: &View<'_>) -> Vec<Option<NodeId>> {
        let mut seen: Vec<Option<NodeId>> = vec![None; self.gates.len()];
        for (entry, _) in self.gates.iter().enumerate().filter(|(_, g)| g.enters) {
            let mut queue = VecDeque::from([entry]);
            while let Some(node) = queue.pop_front() {
                if seen[node].is_some() || self.gates[node].filters {
                    continue;
                }
                seen[node] = Some(entry);
                let onward = view.node(node).outbound.iter().filter_map(|f| self.onward[*f]);
                queue.extend(onward.map(|[_, to]| to));
            }
        }
        seen.iter().zip(&self.gates).map(|(seen, gate)| seen.filter(|_| gate.used)).collect()
    }
}

impl Fact {
    /// The same after a difference; none where what it is about is gone.
    pub(crate) fn renumbered(self, difference: &Difference) -> Option<Self> {
        let Difference { nodes, data, .. } = difference;
        Some(match self {
            Self::Stand(zone) => Self::Stand(zone),
            Self::Administer(zone) => Self::Administer(zone),
            Self::Reach(node) => Self::Reach(nodes.now(node)?),
            Self::Control(node) => Self::Control(nodes.now(node)?),
            Self::Hold(datum) => Self::Hold(data.now(datum)?),
            Self::Forge(datum) => Self::Forge(data.now(datum)?),
        })
    }
}

impl By {
    /// The same after a difference; none where what it is about is gone.
    pub(crate) fn renumbered(self, difference: &Difference) -> Option<Self> {
        let Difference { nodes, data, flows } = difference;
        Some(match self {
            Self::Given => Self::Given,
            Self::Lies => Self::Lies,
            Self::Exposed(zone, node) => Self::Exposed(zone, nodes.now(node)?),
            Self::Party(flow) => Self::Party(flows.now(flow)?),
            Self::Flow(flow) => Self::Flow(flows.now(flow)?),
            Self::Forwarded(flow) => Self::Forwarded(flows.now(flow)?),
            Self::Open(node) => Self::Open(nodes.now(node)?),
            Self::Inside(node) => Self::Inside(nodes.now(node)?),
            Self::Moved(flow) => Self::Moved(flows.now(flow)?),
            Self::Administered(node) => Self::Administered(nodes.now(node)?),
            Self::Forged(node) => Self::Forged(nodes.now(node)?),
            Self::Runs(flow) => Self::Runs(flows.now(flow)?),
            Self::Opened(datum, node) => Self::Opened(data.now(datum)?, nodes.now(node)?),
            Self::Exploit(node) => Self::Exploit(nodes.now(node)?),
            Self::Login(node) => Self::Login(nodes.now(node)?),
            Self::Sniffed(flow) => Self::Sniffed(flows.now(flow)?),
        })
    }
}

fn zones<'m>(view: &View<'m>) -> HashMap<&'m str, ZoneId> {
    view.model.zones.keys().map(Name::as_str).zip(0..).collect()
}

/// A closure in the making.
struct Run<'v, 'm> {
    view: &'v View<'m>,
    around: Cow<'v, Surroundings>,
    zones: HashMap<&'m str, ZoneId>,
    parents: Vec<Option<ZoneId>>,
    /// Nodes exposed to a zone by their own word.
    exposed: Vec<Vec<NodeId>>,
    /// Flows of parties in a zone.
    parties: Vec<Vec<FlowId>>,
    /// Zones in a zone, and nodes in it that do something.
    within: Vec<(Vec<ZoneId>, Vec<NodeId>)>,
    /// Flows that pass a zone with something to read in them.
    wires: Vec<Vec<FlowId>>,
    steps: Vec<Step>,
    numbers: Numbers,
    known: Vec<bool>,
    assumed: Vec<bool>,
    queue: VecDeque<Fact>,
    /// Facts whose consequences were drawn.
    done: Vec<bool>,
    entries: bool,
    assuming: bool,
}

impl<'v, 'm> Run<'v, 'm> {
    /// With what was touched, what lies in a zone is only that.
    fn new(view: &'v View<'m>, around: Cow<'v, Surroundings>, touched: Option<&Touched>) -> Self {
        let model = view.model;
        let zones = zones(view);
        let id = |name: &Name| zones.get(name.as_str()).copied();
        let parents: Vec<Option<ZoneId>> = model.zones.values().map(|z| z.parent.as_ref().and_then(id)).collect();
        let mut within: Vec<(Vec<ZoneId>, Vec<NodeId>)> = vec![Default::default(); zones.len()];
        for (zone, parent) in parents.iter().enumerate() {
            parent.iter().for_each(|p| within[*p].0.push(zone));
        }
        let (mut exposed, mut parties) = (vec![Vec::new(); zones.len()], vec![Vec::new(); zones.len()]);
        let mut wires = vec![Vec::new(); zones.len()];
        let nodes: Vec<NodeId> = touched.map_or_else(|| (0..view.nodes.len()).collect(), |t| t.nodes.clone());
        for node in nodes {
            around.lies[node].iter().for_each(|z| within[*z].1.push(node));
            view.node(node).node.exposed_to.iter().filter_map(id).for_each(|z| exposed[z].push(node));
        }
        let flows: Vec<FlowId> = touched.map_or_else(|| (0..view.flows.len()).collect(), |t| t.flows.clone());
        for flow in flows {
            around.parties[flow].iter().for_each(|z| parties[*z].push(flow));
            around.wires[flow].iter().for_each(|z| wires[*z].push(flow));
        }
        let numbers = Numbers::new(view);
        Self {
            view,
            around,
            numbers,
            zones,
            parents,
            exposed,
            parties,
            within,
            wires,
            steps: Vec::new(),
            known: vec![false; numbers.count()],
            assumed: vec![false; numbers.count()],
            queue: VecDeque::new(),
            done: vec![false; numbers.count()],
            entries: false,
            assuming: false,
        }
    }

    fn derive(&mut self, fact: Fact, by: By, from: [Option<Fact>; 2]) {
        let number = self.numbers.of(fact);
        self.steps.push(Step { fact, by, from });
        if !std::mem::replace(&mut self.known[number], true) {
            self.assumed[number] = self.assuming;
            self.queue.push_back(fact);
        }
    }

    /// Whether what follows from it has been drawn.
    fn is_done(&self, fact: Fact) -> bool {
        self.done[self.numbers.of(fact)]
    }

    fn exhaust(&mut self) {
        while let Some(fact) = self.queue.pop_front() {
            let number = self.numbers.of(fact);
            self.done[number] = true;
            self.draw(fact);
        }
    }

    /// What follows from a fact and others that are done.
    fn draw(&mut self, fact: Fact) {
        match fact {
            Fact::Stand(zone) => self.stand(zone, fact),
            Fact::Reach(node) => self.reach(node, fact),
            Fact::Control(node) => {
                self.control(node, fact);
                self.passed_with(fact);
            }
            Fact::Administer(zone) => {
                let (zones, nodes) = self.within.get(zone).cloned().unwrap_or_default();
                for zone in zones {
                    self.derive(Fact::Administer(zone), By::Lies, [Some(fact), None]);
                }
                for node in nodes {
                    self.derive(Fact::Control(node), By::Administered(node), [Some(fact), None]);
                }
            }
            Fact::Forge(datum) => self.forge(datum, fact),
            Fact::Hold(datum) => {
                self.passed_with(fact);
                for node in self.view.datum(datum).opens.clone() {
                    if self.is_done(Fact::Reach(node)) {
                        self.opened(datum, node);
                    }
                }
            }
        }
    }

    fn stand(&mut self, zone: ZoneId, fact: Fact) {
        let from = [Some(fact), None];
        if let Some(parent) = self.parents.get(zone).copied().flatten() {
            self.derive(Fact::Stand(parent), By::Lies, from);
        }
        for node in self.exposed.get(zone).cloned().unwrap_or_default() {
            self.derive(Fact::Reach(node), By::Exposed(zone, node), from);
        }
        for flow in self.parties.get(zone).cloned().unwrap_or_default() {
            self.derive(Fact::Reach(self.view.flow(flow).to), By::Party(flow), from);
        }
        if self.entries {
            self.listen(zone);
        }
    }

    fn reach(&mut self, node: NodeId, fact: Fact) {
        let from = [Some(fact), None];
        let (view, of) = (self.view, self.view.node(node));
        if of.keeps() && of.open() {
            for datum in &of.holds {
                self.derive(Fact::Hold(*datum), By::Open(node), from);
            }
        }
        for flow in &of.inbound {
            for datum in handed_out(view, *flow) {
                self.derive(Fact::Hold(datum), By::Open(node), from);
            }
        }
        for flow in &of.outbound {
            let to = Fact::Reach(view.flow(*flow).to);
            match self.around.passes.get(*flow).cloned().unwrap_or(Passes::Never) {
                Passes::Never => {}
                Passes::Always => self.derive(to, By::Forwarded(*flow), from),
                Passes::With(needs) => {
                    for need in needs.into_iter().filter(|n| self.is_done(*n)).collect::<Vec<_>>() {
                        self.derive(to, By::Forwarded(*flow), [Some(fact), Some(need)]);
                    }
                }
            }
        }
        for secret in &of.openers {
            if self.is_done(Fact::Hold(*secret)) {
                self.opened(*secret, node);
            }
        }
        if self.entries {
            self.enter(node);
        }
    }

    /// Who gets the program runs it: a service that is sent it, or that fetches it. A store only keeps it.
    fn forge(&mut self, datum: DataId, fact: Fact) {
        let (view, of) = (self.view, self.view.datum(datum));
        // Nobody comes to decide what is in anything else.
        if !is_program(of.datum) {
            return;
        }
        let sent = of.carried.iter().map(|f| (*f, view.flow(*f).to));
        let fetched = of.returned.iter().map(|f| (*f, view.flow(*f).from));
        for (flow, node) in sent.chain(fetched) {
            if view.node(node).node.kind == NodeKind::Service && !view.flow(flow).flow.standby {
                self.derive(Fact::Control(node), By::Runs(flow), [Some(fact), None]);
            }
        }
    }

    /// Requests that are passed on for who has this.
    fn passed_with(&mut self, need: Fact) {
        let flows: Vec<FlowId> = self.around.with.get(&need).into_iter().flatten().copied().collect();
        for flow in flows {
            let (from, to) = (Fact::Reach(self.view.flow(flow).from), Fact::Reach(self.view.flow(flow).to));
            if self.is_done(from) {
                self.derive(to, By::Forwarded(flow), [Some(from), Some(need)]);
            }
        }
    }

    fn control(&mut self, node: NodeId, fact: Fact) {
        let from = [Some(fact), None];
        let (view, of) = (self.view, self.view.node(node));
        if let Some(zone) = self.zones.get(of.node.zone.as_str()).copied() {
            self.derive(Fact::Stand(zone), By::Lies, from);
            if of.node.admin {
                self.derive(Fact::Administer(zone), By::Lies, from);
            }
        }
        for datum in of.holds.iter().chain(&of.reads) {
            self.derive(Fact::Hold(*datum), By::Inside(node), from);
        }
        let sends = of.outbound.iter().filter(|f| !view.flow(**f).flow.standby).flat_map(|f| &view.flow(*f).carries);
        let answers = of.inbound.iter().flat_map(|f| &view.flow(*f).returns);
        for datum in of.holds.iter().chain(sends).chain(answers).filter(|d| is_program(view.datum(**d).datum)) {
            self.derive(Fact::Forge(*datum), By::Forged(node), from);
        }
        for flow in &of.inbound {
            // What it answers with it has.
            for datum in view.flow(*flow).carries.iter().chain(&view.flow(*flow).returns) {
                self.derive(Fact::Hold(*datum), By::Moved(*flow), from);
            }
        }
        for flow in of.outbound.iter().filter(|f| !view.flow(**f).flow.standby) {
            self.derive(Fact::Reach(view.flow(*flow).to), By::Flow(*flow), from);
            // What the target hands to anybody comes by reaching it: the nearer cause.
            let anybody = handed_out(view, *flow);
            let moved = view.flow(*flow).returns.iter().chain(&view.flow(*flow).carries);
            for datum in moved.filter(|d| !anybody.contains(d)) {
                self.derive(Fact::Hold(*datum), By::Moved(*flow), from);
            }
        }
    }

    /// R4; both premises have been drawn upon, this being the later one.
    fn opened(&mut self, secret: DataId, node: NodeId) {
        let from = [Some(Fact::Hold(secret)), Some(Fact::Reach(node))];
        let (view, of, by) = (self.view, self.view.node(node), By::Opened(secret, node));
        if of.node.admin || is_login(view, node) {
            self.derive(Fact::Control(node), by, from);
            return;
        }
        for datum in &of.holds {
            // A caller of a service is not given the service's own credentials.
            if of.keeps() || view.class(*datum) != Class::Secret {
                self.derive(Fact::Hold(*datum), by, from);
            }
        }
        for flow in &of.inbound {
            for datum in &view.flow(*flow).returns {
                self.derive(Fact::Hold(*datum), by, from);
            }
        }
    }

    fn listen(&mut self, zone: ZoneId) {
        let from = [Some(Fact::Stand(zone)), None];
        let before = self.assuming;
        self.assuming = true;
        for flow in self.wires.get(zone).cloned().unwrap_or_default() {
            for datum in readable(self.view, flow) {
                self.derive(Fact::Hold(datum), By::Sniffed(flow), from);
            }
        }
        self.assuming = before;
    }

    fn enter(&mut self, node: NodeId) {
        let from = [Some(Fact::Reach(node)), None];
        let before = self.assuming;
        self.assuming = true;
        if self.around.entrances.get(node).is_some_and(Option::is_some) {
            self.derive(Fact::Control(node), By::Exploit(node), from);
        }
        if is_weak_login(self.view, node) {
            self.derive(Fact::Control(node), By::Login(node), from);
        }
        self.assuming = before;
    }
}

/// What somebody on the wire reads of a flow: all of it where it says that it is plain, and what asks for protection where it
/// says nothing.
fn readable(view: &View<'_>, flow: FlowId) -> impl Iterator<Item = DataId> {
    let of = view.flow(flow);
    let least = match of.transit {
        Transit::Plain(_) => Some(Class::Internal),
        Transit::Unstated => Some(Class::Confidential),
        _ => None,
    };
    let moved = of.carries.iter().chain(&of.returns).copied();
    moved.filter(move |d| !of.flow.standby && least.is_some_and(|least| view.class(*d) >= least))
}

/// The zones that a flow passes: from the one of its source up to the one that is around both ends, and down.
fn passed<'m>(view: &View<'m>, of: &FlowView<'m>) -> Vec<&'m Name> {
    let around = |node: NodeId| view.zones_around(&view.node(node).node.zone).collect::<Vec<_>>();
    let (mut up, mut down) = (around(of.from), around(of.to));
    // What is around both of them is passed once, and what is around that is not passed.
    let common = up.iter().rev().zip(down.iter().rev()).take_while(|(a, b)| a == b).count();
    up.truncate(up.len() - common.saturating_sub(1));
    down.truncate(down.len() - common);
    up.extend(down);
    up
}

/// What the target of a flow hands to whoever reaches it. A site that says nothing of who may ask answers people with
/// their own; a secret is nobody's own.
fn handed_out(view: &View<'_>, flow: FlowId) -> Vec<DataId> {
    let (of, to) = (view.flow(flow), view.node(view.flow(flow).to));
    if of.proven || to.node.under_ward() {
        return Vec::new();
    }
    of.returns.iter().copied().filter(|d| to.says_open() || view.class(*d) == Class::Secret).collect()
}

/// Whether somebody runs it.
pub(crate) fn is_program(datum: &Data) -> bool {
    matches!(datum.of.as_deref(), Some("artifact" | "image" | "manifest"))
}

/// Whether a node is a machine that people log in to.
pub(crate) fn is_login(view: &View<'_>, node: NodeId) -> bool {
    view.node(node).node.port.is_some()
}

/// Whether what lets people in can be guessed or stolen, and nothing else is asked for.
pub(crate) fn is_weak_login(view: &View<'_>, node: NodeId) -> bool {
    let of = view.node(node);
    let weak = asked(view, of).is_none_or(|a| matches!(a, Auth::None | Auth::Password | Auth::Key));
    // A store that asks for nothing is open, which is worse.
    let store = of.keeps() && !of.open() && matches!(of.exposed, Some(Exposed::Stated(_))) && !of.node.under_ward();
    (is_login(view, node) || store) && of.exposed.is_some() && weak && !of.guarded(&["mfa", "oidc"])
}

#[cfg(test)]
mod tests;
