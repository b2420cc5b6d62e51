//! Open Threat Models (OTM 0.1 and 0.2, YAML or JSON): trust zones, components, data flows and assets. Threats and mitigations
//! are left to `ward posture`, which finds its own.
use model::tree::Tree;

use super::{Document, ImportError};
use crate::draft::{Draft, Kind, Noun};

mod attributes;

use attributes::{Attributes, Of};

/// Deepest nesting of components and zones that is followed.
const DEPTH_MAX: usize = 64;
/// Words in the type of a component that keeps data.
const STORES: [&str; 27] = [
    "database",
    "db",
    "storage",
    "store",
    "bucket",
    "s3",
    "rds",
    "dynamodb",
    "aurora",
    "redshift",
    "redis",
    "cache",
    "mongo",
    "mongodb",
    "postgres",
    "postgresql",
    "mysql",
    "sql",
    "blob",
    "filesystem",
    "lake",
    "warehouse",
    "vault",
    "secret",
    "secrets",
    "registry",
    "elasticsearch",
];
/// Words in the type of somebody outside.
const PARTIES: [&str; 14] = [
    "client", "user", "actor", "browser", "person", "customer", "human", "external", "party", "mobile", "attacker",
    "admin", "operator", "partner",
];

/// Reads documents into a draft.
///
/// # Errors
/// A document is no Open Threat Model.
pub fn read(documents: &[Document<'_>], draft: &mut Draft) -> Result<(), ImportError> {
    for (number, document) in documents.iter().enumerate() {
        let refused = |why: &str| ImportError::Refused { place: document.place(&document.tree), why: why.to_owned() };
        let Some(version) = document.tree.text_at(&["otmVersion"]) else {
            return Err(refused("this has no `otmVersion`, and so is no Open Threat Model"));
        };
        if !(version.starts_with("0.1") || version.starts_with("0.2")) {
            let why = "0.1 and 0.2 are known: what is new in this one may be missing";
            draft.left_out(document.place(&document.tree), format!("otmVersion: {version}"), why);
        }
        // Identifiers are unique in a document alone.
        Reader { document, draft, prefix: format!("otm:{}:{number}", document.file) }.read();
    }
    Ok(())
}

struct Reader<'a, 'd> {
    document: &'a Document<'d>,
    draft: &'a mut Draft,
    prefix: String,
}

impl<'a> Reader<'a, '_> {
    fn read(&mut self) {
        let tree = &self.document.tree;
        if let Some(name) = tree.text_at(&["project", "name"]).or_else(|| tree.text_at(&["project", "id"])) {
            self.draft.title(name);
        }
        let zones = self.named(Kind::Zone, tree.items_at(&["trustZones"]));
        let components = self.named(Kind::Node, tree.items_at(&["components"]));
        let assets = self.named(Kind::Data, tree.items_at(&["assets"]));
        for (id, zone) in &zones {
            self.zone(id, zone, &components);
        }
        for (id, component) in &components {
            self.component(id, component, &components);
        }
        for (id, asset) in &assets {
            self.asset(id, asset);
        }
        for flow in tree.items_at(&["dataflows"]) {
            self.flow(flow);
        }
        let count = |key: &str| tree.items_at(&[key]).len();
        let threats = count("threats") + count("mitigations");
        if threats > 0 {
            let what = format!("threats: {}, mitigations: {}", count("threats"), count("mitigations"));
            self.draft.left_out(self.document.place(tree), what, "`ward posture` finds its own");
        }
    }

    fn key(&self, kind: Kind, id: &str) -> String {
        let word = match kind {
            Kind::Zone => "zone",
            Kind::Data => "asset",
            Kind::Node => "component",
            Kind::Flow => "dataflow",
        };
        format!("{}:{word}:{id}", self.prefix)
    }

    /// The name in the model of what has an identifier.
    fn name_of(&self, kind: Kind, id: &str) -> Option<String> {
        self.draft.find(kind, &self.key(kind, id)).map(|noun| noun.name().to_owned())
    }

    fn left_out(&mut self, at: &Tree, what: String, why: &str) {
        self.draft.left_out(self.document.place(at), what, why);
    }

    /// Makes the nouns of a list, so that they can be spoken of, and returns them by identifier.
    fn named(&mut self, kind: Kind, items: &'a [Tree]) -> Vec<(&'a str, &'a Tree)> {
        let mut all: Vec<(&str, &Tree)> = Vec::new();
        for item in items {
            let name = item.text_at(&["name"]).filter(|name| !name.is_empty());
            let Some(id) = item.text_at(&["id"]).or(name) else {
                self.left_out(item, "an entry without `id` and `name`".to_owned(), "nothing can speak of it");
                continue;
            };
            let key = self.key(kind, id);
            if self.draft.find(kind, &key).is_some() {
                self.left_out(item, format!("another entry with the id `{id}`"), "identifiers are unique");
                continue;
            }
            let noun = match kind {
                Kind::Zone => self.draft.zone(&key, name.unwrap_or(id)),
                Kind::Data => self.draft.data(&key, name.unwrap_or(id)),
                Kind::Node | Kind::Flow => self.draft.node(&key, name.unwrap_or(id)),
            };
            if let Some(description) = item.text_at(&["description"]) {
                describe(noun, description);
            }
            all.push((id, item));
        }
        all
    }

    fn zone(&mut self, id: &str, zone: &Tree, components: &[(&str, &Tree)]) {
        let mut attributes = Attributes::of(zone);
        let rating = zone.text_at(&["risk", "trustRating"]).and_then(|text| text.parse::<f64>().ok());
        let internet = zone.text_at(&["type"]).is_some_and(|kind| kind.eq_ignore_ascii_case("internet"));
        let guess = match rating {
            _ if internet => Some(("none", "type: internet".to_owned())),
            Some(rating) if rating < 25.0 => Some(("none", format!("trustRating: {rating}"))),
            Some(rating) if rating > 75.0 => Some(("high", format!("trustRating: {rating}"))),
            _ => None,
        };
        let parent = self.zone_above(zone, components);
        let key = self.key(Kind::Zone, id);
        let noun = self.draft.zone(&key, id);
        let known = attributes.take(Of::Zone, noun);
        if !known.contains(&"trust")
            && let Some((trust, why)) = guess
        {
            noun.guess("trust", trust, why);
        }
        if let Some(parent) = parent.filter(|parent| parent != noun.name()) {
            noun.set("in", parent);
        }
        self.rest(zone, id, &attributes);
    }

    /// The zone around a zone or component, through the components it is in.
    fn zone_above<'t>(&mut self, mut item: &'t Tree, components: &[(&str, &'t Tree)]) -> Option<String> {
        let start = item;
        let id = start.text_at(&["id"]).unwrap_or_default().to_owned();
        for _ in 0..DEPTH_MAX {
            let parent = item.get("parent")?;
            if let Some(zone) = parent.text_at(&["trustZone"]) {
                let found = self.name_of(Kind::Zone, zone);
                // A zone in itself, over others, would be refused.
                if found.is_none() || self.is_around(start, zone) {
                    self.left_out(
                        parent,
                        format!("`{id}`: parent: trustZone: {zone}"),
                        "there is no such zone around it",
                    );
                    return None;
                }
                return found;
            }
            let component = parent.text_at(&["component"])?;
            match components.iter().find(|(id, _)| *id == component) {
                Some((_, around)) => item = around,
                None => {
                    self.left_out(
                        parent,
                        format!("`{id}`: parent: component: {component}"),
                        "there is no such component",
                    );
                    return None;
                }
            }
        }
        self.left_out(start, format!("`{id}`: parent"), "it is nested too deep, or in itself");
        None
    }

    /// Whether a zone is inside `start`, so that it cannot be around it.
    fn is_around(&self, start: &Tree, zone: &str) -> bool {
        let zones = self.document.tree.items_at(&["trustZones"]);
        if !zones.iter().any(|one| std::ptr::eq(one, start)) {
            return false;
        }
        let mut at = zone;
        for _ in 0..DEPTH_MAX {
            let Some(found) = zones.iter().find(|one| one.text_at(&["id"]) == Some(at)) else { return false };
            if std::ptr::eq(found, start) {
                return true;
            }
            match found.text_at(&["parent", "trustZone"]) {
                Some(parent) => at = parent,
                None => return false,
            }
        }
        true
    }

    fn component(&mut self, id: &str, component: &Tree, components: &[(&str, &Tree)]) {
        let mut attributes = Attributes::of(component);
        let zone = self.zone_above(component, components);
        let list =
            |key: &str| -> Vec<&str> { component.items_at(&["assets", key]).iter().filter_map(Tree::text).collect() };
        let stored: Vec<String> = self.assets(component, &list("stored"));
        let processed: Vec<String> = self.assets(component, &list("processed"));
        let reads = self.assets(component, &attributes.list("reads"));
        let exposed: Vec<String> =
            attributes.list("exposed_to").iter().filter_map(|zone| self.name_of(Kind::Zone, zone)).collect();
        let around = component.text_at(&["parent", "component"]);
        let inside = around.and_then(|id| self.name_of(Kind::Node, id));
        let kind = component.text_at(&["type"]).unwrap_or_default();
        let tags: Vec<&str> = component.items_at(&["tags"]).iter().filter_map(Tree::text).collect();
        let key = self.key(Kind::Node, id);
        let noun = self.draft.node(&key, id);
        let known = attributes.take(Of::Node, noun);
        if !known.contains(&"kind") {
            let (word, why) = kind_of(kind);
            noun.guess("kind", word, why);
        }
        if let Some(zone) = zone {
            noun.set("zone", zone);
        }
        if let Some(inside) = inside {
            noun.comment(format!("inside {inside}"));
        }
        for datum in &stored {
            noun.add("holds", datum.as_str());
        }
        // Ward's own export says apart what a node reads of what it processes.
        for datum in if known.contains(&"kind") { &reads } else { &processed } {
            noun.add("reads", datum.as_str());
        }
        for zone in exposed {
            noun.add("exposed_to", zone);
        }
        if tags.contains(&"hostile") || kind.eq_ignore_ascii_case("attacker") {
            noun.set("hostile", true);
        }
        if tags.contains(&"admin") && known.contains(&"kind") {
            noun.set("privilege", "admin");
        }
        self.rest(component, id, &attributes);
    }

    /// Assets by the names they have in the model.
    fn assets(&mut self, at: &Tree, ids: &[&str]) -> Vec<String> {
        let mut names = Vec::new();
        for id in ids {
            match self.name_of(Kind::Data, id) {
                Some(name) => names.push(name),
                None => self.left_out(at, format!("asset `{id}`"), "there is no such asset"),
            }
        }
        names
    }

    fn asset(&mut self, id: &str, asset: &Tree) {
        let mut attributes = Attributes::of(asset);
        let confidentiality = asset.text_at(&["risk", "confidentiality"]).and_then(|text| text.parse::<f64>().ok());
        let opens: Vec<String> =
            attributes.list("opens").iter().filter_map(|node| self.name_of(Kind::Node, node)).collect();
        let copy = attributes.text("copy_of").map(str::to_owned).filter(|origin| self.is_origin(id, origin));
        let copy = copy.and_then(|origin| self.name_of(Kind::Data, &origin));
        let key = self.key(Kind::Data, id);
        let noun = self.draft.data(&key, id);
        let known = attributes.take(Of::Data, noun);
        if !known.contains(&"class") {
            let (class, why) = match confidentiality {
                Some(risk) if risk < 10.0 => ("public", format!("confidentiality: {risk}")),
                Some(risk) if risk < 40.0 => ("internal", format!("confidentiality: {risk}")),
                Some(risk) if risk < 70.0 => ("confidential", format!("confidentiality: {risk}")),
                Some(risk) => ("restricted", format!("confidentiality: {risk}")),
                None => ("internal", "nothing says how sensitive it is".to_owned()),
            };
            noun.guess("class", class, why);
        }
        if noun.text("class") == Some("secret") {
            for node in opens {
                noun.add("opens", node);
            }
        }
        if let Some(copy) = copy {
            noun.set("copy_of", copy);
        }
        self.rest(asset, id, &attributes);
    }

    /// Whether an asset can be the origin of another: it is no copy of that one, over others or not.
    fn is_origin(&self, copy: &str, origin: &str) -> bool {
        let assets = self.document.tree.items_at(&["assets"]);
        let mut at = origin;
        for _ in 0..DEPTH_MAX {
            if at == copy {
                return false;
            }
            let found = assets.iter().find(|asset| asset.text_at(&["id"]) == Some(at));
            match found.and_then(|asset| asset.text_at(&["attributes", "copy_of"])) {
                Some(next) => at = next,
                None => return true,
            }
        }
        false
    }

    fn flow(&mut self, flow: &Tree) {
        let id = flow.text_at(&["id"]).or_else(|| flow.text_at(&["name"])).unwrap_or("dataflow");
        let end = |reader: &Self, key: &str| flow.text_at(&[key]).and_then(|id| reader.name_of(Kind::Node, id));
        let (from, to) = match (end(self, "source"), end(self, "destination")) {
            (Some(from), Some(to)) if from != to => (from, to),
            (Some(_), Some(_)) => {
                self.left_out(flow, format!("dataflow `{id}`"), "it goes from a component to itself");
                return;
            }
            _ => {
                let why = "its source or destination is no component";
                self.left_out(flow, format!("dataflow `{id}`"), why);
                return;
            }
        };
        let mut attributes = Attributes::of(flow);
        let ids: Vec<&str> = flow.items_at(&["assets"]).iter().filter_map(Tree::text).collect();
        let assets = self.assets(flow, &ids);
        let split = attributes.has("carries") || attributes.has("returns");
        let of = |reader: &Self, key: &str| -> Vec<String> {
            attributes.list(key).iter().filter_map(|id| reader.name_of(Kind::Data, id)).collect()
        };
        let (carries, returns) = (of(self, "carries"), of(self, "returns"));
        let both = flow.get("bidirectional").and_then(Tree::bool).unwrap_or_default();
        let opaque = self.draft.named(Kind::Node, &to).is_some_and(|node| attributes::is_opaque(node));
        // Identifiers that nobody chose say less than the two ends.
        let wanted = if is_uuid(id) { format!("{from}-{to}") } else { id.to_owned() };
        let key = self.key(Kind::Flow, id);
        if self.draft.find(Kind::Flow, &key).is_some() {
            self.left_out(flow, format!("another dataflow with the id `{id}`"), "identifiers are unique");
            return;
        }
        let noun = self.draft.flow(&key, &wanted, &from, &to);
        attributes.take(if opaque { Of::OpaqueFlow } else { Of::Flow }, noun);
        for text in
            [flow.text_at(&["name"]).filter(|name| *name != id), flow.text_at(&["description"])].into_iter().flatten()
        {
            describe(noun, text);
        }
        if split {
            carries.into_iter().for_each(|datum| _ = noun.add("carries", datum));
            returns.into_iter().for_each(|datum| _ = noun.add("returns", datum));
        } else {
            for datum in &assets {
                noun.add("carries", datum.as_str());
                if both {
                    noun.guess_add(
                        "returns",
                        datum.as_str(),
                        "bidirectional: it may be that only some of it comes back",
                    );
                }
            }
        }
        if flow.items_at(&["tags"]).iter().filter_map(Tree::text).any(|tag| tag == "standby") {
            noun.set("standby", true);
        }
        self.rest(flow, id, &attributes);
    }

    /// Says which attributes were not taken over.
    fn rest(&mut self, at: &Tree, id: &str, attributes: &Attributes<'_>) {
        let rest: Vec<&str> = attributes.rest().collect();
        if !rest.is_empty() {
            self.left_out(
                at,
                format!("`{id}`: attributes {}", rest.join(", ")),
                "none of Ward's words, or not with such a value",
            );
        }
    }
}

/// What a component is, by the words of its type.
fn kind_of(kind: &str) -> (&'static str, String) {
    let lower = kind.to_ascii_lowercase();
    let words = || lower.split(|c: char| !c.is_ascii_alphanumeric());
    let why = if kind.is_empty() { "it has no type".to_owned() } else { format!("type: {kind}") };
    if words().any(|word| STORES.contains(&word)) {
        ("store", why)
    } else if words().any(|word| PARTIES.contains(&word)) {
        ("party", why)
    } else {
        ("service", why)
    }
}

/// The first line of a description, as a comment.
fn describe(noun: &mut Noun, text: &str) {
    if let Some(line) = text.lines().map(str::trim).find(|line| !line.is_empty()) {
        noun.comment(line);
    }
}

fn is_uuid(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_hexdigit).count();
    let hyphens = text.bytes().filter(|byte| *byte == b'-').count();
    text.len() == 36 && digits == 32 && hyphens == 4
}

#[cfg(test)]
mod tests;
