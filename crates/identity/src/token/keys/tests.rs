//! Which keys are usable, and which tokens they are asked about.
use expect_test::{Expect, expect};
use serde_json::json;

use super::{
    super::signer::{Signer, base64url, now},
    *,
};

fn set(keys: &[Value]) -> Result<KeySet, KeySetError> {
    KeySet::parse(&json!({ "keys": keys }).to_string())
}

/// A good key first, so that the set is one; then what is to be left out.
fn skipped(keys: &[Value], expect: Expect) {
    let mut all = vec![Signer::ed25519().jwk()];
    all.extend_from_slice(keys);
    let set = set(&all).unwrap();
    let lines: String = set.skipped().iter().map(|key| format!("{key}\n")).collect();
    expect.assert_eq(&lines);
}

#[test]
fn keys_that_are_left_out() {
    let (ec, ed, rsa) = (Signer::ec("P-256"), Signer::ed25519(), Signer::rsa());
    let x = ec.jwk()["x"].clone();
    let weak = [vec![0xff; 127], vec![1]].concat();
    let short = [vec![0x7f], vec![0xff; 255]].concat();
    let long = vec![0xff; 1025];
    let even = vec![0xfe; 256];
    skipped(
        &[
            json!("no object"),
            json!({}),
            json!({ "kty": "oct", "k": "c2VjcmV0" }),
            json!({ "kty": "AKP", "alg": "ML-DSA-44", "pub": "AA" }),
            ec.jwk_with(json!({ "use": "enc" })),
            ec.jwk_with(json!({ "use": 1 })),
            ec.jwk_with(json!({ "key_ops": ["encrypt"] })),
            ec.jwk_with(json!({ "key_ops": "verify" })),
            ec.jwk_with(json!({ "kid": 1 })),
            ec.jwk_with(json!({ "d": "AA" })),
            ec.jwk_with(json!({ "alg": "ES384" })),
            ec.jwk_with(json!({ "alg": "RS256" })),
            ec.jwk_with(json!({ "alg": "none" })),
            ec.jwk_with(json!({ "alg": "HS256" })),
            ec.jwk_with(json!({ "crv": "P-384" })),
            ec.jwk_with(json!({ "crv": "secp256k1" })),
            ec.jwk_with(json!({ "y": x })),
            ec.jwk_with(json!({ "x": base64url([0; 32]), "y": base64url([0; 32]) })),
            ec.jwk_with(json!({ "x": base64url([1; 31]) })),
            ec.jwk_with(json!({ "x": "a=" })),
            ed.jwk_with(json!({ "crv": "X25519" })),
            ed.jwk_with(json!({ "x": base64url([1; 33]) })),
            ed.jwk_with(json!({ "alg": "ES256" })),
            rsa.jwk_with(json!({ "n": base64url(weak) })),
            rsa.jwk_with(json!({ "n": base64url(short) })),
            rsa.jwk_with(json!({ "n": base64url(long) })),
            rsa.jwk_with(json!({ "n": base64url(even) })),
            rsa.jwk_with(json!({ "n": "" })),
            rsa.jwk_with(json!({ "e": "AQ" })),
            rsa.jwk_with(json!({ "e": base64url([2]) })),
            rsa.jwk_with(json!({ "alg": "RSA-OAEP" })),
            json!({ "kty": "RSA", "n": rsa.jwk()["n"] }),
        ],
        expect![[r#"
            keys[1]: it is no JSON object
            keys[2]: it has no `kty`
            keys[3]: it is a shared secret: whoever checks tokens with it could make them
            keys[4]: its `alg` is not an accepted one
            keys[5]: its `use` is not `sig`
            keys[6]: a member that must be a text is none
            keys[7]: its `key_ops` do not say `verify`
            keys[8]: its `key_ops` do not say `verify`
            keys[9]: a member that must be a text is none
            keys[10]: it holds a private key: everybody who reads the set could make tokens
            keys[11]: its `alg` does not fit its `kty` and `crv`
            keys[12]: its `alg` does not fit its `kty` and `crv`
            keys[13]: its `alg` is not an accepted one
            keys[14]: its `alg` is not an accepted one
            keys[15]: a coordinate has the wrong length
            keys[16]: its `crv` is unknown
            keys[17]: its point is not on the curve
            keys[18]: its point is not on the curve
            keys[19]: a coordinate has the wrong length
            keys[20]: a part of the key is not base64url
            keys[21]: its `crv` is unknown
            keys[22]: `x` has the wrong length
            keys[23]: its `alg` does not fit its `kty` and `crv`
            keys[24]: its modulus has less than 2048 bits
            keys[25]: its modulus has less than 2048 bits
            keys[26]: its modulus has more than 8192 bits
            keys[27]: its modulus is even
            keys[28]: its modulus has less than 2048 bits
            keys[29]: its exponent is neither 3 nor 65537
            keys[30]: its exponent is neither 3 nor 65537
            keys[31]: its `alg` is not an accepted one
            keys[32]: a part of the key is missing
        "#]],
    );
}

#[test]
fn keys_that_are_usable() {
    let (ec, rsa) = (Signer::ec("P-256"), Signer::rsa());
    for jwk in [
        ec.jwk_with(json!({ "use": "sig", "key_ops": ["verify"], "alg": "ES256", "kid": "a" })),
        ec.jwk_with(json!({ "use": "jwt-svid" })),
        ec.jwk_with(json!({ "kid": "" })),
        rsa.jwk_with(json!({ "alg": "PS512", "x5c": ["ignored"], "n": rsa.jwk()["n"] })),
    ] {
        assert_eq!(set(std::slice::from_ref(&jwk)).unwrap().skipped(), [], "{jwk}");
    }
    // A leading zero is not how it is written, and changes nothing.
    let n = URL_SAFE_NO_PAD.decode(rsa.jwk()["n"].as_str().unwrap()).unwrap();
    let padded = rsa.jwk_with(json!({ "n": base64url([vec![0], n].concat()) }));
    let token = rsa.token("RS256", &json!({}));
    assert!(set(&[padded]).unwrap().verify(&token, now()).is_ok());
}

#[test]
fn texts_that_are_no_key_set() {
    let key = Signer::ed25519().jwk();
    for text in [
        String::new(),
        "[]".to_owned(),
        "{}".to_owned(),
        r#"{"keys":{}}"#.to_owned(),
        format!(r#"{{"keys":[{key}],"keys":[]}}"#),
        r#"{"keys":[{"kty":"EC","kty":"RSA"}]}"#.to_owned(),
        // Google's older form, a certificate for each `kid`.
        r#"{"a":"-----BEGIN CERTIFICATE-----\n"}"#.to_owned(),
    ] {
        assert_eq!(KeySet::parse(&text).unwrap_err(), KeySetError::Malformed, "{text}");
    }
    assert_eq!(KeySet::parse(r#"{"keys":[]}"#).unwrap_err(), KeySetError::NoneUsable(Vec::new()));
    let secret = KeySet::parse(r#"{"keys":[{"kty":"oct","k":"AA"}]}"#).unwrap_err();
    assert_eq!(
        secret.to_string(),
        "the key set has no usable key; keys[0]: it is a shared secret: whoever checks tokens with it could make them"
    );
}

#[test]
fn the_largest_set_and_one_more() {
    let key = Signer::ed25519().jwk();
    assert!(set(&vec![key.clone(); KEYS_MAX]).is_ok());
    assert_eq!(set(&vec![key.clone(); KEYS_MAX + 1]).unwrap_err(), KeySetError::TooMany);
    let of = |length: usize| format!("{}{}", json!({ "keys": [key] }), " ".repeat(length));
    let room = JWKS_BYTES_MAX - of(0).len();
    assert!(KeySet::parse(&of(room)).is_ok());
    assert_eq!(KeySet::parse(&of(room + 1)).unwrap_err(), KeySetError::TooLong);
}

#[test]
fn a_kid_chooses_and_its_absence_tries_all() {
    let (a, b) = (Signer::ec("P-256"), Signer::ec("P-256"));
    let both = set(&[a.jwk_with(json!({ "kid": "a" })), b.jwk_with(json!({ "kid": "b" }))]).unwrap();
    let header = |kid: &str| json!({ "alg": "ES256", "kid": kid }).to_string();
    for (token, want, why) in [
        (a.token_of("ES256", &header("a"), "{}"), Ok(json!({})), "its own key"),
        (a.token_of("ES256", &header("b"), "{}"), Err(TokenFault::Signature), "another's key"),
        (a.token_of("ES256", &header("c"), "{}"), Err(TokenFault::UnknownKey), "nobody's key"),
        (a.token_of("ES256", &header("A"), "{}"), Err(TokenFault::UnknownKey), "a kid minds the case"),
        (b.token("ES256", &json!({})), Ok(json!({})), "no kid: every key is tried"),
        (Signer::ec("P-256").token("ES256", &json!({})), Err(TokenFault::Signature), "no kid, and no key"),
    ] {
        assert_eq!(both.verify(&token, now()), want, "{why}");
    }
    // A key without kid may be any.
    let unnamed = set(&[a.jwk()]).unwrap();
    assert!(unnamed.verify(&a.token_of("ES256", &header("x"), "{}"), now()).is_ok());
    // Two keys of one kid, as while one replaces the other.
    let twins = set(&[a.jwk_with(json!({ "kid": "k" })), b.jwk_with(json!({ "kid": "k" }))]).unwrap();
    assert!(twins.verify(&b.token_of("ES256", &header("k"), "{}"), now()).is_ok());
}

#[test]
fn as_many_keys_are_tried_as_is_said_and_not_one_more() {
    let last = Signer::ed25519();
    let of = |before: usize| {
        let mut keys: Vec<Value> = (0..before).map(|_| Signer::ed25519().jwk()).collect();
        keys.push(last.jwk_with(json!({ "kid": "last" })));
        set(&keys).unwrap()
    };
    let token = last.token("EdDSA", &json!({}));
    assert!(of(KEYS_TRIED_MAX - 1).verify(&token, now()).is_ok());
    assert_eq!(of(KEYS_TRIED_MAX).verify(&token, now()), Err(TokenFault::Signature));
}

/// CVE-2026-31837: keys that could not be fetched must not become keys that everybody knows. There is no such thing as a
/// set without keys, so that nothing can be proven by one.
#[test]
fn cve_2026_31837_no_keys_prove_nothing() {
    for text in ["", "null", "{}", r#"{"keys":[]}"#, r#"{"keys":[{}]}"#, "<html>502</html>"] {
        assert!(KeySet::parse(text).is_err(), "{text}");
    }
}

/// The example of RFC 8037 §A.4, so that not only our own signatures are read.
#[test]
fn rfc_8037_appendix_a() {
    let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" });
    let token = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    let keys = set(&[jwk]).unwrap();
    // Its payload is no JSON, so that it is no token; the signature is good all the same.
    assert!(matches!(Token::parse(token), Err(TokenFault::Malformed(_))));
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let check = keys.keys[0].check(Algorithm::EdDsa).unwrap();
    check.verify_sig(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
}

/// The token of RFC 7515 §A.2 (RS256) and of §A.3 (ES256).
#[test]
fn rfc_7515_appendix_a() {
    let rsa = json!({ "kty": "RSA", "e": "AQAB", "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ" });
    let ec = json!({ "kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0" });
    let payload = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let rs256 = format!(
        "eyJhbGciOiJSUzI1NiJ9.{payload}.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
    );
    let es256 = format!(
        "eyJhbGciOiJFUzI1NiJ9.{payload}.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
    );
    let keys = set(&[rsa, ec]).unwrap();
    let then = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_300_819_380);
    let claims = json!({ "iss": "joe", "exp": 1_300_819_380, "http://example.com/is_root": true });
    for token in [rs256, es256] {
        assert_eq!(keys.verify(&token, then), Ok(claims.clone()));
        assert_eq!(keys.verify(&token, now()), Err(TokenFault::Expired));
    }
}
