//! What the bridge can write passes in every dialect; what is broken in one place does not.

use super::*;
use crate::format::ModelFormat;
use crate::realtime::{ClientEvent, Turns};
use crate::settings::{
    Approval, Eagerness, Function, MaxOutputTokens, McpServer, NoiseReduction, ReasoningEffort, ServerVad,
    SessionSettings, Tool, ToolChoice, Tracing, Transcription, Truncation, TurnDetection,
};
use serde_json::json;

fn assert_taken(dialect: Dialect, event: &Value) {
    if let Err(why) = check_client_event(dialect, event) {
        panic!("{}: {why} in {event}", dialect.name());
    }
}

fn written(dialect: Dialect, event: ClientEvent<'_>) -> Value {
    let mut out = Vec::new();
    dialect.write(event, 7, &mut out);
    serde_json::from_slice(&out).unwrap()
}

fn everything(dialect: Dialect) -> SessionSettings {
    SessionSettings {
        dialect,
        speed: Some(1.25),
        instructions: Some("Be brief.".into()),
        noise_reduction: Some(NoiseReduction::FarField),
        transcription: Some(Transcription {
            model: "gpt-realtime-whisper".into(),
            language: Some("de".into()),
            prompt: Some("Names.".into()),
        }),
        turn_detection: TurnDetection::Server(ServerVad {
            idle_timeout_ms: Some(6000),
            ..ServerVad::default()
        }),
        parallel_tool_calls: Some(true),
        max_output_tokens: Some(MaxOutputTokens::Tokens(900)),
        truncation: Some(Truncation::Retention { ratio: 0.8, post_instructions_tokens: Some(8000) }),
        reasoning_effort: Some(ReasoningEffort::ExtraHigh),
        tracing: Some(Tracing::Named { workflow: "line".into(), group: Some("calls".into()) }),
        ..SessionSettings::default()
    }
}

/// Every setting of a session at each of its values, one after the other.
fn settings(dialect: Dialect) -> Vec<SessionSettings> {
    let base = everything(dialect);
    let mut all = vec![SessionSettings { dialect, ..SessionSettings::default() }, base.clone()];
    all.extend(Eagerness::ALL.map(|eagerness| SessionSettings {
        turn_detection: TurnDetection::Semantic { eagerness },
        ..base.clone()
    }));
    all.extend(
        NoiseReduction::ALL.map(|kind| SessionSettings { noise_reduction: Some(kind), ..base.clone() }),
    );
    all.extend(
        ReasoningEffort::ALL.map(|effort| SessionSettings { reasoning_effort: Some(effort), ..base.clone() }),
    );
    all.extend(
        [ToolChoice::None, ToolChoice::Required, ToolChoice::Function("opening_hours".into())]
            .map(|tool_choice| SessionSettings { tool_choice, ..base.clone() }),
    );
    all.extend(
        [
            Truncation::Auto,
            Truncation::Disabled,
            Truncation::Retention { ratio: 1.0, post_instructions_tokens: None },
        ]
        .map(|truncation| SessionSettings { truncation: Some(truncation), ..base.clone() }),
    );
    all.push(SessionSettings {
        tracing: Some(Tracing::Auto),
        max_output_tokens: Some(MaxOutputTokens::Unlimited),
        transcription: Some(Transcription { model: "m".into(), language: None, prompt: None }),
        ..base
    });
    all
}

fn tools() -> [Tool; 3] {
    let server = McpServer {
        label: "stock".into(),
        url: "https://stock.example/mcp".into(),
        description: Some("What there is.".into()),
        allowed_tools: Some(vec!["count".into()]),
        approval: Approval::Always,
    };
    [
        Tool::Function(Function {
            name: "opening_hours".into(),
            description: "When the shop is open".into(),
            parameters: json!({ "type": "object", "properties": {} }),
        }),
        Tool::Mcp(McpServer {
            description: None,
            allowed_tools: None,
            approval: Approval::Never,
            ..server.clone()
        }),
        Tool::Mcp(server),
    ]
}

#[test]
fn every_session_that_can_be_asked_for_can_be_taken() {
    let turns = Turns { create_response: true, interrupt_response: false };
    for dialect in Dialect::ALL {
        for settings in &settings(dialect) {
            for format in ModelFormat::ALL {
                for tools in [&tools()[..], &[]] {
                    let event = ClientEvent::SessionUpdate { settings, tools, format, turns };
                    assert_taken(dialect, &written(dialect, event));
                }
            }
        }
    }
}

