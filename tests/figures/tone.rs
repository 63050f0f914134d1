//! Tones, and what is left of them.

use std::f64::consts::TAU;

/// The amplitude of a sine wave at −1 dBFS.
pub(crate) const MINUS_ONE_DBFS: f64 = 32_767.0 * 0.891_250_938;

/// A sine wave.
pub(crate) fn sine(hertz: f64, rate: u32, amplitude: f64, seconds: f64) -> Vec<i16> {
    let step = TAU * hertz / f64::from(rate);
    let samples = (f64::from(rate) * seconds) as usize;
    (0..samples).map(|n| (amplitude * (n as f64 * step).sin()).round() as i16).collect()
}

/// The middle three quarters, where no onset and no end is.
pub(crate) fn middle(samples: &[i16]) -> &[i16] {
    &samples[samples.len() / 8..samples.len() * 7 / 8]
}

/// The sine wave of this frequency that fits best: its amplitude, and the power of what is left without it.
/// The two unknowns (sine and cosine) are solved for together, so that no window is needed.
pub(crate) fn fit(samples: &[i16], hertz: f64, rate: u32) -> (f64, f64) {
    let step = TAU * hertz / f64::from(rate);
    let waves = || (0..samples.len()).map(|n| (n as f64 * step).sin_cos());
    let (mut ss, mut sc, mut cc, mut ys, mut yc) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for ((s, c), &sample) in waves().zip(samples) {
        let y = f64::from(sample);
        (ss, sc, cc) = (ss + s * s, sc + s * c, cc + c * c);
        (ys, yc) = (ys + y * s, yc + y * c);
    }
    let determinant = (ss * cc - sc * sc).max(1e-9);
    let a = (ys * cc - yc * sc) / determinant;
    let b = (yc * ss - ys * sc) / determinant;
    let left = waves().zip(samples).map(|((s, c), &y)| (f64::from(y) - a * s - b * c).powi(2));
    (a.hypot(b), left.sum::<f64>() / samples.len().max(1) as f64)
}

/// Signal to noise of a sine wave of this frequency, in dB: everything that is not the wave is noise.
pub(crate) fn snr(samples: &[i16], hertz: f64, rate: u32) -> f64 {
    let (amplitude, noise) = fit(samples, hertz, rate);
    10.0 * (amplitude * amplitude / 2.0 / noise.max(1e-12)).log10()
}

/// A ratio of amplitudes in dB.
pub(crate) fn decibels(ratio: f64) -> f64 {
    20.0 * ratio.max(1e-12).log10()
}

/// The ratio of two powers in dB, segment by segment of 20 ms where the signal is louder than −50 dBFS, each
/// held between −10 and 35 dB, and the mean of them: segmental SNR as it is usually taken for speech.
pub(crate) fn segmental_snr(clean: &[i16], heard: &[i16], rate: u32) -> f64 {
    let segment = rate as usize / 50;
    let mut sum = (0.0, 0.0);
    for (clean, heard) in clean.chunks_exact(segment).zip(heard.chunks_exact(segment)) {
        let power = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>();
        let signal = power(&mut clean.iter().map(|&v| f64::from(v)));
        if signal / (segment as f64) < (32_768.0_f64 * 0.003_162).powi(2) {
            continue;
        }
        let noise = power(&mut clean.iter().zip(heard).map(|(&a, &b)| f64::from(a) - f64::from(b)));
        sum.0 += (10.0 * (signal / noise.max(1e-9)).log10()).clamp(-10.0, 35.0);
        sum.1 += 1.0;
    }
    sum.0 / f64::max(sum.1, 1.0)
}

/// How far the spectra of two voices are apart, in dB: the root mean square of the difference in 32 bands up to
/// 3.9 kHz, averaged over the segments of 20 ms that are audible in the clean one. It asks what was heard, not
/// whether each wave lies where it lay, and so it is what tells a good stand-in for lost audio from a bad one.
pub(crate) fn spectral_distance(clean: &[i16], heard: &[i16], rate: u32) -> f64 {
    let segment = rate as usize / 50;
    let bands = |samples: &[i16]| -> Vec<f64> {
        (1..=32).map(|band| band_level(samples, f64::from(band) * 120.0, rate)).collect()
    };
    let mut sum = (0.0, 0.0);
    for (clean, heard) in clean.chunks_exact(segment).zip(heard.chunks_exact(segment)) {
        let power = clean.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() / segment as f64;
        if power > 100.0 * 100.0 {
            let apart: f64 = bands(clean).iter().zip(bands(heard)).map(|(a, b)| (a - b).powi(2)).sum();
            sum.0 += (apart / 32.0).sqrt();
            sum.1 += 1.0;
        }
    }
    sum.0 / f64::max(sum.1, 1.0)
}

/// The level around a frequency, in dB, through a Hann window.
fn band_level(samples: &[i16], hertz: f64, rate: u32) -> f64 {
    let step = TAU * hertz / f64::from(rate);
    let length = samples.len() as f64;
    let (mut re, mut im) = (0.0, 0.0);
    for (n, &sample) in samples.iter().enumerate() {
        let window = 0.5 - 0.5 * (TAU * n as f64 / length).cos();
        let (sin, cos) = (n as f64 * step).sin_cos();
        re += window * f64::from(sample) * cos;
        im += window * f64::from(sample) * sin;
    }
    10.0 * ((re * re + im * im) / (length * length)).max(1.0).log10()
}
