//! Sessions as a server shows them.

use serde_json::{Value, json};

/// A session of each shape.
pub(super) fn sessions() -> Vec<Value> {
    let pcm = json!({ "type": "audio/pcm", "rate": 24_000 });
    let server_vad = json!({
        "type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 500,
        "idle_timeout_ms": 6000, "create_response": true, "interrupt_response": true,
    });
    let semantic_vad = json!({
        "type": "semantic_vad", "eagerness": "auto", "create_response": false, "interrupt_response": false,
    });
    let input = |turn_detection: Value| {
        json!({
            "format": pcm, "noise_reduction": { "type": "near_field", "strength": 0.5 }, "turn_detection": turn_detection,
            "transcription": {
                "model": "gpt-4o-transcribe", "language": "de", "languages": ["de", "en"],
                "prompt": "A call to a bakery.", "delay": "low", "keywords": ["Zopf"],
            },
        })
    };
    let output = json!({ "format": pcm, "voice": "marin", "speed": 1.0 });
    vec![
        realtime(json!({ "input": input(server_vad), "output": output })),
        json!({
            "type": "transcription", "audio": { "input": input(semantic_vad) },
            "include": ["item.input_audio_transcription.logprobs"],
        }),
    ]
}

fn realtime(audio: Value) -> Value {
    json!({
        "type": "realtime",
        "id": "sess_1",
        "object": "realtime.session",
        "expires_at": 1_800_000_000,
        "model": "gpt-realtime",
        "audio": audio,
        "include": ["item.input_audio_transcription.logprobs"],
        "instructions": "Answer the telephone of a bakery.",
        "max_output_tokens": "inf",
        "output_modalities": ["audio"],
        "parallel_tool_calls": true,
        "prompt": {
            "id": "pmpt_1", "version": "2",
            "variables": {
                "town": "Bern",
                "motto": {
                    "type": "input_text", "text": "fresh",
                    "prompt_cache_breakpoint": { "mode": "explicit", "ttl": "30m" },
                },
            },
        },
        "reasoning": { "effort": "low" },
        "tool_choice": { "type": "function", "name": "opening_hours" },
        "tools": tools(),
        "tracing": { "workflow_name": "bakery", "group_id": "1", "metadata": { "branch": "station" } },
        "truncation": {
            "type": "retention_ratio", "retention_ratio": 0.8, "token_limits": { "post_instructions": 8000 },
        },
    })
}

fn tools() -> Value {
    let schema = json!({ "type": "object", "properties": { "day": { "type": "string" } } });
    json!([
        {
            "type": "function", "name": "opening_hours", "description": "When the bakery is open.",
            "parameters": schema,
        },
        {
            "type": "mcp", "server_label": "weather", "server_url": "https://tools.example/mcp",
            "server_description": "The weather.", "authorization": "token", "headers": { "x-branch": "station" },
            "allowed_tools": { "read_only": true, "tool_names": ["forecast"] }, "defer_loading": false,
            "require_approval": {
                "always": { "read_only": false, "tool_names": ["order"] },
                "never": { "read_only": true, "tool_names": ["forecast"] },
            },
            "allowed_callers": ["direct"], "connector_id": "connector_gmail", "tunnel_id": "tunnel_1",
        },
    ])
}
