//! A stand-in for Asterisk 22.10.1: applications, channels, bridges, UnicastRTP endpoints, and callers.
//!
//! It knows the requests that a voice bridge makes, and tells the events in the order in which the real one
//! was measured to tell them. Left out: requests to originate, recordings, playback, DTMF, REST over WebSocket, media over
//! WebSocket or AudioSocket, names that need a resolver, and the media formats outside of [`MediaFormat`].
//!
//! [`MediaFormat`]: crate::format::MediaFormat

mod faults;
mod io;
mod life;
mod media;
mod others;
mod outage;
mod rest;
#[cfg(test)]
mod tests;
mod world;

pub use faults::{EventFlow, Fault, Faults, MAX_HELD};
pub use io::{Actions, CallerState, Input, Output};
pub use media::MediaStats;

use super::Next;
use crate::time::{Duration, Instant, UtcNanos};
use core::net::{IpAddr, Ipv4Addr};
use life::HangupBy;
use media::{Frame, PTIME};
use rest::Reply;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use world::{Party, State, World};

/// At what rate a caller speaks and hears, in samples per second.
pub const EAR_RATE: u32 = 16_000;
/// Samples in 20 ms at [`EAR_RATE`].
pub const FRAME_SAMPLES: usize = 320;
/// How many late slots of 20 ms one step makes up for; the rest is skipped, as by a machine that stood still.
const MAX_SLOTS_PER_STEP: u32 = 5;
/// How many applications one socket may ask for, and how many sockets there may be.
const MAX_APPS: usize = 100;

/// How the stand-in is set up.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The ARI user.
    pub user: String,
    /// The ARI password.
    pub password: String,
    /// The application that the dialplan hands callers to.
    pub app: String,
    /// The address that `UNICASTRTP_LOCAL_ADDRESS` tells.
    pub rtp_host: IpAddr,
    /// The UDP ports for UnicastRTP channels. A driver that wants none to collide binds them first, by asking
    /// the system for any.
    pub rtp_ports: Vec<u16>,
    /// Whether the telephones send silence while nobody speaks. If not, as with silence suppression, a silent
    /// caller sends no packet at all, which is what a bridge must be able to live with.
    pub phones_send_silence: bool,
    /// Whether audio goes from the rate of an ear to that of a line by leaving samples out, and back by giving them twice. That
    /// costs next to nothing and sounds like it: for those who listen to nobody.
    pub is_quick: bool,
    /// The wall clock at the start.
    pub utc: UtcNanos,
    /// Where SSRC, sequence numbers and the like come from.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            user: "asterisk".into(),
            password: "asterisk".into(),
            app: "voice-agent".into(),
            rtp_host: IpAddr::V4(Ipv4Addr::LOCALHOST),
            rtp_ports: (20_000..20_200).step_by(2).collect(),
            phones_send_silence: false,
            is_quick: false,
            utc: UtcNanos(1_795_000_000_000_000_000),
            seed: 1,
        }
    }
}

/// A request that waits.
#[derive(Debug)]
struct Held {
    id: u64,
    what: HeldWhat,
}

#[derive(Debug)]
enum HeldWhat {
    Reply(Reply),
    Request { method: String, path: String, query: String, body: Vec<u8> },
}

/// The stand-in.
#[derive(Debug)]
pub struct Asterisk {
    /// What is to go wrong.
    pub faults: Faults,
    world: World,
    running: bool,
    flow: EventFlow,
    /// Event sockets to which nothing comes any more.
    deaf: BTreeSet<u64>,
    held_events: VecDeque<(u64, String)>,
    held: VecDeque<Held>,
    delayed: VecDeque<(Instant, u64, Reply)>,
    next_slot: Option<Instant>,
    frames: Vec<(String, Option<Frame>)>,
}

