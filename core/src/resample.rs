//! Sample rates: 8, 16 and 24 kHz into one another, and those of prompts.
//!
//! The work is done by rubato's synchronous FFT resampler in `f64`, in blocks of 10 ms, and each sample is
//! rounded to 16 bits at once. In `f64` the rounded result is the same whether the FFT runs on AVX or on
//! scalar code, which `f32` is not; a replay on another machine gives the same bytes.

use crate::pcm;
use crate::time::Duration;
use rubato::audioadapter_buffers::direct::SequentialSlice;
use rubato::{Fft, FixedSync, Resampler as _};

/// How many blocks of the FFT there are in a second: each takes 10 ms, or somewhat longer if the rates have no
/// whole number of samples in that.
const BLOCKS_PER_SECOND: u32 = 100;

/// Changes the sample rate of one stream of mono audio.
///
/// What comes out lags behind what went in by [`Resampler::delay`] (half a block: mostly 5 ms), so the first samples
/// of a talkspurt are the filter's onset. From a fresh start, `n` samples through [`Resampler::process`] and
/// then [`Resampler::flush`] give exactly `ceil(n * to / from)` samples and those of the delay before them.
pub struct Resampler {
    /// None where both rates are equal and the samples pass through.
    stage: Option<Stage>,
}

struct Stage {
    fft: Fft<f64>,
    /// One block, of which `filled` samples are waiting for the rest.
    input: Vec<f64>,
    filled: usize,
    output: Vec<f64>,
    /// Samples in and out since the start of the talkspurt, for the exact length of the tail.
    taken: u64,
    given: u64,
    to_hz: u64,
}

impl core::fmt::Debug for Resampler {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Resampler").field("delay", &self.delay()).finish_non_exhaustive()
    }
}

impl Resampler {
    /// A resampler from one rate to another, in Hz; equal rates pass through. For a conversation both should be
    /// multiples of 100: others make blocks, and a delay, of up to a second.
    #[must_use]
    pub fn new(from_hz: u32, to_hz: u32) -> Self {
        let block = (from_hz / BLOCKS_PER_SECOND) as usize;
        let fft = || Fft::new(from_hz as usize, to_hz as usize, block, 1, FixedSync::Both).ok();
        let stage = if from_hz == to_hz { None } else { fft() };
        Self {
            stage: stage.map(|fft| Stage {
                input: vec![0.0; fft.input_frames_max()],
                filled: 0,
                output: vec![0.0; fft.output_frames_max()],
                taken: 0,
                given: 0,
                to_hz: to_hz.max(1).into(),
                fft,
            }),
        }
    }

    /// By how much the output lags behind the input.
    #[must_use]
    pub fn delay(&self) -> Duration {
        let delay = |stage: &Stage| stage.fft.output_delay() as u64 * 1_000_000_000 / stage.to_hz;
        Duration::from_nanos(self.stage.as_ref().map_or(0, delay))
    }

    /// Takes `input` and appends what is ready to `out`: whole blocks of 10 ms, the rest waits for more.
    pub fn process(&mut self, input: &[i16], out: &mut Vec<i16>) {
        match &mut self.stage {
            None => out.extend_from_slice(input),
            Some(stage) => stage.process(input, out),
        }
    }

    /// Appends what is still inside, and begins anew: the next talkspurt hears nothing of this one.
    pub fn flush(&mut self, out: &mut Vec<i16>) {
        if let Some(stage) = &mut self.stage {
            stage.flush(out);
        }
    }

    /// Forgets what is still inside, and begins anew.
    pub fn reset(&mut self) {
        if let Some(stage) = &mut self.stage {
            stage.reset();
        }
    }
}

impl Stage {
    fn process(&mut self, mut input: &[i16], out: &mut Vec<i16>) {
        self.taken += input.len() as u64;
        while !input.is_empty() {
            let free = self.input.get_mut(self.filled..).unwrap_or_default();
            let (now, later) = input.split_at(free.len().min(input.len()));
            for (slot, sample) in free.iter_mut().zip(now) {
                *slot = f64::from(*sample);
            }
            self.filled += now.len();
            input = later;
            if self.filled == self.input.len() {
                self.run(usize::MAX, out);
            }
        }
    }

    /// Resamples the block and appends at most `limit` samples of it.
    fn run(&mut self, limit: usize, out: &mut Vec<i16>) {
        self.filled = 0;
        let (frames_in, frames_out) = (self.input.len(), self.output.len());
        let input = SequentialSlice::new(self.input.as_slice(), 1, frames_in);
        let output = SequentialSlice::new_mut(self.output.as_mut_slice(), 1, frames_out);
        let (Ok(input), Ok(mut output)) = (input, output) else { return };
        // It fails only for buffers of another shape than it asked for, and these have just that shape.
        let done = self.fft.process_into_buffer(&input, &mut output, None);
        debug_assert!(done.is_ok(), "the buffers have the shape that the resampler asked for");
        let before = out.len();
        out.extend(self.output.iter().take(limit).map(|&sample| pcm::round(sample)));
        self.given += (out.len() - before) as u64;
    }

    fn flush(&mut self, out: &mut Vec<i16>) {
        if self.taken > 0 {
            let (block_in, block_out) = (self.input.len().max(1) as u64, self.output.len() as u64);
            let wanted = (self.taken * block_out).div_ceil(block_in) + self.fft.output_delay() as u64;
            // At most two rounds: the rest of a block, and the delay behind it.
            while self.given < wanted {
                self.input.iter_mut().skip(self.filled).for_each(|slot| *slot = 0.0);
                self.run((wanted - self.given) as usize, out);
            }
        }
        self.reset();
    }

