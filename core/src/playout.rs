//! The queue of the model's audio, and the ledger of what of it was really sent.
//!
//! Both count samples as they were received from the model, at the model's rate. The ledger is what a
//! truncation at barge-in rests on: never more than was sent, and never a resampled count. It also knows what
//! the agent said in letters, so that it can tell what of that was heard.

use crate::format::ModelFormat;
use crate::transcript::Transcript;
use std::collections::VecDeque;

/// The most audio that waits to be sent, in milliseconds: five minutes, longer than any answer.
pub const MAX_QUEUED_MS: u64 = 300_000;

/// The most items that wait to be sent; a response has one or two.
pub const MAX_ITEMS: usize = 64;

/// How many items that nobody heard are named at a barge-in; a response has one or two.
pub const MAX_UNHEARD: usize = 8;

/// How many interrupted items are remembered, so that what still comes of them is dropped: all that one
/// interruption can cut off, and as many from before.
pub const MAX_MUTED: usize = 2 * MAX_ITEMS;

/// How many items that were heard to their end are remembered, so that what still comes of their text is dropped.
const MAX_RETIRED: usize = 16;

/// The longest item id that is told from others, in bytes; OpenAI's have about 30.
pub const MAX_ITEM_ID_BYTES: usize = 128;

/// How much room an empty queue keeps, in milliseconds; what a long answer took beyond it is given back.
const KEPT_ROOM_MS: u64 = 20_000;

/// The audio queue and its ledger.
#[derive(Debug)]
pub struct Playout {
    format: ModelFormat,
    /// Whole samples, as the model wrote them.
    queue: VecDeque<u8>,
    /// In the order of the queue. Those before the one that was sent last are gone.
    items: VecDeque<Item>,
    muted: Names<MAX_MUTED>,
    /// Those that were told and forgotten last: text that still comes of them begins no new one.
    retired: Names<MAX_RETIRED>,
    /// Those of them of which something was heard: what still comes of their audio is not all that there is of them.
    heard: Names<MAX_RETIRED>,
}

/// Whose audio an item is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Source {
    /// The session's that is under way: the server knows the item.
    Session,
    /// A former session's. It is heard to its end, and the server of today knows nothing of it.
    Former,
    /// The bridge's own: a prompt. It is nobody's words.
    Own {
        /// It makes room as soon as the agent speaks.
        yields: bool,
    },
}

/// The names that were noted last, at most `MOST` of them.
#[derive(Debug, Default)]
struct Names<const MOST: usize>(VecDeque<String>);

/// One part of one item, in samples.
#[derive(Debug)]
struct Item {
    source: Source,
    id: String,
    content_index: u32,
    received: u64,
    queued: u64,
    sent: u64,
    /// Whether its end was dropped because the queue was full.
    cut: bool,
    done: bool,
    text_done: bool,
    /// Whether nothing more comes of it, complete or not: its session is over.
    ended: bool,
    /// Whether [`Playout::next_said`] has given it.
    told: bool,
    transcript: Transcript,
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

/// A part of an item that is being heard, or was, with what was heard of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Said<'a> {
    /// The item.
    pub item_id: &'a str,
    /// The part of it.
    pub content_index: u32,
    /// How much of it was sent, in milliseconds, rounded down.
    pub heard_ms: u64,
    /// How much of it was received, in milliseconds, rounded down; never less than was heard.
    pub received_ms: u64,
    /// Whether all audio of the part had come. If not, the model made more of it than was received.
    pub is_complete: bool,
    /// Whether it is of a session that is over: the server of today does not know the item.
    pub is_former: bool,
    /// What was said in the part that was heard, up to the last whole word.
    pub text: &'a str,
    /// All that the model said in it, as far as it has come.
    pub said: &'a str,
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
    /// Whether it is of a session that is over: the server of today does not know the item.
    pub is_former: bool,
    /// The items behind it of which nothing was sent, at most [`MAX_UNHEARD`], without those of former sessions.
    pub unheard: Vec<String>,
}

impl Item {
    fn new(source: Source, id: &str, content_index: u32) -> Self {
        Self {
            source,
            id: id.to_owned(),
            content_index,
            received: 0,
            queued: 0,
            sent: 0,
            cut: false,
            done: false,
            text_done: false,
            ended: false,
            told: false,
            transcript: Transcript::default(),
        }
    }

    fn is(&self, id: &str, content_index: u32) -> bool {
        self.source == Source::Session && self.content_index == content_index && self.id == id
    }

    /// Whether it is a part of the same item. The names of a former session say nothing in this one.
    fn is_of(&self, other: &Self) -> bool {
        self.source == other.source && self.id == other.id
    }

    fn is_own(&self) -> bool {
        matches!(self.source, Source::Own { .. })
    }

