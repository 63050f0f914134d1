//! Reading what servers say, and what some of them say by mistake.

use super::*;
use crate::observe::UsageKind;
use crate::realtime::METADATA_KEY;

fn event(json: &'static str) -> ServerEvent<'static> {
    parse(json.as_bytes()).unwrap()
}

#[test]
fn every_event_of_the_interface_is_used_or_knowingly_ignored() {
    for kind in SERVER_EVENTS {
        let message = format!(r#"{{"type":"{kind}"}}"#);
        let event = parse(message.as_bytes()).unwrap();
        assert_ne!(event, ServerEvent::Unknown, "{kind}");
        assert_eq!(event == ServerEvent::Ignored, IGNORED.contains(&kind), "{kind}");
    }
    assert_eq!(event(r#"{"type":"response.cancelled"}"#), ServerEvent::Unknown);
}

#[test]
fn the_names_of_the_former_beta_are_understood() {
    for (beta, ga) in [
        ("response.audio.delta", "response.output_audio.delta"),
        ("response.audio.done", "response.output_audio.done"),
        ("response.audio_transcript.delta", "response.output_audio_transcript.delta"),
        ("response.audio_transcript.done", "response.output_audio_transcript.done"),
        ("conversation.item.created", "conversation.item.added"),
        ("response.text.delta", "response.output_text.delta"),
    ] {
        let with = |kind: &str| {
            format!(
                r#"{{"type":"{kind}","item_id":"i","delta":"AAAA","transcript":"t","item":{{"id":"i"}}}}"#
            )
        };
        assert_eq!(parse(with(beta).as_bytes()), parse(with(ga).as_bytes()), "{beta}");
    }
}

#[test]
fn a_delta_is_borrowed_from_the_message() {
    let event = event(
        r#"{"type":"response.output_audio.delta","event_id":"e","response_id":"r","item_id":"i","output_index":0,
           "content_index":1,"delta":"AAEC","obfuscation":"zzz"}"#,
    );
    let ServerEvent::AudioDelta { response_id, item_id, content_index, delta } = event else {
        panic!("{event:?}")
    };
    assert_eq!((&*response_id, &*item_id, content_index, &*delta), ("r", "i", 1, "AAEC"));
}

#[test]
fn a_failed_response_names_its_error_and_a_cancelled_one_its_reason() {
    let failed = event(
        r#"{"type":"response.done","response":{"status":"failed","status_details":{"type":"failed",
           "error":{"type":"x","code":"rate_limit_exceeded"}}}}"#,
    );
    let ServerEvent::ResponseDone { status, detail, .. } = failed else { panic!() };
    assert_eq!((&*status, &*detail), ("failed", "rate_limit_exceeded"));
    let cancelled = event(
        r#"{"type":"response.done","response":{"status":"cancelled","status_details":{"reason":"turn_detected","error":null}}}"#,
    );
    assert!(matches!(cancelled, ServerEvent::ResponseDone { detail, .. } if &*detail == "turn_detected"));
}

