//! Where everything stands. Each zone is laid out for itself: its nodes and inner zones in layers from left to right by
//! the direction of flows, ordered to cross little, aligned to be straight; then it is one box in the zone around it.
//! Room for a flow that passes a layer is kept by a placeholder in that layer.
use std::collections::{BTreeMap, BTreeSet};

use super::{names, subtitle};
use crate::{Flow, Model, NodeKind};

/// Everything stands on multiples of this, in pixels.
pub(crate) const GRID: i32 = 10;
/// Space around what stands in a zone; the top also holds the title.
const PAD: i32 = 30;
const PAD_TOP: i32 = 50;
/// Space between what stands in one layer.
const GAP: i32 = 30;
/// Height kept for a flow that passes a layer.
const LANE: i32 = 50;
/// Space between two flows at one side of a node: with one line of data below the flow, and with two.
const PORT: i32 = 40;
const PORT_TALL: i32 = 60;
/// Most placeholders of a zone; beyond it flows find their own way.
const LANES_MAX: usize = 400;
/// Longest line of a label in characters.
const LABEL_MAX: usize = 34;

/// A rectangle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rect {
    pub(crate) x: i32,
    pub(crate) y: i32,
    pub(crate) w: i32,
    pub(crate) h: i32,
}

impl Rect {
    pub(crate) fn right(self) -> i32 {
        self.x + self.w
    }
    pub(crate) fn bottom(self) -> i32 {
        self.y + self.h
    }
    pub(crate) fn middle(self) -> i32 {
        self.y + self.h / 2
    }
    pub(crate) fn moved(self, dx: i32, dy: i32) -> Self {
        Self { x: self.x + dx, y: self.y + dy, ..self }
    }
    /// Whether the two share more than an edge.
    pub(crate) fn meets(self, other: Self) -> bool {
        self.x < other.right() && other.x < self.right() && self.y < other.bottom() && other.y < self.bottom()
    }
}

/// Where a flow touches a node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Port {
    pub(crate) x: i32,
    pub(crate) y: i32,
    /// 1 on the right side, -1 on the left.
    pub(crate) side: i32,
}

/// A flow's label: the id above the line, the data below.
#[derive(Clone, Debug)]
pub(crate) struct Label {
    pub(crate) id: String,
    pub(crate) data: Vec<String>,
    pub(crate) width: i32,
}

/// A flow between two placed nodes.
#[derive(Clone, Debug)]
pub(crate) struct Edge {
    pub(crate) flow: usize,
    pub(crate) start: Port,
    pub(crate) end: Port,
    pub(crate) label: Label,
}

/// A zone's box.
#[derive(Clone, Debug)]
pub(crate) struct ZoneBox {
    pub(crate) name: String,
    pub(crate) rect: Rect,
    pub(crate) depth: usize,
}

/// The whole plan; nodes are in the order of `model.nodes`.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) nodes: Vec<Rect>,
    pub(crate) zones: Vec<ZoneBox>,
    pub(crate) edges: Vec<Edge>,
    pub(crate) width: i32,
    pub(crate) height: i32,
}

/// Pixels a text is wide, on the safe side for common sans-serif faces.
pub(crate) fn text_width(text: &str, size: i32) -> i32 {
    let tenths: i32 = text
        .chars()
        .map(|c| match c {
            'i' | 'l' | 'j' | '.' | ',' | ':' | '\'' | '|' | ' ' => 34,
            'f' | 't' | 'r' | '-' | '(' | ')' => 43,
            'm' | 'w' | 'M' | 'W' | '…' | '↩' => 92,
            c if c.is_uppercase() => 72,
            _ => 62,
        })
        .sum();
    tenths * size / 100
}

fn snap_up(n: i32, to: i32) -> i32 {
    (n + to - 1).div_euclid(to) * to
}

fn snap(n: i32) -> i32 {
    (n + GRID / 2).div_euclid(GRID) * GRID
}

