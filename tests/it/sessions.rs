//! Calls that outlive their Realtime sessions: lost ones, expired ones, and servers that are not there for a while.

use crate::stories::{SECOND, answered, recoveries};
use ari_bridge_core::call::{EndReason, IoFault};
use ari_bridge_core::id::LinkId;
use ari_bridge_core::observe::{Observation, Recovery};
use ari_bridge_core::settings::{self, CallSettings, Prompt, Resume, SessionSettings};
use ari_bridge_core::sim::asterisk::CallerState;
use ari_bridge_core::sim::realtime::{self as server, Answer, Script, Speech};
use ari_bridge_core::time::Duration;
use ari_bridge_tests::measure;
use ari_bridge_tests::scene::{Attempt, Scene, Stage};
use ari_bridge_tests::speech::utterance;

fn count(scene: &Scene, what: impl Fn(&Recovery) -> bool) -> usize {
    recoveries(scene).iter().filter(|told| what(told)).count()
}

fn is_prompt(told: &Recovery) -> bool {
    matches!(told, Recovery::Prompt(_))
}

/// The caller speaks, and hears it said back in full.
fn is_understood(scene: &mut Scene, said: &[i16]) {
    let before = scene.heard(1).len();
    is_answered(scene, said);
    let found = measure::find(&scene.heard(1)[before..], said);
    assert!(found.correlation > 0.9, "the caller is not understood: {found:?}; {:#?}", scene.told());
}

/// The caller speaks, and is answered at length. It is what can be seen of a long call, of which not all is kept that
/// was heard.
fn is_answered(scene: &mut Scene, said: &[i16]) {
    let (before, seconds) = (scene.said.len(), said.len() as f64 / 16_000.0);
    scene.speak(1);
    scene.run_for(Duration::from_secs_f64(seconds * 2.0) + 2 * SECOND);
    let answers = &scene.said[before..];
    let is_whole = answers.len() == 1 && answers[0].heard_ms as f64 > seconds * 900.0;
    assert!(is_whole, "the caller is not answered: {answers:?}; {:#?}", scene.told());
}

fn is_well_and_leaves_nothing(mut scene: Scene) {
    assert_eq!(scene.state(1), Some(CallerState::Answered), "{:#?}", scene.told());
    scene.hang_up(1);
    scene.run_until("the call is over", 10 * SECOND, |scene| scene.calls() == 0);
    assert_eq!(scene.outcomes[0].ended, EndReason::CallerHungUp);
    assert!(scene.links_open().is_empty(), "a link is left open");
    assert_eq!((scene.asterisk.channel_count(), scene.asterisk.bridge_count()), (0, 0));
}

/// An agent that says these words, for so many seconds each.
fn says(words: &[(&str, f64)]) -> Script {
    let speech = |(n, (words, seconds)): (usize, &(&str, f64))| {
        let samples = utterance(50 + n as u64, *seconds);
        Answer::Speech(Speech { samples, rate: 16_000, transcript: (*words).to_owned() })
    };
    Script::new(words.iter().enumerate().map(speech))
}

#[test]
fn a_session_that_is_lost_in_a_pause_is_replaced_before_anybody_notices() {
    let said = utterance(1, 2.0);
    let mut scene = answered(Stage::default(), &said);
    is_understood(&mut scene, &said);
    scene.cut_realtime(IoFault::Reset);
    scene.run_for(SECOND);
    assert_eq!((scene.sessions(), count(&scene, is_prompt)), (2, 0), "{:#?}", scene.told());
    let carried = scene.told_on(LinkId(2));
    assert_eq!(
        carried,
        ["user: (The caller said something here that was not written down.)", "assistant: What you said."]
    );
    is_understood(&mut scene, &said);
    is_well_and_leaves_nothing(scene);
}

#[test]
fn five_sessions_are_lost_in_one_call_and_the_sixth_knows_it_all() {
    let said = utterance(1, 1.5);
    let mut scene = answered(Stage::default(), &said);
    for n in 1..=5 {
        is_understood(&mut scene, &said);
        scene.cut_realtime(IoFault::Reset);
        scene.run_for(SECOND);
        assert_eq!(scene.told_on(LinkId(n + 1)).len(), 2 * n as usize, "{:#?}", scene.told());
    }
    is_understood(&mut scene, &said);
    assert_eq!(scene.sessions(), 6);
    assert_eq!(count(&scene, |told| matches!(told, Recovery::Resumed { .. })), 5);
    is_well_and_leaves_nothing(scene);
}

