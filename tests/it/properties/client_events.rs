//! What the bridge says to a Realtime server, read by somebody else.

use super::{bytes, cases};
use ari_bridge_core::format::ModelFormat;
use ari_bridge_core::realtime::{ClientEvent, Dialect, Turns};
use ari_bridge_core::settings::TurnDetection;
use ari_bridge_core::sim::realtime::check_client_message;
use ari_bridge_tests::choices::Choices;
use ari_bridge_tests::generators::{bits, pick, session, text, up_to};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use proptest::prelude::*;
use serde_json::{Value, json};

/// The message as JSON, which a server of that dialect takes.
fn written(dialect: Dialect, event: ClientEvent<'_>, number: u32) -> Result<Value, TestCaseError> {
    let mut out = b"before".to_vec();
    dialect.write(event, number, &mut out);
    let message = out.strip_prefix(b"before").expect("it is appended");
    let taken = check_client_message(dialect, message);
    prop_assert!(taken.is_ok(), "{:?} refuses {}: {:?}", dialect, String::from_utf8_lossy(message), taken);
    Ok(serde_json::from_slice(message)?)
}

proptest! {
    #![proptest_config(cases(800))]

    /// Every event but the settings is just this JSON, whatever its texts are.
    #[test]
    fn what_the_bridge_says_is_what_it_means(bytes in bytes(120)) {
        let mut choices = Choices::new(&bytes);
        let (dialect, number) =
            (*pick(&mut choices, &Dialect::ALL), up_to(&mut choices, u32::MAX.into()) as u32);
        let [a, b, c] = [(); 3].map(|()| text(&mut choices));
        let id = format!("ari-bridge-{number}");
        let item = |kind: &str, fields: Value| {
            let mut item = json!({ "type": kind, "id": id });
            item.as_object_mut().expect("an object").extend(fields.as_object().cloned().unwrap_or_default());
            json!({ "type": "conversation.item.create", "item": item })
        };
        let (event, mut expected) = match choices.below(9) {
            0 => {
                let instructions = choices.one_in(2).then_some(a.as_str());
                let mut response = json!({});
                if matches!(dialect, Dialect::OpenAi | Dialect::Azure | Dialect::Beta) {
                    response["metadata"] = json!({ "ari_bridge": number.to_string() });
                }
                if let Some(instructions) = instructions {
                    response["instructions"] = instructions.into();
                }
                let plain = json!({ "type": "response.create" });
                let full = json!({ "type": "response.create", "response": response });
                let is_plain = response.as_object().is_some_and(serde_json::Map::is_empty);
                (ClientEvent::ResponseCreate { instructions }, if is_plain { plain } else { full })
            }
            1 => (ClientEvent::ResponseCancel, json!({ "type": "response.cancel" })),
            2 if dialect.truncates() => {
                let (content_index, audio_end_ms) = (bits(&mut choices, 32) as u32, bits(&mut choices, 40));
                let expected = json!({
                    "type": "conversation.item.truncate", "item_id": a, "content_index": content_index,
                    "audio_end_ms": audio_end_ms,
                });
                (ClientEvent::Truncate { item_id: &a, content_index, audio_end_ms }, expected)
            }
            2 | 3 => (
                ClientEvent::Delete { item_id: &a },
                json!({ "type": "conversation.item.delete", "item_id": a }),
            ),
            4 => {
                let content = json!([{ "type": "input_text", "text": a }]);
                (
                    ClientEvent::UserText { text: &a },
                    item("message", json!({ "role": "user", "content": content })),
                )
            }
            5 => {
                let kind = if dialect == Dialect::Beta { "text" } else { "output_text" };
                let content = json!([{ "type": kind, "text": a }]);
                (
                    ClientEvent::AssistantText { text: &a },
                    item("message", json!({ "role": "assistant", "content": content })),
                )
            }
            6 => {
                let fields = json!({ "call_id": a, "name": b, "arguments": c });
                (
                    ClientEvent::FunctionCall { call_id: &a, name: &b, arguments: &c },
                    item("function_call", fields),
                )
            }
            7 => {
                let fields = json!({ "call_id": a, "output": b });
                (
                    ClientEvent::FunctionOutput { call_id: &a, output: &b },
                    item("function_call_output", fields),
                )
            }
            _ => {
                let approve = choices.one_in(2);
                let fields = json!({ "approval_request_id": a, "approve": approve });
                (ClientEvent::McpApproval { request_id: &a, approve }, item("mcp_approval_response", fields))
            }
        };
        expected["event_id"] = id.as_str().into();
        prop_assert_eq!(written(dialect, event, number)?, expected);
    }

    /// Settings are such that a server of the dialect takes them, and what people have written stands in them as it is.
    #[test]
    fn any_settings_are_told_in_every_dialect(bytes in bytes(160)) {
        let mut choices = Choices::new(&bytes);
        let (dialect, format) = (*pick(&mut choices, &Dialect::ALL), *pick(&mut choices, &ModelFormat::ALL));
        let (settings, tools) = (session::settings(&mut choices, dialect), session::tools(&mut choices));
        let turns = Turns { create_response: choices.one_in(2), interrupt_response: choices.one_in(2) };
        let event = ClientEvent::SessionUpdate { settings: &settings, tools: &tools, format, turns };
        let update = written(dialect, event, 7)?;
        prop_assert_eq!(
            (&update["type"], &update["event_id"]),
            (&json!("session.update"), &json!("ari-bridge-7"))
        );
        let session = &update["session"];
        let instructions = session.get("instructions").map(|text| text.as_str().unwrap_or("no text"));
        prop_assert_eq!(instructions, settings.instructions.as_deref());
        let is_nested = matches!(dialect, Dialect::OpenAi | Dialect::Azure);
        let voice = if is_nested { &session["audio"]["output"]["voice"] } else { &session["voice"] };
        prop_assert_eq!(voice, &Value::from(settings.voice.as_str()));
        let detection =
            if is_nested { &session["audio"]["input"]["turn_detection"] } else { &session["turn_detection"] };
        let told = [&detection["create_response"], &detection["interrupt_response"]];
        prop_assert_eq!(told, [&Value::from(turns.create_response), &Value::from(turns.interrupt_response)]);
        let kind = if matches!(settings.turn_detection, TurnDetection::Server(_)) {
            "server_vad"
        } else {
            "semantic_vad"
        };
        prop_assert_eq!(&detection["type"], kind);
        let told = session.get("tools").and_then(Value::as_array).map_or(0, Vec::len);
        prop_assert_eq!((told, session.get("tool_choice").is_some()), (tools.len(), !tools.is_empty()));
    }

    /// The caller's audio is base64 of just these bytes.
    #[test]
    fn the_callers_audio_is_told_byte_for_byte(bytes in bytes(2_000)) {
        for dialect in Dialect::ALL {
            let mut out = Vec::new();
            dialect.write_append(&bytes, &mut out);
            prop_assert_eq!(check_client_message(dialect, &out), Ok(()));
            let message: Value = serde_json::from_slice(&out)?;
            let audio = message["audio"].as_str().and_then(|audio| BASE64_STANDARD.decode(audio).ok());
            prop_assert_eq!(audio.as_ref(), Some(&bytes));
        }
    }
}
