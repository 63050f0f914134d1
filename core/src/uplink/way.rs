//! The last part of the way: from the line's format into the model's.

use crate::codec::{Decoder, Encoder};
use crate::conceal::BLEND_MS;
use crate::format::{Encoding, ModelFormat};
use crate::pcm::{self, Gain};
use crate::resample::Resampler;

/// How the caller's audio gets into the model's format.
#[derive(Debug)]
pub(super) struct Way {
    gain: Gain,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// The line and the model write audio alike: the bytes of a payload pass as they are, or each by the table
    /// of the gain.
    Same { table: Option<Box<[u8; 256]>>, encoder: Encoder, blended: usize },
    /// They do not. Without an encoder it is linear.
    Other { resampler: Box<Resampler>, encoder: Option<Encoder>, samples: Vec<i16> },
}

impl Way {
    /// A way for pieces of at most `longest` samples at the line's rate without allocating.
    pub(super) fn new(from: Encoding, to: ModelFormat, gain: Gain, longest: usize) -> Self {
        let kind = match to.same_on_the_line() {
            Some(law) if law == from => Kind::Same {
                table: table(law, gain).map(Box::new),
                encoder: Encoder::new(law),
                blended: from.sample_rate() as usize / 1000 * BLEND_MS,
            },
            law => {
                let rate = to.sample_rate();
                let most = longest * rate as usize / from.sample_rate() as usize;
                // A resampler gives back whole blocks of 10 ms, so one more than goes in.
                let samples = Vec::with_capacity(most + rate as usize / 100);
                Kind::Other {
                    resampler: Box::new(Resampler::new(from.sample_rate(), rate)),
                    encoder: law.map(Encoder::new),
                    samples,
                }
            }
        };
        Self { gain, kind }
    }

    /// Appends a packet, of which `samples` is what was decoded. With `is_blended`, its beginning no longer is
    /// what the payload says.
    pub(super) fn packet(
        &mut self,
        payload: &[u8],
        samples: &mut [i16],
        is_blended: bool,
        out: &mut Vec<u8>,
    ) {
        let Kind::Same { blended, .. } = &self.kind else {
            return self.samples(samples, out);
        };
        let changed = if is_blended { (*blended).min(samples.len()) } else { 0 };
        self.samples(samples.get_mut(..changed).unwrap_or_default(), out);
        let kept = payload.get(changed..).unwrap_or_default();
        match &self.kind {
            // The table has an entry for each byte, so none is left out.
            Kind::Same { table: Some(table), .. } => {
                out.extend(kept.iter().filter_map(|&code| table.get(usize::from(code))));
            }
            _ => out.extend_from_slice(kept),
        }
    }

    /// Appends audio that is in no payload.
    pub(super) fn samples(&mut self, samples: &mut [i16], out: &mut Vec<u8>) {
        self.gain.apply(samples);
        match &mut self.kind {
            Kind::Same { encoder, .. } => encoder.encode(samples, out),
            Kind::Other { resampler, encoder, samples: converted } => {
                converted.clear();
                resampler.process(samples, converted);
                match encoder {
                    Some(encoder) => encoder.encode(converted, out),
                    None => pcm::to_le_bytes(converted, out),
                }
            }
        }
    }
}

/// What the gain makes of each code of the law.
fn table(law: Encoding, gain: Gain) -> Option<[u8; 256]> {
    let codes: Vec<u8> = (0..=u8::MAX).collect();
    let mut samples = Vec::with_capacity(codes.len());
    Decoder::new(law).decode(&codes, &mut samples);
    let encode = |sample| {
        let mut code = Vec::with_capacity(1);
        Encoder::new(law).encode(&[sample], &mut code);
        code.first().copied().unwrap_or_default()
    };
    gain.table(|code| samples.get(usize::from(code)).copied().unwrap_or_default(), encode)
}
