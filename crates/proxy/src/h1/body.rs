//! Bodies as they pass: the framing of the one side is read strictly, that of the other is written anew.
use bytes::{Buf, BytesMut};

use crate::{fault::Fault, h1::head::Length, headers::Side, limits::Limits};

/// Longest chunk-size line, extensions included.
const CHUNK_LINE_MAX: usize = 256;
/// Most hexadecimal digits of a chunk size.
const CHUNK_DIGITS_MAX: usize = 15;

/// Where in a body we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// This many bytes of data remain.
    Data(u64),
    /// A chunk-size line is next.
    ChunkLine,
    /// This many bytes of the current chunk remain.
    Chunk(u64),
    /// The CR LF after a chunk's data is next.
    ChunkEnd,
    /// The trailer section is next.
    Trailers,
    UntilClose,
    Done,
}

/// How the data is framed for the next hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Emit {
    /// As it is: the length is known there, or the connection closes after it.
    Raw,
    /// In chunks.
    Chunked,
}

/// A body under way.
#[derive(Clone, Debug)]
pub(crate) struct Body {
    state: State,
    emit: Emit,
    /// Data bytes passed.
    pub(crate) data: u64,
}

impl Body {
    pub(crate) fn new(length: Length, emit: Emit) -> Self {
        let state = match length {
            Length::Known(0) => State::Done,
            Length::Known(n) => State::Data(n),
            Length::Chunked => State::ChunkLine,
            Length::UntilClose => State::UntilClose,
        };
        Self { state, emit, data: 0 }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// How many bytes from the front of the input may be written out as they are, without looking at them.
    pub(crate) fn passable(&self, available: usize) -> usize {
        match (self.state, self.emit) {
            (State::Data(n), _) => usize::try_from(n).unwrap_or(usize::MAX).min(available),
            (State::UntilClose, Emit::Raw) => available,
            _ => 0,
        }
    }

    /// Takes note that `n` passable bytes were written out.
    pub(crate) fn passed(&mut self, n: usize) {
        self.data += n as u64;
        if let State::Data(left) = self.state {
            let left = left.saturating_sub(n as u64);
            self.state = if left == 0 { State::Done } else { State::Data(left) };
        }
    }

    /// Moves what can be moved from `input` to `output`, at most about `room` bytes. Stops when more input is needed.
    pub(crate) fn advance(
        &mut self,
        input: &mut BytesMut,
        output: &mut Vec<u8>,
        mut room: usize,
        side: Side,
        limits: &Limits,
    ) -> Result<(), Fault> {
        loop {
            match self.state {
                State::Done => return Ok(()),
                State::ChunkLine => match chunk_line(input)? {
                    None => return Ok(()),
                    Some((0, line)) => {
                        input.advance(line);
                        self.state = State::Trailers;
                    }
                    Some((size, line)) => {
                        input.advance(line);
                        self.state = State::Chunk(size);
                    }
                },
                State::ChunkEnd => {
                    match input.get(..2) {
                        Some(b"\r\n") => input.advance(2),
                        Some(_) => return Err(Fault::Malformed("chunk-end")),
                        None if input.first().is_some_and(|b| *b != b'\r') => {
                            return Err(Fault::Malformed("chunk-end"));
                        }
                        None => return Ok(()),
                    }
                    self.state = State::ChunkLine;
                }
                State::Trailers => {
                    if !self.trailers(input, output, side, limits)? {
                        return Ok(());
                    }
                    self.state = State::Done;
                }
                State::Data(left) | State::Chunk(left) => {
                    let n = usize::try_from(left).unwrap_or(usize::MAX).min(input.len()).min(room);
                    if n == 0 {
                        return Ok(());
                    }
                    self.put(input, output, n);
                    room -= n;
                    let left = left - n as u64;
                    self.state = match (self.state, left) {
                        (State::Data(_), 0) => State::Done,
                        (State::Data(_), _) => State::Data(left),
                        (_, 0) => State::ChunkEnd,
                        (_, _) => State::Chunk(left),
                    };
                    if self.state == State::Done && self.emit == Emit::Chunked {
                        output.extend_from_slice(b"0\r\n\r\n");
                    }
                }
                State::UntilClose => {
                    let n = input.len().min(room);
                    if n > 0 {
                        self.put(input, output, n);
                    }
                    return Ok(());
                }
            }
        }
    }

    /// The input ended. Right only where the end of the connection is the end of the body.
    pub(crate) fn end_of_input(&mut self, output: &mut Vec<u8>) -> Result<(), Fault> {
        match self.state {
            State::Done => Ok(()),
            State::UntilClose => {
                if self.emit == Emit::Chunked {
                    output.extend_from_slice(b"0\r\n\r\n");
                }
                self.state = State::Done;
                Ok(())
            }
            _ => Err(Fault::Reset),
        }
    }

    fn put(&mut self, input: &mut BytesMut, output: &mut Vec<u8>, n: usize) {
        let data = input.get(..n).unwrap_or_default();
        self.data += n as u64;
        match self.emit {
            Emit::Raw => output.extend_from_slice(data),
            Emit::Chunked => {
                use std::io::Write;
                // Writing to a Vec cannot fail.
                let _ = write!(output, "{n:x}\r\n");
                output.extend_from_slice(data);
                output.extend_from_slice(b"\r\n");
            }
        }
        input.advance(n);
    }

    /// Passes the trailer section on, without fields that would change framing, routing or identity
    /// (RFC 9110 §6.5.1). False when more input is needed.
    fn trailers(
        &mut self,
        input: &mut BytesMut,
        output: &mut Vec<u8>,
        side: Side,
        limits: &Limits,
    ) -> Result<bool, Fault> {
        let mut slots = [httparse::EMPTY_HEADER; 32];
        let (length, fields) = match httparse::parse_headers(input, &mut slots) {
            Ok(httparse::Status::Complete(done)) => done,
            Ok(httparse::Status::Partial) if input.len() > limits.header_bytes_max => return Err(Fault::HeadTooLarge),
            Ok(httparse::Status::Partial) => return Ok(false),
            Err(_) => return Err(Fault::Malformed("trailers")),
        };
        if input.get(..length).is_some_and(has_lone_lf) {
            return Err(Fault::Malformed("line-end"));
        }
        if self.emit == Emit::Chunked {
            output.extend_from_slice(b"0\r\n");
            for field in fields.iter().filter(|f| is_trailer(side, f.name)) {
                for part in [field.name.as_bytes(), b": ", field.value, b"\r\n"] {
                    output.extend_from_slice(part);
                }
            }
            output.extend_from_slice(b"\r\n");
        }
        input.advance(length);
        Ok(true)
    }
}

/// Whether a field may stand in a trailer section: a plain field that no proxy and no framing acts on.
pub(crate) fn is_trailer(side: Side, name: &str) -> bool {
    use crate::headers::{Action, REQUEST_INDEX};
    const FORBIDDEN: [&str; 9] = [
        "host",
        "authorization",
        "cookie",
        "set-cookie",
        "expect",
        "content-type",
        "content-encoding",
        "cache-control",
        "trailer",
    ];
    REQUEST_INDEX.action(side, name.as_bytes()) == Action::Keep
        && !FORBIDDEN.iter().any(|f| f.eq_ignore_ascii_case(name))
}

/// Size and length of a chunk-size line, `None` when it is not complete. Extensions are read over and dropped.
fn chunk_line(input: &[u8]) -> Result<Option<(u64, usize)>, Fault> {
    let fault = Fault::Malformed("chunk-size");
    let Some(end) = input.iter().take(CHUNK_LINE_MAX).position(|b| *b == b'\n') else {
        return if input.len() >= CHUNK_LINE_MAX { Err(fault) } else { Ok(None) };
    };
    let line = input.get(..end).and_then(|l| l.strip_suffix(b"\r")).ok_or(fault)?;
    if line.contains(&b'\r') {
        return Err(fault);
    }
    let digits = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
    if digits == 0 || digits > CHUNK_DIGITS_MAX {
        return Err(fault);
    }
    let (number, rest) = line.split_at(digits);
    // BWS before an extension is allowed (RFC 9112 §7.1.1), blanks before nothing are not.
    if !rest.is_empty() && !rest.trim_ascii_start().starts_with(b";") {
        return Err(fault);
    }
    let size = number.iter().try_fold(0u64, |n, b| char::from(*b).to_digit(16).map(|d| n * 16 + u64::from(d)));
    Ok(Some((size.ok_or(fault)?, end + 1)))
}

fn has_lone_lf(bytes: &[u8]) -> bool {
    let mut previous = 0;
    bytes.iter().any(|b| {
        let lone = *b == b'\n' && previous != b'\r';
        previous = *b;
        lone
    })
}

#[cfg(test)]
mod tests;
