//! The model as rules look at it: every reference followed once, every question that many rules ask answered once.
//! What is not written does not hold: a guarantee that nobody states is a guarantee that is lacking.
use std::collections::{HashMap, HashSet};

use model::{Audit, Auth, Class, Data, Flow, ListenTls, Model, Name, Node, NodeKind, Protocol, Role, Trust, Zone};

/// A node by its place in `View::nodes`.
pub type NodeId = usize;
/// A datum by its place in `View::data`.
pub type DataId = usize;
/// A flow by its place in `View::flows`.
pub type FlowId = usize;

/// The model with its references followed.
pub struct View<'m> {
    /// The model.
    pub model: &'m Model,
    /// Nodes by name.
    pub nodes: Vec<NodeView<'m>>,
    /// Data by name.
    pub data: Vec<DataView<'m>>,
    /// Flows in the order written.
    pub flows: Vec<FlowView<'m>>,
    node_ids: HashMap<&'m str, NodeId>,
    data_ids: HashMap<&'m str, DataId>,
    /// Zones without trust, and zones that have one inside.
    outside: HashSet<&'m str>,
}

/// A node.
pub struct NodeView<'m> {
    /// Its name.
    pub name: &'m Name,
    /// As written.
    pub node: &'m Node,
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
    /// How somebody in a zone without trust can open a connection to it.
    pub exposed: Option<Exposed<'m>>,
}

/// How a node is exposed to a zone without trust.
#[derive(Clone, Copy)]
pub enum Exposed<'m> {
    /// By its own `exposed_to`.
    Stated(&'m Name),
    /// By a flow of a party in such a zone.
    Flow(FlowId),
}

/// A datum.
pub struct DataView<'m> {
    /// Its name.
    pub name: &'m Name,
    /// As written.
    pub datum: &'m Data,
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
}

/// A flow.
pub struct FlowView<'m> {
    /// As written.
    pub flow: &'m Flow,
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

impl<'m> View<'m> {
    /// Looks at a model.
    pub fn new(model: &'m Model) -> Self {
        let node_ids: HashMap<&str, NodeId> = model.nodes.keys().map(Name::as_str).zip(0..).collect();
        let data_ids: HashMap<&str, DataId> = model.data.keys().map(Name::as_str).zip(0..).collect();
        let outside = outside(model);
        let ids = |names: &[Name]| names.iter().filter_map(|n| data_ids.get(n.as_str()).copied()).collect::<Vec<_>>();
        let nodes = model.nodes.iter().map(|(name, node)| NodeView {
            name,
            node,
            trust: model.zones.get(&node.zone).map_or(Trust::Low, |z| z.trust),
            inbound: Vec::new(),
            outbound: Vec::new(),
            openers: Vec::new(),
            holds: ids(&node.holds),
            reads: ids(&node.reads),
            exposed: node.exposed_to.iter().find(|z| outside.contains(z.as_str())).map(Exposed::Stated),
        });
        let mut nodes: Vec<NodeView<'m>> = nodes.collect();
        let data = model.data.iter().map(|(name, datum)| DataView {
            name,
            datum,
            holders: Vec::new(),
            readers: Vec::new(),
            carried: Vec::new(),
            returned: Vec::new(),
            opens: datum.opens.iter().filter_map(|n| node_ids.get(n.as_str()).copied()).collect(),
            copies: Vec::new(),
        });
        let mut data: Vec<DataView<'m>> = data.collect();
        let mut flows = Vec::with_capacity(model.flows.len());
        for flow in &model.flows {
            let ends = (node_ids.get(flow.from.as_str()).copied(), node_ids.get(flow.to.as_str()).copied());
            let (Some(from), Some(to)) = ends else { continue };
            let id = flows.len();
            let (carries, returns) = (ids(&flow.carries), ids(&flow.returns));
            let both = || carries.iter().chain(&returns);
            let worst = both().copied().max_by_key(|d| data.get(*d).map(|d| effective(d.datum)));
            let (Some(source), Some(target)) = (nodes.get(from), nodes.get(to)) else { continue };
            let crosses_outside = source.trust == Trust::None || target.trust == Trust::None;
            // Who shows a secret that opens the target has proven something, unless the target asks for nothing.
            let shows = |d: &DataId| data[*d].datum.class == Class::Secret && data[*d].opens.contains(&to);
            let asked = word(flow, "auth").as_deref() != Some("none") && target.node.auth != Some(Auth::None);
            let shown = asked && carries.iter().any(shows);
            let (source, target) = (source.node, target.node);
            let view = FlowView {
                flow,
                from,
                to,
                worst,
                transit: transit(flow, source, target),
                proven: shown || proven(flow, source, target),
                authenticated: shown || proven(flow, source, target) || says(flow, "local"),
                logged: logged(flow, source, target),
                enforced: source.under_ward() && target.under_ward(),
                crosses_outside,
                carries,
                returns,
            };
            for datum in &view.carries {
                data[*datum].carried.push(id);
            }
            for datum in &view.returns {
                data[*datum].returned.push(id);
            }
            let outsider = nodes[from].trust == Trust::None;
            nodes[from].outbound.push(id);
            nodes[to].inbound.push(id);
            if outsider && !flow.standby && nodes[to].exposed.is_none() {
                nodes[to].exposed = Some(Exposed::Flow(id));
            }
            flows.push(view);
        }
        for (id, node) in nodes.iter().enumerate() {
            node.holds.iter().for_each(|d| data[*d].holders.push(id));
            node.reads.iter().for_each(|d| data[*d].readers.push(id));
        }
        for id in 0..data.len() {
            for node in data[id].opens.clone() {
                nodes[node].openers.push(id);
            }
            if let Some(origin) = data[id].datum.copy_of.as_ref().and_then(|n| data_ids.get(n.as_str()).copied()) {
                data[origin].copies.push(id);
            }
        }
        Self { model, nodes, data, flows, node_ids, data_ids, outside }
    }

