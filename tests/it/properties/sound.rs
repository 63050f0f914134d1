//! Resampling, gain and WAV files, against arithmetic and another library.

use super::{bytes, cases};
use ari_bridge_core::pcm::Gain;
use ari_bridge_core::resample::Resampler;
use ari_bridge_core::wav;
use ari_bridge_tests::choices::Choices;
use ari_bridge_tests::generators::{bits, pick, pieces, sound, up_to};
use hound::{SampleFormat, WavReader, WavSpec, WavWriter};
use proptest::prelude::*;
use std::io::Cursor;

/// Those of the line and of the model, and those that prompts may have.
const RATES: [u32; 9] = [8_000, 16_000, 24_000, 8_000, 16_000, 24_000, 22_050, 44_100, 48_000];

/// All of it, in these pieces, from a fresh start.
fn resampled(resampler: &mut Resampler, pieces: &[&[i16]]) -> Vec<i16> {
    let mut out = Vec::new();
    pieces.iter().for_each(|piece| resampler.process(piece, &mut out));
    resampler.flush(&mut out);
    out
}

fn delay_samples(resampler: &Resampler, to: u32) -> usize {
    // Rounded: a delay is told in whole nanoseconds.
    ((resampler.delay().as_nanos() * u128::from(to) + 500_000_000) / 1_000_000_000) as usize
}