fn label(flow: &Flow) -> Label {
    let cut = |text: String| match text.char_indices().nth(LABEL_MAX) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default().trim_end_matches([' ', ','])),
        None => text,
    };
    let id = if flow.standby { format!("{} (standby)", flow.id) } else { flow.id.to_string() };
    let mut data = Vec::new();
    if !flow.carries.is_empty() {
        data.push(cut(names(&flow.carries)));
    }
    if !flow.returns.is_empty() {
        data.push(cut(format!("↩ {}", names(&flow.returns))));
    }
    let width = data.iter().map(|d| text_width(d, 11)).chain([text_width(&id, 12)]).max().unwrap_or_default();
    Label { id, data, width: snap_up(width + 6, GRID) }
}

/// Places everything.
pub(crate) fn plan(model: &Model) -> Plan {
    Planner::new(model).plan()
}

/// What stands in a zone: a node, an inner zone, or room for a passing flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Item {
    Node(usize),
    Zone(usize),
    Lane,
}

struct Planner<'m> {
    model: &'m Model,
    /// Index of each node's zone.
    zone_of: Vec<usize>,
    /// Enclosing zone of each zone; the last zone is the canvas around all.
    parent: Vec<Option<usize>>,
    children: Vec<Vec<Item>>,
    /// For each node the zones that hold it, from the canvas down, with the index of the item in each.
    homes: Vec<Vec<(usize, usize)>>,
    /// Ends of each flow, as node indices.
    ends: Vec<(usize, usize)>,
    /// Whether a flow runs from left to right.
    forward: Vec<bool>,
    labels: Vec<Label>,
    /// Layer of each item in its zone.
    layer: BTreeMap<(usize, usize), usize>,
    sizes: Vec<(i32, i32)>,
    /// Height of each flow's start and end below the top of its nodes, once a first plan has told.
    offsets: BTreeMap<(usize, usize), i32>,
}

/// A laid-out zone, from its own top left corner.
#[derive(Clone, Debug, Default)]
struct Block {
    w: i32,
    h: i32,
    nodes: Vec<(usize, Rect)>,
    zones: Vec<(usize, Rect)>,
}

impl<'m> Planner<'m> {
    fn new(model: &'m Model) -> Self {
        let zone_index: BTreeMap<_, _> = model.zones.keys().enumerate().map(|(i, n)| (n, i)).collect();
        let node_index: BTreeMap<_, _> = model.nodes.keys().enumerate().map(|(i, n)| (n, i)).collect();
        let canvas = model.zones.len();
        let zone_of: Vec<usize> =
            model.nodes.values().map(|n| zone_index.get(&n.zone).copied().unwrap_or(canvas)).collect();
        let mut parent: Vec<Option<usize>> = model
            .zones
            .values()
            .map(|z| Some(z.parent.as_ref().and_then(|p| zone_index.get(p).copied()).unwrap_or(canvas)))
            .collect();
        parent.push(None);
        let mut children = vec![Vec::new(); canvas + 1];
        for (zone, above) in parent.iter().enumerate() {
            if let Some(above) = above {
                children[*above].push(Item::Zone(zone));
            }
        }
        for (node, zone) in zone_of.iter().enumerate() {
            children[*zone].push(Item::Node(node));
        }
        let ends: Vec<(usize, usize)> =
            model.flows.iter().filter_map(|f| Some((*node_index.get(&f.from)?, *node_index.get(&f.to)?))).collect();
        let labels = model.flows.iter().map(label).collect();
        let forward = vec![true; ends.len()];
        Self {
            model,
            zone_of,
            parent,
            children,
            ends,
            forward,
            labels,
            layer: BTreeMap::new(),
            sizes: Vec::new(),
            offsets: BTreeMap::new(),
            homes: Vec::new(),
        }
    }

    fn plan(mut self) -> Plan {
        self.find_homes();
        let canvas = self.parent.len() - 1;
        for zone in 0..=canvas {
            self.layers(zone);
        }
        self.sizes = self.node_sizes();
        // Where a flow leaves a node depends on where the others stand: each round knows it from the one before.
        let mut block = Block::default();
        let mut nodes = Vec::new();
        let mut edges = Vec::new();
        for _ in 0..3 {
            block = self.block(canvas);
            nodes = vec![Rect::default(); self.zone_of.len()];
            for (node, rect) in &block.nodes {
                nodes[*node] = *rect;
            }
            edges = self.ports(&nodes);
            for edge in &edges {
                let (from, to) = self.ends[edge.flow];
                self.offsets.insert((edge.flow, from), edge.start.y - nodes[from].y);
                self.offsets.insert((edge.flow, to), edge.end.y - nodes[to].y);
            }
        }
        straighten(&mut edges, &nodes);
        let names: Vec<_> = self.model.zones.keys().collect();
        let mut zones: Vec<ZoneBox> = block
            .zones
            .iter()
            .map(|(zone, rect)| ZoneBox {
                name: names[*zone].to_string(),
                rect: *rect,
                depth: self.path(*zone).len() - 2,
            })
            .collect();
        zones.sort_by_key(|z| z.depth);
        Plan { nodes, zones, edges, width: block.w, height: block.h }
    }

