//! What a server makes of its audio, and what becomes of it: the life of a playout queue.

use super::up_to;
use crate::choices::Choices;

/// One thing that happens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// So many bytes of a part of an item come.
    Delta {
        /// Which item.
        item: usize,
        /// Which part of it.
        part: u32,
        /// How many bytes.
        bytes: usize,
    },
    /// A word of it comes.
    Word {
        /// Which item.
        item: usize,
        /// Which part of it.
        part: u32,
    },
    /// No more audio comes of it, or no more text.
    Done {
        /// Which item.
        item: usize,
        /// Which part of it.
        part: u32,
        /// Whether it is the text.
        text: bool,
    },
    /// Nothing more comes of any.
    AllDone,
    /// A sound of the bridge's own.
    Own {
        /// How many bytes.
        bytes: usize,
        /// Whether it makes room when the agent speaks.
        yields: bool,
    },
    /// The agent speaks.
    MakeRoom,
    /// So many slots go by.
    Frames(usize),
    /// It is asked what was said.
    Told,
    /// The caller cuts in.
    CutIn,
    /// An item is not to be heard.
    Mute {
        /// Which.
        item: usize,
    },
    /// The session is over, and the next one counts its items anew.
    SessionEnds,
}

/// A server, which makes its items mostly one behind the other.
#[derive(Clone, Copy, Debug, Default)]
pub struct Server {
    item: usize,
    part: u32,
}

impl Server {
    /// What happens next. Deltas have up to 4000 bytes, and once in a while as many as `longest`.
    pub fn step(&mut self, choices: &mut Choices<'_>, longest: usize) -> Step {
        let what = choices.below(32);
        if matches!(what, 0..=3) {
            match choices.below(3) {
                0 => self.part += 1,
                _ => (self.item, self.part) = (self.item + 1, 0),
            }
        }
        // Sometimes one of those before it.
        let back = if choices.one_in(8) { choices.below(4) } else { 0 };
        let item = self.item.saturating_sub(back);
        let part = if back > 0 { choices.below(2) as u32 } else { self.part };
        match what {
            0..=11 => {
                let most = if choices.one_in(24) { longest } else { 4000 };
                Step::Delta { item, part, bytes: up_to(choices, most as u64) as usize }
            }
            12..=14 => Step::Word { item, part },
            15 | 16 => Step::Done { item, part, text: choices.one_in(2) },
            17 => Step::AllDone,
            18 => Step::Own { bytes: up_to(choices, 3000) as usize, yields: choices.one_in(2) },
            19 => Step::MakeRoom,
            20..=26 => Step::Frames(1 + choices.below(4)),
            27 | 28 => Step::Told,
            29 => Step::CutIn,
            30 => Step::Mute { item },
            _ => Step::SessionEnds,
        }
    }
}
