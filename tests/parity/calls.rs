//! A call, and who may end it.

use ari_bridge_core::call::EndReason;
use ari_bridge_core::observe::Observation;
use ari_bridge_core::sim::asterisk::{CallerState, Fault};
use ari_bridge_core::sim::caller::Caller;
use ari_bridge_core::sim::realtime::{Agent, Answer, FunctionCall, Script, Speech};
use ari_bridge_host::Runtime;
use ari_bridge_host::standin::CallerSeen;
use ari_bridge_tests::measure::RATE;
use ari_bridge_tests::process::PATIENCE;
use ari_bridge_tests::speech::utterance;
use std::time::Instant;

use crate::line::{CALLER, LOOK_EVERY, Line, SOUND_RMS, Setting, is_completed, of_type, speech};
use crate::trace::Trace;

crate::stories![
    a_caller_who_speaks_is_answered_in_words_and_leaves_nothing_behind,
    a_caller_who_speaks_into_an_answer_stops_it_and_gets_the_next,
    an_agent_who_has_said_goodbye_hangs_up,
    a_caller_who_hangs_up_while_a_create_is_on_its_way_leaves_nothing_behind,
    two_callers_at_once_hear_each_their_own_agent,
];

fn a_caller_who_speaks_is_answered_in_words_and_leaves_nothing_behind(on: &'static Runtime) -> Trace {
    let mut line = Line::answered(on);
    line.asterisk.speak(CALLER, &Caller::recorded().speech()[..16_000]);
    line.until(is_completed);
    let loud = |seen: &CallerSeen| seen.ear.loud_frames(SOUND_RMS) >= 25;
    assert!(line.asterisk.wait(CALLER, PATIENCE, loud), "nothing was heard: {:#?}", line.lines());
    line.asterisk.hang_up(CALLER);
    let outcome = line.outcome();
    assert!(
        outcome.answered && !outcome.left_behind && outcome.ended == EndReason::CallerHungUp,
        "{outcome:?}"
    );
    assert_eq!(line.asterisk.objects(), (0, 0));
    let ended = line.ends();
    let seen = &ended.realtime;
    assert!(seen.opened == 1 && seen.appends > 50, "{seen:?}");
    assert_eq!(seen.closed, [Some(1000)]);
    ended.trace
}

fn a_caller_who_speaks_into_an_answer_stops_it_and_gets_the_next(on: &'static Runtime) -> Trace {
    let (long, next) = (utterance(51, 12.0), utterance(52, 1.5));
    let answers = [speech(&long, "There is much to say about that."), speech(&next, "As you like.")];
    let agent = move || Box::new(Script::new(answers.clone())) as Box<dyn Agent>;
    let mut line = Line::with(on, Setting::agent(agent));
    line.calls(CALLER);
    line.until(|o| matches!(o, Observation::Answered { .. }));
    line.asterisk.speak(CALLER, &utterance(53, 1.0));
    // All of it is there long before it is heard.
    line.until(is_completed);
    let before = line.heard_samples();
    line.asterisk.speak(CALLER, &utterance(54, 1.0));
    let barge_in = line.until(|o| matches!(o, Observation::BargeIn { .. }));
    assert!(
        matches!(barge_in, Observation::BargeIn { heard_ms: 1.., dropped_ms: 1.. }),
        "of twelve seconds some were heard and some not: {barge_in:?}"
    );
    line.hears(&next, before);
    let ended = line.ends();
    let truncated = of_type(&ended.realtime, "conversation.item.truncate");
    assert!(truncated.len() == 1 && truncated[0]["audio_end_ms"].as_u64() < Some(12_000), "{truncated:?}");
    ended.trace
}

fn an_agent_who_has_said_goodbye_hangs_up(on: &'static Runtime) -> Trace {
    let goodbye = utterance(55, 1.0);
    let speech = Speech { samples: goodbye.clone(), rate: RATE as u32, transcript: "Goodbye!".into() };
    let hang_up = FunctionCall { name: "hang_up".into(), arguments: "{}".into() };
    let answer = Answer::Calls { speech: Some(speech), calls: vec![hang_up] };
    let agent = move || Box::new(Script::new([answer.clone()])) as Box<dyn Agent>;
    let mut line = Line::with(on, Setting::agent(agent));
    line.calls(CALLER);
    line.until(|o| matches!(o, Observation::Answered { .. }));
    line.asterisk.speak(CALLER, &utterance(56, 1.0));
    assert_eq!(line.outcome().ended, EndReason::AgentHungUp);
    line.until_caller(CALLER, CallerState::Gone);
    line.hears(&goodbye, 0);
    line.ends().trace
}

fn a_caller_who_hangs_up_while_a_create_is_on_its_way_leaves_nothing_behind(on: &'static Runtime) -> Trace {
    let mut line = Line::with(on, Setting::default());
    line.asterisk.with(|machine, _, _| machine.faults.next("POST /channels/externalMedia", Fault::HoldReply));
    line.calls(CALLER);
    let give_up = Instant::now() + PATIENCE;
    while line.asterisk.objects().0 < 2 {
        assert!(Instant::now() < give_up, "no channel for media: {:#?}", line.lines());
        std::thread::sleep(LOOK_EVERY);
    }
    line.asterisk.hang_up(CALLER);
    line.until(|o| matches!(o, Observation::Ending(EndReason::CallerHungUp)));
    let _ = line.asterisk.with(|machine, now, out| machine.release(now, out));
    let outcome = line.outcome();
    assert!(!outcome.answered && !outcome.left_behind, "{outcome:?}");
    line.ends().trace.but_for(&["realtime"])
}

fn two_callers_at_once_hear_each_their_own_agent(on: &'static Runtime) -> Trace {
    let mut line = Line::answered(on);
    line.calls(CALLER + 1);
    line.until(|o| matches!(o, Observation::Answered { .. }));
    let (one, other) = (utterance(57, 1.0), utterance(58, 1.0));
    line.asterisk.speak(CALLER, &one);
    line.asterisk.speak(CALLER + 1, &other);
    line.until(is_completed);
    line.until(is_completed);
    line.caller_hears(CALLER, &one, 0);
    line.caller_hears(CALLER + 1, &other, 0);
    for (caller, others) in [(CALLER, &other), (CALLER + 1, &one)] {
        assert!(!line.has_heard(caller, others), "caller {caller} hears what the other one said");
    }
    line.ends().trace
}
