use super::*;
use ari_bridge_core::realtime::SERVER_EVENTS;
use ari_bridge_core::realtime::{Dialect, ServerEvent};
use std::collections::BTreeSet;

fn bytes(event: &serde_json::Value) -> Vec<u8> {
    event.to_string().into_bytes()
}

#[test]
fn there_is_an_example_of_every_event_and_the_reader_knows_it() {
    let events = server_events();
    let kinds: BTreeSet<_> = events.iter().map(|event| event["type"].as_str().expect("a type")).collect();
    assert_eq!(kinds, BTreeSet::from(SERVER_EVENTS));
    for event in &events {
        let message = bytes(event);
        let read = Dialect::OpenAi.read(&message);
        assert!(read.is_some_and(|read| read != ServerEvent::Unknown), "{event}");
    }
}

#[test]
fn every_variant_is_read_and_there_are_not_too_many_of_them() {
    for event in server_events() {
        let variants = variants(&event);
        assert!(variants.len() > 10 && variants.len() <= MAX_VARIANTS, "{} of {event}", variants.len());
        let distinct: BTreeSet<_> = variants.iter().map(ToString::to_string).collect();
        assert!(distinct.len() * 10 >= variants.len() * 9, "{} of {}", distinct.len(), variants.len());
        for message in variants.iter().map(bytes).chain(broken(&bytes(&event))) {
            let _ = Dialect::OpenAi.read(&message);
        }
    }
}

#[test]
fn a_field_is_removed_nulled_and_replaced_at_every_depth() {
    let event = serde_json::json!({ "type": "x", "a": { "b": [5] } });
    let variants: BTreeSet<_> = variants(&event).iter().map(ToString::to_string).collect();
    for expected in [
        serde_json::json!({ "type": "x" }),
        serde_json::json!({ "type": "x", "a": {} }),
        serde_json::json!({ "type": "x", "a": { "b": [] } }),
        serde_json::json!({ "type": "x", "a": { "b": [null] } }),
        serde_json::json!({ "type": "x", "a": { "b": [-1] } }),
        serde_json::json!({ "a": { "b": [5] } }),
    ] {
        assert!(variants.contains(&expected.to_string()), "{expected}");
    }
}

#[test]
fn what_is_broken_is_mostly_no_event() {
    for event in server_events() {
        let broken = broken(&bytes(&event));
        let read = broken.iter().filter(|message| Dialect::OpenAi.read(message).is_some()).count();
        assert!(read * 2 < broken.len(), "{read} of {} of {event}", broken.len());
    }
}
