//! JSON Web Tokens of callers (RFC 7519, 7515, 8725) and the key sets they are proven by (RFC 7517): bytes, keys and a
//! time in, claims or a named fault out.
//!
//! Whatever is unclear is refused: an algorithm chooses its keys and never the other way round, a member that stands
//! twice counts as an attack, and nothing in a token's header can bring a key along.
mod cache;
mod json;
mod keys;
#[cfg(test)]
mod signer;

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use model::TokenFault;
use serde_json::{Map, Value};

pub use cache::{CACHE_BYTES_MAX, TokenCache, Verifier};
pub use keys::{Algorithm, JWKS_BYTES_MAX, KEYS_MAX, KEYS_TRIED_MAX, KeySet, KeySetError, SkippedKey};

/// The longest token read, in bytes.
pub const TOKEN_BYTES_MAX: usize = 16 << 10;

/// By how much the clocks of issuer and reader may differ, as in Envoy.
pub const CLOCK_SKEW: Duration = Duration::from_secs(60);

/// A well-formed token, proven by nobody yet. What it claims may be used to find out who could prove it, and for nothing
/// else.
#[derive(Clone, Debug)]
pub struct Token<'a> {
    /// Header and payload as they were signed.
    signed: &'a str,
    signature: Vec<u8>,
    algorithm: Algorithm,
    key_id: Option<String>,
    claims: Arc<Value>,
    validity: Validity,
}

/// From when to when, since the epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Validity {
    not_before: Option<Duration>,
    expires: Option<Duration>,
}

impl<'a> Token<'a> {
    /// Takes a token apart (RFC 7515 §5.2, steps 1 to 6) and looks at the types of its claims (RFC 7519 §4.1).
    ///
    /// # Errors
    /// It is too long, of another kind, signed by no accepted algorithm, or malformed.
    pub fn parse(text: &'a str) -> Result<Self, TokenFault> {
        if text.len() > TOKEN_BYTES_MAX {
            return Err(TokenFault::TooLong);
        }
        let parts: Vec<&str> = text.splitn(6, '.').collect();
        let [header, payload, signature] = parts.as_slice() else {
            // RFC 7516 §9: five parts are a JWE.
            return Err(match parts.len() {
                // Two tokens in one place have as many dots, and a comma or a blank between them.
                5 if text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')) => {
                    TokenFault::Encrypted
                }
                _ => TokenFault::Malformed("it has not three parts"),
            });
        };
        let header = object(header, "its header is not base64url", "its header is no JSON object without repetitions")?;
        let algorithm = algorithm(&header)?;
        let key_id = match header.get("kid") {
            None => None,
            // RFC 7515 §4.1.4. An empty one names no key, as in Envoy.
            Some(Value::String(id)) => Some(id.clone()).filter(|id| !id.is_empty()),
            Some(_) => return Err(TokenFault::Malformed("`kid` is no text")),
        };
        let claims =
            object(payload, "its claims are not base64url", "its claims are no JSON object without repetitions")?;
        let validity = registered_claims(&claims)?;
        let signature =
            URL_SAFE_NO_PAD.decode(signature).map_err(|_| TokenFault::Malformed("its signature is not base64url"))?;
        if signature.is_empty() {
            return Err(TokenFault::Malformed("it has no signature"));
        }
        let signed = text.rsplit_once('.').map_or(text, |(signed, _)| signed);
        Ok(Self { signed, signature, algorithm, key_id, claims: Arc::new(Value::Object(claims)), validity })
    }

    /// What it claims, unproven.
    pub fn claims(&self) -> &Arc<Value> {
        &self.claims
    }

    /// Whether it is valid at that time (RFC 7519 §4.1.4, §4.1.5), give or take [`CLOCK_SKEW`].
    ///
    /// # Errors
    /// It has expired or is not valid yet.
    pub fn at(&self, now: SystemTime) -> Result<(), TokenFault> {
        self.validity.at(now)
    }
}

