//! Who interrupts the agent, and who answers the caller: the three ways of `BARGE_IN`.

use ari_bridge_core::observe::Observation;
use ari_bridge_core::settings::{BargeIn, CallSettings, SessionSettings};
use ari_bridge_core::sim::asterisk::CallerState;
use ari_bridge_core::time::Duration;
use ari_bridge_tests::measure;
use ari_bridge_tests::scene::{Scene, Stage};
use ari_bridge_tests::speech::utterance;

const SECOND: Duration = Duration::from_secs(1);

/// A call whose agent greets for six seconds, half a second into the greeting.
fn greeting(barge_in: BargeIn, interrupt_response: bool, caller: &[i16]) -> Scene {
    greeting_from_afar(barge_in, interrupt_response, caller, Duration::ZERO)
}

/// The same with a server that is so far away.
fn greeting_from_afar(barge_in: BargeIn, interrupt_response: bool, caller: &[i16], lag: Duration) -> Scene {
    let session = SessionSettings {
        greeting: Some("Good day.".into()),
        interrupt_response,
        ..SessionSettings::default()
    };
    // What is loud to the server may still be far below a caller: the guard measures before the boost.
    let call = CallSettings { barge_in, session, volume_boost: 8.0, ..CallSettings::default() };
    let long: Vec<i16> = utterance(9, 6.0);
    let mut scene = Scene::new(Stage { call, greeting: Some(long), server_lag: lag, ..Stage::default() });
    scene.dial(1, caller);
    scene.run_until("answered", 2 * SECOND, |scene| scene.state(1) == Some(CallerState::Answered));
    scene.run_for(SECOND / 2 + lag);
    assert!(!scene.datagrams.is_empty(), "the agent speaks");
    scene
}

fn barge_ins(scene: &Scene) -> usize {
    scene.observations.iter().filter(|(_, o)| matches!(o, Observation::BargeIn { .. })).count()
}

/// An utterance so much quieter, in steps of a half.
fn quieter(speech: &[i16], halvings: u32) -> Vec<i16> {
    speech.iter().map(|sample| sample >> halvings).collect()
}

#[test]
fn on_the_first_sound_interrupts_and_the_server_does_the_rest() {
    let mut scene = greeting(BargeIn::On, true, &utterance(1, 2.0));
    scene.speak(1);
    scene.run_for(SECOND);
    assert_eq!(barge_ins(&scene), 1);
    assert_eq!(scene.sent("conversation.item.truncate").len(), 1);
    assert_eq!(scene.sent("response.cancel").len(), 0, "the server has stopped by itself");
    assert!(scene.saw(
        |o| matches!(o, Observation::ResponseDone { detail, .. } if detail.as_str() == "turn_detected")
    ));
}

#[test]
fn on_a_server_that_does_not_stop_by_itself_is_told_to() {
    let mut scene = greeting(BargeIn::On, false, &utterance(1, 2.0));
    scene.speak(1);
    scene.run_for(SECOND);
    assert_eq!((barge_ins(&scene), scene.sent("response.cancel").len()), (1, 1));
    scene.run_for(6 * SECOND);
    let found = measure::find(scene.heard(1), &utterance(1, 2.0));
    assert!(found.correlation > 0.8, "and answers the turn: {found:?}");
    assert!(
        !scene.saw(|o| matches!(o, Observation::RealtimeError { .. })),
        "nothing was asked for that could not be"
    );
}

#[test]
fn guarded_the_caller_still_interrupts_and_is_answered() {
    let said = utterance(1, 2.0);
    let mut scene = greeting(BargeIn::Guarded, true, &said);
    scene.speak(1);
    scene.run_for(SECOND);
    assert_eq!((barge_ins(&scene), scene.sent("response.cancel").len()), (1, 1));
    assert_eq!(scene.sent("conversation.item.truncate").len(), 1);
    scene.run_for(6 * SECOND);
    let found = measure::find(scene.heard(1), &said);
    assert!(found.correlation > 0.8, "{found:?}");
}

#[test]
fn guarded_the_agents_own_echo_interrupts_nobody_and_is_not_answered() {
    // 44 dB below full scale or less: loud enough for the server, too quiet for a caller.
    let mut scene = greeting(BargeIn::Guarded, true, &quieter(&utterance(1, 2.0), 4));
    scene.speak(1);
    scene.run_for(2 * SECOND);
    assert!(scene.saw(|o| *o == Observation::SpeechStarted), "the server takes it for a caller");
    let answers = scene.sent("response.create").len();
    scene.run_for(6 * SECOND);
    assert_eq!(barge_ins(&scene), 0);
    assert!(scene.saw(|o| *o == Observation::EchoIgnored));
    assert_eq!(scene.sent("response.create").len(), answers, "it is not answered");
    assert_eq!(scene.sent("conversation.item.delete").len(), 1, "and taken back");
}

