//! docs/cli.md says what `ward --help` says: the reference below its marker is generated here.
use std::{fs, path::Path, process::Command};

use crate::binaries::binary;

const MARKER: &str =
    "<!-- generated from `ward --help`; UPDATE_EXPECT=1 cargo nextest run -p tests cli_reference -->\n";

#[test]
fn cli_reference_is_what_help_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("docs/cli.md");
    let text = fs::read_to_string(&path).unwrap();
    let (introduction, written) = text.split_once(MARKER).unwrap_or((&text, ""));
    let generated = reference();
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&path, format!("{introduction}{MARKER}{generated}")).unwrap();
    } else {
        assert!(written == generated, "docs/cli.md is not what the help says; bring it up to date with\n{MARKER}");
    }
}

/// A section for each command, in the order in which the help lists them.
fn reference() -> String {
    let mut out = format!("\n{}", block(&help(&[])));
    let mut todo: Vec<Vec<String>> = subcommands(&help(&[])).into_iter().map(|name| vec![name]).collect();
    todo.reverse();
    while let Some(command) = todo.pop() {
        let text = help(&command);
        let below = subcommands(&text);
        todo.extend(below.into_iter().rev().map(|name| [command.clone(), vec![name]].concat()));
        out += &format!("\n## ward {}\n\n{}", command.join(" "), block(&text));
    }
    out
}

fn block(text: &str) -> String {
    format!("```text\n{}\n```\n", text.trim())
}

fn help(command: &[String]) -> String {
    let output = Command::new(binary("ward")).args(command).arg("--help").env_clear().output().unwrap();
    assert!(output.status.success(), "ward {} --help: {output:?}", command.join(" "));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

/// The names below `Commands:`, without `help`.
fn subcommands(help: &str) -> Vec<String> {
    let section = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    // A name stands two columns in; its description may go on below, further in.
    let names = section.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = names.filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}
