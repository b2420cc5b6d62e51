//! Tokens: no text is taken for one that its issuer did not sign, whatever is read can be read again, and the cache says
//! what the engine says.
use std::{
    sync::LazyLock,
    time::{Duration, SystemTime},
};

use identity::token::{KeySet, TOKEN_BYTES_MAX, Token, TokenCache, Verifier};
use model::TokenFault;

/// The public keys of RFC 7515 §A.2 and §A.3, and of RFC 8037 §A.4. The private halves are printed there, and in none of
/// the inputs.
const KEYS: &str = r#"{"keys":[
{"kty":"RSA","e":"AQAB","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"},
{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"},
{"kty":"OKP","crv":"Ed25519","kid":"ed","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

static SET: LazyLock<KeySet> = LazyLock::new(|| KeySet::parse(KEYS).expect("the keys are good"));

/// What the issuer of RFC 7515 signed, and nothing else.
const SIGNED: [&str; 2] = ["eyJhbGciOiJSUzI1NiJ9.", "eyJhbGciOiJFUzI1NiJ9."];
const PAYLOAD: &str = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.";

/// Reads `data` as one token; panics when a property does not hold.
pub(crate) fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_300_819_000);
    let verdict = SET.verify(text, then);
    let mut cache = TokenCache::default();
    for _ in 0..2 {
        let mut verifier = Verifier::new(&mut cache, then);
        assert_eq!(verifier.prove(&SET, text).err(), verdict.as_ref().err().copied(), "the cache says otherwise");
        if let Ok(claims) = &verdict {
            assert_eq!(verifier.read(text).as_deref(), Ok(claims));
        }
    }
    assert_eq!(cache.is_empty(), verdict.is_err(), "only what is proven is remembered");
    match Token::parse(text) {
        Err(fault) => {
            assert_eq!(verdict, Err(fault));
            assert!(!fault.to_string().is_empty() && TokenFault::ALL.iter().any(|one| one.as_str() == fault.as_str()));
        }
        Ok(token) => {
            assert!(text.len() <= TOKEN_BYTES_MAX && text.split('.').count() == 3, "{text:?}");
            assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)), "{text:?}");
            assert!(token.claims().is_object());
            assert!(["iss", "sub"].iter().all(|name| token.claims().get(*name).is_none_or(|value| value.is_string())));
        }
    }
    if verdict.is_ok() {
        let known = SIGNED.iter().any(|header| text.strip_prefix(header).is_some_and(|rest| rest.starts_with(PAYLOAD)));
        assert!(known, "{text:?} was signed by nobody");
    }
}
