//! Builds the tree: first each rule's ways and their patterns, then node by node from the root.
use std::{
    collections::{BTreeMap, HashMap},
    rc::Rc,
};

use super::{
    Index, Node, Span, Split, Way,
    dimension::{Dimension, Dimensions},
    index, number,
    radix::{Pattern, Radix},
};
use crate::{Protocol, matcher::Check, rules::Rule};

/// Rules with more pairs of a source and an operation are looked up by the longer of the two lists only.
const PAIRS_MAX: usize = 256;
/// How often a value may be entered on the average; a field that takes more is left to the rules.
const ENTRIES_PER_VALUE: usize = 16;

/// A way's patterns in one dimension, by number; `None` when it does not look at it.
type Patterns = Option<Rc<[u32]>>;

/// What is needed until the tree stands.
pub(super) struct Builder {
    leaf_max: usize,
    ways: Vec<Way>,
    /// For each dimension, of each way.
    keys: [Vec<Patterns>; Dimension::ALL.len()],
    patterns: Interned,
    /// How many more entries the tree may have.
    allowance: usize,
    nodes: Vec<Node>,
    leaves: Vec<u32>,
}

/// Patterns by number.
#[derive(Default)]
struct Interned {
    numbers: HashMap<Rc<Pattern>, u32>,
    all: Vec<Rc<Pattern>>,
}

/// What one alternative of a rule has in each dimension, and where that is exact.
#[derive(Clone, Default)]
struct Keys {
    patterns: [Patterns; Dimension::ALL.len()],
    exact: Dimensions,
}

impl Builder {
    pub(super) fn new(rules: &[Rule], protocol: Protocol, leaf_max: usize) -> Self {
        let mut builder = Self {
            leaf_max,
            ways: Vec::with_capacity(rules.len()),
            keys: Default::default(),
            patterns: Interned::default(),
            allowance: 0,
            nodes: Vec::new(),
            leaves: Vec::new(),
        };
        for (at, rule) in rules.iter().enumerate() {
            if protocol == Protocol::Http || !rule.http_only {
                builder.ways(number(at), rule, protocol);
            }
        }
        builder.allowance = builder.allowance.saturating_add(builder.ways.len()).saturating_mul(ENTRIES_PER_VALUE);
        builder
    }

    pub(super) fn build(mut self) -> Index {
        let all = (0..number(self.ways.len())).collect();
        let root = self.node(all, Dimensions::default(), Dimensions::default());
        Index { ways: self.ways.into(), nodes: self.nodes.into(), leaves: self.leaves.into(), root }
    }

    /// All ways to match a rule.
    fn ways(&mut self, number: u32, rule: &Rule, protocol: Protocol) {
        let from: Vec<_> = rule.from.iter().map(|source| self.keys_of(source, protocol)).collect();
        let to: Vec<_> = rule.to.iter().map(|operation| self.keys_of(operation, protocol)).collect();
        // Conditions may ask for one thing twice, so that none of them is proven.
        let when = Keys { exact: Dimensions::default(), ..self.keys_of(&rule.when, protocol) };
        let pairs = from.len().max(1).saturating_mul(to.len().max(1)) <= PAIRS_MAX;
        for source in spans(from.len(), pairs || from.len() >= to.len()) {
            for operation in spans(to.len(), pairs || to.len() > from.len()) {
                let mut way = Way { rule: number, from: source, to: operation, exact: Dimensions::default() };
                for (dimension, known) in Dimension::ALL.into_iter().zip(&mut self.keys) {
                    let at = dimension as usize;
                    let one = [single(source, &from), single(operation, &to), Some(&when)]
                        .into_iter()
                        .flatten()
                        .find_map(|keys| Some((keys, keys.patterns.get(at)?.clone()?)));
                    if one.as_ref().is_some_and(|(keys, _)| keys.exact.contains(dimension)) {
                        way.exact = way.exact.with(dimension);
                    }
                    known.push(one.map(|(_, patterns)| patterns));
                }
                self.ways.push(way);
            }
        }
    }

    fn keys_of(&mut self, checks: &[Check], protocol: Protocol) -> Keys {
        let mut keys = Keys::default();
        for (dimension, slot) in Dimension::ALL.into_iter().zip(&mut keys.patterns) {
            if protocol == Protocol::Tcp && dimension.http_only() {
                continue;
            }
            let Some(key) =
                checks.iter().filter(|check| !check.negated).find_map(|check| dimension.key(&check.matcher))
            else {
                continue;
            };
            self.allowance += key.patterns.len();
            let mut numbers: Vec<u32> = key.patterns.into_iter().map(|pattern| self.patterns.number(pattern)).collect();
            numbers.sort_unstable();
            numbers.dedup();
            *slot = Some(numbers.into());
            if key.exact {
                keys.exact = keys.exact.with(dimension);
            }
        }
        keys
    }

