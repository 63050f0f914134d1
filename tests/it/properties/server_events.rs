//! What a Realtime server says, in every dialect and every habit of writing, against what it means.

use super::{bytes, cases};
use ari_bridge_core::json::Text;
use ari_bridge_core::realtime::{Dialect, Item, ItemKind, SERVER_EVENTS, ServerEvent};
use ari_bridge_core::time::Duration;
use ari_bridge_tests::choices::Choices;
use ari_bridge_tests::generators::{bits, pick, text, word};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn own(text: &str) -> Text<'static> {
    Text::from(text.to_owned())
}

/// A field as some server writes it that has nothing to say there.
fn nothing(choices: &mut Choices<'_>, event: &mut Value, field: &str) {
    match choices.below(4) {
        0 => event[field] = Value::Null,
        1 => event[field] = json!({ "what": ["is", { "this": 7 }] }),
        2 => event[field] = json!(true),
        _ => {}
    }
}

/// A whole number, as some server writes it: as such, or with a fraction that says nothing.
fn number(choices: &mut Choices<'_>) -> (Value, u64) {
    let number = bits(choices, 24);
    let fraction = f64::from(choices.byte()) / 256.0;
    (if choices.one_in(2) { number.into() } else { (number as f64 + fraction).into() }, number)
}

/// An event and what it means.
fn event(choices: &mut Choices<'_>) -> (Value, ServerEvent<'static>) {
    let (item_id, response_id, words) = (word(choices), word(choices), text(choices));
    let part = choices.below(3) as u32;
    let is_old = choices.one_in(2);
    let named = |new: &'static str, old: &'static str| if is_old { old } else { new };
    let asked = choices.one_in(2).then(|| bits(choices, 32) as u32);
    match choices.below(14) {
        0 => {
            let kind = named("response.output_audio.delta", "response.audio.delta");
            let event = json!({
                "type": kind, "response_id": response_id, "item_id": item_id, "content_index": part, "delta": words,
            });
            let [response_id, item_id, delta] = [&response_id, &item_id, &words].map(|text| own(text));
            (event, ServerEvent::AudioDelta { response_id, item_id, content_index: part, delta })
        }
        1 => {
            let kind = named("response.output_audio_transcript.delta", "response.audio_transcript.delta");
            let event = json!({
                "delta": words, "content_index": part, "item_id": item_id, "response_id": response_id, "type": kind,
            });
            let [response_id, item_id, delta] = [&response_id, &item_id, &words].map(|text| own(text));
            (event, ServerEvent::TranscriptDelta { response_id, item_id, content_index: part, delta })
        }
        2 => {
            let kind = named("response.output_audio.done", "response.audio.done");
            (
                json!({ "type": kind, "item_id": item_id, "content_index": part }),
                ServerEvent::AudioDone { item_id: own(&item_id), content_index: part },
            )
        }
        3 => {
            let kind = named("response.output_audio_transcript.done", "response.audio_transcript.done");
            let event =
                json!({ "type": kind, "item_id": item_id, "content_index": part, "transcript": words });
            (
                event,
                ServerEvent::TranscriptDone {
                    item_id: own(&item_id),
                    content_index: part,
                    transcript: own(&words),
                },
            )
        }
        4 => {
            let (value, number) = number(choices);
            let kind = "input_audio_buffer.speech_started";
            let event = json!({ "type": kind, "audio_start_ms": value, "item_id": item_id });
            (event, ServerEvent::SpeechStarted { audio_start_ms: Some(number) })
        }
        5 => {
            let mut event = json!({ "type": "input_audio_buffer.speech_stopped", "item_id": item_id });
            nothing(choices, &mut event, "audio_end_ms");
            (event, ServerEvent::SpeechStopped { item_id: own(&item_id), audio_end_ms: None })
        }
        6 => {
            let kind = "conversation.item.input_audio_transcription.completed";
            let event = json!({ "type": kind, "item_id": item_id, "transcript": words });
            (event, ServerEvent::CallerTranscript { item_id: own(&item_id), transcript: own(&words) })
        }
        7 => {
            let id = asked.map_or(item_id, |number| format!("ari-bridge-{number}"));
            let kind = named("conversation.item.added", "conversation.item.created");
            (
                json!({ "type": kind, "item": { "type": "message", "id": id } }),
                ServerEvent::ItemAdded { number: asked },
            )
        }
        8 => {
            let mut response = json!({ "id": response_id, "status": "in_progress" });
            match asked {
                Some(number) => {
                    response["metadata"] = json!({ "ari_bridge": number.to_string(), "other": "x" })
                }
                None => nothing(choices, &mut response, "metadata"),
            }
            (
                json!({ "type": "response.created", "response": response }),
                ServerEvent::ResponseCreated { response_id: own(&response_id), number: asked },
            )
        }
        9 => {
            let event = json!({
                "type": "response.function_call_arguments.done", "response_id": response_id, "item_id": item_id,
                "call_id": "c", "name": "f", "arguments": words,
            });
            let call = Item {
                id: own(&item_id),
                kind: ItemKind::FunctionCall,
                call_id: own("c"),
                name: own("f"),
                arguments: own(&words),
                ..Item::default()
            };
            (event, ServerEvent::ArgumentsDone { response_id: own(&response_id), call })
        }
        10 => {
            let (status, reason) =
                (*pick(choices, &["completed", "cancelled", "failed", "incomplete"]), word(choices));
            let details = match choices.below(3) {
                0 => json!({ "reason": reason }),
                1 => json!({ "type": status, "error": { "code": reason, "type": "x" } }),
                _ => json!({ "type": status, "reason": null, "error": { "type": reason } }),
            };
            let mut response = json!({ "id": response_id, "status": status, "status_details": details });
            nothing(choices, &mut response, "usage");
            // An object is a usage in which nothing was counted.
            if response["usage"].is_object() {
                response["usage"] = Value::Null;
            }
            let [response_id, status, detail] = [&*response_id, status, &*reason].map(own);
            (
                json!({ "type": "response.done", "response": response }),
                ServerEvent::ResponseDone { response_id, number: None, status, detail, usage: None },
            )
        }
        11 => {
            let (code, param) = (word(choices), word(choices));
            let mut error =
                json!({ "type": "invalid_request_error", "code": code, "message": words, "param": param });
            match asked {
                Some(number) => error["event_id"] = format!("ari-bridge-{number}").into(),
                None => nothing(choices, &mut error, "event_id"),
            }
            (
                json!({ "type": "error", "error": error }),
                ServerEvent::Error { code: own(&code), param: own(&param), number: asked },
            )
        }
        12 => {
            let waits: Vec<(u64, bool)> =
                (0..choices.below(4)).map(|_| (bits(choices, 16), choices.one_in(2))).collect();
            let limit = |(n, (wait, is_out)): (usize, &(u64, bool))| {
                let (remaining, reset_seconds) = (if *is_out { 0 } else { 5 }, *wait as f64 / 8.0);
                json!({ "name": format!("limit{n}"), "remaining": remaining, "reset_seconds": reset_seconds })
            };
            let limits: Vec<Value> = waits.iter().enumerate().map(limit).collect();
            let longest = waits.iter().filter(|(_, is_out)| *is_out).map(|(wait, _)| wait * 125).max();
            (
                json!({ "type": "rate_limits.updated", "rate_limits": limits }),
                ServerEvent::RateLimits { reset: longest.map(Duration::from_millis) },
            )
        }
        _ => (json!({ "type": format!("x.{words}"), "item_id": item_id }), ServerEvent::Unknown),
    }
}

