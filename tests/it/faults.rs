//! Each fault that a life can have, and the story that tells of it alone. Those that no other file tells are told here: a caller
//! talks with a parrot, something goes wrong, and afterwards the caller talks with the parrot as before.

use ari_bridge_core::call::IoFault;
use ari_bridge_core::observe::{Observation, RtpDrop};
use ari_bridge_core::settings::{CallSettings, Prompt, Prompts};
use ari_bridge_core::sim::asterisk::CallerState;
use ari_bridge_core::time::Duration;
use ari_bridge_tests::faults::Fault;
use ari_bridge_tests::measure;
use ari_bridge_tests::scene::{Attempt, Scene, Stage};
use ari_bridge_tests::speech::utterance;
use std::path::Path;
use std::sync::Arc;

const SECOND: Duration = Duration::from_secs(1);

/// The story of a fault, by the name of its test.
const fn story(fault: Fault) -> &'static str {
    match fault {
        Fault::Loss => "a_turn_is_understood_over_a_loss_by_every_server_and_with_every_guard",
        Fault::BurstLoss => "a_long_loss_is_counted_in_full_and_filled_in_part",
        Fault::Reorder => "an_overtaken_packet_is_waited_for",
        Fault::Duplicate => "a_packet_that_comes_twice_is_taken_once",
        Fault::Corruption => "corrupted_packets_are_heard_as_no_more_than_clicks",
        Fault::Jitter => "a_line_with_jitter_is_understood",
        Fault::ClockDrift => "a_sender_whose_clock_is_slow_is_heard_in_full",
        Fault::ClockJump => "a_stalled_machine_takes_what_lies_unread_before_it_believes_in_a_pause",
        Fault::OneWay => "silence_in_one_direction_ends_no_call_and_is_no_loss_for_the_other",
        Fault::NewSsrc => "another_ssrc_is_told_of_and_the_first_is_not",
        Fault::NewPort => {
            "with_learn_the_first_sender_of_audio_is_taken_and_answered_until_the_told_address_speaks"
        }
        Fault::Stranger => "a_stranger_s_packets_and_telephone_events_are_not_heard",
        Fault::ReplyLate | Fault::ReplyTwice | Fault::EventsFirst | Fault::EventsLate => {
            "replies_that_come_late_twice_or_behind_their_events_are_only_replies"
        }
        Fault::ReplyLost => "requests_whose_answers_are_lost_are_repeated_but_no_create_is",
        Fault::RequestLost | Fault::QueueFull => {
            "a_set_up_whose_requests_do_not_arrive_sends_the_caller_on_and_leaves_nothing"
        }
        Fault::Refused4xx => "requests_that_asterisk_refuses_half_way",
        Fault::Refused5xx => {
            "an_asterisk_that_refuses_everything_for_five_seconds_costs_a_caller_no_more_than_the_agent"
        }
        Fault::Overtaken => "a_delete_that_overtakes_its_create_is_made_up_for",
        Fault::AriReset => "calls_go_on_while_the_event_socket_is_away",
        Fault::AriHalfOpen => "an_event_socket_that_is_half_open_is_found_within_ten_seconds_and_replaced",
        Fault::AriAway => "three_calls_talk_on_while_the_event_socket_is_away_for_thirty_seconds",
        Fault::AsteriskRestart => "calls_end_within_seconds_of_a_restart_of_asterisk_and_the_next_one_works",
        Fault::Replaced => "a_client_that_takes_the_application_is_left_it_until_the_bridge_is_started_again",
        Fault::ChannelGone => {
            "a_media_channel_that_vanished_while_nobody_told_ends_the_call_and_not_in_silence"
        }
        Fault::RealtimeReset => {
            "a_reset_at_each_byte_of_a_message_is_the_end_of_a_session_and_of_nothing_else"
        }
        Fault::RealtimeRefused => "a_refusal_that_passes_is_waited_for_while_the_caller_rings",
        Fault::RealtimeVanished => "a_server_that_vanishes_for_ten_seconds_is_found_out_and_nothing_is_lost",
        Fault::RealtimeError | Fault::UnknownEvent => {
            "errors_and_events_that_nobody_knows_do_not_disturb_a_conversation"
        }
        Fault::RateLimit => "a_server_that_says_when_its_limit_is_over_is_asked_then",
        Fault::ResponseRefused => "an_answer_that_fails_twice_is_spoken_about_and_the_caller_may_speak_again",
        Fault::DeltaAfterCancel => "audio_of_an_answer_that_was_cut_off_is_not_heard",
        Fault::HugeDelta => {
            "an_answer_in_one_delta_of_minutes_is_taken_in_part_and_leaves_no_large_buffer_behind"
        }
        Fault::Expiry => "a_session_that_expires_by_surprise_is_replaced_at_once",
        Fault::RealtimeSilent => "a_server_that_hears_and_says_nothing_any_more_is_asked_and_left",
        Fault::SlowReading => "a_server_that_reads_nothing_is_left_for_another",
        Fault::ToolFails => "a_function_that_fails_or_takes_too_long_is_told_to_the_model",
        Fault::NoPort => "no_media_port",
        Fault::Drain => "when_the_process_stops_a_caller_hears_so_and_goes_on_in_the_dialplan",
        Fault::StopNow => "told_a_second_time_the_process_ends_at_once_and_leaves_nothing",
        Fault::Crash => "after_a_crash_amid_ten_calls_each_caller_hears_the_agent_again_within_three_seconds",
        Fault::CaptureFull => "a_disk_that_is_full_costs_captures_and_is_noticed_when_it_is_not_any_more",
        Fault::PromptMissing => "a_caller_is_let_go_also_where_the_prompts_have_nothing_in_them",
    }
}

