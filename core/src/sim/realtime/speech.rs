//! A response: the agent speaks, in deltas, faster than real time.

use super::agent::{Answer, Prompt};
use super::conversation::Item;
use super::session::Session;
use super::shape::Refusal;
use super::{Actions, Realtime};
use crate::codec::Encoder;
use crate::format::MODEL_RATE;
use crate::pcm;
use crate::resample::Resampler;
use crate::time::{Duration, Instant};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// How much audio is in one delta, in milliseconds.
pub(super) const DELTA_MS: u32 = 200;
/// The most deltas in one step; a late driver gets the rest in the next.
pub(super) const MAX_DELTAS_PER_STEP: usize = 8;

/// The active response.
#[derive(Debug)]
pub(super) struct Speaking {
    response_id: String,
    item_id: String,
    previous_item_id: Option<String>,
    metadata: Value,
    transcript: String,
    samples: Vec<i16>,
    rate: u32,
    encoder: Option<Encoder>,
    sent: usize,
    next_delta: Instant,
    heard_ms: u64,
}

impl Speaking {
    pub(super) const fn due(&self) -> Instant {
        self.next_delta
    }

    fn sent_ms(&self) -> u64 {
        self.sent as u64 * 1000 / u64::from(self.rate)
    }

    fn item(&self, status: &str, has_content: bool) -> Value {
        let content = json!([{ "type": "output_audio", "transcript": self.transcript }]);
        json!({
            "id": self.item_id, "object": "realtime.item", "type": "message", "role": "assistant", "status": status,
            "content": if has_content { content } else { json!([]) },
        })
    }
}

impl Realtime {
    /// `response.create`.
    pub(super) fn create_response(&mut self, params: &Value, out: &mut Actions) -> Result<(), Refusal> {
        let instructions = params.get("instructions").and_then(Value::as_str);
        self.respond(instructions, params.get("metadata").unwrap_or(&Value::Null), out)
    }

    /// Lets the agent answer the last turn, or say something unasked.
    pub(super) fn respond(
        &mut self,
        instructions: Option<&str>,
        metadata: &Value,
        out: &mut Actions,
    ) -> Result<(), Refusal> {
        if let Some(speaking) = &self.speaking {
            let text = format!(
                "Conversation already has an active response in progress: {}. Wait until the response is \
                 finished before creating a new one.",
                speaking.response_id
            );
            return Err(Refusal::new("conversation_already_has_active_response", text, None));
        }
        let turn = self.unanswered.take();
        let heard_rate = self.listener.rate();
        let answer = match &turn {
            Some(samples) if instructions.is_none() => {
                self.agent.answer(Prompt::Turn { samples, rate: heard_rate })
            }
            _ => self.agent.answer(Prompt::Create { instructions }),
        };
        let heard_ms = turn.map_or(0, |turn| turn.len() as u64 * 1000 / u64::from(heard_rate));
        let response_id = self.id("resp");
        let created =
            self.response(&response_id, "in_progress", Value::Null, &json!([]), metadata, Value::Null);
        self.emit(json!({ "type": "response.created", "response": created }), out);
        let limits = json!([
            { "name": "requests", "limit": 1000, "remaining": 999, "reset_seconds": 0.06 },
            { "name": "tokens", "limit": 250_000, "remaining": 249_000, "reset_seconds": 0.24 },
        ]);
        self.emit(json!({ "type": "rate_limits.updated", "rate_limits": limits }), out);
        match answer {
            Answer::Failure { code } => {
                let error =
                    json!({ "type": "server_error", "code": code, "message": "The response failed." });
                let details = json!({ "type": "failed", "error": error });
                let response =
                    self.response(&response_id, "failed", details, &json!([]), metadata, usage(heard_ms, 0));
                self.emit(json!({ "type": "response.done", "response": response }), out);
            }
            Answer::Speech { samples, rate, transcript } => {
                self.begin(response_id, (samples, rate), transcript, metadata.clone(), heard_ms, out);
            }
        }
        Ok(())
    }

    fn begin(
        &mut self,
        response_id: String,
        (samples, rate): (Vec<i16>, u32),
        transcript: String,
        metadata: Value,
        heard_ms: u64,
        out: &mut Actions,
    ) {
        let encoding = self.session.as_ref().and_then(Session::output_encoding);
        let to = encoding.map_or(MODEL_RATE, |encoding| encoding.sample_rate());
        let mut speaking = Speaking {
            item_id: self.id("item"),
            response_id,
            previous_item_id: None,
            metadata,
            transcript,
            samples: convert(samples, rate, to),
            rate: to,
            encoder: encoding.map(Encoder::new),
            sent: 0,
            next_delta: self.now + self.settings.latency,
            heard_ms,
        };
        let item = speaking.item("in_progress", false);
        let remembered = Item { id: speaking.item_id.clone(), json: item.clone(), model_audio_ms: Some(0) };
        speaking.previous_item_id = self.remember(remembered);
        let (response_id, item_id) = (&speaking.response_id, &speaking.item_id);
        self.emit(
            json!({
                "type": "response.output_item.added", "response_id": response_id, "output_index": 0, "item": item,
            }),
            out,
        );
        let previous = &speaking.previous_item_id;
        self.emit(
            json!({ "type": "conversation.item.added", "previous_item_id": previous, "item": item }),
            out,
        );
        self.emit(
            json!({
                "type": "response.content_part.added", "response_id": response_id, "item_id": item_id,
                "output_index": 0, "content_index": 0, "part": { "type": "audio", "transcript": "" },
            }),
            out,
        );
        self.speaking = Some(speaking);
    }