#[test]
fn what_the_caller_is_saying_when_the_session_breaks_is_heard_in_full_by_the_next_one() {
    let said = utterance(2, 4.0);
    for cut_after_ms in [300, 1_700, 3_900, 4_300] {
        let mut scene = answered(Stage::default(), &said);
        scene.speak(1);
        scene.run_for(Duration::from_millis(cut_after_ms));
        scene.cut_realtime(IoFault::Reset);
        scene.run_for(10 * SECOND);
        let found = measure::find(scene.heard(1), &said);
        assert!(found.correlation > 0.9, "cut after {cut_after_ms} ms: {found:?}; {:#?}", scene.told());
        let answers = scene.said.len();
        assert_eq!(answers, 1, "cut after {cut_after_ms} ms: it is answered once: {:?}", scene.said);
        is_well_and_leaves_nothing(scene);
    }
}

#[test]
fn an_agent_that_is_cut_off_goes_on_where_it_was_heard() {
    const WORDS: &str = "Our opening hours are nine to five, and on Saturdays we close at noon.";
    for (resume, asks) in [(Resume::Continue, "Go on from exactly there"), (Resume::Repeat, "Say it once")] {
        let recovery = settings::Recovery { resume, ..settings::Recovery::default() };
        let call = CallSettings { recovery, volume_boost: 1.0, ..CallSettings::default() };
        let stage = Stage { call, agent: Some(Box::new(says(&[(WORDS, 8.0)]))), ..Stage::default() };
        let mut scene = answered(stage, &utterance(1, 1.0));
        scene.next_attempts([Attempt::agent(says(&[("Close at noon.", 1.0)]))]);
        scene.speak(1);
        // The server sends four times faster than the caller hears: the agent is cut off in its sixth second.
        scene.run_for(Duration::from_millis(3_100));
        scene.cut_realtime(IoFault::Reset);
        scene.run_for(12 * SECOND);
        let heard = scene.said[0].clone();
        assert!(heard.heard_ms < 8_000 && heard.heard_ms == heard.received_ms, "{heard:?}");
        assert!(WORDS.starts_with(&heard.text) && heard.text.len() > 20, "{heard:?}");
        let told = scene.told_on(LinkId(2));
        assert_eq!(told.last().unwrap(), &format!("assistant: {}", heard.text));
        let created = scene.sent_on(LinkId(2));
        let created: Vec<_> = created.iter().filter(|event| event["type"] == "response.create").collect();
        assert_eq!(created.len(), 1);
        assert!(created[0]["response"]["instructions"].as_str().unwrap().contains(asks), "{created:?}");
        assert_eq!(scene.said[1].text, "Close at noon.");
        is_well_and_leaves_nothing(scene);
    }
}

#[test]
fn who_wants_no_answer_resumed_has_the_caller_speak_next() {
    let recovery = settings::Recovery { resume: Resume::Off, ..settings::Recovery::default() };
    let call = CallSettings { recovery, volume_boost: 1.0, ..CallSettings::default() };
    let agent = Some(Box::new(says(&[("A long story.", 8.0)])) as Box<_>);
    let mut scene = answered(Stage { call, agent, ..Stage::default() }, &utterance(1, 1.0));
    scene.speak(1);
    scene.run_for(Duration::from_millis(3_100));
    scene.cut_realtime(IoFault::Reset);
    scene.run_for(10 * SECOND);
    assert_eq!((scene.sessions(), scene.sent("response.create").len()), (2, 0));
    is_well_and_leaves_nothing(scene);
}

#[test]
fn a_greeting_that_was_lost_before_a_word_of_it_came_is_said_by_the_next_session() {
    let session = SessionSettings { greeting: Some("Good day.".into()), ..SessionSettings::default() };
    let call = CallSettings { session, ..CallSettings::default() };
    let mut scene = Scene::new(Stage { call, ..Stage::default() });
    scene.dial(1, &utterance(1, 1.0));
    scene.run_until("it is asked for", SECOND, |scene| !scene.sent("response.create").is_empty());
    scene.cut_realtime(IoFault::Reset);
    scene.run_for(4 * SECOND);
    assert_eq!((scene.said.len(), scene.sessions()), (1, 2), "{:#?}", scene.told());
    is_well_and_leaves_nothing(scene);
}

