//! What must hold of the canceller however it is used; how good it is, the test target `figures` measures.

use super::*;
use crate::rng::Rng;
use proptest::prelude::*;

/// So many seconds of noise in bursts, and its echo so much later at a quarter.
fn line(rate: usize, seconds: usize, delay_ms: usize) -> (Vec<i16>, Vec<i16>) {
    let mut rng = Rng::new(4);
    let far: Vec<i16> = (0..rate * seconds)
        .map(|n| if n / (rate / 5) % 3 == 2 { 0 } else { (rng.below(8000) as i32 - 4000) as i16 })
        .collect();
    let delay = rate * delay_ms / 1000;
    let echo = core::iter::repeat_n(0, delay).chain(far.iter().map(|sample| sample / 4)).take(far.len());
    let echo = echo.collect();
    (far, echo)
}

fn power(samples: &[i16]) -> f64 {
    samples.iter().map(|&sample| f64::from(sample).powi(2)).sum::<f64>() / samples.len() as f64
}

fn run(rate: usize, far: &[i16], sent: &[i16]) -> Vec<i16> {
    let (mut canceller, mut out) = (EchoCanceller::new(rate as u32), Vec::new());
    let frame = rate / 50;
    for (far, sent) in far.chunks(frame).zip(sent.chunks(frame)) {
        canceller.played(far);
        canceller.cancel(sent, &mut out);
    }
    out
}

#[test]
fn an_echo_is_weakened_and_the_same_on_every_machine() {
    for (rate, digest) in [(8_000, DIGEST_8), (16_000, DIGEST_16)] {
        let (far, echo) = line(rate, 4, 40);
        let out = run(rate, &far, &echo);
        assert_eq!(out.len(), echo.len(), "as much comes out as went in");
        let (before, after) = (power(&echo[rate * 2..]), power(&out[rate * 2..]));
        assert!(after < before / 30.0, "{rate}: from {before} to {after}");
        let got = out.iter().fold(0xCBF2_9CE4_8422_2325u64, |hash, sample| {
            (hash ^ u64::from(sample.cast_unsigned())).wrapping_mul(0x0000_0100_0000_01B3)
        });
        assert_eq!(got, digest, "{rate}: {got:#x}");
    }
}

#[test]
fn an_uplink_that_comes_in_bursts_stays_in_step() {
    let rate = 8_000;
    let (far, echo) = line(rate, 4, 40);
    let (mut canceller, mut out) = (EchoCanceller::new(8_000), Vec::new());
    for (n, (far, sent)) in far.chunks(160).zip(echo.chunks(160)).enumerate() {
        canceller.played(far);
        // Five packets at once, a tenth of a second late.
        if n % 5 == 4 {
            let start = (n - 4) * 160;
            canceller.cancel(&echo[start..start + 5 * 160], &mut out);
        }
        assert_eq!(sent.len(), 160);
    }
    let (before, after) = (power(&echo[rate * 2..]), power(&out[rate * 2..]));
    assert!(after < before / 10.0, "from {before} to {after}");
}

/// A gateway nearby takes no longer than the 20 ms that a packet holds, and its first packet may come late.
#[test]
fn the_echo_of_a_gateway_nearby_is_weakened_too() {
    for rate in [8_000, 16_000] {
        let (far, echo) = line(rate, 4, 20);
        let out = run(rate, &far, &echo);
        let (before, after) = (power(&echo[rate * 2..]), power(&out[rate * 2..]));
        assert!(after < before / 30.0, "{rate}: from {before} to {after}");
    }
}

/// What shifts the caller's audio against the clock for good: a pause is filled and its packets come after all,
/// and later some are lost for so long that they are not made up.
#[test]
fn an_uplink_that_made_too_much_or_too_little_is_in_step_again_soon() {
    for rate in [8_000, 16_000] {
        let (frame, (far, echo)) = (rate / 50, line(rate, 11, 60));
        let (mut canceller, mut out) = (EchoCanceller::new(rate as u32), Vec::new());
        let mut ends = Vec::new();
        for (n, (far, sent)) in far.chunks(frame).zip(echo.chunks(frame)).enumerate() {
            canceller.played(far);
            if n == 100 {
                canceller.cancel(&vec![0; 15 * frame], &mut out);
            }
            if !(200..215).contains(&n) {
                canceller.cancel(sent, &mut out);
            }
            ends.push(out.len());
        }
        // From a second after the first on, and from five after the second: two to notice it, the rest to learn.
        for (from, to) in [(150, 199), (465, 549)] {
            let (before, after) = (&echo[from * frame..to * frame], &out[ends[from]..ends[to]]);
            let (before, after) = (power(before), power(after));
            assert!(after < before / 30.0, "{rate}, from frame {from}: from {before} to {after}");
        }
    }
}

#[test]
fn without_an_agent_a_caller_is_left_alone() {
    let (voice, _) = line(16_000, 4, 40);
    let (mut canceller, mut out) = (EchoCanceller::new(16_000), Vec::new());
    for sent in voice.chunks(320) {
        canceller.quiet(320);
        canceller.cancel(sent, &mut out);
    }
    let change = power(&out[16_000..]) / power(&voice[16_000..]);
    assert!((0.9..1.1).contains(&change), "{change}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn no_order_of_calls_panics_or_grows(
        story in proptest::collection::vec((0u8..3, 0usize..2000, any::<i16>()), 1..60), wide: bool,
    ) {
        let mut canceller = EchoCanceller::new(if wide { 16_000 } else { 8_000 });
        let (mut sent, mut out) = (0, Vec::new());
        for (what, samples, value) in story {
            match what {
                0 => canceller.played(&vec![value; samples]),
                1 => canceller.quiet(samples * 1000),
                _ => {
                    canceller.cancel(&vec![value; samples], &mut out);
                    sent += samples;
                }
            }
            prop_assert!(out.len() <= sent);
        }
    }
}

const DIGEST_8: u64 = 0x8A4A_C5B4_EE4D_8868;
const DIGEST_16: u64 = 0xC15E_EE0D_F7A6_E5B9;
