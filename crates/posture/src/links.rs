//! What nouns are linked to, by number and without the model: every reference followed once, every question about one flow
//! answered once. A change of the model changes the links of what it touches: what leaves goes out of their lists, and what comes
//! goes in where it stands in the order of the model.
use model::{Audit, Auth, Class, Data, Flow, ListenTls, Model, Name, Node, NodeKind, Protocol, Role, Trust};

use crate::{
    closure::{By, Fact},
    differ::{Difference, Renumbered},
    processors,
    view::{DataId, FlowId, NodeId},
};

/// Of how many things a processor renumbers the links at once; in tests few.
const PART: usize = if cfg!(test) { 3 } else { 1_024 };

/// All links of a model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Links {
    pub(crate) nodes: Vec<NodeLinks>,
    pub(crate) data: Vec<DataLinks>,
    #[expect(clippy::vec_box, reason = "each in its own place: going from one view to the next moves none of them")]
    pub(crate) flows: Vec<Box<FlowLinks>>,
    /// Of what the model says anything at all.
    pub(crate) said: Said,
    pub(crate) names: Names,
}

/// Names by number, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Names {
    nodes: Vec<Name>,
    data: Vec<Name>,
}

/// Of what a model says anything at all: where it says nothing, that is one cause, however much lacks it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Said {
    /// Something rotates its credentials.
    pub(crate) rotation: bool,
    /// How some flow is protected on the way.
    pub(crate) transit: bool,
    /// How some caller proves who it is.
    pub(crate) proof: bool,
    /// That something is recorded.
    pub(crate) record: bool,
}

/// Of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeLinks {
    /// The trust of its zone.
    pub trust: Trust,
    /// Flows to it.
    pub inbound: Vec<FlowId>,
    /// Flows from it.
    pub outbound: Vec<FlowId>,
    /// Secrets that open it.
    pub openers: Vec<DataId>,
    /// What it holds.
    pub holds: Vec<DataId>,
    /// What it reads.
    pub reads: Vec<DataId>,
    /// The first flow to it of a party in a zone without trust.
    pub(crate) entry: Option<FlowId>,
    /// How many of its flows move sensitive data without a record, those to nodes under Ward left out.
    pub(crate) unrecorded: usize,
}

/// Of a datum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataLinks {
    /// Nodes that hold it.
    pub holders: Vec<NodeId>,
    /// Nodes that read it.
    pub readers: Vec<NodeId>,
    /// Flows that carry it.
    pub carried: Vec<FlowId>,
    /// Flows that return it.
    pub returned: Vec<FlowId>,
    /// Nodes that it opens.
    pub opens: Vec<NodeId>,
    /// Data that are copies of it.
    pub copies: Vec<DataId>,
    /// What it is a copy of.
    pub(crate) origin: Option<DataId>,
    /// Its class; one that asks for encryption is confidential at least.
    pub(crate) class: Class,
}

/// Of a flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowLinks {
    /// Where from.
    pub from: NodeId,
    /// Where to.
    pub to: NodeId,
    /// What it carries.
    pub carries: Vec<DataId>,
    /// What it returns.
    pub returns: Vec<DataId>,
    /// The most sensitive thing it moves, either way.
    pub worst: Option<DataId>,
    /// What protects it on the way.
    pub transit: Transit,
    /// Whether whoever is asked can tell who asks.
    pub proven: bool,
    /// `proven`, or nobody else can ask: it stays on the machine.
    pub authenticated: bool,
    /// Whether anybody keeps a record of what passes.
    pub logged: bool,
    /// Whether it moves confidential data or worse, beside the credential that opens its target, and nobody keeps a record.
    pub(crate) unrecorded: bool,
    /// Both ends under Ward: mutual TLS between sidecars, whatever else is written.
    pub enforced: bool,
    /// Whether one end is in a zone without trust.
    pub crosses_outside: bool,
}

/// What protects a flow on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transit {
    /// It stays on the machine or the private wire.
    Local,
    /// TLS 1.2 or later, SSH, mutual TLS.
    Protected,
    /// A version of TLS that is broken.
    Weak,
    /// Said to be plain; the listener of a gateway where that says so.
    Plain(Option<usize>),
    /// Nothing is said.
    Unstated,
}

