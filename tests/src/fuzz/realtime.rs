//! What a Realtime server says.

use super::json::{Json, is_json};
use ari_bridge_core::format::ModelFormat;
use ari_bridge_core::observe::Label;
use ari_bridge_core::realtime::{Dialect, Item, ServerEvent, close_code, verdict};

/// Bytes as an event of a Realtime server, in every dialect, and as the reason of a close.
///
/// What is read is JSON and the same each time, it is what another reader of JSON finds there, and no part of a message
/// is one.
pub fn realtime_event(bytes: &[u8]) {
    let json = Json::parse(bytes);
    for dialect in Dialect::ALL {
        let event = dialect.read(bytes);
        assert_eq!(event, dialect.read(bytes), "the same bytes, another event");
        if event.is_some() {
            assert!(is_json(bytes), "an event that is no JSON");
            let cut = &bytes[..bytes.trim_ascii_end().len() - 1];
            assert_eq!(dialect.read(cut), None, "half an event is one");
        }
        if let Some(json) = &json {
            check(event.as_ref(), json);
        }
    }
    let code = close_code(bytes);
    assert!(code.as_str().len() <= Label::MAX_BYTES, "{code:?}");
    // Whatever the code: a verdict follows.
    let _verdict = verdict(code.as_str(), bytes.first().map(|code| 1000 + u16::from(*code)), None);
}

/// The event is what stands there.
fn check(event: Option<&ServerEvent<'_>>, json: &Json) {
    let kind = json.get("type").and_then(Json::string).unwrap_or_default();
    assert_eq!(event.is_some(), json.is_object() && !kind.is_empty(), "{json:?}");
    let Some(event) = event else { return };
    let of_item = (json.text("item_id"), json.number("content_index"));
    match event {
        ServerEvent::AudioDelta { response_id, item_id, content_index, delta }
        | ServerEvent::TranscriptDelta { response_id, item_id, content_index, delta } => {
            assert!(kind.ends_with(".delta"), "{kind}");
            assert_eq!((&**item_id, *content_index), of_item);
            assert_eq!((&**response_id, &**delta), (json.text("response_id"), json.text("delta")));
        }
        ServerEvent::AudioDone { item_id, content_index } => {
            assert_eq!((&**item_id, *content_index), of_item)
        }
        ServerEvent::TranscriptDone { item_id, content_index, transcript } => {
            assert_eq!((&**item_id, *content_index), of_item);
            assert_eq!(&**transcript, json.text("transcript"));
        }
        ServerEvent::CallerTranscript { item_id, transcript } => {
            assert_eq!((&**item_id, &**transcript), (json.text("item_id"), json.text("transcript")));
        }
        ServerEvent::SpeechStopped { item_id, .. } | ServerEvent::Committed { item_id } => {
            assert_eq!(&**item_id, json.text("item_id"));
        }
        ServerEvent::ArgumentsDone { call, .. } => {
            assert_eq!((&*call.id, &*call.call_id), (json.text("item_id"), json.text("call_id")));
            assert_eq!((&*call.name, &*call.arguments), (json.text("name"), json.text("arguments")));
        }
        ServerEvent::ItemDone { item, .. } => same_item(item, json.get("item")),
        ServerEvent::ResponseCreated { response_id, .. } => {
            assert_eq!(&**response_id, inner(json.get("response"), "id"));
        }
        ServerEvent::ResponseDone { response_id, status, .. } => {
            let there = json.get("response");
            assert_eq!((&**response_id, &**status), (inner(there, "id"), inner(there, "status")));
        }
        ServerEvent::Error { code, param, .. } => {
            let there = json.get("error");
            let expected = [inner(there, "code"), inner(there, "type")];
            assert_eq!(&**code, expected.into_iter().find(|code| !code.is_empty()).unwrap_or_default());
            assert_eq!(&**param, inner(there, "param"));
        }
        ServerEvent::SessionUpdated { format } => same_format(*format, json),
        ServerEvent::SessionCreated { expires_at } => assert_ne!(*expires_at, Some(0)),
        ServerEvent::SpeechStarted { .. }
        | ServerEvent::IdleTimeout
        | ServerEvent::CallerTranscriptFailed { .. }
        | ServerEvent::ItemAdded { .. }
        | ServerEvent::RateLimits { .. }
        | ServerEvent::Mcp(_)
        | ServerEvent::Ignored
        | ServerEvent::Unknown => {}
    }
}

/// A text in an object that may not be there.
fn inner<'j>(object: Option<&'j Json>, name: &str) -> &'j str {
    object.map(|object| object.text(name)).unwrap_or_default()
}

fn same_item(item: &Item<'_>, there: Option<&Json>) {
    let Item { id, status, call_id, name, arguments, server_label, kind: _ } = item;
    for (read, field) in [
        (id, "id"),
        (status, "status"),
        (call_id, "call_id"),
        (name, "name"),
        (arguments, "arguments"),
        (server_label, "server_label"),
    ] {
        assert_eq!(&**read, inner(there, field), "{field}");
    }
}

/// A format that is named is named on both sides.
fn same_format(format: Option<ModelFormat>, json: &Json) {
    let named = |side: &str| {
        let session = json.get("session")?;
        let format = session.get("audio").and_then(|audio| audio.get(side)?.get("format")?.get("type"));
        format.or_else(|| session.get(&format!("{side}_audio_format")))?.string()
    };
    if let Some(format) = format {
        let names = [format.media_type(), format.beta_name()];
        for side in ["input", "output"] {
            assert!(named(side).is_some_and(|name| names.contains(&name)), "{side} is not {format:?}");
        }
    }
}
