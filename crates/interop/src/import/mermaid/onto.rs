//! A chart onto a draft: boundaries become zones, boxes nodes, arrows flows. What several diagrams draw is joined by what is written
//! in it, and by its id where nothing is.
use std::collections::{HashMap, HashSet};

use super::{Chart, Diagram, Edge, Group, Node, Shape, label, words};
use crate::draft::{Draft, Kind, Noun};

/// Most arrows that one to a boundary stands for.
const SPREAD_MAX: usize = 6;
/// Most data that one flow lists.
const DATA_MAX: usize = 24;

/// Writes a chart into a draft.
pub(super) fn draft(chart: &Chart, diagram: &Diagram<'_>, draft: &mut Draft) {
    if let Some(title) = &chart.title {
        draft.title(title);
    }
    for (line, what, why) in &chart.left_out {
        draft.left_out(diagram.place(*line), what, why);
    }
    let mut onto = Onto { chart, diagram, draft, zones: Vec::new(), nodes: HashMap::new(), claimed: HashSet::new() };
    onto.zones();
    onto.nodes();
    onto.edges();
}

struct Onto<'a> {
    chart: &'a Chart,
    diagram: &'a Diagram<'a>,
    draft: &'a mut Draft,
    /// The zone of each group.
    zones: Vec<String>,
    /// The node of each id.
    nodes: HashMap<&'a str, Drawn>,
    /// Keys that this diagram has given to one of its own: another box with the same text is another node.
    claimed: HashSet<(Kind, String)>,
}

/// What became of a box.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Drawn {
    name: String,
    ours: bool,
    outside: bool,
    hostile: bool,
}

/// What `ward graph` writes into a box: the name, and what it is.
fn ours(node: &Node) -> Option<(&str, &'static str, bool)> {
    let (name, rest) = node.text.as_deref()?.split_once("<br/><small>")?;
    let what = rest.strip_suffix("</small>").or_else(|| rest.strip_suffix("</small>\""))?;
    let name = name.trim_start_matches('"');
    if node.id != format!("n_{}", name.replace('-', "_")) {
        return None;
    }
    match what.split(" · ").next()? {
        "party" => Some((name, "party", false)),
        "hostile party" => Some((name, "party", true)),
        "store" => Some((name, "store", false)),
        "service" | "gateway" | "egress" => Some((name, "service", false)),
        _ => None,
    }
}

/// A text as a key: the words, so that `Order Service` and `order-service` are one.
fn normal(text: &str) -> String {
    let words = words::words(text);
    if words.is_empty() { text.trim().to_owned() } else { words.join(" ") }
}

/// A text without what stands in brackets behind it.
fn short(text: &str) -> &str {
    let head = text.split(['(', '[']).next().unwrap_or_default().trim();
    if head.chars().any(|c| c.is_ascii_alphanumeric()) { head } else { text }
}

impl<'a> Onto<'a> {
    fn zones(&mut self) {
        let groups: &'a [Group] = &self.chart.groups;
        // A boundary that is named inside of another lies in it.
        let by_id: HashMap<&str, usize> = groups.iter().enumerate().map(|(at, g)| (g.id.as_str(), at)).collect();
        let mut parents: Vec<Option<usize>> = groups.iter().map(|g| g.parent).collect();
        for node in &self.chart.nodes {
            if let Some(at) = by_id.get(node.id.as_str()).copied()
                && let Some(parent) = parents.get_mut(at)
                && node.group != Some(at)
            {
                *parent = parent.or(node.group);
            }
        }
        for group in groups {
            let (text, trust) = match group.text.rsplit_once(" (") {
                Some((text, "no trust)")) => (text, Some("none")),
                Some((text, "high trust)")) => (text, Some("high")),
                _ => (group.text.as_str(), None),
            };
            let text = if text.is_empty() { group.id.as_str() } else { text };
            let ours = group.id == format!("z_{}", text.replace('-', "_"));
            let mut key = format!("mermaid:zone:{}", normal(text));
            if !self.claimed.insert((Kind::Zone, key.clone())) {
                key = format!("{}#{}:{}", key, self.diagram.place(0), group.id);
            }
            let wanted = if ascii(text) { short(text) } else { group.id.as_str() };
            let zone = self.draft.zone(&key, wanted);
            match (trust, words::of_boundary(text)) {
                (Some(trust), _) => _ = zone.set("trust", trust),
                (None, Some(word)) if !ours => {
                    _ = zone.guess("trust", "none", format!("`{word}` is taken to say that anybody may be there"));
                }
                _ => {}
            }
            if normal(zone.name()) != normal(text) {
                zone.comment(text);
            }
            let name = zone.name().to_owned();
            self.zones.push(name);
        }
        for (at, parent) in parents.iter().enumerate() {
            let (Some(name), Some(parent)) = (self.zones.get(at), parent.and_then(|p| self.zones.get(p))) else {
                continue;
            };
            if name != parent
                && let Some(zone) = self.draft.named(Kind::Zone, name)
            {
                zone.set("in", parent.as_str());
            }
        }
    }

