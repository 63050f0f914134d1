//! Reading a capture, record by record.

use super::log::{CRASHED, CUT, WHOLE};
use super::machine::{Kind, Machine};
use super::wire::{Bad, Cursor};
use super::{DIGEST, END, Fault, Head, head};
use crate::call::Call;
use crate::switchboard::Switchboard;
use crate::time::Instant;

/// The latest moment in a capture: a hundred years. What is reckoned from it, such as a deadline, still has room.
pub const LATEST: Instant = Instant::from_millis(100 * 365 * 24 * 60 * 60 * 1000);

/// A capture that was opened: how it began, and its records.
#[expect(clippy::large_enum_variant, reason = "one is opened at a time, and not kept like this")]
#[derive(Debug)]
pub enum Capture<'a> {
    /// Of a call.
    Call(Head<'a, Call>, Records<'a, Call>),
    /// Of a switchboard.
    Switchboard(Head<'a, Switchboard>, Records<'a, Switchboard>),
}

/// Opens a capture. Nothing but the head is read, and nothing of the rest is copied.
///
/// # Errors
///
/// If the bytes are not a capture, or not one that this program can read; the fault says why.
pub fn open(bytes: &[u8]) -> Result<Capture<'_>, Fault> {
    let mut cursor = Cursor::new(bytes);
    Ok(match head::read_kind(&mut cursor)? {
        Kind::Call => {
            let head = head::read(&mut cursor)?;
            let records = Records::new(cursor, head.now);
            Capture::Call(head, records)
        }
        Kind::Switchboard => {
            let head = head::read(&mut cursor)?;
            let records = Records::new(cursor, head.now);
            Capture::Switchboard(head, records)
        }
    })
}

/// The records of a capture, one after the other.
#[derive(Debug)]
pub struct Records<'a, M: Machine> {
    cursor: Cursor<'a>,
    /// Where the last record begins.
    begin: usize,
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

impl<'a, M: Machine> Records<'a, M> {
    fn new(cursor: Cursor<'a>, now: Instant) -> Self {
        Self { begin: cursor.at(), cursor, memory: M::Memory::default(), now, inputs: 0, end: None }
    }

    /// The next record; behind the end it is the end again. The input borrows from the capture and from this.
    ///
    /// # Errors
    ///
    /// If the record cannot be; the fault says where and why. What comes behind it cannot be found, and the capture ends
    /// there.
    #[expect(clippy::should_implement_trait, reason = "what it gives borrows from it, and no Iterator can")]
    pub fn next(&mut self) -> Result<Record<'_, M>, Fault> {
        match self.mark()? {
            Mark::Input { kind, now } => {
                let torn = End::Torn { at: self.begin };
                Ok(self.input(kind)?.map_or(Record::End(torn), |input| Record::Input { now, input }))
            }
            Mark::Digest(digest) => Ok(Record::Digest(digest)),
            Mark::End(end) => Ok(Record::End(end)),
        }
    }

    /// How the capture ends, once its end was reached.
    #[must_use]
    pub const fn end(&self) -> Option<End> {
        self.end
    }

    /// Reads a record, or what is common to all inputs: [`Self::input`] reads the rest of one.
    pub(crate) fn mark(&mut self) -> Result<Mark, Fault> {
        if let Some(end) = self.end {
            return Ok(Mark::End(end));
        }
        self.begin = self.cursor.at();
        match read_mark(&mut self.cursor, self.now, self.inputs) {
            Ok(mark) => {
                match mark {
                    Mark::Input { now, .. } => (self.now, self.inputs) = (now, self.inputs + 1),
                    Mark::Digest(_) => {}
                    Mark::End(end) => self.end = Some(end),
                }
                Ok(mark)
            }
            Err(bad) => {
                let torn = break_off(self.begin, &mut self.end);
                if bad == Bad::Ends { Ok(Mark::End(torn)) } else { Err(Fault::of_record(self.begin, bad)) }
            }
        }
    }

    /// Reads the rest of an input; nothing if it is torn.
    pub(crate) fn input(&mut self, kind: u8) -> Result<Option<M::Input<'_>>, Fault> {
        let Self { cursor, memory, begin, end, .. } = self;
        M::read_input(kind, cursor, memory).map(Some).or_else(|bad| {
            break_off(*begin, end);
            if bad == Bad::Ends { Ok(None) } else { Err(Fault::of_record(*begin, bad)) }
        })
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
    /// The digest of all so far.
    Digest(u64),
    /// The end.
    End(End),
}

fn break_off(at: usize, end: &mut Option<End>) -> End {
    *end.insert(End::Torn { at })
}

fn read_mark(cursor: &mut Cursor<'_>, last: Instant, inputs: u64) -> Result<Mark, Bad> {
    match cursor.byte()? {
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

fn read_end(cursor: &mut Cursor<'_>, inputs: u64) -> Result<End, Bad> {
    let (why, count, digest) = (cursor.byte()?, cursor.number()?, cursor.eight()?);
    if count != inputs {
        return Err(Bad::Wrong("there are more inputs before the end, or fewer, than it says"));
    }
    if !cursor.is_at_end() {
        return Err(Bad::Wrong("something stands behind the end"));
    }
    match why {
        WHOLE => Ok(End::Whole { digest }),
        CUT => Ok(End::Cut { digest }),
        CRASHED => Ok(End::Crashed { digest }),
        _ => Err(Bad::Wrong("why it ends is unknown")),
    }
}
