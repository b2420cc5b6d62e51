//! What is accepted, and the negative table: each line is one way in which tokens were forged, or could be.
use serde_json::json;

use super::{
    signer::{NOW, Signer, base64url, now},
    *,
};

fn code(result: &Result<Value, TokenFault>) -> &'static str {
    match result {
        Ok(_) => "ok",
        Err(fault) => fault.as_str(),
    }
}

/// Header and claims, signed by a key that its set knows, with what comes of them.
fn signed(rows: &[(&str, &str, &str)]) {
    let signer = Signer::ec("P-256");
    let keys = signer.key_set();
    for (header, claims, want) in rows {
        let got = keys.verify(&signer.token_of("ES256", header, claims), now());
        assert_eq!(code(&got), *want, "{header} {claims}: {got:?}");
    }
}

const GOOD: &str = r#"{"alg":"ES256"}"#;

#[test]
fn every_algorithm_by_the_keys_it_is_for() {
    let claims = json!({ "iss": "i", "sub": "s", "exp": NOW, "list": [1, 2.5, null, true, { "a": "é" }] });
    for (signer, algorithms) in [
        (Signer::ec("P-256"), &["ES256"][..]),
        (Signer::ec("P-384"), &["ES384"]),
        (Signer::ec("P-521"), &["ES512"]),
        (Signer::ed25519(), &["EdDSA"]),
        (Signer::rsa(), &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]),
    ] {
        let keys = signer.key_set();
        for algorithm in algorithms {
            let token = signer.token(algorithm, &claims);
            assert_eq!(keys.verify(&token, now()), Ok(claims.clone()), "{algorithm}");
            // One bit of each part.
            for part in 0..3 {
                let mut parts: Vec<String> = token.split('.').map(str::to_owned).collect();
                let first = if parts[part].starts_with('A') { "B" } else { "A" };
                parts[part].replace_range(0..1, first);
                let got = keys.verify(&parts.join("."), now());
                assert!(got.is_err(), "{algorithm} with part {part} changed: {got:?}");
            }
            // Another key of the same kind.
            let other = match &signer {
                Signer::Ec(_, curve) => Signer::ec(curve),
                Signer::Ed(_) => Signer::ed25519(),
                Signer::Rsa(_) => Signer::rsa(),
            };
            assert_eq!(other.key_set().verify(&token, now()), Err(TokenFault::Signature), "{algorithm}");
        }
    }
}

