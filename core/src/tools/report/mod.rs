//! A call as one HTML page that needs nothing else: what was heard and said, and why, on one time axis.
//!
//! The page holds its style, its script and its data. What callers, models and peers said stands in the data as JSON, in
//! which nothing can end the element that it lies in, and the script shows it as text only. The page asks no network for
//! anything, and forbids itself to.
//!
//! All times in the data are milliseconds since the call began.

mod events;
mod moments;
mod page;
mod peaks;
#[cfg(test)]
mod tests;

use crate::call::{Action, Call, Input, Start};
use crate::capture::{End, Head, Note, PROGRAM};
use crate::observe::{Observation, RtpDrop};
use crate::record::{CallRecord, Recorder, Texts};
use crate::replay::{Replayed, Step};
use crate::rtp::Packet;
use crate::settings::CallSettings;
use crate::time::{Instant, UtcNanos};
use events::Events;
use moments::Moments;
use peaks::{Voice, Wave};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{self, Write};

/// What makes the page of a call.
///
/// It takes some megabytes, however long the call lasts: a longer one is drawn more coarsely, and what is too much to be
/// listed is counted.
#[derive(Debug)]
pub struct Report {
    origin: Instant,
    last: Instant,
    facts: Facts,
    recorder: Recorder,
    caller: Voice,
    agent: Voice,
    events: Events,
    moments: Moments,
}

/// What stands at the head of the page and does not change over time.
#[derive(Debug, Serialize)]
struct Facts {
    format: &'static str,
    model_format: &'static str,
    dialect: &'static str,
    voice: String,
    barge_in: &'static str,
    /// The version that has written the capture.
    program: String,
    /// The version that has made the page.
    reporter: &'static str,
    is_scrubbed: bool,
    blanked_until_ms: Option<f64>,
    packets_in: u64,
    packets_out: u64,
    /// Packets of the caller that were of no use, by reason.
    dropped: BTreeMap<&'static str, u64>,
}

/// All that the script is given.
#[derive(Serialize)]
struct Data<'a> {
    duration_ms: f64,
    /// How the call ended in words; nothing if the capture does not say.
    ended: Option<String>,
    facts: &'a Facts,
    record: &'a CallRecord,
    caller: Wave<'a>,
    agent: Wave<'a>,
    moments: &'a Moments,
    events: &'a Events,
    replay: Replay,
}

/// How the replay went that the page was made from.
#[derive(Serialize)]
struct Replay {
    /// `whole`, `cut`, `crashed` or `torn`.
    capture: &'static str,
    steps: u64,
    input_bytes: u64,
    difference: Option<Differs>,
}

#[derive(Serialize)]
struct Differs {
    from_step: u64,
    to_step: u64,
    at_ms: f64,
    recorded: Option<String>,
    replayed: Option<String>,
}

impl Report {
    /// The page of the call that begins so.
    #[must_use]
    pub fn new(head: &Head<Call>) -> Self {
        let Start { ids, utc, origin: about, media, .. } = head.start();
        let begun = UtcNanos(utc.0.saturating_add(head.now.as_nanos()));
        Self {
            origin: head.now,
            last: head.now,
            facts: Facts::new(&head.settings, media.format.name(), &head.program, head.note, head.now),
            recorder: Recorder::new(ids, begun, &about, Texts::Kept),
            caller: Voice::new(media.format.from_asterisk()),
            agent: Voice::new(media.format.to_asterisk()),
            events: Events::new(),
            moments: Moments::default(),
        }
    }

