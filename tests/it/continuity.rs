//! Conversations that go on over the loss of a session, in the corners where they would not: who waits for nothing, what is
//! heard twice or never, and what the next session is told.

mod told;

use crate::stories::{SECOND, answered_within, heard, recoveries, steps};
use ari_bridge_core::call::{EndReason, IoFault};
use ari_bridge_core::format::ModelFormat;
use ari_bridge_core::id::LinkId;
use ari_bridge_core::observe::{Observation, Recovery};
use ari_bridge_core::playout::Playout;
use ari_bridge_core::settings::{
    self, BargeIn, CallSettings, DeadAirStep, Dialect, Function, SessionSettings, Tool,
};
use ari_bridge_core::sim::realtime::{self as server, Answer, FunctionCall, Script, Speech, two_tones};
use ari_bridge_core::time::Duration;
use ari_bridge_tests::measure;
use ari_bridge_tests::scene::{Attempt, Performance, Scene, Stage};
use ari_bridge_tests::speech::utterance;
use serde_json::{Value, json};

const MS: Duration = Duration::from_millis(1);

/// Somebody who is going to say `said` is answered, also by a server that is far away.
fn answered(stage: Stage, said: &[i16]) -> Scene {
    answered_within(4 * SECOND, stage, said)
}

/// The caller is answered and says something for a second.
fn asked(stage: Stage) -> Scene {
    let mut scene = answered(stage, &utterance(1, 1.0));
    scene.speak(1);
    scene
}

fn speech(words: &str) -> Answer {
    Answer::Speech(Speech { samples: two_tones(), rate: 24_000, transcript: words.into() })
}

fn long_speech(words: &str, seconds: f64) -> Answer {
    Answer::Speech(Speech { samples: utterance(50, seconds), rate: 16_000, transcript: words.into() })
}

fn failure() -> Answer {
    Answer::Failure { code: "server_error".into() }
}

fn with(barge_in: BargeIn) -> CallSettings {
    CallSettings { barge_in, volume_boost: 1.0, ..CallSettings::default() }
}

fn stage(call: CallSettings, answers: impl IntoIterator<Item = Answer>) -> Stage {
    Stage { call, agent: Some(Box::new(Script::new(answers))), ..Stage::default() }
}

fn delivered_ms(scene: &Scene) -> u64 {
    let told = recoveries(scene).into_iter();
    told.map(|told| if let Recovery::Delivered { millis } = told { millis } else { 0 }).sum()
}

fn count(scene: &Scene, what: impl Fn(&Observation) -> bool) -> usize {
    scene.observations.iter().filter(|(_, o)| what(o)).count()
}

fn by_user(told: &[String]) -> usize {
    told.iter().filter(|item| item.starts_with("user")).count()
}