#[test]
fn a_caller_without_a_session_hears_that_something_goes_on_and_is_understood_afterwards() {
    let said = utterance(3, 3.0);
    let mut scene = answered(Stage::default(), &said);
    scene.realtime_becomes(|| Attempt::http(503));
    scene.cut_realtime(IoFault::Reset);
    scene.run_for(3 * SECOND);
    scene.speak(1);
    scene.run_for(7 * SECOND);
    assert_eq!(count(&scene, |told| *told == Recovery::Prompt(Prompt::Moment)), 1, "{:#?}", scene.told());
    assert!(count(&scene, |told| *told == Recovery::Prompt(Prompt::Comfort)) >= 2, "{:#?}", scene.told());
    scene.realtime_becomes(|| Attempt::Serve);
    scene.run_for(12 * SECOND);
    let found = measure::find(scene.heard(1), &said);
    assert!(found.correlation > 0.9, "what was said meanwhile is lost: {found:?}; {:#?}", scene.told());
    is_well_and_leaves_nothing(scene);
}

#[test]
fn when_no_session_can_be_had_within_the_time_the_caller_hears_so_and_goes_on_in_the_dialplan() {
    let mut scene = answered(Stage::default(), &[]);
    scene.realtime_becomes(|| Attempt::http(503));
    scene.cut_realtime(IoFault::Reset);
    scene.run_for(24 * SECOND);
    assert_eq!(scene.outcomes[0].ended, EndReason::RealtimeLost);
    assert_eq!(scene.state(1), Some(CallerState::InDialplan));
    assert!(scene.outcomes[0].duration < 23 * SECOND, "{:?}", scene.outcomes[0]);
    assert!((5..=9).contains(&scene.attempts()), "{} attempts", scene.attempts());
    let last = recoveries(&scene).into_iter().rfind(is_prompt);
    assert_eq!(last, Some(Recovery::Prompt(Prompt::Moment)), "the last thing that is heard");
}

#[test]
fn what_is_lost_of_the_caller_in_a_long_outage_is_told_once_and_in_all() {
    for is_back in [true, false] {
        let recovery = settings::Recovery { retry_for: 30 * SECOND, ..settings::Recovery::default() };
        let call = CallSettings { recovery, ..CallSettings::default() };
        let mut scene = answered(Stage { call, ..Stage::default() }, &[]);
        scene.realtime_becomes(|| Attempt::http(503));
        scene.cut_realtime(IoFault::Reset);
        scene.run_for(24 * SECOND);
        if is_back {
            scene.realtime_becomes(|| Attempt::Serve);
        }
        scene.run_for(9 * SECOND);
        assert_eq!(scene.sessions(), if is_back { 2 } else { 1 }, "{:#?}", scene.told());
        // Twenty seconds are kept, and the server may be back, or given up, up to eight seconds after the rest.
        let lost = |told: &Recovery| matches!(told, Recovery::Dropped { millis: 4_000..=12_100 });
        assert_eq!(count(&scene, lost), 1, "{:#?}", scene.told());
        assert_eq!(count(&scene, |told| matches!(told, Recovery::Dropped { .. })), 1);
    }
}

#[test]
fn without_patience_a_call_ends_with_its_session() {
    let recovery = settings::Recovery { retry_for: Duration::ZERO, ..settings::Recovery::default() };
    let call = CallSettings { recovery, ..CallSettings::default() };
    let mut scene = answered(Stage { call, ..Stage::default() }, &[]);
    scene.cut_realtime(IoFault::Reset);
    scene.run_for(2 * SECOND);
    assert_eq!((scene.outcomes[0].ended, scene.attempts()), (EndReason::RealtimeLost, 1));
    assert_eq!(scene.state(1), Some(CallerState::InDialplan));
}

#[test]
fn a_server_that_takes_every_session_and_ends_it_at_once_is_not_tried_for_ever() {
    let stillborn = || {
        let settings =
            server::Settings { session_limit: Duration::from_millis(300), ..server::Settings::default() };
        Attempt::ServeWith { settings: Some(Box::new(settings)), agent: None }
    };
    let mut scene = answered(Stage::default(), &[]);
    scene.run_for(6 * SECOND);
    scene.realtime_becomes(stillborn);
    scene.cut_realtime(IoFault::Reset);
    scene.run_for(24 * SECOND);
    assert_eq!(scene.outcomes[0].ended, EndReason::RealtimeLost, "{:#?}", scene.told());
    assert!(scene.attempts() < 12, "{} attempts", scene.attempts());
}

