//! Calls that outlive their Realtime sessions, and calls that get none.

use ari_bridge_core::call::EndReason;
use ari_bridge_core::observe::{Observation, Recovery};
use ari_bridge_core::settings::Prompt;
use ari_bridge_core::sim::asterisk::CallerState;
use ari_bridge_core::sim::caller::Caller;
use ari_bridge_core::sim::realtime::{self, Script};
use ari_bridge_host::Runtime;
use ari_bridge_host::standin::{Answered, CallerSeen};
use ari_bridge_tests::process::PATIENCE;
use ari_bridge_tests::speech::utterance;
use std::sync::Mutex;
use std::time::Duration;

use crate::line::{CALLER, Line, NOBODY, SOUND_RMS, Setting, is_down, of_type, speech};
use crate::trace::Trace;

crate::stories![
    a_server_that_vanishes_is_found_out_and_what_was_said_meanwhile_is_answered,
    a_caller_who_speaks_while_the_session_has_to_be_left_is_answered_and_no_session_ends_by_itself,
    an_agent_that_a_reset_cuts_off_goes_on_and_knows_what_was_heard,
    a_server_that_is_busy_for_a_moment_is_asked_again_while_the_caller_rings,
    a_server_that_does_not_know_the_key_is_asked_once_and_the_dialplan_knows_why,
    a_key_that_the_session_does_not_take_sends_the_caller_on_into_the_dialplan,
    an_upgrade_that_is_refused_is_told_with_its_status,
    an_account_without_credit_sends_the_caller_on_into_the_dialplan,
    without_a_realtime_server_the_caller_goes_on_in_the_dialplan_and_nothing_is_left_behind,
];

fn a_caller_who_speaks_while_the_session_has_to_be_left_is_answered_and_no_session_ends_by_itself(
    on: &'static Runtime,
) -> Trace {
    // The server tells an end in whole seconds: the session is renewed in its sixth or seventh second and left in its
    // seventh or eighth.
    let model = realtime::Settings { session_limit: Duration::from_secs(8), ..realtime::Settings::default() };
    let mut line = Line::with(on, Setting { model, ..Setting::default() });
    let said = utterance(1, 5.0);
    line.calls(CALLER);
    line.until(|o| matches!(o, Observation::Answered { .. }));
    std::thread::sleep(Duration::from_millis(3_800));
    let before = line.heard_samples();
    line.asterisk.speak(CALLER, &said);
    line.until_recovery(|told| matches!(told, Recovery::Expires { .. }));
    line.until_recovery(|told| matches!(told, Recovery::Renewed { .. }));
    assert_eq!(line.realtime.seen().opened, 2, "{:#?}", line.lines());
    // The second may have to be left, too, before all of it is said back.
    line.hears(&said, before);
    // At the end of the call the next one may be on its way, and is not waited for.
    let closed = line.realtime.seen().closed;
    let ended = line.ends();
    assert!(!ended.told.iter().any(|(_, told)| is_down(told)), "{:#?}", ended.told);
    assert!(closed.iter().all(|code| *code == Some(1000)), "by the bridge: {closed:?}");
    ended.trace.but_for(&["realtime"])
}

fn an_agent_that_a_reset_cuts_off_goes_on_and_knows_what_was_heard(on: &'static Runtime) -> Trace {
    const WORDS: &str = "Our opening hours are nine to five, and on Saturdays we close at noon.";
    let (story, rest) = (utterance(11, 8.0), utterance(12, 1.5));
    let answers = [speech(&story, WORDS), speech(&rest, "Close at noon.")];
    let sessions = Mutex::new(answers.into_iter());
    let agent = move || -> Box<dyn realtime::Agent> {
        let answer = sessions.lock().unwrap().next();
        Box::new(Script::new(answer))
    };
    let mut line = Line::with(on, Setting::agent(agent));
    line.calls(CALLER);
    line.until(|o| matches!(o, Observation::Answered { .. }));
    line.asterisk.speak(CALLER, &utterance(1, 1.0));
    // The server sends four times faster than the caller hears.
    let a_second = |seen: &CallerSeen| seen.ear.loud_frames(SOUND_RMS) >= 50;
    assert!(line.asterisk.wait(CALLER, PATIENCE, a_second), "the agent is not heard: {:#?}", line.lines());
    let before = line.heard_samples();
    line.realtime.break_all();
    line.until(is_down);
    line.until_recovery(|told| matches!(told, Recovery::Resumed { .. }));
    line.hears(&rest, before);
    assert!(
        !line.recoveries().iter().any(|told| matches!(told, Recovery::Prompt(_))),
        "what had come of the answer was heard meanwhile: {:#?}",
        line.lines()
    );
    let ended = line.ends();
    assert_eq!(ended.realtime.opened, 2);
    let told = of_type(&ended.realtime, "conversation.item.create");
    let heard = told.iter().find(|event| event["item"]["role"] == "assistant").expect("it was told");
    let heard = heard["item"]["content"][0]["text"].as_str().unwrap();
    // The stand-in sends all words before their audio, so that those which nobody heard are in doubt.
    assert!(WORDS.starts_with(heard) && heard.len() > 10, "{heard}");
    let asked = of_type(&ended.realtime, "response.create");
    assert!(asked.len() == 1 && asked[0].to_string().contains("Go on from exactly there"), "{asked:?}");
    ended.trace
}