#[test]
fn a_response_and_an_error_tell_what_they_answer() {
    let metadata = format!(r#"{{"{METADATA_KEY}":"7","other":"x"}}"#);
    let created = format!(r#"{{"type":"response.created","response":{{"id":"r","metadata":{metadata}}}}}"#);
    let Some(ServerEvent::ResponseCreated { number, .. }) = parse(created.as_bytes()) else { panic!() };
    assert_eq!(number, Some(7));
    for metadata in ["null", "{}", r#"{"ari_bridge":"x"}"#, "[]"] {
        let created = format!(r#"{{"type":"response.created","response":{{"metadata":{metadata}}}}}"#);
        let Some(ServerEvent::ResponseCreated { number, .. }) = parse(created.as_bytes()) else { panic!() };
        assert_eq!(number, None);
    }
    let error = event(r#"{"type":"error","error":{"code":"x","event_id":"ari-bridge-12"}}"#);
    assert!(matches!(error, ServerEvent::Error { number: Some(12), .. }), "{error:?}");
    let error = event(r#"{"type":"error","error":{"code":"x","event_id":null}}"#);
    assert!(matches!(error, ServerEvent::Error { number: None, .. }), "{error:?}");
}

#[test]
fn a_function_call_comes_with_its_name_and_arguments_in_both_events() {
    let done = event(
        r#"{"type":"response.output_item.done","response_id":"r","item":{"id":"i","type":"function_call",
           "status":"completed","call_id":"c","name":"transfer","arguments":"{\"a\":1}"}}"#,
    );
    let ServerEvent::ItemDone { item, .. } = done else { panic!() };
    assert_eq!((item.kind, &*item.call_id, &*item.name), (ItemKind::FunctionCall, "c", "transfer"));
    let arguments = event(
        r#"{"type":"response.function_call_arguments.done","response_id":"r","item_id":"i","call_id":"c",
           "name":"transfer","arguments":"{\"a\":1}"}"#,
    );
    let ServerEvent::ArgumentsDone { call, .. } = arguments else { panic!() };
    assert_eq!((&call.id, &call.call_id, &call.arguments), (&item.id, &item.call_id, &item.arguments));
}

#[test]
fn nulls_unknown_fields_and_unknown_events_are_tolerated() {
    for message in [
        r#"{"type":"error","error":{"code":null,"param":null,"event_id":null,"type":"server_error"}}"#,
        r#"{"type":"response.done","response":null}"#,
        r#"{"type":"session.created","session":{"new_in_2030":[1,{}]}}"#,
        r#"{"type":"something.new","delta":null,"item_id":null,"content_index":null}"#,
        r#"{"type":"response.output_item.done","item":[1]}"#,
    ] {
        assert!(parse(message.as_bytes()).is_some(), "{message}");
    }
}

#[test]
fn one_field_of_another_kind_does_not_cost_an_event() {
    let code = |json| match event(json) {
        ServerEvent::Error { code, .. } => code.to_string(),
        other => format!("{other:?}"),
    };
    assert_eq!(code(r#"{"type":"error","error":{"type":"invalid_request_error","code":400}}"#), "400");
    assert_eq!(code(r#"{"type":"error","error":"model overloaded"}"#), "");
    assert_eq!(event(r#"{"type":"vendor.note","delta":{"x":1},"response":"text"}"#), ServerEvent::Unknown);
    assert_eq!(
        event(r#"{"type":"input_audio_buffer.speech_started","audio_start_ms":"120"}"#),
        ServerEvent::SpeechStarted { audio_start_ms: None }
    );
    let delta = r#"{"type":"response.output_audio.delta","item_id":"a","content_index":-1,"delta":"AAAA"}"#;
    assert!(matches!(event(delta), ServerEvent::AudioDelta { content_index: 0, .. }));
}

#[test]
fn what_is_not_an_event_is_none() {
    for message in [&b""[..], b"{", b"5", b"{}", br#"{"type":7}"#, br#"{"type":""}"#, b"\xff"] {
        assert_eq!(parse(message), None);
    }
}

#[test]
fn the_format_is_found_in_a_nested_and_in_a_flat_session() {
    let nested = r#"{"type":"session.updated","session":{"audio":{"input":{"format":{"type":"audio/pcmu"}},
        "output":{"format":{"type":"audio/pcmu"}}}}}"#;
    let flat = r#"{"type":"session.updated","session":{"input_audio_format":"g711_ulaw","output_audio_format":"g711_ulaw"}}"#;
    for message in [nested, flat] {
        assert_eq!(event(message), ServerEvent::SessionUpdated { format: Some(ModelFormat::Pcmu) });
    }
    for session in [
        r#"{"audio":{"input":{"format":{"type":"audio/pcmu"}},"output":{"format":{"type":"audio/pcm","rate":24000}}}}"#,
        r#"{"audio":{"input":{"format":"pcmu"},"output":{"format":"pcmu"}}}"#,
        r#"{"audio":{"input":null}}"#,
        r#"{"audio":7}"#,
    ] {
        let shown = format!(r#"{{"type":"session.updated","session":{session}}}"#);
        let event = parse(shown.as_bytes());
        assert_eq!(event, Some(ServerEvent::SessionUpdated { format: None }), "{session}");
    }
}

#[test]
fn what_an_answer_used_up_is_told_apart_by_kind_and_what_is_not_counts_as_audio() {
    let done = |usage: &str| {
        let message =
            format!(r#"{{"type":"response.done","response":{{"status":"completed","usage":{usage}}}}}"#);
        let ServerEvent::ResponseDone { usage, .. } = parse(message.as_bytes()).unwrap() else { panic!() };
        usage.map(|usage| UsageKind::ALL.map(|kind| usage.of(kind)))
    };
    let full = r#"{"input_tokens":230,"output_tokens":90,"input_token_details":{"text_tokens":100,"audio_tokens":120,
        "cached_tokens":80,"cached_tokens_details":{"text_tokens":64,"audio_tokens":16}},
        "output_token_details":{"text_tokens":20,"audio_tokens":70}}"#;
    assert_eq!(done(full), Some([36, 64, 20, 114, 16, 70]));
    assert_eq!(done(r#"{"input_tokens":10,"output_tokens":5}"#), Some([0, 0, 0, 10, 0, 5]));
    assert_eq!(done(r#"{"input_tokens":-1,"output_tokens":"x","input_token_details":7}"#), Some([0; 6]));
    assert_eq!(done("null"), None);
}

#[test]
fn a_session_says_when_it_ends_and_a_limit_that_is_used_up_when_it_is_there_again() {
    let created =
        |session: &str| parse_owned(&format!(r#"{{"type":"session.created","session":{session}}}"#));
    assert_eq!(created(r#"{"expires_at":1795003600}"#), "SessionCreated { expires_at: Some(1795003600) }");
    assert_eq!(created(r#"{"expires_at":null}"#), "SessionCreated { expires_at: None }");
    assert_eq!(created("[]"), "SessionCreated { expires_at: None }");
    let limits =
        |limits: &str| parse_owned(&format!(r#"{{"type":"rate_limits.updated","rate_limits":{limits}}}"#));
    let used_up = r#"[{"name":"requests","limit":9,"remaining":3,"reset_seconds":60},
        {"name":"tokens","limit":9,"remaining":0,"reset_seconds":1.5}]"#;
    assert_eq!(limits(used_up), "RateLimits { reset: Some(1.5s) }");
    assert_eq!(limits("{}"), "RateLimits { reset: None }");
}

fn parse_owned(message: &str) -> String {
    format!("{:?}", parse(message.as_bytes()).unwrap())
}

#[test]
fn a_list_is_no_event_and_nothing_in_one() {
    assert_eq!(parse(br#"["response.output_audio.delta","r","i",0,"AAAA"]"#), None);
    assert_eq!(
        event(r#"{"type":"response.output_item.done","item":["i","function_call"]}"#),
        event(r#"{"type":"response.output_item.done"}"#)
    );
    assert_eq!(
        event(r#"{"type":"error","error":["server_error","session_expired"]}"#),
        event(r#"{"type":"error"}"#)
    );
    assert_eq!(
        event(r#"{"type":"rate_limits.updated","rate_limits":[["tokens",0,7]]}"#),
        ServerEvent::RateLimits { reset: None }
    );
}
