//! From text to a `Model`, or to everything that is wrong with it.
//!
//! Three steps, none of which stops at the first mistake: `yaml` builds a tree with places, `nouns` and `flows` read the
//! fields and references out of it, `meaning` asks what the whole says (DESIGN §2). Reading is pure: no file, no clock.
use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use crate::{
    Diagnostic, Emergency, Model, Name, Severity, SourceFile, TrustDomain,
    istio::{AuthorizationPolicy, PeerAuthentication, RequestAuthentication},
};

mod authentication;
mod flows;
mod meaning;
mod nouns;
mod problems;
mod read;
mod resources;
pub mod text;
mod tokens;
pub(crate) mod yaml;

pub use flows::{ALLOW_ENTRIES_MAX, APPROVERS_MAX};
pub use meaning::ROUTES_MAX;
pub use nouns::{CHAIN_MAX, PORTS_MAX, REPLICAS_MAX, SIDECAR_PORTS, SVID_TTL_MAX, SVID_TTL_MIN};
pub use read::{TEXT_BYTES_MAX, parse_duration};
pub use resources::POLICIES_MAX;
pub use tokens::{CLAIMS_MAX, ISSUERS_MAX, KEY_SET_BYTES_MAX};
pub use yaml::{YAML_DEPTH_MAX, YAML_NODES_MAX};

use problems::{At, Problems};
use read::Item;
use resources::Beside;
use yaml::{Parsed, Yaml};

/// Largest file of a model, in bytes.
pub const FILE_BYTES_MAX: usize = 16 << 20;
/// Most files of a model.
pub const FILES_MAX: usize = 1_000;
/// Largest file of resources that stand alone, in bytes: ten thousand policies in one.
pub const DOCUMENT_BYTES_MAX: usize = 16 << 20;
/// Most files of resources that stand alone.
pub const DOCUMENT_FILES_MAX: usize = 10_000;
/// Most zones, data, nodes, flows, waivers, emergencies, invariants or tests, each.
pub const NOUNS_MAX: usize = 100_000;
/// Most diagnostics listed.
pub const DIAGNOSTICS_MAX: usize = 500;

/// What `load` found.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The model; present exactly when no diagnostic is an error.
    pub model: Option<Model>,
    /// Errors and warnings, by file and place.
    pub diagnostics: Vec<Diagnostic>,
}

impl Loaded {
    /// How many diagnostics are errors.
    pub fn errors(&self) -> usize {
        self.diagnostics.iter().filter(|d| d.severity == Severity::Error).count()
    }

    /// How many diagnostics are warnings.
    pub fn warnings(&self) -> usize {
        self.diagnostics.len() - self.errors()
    }
}

/// The names declared in the model, valid or not, so that references can be checked in one pass.
struct Names<'y> {
    zones: BTreeSet<&'y str>,
    data: BTreeSet<&'y str>,
    nodes: BTreeSet<&'y str>,
    flows: BTreeSet<&'y str>,
}

/// Reads the files of a model directory. The nouns are in `ward.yaml`; the other files, and further documents of
/// `ward.yaml`, are standard resources. Everything wrong is reported at once.
pub fn load(files: &[SourceFile]) -> Loaded {
    load_known(files, |_| None)
}

/// The same where some of the files were parsed before.
fn load_known<'y>(files: &[SourceFile], known: impl Fn(usize) -> Option<&'y Parsed>) -> Loaded {
    let mut p = Problems::new(files);
    let parsed = parse_all(&mut p, files, known, FILES_MAX, FILE_BYTES_MAX);
    let mut root: Option<Item<'_>> = None;
    let mut resources = Vec::new();
    for (file, (source, documents)) in files.iter().zip(&parsed).enumerate() {
        for yaml in documents.iter() {
            let item = Item { yaml, key: None, path: String::new(), file };
            if yaml.is_null() && yaml.span.is_empty() {
                continue;
            }
            let is_model = source.name == "ward.yaml" && item.get("kind").is_none() && item.get("apiVersion").is_none();
            match (is_model, &root) {
                (true, None) => root = Some(item),
                (true, Some(_)) => second_model(&mut p, &item),
                (false, _) => resources.push(item),
            }
        }
    }
    let found = files.iter().any(|f| f.name == "ward.yaml");
    if root.is_none() && (!found || p.errors() == 0) {
        let help = match files.iter().map(|f| f.name.as_str()).find(|n| n.ends_with("ward.yaml") || *n == "ward.yml") {
            Some("ward.yaml") => "write the model into it, or begin with `ward init`".to_owned(),
            Some(other) => format!("`{other}` is there: name that directory, or rename the file"),
            None => "write one, or begin with `ward init`".to_owned(),
        };
        return Loaded { model: None, diagnostics: vec![no_model(help, found)] };
    }
    let model = root.and_then(|root| read_model(&mut p, &root));
    let found = resources::read(&mut p, &resources, Beside::Model(model.as_ref()));
    let model = model.filter(|_| p.errors() == 0).map(|model| Model {
        policies: found.policies,
        authentications: found.tokens,
        ..model
    });
    Loaded { model, diagnostics: p.finish() }
}

