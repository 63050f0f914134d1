//! ITU-T G.722 at 64 kbit/s, its mode 1: two bands of 8 kHz, the lower with 6 bits per sample and the
//! upper with 2, in the recommendation's own integers, so that any two implementations agree in every bit.
//!
//! A byte holds both codes of 125 µs, the upper band's in its two most significant bits, and stands for two
//! samples at 16 kHz.

mod bands;
mod predictor;
mod tables;

use bands::{Lower, Upper};
use tables::QMF;

/// So many bytes are worked on at a time: a packet of 20 ms.
const BLOCK: usize = 160;
/// The filter's taps in each of the two bands.
const TAPS: usize = QMF.len() / 2;
/// The taps for the sum of both bands, the oldest sample first.
const SUM_TAPS: [i16; TAPS] = every_other(0);
/// The taps for the difference of both bands, the oldest sample first.
const DIFFERENCE_TAPS: [i16; TAPS] = every_other(1);
/// The taps that let the upper band through, the oldest sample first.
const UPPER_TAPS: [i16; QMF.len()] = mirrored();

/// Decodes one stream.
#[derive(Clone)]
pub(super) struct Decoder {
    lower: Lower,
    upper: Upper,
    /// The sums of both bands, behind those that the filter still remembers.
    sums: [i16; TAPS - 1 + BLOCK],
    /// The differences of both bands, likewise.
    differences: [i16; TAPS - 1 + BLOCK],
}

/// Encodes one stream.
#[derive(Clone)]
pub(super) struct Encoder {
    lower: Lower,
    upper: Upper,
    /// The samples to encode, behind those that the filter still remembers.
    samples: [i16; QMF.len() - 2 + 2 * BLOCK],
    /// A sample that waits for the other of its pair.
    odd: Option<i16>,
}

impl Decoder {
    /// A decoder at the start of a stream.
    pub(super) fn new() -> Self {
        Self {
            lower: Lower::new(),
            upper: Upper::new(),
            sums: [0; TAPS - 1 + BLOCK],
            differences: [0; TAPS - 1 + BLOCK],
        }
    }

    /// Appends two samples for each byte.
    pub(super) fn decode(&mut self, payload: &[u8], out: &mut Vec<i16>) {
        for block in payload.chunks(BLOCK) {
            self.reconstruct(block);
            let mut samples = [[0; 2]; BLOCK];
            let heard = self.sums.array_windows().zip(self.differences.array_windows());
            for (pair, (sums, differences)) in samples.iter_mut().zip(heard.take(block.len())) {
                *pair = [filtered(differences, &DIFFERENCE_TAPS), filtered(sums, &SUM_TAPS)];
            }
            out.extend_from_slice(samples.as_flattened().get(..2 * block.len()).unwrap_or_default());
            self.sums.copy_within(block.len()..block.len() + TAPS - 1, 0);
            self.differences.copy_within(block.len()..block.len() + TAPS - 1, 0);
        }
    }

    /// Decodes both bands of up to [`BLOCK`] bytes.
    fn reconstruct(&mut self, block: &[u8]) {
        let bands = self.sums.iter_mut().zip(&mut self.differences).skip(TAPS - 1);
        for (&byte, (sum, difference)) in block.iter().zip(bands) {
            let (lower, upper) = (self.lower.decode(byte), self.upper.decode(byte >> 6));
            // Each has 15 bits, so these have 16.
            *sum = (lower + upper) as i16;
            *difference = (lower - upper) as i16;
        }
    }
}

impl Encoder {
    /// An encoder at the start of a stream.
    pub(super) fn new() -> Self {
        Self { lower: Lower::new(), upper: Upper::new(), samples: [0; QMF.len() - 2 + 2 * BLOCK], odd: None }
    }

    /// Appends a byte for each two samples. An odd one at the end waits for the next call; at the end of a stream
    /// it is lost, with 62.5 µs of audio.
    pub(super) fn encode(&mut self, samples: &[i16], out: &mut Vec<u8>) {
        let mut samples = samples;
        if let (Some(first), Some((&second, rest))) = (self.odd, samples.split_first()) {
            self.odd = None;
            self.encode_block(&[[first, second]], out);
            samples = rest;
        }
        let (pairs, odd) = samples.as_chunks();
        for block in pairs.chunks(BLOCK) {
            self.encode_block(block, out);
        }
        self.odd = odd.first().copied().or(self.odd);
    }

    /// Encodes up to [`BLOCK`] pairs.
    fn encode_block(&mut self, pairs: &[[i16; 2]], out: &mut Vec<u8>) {
        let fresh = self.samples.iter_mut().skip(QMF.len() - 2);
        fresh.zip(pairs.as_flattened()).for_each(|(place, &sample)| *place = sample);
        let windows = self.samples.array_windows().step_by(2).take(pairs.len());
        out.extend(windows.map(|window| {
            let lower = self.lower.encode(band(window, &QMF));
            let upper = self.upper.encode(band(window, &UPPER_TAPS));
            upper << 6 | lower
        }));
        self.samples.copy_within(2 * pairs.len()..2 * pairs.len() + QMF.len() - 2, 0);
    }
}

/// The transmit filter: one sample of a band, in 15 bits.
#[inline]
fn band(samples: &[i16; QMF.len()], taps: &[i16; QMF.len()]) -> i32 {
    bands::limited(dot(samples, taps) >> 14)
}

/// The receive filter: one sample of what is heard.
#[inline]
fn filtered(samples: &[i16; TAPS], taps: &[i16; TAPS]) -> i16 {
    predictor::saturated(dot(samples, taps) >> 11) as i16
}

/// The taps are so small that 32 bits hold the sum of any samples.
#[inline]
fn dot<const N: usize>(samples: &[i16; N], taps: &[i16; N]) -> i32 {
    samples.iter().zip(taps).map(|(&sample, &tap)| i32::from(sample) * i32::from(tap)).sum()
}

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, which refuses an index out of range")]
const fn every_other(first: usize) -> [i16; TAPS] {
    let mut taps = [0; TAPS];
    let mut n = 0;
    while n < taps.len() {
        taps[n] = QMF[2 * n + first];
        n += 1;
    }
    taps
}

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, which refuses an index out of range")]
const fn mirrored() -> [i16; QMF.len()] {
    let mut taps = QMF;
    let mut n = 0;
    while n < taps.len() {
        taps[n] = -taps[n];
        n += 2;
    }
    taps
}

#[cfg(test)]
mod tests;