    fn said(&self, samples_per_ms: u64) -> Said<'_> {
        Said {
            item_id: &self.id,
            content_index: self.content_index,
            heard_ms: self.sent / samples_per_ms,
            received_ms: self.received / samples_per_ms,
            is_complete: self.done,
            is_former: self.source == Source::Former,
            text: self.transcript.heard(self.sent, self.received, self.done),
            said: self.transcript.text(),
        }
    }
}

impl<const MOST: usize> Names<MOST> {
    fn has(&self, id: &str) -> bool {
        self.0.iter().any(|name| name == id)
    }

    /// One without a name cannot be told from others, so it is never noted.
    fn note(&mut self, id: &str) {
        if id.is_empty() || self.has(id) {
            return;
        }
        let mut name = if self.0.len() < MOST { None } else { self.0.pop_front() }.unwrap_or_default();
        name.clear();
        name.push_str(id);
        self.0.push_back(name);
    }
}

impl Playout {
    /// An empty queue for audio in this format.
    #[must_use]
    pub fn new(format: ModelFormat) -> Self {
        Self {
            format,
            queue: VecDeque::new(),
            items: VecDeque::new(),
            muted: Names::default(),
            retired: Names::default(),
            heard: Names::default(),
        }
    }

    /// Appends audio of a part of an item: whole samples as the model wrote them; half a sample at the end is
    /// left out. Allocates for a new item and while the queue grows, at no other time.
    pub fn push(&mut self, item_id: &str, content_index: u32, audio: &[u8]) -> Pushed {
        let id = bounded(item_id);
        if self.muted.has(id) {
            return Pushed::Muted;
        }
        let samples = audio.len() / self.format.sample_bytes();
        let room = self.room();
        let fits = match self.newest(id, content_index) {
            Some(item) => {
                // Once its end was cut off, nothing more of the item is taken: no hole in mid-sentence.
                let fits = if item.cut { 0 } else { room.min(samples) };
                item.cut |= fits < samples;
                item.received = item.received.saturating_add(samples as u64);
                item.queued += fits as u64;
                fits
            }
            None => 0,
        };
        self.queue.extend(audio.iter().take(fits * self.format.sample_bytes()));
        match samples - fits {
            0 => Pushed::Queued,
            dropped => Pushed::Full { dropped_ms: (dropped as u64).div_ceil(self.samples_per_ms()) },
        }
    }

    /// Appends a sound of the bridge's own, in the model's format, as far as there is room. It is heard, and in no
    /// other way it counts as anything that the agent has said. `yields` says whether it makes room when the agent speaks.
    pub fn push_own(&mut self, audio: &[u8], yields: bool) {
        let samples = self.room().min(audio.len() / self.format.sample_bytes());
        if samples == 0 || self.items.len() >= MAX_ITEMS {
            return;
        }
        let mut item = Item::new(Source::Own { yields }, "", 0);
        (item.received, item.queued) = (samples as u64, samples as u64);
        (item.done, item.text_done, item.told) = (true, true, true);
        self.items.push_back(item);
        self.queue.extend(audio.iter().take(samples * self.format.sample_bytes()));
    }

    /// Drops what yields of the bridge's own sounds. Returns whether there was any.
    pub fn make_room(&mut self) -> bool {
        let mut before = 0;
        let mut found = false;
        for item in &mut self.items {
            let bytes = item.queued as usize * self.format.sample_bytes();
            if bytes > 0 && item.source == (Source::Own { yields: true }) {
                self.queue.drain(before..(before + bytes).min(self.queue.len()));
                item.queued = 0;
                found = true;
            } else {
                before += bytes;
            }
        }
        self.forget_own();
        found
    }

    /// Whether the next sample to be sent is of the bridge's own.
    #[must_use]
    pub fn is_own_next(&self) -> bool {
        self.items.iter().find(|item| item.queued > 0).is_some_and(Item::is_own)
    }

    /// The session is over: what has come of it is heard to its end, and nothing more comes. Names of the next one may
    /// be the same and mean others.
    pub fn session_ends(&mut self) {
        for item in self.items.iter_mut().filter(|item| item.source == Source::Session) {
            item.source = Source::Former;
            item.ended = true;
        }
        self.muted = Names::default();
        self.retired = Names::default();
        self.heard = Names::default();
    }

    /// A sound of the bridge's own is of no interest once it was sent.
    fn forget_own(&mut self) {
        self.items.retain(|item| item.queued > 0 || !item.is_own());
    }

