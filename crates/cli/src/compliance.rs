//! `ward compliance`: a model against the controls of frameworks. What no rule tests is a person's to show, and is said so.
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, anyhow, bail};
use clap::{Subcommand, ValueEnum};
use model::SourceFile;
use posture::{Assessment, Framework, Input};
use serde::Serialize;
use time::{OffsetDateTime, Time};

use crate::{clock::Clock, model_dir, output, posture::Day, progress::during};

mod frameworks;
mod html;
mod markdown;
mod oscal;
#[cfg(test)]
mod tests;
mod words;

/// Controls of frameworks: which of them rules test, and how a model stands with them
///
/// A control is claimed only where a rule tests it, and only for the design that the model states. All others are `manual`,
/// with what a person shows for them. docs/compliance.md says how to read a report.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Frameworks(frameworks::Args),
    Report(Asked),
}

/// A report on a model: each control satisfied, not satisfied, accepted, not applicable or manual
///
/// `satisfied` means that at least one rule tests the control in the model, had something to look at, and found nothing;
/// `accepted` that somebody answers for all that was found; `not-applicable` that the rules had nothing to look at; `manual`
/// that no rule tests it.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  ward compliance report --framework gdpr examples/guardian\n  \
ward compliance report --framework pci-dss --framework soc2 -o html --out report.html examples/shop\n  \
ward compliance report --all -o oscal --out results.json .\n\n\
Exit codes: 0 no control is not satisfied, 1 one is, 2 the question could not be answered (a model with errors, an unknown framework)")]
struct Asked {
    /// The directory that holds ward.yaml
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// By which framework, or an unmistakable beginning of its name; may be given more than once
    #[arg(long = "framework", value_name = "NAME", value_parser = framework, required_unless_present = "all")]
    frameworks: Vec<Framework>,
    /// By every framework that Ward knows
    #[arg(long, conflicts_with = "frameworks")]
    all: bool,
    /// How to print
    #[arg(short = 'o', long = "output", value_enum, default_value_t = Format::Markdown, value_name = "FORMAT")]
    format: Format,
    /// Where to write it; standard output without
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    day: Day,
}

/// The forms of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// To keep beside the model
    Markdown,
    /// One page for any browser, and for paper
    Html,
    /// OSCAL 1.1.2 assessment results, for tools of auditors
    Oscal,
    /// For programs
    Json,
}

/// A framework by the name that people give.
fn framework(text: &str) -> Result<Framework, String> {
    let names = || Framework::ALL.iter().map(|f| f.as_str());
    let begun: Vec<&str> = names().filter(|name| !text.is_empty() && name.starts_with(text)).collect();
    Framework::find(text).ok_or_else(|| match model::closest(text, names()) {
        _ if begun.len() > 1 => format!("this is the beginning of {}", begun.join(" and ")),
        Some(near) => format!("no framework of this name; did you mean `{near}`?"),
        None => format!("no framework of this name; there are {}", names().collect::<Vec<_>>().join(", ")),
    })
}

/// What is written down in every form.
#[derive(Serialize)]
struct Report {
    /// The model's own name.
    model: String,
    /// Where it is, as asked.
    directory: String,
    /// The day by which waivers and drills end.
    date: String,
    /// What the report is worth.
    means: &'static str,
    frameworks: Vec<Assessment>,
    /// The text that was assessed.
    #[serde(skip)]
    files: Vec<SourceFile>,
    /// When it was.
    #[serde(skip)]
    at: OffsetDateTime,
}

/// What the report is worth: stands at its head, whatever its form.
const MEANS: &str = "What is tested here is the design that the model states, and not how it is operated. `satisfied` means \
that the named rules looked at the stated number of things and found nothing; it is not the judgement of an assessor. What no \
rule tests is `manual`.";

/// Runs it.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::Frameworks(args) => frameworks::run(&args),
        Command::Report(args) => report(&args),
    }
}

fn report(args: &Asked) -> anyhow::Result<ExitCode> {
    let mut wanted = if args.all { Framework::ALL.to_vec() } else { Vec::new() };
    for framework in &args.frameworks {
        if !wanted.contains(framework) {
            wanted.push(*framework);
        }
    }
    let date = args.day.date()?;
    let at = if args.day.is_given() { date.with_time(Time::MIDNIGHT).assume_utc() } else { now()? };
    let assessed = assess(&args.dir, model_dir::read(&args.dir)?, &wanted, at)?;
    let text = match args.format {
        Format::Markdown => markdown::report(&assessed),
        Format::Html => html::page(&assessed),
        Format::Oscal => pretty(&oscal::results(&assessed)?)?,
        Format::Json => pretty(&assessed)?,
    };
    output::write_of(&args.dir, args.out.as_deref(), &text)?;
    let failed = assessed.frameworks.iter().any(|f| f.counts.not_satisfied > 0);
    Ok(if failed { ExitCode::from(output::FINDINGS) } else { ExitCode::SUCCESS })
}

fn pretty(value: &impl Serialize) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(value)? + "\n")
}

fn now() -> anyhow::Result<OffsetDateTime> {
    let seconds = i64::try_from(Clock::unix().as_secs()).context("the clock is wrong")?;
    OffsetDateTime::from_unix_timestamp(seconds).context("the clock is wrong")
}

fn assess(dir: &Path, files: Vec<SourceFile>, wanted: &[Framework], at: OffsetDateTime) -> anyhow::Result<Report> {
    let Some((text, model)) = model_dir::load_files(files) else {
        bail!("{} has errors: mend them first, then ask again", dir.display());
    };
    let frameworks = during("grading the model", || {
        let findings = posture::grade(Input { model: &model, text: Some(&text), today: at.date() });
        posture::assess(&model, &findings, wanted)
    });
    if frameworks.is_empty() {
        return Err(anyhow!("no framework is asked for"));
    }
    Ok(Report {
        model: model.name.to_string(),
        directory: dir.display().to_string(),
        date: at.date().to_string(),
        means: MEANS,
        frameworks,
        files: text.files().to_vec(),
        at,
    })
}
