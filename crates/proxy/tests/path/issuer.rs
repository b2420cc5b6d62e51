//! An issuer of tokens with keys of its own.
use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use wire::v1::resources::{Authentication, KeySet, Policy};

pub const ISSUER: &str = "https://issuer.test";
pub const KEYS: &str = "https://issuer.test/jwks.json";

/// One ES256 key.
pub struct Key {
    kid: &'static str,
    pair: EcdsaKeyPair,
}

pub fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Key {
    pub fn new(kid: &'static str) -> Self {
        Self { kid, pair: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap() }
    }

    /// RFC 7517.
    pub fn public(&self) -> Value {
        let point = self.pair.public_key().as_ref();
        json!({ "kty": "EC", "crv": "P-256", "kid": self.kid, "alg": "ES256", "use": "sig", "x": encode(&point[1..33]), "y": encode(&point[33..]) })
    }

    /// The public point as text: what a forger would use as an HMAC key.
    pub fn sign(&self, claims: &Value) -> String {
        self.sign_under(&json!({ "alg": "ES256", "typ": "JWT", "kid": self.kid }), claims)
    }

    pub fn sign_under(&self, header: &Value, claims: &Value) -> String {
        let signed = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", encode(signature))
    }
}

pub fn jwks(keys: &[&Key]) -> String {
    json!({ "keys": keys.iter().map(|key| key.public()).collect::<Vec<_>>() }).to_string()
}

pub fn key_set(keys: &[&Key]) -> KeySet {
    KeySet { name: KEYS.to_owned(), jwks: jwks(keys) }
}

/// Claims of `sub`, good for an hour from `now`.
pub fn claims(sub: &str, now: u64) -> Value {
    json!({ "iss": ISSUER, "sub": sub, "aud": "shop", "exp": now + 3600, "iat": now, "role": "admin", "email": "a@b.test" })
}

/// A RequestAuthentication for the whole namespace.
pub fn authentication(rules: &Value) -> Authentication {
    let document = json!({
        "apiVersion": "security.istio.io/v1", "kind": "RequestAuthentication",
        "metadata": { "name": "tokens", "namespace": "shop" }, "spec": { "jwtRules": rules },
    });
    Authentication { name: "shop/tokens".to_owned(), document: document.to_string() }
}

/// An ALLOW or DENY of the namespace, recorded whatever it decides.
pub fn policy(name: &str, action: &str, rules: &Value) -> Policy {
    let document = json!({
        "apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy",
        "metadata": { "name": name, "namespace": "shop", "annotations": { "ward.internal/audit": "high" } },
        "spec": { "action": action, "rules": rules },
    });
    Policy { name: format!("shop/{name}"), document: document.to_string() }
}

/// `/open` for everybody, `/private` with a token, `/admin` with the role in it.
pub fn policies() -> Vec<Policy> {
    let any = json!([{ "source": { "requestPrincipals": ["*"] } }]);
    vec![policy(
        "paths",
        "ALLOW",
        &json!([
            { "to": [{ "operation": { "paths": ["/open*"] } }] },
            { "from": any, "to": [{ "operation": { "paths": ["/private*"] } }] },
            {
                "to": [{ "operation": { "paths": ["/admin*"] } }],
                "when": [{ "key": "request.auth.claims[role]", "values": ["admin"] }],
            },
        ]),
    )]
}
