//! The input audio buffer, and voice detection by energy.
//!
//! Time is that of the audio: how much was appended, not when. So a client that sends faster or slower than
//! real time gets the same turns.

use crate::sim::caller::energy;
use std::collections::VecDeque;

/// How long a piece is that is loud or not, in milliseconds.
pub(super) const FRAME_MS: u64 = 20;
/// So many loud frames in a row are speech; one alone is a click.
const ATTACK_FRAMES: u64 = 2;
/// The threshold 1.0, as the root of the mean square of a frame: about -30 dBFS.
const FULL_THRESHOLD_RMS: f64 = 1000.0;
/// A turn is cut off after so much time, and an uncommitted buffer holds no more, in milliseconds.
const MAX_TURN_MS: u64 = 300_000;

/// Server voice detection, from `turn_detection`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Vad {
    pub(super) threshold: f64,
    pub(super) prefix_padding_ms: u64,
    pub(super) silence_duration_ms: u64,
    pub(super) create_response: bool,
    pub(super) interrupt_response: bool,
}

/// What was noticed in the audio.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Noticed {
    /// Speech; its turn begins here, prefix padding included.
    Started { audio_start_ms: u64 },
    /// The turn ends here, the silence that ended it included.
    Stopped { audio_end_ms: u64 },
}

/// The input audio buffer.
#[derive(Debug)]
pub(super) struct Listener {
    rate: u64,
    samples: VecDeque<i16>,
    /// Where `samples` begins, and how far detection has come, in samples since the session began.
    start: u64,
    examined: u64,
    loud_frames: u64,
    quiet_frames: u64,
    speaking: bool,
}

impl Listener {
    pub(super) fn new(rate: u32) -> Self {
        Self {
            rate: u64::from(rate.max(1000)),
            samples: VecDeque::new(),
            start: 0,
            examined: 0,
            loud_frames: 0,
            quiet_frames: 0,
            speaking: false,
        }
    }

    pub(super) const fn rate(&self) -> u32 {
        self.rate as u32
    }

    const fn in_samples(&self, millis: u64) -> u64 {
        millis.saturating_mul(self.rate) / 1000
    }

    const fn in_millis(&self, samples: u64) -> u64 {
        samples.saturating_mul(1000) / self.rate
    }

    /// How much is in the buffer.
    pub(super) fn buffered_ms(&self) -> u64 {
        self.in_millis(self.samples.len() as u64)
    }

    /// How much there was since the session began.
    pub(super) fn position_ms(&self) -> u64 {
        self.in_millis(self.start + self.samples.len() as u64)
    }

    pub(super) fn append(&mut self, samples: &[i16]) {
        self.samples.extend(samples);
    }

    /// Looks on in the audio; to be called until nothing more is noticed.
    pub(super) fn notice(&mut self, vad: Option<&Vad>) -> Option<Noticed> {
        let Some(vad) = vad else {
            self.examined = self.start + self.samples.len() as u64;
            self.keep(self.in_samples(MAX_TURN_MS));
            return None;
        };
        let frame_len = self.in_samples(FRAME_MS);
        loop {
            let from = usize::try_from(self.examined - self.start).ok()?;
            let to = from + usize::try_from(frame_len).ok()?;
            if self.samples.len() < to {
                return None;
            }
            let frame: Vec<i16> = self.samples.range(from..to).copied().collect();
            let level = (vad.threshold.clamp(0.0, 1.0) * FULL_THRESHOLD_RMS) as u64;
            let loud = energy(&frame) > level * level * frame_len;
            self.examined += frame_len;
            (self.loud_frames, self.quiet_frames) =
                if loud { (self.loud_frames + 1, 0) } else { (0, self.quiet_frames + 1) };
            let padding = self.in_samples(vad.prefix_padding_ms);
            if !self.speaking && self.loud_frames >= ATTACK_FRAMES {
                self.speaking = true;
                let back = padding + self.loud_frames * frame_len;
                self.drop_before(self.examined.saturating_sub(back));
                return Some(Noticed::Started { audio_start_ms: self.in_millis(self.start) });
            }
            let paused = self.quiet_frames * FRAME_MS >= vad.silence_duration_ms;
            let too_long = self.examined - self.start >= self.in_samples(MAX_TURN_MS);
            if self.speaking && (paused || too_long) {
                self.speaking = false;
                self.loud_frames = 0;
                return Some(Noticed::Stopped { audio_end_ms: self.in_millis(self.examined) });
            }
            if !self.speaking {
                let back = padding + ATTACK_FRAMES * frame_len;
                self.drop_before(self.examined.saturating_sub(back));
            }
        }
    }

    /// Takes what has been examined out of the buffer: the turn.
    pub(super) fn take(&mut self) -> Vec<i16> {
        let len = usize::try_from(self.examined - self.start).unwrap_or(0).min(self.samples.len());
        let turn = self.samples.drain(..len).collect();
        self.start += len as u64;
        turn
    }

    /// Takes everything out of the buffer.
    pub(super) fn take_all(&mut self) -> Vec<i16> {
        self.examined = self.start + self.samples.len() as u64;
        (self.speaking, self.loud_frames, self.quiet_frames) = (false, 0, 0);
        self.take()
    }

    fn drop_before(&mut self, at: u64) {
        let len = usize::try_from(at.saturating_sub(self.start)).unwrap_or(0).min(self.samples.len());
        self.samples.drain(..len);
        self.start += len as u64;
    }

    fn keep(&mut self, newest: u64) {
        self.drop_before((self.start + self.samples.len() as u64).saturating_sub(newest));
        self.examined = self.examined.max(self.start);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VAD: Vad = Vad {
        threshold: 0.5,
        prefix_padding_ms: 300,
        silence_duration_ms: 500,
        create_response: true,
        interrupt_response: true,
    };

    fn ms(n: usize, level: i16) -> Vec<i16> {
        vec![level; n * 24]
    }

    #[test]
    fn a_turn_has_its_padding_and_its_silence() {
        let audio = [ms(1000, 0), ms(400, 3000), ms(1000, 0)].concat();
        // The same turns, however the audio is cut.
        for piece in [1, 239, 480, 2400, 100_000] {
            let mut listener = Listener::new(24_000);
            let mut noticed = Vec::new();
            for chunk in audio.chunks(piece) {
                listener.append(chunk);
                while let Some(what) = listener.notice(Some(&VAD)) {
                    noticed.push(what);
                    if matches!(what, Noticed::Stopped { .. }) {
                        assert_eq!(listener.take(), audio[700 * 24..1900 * 24]);
                    }
                }
            }
            assert_eq!(
                noticed,
                [Noticed::Started { audio_start_ms: 700 }, Noticed::Stopped { audio_end_ms: 1900 }]
            );
        }
    }

    #[test]
    fn a_click_is_no_speech_and_silence_is_not_kept() {
        let mut listener = Listener::new(24_000);
        listener.append(&[ms(5000, 0), ms(20, 9000), ms(5000, 0)].concat());
        assert_eq!(listener.notice(Some(&VAD)), None);
        assert_eq!(listener.buffered_ms(), 340);
    }

    #[test]
    fn without_detection_everything_waits_for_the_commit_but_not_for_ever() {
        let mut listener = Listener::new(8_000);
        listener.append(&vec![1; 8_000 * 400]);
        assert_eq!(listener.notice(None), None);
        assert_eq!(listener.buffered_ms(), MAX_TURN_MS);
        assert_eq!(listener.take_all().len(), 8_000 * 300);
        assert_eq!(listener.buffered_ms(), 0);
    }
}
