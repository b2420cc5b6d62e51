//! The negative table of RFC 9112 §6.3 and its neighbours, at the parser.
use super::*;

fn parse(text: &str) -> Result<Option<(Length, bool, usize)>, Fault> {
    let mut slots = [const { MaybeUninit::uninit() }; SLOTS];
    let bytes = text.as_bytes();
    request(bytes, &mut slots, &Limits::default()).map(|head| head.map(|h| (h.body, h.close, h.bytes)))
}

#[test]
fn accepted() {
    for (text, body, close) in [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", Length::Known(0), false),
        ("POST / HTTP/1.1\r\nHost: a:80\r\nContent-Length: 12\r\n\r\n", Length::Known(12), false),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n", Length::Chunked, false),
        ("GET / HTTP/1.1\r\nHost: [::1]:80\r\nConnection: close, TE\r\n\r\n", Length::Known(0), true),
        ("GET / HTTP/1.0\r\n\r\n", Length::Known(0), true),
    ] {
        assert_eq!(parse(text), Ok(Some((body, close, text.len()))), "{text:?}");
    }
    assert_eq!(parse("GET / HTTP/1.1\r\nHost: a\r\n"), Ok(None));
}

#[test]
fn refused() {
    for (text, why) in [
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "length-and-encoding",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
            "length-and-encoding",
        ),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", "length-repeated"),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\n", "length"),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n", "length"),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x1\r\n\r\n", "length"),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", "length"),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n", "length"),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "transfer-encoding"),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n", "transfer-encoding"),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n", "transfer-encoding"),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            "transfer-encoding",
        ),
        ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "encoding-in-1.0"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n", "header-name"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n", "header-name"),
        ("GET / HTTP/1.1\r\n Host: a\r\n\r\n", "header-name"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: b\rc\r\n\r\n", "header-value"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: b\0c\r\n\r\n", "header-value"),
        ("GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", "line-end"),
        ("GET / HTTP/1.1\nHost: a\r\n\r\n", "line-end"),
        ("GET / HTTP/1.1\r\n\r\n", "host-missing"),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "host-repeated"),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "host"),
        ("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", "host"),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n", "host"),
        ("get / HTTP/1.1\r\nHost: a\r\n\r\n", "method"),
        ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", "request-line"),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: content-length\r\n\r\n", "connection"),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: a,b,c,d,e,f,g,h,i\r\n\r\n", "connection"),
    ] {
        assert_eq!(parse(text), Err(Fault::Malformed(why)), "{text:?}");
    }
    assert_eq!(parse("GET / HTTP/2.0\r\nHost: a\r\n\r\n"), Err(Fault::Version));
}

#[test]
fn limits_at_and_beyond() {
    let limits = Limits::default();
    let lines = |n: usize| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "x: y\r\n".repeat(n - 1));
    assert!(parse(&lines(limits.headers_max)).is_ok());
    assert_eq!(parse(&lines(limits.headers_max + 1)), Err(Fault::HeadTooLarge));
    let target = |n: usize| format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(n - 1));
    assert!(parse(&target(limits.target_bytes_max)).is_ok());
    assert_eq!(parse(&target(limits.target_bytes_max + 1)), Err(Fault::TargetTooLong));
    let sized = |n: usize| {
        let frame = "GET / HTTP/1.1\r\nHost: a\r\nx: \r\n\r\n".len();
        format!("GET / HTTP/1.1\r\nHost: a\r\nx: {}\r\n\r\n", "a".repeat(n - frame))
    };
    assert!(parse(&sized(limits.header_bytes_max)).is_ok());
    assert_eq!(parse(&sized(limits.header_bytes_max + 1)), Err(Fault::HeadTooLarge));
}

#[test]
fn responses() {
    let parse = |text: &str, is_head| {
        let mut slots = [const { MaybeUninit::uninit() }; SLOTS];
        response(text.as_bytes(), &mut slots, &Limits::default(), is_head).map(|r| r.map(|r| (r.body, r.close)))
    };
    assert_eq!(parse("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", false), Ok(Some((Length::Known(3), false))));
    assert_eq!(parse("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", true), Ok(Some((Length::Known(0), false))));
    assert_eq!(parse("HTTP/1.1 200 OK\r\n\r\n", false), Ok(Some((Length::UntilClose, true))));
    assert_eq!(parse("HTTP/1.1 304 Not Modified\r\n\r\n", false), Ok(Some((Length::Known(0), false))));
    assert_eq!(parse("HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\n", false), Ok(Some((Length::Known(3), true))));
    for bad in [
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n",
        "HTTP/1.1 099 OK\r\n\r\n",
        "nonsense\r\n\r\n",
    ] {
        assert_eq!(parse(bad, false), Err(Fault::BadResponse), "{bad:?}");
    }
}
