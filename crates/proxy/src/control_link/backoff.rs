//! How long to wait after a failure: doubled each time, with jitter, so that a thousand proxies do not come back at once.
use std::time::Duration;

use aws_lc_rs::rand;

/// Exponential, from `first` to `most`, each wait drawn from its upper half.
#[derive(Debug, Clone)]
pub(super) struct Backoff {
    first: Duration,
    most: Duration,
    next: Duration,
}

impl Backoff {
    pub(super) fn new(first: Duration, most: Duration) -> Self {
        Self { first, most, next: first }
    }

    /// The next wait.
    pub(super) fn wait(&mut self) -> Duration {
        let whole = self.next;
        self.next = (whole * 2).min(self.most);
        whole / 2 + fraction(whole / 2)
    }

    /// Something worked.
    pub(super) fn reset(&mut self) {
        self.next = self.first;
    }
}

/// A random part of a duration, uniform from nothing to the whole.
pub(super) fn fraction(whole: Duration) -> Duration {
    let mut bytes = [0; 4];
    // Without randomness everybody waits the same; that is a pity and no fault.
    if rand::fill(&mut bytes).is_err() {
        return whole;
    }
    let nanos = whole.as_nanos() * u128::from(u32::from_le_bytes(bytes)) / u128::from(u32::MAX);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_its_bound_and_starts_again() {
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(1));
        for (least, most) in [(100, 200), (200, 400), (400, 800), (500, 1000), (500, 1000)] {
            let wait = backoff.wait().as_millis();
            assert!((least..=most).contains(&wait), "{wait} not in {least}..={most}");
        }
        backoff.reset();
        assert!(backoff.wait() <= Duration::from_millis(200));
    }
}
