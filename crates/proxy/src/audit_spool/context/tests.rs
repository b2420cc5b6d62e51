//! What is kept of a request, and what must never be.
use super::*;

fn check(headers: &[(&str, &str)]) -> Vec<(String, String)> {
    let raw: Vec<_> = headers.iter().map(|(name, value)| httparse::Header { name, value: value.as_bytes() }).collect();
    full(Headers::Raw(&raw)).into_iter().map(|header| (header.name, header.value)).collect()
}

#[test]
fn credentials_are_left_out_whatever_they_are_called() {
    for name in [
        "Authorization",
        "Proxy-Authorization",
        "Cookie",
        "Set-Cookie",
        "X-API-Key",
        "Api_Key",
        "apikey",
        "X-Auth-Token",
        "X-Amz-Security-Token",
        "X-Access-Token",
        "X-CSRF-Token",
        "X-Session-Id",
        "X-Goog-IAP-JWT-Assertion",
        "X-Hub-Signature-256",
        "X-Vault-Token",
        "X-Client-Secret",
        "X-Password",
        "Ward-Probe",
        "WWW-Authenticate",
    ] {
        assert_eq!(check(&[(name, "hunter2")]), [], "{name}");
    }
    for value in ["Bearer abc", "bearer abc", "Basic dTpw", " eyJhbGciOiJFUzI1NiJ9.e30.c2ln"] {
        assert_eq!(check(&[("x-whatever", value)]), [], "{value}");
    }
}

#[test]
fn everything_else_is_kept_as_it_came() {
    let kept = check(&[
        ("Host", "shop"),
        ("User-Agent", "curl/8"),
        ("X-Request-Id", "7"),
        ("Accept", "*/*"),
        ("Accept", "text/html"),
        ("Referer", "https://shop/pay?code=hunter2#x"),
    ]);
    let kept: Vec<_> = kept.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let want = [
        ("host", "shop"),
        ("user-agent", "curl/8"),
        ("x-request-id", "7"),
        ("accept", "*/*"),
        ("accept", "text/html"),
        ("referer", "https://shop/pay"),
    ];
    assert_eq!(kept, want);
}

#[test]
fn what_does_not_fit_is_counted() {
    let long = "v".repeat(CONTEXT_BYTES_MAX - 1);
    assert_eq!(check(&[("a", &long)]).len(), 1);
    let kept = check(&[("a", &long), ("b", "1"), ("c", "2")]);
    assert_eq!(kept[1..], [(LEFT_OUT.to_owned(), "2".to_owned())]);
}
