//! Request ids that may go into a log, and bearer tokens.
use super::*;

#[test]
fn keeps_a_usable_request_id_and_replaces_any_other() {
    let after = |value: Option<&[u8]>| {
        let mut headers = HeaderMap::new();
        if let Some(value) = value {
            headers.insert(REQUEST_ID, HeaderValue::from_bytes(value).unwrap());
        }
        let id = ensure_request_id(&mut headers).unwrap();
        assert_eq!(headers[REQUEST_ID], id);
        id
    };
    assert_eq!(after(Some(b"abc-1")), "abc-1");
    assert_eq!(after(Some(&[b'a'; 128])).len(), 128);
    for bad in [None, Some(&b""[..]), Some(&[b'a'; 129]), Some(b"two words"), Some(b"caf\xc3\xa9")] {
        assert!(after(bad).as_bytes().starts_with(b"shop-"), "{bad:?}");
    }
}

#[test]
fn reads_only_a_bearer_token() {
    let token = |value: &'static str| {
        let headers = HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_static(value))]);
        bearer(&headers).ok().map(str::to_owned)
    };
    assert_eq!(token("Bearer abc"), Some("abc".to_owned()));
    assert_eq!(token("bearer abc"), Some("abc".to_owned()));
    for bad in ["", "Bearer", "Bearer ", "Basic abc", "Bearer a b"] {
        assert_eq!(token(bad), None, "{bad}");
    }
    assert!(bearer(&HeaderMap::new()).is_err());
}
