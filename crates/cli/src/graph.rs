//! `ward graph`: the diagram, drawn.
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::ValueEnum;

use crate::{diagnostics, model_dir, output, progress::during};

/// Draw a model as a diagram
///
/// Zones are nested boxes, flows run from left to right with their data; colours follow the most sensitive thing that
/// flows.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  ward graph examples/shop --format svg --out shop.svg\n  ward graph examples/shop >> README.md\n\n\
Exit codes: 0 drawn, 1 the model has errors, 2 a file cannot be read or written"
)]
pub(crate) struct Args {
    /// The directory that holds ward.yaml
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// What to draw
    #[arg(long, value_enum, default_value_t = Format::Mermaid)]
    format: Format,
    /// Where to write it; standard output without
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// The forms of a drawing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A Mermaid flowchart
    Mermaid,
    /// A picture for any browser, light or dark
    Svg,
}

/// Runs it.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    draw(&args.dir, args.format, args.out.as_deref())
}

/// Draws the model of a directory, to a file or to standard output.
///
/// # Errors
/// A file cannot be read or written.
pub(crate) fn draw(dir: &Path, format: Format, out: Option<&Path>) -> anyhow::Result<ExitCode> {
    let files = model_dir::read(dir)?;
    let loaded = during("reading the model", || model::load(&files));
    let Some(model) = loaded.model else {
        eprint!("{}", diagnostics::render(&files, &loaded.diagnostics));
        return Ok(ExitCode::from(output::FINDINGS));
    };
    let drawing = during("drawing", || match format {
        Format::Mermaid => model::graph::mermaid(&model),
        Format::Svg => model::graph::svg(&model),
    });
    output::write_of(dir, out, &drawing)?;
    Ok(ExitCode::SUCCESS)
}
