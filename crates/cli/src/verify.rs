//! `ward verify`: Ward attacks itself. For every flow a probe that must pass, for every absent edge and every weaker
//! variant one that must fail, each sent by the source's own sidecar; here they are only asked for and shown.
#[cfg(test)]
mod tests;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::{
    api_client::ApiClient,
    columns::columns,
    output::{self, FINDINGS, Output},
};

/// Exit code with `--strict`: nothing is violated, but something could not be verified.
pub(crate) const UNVERIFIABLE: u8 = 3;
/// Longest a run may take; the control plane itself gives up earlier.
const DEADLINE: Duration = Duration::from_secs(300);
/// How often a run under way is looked at.
const PACE: Duration = Duration::from_millis(300);
/// How often `--watch` runs anew.
const WATCH_PACE: Duration = Duration::from_secs(30);

/// Attack the running mesh: every flow must pass, everything else must fail
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  ward verify\n  ward verify --strict -o json\n\n\
Exit codes: 0 everything is as the model says, 1 something is violated, 2 no answer from the control plane, \
3 with --strict: something could not be verified")]
pub(crate) struct Args {
    /// The control plane's socket [default: /run/ward/control.sock as root, else $XDG_RUNTIME_DIR/ward/control.sock]
    #[arg(long, value_name = "PATH", env = "WARD_SOCKET")]
    socket: Option<PathBuf>,
    /// Exit 3 when something could not be verified
    #[arg(long)]
    strict: bool,
    /// Verify again every 30 seconds, and print what changed
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    output: Output,
}

/// One probe and what came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Line {
    /// The flow it belongs to; absent for an absent edge.
    #[serde(default)]
    pub(crate) flow: Option<String>,
    /// Source node.
    pub(crate) from: String,
    /// Target node.
    pub(crate) to: String,
    /// Port of the target.
    #[serde(default)]
    pub(crate) port: u16,
    /// What is varied.
    pub(crate) variant: String,
    /// `GET /orders/ward-probe`, or `connect`.
    #[serde(default)]
    pub(crate) request: String,
    /// pass, fail.
    pub(crate) expect: String,
    /// passed, refused, blocked, failed; empty when it was not tried.
    #[serde(default)]
    pub(crate) outcome: String,
    /// Status of the answer, when there was one.
    #[serde(default)]
    pub(crate) status: u32,
    /// Decision id of a refusal.
    #[serde(default)]
    pub(crate) decision: String,
    /// ok, violated, unverifiable.
    pub(crate) verdict: String,
    /// Why it is unverifiable, or what the proxy said.
    #[serde(default)]
    pub(crate) reason: String,
}

/// All probes of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Results {
    /// In the order of the plan.
    pub(crate) lines: Vec<Line>,
}

impl Results {
    /// How many went as they must.
    pub(crate) fn ok(&self) -> usize {
        self.lines.iter().filter(|line| line.verdict == "ok").count()
    }

    /// What did not, as text.
    pub(crate) fn violated(&self) -> Vec<String> {
        self.with("violated")
    }

    /// What could not be tried, as text.
    pub(crate) fn unverifiable(&self) -> Vec<String> {
        // A word that we do not know proves nothing either.
        self.lines.iter().filter(|line| !matches!(line.verdict.as_str(), "ok" | "violated")).map(Line::text).collect()
    }

    fn with(&self, verdict: &str) -> Vec<String> {
        self.lines.iter().filter(|line| line.verdict == verdict).map(Line::text).collect()
    }

    /// True when everything towards a node was found as it must be, false when something was violated; `None` when
    /// nothing was tried there or something stays open.
    pub(crate) fn of_node(&self, node: &str) -> Option<bool> {
        let verdicts: Vec<&str> =
            self.lines.iter().filter(|line| line.to == node).map(|line| line.verdict.as_str()).collect();
        if verdicts.contains(&"violated") {
            return Some(false);
        }
        (!verdicts.is_empty() && verdicts.iter().all(|verdict| *verdict == "ok")).then_some(true)
    }

