//! How things are written down: module docs, silenced lints, sleeps in tests, secrets, machine paths, links.
use super::{
    Offence, Rule,
    code::{Source, line_of, paths},
    tree::Tree,
};

pub(super) const MODULE_DOCS: Rule = Rule {
    name: "module-docs",
    remedy: "begin the file with `//!`: what it is for, what it must never do",
    check: |tree| {
        tree.rust()
            .filter(|(path, _)| !tree.get(path).is_some_and(|text| text.trim_start().starts_with("//!")))
            .map(|(path, _)| Offence::new(path, 1, "does not begin with `//!`"))
            .collect()
    },
};

pub(super) const SILENCED_LINTS: Rule = Rule {
    name: "silenced-lints",
    remedy: "`#[expect(lint, reason = \"…\")]`, on the smallest item",
    check: |tree| {
        let mut found = Vec::new();
        for (path, source) in tree.rust() {
            for code in [&source.code, &source.test_code] {
                for start in starts(code, "allow(").chain(starts(code, "expect(")) {
                    if !code[..start].ends_with("#[") && !code[..start].ends_with("#![") {
                        continue;
                    }
                    let end = code[start..].find(")]").map_or(code.len(), |n| start + n);
                    let line = line_of(code, start);
                    if code[start..].starts_with("allow") {
                        found.push(Offence::new(path, line, "`allow`"));
                    } else if !code[start..end].contains("reason") {
                        found.push(Offence::new(path, line, "`expect` without a reason"));
                    }
                }
            }
        }
        found
    },
};

pub(super) const TODO: Rule = Rule {
    name: "todo",
    remedy: "an issue number or nothing",
    check: |tree| {
        let mut found = Vec::new();
        for (path, source) in tree.rust() {
            for (index, comment) in source.comments.lines().enumerate() {
                let marked = comment
                    .split(|c: char| !c.is_ascii_alphabetic())
                    .any(|word| matches!(word, "TODO" | "FIXME" | "XXX" | "HACK"));
                if marked && !comment.contains("issue") && !comment.contains('#') {
                    found.push(Offence::new(path, index + 1, comment.trim()));
                }
            }
        }
        found
    },
};

pub(super) const NO_SLEEP: Rule = Rule {
    name: "no-sleep",
    remedy: "wait for the thing itself: a channel, a test clock, or `eventually` for another process",
    check: |tree| {
        let mut found = Vec::new();
        for (path, source) in tree.rust() {
            for used in paths(&source.test_code) {
                if matches!(used.path.rsplit("::").next(), Some("sleep" | "sleep_ms" | "sleep_until")) {
                    found.push(Offence::new(path, used.line, format!("`{}` in a test", used.path)));
                }
            }
        }
        found
    },
};

pub(super) const NO_IGNORE: Rule = Rule {
    name: "no-ignore",
    remedy: "mend the test or delete it",
    check: |tree| {
        let mut found = Vec::new();
        for (path, source) in tree.rust() {
            for code in [&source.code, &source.test_code] {
                found.extend(starts(code, "#[ignore").map(|n| Offence::new(path, line_of(code, n), "`#[ignore]`")));
            }
        }
        found
    },
};

/// Types that hold a secret. What is made of them cannot derive `Debug` either.
const SECRETS: &[&str] = &["Secret", "PrivateKey", "Authority", "AuthorityKey"];

pub(super) const SECRET: Rule = Rule {
    name: "secret",
    remedy: "a secret has no `Debug` and no `Serialize`, so that no log line or document can hold one",
    check: |tree| {
        let mut found = Vec::new();
        for (path, Source { code, .. }) in tree.rust() {
            for secret in SECRETS {
                for start in starts(code, &format!("struct {secret}")) {
                    let rest = &code[start + "struct ".len() + secret.len()..];
                    if rest.starts_with(|c: char| c.is_alphanumeric() || c == '_') {
                        continue;
                    }
                    // The attributes of the item: what stands between it and the end of the item before.
                    let before = code[..start].rfind([';', '}']).map_or(0, |n| n + 1);
                    for word in ["Debug", "Serialize"] {
                        if code[before..start].split(|c: char| !c.is_alphanumeric()).any(|w| w == word) {
                            found.push(Offence::new(
                                path,
                                line_of(code, start),
                                format!("`{secret}` derives `{word}`"),
                            ));
                        }
                    }
                }
                for word in ["Debug", "Serialize"] {
                    for (index, line) in code.lines().enumerate() {
                        let words: Vec<&str> = line.split(|c: char| !(c.is_alphanumeric() || c == '_')).collect();
                        let after_for = words.iter().position(|w| *w == "for").map_or(&[][..], |n| &words[n + 1..]);
                        if words.contains(&"impl") && words.contains(&word) && after_for.contains(secret) {
                            found.push(Offence::new(path, index + 1, format!("`{word}` for `{secret}`")));
                        }
                    }
                }
            }
        }
        found
    },
};

