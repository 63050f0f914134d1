//! The Realtime API as values: server events in, client events out.
//!
//! This is the GA interface of OpenAI's Realtime API over WebSocket. Unknown events and fields are ignored; absent
//! fields, `null` and values of another kind are alike, so that one field does not cost an event.

use crate::format::ModelFormat;
use crate::json::{Text, lenient, only_string, write_string};
use crate::settings::SessionSettings;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use std::io::Write;

/// The longest message that is looked at, in bytes. The API allows 15 MiB of audio in one event.
pub const MAX_MESSAGE_BYTES: usize = 16 * 1024 * 1024;

/// What the server says, as far as the bridge acts on it.
#[derive(Clone, Debug, PartialEq)]
pub enum ServerEvent<'a> {
    /// The session stands, with the server's own settings.
    SessionCreated,
    /// The session has our settings.
    SessionUpdated {
        /// The format in which it hears and speaks, if it names one that is known and both are the same.
        format: Option<ModelFormat>,
    },
    /// The caller began to speak.
    SpeechStarted {
        /// How much of the audio that the server was given lies before the turn, in milliseconds. The turn
        /// begins `prefix_padding_ms` before the speech. Some servers do not tell.
        audio_start_ms: Option<u64>,
    },
    /// The caller stopped.
    SpeechStopped {
        /// The item that the turn becomes.
        item_id: Text<'a>,
        /// How much of the audio that the server was given lies before the end, in milliseconds. The silence
        /// by which the server knew is part of it. Some servers do not tell.
        audio_end_ms: Option<u64>,
    },
    /// The caller's turn has become an item.
    Committed {
        /// The item.
        item_id: Text<'a>,
    },
    /// The agent begins an answer.
    ResponseCreated {
        /// Its id.
        response_id: Text<'a>,
    },
    /// A piece of the agent's voice.
    AudioDelta {
        /// The answer that it belongs to.
        response_id: Text<'a>,
        /// The item that it belongs to.
        item_id: Text<'a>,
        /// The part of the item.
        content_index: u32,
        /// Base64 of 16-bit little-endian samples.
        delta: Text<'a>,
    },
    /// All audio of an item has come.
    AudioDone {
        /// The item.
        item_id: Text<'a>,
        /// The part of the item.
        content_index: u32,
    },
    /// A piece of what the agent says, in letters.
    TranscriptDelta {
        /// The answer that it belongs to.
        response_id: Text<'a>,
        /// The item that it belongs to.
        item_id: Text<'a>,
        /// The part of the item.
        content_index: u32,
        /// The letters.
        delta: Text<'a>,
    },
    /// All that the agent says in a part of an item has come in letters.
    TranscriptDone {
        /// The item.
        item_id: Text<'a>,
        /// The part of the item.
        content_index: u32,
        /// All of it once more.
        transcript: Text<'a>,
    },
    /// The answer is complete, cancelled, failed or incomplete.
    ResponseDone {
        /// Which of them.
        status: Text<'a>,
        /// The reason, or the code of the error.
        detail: Text<'a>,
    },
    /// Something that we asked for could not be done; the session goes on.
    Error {
        /// The code, or the type where there is none.
        code: Text<'a>,
        /// The field that the server complains of.
        param: Text<'a>,
    },
    /// Anything else.
    Other,
}

#[derive(Deserialize)]
struct Raw<'a> {
    #[serde(rename = "type", borrow, deserialize_with = "only_string")]
    kind: Text<'a>,
    #[serde(borrow, default)]
    response_id: Text<'a>,
    #[serde(borrow, default)]
    item_id: Text<'a>,
    #[serde(default, deserialize_with = "lenient")]
    content_index: u32,
    #[serde(default, deserialize_with = "lenient")]
    audio_start_ms: Option<f64>,
    #[serde(default, deserialize_with = "lenient")]
    audio_end_ms: Option<f64>,
    #[serde(borrow, default)]
    delta: Text<'a>,
    #[serde(borrow, default)]
    transcript: Text<'a>,
    #[serde(borrow, default, deserialize_with = "lenient")]
    response: RawResponse<'a>,
    #[serde(borrow, default, deserialize_with = "lenient")]
    error: RawError<'a>,
}

