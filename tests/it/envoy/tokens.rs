//! Tokens: who signs them, where they stand, and what may be wrong with them.
use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::{
    rand::SystemRandom,
    rsa::{KeySize, PublicKeyComponents},
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use identity::token::{KeySet, TokenCache, Verifier};
use model::{
    KeySource,
    istio::{ClaimToHeader, JwtHeader, JwtRule, Metadata, RequestAuthentication, RequestSpec},
};
use policy::{RuleIndex, TokenFault, TokenRules, TokenVerifier, gate::Arrival};
use serde_json::{Value, json};

use super::random::Random;

const FIRST: &str = "https://idp.example";
const SECOND: &str = "issuer-two";
const THIRD: &str = "issuer-three";

/// The keys of all issuers.
pub(crate) struct Tokens {
    elliptic: EcdsaKeyPair,
    rsa: RsaKeyPair,
    /// Of somebody who is no issuer here.
    foreign: EcdsaKeyPair,
    /// Key sets as the issuers publish them.
    first: String,
    second: String,
    now: SystemTime,
}

fn elliptic() -> EcdsaKeyPair {
    EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()
}

fn elliptic_key(key: &EcdsaKeyPair, id: &str) -> Value {
    let point = key.public_key().as_ref();
    let (x, y) = point[1..].split_at(32);
    let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    json!({ "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": id, "x": text(x), "y": text(y) })
}

impl Tokens {
    pub(crate) fn make() -> Self {
        let (first, foreign) = (elliptic(), elliptic());
        let rsa = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let public = PublicKeyComponents::<Vec<u8>>::from(rsa.public_key());
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let rsa_key = json!({ "kty": "RSA", "alg": "RS256", "use": "sig", "kid": "rs", "n": text(&public.n), "e": text(&public.e) });
        Self {
            first: json!({ "keys": [elliptic_key(&first, "es"), rsa_key] }).to_string(),
            second: json!({ "keys": [rsa_key] }).to_string(),
            elliptic: first,
            rsa,
            foreign,
            now: SystemTime::now(),
        }
    }

    /// Whose tokens a policy set accepts; often nobody's. Each issuer has one rule: of several for one issuer Envoy takes
    /// whichever its hash map shows first when it looks a token's issuer up, so that there is no answer to compare with.
    pub(crate) fn documents(&self, random: &mut Random) -> Vec<RequestAuthentication> {
        let issuers: &[&[&str]] = match random.below(10) {
            0..=2 => &[],
            3..=5 => &[&[FIRST]],
            6 => &[&[SECOND]],
            7 => &[&[FIRST, SECOND]],
            8 => &[&[SECOND], &[FIRST]],
            _ => &[&[FIRST], &[SECOND, THIRD]],
        };
        let document = |number: usize, issuers: &[&str], random: &mut Random| RequestAuthentication {
            api_version: "security.istio.io/v1".to_owned(),
            kind: "RequestAuthentication".to_owned(),
            metadata: Metadata {
                name: format!("tokens{number}"),
                namespace: random.pick(&["shop", "shop", "ward-system"]).to_string(),
                ..Metadata::default()
            },
            spec: RequestSpec {
                jwt_rules: issuers.iter().map(|issuer| self.rule(random, issuer)).collect(),
                ..RequestSpec::default()
            },
        };
        issuers.iter().enumerate().map(|(number, issuers)| document(number, issuers, random)).collect()
    }

    fn rule(&self, random: &mut Random, issuer: &str) -> JwtRule {
        let keys = if issuer == FIRST { &self.first } else { &self.second };
        let mut rule = JwtRule { issuer: issuer.to_owned(), jwks: Some(keys.clone()), ..JwtRule::default() };
        if random.percent(30) {
            rule.audiences = random.some(&["ward", "other", "third"], 1, 2);
        }
        if random.percent(5) {
            // Nobody has fetched them.
            rule.jwks = None;
            rule.jwks_uri = Some("https://idp.example/keys".to_owned());
        }
        match random.below(10) {
            0 => rule.from_headers = vec![JwtHeader { name: "x-jwt".to_owned(), prefix: "Token ".to_owned() }],
            1 => rule.from_headers = vec![JwtHeader { name: "x-jwt".to_owned(), prefix: String::new() }],
            2 => rule.from_params = vec!["token".to_owned()],
            3 => rule.from_cookies = vec!["session".to_owned()],
            _ => {}
        }
        rule.forward_original_token = random.percent(30);
        if random.percent(20) {
            rule.output_payload_to_header = Some("x-payload".to_owned());
        }
        if random.percent(25) {
            rule.output_claim_to_headers =
                vec![ClaimToHeader { header: "x-claim-sub".to_owned(), claim: "sub".to_owned() }];
        }
        if random.percent(25) {
            rule.space_delimited_claims = vec!["spaced".to_owned()];
        }
        rule
    }

    /// Gives some requests a token, or two, wherever one may stand.
    pub(crate) fn add(&self, random: &mut Random, arrival: &mut Arrival) {
        if random.percent(5) {
            arrival.headers.push(("X-Claim-Sub".to_owned(), random.pick(&["alice", "root"]).to_string()));
        }
        if !random.percent(60) {
            return;
        }
        for _ in 0..*random.pick(&[1, 1, 1, 1, 2]) {
            let token = self.token(random);
            let separator = if arrival.target.contains('?') { '&' } else { '?' };
            match random.below(24) {
                0 => arrival.headers.push(("authorization".to_owned(), format!("bearer {token}"))),
                1 => arrival.headers.push(("Authorization".to_owned(), format!("Bearer  {token}"))),
                2 => arrival.headers.push(("Authorization".to_owned(), format!("Basic {token}"))),
                3 => arrival.headers.push(("Authorization".to_owned(), token)),
                4 | 5 => arrival.headers.push(("X-JWT".to_owned(), format!("Token {token}"))),
                6 | 7 => arrival.headers.push(("x-jwt".to_owned(), token)),
                8 | 9 if !arrival.target.contains('#') => arrival.target += &format!("{separator}access_token={token}"),
                10 | 11 if !arrival.target.contains('#') => arrival.target += &format!("{separator}token={token}"),
                12 | 13 => arrival.headers.push(("Cookie".to_owned(), format!("a=b; session={token}; c=d"))),
                _ => arrival.headers.push(("Authorization".to_owned(), format!("Bearer {token}"))),
            }
        }
    }

    fn claims(&self, random: &mut Random) -> Value {
        let issuer = match random.below(20) {
            0 => "https://idp.example/",
            1 => "nobody",
            2 => THIRD,
            3..=7 => SECOND,
            _ => FIRST,
        };
        let mut claims = json!({ "iss": issuer });
        let mut set = |name: &str, value: Value| claims[name] = value;
        match random.below(8) {
            0 => {}
            1 => set("sub", json!("")),
            2 => set("sub", json!("carol/x")),
            3 | 4 => set("sub", json!("bob")),
            _ => set("sub", json!("alice")),
        }
        match random.below(7) {
            0 | 1 => {}
            2 => set("aud", json!("other")),
            3 => set("aud", json!(["third", "ward"])),
            4 => set("aud", json!([])),
            _ => set("aud", json!("ward")),
        }
        let word = |random: &mut Random| *random.pick(&["read", "write", "admin", "reader", ""]);
        let two = |random: &mut Random| format!("{} {}", word(random), word(random));
        for name in ["groups", "scope", "permission", "spaced"] {
            match random.below(8) {
                0 => set(name, json!(word(random))),
                1 => set(name, json!(two(random))),
                2 => set(name, json!([word(random), two(random)])),
                3 => set(name, json!([7, true, [word(random)], { "a": word(random) }])),
                4 if name == "groups" => set(name, json!({ "admin": "read" })),
                _ => {}
            }
        }
        if random.percent(40) {
            set("realm", json!({ "roles": [word(random), word(random)], "name": two(random) }));
        }
        if random.percent(30) {
            set("azp", json!(random.pick(&["app-1", "x"])));
            set("level", random.pick(&[json!(7), json!(true), json!("7"), json!(7.5), json!(null)]).clone());
        }
        let now = self.now.duration_since(UNIX_EPOCH).unwrap().as_secs();
        match random.below(20) {
            0 => set("exp", json!(now - 600)),
            1 => set("exp", json!(now - 20)),
            2 => set("nbf", json!(now + 600)),
            3 => set("nbf", json!(now + 20)),
            4 => set("exp", json!(now + 600)),
            5 => set("iat", json!(now + 6000)),
            6 => set("exp", json!("soon")),
            7 => {}
            _ => set("exp", json!(now + 3600)),
        }
        claims
    }

    fn token(&self, random: &mut Random) -> String {
        let claims = self.claims(random);
        let rsa = claims["iss"] != FIRST || random.percent(20);
        let mut header = json!({ "alg": if rsa { "RS256" } else { "ES256" }, "kid": if rsa { "rs" } else { "es" } });
        match random.below(24) {
            0 => header["kid"] = json!("unknown"),
            1 | 2 => drop(header.as_object_mut().unwrap().remove("kid")),
            3 => header["alg"] = json!("none"),
            4 => header["alg"] = json!("HS256"),
            5 => header["alg"] = json!(if rsa { "ES256" } else { "RS256" }),
            6..=8 => header["typ"] = json!("JWT"),
            9 => header["crit"] = json!(["exp"]),
            _ => {}
        }
        let text = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", text(&header), text(&claims));
        let mut signature = if rsa {
            let mut out = vec![0; self.rsa.public_modulus_len()];
            self.rsa.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut out).unwrap();
            out
        } else {
            let key = if random.percent(6) { &self.foreign } else { &self.elliptic };
            key.sign(&SystemRandom::new(), signed.as_bytes()).unwrap().as_ref().to_vec()
        };
        match random.below(40) {
            0 => signature[7] ^= 1,
            1 => signature.clear(),
            2 => return "nonsense".to_owned(),
            3 => return format!("{signed}.{}.x", URL_SAFE_NO_PAD.encode(signature)),
            4 => return signed,
            5 => return String::new(),
            6 => return format!("{signed}.{}=", URL_SAFE_NO_PAD.encode(signature)),
            _ => {}
        }
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// The keys of one policy set, by rule.
pub(crate) struct Keys {
    sets: Vec<Option<Arc<KeySet>>>,
}

impl Keys {
    pub(crate) fn of(rules: &TokenRules) -> Self {
        let set = |source: Option<&KeySource>| match source {
            Some(KeySource::Inline(jwks)) => KeySet::parse(jwks).ok().map(Arc::new),
            _ => None,
        };
        Self { sets: rules.rules().map(|(_, rule)| set(rule.keys.as_ref())).collect() }
    }

    /// What stands behind a decision about a request.
    pub(crate) fn proof<'a>(&'a self, cache: &'a mut TokenCache) -> Proof<'a> {
        Proof { keys: &self.sets, verifier: Verifier::new(cache, SystemTime::now()) }
    }
}

/// Proves tokens as the proxy does.
pub(crate) struct Proof<'a> {
    keys: &'a [Option<Arc<KeySet>>],
    verifier: Verifier<'a>,
}

impl TokenVerifier for Proof<'_> {
    fn read(&mut self, token: &str) -> Result<Arc<Value>, TokenFault> {
        self.verifier.read(token)
    }

    fn prove(&mut self, rule: RuleIndex, token: &str) -> Result<(), TokenFault> {
        let keys = self.keys.get(rule.0).and_then(Option::as_ref).ok_or(TokenFault::NoKeys)?;
        self.verifier.prove(keys, token)
    }
}
