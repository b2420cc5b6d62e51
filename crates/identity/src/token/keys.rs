//! Key sets (RFC 7517) and what their keys prove. A key proves tokens of the algorithms that its type, curve, `alg`, `use`
//! and `key_ops` allow, and of no other; a key of which anything is unclear is left out, and the set says so.
use std::{fmt, time::SystemTime};

use aws_lc_rs::{
    rsa::PublicKeyComponents,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519, ParsedPublicKey,
        RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
        RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters, VerificationAlgorithm,
    },
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use model::TokenFault;
use serde_json::{Map, Value};

use super::{Token, json};
use crate::join_token::sha256;

/// The longest key set read, in bytes.
pub const JWKS_BYTES_MAX: usize = 1 << 20;
/// The most keys a set may have.
pub const KEYS_MAX: usize = 128;
/// How many keys a token without `kid` is tried with; a set with more that fit needs one.
pub const KEYS_TRIED_MAX: usize = 16;

const RSA_BITS_MIN: usize = 2048;
const RSA_BITS_MAX: usize = 8192;

/// What a token may be signed by: the asymmetric algorithms of RFC 7518 §3.1 and RFC 8037. No `none`, and no secret that
/// whoever checks could sign with too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are those of RFC 7518 §3.1 and RFC 8037 §3.1")]
pub enum Algorithm {
    Es256,
    Es384,
    Es512,
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    EdDsa,
}

const RSA_ALGORITHMS: &[(Algorithm, &RsaParameters)] = &[
    (Algorithm::Rs256, &RSA_PKCS1_2048_8192_SHA256),
    (Algorithm::Rs384, &RSA_PKCS1_2048_8192_SHA384),
    (Algorithm::Rs512, &RSA_PKCS1_2048_8192_SHA512),
    (Algorithm::Ps256, &RSA_PSS_2048_8192_SHA256),
    (Algorithm::Ps384, &RSA_PSS_2048_8192_SHA384),
    (Algorithm::Ps512, &RSA_PSS_2048_8192_SHA512),
];

impl Algorithm {
    /// By its name, which minds the case (RFC 7515 §4.1.1); `None` for everything that proves nothing.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "ES256" => Self::Es256,
            "ES384" => Self::Es384,
            "ES512" => Self::Es512,
            "RS256" => Self::Rs256,
            "RS384" => Self::Rs384,
            "RS512" => Self::Rs512,
            "PS256" => Self::Ps256,
            "PS384" => Self::Ps384,
            "PS512" => Self::Ps512,
            "EdDSA" => Self::EdDsa,
            _ => return None,
        })
    }
}

/// The keys of one issuer.
pub struct KeySet {
    keys: Vec<Key>,
    skipped: Vec<SkippedKey>,
    fingerprint: [u8; 32],
}

/// One public key, ready for each algorithm it may be used with.
struct Key {
    id: Option<String>,
    checks: Vec<(Algorithm, ParsedPublicKey)>,
}

/// A key that was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkippedKey {
    /// Its place in `keys`.
    pub index: usize,
    /// Why.
    pub reason: &'static str,
}

impl fmt::Display for SkippedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "keys[{}]: {}", self.index, self.reason)
    }
}

/// Why a text is no key set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// More than [`JWKS_BYTES_MAX`].
    #[error("the key set is longer than {JWKS_BYTES_MAX} bytes")]
    TooLong,
    /// No JSON object with a list `keys`, or one that repeats a member.
    #[error("the key set is no JSON object with a list `keys`, or repeats a member")]
    Malformed,
    /// More than [`KEYS_MAX`].
    #[error("the key set has more than {KEYS_MAX} keys")]
    TooMany,
    /// Nothing can be proven with it.
    #[error("the key set has no usable key{}", reasons(.0))]
    NoneUsable(Vec<SkippedKey>),
}

fn reasons(skipped: &[SkippedKey]) -> String {
    skipped.iter().map(|key| format!("; {key}")).collect()
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySet").field("keys", &self.keys.len()).field("skipped", &self.skipped).finish_non_exhaustive()
    }
}

