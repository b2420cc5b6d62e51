//! A model in the making: nouns under the names that others gave them, each field known or guessed, with the reason.
//!
//! Importers of several formats write into one draft. What two of them speak of is joined by key (`kubernetes:prod/Secret/db`)
//! and by address: one says that `db.prod.svc` answers, another that `app` calls `db.prod.svc:5432`.
use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
};

use serde_json::{Value as Json, json};

mod calls;
mod name;
mod write;

pub use calls::Call;
use name::Names;
pub use write::Written;

/// Most nouns of a draft. A model may have fewer; this bounds what a file that is none can grow.
pub const NOUNS_MAX: usize = 200_000;
/// Longest chain of zones in zones, or of copies of copies, that a model may have.
const CHAIN_MAX: usize = model::load::CHAIN_MAX - 1;
/// Most lines of comment above a noun.
const COMMENTS_MAX: usize = 12;

/// Which noun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A trust boundary.
    Zone,
    /// What flows and what is kept, credentials among it.
    Data,
    /// A party, service or store.
    Node,
    /// Who may send what to whom.
    Flow,
}

/// A field of a noun.
#[derive(Clone, Debug, PartialEq)]
struct Field {
    key: String,
    value: Json,
    /// Why it is not known; a known field has none.
    guessed: Option<String>,
}

/// A noun in the making.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Noun {
    name: String,
    comments: Vec<String>,
    fields: Vec<Field>,
    via: Vec<Field>,
}

/// What an importer saw and did not take over.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct LeftOut {
    /// File, with the line where it has one: `deploy.yaml:12`.
    pub place: String,
    /// What: `Deployment prod/app: initContainers`.
    pub what: String,
    /// Why, or what to do about it.
    pub why: String,
}

/// A model in the making.
#[derive(Default)]
pub struct Draft {
    title: Option<String>,
    sections: BTreeMap<Kind, Vec<Noun>>,
    /// Where a noun stands in its section, by whatever key an importer gave it.
    keys: HashMap<(Kind, String), usize>,
    /// Where a noun stands in its section, by its name in the model.
    places: HashMap<(Kind, String), usize>,
    names: Names,
    left_out: BTreeSet<LeftOut>,
    answers: HashMap<(String, Option<u16>), String>,
    calls: Vec<Call>,
    called: HashSet<Call>,
    /// How many nouns there are, with those beyond [`NOUNS_MAX`], which all write to `beyond`.
    count: usize,
    beyond: Noun,
}

impl Noun {
    /// The name that it has in the model.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A field that the source states. It replaces a guess; a field that was stated before stays.
    pub fn set(&mut self, key: &str, value: impl Into<Json>) -> &mut Self {
        put(&mut self.fields, key, value.into(), None);
        self
    }

    /// A field that the source does not state, with the reason of the guess. What is known or was guessed before stays.
    pub fn guess(&mut self, key: &str, value: impl Into<Json>, why: impl Into<String>) -> &mut Self {
        put(&mut self.fields, key, value.into(), Some(why.into()));
        self
    }

    /// A guess that knows more than one made before: it replaces that, and nothing that is known.
    pub fn reguess(&mut self, key: &str, value: impl Into<Json>, why: impl Into<String>) -> &mut Self {
        match self.fields.iter_mut().find(|f| f.key == key && f.guessed.is_some()) {
            Some(field) => (field.value, field.guessed) = (value.into(), Some(why.into())),
            None => _ = self.guess(key, value, why),
        }
        self
    }

    /// Whether the source states a field.
    pub fn is_known(&self, key: &str) -> bool {
        self.fields.iter().any(|f| f.key == key && f.guessed.is_none())
    }

    /// One more member of a list field; members are there once.
    pub fn add(&mut self, key: &str, value: impl Into<Json>) -> &mut Self {
        add(&mut self.fields, key, value.into(), None);
        self
    }

    /// The same as a guess.
    pub fn guess_add(&mut self, key: &str, value: impl Into<Json>, why: impl Into<String>) -> &mut Self {
        add(&mut self.fields, key, value.into(), Some(why.into()));
        self
    }

    /// A word of `via`, of a flow.
    pub fn via(&mut self, key: &str, value: impl Into<Json>) -> &mut Self {
        put(&mut self.via, key, value.into(), None);
        self
    }

    /// A word of `via` that is guessed.
    pub fn guess_via(&mut self, key: &str, value: impl Into<Json>, why: impl Into<String>) -> &mut Self {
        put(&mut self.via, key, value.into(), Some(why.into()));
        self
    }

