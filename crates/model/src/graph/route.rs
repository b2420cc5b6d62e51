//! Leads flows around nodes and each other's labels: the cheapest way on a grid, where bends, crossings, running beside
//! a border or over a text cost. Two rounds, so that the first flow also knows of the last.
use std::{cell::Cell, cmp::Reverse, collections::BinaryHeap};

use super::layout::{Edge, GRID, Label, Plan, Port, Rect, text_width};

/// Largest grid searched; a larger picture gets simple lines.
const CELLS_MAX: usize = 1_500_000;
/// Largest grid on which zones are told apart.
const FOREIGN_CELLS_MAX: usize = 200_000;
/// Most steps of all searches together, so that drawing ends in seconds; what is left gets simple lines.
const STEPS_MAX: u32 = 8_000_000;
/// Most flows searched for.
const FLOWS_MAX: usize = 400;

/// Places tried for a label on a stretch.
const SPOTS: i32 = 24;
/// Cells around the straight way that are searched first.
const NEAR: usize = 25;

const STEP: u32 = 10;
const BEND: u32 = 60;
const CROSSING: u32 = 45;
const BESIDE: u32 = 8;
const SHARED: u32 = 500;
const MARGIN: u32 = 30;
const BORDER: u32 = 40;
const NEAR_BORDER: u32 = 12;
const FOREIGN: u32 = 6;
const TEXT: u32 = 400;

/// A drawn flow: its corners and where its label stands.
#[derive(Clone, Debug, Default)]
pub(crate) struct Route {
    pub(crate) points: Vec<(i32, i32)>,
    /// Middle of the label's line: the id stands above, the data below.
    pub(crate) label: (i32, i32),
}

/// The routes of `plan.edges`, in their order.
pub(crate) fn routes(plan: &Plan) -> Vec<Route> {
    let mut grid = Grid::new(plan);
    let mut routes = vec![Route::default(); plan.edges.len()];
    let searchable = grid.cells() <= CELLS_MAX && plan.edges.len() <= FLOWS_MAX;
    let mut order: Vec<usize> = (0..plan.edges.len()).collect();
    order.sort_by_key(|i| {
        let e = &plan.edges[*i];
        ((e.start.y - e.end.y).abs() * 4 + (e.start.x - e.end.x).abs(), *i)
    });
    if !searchable {
        let middle = |points: &[(i32, i32)]| points.get(2).map_or((0, 0), |p| *p);
        return plan
            .edges
            .iter()
            .map(|edge| {
                let points = simple(edge);
                let (x, y) = middle(&points);
                Route { label: ((x + edge.end.x) / 2, y), points }
            })
            .collect();
    }
    for round in 0..2 {
        for i in &order {
            let edge = &plan.edges[*i];
            if round > 0 {
                grid.mark(&routes[*i], &edge.label, false);
            }
            let points = grid.search(edge.start, edge.end).unwrap_or_else(|| simple(edge));
            let others = routes.iter().enumerate().filter(|(j, r)| j != i && !r.points.is_empty());
            let others: Vec<(&Route, &Label)> = others.map(|(j, r)| (r, &plan.edges[j].label)).collect();
            let label = place_label(plan, edge, &points, &others);
            routes[*i] = Route { points, label };
            grid.mark(&routes[*i], &edge.label, true);
        }
    }
    routes
}

/// Out, across, in.
fn simple(edge: &Edge) -> Vec<(i32, i32)> {
    let (a, b) = (edge.start, edge.end);
    let x = match a.side == b.side {
        true => a.x.max(b.x) * i32::from(a.side > 0) + a.x.min(b.x) * i32::from(a.side < 0) + 3 * GRID * a.side,
        false => (a.x + b.x) / 2,
    };
    vec![(a.x, a.y), (x, a.y), (x, b.y), (b.x, b.y)]
}

