//! `ward apply`: puts a model in force. A bad one changes nothing and every mistake is shown.
use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context as _, bail};
use model::{Diagnostic, Severity};
use serde_json::{Value, json};

use crate::{
    diagnostics, model_dir,
    online::Control,
    output::{self, FINDINGS, Output},
};

/// Put a model in force on a running control plane
#[derive(clap::Args)]
#[command(after_help = "Example:\n  ward apply examples/shop\n\n\
Exit codes: 0 in force, 1 refused (nothing changed), 2 cannot read the model or reach the control plane")]
pub(crate) struct Args {
    /// Directory that holds ward.yaml
    dir: PathBuf,
    #[command(flatten)]
    control: Control,
    #[command(flatten)]
    output: Output,
}

/// Runs it.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let files = model_dir::read(&args.dir)?;
    let answer = args.control.talk(|client| {
        let body = json!({ "files": files });
        async move { client.request("PUT", "/v1/model", Some(&body)).await }
    })?;
    let found = answer.body.get("diagnostics").cloned().unwrap_or_else(|| json!([]));
    let found: Vec<Diagnostic> = serde_json::from_value(found).context("cannot read the diagnostics")?;
    if !matches!(answer.status, 200 | 422) {
        bail!("the model is not applied ({}): {}", answer.status, answer.problem());
    }
    if args.output.is_json() {
        output::print_json(&answer.body)?;
    } else {
        if !found.is_empty() {
            eprintln!("{}", diagnostics::render(&files, &found));
        }
        output::print(&sentence(&answer.body, answer.status, &found))?;
    }
    Ok(if answer.status == 200 { ExitCode::SUCCESS } else { ExitCode::from(FINDINGS) })
}

fn sentence(body: &Value, status: u16, found: &[Diagnostic]) -> String {
    if status != 200 {
        let errors = found.iter().filter(|d| d.severity == Severity::Error).count();
        return format!("refused: {errors} error(s), nothing changed\n");
    }
    let revision = body.get("revision").and_then(Value::as_u64).unwrap_or_default();
    match body.get("changed").and_then(Value::as_bool) {
        Some(false) => format!("revision {revision} is in force already, nothing changed\n"),
        _ => format!("revision {revision} is in force; `ward nodes` shows which proxies hold it\n"),
    }
}
