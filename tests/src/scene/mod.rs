//! The whole bridge between the stand-ins, in virtual time: a switchboard and its calls, an Asterisk with its
//! callers, and a Realtime server for each link of a call. Nothing waits: time jumps to whatever happens next.
//!
//! This is what a test tells its stories with: somebody dials, speaks, hangs up; a server refuses, falls
//! silent, goes away; and afterwards one looks at what was heard, observed and left behind.

mod links;
mod mail;
mod orders;
mod peers;
mod stage;
#[cfg(test)]
mod tests;

pub use stage::{Attempt, Performance, Stage};

use ari_bridge_core::call::{self, Call, IoFault, Origin, Outcome, Record, Start};
use ari_bridge_core::id::{CallId, InstanceNonce, LegId, LinkId, RequestId};
use ari_bridge_core::observe::{Observation, Severity, TurnLatency};
use ari_bridge_core::settings::SwitchboardSettings;
use ari_bridge_core::sim::asterisk::{self as pbx, Asterisk, CallerState};
use ari_bridge_core::sim::caller::Caller;
use ari_bridge_core::sim::realtime as server;
use ari_bridge_core::switchboard::{self, Switchboard};
use ari_bridge_core::time::{Duration, Instant, UtcNanos};
use core::net::SocketAddr;
use links::Socket;
use mail::{Knock, Letter, Note, Parcel};
use std::collections::{BTreeMap, VecDeque};

/// How long anything takes from one machine to another.
const FLIGHT: Duration = Duration::from_micros(500);

/// The most deliveries that a scene may need between two looks, so that a loop is a failure and not a hang.
const MAX_DELIVERIES: usize = 2_000_000;

/// What was heard of a part of an item.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Said {
    /// The item.
    pub item_id: String,
    /// The words that were heard.
    pub text: String,
    /// All of them.
    pub said: String,
    /// How much of it was heard, in milliseconds.
    pub heard_ms: u64,
    /// How much of it had come, in milliseconds.
    pub received_ms: u64,
}

/// A line of the record of a conversation, in words.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Line {
    /// What the caller said, as the server wrote it down.
    Caller(String),
    /// What the caller keyed in.
    Keys(String),
    /// What was heard of an item of the agent's.
    Agent(String),
    /// A function that the model called, and its arguments.
    Called(String, String),
    /// The function, and what the model was told.
    Returned(String, String),
    /// An answer to a turn: the caller's item, the response, the agent's item, and the times.
    Answered(String, String, String, TurnLatency),
}

struct Party {
    call: Call,
    next: call::Next,
    last: Instant,
    local: Option<(LegId, SocketAddr)>,
}

/// The scene.
pub struct Scene {
    stage: Stage,
    now: Instant,
    parcels: VecDeque<(Instant, Parcel)>,
    switchboard: Switchboard,
    switchboard_next: switchboard::Next,
    switchboard_last: Instant,
    /// The stand-in for Asterisk, for its faults and counts.
    pub asterisk: Asterisk,
    asterisk_next: Option<Instant>,
    parties: BTreeMap<CallId, Party>,
    /// The Realtime links of all calls, those that have ended too, in the order of the attempts.
    sockets: Vec<Socket>,
    /// Until when nothing passes on any of them.
    vanished_until: Instant,
    requests: BTreeMap<u64, (Option<CallId>, RequestId)>,
    last_request: u64,
    last_port: u16,
    callers: BTreeMap<u64, Caller>,
    /// When each caller last heard something.
    last_heard: BTreeMap<u64, Instant>,
    states: BTreeMap<u64, CallerState>,
    /// What every machine told, in order.
    pub observations: Vec<(Instant, Observation)>,
    /// How the calls ended, in order.
    pub outcomes: Vec<Outcome>,
    /// What the bridge sent to Realtime servers, but for audio.
    pub client_events: Vec<String>,
    /// How much audio was sent to Realtime servers, if it was PCM.
    pub audio_sent: Duration,
    /// All of it, as it was sent, one append behind the other.
    pub model_audio: Vec<u8>,
    /// What was heard of what the agents said, in order.
    pub said: Vec<Said>,
    /// The record of the conversations, in order.
    pub record: Vec<(Instant, Line)>,
    /// The functions that models called and that were performed: name and arguments.
    pub performed: Vec<(String, String)>,
    /// Who the Realtime server was told that the callers are.
    pub safety_identifiers: Vec<String>,
    /// The packets of the bridge, and when each was sent.
    pub datagrams: Vec<(Instant, Vec<u8>)>,
    /// Where each packet of the bridge went.
    pub media_sent_to: Vec<SocketAddr>,
    /// Whether the switchboard has said that it is done.
    pub drained: bool,
}

