//! A machine of the core with what every step of it needs: a clock, a buffer, and, where somebody wants it, a log.

use ari_bridge_core::actions::Actions;
use ari_bridge_core::capture::{self, Log};
use ari_bridge_core::id::CallId;
use ari_bridge_core::time::Instant;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::shared::Shared;

/// A timer that is later was not only waited for. Timers are fine to a millisecond.
const STALL: Duration = Duration::from_millis(5);

/// A machine that runs in real time.
pub struct Machine<M: capture::Machine> {
    machine: M,
    clock: Clock,
    out: Actions<M::Action>,
    next: M::Next,
    record: Option<Record<M>>,
}

/// A log, and to whom it goes when the machine is gone, whatever ended it.
struct Record<M: capture::Machine> {
    log: Option<Log<M>>,
    shared: Arc<Shared>,
    call: Option<CallId>,
}

impl<M: capture::Machine> std::fmt::Debug for Machine<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Machine").field("clock", &self.clock).finish_non_exhaustive()
    }
}

impl<M: capture::Machine> Machine<M> {
    /// Makes it; its first actions are to be taken. A log goes to who watches, under the name of this call.
    pub(crate) fn begin(
        settings: &M::Settings,
        start: M::Start<'_>,
        shared: &Arc<Shared>,
        call: Option<CallId>,
    ) -> Self {
        let (mut clock, mut out) = (Clock::start(), Actions::new());
        let now = clock.tick();
        // The log is in its place before the machine is made: what that panics of is to be kept, too.
        let mut record = shared.log_bytes().map(|limit| Record {
            log: Some(Log::new(settings, &start, capture::Note::default(), now, limit)),
            shared: shared.clone(),
            call,
        });
        let (machine, next) = match record.as_mut().and_then(|record| record.log.as_mut()) {
            None => M::begin(settings, start, now, &mut out),
            Some(log) => log.make(settings, start, now, &mut out),
        };
        Self { machine, clock, out, next, record }
    }

    /// Steps it. What it wants is to be taken with [`Machine::take_actions`].
    pub fn step(&mut self, input: M::Input<'_>) {
        self.out.clear();
        let now = self.clock.tick();
        self.next = match self.record.as_mut().and_then(|record| record.log.as_mut()) {
            None => self.machine.step(now, input, &mut self.out),
            Some(log) => log.step(&mut self.machine, now, input, &mut self.out),
        };
    }

    /// The actions of the last step and its time. They are lent out until they come back with
    /// [`Machine::return_actions`], so that memory is used again.
    pub fn take_actions(&mut self) -> (Instant, Actions<M::Action>) {
        (self.clock.last(), std::mem::take(&mut self.out))
    }

    /// Gives the memory back.
    pub fn return_actions(&mut self, out: Actions<M::Action>) {
        self.out = out;
    }

    /// When it wants its timer.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        M::deadline(&self.next)
    }

    /// Whether it is time for that.
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.deadline().is_some_and(|at| self.clock.is_due(at))
    }

    /// Whether it is so late that the whole process may have stood still, and with it whoever looks after the sockets: what
    /// came meanwhile is to be looked for once more, before a peer is given up that has answered.
    #[must_use]
    pub fn is_overdue(&self) -> bool {
        self.deadline().is_some_and(|at| self.clock.is_due(at + STALL))
    }

    /// By what its deadlines go.
    #[must_use]
    pub const fn clock(&self) -> &Clock {
        &self.clock
    }
}

impl<M: capture::Machine> Drop for Record<M> {
    fn drop(&mut self) {
        if let Some(log) = self.log.take() {
            let keep = AssertUnwindSafe(|| self.shared.keep_log(self.call, log.finish()));
            // Who takes the log may panic, and a panic may be what brought us here: a second one would end the process.
            if catch_unwind(keep).is_err() {
                tracing::error!("the log of a machine was lost: who was to take it panicked");
            }
        }
    }
}
