//! What the calls of a day have cost, and whether there may be more of them.
//!
//! The sum is the process's own: it begins with nothing when the bridge starts, another bridge on the same account
//! has another one, and what is spent is an estimate from the prices in the settings. The days are those of UTC, counted
//! on from what the wall clock said at the start.

use crate::observe::Guard;
use crate::time::{Instant, UtcNanos};

/// Nanoseconds in a day.
const DAY_NANOS: u64 = 24 * 60 * 60 * 1_000_000_000;

/// From how much of the limit on it is warned, in percent.
const WARN_AT_PERCENT: u32 = 80;

/// The sum of the day.
#[derive(Debug)]
pub(super) struct Spending {
    /// In billionths of a US dollar; without any there is no end to it.
    limit: Option<u64>,
    /// What the time was at `start`.
    utc: UtcNanos,
    start: Instant,
    /// Since 1970-01-01.
    day: u64,
    /// In billionths of a US dollar.
    spent: u64,
    told: Told,
}

/// How much of the limit was told to be spent, this day.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Told {
    Nothing,
    Warning,
    Reached,
}

impl Spending {
    pub(super) fn new(limit: Option<u64>, utc: UtcNanos, start: Instant) -> Self {
        let mut spending = Self { limit, utc, start, day: 0, spent: 0, told: Told::Nothing };
        spending.turn_the_page(start);
        spending
    }

    /// The operator has changed the limit.
    pub(super) fn limit_is(&mut self, limit: Option<u64>) {
        if limit != self.limit {
            (self.limit, self.told) = (limit, Told::Nothing);
        }
    }

    /// So much more was spent, in billionths of a US dollar; what there is to tell of it.
    pub(super) fn spent(&mut self, now: Instant, amount: u64) -> Option<Guard> {
        self.turn_the_page(now);
        self.spent = self.spent.saturating_add(amount);
        let percent = u128::from(self.spent) * 100 / u128::from(self.limit?.max(1));
        let percent = u32::try_from(percent).unwrap_or(u32::MAX);
        let (told, guard) = match percent {
            100.. => (Told::Reached, Guard::CostReached),
            WARN_AT_PERCENT.. => (Told::Warning, Guard::CostWarning { percent }),
            _ => return None,
        };
        let is_news = self.told < told;
        self.told = self.told.max(told);
        is_news.then_some(guard)
    }

    /// Whether the day's limit is reached.
    pub(super) fn is_over(&mut self, now: Instant) -> bool {
        self.turn_the_page(now);
        self.limit.is_some_and(|limit| self.spent >= limit)
    }

    /// Begins anew if the day is another.
    fn turn_the_page(&mut self, now: Instant) {
        let since_start = now.as_nanos().saturating_sub(self.start.as_nanos());
        let day = self.utc.0.saturating_add(since_start) / DAY_NANOS;
        if day != self.day {
            (self.day, self.spent, self.told) = (day, 0, Told::Nothing);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Duration;

    /// A dollar, in billionths.
    const DOLLAR: u64 = 1_000_000_000;
    const HOUR: Duration = Duration::from_secs(3600);
    const T0: Instant = Instant::from_millis(1000);

    /// Ten dollars a day, in a process that starts at 22:00 UTC.
    fn evening() -> Spending {
        Spending::new(Some(10 * DOLLAR), UtcNanos(20_000 * DAY_NANOS + 22 * HOUR.as_nanos() as u64), T0)
    }

    #[test]
    fn it_warns_once_at_80_percent_and_tells_once_that_all_is_spent() {
        let mut spending = evening();
        assert_eq!(spending.spent(T0, 7 * DOLLAR), None);
        assert_eq!(spending.spent(T0, DOLLAR), Some(Guard::CostWarning { percent: 80 }));
        assert_eq!(spending.spent(T0, DOLLAR), None);
        assert_eq!(spending.spent(T0, DOLLAR - 1), None);
        assert!(!spending.is_over(T0), "a billionth is left");
        assert_eq!(spending.spent(T0, 1), Some(Guard::CostReached));
        assert_eq!(spending.spent(T0, DOLLAR), None, "calls under way go on");
        assert!(spending.is_over(T0));
    }

    #[test]
    fn a_leap_past_the_limit_is_told_without_a_warning() {
        let mut spending = evening();
        assert_eq!(spending.spent(T0, u64::MAX), Some(Guard::CostReached));
        assert_eq!(spending.spent(T0, u64::MAX), None);
    }

    #[test]
    fn at_midnight_utc_a_new_sum_begins() {
        let mut spending = evening();
        spending.spent(T0, 10 * DOLLAR);
        assert!(spending.is_over(T0 + HOUR * 2 - Duration::from_nanos(1)));
        let midnight = T0 + HOUR * 2;
        assert!(!spending.is_over(midnight));
        assert_eq!(spending.spent(midnight, 8 * DOLLAR), Some(Guard::CostWarning { percent: 80 }));
        assert!(!spending.is_over(midnight + HOUR * 23));
        assert_eq!(spending.spent(midnight + HOUR * 23, 2 * DOLLAR), Some(Guard::CostReached));
        assert!(spending.is_over(midnight + HOUR * 23) && !spending.is_over(midnight + HOUR * 24));
    }

    #[test]
    fn without_a_limit_there_is_nothing_to_tell() {
        let mut spending = Spending::new(None, UtcNanos(0), T0);
        assert_eq!(spending.spent(T0, u64::MAX), None);
        assert!(!spending.is_over(T0));
    }

    #[test]
    fn a_limit_of_nothing_takes_no_calls() {
        assert!(Spending::new(Some(0), UtcNanos(0), T0).is_over(T0));
    }

    #[test]
    fn another_limit_counts_from_the_same_sum_and_is_told_of_anew_and_the_same_one_changes_nothing() {
        let mut spending = evening();
        assert_eq!(spending.spent(T0, 10 * DOLLAR), Some(Guard::CostReached));
        spending.limit_is(Some(10 * DOLLAR));
        assert_eq!(spending.spent(T0, 0), None, "it was told");
        spending.limit_is(Some(20 * DOLLAR));
        assert!(!spending.is_over(T0));
        assert_eq!(spending.spent(T0, 10 * DOLLAR), Some(Guard::CostReached));
    }
}