    /// The zones from the canvas down to this one.
    fn path(&self, zone: usize) -> Vec<usize> {
        let mut path = vec![zone];
        let mut at = zone;
        while let Some(above) = self.parent[at] {
            path.push(above);
            at = above;
        }
        path.reverse();
        path
    }

    /// The item of `zone` that holds a node; None when the node is not in it.
    fn item_of(&self, zone: usize, node: usize) -> Option<usize> {
        self.homes[node].iter().find(|(z, _)| *z == zone).map(|(_, item)| *item)
    }

    fn find_homes(&mut self) {
        let index: BTreeMap<(usize, bool, usize), usize> = self
            .children
            .iter()
            .enumerate()
            .flat_map(|(zone, items)| {
                items.iter().enumerate().map(move |(i, item)| match item {
                    Item::Node(node) => ((zone, true, *node), i),
                    Item::Zone(inner) => ((zone, false, *inner), i),
                    Item::Lane => ((zone, false, usize::MAX), i),
                })
            })
            .collect();
        let homes = |node: usize| {
            let path = self.path(self.zone_of[node]);
            let next = path.iter().skip(1).map(|z| (false, *z)).chain([(true, node)]);
            path.iter().zip(next).filter_map(|(z, (kind, n))| Some((*z, *index.get(&(*z, kind, n))?))).collect()
        };
        self.homes = (0..self.zone_of.len()).map(homes).collect();
    }

    /// Flows between two different items of a zone.
    fn inner_flows(&self, zone: usize) -> Vec<(usize, usize, usize)> {
        let ends = self.ends.iter().enumerate();
        ends.filter_map(|(flow, (from, to))| {
            let (a, b) = (self.item_of(zone, *from)?, self.item_of(zone, *to)?);
            (a != b).then_some((flow, a, b))
        })
        .collect()
    }

    /// Which items of a zone are, or hold, a party that sends something: where a diagram is read from.
    fn asking(&self, zone: usize, count: usize) -> Vec<bool> {
        let party: Vec<bool> = self.model.nodes.values().map(|n| n.kind == NodeKind::Party).collect();
        let mut asking = vec![false; count];
        for (from, _) in self.ends.iter().filter(|(from, _)| party[*from]) {
            if let Some(item) = self.item_of(zone, *from) {
                asking[item] = true;
            }
        }
        asking
    }

    /// Gives every item of a zone its layer and every inner flow its direction.
    fn layers(&mut self, zone: usize) {
        let count = self.children[zone].len();
        let flows = self.inner_flows(zone);
        let order = acyclic_order(count, &flows, &self.asking(zone, count));
        for (flow, a, b) in &flows {
            self.forward[*flow] = order[*a] < order[*b];
        }
        let arcs: Vec<(usize, usize)> =
            flows.iter().map(|(_, a, b)| if order[*a] < order[*b] { (*a, *b) } else { (*b, *a) }).collect();
        let mut sequence: Vec<usize> = (0..count).collect();
        sequence.sort_by_key(|i| order[*i]);
        let mut layer = vec![0; count];
        for item in &sequence {
            for (_, b) in arcs.iter().filter(|(a, _)| a == item) {
                layer[*b] = layer[*b].max(layer[*item] + 1);
            }
        }
        // What only sends moves next to what it sends to.
        for item in sequence.iter().rev() {
            let next = arcs.iter().filter(|(a, _)| a == item).map(|(_, b)| layer[*b]).min();
            if let Some(next) = next
                && !arcs.iter().any(|(_, b)| b == item)
            {
                layer[*item] = next - 1;
            }
        }
        for (item, layer) in layer.into_iter().enumerate() {
            self.layer.insert((zone, item), layer);
        }
    }

