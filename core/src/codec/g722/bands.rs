//! The two ADPCM codecs of ITU-T G.722, clause 6, one for each band.
//!
//! Both encode the difference from what their predictor expects, in steps whose size follows the codes.

use super::predictor::{Predictor, saturated};
use super::tables::{
    LOWER_COARSE, LOWER_FINE, LOWER_LEVELS, LOWER_LOG, LOWER_LOG_MAX, LOWER_STEPS, UPPER, UPPER_LEVEL,
    UPPER_LOG, UPPER_LOG_MAX, UPPER_STEPS, entry,
};

/// The lower band, of 0 to 4 kHz: 6 bits per sample.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Lower {
    predictor: Predictor,
    /// NBL: the logarithm of the step size, in Q11.
    log: i32,
    /// DETL: the step size.
    step: i32,
}

/// The upper band, of 4 to 8 kHz: 2 bits per sample.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Upper {
    predictor: Predictor,
    /// NBH: the logarithm of the step size, in Q11.
    log: i32,
    /// DETH: the step size.
    step: i32,
}

impl Lower {
    pub(super) fn new() -> Self {
        Self { predictor: Predictor::default(), log: 0, step: entry(&LOWER_STEPS, 0) }
    }

    /// The code of a sample.
    #[inline]
    pub(super) fn encode(&mut self, sample: i32) -> u8 {
        let code = self.quantise(saturated(sample - self.predictor.prediction()));
        self.adapt(code);
        code
    }

    /// The sample of a code, which is in the lower six bits.
    #[inline]
    pub(super) fn decode(&mut self, code: u8) -> i32 {
        let difference = (self.step * entry(&LOWER_FINE, usize::from(code))) >> 15;
        let sample = limited(self.predictor.prediction() + difference);
        self.adapt(code);
        sample
    }

    /// QUANTL. Positive codes fall from 61 to 32; the two smallest negative ones stand above them.
    #[inline]
    fn quantise(&self, difference: i32) -> u8 {
        let (magnitude, step) = (folded(difference), self.step as u32);
        let reached = |&level: &u16| u16::from(((u32::from(level) * step) >> 16) as u16 <= magnitude);
        // The three zeros that are no levels are reached as well.
        let level = LOWER_LEVELS.iter().map(reached).sum::<u16>() as u8 - 3;
        match level {
            _ if difference >= 0 => 61 - level,
            0 | 1 => 63 - level,
            _ => 33 - level,
        }
    }

    /// INVQAL, LOGSCL and SCALEL, for which the lowest two bits do not count.
    #[inline]
    fn adapt(&mut self, code: u8) {
        let coarse = usize::from(code >> 2);
        self.predictor.adapt((self.step * entry(&LOWER_COARSE, coarse)) >> 15);
        self.log = leaked(self.log, entry(&LOWER_LOG, coarse), LOWER_LOG_MAX);
        self.step = entry(&LOWER_STEPS, (self.log >> 6) as usize);
    }
}

impl Upper {
    pub(super) fn new() -> Self {
        Self { predictor: Predictor::default(), log: 0, step: entry(&UPPER_STEPS, 0) }
    }

    /// The code of a sample.
    #[inline]
    pub(super) fn encode(&mut self, sample: i32) -> u8 {
        // QUANTH: one bit for the sign, one for the level.
        let difference = saturated(sample - self.predictor.prediction());
        let far = i32::from(folded(difference)) >= (UPPER_LEVEL * self.step) >> 12;
        let code = if difference < 0 { 1 } else { 3 } - u8::from(far);
        self.adapt(code);
        code
    }

    /// The sample of a code, which is in the lowest two bits.
    #[inline]
    pub(super) fn decode(&mut self, code: u8) -> i32 {
        // What the predictor is told is what is heard, unlike in the lower band.
        let prediction = self.predictor.prediction();
        limited(prediction + self.adapt(code))
    }

    /// INVQAH, LOGSCH and SCALEH; gives the difference.
    #[inline]
    fn adapt(&mut self, code: u8) -> i32 {
        let code = usize::from(code);
        let difference = (self.step * entry(&UPPER, code)) >> 15;
        self.predictor.adapt(difference);
        self.log = leaked(self.log, entry(&UPPER_LOG, code), UPPER_LOG_MAX);
        self.step = entry(&UPPER_STEPS, (self.log >> 6) as usize);
        difference
    }
}

/// LIMIT: what a band may hold, 15 bits.
#[inline]
pub(super) fn limited(sample: i32) -> i32 {
    sample.clamp(-16_384, 16_383)
}

/// The magnitude of a number of 16 bits, the ones' complement of a negative one.
#[inline]
fn folded(difference: i32) -> u16 {
    (difference ^ (difference >> 31)) as u16
}

/// The next logarithm of a step size: it forgets one part in 128 per sample, so that a decoder that missed
/// something comes back.
#[inline]
fn leaked(log: i32, change: i32, max: i32) -> i32 {
    (((log * 127) >> 7) + change).clamp(0, max)
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Lower {
        pub(in super::super) fn is_bounded(&self) -> bool {
            self.predictor.is_bounded()
                && (0..=LOWER_LOG_MAX).contains(&self.log)
                && (32..=16_384).contains(&self.step)
        }
    }

    impl Upper {
        pub(in super::super) fn is_bounded(&self) -> bool {
            self.predictor.is_bounded()
                && (0..=UPPER_LOG_MAX).contains(&self.log)
                && (8..=16_384).contains(&self.step)
        }
    }
}
