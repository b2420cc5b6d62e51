//! The model as rules look at it: every reference followed once, every question that many rules ask answered once.
//! What is not written does not hold: a guarantee that nobody states is a guarantee that is lacking.
use std::{collections::HashSet, ops::Deref};

use model::{Auth, Class, Data, Flow, Model, Name, Node, NodeKind, Trust, Zone};

use crate::{
    differ::Difference,
    links::{Links, Names, Said},
};

pub use crate::links::{DataLinks, FlowLinks, NodeLinks, Transit};

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
    /// Zones without trust, and zones that have one inside.
    outside: HashSet<&'m str>,
    /// Of what the model says anything at all.
    pub(crate) said: Said,
    names: Names,
    /// What a rule is asked about, where it is about one thing.
    pub(crate) subject: Option<Anchor>,
}

/// One thing that a rule is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Anchor {
    Flow(FlowId),
    Node(NodeId),
    Datum(DataId),
}

/// A node; what it is linked to can be read as if it were its own.
pub struct NodeView<'m> {
    /// Its name.
    pub name: &'m Name,
    /// As written.
    pub node: &'m Node,
    /// How somebody in a zone without trust can open a connection to it.
    pub exposed: Option<Exposed<'m>>,
    links: NodeLinks,
}

impl Deref for NodeView<'_> {
    type Target = NodeLinks;
    fn deref(&self) -> &NodeLinks {
        &self.links
    }
}

/// How a node is exposed to a zone without trust.
#[derive(Clone, Copy)]
pub enum Exposed<'m> {
    /// By its own `exposed_to`.
    Stated(&'m Name),
    /// By a flow of a party in such a zone.
    Flow(FlowId),
}

/// A datum; what it is linked to can be read as if it were its own.
pub struct DataView<'m> {
    /// Its name.
    pub name: &'m Name,
    /// As written.
    pub datum: &'m Data,
    links: DataLinks,
}

impl Deref for DataView<'_> {
    type Target = DataLinks;
    fn deref(&self) -> &DataLinks {
        &self.links
    }
}

/// A flow; what it is linked to can be read as if it were its own.
pub struct FlowView<'m> {
    /// As written.
    pub flow: &'m Flow,
    links: Box<FlowLinks>,
}

impl Deref for FlowView<'_> {
    type Target = FlowLinks;
    fn deref(&self) -> &FlowLinks {
        &self.links
    }
}

impl<'m> View<'m> {
    /// Looks at a model.
    pub fn new(model: &'m Model) -> Self {
        let mut links = Links::default();
        links.follow(model, &Difference::all(model));
        Self::of(model, links)
    }

    /// Looks at a model of which the references have been followed.
    pub(crate) fn of(model: &'m Model, links: Links) -> Self {
        let outside = outside(model);
        let nodes = model.nodes.iter().zip(links.nodes).map(|((name, node), links)| {
            let stated = node.exposed_to.iter().find(|z| outside.contains(z.as_str())).map(Exposed::Stated);
            NodeView { name, node, exposed: stated.or(links.entry.map(Exposed::Flow)), links }
        });
        let data = model.data.iter().zip(links.data).map(|((name, datum), links)| DataView { name, datum, links });
        let flows = model.flows.iter().zip(links.flows).map(|(flow, links)| FlowView { flow, links });
        Self {
            model,
            nodes: nodes.collect(),
            data: data.collect(),
            flows: flows.collect(),
            outside,
            said: links.said,
            names: links.names,
            subject: None,
        }
    }

    /// What has been followed, without the model.
    pub(crate) fn into_links(self) -> Links {
        Links {
            said: self.said,
            names: self.names,
            nodes: self.nodes.into_iter().map(|n| n.links).collect(),
            data: self.data.into_iter().map(|d| d.links).collect(),
            flows: self.flows.into_iter().map(|f| f.links).collect(),
        }
    }

    /// The node that is asked about, or every one.
    pub(crate) fn asked_nodes(&self) -> impl Iterator<Item = (NodeId, &NodeView<'m>)> {
        let range = match self.subject {
            None => 0..self.nodes.len(),
            Some(Anchor::Node(id)) => id..id + 1,
            Some(_) => 0..0,
        };
        range.map(|id| (id, self.node(id)))
    }

    /// The datum that is asked about, or every one.
    pub(crate) fn asked_data(&self) -> impl Iterator<Item = (DataId, &DataView<'m>)> {
        let range = match self.subject {
            None => 0..self.data.len(),
            Some(Anchor::Datum(id)) => id..id + 1,
            Some(_) => 0..0,
        };
        range.map(|id| (id, self.datum(id)))
    }

    /// The flow that is asked about, or every one.
    pub(crate) fn asked_flows(&self) -> impl Iterator<Item = &FlowView<'m>> {
        let range = match self.subject {
            None => 0..self.flows.len(),
            Some(Anchor::Flow(id)) => id..id + 1,
            Some(_) => 0..0,
        };
        range.map(|id| self.flow(id))
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
        self.nodes.binary_search_by(|n| n.name.as_str().cmp(name)).ok()
    }

    /// A datum by name.
    pub fn datum_named(&self, name: &str) -> Option<DataId> {
        self.data.binary_search_by(|d| d.name.as_str().cmp(name)).ok()
    }

    /// Flows to a node.
    pub fn inbound(&self, node: NodeId) -> impl Iterator<Item = &FlowView<'m>> {
        self.node(node).inbound.iter().map(|f| self.flow(*f))
    }

    /// Flows from a node.
    pub fn outbound(&self, node: NodeId) -> impl Iterator<Item = &FlowView<'m>> {
        self.node(node).outbound.iter().map(|f| self.flow(*f))
    }

    /// Whether the caller proves who he is to whom he asks; or it is a person, and to whom a service passes it on: a session
    /// that a gateway hands to what is behind it.
    pub(crate) fn is_proven(&self, of: &FlowView<'_>) -> bool {
        let secret = |d: &&DataId| self.datum(**d).datum.class == Class::Secret;
        let opens = |d: &DataId| {
            let opened = &self.datum(*d).opens;
            self.outbound(of.to).any(|f| f.carries.contains(d) && opened.contains(&f.to))
        };
        let (from, to) = (self.node(of.from), self.node(of.to));
        let handed_on = from.node.kind == NodeKind::Party && to.node.kind == NodeKind::Service && !to.says_open();
        of.proven || handed_on && of.carries.iter().filter(secret).any(opens)
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
        self.datum(datum).class
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
    let mut seen = HashSet::new();
    let quoted: Vec<String> = words.into_iter().filter(|w| seen.insert(*w)).map(|w| format!("`{w}`")).collect();
    match quoted.split_last() {
        None => String::new(),
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}

/// The word for a class.
pub fn class_word(class: Class) -> &'static str {
    class.as_str()
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
