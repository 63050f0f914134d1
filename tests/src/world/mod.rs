//! One call in a small world that is decided by bytes: what Asterisk executes and when, what it answers, which
//! replies and events are lost or come late, what the Realtime server says, what datagrams arrive, and how
//! time passes. After every step the invariants of a call are checked; at the end the faults stop, and nothing
//! may be left on Asterisk.

mod asterisk;
mod every;
mod phases;
mod realtime;
mod serving;

pub use every::{At, Bounds, Count, Kind, every_end, every_set_up};
pub use phases::{Phase, Staged};

use crate::choices::Choices;
use crate::oracle::Oracle;
use crate::taped::{Encore, LIMIT_BYTES, Taped};
use ari_bridge_core::call::{
    Action, Actions, Call, Input, IoFault, LinkState, Next, Origin, Outcome, Start, StopReason,
};
use ari_bridge_core::format::{MediaFormat, ModelFormat};
use ari_bridge_core::id::{CallId, IdPrefix, InstanceNonce, LegId, LinkId, RequestId, ToolId};
use ari_bridge_core::observe::Observation;
use ari_bridge_core::rtp::Packet;
use ari_bridge_core::settings::{
    BargeIn, CallSettings, Dialect, FailedAnswer, Fallback, Function, Keys, MediaPlan, Recovery, Resume,
    RtpSource, SessionSettings, Tool, Transfer, Transport,
};
use ari_bridge_core::time::{Duration, Instant};
use asterisk::{Asterisk, CALLER, Request};
use core::net::SocketAddr;

/// The most steps that a call may need to end once the faults have stopped.
const MAX_STEPS_TO_END: usize = 3_000;

/// How long after a call was told to stop its end is decided at the latest, whatever the server says.
const STOPS_WITHIN: Duration = Duration::from_secs(20);

/// What a run came to, so that a test can see that it saw something.
#[derive(Debug)]
pub struct Report {
    /// How the call ended.
    pub outcome: Outcome,
    /// How many steps it took.
    pub steps: usize,
    /// How many packets were sent to the caller.
    pub packets_out: usize,
    /// A digest of every action of the run (FNV-1a), to hold two runs against each other.
    pub digest: u64,
}

/// Runs one call as `bytes` decide.
///
/// # Panics
///
/// If an invariant is broken; the message says which.
#[must_use]
pub fn run(bytes: &[u8]) -> Report {
    run_taped(bytes, Encore::OneInEight)
}

/// As [`run`]; what becomes of the call's capture is said.
pub(crate) fn run_taped(bytes: &[u8], encore: Encore) -> Report {
    let mut choices = Choices::new(bytes);
    let mut world = World::new(&mut choices, encore);
    // Chaos from the first moment rarely lets a call be answered, so most runs begin with a few things going
    // well: up to all that it takes.
    for _ in 0..choices.below(24) {
        world.one_good_thing();
    }
    while !choices.is_empty() && !world.next.finished {
        world.one_thing(&mut choices);
    }
    world.end_without_faults()
}

/// The settings of a call, as the choices decide: without one, those of most calls.
pub(crate) fn some_settings(choices: &mut Choices<'_>) -> CallSettings {
    CallSettings {
        advertise_host: choices.one_in(4).then(|| "media.example".to_owned()),
        rtp_source: if choices.one_in(3) { RtpSource::Learn } else { RtpSource::Strict },
        volume_boost: if choices.one_in(2) { 1.0 } else { 2.5 },
        cushion: Duration::from_millis(if choices.one_in(4) { 0 } else { 40 }),
        barge_in: BargeIn::ALL[choices.below(3)],
        echo_canceller: choices.one_in(16),
        idle: choices.one_in(4).then(|| Duration::from_secs(3)),
        transfers: vec![operator()],
        fallback: if choices.one_in(4) { Fallback::HangUp } else { Fallback::default() },
        recovery: Recovery {
            resume: Resume::ALL[choices.below(3)],
            retry_for: Duration::from_secs([20, 20, 20, 0][choices.below(4)]),
            ..Recovery::default()
        },
        failed_answer: FailedAnswer::ALL[choices.below(2)],
        keys: Keys { hot: vec![('0', 0)], ..Keys::default() },
        max_call: Duration::from_secs(if choices.one_in(4) { 10 } else { 3600 }),
        session: SessionSettings {
            greeting: choices.one_in(3).then(|| "Good day.".to_owned()),
            audio_format: ModelFormat::ALL[choices.below(3)],
            interrupt_response: choices.one_in(2),
            dialect: if choices.one_in(4) { Dialect::ALL[choices.below(5)] } else { Dialect::OpenAi },
            tools: vec![look_up()],
            ..SessionSettings::default()
        },
        ..CallSettings::default()
    }
}

