//! What a server says, as values.

use crate::format::ModelFormat;
use crate::json::{Object, Text, lenient, lenient_list, object, only_string};
use crate::observe::{McpEvent, Usage};
use crate::time::Duration;
use serde::Deserialize;
use usage::RawUsage;

mod usage;

/// What the server says, as far as the bridge acts on it.
#[derive(Clone, Debug, PartialEq)]
pub enum ServerEvent<'a> {
    /// The session stands, with the server's own settings.
    SessionCreated {
        /// When it ends, in seconds since 1970, if the server says so.
        expires_at: Option<u64>,
    },
    /// The session has our settings.
    SessionUpdated {
        /// The format in which it hears and speaks, if it names one that is known and both are the same.
        format: Option<ModelFormat>,
    },
    /// The caller began to speak.
    SpeechStarted {
        /// How much of the audio that the server was given lies before the turn, in milliseconds. The turn
        /// begins `prefix_padding_ms` before the speech. Some servers do not tell.
        audio_start_ms: Option<u64>,
    },
    /// The caller stopped.
    SpeechStopped {
        /// The item that the turn becomes.
        item_id: Text<'a>,
        /// How much of the audio that the server was given lies before the end, in milliseconds. The silence
        /// by which the server knew is part of it. Some servers do not tell.
        audio_end_ms: Option<u64>,
    },
    /// The caller's turn has become an item.
    Committed {
        /// The item.
        item_id: Text<'a>,
    },
    /// The caller was silent for so long that the server speaks by itself (`idle_timeout_ms`).
    IdleTimeout,
    /// What the caller said in a turn, in letters.
    CallerTranscript {
        /// The item that the turn became.
        item_id: Text<'a>,
        /// The letters.
        transcript: Text<'a>,
    },
    /// What the caller said could not be written down.
    CallerTranscriptFailed {
        /// Why.
        code: Text<'a>,
    },
    /// Something has become part of the conversation.
    ItemAdded {
        /// The number of the event that put it there, if it was one of ours.
        number: Option<u32>,
    },
    /// The agent begins an answer.
    ResponseCreated {
        /// Its id.
        response_id: Text<'a>,
        /// The number of the event that asked for it, if it was one of ours and the server says so.
        number: Option<u32>,
    },
    /// A piece of the agent's voice.
    AudioDelta {
        /// The answer that it belongs to.
        response_id: Text<'a>,
        /// The item that it belongs to.
        item_id: Text<'a>,
        /// The part of the item.
        content_index: u32,
        /// Base64 of 16-bit little-endian samples, or of G.711.
        delta: Text<'a>,
    },
    /// All audio of an item has come.
    AudioDone {
        /// The item.
        item_id: Text<'a>,
        /// The part of the item.
        content_index: u32,
    },
    /// A piece of what the agent says, in letters.
    TranscriptDelta {
        /// The answer that it belongs to.
        response_id: Text<'a>,
        /// The item that it belongs to.
        item_id: Text<'a>,
        /// The part of the item.
        content_index: u32,
        /// The letters.
        delta: Text<'a>,
    },
    /// All that the agent says in a part of an item has come in letters.
    TranscriptDone {
        /// The item.
        item_id: Text<'a>,
        /// The part of the item.
        content_index: u32,
        /// All of it once more.
        transcript: Text<'a>,
    },
    /// The arguments of a function call have come; of a call that was cancelled, as far as they go.
    ArgumentsDone {
        /// The answer that it belongs to.
        response_id: Text<'a>,
        /// The call, with its arguments.
        call: Item<'a>,
    },
    /// A part of an answer is complete, or will not be.
    ItemDone {
        /// The answer that it belongs to.
        response_id: Text<'a>,
        /// The item.
        item: Item<'a>,
    },
    /// The answer is complete, cancelled, failed or incomplete.
    ResponseDone {
        /// Its id.
        response_id: Text<'a>,
        /// As in [`ServerEvent::ResponseCreated`].
        number: Option<u32>,
        /// Which of them.
        status: Text<'a>,
        /// The reason, or the code of the error.
        detail: Text<'a>,
        /// What it has used up, if the server says so.
        usage: Option<Usage>,
    },
    /// How much may still be asked for.
    RateLimits {
        /// How long nothing may be, if that is used up.
        reset: Option<Duration>,
    },
    /// A server of tools was asked something by the Realtime server.
    Mcp(McpEvent),
    /// Something that we asked for could not be done; the session goes on.
    Error {
        /// The code, or the type where there is none.
        code: Text<'a>,
        /// The field that the server complains of.
        param: Text<'a>,
        /// The number of the event that it complains of, if it says so.
        number: Option<u32>,
    },
    /// One of the events that the bridge knows and has no use for.
    Ignored,
    /// One that it does not know.
    Unknown,
}

