//! What the bridge says, as bytes.

use super::session::write_session;
use super::{EVENT_ID, METADATA_KEY, Turns};
use crate::format::ModelFormat;
use crate::json::write_string;
use crate::settings::{Dialect, SessionSettings, Tool};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::io::Write;

/// What the bridge says. Every event but the hot `append` carries an `event_id`, so that the server's
/// errors can be told apart.
#[derive(Clone, Copy, Debug)]
pub enum ClientEvent<'a> {
    /// The session's settings.
    SessionUpdate {
        /// What the operator decided.
        settings: &'a SessionSettings,
        /// All that the model can call.
        tools: &'a [Tool],
        /// The format of the audio both ways.
        format: ModelFormat,
        /// Who deals with the caller's turns.
        turns: Turns,
    },
    /// Ask the agent to speak.
    ResponseCreate {
        /// What this one answer is to be; without it, the answer to what was said.
        instructions: Option<&'a str>,
    },
    /// Stop the answer that is being made.
    ResponseCancel,
    /// Tell the server how much of an item the caller heard.
    Truncate {
        /// The item.
        item_id: &'a str,
        /// The part of it.
        content_index: u32,
        /// How much was heard, in milliseconds; more than zero and at most what was received.
        audio_end_ms: u64,
    },
    /// Take an item back of which the caller heard nothing.
    Delete {
        /// The item.
        item_id: &'a str,
    },
    /// The caller has told something without speaking.
    UserText {
        /// What.
        text: &'a str,
    },
    /// What the agent has said, for a session that did not hear it.
    AssistantText {
        /// The words.
        text: &'a str,
    },
    /// What the agent has called, for a session that did not see it.
    FunctionCall {
        /// Which call.
        call_id: &'a str,
        /// The function.
        name: &'a str,
        /// JSON, as the model wrote it.
        arguments: &'a str,
    },
    /// What came of a function call.
    FunctionOutput {
        /// Which.
        call_id: &'a str,
        /// Whatever the model can read: mostly JSON.
        output: &'a str,
    },
    /// Whether a tool of an MCP server may be called.
    McpApproval {
        /// The item that asked.
        request_id: &'a str,
        /// The answer.
        approve: bool,
    },
}

