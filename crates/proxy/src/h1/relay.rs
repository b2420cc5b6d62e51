//! One request and its response between two connections: a state machine that moves both directions at once, so that
//! early responses, 100-continue, uploads and downloads stream, and nothing is held beyond a bounded buffer.
use std::{
    mem::MaybeUninit,
    task::{Context, Poll, ready},
    time::Duration,
};

use crate::{
    conn::{Conn, READ_BODY},
    fault::Fault,
    h1::{
        body::{Body, Emit},
        head::{self, Length, SLOTS},
        render,
    },
    headers::Side,
    limits::Limits,
    watch::Watch,
};

/// Bytes that may wait in a write buffer before reading pauses.
const HIGH_WATER: usize = 64 * 1024;
/// Body bytes that join the head in the first write.
const WITH_HEAD: usize = 16 * 1024;
/// Interim responses (1xx) to one request.
const INTERIM_MAX: usize = 16;

/// How an exchange ended badly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The caller is to blame or gone.
    Downstream(Fault),
    /// The upstream is to blame.
    Upstream(Fault),
}

enum Phase {
    Head,
    Body,
    Done,
}

/// What the request asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) side: Side,
    pub(crate) is_head: bool,
    /// HTTP/1.`minor` of the caller.
    pub(crate) minor: u8,
    pub(crate) upgrade: bool,
    /// The caller's connection ends after this.
    pub(crate) close: bool,
    pub(crate) body_idle: Duration,
    pub(crate) head_timeout: Duration,
}

/// The exchange.
pub(crate) struct Relay<'a> {
    pub(crate) down: &'a mut Conn,
    pub(crate) up: &'a mut Conn,
    pub(crate) watch: &'a Watch,
    limits: &'a Limits,
    shape: Shape,
    pub(crate) request: Body,
    pub(crate) response: Body,
    phase: Phase,
    /// The upstream does not take more of the request; its response may still come.
    upload_broken: bool,
    interim: usize,
    /// 0 until the response head came.
    pub(crate) status: u16,
    /// Some byte of the response came: no retry any more.
    pub(crate) answered: bool,
    /// Some byte of the request body was taken from the caller: no retry any more.
    pub(crate) body_taken: bool,
    pub(crate) upgraded: bool,
    pub(crate) keep_up: bool,
    pub(crate) keep_down: bool,
}

impl<'a> Relay<'a> {
    pub(crate) fn new(
        down: &'a mut Conn,
        up: &'a mut Conn,
        watch: &'a Watch,
        limits: &'a Limits,
        shape: Shape,
        body: Length,
    ) -> Self {
        let emit = if body == Length::Chunked { Emit::Chunked } else { Emit::Raw };
        Self {
            down,
            up,
            watch,
            limits,
            shape,
            request: Body::new(body, emit),
            response: Body::new(Length::Known(0), Emit::Raw),
            phase: Phase::Head,
            upload_broken: false,
            interim: 0,
            status: 0,
            answered: false,
            body_taken: false,
            upgraded: false,
            keep_up: false,
            keep_down: false,
        }
    }

