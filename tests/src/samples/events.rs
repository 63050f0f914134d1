//! Full examples of the server events.

use super::items::{items, soft_audio};
use super::session::sessions;
use serde_json::{Map, Value, json};

/// Full examples of all server events of the GA interface: at least one of each kind, and more where what is in
/// them has more than one shape: an item of each type, a response in each status, a session of each shape.
///
/// The audio in them is soft, and none of them says that nothing more can come of a session, except the error and the
/// response whose code is `insufficient_quota`.
#[must_use]
pub fn server_events() -> Vec<Value> {
    let mut events = conversation();
    events.extend(transcription());
    events.extend(caller());
    events.extend(answer());
    events.extend(tools());
    events.extend(responses());
    events.extend(with_items());
    for session in sessions() {
        events.push(event("session.created", json!({ "session": session })));
        events.push(event("session.updated", json!({ "session": session })));
    }
    events
}

/// An event with its name and an id.
fn event(kind: &str, fields: Value) -> Value {
    let Value::Object(fields) = fields else { unreachable!("fields are an object") };
    let mut event = Map::new();
    event.insert("type".to_owned(), kind.into());
    event.insert("event_id".to_owned(), "event_sample".into());
    event.extend(fields);
    Value::Object(event)
}

fn conversation() -> Vec<Value> {
    let of_item = json!({ "item_id": "item_user" });
    vec![
        event(
            "conversation.created",
            json!({ "conversation": { "id": "conv_1", "object": "realtime.conversation" } }),
        ),
        event("conversation.item.deleted", of_item),
        event(
            "conversation.item.truncated",
            json!({ "item_id": "item_assistant", "content_index": 0, "audio_end_ms": 40 }),
        ),
        error("invalid_request_error", "invalid_value", "ari-bridge-1"),
        error("invalid_request_error", "conversation_already_has_active_response", "ari-bridge-2"),
        error("server_error", "server_error", "event_of_ours"),
        error("invalid_request_error", "session_expired", "event_of_ours"),
        error("insufficient_quota", "insufficient_quota", "event_of_ours"),
        event(
            "rate_limits.updated",
            json!({ "rate_limits": [
                { "name": "requests", "limit": 1000, "remaining": 999, "reset_seconds": 60.5 },
                { "name": "tokens", "limit": 50_000, "remaining": 0, "reset_seconds": 60 },
            ] }),
        ),
    ]
}

fn error(kind: &str, code: &str, event_id: &str) -> Value {
    let message = "Something was wrong with “it”.";
    event(
        "error",
        json!({ "error": {
            "type": kind, "code": code, "message": message, "param": "session.audio", "event_id": event_id,
        } }),
    )
}

fn transcription() -> Vec<Value> {
    let logprobs = json!([{ "token": "Wo", "bytes": [87, 111], "logprob": -0.25 }]);
    let tokens = json!({
        "type": "tokens", "input_tokens": 13, "output_tokens": 5, "total_tokens": 18,
        "input_token_details": { "audio_tokens": 13, "text_tokens": 0 },
    });
    let completed = |usage: Value| {
        event(
            "conversation.item.input_audio_transcription.completed",
            json!({
                "item_id": "item_user", "content_index": 0, "transcript": "Wo seid ihr?", "usage": usage,
                "languages": [{ "code": "de" }], "logprobs": logprobs,
            }),
        )
    };
    vec![
        completed(tokens),
        completed(json!({ "type": "duration", "seconds": 1.5 })),
        event(
            "conversation.item.input_audio_transcription.delta",
            json!({ "item_id": "item_user", "content_index": 0, "delta": "Wo", "logprobs": logprobs }),
        ),
        event(
            "conversation.item.input_audio_transcription.failed",
            json!({ "item_id": "item_user", "content_index": 0, "error": {
                "type": "transcription_error", "code": "audio_unintelligible", "message": "Say it again.",
                "param": "audio",
            } }),
        ),
        event(
            "conversation.item.input_audio_transcription.segment",
            json!({
                "item_id": "item_user", "content_index": 0, "id": "seg_1", "speaker": "A", "start": 0.0,
                "end": 1.25, "text": "Wo seid ihr?",
            }),
        ),
    ]
}

/// What the server hears.
fn caller() -> Vec<Value> {
    let at = |field: &str, ms: u64| {
        let mut fields = json!({ "item_id": "item_user" });
        fields[field] = ms.into();
        fields
    };
    let mut silent = at("audio_end_ms", 900);
    silent["audio_start_ms"] = 0.into();
    let of_answer = json!({ "response_id": "resp_1" });
    // The only event that has no id.
    let keys = json!({
        "type": "input_audio_buffer.dtmf_event_received", "event": "9", "received_at": 1_763_900_000,
    });
    vec![
        event("input_audio_buffer.cleared", json!({})),
        event(
            "input_audio_buffer.committed",
            json!({ "item_id": "item_user", "previous_item_id": "item_assistant" }),
        ),
        keys,
        event("input_audio_buffer.speech_started", at("audio_start_ms", 100)),
        event("input_audio_buffer.speech_stopped", at("audio_end_ms", 900)),
        event("input_audio_buffer.timeout_triggered", silent),
        event("output_audio_buffer.cleared", of_answer.clone()),
        event("output_audio_buffer.started", of_answer.clone()),
        event("output_audio_buffer.stopped", of_answer),
    ]
}

