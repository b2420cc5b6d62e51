//! How long to wait before the next start: the first one is quick, then each waits twice as long, up to a bound; a
//! process that ran long enough starts afresh.
use std::time::Duration;

/// The first pause.
const FIRST: Duration = Duration::from_millis(200);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(15);
/// A process that ran this long was healthy.
const HEALTHY: Duration = Duration::from_secs(30);

/// The pause after each failure.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Counts a failure of a process that ran this long, and returns the pause before its next start.
    pub(crate) fn failed(&mut self, ran: Duration) -> Duration {
        if ran >= HEALTHY {
            self.failures = 0;
        }
        let pause = FIRST.saturating_mul(1_u32.checked_shl(self.failures).unwrap_or(u32::MAX)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        pause
    }

    /// How many failures in a row were counted.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }
}
