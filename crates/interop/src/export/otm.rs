//! A model as an Open Threat Model (OTM 0.2.0): trust zones, components, data flows and assets, with what `ward posture` found
//! as threats. What OTM has no field for stands in `attributes`, under Ward's words.
use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{
    ExportError,
    cluster::{audit_word, duration_text, word_text},
};
use model::{
    AtRest, Auth, Class, Data, Flow, ListenTls, Model, Name, Node, NodeKind, Role, Trust, Zone,
    graph::{Area, Areas},
};

mod shape;

pub use shape::Otm;
use shape::*;

/// The version that is written.
pub const VERSION: &str = "0.2.0";
/// Most nodes of a model that is drawn: laying out a larger one takes its time, and nobody can read it.
pub const DRAWN_NODES_MAX: usize = 500;
/// The drawing that components and zones have their places in.
const DIAGRAM: &str = "data-flow-diagram";

/// What is weak, as a grader found it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weakness {
    /// `rule@subject`.
    pub id: String,
    /// How bad, from 0 to 100.
    pub risk: u8,
    /// A sentence.
    pub why: String,
    /// What mends it.
    pub mend: String,
    /// Who accepts it and why, if somebody does.
    pub accepted: Option<String>,
    /// Controls of frameworks that it fails.
    pub controls: Vec<String>,
}

/// The confidentiality of a class, from 0 to 100.
pub fn confidentiality(class: Class) -> u8 {
    match class {
        Class::Public => 0,
        Class::Internal => 25,
        Class::Confidential => 50,
        Class::Restricted => 75,
        Class::Secret => 100,
    }
}

/// The rating of a trust, from 0 to 100.
pub fn trust_rating(trust: Trust) -> u8 {
    match trust {
        Trust::None => 0,
        Trust::Low => 50,
        Trust::High => 100,
    }
}

impl Otm {
    /// The model, and what was found in it.
    pub fn new(model: &Model, weaknesses: &[Weakness]) -> Self {
        document(model, weaknesses)
    }

    /// As YAML. The same model gives the same bytes.
    ///
    /// # Errors
    /// It cannot be written, which would be a mistake of Ward.
    pub fn yaml(&self) -> Result<String, ExportError> {
        super::yaml("the threat model", self)
    }
}

fn document(model: &Model, weaknesses: &[Weakness]) -> Otm {
    let drawn = model.nodes.len() <= DRAWN_NODES_MAX;
    let plan = if drawn { model::graph::areas(model) } else { Areas::default() };
    let diagram = Representation {
        name: "Data-flow diagram".to_owned(),
        id: DIAGRAM.to_owned(),
        kind: "diagram".to_owned(),
        size: Size { width: plan.width, height: plan.height },
    };
    let zone_areas: BTreeMap<&str, &Area> = plan.zones.iter().map(|area| (area.name.as_str(), area)).collect();
    let node_areas: BTreeMap<&str, &Area> = plan.nodes.iter().map(|area| (area.name.as_str(), area)).collect();
    let found = Found::new(model, weaknesses);
    let moved = moved(model);
    Otm {
        otm_version: VERSION.to_owned(),
        project: Project {
            name: model.name.to_string(),
            id: model.name.to_string(),
            attributes: attributes([("trust_domain", Some(model.trust_domain.to_string()))]),
        },
        representations: drawn.then_some(diagram).into_iter().collect(),
        assets: model.data.iter().map(|(name, data)| asset(name, data)).collect(),
        trust_zones: model
            .zones
            .iter()
            .map(|(name, zone)| trust_zone(name, zone, zone_areas.get(name.as_str()).copied()))
            .collect(),
        components: model
            .nodes
            .iter()
            .map(|(name, node)| {
                let processed = moved.get(name.as_str()).into_iter().flatten().copied().collect();
                component(model, name, node, processed, node_areas.get(name.as_str()).copied(), &found)
            })
            .collect(),
        dataflows: model.flows.iter().map(|flow| dataflow(model, flow, &found)).collect(),
        threats: weaknesses.iter().map(threat).collect(),
        mitigations: weaknesses.iter().map(mitigation).collect(),
    }
}

