//! Deadlines and interruptions of connections without a timer per request: a connection writes its deadline into a
//! cell, and the worker's ticker looks at all cells ten times a second.
use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    future::{Future, poll_fn},
    pin::pin,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use crate::ask::Facts;

/// How often deadlines are looked at.
pub(crate) const TICK: Duration = Duration::from_millis(100);

/// Why waiting ended without a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interrupted {
    /// The deadline passed.
    Expired,
    /// The peer lost its right to this connection.
    Cut,
    /// A drain began and the connection was idle.
    Draining,
}

/// A connection, as the worker's ticker and a new snapshot see it.
pub(crate) struct Watch {
    deadline: Cell<Option<Instant>>,
    expired: Cell<bool>,
    cut: Cell<bool>,
    /// The right to this connection ends then, whatever moves on it.
    ends: Cell<Option<Instant>>,
    idle: Cell<bool>,
    draining: Cell<bool>,
    waker: RefCell<Option<Waker>>,
    /// Who and what this connection is, for the check after a new snapshot.
    pub(crate) subject: RefCell<Subject>,
}

/// What decides whether a connection may stay when a new snapshot comes.
#[derive(Clone, Debug)]
pub(crate) enum Subject {
    /// No right of its own: the own application, or somebody outside.
    Local,
    /// A peer on the mesh port.
    Peer {
        /// SPIFFE URI.
        principal: Rc<str>,
    },
    /// Something long that a peer was allowed once: a tunnel, a WebSocket.
    Held(Box<Facts>),
    /// A tunnel through an upstream.
    UpstreamTunnel {
        /// The upstream's name.
        upstream: Rc<str>,
        /// Its identity when the tunnel was opened.
        id: Rc<str>,
    },
}

impl Watch {
    fn new(subject: Subject) -> Self {
        Self {
            deadline: Cell::new(None),
            expired: Cell::new(false),
            cut: Cell::new(false),
            ends: Cell::new(None),
            idle: Cell::new(false),
            draining: Cell::new(false),
            waker: RefCell::new(None),
            subject: RefCell::new(subject),
        }
    }

    /// Starts a phase that may last `limit` from `now`.
    pub(crate) fn until(&self, now: Instant, limit: Duration) {
        self.deadline.set(now.checked_add(limit));
        self.expired.set(false);
    }

    /// Cuts the connection at this moment.
    pub(crate) fn ends(&self, at: Option<Instant>) {
        self.ends.set(at);
    }

    /// Whether a drain that begins now may close the connection at once.
    pub(crate) fn set_idle(&self, idle: bool) {
        self.idle.set(idle);
    }

    /// Whether the connection should end after the request under way.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// Ends whatever the connection waits for.
    pub(crate) fn cut(&self) {
        self.cut.set(true);
        self.wake();
    }

    fn drain(&self) {
        self.draining.set(true);
        self.wake();
    }

    fn tick(&self, now: Instant) {
        if self.ends.get().is_some_and(|end| end <= now) {
            self.cut();
        }
        if !self.expired.get() && self.deadline.get().is_some_and(|d| d <= now) {
            self.expired.set(true);
            self.wake();
        }
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    fn interrupted(&self) -> Option<Interrupted> {
        if self.cut.get() {
            Some(Interrupted::Cut)
        } else if self.expired.get() {
            Some(Interrupted::Expired)
        } else if self.draining.get() && self.idle.get() {
            Some(Interrupted::Draining)
        } else {
            None
        }
    }

    /// Polls `future` unless interrupted.
    pub(crate) async fn guard<F: Future>(&self, future: F) -> Result<F::Output, Interrupted> {
        let mut future = pin!(future);
        poll_fn(|cx| {
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(Ok(output));
            }
            self.poll_interrupted(cx).map(Err)
        })
        .await
    }

    /// Ready when interrupted; else remembers to wake the task.
    pub(crate) fn poll_interrupted(&self, cx: &mut Context<'_>) -> Poll<Interrupted> {
        if let Some(why) = self.interrupted() {
            return Poll::Ready(why);
        }
        let mut waker = self.waker.borrow_mut();
        match &mut *waker {
            Some(waker) if waker.will_wake(cx.waker()) => {}
            slot => *slot = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}

/// All connections of a worker.
#[derive(Default)]
pub(crate) struct Registry {
    next: Cell<u64>,
    watches: RefCell<HashMap<u64, Rc<Watch>>>,
    draining: Cell<bool>,
}

/// A place in the registry; dropping it frees the place.
pub(crate) struct Registered {
    registry: Rc<Registry>,
    key: u64,
    watch: Rc<Watch>,
}

impl Registry {
    /// Adds a connection.
    pub(crate) fn add(self: &Rc<Self>, subject: Subject) -> Registered {
        let key = self.next.get();
        self.next.set(key + 1);
        let watch = Rc::new(Watch::new(subject));
        watch.draining.set(self.draining.get());
        self.watches.borrow_mut().insert(key, watch.clone());
        Registered { registry: self.clone(), key, watch }
    }

    /// Connections that are open.
    pub(crate) fn len(&self) -> usize {
        self.watches.borrow().len()
    }

    /// Wakes those whose deadline has passed.
    pub(crate) fn tick(&self, now: Instant) {
        self.watches.borrow().values().for_each(|w| w.tick(now));
    }

    /// Closes idle connections and asks the others to end after their request.
    pub(crate) fn drain(&self) {
        self.draining.set(true);
        self.watches.borrow().values().for_each(|w| w.drain());
    }

    /// Cuts every connection whose subject has lost its right.
    pub(crate) fn recheck(&self, keeps: impl Fn(&Subject) -> bool) {
        for watch in self.watches.borrow().values() {
            if !keeps(&watch.subject.borrow()) {
                watch.cut();
            }
        }
    }
}

impl std::ops::Deref for Registered {
    type Target = Rc<Watch>;
    fn deref(&self) -> &Rc<Watch> {
        &self.watch
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.registry.watches.borrow_mut().remove(&self.key);
    }
}