/// What has to be asked again after a change: what changed, what is linked to that, and what is linked to those by a flow
/// or a secret. No rule and no step looks farther from its subject.
#[derive(Debug, Default)]
pub(crate) struct Touched {
    /// What changed, and what is linked to that: no step from a node looks farther.
    pub(crate) near: Vec<NodeId>,
    pub(crate) nodes: Vec<NodeId>,
    pub(crate) data: Vec<DataId>,
    pub(crate) flows: Vec<FlowId>,
}

impl Touched {
    /// Whether a step is about something of it, or leads to it.
    pub(crate) fn has(&self, fact: Fact, by: By) -> bool {
        let leads_to = match fact {
            Fact::Stand(_) | Fact::Administer(_) => false,
            Fact::Reach(n) | Fact::Control(n) => self.has_node(n),
            Fact::Hold(d) | Fact::Forge(d) => self.has_datum(d),
        };
        leads_to || self.is_of(by)
    }

    /// Whether a step is about something of it.
    pub(crate) fn is_of(&self, by: By) -> bool {
        match by {
            By::Given | By::Lies => false,
            By::Party(f) | By::Flow(f) | By::Forwarded(f) | By::Moved(f) | By::Runs(f) | By::Sniffed(f) => {
                self.flows.binary_search(&f).is_ok()
            }
            By::Exposed(_, n)
            | By::Open(n)
            | By::Inside(n)
            | By::Administered(n)
            | By::Forged(n)
            | By::Exploit(n)
            | By::Login(n) => self.has_node(n),
            By::Opened(d, n) => self.has_datum(d) || self.has_node(n),
        }
    }

    fn has_node(&self, node: NodeId) -> bool {
        self.nodes.binary_search(&node).is_ok()
    }

    fn has_datum(&self, datum: DataId) -> bool {
        self.data.binary_search(&datum).is_ok()
    }
}

/// A set of numbers that also remembers them in a list.
struct Set {
    has: Vec<bool>,
    all: Vec<usize>,
}

impl Set {
    fn new(count: usize) -> Self {
        Self { has: vec![false; count], all: Vec::new() }
    }

    /// What is not there any more is left out.
    fn add(&mut self, id: usize) {
        if self.has.get_mut(id).is_some_and(|has| !std::mem::replace(has, true)) {
            self.all.push(id);
        }
    }

    fn extend(&mut self, ids: impl IntoIterator<Item = usize>) {
        ids.into_iter().for_each(|id| self.add(id));
    }

    fn sorted(mut self) -> Vec<usize> {
        self.all.sort_unstable();
        self.all
    }
}