/// The same JSON with its fields in another order, fields of which nobody knows, and space.
fn rewritten(choices: &mut Choices<'_>, event: &Value) -> Vec<u8> {
    let mut event = event.as_object().cloned().unwrap_or_default();
    if choices.one_in(2) {
        event.insert("event_id".to_owned(), "event_1".into());
        event.insert("zz_new".to_owned(), json!({ "type": "error", "delta": [1, 2, { "item_id": null }] }));
    }
    let mut fields: Vec<String> =
        Map::iter(&event).map(|(name, value)| format!("{}:{value}", Value::from(name.as_str()))).collect();
    let by = choices.below(fields.len());
    fields.rotate_left(by);
    let space = *pick(choices, &["", " ", "\n\t"]);
    format!("{{{space}{}{space}}}{space}", fields.join(&format!("{space},{space}"))).into_bytes()
}

proptest! {
    #![proptest_config(cases(1_000))]

    /// However it is written: it means the same, in every dialect.
    #[test]
    fn what_a_server_says_is_what_it_means(bytes in bytes(200)) {
        let mut choices = Choices::new(&bytes);
        let (event, meant) = event(&mut choices);
        let written = rewritten(&mut choices, &event);
        for dialect in Dialect::ALL {
            let read = dialect.read(&written);
            prop_assert_eq!(read.as_ref(), Some(&meant), "{}", String::from_utf8_lossy(&written));
        }
    }

    /// What is read of any JSON or none: an event exactly if it is an object whose type is text; and of bytes that are
    /// none, nothing.
    #[test]
    fn an_event_is_an_object_with_a_type(bytes in bytes(120)) {
        let mut choices = Choices::new(&bytes);
        let mut message = match choices.below(3) {
            0 => bytes.clone(),
            1 => {
                let event = json!({ "type": *pick(&mut choices, &SERVER_EVENTS) });
                rewritten(&mut choices, &event)
            }
            _ => {
                let kinds = [json!(text(&mut choices)), json!(7), Value::Null, json!(["error"])];
                json!({ "type": pick(&mut choices, &kinds) }).to_string().into_bytes()
            }
        };
        if choices.one_in(3) {
            message.truncate(message.len() / 2);
        }
        let kind = serde_json::from_slice::<Value>(&message)
            .ok()
            .and_then(|event| Some(event.as_object()?.get("type")?.as_str()?.to_owned()));
        let is_event = kind.as_ref().is_some_and(|kind| !kind.is_empty());
        let read = Dialect::OpenAi.read(&message);
        prop_assert_eq!(read.is_some(), is_event, "{}", String::from_utf8_lossy(&message));
        let is_known = kind.is_some_and(|kind| SERVER_EVENTS.contains(&kind.as_str()));
        prop_assert!(!is_known || read != Some(ServerEvent::Unknown));
    }
}