/// The standard resources of a directory without a model, and what is wrong with them.
#[derive(Clone, Debug, Default)]
pub struct Documents {
    /// AuthorizationPolicies, in the order read.
    pub policies: Vec<AuthorizationPolicy>,
    /// PeerAuthentications.
    pub peers: Vec<PeerAuthentication>,
    /// RequestAuthentications.
    pub tokens: Vec<RequestAuthentication>,
    /// Errors and warnings, by file and place. With an error the documents are only fit for further checks.
    pub diagnostics: Vec<Diagnostic>,
}

/// Reads standard resources that stand alone, where Istio's meaning holds and no flow limits them.
pub fn load_documents(files: &[SourceFile]) -> Documents {
    let mut p = Problems::new(files);
    let parsed = parse_all(&mut p, files, |_| None, DOCUMENT_FILES_MAX, DOCUMENT_BYTES_MAX);
    let mut items = Vec::new();
    for (file, (source, documents)) in files.iter().zip(&parsed).enumerate() {
        for yaml in documents.iter().filter(|yaml| !(yaml.is_null() && yaml.span.is_empty())) {
            let item = Item { yaml, key: None, path: String::new(), file };
            // Not everything that is JSON is a resource.
            if source.name.ends_with(".json") && item.get("apiVersion").is_none() && item.get("kind").is_none() {
                let help = "a resource has `apiVersion` and `kind`".to_owned();
                p.warn("not-enforced", &item.at(), "this is no resource, and left out".to_owned(), help);
                continue;
            }
            items.push(item);
        }
    }
    let found = resources::read(&mut p, &items, Beside::Nothing);
    Documents { diagnostics: p.finish(), ..found }
}

/// A diagnostic about a policy beside the model, for who compiles policies: `policy` is `<namespace>/<name>`, `field`
/// where in it (`spec.rules[0].from[1]`), both found again in the files. A policy that stands nowhere in them was compiled
/// from a flow; it is placed at the start of ward.yaml.
pub fn policy_diagnostic(
    files: &[SourceFile],
    severity: Severity,
    (policy, field): (&str, &str),
    message: String,
    help: Option<String>,
) -> Diagnostic {
    let parsed: Vec<Vec<Yaml>> = files.iter().map(|f| yaml::parse(&f.text).documents).collect();
    let items: Vec<Item<'_>> = parsed
        .iter()
        .enumerate()
        .flat_map(|(file, documents)| {
            documents.iter().map(move |yaml| Item { yaml, key: None, path: String::new(), file })
        })
        .collect();
    let nowhere = || {
        let file = files.iter().position(|f| f.name == "ward.yaml").unwrap_or_default();
        At { file, span: 0..0, path: String::new() }
    };
    let mut at = resources::place(&items, policy, field).map_or_else(nowhere, |item| item.at());
    at.path = format!("{policy}: {field}");
    let mut p = Problems::new(files);
    match severity {
        Severity::Error => p.error("bad-policy", &at, message, help),
        Severity::Warning => p.warn("bad-policy", &at, message, help),
    }
    p.finish().pop().unwrap_or_else(|| no_model(policy.to_owned(), true))
}

fn no_model(help: String, found: bool) -> Diagnostic {
    let message = if found { "ward.yaml holds no model" } else { "there is no ward.yaml" };
    Diagnostic {
        severity: Severity::Error,
        code: "no-model".to_owned(),
        file: "ward.yaml".to_owned(),
        start: 0,
        end: 0,
        line: 1,
        column: 1,
        path: String::new(),
        message: message.to_owned(),
        help: Some(help),
    }
}

fn parse_all<'y>(
    p: &mut Problems<'_>,
    files: &[SourceFile],
    known: impl Fn(usize) -> Option<&'y Parsed>,
    files_max: usize,
    bytes_max: usize,
) -> Vec<Cow<'y, [Yaml]>> {
    let mut parsed = Vec::with_capacity(files.len());
    for (file, source) in files.iter().enumerate() {
        let at = At { file, span: 0..0, path: String::new() };
        if file >= files_max {
            if file == files_max {
                p.error("too-large", &at, format!("more than {files_max} files"), None);
            }
            parsed.push(Cow::default());
            continue;
        }
        if source.text.len() > bytes_max {
            let message = format!("the file is larger than {bytes_max} bytes");
            p.error("too-large", &at, message, "split it".to_owned());
            parsed.push(Cow::default());
            continue;
        }
        let (documents, faults) = match known(file) {
            Some(Parsed { documents, faults }) => (Cow::from(documents.as_slice()), faults.clone()),
            None => {
                let Parsed { documents, faults } = yaml::parse(&source.text);
                (Cow::from(documents), faults)
            }
        };
        for fault in faults {
            let at = At { file, span: fault.span, path: String::new() };
            p.error(fault.code, &at, fault.message, fault.help);
        }
        parsed.push(documents);
    }
    parsed
}

fn second_model(p: &mut Problems<'_>, item: &Item<'_>) {
    let help = "keep one model in ward.yaml; a resource has `apiVersion` and `kind`".to_owned();
    p.error("second-model", &item.at(), "ward.yaml holds a second model".to_owned(), help);
}