impl Links {
    /// Brings the links from the model before the difference to the one after it.
    pub(crate) fn follow(&mut self, model: &Model, difference: &Difference) -> Touched {
        if difference.is_none() {
            return Touched::default();
        }
        let Difference { nodes, data, flows } = difference;
        let (node_count, data_count, flow_count) = (model.nodes.len(), model.data.len(), model.flows.len());
        // Of which the lists, or what is said of them, may be others: ends and data of flows that are or were there, what a node
        // has or had, what a datum opens or opened, and what is or was its origin.
        let (mut dirty_nodes, mut dirty_data) = (Set::new(node_count), Set::new(data_count));
        for flow in flows.left.iter().filter_map(|f| self.flows.get(*f)) {
            dirty_nodes.extend([flow.from, flow.to].into_iter().filter_map(|n| nodes.now(n)));
            dirty_data.extend(flow.carries.iter().chain(&flow.returns).filter_map(|d| data.now(*d)));
        }
        for node in nodes.left.iter().filter_map(|n| self.nodes.get(*n)) {
            let flows = node.inbound.iter().chain(&node.outbound).filter_map(|f| self.flows.get(*f));
            dirty_nodes.extend(flows.flat_map(|f| [f.from, f.to]).filter_map(|n| nodes.now(n)));
            dirty_data.extend(node.holds.iter().chain(&node.reads).chain(&node.openers).filter_map(|d| data.now(*d)));
        }
        for datum in data.left.iter().filter_map(|d| self.data.get(*d)) {
            dirty_nodes
                .extend(datum.opens.iter().chain(&datum.holders).chain(&datum.readers).filter_map(|n| nodes.now(*n)));
            dirty_data.extend(datum.origin.iter().chain(&datum.copies).filter_map(|d| data.now(*d)));
        }
        self.leave(difference);
        self.renumber(difference);

        if nodes.moved.is_some() || self.names.nodes.len() != node_count {
            self.names.nodes = model.nodes.keys().cloned().collect();
        }
        if data.moved.is_some() || self.names.data.len() != data_count {
            self.names.data = model.data.keys().cloned().collect();
        }
        let mut dirty_flows = Set::new(flow_count);
        dirty_flows.extend(flows.new.iter().copied());
        for node in &nodes.new {
            let of = &self.nodes[*node];
            dirty_flows.extend(of.inbound.iter().chain(&of.outbound).copied());
        }
        for datum in &data.new {
            let of = &self.data[*datum];
            dirty_flows.extend(of.carried.iter().chain(&of.returned).copied());
            dirty_nodes.extend(of.holders.iter().chain(&of.readers).copied());
        }
        self.come(model, difference);
        for node in &nodes.new {
            let of = &self.nodes[*node];
            dirty_nodes.add(*node);
            dirty_data.extend(of.holds.iter().chain(&of.reads).copied());
        }
        for datum in &data.new {
            let of = &self.data[*datum];
            dirty_data.add(*datum);
            dirty_data.extend(of.origin);
            dirty_nodes.extend(of.opens.iter().copied());
        }
        for flow in flows.new.iter().filter_map(|f| self.flows.get(*f)) {
            dirty_data.extend(flow.carries.iter().chain(&flow.returns).copied());
        }
        let written: Vec<&Node> = model.nodes.values().collect();
        for id in &dirty_flows.all {
            let links = &mut self.flows[*id];
            dirty_nodes.extend([links.from, links.to]);
            let [from, to] = [links.from, links.to].map(|n| self.nodes[n].trust);
            let target = links.to;
            links.look(&model.flows[*id], written[links.from], written[target], &self.data);
            let opens = |d: &&DataId| self.data[**d].opens.contains(&target);
            let moved = links.carries.iter().chain(&links.returns).filter(|d| !opens(d));
            links.unrecorded = !links.logged && moved.into_iter().any(|d| self.data[*d].class >= Class::Confidential);
            links.crosses_outside = from == Trust::None || to == Trust::None;
        }
        for id in &dirty_nodes.all {
            let of = &self.nodes[*id];
            let (entry, unrecorded) = (self.entry(model, of), self.unrecorded(&written, of));
            let of = &mut self.nodes[*id];
            (of.entry, of.unrecorded) = (entry, unrecorded);
        }
        let said = Said {
            rotation: written.iter().any(|n| n.rotates == Some(true)),
            transit: self.flows.iter().any(|f| f.transit != Transit::Unstated),
            proof: written.iter().any(|n| n.auth.is_some()) || model.flows.iter().any(says_proof),
            record: written.iter().any(|n| n.logs == Some(true)) || model.flows.iter().any(|f| f.via.audit.is_some()),
        };
        let before = std::mem::replace(&mut self.said, said);
        // Rules ask for it wherever it is lacking.
        if before.rotation != said.rotation {
            dirty_data.extend(0..data_count);
        }
        if (before.transit, before.proof, before.record) != (said.transit, said.proof, said.record) {
            dirty_flows.extend(0..flow_count);
        }
        self.touched(difference, dirty_nodes, dirty_data, dirty_flows)
    }

