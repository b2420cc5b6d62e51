//! `ward init`: a first model to change.
use std::{path::PathBuf, process::ExitCode};

/// Write a first, commented model
#[derive(clap::Args)]
#[command(after_help = "Example:\n  ward init --template shop my-shop && ward check my-shop")]
pub(crate) struct Args {
    /// Where to write ward.yaml
    #[arg(default_value = ".")]
    dir: PathBuf,
}

/// Runs it.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not built yet: {}", args.dir.display())
}
