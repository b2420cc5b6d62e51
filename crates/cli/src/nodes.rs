//! `ward nodes`: every node, who it is, how far Ward covers it, and whether its configuration is in force.
use std::process::ExitCode;

use anyhow::Context as _;
use serde::Deserialize;

use crate::{
    columns::columns,
    online::{Control, ago, now_ms, until},
    output::{self, FINDINGS, Output},
};

/// Show the nodes, their identities and whether their configuration is in force
#[derive(clap::Args)]
#[command(after_help = "Example:\n  ward nodes -o json\n\n\
Exit codes: 0 nothing is refused, 1 a proxy refused its configuration, 2 no answer from the control plane")]
pub(crate) struct Args {
    #[command(flatten)]
    control: Control,
    #[command(flatten)]
    output: Output,
}

#[derive(Deserialize)]
struct Listing {
    revision: u64,
    nodes: Vec<Node>,
    #[serde(default)]
    issuers: Vec<Issuer>,
}

/// An issuer of tokens, and the keys they are checked with.
#[derive(Deserialize)]
struct Issuer {
    issuer: String,
    jwks_uri: Option<String>,
    nodes: Vec<String>,
    keys: Option<Vec<String>>,
    fetched_ms: Option<i64>,
    error: Option<String>,
}

#[derive(Deserialize)]
struct Node {
    name: String,
    kind: String,
    zone: String,
    role: Option<String>,
    identity: Option<String>,
    coverage: String,
    state: String,
    refusal: Option<String>,
    words: Vec<Word>,
    instances: Vec<Instance>,
}

/// What a node promises, and whether somebody keeps it.
#[derive(Deserialize)]
struct Word {
    word: String,
    owner: String,
    state: String,
    today: String,
}

#[derive(Deserialize)]
struct Instance {
    instance: String,
    connected: bool,
    mesh_address: String,
    isolation: String,
    acked_revision: u64,
    nack: String,
    svid_not_after: i64,
}

/// Runs it.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let answer = args.control.talk(|client| async move {
        let mut nodes = client.get("/v1/nodes").await?;
        let mut issuers = client.get("/v1/issuers").await?;
        if let Some(all) = nodes.as_object_mut() {
            all.insert("issuers".to_owned(), issuers["issuers"].take());
        }
        Ok(nodes)
    })?;
    let listing = Listing::deserialize(&answer).context("cannot read the nodes")?;
    let refused = listing.nodes.iter().any(|n| n.state == "refused");
    if args.output.is_json() {
        output::print_json(&answer)?;
    } else {
        output::print(&table(&listing, now_ms()))?;
    }
    Ok(if refused { ExitCode::from(FINDINGS) } else { ExitCode::SUCCESS })
}

fn table(listing: &Listing, now_ms: i64) -> String {
    let head = ["NODE", "KIND", "ZONE", "COVERAGE", "STATE", "REVISION", "SVID ENDS", "ADDRESS", "IDENTITY"];
    let mut rows = vec![head.map(str::to_owned)];
    let (mut refusals, mut promises) = (String::new(), String::new());
    for node in &listing.nodes {
        let kind = node.role.as_ref().unwrap_or(&node.kind).clone();
        let identity = node.identity.clone().unwrap_or_else(|| "-".to_owned());
        let dash = || "-".to_owned();
        rows.push([
            node.name.clone(),
            kind,
            node.zone.clone(),
            node.coverage.clone(),
            node.state.clone(),
            dash(),
            dash(),
            dash(),
            identity,
        ]);
        for instance in &node.instances {
            let state = if instance.connected { "connected" } else { "gone" };
            rows.push([
                format!("  {}", instance.instance),
                String::new(),
                String::new(),
                instance.isolation.clone(),
                if instance.nack.is_empty() { state.to_owned() } else { "refused".to_owned() },
                if instance.acked_revision == 0 { dash() } else { instance.acked_revision.to_string() },
                until(instance.svid_not_after, now_ms),
                instance.mesh_address.clone(),
                String::new(),
            ]);
        }
        for word in node.words.iter().filter(|w| w.state != "enforced") {
            let Word { word, owner, state, today } = word;
            let today = if today.is_empty() { String::new() } else { format!(": {today}") };
            promises.push_str(&format!("  {}: `{word}` is {state} (owner {owner}){today}\n", node.name));
        }
        if let Some(why) = &node.refusal {
            refusals
                .push_str(&format!("  {} refused its configuration and keeps the last good one: {why}\n", node.name));
        }
    }
    let issuers: String = listing.issuers.iter().map(|one| issuer(one, now_ms)).collect();
    format!("{}\n  revision {} is in force\n{refusals}{issuers}{promises}", columns(&rows, &[5]), listing.revision)
}

fn issuer(one: &Issuer, now_ms: i64) -> String {
    let name = if one.issuer.is_empty() { one.jwks_uri.as_deref().unwrap_or_default() } else { &one.issuer };
    let keys = match (&one.jwks_uri, one.keys.as_deref()) {
        (None, _) => "keys of the model".to_owned(),
        (_, None | Some([])) => "no keys, so that every token is refused".to_owned(),
        (_, Some(keys)) => format!("keys {}, fetched {}", keys.join(", "), ago(one.fetched_ms, now_ms)),
    };
    let error = one.error.as_ref().map(|error| format!("; cannot be fetched: {error}")).unwrap_or_default();
    format!("  tokens of {name} at {}: {keys}{error}\n", one.nodes.join(", "))
}

#[cfg(test)]
mod tests;
