//! Every rule on the project, and every rule on a small tree that breaks it.
use expect_test::{Expect, expect};

use super::{
    EXCEPTIONS, RULES, Rule,
    code::{Source, paths},
    dependencies, doors, excused, offences, report, rooms,
    tree::Tree,
    writing,
};

#[test]
fn the_project_keeps_the_rules() {
    let tree = Tree::project();
    assert!(rooms::is_project(&tree), "this is not the project's root: {}", super::tree::root().display());
    let broken: Vec<String> = RULES
        .iter()
        .map(|rule| (rule, offences(rule, &tree)))
        .filter(|(_, found)| !found.is_empty())
        .map(|(rule, found)| report(rule, &found))
        .collect();
    assert!(broken.is_empty(), "\n{}", broken.concat());
}

#[test]
fn the_project_has_its_documents() {
    assert_eq!(writing::missing_documents(&Tree::project()), Vec::<&str>::new());
}

#[test]
fn no_exception_is_stale() {
    let tree = Tree::project();
    for (index, exception) in EXCEPTIONS.iter().enumerate() {
        assert!(exception.reason.len() > 20, "{}: {}: say why", exception.rule, exception.path);
        let rule = RULES.iter().find(|rule| rule.name == exception.rule);
        let rule = rule.unwrap_or_else(|| panic!("no rule is called `{}`", exception.rule));
        let needed = (rule.check)(&tree).iter().any(|offence| excused(rule, offence) == Some(index));
        assert!(needed, "{}: {}: no longer needed, take it out", exception.rule, exception.path);
    }
}

/// What `rule` says about a tree of these files.
fn check(rule: &Rule, files: &[(&str, &str)], said: Expect) {
    let found = (rule.check)(&Tree::of(files));
    let lines: Vec<String> = found.iter().map(|o| format!("{}:{}: {}\n", o.path, o.line, o.what)).collect();
    said.assert_eq(&lines.concat());
}

