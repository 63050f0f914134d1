//! The queue as a list of runs of numbered samples, beside the one that is tested.

use ari_bridge_core::format::ModelFormat;
use ari_bridge_core::playout::{Interrupted, MAX_QUEUED_MS, MAX_UNHEARD, Playout, Pushed};
use ari_bridge_tests::generators::talk::Step;
use proptest::prelude::*;
use std::collections::{BTreeSet, VecDeque};

/// So many parts are known at most before the caller cuts in: that the queue has room for few more is another story.
const MOST_PARTS: usize = 56;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Whose {
    Session,
    Former,
    Own { yields: bool },
}

/// A part of an item, in samples.
#[derive(Debug)]
struct Part {
    whose: Whose,
    name: String,
    index: u32,
    received: usize,
    sent: usize,
    waiting: usize,
    is_cut: bool,
    is_told: bool,
}

/// Samples that wait, which bear the numbers from `first` on.
#[derive(Debug)]
struct Run {
    part: usize,
    first: usize,
    len: usize,
}

/// A queue, and what must be in it.
pub(super) struct Story {
    playout: Playout,
    format: ModelFormat,
    per_ms: usize,
    runs: VecDeque<Run>,
    parts: Vec<Part>,
    /// How many samples were made: the number of the next one.
    made: usize,
    /// Of the items of this session: those that the last cut must have muted, those that may be muted, those heard.
    must_mute: BTreeSet<String>,
    may_mute: BTreeSet<String>,
    heard: BTreeSet<String>,
}

/// The bytes of the samples with these numbers.
fn numbered(format: ModelFormat, first: usize, len: usize) -> Vec<u8> {
    let numbers = first..first + len;
    match format.sample_bytes() {
        1 => numbers.map(|n| (n ^ n >> 8) as u8).collect(),
        _ => numbers.flat_map(|n| (n as u16).to_le_bytes()).collect(),
    }
}

impl Story {
    /// An empty one.
    pub(super) fn new(format: ModelFormat) -> Self {
        Self {
            playout: Playout::new(format),
            format,
            per_ms: format.sample_rate() as usize / 1000,
            runs: VecDeque::new(),
            parts: Vec::new(),
            made: 0,
            must_mute: BTreeSet::new(),
            may_mute: BTreeSet::new(),
            heard: BTreeSet::new(),
        }
    }

    fn waiting(&self) -> usize {
        self.runs.iter().map(|run| run.len).sum()
    }

    fn room(&self) -> usize {
        MAX_QUEUED_MS as usize * self.per_ms - self.waiting()
    }

    fn begin(&mut self, whose: Whose, name: String, index: u32) -> usize {
        let part = Part {
            whose,
            name,
            index,
            received: 0,
            sent: 0,
            waiting: 0,
            is_cut: false,
            is_told: whose != Whose::Session,
        };
        self.parts.push(part);
        self.parts.len() - 1
    }

    /// The newest part, if it is this one; else it begins anew. A sound of the bridge's own counts while it waits.
    fn newest(&mut self, name: &str, index: u32) -> usize {
        let is_there = |part: &Part| part.waiting > 0 || !matches!(part.whose, Whose::Own { .. });
        let newest = self.parts.iter().rposition(is_there);
        let is_it = |part: &Part| part.whose == Whose::Session && part.name == name && part.index == index;
        match newest.filter(|&at| is_it(&self.parts[at])) {
            Some(at) => at,
            None => self.begin(Whose::Session, name.to_owned(), index),
        }
    }

    fn put(&mut self, part: usize, len: usize) {
        if len > 0 {
            self.runs.push_back(Run { part, first: self.made, len });
            self.parts[part].waiting += len;
        }
    }

