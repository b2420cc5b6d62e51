//! Chunked bodies, good and bad, in one piece and byte by byte.
use super::*;

fn run(input: &str, length: Length, emit: Emit, step: usize) -> Result<(String, bool, String), Fault> {
    let mut body = Body::new(length, emit);
    let (mut buffer, mut output) = (BytesMut::new(), Vec::new());
    for piece in input.as_bytes().chunks(step) {
        buffer.extend_from_slice(piece);
        body.advance(&mut buffer, &mut output, 1 << 20, Side::Inbound, &Limits::default())?;
    }
    Ok((String::from_utf8(output).unwrap(), body.is_done(), String::from_utf8(buffer.to_vec()).unwrap()))
}

#[test]
fn chunks_are_written_anew() {
    let input = "5;ext=1\r\nhello\r\n1\r\n!\r\n0\r\nX-Sum: 9\r\nHost: evil\r\nContent-Length: 4\r\n\r\nGET /";
    let (output, done, rest) = run(input, Length::Chunked, Emit::Chunked, 1000).unwrap();
    assert_eq!(output, "5\r\nhello\r\n1\r\n!\r\n0\r\nX-Sum: 9\r\n\r\n");
    assert!(done);
    assert_eq!(rest, "GET /");
    let (output, done, rest) = run(input, Length::Chunked, Emit::Raw, 1).unwrap();
    assert_eq!((output.as_str(), done, rest.as_str()), ("hello!", true, "GET /"));
}

/// However the bytes arrive, the same leaves; and what does not fit is refused in any slicing.
#[test]
fn pieces_do_not_matter() {
    let inputs = [
        "5\r\nhello\r\n0\r\n\r\n",
        "A;x=\"y\"\r\n0123456789\r\n1\r\nz\r\n00\r\nA: b\r\nC: d\r\n\r\nrest",
        "5\r\nhelloX",
        "3\r\nab\n",
        "0\r\n A: b\r\n\r\n",
    ];
    for input in inputs {
        let whole = run(input, Length::Chunked, Emit::Raw, input.len());
        for step in 1..input.len() {
            assert_eq!(run(input, Length::Chunked, Emit::Raw, step), whole, "{input:?} by {step}");
        }
    }
}

#[test]
fn known_length_stops_exactly() {
    let (output, done, rest) = run("abcdef", Length::Known(4), Emit::Raw, 1).unwrap();
    assert_eq!((output.as_str(), done, rest.as_str()), ("abcd", true, "ef"));
}

#[test]
fn until_close_becomes_chunks() {
    let mut body = Body::new(Length::UntilClose, Emit::Chunked);
    let (mut buffer, mut output) = (BytesMut::from("abc"), Vec::new());
    body.advance(&mut buffer, &mut output, 100, Side::Outbound, &Limits::default()).unwrap();
    body.end_of_input(&mut output).unwrap();
    assert_eq!(output, b"3\r\nabc\r\n0\r\n\r\n");
}

#[test]
fn bad_chunks_are_refused() {
    let long = format!("5;{}\r\n", "x".repeat(CHUNK_LINE_MAX));
    for (input, why) in [
        ("g\r\n", "chunk-size"),
        ("\r\n", "chunk-size"),
        ("-1\r\n", "chunk-size"),
        ("0x5\r\nhello\r\n", "chunk-size"),
        ("5 \r\nhello\r\n", "chunk-size"),
        ("5\nhello\r\n", "chunk-size"),
        ("5;a\rb\r\nhello\r\n", "chunk-size"),
        ("1234567890123456\r\n", "chunk-size"),
        (long.as_str(), "chunk-size"),
        ("5\r\nhelloX\r\n", "chunk-end"),
        ("5\r\nhello\n0\r\n\r\n", "chunk-end"),
        ("0\r\nX : y\r\n\r\n", "trailers"),
        ("0\r\nX: y\n\r\n", "line-end"),
    ] {
        for step in [1, 1000] {
            assert_eq!(run(input, Length::Chunked, Emit::Chunked, step), Err(Fault::Malformed(why)), "{input:?}");
        }
    }
}

#[test]
fn an_early_end_is_a_fault() {
    let mut body = Body::new(Length::Known(3), Emit::Raw);
    assert_eq!(body.end_of_input(&mut Vec::new()), Err(Fault::Reset));
}