impl Validity {
    /// Whole seconds are compared, and the skew is added, as in Envoy.
    pub(crate) fn at(self, now: SystemTime) -> Result<(), TokenFault> {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let skew = CLOCK_SKEW.as_secs();
        if self.not_before.is_some_and(|start| now.saturating_add(skew) < start.as_secs()) {
            return Err(TokenFault::NotYetValid);
        }
        if self.expires.is_some_and(|end| now > end.as_secs().saturating_add(skew)) {
            return Err(TokenFault::Expired);
        }
        Ok(())
    }
}

fn object(part: &str, not_base64: &'static str, not_json: &'static str) -> Result<Map<String, Value>, TokenFault> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenFault::Malformed(not_base64))?;
    match json::parse(&bytes) {
        Ok(Value::Object(members)) => Ok(members),
        _ => Err(TokenFault::Malformed(not_json)),
    }
}

/// The algorithm of a JOSE header in which nothing asks for more than a plain signature.
fn algorithm(header: &Map<String, Value>) -> Result<Algorithm, TokenFault> {
    if ["enc", "zip"].iter().any(|name| header.contains_key(*name)) {
        return Err(TokenFault::Encrypted);
    }
    // RFC 7515 §4.1.11: whoever does not know an extension must refuse; RFC 7797: `b64` is one.
    if header.contains_key("crit") || header.get("b64").is_some_and(|b64| *b64 != Value::Bool(true)) {
        return Err(TokenFault::Critical);
    }
    let media_type = |name: &str| match header.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => {
            let text = text.to_ascii_lowercase();
            Ok(Some(text.strip_prefix("application/").map(str::to_owned).unwrap_or(text)))
        }
        Some(_) => Err(TokenFault::Malformed("`typ` or `cty` is no text")),
    };
    if media_type("cty")?.is_some_and(|kind| kind == "jwt") {
        return Err(TokenFault::Encrypted);
    }
    // RFC 8725 §3.11: logout tokens, proofs of possession and security events are JWTs by the same keys, and no access
    // tokens (RFC 9068: `at+jwt`).
    if media_type("typ")?.is_some_and(|kind| kind.ends_with("+jwt") && !kind.ends_with("at+jwt")) {
        return Err(TokenFault::Type);
    }
    match header.get("alg") {
        Some(Value::String(name)) => Algorithm::named(name).ok_or(TokenFault::Algorithm),
        Some(_) => Err(TokenFault::Malformed("`alg` is no text")),
        None => Err(TokenFault::Algorithm),
    }
}

/// RFC 7519 §4.1: what the registered claims may be. `iat` says nothing about validity, and must be a time all the same.
fn registered_claims(claims: &Map<String, Value>) -> Result<Validity, TokenFault> {
    for (name, fault) in [("iss", "`iss` is no text"), ("sub", "`sub` is no text"), ("jti", "`jti` is no text")] {
        if claims.get(name).is_some_and(|value| !value.is_string()) {
            return Err(TokenFault::Malformed(fault));
        }
    }
    let audience = match claims.get("aud") {
        None | Some(Value::String(_)) => true,
        Some(Value::Array(list)) => list.iter().all(Value::is_string),
        Some(_) => false,
    };
    if !audience {
        return Err(TokenFault::Malformed("`aud` is neither a text nor a list of texts"));
    }
    time(claims, "iat", "`iat` is no time")?;
    Ok(Validity {
        not_before: time(claims, "nbf", "`nbf` is no time")?,
        expires: time(claims, "exp", "`exp` is no time")?,
    })
}

/// A NumericDate: a number, with or without fraction, that is a time after the epoch.
fn time(claims: &Map<String, Value>, name: &str, fault: &'static str) -> Result<Option<Duration>, TokenFault> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let exact = value.as_u64().map(Duration::from_secs);
    let time = exact.or_else(|| value.as_f64().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()));
    time.map(Some).ok_or(TokenFault::Malformed(fault))
}

#[cfg(test)]
mod tests;