    fn exit_code(&self, strict: bool) -> ExitCode {
        if !self.violated().is_empty() {
            ExitCode::from(FINDINGS)
        } else if strict && !self.unverifiable().is_empty() {
            ExitCode::from(UNVERIFIABLE)
        } else {
            ExitCode::SUCCESS
        }
    }
}

impl Line {
    fn text(&self) -> String {
        let mut text = format!("{} -> {}:{} {} ({})", self.from, self.to, self.port, self.variant, self.request);
        text.push_str(&format!(": must {}, {}", self.expect, self.got()));
        if !self.reason.is_empty() {
            text.push_str(&format!("; {}", self.reason));
        }
        text
    }

    fn got(&self) -> String {
        match (self.outcome.as_str(), self.status) {
            ("", _) => "not tried".to_owned(),
            (outcome, 0) => outcome.to_owned(),
            (outcome, status) => format!("{outcome} {status}"),
        }
    }
}

/// Runs it.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let socket = crate::api_client::socket(args.socket.clone());
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start the runtime")?;
    runtime.block_on(async {
        let client = ApiClient::connect(&socket)?;
        let mut results = run_once(&client).await?;
        show(&results, args.output, None)?;
        if !args.watch {
            return Ok(results.exit_code(args.strict));
        }
        loop {
            sleep(WATCH_PACE).await;
            let next = run_once(&client).await?;
            if next != results {
                show(&next, args.output, Some(&results))?;
            }
            results = next;
        }
    })
}

/// Starts a run and waits for its end.
///
/// # Errors
/// The control plane does not answer, or takes too long.
pub(crate) async fn run_once(client: &ApiClient) -> anyhow::Result<Results> {
    let started = client.post("/v1/verify", &json!({})).await?;
    let id = started.get("id").and_then(Value::as_str).context("the control plane names no run")?.to_owned();
    let finished = async {
        loop {
            let answer = client.get(&format!("/v1/verify/{id}")).await?;
            match answer.get("state").and_then(Value::as_str) {
                Some("running") => sleep(PACE).await,
                Some("done") => {
                    let lines = answer.get("results").cloned().unwrap_or_default();
                    let lines = serde_json::from_value(lines).context("cannot read the results")?;
                    return Ok(Results { lines });
                }
                other => bail!("the run {id} is {}: start it again", other.unwrap_or("in no known state")),
            }
        }
    };
    timeout(DEADLINE, finished).await.unwrap_or_else(|_| {
        bail!("the run {id} is not done after {} s: see the control plane's log", DEADLINE.as_secs())
    })
}

fn show(results: &Results, output: Output, before: Option<&Results>) -> anyhow::Result<()> {
    if output.is_json() {
        let (violated, unverifiable) = (results.violated().len(), results.unverifiable().len());
        return output::print_json(&json!({
            "ok": results.ok(), "violated": violated, "unverifiable": unverifiable, "results": results.lines,
        }));
    }
    let lines: Vec<&Line> =
        results.lines.iter().filter(|line| before.is_none_or(|before| !before.lines.contains(line))).collect();
    output::print(&table(&lines))?;
    let (violated, unverifiable) = (results.violated().len(), results.unverifiable().len());
    output::print(&format!("\n{} as they must be, {violated} violated, {unverifiable} unverifiable\n", results.ok()))?;
    Ok(())
}

/// The table, and below it the reasons of what is not ok.
pub(crate) fn table(lines: &[&Line]) -> String {
    let mut rows = vec![["FROM", "TO", "PROBE", "REQUEST", "EXPECTED", "GOT", "VERDICT"].map(str::to_owned)];
    rows.extend(lines.iter().map(|line| {
        let verdict = if line.verdict == "ok" { "ok".to_owned() } else { line.verdict.to_uppercase() };
        let (to, request) = (format!("{}:{}", line.to, line.port), line.request.clone());
        [line.from.clone(), to, line.variant.clone(), request, line.expect.clone(), line.got(), verdict]
    }));
    let mut text = columns(&rows, &[]);
    for line in lines.iter().filter(|line| line.verdict != "ok" && !line.reason.is_empty()) {
        text.push_str(&format!("  {} -> {}:{} {}: {}\n", line.from, line.to, line.port, line.variant, line.reason));
    }
    text
}
