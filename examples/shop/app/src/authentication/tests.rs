//! Passwords and addresses.
use super::*;

#[test]
fn a_hash_is_argon2id_salted_and_matches_only_its_password() {
    let one = hash("correct horse").unwrap();
    let two = hash("correct horse").unwrap();
    assert!(one.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{one}");
    assert_ne!(one, two);
    assert!(matches("correct horse", &one) && matches("correct horse", &two));
    assert!(!matches("correct horse ", &one));
    assert!(!matches("", &one));
    assert!(!matches("correct horse", "not a hash"));
}

#[test]
fn an_address_has_one_at_sign() {
    let check =
        |text: &str, expected: Option<&str>| assert_eq!(canonical_email(text).ok().as_deref(), expected, "{text}");
    check(" Ada@Shop.Example ", Some("ada@shop.example"));
    for bad in ["", "ada", "@shop", "ada@", "a@b@c", "a b@c", "a@b\nc"] {
        check(bad, None);
    }
    check(&format!("{}@b", "a".repeat(252)), Some(&format!("{}@b", "a".repeat(252))));
    check(&format!("{}@b", "a".repeat(253)), None);
}
