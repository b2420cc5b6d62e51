//! What is shown of the text of others.
use super::visible;

#[test]
fn what_others_wrote_cannot_steer_the_terminal() {
    for (wild, tame) in [
        ("a\tb\nc é", "a\tb\nc é"),
        ("\u{1b}[31m\u{7}\r\u{7f}\0", "?[31m????"),
        ("\u{9b}2J", "¿2J"),
        ("/a\u{202e}b\u{2066}", "/a\u{fffd}b\u{fffd}"),
    ] {
        assert_eq!(visible(wild), tame);
        assert_eq!(visible(wild).len(), wild.len(), "places in the text move");
    }
}
