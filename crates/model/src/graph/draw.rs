//! Writes the picture: a self-contained SVG with its own light and dark colours.
use std::fmt::Write as _;

use super::{
    enforced,
    layout::{Plan, Rect, ZoneBox, plan, text_width},
    names,
    route::{Route, routes},
    subtitle,
};
use crate::{Class, Flow, Model, Name, Node, NodeKind, Role, Trust};

/// Height of the legend below the drawing.
const LEGEND: i32 = 56;

/// The colours, as CSS: light first, dark where the viewer asks for it.
const STYLE: &str = "\
:root{--bg:#fcfcfd;--zone:#f1f3f6;--zone2:#e6eaf0;--zone3:#dbe1ea;--line:#b8c1cd;--text:#1c2430;--soft:#5b6675;--node:#fff;\
--edge:#475569;--public:#64748b;--internal:#2563a8;--confidential:#a16207;--restricted:#c2410c;--secret:#9f1d4d;--accent:#2f6f6a;--warn:#b42318}
@media (prefers-color-scheme:dark){:root{--bg:#12161c;--zone:#1a2029;--zone2:#212936;--zone3:#293342;--line:#465264;--text:#e7ebf0;\
--soft:#9aa7b8;--node:#0f141b;--edge:#9aa7b8;--public:#94a3b8;--internal:#6ea8e6;--confidential:#d9a832;--restricted:#f0884b;--secret:#ec6a9a;--accent:#5fb3aa;--warn:#f97066}}
text{font-family:ui-sans-serif,system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif;fill:var(--text)}
.zone{fill:var(--zone);stroke:var(--line);stroke-width:1}
.d1{fill:var(--zone2)}.d2{fill:var(--zone3)}
.untrusted{stroke-dasharray:7 5}
.ztitle{font-size:13px;font-weight:600;fill:var(--soft);letter-spacing:.02em}
.node{fill:var(--node);stroke:var(--edge);stroke-width:1.4}
.gateway{stroke:var(--accent);stroke-width:2.2}
.outside{stroke-dasharray:5 4}
.hostile{stroke:var(--warn)}
.name{font-size:14px;font-weight:600;text-anchor:middle}
.sub{font-size:11px;fill:var(--soft);text-anchor:middle}
.flow{fill:none;stroke-width:1.7}
.described{stroke-dasharray:6 4}
.standby{stroke-dasharray:2 4}
.id{font-size:12px;font-weight:600;text-anchor:middle}
.data{font-size:11px;text-anchor:middle}
.halo{paint-order:stroke;stroke:var(--zone);stroke-width:3px;stroke-linejoin:round}
.legend{font-size:11px;fill:var(--soft)}
";

const CLASSES: [(Class, &str); 5] = [
    (Class::Public, "public"),
    (Class::Internal, "internal"),
    (Class::Confidential, "confidential"),
    (Class::Restricted, "restricted"),
    (Class::Secret, "secret"),
];

/// The model as a picture.
pub fn svg(model: &Model) -> String {
    let plan = plan(model);
    let routes = routes(&plan);
    let legend = legend(model);
    let width = plan.width.max(legend.1 + 60);
    let height = plan.height + LEGEND;
    let mut out = String::new();
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\">"
    );
    let _ =
        writeln!(out, "<title>Data flows of {}</title>\n<style>\n{STYLE}</style>\n<defs>", escape(model.name.as_str()));
    for (_, class) in CLASSES {
        let _ = writeln!(
            out,
            "<marker id=\"a-{class}\" viewBox=\"0 0 10 10\" refX=\"9\" refY=\"5\" markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\">\
             <path d=\"M0 .8 9.5 5 0 9.2z\" fill=\"var(--{class})\"/></marker>"
        );
    }
    let _ = writeln!(out, "</defs>\n<rect width=\"{width}\" height=\"{height}\" rx=\"10\" fill=\"var(--bg)\"/>");
    for zone in &plan.zones {
        draw_zone(&mut out, model, zone);
    }
    for (edge, route) in plan.edges.iter().zip(&routes) {
        if let Some(flow) = model.flows.get(edge.flow) {
            draw_flow(&mut out, model, flow, route);
        }
    }
    for ((name, node), rect) in model.nodes.iter().zip(&plan.nodes) {
        draw_node(&mut out, model, name, node, *rect);
    }
    draw_labels(&mut out, model, &plan, &routes);
    let _ = writeln!(out, "<g transform=\"translate(30 {})\">\n{}</g>\n</svg>", plan.height + 12, legend.0);
    out
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn draw_zone(out: &mut String, model: &Model, zone: &ZoneBox) {
    let Rect { x, y, w, h } = zone.rect;
    let trust = model.zones.iter().find(|(n, _)| n.as_str() == zone.name).map(|(_, z)| z.trust);
    let class = match trust {
        Some(Trust::None) => " untrusted",
        _ => "",
    };
    let depth = zone.depth.min(2);
    let _ = writeln!(
        out,
        "<rect class=\"zone d{depth}{class}\" x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\" rx=\"10\"/>\
         <text class=\"ztitle\" x=\"{}\" y=\"{}\">{}</text>",
        x + 14,
        y + 22,
        escape(&zone.name)
    );
}

fn draw_node(out: &mut String, model: &Model, name: &Name, node: &Node, rect: Rect) {
    let Rect { x, y, w, h } = rect;
    let mut class = String::from("node");
    if node.role.is_some() {
        class += " gateway";
    }
    if !node.under_ward() {
        class += " outside";
    }
    if node.hostile {
        class += " hostile";
    }
    let identity = model.spiffe_id(name.as_str()).filter(|_| node.under_ward()).map(|id| id.to_string());
    let title = identity.unwrap_or_else(|| format!("{name}, not under Ward"));
    let _ = write!(out, "<g><title>{}</title>", escape(&title));
    let mut centre = y + h / 2;
    let _ = match (node.kind, node.role) {
        (NodeKind::Store, _) => {
            centre += 5;
            // A cylinder: the lid is an ellipse of half-height 8.
            write!(
                out,
                "<path class=\"{class}\" d=\"M{x} {t}v{b}c0 4.4 {c1} 8 {half} 8s{half} -3.6 {half} -8v-{b}\"/>\
                 <ellipse class=\"{class}\" cx=\"{cx}\" cy=\"{t}\" rx=\"{half}\" ry=\"8\"/>",
                t = y + 8,
                b = h - 16,
                c1 = w / 4,
                half = w / 2,
                cx = x + w / 2
            )
        }
        (NodeKind::Party, _) => {
            write!(
                out,
                "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\" rx=\"{}\"/>",
                (h / 2).min(30)
            )
        }
        (NodeKind::Service, Some(Role::Gateway | Role::Egress)) => {
            let (r, b) = (x + w, y + h);
            write!(
                out,
                "<path class=\"{class}\" d=\"M{} {y}H{}L{r} {}V{}L{} {b}H{}L{x} {}V{}z\"/>",
                x + 12,
                r - 12,
                y + 12,
                b - 12,
                r - 12,
                x + 12,
                b - 12,
                y + 12
            )
        }
        (NodeKind::Service, None) => {
            write!(out, "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\" rx=\"6\"/>")
        }
    };
    let _ = writeln!(
        out,
        "<text class=\"name\" x=\"{cx}\" y=\"{}\">{}</text><text class=\"sub\" x=\"{cx}\" y=\"{}\">{}</text></g>",
        centre - 1,
        escape(name.as_str()),
        centre + 15,
        escape(&subtitle(node)),
        cx = x + w / 2,
    );
}

/// The class of the most sensitive thing that flows, either way.
fn worst(model: &Model, flow: &Flow) -> &'static str {
    let data = flow.carries.iter().chain(&flow.returns).filter_map(|n| model.data.get(n));
    let class = data.map(|d| d.class).max().unwrap_or(Class::Public);
    CLASSES.iter().find(|(c, _)| *c == class).map_or("public", |(_, word)| word)
}

fn draw_flow(out: &mut String, model: &Model, flow: &Flow, route: &Route) {
    let class = worst(model, flow);
    let style = match (flow.standby, enforced(model, flow)) {
        (true, _) => " standby",
        (false, true) => "",
        (false, false) => " described",
    };
    let mut title = format!("{}: {} to {}", flow.id, flow.from, flow.to);
    if !flow.carries.is_empty() {
        title += &format!("\ncarries {}", names(&flow.carries));
    }
    if !flow.returns.is_empty() {
        title += &format!("\nreturns {}", names(&flow.returns));
    }
    for entry in flow.via.allow.iter().flatten() {
        title += &format!("\n{entry}");
    }
    let _ = writeln!(
        out,
        "<path class=\"flow{style}\" stroke=\"var(--{class})\" marker-end=\"url(#a-{class})\" d=\"{}\"><title>{}</title></path>",
        rounded(&route.points),
        escape(&title)
    );
}

/// A line through the corners, each rounded as far as its neighbours allow.
fn rounded(points: &[(i32, i32)]) -> String {
    let mut d = String::new();
    let toward = |(ax, ay): (i32, i32), (bx, by): (i32, i32), by_px: i32| {
        (ax + (bx - ax).signum() * by_px, ay + (by - ay).signum() * by_px)
    };
    for (i, p) in points.iter().enumerate() {
        let _ = match (i.checked_sub(1).and_then(|j| points.get(j)), points.get(i + 1)) {
            (None, _) => write!(d, "M{} {}", p.0, p.1),
            (Some(_), None) => write!(d, "L{} {}", p.0, p.1),
            (Some(before), Some(after)) => {
                let room = |q: &(i32, i32)| ((p.0 - q.0).abs() + (p.1 - q.1).abs()) / 2;
                let r = 8.min(room(before)).min(room(after));
                let (a, b) = (toward(*p, *before, r), toward(*p, *after, r));
                write!(d, "L{} {}Q{} {} {} {}", a.0, a.1, p.0, p.1, b.0, b.1)
            }
        };
    }
    d
}

fn draw_labels(out: &mut String, model: &Model, plan: &Plan, routes: &[Route]) {
    for (edge, route) in plan.edges.iter().zip(routes) {
        let Some(flow) = model.flows.get(edge.flow) else { continue };
        let class = worst(model, flow);
        let (x, y) = route.label;
        let _ = write!(out, "<text class=\"id halo\" x=\"{x}\" y=\"{}\">{}</text>", y - 5, escape(&edge.label.id));
        for (i, line) in (0..).zip(&edge.label.data) {
            let _ = write!(
                out,
                "<text class=\"data halo\" style=\"fill:var(--{class})\" x=\"{x}\" y=\"{}\">{}</text>",
                y + 14 + 13 * i,
                escape(line)
            );
        }
        out.push('\n');
    }
}

/// The legend and its width: only what the picture shows.
fn legend(model: &Model) -> (String, i32) {
    let mut out = String::new();
    let mut x = 0;
    let mut entry = |sample: &dyn Fn(i32) -> String, text: &str| {
        let _ = writeln!(out, "{}<text class=\"legend\" x=\"{}\" y=\"20\">{}</text>", sample(x), x + 36, escape(text));
        x += 36 + text_width(text, 11) + 22;
    };
    let line = |x: i32, class: &str, style: &str| {
        format!(
            "<path class=\"flow{style}\" stroke=\"var(--{class})\" marker-end=\"url(#a-{class})\" d=\"M{x} 16h28\"/>"
        )
    };
    for (_, class) in CLASSES {
        if model.flows.iter().any(|f| worst(model, f) == class) {
            entry(&|x| line(x, class, ""), class);
        }
    }
    if model.flows.iter().any(|f| !f.standby && !enforced(model, f)) {
        entry(&|x| line(x, "public", " described"), "not enforced by Ward");
    }
    if model.flows.iter().any(|f| f.standby) {
        entry(&|x| line(x, "public", " standby"), "standby");
    }
    let shape = |x: i32, class: &str, rx: i32| {
        format!("<rect class=\"node {class}\" x=\"{x}\" y=\"8\" width=\"28\" height=\"16\" rx=\"{rx}\"/>")
    };
    if model.nodes.values().any(|n| n.role.is_some()) {
        entry(&|x| shape(x, "gateway", 4), "gateway");
    }
    if model.nodes.values().any(|n| !n.under_ward()) {
        entry(&|x| shape(x, "outside", 8), "not under Ward");
    }
    if model.zones.values().any(|z| z.trust == Trust::None) {
        entry(
            &|x| format!("<rect class=\"zone untrusted\" x=\"{x}\" y=\"8\" width=\"28\" height=\"16\" rx=\"4\"/>"),
            "zone without trust",
        );
    }
    (out, x)
}
