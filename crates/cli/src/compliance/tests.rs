//! Reports in each form, and what hostile text may not do in them.
use expect_test::expect;
use model::SourceFile;
use posture::Framework;
use serde_json::Value;
use time::macros::datetime;

use super::{Report, assess, framework, frameworks, html, markdown, oscal};

const MODEL: &str = r#"ward: 1
model: example
zones: { inside: {} }
data: { profile: { class: confidential, about: person, residency: [eu] }, order: { class: internal } }
nodes:
  web: { kind: service, zone: inside, logs: true }
  desk: { kind: service, zone: inside, auth: token, reads: [profile] }
flows:
  - { id: look, from: web, to: desk, carries: [profile], via: { tls: none } }
  - { id: place, from: web, to: desk, carries: [order] }
waivers:
  - { id: W-1, accepts: "residency@*", why: WHY, owner: OWNER, until: 2027-01-31 }
"#;

fn report(why: &str, owner: &str, frameworks: &[Framework]) -> Report {
    let quoted = |text: &str| serde_json::to_string(text).unwrap();
    let text = MODEL.replace("WHY", &quoted(why)).replace("OWNER", &quoted(owner));
    let file = SourceFile { name: "ward.yaml".to_owned(), text };
    assess("models/a b".as_ref(), vec![file], frameworks, datetime!(2026-11-22 10:00 UTC)).unwrap()
}