    /// Makes the node of some ways, and all nodes below; goes as deep as there are dimensions.
    fn node(&mut self, ways: Vec<u32>, used: Dimensions, proven: Dimensions) -> u32 {
        let Some(dimension) = self.choose(&ways, used) else {
            let start = number(self.leaves.len());
            self.leaves.extend(ways);
            return self.push(Node::Leaf { start, end: number(self.leaves.len()), proven });
        };
        let mut groups: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        let mut others = Vec::new();
        for way in ways {
            match self.key(dimension, way) {
                None => others.push(way),
                Some(patterns) => {
                    patterns.iter().for_each(|pattern| groups.entry(*pattern).or_default().push(way));
                }
            }
        }
        let used = used.with(dimension);
        // Values that lead to the same rules share one node.
        let mut shared: HashMap<Vec<u32>, u32> = HashMap::new();
        let mut targets = Vec::with_capacity(groups.len());
        for (pattern, group) in groups {
            let node = match shared.get(&group) {
                Some(node) => *node,
                None => {
                    let node = self.node(group.clone(), used, proven.with(dimension));
                    shared.insert(group, node);
                    node
                }
            };
            targets.push((pattern, node));
        }
        let others = (!others.is_empty()).then(|| self.node(others, used, proven));
        let radix = |backward| {
            let patterns: Vec<(&Pattern, u32)> = targets
                .iter()
                .filter_map(|(pattern, node)| Some((&**self.patterns.all.get(index(*pattern))?, *node)))
                .filter(|(pattern, _)| pattern.backward == backward)
                .collect();
            (!patterns.is_empty()).then(|| Radix::new(backward, dimension.fold(), &patterns))
        };
        let (forward, backward) = (radix(false), radix(true));
        self.push(Node::Split(Box::new(Split { dimension, forward, backward, others })))
    }

    /// The dimension that leaves the fewest ways to be read at worst; `None` when reading all is no worse.
    fn choose(&mut self, ways: &[u32], used: Dimensions) -> Option<Dimension> {
        if ways.len() <= self.leaf_max {
            return None;
        }
        let mut best: Option<(usize, usize, Dimension)> = None;
        for dimension in Dimension::ALL.into_iter().filter(|dimension| !used.contains(*dimension)) {
            let mut counts: HashMap<u32, usize> = HashMap::new();
            let (mut others, mut entries) = (0, 0);
            for way in ways {
                match self.key(dimension, *way) {
                    None => others += 1,
                    Some(patterns) => {
                        entries += patterns.len();
                        patterns.iter().for_each(|pattern| *counts.entry(*pattern).or_default() += 1);
                    }
                }
            }
            let read = others + counts.values().max().copied().unwrap_or(0);
            let fewest = best.map_or(ways.len(), |(read, ..)| read);
            if read < fewest && entries <= self.allowance {
                best = Some((read, entries, dimension));
            }
        }
        let (_, entries, dimension) = best?;
        self.allowance -= entries;
        Some(dimension)
    }

    fn key(&self, dimension: Dimension, way: u32) -> Patterns {
        self.keys.get(dimension as usize)?.get(index(way))?.clone()
    }

    fn push(&mut self, node: Node) -> u32 {
        self.nodes.push(node);
        number(self.nodes.len() - 1)
    }
}

impl Interned {
    fn number(&mut self, pattern: Pattern) -> u32 {
        if let Some(number) = self.numbers.get(&pattern) {
            return *number;
        }
        let pattern = Rc::new(pattern);
        let next = number(self.all.len());
        self.all.push(Rc::clone(&pattern));
        self.numbers.insert(pattern, next);
        next
    }
}

/// Each alternative on its own, or all in one; none at all is one way, too.
fn spans(count: usize, each: bool) -> Vec<Span> {
    if each && count > 0 {
        (0..number(count)).map(|start| Span { start, end: start + 1 }).collect()
    } else {
        vec![Span { start: 0, end: number(count) }]
    }
}

/// The keys of a span of one alternative.
fn single(span: Span, keys: &[Keys]) -> Option<&Keys> {
    match span.of(keys) {
        [one] => Some(one),
        _ => None,
    }
}
