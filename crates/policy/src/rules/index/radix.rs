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
    // Invariant: never empty, the root is first; children stand side by side, in the order of their first byte.
    nodes: Box<[Node]>,
    /// The labels of all nodes; each in the direction of the value, also when that is walked backward.
    labels: Box<[u8]>,
}

#[derive(Debug)]
struct Node {
    /// What leads here; for a segment, `SEGMENT` alone.
    label: u32,
    label_length: u32,
    children: u32,
    /// Target of the pattern that ends here.
    whole: u32,
    /// Target of the pattern that ends here and lets anything follow.
    open: u32,
    children_count: u16,
    /// First byte of the label, in the direction of the walk.
    first: u8,
}

/// No target.
const NONE: u32 = u32::MAX;

impl Radix {
    /// From patterns of one direction; several targets of one pattern are not possible, the last one counts.
    pub(super) fn new(backward: bool, fold: bool, patterns: &[(&Pattern, u32)]) -> Self {
        let mut patterns = patterns.to_vec();
        patterns.sort_by(|(a, _), (b, _)| a.bytes.cmp(&b.bytes));
        let mut nodes = vec![Node::new(0, 0, 0)];
        let mut labels = Vec::new();
        // Breadth first, so that children stand side by side: node, its patterns, how many bytes of them are behind.
        let mut open = VecDeque::from([(0, patterns.as_slice(), 0)]);
        while let Some((at, mut patterns, depth)) = open.pop_front() {
            let mut node = Node { children: offset(nodes.len()), ..Node::new(0, 0, 0) };
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
                let label = group.first().and_then(|(pattern, _)| pattern.bytes.get(depth..depth + length));
                nodes.push(Node::new(offset(labels.len()), offset(length), first));
                open.push_back((nodes.len() - 1, group, depth + length));
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
                *slot = Node { label: slot.label, label_length: slot.label_length, first: slot.first, ..node };
            }
        }
        Self { backward, fold, nodes: nodes.into(), labels: labels.into() }
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
            let Some(children) = self.nodes.get(start..start + usize::from(node.children_count)) else { return };
            if let Some(segment) = children.last()
                && segment.first == SEGMENT
                && byte != b'/'
            {
                let end = rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len());
                self.walk(segment, rest.get(end..).unwrap_or_default(), found);
            }
            let child = children.binary_search_by_key(&byte, |child| child.first).ok().and_then(|at| children.get(at));
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
        let start = index(node.label);
        let label = self.labels.get(start..start + index(node.label_length))?;
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
    fn new(label: u32, label_length: u32, first: u8) -> Self {
        Self { label, label_length, first, children: 0, children_count: 0, whole: NONE, open: NONE }
    }
}

/// How many bytes after `depth` sorted patterns have in common; a segment stands alone.
fn common(patterns: &[(&Pattern, u32)], depth: usize) -> usize {
    let (Some((first, _)), Some((last, _))) = (patterns.first(), patterns.last()) else { return 0 };
    let rest = |pattern: &Pattern| pattern.bytes.iter().skip(depth).copied().collect::<Vec<_>>();
    let (first, last) = (rest(first), rest(last));
    if first.first() == Some(&SEGMENT) {
        return 1;
    }
    first.iter().zip(&last).take_while(|(a, b)| a == b && **a != SEGMENT).count()
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
