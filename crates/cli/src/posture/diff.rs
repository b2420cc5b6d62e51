//! `ward posture diff`: what a change of the model takes away, brings, and makes better or worse.
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    process::ExitCode,
};

use posture::{Finding, Severity};
use serde::Serialize;

use super::{Day, Level, read, verdict};
use crate::output::{self, Output, visible};

/// Compare the findings of two models: new, gone, changed
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  ward posture diff examples/tasky/current examples/tasky/secure\n  \
ward posture diff --fail-on medium main proposed\n\n\
Exit codes: 0 compared, 1 a model has errors, or with --fail-on: a new or worse finding is that severe, 2 a directory \
cannot be read")]
pub(super) struct Args {
    /// The directory with the model as it was
    #[arg(value_name = "A")]
    before: PathBuf,
    /// The directory with the model as it would be
    #[arg(value_name = "B")]
    after: PathBuf,
    /// Exit 1 when a new or worse finding is this severe
    #[arg(long, value_enum, value_name = "SEVERITY")]
    fail_on: Option<Level>,
    #[command(flatten)]
    day: Day,
    #[command(flatten)]
    output: Output,
}

/// What differs.
#[derive(Serialize)]
pub(super) struct Difference<'f> {
    /// Only in the second.
    pub(super) new: Vec<&'f Finding>,
    /// Only in the first.
    pub(super) gone: Vec<&'f Finding>,
    /// In both, with another severity.
    pub(super) changed: Vec<Changed<'f>>,
}

/// A finding that is in both.
#[derive(Serialize)]
pub(super) struct Changed<'f> {
    /// Its severity in the first.
    pub(super) was: Severity,
    /// As it is in the second.
    pub(super) now: &'f Finding,
}

/// Runs it.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let today = args.day.date()?;
    let (Some(before), Some(after)) = (read(&args.before, today)?, read(&args.after, today)?) else {
        return Ok(ExitCode::from(output::FINDINGS));
    };
    let difference = difference(&before.findings, &after.findings);
    if args.output.is_json() {
        output::print_json(&difference)?;
    } else {
        output::print(&text(&difference))?;
    }
    let worse = difference.changed.iter().filter(|c| c.now.severity > c.was).map(|c| c.now);
    Ok(verdict(difference.new.iter().copied().chain(worse), args.fail_on))
}

/// By id. What stood below another finding and stands by itself now, or the other way round, was there and is there.
pub(super) fn difference<'f>(before: &'f [Finding], after: &'f [Finding]) -> Difference<'f> {
    let was: BTreeMap<&str, &Finding> = before.iter().map(|f| (f.id.as_str(), f)).collect();
    let is: BTreeMap<&str, &Finding> = after.iter().map(|f| (f.id.as_str(), f)).collect();
    let changed = after.iter().filter_map(|now| {
        let was = was.get(now.id.as_str())?.severity;
        (was != now.severity).then_some(Changed { was, now })
    });
    let below = |all: &'f [Finding]| all.iter().flat_map(|f| &f.also).map(|c| c.id.as_str()).collect::<BTreeSet<_>>();
    let (was_below, is_below) = (below(before), below(after));
    let had = |f: &&Finding| was.contains_key(f.id.as_str()) || was_below.contains(f.id.as_str());
    let has = |f: &&Finding| is.contains_key(f.id.as_str()) || is_below.contains(f.id.as_str());
    Difference {
        new: after.iter().filter(|f| !had(f)).collect(),
        gone: before.iter().filter(|f| !has(f)).collect(),
        changed: changed.collect(),
    }
}

pub(super) fn text(difference: &Difference<'_>) -> String {
    let mut out = String::new();
    for finding in &difference.new {
        out += &format!("new      {:<9} {}\n                   {}\n", finding.severity, finding.id, finding.why);
    }
    for Changed { was, now } in &difference.changed {
        out += &format!("changed  {:<9} {}, was {was}\n", now.severity, now.id);
    }
    for finding in &difference.gone {
        out += &format!("gone     {:<9} {}\n", finding.severity, finding.id);
    }
    let (new, gone, changed) = (difference.new.len(), difference.gone.len(), difference.changed.len());
    out += &format!("{new} new, {gone} gone, {changed} changed\n");
    visible(&out).into_owned()
}
