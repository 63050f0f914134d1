//! Everything that a Realtime server says, and much that none should say, in every phase of a call: no step breaks an
//! invariant, nothing but what must end a call ends it, the agent and the caller are heard afterwards, and nothing is
//! left.
//!
//! `ARI_BRIDGE_SAMPLES` may name a file with more events, one JSON a line.

use ari_bridge_core::call::EndReason;
use ari_bridge_core::realtime::{Dialect, ServerEvent, is_fatal, is_passing};
use ari_bridge_core::settings::BargeIn;
use ari_bridge_tests::samples;
use ari_bridge_tests::world::{Phase, Staged};
use serde_json::Value;
use std::sync::OnceLock;

/// The most messages that one call hears: as many as can be said while its phase lasts.
const MAX_MESSAGES: usize = 16;

/// Each event, and all that becomes of it, as messages; the event itself is the first.
fn messages() -> &'static [Vec<Vec<u8>>] {
    static MESSAGES: OnceLock<Vec<Vec<Vec<u8>>>> = OnceLock::new();
    MESSAGES.get_or_init(|| {
        let mut events = samples::server_events();
        if let Some(file) = std::env::var_os("ARI_BRIDGE_SAMPLES") {
            let text = std::fs::read_to_string(file).expect("the file of samples");
            events.extend(text.lines().map(|line| serde_json::from_str::<Value>(line).expect("an event")));
        }
        let bytes = |event: &Value| event.to_string().into_bytes();
        let of_one = |event: &Value| {
            let mut all = vec![bytes(event)];
            all.extend(samples::variants(event).iter().map(bytes));
            all.extend(samples::broken(&all[0]));
            all
        };
        events.iter().map(of_one).collect()
    })
}

/// Whether a message may end the call in that phase.
fn may_end(phase: Phase, message: &[u8], reason: EndReason) -> bool {
    let has_session = !matches!(phase, Phase::Opened | Phase::Updating | Phase::Lost);
    let was_never_confirmed = matches!(phase, Phase::Opened | Phase::Updating);
    match (reason, Dialect::OpenAi.read(message)) {
        // Another session will not be had, but the one that the call has goes on; and who is being said goodbye to is
        // not sent on.
        (EndReason::RealtimeRefused, _) if matches!(phase, Phase::Beside | Phase::Goodbye) => false,
        // Before the first session stands, an error is the answer to our settings.
        (EndReason::RealtimeRefused, Some(ServerEvent::Error { code, .. })) => {
            is_fatal(&code) || (was_never_confirmed && !is_passing(&code))
        }
        // Without credit there will be no other answer.
        (EndReason::RealtimeRefused, Some(ServerEvent::ResponseDone { status, detail, .. })) => {
            has_session && &*status == "failed" && &*detail == "insufficient_quota"
        }
        // The goodbye is said.
        (EndReason::MaxDuration, Some(ServerEvent::ResponseDone { .. })) => phase == Phase::Goodbye,
        // It will not be: the session is over, or of no use any more.
        (EndReason::MaxDuration, Some(ServerEvent::Error { code, .. })) => {
            phase == Phase::Goodbye && (is_fatal(&code) || &*code == "session_expired")
        }
        _ => false,
    }
}

/// How the calls of a phase went.
#[derive(Debug, Default)]
struct Tally {
    messages: usize,
    calls: usize,
    ended: usize,
    heard_at_once: usize,
    heard_at_the_second_turn: usize,
}

/// Gives all messages to calls in that phase.
fn hear_everything_in(phase: Phase) -> Tally {
    let mut tally = Tally::default();
    for messages in messages() {
        // The event itself has a call of its own, with each setting; what becomes of it shares some.
        let (event, variants) = messages.split_first().expect("the event itself");
        for barge_in in BargeIn::ALL {
            hear_some(phase, barge_in, core::slice::from_ref(event), &mut tally);
        }
        let variants = of_this_phase(phase, variants);
        let mut rest = &variants[..];
        while !rest.is_empty() {
            let barge_in = BargeIn::ALL[tally.calls % 3];
            rest = &rest[hear_some(phase, barge_in, rest, &mut tally)..];
        }
    }
    tally
}

/// What becomes of an event is heard in every second phase, so that the ordinary run stays short; in a long run
/// (`PROPTEST_CASES`) in all of them.
fn of_this_phase(phase: Phase, variants: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let is_long = std::env::var_os("PROPTEST_CASES").is_some();
    let is_heard = |at: usize| is_long || at % 2 == phase as usize % 2;
    variants.iter().enumerate().filter(|(at, _)| is_heard(*at)).map(|(_, message)| message.clone()).collect()
}