proptest! {
    #![proptest_config(cases(150))]

    /// The pieces in which audio comes make no difference, nor does what came before a flush; the length is exact, and
    /// nothing is louder than a filter's overshoot makes it.
    #[test]
    fn resampled_audio_does_not_depend_on_its_pieces(bytes in bytes(400)) {
        let mut choices = Choices::new(&bytes);
        let (from, to) = (*pick(&mut choices, &RATES), *pick(&mut choices, &RATES));
        let samples = sound::samples(&mut choices, 3_000);
        let mut resampler = Resampler::new(from, to);
        let whole = resampled(&mut resampler, &[&samples]);
        let delay = if samples.is_empty() { 0 } else { delay_samples(&resampler, to) };
        prop_assert_eq!(whole.len(), (samples.len() * to as usize).div_ceil(from as usize) + delay);
        prop_assert!(
            resampled(&mut resampler, &pieces(&mut choices, &samples)) == whole,
            "in pieces it is another"
        );
        let mut given_up = Vec::new();
        resampler.process(&samples, &mut given_up);
        resampler.reset();
        prop_assert!(
            resampled(&mut resampler, &pieces(&mut choices, &samples)) == whole,
            "something was left inside"
        );
        prop_assert!(whole.starts_with(&given_up), "blocks come as soon as they are whole");
        let peak = |samples: &[i16]| {
            samples.iter().map(|sample| i32::from(sample.unsigned_abs())).max().unwrap_or(0)
        };
        prop_assert!(peak(&whole) <= 2 * peak(&samples) + 1, "{} of {}", peak(&whole), peak(&samples));
    }

    /// A tone below both rates' limits is the same tone at the other rate.
    #[test]
    fn a_resampled_tone_is_the_tone(bytes in bytes(24)) {
        let mut choices = Choices::new(&bytes);
        let (from, to) = (*pick(&mut choices, &RATES), *pick(&mut choices, &RATES));
        let hz = 200.0 + bits(&mut choices, 16) as f64 / 65_536.0 * 2_300.0;
        let phase = f64::from(choices.byte()) / 40.0;
        let tone = |phase: f64, rate: u32| sound::sine(12_000.0, hz, phase, rate, rate as usize / 4);
        let rounded: Vec<i16> = tone(phase, from).iter().map(|sample| sample.round() as i16).collect();
        let mut resampler = Resampler::new(from, to);
        let got = resampled(&mut resampler, &[&rounded]);
        let delay = delay_samples(&resampler, to);
        let snr = |wanted: &[f64]| {
            let middle = wanted.len() / 5..wanted.len() * 4 / 5;
            let noise: f64 = middle.clone().map(|n| (wanted[n] - f64::from(got[n + delay])).powi(2)).sum();
            let signal: f64 = middle.map(|n| wanted[n].powi(2)).sum();
            10.0 * (signal / noise.max(1e-9)).log10()
        };
        // The middle of a block of an odd number of samples, which some rates have, lies between two of them.
        let halves = [from, to]
            .map(|rate| if rate % 1000 == 0 { 0.0 } else { core::f64::consts::PI * hz / f64::from(rate) });
        let shifts = [0.0, halves[0], -halves[0], halves[1], -halves[1]];
        let best = shifts.map(|shift| snr(&tone(phase + shift, to))).into_iter().fold(f64::MIN, f64::max);
        prop_assert!(best > 65.0, "{hz:.1} Hz, {from} -> {to}: {best:.1} dB");
    }

    /// Whatever the factor: a louder sample never comes out quieter than another, both signs are alike, none is beyond
    /// full scale or louder than the factor makes it, and a factor above 1 makes none quieter.
    #[test]
    fn a_gain_is_a_curve_that_only_rises(bytes in bytes(300)) {
        let mut choices = Choices::new(&bytes);
        let factor = match choices.below(4) {
            0 => f64::from_bits(bits(&mut choices, 64)),
            1 => f64::from(choices.byte()) / 16.0,
            2 => 1.0 + up_to(&mut choices, 1 << 20) as f64 / f64::from(1 << 20),
            _ => up_to(&mut choices, 1_000_000) as f64 / 1_000.0,
        };
        let mut samples = vec![i16::MIN, -32_767, -16_384, -1, 0, 1, 16_384, 32_767];
        samples.extend((0..100).map(|_| bits(&mut choices, 16) as u16 as i16));
        samples.extend(samples.clone().iter().map(|sample| sample.saturating_neg()));
        samples.sort_unstable();
        let mut louder = samples.clone();
        Gain::new(factor).apply(&mut louder);
        prop_assert!(louder.is_sorted(), "{factor}: {louder:?}");
        let wanted = if factor.is_finite() { factor.max(0.0) } else { 1.0 };
        for (sample, louder) in samples.iter().zip(&louder) {
            let (plain, got) = (f64::from(*sample) * wanted, f64::from(*louder));
            prop_assert!(
                got.abs() <= plain.abs() + 0.5 && plain * got >= 0.0,
                "{factor}: {sample} -> {louder}"
            );
            prop_assert!(
                wanted < 1.0 || louder.unsigned_abs() >= sample.unsigned_abs(),
                "{factor}: {sample} -> {louder}"
            );
            if plain.abs() <= 16_384.0 || wanted <= 1.0 {
                prop_assert_eq!(got, plain.round(), "{}: {}", factor, sample);
            }
            // Nothing is cut flat: full scale is reached where the input is within a few steps of it.
            let is_flat =
                (1.0..=20.0).contains(&wanted) && sample.unsigned_abs() < 32_700 && *louder == i16::MAX;
            prop_assert!(!is_flat, "{factor}: {sample} -> {louder}");
            let mut mirrored = [sample.saturating_neg()];
            Gain::new(factor).apply(&mut mirrored);
            // Full scale has one value more below zero than above it.
            let is_alike = mirrored[0] == louder.saturating_neg() || mirrored[0].saturating_neg() == *louder;
            prop_assert!(is_alike || *sample == i16::MIN, "{factor}: {sample}");
        }
    }

    /// What is written another library reads, and what that writes is read here as the mean of its channels.
    #[test]
    fn wav_files_are_those_of_another_library(bytes in bytes(300)) {
        let mut choices = Choices::new(&bytes);
        let rate = 4_000 + up_to(&mut choices, 188_000) as u32;
        let samples = sound::samples(&mut choices, 2_000);
        let file = wav::write(rate, &samples);
        let reader = WavReader::new(Cursor::new(&file)).expect("a WAV file");
        let spec = reader.spec();
        prop_assert_eq!((spec.sample_rate, spec.channels, spec.bits_per_sample), (rate, 1, 16));
        let read: Vec<i16> = reader.into_samples().map(|sample| sample.expect("a sample")).collect();
        prop_assert_eq!(&read, &samples);
        let read = wav::read(&file, 60);
        prop_assert_eq!(read.map(|wav| wav.samples).unwrap_or_default(), samples.clone());
        let channels = 1 + choices.below(4) as u16;
        let (bits_per_sample, sample_format) = (*pick(&mut choices, &[8, 16, 24, 32]), SampleFormat::Int);
        let (spec, mut file) =
            (WavSpec { channels, sample_rate: rate, bits_per_sample, sample_format }, Vec::new());
        let mut writer = WavWriter::new(Cursor::new(&mut file), spec).expect("a writer");
        let whole = samples.len() / usize::from(channels) * usize::from(channels);
        // In 8 bits only the upper half of each sample is there.
        let shift = |sample: i16| {
            if bits_per_sample == 8 {
                i32::from(sample >> 8)
            } else {
                i32::from(sample) << (bits_per_sample - 16)
            }
        };
        samples[..whole].iter().for_each(|sample| writer.write_sample(shift(*sample)).expect("a Vec"));
        writer.finalize().expect("a Vec");
        let value = |sample: &i16| f64::from(if bits_per_sample == 8 { *sample >> 8 << 8 } else { *sample });
        let mean =
            |frame: &[i16]| (frame.iter().map(value).sum::<f64>() / f64::from(channels)).round() as i16;
        let expected: Vec<i16> = samples[..whole].chunks(channels.into()).map(mean).collect();
        let read = wav::read(&file, 60).map(|wav| wav.samples).unwrap_or_default();
        prop_assert_eq!(read, expected);
    }
}
