//! The record of a call: what there is to say about it when it is over, as one line for the log and one file.
//!
//! A [`Recorder`] is made when a call begins and is shown every [`Record`] and every [`Observation`](crate::observe::Observation) of it. At the end
//! it gives the [`CallRecord`]: whole, for the file of an operator who wants one, or masked, for the log.
//! `core/call-record.schema.json` describes both.
//!
//! What a peer can make long is bounded here, and the record says when something was left out.

mod capture_name;
mod mask;
mod name;
mod observed;
mod shape;
mod tools;
mod utc;

pub use capture_name::{CaptureFile, Captured, capture_name, capture_part_name};
pub use mask::MAX_LINE_BYTES;
pub use name::{file_name, is_older, unfinished_name};
pub use shape::*;
pub(crate) use utc::rfc3339;

use crate::ari::Event;
use crate::call::{Actions, Entry, Origin, Outcome, Record};
use crate::id::IdPrefix;
use crate::observe::{TurnLatency, Usage, UsageKind};
use crate::outcome::PANICKED;
use crate::time::{Duration, Instant, UtcNanos};
use std::collections::VecDeque;
use tools::Tools;

/// The most turns that a record holds: an hour of a lively conversation has a fifth of that.
pub const MAX_TURNS: usize = 2_000;

/// The longest text of a turn, in bytes, and the longest arguments and output of a function.
pub const MAX_TEXT_BYTES: usize = 16 * 1024;

/// How much text a record holds in all, in bytes: forty hours of speech, or what a model runs wild with.
pub const MAX_TEXTS_BYTES: usize = 4 * 1024 * 1024;

/// The longest number, in bytes. A SIP user may be longer than a telephone number, and is anything.
const MAX_NUMBER_BYTES: usize = 64;

/// How many answers are remembered of which nothing was recorded yet. One is being heard, and a few may have been
/// heard whose turn is still being written down.
const MAX_ANSWERS: usize = 8;

/// What becomes of texts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Texts {
    /// They are kept: the record goes into a file.
    Kept,
    /// They are counted only: the record goes into the log alone, where they would be left out anyway.
    Counted,
}

/// An answer that is being heard or was: who answers what, since when.
#[derive(Debug)]
struct Answer {
    caller_item: String,
    agent_item: String,
    turn_ended_ms: u64,
    heard_at_ms: u64,
    /// Not there any more when it stands in the record.
    latency: Option<AnswerLatency>,
}

/// What writes the record of one call.
#[derive(Debug)]
pub struct Recorder {
    id: IdPrefix,
    begun: UtcNanos,
    texts: Texts,
    record: CallRecord,
    /// How many bytes of text the record still takes.
    room: usize,
    answers: VecDeque<Answer>,
    tools: Tools,
    usage: Usage,
    /// In billionths of a US dollar.
    cost: Option<u64>,
    latencies_ms: Vec<u64>,
    caller_stopped_ms: Option<u64>,
    had_session: bool,
    answered_at: Option<Instant>,
    last: Instant,
}

impl Recorder {
    /// For the call `id` that begins at `begun`.
    #[must_use]
    pub fn new(id: IdPrefix, begun: UtcNanos, origin: &Origin<'_>, texts: Texts) -> Self {
        let event = origin.event();
        let from = event.as_ref().map(Event::caller_number).and_then(number);
        let to = event.as_ref().and_then(|event| event.args.get(1)).and_then(|dialled| number(dialled));
        Self {
            id,
            begun,
            texts,
            record: CallRecord { adopted: origin.entry() == Entry::Adopted, ..blank(id, from, to) },
            room: MAX_TEXTS_BYTES,
            answers: VecDeque::new(),
            tools: Tools::default(),
            usage: Usage::default(),
            cost: None,
            latencies_ms: Vec::new(),
            caller_stopped_ms: None,
            had_session: false,
            answered_at: None,
            last: Instant::START,
        }
    }

    /// The name of the file for the record.
    #[must_use]
    pub fn file_name(&self) -> String {
        file_name(self.begun, self.id)
    }

