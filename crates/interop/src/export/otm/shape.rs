//! The shape of an Open Threat Model, as far as an export fills it (otm_schema.json, 0.2.0).
use std::collections::BTreeMap;

use serde::Serialize;

/// Attributes, by Ward's words.
pub(super) type Attributes = BTreeMap<String, String>;

/// An Open Threat Model.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Otm {
    pub(super) otm_version: String,
    pub(super) project: Project,
    pub(super) representations: Vec<Representation>,
    pub(super) assets: Vec<Asset>,
    pub(super) trust_zones: Vec<TrustZone>,
    pub(super) components: Vec<Component>,
    pub(super) dataflows: Vec<Dataflow>,
    pub(super) threats: Vec<Threat>,
    pub(super) mitigations: Vec<Mitigation>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Project {
    pub(super) name: String,
    pub(super) id: String,
    pub(super) attributes: Attributes,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Representation {
    pub(super) name: String,
    pub(super) id: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) size: Size,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Size {
    pub(super) width: i32,
    pub(super) height: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Position {
    pub(super) x: i32,
    pub(super) y: i32,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Element {
    pub(super) representation: String,
    pub(super) id: String,
    pub(super) position: Position,
    pub(super) size: Size,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Asset {
    pub(super) name: String,
    pub(super) id: String,
    pub(super) risk: AssetRisk,
    pub(super) attributes: Attributes,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct AssetRisk {
    pub(super) confidentiality: u8,
    pub(super) integrity: u8,
    pub(super) availability: u8,
    pub(super) comment: String,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct TrustZone {
    pub(super) id: String,
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) risk: TrustRisk,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) parent: Option<Parent>,
    pub(super) representations: Vec<Element>,
    pub(super) attributes: Attributes,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TrustRisk {
    pub(super) trust_rating: u8,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Parent {
    pub(super) trust_zone: String,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Component {
    pub(super) id: String,
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) parent: Parent,
    pub(super) representations: Vec<Element>,
    pub(super) assets: Held,
    pub(super) threats: Vec<Instance>,
    pub(super) tags: Vec<String>,
    pub(super) attributes: Attributes,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Held {
    pub(super) processed: Vec<String>,
    pub(super) stored: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Instance {
    pub(super) threat: String,
    pub(super) state: String,
    pub(super) mitigations: Vec<MitigationInstance>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct MitigationInstance {
    pub(super) mitigation: String,
    pub(super) state: String,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Dataflow {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) bidirectional: bool,
    pub(super) source: String,
    pub(super) destination: String,
    pub(super) assets: Vec<String>,
    pub(super) threats: Vec<Instance>,
    pub(super) tags: Vec<String>,
    pub(super) attributes: Attributes,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Threat {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) description: String,
    pub(super) risk: ThreatRisk,
    pub(super) tags: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ThreatRisk {
    pub(super) likelihood: u8,
    pub(super) likelihood_comment: String,
    pub(super) impact: u8,
    pub(super) impact_comment: String,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Mitigation {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) description: String,
    pub(super) risk_reduction: u8,
}