fn a_server_that_vanishes_is_found_out_and_what_was_said_meanwhile_is_answered(
    on: &'static Runtime,
) -> Trace {
    let mut line = Line::answered(on);
    line.is_understood(&utterance(21, 1.0));
    // Found out within some eight seconds of a caller who speaks for more than three.
    line.realtime.vanish(Duration::from_secs(12));
    let (said, before) = (utterance(22, 3.5), line.heard_samples());
    line.asterisk.speak(CALLER, &said);
    line.until_recovery(|told| *told == Recovery::Prompt(Prompt::Moment));
    let opened = line.realtime.seen().opened;
    line.until_recovery(|told| matches!(told, Recovery::Resumed { .. }));
    let answer = line.hears(&said, before);
    assert_eq!(opened, 1, "the prompt comes before the next session: {:#?}", line.lines());
    let seen = line.asterisk.seen(CALLER);
    let prompt = Caller::loud_frames_of(&seen.ear.heard()[before..before + answer], SOUND_RMS);
    assert!(prompt >= 10, "the prompt is sound at the caller's ear: {prompt} frames");
    // How many tries there were depends on when the server was back.
    line.ends().trace.but_for(&["realtime"])
}

fn a_server_that_is_busy_for_a_moment_is_asked_again_while_the_caller_rings(on: &'static Runtime) -> Trace {
    let mut line = Line::with(on, Setting::default());
    line.realtime.answer(Answered::refused(503));
    line.calls(CALLER);
    let down = line.until(is_down);
    assert!(matches!(down, Observation::RealtimeDown { http_status: Some(503), .. }), "{down:?}");
    assert!(!line.was(CALLER, CallerState::Answered), "it still rings");
    line.realtime.answer(Answered::Served);
    line.until_recovery(|told| matches!(told, Recovery::Retry { .. }));
    line.until(|o| matches!(o, Observation::Answered { .. }));
    line.is_understood(&utterance(31, 1.0));
    let ended = line.ends();
    assert_eq!(ended.realtime.opened, 1);
    ended.trace
}

fn a_server_that_does_not_know_the_key_is_asked_once_and_the_dialplan_knows_why(
    on: &'static Runtime,
) -> Trace {
    let mut line = Line::with(on, Setting::default());
    line.realtime.answer(Answered::refused(401));
    line.calls(CALLER);
    let down = line.until(is_down);
    assert!(matches!(down, Observation::RealtimeDown { http_status: Some(401), .. }), "{down:?}");
    let outcome = line.outcome();
    assert_eq!((outcome.ended, outcome.answered), (EndReason::RealtimeRefused, false));
    line.until_caller(CALLER, CallerState::InDialplan);
    let status = line
        .asterisk
        .with(|machine, _, _| machine.continued_with(CALLER, "ARI_BRIDGE_STATUS").map(str::to_owned));
    assert_eq!(status.as_deref(), Some("realtime_refused"));
    assert_eq!(line.recoveries(), [], "nothing was tried again, and nobody had answered to hear anything");
    line.ends().trace
}

fn a_key_that_the_session_does_not_take_sends_the_caller_on_into_the_dialplan(on: &'static Runtime) -> Trace {
    let mut line = Line::with(on, Setting::set(&[("OPENAI_API_KEY", "sk-of-somebody-else")]));
    line.calls(CALLER);
    let down = line.until(is_down);
    assert!(down.to_string().contains("check OPENAI_API_KEY"), "{down}");
    assert_eq!(line.outcome().ended, EndReason::RealtimeRefused);
    line.until_caller(CALLER, CallerState::InDialplan);
    let metrics = line.get("/metrics");
    assert!(metrics.contains("ari_bridge_calls_total{status=\"realtime_refused\"} 1"), "{metrics}");
    line.ends().trace
}

fn an_upgrade_that_is_refused_is_told_with_its_status(on: &'static Runtime) -> Trace {
    let mut line = Line::with(on, Setting::default());
    line.realtime.answer(Answered::refused(403));
    line.calls(CALLER);
    let down = line.until(is_down);
    assert!(matches!(down, Observation::RealtimeDown { http_status: Some(403), .. }), "{down:?}");
    assert_eq!(line.outcome().ended, EndReason::RealtimeRefused);
    line.ends().trace
}

fn an_account_without_credit_sends_the_caller_on_into_the_dialplan(on: &'static Runtime) -> Trace {
    let mut line = Line::answered(on);
    line.realtime.close_all(1013, "insufficient_quota.insufficient_quota");
    let down = line.until(is_down);
    assert!(down.to_string().contains("no credit"), "{down}");
    assert_eq!(line.outcome().ended, EndReason::RealtimeRefused);
    line.until_caller(CALLER, CallerState::InDialplan);
    line.ends().trace
}

fn without_a_realtime_server_the_caller_goes_on_in_the_dialplan_and_nothing_is_left_behind(
    on: &'static Runtime,
) -> Trace {
    // So long it is tried.
    let mut line = Line::with(on, Setting::set(&[NOBODY, ("ANSWER_WITHIN_MS", "3000")]));
    line.calls(CALLER);
    line.until_caller(CALLER, CallerState::InDialplan);
    let outcome = line.outcome();
    assert!(!outcome.answered && !outcome.left_behind, "{outcome:?}");
    line.ends().trace
}
