//! Finds the rules that a request could match, without reading the others.
//!
//! A tree. Each node tells its rules apart by one field (principal, path, host, …): a radix tree over the values that
//! the rules have for it leads on to the rules with that value, and the rules that do not look at the field stand to
//! one side. Which field, is chosen at each node by what the rules there say: the one that leaves the fewest to be
//! read. So thousands of rules about one caller are told apart by path, thousands about one path by caller, and a
//! decision costs a few walks along principal and path, whatever the number of policies. At the leaves stand a few
//! rules, which are then held against the request; a negation, a header, a claim or an address is asked there.
//!
//! Sets of bits per field, intersected, were the other choice: simpler, but their cost and memory grow with the
//! number of rules times the number of values. Here memory grows with the values alone, as lists that several values
//! share are kept once, and no more is split than an allowance lets.
//!
//! Invariant: a rule that matches a request is in some leaf that the request reaches. Never the other way round: what
//! the tree did not prove exactly is asked again.
use super::Rule;
use crate::{
    Protocol,
    matcher::{Check, Facts},
};

mod build;
mod dimension;
mod radix;

use build::Builder;
use dimension::{Dimension, Dimensions};
use radix::Radix;

/// So few rules are read faster than told apart.
const LEAF_MAX: usize = 4;

/// The rules of one phase for one protocol.
#[derive(Debug)]
pub(super) struct Index {
    ways: Box<[Way]>,
    nodes: Box<[Node]>,
    /// Ways of all leaves, each leaf's in the order of the rules.
    leaves: Box<[u32]>,
    root: u32,
}

/// One way to match a rule: one of its sources with one of its operations, or a range of them where there are too many.
#[derive(Debug)]
struct Way {
    rule: u32,
    from: Span,
    to: Span,
    /// Dimensions that need not be asked again once they led here.
    exact: Dimensions,
}

#[derive(Clone, Copy, Debug)]
struct Span {
    start: u32,
    end: u32,
}

#[derive(Debug)]
enum Node {
    /// Rules to be read.
    Leaf {
        start: u32,
        end: u32,
        /// Dimensions by whose values one gets here.
        proven: Dimensions,
    },
    Split(Box<Split>),
}

#[derive(Debug)]
struct Split {
    dimension: Dimension,
    forward: Option<Radix>,
    backward: Option<Radix>,
    /// The rules that do not look at the dimension.
    others: Option<u32>,
}

impl Index {
    /// Over rules in their order; on TCP those that never match it are left out.
    pub(super) fn new(rules: &[Rule], protocol: Protocol) -> Self {
        Builder::new(rules, protocol, LEAF_MAX).build()
    }

    /// The same, with every node split that can be.
    #[cfg(test)]
    pub(super) fn finely(rules: &[Rule], protocol: Protocol) -> Self {
        Builder::new(rules, protocol, 1).build()
    }

    /// The number of the first rule that matches.
    pub(super) fn find(&self, rules: &[Rule], facts: &Facts) -> Option<usize> {
        let mut first = u32::MAX;
        self.search(self.root, rules, facts, &mut first);
        Some(index(first)).filter(|at| *at < rules.len())
    }

    /// Lowers `first` to the first rule that matches below a node. Goes as deep as there are dimensions.
    fn search(&self, node: u32, rules: &[Rule], facts: &Facts, first: &mut u32) {
        match self.nodes.get(index(node)) {
            None => {}
            Some(Node::Leaf { start, end, proven }) => {
                let ways = self.leaves.get(index(*start)..index(*end)).unwrap_or_default();
                for way in ways.iter().filter_map(|way| self.ways.get(index(*way))) {
                    if way.rule >= *first {
                        return;
                    }
                    if rules.get(index(way.rule)).is_some_and(|rule| way.matches(rule, facts, *proven)) {
                        *first = way.rule;
                        return;
                    }
                }
            }
            Some(Node::Split(split)) => {
                let mut on = |node| self.search(node, rules, facts, first);
                if let Some(patterns) = &split.forward {
                    split.dimension.visit(facts, patterns, false, &mut on);
                }
                if let Some(patterns) = &split.backward {
                    split.dimension.visit(facts, patterns, true, &mut on);
                }
                split.others.into_iter().for_each(on);
            }
        }
    }
}

impl Way {
    fn matches(&self, rule: &Rule, facts: &Facts, proven: Dimensions) -> bool {
        let proven = proven.and(self.exact);
        let known = |check: &Check| {
            !check.negated && Dimension::of(&check.matcher).is_some_and(|dimension| proven.contains(dimension))
        };
        let all = |checks: &[Check]| checks.iter().all(|check| known(check) || check.holds(facts));
        let any = |alternatives: &[Box<[Check]>]| alternatives.is_empty() || alternatives.iter().any(|one| all(one));
        any(self.to.of(&rule.to)) && any(self.from.of(&rule.from)) && rule.when.iter().all(|check| check.holds(facts))
    }
}

impl Span {
    fn of<T>(self, list: &[T]) -> &[T] {
        list.get(index(self.start)..index(self.end)).unwrap_or_default()
    }
}

/// Sizes are those of documents; what does not fit into 32 bits was refused long before.
fn number(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

fn index(at: u32) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
