//! Barge-in: what the caller still hears, and what the server is told was heard.

use ari_bridge_core::settings::{BargeIn, CallSettings};
use ari_bridge_core::sim::asterisk::CallerState;
use ari_bridge_core::time::Duration;
use ari_bridge_tests::scene::{Scene, Stage};
use base64::Engine as _;
use serde_json::Value;

const SECOND: Duration = Duration::from_secs(1);

fn talking() -> Scene {
    let mut scene = Scene::new(Stage::default());
    scene.dial(1, &[]);
    scene.run_until("answered", SECOND, |scene| scene.state(1) == Some(CallerState::Answered));
    scene
}

/// So much of the agent's voice, as a part of this item of the answer `r`.
fn delta(item: &str, ms: usize) -> Vec<u8> {
    let pcm: Vec<u8> = (0..ms * 24).flat_map(|n| (((n % 48) as i16 - 24) * 400).to_le_bytes()).collect();
    let audio = base64::engine::general_purpose::STANDARD.encode(pcm);
    let kind = r#""type":"response.output_audio.delta","response_id":"r","content_index":0"#;
    format!(r#"{{{kind},"item_id":"{item}","delta":"{audio}"}}"#).into_bytes()
}

const CREATED: &[u8] = br#"{"type":"response.created","response":{"id":"r"}}"#;
const DONE_A: &[u8] = br#"{"type":"response.output_audio.done","item_id":"a","content_index":0}"#;
const SPEECH: &[u8] = br#"{"type":"input_audio_buffer.speech_started","audio_start_ms":1,"item_id":"u"}"#;
const CANCELLED: &[u8] =
    br#"{"type":"response.done","response":{"id":"r","status":"cancelled","status_details":{"reason":"turn_detected"}}}"#;
const COMPLETED: &[u8] = br#"{"type":"response.done","response":{"id":"r","status":"completed"}}"#;

/// What the server was told of its items: type, item and milliseconds heard.
fn told(scene: &Scene) -> Vec<(String, String, Option<u64>)> {
    let events = scene.client_events.iter().filter_map(|event| serde_json::from_str::<Value>(event).ok());
    let about_items = events.filter(|event| event["item_id"].is_string());
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    about_items.map(|e| (text(&e["type"]), text(&e["item_id"]), e["audio_end_ms"].as_u64())).collect()
}

fn truncated(item: &str, ms: u64) -> (String, String, Option<u64>) {
    ("conversation.item.truncate".into(), item.into(), Some(ms))
}

fn deleted(item: &str) -> (String, String, Option<u64>) {
    ("conversation.item.delete".into(), item.into(), None)
}

#[test]
fn an_item_that_waits_behind_the_one_being_heard_is_taken_back() {
    let mut scene = talking();
    for message in [CREATED, &delta("a", 1000), DONE_A, &delta("b", 2000)] {
        scene.forge_message(message);
    }
    scene.run_for(SECOND / 2);
    scene.forge_message(SPEECH);
    scene.run_for(SECOND / 10);
    let told = told(&scene);
    assert_eq!(told, [truncated("a", told[0].2.unwrap_or_default()), deleted("b")]);
    assert!((440..=500).contains(&told[0].2.unwrap_or_default()), "{told:?}");
}

#[test]
fn an_item_that_ran_dry_is_truncated_to_what_was_heard() {
    let mut scene = talking();
    scene.forge_message(CREATED);
    scene.forge_message(&delta("a", 200));
    scene.run_for(SECOND / 2);
    scene.forge_message(SPEECH);
    // Made before the server heard the caller, and still on its way.
    scene.forge_message(&delta("a", 3000));
    let sent = scene.media_sent_to.len();
    scene.run_for(SECOND);
    assert_eq!(told(&scene), [truncated("a", 200)]);
    assert_eq!(scene.media_sent_to.len(), sent, "and nothing more of it is heard");
}

#[test]
fn an_answer_that_was_heard_to_its_end_is_left_as_it_is() {
    let mut scene = talking();
    for message in [CREATED, &delta("a", 200), COMPLETED] {
        scene.forge_message(message);
    }
    scene.run_for(SECOND);
    scene.forge_message(SPEECH);
    scene.run_for(SECOND / 10);
    assert_eq!(told(&scene), []);
}

#[test]
fn nothing_that_still_comes_of_the_answer_is_played_over_the_caller_not_even_a_new_item() {
    let mut scene = talking();
    scene.forge_message(CREATED);
    scene.forge_message(&delta("a", 1000));
    scene.run_for(SECOND / 2);
    for message in [SPEECH, &delta("b", 2000), CANCELLED] {
        scene.forge_message(message);
    }
    scene.run_for(SECOND / 25);
    let sent = scene.media_sent_to.len();
    scene.run_for(3 * SECOND);
    assert_eq!(scene.media_sent_to.len(), sent);
    assert_eq!(told(&scene).last(), Some(&deleted("b")), "and the model does not believe that it was");
}

#[test]
fn an_answer_that_was_only_asked_for_is_cut_off_before_its_first_word() {
    let call = CallSettings { barge_in: BargeIn::Guarded, ..CallSettings::default() };
    let mut scene = Scene::new(Stage { call, ..Stage::default() });
    scene.dial(1, &[]);
    scene.run_until("answered", SECOND, |scene| scene.state(1) == Some(CallerState::Answered));
    // The caller pauses for a moment too long, and goes on before the answer has begun.
    scene.forge_message(br#"{"type":"input_audio_buffer.committed","item_id":"u"}"#);
    scene.forge_message(
        br#"{"type":"input_audio_buffer.speech_started","audio_start_ms":9000,"item_id":"v"}"#,
    );
    scene.run_for(2 * SECOND);
    let asked = |what: &str| scene.client_events.iter().filter(|event| event.contains(what)).count();
    assert_eq!((asked("response.create"), asked("response.cancel")), (1, 1));
    assert!(scene.datagrams.is_empty(), "nothing of it is heard over the caller");
}

#[test]
fn a_server_that_names_neither_answers_nor_items_is_heard_again_after_a_barge_in() {
    let mut scene = talking();
    let nameless =
        |ms| String::from_utf8(delta("", ms)).unwrap_or_default().replace(r#""response_id":"r","#, "");
    scene.forge_message(nameless(1000).as_bytes());
    scene.run_for(SECOND / 2);
    scene.forge_message(SPEECH);
    scene.run_for(SECOND);
    let sent = scene.media_sent_to.len();
    scene.forge_message(nameless(1000).as_bytes());
    scene.run_for(2 * SECOND);
    assert!(scene.media_sent_to.len() > sent + 40);
}

#[test]
fn a_server_that_sends_crumbs_as_items_does_not_make_a_step_longer_than_it_may_be() {
    let mut scene = talking();
    scene.forge_message(CREATED);
    for n in 0..60 {
        scene.forge_message(&delta(&format!("crumb{n}"), 1));
    }
    scene.forge_message(&delta("bread", 1000));
    scene.run_for(SECOND);
    let told: Vec<_> = scene.said.iter().map(|said| (said.item_id.clone(), said.heard_ms)).collect();
    let crumbs: Vec<_> = (0..60).map(|n| (format!("crumb{n}"), 1)).collect();
    assert_eq!(told, crumbs, "each was heard and is told once, in order, a few in each step");
}
