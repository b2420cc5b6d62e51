//! The radix tree holds every pattern that was put in, by its beginning, its end and its segments.
use proptest::prelude::*;

use super::*;

/// A pattern as people would write it: `a*` is a beginning, `*a` an end, `?` one segment.
fn pattern(text: &str) -> Pattern {
    let (backward, text) = text.strip_prefix('*').map_or((false, text), |end| (true, end));
    let (open, text) = text.strip_suffix('*').map_or((backward, text), |start| (true, start));
    let mut bytes: Vec<u8> = text.bytes().map(|byte| if byte == b'?' { SEGMENT } else { byte }).collect();
    if backward {
        bytes.reverse();
    }
    Pattern { backward, bytes, open }
}

fn tree(fold: bool, backward: bool, patterns: &[Pattern]) -> Radix {
    let numbered: Vec<_> = (0u32..).zip(patterns).map(|(number, pattern)| (pattern, number)).collect();
    Radix::new(backward, fold, &numbered)
}

/// The patterns that a value fits, by number.
fn fits(tree: &Radix, value: &str) -> Vec<u32> {
    let mut all = Vec::new();
    tree.visit(value.as_bytes(), &mut |number| all.push(number));
    all.sort_unstable();
    all
}

#[test]
fn texts_beginnings_and_segments() {
    let patterns = ["/a", "/a*", "/ab/c", "/ab/?", "/?/c", "/?/?/d", "/ab/?*", "*", "", "/ab/"].map(pattern);
    let tree = tree(false, false, &patterns);
    // `*` is turned into an open pattern without bytes by the sign at either end.
    for (value, expect) in [
        ("", vec![8]),
        ("/a", vec![0, 1]),
        ("/ab", vec![1]),
        ("/ab/", vec![1, 9]),
        ("/ab/c", vec![1, 2, 3, 4, 6]),
        ("/ab/cd", vec![1, 3, 6]),
        ("/ab/c/", vec![1, 6]),
        ("/x/c", vec![4]),
        ("//c", vec![]),
        ("/x/y/d", vec![5]),
        ("/A", vec![]),
    ] {
        let found: Vec<u32> = fits(&tree, value).into_iter().filter(|number| *number != 7).collect();
        assert_eq!(found, expect, "{value}");
    }
}

#[test]
fn ends_and_case() {
    let patterns = ["*.com", "*a.com", "*.org", "*b.a.com"].map(pattern);
    let tree = tree(true, true, &patterns);
    assert_eq!(fits(&tree, "B.A.Com"), [0, 1, 3]);
    assert_eq!(fits(&tree, "a.com"), [0, 1]);
    assert_eq!(fits(&tree, ".com"), [0]);
    assert_eq!(fits(&tree, "com"), [] as [u32; 0]);
    assert_eq!(fits(&tree, ""), [] as [u32; 0]);
}

#[test]
fn no_patterns() {
    assert_eq!(fits(&tree(false, false, &[]), "/a"), [] as [u32; 0]);
}

#[test]
fn labels_of_any_length() {
    let long = "/a".repeat(100_000);
    let patterns = [long.clone(), format!("{long}b"), format!("{long}*")].map(|text| pattern(&text));
    let tree = tree(false, false, &patterns);
    assert_eq!(fits(&tree, &long), [0, 2]);
    assert_eq!(fits(&tree, &format!("{long}b")), [1, 2]);
    assert_eq!(fits(&tree, &long[1..]), [] as [u32; 0]);
    assert_eq!(fits(&tree, &long[..long.len() - 1]), [] as [u32; 0]);
}

/// Slowly: byte by byte, without a tree.
fn slow(pattern: &[u8], open: bool, value: &[u8]) -> bool {
    match (pattern.split_first(), value.split_first()) {
        (None, None) => true,
        (None, Some(_)) => open,
        (Some((&SEGMENT, pattern)), Some((first, _))) if *first != b'/' => {
            let end = value.iter().position(|byte| *byte == b'/').unwrap_or(value.len());
            slow(pattern, open, &value[end..])
        }
        (Some((a, pattern)), Some((b, value))) if a == b => slow(pattern, open, value),
        _ => false,
    }
}

proptest! {
    #[test]
    fn finds_what_reading_all_patterns_finds(
        texts in proptest::collection::btree_set("(/(a|b|ab|\\?)){0,4}/?\\*?", 0..20),
        value in "(/(a|b|ab|abc)){0,4}/?",
    ) {
        let patterns: Vec<Pattern> = texts.iter().filter(|text| !text.starts_with('*')).map(|text| pattern(text)).collect();
        let tree = tree(false, false, &patterns);
        let expect: Vec<u32> = (0u32..)
            .zip(&patterns)
            .filter(|(_, pattern)| slow(&pattern.bytes, pattern.open, value.as_bytes()))
            .map(|(number, _)| number)
            .collect();
        prop_assert_eq!(fits(&tree, &value), expect);
    }
}