    /// Takes a line of the record, whose spans lie in `out`, so long after the call began.
    pub fn record(&mut self, at: Instant, record: &Record, out: &Actions) {
        self.last = at;
        let at_ms = at.as_millis();
        match *record {
            Record::CallerSaid { item_id, text } => {
                let item = out.text(item_id);
                let answer = self.answers.iter().find(|answer| answer.caller_item == item);
                // What nobody has answered ended no later than the last turn did.
                let ended_ms = answer.map(|answer| answer.turn_ended_ms).or(self.caller_stopped_ms);
                let (text, chars) = self.words(out.text(text));
                self.push(Turn::Caller { at_ms: ended_ms.unwrap_or(at_ms), text, chars });
            }
            Record::CallerKeyed { keys } => {
                self.record.counts.key_entries += 1;
                let keys = out.text(keys);
                // Entries that had to wait are joined by a space.
                let count = keys.chars().filter(|key| !key.is_whitespace()).count() as u64;
                let (keys, _) = self.words(keys);
                self.push(Turn::Keys { at_ms, keys, count });
            }
            Record::Called { call_id, name, arguments } => {
                self.called(at_ms, [call_id, name, arguments].map(|span| out.text(span)));
            }
            Record::Returned { call_id, name, output } => {
                self.returned(at_ms, [call_id, name, output].map(|span| out.text(span)));
            }
            Record::Answered { caller_item, agent_item, latency, .. } => {
                self.answered(at_ms, out.text(caller_item), out.text(agent_item), latency);
            }
            Record::AgentSaid { item_id, text, said, heard_ms, received_ms, .. } => {
                self.record.counts.agent_turns += 1;
                let (item, text, said) = (out.text(item_id), out.text(text), out.text(said));
                let answer = self.answers.iter_mut().find(|answer| answer.agent_item == item);
                let (since_ms, latency) = answer.map_or((None, None), |answer| {
                    let latency = answer.latency.take();
                    // Only what is heard first of an item began then.
                    (latency.map(|_| answer.heard_at_ms), latency)
                });
                let is_all = text == said;
                let ((text, chars), said) = (self.words(text), (!is_all).then(|| self.words(said)));
                self.push(Turn::Agent {
                    at_ms: since_ms.unwrap_or(at_ms.saturating_sub(heard_ms)),
                    text,
                    chars,
                    said_chars: said.as_ref().map(|(_, chars)| *chars),
                    said: said.and_then(|(said, _)| said),
                    heard_ms,
                    received_ms,
                    interrupted: heard_ms < received_ms,
                    latency,
                });
            }
        }
    }

    fn answered(&mut self, at_ms: u64, caller_item: &str, agent_item: &str, latency: TurnLatency) {
        let TurnLatency { created, first_delta, first_packet } = latency;
        let heard_ms = millis(first_packet);
        if self.latencies_ms.len() < MAX_TURNS {
            self.latencies_ms.push(heard_ms);
        }
        if self.answers.len() >= MAX_ANSWERS {
            self.answers.pop_front();
        }
        self.answers.push_back(Answer {
            caller_item: caller_item.to_owned(),
            agent_item: agent_item.to_owned(),
            turn_ended_ms: at_ms.saturating_sub(heard_ms),
            heard_at_ms: at_ms,
            latency: Some(AnswerLatency {
                begun_ms: created.map(millis),
                first_audio_ms: millis(first_delta),
                heard_ms,
            }),
        });
    }

    /// The record of a call that ended so.
    #[must_use]
    pub fn finish(self, outcome: &Outcome) -> CallRecord {
        let Outcome { ended, answered, duration, left_behind } = *outcome;
        self.close(Ended { reason: ended.label(), answered, left_behind }, duration)
    }

    /// The record of a call whose task panicked after what was taken last.
    #[must_use]
    pub fn panicked(self) -> CallRecord {
        let (answered, duration) = (self.answered_at.is_some(), self.last.since(Instant::START));
        // What it made on Asterisk is removed by the switchboard.
        self.close(Ended { reason: PANICKED, answered, left_behind: false }, duration)
    }

