//! `ward token create`: the right to become one node, for somebody who knows nothing else of the mesh.
use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::{
    online::Control,
    output::{self, Output},
};

/// Make join tokens
#[derive(clap::Args)]
#[command(after_help = "Example:\n  ward token create orders --ttl 10m > orders.token")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    Create(Create),
}

/// Make a token with which a proxy joins as one node
#[derive(clap::Args)]
#[command(after_help = "Example:\n  ward token create orders --uses 2 --ttl 10m > orders.token\n\n\
Whoever has the token can become the node: hand it over on a safe way. It also pins the root of the trust domain.\n\
Exit codes: 0 made, 2 the node is unknown or no answer from the control plane")]
struct Create {
    /// The node
    node: String,
    /// How many proxies may join with it
    #[arg(long, default_value_t = 1)]
    uses: u32,
    /// How long it is valid: 90s, 10m, 1h, 7d
    #[arg(long, default_value = "1h", value_name = "DURATION", value_parser = seconds)]
    ttl: u64,
    #[command(flatten)]
    control: Control,
    #[command(flatten)]
    output: Output,
}

/// Runs it.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let Command::Create(args) = args.command;
    let asked = json!({ "node": args.node, "uses": args.uses, "ttl_s": args.ttl });
    let answer = args.control.talk(|client| async move { client.post("/v1/tokens", &asked).await })?;
    if args.output.is_json() {
        output::print_json(&answer)?;
    } else {
        let token = answer.get("token").and_then(Value::as_str).context("the answer has no token")?;
        output::print(&format!("{token}\n"))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn seconds(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is not a duration: write a number and s, m, h or d, as in 10m");
    let unit = text.chars().last().ok_or_else(wrong)?;
    let factor = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let number: u64 = text.strip_suffix(unit).and_then(|n| n.parse().ok()).ok_or_else(wrong)?;
    number.checked_mul(factor).ok_or_else(wrong)
}

#[cfg(test)]
mod tests;
