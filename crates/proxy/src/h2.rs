//! HTTP/2, by hyper: between proxies for gRPC and HBONE, at gateways for browsers, from applications with prior
//! knowledge. Towards an application that speaks HTTP/1.1, requests are translated.
pub(crate) mod client;
pub(crate) mod fields;
pub(crate) mod serve;

use std::{
    cell::Cell,
    future::Future,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use bytes::Bytes;
use daemon::Tasks;
use hyper::body::{Frame, Incoming, SizeHint};

use crate::{
    access_log,
    account::{Outcome, Series},
    headers::Side,
    session::Session,
};

/// Spawns hyper's own tasks where everything else of this worker runs.
#[derive(Clone)]
pub(crate) struct LocalExecutor(pub(crate) Tasks);

impl<F> hyper::rt::Executor<F> for LocalExecutor
where
    F: Future + 'static,
{
    fn execute(&self, future: F) {
        self.0.spawn_local(async move {
            future.await;
        });
    }
}

/// A body on its way through, or one of ours.
#[expect(clippy::large_enum_variant, reason = "nearly every body streams; a box would cost each an allocation")]
pub(crate) enum Passing {
    /// Nothing.
    Empty,
    /// An answer of our own.
    Whole(Option<Bytes>),
    /// The peer's, counted and with its trailers filtered.
    Streaming {
        incoming: Incoming,
        bytes: Rc<Cell<u64>>,
        side: Side,
        /// Counts the request when the response body has ended, however it ends.
        account: Option<Account>,
    },
}

/// What is needed to count a request at the end of its response.
pub(crate) struct Account {
    pub(crate) series: Arc<Series>,
    pub(crate) started: Instant,
    pub(crate) status: u16,
    pub(crate) flag: &'static str,
    pub(crate) request_bytes: Rc<Cell<u64>>,
    pub(crate) response_bytes: Rc<Cell<u64>>,
    /// Streams of the connection that are under way.
    pub(crate) active: Option<Active>,
    /// For the access log, when there is one.
    pub(crate) log: Option<Log>,
    /// A decision in the durable spool that wants to know what became of the request.
    pub(crate) audited: Option<(Rc<Session>, String)>,
}

/// What the access log says of a request.
pub(crate) struct Log {
    pub(crate) session: Rc<Session>,
    pub(crate) request: access_log::Request,
    pub(crate) upstream: Option<Rc<str>>,
    pub(crate) decision: Option<String>,
    pub(crate) reason: Option<&'static str>,
}

/// One stream under way; counts itself out when dropped.
pub(crate) struct Active(pub(crate) Rc<Cell<usize>>);

impl Active {
    pub(crate) fn new(count: &Rc<Cell<usize>>) -> Self {
        count.set(count.get() + 1);
        Self(count.clone())
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let outcome = Outcome {
            status: self.status,
            flag: self.flag,
            duration: self.started.elapsed(),
            bytes_in: self.request_bytes.get(),
            bytes_out: self.response_bytes.get(),
        };
        self.series.record(&outcome);
        if let Some((session, decision)) = &self.audited {
            session.worker.audit_outcome(decision, &outcome);
        }
        if let Some(log) = &self.log {
            log.session.worker.log_access(&access_log::Line {
                request: &log.request,
                outcome: &outcome,
                reason: log.reason,
                principal: log.session.principal.as_deref(),
                peer: log.session.peer_ip,
                upstream: log.upstream.as_deref(),
                flow: &self.series.labels.flow,
                decision: log.decision.as_deref(),
            });
        }
    }
}

impl hyper::body::Body for Passing {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|b| Ok(Frame::data(b)))),
            Self::Streaming { incoming, bytes, side, account } => {
                let frame = std::task::ready!(Pin::new(incoming).poll_frame(cx));
                match frame {
                    Some(Ok(mut frame)) => {
                        if let Some(data) = frame.data_ref() {
                            bytes.set(bytes.get() + data.len() as u64);
                        }
                        if let Some(trailers) = frame.trailers_mut() {
                            fields::trailers(trailers, *side);
                        }
                        Poll::Ready(Some(Ok(frame)))
                    }
                    end => {
                        account.take();
                        Poll::Ready(end)
                    }
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Whole(bytes) => bytes.is_none(),
            Self::Streaming { incoming, .. } => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64)),
            Self::Streaming { incoming, .. } => incoming.size_hint(),
        }
    }
}