const SOCKET: u64 = 1;

impl Scene {
    /// Raises the curtain; the bridge connects.
    #[must_use]
    pub fn new(stage: Stage) -> Self {
        let settings = SwitchboardSettings {
            max_calls: Some(stage.max_calls),
            fallback: stage.call.fallback.clone(),
            ..SwitchboardSettings::default()
        };
        let mut out = switchboard::Actions::new();
        let now = Instant::from_millis(1);
        let nonce = InstanceNonce::new(0x5ce0e);
        let (switchboard, switchboard_next) =
            Switchboard::new(&settings, nonce, 7, UtcNanos(0), now, &mut out);
        let mut scene = Self {
            now,
            parcels: VecDeque::new(),
            switchboard,
            switchboard_next,
            switchboard_last: now,
            asterisk: Asterisk::new(stage.asterisk.clone()),
            asterisk_next: None,
            parties: BTreeMap::new(),
            sockets: Vec::new(),
            vanished_until: now,
            requests: BTreeMap::new(),
            last_request: 0,
            last_port: 30_000,
            callers: BTreeMap::new(),
            last_heard: BTreeMap::new(),
            states: BTreeMap::new(),
            observations: Vec::new(),
            outcomes: Vec::new(),
            client_events: Vec::new(),
            audio_sent: Duration::ZERO,
            model_audio: Vec::new(),
            said: Vec::new(),
            record: Vec::new(),
            performed: Vec::new(),
            safety_identifiers: Vec::new(),
            datagrams: Vec::new(),
            media_sent_to: Vec::new(),
            drained: false,
            stage,
        };
        scene.perform_switchboard(&out);
        scene.run_for(Duration::from_millis(50));
        scene
    }

    /// Somebody who is going to say `speech` (16 kHz) rings.
    pub fn dial(&mut self, caller: u64, speech: &[i16]) {
        self.dial_as(caller, speech, false);
    }

    /// The same where the dialplan answers before it hands the caller over.
    pub fn dial_answered(&mut self, caller: u64, speech: &[i16]) {
        self.dial_as(caller, speech, true);
    }

    fn dial_as(&mut self, caller: u64, speech: &[i16], answered: bool) {
        self.callers.insert(caller, Caller::new(speech.to_vec()));
        self.step_asterisk(pbx::Input::Dial { caller, number: "4930123456", exten: "100", answered });
    }

    /// The caller says what it has to say.
    pub fn speak(&mut self, caller: u64) {
        let speech = self.callers[&caller].speech().to_vec();
        self.say(caller, &speech);
    }

    /// The caller says something else: 16 kHz. It takes its time, and whoever is saying something says this after it.
    pub fn say(&mut self, caller: u64, speech: &[i16]) {
        self.step_asterisk(pbx::Input::Speak { caller, pcm: speech });
    }

    /// The caller presses keys, 200 ms each.
    pub fn press(&mut self, caller: u64, keys: &str) {
        for digit in keys.chars() {
            self.step_asterisk(pbx::Input::Press { caller, digit });
            self.run_for(Duration::from_millis(200));
        }
    }

    /// The caller hangs up.
    pub fn hang_up(&mut self, caller: u64) {
        self.step_asterisk(pbx::Input::Hangup { caller });
    }

    /// Asterisk is started.
    pub fn asterisk_comes_up(&mut self) {
        self.stage.no_asterisk = false;
    }

    /// The event socket breaks; what happens until it is back, nobody tells.
    pub fn cut_event_socket(&mut self) {
        let mut out = pbx::Actions::new();
        self.asterisk.close_sockets(&mut out);
        self.perform_asterisk(&out);
    }

    /// The process is told to stop.
    pub fn drain(&mut self) {
        self.send(Parcel::Switchboard(Note::Drain));
    }

    /// An ARI event comes that the stand-in would not send.
    pub fn forge_event(&mut self, event: &[u8]) {
        self.send(Parcel::Switchboard(Note::Event(event.to_vec())));
    }

    /// A message comes to every call, on its newest open link, that the stand-in would not send.
    pub fn forge_message(&mut self, message: &[u8]) {
        for (call, link) in self.newest_links() {
            self.send(Parcel::Call(call, Letter::Realtime(link, message.to_vec())));
        }
    }

    /// Every Realtime server is told something that no call has said.
    pub fn forge_client_event(&mut self, event: &[u8]) {
        for (call, link) in self.newest_links() {
            self.send(Parcel::Server(call, link, event.to_vec()));
        }
    }

