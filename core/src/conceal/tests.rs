//! What stands in for lost audio, heard at its borders and in its middle.

#![expect(clippy::disallowed_macros, reason = "a test prints its figures for who wants to see them")]

use super::*;
use proptest::prelude::*;

const RATES: [u32; 3] = [8_000, 16_000, 24_000];

/// So that the shape can be judged without the fade.
const STEADY: Fade = Fade { full_ms: 200, silent_ms: 300 };

fn ms(rate: u32, millis: usize) -> usize {
    rate as usize / 1000 * millis
}

fn tone(hz: f64, rate: u32, samples: usize) -> Vec<i16> {
    let step = core::f64::consts::TAU * hz / f64::from(rate);
    (0..samples).map(|n| (12_000.0 * (n as f64 * step).sin()) as i16).collect()
}

/// A vowel of sorts: twelve harmonics, the weaker the higher, none in step with another.
fn vowel(hz: f64, rate: u32, samples: usize) -> Vec<i16> {
    let step = core::f64::consts::TAU * hz / f64::from(rate);
    let at = |n: usize| {
        (1..=12).map(|h| (n as f64 * step * h as f64 + (h * h) as f64).sin() / h as f64).sum::<f64>()
    };
    (0..samples).map(|n| (5_000.0 * at(n)) as i16).collect()
}

fn noise(samples: usize) -> Vec<i16> {
    let mut rng = crate::rng::Rng::new(3);
    (0..samples).map(|_| (rng.next_u16() as i16) / 4).collect()
}

/// The signal in packets of 20 ms, of which those that `is_lost` says were made up.
fn heard_with_loss(rate: u32, fade: Fade, signal: &[i16], is_lost: impl Fn(usize) -> bool) -> Vec<i16> {
    let (mut concealer, mut heard) = (Concealer::new(rate, fade), Vec::new());
    for (n, packet) in signal.chunks(ms(rate, 20)).enumerate() {
        if is_lost(n) {
            concealer.conceal(packet.len(), &mut heard);
        } else {
            let mut packet = packet.to_vec();
            concealer.hear(&mut packet);
            heard.extend(packet);
        }
    }
    assert_eq!(heard.len(), signal.len());
    heard
}

fn snr_db(wanted: &[i16], got: &[i16]) -> f64 {
    let power = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().max(1e-9);
    let signal = power(&mut wanted.iter().map(|&v| f64::from(v)));
    10.0 * (signal / power(&mut wanted.iter().zip(got).map(|(&a, &b)| f64::from(a) - f64::from(b)))).log10()
}

fn largest_step(samples: &[i16]) -> u32 {
    samples.windows(2).map(|pair| i32::from(pair[1]).abs_diff(i32::from(pair[0]))).max().unwrap_or(0)
}

fn loudest(samples: &[i16]) -> u16 {
    samples.iter().map(|sample| sample.unsigned_abs()).max().unwrap_or(0)
}

#[test]
fn a_tone_goes_on_in_phase_over_a_lost_packet() {
    for rate in RATES {
        for hz in [201.0, 440.0, 1004.0, 2500.0] {
            let signal = tone(hz, rate, ms(rate, 200));
            let heard = heard_with_loss(rate, STEADY, &signal, |n| n == 5);
            let lost = ms(rate, 100)..ms(rate, 120);
            let snr = snr_db(&signal[lost.clone()], &heard[lost]);
            println!("{hz} Hz at {rate} Hz, 20 ms lost: {snr:.1} dB");
            // Whole samples are repeated, and no whole number of them at 8 kHz is a multiple of 1004 Hz.
            assert!(snr > 8.0, "{hz} Hz at {rate}: {snr:.1} dB");
        }
    }
}

