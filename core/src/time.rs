//! The core's own clock type.
//!
//! `std::time::Instant` cannot be made from a number, written to a file or read back, so a replay could not
//! use it. This one counts nanoseconds since the machine that is told it was made.

use core::fmt;
use core::ops::{Add, Sub};
pub use core::time::Duration;

/// A wait that begins with `first`, doubles with each failure, at most eight times, and is never longer than `longest`.
pub(crate) fn growing(first: Duration, failures: u32, longest: Duration) -> Duration {
    (first * (1 << failures.min(8))).min(longest)
}

/// A point in time: nanoseconds since the machine (a call, a switchboard, a simulated peer) was made.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Instant(u64);

impl Instant {
    /// The moment at which the machine was made.
    pub const START: Self = Self(0);

    /// The instant `nanos` nanoseconds after the start.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// The instant `millis` milliseconds after the start.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// Nanoseconds since the start.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Whole milliseconds since the start.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0 / 1_000_000
    }

    /// The time from `earlier` to `self`; zero if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, rhs: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(rhs.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;

    fn sub(self, rhs: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(rhs.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}s", self.0 / 1_000_000_000, self.0 / 1_000 % 1_000_000)
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Nanoseconds since the Unix epoch, for what is shown to people. No decision rests on it but when a day is over whose
/// calls may cost so much.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct UtcNanos(pub u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_read_as_seconds() {
        assert_eq!(Instant::from_nanos(1_234_567_890).to_string(), "1.234567s");
    }

    #[test]
    fn arithmetic_saturates_instead_of_wrapping() {
        assert_eq!(Instant::START - Duration::from_secs(1), Instant::START);
        assert_eq!(Instant::START.since(Instant::from_millis(5)), Duration::ZERO);
        assert_eq!(Instant::from_nanos(u64::MAX) + Duration::from_secs(1), Instant::from_nanos(u64::MAX));
    }
}
