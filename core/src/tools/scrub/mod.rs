//! Takes out of a capture what people said and who they are, and leaves what it is a test of.
//!
//! Voices become tones and silence, as long and as loud. The letters of texts become others, words stay apart, and
//! numbers, addresses and names become others. Which inputs there are, when each came and how long it is stays, and so do
//! the ids that bind messages together, the codes that a protocol knows, counts and times. What is not known to be
//! harmless is filled.
//!
//! The machine lives through both, side by side. What it does must be the same but for texts and sounds; where it is not,
//! as where a decision hangs on how a voice sounds, nothing is scrubbed and the fault says which step is another.
//!
//! What is scrubbed stays as it is when it is scrubbed again, byte for byte ([`is_scrubbed`]).
//!
//! **What is left.** When each of both spoke and how loud, to 1 dB each 10 ms; how long each word is; keys by which a
//! caller chose from a menu; the last three digits of what a number becomes, which tell with some certainty whether it is
//! a number that somebody has already. The names of functions, of their parameters, of places and of models that stand in
//! the settings stay, if each is one word.

mod alike;
mod json;
mod line;
mod rules;
mod same;
mod subject;
mod text;
mod tone;
mod voice;

#[cfg(test)]
mod tests;

use crate::actions::Actions;
use crate::capture::{
    self, Answer, Capture, End, Fault, Head, Log, Machine, Mark, Note, PIECE_BYTES, Records, WITH_NOTES,
    describe,
};
use crate::time::Instant;
use core::fmt;
use std::io::{self, Read, Write};
use subject::{Scratch, Scrubber, Subject};

pub use same::is_scrubbed;

/// What came of scrubbing a capture.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Scrubbed {
    /// How many inputs there are.
    pub steps: u64,
    /// In how many of them something was exchanged.
    pub changed_inputs: u64,
    /// How many bytes of them.
    pub changed_bytes: u64,
    /// The first step at which this program does something else than what was recorded. The scrubbed capture says what it
    /// does now.
    pub unlike_recorded: Option<u64>,
    /// How the capture ends.
    pub end: End,
}

/// Why a capture was not scrubbed. What was written of it is of no use.
#[derive(Debug)]
pub enum ScrubFault {
    /// It cannot be read.
    Capture(Fault),
    /// The scrubbed one cannot be written.
    Write(io::Error),
    /// Its settings cannot be scrubbed: they hold something that is not known here.
    Settings(String),
    /// The machine would do something else.
    Changed {
        /// At which step.
        step: u64,
        /// When.
        at: Instant,
        /// What it did, in words: a line for each action.
        was: String,
        /// What it would do.
        is: String,
    },
    /// A step has become larger than a capture can hold.
    TooLarge {
        /// Which.
        step: u64,
    },
}

impl fmt::Display for ScrubFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Capture(fault) => fault.fmt(f),
            Self::Write(error) => write!(f, "the scrubbed capture cannot be written: {error}"),
            Self::Settings(error) => write!(f, "its settings cannot be scrubbed: {error}"),
            Self::Changed { step, at, was, is } => write!(
                f,
                "scrubbing would change what happens at step {step}, at {at}\nit was:\n{was}it would be:\n{is}"
            ),
            Self::TooLarge { step } => write!(f, "step {step} would be larger than a capture can hold"),
        }
    }
}

impl core::error::Error for ScrubFault {}

impl From<Fault> for ScrubFault {
    fn from(fault: Fault) -> Self {
        Self::Capture(fault)
    }
}

/// Scrubs a capture into another one. Memory is that of two machines and of the longest message. The last input of a
/// capture of a crash is scrubbed, and given to no machine.
///
/// # Errors
///
/// If it cannot be read or written, or if the machine would do something else.
pub fn scrub(capture: impl Read, write: impl Write) -> Result<Scrubbed, ScrubFault> {
    match capture::read(capture)? {
        Capture::Call(head, records) => run(head, records, write),
        Capture::Switchboard(head, records) => run(head, records, write),
    }
}

/// A machine, and what it did last.
struct Lived<M: Machine> {
    machine: M,
    out: Actions<M::Action>,
    next: M::Next,
}

/// The machine that is given what was recorded, and beside it the one that is given what is scrubbed.
struct Pair<M: Machine> {
    was: Lived<M>,
    is: Lived<M>,
    log: Log<M>,
    scrubber: Scrubber,
    scratch: Scratch,
    steps: u64,
    now: Instant,
    /// Whether the capture says what machines gave.
    has_words: bool,
    unlike_recorded: Option<u64>,
}

