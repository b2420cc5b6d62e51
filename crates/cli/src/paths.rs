//! `ward paths`: how somebody outside comes to data, what a compromise reaches, and which changes stop it. Needs only the model.
use std::{path::PathBuf, process::ExitCode};

use clap::{Subcommand, ValueEnum};
use model::Class;
use posture::{Attack, Path, Question};

use crate::{model_dir, output, progress::during};

mod cuts;
mod markdown;
mod mermaid;
#[cfg(test)]
mod tests;
mod text;

/// Attack paths: how somebody outside comes to data, step by step
///
/// A path is a chain of steps that the diagram lets an attacker take, each with its ATT&CK technique and its line: flows,
/// exposed nodes, stores that ask for no proof, credentials and what they open. Steps that need an attacker's luck (breaking in,
/// a guessed login, a place on the wire) are marked `assumed`. There is one path for each essential way, the worst class of
/// data first. docs/posture.md says how they are found.
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = "Examples:\n  ward paths examples/tasky/current\n  \
ward paths --to mongo-creds -o mermaid examples/tasky/current\n  \
ward paths --from app --assume \"hold ssh-key\" examples/tasky/current\n  \
ward paths --blast examples/tasky/current\n  \
ward paths cuts examples/tasky/current\n\n\
Exit codes: 0 no path (with --fail-on: none to data of that class), or a blast radius was told, 1 there are paths, or the model \
has errors, 2 the directory cannot be read, or the model has no such name")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// The directory that holds ward.yaml
    #[arg(default_value = ".")]
    dir: PathBuf,
    #[command(flatten)]
    asked: Asked,
    /// Print at most this many paths
    #[arg(long, value_name = "N", default_value_t = 20)]
    max: usize,
    /// Exit 1 only when a path leads to data of this class, or worse
    #[arg(long, value_enum, value_name = "CLASS", conflicts_with = "blast")]
    fail_on: Option<Level>,
    /// What a compromise of this node reaches by itself, without a name: of each node
    #[arg(long, value_name = "NODE", num_args = 0..=1, require_equals = true, default_missing_value = "", conflicts_with_all = ["from", "to", "assume"])]
    blast: Option<String>,
    /// How to print
    #[arg(short = 'o', long = "output", value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    format: Format,
}

#[derive(Subcommand)]
enum Command {
    Cuts(cuts::Args),
}

/// What is asked.
#[derive(clap::Args)]
struct Asked {
    /// Where from: a node that is the attacker's, or a zone; may be given more than once [default: every hostile party and
    /// every zone without trust]
    #[arg(long, value_name = "NODE|ZONE")]
    from: Vec<String>,
    /// To what: a datum, or control of a node; may be given more than once [default: all data but public ones, and every
    /// administration]
    #[arg(long, value_name = "DATUM|NODE")]
    to: Vec<String>,
    /// What the attacker has besides: `control NODE`, `hold DATUM` or `reach NODE`; may be given more than once
    #[arg(long, value_name = "WHAT NAME")]
    assume: Vec<String>,
}

impl Asked {
    fn question(&self) -> Question {
        Question { from: self.from.clone(), to: self.to.clone(), assume: self.assume.clone() }
    }
}

/// The forms of output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// For programs
    Json,
    /// A report to keep
    Markdown,
    /// A Mermaid flowchart
    Mermaid,
}

/// A class of data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Level {
    /// Inside the organisation
    Internal,
    /// Named people and services
    Confidential,
    /// Regulated
    Restricted,
    /// A credential, or an administration
    Secret,
}

impl Level {
    fn class(self) -> Class {
        match self {
            Self::Internal => Class::Internal,
            Self::Confidential => Class::Confidential,
            Self::Restricted => Class::Restricted,
            Self::Secret => Class::Secret,
        }
    }
}

/// Runs it.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    if let Some(Command::Cuts(args)) = args.command {
        return cuts::run(&args);
    }
    let Some((text, model)) = model_dir::load(&args.dir)? else { return Ok(ExitCode::from(output::FINDINGS)) };
    if let Some(node) = &args.blast {
        let of = Some(node.as_str()).filter(|n| !n.is_empty());
        let all = during("following compromises", || Attack::new(&model).blast(of))?;
        let shown = all.get(..args.max).filter(|_| node.is_empty()).unwrap_or(&all);
        match args.format {
            Format::Json => output::print_json(&all)?,
            Format::Markdown => output::print(&markdown::blast(&all))?,
            Format::Text => output::print(&text::blast(shown, all.len()))?,
            Format::Mermaid => anyhow::bail!("a blast radius is printed as text, json or markdown"),
        }
        return Ok(ExitCode::SUCCESS);
    }
    let paths = during("following attackers", || Attack::new(&model).paths(&args.asked.question(), Some(&text)))?;
    let shown = paths.get(..args.max).unwrap_or(&paths);
    match args.format {
        Format::Text => output::print(&text::paths(shown, paths.len()))?,
        Format::Json => output::print_json(&shown)?,
        Format::Markdown => output::print(&markdown::paths(&args.dir, shown, paths.len()))?,
        Format::Mermaid => output::print(&mermaid::chart(shown))?,
    }
    if paths.is_empty() && args.asked.question().from.is_empty() && is_without_attackers(&model) {
        eprintln!(
            "the model names nobody to fear: no zone has `trust: none` and no node is `hostile`; say who, or ask with --from"
        );
    }
    Ok(verdict(&paths, args.fail_on))
}

/// Whether nobody begins anywhere, so that there is no path whatever the diagram is.
fn is_without_attackers(model: &model::Model) -> bool {
    model.zones.values().all(|z| z.trust != model::Trust::None) && model.nodes.values().all(|n| !n.hostile)
}

/// Exit 1 when there is a path, or one of a class.
fn verdict(paths: &[Path], fail_on: Option<Level>) -> ExitCode {
    let counts = |p: &Path| fail_on.is_none_or(|level| p.class >= level.class());
    if paths.iter().any(counts) { ExitCode::from(output::FINDINGS) } else { ExitCode::SUCCESS }
}