    fn nodes(&mut self) {
        let groups: HashSet<&str> = self.chart.groups.iter().map(|g| g.id.as_str()).collect();
        for node in &self.chart.nodes {
            // A boundary that arrows lead to is no box.
            if !groups.contains(node.id.as_str()) {
                let drawn = self.node(node);
                self.nodes.insert(&node.id, drawn);
            }
        }
    }

    fn node(&mut self, node: &Node) -> Drawn {
        let known = ours(node);
        let lines = node.text.as_deref().map(label::lines).filter(|l| !l.is_empty()).unwrap_or_default();
        let text =
            known.map(|(name, ..)| name.to_owned()).or(lines.first().cloned()).unwrap_or_else(|| node.id.clone());
        let key = self.key(node, &text);
        let wanted = if ascii(&text) { short(&text) } else { node.id.as_str() };
        let noun = self.draft.node(&key, wanted);
        let name = noun.name().to_owned();
        if normal(&name) != normal(&text) {
            noun.comment(&text);
        }
        if known.is_none() {
            for line in lines.iter().skip(1).chain(&node.comments) {
                noun.comment(line);
            }
        }
        let icons = node.text.as_deref().unwrap_or_default();
        let guess = if known.is_none() { words::of_box(&text) } else { words::Guess::default() };
        let stranger = guess.stranger;
        match (known, node.shape, guess.kind) {
            (Some((_, kind, hostile)), ..) => {
                noun.set("kind", kind);
                if hostile {
                    noun.set("hostile", true);
                }
            }
            (None, Some(Shape::Store(drawn)), _) => {
                noun.guess("kind", "store", format!("it is drawn as {drawn}"));
            }
            (None, Some(Shape::Actor), _) => _ = noun.guess("kind", "party", "it is drawn as an actor"),
            (None, _, Some((kind, word))) => {
                noun.guess("kind", kind, format!("it is called `{word}`"));
                if guess.hostile {
                    noun.guess("hostile", true, format!("it is called `{word}`"));
                }
            }
            (None, None, None) if icons.split_whitespace().any(|w| label::is_icon(w) && w.ends_with("-user")) => {
                noun.guess("kind", "party", "it is drawn as a person");
            }
            (None, None, None) if icons.split_whitespace().any(|w| label::is_icon(w) && w.ends_with("-database")) => {
                noun.guess("kind", "store", "it is drawn as a database");
            }
            (None, None, None) => {}
        }
        let party = noun.text("kind") == Some("party");
        if noun.text("kind") == Some("store") && guess.encrypted {
            noun.guess("at_rest", "volume", "its name says so");
        }
        let public = noun.text("kind") == Some("store") && guess.public;
        if !party && noun.text("kind") != Some("store") {
            for guard in guess.guards {
                noun.guess_add("guards", guard, "its name says so");
            }
        }
        let hostile = noun.get("hostile").is_some();
        let internet = public.then(|| self.draft.internet());
        if let (Some(internet), Some(noun)) = (internet, self.draft.named(Kind::Node, &name)) {
            noun.guess_add("exposed_to", internet, "it is called `public`");
        }
        self.home(&name, node, party && known.is_none() && (stranger || node.shape == Some(Shape::Actor)));
        Drawn { outside: self.is_outside(&name), name, ours: known.is_some(), hostile }
    }

