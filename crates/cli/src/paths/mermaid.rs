//! Paths as a Mermaid flowchart: a lane for each, a box for each step, dashed where something is assumed.
use std::fmt::Write as _;

use posture::Path;

use super::text::title;
use crate::output::visible;

/// The chart.
pub(super) fn chart(paths: &[Path]) -> String {
    let mut out = "flowchart LR\n".to_owned();
    let mut assumed = Vec::new();
    for (lane, path) in paths.iter().enumerate() {
        let _ =
            writeln!(out, "  subgraph p{lane}[\"{}: {}\"]\n    direction LR", quoted(&path.id), quoted(&title(path)));
        for (number, step) in path.steps.iter().enumerate() {
            let technique =
                step.technique.map_or(String::new(), |t| format!("<br/><small>{}</small>", quoted(&t.to_string())));
            let _ = writeln!(out, "    p{lane}s{number}[\"{}{technique}\"]", quoted(&step.does));
            if step.assumed {
                assumed.push(format!("p{lane}s{number}"));
            }
        }
        let boxes: Vec<String> = (0..path.steps.len()).map(|n| format!("p{lane}s{n}")).collect();
        if boxes.len() > 1 {
            let _ = writeln!(out, "    {}", boxes.join(" --> "));
        }
        out += "  end\n";
    }
    if !assumed.is_empty() {
        let _ = writeln!(out, "  classDef assumed stroke-dasharray: 4 3\n  class {} assumed", assumed.join(","));
    }
    visible(&out).into_owned()
}

/// Text that stands in quotes.
fn quoted(text: &str) -> String {
    text.replace('"', "#quot;").replace('`', "").replace('<', "#lt;").replace('>', "#gt;")
}
