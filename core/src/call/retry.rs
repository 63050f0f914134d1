//! When a Realtime session is tried to be opened again, and when that is given up.

use crate::rng::Rng;
use crate::time::{Duration, Instant, growing};

/// The longest wait before the first attempt: many calls lose their sessions in the same moment, and do not come back
/// in the same one.
const FIRST_WAIT: Duration = Duration::from_millis(200);

/// The wait before the second attempt; it doubles with each further one.
const SECOND_WAIT: Duration = Duration::from_millis(500);

/// The longest wait, unless the server names a longer one.
const LONGEST_WAIT: Duration = Duration::from_secs(8);

#[derive(Debug)]
pub(super) struct Retry {
    rng: Rng,
    /// The attempts since the session was lost, or since it was found that the next one is needed.
    attempts: u32,
    at: Option<Instant>,
}

impl Retry {
    pub(super) const fn new(rng: Rng) -> Self {
        Self { rng, attempts: 0, at: None }
    }

    /// How long the next attempt is waited for: half of a wait that grows, and at random up to all of it; but never less
    /// than the server asks for.
    pub(super) fn plan(&mut self, now: Instant, retry_after: Option<Duration>) -> Duration {
        let longest = match self.attempts {
            0 => FIRST_WAIT,
            n => growing(SECOND_WAIT, n - 1, LONGEST_WAIT),
        };
        let wait = self.rng.jittered(longest).max(retry_after.unwrap_or_default());
        self.attempts = self.attempts.saturating_add(1);
        self.at = Some(now + wait);
        wait
    }

    /// The attempt that is to be made now, if one is: the how manieth.
    pub(super) fn due(&mut self, now: Instant) -> Option<u32> {
        self.at.take_if(|at| *at <= now).map(|_| self.attempts)
    }

    /// When the next attempt is due.
    pub(super) const fn at(&self) -> Option<Instant> {
        self.at
    }

    /// How many attempts were planned.
    pub(super) const fn attempts(&self) -> u32 {
        self.attempts
    }

    /// All is well.
    pub(super) fn reset(&mut self) {
        (self.attempts, self.at) = (0, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_waits_grow_to_eight_seconds_and_no_two_calls_have_the_same() {
        let waits = |seed| {
            let mut retry = Retry::new(Rng::new(seed));
            (0..8).map(|_| retry.plan(Instant::START, None).as_millis()).collect::<Vec<_>>()
        };
        let bounds = [200, 500, 1000, 2000, 4000, 8000, 8000, 8000];
        for seed in 0..50 {
            for (wait, longest) in waits(seed).into_iter().zip(bounds) {
                assert!((longest / 2..=longest).contains(&wait), "{wait} of {longest}");
            }
        }
        assert_ne!(waits(1), waits(2));
    }

    #[test]
    fn a_server_that_names_a_longer_wait_is_left_alone_for_so_long() {
        let mut retry = Retry::new(Rng::new(1));
        assert_eq!(retry.plan(Instant::START, Some(Duration::from_secs(3))), Duration::from_secs(3));
        assert_eq!(retry.due(Instant::from_millis(2_999)), None);
        assert_eq!(retry.due(Instant::from_millis(3_000)), Some(1));
        assert_eq!(retry.due(Instant::from_millis(3_001)), None, "once");
    }

    #[test]
    fn once_all_is_well_nothing_is_due_and_the_waits_begin_anew() {
        let mut retry = Retry::new(Rng::new(1));
        for _ in 0..8 {
            retry.plan(Instant::START, None);
        }
        retry.reset();
        assert_eq!((retry.at(), retry.attempts()), (None, 0));
        assert!(retry.plan(Instant::START, None) <= FIRST_WAIT);
    }
}
