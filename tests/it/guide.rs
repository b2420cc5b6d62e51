//! What is written down about the shop is true: the guide's commands work in their order, the README shows the model's
//! own graph, and the model is good, with exactly the warnings that its comments explain.
use std::{
    fs,
    net::TcpListener,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use model::SourceFile;

use crate::binaries::binary;

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn read(path: &str) -> String {
    fs::read_to_string(project(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn shop() -> model::Loaded {
    let file = |name: &str| SourceFile { name: name.to_owned(), text: read(&format!("examples/shop/{name}")) };
    model::load(&[file("policies.yaml"), file("ward.yaml")])
}

/// The bodies of the fenced blocks of a language.
fn blocks<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("\n```{language}\n");
    text.split(fence.as_str()).skip(1).map(|rest| rest.split("\n```").next().unwrap()).collect()
}

#[test]
fn the_shop_is_a_good_model_with_the_warnings_its_comments_explain() {
    let loaded = shop();
    let warned: Vec<&str> = loaded.diagnostics.iter().map(|d| d.path.as_str()).collect();
    assert_eq!(loaded.errors(), 0, "{:?}", loaded.diagnostics);
    assert_eq!(warned, ["invariants"], "ward.yaml and the guide speak of one warning");
}

#[test]
fn the_readme_shows_the_shops_graph() {
    let graph = model::graph::mermaid(&shop().model.unwrap());
    let readme = read("examples/shop/README.md");
    assert_eq!(blocks(&readme, "mermaid"), [graph.trim_end()], "put the output of `ward graph examples/shop` there");
}

#[test]
fn the_guides_commands_work_in_their_order() {
    // A copy, so that nothing is left in the project, with a gateway port that is free now.
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let shop = dir.path().join("examples/shop");
    fs::create_dir_all(&shop).unwrap();
    for file in ["ward.yaml", "policies.yaml", "shop", "postgres.sh", "try.sh"] {
        let to = shop.join(file);
        fs::copy(project("examples/shop").join(file), &to).unwrap();
        if file != "shop" && file != "postgres.sh" {
            fs::write(&to, fs::read_to_string(&to).unwrap().replace("8443", &port)).unwrap();
        }
    }
    let bin = dir.path().join("target/debug");
    fs::create_dir_all(&bin).unwrap();
    for program in ["ward", "ward-proxy", "ward-control"] {
        symlink(binary(program), bin.join(program)).unwrap();
    }
    // A copy: its services run as `nobody`, who may not walk to a clone below root's home.
    fs::copy(binary("shop"), bin.join("shop")).unwrap();

    let guide = read("docs/getting-started.md");
    let commands = blocks(&guide, "sh");
    assert!(commands.len() > 10, "the guide's blocks were not found");
    let stop =
        r#"trap 'if [ -n "${ward_up-}" ]; then kill -INT $ward_up; wait $ward_up; tail -n 40 shop.log; fi' EXIT"#;
    let script = format!("set -euxo pipefail\n{stop}\n{}\ntrap - EXIT\n", commands.join("\n").replace("8443", &port));
    // TERM lets bash run its trap, so that nothing stays behind.
    let output = Command::new("timeout")
        .args(["300", "bash", "-c", &script])
        .current_dir(dir.path())
        .env("PATH", format!("{}:{}", bin.display(), std::env::var("PATH").unwrap()))
        .env("WARD_SOCKET", dir.path().join("control.sock"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (said, traced) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{said}\n{traced}", output.status);
    let wanted = [
        "All as the diagram says.",
        "nearest is flow `shopping`",
        "spiffe://shop.example/ns/pci/sa/payments",
        "Tried on the model: with it, the request is allowed.",
    ];
    for wanted in wanted {
        assert!(said.contains(wanted), "no `{wanted}` in\n{said}");
    }
}
