//! Payload bytes into samples and back: G.711, G.722, L16.

mod g711;

use crate::format::Encoding;
use crate::pcm;
use audio_codec::g722::{G722Decoder, G722Encoder};
use audio_codec::{Decoder as _, Encoder as _};

/// Decodes the payloads of one stream. G.722 is adaptive: a decoder belongs to one stream and hears all of it.
pub struct Decoder(Decoding);

enum Decoding {
    G711(&'static [i16; 256]),
    G722(Box<G722Decoder>),
    L16,
}

/// Encodes the payloads of one stream.
pub struct Encoder(Encoded);

enum Encoded {
    G711(fn(i16) -> u8),
    G722(Box<G722Encoder>),
    L16,
}

impl Decoder {
    /// A decoder at the start of a stream.
    #[must_use]
    pub fn new(encoding: Encoding) -> Self {
        Self(match encoding {
            Encoding::Pcmu => Decoding::G711(&g711::ULAW),
            Encoding::Pcma => Decoding::G711(&g711::ALAW),
            Encoding::G722 => Decoding::G722(Box::new(G722Decoder::new())),
            Encoding::L16Wideband => Decoding::L16,
        })
    }

    /// Appends the samples of `payload`, at [`Encoding::sample_rate`]. Every byte string is audio.
    pub fn decode(&mut self, payload: &[u8], out: &mut Vec<i16>) {
        match &mut self.0 {
            Decoding::G711(table) => {
                // The table has an entry for each byte, so none is left out.
                out.extend(payload.iter().filter_map(|&code| table.get(usize::from(code))));
            }
            Decoding::G722(g722) => {
                let start = out.len();
                out.resize(start + g722.max_decode_samples(payload.len()), 0);
                let room = out.get_mut(start..).unwrap_or_default();
                // It fails only where there is too little room, and it said itself how much it wants.
                let written = g722.decode_into(payload, room).unwrap_or(0);
                out.truncate(start + written);
            }
            Decoding::L16 => pcm::from_be_bytes(payload, out),
        }
    }
}

impl Encoder {
    /// An encoder at the start of a stream.
    #[must_use]
    pub fn new(encoding: Encoding) -> Self {
        Self(match encoding {
            Encoding::Pcmu => Encoded::G711(g711::ulaw),
            Encoding::Pcma => Encoded::G711(g711::alaw),
            Encoding::G722 => Encoded::G722(Box::new(G722Encoder::new())),
            Encoding::L16Wideband => Encoded::L16,
        })
    }

    /// Appends the payload of `samples`, which are at [`Encoding::sample_rate`]. G.722 makes one byte of two
    /// samples, so only the last call of a stream may bring an odd number.
    pub fn encode(&mut self, samples: &[i16], out: &mut Vec<u8>) {
        match &mut self.0 {
            Encoded::G711(law) => out.extend(samples.iter().map(|&sample| law(sample))),
            Encoded::G722(g722) => {
                let start = out.len();
                out.resize(start + g722.max_encode_bytes(samples.len()), 0);
                let room = out.get_mut(start..).unwrap_or_default();
                // It fails only where there is too little room, and it said itself how much it wants.
                let written = g722.encode_into(samples, room).unwrap_or(0);
                out.truncate(start + written);
            }
            Encoded::L16 => pcm::to_be_bytes(samples, out),
        }
    }
}

impl core::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Decoder")
    }
}

impl core::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Encoder")
    }
}
