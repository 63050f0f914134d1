//! Asterisk's side: event sockets that break, an Asterisk that starts anew, passwords.

use ari_bridge_core::call::EndReason;
use ari_bridge_core::observe::{Observation, Upkeep};
use ari_bridge_core::sim::asterisk::{CallerState, Settings};
use ari_bridge_host::Runtime;
use ari_bridge_host::standin::serve_asterisk;
use ari_bridge_tests::speech::utterance;

use crate::line::{CALLER, Line, Setting};
use crate::relay::Relay;
use crate::trace::Trace;

crate::stories![
    an_event_socket_that_breaks_is_opened_again_and_the_call_talks_on,
    an_event_socket_that_stops_after_half_a_frame_is_replaced_and_the_call_talks_on,
    an_asterisk_that_starts_anew_has_ended_the_call,
    a_create_that_asterisk_refuses_sends_the_caller_on_into_the_dialplan,
    a_wrong_password_is_told_with_the_status,
    the_admin_listener_tells_whether_calls_can_be_taken,
];

fn is_resynced(observation: &Observation) -> bool {
    matches!(observation, Observation::Upkeep(Upkeep::Resynced { kept: 1, callers: 0, orphans: 0 }))
}

fn an_event_socket_that_breaks_is_opened_again_and_the_call_talks_on(on: &'static Runtime) -> Trace {
    let mut line = Line::answered(on);
    line.asterisk.with(|machine, _, out| machine.close_sockets(out));
    line.until(|o| matches!(o, Observation::AriDown { .. }));
    line.until(|o| matches!(o, Observation::AriUp));
    line.until(is_resynced);
    line.is_understood(&utterance(61, 1.0));
    // It is by an event that the end of the call is known.
    line.asterisk.hang_up(CALLER);
    assert_eq!(line.outcome().ended, EndReason::CallerHungUp);
    line.ends().trace
}

fn an_event_socket_that_stops_after_half_a_frame_is_replaced_and_the_call_talks_on(
    on: &'static Runtime,
) -> Trace {
    let asterisk = serve_asterisk(Settings::default()).unwrap();
    let relay = Relay::before(&asterisk.url());
    let mut line = Line::between(on, asterisk, relay.url(), Setting::default());
    line.is_ready();
    line.calls(CALLER);
    line.until(|o| matches!(o, Observation::Answered { .. }));
    relay.stop_in_the_middle();
    line.is_understood(&utterance(41, 1.0));
    line.until(|o| matches!(o, Observation::Upkeep(Upkeep::LinkSilent)));
    line.until(|o| matches!(o, Observation::AriUp));
    line.until(is_resynced);
    line.is_understood(&utterance(42, 1.0));
    line.ends().trace
}

fn an_asterisk_that_starts_anew_has_ended_the_call(on: &'static Runtime) -> Trace {
    let mut line = Line::answered(on);
    // Nothing is asked of Asterisk any more that would be answered with a 404, and say that the caller is gone.
    line.is_understood(&utterance(62, 1.0));
    line.asterisk.with(|machine, now, out| {
        machine.stop(out);
        let _ = machine.start(now);
    });
    line.until(|o| matches!(o, Observation::AriDown { .. }));
    line.until(|o| matches!(o, Observation::Upkeep(Upkeep::AsteriskRestarted { calls: 1 })));
    line.until_both(
        |o| matches!(o, Observation::Upkeep(Upkeep::Resynced { callers: 0, .. })),
        |o| matches!(o, Observation::CallEnded(how) if how.ended == EndReason::AsteriskRestarted),
    );
    // The next one is served as ever.
    line.calls(CALLER + 1);
    line.until(|o| matches!(o, Observation::Answered { .. }));
    line.ends().trace
}

fn a_create_that_asterisk_refuses_sends_the_caller_on_into_the_dialplan(on: &'static Runtime) -> Trace {
    let mut line = Line::with(on, Setting::default());
    line.asterisk.with(|machine, _, _| machine.faults.refuse_next("POST /channels/externalMedia", 500));
    line.calls(CALLER);
    assert_eq!(line.outcome().ended, EndReason::AriFault);
    line.until_caller(CALLER, CallerState::InDialplan);
    // Its Realtime socket may not even have been open yet.
    line.ends().trace.but_for(&["realtime"])
}

fn a_wrong_password_is_told_with_the_status(on: &'static Runtime) -> Trace {
    let mut line = Line::begun(on, Setting::set(&[("ARI_PASSWORD", "wrong")]));
    let down = line.until(|o| matches!(o, Observation::AriDown { .. }));
    assert!(matches!(down, Observation::AriDown { http_status: Some(401), .. }), "{down:?}");
    line.ends().trace
}

fn the_admin_listener_tells_whether_calls_can_be_taken(on: &'static Runtime) -> Trace {
    let mut line = Line::with(on, Setting::default());
    let mut answers = vec![line.get("/readyz"), line.get("/healthz"), line.get("/elsewhere")];
    assert!(answers[0].starts_with("HTTP/1.1 200") && answers[2].starts_with("HTTP/1.1 404"), "{answers:?}");
    assert!(line.get("/metrics").contains("ari_bridge_ari_connected 1"));
    line.asterisk.with(|machine, _, out| machine.stop(out));
    line.until(|o| matches!(o, Observation::AriDown { .. }));
    answers.push(line.get("/readyz"));
    assert!(answers[3].starts_with("HTTP/1.1 503"), "{answers:?}");
    assert!(line.get("/metrics").contains("ari_bridge_ari_connected 0"));
    let mut trace = line.ends().trace;
    // How they begin, and what is in them, but for when it is tried again.
    trace.put(
        "admin",
        answers.iter().flat_map(|answer| {
            let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
            [head.lines().next(), body.split("; next try").next()]
                .map(|part| part.unwrap_or_default().to_owned())
        }),
    );
    trace
}
