//! The parts of a conversation, one of each type.

use serde_json::{Value, json};

/// What is heard in the samples: 40 ms at 24 kHz, so soft that it is told from a voice.
pub(super) fn soft_audio() -> String {
    "AQD//w==".repeat(480)
}

/// An item of each type, complete.
pub(super) fn items() -> Vec<Value> {
    let mut items = messages();
    items.extend(calls());
    items.extend(mcp());
    items
}

fn message(role: &str, status: &str, content: Value) -> Value {
    let id = format!("item_{role}");
    json!({
        "id": id, "object": "realtime.item", "type": "message", "role": role, "status": status, "content": content,
    })
}

fn messages() -> Vec<Value> {
    let image = "data:image/png;base64,iVBORw0KGgo=";
    vec![
        message("system", "completed", json!([{ "type": "input_text", "text": "Be brief." }])),
        message(
            "user",
            "completed",
            json!([
                { "type": "input_audio", "audio": soft_audio(), "transcript": "Wo seid ihr?" },
                { "type": "input_text", "text": "Ich höre nichts. \u{1f642}" },
                { "type": "input_image", "image_url": image, "detail": "auto" },
            ]),
        ),
        message(
            "assistant",
            "in_progress",
            json!([
                { "type": "output_audio", "audio": soft_audio(), "transcript": "We are in Bern." },
                { "type": "output_text", "text": "At the station." },
            ]),
        ),
    ]
}

fn calls() -> Vec<Value> {
    vec![
        json!({
            "id": "item_call", "object": "realtime.item", "type": "function_call", "status": "completed",
            "call_id": "call_hours", "name": "opening_hours", "arguments": "{\"day\":\"monday\"}",
        }),
        json!({
            "id": "item_output", "object": "realtime.item", "type": "function_call_output", "status": "completed",
            "call_id": "call_hours", "output": "{\"from\":\"08:00\",\"to\":\"18:00\"}",
        }),
    ]
}

fn mcp() -> Vec<Value> {
    let schema = json!({ "type": "object", "properties": { "city": { "type": "string" } } });
    let call = |error: Value| {
        json!({
            "id": "item_mcp", "type": "mcp_call", "server_label": "weather", "name": "forecast",
            "arguments": "{\"city\":\"Bern\"}", "approval_request_id": "item_approval", "output": "sunny",
            "error": error,
        })
    };
    vec![
        json!({
            "id": "item_tools", "type": "mcp_list_tools", "server_label": "weather",
            "tools": [{
                "name": "forecast", "description": "The weather of tomorrow.", "input_schema": schema,
                "annotations": { "readOnlyHint": true },
            }],
        }),
        call(Value::Null),
        call(json!({ "type": "protocol_error", "code": -32601, "message": "no such method" })),
        call(json!({ "type": "tool_execution_error", "message": "no such city" })),
        call(json!({ "type": "http_error", "code": 502, "message": "bad gateway" })),
        json!({
            "id": "item_approval", "type": "mcp_approval_request", "server_label": "weather", "name": "forecast",
            "arguments": "{\"city\":\"Bern\"}",
        }),
        json!({
            "id": "item_approved", "type": "mcp_approval_response", "approval_request_id": "item_approval",
            "approve": true, "reason": "the caller said yes",
        }),
    ]
}