#[test]
fn every_other_event_of_the_bridge_can_be_taken() {
    for dialect in Dialect::ALL {
        for event in [
            ClientEvent::ResponseCreate { instructions: None },
            ClientEvent::ResponseCreate { instructions: Some("Greet.") },
            ClientEvent::ResponseCancel,
            ClientEvent::Delete { item_id: "item_1" },
            ClientEvent::UserText { text: "*" },
            ClientEvent::FunctionOutput { call_id: "call_1", output: "{}" },
            ClientEvent::McpApproval { request_id: "mcpr_1", approve: true },
        ] {
            assert_taken(dialect, &written(dialect, event));
        }
        let truncate = ClientEvent::Truncate { item_id: "item_1", content_index: 0, audio_end_ms: 180 };
        assert_eq!(
            check_client_event(dialect, &written(dialect, truncate)).is_ok(),
            dialect.truncates(),
            "{}",
            dialect.name()
        );
        let mut out = Vec::new();
        dialect.write_append(&[0; 320], &mut out);
        assert_taken(dialect, &serde_json::from_slice(&out).unwrap());
    }
}

#[test]
fn what_the_bridge_does_not_write_can_be_taken_too() {
    for event in [
        json!({ "type": "session.update", "session": { "type": "realtime", "audio": { "input": {
            "turn_detection": null, "noise_reduction": null, "transcription": null,
        }}, "tracing": null, "prompt": null }}),
        json!({ "type": "session.update", "session": { "type": "transcription", "audio": { "input": {
            "format": { "type": "audio/pcma" }, "transcription": { "model": "m", "delay": "low" },
        }}, "include": ["item.input_audio_transcription.logprobs"] }}),
        json!({ "type": "response.create", "response": {
            "conversation": "none", "output_modalities": ["text"], "max_output_tokens": "inf", "metadata": null,
            "tool_choice": { "type": "mcp", "server_label": "stock", "name": null },
            "audio": { "output": { "voice": { "id": "voice_1" } } },
            "input": [
                { "type": "item_reference", "id": "item_1" },
                { "type": "message", "role": "system", "content": [{ "type": "input_text", "text": "x" }] },
                { "type": "mcp_call", "id": "1", "server_label": "s", "name": "n", "arguments": "{}",
                  "error": { "type": "http_error", "code": 500, "message": "m" } },
            ],
            "prompt": { "id": "p", "variables": { "name": "x", "text": { "type": "input_text", "text": "y" } } },
        }}),
        json!({ "type": "conversation.item.create", "previous_item_id": "root", "item": {
            "type": "message", "role": "user", "status": "completed", "object": "realtime.item", "id": "i",
            "content": [
                { "type": "input_audio", "audio": "AAAA" },
                { "type": "input_image", "image_url": "data:", "detail": "low" },
            ],
        }}),
        json!({ "type": "input_audio_buffer.commit" }),
        json!({ "type": "input_audio_buffer.clear", "event_id": "e" }),
        json!({ "type": "conversation.item.retrieve", "item_id": "i" }),
    ] {
        assert_taken(Dialect::OpenAi, &event);
    }
}

/// A `session.update` with this in its session.
fn session(fields: Value) -> Value {
    let mut session = json!({ "type": "realtime" });
    session.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    json!({ "type": "session.update", "session": session })
}

fn input(fields: Value) -> Value {
    session(json!({ "audio": { "input": fields } }))
}

fn output(fields: Value) -> Value {
    session(json!({ "audio": { "output": fields } }))
}

fn item(item: Value) -> Value {
    json!({ "type": "conversation.item.create", "item": item })
}

fn response(response: Value) -> Value {
    json!({ "type": "response.create", "response": response })
}

fn refused(dialect: Dialect, event: &Value) -> (&'static str, String) {
    let Refusal { code, param, .. } = check_event(dialect, event.as_object().unwrap()).unwrap_err();
    assert!(check_client_event(dialect, event).is_err());
    (code, param.unwrap_or_default())
}