/// The only place where a model may send a caller.
pub(crate) fn operator() -> Transfer {
    Transfer {
        name: "operator".to_owned(),
        context: "the-only-place".to_owned(),
        extension: "1001".to_owned(),
        priority: 1,
    }
}

/// The only function that a model may call beside those of the bridge's own.
pub(crate) fn look_up() -> Tool {
    Tool::Function(Function {
        name: "look_up".to_owned(),
        description: String::new(),
        parameters: serde_json::json!({ "type": "object", "required": ["q"] }),
    })
}

struct World {
    now: Instant,
    call: Taped<Call>,
    next: Next,
    out: Actions,
    asterisk: Asterisk,
    oracle: Oracle,
    steps: usize,
    sequence: u16,
    /// The functions that were called and not answered.
    called: Vec<ToolId>,
    /// The server does little else than to begin answers, and fails in all of them.
    answers_fail: bool,
    /// When the end was decided.
    ended_at: Option<Instant>,
}

impl World {
    fn new(choices: &mut Choices<'_>, encore: Encore) -> Self {
        let settings = some_settings(choices);
        let format = MediaFormat::ALL[choices.below(4)];
        let asterisk = Asterisk::new(choices.one_in(4));
        let event = asterisk.caller_arrives();
        let event = if choices.one_in(16) { choices.blob().to_vec() } else { event };
        let world = Self::start(&settings, format, u64::from(choices.byte()), asterisk, &event, encore);
        Self { answers_fail: choices.one_in(6), ..world }
    }

    /// A call that arrives with this event.
    fn start(
        settings: &CallSettings,
        format: MediaFormat,
        seed: u64,
        asterisk: Asterisk,
        event: &[u8],
        encore: Encore,
    ) -> Self {
        let start = Start {
            ids: IdPrefix { nonce: InstanceNonce::new(7), call: CallId(1) },
            seed,
            utc: realtime::UTC,
            caller_tag: None,
            media: MediaPlan { transport: Transport::Rtp, format },
            origin: Origin::Arrived { event },
        };
        let mut out = Actions::new();
        let now = Instant::START;
        let (call, next) = Taped::begin(settings, start, now, &mut out, LIMIT_BYTES, encore);
        let oracle = Oracle::new(settings, format);
        let mut world = Self {
            now,
            call,
            next,
            out,
            asterisk,
            oracle,
            steps: 0,
            sequence: 0,
            called: Vec::new(),
            answers_fail: false,
            ended_at: None,
        };
        world.perform(true);
        world
    }

