//! Just enough Rust to look at code without its comments and strings, and to know what a path names: `use` trees are
//! expanded and followed, so `use tokio::task; task::spawn(…)` is seen as `tokio::task::spawn`.
use std::collections::HashMap;

/// A source file taken apart. `code`, `comments` and `test_code` have the file's own line breaks.
pub(super) struct Source {
    /// What ships: no comments, no strings, no `#[cfg(test)]` modules. Empty for a file of tests.
    pub(super) code: String,
    pub(super) test_code: String,
    pub(super) comments: String,
    /// What `code` names.
    pub(super) paths: Vec<PathUse>,
}

/// A path as it resolves by the `use` lines of its file, and the line it stands in.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PathUse {
    pub(super) line: usize,
    pub(super) path: String,
}

impl Source {
    /// `is_test`: whether the file is a module of tests wherever it lies.
    pub(super) fn parse(path: &str, text: &str, is_test: bool) -> Source {
        let (code, comments) = split(text);
        let only_tests = is_test || path.starts_with("tests/") || path.contains("/tests/");
        let (code, test_code) = if only_tests { (String::new(), code) } else { split_tests(&code) };
        let paths = paths(&code);
        Source { code, test_code, comments, paths }
    }
}

/// The line of a byte offset, counted from 1.
pub(super) fn line_of(text: &str, offset: usize) -> usize {
    text[..offset].matches('\n').count() + 1
}

/// Code and comments, each with everything else blanked out.
fn split(text: &str) -> (String, String) {
    let chars: Vec<char> = text.chars().collect();
    let (mut code, mut comments) = (String::new(), String::new());
    let mut i = 0;
    while i < chars.len() {
        let (end, in_code, in_comments) = match chars[i] {
            '/' if chars.get(i + 1) == Some(&'/') => (line_end(&chars, i), false, true),
            '/' if chars.get(i + 1) == Some(&'*') => (block_end(&chars, i), false, true),
            '"' => (string_end(&chars, i + 1), false, false),
            'r' if !after_identifier(&chars, i) || matches!(chars[i - 1], 'b' | 'c') => match raw_end(&chars, i) {
                Some(end) => (end, false, false),
                None => (i + 1, true, false),
            },
            '\'' => match char_end(&chars, i) {
                Some(end) => (end, false, false),
                None => (i + 1, true, false), // a lifetime
            },
            _ => (i + 1, true, false),
        };
        for &c in &chars[i..end] {
            code.push(if in_code || c == '\n' { c } else { ' ' });
            comments.push(if in_comments || c == '\n' { c } else { ' ' });
        }
        i = end;
    }
    (code, comments)
}

fn after_identifier(chars: &[char], i: usize) -> bool {
    i > 0 && is_identifier(chars[i - 1])
}

