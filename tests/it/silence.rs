//! Callers who would sit in silence: answers that fail, answers that never come, and what is heard instead.

use crate::stories::{SECOND, asked, heard, recoveries, steps};
use ari_bridge_core::call::{EndReason, IoFault};
use ari_bridge_core::id::LinkId;
use ari_bridge_core::observe::{Observation, Recovery};
use ari_bridge_core::settings::{
    BargeIn, CallSettings, DeadAir, DeadAirStep, FailedAnswer, Fallback, Function, Prompt, SessionSettings,
    Tool,
};
use ari_bridge_core::sim::asterisk::CallerState;
use ari_bridge_core::sim::realtime::{Answer, FunctionCall, Script, Speech, two_tones};
use ari_bridge_core::time::Duration;
use ari_bridge_tests::scene::{Attempt, Line, Performance, Scene, Stage};
use serde_json::json;

fn speech(words: &str) -> Answer {
    Answer::Speech(Speech { samples: two_tones(), rate: 24_000, transcript: words.into() })
}

fn failure(code: &str) -> Answer {
    Answer::Failure { code: code.into() }
}

fn stage(answers: impl IntoIterator<Item = Answer>) -> Stage {
    Stage { agent: Some(Box::new(Script::new(answers))), ..Stage::default() }
}

#[test]
fn an_answer_that_fails_once_is_asked_for_again_after_a_moment() {
    for code in ["server_error", "rate_limit_exceeded", "inference_rate_limit_exceeded"] {
        let mut scene = asked(stage([failure(code), speech("At last.")]));
        scene.run_for(6 * SECOND);
        assert_eq!(heard(&scene), ["At last."], "{:#?}", scene.told());
        assert_eq!(recoveries(&scene), [Recovery::AnswerAgain { wait: SECOND }]);
    }
}

#[test]
fn a_server_that_says_when_its_limit_is_over_is_asked_then() {
    let limited = Answer::RateLimited { reset: Duration::from_millis(3_500) };
    let mut scene = asked(stage([limited, speech("At last.")]));
    scene.run_for(7 * SECOND);
    let waits: Vec<_> = recoveries(&scene);
    assert_eq!(waits, [Recovery::AnswerAgain { wait: Duration::from_millis(3_500) }], "{:#?}", scene.told());
    assert_eq!(heard(&scene), ["At last."]);
}

#[test]
fn an_answer_that_ends_before_its_first_word_is_none_and_one_that_ends_early_is_one() {
    let cut = |speech: Option<Speech>, reason: &str| Answer::Incomplete { speech, reason: reason.into() };
    let words = || Speech { samples: two_tones(), rate: 24_000, transcript: "As much as I may say.".into() };
    for reason in ["content_filter", "max_output_tokens"] {
        let mut scene = asked(stage([cut(None, reason), speech("At last.")]));
        scene.run_for(6 * SECOND);
        assert_eq!(heard(&scene), ["At last."], "{reason}: {:#?}", scene.told());
        let mut scene = asked(stage([cut(Some(words()), reason), speech("Never asked for.")]));
        scene.run_for(6 * SECOND);
        assert_eq!(heard(&scene), ["As much as I may say."], "{reason}: {:#?}", scene.told());
    }
}

#[test]
fn an_answer_that_fails_in_the_middle_is_gone_on_with() {
    let broken = Answer::Broken {
        speech: Speech { samples: two_tones(), rate: 24_000, transcript: "We open at".into() },
        code: "server_error".into(),
    };
    let mut scene = asked(stage([broken, speech("nine.")]));
    scene.run_for(8 * SECOND);
    assert_eq!(heard(&scene), ["We open at", "nine."], "{:#?}", scene.told());
    let created = scene.sent("response.create");
    let told = created[0]["response"]["instructions"].as_str().unwrap();
    assert!(told.contains("Go on from exactly there"), "{told}");
}