    /// The zone of a node: what is drawn around it; strangers around whom nothing is drawn are anywhere.
    fn home(&mut self, name: &str, node: &Node, stranger: bool) {
        let zone = node.group.and_then(|g| self.zones.get(g)).cloned();
        let internet = (zone.is_none() && stranger).then(|| self.draft.internet());
        let Some(noun) = self.draft.named(Kind::Node, name) else { return };
        match (zone, internet) {
            (Some(zone), _) => {
                noun.set("zone", zone.as_str());
                if noun.text("zone") != Some(&zone) {
                    let place = self.diagram.place(0);
                    noun.comment(format!("in the diagram at {place} it is drawn in `{zone}`"));
                }
            }
            (None, Some(internet)) => {
                _ = noun.guess("zone", internet, "nothing is drawn around it: it may be anywhere")
            }
            (None, None) => {}
        }
    }

    /// The key of a box: of the one with the same text, or id, in another diagram.
    fn key(&mut self, node: &Node, text: &str) -> String {
        let by_text = format!("mermaid:text:{}", normal(text));
        let by_id = format!("mermaid:id:{}", node.id);
        let bare = node.text.is_none();
        let free = |onto: &Self, key: &str| !onto.claimed.contains(&(Kind::Node, key.to_owned()));
        let found = [Some(&by_text), bare.then_some(&by_id)]
            .into_iter()
            .flatten()
            .find(|key| self.draft.find(Kind::Node, key).is_some() && free(self, key));
        let key = match found {
            Some(key) => key.clone(),
            None if free(self, &by_text) => by_text.clone(),
            None => format!("mermaid:box:{}:{}", self.diagram.place(0), node.id),
        };
        self.claimed.insert((Kind::Node, key.clone()));
        self.claimed.insert((Kind::Node, by_text));
        // Made now, so that its id is a key of it.
        self.draft.node(&key, if ascii(text) { short(text) } else { node.id.as_str() });
        self.draft.alias(Kind::Node, &key, &by_id);
        key
    }

    fn is_outside(&mut self, node: &str) -> bool {
        let mut zone = self.draft.named(Kind::Node, node).and_then(|n| n.text("zone").map(str::to_owned));
        for _ in 0..model::load::CHAIN_MAX {
            let Some(noun) = zone.and_then(|name| self.draft.named(Kind::Zone, &name)) else { return false };
            if let Some(trust) = noun.text("trust") {
                return trust == "none";
            }
            zone = noun.text("in").map(str::to_owned);
        }
        false
    }

