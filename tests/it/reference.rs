//! The reference parts of the user's guide are generated from what the programs say, so that they cannot drift:
//! `UPDATE_EXPECT=1 cargo nextest run -p tests reference` brings them up to date.
use std::{collections::BTreeSet, fs, path::Path, process::Command};

use policy::reasons::{self, REASONS, Teller};
use serde_json::{Value, to_value};

use crate::binaries::binary;

const REMEDY: &str = "bring it up to date with `UPDATE_EXPECT=1 cargo nextest run -p tests reference -j 1`";

#[test]
fn commands() {
    check("docs/cli.md", "commands", &commands_section());
}

#[test]
fn picture_of_the_shop() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let picture = root.join("docs/shop.svg");
    let arguments = ["graph", "examples/shop", "--format", "svg"];
    let output = Command::new(binary("ward")).args(arguments).current_dir(root).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&picture, &output.stdout).unwrap();
    }
    assert!(fs::read(&picture).unwrap() == output.stdout, "docs/shop.svg is not what `ward graph` draws; {REMEDY}");
}

#[test]
fn words_of_the_model() {
    let rows = model::words::WORDS.iter().map(|w| {
        let [place, owner, state] = [to_value(w.place), to_value(w.owner), to_value(w.state)].map(plain);
        format!("| {place} | `{}` | {owner} | {state} | {} |\n", w.word, w.today)
    });
    check(
        "docs/model.md",
        "words",
        &format!("| where | word | kept by | state | today |\n|---|---|---|---|---|\n{}", rows.collect::<String>()),
    );
}

#[test]
fn diagnostics_of_the_model() {
    let rows = model::diagnostic::CODES.iter().map(|(code, meaning)| format!("| `{code}` | {meaning} |\n"));
    check("docs/model.md", "diagnostics", &format!("| code | means |\n|---|---|\n{}", rows.collect::<String>()));
}

#[test]
fn reason_codes() {
    let rows = Teller::ALL.into_iter().flat_map(|teller| REASONS.iter().filter(move |one| one.teller == teller));
    let rows = rows.map(|one| {
        let answer = if one.status == 0 { "-".to_owned() } else { one.status.to_string() };
        format!("| `{}` | {answer} | {} | {} |\n", one.code, one.teller.title(), one.meaning)
    });
    let table = format!("| code | answer | about | means |\n|---|---|---|---|\n{}", rows.collect::<String>());
    check("docs/policy.md", "reasons", &table);
}

