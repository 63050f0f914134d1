//! The time that a machine is told, and the alarm that wakes its driver.

use ari_bridge_core::time::{Instant, UtcNanos};
use smol::Timer;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Counts nanoseconds since the machine was made, and never says the same number twice: a machine's time only
/// moves forward.
#[derive(Debug)]
pub(crate) struct Clock {
    origin: std::time::Instant,
    last: u64,
}

impl Clock {
    /// A clock that starts now.
    pub(crate) fn start() -> Self {
        Self { origin: std::time::Instant::now(), last: 0 }
    }

    /// The time, at least one nanosecond after the last answer.
    pub(crate) fn tick(&mut self) -> Instant {
        self.last = self.elapsed().max(self.last.saturating_add(1));
        Instant::from_nanos(self.last)
    }

    /// The last answer of [`Clock::tick`].
    pub(crate) const fn last(&self) -> Instant {
        Instant::from_nanos(self.last)
    }

    /// Whether `deadline` has passed.
    pub(crate) fn is_due(&self, deadline: Instant) -> bool {
        deadline.as_nanos() <= self.elapsed().max(self.last)
    }

    fn elapsed(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// The wall clock, for people only.
pub(crate) fn utc() -> UtcNanos {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UtcNanos(u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX))
}

/// One timer of the reactor, moved only when the deadline really changes: each move may wake the reactor.
#[derive(Debug)]
pub(crate) struct Alarm {
    timer: Timer,
    set_to: Option<Instant>,
}

impl Alarm {
    pub(crate) fn new() -> Self {
        Self { timer: Timer::never(), set_to: None }
    }

    /// Ready once `deadline` of `clock` has passed; never without a deadline.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        clock: &Clock,
        deadline: Option<Instant>,
    ) -> Poll<()> {
        let Some(deadline) = deadline else { return Poll::Pending };
        if self.set_to != Some(deadline) {
            self.set_to = Some(deadline);
            match clock.origin.checked_add(Duration::from_nanos(deadline.as_nanos())) {
                Some(at) => self.timer.set_at(at),
                None => return Poll::Pending,
            }
        }
        let fired = Future::poll(Pin::new(&mut self.timer), cx);
        if fired.is_ready() {
            self.set_to = None;
        }
        fired.map(|_| ())
    }
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

    #[test]
    fn an_alarm_rings_at_its_deadline_and_can_be_set_again() {
        let (clock, mut alarm) = (Clock::start(), Alarm::new());
        for millis in [5, 15] {
            let deadline = Instant::from_millis(millis);
            smol::block_on(smol::future::poll_fn(|cx| alarm.poll(cx, &clock, Some(deadline))));
            assert!(clock.is_due(deadline));
        }
    }
}
