//! Paths, blast radii and cuts for people.
use posture::{Blast, Cuts, End, Path};

use crate::output::visible;

/// The paths that are shown, and how many there are.
pub(super) fn paths(shown: &[Path], all: usize) -> String {
    let mut out = String::new();
    for path in shown {
        out += &one(path);
        out.push('\n');
    }
    out += &summary(shown.len(), all);
    visible(&out).into_owned()
}

/// `confidential  attacker gets backups`.
pub(super) fn title(path: &Path) -> String {
    let verb = match path.end {
        End::Data => "gets",
        End::Control => "controls",
    };
    format!("{} {verb} {}", path.from, path.to)
}

/// `, if 2 assumptions hold`.
pub(super) fn certainty(path: &Path) -> String {
    match path.assumptions().count() {
        0 => "certain: needs no luck".to_owned(),
        1 => "needs 1 assumption".to_owned(),
        n => format!("needs {n} assumptions"),
    }
}

fn one(path: &Path) -> String {
    let class = posture::view::class_word(path.class);
    let mut out = format!("{class:<13} {}: {} ({})\n", path.id, title(path), certainty(path));
    for (number, step) in (1..).zip(&path.steps) {
        let mark = if step.assumed { " [assumed]" } else { "" };
        let technique = step.technique.map_or(String::new(), |t| format!("  {}", t.id));
        let at = step.at.as_ref().map_or(String::new(), |at| format!("  {}:{}", at.file, at.line));
        out += &format!("  {number:>2}. {}{mark}{technique}{at}\n", step.does);
    }
    if !path.also.is_empty() {
        out += &format!("      the same way leads to {}\n", posture::view::list(path.also.iter().map(String::as_str)));
    }
    if !path.also_from.is_empty() {
        let others = posture::view::list(path.also_from.iter().map(String::as_str));
        out += &format!("      the same way is open from {others}\n");
    }
    out
}

/// `3 paths`.
pub(super) fn summary(shown: usize, all: usize) -> String {
    match all {
        0 => "no paths\n".to_owned(),
        1 => "1 path\n".to_owned(),
        _ if shown < all => format!("{all} paths, {shown} shown (--max)\n"),
        _ => format!("{all} paths\n"),
    }
}

/// What each compromise reaches.
pub(super) fn blast(shown: &[Blast], all: usize) -> String {
    let mut out = String::new();
    for one in shown {
        let counts: Vec<String> = one.data.iter().map(|d| format!("{} {}", d.count, d.class)).collect();
        let counts = if counts.is_empty() { "no data but public ones".to_owned() } else { counts.join(", ") };
        out += &format!("{}: {counts}; connects to {} nodes\n", one.node, one.reaches);
        for data in &one.data {
            out += &format!("  {:<13} {}\n", data.class, shortened(&data.names));
        }
        if !one.controls.is_empty() {
            out += &format!("  then controls {}\n", shortened(&one.controls));
        }
    }
    if shown.len() < all {
        out += &format!("{all} nodes, {} shown (--max)\n", shown.len());
    }
    visible(&out).into_owned()
}

/// The first names of many.
fn shortened(names: &[String]) -> String {
    const SHOWN_MAX: usize = 12;
    match names.get(..SHOWN_MAX) {
        Some(first) if names.len() > SHOWN_MAX => {
            format!("{} and {} more", first.join(", "), names.len() - SHOWN_MAX)
        }
        _ => names.join(", "),
    }
}

/// The changes that stop the paths; each with its patch.
pub(super) fn cuts(cuts: &Cuts, patches: &[String]) -> String {
    let all = cuts.paths.len();
    let mut out = String::new();
    for (number, (cut, patch)) in (1..).zip(cuts.cuts.iter().zip(patches)) {
        out += &format!(
            "{number}. {}\n   breaks {} of {all} paths by itself, with those above {} of {all}; left: {}\n",
            cut.words,
            cut.breaks.len(),
            cut.broken,
            cut.left,
        );
        for line in patch.lines().filter(|l| !l.starts_with("---") && !l.starts_with("+++")) {
            if line.starts_with(['-', '+']) {
                out += &format!("   {line}\n");
            }
        }
    }
    out += &match (all, cuts.cuts.len(), cuts.left.len()) {
        (0, ..) => "no paths\n".to_owned(),
        (_, n, 0) => format!("{n} {} and no path is left of {all}\n", if n == 1 { "change" } else { "changes" }),
        (_, n, left) => {
            let ids: Vec<&str> = cuts.left.iter().map(|p| p.id.as_str()).collect();
            let changes = if n == 1 { "change" } else { "changes" };
            format!("{n} {changes}; {left} of the paths are left for people to mend: {}\n", ids.join(", "))
        }
    };
    visible(&out).into_owned()
}