fn is_identifier(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn line_end(chars: &[char], i: usize) -> usize {
    chars[i..].iter().position(|&c| c == '\n').map_or(chars.len(), |n| i + n)
}

fn block_end(chars: &[char], mut i: usize) -> usize {
    let mut depth = 0;
    while i < chars.len() {
        match (chars[i], chars.get(i + 1)) {
            ('/', Some('*')) => (depth, i) = (depth + 1, i + 2),
            ('*', Some('/')) if depth == 1 => return i + 2,
            ('*', Some('/')) => (depth, i) = (depth - 1, i + 2),
            _ => i += 1,
        }
    }
    chars.len()
}

fn string_end(chars: &[char], mut i: usize) -> usize {
    while i < chars.len() {
        match chars[i] {
            '\\' => i += 2,
            '"' => return i + 1,
            _ => i += 1,
        }
    }
    chars.len()
}

/// The end of `r"…"` or `r#"…"#` at `i`, if it is one.
fn raw_end(chars: &[char], i: usize) -> Option<usize> {
    let hashes = chars[i + 1..].iter().take_while(|&&c| c == '#').count();
    let open = i + 1 + hashes;
    if chars.get(open) != Some(&'"') {
        return None;
    }
    let close = (open + 1..chars.len())
        .find(|&n| chars[n] == '"' && chars[n + 1..].iter().take_while(|&&c| c == '#').count() >= hashes);
    Some(close.map_or(chars.len(), |n| n + 1 + hashes))
}

/// The end of a character literal at `i`; `None` for a lifetime.
fn char_end(chars: &[char], i: usize) -> Option<usize> {
    match (chars.get(i + 1)?, chars.get(i + 2)) {
        ('\\', _) => chars.get(i + 3..)?.iter().position(|&c| c == '\'').map(|n| i + 4 + n),
        (_, Some('\'')) => Some(i + 3),
        _ => None,
    }
}

/// Moves the bodies of `#[cfg(test)] mod x { … }` (and other braced items) to the second text.
fn split_tests(code: &str) -> (String, String) {
    let (mut ships, mut tests): (Vec<char>, Vec<char>) = (code.chars().collect(), Vec::new());
    let all = ships.clone();
    tests.extend(all.iter().map(|&c| if c == '\n' { '\n' } else { ' ' }));
    let marker: Vec<char> = "#[cfg(test)]".chars().collect();
    let mut i = 0;
    while i + marker.len() <= all.len() {
        if all[i..i + marker.len()] != marker[..] {
            i += 1;
            continue;
        }
        let mut depth = 0;
        let mut end = i + marker.len();
        while end < all.len() {
            match all[end] {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            end += 1;
            if depth == 0 && matches!(all[end - 1], '}' | ';') {
                break;
            }
        }
        for n in i..end {
            if all[n] != '\n' {
                tests[n] = all[n];
                ships[n] = ' ';
            }
        }
        i = end;
    }
    (ships.into_iter().collect(), tests.into_iter().collect())
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Separator,
    Other(char),
}

fn tokens(code: &str) -> Vec<(usize, Token)> {
    let chars: Vec<char> = code.chars().collect();
    let (mut out, mut line, mut i) = (Vec::new(), 1, 0);
    while i < chars.len() {
        let c = chars[i];
        if is_identifier(c) {
            let end = chars[i..].iter().position(|&c| !is_identifier(c)).map_or(chars.len(), |n| i + n);
            out.push((line, Token::Word(chars[i..end].iter().collect())));
            i = end;
        } else if c == ':' && chars.get(i + 1) == Some(&':') {
            out.push((line, Token::Separator));
            i += 2;
        } else {
            line += usize::from(c == '\n');
            if !c.is_whitespace() {
                out.push((line, Token::Other(c)));
            }
            i += 1;
        }
    }
    out
}

/// Every path in the code, resolved; method names (`.now()`) are not paths.
pub(super) fn paths(code: &str) -> Vec<PathUse> {
    let tokens = tokens(code);
    let (mut out, mut names) = (Vec::new(), HashMap::new());
    let mut i = 0;
    while i < tokens.len() {
        match &tokens[i].1 {
            Token::Word(word) if word == "use" && tokens.get(i + 1).map(|t| &t.1) != Some(&Token::Other('<')) => {
                i += 1;
                use_tree(&tokens, &mut i, &[], &mut out, &mut names);
            }
            _ => i += 1,
        }
    }
    i = 0;
    while i < tokens.len() {
        let Token::Word(first) = &tokens[i].1 else {
            i += 1;
            continue;
        };
        if first == "use" && tokens.get(i + 1).map(|t| &t.1) != Some(&Token::Other('<')) {
            while i < tokens.len() && tokens[i].1 != Token::Other(';') {
                i += 1;
            }
            continue;
        }
        let (line, method) = (tokens[i].0, i > 0 && tokens[i - 1].1 == Token::Other('.'));
        let mut segments = vec![first.clone()];
        i += 1;
        while let (Some((_, Token::Separator)), Some((_, Token::Word(next)))) = (tokens.get(i), tokens.get(i + 1)) {
            segments.push(next.clone());
            i += 2;
        }
        if !method {
            let head = names.get(&segments[0]).cloned().unwrap_or_else(|| segments[0].clone());
            segments[0] = head;
            out.push(PathUse { line, path: segments.join("::") });
        }
    }
    out
}

/// Reads one `use` tree at `i`, adding what it imports to `out` and under which name to `names`.
fn use_tree(
    tokens: &[(usize, Token)],
    i: &mut usize,
    prefix: &[String],
    out: &mut Vec<PathUse>,
    names: &mut HashMap<String, String>,
) {
    let mut path = prefix.to_vec();
    while let Some((line, token)) = tokens.get(*i) {
        *i += 1;
        match token {
            Token::Word(word) if word == "as" => {
                if let Some((_, Token::Word(name))) = tokens.get(*i) {
                    names.insert(name.clone(), path.join("::"));
                    *i += 1;
                }
            }
            Token::Word(word) => {
                if word != "self" || path.is_empty() {
                    path.push(word.clone());
                }
                if tokens.get(*i).map(|t| &t.1) != Some(&Token::Separator) {
                    out.push(PathUse { line: *line, path: path.join("::") });
                    names.insert(path.last().cloned().unwrap_or_default(), path.join("::"));
                }
            }
            Token::Other('*') => out.push(PathUse { line: *line, path: path.join("::") }),
            Token::Other('{') => {
                while tokens.get(*i).is_some_and(|t| !matches!(t.1, Token::Other('}' | ';'))) {
                    use_tree(tokens, i, &path, out, names);
                    if tokens.get(*i).is_some_and(|t| t.1 == Token::Other(',')) {
                        *i += 1;
                    }
                }
                *i += 1;
                return;
            }
            Token::Other(',' | '}' | ';') => {
                *i -= 1;
                return;
            }
            Token::Separator | Token::Other(_) => {}
        }
    }
}

/// True when `path` is `prefix` or below it.
pub(super) fn is_under(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}
