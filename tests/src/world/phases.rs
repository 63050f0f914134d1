//! A call that is brought to a phase of its life on a good day, to see what it makes there of what the Realtime
//! server says.

use super::serving::Links;
use super::{Asterisk, World, realtime};
use crate::choices::Choices;
use crate::taped::Encore;
use crate::wire;
use ari_bridge_core::call::{Action, EndReason, Input, IoFault, Outcome, StopReason};
use ari_bridge_core::format::MediaFormat;
use ari_bridge_core::id::{LegId, LinkId};
use ari_bridge_core::observe::{Observation, Recovery};
use ari_bridge_core::rtp::Packet;
use ari_bridge_core::settings::{BargeIn, CallSettings, SessionSettings};
use ari_bridge_core::time::{Duration, Instant};
use core::f32::consts::TAU;
use core::net::SocketAddr;
use serde_json::json;
use std::sync::OnceLock;

/// Where a call stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// The socket is open, and the server has said nothing.
    Opened,
    /// Our settings are sent.
    Updating,
    /// The session is ready, and Asterisk has answered nothing yet.
    Ready,
    /// The caller is answered, and nobody speaks.
    Quiet,
    /// The greeting is being heard.
    Greeting,
    /// The caller speaks.
    CallerSpeaks,
    /// What the caller said has become an item.
    Committed,
    /// The answer to what the caller said has failed, and is about to be asked for again.
    Failed,
    /// The session is about to expire, and the next one is being opened beside it.
    Renewing,
    /// The same, but what the server says comes on the link of the next one.
    Beside,
    /// The session was lost, and the settings are sent to the next one.
    Lost,
    /// The agent is saying goodbye.
    Goodbye,
    /// The call has ended, and Asterisk has answered none of the requests that clean up.
    Ending,
}

/// How long a call may last, and when its goodbye begins.
const MAX_CALL: Duration = Duration::from_secs(8);
const GOODBYE_AT: Duration = Duration::from_secs(6);

/// How long a session lasts that is renewed, in seconds, and by when that has begun.
const SHORT_LIFE_S: u64 = 20;
const RENEWING_AT: Duration = Duration::from_secs(15);

/// A link that no call has had.
const NOBODYS: LinkId = LinkId(1_000_000);

/// How long it may take at most until the agent is heard, other answers before it included.
const HEARD_WITHIN: Duration = Duration::from_secs(8);

/// How long a call may have neither a link nor an end: a wait before another attempt, or the last sound that the
/// caller hears.
const WITHOUT_A_LINK: Duration = Duration::from_secs(15);

/// How long it may take with an honest server until the conversation takes place in the newest session.
const RECOVERED_WITHIN: Duration = Duration::from_secs(30);

/// The longest time between two messages of the server.
const BETWEEN: Duration = Duration::from_millis(20);

/// A call in a phase. The answer and the items of it have the names that they have in the
/// [samples](crate::samples), so that what is told of those concerns them.
pub struct Staged {
    world: World,
    phase: Phase,
    barge_in: BargeIn,
    links: Links,
    /// The server takes up each link that the call opens, and agrees to its settings.
    is_honest: bool,
    /// An answer has failed, and is asked for again after this.
    again_in: Option<Duration>,
    heard: Vec<String>,
    answered: bool,
    ending: Option<EndReason>,
    /// Whether the call did something for which somebody waits.
    acted: bool,
    loud_packets: usize,
    /// How many messages gave the server something of the caller's audio.
    appends: usize,
    turns: usize,
}

impl Staged {
    /// Brings a call to that phase.
    ///
    /// # Panics
    ///
    /// If it does not get there, or breaks an invariant.
    #[must_use]
    pub fn new(phase: Phase, barge_in: BargeIn) -> Self {
        let greets = phase == Phase::Greeting;
        let settings = CallSettings {
            barge_in,
            max_call: if phase == Phase::Goodbye { MAX_CALL } else { Duration::from_secs(3600) },
            session: SessionSettings {
                greeting: greets.then(|| "Good day.".to_owned()),
                ..SessionSettings::default()
            },
            ..CallSettings::default()
        };
        let asterisk = Asterisk::new(false);
        let event = asterisk.caller_arrives();
        let world = World::start(&settings, MediaFormat::Ulaw, 1, asterisk, &event, Encore::OneInEight);
        let mut staged = Self {
            world,
            phase,
            barge_in,
            links: Links::default(),
            is_honest: false,
            again_in: None,
            heard: Vec::new(),
            answered: false,
            ending: None,
            acted: false,
            loud_packets: 0,
            appends: 0,
            turns: 0,
        };
        staged.look();
        staged.enter();
        assert!(staged.ending.is_some() == (phase == Phase::Ending), "{phase:?}: {:?}", staged.ending);
        staged
    }