/// What a label covers when its line's middle is here.
pub(crate) fn label_rect(label: &Label, (x, y): (i32, i32)) -> Rect {
    let below = i32::try_from(label.data.len()).unwrap_or(2) * 13;
    Rect { x: x - label.width / 2, y: y - 17, w: label.width, h: 17 + 4 + below }
}

/// Where a zone's title stands.
pub(crate) fn title_rect(name: &str, zone: Rect) -> Rect {
    Rect { x: zone.x + 10, y: zone.y + 6, w: text_width(name, 13) + 30, h: 24 }
}

/// The place on the flow's own line that disturbs and is disturbed least.
fn place_label(plan: &Plan, edge: &Edge, points: &[(i32, i32)], others: &[(&Route, &Label)]) -> (i32, i32) {
    let half = edge.label.width / 2;
    let mut best: Option<(i32, (i32, i32))> = None;
    for (i, pair) in points.windows(2).enumerate() {
        let [(x1, y1), (x2, y2)] = pair else { continue };
        let mut spots = Vec::new();
        if y1 == y2 {
            let (left, right) = (x1.min(x2), x1.max(x2));
            let (low, high) = ((left + half + 12).min((left + right) / 2), (right - half - 14).max((left + right) / 2));
            let mut x = low;
            while x <= high {
                spots.push((x, *y1));
                x += GRID.max((right - left) / SPOTS);
            }
            spots.push(((left + right) / 2, *y1));
        } else {
            spots.push((x1 + half + 6, (y1 + y2) / 2));
            spots.push((x1 - half - 6, (y1 + y2) / 2));
        }
        for spot in spots {
            let cover = label_rect(&edge.label, spot);
            let roomy = Rect { x: cover.x - 6, y: cover.y - 2, w: cover.w + 12, h: cover.h + 4 };
            let mut cost = if y1 == y2 { 0 } else { 150 };
            let overhang = (x1 - x2).abs() < edge.label.width + 20;
            cost += if y1 == y2 && overhang { 40 } else { 0 };
            cost += plan.nodes.iter().filter(|n| n.meets(roomy)).count_i32() * 2_000;
            cost += plan.zones.iter().filter(|z| title_rect(&z.name, z.rect).meets(cover)).count_i32() * 1_500;
            cost += plan.zones.iter().map(|z| borders_through(z.rect, cover)).sum::<i32>() * 60;
            for (route, label) in others {
                cost += i32::from(label_rect(label, route.label).meets(roomy)) * 1_200;
                cost += segments(&route.points).filter(|s| s.meets(cover)).count_i32() * 500;
            }
            // Its own line may pass between id and data, and nowhere else.
            let own = segments(points).enumerate().filter(|(j, s)| *j != i && s.meets(cover)).count_i32();
            cost += own * 300;
            // Near the middle of a line, and on the part of the way where the flow is alone.
            cost += (spot.0 - (x1 + x2) / 2).abs() / 10;
            if best.is_none_or(|(c, _)| cost < c) {
                best = Some((cost, spot));
            }
        }
    }
    best.map_or((0, 0), |(_, spot)| spot)
}

trait CountI32: Iterator + Sized {
    fn count_i32(self) -> i32 {
        i32::try_from(self.count()).unwrap_or(i32::MAX / 4_000)
    }
}

impl<I: Iterator> CountI32 for I {}

/// How many sides of a zone's box run through a rectangle.
fn borders_through(zone: Rect, cover: Rect) -> i32 {
    let sides = [
        Rect { w: 1, ..zone },
        Rect { h: 1, ..zone },
        Rect { x: zone.right() - 1, w: 1, ..zone },
        Rect { y: zone.bottom() - 1, h: 1, ..zone },
    ];
    sides.into_iter().filter(|s| s.meets(cover)).count_i32()
}

/// The straight parts of a route, as thin rectangles.
fn segments(points: &[(i32, i32)]) -> impl Iterator<Item = Rect> + '_ {
    points.windows(2).filter_map(|pair| {
        let [(x1, y1), (x2, y2)] = pair else { return None };
        Some(Rect { x: *x1.min(x2) - 1, y: *y1.min(y2) - 1, w: (x1 - x2).abs() + 2, h: (y1 - y2).abs() + 2 })
    })
}

