//! What a session is asked for, and what the bridge says in it.

use super::{bits, pick, some_text, text, up_to, word};
use crate::choices::Choices;
use ari_bridge_core::settings::{
    Approval, Dialect, Eagerness, Function, MaxOutputTokens, McpServer, NoiseReduction, ReasoningEffort,
    ServerVad, SessionSettings, Tool, ToolChoice, Tracing, Transcription, Truncation, TurnDetection,
};
use serde_json::{Value, json};

/// One of these, or nothing.
fn maybe<T>(choices: &mut Choices<'_>, make: impl FnOnce(&mut Choices<'_>) -> T) -> Option<T> {
    choices.one_in(2).then(|| make(choices))
}

/// A share, from 0 to 1.
fn share(choices: &mut Choices<'_>) -> f64 {
    f64::from(choices.byte()) / 255.0
}

/// Settings that a server could be asked for, with any text where text stands.
pub fn settings(choices: &mut Choices<'_>, dialect: Dialect) -> SessionSettings {
    SessionSettings {
        dialect,
        voice: word(choices),
        speed: maybe(choices, |choices| 0.25 + 1.25 * share(choices)),
        instructions: maybe(choices, text),
        turn_detection: turn_detection(choices),
        noise_reduction: maybe(choices, |choices| *pick(choices, &NoiseReduction::ALL)),
        transcription: maybe(choices, |choices| Transcription {
            model: word(choices),
            language: maybe(choices, word),
            prompt: maybe(choices, text),
        }),
        tool_choice: match choices.below(4) {
            0 => ToolChoice::Auto,
            1 => ToolChoice::None,
            2 => ToolChoice::Required,
            _ => ToolChoice::Function(word(choices)),
        },
        parallel_tool_calls: maybe(choices, |choices| choices.one_in(2)),
        max_output_tokens: maybe(choices, |choices| match choices.below(2) {
            0 => MaxOutputTokens::Unlimited,
            _ => MaxOutputTokens::Tokens(1 + up_to(choices, 31_999) as u32),
        }),
        truncation: maybe(choices, |choices| match choices.below(3) {
            0 => Truncation::Auto,
            1 => Truncation::Disabled,
            _ => {
                let post_instructions_tokens = maybe(choices, |choices| bits(choices, 20) as u32);
                Truncation::Retention { ratio: share(choices), post_instructions_tokens }
            }
        }),
        reasoning_effort: maybe(choices, |choices| *pick(choices, &ReasoningEffort::ALL)),
        tracing: maybe(choices, |choices| match choices.below(2) {
            0 => Tracing::Auto,
            _ => Tracing::Named { workflow: text(choices), group: maybe(choices, text) },
        }),
        ..SessionSettings::default()
    }
}

fn turn_detection(choices: &mut Choices<'_>) -> TurnDetection {
    if choices.one_in(3) {
        return TurnDetection::Semantic { eagerness: *pick(choices, &Eagerness::ALL) };
    }
    TurnDetection::Server(ServerVad {
        threshold: share(choices),
        prefix_padding_ms: up_to(choices, 5_000) as u32,
        silence_duration_ms: up_to(choices, 10_000) as u32,
        idle_timeout_ms: maybe(choices, |choices| 5_000 + up_to(choices, 25_000) as u32),
    })
}

/// What the model can call.
pub fn tools(choices: &mut Choices<'_>) -> Vec<Tool> {
    let tool = |choices: &mut Choices<'_>| match choices.below(2) {
        0 => Tool::Function(Function {
            name: word(choices),
            description: text(choices),
            parameters: json!({ "type": "object", "properties": { some_text(choices): Value::Null } }),
        }),
        _ => Tool::Mcp(McpServer {
            label: word(choices),
            url: "https://tools.example/mcp".to_owned(),
            description: maybe(choices, text),
            allowed_tools: maybe(choices, |choices| vec![word(choices)]),
            approval: *pick(choices, &[Approval::Never, Approval::Always]),
        }),
    };
    (0..choices.below(4)).map(|_| tool(choices)).collect()
}
