//! Replay: a fresh machine lives through a capture, and does the same again, or does not.
//!
//! A [`Player`] gives each step, with what the machine was given and what it does; [`replay`] plays to the end and says
//! what came of it. Where the digests in the capture differ from those of the replay, the machine is another one: its
//! settings, its inputs or the program have changed.

#[cfg(test)]
mod tests;

use crate::actions::Actions;
use crate::call::Outcome;
use crate::capture::{
    self, Answer, Capture, Digest, End, Fault, Head, Kind, Machine, Mark, Records, WITH_NOTES, describe,
};
use crate::time::{Duration, Instant};
use std::io::Read;

/// A machine that lives through a capture, step by step.
#[derive(Debug)]
pub struct Player<R, M: Machine> {
    head: Head<M>,
    records: Records<R, M>,
    machine: Option<M>,
    out: Actions<M::Action>,
    digest: Digest,
    /// The digest before the last step.
    digest_before: u64,
    now: Instant,
    /// How many inputs the machine was given.
    steps: u64,
    /// After which step the digests were the same.
    same_until: Option<u64>,
    input_bytes: u64,
    /// What the capture says that the last step gave, in words, and what it gave now.
    recorded: Option<String>,
    given: String,
    outcome: Option<Outcome>,
    difference: Option<Difference>,
}

/// A step of a machine.
#[derive(Debug)]
pub struct Step<'s, M: Machine> {
    /// Which: 0 is the making of the machine, 1 its first input.
    pub number: u64,
    /// When.
    pub now: Instant,
    /// What it was given; nothing when it was made.
    pub input: Option<M::Input<'s>>,
    /// What it does.
    pub out: &'s Actions<M::Action>,
    /// When it wants to be woken.
    pub next: M::Next,
    /// What it does in words, without audio and counts: a line for each action.
    pub given: &'s str,
    /// What the capture says that it did, in words as well; nothing if the capture does not say: it breaks off there, the
    /// machine crashed, or it is of a format older than 2.
    pub recorded: Option<&'s str>,
}

/// A replay that is not what was recorded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Difference {
    /// The first step that may be another: those before it are the same.
    pub from_step: u64,
    /// The last one of which one at least is.
    pub to_step: u64,
    /// When that was.
    pub at: Instant,
    /// What is another: if it is nothing that has words it is the audio, a count, or a deadline.
    pub words: Option<Words>,
}

/// What a step gave, in words: a line for each action.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Words {
    /// When it was recorded.
    pub recorded: String,
    /// In the replay.
    pub replayed: String,
}

/// What came of a replay.
#[derive(Clone, PartialEq, Debug)]
pub struct Replayed {
    /// Which machine.
    pub machine: Kind,
    /// The version of the program that has written the capture. If it is not
    /// [`PROGRAM`](crate::capture::PROGRAM), a difference may be what has been changed on purpose.
    pub program: String,
    /// How many inputs there were.
    pub steps: u64,
    /// How many bytes came with them.
    pub input_bytes: u64,
    /// From the making of the machine to its last input.
    pub duration: Duration,
    /// How the capture ends.
    pub end: End,
    /// How the call went, if it is a call and its end is there.
    pub outcome: Option<Outcome>,
    /// Where the replay is not what was recorded.
    pub difference: Option<Difference>,
}

impl Replayed {
    /// Whether nothing is missing in the capture.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        matches!(self.end, End::Whole { .. })
    }
}

/// Replays a capture to its end. What has no end is replayed up to where it breaks off.
///
/// Memory is that of the machine; time is that of its steps, of which there are fewer than the capture has bytes.
///
/// # Errors
///
/// If it is not a capture, or a record cannot be; the fault says where and why.
///
/// # Panics
///
/// If the capture is one of a crash, and the machine still does: that is a bug of ours.
pub fn replay(capture: &[u8]) -> Result<Replayed, Fault> {
    replay_from(capture)
}

/// As [`replay`], of a capture that need not be in memory.
///
/// # Errors
///
/// As [`replay`], and if it cannot be read on.
///
/// # Panics
///
/// As [`replay`].
pub fn replay_from(capture: impl Read) -> Result<Replayed, Fault> {
    match capture::read(capture)? {
        Capture::Call(head, records) => play(Player::new(head, records)),
        Capture::Switchboard(head, records) => play(Player::new(head, records)),
    }
}

fn play<R: Read, M: Machine>(mut player: Player<R, M>) -> Result<Replayed, Fault> {
    while player.step()?.is_some() {}
    Ok(player.finish())
}

impl<R: Read, M: Machine> Player<R, M> {
    /// A player that has not begun.
    #[must_use]
    pub fn new(head: Head<M>, records: Records<R, M>) -> Self {
        Self {
            now: head.now,
            head,
            records,
            machine: None,
            out: Actions::new(),
            digest: Digest::new(),
            digest_before: 0,
            steps: 0,
            same_until: None,
            input_bytes: 0,
            recorded: None,
            given: String::new(),
            outcome: None,
            difference: None,
        }
    }

