//! Policies as a real Envoy enforces them: the filters that Istio's control plane would build for one workload, in the JSON
//! that Envoy reads (files, and xDS over REST). The differential tests hold Ward's engine against an Envoy configured by
//! this, and operators get it from `GET /v1/nodes/{node}/envoy`.
//!
//! The vocabulary is Envoy's v3 API, written as small typed trees instead of the generated protobufs of all of it: the part
//! in use is a few dozen fields, the generated crate a hundred thousand lines. Envoy refuses fields it does not know, so a
//! slip here is found by the first Envoy that reads it.
//!
//! Fails closed: what the policy engine refuses is refused here with the same words, and nothing is ever left out but what
//! Istio leaves out by its own rules for TCP.
use model::{Documents, istio::MtlsMode};
use policy::{CompileError, PeerRules, RuleSet, Semantics, Workload};
use serde::Serialize;
use serde_json::{Value, json};

mod authn;
mod connection;
mod matcher;
mod rbac;
mod rules;
#[cfg(test)]
mod tests;

pub use connection::{Chain, chains, connection_manager, runtime};

/// The filters of one workload, in the order in which they run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Filters {
    /// HTTP filters, to stand before the router.
    pub http: Vec<Value>,
    /// Network filters, to stand before the TCP proxy.
    pub tcp: Vec<Value>,
}

/// A filter by its name and the type of its configuration.
fn filter(name: &str, kind: &str, config: impl Serialize) -> Value {
    let mut config = json!(config);
    if let Some(fields) = config.as_object_mut() {
        fields.insert("@type".to_owned(), json!(format!("type.googleapis.com/{kind}")));
    }
    json!({ "name": name, "typed_config": config })
}

/// Translates the documents that select a workload. `keys` knows the key set behind a `jwksUri`; tokens whose keys are not
/// known are refused by Envoy, each of them.
///
/// # Errors
/// What the engine does not accept in Istio's reading, or cannot be said to Envoy.
pub fn filters(
    workload: &Workload,
    documents: &Documents,
    keys: &dyn Fn(&str) -> Option<String>,
) -> Result<Filters, Vec<CompileError>> {
    let mut errors = Vec::new();
    for policy in &documents.policies {
        errors.extend(RuleSet::examine(Semantics::Istio, workload, policy).0);
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let (custom, others) = rbac::encode(workload, &documents.policies)?;
    let tokens = authn::encode(workload, &documents.tokens, keys);
    let http = |rules: Vec<rbac::Rules>| rules.into_iter().map(rbac::Rules::http);
    Ok(Filters {
        http: http(custom.http).chain(tokens).chain(http(others.http)).collect(),
        tcp: custom.tcp.into_iter().chain(others.tcp).map(rbac::Rules::tcp).collect(),
    })
}

/// What a port asks of its peers, when nothing says anything: Istio's default.
pub fn mutual_tls(workload: &Workload, documents: &Documents, port: u16) -> MtlsMode {
    PeerRules::compile(workload, &documents.peers, MtlsMode::Permissive).mode(port)
}
