//! The diagram, drawn: as Mermaid for where that is rendered, as SVG for everywhere else.
//!
//! The SVG is laid out here, without an outside program: `layout` places zones and nodes in layers from left to right,
//! `route` leads the flows around them on a grid, `draw` writes the picture.
use crate::{Flow, Model, Name, Node, NodeKind, Role};

mod draw;
mod layout;
mod mermaid;
mod route;

pub use draw::svg;
pub use mermaid::mermaid;

/// Where something stands in the drawing, in pixels from its left upper corner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Area {
    /// Of which zone or node.
    pub name: Name,
    /// Left edge.
    pub x: i32,
    /// Upper edge.
    pub y: i32,
    /// Width.
    pub width: i32,
    /// Height.
    pub height: i32,
}

/// Where everything stands in the drawing, for those who draw it themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Areas {
    /// Zones, the outer before the inner.
    pub zones: Vec<Area>,
    /// Nodes, in order of name.
    pub nodes: Vec<Area>,
    /// Width of the whole.
    pub width: i32,
    /// Its height.
    pub height: i32,
}

/// The same places as in `svg`.
pub fn areas(model: &Model) -> Areas {
    let plan = layout::plan(model);
    let area = |name: &Name, rect: layout::Rect| Area {
        name: name.clone(),
        x: rect.x,
        y: rect.y,
        width: rect.w,
        height: rect.h,
    };
    let zones =
        plan.zones.iter().filter_map(|zone| Some(area(model.zones.get_key_value(zone.name.as_str())?.0, zone.rect)));
    Areas {
        zones: zones.collect(),
        nodes: model.nodes.keys().zip(&plan.nodes).map(|(name, rect)| area(name, *rect)).collect(),
        width: plan.width,
        height: plan.height,
    }
}

/// What a node is, in a word or two, for the line under its name.
fn subtitle(node: &Node) -> String {
    match (node.kind, node.role) {
        (NodeKind::Party, _) if node.hostile => "hostile party".to_owned(),
        (NodeKind::Party, _) => "party".to_owned(),
        (_, Some(Role::Gateway)) => {
            let ports: Vec<String> = node.listen.iter().map(|l| l.port.to_string()).collect();
            format!("gateway · {}", ports.join(", "))
        }
        (_, Some(Role::Egress)) => "egress".to_owned(),
        (NodeKind::Store, _) => match node.serves.first().filter(|s| !s.protocol.is_http()) {
            Some(serve) => format!("store · {}", serve.protocol.as_str()),
            None => "store".to_owned(),
        },
        (NodeKind::Service, _) => match node.run.as_ref().map(|r| r.replicas).filter(|n| *n > 1) {
            Some(replicas) => format!("service · {replicas} instances"),
            None => "service".to_owned(),
        },
    }
}

fn names(names: &[Name]) -> String {
    names.iter().map(Name::as_str).collect::<Vec<_>>().join(", ")
}

/// Whether Ward enforces the flow: both ends are under Ward, or a party speaks to one that is.
fn enforced(model: &Model, flow: &Flow) -> bool {
    let under = |n: &Name| model.nodes.get(n).is_some_and(Node::under_ward);
    let party = model.nodes.get(&flow.from).is_some_and(|n| n.kind == NodeKind::Party);
    under(&flow.to) && (under(&flow.from) || party)
}

#[cfg(test)]
mod tests;
