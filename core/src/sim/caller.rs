//! A caller: what to say, and what was heard.

use super::asterisk::{EAR_RATE, FRAME_SAMPLES};
use crate::{pcm, wav};

/// The most that a caller remembers of what it heard, in samples: ten minutes.
pub const MAX_HEARD_SAMPLES: usize = EAR_RATE as usize * 600;

/// The longest speech out of a file, in seconds.
const MAX_SPEECH_SECONDS: u32 = 60;

/// A person on the telephone, at 16 kHz: a speech to give to [`super::asterisk::Input::Speak`], and a memory for
/// what [`super::asterisk::Output::Heard`] brings.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    speech: Vec<i16>,
    heard: Vec<i16>,
}

impl Caller {
    /// A caller who says these samples, 16 kHz.
    #[must_use]
    pub const fn new(speech: Vec<i16>) -> Self {
        Self { speech, heard: Vec::new() }
    }

    /// The caller of [`super::CALLER_WAV`].
    #[must_use]
    pub fn recorded() -> Self {
        Self::new(wav::read(super::CALLER_WAV, MAX_SPEECH_SECONDS).map(|wav| wav.samples).unwrap_or_default())
    }

    /// What it says.
    #[must_use]
    pub fn speech(&self) -> &[i16] {
        &self.speech
    }

    /// Takes one frame that it hears: little-endian bytes. What is beyond [`MAX_HEARD_SAMPLES`] is not kept.
    pub fn hear(&mut self, frame: &[u8]) {
        if self.heard.len() < MAX_HEARD_SAMPLES {
            pcm::from_le_bytes(frame, &mut self.heard);
        }
    }

    /// Everything it heard, silence included, 16 kHz.
    #[must_use]
    pub fn heard(&self) -> &[i16] {
        &self.heard
    }

    /// How many frames of 20 ms were louder than `rms`: how long somebody spoke to it.
    #[must_use]
    pub fn loud_frames(&self, rms: u16) -> usize {
        Self::loud_frames_of(&self.heard, rms)
    }

    /// How many frames of 20 ms of `samples`, 16 kHz, are louder than `rms`.
    #[must_use]
    pub fn loud_frames_of(samples: &[i16], rms: u16) -> usize {
        let floor = u64::from(rms) * u64::from(rms) * FRAME_SAMPLES as u64;
        samples.chunks(FRAME_SAMPLES).filter(|frame| energy(frame) > floor).count()
    }

    /// What it heard, as a WAV file.
    #[must_use]
    pub fn heard_wav(&self) -> Vec<u8> {
        wav::write(EAR_RATE, &self.heard)
    }
}

/// The sum of the squares.
pub(super) fn energy(samples: &[i16]) -> u64 {
    samples.iter().map(|sample| u64::from(sample.unsigned_abs()).pow(2)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_tells_speech_from_silence() {
        let mut caller = Caller::recorded();
        assert!(caller.speech().len() > 60_000);
        caller.hear(&[0; FRAME_SAMPLES * 2]);
        let mut loud = Vec::new();
        pcm::to_le_bytes(&[1000; FRAME_SAMPLES], &mut loud);
        caller.hear(&loud);
        assert_eq!((caller.heard().len(), caller.loud_frames(500)), (2 * FRAME_SAMPLES, 1));
        assert_eq!(wav::read(&caller.heard_wav(), MAX_SPEECH_SECONDS).unwrap().samples, caller.heard());
    }
}