/// A part of the conversation, as far as the bridge looks at it. What a kind of item does not have is empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Item<'a> {
    /// Its id.
    pub id: Text<'a>,
    /// What it is.
    pub kind: ItemKind,
    /// `completed`, `incomplete` or `in_progress`; not every server tells.
    pub status: Text<'a>,
    /// Of a call, and of what came of it: which.
    pub call_id: Text<'a>,
    /// The function, or the tool.
    pub name: Text<'a>,
    /// JSON, as the model wrote it.
    pub arguments: Text<'a>,
    /// The server of the tool.
    pub server_label: Text<'a>,
}

/// What an item is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ItemKind {
    /// The model calls a function.
    FunctionCall,
    /// The Realtime server wants to call a tool of an MCP server, and asks.
    McpApprovalRequest,
    /// Anything else.
    #[default]
    Other,
}

/// Every server event of the GA interface (as of the package openai 3.54.0).
pub const SERVER_EVENTS: [&str; 46] = [
    "conversation.created",
    "conversation.item.added",
    "conversation.item.created",
    "conversation.item.deleted",
    "conversation.item.done",
    "conversation.item.input_audio_transcription.completed",
    "conversation.item.input_audio_transcription.delta",
    "conversation.item.input_audio_transcription.failed",
    "conversation.item.input_audio_transcription.segment",
    "conversation.item.retrieved",
    "conversation.item.truncated",
    "error",
    "input_audio_buffer.cleared",
    "input_audio_buffer.committed",
    "input_audio_buffer.dtmf_event_received",
    "input_audio_buffer.speech_started",
    "input_audio_buffer.speech_stopped",
    "input_audio_buffer.timeout_triggered",
    "mcp_list_tools.completed",
    "mcp_list_tools.failed",
    "mcp_list_tools.in_progress",
    "output_audio_buffer.cleared",
    "output_audio_buffer.started",
    "output_audio_buffer.stopped",
    "rate_limits.updated",
    "response.content_part.added",
    "response.content_part.done",
    "response.created",
    "response.done",
    "response.function_call_arguments.delta",
    "response.function_call_arguments.done",
    "response.mcp_call.completed",
    "response.mcp_call.failed",
    "response.mcp_call.in_progress",
    "response.mcp_call_arguments.delta",
    "response.mcp_call_arguments.done",
    "response.output_audio.delta",
    "response.output_audio.done",
    "response.output_audio_transcript.delta",
    "response.output_audio_transcript.done",
    "response.output_item.added",
    "response.output_item.done",
    "response.output_text.delta",
    "response.output_text.done",
    "session.created",
    "session.updated",
];

/// The events of the GA interface, and of its predecessor, that are known and of no use here: what they tell is
/// told by another one too, or concerns WebRTC and SIP.
pub(super) const IGNORED: [&str; 22] = [
    "conversation.item.deleted",
    "conversation.item.done",
    "conversation.item.input_audio_transcription.delta",
    "conversation.item.input_audio_transcription.segment",
    "conversation.item.retrieved",
    "conversation.item.truncated",
    "input_audio_buffer.cleared",
    "input_audio_buffer.dtmf_event_received",
    "mcp_list_tools.in_progress",
    "output_audio_buffer.cleared",
    "output_audio_buffer.started",
    "output_audio_buffer.stopped",
    "response.content_part.added",
    "response.content_part.done",
    "response.function_call_arguments.delta",
    "response.mcp_call_arguments.delta",
    "response.mcp_call_arguments.done",
    "response.output_item.added",
    "response.output_text.delta",
    "response.output_text.done",
    "response.text.delta",
    "response.text.done",
];

/// What every event begins with, and all that the two hot ones have: read fifty times a second, without a tree
/// and without a copy.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(rename = "type", borrow, deserialize_with = "only_string")]
    kind: Text<'a>,
    #[serde(borrow, default)]
    response_id: Text<'a>,
    #[serde(borrow, default)]
    item_id: Text<'a>,
    #[serde(default, deserialize_with = "lenient")]
    content_index: u32,
    #[serde(borrow, default)]
    delta: Text<'a>,
}