    /// One thing happens.
    pub(super) fn tell(&mut self, step: &Step) -> Result<(), TestCaseError> {
        if self.parts.len() >= MOST_PARTS {
            self.cut_in()?;
        }
        let named = |item: usize| format!("item{item}");
        match *step {
            Step::Delta { item, part, bytes } => self.delta(named(item), part, bytes)?,
            Step::Word { item, part } => {
                let (name, known) = (named(item), self.playout.said(&named(item), part).is_some());
                self.playout.push_text(&name, part, " word");
                if !known && self.playout.said(&name, part).is_some() {
                    self.newest(&name, part);
                }
            }
            Step::Done { item, part, text: true } => self.playout.text_done(&named(item), part, "all"),
            Step::Done { item, part, text: false } => self.playout.done(&named(item), part),
            Step::AllDone => self.playout.all_done(),
            Step::Own { bytes, yields } => {
                let samples = bytes / self.format.sample_bytes();
                self.playout.push_own(&numbered(self.format, self.made, samples), yields);
                let fits = samples.min(self.room());
                if fits > 0 {
                    let part = self.begin(Whose::Own { yields }, String::new(), 0);
                    self.put(part, fits);
                }
                self.made += samples;
            }
            Step::MakeRoom => {
                let yields = |part: &Part| part.whose == (Whose::Own { yields: true });
                let before = self.runs.len();
                self.runs.retain(|run| !yields(&self.parts[run.part]));
                self.parts.iter_mut().filter(|part| yields(part)).for_each(|part| part.waiting = 0);
                prop_assert_eq!(self.playout.make_room(), self.runs.len() < before);
            }
            Step::Frames(frames) => (0..frames).try_for_each(|_| self.frame())?,
            Step::Told => self.told(false)?,
            Step::CutIn => self.cut_in()?,
            Step::Mute { item } => {
                self.playout.mute_item(&named(item));
                prop_assert!(self.playout.is_muted(&named(item)));
                self.may_mute.insert(named(item));
            }
            Step::SessionEnds => {
                self.playout.session_ends();
                let of_session = self.parts.iter_mut().filter(|part| part.whose == Whose::Session);
                of_session.for_each(|part| part.whose = Whose::Former);
                self.must_mute.clear();
                self.may_mute.clear();
                self.heard.clear();
            }
        }
        self.agrees()
    }

    /// What can be asked at any time.
    fn agrees(&self) -> Result<(), TestCaseError> {
        let waiting = self.waiting();
        prop_assert_eq!(self.playout.queued_samples(), waiting);
        prop_assert_eq!(self.playout.queued_ms(), waiting.div_ceil(self.per_ms) as u64);
        prop_assert!(waiting <= MAX_QUEUED_MS as usize * self.per_ms);
        let is_own =
            self.runs.front().is_some_and(|run| matches!(self.parts[run.part].whose, Whose::Own { .. }));
        prop_assert_eq!(self.playout.is_own_next(), is_own);
        for (at, part) in self.parts.iter().enumerate().filter(|(_, part)| part.whose == Whose::Session) {
            let same = |other: &Part| {
                other.whose == part.whose && other.name == part.name && other.index == part.index
            };
            if self.parts[at + 1..].iter().any(same) {
                continue;
            }
            match self.playout.said(&part.name, part.index) {
                Some(said) => prop_assert_eq!(
                    (said.heard_ms, said.received_ms),
                    ((part.sent / self.per_ms) as u64, (part.received / self.per_ms) as u64)
                ),
                None => prop_assert!(part.waiting == 0, "{} is forgotten before it is heard", part.name),
            }
        }
        Ok(())
    }

    fn delta(&mut self, name: String, index: u32, bytes: usize) -> Result<(), TestCaseError> {
        let samples = bytes / self.format.sample_bytes();
        let mut audio = numbered(self.format, self.made, samples);
        // Half a sample is left out.
        audio.resize(bytes, 0xEE);
        let pushed = self.playout.push(&name, index, &audio);
        if pushed == Pushed::Muted {
            prop_assert!(self.may_mute.contains(&name), "{} is muted, and nobody cut it off", name);
            return Ok(());
        }
        prop_assert!(!self.must_mute.contains(&name), "{} was cut off and is taken again", name);
        let room = self.room();
        let at = self.newest(&name, index);
        let part = &mut self.parts[at];
        let fits = if part.is_cut { 0 } else { samples.min(room) };
        part.is_cut |= fits < samples;
        part.received += samples;
        let dropped_ms = (samples - fits).div_ceil(self.per_ms) as u64;
        let expected = if fits < samples { Pushed::Full { dropped_ms } } else { Pushed::Queued };
        prop_assert_eq!(pushed, expected);
        self.put(at, fits);
        self.made += samples;
        Ok(())
    }

