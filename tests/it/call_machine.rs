//! One call, stepped by hand where the order of single inputs is what matters.

use ari_bridge_core::call::{Action, Actions, Call, Input, LinkState, Next, Origin, Start, StopReason};
use ari_bridge_core::id::{CallId, IdPrefix, InstanceNonce, LegId, LinkId, RequestId};
use ari_bridge_core::settings::{CallSettings, Fallback, MediaPlan, Recovery, RtpSource, SessionSettings};
use ari_bridge_core::time::{Duration, Instant, UtcNanos};

const MEDIA_START: &[u8] =
    br#"{"type":"StasisStart","channel":{"id":"arib00000001-1-1","name":"UnicastRTP/x"}}"#;

/// A call, and everything that it has done, one line each.
struct Bench {
    call: Call,
    now: Instant,
    next: Next,
    log: Vec<String>,
    /// What the Realtime server was sent.
    texts: Vec<String>,
}

impl Bench {
    fn new(settings: &CallSettings) -> Self {
        let event = br#"{"type":"StasisStart","channel":{"id":"17.1","name":"PJSIP/a-1","state":"Ring"}}"#;
        Self::of(settings, Origin::Arrived { event })
    }

    fn of(settings: &CallSettings, origin: Origin<'_>) -> Self {
        let start = Start {
            ids: IdPrefix { nonce: InstanceNonce::new(1), call: CallId(1) },
            seed: 1,
            utc: UtcNanos(0),
            caller_tag: None,
            media: MediaPlan::default(),
            origin,
        };
        let mut out = Actions::new();
        let now = Instant::from_millis(1);
        let (call, next) = Call::new(settings, start, now, &mut out);
        Self { call, now, next, log: lines(&out), texts: Vec::new() }
    }

    fn answered(settings: &CallSettings) -> Self {
        let mut bench = Self::new(settings);
        bench.is_set_up();
        assert!(bench.reply("POST /channels/17.1/answer", 204).iter().any(|line| line.contains("Answered")));
        bench
    }

