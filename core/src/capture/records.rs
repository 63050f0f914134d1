//! Reading a capture, record by record.

use super::describe::is_plain;
use super::log::{CRASHED, CUT, WHOLE};
use super::machine::{Kind, Machine};
use super::window::Window;
use super::wire::{Bad, Cursor};
use super::{DIGEST, END, Fault, GAVE, Head, MAGIC, MAX_GAVE_BYTES, head};
use crate::call::Call;
use crate::switchboard::Switchboard;
use crate::time::Instant;
use core::fmt;
use core::ops::Range;
use std::io::Read;

/// The latest moment in a capture: a hundred years. What is reckoned from it, such as a deadline, still has room.
pub const LATEST: Instant = Instant::from_millis(100 * 365 * 24 * 60 * 60 * 1000);

/// A capture that was opened: how it began, and its records.
#[expect(clippy::large_enum_variant, reason = "one is opened at a time, and not kept like this")]
#[derive(Debug)]
pub enum Capture<R> {
    /// Of a call.
    Call(Head<Call>, Records<R, Call>),
    /// Of a switchboard.
    Switchboard(Head<Switchboard>, Records<R, Switchboard>),
}

/// Opens a capture that is in memory; see [`read`].
///
/// # Errors
///
/// As [`read`].
pub fn open(bytes: &[u8]) -> Result<Capture<&[u8]>, Fault> {
    read(bytes)
}

/// Opens a capture. Its head is read at once, and its records as they are asked for: memory is bounded by the longest
/// message that a peer may send, however long the capture is.
///
/// # Errors
///
/// If what is read is not a capture, or not one that this program can read; the fault says why.
pub fn read<R: Read>(read: R) -> Result<Capture<R>, Fault> {
    let mut window = Window::new(read);
    let (format, kind) = match window.head(head::read_kind) {
        Ok(kind) => kind?,
        // A few bytes that end there are no capture at all.
        Err(Fault::Head { at, .. }) if at < MAGIC.len() => return Err(Fault::NotACapture),
        Err(fault) => return Err(fault),
    };
    Ok(match kind {
        Kind::Call => {
            let head = window.head(|cursor| head::read(format, cursor))?;
            let records = Records::new(window, head.now);
            Capture::Call(head, records)
        }
        Kind::Switchboard => {
            let head = window.head(|cursor| head::read(format, cursor))?;
            let records = Records::new(window, head.now);
            Capture::Switchboard(head, records)
        }
    })
}

/// The records of a capture, one after the other.
pub struct Records<R, M: Machine> {
    window: Window<R>,
    /// Where in the window what belongs to the kind of the last input begins, and where the record ends.
    body: Range<usize>,
    memory: M::Memory,
    now: Instant,
    inputs: u64,
    end: Option<End>,
}

/// A record.
#[derive(Debug)]
pub enum Record<'a, M: Machine> {
    /// The machine was given this.
    Input {
        /// When.
        now: Instant,
        /// What.
        input: M::Input<'a>,
    },
    /// What it gave, without audio and counts: a line for each action. If this does not follow an input, it gave nothing
    /// of the kind, or the capture is of an older format.
    Gave(&'a str),
    /// The digest of all that it has given so far.
    Digest(u64),
    /// The capture ends here.
    End(End),
}

/// How a capture ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// The log was finished: nothing was left out.
    Whole {
        /// The digest of all.
        digest: u64,
    },
    /// The log was full, and what came later was left out.
    Cut {
        /// The digest of what is there.
        digest: u64,
    },
    /// The machine did not answer the last input that is there: it panicked.
    Crashed {
        /// The digest of what it had given before that.
        digest: u64,
    },
    /// The capture breaks off: its end was never written, or is lost.
    Torn {
        /// Where, in bytes: the begin of a record that is not whole, or the end of the last that is.
        at: usize,
    },
}

impl<R, M: Machine> fmt::Debug for Records<R, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Records")
            .field("now", &self.now)
            .field("inputs", &self.inputs)
            .finish_non_exhaustive()
    }
}

