//! The queue of the model's audio, and the ledger of what of it was really sent.
//!
//! Both count samples as they were received from the model, at 24 kHz. The ledger is what a truncation at
//! barge-in rests on: never more than was sent, and never a resampled count.

use crate::format::{MODEL_FRAME_SAMPLES, MODEL_RATE};
use std::collections::VecDeque;

/// The most audio that waits to be sent, in milliseconds: five minutes, longer than any answer.
pub const MAX_QUEUED_MS: u64 = 300_000;

/// The most items that wait to be sent; a response has one or two.
pub const MAX_ITEMS: usize = 64;

/// How many interrupted items are remembered, so that what still comes of them is dropped.
pub const MAX_MUTED: usize = 16;

/// The longest item id that is told from others, in bytes; OpenAI's have about 30.
pub const MAX_ITEM_ID_BYTES: usize = 128;

const SAMPLES_PER_MS: u64 = MODEL_RATE as u64 / 1000;
const MAX_QUEUED_SAMPLES: usize = (MAX_QUEUED_MS * SAMPLES_PER_MS) as usize;

/// The audio queue and its ledger.
#[derive(Debug, Default)]
pub struct Playout {
    queue: VecDeque<i16>,
    /// Those with audio in the queue, in its order, and before them the one that was sent last.
    items: VecDeque<Item>,
    muted: VecDeque<String>,
}

/// One part of one item, in samples.
#[derive(Debug)]
struct Item {
    id: String,
    content_index: u32,
    received: u64,
    queued: u64,
    sent: u64,
    /// Whether its end was dropped because the queue was full.
    cut: bool,
    done: bool,
}

/// What became of a delta.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pushed {
    /// It waits to be sent.
    Queued,
    /// It belongs to an item that was interrupted and is dropped.
    Muted,
    /// It does not fit into the queue; its end is dropped, and so is what still comes of the item.
    Full {
        /// How much was dropped, in milliseconds, rounded up.
        dropped_ms: u64,
    },
    /// It is not base64 and is dropped.
    BadBase64,
}

/// What was interrupted. `heard_ms <= received_ms` always.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Interrupted {
    /// The item that was being heard.
    pub item_id: String,
    /// The part of it that was being heard.
    pub content_index: u32,
    /// How much of that part was sent, in milliseconds, rounded down.
    pub heard_ms: u64,
    /// How much of that part had been received, in milliseconds, rounded down.
    pub received_ms: u64,
    /// How much was queued in all and is dropped, in milliseconds, rounded down.
    pub dropped_ms: u64,
}

impl Item {
    fn is(&self, id: &str, content_index: u32) -> bool {
        self.content_index == content_index && self.id == id
    }
}

impl Playout {
    /// An empty queue.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends audio of a part of an item. Allocates for a new item and while the queue grows, at no other time.
    pub fn push(&mut self, item_id: &str, content_index: u32, samples: &[i16]) -> Pushed {
        let id = bounded(item_id);
        if self.is_muted(id) {
            return Pushed::Muted;
        }
        let known = self.items.back().is_some_and(|item| item.is(id, content_index));
        let room = if known || self.items.len() < MAX_ITEMS { self.room() } else { 0 };
        if !known && room > 0 {
            self.items.push_back(Item {
                id: id.to_owned(),
                content_index,
                received: 0,
                queued: 0,
                sent: 0,
                cut: false,
                done: false,
            });
        }
        let fits = match self.items.back_mut().filter(|item| item.is(id, content_index)) {
            Some(item) => {
                // Once its end was cut off, nothing more of the item is taken: no hole in mid-sentence.
                let fits = if item.cut { 0 } else { room.min(samples.len()) };
                item.cut |= fits < samples.len();
                item.received = item.received.saturating_add(samples.len() as u64);
                item.queued += fits as u64;
                fits
            }
            None => 0,
        };
        self.queue.extend(samples.iter().take(fits));
        match samples.len() - fits {
            0 => Pushed::Queued,
            dropped => Pushed::Full { dropped_ms: (dropped as u64).div_ceil(SAMPLES_PER_MS) },
        }
    }

    /// Notes that nothing more comes of a part of an item.
    pub fn done(&mut self, item_id: &str, content_index: u32) {
        let id = bounded(item_id);
        if let Some(item) = self.items.iter_mut().rev().find(|item| item.is(id, content_index)) {
            item.done = true;
        }
    }

    /// Moves the next 20 ms into `frame` and says how many of its samples are audio; the rest is silence.
    /// What it gives counts as sent.
    pub fn next_frame(&mut self, frame: &mut [i16; MODEL_FRAME_SAMPLES]) -> usize {
        let taken = self.queue.len().min(frame.len());
        for (slot, sample) in frame.iter_mut().zip(self.queue.drain(..taken).chain(core::iter::repeat(0))) {
            *slot = sample;
        }
        let mut left = taken as u64;
        while left > 0 {
            let Some(item) = self.items.front_mut() else { break };
            let part = item.queued.min(left);
            item.queued -= part;
            item.sent += part;
            left -= part;
            if left > 0 {
                self.items.pop_front();
            }
        }
        taken
    }

    /// Drops what is queued and mutes every item that it knows of, so that nothing of them is heard any more.
    /// Gives the item that was being heard, or was heard last; `None` if there was none.
    pub fn clear(&mut self) -> Option<Interrupted> {
        let dropped_ms = self.queue.len() as u64 / SAMPLES_PER_MS;
        self.queue.clear();
        let mut heard: Option<Item> = None;
        while let Some(item) = self.items.pop_front() {
            if !self.is_muted(&item.id) {
                self.mute(&item.id);
            }
            // The first with audio left is being heard; without one, the last that was sent.
            if heard.as_ref().is_none_or(|heard| heard.queued == 0) {
                heard = Some(item);
            }
        }
        heard.map(|item| Interrupted {
            item_id: item.id,
            content_index: item.content_index,
            heard_ms: item.sent / SAMPLES_PER_MS,
            received_ms: item.received / SAMPLES_PER_MS,
            dropped_ms,
        })
    }

    /// How many samples wait to be sent.
    #[must_use]
    pub fn queued_samples(&self) -> usize {
        self.queue.len()
    }

    /// How much audio waits to be sent, in milliseconds, rounded up: zero means none.
    #[must_use]
    pub fn queued_ms(&self) -> u64 {
        (self.queue.len() as u64).div_ceil(SAMPLES_PER_MS)
    }

    /// Whether nothing more comes of the newest item.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.items.back().is_some_and(|item| item.done)
    }

    /// Whether the item was interrupted, as far as is remembered.
    #[must_use]
    pub fn is_muted(&self, item_id: &str) -> bool {
        self.muted.iter().any(|muted| muted == bounded(item_id))
    }

    fn room(&self) -> usize {
        MAX_QUEUED_SAMPLES.saturating_sub(self.queue.len())
    }

    fn mute(&mut self, id: &str) {
        let mut slot =
            if self.muted.len() < MAX_MUTED { None } else { self.muted.pop_front() }.unwrap_or_default();
        slot.clear();
        slot.push_str(id);
        self.muted.push_back(slot);
    }
}

/// The leading part of an id that is at most [`MAX_ITEM_ID_BYTES`] long.
pub(crate) fn bounded(id: &str) -> &str {
    id.get(..id.floor_char_boundary(MAX_ITEM_ID_BYTES)).unwrap_or(id)
}