#[test]
fn what_is_not_known_is_refused() {
    for (event, param) in [
        (session(json!({ "voice": "x" })), "session.voice"),
        (session(json!({ "reasoning": { "depth": 1 } })), "session.reasoning.depth"),
        (
            input(json!({ "format": { "type": "audio/pcmu", "rate": 8000 } })),
            "session.audio.input.format.rate",
        ),
        (
            input(json!({ "turn_detection": { "type": "server_vad", "eagerness": "low" } })),
            "session.audio.input.turn_detection.eagerness",
        ),
        (
            input(json!({ "turn_detection": { "type": "semantic_vad", "threshold": 0.5 } })),
            "session.audio.input.turn_detection.threshold",
        ),
        (
            session(json!({ "tools": [{ "type": "function", "name": "f", "server_url": "u" }] })),
            "session.tools[0].server_url",
        ),
        (
            session(json!({ "tools": [{ "type": "mcp", "server_label": "s", "parameters": {} }] })),
            "session.tools[0].parameters",
        ),
        (
            session(
                json!({ "tools": [{ "type": "mcp", "server_label": "s", "require_approval": { "ever": {} } }] }),
            ),
            "session.tools[0].require_approval.ever",
        ),
        (session(json!({ "tracing": { "name": "x" } })), "session.tracing.name"),
        (response(json!({ "modalities": ["audio"] })), "response.modalities"),
        (response(json!({ "audio": { "output": { "speed": 1 } } })), "response.audio.output.speed"),
        (
            item(
                json!({ "type": "message", "role": "user", "content": [{ "type": "input_text", "text": "", "x": 1 }] }),
            ),
            "item.content[0].x",
        ),
        (
            item(json!({ "type": "function_call_output", "call_id": "c", "output": "", "name": "f" })),
            "item.name",
        ),
        (json!({ "type": "response.cancel", "item_id": "i" }), "item_id"),
        (json!({ "type": "input_audio_buffer.commit", "final": true }), "final"),
    ] {
        assert_eq!(refused(Dialect::OpenAi, &event), ("unknown_parameter", param.to_owned()), "{event}");
    }
}

#[test]
fn what_is_missing_is_refused() {
    for (event, param) in [
        (json!({ "event_id": "e" }), "type"),
        (json!({ "type": "session.update" }), "session"),
        (json!({ "type": "session.update", "session": {} }), "session.type"),
        (output(json!({ "format": { "type": "audio/pcm" } })), "session.audio.output.format.rate"),
        (input(json!({ "turn_detection": { "threshold": 0.5 } })), "session.audio.input.turn_detection.type"),
        (session(json!({ "tools": [{ "name": "f" }] })), "session.tools[0].type"),
        (session(json!({ "tools": [{ "type": "mcp" }] })), "session.tools[0].server_label"),
        (session(json!({ "tool_choice": { "type": "function" } })), "session.tool_choice.name"),
        (
            session(json!({ "truncation": { "type": "retention_ratio" } })),
            "session.truncation.retention_ratio",
        ),
        (json!({ "type": "conversation.item.truncate", "item_id": "i", "content_index": 0 }), "audio_end_ms"),
        (json!({ "type": "conversation.item.delete" }), "item_id"),
        (item(json!({ "type": "message", "content": [] })), "item.role"),
        (item(json!({ "type": "message", "role": "user" })), "item.content"),
        (item(json!({ "type": "function_call_output", "call_id": "c" })), "item.output"),
        (
            item(json!({ "type": "mcp_approval_response", "approval_request_id": "r", "approve": true })),
            "item.id",
        ),
    ] {
        assert_eq!(
            refused(Dialect::OpenAi, &event),
            ("missing_required_parameter", param.to_owned()),
            "{event}"
        );
    }
}

#[test]
fn what_has_another_type_is_refused() {
    for (event, param) in [
        (json!({ "type": "session.update", "session": "x" }), "session"),
        (json!({ "type": "response.cancel", "event_id": 1 }), "event_id"),
        (input(json!({ "format": "pcm16" })), "session.audio.input.format"),
        (output(json!({ "speed": "1" })), "session.audio.output.speed"),
        (output(json!({ "voice": 1 })), "session.audio.output.voice"),
        (session(json!({ "instructions": null })), "session.instructions"),
        (session(json!({ "max_output_tokens": 1.5 })), "session.max_output_tokens"),
        (session(json!({ "tools": {} })), "session.tools"),
        (session(json!({ "truncation": true })), "session.truncation"),
        (response(json!({ "metadata": { "n": 1 } })), "response.metadata.n"),
        (response(json!({ "parallel_tool_calls": "yes" })), "response.parallel_tool_calls"),
        (item(json!([])), "item"),
        (
            json!({ "type": "conversation.item.truncate", "item_id": "i", "content_index": 0, "audio_end_ms": 12.5 }),
            "audio_end_ms",
        ),
        (
            item(
                json!({ "type": "mcp_approval_response", "id": "i", "approval_request_id": "r", "approve": "yes" }),
            ),
            "item.approve",
        ),
    ] {
        assert_eq!(refused(Dialect::OpenAi, &event), ("invalid_type", param.to_owned()), "{event}");
    }
}

