//! What the switchboard does when the event socket comes up: it asks Asterisk what there is, removes what nobody owns
//! and takes on who waits.

use crate::desk::{Desk, ENDED, start, status, told};
use ari_bridge_core::call::IoFault;
use ari_bridge_core::id::CallId;
use ari_bridge_core::observe::{Observation, Refusal, Upkeep};
use ari_bridge_core::settings::SwitchboardSettings;
use ari_bridge_core::switchboard::{Input, Wake};
use ari_bridge_core::time::Duration;

/// A channel as `GET /channels/{id}` shows it.
fn channel(id: &str, name: &str, app_data: &str) -> String {
    format!(
        r#"{{"id":"{id}","name":"{name}","state":"Up","caller":{{"name":"","number":"100"}},
        "dialplan":{{"context":"default","exten":"200","priority":3,"app_name":"Stasis","app_data":"{app_data}"}}}}"#
    )
}

fn caller(id: &str) -> String {
    channel(id, "PJSIP/trunk-00000001", "voice-agent,100,200")
}

fn info(started: &str) -> String {
    format!(r#"{{"system":{{"entity_id":"02:00:00:00:00:01"}},"status":{{"startup_time":"{started}"}}}}"#)
}

const ASK_INFO: &str = "GET /asterisk/info";
const ASK_APPLICATION: &str = "GET /applications/voice-agent";
const ASK_BRIDGES: &str = "GET /bridges";

/// The socket comes up, and Asterisk says that it has been running since `started`, that the application has these
/// channels, and that these bridges are there; what follows from the last answer.
fn comes_up(desk: &mut Desk, started: &str, channels: &[&str], bridges: &str) -> Vec<String> {
    let up = desk.gives(Input::AriUp);
    assert_eq!(up, ["observe AriUp", ASK_INFO]);
    let mut gave = desk.replies_with(200, &info(started));
    assert_eq!(gave.pop().as_deref(), Some(ASK_APPLICATION));
    assert_eq!(gave.pop().as_deref(), Some("ToAll(Up)"), "the calls of another Asterisk are told first");
    let ids: Vec<_> = channels.iter().map(|id| format!("\"{id}\"")).collect();
    gave.extend(desk.replies_with(200, &format!(r#"{{"channel_ids":[{}]}}"#, ids.join(","))));
    assert_eq!(gave.pop().as_deref(), Some(ASK_BRIDGES));
    gave.extend(desk.replies_with(200, bridges));
    gave
}

fn settled(kept: usize, callers: usize, orphans: usize) -> String {
    told(Observation::Upkeep(Upkeep::Resynced { kept, callers, orphans }))
}

const ADOPTED: &str = "observe Upkeep(Adopted)";

#[test]
fn on_an_asterisk_that_has_nothing_of_ours_nothing_follows() {
    let mut desk = Desk::new();
    assert_eq!(comes_up(&mut desk, "1", &[], "[]"), [settled(0, 0, 0)]);
}

#[test]
fn what_an_earlier_run_has_left_is_removed_and_then_its_callers_are_taken_on() {
    let mut desk = Desk::new();
    let bridges =
        r#"[{"id":"arib0badcafe-4-2","name":"voice-agent","channels":["17.1","arib0badcafe-4-1"]}]"#;
    let first = comes_up(&mut desk, "1", &["17.1", "arib0badcafe-4-1"], bridges);
    assert_eq!(
        first,
        [
            "observe Orphan",
            "DELETE /channels/arib0badcafe-4-1",
            "observe Orphan",
            "DELETE /bridges/arib0badcafe-4-2"
        ],
        "its packets would come to a port that the next call gets"
    );
    let delete_channel = desk.request_of("DELETE /channels/arib0badcafe-4-1");
    let look = desk.gives(Input::AriReply { id: delete_channel, status: 204, body: b"" });
    assert_eq!(look, ["GET /channels/17.1"]);
    assert_eq!(
        desk.replies_with(200, &caller("17.1")),
        [ADOPTED, "start call 1 arib0000d35c-1 (adopted)", &settled(0, 1, 2)]
    );
}

#[test]
fn what_belongs_to_others_is_left_alone() {
    let mut desk = Desk::new();
    // Another bridge of this kind, with another application; a conference; a bridge of ours that is in use.
    desk.gives(Input::AriUp);
    desk.rings("17.1");
    let bridges = r#"[{"id":"arib0badcafe-4-2","name":"sales-agent","channels":[]},
        {"id":"9c1f","name":"voice-agent","channels":[]},
        {"id":"arib0000d35c-1-2","name":"voice-agent","channels":["17.1"]}]"#;
    let gave = comes_up(&mut desk, "1", &["17.1", "arib0000d35c-1-1"], bridges);
    assert_eq!(gave, [settled(1, 0, 0)]);
}

#[test]
fn a_channel_that_is_no_caller_of_ours_is_not_taken_on() {
    for (shown, gave) in [
        (channel("17.1", "PJSIP/a-1", "other-app"), None),
        (channel("17.1", "UnicastRTP/10.0.0.1:4000-0x1", "voice-agent"), Some("observe NotACaller")),
        (channel("17.1", "PJSIP/a-1", "voice-agent").replace("Stasis", "Dial"), None),
    ] {
        let mut desk = Desk::new();
        assert_eq!(comes_up(&mut desk, "1", &["17.1"], "[]"), ["GET /channels/17.1"]);
        let expected: Vec<_> = gave.into_iter().map(str::to_owned).chain([settled(0, 0, 0)]).collect();
        assert_eq!(desk.replies_with(200, &shown), expected);
    }
}

#[test]
fn a_caller_who_is_gone_when_it_is_looked_at_is_forgotten() {
    let mut desk = Desk::new();
    comes_up(&mut desk, "1", &["17.1"], "[]");
    assert_eq!(desk.replies_with(404, ""), [settled(0, 0, 0)]);
}

#[test]
fn where_callers_are_not_to_be_adopted_they_go_on_in_the_dialplan() {
    let mut desk = Desk::with(&SwitchboardSettings { adopt: false, ..SwitchboardSettings::default() });
    comes_up(&mut desk, "1", &["17.1"], "[]");
    let refused = told(Observation::CallRefused(Refusal::NotAdopted));
    assert_eq!(
        desk.replies_with(200, &caller("17.1")),
        [refused, status("17.1", "refused_not_adopted"), settled(0, 1, 0)]
    );
}

#[test]
fn the_event_of_a_caller_whose_call_is_over_already_begins_no_second_one() {
    let mut desk = Desk::new();
    comes_up(&mut desk, "1", &["17.1"], "[]");
    desk.replies_with(200, &caller("17.1"));
    desk.ends(1);
    assert!(desk.rings("17.1").is_empty(), "it had entered before it was asked, and was let go");
    let (at, wake) = desk.next.deadline.expect("it is looked for");
    assert_eq!((wake, at), (Wake::Resync, desk.now + Duration::from_secs(2)), "or it would ring for ever");
}

#[test]
fn the_event_of_a_caller_who_is_taken_on_already_begins_no_second_call() {
    let mut desk = Desk::new();
    comes_up(&mut desk, "1", &["17.1"], "[]");
    desk.replies_with(200, &caller("17.1"));
    assert!(desk.rings("17.1").is_empty(), "it had entered before it was asked");
    assert_eq!(
        desk.rings("17.1"),
        ["StopCall { call: CallId(1), reason: CallerLeft }", "start call 2 arib0000d35c-2"],
        "and now it has come anew"
    );
}

#[test]
fn a_caller_whose_event_comes_while_it_is_looked_at_has_one_call() {
    let mut desk = Desk::new();
    comes_up(&mut desk, "1", &["17.1"], "[]");
    let look = desk.request_of("GET /channels/17.1");
    assert_eq!(desk.rings("17.1"), ["start call 1 arib0000d35c-1", &settled(0, 0, 0)]);
    let shown = caller("17.1");
    assert!(desk.gives(Input::AriReply { id: look, status: 200, body: shown.as_bytes() }).is_empty());
}

#[test]
fn the_calls_of_an_asterisk_that_was_restarted_end_and_those_of_the_next_one_do_not() {
    let mut desk = Desk::new();
    comes_up(&mut desk, "1", &[], "[]");
    desk.rings("17.1");
    desk.gives(Input::AriDown { http_status: None, fault: Some(IoFault::Reset) });
    desk.gives(Input::AriUp);
    assert_eq!(desk.rings("18.1"), ["start call 2 arib0000d35c-2"]);
    let info_reply = info("2");
    let ask = desk.request_of(ASK_INFO);
    assert_eq!(
        desk.gives(Input::AriReply { id: ask, status: 200, body: info_reply.as_bytes() }),
        [
            &told(Observation::Upkeep(Upkeep::AsteriskRestarted { calls: 1 })),
            "StopCall { call: CallId(1), reason: AsteriskRestarted }",
            "ToAll(Up)",
            ASK_APPLICATION
        ]
    );
}

#[test]
fn an_asterisk_that_does_not_tell_is_asked_again_after_growing_waits() {
    let mut desk = Desk::new();
    desk.gives(Input::AriUp);
    let mut waits = Vec::new();
    for _ in 0..6 {
        let before = desk.now;
        desk.replies_with(503, "");
        desk.time_comes_for(ASK_INFO);
        waits.push(desk.now.since(before).as_millis());
        desk.gives(Input::AriPong);
    }
    assert!(waits.is_sorted() && waits[0] < 500 && waits[5] >= 4_000, "{waits:?}");
    let ask = desk.last_request();
    desk.gives(Input::AriFailed { id: ask, fault: IoFault::TimedOut });
    desk.time_comes_for(ASK_INFO);
    assert_eq!(desk.replies_with(200, &info("1")), ["ToAll(Up)", ASK_APPLICATION]);
}

#[test]
fn an_inquiry_that_the_socket_did_not_outlive_begins_anew() {
    let mut desk = Desk::new();
    desk.gives(Input::AriUp);
    let old = desk.request_of(ASK_INFO);
    desk.gives(Input::AriDown { http_status: None, fault: Some(IoFault::Reset) });
    let late = info("1");
    assert!(desk.gives(Input::AriReply { id: old, status: 200, body: late.as_bytes() }).is_empty());
    assert_eq!(comes_up(&mut desk, "1", &[], "[]"), [settled(0, 0, 0)]);
}

#[test]
fn what_a_call_has_left_is_looked_for_a_minute_later() {
    let mut desk = Desk::new();
    comes_up(&mut desk, "1", &[], "[]");
    desk.rings("17.1");
    let outcome = ari_bridge_core::call::Outcome { left_behind: true, ..ENDED };
    desk.gives(Input::CallFinished { call: CallId(1), outcome });
    let before = desk.now;
    desk.time_comes_for(ASK_INFO);
    assert!(desk.now.since(before) >= Duration::from_secs(60));
}

#[test]
fn a_second_bridge_that_takes_the_application_is_not_fought() {
    let mut desk = Desk::new();
    comes_up(&mut desk, "1", &[], "[]");
    desk.rings("17.1");
    let replaced = br#"{"type":"ApplicationReplaced","application":"voice-agent"}"#;
    assert_eq!(desk.gives(Input::Ari(replaced)), ["observe AppReplaced", "CloseAri", "ToAll(Down)"]);
    assert!(desk.gives(Input::Ari(replaced)).is_empty());
    assert!(desk.gives(Input::AriDown { http_status: None, fault: None }).is_empty());
    assert_eq!(desk.next.deadline, None, "it is not opened again");
}

#[test]
fn a_silent_socket_is_pinged_and_given_up() {
    let mut desk = Desk::new();
    comes_up(&mut desk, "1", &[], "[]");
    let quiet_since = desk.now;
    assert_eq!(desk.time_comes(), ["PingAri"]);
    let gave = desk.time_comes();
    assert_eq!(gave[..3], ["observe Upkeep(LinkSilent)", "CloseAri", "ToAll(Down)"]);
    assert!(desk.now.since(quiet_since) < Duration::from_secs(10));
    assert_eq!(desk.time_comes(), ["OpenAri"]);
}

#[test]
fn no_call_begins_without_a_port_and_a_port_rests_after_its_call() {
    let mut desk = Desk::with(&SwitchboardSettings { ports: 2, ..SwitchboardSettings::default() });
    desk.rings("17.1");
    desk.rings("17.2");
    let refused = told(Observation::CallRefused(Refusal::NoPort));
    assert_eq!(desk.rings("17.3"), [refused.clone(), status("17.3", "refused_no_port")]);
    desk.ends(1);
    assert_eq!(desk.rings("17.4"), [refused, status("17.4", "refused_no_port")]);
    desk.now = desk.now + ari_bridge_core::ports::REST;
    assert_eq!(desk.rings("17.5"), ["start call 3 arib0000d35c-3"]);
}

#[test]
fn new_settings_hold_for_new_calls_and_leave_the_application_s_name() {
    let mut desk = Desk::new();
    desk.rings("17.1");
    let settings =
        SwitchboardSettings { ari_app: "other".into(), max_calls: Some(1), ..SwitchboardSettings::default() };
    assert!(desk.gives(Input::Settings(&settings)).is_empty());
    let refused = told(Observation::CallRefused(Refusal::TooManyCalls));
    assert_eq!(desk.rings("17.2").first(), Some(&refused));
    desk.gives(Input::AriUp);
    assert_eq!(desk.replies_with(200, &info("1")), ["ToAll(Up)", ASK_APPLICATION]);
}

#[test]
fn a_call_that_began_on_the_new_asterisk_outlives_a_second_loss_of_the_socket() {
    let mut desk = Desk::new();
    comes_up(&mut desk, "1", &[], "[]");
    desk.rings("17.1");
    desk.gives(Input::AriDown { http_status: None, fault: Some(IoFault::Reset) });
    // Asterisk is another one now, and the socket breaks once more before it has said so.
    desk.gives(Input::AriUp);
    desk.rings("18.1");
    desk.gives(Input::AriDown { http_status: None, fault: Some(IoFault::Reset) });
    desk.gives(Input::AriUp);
    assert_eq!(
        desk.replies_with(200, &info("2")),
        [
            &told(Observation::Upkeep(Upkeep::AsteriskRestarted { calls: 1 })),
            "StopCall { call: CallId(1), reason: AsteriskRestarted }",
            "ToAll(Up)",
            ASK_APPLICATION
        ],
        "the caller of the second call is there and would wait for nobody"
    );
}

#[test]
fn what_an_event_has_told_of_meanwhile_is_not_taken_from_a_look_of_before() {
    // The caller has left, or has been refused and sent on, when the picture of before comes in.
    let left = br#"{"type":"StasisEnd","channel":{"id":"17.1"}}"#;
    for refused in [true, false] {
        let mut desk =
            Desk::with(&SwitchboardSettings { max_calls: Some(1), ..SwitchboardSettings::default() });
        comes_up(&mut desk, "1", &["17.1"], "[]");
        let look = desk.request_of("GET /channels/17.1");
        if refused {
            desk.rings("17.2");
            desk.rings("17.1");
            desk.ends(1);
            desk.replies(204);
            desk.replies(204);
        } else {
            desk.gives(Input::Ari(left));
        }
        let shown = caller("17.1");
        let gave = desk.gives(Input::AriReply { id: look, status: 200, body: shown.as_bytes() });
        assert!(!gave.iter().any(|given| given.starts_with("start call")), "{gave:?}");
    }
}

#[test]
fn a_caller_whom_asterisk_does_not_show_for_long_is_looked_for_again() {
    let mut desk = Desk::new();
    comes_up(&mut desk, "1", &["17.1"], "[]");
    let look = "GET /channels/17.1";
    for _ in 0..11 {
        let id = desk.request_of(look);
        desk.gives(Input::AriReply { id, status: 503, body: b"" });
        desk.time_comes_for(look);
    }
    let id = desk.request_of(look);
    desk.gives(Input::AriReply { id, status: 503, body: b"" });
    desk.time_comes_for(ASK_INFO);
}

#[test]
fn a_process_that_stops_while_it_looks_who_waits_sends_them_on_first() {
    let mut desk = Desk::new();
    comes_up(&mut desk, "1", &["17.1"], "[]");
    let draining = Upkeep::Draining { calls: 0, within: SwitchboardSettings::default().drain };
    let look = desk.request_of("GET /channels/17.1");
    assert_eq!(desk.gives(Input::Drain), [told(Observation::Upkeep(draining))]);
    let shown = caller("17.1");
    let refused = told(Observation::CallRefused(Refusal::Stopping));
    assert_eq!(
        desk.gives(Input::AriReply { id: look, status: 200, body: shown.as_bytes() }),
        [refused, status("17.1", "refused_stopping"), settled(0, 1, 0)]
    );
    desk.replies(204);
    assert_eq!(desk.replies(204), ["Finish"]);
}

#[test]
fn but_it_does_not_wait_for_an_asterisk_that_shows_nothing() {
    let mut desk = Desk::new();
    desk.gives(Input::AriUp);
    desk.gives(Input::Drain);
    assert_eq!(desk.replies(503).last().map(String::as_str), Some("Finish"));
}

#[test]
fn a_caller_who_may_have_come_back_unnoticed_is_looked_for_when_the_call_is_over() {
    for has_left in [false, true] {
        let mut desk = Desk::new();
        comes_up(&mut desk, "1", &[], "[]");
        desk.rings("17.1");
        // The call lets its caller go, who is back before events flow again; it has yet to remove what it made.
        desk.gives(Input::AriDown { http_status: None, fault: Some(IoFault::Reset) });
        assert_eq!(comes_up(&mut desk, "1", &["17.1"], "[]"), [settled(1, 0, 0)]);
        if has_left {
            desk.gives(Input::Ari(br#"{"type":"StasisEnd","channel":{"id":"17.1"}}"#));
        }
        desk.ends(1);
        let is_due = desk.next.deadline.is_some_and(|(_, wake)| wake == Wake::Resync);
        assert_eq!(is_due, !has_left, "{:?}", desk.next);
        if is_due {
            assert_eq!(desk.time_comes(), [ASK_INFO]);
        }
    }
}

#[test]
fn who_took_the_place_of_a_caller_in_a_call_that_was_over_is_looked_for() {
    for has_left in [false, true] {
        let mut desk = Desk::new();
        comes_up(&mut desk, "1", &[], "[]");
        desk.rings("17.1");
        let transfer = start("18.1", "PJSIP/trunk-2", r#","replace_channel":{"id":"17.1"}"#);
        assert!(desk.gives(Input::Ari(&transfer))[0].starts_with("to call 1: "));
        if has_left {
            desk.gives(Input::Ari(br#"{"type":"StasisEnd","channel":{"id":"18.1"}}"#));
        }
        desk.ends(1);
        let is_due = desk.next.deadline.is_some_and(|(_, wake)| wake == Wake::Resync);
        assert_eq!(is_due, !has_left, "{:?}", desk.next);
    }
}

#[test]
fn who_is_taken_on_before_the_event_of_a_transfer_comes_has_one_call_then() {
    let mut desk = Desk::new();
    comes_up(&mut desk, "1", &["18.1"], "[]");
    desk.replies_with(200, &caller("18.1"));
    desk.rings("17.1");
    let transfer = start("18.1", "PJSIP/trunk-1", r#","replace_channel":{"id":"17.1"}"#);
    let gave = desk.gives(Input::Ari(&transfer));
    assert_eq!(gave[0], "StopCall { call: CallId(1), reason: CallerLeft }");
    assert!(gave[1].starts_with("to call 2: "), "{gave:?}");
}