    /// Spacing and flows at the left and right side of each node: `(flow, other node)`.
    fn sides(&self) -> Vec<[Vec<(usize, usize)>; 2]> {
        let mut sides = vec![[Vec::new(), Vec::new()]; self.zone_of.len()];
        for (flow, (from, to)) in self.ends.iter().enumerate() {
            let out = usize::from(self.forward[flow] || from == to);
            let inn = usize::from(!self.forward[flow] || from == to);
            sides[*from][out].push((flow, *to));
            sides[*to][inn].push((flow, *from));
        }
        sides
    }

    fn spacing(&self, flows: &[(usize, usize)]) -> i32 {
        if flows.iter().any(|(f, _)| self.labels[*f].data.len() > 1) { PORT_TALL } else { PORT }
    }

    fn node_sizes(&self) -> Vec<(i32, i32)> {
        let sides = self.sides();
        let nodes = self.model.nodes.iter().zip(sides);
        nodes
            .map(|((name, node), sides)| {
                let text = text_width(name.as_str(), 14).max(text_width(&subtitle(node), 11));
                let ports = sides
                    .iter()
                    .map(|s| (i32::try_from(s.len()).unwrap_or(i32::MAX / 128) - 1).max(0) * self.spacing(s) + 40)
                    .max();
                (snap_up((text + 36).max(110), 20), snap_up(ports.unwrap_or(0).max(60), 20))
            })
            .collect()
    }

    /// Lays out a zone and everything in it.
    fn block(&self, zone: usize) -> Block {
        let inner: Vec<Block> = self.children[zone]
            .iter()
            .map(|item| match item {
                Item::Node(node) => {
                    let (w, h) = self.sizes[*node];
                    Block { w, h, nodes: vec![(*node, Rect { x: 0, y: 0, w, h })], zones: Vec::new() }
                }
                Item::Zone(zone) => self.block(*zone),
                Item::Lane => Block::default(),
            })
            .collect();
        let mut level = Level::new(self, zone, &inner);
        level.order();
        level.align();
        let places = level.places(self, zone);
        let canvas = self.parent[zone].is_none();
        let (left, top) = if canvas { (PAD, PAD) } else { (PAD, PAD_TOP) };
        let mut block = Block::default();
        for (item, ((dx, dy), inner)) in self.children[zone].iter().zip(places.iter().zip(&inner)) {
            let (dx, dy) = (dx + left, dy + top);
            block.nodes.extend(inner.nodes.iter().map(|(n, r)| (*n, r.moved(dx, dy))));
            block.zones.extend(inner.zones.iter().map(|(z, r)| (*z, r.moved(dx, dy))));
            if let Item::Zone(inner_zone) = item {
                block.zones.push((*inner_zone, Rect { x: dx, y: dy, w: inner.w, h: inner.h }));
            }
            block.w = block.w.max(dx + inner.w);
            block.h = block.h.max(dy + inner.h);
        }
        // Lanes at the bottom count as well.
        block.h = block.h.max(level.bottom() + top);
        block.w += PAD;
        block.h += PAD;
        if !canvas {
            let title = self.model.zones.keys().nth(zone).map_or(0, |n| text_width(n.as_str(), 13));
            block.w = block.w.max(snap_up(title + 80, GRID)).max(120);
            block.h = block.h.max(PAD_TOP + PAD + 20);
        }
        block
    }

