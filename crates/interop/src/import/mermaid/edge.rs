//! Arrows of flowcharts: `-->`, `-- text -->`, `==>`, `-.->`, `--o`, `--x`, `<-->`, `---`, `~~~`, each of any length.
/// Longest text on an arrow.
const TEXT_MAX: usize = 4_096;

/// An arrow, and what stands behind it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Arrow<'a> {
    pub(super) text: Option<&'a str>,
    pub(super) heads: Heads,
    pub(super) rest: &'a str,
}

/// What an arrow has at its ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heads {
    /// `-->`
    One,
    /// `<-->`
    Both,
    /// `---`
    None,
    /// `--o`
    Circle,
    /// `--x`
    Cross,
    /// `~~~`: nothing is drawn
    Invisible,
}

/// The arrow that a text begins with.
pub(super) fn arrow(text: &str) -> Option<Arrow<'_>> {
    if let Some(rest) = text.strip_prefix("~~~") {
        let rest = rest.trim_start_matches('~');
        return Some(Arrow { text: None, heads: Heads::Invisible, rest });
    }
    let (tail, body) = match text.as_bytes().first()? {
        b'<' | b'x' | b'o' => (text.as_bytes().first().copied(), text.get(1..)?),
        _ => (None, text),
    };
    let line = Line::of(body)?;
    let (head, rest, label) = match line.end(body) {
        Some((head, rest)) => (head, rest, None),
        None => {
            // The arrow begins here, and its text stands before its end.
            let inner = body.get(2..).filter(|_| !body.starts_with('.'))?;
            let (label, head, rest) = line.labelled(inner)?;
            (head, rest, Some(label))
        }
    };
    let heads = match (tail, head) {
        (Some(b'<'), Some('>')) => Heads::Both,
        (Some(b'o'), Some('o')) => Heads::Circle,
        (Some(b'x'), Some('x')) => Heads::Cross,
        (_, Some('>')) => Heads::One,
        (_, Some('o')) => Heads::Circle,
        (_, Some('x')) => Heads::Cross,
        _ => Heads::None,
    };
    match label {
        // `A --|text|--> B` is not Mermaid's, and people write it.
        Some(label) => {
            let label = label.trim();
            let label = label.strip_prefix('|').and_then(|l| l.strip_suffix('|')).unwrap_or(label);
            Some(Arrow { text: Some(label), heads, rest })
        }
        None => {
            let after = rest.trim_start_matches([' ', '\t']);
            let piped = after.strip_prefix('|').and_then(|inner| {
                let (label, rest) = within(inner, "|")?;
                Some(Arrow { text: Some(label), heads, rest })
            });
            piped.or(Some(Arrow { text: None, heads, rest }))
        }
    }
}

/// How the line of an arrow is drawn.
#[derive(Clone, Copy)]
enum Line {
    Solid,
    Thick,
    Dotted,
}

impl Line {
    fn of(text: &str) -> Option<Self> {
        match text.get(..2)? {
            "--" => Some(Self::Solid),
            "==" => Some(Self::Thick),
            "-." | ".-" | ".." => Some(Self::Dotted),
            _ => None,
        }
    }

    /// The head and the rest, where the text begins with a whole line: `-->`, `---`, `-.->`.
    fn end(self, text: &str) -> Option<(Option<char>, &str)> {
        let (rest, drawn) = match self {
            Self::Solid | Self::Thick => {
                let c = if matches!(self, Self::Solid) { '-' } else { '=' };
                let rest = text.trim_start_matches(c);
                (rest, text.len() - rest.len())
            }
            Self::Dotted => {
                let dots = text.strip_prefix('-').unwrap_or(text);
                let rest = dots.trim_start_matches('.');
                let rest = (rest.len() < dots.len()).then(|| rest.strip_prefix('-')).flatten()?;
                (rest, 3)
            }
        };
        if drawn < 2 {
            return None;
        }
        let head = rest.chars().next().filter(|c| matches!(c, '>' | 'x' | 'o'));
        match head {
            // `A -- out --> B` begins a text, `A --o B` ends in a circle.
            Some('x' | 'o')
                if drawn == 2 && rest.chars().nth(1).is_some_and(|c| c.is_alphanumeric()) && text.contains("--") =>
            {
                let after = rest.get(1..).unwrap_or_default();
                let line = after.split('\n').next().unwrap_or_default();
                let labelled = self.find(line.get(..floor(line, TEXT_MAX)).unwrap_or_default()).is_some();
                if labelled { None } else { Some((head, after)) }
            }
            Some(_) => Some((head, rest.get(1..)?)),
            None if drawn > 2 => Some((None, rest)),
            None => None,
        }
    }

    /// The text up to the end of the line, its head, and the rest.
    fn labelled(self, inner: &str) -> Option<(&str, Option<char>, &str)> {
        let open = inner.trim_start_matches([' ', '\t']);
        let skipped = inner.len() - open.len();
        if let Some(quoted) = open.strip_prefix('"') {
            let (_, rest) = within(quoted, "\"")?;
            let label = inner.get(skipped..inner.len() - rest.len())?;
            let (head, rest) = self.finish(rest.trim_start())?;
            return Some((label, head, rest));
        }
        let line = inner.split('\n').next()?;
        let line = line.get(..floor(line, TEXT_MAX))?;
        let at = self.find(line)?;
        let (head, rest) = self.finish(inner.get(at..)?)?;
        Some((inner.get(..at)?, head, rest))
    }

    /// Where the end of the line begins.
    fn find(self, text: &str) -> Option<usize> {
        match self {
            Self::Solid => text.find("--"),
            Self::Thick => text.find("=="),
            Self::Dotted => {
                let at = text.find(".-")?;
                // `...->` begins with its first dot.
                Some(text.get(..at)?.trim_end_matches('.').len())
            }
        }
    }

    fn finish(self, text: &str) -> Option<(Option<char>, &str)> {
        let rest = match self {
            Self::Solid => text.trim_start_matches('-'),
            Self::Thick => text.trim_start_matches('='),
            Self::Dotted => text.trim_start_matches('.').strip_prefix('-')?,
        };
        if text.len() == rest.len() {
            return None;
        }
        match rest.chars().next() {
            Some(c @ ('>' | 'x' | 'o')) => Some((Some(c), rest.get(1..)?)),
            _ => Some((None, rest)),
        }
    }
}

/// What stands before a mark, and what behind it; a quoted part before it may hold the mark.
pub(super) fn within<'a>(text: &'a str, mark: &str) -> Option<(&'a str, &'a str)> {
    let near = text.get(..floor(text, TEXT_MAX))?;
    let open = near.trim_start();
    let from = match open.strip_prefix('"').filter(|_| mark != "\"").and_then(|quoted| quoted.find('"')) {
        Some(end) => near.len() - open.len() + end + 2,
        None => 0,
    };
    let at = from + near.get(from..)?.find(mark)?;
    Some((text.get(..at)?, text.get(at + mark.len()..)?))
}

/// The last boundary of a character at or before a length.
fn floor(text: &str, length: usize) -> usize {
    (0..=length.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default()
}