/// Gives some of the messages to one call, which must be well afterwards; how many.
fn hear_some(phase: Phase, barge_in: BargeIn, messages: &[Vec<u8>], tally: &mut Tally) -> usize {
    let mut call = Staged::new(phase, barge_in);
    let mut heard = 0;
    for message in messages.iter().take(MAX_MESSAGES) {
        heard += 1;
        let acted = call.hears(message);
        if phase != Phase::Ending
            && let Some(reason) = call.ending()
        {
            // A goodbye that was said ends the call when its last sample was sent, which may be a few messages later.
            let told = &messages[if reason == EndReason::MaxDuration { 0 } else { heard - 1 }..heard];
            assert!(told.iter().any(|message| may_end(phase, message, reason)), "ended: {reason:?}");
        }
        if acted {
            break;
        }
    }
    tally.messages += heard;
    tally.calls += 1;
    call.recovers();
    if call.ending().is_some() {
        tally.ended += 1;
        let loud = call.loud_packets();
        assert!(!call.honest_turn() && call.loud_packets() == loud, "a call that has ended is heard");
    } else if call.honest_turn() {
        tally.heard_at_once += 1;
    } else {
        // The first answer may be the one that the caller has cut off before it began.
        assert!(call.honest_turn(), "the agent is not heard any more");
        tally.heard_at_the_second_turn += 1;
    }
    // The turn that was heard was the goodbye.
    if phase != Phase::Goodbye && call.ending().is_none() {
        call.goes_on();
    }
    let outcome = call.shut_down();
    assert!(!outcome.left_behind, "something was left");
    heard
}

#[test]
fn before_the_server_has_said_anything() {
    println!("{:?}", hear_everything_in(Phase::Opened));
}

#[test]
fn while_the_settings_are_on_their_way() {
    println!("{:?}", hear_everything_in(Phase::Updating));
}

#[test]
fn when_the_session_is_ready_and_the_caller_is_not_answered() {
    println!("{:?}", hear_everything_in(Phase::Ready));
}

#[test]
fn when_the_caller_is_answered_and_nobody_speaks() {
    println!("{:?}", hear_everything_in(Phase::Quiet));
}

#[test]
fn while_the_greeting_is_heard() {
    println!("{:?}", hear_everything_in(Phase::Greeting));
}

#[test]
fn while_the_caller_speaks() {
    println!("{:?}", hear_everything_in(Phase::CallerSpeaks));
}

#[test]
fn when_the_caller_has_spoken() {
    println!("{:?}", hear_everything_in(Phase::Committed));
}

#[test]
fn when_an_answer_has_failed_and_is_about_to_be_asked_for_again() {
    println!("{:?}", hear_everything_in(Phase::Failed));
}

#[test]
fn while_the_next_session_is_opened_beside_the_one_that_is_about_to_expire() {
    println!("{:?}", hear_everything_in(Phase::Renewing));
}

#[test]
fn from_the_next_session_while_the_one_that_is_about_to_expire_still_stands() {
    println!("{:?}", hear_everything_in(Phase::Beside));
}

#[test]
fn from_the_next_session_after_the_one_before_it_was_lost() {
    println!("{:?}", hear_everything_in(Phase::Lost));
}

#[test]
fn while_the_agent_says_goodbye() {
    println!("{:?}", hear_everything_in(Phase::Goodbye));
}

#[test]
fn when_the_call_has_ended() {
    println!("{:?}", hear_everything_in(Phase::Ending));
}

#[test]
fn what_is_said_on_a_link_that_the_call_does_not_have_is_not_heard() {
    for phase in [
        Phase::Opened,
        Phase::Ready,
        Phase::Greeting,
        Phase::Committed,
        Phase::Failed,
        Phase::Renewing,
        Phase::Lost,
        Phase::Goodbye,
        Phase::Ending,
    ] {
        let mut call = Staged::new(phase, BargeIn::On);
        for message in messages().iter().flat_map(|messages| messages.first()) {
            let did = call.hears_on_no_link_of_its_own(message);
            assert_eq!(did, 0, "{phase:?}: {}", String::from_utf8_lossy(message));
        }
        call.recovers();
        assert!(call.ending().is_some() == (phase == Phase::Ending), "{phase:?}: {:?}", call.ending());
        assert!(!call.shut_down().left_behind);
    }
}