#[test]
fn a_caller_whom_the_dialplan_has_answered_hears_so_when_no_session_comes() {
    let mut scene = Scene::new(Stage { realtime: || Attempt::Silent, ..Stage::default() });
    scene.dial_answered(1, &[]);
    scene.run_for(5 * SECOND);
    assert_eq!(scene.outcomes[0].ended, EndReason::NotReadyInTime);
    assert_eq!(recoveries(&scene).last(), Some(&Recovery::Prompt(Prompt::Moment)), "{:#?}", scene.told());
    assert!(scene.heard(1).iter().any(|sample| sample.abs() > 1_000), "it is heard");
    assert_eq!(scene.state(1), Some(CallerState::InDialplan));
}

#[test]
fn a_server_that_says_how_long_to_wait_is_left_alone_for_so_long() {
    let mut scene = answered(Stage::default(), &[]);
    let limited = || Attempt::Http { status: 429, retry_after: Some(Duration::from_secs(6)), body: "" };
    scene.next_attempts([limited()]);
    scene.cut_realtime(IoFault::Reset);
    scene.run_for(6 * SECOND);
    assert_eq!(scene.attempts(), 2, "{:#?}", scene.told());
    scene.run_for(SECOND);
    assert_eq!(scene.sessions(), 2);
    // One that asks for more than there is time for is not waited for at all.
    scene.next_attempts([Attempt::Http {
        status: 429,
        retry_after: Some(Duration::from_secs(60)),
        body: "",
    }]);
    scene.cut_realtime(IoFault::Reset);
    scene.run_for(3 * SECOND);
    assert_eq!(scene.outcomes[0].ended, EndReason::RealtimeLost);
}

/// How a caller fares who was not answered yet: the end, if there is one within four seconds.
fn rings(attempts: impl IntoIterator<Item = Attempt>, rest: fn() -> Attempt) -> Scene {
    let stage = Stage { attempts: attempts.into_iter().collect(), realtime: rest, ..Stage::default() };
    let mut scene = Scene::new(stage);
    scene.dial(1, &[]);
    scene.run_for(4 * SECOND);
    scene
}

#[test]
fn a_refusal_that_no_retry_can_help_sends_the_caller_on_at_once_and_unanswered() {
    let no_credit = || Attempt::Http {
        status: 429,
        retry_after: Some(Duration::from_secs(1)),
        body: r#"{"error":{"code":"insufficient_quota","type":"insufficient_quota"}}"#,
    };
    for refusal in
        [|| Attempt::http(401), || Attempt::http(403), || Attempt::http(404), no_credit as fn() -> Attempt]
    {
        let scene = rings([], refusal);
        let outcome = scene.outcomes[0];
        assert_eq!((outcome.ended, outcome.answered), (EndReason::RealtimeRefused, false));
        assert!(outcome.duration < SECOND / 10, "{outcome:?}");
        assert_eq!((scene.attempts(), scene.state(1)), (1, Some(CallerState::InDialplan)));
    }
}

#[test]
fn a_refusal_that_passes_is_waited_for_while_the_caller_rings() {
    for status in [408, 429, 500, 503] {
        let scene = rings([Attempt::http(status), Attempt::http(status)], || Attempt::Serve);
        assert_eq!((scene.sessions(), scene.state(1)), (1, Some(CallerState::Answered)), "HTTP {status}");
    }
    for (rest, reason) in [
        ((|| Attempt::http(503)) as fn() -> Attempt, EndReason::RealtimeLost),
        (|| Attempt::Silent, EndReason::NotReadyInTime),
        (|| Attempt::Mute, EndReason::NotReadyInTime),
        (|| Attempt::Hang, EndReason::NotReadyInTime),
    ] {
        let scene = rings([], rest);
        assert_eq!((scene.outcomes[0].ended, scene.outcomes[0].answered), (reason, false));
        assert_eq!(scene.state(1), Some(CallerState::InDialplan));
        assert!(scene.outcomes[0].duration <= 3 * SECOND);
    }
}

#[test]
fn a_server_that_accepts_and_says_nothing_is_given_up_for_the_next_attempt() {
    for attempt in [Attempt::Silent, Attempt::Mute, Attempt::Hang] {
        let said = utterance(1, 2.0);
        let mut scene = answered(Stage::default(), &said);
        scene.next_attempts([attempt]);
        scene.cut_realtime(IoFault::Reset);
        scene.run_for(8 * SECOND);
        assert_eq!(scene.attempts(), 3, "{:#?}", scene.told());
        is_understood(&mut scene, &said);
        is_well_and_leaves_nothing(scene);
    }
}

