//! `ward graph`: the diagram, drawn.
use std::{path::PathBuf, process::ExitCode};

/// Draw a model as Mermaid or SVG
#[derive(clap::Args)]
#[command(after_help = "Example:\n  ward graph examples/shop --format svg --out shop.svg")]
pub(crate) struct Args {
    /// The directory that holds ward.yaml
    #[arg(default_value = ".")]
    dir: PathBuf,
}

/// Runs it.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not built yet: {}", args.dir.display())
}
