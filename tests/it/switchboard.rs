//! What the switchboard does with what no call owns, and with whatever comes.

use ari_bridge_core::call::{EndReason, IoFault, Outcome};
use ari_bridge_core::id::{CallId, InstanceNonce, RequestId};
use ari_bridge_core::observe::{Observation, Refusal};
use ari_bridge_core::settings::SwitchboardSettings;
use ari_bridge_core::switchboard::{Action, Actions, Input, Next, Switchboard};
use ari_bridge_core::time::{Duration, Instant};
use ari_bridge_tests::choices::Choices;
use proptest::prelude::*;

/// A switchboard and a clock.
struct Desk {
    switchboard: Switchboard,
    now: Instant,
    next: Next,
    out: Actions,
}

impl Desk {
    fn new() -> Self {
        let mut out = Actions::new();
        let (now, nonce) = (Instant::START, InstanceNonce::new(0xD35C));
        let (switchboard, next) = Switchboard::new(&SwitchboardSettings::default(), nonce, 1, now, &mut out);
        Self { switchboard, now, next, out }
    }

    /// Gives an input a millisecond later; what follows from it, one line each.
    fn gives(&mut self, input: Input<'_>) -> Vec<String> {
        self.now = self.now + Duration::from_millis(1);
        self.out.clear();
        self.next = self.switchboard.step(self.now, input, &mut self.out);
        let line = |action| match action {
            Action::Ari { method, path, .. } => format!("{} {}", method.as_str(), self.out.text(path)),
            Action::StartCall { call, ids, .. } => format!("start call {call} {ids}"),
            Action::ToCall { call, event } => {
                format!("to call {call}: {} bytes", self.out.bytes(event).len())
            }
            Action::Observe(observation) => format!("observe {observation:?}"),
            other => format!("{other:?}"),
        };
        self.out.iter().map(line).collect()
    }

    fn last_request(&self) -> RequestId {
        let id = |action| if let Action::Ari { id, .. } = action { Some(id) } else { None };
        self.out.iter().filter_map(id).last().expect("a request was sent")
    }

    fn replies(&mut self, status: u16) -> Vec<String> {
        let id = self.last_request();
        self.gives(Input::AriReply { id, status, body: b"" })
    }
}

fn start(id: &str, name: &str, more: &str) -> Vec<u8> {
    format!(
        r#"{{"type":"StasisStart","args":[],"channel":{{"id":"{id}","name":"{name}","state":"Ring"}}{more}}}"#
    )
    .into_bytes()
}

const ENDED: Outcome =
    Outcome { ended: EndReason::CallerHungUp, answered: true, duration: Duration::ZERO, left_behind: false };

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
            "POST /channels/17.1/continue",
            "DELETE /channels/arib0000d35c-1-1",
            "DELETE /bridges/arib0000d35c-1-2"
        ]
    );
    // 404 proves nothing: the call's own POST may still be under way.
    for id in 1..=3 {
        desk.gives(Input::AriReply { id: RequestId(id), status: if id == 1 { 204 } else { 404 }, body: b"" });
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
    assert_eq!(desk.gives(Input::Drain), ["StopCall { call: CallId(1), reason: Shutdown }"]);
    let refused = format!("observe {:?}", Observation::CallRefused(Refusal::Stopping));
    let told = desk.gives(Input::Ari(&start("17.2", "PJSIP/a-2", "")));
    assert_eq!(told, [refused, "POST /channels/17.2/continue".to_owned()]);
    let id = desk.last_request();
    assert!(
        desk.gives(Input::CallFinished { call: CallId(1), outcome: ENDED }).is_empty(),
        "a caller still waits"
    );
    assert_eq!(desk.gives(Input::AriReply { id, status: 204, body: b"" }), ["Finish"]);
    assert!(desk.next.finished);
}

#[test]
fn a_refused_caller_who_is_back_before_the_reply_is_sent_on_again() {
    let mut desk = Desk::new();
    desk.gives(Input::Ari(&start("17.0", "PJSIP/a-0", "")));
    desk.gives(Input::Drain);
    desk.gives(Input::Ari(&start("17.1", "PJSIP/a-1", "")));
    let id = desk.last_request();
    desk.gives(Input::Ari(&start("17.1", "PJSIP/a-1", "")));
    let again = desk.gives(Input::AriReply { id, status: 204, body: b"" });
    assert_eq!(again, ["POST /channels/17.1/continue"], "or the caller would ring in Stasis for ever");
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever comes in whatever order: no panic, no deadline in the past after a `Timer`, `Finish` last.
    #[test]
    fn any_sequence_of_inputs_is_borne(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let mut choices = Choices::new(&bytes);
        let mut desk = Desk::new();
        while !choices.is_empty() {
            let finished = desk.next.finished;
            let id = choices.below(4);
            let caller = start(&format!("17.{id}"), "PJSIP/a", r#","replace_channel":{"id":"17.1"}"#);
            let ours = start(&format!("arib0000d35c-{id}-1"), "UnicastRTP/a", "");
            let told = match choices.below(12) {
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