    fn reset(&mut self) {
        self.fft.reset();
        (self.filled, self.taken, self.given) = (0, 0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATES: [u32; 3] = [8_000, 16_000, 24_000];

    fn sine(hz: f64, rate: u32, samples: usize) -> Vec<i16> {
        let step = core::f64::consts::TAU * hz / f64::from(rate);
        (0..samples).map(|n| pcm::round(12_000.0 * (n as f64 * step).sin())).collect()
    }

    fn run(from: u32, to: u32, input: &[i16]) -> Vec<i16> {
        let (mut resampler, mut out) = (Resampler::new(from, to), Vec::new());
        resampler.process(input, &mut out);
        resampler.flush(&mut out);
        out
    }

    fn delay_samples(from: u32, to: u32) -> usize {
        (Resampler::new(from, to).delay().as_micros() as u64 * u64::from(to) / 1_000_000) as usize
    }

    /// Signal to noise in dB, over the middle of both, where no onset is.
    fn snr(wanted: &[i16], got: &[i16]) -> f64 {
        let middle = wanted.len() / 8..wanted.len() * 7 / 8;
        let power = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().max(1e-9);
        let signal = power(&mut wanted[middle.clone()].iter().map(|&v| f64::from(v)));
        let noise = power(&mut middle.map(|n| f64::from(wanted[n]) - f64::from(got[n])));
        10.0 * (signal / noise).log10()
    }

    #[test]
    fn a_tone_keeps_its_shape_at_the_other_rate() {
        for (from, to) in RATES.iter().flat_map(|&a| RATES.map(|b| (a, b))) {
            for hz in [300.0, 1004.0, 2500.0] {
                let got = run(from, to, &sine(hz, from, from as usize));
                let got = &got[delay_samples(from, to)..];
                let snr = snr(&sine(hz, to, to as usize), got);
                assert!(snr > 70.0, "{hz} Hz, {from} -> {to}: {snr:.1} dB");
            }
        }
    }

    #[test]
    fn a_wideband_tone_survives_the_way_to_the_model_and_back() {
        let tone = sine(3000.0, 16_000, 16_000);
        let there = run(16_000, 24_000, &tone);
        let back = run(24_000, 16_000, &there[delay_samples(16_000, 24_000)..]);
        let snr = snr(&tone, &back[delay_samples(24_000, 16_000)..]);
        assert!(snr > 70.0, "{snr:.1} dB");
    }

    #[test]
    fn what_the_lower_rate_cannot_hold_is_filtered_out() {
        let out = run(24_000, 8_000, &sine(6_000.0, 24_000, 24_000));
        let loudest = out[800..7200].iter().map(|s| s.unsigned_abs()).max().unwrap();
        assert!(loudest < 12, "an alias of {loudest}");
    }

    #[test]
    fn the_pieces_in_which_it_comes_make_no_difference() {
        let tone = sine(1004.0, 16_000, 5_000);
        let whole = run(16_000, 24_000, &tone);
        for piece in [1, 7, 160, 161, 333] {
            let (mut resampler, mut out) = (Resampler::new(16_000, 24_000), Vec::new());
            tone.chunks(piece).for_each(|chunk| resampler.process(chunk, &mut out));
            resampler.flush(&mut out);
            assert!(out == whole, "pieces of {piece}");
        }
    }

    #[test]
    fn the_length_is_exact() {
        for (from, to) in RATES.iter().flat_map(|&a| RATES.map(|b| (a, b))) {
            for n in [0usize, 1, 2, 3, 79, 80, 81, 160, 239, 240, 241, 480, 1000] {
                let delay = if n == 0 { 0 } else { delay_samples(from, to) };
                let wanted = (n * to as usize).div_ceil(from as usize) + delay;
                assert_eq!(run(from, to, &vec![1; n]).len(), wanted, "{n} samples, {from} -> {to}");
            }
        }
    }

    #[test]
    fn a_talkspurt_hears_nothing_of_the_one_before() {
        let tone = sine(440.0, 24_000, 700);
        let fresh = run(24_000, 16_000, &tone);
        let (mut resampler, mut out) = (Resampler::new(24_000, 16_000), Vec::new());
        resampler.process(&[i16::MAX; 1010], &mut out);
        resampler.flush(&mut out);
        out.clear();
        resampler.process(&tone, &mut out);
        resampler.flush(&mut out);
        assert_eq!(out, fresh);
    }

    #[test]
    fn the_loudest_square_wave_saturates_and_does_not_wrap() {
        let square: Vec<i16> = (0..8000).map(|n| if n / 40 % 2 == 0 { i16::MAX } else { i16::MIN }).collect();
        let out = run(8_000, 24_000, &square);
        // In the middle of each half-wave the sign is that of the input, however far the filter overshoots.
        let delay = delay_samples(8_000, 24_000);
        for half in 2..190 {
            let middle = i32::from(out[delay + half * 120 + 60]);
            assert!(if half % 2 == 0 { middle > 20_000 } else { middle < -20_000 }, "{half}: {middle}");
        }
    }

    #[test]
    fn the_delay_is_five_milliseconds() {
        assert_eq!(Resampler::new(24_000, 16_000).delay(), Duration::from_millis(5));
        assert_eq!(Resampler::new(8_000, 24_000).delay(), Duration::from_millis(5));
        assert_eq!(Resampler::new(16_000, 16_000).delay(), Duration::ZERO);
    }

    #[test]
    fn rates_without_whole_blocks_of_ten_milliseconds_have_longer_ones() {
        // 294 samples of 22,050 Hz are 320 of 24,000 Hz: 13.3 ms, of which half is the delay.
        assert_eq!(Resampler::new(22_050, 24_000).delay(), Duration::from_nanos(6_666_666));
        assert_eq!(run(22_050, 24_000, &[1; 22_050]).len(), 24_000 + 160);
    }
}
