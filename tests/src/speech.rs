//! Voices that are made, not recorded: the same on every machine, as long as wanted, and each its own.
//!
//! A voice is a row of syllables, each a fricative (noise above the telephone band) and a vowel (pulses of the
//! vocal folds through three resonances), as in Klatt's synthesizer of 1980 but much simpler. It is not
//! meant to be understood; it is meant to be broken by whatever breaks speech.

use core::f64::consts::PI;

use ari_bridge_core::rng::Rng;

use crate::measure::RATE;

/// How loud an utterance is: its peak, of 32767. Leaves room for the filters that it will pass through.
const PEAK: f64 = 12_000.0;

/// What voice number `voice` says within so many seconds. Equal arguments give equal samples; different voices
/// differ in pitch, vowels and rhythm. There is no pause longer than 60 ms in it.
#[must_use]
pub fn utterance(voice: u64, seconds: f64) -> Vec<i16> {
    let mut voice = Voice::new(voice);
    let length = (seconds * RATE as f64) as usize;
    let mut samples: Vec<f64> = Vec::with_capacity(length + RATE / 2);
    while samples.len() < length {
        voice.syllable(&mut samples);
    }
    samples.truncate(length);
    let peak = samples.iter().fold(1e-9_f64, |peak, s| peak.max(s.abs()));
    samples.iter().map(|s| (s * PEAK / peak) as i16).collect()
}

struct Voice {
    rng: Rng,
    pitch_hz: f64,
}

impl Voice {
    fn new(voice: u64) -> Self {
        let mut rng = Rng::new(voice.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(11));
        let pitch_hz = 95.0 + f64::from(rng.below(110));
        Self { rng, pitch_hz }
    }

    fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * f64::from(self.rng.next_u32()) / f64::from(u32::MAX)
    }

    fn noise(&mut self) -> f64 {
        self.between(-1.0, 1.0)
    }

    fn syllable(&mut self, out: &mut Vec<f64>) {
        self.fricative(out);
        self.vowel(out);
        let pause = self.between(0.005, 0.060);
        out.resize(out.len() + (pause * RATE as f64) as usize, 0.0);
    }

    fn fricative(&mut self, out: &mut Vec<f64>) {
        let centre = self.between(4800.0, 6600.0);
        let length = (self.between(0.05, 0.10) * RATE as f64) as usize;
        let mut colour = Resonator::new(centre, 1400.0);
        for n in 0..length {
            let noise = self.noise();
            out.push(0.30 * colour.pass(noise) * swell(n, length));
        }
    }

    fn vowel(&mut self, out: &mut Vec<f64>) {
        let mut formants = [
            Resonator::new(self.between(280.0, 800.0), 80.0),
            Resonator::new(self.between(900.0, 2300.0), 110.0),
            Resonator::new(self.between(2400.0, 3300.0), 160.0),
        ];
        let weights = [1.0, 0.6, 0.3];
        let length = (self.between(0.10, 0.22) * RATE as f64) as usize;
        let (from, to) = (self.pitch_hz * self.between(0.8, 1.3), self.pitch_hz * self.between(0.7, 1.2));
        let mut phase = 0.0;
        for n in 0..length {
            let pitch = from + (to - from) * n as f64 / length as f64;
            phase += pitch / RATE as f64;
            // One pulse per period, and the breath that goes with it.
            let pulse = if phase >= 1.0 { 1.0 } else { 0.0 };
            phase -= pulse;
            let breath = 0.01 * self.noise();
            let sum: f64 = formants
                .iter_mut()
                .zip(weights)
                .map(|(formant, weight)| weight * formant.pass(pulse + breath))
                .sum();
            out.push(5.0 * sum * swell(n, length));
        }
    }
}

/// Rises over the first 10 ms and falls over the last.
fn swell(n: usize, length: usize) -> f64 {
    let edge = RATE / 100;
    let distance = n.min(length - 1 - n).min(edge);
    0.5 - 0.5 * (PI * distance as f64 / edge as f64).cos()
}

/// A resonance with two poles, of unit gain at its centre or thereabouts.
struct Resonator {
    gain: f64,
    b: f64,
    c: f64,
    last: [f64; 2],
}

impl Resonator {
    fn new(centre_hz: f64, width_hz: f64) -> Self {
        let radius = (-PI * width_hz / RATE as f64).exp();
        let angle = 2.0 * PI * centre_hz / RATE as f64;
        let gain = (1.0 - radius) * (1.0 - 2.0 * radius * (2.0 * angle).cos() + radius * radius).sqrt();
        Self { gain, b: 2.0 * radius * angle.cos(), c: -radius * radius, last: [0.0; 2] }
    }

    fn pass(&mut self, input: f64) -> f64 {
        let output = self.gain * input + self.b * self.last[0] + self.c * self.last[1];
        self.last = [output, self.last[0]];
        output
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_voice_says_the_same_thing_twice_and_two_voices_do_not() {
        assert_eq!(utterance(7, 0.5), utterance(7, 0.5));
        assert_ne!(utterance(7, 0.5), utterance(8, 0.5));
        assert_eq!(utterance(7, 0.5).len(), RATE / 2);
    }

    #[test]
    fn it_is_loud_but_not_clipped() {
        let peak = utterance(9, 1.0).iter().map(|s| s.unsigned_abs()).max();
        assert_eq!(peak, Some(PEAK as u16));
    }
}
