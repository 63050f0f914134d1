//! Other settings while it runs, and the end of the service.

use ari_bridge_core::call::EndReason;
use ari_bridge_core::observe::{Observation, Recovery, Upkeep};
use ari_bridge_core::sim::asterisk::CallerState;
use ari_bridge_host::Runtime;

use crate::line::{CALLER, Line, NOBODY, Setting, config};
use crate::trace::Trace;

crate::stories![
    a_service_that_is_stopped_ends_its_calls_first,
    calls_under_way_go_on_after_a_drain_until_they_are_to_stop_now,
    other_settings_hold_for_new_calls_and_a_running_one_keeps_its_own,
];

/// The end of the service may cut off what is said to the model at the end of the call.
const GOODBYES: &str = "realtime: closed";

fn a_service_that_is_stopped_ends_its_calls_first(on: &'static Runtime) -> Trace {
    let mut line = Line::answered(on);
    line.service.drain();
    assert_eq!(line.outcome().ended, EndReason::Shutdown);
    // Where FALLBACK says.
    line.until_caller(CALLER, CallerState::InDialplan);
    line.stops(Trace::default()).trace.but_for(&[GOODBYES])
}

fn calls_under_way_go_on_after_a_drain_until_they_are_to_stop_now(on: &'static Runtime) -> Trace {
    let mut line = Line::with(on, Setting::set(&[("DRAIN_SECONDS", "600")]));
    line.calls(CALLER);
    line.until(|o| matches!(o, Observation::Answered { .. }));
    line.service.drain();
    line.until(|o| matches!(o, Observation::Upkeep(Upkeep::Draining { calls: 1, .. })));
    assert!(line.get("/readyz").starts_with("HTTP/1.1 503"));
    line.calls(CALLER + 1);
    line.until_caller(CALLER + 1, CallerState::InDialplan);
    assert!(!line.was(CALLER, CallerState::Gone), "the first one talks on");
    line.service.stop_now();
    assert_eq!(line.outcome().ended, EndReason::Shutdown);
    line.stops(Trace::default()).trace.but_for(&[GOODBYES])
}

fn other_settings_hold_for_new_calls_and_a_running_one_keeps_its_own(on: &'static Runtime) -> Trace {
    let mut line = Line::answered(on);
    let (ari, realtime) = (line.asterisk.url(), line.realtime.url());
    let nowhere = [NOBODY, ("FALLBACK_CONTEXT", "closed"), ("ANSWER_WITHIN_MS", "3000")];
    line.service.reload(config(&ari, &realtime, &nowhere)).unwrap();
    // The session is lost, and the next one is found where the first was.
    line.realtime.break_all();
    line.until_recovery(|told| matches!(told, Recovery::Resumed { .. }));
    line.calls(CALLER + 1);
    line.until_caller(CALLER + 1, CallerState::InDialplan);
    let broken = config(&ari, &realtime, &[("PROMPT_SORRY", "/nowhere/sorry.wav")]);
    let refused = line.service.reload(broken).unwrap_err().to_string();
    assert!(refused.starts_with("PROMPT_SORRY: cannot read"), "{refused}");
    assert_eq!(line.realtime.seen().opened, 2);
    line.ends().trace
}
