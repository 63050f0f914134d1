//! A call as it sounded, in a WAV file: the caller on the left, what was really sent to the caller on the right.
//!
//! Both sides lie on the clock of the capture: sample n is n / rate seconds after the first step. A packet lies where its
//! RTP timestamp puts it beside the others of its stream, so that a lost one leaves silence and one that was overtaken
//! comes to its place. Nothing is concealed, raised or cleaned: what is heard is what was on the line, the music on hold
//! that the model is spared too.

mod track;

#[cfg(test)]
mod tests;

use crate::call::{Action, Call, Input, Start};
use crate::observe::{Observation, RtpDrop};
use crate::replay::Step;
use crate::rtp::Packet;
use crate::settings::{CallSettings, RtpSource};
use crate::time::{Duration, Instant};
use hound::{SampleFormat, WavSpec, WavWriter};
use std::io::{Seek, Write};
use track::{Track, WINDOW_MS};

/// The most samples of each side that a WAV file has room for: its length is a number of 32 bits. That is 18 hours at
/// 16 kHz.
pub const MAX_FRAMES: u64 = (u32::MAX as u64 - 1024) / 4;

/// How many samples of each side are written at once.
const CHUNK: usize = 4096;

/// What writes the WAV file of a call. It is shown every step, the first one included, in their order. It holds the
/// packets of five seconds before and after the present, and no more than 1,024 of each side.
#[derive(Debug)]
pub struct Stereo<W: Write + Seek> {
    wav: Wav<W>,
    rate: u32,
    source: RtpSource,
    /// When the first step was.
    began: Option<Instant>,
    /// Asterisk has told where its media channel is.
    is_told: bool,
    caller: Track,
    agent: Track,
    /// How many samples of each side are written.
    written: u64,
    /// Where the last step was, in samples.
    now: u64,
    left: Vec<i16>,
    right: Vec<i16>,
}

/// The file; hound's own writer cannot be shown.
struct Wav<W: Write + Seek>(WavWriter<W>);

/// What is in the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sound {
    /// Samples per second.
    pub rate: u32,
    /// How long it lasts.
    pub duration: Duration,
    /// How many packets of the caller are heard.
    pub caller_packets: u64,
    /// How many packets to the caller are heard.
    pub agent_packets: u64,
    /// How many packets came so late, or twice, that they are not heard.
    pub left_out: u64,
    /// Whether the call is longer than [`MAX_FRAMES`], and what is beyond them is missing.
    pub is_cut: bool,
}

impl<W: Write + Seek> core::fmt::Debug for Wav<W> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Wav")
    }
}

impl<W: Write + Seek> Stereo<W> {
    /// For a call that began like this; the file is written to `out`.
    ///
    /// # Errors
    ///
    /// If it cannot be written to.
    pub fn new(settings: &CallSettings, start: &Start<'_>, out: W) -> Result<Self, hound::Error> {
        let (up, down) = (start.media.format.from_asterisk(), start.media.format.to_asterisk());
        // Every format has one rate both ways.
        let rate = up.sample_rate();
        let spec =
            WavSpec { channels: 2, sample_rate: rate, bits_per_sample: 16, sample_format: SampleFormat::Int };
        Ok(Self {
            wav: Wav(WavWriter::new(out, spec)?),
            rate,
            source: settings.rtp_source,
            began: None,
            is_told: false,
            caller: Track::new(up, true),
            agent: Track::new(down, false),
            written: 0,
            now: 0,
            left: Vec::with_capacity(CHUNK),
            right: Vec::with_capacity(CHUNK),
        })
    }

    /// Takes a step.
    ///
    /// # Errors
    ///
    /// If the file cannot be written to.
    pub fn step(&mut self, step: &Step<'_, Call>) -> Result<(), hound::Error> {
        let began = *self.began.get_or_insert(step.now);
        let nanos = step.now.since(began).as_nanos();
        self.now = (nanos * u128::from(self.rate) / 1_000_000_000) as u64;
        if let Some(Input::Media { bytes, .. }) = step.input
            && self.is_heard(step)
            && let Some(packet) = Packet::parse(bytes)
        {
            self.caller.take(self.now, &packet);
        }
        for action in step.out.iter() {
            match action {
                Action::SendMedia { bytes, .. } => {
                    if let Some(packet) = Packet::parse(step.out.bytes(bytes)) {
                        self.agent.take(self.now, &packet);
                    }
                }
                Action::Observe(Observation::MediaReady { .. }) => self.is_told = true,
                _ => {}
            }
        }
        let window = u64::from(self.rate) / 1000 * WINDOW_MS;
        let crowded = [&self.caller, &self.agent].into_iter().filter_map(Track::crowded).min();
        let early = crowded.filter(|end| *end <= self.now).unwrap_or(0);
        self.write_until(self.now.saturating_sub(window).max(early))
    }

    /// Whether the call took the datagram of this step from the caller's side. It says so itself, and it is to be asked:
    /// a stranger's packets must not be heard here either.
    fn is_heard(&self, step: &Step<'_, Call>) -> bool {
        let verdict = step.out.iter().find_map(|action| match action {
            Action::Observe(Observation::RtpIn) => Some(true),
            Action::Observe(Observation::RtpDropped(why)) => Some(match why {
                // The call is over these, and a recording is not.
                RtpDrop::Held | RtpDrop::Late | RtpDrop::Duplicate => true,
                // Nobody listens yet. Whose packet it is, is known only where one address alone may send.
                RtpDrop::Early => self.is_told && self.source == RtpSource::Strict,
                RtpDrop::Malformed | RtpDrop::Stranger | RtpDrop::PayloadType | RtpDrop::Flood => false,
            }),
            _ => None,
        });
        verdict.unwrap_or(false)
    }

    /// Writes what is left and closes the file.
    ///
    /// # Errors
    ///
    /// If it cannot be written to.
    pub fn finish(mut self) -> Result<Sound, hound::Error> {
        let end = self.now.max(self.caller.end()).max(self.agent.end());
        self.write_until(end)?;
        let sound = Sound {
            rate: self.rate,
            duration: Duration::from_nanos(self.written.saturating_mul(1_000_000_000) / u64::from(self.rate)),
            caller_packets: self.caller.heard(),
            agent_packets: self.agent.heard(),
            left_out: self.caller.left_out() + self.agent.left_out(),
            is_cut: end > MAX_FRAMES,
        };
        self.wav.0.finalize()?;
        Ok(sound)
    }

    /// Writes both sides up to there; what comes later for before is not heard.
    fn write_until(&mut self, end: u64) -> Result<(), hound::Error> {
        let end = end.min(MAX_FRAMES);
        while self.written < end {
            let frames = (end - self.written).min(CHUNK as u64) as usize;
            self.left.clear();
            self.right.clear();
            self.caller.render(frames, &mut self.left);
            self.agent.render(frames, &mut self.right);
            for (left, right) in self.left.iter().zip(&self.right) {
                self.wav.0.write_sample(*left)?;
                self.wav.0.write_sample(*right)?;
            }
            self.written += frames as u64;
        }
        Ok(())
    }
}
