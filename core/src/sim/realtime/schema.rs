//! What a client may send, event by event, down to the last field.
//!
//! One table serves two: the stand-in refuses by it, and a test can hold what the bridge writes against it. It is
//! as strict as a reference can be read: what it does not name is refused, and `null` only stands where it
//! means something. Where the fields of a union are one another's in the reference, each has its own here.

use super::shape::{Field, Refusal, Shape, check_fields, echo, listed};
use crate::settings::Dialect;
use serde_json::{Map, Value};

#[cfg(test)]
mod tests;

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

// Items.

const ID: Field = ("id", Text);
const OBJECT: Field = ("object", OneOf(&["realtime.item"]));
const STATUS: Field = ("status", OneOf(&["completed", "incomplete", "in_progress"]));

const ITEM: Shape = Tagged(
    "type",
    &[
        ("message", MESSAGE),
        ("function_call", FUNCTION_CALL),
        ("function_call_output", FUNCTION_CALL_OUTPUT),
        ("mcp_list_tools", MCP_LIST_TOOLS),
        ("mcp_call", MCP_CALL),
        ("mcp_approval_request", MCP_APPROVAL_REQUEST),
        ("mcp_approval_response", MCP_APPROVAL_RESPONSE),
    ],
);

/// What a response may be given instead of the conversation: items, or the names of items.
const INPUT_ITEM: Shape = Tagged(
    "type",
    &[
        ("item_reference", Object(&[TYPE, ("id!", Text)])),
        ("message", MESSAGE),
        ("function_call", FUNCTION_CALL),
        ("function_call_output", FUNCTION_CALL_OUTPUT),
        ("mcp_list_tools", MCP_LIST_TOOLS),
        ("mcp_call", MCP_CALL),
        ("mcp_approval_request", MCP_APPROVAL_REQUEST),
        ("mcp_approval_response", MCP_APPROVAL_RESPONSE),
    ],
);

const MESSAGE: Shape = Tagged(
    "role",
    &[
        ("system", Object(&[TYPE, ROLE, ID, OBJECT, STATUS, ("content!", List(&SYSTEM_PART))])),
        ("user", Object(&[TYPE, ROLE, ID, OBJECT, STATUS, ("content!", List(&USER_PART))])),
        ("assistant", Object(&[TYPE, ROLE, ID, OBJECT, STATUS, ("content!", List(&ASSISTANT_PART))])),
    ],
);

const WRITTEN_PART: Shape = Object(&[TYPE, ("text!", Text)]);
const SPOKEN_PART: Shape = Object(&[TYPE, ("audio!", Text), ("transcript", Text)]);
const IMAGE_PART: Shape = Object(&[TYPE, ("image_url!", Text), ("detail", OneOf(&["auto", "low", "high"]))]);

const SYSTEM_PART: Shape = Tagged("type", &[("input_text", WRITTEN_PART)]);
const USER_PART: Shape = Tagged(
    "type",
    &[("input_text", WRITTEN_PART), ("input_audio", SPOKEN_PART), ("input_image", IMAGE_PART)],
);
const ASSISTANT_PART: Shape = Tagged("type", &[("output_text", WRITTEN_PART), ("output_audio", SPOKEN_PART)]);

const FUNCTION_CALL: Shape =
    Object(&[TYPE, ID, OBJECT, STATUS, ("call_id", Text), ("name!", Text), ("arguments!", Text)]);

const FUNCTION_CALL_OUTPUT: Shape =
    Object(&[TYPE, ID, OBJECT, STATUS, ("call_id!", Text), ("output!", Text)]);

const MCP_LIST_TOOLS: Shape = Object(&[
    TYPE,
    ID,
    ("server_label!", Text),
    (
        "tools!",
        List(&Object(&[
            ("name!", Text),
            ("input_schema!", MapOf(&Any)),
            ("annotations", Any),
            ("description", Nullable(&Text)),
        ])),
    ),
]);

const MCP_CALL: Shape = Object(&[
    TYPE,
    ("id!", Text),
    ("server_label!", Text),
    ("name!", Text),
    ("arguments!", Text),
    ("approval_request_id", Nullable(&Text)),
    ("output", Nullable(&Text)),
    (
        "error",
        Nullable(&Tagged(
            "type",
            &[
                ("protocol_error", CODED_ERROR),
                ("http_error", CODED_ERROR),
                ("tool_execution_error", Object(&[TYPE, ("message!", Text)])),
            ],
        )),
    ),
]);

const CODED_ERROR: Shape = Object(&[TYPE, ("code!", Integer(i64::MIN, i64::MAX)), ("message!", Text)]);

const MCP_APPROVAL_REQUEST: Shape =
    Object(&[TYPE, ("id!", Text), ("server_label!", Text), ("name!", Text), ("arguments!", Text)]);

const MCP_APPROVAL_RESPONSE: Shape = Object(&[
    TYPE,
    ("id!", Text),
    ("approval_request_id!", Text),
    ("approve!", Flag),
    ("reason", Nullable(&Text)),
]);

