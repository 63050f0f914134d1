//! What a client may send, event by event, down to the last field.
//!
//! One table serves two: the stand-in refuses by it, and a test can hold what the bridge writes against it. It is
//! as strict as a reference can be read: what it does not name is refused, and `null` only stands where it
//! means something. Where the fields of a union are one another's in the reference, each has its own here.

use super::shape::{Field, Refusal, Shape, check_fields, echo, listed};
use crate::settings::Dialect;
use serde_json::{Map, Value};

mod dialects;
mod items;
#[cfg(test)]
mod tests;

use dialects::{
    BETA_ITEM, BETA_RESPONSE, BETA_SESSION, QWEN_RESPONSE, QWEN_SESSION, XAI_RESPONSE, XAI_SESSION,
};
use items::{INPUT_ITEM, ITEM};

use Shape::{
    Any, Either, Flag, Integer, List, Map as MapOf, Metadata, Nullable, Number, Object, OneOf, Single,
    Tagged, Text,
};

/// Whether a server that speaks this dialect can take the event as it stands, and if not, why.
///
/// It looks at one event alone: whether an item exists or a response is active is another question.
///
/// # Errors
///
/// What is wrong, and where.
pub fn check_client_event(dialect: Dialect, event: &Value) -> Result<(), String> {
    let Value::Object(event) = event else { return Err("The event is not an object.".to_owned()) };
    match check_event(dialect, event) {
        Ok(_) => Ok(()),
        Err(Refusal { code, message, param }) => {
            Err(format!("{message} ({code} at {})", param.as_deref().unwrap_or("-")))
        }
    }
}

/// The same of a message as it is sent.
///
/// # Errors
///
/// What is wrong, and where.
pub fn check_client_message(dialect: Dialect, message: &[u8]) -> Result<(), String> {
    let event = serde_json::from_slice(message).map_err(|error| error.to_string())?;
    check_client_event(dialect, &event)
}

/// The type of an event that has the shape it must have.
pub(super) fn check_event(dialect: Dialect, event: &Map<String, Value>) -> Result<&str, Refusal> {
    let Some(kind) = event.get("type").and_then(Value::as_str) else { return Err(Refusal::missing("type")) };
    let Some(fields) = fields(dialect, kind) else {
        let known = KINDS.iter().filter(|kind| fields(dialect, kind).is_some());
        return Err(Refusal::value("type", &echo(kind), &listed(known)));
    };
    check_fields(fields, event, "")?;
    Ok(kind)
}

/// All that a client can send over a WebSocket. `output_audio_buffer.clear` is for WebRTC and SIP.
const KINDS: [&str; 10] = [
    "session.update",
    "input_audio_buffer.append",
    "input_audio_buffer.commit",
    "input_audio_buffer.clear",
    "response.create",
    "response.cancel",
    "conversation.item.create",
    "conversation.item.truncate",
    "conversation.item.delete",
    "conversation.item.retrieve",
];

/// The fields of an event; `None` if there is no such event.
fn fields(dialect: Dialect, kind: &str) -> Option<&'static [Field]> {
    use Dialect::{Azure, Beta, OpenAi, Qwen, Xai};
    Some(match (kind, dialect) {
        ("session.update", OpenAi | Azure) => &[TYPE, EVENT_ID, ("session!", SESSION)],
        ("session.update", Xai) => &[TYPE, EVENT_ID, ("session!", XAI_SESSION)],
        ("session.update", Beta) => &[TYPE, EVENT_ID, ("session!", BETA_SESSION)],
        ("session.update", Qwen) => &[TYPE, EVENT_ID, ("session!", QWEN_SESSION)],
        ("input_audio_buffer.append", _) => &[TYPE, EVENT_ID, ("audio!", Text)],
        ("input_audio_buffer.commit" | "input_audio_buffer.clear", _) => &[TYPE, EVENT_ID],
        ("response.create", OpenAi | Azure) => &[TYPE, EVENT_ID, ("response", RESPONSE)],
        ("response.create", Xai) => &[TYPE, EVENT_ID, ("response", XAI_RESPONSE)],
        ("response.create", Beta) => &[TYPE, EVENT_ID, ("response", BETA_RESPONSE)],
        ("response.create", Qwen) => &[TYPE, EVENT_ID, ("response", QWEN_RESPONSE)],
        ("response.cancel", _) => &[TYPE, EVENT_ID, ("response_id", Text)],
        ("conversation.item.create", OpenAi | Azure | Xai | Qwen) => {
            &[TYPE, EVENT_ID, ("item!", ITEM), ("previous_item_id", Text)]
        }
        ("conversation.item.create", Beta) => {
            &[TYPE, EVENT_ID, ("item!", BETA_ITEM), ("previous_item_id", Text)]
        }
        ("conversation.item.truncate", OpenAi | Azure | Beta) => {
            &[TYPE, EVENT_ID, ("item_id!", Text), ("content_index!", COUNT), ("audio_end_ms!", COUNT)]
        }
        ("conversation.item.delete" | "conversation.item.retrieve", _) => {
            &[TYPE, EVENT_ID, ("item_id!", Text)]
        }
        _ => return None,
    })
}

