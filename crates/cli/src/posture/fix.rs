//! `ward posture fix`: the patch that mends one finding, proved before it is shown: the patched model is read and graded.
use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use model::SourceFile;

use super::{Day, diff::difference, find, grade, patch::unified, read};
use crate::{
    diagnostics,
    output::{self, visible},
    progress::during,
};

/// Print the patch that mends a finding, or apply it
///
/// The patch changes only what it must: comments and layout stay. It is shown only if the patched model is good and the
/// finding is gone from it; what else comes or goes is told on standard error. The model then says what should be so: have it
/// so in the world as well.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  ward posture fix public-store@backup-bucket examples/tasky/current\n  \
ward posture fix plaintext-flow@insert --apply\n\n\
Exit codes: 0 printed or applied, 1 the model has errors, or the finding can only be mended by hand, 2 no such finding, or the \
file cannot be read or written, or has changed meanwhile")]
pub(super) struct Args {
    /// The finding, rule@subject
    id: String,
    /// The directory that holds ward.yaml
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Write the change into the file
    #[arg(long)]
    apply: bool,
    #[command(flatten)]
    day: Day,
}

/// Runs it.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let today = args.day.date()?;
    let Some(before) = read(&args.dir, today)? else { return Ok(ExitCode::from(output::FINDINGS)) };
    let finding = find(&before.findings, &args.id)?;
    let by_hand = |why: &str| {
        eprintln!("{}", visible(&format!("{why}\nmend: {}", finding.fix.words)));
        Ok(ExitCode::from(output::FINDINGS))
    };
    if finding.fix.changes.is_empty() {
        return by_hand(&format!("`{}` can only be mended by hand", finding.id));
    }
    let proof =
        during("proving the patch", || before.text.changed(&finding.fix.changes).map(|after| grade(after, today)));
    let graded = match proof {
        Ok(graded) => graded,
        Err(error) => return by_hand(&error.to_string()),
    };
    let after = match graded {
        Ok(after) => after,
        Err(refused) => {
            eprint!("{}", diagnostics::render(&refused.files, &refused.diagnostics));
            return by_hand("with the patch the model would have errors, so there is none");
        }
    };
    if after.findings.iter().any(|f| f.id == finding.id) {
        return by_hand("the patch would not be enough, so there is none");
    }
    output::print(&unified(&before.text, &after.text))?;
    let difference = difference(&before.findings, &after.findings);
    let mut told = String::new();
    for gone in &difference.gone {
        told += &format!("takes away {} {}\n", gone.severity, gone.id);
    }
    for new in &difference.new {
        told += &format!("brings {} {}: {}\n", new.severity, new.id, new.why);
    }
    for changed in &difference.changed {
        told += &format!("makes {} {}, was {}\n", changed.now.id, changed.now.severity, changed.was);
    }
    if args.apply {
        let pairs = before.text.files().iter().zip(after.text.files());
        for (old, new) in pairs.filter(|(old, new)| old.text != new.text) {
            write(&args.dir, old, new)?;
        }
        told += "applied\n";
    }
    eprint!("{}", visible(&told));
    Ok(ExitCode::SUCCESS)
}

/// Replaces a file whole, if it is still what was read.
pub(crate) fn write(dir: &Path, old: &SourceFile, new: &SourceFile) -> anyhow::Result<()> {
    // A link keeps being one: what it leads to is replaced.
    let path = dir.join(&old.name);
    let path = path.canonicalize().with_context(|| format!("cannot open {}", path.display()))?;
    let now = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    if now != old.text {
        bail!("{} has changed meanwhile: nothing was written", path.display());
    }
    let beside = path.with_extension("yaml.new");
    let written = || -> std::io::Result<()> {
        let mut file = fs::OpenOptions::new().write(true).create_new(true).open(&beside)?;
        file.write_all(new.text.as_bytes())?;
        file.set_permissions(fs::metadata(&path)?.permissions())?;
        file.sync_all()?;
        fs::rename(&beside, &path)
    };
    let outcome = written();
    if outcome.is_err() {
        // Nothing of ours stays behind; that the name was taken is told below.
        if outcome.as_ref().is_err_and(|e| e.kind() != std::io::ErrorKind::AlreadyExists) {
            let _ = fs::remove_file(&beside);
        }
    }
    outcome.with_context(|| format!("cannot write {} by way of {}", path.display(), beside.display()))
}
