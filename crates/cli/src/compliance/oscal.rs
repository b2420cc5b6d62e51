//! A report as OSCAL 1.1.2 assessment results (<https://pages.nist.gov/OSCAL>): one result for each framework.
//!
//! There is no assessment plan but the rules: what `import-ap` names is a resource that says so. OSCAL knows satisfied and
//! not satisfied only, so a control that no rule tests has no finding; it is named among the properties of the result.
use std::collections::HashSet;

use posture::{Assessed as Control, Assessment, Failure, State};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use time::format_description::well_known::Rfc3339;

use super::{Report, words};
use crate::output::visible;

const NS: &str = "urn:ward:compliance";

/// The document.
pub(super) fn results(of: &Report) -> anyhow::Result<Value> {
    let ids = Ids::new(of)?;
    let at = of.at.format(&Rfc3339)?;
    let writer = Writer { of, ids: &ids, at: &at };
    let results: Vec<Value> = of.frameworks.iter().map(|f| writer.result(f)).collect();
    let title = format!("Compliance of {}", line(&of.model));
    let plan = "There is no assessment plan apart from the rules of `ward posture`: each control was tested by the rules \
that are named with it, on the model that is named here, and on nothing else.";
    let model = json!({
        "uuid": ids.of(&["model"]),
        "title": format!("The model `{}`", line(&of.model)),
        "description": "What was assessed, with the digest of each file.",
        "rlinks": of.files.iter().map(|f| json!({
            "href": href(of, &f.name),
            "hashes": [{ "algorithm": "SHA-256", "value": hex(&Sha256::digest(f.text.as_bytes())) }],
        })).collect::<Vec<_>>(),
    });
    Ok(json!({ "assessment-results": {
        "uuid": ids.of(&["document"]),
        "metadata": {
            "title": title,
            "last-modified": at,
            "version": of.date,
            "oscal-version": "1.1.2",
            "remarks": of.means,
        },
        "import-ap": { "href": format!("#{}", ids.of(&["plan"])) },
        "results": results,
        "back-matter": { "resources": [
            { "uuid": ids.of(&["plan"]), "title": "Rules of ward posture", "description": plan },
            model,
        ] },
    }}))
}

struct Writer<'a> {
    of: &'a Report,
    ids: &'a Ids,
    at: &'a str,
}