#[test]
fn a_server_that_vanishes_for_ten_seconds_is_found_out_and_nothing_is_lost() {
    let said = utterance(4, 3.0);
    let mut scene = answered(Stage::default(), &said);
    is_understood(&mut scene, &said);
    scene.realtime_vanishes(10 * SECOND);
    scene.run_for(SECOND);
    let before = scene.heard(1).len();
    scene.speak(1);
    scene.run_for(20 * SECOND);
    let found = measure::find(&scene.heard(1)[before..], &said);
    assert!(found.correlation > 0.9, "{found:?}; {:#?}", scene.told());
    assert!(scene.told().iter().any(|line| line.contains("no answer in time")), "{:#?}", scene.told());
    is_well_and_leaves_nothing(scene);
}

#[test]
fn a_server_that_hears_and_says_nothing_any_more_is_asked_and_left() {
    let said = utterance(5, 6.0);
    let mut scene = answered(Stage::default(), &said);
    scene.realtime_falls_silent();
    scene.speak(1);
    scene.run_for(22 * SECOND);
    assert_eq!(scene.sessions(), 2, "{:#?}", scene.told());
    let found = measure::find(scene.heard(1), &said);
    assert!(found.correlation > 0.9, "and what it did not hear the next one does: {found:?}");
    is_well_and_leaves_nothing(scene);
}

