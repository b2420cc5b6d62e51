//! A radix tree over many patterns at once: one walk along a value finds every pattern that it fits, however many
//! there are. Built once, in two flat arrays; a walk allocates nothing.
use std::collections::VecDeque;

/// In a pattern: one segment of a path, which is not empty. No UTF-8 text holds this byte.
pub(super) const SEGMENT: u8 = 0xff;

/// A text, the beginning or the end of one, or a path with `SEGMENT` in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Pattern {
    /// Whether it is compared from the end of the value; `bytes` are then turned round.
    pub(super) backward: bool,
    /// What the value must begin with.
    pub(super) bytes: Vec<u8>,
    /// Whether anything may follow.
    pub(super) open: bool,
}

/// Patterns of one direction, each with a target.
#[derive(Debug)]
pub(super) struct Radix {
    backward: bool,
    /// Whether ASCII case is ignored; patterns are in lower case then.
    fold: bool,
    // Invariant: never empty, the root is first; children stand side by side.
    nodes: Box<[Node]>,
    /// The first byte of each node's label, in the direction of the walk: apart, so that looking for a child reads one
    /// line of memory. Children stand in the order of these, `SEGMENT` last.
    firsts: Box<[u8]>,
    /// The labels of all nodes; each in the direction of the value, also when that is walked backward.
    labels: Box<[u8]>,
}

#[derive(Debug)]
struct Node {
    /// What leads here; for a segment, `SEGMENT` alone.
    label: u32,
    children: u32,
    /// Target of the pattern that ends here.
    whole: u32,
    /// Target of the pattern that ends here and lets anything follow.
    open: u32,
    label_length: u16,
    children_count: u16,
}

/// No target.
const NONE: u32 = u32::MAX;

impl Radix {
    /// From patterns of one direction; several targets of one pattern are not possible, the last one counts.
    pub(super) fn new(backward: bool, fold: bool, patterns: &[(&Pattern, u32)]) -> Self {
        let mut patterns = patterns.to_vec();
        patterns.sort_by(|(a, _), (b, _)| a.bytes.cmp(&b.bytes));
        let mut nodes = vec![Node::new(0, 0)];
        let mut firsts = vec![0];
        let mut labels = Vec::new();
        // Breadth first, so that children stand side by side: node, its patterns, how many bytes of them are behind.
        let mut open = VecDeque::from([(0, patterns.as_slice(), 0)]);
        while let Some((at, mut patterns, depth)) = open.pop_front() {
            let mut node = Node { children: offset(nodes.len()), ..Node::new(0, 0) };
            while let Some(((pattern, target), rest)) = patterns.split_first()
                && pattern.bytes.len() == depth
            {
                *(if pattern.open { &mut node.open } else { &mut node.whole }) = *target;
                patterns = rest;
            }
            while let Some(&first) = patterns.first().and_then(|(pattern, _)| pattern.bytes.get(depth)) {
                let alike = patterns.partition_point(|(pattern, _)| pattern.bytes.get(depth) == Some(&first));
                let (group, others) = patterns.split_at(alike);
                let length = common(group, depth);
                let label =
                    group.first().and_then(|(pattern, _)| pattern.bytes.get(depth..depth + usize::from(length)));
                nodes.push(Node::new(offset(labels.len()), length));
                firsts.push(first);
                open.push_back((nodes.len() - 1, group, depth + usize::from(length)));
                node.children_count += 1;
                let label = label.unwrap_or_default();
                if backward {
                    labels.extend(label.iter().rev())
                } else {
                    labels.extend(label)
                }
                patterns = others;
            }
            if let Some(slot) = nodes.get_mut(at) {
                *slot = Node { label: slot.label, label_length: slot.label_length, ..node };
            }
        }
        Self { backward, fold, nodes: nodes.into(), firsts: firsts.into(), labels: labels.into() }
    }

    /// Calls `found` with the target of each pattern that the value fits.
    pub(super) fn visit(&self, value: &[u8], found: &mut impl FnMut(u32)) {
        if let Some(root) = self.nodes.first() {
            self.walk(root, value, found);
        }
    }

    /// Calls itself for segments only, so never deeper than a pattern has of them.
    fn walk<'a>(&'a self, mut node: &'a Node, mut rest: &[u8], found: &mut impl FnMut(u32)) {
        loop {
            if node.open != NONE {
                found(node.open);
            }
            let Some(byte) = self.next(rest) else {
                if node.whole != NONE {
                    found(node.whole);
                }
                return;
            };
            let start = index(node.children);
            let Some(firsts) = self.firsts.get(start..start + usize::from(node.children_count)) else { return };
            if firsts.last() == Some(&SEGMENT)
                && byte != b'/'
                && let Some(segment) = self.nodes.get(start + firsts.len() - 1)
            {
                let end = rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len());
                self.walk(segment, rest.get(end..).unwrap_or_default(), found);
            }
            let child = firsts.iter().position(|first| *first == byte).and_then(|at| self.nodes.get(start + at));
            let Some((child, tail)) = child.and_then(|child| Some((child, self.strip(rest, child)?))) else { return };
            (node, rest) = (child, tail);
        }
    }

    /// The next byte of the value.
    fn next(&self, rest: &[u8]) -> Option<u8> {
        let byte = if self.backward { rest.last() } else { rest.first() }?;
        Some(if self.fold { byte.to_ascii_lowercase() } else { *byte })
    }

    /// The value without the label of a node.
    fn strip<'v>(&self, rest: &'v [u8], node: &Node) -> Option<&'v [u8]> {
        // The first byte led here.
        match (rest, node.label_length, self.backward) {
            ([_, tail @ ..], 1, false) | ([tail @ .., _], 1, true) => return Some(tail),
            _ => {}
        }
        let start = index(node.label);
        let label = self.labels.get(start..start + usize::from(node.label_length))?;
        let (head, tail) = if self.backward {
            let (tail, head) = rest.split_at_checked(rest.len().checked_sub(label.len())?)?;
            (head, tail)
        } else {
            rest.split_at_checked(label.len())?
        };
        let same = if self.fold { head.eq_ignore_ascii_case(label) } else { head == label };
        same.then_some(tail)
    }
}

impl Node {
    fn new(label: u32, label_length: u16) -> Self {
        Self { label, label_length, children: 0, children_count: 0, whole: NONE, open: NONE }
    }
}

/// How many bytes after `depth` sorted patterns have in common, as far as a label can hold; a segment stands alone.
fn common(patterns: &[(&Pattern, u32)], depth: usize) -> u16 {
    let (Some((first, _)), Some((last, _))) = (patterns.first(), patterns.last()) else { return 0 };
    let (first, last) = (first.bytes.iter().skip(depth), last.bytes.iter().skip(depth));
    if first.clone().next() == Some(&SEGMENT) {
        return 1;
    }
    let same = first.zip(last).take_while(|(a, b)| a == b && **a != SEGMENT).count();
    u16::try_from(same).unwrap_or(u16::MAX)
}

/// Policies of more than 4 GiB are none; a tree of them would find nothing, and so be refused by `NONE`.
fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(NONE)
}

fn index(at: u32) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
