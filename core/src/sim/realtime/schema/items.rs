//! The items of a conversation, by their type.

use super::{ROLE, TYPE};
use crate::sim::realtime::shape::{
    Field,
    Shape::{self, Any, Flag, Integer, List, Map as MapOf, Nullable, Object, OneOf, Tagged, Text},
};

pub(super) const ID: Field = ("id", Text);
pub(super) const OBJECT: Field = ("object", OneOf(&["realtime.item"]));
pub(super) const STATUS: Field = ("status", OneOf(&["completed", "incomplete", "in_progress"]));

pub(super) const ITEM: Shape = Tagged(
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
pub(super) const INPUT_ITEM: Shape = Tagged(
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

pub(super) const WRITTEN_PART: Shape = Object(&[TYPE, ("text!", Text)]);
pub(super) const SPOKEN_PART: Shape = Object(&[TYPE, ("audio!", Text), ("transcript", Text)]);
const IMAGE_PART: Shape = Object(&[TYPE, ("image_url!", Text), ("detail", OneOf(&["auto", "low", "high"]))]);

pub(super) const SYSTEM_PART: Shape = Tagged("type", &[("input_text", WRITTEN_PART)]);
const USER_PART: Shape = Tagged(
    "type",
    &[("input_text", WRITTEN_PART), ("input_audio", SPOKEN_PART), ("input_image", IMAGE_PART)],
);
const ASSISTANT_PART: Shape = Tagged("type", &[("output_text", WRITTEN_PART), ("output_audio", SPOKEN_PART)]);

pub(super) const FUNCTION_CALL: Shape =
    Object(&[TYPE, ID, OBJECT, STATUS, ("call_id", Text), ("name!", Text), ("arguments!", Text)]);

pub(super) const FUNCTION_CALL_OUTPUT: Shape =
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

pub(super) const MCP_APPROVAL_RESPONSE: Shape = Object(&[
    TYPE,
    ("id!", Text),
    ("approval_request_id!", Text),
    ("approve!", Flag),
    ("reason", Nullable(&Text)),
]);