/// Attributes that have a value.
fn attributes<const N: usize>(all: [(&str, Option<String>); N]) -> Attributes {
    all.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
}

/// A list as one text; none where it is empty.
fn joined<T: ToString>(all: impl IntoIterator<Item = T>) -> Option<String> {
    let all: Vec<String> = all.into_iter().map(|one| one.to_string()).collect();
    (!all.is_empty()).then(|| all.join(", "))
}

fn when(holds: bool, text: &str) -> Option<String> {
    holds.then(|| text.to_owned())
}

fn element(name: &str, area: Option<&Area>) -> Vec<Element> {
    let elements = area.map(|area| Element {
        representation: DIAGRAM.to_owned(),
        id: format!("{name}-box"),
        position: Position { x: area.x, y: area.y },
        size: Size { width: area.width, height: area.height },
    });
    elements.into_iter().collect()
}

fn asset(name: &Name, data: &Data) -> Asset {
    Asset {
        name: name.to_string(),
        id: name.to_string(),
        risk: AssetRisk {
            confidentiality: confidentiality(data.class),
            integrity: 50,
            availability: 50,
            comment: format!(
                "confidentiality is the class {}; of integrity and availability the model says nothing",
                data.class.as_str()
            ),
        },
        attributes: attributes([
            ("class", Some(data.class.as_str().to_owned())),
            ("of", data.of.clone()),
            ("about", data.about.clone()),
            ("encrypt", when(data.encrypt_required, "required")),
            ("copy_of", data.copy_of.as_ref().map(ToString::to_string)),
            ("opens", joined(&data.opens)),
            ("ttl", data.ttl.map(duration_text)),
            ("residency", joined(&data.residency)),
            ("retention", data.retention.map(duration_text)),
            ("audit", data.audit.map(|audit| audit_word(audit).to_owned())),
        ]),
    }
}

fn trust_zone(name: &Name, zone: &Zone, area: Option<&Area>) -> TrustZone {
    TrustZone {
        id: name.to_string(),
        name: name.to_string(),
        kind: if zone.trust == Trust::None { "internet" } else { "private" }.to_owned(),
        risk: TrustRisk { trust_rating: trust_rating(zone.trust) },
        parent: zone.parent.as_ref().map(|parent| Parent { trust_zone: parent.to_string() }),
        representations: element(name.as_str(), area),
        attributes: attributes([
            ("trust", Some(trust_word(zone.trust).to_owned())),
            ("region", zone.region.clone()),
            ("requires", joined(&zone.requires)),
        ]),
    }
}

/// What moves on the flows of each node.
fn moved(model: &Model) -> HashMap<&str, BTreeSet<&Name>> {
    let mut moved: HashMap<&str, BTreeSet<&Name>> = HashMap::new();
    for flow in &model.flows {
        for end in [&flow.from, &flow.to] {
            moved.entry(end.as_str()).or_default().extend(flow.carries.iter().chain(&flow.returns));
        }
    }
    moved
}

fn component<'m>(
    model: &Model,
    name: &Name,
    node: &'m Node,
    mut processed: BTreeSet<&'m Name>,
    area: Option<&Area>,
    found: &Found<'_>,
) -> Component {
    processed.extend(&node.reads);
    let kind = match (node.kind, node.role) {
        (NodeKind::Party, _) => "web-client",
        (_, Some(Role::Gateway)) => "api-gateway",
        (NodeKind::Service, _) => "web-service",
        (NodeKind::Store, _) => "database",
    };
    let tags = [
        Some(kind_word(node.kind)),
        node.role.map(|role| if role == Role::Gateway { "gateway" } else { "egress" }),
        node.under_ward().then_some("under-ward"),
        node.hostile.then_some("hostile"),
        node.admin.then_some("admin"),
    ];
    Component {
        id: name.to_string(),
        name: name.to_string(),
        kind: kind.to_owned(),
        parent: Parent { trust_zone: node.zone.to_string() },
        representations: element(name.as_str(), area),
        assets: Held {
            processed: processed.into_iter().map(ToString::to_string).collect(),
            stored: node.holds.iter().map(ToString::to_string).collect(),
        },
        threats: found.of(name.as_str()),
        tags: tags.into_iter().flatten().map(str::to_owned).collect(),
        attributes: attributes([
            ("kind", Some(kind_word(node.kind).to_owned())),
            ("identity", node.under_ward().then(|| model.spiffe_id(name.as_str())).flatten().map(|id| id.to_string())),
            ("listen", joined(node.listen.iter().map(|listen| listen.port))),
            ("serves", joined(node.serves.iter().map(|serve| format!("{}/{}", serve.port, serve.protocol.as_str())))),
            ("endpoints", joined(&node.endpoints)),
            ("exposed_to", joined(&node.exposed_to)),
            ("guards", joined(&node.guards)),
            ("auth", node.auth.map(|auth| auth_word(auth).to_owned())),
            ("at_rest", node.at_rest.map(|at_rest| at_rest_word(at_rest).to_owned())),
            ("reads", joined(&node.reads)),
            ("port", node.port.map(|port| port.to_string())),
            ("logs", node.logs.map(|logs| logs.to_string())),
            ("rotates", node.rotates.map(|rotates| rotates.to_string())),
            ("stakeholder", node.stakeholder.clone()),
        ]),
    }
}