#[test]
fn a_key_proves_only_what_it_is_for() {
    let (ec, rsa, ed) = (Signer::ec("P-256"), Signer::rsa(), Signer::ed25519());
    let claims = json!({ "sub": "s" });
    for (keys, token, why) in [
        (ec.key_set(), ec.token_of("ES256", r#"{"alg":"ES384"}"#, "{}"), "a curve has one hash"),
        (ec.key_set(), rsa.token("RS256", &claims), "EC keys sign no RSA"),
        (rsa.key_set(), ec.token("ES256", &claims), "RSA keys sign no EC"),
        (ed.key_set(), ec.token_of("ES256", r#"{"alg":"RS256"}"#, "{}"), "the header chooses no key type"),
    ] {
        assert_eq!(keys.verify(&token, now()), Err(TokenFault::UnknownKey), "{why}");
    }
    // PKCS #1 and PSS are not each other, nor is one hash the other.
    for header in ["PS256", "RS384", "PS512"] {
        let token = rsa.token_of("RS256", &json!({ "alg": header }).to_string(), "{}");
        assert_eq!(rsa.key_set().verify(&token, now()), Err(TokenFault::Signature), "{header}");
    }
}

#[test]
fn headers() {
    signed(&[
        (GOOD, "{}", "ok"),
        (r#"{"alg":"ES256","typ":"JWT","kid":"","x5t":"a","jku":"https://evil.example"}"#, "{}", "ok"),
        (r#"{"alg":"ES256","typ":"at+jwt"}"#, "{}", "ok"),
        (r#"{"alg":"ES256","typ":"application/AT+JWT"}"#, "{}", "ok"),
        (r#"{"alg":"ES256","b64":true}"#, "{}", "ok"),
        // Nothing is signed by nobody, in any spelling (RFC 8725 §2.1).
        (r#"{"alg":"none"}"#, "{}", "jwt-algorithm"),
        (r#"{"alg":"None"}"#, "{}", "jwt-algorithm"),
        (r#"{"alg":"nOnE"}"#, "{}", "jwt-algorithm"),
        (r#"{"alg":""}"#, "{}", "jwt-algorithm"),
        (r#"{}"#, "{}", "jwt-algorithm"),
        // Names mind the case (RFC 7515 §4.1.1); what is not accepted is not guessed.
        (r#"{"alg":"es256"}"#, "{}", "jwt-algorithm"),
        (r#"{"alg":"ES256 "}"#, "{}", "jwt-algorithm"),
        (r#"{"alg":"ES256K"}"#, "{}", "jwt-algorithm"),
        (r#"{"alg":"RS1"}"#, "{}", "jwt-algorithm"),
        (r#"{"alg":["ES256"]}"#, "{}", "jwt-malformed"),
        (r#"{"alg":null}"#, "{}", "jwt-malformed"),
        // An extension that is not understood must refuse (RFC 7515 §4.1.11), known or not, empty or not.
        (r#"{"alg":"ES256","crit":["exp"],"exp":1}"#, "{}", "jwt-critical"),
        (r#"{"alg":"ES256","crit":[]}"#, "{}", "jwt-critical"),
        (r#"{"alg":"ES256","crit":["b64"],"b64":false}"#, "{}", "jwt-critical"),
        (r#"{"alg":"ES256","b64":false}"#, "{}", "jwt-critical"),
        (r#"{"alg":"ES256","b64":"true"}"#, "{}", "jwt-critical"),
        // Encrypted, compressed, wrapped.
        (r#"{"alg":"ES256","enc":"A128GCM"}"#, "{}", "jwt-encrypted"),
        (r#"{"alg":"ES256","zip":"DEF"}"#, "{}", "jwt-encrypted"),
        (r#"{"alg":"ES256","cty":"JWT"}"#, "{}", "jwt-encrypted"),
        (r#"{"alg":"ES256","cty":"application/jwt"}"#, "{}", "jwt-encrypted"),
        // By the same keys and for something else (RFC 8725 §3.11).
        (r#"{"alg":"ES256","typ":"logout+jwt"}"#, "{}", "jwt-type"),
        (r#"{"alg":"ES256","typ":"dpop+jwt"}"#, "{}", "jwt-type"),
        (r#"{"alg":"ES256","typ":"application/secevent+jwt"}"#, "{}", "jwt-type"),
        (r#"{"alg":"ES256","typ":1}"#, "{}", "jwt-malformed"),
        // Two readers, two answers.
        (r#"{"alg":"none","alg":"ES256"}"#, "{}", "jwt-malformed"),
        (r#"{"alg":"ES256","al\u0067":"ES256"}"#, "{}", "jwt-malformed"),
        (r#"{"alg":"ES256"} "#, "{}", "ok"),
        (r#"{"alg":"ES256"}{}"#, "{}", "jwt-malformed"),
        (r#"["ES256"]"#, "{}", "jwt-malformed"),
        (r#"{"alg":"ES256","kid":7}"#, "{}", "jwt-malformed"),
        ("\u{feff}{\"alg\":\"ES256\"}", "{}", "jwt-malformed"),
    ]);
}

#[test]
fn claims() {
    let deep = format!(r#"{{"a":{}1{}}}"#, "[".repeat(200), "]".repeat(200));
    signed(&[
        (GOOD, "{}", "ok"),
        (GOOD, r#"{"iss":"i","sub":"s","jti":"j","aud":"a","iat":1}"#, "ok"),
        (GOOD, r#"{"aud":["a","b"]}"#, "ok"),
        (GOOD, r#"{"aud":[]}"#, "ok"),
        // Claims that are no object say nothing.
        (GOOD, r#"["iss"]"#, "jwt-malformed"),
        (GOOD, r#""iss""#, "jwt-malformed"),
        (GOOD, "null", "jwt-malformed"),
        (GOOD, "", "jwt-malformed"),
        (GOOD, "{", "jwt-malformed"),
        (GOOD, r#"{"sub":"a"} x"#, "jwt-malformed"),
        // Which of two counts is up to the reader (RFC 7519 §4).
        (GOOD, r#"{"sub":"a","sub":"b"}"#, "jwt-malformed"),
        (GOOD, r#"{"sub":"a","su\u0062":"b"}"#, "jwt-malformed"),
        (GOOD, r#"{"a":{"b":[{"c":1,"c":2}]}}"#, "jwt-malformed"),
        // Types (RFC 7519 §4.1).
        (GOOD, r#"{"iss":["i"]}"#, "jwt-malformed"),
        (GOOD, r#"{"iss":null}"#, "jwt-malformed"),
        (GOOD, r#"{"sub":7}"#, "jwt-malformed"),
        (GOOD, r#"{"jti":{}}"#, "jwt-malformed"),
        (GOOD, r#"{"aud":7}"#, "jwt-malformed"),
        (GOOD, r#"{"aud":["a",7]}"#, "jwt-malformed"),
        (GOOD, r#"{"aud":{"a":1}}"#, "jwt-malformed"),
        (GOOD, r#"{"iat":"now"}"#, "jwt-malformed"),
        // Half of a surrogate pair is no text.
        (GOOD, r#"{"sub":"\ud800"}"#, "jwt-malformed"),
        // Deep enough to overflow whoever walks it.
        (GOOD, &deep, "jwt-malformed"),
    ]);
}

#[test]
fn times() {
    let n = NOW;
    let at = |claim: &str, value: String| format!(r#"{{"{claim}":{value}}}"#);
    let rows: Vec<(String, &str)> = vec![
        (at("exp", (n + 1).to_string()), "ok"),
        (at("exp", (n - 60).to_string()), "ok"),
        (at("exp", (n - 61).to_string()), "jwt-expired"),
        (at("exp", format!("{}.9", n - 61)), "jwt-expired"),
        (at("exp", format!("{}.5", n - 60)), "ok"),
        (at("exp", "1.8e9".to_owned()), "ok"),
        (at("exp", "0".to_owned()), "jwt-expired"),
        (at("exp", "-0.0".to_owned()), "jwt-expired"),
        (at("exp", "-1".to_owned()), "jwt-malformed"),
        (at("exp", "-0.5".to_owned()), "jwt-malformed"),
        (at("exp", "18446744073709551615".to_owned()), "ok"),
        (at("exp", "18446744073709551616".to_owned()), "jwt-malformed"),
        (at("exp", "1e300".to_owned()), "jwt-malformed"),
        (at("exp", "1e400".to_owned()), "jwt-malformed"),
        (at("exp", format!("\"{}\"", n + 1000)), "jwt-malformed"),
        (at("exp", "null".to_owned()), "jwt-malformed"),
        (at("exp", "true".to_owned()), "jwt-malformed"),
        (at("exp", format!("[{}]", n + 1000)), "jwt-malformed"),
        (at("nbf", (n + 60).to_string()), "ok"),
        (at("nbf", (n + 61).to_string()), "jwt-not-yet-valid"),
        (at("nbf", "18446744073709551615".to_owned()), "jwt-not-yet-valid"),
        (at("nbf", "\"0\"".to_owned()), "jwt-malformed"),
        (at("nbf", "-1".to_owned()), "jwt-malformed"),
        // When it was made says nothing, as in Envoy.
        (at("iat", (n + 1_000_000).to_string()), "ok"),
    ];
    let rows: Vec<(&str, &str, &str)> = rows.iter().map(|(claims, want)| (GOOD, claims.as_str(), *want)).collect();
    signed(&rows);
}

#[test]
fn spellings() {
    let signer = Signer::ec("P-256");
    let keys = signer.key_set();
    let good = signer.token("ES256", &json!({ "sub": "somebody" }));
    let [header, claims, signature] = good.split('.').collect::<Vec<_>>()[..] else { panic!("three parts") };
    let check = |token: String, want: &str, why: &str| {
        assert_eq!(code(&keys.verify(&token, now())), want, "{why}: {token}");
    };
    check(good.clone(), "ok", "as it is");
    for (token, why) in [
        (String::new(), "nothing"),
        ("a".to_owned(), "one part"),
        (format!("{header}.{claims}"), "two parts: not signed"),
        (format!("{header}.{claims}."), "an empty signature"),
        (format!("{header}..{signature}"), "a detached payload (RFC 7515 appendix F)"),
        (format!(".{claims}.{signature}"), "no header"),
        (format!("{good}.x"), "four parts"),
        (format!("{good}.x.y.z"), "six parts"),
        (format!(" {good}"), "a blank before it"),
        (format!("{good} "), "a blank after it"),
        (format!("{good}\n"), "a line end after it"),
        (format!("{header}.{claims}=.{signature}"), "padding"),
        (format!("{header}.{claims}.{signature}=="), "padding after the signature"),
        (format!("{header}.{claims} .{signature}"), "a blank inside"),
        (format!("{header}.{claims}.{signature}AAAA"), "a longer signature"),
        (format!("{header}.{claims}.{}", &signature[..80]), "a shorter signature"),
        (format!("{header}.+{}.{signature}", &claims[1..]), "the other alphabet"),
        (format!("{header}.{claims}.é"), "no ASCII"),
    ] {
        let got = keys.verify(&token, now());
        assert!(matches!(got, Err(TokenFault::Malformed(_) | TokenFault::Signature)), "{why}: {got:?}");
    }
    check(format!("{header}.{claims}.{signature}.x.y"), "jwt-encrypted", "five parts are a JWE");
    let joined = format!("{header}.{claims}.{signature},Bearer {header}.{claims}.{signature}");
    check(joined, "jwt-malformed", "two tokens in one place are none, and not a JWE");
    // Bits that no byte has, in the last character: another spelling of the same token.
    let (last, loose) = ("Q", "R");
    let payload = base64url("{\"sub\":\"somebo\"}");
    assert!(payload.ends_with(last), "{payload}");
    let loose = format!("{header}.{}{loose}.{signature}", payload.strip_suffix(last).unwrap());
    check(loose, "jwt-malformed", "loose bits");
    // The other serialisation (RFC 7515 §7.2).
    check(
        json!({ "payload": claims, "protected": header, "signature": signature }).to_string(),
        "jwt-malformed",
        "JSON",
    );
}

#[test]
fn the_longest_token_and_one_more() {
    let signer = Signer::ed25519();
    let keys = signer.key_set();
    let of = |length: usize| signer.token("EdDSA", &json!({ "pad": "x".repeat(length) }));
    let overhead = of(0).len();
    let mut length = (TOKEN_BYTES_MAX - overhead) * 3 / 4;
    while of(length + 1).len() <= TOKEN_BYTES_MAX {
        length += 1;
    }
    assert!(keys.verify(&of(length), now()).is_ok());
    let longer = of(length + 1);
    assert!(longer.len() <= TOKEN_BYTES_MAX + 2, "{}", longer.len());
    assert_eq!(keys.verify(&longer, now()), Err(TokenFault::TooLong));
}

/// CVE-2015-9235: a token "signed" with the public key as a shared secret, by whoever knows it.
#[test]
fn cve_2015_9235_the_public_key_is_no_secret() {
    use aws_lc_rs::hmac;
    let rsa = Signer::rsa();
    let keys = rsa.key_set();
    for (name, algorithm) in [("HS256", hmac::HMAC_SHA256), ("HS384", hmac::HMAC_SHA384), ("HS512", hmac::HMAC_SHA512)]
    {
        let signed = format!("{}.{}", base64url(json!({ "alg": name }).to_string()), base64url(r#"{"sub":"admin"}"#));
        let secrets = [rsa.jwk().to_string(), rsa.jwk()["n"].as_str().unwrap().to_owned()];
        for secret in secrets {
            let tag = hmac::sign(&hmac::Key::new(algorithm, secret.as_bytes()), signed.as_bytes());
            let token = format!("{signed}.{}", base64url(tag));
            assert_eq!(keys.verify(&token, now()), Err(TokenFault::Algorithm), "{name}");
        }
    }
}

/// CVE-2018-0114: the token brings along the key that it is signed by, or says where it is.
#[test]
fn cve_2018_0114_a_token_brings_no_key() {
    let (issuer, attacker) = (Signer::ec("P-256"), Signer::ec("P-256"));
    let keys = issuer.key_set();
    for header in [
        json!({ "alg": "ES256", "jwk": attacker.jwk() }),
        json!({ "alg": "ES256", "jku": "https://evil.example/jwks.json" }),
        json!({ "alg": "ES256", "x5u": "https://evil.example/cert.pem", "x5c": ["MIIB"] }),
        json!({ "alg": "ES256", "kid": "../../../../dev/null" }),
        json!({ "alg": "ES256", "kid": "' OR 1=1 --" }),
    ] {
        let token = attacker.token_of("ES256", &header.to_string(), r#"{"sub":"admin"}"#);
        assert_eq!(keys.verify(&token, now()), Err(TokenFault::Signature), "{header}");
    }
}

/// CVE-2022-21449: a signature of zeros, or of the curve's order, that is good for every message and key.
#[test]
fn cve_2022_21449_psychic_signatures() {
    let order = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
    let order: Vec<u8> = (0..32).map(|i| u8::from_str_radix(&order[2 * i..2 * i + 2], 16).unwrap()).collect();
    let zero = vec![0_u8; 32];
    let mut one = zero.clone();
    one[31] = 1;
    let keys = Signer::ec("P-256").key_set();
    let signed = format!("{}.{}", base64url(GOOD), base64url(r#"{"sub":"admin"}"#));
    for (r, s) in [(&zero, &zero), (&order, &order), (&zero, &one), (&one, &zero), (&order, &zero), (&zero, &order)] {
        let token = format!("{signed}.{}", base64url([r.as_slice(), s].concat()));
        assert_eq!(keys.verify(&token, now()), Err(TokenFault::Signature), "{r:02x?} {s:02x?}");
    }
    for (curve, algorithm, length) in [("P-384", "ES384", 96), ("P-521", "ES512", 132)] {
        let signed = format!("{}.{}", base64url(json!({ "alg": algorithm }).to_string()), base64url("{}"));
        let token = format!("{signed}.{}", base64url(vec![0; length]));
        assert_eq!(Signer::ec(curve).key_set().verify(&token, now()), Err(TokenFault::Signature), "{curve}");
    }
}

/// CVE-2022-39227, CVE-2024-37568 and their like: a signature in another encoding than the one of JWS (RFC 7518 §3.4).
#[test]
fn signatures_in_der_are_none() {
    let signer = Signer::ec("P-256");
    let signed = format!("{}.{}", base64url(GOOD), base64url("{}"));
    let raw = signer.sign("ES256", signed.as_bytes());
    let integer = |bytes: &[u8]| [&[2, 33, 0], bytes].concat();
    let body = [integer(&raw[..32]), integer(&raw[32..])].concat();
    let der = [&[0x30, u8::try_from(body.len()).unwrap()], body.as_slice()].concat();
    let got = signer.key_set().verify(&format!("{signed}.{}", base64url(der)), now());
    assert_eq!(got, Err(TokenFault::Signature));
}

#[test]
fn faults_say_nothing_of_the_token() {
    let signer = Signer::ec("P-256");
    let token = signer.token("ES256", &json!({ "sub": "secret-subject", "exp": 1 }));
    let parsed = Token::parse(&token).unwrap();
    let fault = parsed.at(now()).unwrap_err();
    assert_eq!(fault.to_string(), "the token has expired");
    let codes: Vec<_> = TokenFault::ALL.iter().map(|fault| fault.as_str()).collect();
    let mut unique = codes.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), codes.len());
}
