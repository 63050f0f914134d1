//! The session object, and what the server takes into it. What is unknown is refused, and the whole update is
//! lost, as with the real one.

use super::G711;
use super::listener::Vad;
use crate::format::Encoding;
use serde_json::{Map, Value, json};

/// Why the server does not take something: the body of an `error` event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Refusal {
    pub(super) code: &'static str,
    pub(super) message: String,
    pub(super) param: Option<String>,
}

impl Refusal {
    pub(super) fn new(code: &'static str, message: impl Into<String>, param: Option<&str>) -> Self {
        Self { code, message: message.into(), param: param.map(str::to_owned) }
    }

    pub(super) fn unknown(param: &str) -> Self {
        Self::new("unknown_parameter", format!("Unknown parameter: '{param}'."), Some(param))
    }

    pub(super) fn missing(param: &str) -> Self {
        Self::new(
            "missing_required_parameter",
            format!("Missing required parameter: '{param}'."),
            Some(param),
        )
    }

    fn wrong_type(param: &str, expected: &str, got: &Value) -> Self {
        let got = match got {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Array(_) => "an array",
            Value::Object(_) => "an object",
        };
        let text = format!("Invalid type for '{param}': expected {expected}, but got {got} instead.");
        Self::new("invalid_type", text, Some(param))
    }

    pub(super) fn value(param: &str, got: &str, supported: &str) -> Self {
        let text = format!("Invalid value: '{got}'. Supported values are: {supported}.");
        Self::new("invalid_value", text, Some(param))
    }
}