impl Writer<'_> {
    fn result(&self, of: &Assessment) -> Value {
        let id = |parts: &[&str]| self.ids.of(&[&[of.framework], parts].concat());
        let (ward, platform) = (id(&["ward"]), id(&["platform"]));
        let origins = json!([{ "actors": [{ "type": "tool", "actor-uuid": ward }] }]);
        let select = |states: &[State], description: &str| {
            let controls = of.controls.iter().filter(|c| states.contains(&c.state));
            let all: Vec<Value> = controls.map(|c| json!({ "control-id": token(&c.control) })).collect();
            (!all.is_empty()).then(|| json!({ "description": description, "include-controls": all }))
        };
        let selections: Vec<Value> = [
            select(
                &[State::Satisfied, State::NotSatisfied, State::Accepted],
                "Tested by at least one rule that had something to look at in the model.",
            ),
            select(
                &[State::NotApplicable],
                "Looked for: the rules that test these have nothing to look at in the model.",
            ),
        ]
        .into_iter()
        .flatten()
        .collect();
        let (mut observations, mut findings, mut risks) = (Vec::new(), Vec::new(), Vec::new());
        let mut seen: HashSet<String> = HashSet::new();
        for control in &of.controls {
            if matches!(control.state, State::Manual | State::NotApplicable) {
                continue;
            }
            let mut related = Vec::new();
            let tested = id(&["tested", &control.control]);
            observations.push(self.tested(control, &tested, &origins));
            related.push(json!({ "observation-uuid": tested }));
            let mut accepted = Vec::new();
            for failure in &control.findings {
                let observation = id(&["found", &failure.id]);
                related.push(json!({ "observation-uuid": observation }));
                // A finding that fails several controls is one observation.
                if seen.insert(observation.clone()) {
                    observations.push(self.found(failure, &observation, &origins));
                }
                if failure.waived.is_some() {
                    let risk = id(&["risk", &failure.id]);
                    accepted.push(json!({ "risk-uuid": risk }));
                    if seen.insert(risk.clone()) {
                        risks.push(risk_of(failure, &risk, &observation));
                    }
                }
            }
            let mut finding = json!({
                "uuid": id(&["finding", &control.control]),
                "title": format!("{}: {}", control.cite, control.title),
                "description": format!("{} {}", control.asks, verdict(control)),
                "props": [prop("state", control.state.as_str())],
                "origins": origins,
                "target": {
                    "type": "objective-id",
                    "target-id": format!("{}_obj", token(&control.control)),
                    "status": {
                        "state": if control.state == State::Satisfied { "satisfied" } else { "not-satisfied" },
                        "reason": if control.state == State::Satisfied { "pass" } else { "fail" },
                        "remarks": verdict(control),
                    },
                },
                "related-observations": related,
                "remarks": format!("A person shows besides: {}.", control.show),
            });
            if let (Some(fields), false) = (finding.as_object_mut(), accepted.is_empty()) {
                fields.insert("related-risks".to_owned(), accepted.into());
            }
            findings.push(finding);
        }
        let mut result = json!({
            "uuid": id(&["result"]),
            "title": format!("{}, {}", of.name, of.version),
            "description": self.of.means,
            "start": self.at,
            "end": self.at,
            "props": self.props(of),
            "links": [
                { "href": of.source, "rel": "reference" },
                { "href": format!("#{}", self.ids.of(&["model"])), "rel": "subject" },
            ],
            "local-definitions": { "assessment-assets": {
                "components": [{
                    "uuid": ward,
                    "type": "software",
                    "title": "ward",
                    "description": "Grades a model of zones, data, nodes and flows by rules.",
                    "props": [{ "name": "version", "value": env!("CARGO_PKG_VERSION") }],
                    "status": { "state": "operational" },
                }],
                "assessment-platforms": [{
                    "uuid": platform,
                    "title": "ward compliance",
                    "uses-components": [{ "component-uuid": ward }],
                }],
            }},
            "reviewed-controls": { "control-selections": selections },
            "remarks": remarks(of),
        });
        if let Some(fields) = result.as_object_mut() {
            insert_some(fields, "observations", observations);
            insert_some(fields, "risks", risks);
            insert_some(fields, "findings", findings);
        }
        result
    }

    /// Counts, and by name every control that was not assessed, with its reason.
    fn props(&self, of: &Assessment) -> Vec<Value> {
        let counts = State::ALL.iter().map(|s| prop(&format!("count-{}", s.as_str()), &of.counts.of(*s).to_string()));
        let rest = of.controls.iter().filter_map(|c| {
            let why = match (&c.applies_with, c.state) {
                (Some(applies), _) => format!("{}: would apply with {applies}.", c.title),
                (None, State::Manual) => format!("{}: {} A person shows: {}.", c.title, c.asks, c.show),
                _ => return None,
            };
            let mut one = prop(c.state.as_str(), &token(&c.control));
            if let Some(fields) = one.as_object_mut() {
                fields.insert("remarks".to_owned(), line(&why).into());
            }
            Some(one)
        });
        counts.chain(rest).collect()
    }

    /// What the rules of a control looked at.
    fn tested(&self, of: &Control, uuid: &str, origins: &Value) -> Value {
        let tests: Vec<String> = words::at_work(of).map(words::test).collect();
        let files = self.of.files.iter();
        json!({
            "uuid": uuid,
            "title": format!("{}: what was tested", of.cite),
            "description": format!("Found by each rule, and at how many things it looked: {}.", line(&tests.join("; "))),
            "props": words::at_work(of).map(|t| prop("rule", t.rule)).collect::<Vec<_>>(),
            "methods": ["TEST"],
            "types": ["control-objective"],
            "origins": origins,
            "relevant-evidence": files.map(|f| json!({
                "href": href(self.of, &f.name),
                "description": "The model that the rules looked at.",
            })).collect::<Vec<_>>(),
            "collected": self.at,
        })
    }

    fn found(&self, of: &Failure, uuid: &str, origins: &Value) -> Value {
        let mut props = vec![prop("finding-id", &of.id), prop("severity", of.severity.as_str())];
        props.extend(of.follows.as_deref().map(|root| prop("follows-from", root)));
        let mut one = json!({
            "uuid": uuid,
            "title": line(&of.id),
            "description": line(&of.why),
            "props": props,
            "methods": ["TEST"],
            "types": ["finding"],
            "origins": origins,
            "collected": self.at,
            "remarks": match &of.waived {
                Some(waived) => line(&format!(
                    "{}, accepted by {} ({}) until {}: {}",
                    waived.severity, waived.id, waived.owner, waived.until, waived.why
                )),
                None => line(&format!("Mend: {}.", of.mend)),
            },
        });
        let evidence = of.evidence.iter().map(|e| {
            json!({
                "href": format!("{}#L{}", href(self.of, &e.file), e.line),
                "description": line(&format!("{} at {}:{}", e.path, e.file, e.line)),
            })
        });
        if let Some(fields) = one.as_object_mut() {
            insert_some(fields, "relevant-evidence", evidence.collect());
        }
        one
    }
}