    fn enter(&mut self) {
        let local = SocketAddr::from(([127, 0, 0, 1], 30_000));
        self.step(Input::MediaUp { leg: LegId(1), local });
        let link = self.links.newest();
        self.comes_up(link);
        if self.phase == Phase::Opened {
            return;
        }
        let is_short = matches!(self.phase, Phase::Renewing | Phase::Beside);
        let expires_at = is_short.then_some(realtime::UTC.0 / 1_000_000_000 + SHORT_LIFE_S);
        let created = json!({ "type": "session.created", "session": { "expires_at": expires_at } });
        self.says_on(link, &created.to_string());
        if self.phase == Phase::Updating {
            return;
        }
        self.confirms(link);
        if self.phase == Phase::Ready {
            return;
        }
        self.asterisk_answers();
        assert!(self.answered, "the caller was not answered");
        self.pass(BETWEEN * 2);
        match self.phase {
            Phase::Opened | Phase::Updating | Phase::Ready | Phase::Quiet => {}
            Phase::Greeting => self.answer_begins(link, "resp_1", "item_assistant", soft()),
            Phase::CallerSpeaks => self.caller_speaks(link),
            Phase::Committed => self.caller_has_spoken(link),
            Phase::Failed => self.answer_fails(link),
            Phase::Renewing | Phase::Beside => {
                self.comes_to(RENEWING_AT);
                let next = self.links.newest();
                assert!(next != link, "the session is not renewed");
                self.comes_up(next);
                self.says_on(next, r#"{"type":"session.created"}"#);
            }
            Phase::Lost => self.session_is_lost(link),
            Phase::Goodbye => {
                self.acted = false;
                self.comes_to(GOODBYE_AT);
                assert!(self.acted, "no goodbye was asked for");
                self.answer_begins(link, "resp_1", "item_assistant", soft());
            }
            Phase::Ending => self.step(Input::Stop(StopReason::AtOnce)),
        }
    }

    /// It is that late at once.
    fn comes_to(&mut self, at: Duration) {
        self.world.now = self.world.now.max(Instant::START + at);
        self.step(Input::Timer);
    }

    fn answer_fails(&mut self, link: LinkId) {
        self.caller_has_spoken(link);
        self.says_on(link, r#"{"type":"response.created","response":{"id":"resp_1"}}"#);
        let details = json!({ "error": { "code": "server_error" } });
        let response = json!({ "id": "resp_1", "status": "failed", "status_details": details });
        self.says_on(link, &json!({ "type": "response.done", "response": response }).to_string());
        assert!(self.again_in.is_some(), "a failed answer is not asked for again");
    }

    fn session_is_lost(&mut self, link: LinkId) {
        self.world.oracle.realtime_down(link);
        self.links.ends(link);
        self.step(Input::RealtimeDown {
            link,
            http_status: None,
            retry_after: None,
            code: None,
            reason: b"",
            fault: Some(IoFault::Reset),
        });
        self.settles();
        let next = self.links.newest();
        self.comes_up(next);
        self.says_on(next, r#"{"type":"session.created"}"#);
        assert!(self.ending.is_none(), "the loss of a session ended the call");
    }

    /// Asterisk does and answers all that it is asked for.
    fn asterisk_answers(&mut self) {
        let mut honest = Choices::new(&[]);
        for _ in 0..100 {
            self.world.asterisk.execute_all(self.world.now);
            if let Some(event) = self.world.asterisk.take_event(&mut honest) {
                self.step(Input::Ari(event.as_bytes()));
            } else if let Some(request) = self.world.asterisk.take_executed(&mut honest) {
                let (status, body) = request.done.expect("it was taken as executed");
                self.step(Input::AriReply { id: request.id, status, body: body.as_bytes() });
            } else {
                break;
            }
        }
    }

    fn caller_speaks(&mut self, link: LinkId) {
        self.says_on(
            link,
            r#"{"type":"input_audio_buffer.speech_started","item_id":"item_user","audio_start_ms":0}"#,
        );
        self.pass(Duration::from_millis(300));
    }

    fn caller_has_spoken(&mut self, link: LinkId) {
        self.caller_speaks(link);
        for end in [
            r#"{"type":"input_audio_buffer.speech_stopped","item_id":"item_user","audio_end_ms":300}"#,
            r#"{"type":"input_audio_buffer.committed","item_id":"item_user"}"#,
        ] {
            self.says_on(link, end);
        }
    }

    fn answer_begins(&mut self, link: LinkId, response: &str, item: &str, delta: &str) {
        self.says_on(
            link,
            &json!({ "type": "response.created", "response": { "id": response } }).to_string(),
        );
        let delta = json!({
            "type": "response.output_audio.delta", "response_id": response, "item_id": item, "output_index": 0,
            "content_index": 0, "delta": delta,
        });
        self.says_on(link, &delta.to_string());
        self.pass(Duration::from_millis(200));
    }

    /// The server sends a message, and a moment passes: if the call has no link any more, all the time until it has
    /// another one, or its end. Returns whether the call did something for which somebody waits: then it may
    /// stand elsewhere now.
    ///
    /// # Panics
    ///
    /// If it comes neither to a link nor to an end.
    pub fn hears(&mut self, message: &[u8]) -> bool {
        self.heard.push(String::from_utf8_lossy(message).into_owned());
        self.acted = false;
        let link = match self.phase {
            Phase::Renewing => self.links.conversation().unwrap_or(NOBODYS),
            _ => self.links.newest(),
        };
        self.world.server_sends(link, message);
        self.look();
        self.pass(BETWEEN);
        self.settles();
        self.acted
    }

    fn settles(&mut self) {
        let by = self.world.now + WITHOUT_A_LINK;
        while self.links.is_empty() && self.ending.is_none() {
            assert!(self.world.now < by, "neither a link nor an end");
            self.pass(BETWEEN);
        }
    }

    /// The same on a link that the call has never had. Returns how many things the call did at once.
    pub fn hears_on_no_link_of_its_own(&mut self, message: &[u8]) -> usize {
        self.heard.push(String::from_utf8_lossy(message).into_owned());
        // What is due is done before.
        self.pass(Duration::from_micros(1));
        self.world.server_sends(NOBODYS, message);
        self.look();
        self.world.out.len()
    }

    /// Why the call ended, if it has.
    #[must_use]
    pub fn ending(&self) -> Option<EndReason> {
        self.ending
    }

    /// How many packets the caller was sent with a loud voice in them: that of [`Self::honest_turn`].
    #[must_use]
    pub fn loud_packets(&self) -> usize {
        self.loud_packets
    }

    /// A server that is itself again takes the call to where the caller is answered and the newest session stands, if it
    /// is not there; and an answer that has failed is asked for again.
    ///
    /// # Panics
    ///
    /// If the call does not come there.
    pub fn recovers(&mut self) {
        self.is_honest = true;
        self.serve();
        let by = self.world.now + RECOVERED_WITHIN;
        while self.ending.is_none() && !(self.answered && self.links.conversation().is_some()) {
            assert!(self.world.now < by, "the call does not recover");
            self.asterisk_answers();
            self.pass(BETWEEN);
        }
        if let Some(wait) = self.again_in.take().filter(|_| self.ending.is_none()) {
            self.pass(wait + BETWEEN);
        }
    }

    /// The agent says something with a loud voice, in an answer and an item of their own. Returns whether it was heard.
    pub fn honest_turn(&mut self) -> bool {
        self.turns += 1;
        let (response, item) = (format!("resp_honest_{}", self.turns), format!("item_honest_{}", self.turns));
        let before = self.loud_packets;
        let link = self.links.conversation().unwrap_or(self.world.oracle.links().newest());
        self.answer_begins(link, &response, &item, loud());
        for kind in ["response.output_audio.done", "response.output_item.done"] {
            let done = json!({
                "type": kind, "response_id": response, "item_id": item, "content_index": 0, "output_index": 0,
                "item": { "id": item, "type": "message", "role": "assistant", "status": "completed" },
            });
            self.says_on(link, &done.to_string());
        }
        let done = json!({ "type": "response.done", "response": { "id": response, "status": "completed" } });
        self.says_on(link, &done.to_string());
        let by = self.world.now + HEARD_WITHIN;
        while self.loud_packets == before && self.ending.is_none() && self.world.now < by {
            self.pass(BETWEEN * 5);
        }
        self.loud_packets > before
    }

    /// A call whose session stands takes no error for its end, and the model goes on hearing the caller. One whose next
    /// session stands too goes over to it.
    ///
    /// # Panics
    ///
    /// If it does not.
    pub fn goes_on(&mut self) {
        let by = self.world.now + RECOVERED_WITHIN;
        while self.links.len() > 1 && self.ending.is_none() {
            assert!(self.world.now < by, "the call does not go over to the next session");
            self.pass(BETWEEN);
        }
        let before = self.appends;
        let link = self.links.conversation().expect("a session");
        self.says_on(
            link,
            r#"{"type":"error","error":{"type":"invalid_request_error","code":"invalid_value"}}"#,
        );
        self.pass(Duration::from_millis(200));
        assert!(self.ending.is_none(), "an error ended the call: {:?}", self.ending);
        assert!(self.appends > before, "the model hears nothing any more");
    }

    /// The bridge is stopped, and Asterisk does all that it is asked for. Nothing may be left on it.
    ///
    /// # Panics
    ///
    /// If the call does not end, or leaves something.
    pub fn shut_down(&mut self) -> Outcome {
        self.world.end_without_faults().outcome
    }

    fn says_on(&mut self, link: LinkId, message: &str) {
        self.world.server_sends(link, message.as_bytes());
        self.look();
    }

    /// The socket of a link is open.
    fn comes_up(&mut self, link: LinkId) {
        self.links.comes_up(link);
        self.world.oracle.realtime_up(link);
        self.step(Input::RealtimeUp { link });
    }

    /// The server agrees to the settings of a session.
    fn confirms(&mut self, link: LinkId) {
        self.links.is_confirmed(link);
        self.says_on(link, r#"{"type":"session.updated"}"#);
    }

    /// The server does what is asked of it: it answers pings, and if it is honest, it takes up each session.
    fn serve(&mut self) {
        while let Some(link) = self.links.take_ping() {
            self.step(Input::RealtimePong { link });
        }
        while let Some((link, is_up)) = self.links.unconfirmed().filter(|_| self.is_honest) {
            if !is_up {
                self.comes_up(link);
            }
            self.says_on(link, r#"{"type":"session.created"}"#);
            self.confirms(link);
        }
    }

    fn step(&mut self, input: Input<'_>) {
        self.world.step(input);
        self.look();
    }

    /// Lets time pass, with every timer in it.
    fn pass(&mut self, how_long: Duration) {
        let end = self.world.now + how_long;
        let mut steps = 0;
        while let Some((at, wake)) = self.world.next.deadline.filter(|&(at, _)| at <= end) {
            self.world.now = self.world.now.max(at);
            self.step(Input::Timer);
            self.serve();
            steps += 1;
            assert!(steps < 1000, "{wake:?} is never settled");
        }
        self.world.now = self.world.now.max(end);
    }

    /// Looks at what the last step gave.
    fn look(&mut self) {
        let out = &self.world.out;
        for action in out.iter() {
            match action {
                Action::SendMedia { bytes, .. } => {
                    let packet = Packet::parse(out.bytes(bytes)).expect("what is sent is RTP");
                    self.loud_packets += usize::from(is_loud(packet.payload));
                }
                Action::SendRealtime { bytes, .. } => {
                    let is_append = out.text(bytes).contains("input_audio_buffer.append");
                    self.appends += usize::from(is_append);
                    self.acted |= !is_append;
                }
                Action::Observe(Observation::Ending(reason)) => self.ending = Some(reason),
                Action::Observe(Observation::Answered { .. }) => self.answered = true,
                Action::Observe(Observation::Recovery(told)) => {
                    self.acted = true;
                    if let Recovery::AnswerAgain { wait } = told {
                        self.again_in = Some(wait);
                    }
                }
                Action::Ari { .. } => self.acted = true,
                Action::OpenRealtime { link, .. } => self.links.opens(link),
                Action::PingRealtime { link } => self.links.is_pinged(link),
                Action::CloseRealtime { link, .. } => {
                    self.links.ends(link);
                    self.acted = true;
                }
                _ => {}
            }
        }
    }
}

impl Drop for Staged {
    /// Whoever breaks an invariant knows nothing of what led there.
    fn drop(&mut self) {
        if std::thread::panicking() {
            let heard = self.heard.iter().map(|message| message.chars().take(600).collect::<String>());
            let heard = heard.collect::<Vec<_>>().join("\n  ");
            eprintln!("{:?}, BARGE_IN {:?}, heard:\n  {heard}", self.phase, self.barge_in);
        }
    }
}

/// Whether most of a packet of G.711 µ-law is louder than a quarter of full scale. The bridge's own sounds have
/// such samples too, but not many in a row.
fn is_loud(payload: &[u8]) -> bool {
    payload.iter().filter(|&byte| byte & 0x7F < 0x20).count() * 2 > payload.len()
}

/// A tone as a delta: 600 ms that cannot be taken for a voice, and 300 ms that can be taken for nothing else.
fn soft() -> &'static str {
    static SOFT: OnceLock<String> = OnceLock::new();
    SOFT.get_or_init(|| tone(300.0, 600))
}

fn loud() -> &'static str {
    static LOUD: OnceLock<String> = OnceLock::new();
    LOUD.get_or_init(|| tone(24_000.0, 300))
}

fn tone(amplitude: f32, ms: usize) -> String {
    let samples: Vec<i16> =
        (0..ms * 24).map(|n| (amplitude * (TAU * 400.0 * n as f32 / 24_000.0).sin()) as i16).collect();
    wire::delta(&samples)
}