    /// What comes out is what went in, in its order.
    fn frame(&mut self) -> Result<(), TestCaseError> {
        let mut frame = b"before".to_vec();
        let taken = self.playout.next_frame(&mut frame);
        let (mut expected, mut left) =
            (b"before".to_vec(), self.format.frame_bytes() / self.format.sample_bytes());
        while let Some(run) = self.runs.front_mut().filter(|_| left > 0) {
            let some = run.len.min(left);
            expected.extend(numbered(self.format, run.first, some));
            (run.first, run.len, left) = (run.first + some, run.len - some, left - some);
            let part = &mut self.parts[run.part];
            (part.waiting, part.sent) = (part.waiting - some, part.sent + some);
            if part.whose == Whose::Session {
                self.heard.insert(part.name.clone());
            }
            if run.len == 0 {
                self.runs.pop_front();
            }
        }
        prop_assert_eq!((&frame, taken), (&expected, (expected.len() - 6) / self.format.sample_bytes()));
        Ok(())
    }

    /// Each part is told once, with what was heard of it.
    fn told(&mut self, is_over: bool) -> Result<(), TestCaseError> {
        let most = self.parts.len();
        for _ in 0..=most {
            let Some(said) = self.playout.next_said(is_over) else { return Ok(()) };
            let is_it = |part: &Part| {
                (part.whose == Whose::Former) == said.is_former
                    && part.name == said.item_id
                    && part.index == said.content_index
            };
            let untold = self.parts.iter_mut().find(|part| !part.is_told && part.sent > 0 && is_it(part));
            let Some(part) = untold else {
                return Err(TestCaseError::fail(format!("{said:?} is told again")));
            };
            part.is_told = true;
            prop_assert_eq!(said.heard_ms, (part.sent / self.per_ms) as u64);
            prop_assert_eq!(said.received_ms, (part.received / self.per_ms) as u64);
            prop_assert!(is_over || part.waiting == 0, "{} is told before it was heard", part.name);
        }
        Err(TestCaseError::fail("it is told for ever"))
    }

    fn cut_in(&mut self) -> Result<(), TestCaseError> {
        let dropped_ms = (self.waiting() / self.per_ms) as u64;
        let cut = self.playout.clear();
        let is_own = |part: &Part| matches!(part.whose, Whose::Own { .. });
        let waits = self.runs.iter().map(|run| &self.parts[run.part]).find(|part| !is_own(part));
        prop_assert!(cut.is_some() || waits.is_none(), "something was dropped, and nothing is told");
        if let Some(cut) = &cut {
            let Interrupted { item_id, content_index, heard_ms, received_ms, is_former, unheard, .. } = cut;
            prop_assert_eq!(cut.dropped_ms, dropped_ms);
            prop_assert!(heard_ms <= received_ms);
            if let Some(head) = waits {
                prop_assert_eq!((&head.name, head.whose == Whose::Former), (item_id, *is_former));
            }
            let told = |part: &Part| {
                part.name == *item_id
                    && part.index == *content_index
                    && part.sent / self.per_ms == *heard_ms as usize
                    && part.received / self.per_ms == *received_ms as usize
            };
            prop_assert!(self.parts.iter().any(told), "no part is {:?}", cut);
            for name in unheard {
                prop_assert!(!self.heard.contains(name), "{} was heard", name);
            }
            let of_session =
                self.runs.iter().map(|run| &self.parts[run.part]).filter(|part| part.whose == Whose::Session);
            for part in of_session.filter(|part| *is_former || part.name != *item_id) {
                let is_told = unheard.contains(&part.name) || self.heard.contains(&part.name);
                prop_assert!(is_told || unheard.len() == MAX_UNHEARD, "{} is not told", part.name);
            }
        }
        let of_session = self.parts.iter().filter(|part| part.whose == Whose::Session);
        let waiting = of_session.clone().filter(|part| part.waiting > 0);
        self.must_mute = waiting.map(|part| part.name.clone()).collect();
        self.may_mute.extend(of_session.map(|part| part.name.clone()));
        self.runs.clear();
        self.parts.clear();
        self.agrees()
    }

    /// All is heard that waits, and told.
    pub(super) fn end(&mut self) -> Result<(), TestCaseError> {
        self.told(true)?;
        let missed = self.parts.iter().find(|part| !part.is_told && part.sent > 0);
        prop_assert!(missed.is_none(), "{:?} was heard, and nobody is told", missed);
        Ok(())
    }
}
