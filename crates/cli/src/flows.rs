//! `ward flows`: what flows, how much, how far it is proven, and what was tried without being declared.
use std::{process::ExitCode, time::Duration};

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::Value;

use crate::{
    api_client::ApiClient,
    columns::columns,
    online::{Control, ago, now_ms},
    output::{self, Output},
};

/// How often `--watch` looks.
const PACE: Duration = Duration::from_secs(1);

/// Show the flows with their counts, and attempts on edges that the model does not have
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  ward flows --watch\n  ward flows -o json\n\n\
Exit codes: 0 shown, 2 no answer from the control plane")]
pub(crate) struct Args {
    /// Show anew every second, until interrupted; with -o json one document a line
    #[arg(short, long)]
    watch: bool,
    #[command(flatten)]
    control: Control,
    #[command(flatten)]
    output: Output,
}

#[derive(Deserialize)]
struct Listing {
    revision: u64,
    flows: Vec<Flow>,
    undeclared: Vec<Edge>,
}

#[derive(Deserialize)]
struct Flow {
    flow: String,
    from: String,
    to: String,
    state: String,
    enforced_revision: Option<u64>,
    verified_ms: Option<i64>,
    allowed: u64,
    denied: u64,
    errors: u64,
    mean_us: Option<u64>,
    rate: f64,
    last_seen_ms: Option<i64>,
}

#[derive(Deserialize)]
struct Edge {
    subject: String,
    port: u16,
    denied: u64,
    allowed: u64,
    last_seen_ms: i64,
}

/// Runs it.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let Args { watch, control, output } = args;
    control.talk(|client| async move {
        loop {
            show(&client, watch, output).await?;
            if !watch {
                return Ok(ExitCode::SUCCESS);
            }
            tokio::time::sleep(PACE).await;
        }
    })
}

async fn show(client: &ApiClient, watch: bool, output: Output) -> anyhow::Result<()> {
    let answer: Value = client.get("/v1/flows").await?;
    if output.is_json() && watch {
        return Ok(output::print(&format!("{answer}\n"))?);
    }
    if output.is_json() {
        return output::print_json(&answer);
    }
    let listing = Listing::deserialize(&answer).context("cannot read the flows")?;
    let clear = if watch { "\x1b[H\x1b[2J" } else { "" };
    Ok(output::print(&format!("{clear}{}", table(&listing, now_ms())))?)
}

fn table(listing: &Listing, now_ms: i64) -> String {
    let head = ["FLOW", "FROM", "TO", "ALLOWED", "DENIED", "5XX", "RATE/S", "MEAN", "LAST SEEN", "STATE"];
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(listing.flows.iter().map(|flow| {
        [
            flow.flow.clone(),
            flow.from.clone(),
            flow.to.clone(),
            flow.allowed.to_string(),
            flow.denied.to_string(),
            flow.errors.to_string(),
            format!("{:.1}", flow.rate),
            flow.mean_us.map_or_else(|| "-".to_owned(), millis),
            ago(flow.last_seen_ms, now_ms),
            state(flow, now_ms),
        ]
    }));
    let mut text = columns(&rows, &[3, 4, 5, 6, 7]);
    text.push_str(&format!("\n  revision {} is in force\n", listing.revision));
    if !listing.undeclared.is_empty() {
        let mut rows = vec![["UNDECLARED", "PORT", "DENIED", "LET THROUGH", "LAST SEEN"].map(str::to_owned)];
        rows.extend(listing.undeclared.iter().map(|edge| {
            [
                edge.subject.clone(),
                edge.port.to_string(),
                edge.denied.to_string(),
                edge.allowed.to_string(),
                ago(Some(edge.last_seen_ms), now_ms),
            ]
        }));
        text.push('\n');
        text.push_str(&columns(&rows, &[1, 2, 3]));
    }
    text
}

fn millis(us: u64) -> String {
    format!("{}.{:01} ms", us / 1000, us % 1000 / 100)
}

fn state(flow: &Flow, now_ms: i64) -> String {
    match (flow.verified_ms, flow.enforced_revision) {
        (Some(at), Some(revision)) => format!("enforced@{revision}, verified {}", ago(Some(at), now_ms)),
        (None, Some(revision)) => format!("enforced@{revision}"),
        _ => flow.state.clone(),
    }
}

#[cfg(test)]
mod tests;
