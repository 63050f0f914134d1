//! The whole bridge between the stand-ins, in virtual time: a switchboard and its calls, an Asterisk with its
//! callers, and a Realtime server for each link of a call. Nothing waits: time jumps to whatever happens next.
//!
//! This is what a test tells its stories with: somebody dials, speaks, hangs up; a server refuses, falls
//! silent, goes away; and afterwards one looks at what was heard, observed and left behind.

mod after;
mod ari;
mod links;
mod mail;
mod orders;
mod peers;
mod process;
mod sabotage;
mod stage;
#[cfg(test)]
mod tests;
mod weather;

pub use sabotage::Sabotage;
pub use stage::{Attempt, Performance, Stage};
pub use weather::{Requests as RequestWeather, Way};

use crate::faults::Tally;
use crate::oracle::{Oracle, Requests};
use crate::taped::Taped;
use ari_bridge_core::call::{self, Call, IoFault, Outcome};
use ari_bridge_core::id::{CallId, LegId, LinkId, RequestId};
use ari_bridge_core::observe::{Observation, Severity, TurnLatency};
use ari_bridge_core::ports::PortPool;
use ari_bridge_core::sim::asterisk::{self as pbx, Asterisk, CallerState};
use ari_bridge_core::sim::caller::Caller;
use ari_bridge_core::sim::realtime::{self as server, Agent};
use ari_bridge_core::switchboard::{self, Switchboard};
use ari_bridge_core::time::{Duration, Instant};
use core::net::SocketAddr;
use links::Socket;
use mail::{Letter, Note, Parcel};
use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hasher as _};
use weather::Weather;

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

/// Makes an agent for a link.
type Agents = Box<dyn FnMut() -> Box<dyn Agent>>;

struct Party {
    call: Taped<Call>,
    next: call::Next,
    last: Instant,
    local: Option<(LegId, SocketAddr)>,
    oracle: Oracle,
    /// What the names of all that it makes on Asterisk begin with.
    prefix: String,
    began: Instant,
    /// Whether its end is decided.
    is_ending: bool,
    /// Whether it may have begun to say goodbye, and does not listen any more.
    may_leave: bool,
    is_answered: bool,
    /// Until when the server has something of the caller's audio to hear: what comes in a burst lasts longer than it takes.
    gave_audio: Option<Instant>,
}

/// The scene.
pub struct Scene {
    stage: Stage,
    now: Instant,
    parcels: VecDeque<(Instant, Parcel)>,
    /// Nobody, while the bridge is not running.
    switchboard: Option<Taped<Switchboard>>,
    switchboard_next: switchboard::Next,
    switchboard_last: Instant,
    /// How often the bridge was started.
    starts: u32,
    /// The bridge's event socket, open or being opened.
    events: Option<u64>,
    last_events: u64,
    /// Until when nobody gets an event socket, and until when no request gets through.
    events_away_until: Instant,
    requests_away_until: Instant,
    /// The stand-in for Asterisk, for its faults and counts.
    pub asterisk: Asterisk,
    asterisk_next: Option<Instant>,
    parties: BTreeMap<CallId, Party>,
    /// The Realtime links of all calls, those that have ended too, in the order of the attempts.
    sockets: Vec<Socket>,
    /// Those of earlier runs of the bridge.
    past_sockets: Vec<Socket>,
    /// Until when nothing passes on any of them.
    vanished_until: Instant,
    requests: BTreeMap<u64, (Option<CallId>, RequestId)>,
    last_request: u64,
    /// What holds of the requests of all machines.
    waits_for: Requests,
    /// Of all that the machines did.
    digest: DefaultHasher,
    steps: u64,
    /// How long the calls lasted that are over, all together.
    lived: Duration,
    weather: Weather,
    /// Who speaks behind the links for which nobody else is planned.
    agents: Option<Agents>,
    calls_started: u64,
    /// How often each fault has happened that happens by chance.
    pub tally: Tally,
    /// The requests of the bridge to Asterisk, and when each was sent: method and path.
    pub requested: Vec<(Instant, String)>,
    /// The media ports of the bridge.
    ports: PortPool,
    /// How many of them somebody else has, the lowest ones.
    ports_of_others: u16,
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
    /// Whether the switchboard has said that it is done; the process has ended with that.
    pub drained: bool,
}

