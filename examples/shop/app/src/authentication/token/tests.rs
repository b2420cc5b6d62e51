//! A token is what RFC 7519 says, and its key set proves it.
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

use super::*;

fn part(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

#[test]
fn a_token_is_proven_by_the_key_set() {
    let signer = Signer::new(&new_key().unwrap()).unwrap();
    let now = UNIX_EPOCH + Duration::from_secs(1_000);
    let token = signer.sign("usr_1", "customer", now, Duration::from_secs(60)).unwrap();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let (header, claims) = signed.split_once('.').unwrap();
    let (header, claims): (Value, Value) =
        (serde_json::from_slice(&part(header)).unwrap(), serde_json::from_slice(&part(claims)).unwrap());
    let set = signer.key_set();
    let jwk = &set["keys"][0];
    assert_eq!((&header["alg"], &header["kid"]), (&json!("ES256"), &jwk["kid"]));
    assert_eq!((&claims["iss"], &claims["aud"], &claims["sub"]), (&json!(ISSUER), &json!(AUDIENCE), &json!("usr_1")));
    assert_eq!((&claims["role"], &claims["iat"], &claims["exp"]), (&json!("customer"), &json!(1_000), &json!(1_060)));
    let point = [vec![4], part(jwk["x"].as_str().unwrap()), part(jwk["y"].as_str().unwrap())].concat();
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
    assert!(key.verify(signed.as_bytes(), &part(signature)).is_ok());
    assert!(key.verify(header.to_string().as_bytes(), &part(signature)).is_err());
    // It must fit what `authorization` may hold.
    assert!(token.len() < 1_000, "{}", token.len());
}

#[test]
fn a_key_keeps_its_name_and_no_two_tokens_are_alike() {
    let key = new_key().unwrap();
    let (one, two) = (Signer::new(&key).unwrap(), Signer::new(&key).unwrap());
    assert_eq!(one.key_set(), two.key_set());
    assert_ne!(one.key_set(), Signer::new(&new_key().unwrap()).unwrap().key_set());
    let sign = |signer: &Signer| signer.sign("usr_1", "customer", UNIX_EPOCH, Duration::from_secs(1)).unwrap();
    assert_ne!(sign(&one), sign(&two));
    assert!(Signer::new(b"no key").is_err());
}
