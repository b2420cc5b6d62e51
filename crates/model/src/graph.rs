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
            Some(serve) => format!("store · {}", protocol(serve.protocol)),
            None => "store".to_owned(),
        },
        (NodeKind::Service, _) => match node.run.as_ref().map(|r| r.replicas).filter(|n| *n > 1) {
            Some(replicas) => format!("service · {replicas} instances"),
            None => "service".to_owned(),
        },
    }
}

fn protocol(protocol: crate::Protocol) -> &'static str {
    use crate::Protocol;
    match protocol {
        Protocol::Http => "http",
        Protocol::Grpc => "grpc",
        Protocol::Tcp => "tcp",
        Protocol::Tls => "tls",
        Protocol::Postgres => "postgres",
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