    /// Where each flow touches its nodes: flows of one side in the order of where they come from or go to.
    fn ports(&self, nodes: &[Rect]) -> Vec<Edge> {
        let mut ports: BTreeMap<(usize, usize, usize), Port> = BTreeMap::new();
        for (node, sides) in self.sides().into_iter().enumerate() {
            for (side, mut flows) in sides.into_iter().enumerate() {
                let spacing = self.spacing(&flows);
                flows.sort_by_key(|(flow, other)| (nodes[*other].middle(), *flow));
                let count = i32::try_from(flows.len()).unwrap_or(1);
                let rect = nodes[node];
                let mut seen: BTreeMap<usize, usize> = BTreeMap::new();
                for (i, (flow, _)) in (0..count).zip(flows) {
                    let y = snap(rect.middle() + (2 * i - count + 1) * spacing / 2);
                    let x = if side == 1 { rect.right() } else { rect.x };
                    // A flow from a node to itself touches one side twice.
                    let which = seen.entry(flow).or_default();
                    let outgoing = self.ends[flow].0 == node && (self.ends[flow].1 != node || *which == 0);
                    *which += 1;
                    ports.insert(
                        (flow, node, usize::from(outgoing)),
                        Port { x, y, side: if side == 1 { 1 } else { -1 } },
                    );
                }
            }
        }
        let ends = self.ends.iter().enumerate();
        ends.filter_map(|(flow, (from, to))| {
            let (start, end) = (*ports.get(&(flow, *from, 1))?, *ports.get(&(flow, *to, 0))?);
            Some(Edge { flow, start, end, label: self.labels[flow].clone() })
        })
        .collect()
    }
}

/// Slides the only flow of a side to the height of its other end, where the node is tall enough.
fn straighten(edges: &mut [Edge], nodes: &[Rect]) {
    let mut count: BTreeMap<(i32, i32), usize> = BTreeMap::new();
    let mut owner: BTreeMap<(i32, i32), Rect> = BTreeMap::new();
    let side = |port: &Port| {
        nodes.iter().find(|r| (port.x == r.right() || port.x == r.x) && port.y > r.y && port.y < r.bottom())
    };
    for port in edges.iter().flat_map(|e| [e.start, e.end]) {
        if let Some(rect) = side(&port) {
            *count.entry((port.x, rect.y)).or_default() += 1;
            owner.insert((port.x, port.y), *rect);
        }
    }
    for edge in edges {
        let alone = |port: &Port| {
            let rect = owner.get(&(port.x, port.y))?;
            (count.get(&(port.x, rect.y)) == Some(&1)).then_some(*rect)
        };
        let inside = |rect: Rect, y: i32| y >= rect.y + 20 && y <= rect.bottom() - 20;
        if let Some(rect) = alone(&edge.end)
            && inside(rect, edge.start.y)
        {
            edge.end.y = edge.start.y;
        } else if let Some(rect) = alone(&edge.start)
            && inside(rect, edge.end.y)
        {
            edge.start.y = edge.end.y;
        }
    }
}

/// A position for every item such that few flows run backwards (Eades, Lin and Smyth's greedy order): what only sends
/// comes first, what only receives last, between them people who ask, then what sends most and receives least.
fn acyclic_order(count: usize, flows: &[(usize, usize, usize)], asking: &[bool]) -> Vec<usize> {
    let mut left: Vec<bool> = vec![true; count];
    let (mut first, mut last) = (Vec::new(), Vec::new());
    let mut degree = vec![(0i64, 0i64); count];
    for (_, a, b) in flows {
        degree[*a].1 += 1;
        degree[*b].0 += 1;
    }
    for _ in 0..count {
        let remaining = || (0..count).filter(|i| left[*i]);
        let sink = remaining().find(|i| degree[*i].1 == 0 && degree[*i].0 > 0);
        let source = remaining().find(|i| degree[*i].0 == 0);
        let best = remaining().max_by_key(|i| (asking[*i], degree[*i].1 - degree[*i].0, std::cmp::Reverse(*i)));
        let (item, end) = match (source, sink, best) {
            (Some(item), _, _) => (item, &mut first),
            (None, Some(item), _) => (item, &mut last),
            (None, None, Some(item)) => (item, &mut first),
            (None, None, None) => break,
        };
        end.push(item);
        left[item] = false;
        for (_, a, b) in flows {
            if *a == item {
                degree[*b].0 -= 1;
            }
            if *b == item {
                degree[*a].1 -= 1;
            }
        }
    }
    let mut order = vec![0; count];
    for (position, item) in first.into_iter().chain(last.into_iter().rev()).enumerate() {
        order[item] = position;
    }
    order
}

