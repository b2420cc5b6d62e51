//! The one door to the time of day. Shells ask a [`Clock`]; engines are given the time.
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

/// Where the time comes from: the system, or a test's hand.
#[derive(Clone, Debug, Default)]
pub struct Clock(Source);

#[derive(Clone, Debug, Default)]
enum Source {
    #[default]
    System,
    /// Milliseconds since the Unix epoch.
    Manual(Arc<AtomicU64>),
}

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands still at `unix_ms` until [`Clock::advance`] moves it. For tests.
    pub fn manual(unix_ms: u64) -> Self {
        Self(Source::Manual(Arc::new(AtomicU64::new(unix_ms))))
    }

    /// Moves a manual clock (and all its clones) forward; does nothing to the system's.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual(ms) = &self.0 {
            ms.fetch_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
    }

    /// The time of day.
    pub fn now(&self) -> SystemTime {
        match &self.0 {
            Source::System => SystemTime::now(),
            Source::Manual(ms) => SystemTime::UNIX_EPOCH + Duration::from_millis(ms.load(Ordering::Relaxed)),
        }
    }

    /// Milliseconds since the Unix epoch; 0 when the system's clock stands before it.
    pub fn unix_ms(&self) -> u64 {
        self.now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
    }

    /// Seconds since the Unix epoch.
    pub fn unix_seconds(&self) -> u64 {
        self.unix_ms() / 1000
    }

    /// A monotonic instant, for durations. A manual clock does not move it: what is measured is real.
    pub fn instant(&self) -> Instant {
        instant()
    }
}

/// [`Clock::instant`] where no clock is at hand: for deadlines and durations, which no test moves.
pub fn instant() -> Instant {
    Instant::now()
}
