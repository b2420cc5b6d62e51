//! `ward compliance frameworks`: what Ward knows of each framework, and what it tests.
use std::process::ExitCode;

use posture::Framework;
use serde_json::{Value, json};

use crate::{
    columns::columns,
    output::{self, Output},
};

/// The frameworks, or the controls of one: what each asks in our own words, and which rules test it
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  ward compliance frameworks\n  ward compliance frameworks gdpr\n\n\
Exit codes: 0 printed, 2 no framework of this name")]
pub(super) struct Args {
    /// Which one; all without
    #[arg(value_parser = super::framework, value_name = "FRAMEWORK")]
    framework: Option<Framework>,
    #[command(flatten)]
    output: Output,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match (args.framework, args.output.is_json()) {
        (None, false) => output::print(&list())?,
        (None, true) => output::print_json(&Framework::ALL.map(summary))?,
        (Some(one), false) => output::print(&controls(one))?,
        (Some(one), true) => {
            let mut all = summary(one);
            if let Some(fields) = all.as_object_mut() {
                fields.insert("controls".to_owned(), detail(one));
            }
            output::print_json(&all)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn tested(of: Framework) -> usize {
    of.table().clauses.iter().filter(|c| c.tested).count()
}

pub(super) fn list() -> String {
    let head = ["framework", "name", "version", "controls", "tested by rules", "manual"].map(str::to_owned);
    let rows = Framework::ALL.map(|of| {
        let (table, tested) = (of.table(), tested(of));
        let all = table.clauses.len();
        [
            of.as_str().to_owned(),
            table.name.to_owned(),
            table.version.to_owned(),
            all.to_string(),
            tested.to_string(),
            (all - tested).to_string(),
        ]
    });
    let rows: Vec<[String; 6]> = std::iter::once(head).chain(rows).collect();
    let about = "Controls that concern services, data, access, logs and AI, in our own words. `tested` is of the design in a \
model,\nnever of operation; `ward compliance frameworks NAME` lists the controls of one.\n";
    format!("{}\n{about}", columns(&rows, &[3, 4, 5]))
}

pub(super) fn controls(of: Framework) -> String {
    let table = of.table();
    let mut out = format!(
        "{}, {}: {} controls, {} tested by rules, {} manual\n{}\n",
        table.name,
        table.version,
        table.clauses.len(),
        tested(of),
        table.clauses.len() - tested(of),
        table.source,
    );
    for clause in table.clauses {
        out += &format!("\n{}{}  {}\n  {}\n", table.prefix, clause.id, clause.title, clause.asks);
        let rules: Vec<&str> = of.rules(clause.id).map(|r| r.id).collect();
        out += &match rules.as_slice() {
            [] => format!("  manual: {}\n", clause.show),
            rules => format!("  tested by {}\n  a person shows: {}\n", rules.join(", "), clause.show),
        };
    }
    out
}

fn summary(of: Framework) -> Value {
    let (table, tested) = (of.table(), tested(of));
    json!({
        "framework": of.as_str(),
        "name": table.name,
        "version": table.version,
        "source": table.source,
        "counts": { "all": table.clauses.len(), "tested": tested, "manual": table.clauses.len() - tested },
    })
}

fn detail(of: Framework) -> Value {
    let one = |clause: &posture::Clause| {
        json!({
            "control": format!("{}:{}", of.as_str(), clause.id),
            "cite": format!("{}{}", of.table().prefix, clause.id),
            "title": clause.title,
            "asks": clause.asks,
            "tested_by": of.rules(clause.id).map(|r| r.id).collect::<Vec<_>>(),
            "show": clause.show,
        })
    };
    of.table().clauses.iter().map(one).collect()
}
