//! `ward decisions`: the recorded decisions, newest first. `ward explain ID` says why.
use std::process::ExitCode;

use anyhow::Context as _;
use serde::Deserialize;

use crate::{
    columns::columns,
    online::{Control, ago, now_ms},
    output::{self, Output},
};

/// Show recorded decisions, newest first
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  ward decisions --denied\n  ward decisions --node orders --limit 20 -o json\n\n\
Exit codes: 0 shown, 2 no answer from the control plane")]
pub(crate) struct Args {
    /// Only refusals
    #[arg(long)]
    denied: bool,
    /// Only of this deciding node
    #[arg(long, value_name = "NODE")]
    node: Option<String>,
    /// Only of this flow
    #[arg(long, value_name = "FLOW")]
    flow: Option<String>,
    /// Also those made on Ward's own probes (`ward verify`)
    #[arg(long)]
    probes: bool,
    /// How many, at most 1000
    #[arg(long, default_value_t = 50)]
    limit: u32,
    #[command(flatten)]
    control: Control,
    #[command(flatten)]
    output: Output,
}

#[derive(Deserialize)]
struct Listing {
    decisions: Vec<Decision>,
}

#[derive(Deserialize)]
struct Decision {
    id: String,
    node: String,
    time_ms: i64,
    principal: String,
    method: String,
    path: String,
    port: u16,
    allowed: bool,
    reason: String,
}

/// Runs it.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let path = path(&args);
    let answer = args.control.talk(|client| async move { client.get(&path).await })?;
    if args.output.is_json() {
        output::print_json(&answer)?;
    } else {
        let listing = Listing::deserialize(&answer).context("cannot read the decisions")?;
        output::print(&table(&listing, now_ms()))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn path(args: &Args) -> String {
    let mut path = format!("/v1/decisions?limit={}", args.limit);
    if args.denied {
        path.push_str("&allowed=false");
    }
    if args.probes {
        path.push_str("&probes=true");
    }
    for (key, value) in [("node", &args.node), ("flow", &args.flow)] {
        // Names are DNS labels; anything else cannot match and must not become another parameter.
        if let Some(value) = value {
            let safe: String = value.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.')).collect();
            path.push_str(&format!("&{key}={safe}"));
        }
    }
    path
}

fn table(listing: &Listing, now_ms: i64) -> String {
    if listing.decisions.is_empty() {
        return "no such decision is recorded; flows with `audit: high` record all, others only refusals\n".to_owned();
    }
    let mut rows = vec![["DECISION", "WHEN", "FROM", "TO", "REQUEST", "ANSWER", "REASON"].map(str::to_owned)];
    rows.extend(listing.decisions.iter().map(|decision| {
        let from = decision.principal.strip_prefix("spiffe://").unwrap_or(&decision.principal);
        let request = format!("{} {}", decision.method, decision.path);
        [
            decision.id.clone(),
            ago(Some(decision.time_ms), now_ms),
            if from.is_empty() { "anyone".to_owned() } else { from.to_owned() },
            format!("{}:{}", decision.node, decision.port),
            if decision.method.is_empty() { "connect".to_owned() } else { request },
            if decision.allowed { "allowed" } else { "denied" }.to_owned(),
            decision.reason.clone(),
        ]
    }));
    columns(&rows, &[])
}

#[cfg(test)]
mod tests;
