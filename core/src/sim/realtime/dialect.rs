//! What stands between the machine, which thinks in the GA interface, and a client that speaks a dialect: in go
//! sessions and items, out go events.

use crate::settings::Dialect;
use serde_json::{Map, Value, json};

/// Where a dialect has a field of the session, and where the GA interface has it.
type Moved = (&'static str, &'static [&'static str]);

const XAI: &[Moved] =
    &[("voice", &["audio", "output", "voice"]), ("turn_detection", &["audio", "input", "turn_detection"])];

const FLAT: &[Moved] = &[
    ("voice", &["audio", "output", "voice"]),
    ("speed", &["audio", "output", "speed"]),
    ("turn_detection", &["audio", "input", "turn_detection"]),
    ("input_audio_format", &["audio", "input", "format"]),
    ("output_audio_format", &["audio", "output", "format"]),
    ("input_audio_noise_reduction", &["audio", "input", "noise_reduction"]),
    ("input_audio_transcription", &["audio", "input", "transcription"]),
    ("max_response_output_tokens", &["max_output_tokens"]),
    ("modalities", &["output_modalities"]),
];

/// What the former beta did not have, or had not at the top.
const NOT_FLAT: [&str; 7] =
    ["type", "audio", "truncation", "prompt", "include", "reasoning", "parallel_tool_calls"];

const fn moved(dialect: Dialect) -> &'static [Moved] {
    match dialect {
        Dialect::OpenAi | Dialect::Azure => &[],
        Dialect::Xai => XAI,
        Dialect::Beta | Dialect::Qwen => FLAT,
    }
}

const fn is_flat(dialect: Dialect) -> bool {
    matches!(dialect, Dialect::Beta | Dialect::Qwen)
}

/// At what rate a server hears PCM before it is asked.
pub(super) const fn pcm_rate(dialect: Dialect) -> u32 {
    match dialect {
        Dialect::Qwen => 16_000,
        Dialect::OpenAi | Dialect::Azure | Dialect::Xai | Dialect::Beta => crate::format::MODEL_RATE,
    }
}

/// An update of the session, as the GA interface would have it.
pub(super) fn session_in(dialect: Dialect, session: &Value) -> Value {
    let (Value::Object(given), false) = (session, moved(dialect).is_empty()) else { return session.clone() };
    let mut session = Map::new();
    session.insert("type".into(), "realtime".into());
    for (name, value) in given {
        match moved(dialect).iter().find(|(from, _)| from == name) {
            Some((_, to)) => put(&mut session, to, value_in(dialect, name, value)),
            None => put(&mut session, &[name], value_in(dialect, name, value)),
        }
    }
    session.into()
}

fn value_in(dialect: Dialect, name: &str, value: &Value) -> Value {
    let rate = |is_input| if is_input { pcm_rate(dialect) } else { crate::format::MODEL_RATE };
    match (name, value) {
        ("input_audio_format" | "output_audio_format", Value::String(format)) => match format.as_str() {
            "g711_ulaw" => json!({ "type": "audio/pcmu" }),
            "g711_alaw" => json!({ "type": "audio/pcma" }),
            _ => json!({ "type": "audio/pcm", "rate": rate(name == "input_audio_format") }),
        },
        ("modalities", Value::Array(list)) if list.iter().any(|kind| kind == "audio") => json!(["audio"]),
        ("tools", Value::Array(tools)) => tools.iter().map(tool_in).collect(),
        _ => value.clone(),
    }
}

/// Qwen's functions stand in an object of their own.
fn tool_in(tool: &Value) -> Value {
    let Some(Value::Object(function)) = tool.get("function") else { return tool.clone() };
    let mut tool = function.clone();
    tool.insert("type".into(), "function".into());
    tool.into()
}

/// An item, as the GA interface would have it.
pub(super) fn item_in(dialect: Dialect, item: &Value) -> Value {
    let mut item = item.clone();
    if is_flat(dialect) {
        rename_parts(&mut item, &[("text", "output_text"), ("audio", "output_audio")]);
    }
    item
}

/// An event, as the dialect has it; `None` if it has no such event.
pub(super) fn event_out(dialect: Dialect, mut event: Map<String, Value>) -> Option<Map<String, Value>> {
    let kind = event.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
    match (dialect, kind.as_str()) {
        (Dialect::OpenAi | Dialect::Azure, _) => return Some(event),
        (Dialect::Xai, "session.created") | (Dialect::Beta | Dialect::Qwen, "conversation.item.done") => {
            return None;
        }
        (_, "error") => {
            if let Some(param) = event.get_mut("error").and_then(|error| error.get_mut("param")) {
                *param = param_out(dialect, param);
            }
        }
        _ => {}
    }
    if let Some(Value::Object(session)) = event.get_mut("session") {
        session_out(dialect, session);
    }
    if dialect == Dialect::Xai {
        if let Some(Value::Object(response)) = event.get_mut("response") {
            response.remove("metadata");
        }
        return Some(event);
    }
    const PARTS: &[(&str, &str)] = &[("output_text", "text"), ("output_audio", "audio")];
    if let Some(item) = event.get_mut("item") {
        rename_parts(item, PARTS);
    }
    if let Some(Value::Object(response)) = event.get_mut("response") {
        let items = response.get_mut("output").and_then(Value::as_array_mut);
        items.into_iter().flatten().for_each(|item| rename_parts(item, PARTS));
        response_out(dialect, response);
    }
    let renamed = match kind.as_str() {
        "conversation.item.added" => "conversation.item.created".to_owned(),
        kind => kind.replacen("response.output_audio", "response.audio", 1),
    };
    event.insert("type".into(), renamed.into());
    Some(event)
}

fn session_out(dialect: Dialect, session: &mut Map<String, Value>) {
    for (name, path) in moved(dialect) {
        if let Some(value) = take(session, path) {
            session.insert((*name).to_owned(), value_out(dialect, name, value));
        }
    }
    if is_flat(dialect) {
        session.retain(|name, _| !NOT_FLAT.contains(&name.as_str()));
    }
}

fn response_out(dialect: Dialect, response: &mut Map<String, Value>) {
    const MOVED: [&str; 3] = ["voice", "output_audio_format", "modalities"];
    for (name, path) in FLAT.iter().filter(|(name, _)| MOVED.contains(name)) {
        if let Some(value) = take(response, path) {
            response.insert((*name).to_owned(), value_out(dialect, name, value));
        }
    }
    response.remove("audio");
}

fn value_out(dialect: Dialect, name: &str, value: Value) -> Value {
    let format = || value.get("type").and_then(Value::as_str).unwrap_or_default();
    match name {
        "input_audio_format" | "output_audio_format" => match format() {
            "audio/pcmu" => "g711_ulaw".into(),
            "audio/pcma" => "g711_alaw".into(),
            _ if dialect == Dialect::Qwen => "pcm".into(),
            _ => "pcm16".into(),
        },
        "modalities" if value == json!(["audio"]) => json!(["text", "audio"]),
        _ => value,
    }
}

/// The name of a field, as the dialect has it.
fn param_out(dialect: Dialect, param: &Value) -> Value {
    let Some(text) = param.as_str() else { return param.clone() };
    let renamed = moved(dialect).iter().find_map(|(name, path)| {
        let rest = text.strip_prefix("session.")?.strip_prefix(&path.join("."))?;
        // What is below a format has no name where the format is a word.
        let rest = if name.ends_with("_format") { "" } else { rest };
        Some(format!("session.{name}{rest}"))
    });
    renamed.map_or_else(|| param.clone(), Value::from)
}

fn rename_parts(item: &mut Value, names: &[(&str, &str)]) {
    let parts = item.get_mut("content").and_then(Value::as_array_mut);
    for kind in parts.into_iter().flatten().filter_map(|part| part.get_mut("type")) {
        if let Some((_, to)) = names.iter().find(|(from, _)| kind == from) {
            *kind = (*to).into();
        }
    }
}

fn put(into: &mut Map<String, Value>, path: &[&str], value: Value) {
    match path {
        [] => {}
        [name] => {
            into.insert((*name).to_owned(), value);
        }
        [name, rest @ ..] => {
            if let Value::Object(into) = into.entry(*name).or_insert_with(|| json!({})) {
                put(into, rest, value);
            }
        }
    }
}

fn take(from: &mut Map<String, Value>, path: &[&str]) -> Option<Value> {
    match path {
        [] => None,
        [name] => from.remove(*name),
        [name, rest @ ..] => take(from.get_mut(*name)?.as_object_mut()?, rest),
    }
}
