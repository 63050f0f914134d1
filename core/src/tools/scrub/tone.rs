//! Tones that stand in the place of voices: as long, and as loud.
//!
//! Audio is looked at in blocks of 10 ms, as the machine's own meter looks at it. Each becomes a tone of a pitch that
//! fits into the block a whole number of times, so that blocks join, at the one of some levels that is nearest: so few
//! that nothing of a voice is left but when it was how loud. A block that is such a tone already is left as it is.

use crate::codec::{Decoder, Encoder};
use crate::format::{Encoding, ModelFormat};
use crate::pcm;

/// How long a block is, as a part of a second.
const BLOCKS_PER_SECOND: usize = 100;

/// How often the caller's tone swings in a block, and the agent's: 400 and 500 Hz.
pub(super) const CALLER_SWINGS: usize = 4;
pub(super) const AGENT_SWINGS: usize = 5;

/// Tones are tried whose amplitude is that of the one before times so many thousandths: half a decibel. Those are kept
/// whose power is greater than that of the one before by more than one part in so many: nearly a decibel.
const STEP: u64 = 1059;
const LEAST_STEP: u64 = 5;

/// The amplitude of the softest tone, in thousandths, and of the loudest: it is cut off at full scale, and so nearly as
/// loud as anything can be.
const SOFTEST: u64 = 8_000;
const LOUDEST: u64 = 200_000_000;

/// How many blocks a tone of G.722 has been going on when it is taken: its steps have adapted by then.
const SETTLED_BLOCKS: usize = 20;

/// How samples are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Written {
    /// As on the line.
    Line(Encoding),
    /// As the model writes them.
    Model(ModelFormat),
}

impl Written {
    const fn rate(self) -> usize {
        match self {
            Self::Line(encoding) => encoding.sample_rate() as usize,
            Self::Model(format) => format.sample_rate() as usize,
        }
    }

    /// How many bytes one block has.
    pub(super) const fn block_bytes(self) -> usize {
        match self {
            Self::Line(encoding) => encoding.frame_bytes() / 2,
            Self::Model(format) => format.frame_bytes() / 2,
        }
    }

    /// As which encoding of the line it is written, if it is.
    const fn on_the_line(self) -> Option<Encoding> {
        match self {
            Self::Line(encoding) => Some(encoding),
            Self::Model(format) => format.same_on_the_line(),
        }
    }
}

/// All tones that are written in one way.
#[derive(Debug)]
pub(super) struct Tones {
    written: Written,
    /// From silence on, each louder than the one before.
    levels: Vec<Level>,
    /// What hears the audio as it was; nothing where the samples stand there as they are.
    decoder: Option<Decoder>,
    /// What hears the tones, where what it has heard matters.
    listener: Option<Decoder>,
    samples: Vec<i16>,
}

#[derive(Debug)]
struct Level {
    block: Vec<u8>,
    /// The mean square of its samples.
    power: u64,
}

impl Tones {
    pub(super) fn new(written: Written, swings: usize) -> Self {
        let samples_in_block = written.rate() / BLOCKS_PER_SECOND;
        let decoder = written.on_the_line().map(Decoder::new);
        let mut tones = Self { written, levels: Vec::new(), decoder, listener: None, samples: Vec::new() };
        let mut amplitude = 0;
        while amplitude < LOUDEST {
            let tone: Vec<i16> =
                (0..samples_in_block).map(|n| sine(n, samples_in_block / swings, amplitude)).collect();
            tones.add(&tone);
            amplitude = if amplitude == 0 { SOFTEST } else { amplitude * STEP / 1000 };
        }
        // The steps of G.722 that repeat are now louder than the tone that they were taken of, and now softer.
        tones.levels.sort_by_key(|level| level.power);
        tones.levels.dedup_by(|louder, softer| louder.power <= softer.power + softer.power / LEAST_STEP);
        tones.decoder.iter_mut().for_each(Decoder::reset);
        if written.on_the_line() == Some(Encoding::G722) {
            tones.listener.clone_from(&tones.decoder);
        }
        tones
    }

    fn add(&mut self, tone: &[i16]) {
        let mut bytes = Vec::new();
        match self.written.on_the_line() {
            Some(encoding) => {
                let mut encoder = Encoder::new(encoding);
                (0..SETTLED_BLOCKS).for_each(|_| encoder.encode(tone, &mut bytes));
            }
            None => pcm::to_le_bytes(tone, &mut bytes),
        }
        let block = bytes.split_off(bytes.len() - self.written.block_bytes());
        // As it sounds when it goes on.
        let power = (0..SETTLED_BLOCKS).map(|_| self.power(&block)).last().unwrap_or_default();
        self.levels.push(Level { block, power });
    }

    /// Puts tones in the place of what is there.
    pub(super) fn replace(&mut self, audio: &mut [u8]) {
        for block in audio.chunks_mut(self.written.block_bytes()) {
            // A decoder of G.722 hears all that there is.
            let power = self.power(block);
            let is_tone = self.levels.iter().any(|level| level.block.starts_with(block));
            let nearest = if is_tone { None } else { self.nearest(power, block.len()) };
            if let Some(level) = nearest {
                block.iter_mut().zip(&level.block).for_each(|(slot, byte)| *slot = *byte);
            }
            if let Some(listener) = &mut self.listener {
                self.samples.clear();
                listener.decode(block, &mut self.samples);
            }
        }
    }

