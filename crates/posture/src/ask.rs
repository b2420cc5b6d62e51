//! What is asked about an attacker: where from, to what, and with what assumed; in names of the model.
use std::collections::BTreeMap;

use model::{Class, Model, Trust, closest};

use crate::{
    closure::{Fact, ZoneId},
    view::View,
};

/// Most starts that are looked at one by one; what is beyond counts as one attacker more.
const STARTS_MAX: usize = 32;

/// A question in the words of people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Question {
    /// Nodes that are the attacker's, zones that he stands in; empty: every hostile party, and every zone without trust.
    pub from: Vec<String>,
    /// Data and nodes that he is after; empty: all data that are more than public, and every administration.
    pub to: Vec<String>,
    /// What he has beside that: `control app`, `hold db-password`, `reach db`.
    pub assume: Vec<String>,
}

/// Why a question cannot be answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuestionError {
    /// A name that the model does not have.
    #[error("the model has no {kind} `{name}`{}", near(.closest))]
    Unknown {
        /// What it should be.
        kind: &'static str,
        /// As asked.
        name: String,
        /// What may be meant.
        closest: Option<String>,
    },
    /// Something else is assumed than the three things that can be.
    #[error("cannot assume `{0}`: write `control NODE`, `hold DATUM` or `reach NODE`")]
    Assumption(String),
}

fn near(closest: &Option<String>) -> String {
    closest.as_ref().map_or(String::new(), |c| format!("; did you mean `{c}`?"))
}

/// One attacker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attacker {
    pub(crate) name: String,
    pub(crate) given: Vec<Fact>,
}

/// A question in numbers.
pub(crate) struct Asked {
    pub(crate) attackers: Vec<Attacker>,
    /// What is assumed beside, for every one of them.
    pub(crate) assumed: Vec<Fact>,
    /// Facts that he is after; none: the default.
    pub(crate) targets: Option<Vec<Fact>>,
}

impl Asked {
    pub(crate) fn new(view: &View<'_>, question: &Question) -> Result<Self, QuestionError> {
        let names = Names { view, zones: view.model.zones.keys().map(|z| z.as_str()).zip(0..).collect() };
        let attackers = match question.from.is_empty() {
            true => outside(view),
            false => question.from.iter().map(|name| names.attacker(name)).collect::<Result<_, _>>()?,
        };
        let assumed = question.assume.iter().map(|text| names.assumed(text)).collect::<Result<_, _>>()?;
        let mut targets = Vec::new();
        for name in &question.to {
            targets.extend(names.target(name)?);
        }
        Ok(Self { attackers, assumed, targets: (!question.to.is_empty()).then_some(targets) })
    }

    /// Everybody outside, after everything that matters.
    pub(crate) fn outside(view: &View<'_>) -> Self {
        Self { attackers: outside(view), assumed: Vec::new(), targets: None }
    }

    /// Whether he is after it.
    pub(crate) fn is_target(&self, view: &View<'_>, fact: Fact) -> bool {
        match (&self.targets, fact) {
            (Some(targets), fact) => targets.contains(&fact),
            (None, Fact::Hold(datum)) => view.class(datum) > Class::Public,
            (None, Fact::Control(node)) => view.node(node).node.admin,
            (None, _) => false,
        }
    }
}

struct Names<'v, 'm> {
    view: &'v View<'m>,
    zones: BTreeMap<&'m str, ZoneId>,
}

impl Names<'_, '_> {
    fn attacker(&self, name: &str) -> Result<Attacker, QuestionError> {
        let zone = || self.zones.get(name).map(|z| Fact::Stand(*z));
        let fact = self.view.node_named(name).map(Fact::Control).or_else(zone);
        let model = self.view.model;
        let all = || model.nodes.keys().chain(model.zones.keys()).map(|n| n.as_str());
        let fact = fact.ok_or_else(|| unknown("node or zone", name, all()))?;
        Ok(Attacker { name: name.to_owned(), given: vec![fact] })
    }

    fn assumed(&self, text: &str) -> Result<Fact, QuestionError> {
        let other = || QuestionError::Assumption(text.to_owned());
        let (what, name) = text.trim().split_once(char::is_whitespace).ok_or_else(other)?;
        let name = name.trim();
        match what {
            "control" => self.node(name).map(Fact::Control),
            "reach" => self.node(name).map(Fact::Reach),
            "hold" => self.datum(name).map(Fact::Hold),
            _ => Err(other()),
        }
    }

    fn target(&self, name: &str) -> Result<Vec<Fact>, QuestionError> {
        if let Some(datum) = self.view.datum_named(name) {
            return Ok(vec![Fact::Hold(datum)]);
        }
        let model = self.view.model;
        let all = || model.data.keys().chain(model.nodes.keys()).map(|n| n.as_str());
        let node = self.view.node_named(name).ok_or_else(|| unknown("datum or node", name, all()))?;
        Ok(vec![Fact::Control(node)])
    }

    fn node(&self, name: &str) -> Result<usize, QuestionError> {
        let all = || self.view.model.nodes.keys().map(|n| n.as_str());
        self.view.node_named(name).ok_or_else(|| unknown("node", name, all()))
    }

    fn datum(&self, name: &str) -> Result<usize, QuestionError> {
        let all = || self.view.model.data.keys().map(|n| n.as_str());
        self.view.datum_named(name).ok_or_else(|| unknown("datum", name, all()))
    }
}

pub(crate) fn unknown<'a>(kind: &'static str, name: &str, all: impl Iterator<Item = &'a str>) -> QuestionError {
    QuestionError::Unknown { kind, name: name.to_owned(), closest: closest(name, all).map(str::to_owned) }
}

/// Everybody in a zone without trust, together with the hostile parties there; every hostile party elsewhere by itself.
fn outside(view: &View<'_>) -> Vec<Attacker> {
    let model: &Model = view.model;
    let hostile = || view.nodes.iter().enumerate().filter(|(_, n)| n.node.hostile);
    let mut all = Vec::new();
    for (id, (name, _)) in model.zones.iter().enumerate().filter(|(_, (_, z))| z.trust == Trust::None) {
        let own = || hostile().filter(|(_, n)| n.node.zone == *name);
        let mut given = vec![Fact::Stand(id)];
        given.extend(own().map(|(node, _)| Fact::Control(node)));
        let first = own().map(|(_, n)| n.name).next();
        all.push(Attacker { name: first.unwrap_or(name).to_string(), given });
    }
    let inside = hostile().filter(|(_, n)| n.trust != Trust::None);
    all.extend(inside.map(|(id, n)| Attacker { name: n.name.to_string(), given: vec![Fact::Control(id)] }));
    if all.len() > STARTS_MAX {
        let rest = all.split_off(STARTS_MAX - 1);
        let name = format!("{} and {} more", rest[0].name, rest.len() - 1);
        all.push(Attacker { name, given: rest.into_iter().flat_map(|a| a.given).collect() });
    }
    all
}