    /// A datagram comes to every call, from whomever.
    pub fn forge_datagram(&mut self, from: SocketAddr, datagram: &[u8]) {
        for (call, leg) in self.legs() {
            self.send(Parcel::Call(call, Letter::Media(leg, from, datagram.to_vec())));
        }
    }

    fn legs(&self) -> Vec<(CallId, LegId)> {
        self.parties.iter().filter_map(|(call, party)| Some((*call, party.local?.0))).collect()
    }

    /// What a caller's line does.
    #[must_use]
    pub fn state(&self, caller: u64) -> Option<CallerState> {
        self.states.get(&caller).copied()
    }

    /// Everything that a caller heard, 16 kHz.
    #[must_use]
    pub fn heard(&self, caller: u64) -> &[i16] {
        self.callers[&caller].heard()
    }

    /// How long a caller has been hearing nothing, since it was answered or since anything was loud enough to be heard.
    #[must_use]
    pub fn silence(&self, caller: u64) -> Duration {
        self.last_heard.get(&caller).map_or(Duration::ZERO, |at| self.now.since(*at))
    }

    /// A caller remembers ten minutes of what it heard; from now on, other ten.
    pub fn forget_what_was_heard(&mut self, caller: u64) {
        if let Some(caller) = self.callers.get_mut(&caller) {
            *caller = Caller::new(caller.speech().to_vec());
        }
    }

    /// What the bridge sent to Realtime servers of this type.
    ///
    /// # Panics
    ///
    /// If it sent something that is not JSON.
    #[must_use]
    pub fn sent(&self, kind: &str) -> Vec<serde_json::Value> {
        let events = self.client_events.iter().map(|event| serde_json::from_str(event).expect("JSON"));
        events.filter(|event: &serde_json::Value| event["type"] == kind).collect()
    }

