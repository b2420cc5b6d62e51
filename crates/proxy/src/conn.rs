//! A TCP connection, plain or TLS, with its read and write buffers. Concrete on purpose: no boxes on the hot path.
use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::TlsStream;
use tokio_util::io::poll_read_buf;

/// What a read asks for while a head is expected.
const READ_HEAD: usize = 4 * 1024;
/// What a read asks for while a body streams.
pub(crate) const READ_BODY: usize = 64 * 1024;
/// Capacity an idle connection may keep.
const KEEP_CAPACITY: usize = 4 * 1024;

/// The transport.
pub(crate) enum Io {
    /// Within the host, or a plain gateway listener.
    Plain(TcpStream),
    /// Mutual TLS, or a gateway's server TLS.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Io {
    pub(crate) fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(tls) => tls.get_ref().0,
        }
    }
}

impl AsyncRead for Io {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Self::Tls(tls) => Pin::new(tls.as_mut()).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Io {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write(cx, buf),
            Self::Tls(tls) => Pin::new(tls.as_mut()).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(_) => Poll::Ready(Ok(())),
            Self::Tls(tls) => Pin::new(tls.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(tls.as_mut()).poll_shutdown(cx),
        }
    }
}

/// A connection with its buffers.
pub(crate) struct Conn {
    pub(crate) io: Io,
    /// Read and not yet consumed.
    pub(crate) read: BytesMut,
    /// To be written; `written` bytes of it already are.
    pub(crate) write: Vec<u8>,
    written: usize,
    /// TLS may hold ciphertext that the socket did not take yet.
    unflushed: bool,
    /// Bytes moved over this connection since the counters were last taken.
    pub(crate) bytes_read: u64,
    pub(crate) bytes_written: u64,
}

impl Conn {
    pub(crate) fn new(io: Io) -> Self {
        Self {
            io,
            read: BytesMut::new(),
            write: Vec::new(),
            written: 0,
            unflushed: false,
            bytes_read: 0,
            bytes_written: 0,
        }
    }

    /// Reads what is there; 0 is the end. `want` is the least spare room to offer.
    pub(crate) fn poll_fill(&mut self, cx: &mut Context<'_>, want: usize) -> Poll<io::Result<usize>> {
        if self.read.is_empty() && self.read.capacity() == 0 {
            // An idle connection waits without a buffer. TLS may hold plaintext already, then readiness says nothing.
            let buffered = match &self.io {
                Io::Plain(_) => false,
                Io::Tls(tls) => !tls.get_ref().1.wants_read(),
            };
            if !buffered {
                ready!(self.io.tcp().poll_read_ready(cx))?;
            }
        }
        self.read.reserve(want);
        let n = ready!(poll_read_buf(Pin::new(&mut self.io), cx, &mut self.read))?;
        self.bytes_read += n as u64;
        Poll::Ready(Ok(n))
    }

    /// As [`Conn::poll_fill`] while a head is expected.
    pub(crate) fn poll_fill_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.poll_fill(cx, READ_HEAD)
    }

    /// Bytes waiting to be written.
    pub(crate) fn pending_write(&self) -> usize {
        self.write.len() - self.written
    }

    /// Writes the write buffer out, and what TLS holds.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self.write.get(self.written..).filter(|r| !r.is_empty()) {
            match ready!(Pin::new(&mut self.io).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n => {
                    self.written += n;
                    self.bytes_written += n as u64;
                    self.unflushed = true;
                }
            }
        }
        self.write.clear();
        self.written = 0;
        if self.unflushed {
            ready!(Pin::new(&mut self.io).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Writes `data` past the (empty) write buffer; returns how much was taken.
    pub(crate) fn poll_write_direct(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        debug_assert_eq!(self.pending_write(), 0);
        let n = ready!(Pin::new(&mut self.io).poll_write(cx, data))?;
        self.bytes_written += n as u64;
        self.unflushed = true;
        Poll::Ready(if n == 0 { Err(io::ErrorKind::WriteZero.into()) } else { Ok(n) })
    }

    /// Gives large buffers back between requests.
    pub(crate) fn rest(&mut self) {
        if self.read.is_empty() {
            self.read = BytesMut::new();
        }
        if self.write.capacity() > KEEP_CAPACITY {
            self.write = Vec::new();
        }
    }

    /// Whether an idle connection is still usable: open, and nothing unasked for came. Makes no system call unless the
    /// socket was reported ready.
    pub(crate) fn is_quiet(&mut self) -> bool {
        if !self.read.is_empty() {
            return false;
        }
        let mut cx = Context::from_waker(std::task::Waker::noop());
        if self.io.tcp().poll_read_ready(&mut cx).is_pending() {
            return true;
        }
        // Ready means bytes, the end or an error; TLS 1.3 may also have sent a ticket or a key update, which is quiet.
        self.poll_fill_head(&mut cx).is_pending()
    }

    /// Whether the caller went away while it waits for us. What it sends meanwhile is kept, up to a head's worth.
    pub(crate) fn poll_gone(&mut self, cx: &mut Context<'_>) -> bool {
        if self.read.len() >= READ_HEAD || self.io.tcp().poll_read_ready(cx).is_pending() {
            return false;
        }
        matches!(self.poll_fill_head(cx), Poll::Ready(Ok(0) | Err(_)))
    }

    /// Closes the sending side.
    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    /// Discards what the peer still sends, up to `limit` bytes or its end, so that our last answer is not lost to a
    /// reset (RFC 9112 §9.6).
    pub(crate) fn poll_linger(&mut self, cx: &mut Context<'_>, limit: &mut usize) -> Poll<()> {
        loop {
            self.read.clear();
            match ready!(self.poll_fill(cx, 16 * 1024)) {
                Ok(n) if n > 0 && *limit > n => *limit -= n,
                _ => return Poll::Ready(()),
            }
        }
    }

    /// Takes `n` consumed bytes out of the read buffer.
    pub(crate) fn consume(&mut self, n: usize) {
        self.read.advance(n.min(self.read.len()));
    }
}