    /// Lets one thing happen as it does on a good day.
    fn one_good_thing(&mut self) {
        self.now = self.now + Duration::from_millis(2);
        let mut honest = Choices::new(&[]);
        self.asterisk.execute_all(self.now);
        match self.steps {
            0 => {
                self.step(Input::MediaUp { leg: LegId(1), local: SocketAddr::from(([127, 0, 0, 1], 30_000)) })
            }
            1 => self.realtime_comes_up(),
            2 => self.server_says(r#"{"type":"session.created"}"#),
            // Without a format G.711 is not confirmed; what is asked for then is, whatever is shown.
            3 | 4 => self.server_says(r#"{"type":"session.updated"}"#),
            _ => {
                if let Some(event) = self.asterisk.take_event(&mut honest) {
                    self.step(Input::Ari(event.as_bytes()));
                } else if let Some(request) = self.asterisk.take_executed(&mut honest) {
                    let (status, body) = request.done.expect("it was taken as executed");
                    self.step(Input::AriReply { id: request.id, status, body: body.as_bytes() });
                }
            }
        }
    }

    /// The server says something on the newest link.
    fn server_says(&mut self, message: &str) {
        self.server_sends(self.oracle.links().newest(), message.as_bytes());
    }

    fn server_sends(&mut self, link: LinkId, message: &[u8]) {
        self.oracle.server_said(link, message);
        self.step(Input::Realtime { link, bytes: message });
    }

    fn realtime_comes_up(&mut self) {
        let link = self.oracle.links().newest();
        self.oracle.realtime_up(link);
        self.step(Input::RealtimeUp { link });
    }

    /// Lets one thing happen.
    fn one_thing(&mut self, choices: &mut Choices<'_>) {
        let pause = [0, 1, 1_000, 5_000_000, 20_000_000, 20_000_000, 150_000_000, 4_000_000_000];
        self.now = self.now + Duration::from_nanos(pause[choices.below(pause.len())]);
        match choices.below(16) {
            0..=2 => self.asterisk.execute_one(choices, self.now),
            3..=5 => self.reply(choices),
            6 => self.no_reply(choices),
            7 | 8 => self.ari_event(choices),
            9 | 10 => self.realtime(choices),
            11 if choices.one_in(3) => self.tool(choices),
            11 => self.datagram(choices),
            12 => self.media_socket(choices),
            13 => self.link(choices),
            _ => self.step(Input::Timer),
        }
        // A driver gives `Timer` when the deadline has passed; now and then it is late.
        if self.next.deadline.is_some_and(|(at, _)| at <= self.now) && !choices.one_in(4) {
            self.step(Input::Timer);
        }
    }

    fn reply(&mut self, choices: &mut Choices<'_>) {
        if choices.one_in(16) {
            let (id, status) = (RequestId(u32::from(choices.byte())), 100 + 2 * u16::from(choices.byte()));
            if !self.asterisk.is_in_flight(id) {
                let body = choices.blob();
                self.step(Input::AriReply { id, status, body });
            }
        } else if let Some(Request { id, done: Some((status, body)), .. }) =
            self.asterisk.take_executed(choices)
        {
            self.step(Input::AriReply { id, status, body: body.as_bytes() });
        }
    }

    fn no_reply(&mut self, choices: &mut Choices<'_>) {
        if choices.one_in(4)
            && let Some(id) = self.asterisk.refuse_one(choices)
        {
            return self.step(Input::AriFailed { id, fault: IoFault::Refused });
        }
        if let Some(id) = self.asterisk.abandon_one(choices, self.now) {
            let fault = if choices.one_in(2) { IoFault::TimedOut } else { IoFault::Reset };
            self.step(Input::AriFailed { id, fault });
        }
    }

    fn ari_event(&mut self, choices: &mut Choices<'_>) {
        if choices.one_in(8) {
            let garbage = choices.blob();
            self.step(Input::Ari(garbage));
        } else if choices.one_in(24) {
            self.asterisk.caller_hangs_up();
        } else if choices.one_in(8) {
            let digit = ["1", "2", "#", "0", "*", "", "12", "é"][choices.below(8)];
            let event = format!(
                r#"{{"type":"ChannelDtmfReceived","digit":"{digit}","channel":{{"id":"{CALLER}"}}}}"#
            );
            self.step(Input::Ari(event.as_bytes()));
        } else if choices.one_in(12) {
            let kind = if choices.one_in(2) { "ChannelHold" } else { "ChannelUnhold" };
            let event = format!(r#"{{"type":"{kind}","channel":{{"id":"{CALLER}"}}}}"#);
            self.step(Input::Ari(event.as_bytes()));
        } else if let Some(event) = self.asterisk.take_event(choices) {
            self.step(Input::Ari(event.as_bytes()));
        }
    }

    /// A function that was called answers, or one that was not.
    fn tool(&mut self, choices: &mut Choices<'_>) {
        let id = if self.called.is_empty() || choices.one_in(8) {
            ToolId(u32::from(choices.byte()))
        } else {
            self.called.swap_remove(choices.below(self.called.len()))
        };
        if choices.one_in(4) {
            self.step(Input::ToolFailed { id, fault: IoFault::TimedOut });
        } else {
            let status = [200, 204, 404, 500][choices.below(4)];
            let body = choices.blob();
            self.step(Input::ToolReply { id, status, body });
        }
    }

    fn datagram(&mut self, choices: &mut Choices<'_>) {
        let stranger = choices.one_in(6);
        let from =
            if stranger { SocketAddr::from(([192, 0, 2, 9], 9)) } else { self.asterisk.media_address() };
        let mut bytes = Vec::new();
        if choices.one_in(4) {
            bytes.extend_from_slice(choices.blob());
        } else {
            self.sequence = self.sequence.wrapping_add(1 + u16::from(choices.byte() / 100));
            let payload_type = [118, 9, 0, 8, 101][choices.below(5)];
            let payload = vec![choices.byte(); [160, 640, 80, 1, 0][choices.below(5)]];
            let packet = Packet {
                marker: false,
                payload_type,
                sequence: self.sequence,
                timestamp: u32::from(self.sequence) * 160,
                ssrc: u32::from(choices.one_in(32)),
                payload: &payload,
            };
            packet.write(&mut bytes);
        }
        self.step(Input::Media { leg: LegId(1), from, bytes: &bytes });
    }

    fn media_socket(&mut self, choices: &mut Choices<'_>) {
        let leg = LegId(1 + u32::from(choices.one_in(8)));
        if choices.one_in(8) {
            self.step(Input::MediaDown { leg, fault: IoFault::NoPort });
        } else {
            self.step(Input::MediaUp { leg, local: SocketAddr::from(([127, 0, 0, 1], 30_000)) });
        }
    }

    fn link(&mut self, choices: &mut Choices<'_>) {
        match choices.below(8) {
            0 | 1 => self.step(Input::AriLink(LinkState::Down)),
            2..=4 => self.step(Input::AriLink(LinkState::Up)),
            5 => {
                let reasons = [
                    StopReason::Shutdown,
                    StopReason::AtOnce,
                    StopReason::AsteriskRestarted,
                    StopReason::CallerLeft,
                ];
                self.stop(reasons[choices.below(4)]);
            }
            _ => self.step(Input::Timer),
        }
    }

    fn stop(&mut self, reason: StopReason) {
        if reason == StopReason::AsteriskRestarted {
            self.asterisk.restart();
        }
        self.step(Input::Stop(reason));
    }

    /// From here on Asterisk executes and answers everything, in order, and the call is told to stop.
    fn end_without_faults(&mut self) -> Report {
        let told_at = self.now;
        self.step(Input::Stop(StopReason::Shutdown));
        for _ in 0..MAX_STEPS_TO_END {
            let mut honest = Choices::new(&[]);
            self.asterisk.execute_all(self.now);
            if let Some(Request { id, done: Some((status, body)), .. }) =
                self.asterisk.take_executed(&mut honest)
            {
                self.step(Input::AriReply { id, status, body: body.as_bytes() });
            } else if let Some((at, _)) = self.next.deadline.filter(|_| !self.next.finished) {
                self.now = self.now.max(at);
                self.step(Input::Timer);
            }
            if self.next.finished {
                let outcome = self.oracle.finished().expect("a finished call has said so");
                let ended_at = self.ended_at.expect("a finished call has ended");
                assert!(ended_at < told_at + STOPS_WITHIN + Duration::from_millis(1), "{told_at} {ended_at}");
                if !outcome.left_behind {
                    self.asterisk.assert_nothing_is_left();
                }
                let (packets_out, digest) = (self.oracle.packets_out(), self.oracle.digest());
                return Report { outcome, steps: self.steps, packets_out, digest };
            }
        }
        panic!("the call did not end: next {:?}, in flight {:?}", self.next, self.asterisk.in_flight());
    }

    fn step(&mut self, input: Input<'_>) {
        self.steps += 1;
        self.now = self.now + Duration::from_nanos(1);
        let is_timer = matches!(input, Input::Timer);
        self.out.clear();
        self.next = self.call.step(self.now, input, &mut self.out);
        self.perform(is_timer);
    }

    fn perform(&mut self, is_timer: bool) {
        self.oracle.check_step(self.now, is_timer, &self.next, &self.out);
        for action in self.out.iter() {
            let told = self.asterisk.media_address();
            self.oracle.check_action(self.now, action, &self.out, |to| to == told);
            match action {
                Action::Ari { id, method, path, .. } => {
                    self.asterisk.request(id, method.as_str(), self.out.text(path));
                }
                Action::Tool { id, .. } => self.called.push(id),
                Action::Observe(Observation::Ending(_)) => self.ended_at = Some(self.now),
                _ => {}
            }
        }
        if self.next.finished {
            assert!(self.asterisk.in_flight().is_empty(), "finished with requests open");
        }
    }
}