#[test]
fn guarded_a_quiet_caller_is_heard_while_the_agent_is_silent() {
    let said = quieter(&utterance(1, 2.0), 4);
    let mut scene = greeting(BargeIn::Guarded, true, &said);
    scene.run_for(5 * SECOND);
    scene.speak(1);
    scene.run_for(6 * SECOND);
    assert!(!scene.saw(|o| *o == Observation::EchoIgnored));
    let found = measure::find(scene.heard(1), &said);
    assert!(found.correlation > 0.8, "{found:?}");
}

#[test]
fn off_the_agent_ends_what_it_says_and_then_answers() {
    let said = utterance(1, 1.5);
    let mut scene = greeting(BargeIn::Off, true, &said);
    scene.speak(1);
    scene.run_for(9 * SECOND);
    assert_eq!(barge_ins(&scene), 0);
    assert!(scene.sent("conversation.item.truncate").is_empty());
    let greeting = measure::find(scene.heard(1), &said);
    assert!(greeting.correlation > 0.8, "the caller's turn was answered: {greeting:?}");
    let whole = scene.said.iter().find(|said| said.text == "Ding, dong.").expect("the greeting was said");
    assert_eq!(whole.heard_ms, whole.received_ms);
}

#[test]
fn a_call_that_ends_in_mid_sentence_has_heard_the_half_of_it() {
    let mut scene = greeting(BargeIn::On, true, &[]);
    scene.run_for(SECOND);
    scene.hang_up(1);
    scene.run_until("the end", SECOND, |scene| scene.calls() == 0);
    let [said] = &scene.said[..] else { panic!("{:?}", scene.said) };
    assert!((1000..1800).contains(&said.heard_ms) && said.received_ms > said.heard_ms, "{said:?}");
}

#[test]
fn guarded_a_short_word_interrupts_and_is_answered_however_far_away_the_server_is() {
    for word_ms in [200, 300, 400] {
        for lag_ms in [0, 200, 400, 600] {
            let word: Vec<i16> = utterance(1, 1.0)[1600..].iter().copied().take(16 * word_ms).collect();
            let lag = Duration::from_millis(lag_ms);
            let mut scene = greeting_from_afar(BargeIn::Guarded, true, &word, lag);
            scene.speak(1);
            scene.run_for(12 * SECOND);
            let name = format!("{word_ms} ms of a word, {lag_ms} ms of a lag");
            assert!(scene.saw(|o| *o == Observation::SpeechStarted), "{name}: the server hears it");
            assert!(!scene.saw(|o| *o == Observation::EchoIgnored), "{name}: it is no echo");
            assert_eq!(barge_ins(&scene), 1, "{name}");
            assert_eq!(scene.sent("response.create").len(), 2, "{name}: the greeting, the answer");
        }
    }
}

#[test]
fn off_a_caller_who_goes_on_speaking_is_not_answered_into() {
    // One second, a pause in which the server takes it for a turn, and eight seconds beyond the greeting's end.
    let mut said = utterance(1, 1.0);
    said.extend(vec![0; 16 * 1200]);
    said.extend(utterance(2, 8.0));
    let mut scene = greeting(BargeIn::Off, true, &said);
    scene.speak(1);
    scene.run_for(16 * SECOND);
    let when = |what: &dyn Fn(&Observation) -> bool| {
        scene.observations.iter().filter(|(_, o)| what(o)).map(|(at, _)| *at).collect::<Vec<_>>()
    };
    let (begins, ends) =
        (when(&|o| *o == Observation::SpeechStarted), when(&|o| *o == Observation::SpeechStopped));
    let (Some(begins), Some(ends)) = (begins.last(), ends.last()) else { panic!("the caller was not heard") };
    let greeting_ends = scene.datagrams.iter().map(|(at, _)| *at).take_while(|at| at < ends).last();
    assert!(greeting_ends.is_some_and(|at| at < *begins + 5 * SECOND), "nothing was said over the caller");
    assert!(scene.sent("response.create").len() >= 2, "who is answered afterwards");
}

#[test]
fn off_the_agents_own_echo_is_not_answered_either() {
    let mut scene = greeting(BargeIn::Off, true, &quieter(&utterance(1, 2.0), 4));
    scene.speak(1);
    scene.run_for(9 * SECOND);
    assert!(scene.saw(|o| *o == Observation::EchoIgnored));
    assert_eq!(scene.sent("response.create").len(), 1, "the greeting, and no other");
}
