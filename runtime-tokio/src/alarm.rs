//! What wakes a driver.

use ari_bridge_core::time::Instant;
use ari_bridge_host::clock::Clock;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::time::{Sleep, sleep};

/// One timer, moved only when the deadline really changes. It rings up to a millisecond late, because that is how fine
/// the runtime's timers are.
pub(crate) struct Alarm {
    /// Made at the first deadline, when the task runs.
    timer: Option<Pin<Box<Sleep>>>,
    set_to: Option<Instant>,
    /// On its way past the runtime's driver.
    look: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

/// Whether a machine was given its timer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Timer {
    Given,
    NotDue,
}

impl Alarm {
    pub(crate) const fn new() -> Self {
        Self { timer: None, set_to: None, look: None }
    }

    /// Ready once the runtime has looked at its sockets: a task that yields runs again only after that.
    pub(crate) fn look_again(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let look = self.look.get_or_insert_with(|| Box::pin(tokio::task::yield_now()));
        let looked = look.as_mut().poll(cx);
        if looked.is_ready() {
            self.look = None;
        }
        looked
    }

    /// Ready once `deadline` of `clock` has passed; never without a deadline.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        clock: &Clock,
        deadline: Option<Instant>,
    ) -> Poll<()> {
        let Some((deadline, at)) = deadline.and_then(|deadline| Some((deadline, clock.at(deadline)?))) else {
            return Poll::Pending;
        };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(std::time::Duration::ZERO)));
        if self.set_to != Some(deadline) {
            self.set_to = Some(deadline);
            timer.as_mut().reset(at.into());
        }
        let rung = timer.as_mut().poll(cx);
        if rung.is_ready() {
            self.set_to = None;
        }
        rung
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    #[test]
    fn an_alarm_rings_at_its_deadline_and_can_be_set_again() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let (clock, mut alarm) = (Clock::start(), Alarm::new());
            for millis in [5, 15] {
                let deadline = Instant::from_millis(millis);
                poll_fn(|cx| alarm.poll(cx, &clock, Some(deadline))).await;
                assert!(clock.is_due(deadline));
            }
        });
    }
}