fn run<R: Read, M: Subject>(
    head: Head<M>,
    mut records: Records<R, M>,
    mut write: impl Write,
) -> Result<Scrubbed, ScrubFault> {
    let mut pair = Pair::begin(&head)?;
    let mut recorded = String::new();
    if records.answer(&mut recorded)? != Answer::Unknown {
        pair.compare(&recorded)?;
    }
    let end = loop {
        let (kind, now) = match records.mark()? {
            Mark::Input { kind, now } => (kind, now),
            Mark::Gave | Mark::Digest(_) => continue,
            Mark::End(end) => break end,
        };
        recorded.clear();
        // Where a machine has not answered it crashed, or what it did is lost.
        let answer = records.answer(&mut recorded)?;
        let is_answered = answer != Answer::Unknown;
        pair.step(now, records.input(kind)?, is_answered)?;
        if is_answered {
            pair.has_words &= answer != Answer::NoRoom;
            pair.compare(&recorded)?;
        }
        if pair.log.bytes().len() >= PIECE_BYTES {
            write.write_all(&pair.log.take()).map_err(ScrubFault::Write)?;
        }
    };
    let Pair { log, scrubber, steps, unlike_recorded, .. } = pair;
    write.write_all(&log.end_as(end)).map_err(ScrubFault::Write)?;
    write.flush().map_err(ScrubFault::Write)?;
    let Scrubber { changed_inputs, changed_bytes, .. } = scrubber;
    Ok(Scrubbed { steps, changed_inputs, changed_bytes, unlike_recorded, end })
}

impl<M: Subject> Pair<M> {
    fn begin(head: &Head<M>) -> Result<Self, ScrubFault> {
        let (settings, mut scrubber) = M::scrub_settings(&head.settings)?;
        let mut scratch = Scratch::default();
        let mut out = Actions::new();
        let (machine, next) = M::begin(&head.settings, head.start(), head.now, &mut out);
        let was = Lived { machine, out, next };
        let start = M::scrub_start(head.start(), &mut scrubber, &mut scratch);
        let note = Note { is_scrubbed: true, ..head.note };
        let mut log = Log::new(&settings, &start, note, head.now, usize::MAX);
        let mut out = Actions::new();
        let (machine, next) = log.make(&settings, start, head.now, &mut out);
        let is = Lived { machine, out, next };
        let (now, has_words) = (head.now, head.format >= WITH_NOTES);
        Ok(Self { was, is, log, scrubber, scratch, steps: 0, now, has_words, unlike_recorded: None })
    }

    fn step(&mut self, now: Instant, input: M::Input<'_>, is_answered: bool) -> Result<(), ScrubFault> {
        (self.steps, self.now) = (self.steps + 1, now);
        let Self { was, is, log, scrubber, scratch, .. } = self;
        let scrubbed = M::scrub_input(input, &is.machine, scrubber, scratch)?;
        if !is_answered {
            log.takes(now, &scrubbed);
            return Ok(());
        }
        was.out.clear();
        was.next = was.machine.step(now, input, &mut was.out);
        is.out.clear();
        is.next = log.step(&mut is.machine, now, scrubbed, &mut is.out);
        Ok(())
    }

    /// Whether both have done the same but for texts and sounds.
    fn compare(&mut self, recorded: &str) -> Result<(), ScrubFault> {
        let Self { was, is, steps: step, now: at, unlike_recorded, .. } = self;
        let (step, at) = (*step, *at);
        if self.log.is_cut() {
            return Err(ScrubFault::TooLarge { step });
        }
        let mut pairs = was.out.iter().zip(is.out.iter());
        let is_alike = was.next == is.next
            && was.out.len() == is.out.len()
            && pairs.all(|(old, new)| M::is_alike((&old, &was.out), (&new, &is.out)));
        let (mut words, mut other) = (in_words(was), in_words(is));
        if self.has_words && unlike_recorded.is_none() && words != recorded {
            *unlike_recorded = Some(step);
        }
        if is_alike {
            return Ok(());
        }
        if words == other {
            // It is nothing that has words.
            for (words, lived) in [(&mut words, &*was), (&mut other, &*is)] {
                words.push_str(&format!("{} actions, then {:?}\n", lived.out.len(), lived.next));
            }
        }
        Err(ScrubFault::Changed { step, at, was: words, is: other })
    }
}

fn in_words<M: Machine>(lived: &Lived<M>) -> String {
    let mut words = String::new();
    describe::<M>(&lived.out, &mut words);
    words
}