    /// A line of comment above it; the same line is there once.
    pub fn comment(&mut self, text: impl Into<String>) -> &mut Self {
        let text = text.into();
        match self.comments.len().cmp(&COMMENTS_MAX) {
            Ordering::Less if !self.comments.contains(&text) => self.comments.push(text),
            Ordering::Equal if !self.comments.contains(&text) => self.comments.push("and more".to_owned()),
            _ => {}
        }
        self
    }

    /// The value of a field, known or guessed.
    pub fn get(&self, key: &str) -> Option<&Json> {
        self.fields.iter().find(|f| f.key == key).map(|f| &f.value)
    }

    /// The text of a field.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(Json::as_str)
    }

    /// A word of `via`, known or guessed.
    pub fn said(&self, word: &str) -> Option<&Json> {
        self.via.iter().find(|f| f.key == word).map(|f| &f.value)
    }

    /// The members of a list field.
    pub fn list(&self, key: &str) -> impl Iterator<Item = &str> {
        self.get(key).and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str)
    }

    /// Takes a field away.
    pub fn remove(&mut self, key: &str) {
        self.fields.retain(|f| f.key != key);
    }

    fn guesses(&self) -> impl Iterator<Item = &Field> {
        self.fields.iter().chain(&self.via).filter(|f| f.guessed.is_some())
    }
}

impl Draft {
    /// The model's name, from the first source that has one.
    pub fn title(&mut self, wanted: &str) {
        self.title.get_or_insert_with(|| name::label(wanted, "imported"));
    }

    /// The zone of a key, made under the wanted name where it is new.
    pub fn zone(&mut self, key: &str, wanted: &str) -> &mut Noun {
        self.noun(Kind::Zone, key, wanted)
    }

    /// The datum of a key.
    pub fn data(&mut self, key: &str, wanted: &str) -> &mut Noun {
        self.noun(Kind::Data, key, wanted)
    }

    /// The node of a key.
    pub fn node(&mut self, key: &str, wanted: &str) -> &mut Noun {
        self.noun(Kind::Node, key, wanted)
    }

    /// The flow of a key between two nodes, by their names in the model.
    pub fn flow(&mut self, key: &str, wanted: &str, from: &str, to: &str) -> &mut Noun {
        self.noun(Kind::Flow, key, wanted).set("from", from).set("to", to)
    }

    /// The zone of everybody: `internet`, without trust. Its name.
    pub fn internet(&mut self) -> String {
        self.zone("internet", "internet").set("trust", "none").name().to_owned()
    }

    /// A noun by key.
    pub fn find(&self, kind: Kind, key: &str) -> Option<&Noun> {
        let at = self.keys.get(&(kind, key.to_owned()))?;
        self.sections.get(&kind)?.get(*at)
    }

    /// A noun by its name in the model.
    pub fn named(&mut self, kind: Kind, name: &str) -> Option<&mut Noun> {
        let at = *self.places.get(&(kind, name.to_owned()))?;
        self.sections.get_mut(&kind)?.get_mut(at)
    }

    /// The nouns of a kind, in the order made.
    pub fn all(&self, kind: Kind) -> &[Noun] {
        self.sections.get(&kind).map_or(&[], Vec::as_slice)
    }

    /// Another key for a noun that is there.
    pub fn alias(&mut self, kind: Kind, key: &str, other: &str) {
        if let Some(at) = self.keys.get(&(kind, key.to_owned())).copied() {
            self.keys.entry((kind, other.to_owned())).or_insert(at);
        }
    }

    /// Says that something was seen and not taken over.
    pub fn left_out(&mut self, place: impl Into<String>, what: impl Into<String>, why: impl Into<String>) {
        self.left_out.insert(LeftOut { place: place.into(), what: what.into(), why: why.into() });
    }

    /// Says that a node answers at a host name or address, at one port or at all. Who says so first is believed.
    pub fn answers(&mut self, node: &str, host: &str, port: Option<u16>) {
        self.answers.entry((host.to_ascii_lowercase(), port)).or_insert_with(|| node.to_owned());
    }

    /// Says that a node calls an address. Who answers there is known when everything was read.
    pub fn calls(&mut self, call: Call) {
        if self.called.insert(call.clone()) {
            self.calls.push(call);
        }
    }

    fn noun(&mut self, kind: Kind, key: &str, wanted: &str) -> &mut Noun {
        let section = self.sections.entry(kind).or_default();
        let key = (kind, key.to_owned());
        let at = match self.keys.get(&key) {
            Some(at) => *at,
            None => {
                self.count += 1;
                if self.count > NOUNS_MAX {
                    // The import ends with an error; until then nothing grows.
                    self.beyond = Noun { name: "beyond".to_owned(), ..Noun::default() };
                    return &mut self.beyond;
                }
                let name = self.names.free(wanted, kind);
                section.push(Noun { name: name.clone(), ..Noun::default() });
                self.keys.insert(key, section.len() - 1);
                self.places.insert((kind, name), section.len() - 1);
                section.len() - 1
            }
        };
        // A key points to what was pushed under it, and nothing is ever taken out before the end.
        &mut section[at]
    }