/// One zone's items and lanes while they are ordered and aligned.
struct Level {
    /// What stands here, with height; the first ones are the zone's items.
    kind: Vec<Item>,
    height: Vec<i32>,
    width: Vec<i32>,
    layer: Vec<usize>,
    /// Vertices of each layer, top to bottom.
    rows: Vec<Vec<usize>>,
    /// Links between neighbouring layers: left vertex, height in it, right vertex, height in it.
    links: Vec<(usize, i32, usize, i32)>,
    top: Vec<i32>,
}

impl Level {
    fn new(planner: &Planner<'_>, zone: usize, inner: &[Block]) -> Self {
        let count = inner.len();
        let layer: Vec<usize> =
            (0..count).map(|i| planner.layer.get(&(zone, i)).copied().unwrap_or_default()).collect();
        let mut level = Self {
            kind: planner.children[zone].clone(),
            height: inner.iter().map(|b| b.h).collect(),
            width: inner.iter().map(|b| b.w).collect(),
            layer,
            rows: Vec::new(),
            links: Vec::new(),
            top: Vec::new(),
        };
        let last = level.layer.iter().copied().max().unwrap_or_default();
        let height = |flow: usize, item: usize, node: usize| {
            let found = inner[item].nodes.iter().find(|(n, _)| *n == node);
            found.map_or(0, |(_, r)| r.y + planner.offsets.get(&(flow, node)).copied().unwrap_or(r.h / 2))
        };
        for (flow, (from, to)) in planner.ends.iter().enumerate() {
            let (a, b) = (planner.item_of(zone, *from), planner.item_of(zone, *to));
            let (from, to, a, b) = if planner.forward[flow] { (*from, *to, a, b) } else { (*to, *from, b, a) };
            match (a, b) {
                (Some(a), Some(b)) if a != b => {
                    level.chain(
                        Some((a, height(flow, a, from))),
                        Some((b, height(flow, b, to))),
                        level.layer[a],
                        level.layer[b],
                    );
                }
                // It leaves to the right, or comes from the left.
                (Some(a), None) => level.chain(Some((a, height(flow, a, from))), None, level.layer[a], last + 1),
                (None, Some(b)) if level.layer[b] > 0 => {
                    level.lanes_from_the_left(b, height(flow, b, to));
                }
                _ => {}
            }
        }
        level.rows = vec![Vec::new(); last + 1];
        for (vertex, layer) in level.layer.iter().enumerate() {
            level.rows[*layer].push(vertex);
        }
        level
    }

    fn lane(&mut self, layer: usize) -> Option<usize> {
        if self.kind.len() > LANES_MAX {
            return None;
        }
        self.kind.push(Item::Lane);
        self.height.push(LANE);
        self.width.push(0);
        self.layer.push(layer);
        Some(self.kind.len() - 1)
    }

    /// Links `from` to `to` through lanes in the layers between them.
    fn chain(&mut self, from: Option<(usize, i32)>, to: Option<(usize, i32)>, first: usize, last: usize) {
        let mut at = from;
        for layer in first + 1..last {
            let Some(lane) = self.lane(layer) else { return };
            if let Some((vertex, y)) = at {
                self.links.push((vertex, y, lane, LANE / 2));
            }
            at = Some((lane, LANE / 2));
        }
        if let (Some((a, ya)), Some((b, yb))) = (at, to) {
            self.links.push((a, ya, b, yb));
        }
    }

    fn lanes_from_the_left(&mut self, item: usize, y: i32) {
        let layer = self.layer[item];
        let Some(first) = self.lane(0) else { return };
        self.chain(Some((first, LANE / 2)), Some((item, y)), 0, layer);
    }

    /// Orders each layer by where its neighbours stand, keeping the order with the fewest crossings.
    fn order(&mut self) {
        let mut best = (self.crossings(), self.rows.clone());
        for sweep in 0..12 {
            let rightwards = sweep % 2 == 0;
            let layers: Vec<usize> = if rightwards {
                (1..self.rows.len()).collect()
            } else {
                (0..self.rows.len().saturating_sub(1)).rev().collect()
            };
            for layer in layers {
                let position = self.positions();
                let near = self.neighbours(rightwards, |vertex, y, _| position[vertex] + f64::from(y) / 1e4);
                let mut keyed: Vec<(f64, usize)> = (0u32..)
                    .zip(&self.rows[layer])
                    .map(|(i, vertex)| match near.get(vertex) {
                        Some((sum, count)) => (sum / count, *vertex),
                        None => (f64::from(i), *vertex),
                    })
                    .collect();
                keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
                self.rows[layer] = keyed.into_iter().map(|(_, vertex)| vertex).collect();
            }
            let crossings = self.crossings();
            if crossings < best.0 {
                best = (crossings, self.rows.clone());
            }
        }
        self.rows = best.1;
    }