    /// Takes a step of the call.
    pub fn step(&mut self, step: &Step<'_, Call>) {
        self.last = step.now;
        let at = self.since_begin(step.now);
        if let Some(input) = &step.input {
            self.events.given(at, input);
            self.moments.given(at, input);
        }
        let mut is_audio = true;
        for action in step.out.iter() {
            self.events.acted(at, &action, step.out);
            self.moments.acted(at, &action);
            match action {
                Action::SendMedia { bytes, .. } => {
                    if let Some(packet) = Packet::parse(step.out.bytes(bytes)) {
                        self.agent.sent(at, &packet);
                    }
                }
                Action::Record(record) => self.recorder.record(at, &record, step.out),
                Action::Observe(observation) => {
                    self.recorder.observe(at, &observation);
                    self.moments.observed(at, &observation);
                    self.facts.observed(&observation);
                    is_audio &=
                        !matches!(observation, Observation::RtpDropped(why) if is_not_the_caller(why));
                }
                _ => {}
            }
        }
        if let Some(Input::Media { bytes, .. }) = step.input
            && is_audio
            && let Some(packet) = Packet::parse(bytes)
        {
            self.caller.received(at, &packet);
        }
    }

    /// Writes the page of the call, whose capture was replayed to its end.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn finish(self, replayed: &Replayed, out: &mut impl Write) -> io::Result<()> {
        let duration_ms = millis(self.since_begin(self.last));
        let at_ms = |at| millis(self.since_begin(at));
        let replay = Replay {
            capture: match replayed.end {
                End::Whole { .. } => "whole",
                End::Cut { .. } => "cut",
                End::Crashed { .. } => "crashed",
                End::Torn { .. } => "torn",
            },
            steps: replayed.steps,
            input_bytes: replayed.input_bytes,
            difference: replayed.difference.as_ref().map(|difference| Differs {
                from_step: difference.from_step,
                to_step: difference.to_step,
                at_ms: at_ms(difference.at),
                recorded: difference.words.as_ref().map(|words| words.recorded.clone()),
                replayed: difference.words.as_ref().map(|words| words.replayed.clone()),
            }),
        };
        let ended = replayed.outcome.map(|outcome| outcome.ended.to_string());
        let record = match &replayed.outcome {
            Some(outcome) => self.recorder.finish(outcome),
            None => self.recorder.panicked(),
        };
        let data = Data {
            duration_ms,
            ended,
            facts: &self.facts,
            record: &record,
            caller: self.caller.wave(),
            agent: self.agent.wave(),
            moments: &self.moments,
            events: &self.events,
            replay,
        };
        page::write(&data, out)
    }

    /// The call's own time: as if its clock had begun with it.
    fn since_begin(&self, now: Instant) -> Instant {
        Instant::START + now.since(self.origin)
    }
}

impl Facts {
    fn new(
        settings: &CallSettings,
        format: &'static str,
        program: &str,
        note: Note,
        origin: Instant,
    ) -> Self {
        let blanked_until = note.blanked_until.map(|nanos| Instant::from_nanos(nanos).since(origin));
        Self {
            format,
            model_format: settings.session.audio_format.name(),
            dialect: settings.session.dialect.name(),
            voice: settings.session.voice.clone(),
            barge_in: settings.barge_in.name(),
            program: program.to_owned(),
            reporter: PROGRAM,
            is_scrubbed: note.is_scrubbed,
            blanked_until_ms: blanked_until.map(|until| until.as_secs_f64() * 1000.0),
            packets_in: 0,
            packets_out: 0,
            dropped: BTreeMap::new(),
        }
    }

    fn observed(&mut self, observation: &Observation) {
        match *observation {
            Observation::RtpIn => self.packets_in += 1,
            Observation::RtpOut => self.packets_out += 1,
            Observation::RtpDropped(why) => *self.dropped.entry(why.label()).or_default() += 1,
            _ => {}
        }
    }
}

/// Whether a packet that is dropped so is none of what the caller's line sent, or was there before.
const fn is_not_the_caller(why: RtpDrop) -> bool {
    matches!(why, RtpDrop::Malformed | RtpDrop::Stranger | RtpDrop::PayloadType | RtpDrop::Duplicate)
}

/// Milliseconds since the call began, to the microsecond.
fn millis(at: Instant) -> f64 {
    (at.as_nanos() / 1000) as f64 / 1000.0
}