#[derive(Default, Deserialize)]
struct RawResponse<'a> {
    #[serde(borrow, default)]
    id: Text<'a>,
    #[serde(borrow, default)]
    status: Text<'a>,
    #[serde(borrow, default, deserialize_with = "lenient")]
    status_details: RawDetails<'a>,
}

#[derive(Default, Deserialize)]
struct RawDetails<'a> {
    #[serde(borrow, default)]
    reason: Text<'a>,
    #[serde(borrow, default, deserialize_with = "lenient")]
    error: RawError<'a>,
}

#[derive(Default, Deserialize)]
struct RawError<'a> {
    #[serde(rename = "type", borrow, default)]
    kind: Text<'a>,
    #[serde(borrow, default)]
    code: Text<'a>,
    #[serde(borrow, default)]
    param: Text<'a>,
}

impl<'a> RawError<'a> {
    fn code_or_type(self) -> Text<'a> {
        if self.code.is_empty() { self.kind } else { self.code }
    }
}

impl<'a> ServerEvent<'a> {
    /// Reads a message; `None` if it is not JSON of an event's shape.
    #[must_use]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        if bytes.len() > MAX_MESSAGE_BYTES {
            return None;
        }
        let raw: Raw<'a> = serde_json::from_slice(bytes).ok()?;
        Some(match &*raw.kind {
            "response.output_audio.delta" => Self::AudioDelta {
                response_id: raw.response_id,
                item_id: raw.item_id,
                content_index: raw.content_index,
                delta: raw.delta,
            },
            "response.output_audio.done" => {
                Self::AudioDone { item_id: raw.item_id, content_index: raw.content_index }
            }
            "session.created" => Self::SessionCreated,
            "session.updated" => Self::SessionUpdated { format: session_format(bytes) },
            "input_audio_buffer.speech_started" => {
                Self::SpeechStarted { audio_start_ms: whole(raw.audio_start_ms) }
            }
            "input_audio_buffer.speech_stopped" => {
                Self::SpeechStopped { item_id: raw.item_id, audio_end_ms: whole(raw.audio_end_ms) }
            }
            "input_audio_buffer.committed" => Self::Committed { item_id: raw.item_id },
            "response.output_audio_transcript.delta" => Self::TranscriptDelta {
                response_id: raw.response_id,
                item_id: raw.item_id,
                content_index: raw.content_index,
                delta: raw.delta,
            },
            "response.output_audio_transcript.done" => Self::TranscriptDone {
                item_id: raw.item_id,
                content_index: raw.content_index,
                transcript: raw.transcript,
            },
            "response.created" => Self::ResponseCreated { response_id: raw.response.id },
            "response.done" => {
                let RawDetails { reason, error } = raw.response.status_details;
                let detail = if reason.is_empty() { error.code_or_type() } else { reason };
                Self::ResponseDone { status: raw.response.status, detail }
            }
            "error" => {
                let param = raw.error.param.clone();
                Self::Error { code: raw.error.code_or_type(), param }
            }
            "" => return None,
            _ => Self::Other,
        })
    }
}

/// Milliseconds as a whole number; some servers tell fractions.
fn whole(millis: Option<f64>) -> Option<u64> {
    // A cast saturates, and makes zero of what is not a number.
    millis.map(|millis| millis as u64)
}

/// The format that a `session.updated` names, if it names the same one both ways. Servers show their sessions
/// in many shapes, so it is looked for rather than expected; the event comes once or twice in a call.
fn session_format(bytes: &[u8]) -> Option<ModelFormat> {
    let event: serde_json::Value = serde_json::from_slice(bytes).ok()?;
    let named = |side: &str| {
        let name = event.pointer(&format!("/session/audio/{side}/format/type"))?.as_str()?;
        ModelFormat::ALL.into_iter().find(|format| format.media_type() == name)
    };
    named("input").filter(|&input| named("output") == Some(input))
}

/// The code in a close reason: servers close with `<type>.<code>`; anything else is taken as it is.
#[must_use]
pub fn close_code(reason: &[u8]) -> &str {
    let text = core::str::from_utf8(reason).unwrap_or_default();
    text.rsplit('.').next().unwrap_or(text)
}

