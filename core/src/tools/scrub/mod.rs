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
use crate::capture::{self, Capture, Fault, Log, Machine, Note, describe};
use crate::replay::{Player, Replayed, Step};
use crate::time::Instant;
use core::fmt;
use std::io::{self, Read, Write};
use subject::{Scratch, Subject};

pub use same::is_scrubbed;

/// How much of the scrubbed capture is held before it is written, in bytes.
const PIECE_BYTES: usize = 64 * 1024;

/// What came of scrubbing a capture.
#[derive(Clone, PartialEq, Debug)]
pub struct Scrubbed {
    /// In how many inputs something was exchanged.
    pub changed_inputs: u64,
    /// How many bytes of them.
    pub changed_bytes: u64,
    /// What the replay of the capture as it was came to. If it was not what was recorded, the scrubbed capture says what
    /// the machine does now.
    pub replayed: Replayed,
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

/// Scrubs a capture into another one. Memory is that of two machines and of the longest message.
///
/// # Errors
///
/// If it cannot be read or written, or if the machine would do something else.
///
/// # Panics
///
/// If the capture is one of a crash, and the machine still does: that is a bug of ours.
pub fn scrub(capture: impl Read, write: impl Write) -> Result<Scrubbed, ScrubFault> {
    match capture::read(capture)? {
        Capture::Call(head, records) => run(Player::new(head, records), write),
        Capture::Switchboard(head, records) => run(Player::new(head, records), write),
    }
}

/// The machine that is given what is scrubbed, beside the one that is given what was recorded.
struct Twin<M: Machine> {
    log: Log<M>,
    machine: M,
    out: Actions<M::Action>,
}

fn run<R: Read, M: Subject>(mut player: Player<R, M>, mut write: impl Write) -> Result<Scrubbed, ScrubFault> {
    let head = player.head();
    let (settings, mut scrubber) = M::scrub_settings(&head.settings)?;
    let mut scratch = Scratch::default();
    let start = M::scrub_start(head.start(), &mut scrubber, &mut scratch);
    let (note, now) = (Note { is_scrubbed: true, ..head.note }, head.now);
    let mut out = Actions::new();
    let mut log = Log::new(&settings, &start, note, now, usize::MAX);
    let (machine, next) = log.make(&settings, start, now, &mut out);
    let mut twin = Twin { log, machine, out };
    if let Some(step) = player.step()? {
        twin.compare(&step, next)?;
    }
    while let Some(step) = player.step()? {
        let Some(input) = step.input else { continue };
        twin.out.clear();
        let input = M::scrub_input(input, &twin.machine, &mut scrubber, &mut scratch)?;
        let next = twin.log.step(&mut twin.machine, step.now, input, &mut twin.out);
        twin.compare(&step, next)?;
        if twin.log.bytes().len() >= PIECE_BYTES {
            write.write_all(&twin.log.take()).map_err(ScrubFault::Write)?;
        }
    }
    let replayed = player.finish();
    write.write_all(&twin.log.end_as(replayed.end)).map_err(ScrubFault::Write)?;
    write.flush().map_err(ScrubFault::Write)?;
    let subject::Scrubber { changed_inputs, changed_bytes, .. } = scrubber;
    Ok(Scrubbed { changed_inputs, changed_bytes, replayed })
}

impl<M: Subject> Twin<M> {
    /// Whether it does the same but for texts and sounds.
    fn compare(&self, step: &Step<'_, M>, next: M::Next) -> Result<(), ScrubFault> {
        if self.log.is_cut() {
            return Err(ScrubFault::TooLarge { step: step.number });
        }
        let is_alike = step.next == next
            && step.out.len() == self.out.len()
            && step.out.iter().zip(self.out.iter()).all(|(was, is)| M::is_alike((&was, step.out), (&is, &self.out)));
        if is_alike {
            return Ok(());
        }
        let (mut was, mut is) = (String::new(), String::new());
        describe::<M>(step.out, &mut was);
        describe::<M>(&self.out, &mut is);
        if was == is {
            // It is nothing that has words.
            was.push_str(&format!("{} actions, then {:?}\n", step.out.len(), step.next));
            is.push_str(&format!("{} actions, then {next:?}\n", self.out.len()));
        }
        Err(ScrubFault::Changed { step: step.number, at: step.now, was, is })
    }
}
