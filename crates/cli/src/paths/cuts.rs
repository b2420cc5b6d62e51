//! `ward paths cuts`: the fewest changes that break most paths, each proved by asking again of the patched model.
use std::{path::PathBuf, process::ExitCode};

use model::load::text::Text;
use serde_json::Value;

use super::{Asked, text};
use crate::{
    model_dir,
    output::{self, Output},
    posture::{unified, write},
    progress::during,
};

/// The fewest changes that break most paths, each as a patch
///
/// Each change was made in the text, the text read again and the paths asked for again: what is told is what was then found. A
/// change that breaks no path is not shown. Taking a flow away is proposed only for a path that nothing else breaks.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  ward paths cuts examples/tasky/current\n  ward paths cuts --to card --max 1 --apply\n\n\
Exit codes: 0 with these changes no path is left, 1 some are left, or the model has errors, 2 the directory cannot be read or the \
file written, or the model has no such name"
)]
pub(super) struct Args {
    /// The directory that holds ward.yaml
    #[arg(default_value = ".")]
    dir: PathBuf,
    #[command(flatten)]
    asked: Asked,
    /// Make at most this many changes
    #[arg(long, value_name = "N", default_value_t = 10)]
    max: usize,
    /// Print the patch of all changes, and write them into the file
    #[arg(long)]
    apply: bool,
    #[command(flatten)]
    output: Output,
}

/// Runs it.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let Some((before, _)) = model_dir::load(&args.dir)? else { return Ok(ExitCode::from(output::FINDINGS)) };
    let (mut now, mut patches) = (before.clone(), Vec::new());
    let made = |without: &Text, with: &Text| {
        patches.push(unified(without, with));
        now.clone_from(with);
    };
    let found = during("trying changes", || posture::cuts(&before, &args.asked.question(), args.max, made))?;
    if args.output.is_json() {
        output::print_json(&json(&found, &patches)?)?;
    } else if args.apply {
        output::print(&unified(&before, &now))?;
    } else {
        output::print(&text::cuts(&found, &patches))?;
    }
    if args.apply {
        for (old, new) in before.files().iter().zip(now.files()).filter(|(old, new)| old.text != new.text) {
            write(&args.dir, old, new)?;
        }
        eprintln!("applied {} changes, {} of {} paths are left", found.cuts.len(), found.left.len(), found.paths.len());
    }
    Ok(if found.left.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(output::FINDINGS) })
}

fn json(found: &posture::Cuts, patches: &[String]) -> anyhow::Result<Value> {
    let mut value = serde_json::to_value(found)?;
    let cuts = value.get_mut("cuts").and_then(Value::as_array_mut);
    for (cut, patch) in cuts.into_iter().flatten().zip(patches) {
        if let Some(cut) = cut.as_object_mut() {
            cut.insert("patch".to_owned(), patch.as_str().into());
        }
    }
    Ok(value)
}
