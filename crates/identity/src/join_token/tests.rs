//! The text form of a token.
use super::{JoinToken, JoinTokenError};

const TEXT: &str = "ward1.orders.a1b2.AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8.\
                    000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

#[test]
fn there_and_back() {
    let bytes: [u8; 32] = std::array::from_fn(|i| i as u8);
    let token: JoinToken = TEXT.parse().unwrap();
    assert_eq!((token.node.as_str(), token.id.as_str()), ("orders", "a1b2"));
    assert_eq!((token.secret, token.root_sha256), (bytes, bytes));
    assert_eq!(token.to_string(), TEXT);
    assert_eq!(format!("  {TEXT}\n").parse::<JoinToken>().unwrap(), token);
    let fresh = JoinToken::generate("orders".parse().unwrap(), bytes).unwrap();
    assert_eq!(fresh.to_string().parse::<JoinToken>().unwrap(), fresh);
    assert_ne!(JoinToken::generate("orders".parse().unwrap(), bytes).unwrap().secret, fresh.secret);
}

#[test]
fn debug_keeps_the_secret() {
    let shown = format!("{:?}", TEXT.parse::<JoinToken>().unwrap());
    assert_eq!(shown, r#"JoinToken { node: Name("orders"), id: "a1b2", .. }"#);
}

#[test]
fn refused() {
    let check = |text: &str, expected| assert_eq!(text.parse::<JoinToken>().unwrap_err(), expected, "{text}");
    let [_, _, _, secret, root] = TEXT.split('.').collect::<Vec<_>>()[..] else { panic!() };
    check("", JoinTokenError::Parts(1));
    check(&format!("{TEXT}.more"), JoinTokenError::Parts(6));
    check(&TEXT.replace("ward1", "ward2"), JoinTokenError::Prefix);
    check(&TEXT.replace("orders", "Orders"), JoinTokenError::Node);
    check(&TEXT.replace("a1b2", ""), JoinTokenError::Id);
    check(&TEXT.replace("a1b2", "A1"), JoinTokenError::Id);
    check(&TEXT.replace("a1b2", &"a".repeat(65)), JoinTokenError::Id);
    assert!(TEXT.replace("a1b2", &"a".repeat(64)).parse::<JoinToken>().is_ok());
    check(&TEXT.replace(secret, &secret[1..]), JoinTokenError::Secret);
    check(&TEXT.replace(secret, "AA"), JoinTokenError::Secret);
    check(&TEXT.replace(secret, &format!("{secret}=")), JoinTokenError::Secret);
    check(&TEXT.replace(root, &root[1..]), JoinTokenError::Root);
    check(&TEXT.replace(root, &root.replace("0001", "+0+1")), JoinTokenError::Root);
    check(&TEXT.replace(root, &root.replace("0001", "é01")), JoinTokenError::Root);
}
