//! `ward init`: a first model to change. It writes one file and never over another.
use std::{
    fs::{self, OpenOptions},
    io::{ErrorKind, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use clap::ValueEnum;

use crate::output;

/// Write a first, commented model
///
/// Creates the directory when it is not there, and refuses to overwrite a ward.yaml.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  ward init hello && ward check hello\n  ward init --template shop my-shop\n\n\
Exit codes: 0 written, 2 ward.yaml is there already or cannot be written")]
pub(crate) struct Args {
    /// Where to write ward.yaml
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// What to begin with
    #[arg(long, value_enum, default_value_t = Template::Minimal)]
    template: Template,
}

/// The models to begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Template {
    /// A visitor, a gateway and one service; runs anywhere python3 does
    Minimal,
    /// An online shop with card data, stores, waivers and tests; bring your own programs
    Shop,
}

impl Template {
    fn text(self) -> &'static str {
        match self {
            Self::Minimal => include_str!("init/minimal.yaml"),
            Self::Shop => include_str!("init/shop.yaml"),
        }
    }
}

/// Runs it.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    fs::create_dir_all(&args.dir).with_context(|| format!("cannot create {}", args.dir.display()))?;
    let path = args.dir.join("ward.yaml");
    // Creating and checking are one step, so that nothing written meanwhile is lost.
    let mut file = match OpenOptions::new().write(true).create_new(true).open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            bail!("{} is there already: name another directory, or move it away", path.display());
        }
        Err(error) => return Err(error).with_context(|| format!("cannot create {}", path.display())),
    };
    file.write_all(args.template.text().as_bytes()).with_context(|| format!("cannot write {}", path.display()))?;
    let dir = args.dir.display();
    output::print(&format!(
        "wrote {}\n\nnext:\n  ward check {dir}    what is wrong with it, and what is not enforced yet\n  \
         ward graph {dir}    the diagram\n  ward up {dir}       run it\n",
        path.display()
    ))?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests;