    /// Media path and session stand.
    fn is_set_up(&mut self) -> Vec<String> {
        let bench = self;
        bench.gives(Input::MediaUp { leg: LegId(1), local: ([127, 0, 0, 1], 30_000).into() });
        bench.reply("POST /bridges?", 200);
        bench.reply("POST /channels/externalMedia", 200);
        bench.gives(Input::Ari(MEDIA_START));
        bench.reply("POST /bridges/arib00000001-1-2/addChannel", 204);
        bench.gives(Input::Realtime { link: LinkId(1), bytes: br#"{"type":"session.created"}"# });
        bench.gives(Input::Realtime { link: LinkId(1), bytes: br#"{"type":"session.updated"}"# })
    }

    /// Time passes, and nobody does anything but this call, although its server is there; until something like this is done, or for so long.
    fn waits_for(&mut self, what: &str, at_most: Duration) -> Option<Duration> {
        let since = self.now;
        while self.now.since(since) < at_most {
            let before = self.log.len();
            self.now = self.next.deadline.map_or(self.now, |(at, _)| self.now.max(at));
            self.gives(Input::Timer);
            if asks(&self.log[before..], "PingRealtime") {
                self.gives(Input::RealtimePong { link: LinkId(1) });
            }
            if asks(&self.log[before..], what) {
                return Some(self.now.since(since));
            }
        }
        None
    }

    /// Gives an input a millisecond later.
    fn gives(&mut self, input: Input<'_>) -> Vec<String> {
        self.now = self.now + Duration::from_millis(1);
        let mut out = Actions::new();
        self.next = self.call.step(self.now, input, &mut out);
        self.log.extend(lines(&out));
        self.texts.extend(texts(&out));
        lines(&out)
    }

    /// Answers the latest request that begins so.
    fn reply(&mut self, request: &str, status: u16) -> Vec<String> {
        let sent = self
            .log
            .iter()
            .rev()
            .find(|line| line.split_once(' ').is_some_and(|(_, r)| r.starts_with(request)));
        let sent = sent.unwrap_or_else(|| panic!("{request} was not sent: {:#?}", self.log));
        let number = sent.trim_start_matches('#').split(' ').next().unwrap_or_default();
        let id = RequestId(number.parse().expect("a request's number"));
        let body =
            br#"{"channelvars":{"UNICASTRTP_LOCAL_PORT":"21378","UNICASTRTP_LOCAL_ADDRESS":"127.0.0.1"}}"#;
        self.gives(Input::AriReply { id, status, body })
    }
}

fn lines(out: &Actions) -> Vec<String> {
    let line = |action| match action {
        Action::Ari { id, method, path, .. } => format!("#{id} {} {}", method.as_str(), out.text(path)),
        other => format!("{other:?}"),
    };
    out.iter().map(line).collect()
}

fn texts(out: &Actions) -> Vec<String> {
    let text = |action| match action {
        Action::SendRealtime { bytes, .. } => Some(out.text(bytes).to_owned()),
        _ => None,
    };
    out.iter().filter_map(text).collect()
}

fn asks(lines: &[String], request: &str) -> bool {
    lines.iter().any(|line| line.contains(request))
}

#[test]
fn a_second_gap_in_the_events_is_looked_into_although_the_first_look_is_under_way() {
    let mut bench = Bench::answered(&CallSettings::default());
    bench.gives(Input::AriLink(LinkState::Down));
    assert!(asks(&bench.gives(Input::AriLink(LinkState::Up)), "GET /channels/17.1"));
    // The look is executed and its reply on its way, when the socket breaks again and the caller hangs up.
    bench.gives(Input::AriLink(LinkState::Down));
    bench.gives(Input::AriLink(LinkState::Up));
    assert!(asks(&bench.reply("GET /channels/17.1", 200), "GET /channels/17.1"));
    assert!(asks(&bench.reply("GET /channels/arib00000001-1-1", 200), "GET /channels/arib00000001-1-1"));
}

#[test]
fn a_look_without_an_answer_is_repeated() {
    let mut bench = Bench::answered(&CallSettings::default());
    bench.gives(Input::AriLink(LinkState::Up));
    bench.reply("GET /channels/17.1", 503);
    bench.now = bench.now + Duration::from_secs(2);
    assert!(asks(&bench.gives(Input::Timer), "GET /channels/17.1"));
}

#[test]
fn a_media_channel_that_shows_itself_after_its_404_is_removed() {
    let mut bench = Bench::new(&CallSettings::default());
    bench.gives(Input::MediaUp { leg: LegId(1), local: ([127, 0, 0, 1], 30_000).into() });
    bench.reply("POST /bridges?", 200);
    // A proxy answers for a create that Asterisk executes a moment later.
    bench.reply("POST /channels/externalMedia", 504);
    bench.reply("POST /channels/17.1/variable", 204);
    bench.reply("POST /channels/17.1/continue", 204);
    bench.reply("DELETE /channels/arib00000001-1-1", 404);
    assert!(asks(&bench.gives(Input::Ari(MEDIA_START)), "DELETE /channels/arib00000001-1-1"));
}

#[test]
fn a_caller_whose_place_is_taken_while_it_is_let_go_is_followed() {
    let settings = CallSettings { fallback: Fallback::HangUp, ..CallSettings::default() };
    let mut bench = Bench::answered(&settings);
    assert!(asks(&bench.gives(Input::Stop(StopReason::AtOnce)), "DELETE /channels/17.1"));
    bench.gives(Input::Ari(
        br#"{"type":"StasisStart","channel":{"id":"17.9","name":"PJSIP/b","state":"Up"},"replace_channel":{"id":"17.1"}}"#,
    ));
    assert!(asks(&bench.reply("DELETE /channels/17.1", 404), "DELETE /channels/17.9"));
}

#[test]
fn an_older_call_lets_go_of_no_channel_that_is_another_calls_caller() {
    let mut bench = Bench::answered(&CallSettings::default());
    let told = bench.gives(Input::Stop(StopReason::CallerLeft));
    assert!(!asks(&told, "17.1") && asks(&told, "DELETE /channels/arib00000001-1-1"), "{told:?}");
}

#[test]
fn on_a_socket_that_is_bound_to_every_address_an_ipv4_asterisk_is_known() {
    let mut bench = Bench::answered(&CallSettings::default());
    let mut datagram = vec![0x80, 118, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4];
    datagram.extend([0; 640]);
    let from = "[::ffff:127.0.0.1]:21378".parse().expect("an address");
    let told = bench.gives(Input::Media { leg: LegId(1), from, bytes: &datagram });
    assert!(asks(&told, "RtpIn"), "{told:?}");
}

#[test]
fn a_response_that_no_retry_can_help_gives_the_caller_back() {
    let mut bench = Bench::answered(&CallSettings::default());
    let told = bench.gives(Input::Realtime {
        link: LinkId(1),
        bytes: br#"{"type":"response.done","response":{"status":"failed",
            "status_details":{"type":"failed","error":{"code":"insufficient_quota"}}}}"#,
    });
    assert!(asks(&told, "Prompt(Moment)") && !asks(&told, "Ending"), "the caller hears so first: {told:?}");
    let mut ticks = 0;
    while !asks(&bench.log, "POST /channels/17.1/variable?variable=ARI_BRIDGE_STATUS&value=realtime_refused")
    {
        bench.gives(Input::Timer);
        ticks += 1;
        assert!(ticks < 1_000, "{:?}", bench.log);
    }
    assert!(asks(&bench.log, "Ending(RealtimeRefused)"), "{:?}", bench.log);
    assert!(asks(&bench.reply("POST /channels/17.1/variable", 204), "POST /channels/17.1/continue"));
}

#[test]
fn many_calls_that_are_told_of_by_their_arguments_alone_are_no_more_actions_than_a_step_may_give() {
    let mut bench = Bench::answered(&CallSettings::default());
    bench.gives(Input::Realtime {
        link: LinkId(1),
        bytes: br#"{"type":"response.created","response":{"id":"r"}}"#,
    });
    for n in 0..40 {
        let call = format!(
            r#"{{"type":"response.function_call_arguments.done","response_id":"r","item_id":"f{n}","call_id":"c{n}","name":"made_up","arguments":"{{}}"}}"#
        );
        bench.gives(Input::Realtime { link: LinkId(1), bytes: call.as_bytes() });
    }
    let done = br#"{"type":"response.done","response":{"id":"r","status":"completed"}}"#;
    let told = bench.gives(Input::Realtime { link: LinkId(1), bytes: done });
    assert!(told.len() <= ari_bridge_core::call::MAX_ACTIONS_PER_STEP, "{} actions in one step", told.len());
}

#[test]
fn a_call_that_plays_its_last_sound_is_not_woken_for_a_caller_who_says_nothing() {
    let recovery = Recovery { retry_for: Duration::ZERO, ..Recovery::default() };
    let idle = Some(Duration::from_secs(8));
    let mut bench = Bench::answered(&CallSettings { recovery, idle, ..CallSettings::default() });
    bench.now = Instant::from_millis(5_500);
    assert!(asks(&bench.gives(Input::Timer), "PingRealtime"));
    // The timer is late: the server is dead, and the caller's patience is over too.
    bench.now = Instant::from_millis(11_000);
    assert!(asks(&bench.gives(Input::Timer), "Prompt"), "{:?}", bench.log);
    let (at, wake) = bench.next.deadline.expect("the sound has an end");
    assert!(at > bench.now, "{wake:?} at {at}, and it is {}", bench.now);
}

fn hangs_up() -> CallSettings {
    CallSettings { fallback: Fallback::HangUp, ..CallSettings::default() }
}

/// 20 ms of the caller, in slin16.
fn datagram(ssrc: u8, sequence: u8) -> Vec<u8> {
    let mut datagram = vec![0x80, 118, 0, sequence, 0, 0, 0, 0, 1, 2, 3, ssrc];
    datagram.extend([0; 640]);
    datagram
}

#[test]
fn a_caller_to_whom_a_silent_agent_is_to_say_goodbye_is_hung_up_within_twenty_seconds() {
    let mut bench = Bench::answered(&hangs_up());
    let told = bench.gives(Input::Stop(StopReason::Shutdown));
    assert!(asks(&bench.log, "SendRealtime") && !asks(&told, "Ending"), "{told:?}");
    // Being told twice changes nothing.
    bench.gives(Input::Stop(StopReason::Shutdown));
    let after = bench.waits_for("Ending(Shutdown)", Duration::from_secs(30)).expect("it ends");
    assert!(after > Duration::from_secs(12) && after <= Duration::from_secs(20), "{after:?}");
    assert!(asks(&bench.log, "Prompt(Goodbye)") && asks(&bench.log, "DELETE /channels/17.1"));
}

#[test]
fn whoever_is_being_told_goodbye_is_let_go_at_once_when_the_process_cannot_wait() {
    let mut bench = Bench::answered(&hangs_up());
    bench.gives(Input::Stop(StopReason::Shutdown));
    let told = bench.gives(Input::Stop(StopReason::AtOnce));
    assert!(asks(&told, "Ending(Shutdown)") && asks(&told, "DELETE /channels/17.1"), "{told:?}");
    assert!(!asks(&bench.log, "Prompt"), "without a sound");

    let mut bench = Bench::answered(&CallSettings::default());
    assert!(asks(&bench.gives(Input::Stop(StopReason::Shutdown)), "Prompt(Moment)"));
    let told = bench.gives(Input::Stop(StopReason::AtOnce));
    assert!(asks(&told, "Ending(Shutdown)") && asks(&told, "ARI_BRIDGE_STATUS&value=shutdown"), "{told:?}");
    assert!(asks(&bench.reply("POST /channels/17.1/variable", 204), "POST /channels/17.1/continue"));
}

#[test]
fn a_caller_who_was_not_answered_is_let_go_at_once_when_the_process_stops() {
    for reason in [StopReason::Shutdown, StopReason::AtOnce] {
        let mut bench = Bench::new(&CallSettings::default());
        assert!(asks(&bench.gives(Input::Stop(reason)), "ARI_BRIDGE_STATUS&value=shutdown"));
        let mut bench = Bench::new(&hangs_up());
        assert!(asks(&bench.gives(Input::Stop(reason)), "DELETE /channels/17.1?reason=congestion"));
    }
}

#[test]
fn a_caller_whom_the_dialplan_answered_hears_why_although_the_set_up_was_not_done() {
    let channel = br#"{"id":"17.1","name":"PJSIP/a-1","state":"Up"}"#;
    let mut bench = Bench::of(&CallSettings::default(), Origin::Adopted { channel });
    let told = bench.gives(Input::Stop(StopReason::Shutdown));
    assert!(!asks(&told, "Ending"), "{told:?}");
    bench.is_set_up();
    assert!(asks(&bench.log, "Prompt(Moment)"), "{:?}", bench.log);
    bench.waits_for("Ending(Shutdown)", Duration::from_secs(20)).expect("it ends");
    let mut bench = Bench::of(&CallSettings::default(), Origin::Adopted { channel });
    bench.gives(Input::Stop(StopReason::Shutdown));
    let after = bench.waits_for("Ending(Shutdown)", Duration::from_secs(20)).expect("it ends");
    assert!(after <= Duration::from_secs(2), "a media path that does not come is not waited for: {after:?}");
}

/// What the agent was told when it was asked to speak last.
fn instructions(settings: &CallSettings, origin: Origin<'_>) -> Option<String> {
    let mut bench = Bench::of(settings, origin);
    bench.is_set_up();
    bench.texts.into_iter().rev().find(|text| text.contains("response.create"))
}

#[test]
fn a_caller_who_is_taken_on_again_is_greeted_as_one_whose_line_was_interrupted() {
    let channel = br#"{"id":"17.1","name":"PJSIP/a-1","state":"Up",
        "dialplan":{"app_name":"Stasis","app_data":"voice-agent,100,200"}}"#;
    let with = |adopted: Option<&str>, greeting: Option<&str>| CallSettings {
        session: SessionSettings {
            adopted_greeting: adopted.map(str::to_owned),
            greeting: greeting.map(str::to_owned),
            ..SessionSettings::default()
        },
        ..CallSettings::default()
    };
    for greeting in [None, Some("Good day.")] {
        let said = instructions(&with(Some("Here I am again."), greeting), Origin::Adopted { channel });
        let said = said.expect("it is said");
        assert!(said.contains("Say exactly this") && said.contains("Here I am again."), "{said}");
        let own = instructions(&with(None, greeting), Origin::Adopted { channel }).expect("it is said");
        assert!(own.contains("interrupted") && !own.contains("Good day."), "{own}");
    }
    let event = br#"{"type":"StasisStart","channel":{"id":"17.1","name":"PJSIP/a-1","state":"Up"}}"#;
    assert_eq!(instructions(&with(Some("Again."), None), Origin::Arrived { event }), None);
}

#[test]
fn of_an_asterisk_that_was_restarted_nothing_is_asked_any_more() {
    let mut bench = Bench::answered(&CallSettings::default());
    bench.gives(Input::AriLink(LinkState::Up));
    let told = bench.gives(Input::Stop(StopReason::AsteriskRestarted));
    assert!(asks(&told, "Ending(AsteriskRestarted)") && asks(&told, "Finish"), "{told:?}");
    assert!(!told.iter().any(|line| line.starts_with('#')) && !asks(&told, "Prompt"), "{told:?}");
}

#[test]
fn a_create_that_came_to_the_restarted_asterisk_is_undone() {
    let mut bench = Bench::new(&CallSettings::default());
    bench.gives(Input::MediaUp { leg: LegId(1), local: ([127, 0, 0, 1], 30_000).into() });
    bench.reply("POST /bridges?", 200);
    let told = bench.gives(Input::Stop(StopReason::AsteriskRestarted));
    assert!(!told.iter().any(|line| line.starts_with('#')) && !bench.next.finished, "{told:?}");
    assert_eq!(
        bench.reply("POST /channels/externalMedia", 200).iter().filter(|line| line.starts_with('#')).count(),
        1
    );
    assert!(asks(&bench.reply("DELETE /channels/arib00000001-1-1", 404), "Finish"));
}

#[test]
fn whose_packets_come_before_the_media_channel_is_told_is_not_learned() {
    let settings = CallSettings { rtp_source: RtpSource::Learn, ..CallSettings::default() };
    let mut bench = Bench::new(&settings);
    bench.gives(Input::MediaUp { leg: LegId(1), local: ([127, 0, 0, 1], 30_000).into() });
    let late = "192.0.2.9:9".parse().expect("an address");
    let told = bench.gives(Input::Media { leg: LegId(1), from: late, bytes: &datagram(9, 1) });
    assert!(asks(&told, "RtpDropped(Early)"), "{told:?}");
    bench.is_set_up();
    bench.reply("POST /channels/17.1/answer", 204);
    // From behind a NAT, another address than the one that Asterisk told.
    let nat = "192.0.2.1:4000".parse().expect("an address");
    assert!(asks(&bench.gives(Input::Media { leg: LegId(1), from: nat, bytes: &datagram(1, 1) }), "RtpIn"));
    let told = bench.gives(Input::Media { leg: LegId(1), from: late, bytes: &datagram(9, 2) });
    assert!(asks(&told, "RtpDropped(Stranger)"), "{told:?}");
}

#[test]
fn another_ssrc_is_told_of_and_the_first_is_not() {
    let mut bench = Bench::answered(&CallSettings::default());
    let from = "127.0.0.1:21378".parse().expect("an address");
    let mut told = Vec::new();
    for (ssrc, sequence) in [(1, 1), (1, 2), (2, 1), (2, 2), (3, 1)] {
        let lines = bench.gives(Input::Media { leg: LegId(1), from, bytes: &datagram(ssrc, sequence) });
        told.push(lines.iter().filter(|line| line.contains("SsrcChanged")).count());
    }
    assert_eq!(told, [0, 0, 1, 0, 1]);
}