    fn edges(&mut self) {
        let mut members: HashMap<&str, Vec<&str>> = HashMap::new();
        for node in &self.chart.nodes {
            if !self.nodes.contains_key(node.id.as_str()) {
                continue;
            }
            // Of the boundaries around a boundary too.
            let mut around = node.group;
            for _ in 0..model::load::CHAIN_MAX {
                let Some(group) = around.and_then(|g| self.chart.groups.get(g)) else { break };
                members.entry(&group.id).or_default().push(&node.id);
                around = group.parent;
            }
        }
        for edge in &self.chart.edges {
            let ends = |id: &'a str| match self.nodes.contains_key(id) {
                true => vec![id],
                false => members.get(id).cloned().unwrap_or_default(),
            };
            let (from, to) = (ends(&edge.from), ends(&edge.to));
            let spread = from.len().saturating_mul(to.len());
            // A boundary that sends into itself says nothing.
            let within = edge.from != edge.to && from.iter().any(|f| to.contains(f));
            if spread == 0 || spread > SPREAD_MAX || within {
                let what = format!("the arrow from `{}` to `{}`", edge.from, edge.to);
                self.draft.left_out(
                    self.diagram.place(0),
                    what,
                    "it ends at a boundary with none or many nodes, or around its other end: draw it from node to node",
                );
                continue;
            }
            for one in &from {
                for other in &to {
                    self.edge(edge, one, other, spread > 1);
                }
            }
        }
    }

    fn edge(&mut self, edge: &Edge, from: &str, to: &str, spread: bool) {
        let (Some(from), Some(to)) = (self.nodes.get(from).cloned(), self.nodes.get(to).cloned()) else { return };
        if from.name == to.name {
            return;
        }
        if from.ours && to.ours {
            return self.own(edge, &from, &to);
        }
        let mut carried: Vec<_> =
            edge.carries.iter().map(|t| (label::line(t), words::of_arrow(&label::line(t)))).collect();
        if from.hostile {
            // What an attacker does is no data of the system.
            carried.iter_mut().for_each(|(_, said)| said.datum = None);
        }
        let returned: Vec<_> =
            edge.returns.iter().map(|t| (label::line(t), words::of_arrow(&label::line(t)))).collect();
        let mut via: Vec<(&str, &str, String)> = Vec::new();
        for (word, value, why) in carried.iter().chain(&returned).flat_map(|(_, said)| said.via.iter().cloned()) {
            if !via.iter().any(|(w, ..)| *w == word) {
                via.push((word, value, why));
            }
        }
        let how: String = via.iter().map(|(word, value, _)| format!(" {word}={value}")).collect();
        // What is fetched comes back.
        let (fetched, carried): (Vec<_>, Vec<_>) = carried.into_iter().partition(|(_, said)| said.fetched);
        let returned = returned.into_iter().filter(|(_, said)| said.datum.is_some()).chain(fetched).collect();
        let data: Vec<_> = [carried, returned].into_iter().map(|all| self.data(all)).collect();
        let key = format!("mermaid:flow:{}>{}:{how}", from.name, to.name);
        let wanted = format!("{}-{}", from.name, to.name);
        let flow = self.draft.flow(&key, &wanted, &from.name, &to.name);
        for (field, data) in ["carries", "returns"].into_iter().zip(data) {
            for (datum, text) in data {
                if flow.list(field).count() == DATA_MAX {
                    flow.comment(format!("more than {DATA_MAX} things move here: only these are listed"));
                    break;
                }
                match datum {
                    Some(datum) => _ = flow.guess_add(field, datum, format!("the arrow says \"{text}\"")),
                    None => _ = flow.comment(text),
                }
            }
        }
        for (word, value, why) in &via {
            match *value {
                "true" => flow.guess_via(word, true, why),
                value => flow.guess_via(word, value, why),
            };
        }
        let name = flow.name().to_owned();
        if !self.says_what(&name) {
            let unnamed = self.unnamed();
            if let Some(flow) = self.draft.named(Kind::Flow, &name) {
                flow.guess_add("carries", unnamed, "the arrow does not say what moves");
            }
        }
        self.careful(&name, &from, &to);
        let Some(flow) = self.draft.named(Kind::Flow, &name) else { return };
        for comment in &edge.comments {
            flow.comment(comment);
        }
        if spread {
            flow.comment(format!(
                "the arrow leads to a boundary, `{}` or `{}`: that it means this node is a guess",
                edge.from, edge.to
            ));
        }
    }

    /// Of two guesses no finding is made: that data are sensitive, and that nothing protects them.
    fn careful(&mut self, flow: &str, from: &Drawn, to: &Drawn) {
        let sensitive = self.sensitive(flow);
        let Some(flow) = self.draft.named(Kind::Flow, flow) else { return };
        let says = |flow: &Noun, words: &[&str]| words.iter().any(|word| flow.said(word).is_some());
        if !says(flow, &["tls", "mtls", "ssh"]) && (from.outside || to.outside || sensitive || from.hostile) {
            flow.guess_via("tls", "1.2", "the diagram does not say how it travels: look");
        }
        if sensitive && !says(flow, &["auth", "mtls"]) && !from.hostile && !to.hostile {
            flow.guess_via("auth", "token", "the diagram does not say how the caller proves itself: look");
        }
    }

    /// The data that arrows speak of; what says nothing of data stays a text.
    fn data(&mut self, said: Vec<(String, words::Said)>) -> Vec<(Option<String>, String)> {
        let mut all = Vec::new();
        for (text, said) in said {
            let Some(name) = said.datum else {
                // What says only how is told where it is used.
                if said.via.is_empty() && !text.is_empty() {
                    all.push((None, format!("the arrow says \"{text}\"")));
                }
                continue;
            };
            let datum = self.draft.data(&format!("mermaid:data:{}", normal(&name)), &name);
            if let Some((class, word)) = words::class(&name) {
                datum.guess("class", class, format!("it is called `{word}`"));
            }
            if normal(datum.name()) != normal(&text) {
                datum.comment(&text);
            }
            all.push((Some(datum.name().to_owned()), text));
        }
        all
    }

    /// Whether a flow carries or returns anything.
    fn says_what(&mut self, flow: &str) -> bool {
        self.draft.named(Kind::Flow, flow).is_some_and(|f| f.get("carries").is_some() || f.get("returns").is_some())
    }

    /// What arrows move that do not say what.
    fn unnamed(&mut self) -> String {
        let datum = self.draft.data("mermaid:unnamed", "unnamed");
        datum.comment("what arrows move that do not say what: name it, and findings follow");
        datum.guess("class", "public", "until somebody says what it is, nothing is found about it");
        datum.name().to_owned()
    }

    /// Whether a flow moves more than internal data. Who gets a secret needs it.
    fn sensitive(&mut self, flow: &str) -> bool {
        let Some(noun) = self.draft.named(Kind::Flow, flow) else { return false };
        let to = noun.text("to").unwrap_or_default().to_owned();
        let mut all: Vec<String> = noun.list("carries").map(str::to_owned).collect();
        let carried = all.len();
        all.extend(noun.list("returns").map(str::to_owned));
        let mut found = false;
        for (at, name) in all.iter().enumerate() {
            let class =
                self.draft.named(Kind::Data, name).and_then(|d| d.text("class").map(str::to_owned)).unwrap_or_default();
            found |= matches!(class.as_str(), "confidential" | "restricted" | "secret");
            if class == "secret"
                && at < carried
                && let Some(node) = self.draft.named(Kind::Node, &to).filter(|n| n.text("kind") != Some("party"))
            {
                node.guess_add("reads", name.as_str(), "an arrow brings it");
            }
        }
        found
    }

    /// An arrow that `ward graph` drew: the flow's name, and its data by name.
    fn own(&mut self, edge: &Edge, from: &Drawn, to: &Drawn) {
        let text = edge.carries.first().map(|t| t.trim().trim_matches('"')).unwrap_or_default();
        let (text, standby) = text.strip_prefix("standby: ").map_or((text, false), |text| (text, true));
        let mut lines = text.split("<br/>");
        let id = lines.next().unwrap_or_default();
        let mut lists: [Vec<String>; 2] = [Vec::new(), Vec::new()];
        for line in lines {
            let (which, names) = line.strip_prefix("↩ ").map_or((0, line), |names| (1, names));
            for name in names.split(", ") {
                let datum = self.draft.data(&format!("mermaid:data:{}", normal(name)), name);
                if let Some((class, word)) = words::class(name) {
                    datum.guess("class", class, format!("it is called `{word}`"));
                }
                if let Some(list) = lists.get_mut(which) {
                    list.push(datum.name().to_owned());
                }
            }
        }
        let key = format!("mermaid:own:{id}:{}>{}", from.name, to.name);
        let flow = self.draft.flow(&key, id, &from.name, &to.name);
        for (field, names) in ["carries", "returns"].into_iter().zip(lists) {
            for name in names {
                flow.add(field, name);
            }
        }
        if standby {
            flow.set("standby", true);
        }
        let name = flow.name().to_owned();
        self.careful(&name, from, to);
    }
}

/// Whether a name can be made of a text.
fn ascii(text: &str) -> bool {
    text.chars().any(|c| c.is_ascii_alphanumeric())
}
