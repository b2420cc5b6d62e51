//! Which crate may depend on which, and what an engine may name.
use super::{Offence, Rule, code::is_under, tree::Tree};

/// Every crate and the crates of ours it may name. A crate that is not listed has no room yet.
const ROOMS: &[(&str, &[&str])] = &[
    // vocabulary
    ("model", &[]),
    ("wire", &[]),
    // engines
    ("audit", &["model"]),
    ("ca", &["model", "identity"]),
    ("identity", &["model"]),
    ("idp", &["model"]),
    ("policy", &["model"]),
    ("posture", &["model"]),
    ("interop", &["model"]),
    ("secrets", &["model"]),
    ("waf", &["model"]),
    // shells
    ("daemon", &["model", "identity"]),
    ("proxy", &["audit", "daemon", "identity", "model", "policy", "waf", "wire"]),
    ("control", &["audit", "ca", "daemon", "identity", "idp", "model", "policy", "posture", "secrets", "waf", "wire"]),
    ("cli", &["audit", "identity", "interop", "model", "policy", "posture", "waf", "wire"]),
];

const PURE: &[&str] = &["model", "audit", "ca", "identity", "idp", "interop", "policy", "posture", "secrets", "waf"];

pub(super) const DEPENDENCIES: Rule = Rule {
    name: "rooms",
    remedy: "vocabulary <- engines <- shells; move the code to the crate whose room it is, or pass plain data",
    check: |tree| {
        let mut found = Vec::new();
        for (path, text) in tree.manifests() {
            let name = crate_of(path);
            let room = ROOMS.iter().find(|(room, _)| Some(*room) == name);
            if let (Some(name), None) = (name, room) {
                found.push(Offence::new(path, 0, format!("crate `{name}` has no room in tests/it/tidy/rooms.rs")));
            }
            for entry in entries(text).filter(|entry| !entry.section.contains("dev-dependencies")) {
                let ours = ROOMS.iter().any(|(room, _)| *room == entry.name) || entry.name == "tests";
                let allowed = match room {
                    Some((_, allowed)) => allowed.contains(&entry.name),
                    None => path.starts_with("tests/"), // examples use Ward from outside
                };
                if ours && !allowed {
                    let name = name.unwrap_or(path);
                    found.push(Offence::new(path, entry.line, format!("`{name}` may not depend on `{}`", entry.name)));
                }
                if room.is_some_and(|(room, _)| PURE.contains(room)) && IMPURE.contains(&entry.name) {
                    found.push(Offence::new(path, entry.line, format!("an engine may not depend on `{}`", entry.name)));
                }
            }
        }
        found
    },
};

/// Crates whose purpose is sockets, files, tasks or a clock.
const IMPURE: &[&str] = &[
    "axum",
    "futures-util",
    "hyper",
    "hyper-util",
    "libc",
    "rustix",
    "socket2",
    "sqlx",
    "tempfile",
    "tokio",
    "tokio-rustls",
    "tokio-stream",
    "tokio-util",
    "tonic",
    "tracing-subscriber",
];

/// What an engine never names. Addresses (`std::net::IpAddr`) are data and allowed.
const FORBIDDEN: &[&str] = &[
    "tokio",
    "hyper",
    "std::env",
    "std::fs",
    "std::io::stderr",
    "std::io::stdin",
    "std::io::stdout",
    "std::net::TcpListener",
    "std::net::TcpStream",
    "std::net::ToSocketAddrs",
    "std::net::UdpSocket",
    "std::os::unix::net",
    "std::process",
    "std::thread",
    "eprintln",
    "println",
];

pub(super) const ENGINES: Rule = Rule {
    name: "engines-decide",
    remedy: "an engine takes bytes, time and limits and returns a value; do this in a shell and pass the result",
    check: |tree| {
        let mut found = Vec::new();
        for (path, source) in tree.rust().filter(|(path, _)| is_source_of(path, PURE)) {
            for used in &source.paths {
                let clock = matches!(used.path.rsplit_once("::"), Some((_, "now" | "now_utc" | "now_local")));
                if clock || FORBIDDEN.iter().any(|prefix| is_under(&used.path, prefix)) {
                    found.push(Offence::new(path, used.line, format!("an engine names `{}`", used.path)));
                }
            }
        }
        found
    },
};

