//! The Realtime sockets of a scene: each from the attempt on, with the server behind it, and all that breaks them.
//!
//! A call may have several, one after the other and two at a time. What is under way on one that was cut is lost; on
//! one that the server closes it still arrives; of one that the bridge has closed the bridge hears nothing more.

use super::mail::{Down, Letter, Parcel};
use super::stage::Attempt;
use super::{FLIGHT, Scene, server};
use ari_bridge_core::actions::Span;
use ari_bridge_core::call::{self, IoFault};
use ari_bridge_core::id::{CallId, LinkId};
use ari_bridge_core::realtime::Dialect;
use ari_bridge_core::sim::realtime::{Agent, Parrot, Realtime, check_client_message};
use ari_bridge_core::time::{Duration, Instant};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;
use std::collections::BTreeMap;

/// How long a driver tries to open a socket to somebody who does not answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A Realtime socket.
pub(super) struct Socket {
    pub(super) call: CallId,
    pub(super) link: LinkId,
    state: State,
    /// Who is behind it; nobody, if it is silent.
    server: Option<Realtime>,
    deadline: Option<Instant>,
    manner: Manner,
    /// So many bytes more of what the server says pass, and then the connection breaks.
    breaks_after: Option<usize>,
    /// Whether it was ever open.
    was_open: bool,
    sent: Vec<String>,
    audio: Vec<u8>,
    /// The conversation as it was when the server went away.
    conversation: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Opening,
    Open,
    /// It ended, and the bridge knows or is about to.
    Ended,
    /// The bridge has closed it.
    Closed,
}

/// How an open socket behaves.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    Speaks,
    /// It takes everything and answers pings, and that is all.
    Silent,
    /// It takes everything, and that is all.
    Mute,
}

impl Socket {
    fn new(call: CallId, link: LinkId) -> Self {
        Self {
            call,
            link,
            state: State::Opening,
            server: None,
            deadline: None,
            manner: Manner::Speaks,
            breaks_after: None,
            was_open: false,
            sent: Vec::new(),
            audio: Vec::new(),
            conversation: Vec::new(),
        }
    }

    /// When the server behind it is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline.filter(|_| self.state == State::Open)
    }

    /// How many bytes more pass until the connection breaks.
    #[cfg(test)]
    pub(super) fn breaks_after(&self) -> Option<usize> {
        self.breaks_after
    }

    fn conversation(&self) -> Vec<String> {
        self.server.as_ref().map_or_else(|| self.conversation.clone(), Realtime::conversation)
    }

    fn end(&mut self, state: State) {
        self.conversation = self.conversation();
        (self.state, self.server, self.deadline) = (state, None, None);
    }
}

/// What concerns the links as a bridge makes and uses them.
impl Scene {
    fn socket_mut(&mut self, call: CallId, link: LinkId) -> Option<&mut Socket> {
        self.sockets.iter_mut().find(|socket| (socket.call, socket.link) == (call, link))
    }

    /// The newest open link of each call that has one.
    pub(super) fn newest_links(&self) -> BTreeMap<CallId, LinkId> {
        let open = self.sockets.iter().filter(|socket| socket.state == State::Open);
        open.map(|socket| (socket.call, socket.link)).collect()
    }

    /// Whether the bridge may still hear of this link.
    pub(super) fn is_told_of(&self, call: CallId, link: LinkId) -> bool {
        let closed = |socket: &Socket| socket.state == State::Closed;
        !self.sockets.iter().any(|socket| (socket.call, socket.link) == (call, link) && closed(socket))
    }

    pub(super) fn open_realtime(&mut self, call: CallId, link: LinkId) {
        let known = |socket: &Socket| (socket.call, socket.link) == (call, link);
        assert!(!self.sockets.iter().any(known), "link {link} was opened twice");
        self.sockets.push(Socket::new(call, link));
        let away = self.vanished_until.since(self.now);
        if away >= CONNECT_TIMEOUT {
            self.realtime_down(CONNECT_TIMEOUT, call, link, Down::fault(IoFault::TimedOut));
        } else if away > Duration::ZERO {
            // What asks for a connection is sent again until somebody answers.
            self.send_after(away, Parcel::Opening(call, link));
        } else {
            self.attempt(call, link);
        }
    }

