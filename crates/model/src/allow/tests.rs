//! `allow` entries: what they let through, what is refused and why.
use std::cmp::Ordering;

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::{AllowEntry, PathPattern};

fn check(text: &str, expect: Expect) {
    let said = match AllowEntry::parse(text) {
        Ok(entry) => format!("{:?} {}", entry.methods, entry.path),
        Err(e) => format!("{e} at `{}`; {}", &text[e.at.clone()], e.help().unwrap_or_default()),
    };
    expect.assert_eq(&said);
}

#[test]
fn entries() {
    check("GET /orders/{*}", expect![[r#"["GET", "HEAD"] /orders/{*}"#]]);
    check("GET,HEAD /", expect![[r#"["GET", "HEAD"] /"#]]);
    check("POST,PUT /a/", expect![[r#"["POST", "PUT"] /a/"#]]);
    check("* /{**}", expect!["[] /{**}"]);
    check("grpc shop.v1.Orders/Place", expect![[r#"["POST"] /shop.v1.Orders/Place"#]]);
    check("grpc shop.v1.Orders/{*}", expect![[r#"["POST"] /shop.v1.Orders/{*}"#]]);
    check("GET /a%20b/~c", expect![[r#"["GET", "HEAD"] /a%20b/~c"#]]);
}

#[test]
fn refused() {
    check(
        "",
        expect![
            "`` is not `METHOD PATH` at ``; write one or more methods, a blank and a path, as in `GET,POST /orders/{*}`, `* /{**}` or `grpc pkg.Service/Method`"
        ],
    );
    check(
        "/orders",
        expect![
            "`/orders` is not `METHOD PATH` at `/orders`; write one or more methods, a blank and a path, as in `GET,POST /orders/{*}`, `* /{**}` or `grpc pkg.Service/Method`"
        ],
    );
    check(
        "GET  /orders",
        expect![
            "`GET  /orders` is not `METHOD PATH` at `GET  /orders`; write one or more methods, a blank and a path, as in `GET,POST /orders/{*}`, `* /{**}` or `grpc pkg.Service/Method`"
        ],
    );
    check("get /orders", expect!["`get` is not an HTTP method at `get`; did you mean `GET`?"]);
    check("POST,GTE /", expect!["`GTE` is not an HTTP method at `GTE`; did you mean `GET`?"]);
    check(
        "GET,GET /",
        expect!["method `GET` is already covered at `GET`; GET covers HEAD, and `*` covers all: leave it out"],
    );
    check(
        "GET,* /",
        expect!["method `*` is already covered at `*`; GET covers HEAD, and `*` covers all: leave it out"],
    );
    check(
        "CONNECT /",
        expect![
            "`CONNECT` is not an HTTP method at `CONNECT`; CONNECT opens a tunnel: serve the port as `protocol: tcp` instead"
        ],
    );
    check("GET orders", expect!["path `orders` does not start with `/` at `orders`; write `/orders`"]);
    check(
        "GET /a//b",
        expect!["the path has an empty segment, which no normalized request has at ``; write a single `/`"],
    );
    check(
        "GET /a/../b",
        expect![
            "path segment `..` is removed from every request before it is compared at `..`; write the path that the request really asks for"
        ],
    );
    check(
        "GET /a/{**}/b",
        expect!["`{**}` may only be the last segment at `{**}`; use `{*}` for one segment in the middle"],
    );
    check(
        "GET /orders/{id}",
        expect![
            "`{id}` is not a wildcard segment at `{id}`; a wildcard is a whole segment: `{*}` for one segment, `{**}` at the end for the rest"
        ],
    );
    check(
        "GET /orders*",
        expect![
            "`orders*` is not a wildcard segment at `orders*`; a wildcard is a whole segment: `{*}` for one segment, `{**}` at the end for the rest"
        ],
    );
    check(
        "GET /a?b=c",
        expect!["character `?` cannot stand in a path at `?`; query and fragment are not compared: leave them out"],
    );
    check(
        "GET /a;b",
        expect![
            "character `;` cannot stand in a path at `;`; use letters, digits and -._~!$&'()+,=:@, or a percent escape"
        ],
    );
    check("GET /ä", expect!["character `ä` cannot stand in a path at `ä`; write `%C3%A4`, as requests do"]);
    check(
        "GET /a%2Fb",
        expect![
            "`%2F` cannot stand in a path at `%2F`; write an escape as `%` and two upper-case hex digits; letters, digits and -._~!$&'()*,=:@ as they are; `/`, `\\` and control characters cannot be escaped"
        ],
    );
    check(
        "GET /a%2",
        expect![
            "`%2` cannot stand in a path at `%2`; write an escape as `%` and two upper-case hex digits; letters, digits and -._~!$&'()*,=:@ as they are; `/`, `\\` and control characters cannot be escaped"
        ],
    );
    check(
        "grpc Orders",
        expect![
            "`Orders` is not `package.Service/Method` at `Orders`; write `grpc package.Service/Method`, or `grpc package.Service/{*}` for all its methods"
        ],
    );
}

#[test]
fn limits() {
    let at = |n: usize| format!("GET /{}", "a".repeat(n - 5));
    assert!(AllowEntry::parse(&at(super::ENTRY_BYTES_MAX)).is_ok());
    assert!(AllowEntry::parse(&at(super::ENTRY_BYTES_MAX + 1)).is_err());
    assert!(PathPattern::parse(&"/a".repeat(super::SEGMENTS_MAX)).is_ok());
    assert!(PathPattern::parse(&"/a".repeat(super::SEGMENTS_MAX + 1)).is_err());
}

#[test]
fn matching() {
    let table = [
        ("/", "/", true),
        ("/", "/a", false),
        ("/a", "/a", true),
        ("/a", "/a/", false),
        ("/a/", "/a/", true),
        ("/a/", "/a", false),
        ("/a", "/A", false),
        ("/a", "/ab", false),
        ("/{*}", "/", false),
        ("/{*}", "/a", true),
        ("/{*}", "/a/b", false),
        ("/{*}", "/a/", false),
        ("/{*}/b", "/a/b", true),
        ("/{*}", "/*", true),
        ("/t/{**}", "/t", false),
        ("/t/{**}", "/t/", true),
        ("/t/{**}", "/t/a/b/", true),
        ("/{**}", "/", true),
        ("/{**}", "/a/b", true),
        ("/{**}", "a", false),
        ("/{**}", "", false),
    ];
    for (pattern, path, want) in table {
        assert_eq!(PathPattern::parse(pattern).unwrap().matches(path), want, "{pattern} {path}");
    }
}

#[test]
fn overlaps() {
    let table = [
        ("/a", "/a", Some("/a")),
        ("/a", "/b", None),
        ("/a", "/a/{**}", None),
        ("/a/", "/a/{**}", Some("/a/")),
        ("/a/{*}", "/{*}/b", Some("/a/b")),
        ("/a/{*}", "/a/", None),
        ("/{**}", "/a/{*}/c", Some("/a/x/c")),
        ("/a/{**}", "/{*}/{**}", Some("/a/")),
        ("/{*}", "/{*}", Some("/x")),
    ];
    for (a, b, want) in table {
        let (a, b) = (PathPattern::parse(a).unwrap(), PathPattern::parse(b).unwrap());
        assert_eq!(a.overlap(&b).as_deref(), want, "{a} {b}");
        assert_eq!(b.overlap(&a).as_deref(), want, "{b} {a}");
    }
    let entry = |t| AllowEntry::parse(t).unwrap();
    assert_eq!(entry("GET /a").overlap(&entry("POST /a")), None);
    assert_eq!(entry("GET /a").overlap(&entry("* /{**}")).as_deref(), Some("GET /a"));
}

#[test]
fn most_literal_first() {
    let mut patterns: Vec<_> =
        ["/{**}", "/a/{**}", "/{*}/b", "/a/{*}", "/a/b", "/a", "/b"].map(|p| PathPattern::parse(p).unwrap()).into();
    patterns.sort_by(PathPattern::cmp_specificity);
    let sorted: Vec<_> = patterns.iter().map(ToString::to_string).collect();
    assert_eq!(sorted, ["/a/b", "/a/{*}", "/a/{**}", "/a", "/b", "/{*}/b", "/{**}"]);
}

fn pattern() -> impl Strategy<Value = PathPattern> {
    let part = prop_oneof![Just("a"), Just("b"), Just("{*}")];
    let last = prop_oneof![Just(""), Just("a"), Just("{*}"), Just("{**}")];
    (prop::collection::vec(part, 0..4), last).prop_map(|(mut parts, last)| {
        parts.push(last);
        PathPattern::parse(&format!("/{}", parts.join("/"))).unwrap()
    })
}

proptest! {
    /// A witness matches both patterns; without one, no path of the alphabet matches both.
    #[test]
    fn witness_is_a_proof(a in pattern(), b in pattern(), paths in prop::collection::vec("(/[abx]){1,4}/?", 0..50)) {
        match a.overlap(&b) {
            Some(path) => prop_assert!(a.matches(&path) && b.matches(&path), "{a} {b} {path}"),
            None => for path in paths {
                prop_assert!(!(a.matches(&path) && b.matches(&path)), "{a} {b} {path}");
            }
        }
        prop_assert_eq!(a.cmp_specificity(&b), b.cmp_specificity(&a).reverse());
        prop_assert_eq!(a.cmp_specificity(&b) == Ordering::Equal, a == b);
    }

    #[test]
    fn parse_never_panics_and_places_are_inside(text in ".{0,40}") {
        if let Err(e) = AllowEntry::parse(&text) {
            prop_assert!(text.get(e.at.clone()).is_some(), "{text:?} {:?}", e.at);
        }
    }

    #[test]
    fn display_parses_to_the_same(a in pattern()) {
        prop_assert_eq!(PathPattern::parse(&a.to_string()).unwrap(), a);
    }
}