#[test]
fn an_answer_that_is_never_begun_is_asked_for_in_the_dead_air() {
    let mut scene = asked(stage([Answer::Nothing, speech("At last.")]));
    scene.run_for(16 * SECOND);
    assert_eq!(heard(&scene), ["At last."], "{:#?}", scene.told());
    assert_eq!(steps(&scene), [DeadAirStep::Filler, DeadAirStep::Ask]);
}

#[test]
fn an_answer_that_fails_twice_is_spoken_about_and_the_caller_may_speak_again() {
    for barge_in in BargeIn::ALL {
        let answers = [failure("server_error"), failure("server_error"), speech("Now it goes.")];
        let call = CallSettings { barge_in, volume_boost: 1.0, ..CallSettings::default() };
        let mut scene = asked(Stage { call, ..stage(answers) });
        scene.run_for(6 * SECOND);
        let told = recoveries(&scene);
        assert_eq!(told[1..], [Recovery::AnswerGivenUp, Recovery::Prompt(Prompt::Sorry)], "{barge_in:?}");
        scene.speak(1);
        scene.run_for(5 * SECOND);
        assert_eq!(heard(&scene), ["Now it goes."], "{barge_in:?}: {:#?}", scene.told());
    }
}

#[test]
fn three_turns_without_an_answer_are_the_end_of_the_conversation() {
    let mut scene = asked(stage([]));
    for _ in 0..2 {
        scene.run_for(6 * SECOND);
        assert_eq!(scene.calls(), 1);
        scene.speak(1);
    }
    scene.run_for(6 * SECOND);
    assert_eq!(scene.outcomes[0].ended, EndReason::AnswersFailed);
    assert_eq!(scene.state(1), Some(CallerState::InDialplan));
    assert_eq!(recoveries(&scene).last(), Some(&Recovery::Prompt(Prompt::Moment)));
}

#[test]
fn who_wants_no_patience_with_failed_answers_sends_the_caller_on_after_the_second() {
    let call = CallSettings { failed_answer: FailedAnswer::Fallback, ..CallSettings::default() };
    let mut scene = asked(Stage { call, ..stage([]) });
    scene.run_for(6 * SECOND);
    assert_eq!(scene.outcomes[0].ended, EndReason::AnswersFailed);
}

#[test]
fn a_request_for_an_answer_that_is_refused_is_made_once_more() {
    let call = CallSettings { barge_in: BargeIn::Guarded, volume_boost: 1.0, ..CallSettings::default() };
    let mut scene = asked(Stage { call, server_lag: SECOND / 5, ..stage([speech("Here I am.")]) });
    scene.run_until("an answer is asked for", 4 * SECOND, |scene| !scene.sent("response.create").is_empty());
    let id = scene.sent("response.create")[0]["event_id"].as_str().unwrap().to_owned();
    let refusal = json!({
        "type": "error",
        "error": { "type": "server_error", "code": "server_error", "event_id": id },
    });
    scene.forge_message(refusal.to_string().as_bytes());
    scene.run_for(5 * SECOND);
    assert_eq!(
        recoveries(&scene).first(),
        Some(&Recovery::AnswerAgain { wait: SECOND }),
        "{:#?}",
        scene.told()
    );
    assert!(heard(&scene).contains(&"Here I am."));
}