// The other dialects.

/// xAI's: what it does not mention is not here, but for servers of tools, which it has under the same names.
const XAI_SESSION: Shape = Object(&[
    ("instructions", Text),
    ("voice", VOICE),
    ("turn_detection", TURN_DETECTION),
    (
        "audio",
        Object(&[
            ("input", Object(&[("format", XAI_FORMAT)])),
            ("output", Object(&[("format", XAI_FORMAT)])),
        ]),
    ),
    ("tools", List(&TOOL)),
    ("tool_choice", TOOL_CHOICE),
]);

const XAI_FORMAT: Shape = Tagged(
    "type",
    &[
        ("audio/pcm", Object(&[TYPE, ("rate", Integer(8_000, 48_000))])),
        ("audio/pcmu", Object(&[TYPE])),
        ("audio/pcma", Object(&[TYPE])),
    ],
);

const XAI_RESPONSE: Shape = Object(&[("instructions", Text), ("metadata", Nullable(&Metadata))]);

/// The former beta's. Servers that still speak it have taken over `idle_timeout_ms` and servers of tools from the
/// GA interface, as far as they have them at all.
const BETA_SESSION: Shape = Object(&[
    ("model", Text),
    ("modalities", List(&MODALITY)),
    ("instructions", Text),
    ("voice", Text),
    ("speed", SPEED),
    ("temperature", Number(0.0, 2.0)),
    ("input_audio_format", BETA_FORMAT),
    ("output_audio_format", BETA_FORMAT),
    ("input_audio_noise_reduction", Nullable(&Object(&[("type!", OneOf(&["near_field", "far_field"]))]))),
    ("input_audio_transcription", FLAT_TRANSCRIPTION),
    ("turn_detection", TURN_DETECTION),
    ("tools", List(&TOOL)),
    ("tool_choice", TOOL_CHOICE),
    ("max_response_output_tokens", MAX_OUTPUT_TOKENS),
    ("tracing", TRACING),
]);

const BETA_FORMAT: Shape = OneOf(&["pcm16", "g711_ulaw", "g711_alaw"]);
const FLAT_TRANSCRIPTION: Shape = Nullable(&Object(&[("model", Text), ("language", Text), ("prompt", Text)]));

const BETA_RESPONSE: Shape = Object(&[
    ("modalities", List(&MODALITY)),
    ("instructions", Text),
    ("voice", Text),
    ("output_audio_format", BETA_FORMAT),
    ("conversation", OneOf(&["auto", "none"])),
    ("metadata", Nullable(&Metadata)),
    ("tools", List(&TOOL)),
    ("tool_choice", TOOL_CHOICE),
    ("temperature", Number(0.0, 2.0)),
    ("max_response_output_tokens", MAX_OUTPUT_TOKENS),
]);

const BETA_ITEM: Shape = Tagged(
    "type",
    &[
        ("message", BETA_MESSAGE),
        ("function_call", FUNCTION_CALL),
        ("function_call_output", FUNCTION_CALL_OUTPUT),
        ("mcp_approval_response", MCP_APPROVAL_RESPONSE),
    ],
);

const BETA_MESSAGE: Shape = Tagged(
    "role",
    &[
        ("system", Object(&[TYPE, ROLE, ID, OBJECT, STATUS, ("content!", List(&SYSTEM_PART))])),
        ("user", Object(&[TYPE, ROLE, ID, OBJECT, STATUS, ("content!", List(&BETA_USER_PART))])),
        ("assistant", Object(&[TYPE, ROLE, ID, OBJECT, STATUS, ("content!", List(&BETA_ASSISTANT_PART))])),
    ],
);

const BETA_USER_PART: Shape = Tagged("type", &[("input_text", WRITTEN_PART), ("input_audio", SPOKEN_PART)]);
const BETA_ASSISTANT_PART: Shape = Tagged("type", &[("text", WRITTEN_PART)]);

/// Qwen's: the beta's with fewer fields, names of its own for the formats, and functions a level deeper.
const QWEN_SESSION: Shape = Object(&[
    ("modalities", List(&MODALITY)),
    ("instructions", Text),
    ("voice", Text),
    ("input_audio_format", OneOf(&["pcm"])),
    ("output_audio_format", OneOf(&["pcm"])),
    ("input_audio_transcription", FLAT_TRANSCRIPTION),
    ("turn_detection", TURN_DETECTION),
    ("tools", List(&Tagged("type", &[("function", QWEN_FUNCTION), ("mcp", MCP)]))),
    ("tool_choice", TOOL_CHOICE),
]);

const QWEN_FUNCTION: Shape = Object(&[
    TYPE,
    ("function!", Object(&[("name!", Text), ("description", Text), ("parameters", MapOf(&Any))])),
]);

const QWEN_RESPONSE: Shape = Object(&[("instructions", Text), ("modalities", List(&MODALITY))]);
