//! What a line and a model put on the wire, for tests and benchmarks that hold nothing but the media path: voices at
//! the rate of a line, packets of RTP, deltas. Unlike the rest of this crate it uses the bridge's own codecs and
//! resampler, so nothing that is measured with it says how right those are.

use crate::measure::RATE;
use crate::speech::utterance;
use ari_bridge_core::codec::Encoder;
use ari_bridge_core::format::Encoding;
use ari_bridge_core::pcm;
use ari_bridge_core::resample::Resampler;
use ari_bridge_core::rtp::Packet;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

/// What a voice says in so many whole seconds, at this rate.
#[must_use]
pub fn voice(number: u64, rate: u32, seconds: u32) -> Vec<i16> {
    let mut samples = Vec::new();
    // The resampler keeps a little of the end.
    let mut resampler = Resampler::new(RATE as u32, rate);
    resampler.process(&utterance(number, f64::from(seconds) + 0.1), &mut samples);
    samples.truncate((seconds * rate) as usize);
    samples
}

/// These samples as payloads of 20 ms each. What does not fill one is left out.
#[must_use]
pub fn payloads(encoding: Encoding, samples: &[i16]) -> Vec<Vec<u8>> {
    let mut encoder = Encoder::new(encoding);
    let payload = |frame: &[i16]| {
        let mut payload = Vec::new();
        encoder.encode(frame, &mut payload);
        payload
    };
    samples.chunks_exact(encoding.frame_samples()).map(payload).collect()
}

/// A packet of the caller's.
#[must_use]
pub fn datagram(encoding: Encoding, sequence: u16, timestamp: u32, payload: &[u8]) -> Vec<u8> {
    let payload_type = encoding.payload_type();
    let mut datagram = Vec::new();
    Packet { marker: false, payload_type, sequence, timestamp, ssrc: 1, payload }.write(&mut datagram);
    datagram
}

/// The base64 of a model's PCM.
#[must_use]
pub fn delta(samples: &[i16]) -> String {
    let mut bytes = Vec::new();
    pcm::to_le_bytes(samples, &mut bytes);
    BASE64_STANDARD.encode(bytes)
}