#[test]
fn rooms_and_their_doors_stay_shut() {
    let manifest =
        |name, dependencies| format!("[package]\nname = \"{name}\"\n[lints]\nworkspace = true\n{dependencies}");
    check(
        &rooms::DEPENDENCIES,
        &[
            (
                "crates/policy/Cargo.toml",
                &manifest("policy", "[dependencies]\nmodel.workspace = true\nca.workspace = true\n"),
            ),
            (
                "crates/identity/Cargo.toml",
                &manifest("identity", "[dependencies]\ntokio = { workspace = true, features = [\n  \"rt\",\n] }\n"),
            ),
            (
                "crates/proxy/Cargo.toml",
                &manifest("proxy", "[target.'cfg(unix)'.dependencies]\ncontrol.workspace = true\n"),
            ),
            (
                "crates/control/Cargo.toml",
                &manifest(
                    "control",
                    "[dev-dependencies]\nproxy.workspace = true\n[dependencies.ca]\nworkspace = true\n",
                ),
            ),
            ("crates/stuff/Cargo.toml", &manifest("stuff", "")),
            ("examples/shop/app/Cargo.toml", &manifest("shop", "[dependencies]\nmodel.workspace = true\n")),
            ("tests/Cargo.toml", &manifest("tests", "[dependencies]\nca.workspace = true\n")),
        ],
        expect![[r#"
            crates/identity/Cargo.toml:6: an engine may not depend on `tokio`
            crates/policy/Cargo.toml:7: `policy` may not depend on `ca`
            crates/proxy/Cargo.toml:6: `proxy` may not depend on `control`
            crates/stuff/Cargo.toml:0: crate `stuff` has no room in tests/it/tidy/rooms.rs
            examples/shop/app/Cargo.toml:6: `examples/shop/app/Cargo.toml` may not depend on `model`
        "#]],
    );
    check(
        &rooms::VERSIONS,
        &[
            ("crates/a/Cargo.toml", "[dependencies]\na = \"1\"\nb.workspace = true\nc = { path = \"../c\" }\n"),
            (
                "crates/b/Cargo.toml",
                "[dependencies.a]\nversion = \"1\"\n[build-dependencies]\nd = { workspace = true, features = [\n  \"x\",\n] }\ne = \"2\"\n",
            ),
        ],
        expect![[r#"
            crates/a/Cargo.toml:2: `a` does not inherit its version
            crates/a/Cargo.toml:4: `c` does not inherit its version
            crates/b/Cargo.toml:1: `a` does not inherit its version
            crates/b/Cargo.toml:7: `e` does not inherit its version
        "#]],
    );
    check(
        &rooms::MANIFESTS,
        &[("crates/a/Cargo.toml", "[package]\nname = \"b\"\n"), ("crates/c/Cargo.toml", &manifest("c", ""))],
        expect![[r#"
            crates/a/Cargo.toml:0: package in folder `a` has another name
            crates/a/Cargo.toml:0: does not take the workspace's lints
        "#]],
    );
    check(
        &rooms::NAMES,
        &[("crates/a/src/utils.rs", ""), ("crates/a/src/common/x.rs", ""), ("crates/a/src/community.rs", "")],
        expect![[r#"
            crates/a/src/common/x.rs:0: a name that says nothing
            crates/a/src/utils.rs:0: a name that says nothing
        "#]],
    );
}

#[test]
fn engines_decide() {
    let source = "
use std::{collections::BTreeMap, fs, net::{IpAddr, TcpStream as Stream}};
use std::time::{self, SystemTime};
// tokio::spawn in a comment, and in a string:
const A: &str = \"std::fs::read\";
fn f() {
    fs::read(\"x\");
    SystemTime::now();
    let clock = time::Instant::now;
    self.clock.now();
    tokio::task::yield_now();
}
#[cfg(test)]
mod tests { fn g() { std::fs::read(\"x\"); } }
";
    check(
        &rooms::ENGINES,
        &[
            ("crates/policy/src/a.rs", &format!("{source}#[cfg(test)]\nmod tests;\n")),
            ("crates/proxy/src/a.rs", source),
            ("crates/policy/src/a/tests.rs", source),
            ("crates/policy/src/lib.rs", "mod a;\n#[cfg(test)]\npub(crate) mod lab;\n#[cfg(test)]\nmod tests {}\n"),
            ("crates/policy/src/lab.rs", source),
        ],
        expect![[r#"
            crates/policy/src/a.rs:2: an engine names `std::fs`
            crates/policy/src/a.rs:2: an engine names `std::net::TcpStream`
            crates/policy/src/a.rs:7: an engine names `std::fs::read`
            crates/policy/src/a.rs:8: an engine names `std::time::SystemTime::now`
            crates/policy/src/a.rs:9: an engine names `std::time::Instant::now`
            crates/policy/src/a.rs:11: an engine names `tokio::task::yield_now`
        "#]],
    );
}

#[test]
fn doors() {
    let source = "
use tokio::{task, time::Instant};
fn f() {
    tokio::spawn(x);
    task::spawn_local(x);
    task::spawn_blocking(x);
    tasks.spawn(x);
    Instant::now();
    Clock::now(&clock);
    std::env::var(\"HOME\");
    let version = env!(\"CARGO_PKG_VERSION\");
    anyhow::bail!(\"no\");
}
";
    let files = [
        ("crates/proxy/src/a.rs", source),
        ("crates/proxy/src/main.rs", source),
        ("crates/daemon/src/a.rs", source),
        ("crates/cli/src/a.rs", source),
        ("crates/control/src/config.rs", source),
        ("examples/shop/app/src/main.rs", source),
        ("tests/it/a.rs", source),
    ];
    check(
        &doors::TIME,
        &files,
        expect![[r#"
        crates/cli/src/a.rs:8: `tokio::time::Instant::now`
        crates/control/src/config.rs:8: `tokio::time::Instant::now`
        crates/proxy/src/a.rs:8: `tokio::time::Instant::now`
        crates/proxy/src/main.rs:8: `tokio::time::Instant::now`
    "#]],
    );
    check(
        &doors::SPAWN,
        &files,
        expect![[r#"
        crates/cli/src/a.rs:4: `tokio::spawn`
        crates/cli/src/a.rs:5: `tokio::task::spawn_local`
        crates/control/src/config.rs:4: `tokio::spawn`
        crates/control/src/config.rs:5: `tokio::task::spawn_local`
        crates/proxy/src/a.rs:4: `tokio::spawn`
        crates/proxy/src/a.rs:5: `tokio::task::spawn_local`
        crates/proxy/src/main.rs:4: `tokio::spawn`
        crates/proxy/src/main.rs:5: `tokio::task::spawn_local`
    "#]],
    );
    check(
        &doors::ENVIRONMENT,
        &files,
        expect![[r#"
        crates/cli/src/a.rs:10: `std::env::var`
        crates/daemon/src/a.rs:10: `std::env::var`
        crates/proxy/src/a.rs:10: `std::env::var`
    "#]],
    );
    check(
        &doors::ANYHOW,
        &files,
        expect![[r#"
        crates/control/src/config.rs:12: `anyhow::bail`
        crates/daemon/src/a.rs:12: `anyhow::bail`
        crates/proxy/src/a.rs:12: `anyhow::bail`
    "#]],
    );
}

#[test]
fn writing_down() {
    check(
        &writing::MODULE_DOCS,
        &[
            ("crates/a/src/a.rs", "//! Says.\n"),
            ("crates/a/src/b.rs", "use x;\n//! Late.\n"),
            ("bench/floor/src/main.rs", ""),
        ],
        expect![[r#"
            crates/a/src/b.rs:1: does not begin with `//!`
        "#]],
    );
    check(
        &writing::SILENCED_LINTS,
        &[(
            "crates/a/src/a.rs",
            "#[allow(dead_code)]\n#[expect(dead_code)]\n#[expect(\n    dead_code,\n    reason = \"x (y)\"\n)]\n// #[allow(x)]\n#![allow(y)]\nvec![allow(1)];\n",
        )],
        expect![[r#"
            crates/a/src/a.rs:1: `allow`
            crates/a/src/a.rs:8: `allow`
            crates/a/src/a.rs:2: `expect` without a reason
        "#]],
    );
    check(
        &writing::TODO,
        &[("crates/a/src/a.rs", "// TODO: later\n// TODO (#12)\nlet TODO = \"// TODO\"; // HACK\n")],
        expect![[r#"
            crates/a/src/a.rs:1: // TODO: later
            crates/a/src/a.rs:3: // HACK
        "#]],
    );
    check(
        &writing::NO_SLEEP,
        &[
            (
                "crates/a/src/a.rs",
                "fn f() { std::thread::sleep(x); }\n#[cfg(test)]\nmod tests {\n    use tokio::time;\n    fn g() { tokio::time::sleep(x); }\n}\n",
            ),
            ("tests/it/a.rs", "use std::thread::sleep;\n// sleep\nfn f() { sleep(x); }\n"),
        ],
        expect![[r#"
            crates/a/src/a.rs:5: `tokio::time::sleep` in a test
            tests/it/a.rs:1: `std::thread::sleep` in a test
            tests/it/a.rs:3: `std::thread::sleep` in a test
        "#]],
    );
    check(
        &writing::NO_IGNORE,
        &[("tests/it/a.rs", "#[test]\n#[ignore = \"slow\"]\nfn f() {}\n// #[ignore]\n")],
        expect![[r#"
            tests/it/a.rs:2: `#[ignore]`
        "#]],
    );
    check(
        &writing::SECRET,
        &[(
            "crates/a/src/a.rs",
            "#[derive(Debug)]\npub struct Open;\n\n#[derive(Clone, Debug)]\npub struct Secret<T>(T);\npub struct SecretName;\nimpl fmt::Debug for SecretName {}\nimpl serde::Serialize for Secret<Key> {}\nimpl<T> fmt::Debug for crate::Secret<T> {}\n",
        )],
        expect![[r#"
            crates/a/src/a.rs:5: `Secret` derives `Debug`
            crates/a/src/a.rs:9: `Debug` for `Secret`
            crates/a/src/a.rs:8: `Serialize` for `Secret`
        "#]],
    );
}

#[test]
fn documents() {
    let place = |a, b| format!("see {a}{b}x\n");
    let places = Tree::of(&[
        ("docs/a.md", &place("/roo", "t/")),
        ("Makefile", &place("\thttps://registry.npm", "js.org/")),
        ("docs/b.md", "/run/ward/control.sock and /var/lib/network/\n"),
    ]);
    let found: Vec<String> = (writing::PLACES.check)(&places).into_iter().map(|offence| offence.path).collect();
    assert_eq!(found, ["Makefile", "docs/a.md"]);
    check(
        &writing::ARCHITECTURE,
        &[("ARCHITECTURE.md", &"line\n".repeat(200))],
        expect![[r#"
        ARCHITECTURE.md:0: 200 lines
    "#]],
    );
    check(&writing::ARCHITECTURE, &[("ARCHITECTURE.md", &"line\n".repeat(199))], expect![[""]]);
    check(
        &writing::LINKS,
        &[
            ("README.md", "[a](docs/a.md) [b](docs/b.md#x) [c](https://example.com) [d](#here) [e](docs)\n"),
            ("docs/a.md", "text\n[up](../README.md) [gone](../docs/c.md)\n"),
        ],
        expect![[r#"
            README.md:1: leads nowhere: docs/b.md
            docs/a.md:2: leads nowhere: ../docs/c.md
        "#]],
    );
}

#[test]
fn packages() {
    check(
        &dependencies::SOURCES,
        &[
            (
                "Cargo.lock",
                "source = \"registry+https://github.com/rust-lang/crates.io-index\"\nsource = \"git+https://example.com/x#1\"\n",
            ),
            ("bench/floor/Cargo.lock", "source = \"sparse+https://registry.example/\"\n"),
            ("Cargo.toml", "[workspace.dependencies]\nx = { git = \"https://example.com/x\" }\n"),
        ],
        expect![[r#"
            Cargo.lock:2: source = "git+https://example.com/x#1"
            Cargo.toml:2: x = { git = "https://example.com/x" }
            bench/floor/Cargo.lock:1: source = "sparse+https://registry.example/"
        "#]],
    );
    check(
        &dependencies::DIRECT,
        &[(
            "Cargo.toml",
            "[workspace.dependencies]\nring = \"0.17\"\nserde = { version = \"1\" }\nchrono = { version = \"0.4\" }\n",
        )],
        expect![[r#"
            Cargo.toml:2: `ring`: aws-lc-rs is the only crypto provider
            Cargo.toml:4: `chrono`: `time` is the only time crate
        "#]],
    );
}

#[test]
fn code_is_told_from_comments_and_strings() {
    let text = r####"
fn a<'a>(x: &'a str) -> char { '"' } // "one
/* two /* nested */ still */ let s = r#"three " // four"#; let c = '\''; let b = b"\"five"; five();
let t = "six \" seven"; seven();
"####;
    let source = Source::parse("crates/a/src/a.rs", text, false);
    let shown = |text: &str| text.lines().map(|line| format!("{}|\n", line.trim_end())).collect::<String>();
    expect![[r#"
        |
        fn a<'a>(x: &'a str) -> char {     }|
                                     let s =                     ; let c =     ; let b = b        ; five();|
        let t =               ; seven();|
    "#]]
    .assert_eq(&shown(&source.code));
    expect![[r#"
        |
                                             // "one|
        /* two /* nested */ still */|
        |
    "#]]
    .assert_eq(&shown(&source.comments));
}

#[test]
fn paths_follow_their_imports() {
    let code = "use a::{b::{self, c as d}, e::*};\nfn f() { b::x(); d(); y.b(); c::<T>::z(); }\nfn g() -> impl T + use<> { e::k }\n";
    let found: Vec<String> = paths(code).iter().map(|p| format!("{}:{} ", p.line, p.path)).collect();
    expect![
        "1:a::b 1:a::b::c 1:a::e 2:fn 2:f 2:a::b::x 2:a::b::c 2:y 2:a::b::c 2:T 2:z 3:fn 3:g 3:impl 3:T 3:use 3:e::k "
    ]
    .assert_eq(&found.concat());
}