#[test]
fn what_has_no_such_value_is_refused() {
    let many: Map<String, Value> = (0..17).map(|n| (n.to_string(), json!("x"))).collect();
    let idle = |ms: i64| input(json!({ "turn_detection": { "type": "server_vad", "idle_timeout_ms": ms } }));
    let idle_at = "session.audio.input.turn_detection.idle_timeout_ms";
    for (event, param) in [
        (json!({ "type": "output_audio_buffer.clear" }), "type"),
        (json!({ "type": "transcription_session.update" }), "type"),
        (output(json!({ "speed": 0.2 })), "session.audio.output.speed"),
        (output(json!({ "speed": 1.51 })), "session.audio.output.speed"),
        (
            output(json!({ "format": { "type": "audio/pcm", "rate": 8000 } })),
            "session.audio.output.format.rate",
        ),
        (input(json!({ "format": { "type": "pcm16" } })), "session.audio.input.format.type"),
        (idle(4999), idle_at),
        (idle(30_001), idle_at),
        (session(json!({ "truncation": "never" })), "session.truncation"),
        (
            session(json!({ "truncation": { "type": "retention_ratio", "retention_ratio": 1.1 } })),
            "session.truncation.retention_ratio",
        ),
        (session(json!({ "max_output_tokens": 0 })), "session.max_output_tokens"),
        (session(json!({ "max_output_tokens": "all" })), "session.max_output_tokens"),
        (session(json!({ "output_modalities": ["audio", "text"] })), "session.output_modalities"),
        (session(json!({ "output_modalities": [] })), "session.output_modalities"),
        (session(json!({ "reasoning": { "effort": "none" } })), "session.reasoning.effort"),
        (session(json!({ "tool_choice": "any" })), "session.tool_choice"),
        (session(json!({ "tools": [{ "type": "web_search" }] })), "session.tools[0].type"),
        (response(json!({ "metadata": many })), "response.metadata"),
        (response(json!({ "metadata": { "n": "x".repeat(513) } })), "response.metadata.n"),
        (response(json!({ "metadata": { "x".repeat(65): "" } })), "response.metadata"),
        (item(json!({ "type": "item_reference", "id": "i" })), "item.type"),
        (item(json!({ "type": "message", "role": "developer", "content": [] })), "item.role"),
        (
            item(
                json!({ "type": "message", "role": "user", "content": [{ "type": "output_text", "text": "" }] }),
            ),
            "item.content[0].type",
        ),
        (
            json!({ "type": "conversation.item.truncate", "item_id": "i", "content_index": 0, "audio_end_ms": -1 }),
            "audio_end_ms",
        ),
    ] {
        assert_eq!(refused(Dialect::OpenAi, &event), ("invalid_value", param.to_owned()), "{event}");
    }
    assert!(check_client_event(Dialect::OpenAi, &json!([])).is_err());
}

#[test]
fn one_dialects_session_is_not_anothers() {
    let update = |dialect| {
        let settings = everything(dialect);
        let turns = Turns { create_response: true, interrupt_response: true };
        let event = ClientEvent::SessionUpdate {
            settings: &settings,
            tools: &tools(),
            format: ModelFormat::Pcm24,
            turns,
        };
        written(dialect, event)
    };
    let alike = |a, b| matches!((a, b), (Dialect::OpenAi | Dialect::Azure, Dialect::OpenAi | Dialect::Azure));
    for writer in Dialect::ALL {
        for reader in Dialect::ALL {
            assert_eq!(
                check_client_event(reader, &update(writer)).is_ok(),
                writer == reader || alike(writer, reader),
                "{} to {}",
                writer.name(),
                reader.name()
            );
        }
    }
    let asked = written(Dialect::OpenAi, ClientEvent::ResponseCreate { instructions: None });
    assert_eq!(refused(Dialect::Qwen, &asked).1, "response.metadata");
}
