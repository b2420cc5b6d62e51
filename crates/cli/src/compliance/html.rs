//! A report as one page of HTML: nothing from elsewhere, no script, light and dark, fit to print. All text is escaped.
use posture::{Assessed as Control, Assessment, Failure, State};

use super::{Report, words};
use crate::output::visible;

const STYLE: &str = include_str!("report.css");

/// Most findings on top.
const WORST_MAX: usize = 10;

/// The page.
pub(super) fn page(of: &Report) -> String {
    let title = format!("Compliance of {}", of.model);
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
<title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n",
        text(&title)
    );
    out += &format!(
        "<header>\n<h1>{}</h1>\n<p class=\"when\">As of <time>{}</time>, of the model in <code>{}</code></p>\n\
<p class=\"means\">{}</p>\n</header>\n",
        text(&title),
        text(&of.date),
        text(&of.directory),
        prose(of.means),
    );
    out += &legend();
    out += "<nav aria-label=\"Frameworks\">\n";
    of.frameworks.iter().for_each(|one| out += &card(one));
    out += "</nav>\n";
    of.frameworks.iter().for_each(|one| out += &framework(one));
    out += "</main>\n</body>\n</html>\n";
    visible(&out).into_owned()
}

fn legend() -> String {
    let one = |state: State| {
        format!(
            "<li><span class=\"state {}\">{}</span> {}</li>\n",
            state.as_str(),
            words::heading(state),
            text(words::meaning(state))
        )
    };
    format!("<ul class=\"legend\">\n{}</ul>\n", State::ALL.map(one).concat())
}

/// Counts of a framework as numbers and as a bar.
fn card(of: &Assessment) -> String {
    let some = || State::ALL.into_iter().filter(|s| of.counts.of(*s) > 0);
    let part = |s: State| format!("<span class=\"{}\" style=\"flex-grow:{}\"></span>", s.as_str(), of.counts.of(s));
    let row = |s: State| {
        format!(
            "<li><b>{}</b> <span class=\"dot {}\"></span>{}</li>",
            of.counts.of(s),
            s.as_str(),
            s.as_str().replace('-', " ")
        )
    };
    format!(
        "<a class=\"card\" href=\"#{}\">\n<h2>{}</h2>\n<p>{}</p>\n<div class=\"bar\" aria-hidden=\"true\">{}</div>\n<ul>{}</ul>\n</a>\n",
        of.framework,
        text(of.name),
        text(of.version),
        some().map(part).collect::<String>(),
        some().map(row).collect::<String>(),
    )
}

fn framework(of: &Assessment) -> String {
    let mut out = format!(
        "<section id=\"{}\">\n<h2>{} <small>{}</small></h2>\n<p>{} <a href=\"{}\">The framework itself</a>.</p>\n",
        of.framework,
        text(of.name),
        text(of.version),
        prose(of.note),
        text(of.source),
    );
    if let Some(covers) = words::covers(of) {
        out += &format!("<p>{}</p>\n", prose(&covers));
    }
    let worst = of.worst();
    if !worst.is_empty() {
        let number = worst.len();
        let plural = if number == 1 { "" } else { "s" };
        out += &format!("<h3>{number} finding{plural} behind what is not satisfied</h3>\n<ol class=\"worst\">\n");
        for one in worst.iter().take(WORST_MAX) {
            out += &format!(
                "<li><span class=\"severity {0}\">{0}</span> <code>{1}</code> {2}</li>\n",
                one.severity,
                text(&one.id),
                prose(&one.why)
            );
        }
        out += "</ol>\n";
        if number > WORST_MAX {
            out += &format!("<p>and {} more, below</p>\n", number - WORST_MAX);
        }
    }
    for state in State::ALL {
        let all: Vec<&Control> = of.controls.iter().filter(|c| c.state == state).collect();
        if all.is_empty() {
            continue;
        }
        out += &format!("<h3>{} <small>{}</small></h3>\n", words::heading(state), all.len());
        if matches!(state, State::Manual | State::NotApplicable) {
            out += &table(of, &all);
        } else {
            all.into_iter().for_each(|one| out += &control(one));
        }
    }
    out + "</section>\n"
}