/// Appends `event` as JSON. `number` makes its `event_id`.
pub(super) fn write(dialect: Dialect, event: ClientEvent<'_>, number: u32, out: &mut Vec<u8>) {
    // Writing to a Vec cannot fail.
    let _ = write!(out, r#"{{"event_id":"{EVENT_ID}{number}","type":"#);
    match event {
        ClientEvent::SessionUpdate { settings, tools, format, turns } => {
            out.extend_from_slice(br#""session.update","session":"#);
            write_session(settings, tools, format, turns, out);
        }
        ClientEvent::ResponseCreate { instructions } => {
            write_response_create(dialect, instructions, number, out);
        }
        ClientEvent::ResponseCancel => out.extend_from_slice(br#""response.cancel""#),
        ClientEvent::Truncate { item_id, content_index, audio_end_ms } => {
            out.extend_from_slice(br#""conversation.item.truncate","item_id":"#);
            write_string(item_id, out);
            let _ = write!(out, r#","content_index":{content_index},"audio_end_ms":{audio_end_ms}"#);
        }
        ClientEvent::Delete { item_id } => {
            out.extend_from_slice(br#""conversation.item.delete","item_id":"#);
            write_string(item_id, out);
        }
        ClientEvent::UserText { text } => {
            write_item_create("message", number, out);
            out.extend_from_slice(br#","role":"user","content":[{"type":"input_text","text":"#);
            write_string(text, out);
            out.extend_from_slice(b"}]}");
        }
        ClientEvent::AssistantText { text } => {
            write_item_create("message", number, out);
            let kind = if dialect == Dialect::Beta { "text" } else { "output_text" };
            let _ = write!(out, r#","role":"assistant","content":[{{"type":"{kind}","text":"#);
            write_string(text, out);
            out.extend_from_slice(b"}]}");
        }
        ClientEvent::FunctionCall { call_id, name, arguments } => {
            write_item_create("function_call", number, out);
            for (field, value) in [("call_id", call_id), ("name", name), ("arguments", arguments)] {
                let _ = write!(out, r#","{field}":"#);
                write_string(value, out);
            }
            out.push(b'}');
        }
        ClientEvent::FunctionOutput { call_id, output } => {
            write_item_create("function_call_output", number, out);
            out.extend_from_slice(br#","call_id":"#);
            write_string(call_id, out);
            out.extend_from_slice(br#","output":"#);
            write_string(output, out);
            out.push(b'}');
        }
        ClientEvent::McpApproval { request_id, approve } => {
            write_item_create("mcp_approval_response", number, out);
            out.extend_from_slice(br#","approval_request_id":"#);
            write_string(request_id, out);
            let _ = write!(out, r#","approve":{approve}}}"#);
        }
    }
    out.push(b'}');
}

/// The item bears the event's own id, so that its arrival in the conversation can be told from others'.
fn write_item_create(kind: &str, number: u32, out: &mut Vec<u8>) {
    // Writing to a Vec cannot fail.
    let _ = write!(out, r#""conversation.item.create","item":{{"type":"{kind}","id":"{EVENT_ID}{number}""#);
}

fn write_response_create(dialect: Dialect, instructions: Option<&str>, number: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(br#""response.create""#);
    let metadata = dialect.knows_metadata();
    if instructions.is_none() && !metadata {
        return;
    }
    out.extend_from_slice(br#","response":{"#);
    if metadata {
        // Writing to a Vec cannot fail.
        let _ = write!(out, r#""metadata":{{"{METADATA_KEY}":"{number}"}}"#);
    }
    if let Some(instructions) = instructions {
        out.extend_from_slice(if metadata { br#","instructions":"# } else { br#""instructions":"# });
        write_string(instructions, out);
    }
    out.push(b'}');
}

/// Appends an `input_audio_buffer.append` with these bytes of audio. It is sent fifty times a second, so it
/// is written without a tree and, once `out` has grown, without allocating.
pub(super) fn write_append(audio: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"type":"input_audio_buffer.append","audio":""#);
    let start = out.len();
    out.resize(start + audio.len().div_ceil(3) * 4, 0);
    if let Some(slot) = out.get_mut(start..) {
        // The slot has exactly the encoded length, so this cannot fail.
        let _ = STANDARD.encode_slice(audio, slot);
    }
    out.extend_from_slice(br#""}"#);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn written(dialect: Dialect, event: ClientEvent<'_>) -> Value {
        let mut out = Vec::new();
        write(dialect, event, 3, &mut out);
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn an_answer_is_asked_for_under_a_number_by_which_it_is_known_again() {
        let plain = written(Dialect::OpenAi, ClientEvent::ResponseCreate { instructions: None });
        assert_eq!(
            plain,
            json!({ "event_id": "ari-bridge-3", "type": "response.create", "response": { "metadata": { "ari_bridge": "3" } } })
        );
        let told = written(Dialect::Beta, ClientEvent::ResponseCreate { instructions: Some("Hello.") });
        assert_eq!(told["response"]["instructions"], "Hello.");
        assert_eq!(told["response"]["metadata"]["ari_bridge"], "3");
        for dialect in [Dialect::Xai, Dialect::Qwen] {
            let plain = written(dialect, ClientEvent::ResponseCreate { instructions: None });
            assert_eq!(plain, json!({ "event_id": "ari-bridge-3", "type": "response.create" }));
            let told = written(dialect, ClientEvent::ResponseCreate { instructions: Some("Hello.") });
            assert_eq!(told["response"], json!({ "instructions": "Hello." }));
        }
    }

    #[test]
    fn what_people_and_models_write_cannot_leave_its_string() {
        let text = "\"},\"type\":\"x\u{0}\\";
        let event = written(Dialect::OpenAi, ClientEvent::ResponseCreate { instructions: Some(text) });
        assert_eq!(
            (&event["response"]["instructions"], &event["type"]),
            (&text.into(), &"response.create".into())
        );
        let event = written(Dialect::OpenAi, ClientEvent::UserText { text });
        assert_eq!(event["item"]["content"][0]["text"], text);
        let event = written(Dialect::OpenAi, ClientEvent::FunctionOutput { call_id: text, output: text });
        assert_eq!((&event["item"]["call_id"], &event["item"]["output"]), (&text.into(), &text.into()));
        let event = written(Dialect::OpenAi, ClientEvent::AssistantText { text });
        assert_eq!(event["item"]["content"][0], json!({ "type": "output_text", "text": text }));
        let call = ClientEvent::FunctionCall { call_id: text, name: text, arguments: text };
        let item = &written(Dialect::OpenAi, call)["item"];
        assert_eq!([&item["call_id"], &item["name"], &item["arguments"]], [text; 3]);
        let event = written(Dialect::OpenAi, ClientEvent::McpApproval { request_id: text, approve: false });
        assert_eq!(event["item"]["approval_request_id"], text);
    }

    #[test]
    fn an_append_is_base64_of_its_audio() {
        let mut out = b"before".to_vec();
        write_append(&[0, 1, 2, 3], &mut out);
        assert_eq!(out, br#"before{"type":"input_audio_buffer.append","audio":"AAECAw=="}"#);
    }
}