/// What tells the kinds of an object apart; the union has looked at it.
const TYPE: Field = ("type!", Text);
const EVENT_ID: Field = ("event_id", Text);
const ROLE: Field = ("role!", Text);
/// A whole number that is not negative.
const COUNT: Shape = Integer(0, i64::MAX);
const TEXTS: Shape = List(&Text);

// The session.

const SESSION: Shape = Tagged("type", &[("realtime", REALTIME), ("transcription", TRANSCRIBING)]);

const REALTIME: Shape = Object(&[
    TYPE,
    ("model", Text),
    ("instructions", Text),
    ("output_modalities", Single(&MODALITY)),
    ("max_output_tokens", MAX_OUTPUT_TOKENS),
    ("audio", Object(&[("input", INPUT), ("output", OUTPUT)])),
    ("tools", List(&TOOL)),
    ("tool_choice", TOOL_CHOICE),
    ("parallel_tool_calls", Flag),
    ("reasoning", REASONING),
    ("truncation", TRUNCATION),
    ("tracing", TRACING),
    ("include", INCLUDE),
    ("prompt", PROMPT),
]);

/// A session that only writes down.
const TRANSCRIBING: Shape = Object(&[TYPE, ("audio", Object(&[("input", INPUT)])), ("include", INCLUDE)]);

const MODALITY: Shape = OneOf(&["text", "audio"]);
const MAX_OUTPUT_TOKENS: Shape = Either(&[Integer(1, i64::MAX), OneOf(&["inf"])]);
const REASONING: Shape = Object(&[("effort", OneOf(&["minimal", "low", "medium", "high", "xhigh"]))]);
const INCLUDE: Shape = List(&OneOf(&["item.input_audio_transcription.logprobs"]));

const INPUT: Shape = Object(&[
    ("format", FORMAT),
    ("noise_reduction", NOISE_REDUCTION),
    ("transcription", TRANSCRIPTION),
    ("turn_detection", TURN_DETECTION),
]);

const OUTPUT: Shape = Object(&[("format", FORMAT), ("voice", VOICE), ("speed", SPEED)]);

/// PCM says its rate, of which there is one; G.711 has none.
const FORMAT: Shape = Tagged(
    "type",
    &[
        ("audio/pcm", Object(&[TYPE, ("rate!", Integer(24_000, 24_000))])),
        ("audio/pcmu", Object(&[TYPE])),
        ("audio/pcma", Object(&[TYPE])),
    ],
);

const VOICE: Shape = Either(&[Text, Object(&[("id!", Text)])]);
const SPEED: Shape = Number(0.25, 1.5);

const NOISE_REDUCTION: Shape = Nullable(&Object(&[
    ("type!", OneOf(&["near_field", "far_field"])),
    ("strength", Number(f64::MIN, f64::MAX)),
]));

const TRANSCRIPTION: Shape = Nullable(&Object(&[
    ("model", Text),
    ("language", Text),
    ("prompt", Text),
    ("delay", OneOf(&["minimal", "low", "medium", "high", "xhigh"])),
    ("keywords", TEXTS),
    ("languages", TEXTS),
]));

const TURN_DETECTION: Shape =
    Nullable(&Tagged("type", &[("server_vad", SERVER_VAD), ("semantic_vad", SEMANTIC_VAD)]));

const SERVER_VAD: Shape = Object(&[
    TYPE,
    ("threshold", Number(0.0, 1.0)),
    ("prefix_padding_ms", COUNT),
    ("silence_duration_ms", COUNT),
    ("idle_timeout_ms", Nullable(&Integer(5_000, 30_000))),
    ("create_response", Flag),
    ("interrupt_response", Flag),
]);