/// What a field may hold. `null` is taken wherever a field is not required, and changes or clears.
pub(super) enum Shape {
    Any,
    Text,
    Flag,
    Integer,
    Number,
    OneOf(&'static [&'static str]),
    List(&'static Shape),
    Object(&'static [Field]),
}

/// A field: its name, and what it may hold. One whose name ends in `!` is required.
pub(super) type Field = (&'static str, Shape);

use Shape::{Any, Flag, Integer, List, Number, Object, OneOf, Text};

const FORMAT: Shape =
    Object(&[("type!", OneOf(&["audio/pcm", "audio/pcmu", "audio/pcma"])), ("rate", Integer)]);

const TURN_DETECTION: Shape = Object(&[
    ("type!", OneOf(&["server_vad", "semantic_vad"])),
    ("threshold", Number),
    ("prefix_padding_ms", Integer),
    ("silence_duration_ms", Integer),
    ("idle_timeout_ms", Integer),
    ("eagerness", OneOf(&["low", "medium", "high", "auto"])),
    ("create_response", Flag),
    ("interrupt_response", Flag),
]);

const INPUT: Shape = Object(&[
    ("format", FORMAT),
    ("noise_reduction", Object(&[("type", OneOf(&["near_field", "far_field"])), ("strength", Number)])),
    (
        "transcription",
        Object(&[
            ("model", Text),
            ("language", Text),
            ("prompt", Text),
            ("delay", Text),
            ("keywords", List(&Text)),
            ("languages", List(&Text)),
        ]),
    ),
    ("turn_detection", TURN_DETECTION),
]);

const OUTPUT: Shape = Object(&[("format", FORMAT), ("voice", Any), ("speed", Number)]);

/// `session` of `session.update`.
const SESSION: Shape = Object(&[
    ("type!", OneOf(&["realtime"])),
    ("model", Text),
    ("instructions", Text),
    ("output_modalities", List(&OneOf(&["audio", "text"]))),
    ("max_output_tokens", Any),
    ("audio", Object(&[("input", INPUT), ("output", OUTPUT)])),
    ("tools", List(&Object(TOOL))),
    ("tool_choice", Any),
    ("parallel_tool_calls", Flag),
    ("reasoning", Object(&[("effort", OneOf(&["minimal", "low", "medium", "high", "xhigh"]))])),
    ("truncation", Any),
    ("tracing", Any),
    ("include", List(&OneOf(&["item.input_audio_transcription.logprobs"]))),
    ("prompt", Any),
]);

/// A tool. MCP servers are not reached from here, but a session may name them.
const TOOL: &[Field] = &[
    ("type!", OneOf(&["function", "mcp"])),
    ("name", Text),
    ("description", Text),
    ("parameters", Any),
    ("server_label", Text),
    ("server_url", Text),
    ("server_description", Text),
    ("authorization", Text),
    ("headers", Any),
    ("allowed_tools", Any),
    ("require_approval", Any),
    ("connector_id", Text),
    ("tunnel_id", Text),
    ("defer_loading", Flag),
];

/// `response` of `response.create`.
pub(super) const RESPONSE: Shape = Object(&[
    ("instructions", Text),
    ("output_modalities", List(&OneOf(&["audio", "text"]))),
    ("conversation", OneOf(&["auto", "none"])),
    ("metadata", Any),
    ("input", List(&Any)),
    ("audio", Object(&[("output", Object(&[("format", FORMAT), ("voice", Any)]))])),
    ("max_output_tokens", Any),
    ("tools", List(&Object(TOOL))),
    ("tool_choice", Any),
    ("parallel_tool_calls", Flag),
    ("prompt", Any),
    ("reasoning", Any),
]);

/// Whether `value` has this shape. `path` is its name, for the refusal.
pub(super) fn check(shape: &Shape, value: &Value, path: &str) -> Result<(), Refusal> {
    let wrong = |expected: &str| Err(Refusal::wrong_type(path, expected, value));
    match (shape, value) {
        (Any, _) => Ok(()),
        (Text, Value::String(_)) | (Flag, Value::Bool(_)) | (Number, Value::Number(_)) => Ok(()),
        (Integer, Value::Number(number)) if number.is_u64() || number.is_i64() => Ok(()),
        (OneOf(values), Value::String(text)) => {
            if values.contains(&text.as_str()) {
                return Ok(());
            }
            let supported: Vec<String> = values.iter().map(|value| format!("'{value}'")).collect();
            Err(Refusal::value(path, text, &supported.join(", ")))
        }
        (List(item), Value::Array(values)) => {
            values.iter().enumerate().try_for_each(|(n, value)| check(item, value, &format!("{path}[{n}]")))
        }
        (Object(fields), Value::Object(given)) => check_fields(fields, given, path),
        (Text | OneOf(_), _) => wrong("a string"),
        (Flag, _) => wrong("a boolean"),
        (Integer, _) => wrong("an integer"),
        (Number, _) => wrong("a number"),
        (List(_), _) => wrong("an array"),
        (Object(_), _) => wrong("an object"),
    }
}

/// Whether an object has these fields and no others.
pub(super) fn check_fields(fields: &[Field], given: &Map<String, Value>, path: &str) -> Result<(), Refusal> {
    let at = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    for (name, value) in given {
        let field = fields.iter().find(|(known, _)| known.trim_end_matches('!') == name);
        let Some((known, shape)) = field else { return Err(Refusal::unknown(&at(name))) };
        if !value.is_null() || known.ends_with('!') {
            check(shape, value, &at(name))?;
        }
    }
    let missing = |(name, _): &&Field| name.ends_with('!') && !given.contains_key(name.trim_end_matches('!'));
    match fields.iter().find(missing) {
        Some((name, _)) => Err(Refusal::missing(&at(name.trim_end_matches('!')))),
        None => Ok(()),
    }
}

/// The session as the server holds it.
#[derive(Debug)]
pub(super) struct Session(Value);

impl Session {
    pub(super) fn new(id: &str, model: &str, expires_at: u64) -> Self {
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
                    "format": { "type": "audio/pcm", "rate": 24000 },
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

    /// Takes an update, or refuses all of it.
    pub(super) fn update(&mut self, update: &Value, has_spoken: bool) -> Result<(), Refusal> {
        check(&SESSION, update, "session")?;
        check_formats(update)?;
        if update.get("output_modalities").and_then(Value::as_array).is_some_and(|list| list.len() != 1) {
            let param = "session.output_modalities";
            return Err(Refusal::value(param, "both", "['audio'] and ['text']"));
        }
        if update.get("model").is_some_and(|model| !model.is_null() && model != self.at("/model")) {
            return Err(Refusal::new("invalid_value", "The model cannot be changed.", Some("session.model")));
        }
        let voice = update.pointer("/audio/output/voice").filter(|voice| !voice.is_null());
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

    /// How audio comes in; `None` means PCM.
    pub(super) fn input_encoding(&self) -> Option<Encoding> {
        encoding(self.at("/audio/input/format/type"))
    }

    /// How audio goes out; `None` means PCM.
    pub(super) fn output_encoding(&self) -> Option<Encoding> {
        encoding(self.at("/audio/output/format/type"))
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

/// PCM says its rate, which is 24000; G.711 has none.
fn check_formats(update: &Value) -> Result<(), Refusal> {
    for side in ["input", "output"] {
        let Some(format) = update.pointer(&format!("/audio/{side}/format")).and_then(Value::as_object) else {
            continue;
        };
        let param = format!("session.audio.{side}.format.rate");
        let is_pcm = format.get("type").is_some_and(|kind| kind == "audio/pcm");
        match format.get("rate") {
            None if is_pcm => return Err(Refusal::missing(&param)),
            Some(_) if !is_pcm => return Err(Refusal::unknown(&param)),
            Some(rate) if *rate != 24_000 => return Err(Refusal::value(&param, &rate.to_string(), "24000")),
            _ => {}
        }
    }
    Ok(())
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
/// clears what can be cleared and is otherwise as good as absent.
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
            "/audio/input/turn_detection"
            | "/audio/input/noise_reduction"
            | "/audio/input/transcription"
            | "/tracing"
            | "/prompt"
            | "/include" => {
                into.insert(name.clone(), value.clone());
            }
            _ if value.is_null() => {}
            _ => {
                into.insert(name.clone(), value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(update: Value) -> (&'static str, String) {
        let mut session = Session::new("s", "gpt-realtime-2.1-mini", 0);
        let before = session.json().clone();
        let refusal = session.update(&update, true).unwrap_err();
        assert_eq!(session.json(), &before, "nothing of a refused update is taken");
        (refusal.code, refusal.param.unwrap())
    }

    #[test]
    fn a_whole_update_is_taken_and_shown() {
        let mut session = Session::new("s", "gpt-realtime-2.1-mini", 0);
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
    fn what_is_not_known_is_refused() {
        for (update, code, param) in [
            (json!({}), "missing_required_parameter", "session.type"),
            (json!({ "type": "realtime", "voice": "x" }), "unknown_parameter", "session.voice"),
            (
                json!({ "type": "realtime", "audio": { "input": { "format": "pcm16" } } }),
                "invalid_type",
                "session.audio.input.format",
            ),
            (
                json!({ "type": "realtime", "audio": { "output": { "format": { "type": "audio/pcm" } } } }),
                "missing_required_parameter",
                "session.audio.output.format.rate",
            ),
            (
                json!({ "type": "realtime", "audio": { "output": { "format": { "type": "audio/pcm", "rate": 8000 } } } }),
                "invalid_value",
                "session.audio.output.format.rate",
            ),
            (
                json!({ "type": "realtime", "audio": { "input": { "turn_detection": { "type": "server_vad", "x": 1 } } } }),
                "unknown_parameter",
                "session.audio.input.turn_detection.x",
            ),
            (json!({ "type": "realtime", "model": "other" }), "invalid_value", "session.model"),
            (
                json!({ "type": "realtime", "output_modalities": ["audio", "text"] }),
                "invalid_value",
                "session.output_modalities",
            ),
            (
                json!({ "type": "realtime", "audio": { "output": { "voice": "ash" } } }),
                "cannot_update_voice",
                "session.audio.output.voice",
            ),
        ] {
            assert_eq!(refusal(update), (code, param.to_owned()));
        }
    }
}
