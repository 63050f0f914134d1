//! Samples.

use super::{bits, up_to};
use crate::choices::Choices;

/// Up to `most` samples: silence, full scale, noise, tones, steps and single values, one behind the other.
pub fn samples(choices: &mut Choices<'_>, most: usize) -> Vec<i16> {
    let mut all = Vec::new();
    let len = up_to(choices, most as u64) as usize;
    while all.len() < len {
        let part = (1 + up_to(choices, 999) as usize).min(len - all.len());
        let peak = up_to(choices, 32_767) as i16;
        match choices.below(6) {
            0 => all.extend((0..part).map(|_| 0)),
            1 => all.extend((0..part).map(|_| if choices.byte() < 128 { i16::MIN } else { i16::MAX })),
            2 => {
                let mut state = bits(choices, 32) as u32 | 1;
                all.extend((0..part).map(|_| {
                    // Noise of a few bytes (Numerical Recipes' congruence, of which the upper half is taken).
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (i32::from((state >> 16) as u16 as i16) * i32::from(peak) / 32_768) as i16
                }));
            }
            3 => {
                let step = core::f64::consts::PI * f64::from(choices.byte()) / 256.0;
                all.extend((0..part).map(|n| (f64::from(peak) * (n as f64 * step).sin()) as i16));
            }
            4 => {
                let half = 1 + choices.below(100);
                all.extend((0..part).map(|n| if (n / half).is_multiple_of(2) { peak } else { -peak }));
            }
            _ => all.extend((0..part).map(|_| bits(choices, 16) as u16 as i16)),
        }
    }
    all
}

/// The samples of a sine of this peak, frequency and phase (in radians) at this rate, not rounded.
pub fn sine(peak: f64, hz: f64, phase: f64, rate: u32, samples: usize) -> Vec<f64> {
    let step = core::f64::consts::TAU * hz / f64::from(rate);
    (0..samples).map(|n| peak * (phase + n as f64 * step).sin()).collect()
}
