//! From what a caller said and what was recorded at his ear to figures.

use std::fmt;

use ari_bridge_tests::measure::{self, Match, RATE};

use crate::codec::Codec;
use crate::line::Recording;
use crate::process::Outcome;

/// An utterance counts as heard from this correlation on, and as not heard below the other.
pub(crate) const HEARD: f64 = 0.9;
pub(crate) const NOT_HEARD: f64 = 0.5;

/// Above this frequency a narrowband line carries nothing.
const WIDEBAND_HZ: f64 = 4200.0;

/// How much louder or softer the wideband part may come back, in dB.
const WIDEBAND_DB: f64 = 6.0;

/// What a caller says: silence that is sent, the utterance, silence that is sent.
pub(crate) struct Speech {
    /// The utterance alone as the caller's codec leaves it: the best that can come back.
    pub(crate) reference: Vec<i16>,
    /// All of it as bytes of the caller's codec.
    pub(crate) payload: Vec<u8>,
    codec: Codec,
    before_seconds: f64,
}

impl Speech {
    /// `utterance` at 16 kHz between so many seconds of silence.
    pub(crate) fn new(
        codec: Codec,
        before_seconds: f64,
        utterance: &[i16],
        after_seconds: f64,
    ) -> Outcome<Self> {
        let samples = |seconds: f64| (seconds * RATE as f64) as usize;
        let mut track = vec![0; samples(before_seconds)];
        track.extend(utterance);
        track.resize(track.len() + samples(after_seconds), 0);
        let payload = codec.encode(&track)?;
        let start = samples(before_seconds);
        let reference = codec.decode(&payload)?[start..start + utterance.len()].to_vec();
        Ok(Self { reference, payload, codec, before_seconds })
    }
}

/// How well an utterance came back.
pub(crate) struct Figures {
    pub(crate) found: Match,
    /// From the moment that the utterance began to be said to the moment that it began to be heard.
    delay_ms: f64,
    /// Level of the utterance as it was heard, less its level as it was said.
    gain_db: f64,
    /// The same for what lies above 4.2 kHz; `None` on a narrowband line.
    wideband_db: Option<f64>,
    packets: usize,
    lost: usize,
}

impl Figures {
    /// Looks for the speech in what was recorded.
    pub(crate) fn of(speech: &Speech, recording: &Recording) -> Outcome<Self> {
        let ear = recording.ear()?;
        let found = measure::find(&ear, &speech.reference);
        let heard = measure::section(&ear, &speech.reference, found);
        let spoke_at =
            recording.spoke_at.ok_or("the caller never spoke")?.as_secs_f64() + speech.before_seconds;
        let change = |level: &dyn Fn(&[i16]) -> f64| level(heard) - level(&speech.reference);
        let wideband = |samples: &[i16]| measure::level_above_dbfs(samples, WIDEBAND_HZ);
        Ok(Self {
            found,
            delay_ms: found.lag_ms() - spoke_at * 1000.0,
            gain_db: change(&measure::level_dbfs),
            wideband_db: (speech.codec == Codec::G722).then(|| change(&wideband)),
            packets: recording.count(),
            lost: recording.lost(),
        })
    }

    /// Whether the utterance came back, the wideband part included.
    pub(crate) fn judge(&self) -> Outcome<()> {
        if self.found.correlation <= HEARD {
            return Err(format!("not heard: {self}"));
        }
        match self.wideband_db {
            Some(change) if change.abs() > WIDEBAND_DB => Err(format!("not wideband: {self}")),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { found, delay_ms, gain_db, packets, lost, .. } = self;
        write!(f, "correlation {:.4}, delay {delay_ms:.1} ms, level {gain_db:+.1} dB", found.correlation)?;
        if let Some(change) = self.wideband_db {
            write!(f, ", above 4.2 kHz {change:+.1} dB")?;
        }
        write!(f, ", {packets} packets, {lost} lost")
    }
}