#[test]
fn a_report_to_keep() {
    let text = markdown::report(&report("one region", "data-team", &[Framework::Gdpr]));
    // Up to what is a person's: that is the table of the framework.
    let (tested, manual) = text.split_once("\n### Manual").unwrap();
    expect![[r#"
        # Compliance of example

        As of 2026-11-22, of the model in `models/a b`. What is tested here is the design that the model states, and not how it is operated. `satisfied` means that the named rules looked at the stated number of things and found nothing; it is not the judgement of an assessor. What no rule tests is `manual`.

        | framework | not satisfied | accepted | satisfied | not applicable | manual |
        |---|---:|---:|---:|---:|---:|
        | GDPR, Regulation (EU) 2016/679 | 2 | 1 | 2 | 1 | 25 |

        ## GDPR

        Regulation (EU) 2016/679, <https://eur-lex.europa.eu/eli/reg/2016/679/oj>. Data under a pseudonym are still personal data (recital 26): a flow with a `transform` moves less about a person, and what it moves is counted here all the same. Nothing here says that data are anonymous.

        Counted as personal data: `profile`.

        1 finding behind what is not satisfied, worst first:

        - **high** `plaintext-flow@look`: `web` and `desk` exchange `profile` in plain text

        ### Not satisfied (2)

        A rule that tests it found something that nobody answers for.

        #### Art. 5.1.f: Integrity and confidentiality

        Data are protected against unauthorized use, loss and damage.

        - **high** `plaintext-flow@look`: `web` and `desk` exchange `profile` in plain text
          - at `ward.yaml:9`, `ward.yaml:4`
          - mend: speak TLS 1.3
        - tested by `plaintext-flow`: 1 of 1 flows of more than public data; `weak-tls`: 0 of 1 flows of more than public data; `unauthenticated-flow`: 0 of 1 flows of confidential data or worse
        - a person shows: backups, and the measures as they are operated

        #### Art. 32: Security of processing

        Measures fit the risk: encryption, confidentiality, integrity, availability, and tests of them.

        - **high** `plaintext-flow@look`: `web` and `desk` exchange `profile` in plain text
          - at `ward.yaml:9`, `ward.yaml:4`
          - mend: speak TLS 1.3
        - tested by `plaintext-flow`: 1 of 1 flows of more than public data; `weak-tls`: 0 of 1 flows of more than public data; `unauthenticated-flow`: 0 of 1 flows of confidential data or worse; `unlogged-flow`: 0 of 1 flows of confidential data or worse, beside the credential that opens the way
        - a person shows: availability, restoring, and regular tests; people who act on instruction only (Art. 32(4))

        ### Accepted (1)

        Everything that was found is accepted by a waiver until a day.

        #### Art. 44: Transfers to other countries

        Data leave the Union only as the regulation allows, onward transfers too.

        - **accepted** `residency@inside`: `profile` must stay in `eu`, and zone `inside`, where `desk` has them, states no region
          - at `ward.yaml:3`, `ward.yaml:4`
          - medium, accepted by `W-1` of data-team until 2027-01-31: one region
        - tested by `residency`: 1 of 1 zones that data with a `residency` come to
        - a person shows: the ground of each transfer; rules look only at regions that data state

        ### Satisfied in the model (2)

        Its rules had something to look at and found nothing; a person shows the rest.

        #### Art. 5.1.c: No more than needed

        Data are limited to what the purpose needs.

        - tested by `over-collection`: 0 of 1 data about people that are carried, and kept or read, or carried to where it is said what is read
        - a person shows: why each datum is needed at all; rules look only at data that nobody uses, and at who gets data about children without a stated need

        #### Art. 25: By design and by default

        Measures are built in, and by default only what is needed is processed, reachable by few.

        - tested by `over-collection`: 0 of 1 data about people that are carried, and kept or read, or carried to where it is said what is read
        - a person shows: decisions of design, and the defaults that people meet

        ### Not applicable in the model (1)

        Its rules have nothing to look at in this model, so nothing is said of it.

        | control | asks | would apply with | a person shows |
        |---|---|---|---|
        | Art. 5.1.e, No longer than needed | Data are kept no longer than the purpose needs. | copies of data that state a `retention`, of personal data | the reason of each period, and proof of deletion; rules look only at whether copies end with their original |
    "#]].assert_eq(tested);
    assert!(manual.contains("| Art. 30, Register of processing |"));
}

#[test]
fn frameworks_are_listed() {
    expect![[r#"
          framework      name             version                                              controls  tested by rules  manual
          pci-dss-4.0.1  PCI DSS          4.0.1                                                      78               21      57
          soc2           SOC 2            trust services criteria 2017 (points of focus 2022)        43               12      31
          gdpr           GDPR             Regulation (EU) 2016/679                                   31                6      25
          nist-800-207   NIST SP 800-207  August 2020, tenets of section 2.1                          7                5       2
          nist-ai-rmf    NIST AI RMF      1.0 (NIST AI 100-1)                                        42                1      41
          iso-42001      ISO/IEC 42001    2023, annex A                                              38                1      37
          eu-ai-act      EU AI Act        Regulation (EU) 2024/1689                                  27                2      25
          coppa          COPPA            16 CFR 312, as amended on 22 April 2025                    10                3       7

        Controls that concern services, data, access, logs and AI, in our own words. `tested` is of the design in a model,
        never of operation; `ward compliance frameworks NAME` lists the controls of one.
    "#]].assert_eq(&frameworks::list());
    let tenets = frameworks::controls(Framework::Nist800207);
    expect![[r#"
        NIST SP 800-207, August 2020, tenets of section 2.1: 7 controls, 5 tested by rules, 2 manual
        https://doi.org/10.6028/NIST.SP.800-207

        Tenet 1  Everything is a resource
          All sources of data and all computing services count as resources to protect.
          manual: that the model leaves nothing out: how it is compared with what really runs

        Tenet 2  All communication is secured
          Communication is protected wherever it takes place; being inside a network earns no trust.
          tested by plaintext-flow, weak-tls, bypassable
          a person shows: the same on the wire, for flows that Ward does not enforce
    "#]]
    .assert_eq(&tenets[..tenets.find("\nTenet 3").unwrap()]);
}

#[test]
fn a_framework_has_a_beginning_of_its_name() {
    assert_eq!(framework("pci-dss"), Ok(Framework::PciDss));
    let both = "this is the beginning of nist-800-207 and nist-ai-rmf";
    assert_eq!(framework("nist").unwrap_err(), both);
    assert_eq!(framework("gpdr").unwrap_err(), "no framework of this name; did you mean `gdpr`?");
    let all = "pci-dss-4.0.1, soc2, gdpr, nist-800-207, nist-ai-rmf, iso-42001, eu-ai-act, coppa";
    assert_eq!(framework("sarbanes-oxley").unwrap_err(), format!("no framework of this name; there are {all}"));
}

const HOSTILE: &str =
    "</p><script>alert(1)</script> <img src=x onerror=alert(2)> \" onload='x' & | `a` ](javascript:b) *c*\n# d\u{202e}";

#[test]
fn text_is_never_markup_in_html() {
    let page = html::page(&report(HOSTILE, HOSTILE, &Framework::ALL));
    let (head, body) = page.split_once("<body>").unwrap();
    for bad in ["<script", "<img", "\u{202e}", "javascript:b)</", "onload='x'"] {
        assert!(!body.contains(bad), "{bad}");
    }
    assert!(body.contains(
        "&lt;script&gt;alert(1)&lt;/script&gt; &lt;img src=x onerror=alert(2)&gt; &quot; onload=&#39;x&#39; &amp; | `a`"
    ));
    // Nothing is fetched and nothing runs, even if something had come through.
    assert!(head.contains("default-src 'none'"));
    for elsewhere in ["<link", "<script", "url(", "@import", " src="] {
        assert!(!head.contains(elsewhere), "{elsewhere}");
    }
    let links: Vec<&str> = page.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    let known: Vec<&str> = Framework::ALL.into_iter().map(|f| f.table().source).collect();
    assert!(links.iter().all(|l| l.starts_with('#') || known.contains(l)), "{links:?}");
}

#[test]
fn every_element_is_closed() {
    let page = html::page(&report("one region", "data-team", &Framework::ALL));
    let mut open: Vec<&str> = Vec::new();
    let (_, rest) = page.split_once("</style>").unwrap();
    for tag in rest.split('<').skip(1).map(|part| part.split('>').next().unwrap()) {
        let name = tag.split([' ', '\n']).next().unwrap();
        match name.strip_prefix('/') {
            Some("head" | "html") => {}
            Some(closed) => assert_eq!(open.pop(), Some(closed), "in {tag}"),
            None => open.push(name),
        }
    }
    assert_eq!(open, Vec::<&str>::new());
}

#[test]
fn text_is_never_markup_in_markdown() {
    let text = markdown::report(&report(HOSTILE, HOSTILE, &[Framework::Gdpr]));
    assert!(
        !text.contains("<script") && !text.contains("<img") && !text.contains("\n# d") && !text.contains('\u{202e}')
    );
    assert!(text.contains("&lt;script&gt;alert(1)&lt;/script&gt;") && text.contains(r"\](javascript:b) \*c\* \# d"));
}

#[test]
fn oscal_keeps_its_forms_whatever_the_text() {
    let document = oscal::results(&report(HOSTILE, HOSTILE, &Framework::ALL)).unwrap();
    let mut seen = Vec::new();
    walk("", &document, &mut |key, text| match key {
        "uuid" => {
            let variant = text.as_bytes()[19];
            assert!(text.len() == 36 && text.as_bytes()[14] == b'4' && b"89ab".contains(&variant), "{text}");
            seen.push(text.to_owned());
        }
        "title" | "value" => assert!(!text.is_empty() && !text.contains('\n') && text.trim() == text, "{text:?}"),
        "control-id" | "target-id" => {
            let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
            assert!(text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(plain), "{text}");
        }
        "href" => assert!(!text.contains(' '), "{text}"),
        _ => {}
    });
    assert!(seen.len() > 20);
    let result = &document["assessment-results"]["results"][2];
    assert_eq!(result["props"][0]["name"], "count-not-satisfied");
    let manual = result["props"].as_array().unwrap().iter().find(|p| p["value"] == "gdpr_30").unwrap();
    assert_eq!(manual["name"], "manual");
    let accepted = result["risks"][0]["status"].as_str().unwrap();
    assert_eq!(accepted, "deviation-approved");
    let evidence: Vec<&str> = result["observations"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|o| o["relevant-evidence"].as_array().unwrap())
        .map(|e| e["href"].as_str().unwrap())
        .collect();
    assert!(evidence.contains(&"models/a%20b/ward.yaml#L9"), "{evidence:?}");
}

#[test]
fn oscal_is_the_same_for_the_same_and_another_for_another_model() {
    let id = |why: &str| {
        oscal::results(&report(why, "data-team", &[Framework::Soc2])).unwrap()["assessment-results"]["uuid"].clone()
    };
    assert_eq!(id("one region"), id("one region"));
    assert_ne!(id("one region"), id("another region"));
}

#[test]
fn the_exit_code_says_whether_something_fails() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("report.json");
    let run = |model: &str, frameworks: &[Framework], all: bool| {
        std::fs::write(dir.path().join("ward.yaml"), model).unwrap();
        let asked = super::Asked {
            dir: dir.path().to_owned(),
            frameworks: frameworks.to_vec(),
            all,
            format: super::Format::Json,
            out: Some(out.clone()),
            day: crate::posture::Day::default(),
        };
        let code = super::report(&asked).map(|code| format!("{code:?}"));
        (code, std::fs::read_to_string(&out).unwrap_or_default())
    };
    let code = |code: u8| format!("{:?}", std::process::ExitCode::from(code));
    let nothing = "ward: 1\nmodel: nothing\nzones: { inside: {} }\n";
    let model = MODEL.replace("WHY", "one region").replace("OWNER", "data-team");
    let (fine, text) = run(nothing, &[], true);
    assert_eq!(fine.unwrap(), code(0));
    let document: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["frameworks"].as_array().unwrap().len(), Framework::ALL.len());
    assert_eq!(document["frameworks"][0]["counts"]["satisfied"], 0);
    let (failing, text) = run(&model, &[Framework::Gdpr, Framework::Soc2, Framework::Gdpr], false);
    assert_eq!(failing.unwrap(), code(1));
    let document: Value = serde_json::from_str(&text).unwrap();
    let ids: Vec<&str> =
        document["frameworks"].as_array().unwrap().iter().map(|f| f["framework"].as_str().unwrap()).collect();
    assert_eq!(ids, ["gdpr", "soc2"]);
    assert_eq!(run(&model, &[Framework::Coppa], false).0.unwrap(), code(0));
    assert!(run("ward: 1\n", &[Framework::Coppa], false).0.is_err());
}

#[test]
fn a_model_with_errors_is_no_answer() {
    let file = SourceFile { name: "ward.yaml".to_owned(), text: "ward: 1\n".to_owned() };
    let refused = assess(".".as_ref(), vec![file], &[Framework::Gdpr], datetime!(2026-11-22 10:00 UTC));
    assert_eq!(refused.err().unwrap().to_string(), ". has errors: mend them first, then ask again");
}

fn walk<'d>(key: &str, value: &'d Value, see: &mut impl FnMut(&str, &'d str)) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, v)| walk(key, v, see)),
        Value::Array(all) => all.iter().for_each(|v| walk(key, v, see)),
        Value::String(text) => see(key, text),
        _ => {}
    }
}
