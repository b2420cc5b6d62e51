//! A step in numbers, as small as it can be.
use crate::{
    closure::By,
    differ::{Difference, Renumbered},
};

/// No fact.
pub(super) const NONE: u32 = u32::MAX;

/// A step in numbers of facts. There are many of them, and to look at them is what walking costs: so each is small.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Numbered {
    pub(super) fact: u32,
    pub(super) from: [u32; 2],
    pub(super) of: [u32; 2],
    kind: Kind,
}

/// The variants of `By`, and what they are about apart from them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Given,
    Lies,
    Exposed,
    Party,
    Flow,
    Forwarded,
    Open,
    Inside,
    Moved,
    Administered,
    Forged,
    Runs,
    Opened,
    Exploit,
    Login,
    Sniffed,
}

impl Numbered {
    pub(super) fn new(fact: u32, from: [u32; 2], by: By) -> Self {
        let (kind, a, b) = match by {
            By::Given => (Kind::Given, 0, 0),
            By::Lies => (Kind::Lies, 0, 0),
            By::Exposed(zone, node) => (Kind::Exposed, zone, node),
            By::Party(flow) => (Kind::Party, flow, 0),
            By::Flow(flow) => (Kind::Flow, flow, 0),
            By::Forwarded(flow) => (Kind::Forwarded, flow, 0),
            By::Open(node) => (Kind::Open, node, 0),
            By::Inside(node) => (Kind::Inside, node, 0),
            By::Moved(flow) => (Kind::Moved, flow, 0),
            By::Administered(node) => (Kind::Administered, node, 0),
            By::Forged(node) => (Kind::Forged, node, 0),
            By::Runs(flow) => (Kind::Runs, flow, 0),
            By::Opened(datum, node) => (Kind::Opened, datum, node),
            By::Exploit(node) => (Kind::Exploit, node, 0),
            By::Login(node) => (Kind::Login, node, 0),
            By::Sniffed(flow) => (Kind::Sniffed, flow, 0),
        };
        Self { fact, from, of: [number(a), number(b)], kind }
    }

    /// What it is about after a difference; none where that is gone.
    pub(super) fn of_now(&self, difference: &Difference) -> Option<[u32; 2]> {
        let Difference { nodes, data, flows } = difference;
        let [a, b] = self.of;
        let now = |all: &Renumbered, id: u32| all.now(id as usize).map(number);
        Some(match self.kind {
            Kind::Given | Kind::Lies => self.of,
            Kind::Party | Kind::Flow | Kind::Forwarded | Kind::Moved | Kind::Runs | Kind::Sniffed => {
                [now(flows, a)?, b]
            }
            Kind::Open | Kind::Inside | Kind::Administered | Kind::Forged | Kind::Exploit | Kind::Login => {
                [now(nodes, a)?, b]
            }
            Kind::Exposed => [a, now(nodes, b)?],
            Kind::Opened => [now(data, a)?, now(nodes, b)?],
        })
    }

    pub(super) fn by(&self) -> By {
        let [a, b] = self.of.map(|id| id as usize);
        match self.kind {
            Kind::Given => By::Given,
            Kind::Lies => By::Lies,
            Kind::Exposed => By::Exposed(a, b),
            Kind::Party => By::Party(a),
            Kind::Flow => By::Flow(a),
            Kind::Forwarded => By::Forwarded(a),
            Kind::Open => By::Open(a),
            Kind::Inside => By::Inside(a),
            Kind::Moved => By::Moved(a),
            Kind::Administered => By::Administered(a),
            Kind::Forged => By::Forged(a),
            Kind::Runs => By::Runs(a),
            Kind::Opened => By::Opened(a, b),
            Kind::Exploit => By::Exploit(a),
            Kind::Login => By::Login(a),
            Kind::Sniffed => By::Sniffed(a),
        }
    }
}

pub(super) fn number(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(NONE)
}