/// Whether trying again cannot help: the code decides first, because "no credit" comes with a close code that
/// says "try again later"; then the close code, then the HTTP status of a refused upgrade.
#[must_use]
pub fn is_refusal(code: &str, close: Option<u16>, http_status: Option<u16>) -> bool {
    const FATAL_CODES: [&str; 6] = [
        "invalid_api_key",
        "insufficient_quota",
        "account_deactivated",
        "billing_hard_limit_reached",
        "model_not_found",
        "beta_api_shape_disabled",
    ];
    FATAL_CODES.contains(&code)
        || matches!(close, Some(3000 | 4000 | 4004))
        || matches!(http_status, Some(401 | 403 | 404))
}

/// What the bridge says. Every event but the hot `append` carries an `event_id`, so that the server's
/// errors can be told apart.
#[derive(Clone, Copy, Debug)]
pub enum ClientEvent<'a> {
    /// The session's settings.
    SessionUpdate {
        /// What the operator decided.
        settings: &'a SessionSettings,
        /// The format of the audio both ways.
        format: ModelFormat,
        /// Who deals with the caller's turns.
        turns: Turns,
    },
    /// Ask the agent to speak.
    ResponseCreate {
        /// What this one answer is to be; without it, the answer to what was said.
        instructions: Option<&'a str>,
    },
    /// Stop the answer that is being made.
    ResponseCancel,
    /// Tell the server how much of an item the caller heard.
    Truncate {
        /// The item.
        item_id: &'a str,
        /// The part of it.
        content_index: u32,
        /// How much was heard, in milliseconds; more than zero and at most what was received.
        audio_end_ms: u64,
    },
    /// Take an item back of which the caller heard nothing.
    Delete {
        /// The item.
        item_id: &'a str,
    },
}

/// What the server does by itself when it hears the caller (`turn_detection`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Turns {
    /// Whether it answers each turn.
    pub create_response: bool,
    /// Whether it stops its answer when the caller begins to speak.
    pub interrupt_response: bool,
}

