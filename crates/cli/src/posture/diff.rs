//! `ward posture diff`: what a change of the model takes away, brings, and makes better or worse.
use std::{collections::BTreeMap, path::PathBuf, process::ExitCode};

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
    /// Only in the second, and below a finding that is in both.
    pub(super) new_also: Vec<Below<'f>>,
    /// Only in the first, and below a finding that is in both.
    pub(super) gone_also: Vec<Below<'f>>,
}

/// A finding that is in both.
#[derive(Serialize)]
pub(super) struct Changed<'f> {
    /// Its id.
    pub(super) id: &'f str,
    /// Its severity in the first, or that of what it stood below.
    pub(super) was: Severity,
    /// As it is in the second, or what it stands below.
    pub(super) now: &'f Finding,
}

/// What stands below a finding.
#[derive(Serialize)]
pub(super) struct Below<'f> {
    /// Its id.
    pub(super) id: &'f str,
    /// A sentence.
    pub(super) why: &'f str,
    /// The finding that it stands below.
    pub(super) follows: &'f str,
    /// How bad that one is.
    pub(super) severity: Severity,
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
    let worse = difference.changed.iter().filter(|c| c.now.severity > c.was).map(|c| c.now.severity);
    let new = difference.new.iter().map(|f| f.severity).chain(difference.new_also.iter().map(|b| b.severity));
    Ok(verdict(new.chain(worse), args.fail_on))
}

/// By id. What stood below another finding and stands by itself now, or the other way round, was there and is there.
pub(super) fn difference<'f>(before: &'f [Finding], after: &'f [Finding]) -> Difference<'f> {
    let (was, is) = (places(before), places(after));
    let (only_after, only_before) = (except(after, &was), except(before, &is));
    let mut changed = Vec::new();
    for now in after {
        for id in ids(now) {
            let Some(then) = was.get(id) else { continue };
            // Of what stands below another one only that is known: whether somebody answers for it.
            let by_itself = then.id == id && now.id == id;
            let accepted = [then.severity, now.severity].map(|s| s == Severity::Accepted);
            if by_itself && then.severity != now.severity || accepted[0] != accepted[1] {
                changed.push(Changed { id, was: then.severity, now });
            }
        }
    }
    Difference { new: only_after.0, gone: only_before.0, changed, new_also: only_after.1, gone_also: only_before.1 }
}

/// A finding's own id, and those of what follows from it.
fn ids(finding: &Finding) -> impl Iterator<Item = &str> {
    std::iter::once(finding.id.as_str()).chain(finding.also.iter().map(|c| c.id.as_str()))
}

/// Where each id stands: by itself, or below another one.
fn places(all: &[Finding]) -> BTreeMap<&str, &Finding> {
    let below = all.iter().flat_map(|f| f.also.iter().map(move |c| (c.id.as_str(), f)));
    below.chain(all.iter().map(|f| (f.id.as_str(), f))).collect()
}

/// What is not there: findings, and what follows from findings that are.
fn except<'f>(all: &'f [Finding], there: &BTreeMap<&str, &Finding>) -> (Vec<&'f Finding>, Vec<Below<'f>>) {
    let is_there = |id: &str| there.contains_key(id);
    let (known, new): (Vec<&Finding>, Vec<&Finding>) = all.iter().partition(|f| is_there(&f.id));
    let below = known.into_iter().flat_map(|f| {
        let lacking = f.also.iter().filter(|c| !is_there(&c.id));
        lacking.map(|c| Below { id: &c.id, why: &c.why, follows: &f.id, severity: f.severity })
    });
    (new, below.collect())
}

pub(super) fn text(difference: &Difference<'_>) -> String {
    let mut out = String::new();
    for finding in &difference.new {
        out += &format!("new      {:<9} {}\n                   {}\n", finding.severity, finding.id, finding.why);
    }
    for Below { id, why, follows, severity } in &difference.new_also {
        out += &format!("new      {severity:<9} {id}, with {follows}\n                   {why}\n");
    }
    for Changed { id, was, now } in &difference.changed {
        let with = if now.id == *id { String::new() } else { format!(", with {}", now.id) };
        out += &format!("changed  {:<9} {id}{with}, was {was}\n", now.severity);
    }
    for finding in &difference.gone {
        out += &format!("gone     {:<9} {}\n", finding.severity, finding.id);
    }
    for Below { id, follows, severity, .. } in &difference.gone_also {
        out += &format!("gone     {severity:<9} {id}, with {follows}\n");
    }
    let new = difference.new.len() + difference.new_also.len();
    let gone = difference.gone.len() + difference.gone_also.len();
    let changed = difference.changed.len();
    out += &format!("{new} new, {gone} gone, {changed} changed\n");
    visible(&out).into_owned()
}