/// Controls that nothing was found about, nor could be.
fn table(of: &Assessment, all: &[&Control]) -> String {
    // Where nothing is covered, the section says so once for all.
    let applies = all.iter().any(|c| c.applies_with.is_some()) && of.covers.as_ref().is_none_or(|c| !c.is_empty());
    let mut out = "<table>\n<thead><tr><th>Control</th><th>Asks</th>".to_owned();
    if applies {
        out += "<th>Would apply with</th>";
    }
    out += "<th>A person shows</th></tr></thead>\n<tbody>\n";
    for one in all {
        out += &format!(
            "<tr><th scope=\"row\"><span class=\"cite\">{}</span> {}</th><td>{}</td>",
            text(&one.cite),
            text(one.title),
            prose(one.asks)
        );
        if applies {
            let with = one.applies_with.as_deref().unwrap_or_default();
            out += &format!("<td data-label=\"Would apply with\">{}</td>", prose(with));
        }
        out += &format!("<td data-label=\"A person shows\">{}</td></tr>\n", prose(one.show));
    }
    out + "</tbody>\n</table>\n"
}

fn control(of: &Control) -> String {
    let mut out = format!(
        "<article class=\"{}\">\n<h4><span class=\"cite\">{}</span> {}</h4>\n<p>{}</p>\n",
        of.state.as_str(),
        text(&of.cite),
        text(of.title),
        prose(of.asks)
    );
    of.findings.iter().for_each(|one| out += &failure(one));
    out += "<dl>\n";
    let tests: Vec<String> = words::at_work(of).map(|t| format!("<li>{}</li>", prose(&words::test(t)))).collect();
    if !tests.is_empty() {
        out += &format!("<dt>Found by rules</dt><dd><ul>{}</ul></dd>\n", tests.concat());
    }
    out += &format!("<dt>A person shows</dt><dd>{}</dd>\n</dl>\n</article>\n", prose(of.show));
    out
}

fn failure(of: &Failure) -> String {
    let mut out = format!(
        "<div class=\"finding\">\n<p><span class=\"severity {0}\">{0}</span> <code>{1}</code></p>\n<p>{2}</p>\n",
        of.severity,
        text(&of.id),
        prose(&of.why)
    );
    if let Some(root) = &of.follows {
        out += &format!("<p class=\"aside\">follows from <code>{}</code></p>\n", text(root));
    }
    let mut places: Vec<String> =
        of.evidence.iter().map(|e| format!("<code>{}:{}</code>", text(&e.file), e.line)).collect();
    places.dedup();
    if !places.is_empty() {
        out += &format!("<p class=\"aside\">at {}</p>\n", places.join(", "));
    }
    out += &match &of.waived {
        Some(w) => format!(
            "<p class=\"aside\">{}, accepted by <code>{}</code> of {} until {}: {}</p>\n",
            w.severity,
            text(&w.id),
            text(&w.owner),
            text(&w.until),
            text(&w.why)
        ),
        None => format!("<p class=\"aside\">mend: {}</p>\n", prose(&of.mend)),
    };
    out + "</div>\n"
}

/// Our own sentence: what stands in backticks is code.
fn prose(sentence: &str) -> String {
    let parts: Vec<&str> = sentence.split('`').collect();
    if parts.len().is_multiple_of(2) {
        return text(sentence);
    }
    let one = |(n, part): (usize, &&str)| match n % 2 {
        1 => format!("<code>{}</code>", text(part)),
        _ => text(part),
    };
    parts.iter().enumerate().map(one).collect()
}

/// Text, whatever is in it, as text; good in attributes too.
fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\'' => out += "&#39;",
            c => out.push(c),
        }
    }
    out
}
