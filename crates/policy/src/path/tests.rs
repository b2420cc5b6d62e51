//! The table of spellings, and what must hold for any path.
use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::{PathFault, canonical_spelling, normalize_path};

/// Paths, separated by blanks; `_` in them stands for a blank.
fn check(paths: &str, expect: Expect) {
    let mut out = String::new();
    for path in paths.split(' ') {
        let path = path.replace('_', " ");
        let line = match normalize_path(&path) {
            Ok(normal) => format!("{path:<24} -> {normal}\n"),
            Err(fault) => format!("{path:<24} refused: {}\n", fault.as_str()),
        };
        out.push_str(&line.replace('\0', "\\0"));
    }
    expect.assert_eq(&out);
}

#[test]
fn plain_paths_stay_and_are_borrowed() {
    for path in ["/", "/admin", "/admin/", "/a/b.c/d-e_f~g", "/a/!$&'()*+,=:@", "/pkg.Svc/Method", "*"] {
        assert!(matches!(normalize_path(path), Ok(std::borrow::Cow::Borrowed(same)) if same == path), "{path}");
    }
}

// CVE-2021-29492, CVE-2021-31920: encoded and doubled slashes.
#[test]
fn slashes() {
    check(
        "//admin /admin// /a///b /a%2fb /a%2Fb /a%5cb /a\\b \\admin /a/%2f/b /%2F%2Fadmin %2Fadmin",
        expect![[r#"
            //admin                  -> /admin
            /admin//                 -> /admin/
            /a///b                   -> /a/b
            /a%2fb                   -> /a/b
            /a%2Fb                   -> /a/b
            /a%5cb                   -> /a/b
            /a\b                     -> /a/b
            \admin                   -> /admin
            /a/%2f/b                 -> /a/b
            /%2F%2Fadmin             -> /admin
            %2Fadmin                 refused: path-not-absolute
        "#]],
    );
}

// CVE-2019-9901: dot segments, plain and encoded.
#[test]
fn dot_segments() {
    check(
        "/a/../b /a/./b /a/.. /a/. /.. /../../etc /x/%2e%2e/y /x/%2E./y /x/..%2fy /x/..\\y /.well-known/x /... /a..b/.c",
        expect![[r#"
            /a/../b                  -> /b
            /a/./b                   -> /a/b
            /a/..                    -> /
            /a/.                     -> /a/
            /..                      -> /
            /../../etc               -> /etc
            /x/%2e%2e/y              -> /y
            /x/%2E./y                -> /y
            /x/..%2fy                -> /y
            /x/..\y                  -> /y
            /.well-known/x           -> /.well-known/x
            /...                     -> /...
            /a..b/.c                 -> /a..b/.c
        "#]],
    );
}

// CVE-2026-73511, CVE-2026-73551, CVE-2026-73553: path parameters.
#[test]
fn parameters() {
    check(
        "/admin;x=1 /admin;x=1/y /x/..;/y /x/%2e%2e;/y /x/..;a=b/y /;a/b /a/; /a;b;c/ /a%3Bb /a%3bb",
        expect![[r#"
            /admin;x=1               -> /admin
            /admin;x=1/y             -> /admin/y
            /x/..;/y                 -> /y
            /x/%2e%2e;/y             -> /y
            /x/..;a=b/y              -> /y
            /;a/b                    -> /b
            /a/;                     -> /a/
            /a;b;c/                  -> /a/
            /a%3Bb                   -> /a%3Bb
            /a%3bb                   -> /a%3Bb
        "#]],
    );
}

// CVE-2020-8595, CVE-2021-32779, CVE-2021-39156: query and fragment.
#[test]
fn query_and_fragment() {
    check(
        "/admin?q=1 /admin#f /admin#f?q /admin?a#b ?q  /a%3Fb /a%23b",
        expect![[r#"
        /admin?q=1               -> /admin
        /admin#f                 -> /admin
        /admin#f?q               -> /admin
        /admin?a#b               -> /admin
        ?q                       -> /
                                 -> /
        /a%3Fb                   -> /a%3Fb
        /a%23b                   -> /a%23b
    "#]],
    );
}

// CVE-2019-9900 and its kind: what no application should see.
#[test]
fn refused() {
    check(
        "/a%00 /a\0b /a%0d%0ab /a%7f /a_b /a\tb /caf\u{e9} /% /%4 /%zz /%%34%31 admin http://x/y",
        expect![[r#"
        /a%00                    refused: path-encoded-control
        /a\0b                     refused: path-raw-byte
        /a%0d%0ab                refused: path-encoded-control
        /a%7f                    refused: path-encoded-control
        /a b                     refused: path-raw-byte
        /a	b                     refused: path-raw-byte
        /café                    refused: path-raw-byte
        /%                       refused: path-bad-escape
        /%4                      refused: path-bad-escape
        /%zz                     refused: path-bad-escape
        /%%34%31                 refused: path-bad-escape
        admin                    refused: path-not-absolute
        http://x/y               refused: path-not-absolute
    "#]],
    );
}

// Overlong forms of `/` and `.`, and bytes that are no character.
#[test]
fn utf8() {
    check(
        "/%c0%af /%c0%ae%c0%ae/ /%e0%80%af /%f0%80%80%af /%ff /%ed%a0%80 /caf%c3%a9 /%E2%82%AC",
        expect![[r#"
        /%c0%af                  refused: path-not-utf8
        /%c0%ae%c0%ae/           refused: path-not-utf8
        /%e0%80%af               refused: path-not-utf8
        /%f0%80%80%af            refused: path-not-utf8
        /%ff                     refused: path-not-utf8
        /%ed%a0%80               refused: path-not-utf8
        /caf%c3%a9               -> /caf%C3%A9
        /%E2%82%AC               -> /%E2%82%AC
    "#]],
    );
}

#[test]
fn one_spelling_for_each_character() {
    check(
        "/%61dmin /%41%5A%7e /a%2db /a%40b /a%2Ab /a%20b /a%2fb%2e /a+b /a%2bb /a|b /a%7cb /a\"<>^`{}[] /%252e",
        expect![[r#"
            /%61dmin                 -> /admin
            /%41%5A%7e               -> /AZ~
            /a%2db                   -> /a-b
            /a%40b                   -> /a@b
            /a%2Ab                   -> /a*b
            /a%20b                   -> /a%20b
            /a%2fb%2e                -> /a/b.
            /a+b                     -> /a+b
            /a%2bb                   -> /a%2Bb
            /a|b                     -> /a%7Cb
            /a%7cb                   -> /a%7Cb
            /a"<>^`{}[]              -> /a%22%3C%3E%5E%60%7B%7D%5B%5D
            /%252e                   -> /%252e
        "#]],
    );
}

fn paths() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        Just("/".to_owned()),
        Just("..".to_owned()),
        Just(".".to_owned()),
        Just(";".to_owned()),
        Just("%2e".to_owned()),
        Just("%2F".to_owned()),
        Just("%5c".to_owned()),
        Just("%25".to_owned()),
        Just("\\".to_owned()),
        Just("?".to_owned()),
        "[a-c%0-9;.+*{}|-]{1,3}",
        "%[0-9a-fA-F]{2}",
        "\\PC",
    ];
    proptest::collection::vec(part, 0..12).prop_map(|parts| format!("/{}", parts.concat()))
}

proptest! {
    #[test]
    fn normalizing_twice_changes_nothing(path in paths()) {
        if let Ok(once) = normalize_path(&path) {
            let twice = normalize_path(&once);
            prop_assert_eq!(twice.as_deref(), Ok(once.as_ref()));
        }
    }

    #[test]
    fn a_normal_path_hides_nothing(path in paths()) {
        if let Ok(normal) = normalize_path(&path) {
            prop_assert!(normal.starts_with('/'));
            prop_assert!(!normal.contains("//"), "{}", normal);
            prop_assert!(normal.bytes().all(|b| (0x21..0x7f).contains(&b) && !b";?#\\".contains(&b)), "{}", normal);
            prop_assert!(normal.split('/').all(|s| s != "." && s != ".."), "{}", normal);
            let upper = normal.to_ascii_uppercase();
            prop_assert!(!upper.contains("%2F") && !upper.contains("%5C") && !upper.contains("%2E"), "{}", normal);
        }
    }

    // A policy's path is spelled as requests are.
    #[test]
    fn the_spelling_of_a_normal_path_is_itself(path in paths()) {
        if let Ok(normal) = normalize_path(&path) {
            prop_assert_eq!(canonical_spelling(&normal), normal.as_ref());
        }
    }

    // What the model takes for a literal path is one that requests can have: it would never match otherwise.
    #[test]
    fn a_literal_path_of_the_model_is_normal(path in "/[a-c%0-9A-F;.+*{}|@=-]{0,8}") {
        if let Ok(pattern) = model::allow::PathPattern::parse(&path) && pattern.is_literal() {
            let normal = normalize_path(&path);
            // Escapes that are no UTF-8 are refused in requests; a pattern with them is idle, and harmless.
            prop_assume!(normal != Err(PathFault::NotUtf8));
            prop_assert_eq!(normal.as_deref(), Ok(path.as_str()));
        }
    }

    #[test]
    fn anything_is_answered(path in "\\PC{0,40}") {
        let _ = normalize_path(&path);
    }
}