    /// Takes what leaves out of the lists of what it was linked to. Numbers are those of before.
    fn leave(&mut self, difference: &Difference) {
        let Self { nodes, data, flows, .. } = self;
        let (mut of_nodes, mut of_data) = (Set::new(nodes.len()), Set::new(data.len()));
        let left = |all: &[usize], count: usize| {
            let mut set = Set::new(count);
            set.extend(all.iter().copied());
            set.has
        };
        let flows_left = left(&difference.flows.left, flows.len());
        let nodes_left = left(&difference.nodes.left, nodes.len());
        let data_left = left(&difference.data.left, data.len());
        for flow in difference.flows.left.iter().filter_map(|f| flows.get(*f)) {
            of_nodes.extend([flow.from, flow.to]);
            of_data.extend(flow.carries.iter().chain(&flow.returns).copied());
        }
        for node in difference.nodes.left.iter().filter_map(|n| nodes.get(*n)) {
            of_data.extend(node.holds.iter().chain(&node.reads).copied());
        }
        for datum in difference.data.left.iter().filter_map(|d| data.get(*d)) {
            of_nodes.extend(datum.opens.iter().copied());
            of_data.extend(datum.origin);
        }
        for id in of_nodes.all {
            let of = &mut nodes[id];
            of.inbound.retain(|f| !flows_left[*f]);
            of.outbound.retain(|f| !flows_left[*f]);
            of.openers.retain(|d| !data_left[*d]);
        }
        for id in of_data.all {
            let of = &mut data[id];
            of.carried.retain(|f| !flows_left[*f]);
            of.returned.retain(|f| !flows_left[*f]);
            of.holders.retain(|n| !nodes_left[*n]);
            of.readers.retain(|n| !nodes_left[*n]);
            of.copies.retain(|d| !data_left[*d]);
        }
    }

    /// Follows the references of what comes, and puts it into the lists of what it is linked to. Numbers are those of now.
    fn come(&mut self, model: &Model, difference: &Difference) {
        let Self { nodes, data, flows, names, .. } = self;
        let (mut of_nodes, mut of_data) = (Set::new(nodes.len()), Set::new(data.len()));
        for (id, node) in model.nodes.values().enumerate().filter(|(n, _)| difference.nodes.is_new(*n)) {
            let links = &mut nodes[id];
            links.trust = model.zones.get(&node.zone).map_or(Trust::Low, |z| z.trust);
            links.holds = names.data(&node.holds);
            links.reads = names.data(&node.reads);
            links.holds.iter().for_each(|d| data[*d].holders.push(id));
            links.reads.iter().for_each(|d| data[*d].readers.push(id));
            of_data.extend(links.holds.iter().chain(&links.reads).copied());
        }
        for (id, datum) in model.data.values().enumerate().filter(|(d, _)| difference.data.is_new(*d)) {
            let links = &mut data[id];
            links.class = effective(datum);
            links.opens = datum.opens.iter().filter_map(|n| names.node(n)).collect();
            links.origin = datum.copy_of.as_ref().and_then(|n| names.datum(n));
            links.opens.iter().for_each(|n| nodes[*n].openers.push(id));
            of_nodes.extend(links.opens.iter().copied());
            if let Some(origin) = links.origin {
                data[origin].copies.push(id);
                of_data.add(origin);
            }
        }
        for id in difference.flows.new.iter().copied() {
            let (Some(flow), Some(links)) = (model.flows.get(id), flows.get_mut(id)) else { continue };
            // The model has no flow to nowhere: every reference was checked when it was loaded.
            let end = |name: &Name| names.node(name).unwrap_or_default();
            (links.from, links.to) = (end(&flow.from), end(&flow.to));
            links.carries = names.data(&flow.carries);
            links.returns = names.data(&flow.returns);
            nodes[links.from].outbound.push(id);
            nodes[links.to].inbound.push(id);
            links.carries.iter().for_each(|d| data[*d].carried.push(id));
            links.returns.iter().for_each(|d| data[*d].returned.push(id));
            of_nodes.extend([links.from, links.to]);
            of_data.extend(links.carries.iter().chain(&links.returns).copied());
        }
        for id in of_nodes.all {
            let of = &mut nodes[id];
            for list in [&mut of.inbound, &mut of.outbound, &mut of.openers] {
                in_order(list);
            }
        }
        for id in of_data.all {
            let of = &mut data[id];
            for list in [&mut of.carried, &mut of.returned, &mut of.holders, &mut of.readers, &mut of.copies] {
                in_order(list);
            }
        }
    }

    /// The first flow to a node of a party in a zone without trust.
    fn entry(&self, model: &Model, of: &NodeLinks) -> Option<FlowId> {
        let outsider = |f: &FlowId| self.nodes[self.flows[*f].from].trust == Trust::None;
        of.inbound.iter().copied().find(|f| outsider(f) && !model.flows[*f].standby)
    }

    fn unrecorded(&self, written: &[&Node], of: &NodeLinks) -> usize {
        let flows = of.inbound.iter().chain(&of.outbound).map(|f| &self.flows[*f]);
        flows.filter(|f| f.unrecorded && !written[f.to].under_ward()).count()
    }