    /// Ready when the whole response is written to the caller.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        loop {
            let moved = self.poll_request(cx)?;
            match self.poll_response(cx) {
                Poll::Ready(result) => return Poll::Ready(result),
                Poll::Pending if moved => {}
                Poll::Pending => {
                    // Work for a caller that is gone is stopped.
                    if self.request.is_done() && self.status == 0 && self.down.poll_gone(cx) {
                        return Poll::Ready(Err(Failure::Downstream(Fault::Gone)));
                    }
                    return Poll::Pending;
                }
            }
        }
    }

    /// Moves the request body on; true when there may be more to move at once.
    fn poll_request(&mut self, cx: &mut Context<'_>) -> Result<bool, Failure> {
        let mut moved = false;
        if !self.request.is_done() && !self.upload_broken && self.up.pending_write() < HIGH_WATER {
            self.body_taken |= !self.down.read.is_empty();
            self.request
                .advance(&mut self.down.read, &mut self.up.write, HIGH_WATER, self.shape.side, self.limits)
                .map_err(Failure::Downstream)?;
            if !self.request.is_done() && self.up.pending_write() < HIGH_WATER {
                match self.down.poll_fill(cx, READ_BODY) {
                    Poll::Ready(Ok(n)) if n > 0 => {
                        moved = true;
                        self.body_taken = true;
                        self.watch.until(daemon::instant(), self.shape.body_idle);
                    }
                    Poll::Ready(_) => return Err(Failure::Downstream(Fault::Gone)),
                    Poll::Pending => {}
                }
            } else if self.request.is_done() && self.status == 0 {
                self.watch.until(daemon::instant(), self.shape.head_timeout);
            }
        }
        if !self.upload_broken && self.up.poll_flush(cx).map_err(drop) == Poll::Ready(Err(())) {
            // It may have answered before it closed its reading side.
            self.upload_broken = true;
        }
        Ok(moved)
    }

    fn poll_response(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        loop {
            match self.phase {
                Phase::Head => {
                    if !self.up.read.is_empty() && self.take_head().map_err(Failure::Upstream)? {
                        continue;
                    }
                    if self.down.pending_write() > 0 && self.down.poll_flush(cx).map_err(drop) == Poll::Ready(Err(())) {
                        return Poll::Ready(Err(Failure::Downstream(Fault::Gone)));
                    }
                    match ready!(self.up.poll_fill_head(cx)) {
                        Ok(n) if n > 0 => self.answered = true,
                        _ => return Poll::Ready(Err(Failure::Upstream(Fault::Reset))),
                    }
                }
                Phase::Body => ready!(self.poll_body(cx))?,
                Phase::Done => {
                    if ready!(self.down.poll_flush(cx)).is_err() {
                        return Poll::Ready(Err(Failure::Downstream(Fault::Gone)));
                    }
                    let complete = self.request.is_done();
                    self.keep_up &= complete && !self.upload_broken && self.up.read.is_empty();
                    self.keep_down &= complete;
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }

    /// Takes a response head from what was read; false when it is not complete.
    fn take_head(&mut self) -> Result<bool, Fault> {
        let mut slots = [const { MaybeUninit::uninit() }; SLOTS];
        let Some(head) = head::response(&self.up.read, &mut slots, self.limits, self.shape.is_head)? else {
            return Ok(false);
        };
        let (status, bytes) = (head.status, head.bytes);
        if status < 200 && status != 101 {
            self.interim += 1;
            if self.interim > INTERIM_MAX {
                return Err(Fault::BadResponse);
            }
            // HTTP/1.0 knows no interim responses (RFC 9110 §15.2).
            if self.shape.minor == 1 {
                render::response(&mut self.down.write, &head, self.shape.side, Length::Known(0), false);
            }
            self.up.consume(bytes);
            return Ok(true);
        }
        if status == 101 && (!self.shape.upgrade || head.upgrade.is_none()) {
            return Err(Fault::BadResponse);
        }
        let (length, emit) = match head.body {
            Length::Known(_) => (head.body, Emit::Raw),
            Length::Chunked | Length::UntilClose if self.shape.minor == 1 => (Length::Chunked, Emit::Chunked),
            Length::Chunked | Length::UntilClose => (Length::UntilClose, Emit::Raw),
        };
        let close = self.shape.close || length == Length::UntilClose || self.watch.is_draining();
        self.response = Body::new(head.body, emit);
        self.keep_up = !head.close;
        self.keep_down = !close;
        self.status = status;
        self.upgraded = status == 101;
        render::response(&mut self.down.write, &head, self.shape.side, length, close);
        self.up.consume(bytes);
        // What already came with the head leaves with the head.
        let side = self.shape.side;
        self.response
            .advance(&mut self.up.read, &mut self.down.write, WITH_HEAD, side, self.limits)
            .map_err(|_| Fault::BadResponse)?;
        self.phase = if self.response.is_done() || self.upgraded { Phase::Done } else { Phase::Body };
        if matches!(self.phase, Phase::Body) {
            self.watch.until(daemon::instant(), self.shape.body_idle);
        }
        Ok(true)
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        const GONE: Failure = Failure::Downstream(Fault::Gone);
        loop {
            if ready!(self.down.poll_flush(cx)).is_err() {
                return Poll::Ready(Err(GONE));
            }
            let passable = self.response.passable(self.up.read.len());
            if passable > 0 {
                let data = self.up.read.get(..passable).unwrap_or_default();
                match ready!(self.down.poll_write_direct(cx, data)) {
                    Ok(n) => {
                        self.response.passed(n);
                        self.up.consume(n);
                    }
                    Err(_) => return Poll::Ready(Err(GONE)),
                }
            } else {
                self.response
                    .advance(&mut self.up.read, &mut self.down.write, HIGH_WATER, self.shape.side, self.limits)
                    .map_err(|_| Failure::Upstream(Fault::BadResponse))?;
            }
            if self.response.is_done() {
                self.phase = Phase::Done;
                return Poll::Ready(Ok(()));
            }
            if self.down.pending_write() > 0 || self.response.passable(self.up.read.len()) > 0 {
                continue;
            }
            match ready!(self.up.poll_fill(cx, READ_BODY)) {
                Ok(n) if n > 0 => self.watch.until(daemon::instant(), self.shape.body_idle),
                Ok(_) => {
                    self.response.end_of_input(&mut self.down.write).map_err(Failure::Upstream)?;
                }
                Err(_) => return Poll::Ready(Err(Failure::Upstream(Fault::Reset))),
            }
        }
    }
}