#[test]
fn settings_that_were_fine_before_and_are_refused_by_the_next_session_are_tried_again() {
    let said = utterance(1, 2.0);
    let mut scene = answered(Stage::default(), &said);
    is_understood(&mut scene, &said);
    scene.next_attempts([Attempt::Silent]);
    scene.cut_realtime(IoFault::Reset);
    scene.run_for(SECOND / 2);
    scene.forge_message(br#"{"type":"session.created"}"#);
    scene.forge_message(br#"{"type":"error","error":{"type":"invalid_request_error","code":"of_2030"}}"#);
    scene.run_for(SECOND);
    assert_eq!(scene.calls(), 1, "{:#?}", scene.told());
    is_understood(&mut scene, &said);
    is_well_and_leaves_nothing(scene);
}

#[test]
fn a_reset_at_each_byte_of_a_message_is_the_end_of_a_session_and_of_nothing_else() {
    let said = utterance(6, 1.0);
    // The first that is said when the caller speaks has some 120 bytes.
    for offset in 0..115 {
        let mut scene = answered(Stage::default(), &said);
        scene.cut_realtime_at_byte(offset);
        scene.speak(1);
        scene.run_for(SECOND);
        assert_eq!((scene.sessions(), scene.calls()), (2, 1), "at byte {offset}: {:#?}", scene.told());
        is_well_and_leaves_nothing(scene);
    }
}

#[test]
fn a_reset_anywhere_in_an_answer_costs_the_caller_no_answer() {
    let said = utterance(6, 1.0);
    // What is said around an answer, from the caller's first word on, is some 70 kB.
    for offset in (120..70_000).step_by(3_989) {
        let mut scene = answered(Stage::default(), &said);
        scene.cut_realtime_at_byte(offset);
        scene.speak(1);
        scene.run_for(9 * SECOND);
        let found = measure::find(scene.heard(1), &said);
        let is_answered = found.correlation > 0.9;
        // Where the answer was being said, it goes on with what the parrot has to say then.
        let is_resumed = scene.said.len() == 2;
        assert!(is_answered || is_resumed, "at byte {offset}: {found:?}; {:#?}", scene.told());
        is_well_and_leaves_nothing(scene);
    }
}

/// A call of which the sessions last so long.
fn expiring(seconds: u64, call: CallSettings) -> Stage {
    let server =
        server::Settings { session_limit: Duration::from_secs(seconds), ..server::Settings::default() };
    let call = CallSettings { volume_boost: 1.0, max_call: 2 * 3600 * SECOND, ..call };
    Stage { call, server, ..Stage::default() }
}

#[test]
fn a_session_of_an_hour_is_renewed_in_a_pause_before_it_ends() {
    let said = utterance(1, 2.0);
    let mut scene = answered(expiring(3600, CallSettings::default()), &said);
    is_answered(&mut scene, &said);
    scene.run_for(3400 * SECOND);
    assert_eq!(scene.sessions(), 1);
    scene.run_for(100 * SECOND);
    let told = recoveries(&scene);
    assert!(
        matches!(told[..], [Recovery::Expires { left }, Recovery::Renewed { items: 2 }] if left == 120 * SECOND),
        "{told:?}"
    );
    assert_eq!((scene.sessions(), scene.links_open()), (2, vec![LinkId(2)]));
    is_answered(&mut scene, &said);
    scene.run_for(200 * SECOND);
    assert!(!scene.saw(|o| matches!(o, Observation::RealtimeDown { .. })), "it never came to an end");
    is_well_and_leaves_nothing(scene);
}

#[test]
fn a_caller_who_speaks_when_the_session_has_to_be_left_is_heard_in_full() {
    // Renewed from 27 s on, left at 34.2 s at the latest.
    let said = utterance(7, 12.0);
    let mut scene = answered(expiring(36, CallSettings::default()), &said);
    scene.run_for(25 * SECOND);
    scene.speak(1);
    scene.run_for(27 * SECOND);
    assert_eq!(scene.sessions(), 2, "{:#?}", scene.told());
    let found = measure::find(scene.heard(1), &said);
    assert!(found.correlation > 0.9, "{found:?}; {:#?}", scene.told());
    assert_eq!(scene.said.len(), 1, "{:?}", scene.said);
    assert!(!scene.saw(|o| matches!(o, Observation::RealtimeDown { .. })), "{:#?}", scene.told());
    is_well_and_leaves_nothing(scene);
}

#[test]
fn an_agent_that_speaks_when_the_session_has_to_be_left_is_heard_to_its_end() {
    let mut stage = expiring(36, CallSettings::default());
    stage.agent = Some(Box::new(says(&[("A story that takes its time.", 16.0)])));
    let mut scene = answered(stage, &utterance(1, 1.0));
    scene.run_for(24 * SECOND);
    scene.speak(1);
    scene.run_for(20 * SECOND);
    assert_eq!(scene.sessions(), 2, "{:#?}", scene.told());
    assert!(scene.said.len() == 1 && scene.said[0].heard_ms >= 16_000, "{:?}", scene.said);
    let told = scene.told_on(LinkId(2));
    assert_eq!(told.last().unwrap(), "assistant: A story that takes its time.", "{told:?}");
    assert_eq!(scene.sent("response.create").len(), 0);
    is_well_and_leaves_nothing(scene);
}

#[test]
fn a_session_that_expires_by_surprise_is_replaced_at_once() {
    let said = utterance(1, 2.0);
    // The server says an hour, and means half a minute.
    let mut scene = answered(Stage::default(), &said);
    is_understood(&mut scene, &said);
    scene.forge_message(
        br#"{"type":"error","event_id":"e","error":{"type":"invalid_request_error","code":"session_expired"}}"#,
    );
    scene.run_for(SECOND / 2);
    assert_eq!((scene.sessions(), count(&scene, is_prompt)), (2, 0), "{:#?}", scene.told());
    is_understood(&mut scene, &said);
    is_well_and_leaves_nothing(scene);
}

#[test]
fn a_call_lasts_as_long_as_it_may_over_as_many_sessions_as_it_takes() {
    let said = utterance(1, 2.0);
    let mut scene = answered(expiring(1800, CallSettings::default()), &said);
    for _ in 0..3 {
        is_answered(&mut scene, &said);
        scene.run_for(1700 * SECOND);
    }
    assert_eq!(scene.sessions(), 4, "{:#?}", scene.told());
    scene.run_for(2200 * SECOND);
    assert_eq!(scene.outcomes[0].ended, EndReason::MaxDuration);
    assert!(!scene.saw(|o| matches!(o, Observation::RealtimeDown { .. })));
}

#[test]
fn a_next_session_that_cannot_be_had_is_tried_again_while_the_old_one_lasts() {
    let said = utterance(1, 2.0);
    let mut scene = answered(expiring(400, CallSettings::default()), &said);
    scene.run_for(290 * SECOND);
    scene.next_attempts([Attempt::http(503), Attempt::http(401), Attempt::Hang]);
    scene.run_for(60 * SECOND);
    assert_eq!((scene.attempts(), scene.sessions()), (5, 2), "{:#?}", scene.told());
    is_answered(&mut scene, &said);
    is_well_and_leaves_nothing(scene);
}
