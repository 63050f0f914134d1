//! The time that a machine is told.

use ari_bridge_core::time::{Instant, UtcNanos};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Counts nanoseconds since the machine was made, and never says the same number twice: a machine's time only
/// moves forward.
#[derive(Debug)]
pub struct Clock {
    origin: std::time::Instant,
    last: u64,
}

impl Clock {
    /// A clock that starts now.
    #[must_use]
    pub fn start() -> Self {
        Self { origin: std::time::Instant::now(), last: 0 }
    }

    /// The time, at least one nanosecond after the last answer.
    pub fn tick(&mut self) -> Instant {
        self.last = self.elapsed().max(self.last.saturating_add(1));
        Instant::from_nanos(self.last)
    }

    /// The last answer of [`Clock::tick`].
    #[must_use]
    pub const fn last(&self) -> Instant {
        Instant::from_nanos(self.last)
    }

    /// The time, which does not count as told.
    #[must_use]
    pub fn now(&self) -> Instant {
        Instant::from_nanos(self.elapsed().max(self.last))
    }

    /// Whether `deadline` has passed.
    #[must_use]
    pub fn is_due(&self, deadline: Instant) -> bool {
        deadline <= self.now()
    }

    /// When that will be on the system's clock; `None` if it cannot say so.
    #[must_use]
    pub fn at(&self, deadline: Instant) -> Option<std::time::Instant> {
        self.origin.checked_add(Duration::from_nanos(deadline.as_nanos()))
    }

    fn elapsed(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// The wall clock, for people only.
#[must_use]
pub fn utc() -> UtcNanos {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UtcNanos(u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_moves_forward_at_every_tick() {
        let mut clock = Clock::start();
        let ticks: Vec<_> = (0..1000).map(|_| clock.tick()).collect();
        assert!(ticks.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(clock.is_due(ticks[999]) && !clock.is_due(ticks[999] + Duration::from_secs(60)));
    }
}