    /// Notes a piece of what is said in a part of an item, when it comes. The text of an interrupted item is
    /// dropped like its audio.
    pub fn push_text(&mut self, item_id: &str, content_index: u32, text: &str) {
        let id = bounded(item_id);
        if self.muted.has(id) {
            return;
        }
        // The text of a part may come behind its audio, and then the part may not be the newest any more.
        let item = match self.find(id, content_index) {
            Some(at) => self.items.get_mut(at),
            None if self.retired.has(id) => None,
            None => self.newest(id, content_index),
        };
        if let Some(item) = item {
            item.transcript.push(item.received, text);
        }
    }

    /// Notes that no more text comes of a part of an item; `text` is all of it, for servers that send it once.
    pub fn text_done(&mut self, item_id: &str, content_index: u32, text: &str) {
        let known = self.find(bounded(item_id), content_index);
        if let Some(item) = known.and_then(|at| self.items.get_mut(at)) {
            item.text_done = true;
            if item.transcript.text().is_empty() {
                item.transcript.push(item.received, text);
            }
        }
    }

    /// Notes that no more audio comes of a part of an item.
    pub fn done(&mut self, item_id: &str, content_index: u32) {
        let known = self.find(bounded(item_id), content_index);
        if let Some(item) = known.and_then(|at| self.items.get_mut(at)) {
            item.done = true;
        }
    }

    /// Notes that nothing more comes of any item: the response is done.
    pub fn all_done(&mut self) {
        self.items.iter_mut().for_each(|item| (item.done, item.text_done) = (true, true));
    }

    /// Appends the next 20 ms to `frame`, or what there is of them, and says how many samples that is. What it
    /// gives counts as sent.
    pub fn next_frame(&mut self, frame: &mut Vec<u8>) -> usize {
        let taken = self.queue.len().min(self.format.frame_bytes());
        frame.extend(self.queue.drain(..taken));
        let taken = taken / self.format.sample_bytes();
        let mut left = taken as u64;
        for item in self.items.iter_mut().filter(|item| item.queued > 0) {
            let part = item.queued.min(left);
            item.queued -= part;
            item.sent += part;
            left -= part;
            if left == 0 {
                break;
            }
        }
        if self.items.iter().any(|item| item.is_own() && item.queued == 0) {
            self.forget_own();
        }
        if self.queue.is_empty() {
            self.give_room_back();
        }
        taken
    }