/// The proxy's codes stand in its sources as literals: all of them are in the table, and the table has no others.
#[test]
fn reason_codes_of_the_proxy() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("crates/proxy/src");
    let mut codes = BTreeSet::new();
    let mut todo = vec![root.clone()];
    while let Some(path) = todo.pop() {
        if path.is_dir() {
            todo.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if !path.ends_with("tests.rs") && path.extension().is_some_and(|e| e == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            codes.extend(text.split("Malformed(\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()));
        }
    }
    // `Self::NoRoute => (Downstream, 404, "no-route", "NR"),`
    let faults = fs::read_to_string(root.join("fault.rs")).unwrap();
    let arms = faults.lines().filter_map(|line| line.trim().strip_prefix("Self::")?.split_once("=> ("));
    codes.extend(arms.filter_map(|(_, facts)| Some(facts.split('"').nth(1)?.to_owned())).filter(|code| code.len() > 3));
    assert!(codes.len() > 20, "the proxy's codes were not found: {codes:?}");
    for code in &codes {
        assert!(reasons::find(code).is_some(), "`{code}` of the proxy is not in crates/policy/src/reasons.rs");
    }
    let own = REASONS.iter().filter(|one| matches!(one.teller, Teller::Head | Teller::Proxy));
    for one in own {
        assert!(codes.contains(one.code), "no line of the proxy says `{}`", one.code);
    }
}

#[test]
fn severities_of_posture() {
    let rows = posture::TABLE.iter().map(|line| {
        let word = |severity: Option<posture::Severity>| severity.map_or("-", posture::Severity::as_str);
        let lack = match line.lack {
            posture::Lack::AtRest => "encryption at rest",
            posture::Lack::InTransit => "encryption on the way",
            posture::Lack::Authentication => "proof of who asks",
            posture::Lack::Record => "a record",
            posture::Lack::Need => "a need",
        };
        let class = posture::view::class_word(line.class);
        format!("| {lack} | {class} | {} | {} |\n", word(line.inside), word(line.outside))
    });
    let head = "| lacking | class of the data | inside | outside |\n|---|---|---|---|\n";
    check("docs/posture.md", "severities", &format!("{head}{}", rows.collect::<String>()));
}

#[test]
fn rules_of_posture() {
    let mut text = String::new();
    for rule in posture::RULES {
        let grade = match rule.grade {
            posture::Grade::Table(_) => "by the table".to_owned(),
            posture::Grade::Fixed(severity) => severity.to_string(),
            posture::Grade::Either(low, high, when) => format!("{low}; {high} when {when}"),
        };
        let controls: Vec<String> = rule.controls.iter().map(|c| format!("`{c}`")).collect();
        text += &format!(
            "\n### `{}`\n\nFires when {}.\n\n- severity: {grade}\n- mend: {}\n- fails {}\n\n```yaml\n{}\n```\n",
            rule.id,
            rule.when,
            rule.mend,
            controls.join(", "),
            rule.example.trim(),
        );
    }
    check("docs/posture.md", "rules", &text);
}

#[test]
fn frameworks_of_compliance() {
    let mut rows = String::new();
    let mut tested = String::new();
    for framework in posture::Framework::ALL {
        let table = framework.table();
        let rules = table.clauses.iter().filter(|c| c.tested).count();
        let (id, all) = (framework.as_str(), table.clauses.len());
        rows += &format!("| `{id}` | {}, {} | {all} | {rules} | {} |\n", table.name, table.version, all - rules);
        for clause in table.clauses.iter().filter(|c| c.tested) {
            let rules: Vec<String> = framework.rules(clause.id).map(|r| format!("`{}`", r.id)).collect();
            tested += &format!("| `{id}:{}` | {} | {} |\n", clause.id, clause.title, rules.join(", "));
        }
    }
    let head = "| framework | name and edition | controls | tested by rules | manual |\n|---|---|---:|---:|---:|\n";
    check("docs/compliance.md", "frameworks", &format!("{head}{rows}"));
    let head = "| control | what it is called here | tested by |\n|---|---|---|\n";
    check("docs/compliance.md", "tested controls", &format!("{head}{tested}"));
}

/// What stands in `path` between the marks of `section` must be `generated`.
fn check(path: &str, section: &str, generated: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(path);
    let text = fs::read_to_string(&file).unwrap();
    let (begin, end) = (format!("<!-- generated: {section} -->\n"), format!("<!-- end: {section} -->\n"));
    let parts = text.split_once(&begin).and_then(|(before, rest)| Some((before, rest.split_once(&end)?)));
    let (before, (written, after)) = parts.unwrap_or_else(|| panic!("{path} has no marks for `{section}`"));
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&file, format!("{before}{begin}{generated}{end}{after}")).unwrap();
    } else {
        let remedy = "UPDATE_EXPECT=1 cargo nextest run -p tests reference -j 1";
        assert!(
            written == generated,
            "{path}, {section}: not what the programs say; bring it up to date with\n  {remedy}"
        );
    }
}

/// A word of a closed set as JSON has it.
fn plain(word: serde_json::Result<Value>) -> String {
    word.unwrap().as_str().unwrap().to_owned()
}

/// A section for each command, in the order in which the help lists them.
fn commands_section() -> String {
    let mut out = block(&help(&[]));
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
