//! Bytes both ways until both sides are done: TCP through HBONE, and what follows 101. Each direction ends on its own
//! (half-close), and neither holds more than one buffer.
use std::{
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::io::poll_read_buf;

use crate::{account::Series, conn::Conn, watch::Watch};

/// What a read asks for.
const READ: usize = 16 * 1024;

#[derive(Default)]
struct Direction {
    buffer: BytesMut,
    moved: u64,
    ended: bool,
    closed: bool,
    unflushed: bool,
}

impl Direction {
    /// Ready when this direction has ended and the end was passed on.
    fn poll<R, W>(&mut self, cx: &mut Context<'_>, from: &mut R, to: &mut W) -> Poll<io::Result<()>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        loop {
            if !self.buffer.is_empty() {
                match ready!(Pin::new(&mut *to).poll_write(cx, &self.buffer))? {
                    0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    n => {
                        self.buffer.advance(n);
                        self.moved += n as u64;
                        self.unflushed = true;
                    }
                }
            } else if self.ended {
                if !self.closed {
                    ready!(Pin::new(&mut *to).poll_shutdown(cx))?;
                    self.closed = true;
                }
                return Poll::Ready(Ok(()));
            } else {
                self.buffer.reserve(READ);
                match poll_read_buf(Pin::new(&mut *from), cx, &mut self.buffer)? {
                    Poll::Ready(0) => self.ended = true,
                    Poll::Ready(_) => {}
                    Poll::Pending => {
                        if self.unflushed {
                            ready!(Pin::new(&mut *to).poll_flush(cx))?;
                            self.unflushed = false;
                        }
                        return Poll::Pending;
                    }
                }
            }
        }
    }
}

/// A side of a tunnel: its transport, and what was already read from it.
pub(crate) struct Side<T> {
    pub(crate) io: T,
    pub(crate) read: BytesMut,
}

/// Joins a downstream and an upstream until both directions ended, one failed, `idle` passed without a byte, or the
/// tunnel was cut. Returns the bytes that went up and down.
pub(crate) async fn relay<A, B>(
    mut down: Side<A>,
    mut up: Side<B>,
    watch: &Watch,
    idle: Duration,
    series: &Series,
) -> (u64, u64)
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    let started = daemon::instant();
    let mut forth = Direction { buffer: std::mem::take(&mut down.read), ..Direction::default() };
    let mut back = Direction { buffer: std::mem::take(&mut up.read), ..Direction::default() };
    let mut counted = (0, 0);
    watch.until(started, idle);
    let both = poll_fn(|cx| {
        let a = forth.poll(cx, &mut down.io, &mut up.io);
        let b = back.poll(cx, &mut up.io, &mut down.io);
        if (forth.moved, back.moved) != counted {
            series.moved(forth.moved - counted.0, back.moved - counted.1);
            counted = (forth.moved, back.moved);
            watch.until(daemon::instant(), idle);
        }
        match (a, b) {
            (Poll::Ready(Err(e)), _) | (_, Poll::Ready(Err(e))) => Poll::Ready(Err(e)),
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => Poll::Ready(Ok(())),
            _ => Poll::Pending,
        }
    });
    match watch.guard(both).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "tunnel broke"),
        Err(why) => tracing::debug!(?why, "tunnel interrupted"),
    }
    series.closed(started.elapsed());
    counted
}

/// As [`relay`] for two connections of our own engine.
pub(crate) async fn join(down: Conn, up: Conn, watch: &Watch, idle: Duration, series: &Series) {
    series.opened();
    let down = Side { io: down.io, read: down.read };
    let up = Side { io: up.io, read: up.read };
    relay(down, up, watch, idle, series).await;
}
