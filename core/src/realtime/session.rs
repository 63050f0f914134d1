//! The session's settings, in the shape in which each dialect wants them.
//!
//! Every field of the voice detection is always written out, because the servers' own defaults differ from their
//! documentation. What was not decided is not written, so that the server keeps its own.

use super::Turns;
use crate::format::ModelFormat;
use crate::settings::{
    Approval, Dialect, Function, MaxOutputTokens, McpServer, SessionSettings, Tool, ToolChoice, Tracing,
    Transcription, Truncation, TurnDetection,
};
use serde_json::{Map, Value, json};

/// Appends the `session` of a `session.update`. It is written once or twice in a call, so as a tree.
pub(super) fn write_session(
    settings: &SessionSettings,
    tools: &[Tool],
    format: ModelFormat,
    turns: Turns,
    out: &mut Vec<u8>,
) {
    let session = match settings.dialect {
        Dialect::OpenAi | Dialect::Azure => nested(settings, tools, format, turns),
        Dialect::Xai => xai(settings, tools, format, turns),
        Dialect::Beta | Dialect::Qwen => flat(settings, tools, format, turns),
    };
    // Serialising into a Vec cannot fail.
    let _ = serde_json::to_writer(out, &session);
}

/// An object without the fields that are `null`.
fn object<const N: usize>(fields: [(&str, Value); N]) -> Map<String, Value> {
    let set = fields.into_iter().filter(|(_, value)| !value.is_null());
    set.map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The GA interface.
fn nested(settings: &SessionSettings, tools: &[Tool], format: ModelFormat, turns: Turns) -> Value {
    let format = audio_format(format);
    let input = object([
        ("format", format.clone()),
        ("noise_reduction", noise_reduction(settings)),
        ("transcription", settings.transcription.as_ref().map_or(Value::Null, transcription)),
        ("turn_detection", turn_detection(settings, turns)),
    ]);
    let output = object([
        ("format", format),
        ("voice", settings.voice.as_str().into()),
        ("speed", settings.speed.map_or(Value::Null, Value::from)),
    ]);
    let mut session = object([
        ("type", "realtime".into()),
        ("output_modalities", json!(["audio"])),
        ("audio", json!({ "input": input, "output": output })),
        ("parallel_tool_calls", settings.parallel_tool_calls.map_or(Value::Null, Value::from)),
        ("max_output_tokens", settings.max_output_tokens.map_or(Value::Null, max_output_tokens)),
        ("truncation", settings.truncation.map_or(Value::Null, truncation)),
        ("reasoning", settings.reasoning_effort.map_or(Value::Null, |e| json!({ "effort": e.name() }))),
        ("tracing", settings.tracing.as_ref().map_or(Value::Null, tracing)),
    ]);
    session.extend(common(settings, tools, function));
    session.into()
}

/// xAI's: the GA interface's names, but voice and turn detection at the top.
fn xai(settings: &SessionSettings, tools: &[Tool], format: ModelFormat, turns: Turns) -> Value {
    let format = audio_format(format);
    let mut session = object([
        ("voice", settings.voice.as_str().into()),
        ("turn_detection", turn_detection(settings, turns)),
        ("audio", json!({ "input": { "format": format }, "output": { "format": format } })),
    ]);
    session.extend(common(settings, tools, function));
    session.into()
}

/// The former beta's flat session, and Qwen's, which has fewer fields.
fn flat(settings: &SessionSettings, tools: &[Tool], format: ModelFormat, turns: Turns) -> Value {
    let is_qwen = settings.dialect == Dialect::Qwen;
    let format = Value::from(if is_qwen { "pcm" } else { format.beta_name() });
    let mut session = object([
        ("modalities", json!(["text", "audio"])),
        ("voice", settings.voice.as_str().into()),
        ("input_audio_format", format.clone()),
        ("output_audio_format", format),
        ("turn_detection", turn_detection(settings, turns)),
        ("input_audio_transcription", settings.transcription.as_ref().map_or(Value::Null, transcription)),
    ]);
    if is_qwen {
        // Its functions stand in an object of their own, as in the chat interface.
        session.extend(common(settings, tools, |f| {
            json!({ "type": "function", "function": {
                "name": f.name, "description": f.description, "parameters": f.parameters,
            }})
        }));
    } else {
        session.extend(object([
            ("input_audio_noise_reduction", noise_reduction(settings)),
            ("speed", settings.speed.map_or(Value::Null, Value::from)),
            ("max_response_output_tokens", settings.max_output_tokens.map_or(Value::Null, max_output_tokens)),
            ("tracing", settings.tracing.as_ref().map_or(Value::Null, tracing)),
        ]));
        session.extend(common(settings, tools, function));
    }
    session.into()
}

/// What is written alike everywhere, but for the shape of a function.
fn common(
    settings: &SessionSettings,
    tools: &[Tool],
    function: impl Fn(&Function) -> Value,
) -> Map<String, Value> {
    let mut fields =
        object([("instructions", settings.instructions.as_deref().map_or(Value::Null, Value::from))]);
    if !tools.is_empty() {
        let written = tools.iter().map(|tool| match tool {
            Tool::Function(f) => function(f),
            Tool::Mcp(server) => mcp(server),
        });
        fields.insert("tools".to_owned(), written.collect());
        fields.insert("tool_choice".to_owned(), tool_choice(&settings.tool_choice));
    }
    fields
}

fn audio_format(format: ModelFormat) -> Value {
    match format {
        // PCM says its rate; G.711 has none, and naming one is refused.
        ModelFormat::Pcm24 | ModelFormat::Pcm16 => {
            json!({ "type": format.media_type(), "rate": format.sample_rate() })
        }
        ModelFormat::Pcmu | ModelFormat::Pcma => json!({ "type": format.media_type() }),
    }
}

fn turn_detection(settings: &SessionSettings, turns: Turns) -> Value {
    let Turns { create_response, interrupt_response } = turns;
    match &settings.turn_detection {
        TurnDetection::Server(vad) => {
            let mut detection = json!({
                "type": "server_vad",
                "threshold": vad.threshold,
                "prefix_padding_ms": vad.prefix_padding_ms,
                "silence_duration_ms": vad.silence_duration_ms,
                "create_response": create_response,
                "interrupt_response": interrupt_response,
            });
            // Younger than the beta: who has not asked for it does not have to have it.
            let is_known = matches!(settings.dialect, Dialect::OpenAi | Dialect::Azure);
            if let Some(fields) =
                detection.as_object_mut().filter(|_| is_known || vad.idle_timeout_ms.is_some())
            {
                fields.insert("idle_timeout_ms".to_owned(), vad.idle_timeout_ms.into());
            }
            detection
        }
        TurnDetection::Semantic { eagerness } => json!({
            "type": "semantic_vad",
            "eagerness": eagerness.name(),
            "create_response": create_response,
            "interrupt_response": interrupt_response,
        }),
    }
}

fn noise_reduction(settings: &SessionSettings) -> Value {
    settings.noise_reduction.map_or(Value::Null, |kind| json!({ "type": kind.name() }))
}

fn transcription(transcription: &Transcription) -> Value {
    let Transcription { model, language, prompt } = transcription;
    let text = |text: &Option<String>| text.as_deref().map_or(Value::Null, Value::from);
    object([("model", model.as_str().into()), ("language", text(language)), ("prompt", text(prompt))]).into()
}

fn function(function: &Function) -> Value {
    let Function { name, description, parameters } = function;
    json!({ "type": "function", "name": name, "description": description, "parameters": parameters })
}

fn mcp(server: &McpServer) -> Value {
    object([
        ("type", "mcp".into()),
        ("server_label", server.label.as_str().into()),
        ("server_url", server.url.as_str().into()),
        ("server_description", server.description.as_deref().map_or(Value::Null, Value::from)),
        ("allowed_tools", server.allowed_tools.as_ref().map_or(Value::Null, |tools| json!(tools))),
        (
            "require_approval",
            match server.approval {
                Approval::Never => "never".into(),
                Approval::Always => "always".into(),
            },
        ),
    ])
    .into()
}

fn tool_choice(choice: &ToolChoice) -> Value {
    match choice {
        ToolChoice::Auto => "auto".into(),
        ToolChoice::None => "none".into(),
        ToolChoice::Required => "required".into(),
        ToolChoice::Function(name) => json!({ "type": "function", "name": name }),
    }
}

fn max_output_tokens(tokens: MaxOutputTokens) -> Value {
    match tokens {
        MaxOutputTokens::Tokens(tokens) => tokens.into(),
        MaxOutputTokens::Unlimited => "inf".into(),
    }
}

fn truncation(truncation: Truncation) -> Value {
    match truncation {
        Truncation::Auto => "auto".into(),
        Truncation::Disabled => "disabled".into(),
        Truncation::Retention { ratio, post_instructions_tokens } => {
            let limits = post_instructions_tokens.map_or(Value::Null, |n| json!({ "post_instructions": n }));
            let kind = "retention_ratio";
            object([("type", kind.into()), ("retention_ratio", ratio.into()), ("token_limits", limits)])
                .into()
        }
    }
}

fn tracing(tracing: &Tracing) -> Value {
    match tracing {
        Tracing::Auto => "auto".into(),
        Tracing::Named { workflow, group } => object([
            ("workflow_name", workflow.as_str().into()),
            ("group_id", group.as_deref().map_or(Value::Null, Value::from)),
        ])
        .into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Eagerness, NoiseReduction, ReasoningEffort};

    const TURNS: Turns = Turns { create_response: true, interrupt_response: false };

    fn written(settings: &SessionSettings, tools: &[Tool], format: ModelFormat) -> Value {
        let mut out = Vec::new();
        write_session(settings, tools, format, TURNS, &mut out);
        serde_json::from_slice(&out).unwrap()
    }

    fn with(dialect: Dialect) -> SessionSettings {
        SessionSettings { dialect, ..SessionSettings::default() }
    }

    /// Everything that can be decided, decided.
    fn everything(dialect: Dialect) -> SessionSettings {
        SessionSettings {
            speed: Some(1.25),
            instructions: Some("Say \"hello\".\n".to_owned()),
            noise_reduction: Some(NoiseReduction::FarField),
            transcription: Some(Transcription {
                model: "gpt-realtime-whisper".into(),
                language: Some("de".into()),
                prompt: None,
            }),
            tool_choice: ToolChoice::Required,
            parallel_tool_calls: Some(true),
            max_output_tokens: Some(MaxOutputTokens::Tokens(900)),
            truncation: Some(Truncation::Retention { ratio: 0.8, post_instructions_tokens: Some(8000) }),
            reasoning_effort: Some(ReasoningEffort::ExtraHigh),
            tracing: Some(Tracing::Named { workflow: "line".into(), group: None }),
            ..with(dialect)
        }
    }

    fn tools() -> [Tool; 2] {
        [
            Tool::Function(Function {
                name: "opening_hours".into(),
                description: "When the shop is open".into(),
                parameters: json!({ "type": "object", "properties": {} }),
            }),
            Tool::Mcp(McpServer {
                label: "stock".into(),
                url: "https://stock.example/mcp".into(),
                description: None,
                allowed_tools: Some(vec!["count".into()]),
                approval: Approval::Always,
            }),
        ]
    }

    #[test]
    fn every_voice_detection_field_is_written_out_in_every_dialect() {
        for dialect in Dialect::ALL {
            let session = written(&with(dialect), &[], ModelFormat::Pcm24);
            let at = if matches!(dialect, Dialect::OpenAi | Dialect::Azure) { "/audio/input" } else { "" };
            let detection = session.pointer(&format!("{at}/turn_detection")).expect("it is there");
            let mut all = json!({
                "type": "server_vad", "threshold": 0.35, "prefix_padding_ms": 300, "silence_duration_ms": 500,
                "create_response": true, "interrupt_response": false,
            });
            if !at.is_empty() {
                all["idle_timeout_ms"] = Value::Null;
            }
            assert_eq!(detection, &all);
            let eagerness = Eagerness::High;
            let semantic =
                SessionSettings { turn_detection: TurnDetection::Semantic { eagerness }, ..with(dialect) };
            let session = written(&semantic, &[], ModelFormat::Pcm24);
            assert_eq!(
                session.pointer(&format!("{at}/turn_detection")),
                Some(&json!({
                    "type": "semantic_vad", "eagerness": "high", "create_response": true, "interrupt_response": false,
                }))
            );
        }
    }

    #[test]
    fn what_was_not_decided_is_left_to_the_server() {
        let session = written(&with(Dialect::OpenAi), &[], ModelFormat::Pcm24);
        let names: Vec<_> = session.as_object().unwrap().keys().collect();
        assert_eq!(names, ["audio", "output_modalities", "type"]);
        let session = written(&with(Dialect::Beta), &[], ModelFormat::Pcm24);
        let names: Vec<_> = session.as_object().unwrap().keys().collect();
        assert_eq!(
            names,
            ["input_audio_format", "modalities", "output_audio_format", "turn_detection", "voice"]
        );
    }

    #[test]
    fn all_that_was_decided_stands_where_the_ga_interface_has_it() {
        let session = written(&everything(Dialect::OpenAi), &tools(), ModelFormat::Pcmu);
        for (at, value) in [
            ("/audio/input/format", json!({ "type": "audio/pcmu" })),
            ("/audio/input/noise_reduction", json!({ "type": "far_field" })),
            ("/audio/input/transcription", json!({ "model": "gpt-realtime-whisper", "language": "de" })),
            (
                "/audio/output",
                json!({ "format": { "type": "audio/pcmu" }, "voice": "shimmer", "speed": 1.25 }),
            ),
            ("/instructions", json!("Say \"hello\".\n")),
            ("/tool_choice", json!("required")),
            ("/tools/0/name", json!("opening_hours")),
            (
                "/tools/1",
                json!({
                    "type": "mcp", "server_label": "stock", "server_url": "https://stock.example/mcp",
                    "allowed_tools": ["count"], "require_approval": "always",
                }),
            ),
            ("/parallel_tool_calls", json!(true)),
            ("/max_output_tokens", json!(900)),
            (
                "/truncation",
                json!({
                    "type": "retention_ratio", "retention_ratio": 0.8, "token_limits": { "post_instructions": 8000 },
                }),
            ),
            ("/reasoning", json!({ "effort": "xhigh" })),
            ("/tracing", json!({ "workflow_name": "line" })),
        ] {
            assert_eq!(session.pointer(at), Some(&value), "{at}");
        }
        let pcm = written(&with(Dialect::OpenAi), &[], ModelFormat::Pcm24);
        assert_eq!(pcm["audio"]["output"]["format"], json!({ "type": "audio/pcm", "rate": 24000 }));
    }

    #[test]
    fn the_flat_sessions_have_their_own_names() {
        let beta = written(&everything(Dialect::Beta), &tools(), ModelFormat::Pcma);
        assert_eq!(beta["input_audio_format"], "g711_alaw");
        assert_eq!(beta["max_response_output_tokens"], 900);
        assert_eq!(beta["input_audio_noise_reduction"], json!({ "type": "far_field" }));
        assert!(beta.get("audio").is_none() && beta.get("reasoning").is_none());
        let qwen = written(&everything(Dialect::Qwen), &tools(), ModelFormat::Pcm24);
        assert_eq!(
            (&qwen["input_audio_format"], &qwen["output_audio_format"]),
            (&"pcm".into(), &"pcm".into())
        );
        assert_eq!(qwen["tools"][0]["function"]["name"], "opening_hours");
        assert!(qwen.get("speed").is_none());
    }

    #[test]
    fn xais_voice_stands_at_the_top() {
        let xai = written(&everything(Dialect::Xai), &tools(), ModelFormat::Pcm24);
        assert_eq!(
            (&xai["voice"], &xai["audio"]["output"]["format"]["rate"]),
            (&"shimmer".into(), &24000.into())
        );
        assert!(xai.get("type").is_none() && xai["audio"]["output"].get("voice").is_none());
    }
}
