//! What is remembered, and for how long.
use std::time::Duration;

use serde_json::json;

use super::{
    super::signer::{NOW, Signer, now},
    *,
};

#[test]
fn a_proven_token_is_remembered_and_an_unproven_one_never() {
    let (signer, other) = (Signer::ec("P-256"), Signer::ec("P-256"));
    let token = signer.token("ES256", &json!({ "sub": "s" }));
    let mut cache = TokenCache::default();
    let mut verifier = Verifier::new(&mut cache, now());
    assert_eq!(*verifier.read(&token).unwrap(), json!({ "sub": "s" }));
    assert_eq!(verifier.prove(&other.key_set(), &token), Err(TokenFault::Signature));
    assert!(cache.is_empty());
    let mut verifier = Verifier::new(&mut cache, now());
    assert_eq!(verifier.prove(&signer.key_set(), &token), Ok(()));
    assert_eq!(*verifier.read(&token).unwrap(), json!({ "sub": "s" }));
    assert_eq!(cache.len(), 1);
}

#[test]
fn other_keys_prove_anew() {
    let (signer, other) = (Signer::ec("P-256"), Signer::ec("P-256"));
    let (keys, rotated) = (signer.key_set(), other.key_set());
    let token = signer.token("ES256", &json!({}));
    let mut cache = TokenCache::default();
    let mut verifier = Verifier::new(&mut cache, now());
    assert_eq!(verifier.prove(&keys, &token), Ok(()));
    // The key that signed it is withdrawn: what was proven by it is proven no longer.
    assert_eq!(verifier.prove(&rotated, &token), Err(TokenFault::Signature));
    // The same keys in a new set count after they were asked.
    let twice = json!({ "keys": [signer.jwk(), other.jwk()] }).to_string();
    assert_eq!(verifier.prove(&KeySet::parse(&twice).unwrap(), &token), Ok(()));
    assert_eq!(cache.len(), 1);
}

#[test]
fn a_token_with_another_signature_is_another_token() {
    let signer = Signer::ec("P-256");
    let token = signer.token("ES256", &json!({ "sub": "s" }));
    let mut cache = TokenCache::default();
    let mut verifier = Verifier::new(&mut cache, now());
    assert_eq!(verifier.prove(&signer.key_set(), &token), Ok(()));
    let (signed, _) = token.rsplit_once('.').unwrap();
    let forged = format!("{signed}.{}", "A".repeat(86));
    assert_eq!(verifier.prove(&signer.key_set(), &forged), Err(TokenFault::Signature));
}

#[test]
fn what_is_remembered_ends_when_the_token_does() {
    let signer = Signer::ed25519();
    let keys = signer.key_set();
    let token = signer.token("EdDSA", &json!({ "nbf": NOW, "exp": NOW + 10 }));
    let mut cache = TokenCache::default();
    assert_eq!(Verifier::new(&mut cache, now()).prove(&keys, &token), Ok(()));
    let at = |seconds: u64| now() + Duration::from_secs(seconds);
    assert_eq!(Verifier::new(&mut cache, at(70)).prove(&keys, &token), Ok(()));
    let early = now() - Duration::from_secs(61);
    assert_eq!(Verifier::new(&mut cache, early).prove(&keys, &token), Err(TokenFault::NotYetValid));
    assert_eq!(Verifier::new(&mut cache, at(71)).prove(&keys, &token), Err(TokenFault::Expired));
    assert_eq!(Verifier::new(&mut cache, at(71)).read(&token), Err(TokenFault::Expired));
    assert!(cache.is_empty());
    assert_eq!(Verifier::new(&mut cache, at(71)).read(&token), Err(TokenFault::Expired));
}

#[test]
fn it_does_not_grow_beyond_its_bound_and_keeps_what_is_used() {
    let signer = Signer::ed25519();
    let keys = signer.key_set();
    let mut cache = TokenCache::default();
    let pad = "x".repeat(10_000);
    let of = |i: usize| signer.token("EdDSA", &json!({ "jti": i.to_string(), "pad": pad }));
    let hot = of(0);
    let per_half = CACHE_BYTES_MAX / hot.len();
    for i in 0..4 * per_half {
        let mut verifier = Verifier::new(&mut cache, now());
        verifier.prove(&keys, &of(i)).unwrap();
        verifier.prove(&keys, &hot).unwrap();
        assert!(cache.len() <= 2 * per_half + 2, "{} of {per_half}", cache.len());
        assert!(cache.recent_bytes <= CACHE_BYTES_MAX);
    }
    assert!(cache.find(&sha256(hot.as_bytes())).is_some());
    assert!(cache.find(&sha256(of(1).as_bytes())).is_none());
}
