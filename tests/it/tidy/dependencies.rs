//! Where packages come from, which are refused, and what `ward-proxy` links.
use std::{collections::BTreeSet, process::Command};

use super::{Offence, Rule, rooms::entries, tree::root};

/// Refused, and why. One TLS provider, one HTTP stack, one time crate.
const REFUSED: &[(&str, &str)] = &[
    ("async-std", "tokio is the only runtime"),
    ("chrono", "`time` is the only time crate"),
    ("jiff", "`time` is the only time crate"),
    ("native-tls", "rustls with aws-lc-rs is the only TLS"),
    ("openssl", "rustls with aws-lc-rs is the only TLS"),
    ("openssl-sys", "rustls with aws-lc-rs is the only TLS"),
    ("reqwest", "hyper is the only HTTP stack"),
    ("ring", "aws-lc-rs is the only crypto provider"),
    ("ureq", "hyper is the only HTTP stack"),
];

pub(super) const SOURCES: Rule = Rule {
    name: "sources",
    remedy: "packages come from crates.io by name and version; no git sources, no other registry",
    check: |tree| {
        let mut found = Vec::new();
        for (path, text) in tree.files() {
            for (index, line) in text.lines().enumerate() {
                let locked = path.ends_with("Cargo.lock") && line.starts_with("source = ");
                let crates_io = "source = \"registry+https://github.com/rust-lang/crates.io-index\"";
                if locked && line != crates_io {
                    found.push(Offence::new(path, index + 1, line));
                }
                let manifest = path.ends_with("Cargo.toml") && !line.trim_start().starts_with('#');
                if manifest && ["git = ", "registry = "].iter().any(|word| line.contains(word)) {
                    found.push(Offence::new(path, index + 1, line));
                }
            }
        }
        found
    },
};

pub(super) const DIRECT: Rule = Rule {
    name: "refused-packages",
    remedy: "use what the workspace has, or a package without it (trim its features)",
    check: |tree| {
        let mut found = Vec::new();
        for entry in entries(tree.get("Cargo.toml").unwrap_or_default()) {
            if let Some((name, why)) = REFUSED.iter().find(|(name, _)| *name == entry.name) {
                found.push(Offence::new("Cargo.toml", entry.line, format!("`{name}`: {why}")));
            }
        }
        found
    },
};

/// The packages in the tree of `package` ("--workspace" for all) over `edges`, by name and version.
fn linked(selection: &[&str], edges: &str) -> BTreeSet<String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .args(["tree", "--locked", "--offline", "--prefix", "none", "--format", "{p}", "--edges", edges])
        .args(selection)
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "cargo tree: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" ")).filter(|l| !l.is_empty()).collect()
}

fn named<'a>(packages: &'a BTreeSet<String>, names: &'a [&str]) -> Vec<&'a String> {
    packages.iter().filter(|p| p.split(' ').next().is_some_and(|name| names.contains(&name))).collect()
}

#[test]
fn nothing_refused_is_linked() {
    let packages = linked(&["--workspace"], "normal,build,dev");
    // reqwest and friends may come with a library some day; these never.
    let refused = ["native-tls", "openssl", "openssl-sys", "ring"];
    assert!(packages.len() > 100, "cargo tree found only {} packages", packages.len());
    assert_eq!(named(&packages, &refused), Vec::<&String>::new(), "refused packages are linked");
}

#[test]
fn the_proxy_is_small_and_holds_no_key_of_the_ca() {
    let packages = linked(&["--package", "proxy"], "normal,build");
    assert!(packages.len() > 50, "cargo tree found only {} packages", packages.len());
    assert!(packages.len() < 200, "ward-proxy's tree has {} packages; it must stay under 200", packages.len());
    let never = ["ca", "cli", "control", "idp", "interop", "libsqlite3-sys", "posture", "secrets", "sqlx", "sqlx-core"];
    assert_eq!(named(&packages, &never), Vec::<&String>::new(), "ward-proxy must not link these");
}
