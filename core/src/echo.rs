//! Takes the agent's echo out of the caller's audio: AEC3, the canceller of WebRTC, set for telephone lines.
//!
//! A hybrid at the far end of an analogue line, or the air between a handset's earpiece and its microphone,
//! sends the agent's voice back. The model's voice detection takes a clear echo for a caller who interrupts.
//!
//! It is off unless it is asked for, for two reasons. It costs several times what the rest of the media path
//! costs (`cargo bench`). And AEC3 allocates in every block of 4 ms, so with it on, the media path no longer is
//! free of allocations. A panic inside it is a panic of the call: the driver ends that one call, and no other.
//!
//! **What is put out.** AEC3 has a linear output, from which the echo as it was predicted is subtracted, and a
//! full one, from which what is left is suppressed by frequency as well. The linear one leaves the caller
//! alone, but lets the first three seconds of the agent through. The full one, as it is set for rooms, swallows
//! the caller: while both speak, a quarter of the caller's frames lose more than 6 dB. So it is the full one, set
//! for lines (`settings` below). Measured with an echo of 10, 15 and 25 dB below the agent after 60 ms (the test
//! target `figures`): weaker by 19 to 32 dB in the first second and by 26 to 44 dB after five, and 1 to 4 % of
//! the caller's frames lose more than 6 dB while both speak. When the line's delay jumps, most of the echo
//! comes through for a second, until it is learnt anew. Real rooms and telephones were not tried.
//!
//! **The same bits everywhere.** AEC3 computes in `f32`, so its vector instructions are chosen here and not by
//! what the processor has: those that every x86-64 has, and scalar code elsewhere. Both were measured to give
//! the same bits, also on an emulated processor without AVX. The C library's `f32` functions of another platform were
//! not tried.

mod reference;

use crate::pcm;
use crate::resample::Resampler;
use crate::time::Duration;
use reference::Reference;
use sonora_aec3::block::Block;
use sonora_aec3::block_processor::BlockProcessor;
use sonora_aec3::common::BLOCK_SIZE;
use sonora_aec3::config::{EchoCanceller3Config, TransparentModeType};
use sonora_simd::SimdBackend;

#[cfg(target_arch = "x86_64")]
const BACKEND: SimdBackend = SimdBackend::Sse2;
#[cfg(not(target_arch = "x86_64"))]
const BACKEND: SimdBackend = SimdBackend::Scalar;

/// The rate that AEC3 works at, in Hz.
const RATE: u32 = 16_000;

/// By how much the linear part may be believed to have weakened the echo, as a ratio of powers: 18 dB. For a
/// room it is 6 dB in the low bands and 2 dB in the high ones, and the rest is suppressed, with the caller.
const MAX_ERLE: f32 = 64.0;

/// By how much an echo beyond the filter's 52 ms dies away from one block of 4 ms to the next, as a ratio of
/// powers. A line does not reverberate; for a room it is 0.83.
const TAIL: f32 = 0.1;

/// How much audio one call to [`EchoCanceller::cancel`] may bring without allocation on our side.
const LONGEST_MS: usize = 400;

/// Takes the echo of what was played to the caller out of what the caller's line sends.
///
/// Both streams are given in their own time, and the second need not be clocked. They are held together by the
/// moments at which they come, so after each step of the clock [`EchoCanceller::played`] or
/// [`EchoCanceller::quiet`] belongs before [`EchoCanceller::cancel`].
pub struct EchoCanceller {
    reference: Reference,
    aec: Box<BlockProcessor>,
    render: Block,
    capture: Block,
    agent_up: Resampler,
    caller_up: Resampler,
    caller_down: Resampler,
    /// What was played, at the line's rate.
    played: Vec<i16>,
    /// Both at [`RATE`]; at most a block is left waiting.
    agent: Vec<i16>,
    caller: Vec<i16>,
    cleaned: Vec<i16>,
}

impl core::fmt::Debug for EchoCanceller {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("EchoCanceller").field("reference", &self.reference).finish_non_exhaustive()
    }
}