impl ClientEvent<'_> {
    /// Appends the event as JSON. `number` makes its `event_id`.
    pub fn write(&self, number: u32, out: &mut Vec<u8>) {
        // Writing to a Vec cannot fail.
        let _ = write!(out, r#"{{"event_id":"ari-bridge-{number}","type":"#);
        match *self {
            Self::SessionUpdate { settings, format, turns } => {
                out.extend_from_slice(br#""session.update","session":"#);
                write_session(settings, format, turns, out);
            }
            Self::ResponseCreate { instructions: None } => out.extend_from_slice(br#""response.create""#),
            Self::ResponseCreate { instructions: Some(instructions) } => {
                out.extend_from_slice(br#""response.create","response":{"instructions":"#);
                write_string(instructions, out);
                out.push(b'}');
            }
            Self::ResponseCancel => out.extend_from_slice(br#""response.cancel""#),
            Self::Truncate { item_id, content_index, audio_end_ms } => {
                out.extend_from_slice(br#""conversation.item.truncate","item_id":"#);
                write_string(item_id, out);
                let _ = write!(out, r#","content_index":{content_index},"audio_end_ms":{audio_end_ms}"#);
            }
            Self::Delete { item_id } => {
                out.extend_from_slice(br#""conversation.item.delete","item_id":"#);
                write_string(item_id, out);
            }
        }
        out.push(b'}');
    }
}

fn write_session(settings: &SessionSettings, format: ModelFormat, turns: Turns, out: &mut Vec<u8>) {
    let mut audio = serde_json::json!({ "type": format.media_type() });
    // PCM says its rate; G.711 has none, and naming one is refused.
    if let (ModelFormat::Pcm24, Some(audio)) = (format, audio.as_object_mut()) {
        audio.insert("rate".to_owned(), format.sample_rate().into());
    }
    let mut session = serde_json::json!({
        "type": "realtime",
        "output_modalities": ["audio"],
        "audio": {
            "input": {
                "format": audio,
                "turn_detection": {
                    "type": "server_vad",
                    "threshold": settings.vad.threshold,
                    "prefix_padding_ms": settings.vad.prefix_padding_ms,
                    "silence_duration_ms": settings.vad.silence_duration_ms,
                    "idle_timeout_ms": null,
                    "create_response": turns.create_response,
                    "interrupt_response": turns.interrupt_response,
                },
            },
            "output": { "format": audio, "voice": settings.voice },
        },
    });
    if let (Some(instructions), Some(session)) = (&settings.instructions, session.as_object_mut()) {
        session.insert("instructions".to_owned(), instructions.as_str().into());
    }
    // Serialising into a Vec cannot fail.
    let _ = serde_json::to_writer(out, &session);
}

/// Appends an `input_audio_buffer.append` with these bytes of audio. It is sent fifty times a second, so it
/// is written without a tree and, once `out` has grown, without allocating.
pub fn write_append(audio: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"type":"input_audio_buffer.append","audio":""#);
    let start = out.len();
    out.resize(start + audio.len().div_ceil(3) * 4, 0);
    if let Some(slot) = out.get_mut(start..) {
        // The slot has exactly the encoded length, so this cannot fail.
        let _ = STANDARD.encode_slice(audio, slot);
    }
    out.extend_from_slice(br#""}"#);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn written(event: ClientEvent<'_>) -> Value {
        let mut out = Vec::new();
        event.write(3, &mut out);
        serde_json::from_slice(&out).unwrap()
    }

    fn update(settings: &SessionSettings, format: ModelFormat) -> Value {
        let turns = Turns { create_response: true, interrupt_response: false };
        written(ClientEvent::SessionUpdate { settings, format, turns })
    }

    #[test]
    fn every_voice_detection_field_is_written_out() {
        let instructions = Some("Say \"hello\".\n".to_owned());
        let settings = SessionSettings { instructions, ..SessionSettings::default() };
        let session = update(&settings, ModelFormat::Pcm24);
        let vad = &session["session"]["audio"]["input"]["turn_detection"];
        for field in [
            "type",
            "threshold",
            "prefix_padding_ms",
            "silence_duration_ms",
            "idle_timeout_ms",
            "create_response",
            "interrupt_response",
        ] {
            assert!(vad.get(field).is_some(), "{field}");
        }
        assert_eq!((&vad["create_response"], &vad["interrupt_response"]), (&true.into(), &false.into()));
        assert_eq!(session["session"]["instructions"], "Say \"hello\".\n");
        assert_eq!(session["session"]["audio"]["output"]["format"]["rate"], 24000);
        assert_eq!(session["event_id"], "ari-bridge-3");
    }

    #[test]
    fn without_instructions_the_field_is_absent_and_the_server_keeps_its_own() {
        let session = update(&SessionSettings::default(), ModelFormat::Pcm24);
        assert!(session["session"].get("instructions").is_none());
    }

    #[test]
    fn g711_is_asked_for_without_a_rate_and_believed_when_both_sides_show_it() {
        for (format, name) in [(ModelFormat::Pcmu, "audio/pcmu"), (ModelFormat::Pcma, "audio/pcma")] {
            let asked = update(&SessionSettings::default(), format)["session"]["audio"].clone();
            assert_eq!(asked["input"]["format"], serde_json::json!({ "type": name }));
            assert_eq!(asked["output"]["format"], serde_json::json!({ "type": name }));
            let shown = serde_json::json!({ "type": "session.updated", "session": { "audio": asked } });
            assert_eq!(session_format(shown.to_string().as_bytes()), Some(format));
        }
        for audio in [
            r#"{"input":{"format":{"type":"audio/pcmu"}},"output":{"format":{"type":"audio/pcm","rate":24000}}}"#,
            r#"{"input":{"format":"pcmu"},"output":{"format":"pcmu"}}"#,
            r#"{"input":null}"#,
            "7",
        ] {
            let shown = format!(r#"{{"type":"session.updated","session":{{"audio":{audio}}}}}"#);
            let event = ServerEvent::parse(shown.as_bytes());
            assert_eq!(event, Some(ServerEvent::SessionUpdated { format: None }), "{audio}");
        }
    }

    #[test]
    fn what_an_operator_writes_cannot_leave_its_string() {
        let text = "\"},\"type\":\"x\u{0}\\";
        let event = written(ClientEvent::ResponseCreate { instructions: Some(text) });
        assert_eq!(event["response"]["instructions"], text);
        assert_eq!(event["type"], "response.create");
    }

    #[test]
    fn an_append_is_base64_of_its_audio() {
        let mut out = b"before".to_vec();
        write_append(&[0, 1, 2, 3], &mut out);
        assert_eq!(out, br#"before{"type":"input_audio_buffer.append","audio":"AAECAw=="}"#);
    }

    #[test]
    fn a_delta_is_borrowed_from_the_message() {
        let event = ServerEvent::parse(
            br#"{"type":"response.output_audio.delta","event_id":"e","response_id":"r","item_id":"i","output_index":0,
               "content_index":1,"delta":"AAEC","obfuscation":"zzz"}"#,
        );
        let Some(ServerEvent::AudioDelta { response_id, item_id, content_index, delta }) = event else {
            panic!("{event:?}")
        };
        assert_eq!((&*response_id, &*item_id, content_index, &*delta), ("r", "i", 1, "AAEC"));
    }

    #[test]
    fn a_failed_response_names_its_error_and_a_cancelled_one_its_reason() {
        let failed = ServerEvent::parse(
            br#"{"type":"response.done","response":{"status":"failed","status_details":{"type":"failed",
               "error":{"type":"x","code":"rate_limit_exceeded"}}}}"#,
        );
        let Some(ServerEvent::ResponseDone { status, detail }) = failed else { panic!() };
        assert_eq!((&*status, &*detail), ("failed", "rate_limit_exceeded"));
        let cancelled = ServerEvent::parse(
            br#"{"type":"response.done","response":{"status":"cancelled","status_details":{"reason":"turn_detected","error":null}}}"#,
        );
        assert!(
            matches!(cancelled, Some(ServerEvent::ResponseDone { detail, .. }) if &*detail == "turn_detected")
        );
    }

    #[test]
    fn nulls_unknown_fields_and_unknown_events_are_tolerated() {
        for message in [
            r#"{"type":"error","error":{"code":null,"param":null,"event_id":null,"type":"server_error"}}"#,
            r#"{"type":"response.done","response":null}"#,
            r#"{"type":"session.created","session":{"new_in_2030":[1,{}]}}"#,
            r#"{"type":"something.new","delta":null,"item_id":null,"content_index":null}"#,
        ] {
            assert!(ServerEvent::parse(message.as_bytes()).is_some(), "{message}");
        }
    }

    #[test]
    fn one_field_of_another_kind_does_not_cost_an_event() {
        let parse = |json: &'static str| ServerEvent::parse(json.as_bytes());
        let code = |json| match parse(json) {
            Some(ServerEvent::Error { code, .. }) => code.to_string(),
            other => format!("{other:?}"),
        };
        assert_eq!(code(r#"{"type":"error","error":{"type":"invalid_request_error","code":400}}"#), "400");
        assert_eq!(code(r#"{"type":"error","error":"model overloaded"}"#), "");
        assert_eq!(
            parse(r#"{"type":"vendor.note","delta":{"x":1},"response":"text"}"#),
            Some(ServerEvent::Other)
        );
        assert_eq!(
            parse(r#"{"type":"input_audio_buffer.speech_started","audio_start_ms":"120"}"#),
            Some(ServerEvent::SpeechStarted { audio_start_ms: None })
        );
        let delta =
            r#"{"type":"response.output_audio.delta","item_id":"a","content_index":-1,"delta":"AAAA"}"#;
        assert!(matches!(parse(delta), Some(ServerEvent::AudioDelta { content_index: 0, .. })));
    }

    #[test]
    fn what_is_not_an_event_is_none() {
        for message in [&b""[..], b"{", b"5", b"{}", br#"{"type":7}"#, br#"{"type":""}"#, b"\xff"] {
            assert_eq!(ServerEvent::parse(message), None);
        }
    }

    #[test]
    fn no_credit_is_a_refusal_although_its_close_code_says_try_again() {
        let code = close_code(b"insufficient_quota.insufficient_quota");
        assert!(is_refusal(code, Some(1013), None));
        assert!(!is_refusal("", Some(1013), None));
        assert!(!is_refusal("", Some(1006), None));
        assert!(is_refusal("", None, Some(401)));
    }
}