/// A piece of an answer.
fn piece(kind: &str, fields: Value) -> Value {
    let mut event = event(kind, fields);
    event["response_id"] = "resp_1".into();
    event["output_index"] = 0.into();
    event
}

/// A piece of a part of an answer's item.
fn part(kind: &str, fields: Value) -> Value {
    let mut event = piece(kind, fields);
    event["item_id"] = "item_assistant".into();
    event["content_index"] = 0.into();
    event
}

fn answer() -> Vec<Value> {
    let audio = json!({ "type": "audio", "audio": soft_audio(), "transcript": "We are in Bern." });
    let text = json!({ "type": "text", "text": "At the station." });
    vec![
        part("response.content_part.added", json!({ "part": audio })),
        part("response.content_part.added", json!({ "part": text })),
        part("response.content_part.done", json!({ "part": audio })),
        part("response.output_audio.delta", json!({ "delta": soft_audio() })),
        part("response.output_audio.done", json!({})),
        part("response.output_audio_transcript.delta", json!({ "delta": "We are" })),
        part("response.output_audio_transcript.done", json!({ "transcript": "We are in Bern." })),
        part("response.output_text.delta", json!({ "delta": "At the" })),
        part("response.output_text.done", json!({ "text": "At the station." })),
    ]
}

fn tools() -> Vec<Value> {
    let of_tools = json!({ "item_id": "item_tools" });
    let mcp = json!({ "item_id": "item_mcp", "output_index": 1 });
    let call = |mut fields: Value| {
        fields["item_id"] = "item_call".into();
        fields["call_id"] = "call_hours".into();
        fields
    };
    let arguments = "{\"day\":\"monday\"}";
    vec![
        event("mcp_list_tools.in_progress", of_tools.clone()),
        event("mcp_list_tools.completed", of_tools.clone()),
        event("mcp_list_tools.failed", of_tools),
        event("response.mcp_call.in_progress", mcp.clone()),
        event("response.mcp_call.completed", mcp.clone()),
        event("response.mcp_call.failed", mcp),
        piece(
            "response.mcp_call_arguments.delta",
            json!({ "item_id": "item_mcp", "delta": "{\"city\"", "obfuscation": "zzzz" }),
        ),
        piece(
            "response.mcp_call_arguments.done",
            json!({ "item_id": "item_mcp", "arguments": "{\"city\":\"Bern\"}" }),
        ),
        piece("response.function_call_arguments.delta", call(json!({ "delta": "{\"day\"" }))),
        piece(
            "response.function_call_arguments.done",
            call(json!({ "name": "opening_hours", "arguments": arguments })),
        ),
    ]
}

fn responses() -> Vec<Value> {
    let details = |status: &str, reason: Value, code: Value| {
        let error = json!({ "type": "server_error", "code": code, "message": "It did not work." });
        json!({
            "type": status, "reason": reason, "error": if code.is_null() { Value::Null } else { error },
        })
    };
    let none = Value::Null;
    let created = response("in_progress", Value::Null, json!([]));
    let mut events = vec![event("response.created", json!({ "response": created }))];
    for (status, reason, code) in [
        ("completed", none.clone(), none.clone()),
        ("cancelled", json!("turn_detected"), none.clone()),
        ("cancelled", json!("client_cancelled"), none.clone()),
        ("incomplete", json!("max_output_tokens"), none.clone()),
        ("incomplete", json!("content_filter"), none.clone()),
        ("failed", none.clone(), json!("rate_limit_exceeded")),
        ("failed", none.clone(), json!("server_error")),
        ("failed", none, json!("insufficient_quota")),
    ] {
        let output = if status == "completed" { items().into() } else { json!([items()[2]]) };
        let response = response(status, details(status, reason, code), output);
        events.push(event("response.done", json!({ "response": response })));
    }
    events
}

fn response(status: &str, details: Value, output: Value) -> Value {
    json!({
        "id": "resp_1",
        "object": "realtime.response",
        "status": status,
        "status_details": details,
        "output": output,
        "conversation_id": "conv_1",
        "output_modalities": ["audio"],
        "max_output_tokens": 4096,
        "audio": { "output": { "format": { "type": "audio/pcm", "rate": 24_000 }, "voice": "marin" } },
        "metadata": { "ari_bridge": "1", "branch": "station" },
        "usage": {
            "total_tokens": 253, "input_tokens": 132, "output_tokens": 121,
            "input_token_details": {
                "text_tokens": 119, "audio_tokens": 13, "image_tokens": 0, "cached_tokens": 64,
                "cached_tokens_details": { "text_tokens": 64, "audio_tokens": 0, "image_tokens": 0 },
            },
            "output_token_details": { "text_tokens": 30, "audio_tokens": 91 },
        },
    })
}

/// What carries an item, with an item of each type.
fn with_items() -> Vec<Value> {
    let mut events = Vec::new();
    for item in items() {
        for kind in ["conversation.item.added", "conversation.item.created", "conversation.item.done"] {
            events.push(event(kind, json!({ "item": item, "previous_item_id": "item_user" })));
        }
        events.push(event("conversation.item.retrieved", json!({ "item": item })));
        for kind in ["response.output_item.added", "response.output_item.done"] {
            events.push(piece(kind, json!({ "item": item })));
        }
    }
    events
}
