//! What wakes a driver.

use ari_bridge_core::time::Instant;
use ari_bridge_host::clock::Clock;
use smol::Timer;
use std::pin::Pin;
use std::task::{Context, Poll};

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
            match clock.at(deadline) {
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
    fn an_alarm_rings_at_its_deadline_and_can_be_set_again() {
        let (clock, mut alarm) = (Clock::start(), Alarm::new());
        for millis in [5, 15] {
            let deadline = Instant::from_millis(millis);
            smol::block_on(smol::future::poll_fn(|cx| alarm.poll(cx, &clock, Some(deadline))));
            assert!(clock.is_due(deadline));
        }
    }
}
