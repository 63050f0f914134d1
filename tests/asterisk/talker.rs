//! A caller who says one thing after the other, and is to hear each of them said back.

use std::time::{Duration, Instant};

use ari_bridge_tests::measure::{self, RATE};
use ari_bridge_tests::speech;

use crate::World;
use crate::call::{Call, Script};
use crate::codec::Codec;
use crate::line::Recording;
use crate::measuring::{Figures, Speech};
use crate::process::Outcome;
use crate::scenarios::{AGENT, RING, place};

/// How long an utterance lasts, in seconds.
const UTTERANCE: f64 = 1.4;

/// How long it takes to say one and to hear it said back, in seconds.
pub(crate) const SAID_BACK: f64 = 0.3 + UTTERANCE + 1.0 + UTTERANCE + 0.6;

/// Above this level, in dBFS, something is heard.
const LOUD_DBFS: f64 = -45.0;

const CODEC: Codec = Codec::G722;

/// What somebody is going to say, prepared: encoding takes its time.
pub(crate) struct Words(Vec<Speech>);

impl Words {
    /// So many utterances. Two of them are never the same if their voices are 10 apart.
    pub(crate) fn new(voice: u64, utterances: u64) -> Outcome<Self> {
        let speech = |n| Speech::new(CODEC, 0.3, &speech::utterance(voice + n, UTTERANCE), 0.5);
        (0..utterances).map(speech).collect::<Outcome<_>>().map(Self)
    }
}

/// A caller who has been answered.
pub(crate) struct Talker {
    call: Call,
    words: Words,
    said: usize,
}

impl Talker {
    /// Calls the agent, and waits until it answers.
    pub(crate) fn call(world: &World, words: Words) -> Outcome<Self> {
        Self::call_to(world, AGENT, words)
    }

    /// The same for another extension.
    pub(crate) fn call_to(world: &World, extension: &str, words: Words) -> Outcome<Self> {
        let mut call = place(world, extension, CODEC, Script::HangUp)?;
        call.answered(RING)?;
        Ok(Self { call, words, said: 0 })
    }

    /// Says the next utterance. It has been said back after [`SAID_BACK`].
    pub(crate) fn says(&mut self) -> Outcome<()> {
        let speech = self.words.0.get(self.said).ok_or("a caller has nothing more to say")?;
        self.said += 1;
        self.call.speak(&speech.payload)
    }

    /// Hangs up; how each utterance came back. One that did not is a failure.
    pub(crate) fn hangs_up(self) -> Outcome<Vec<String>> {
        let recording = self.call.hang_up()?;
        let mut lines = Vec::new();
        for (n, speech) in self.words.0.iter().take(self.said).enumerate() {
            let figures = Figures::of_nth(speech, &recording, n)?;
            lines.push(format!("utterance {n}: {figures}"));
            figures.judge().map_err(|fault| format!("utterance {n}: {fault}\n{}", lines.join("\n")))?;
        }
        Ok(lines)
    }
}

/// How long after that moment the caller first heard something loud; `None` if never.
pub(crate) fn heard_after(recording: &Recording, moment: Instant) -> Outcome<Option<Duration>> {
    let from = moment.saturating_duration_since(recording.opened);
    let heard = recording.heard()?;
    let loud = heard.iter().find(|heard| heard.arrived >= from && heard.level_dbfs > LOUD_DBFS);
    Ok(loud.map(|heard| heard.arrived - from))
}

/// How much that is loud the caller heard from that moment on.
pub(crate) fn loud_after(recording: &Recording, moment: Instant) -> Outcome<Duration> {
    let from = moment.saturating_duration_since(recording.opened);
    let loud = |heard: &&crate::line::Heard| heard.arrived >= from && heard.level_dbfs > LOUD_DBFS;
    let ms: usize = recording.heard()?.iter().filter(loud).map(|heard| heard.ms).sum();
    Ok(Duration::from_millis(ms as u64))
}

/// How well these samples are found in what the caller heard from that moment on.
pub(crate) fn found_after(recording: &Recording, moment: Instant, said: &[i16]) -> Outcome<f64> {
    let from = moment.saturating_duration_since(recording.opened).as_secs_f64();
    let ear = recording.ear()?;
    let ear = ear.get((from * RATE as f64) as usize..).unwrap_or_default();
    Ok(measure::find(ear, said).correlation)
}