#[test]
fn a_vowel_goes_on_in_pitch_and_phase_over_a_lost_packet() {
    for rate in RATES {
        for hz in [81.0, 97.0, 123.0, 187.0, 233.0] {
            let signal = vowel(hz, rate, ms(rate, 200));
            let (lost, whole) = (ms(rate, 100)..ms(rate, 120), ms(rate, 100)..ms(rate, 130));
            let steady =
                snr_db(&signal[lost.clone()], &heard_with_loss(rate, STEADY, &signal, |n| n == 5)[lost]);
            let heard = heard_with_loss(rate, Fade::LOSS, &signal, |n| n == 5);
            let faded = snr_db(&signal[whole.clone()], &heard[whole.clone()]);
            println!("{hz} Hz at {rate} Hz, 20 ms lost: {steady:.1} dB, {faded:.1} dB with the fade");
            assert!(steady > 10.0, "{hz} Hz at {rate}: {steady:.1} dB");
            assert!(faded > 10.0, "{hz} Hz at {rate}: {faded:.1} dB with the fade");
        }
    }
}

#[test]
fn neither_border_clicks() {
    for rate in RATES {
        for (what, signal) in [
            ("tone", tone(313.0, rate, ms(rate, 400))),
            ("vowel", vowel(118.0, rate, ms(rate, 400))),
            ("noise", noise(ms(rate, 400))),
        ] {
            for packets in 1..=6 {
                let heard = heard_with_loss(rate, Fade::LOSS, &signal, |n| (5..5 + packets).contains(&n));
                let (own, with) = (largest_step(&signal), largest_step(&heard));
                assert!(
                    with <= own * 3 / 2,
                    "{what} at {rate}, {packets} lost: {with} where {own} is its own"
                );
            }
        }
    }
}

#[test]
fn it_is_at_full_level_then_fades_and_then_is_exactly_silent() {
    for rate in RATES {
        let (mut concealer, mut out) = (Concealer::new(rate, Fade::LOSS), Vec::new());
        concealer.hear(&mut tone(400.0, rate, ms(rate, 100)));
        concealer.conceal(ms(rate, 100), &mut out);
        let level = |from: usize, to: usize| i32::from(loudest(&out[ms(rate, from)..ms(rate, to)]));
        assert!(level(0, 10) > 11_500);
        assert!((level(30, 35) - 7_200).abs() < 500, "at 30 of 10 to 60 ms, three fifths: {}", level(30, 35));
        assert!(level(55, 60) > 0);
        assert_eq!(level(60, 100), 0);
    }
}

#[test]
fn the_quick_fade_is_over_in_five_milliseconds() {
    let (mut concealer, mut out) = (Concealer::new(24_000, Fade::QUICK), Vec::new());
    concealer.hear(&mut vec![8_000; 2_400]);
    concealer.conceal(480, &mut out);
    assert_eq!(out[0], 8_000);
    assert!(out.is_sorted_by(|a, b| a >= b));
    assert_eq!((out[60], loudest(&out[120..])), (4_000, 0));
}

#[test]
fn silence_stays_silence_also_when_speech_was_before_it() {
    let (mut concealer, mut out) = (Concealer::new(8_000, Fade::LOSS), Vec::new());
    concealer.conceal(160, &mut out);
    concealer.hear(&mut [0; 160]);
    concealer.conceal(160, &mut out);
    // Speech that ended 20 ms before the loss.
    concealer.hear(&mut vowel(110.0, 8_000, 400));
    concealer.hear(&mut [0; 160]);
    concealer.conceal(800, &mut out);
    assert_eq!((out.len(), loudest(&out)), (1_120, 0));
}

#[test]
fn what_comes_back_is_blended_for_five_milliseconds_and_then_left_alone() {
    for rate in RATES {
        let signal = vowel(130.0, rate, ms(rate, 200));
        let heard = heard_with_loss(rate, Fade::LOSS, &signal, |n| n == 5);
        let back = ms(rate, 120);
        assert_ne!(heard[back..back + ms(rate, 5)], signal[back..back + ms(rate, 5)]);
        assert_eq!(heard[back + ms(rate, 5)..], signal[back + ms(rate, 5)..]);
        assert_eq!(heard[..ms(rate, 100)], signal[..ms(rate, 100)]);
    }
}