    /// A node. Ids are made by `new` only, so they are in bounds.
    pub fn node(&self, id: NodeId) -> &NodeView<'m> {
        &self.nodes[id]
    }

    /// A datum. Ids are made by `new` only, so they are in bounds.
    pub fn datum(&self, id: DataId) -> &DataView<'m> {
        &self.data[id]
    }

    /// A flow. Ids are made by `new` only, so they are in bounds.
    pub fn flow(&self, id: FlowId) -> &FlowView<'m> {
        &self.flows[id]
    }

    /// A node by name.
    pub fn node_named(&self, name: &str) -> Option<NodeId> {
        self.node_ids.get(name).copied()
    }

    /// A datum by name.
    pub fn datum_named(&self, name: &str) -> Option<DataId> {
        self.data_ids.get(name).copied()
    }

    /// Flows to a node.
    pub fn inbound(&self, node: NodeId) -> impl Iterator<Item = &FlowView<'m>> {
        self.node(node).inbound.iter().map(|f| self.flow(*f))
    }

    /// Flows from a node.
    pub fn outbound(&self, node: NodeId) -> impl Iterator<Item = &FlowView<'m>> {
        self.node(node).outbound.iter().map(|f| self.flow(*f))
    }

    /// The zone of a node.
    pub fn zone(&self, node: &Node) -> Option<&'m Zone> {
        self.model.zones.get(&node.zone)
    }

    /// Whether somebody without trust may be in this zone: it has none, or a zone in it has none.
    pub fn is_outside(&self, zone: &Name) -> bool {
        self.outside.contains(zone.as_str())
    }

    /// A zone and the zones around it, innermost first.
    pub fn zones_around(&self, zone: &'m Name) -> impl Iterator<Item = &'m Name> {
        let next = |zone: &&'m Name| self.model.zones.get(*zone).and_then(|z| z.parent.as_ref());
        // The model has no circle of zones; the bound is for models made by hand.
        std::iter::successors(Some(zone), next).take(model::load::CHAIN_MAX + 1)
    }

    /// The most sensitive of some data.
    pub fn worst(&self, data: impl IntoIterator<Item = DataId>) -> Option<DataId> {
        data.into_iter().max_by_key(|d| self.class(*d))
    }

    /// The class of a datum; one that asks for encryption is confidential at least.
    pub fn class(&self, datum: DataId) -> Class {
        effective(self.datum(datum).datum)
    }

    /// Names as people list them: `a`, `b` and `c`.
    pub fn list(&self, data: impl IntoIterator<Item = DataId>) -> String {
        list(data.into_iter().map(|d| self.datum(d).name.as_str()))
    }
}

impl NodeView<'_> {
    /// A store, or a service that holds data.
    pub fn keeps(&self) -> bool {
        self.node.kind == NodeKind::Store
    }

    /// Whether anybody who stands where it is can pass for it, unless it proves who it is: a person, or whatever is in a zone
    /// without trust.
    pub fn is_anybody(&self) -> bool {
        self.node.kind == NodeKind::Party || self.trust == Trust::None
    }

    /// Whether nobody has to prove anything to it. Under Ward only sidecars with an identity get through.
    pub fn open(&self) -> bool {
        !self.node.under_ward() && self.node.auth.is_none_or(|a| a == Auth::None) && !self.guarded(&["oidc", "mfa"])
    }

    /// Whether it says so itself: `auth: none`, outside Ward.
    pub fn says_open(&self) -> bool {
        self.node.auth == Some(Auth::None) && self.open()
    }

    /// Whether it has one of these guards.
    pub fn guarded(&self, guards: &[&str]) -> bool {
        self.node.guards.iter().any(|g| guards.contains(&g.as_str()))
    }
}

/// `a`, `b` and `c`.
pub fn list<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let mut quoted: Vec<String> = Vec::new();
    for word in words.into_iter().map(|w| format!("`{w}`")) {
        if !quoted.contains(&word) {
            quoted.push(word);
        }
    }
    match quoted.split_last() {
        None => String::new(),
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}

/// The word for a class.
pub fn class_word(class: Class) -> &'static str {
    match class {
        Class::Public => "public",
        Class::Internal => "internal",
        Class::Confidential => "confidential",
        Class::Restricted => "restricted",
        Class::Secret => "secret",
    }
}

fn effective(datum: &Data) -> Class {
    if datum.encrypt_required { datum.class.max(Class::Confidential) } else { datum.class }
}

fn outside(model: &Model) -> HashSet<&str> {
    let mut found = HashSet::new();
    for (name, _) in model.zones.iter().filter(|(_, z)| z.trust == Trust::None) {
        let mut at = Some(name);
        while let Some(zone) = at.filter(|z| found.insert(z.as_str())) {
            at = model.zones.get(zone).and_then(|z| z.parent.as_ref());
        }
    }
    found
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
    by_flow || by_node || from.kind == NodeKind::Party && proves(from.auth)
}

fn logged(flow: &Flow, from: &Node, to: &Node) -> bool {
    let recorded = flow.via.audit.is_some_and(|a| a >= Audit::High) && to.under_ward();
    recorded || from.logs == Some(true) || to.logs == Some(true)
}