/// Written in two halves, so that this file does not offend.
const MACHINES: &[(&str, &str)] = &[
    ("/wor", "k/"),
    ("/roo", "t/"),
    ("/tmp/war", "d/"),
    ("registry.npm", "js"),
    ("files.python", "hosted"),
    ("static.crates", ".io"),
    ("index.crates", ".io"),
    ("deb.deb", "ian.org"),
    ("replace-", "with ="),
    ("index-", "url"),
];

pub(super) const PLACES: Rule = Rule {
    name: "machine-paths",
    remedy: "no path of one machine and no registry's host: name packages, and paths from the project's root",
    check: |tree| {
        let mut places: Vec<String> = MACHINES.iter().map(|(a, b)| format!("{a}{b}")).collect();
        // Whoever runs this: their own directory, which is the path most likely to slip in.
        places.extend(std::env::var("HOME").ok().filter(|home| home.starts_with("/home/")).map(|home| home + "/"));
        let mut found = Vec::new();
        for (path, text) in tree.files().filter(|(path, _)| !path.ends_with("Cargo.lock")) {
            for place in &places {
                for start in starts(text, place) {
                    // A path begins there; in the middle of another one it is just a name.
                    let before = text[..start].chars().next_back();
                    let begins = before.is_none_or(|c| c.is_whitespace() || "\"'`=:([<,".contains(c));
                    if begins || !place.starts_with('/') {
                        found.push(Offence::new(path, line_of(text, start), format!("`{place}`")));
                    }
                }
            }
        }
        found
    },
};

pub(super) const ARCHITECTURE: Rule = Rule {
    name: "architecture",
    remedy: "ARCHITECTURE.md is the map and the invariants, in under 200 lines; details belong to module docs",
    check: |tree| match tree.get("ARCHITECTURE.md").map(|text| text.lines().count()) {
        Some(lines) if lines >= 200 => vec![Offence::new("ARCHITECTURE.md", 0, format!("{lines} lines"))],
        _ => Vec::new(),
    },
};

pub(super) const LINKS: Rule = Rule {
    name: "links",
    remedy: "a link in the documentation leads to a file that exists",
    check: |tree| {
        let mut found = Vec::new();
        for (path, text) in tree.files().filter(|(path, _)| path.ends_with(".md")) {
            for start in starts(text, "](") {
                let target = text[start + 2..].split([')', '#', ' ']).next().unwrap_or_default();
                let outside = target.is_empty() || target.contains("://") || target.starts_with("mailto:");
                if !outside && !tree.exists(&resolve(path, target)) {
                    found.push(Offence::new(path, line_of(text, start), format!("leads nowhere: {target}")));
                }
            }
        }
        found
    },
};

/// `target` as seen from the file at `path`, from the root.
fn resolve(path: &str, target: &str) -> String {
    let mut parts: Vec<&str> = path.split('/').collect();
    parts.pop();
    for part in target.trim_end_matches('/').split('/') {
        match part {
            "." | "" => {}
            ".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

fn starts<'a>(text: &'a str, what: &'a str) -> impl Iterator<Item = usize> + 'a {
    text.match_indices(what).map(|(start, _)| start)
}

/// True when the documents that every project has are there; asked of the project only.
pub(super) fn missing_documents(tree: &Tree) -> Vec<&'static str> {
    let wanted = ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "LICENSE", "Makefile", ".ci/run", "deny.toml"];
    wanted.into_iter().filter(|path| tree.get(path).is_none()).collect()
}
