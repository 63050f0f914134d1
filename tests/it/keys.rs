//! The keys of the caller's telephone, a caller who says nothing, and what the server is told of who calls.

use ari_bridge_core::call::EndReason;
use ari_bridge_core::observe::Observation;
use ari_bridge_core::settings::{
    BargeIn, CallSettings, Dialect, Keys, SessionSettings, Transcription, Transfer,
};
use ari_bridge_core::sim::asterisk::CallerState;
use ari_bridge_core::sim::realtime::{Agent, Answer, FunctionCall, Prompt, Speech, two_tones};
use ari_bridge_core::time::Duration;
use ari_bridge_tests::measure;
use ari_bridge_tests::scene::{Line, Scene, Stage};
use ari_bridge_tests::speech::utterance;

const SECOND: Duration = Duration::from_secs(1);

/// An agent that says for 1.2 seconds what it was asked to answer.
#[derive(Debug)]
struct Echo;

impl Agent for Echo {
    fn answer(&mut self, prompt: Prompt<'_>) -> Answer {
        let transcript = match prompt {
            Prompt::Turn { .. } => "A turn.".to_owned(),
            Prompt::Items { texts, turn, .. } => {
                format!("Keys: {} turn: {}", texts.join(" "), turn.is_some())
            }
            Prompt::Create { instructions } => instructions.unwrap_or("Nothing.").to_owned(),
        };
        Answer::Speech(Speech { samples: two_tones(), rate: 24_000, transcript })
    }

    fn write_down(&mut self, _: &[i16], _: u32) -> Option<String> {
        Some("What the caller said.".into())
    }
}

fn stage(call: CallSettings) -> Stage {
    Stage { call, agent: Some(Box::new(Echo)), ..Stage::default() }
}

fn answered(stage: Stage) -> Scene {
    let mut scene = Scene::new(stage);
    scene.dial(1, &utterance(1, 2.0));
    scene.run_until("answered", SECOND, |scene| scene.state(1) == Some(CallerState::Answered));
    scene.run_for(SECOND / 5);
    scene
}

fn said(scene: &Scene, words: &str) -> bool {
    scene.said.iter().any(|said| said.text.contains(words))
}

#[test]
fn what_is_keyed_in_arrives_as_a_message_and_is_answered() {
    for barge_in in BargeIn::ALL {
        let mut scene = answered(stage(CallSettings { barge_in, ..CallSettings::default() }));
        scene.press(1, "4711#");
        scene.run_for(4 * SECOND);
        let item = &scene.sent("conversation.item.create")[0]["item"];
        assert_eq!((&item["type"], &item["role"]), (&"message".into(), &"user".into()));
        assert!(item["content"][0]["text"].as_str().unwrap().contains("4711"));
        assert_eq!(scene.sent("response.create").len(), 1);
        assert!(said(&scene, "4711"), "{:?}", scene.said);
        assert!(scene.record.iter().any(|(_, line)| *line == Line::Keys("4711".into())));
        assert!(scene.saw(|o| *o == Observation::KeyedIn { keys: 4 }), "without the keys themselves");
    }
}

#[test]
fn a_pause_ends_an_entry_too() {
    let mut scene = answered(stage(CallSettings::default()));
    scene.press(1, "12");
    scene.run_for(2 * SECOND);
    assert!(scene.sent("conversation.item.create").is_empty());
    scene.run_for(2 * SECOND);
    assert_eq!(scene.sent("conversation.item.create").len(), 1);
}

#[test]
fn a_key_silences_the_agent_unless_nobody_may() {
    for barge_in in BargeIn::ALL {
        let session =
            SessionSettings { greeting: Some("Key in your number.".into()), ..SessionSettings::default() };
        let call = CallSettings { barge_in, session, ..CallSettings::default() };
        let mut scene = answered(stage(call));
        scene.run_for(SECOND / 2);
        scene.press(1, "1#");
        scene.run_for(4 * SECOND);
        let barge_ins =
            scene.observations.iter().filter(|(_, o)| matches!(o, Observation::BargeIn { .. })).count();
        assert_eq!(barge_ins, usize::from(barge_in != BargeIn::Off), "{barge_in:?}");
        assert!(said(&scene, "Keys:"), "{barge_in:?}: answered all the same");
        assert!(!scene.saw(|o| matches!(o, Observation::RealtimeError { .. })), "{barge_in:?}");
    }
}