#[test]
fn after_the_fade_what_comes_back_fades_in_over_five_milliseconds() {
    let (mut concealer, mut out) = (Concealer::new(8_000, Fade::LOSS), Vec::new());
    concealer.hear(&mut tone(300.0, 8_000, 400));
    concealer.conceal(800, &mut out);
    assert!(concealer.is_concealing());
    // In two pieces, of which the first is shorter than the blend.
    let mut back = [[4_100; 15].to_vec(), [4_100; 145].to_vec()];
    concealer.hear(&mut back[0]);
    assert!(concealer.is_concealing());
    concealer.hear(&mut back[1]);
    assert!(!concealer.is_concealing());
    let back = back.concat();
    assert_eq!((back[0], back[39], back[40]), (100, 4_000, 4_100));
    assert!(back.is_sorted());
}

#[test]
fn a_loss_in_pieces_sounds_like_one_in_one_piece() {
    let made_up = |pieces: &[usize]| {
        let (mut concealer, mut out) = (Concealer::new(16_000, Fade::LOSS), Vec::new());
        concealer.hear(&mut vowel(144.0, 16_000, 1_600));
        pieces.iter().for_each(|&piece| concealer.conceal(piece, &mut out));
        out
    };
    assert_eq!(made_up(&[960]), made_up(&[1, 319, 0, 320, 160, 160]));
}

#[test]
fn after_a_reset_nothing_is_known_and_nothing_is_changed() {
    let (mut concealer, mut out) = (Concealer::new(8_000, Fade::LOSS), Vec::new());
    concealer.hear(&mut tone(300.0, 8_000, 400));
    concealer.conceal(80, &mut out);
    concealer.reset();
    assert!(!concealer.is_concealing());
    let mut back = [5_000; 80];
    concealer.hear(&mut back);
    assert_eq!(back, [5_000; 80]);
    concealer.reset();
    out.clear();
    concealer.conceal(160, &mut out);
    assert_eq!(out, [0; 160]);
}

#[test]
fn a_square_wave_of_full_scale_is_not_made_louder() {
    let mut square: Vec<i16> = (0..800).map(|n| if n / 23 % 2 == 0 { i16::MAX } else { i16::MIN }).collect();
    for cut in 700..760 {
        let (mut concealer, mut out) = (Concealer::new(8_000, STEADY), Vec::new());
        concealer.hear(&mut square[..cut]);
        concealer.conceal(160, &mut out);
        let own = largest_step(&square);
        assert!(
            largest_step(&out) <= own && out.iter().any(|&s| s > 30_000) && out.iter().any(|&s| s < -30_000)
        );
    }
}

proptest! {
    /// Whatever is heard and missing in whatever pieces: lengths are exact, nothing panics, and what is made
    /// up or blended is never louder than the loudest that was heard.
    #[test]
    fn any_course_of_events_keeps_lengths_and_level(
        rate in prop::sample::select(RATES.to_vec()),
        quick: bool,
        story in prop::collection::vec((0u8..8, 0usize..700, any::<i16>(), any::<u64>()), 1..30),
    ) {
        let mut concealer = Concealer::new(rate, if quick { Fade::QUICK } else { Fade::LOSS });
        let mut highest = 0;
        for (what, length, level, seed) in story {
            let mut rng = crate::rng::Rng::new(seed);
            let mut audio: Vec<i16> = match what {
                0 => vec![level; length],
                1 => (0..length).map(|_| rng.next_u16() as i16).collect(),
                2 => (0..length).map(|n| if n % 50 < 25 { level } else { level.saturating_neg() }).collect(),
                3 => vowel(f64::from(60 + rng.below(300)), rate, length),
                4 => { concealer.reset(); continue }
                _ => {
                    let mut out = vec![7; 3];
                    concealer.conceal(length, &mut out);
                    prop_assert_eq!(out.len(), length + 3);
                    prop_assert!(length == 0 || concealer.is_concealing());
                    prop_assert!(loudest(&out[3..]) <= highest);
                    continue;
                }
            };
            let before = audio.clone();
            let changes = concealer.is_concealing();
            highest = highest.max(loudest(&audio));
            concealer.hear(&mut audio);
            prop_assert!(changes || audio == before);
            prop_assert!(loudest(&audio) <= highest);
        }
    }
}
