//! `ward explain --why-not`: everything that stands in a request's way, the rules that come nearest, and a change to the
//! diagram that would allow it.
use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context as _, bail};
use model::SourceFile;
use policy::{RuleReport, WhyNot, gate::Verdict, reasons};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Args, exit,
    facts::{Asked, Record, claims},
    proposal::{Proposal, propose},
};
use crate::{
    columns::columns,
    model_dir,
    online::Control,
    output::{self, visible},
};

/// What is printed: the JSON form has every field of every rule.
#[derive(Debug, Serialize)]
struct Report {
    /// The called node.
    node: String,
    /// The calling node, where it is known.
    from: Option<String>,
    /// Whether the request passes as it is.
    allowed: bool,
    /// What the caller is answered; 200 stands for the application's answer.
    status: u16,
    /// Reason code.
    reason: String,
    /// What it means.
    meaning: Option<&'static str>,
    /// What stands in the way; absent when no policy is asked.
    why_not: Option<WhyNot>,
    /// What would allow it.
    proposal: Proposal,
    /// The recorded decision that was asked about.
    #[serde(skip_serializing_if = "Option::is_none")]
    decision: Option<Value>,
    /// How the answer relates to the record.
    #[serde(skip_serializing_if = "Option::is_none")]
    remark: Option<String>,
}

/// Runs it.
pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let json = args.output.is_json();
    let report = match (&args.from, &args.to, &args.request, &args.subject) {
        (None, None, None, Some(id)) => {
            let id = id.to_string_lossy().into_owned();
            recorded(&id, args.control)?
        }
        (_, Some(to), _, _) => by_hand(&args, to)?,
        _ => bail!("name the two nodes with --from and --to, give --to and --request, or the id of a decision"),
    };
    if json {
        output::print_json(&report)?;
    } else {
        output::print(&words(&report))?;
    }
    Ok(exit(report.allowed))
}

fn by_hand(args: &Args, to: &str) -> anyhow::Result<Report> {
    let dir = args.subject.clone().unwrap_or_else(|| PathBuf::from("."));
    let files = model_dir::read(&dir)?;
    let model = crate::policy::load(&dir)?;
    let asked = match (&args.request, &args.from) {
        (Some(request), _) => Asked::from_line(&model, to, request)?,
        (None, Some(from)) => {
            let claims = args.claims.as_deref().map(claims).transpose()?;
            Asked::by_hand(&model, &args.question(from, to, claims.as_ref()))?
        }
        (None, None) => bail!("say who asks, with --from, or hand in the whole request, with --request"),
    };
    let answer = asked.answer(&model)?;
    let proposal = propose(&files, &model, &asked, &answer);
    Ok(Report::new(&asked, answer, proposal))
}

/// A decision that a proxy made, held against the model that is in force now: there a change would have to be made.
fn recorded(id: &str, control: Control) -> anyhow::Result<Report> {
    #[derive(Deserialize)]
    struct InForce {
        revision: u64,
        files: Vec<SourceFile>,
    }
    super::check_id(id)?;
    let path = format!("/v1/decisions/{id}");
    let (answer, in_force) =
        control.talk(|client| async move { Ok((client.get(&path).await?, client.get("/v1/model").await?)) })?;
    let decision = answer.get("decision").cloned().unwrap_or_default();
    let record = Record::deserialize(&decision).context("cannot read the record")?;
    let in_force = InForce::deserialize(in_force).context("cannot read the model in force")?;
    let Some(model) = model::load(&in_force.files).model else {
        bail!("the model in force was accepted by another version of Ward and is refused by this one");
    };
    if !model.nodes.contains_key(record.node.as_str()) {
        bail!("the model in force, revision {}, has no node `{}` any more", in_force.revision, record.node);
    }
    let asked = Asked::recorded(&model, &record)?;
    let before = reasons::find(&record.reason).filter(|reason| !reason.by_policy());
    // What was refused before any policy cannot be decided again: neither tokens nor malformed heads are kept.
    let answer = match before {
        Some(reason) => Err(Verdict::refused(record.status, reason.code)),
        None => asked.answer(&model)?,
    };
    let proposal = propose(&in_force.files, &model, &asked, &answer);
    let mut report = Report::new(&asked, answer, proposal);
    report.remark = if before.is_some() && !record.token_issuer.is_empty() {
        Some(format!("It was checked as a token of {}. Of a refused token nothing else is kept.", record.token_issuer))
    } else if record.revision != in_force.revision {
        let (then, now) = (record.revision, in_force.revision);
        Some(format!(
            "It was decided at revision {then} ({}); this is the answer of revision {now}, which is in force.",
            record.reason
        ))
    } else {
        None
    };
    report.decision = Some(decision);
    Ok(report)
}

