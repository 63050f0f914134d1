//! The session object, and what the server takes into it. If part of an update cannot be taken, all of it is
//! lost, as with the real one.

use super::G711;
use super::listener::Vad;
use super::shape::Refusal;
use crate::format::{Encoding, MODEL_RATE};
use serde_json::{Value, json};

/// The session as the server holds it.
#[derive(Debug)]
pub(super) struct Session(Value);

impl Session {
    /// A session as it begins, in PCM, heard at this rate.
    pub(super) fn new(id: &str, model: &str, expires_at: u64, pcm_rate: u32) -> Self {
        Self(json!({
            "type": "realtime",
            "object": "realtime.session",
            "id": id,
            "model": model,
            "expires_at": expires_at,
            "instructions": "",
            "output_modalities": ["audio"],
            "max_output_tokens": "inf",
            "audio": {
                "input": {
                    "format": { "type": "audio/pcm", "rate": pcm_rate },
                    "noise_reduction": null,
                    "transcription": null,
                    "turn_detection": default_turn_detection("server_vad"),
                },
                "output": { "format": { "type": "audio/pcm", "rate": 24000 }, "voice": "alloy", "speed": 1.0 },
            },
            "tools": [],
            "tool_choice": "auto",
            "truncation": "auto",
            "tracing": null,
            "prompt": null,
            "include": null,
        }))
    }

    pub(super) const fn json(&self) -> &Value {
        &self.0
    }

    fn at(&self, pointer: &str) -> &Value {
        self.0.pointer(pointer).unwrap_or(&Value::Null)
    }

    /// Takes an update whose shape is right, or refuses all of it.
    pub(super) fn update(&mut self, update: &Value, has_spoken: bool) -> Result<(), Refusal> {
        if update.get("type").is_some_and(|kind| kind != "realtime") {
            return Err(Refusal::value("session.type", "transcription", "'realtime'"));
        }
        if update.get("model").is_some_and(|model| model != self.at("/model")) {
            return Err(Refusal::new("invalid_value", "The model cannot be changed.", Some("session.model")));
        }
        let voice = update.pointer("/audio/output/voice");
        if has_spoken && voice.is_some_and(|voice| voice != self.at("/audio/output/voice")) {
            let text = "Cannot update a conversation's voice if assistant audio is present.";
            return Err(Refusal::new("cannot_update_voice", text, Some("session.audio.output.voice")));
        }
        merge(&mut self.0, update, "");
        Ok(())
    }

    /// Voice detection, if the server does it. Semantic detection is stood in for by energy, too.
    pub(super) fn vad(&self) -> Option<Vad> {
        let detection = self.at("/audio/input/turn_detection").as_object()?;
        let millis = |name: &str, default| detection.get(name).and_then(Value::as_u64).unwrap_or(default);
        let flag = |name: &str| detection.get(name).and_then(Value::as_bool).unwrap_or(true);
        Some(Vad {
            threshold: detection.get("threshold").and_then(Value::as_f64).unwrap_or(0.5),
            prefix_padding_ms: millis("prefix_padding_ms", 300),
            silence_duration_ms: millis("silence_duration_ms", 500),
            create_response: flag("create_response"),
            interrupt_response: flag("interrupt_response"),
        })
    }

    /// After how much silence, in milliseconds, the server speaks although nobody has spoken to it.
    pub(super) fn idle_timeout_ms(&self) -> Option<u64> {
        self.at("/audio/input/turn_detection/idle_timeout_ms").as_u64()
    }

    /// How audio comes in; `None` means PCM.
    pub(super) fn input_encoding(&self) -> Option<Encoding> {
        encoding(self.at("/audio/input/format/type"))
    }

    /// How audio goes out; `None` means PCM.
    pub(super) fn output_encoding(&self) -> Option<Encoding> {
        encoding(self.at("/audio/output/format/type"))
    }

    /// Samples per second of what comes in.
    pub(super) fn input_rate(&self) -> u32 {
        rate(self.at("/audio/input/format"))
    }

    /// Samples per second of what goes out.
    pub(super) fn output_rate(&self) -> u32 {
        rate(self.at("/audio/output/format"))
    }

    /// The `audio` of a response.
    pub(super) fn response_audio(&self) -> Value {
        json!({ "output": { "format": self.at("/audio/output/format"), "voice": self.at("/audio/output/voice") } })
    }

    pub(super) fn transcribes(&self) -> bool {
        !self.at("/audio/input/transcription").is_null()
    }
}

fn encoding(kind: &Value) -> Option<Encoding> {
    match kind.as_str() {
        Some("audio/pcmu") => Some(Encoding::Pcmu),
        Some("audio/pcma") => Some(Encoding::Pcma),
        _ => None,
    }
}

