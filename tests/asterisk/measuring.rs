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
        Self::of_nth(speech, recording, 0)
    }

    /// The same for the speech that the caller began after so many others.
    pub(crate) fn of_nth(speech: &Speech, recording: &Recording, number: usize) -> Outcome<Self> {
        Self::between(speech, (recording, number), recording)
    }

    /// The same for the speech that somebody began after so many others, at another one's ear.
    pub(crate) fn between(
        speech: &Speech,
        (speaker, number): (&Recording, usize),
        recording: &Recording,
    ) -> Outcome<Self> {
        let ear = recording.ear()?;
        let found = measure::find(&ear, &speech.reference);
        let heard = measure::section(&ear, &speech.reference, found);
        let spoke_at =
            speaker.spoke_at.get(number).ok_or("nobody spoke")?.as_secs_f64() + speech.before_seconds;
        // Each line counts from its own opening.
        let earlier = recording.opened.saturating_duration_since(speaker.opened).as_secs_f64();
        let later = speaker.opened.saturating_duration_since(recording.opened).as_secs_f64();
        let spoke_at = spoke_at + later - earlier;
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

/// An utterance that came back damaged is looked at in pieces of so many samples, 200 ms.
const PIECE: usize = RATE / 5;

/// A piece is looked for so much earlier and later than it should come, in samples, 60 ms.
const PIECE_REACH: usize = RATE * 6 / 100;

/// An utterance begins where 5 ms of it are louder than this, in dBFS.
const BEGINS_DBFS: f64 = -45.0;
const BEGINS_WITHIN: usize = RATE / 200;

/// How an utterance came back over a bad network: piece by piece, so that one place does not spoil the rest and
/// a shift in time shows.
pub(crate) struct Pieces {
    /// Of the whole, at the lag of its beginning.
    pub(crate) correlation: f64,
    /// How many pieces were heard, with a correlation above [`HEARD`].
    pub(crate) heard: usize,
    pub(crate) of: usize,
    /// How much longer it came back than it was said, in milliseconds: how much later the last piece that was
    /// heard came than the first, less how much later it was said.
    pub(crate) longer_ms: f64,
}

impl Pieces {
    /// Looks for the speech in what was recorded from the moment on at which all of it had been said.
    pub(crate) fn of(speech: &Speech, recording: &Recording) -> Outcome<Self> {
        let said = &speech.reference;
        let spoke_at = recording.spoke_at.first().ok_or("the caller never spoke")?.as_secs_f64();
        let said_by = ((spoke_at + speech.before_seconds) * RATE as f64) as usize + said.len();
        let ear = recording.ear()?;
        let ear = &ear[said_by.min(ear.len())..];
        let begins = beginning(ear).ok_or("nothing came back")?.saturating_sub(beginning(said).unwrap_or(0));
        let pieces = said.chunks_exact(PIECE);
        let of = pieces.len();
        let lags: Vec<f64> = (0..)
            .step_by(PIECE)
            .zip(pieces)
            .filter_map(|(at, piece)| {
                let from = (begins + at).saturating_sub(PIECE_REACH).min(ear.len());
                let to = (begins + at + piece.len() + PIECE_REACH).min(ear.len());
                let near = from + best_lag(&ear[from..to], piece);
                let found = measure::find(around(ear, near, piece.len()), piece);
                (found.correlation > HEARD).then_some((near as f64 + found.lag) - at as f64)
            })
            .collect();
        let shift = lags.first().zip(lags.last()).map_or(0.0, |(first, last)| last - first);
        let from = begins.saturating_sub(PIECE_REACH);
        let to = (begins + said.len() + PIECE_REACH).min(ear.len());
        let correlation = measure::find(&ear[from..to.max(from)], said).correlation;
        Ok(Self { correlation, heard: lags.len(), of, longer_ms: shift * 1000.0 / RATE as f64 })
    }
}

/// What lies at that place, with a millisecond on both sides as far as there is one.
fn around(ear: &[i16], at: usize, length: usize) -> &[i16] {
    let margin = RATE / 1000;
    &ear[at.saturating_sub(margin)..(at + length + margin).min(ear.len())]
}

/// Where the first sound is.
fn beginning(samples: &[i16]) -> Option<usize> {
    let loud = |frame: &[i16]| measure::level_dbfs(frame) > BEGINS_DBFS;
    Some(samples.chunks_exact(BEGINS_WITHIN).position(loud)? * BEGINS_WITHIN)
}

/// The whole number of samples at which `piece` correlates best with a short part of what was heard. Every one is
/// tried: [`measure::find`] looks at the best of a coarse search, in which a damaged piece of a voice may be
/// one pitch period off.
fn best_lag(heard: &[i16], piece: &[i16]) -> usize {
    let square = |sample: i16| i64::from(sample).pow(2);
    let mut energy: i64 = heard.iter().take(piece.len()).map(|sample| square(*sample)).sum();
    let correlations = heard.windows(piece.len()).enumerate().map(|(lag, window)| {
        let cross: f32 = window.iter().zip(piece).map(|(h, p)| f32::from(*h) * f32::from(*p)).sum();
        let correlation = cross / (energy.max(1) as f32).sqrt();
        let next = heard.get(lag + piece.len()).copied().unwrap_or(0);
        energy += square(next) - square(window[0]);
        (lag, correlation)
    });
    correlations.max_by(|(_, a), (_, b)| a.total_cmp(b)).map_or(0, |(lag, _)| lag)
}

impl fmt::Display for Pieces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { correlation, heard, of, longer_ms } = self;
        write!(f, "{heard} of {of} pieces heard, {longer_ms:+.1} ms longer, as a whole {correlation:.4}")
    }
}
