//! Writing a capture while a machine runs.

use super::describe::describe;
use super::digest::Digest;
use super::machine::Machine;
use super::wire::Sink;
use super::{DIGEST, END, End, GAVE, MAX_GAVE_BYTES, Note, head};
use crate::actions::Actions;
use crate::time::Instant;

/// After the making and then after so many inputs the digest is written down: a difference is found within as many.
const STEPS_PER_DIGEST: u64 = 64;

/// Bytes that are kept free for the end: its kind, why, the number of inputs, and the digest.
const END_BYTES: usize = 1 + 1 + 10 + 8;

/// Why a capture ends, as it stands there.
pub(super) const WHOLE: u8 = 0;
pub(super) const CUT: u8 = 1;
pub(super) const CRASHED: u8 = 2;

/// The log of a machine: a capture that grows with each step.
///
/// It makes the machine and steps it, because the input has to be in the log *before* the machine takes it: what makes
/// it panic is then the last thing that is there.
///
/// It holds a bounded number of bytes. Whoever [takes](Self::take) them out from time to time makes room; if it becomes
/// full, it is cut: nothing more is taken up, and what is there is still a capture up to that step. A step on the media
/// path allocates nothing but the growth of the log itself, which doubles up to its bound.
#[derive(Debug)]
pub struct Log<M: Machine> {
    sink: Sink,
    memory: M::Memory,
    last: Instant,
    digest: Digest,
    /// How many inputs were written down.
    steps: u64,
    /// The machine has been given something and has not answered.
    is_stepping: bool,
    has_head: bool,
    is_cut: bool,
    /// What a step has given, in words. Kept for its memory.
    words: String,
}

impl<M: Machine> Log<M> {
    /// Makes a machine, and the log of it that holds at most `limit` bytes.
    pub fn begin(
        settings: &M::Settings,
        start: M::Start<'_>,
        now: Instant,
        limit: usize,
        out: &mut Actions<M::Action>,
    ) -> (Self, M, M::Next) {
        let mut log = Self::new(settings, &start, Note::default(), now, limit);
        let (machine, next) = log.make(settings, start, now, out);
        (log, machine, next)
    }

    /// The log of a machine that is about to be made: [`Self::begin`] in two steps, for who wants to keep what there is if
    /// the making panics.
    #[must_use]
    pub fn new(settings: &M::Settings, start: &M::Start<'_>, note: Note, now: Instant, limit: usize) -> Self {
        let mut log = Self {
            sink: Sink::new(limit.saturating_sub(END_BYTES)),
            memory: M::Memory::default(),
            last: now,
            digest: Digest::new(),
            steps: 0,
            is_stepping: false,
            has_head: false,
            is_cut: false,
            words: String::new(),
        };
        head::write::<M>(settings, start, note, now, &mut log.sink);
        log.has_head = log.keep_from(0);
        log.is_stepping = log.has_head;
        log
    }

    /// Makes the machine, from the same as [`Self::new`] was given.
    pub fn make(
        &mut self,
        settings: &M::Settings,
        start: M::Start<'_>,
        now: Instant,
        out: &mut Actions<M::Action>,
    ) -> (M, M::Next) {
        let (machine, next) = M::begin(settings, start, now, out);
        self.gave(out, next);
        (machine, next)
    }

    /// Steps the machine, with a note of what it is given and of what it gives. `out` holds the actions of this step
    /// alone, so it must be clear.
    ///
    /// # Panics
    ///
    /// Where the machine does: if `now` is not later than at the last step. The log is none the worse for it.
    pub fn step(
        &mut self,
        machine: &mut M,
        now: Instant,
        input: M::Input<'_>,
        out: &mut Actions<M::Action>,
    ) -> M::Next {
        self.takes(now, &input);
        let next = machine.step(now, input, out);
        self.gave(out, next);
        next
    }

    /// Whether it was full, or the machine was given more than a driver may give, and it does not go on.
    #[must_use]
    pub const fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Writes the end that another capture of the same inputs has, and gives what was not taken out yet. One that was torn
    /// has none.
    pub(crate) fn end_as(mut self, end: End) -> Vec<u8> {
        self.is_cut |= matches!(end, End::Cut { .. });
        if matches!(end, End::Torn { .. }) { self.take() } else { self.finish() }
    }

    /// What was written since it was last taken out.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.sink.bytes()
    }

    /// Takes out what was written. The pieces one behind the other are the capture.
    #[must_use = "they are a piece of the capture"]
    pub fn take(&mut self) -> Vec<u8> {
        self.sink.take()
    }

    /// Writes the end, and gives what was not taken out yet; nothing, if not even the head had room.
    #[must_use = "they are the last piece of the capture"]
    pub fn finish(mut self) -> Vec<u8> {
        if !self.has_head {
            return Vec::new();
        }
        let why = if self.is_cut {
            CUT
        } else if self.is_stepping {
            CRASHED
        } else {
            WHOLE
        };
        self.sink.grow(END_BYTES);
        self.sink.byte(END);
        self.sink.byte(why);
        self.sink.number(self.steps);
        self.sink.put(&self.digest.value().to_le_bytes());
        self.sink.take()
    }

    /// Notes what the machine is about to be given.
    pub(crate) fn takes(&mut self, now: Instant, input: &M::Input<'_>) {
        if self.is_cut {
            return;
        }
        let begin = self.sink.len();
        self.sink.byte(M::kind_of(input, &self.memory));
        self.sink.number(now.as_nanos().saturating_sub(self.last.as_nanos()));
        M::write_input(input, &mut self.memory, &mut self.sink);
        if self.keep_from(begin) {
            (self.last, self.is_stepping) = (now, true);
            self.steps += 1;
        }
    }

    /// Notes what the machine has given.
    fn gave(&mut self, out: &Actions<M::Action>, next: M::Next) {
        if !core::mem::take(&mut self.is_stepping) {
            return;
        }
        self.digest.take(out, next);
        if describe::<M>(out, &mut self.words) {
            let begin = self.sink.len();
            self.sink.byte(GAVE);
            self.sink.block(self.words.as_bytes(), MAX_GAVE_BYTES);
            if !self.keep_from(begin) {
                return;
            }
        }
        if self.steps.is_multiple_of(STEPS_PER_DIGEST) {
            let begin = self.sink.len();
            self.sink.byte(DIGEST);
            self.sink.put(&self.digest.value().to_le_bytes());
            self.keep_from(begin);
        }
    }

    /// Keeps what was written from `begin` on, if all of it had room.
    fn keep_from(&mut self, begin: usize) -> bool {
        if self.sink.is_full() {
            self.sink.back_to(begin);
            self.is_cut = true;
        }
        !self.is_cut
    }
}