impl<R: Read, M: Machine> Records<R, M> {
    fn new(window: Window<R>, now: Instant) -> Self {
        Self { window, body: 0..0, memory: M::Memory::default(), now, inputs: 0, end: None }
    }

    /// The next record; behind the end it is the end again. What it holds borrows from this.
    ///
    /// # Errors
    ///
    /// If the record cannot be; the fault says where and why. What comes behind it cannot be found, and the capture ends
    /// there.
    #[expect(clippy::should_implement_trait, reason = "what it gives borrows from it, and no Iterator can")]
    pub fn next(&mut self) -> Result<Record<'_, M>, Fault> {
        Ok(match self.mark()? {
            Mark::Input { kind, now } => Record::Input { now, input: self.input(kind)? },
            Mark::Gave => Record::Gave(self.words()),
            Mark::Digest(digest) => Record::Digest(digest),
            Mark::End(end) => Record::End(end),
        })
    }

    /// How the capture ends, once its end was reached.
    #[must_use]
    pub const fn end(&self) -> Option<End> {
        self.end
    }

    /// Where the next record begins, in bytes.
    #[must_use]
    pub const fn at(&self) -> usize {
        self.window.at() + self.body.end
    }

    /// Makes sure that the whole of the next record is there, and reads what is common to all. What belongs to its kind is
    /// read by [`Self::input`] or [`Self::words`].
    pub(crate) fn mark(&mut self) -> Result<Mark, Fault> {
        if let Some(end) = self.end {
            return Ok(Mark::End(end));
        }
        self.window.advance(core::mem::take(&mut self.body).end);
        let at = self.window.at();
        loop {
            match self.measure() {
                Ok(mark) => return self.marked(at, mark),
                Err(Bad::Ends) => match self.window.fill() {
                    Ok(true) => {}
                    Ok(false) => return Ok(Mark::End(self.break_off(at))),
                    Err(fault) => {
                        self.break_off(at);
                        return Err(fault);
                    }
                },
                Err(bad) => {
                    self.break_off(at);
                    return Err(Fault::of_record(at, bad));
                }
            }
        }
    }

    /// What the capture says of the step whose input was read last; its words, if there are some. It is then no record of
    /// its own any more, and the input is still to be had.
    pub(crate) fn answer(&mut self, words: &mut String) -> Result<Answer, Fault> {
        let begin = self.body.end;
        loop {
            let mut cursor = self.window.cursor();
            match cursor.take(begin).and_then(|_| read_answer(&mut cursor, words)) {
                Ok(answer) => {
                    if answer == Answer::Gave {
                        self.body.end = cursor.at();
                    }
                    return Ok(answer);
                }
                // If it is torn, the next record says so.
                Err(Bad::Ends) => {
                    if !self.window.fill()? {
                        return Ok(Answer::Unknown);
                    }
                }
                Err(bad) => {
                    let at = self.window.at() + begin;
                    self.break_off(at);
                    return Err(Fault::of_record(at, bad));
                }
            }
        }
    }

    /// Reads what belongs to the kind of the input that was marked.
    pub(crate) fn input(&mut self, kind: u8) -> Result<M::Input<'_>, Fault> {
        let at = self.window.at();
        let Self { window, memory, body, .. } = self;
        let mut cursor = window.cursor();
        let skipped = cursor.take(body.start).map(|_| ());
        // It was read before, and is the same.
        skipped
            .and_then(|()| M::read_input(kind, &mut cursor, memory))
            .map_err(|bad| Fault::of_record(at, bad))
    }

    /// The words of the answer that was marked.
    fn words(&self) -> &str {
        let mut cursor = self.window.cursor();
        let words = cursor.take(self.body.start).and_then(|_| read_words(&mut cursor));
        words.unwrap_or_default()
    }

    fn measure(&mut self) -> Result<Mark, Bad> {
        let mut cursor = self.window.cursor();
        let mark = read_mark(&mut cursor, self.now, self.inputs)?;
        let body = cursor.at();
        match mark {
            Mark::Input { kind, .. } => drop(M::read_input(kind, &mut cursor, &mut self.memory)?),
            Mark::Gave => drop(read_words(&mut cursor)?),
            Mark::Digest(_) | Mark::End(_) => {}
        }
        self.body = body..cursor.at();
        Ok(mark)
    }

    fn marked(&mut self, at: usize, mark: Mark) -> Result<Mark, Fault> {
        match mark {
            Mark::Input { now, .. } => (self.now, self.inputs) = (now, self.inputs + 1),
            Mark::Gave | Mark::Digest(_) => {}
            Mark::End(end) => {
                if self.window.has(self.body.end + 1)? {
                    self.break_off(at);
                    return Err(Fault::Record { at, what: "something stands behind the end" });
                }
                self.end = Some(end);
            }
        }
        Ok(mark)
    }

    fn break_off(&mut self, at: usize) -> End {
        *self.end.insert(End::Torn { at })
    }
}