    /// Gives everything its new number; what is gone goes.
    fn renumber(&mut self, difference: &Difference) {
        let Difference { nodes, data, flows } = difference;
        if [nodes, data, flows].iter().any(|r| r.moved.is_some()) {
            processors::each(&mut self.nodes, PART, |node| {
                flows.all_now(&mut node.inbound);
                flows.all_now(&mut node.outbound);
                data.all_now(&mut node.openers);
                data.all_now(&mut node.holds);
                data.all_now(&mut node.reads);
                node.entry = node.entry.and_then(|f| flows.now(f));
            });
            processors::each(&mut self.data, PART, |datum| {
                nodes.all_now(&mut datum.holders);
                nodes.all_now(&mut datum.readers);
                flows.all_now(&mut datum.carried);
                flows.all_now(&mut datum.returned);
                nodes.all_now(&mut datum.opens);
                data.all_now(&mut datum.copies);
                datum.origin = datum.origin.and_then(|d| data.now(d));
            });
        }
        if [nodes, data].iter().any(|r| r.moved.is_some()) {
            processors::each(&mut self.flows, PART, |flow| {
                // An end that is gone takes the flow with it; what stays has both.
                flow.from = nodes.now(flow.from).unwrap_or_default();
                flow.to = nodes.now(flow.to).unwrap_or_default();
                data.all_now(&mut flow.carries);
                data.all_now(&mut flow.returns);
                flow.worst = flow.worst.and_then(|d| data.now(d));
            });
        }
        let node = NodeLinks {
            trust: Trust::Low,
            inbound: Vec::new(),
            outbound: Vec::new(),
            openers: Vec::new(),
            holds: Vec::new(),
            reads: Vec::new(),
            entry: None,
            unrecorded: 0,
        };
        let flow = FlowLinks {
            from: 0,
            to: 0,
            carries: Vec::new(),
            returns: Vec::new(),
            worst: None,
            transit: Transit::Unstated,
            proven: false,
            authenticated: false,
            logged: false,
            unrecorded: false,
            enforced: false,
            crosses_outside: false,
        };
        let datum = DataLinks {
            holders: Vec::new(),
            readers: Vec::new(),
            carried: Vec::new(),
            returned: Vec::new(),
            opens: Vec::new(),
            copies: Vec::new(),
            origin: None,
            class: Class::Public,
        };
        nodes.place(&mut self.nodes, &node);
        data.place(&mut self.data, &datum);
        flows.place(&mut self.flows, &Box::new(flow));
    }

    fn touched(&self, difference: &Difference, dirty: Set, dirty_data: Set, mut flows: Set) -> Touched {
        let (mut nodes, mut data) = (Set::new(self.nodes.len()), dirty_data);
        let near = dirty.sorted();
        for node in &near {
            let of = &self.nodes[*node];
            nodes.add(*node);
            flows.extend(of.inbound.iter().chain(&of.outbound).copied());
            nodes.extend(of.openers.iter().flat_map(|d| self.data[*d].holders.iter().copied()));
        }
        for flow in &flows.all {
            let of = &self.flows[*flow];
            nodes.extend([of.from, of.to]);
            data.extend(of.carries.iter().chain(&of.returns).copied());
        }
        for node in &nodes.all {
            let of = &self.nodes[*node];
            data.extend(of.holds.iter().chain(&of.reads).chain(&of.openers).copied());
        }
        for datum in difference.data.new.iter().chain(&data.all.clone()) {
            data.extend(self.data[*datum].origin);
        }
        Touched { near, nodes: nodes.sorted(), data: data.sorted(), flows: flows.sorted() }
    }
}

/// Puts what came behind the others in its place.
fn in_order(list: &mut [usize]) {
    if !list.is_sorted() {
        list.sort();
    }
}

/// Whether a flow has a word about how the caller proves who it is.
fn says_proof(flow: &Flow) -> bool {
    flow.via.jwt.is_some() || ["auth", "mtls", "ssh"].iter().any(|w| flow.via.words.contains_key(w))
}