pub(super) const NAMES: Rule = Rule {
    name: "file-names",
    remedy: "name the room: what is this code about?",
    check: |tree| {
        let vague = ["util", "utils", "common", "helper", "helpers", "manager", "misc"];
        tree.rust()
            .filter(|(path, _)| path.trim_end_matches(".rs").split('/').any(|part| vague.contains(&part)))
            .map(|(path, _)| Offence::new(path, 0, "a name that says nothing"))
            .collect()
    },
};

pub(super) const VERSIONS: Rule = Rule {
    name: "versions",
    remedy: "write the version once, in [workspace.dependencies], and `name.workspace = true` here",
    check: |tree| {
        let mut found = Vec::new();
        for (path, text) in tree.manifests() {
            for entry in entries(text).filter(|entry| !entry.value.contains("workspace = true")) {
                found.push(Offence::new(path, entry.line, format!("`{}` does not inherit its version", entry.name)));
            }
        }
        found
    },
};

pub(super) const MANIFESTS: Rule = Rule {
    name: "manifests",
    remedy: "folder = package name, and `[lints] workspace = true`",
    check: |tree| {
        let mut found = Vec::new();
        for (path, text) in tree.manifests() {
            let name = text.lines().find_map(|line| line.strip_prefix("name = "));
            if let Some(folder) = crate_of(path)
                && name != Some(&format!("\"{folder}\""))
            {
                found.push(Offence::new(path, 0, format!("package in folder `{folder}` has another name")));
            }
            if !text.contains("[lints]\nworkspace = true") {
                found.push(Offence::new(path, 0, "does not take the workspace's lints"));
            }
        }
        found
    },
};

/// The `name` of `crates/<name>/…`.
pub(super) fn crate_of(path: &str) -> Option<&str> {
    path.strip_prefix("crates/")?.split('/').next()
}

fn is_source_of(path: &str, crates: &[&str]) -> bool {
    crate_of(path).is_some_and(|name| crates.contains(&name)) && path.contains("/src/")
}

/// One dependency line of a manifest.
pub(super) struct Entry<'a> {
    pub(super) section: &'a str,
    pub(super) name: &'a str,
    pub(super) value: String,
    pub(super) line: usize,
}

/// The entries of all dependency tables: `[dependencies]` and its kin, also of a target, also `[dependencies.name]`.
pub(super) fn entries(manifest: &str) -> impl Iterator<Item = Entry<'_>> {
    let mut out: Vec<Entry<'_>> = Vec::new();
    let (mut section, mut table, mut open) = ("", false, false);
    for (index, text) in manifest.lines().enumerate() {
        let text = text.split(" #").next().unwrap_or_default().trim();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        if let Some(header) = text.strip_prefix('[').filter(|_| !open) {
            section = header.trim_end_matches(']');
            let (parent, name) = section.rsplit_once('.').unwrap_or(("", section));
            table = parent.ends_with("dependencies");
            if table {
                out.push(Entry { section, name, value: String::new(), line: index + 1 });
            }
        } else if section.contains("dependencies") {
            match (text.split_once('='), out.last_mut()) {
                (_, Some(last)) if table || open => last.value += &format!("{text} "),
                (Some((key, value)), _) => {
                    let (name, inherits) = key.trim().split_once('.').unwrap_or((key.trim(), ""));
                    let value = format!("{inherits} = {}", value.trim());
                    out.push(Entry { section, name, value, line: index + 1 });
                }
                _ => {}
            }
            let balance = |c| text.matches(c).count();
            open = (open || balance('[') > balance(']')) && balance(']') <= balance('[');
        }
    }
    out.into_iter()
}

/// True when the tree is the whole project and not an example of a test.
pub(super) fn is_project(tree: &Tree) -> bool {
    tree.exists("crates/model/src/lib.rs")
}
