//! Blast radius: what a compromise of each node reaches by itself, with no further luck of the attacker's.
use std::{cmp::Reverse, collections::BTreeMap};

use model::{Class, NodeKind};
use serde::Serialize;

use crate::{
    Attack, QuestionError,
    ask::unknown,
    closure::Fact,
    steps::Marks,
    view::{NodeId, class_word},
};

/// What the compromise of a node reaches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Blast {
    /// The node.
    pub node: String,
    /// The worst class of the data; none where nothing but public data are had.
    pub worst: Option<&'static str>,
    /// Data that are had, more than public ones, by class, the worst first.
    pub data: Vec<ClassOfData>,
    /// Other nodes that are then controlled.
    pub controls: Vec<String>,
    /// Other nodes that can then be connected to.
    pub reaches: usize,
}

/// Data of one class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClassOfData {
    /// The class.
    pub class: &'static str,
    /// How many.
    pub count: usize,
    /// Their names.
    pub names: Vec<String>,
}

/// How many data of which class, the worst and the most first.
type Rank = Vec<(Reverse<Class>, Reverse<usize>)>;

impl Attack<'_> {
    /// Of one node, or of all that are no party, those that reach most first.
    ///
    /// # Errors
    /// The model has no such node.
    pub fn blast(&self, node: Option<&str>) -> Result<Vec<Blast>, QuestionError> {
        let view = &self.view;
        let nodes: Vec<NodeId> = match node {
            Some(name) => {
                let all = view.model.nodes.keys().map(|n| n.as_str());
                vec![view.node_named(name).ok_or_else(|| unknown("node", name, all))?]
            }
            None => (0..view.nodes.len()).filter(|n| view.node(*n).node.kind != NodeKind::Party).collect(),
        };
        let count = self.steps.numbers.count();
        let (mut done, mut known) = (Marks::new(count), Marks::new(count));
        let mut all: Vec<(Rank, Blast)> = Vec::with_capacity(nodes.len());
        for node in nodes {
            let mut classes: BTreeMap<Reverse<Class>, Vec<String>> = BTreeMap::new();
            let (mut controls, mut reaches) = (Vec::new(), 0);
            for fact in self.steps.spread(Fact::Control(node), &mut done, &mut known) {
                match fact {
                    Fact::Hold(datum) if view.class(datum) > Class::Public => {
                        classes.entry(Reverse(view.class(datum))).or_default().push(view.datum(datum).name.to_string());
                    }
                    Fact::Control(other) if other != node => controls.push(view.node(other).name.to_string()),
                    Fact::Reach(other) if other != node => reaches += 1,
                    _ => {}
                }
            }
            controls.sort();
            let rank = classes.iter().map(|(class, names)| (*class, Reverse(names.len()))).collect();
            let data = classes.into_iter().map(|(Reverse(class), mut names)| {
                names.sort();
                ClassOfData { class: class_word(class), count: names.len(), names }
            });
            let data: Vec<ClassOfData> = data.collect();
            let worst = data.first().map(|d| d.class);
            all.push((rank, Blast { node: view.node(node).name.to_string(), worst, data, controls, reaches }));
        }
        // A node that reaches nothing comes last; an empty list would be before every other one.
        let key = |(rank, blast): &(Rank, Blast)| {
            (rank.is_empty(), rank.clone(), Reverse(blast.controls.len()), blast.node.clone())
        };
        all.sort_by_cached_key(key);
        Ok(all.into_iter().map(|(_, blast)| blast).collect())
    }
}

#[cfg(test)]
mod tests;