const SEMANTIC_VAD: Shape = Object(&[
    TYPE,
    ("eagerness", OneOf(&["low", "medium", "high", "auto"])),
    ("create_response", Flag),
    ("interrupt_response", Flag),
]);

const TOOL: Shape = Tagged("type", &[("function", FUNCTION), ("mcp", MCP)]);

/// The reference asks for none of these, but nobody can call what has no name.
const FUNCTION: Shape = Object(&[TYPE, ("name!", Text), ("description", Text), ("parameters", MapOf(&Any))]);

const MCP: Shape = Object(&[
    TYPE,
    ("server_label!", Text),
    ("server_url", Text),
    ("server_description", Text),
    ("authorization", Text),
    ("headers", Nullable(&MapOf(&Text))),
    ("allowed_tools", Nullable(&Either(&[TEXTS, TOOL_FILTER]))),
    ("allowed_callers", Nullable(&List(&OneOf(&["direct", "programmatic"])))),
    (
        "require_approval",
        Nullable(&Either(&[
            OneOf(&["always", "never"]),
            Object(&[("always", TOOL_FILTER), ("never", TOOL_FILTER)]),
        ])),
    ),
    (
        "connector_id",
        OneOf(&[
            "connector_dropbox",
            "connector_gmail",
            "connector_googlecalendar",
            "connector_googledrive",
            "connector_microsoftteams",
            "connector_outlookcalendar",
            "connector_outlookemail",
            "connector_sharepoint",
        ]),
    ),
    ("tunnel_id", Text),
    ("defer_loading", Flag),
]);

const TOOL_FILTER: Shape = Object(&[("read_only", Flag), ("tool_names", TEXTS)]);

const TOOL_CHOICE: Shape = Either(&[
    OneOf(&["none", "auto", "required"]),
    Tagged(
        "type",
        &[
            ("function", Object(&[TYPE, ("name!", Text)])),
            ("mcp", Object(&[TYPE, ("server_label!", Text), ("name", Nullable(&Text))])),
        ],
    ),
]);

const TRUNCATION: Shape = Either(&[
    OneOf(&["auto", "disabled"]),
    Object(&[
        ("type!", OneOf(&["retention_ratio"])),
        ("retention_ratio!", Number(0.0, 1.0)),
        ("token_limits", Object(&[("post_instructions", COUNT)])),
    ]),
]);

const TRACING: Shape = Nullable(&Either(&[
    OneOf(&["auto"]),
    Object(&[("workflow_name", Text), ("group_id", Text), ("metadata", MapOf(&Any))]),
]));

const PROMPT: Shape = Nullable(&Object(&[
    ("id!", Text),
    ("version", Nullable(&Text)),
    ("variables", Nullable(&MapOf(&Either(&[Text, PROMPT_INPUT])))),
]));

const PROMPT_INPUT: Shape = Tagged(
    "type",
    &[
        ("input_text", Object(&[TYPE, ("text!", Text), ("prompt_cache_breakpoint", CACHE_BREAKPOINT)])),
        (
            "input_image",
            Object(&[
                TYPE,
                ("detail!", OneOf(&["low", "high", "auto", "original"])),
                ("file_id", Nullable(&Text)),
                ("image_url", Nullable(&Text)),
                ("prompt_cache_breakpoint", CACHE_BREAKPOINT),
            ]),
        ),
        (
            "input_file",
            Object(&[
                TYPE,
                ("detail", OneOf(&["auto", "low", "high"])),
                ("file_data", Text),
                ("file_id", Nullable(&Text)),
                ("file_url", Text),
                ("filename", Text),
                ("prompt_cache_breakpoint", CACHE_BREAKPOINT),
            ]),
        ),
    ],
);

const CACHE_BREAKPOINT: Shape = Object(&[("mode!", OneOf(&["explicit"])), ("ttl", OneOf(&["30m", "12h"]))]);

// A response.

const RESPONSE: Shape = Object(&[
    ("instructions", Text),
    ("output_modalities", Single(&MODALITY)),
    ("conversation", OneOf(&["auto", "none"])),
    ("metadata", Nullable(&Metadata)),
    ("input", List(&INPUT_ITEM)),
    ("audio", Object(&[("output", Object(&[("format", FORMAT), ("voice", VOICE)]))])),
    ("max_output_tokens", MAX_OUTPUT_TOKENS),
    ("tools", List(&TOOL)),
    ("tool_choice", TOOL_CHOICE),
    ("parallel_tool_calls", Flag),
    ("prompt", PROMPT),
    ("reasoning", REASONING),
]);