#[test]
fn every_fault_has_a_story() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut sources = String::new();
    for folder in ["core", "tests"] {
        read_sources(&root.join(folder), &mut sources);
    }
    for fault in Fault::ALL {
        let test = format!("fn {}(", story(*fault));
        assert!(sources.contains(&test), "no test tells of {fault}: {test}");
    }
}

fn read_sources(folder: &Path, sources: &mut String) {
    for entry in std::fs::read_dir(folder).expect("a folder of the repository").flatten() {
        let path = entry.path();
        if path.is_dir() {
            read_sources(&path, sources);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            sources.push_str(&std::fs::read_to_string(&path).expect("a source of the repository"));
        }
    }
}

/// A caller who is answered.
fn answered(stage: Stage) -> Scene {
    let mut scene = Scene::new(stage);
    scene.dial(1, &utterance(1, 1.5));
    scene.run_until("answered", 2 * SECOND, |scene| scene.state(1) == Some(CallerState::Answered));
    scene.run_for(SECOND / 2);
    scene
}

/// What the caller says comes back, as like as this at least.
fn talks(scene: &mut Scene, alike: f64) {
    let said = utterance(1, 1.5);
    let before = scene.heard(1).len();
    scene.speak(1);
    scene.run_for(5 * SECOND);
    let found = measure::find(&scene.heard(1)[before..], &said);
    assert!(found.correlation > alike, "{found:?}");
}

fn hangs_up(scene: &mut Scene) {
    scene.hang_up(1);
    scene.run_until("the call is over", 10 * SECOND, |scene| scene.calls() == 0);
    assert_eq!(scene.asterisk.ids().next(), None, "left on Asterisk");
}

#[test]
fn corrupted_packets_are_heard_as_no_more_than_clicks() {
    let mut scene = answered(Stage::default());
    scene.weather_up().corrupt = 100;
    scene.weather_down().corrupt = 100;
    talks(&mut scene, 0.4);
    assert!(scene.tally.of(Fault::Corruption) > 10);
    scene.weather_clears();
    talks(&mut scene, 0.9);
    hangs_up(&mut scene);
}

#[test]
fn a_line_with_jitter_is_understood() {
    let mut scene = answered(Stage::default());
    scene.weather_up().jitter = Duration::from_millis(35);
    talks(&mut scene, 0.85);
    assert!(scene.tally.of(Fault::Jitter) > 50);
    let lost = scene.observations.iter().filter(|(_, o)| matches!(o, Observation::RtpLost { .. })).count();
    assert_eq!(lost, 0, "what is late within the hold is not lost");
    hangs_up(&mut scene);
}

#[test]
fn a_sender_whose_clock_is_slow_is_heard_in_full() {
    let mut scene = answered(Stage::default());
    scene.weather_begins(1);
    // Ten times what a bad crystal is off by.
    scene.weather_up().drift = 1_000;
    for _ in 0..3 {
        talks(&mut scene, 0.9);
    }
    let used = scene.observations.iter().filter(|(_, o)| *o == Observation::RtpIn).count();
    assert!(used > 200, "{used} packets were used");
    hangs_up(&mut scene);
}

#[test]
fn silence_in_one_direction_ends_no_call_and_is_no_loss_for_the_other() {
    let mut scene = answered(Stage::default());
    scene.weather_up().mute = true;
    let before = scene.audio_sent;
    scene.speak(1);
    scene.run_for(20 * SECOND);
    let fed = (scene.audio_sent - before).as_millis();
    assert!(fed > 19_500, "the session is fed with silence, {fed} ms of it");
    scene.weather_up().mute = false;
    scene.weather_down().mute = true;
    scene.speak(1);
    scene.run_for(5 * SECOND);
    let sent = scene.datagrams.len();
    assert!(sent > 60, "the agent answers all the same: {sent} packets");
    scene.weather_clears();
    talks(&mut scene, 0.9);
    hangs_up(&mut scene);
}

#[test]
fn replies_that_come_late_twice_or_behind_their_events_are_only_replies() {
    for (late, twice, events_first) in [(1000, 0, false), (0, 1000, false), (0, 1000, true), (0, 0, true)] {
        let mut scene = Scene::new(Stage::default());
        scene.weather_of_requests().late = late;
        scene.weather_of_requests().twice = twice;
        scene.asterisk.faults.events_first = events_first;
        scene.events_come_late(Duration::from_millis(300));
        scene.dial(1, &utterance(1, 1.5));
        scene.run_for(12 * SECOND);
        scene.weather_clears();
        scene.run_for(5 * SECOND);
        if scene.state(1) == Some(CallerState::Answered) {
            talks(&mut scene, 0.9);
        } else {
            assert!(late > 0, "only who waits too long goes on in the dialplan: {:?}", scene.state(1));
            assert_eq!(scene.state(1), Some(CallerState::InDialplan));
        }
        hangs_up(&mut scene);
    }
}

