//! The tokens that people carry: JSON Web Tokens (RFC 7519) signed with ES256, and the key set (RFC 7517) by which the
//! mesh checks them. The key is made once and kept in the store, so that every replica signs with the same one.
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::{
    digest,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Serialize;
use serde_json::{Value, json};

use crate::random;

/// `iss`: who vouches for a token. ward.yaml names the same one.
pub(crate) const ISSUER: &str = "https://shop.example";
/// `aud`: whom it is for.
pub(crate) const AUDIENCE: &str = "shop";

/// The key cannot be made, read or used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenError {
    /// Not a P-256 key in PKCS#8.
    #[error("the stored key is no P-256 key")]
    Key(#[from] aws_lc_rs::error::KeyRejected),
    /// The crypto library failed.
    #[error("cannot make a key or a signature")]
    Crypto(#[from] aws_lc_rs::error::Unspecified),
    /// No random id.
    #[error(transparent)]
    Random(#[from] random::NoRandom),
}

/// What a token says of whoever carries it.
#[derive(Debug, Serialize)]
struct Claims<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: &'a str,
    role: &'a str,
    iat: u64,
    exp: u64,
    jti: String,
}

/// Signs tokens.
pub(crate) struct Signer {
    key: EcdsaKeyPair,
    jwk: Value,
    kid: String,
}

/// A new private key, PKCS#8.
pub(crate) fn new_key() -> Result<Vec<u8>, TokenError> {
    Ok(EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())?.as_ref().to_vec())
}

impl Signer {
    /// Signs with the key of `new_key`.
    pub(crate) fn new(key: &[u8]) -> Result<Self, TokenError> {
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key)?;
        // The uncompressed point of SEC 1 §2.3.3: 4, then x and y.
        let point = key.public_key().as_ref().get(1..).unwrap_or_default();
        let (x, y) = point.split_at(point.len() / 2);
        let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
        // The key's thumbprint (RFC 7638) is its name: members in alphabetical order, no blanks.
        let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        let kid = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, canonical.as_bytes()));
        let jwk = json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": kid, "alg": "ES256", "use": "sig" });
        Ok(Self { key, jwk, kid })
    }

    /// The public half, for whoever checks tokens.
    pub(crate) fn key_set(&self) -> Value {
        json!({ "keys": [self.jwk] })
    }

    /// A token for a person, good for `lifetime` from `now`.
    pub(crate) fn sign(
        &self,
        subject: &str,
        role: &str,
        now: SystemTime,
        lifetime: Duration,
    ) -> Result<String, TokenError> {
        let iat = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let exp = iat + lifetime.as_secs();
        let claims = Claims { iss: ISSUER, aud: AUDIENCE, sub: subject, role, iat, exp, jti: random::id("")? };
        let header = json!({ "alg": "ES256", "typ": "JWT", "kid": self.kid });
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(header), part(json!(claims)));
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes())?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

#[cfg(test)]
mod tests;