/// What the others have, read in a second pass.
#[derive(Default, Deserialize)]
struct Body<'a> {
    #[serde(default, deserialize_with = "lenient")]
    audio_start_ms: Option<f64>,
    #[serde(default, deserialize_with = "lenient")]
    audio_end_ms: Option<f64>,
    #[serde(borrow, default)]
    transcript: Text<'a>,
    #[serde(borrow, default)]
    call_id: Text<'a>,
    #[serde(borrow, default)]
    name: Text<'a>,
    #[serde(borrow, default)]
    arguments: Text<'a>,
    #[serde(borrow, default, deserialize_with = "lenient")]
    item: RawItem<'a>,
    #[serde(borrow, default, deserialize_with = "lenient")]
    response: RawResponse<'a>,
    #[serde(borrow, default, deserialize_with = "lenient")]
    error: RawError<'a>,
    #[serde(default, deserialize_with = "lenient")]
    session: RawSession,
    #[serde(borrow, default, deserialize_with = "lenient_list")]
    rate_limits: Vec<Object<RawLimit<'a>>>,
}

#[derive(Default, Deserialize)]
struct RawSession {
    #[serde(default, deserialize_with = "lenient")]
    expires_at: Option<f64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawLimit<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(deserialize_with = "lenient")]
    remaining: Option<f64>,
    #[serde(deserialize_with = "lenient")]
    reset_seconds: Option<f64>,
}

#[derive(Default, Deserialize)]
struct RawItem<'a> {
    #[serde(borrow, default)]
    id: Text<'a>,
    #[serde(rename = "type", borrow, default)]
    kind: Text<'a>,
    #[serde(borrow, default)]
    status: Text<'a>,
    #[serde(borrow, default)]
    call_id: Text<'a>,
    #[serde(borrow, default)]
    name: Text<'a>,
    #[serde(borrow, default)]
    arguments: Text<'a>,
    #[serde(borrow, default)]
    server_label: Text<'a>,
}

impl<'a> From<RawItem<'a>> for Item<'a> {
    fn from(raw: RawItem<'a>) -> Self {
        let kind = match &*raw.kind {
            "function_call" => ItemKind::FunctionCall,
            "mcp_approval_request" => ItemKind::McpApprovalRequest,
            _ => ItemKind::Other,
        };
        let RawItem { id, status, call_id, name, arguments, server_label, .. } = raw;
        Self { id, kind, status, call_id, name, arguments, server_label }
    }
}

#[derive(Default, Deserialize)]
struct RawResponse<'a> {
    #[serde(borrow, default)]
    id: Text<'a>,
    #[serde(borrow, default)]
    status: Text<'a>,
    #[serde(borrow, default, deserialize_with = "lenient")]
    status_details: RawDetails<'a>,
    #[serde(borrow, default, deserialize_with = "lenient")]
    metadata: RawMetadata<'a>,
    #[serde(default, deserialize_with = "lenient")]
    usage: Option<RawUsage>,
}

#[derive(Default, Deserialize)]
struct RawMetadata<'a> {
    // `METADATA_KEY`; an attribute takes no constant, so a test holds the two together.
    #[serde(rename = "ari_bridge", borrow, default)]
    number: Text<'a>,
}

#[derive(Default, Deserialize)]
struct RawDetails<'a> {
    #[serde(borrow, default)]
    reason: Text<'a>,
    #[serde(borrow, default, deserialize_with = "lenient")]
    error: RawError<'a>,
}

#[derive(Default, Deserialize)]
struct RawError<'a> {
    #[serde(rename = "type", borrow, default)]
    kind: Text<'a>,
    #[serde(borrow, default)]
    code: Text<'a>,
    #[serde(borrow, default)]
    param: Text<'a>,
    #[serde(borrow, default)]
    event_id: Text<'a>,
}

impl<'a> RawError<'a> {
    fn code_or_type(self) -> Text<'a> {
        if self.code.is_empty() { self.kind } else { self.code }
    }
}

