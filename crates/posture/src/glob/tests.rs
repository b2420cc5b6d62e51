//! Patterns of waivers.
use super::matches;

#[test]
fn stars_are_any_run() {
    for (pattern, text, expected) in [
        ("unlogged-flow@save", "unlogged-flow@save", true),
        ("unlogged-flow@save", "unlogged-flow@saved", false),
        ("unlogged-flow@*", "unlogged-flow@save", true),
        ("*@save", "unlogged-flow@save", true),
        ("*-flow@s*", "unlogged-flow@save", true),
        ("*-flow@s*e", "unlogged-flow@save", true),
        ("*-flow@s*d", "unlogged-flow@save", false),
        ("*", "", true),
        ("a*a", "a", false),
        ("", "", true),
    ] {
        assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
    }
}
