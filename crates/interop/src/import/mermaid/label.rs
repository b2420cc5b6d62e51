//! What is written in boxes and on arrows, as lines of plain text: without markup, entities resolved (Mermaid's `#quot;` and HTML's).
const ENTITIES: [(&str, &str); 10] = [
    ("quot", "\""),
    ("amp", "&"),
    ("lt", "<"),
    ("gt", ">"),
    ("nbsp", " "),
    ("apos", "'"),
    ("colon", ":"),
    ("semi", ";"),
    ("num", "#"),
    ("equals", "="),
];
/// Longest entity, without its marks.
const ENTITY_MAX: usize = 10;

/// The lines of a label, none of them empty.
pub(super) fn lines(label: &str) -> Vec<String> {
    let label = unquote(label.trim());
    let mut text = String::new();
    let mut rest = label;
    while let Some(at) = rest.find(['<', '#', '&', '*', '`', '\\']) {
        let (before, from) = rest.split_at(at);
        text.push_str(before);
        rest = match from.as_bytes().first() {
            Some(b'<') => tag(from, &mut text),
            Some(b'#' | b'&') => entity(from, &mut text),
            Some(b'\\') if from.starts_with("\\n") => {
                text.push('\n');
                from.get(2..).unwrap_or_default()
            }
            Some(b'\\') => {
                text.push('\\');
                from.get(1..).unwrap_or_default()
            }
            // Emphasis; a star inside of a word (`keys/*.pem`) is one.
            Some(b'*')
                if !from.starts_with("**")
                    && !text.is_empty()
                    && !text.ends_with(char::is_whitespace)
                    && inside(from) =>
            {
                text.push('*');
                from.get(1..).unwrap_or_default()
            }
            _ => from.get(1..).unwrap_or_default(),
        };
    }
    text.push_str(rest);
    text.lines().map(squeeze).filter(|l| !l.is_empty()).collect()
}

/// The same in one line.
pub(super) fn line(label: &str) -> String {
    lines(label).join(" ")
}

fn inside(from: &str) -> bool {
    from.chars().nth(1).is_some_and(|c| c.is_alphanumeric() || c == '.')
}

/// Blanks as one each, and without an icon's name (`fa:fa-user`).
fn squeeze(line: &str) -> String {
    let words = line.split_whitespace().filter(|w| !is_icon(w));
    words.collect::<Vec<_>>().join(" ")
}

/// Whether a word names an icon.
pub(super) fn is_icon(word: &str) -> bool {
    let Some((set, _)) = word.split_once(":fa-").or_else(|| word.split_once(":mdi-")) else { return false };
    set.len() <= 4 && set.starts_with("fa") || set == "mdi"
}

fn unquote(label: &str) -> &str {
    let inner = |c| label.strip_prefix(c).and_then(|l: &str| l.strip_suffix(c));
    inner('"').or_else(|| inner('\'')).unwrap_or(label).trim()
}

/// Skips a tag; one that breaks the line does.
fn tag<'a>(from: &'a str, text: &mut String) -> &'a str {
    let name: String =
        from.trim_start_matches(['<', '/']).chars().take_while(char::is_ascii_alphanumeric).take(12).collect();
    let is_tag = from.chars().nth(1).is_some_and(|c| c.is_ascii_alphabetic() || c == '/') && !name.is_empty();
    // What looks like the start of a tag and has no end is text.
    let end = from.char_indices().take(256).find(|(_, c)| *c == '>').map(|(at, _)| at);
    match end.filter(|_| is_tag) {
        Some(end) => {
            if matches!(name.to_ascii_lowercase().as_str(), "br" | "p" | "div" | "li" | "hr") {
                text.push('\n');
            }
            from.get(end + 1..).unwrap_or_default()
        }
        None => {
            text.push('<');
            from.get(1..).unwrap_or_default()
        }
    }
}

fn entity<'a>(from: &'a str, text: &mut String) -> &'a str {
    let mark = if from.starts_with('&') { '&' } else { '#' };
    let body = from.get(1..).unwrap_or_default();
    let end = body.bytes().take(ENTITY_MAX).position(|b| b == b';');
    let name = end.and_then(|end| body.get(..end)).unwrap_or_default();
    let known = ENTITIES.iter().find(|(n, _)| *n == name).map(|(_, c)| (*c).to_owned());
    let number = || {
        let digits = name.trim_start_matches('#');
        let code = match digits.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16).ok(),
            None => digits.parse().ok(),
        };
        code.and_then(char::from_u32).map(String::from)
    };
    match known.or_else(number) {
        Some(resolved) => {
            text.push_str(&resolved);
            body.get(name.len() + 1..).unwrap_or_default()
        }
        None => {
            text.push(mark);
            body
        }
    }
}