/// The server tells of a turn, which is an echo where there is one.
fn forge_turn(scene: &mut Scene, item: &str) {
    scene.forge_message(br#"{"type":"input_audio_buffer.speech_started"}"#);
    scene.run_for(300 * MS);
    let stopped = json!({ "type": "input_audio_buffer.speech_stopped", "item_id": item });
    scene.forge_message(stopped.to_string().as_bytes());
    let committed = json!({ "type": "input_audio_buffer.committed", "item_id": item });
    scene.forge_message(committed.to_string().as_bytes());
}

fn turns_over(scene: &Scene) -> usize {
    count(scene, |o| *o == Observation::SpeechStopped)
}

/// A function that takes so long and returns this.
fn function(after: Duration, body: &'static str, call: CallSettings) -> Stage {
    let function = Function {
        name: "look_up".into(),
        description: "Looks something up".into(),
        parameters: json!({ "type": "object" }),
    };
    let session = SessionSettings { tools: vec![Tool::Function(function)], ..call.session.clone() };
    Stage {
        call: CallSettings { session, volume_boost: 1.0, ..call },
        functions: vec![Performance { name: "look_up", after, reply: Ok((200, body)) }],
        ..Stage::default()
    }
}

fn calls(preamble: Option<&str>) -> Answer {
    let call = FunctionCall { name: "look_up".into(), arguments: r#"{"what":"bread"}"#.into() };
    let speech =
        preamble.map(|words| Speech { samples: two_tones(), rate: 24_000, transcript: words.into() });
    Answer::Calls { speech, calls: vec![call] }
}

fn unreachable_for(seconds: u64) -> Attempt {
    Attempt::Http { status: 503, retry_after: Some(Duration::from_secs(seconds)), body: "" }
}

fn expiring(seconds: u64) -> Stage {
    let server =
        server::Settings { session_limit: Duration::from_secs(seconds), ..server::Settings::default() };
    Stage { server, ..Stage::default() }
}

// Who sits in silence.

#[test]
fn an_echo_does_not_cost_the_caller_the_rest_of_an_answer_that_was_cut_off() {
    let mut scene =
        asked(stage(with(BargeIn::Guarded), [long_speech("We open at nine and close at five.", 8.0)]));
    scene.next_attempts([Attempt::agent(Script::new([speech("Close at five.")]))]);
    scene.run_for(3_100 * MS);
    scene.cut_realtime(IoFault::Reset);
    scene.run_for(SECOND / 2);
    assert_eq!(scene.sessions(), 2);
    // What is still heard of the agent comes back over the line.
    forge_turn(&mut scene, "echo");
    assert!(scene.said.is_empty(), "the agent is still heard");
    scene.run_for(10 * SECOND);
    assert!(scene.saw(|o| *o == Observation::EchoIgnored));
    assert_eq!(heard(&scene).last(), Some(&"Close at five."), "{:#?}", scene.told());
}

#[test]
fn the_echo_of_a_prompt_does_not_end_the_waiting() {
    let mut scene = asked(stage(with(BargeIn::Guarded), []));
    scene.run_for(1_300 * MS);
    scene.realtime_falls_silent();
    scene.forge_message(br#"{"type":"input_audio_buffer.committed","item_id":"turn"}"#);
    let is_filler = |scene: &Scene| steps(scene) == [DeadAirStep::Filler];
    scene.run_until("a tone is heard", 8 * SECOND, is_filler);
    scene.run_for(60 * MS);
    forge_turn(&mut scene, "echo");
    scene.run_for(7 * SECOND);
    assert!(scene.saw(|o| *o == Observation::EchoIgnored), "{:#?}", scene.told());
    assert!(steps(&scene).len() > 1, "nobody waits any more: {:#?}", scene.told());
}

#[test]
fn a_caller_who_spoke_while_the_agent_was_heard_is_waiting_when_it_has_ended() {
    let call = with(BargeIn::Off);
    let mut scene = asked(stage(call, [long_speech("A long story.", 8.0), Answer::Nothing]));
    scene.run_for(4 * SECOND);
    scene.speak(1);
    scene.run_until("the turn is over", 4 * SECOND, |scene| turns_over(scene) == 2);
    scene.run_until("the agent has ended", 9 * SECOND, |scene| scene.said.len() == 1);
    assert!(!scene.saw(|o| *o == Observation::EchoIgnored), "{:#?}", scene.told());
    scene.run_for(7 * SECOND);
    assert!(!steps(&scene).is_empty(), "{:#?}", scene.told());
}

#[test]
fn who_was_told_to_wait_a_moment_for_a_function_is_waiting() {
    let answers = [calls(Some("One moment.")), Answer::Nothing];
    let mut scene = asked(Stage {
        agent: Some(Box::new(Script::new(answers))),
        ..function(SECOND, r#"{"price":3}"#, with(BargeIn::On))
    });
    scene.run_until("it is performed", 6 * SECOND, |scene| !scene.performed.is_empty());
    scene.run_for(10 * SECOND);
    assert_eq!(heard(&scene), ["One moment."]);
    assert!(!steps(&scene).is_empty(), "{:#?}", scene.told());
}

#[test]
fn a_turn_that_has_ended_and_never_becomes_an_item_is_dead_air() {
    let mut scene = answered(Stage::default(), &[]);
    scene.realtime_falls_silent();
    scene.forge_message(br#"{"type":"input_audio_buffer.speech_started"}"#);
    scene.run_for(SECOND);
    scene.forge_message(br#"{"type":"input_audio_buffer.speech_stopped","item_id":"turn"}"#);
    scene.run_for(8 * SECOND);
    assert!(!steps(&scene).is_empty(), "{:#?}", scene.told());
}

#[test]
fn a_greeting_that_is_asked_for_and_never_begun_is_asked_for_again() {
    let session = SessionSettings { greeting: Some("Good day.".into()), ..SessionSettings::default() };
    let call = CallSettings { session, ..with(BargeIn::On) };
    let mut scene = answered(stage(call, [Answer::Nothing, speech("Good day.")]), &[]);
    scene.run_for(40 * SECOND);
    assert_eq!(heard(&scene), ["Good day."], "{:#?}", scene.told());
}

#[test]
fn dead_air_does_not_end_a_call_whose_session_is_still_being_replaced() {
    let recovery = settings::Recovery { retry_for: 60 * SECOND, ..settings::Recovery::default() };
    let call = CallSettings { recovery, ..with(BargeIn::On) };
    let mut scene = asked(Stage { call, ..Stage::default() });
    scene.run_until("the turn is over", 3 * SECOND, |scene| turns_over(scene) == 1);
    scene.run_for(5 * MS);
    scene.realtime_becomes(|| Attempt::http(503));
    scene.cut_realtime(IoFault::Reset);
    scene.run_for(30 * SECOND);
    assert_eq!(scene.calls(), 1, "{:#?}", scene.told());
}

#[test]
fn what_is_lost_in_a_long_outage_is_told_in_a_few_lines() {
    let recovery = settings::Recovery { retry_for: 60 * SECOND, ..settings::Recovery::default() };
    let call = CallSettings { recovery, ..with(BargeIn::On) };
    let mut scene = answered(Stage { call, ..Stage::default() }, &[]);
    scene.realtime_becomes(|| Attempt::http(503));
    scene.cut_realtime(IoFault::Reset);
    scene.run_for(50 * SECOND);
    let lines = count(&scene, |o| matches!(o, Observation::Recovery(Recovery::Dropped { .. })));
    assert!(lines < 50, "{lines} lines");
}

// What is heard twice, or never.

#[test]
fn what_still_comes_of_an_answer_that_was_given_up_in_the_dead_air_is_not_heard() {
    let mut scene = asked(stage(with(BargeIn::On), [Answer::Nothing]));
    scene.run_for(1_300 * MS);
    scene.realtime_falls_silent();
    scene.forge_message(br#"{"type":"input_audio_buffer.committed","item_id":"turn"}"#);
    scene
        .forge_message(br#"{"type":"response.created","response":{"id":"resp_old","status":"in_progress"}}"#);
    scene.run_until("it is asked again", 15 * SECOND, |scene| steps(scene).contains(&DeadAirStep::Ask));
    let silence = "A".repeat(12_800);
    let late = json!({
        "type": "response.output_audio.delta", "response_id": "resp_old", "item_id": "item_old",
        "output_index": 0, "content_index": 0, "delta": silence,
    });
    scene.forge_message(late.to_string().as_bytes());
    scene.run_for(SECOND);
    scene.hang_up(1);
    scene.run_for(SECOND);
    assert!(!scene.said.iter().any(|said| said.item_id == "item_old"), "{:?}", scene.said);
}

#[test]
fn what_was_said_in_an_outage_is_no_echo_of_the_tone_that_is_heard_when_it_is_delivered() {
    for barge_in in [BargeIn::Guarded, BargeIn::Off] {
        for wait_ms in (6_000..7_000).step_by(50) {
            let mut scene = answered(Stage { call: with(barge_in), ..Stage::default() }, &utterance(1, 1.0));
            let wait = Duration::from_millis(wait_ms);
            scene.next_attempts([Attempt::Http { status: 503, retry_after: Some(wait), body: "" }]);
            scene.cut_realtime(IoFault::Reset);
            scene.run_for(400 * MS);
            scene.speak(1);
            scene.run_for(14 * SECOND);
            assert_eq!(heard(&scene).len(), 1, "{barge_in:?}, back after {wait_ms}: {:#?}", scene.told());
        }
    }
}

#[test]
fn a_question_of_whose_answer_no_word_was_heard_is_heard_by_the_next_session() {
    let mut scene = asked(stage(with(BargeIn::On), [Answer::Nothing]));
    scene.next_attempts([Attempt::agent(Script::new([speech("At nine."), speech("At nine.")]))]);
    scene.run_until("the turn is over", 4 * SECOND, |scene| turns_over(scene) == 1);
    scene.run_for(5 * MS);
    scene.forge_message(br#"{"type":"response.created","response":{"id":"resp_1","status":"in_progress"}}"#);
    let breath = json!({
        "type": "response.output_audio.delta", "response_id": "resp_1", "item_id": "item_1",
        "output_index": 0, "content_index": 0, "delta": "A".repeat(6_400),
    });
    scene.forge_message(breath.to_string().as_bytes());
    scene.run_for(300 * MS);
    scene.cut_realtime(IoFault::Reset);
    scene.run_for(6 * SECOND);
    let told = scene.told_on(LinkId(2));
    let is_begun = told.iter().any(|item| item.starts_with("assistant"));
    let is_known = is_begun || delivered_ms(&scene) > 1_000;
    assert!(is_known, "nobody knows the question: {told:?} {:#?}", scene.told());
}

#[test]
fn the_words_that_ran_ahead_of_the_audio_of_a_lost_session_were_not_heard() {
    let mut playout = Playout::new(ModelFormat::Pcm24);
    let second = vec![0; 48_000];
    playout.push_text("item", 0, "We open at nine ");
    playout.push("item", 0, &second);
    // The text of the next seconds is there, and their audio never comes.
    playout.push_text("item", 0, "and close at five, on Saturdays at noon.");
    playout.session_ends();
    let mut frame = Vec::new();
    while playout.next_frame(&mut frame) > 0 {}
    let said = playout.next_said(false).map(|said| said.text.to_owned());
    assert_eq!(said.as_deref().map(str::trim), Some("We open at nine"));
}

#[test]
fn an_answer_that_a_key_has_cut_off_is_not_gone_on_with() {
    let mut scene = asked(stage(with(BargeIn::On), [long_speech("A long story.", 8.0)]));
    scene.next_attempts([Attempt::agent(Script::new([speech("Yes?"), speech("Yes?")]))]);
    scene.run_for(3_100 * MS);
    scene.realtime_falls_silent();
    scene.press(1, "1");
    assert!(scene.saw(|o| matches!(o, Observation::BargeIn { .. })));
    scene.cut_realtime(IoFault::Reset);
    scene.run_for(10 * SECOND);
    let created = scene.sent_on(LinkId(2));
    let goes_on = created.iter().any(|event| event.to_string().contains("Go on from exactly there"));
    assert!(!goes_on, "{:#?}", scene.told());
}

#[test]
fn a_goodbye_that_has_come_whole_is_heard_to_its_end_although_the_session_breaks() {
    let call = CallSettings { max_call: 24 * SECOND, ..with(BargeIn::On) };
    let mut scene = answered(stage(call, [long_speech("Your time is up. Goodbye.", 4.0)]), &[]);
    scene.run_until("it has come", 22 * SECOND, |scene| {
        scene.saw(|o| matches!(o, Observation::ResponseDone { .. }))
    });
    scene.cut_realtime(IoFault::Reset);
    scene.run_for(6 * SECOND);
    assert_eq!(scene.outcomes[0].ended, EndReason::MaxDuration);
    assert!(scene.said[0].heard_ms > 3_900, "{:?}", scene.said);
}

#[test]
fn a_session_is_not_left_between_the_end_of_a_turn_and_its_answer() {
    let said = utterance(1, 2.0);
    let mut scene = answered(Stage { server_lag: 50 * MS, ..expiring(36) }, &said);
    // The next session is opened in second 27.
    scene.run_for(26_000 * MS);
    scene.speak(1);
    scene.run_for(8 * SECOND);
    assert_eq!(scene.sessions(), 2, "{:#?}", scene.told());
    assert_eq!(heard(&scene).len(), 1);
    assert_eq!(delivered_ms(&scene), 0, "the turn was given to both: {:#?}", scene.told());
}

#[test]
fn who_begins_to_speak_in_the_moment_of_a_renewal_is_heard_from_the_first_syllable() {
    let said = utterance(1, 2.0);
    let mut lost = Vec::new();
    for before_ms in (0..=700).step_by(50) {
        let mut scene = answered(Stage { server_lag: 200 * MS, ..expiring(36) }, &said);
        scene.run_until("the renewal begins", 36 * SECOND, |scene| scene.attempts() == 2);
        let mut again = answered(Stage { server_lag: 200 * MS, ..expiring(36) }, &said);
        let renewed = |scene: &Scene| scene.links_open() == [LinkId(2)];
        let mut lasts = Duration::ZERO;
        while !renewed(&scene) {
            scene.run_for(10 * MS);
            lasts += 10 * MS;
        }
        again.run_until("the renewal begins", 36 * SECOND, |scene| scene.attempts() == 2);
        again.run_for(lasts.saturating_sub(Duration::from_millis(before_ms)));
        again.speak(1);
        again.run_for(8 * SECOND);
        let heard: u64 = again.said.iter().map(|said| said.heard_ms).sum();
        lost.push((before_ms, heard));
    }
    // Two seconds and what the server takes for their end.
    assert!(lost.iter().all(|(_, heard)| *heard >= 2_500), "{lost:?}");
}

#[test]
fn an_answer_that_a_key_cuts_off_after_its_session_is_not_gone_on_with() {
    let mut scene = asked(stage(with(BargeIn::On), [long_speech("A long story.", 8.0)]));
    scene.next_attempts([unreachable_for(2), Attempt::agent(Script::new([speech("Yes?"), speech("Yes?")]))]);
    scene.run_for(3_100 * MS);
    scene.cut_realtime(IoFault::Reset);
    scene.run_for(SECOND / 2);
    scene.press(1, "1");
    assert!(scene.saw(|o| matches!(o, Observation::BargeIn { .. })));
    scene.run_for(10 * SECOND);
    let created = scene.sent_on(LinkId(3));
    let goes_on = created.iter().any(|event| event.to_string().contains("Go on from exactly there"));
    assert!(!goes_on, "{:#?}", scene.told());
}

#[test]
fn nobody_is_asked_whether_somebody_is_there_while_somebody_speaks() {
    let call = CallSettings { idle: Some(5 * SECOND), ..with(BargeIn::On) };
    let answers = [failure(), speech("Is somebody there?"), speech("I see.")];
    let mut scene = answered(stage(call, answers), &utterance(1, 3.0));
    scene.run_until("the question has failed", 8 * SECOND, |scene| {
        recoveries(scene).iter().any(|told| matches!(told, Recovery::AnswerAgain { .. }))
    });
    scene.speak(1);
    scene.run_for(8 * SECOND);
    assert_eq!(scene.sent("response.create").len(), 1, "{:#?}", scene.told());
}

// What was looked for and is right.

#[test]
fn any_link_may_break_at_any_moment_of_a_renewal() {
    let said = utterance(1, 1.5);
    for link in [LinkId(1), LinkId(2)] {
        for after_ms in (0..60).step_by(10) {
            let mut scene = answered(Stage { server_lag: 10 * MS, ..expiring(36) }, &said);
            scene.speak(1);
            scene.run_until("the renewal begins", 36 * SECOND, |scene| scene.attempts() == 2);
            scene.run_for(Duration::from_millis(after_ms));
            scene.cut_link(link, IoFault::Reset);
            scene.run_for(3 * SECOND);
            let before = scene.said.len();
            scene.speak(1);
            scene.run_for(6 * SECOND);
            assert_eq!(scene.said.len(), before + 1, "{link} after {after_ms}: {:#?}", scene.told());
            assert_eq!(scene.links_open().len(), 1);
        }
    }
}

#[test]
fn a_turn_is_understood_over_a_loss_by_every_server_and_with_every_guard() {
    let said = utterance(2, 4.0);
    for dialect in Dialect::ALL {
        for barge_in in BargeIn::ALL {
            for audio_format in [ModelFormat::Pcm24, ModelFormat::Pcmu]
                .into_iter()
                .take(if barge_in == BargeIn::On { 2 } else { 1 })
            {
                let session = SessionSettings { dialect, audio_format, ..SessionSettings::default() };
                let call = CallSettings { session, ..with(barge_in) };
                let mut scene = answered(Stage { call, ..Stage::default() }, &said);
                scene.cut_realtime(IoFault::Reset);
                scene.run_for(SECOND);
                scene.speak(1);
                scene.run_for(1_700 * MS);
                scene.cut_realtime(IoFault::Reset);
                scene.run_for(11 * SECOND);
                let found = measure::find(scene.heard(1), &said);
                let what = format!("{dialect:?} {barge_in:?} {audio_format:?}");
                assert!(found.correlation > 0.7, "{what}: {found:?} {:#?}", scene.told());
                assert_eq!(scene.said.len(), 1, "{what}: {:#?}", scene.told());
            }
        }
    }
}