impl KeySet {
    /// Reads a JSON Web Key Set (RFC 7517 §5). Keys that are unknown, unfit or doubtful are left out.
    ///
    /// # Errors
    /// It is too large, malformed, or has no usable key.
    pub fn parse(json: &str) -> Result<Self, KeySetError> {
        if json.len() > JWKS_BYTES_MAX {
            return Err(KeySetError::TooLong);
        }
        let Ok(Value::Object(mut set)) = json::parse(json.as_bytes()) else { return Err(KeySetError::Malformed) };
        let Some(Value::Array(list)) = set.remove("keys") else { return Err(KeySetError::Malformed) };
        if list.len() > KEYS_MAX {
            return Err(KeySetError::TooMany);
        }
        let (mut keys, mut skipped) = (Vec::new(), Vec::new());
        for (index, item) in list.iter().enumerate() {
            match Key::read(item) {
                Ok(key) => keys.push(key),
                Err(reason) => skipped.push(SkippedKey { index, reason }),
            }
        }
        if keys.is_empty() {
            return Err(KeySetError::NoneUsable(skipped));
        }
        Ok(Self { keys, skipped, fingerprint: sha256(json.as_bytes()) })
    }

    /// What was left out.
    pub fn skipped(&self) -> &[SkippedKey] {
        &self.skipped
    }

    /// SHA-256 of the text it was read from: another one means other keys.
    pub fn fingerprint(&self) -> &[u8; 32] {
        &self.fingerprint
    }

    /// The claims of a token that is well-formed, valid at that time and signed by one of these keys. Whether its issuer
    /// and audience are the right ones is for the caller to see.
    ///
    /// # Errors
    /// The first of these that does not hold.
    pub fn verify(&self, token: &str, now: SystemTime) -> Result<Value, TokenFault> {
        let token = Token::parse(token)?;
        token.at(now)?;
        self.prove(&token)?;
        Ok(Value::clone(&token.claims))
    }

    /// Whether one of these keys signed it; its times are not looked at.
    ///
    /// A `kid` chooses the keys that carry it, and those that carry none (RFC 7515 §6); without one every key that fits
    /// the algorithm is tried, [`KEYS_TRIED_MAX`] at most.
    ///
    /// # Errors
    /// No key fits, or none of those that do has signed it.
    pub fn prove(&self, token: &Token<'_>) -> Result<(), TokenFault> {
        let named = |key: &&Key| match (&token.key_id, &key.id) {
            (Some(wanted), Some(id)) => wanted == id,
            _ => true,
        };
        let fitting = self.keys.iter().filter(named).filter_map(|key| key.check(token.algorithm));
        let mut tried = false;
        for check in fitting.take(KEYS_TRIED_MAX) {
            tried = true;
            if check.verify_sig(token.signed.as_bytes(), &token.signature).is_ok() {
                return Ok(());
            }
        }
        Err(if tried { TokenFault::Signature } else { TokenFault::UnknownKey })
    }
}

impl Key {
    fn check(&self, algorithm: Algorithm) -> Option<&ParsedPublicKey> {
        self.checks.iter().find(|(fits, _)| *fits == algorithm).map(|(_, key)| key)
    }

    fn read(item: &Value) -> Result<Self, &'static str> {
        let Value::Object(jwk) = item else { return Err("it is no JSON object") };
        let id = text(jwk, "kid")?.filter(|id| !id.is_empty()).map(str::to_owned);
        // `jwt-svid` is what SPIFFE bundles call it.
        if text(jwk, "use")?.is_some_and(|purpose| !matches!(purpose, "sig" | "jwt-svid")) {
            return Err("its `use` is not `sig`");
        }
        match jwk.get("key_ops") {
            None => {}
            Some(Value::Array(list)) if list.iter().any(|one| one == "verify") => {}
            Some(_) => return Err("its `key_ops` do not say `verify`"),
        }
        let kind = text(jwk, "kty")?.ok_or("it has no `kty`")?;
        if kind == "oct" {
            return Err("it is a shared secret: whoever checks tokens with it could make them");
        }
        if ["d", "p", "q", "dp", "dq", "qi", "oth", "k"].iter().any(|name| jwk.contains_key(*name)) {
            return Err("it holds a private key: everybody who reads the set could make tokens");
        }
        // RFC 7517 §4.4: the key is for this algorithm and no other.
        let only = match text(jwk, "alg")? {
            None => None,
            Some(name) => Some(Algorithm::named(name).ok_or("its `alg` is not an accepted one")?),
        };
        let mut checks = match kind {
            "EC" => vec![elliptic(jwk)?],
            "OKP" => vec![edwards(jwk)?],
            "RSA" => rsa(jwk)?,
            _ => return Err("its `kty` is unknown"),
        };
        if let Some(only) = only {
            checks.retain(|(algorithm, _)| *algorithm == only);
        }
        if checks.is_empty() {
            return Err("its `alg` does not fit its `kty` and `crv`");
        }
        Ok(Self { id, checks })
    }
}

