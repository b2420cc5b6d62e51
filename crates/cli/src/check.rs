//! `ward check`: everything that is wrong with a model, at once.
use std::{path::PathBuf, process::ExitCode};

use crate::{model_dir, output::Output};

/// Check a model and print everything that is wrong with it
#[derive(clap::Args)]
#[command(after_help = "Example:\n  ward check examples/shop\n\n\
Exit codes: 0 no errors, 1 errors found, 2 the directory cannot be read")]
pub(crate) struct Args {
    /// The directory that holds ward.yaml
    #[arg(default_value = ".")]
    dir: PathBuf,
    #[command(flatten)]
    output: Output,
}

/// Runs it.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let files = model_dir::read(&args.dir)?;
    let _ = (files, args.output.is_json());
    anyhow::bail!("not built yet")
}