impl EchoCanceller {
    /// A canceller for a line at `line_rate_hz`, 8000 or 16000, that has not heard anything yet.
    #[must_use]
    pub fn new(line_rate_hz: u32) -> Self {
        // A resampler gives back whole blocks of 10 ms, so one more than goes in; and a block of AEC3 waits.
        let most = (LONGEST_MS + 10) * RATE as usize / 1000 + BLOCK_SIZE;
        Self {
            reference: Reference::new(line_rate_hz),
            aec: Box::new(BlockProcessor::with_backend(BACKEND, &settings(), RATE as usize, 1, 1)),
            render: Block::new(1, 1),
            capture: Block::new(1, 1),
            agent_up: Resampler::new(line_rate_hz, RATE),
            caller_up: Resampler::new(line_rate_hz, RATE),
            caller_down: Resampler::new(RATE, line_rate_hz),
            played: Vec::with_capacity(most),
            agent: Vec::with_capacity(most),
            caller: Vec::with_capacity(most),
            cleaned: Vec::with_capacity(most),
        }
    }

    /// Takes what was sent to the caller, at the line's rate, as it left.
    pub fn played(&mut self, samples: &[i16]) {
        self.reference.push(samples);
    }

    /// Takes that nothing was sent to the caller for so many samples.
    pub fn quiet(&mut self, samples: usize) {
        self.reference.push_silence(samples);
    }

    /// Takes what the caller's line sent, at its rate, and appends what is ready of it to `out`, without the
    /// echo. What comes in whole frames of 20 ms goes out in whole frames, [`EchoCanceller::delay`] later; of
    /// other lengths some waits for the next call.
    pub fn cancel(&mut self, samples: &[i16], out: &mut Vec<i16>) {
        self.played.clear();
        self.reference.take(samples.len(), &mut self.played);
        self.agent_up.process(&self.played, &mut self.agent);
        self.caller_up.process(samples, &mut self.caller);
        self.cleaned.clear();
        let (agent, caller) = (self.agent.as_chunks::<BLOCK_SIZE>().0, self.caller.as_chunks().0);
        for (agent, caller) in agent.iter().zip(caller) {
            write(agent, &mut self.render);
            write(caller, &mut self.capture);
            self.aec.buffer_render(&self.render);
            // An echo that is 10 dB down never clips, so what clips is the caller's and says nothing of the path.
            self.aec.process_capture(false, false, None, &mut self.capture);
            self.cleaned.extend(self.capture.view(0, 0).iter().map(|&sample| pcm::round(f64::from(sample))));
        }
        // As many went in of both, so as many are done.
        self.agent.drain(..self.cleaned.len().min(self.agent.len()));
        self.caller.drain(..self.cleaned.len().min(self.caller.len()));
        self.caller_down.process(&self.cleaned, out);
    }

    /// By how much the output lags behind the input: a block of AEC3, and where the line is not at 16 kHz the
    /// resampling both ways.
    #[must_use]
    pub fn delay(&self) -> Duration {
        let block = Duration::from_nanos(BLOCK_SIZE as u64 * 1_000_000_000 / u64::from(RATE));
        block + self.caller_up.delay() + self.caller_down.delay()
    }
}

/// AEC3 for the echo of a line: linear, short, without reverberation, or not there at all.
fn settings() -> EchoCanceller3Config {
    let mut settings = EchoCanceller3Config::default();
    (settings.erle.max_l, settings.erle.max_h) = (MAX_ERLE, MAX_ERLE);
    (settings.ep_strength.default_len, settings.ep_strength.nearend_len) = (TAIL, TAIL);
    // For a room the high bands are suppressed at a quarter of the echo that the low ones may keep.
    let suppressor = &mut settings.suppressor;
    suppressor.normal_tuning.mask_hf = suppressor.normal_tuning.mask_lf.clone();
    suppressor.nearend_tuning.mask_hf = suppressor.nearend_tuning.mask_lf.clone();
    // Most lines have no echo, and this is the better of two ways to find that out.
    settings.echo_removal_control.transparent_mode = TransparentModeType::Hmm;
    settings
}

fn write(samples: &[i16; BLOCK_SIZE], block: &mut Block) {
    for (slot, &sample) in block.view_mut(0, 0).iter_mut().zip(samples) {
        *slot = f32::from(sample);
    }
}

#[cfg(test)]
mod tests;
