//! `ward explain`: may this node send that request, and why? Offline from a model, or for a decision that a proxy made.
use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context as _, bail};
use policy::{
    Explanation,
    ask::{Answer, FlowReport, Question, ask},
};
use serde::Deserialize;

use crate::{
    columns::columns,
    online::Control,
    output::{self, Output, visible},
};

/// Say whether a request is allowed, and why
///
/// With --from and --to the answer comes from the model in DIR, before anything runs. With the id of a decision, which
/// the caller finds in its 403, it comes from the control plane's records.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  ward explain --from orders --to payments --method POST --path /charges examples/shop\n  \
ward explain --from orders --to orders-db --port 5432\n  ward explain 06f2k1x8q4t7w0y3z5a9c2d4e6\n\n\
Exit codes: 0 allowed, 1 denied, 2 no answer: no such node, or the model cannot be read"
)]
pub(crate) struct Args {
    /// The directory that holds ward.yaml [default: .], or the id of a decision
    #[arg(value_name = "DIR|DECISION")]
    subject: Option<PathBuf>,
    /// The calling node
    #[arg(long, value_name = "NODE", requires = "to")]
    from: Option<String>,
    /// The called node
    #[arg(long, value_name = "NODE", requires = "from")]
    to: Option<String>,
    /// The request's method [default: GET]
    #[arg(long, requires = "from")]
    method: Option<String>,
    /// The request's path [default: /]
    #[arg(long, requires = "from")]
    path: Option<String>,
    /// The called node's port [default: the first it serves]
    #[arg(long, requires = "from")]
    port: Option<u16>,
    /// The request's host [default: the called node, or the gateway's first]
    #[arg(long, requires = "from")]
    host: Option<String>,
    /// A request header; may be repeated
    #[arg(long = "header", value_name = "NAME=VALUE", value_parser = header, requires = "from")]
    headers: Vec<(String, String)>,
    #[command(flatten)]
    control: Control,
    #[command(flatten)]
    output: Output,
}

/// `name=value` or, as curl has it, `name: value`.
fn header(text: &str) -> Result<(String, String), String> {
    match text.split_once(['=', ':']) {
        Some((name, value)) if !name.trim().is_empty() => Ok((name.trim().to_owned(), value.trim().to_owned())),
        _ => Err("write name=value".to_owned()),
    }
}

/// Runs it.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    match (&args.from, &args.to, &args.subject) {
        (Some(from), Some(to), _) => offline(&args, from, to),
        (_, _, Some(id)) => {
            let id = id.to_string_lossy().into_owned();
            recorded(&id, args.control, args.output)
        }
        _ => bail!("name the two nodes with --from and --to, or give the id of a decision"),
    }
}

fn offline(args: &Args, from: &str, to: &str) -> anyhow::Result<ExitCode> {
    let model = crate::policy::load(&args.subject.clone().unwrap_or_else(|| PathBuf::from(".")))?;
    let question = Question {
        from,
        to,
        method: args.method.as_deref(),
        path: args.path.as_deref(),
        host: args.host.as_deref(),
        port: args.port,
        headers: &args.headers,
    };
    let answer = ask(&model, &question)?;
    if args.output.is_json() {
        output::print_json(&answer)?;
    } else {
        output::print(&words(&answer, args.path.as_deref()))?;
    }
    Ok(exit(answer.allowed))
}

/// What the control plane says of a decision.
#[derive(Deserialize)]
struct Recorded {
    agrees: bool,
    explanation: Explanation,
}

/// A decision that a proxy made, made again by the rules of its time.
fn recorded(id: &str, control: Control, output: Output) -> anyhow::Result<ExitCode> {
    if id.len() != 26 || !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        bail!("`{id}` is not the id of a decision; for a question about a model add --from and --to");
    }
    let path = format!("/v1/decisions/{id}");
    let answer = control.talk(|client| async move { client.get(&path).await })?;
    let recorded = Recorded::deserialize(&answer).context("cannot read the control plane's answer")?;
    if output.is_json() {
        output::print_json(&answer)?;
    } else {
        let mut text = verdict(recorded.explanation.allowed, recorded.explanation.reason.as_str());
        text += &explained(&recorded.explanation);
        if !recorded.agrees {
            text += "\nThe proxy decided otherwise: its rules are not those of the stored revision.\n";
        }
        output::print(&text)?;
    }
    Ok(exit(recorded.explanation.allowed))
}

fn exit(allowed: bool) -> ExitCode {
    if allowed { ExitCode::SUCCESS } else { ExitCode::from(output::FINDINGS) }
}

fn verdict(allowed: bool, reason: &str) -> String {
    match (allowed, reason) {
        // The ordinary reason says nothing more.
        (true, "allowed") => "allowed\n".to_owned(),
        (true, reason) => format!("allowed ({reason})\n"),
        (false, reason) => format!("denied ({reason})\n"),
    }
}

fn words(answer: &Answer, path: Option<&str>) -> String {
    let mut text = verdict(answer.allowed, &answer.reason);
    match &answer.explanation {
        Some(explanation) => {
            text += &explained(explanation);
            let normal = &explanation.request.path;
            if let Some(path) = path.filter(|path| *path != normal && !normal.is_empty()) {
                text += &format!("\nThe path `{path}` is decided, and forwarded, as `{normal}`.\n");
            }
        }
        None => text += &format!("{}\n", answer.words),
    }
    if !answer.allowed {
        text += &flows(answer);
    }
    text
}

/// The headline, then the rule it speaks of field by field.
fn explained(explanation: &Explanation) -> String {
    let mut text = format!("{}\n", visible(&explanation.headline()));
    let fields = explanation.subject().map_or(&[][..], |rule| &rule.fields);
    // A rule that denied is right in every field; what it looks for is what the reader wants to know.
    let denied = !explanation.allowed && explanation.rule.is_some();
    let rows: Vec<[String; 4]> = fields
        .iter()
        .map(|field| {
            let (sign, wanted) = match (denied, field.ok) {
                (true, _) => ("matched", format!("looks for {}", field.wanted_words())),
                (false, true) => ("ok", String::new()),
                (false, false) => ("missed", format!("wanted {}", field.wanted_words())),
            };
            [field.word().to_owned(), sign.to_owned(), format!("got {}", field.got_words()), wanted]
        })
        .collect();
    text += &columns(&rows, &[]);
    text
}

/// Which flows there are, when the one that was hoped for is not.
fn flows(answer: &Answer) -> String {
    let (from, to) = (&answer.from, &answer.to);
    let mut text = String::new();
    if answer.flows.is_empty() {
        text += &format!("\nThere is no flow from {from} to {to}.\n");
    } else {
        text += &format!("\nFlows from {from} to {to}:\n{}", list(&answer.flows));
    }
    if !answer.other_flows.is_empty() {
        let heading = if answer.flows.is_empty() { "Flows" } else { "Other flows" };
        text += &format!("{heading} into {to}:\n{}", list(&answer.other_flows));
    }
    text
}

fn list(flows: &[FlowReport]) -> String {
    let rows: Vec<[String; 3]> = flows
        .iter()
        .map(|flow| {
            let mut allows = match &flow.allow {
                None => "any request".to_owned(),
                Some(entries) if entries.is_empty() => "no request".to_owned(),
                Some(entries) => entries.join(", "),
            };
            if let Some(port) = flow.port {
                allows += &format!(" (port {port})");
            }
            if flow.standby {
                allows += " (on standby: needs an open emergency)";
            }
            [flow.id.clone(), format!("from {}", flow.from), allows]
        })
        .collect();
    columns(&rows, &[])
}

#[cfg(test)]
mod tests;