struct Grid {
    width: usize,
    height: usize,
    /// Inside a node.
    blocked: Vec<bool>,
    /// What stepping here costs besides the step.
    extra: Vec<u32>,
    /// How many labels stand here.
    text: Vec<u8>,
    /// How many flows pass here from side to side, and up and down.
    level: Vec<u8>,
    upright: Vec<u8>,
    /// Zone borders that run here level, and upright.
    border_level: Vec<bool>,
    border_upright: Vec<bool>,
    /// Beside an upright border.
    near_upright: Vec<bool>,
    zones: Vec<Rect>,
    /// What stepping here costs the flow that is being led, because the zone is not its own.
    foreign: Vec<u32>,
    /// Steps that may still be taken.
    steps_left: Cell<u32>,
}

impl Grid {
    fn new(plan: &Plan) -> Self {
        let cells = |n: i32| usize::try_from(n / GRID + 1).unwrap_or(1);
        let (width, height) = (cells(plan.width), cells(plan.height));
        let count = width * height;
        let mut grid = Self {
            width,
            height,
            blocked: vec![false; count],
            extra: vec![0; count],
            text: vec![0; count],
            level: vec![0; count],
            upright: vec![0; count],
            border_level: vec![false; count],
            border_upright: vec![false; count],
            near_upright: vec![false; count],
            zones: plan.zones.iter().map(|z| z.rect).collect(),
            foreign: vec![0; count],
            steps_left: Cell::new(STEPS_MAX),
        };
        for node in &plan.nodes {
            let around = Rect { x: node.x - GRID, y: node.y - GRID, w: node.w + 2 * GRID, h: node.h + 2 * GRID };
            grid.each(around, |g, i| g.extra[i] += MARGIN);
            grid.each(*node, |g, i| g.blocked[i] = true);
        }
        for zone in &plan.zones {
            grid.each(title_rect(&zone.name, zone.rect), |g, i| g.text[i] += 1);
            let r = zone.rect;
            for y in [r.y, r.bottom()] {
                grid.each(Rect { y, h: 0, ..r }, |g, i| g.border_level[i] = true);
            }
            for x in [r.x, r.right()] {
                grid.each(Rect { x, w: 0, ..r }, |g, i| g.border_upright[i] = true);
                // Beside a border a line reads as part of it.
                grid.each(Rect { x: x - GRID, w: 2 * GRID, ..r }, |g, i| g.near_upright[i] = true);
            }
        }
        grid
    }

    fn cells(&self) -> usize {
        self.width * self.height
    }

    fn index(&self, x: i32, y: i32) -> Option<usize> {
        let (x, y) = (usize::try_from(x / GRID).ok()?, usize::try_from(y / GRID).ok()?);
        (x < self.width && y < self.height).then_some(y * self.width + x)
    }

    /// Runs `f` on every cell whose point lies in a rectangle, its border included.
    fn each(&mut self, rect: Rect, mut f: impl FnMut(&mut Self, usize)) {
        let first = |n: i32| (n.max(0) + GRID - 1) / GRID * GRID;
        let mut y = first(rect.y);
        while y <= rect.bottom() {
            let mut x = first(rect.x);
            while x <= rect.right() {
                if let Some(i) = self.index(x, y) {
                    f(self, i);
                }
                x += GRID;
            }
            y += GRID;
        }
    }

    /// Notes, or forgets, a route and its label.
    fn mark(&mut self, route: &Route, label: &Label, present: bool) {
        let change = |n: &mut u8| *n = if present { n.saturating_add(1) } else { n.saturating_sub(1) };
        for pair in route.points.windows(2) {
            let [(x1, y1), (x2, y2)] = pair else { continue };
            let rect = Rect { x: *x1.min(x2), y: *y1.min(y2), w: (x1 - x2).abs(), h: (y1 - y2).abs() };
            if y1 == y2 {
                self.each(rect, |g, i| change(&mut g.level[i]));
            } else {
                self.each(rect, |g, i| change(&mut g.upright[i]));
            }
        }
        if !route.points.is_empty() {
            self.each(label_rect(label, route.label), |g, i| change(&mut g.text[i]));
        }
    }