    /// The network takes the bridge to the server, or to where one should be.
    pub(super) fn attempt(&mut self, call: CallId, link: LinkId) {
        if !self.is_told_of(call, link) {
            return;
        }
        let attempt = self.stage.attempts.pop_front().unwrap_or_else(self.stage.realtime);
        match attempt {
            Attempt::Serve => self.serve(call, link, None, None),
            Attempt::ServeWith { settings, agent } => self.serve(call, link, settings.map(|it| *it), agent),
            Attempt::Http { status, retry_after, body } => {
                let (http_status, reason) = (Some(status), body.as_bytes().to_vec());
                let down = Down { http_status, retry_after, reason, ..Down::default() };
                self.realtime_down(Duration::ZERO, call, link, down);
            }
            Attempt::Refused(fault) => self.realtime_down(Duration::ZERO, call, link, Down::fault(fault)),
            Attempt::Hang => {}
            Attempt::Silent => self.goes_up(call, link, Manner::Silent),
            Attempt::Mute => self.goes_up(call, link, Manner::Mute),
        }
    }

    fn goes_up(&mut self, call: CallId, link: LinkId, manner: Manner) {
        if let Some(socket) = self.socket_mut(call, link) {
            (socket.state, socket.was_open, socket.manner) = (State::Open, true, manner);
        }
        self.send(Parcel::Call(call, Letter::RealtimeUp(link)));
    }

    fn serve(
        &mut self,
        call: CallId,
        link: LinkId,
        settings: Option<server::Settings>,
        agent: Option<Box<dyn Agent>>,
    ) {
        let dialect = self.stage.call.session.dialect;
        let planned = agent.or_else(|| self.stage.agent.take());
        let planned = planned.or_else(|| self.agents.as_mut().map(|make| make()));
        let agent: Box<dyn Agent> = match (planned, &self.stage.greeting) {
            (Some(agent), _) => agent,
            (None, Some(greeting)) => Box::new(Parrot::greeting_with(greeting.clone(), 24_000)),
            (None, None) => Box::new(Parrot::new()),
        };
        // The names of two sessions differ, and their clock is that of the bridge.
        let seed = u64::from(self.starts - 1) << 48 | (u64::from(link.0) - 1) << 32 | call.0;
        let utc = self.stage.server.utc;
        let settings = settings.unwrap_or_else(|| self.stage.server.clone());
        let realtime = Realtime::new(server::Settings { seed, dialect, utc, ..settings }, agent);
        self.goes_up(call, link, Manner::Speaks);
        if let Some(socket) = self.socket_mut(call, link) {
            socket.server = Some(realtime);
        }
        let target = format!("/v1/realtime?model={}", self.stage.model);
        let authorization = format!("Bearer {}", self.stage.api_key);
        let api_key = self.stage.api_key.clone();
        let is_azure = dialect == Dialect::Azure;
        let opened = server::Input::Opened {
            target: &target,
            authorization: Some(authorization.as_str()).filter(|_| !is_azure),
            api_key: Some(api_key.as_str()).filter(|_| is_azure),
            beta: false,
        };
        self.step_server(call, link, opened);
    }