    /// How the machine began.
    #[must_use]
    pub const fn head(&self) -> &Head<M> {
        &self.head
    }

    /// The machine as it is now; none before the first step.
    #[must_use]
    pub const fn machine(&self) -> Option<&M> {
        self.machine.as_ref()
    }

    /// Where the replay was first found not to be what was recorded.
    #[must_use]
    pub const fn difference(&self) -> Option<&Difference> {
        self.difference.as_ref()
    }

    /// How many bytes of the capture were read.
    #[must_use]
    pub const fn at(&self) -> usize {
        self.records.at()
    }

    /// What came of the replay, if it has come to the end of the capture; else what has come of it so far.
    #[must_use]
    pub fn finish(self) -> Replayed {
        Replayed {
            machine: M::KIND,
            steps: self.steps,
            input_bytes: self.input_bytes,
            duration: self.now.since(self.head.now),
            program: self.head.program,
            end: self.records.end().unwrap_or(End::Torn { at: self.records.at() }),
            outcome: self.outcome,
            difference: self.difference,
        }
    }

    /// Makes the machine, or gives it the next input; nothing at the end of the capture.
    ///
    /// # Errors
    ///
    /// If a record cannot be; the fault says where and why.
    pub fn step(&mut self) -> Result<Option<Step<'_, M>>, Fault> {
        if self.machine.is_none() {
            return self.begin().map(Some);
        }
        let (kind, now) = loop {
            match self.records.mark()? {
                Mark::Input { kind, now } => break (kind, now),
                // Between two inputs a machine answers once; what more there is nobody has written.
                Mark::Gave => {}
                Mark::Digest(digest) => self.compare(digest == self.digest.value(), self.steps),
                Mark::End(end) => {
                    self.ends(end);
                    return Ok(None);
                }
            }
        };
        let input = self.records.input(kind)?;
        let Some(machine) = &mut self.machine else { return Ok(None) };
        self.input_bytes += M::bytes_of(&input) as u64;
        (self.now, self.steps, self.digest_before) = (now, self.steps + 1, self.digest.value());
        self.out.clear();
        let next = machine.step(now, input, &mut self.out);
        self.answered(next)?;
        self.outcome = self.outcome.or_else(|| self.out.iter().find_map(|action| M::outcome(&action)));
        Ok(Some(Step {
            number: self.steps,
            now,
            input: Some(self.records.input(kind)?),
            out: &self.out,
            next,
            given: &self.given,
            recorded: self.recorded.as_deref(),
        }))
    }

    fn begin(&mut self) -> Result<Step<'_, M>, Fault> {
        let Head { settings, now, .. } = &self.head;
        let (machine, next) = M::begin(settings, self.head.start(), *now, &mut self.out);
        self.machine = Some(machine);
        self.answered(next)?;
        Ok(Step {
            number: 0,
            now: self.now,
            input: None,
            out: &self.out,
            next,
            given: &self.given,
            recorded: self.recorded.as_deref(),
        })
    }

    /// Takes in what the machine gave, and holds what has words against what was recorded.
    fn answered(&mut self, next: M::Next) -> Result<(), Fault> {
        self.digest.take(&self.out, next);
        describe::<M>(&self.out, &mut self.given);
        let mut recorded = self.recorded.take().unwrap_or_default();
        recorded.clear();
        let is_told = matches!(self.records.answer(&mut recorded)?, Answer::Gave | Answer::Nothing);
        if !is_told || self.head.format < WITH_NOTES {
            return Ok(());
        }
        if recorded != self.given && self.difference.is_none() {
            let words = Words { recorded: recorded.clone(), replayed: self.given.clone() };
            self.difference = Some(Difference {
                from_step: self.steps,
                to_step: self.steps,
                at: self.now,
                words: Some(words),
            });
        }
        self.recorded = Some(recorded);
        Ok(())
    }

    fn ends(&mut self, end: End) {
        match end {
            End::Whole { digest } | End::Cut { digest } => {
                self.compare(digest == self.digest.value(), self.steps);
            }
            // What it would have done with the last input nobody knows.
            End::Crashed { digest } if self.steps > 0 => {
                self.compare(digest == self.digest_before, self.steps - 1);
            }
            End::Crashed { .. } | End::Torn { .. } => {}
        }
    }

    /// Notes whether the digest is the recorded one after so many steps. The first difference counts: all digests after
    /// it differ.
    fn compare(&mut self, is_same: bool, steps: u64) {
        if is_same && self.difference.is_none() {
            self.same_until = Some(steps);
        } else if self.difference.is_none() {
            let from_step = self.same_until.map_or(0, |steps| steps + 1);
            self.difference = Some(Difference { from_step, to_step: steps, at: self.now, words: None });
        }
    }
}