    fn close(self, outcome: Ended, duration: Duration) -> CallRecord {
        let Self { mut record, begun, usage, cost, answered_at, mut latencies_ms, .. } = self;
        let utc = |since: Duration| {
            let nanos = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
            utc::rfc3339(UtcNanos(begun.0.saturating_add(nanos)))
        };
        record.begun_utc = utc(Duration::ZERO);
        record.answered_utc = answered_at.map(|at| utc(at.since(Instant::START)));
        record.ended_utc = utc(duration);
        record.duration_ms = millis(duration);
        record.outcome = outcome;
        let Sessions { count, reconnects, renewals, .. } = &mut record.sessions;
        *count = u64::from(self.had_session) + *reconnects + *renewals;
        latencies_ms.sort_unstable();
        record.latency = summary(&latencies_ms);
        record.usage = tokens(&usage);
        record.cost_usd = cost.map(dollars);
        // What was said is recorded when nothing more of it will be heard, and what was heard when it is written down.
        record.turns.sort_by_key(Turn::at_ms);
        record
    }

    fn push(&mut self, turn: Turn) {
        if self.record.turns.len() < MAX_TURNS {
            self.record.turns.push(turn);
        } else {
            self.record.truncated = true;
        }
    }

    /// A text as the record takes it, and how many characters it has.
    fn words(&mut self, text: &str) -> (Option<String>, u64) {
        let chars = text.chars().count() as u64;
        if self.texts == Texts::Counted {
            return (None, chars);
        }
        let kept = text.get(..text.floor_char_boundary(MAX_TEXT_BYTES.min(self.room))).unwrap_or_default();
        self.room -= kept.len();
        self.record.truncated |= kept.len() < text.len();
        (Some(kept.to_owned()), chars)
    }
}

impl Turn {
    /// When it began, was complete, or came, in milliseconds since the call began.
    #[must_use]
    pub const fn at_ms(&self) -> u64 {
        match self {
            Self::Caller { at_ms, .. }
            | Self::Agent { at_ms, .. }
            | Self::Keys { at_ms, .. }
            | Self::Tool { at_ms, .. } => *at_ms,
        }
    }
}

/// The record of a call of which nothing is known yet.
fn blank(id: IdPrefix, from: Option<String>, to: Option<String>) -> CallRecord {
    CallRecord {
        version: VERSION,
        masked: false,
        truncated: false,
        call_id: id.to_string(),
        from,
        to,
        adopted: false,
        begun_utc: String::new(),
        answered_utc: None,
        ended_utc: String::new(),
        duration_ms: 0,
        outcome: Ended { reason: PANICKED, answered: false, left_behind: false },
        sessions: Sessions::default(),
        counts: Counts::default(),
        turns: Vec::new(),
        latency: None,
        usage: Tokens::default(),
        cost_usd: None,
        media: Media::default(),
        barge_ins: 0,
        dead_air: DeadAir::default(),
        failed_answers: FailedAnswers::default(),
        prompts: Prompts::default(),
        faults: Vec::new(),
    }
}

/// A number, unless it is withheld.
fn number(text: &str) -> Option<String> {
    let number = text.get(..text.floor_char_boundary(MAX_NUMBER_BYTES))?;
    (!number.is_empty()).then(|| number.to_owned())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn tokens(usage: &Usage) -> Tokens {
    Tokens {
        text_in: usage.of(UsageKind::TextIn),
        text_cached: usage.of(UsageKind::TextCached),
        text_out: usage.of(UsageKind::TextOut),
        audio_in: usage.of(UsageKind::AudioIn),
        audio_cached: usage.of(UsageKind::AudioCached),
        audio_out: usage.of(UsageKind::AudioOut),
    }
}

/// Billionths of a dollar as dollars, rounded to the sixth digit. The nearest number of 64 bits to such a decimal is
/// written as that decimal, as long as it has no more than 15 digits: a thousand million dollars.
fn dollars(billionths: u64) -> f64 {
    (billionths.saturating_add(500) / 1000) as f64 / 1e6
}

/// The summary of times in ascending order, by nearest rank.
fn summary(sorted_ms: &[u64]) -> Option<LatencySummary> {
    let rank =
        |percent: usize| sorted_ms.get((sorted_ms.len() * percent).div_ceil(100).checked_sub(1)?).copied();
    Some(LatencySummary {
        count: sorted_ms.len() as u64,
        median_ms: rank(50)?,
        p95_ms: rank(95)?,
        max_ms: rank(100)?,
    })
}

#[cfg(test)]
mod schema;
#[cfg(test)]
mod tests;
