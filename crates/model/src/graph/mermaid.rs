//! Mermaid: a flowchart with zones as nested subgraphs.
use std::fmt::Write as _;

use super::{enforced, names, subtitle};
use crate::{Model, Name, NodeKind, Role, Trust};

/// The model as a Mermaid flowchart.
pub fn mermaid(model: &Model) -> String {
    let mut out = String::from("flowchart LR\n");
    for (name, zone) in &model.zones {
        if zone.parent.is_none() {
            subgraph(&mut out, model, name, 1);
        }
    }
    for flow in &model.flows {
        let mut label = flow.id.to_string();
        if !flow.carries.is_empty() {
            label += &format!("<br/>{}", names(&flow.carries));
        }
        if !flow.returns.is_empty() {
            label += &format!("<br/>↩ {}", names(&flow.returns));
        }
        // A dotted arrow is what Ward does not enforce, or not now.
        let line = match (flow.standby, enforced(model, flow)) {
            (true, _) => format!("  {} -. \"standby: {label}\" .-> {}", id(&flow.from), id(&flow.to)),
            (false, true) => format!("  {} -->|\"{label}\"| {}", id(&flow.from), id(&flow.to)),
            (false, false) => format!("  {} -.->|\"{label}\"| {}", id(&flow.from), id(&flow.to)),
        };
        out += &line;
        out.push('\n');
    }
    let outside: Vec<String> = model.nodes.iter().filter(|(_, n)| !n.under_ward()).map(|(name, _)| id(name)).collect();
    if !outside.is_empty() {
        let _ = writeln!(out, "  classDef outside stroke-dasharray: 4 3\n  class {} outside", outside.join(","));
    }
    out
}

/// Mermaid has reserved words and arrow letters; a prefix keeps names clear of both.
fn id(name: &Name) -> String {
    format!("n_{}", name.as_str().replace('-', "_"))
}

fn subgraph(out: &mut String, model: &Model, name: &Name, depth: usize) {
    let indent = "  ".repeat(depth);
    let trust = match model.zones.get(name).map(|z| z.trust) {
        Some(Trust::None) => " (no trust)",
        Some(Trust::High) => " (high trust)",
        _ => "",
    };
    let _ = writeln!(out, "{indent}subgraph z_{}[\"{name}{trust}\"]", name.as_str().replace('-', "_"));
    for (child, zone) in &model.zones {
        if zone.parent.as_ref() == Some(name) {
            subgraph(out, model, child, depth + 1);
        }
    }
    for (node_name, node) in model.nodes.iter().filter(|(_, n)| n.zone == *name) {
        let text = format!("\"{node_name}<br/><small>{}</small>\"", subtitle(node));
        let shape = match (node.kind, node.role) {
            (NodeKind::Party, _) => format!("([{text}])"),
            (NodeKind::Store, _) => format!("[({text})]"),
            (NodeKind::Service, Some(Role::Gateway | Role::Egress)) => format!("{{{{{text}}}}}"),
            (NodeKind::Service, None) => format!("[{text}]"),
        };
        let _ = writeln!(out, "{indent}  {}{shape}", id(node_name));
    }
    let _ = writeln!(out, "{indent}end");
}