/// What can be said of a record without what belongs to its kind.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mark {
    /// An input.
    Input {
        /// Of which kind.
        kind: u8,
        /// When.
        now: Instant,
    },
    /// What the machine gave, in words.
    Gave,
    /// The digest of all so far.
    Digest(u64),
    /// The end.
    End(End),
}

/// What a capture says that a step gave.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Answer {
    /// Something.
    Gave,
    /// Nothing but audio and counts.
    Nothing,
    /// It does not say, for want of room, but the machine has answered.
    NoRoom,
    /// It does not say: the machine crashed, or the capture breaks off.
    Unknown,
}

fn read_mark(cursor: &mut Cursor<'_>, last: Instant, inputs: u64) -> Result<Mark, Bad> {
    match cursor.byte()? {
        GAVE => Ok(Mark::Gave),
        DIGEST => cursor.eight().map(Mark::Digest),
        END => read_end(cursor, inputs).map(Mark::End),
        kind => {
            let later = cursor.number()?;
            if later == 0 {
                return Err(Bad::Wrong("time does not move forward"));
            }
            let at = last.as_nanos().checked_add(later).filter(|at| *at <= LATEST.as_nanos());
            let now = Instant::from_nanos(at.ok_or(Bad::Wrong("it is later than there is time"))?);
            Ok(Mark::Input { kind, now })
        }
    }
}

fn read_answer(cursor: &mut Cursor<'_>, words: &mut String) -> Result<Answer, Bad> {
    Ok(match cursor.byte()? {
        GAVE => {
            words.push_str(read_words(cursor)?);
            Answer::Gave
        }
        END => match cursor.byte()? {
            WHOLE => Answer::Nothing,
            // The step is in the digest, but there may have been no room for its words.
            CUT => Answer::NoRoom,
            // What the last step would have given nobody knows.
            _ => Answer::Unknown,
        },
        _ => Answer::Nothing,
    })
}

fn read_words<'a>(cursor: &mut Cursor<'a>) -> Result<&'a str, Bad> {
    let words = core::str::from_utf8(cursor.block(MAX_GAVE_BYTES)?);
    // They are shown on a terminal.
    let words = words.ok().filter(|words| words.lines().all(|line| line.chars().all(is_plain)));
    words.ok_or(Bad::Wrong("what was given is not text"))
}

fn read_end(cursor: &mut Cursor<'_>, inputs: u64) -> Result<End, Bad> {
    let (why, count, digest) = (cursor.byte()?, cursor.number()?, cursor.eight()?);
    if count != inputs {
        return Err(Bad::Wrong("there are more inputs before the end, or fewer, than it says"));
    }
    match why {
        WHOLE => Ok(End::Whole { digest }),
        CUT => Ok(End::Cut { digest }),
        CRASHED => Ok(End::Crashed { digest }),
        _ => Err(Bad::Wrong("why it ends is unknown")),
    }
}