    /// The cheapest way from port to port, as corners: first near the straight way, then anywhere.
    fn search(&mut self, start: Port, end: Port) -> Option<Vec<(i32, i32)>> {
        self.avoid_other_zones(start, end);
        let cell = |n: i32| usize::try_from(n / GRID).unwrap_or_default();
        let (left, right) = (cell(start.x.min(end.x)), cell(start.x.max(end.x)));
        let (top, bottom) = (cell(start.y.min(end.y)), cell(start.y.max(end.y)));
        let around = |margin: usize| Window {
            x: left.saturating_sub(margin),
            y: top.saturating_sub(margin),
            right: (right + margin).min(self.width - 1),
            bottom: (bottom + margin).min(self.height - 1),
        };
        self.search_in(&around(NEAR), start, end)
            .or_else(|| self.search_in(&around(self.width + self.height), start, end))
    }

    fn search_in(&self, window: &Window, start: Port, end: Port) -> Option<Vec<(i32, i32)>> {
        let from = window.local(self.index(start.x + GRID * start.side, start.y)?, self.width)?;
        let goal = window.local(self.index(end.x + GRID * end.side, end.y)?, self.width)?;
        // Directions: 0 right, 1 down, 2 left, 3 up.
        let leave = if start.side > 0 { 0 } else { 2 };
        let arrive = if end.side > 0 { 2 } else { 0 };
        let (mut cost, mut before) = (vec![u32::MAX; window.cells() * 4], vec![u32::MAX; window.cells() * 4]);
        let mut queue = BinaryHeap::new();
        let origin = from * 4 + leave;
        cost[origin] = 0;
        queue.push(Reverse((0, 0, origin)));
        let start_column = from % window.width();
        while let Some(Reverse((_, so_far, state))) = queue.pop() {
            if so_far > cost[state] {
                continue;
            }
            self.steps_left.set(self.steps_left.get().checked_sub(1)?);
            let (cell, dir) = (state / 4, state % 4);
            if cell == goal && dir == arrive {
                return Some(corners(window, start, end, state, &before));
            }
            // Turning in place costs a bend; going on costs what the next cell costs.
            for next_dir in [(dir + 1) % 4, (dir + 3) % 4] {
                let price = so_far + BEND;
                relax(
                    &mut cost,
                    &mut before,
                    &mut queue,
                    state,
                    cell * 4 + next_dir,
                    price,
                    window.estimate(cell, goal),
                );
            }
            let Some(next_local) = window.step(cell, dir) else { continue };
            let next = window.global(next_local, self.width);
            if self.blocked[next] {
                continue;
            }
            let mut price = STEP + self.extra[next] + self.foreign[next] + u32::from(self.text[next].min(4)) * TEXT;
            let (along, across, border, side) = match dir % 2 {
                0 => (&self.level, &self.upright, &self.border_level, self.width),
                _ => (&self.upright, &self.level, &self.border_upright, 1),
            };
            price += u32::from(along[next].min(4)) * SHARED + u32::from(across[next].min(4)) * CROSSING;
            price += if border[next] { BORDER } else { 0 };
            for beside in [next.checked_sub(side), next.checked_add(side)].into_iter().flatten() {
                price += if along.get(beside).is_some_and(|n| *n > 0) { BESIDE } else { 0 };
            }
            if dir % 2 == 1 {
                price += if self.near_upright[next] { NEAR_BORDER } else { 0 };
                // Bend early, so that the last stretch has room for the label.
                let away = (next_local % window.width()).abs_diff(start_column);
                price += u32::try_from(away).unwrap_or(12).min(12);
            }
            let target = next_local * 4 + dir;
            let estimate = window.estimate(next_local, goal);
            relax(&mut cost, &mut before, &mut queue, state, target, so_far + price, estimate);
        }
        None
    }