#[test]
fn a_set_up_whose_requests_do_not_arrive_sends_the_caller_on_and_leaves_nothing() {
    for (lost, queue_full) in [(1000, 0), (0, 1000)] {
        let mut scene = Scene::new(Stage::default());
        scene.weather_of_requests().lost = lost;
        scene.weather_of_requests().queue_full = queue_full;
        scene.dial(1, &[]);
        scene.run_for(4 * SECOND);
        assert_eq!(scene.state(1), Some(CallerState::Ringing), "nobody can send the caller on");
        scene.weather_clears();
        scene.run_until("the caller goes on", 30 * SECOND, |scene| {
            scene.state(1) == Some(CallerState::InDialplan)
        });
        scene.hang_up(1);
        scene.run_until("the call is over", 60 * SECOND, |scene| scene.calls() == 0);
        assert_eq!(scene.asterisk.ids().next(), None, "left on Asterisk");
    }
}

#[test]
fn errors_and_events_that_nobody_knows_do_not_disturb_a_conversation() {
    let mut scene = answered(Stage::default());
    for message in [
        r#"{"type":"error","error":{"type":"invalid_request_error","code":"invalid_value"}}"#,
        r#"{"type":"response.image.delta","delta":"AAAA"}"#,
        r#"{"type":"session.paused","session":{"id":7}}"#,
        "not JSON at all",
    ] {
        scene.forge_message(message.as_bytes());
        talks(&mut scene, 0.9);
    }
    assert_eq!(scene.attempts(), 1, "in one session");
    hangs_up(&mut scene);
}

#[test]
fn audio_of_an_answer_that_was_cut_off_is_not_heard() {
    let mut scene = answered(Stage::default());
    scene.speak(1);
    scene.run_until("the agent speaks", 6 * SECOND, |s| s.saw(|o| matches!(o, Observation::FirstAudio(_))));
    scene.run_for(SECOND / 2);
    scene.speak(1);
    scene.run_until("barge-in", 2 * SECOND, |s| s.saw(|o| matches!(o, Observation::BargeIn { .. })));
    scene.run_for(SECOND / 10);
    let truncated = scene.sent("conversation.item.truncate");
    let item = truncated[0]["item_id"].as_str().expect("an item").to_owned();
    let before = scene.datagrams.len();
    // A second of noise that the server had made before it heard of the end.
    let noise = "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2".repeat(1000);
    let of = format!(r#""item_id":"{item}","content_index":0"#);
    scene.forge_message(
        format!(r#"{{"type":"response.output_audio.delta",{of},"delta":"{noise}"}}"#).as_bytes(),
    );
    scene.run_for(SECOND / 2);
    assert_eq!(scene.datagrams.len(), before, "nothing is sent of it");
}

#[test]
fn a_server_that_reads_nothing_is_left_for_another() {
    let mut scene = answered(Stage::default());
    scene.realtime_falls_mute();
    scene.run_for(2 * SECOND);
    scene.cut_realtime(IoFault::Backlog);
    scene.run_until("another session", 2 * SECOND, |scene| scene.sessions() == 2);
    scene.run_for(4 * SECOND);
    talks(&mut scene, 0.9);
    hangs_up(&mut scene);
}

#[test]
fn a_client_that_takes_the_application_is_left_it_until_the_bridge_is_started_again() {
    let mut scene = answered(Stage::default());
    scene.another_client_registers();
    scene.run_until("it is told", SECOND, |scene| scene.saw(|o| *o == Observation::AppReplaced));
    talks(&mut scene, 0.9);
    scene.dial(2, &[]);
    scene.run_for(SECOND);
    assert_eq!(scene.calls(), 1, "the new caller is the other client's");
    scene.another_client_leaves();
    scene.bridge_crashes();
    scene.bridge_starts();
    scene.run_until("both callers are taken on", 3 * SECOND, |scene| scene.calls() == 2);
}

#[test]
fn a_caller_is_let_go_also_where_the_prompts_have_nothing_in_them() {
    let mut prompts = Prompts::default();
    Prompt::ALL.into_iter().for_each(|prompt| prompts.set(prompt, &[]));
    let call = CallSettings { prompts: Arc::new(prompts), volume_boost: 1.0, ..CallSettings::default() };
    let mut scene = answered(Stage { call, ..Stage::default() });
    talks(&mut scene, 0.9);
    scene.realtime_becomes(|| Attempt::http(503));
    scene.cut_realtime(IoFault::Reset);
    scene.run_until("the call is over", 40 * SECOND, |scene| scene.calls() == 0);
    assert_eq!(scene.state(1), Some(CallerState::InDialplan));
    assert!(!scene.saw(|o| *o == Observation::RtpDropped(RtpDrop::Malformed)));
}