/// How Ward itself encrypts a flow, which the model need not say and other tools must be told.
fn enforced(model: &Model, flow: &Flow) -> Option<(String, String)> {
    let (from, to) = (model.nodes.get(&flow.from)?, model.nodes.get(&flow.to)?);
    if to.role == Some(Role::Gateway) {
        let mut used =
            to.listen.iter().filter(|listen| flow.via.port.is_none_or(|port| port == listen.port)).peekable();
        let encrypted = used.peek().is_some() && used.all(|listen| listen.tls != ListenTls::None);
        return encrypted.then(|| ("tls".to_owned(), model.mesh.tls_min.clone()));
    }
    (from.under_ward() && to.under_ward()).then(|| ("mtls".to_owned(), "true".to_owned()))
}

fn dataflow(model: &Model, flow: &Flow, found: &Found<'_>) -> Dataflow {
    let assets: BTreeSet<&Name> = flow.carries.iter().chain(&flow.returns).collect();
    let allow = flow
        .via
        .allow
        .as_ref()
        .map(|entries| entries.iter().map(|entry| entry.text.as_str()).collect::<Vec<_>>().join(", "));
    let mut attributes = attributes([
        ("carries", joined(&flow.carries)),
        ("returns", joined(&flow.returns)),
        ("allow", allow),
        ("port", flow.via.port.map(|port| port.to_string())),
        ("audit", flow.via.audit.map(|audit| audit_word(audit).to_owned())),
        ("limit", flow.via.limit.clone()),
        ("schedule", flow.schedule.clone()),
    ]);
    attributes.extend(enforced(model, flow));
    attributes.extend(flow.via.words.iter().map(|(key, value)| (key.clone(), word_text(value))));
    Dataflow {
        id: flow.id.to_string(),
        name: format!("{}: {} to {}", flow.id, flow.from, flow.to),
        bidirectional: !flow.returns.is_empty(),
        source: flow.from.to_string(),
        destination: flow.to.to_string(),
        assets: assets.into_iter().map(ToString::to_string).collect(),
        threats: found.of(flow.id.as_str()),
        tags: flow.standby.then(|| "standby".to_owned()).into_iter().collect(),
        attributes,
    }
}

/// Where the data and zones of a model are.
struct Places<'a> {
    /// Nodes that keep a datum.
    keep: HashMap<&'a str, Vec<&'a str>>,
    /// Flows that a datum moves on.
    move_on: HashMap<&'a str, Vec<&'a str>>,
    /// Nodes in a zone.
    lie_in: HashMap<&'a str, Vec<&'a str>>,
}

impl<'a> Places<'a> {
    fn new(model: &'a Model) -> Self {
        let mut all = Self { keep: HashMap::new(), move_on: HashMap::new(), lie_in: HashMap::new() };
        for (name, node) in &model.nodes {
            all.lie_in.entry(node.zone.as_str()).or_default().push(name.as_str());
            for held in node.holds.iter().collect::<BTreeSet<_>>() {
                all.keep.entry(held.as_str()).or_default().push(name.as_str());
            }
        }
        for flow in &model.flows {
            let moved: BTreeSet<&Name> = flow.carries.iter().chain(&flow.returns).collect();
            for datum in moved {
                all.move_on.entry(datum.as_str()).or_default().push(flow.id.as_str());
            }
        }
        all
    }
}