/// RFC 7518 §6.2: coordinates of full length, of a point on the curve.
fn elliptic(jwk: &Map<String, Value>) -> Result<(Algorithm, ParsedPublicKey), &'static str> {
    let (algorithm, check, length): (_, &'static dyn VerificationAlgorithm, _) =
        match text(jwk, "crv")?.ok_or("it has no `crv`")? {
            "P-256" => (Algorithm::Es256, &ECDSA_P256_SHA256_FIXED, 32),
            "P-384" => (Algorithm::Es384, &ECDSA_P384_SHA384_FIXED, 48),
            "P-521" => (Algorithm::Es512, &ECDSA_P521_SHA512_FIXED, 66),
            _ => return Err("its `crv` is unknown"),
        };
    let (x, y) = (bytes(jwk, "x")?, bytes(jwk, "y")?);
    if x.len() != length || y.len() != length {
        return Err("a coordinate has the wrong length");
    }
    let point = [&[4], x.as_slice(), y.as_slice()].concat();
    let key = ParsedPublicKey::new(check, &point).map_err(|_| "its point is not on the curve")?;
    Ok((algorithm, key))
}

/// RFC 8037 §2. X25519 and X448 agree on secrets and sign nothing; Ed448 is not accepted by Envoy either.
fn edwards(jwk: &Map<String, Value>) -> Result<(Algorithm, ParsedPublicKey), &'static str> {
    if text(jwk, "crv")?.ok_or("it has no `crv`")? != "Ed25519" {
        return Err("its `crv` is unknown");
    }
    let x = bytes(jwk, "x")?;
    if x.len() != 32 {
        return Err("`x` has the wrong length");
    }
    let key = ParsedPublicKey::new(&ED25519, &x).map_err(|_| "its point is not on the curve")?;
    Ok((Algorithm::EdDsa, key))
}

/// RFC 7518 §6.3.1. Exponents are those that Envoy accepts.
fn rsa(jwk: &Map<String, Value>) -> Result<Vec<(Algorithm, ParsedPublicKey)>, &'static str> {
    let (n, e) = (bytes(jwk, "n")?, bytes(jwk, "e")?);
    let (n, e) = (without_zeros(&n), without_zeros(&e));
    if !matches!(e, [3] | [1, 0, 1]) {
        return Err("its exponent is neither 3 nor 65537");
    }
    let unused = n.first().map_or(0, |byte| byte.leading_zeros() as usize);
    let bits = n.len() * 8 - unused;
    if bits < RSA_BITS_MIN {
        return Err("its modulus has less than 2048 bits");
    }
    if bits > RSA_BITS_MAX {
        return Err("its modulus has more than 8192 bits");
    }
    if n.last().is_none_or(|byte| byte % 2 == 0) {
        return Err("its modulus is even");
    }
    let key = PublicKeyComponents { n, e };
    let check = |(algorithm, parameters): &(Algorithm, &'static RsaParameters)| {
        let key = key.to_parsed_public_key(parameters).map_err(|_| "its modulus is none")?;
        Ok((*algorithm, key))
    };
    RSA_ALGORITHMS.iter().map(check).collect()
}

fn without_zeros(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.get(zeros..).unwrap_or_default()
}

fn text<'a>(jwk: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, &'static str> {
    match jwk.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err("a member that must be a text is none"),
    }
}

fn bytes(jwk: &Map<String, Value>, name: &str) -> Result<Vec<u8>, &'static str> {
    let text = text(jwk, name)?.ok_or("a part of the key is missing")?;
    URL_SAFE_NO_PAD.decode(text).map_err(|_| "a part of the key is not base64url")
}

#[cfg(test)]
mod tests;
