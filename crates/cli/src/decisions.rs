//! `ward decisions`: the recorded decisions, newest first. `ward explain ID` says why.
use std::process::ExitCode;

use anyhow::Context as _;
use serde::Deserialize;

use crate::{
    columns::columns,
    online::{Control, ago, now_ms},
    output::{self, Output, visible},
};

/// Show recorded decisions, newest first
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  ward decisions --denied\n  ward decisions --node orders --limit 20 -o json\n  \
ward decisions --reason jwt-expired\n  ward decisions --denied --summary\n\n\
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
    /// Only with this reason code
    #[arg(long, value_name = "CODE", value_parser = reason)]
    reason: Option<String>,
    /// Only of this policy, `<namespace>/<name>`
    #[arg(long, value_name = "POLICY")]
    policy: Option<String>,
    /// Count them by reason and node instead
    #[arg(long, conflicts_with = "limit")]
    summary: bool,
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

#[derive(Deserialize)]
struct Counts {
    counts: Vec<Count>,
}

#[derive(Deserialize)]
struct Count {
    reason: String,
    meaning: Option<String>,
    node: String,
    allowed: bool,
    count: u64,
    last_ms: i64,
    last_id: String,
}

/// A code of the closed set: a misspelt one would find nothing, and nobody would know why.
fn reason(text: &str) -> Result<String, String> {
    let codes = policy::reasons::REASONS.iter().map(|reason| reason.code);
    match (policy::reasons::find(text), model::closest(text, codes)) {
        (Some(_), _) => Ok(text.to_owned()),
        (None, Some(near)) => Err(format!("no such reason code; did you mean `{near}`?")),
        (None, None) => Err("no such reason code; docs/policy.md lists them".to_owned()),
    }
}

/// Runs it.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let path = path(&args);
    let answer = args.control.talk(|client| async move { client.get(&path).await })?;
    if args.output.is_json() {
        output::print_json(&answer)?;
    } else if args.summary {
        let counts = Counts::deserialize(&answer).context("cannot read the counts")?;
        output::print(&summary(&counts, now_ms()))?;
    } else {
        let listing = Listing::deserialize(&answer).context("cannot read the decisions")?;
        output::print(&table(&listing, now_ms()))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn path(args: &Args) -> String {
    let mut query = Vec::new();
    if !args.summary {
        query.push(format!("limit={}", args.limit));
    }
    if args.denied {
        query.push("allowed=false".to_owned());
    }
    if args.probes {
        query.push("probes=true".to_owned());
    }
    let texts = [("node", &args.node), ("flow", &args.flow), ("reason", &args.reason), ("policy", &args.policy)];
    for (key, value) in texts {
        // Names are DNS labels; anything else cannot match and must not become another parameter.
        if let Some(value) = value {
            let plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '/');
            let safe: String = value.chars().filter(plain).collect();
            query.push(format!("{key}={safe}"));
        }
    }
    let list = if args.summary { "/v1/decisions/summary" } else { "/v1/decisions" };
    if query.is_empty() { list.to_owned() } else { format!("{list}?{}", query.join("&")) }
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

fn summary(counts: &Counts, now_ms: i64) -> String {
    if counts.counts.is_empty() {
        return "no such decision is recorded; flows with `audit: high` record all, others only refusals\n".to_owned();
    }
    let mut rows = vec![["COUNT", "ANSWER", "REASON", "NODE", "LAST", "DECISION"].map(str::to_owned)];
    rows.extend(counts.counts.iter().map(|count| {
        [
            count.count.to_string(),
            if count.allowed { "allowed" } else { "denied" }.to_owned(),
            count.reason.clone(),
            count.node.clone(),
            ago(Some(count.last_ms), now_ms),
            count.last_id.clone(),
        ]
    }));
    let mut text = columns(&rows, &[0]);
    let mut said = Vec::new();
    for count in counts.counts.iter().filter(|count| !count.allowed) {
        if let (Some(meaning), false) = (&count.meaning, said.contains(&&count.reason)) {
            said.push(&count.reason);
            text += &format!("\n{}: {}", visible(&count.reason), visible(meaning));
        }
    }
    text.push_str(if said.is_empty() { "" } else { "\n" });
    text
}

#[cfg(test)]
mod tests;
