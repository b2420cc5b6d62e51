//! The tool's one door to the time: how long things took, and what time it is on a line of output.
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// Reads the time.
pub(crate) struct Clock;

impl Clock {
    /// Monotonic.
    pub(crate) fn now() -> Instant {
        Instant::now()
    }

    /// Since the Unix epoch.
    pub(crate) fn unix() -> Duration {
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
    }
}