    /// How many calls are under way.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.parties.len()
    }

    /// Whether some machine told this.
    pub fn saw(&self, what: impl Fn(&Observation) -> bool) -> bool {
        self.observations.iter().any(|(_, observation)| what(observation))
    }

    /// Lets time pass.
    pub fn run_for(&mut self, duration: Duration) {
        let until = self.now + duration;
        for _ in 0..MAX_DELIVERIES {
            let Some(at) = self.next_event().filter(|at| *at <= until) else {
                self.now = until;
                return;
            };
            self.now = self.now.max(at);
            self.deliver_one();
        }
        panic!("the scene does not come to rest before {until}");
    }

    /// Lets time pass until `done`, at most `limit`.
    ///
    /// # Panics
    ///
    /// If it does not come to that.
    pub fn run_until(&mut self, what: &str, limit: Duration, done: impl Fn(&Self) -> bool) {
        let until = self.now + limit;
        while !done(self) {
            assert!(self.now < until, "{what}: not within {limit:?}; last seen {:#?}", tail(&self.told()));
            self.run_for(Duration::from_millis(10));
        }
    }

    /// All that a log would hold, a line each.
    #[must_use]
    pub fn told(&self) -> Vec<String> {
        let told = self.observations.iter().filter(|(_, o)| o.severity() > Severity::Count);
        told.map(|(at, o)| format!("{at} {o}")).collect()
    }

    fn next_event(&self) -> Option<Instant> {
        let calls = self.parties.values().filter(|party| !party.next.finished);
        let of_calls = calls.map(|party| party.next.deadline.map(|(at, _)| at));
        let of_servers = self.sockets.iter().map(Socket::deadline);
        let own = [
            self.parcels.front().map(|(at, _)| *at),
            self.switchboard_next.deadline.map(|(at, _)| at),
            self.asterisk_next,
        ];
        of_calls.chain(of_servers).chain(own).flatten().min()
    }

    /// Delivers what has arrived, or else gives the timers that are due.
    fn deliver_one(&mut self) {
        let now = self.now;
        if self.parcels.front().is_some_and(|(at, _)| *at <= now)
            && let Some((_, parcel)) = self.parcels.pop_front()
        {
            return self.open(parcel);
        }
        if self.asterisk_next.is_some_and(|at| at <= now) {
            self.step_asterisk(pbx::Input::Timer);
        }
        if self.switchboard_next.deadline.is_some_and(|(at, _)| at <= now) {
            self.step_switchboard(switchboard::Input::Timer);
        }
        for call in self.parties.keys().copied().collect::<Vec<_>>() {
            if self.parties[&call].next.deadline.is_some_and(|(at, _)| at <= now) {
                self.step_call(call, call::Input::Timer);
            }
        }
        for (call, link) in self.servers_due() {
            self.step_server(call, link, server::Input::Timer);
        }
    }

    /// The links whose servers have something to do.
    fn servers_due(&self) -> Vec<(CallId, LinkId)> {
        let due = self.sockets.iter().filter(|socket| socket.deadline().is_some_and(|at| at <= self.now));
        due.map(|socket| (socket.call, socket.link)).collect()
    }

    fn send(&mut self, parcel: Parcel) {
        self.send_after(Duration::ZERO, parcel);
    }

    /// Sends a parcel that is so much longer under way than others.
    fn send_after(&mut self, lag: Duration, parcel: Parcel) {
        let at = self.now + FLIGHT + lag;
        let behind = self.parcels.partition_point(|(other, _)| *other <= at);
        self.parcels.insert(behind, (at, parcel));
    }

    fn open(&mut self, parcel: Parcel) {
        let parcel_link = parcel.link();
        match parcel {
            Parcel::Switchboard(note) => self.step_switchboard(note.input()),
            Parcel::Call(call, letter) => {
                if parcel_link.is_none_or(|(call, link)| self.is_told_of(call, link)) {
                    self.step_call(call, letter.input());
                }
            }
            Parcel::Asterisk(knock) => self.open_knock(&knock),
            Parcel::Server(call, link, message) => {
                self.step_server(call, link, server::Input::Message(&message));
            }
            Parcel::Ping(call, link) => self.pinged(call, link),
            Parcel::Opening(call, link) => self.attempt(call, link),
            Parcel::Lost => {}
        }
    }

    fn open_knock(&mut self, knock: &Knock) {
        let authorization = basic(&self.stage.asterisk.user, &self.stage.password);
        let authorization = Some(authorization.as_str());
        match knock {
            Knock::Events if self.stage.no_asterisk => {
                self.send(Parcel::Switchboard(Note::Down(None, Some(IoFault::Refused))));
            }
            Knock::Events => {
                let target = "/ari/events?app=voice-agent";
                self.step_asterisk(pbx::Input::EventsOpened { socket: SOCKET, target, authorization });
            }
            Knock::Request(id, method, target) => {
                self.step_asterisk(pbx::Input::Request { id: *id, method, target, authorization, body: b"" });
            }
            Knock::Datagram(local_port, from, bytes) => {
                self.step_asterisk(pbx::Input::Datagram { local_port: *local_port, from: *from, bytes });
            }
        }
    }

    fn step_switchboard(&mut self, input: switchboard::Input<'_>) {
        let mut out = switchboard::Actions::new();
        self.switchboard_last = tick(self.now, self.switchboard_last);
        self.switchboard_next = self.switchboard.step(self.switchboard_last, input, &mut out);
        self.perform_switchboard(&out);
    }

    fn perform_switchboard(&mut self, out: &switchboard::Actions) {
        use switchboard::Action;
        for action in out.iter() {
            match action {
                Action::OpenAri => self.send(Parcel::Asterisk(Knock::Events)),
                Action::PingAri => self.send_after(FLIGHT, Parcel::Switchboard(Note::Pong)),
                Action::CloseAri => self.step_asterisk(pbx::Input::EventsClosed { socket: SOCKET }),
                Action::Ari { id, method, path, .. } => self.request(None, id, method, out.text(path)),
                Action::StartCall { call, ids, seed, entry, about, caller } => {
                    let tag = self.stage.safety.then(|| {
                        let mut tag = [0; 32];
                        tag.iter_mut().zip(out.bytes(caller)).for_each(|(to, from)| *to = *from);
                        tag
                    });
                    let start = Start {
                        ids,
                        seed,
                        utc: UtcNanos(self.stage.server.utc.0.saturating_add(self.now.as_nanos())),
                        caller_tag: tag,
                        media: self.stage.media,
                        origin: Origin::new(entry, out.bytes(about)),
                    };
                    self.start_call(call, start);
                }
                Action::ToCall { call, event } => {
                    self.send(Parcel::Call(call, Letter::Event(out.bytes(event).to_vec())));
                }
                Action::ToAll(state) => {
                    for call in self.parties.keys().copied().collect::<Vec<_>>() {
                        self.send(Parcel::Call(call, Letter::Link(state)));
                    }
                }
                Action::StopCall { call, reason } => self.send(Parcel::Call(call, Letter::Stop(reason))),
                Action::Observe(observation) => self.observations.push((self.now, observation)),
                Action::Finish => self.drained = true,
            }
        }
    }

    fn start_call(&mut self, id: CallId, start: Start<'_>) {
        let mut out = call::Actions::new();
        let (call, next) = Call::new(&self.stage.call, start, self.now, &mut out);
        self.parties.insert(id, Party { call, next, last: self.now, local: None });
        self.perform_call(id, &out);
    }

    fn step_call(&mut self, id: CallId, input: call::Input<'_>) {
        let Some(party) = self.parties.get_mut(&id) else { return };
        let mut out = call::Actions::new();
        party.last = tick(self.now, party.last);
        party.next = party.call.step(party.last, input, &mut out);
        self.perform_call(id, &out);
    }

    fn perform_call(&mut self, id: CallId, out: &call::Actions) {
        use call::Action;
        for action in out.iter() {
            match action {
                Action::Ari { id: request, method, path, .. } => {
                    self.request(Some(id), request, method, out.text(path));
                }
                Action::OpenMedia { leg, .. } => self.open_media(id, leg),
                Action::SendMedia { to, bytes, .. } => {
                    self.media_sent_to.push(to);
                    let local = self.parties[&id].local.map_or(to, |(_, local)| local);
                    let datagram = out.bytes(bytes).to_vec();
                    self.datagrams.push((self.now, datagram.clone()));
                    self.send(Parcel::Asterisk(Knock::Datagram(to.port(), local, datagram)));
                }
                Action::CloseMedia { .. } => {
                    if let Some(party) = self.parties.get_mut(&id) {
                        party.local = None;
                    }
                }
                Action::OpenRealtime { link, safety_identifier } => {
                    self.safety_identifiers.push(out.text(safety_identifier).to_owned());
                    self.open_realtime(id, link);
                }
                Action::Tool { id: tool, name, arguments, timeout, .. } => {
                    let (name, arguments) = (out.text(name).to_owned(), out.text(arguments).to_owned());
                    let found = self.stage.functions.iter().find(|function| function.name == name).cloned();
                    let (after, reply) = match found {
                        Some(Performance { after, reply, .. }) if after <= timeout => {
                            (after, reply.map(|(status, body)| (status, body.to_owned())))
                        }
                        Some(_) => (timeout, Err(IoFault::TimedOut)),
                        None => (Duration::ZERO, Err(IoFault::Other)),
                    };
                    self.performed.push((name, arguments));
                    self.send_after(after, Parcel::Call(id, Letter::Tool(tool, reply)));
                }
                Action::SendRealtime { link, bytes } => self.send_realtime(id, link, out, bytes),
                Action::PingRealtime { link } => self.ping(id, link),
                Action::Tell(news) => self.send(Parcel::Switchboard(Note::Told(id, news))),
                Action::CloseRealtime { link, .. } => self.hang_up_link(id, link),
                Action::Record(record) => self.record(&record, out),
                Action::Observe(observation) => self.observations.push((self.now, observation)),
                Action::Finish(outcome) => {
                    self.parties.remove(&id);
                    self.hang_up_links(id);
                    self.outcomes.push(outcome);
                    self.send(Parcel::Switchboard(Note::Finished(id, outcome)));
                }
            }
        }
    }

    fn record(&mut self, record: &Record, out: &call::Actions) {
        let text = |span| out.text(span).to_owned();
        let line = match *record {
            Record::CallerSaid { text: words, .. } => Line::Caller(text(words)),
            Record::CallerKeyed { keys } => Line::Keys(text(keys)),
            Record::Called { name, arguments, .. } => Line::Called(text(name), text(arguments)),
            Record::Returned { name, output, .. } => Line::Returned(text(name), text(output)),
            Record::Answered { caller_item, response_id, agent_item, latency } => {
                Line::Answered(text(caller_item), text(response_id), text(agent_item), latency)
            }
            Record::AgentSaid { item_id, text: words, said, heard_ms, received_ms, .. } => {
                let (item_id, words, said) = (text(item_id), text(words), text(said));
                self.said.push(Said { item_id, text: words.clone(), said, heard_ms, received_ms });
                Line::Agent(words)
            }
        };
        self.record.push((self.now, line));
    }
}

/// The last dozen lines.
fn tail(lines: &[String]) -> &[String] {
    &lines[lines.len().saturating_sub(12)..]
}

/// Time only moves forward, by a nanosecond at least.
fn tick(now: Instant, last: Instant) -> Instant {
    now.max(last + Duration::from_nanos(1))
}

fn basic(user: &str, password: &str) -> String {
    use base64::Engine as _;
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}")))
}
