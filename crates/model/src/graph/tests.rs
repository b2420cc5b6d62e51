//! Drawings: nothing on anything else, whatever the diagram.
use expect_test::expect;
use proptest::prelude::*;

use super::{
    layout::{Plan, Rect, plan},
    mermaid,
    route::{Route, label_rect, routes},
    svg,
};
use crate::{Model, SourceFile, load};

const SHOP: &str = include_str!("../load/tests/shop.yaml");

fn model(text: &str) -> Model {
    let loaded = load(&[SourceFile { name: "ward.yaml".to_owned(), text: text.to_owned() }]);
    loaded.model.unwrap_or_else(|| panic!("{:#?}", loaded.diagnostics))
}

#[test]
fn the_design_in_mermaid() {
    expect![[r#"
        flowchart LR
          subgraph z_edge["edge"]
            n_gateway{{"gateway<br/><small>gateway · 8443</small>"}}
          end
          subgraph z_internet["internet (no trust)"]
            n_customer(["customer<br/><small>party</small>"])
          end
          subgraph z_shop["shop"]
            subgraph z_pci["pci"]
              n_payments["payments<br/><small>service</small>"]
            end
            n_orders["orders<br/><small>service · 2 instances</small>"]
            n_orders_db[("orders-db<br/><small>store · postgres</small>")]
          end
          n_customer -->|"checkout<br/>order, card"| n_gateway
          n_gateway -->|"place<br/>order"| n_orders
          n_orders -->|"charge<br/>card"| n_payments
          n_orders -->|"save<br/>order"| n_orders_db
          classDef outside stroke-dasharray: 4 3
          class n_customer outside
    "#]]
    .assert_eq(&mermaid(&model(SHOP)));
}

#[test]
fn outside_and_standby_in_mermaid() {
    let text = "ward: 1\nmodel: m\nzones: { a: { trust: none }, b: { trust: high } }\ndata: { d: { class: public } }\nnodes:\n  \
        end: { kind: party, zone: a, hostile: true }\n  x: { kind: service, zone: b }\n  y: { kind: service, zone: b }\n\
        flows:\n  - { id: f, from: end, to: x, carries: [d], returns: [d] }\n  - { id: g, from: x, to: y, standby: true }\n";
    expect![[r#"
        flowchart LR
          subgraph z_a["a (no trust)"]
            n_end(["end<br/><small>hostile party</small>"])
          end
          subgraph z_b["b (high trust)"]
            n_x["x<br/><small>service</small>"]
            n_y["y<br/><small>service</small>"]
          end
          n_end -.->|"f<br/>d<br/>↩ d"| n_x
          n_x -. "standby: g" .-> n_y
          classDef outside stroke-dasharray: 4 3
          class n_end,n_x,n_y outside
    "#]]
    .assert_eq(&mermaid(&model(text)));
}

/// No box on another, nodes in their zones, inner zones in outer ones, flows around nodes.
fn check(model: &Model, plan: &Plan, routes: &[Route]) {
    let inside = |outer: Rect, inner: Rect| {
        inner.x >= outer.x && inner.y >= outer.y && inner.right() <= outer.right() && inner.bottom() <= outer.bottom()
    };
    let canvas = Rect { x: 0, y: 0, w: plan.width, h: plan.height };
    for (i, node) in plan.nodes.iter().enumerate() {
        assert!(inside(canvas, *node));
        assert!(plan.nodes.iter().take(i).all(|other| !other.meets(*node)), "{plan:#?}");
        let zone = model.nodes.values().nth(i).unwrap().zone.as_str();
        for other in &plan.zones {
            let holds = {
                let mut at = model.zones.get_key_value(zone);
                std::iter::from_fn(|| {
                    let (name, found) = at?;
                    at = found.parent.as_ref().and_then(|p| model.zones.get_key_value(p.as_str()));
                    Some(name.as_str())
                })
                .any(|n| n == other.name)
            };
            assert_eq!(inside(other.rect, *node), holds, "{} {zone}", other.name);
            assert_eq!(other.rect.meets(*node), holds);
        }
    }
    for (i, a) in plan.zones.iter().enumerate() {
        assert!(inside(canvas, a.rect));
        for b in plan.zones.iter().take(i) {
            assert!(!a.rect.meets(b.rect) || inside(b.rect, a.rect) || inside(a.rect, b.rect));
        }
    }
    assert_eq!(routes.len(), model.flows.len());
    for (edge, route) in plan.edges.iter().zip(routes) {
        assert_eq!(route.points.first(), Some(&(edge.start.x, edge.start.y)));
        assert_eq!(route.points.last(), Some(&(edge.end.x, edge.end.y)));
        for pair in route.points.windows(2) {
            let ((x1, y1), (x2, y2)) = (pair[0], pair[1]);
            assert!(x1 == x2 || y1 == y2);
            let line = Rect { x: x1.min(x2), y: y1.min(y2), w: (x1 - x2).abs() + 1, h: (y1 - y2).abs() + 1 };
            let through =
                plan.nodes.iter().any(|n| Rect { x: n.x + 1, y: n.y + 1, w: n.w - 2, h: n.h - 2 }.meets(line));
            assert!(!through, "{route:?}");
        }
    }
}

#[test]
fn the_design_is_drawn_without_overlap() {
    let model = model(SHOP);
    let plan = plan(&model);
    let routes = routes(&plan);
    check(&model, &plan, &routes);
    let labels: Vec<Rect> = plan.edges.iter().zip(&routes).map(|(e, r)| label_rect(&e.label, r.label)).collect();
    for (i, label) in labels.iter().enumerate() {
        assert!(plan.nodes.iter().all(|n| !n.meets(*label)));
        assert!(labels.iter().take(i).all(|other| !other.meets(*label)));
    }
}

#[test]
fn the_picture_is_whole_and_the_same_each_time() {
    let model = model(SHOP);
    let text = svg(&model);
    assert_eq!(text, svg(&model));
    assert!(text.starts_with("<svg ") && text.trim_end().ends_with("</svg>"));
    // Self-contained: nothing is fetched.
    assert!(!text.replace("http://www.w3.org/2000/svg", "").contains("http"));
    for name in model.nodes.keys().map(|n| n.as_str()).chain(model.flows.iter().map(|f| f.id.as_str())) {
        assert!(text.contains(&format!(">{name}</text>")), "{name}");
    }
    for tag in ["g", "text", "defs", "style", "marker"] {
        assert_eq!(text.matches(&format!("<{tag}")).count(), text.matches(&format!("</{tag}>")).count(), "{tag}");
    }
}

#[test]
fn an_empty_model_is_drawn() {
    let model = model("ward: 1\nmodel: m\nzones: { a: {}, b: { in: a } }\n");
    check(&model, &plan(&model), &[]);
    assert!(svg(&model).contains(">b</text>"));
    assert!(svg(&self::model("ward: 1\nmodel: m\n")).ends_with("</svg>\n"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Any graph in any nesting: cycles, loops, parallel flows.
    #[test]
    fn any_diagram_is_drawn_without_overlap(
        parents in prop::collection::vec(0usize..6, 1..6),
        homes in prop::collection::vec(0usize..6, 1..10),
        flows in prop::collection::vec((0usize..10, 0usize..10), 0..16),
    ) {
        let mut text = "ward: 1\nmodel: m\nzones:\n".to_owned();
        for (i, parent) in parents.iter().enumerate() {
            // An earlier zone, or none.
            text += &if *parent < i { format!("  z{i}: {{ in: z{parent} }}\n") } else { format!("  z{i}: {{}}\n") };
        }
        text += "data: { d: { class: internal } }\nnodes:\n";
        for (i, home) in homes.iter().enumerate() {
            text += &format!("  n{i}: {{ kind: service, zone: z{} }}\n", home % parents.len());
        }
        text += "flows:\n";
        for (i, (from, to)) in flows.iter().enumerate() {
            let (from, to) = (from % homes.len(), to % homes.len());
            text += &format!("  - {{ id: f{i}, from: n{from}, to: n{to}, carries: [d] }}\n");
        }
        let model = model(&text);
        let plan = plan(&model);
        let routes = routes(&plan);
        check(&model, &plan, &routes);
        svg(&model);
        mermaid(&model);
    }
}
