//! Servers that do not keep to the ordinary course of an answer, and what the session makes of it.

use super::hearing::ALREADY_ANSWERING;
use super::*;
use crate::id::LinkId;
use crate::settings::BargeIn;
use serde_json::Value;

/// A session that stands, and what was said to the server in it.
struct Session {
    talk: Talk,
    settings: SessionSettings,
    said: Vec<String>,
}

impl Session {
    fn ready(barge_in: BargeIn, interrupt_response: bool) -> Self {
        let settings = SessionSettings {
            greeting: Some("Good day.".into()),
            interrupt_response,
            ..SessionSettings::default()
        };
        let call = CallSettings { session: settings.clone(), barge_in, ..CallSettings::default() };
        let talk = Talk::new(&call, Rng::new(1), UtcNanos::default(), None);
        let mut session = Self { talk, settings, said: Vec::new() };
        session.with(|talk, settings, out| talk.open(NOW, settings, out));
        session.server(r#"{"type":"session.created"}"#);
        session.server(r#"{"type":"session.updated"}"#);
        session.with(|talk, _, out| assert_eq!(talk.turn_over(NOW, false, out), Turnover::First));
        session.said.clear();
        session
    }

    /// The server says this; what the rest of the call hears of it.
    fn server(&mut self, message: &str) -> String {
        let mut out = Actions::new();
        let event = Dialect::OpenAi.read(message.as_bytes()).unwrap();
        let heard = if self.talk.is_heard(NOW, LinkId(1), true) {
            format!("{:?}", self.talk.message(NOW, &event, &mut out))
        } else {
            let brief = Brief { settings: &self.settings, tools: &[] };
            format!("{:?}", self.talk.coming_message(NOW, &event, brief, &mut out))
        };
        self.note(&out);
        heard
    }

    fn with<T>(&mut self, act: impl FnOnce(&mut Talk, &SessionSettings, &mut Actions) -> T) -> T {
        let mut out = Actions::new();
        let given = act(&mut self.talk, &self.settings, &mut out);
        self.note(&out);
        given
    }

    fn note(&mut self, out: &Actions) {
        for action in out.iter() {
            if let Action::SendRealtime { bytes, .. } = action {
                let event: Value = serde_json::from_str(out.text(bytes)).unwrap();
                self.said.push(event["type"].as_str().unwrap().to_owned());
            }
        }
    }

    /// So much of the caller's audio goes by.
    fn seconds(&mut self, seconds: usize) {
        let mut out = Actions::new();
        self.talk.take_audio(&vec![0; 48_000 * seconds], false, &mut out);
    }

    fn go_on(&mut self) {
        self.with(|talk, settings, out| {
            talk.give_up_on_lost();
            let moment = Moment { agent_is_heard: false, keys_come: false, results_are_due: false, now: NOW };
            talk.go_on(settings, moment, out);
        });
    }

    /// The caller's turn is over, and an answer is asked for if it can be.
    fn turn(&mut self, item: &str) {
        self.server(&format!(r#"{{"type":"input_audio_buffer.committed","item_id":"{item}"}}"#));
        self.go_on();
    }

    /// The caller interrupts.
    fn interrupt(&mut self) {
        self.with(|talk, _, out| {
            talk.speech_begins(false, None);
            talk.cancel_answer(out);
            talk.mute_answer();
        });
    }

    /// The longest time is reached.
    fn say_goodbye(&mut self) {
        let by = Instant::from_millis(60_000);
        self.with(|talk, _, out| talk.say_goodbye(EndReason::MaxDuration, by, out));
    }

    fn asks(&self) -> usize {
        self.said.iter().filter(|kind| *kind == "response.create").count()
    }
}

const NOW: Instant = Instant::START;

const CREATED: &str = r#"{"type":"response.created","response":{"id":"r"}}"#;
const COMPLETED: &str = r#"{"type":"response.done","response":{"id":"r","status":"completed"}}"#;
const CANCELLED: &str = r#"{"type":"response.done","response":{"id":"r","status":"cancelled"}}"#;
const NEXT_CREATED: &str = r#"{"type":"response.created","response":{"id":"next"}}"#;
const NEXT_COMPLETED: &str = r#"{"type":"response.done","response":{"id":"next","status":"completed"}}"#;
const NEXT_DELTA: &str = r#"{"type":"response.output_audio.delta","response_id":"next","item_id":"b","content_index":0,"delta":"AAAA"}"#;

#[test]
fn an_answer_that_was_cancelled_before_it_began_does_not_mute_the_next_one() {
    let mut session = Session::ready(BargeIn::On, false);
    session.with(|talk, settings, _| talk.greet(settings, false));
    session.go_on();
    session.interrupt();
    assert_eq!(session.said, ["response.create", "response.cancel"]);
    session.server(CANCELLED);
    session.turn("u");
    session.server(NEXT_CREATED);
    assert!(session.server(NEXT_DELTA).starts_with("Audio"));
}

#[test]
fn nor_does_it_mute_the_goodbye() {
    let mut session = Session::ready(BargeIn::Guarded, true);
    session.turn("u");
    session.interrupt();
    session.say_goodbye();
    session.server(CANCELLED);
    session.go_on();
    assert_eq!(session.asks(), 2);
    session.server(NEXT_CREATED);
    assert!(session.server(NEXT_DELTA).starts_with("Audio"));
}

#[test]
fn the_end_of_an_answer_that_was_asked_for_before_is_not_the_end_of_the_goodbye() {
    let mut session = Session::ready(BargeIn::Guarded, true);
    session.turn("u");
    // The longest time is reached before the answer has begun.
    session.say_goodbye();
    session.go_on();
    session.server(CREATED);
    session.server(CANCELLED);
    assert_eq!(session.talk.has_said_goodbye(false), None);
    session.go_on();
    assert_eq!(session.said, ["response.create", "response.cancel", "response.create"]);
    session.server(NEXT_CREATED);
    session.server(NEXT_COMPLETED);
    assert_eq!(session.talk.has_said_goodbye(false), Some(EndReason::MaxDuration));
}

#[test]
fn a_goodbye_that_the_caller_cut_off_in_its_first_moment_is_said_once_more() {
    let mut session = Session::ready(BargeIn::On, true);
    session.say_goodbye();
    session.go_on();
    // The caller had just begun to speak, and the server, which had heard that, stops it.
    session.server(NEXT_CREATED);
    session.server(r#"{"type":"response.done","response":{"id":"next","status":"cancelled"}}"#);
    assert_eq!(session.talk.has_said_goodbye(false), None);
    session.go_on();
    assert_eq!(session.asks(), 2);
    session.server(CREATED);
    session.server(CANCELLED);
    assert_eq!(session.talk.has_said_goodbye(false), Some(EndReason::MaxDuration), "but not for ever");
}

#[test]
fn an_answer_whose_end_is_never_told_does_not_silence_the_call_for_ever() {
    for barge_in in [BargeIn::Guarded, BargeIn::Off] {
        let mut session = Session::ready(barge_in, true);
        session.turn("u");
        session.server(CREATED);
        session.seconds(3);
        session.turn("v");
        assert_eq!(session.asks(), 1, "it may still be under way");
        session.seconds(8);
        session.go_on();
        assert_eq!(session.asks(), 2);
    }
}

#[test]
fn nor_does_a_refusal_that_comes_behind_the_end_of_the_other_answer() {
    for code in ALREADY_ANSWERING {
        let mut session = Session::ready(BargeIn::Guarded, true);
        session.turn("u");
        session.server(CREATED);
        session.server(COMPLETED);
        session.server(&format!(r#"{{"type":"error","error":{{"code":"{code}"}}}}"#));
        session.turn("v");
        assert_eq!(session.asks(), 1, "{code}: the one of which it spoke may be under way");
        session.seconds(11);
        session.go_on();
        assert_eq!(session.asks(), 2, "{code}");
    }
}

#[test]
fn an_item_without_a_name_or_with_a_shortened_one_is_neither_truncated_nor_taken_back() {
    let mut session = Session::ready(BargeIn::On, true);
    for item_id in [String::new(), "x".repeat(MAX_ITEM_ID_BYTES)] {
        for heard_ms in [0, 100] {
            let cut = Interrupted {
                item_id: item_id.clone(),
                content_index: 0,
                is_former: false,
                heard_ms,
                received_ms: 200,
                dropped_ms: 100,
                is_complete: false,
                unheard: vec![item_id.clone()],
            };
            session.with(|talk, _, out| talk.interrupted(&cut, out));
        }
    }
    assert!(session.said.is_empty(), "{:?}", session.said);
}