/// Weaknesses by what they are found at.
struct Found<'a>(BTreeMap<&'a str, Vec<&'a Weakness>>);

impl<'a> Found<'a> {
    fn new(model: &'a Model, weaknesses: &'a [Weakness]) -> Self {
        let mut found: BTreeMap<&str, Vec<&Weakness>> = BTreeMap::new();
        let places_of = Places::new(model);
        for weakness in weaknesses {
            let subject = weakness.id.split_once('@').map_or("", |(_, subject)| subject);
            // What is weak about data is weak where it is kept, or else where it moves; of a zone, at who is there.
            let mut places: Vec<&str> = Vec::new();
            if model.data.contains_key(subject) {
                places.extend(
                    places_of.keep.get(subject).or_else(|| places_of.move_on.get(subject)).into_iter().flatten(),
                );
            } else if model.zones.contains_key(subject) {
                places.extend(places_of.lie_in.get(subject).into_iter().flatten());
            } else {
                places.push(subject);
            }
            for place in places {
                found.entry(place).or_default().push(weakness);
            }
        }
        Self(found)
    }

    fn of(&self, place: &str) -> Vec<Instance> {
        let all = self.0.get(place).into_iter().flatten();
        all.map(|weakness| Instance {
            threat: weakness.id.clone(),
            state: if weakness.accepted.is_some() { "accepted" } else { "exposed" }.to_owned(),
            mitigations: vec![MitigationInstance {
                mitigation: mend_id(weakness),
                state: if weakness.accepted.is_some() { "rejected" } else { "required" }.to_owned(),
            }],
        })
        .collect()
    }
}

fn mend_id(weakness: &Weakness) -> String {
    format!("mend:{}", weakness.id)
}

fn threat(weakness: &Weakness) -> Threat {
    let (rule, subject) = weakness.id.split_once('@').unwrap_or((&weakness.id, ""));
    let description = match &weakness.accepted {
        Some(accepted) => format!("{} Accepted: {accepted}", weakness.why),
        None => weakness.why.clone(),
    };
    let comment = "the severity of `ward posture`, which weighs both in one";
    Threat {
        id: weakness.id.clone(),
        name: format!("{} at {subject}", rule.replace('-', " ")),
        description,
        risk: ThreatRisk {
            likelihood: weakness.risk,
            likelihood_comment: comment.to_owned(),
            impact: weakness.risk,
            impact_comment: comment.to_owned(),
        },
        tags: weakness.controls.clone(),
    }
}

fn mitigation(weakness: &Weakness) -> Mitigation {
    Mitigation {
        id: mend_id(weakness),
        name: format!("Mend {}", weakness.id),
        description: weakness.mend.clone(),
        risk_reduction: 100,
    }
}

fn trust_word(trust: Trust) -> &'static str {
    match trust {
        Trust::None => "none",
        Trust::Low => "low",
        Trust::High => "high",
    }
}

fn kind_word(kind: NodeKind) -> &'static str {
    match kind {
        NodeKind::Party => "party",
        NodeKind::Service => "service",
        NodeKind::Store => "store",
    }
}

fn auth_word(auth: Auth) -> &'static str {
    match auth {
        Auth::None => "none",
        Auth::Password => "password",
        Auth::Key => "key",
        Auth::Token => "token",
        Auth::Iam => "iam",
        Auth::Rbac => "rbac",
        Auth::Sigv4 => "sigv4",
        Auth::SessionToken => "session-token",
        Auth::Mtls => "mtls",
        Auth::Jwt => "jwt",
        Auth::Oidc => "oidc",
    }
}

fn at_rest_word(at_rest: AtRest) -> &'static str {
    match at_rest {
        AtRest::None => "none",
        AtRest::Encoding => "encoding",
        AtRest::Volume => "volume",
        AtRest::Kms => "kms",
    }
}

#[cfg(test)]
mod tests;
