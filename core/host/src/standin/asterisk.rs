//! The stand-in for Asterisk behind HTTP, WebSocket and UDP sockets.

use ari_bridge_core::http::Request;
use ari_bridge_core::sim::asterisk::{Actions, Asterisk, CallerState, Input, MediaStats, Output, Settings};
use ari_bridge_core::sim::caller::Caller;
use ari_bridge_core::time::Instant;
use std::collections::BTreeMap;
use std::io;
use std::mem;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::http::{Answer, target};
use super::lock;
use super::server::{Order, Server, Service};
use crate::clock::Clock;

/// How many UnicastRTP channels there may be if the settings do not say.
const RTP_PORTS: usize = 16;

/// What a caller went through, and when, since the server was started.
#[derive(Clone, Debug, Default)]
pub struct CallerSeen {
    /// Every state of its line.
    pub states: Vec<(Instant, CallerState)>,
    /// What came out of its receiver, from [`CallerSeen::hears_since`] on.
    pub ear: Caller,
    /// When its first frame came.
    pub hears_since: Option<Instant>,
}

/// A running stand-in. It stops when this is dropped.
#[derive(Debug)]
pub struct AsteriskServer {
    server: Server,
    hub: Arc<Hub>,
}

/// Starts a stand-in for Asterisk on a free port of loopback. Its RTP ports are free ones of the system, as many
/// as `settings` lists.
///
/// # Errors
///
/// If the system gives no socket or thread.
pub fn serve_asterisk(mut settings: Settings) -> io::Result<AsteriskServer> {
    let wanted = if settings.rtp_ports == Settings::default().rtp_ports {
        RTP_PORTS
    } else {
        settings.rtp_ports.len()
    };
    let mut media = BTreeMap::new();
    for _ in 0..wanted {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        media.insert(socket.local_addr()?.port(), Arc::new(socket));
    }
    settings.rtp_ports = media.keys().copied().collect();
    let hub = Arc::new(Hub {
        media,
        state: Mutex::new(State {
            machine: Asterisk::new(settings),
            clock: Clock::start(),
            out: Actions::new(),
            deadline: None,
            orders: Vec::new(),
            callers: BTreeMap::new(),
        }),
        changed: Condvar::new(),
    });
    let server = Server::start("standin-asterisk", &hub.media, hub.clone())?;
    Ok(AsteriskServer { server, hub })
}

impl AsteriskServer {
    /// The value for `ARI_URL`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.server.address)
    }

    /// How long it has been running.
    #[must_use]
    pub fn now(&self) -> Instant {
        lock(&self.hub.state).clock.tick()
    }

    /// Lets somebody call.
    pub fn dial(&self, caller: u64, number: &str, exten: &str) {
        lock(&self.hub.state).callers.entry(caller).or_default();
        self.step(Input::Dial { caller, number, exten, answered: false });
    }

    /// Lets the caller say this, 16 kHz, and tells when.
    pub fn speak(&self, caller: u64, pcm: &[i16]) -> Instant {
        self.step(Input::Speak { caller, pcm })
    }

    /// Lets the caller hang up.
    pub fn hang_up(&self, caller: u64) {
        self.step(Input::Hangup { caller });
    }

    /// What the caller went through so far.
    #[must_use]
    pub fn seen(&self, caller: u64) -> CallerSeen {
        lock(&self.hub.state).callers.get(&caller).cloned().unwrap_or_default()
    }

    /// Waits until `ready` says so of the caller, at most `patience`; whether it did.
    pub fn wait(&self, caller: u64, patience: Duration, ready: impl Fn(&CallerSeen) -> bool) -> bool {
        let state = lock(&self.hub.state);
        let not_yet = |state: &mut State| !state.callers.get(&caller).is_some_and(&ready);
        let waited = self.hub.changed.wait_timeout_while(state, patience, not_yet);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// How many channels and bridges there are.
    #[must_use]
    pub fn objects(&self) -> (usize, usize) {
        let state = lock(&self.hub.state);
        (state.machine.channel_count(), state.machine.bridge_count())
    }

    /// What became of the packets so far.
    #[must_use]
    pub fn media_stats(&self) -> MediaStats {
        lock(&self.hub.state).machine.media_stats()
    }

    /// Reaches the machine itself: to arm faults, or to let go what they hold.
    pub fn with<T>(&self, act: impl FnOnce(&mut Asterisk, Instant, &mut Actions) -> T) -> T {
        let mut state = lock(&self.hub.state);
        let State { machine, clock, out, .. } = &mut *state;
        out.clear();
        let result = act(machine, clock.tick(), out);
        self.hub.perform(&mut state);
        drop(state);
        // What `act` did may have moved the deadline.
        self.step(Input::Timer);
        result
    }

    fn step(&self, input: Input<'_>) -> Instant {
        let now = self.hub.step(input);
        self.server.wake();
        now
    }
}