impl Scene {
    /// Raises the curtain; the bridge connects.
    #[must_use]
    pub fn new(stage: Stage) -> Self {
        let now = Instant::from_millis(1);
        let mut scene = Self {
            now,
            parcels: VecDeque::new(),
            switchboard: None,
            switchboard_next: process::NOTHING,
            switchboard_last: now,
            starts: 0,
            events: None,
            last_events: 0,
            events_away_until: now,
            requests_away_until: now,
            asterisk: Asterisk::new(stage.asterisk.clone()),
            asterisk_next: None,
            parties: BTreeMap::new(),
            sockets: Vec::new(),
            past_sockets: Vec::new(),
            vanished_until: now,
            requests: BTreeMap::new(),
            last_request: 0,
            waits_for: Requests::default(),
            digest: DefaultHasher::new(),
            steps: 0,
            lived: Duration::ZERO,
            weather: Weather::fine(),
            agents: None,
            calls_started: 0,
            tally: Tally::default(),
            requested: Vec::new(),
            ports: PortPool::new(1, 0),
            ports_of_others: 0,
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
        scene.bridge_starts();
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
        self.meet(caller, speech);
        self.step_asterisk(pbx::Input::Dial { caller, number: "4930123456", exten: "100", answered });
    }

    fn meet(&mut self, caller: u64, speech: &[i16]) {
        self.callers.insert(caller, Caller::new(speech.to_vec()));
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

    /// A digest of all that the machines have done, to hold two runs against each other.
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.digest.finish()
    }

    /// How many steps the machines have taken.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// How many calls were begun.
    #[must_use]
    pub fn started(&self) -> u64 {
        self.calls_started
    }

    /// How late it is.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.now
    }

    /// How long all calls together have lasted.
    #[must_use]
    pub fn lived(&self) -> Duration {
        self.parties.values().fold(self.lived, |sum, party| sum + self.now.since(party.began))
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
        let of_calls = calls.map(|party| party.next.deadline.map(|(at, _)| self.awake(at)));
        let of_servers = self.sockets.iter().map(Socket::deadline);
        let own = [
            self.parcels.front().map(|(at, _)| *at),
            self.switchboard_next.deadline.map(|(at, _)| self.awake(at)),
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
        if self.switchboard_next.deadline.is_some_and(|(at, _)| self.awake(at) <= now) {
            self.step_switchboard(switchboard::Input::Timer);
        }
        for call in self.parties.keys().copied().collect::<Vec<_>>() {
            let deadline = self.parties.get(&call).and_then(|party| party.next.deadline);
            if deadline.is_some_and(|(at, _)| self.awake(at) <= now) {
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

    /// Takes those of the parcels on their way, in their order, of which this holds: when they arrive, and what they are.
    fn take_parcels(&mut self, which: impl Fn(Instant, &Parcel) -> bool) -> Vec<Parcel> {
        let mut taken = Vec::new();
        self.parcels.retain_mut(|(at, parcel)| {
            let goes = which(*at, parcel);
            if goes {
                taken.push(core::mem::replace(parcel, Parcel::Lost));
            }
            !goes
        });
        taken
    }

    /// Sends a parcel that is so much longer under way than others.
    fn send_after(&mut self, lag: Duration, parcel: Parcel) {
        let mut at = self.now + FLIGHT + lag;
        if parcel.is_for_the_bridge() {
            at = self.awake(at);
        }
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
            Parcel::Events(socket, note) => self.open_events_note(socket, &note),
            Parcel::Overdue(request) => self.request_fails(request, IoFault::TimedOut),
            Parcel::Asterisk(knock) => self.open_knock(&knock),
            Parcel::Server(call, link, message) => {
                self.step_server(call, link, server::Input::Message(&message));
            }
            Parcel::Ping(call, link) => self.pinged(call, link),
            Parcel::Opening(call, link) => self.attempt(call, link),
            Parcel::Release => self.release_asterisk(),
            Parcel::EventsFlow => self.events_flow(),
            Parcel::Lost => {}
        }
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
