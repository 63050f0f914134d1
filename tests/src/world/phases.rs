//! A call that is brought to a phase of its life on a good day, to see what it makes there of what the Realtime
//! server says.

use super::{Asterisk, World};
use crate::choices::Choices;
use crate::wire;
use ari_bridge_core::call::{Action, EndReason, Input, Outcome, StopReason};
use ari_bridge_core::format::MediaFormat;
use ari_bridge_core::id::{LegId, LinkId};
use ari_bridge_core::observe::Observation;
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
    /// The agent is saying goodbye.
    Goodbye,
    /// The call has ended, and Asterisk has answered none of the requests that clean up.
    Ending,
}

/// How long a call may last, and when its goodbye begins.
const MAX_CALL: Duration = Duration::from_secs(8);
const GOODBYE_AT: Duration = Duration::from_secs(6);

/// A link that no call has had.
const NOBODYS: LinkId = LinkId(1_000_000);

/// How long it may take at most until the agent is heard, other answers before it included.
const HEARD_WITHIN: Duration = Duration::from_secs(8);

/// The longest time between two messages of the server.
const BETWEEN: Duration = Duration::from_millis(20);

/// A call in a phase. The answer and the items of it have the names that they have in the
/// [samples](crate::samples), so that what is told of those concerns them.
pub struct Staged {
    world: World,
    phase: Phase,
    barge_in: BargeIn,
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
        let world = World::start(&settings, MediaFormat::Ulaw, 1, asterisk, &event);
        let mut staged = Self {
            world,
            phase,
            barge_in,
            heard: Vec::new(),
            answered: false,
            ending: None,
            acted: false,
            loud_packets: 0,
            appends: 0,
            turns: 0,
        };
        staged.enter();
        assert!(staged.ending.is_some() == (phase == Phase::Ending), "{phase:?}: {:?}", staged.ending);
        staged
    }

    fn enter(&mut self) {
        let local = SocketAddr::from(([127, 0, 0, 1], 30_000));
        self.step(Input::MediaUp { leg: LegId(1), local });
        self.world.realtime_comes_up();
        self.look();
        if self.phase == Phase::Opened {
            return;
        }
        self.says(r#"{"type":"session.created"}"#);
        if self.phase == Phase::Updating {
            return;
        }
        self.says(r#"{"type":"session.updated"}"#);
        if self.phase == Phase::Ready {
            return;
        }
        self.is_answered();
        self.pass(BETWEEN * 2);
        match self.phase {
            Phase::Opened | Phase::Updating | Phase::Ready | Phase::Quiet => {}
            Phase::Greeting => self.answer_begins("resp_1", "item_assistant", soft()),
            Phase::CallerSpeaks => self.caller_speaks(),
            Phase::Committed => {
                self.caller_speaks();
                self.says(r#"{"type":"input_audio_buffer.speech_stopped","item_id":"item_user","audio_end_ms":300}"#);
                self.says(r#"{"type":"input_audio_buffer.committed","item_id":"item_user"}"#);
            }
            Phase::Goodbye => {
                self.acted = false;
                self.world.now = self.world.now.max(Instant::START + GOODBYE_AT);
                self.step(Input::Timer);
                assert!(self.acted, "no goodbye was asked for");
                self.answer_begins("resp_1", "item_assistant", soft());
            }
            Phase::Ending => self.step(Input::Stop(StopReason::Shutdown)),
        }
    }

    /// Asterisk does and answers all that it is asked for.
    fn is_answered(&mut self) {
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
        assert!(self.answered, "the caller was not answered");
    }

    fn caller_speaks(&mut self) {
        self.says(r#"{"type":"input_audio_buffer.speech_started","item_id":"item_user","audio_start_ms":0}"#);
        self.pass(Duration::from_millis(300));
    }

    fn answer_begins(&mut self, response: &str, item: &str, delta: &str) {
        self.says(&json!({ "type": "response.created", "response": { "id": response } }).to_string());
        let delta = json!({
            "type": "response.output_audio.delta", "response_id": response, "item_id": item, "output_index": 0,
            "content_index": 0, "delta": delta,
        });
        self.says(&delta.to_string());
        self.pass(Duration::from_millis(200));
    }

    /// The server sends a message, and a moment passes. Returns whether the call did something for which somebody
    /// waits: then it may stand elsewhere now.
    pub fn hears(&mut self, message: &[u8]) -> bool {
        self.heard.push(String::from_utf8_lossy(message).into_owned());
        self.acted = false;
        self.world.server_sends(self.world.oracle.links().newest(), message);
        self.look();
        self.pass(BETWEEN);
        self.acted
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

    /// A server that is itself again takes the call to where the caller is answered, if it is not there.
    ///
    /// # Panics
    ///
    /// If the caller is not answered.
    pub fn recovers(&mut self) {
        if !self.answered && self.ending.is_none() {
            self.says(r#"{"type":"session.created"}"#);
            self.says(r#"{"type":"session.updated"}"#);
            self.is_answered();
        }
    }

    /// The agent says something with a loud voice, in an answer and an item of their own. Returns whether it was heard.
    pub fn honest_turn(&mut self) -> bool {
        self.turns += 1;
        let (response, item) = (format!("resp_honest_{}", self.turns), format!("item_honest_{}", self.turns));
        let before = self.loud_packets;
        self.answer_begins(&response, &item, loud());
        for kind in ["response.output_audio.done", "response.output_item.done"] {
            let done = json!({
                "type": kind, "response_id": response, "item_id": item, "content_index": 0, "output_index": 0,
                "item": { "id": item, "type": "message", "role": "assistant", "status": "completed" },
            });
            self.says(&done.to_string());
        }
        let done = json!({ "type": "response.done", "response": { "id": response, "status": "completed" } });
        self.says(&done.to_string());
        let by = self.world.now + HEARD_WITHIN;
        while self.loud_packets == before && self.ending.is_none() && self.world.now < by {
            self.pass(BETWEEN * 5);
        }
        self.loud_packets > before
    }

    /// A call whose session stands takes no error for its end, and the model goes on hearing the caller.
    ///
    /// # Panics
    ///
    /// If it does not.
    pub fn goes_on(&mut self) {
        let before = self.appends;
        self.says(r#"{"type":"error","error":{"type":"invalid_request_error","code":"invalid_value"}}"#);
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

    fn says(&mut self, message: &str) {
        self.world.server_says(message);
        self.look();
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
                    self.loud_packets += usize::from(packet.payload.iter().any(|&byte| is_loud(byte)));
                }
                Action::SendRealtime { bytes, .. } => {
                    let is_append = out.text(bytes).contains("input_audio_buffer.append");
                    self.appends += usize::from(is_append);
                    self.acted |= !is_append;
                }
                Action::Observe(Observation::Ending(reason)) => self.ending = Some(reason),
                Action::Observe(Observation::Answered { .. }) => self.answered = true,
                Action::Ari { .. } | Action::CloseRealtime { .. } => self.acted = true,
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

/// Whether a byte of G.711 µ-law is louder than a quarter of full scale.
fn is_loud(byte: u8) -> bool {
    byte & 0x7F < 0x20
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
