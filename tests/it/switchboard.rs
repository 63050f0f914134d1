//! What the switchboard does with what no call owns, and with whatever comes.

use crate::desk::{Desk, ENDED, start, status, told};
use ari_bridge_core::call::{IoFault, News};
use ari_bridge_core::id::{CallId, RequestId};
use ari_bridge_core::observe::{Guard, Observation, Refusal, Upkeep};
use ari_bridge_core::settings::{Fallback, Place, SwitchboardSettings};
use ari_bridge_core::switchboard::{Action, Input};
use ari_bridge_core::time::{Duration, Instant};
use ari_bridge_tests::choices::Choices;
use proptest::prelude::*;

#[test]
fn a_caller_becomes_a_call_and_its_events_find_it_by_channel_and_by_our_names() {
    let mut desk = Desk::new();
    assert_eq!(desk.gives(Input::Ari(&start("17.1", "PJSIP/trunk-1", ""))), ["start call 1 arib0000d35c-1"]);
    let event = br#"{"type":"ChannelDtmfReceived","channel":{"id":"17.1"}}"#;
    assert_eq!(desk.gives(Input::Ari(event)), [format!("to call 1: {} bytes", event.len())]);
    let media = start("arib0000d35c-1-1", "UnicastRTP/127.0.0.1:30000-0x1", "");
    assert_eq!(desk.gives(Input::Ari(&media)), [format!("to call 1: {} bytes", media.len())]);
    let bridge = br#"{"type":"BridgeDestroyed","bridge":{"id":"arib0000d35c-1-2"}}"#;
    assert_eq!(desk.gives(Input::Ari(bridge)), [format!("to call 1: {} bytes", bridge.len())]);
    assert!(desk.gives(Input::Ari(br#"{"type":"StasisEnd","channel":{"id":"other"}}"#)).is_empty());
}

#[test]
fn the_channel_that_takes_a_callers_place_is_followed() {
    let mut desk = Desk::new();
    desk.gives(Input::Ari(&start("17.1", "PJSIP/a-1", "")));
    let transferred = start("17.9", "PJSIP/b-2", r#","replace_channel":{"id":"17.1"}"#);
    assert_eq!(desk.gives(Input::Ari(&transferred)), [format!("to call 1: {} bytes", transferred.len())]);
    let end = br#"{"type":"StasisEnd","channel":{"id":"17.9"}}"#;
    assert_eq!(desk.gives(Input::Ari(end)), [format!("to call 1: {} bytes", end.len())]);
    let old_end = br#"{"type":"StasisEnd","channel":{"id":"17.1"}}"#;
    assert!(desk.gives(Input::Ari(old_end)).is_empty());
}

#[test]
fn a_media_channel_of_ours_that_no_call_owns_is_removed() {
    let mut desk = Desk::new();
    let orphan = start("arib0badcafe-4-1", "UnicastRTP/127.0.0.1:30000-0x1", "");
    assert_eq!(desk.gives(Input::Ari(&orphan)), ["observe Orphan", "DELETE /channels/arib0badcafe-4-1"]);
    desk.replies(204);
    assert_eq!(desk.next.deadline, None, "and forgotten");
}

#[test]
fn a_media_channel_of_another_program_is_no_caller() {
    let mut desk = Desk::new();
    for name in ["UnicastRTP/10.0.0.1:4000-0x2", "WebSocket/x-1", "Snoop/17.1-0000", "AudioSocket/x-1"] {
        assert_eq!(desk.gives(Input::Ari(&start("x.1", name, ""))), ["observe NotACaller"]);
    }
}

#[test]
fn after_a_call_that_panicked_its_traces_are_removed_even_those_that_come_late() {
    let mut desk = Desk::new();
    desk.gives(Input::Ari(&start("17.1", "PJSIP/a-1", "")));
    assert_eq!(
        desk.gives(Input::CallPanicked { call: CallId(1) }),
        [
            "observe CallPanicked",
            &status("17.1", "panicked"),
            "DELETE /channels/arib0000d35c-1-1",
            "DELETE /bridges/arib0000d35c-1-2"
        ]
    );
    let reply = |id, status| Input::AriReply { id: RequestId(id), status, body: b"" };
    assert_eq!(desk.gives(reply(1, 204)), ["POST /channels/17.1/continue"]);
    // 404 proves nothing: the call's own POST may still be under way.
    for (id, status) in [(2, 404), (3, 404), (4, 204)] {
        desk.gives(reply(id, status));
    }
    let late = start("arib0000d35c-1-1", "UnicastRTP/127.0.0.1:30000-0x1", "");
    assert!(desk.gives(Input::Ari(&late)).contains(&"DELETE /channels/arib0000d35c-1-1".to_owned()));
    desk.replies(204);
    let (at, _) = desk.next.deadline.expect("the bridge is asked for once more");
    desk.now = at;
    assert_eq!(desk.gives(Input::Timer), ["DELETE /bridges/arib0000d35c-1-2"]);
    desk.replies(404);
    assert_eq!(desk.next.deadline, None);
}

#[test]
fn a_caller_who_comes_while_the_bridge_stops_is_sent_on() {
    let mut desk = Desk::new();
    desk.gives(Input::Ari(&start("17.1", "PJSIP/a-1", "")));
    let within = Duration::from_secs(60);
    assert_eq!(
        desk.gives(Input::Drain),
        [told(Observation::Upkeep(Upkeep::Draining { calls: 1, within }))],
        "the call may go on"
    );
    let refused = told(Observation::CallRefused(Refusal::Stopping));
    assert_eq!(desk.rings("17.2"), [refused, status("17.2", "refused_stopping")]);
    assert_eq!(desk.replies(204), ["POST /channels/17.2/continue"]);
    let id = desk.last_request();
    assert!(
        desk.gives(Input::CallFinished { call: CallId(1), outcome: ENDED }).is_empty(),
        "a caller still waits"
    );
    assert_eq!(desk.gives(Input::AriReply { id, status: 204, body: b"" }), ["Finish"]);
    assert!(desk.next.finished);
}

#[test]
fn calls_that_do_not_end_in_time_are_ended_and_what_is_left_after_that_is_left() {
    let mut desk = Desk::new();
    desk.gives(Input::Ari(&start("17.1", "PJSIP/a-1", "")));
    desk.gives(Input::Drain);
    assert!(desk.gives(Input::Drain).is_empty(), "a second word changes nothing");
    let over = told(Observation::Upkeep(Upkeep::DrainOver { calls: 1 }));
    assert_eq!(desk.time_comes(), [&over, "StopCall { call: CallId(1), reason: Shutdown }"]);
    assert!(desk.now.since(Instant::START) >= Duration::from_secs(60));
    let gave_up = told(Observation::Upkeep(Upkeep::GaveUp { calls: 1 }));
    assert_eq!(desk.time_comes(), [&gave_up, "Finish"]);
    assert!(desk.now.since(Instant::START) < Duration::from_secs(90), "systemd waits that long");
}

#[test]
fn whoever_is_in_a_hurry_ends_all_calls_at_once() {
    for drains_first in [true, false] {
        let mut desk = Desk::new();
        desk.gives(Input::Ari(&start("17.1", "PJSIP/a-1", "")));
        if drains_first {
            desk.gives(Input::Drain);
        }
        assert_eq!(desk.gives(Input::StopNow), ["StopCall { call: CallId(1), reason: AtOnce }"]);
        assert_eq!(desk.ends(1), ["Finish"]);
    }
}

#[test]
fn a_refused_caller_who_is_back_before_the_reply_is_sent_on_again() {
    let mut desk = Desk::new();
    desk.gives(Input::Ari(&start("17.0", "PJSIP/a-0", "")));
    desk.gives(Input::Drain);
    desk.rings("17.1");
    desk.replies(204);
    let id = desk.last_request();
    desk.rings("17.1");
    let again = desk.gives(Input::AriReply { id, status: 204, body: b"" });
    assert_eq!(again, [status("17.1", "refused_stopping")], "the dialplan may have cleared it");
    let again = desk.replies(204);
    assert_eq!(again, ["POST /channels/17.1/continue"], "or the caller would ring in Stasis for ever");
}

#[test]
fn a_refused_caller_who_comes_anew_does_not_wait_for_the_retries_of_the_first_time() {
    let mut desk = Desk::with(&SwitchboardSettings { max_calls: Some(0), ..SwitchboardSettings::default() });
    desk.rings("17.1");
    desk.replies(204);
    for _ in 0..5 {
        let id = desk.last_request();
        desk.gives(Input::AriFailed { id, fault: IoFault::TimedOut });
        desk.time_comes_for("POST /channels/17.1/continue");
    }
    let id = desk.last_request();
    desk.gives(Input::AriFailed { id, fault: IoFault::TimedOut });
    assert!(desk.rings("17.1").contains(&status("17.1", "refused_too_many_calls")));
    assert_eq!(desk.replies(204), ["POST /channels/17.1/continue"]);
}

#[test]
fn a_refused_caller_goes_on_also_if_the_dialplan_cannot_be_told_why() {
    for refused in [true, false] {
        let mut desk =
            Desk::with(&SwitchboardSettings { max_calls: Some(0), ..SwitchboardSettings::default() });
        assert!(desk.rings("17.1").contains(&status("17.1", "refused_too_many_calls")));
        let timeout = desk.out.iter().find_map(|action| match action {
            Action::Ari { timeout, .. } => Some(timeout),
            _ => None,
        });
        assert_eq!(timeout, Some(Duration::from_secs(1)), "nobody waits longer than that");
        assert_eq!(desk.next.deadline, None, "it is the driver that says when it is over");
        let goes_on = if refused {
            desk.replies(503)
        } else {
            let id = desk.last_request();
            desk.gives(Input::AriFailed { id, fault: IoFault::TimedOut })
        };
        assert_eq!(goes_on, ["POST /channels/17.1/continue"]);
    }
}

#[test]
fn a_refused_caller_goes_where_the_operator_says() {
    let place = Place { context: Some("night".into()), extension: None, priority: Some(3) };
    for (fallback, requests) in [
        (
            Fallback::Dialplan(place),
            vec![
                status("17.1", "refused_too_many_calls"),
                "POST /channels/17.1/continue?context=night&priority=3".to_owned(),
            ],
        ),
        (Fallback::HangUp, vec!["DELETE /channels/17.1?reason=congestion".to_owned()]),
    ] {
        let settings = SwitchboardSettings { max_calls: Some(0), fallback, ..SwitchboardSettings::default() };
        let mut desk = Desk::with(&settings);
        let mut sent = desk.rings("17.1");
        sent.remove(0);
        while sent.len() < requests.len() {
            sent.extend(desk.replies(204));
        }
        assert_eq!(sent, requests);
        assert!(desk.replies(204).is_empty() && desk.next.deadline.is_none());
    }
}

#[test]
fn after_three_calls_that_the_realtime_side_failed_one_at_a_time_tries_it_again() {
    let mut desk = Desk::new();
    for call in 1..=3 {
        assert_eq!(desk.rings(&format!("17.{call}"))[0], format!("start call {call} arib0000d35c-{call}"));
        let opened = told(Observation::Guard(Guard::BreakerOpened { calls: 3 }));
        let opened: Vec<_> = (call == 3).then_some(opened).into_iter().collect();
        assert_eq!(desk.tells(call, News::RealtimeFails), opened);
        assert!(desk.tells(call, News::RealtimeFails).is_empty(), "it is told once");
        desk.ends(call);
    }
    let refused = told(Observation::CallRefused(Refusal::RealtimeDown));
    assert_eq!(desk.rings("17.4"), [refused.clone(), status("17.4", "refused_realtime_down")]);

    desk.now = desk.now + Duration::from_secs(15);
    let probe = told(Observation::Guard(Guard::BreakerProbe));
    assert_eq!(desk.rings("17.5"), [probe.clone(), "start call 4 arib0000d35c-4".to_owned()]);
    assert_eq!(desk.rings("17.6")[0], refused, "one at a time");
    desk.ends(4);
    assert_eq!(desk.rings("17.7"), [probe, "start call 5 arib0000d35c-5".to_owned()], "its caller hung up");
    let closed = told(Observation::Guard(Guard::BreakerClosed));
    assert_eq!(desk.tells(5, News::RealtimeIsWell), [closed]);
    assert_eq!(desk.rings("17.8"), ["start call 6 arib0000d35c-6"]);
    assert!(desk.tells(6, News::RealtimeIsWell).is_empty());
}

#[test]
fn a_probe_that_panics_makes_room_and_what_nobody_knows_tells_nothing() {
    let mut desk = Desk::new();
    for call in 1..=3 {
        desk.rings(&format!("17.{call}"));
        desk.tells(call, News::RealtimeFails);
        desk.ends(call);
        assert!(desk.tells(call, News::RealtimeIsWell).is_empty(), "a call that is over has nothing to tell");
    }
    desk.now = desk.now + Duration::from_secs(15);
    desk.rings("17.4");
    desk.gives(Input::CallPanicked { call: CallId(4) });
    assert_eq!(desk.rings("17.5")[0], told(Observation::Guard(Guard::BreakerProbe)));
}

#[test]
fn when_the_days_money_is_spent_callers_are_refused_until_midnight() {
    const DOLLAR: u64 = 1_000_000_000;
    let limit = Some(DOLLAR);
    let mut desk =
        Desk::with(&SwitchboardSettings { max_cost_per_day: limit, ..SwitchboardSettings::default() });
    desk.rings("17.1");
    assert!(desk.tells(1, News::Spent(DOLLAR / 2)).is_empty());
    let warning = told(Observation::Guard(Guard::CostWarning { percent: 85 }));
    assert_eq!(desk.tells(1, News::Spent(DOLLAR * 35 / 100)), [warning]);
    assert!(desk.tells(1, News::Spent(1)).is_empty());
    assert_eq!(desk.rings("17.2"), ["start call 2 arib0000d35c-2"]);
    assert_eq!(desk.tells(2, News::Spent(DOLLAR)), [told(Observation::Guard(Guard::CostReached))]);
    desk.ends(1);
    assert!(desk.tells(1, News::Spent(1)).is_empty(), "told once, and what a call spent last counts too");
    let refused = told(Observation::CallRefused(Refusal::CostLimit));
    assert_eq!(desk.rings("17.3"), [refused, status("17.3", "refused_cost_limit")]);
    desk.now = Instant::START + Duration::from_secs(24 * 3600);
    assert_eq!(desk.rings("17.4"), ["start call 3 arib0000d35c-3"]);
}

#[test]
fn a_socket_that_breaks_as_soon_as_it_is_open_is_opened_ever_more_rarely() {
    let mut desk = Desk::new();
    let mut waits = Vec::new();
    for _ in 0..8 {
        desk.gives(Input::AriUp);
        desk.gives(Input::AriDown { http_status: None, fault: Some(IoFault::Reset) });
        let (at, _) = desk.next.deadline.expect("it is tried again");
        waits.push(at.since(desk.now));
        desk.now = at;
        assert_eq!(desk.gives(Input::Timer), ["OpenAri"]);
    }
    assert!(waits[7] > 10 * waits[0], "{waits:?}");
}

#[test]
fn a_caller_who_comes_back_while_the_old_call_is_cleaned_up_gets_a_new_one() {
    let mut desk = Desk::new();
    desk.gives(Input::Ari(&start("17.1", "PJSIP/a-1", "")));
    // The older call is told, so that it does not hang up what is not its caller any more.
    assert_eq!(
        desk.gives(Input::Ari(&start("17.1", "PJSIP/a-1", ""))),
        ["StopCall { call: CallId(1), reason: CallerLeft }", "start call 2 arib0000d35c-2"]
    );
    desk.gives(Input::CallFinished { call: CallId(1), outcome: ENDED });
    let end = br#"{"type":"StasisEnd","channel":{"id":"17.1"}}"#;
    assert_eq!(desk.gives(Input::Ari(end)), [format!("to call 2: {} bytes", end.len())]);
}

#[test]
fn a_caller_who_comes_back_and_is_refused_is_let_go_of_by_the_switchboard_alone() {
    let mut desk = Desk::with(&SwitchboardSettings { max_calls: Some(1), ..SwitchboardSettings::default() });
    desk.rings("17.1");
    assert_eq!(
        desk.rings("17.1"),
        [
            "StopCall { call: CallId(1), reason: CallerLeft }".to_owned(),
            told(Observation::CallRefused(Refusal::TooManyCalls)),
            status("17.1", "refused_too_many_calls")
        ]
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// Callers who are refused, and replies, failures and returns in any order: at most one request in flight for each
    /// of them, the dialplan is told before they go on, and in the end nobody is left.
    #[test]
    fn refused_callers_are_let_go_of_in_whatever_order_things_come(
        moves in prop::collection::vec((0u8..6, any::<u8>()), 0..60)
    ) {
        let mut desk = Desk::with(&SwitchboardSettings { max_calls: Some(0), ..SwitchboardSettings::default() });
        let mut open: Vec<(RequestId, String)> = Vec::new();
        let note = |desk: &Desk, open: &mut Vec<(RequestId, String)>| {
            for action in desk.out.iter() {
                if let Action::Ari { id, path, .. } = action {
                    let caller = desk.out.text(path).split('/').nth(2).expect("a channel").to_owned();
                    let other = open.iter().find(|(_, other)| *other == caller);
                    assert_eq!(other, None, "two requests in flight for {caller}");
                    open.push((id, caller));
                }
            }
        };
        for (what, which) in moves {
            let which = usize::from(which);
            match what {
                0 | 1 => drop(desk.rings(&format!("17.{}", which % 3))),
                2 | 3 if !open.is_empty() => {
                    let (id, _) = open.remove(which % open.len());
                    let status = [204, 204, 404, 409, 500][which % 5];
                    desk.gives(Input::AriReply { id, status, body: b"" });
                }
                4 if !open.is_empty() => {
                    let (id, _) = open.remove(which % open.len());
                    desk.gives(Input::AriFailed { id, fault: IoFault::TimedOut });
                }
                _ => {
                    desk.now = desk.next.deadline.map_or(desk.now, |(at, _)| desk.now.max(at));
                    desk.gives(Input::Timer);
                    prop_assert!(desk.next.deadline.is_none_or(|(at, _)| at > desk.now), "{:?}", desk.next);
                }
            }
            note(&desk, &mut open);
        }
        desk.gives(Input::Drain);
        note(&desk, &mut open);
        for _ in 0..40 {
            match open.pop() {
                Some((id, _)) => drop(desk.gives(Input::AriReply { id, status: 204, body: b"" })),
                None if desk.next.finished => break,
                None => {
                    let (at, _) = desk.next.deadline.expect("there is something to wait for");
                    desk.now = desk.now.max(at);
                    desk.gives(Input::Timer);
                }
            }
            note(&desk, &mut open);
        }
        prop_assert!(desk.next.finished, "{open:?} are left");
    }

    /// Whatever comes in whatever order: no panic, no deadline in the past after a `Timer`, `Finish` last.
    #[test]
    fn any_sequence_of_inputs_is_borne(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let mut choices = Choices::new(&bytes);
        let mut desk = Desk::new();
        while !choices.is_empty() {
            let finished = desk.next.finished;
            let id = choices.below(8);
            let caller = start(&format!("17.{id}"), "PJSIP/a", r#","replace_channel":{"id":"17.1"}"#);
            let ours = start(&format!("arib0000d35c-{id}-1"), "UnicastRTP/a", "");
            let told = match choices.below(17) {
                0 => desk.gives(Input::AriUp),
                1 => desk.gives(Input::AriDown { http_status: None, fault: Some(IoFault::Reset) }),
                2..=4 => desk.gives(Input::Ari(&caller)),
                5 => desk.gives(Input::Ari(&ours)),
                6 => desk.gives(Input::Ari(choices.blob())),
                7 => desk.gives(Input::AriReply { id: RequestId(id as u32), status: 404, body: b"" }),
                8 => desk.gives(Input::AriFailed { id: RequestId(id as u32), fault: IoFault::TimedOut }),
                9 => desk.gives(Input::CallPanicked { call: CallId(id as u64) }),
                10 if choices.one_in(20) => desk.gives(Input::Drain),
                10 => desk.gives(Input::CallFinished { call: CallId(id as u64), outcome: ENDED }),
                11 => desk.tells(id as u64, News::RealtimeFails),
                12 => desk.tells(id as u64, [News::RealtimeIsWell, News::Spent(1)][id % 2]),
                13 => desk.gives(Input::AriPong),
                14 if choices.one_in(20) => desk.gives(Input::StopNow),
                14 | 15 => {
                    let bodies = [
                        r#"{"status":{"startup_time":"1"}}"#,
                        r#"{"status":{"startup_time":"2"}}"#,
                        r#"{"channel_ids":["17.1","17.2","arib0000d35c-1-1","arib0badcafe-1-1"]}"#,
                        r#"[{"id":"arib0badcafe-1-2","name":"voice-agent"}]"#,
                        r#"{"id":"17.1","name":"PJSIP/a","dialplan":{"app_name":"Stasis","app_data":"voice-agent"}}"#,
                        "{}",
                    ];
                    let (body, id) = (bodies[choices.below(6)].as_bytes(), desk.newest_request());
                    desk.gives(Input::AriReply { id, status: 200, body })
                }
                _ => {
                    desk.now = desk.next.deadline.map_or(desk.now, |(at, _)| desk.now.max(at));
                    let told = desk.gives(Input::Timer);
                    prop_assert!(desk.next.deadline.is_none_or(|(at, _)| at > desk.now), "{:?}", desk.next);
                    told
                }
            };
            prop_assert!(!finished || told.is_empty(), "{told:?} after Finish");
        }
    }
}

#[test]
fn a_caller_who_comes_back_and_is_taken_on_is_not_sent_on_any_more() {
    let mut desk = Desk::with(&SwitchboardSettings { ports: 1, ..SwitchboardSettings::default() });
    desk.rings("17.1");
    desk.rings("17.2");
    let told = desk.request_of(&status("17.2", "refused_no_port"));
    desk.gives(Input::AriReply { id: told, status: 204, body: b"" });
    // Asterisk has done it, and its answer is lost.
    let goes_on = desk.request_of("POST /channels/17.2/continue");
    desk.gives(Input::AriFailed { id: goes_on, fault: IoFault::TimedOut });
    desk.ends(1);
    desk.now = desk.now + ari_bridge_core::ports::REST;
    assert_eq!(desk.rings("17.2"), ["start call 2 arib0000d35c-2"]);
    assert_eq!(desk.next.deadline, None, "nothing is repeated that would end the call");
}

#[test]
fn a_panic_of_the_call_that_a_caller_has_left_does_not_end_the_one_that_the_caller_is_in() {
    let mut desk = Desk::new();
    desk.rings("17.1");
    assert_eq!(
        desk.rings("17.1"),
        ["StopCall { call: CallId(1), reason: CallerLeft }", "start call 2 arib0000d35c-2"]
    );
    assert_eq!(
        desk.gives(Input::CallPanicked { call: CallId(1) }),
        ["observe CallPanicked", "DELETE /channels/arib0000d35c-1-1", "DELETE /bridges/arib0000d35c-1-2"]
    );
}