    /// For every vertex with links to the layer before it (or after it), the sum of `at` over them and their number.
    /// `at` is told the other end, how far below its top the link ends, and how far below the vertex's own.
    fn neighbours(&self, before: bool, at: impl Fn(usize, i32, i32) -> f64) -> BTreeMap<usize, (f64, f64)> {
        let mut all: BTreeMap<usize, (f64, f64)> = BTreeMap::new();
        for (a, ya, b, yb) in &self.links {
            let (vertex, place) = if before { (*b, at(*a, *ya, *yb)) } else { (*a, at(*b, *yb, *ya)) };
            let entry = all.entry(vertex).or_insert((0.0, 0.0));
            *entry = (entry.0 + place, entry.1 + 1.0);
        }
        all
    }

    fn positions(&self) -> Vec<f64> {
        let mut position = vec![0.0; self.kind.len()];
        for row in &self.rows {
            for (i, vertex) in row.iter().enumerate() {
                position[*vertex] = f64::from(u32::try_from(i).unwrap_or_default());
            }
        }
        position
    }

    fn crossings(&self) -> usize {
        let position = self.positions();
        let at = |v: usize, y: i32| position[v] + f64::from(y) / 1e5;
        let mut count = 0;
        for (i, (a, ya, b, yb)) in self.links.iter().enumerate() {
            for (c, yc, d, yd) in self.links.iter().take(i) {
                if self.layer[*a] != self.layer[*c] {
                    continue;
                }
                let (left, right) = (at(*a, *ya) - at(*c, *yc), at(*b, *yb) - at(*d, *yd));
                count += usize::from(left * right < 0.0);
            }
        }
        count
    }

    fn gap(&self, above: usize, below: usize) -> i32 {
        match (self.kind[above], self.kind[below]) {
            (Item::Lane, Item::Lane) => 0,
            (Item::Lane, _) | (_, Item::Lane) => 10,
            (Item::Zone(_), _) | (_, Item::Zone(_)) => GAP + 10,
            _ => GAP,
        }
    }

    /// Moves everything up and down so that flows are as straight as the order allows.
    fn align(&mut self) {
        self.top = vec![0; self.kind.len()];
        for layer in 0..self.rows.len() {
            self.settle(layer, &vec![None; self.kind.len()]);
        }
        for sweep in 0..12 {
            let rightwards = sweep % 2 == 0;
            let layers: Vec<usize> =
                if rightwards { (0..self.rows.len()).collect() } else { (0..self.rows.len()).rev().collect() };
            for layer in layers {
                let mut wish: Vec<Option<i32>> = vec![None; self.kind.len()];
                let tops = &self.top;
                let at = |vertex: usize, y: i32, own: i32| f64::from(tops[vertex] + y - own);
                let mut near = self.neighbours(rightwards, at);
                if sweep >= 8 {
                    // At last both sides count.
                    for (vertex, (sum, count)) in self.neighbours(!rightwards, at) {
                        let entry = near.entry(vertex).or_insert((0.0, 0.0));
                        *entry = (entry.0 + sum, entry.1 + count);
                    }
                }
                for (vertex, (sum, count)) in near {
                    if self.layer[vertex] == layer {
                        wish[vertex] = Some(px(sum / count));
                    }
                }
                self.settle(layer, &wish);
            }
        }
        let highest = self.top.iter().copied().min().unwrap_or_default();
        for top in &mut self.top {
            *top = snap(*top - highest);
        }
    }