/// A caller to whom nobody says anything, although the server has heard the turn.
fn waiting(dead_air: DeadAir) -> Scene {
    let call = CallSettings { dead_air, volume_boost: 1.0, ..CallSettings::default() };
    let mut scene = asked(Stage { call, ..Stage::default() });
    scene.run_until("the turn is over", 3 * SECOND, |scene| scene.saw(|o| *o == Observation::SpeechStopped));
    scene.realtime_falls_silent();
    scene.forge_message(br#"{"type":"input_audio_buffer.committed","item_id":"item_of_the_turn"}"#);
    scene
}

#[test]
fn dead_air_is_filled_then_asked_about_and_then_left_for_a_session_that_answers() {
    let mut scene = waiting(DeadAir::default());
    scene.run_for(Duration::from_millis(4_900));
    assert_eq!(recoveries(&scene), []);
    scene.run_for(5 * SECOND);
    assert_eq!(steps(&scene), [DeadAirStep::Filler]);
    assert!(recoveries(&scene).contains(&Recovery::Prompt(Prompt::Moment)), "{:#?}", scene.told());
    scene.run_for(10 * SECOND);
    assert_eq!(steps(&scene), [DeadAirStep::Filler, DeadAirStep::Ask, DeadAirStep::Reconnect]);
    assert_eq!(scene.sessions(), 2);
    scene.run_for(5 * SECOND);
    assert_eq!(heard(&scene), ["What you said."], "the next session hears the turn: {:#?}", scene.told());
    assert_eq!(steps(&scene).len(), 3, "and that is that");
}

#[test]
fn dead_air_in_every_session_ends_in_the_dialplan() {
    let dead_air = DeadAir { after: Some(2 * SECOND), ..DeadAir::default() };
    let call = CallSettings { dead_air, volume_boost: 1.0, ..CallSettings::default() };
    let mut scene = asked(Stage { call, ..stage([Answer::Nothing, Answer::Nothing]) });
    scene.next_attempts([Attempt::agent(Script::new([Answer::Nothing, Answer::Nothing, Answer::Nothing]))]);
    scene.run_for(30 * SECOND);
    assert_eq!(scene.outcomes[0].ended, EndReason::DeadAir, "{:#?}", scene.told());
    assert_eq!((scene.sessions(), scene.state(1)), (2, Some(CallerState::InDialplan)));
}

#[test]
fn while_there_is_no_session_the_patience_with_it_counts_and_not_that_with_dead_air() {
    let mut scene = waiting(DeadAir::default());
    scene.realtime_becomes(|| Attempt::http(503));
    scene.run_for(50 * SECOND);
    assert_eq!(scene.outcomes[0].ended, EndReason::RealtimeLost, "{:#?}", scene.told());
    assert!(steps(&scene).iter().skip(3).all(|step| *step == DeadAirStep::Filler), "{:?}", steps(&scene));
}

#[test]
fn what_is_done_about_dead_air_is_the_operators_to_say() {
    let dead_air = DeadAir { after: Some(2 * SECOND), steps: vec![DeadAirStep::Fallback] };
    let mut scene = waiting(dead_air);
    scene.run_for(4 * SECOND);
    assert_eq!((scene.outcomes[0].ended, steps(&scene)), (EndReason::DeadAir, vec![DeadAirStep::Fallback]));
    let mut scene = waiting(DeadAir { after: None, ..DeadAir::default() });
    scene.run_for(60 * SECOND);
    assert_eq!((scene.calls(), steps(&scene)), (1, vec![]));
}

#[test]
fn where_there_is_no_fallback_place_the_caller_hears_goodbye_and_is_hung_up() {
    let call = CallSettings { fallback: Fallback::HangUp, ..CallSettings::default() };
    let mut scene = asked(Stage { call, ..Stage::default() });
    scene.run_for(3 * SECOND);
    scene.realtime_becomes(|| Attempt::http(401));
    scene.cut_realtime(IoFault::Reset);
    scene.run_for(3 * SECOND);
    assert_eq!(scene.outcomes[0].ended, EndReason::RealtimeRefused);
    assert_eq!(recoveries(&scene).last(), Some(&Recovery::Prompt(Prompt::Goodbye)));
    assert_eq!(scene.state(1), Some(CallerState::Gone));
}

/// A function that takes four seconds.
fn slow_function() -> Stage {
    let function = Function {
        name: "look_up".into(),
        description: "Looks something up".into(),
        parameters: json!({ "type": "object" }),
    };
    let session = SessionSettings { tools: vec![Tool::Function(function)], ..SessionSettings::default() };
    let call = FunctionCall { name: "look_up".into(), arguments: r#"{"what":"bread"}"#.into() };
    Stage {
        call: CallSettings { session, volume_boost: 1.0, ..CallSettings::default() },
        functions: vec![Performance {
            name: "look_up",
            after: 4 * SECOND,
            reply: Ok((200, r#"{"price":3}"#)),
        }],
        ..stage([Answer::Calls { speech: None, calls: vec![call] }])
    }
}

#[test]
fn what_a_function_has_found_is_told_to_the_session_that_came_meanwhile() {
    let mut scene = asked(slow_function());
    scene.run_until("the function is called", 4 * SECOND, |scene| !scene.performed.is_empty());
    scene.next_attempts([Attempt::agent(Script::new([speech("Three euros.")]))]);
    scene.cut_realtime(IoFault::Reset);
    scene.run_for(10 * SECOND);
    let told = scene.told_on(LinkId(2));
    let about: Vec<_> = told.iter().filter(|item| !item.starts_with("user")).collect();
    assert_eq!(about, [r#"call: look_up {"what":"bread"}"#, r#"output: {"price":3}"#]);
    assert_eq!(heard(&scene), ["Three euros."], "{:#?}", scene.told());
    assert_eq!(scene.performed.len(), 1, "and it is not called again");
}

#[test]
fn a_result_that_comes_while_there_is_no_session_waits_for_one() {
    let mut scene = asked(slow_function());
    scene.run_until("the function is called", 4 * SECOND, |scene| !scene.performed.is_empty());
    let slow = Attempt::Http { status: 503, retry_after: Some(Duration::from_secs(6)), body: "" };
    scene.next_attempts([slow, Attempt::agent(Script::new([speech("Three euros.")]))]);
    scene.cut_realtime(IoFault::Reset);
    scene.run_for(12 * SECOND);
    let told = scene.told_on(LinkId(3));
    assert_eq!(told.last().unwrap(), r#"output: {"price":3}"#);
    assert_eq!(heard(&scene), ["Three euros."], "{:#?}", scene.told());
    assert_eq!(scene.record.iter().filter(|(_, line)| matches!(line, Line::Returned(..))).count(), 1);
}

#[test]
fn what_is_keyed_in_while_there_is_no_session_is_told_to_the_next_one_and_answered() {
    let mut scene = asked(Stage::default());
    scene.run_for(4 * SECOND);
    let slow = Attempt::Http { status: 503, retry_after: Some(Duration::from_secs(5)), body: "" };
    scene.next_attempts([slow, Attempt::agent(Script::new([speech("Four zero, noted.")]))]);
    scene.cut_realtime(IoFault::Reset);
    scene.run_for(SECOND);
    scene.press(1, "40#");
    scene.run_for(10 * SECOND);
    assert!(scene.told_on(LinkId(3)).last().unwrap().contains("keyed in on the telephone: 40"));
    assert_eq!(heard(&scene).last(), Some(&"Four zero, noted."), "{:#?}", scene.told());
}

#[test]
fn a_goodbye_that_the_model_cannot_say_is_a_sound_of_the_bridges_own() {
    let call = CallSettings { max_call: 30 * SECOND, volume_boost: 1.0, ..CallSettings::default() };
    let mut scene = asked(Stage { call, ..Stage::default() });
    scene.run_for(18 * SECOND);
    scene.realtime_becomes(|| Attempt::http(503));
    scene.cut_realtime(IoFault::Reset);
    scene.run_for(14 * SECOND);
    assert_eq!(scene.outcomes[0].ended, EndReason::MaxDuration, "{:#?}", scene.told());
    assert_eq!(recoveries(&scene).last(), Some(&Recovery::Prompt(Prompt::Goodbye)));
    assert_eq!(scene.state(1), Some(CallerState::Gone));
}

#[test]
fn a_goodbye_that_the_server_refuses_for_good_is_a_goodbye_all_the_same() {
    let call = CallSettings { max_call: 30 * SECOND, volume_boost: 1.0, ..CallSettings::default() };
    let answers = [speech("At nine."), failure("insufficient_quota")];
    let mut scene = asked(Stage { call, ..stage(answers) });
    scene.run_for(32 * SECOND);
    assert_eq!(scene.outcomes[0].ended, EndReason::MaxDuration, "{:#?}", scene.told());
    assert_eq!(recoveries(&scene).last(), Some(&Recovery::Prompt(Prompt::Goodbye)));
    assert_eq!(scene.state(1), Some(CallerState::Gone));
}
