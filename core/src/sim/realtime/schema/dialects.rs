//! What the other dialects have in place of the GA interface's session, response and items.

use super::items::{
    FUNCTION_CALL, FUNCTION_CALL_OUTPUT, ID, MCP_APPROVAL_RESPONSE, OBJECT, SPOKEN_PART, STATUS, SYSTEM_PART,
    WRITTEN_PART,
};
use super::{
    MAX_OUTPUT_TOKENS, MCP, MODALITY, ROLE, SPEED, TOOL, TOOL_CHOICE, TRACING, TURN_DETECTION, TYPE, VOICE,
};
use crate::sim::realtime::shape::Shape::{
    self, Any, Integer, List, Map as MapOf, Metadata, Nullable, Number, Object, OneOf, Tagged, Text,
};

/// xAI's: what it does not mention is not here, but for servers of tools, which it has under the same names.
pub(super) const XAI_SESSION: Shape = Object(&[
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

pub(super) const XAI_RESPONSE: Shape = Object(&[("instructions", Text), ("metadata", Nullable(&Metadata))]);

/// The former beta's. Servers that still speak it have taken over `idle_timeout_ms` and servers of tools from the
/// GA interface, as far as they have them at all.
pub(super) const BETA_SESSION: Shape = Object(&[
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

pub(super) const BETA_RESPONSE: Shape = Object(&[
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

pub(super) const BETA_ITEM: Shape = Tagged(
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
pub(super) const QWEN_SESSION: Shape = Object(&[
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

pub(super) const QWEN_RESPONSE: Shape = Object(&[("instructions", Text), ("modalities", List(&MODALITY))]);
