//! `ward posture --watch`: grades when it begins and again after each change of a file, and tells what is new, gone and changed.
//! What a change does not touch is not asked again.
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use model::load::text::Text;
use posture::{Finding, Session};
use serde_json::{Value, json};
use time::Date;

use super::{Args, Format, diff, text, verdict};
use crate::{
    clock::Clock,
    diagnostics, model_dir,
    output::{self, visible},
    up::{
        signals::Signals,
        watch::{Fingerprint, PACE},
    },
};

/// A directory that is looked at again and again, and what its model said last.
pub(super) struct Watch {
    dir: PathBuf,
    today: Date,
    seen: Option<Fingerprint>,
    pub(super) session: Option<Session>,
    paths: usize,
}

/// What is told after a look.
pub(super) struct Told {
    /// For people.
    pub(super) text: String,
    /// For programs: one line.
    pub(super) json: Value,
    /// For people at the terminal, where the model has errors.
    pub(super) diagnostics: String,
}

impl Watch {
    pub(super) fn new(dir: &Path, today: Date) -> Self {
        Self { dir: dir.to_owned(), today, seen: None, session: None, paths: 0 }
    }

    /// Looks; tells something when a file has changed.
    pub(super) fn look(&mut self) -> anyhow::Result<Option<Told>> {
        let now = Fingerprint::of(&self.dir);
        if self.seen.as_ref() == Some(&now) {
            return Ok(None);
        }
        let first = self.seen.replace(now).is_none();
        let looked = Clock::now();
        let read = match model_dir::read(&self.dir) {
            Ok(read) => Text::new(read),
            Err(error) if first => return Err(error),
            // An editor may take the file away for a moment to put it back.
            Err(error) => return Ok(Some(self.refused(&format!("{error:#}\n"), json!([])))),
        };
        let loaded = read.load();
        let Some(model) = loaded.model.map(Arc::new) else {
            let shown = diagnostics::render(read.files(), &loaded.diagnostics);
            let all: Vec<Value> = loaded
                .diagnostics
                .iter()
                .map(|d| json!({ "file": d.file, "line": d.line, "code": d.code, "message": d.message }))
                .collect();
            return Ok(Some(self.refused(&shown, all.into())));
        };
        let begun = Clock::now();
        let reading = begun.saturating_duration_since(looked);
        let Some(session) = &mut self.session else {
            let session = Session::new(model, Some(&read), self.today);
            let took = Clock::now().saturating_duration_since(begun);
            let now: Vec<Finding> = session.findings().cloned().collect();
            let told = told(&session, (&[], &now), &mut self.paths, [reading, took]);
            self.session = Some(session);
            return Ok(Some(told));
        };
        let before = Arc::clone(session.model());
        let delta = session.next(model, Some(&read));
        let took = Clock::now().saturating_duration_since(begun);
        drop(before);
        let (mut before, mut now): (Vec<Finding>, Vec<Finding>) = delta.changed.into_iter().unzip();
        before.extend(delta.gone);
        now.extend(delta.new);
        Ok(Some(told(session, (&before, &now), &mut self.paths, [reading, took])))
    }

    fn refused(&self, diagnostics: &str, all: Value) -> Told {
        let kept = match &self.session {
            Some(_) => "the model has errors; what was found before stands\n",
            None => "the model has errors\n",
        };
        Told { text: kept.to_owned(), json: json!({ "errors": all }), diagnostics: diagnostics.to_owned() }
    }
}

/// What differs of the findings, before and now, how many there are of everything, and how long reading took and grading.
fn told(session: &Session, (before, now): (&[Finding], &[Finding]), known: &mut usize, times: [Duration; 2]) -> Told {
    let difference = diff::difference(before, now);
    let paths = session.paths().len();
    let [reading, took] = times.map(|time| (time.as_secs_f64() * 10_000.0).round() / 10.0);
    let mut out = diff::text(&difference);
    out += &text::summary(session.findings().map(|f| f.severity));
    out += &format!("{paths} paths, {known} before; took {took:.1} ms, and {reading:.1} ms to read\n");
    let json = json!({
        "new": difference.new,
        "gone": difference.gone,
        "changed": difference.changed,
        "new_also": difference.new_also,
        "gone_also": difference.gone_also,
        "findings": session.findings().len(),
        "paths": paths,
        "millis": took,
        "reading_millis": reading,
    });
    *known = paths;
    Told { text: out, json, diagnostics: String::new() }
}

/// Runs until a signal comes. The exit code is that of the last good state; a model that was never good is one with errors.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut watch = Watch::new(&args.dir, args.day.date()?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
    runtime.block_on(async {
        let mut signals = Signals::new()?;
        loop {
            if let Some(told) = watch.look()? {
                eprint!("{}", told.diagnostics);
                match args.format {
                    Format::Json => output::print(&format!("{}\n", told.json))?,
                    _ => output::print(&visible(&told.text))?,
                }
            }
            tokio::select! {
                _ = signals.next() => return Ok::<_, anyhow::Error>(()),
                () = tokio::time::sleep(PACE) => {}
            }
        }
    })?;
    let Some(session) = watch.session else { return Ok(ExitCode::from(output::FINDINGS)) };
    Ok(verdict(session.findings().map(|f| f.severity), args.fail_on))
}
