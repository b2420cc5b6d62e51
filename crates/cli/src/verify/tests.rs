//! Verdicts become counts, tables and exit codes.
use super::{Line, Results, table};

fn line(to: &str, variant: &str, verdict: &str) -> Line {
    Line {
        flow: Some("place".into()),
        from: "gateway".into(),
        to: to.into(),
        port: 8080,
        variant: variant.into(),
        request: "GET /orders".into(),
        expect: if variant == "flow" { "pass" } else { "fail" }.into(),
        outcome: if variant == "flow" { "passed" } else { "refused" }.into(),
        status: if variant == "flow" { 204 } else { 403 },
        verdict: verdict.into(),
        reason: if verdict == "ok" { String::new() } else { "because".into() },
        ..Line::default()
    }
}

#[test]
fn verdicts_are_counted_and_coded() {
    let code = |lines: &[&str], strict| {
        let lines = lines.iter().map(|verdict| line("orders", "flow", verdict)).collect();
        format!("{:?}", Results { lines }.exit_code(strict))
    };
    let of = |code: u8| format!("{:?}", std::process::ExitCode::from(code));
    assert_eq!(code(&["ok", "ok"], true), of(0));
    assert_eq!(code(&["ok", "unverifiable"], false), of(0));
    assert_eq!(code(&["ok", "unverifiable"], true), of(3));
    assert_eq!(code(&["ok", "never-heard-of"], true), of(3));
    assert_eq!(code(&["unverifiable", "violated"], true), of(1));
    assert_eq!(code(&["violated"], false), of(1));
}

#[test]
fn a_node_is_verified_when_all_probes_towards_it_are_ok() {
    let lines = vec![
        line("orders", "flow", "ok"),
        line("orders", "plaintext", "ok"),
        line("db", "flow", "violated"),
        line("web", "flow", "ok"),
        line("web", "plaintext", "unverifiable"),
    ];
    let results = Results { lines };
    assert_eq!(results.of_node("orders"), Some(true));
    assert_eq!(results.of_node("db"), Some(false));
    assert_eq!(results.of_node("web"), None);
    assert_eq!(results.of_node("gateway"), None);
}

#[test]
fn the_table_says_what_was_expected_and_why_it_is_not_so() {
    let (good, bad) = (line("orders", "flow", "ok"), line("orders", "wrong-request", "violated"));
    assert_eq!(
        table(&[&good, &bad]),
        "  FROM     TO           PROBE          REQUEST      EXPECTED  GOT          VERDICT\n  \
         gateway  orders:8080  flow           GET /orders  pass      passed 204   ok\n  \
         gateway  orders:8080  wrong-request  GET /orders  fail      refused 403  VIOLATED\n  \
         gateway -> orders:8080 wrong-request: because\n"
    );
}