const SECTIONS: [&str; 12] = [
    "ward",
    "model",
    "trust_domain",
    "mesh",
    "zones",
    "data",
    "nodes",
    "flows",
    "waivers",
    "emergencies",
    "invariants",
    "tests",
];

/// Reads the nouns; None when there is not even a mapping. With errors the result is only fit for further checks.
fn read_model(p: &mut Problems<'_>, root: &Item<'_>) -> Option<Model> {
    let fields = p.fields(root, "the model", &SECTIONS)?;
    version(p, fields.get("ward"), root);
    let name = fields.require(p, "the model", "model", "shop").and_then(|i| p.name(&i, "a model"));
    let trust_domain = match (fields.get("trust_domain"), &name) {
        (Some(item), _) => nouns::trust_domain(p, &item),
        (None, Some(name)) => TrustDomain::try_from(format!("{name}.ward.internal")).ok(),
        (None, None) => None,
    };
    for section in SECTIONS.iter().skip(4) {
        limit_nouns(p, fields.get(section));
    }
    let names = Names {
        zones: keys(fields.get("zones")),
        data: keys(fields.get("data")),
        nodes: keys(fields.get("nodes")),
        flows: ids(fields.get("flows")),
    };
    duplicate_names(p, root);
    let mesh = nouns::mesh(p, fields.get("mesh"), trust_domain.as_ref());
    let zones = nouns::zones(p, fields.get("zones"), &names);
    let data = nouns::data(p, fields.get("data"), &names);
    let nodes = nouns::nodes(p, fields.get("nodes"), &names);
    let flows = flows::flows(p, fields.get("flows"), &names);
    let waivers = flows::waivers(p, fields.get("waivers"), &names, root);
    let emergencies: BTreeMap<Name, Emergency> = flows::emergencies(p, fields.get("emergencies"), &names);
    let invariants = flows::invariants(p, fields.get("invariants"), &names);
    let tests = flows::tests(p, fields.get("tests"), &names);
    let (flows, items): (Vec<_>, Vec<_>) = flows.into_iter().unzip();
    let model = Model {
        name: name.unwrap_or_else(|| Name::known("unknown")),
        trust_domain: trust_domain.or_else(|| TrustDomain::try_from("unknown".to_owned()).ok())?,
        mesh,
        zones,
        data,
        nodes,
        flows,
        waivers,
        emergencies,
        invariants,
        tests,
        policies: Vec::new(),
        authentications: Vec::new(),
    };
    meaning::check(p, &model, &items, root);
    Some(model)
}

fn version(p: &mut Problems<'_>, item: Option<Item<'_>>, root: &Item<'_>) {
    match item {
        None => {
            let at = At { span: root.at().span.start..root.at().span.start, ..root.at() };
            p.error(
                "missing-field",
                &at,
                "the model needs `ward`".to_owned(),
                "begin the file with `ward: 1`".to_owned(),
            );
        }
        Some(item) if item.scalar() == Some("1") => {}
        Some(item) => {
            let help = "this program reads version 1: write `ward: 1`".to_owned();
            p.error("unknown-version", &item.at(), "this version of the format is not known".to_owned(), help);
        }
    }
}

fn limit_nouns(p: &mut Problems<'_>, item: Option<Item<'_>>) {
    let Some(item) = item else { return };
    let count = item.entries().len().max(item.elements().len());
    if count > NOUNS_MAX {
        p.error("too-large", &item.at_key(), format!("more than {NOUNS_MAX} entries"), "split the model".to_owned());
    }
}

fn keys(item: Option<Item<'_>>) -> BTreeSet<&str> {
    item.map(|i| i.entries().into_iter().map(|(key, _)| key).collect()).unwrap_or_default()
}

fn ids(item: Option<Item<'_>>) -> BTreeSet<&str> {
    item.map(|i| i.elements().iter().filter_map(|e| e.get("id")?.scalar()).collect()).unwrap_or_default()
}

/// Findings and waivers speak of a subject by its bare name, so names are unique over all nouns.
fn duplicate_names(p: &mut Problems<'_>, root: &Item<'_>) {
    let mut seen: BTreeMap<&str, (&str, usize)> = BTreeMap::new();
    for (section, noun) in [
        ("zones", "a zone"),
        ("data", "data"),
        ("nodes", "a node"),
        ("flows", "a flow"),
        ("waivers", "a waiver"),
        ("emergencies", "an emergency"),
    ] {
        let Some(item) = root.get(section) else { continue };
        let keyed = item.entries().into_iter().map(|(key, i)| (key, i.at_key()));
        let listed = item.elements().into_iter().filter_map(|e| {
            let id = e.get("id")?;
            Some((id.scalar()?, id.at()))
        });
        for (name, at) in keyed.chain(listed) {
            match seen.get(name) {
                Some((first, offset)) => {
                    let (line, _) = p.line_and_column(at.file, *offset);
                    let message = format!("`{name}` already names {first}, on line {line}");
                    p.error("duplicate-name", &at, message, "every noun of a model has its own name".to_owned());
                }
                None => {
                    seen.insert(name, (noun, at.span.start));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