/// Reads a message; `None` if it is not JSON of an event's shape. The names of the GA interface and of the
/// former beta are understood alike.
pub(super) fn parse(bytes: &[u8]) -> Option<ServerEvent<'_>> {
    use ServerEvent as E;
    let Head { kind, response_id, item_id, content_index, delta } = object(bytes)?;
    let body = || object::<Body<'_>>(bytes).unwrap_or_default();
    Some(match &*kind {
        "response.output_audio.delta" | "response.audio.delta" => {
            E::AudioDelta { response_id, item_id, content_index, delta }
        }
        "response.output_audio_transcript.delta" | "response.audio_transcript.delta" => {
            E::TranscriptDelta { response_id, item_id, content_index, delta }
        }
        "response.output_audio.done" | "response.audio.done" => E::AudioDone { item_id, content_index },
        "response.output_audio_transcript.done" | "response.audio_transcript.done" => {
            E::TranscriptDone { item_id, content_index, transcript: body().transcript }
        }
        // A server that begins with the conversation says no more of the session (xAI).
        "session.created" | "conversation.created" => {
            E::SessionCreated { expires_at: whole(body().session.expires_at).filter(|&at| at > 0) }
        }
        "rate_limits.updated" => E::RateLimits { reset: longest_reset(&body().rate_limits) },
        "session.updated" => E::SessionUpdated { format: session_format(bytes) },
        "input_audio_buffer.speech_started" => {
            E::SpeechStarted { audio_start_ms: whole(body().audio_start_ms) }
        }
        "input_audio_buffer.speech_stopped" => {
            E::SpeechStopped { item_id, audio_end_ms: whole(body().audio_end_ms) }
        }
        "input_audio_buffer.committed" => E::Committed { item_id },
        "input_audio_buffer.timeout_triggered" => E::IdleTimeout,
        "conversation.item.input_audio_transcription.completed" => {
            E::CallerTranscript { item_id, transcript: body().transcript }
        }
        "conversation.item.input_audio_transcription.failed" => {
            E::CallerTranscriptFailed { code: body().error.code_or_type() }
        }
        "conversation.item.added" | "conversation.item.created" => {
            E::ItemAdded { number: own_number(&body().item.id) }
        }
        "response.created" => {
            let RawResponse { id, metadata, .. } = body().response;
            E::ResponseCreated { response_id: id, number: number(&metadata.number) }
        }
        "response.function_call_arguments.done" => {
            let Body { call_id, name, arguments, .. } = body();
            let kind = ItemKind::FunctionCall;
            let call = Item { id: item_id, kind, call_id, name, arguments, ..Item::default() };
            E::ArgumentsDone { response_id, call }
        }
        "response.output_item.done" => E::ItemDone { response_id, item: body().item.into() },
        "response.done" => {
            let RawResponse { id, status, status_details, metadata, usage } = body().response;
            let RawDetails { reason, error } = status_details;
            let detail = if reason.is_empty() { error.code_or_type() } else { reason };
            E::ResponseDone {
                response_id: id,
                number: number(&metadata.number),
                status,
                detail,
                usage: usage.map(Usage::from),
            }
        }
        "mcp_list_tools.completed" => E::Mcp(McpEvent::Listed),
        "mcp_list_tools.failed" => E::Mcp(McpEvent::ListFailed),
        "response.mcp_call.in_progress" => E::Mcp(McpEvent::Called),
        "response.mcp_call.completed" => E::Mcp(McpEvent::Answered),
        "response.mcp_call.failed" => E::Mcp(McpEvent::CallFailed),
        "error" => {
            let RawError { kind, code, param, event_id } = body().error;
            let number = own_number(&event_id);
            E::Error { code: RawError { kind, code, ..RawError::default() }.code_or_type(), param, number }
        }
        "" => return None,
        known if IGNORED.contains(&known) => E::Ignored,
        _ => E::Unknown,
    })
}

/// The number of one of our events, of its id.
fn own_number(id: &str) -> Option<u32> {
    id.strip_prefix(super::EVENT_ID).and_then(number)
}

/// The number of one of our events, as we wrote it.
fn number(text: &str) -> Option<u32> {
    text.parse().ok()
}

/// A number as a whole one; some servers tell fractions.
fn whole(number: Option<f64>) -> Option<u64> {
    // A cast saturates, and makes zero of what is not a number.
    number.map(|number| number as u64)
}

/// How long it takes until everything may be asked for again that is used up.
fn longest_reset(limits: &[Object<RawLimit<'_>>]) -> Option<Duration> {
    // The names are told in no fixed order, and new ones may come.
    let used_up = limits
        .iter()
        .map(|Object(limit)| limit)
        .filter(|limit| !limit.name.is_empty() && limit.remaining.is_some_and(|left| left <= 0.0));
    used_up
        .filter_map(|limit| whole(limit.reset_seconds.map(|s| s * 1000.0)))
        .max()
        .map(Duration::from_millis)
}

/// The format that a `session.updated` names, if it names the same one both ways. Servers show their sessions
/// in many shapes, so it is looked for rather than expected; the event comes once or twice in a call.
fn session_format(bytes: &[u8]) -> Option<ModelFormat> {
    let event: serde_json::Value = serde_json::from_slice(bytes).ok()?;
    let named = |side: &str| {
        let nested = event.pointer(&format!("/session/audio/{side}/format/type"));
        let name = nested.or_else(|| event.pointer(&format!("/session/{side}_audio_format")))?.as_str()?;
        ModelFormat::ALL.into_iter().find(|format| [format.media_type(), format.beta_name()].contains(&name))
    };
    named("input").filter(|&input| named("output") == Some(input))
}

#[cfg(test)]
mod tests;