    /// The level that is nearest to this power when so many bytes of it are heard.
    fn nearest(&self, power: u64, bytes: usize) -> Option<&Level> {
        let Some(listener) = &self.listener else {
            return self.levels.iter().min_by_key(|level| level.power.abs_diff(power));
        };
        // What was heard before is still in the steps of G.722, so that the same code is now louder and now softer.
        let heard = |level: &Level| {
            let (mut listener, mut samples) = (listener.clone(), Vec::with_capacity(2 * bytes));
            listener.decode(level.block.get(..bytes).unwrap_or_default(), &mut samples);
            mean_square(&samples)
        };
        let louder = self
            .levels
            .partition_point(|level| heard(level) < power)
            .min(self.levels.len().saturating_sub(1));
        let near = self.levels.get(louder.saturating_sub(1)..=louder).unwrap_or_default();
        near.iter().min_by_key(|level| heard(level).abs_diff(power))
    }

    /// The mean square of these samples.
    fn power(&mut self, audio: &[u8]) -> u64 {
        self.samples.clear();
        match &mut self.decoder {
            Some(decoder) => decoder.decode(audio, &mut self.samples),
            None => pcm::from_le_bytes(audio, &mut self.samples),
        }
        mean_square(&self.samples)
    }
}

fn mean_square(samples: &[i16]) -> u64 {
    let sum: u64 = samples.iter().map(|sample| u64::from(sample.unsigned_abs()).pow(2)).sum();
    sum / samples.len().max(1) as u64
}

/// A sample of a sine of this period and amplitude, in thousandths, made of integers alone: by the formula of Bhaskara I.
fn sine(n: usize, period: usize, amplitude: u64) -> i16 {
    let half = (period / 2).max(1) as u64;
    let n = n as u64 % (2 * half);
    let x = n % half;
    let arch = 16 * x * (half - x);
    let value = amplitude * arch / (5 * half * half - arch / 4) / 1000;
    let value = value.min(i16::MAX as u64) as i16;
    if n < half { value } else { -value }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all() -> Vec<Tones> {
        let line = [Encoding::Pcmu, Encoding::Pcma, Encoding::G722, Encoding::L16Wideband].map(Written::Line);
        let model = ModelFormat::ALL.map(Written::Model);
        let line = line.map(|written| Tones::new(written, CALLER_SWINGS));
        line.into_iter().chain(model.map(|written| Tones::new(written, AGENT_SWINGS))).collect()
    }

    fn decibels(power: u64) -> f64 {
        10.0 * (power.max(1) as f64 / f64::from(1 << 30)).log10()
    }

    #[test]
    fn levels_reach_from_silence_to_full_scale_in_small_steps() {
        for tones in all() {
            let levels: Vec<_> = tones.levels.iter().map(|level| decibels(level.power)).collect();
            assert!((40..110).contains(&levels.len()), "{:?}: {}", tones.written, levels.len());
            assert!(levels[0] < -70.0 && *levels.last().unwrap() > -3.0, "{:?}: {levels:?}", tones.written);
            for pair in levels.windows(2).filter(|pair| pair[0] > -50.0) {
                assert!((0.0..2.5).contains(&(pair[1] - pair[0])), "{:?}: {pair:?}", tones.written);
            }
        }
    }

    #[test]
    fn a_voice_becomes_as_loud_a_tone_and_a_tone_stays() {
        for mut tones in all() {
            // Louder and softer every 200 ms, as speech is.
            let rate = tones.written.rate();
            let speech: Vec<i16> = (0..3 * rate)
                .map(|n| {
                    let loud = [300, 9000, 0, 2500, 20_000][n / (rate / 5) % 5];
                    ((n * 7919 % 1009) as i32 * loud / 504 - loud) as i16
                })
                .collect();
            let mut audio = Vec::new();
            match tones.written.on_the_line() {
                Some(encoding) => Encoder::new(encoding).encode(&speech, &mut audio),
                None => pcm::to_le_bytes(&speech, &mut audio),
            }
            let powers = |tones: &mut Tones, audio: &[u8]| -> Vec<f64> {
                let bytes = tones.written.block_bytes() * BLOCKS_PER_SECOND;
                tones.decoder.iter_mut().for_each(Decoder::reset);
                audio.chunks(bytes).map(|second| decibels(tones.power(second))).collect()
            };
            let before = powers(&mut tones, &audio);
            tones.decoder.iter_mut().for_each(Decoder::reset);
            let mut replaced = audio.clone();
            tones.replace(&mut replaced);
            let after = powers(&mut tones, &replaced);
            for (before, after) in before.iter().zip(&after) {
                assert!((before - after).abs() < 2.0, "{:?}: {before} and {after} dB", tones.written);
            }
            let once = replaced.clone();
            tones.replace(&mut replaced);
            assert_eq!(replaced, once, "{:?}", tones.written);
            assert_ne!(once, audio);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn whatever_it_is_it_becomes_tones_that_stay(audio in proptest::collection::vec(any::<u8>(), 0..2000)) {
            for mut tones in all() {
                let mut once = audio.clone();
                tones.replace(&mut once);
                let mut twice = once.clone();
                tones.replace(&mut twice);
                prop_assert_eq!(once, twice);
            }
        }
    }
}