impl Asterisk {
    /// An Asterisk without channels and without clients.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            faults: Faults::default(),
            world: World::new(settings),
            running: true,
            flow: EventFlow::Flow,
            deaf: BTreeSet::new(),
            held_events: VecDeque::new(),
            held: VecDeque::new(),
            delayed: VecDeque::new(),
            next_slot: None,
            frames: Vec::new(),
        }
    }

    /// Takes one input. What is due by `now` happens before it, at most five slots of media.
    pub fn step(&mut self, now: Instant, input: Input<'_>, out: &mut Actions) -> Next {
        self.world.now = now;
        self.catch_up(now, out);
        if self.running {
            self.take(input, out);
        } else if let Input::Dial { caller, .. } | Input::Originate { caller, .. } = input {
            self.world.caller_state(caller, CallerState::Gone);
        }
        self.flush(out);
        self.next(now)
    }

    fn take(&mut self, input: Input<'_>, out: &mut Actions) {
        match input {
            Input::Request { id, method, target, authorization, body } => {
                self.request(id, method, target, authorization, body, out);
            }
            Input::EventsOpened { socket, target, authorization } => {
                self.events_opened(socket, target, authorization, out);
            }
            // Of a socket that is half open, Asterisk does not learn that it was closed.
            Input::EventsClosed { socket } if self.deaf.contains(&socket) => {}
            Input::EventsClosed { socket } => self.world.sockets.retain(|_, current| *current != socket),
            Input::Datagram { local_port, from, bytes } => self.datagram(local_port, from, bytes),
            Input::Dial { caller, number, exten, answered } => {
                self.world.dial(caller, number, exten, answered)
            }
            Input::Transfer { caller, by, number } => self.world.replace(caller, by, number),
            Input::Originate { caller, number } => self.world.originate(caller, number),
            Input::Hangup { caller } => {
                if let Some(id) = self.world.callers.get(&caller).cloned() {
                    self.world.hangup(&id, HangupBy::Caller);
                }
            }
            Input::Press { caller, digit } => {
                if let Some(id) = self.world.callers.get(&caller).cloned() {
                    let fields = serde_json::json!({ "digit": digit.to_string(), "duration_ms": 120 });
                    self.world.tell_channel(&id, "ChannelDtmfReceived", fields);
                }
            }
            Input::Speak { caller, pcm } => self.speak(caller, pcm),
            Input::Timer => {}
        }
    }

    /// What became of the packets so far.
    #[must_use]
    pub const fn media_stats(&self) -> MediaStats {
        self.world.stats
    }

    /// Where in the dialplan a caller goes on: context, extension and priority. Callers come from priority 1.
    #[must_use]
    pub fn continued_at(&self, caller: u64) -> Option<&str> {
        self.world.continued.get(&caller).map(|continued| continued.at.as_str())
    }

    /// What this variable of the caller's channel was when the caller went on in the dialplan.
    #[must_use]
    pub fn continued_with(&self, caller: u64, variable: &str) -> Option<&str> {
        self.world.continued.get(&caller)?.variables.get(variable).map(String::as_str)
    }

    /// The reason for which the application hung up a caller, if it did; `normal` if it named none.
    #[must_use]
    pub fn hung_up_for(&self, caller: u64) -> Option<&str> {
        self.world.hung_up.get(&caller).map(String::as_str)
    }

    /// The ids of all channels and bridges.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.world.channels.keys().chain(self.world.bridges.keys()).map(String::as_str)
    }

    /// How many channels there are, callers included.
    #[must_use]
    pub fn channel_count(&self) -> usize {
        self.world.channels.len()
    }

    /// How many bridges there are.
    #[must_use]
    pub fn bridge_count(&self) -> usize {
        self.world.bridges.len()
    }

    /// Decides what happens to events from now on. Set to [`EventFlow::Flow`], those that were held go out.
    pub fn set_event_flow(&mut self, flow: EventFlow, out: &mut Actions) {
        self.flow = flow;
        if flow == EventFlow::Flow {
            for (socket, text) in core::mem::take(&mut self.held_events) {
                if self.deaf.contains(&socket) {
                    continue;
                }
                let text = out.put(text.as_bytes());
                out.push(Output::Event { socket, text });
            }
        }
    }

    /// Lets every request and reply that a [`Fault`] held go on, in the order in which they came. `now` is not
    /// before that of the last step.
    pub fn release(&mut self, now: Instant, out: &mut Actions) -> Next {
        self.world.now = now;
        for held in core::mem::take(&mut self.held) {
            match held.what {
                HeldWhat::Reply(reply) => reply_now(held.id, &reply, out),
                HeldWhat::Request { method, path, query, body } => {
                    let reply = self.world.rest(&method, &path, &query, &body);
                    self.reply(held.id, reply, out);
                }
            }
        }
        self.flush(out);
        self.next(now)
    }

    fn request(
        &mut self,
        id: u64,
        method: &str,
        target: &str,
        auth: Option<&str>,
        body: &[u8],
        out: &mut Actions,
    ) {
        let (path, query) = rest::split(target);
        if !rest::authorized(&self.world, auth, query) {
            self.reply(id, Reply::error(401, "Authentication required"), out);
            return;
        }
        let room = self.held.len() < MAX_HELD;
        match self.faults.take(method, path) {
            Some(Fault::Refuse(status)) => self.reply(id, Reply::error(status, "Refused by the test"), out),
            Some(Fault::LoseRequest) => {}
            Some(Fault::LoseReply) => {
                let _ = self.world.rest(method, path, query, body);
            }
            Some(Fault::HoldReply) if room => {
                let what = HeldWhat::Reply(self.world.rest(method, path, query, body));
                self.held.push_back(Held { id, what });
            }
            Some(Fault::HoldRequest) if room => {
                let (method, path, query) = (method.to_owned(), path.to_owned(), query.to_owned());
                self.held.push_back(Held {
                    id,
                    what: HeldWhat::Request { method, path, query, body: body.to_vec() },
                });
            }
            _ => {
                let reply = self.world.rest(method, path, query, body);
                self.reply(id, reply, out);
            }
        }
    }

    /// Answers, after the side effects and before or after the events that the request caused.
    fn reply(&mut self, id: u64, reply: Reply, out: &mut Actions) {
        self.world.effects.drain(..).for_each(|effect| out.push(effect));
        if self.faults.events_first {
            self.flush(out);
        }
        if self.faults.reply_delay > Duration::ZERO && self.delayed.len() < MAX_HELD {
            self.delayed.push_back((self.world.now + self.faults.reply_delay, id, reply));
        } else {
            reply_now(id, &reply, out);
        }
    }

    fn datagram(&mut self, local_port: u16, from: core::net::SocketAddr, bytes: &[u8]) {
        let World { channels, stats, now, .. } = &mut self.world;
        let endpoint = channels.values_mut().find_map(|channel| match &mut channel.party {
            Party::Media(endpoint) if endpoint.port == local_port => Some(endpoint),
            _ => None,
        });
        if let Some(endpoint) = endpoint {
            endpoint.receive(*now, from, bytes, stats);
        }
    }

    fn speak(&mut self, caller: u64, pcm: &[i16]) {
        let Some(id) = self.world.callers.get(&caller) else { return };
        if let Some(Party::Caller { mouth, .. }) = self.world.channels.get_mut(id).map(|c| &mut c.party) {
            mouth.speak(pcm);
        }
    }

    /// Sends what the step has made: effects first, then events.
    fn flush(&mut self, out: &mut Actions) {
        self.world.effects.drain(..).for_each(|effect| out.push(effect));
        for (socket, text) in self.world.events.drain(..) {
            match self.flow {
                _ if self.deaf.contains(&socket) => {}
                EventFlow::Flow => {
                    let text = out.put(text.as_bytes());
                    out.push(Output::Event { socket, text });
                }
                EventFlow::Hold if self.held_events.len() < MAX_HELD => {
                    self.held_events.push_back((socket, text));
                }
                EventFlow::Hold | EventFlow::Drop => {}
            }
        }
    }

    fn catch_up(&mut self, now: Instant, out: &mut Actions) {
        while self.delayed.front().is_some_and(|(due, ..)| *due <= now) {
            if let Some((_, id, reply)) = self.delayed.pop_front() {
                reply_now(id, &reply, out);
            }
        }
        let mut slots = 0;
        while let Some(slot) = self.next_slot.filter(|slot| *slot <= now) {
            if slots == MAX_SLOTS_PER_STEP {
                let missed = now.since(slot).as_nanos() / PTIME.as_nanos() + 1;
                self.next_slot = Some(slot + PTIME * u32::try_from(missed).unwrap_or(u32::MAX));
                break;
            }
            self.slot(slot, out);
            self.next_slot = Some(slot + PTIME);
            slots += 1;
        }
    }

    fn next(&mut self, now: Instant) -> Next {
        let media = self.world.channels.values().any(|channel| match &channel.party {
            Party::Caller { mouth, .. } => {
                !mouth.is_silent() || (channel.state == State::Up && channel.bridge.is_some())
            }
            Party::Media(_) => false,
        });
        self.next_slot = if media { self.next_slot.or(Some(now + PTIME)) } else { None };
        Next::earliest(now, [self.next_slot, self.delayed.front().map(|(due, ..)| *due)])
    }

    /// One slot of 20 ms: every caller speaks, every bridge mixes, every caller hears.
    fn slot(&mut self, at: Instant, out: &mut Actions) {
        let World { channels, bridges, stats, settings, .. } = &mut self.world;
        self.frames.clear();
        for channel in channels.values_mut() {
            let up = channel.state == State::Up && channel.bridge.is_some();
            let frame = match &mut channel.party {
                Party::Caller { mouth, .. } => {
                    mouth.frame().or(settings.phones_send_silence.then_some([0; FRAME_SAMPLES]))
                }
                Party::Media(endpoint) => endpoint.frame(at),
            };
            if up {
                self.frames.push((channel.id.clone(), frame));
            }
        }
        let frames: BTreeMap<&str, &Frame> =
            self.frames.iter().filter_map(|(id, frame)| Some((id.as_str(), frame.as_ref()?))).collect();
        for bridge in bridges.values() {
            // With three or more, softmix sends 50 packets a second whoever is silent.
            let constant = bridge.members.len() > 2;
            for id in &bridge.members {
                let others = bridge.members.iter().filter(|other| *other != id);
                let mixed = mix(others.filter_map(|other| frames.get(other.as_str()).copied()));
                let Some(channel) = channels.get_mut(id).filter(|channel| channel.state == State::Up) else {
                    continue;
                };
                match (&mut channel.party, mixed) {
                    (Party::Caller { caller, .. }, heard) => {
                        let heard = heard.unwrap_or([0; FRAME_SAMPLES]);
                        let pcm = out.write(|arena| crate::pcm::to_le_bytes(&heard, arena));
                        out.push(Output::Heard { caller: *caller, pcm });
                    }
                    (Party::Media(endpoint), Some(frame)) => endpoint.send(at, &frame, stats, out),
                    (Party::Media(endpoint), None) if constant => {
                        endpoint.send(at, &[0; FRAME_SAMPLES], stats, out);
                    }
                    (Party::Media(_), None) => {}
                }
            }
        }
    }
}

fn reply_now(id: u64, reply: &Reply, out: &mut Actions) {
    let body = out.put(reply.body.as_bytes());
    out.push(Output::Reply { id, status: reply.status, body });
}

/// The sum of these frames; `None` if there is none.
fn mix<'a>(mut frames: impl Iterator<Item = &'a Frame>) -> Option<Frame> {
    let mut sum = *frames.next()?;
    for frame in frames {
        sum.iter_mut().zip(frame).for_each(|(sum, sample)| *sum = sum.saturating_add(*sample));
    }
    Some(sum)
}
