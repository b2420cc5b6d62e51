//! The one door to spawning. A [`Tasks`] owns what it spawned and knows the drain signal: stop accepting, finish,
//! cut at the deadline. No task outlives it unseen.
use std::{future::Future, time::Duration};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The drain signal, as a task sees it. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Drain {
    stopping: CancellationToken,
    cut: CancellationToken,
}

impl Drain {
    /// True once no new work should be taken.
    pub fn is_stopping(&self) -> bool {
        self.stopping.is_cancelled()
    }

    /// Completes when no new work should be taken; what is under way may finish.
    pub async fn stopping(&self) {
        self.stopping.cancelled().await;
    }

    /// Completes when the deadline has passed and tasks are being dropped.
    pub async fn cut(&self) {
        self.cut.cancelled().await;
    }

    /// Asks everyone to stop taking new work.
    pub fn stop(&self) {
        self.stopping.cancel();
    }
}

/// An owned set of tasks. Clones share the set.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    drain: Drain,
}

/// How a drain ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finished {
    /// Tasks that were still running at the deadline and were dropped.
    pub cut: usize,
}

impl Tasks {
    /// An empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// The signal its tasks listen to.
    pub fn drain(&self) -> &Drain {
        &self.drain
    }

    /// Spawns on the current runtime; the task is dropped when a drain reaches its deadline.
    pub fn spawn<F>(&self, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let cut = self.drain.cut.clone();
        self.tracker.spawn(async move {
            cut.run_until_cancelled(task).await;
        });
    }

    /// Spawns on the current single-threaded runtime (`LocalRuntime` or `LocalSet`); dropped as in [`Tasks::spawn`].
    pub fn spawn_local<F>(&self, task: F)
    where
        F: Future<Output = ()> + 'static,
    {
        let cut = self.drain.cut.clone();
        // Boxed, because each wrapper around a future by value would make the task that much larger.
        let task = Box::pin(task);
        self.tracker.spawn_local(async move {
            cut.run_until_cancelled(task).await;
        });
    }

    /// Number of tasks that have not ended.
    pub fn running(&self) -> usize {
        self.tracker.len()
    }

    /// Drains: raises `stopping`, waits until every task ended or `deadline` passed, then cuts the rest.
    pub async fn finish(&self, deadline: Duration) -> Finished {
        self.drain.stopping.cancel();
        self.tracker.close();
        if tokio::time::timeout(deadline, self.tracker.wait()).await.is_ok() {
            return Finished { cut: 0 };
        }
        let cut = self.tracker.len();
        self.drain.cut.cancel();
        // A dropped task ends at its next await point; one that never awaits is a bug that must not hang the exit.
        let _ = tokio::time::timeout(Duration::from_secs(1), self.tracker.wait()).await;
        Finished { cut }
    }
}

#[cfg(test)]
mod tests;
