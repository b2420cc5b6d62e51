//! `ward explain`: may this node send that request, and why? Offline from a model, or for a decision that a proxy made.
use std::{net::IpAddr, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, bail};
use model::Model;
use policy::{
    Explanation, Semantics,
    ask::{Answer, FlowReport, Question, ask},
};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    columns::columns,
    online::Control,
    output::{self, Output, visible},
};

mod facts;
mod proposal;
mod why_not;

/// Say whether a request is allowed, and why
///
/// With --from and --to the answer comes from the model in DIR, before anything runs. With the id of a decision, which
/// the caller finds in its 403, it comes from the control plane's records. --why-not tells everything that stands in the
/// way, the rules that come nearest, and a change to the diagram that would allow the request.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  ward explain --from orders --to payments --method POST --path /charges examples/shop\n  \
ward explain --from orders --to orders-db --port 5432\n  ward explain 06f2k1x8q4t7w0y3z5a9c2d4e6\n  \
ward explain --why-not 06f2k1x8q4t7w0y3z5a9c2d4e6\n  \
ward explain --why-not --from orders --to payments --path /refunds examples/shop\n  \
echo '{\"path\": \"/refunds\"}' | ward explain --why-not --to payments --request - examples/shop\n\n\
Exit codes: 0 allowed, 1 denied, 2 no answer: no such node, the model cannot be read, or no control plane"
)]
pub(crate) struct Args {
    /// The directory that holds ward.yaml [default: .], or the id of a decision
    #[arg(value_name = "DIR|DECISION")]
    subject: Option<PathBuf>,
    /// Everything in the way, the nearest misses, and what would allow it
    #[arg(long)]
    why_not: bool,
    /// The calling node
    #[arg(long, value_name = "NODE", requires = "to")]
    from: Option<String>,
    /// The called node
    #[arg(long, value_name = "NODE")]
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
    /// Claims of a token that was found good
    #[arg(long, value_name = "JSON|@FILE", requires = "from")]
    claims: Option<String>,
    /// The TLS server name
    #[arg(long, value_name = "NAME", requires = "from")]
    sni: Option<String>,
    /// Address of the calling proxy
    #[arg(long, value_name = "IP", requires = "from")]
    source_ip: Option<IpAddr>,
    /// Address of the original caller [default: the source's]
    #[arg(long, value_name = "IP", requires = "from")]
    remote_ip: Option<IpAddr>,
    /// The whole request, a line of JSON as `ward policy check` reads it; `-` is standard input
    #[arg(long, value_name = "FILE", requires = "why_not", requires = "to", conflicts_with = "from")]
    request: Option<PathBuf>,
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
    if args.why_not {
        return why_not::run(args);
    }
    match (&args.from, &args.to, &args.subject) {
        (Some(from), Some(to), _) => offline(&args, from, to),
        (_, _, Some(id)) => {
            let id = id.to_string_lossy().into_owned();
            recorded(&id, args.control, args.output)
        }
        _ => bail!("name the two nodes with --from and --to, or give the id of a decision"),
    }
}

impl Args {
    fn question<'a>(&'a self, from: &'a str, to: &'a str, claims: Option<&'a Value>) -> Question<'a> {
        Question {
            from,
            to,
            method: self.method.as_deref(),
            path: self.path.as_deref(),
            host: self.host.as_deref(),
            port: self.port,
            headers: &self.headers,
            claims,
            sni: self.sni.as_deref(),
            source_ip: self.source_ip,
            remote_ip: self.remote_ip,
        }
    }
}

/// Whose reading of the policies holds in this mesh.
fn semantics(model: &Model) -> Semantics {
    if model.mesh.compat_istio { Semantics::Istio } else { Semantics::Ward }
}

fn offline(args: &Args, from: &str, to: &str) -> anyhow::Result<ExitCode> {
    let model = crate::policy::load(&args.subject.clone().unwrap_or_else(|| PathBuf::from(".")))?;
    let claims = args.claims.as_deref().map(facts::claims).transpose()?;
    let answer = ask(&model, &args.question(from, to, claims.as_ref()))?;
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
    agrees: Option<bool>,
    explanation: Option<Explanation>,
    unexplained: Option<String>,
    in_force: Option<u64>,
    text: String,
    decision: facts::Record,
}

/// A decision that a proxy made, made again by the rules of its time.
fn recorded(id: &str, control: Control, output: Output) -> anyhow::Result<ExitCode> {
    check_id(id)?;
    let path = format!("/v1/decisions/{id}");
    let answer = control.talk(|client| async move { client.get(&path).await })?;
    let recorded = Recorded::deserialize(&answer).context("cannot read the control plane's answer")?;
    if output.is_json() {
        output::print_json(&answer)?;
    } else {
        output::print(&told(&recorded, id))?;
    }
    Ok(exit(recorded.allowed()))
}

impl Recorded {
    fn allowed(&self) -> bool {
        self.explanation.as_ref().map_or(self.decision.allowed, |explanation| explanation.allowed)
    }
}

/// An id, or a mistake in the command line.
fn check_id(id: &str) -> anyhow::Result<()> {
    if id.len() != 26 || !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        bail!("`{id}` is not the id of a decision; for a question about a model add --from and --to");
    }
    Ok(())
}

fn told(recorded: &Recorded, id: &str) -> String {
    let record = &recorded.decision;
    let mut text = match &recorded.explanation {
        Some(explanation) => verdict(explanation.allowed, explanation.reason.as_str()) + &explained(explanation),
        None => verdict(record.allowed, &record.reason) + &format!("{}\n", visible(&recorded.text)),
    };
    if recorded.agrees == Some(false) {
        text += "\nThe proxy decided otherwise: its rules are not those of the stored revision.\n";
    }
    let then = record.revision;
    match recorded.in_force {
        _ if recorded.unexplained.is_some() => {
            text += &format!("By the model in force: ward explain --why-not {id}\n");
        }
        Some(now) if now != then => {
            text += &format!(
                "\nThese are the rules of revision {then}; revision {now} is in force: ward explain --why-not {id}\n"
            );
        }
        _ => {}
    }
    text
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
