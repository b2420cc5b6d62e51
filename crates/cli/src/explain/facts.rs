//! The request that is asked about: from arguments, from a line as `ward policy check` reads it, or from the record of a
//! decision; and what a model answers to it.
use std::{io::Read as _, path::Path};

use anyhow::{Context as _, bail};
use http::{HeaderMap, HeaderName, HeaderValue};
use model::Model;
use policy::{
    Protocol, Request, WhyNot,
    ask::{Question, arrival},
    gate::{Arrival, Gate, Verdict},
};
use serde::Deserialize;
use serde_json::Value;

/// Longest file of claims or request that is read.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A request, and the node that is asked for it.
pub(super) struct Asked {
    /// The called node.
    pub(super) node: String,
    /// The calling node, where it is known.
    pub(super) from: Option<String>,
    /// The request.
    pub(super) arrival: Arrival,
    /// Whether a proxy has seen it: its path is normal and its token was found good.
    recorded: bool,
}

/// What is kept of a decision; the fields of `GET /v1/decisions/{id}`.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Record {
    pub(super) node: String,
    pub(super) revision: u64,
    principal: String,
    method: String,
    path: String,
    host: String,
    port: u16,
    protocol: String,
    source_ip: String,
    headers: Vec<(String, String)>,
    sni: String,
    pub(super) allowed: bool,
    pub(super) reason: String,
    pub(super) status: u16,
    #[serde(default)]
    claims: String,
    #[serde(default)]
    pub(super) token_issuer: String,
    #[serde(default)]
    remote_ip: String,
    #[serde(default)]
    destination_ip: String,
}

impl Asked {
    /// From arguments.
    pub(super) fn by_hand(model: &Model, question: &Question) -> anyhow::Result<Self> {
        Ok(Self {
            node: question.to.to_owned(),
            from: Some(question.from.to_owned()),
            arrival: arrival(model, question)?,
            recorded: false,
        })
    }

    /// From a JSON line in a file, or on standard input for `-`.
    pub(super) fn from_line(model: &Model, node: &str, path: &Path) -> anyhow::Result<Self> {
        match model.nodes.get(node) {
            None => bail!("the model has no node `{node}`"),
            Some(found) if !found.under_ward() => {
                bail!("`{node}` is not under Ward (it has no `run`, `attest` or `role`): nothing is decided there")
            }
            Some(_) => {}
        }
        let text = read(path)?;
        let mut lines = text.lines().filter(|line| !line.trim().is_empty());
        let (Some(line), None) = (lines.next(), lines.next()) else {
            bail!("{} must hold one request on one line; `ward policy check` answers many", path.display());
        };
        let arrival = match serde_json::from_str::<Value>(line).context("the line is no JSON")? {
            Value::Object(fields) => crate::policy::arrival(fields).map_err(anyhow::Error::msg)?,
            _ => bail!("the line is no JSON object"),
        };
        let from = arrival.peer.as_deref().and_then(|peer| caller(model, peer));
        Ok(Self { node: node.to_owned(), from, arrival, recorded: false })
    }

    /// From the record of a decision.
    pub(super) fn recorded(model: &Model, record: &Record) -> anyhow::Result<Self> {
        let some = |text: &str| Some(text).filter(|text| !text.is_empty()).map(str::to_owned);
        let jwt = match record.claims.as_str() {
            "" => None,
            json => Some(serde_json::from_str(json).context("cannot read the claims in the record")?),
        };
        let arrival = Arrival {
            peer: some(&record.principal),
            method: record.method.clone(),
            target: record.path.clone(),
            host: record.host.clone(),
            headers: record.headers.clone(),
            jwt,
            sni: some(&record.sni),
            source_ip: record.source_ip.parse().ok(),
            remote_ip: record.remote_ip.parse().ok(),
            destination_ip: record.destination_ip.parse().ok(),
            port: Some(record.port),
            protocol: if record.protocol == "tcp" { Protocol::Tcp } else { Protocol::Http },
        };
        let from = arrival.peer.as_deref().and_then(|peer| caller(model, peer));
        Ok(Self { node: record.node.clone(), from, arrival, recorded: true })
    }

    /// What stands in its way by this model, or why it never gets as far as a policy.
    ///
    /// # Errors
    /// The node's policies are refused.
    pub(super) fn answer(&self, model: &Model) -> anyhow::Result<Result<WhyNot, Verdict>> {
        let refused = |errors: Vec<policy::CompileError>| {
            let first = errors.first().map(ToString::to_string).unwrap_or_default();
            anyhow::anyhow!("the policies of `{}` are refused: {first}", self.node)
        };
        if !self.recorded {
            let gate = Gate::of_node(super::semantics(model), model, &self.node).map_err(refused)?;
            return Ok(gate.why_not(&self.arrival));
        }
        let rules = policy::rule_set_for(model, &self.node).map_err(refused)?;
        let arrival = &self.arrival;
        let mut headers = HeaderMap::new();
        for (name, value) in &arrival.headers {
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name.as_str()), HeaderValue::try_from(value.as_str()))
            {
                headers.append(name, value);
            }
        }
        Ok(Ok(rules.why_not(&Request {
            principal: arrival.peer.as_deref(),
            method: &arrival.method,
            path: &arrival.target,
            host: &arrival.host,
            source_ip: arrival.source_ip,
            remote_ip: arrival.remote_ip,
            destination_ip: arrival.destination_ip,
            port: arrival.port.unwrap_or_default(),
            protocol: arrival.protocol,
            sni: arrival.sni.as_deref(),
            jwt: arrival.jwt.as_ref(),
            ..Request::new(&headers)
        })))
    }
}

/// The node that has this identity.
fn caller(model: &Model, peer: &str) -> Option<String> {
    let mut names = model.nodes.keys().map(model::Name::as_str);
    names.find(|name| policy::identity_of(model, name).is_some_and(|id| id.as_str() == peer)).map(str::to_owned)
}

/// Claims as they are written on the command line: JSON, or `@` and the name of a file of it.
pub(super) fn claims(text: &str) -> anyhow::Result<Value> {
    let json = match text.strip_prefix('@') {
        Some(path) => read(Path::new(path))?,
        None => text.to_owned(),
    };
    let claims: Value = serde_json::from_str(&json).context("the claims are no JSON")?;
    if claims.is_object() { Ok(claims) } else { bail!("the claims must be an object: {{\"iss\": …, \"sub\": …}}") }
}

fn read(path: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    let read = match path == Path::new("-") {
        true => std::io::stdin().lock().take(FILE_BYTES_MAX + 1).read_to_string(&mut text),
        false => std::fs::File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)),
    };
    read.with_context(|| format!("cannot read {}", path.display()))?;
    if text.len() as u64 > FILE_BYTES_MAX {
        bail!("{} is larger than {FILE_BYTES_MAX} bytes", path.display());
    }
    Ok(text)
}
