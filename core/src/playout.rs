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

/// How many items that nobody heard are named at a barge-in; a response has one or two.
pub const MAX_UNHEARD: usize = 8;

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
    /// Whether all audio of that part had come. If not, the model made more of it than was received.
    pub is_complete: bool,
    /// The items behind it of which nothing was sent, at most [`MAX_UNHEARD`].
    pub unheard: Vec<String>,
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
    /// Gives the item that was being heard, or was heard last, with the unheard ones behind it; `None` if there
    /// was none.
    pub fn clear(&mut self) -> Option<Interrupted> {
        let dropped_ms = self.queue.len() as u64 / SAMPLES_PER_MS;
        self.queue.clear();
        let mut heard: Option<Item> = None;
        let mut unheard: Vec<String> = Vec::new();
        while let Some(item) = self.items.pop_front() {
            self.mute(&item.id);
            // The first with audio left is being heard; without one, the last that was sent.
            match &heard {
                Some(heard) if heard.queued > 0 => {
                    let is_new = heard.id != item.id && !unheard.contains(&item.id);
                    if is_new && unheard.len() < MAX_UNHEARD {
                        unheard.push(item.id);
                    }
                }
                _ => heard = Some(item),
            }
        }
        heard.map(|item| Interrupted {
            item_id: item.id,
            content_index: item.content_index,
            heard_ms: item.sent / SAMPLES_PER_MS,
            received_ms: item.received / SAMPLES_PER_MS,
            dropped_ms,
            is_complete: item.done,
            unheard,
        })
    }

    /// Notes that nothing more comes of any item: the response is done.
    pub fn all_done(&mut self) {
        self.items.iter_mut().for_each(|item| item.done = true);
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

    /// An item without a name cannot be told from others, so it is never muted.
    fn mute(&mut self, id: &str) {
        if id.is_empty() || self.is_muted(id) {
            return;
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FRAME: usize = MODEL_FRAME_SAMPLES;

    fn frame(playout: &mut Playout) -> ([i16; FRAME], usize) {
        let mut frame = [-1; FRAME];
        let taken = playout.next_frame(&mut frame);
        (frame, taken)
    }

    #[test]
    fn frames_come_in_order_and_the_last_is_filled_with_silence() {
        let mut playout = Playout::new();
        assert_eq!(playout.push("a", 0, &[1; 400]), Pushed::Queued);
        assert_eq!(playout.push("a", 0, &[2; 200]), Pushed::Queued);
        let (first, taken) = frame(&mut playout);
        assert_eq!((taken, first[399], first[400], first[479]), (FRAME, 1, 2, 2));
        let (last, taken) = frame(&mut playout);
        assert_eq!((taken, last[119], last[120], last[479]), (120, 2, 0, 0));
        assert_eq!(frame(&mut playout), ([0; FRAME], 0));
    }

    #[test]
    fn barge_in_tells_what_was_heard_of_what_was_received() {
        let mut playout = Playout::new();
        playout.push("a", 0, &[1; 24 * 100]);
        frame(&mut playout);
        frame(&mut playout);
        let cut = playout.clear().unwrap();
        assert_eq!((cut.item_id.as_str(), cut.content_index), ("a", 0));
        assert_eq!((cut.heard_ms, cut.received_ms, cut.dropped_ms), (40, 100, 60));
        assert_eq!(playout.queued_ms(), 0);
        assert_eq!(playout.clear(), None);
    }

    #[test]
    fn what_still_comes_of_an_interrupted_item_is_dropped_and_the_next_item_is_heard() {
        let mut playout = Playout::new();
        playout.push("a", 0, &[1; 2400]);
        playout.push("b", 0, &[2; 2400]);
        frame(&mut playout);
        let cut = playout.clear().unwrap();
        assert_eq!((cut.item_id.as_str(), cut.unheard), ("a", vec!["b".to_owned()]));
        assert_eq!(playout.push("a", 0, &[3; 2400]), Pushed::Muted);
        assert_eq!(playout.push("b", 1, &[3; 2400]), Pushed::Muted);
        assert_eq!(playout.push("c", 0, &[4; 2400]), Pushed::Queued);
        assert_eq!(frame(&mut playout).0, [4; FRAME]);
    }

    #[test]
    fn the_ledger_follows_the_queue_from_item_to_item() {
        let mut playout = Playout::new();
        playout.push("a", 0, &[1; 24 * 30]);
        playout.push("a", 1, &[1; 24 * 30]);
        playout.push("b", 0, &[1; 24 * 30]);
        frame(&mut playout);
        frame(&mut playout);
        let cut = playout.clear().unwrap();
        assert_eq!((cut.item_id.as_str(), cut.content_index), ("a", 1));
        assert_eq!((cut.heard_ms, cut.received_ms, cut.dropped_ms), (10, 30, 50));
    }

    #[test]
    fn between_two_items_it_is_the_next_one_that_is_cut() {
        let mut playout = Playout::new();
        playout.push("a", 0, &[1; FRAME]);
        playout.push("b", 0, &[1; FRAME]);
        frame(&mut playout);
        let cut = playout.clear().unwrap();
        assert_eq!((cut.item_id.as_str(), cut.heard_ms, cut.received_ms, cut.dropped_ms), ("b", 0, 20, 20));
    }

    #[test]
    fn an_item_heard_to_its_end_is_the_last_one_heard() {
        let mut playout = Playout::new();
        playout.push("a", 0, &[1; 250]);
        frame(&mut playout);
        let cut = playout.clear().unwrap();
        assert_eq!((cut.heard_ms, cut.received_ms, cut.dropped_ms), (10, 10, 0));
    }

    #[test]
    fn a_full_queue_drops_the_end_of_the_item_and_says_so() {
        let mut playout = Playout::new();
        let minute = vec![1; 24 * 60_000];
        for _ in 0..5 {
            assert_eq!(playout.push("a", 0, &minute), Pushed::Queued);
        }
        assert_eq!(playout.queued_ms(), MAX_QUEUED_MS);
        assert_eq!(playout.push("a", 0, &[1; 25]), Pushed::Full { dropped_ms: 2 });
        frame(&mut playout);
        assert_eq!(playout.push("a", 0, &[1; 24]), Pushed::Full { dropped_ms: 1 }, "no hole in mid-item");
        assert_eq!(playout.push("b", 0, &[1; 24]), Pushed::Queued);
        assert_eq!(playout.clear().unwrap().heard_ms, 20);
    }

    #[test]
    fn neither_items_nor_muted_names_grow_without_bound() {
        let mut playout = Playout::new();
        let long = "x".repeat(100_000);
        for n in 0..1000 {
            playout.push(&format!("{n}{long}"), 0, &[1]);
        }
        assert_eq!((playout.items.len(), playout.queue.len()), (MAX_ITEMS, MAX_ITEMS));
        playout.clear();
        assert_eq!(playout.muted.len(), MAX_MUTED);
        assert!(playout.muted.iter().all(|id| id.len() <= MAX_ITEM_ID_BYTES));
        assert_eq!(
            playout.push(&format!("63{long}"), 0, &[1]),
            Pushed::Muted,
            "a cut name is told from others"
        );
    }

    proptest! {
        /// Whatever is pushed, sent and cleared in whatever order: heard <= received, and no sample is made or lost.
        #[test]
        fn the_ledger_balances(story in proptest::collection::vec((0u8..8, 0u8..5, 0usize..3000), 1..80)) {
            let mut playout = Playout::new();
            let (mut queued, mut sent) = (0, 0);
            for (what, item, samples) in story {
                match what {
                    0 => {
                        if let Some(cut) = playout.clear() {
                            prop_assert!(cut.heard_ms <= cut.received_ms);
                            prop_assert_eq!(cut.dropped_ms, (queued - sent) as u64 / SAMPLES_PER_MS);
                        }
                        (queued, sent) = (0, 0);
                    }
                    1..=3 => sent += frame(&mut playout).1,
                    _ => if playout.push(&item.to_string(), 0, &vec![1; samples]) == Pushed::Queued {
                        queued += samples;
                    },
                }
                prop_assert_eq!(playout.queue.len(), queued - sent);
                prop_assert_eq!(playout.items.iter().map(|item| item.queued).sum::<u64>(), (queued - sent) as u64);
            }
        }
    }
}
