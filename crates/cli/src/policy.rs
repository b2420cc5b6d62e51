//! `ward policy`: what the model means in the words of Istio, whether the model's own tests hold, and what any request is
//! answered. Offline.
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use clap::{Subcommand, ValueEnum};
use model::Model;
use policy::{
    CompileError,
    ask::{Trial, run_tests},
};
use serde::Serialize;

use crate::{
    columns::columns,
    diagnostics, model_dir,
    output::{self, Output},
};

mod check;

pub(crate) use check::arrival;

/// Look into what the model allows
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Show(Show),
    Test(Test),
    Check(check::Check),
}

/// Print the AuthorizationPolicies of a node: those its flows mean, then those written by hand
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  ward policy show payments examples/shop\n  ward policy show payments -o json | jq '.[].metadata.name'\n\n\
Exit codes: 0 printed, 1 a policy is refused, 2 no such node, or the model cannot be read"
)]
struct Show {
    /// Which node
    node: String,
    /// The directory that holds ward.yaml
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// How to print
    #[arg(short = 'o', long = "output", value_enum, default_value_t = Documents::Yaml, value_name = "FORMAT")]
    format: Documents,
}

/// The forms of documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Documents {
    /// Documents as Istio reads them
    Yaml,
    /// A list of the same documents
    Json,
}

/// Ask every question of the model's `tests:`
#[derive(clap::Args)]
#[command(after_help = "Example:\n  ward policy test examples/shop\n\n\
Exit codes: 0 all as expected, 1 some not, 2 the model cannot be read")]
struct Test {
    /// The directory that holds ward.yaml
    #[arg(default_value = ".")]
    dir: PathBuf,
    #[command(flatten)]
    output: Output,
}

/// Runs it.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::Show(args) => show(args),
        Command::Test(args) => test(args),
        Command::Check(args) => check::run(&args),
    }
}

/// The model of a directory.
///
/// # Errors
/// The directory cannot be read, or the model is refused; what is wrong with it was written to standard error.
pub(crate) fn load(dir: &Path) -> anyhow::Result<Model> {
    let files = model_dir::read(dir)?;
    let loaded = model::load(&files);
    match loaded.model {
        Some(model) => Ok(model),
        None => {
            eprintln!("{}", diagnostics::render(&files, &loaded.diagnostics));
            bail!("the model in {} is refused", dir.display())
        }
    }
}

fn show(args: Show) -> anyhow::Result<ExitCode> {
    let model = load(&args.dir)?;
    let Some(node) = model.nodes.get(args.node.as_str()) else {
        let near = model::closest(&args.node, model.nodes.keys().map(|name| name.as_str()));
        let help = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        bail!("the model has no node `{}`{help}", args.node);
    };
    let policies = policy::policies_for(&model, &args.node);
    if !node.under_ward() {
        eprintln!(
            "`{}` is not under Ward (it has no `run`, `attest` or `role`): no policy is enforced there",
            args.node
        );
    }
    let tokens = policy::authentications_for(&model, &args.node);
    match args.format {
        Documents::Json => {
            let policies = policies.iter().map(serde_json::to_value);
            let documents: Vec<_> =
                policies.chain(tokens.iter().map(serde_json::to_value)).collect::<Result<_, _>>()?;
            output::print_json(&documents)?;
        }
        Documents::Yaml => {
            let policies = policies.iter().map(serde_saphyr::to_string);
            let documents: Vec<String> = policies
                .chain(tokens.iter().map(serde_saphyr::to_string))
                .collect::<Result<_, _>>()
                .context("cannot write a policy as YAML")?;
            output::print(&documents.join("---\n"))?;
        }
    }
    let faults = |kind: &str, faults: &[CompileError]| faults.iter().for_each(|fault| eprintln!("{kind}: {fault}"));
    Ok(match policy::rule_set_for(&model, &args.node) {
        Ok(rules) => {
            faults("warning", rules.warnings());
            ExitCode::SUCCESS
        }
        Err(errors) => {
            faults("error", &errors);
            ExitCode::from(output::FINDINGS)
        }
    })
}

/// What `ward policy test -o json` prints for each test.
#[derive(Serialize)]
struct TestReport<'a> {
    line: usize,
    from: &'a str,
    to: &'a str,
    request: String,
    expect: &'static str,
    got: &'a str,
    passed: bool,
    reason: Option<&'a str>,
    why: String,
}

fn test(args: Test) -> anyhow::Result<ExitCode> {
    let model = load(&args.dir)?;
    let trials = run_tests(&model);
    let reports: Vec<TestReport> = trials.iter().map(report).collect();
    let failed = reports.iter().filter(|report| !report.passed).count();
    if args.output.is_json() {
        output::print_json(&reports)?;
    } else {
        output::print(&table(&reports, failed))?;
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(output::FINDINGS) })
}

fn report<'a>(trial: &'a Trial<'_>) -> TestReport<'a> {
    let test = trial.test;
    let word = |allowed: bool| if allowed { "allow" } else { "deny" };
    let (got, reason, why) = match &trial.answer {
        Ok(answer) => (word(answer.allowed), Some(answer.reason.as_str()), answer.words.clone()),
        Err(error) => ("none", None, error.to_string()),
    };
    TestReport {
        line: test.line,
        from: test.from.as_str(),
        to: test.to.as_str(),
        request: match (&test.request, test.port) {
            (Some((method, path)), None) => format!("{method} {path}"),
            (Some((method, path)), Some(port)) => format!("{method} {path} (port {port})"),
            (None, Some(port)) => format!("port {port}"),
            (None, None) => "first port".to_owned(),
        },
        expect: word(test.expect_allow),
        got,
        passed: trial.passed(),
        reason,
        why,
    }
}

fn table(reports: &[TestReport], failed: usize) -> String {
    if reports.is_empty() {
        return "the model has no tests: add some under `tests:`\n".to_owned();
    }
    let head = ["LINE", "FROM", "TO", "REQUEST", "EXPECT", "GOT", ""].map(str::to_owned);
    let rows = reports.iter().map(|report| {
        let verdict = if report.passed { "ok" } else { "FAILED" };
        [&report.line.to_string(), report.from, report.to, &report.request, report.expect, report.got, verdict]
            .map(str::to_owned)
    });
    let rows: Vec<[String; 7]> = std::iter::once(head).chain(rows).collect();
    let mut text = columns(&rows, &[0]);
    for report in reports.iter().filter(|report| !report.passed) {
        text += &format!("\nline {}: {}\n", report.line, report.why);
    }
    text + &format!("\n{} as expected, {failed} not\n", reports.len() - failed)
}

#[cfg(test)]
mod tests;