#[test]
fn an_answer_that_is_refused_because_of_another_is_asked_for_behind_it() {
    for dialect in [Dialect::OpenAi, Dialect::Qwen] {
        let session = SessionSettings { dialect, ..SessionSettings::default() };
        let call = CallSettings { session, ..CallSettings::default() };
        let mut scene = answered(Stage { server_lag: SECOND / 3, ..stage(call) });
        // The server begins an answer by itself, and the caller keys something in before the bridge has heard of it.
        scene.forge_client_event(br#"{"type":"response.create"}"#);
        scene.press(1, "5#");
        scene.run_for(6 * SECOND);
        let refusals =
            scene.observations.iter().filter(|(_, o)| matches!(o, Observation::RealtimeError { .. }));
        assert_eq!(refusals.count(), 1, "{dialect:?}");
        assert_eq!(scene.sent("response.create").len(), 2, "{dialect:?}: and once more");
        let words: Vec<_> = scene.said.iter().map(|said| said.text.as_str()).collect();
        assert!(
            words.len() == 2 && words[0] == "Nothing." && words[1].contains("5)"),
            "{dialect:?}: {words:?}"
        );
    }
}

#[test]
fn an_answer_that_begins_between_two_keys_is_silenced_by_the_second() {
    let mut scene = answered(stage(CallSettings::default()));
    scene.press(1, "1");
    // The server begins to speak by itself.
    scene.forge_client_event(br#"{"type":"response.create"}"#);
    scene.run_until("it is heard", SECOND, |scene| !scene.datagrams.is_empty());
    scene.press(1, "2#");
    scene.run_for(4 * SECOND);
    assert!(scene.saw(|o| matches!(o, Observation::BargeIn { .. })));
    assert!(said(&scene, "12)"), "{:?}", scene.said);
}

#[test]
fn a_caller_who_is_keying_something_in_is_not_answered_into() {
    // The first key cuts off a goodbye; that the caller stays is told to the agent, who answers when all keys are there.
    let mut scene = answered(Stage { agent: Some(Box::new(Leaves)), ..stage(CallSettings::default()) });
    scene.speak(1);
    scene
        .run_until("the goodbye", 6 * SECOND, |scene| scene.saw(|o| matches!(o, Observation::FirstAudio(_))));
    scene.run_for(SECOND / 4);
    scene.press(1, "12345");
    assert!(scene.sent("response.create").is_empty(), "more keys may come");
    scene.press(1, "6#");
    scene.run_for(3 * SECOND);
    assert_eq!((scene.sent("response.create").len(), scene.calls()), (1, 1));
    assert!(said(&scene, "123456"), "{:?}", scene.said);
}

/// Says goodbye to a turn, and repeats what was keyed in.
#[derive(Debug)]
struct Leaves;

impl Agent for Leaves {
    fn answer(&mut self, prompt: Prompt<'_>) -> Answer {
        let said = Echo.answer(prompt);
        match (prompt, said) {
            (Prompt::Turn { .. }, Answer::Speech(speech)) => {
                let call = FunctionCall { name: "hang_up".into(), arguments: "{}".into() };
                Answer::Calls { speech: Some(speech), calls: vec![call] }
            }
            (_, said) => said,
        }
    }
}

#[test]
fn keys_and_speech_keep_their_order() {
    // The caller speaks and, still speaking, keys something in: one answer, to both, and the sentence came first.
    for barge_in in BargeIn::ALL {
        let mut scene = answered(stage(CallSettings { barge_in, ..CallSettings::default() }));
        scene.speak(1);
        scene.run_for(SECOND);
        scene.press(1, "7#");
        assert!(
            scene.sent("conversation.item.create").is_empty(),
            "{barge_in:?}: the caller is in a sentence"
        );
        scene.run_for(7 * SECOND);
        assert_eq!(scene.sent("conversation.item.create").len(), 1, "{barge_in:?}");
        assert!(said(&scene, "7"), "{barge_in:?}: {:?}", scene.said);
        // Keyed in first and then spoken: the keys are in the conversation when the turn is answered.
        let mut scene = answered(stage(CallSettings { barge_in, ..CallSettings::default() }));
        scene.press(1, "8");
        scene.speak(1);
        scene.run_for(SECOND);
        scene.press(1, "#");
        scene.run_for(6 * SECOND);
        assert!(said(&scene, "8) turn: true"), "{barge_in:?}: one answer to both: {:?}", scene.said);
        let told = scene.told();
        assert!(
            !scene.saw(|o| matches!(o, Observation::RealtimeError { .. })),
            "{barge_in:?} {told:#?} {:#?}",
            scene.client_events
        );
    }
}

#[test]
fn a_hot_key_acts_at_once_and_without_the_model() {
    let operator = Transfer {
        name: "operator".into(),
        context: "internal".into(),
        extension: "1001".into(),
        priority: 2,
    };
    let session = SessionSettings { greeting: Some("Welcome.".into()), ..SessionSettings::default() };
    let call = CallSettings {
        keys: Keys { hot: vec![('0', 0)], ..Keys::default() },
        transfers: vec![operator],
        session,
        ..CallSettings::default()
    };
    let mut scene = answered(stage(call.clone()));
    scene.press(1, "10#");
    scene.run_for(SECOND);
    assert_eq!(scene.calls(), 1, "a 0 within an entry is a digit");
    scene.press(1, "0");
    scene.run_for(SECOND);
    assert_eq!((scene.calls(), scene.outcomes[0].ended), (0, EndReason::Transferred));
    assert_eq!(scene.asterisk.continued_at(1), Some("internal,1001,2"));
    // Also if the Realtime server never says a word again.
    let mut scene = answered(stage(call));
    scene.run_for(SECOND / 2);
    scene.press(1, "0");
    assert_eq!(scene.calls(), 0, "nothing is waited for, not even the agent's sentence");
}

#[test]
fn an_idle_caller_is_asked_once_and_then_said_goodbye_to() {
    let call = CallSettings { idle: Some(8 * SECOND), ..CallSettings::default() };
    let mut scene = answered(stage(call.clone()));
    scene.run_for(9 * SECOND);
    assert!(scene.saw(|o| *o == Observation::CallerIdle));
    scene.run_for(2 * SECOND);
    assert!(said(&scene, "still there"), "{:?}", scene.said);
    scene.run_until("the end", 14 * SECOND, |scene| scene.calls() == 0);
    assert_eq!(scene.outcomes[0].ended, EndReason::CallerIdle);
    assert!(said(&scene, "say goodbye"), "{:?}", scene.said);
    assert!(scene.said.iter().all(|said| said.heard_ms == said.received_ms), "to the last word");
    assert_eq!(scene.sent("response.create").len(), 2);
    assert_eq!(scene.state(1), Some(CallerState::Gone));
    // One who answers is not idle any more.
    let mut scene = answered(stage(call));
    scene.run_for(10 * SECOND);
    scene.speak(1);
    scene.run_for(10 * SECOND);
    assert_eq!(scene.calls(), 1);
    let asked = scene.observations.iter().filter(|(_, o)| *o == Observation::CallerIdle).count();
    assert_eq!(asked, 1);
    scene.run_for(4 * SECOND);
    let asked = scene.observations.iter().filter(|(_, o)| *o == Observation::CallerIdle).count();
    assert_eq!((asked, scene.calls()), (2, 1), "and is asked again before it is over");
}

#[test]
fn a_greeting_can_be_interrupted() {
    let session = SessionSettings {
        greeting: Some("Welcome to a long greeting.".into()),
        ..SessionSettings::default()
    };
    let call = CallSettings { session, volume_boost: 1.0, ..CallSettings::default() };
    let mut scene = Scene::new(Stage { call, greeting: Some(utterance(9, 6.0)), ..Stage::default() });
    let words = utterance(1, 2.0);
    scene.dial(1, &words);
    scene.run_until("it greets", 2 * SECOND, |scene| scene.datagrams.len() > 25);
    scene.speak(1);
    scene.run_for(8 * SECOND);
    let cut: Vec<_> = scene.said.iter().filter(|said| said.heard_ms < said.received_ms).collect();
    assert_eq!(cut.len(), 1, "{:?}", scene.said);
    let truncation = &scene.sent("conversation.item.truncate")[0];
    assert_eq!(truncation["audio_end_ms"], cut[0].heard_ms);
    assert!(measure::find(scene.heard(1), &words).correlation > 0.9, "and the caller's turn is answered");
}

#[test]
fn the_record_holds_who_said_what_and_how_long_it_took() {
    let model = "gpt-realtime-whisper".into();
    let transcription = Some(Transcription { model, language: Some("en".into()), prompt: None });
    let session = SessionSettings { transcription, ..SessionSettings::default() };
    let mut scene = answered(stage(CallSettings { session, ..CallSettings::default() }));
    scene.speak(1);
    scene.run_for(7 * SECOND);
    let lines: Vec<_> = scene.record.iter().map(|(_, line)| line).collect();
    assert!(lines.contains(&&Line::Caller("What the caller said.".into())), "{lines:?}");
    assert!(lines.contains(&&Line::Agent("A turn.".into())), "{lines:?}");
    let answered = lines.iter().find_map(|line| match line {
        Line::Answered(caller, response, agent, latency) => Some((caller, response, agent, latency)),
        _ => None,
    });
    let (caller, response, agent, latency) = answered.expect("the turn was answered");
    assert!(caller.starts_with("item_") && response.starts_with("resp_"), "{caller} {response}");
    assert_eq!(Some(agent), scene.said.first().map(|said| &said.item_id));
    let created = latency.created.expect("it was told");
    assert!(created <= latency.first_delta && latency.first_delta <= latency.first_packet, "{latency:?}");
    // The stand-in thinks for 100 ms.
    assert!((90..200).contains(&latency.first_delta.as_millis()), "{latency:?}");
}

#[test]
fn every_dialect_carries_a_call() {
    for dialect in Dialect::ALL {
        let session =
            SessionSettings { dialect, greeting: Some("Hello.".into()), ..SessionSettings::default() };
        let call = CallSettings { session, volume_boost: 1.0, ..CallSettings::default() };
        let words = utterance(4, 2.0);
        let mut scene = Scene::new(Stage { call, ..Stage::default() });
        scene.dial(1, &words);
        scene.run_until("answered", 2 * SECOND, |scene| scene.state(1) == Some(CallerState::Answered));
        scene.run_for(3 * SECOND);
        scene.speak(1);
        scene.run_for(7 * SECOND);
        let found = measure::find(scene.heard(1), &words);
        let told = scene.told();
        assert!(found.correlation > 0.9, "{dialect:?}: {found:?} {told:#?} {:#?}", scene.client_events);
        // An interruption, too.
        scene.speak(1);
        scene.run_for(SECOND);
        assert!(!scene.saw(|o| matches!(o, Observation::RealtimeError { .. })), "{dialect:?}");
        scene.hang_up(1);
        scene.run_for(SECOND);
        assert_eq!(scene.outcomes[0].ended, EndReason::CallerHungUp, "{dialect:?}");
    }
}

#[test]
fn the_server_learns_who_calls_only_if_it_is_to_and_only_as_a_pseudonym() {
    let scene = answered(Stage { safety: true, ..stage(CallSettings::default()) });
    let [identifier] = &scene.safety_identifiers[..] else { panic!("{:?}", scene.safety_identifiers) };
    assert!(identifier.len() == 64 && identifier.bytes().all(|b| b.is_ascii_hexdigit()), "{identifier}");
    let scene = answered(stage(CallSettings::default()));
    assert_eq!(scene.safety_identifiers, [""]);
}