    pub(super) fn send_realtime(&mut self, call: CallId, link: LinkId, out: &call::Actions, bytes: Span) {
        let text = out.text(bytes);
        let dialect = self.stage.call.session.dialect;
        let state = self.socket_mut(call, link).map(|socket| socket.state);
        let writable = matches!(state, Some(State::Open | State::Ended));
        assert!(writable, "sent on link {link}, which is not open: {text}");
        let append = text.strip_prefix(r#"{"type":"input_audio_buffer.append","audio":""#);
        if let Some(audio) = append.and_then(|rest| rest.strip_suffix(r#""}"#)) {
            // Base64 of 48 bytes a millisecond; a whole number of milliseconds needs no padding.
            let samples = BASE64_STANDARD.decode(audio).expect("an append is base64");
            self.model_audio.extend(&samples);
            self.audio_sent += Duration::from_millis(audio.len() as u64 / 64);
            self.socket_mut(call, link).into_iter().for_each(|socket| socket.audio.extend(&samples));
            let is_g711 = self.stage.call.session.audio_format.same_on_the_line().is_some();
            let lasts = Duration::from_millis(samples.len() as u64 / if is_g711 { 8 } else { 48 });
            let now = self.now;
            if let Some(party) = self.parties.get_mut(&call) {
                party.gave_audio = Some(party.gave_audio.unwrap_or(now).max(now) + lasts);
            }
        } else {
            check_client_message(dialect, text.as_bytes()).unwrap_or_else(|why| panic!("{why}: {text}"));
            self.client_events.push(text.to_owned());
            self.socket_mut(call, link).into_iter().for_each(|socket| socket.sent.push(text.to_owned()));
        }
        self.send_after(self.held_for(), Parcel::Server(call, link, text.as_bytes().to_vec()));
    }

    pub(super) fn ping(&mut self, call: CallId, link: LinkId) {
        self.send_after(self.held_for(), Parcel::Ping(call, link));
    }

    /// A ping has come to the server.
    pub(super) fn pinged(&mut self, call: CallId, link: LinkId) {
        let answers = |socket: &Socket| socket.state == State::Open && socket.manner != Manner::Mute;
        if self.socket_mut(call, link).is_some_and(|socket| answers(socket)) {
            self.server_sends(call, Letter::RealtimePong(link));
        }
    }

    /// The bridge closes a link.
    pub(super) fn hang_up_link(&mut self, call: CallId, link: LinkId) {
        self.socket_mut(call, link).into_iter().for_each(|socket| socket.end(State::Closed));
    }

    /// The bridge is done with a call, and with all its links.
    pub(super) fn hang_up_links(&mut self, call: CallId) {
        let of_call = self.sockets.iter_mut().filter(|socket| socket.call == call);
        of_call.for_each(|socket| socket.end(State::Closed));
    }

    pub(super) fn step_server(&mut self, call: CallId, link: LinkId, input: server::Input<'_>) {
        let now = self.now;
        let Some(socket) = self.socket_mut(call, link) else { return };
        let Some(realtime) = &mut socket.server else { return };
        let mut out = server::Actions::new();
        socket.deadline = realtime.step(now, input, &mut out).deadline;
        for action in out.iter() {
            match action {
                server::Output::Send(text) => self.server_says(call, link, out.bytes(text)),
                server::Output::Close { code, reason } => {
                    self.server_closes(call, link, code, out.bytes(reason));
                }
            }
        }
    }

    fn server_says(&mut self, call: CallId, link: LinkId, text: &[u8]) {
        let Some(socket) = self.socket_mut(call, link) else { return };
        if socket.manner != Manner::Speaks || socket.state != State::Open {
            return;
        }
        let broken = socket.breaks_after.as_mut().is_some_and(|left| {
            let before = *left;
            *left = before.saturating_sub(frame_bytes(text.len()));
            before < frame_bytes(text.len())
        });
        let breaks = socket.breaks_after == Some(0);
        if !broken {
            self.server_sends(call, Letter::Realtime(link, text.to_vec()));
        }
        if breaks {
            self.breaks(call, link, IoFault::Reset);
        }
    }

    fn server_closes(&mut self, call: CallId, link: LinkId, code: u16, reason: &[u8]) {
        let Some(socket) = self.socket_mut(call, link) else { return };
        if socket.state != State::Open {
            return;
        }
        if socket.manner != Manner::Speaks {
            // Nobody hears of it.
            socket.server = None;
            return;
        }
        socket.end(State::Ended);
        let down = Down { code: Some(code), reason: reason.to_vec(), ..Down::default() };
        self.server_sends(call, Letter::RealtimeDown(link, down));
    }

    /// The connection breaks behind all that the server has said.
    fn breaks(&mut self, call: CallId, link: LinkId, fault: IoFault) {
        self.socket_mut(call, link).into_iter().for_each(|socket| socket.end(State::Ended));
        self.server_sends(call, Letter::RealtimeDown(link, Down::fault(fault)));
    }

    /// Sends the bridge something that comes from a server, behind all that came before.
    fn server_sends(&mut self, call: CallId, letter: Letter) {
        self.send_after(self.held_for() + self.stage.server_lag, Parcel::Call(call, letter));
    }

    /// Tells the bridge that a link has ended.
    fn realtime_down(&mut self, after: Duration, call: CallId, link: LinkId, down: Down) {
        self.socket_mut(call, link).into_iter().for_each(|socket| socket.end(State::Ended));
        self.send_after(after, Parcel::Call(call, Letter::RealtimeDown(link, down)));
    }

    /// How long what is sent now waits until the network is there again.
    fn held_for(&self) -> Duration {
        self.vanished_until.since(self.now)
    }
}

/// What a test does to the links. What names none is done to the newest open link of every call.
impl Scene {
    /// The next attempts to reach the Realtime server go like this.
    pub fn next_attempts(&mut self, attempts: impl IntoIterator<Item = Attempt>) {
        self.stage.attempts.extend(attempts);
    }

    /// From now on all attempts to reach the Realtime server go like this, but for those that are planned.
    pub fn realtime_becomes(&mut self, attempt: fn() -> Attempt) {
        self.stage.realtime = attempt;
    }

    /// The connection to the Realtime server breaks; what was under way is lost.
    pub fn cut_realtime(&mut self, fault: IoFault) {
        self.newest_links().into_iter().for_each(|(call, link)| self.cut(call, link, fault));
    }

    /// The same for the links of this name.
    pub fn cut_link(&mut self, link: LinkId, fault: IoFault) {
        self.open_links(link).into_iter().for_each(|call| self.cut(call, link, fault));
    }

    fn cut(&mut self, call: CallId, link: LinkId, fault: IoFault) {
        self.parcels.retain(|(_, parcel)| parcel.link() != Some((call, link)));
        self.realtime_down(Duration::ZERO, call, link, Down::fault(fault));
    }

    /// Of what the Realtime server says from now on, framed as on a WebSocket, only the first `bytes` arrive. Then the
    /// connection breaks, and of a message that was not complete nothing is seen.
    pub fn cut_realtime_at_byte(&mut self, bytes: usize) {
        for (call, link) in self.newest_links() {
            if let Some(socket) = self.socket_mut(call, link) {
                socket.breaks_after = Some(bytes);
            }
        }
    }

    /// The Realtime server closes the link, after all that it has said.
    pub fn close_realtime(&mut self, code: u16, reason: &str) {
        let links = self.newest_links();
        links.into_iter().for_each(|(call, link)| self.server_closes(call, link, code, reason.as_bytes()));
    }

    /// The same for the links of this name.
    pub fn close_link(&mut self, link: LinkId, code: u16, reason: &str) {
        let calls = self.open_links(link);
        calls.into_iter().for_each(|call| self.server_closes(call, link, code, reason.as_bytes()));
    }

    /// Something goes wrong in the Realtime server.
    pub fn realtime_fails(&mut self, fault: &server::Fault) {
        for (call, link) in self.newest_links() {
            self.step_server(call, link, server::Input::Fault(fault));
        }
    }

    /// The Realtime server goes on to take everything, but says nothing any more; it answers pings.
    pub fn realtime_falls_silent(&mut self) {
        self.newest_behaves(Manner::Silent);
    }

    /// The Realtime server does not even answer pings any more.
    pub fn realtime_falls_mute(&mut self) {
        self.newest_behaves(Manner::Mute);
    }

    /// Servers that have fallen silent speak again, and connections that were about to break do not.
    pub fn realtime_speaks(&mut self) {
        for socket in &mut self.sockets {
            (socket.manner, socket.breaks_after) = (Manner::Speaks, None);
        }
        let nobody_is_there = |socket: &&Socket| {
            matches!(socket.state, State::Opening | State::Open) && socket.server.is_none()
        };
        let deserted = self.sockets.iter().filter(nobody_is_there).map(|socket| (socket.call, socket.link));
        for (call, link) in deserted.collect::<Vec<_>>() {
            self.breaks(call, link, IoFault::Reset);
        }
        self.vanished_until = self.now;
        // What the network has held comes now, in its order.
        let soon = self.now + FLIGHT + self.stage.server_lag;
        for parcel in self.take_parcels(|at, parcel| at > soon && parcel.link().is_some()) {
            self.send_after(self.stage.server_lag, parcel);
        }
    }

    fn newest_behaves(&mut self, manner: Manner) {
        for (call, link) in self.newest_links() {
            self.socket_mut(call, link).into_iter().for_each(|socket| socket.manner = manner);
        }
    }

    /// For so long nothing passes between the bridge and the Realtime server in either direction, and nobody is told.
    /// What is sent meanwhile arrives afterwards. So does an attempt to open a link, if it does not have to wait for
    /// ten seconds: then the driver gives it up.
    pub fn realtime_vanishes(&mut self, duration: Duration) {
        self.vanished_until = self.now + duration;
        // What is in the air is lost as well, and sent again.
        let until = self.vanished_until + FLIGHT;
        for parcel in self.take_parcels(|at, parcel| at < until && parcel.link().is_some()) {
            self.send_after(duration, parcel);
        }
    }

    fn open_links(&self, link: LinkId) -> Vec<CallId> {
        let open = self.sockets.iter().filter(|it| it.link == link && it.state == State::Open);
        open.map(|socket| socket.call).collect()
    }
}

/// What a test sees of the links.
impl Scene {
    /// How many Realtime links the bridge tried to open.
    #[must_use]
    pub fn attempts(&self) -> usize {
        self.past_sockets.len() + self.sockets.len()
    }

    /// How many of them came to be open.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.all_sockets().filter(|socket| socket.was_open).count()
    }

    /// The links that are open now, oldest first.
    #[must_use]
    pub fn links_open(&self) -> Vec<LinkId> {
        self.sockets.iter().filter(|socket| socket.state == State::Open).map(|socket| socket.link).collect()
    }

    fn all_sockets(&self) -> impl Iterator<Item = &Socket> {
        self.past_sockets.iter().chain(&self.sockets)
    }

    fn links_named(&self, link: LinkId) -> impl Iterator<Item = &Socket> {
        self.all_sockets().filter(move |socket| socket.link == link)
    }

    /// What the bridge sent on the links of this name, but for audio.
    ///
    /// # Panics
    ///
    /// If it sent something that is not JSON.
    #[must_use]
    pub fn sent_on(&self, link: LinkId) -> Vec<Value> {
        let events = self.links_named(link).flat_map(|socket| &socket.sent);
        events.map(|event| serde_json::from_str(event).expect("JSON")).collect()
    }

    /// The caller's audio that was sent on the links of this name, one append behind the other.
    #[must_use]
    pub fn model_audio_of(&self, link: LinkId) -> Vec<u8> {
        self.links_named(link).flat_map(|socket| socket.audio.iter().copied()).collect()
    }

    /// The items that the bridge put into the conversations of the links of this name, in the order in which it
    /// sent them, as [`in_words`](server::in_words) has them: `user: …`, `call: <name> <arguments>`.
    #[must_use]
    pub fn told_on(&self, link: LinkId) -> Vec<String> {
        let events = self.sent_on(link);
        let created = events.iter().filter(|event| event["type"] == "conversation.item.create");
        created.map(|event| server::in_words(&event["item"])).collect()
    }

    /// The conversations of the links of this name as the servers have them, or had them at the end of the link: what
    /// was put into it, what was said in it, and what was called.
    #[must_use]
    pub fn conversation_on(&self, link: LinkId) -> Vec<String> {
        self.links_named(link).flat_map(Socket::conversation).collect()
    }
}

/// How many bytes a message of this length is as an unmasked WebSocket frame (RFC 6455 §5.2).
fn frame_bytes(length: usize) -> usize {
    length
        + match length {
            0..=125 => 2,
            126..=0xFFFF => 4,
            _ => 10,
        }
}