#[derive(Debug)]
struct Hub {
    media: BTreeMap<u16, Arc<UdpSocket>>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    machine: Asterisk,
    clock: Clock,
    out: Actions,
    deadline: Option<Instant>,
    /// What the connections have not been told yet.
    orders: Vec<(u64, Order)>,
    callers: BTreeMap<u64, CallerSeen>,
}

impl Hub {
    /// Steps the machine, performs what it says, and tells when that was.
    fn step(&self, input: Input<'_>) -> Instant {
        let mut state = lock(&self.state);
        let State { machine, clock, out, deadline, .. } = &mut *state;
        out.clear();
        let now = clock.tick();
        *deadline = machine.step(now, input, out).deadline;
        self.perform(&mut state);
        now
    }

    fn perform(&self, state: &mut State) {
        let out = mem::take(&mut state.out);
        for output in out.iter() {
            match output {
                Output::Reply { id, status, body } => {
                    let answer = Answer { status, body: out.bytes(body).to_vec(), ..Answer::default() };
                    state.orders.push((id, Order::Answer(answer)));
                }
                Output::Accepted { socket } => state.orders.push((socket, Order::Upgrade)),
                Output::Refused { socket, status } => {
                    state.orders.push((socket, Order::Answer(Answer { status, ..Answer::default() })));
                }
                Output::Event { socket, text } => {
                    state.orders.push((socket, Order::Text(out.bytes(text).to_vec())));
                }
                Output::CloseSocket { socket } => {
                    state.orders.push((socket, Order::Close(1000, String::new())));
                }
                // Every port is read all the time, so that what comes for a channel that is gone does not wait for
                // the next one; the machine knows which ports have a channel.
                Output::BindRtp { .. } | Output::UnbindRtp { .. } => {}
                Output::SendRtp { from_port, to, bytes } => {
                    if let Some(socket) = self.media.get(&from_port) {
                        let _ = socket.send_to(out.bytes(bytes), to);
                    }
                }
                Output::Heard { caller, pcm } => {
                    let now = state.clock.tick();
                    let seen = state.callers.entry(caller).or_default();
                    seen.hears_since.get_or_insert(now);
                    seen.ear.hear(out.bytes(pcm));
                    self.changed.notify_all();
                }
                Output::CallerState { caller, state: line } => {
                    let now = state.clock.tick();
                    state.callers.entry(caller).or_default().states.push((now, line));
                    self.changed.notify_all();
                }
            }
        }
        state.out = out;
    }
}

/// The machine names requests and event sockets as the connections are named.
impl Service for Arc<Hub> {
    fn request(&mut self, id: u64, request: &Request<'_>) {
        let (target, authorization) = (&*target(request), request.header("Authorization"));
        self.step(if request.is_upgrade {
            Input::EventsOpened { socket: id, target, authorization }
        } else {
            Input::Request { id, method: request.method, target, authorization, body: request.body }
        });
    }

    /// Asterisk listens to no message here.
    fn message(&mut self, _: u64, _: &[u8]) {}

    fn closed(&mut self, id: u64, _: Option<u16>) {
        self.step(Input::EventsClosed { socket: id });
    }

    fn datagram(&mut self, local_port: u16, from: SocketAddr, bytes: &[u8]) {
        self.step(Input::Datagram { local_port, from, bytes });
    }

    fn turn(&mut self, orders: &mut Vec<(u64, Order)>) -> Option<std::time::Instant> {
        let state = lock(&self.state);
        let is_due = state.deadline.is_some_and(|deadline| state.clock.is_due(deadline));
        drop(state);
        if is_due {
            self.step(Input::Timer);
        }
        let mut state = lock(&self.state);
        orders.append(&mut state.orders);
        state.clock.at(state.deadline?)
    }
}