    /// How many nouns an importer wanted.
    pub fn count(&self) -> usize {
        self.count
    }

    /// What is wrong with references, mended: a noun that names something which is not there would be refused.
    fn settle(&mut self) {
        let names = |kind| self.all(kind).iter().map(|n| n.name.clone()).collect::<HashSet<_>>();
        let (zones, data, nodes) = (names(Kind::Zone), names(Kind::Data), names(Kind::Node));
        let mut gone = Vec::new();
        for section in self.sections.values_mut() {
            for noun in section {
                for field in &mut noun.fields {
                    let known = match field.key.as_str() {
                        "zone" | "in" | "exposed_to" => &zones,
                        "carries" | "returns" | "holds" | "reads" | "copy_of" => &data,
                        "opens" | "from" | "to" => &nodes,
                        _ => continue,
                    };
                    let is_known = |value: &Json| value.as_str().is_some_and(|n| known.contains(n));
                    match &mut field.value {
                        Json::Array(members) => members.retain(|m| {
                            let keep = is_known(m);
                            if !keep {
                                gone.push((noun.name.clone(), format!("{}: {m}", field.key)));
                            }
                            keep
                        }),
                        value if !is_known(value) => {
                            gone.push((noun.name.clone(), format!("{}: {value}", field.key)));
                            *value = Json::Null;
                        }
                        _ => {}
                    }
                }
                noun.fields.retain(|f| f.value != Json::Null && f.value != json!([]));
            }
        }
        if let Some(flows) = self.sections.get_mut(&Kind::Flow) {
            flows.retain(|f| f.get("from").is_some() && f.get("to").is_some());
        }
        for (kind, key) in [(Kind::Zone, "in"), (Kind::Data, "copy_of")] {
            gone.extend(self.straighten(kind, key));
        }
        for (name, what) in gone {
            self.left_out(
                "the draft",
                format!("{name}: {what}"),
                "it is not in what was read, or leads round in a circle",
            );
        }
        let home = self.all(Kind::Node).iter().any(|n| n.get("zone").is_none());
        if home {
            let zone = self.zone("default", "default").name().to_owned();
            for node in self.sections.entry(Kind::Node).or_default() {
                node.guess("zone", zone.as_str(), "no boundary was drawn around it");
            }
        }
        for node in self.sections.entry(Kind::Node).or_default() {
            node.guess("kind", "service", "nothing says what it is");
        }
        for datum in self.sections.entry(Kind::Data).or_default() {
            datum.guess("class", "internal", "nothing says how sensitive it is");
        }
    }
}

impl Draft {
    /// Ends chains that lead round in a circle or are too long, as two diagrams that disagree make them.
    fn straighten(&mut self, kind: Kind, key: &str) -> Vec<(String, String)> {
        let mut above: HashMap<String, String> =
            self.all(kind).iter().filter_map(|n| Some((n.name.clone(), n.text(key)?.to_owned()))).collect();
        let mut gone = Vec::new();
        for noun in self.sections.entry(kind).or_default() {
            let (mut steps, mut at) = (1, above.get(&noun.name));
            while let Some(next) = at.filter(|next| **next != noun.name && steps <= CHAIN_MAX) {
                (steps, at) = (steps + 1, above.get(next));
            }
            if let Some(text) = at.and_then(|_| noun.text(key)) {
                gone.push((noun.name.clone(), format!("{key}: {text}")));
                above.remove(&noun.name);
                noun.remove(key);
            }
        }
        gone
    }
}

fn put(fields: &mut Vec<Field>, key: &str, value: Json, guessed: Option<String>) {
    match fields.iter_mut().find(|f| f.key == key) {
        Some(field) if field.guessed.is_some() && guessed.is_none() => {
            *field = Field { key: key.to_owned(), value, guessed };
        }
        Some(_) => {}
        None => fields.push(Field { key: key.to_owned(), value, guessed }),
    }
}

fn add(fields: &mut Vec<Field>, key: &str, value: Json, guessed: Option<String>) {
    match fields.iter_mut().find(|f| f.key == key) {
        Some(Field { value: Json::Array(members), guessed: before, .. }) => {
            if !members.contains(&value) {
                members.push(value);
                // A list is as sure as its least sure member.
                if before.is_none() {
                    *before = guessed;
                }
            }
        }
        Some(_) => {}
        None => fields.push(Field { key: key.to_owned(), value: json!([value]), guessed }),
    }
}

#[cfg(test)]
mod tests;