    /// A flow has no business in a zone that holds neither of its ends.
    fn avoid_other_zones(&mut self, start: Port, end: Port) {
        if self.cells() > FOREIGN_CELLS_MAX {
            return;
        }
        self.foreign.fill(0);
        let inside = |zone: &Rect, port: Port| {
            let x = port.x - port.side;
            x > zone.x && x < zone.right() && port.y > zone.y && port.y < zone.bottom()
        };
        for zone in self.zones.clone() {
            if !inside(&zone, start) && !inside(&zone, end) {
                self.each(zone, |g, i| g.foreign[i] = FOREIGN);
            }
        }
    }
}

/// The part of the grid that is searched; cells are counted within it.
struct Window {
    x: usize,
    y: usize,
    right: usize,
    bottom: usize,
}

impl Window {
    fn width(&self) -> usize {
        self.right - self.x + 1
    }

    fn cells(&self) -> usize {
        self.width() * (self.bottom - self.y + 1)
    }

    fn local(&self, cell: usize, grid_width: usize) -> Option<usize> {
        let (x, y) = (cell % grid_width, cell / grid_width);
        let inside = (self.x..=self.right).contains(&x) && (self.y..=self.bottom).contains(&y);
        inside.then(|| (y - self.y) * self.width() + x - self.x)
    }

    fn global(&self, cell: usize, grid_width: usize) -> usize {
        (cell / self.width() + self.y) * grid_width + cell % self.width() + self.x
    }

    fn step(&self, cell: usize, dir: usize) -> Option<usize> {
        let (x, y) = (cell % self.width(), cell / self.width());
        match dir {
            0 => (x + self.x < self.right).then(|| cell + 1),
            1 => (y + self.y < self.bottom).then(|| cell + self.width()),
            2 => (x > 0).then(|| cell - 1),
            _ => (y > 0).then(|| cell - self.width()),
        }
    }

    /// Never more than the way costs.
    fn estimate(&self, cell: usize, goal: usize) -> u32 {
        let (w, (x, y)) = (self.width(), (cell % self.width(), cell / self.width()));
        let steps = u32::try_from(x.abs_diff(goal % w) + y.abs_diff(goal / w)).unwrap_or(u32::MAX / 100);
        steps * STEP + if y == goal / w { 0 } else { BEND }
    }
}

/// The way that led to a state, only its corners.
fn corners(window: &Window, start: Port, end: Port, last: usize, before: &[u32]) -> Vec<(i32, i32)> {
    let point = |state: usize| {
        let cell = state / 4;
        let at = |n: usize| i32::try_from(n).unwrap_or_default() * GRID;
        (at(cell % window.width() + window.x), at(cell / window.width() + window.y))
    };
    let mut points = vec![(end.x, end.y)];
    let mut state = Some(last);
    while let Some(found) = state {
        let here = point(found);
        if points.last() != Some(&here) {
            points.push(here);
        }
        state = before.get(found).filter(|s| **s != u32::MAX).and_then(|s| usize::try_from(*s).ok());
    }
    points.push((start.x, start.y));
    points.reverse();
    let mut corners: Vec<(i32, i32)> = Vec::new();
    for p in points {
        if let [.., a, b] = corners.as_slice()
            && ((a.0 == b.0 && b.0 == p.0) || (a.1 == b.1 && b.1 == p.1))
        {
            corners.pop();
        }
        corners.push(p);
    }
    corners
}

fn relax(
    cost: &mut [u32],
    before: &mut [u32],
    queue: &mut BinaryHeap<Reverse<(u32, u32, usize)>>,
    from: usize,
    to: usize,
    price: u32,
    estimate: u32,
) {
    if price < cost[to] {
        cost[to] = price;
        before[to] = u32::try_from(from).unwrap_or(u32::MAX);
        queue.push(Reverse((price.saturating_add(estimate), price, to)));
    }
}
