//! A machine of the core with what every step of it needs: a clock, a buffer, and, where somebody wants it, a log.

use ari_bridge_core::actions::Actions;
use ari_bridge_core::capture::{self, Log};
use ari_bridge_core::id::CallId;
use ari_bridge_core::time::Instant;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::recorder::Tape;
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

/// The longest piece of a log that goes on a tape, in bytes: room for the longest settings and the longest message.
const MAX_PIECE_BYTES: usize = 64 * 1024 * 1024;

/// A log, and to whom it goes: piece by piece on a tape, and to who watches when the machine is gone, whatever ended it.
struct Record<M: capture::Machine> {
    log: Option<Log<M>>,
    tape: Option<Tape>,
    /// For who watches: how much, and what there is of it beside the log, if that goes on a tape as well.
    limit: Option<usize>,
    kept: Vec<u8>,
    /// The time of the last step.
    now: Instant,
    shared: Arc<Shared>,
    call: Option<CallId>,
}

impl<M: capture::Machine> std::fmt::Debug for Machine<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Machine").field("clock", &self.clock).finish_non_exhaustive()
    }
}

impl<M: capture::Machine> Machine<M> {
    /// Makes it; its first actions are to be taken. Its log goes on this tape, and to who watches, under the name of this
    /// call.
    pub(crate) fn begin(
        settings: &M::Settings,
        start: M::Start<'_>,
        shared: &Arc<Shared>,
        call: Option<CallId>,
        tape: Option<Tape>,
    ) -> Self {
        let (mut clock, mut out) = (Clock::start(), Actions::new());
        let now = clock.tick();
        // The log is in its place before the machine is made: what that panics of is to be kept, too.
        let mut record = (tape.is_some() || shared.log_bytes().is_some())
            .then(|| Record::new(settings, &start, now, shared.clone(), call, tape));
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
        if let Some(record) = &mut self.record {
            record.hand_over(now);
        }
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

impl<M: capture::Machine> Record<M> {
    fn new(
        settings: &M::Settings,
        start: &M::Start<'_>,
        now: Instant,
        shared: Arc<Shared>,
        call: Option<CallId>,
        tape: Option<Tape>,
    ) -> Self {
        let limit = shared.log_bytes();
        let most = if tape.is_some() { MAX_PIECE_BYTES } else { limit.unwrap_or_default() };
        let mut log = Log::new(settings, start, capture::Note::default(), now, most);
        let mut record = Self { log: None, tape, limit, kept: Vec::new(), now, shared, call };
        if let Some(tape) = &mut record.tape {
            let head = log.take();
            keep(&mut record.limit, &mut record.kept, &head);
            tape.begin(head);
        }
        record.log = Some(log);
        record
    }

    /// Hands over what was written, if it is time for that. It does not wait.
    fn hand_over(&mut self, now: Instant) {
        self.now = now;
        let (Some(log), Some(tape)) = (&mut self.log, &mut self.tape) else { return };
        if tape.wants(log.bytes().len(), now) {
            let piece = log.take();
            keep(&mut self.limit, &mut self.kept, &piece);
            tape.piece(now, piece);
            if tape.is_lost() && self.limit.is_none() {
                (self.log, self.tape) = (None, None);
            }
        }
    }

    /// Writes the end.
    fn finish(&mut self, log: Log<M>) {
        let is_cut = log.is_cut();
        let piece = log.finish();
        keep(&mut self.limit, &mut self.kept, &piece);
        if let Some(tape) = self.tape.take() {
            tape.end(self.now, piece, is_cut);
        }
        if self.limit.is_some() {
            self.shared.keep_log(self.call, mem::take(&mut self.kept));
        }
    }
}

/// Keeps a piece for who watches. Behind one that is too much nothing is kept: what there is is still a capture up to there.
fn keep(limit: &mut Option<usize>, kept: &mut Vec<u8>, piece: &[u8]) {
    match limit {
        Some(limit) if kept.len().saturating_add(piece.len()) <= *limit => kept.extend_from_slice(piece),
        Some(limit) => *limit = kept.len(),
        None => {}
    }
}

impl<M: capture::Machine> Drop for Record<M> {
    fn drop(&mut self) {
        if let Some(log) = self.log.take() {
            let keep = AssertUnwindSafe(|| self.finish(log));
            // Who takes the log may panic, and a panic may be what brought us here: a second one would end the process.
            if catch_unwind(keep).is_err() {
                tracing::error!("the log of a machine was lost: who was to take it panicked");
            }
        }
    }
}
