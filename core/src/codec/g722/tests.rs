use super::*;
use crate::rng::Rng;
use proptest::collection::vec;
use proptest::prelude::*;

const RATE: f64 = 16_000.0;
/// What both filters together delay.
const DELAY: usize = 22;

fn encoded(samples: &[i16]) -> Vec<u8> {
    let mut out = Vec::new();
    Encoder::new().encode(samples, &mut out);
    out
}

fn decoded(payload: &[u8]) -> Vec<i16> {
    let mut out = Vec::new();
    Decoder::new().decode(payload, &mut out);
    out
}

/// Two seconds of a sine.
fn tone(hz: f64, amplitude: f64) -> Vec<i16> {
    let sample =
        |n: i32| (amplitude * (core::f64::consts::TAU * hz * f64::from(n) / RATE).sin()).round() as i16;
    (0..32_000).map(sample).collect()
}

/// How far the tone stands above what the codec adds to it, once it has adapted.
fn snr_db(samples: &[i16]) -> f64 {
    let heard = decoded(&encoded(samples));
    let power = |numbers: &mut dyn Iterator<Item = f64>| numbers.map(|x| x * x).sum::<f64>();
    let pairs = || samples.iter().zip(&heard[DELAY..]).skip(4_000);
    let signal = power(&mut pairs().map(|(&said, _)| f64::from(said)));
    let noise = power(&mut pairs().map(|(&said, &heard)| f64::from(heard) - f64::from(said)));
    10.0 * (signal / noise).log10()
}

/// Samples that wander between silence, tones and noise of any loudness.
fn restless(rng: &mut Rng) -> Vec<i16> {
    let (amplitude, period) = (1 << rng.below(16), 2 + rng.below(200) as i32);
    let noisy = rng.below(2) == 0;
    let sample = |n: i32| {
        let wave =
            if noisy { rng.below(65_536) as i32 - 32_768 } else { n % period * 65_535 / period - 32_768 };
        (wave * amplitude / 32_768).clamp(-32_768, 32_767) as i16
    };
    (0..1600).map(sample).collect()
}

#[test]
fn a_tone_of_either_band_comes_back_with_the_noise_that_its_bits_allow() {
    for (hz, db) in [(300.0, 35.0), (1_000.0, 35.0), (3_000.0, 33.0), (5_000.0, 21.0), (6_500.0, 23.0)] {
        for amplitude in [300.0, 3_000.0, 16_000.0] {
            let snr = snr_db(&tone(hz, amplitude));
            assert!(snr > db, "{hz} Hz at {amplitude}: {snr:.1} dB");
        }
    }
}

#[test]
fn silence_comes_back_as_near_silence_also_after_a_tone_at_full_scale() {
    let loud = tone(440.0, 32_767.0);
    let heard = decoded(&encoded(&[loud.as_slice(), &[0; 32_000]].concat()));
    let (_, rest) = heard.split_at(loud.len() + 8_000);
    assert!(rest.iter().all(|sample| sample.unsigned_abs() <= 4), "{:?}", rest.iter().max());
}

#[test]
fn a_decoder_stays_in_step_with_its_encoder_through_a_minute_of_changing_audio() {
    let mut rng = Rng::new(722);
    let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new());
    let (mut payload, mut heard) = (Vec::new(), Vec::new());
    for tenth in 0..10 * 60 {
        payload.clear();
        heard.clear();
        encoder.encode(&restless(&mut rng), &mut payload);
        decoder.decode(&payload, &mut heard);
        assert_eq!((&encoder.lower, &encoder.upper), (&decoder.lower, &decoder.upper), "at {tenth}/10 s");
    }
}

#[test]
fn an_odd_sample_waits_for_the_next_call() {
    let (mut encoder, mut out) = (Encoder::new(), Vec::new());
    let samples = tone(700.0, 9_000.0);
    encoder.encode(&samples[..1], &mut out);
    assert!(out.is_empty());
    encoder.encode(&[], &mut out);
    encoder.encode(&samples[1..4], &mut out);
    encoder.encode(&samples[4..5], &mut out);
    encoder.encode(&samples[5..700], &mut out);
    assert_eq!(out, encoded(&samples[..700]));
}

proptest! {
    #[test]
    fn every_byte_string_is_audio_and_leaves_the_decoder_within_its_bounds(
        words in vec((vec(any::<u8>(), 1..5), 1_usize..300), 0..40),
    ) {
        // Words that repeat drive the predictors to their limits, which random bytes alone do not.
        let payload: Vec<u8> = words.iter().flat_map(|(word, times)| word.repeat(*times)).collect();
        let (mut decoder, mut out) = (Decoder::new(), Vec::new());
        decoder.decode(&payload, &mut out);
        prop_assert_eq!(out.len(), 2 * payload.len());
        prop_assert!(decoder.lower.is_bounded() && decoder.upper.is_bounded());
    }

    #[test]
    fn what_is_encoded_does_not_depend_on_the_pieces_in_which_it_comes(
        samples in vec(any::<i16>(), 0..2000),
        pieces in vec(1_usize..700, 1..20),
    ) {
        let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new());
        let (mut payload, mut heard, mut rest) = (Vec::new(), Vec::new(), samples.as_slice());
        for &piece in pieces.iter().cycle() {
            let (head, tail) = rest.split_at(piece.min(rest.len()));
            let start = payload.len();
            encoder.encode(head, &mut payload);
            decoder.decode(&payload[start..], &mut heard);
            rest = tail;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(&payload, &encoded(&samples));
        prop_assert_eq!(heard, decoded(&payload));
    }
}