    /// Puts a layer as near to its wishes as its order and spacing allow: least squares, by pooling neighbours that would
    /// overlap.
    fn settle(&mut self, layer: usize, wish: &[Option<i32>]) {
        let row = self.rows[layer].clone();
        let mut offset = 0;
        // Pools of (sum of wishes, members, weight); offsets are taken out, so that order is all that is left to keep.
        let mut pools: Vec<(f64, f64, usize)> = Vec::new();
        let mut offsets = Vec::with_capacity(row.len());
        for (i, vertex) in row.iter().enumerate() {
            if i > 0 {
                offset += self.height[row[i - 1]] + self.gap(row[i - 1], *vertex);
            }
            offsets.push(offset);
            let weight = if wish[*vertex].is_some() { 1.0 } else { 0.05 };
            let target = f64::from(wish[*vertex].unwrap_or(self.top[*vertex]) - offset);
            pools.push((target * weight, weight, 1));
            while let [.., a, b] = pools.as_slice()
                && a.0 / a.1 > b.0 / b.1
            {
                let joined = (a.0 + b.0, a.1 + b.1, a.2 + b.2);
                pools.truncate(pools.len() - 2);
                pools.push(joined);
            }
        }
        let mut i = 0;
        for (sum, weight, members) in pools {
            let base = snap(px(sum / weight));
            for _ in 0..members {
                self.top[row[i]] = base + offsets[i];
                i += 1;
            }
        }
    }

    fn bottom(&self) -> i32 {
        self.top.iter().zip(&self.height).map(|(t, h)| t + h).max().unwrap_or_default()
    }

    /// Where each item's top left corner stands.
    fn places(&self, planner: &Planner<'_>, zone: usize) -> Vec<(i32, i32)> {
        let count = self.rows.len();
        // Columns are as wide as their nodes; an inner zone may reach into the columns after it where nothing is in its way.
        let mut widths = vec![0; count];
        for (vertex, layer) in self.layer.iter().enumerate() {
            if matches!(self.kind[vertex], Item::Node(_)) {
                widths[*layer] = widths[*layer].max(self.width[vertex]);
            }
        }
        let zones_only = widths.clone();
        for (vertex, layer) in self.layer.iter().enumerate() {
            if zones_only[*layer] == 0 {
                widths[*layer] = widths[*layer].max(self.width[vertex]);
            }
        }
        // The gap before a layer holds the labels of the flows that end there and a track for each flow that passes.
        let (mut label, mut tracks) = (vec![0; count + 1], vec![0; count + 1]);
        for (flow, a, b) in planner.inner_flows(zone) {
            let (a, b) = (self.layer[a].min(self.layer[b]), self.layer[a].max(self.layer[b]));
            label[b] = label[b].max(planner.labels[flow].width);
            for passed in &mut tracks[a + 1..=b] {
                *passed += 1;
            }
        }
        let gap = |layer: usize| 40 + label[layer] + GRID * tracks[layer].min(10);
        let mut x = 0;
        let mut left = vec![0; count];
        for layer in 0..count {
            if layer > 0 {
                x += gap(layer);
            }
            left[layer] = x;
            x += widths[layer];
        }
        let items = planner.children[zone].len();
        let mut places: Vec<(i32, i32)> = vec![(0, 0); items];
        let mut order: Vec<usize> = (0..items).collect();
        order.sort_by_key(|i| self.layer[*i]);
        let linked: BTreeSet<(usize, usize)> = self.links.iter().map(|(a, _, b, _)| (*a, *b)).collect();
        for (done, item) in order.iter().enumerate() {
            let (layer, top) = (self.layer[*item], self.top[*item]);
            let indent = if matches!(self.kind[*item], Item::Node(_)) {
                snap((widths[layer] - self.width[*item]) / 2)
            } else {
                0
            };
            let mut x = left[layer] + indent;
            for before in order.iter().take(done).filter(|b| self.layer[**b] < layer) {
                let right = places[*before].0 + self.width[*before];
                let (above, below) = (self.top[*before] - GAP, self.top[*before] + self.height[*before] + GAP);
                if linked.contains(&(*before, *item)) {
                    x = x.max(right + gap(layer));
                } else if top < below && top + self.height[*item] > above {
                    x = x.max(right + 2 * GAP);
                }
            }
            places[*item] = (x, top);
        }
        places
    }
}

/// A coordinate from an average; they are far inside what both types hold.
#[expect(clippy::cast_possible_truncation, reason = "coordinates are small, and rounding is the point")]
fn px(n: f64) -> i32 {
    n.round() as i32
}
