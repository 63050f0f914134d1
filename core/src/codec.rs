//! Payload bytes into samples and back: G.711, G.722, L16.

mod g722;

use crate::format::Encoding;
use crate::{g711, pcm};

/// Decodes the payloads of one stream. G.722 is adaptive: a decoder belongs to one stream and hears all of it.
#[derive(Clone)]
pub struct Decoder(Decoding);

#[derive(Clone)]
enum Decoding {
    G711(&'static [i16; 256]),
    G722(Box<g722::Decoder>),
    L16,
}

/// Encodes the payloads of one stream.
pub struct Encoder(Encoded);

enum Encoded {
    Pcmu,
    Pcma,
    G722(Box<g722::Encoder>),
    L16,
}

impl Decoder {
    /// A decoder at the start of a stream.
    #[must_use]
    pub fn new(encoding: Encoding) -> Self {
        Self(match encoding {
            Encoding::Pcmu => Decoding::G711(&g711::ULAW),
            Encoding::Pcma => Decoding::G711(&g711::ALAW),
            Encoding::G722 => Decoding::G722(Box::new(g722::Decoder::new())),
            Encoding::L16Wideband => Decoding::L16,
        })
    }

    /// Forgets what it has heard: what comes next is the start of a stream.
    pub fn reset(&mut self) {
        match &mut self.0 {
            Decoding::G722(g722) => **g722 = g722::Decoder::new(),
            Decoding::G711(_) | Decoding::L16 => {}
        }
    }

    /// Appends the samples of `payload`, at [`Encoding::sample_rate`]. Every byte string is audio.
    pub fn decode(&mut self, payload: &[u8], out: &mut Vec<i16>) {
        match &mut self.0 {
            Decoding::G711(table) => {
                // The table has an entry for each byte, so none is left out.
                out.extend(payload.iter().filter_map(|&code| table.get(usize::from(code))));
            }
            Decoding::G722(g722) => g722.decode(payload, out),
            Decoding::L16 => pcm::from_be_bytes(payload, out),
        }
    }
}

impl Encoder {
    /// An encoder at the start of a stream.
    #[must_use]
    pub fn new(encoding: Encoding) -> Self {
        Self(match encoding {
            Encoding::Pcmu => Encoded::Pcmu,
            Encoding::Pcma => Encoded::Pcma,
            Encoding::G722 => Encoded::G722(Box::new(g722::Encoder::new())),
            Encoding::L16Wideband => Encoded::L16,
        })
    }

    /// Appends the payload of `samples`, which are at [`Encoding::sample_rate`]. G.722 makes one byte of two
    /// samples: an odd one at the end waits for the next call, and is lost where none comes.
    pub fn encode(&mut self, samples: &[i16], out: &mut Vec<u8>) {
        match &mut self.0 {
            Encoded::Pcmu => out.extend(samples.iter().map(|&sample| g711::ulaw(sample))),
            Encoded::Pcma => out.extend(samples.iter().map(|&sample| g711::alaw(sample))),
            Encoded::G722(g722) => g722.encode(samples, out),
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