/// G.711 has one rate; PCM says its own, where there is more than one.
fn rate(format: &Value) -> u32 {
    let named = format.get("rate").and_then(Value::as_u64).and_then(|rate| u32::try_from(rate).ok());
    encoding(format.get("type").unwrap_or(&Value::Null))
        .map_or(named.unwrap_or(MODEL_RATE), |encoding| encoding.sample_rate())
}

/// What a server that speaks G.711, or does not, makes of an update.
pub(super) fn as_far_as_spoken(update: &Value, g711: G711) -> Result<Value, Refusal> {
    let mut update = update.clone();
    for side in ["input", "output"] {
        let Some(format) = update.pointer_mut(&format!("/audio/{side}/format")) else { continue };
        let asked = format.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
        match g711 {
            G711::Spoken => {}
            G711::Ignored => *format = json!({ "type": "audio/pcm", "rate": 24000 }),
            G711::Refused if asked == "audio/pcm" => {}
            G711::Refused => {
                let param = format!("session.audio.{side}.format.type");
                return Err(Refusal::value(&param, &asked, "'audio/pcm'"));
            }
        }
    }
    Ok(update)
}

/// The wire default for silence is 200, whatever the documentation says.
fn default_turn_detection(kind: &str) -> Value {
    if kind == "semantic_vad" {
        return json!({
            "type": kind, "eagerness": "auto", "create_response": true, "interrupt_response": true,
        });
    }
    json!({
        "type": kind,
        "threshold": 0.5,
        "prefix_padding_ms": 300,
        "silence_duration_ms": 200,
        "idle_timeout_ms": null,
        "create_response": true,
        "interrupt_response": true,
    })
}

/// Lays an update over a session. `audio` and its two sides are merged, everything below is replaced; `null`
/// stands only where it clears.
fn merge(into: &mut Value, update: &Value, path: &str) {
    let (Some(into), Some(update)) = (into.as_object_mut(), update.as_object()) else { return };
    for (name, value) in update {
        let path = format!("{path}/{name}");
        match path.as_str() {
            "/audio" | "/audio/input" | "/audio/output" => {
                merge(into.entry(name.clone()).or_insert_with(|| json!({})), value, &path);
            }
            "/audio/input/turn_detection" if value.is_object() => {
                let kind = value.get("type").and_then(Value::as_str).unwrap_or("server_vad");
                let mut detection = default_turn_detection(kind);
                if let (Some(detection), Some(value)) = (detection.as_object_mut(), value.as_object()) {
                    detection.extend(value.clone());
                }
                into.insert(name.clone(), detection);
            }
            _ => {
                into.insert(name.clone(), value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_update_is_taken_and_shown() {
        let mut session = Session::new("s", "gpt-realtime-2.1-mini", 0, 24_000);
        let update = json!({
            "type": "realtime", "instructions": "Be brief.", "tools": [], "output_modalities": ["audio"],
            "audio": {
                "input": {
                    "format": { "type": "audio/pcmu" },
                    "turn_detection": { "type": "server_vad", "threshold": 0.35, "silence_duration_ms": 600 },
                },
                "output": { "voice": "marin" },
            },
        });
        session.update(&update, false).unwrap();
        let vad = session.vad().unwrap();
        assert_eq!((vad.threshold, vad.prefix_padding_ms, vad.silence_duration_ms), (0.35, 300, 600));
        assert_eq!((session.input_encoding(), session.output_encoding()), (Some(Encoding::Pcmu), None));
        assert_eq!(session.json()["audio"]["output"]["voice"], "marin");
        assert_eq!(session.json()["instructions"], "Be brief.");
        let off = json!({ "type": "realtime", "audio": { "input": { "turn_detection": null } } });
        session.update(&off, false).unwrap();
        assert_eq!(session.vad(), None);
    }

    #[test]
    fn what_cannot_be_changed_is_refused() {
        for (update, code, param) in [
            (json!({ "type": "transcription" }), "invalid_value", "session.type"),
            (json!({ "type": "realtime", "model": "other" }), "invalid_value", "session.model"),
            (
                json!({ "type": "realtime", "audio": { "output": { "voice": "ash" } } }),
                "cannot_update_voice",
                "session.audio.output.voice",
            ),
        ] {
            let mut session = Session::new("s", "gpt-realtime-2.1-mini", 0, 24_000);
            let before = session.json().clone();
            let refusal = session.update(&update, true).unwrap_err();
            assert_eq!(session.json(), &before, "nothing of a refused update is taken");
            assert_eq!((refusal.code, refusal.param.as_deref()), (code, Some(param)));
        }
    }
}