impl Report {
    fn new(asked: &Asked, answer: Result<WhyNot, Verdict>, proposal: Proposal) -> Self {
        let (allowed, status, reason, why_not) = match answer {
            Ok(why) => (why.allowed, if why.allowed { 200 } else { 403 }, why.reason.as_str(), Some(why)),
            Err(verdict) => (false, verdict.status, verdict.reason, None),
        };
        Self {
            node: asked.node.clone(),
            from: asked.from.clone(),
            allowed,
            status,
            reason: reason.to_owned(),
            meaning: reasons::meaning(reason),
            why_not,
            proposal,
            decision: None,
            remark: None,
        }
    }
}

fn words(report: &Report) -> String {
    let mut text = super::verdict(report.allowed, &report.reason);
    match &report.why_not {
        Some(why) => text += &in_the_way(why),
        None => {
            let meaning = report.meaning.unwrap_or(&report.reason);
            text += &format!("answered {} before any policy is asked: {meaning}\n", report.status);
        }
    }
    if let Some(remark) = &report.remark {
        text += &format!("\n{}\n", visible(remark));
    }
    if !report.allowed {
        text += &proposed(&report.proposal);
    }
    text
}

fn in_the_way(why: &WhyNot) -> String {
    let request = visible(&why.request.to_string()).into_owned();
    if why.allowed {
        return match &why.allowing {
            Some(rule) => format!("{} allows {request}\n", rule.name()),
            None => format!("no ALLOW policy selects the node, and nothing refuses {request}\n"),
        };
    }
    let mut text = String::new();
    for rule in &why.refusing {
        text += &format!("{} refuses {request}\n", visible(&rule.name()));
        text += &fields(rule, true);
    }
    if let Some(rule) = &why.allowing {
        text += &format!("{} would allow it\n", visible(&rule.name()));
    } else if why.allow_rules == 0 {
        text += &format!("nothing allows {request}: no flow leads here, and no rule allows anything\n");
    } else {
        let rules = if why.allow_rules == 1 { "there is one" } else { "the nearest" };
        let of = if why.nearest.len() < why.allow_rules { format!(" of {}", why.allow_rules) } else { String::new() };
        text += &format!("no rule allows {request}; {rules}{of}:\n");
        for (n, rule) in why.nearest.iter().enumerate() {
            text += &format!("{}. {}\n", n + 1, visible(&rule.name()));
            text += &fields(rule, false);
        }
    }
    text
}

/// What a rule found that refuses; of a rule that does not allow, what it misses.
fn fields(rule: &RuleReport, refuses: bool) -> String {
    let shown = rule.fields.iter().filter(|field| refuses || !field.ok);
    let rows: Vec<[String; 3]> = shown
        .map(|field| {
            let verb = if refuses { "looks for" } else { "wanted" };
            let wanted = format!("{verb} {}", field.wanted_words());
            [format!("   {}", field.word()), wanted, format!("got {}", field.got_words())]
        })
        .collect();
    columns(&rows, &[])
}

fn proposed(proposal: &Proposal) -> String {
    let mut text = String::new();
    if !proposal.changes.is_empty() {
        text += "\nA proposal, to be judged before it is taken:\n";
    }
    for change in &proposal.changes {
        text += &format!("  {}, {}\n", visible(&change.file), visible(&change.what));
        for line in change.yaml.lines() {
            text += &format!("    {}\n", visible(line));
        }
    }
    match &proposal.tried {
        Some(tried) if tried.allowed => text += "Tried on the model: with it, the request is allowed.\n",
        Some(tried) if tried.accepted => {
            text += &format!("Tried on the model: with it alone, the request is still denied ({}).\n", tried.reason);
        }
        Some(tried) => text += &format!("Tried on the model: Ward would refuse it, {}.\n", visible(&tried.reason)),
        None => {}
    }
    if !proposal.notes.is_empty() {
        text += "\n";
    }
    for note in &proposal.notes {
        text += &format!("{}\n", visible(note));
    }
    text
}

#[cfg(test)]
mod tests;