    /// Sends the deltas that are due, and with the last one the end of the response.
    pub(super) fn speak(&mut self, out: &mut Actions) {
        for _ in 0..MAX_DELTAS_PER_STEP {
            let Some(mut speaking) = self.speaking.take_if(|speaking| speaking.next_delta <= self.now) else {
                return;
            };
            self.has_spoken = true;
            if speaking.sent == 0 {
                let delta = speaking.transcript.clone();
                self.emit_part(&speaking, "response.output_audio_transcript.delta", "delta", &delta, out);
            }
            let chunk = (speaking.rate * DELTA_MS / 1000) as usize;
            let end = (speaking.sent + chunk).min(speaking.samples.len());
            let samples = speaking.samples.get(speaking.sent..end).unwrap_or_default();
            let mut bytes = Vec::with_capacity(samples.len() * 2);
            match &mut speaking.encoder {
                Some(encoder) => encoder.encode(samples, &mut bytes),
                None => pcm::to_le_bytes(samples, &mut bytes),
            }
            if !samples.is_empty() {
                let delta = STANDARD.encode(&bytes);
                self.emit_part(&speaking, "response.output_audio.delta", "delta", &delta, out);
            }
            speaking.sent = end;
            let sent_ms = speaking.sent_ms();
            if let Some(item) = self.item_mut(&speaking.item_id) {
                item.model_audio_ms = Some(sent_ms);
            }
            if end == speaking.samples.len() {
                self.finish(&speaking, "completed", Value::Null, out);
                return;
            }
            let pause = Duration::from_millis(u64::from(DELTA_MS)) / self.settings.speed.max(1);
            speaking.next_delta = speaking.next_delta + pause;
            self.speaking = Some(speaking);
        }
    }

    /// `response.cancel`.
    pub(super) fn cancel_by_client(&mut self, id: Option<&str>, out: &mut Actions) -> Result<(), Refusal> {
        let active =
            self.speaking.as_ref().is_some_and(|speaking| id.is_none_or(|id| id == speaking.response_id));
        if !active {
            let text = "Cancellation failed: no active response found";
            return Err(Refusal::new("response_cancel_not_active", text, None));
        }
        self.interrupt("client_cancelled", out);
        Ok(())
    }

    /// Ends the active response, if there is one.
    pub(super) fn interrupt(&mut self, reason: &str, out: &mut Actions) {
        if let Some(speaking) = self.speaking.take() {
            self.finish(&speaking, "cancelled", json!({ "type": "cancelled", "reason": reason }), out);
        }
    }

    fn finish(&mut self, speaking: &Speaking, status: &str, details: Value, out: &mut Actions) {
        let item = speaking.item(if status == "completed" { status } else { "incomplete" }, true);
        if let Some(remembered) = self.item_mut(&speaking.item_id) {
            remembered.json = item.clone();
        }
        let transcript = &speaking.transcript;
        let (response_id, item_id) = (&speaking.response_id, &speaking.item_id);
        let place = json!({
            "type": "response.output_audio.done", "response_id": response_id, "item_id": item_id,
            "output_index": 0, "content_index": 0,
        });
        self.emit(place, out);
        self.emit_part(speaking, "response.output_audio_transcript.done", "transcript", transcript, out);
        self.emit(
            json!({
                "type": "response.content_part.done", "response_id": response_id, "item_id": item_id,
                "output_index": 0, "content_index": 0, "part": { "type": "audio", "transcript": transcript },
            }),
            out,
        );
        self.emit(
            json!({
                "type": "response.output_item.done", "response_id": response_id, "output_index": 0, "item": item,
            }),
            out,
        );
        let previous = &speaking.previous_item_id;
        self.emit(
            json!({ "type": "conversation.item.done", "previous_item_id": previous, "item": item }),
            out,
        );
        let usage = usage(speaking.heard_ms, speaking.sent_ms());
        let response = self.response(response_id, status, details, &json!([item]), &speaking.metadata, usage);
        self.emit(json!({ "type": "response.done", "response": response }), out);
    }

    /// An event about the one content part that a response has here.
    fn emit_part(&mut self, speaking: &Speaking, kind: &str, field: &str, value: &str, out: &mut Actions) {
        let mut event = json!({
            "type": kind, "response_id": speaking.response_id, "item_id": speaking.item_id,
            "output_index": 0, "content_index": 0,
        });
        if let Some(event) = event.as_object_mut() {
            event.insert(field.to_owned(), value.into());
        }
        self.emit(event, out);
    }

    fn response(
        &self,
        id: &str,
        status: &str,
        details: Value,
        output: &Value,
        metadata: &Value,
        usage: Value,
    ) -> Value {
        json!({
            "id": id,
            "object": "realtime.response",
            "status": status,
            "status_details": details,
            "output": output,
            "conversation_id": self.conversation_id(),
            "output_modalities": ["audio"],
            "max_output_tokens": "inf",
            "audio": self.session.as_ref().map(Session::response_audio),
            "metadata": metadata,
            "usage": usage,
        })
    }
}

/// As the price list counts: the caller's audio 1 token per 100 ms, the model's 1 per 50 ms.
fn usage(heard_ms: u64, spoken_ms: u64) -> Value {
    let (input, output) = (heard_ms / 100, spoken_ms / 50);
    json!({
        "total_tokens": input + output,
        "input_tokens": input,
        "output_tokens": output,
        "input_token_details": {
            "text_tokens": 0, "audio_tokens": input, "image_tokens": 0, "cached_tokens": 0,
            "cached_tokens_details": { "text_tokens": 0, "audio_tokens": 0, "image_tokens": 0 },
        },
        "output_token_details": { "text_tokens": 0, "audio_tokens": output },
    })
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
