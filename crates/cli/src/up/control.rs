//! What `ward up` asks of the control plane, over the operator's socket.
use std::{collections::BTreeSet, path::Path, sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use model::{Diagnostic, SourceFile};
use serde_json::{Value, json};

use super::event::FlowRow;
use crate::{
    api_client::ApiClient,
    diagnostics,
    verify::{self, Results},
};

/// The operator's API; cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Api {
    socket: Arc<Path>,
}

impl Api {
    pub(super) fn new(socket: &Path) -> Self {
        Self { socket: socket.into() }
    }

    fn client(&self) -> anyhow::Result<ApiClient> {
        ApiClient::connect(&self.socket)
    }

    /// Succeeds once the control plane answers.
    pub(super) async fn health(&self) -> anyhow::Result<()> {
        self.client()?.get("/v1/health").await.map(drop)
    }

    /// Puts a model in force and returns its revision.
    pub(super) async fn put_model(&self, files: &[SourceFile]) -> anyhow::Result<u64> {
        let answer = self.client()?.request("PUT", "/v1/model", Some(&json!({ "files": files }))).await?;
        match answer.status {
            200 => answer.body.get("revision").and_then(Value::as_u64).context("the answer has no revision"),
            422 => {
                let found = answer.body.get("diagnostics").cloned().unwrap_or_default();
                let found: Vec<Diagnostic> = serde_json::from_value(found).unwrap_or_default();
                bail!("{}", diagnostics::render(files, &found))
            }
            status => bail!("the control plane refuses the model ({status}): {}", answer.problem()),
        }
    }

    /// A join token for one use.
    pub(super) async fn token(&self, node: &str, ttl: Duration) -> anyhow::Result<String> {
        let asked = json!({ "node": node, "uses": 1, "ttl_s": ttl.as_secs() });
        let answer = self.client()?.post("/v1/tokens", &asked).await?;
        answer.get("token").and_then(Value::as_str).map(str::to_owned).context("the answer has no token")
    }

    /// The roots of the trust domain, PEM.
    pub(super) async fn bundle(&self) -> anyhow::Result<String> {
        self.client()?.get_text("/v1/bundle").await
    }

    /// Counts of all flows since the start.
    pub(super) async fn flows(&self) -> anyhow::Result<Vec<FlowRow>> {
        let answer = self.client()?.get("/v1/flows").await?;
        Ok(flow_rows(&answer))
    }

    /// The issuers of tokens whose keys are not known, and why.
    pub(super) async fn issuers_without_keys(&self) -> anyhow::Result<Vec<(String, String)>> {
        let answer = self.client()?.get("/v1/issuers").await?;
        let text = |issuer: &Value, key: &str| issuer.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let issuers = answer.get("issuers").and_then(Value::as_array).into_iter().flatten();
        let mut without: Vec<_> = issuers
            .filter(|issuer| text(issuer, "state") == "none")
            .map(|issuer| (text(issuer, "issuer"), text(issuer, "error")))
            .collect();
        // One issuer may be asked about at several nodes.
        without.sort();
        without.dedup();
        Ok(without)
    }

    /// The instances whose proxies report, and so can be asked to try something.
    pub(super) async fn connected(&self) -> anyhow::Result<BTreeSet<String>> {
        let answer = self.client()?.get("/v1/nodes").await?;
        let list = |of: &Value, key: &str| of.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
        let instances = list(&answer, "nodes").into_iter().flat_map(|node| list(&node, "instances"));
        let connected = instances.filter(|one| one.get("connected").and_then(Value::as_bool) == Some(true));
        Ok(connected.filter_map(|one| Some(one.get("instance")?.as_str()?.to_owned())).collect())
    }

    /// Runs a verify to its end.
    pub(super) async fn verify(&self) -> anyhow::Result<Results> {
        verify::run_once(&self.client()?).await
    }
}

/// Reads the answer of `GET /v1/flows`; what somebody tried without a flow comes first.
pub(super) fn flow_rows(answer: &Value) -> Vec<FlowRow> {
    let text = |flow: &Value, key: &str| flow.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let count = |flow: &Value, key: &str| flow.get(key).and_then(Value::as_u64).unwrap_or_default();
    let list = |key: &str| answer.get(key).and_then(Value::as_array).into_iter().flatten();
    list("undeclared")
        .chain(list("flows"))
        .map(|flow| FlowRow {
            flow: text(flow, "flow"),
            state: text(flow, "state"),
            from: text(flow, "from"),
            to: text(flow, "to"),
            requests: count(flow, "allowed"),
            denied: count(flow, "denied"),
            errors: count(flow, "errors"),
            rate: flow.get("rate").and_then(Value::as_f64).unwrap_or_default(),
        })
        .collect()
}
