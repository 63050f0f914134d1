//! What the agent says: an item with one part, sent in deltas, faster than real time.

use super::agent::Speech;
use super::response::Place;
use super::{Actions, Realtime};
use crate::codec::Encoder;
use crate::format::Encoding;
use crate::pcm;
use crate::resample::Resampler;
use crate::time::Duration;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// How much audio is in one delta, in milliseconds.
pub(super) const DELTA_MS: u32 = 200;

/// A speech that is being sent.
#[derive(Debug)]
pub(super) struct Voice {
    transcript: String,
    samples: Vec<i16>,
    rate: u32,
    encoder: Option<Encoder>,
    sent: usize,
}

impl Voice {
    /// A speech that is sent so; no encoding means PCM.
    pub(super) fn new(speech: Speech, encoding: Option<Encoding>, rate: u32) -> Self {
        Self {
            transcript: speech.transcript,
            samples: convert(speech.samples, speech.rate, rate),
            rate,
            encoder: encoding.map(Encoder::new),
            sent: 0,
        }
    }

    pub(super) fn sent_ms(&self) -> u64 {
        self.sent as u64 * 1000 / u64::from(self.rate)
    }

    pub(super) fn item(&self, item_id: &str, status: &str) -> Value {
        let content = match status {
            "in_progress" => json!([]),
            _ => json!([{ "type": "output_audio", "transcript": self.transcript }]),
        };
        json!({
            "id": item_id, "object": "realtime.item", "type": "message", "role": "assistant", "status": status,
            "content": content,
        })
    }
}

impl Realtime {
    pub(super) fn begin_voice(&mut self, place: &Place, out: &mut Actions) {
        let part = json!({ "content_index": 0, "part": { "type": "audio", "transcript": "" } });
        self.emit_part(place, "response.content_part.added", part, out);
    }

    /// Sends a delta. Gives the time until the next one; `None` if it was the last.
    pub(super) fn send_voice(
        &mut self,
        place: &Place,
        voice: &mut Voice,
        out: &mut Actions,
    ) -> Option<Duration> {
        self.has_spoken = true;
        if voice.sent == 0 {
            let delta = json!({ "content_index": 0, "delta": voice.transcript });
            self.emit_part(place, "response.output_audio_transcript.delta", delta, out);
        }
        let chunk = (voice.rate * DELTA_MS / 1000) as usize;
        let end = (voice.sent + chunk).min(voice.samples.len());
        let samples = voice.samples.get(voice.sent..end).unwrap_or_default();
        if !samples.is_empty() {
            let mut bytes = Vec::with_capacity(samples.len() * 2);
            match &mut voice.encoder {
                Some(encoder) => encoder.encode(samples, &mut bytes),
                None => pcm::to_le_bytes(samples, &mut bytes),
            }
            let delta = json!({ "content_index": 0, "delta": STANDARD.encode(&bytes) });
            self.emit_part(place, "response.output_audio.delta", delta, out);
        }
        voice.sent = end;
        let sent_ms = voice.sent_ms();
        if let Some(item) = self.item_mut(&place.item_id) {
            item.model_audio_ms = Some(sent_ms);
        }
        let pause = Duration::from_millis(u64::from(DELTA_MS)) / self.settings.speed.max(1);
        (end < voice.samples.len()).then_some(pause)
    }

    pub(super) fn end_voice(&mut self, place: &Place, voice: &Voice, out: &mut Actions) {
        let transcript = &voice.transcript;
        self.emit_part(place, "response.output_audio.done", json!({ "content_index": 0 }), out);
        let done = json!({ "content_index": 0, "transcript": transcript });
        self.emit_part(place, "response.output_audio_transcript.done", done, out);
        let part = json!({ "content_index": 0, "part": { "type": "audio", "transcript": transcript } });
        self.emit_part(place, "response.content_part.done", part, out);
    }
}

/// The same audio at another rate; at the same rate, the very same samples.
fn convert(samples: Vec<i16>, from: u32, to: u32) -> Vec<i16> {
    if from == to {
        return samples;
    }
    let mut resampler = Resampler::new(from, to);
    let mut converted = Vec::new();
    resampler.process(&samples, &mut converted);
    resampler.flush(&mut converted);
    converted
}