/// A finding that somebody answers for.
fn risk_of(of: &Failure, uuid: &str, observation: &str) -> Value {
    let waived = of.waived.as_ref();
    let words =
        waived.map_or(String::new(), |w| format!("Accepted by {} ({}) until {}: {}", w.id, w.owner, w.until, w.why));
    json!({
        "uuid": uuid,
        "title": line(&format!("Accepted: {}", of.id)),
        "description": line(&of.why),
        "statement": line(&words),
        "status": "deviation-approved",
        "related-observations": [{ "observation-uuid": observation }],
    })
}

fn verdict(of: &Control) -> String {
    let open = of.findings.iter().filter(|f| f.waived.is_none()).count();
    match of.state {
        State::NotSatisfied => format!("In the model: {open} findings."),
        State::Accepted => format!("In the model: {} findings, all accepted by waivers.", of.findings.len()),
        _ => "In the model: nothing found.".to_owned(),
    }
}

fn remarks(of: &Assessment) -> String {
    let covers = words::covers(of).map(|c| format!(" {}", line(&c))).unwrap_or_default();
    format!("{}{covers}", of.note)
}

fn insert_some(fields: &mut Map<String, Value>, name: &str, values: Vec<Value>) {
    if !values.is_empty() {
        fields.insert(name.to_owned(), values.into());
    }
}

/// A property of ours: one line, never empty.
fn prop(name: &str, value: &str) -> Value {
    let value = line(value);
    json!({ "name": name, "ns": NS, "value": if value.is_empty() { "-" } else { &value } })
}

/// One line without what is not text.
fn line(text: &str) -> String {
    visible(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// An OSCAL token: `gdpr:32` is `gdpr_32`.
fn token(control: &str) -> String {
    control.replace(':', "_").replace(' ', "-")
}

fn href(of: &Report, file: &str) -> String {
    crate::posture::uri(&std::path::Path::new(&of.directory).join(file))
}

/// Identifiers by content: the same report has the same ones.
struct Ids(Vec<u8>);

impl Ids {
    fn new(of: &Report) -> anyhow::Result<Self> {
        let mut digest = Sha256::new();
        for file in &of.files {
            for part in [file.name.as_bytes(), file.text.as_bytes()] {
                digest.update((part.len() as u64).to_be_bytes());
                digest.update(part);
            }
        }
        digest.update(serde_json::to_vec(of)?);
        digest.update(of.at.unix_timestamp().to_be_bytes());
        Ok(Self(digest.finalize().to_vec()))
    }

    /// In the form of version 4 (RFC 9562 §5.4), as OSCAL asks; the bits are those of a digest.
    fn of(&self, parts: &[&str]) -> String {
        let mut digest = Sha256::new();
        digest.update(&self.0);
        for part in parts {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part.as_bytes());
        }
        let mut hex = hex(&digest.finalize());
        hex.truncate(32);
        hex.replace_range(12..13, "4");
        let variant = match hex.as_bytes().get(16) {
            Some(b'0' | b'4' | b'8' | b'c') => "8",
            Some(b'1' | b'5' | b'9' | b'd') => "9",
            Some(b'2' | b'6' | b'a' | b'e') => "a",
            _ => "b",
        };
        hex.replace_range(16..17, variant);
        for at in [20, 16, 12, 8] {
            hex.insert(at, '-');
        }
        hex
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