    /// Gives each part of an item once, when all of it was heard that ever will be: it was sent to its end, or
    /// the next one was begun, or the call `is_over` and nothing more is sent. To be called until `None`.
    pub fn next_said(&mut self, is_over: bool) -> Option<Said<'_>> {
        let last_begun = self.last_begun()?;
        // Those that were told are of no more use once the next one is being heard.
        let retired = self.items.iter().take(last_begun).take_while(|item| item.told || item.sent == 0);
        let retired = retired.filter(|item| item.queued == 0).count();
        for item in self.items.drain(..retired).filter(|item| item.source == Source::Session) {
            self.retired.note(&item.id);
            if item.sent > 0 {
                self.heard.note(&item.id);
            }
        }
        let last_begun = last_begun - retired;
        let samples_per_ms = self.samples_per_ms();
        let begun = self.items.iter_mut().take(last_begun + 1).enumerate();
        let is_heard = |at: usize, item: &Item| {
            let is_over_by_itself = item.ended || item.done && item.text_done;
            let is_sent = item.queued == 0 && (is_over_by_itself || at < last_begun);
            !item.told && item.sent > 0 && (is_sent || is_over)
        };
        let (at, item) = begun.into_iter().find(|(at, item)| is_heard(*at, item))?;
        item.told = true;
        // A server that goes on to the next one has ended this one, whether it said so or not.
        item.done |= at < last_begun;
        Some(item.said(samples_per_ms))
    }

    /// What was heard of a part of an item up to now; `None` if it is not known, or not any more.
    #[must_use]
    pub fn said(&self, item_id: &str, content_index: u32) -> Option<Said<'_>> {
        let item = self.items.get(self.find(bounded(item_id), content_index)?)?;
        Some(item.said(self.samples_per_ms()))
    }

    /// Drops what is queued and mutes every item that it knows of, so that nothing of them is heard any more.
    /// Gives the item that was being heard, or was heard last, with the unheard ones behind it; `None` if there
    /// was none.
    pub fn clear(&mut self) -> Option<Interrupted> {
        let samples_per_ms = self.samples_per_ms();
        let dropped = self.queue.len() / self.format.sample_bytes();
        self.queue.clear();
        self.give_room_back();
        self.items.retain(|item| !item.is_own());
        let (heard, is_cut_before) = self.being_heard();
        let items = core::mem::take(&mut self.items);
        let of_session = |item: &&Item| item.source == Source::Session;
        items.iter().filter(of_session).for_each(|item| self.muted.note(&item.id));
        let item = items.get(heard)?;
        // Its parts may lie anywhere among those of others.
        let is_heard = |next: &Item| items.iter().any(|part| part.sent > 0 && part.is_of(next));
        let mut unheard: Vec<String> = Vec::new();
        for next in items.iter().skip(heard + 1).filter(of_session) {
            let was_heard = next.is_of(item) || is_heard(next) || self.heard.has(&next.id);
            if !was_heard && unheard.len() < MAX_UNHEARD && !unheard.contains(&next.id) {
                unheard.push(next.id.clone());
            }
        }
        let Said { heard_ms, received_ms, is_complete, is_former, .. } = item.said(samples_per_ms);
        Some(Interrupted {
            heard_ms,
            received_ms,
            is_complete: is_complete && !is_cut_before,
            is_former,
            dropped_ms: dropped as u64 / samples_per_ms,
            content_index: item.content_index,
            item_id: item.id.clone(),
            unheard,
        })
    }

    /// The place of the agent's part that was begun last. A sound of the bridge's own ends no part: more may come of it.
    fn last_begun(&self) -> Option<usize> {
        self.items.iter().rposition(|item| item.sent > 0 && !item.is_own())
    }

    /// The place of the part that is being heard, or was heard last, and whether more of its item lies behind it. An
    /// item of which a part was heard is cut at the end of that part: it cannot be taken back as a whole.
    fn being_heard(&self) -> (usize, bool) {
        // The first with audio left; without one, the last that was sent; and if nothing was sent at all, the one
        // that would have come first.
        let first = self.items.iter().position(|item| item.queued > 0);
        let last_sent = self.items.iter().rposition(|item| item.sent > 0);
        let heard = first.or(last_sent).unwrap_or(0);
        let cut_before = self.items.get(heard).filter(|item| item.sent == 0).and_then(|item| {
            let before = self.items.iter().take(heard);
            before.clone().rposition(|before| before.sent > 0 && before.is_of(item) && !item.id.is_empty())
        });
        (cut_before.unwrap_or(heard), cut_before.is_some())
    }

    /// Mutes an item of which nothing has come yet. Returns whether it was not muted before; one without a name
    /// cannot be muted.
    pub fn mute_item(&mut self, item_id: &str) -> bool {
        let id = bounded(item_id);
        let is_news = !id.is_empty() && !self.muted.has(id);
        self.muted.note(id);
        is_news
    }

    /// How many samples wait to be sent.
    #[must_use]
    pub fn queued_samples(&self) -> usize {
        self.queue.len() / self.format.sample_bytes()
    }

    /// How much audio waits to be sent, in milliseconds, rounded up: zero means none.
    #[must_use]
    pub fn queued_ms(&self) -> u64 {
        (self.queued_samples() as u64).div_ceil(self.samples_per_ms())
    }

    /// Whether nothing more comes of the newest item.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.items.back().is_some_and(|item| item.done || item.ended)
    }

    /// Whether the item was interrupted, as far as is remembered.
    #[must_use]
    pub fn is_muted(&self, item_id: &str) -> bool {
        self.muted.has(bounded(item_id))
    }

    fn samples_per_ms(&self) -> u64 {
        u64::from(self.format.sample_rate() / 1000)
    }

    /// How many samples still fit into the queue.
    fn room(&self) -> usize {
        ((MAX_QUEUED_MS * self.samples_per_ms()) as usize).saturating_sub(self.queued_samples())
    }

    fn give_room_back(&mut self) {
        let kept = (KEPT_ROOM_MS * self.samples_per_ms()) as usize * self.format.sample_bytes();
        if self.queue.capacity() > kept {
            self.queue.shrink_to(kept);
        }
    }

    fn find(&self, id: &str, content_index: u32) -> Option<usize> {
        self.items.iter().rposition(|item| item.is(id, content_index))
    }

    /// This part of this item, if it is the newest or can be begun.
    fn newest(&mut self, id: &str, content_index: u32) -> Option<&mut Item> {
        if !self.items.back().is_some_and(|item| item.is(id, content_index)) {
            if self.items.len() >= MAX_ITEMS {
                // One that waits for nothing makes room: text without audio, or one that was heard; but not the one
                // that was heard last, which an interruption would be about.
                let last_sent = self.last_begun();
                let is_idle = |at: usize, item: &Item| item.queued == 0 && Some(at) != last_sent;
                let idle = self.items.iter().enumerate().position(|(at, item)| is_idle(at, item))?;
                self.items.remove(idle);
            }
            self.items.push_back(Item::new(Source::Session, id, content_index));
        }
        self.items.back_mut()
    }
}

/// The leading part of an id that is at most [`MAX_ITEM_ID_BYTES`] long.
pub(crate) fn bounded(id: &str) -> &str {
    id.get(..id.floor_char_boundary(MAX_ITEM_ID_BYTES)).unwrap_or(id)
}

#[cfg(test)]
mod tests;
