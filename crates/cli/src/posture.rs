//! `ward posture`: where the diagram is weaker than what it protects. Needs only the model, so it answers before anything runs.
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use clap::{Subcommand, ValueEnum};
use model::{SourceFile, load::text::Text};
use posture::{Finding, Input, Severity};
use time::{Date, OffsetDateTime, macros::format_description};

use crate::{clock::Clock, diagnostics, model_dir, output, progress::during};

mod diff;
mod fix;
mod markdown;
mod patch;
mod sarif;
mod text;
mod watch;

pub(crate) use fix::write;
pub(crate) use patch::unified;
pub(crate) use sarif::uri;

/// Grade a model: findings with evidence, severity and a mend
///
/// Each finding names what is weak, where the model says it and what mends it. A waiver in the model lowers a finding to
/// `accepted` until its day. docs/posture.md lists the rules and the table of severities.
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(
    after_help = "Examples:\n  ward posture examples/tasky/current\n  ward posture --fail-on high -o sarif . > ward.sarif\n  \
ward posture --watch examples/shop\n  \
ward posture diff examples/tasky/current examples/tasky/secure\n  \
ward posture fix public-store@backup-bucket examples/tasky/current\n\n\
Exit codes: 0 graded, 1 the model has errors, or with --fail-on: a finding is that severe, 2 the directory cannot be read"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// The directory that holds ward.yaml
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Exit 1 when a finding is this severe, or worse
    #[arg(long, value_enum, value_name = "SEVERITY")]
    fail_on: Option<Level>,
    /// Stay, grade again after each change of a file, and tell what is new, gone and changed; with `-o json` a line each
    #[arg(long)]
    watch: bool,
    /// How to print
    #[arg(short = 'o', long = "output", value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    format: Format,
    #[command(flatten)]
    day: Day,
}

#[derive(Subcommand)]
enum Command {
    Diff(diff::Args),
    Fix(fix::Args),
}

/// The forms of output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// For programs
    Json,
    /// SARIF 2.1.0, for code scanning
    Sarif,
    /// A report to keep
    Markdown,
}

/// A severity that is not `accepted`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Level {
    /// Untidy, or a promise nobody needs
    Low,
    /// A defence is missing where another one still holds
    Medium,
    /// One mistake or one stolen thing away from harm
    High,
    /// Open today
    Critical,
}

impl Level {
    fn severity(self) -> Severity {
        match self {
            Self::Low => Severity::Low,
            Self::Medium => Severity::Medium,
            Self::High => Severity::High,
            Self::Critical => Severity::Critical,
        }
    }
}

/// The day by which waivers and drills end.
#[derive(clap::Args, Clone, Copy, Default)]
pub(crate) struct Day {
    /// Grade as of this day [default: today, UTC]
    #[arg(long = "date", value_name = "YYYY-MM-DD", value_parser = parse_date)]
    date: Option<Date>,
}

impl Day {
    /// Whether somebody asked for a day.
    pub(crate) fn is_given(self) -> bool {
        self.date.is_some()
    }

    pub(crate) fn date(self) -> anyhow::Result<Date> {
        match self.date {
            Some(date) => Ok(date),
            None => {
                let seconds = i64::try_from(Clock::unix().as_secs()).context("the clock is wrong")?;
                Ok(OffsetDateTime::from_unix_timestamp(seconds).context("the clock is wrong")?.date())
            }
        }
    }
}

fn parse_date(text: &str) -> Result<Date, String> {
    let form = format_description!("[year]-[month]-[day]");
    Date::parse(text, form).map_err(|_| "write year, month and day, as in 2027-01-31".to_owned())
}

/// A model that was read, and what is found in it.
struct Graded {
    text: Text,
    findings: Vec<Finding>,
}

/// Runs it.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.command {
        Some(Command::Diff(args)) => return diff::run(&args),
        Some(Command::Fix(args)) => return fix::run(&args),
        None => {}
    }
    if args.watch {
        if !matches!(args.format, Format::Text | Format::Json) {
            bail!("--watch tells as text or json");
        }
        return watch::run(&args);
    }
    let Some(Graded { text, findings }) = read(&args.dir, args.day.date()?)? else {
        return Ok(ExitCode::from(output::FINDINGS));
    };
    match args.format {
        Format::Text => output::print(&text::report(&findings))?,
        Format::Json => {
            output::print_json(&during("proving patches", || patch::with_patches(&text, &findings))?)?;
        }
        Format::Sarif => output::print_json(&sarif::log(&args.dir, &findings))?,
        Format::Markdown => {
            output::print(&during("proving patches", || markdown::report(&args.dir, &text, &findings)))?;
        }
    }
    Ok(verdict(findings.iter().map(|f| f.severity), args.fail_on))
}

/// Exit 1 for findings at or above a level.
fn verdict(findings: impl IntoIterator<Item = Severity>, fail_on: Option<Level>) -> ExitCode {
    let severe = |level: Level| findings.into_iter().any(|severity| severity >= level.severity());
    if fail_on.is_some_and(severe) { ExitCode::from(output::FINDINGS) } else { ExitCode::SUCCESS }
}

/// Reads and grades a model; none when it has errors, which are then printed.
fn read(dir: &Path, today: Date) -> anyhow::Result<Option<Graded>> {
    let files = model_dir::read(dir)?;
    match during("grading the model", || grade(Text::new(files), today)) {
        Ok(graded) => Ok(Some(graded)),
        Err(refused) => {
            eprint!("{}", diagnostics::render(&refused.files, &refused.diagnostics));
            Ok(None)
        }
    }
}

/// A model with errors.
struct Refused {
    files: Vec<SourceFile>,
    diagnostics: Vec<model::Diagnostic>,
}

fn grade(text: Text, today: Date) -> Result<Graded, Box<Refused>> {
    let loaded = text.load();
    match loaded.model {
        Some(model) => {
            let findings = posture::grade(Input { model: &model, text: Some(&text), today });
            Ok(Graded { text, findings })
        }
        None => Err(Box::new(Refused { files: text.files().to_vec(), diagnostics: loaded.diagnostics })),
    }
}

/// The finding with an id, or the closest one as a hint.
fn find<'f>(findings: &'f [Finding], id: &str) -> anyhow::Result<&'f Finding> {
    if let Some(found) = findings.iter().find(|f| f.id == id) {
        return Ok(found);
    }
    if let Some(root) = findings.iter().find(|f| f.also.iter().any(|c| c.id == id)) {
        bail!("`{id}` follows from `{}`: mend that", root.id);
    }
    match model::closest(id, findings.iter().map(|f| f.id.as_str())) {
        Some(near) => bail!("`{id}` is not found in this model; did you mean `{near}`?"),
        None => bail!("`{id}` is not found in this model; `ward posture` lists what is"),
    }
}

#[cfg(test)]
mod tests;