impl FlowLinks {
    fn look(&mut self, flow: &Flow, from: &Node, to: &Node, data: &[DataLinks]) {
        let both = self.carries.iter().chain(&self.returns);
        self.worst = both.copied().max_by_key(|d| data.get(*d).map(|d| d.class));
        let shows = |d: &DataId| data.get(*d).is_some_and(|d| d.class == Class::Secret && d.opens.contains(&self.to));
        self.transit = transit(flow, from, to);
        // Who shows a secret that opens the target has proven something, unless the target asks for nothing.
        let asked = word(flow, "auth").as_deref() != Some("none") && to.auth != Some(Auth::None);
        self.proven = proven(flow, from, to) || asked && self.carries.iter().any(shows);
        self.authenticated = self.proven || says(flow, "local");
        self.logged = logged(flow, from, to);
        self.enforced = from.under_ward() && to.under_ward();
    }
}

impl Names {
    fn node(&self, name: &Name) -> Option<NodeId> {
        self.nodes.binary_search(name).ok()
    }

    fn datum(&self, name: &Name) -> Option<DataId> {
        self.data.binary_search(name).ok()
    }

    fn data(&self, names: &[Name]) -> Vec<DataId> {
        names.iter().filter_map(|n| self.datum(n)).collect()
    }
}

impl Renumbered {
    fn all_now(&self, ids: &mut Vec<usize>) {
        if self.moved.is_some() {
            ids.retain_mut(|id| self.now(*id).map(|now| *id = now).is_some());
        }
    }
}

/// A word of `via` as text, however YAML read it: `1.2` is a number there.
fn word<'f>(flow: &'f Flow, key: &str) -> Option<std::borrow::Cow<'f, str>> {
    let value = flow.via.words.get(key)?;
    Some(value.as_str().map_or_else(|| value.to_string().into(), Into::into))
}

fn says(flow: &Flow, key: &str) -> bool {
    word(flow, key).is_some_and(|w| !matches!(&*w, "false" | "none" | "null"))
}

fn transit(flow: &Flow, from: &Node, to: &Node) -> Transit {
    if from.under_ward() && to.under_ward() && to.role != Some(Role::Gateway) {
        return Transit::Protected;
    }
    if to.role == Some(Role::Gateway) {
        let used = |port: u16| flow.via.port.is_none_or(|p| p == port);
        let plain = to.listen.iter().position(|l| used(l.port) && l.tls == ListenTls::None);
        return plain.map_or(Transit::Protected, |listener| Transit::Plain(Some(listener)));
    }
    if says(flow, "mtls") || says(flow, "ssh") {
        return Transit::Protected;
    }
    if says(flow, "local") {
        return Transit::Local;
    }
    match word(flow, "tls").as_deref() {
        Some("none" | "false") => Transit::Plain(None),
        Some("1.0" | "1.1") => Transit::Weak,
        Some(_) => Transit::Protected,
        None => {
            let mut used = to.serves.iter().filter(|s| flow.via.port.is_none_or(|p| p == s.port)).peekable();
            match used.peek().is_some() && used.all(|s| s.protocol == Protocol::Tls) {
                true => Transit::Protected,
                false => Transit::Unstated,
            }
        }
    }
}

fn proven(flow: &Flow, from: &Node, to: &Node) -> bool {
    if from.under_ward() && to.under_ward() || to.kind == NodeKind::Party {
        return true;
    }
    if word(flow, "auth").as_deref() == Some("none") {
        return false;
    }
    let proves = |auth: Option<Auth>| auth.is_some_and(|a| a != Auth::None);
    let by_flow = ["auth", "mtls", "ssh"].iter().any(|w| says(flow, w)) || flow.via.jwt.is_some();
    let by_node = proves(to.auth) || to.guards.iter().any(|g| g == "oidc" || g == "mfa");
    // How somebody could prove himself proves nothing to a node that says that it asks nobody.
    let asked = to.under_ward() || to.auth != Some(Auth::None);
    by_flow || by_node || asked && from.kind == NodeKind::Party && proves(from.auth)
}

fn logged(flow: &Flow, from: &Node, to: &Node) -> bool {
    let recorded = flow.via.audit.is_some_and(|a| a >= Audit::High) && to.under_ward();
    recorded || from.logs == Some(true) || to.logs == Some(true)
}
/// The class of a datum; one that asks for encryption is confidential at least.
pub(crate) fn effective(datum: &Data) -> Class {
    if datum.encrypt_required { datum.class.max(Class::Confidential) } else { datum.class }
}
